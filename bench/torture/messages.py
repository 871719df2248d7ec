"""The messages of a run and the tasks that they name: made from a seed, before anything is sent."""

import json
import random
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from local.aws.cloud import PROJECT_ID
from local.aws.stack import REGION

DUPLICATES = 0.2  # of all messages
INVALID = 0.1  # of those that are no duplicates
BYSTANDERS = 0.05  # tasks that no message names, per message
OVER_BUS = 0.5
DOOMED = 12  # of as many messages that go straight to a queue, one comes while every worker dies
SEND_DELAY = 0.02  # of the whole run: how long a duplicate comes after its first, at least


class Kind(StrEnum):
    """What a message asks for, and what stands in its way."""

    PRESENT = "the task is there"
    FINISHES = "runs, ends after a refusal"
    FINISHES_LATE = "runs, ends before the redrive"
    RUNS_ON = "runs on"
    ABSENT = "there is no such task"
    DRY_RUN = "dry run"
    UNREADABLE = "not JSON"
    REPEATED_NAME = "a name is repeated"
    VIOLATION = "violates the schema"
    UNKNOWN_ACCOUNT = "account without a secret"
    WRONG_OPERATION = "another operation's queue"
    UNKNOWN_OPERATION = "unknown operation on the bus"
    EXPIRED = "not_after is over"
    TOO_OLD = "cancel, two hours old"
    AGELESS = "cancel, of unknown age"


CHANGING = frozenset({Kind.PRESENT, Kind.FINISHES, Kind.FINISHES_LATE, Kind.RUNS_ON})
RUNNING = (Kind.FINISHES, Kind.FINISHES_LATE, Kind.RUNS_ON)
REFUSALS: Mapping[Kind, str] = {  # how an invalid message ends: our code
    Kind.AGELESS: "SentTimeUnknown",
    Kind.UNREADABLE: "UnreadableRequest",
    Kind.REPEATED_NAME: "UnreadableRequest",
    Kind.VIOLATION: "SchemaViolation",
    Kind.UNKNOWN_ACCOUNT: "SecretNotFound",
    Kind.WRONG_OPERATION: "SchemaViolation",
    Kind.EXPIRED: "Expired",
    Kind.TOO_OLD: "Expired",
}
_INVALID = (*REFUSALS, Kind.UNKNOWN_OPERATION)
_QUEUE_ONLY = frozenset({Kind.UNREADABLE, Kind.REPEATED_NAME, Kind.WRONG_OPERATION, Kind.TOO_OLD, Kind.AGELESS})
_AS_THEY_ARE = frozenset({Kind.UNREADABLE, Kind.REPEATED_NAME, Kind.TOO_OLD, Kind.AGELESS})


class Copy(StrEnum):
    """Which of several messages with the same request it is."""

    FIRST = "first"
    REDELIVERED = "delivered twice"  # the same event or message again: the same first id
    SENT_AGAIN = "sent twice"  # by somebody who did not see that it was sent: another id


class Target(NamedTuple):
    """A task, or with an empty ``task`` the node migration of an instance."""

    service: str
    instance: str
    task: str


@dataclass(frozen=True)
class Operation:
    """An operation under test. ``tells_gone``: the provider has a code for a task that is gone already."""

    folder: str
    name: str
    service: str
    region: str
    tells_gone: bool = False
    running: str = ""  # a status in which a delete is refused; empty: there is none
    finished: str = ""


OPERATIONS = (
    Operation(
        "alibaba_elasticsearch_delete_data_task",
        "alibaba.elasticsearch.DeleteDataTask",
        "alibaba_elasticsearch",
        "cn-hangzhou",
    ),
    Operation(
        "alibaba_elasticsearch_cancel_task",
        "alibaba.elasticsearch.CancelTask",
        "alibaba_elasticsearch",
        "cn-hangzhou",
    ),
    Operation(
        "huawei_oms_delete_task",
        "huawei.oms.DeleteTask",
        "huawei_oms",
        "cn-north-4",
        tells_gone=True,
        running="2",
        finished="5",
    ),
    Operation(
        "otc_dms_delete_background_task",
        "otc.dms.DeleteBackgroundTask",
        "otc_dms",
        "eu-de",
        running="EXECUTING",
        finished="SUCCESS",
    ),
)
CANCEL = OPERATIONS[1]
_ALIBABA_INSTANCE = "es-cn-torture0000"
_DMS_INSTANCE = "b9f1c1de-5b1a-4f0c-9e0e-00000000{:04d}"


