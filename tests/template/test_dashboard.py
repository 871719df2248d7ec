"""The dashboard: what CloudWatch takes, its own stack's metrics only, and no line for a single operation."""

import json
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest

from local.aws.dashboard import body_of, drawn
from local.aws.metrics import NotKnownError, Point, emitted, searched, shown, written_out
from tests.support.dashboard_rules import faults
from tests.support.template import OPERATIONS, Deployment, of_type, properties, translated

STACK = "a-stack"
BODY = body_of(Deployment(STACK).resources, STACK, "eu-central-1")
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
Json = dict[str, Any]


def widget(title: str) -> Json:
    (found,) = [it for it in BODY["widgets"] if it["properties"].get("title", "").startswith(title)]
    return dict(found)


def result(operation: str, outcome: str = "failed", service: str = STACK, name: str = "Results") -> Point:
    return Point(NOW, "TaskCleanup", name, {"operation": operation, "outcome": outcome, "service": service}, 1)


# -- what CloudWatch takes ------------------------------------------------


def test_body_keeps_the_rules() -> None:
    assert faults(BODY) == []
    assert len(BODY["widgets"]) > 10
    assert {it["properties"]["region"] for it in BODY["widgets"] if it["type"] != "text"} == {"eu-central-1"}


METRIC = 2  # "Sweeps and their ends"
EXPRESSION = 1  # "Results by outcome"


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda it: it.pop("widgets"), "an array"),
        (lambda it: it.update(start="7 days"), "start"),
        (lambda it: it.update(title="x"), "unknown"),
        (lambda it: it["widgets"][METRIC].update(x=13), "24 columns"),
        (lambda it: it["widgets"][METRIC].update(width=0), "24 columns"),
        (lambda it: it["widgets"][METRIC].update(y="2"), "integers"),
        (lambda it: it["widgets"][METRIC].update(y=1), "overlaps widget"),
        (lambda it: it["widgets"][METRIC].update(type="chart"), "type chart"),
        (lambda it: it["widgets"][METRIC]["properties"].pop("region"), "region is missing"),
        (lambda it: it["widgets"][METRIC]["properties"].update(period=90), "period 90"),
        (lambda it: it["widgets"][METRIC]["properties"].update(view="line"), "view"),
        (lambda it: it["widgets"][METRIC]["properties"].update(stat="Total"), "statistic Total"),
        (lambda it: it["widgets"][METRIC]["properties"].pop("stat"), "no statistic"),
        (lambda it: it["widgets"][METRIC]["properties"]["metrics"][0].pop(3), "pairs of dimensions"),
        (lambda it: it["widgets"][METRIC]["properties"]["metrics"][1].pop(0), "pairs of dimensions"),
        (lambda it: it["widgets"][METRIC]["properties"]["metrics"][0][-1].update(color="red"), "colour"),
        (lambda it: it["widgets"][EXPRESSION]["properties"]["metrics"][0][-1].update(id="Sum"), "ids"),
        (lambda it: it["widgets"][EXPRESSION]["properties"]["metrics"][0][-1].update(id="failed"), "ids"),
        (lambda it: it["widgets"][0]["properties"].clear(), "markdown is missing"),
    ],
    ids=lambda it: it if isinstance(it, str) else "",
)
def test_what_breaks_a_rule_is_told(spoil: Callable[[Json], Any], told: str) -> None:
    body = deepcopy(BODY)
    spoil(body)

    assert [fault for fault in faults(body) if told in fault]


def test_name_is_the_stacks_and_every_chart_has_a_title() -> None:
    assert properties("Dashboard")["DashboardName"] == {"Fn::Sub": "${AWS::StackName}"}
    titles = [it["properties"]["title"] for it in BODY["widgets"] if it["type"] != "text"]
    assert len(set(titles)) == len(titles)


# -- whose metrics ------------------------------------------------


def test_no_operation_has_a_line_of_its_own() -> None:
    body = properties("Dashboard")["DashboardBody"]["Fn::Sub"]

    assert not [it.name for it in OPERATIONS if it.name in body or it.id("") in body]


@pytest.mark.parametrize(
    ("title", "outcome"),
    [("Succeeded", "succeeded"), ("Failed", "failed"), ("In conflict", "conflict"), ("Unchanged or", "planned")],
)
def test_outcomes_are_shown_by_operation(title: str, outcome: str) -> None:
    points = [result(it.name, outcome) for it in OPERATIONS]

    found = shown(widget(title), points, 300)

    assert {it.label.split(" ")[0] for it in found} == {it.name for it in OPERATIONS}
    assert shown(widget(title), [result("x", "failed" if outcome == "succeeded" else "succeeded")], 300) == []


