"""Schedules reach queues only, by a role that can do nothing else; the example is off and a dry run."""

import json

from jsonschema import Draft202012Validator

from tests.conftest import sample_event
from tests.template.support import OPERATIONS, listed, of_type, properties, statements, template


def test_role_sends_to_the_queues_of_operations_and_sweep_and_nowhere_else() -> None:
    found = statements("SchedulerRole")
    assert found.keys() == {"SendRequests", "KeepUndelivered", "UseKeyOfQueues"}
    for sid, kind in {"SendRequests": "Queue", "KeepUndelivered": "DeadLetterQueue"}.items():
        assert listed(found[sid]["Action"]) == ["sqs:SendMessage"]
        expected = [*(operation.arn(kind) for operation in OPERATIONS), {"Fn::GetAtt": [f"Sweep{kind}", "Arn"]}]
        assert sorted(map(str, listed(found[sid]["Resource"]))) == sorted(map(str, expected))
    assert found["UseKeyOfQueues"]["Resource"] == {"Ref": "KmsKeyArn"}


def test_role_serves_this_group_only() -> None:
    (trust,) = properties("SchedulerRole")["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert trust["Condition"]["StringEquals"]["aws:SourceArn"] == {"Fn::GetAtt": ["ScheduleGroup", "Arn"]}
    assert trust["Condition"]["StringEquals"]["aws:SourceAccount"] == {"Ref": "AWS::AccountId"}


def test_every_schedule_of_an_operation_is_off_and_sends_a_valid_dry_run_to_a_queue() -> None:
    schedules = of_type("AWS::Scheduler::Schedule")
    del schedules["SweepSchedule"]  # in test_sweep.py
    assert schedules
    for name, schedule in schedules.items():
        assert schedule["State"] == "DISABLED", name
        assert schedule["GroupName"] == {"Ref": "ScheduleGroup"}
        target = schedule["Target"]
        (operation,) = [it for it in OPERATIONS if target["Arn"] == it.arn("Queue")]
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