@dataclass(frozen=True)
class Message:
    """One message. ``text`` is an event's detail or a queue message's body; ``first`` numbers a copy's first.

    ``in_event``: it goes straight to its queue, in the shape of an event, as schedules send it. ``doomed``: it comes
    while every worker dies, until SQS itself moves it.
    """

    number: int
    first: int
    kind: Kind
    copy: Copy
    operation: Operation
    target: Target
    text: str
    over_bus: bool
    in_event: bool = False
    doomed: bool = False


def make_messages(count: int, seed: int) -> tuple[Message, ...]:
    """``count`` messages in the order of sending; a copy never comes before its first."""
    dice = random.Random(seed)
    firsts = [_first(number, kind, dice) for number, kind in enumerate(_kinds(round(count * (1 - DUPLICATES)), dice))]
    doomed = _doomed(firsts)
    firsts = [replace(message, doomed=message.number in doomed) for message in firsts]
    moments = {message.number: dice.random() for message in firsts}
    order = [(moments[message.number], message) for message in firsts]
    for number in range(len(firsts), count):
        first = dice.choice(firsts)
        moment = dice.uniform(moments[first.number] + SEND_DELAY, 1 + SEND_DELAY)
        order.append((moment, replace(first, number=number, copy=_copy_of(first, dice), doomed=False)))
    return tuple(message for _, message in sorted(order, key=lambda item: (item[0], item[1].number)))


