"""Makes the messages of a run and the tasks that they name, from a seed, before anything is sent."""

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
from local.emulators import KINDS
from task_cleanup.sweep.services import SERVICES

DUPLICATES = 0.2  # of all messages
INVALID = 0.1  # of those that are no duplicates
BYSTANDERS = 0.05  # tasks that no message names, per message
OVER_BUS = 0.5
EXPECTING = 0.5  # of the deletes of tasks that are there: they say how the task was seen, which is looked at first
DOOMED = 12  # one in so many messages that go straight to a queue is sent while every worker dies
INSTANCES = 10  # of each service that has any
SEND_DELAY = 0.02  # of the whole run: how long a duplicate comes after its first, at least


class Kind(StrEnum):
    """The kinds of messages: the state of the task, or what is wrong with the request."""

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
    CHANGED = "is not as it was seen"


CHANGING = frozenset({Kind.PRESENT, Kind.FINISHES, Kind.FINISHES_LATE, Kind.RUNS_ON})
RUNNING = (Kind.FINISHES, Kind.FINISHES_LATE, Kind.RUNS_ON)
REFUSALS: Mapping[Kind, str] = {  # the code with which an invalid message ends
    Kind.AGELESS: "SentTimeUnknown",
    Kind.UNREADABLE: "UnreadableRequest",
    Kind.REPEATED_NAME: "UnreadableRequest",
    Kind.VIOLATION: "SchemaViolation",
    Kind.UNKNOWN_ACCOUNT: "SecretNotFound",
    Kind.WRONG_OPERATION: "SchemaViolation",
    Kind.EXPIRED: "Expired",
    Kind.CHANGED: "TaskChanged",
    Kind.TOO_OLD: "Expired",
}
_INVALID = (*REFUSALS, Kind.UNKNOWN_OPERATION)
_QUEUE_ONLY = frozenset({Kind.UNREADABLE, Kind.REPEATED_NAME, Kind.WRONG_OPERATION, Kind.TOO_OLD, Kind.AGELESS})
_AS_THEY_ARE = frozenset({Kind.UNREADABLE, Kind.REPEATED_NAME, Kind.TOO_OLD, Kind.AGELESS})


class Copy(StrEnum):
    """Which of several messages with the same request it is."""

    FIRST = "first"
    REDELIVERED = "delivered twice"  # the same event or message again: the same first id
    SENT_AGAIN = "sent twice"  # the sender repeated it: another id


class Target(NamedTuple):
    """A task, or with an empty ``task`` the node migration of an instance."""

    service: str
    instance: str
    task: str


@dataclass(frozen=True)
class Operation:
    """An operation under test. ``tells_gone``: a code or a look proves that a task is gone already.

    ``refuses_running``: it refuses to delete a task that runs.
    """

    name: str
    folder: str
    tells_gone: bool = False
    refuses_running: bool = False

    @property
    def service(self) -> str:
        """The service's id."""
        return "_".join(self.name.split(".")[:2])

    @property
    def region(self) -> str:
        """A region of the service."""
        return next(iter(SERVICES[self.service].regions))

    @property
    def running(self) -> Any:  # noqa: ANN401 - a status in the provider's own form
        """A status in which a delete is refused; None: there is none."""
        return KINDS[self.service].running if self.refuses_running else None


