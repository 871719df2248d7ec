"""Schedules reach queues only, by a role that can do nothing else; the example is off and a dry run."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.support.functions import sample_event
from tests.support.template import (
    CHANGES,
    Deployment,
    listed,
    of_type,
    properties,
    statements,
    template,
    translated,
    walk,
)

OWN = {"SweepSchedule", "SweepHeartbeat"}  # in test_sweep.py


def test_role_sends_to_the_sweep_and_to_nothing_else_by_its_own_policy() -> None:
    found = statements("SchedulerRole")
    assert found.keys() == {"SendRequests", "UseKeyOfQueues"}
    assert listed(found["SendRequests"]["Action"]) == ["sqs:SendMessage"]

    own = [{"Fn::GetAtt": [queue, "Arn"]} for queue in ("SweepQueue", "SweepDeadLetterQueue")]

    assert found["SendRequests"]["Resource"] == own, "the operations' queues let it in themselves: test_queues.py"
    assert found["UseKeyOfQueues"]["Resource"] == {"Ref": "KmsKeyArn"}


def test_role_serves_this_group_only() -> None:
    (trust,) = properties("SchedulerRole")["AssumeRolePolicyDocument"]["Statement"]

    assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert trust["Condition"]["StringEquals"]["aws:SourceArn"] == {"Fn::GetAtt": ["ScheduleGroup", "Arn"]}
    assert trust["Condition"]["StringEquals"]["aws:SourceAccount"] == {"Ref": "AWS::AccountId"}


def test_every_schedule_of_an_operation_is_off_and_sends_a_valid_dry_run_to_a_queue() -> None:
    schedules = of_type("AWS::Scheduler::Schedule")
    assert schedules.keys() > OWN
    for name, schedule in ((name, it) for name, it in schedules.items() if name not in OWN):
        assert schedule["State"] == "DISABLED", name
        assert schedule["GroupName"] == {"Ref": "ScheduleGroup"}
        target = schedule["Target"]
        (operation,) = [it for it in CHANGES if target["Arn"] == it.arn("Queue")]
        assert target["RoleArn"] == {"Fn::GetAtt": ["SchedulerRole", "Arn"]}
        assert target["RetryPolicy"]["MaximumRetryAttempts"] > 0
        assert target["DeadLetterConfig"]["Arn"] == operation.arn("DeadLetterQueue")
        sent = json.loads(target["Input"])
        assert sent.keys() == sample_event(operation.folder, "schedule").keys()
        assert sent["id"] == "<aws.scheduler.schedule-arn>@<aws.scheduler.scheduled-time>"
        assert sent["time"] == "<aws.scheduler.scheduled-time>"
        assert sent["resources"] == ["<aws.scheduler.schedule-arn>"]
        assert (sent["source"], sent["detail-type"]) == ("aws.scheduler", "Task Cleanup Requested")
        request = sent["detail"]
        Draft202012Validator(operation.schema).validate(request)
        assert request["operation"] == operation.name
        assert request["dry_run"] is True


def test_nothing_is_scheduled_at_a_function() -> None:
    events = [
        event["Type"]
        for resource in template()["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
        for event in resource["Properties"]["Events"].values()
    ]

    assert set(events) == {"HttpApi", "SQS"}
    assert not [rule for rule in of_type("AWS::Events::Rule").values() if "ScheduleExpression" in rule]


def test_group_and_role_are_outputs() -> None:
    outputs = template()["Outputs"]

    assert outputs["ScheduleGroupName"]["Value"] == {"Ref": "ScheduleGroup"}
    assert outputs["SchedulerRoleArn"]["Value"] == {"Fn::GetAtt": ["SchedulerRole", "Arn"]}


# -- a region without EventBridge Scheduler ------------------------------------------------

POLICY = '{"name": "x"}'
STATES = {
    "with schedules": {},
    "with a nightly sweep": {"SweepPolicy": POLICY},
    "without schedules": {"Schedules": "false"},
}


def names_in(node: Any) -> Iterator[str]:
    """Whatever the node refers to."""
    for part in walk(node):
        if isinstance(part, dict):
            if "Ref" in part:
                yield part["Ref"]
            if "Fn::GetAtt" in part:
                yield listed(part["Fn::GetAtt"])[0].partition(".")[0]
            for text in [it for it in walk(part.get("Fn::Sub")) if isinstance(it, str)]:
                yield from (name.partition(".")[0] for name in re.findall(r"\$\{([\w:.]+)\}", text))


@pytest.mark.parametrize("state", STATES)
def test_nothing_refers_to_what_is_not_there(state: str) -> None:
    deployment = Deployment(parameters=STATES[state])

    gone = translated().keys() - deployment.resources.keys()

    assert not gone & set(names_in([*deployment.resources.values(), *deployment.outputs.values()]))
    assert not gone & {
        it for resource in deployment.resources.values() for it in listed(resource.get("DependsOn", []))
    }


def test_without_schedules_nothing_needs_the_scheduler() -> None:
    deployment = Deployment(parameters={"Schedules": "false"})

    assert not [it for it in deployment.resources.values() if "scheduler" in json.dumps(it).lower()]
    assert not {"ScheduleGroupName", "SchedulerRoleArn"} & deployment.outputs.keys()


def test_only_what_needs_the_scheduler_is_left_out() -> None:
    nightly = Deployment(parameters={"SweepPolicy": POLICY}).resources
    left_out = nightly.keys() - Deployment(parameters={"Schedules": "false"}).resources.keys()

    assert {translated()[name].get("Condition") for name in left_out} == {"HasSchedules", "SweepsEveryNight"}
    assert all(
        "Schedule" in name or name in {"SweepHeartbeatRole", "SweepHeartbeat", "SweepMissingAlarm"}
        for name in left_out
    )


@pytest.mark.parametrize("state", STATES)
def test_what_can_be_carried_out_is_not_refused(state: str) -> None:
    assert Deployment(parameters=STATES[state]).refused() == []


def test_a_nightly_sweep_without_schedules_is_refused_and_not_forgotten() -> None:
    (reason,) = Deployment(parameters={"Schedules": "false", "SweepPolicy": POLICY}).refused()

    assert "Schedules=false" in reason