@pytest.mark.parametrize("other", ["a-stack-prod", "a", "A-stack"])
def test_other_stacks_of_the_account_are_not_shown(other: str) -> None:
    strangers = [result("huawei.oms.DeleteTask", outcome, other) for outcome in ("succeeded", "failed", "conflict")]
    strangers += [
        Point(NOW, "TaskCleanup", name, {"operation": "sweep", "service": other}, 1) for name in ("Runs", "Finished")
    ]
    strangers += [
        Point(NOW, "AWS/Events", "MatchedEvents", {"EventBusName": other, "RuleName": "sweep"}, 1),
        Point(NOW, "AWS/SQS", "ApproximateAgeOfOldestMessage", {}, 1, {"task-cleanup": f"{other}/worked-off"}),
        Point(NOW, "AWS/ApiGateway", "Count", {"ApiId": "another"}, 1),
    ]

    assert [shown(it, strangers, 300) for it in BODY["widgets"]] == [[]] * len(BODY["widgets"])


def test_every_queue_is_tagged_as_what_it_is() -> None:
    """What waits for a function is worked off; what waits for a person is kept."""
    queues = of_type("AWS::SQS::Queue")
    worked_off = {it["EventSourceArn"]["Fn::GetAtt"][0] for it in of_type("AWS::Lambda::EventSourceMapping").values()}

    for name, queue in queues.items():
        kind = "worked-off" if name in worked_off else "kept"
        assert {"Key": "task-cleanup", "Value": {"Fn::Sub": f"${{AWS::StackName}}/{kind}"}} in queue["Tags"], name
    used = {it["properties"]["labels"][0]["value"] for it in BODY["widgets"] if it["type"] == "explorer"}
    assert used == {f"{STACK}/worked-off", f"{STACK}/kept"}


def test_duration_has_the_alarms_line() -> None:
    alarm = properties("LongRunsAlarm")
    chart = widget("Duration of a run")

    assert chart["properties"]["annotations"]["horizontal"][0]["value"] == alarm["Threshold"]
    first = next(written_out(chart["properties"]["metrics"]))
    assert first[:4] == ["TaskCleanup", alarm["MetricName"], "service", STACK]


def test_rules_whose_events_are_counted_are_on_the_stacks_bus() -> None:
    rules = [it for it in translated().values() if it["Type"] == "AWS::Events::Rule"]

    assert {json.dumps(it["Properties"]["EventBusName"]) for it in rules} == {'{"Fn::Sub": "${AWS::StackName}"}'}


# -- drawn ------------------------------------------------


def test_page_has_every_widget_in_its_place_and_every_series_in_its_legend() -> None:
    page = drawn(BODY, [*(result(it.name) for it in OPERATIONS), result("<b>", "succeeded")], 300)

    assert page.count("<article") == len(BODY["widgets"])
    assert page.count("<svg") == len([it for it in BODY["widgets"] if it["type"] != "text"])
    assert all(f">{it.name}" in page for it in OPERATIONS)
    assert "&lt;b&gt;" in page
    assert "<b>" not in page.replace(f"<b>{STACK}</b>", "")
    for it in BODY["widgets"]:
        assert f"left: {58 * it['x']}px; top: {42 * it['y']}px" in page


@pytest.mark.parametrize(
    "expression",
    [
        "SEARCH('{TaskCleanup,service} Results', 'Sum')",
        "SUM(SEARCH('{TaskCleanup,service} MetricName=\"Results\"', 'Sum')",
        "AVG(SEARCH('{TaskCleanup,service} MetricName=\"Results\"', 'Sum'))",
        "SEARCH('{TaskCleanup,service} NOT MetricName=\"Results\"', 'Sum')",
        "SELECT SUM(Results) FROM TaskCleanup",
    ],
)
def test_an_expression_that_is_not_known_is_refused(expression: str) -> None:
    with pytest.raises(NotKnownError):
        searched(expression)


def test_statistics_are_of_a_period() -> None:
    chart = widget("Duration of a run")
    points = [Point(NOW, "TaskCleanup", "RunDuration", {"service": STACK}, number) for number in range(1, 101)]

    longest, almost, half = shown(chart, points, 300)

    assert [list(it.values.values()) for it in (longest, almost, half)] == [[100], [96], [51]]


def test_lines_that_are_no_metrics_are_no_points() -> None:
    assert [emitted(line, NOW) for line in ("", "not json", "[1]", '{"message": "x"}')] == [[], [], [], []]