OPERATIONS = (
    Operation("alibaba.elasticsearch.DeleteDataTask", "alibaba_elasticsearch_delete_data_task", tells_gone=True),
    Operation("alibaba.elasticsearch.CancelTask", "alibaba_elasticsearch_cancel_task"),
    Operation("huawei.oms.DeleteTask", "huawei_oms_delete_task", tells_gone=True, refuses_running=True),
    Operation("otc.dms.DeleteBackgroundTask", "otc_dms_delete_background_task", refuses_running=True),
)
CANCEL = OPERATIONS[1]


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
    """Numbers of the first messages that SQS will move: some of each kind, and always a cancel of unknown age."""
    straight = [message for message in firsts if not message.over_bus]
    ageless = [message for message in straight if message.kind is Kind.AGELESS]
    events = [message for message in straight if message.in_event]
    plain = [message for message in straight if message not in ageless and message not in events]
    return frozenset(m.number for m in (*ageless[::2], *events[:: DOOMED // 2], *plain[::DOOMED]))


def _copy_of(first: Message, dice: random.Random) -> Copy:
    if first.kind is Kind.UNKNOWN_OPERATION:
        return Copy.SENT_AGAIN  # no rule matches it, so it is in no queue that could deliver it again
    return dice.choice((Copy.REDELIVERED, Copy.SENT_AGAIN))


def _first(number: int, kind: Kind, dice: random.Random) -> Message:
    operation = _operation_for(kind, dice)
    target = _target(operation, number)
    request: dict[str, Any] = {"operation": operation.name, "region": operation.region, **_ids(operation, target)}
    over_bus = kind is Kind.UNKNOWN_OPERATION or (kind not in _QUEUE_ONLY and dice.random() < OVER_BUS)
    if (
        kind in (Kind.PRESENT, Kind.CHANGED)
        and operation is not CANCEL
        and (kind is Kind.CHANGED or dice.random() < EXPECTING)
    ):
        seen = KINDS[operation.service].running if kind is Kind.CHANGED else KINDS[operation.service].final[0]
        request["expected"] = {"provider_status": str(seen)}
    text = _text(kind, request, dice)
    # A plain cancel has no age, and is refused: good ones are in the shape of an event.
    in_event = operation is CANCEL and not over_bus and kind not in _AS_THEY_ARE
    return Message(number, number, kind, Copy.FIRST, operation, target, text, over_bus, in_event)


def _operation_for(kind: Kind, dice: random.Random) -> Operation:
    if kind in (Kind.TOO_OLD, Kind.AGELESS):
        return CANCEL
    if kind is Kind.CHANGED:
        return dice.choice([operation for operation in OPERATIONS if operation is not CANCEL])
    return dice.choice([operation for operation in OPERATIONS if operation.running or kind not in RUNNING])


def _target(operation: Operation, number: int) -> Target:
    """A task of its own for every first message, so that any change of the task is caused by this message."""
    kind = KINDS[operation.service]
    if operation is CANCEL:
        return Target(operation.service, kind.new_instance(1_000_000 + number), "")
    instance = kind.new_instance(number % INSTANCES) if "instance_id" in kind.place else ""
    return Target(operation.service, instance, kind.new_id(1_000_000 + number))


def _ids(operation: Operation, target: Target) -> dict[str, str]:
    ids = {"instance_id": target.instance, "task_id": target.task}
    wanted = ("instance_id",) if operation is CANCEL else ("instance_id", "task_id")
    return {name: ids[name] for name in wanted if ids[name]}


def _text(kind: Kind, request: Mapping[str, Any], dice: random.Random) -> str:
    """The request as JSON, made invalid as its kind says."""
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
    """The emulators' first tasks: every task that a message names, and tasks that none names."""
    for message in messages:
        if message.copy is Copy.FIRST and message.kind is not Kind.ABSENT:
            yield _record(message.target, message.operation.running if message.kind in RUNNING else None)
    for number in range(round(len(messages) * BYSTANDERS) + len(OPERATIONS)):
        yield _record(_target(OPERATIONS[number % len(OPERATIONS)], 900000 + number))
    for service in sorted({operation.service for operation in OPERATIONS}):  # the absent tasks' instances
        for number in range(INSTANCES):
            yield {"service": service, **KINDS[service].place_ids(PROJECT_ID, KINDS[service].new_instance(number))}


def finished_record(message: Message) -> dict[str, Any]:
    """The record of the message's task, no longer running."""
    return _record(message.target)


def _record(target: Target, status: object = None) -> dict[str, Any]:
    kind = KINDS[target.service]
    record = {"service": target.service, **kind.place_ids(PROJECT_ID, target.instance)}
    if not target.task:
        return {**record, "migrating": True}
    return {**record, "task_id": target.task, "status": kind.final[0] if status is None else status}


def present(tasks: Mapping[str, Sequence[Mapping[str, Any]]]) -> frozenset[Target]:
    """All tasks, and all node migrations that run, in what the emulators' ``tasks()`` returns."""
    found = set()
    for service, places in tasks.items():
        for place in places:
            instance = place.get("instance_id", "")
            found |= {Target(service, instance, task["task_id"]) for task in place["tasks"]}
            if place.get("migrating"):
                found.add(Target(service, instance, ""))
    return frozenset(found)
