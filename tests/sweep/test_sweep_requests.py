"""A plan makes requests that the delete functions take, for every service that a sweep knows."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from task_cleanup.event_types import EventType
from task_cleanup.sweep.boto import AwsService, Boto
from task_cleanup.sweep.bus import EventBus
from task_cleanup.sweep.delete_events import REQUEST_LIFETIME, requests_of
from task_cleanup.sweep.plan import LIFETIME, Plan, TargetPlan
from task_cleanup.sweep.policy import Mode, Policy, Select, SweepTarget
from task_cleanup.sweep.report import Run, document
from task_cleanup.sweep.selection import Decision, Judged
from task_cleanup.sweep.services import SERVICES
from task_cleanup.system import Deadline, System
from task_cleanup.tasks import Status, Task
from task_cleanup.times import parse_time
from task_cleanup.triggers import from_eventbridge
from task_cleanup.validation import RequestValidator, shared_pattern
from tests.support.functions import function_folders, operation_name, request_schema, sample_event

NOW = datetime(2026, 11, 21, 8, 31, 0, 123456, tzinfo=UTC)
PROJECT = "0123456789abcdef0123456789abcdef"
NO_AGES_WANTING = {"tasks": 0, "age_from": {}, "running_since": {}}
FOLDERS = {operation_name(folder): folder for folder in function_folders()}

every_service = pytest.mark.parametrize("service", SERVICES)


def sample_request(service: str) -> dict[str, Any]:
    """The sample event of the service's delete function."""
    return sample_event(FOLDERS[SERVICES[service].delete.operation], "direct")


def a_plan(service: str, *, stop: bool = False, account: str = "second") -> Plan:
    """The sample's task, selected."""
    provider, _, name = service.partition("_")
    sample = sample_request(service)
    needs = SERVICES[service].needs_project
    target = SweepTarget(provider, name, sample["region"], account, instance_id=sample.get("instance_id"))
    task = Task(
        str(sample["task_id"]), "n", Status.RUNNING if stop else Status.FAILED, "4", deletable=True, why_not=None
    )
    judged = (
        Judged(task, Decision.SELECTED, "old", 1.0, stop),
        Judged(Task("2", "n", Status.FAILED, "4", deletable=True, why_not=None), Decision.PROTECTED, "kept", 1.0),
    )
    place = TargetPlan(target, PROJECT if needs else None, complete=True, error=None, judged=judged)
    return Plan(Policy("p", Mode.APPLY, (target,), Select("P7D"), stop_running=stop), NOW, (place,), NO_AGES_WANTING)


def requests(plan: Plan, run_id: str = "run-1") -> list[dict[str, Any]]:
    """What the plan's report asks for, once it was stored and read again."""
    return list(requests_of(json.loads(json.dumps(document(Run(run_id, NOW), plan, ())))))


@every_service
def test_an_id_that_is_asked_for_is_one_that_the_delete_takes(service: str) -> None:
    delete = SERVICES[service].delete

    rule = request_schema(FOLDERS[delete.operation])["properties"]["task_id"]

    assert shared_pattern(delete.id_rule).pattern == rule["pattern"]


@every_service
def test_a_request_is_one_that_the_delete_function_takes(service: str) -> None:
    (request,) = requests(a_plan(service))
    schema = request_schema(FOLDERS[SERVICES[service].delete.operation])
    taken = RequestValidator(schema).validate(json.loads(json.dumps(request)))

    sample = sample_request(service)

    assert taken["dry_run"] is False
    assert request["task_id"] == str(sample["task_id"])
    for name in ("region", "instance_id"):
        assert request.get(name) == sample.get(name)
    assert (request["account"], request["correlation_id"]) == ("second", "run-1")
    assert request.get("project_id") == (PROJECT if SERVICES[service].needs_project else None)
    assert "stop_running" not in request


@every_service
def test_a_request_is_valid_for_22_hours_from_the_list_on(service: str) -> None:
    """Shorter than from one night to the next: the next sweep may ask again for what failed."""
    (request,) = requests(a_plan(service))

    assert abs(parse_time(request["not_after"]) - (NOW + REQUEST_LIFETIME)) < timedelta(milliseconds=1)
    assert timedelta(hours=22) == REQUEST_LIFETIME < LIFETIME


