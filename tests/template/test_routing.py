"""Every request on the bus reaches the queue of its operation, or the catch-all: none falls through."""

import json
from typing import Any

import pytest
from moto.events.models import EventPattern

from tests.support.template import BUS, CHANGES, REQUEST, Operation, of_type, properties, template, translated

# Those for people, who are told of a sweep's end, are in test_notices.py.
RULES = sorted(name for name in of_type("AWS::Events::Rule") if not name.endswith("Notice"))
KNOWN = [operation.name for operation in CHANGES]
CATCH_ALL = "UnroutedRequestsRule"
OTHER_KINDS = "UnknownEventsRule"
SWEEP_REQUEST, SWEEP_RULE = "Sweep Requested", "SweepRule"
RESULTS_RULE = "SweepResultsRule"
RESULTS = [
    *("Task Cleanup Completed", "Task Cleanup Failed"),
    *("Sweep Completed", "Sweep Refused", "Sweep Failed", "Sweep Finished"),
]
KINDS = [REQUEST, SWEEP_REQUEST, *RESULTS]


def matching(detail: Any, detail_type: str = REQUEST) -> set[str]:
    """The rules that take an event, as judged by moto."""
    event: Any = {"source": "task-cleanup", "detail-type": detail_type, "detail": detail}
    patterns = {rule: properties(rule)["EventPattern"] for rule in RULES}
    return {rule for rule, pattern in patterns.items() if EventPattern.load(json.dumps(pattern)).matches_event(event)}


def test_only_the_known_rules_are_there() -> None:
    others = [SWEEP_RULE, RESULTS_RULE, CATCH_ALL, OTHER_KINDS]

    assert sorted([*(operation.id("Rule") for operation in CHANGES), *others]) == RULES


@pytest.mark.parametrize("rule", RULES)
def test_rule_names_the_bus_and_waits_for_it(rule: str) -> None:
    assert properties(rule)["EventBusName"] == BUS, "by name: local emulators do not know a reference"
    assert properties("EventBus")["Name"] == BUS
    assert translated()[rule]["DependsOn"] == "EventBus", "the name alone does not order the two"
    assert properties(rule).get("State", "ENABLED") == "ENABLED"


@pytest.mark.parametrize("rule", RULES)
def test_rule_retries_and_keeps_what_it_cannot_deliver(rule: str) -> None:
    (target,) = properties(rule)["Targets"]

    assert target["RetryPolicy"]["MaximumRetryAttempts"] > 0
    assert target["RetryPolicy"]["MaximumEventAgeInSeconds"] >= 3600
    assert target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0].endswith("Queue")


def test_operations_rule_leads_to_its_queue(change: Operation) -> None:
    rule = properties(change.id("Rule"))
    assert rule["Name"] == change.name
    assert rule["EventPattern"] == {"detail-type": [REQUEST], "detail": {"operation": [change.name]}}

    (target,) = rule["Targets"]

    assert target["Arn"] == change.arn("Queue")
    assert target["DeadLetterConfig"]["Arn"] == change.arn("DeadLetterQueue")


def test_catch_all_excludes_exactly_the_known_operations() -> None:
    pattern = properties(CATCH_ALL)["EventPattern"]
    assert pattern["detail-type"] == [REQUEST]

    absent, other = pattern["detail"]["operation"]

    assert absent == {"exists": False}, "also what takes an empty array on the real bus"
    assert sorted(other["anything-but"]) == sorted(KNOWN)
    assert properties(CATCH_ALL)["Targets"][0]["Arn"] == {"Fn::GetAtt": ["UnroutedRequestsQueue", "Arn"]}


def test_events_of_no_known_kind_are_caught() -> None:
    pattern = properties(OTHER_KINDS)["EventPattern"]

    ((name, (known,)),) = pattern.items()

    assert (name, known.keys()) == ("detail-type", {"anything-but"})
    assert sorted(known["anything-but"]) == sorted(KINDS)
    assert properties(OTHER_KINDS)["Targets"][0]["Arn"] == {"Fn::GetAtt": ["UnroutedRequestsQueue", "Arn"]}
    for misspelt in ("Task Cleanup Request", "task cleanup requested", "Sweep Request", "sweep requested", "", "Any"):
        assert matching({"operation": KNOWN[0]}, misspelt) == {OTHER_KINDS}


def test_known_operation_goes_one_way(change: Operation) -> None:
    assert matching({"operation": change.name}) == {change.id("Rule")}


# An empty array is missing here: the real bus sees no value and so no field, moto sees a field.
NOT_A_NAME: list[Any] = [None, "", "x", 0, -1, 1.5, 10**18, True, False, {}, {"a": 1}, [None], [1], ["x"], [[]], [{}]]
NEARLY_A_NAME = [odd for name in KNOWN for odd in (name.upper(), f"{name} ", name.rpartition(".")[2])]


@pytest.mark.parametrize("value", [*NOT_A_NAME, *NEARLY_A_NAME], ids=json.dumps)
def test_unknown_operation_is_caught(value: Any) -> None:
    assert matching({"operation": value}) == {CATCH_ALL}


def test_list_is_not_for_events(listing: Operation) -> None:
    assert matching({"operation": listing.name}) == {CATCH_ALL}


def test_missing_operation_is_caught(operation: Operation) -> None:
    assert matching({}) == {CATCH_ALL}
    assert matching({"Operation": operation.name}) == {CATCH_ALL}


def test_array_with_a_known_operation_reaches_a_queue_that_refuses_it(change: Operation) -> None:
    assert matching({"operation": [change.name]}) == {change.id("Rule")}
    assert matching({"operation": [change.name, "x"]}) == {change.id("Rule"), CATCH_ALL}


@pytest.mark.parametrize("detail", [{}, {"name": "nightly"}, {"operation": KNOWN[0]}, {"operation": "x"}], ids=repr)
def test_sweep_request_goes_one_way_whatever_is_in_it(detail: Any) -> None:
    assert matching(detail, SWEEP_REQUEST) == {SWEEP_RULE}


@pytest.mark.parametrize("detail_type", RESULTS)
def test_results_on_the_same_bus_start_nothing(operation: Operation, detail_type: str) -> None:
    assert matching({"operation": operation.name}, detail_type) == set()
    assert matching({}, detail_type) == set()


@pytest.mark.parametrize("detail_type", RESULTS)
def test_results_of_a_sweeps_requests_are_gathered(detail_type: str) -> None:
    """By the source of the request, which the result repeats: only a sweep's role may send one with ours."""
    is_result = detail_type.startswith("Task Cleanup")

    assert matching({"requested_by": "task-cleanup"}, detail_type) == ({RESULTS_RULE} if is_result else set())
    for other in ("com.example.migrations", "task-cleanup.x", "", None):
        assert matching({"requested_by": other}, detail_type) == set()


def test_bus_is_an_output() -> None:
    assert template()["Outputs"]["EventBusName"]["Value"] == BUS
    assert template()["Outputs"]["UnroutedRequestsQueueUrl"]["Value"] == {"Ref": "UnroutedRequestsQueue"}
