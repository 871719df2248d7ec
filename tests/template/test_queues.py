"""The queues keep, retry and let in what the design says, and nobody else."""

from typing import Any

import pytest

from tests.support.template import CHANGES, Operation, of_type, properties, template, translated

DAY = 24 * 60 * 60
QUEUES = sorted(of_type("AWS::SQS::Queue"))


def policies(queue: str) -> dict[str, dict[str, Any]]:
    """The policies that are attached to a queue, by logical id."""
    return {name: it for name, it in of_type("AWS::SQS::QueuePolicy").items() if {"Ref": queue} in it["Queues"]}


def policy(queue: str) -> dict[str, Any]:
    """Statements of the policy that is attached to a queue, by Sid, the conditional ones too."""
    documents = [it["PolicyDocument"] for it in policies(queue).values()]
    assert documents
    assert all(it == documents[0] for it in documents), "whichever is set last, it is the same"
    plain = [it["Fn::If"][1] if "Fn::If" in it else it for it in documents[0]["Statement"]]
    return {statement["Sid"]: statement for statement in plain}


def mapping(operation: Operation) -> dict[str, Any]:
    """The one event source mapping of a function."""
    function = {"Ref": operation.id("Function")}
    mappings = of_type("AWS::Lambda::EventSourceMapping").values()
    found = [it for it in mappings if it["FunctionName"] == function]
    assert len(found) == 1
    return found[0]


def test_only_the_known_queues_are_there() -> None:
    own = [change.id(kind) for change in CHANGES for kind in ("Queue", "DeadLetterQueue")]

    others = ["UnroutedRequestsQueue", "ListFailuresQueue"]
    sweeps = [f"{name}{kind}" for name in ("Sweep", "SweepResults") for kind in ("Queue", "DeadLetterQueue")]

    assert sorted([*own, *others, *sweeps]) == QUEUES


def test_one_policy_is_of_both_queues(change: Operation) -> None:
    both = [{"Ref": change.id("Queue")}, {"Ref": change.id("DeadLetterQueue")}]

    assert of_type("AWS::SQS::QueuePolicy")[change.id("QueuePolicy")]["Queues"] == both
    assert policies(change.id("Queue")).keys() == {change.id("QueuePolicy")}


FORMER = [operation for operation in CHANGES if operation.id("DeadLetterQueuePolicy") in translated()]


@pytest.mark.parametrize("former", FORMER, ids=[operation.name for operation in FORMER])
def test_update_takes_no_policy_off_a_dead_letter_queue(former: Operation) -> None:
    """CloudFormation deletes what is left out last, after the new policy is set; what it retains it leaves alone."""
    resource = translated()[former.id("DeadLetterQueuePolicy")]

    assert resource["Properties"]["Queues"] == [{"Ref": former.id("DeadLetterQueue")}]
    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_operations_of_earlier_versions_keep_the_policy_of_their_dead_letter_queue() -> None:
    assert {operation.name for operation in FORMER} == {
        *("alibaba.elasticsearch.DeleteDataTask", "alibaba.elasticsearch.CancelTask"),
        *("huawei.oms.DeleteTask", "huawei.oms.StopTask"),
        *("otc.dms.DeleteBackgroundTask", "huawei.dms.DeleteBackgroundTask"),
    }


@pytest.mark.parametrize("queue", QUEUES)
def test_queue_is_encrypted_with_or_without_a_key(queue: str) -> None:
    nothing = {"Ref": "AWS::NoValue"}

    assert properties(queue)["KmsMasterKeyId"] == {"Fn::If": ["HasKmsKey", {"Ref": "KmsKeyArn"}, nothing]}
    assert properties(queue)["SqsManagedSseEnabled"] == {"Fn::If": ["HasKmsKey", nothing, True]}


def own_resource(queue: str) -> Any:
    """SQS wants no other queue in a policy: one that two queues share names none."""
    shared = any(len(it["Queues"]) > 1 for it in policies(queue).values())
    return "*" if shared else {"Fn::GetAtt": [queue, "Arn"]}