@every_service
def test_a_request_says_how_the_task_was_when_it_was_judged(service: str) -> None:
    (request,) = requests(a_plan(service))

    as_listed = {"provider_status": "4", "name": "n", "started_at": None, "created_at": None}
    assert set(request["expected"]) == set(SERVICES[service].look.identity)
    assert request["expected"].items() <= as_listed.items()


@every_service
def test_a_stop_goes_only_to_a_function_that_knows_it(service: str) -> None:
    schema = request_schema(FOLDERS[SERVICES[service].delete.operation])
    assert SERVICES[service].delete.can_stop is ("stop_running" in schema["properties"])
    if SERVICES[service].delete.can_stop:
        (request,) = requests(a_plan(service, stop=True))
        assert RequestValidator(schema).validate(request)["stop_running"] is True


@every_service
def test_a_request_vouches_for_the_status_in_which_the_task_was_listed(service: str) -> None:
    plan = a_plan(service)
    (place,) = plan.targets
    selected = [replace(item, vouched=True) for item in place.judged]
    schema = request_schema(FOLDERS[SERVICES[service].delete.operation])

    (request,) = requests(replace(plan, targets=(replace(place, judged=tuple(selected)),)))

    assert RequestValidator(schema).validate(request)["vouched"] is True
    assert request["expected"]["provider_status"] == "4"
    assert all("vouched" not in request for request in requests(plan))


@every_service
def test_a_token_goes_only_to_a_function_that_knows_it_and_is_the_runs(service: str) -> None:
    schema = request_schema(FOLDERS[SERVICES[service].delete.operation])
    assert SERVICES[service].delete.takes_token is ("client_token" in schema["properties"])
    (one,), (same,), (other,) = (requests(a_plan(service), run) for run in ("run-1", "run-1", "run-2"))
    assert one == same
    if SERVICES[service].delete.takes_token:
        assert one["client_token"] != other["client_token"]


@pytest.mark.parametrize("service", [name for name, swept in SERVICES.items() if swept.delete.takes_token])
def test_no_two_tasks_of_a_run_share_a_token(service: str) -> None:
    """The provider would answer the second request as it answered the first: deleted, and the task is still there."""
    plan = a_plan(service)
    (place,) = plan.targets
    (first, _) = place.judged
    places = [
        replace(place, judged=(first, replace(first, task=replace(first.task, task_id="another")))),
        replace(place, target=replace(place.target, region="another")),
        replace(place, target=replace(place.target, instance_id="another")),
    ]

    tokens = [request["client_token"] for request in requests(replace(plan, targets=tuple(places)))]

    assert len(set(tokens)) == len(tokens) == 4


@pytest.mark.parametrize("run_id", ["a", "n" * 128, "6f1d2c1e-0b7a-4d0e-9a53-1c6f1f2e0041"])
@every_service
def test_every_run_id_is_a_correlation_id(service: str, run_id: str) -> None:
    (request,) = requests(a_plan(service), run_id)

    schema = request_schema(FOLDERS[SERVICES[service].delete.operation])

    assert RequestValidator(schema).validate(request)["correlation_id"] == run_id


@every_service
def test_ten_requests_fit_into_one_call_to_the_bus(service: str) -> None:
    (request,) = requests(a_plan(service, account="a" * 63), "n" * 128)

    assert 10 * (len(json.dumps(request)) + 200) < 256 * 1024


class _Taker(Boto):
    """A bus that takes everything."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def call(self, service: AwsService, operation: str, **arguments: Any) -> Any:
        """See ``Boto``."""
        assert (service, operation) == ("events", "put_events")
        self.entries += arguments["Entries"]
        return {"Entries": [{"EventId": "e"} for _ in arguments["Entries"]]}


def test_only_a_request_for_a_delete_is_marked_as_the_sweeps() -> None:
    """By the mark, the delete functions know that a task which has changed is no dead letter."""
    client, system = _Taker(), System()
    bus = EventBus(client, "bus", system)

    bus.request_all(iter(requests(a_plan(next(iter(SERVICES))))), Deadline.after(9, system.monotonic))
    bus.publish(EventType.SWEEP_REQUESTED, {}, ["arn:aws:sts::123456789012:assumed-role/somebody/x"])
    bus.publish(EventType.SWEEP_COMPLETED, {})

    events = [
        {"id": "e", "source": entry["Source"], "detail-type": entry["DetailType"], "detail": entry["Detail"]}
        for entry in client.entries
    ]
    assert [from_eventbridge(event, "fallback").by_sweep for event in events] == [True, False, False]