def _kinds(count: int, dice: random.Random) -> list[Kind]:
    invalid = [_INVALID[number % len(_INVALID)] for number in range(round(count * INVALID))]
    running = [RUNNING[number % len(RUNNING)] for number in range(count // 16)]
    others = [Kind.ABSENT] * (count // 32) + [Kind.DRY_RUN] * (count // 32)
    kinds = invalid + running + others
    kinds += [Kind.PRESENT] * (count - len(kinds))
    dice.shuffle(kinds)
    return kinds


def _doomed(firsts: Sequence[Message]) -> frozenset[int]:
    """Numbers of the first messages that SQS will move: of each sort some, and always a cancel of unknown age."""
    straight = [message for message in firsts if not message.over_bus]
    ageless = [message for message in straight if message.kind is Kind.AGELESS]
    events = [message for message in straight if message.in_event]
    plain = [message for message in straight if message not in ageless and message not in events]
    return frozenset(m.number for m in (*ageless[::2], *events[:: DOOMED // 2], *plain[::DOOMED]))


def _copy_of(first: Message, dice: random.Random) -> Copy:
    if first.kind is Kind.UNKNOWN_OPERATION:
        return Copy.SENT_AGAIN  # what no rule takes has no queue for a second delivery
    return dice.choice((Copy.REDELIVERED, Copy.SENT_AGAIN))


def _first(number: int, kind: Kind, dice: random.Random) -> Message:
    operation = _operation_for(kind, dice)
    target = _target(operation, number)
    request = {"operation": operation.name, "region": operation.region, **_ids(operation, target)}
    over_bus = kind is Kind.UNKNOWN_OPERATION or (kind not in _QUEUE_ONLY and dice.random() < OVER_BUS)
    text = _text(kind, request, dice)
    # A plain cancel has no age, and is refused: good ones are in the shape of an event.
    in_event = operation is CANCEL and not over_bus and kind not in _AS_THEY_ARE
    return Message(number, number, kind, Copy.FIRST, operation, target, text, over_bus, in_event)


def _operation_for(kind: Kind, dice: random.Random) -> Operation:
    if kind in (Kind.TOO_OLD, Kind.AGELESS):
        return CANCEL
    return dice.choice([operation for operation in OPERATIONS if operation.running or kind not in RUNNING])


def _target(operation: Operation, number: int) -> Target:
    """Every first message has a task of its own, so that whatever happens to it is this message's doing."""
    if operation is CANCEL:
        return Target(operation.service, f"es-cn-cancel{number:06d}", "")
    if operation.service == "alibaba_elasticsearch":
        return Target(operation.service, f"{_ALIBABA_INSTANCE}{number % 10}", f"et_cn_torture{number:06d}")
    if operation.service == "huawei_oms":
        return Target(operation.service, "", str(200000000000000 + number))
    return Target(operation.service, _DMS_INSTANCE.format(number % 10), f"8abfa7b3{number:024x}")


def _ids(operation: Operation, target: Target) -> dict[str, str]:
    ids = {"instance_id": target.instance, "task_id": target.task}
    wanted = ("instance_id",) if operation is CANCEL else ("instance_id", "task_id")
    return {name: ids[name] for name in wanted if ids[name]}


def _text(kind: Kind, request: Mapping[str, Any], dice: random.Random) -> str:
    """The request as JSON, spoilt as its kind says."""
    moment = datetime.now(UTC)
    past = (moment - timedelta(hours=2)).isoformat()
    changes: Mapping[Kind, Mapping[str, Any]] = {
        Kind.DRY_RUN: {"dry_run": True},
        Kind.VIOLATION: dice.choice(({"region": "nowhere-1"}, {"dry_run": "yes"}, {"unknown_field": 1})),
        Kind.UNKNOWN_ACCOUNT: {"account": "nobody"},
        Kind.WRONG_OPERATION: {"operation": "huawei.oms.StopTask"},
        Kind.UNKNOWN_OPERATION: {"operation": "huawei.oms.DeleteTsk"},
        Kind.EXPIRED: {"not_after": past},
    }
    text = json.dumps({**request, **changes.get(kind, {})})
    if kind is Kind.UNREADABLE:
        return text[:-1]
    if kind is Kind.REPEATED_NAME:
        return text[:-1] + ', "region": "eu-de"}'
    if kind is Kind.TOO_OLD:
        return envelope(str(uuid.UUID(int=dice.getrandbits(128), version=4)), text, past)
    return text


def envelope(event_id: str, detail: str, time: str) -> str:
    """A request's event as EventBridge puts it into a queue (EventBridge user guide, "Events")."""
    return json.dumps(
        {
            "version": "0",
            "id": event_id,
            "detail-type": "Task Cleanup Requested",
            "source": "task-cleanup",
            "account": "123456789012",
            "time": time,
            "region": REGION,
            "resources": [],
            "detail": json.loads(detail),
        }
    )


# -- the tasks ------------------------------------------------


def seed_records(messages: Sequence[Message]) -> Iterator[dict[str, Any]]:
    """What the emulators start with: every named task, whether it may be touched or not, and bystanders."""
    for message in messages:
        if message.copy is Copy.FIRST and message.kind is not Kind.ABSENT:
            status = message.operation.running if message.kind in RUNNING else message.operation.finished
            yield _record(message.target, status)
    for number in range(round(len(messages) * BYSTANDERS) + len(OPERATIONS)):
        operation = OPERATIONS[number % len(OPERATIONS)]
        yield _record(_target(operation, 900000 + number), operation.finished)
    for number in range(10):  # the absent tasks' instances
        yield {"service": "alibaba_elasticsearch", "instance_id": f"{_ALIBABA_INSTANCE}{number}"}
        yield {"service": "otc_dms", "project_id": PROJECT_ID, "instance_id": _DMS_INSTANCE.format(number)}


def finished_record(message: Message) -> dict[str, Any]:
    """The message's task, no longer running."""
    return _record(message.target, message.operation.finished)


def _record(target: Target, status: str) -> dict[str, Any]:
    record: dict[str, Any] = {"service": target.service}
    if target.instance:
        record["instance_id"] = target.instance
    if target.service != "alibaba_elasticsearch":
        record["project_id"] = PROJECT_ID
    if not target.task:
        return {**record, "migrating": True}
    record["task_id"] = target.task
    if status:
        record["status"] = int(status) if target.service == "huawei_oms" else status
    return record


def present(tasks: Mapping[str, Sequence[Mapping[str, Any]]]) -> frozenset[Target]:
    """Every task that is there, and every node migration that runs, of the emulators' ``tasks()``."""
    found = {Target("huawei_oms", "", str(task["task_id"])) for task in tasks["huawei_oms"]}
    for service, member in (("alibaba_elasticsearch", "data_tasks"), ("otc_dms", "tasks")):
        for instance in tasks[service]:
            name = instance["instance_id"]
            found |= {Target(service, name, task["task_id"]) for task in instance[member]}
            if instance.get("migrating"):
                found.add(Target(service, name, ""))
    return frozenset(found)
