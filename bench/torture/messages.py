"""Makes the messages of a run and the tasks that they name, from a seed, before anything is sent."""

import json
import random
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from bench.torture.tasks import BEGUN, RESTARTED, Moment, State, Target, Turn, expected, migration, record
from local.aws.stack import REGION
from local.emulators import KINDS
from task_cleanup.sweep.services import SERVICES

DUPLICATES = 0.2  # of all messages
INVALID = 0.1  # of those that are no duplicates
BYSTANDERS = 0.05  # tasks that no message names, per message
OVER_BUS = 0.5
EXPECTING = 0.5  # of the deletes: they say how the task was seen, which is looked at first
TURNING = 6  # one in so many of those that are no duplicates: its task changes while the message is on the way
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
    RESTARTS = "restarted, or altered, on the way"
    ENDS = "ends on the way"
    VANISHES = "vanishes on the way"


RUNNING = (Kind.FINISHES, Kind.FINISHES_LATE, Kind.RUNS_ON)
TURNS = (Kind.RESTARTS, Kind.ENDS, Kind.VANISHES)
CHANGING = frozenset({Kind.PRESENT, *RUNNING, *TURNS})
_MAY_EXPECT = frozenset({Kind.PRESENT, Kind.ABSENT, Kind.DRY_RUN, *TURNS})
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
    def has_own_instances(self) -> bool:
        """Whether each of its tasks is on an instance of its own, so that a list tells whose look it is."""
        return "instance_id" in KINDS[self.service].place and SERVICES[self.service].look.show is None


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
    while every worker dies, until SQS itself moves it. ``expects``: what the request says of its task, if anything.
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
    seeded: State | None = None
    """The task at first; None: there is none, or it is a node migration."""
    expects: State | None = None
    turn: Turn | None = None

    @property
    def has_own_instance(self) -> bool:
        """Whether its task is the only one that any message names on its instance."""
        return self.operation.has_own_instances and bool(self.target.task)


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
    others += [TURNS[number % len(TURNS)] for number in range(count // TURNING)]
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
    seeded = _seeded(operation, target, kind)
    expects = _expects(operation, target, kind, dice)
    if expects is not None:
        request["expected"] = expected(operation.service, expects)
    text = _text(kind, request, dice)
    # A plain cancel has no age, and is refused: good ones are in the shape of an event.
    in_event = operation is CANCEL and not over_bus and kind not in _AS_THEY_ARE
    turn = _turn(operation, seeded, kind, dice) if kind in TURNS and seeded is not None else None
    return Message(
        number,
        number,
        kind,
        Copy.FIRST,
        operation,
        target,
        text,
        over_bus,
        in_event,
        seeded=seeded,
        expects=expects,
        turn=turn,
    )


def _operation_for(kind: Kind, dice: random.Random) -> Operation:
    if kind in (Kind.TOO_OLD, Kind.AGELESS):
        return CANCEL
    if kind in (Kind.CHANGED, *TURNS):
        return dice.choice([operation for operation in OPERATIONS if operation is not CANCEL])
    return dice.choice([operation for operation in OPERATIONS if operation.refuses_running or kind not in RUNNING])


def _first_state(operation: Operation, target: Target, kind: Kind) -> State:
    of_service = KINDS[operation.service]
    status = of_service.running if kind in (*RUNNING, Kind.ENDS) else of_service.final[0]
    return State(status, f"task-{target.task}", BEGUN)


def _seeded(operation: Operation, target: Target, kind: Kind) -> State | None:
    """How the task is at first."""
    return None if kind is Kind.ABSENT or not target.task else _first_state(operation, target, kind)


def _expects(operation: Operation, target: Target, kind: Kind, dice: random.Random) -> State | None:
    """What the request says of its task: nothing, only its status, or all that it is told by."""
    if operation is CANCEL or not (kind is Kind.CHANGED or (kind in _MAY_EXPECT and dice.random() < EXPECTING)):
        return None
    first = _first_state(operation, target, kind)
    status = State(first.status, None, None)
    wrong = (status._replace(status=KINDS[operation.service].running), first._replace(name="another"))
    return dice.choice(wrong if kind is Kind.CHANGED else (status, first, first))


def _turn(operation: Operation, first: State, kind: Kind, dice: random.Random) -> Turn:
    """What becomes of the task on the way."""
    of_service = KINDS[operation.service]
    others: Mapping[Kind, Sequence[State | None]] = {
        Kind.RESTARTS: (
            first._replace(status=of_service.running, begun=RESTARTED),
            first._replace(begun=RESTARTED),
            first._replace(status=of_service.final[-1], name="renamed"),
        ),
        Kind.ENDS: (first._replace(status=of_service.final[0]),),
        Kind.VANISHES: (None,),
    }
    return Turn(dice.choice(list(Moment)), dice.choice(others[kind]))


def _target(operation: Operation, number: int) -> Target:
    """A task of its own for every first message, so that any change of the task is caused by this message."""
    kind = KINDS[operation.service]
    if operation is CANCEL:
        return Target(operation.service, kind.new_instance(1_000_000 + number), "")
    shared = kind.new_instance(number % INSTANCES) if "instance_id" in kind.place else ""
    instance = kind.new_instance(1_000_000 + number) if operation.has_own_instances else shared
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
            "source": "com.example.migrations",
            "account": "123456789012",
            "time": time,
            "region": REGION,
            "resources": [],
            "detail": json.loads(detail),
        }
    )


# -- the tasks ------------------------------------------------


def seed_records(messages: Sequence[Message]) -> Iterator[dict[str, Any]]:
    """The emulators' first tasks: every task that a message names, and tasks that none names.

    An instance that has only one message's task has a second one, so that its list is never empty in truth.
    """
    for message in messages:
        target = message.target
        if message.copy is not Copy.FIRST:
            continue
        if message.operation is CANCEL:
            yield from [migration(target)] if message.kind is not Kind.ABSENT else []
            continue
        yield record(target, message.seeded)
        if message.has_own_instance:
            other = target._replace(task=KINDS[target.service].new_id(2_000_000 + message.number))
            yield record(other, _first_state(message.operation, other, Kind.PRESENT))
    for number in range(round(len(messages) * BYSTANDERS) + len(OPERATIONS)):
        operation = OPERATIONS[number % len(OPERATIONS)]
        target = _target(operation, 900000 + number)
        bystands = _first_state(operation, target, Kind.PRESENT)
        yield migration(target) if operation is CANCEL else record(target, bystands)
    for service in sorted({operation.service for operation in OPERATIONS}):  # the absent tasks' instances
        for number in range(INSTANCES):
            yield record(Target(service, KINDS[service].new_instance(number), ""), None)


def ended(message: Message) -> State:
    """The state of the message's task when it runs no more."""
    return _first_state(message.operation, message.target, Kind.PRESENT)