@pytest.mark.parametrize("queue", QUEUES)
def test_queue_refuses_plain_http(queue: str) -> None:
    deny = policy(queue)["DenyWithoutTls"]

    assert (deny["Effect"], deny["Principal"], deny["Action"]) == ("Deny", "*", "sqs:*")
    assert deny["Resource"] == own_resource(queue)
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize("queue", QUEUES)
def test_queue_lets_in_its_rules_and_schedules_only(queue: str) -> None:
    allowed = {sid: it for sid, it in policy(queue).items() if it["Effect"] == "Allow"}
    if queue == "ListFailuresQueue":
        assert not allowed
        return
    if own_resource(queue) == "*":
        assert allowed.pop("SendFromSchedules") == {
            "Sid": "SendFromSchedules",
            "Effect": "Allow",
            "Principal": {"AWS": {"Fn::GetAtt": ["SchedulerRole", "Arn"]}},
            "Action": "sqs:SendMessage",
            "Resource": "*",
        }
    assert allowed.keys() == {"SendFromRule"}
    own: Any = {"Fn::GetAtt": [queue.removesuffix("DeadLetterQueue").removesuffix("Queue") + "Rule", "Arn"]}

    rules = [own, {"Fn::GetAtt": ["UnknownEventsRule", "Arn"]}] if queue == "UnroutedRequestsQueue" else own

    assert allowed["SendFromRule"]["Principal"] == {"Service": "events.amazonaws.com"}
    assert allowed["SendFromRule"]["Action"] == "sqs:SendMessage"
    assert allowed["SendFromRule"]["Resource"] == own_resource(queue)
    assert allowed["SendFromRule"]["Condition"] == {"ArnEquals": {"aws:SourceArn": rules}}


def test_visibility_outlasts_the_function(change: Operation) -> None:
    visibility = int(properties(change.id("Queue"))["VisibilityTimeout"])

    assert visibility >= 6 * properties(change.id("Function"))["Timeout"]


def test_receives_leave_room_after_the_functions_own_last_try(change: Operation) -> None:
    redrive = properties(change.id("Queue"))["RedrivePolicy"]

    tries = int(properties(change.id("Function"))["Environment"]["Variables"]["MAX_RECEIVES"])

    assert redrive["deadLetterTargetArn"] == change.arn("DeadLetterQueue")
    assert int(redrive["maxReceiveCount"]) == tries + 3


def test_dead_letters_outlast_the_queue(change: Operation) -> None:
    queue = properties(change.id("Queue"))

    dead_letters = properties(change.id("DeadLetterQueue"))

    assert (queue["MessageRetentionPeriod"], dead_letters["MessageRetentionPeriod"]) == (4 * DAY, 14 * DAY)
    assert "RedrivePolicy" not in dead_letters
    assert properties("UnroutedRequestsQueue")["MessageRetentionPeriod"] == 14 * DAY


def test_function_answers_for_each_message_of_a_small_batch(change: Operation) -> None:
    assert mapping(change)["EventSourceArn"] == change.arn("Queue")
    assert mapping(change)["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping(change)["BatchSize"] == 2
    assert mapping(change).get("Enabled", True) is True


def test_concurrency_is_limited_and_never_below_two(change: Operation) -> None:
    assert mapping(change)["ScalingConfig"] == {"MaximumConcurrency": {"Ref": "MaximumConcurrency"}}

    parameter = template()["Parameters"]["MaximumConcurrency"]

    assert parameter["MinValue"] >= 2
    assert parameter["Default"] >= 2


@pytest.mark.parametrize("kind", ["QueueUrl", "QueueArn", "DeadLetterQueueUrl", "DeadLetterQueueArn"])
def test_queue_is_an_output(change: Operation, kind: str) -> None:
    queue = change.id(kind[:-3])

    expected = {"Ref": queue} if kind.endswith("Url") else {"Fn::GetAtt": [queue, "Arn"]}

    assert template()["Outputs"][change.id(kind)]["Value"] == expected
