"""The queues keep, retry and let in what the design says, and nobody else."""

from typing import Any

import pytest

from tests.template.support import OPERATIONS, Operation, of_type, properties, template

DAY = 24 * 60 * 60
QUEUES = sorted(of_type("AWS::SQS::Queue"))


def policy(queue: str) -> dict[str, Any]:
    """Statements of the one policy that is attached to a queue, by Sid."""
    found = [it for it in of_type("AWS::SQS::QueuePolicy").values() if {"Ref": queue} in it["Queues"]]
    assert len(found) == 1, f"{queue} has {len(found)} policies"
    assert found[0]["Queues"] == [{"Ref": queue}]
    return {statement["Sid"]: statement for statement in found[0]["PolicyDocument"]["Statement"]}


def mapping(operation: Operation) -> dict[str, Any]:
    """The one event source mapping of a function."""
    function = {"Ref": operation.id("Function")}
    mappings = of_type("AWS::Lambda::EventSourceMapping").values()
    found = [it for it in mappings if it["FunctionName"] == function]
    assert len(found) == 1
    return found[0]


def test_only_the_known_queues_are_there() -> None:
    own = [operation.id(kind) for operation in OPERATIONS for kind in ("Queue", "DeadLetterQueue")]
    assert sorted([*own, "SweepQueue", "SweepDeadLetterQueue", "UnroutedRequestsQueue"]) == QUEUES


@pytest.mark.parametrize("queue", QUEUES)
def test_queue_is_encrypted_with_or_without_a_key(queue: str) -> None:
    nothing = {"Ref": "AWS::NoValue"}
    assert properties(queue)["KmsMasterKeyId"] == {"Fn::If": ["HasKmsKey", {"Ref": "KmsKeyArn"}, nothing]}
    assert properties(queue)["SqsManagedSseEnabled"] == {"Fn::If": ["HasKmsKey", nothing, True]}


@pytest.mark.parametrize("queue", QUEUES)
def test_queue_refuses_plain_http(queue: str) -> None:
    deny = policy(queue)["DenyWithoutTls"]
    assert (deny["Effect"], deny["Principal"], deny["Action"]) == ("Deny", "*", "sqs:*")
    assert deny["Resource"] == {"Fn::GetAtt": [queue, "Arn"]}
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize("queue", QUEUES)
def test_queue_lets_in_its_rules_only(queue: str) -> None:
    allowed = {sid: it for sid, it in policy(queue).items() if it["Effect"] == "Allow"}
    assert allowed.keys() == {"SendFromRule"}
    own: Any = {"Fn::GetAtt": [queue.removesuffix("DeadLetterQueue").removesuffix("Queue") + "Rule", "Arn"]}
    rules = [own, {"Fn::GetAtt": ["UnknownEventsRule", "Arn"]}] if queue == "UnroutedRequestsQueue" else own
    assert allowed["SendFromRule"]["Principal"] == {"Service": "events.amazonaws.com"}
    assert allowed["SendFromRule"]["Action"] == "sqs:SendMessage"
    assert allowed["SendFromRule"]["Resource"] == {"Fn::GetAtt": [queue, "Arn"]}
    assert allowed["SendFromRule"]["Condition"] == {"ArnEquals": {"aws:SourceArn": rules}}


def test_visibility_outlasts_the_function(operation: Operation) -> None:
    visibility = properties(operation.id("Queue"))["VisibilityTimeout"]
    assert visibility == 180
    assert visibility >= 6 * properties(operation.id("Function"))["Timeout"]


def test_receives_leave_room_after_the_functions_own_last_try(operation: Operation) -> None:
    redrive = properties(operation.id("Queue"))["RedrivePolicy"]
    tries = int(properties(operation.id("Function"))["Environment"]["Variables"]["MAX_RECEIVES"])
    assert redrive["deadLetterTargetArn"] == operation.arn("DeadLetterQueue")
    assert (tries, redrive["maxReceiveCount"]) == (5, 8)


def test_dead_letters_outlast_the_queue(operation: Operation) -> None:
    queue = properties(operation.id("Queue"))
    dead_letters = properties(operation.id("DeadLetterQueue"))
    assert (queue["MessageRetentionPeriod"], dead_letters["MessageRetentionPeriod"]) == (4 * DAY, 14 * DAY)
    assert "RedrivePolicy" not in dead_letters
    assert properties("UnroutedRequestsQueue")["MessageRetentionPeriod"] == 14 * DAY


def test_function_answers_for_each_message_of_a_small_batch(operation: Operation) -> None:
    assert mapping(operation)["EventSourceArn"] == operation.arn("Queue")
    assert mapping(operation)["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping(operation)["BatchSize"] == 5
    assert mapping(operation).get("Enabled", True) is True


def test_concurrency_is_limited_and_never_below_two(operation: Operation) -> None:
    assert mapping(operation)["ScalingConfig"] == {"MaximumConcurrency": {"Ref": "MaximumConcurrency"}}
    parameter = template()["Parameters"]["MaximumConcurrency"]
    assert parameter["MinValue"] >= 2
    assert parameter["Default"] >= 2


@pytest.mark.parametrize("kind", ["QueueUrl", "QueueArn", "DeadLetterQueueUrl", "DeadLetterQueueArn"])
def test_queue_is_an_output(operation: Operation, kind: str) -> None:
    queue = operation.id(kind[:-3])
    expected = {"Ref": queue} if kind.endswith("Url") else {"Fn::GetAtt": [queue, "Arn"]}
    assert template()["Outputs"][operation.id(kind)]["Value"] == expected
