"""Whatever goes wrong without anybody looking has an alarm on the right resource."""

import json
import re

import pytest

from task_cleanup.observability import Observability
from task_cleanup.settings import Settings
from tests.support.documents import anchors
from tests.support.expected import ALARMS, UNDELIVERED, WATCHED, check
from tests.support.functions import ROOT
from tests.support.identities import AWS_VARIABLES
from tests.support.template import BUS, CHANGES, Operation, properties, template


def described(alarm: str) -> str:
    """An alarm's description in a stack whose RunbookUrl is the address below."""
    text = ALARMS[alarm]["AlarmDescription"]["Fn::Sub"]
    text, values = text if isinstance(text, list) else (text, {})
    filled: str = text.replace("${Name}", values.get("Name", "${Name}")).replace("${RunbookUrl}", "https://wiki/rb")
    return filled


@pytest.mark.parametrize("kind", WATCHED)
def test_operation_is_watched(change: Operation, kind: str) -> None:
    alarm = ALARMS[change.id(kind)]

    check(alarm, WATCHED[kind], change.id(WATCHED[kind].watched))
    assert described(change.id(kind)).startswith(f"{change.name}: ")


def test_waiting_is_told_after_all_receives(change: Operation) -> None:
    queue = properties(change.id("Queue"))

    receives = int(queue["VisibilityTimeout"]) * int(queue["RedrivePolicy"]["maxReceiveCount"])

    assert receives < WATCHED["QueueAgeAlarm"].most


def test_lists_have_no_alarms_but_one_for_all(listing: Operation) -> None:
    assert not [alarm for alarm in ALARMS if alarm.startswith(listing.id(""))]
    check(ALARMS["ListFailuresAlarm"], WATCHED["DeadLetterAlarm"], "ListFailuresQueue")


def test_long_runs_are_told_before_the_timeout(operation: Operation, capsys: pytest.CaptureFixture[str]) -> None:
    """By the metric that a function really writes."""
    alarm = ALARMS["LongRunsAlarm"]
    Observability(Settings.from_env([], {**AWS_VARIABLES, "POWERTOOLS_SERVICE_NAME": "a-stack"})).ran(7.0)
    metrics = json.loads(capsys.readouterr().out)

    (directive,) = metrics["_aws"]["CloudWatchMetrics"]

    assert directive["Namespace"] == alarm["Namespace"]
    assert directive["Dimensions"] == [[it["Name"] for it in alarm["Dimensions"]]] == [["service"]]
    assert metrics["service"] == "a-stack"
    assert alarm["Dimensions"][0]["Value"] == BUS, "the stack's name, as in POWERTOOLS_SERVICE_NAME"
    assert [it["Name"] for it in directive["Metrics"]] == [alarm["MetricName"]]
    assert (alarm["Statistic"], alarm["ComparisonOperator"]) == ("Maximum", "GreaterThanThreshold")
    assert 1000 * properties(operation.id("Function"))["Timeout"] - 5000 < alarm["Threshold"]
    assert alarm["Threshold"] < 1000 * properties(operation.id("Function"))["Timeout"] - 1000


def test_undelivered_events_of_every_rule_are_told() -> None:
    """One query over the metric that the sweep's own alarm names, with the same dimensions."""
    direct = ALARMS["SweepUndeliveredAlarm"]
    names = [it["Name"] for it in direct["Dimensions"]]
    bus = next(it["Value"]["Fn::Sub"] for it in direct["Dimensions"] if it["Name"] == "EventBusName")

    (query,) = ALARMS["UndeliveredAlarm"]["Metrics"]

    assert query["Expression"]["Fn::Sub"] == (
        f'SELECT SUM({direct["MetricName"]}) FROM SCHEMA("{direct["Namespace"]}", {", ".join(names)}) '
        f"WHERE EventBusName = '{bus}'"
    )
    assert query["Period"] == direct["Period"]
    for name in ("Threshold", "ComparisonOperator", "EvaluationPeriods"):
        assert ALARMS["UndeliveredAlarm"][name] == direct[name]


def test_unrouted_requests_are_watched() -> None:
    check(ALARMS["UnroutedRequestsAlarm"], WATCHED["DeadLetterAlarm"], "UnroutedRequestsQueue")
    check(ALARMS["UnroutedRequestsUndeliveredAlarm"], UNDELIVERED, "UnroutedRequestsRule")


def test_schedules_that_are_dropped_are_told() -> None:
    alarm = ALARMS["SchedulesDroppedAlarm"]

    assert (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]) == (
        *("AWS/Scheduler", "InvocationDroppedCount"),
        "Sum",
    )
    assert alarm["Dimensions"] == [{"Name": "ScheduleGroup", "Value": {"Ref": "ScheduleGroup"}}]
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", 0)


@pytest.mark.parametrize("alarm", sorted(ALARMS))
def test_alarm_tells_the_topic_and_rests_without_data(alarm: str) -> None:
    actions = {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}

    assert ALARMS[alarm]["AlarmActions"] == actions
    # Never "breaching": it would ring from the deployment on. The one that watches for what does not happen keeps
    # its state instead, and is tried hour by hour in test_sweep.py.
    assert ALARMS[alarm]["TreatMissingData"] == ("ignore" if alarm == "SweepMissingAlarm" else "notBreaching")
    assert ALARMS[alarm].get("ActionsEnabled", True) is True


def kind(alarm: str) -> str:
    """An alarm's logical id; of an operation's without the operation."""
    return next((alarm.removeprefix(it.id("")) for it in CHANGES if alarm.startswith(it.id(""))), alarm)


@pytest.mark.parametrize("alarm", sorted(ALARMS))
def test_alarm_says_what_it_is_about_and_where_the_runbook_tells_what_to_do(alarm: str) -> None:
    anchor = "-".join(re.findall("[A-Z][a-z]+", kind(alarm))).lower()

    what, _, link = described(alarm).rpartition(". Runbook: ")

    assert len(what) > 20
    assert link == f"https://wiki/rb#{anchor}"
    assert anchor in anchors(ROOT / template()["Parameters"]["RunbookUrl"]["Default"])
    assert len(described(alarm)) + 512 <= 1024, "the most that CloudWatch takes, with the longest RunbookUrl"
