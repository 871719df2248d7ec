"""Whatever goes wrong without anybody looking has an alarm on the right resource."""

from typing import Any, NamedTuple

import pytest

from tests.template.support import BUS, Operation, of_type, properties, template

ALARMS = of_type("AWS::CloudWatch::Alarm")


class Watch(NamedTuple):
    """A metric of one kind of resource, and the most that is still well."""

    namespace: str
    metric: str
    statistic: str
    watched: str
    most: int


WATCHED = {
    "DeadLetterAlarm": Watch("AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", "DeadLetterQueue", 0),
    "QueueAgeAlarm": Watch("AWS/SQS", "ApproximateAgeOfOldestMessage", "Maximum", "Queue", 3600),
    "UndeliveredAlarm": Watch("AWS/Events", "InvocationsFailedToBeSentToDlq", "Sum", "Rule", 0),
    "ErrorsAlarm": Watch("AWS/Lambda", "Errors", "Sum", "Function", 0),
    "ThrottlesAlarm": Watch("AWS/Lambda", "Throttles", "Sum", "Function", 0),
    "DurationAlarm": Watch("AWS/Lambda", "Duration", "Maximum", "Function", 25_000),
}


def dimensions(resource: str) -> list[dict[str, Any]]:
    if resource.endswith("Function"):
        return [{"Name": "FunctionName", "Value": {"Ref": resource}}]
    if resource.endswith("Queue"):
        return [{"Name": "QueueName", "Value": {"Fn::GetAtt": [resource, "QueueName"]}}]
    rule = properties(resource)["Name"]
    return [{"Name": "EventBusName", "Value": BUS}, {"Name": "RuleName", "Value": rule}]


def check(alarm: dict[str, Any], watch: Watch, resource: str) -> None:
    assert (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]) == watch[:3]
    assert alarm["Dimensions"] == dimensions(resource)
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", watch.most)


@pytest.mark.parametrize("kind", WATCHED)
def test_operation_is_watched(operation: Operation, kind: str) -> None:
    alarm = ALARMS[operation.id(kind)]
    check(alarm, WATCHED[kind], operation.id(WATCHED[kind].watched))
    assert operation.name in alarm["AlarmDescription"]


def test_duration_alarm_comes_before_the_timeout(operation: Operation) -> None:
    assert ALARMS[operation.id("DurationAlarm")]["Threshold"] < 1000 * properties(operation.id("Function"))["Timeout"]


def test_unrouted_requests_are_watched() -> None:
    check(ALARMS["UnroutedRequestsAlarm"], WATCHED["DeadLetterAlarm"], "UnroutedRequestsQueue")
    check(ALARMS["UnroutedRequestsUndeliveredAlarm"], WATCHED["UndeliveredAlarm"], "UnroutedRequestsRule")


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
    assert len(template()["Resources"][alarm]["Properties"]["AlarmDescription"]) > 20
