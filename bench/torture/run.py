"""Makes a run: sends the messages while everything fails, waits for the end, redrives, collects the evidence."""

import json
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from bench.torture.actor import Actor
from bench.torture.books import target_of_entry
from bench.torture.crew import Crew
from bench.torture.evidence import DeadLetter, Ending, Evidence, Receive, Result, Sent
from bench.torture.messages import (
    CANCEL,
    CHANGING,
    OPERATIONS,
    RUNNING,
    Copy,
    Kind,
    Message,
    ended,
    envelope,
    make_messages,
    seed_records,
)
from bench.torture.tasks import Target, migration, present
from bench.torture.trouble import AWAY, DELETED_SEEN, Proxies, spoil, switches
from bench.torture.worker import first_sent_of, origin_of
from local.aws.cloud import LocalCloud
from local.aws.stack import QueueMapping
from local.emulators.journal import Entry

WAVE = 40  # messages that are sent before the queues are looked at again
MOST_WAITING = 160  # in all queues: local SQS takes longer the more there are
LEAST_WAITING = 40  # after the last message is sent, workers are killed only while more than these wait
TICK = 0.4  # seconds
BATCH = 10  # the most that SQS and EventBridge take in one call
# The functions' log lines are evidence; their metrics are not needed.
VARIABLES = {"POWERTOOLS_LOG_LEVEL": "INFO", "POWERTOOLS_METRICS_DISABLED": "true"}


@dataclass(frozen=True)
class Conditions:
    """How a run is made. Times are seconds.

    ``visibility`` takes the place of the template's 180 seconds (nothing else of the template is changed): what was
    not finished comes again sooner. A batch that takes longer is worked on by two workers at once, which SQS does
    not rule out either.
    """

    messages: int = 5000
    seed: int = 1
    visibility: int = 12
    kill_every: float = 4.0
    away: float = 4.0
    time_limit: float = 1200.0


@dataclass
class Report:
    """The evidence of a run, its duration, and the AWS calls that failed."""

    evidence: Evidence
    seconds: float
    refused: Counter[str] = field(default_factory=Counter)


Say = Callable[[str], None]
Item = TypeVar("Item")


def run(conditions: Conditions, say: Say) -> Report:
    """Make one run; it ends a little after the time limit at the latest."""
    began = time.monotonic()
    messages = make_messages(conditions.messages, conditions.seed)
    with (
        TemporaryDirectory() as folder,
        LocalCloud(conditions.seed, VARIABLES) as cloud,
        Proxies(conditions.seed) as proxies,
    ):
        cloud.aws_url = proxies.plain_url
        cloud.sqs = cloud.client("sqs")
        for mapping in cloud.stack.mappings:
            cloud.sqs.set_queue_attributes(
                QueueUrl=mapping.queue_url, Attributes={"VisibilityTimeout": str(conditions.visibility)}
            )
        for record in seed_records(messages):
            cloud.emulators.seed(record)
        cloud.emulators.switches.update(**switches(conditions.seed))
        crew = Crew(cloud, OPERATIONS, proxies.plain_url, proxies.unreliable_url, Path(folder))
        torture = _Torture(
            conditions,
            messages,
            cloud,
            proxies,
            crew,
            began + conditions.time_limit,
            lambda text: say(f"{time.monotonic() - began:4.0f} s  {text}"),
        )
        torture.doom()
        crew.start()
        try:
            evidence = torture.run()
        finally:
            crew.stop(0.0)
        return Report(evidence, time.monotonic() - began, proxies.refused)


@dataclass
class _Torture:
    """One run: its processes, and what has been sent and seen so far."""

    conditions: Conditions
    messages: Sequence[Message]
    cloud: LocalCloud
    proxies: Proxies
    crew: Crew
    ends_at: float
    say: Say
    sent: list[Sent] = field(default_factory=list)
    published: list[Result] = field(default_factory=list)
    read: int = 0  # entries of the journal that were looked at
    doomed: list[Receive] = field(default_factory=list)  # receives of the messages whose workers always die

    def __post_init__(self) -> None:
        self._actor = Actor(self.cloud.emulators, self.messages)
        self._dice = random.Random(self.conditions.seed)
        self._mappings = {item.folder: self.cloud.stack.mapping_of(item.folder) for item in OPERATIONS}
        self._firsts: dict[int, Sent] = {}  # by the message's number
        self._away = list(AWAY)
        self._kill_at = time.monotonic() + self.conditions.kill_every
        again = {message.first for message in self.messages if message.copy is Copy.SENT_AGAIN}
        self._finishing = {m.target: m for m in self.messages if m.kind is Kind.FINISHES and m.copy is Copy.FIRST}
        self._starting_anew = {
            message.target
            for message in self.messages
            if message.operation is CANCEL and message.kind in CHANGING and message.first not in again
        }
        self._results_url = self.cloud.sqs.get_queue_url(QueueName="watch-results")["QueueUrl"]
        self._events = self.cloud.client("events")

    def doom(self) -> None:
        """Before there are other workers: each receive of some messages kills its worker, until SQS moves them.

        That is a broken deployment, as seen by SQS: nobody answers, eight times, and then the message is moved as it
        is, without a result and without an attribute that would tell its first id or its time.
        """
        if self._is_over():
            return
        self._send_to_queues([message for message in self.messages if message.doomed])
        for mapping in self._mappings.values():
            while messages := self._received_in_vain(mapping.queue_url):
                self.doomed += messages

    def _received_in_vain(self, queue_url: str) -> list[Receive]:
        received = self.cloud.sqs.receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=BATCH, AttributeNames=["All"], VisibilityTimeout=0
        )
        return [
            Receive(
                message_id=message["MessageId"],
                origin=_origin(message["MessageId"], {"MessageBody": message["Body"]}),
                number=int(message["Attributes"]["ApproximateReceiveCount"]),
                access_key_id="",  # this worker signed nothing
                ending=Ending.KILLED,
                result=None,
            )
            for message in received.get("Messages", [])
        ]

    def run(self) -> Evidence:
        before = present(self.cloud.emulators.tasks())
        spoil(self.cloud.emulators)
        self._send_all()
        self.say(f"{len(self.sent)} of {len(self.messages)} messages sent; waiting for the last of them")
        self._wait_until_empty(kill=True)
        self._end_faults()
        dead_letters, redriven = self._redrive()
        self.say(f"faults off; {len(redriven)} messages redriven from the dead-letter queues")
        self._wait_until_empty(kill=False)
        deaths = self.crew.deaths()
        self.crew.stop()
        self._collect_results()
        receives, crashes = self.crew.receives()
        return Evidence(
            sent=tuple(self.sent),
            unsent=len(self.messages) - len(self.sent),
            receives=(*self.doomed, *receives),
            crashes=(*crashes, *deaths),
            published=tuple(self.published),
            dead_letters=dead_letters,
            redriven=redriven,
            left=tuple(dead for _, _, dead in self._take_dead_letters()),
            unrouted=tuple(self._take_unrouted()),
            waiting=sum(self._waiting()),
            journal=tuple(self.cloud.emulators.journal.entries()),
            before=before,
            after=present(self.cloud.emulators.tasks()),
            changes=tuple(self._actor.changes),
            deleted_seen=DELETED_SEEN,
            kills=self.crew.kills,
        )

    # -- the phases ------------------------------------------------

    def _send_all(self) -> None:
        messages = [message for message in self.messages if not message.doomed]
        for start in range(0, len(messages), WAVE):
            self._wait_for_room(kill=True)
            if self._is_over():
                return
            self._send(messages[start : start + WAVE])
            self._tick(kill=True)
            self._take_providers_away(start / len(messages))

    def _wait_for_room(self, *, kill: bool) -> None:
        """Wait until no more than ``MOST_WAITING`` messages are in the queues."""
        while sum(self._waiting()) > MOST_WAITING and not self._is_over():
            self._tick(kill=kill)
            time.sleep(TICK)

    def _take_providers_away(self, progress: float) -> None:
        """Take down each provider whose time in ``AWAY`` has come."""
        while self._away and self._away[0][0] <= progress:
            _, service, variant = self._away.pop(0)
            self.cloud.emulators.faults.away(service, self.conditions.away, variant)
            self.say(f"{len(self.sent)} messages sent, {self.crew.kills} workers killed; {service} is away")

    def _wait_until_empty(self, *, kill: bool) -> None:
        while (waiting := sum(self._waiting())) and not self._is_over():
            # With few messages left, each would meet a kill at every receive, and SQS would move it.
            self._tick(kill=kill and waiting > LEAST_WAITING)
            time.sleep(TICK)

    def _end_faults(self) -> None:
        """Remove all faults and delays, and finish the running tasks, except those that keep running."""
        self.cloud.emulators.faults.clear()
        self.cloud.emulators.switches.update(deleted_seen_s=0)
        self.proxies.faults = {}
        for message in self.messages:
            is_late = message.kind in RUNNING and message.kind is not Kind.RUNS_ON
            if is_late and message.copy is Copy.FIRST:
                self._actor.put(message.target, ended(message))

    def _redrive(self) -> tuple[tuple[DeadLetter, ...], dict[str, str]]:
        """Send the dead-letter queues' messages back as ``StartMessageMoveTask`` does; returns also new id -> origin.

        Body and message attributes stay; id, time and receive count are those of a new message. What SQS had moved
        has no attributes, so a plain body of that kind comes back as a message without a first id.
        """
        dead_letters: list[DeadLetter] = []
        redriven: dict[str, str] = {}
        taken = list(self._take_dead_letters())
        for mapping in self._mappings.values():
            own = [(entry, dead) for owner, entry, dead in taken if owner is mapping]
            for batch in _chunks(own, BATCH):
                self._wait_for_room(kill=False)
                ids = self._send_batch(mapping.queue_url, [entry for entry, _ in batch])
                redriven.update(zip(ids, (dead.origin for _, dead in batch), strict=True))
                dead_letters += [dead for _, dead in batch]
        return tuple(dead_letters), redriven

    # -- what happens all the time ------------------------------------------------

    def _is_over(self) -> bool:
        return time.monotonic() > self.ends_at or bool(self.crew.deaths())

    def _tick(self, *, kill: bool) -> None:
        self._collect_results()
        self._follow_journal()
        if kill and time.monotonic() >= self._kill_at:
            self.crew.kill_one(self._dice)
            self._kill_at = time.monotonic() + self.conditions.kill_every

    def _collect_results(self) -> None:
        for message in self._take(self._results_url):
            self.published.append(json.loads(message["Body"])["detail"])

    def _follow_journal(self) -> None:
        """Finish a task after its first refusal; start a cancelled migration again, which must then keep running."""
        journal = self.cloud.emulators.journal
        for index in range(self.read, len(journal)):
            entry = journal[index]
            target = target_of_entry(entry)
            if entry.effect == "cancelled" and target in self._starting_anew:
                self._starting_anew.remove(target)
                self.cloud.emulators.seed(migration(target))
            self._finish_refused(entry, target)
            self.read = index + 1

    def _finish_refused(self, entry: Entry, target: Target) -> None:
        if entry.code in {"OMS.0063", "DMS.00400017"} and target in self._finishing:
            self._actor.put(target, ended(self._finishing.pop(target)))

    def _waiting(self) -> Iterator[int]:
        """Messages in each queue, received or not; all queues, also those that get no messages."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        for mapping in self.cloud.stack.mappings:
            counts = self.cloud.sqs.get_queue_attributes(QueueUrl=mapping.queue_url, AttributeNames=names)
            yield sum(int(count) for count in counts["Attributes"].values())

    # -- sending ------------------------------------------------

    def _send(self, wave: Sequence[Message]) -> None:
        """Send some messages: second deliveries last, since each repeats the id of one of the others."""
        fresh = [message for message in wave if message.copy is not Copy.REDELIVERED]
        for batch in _chunks([message for message in fresh if message.over_bus], BATCH):
            self._put_events(batch)
        self._send_to_queues([message for message in fresh if not message.over_bus])
        self._send_to_queues([message for message in wave if message.copy is Copy.REDELIVERED])

    def _put_events(self, batch: Sequence[Message]) -> None:
        entries = [
            {
                "EventBusName": self.cloud.stack.bus,
                "Source": "com.example.migrations",
                "DetailType": "Task Cleanup Requested",
                "Detail": message.text,
            }
            for message in batch
        ]
        reply = self._events.put_events(Entries=entries)
        for message, entry in zip(batch, reply["Entries"], strict=True):
            self._accepted(Sent(message, entry["EventId"], None, datetime.now(UTC).isoformat()))

    def _send_to_queues(self, messages: Sequence[Message]) -> None:
        for folder, mapping in self._mappings.items():
            own = [message for message in messages if message.operation.folder == folder]
            for batch in _chunks(own, BATCH):
                entries = [self._entry(message) for message in batch]
                for message, entry, message_id in zip(
                    batch, entries, self._send_batch(mapping.queue_url, entries), strict=True
                ):
                    sent_at = first_sent_of(entry["MessageBody"])
                    self._accepted(Sent(message, _origin(message_id, entry), message_id, sent_at))

    def _entry(self, message: Message) -> dict[str, Any]:
        """A second delivery has the first one's id: as an event, with its time, or as the attribute of a redrive."""
        again = message.copy is Copy.REDELIVERED
        if message.over_bus or message.in_event:
            first = self._firsts[message.first] if again else None
            origin = first.origin if first else str(uuid.uuid4())
            sent_at = first.first_sent if first and first.first_sent else datetime.now(UTC).isoformat()
            return {"MessageBody": envelope(origin, message.text, sent_at)}
        if not again:
            return {"MessageBody": message.text}
        origin = self._firsts[message.first].origin
        return {"MessageBody": message.text, "MessageAttributes": _attributes({"origin_id": origin})}

    def _send_batch(self, queue_url: str, entries: Sequence[Mapping[str, Any]]) -> list[str]:
        numbered = [{"Id": str(number), **entry} for number, entry in enumerate(entries)]
        reply = self.cloud.sqs.send_message_batch(QueueUrl=queue_url, Entries=numbered)
        if reply.get("Failed"):
            raise RuntimeError("local SQS refused a message")
        ids = {item["Id"]: item["MessageId"] for item in reply["Successful"]}
        return [ids[str(number)] for number in range(len(entries))]

    def _accepted(self, sent: Sent) -> None:
        self.sent.append(sent)
        if sent.message.copy is Copy.FIRST:
            self._firsts[sent.message.number] = sent
            self._actor.sent(sent.message)

    # -- taking ------------------------------------------------

    def _take(self, queue_url: str) -> Iterator[dict[str, Any]]:
        """Receive and delete everything that is visible."""
        while messages := self.cloud.sqs.receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=BATCH, MessageAttributeNames=["All"]
        ).get("Messages"):
            handles = [{"Id": str(n), "ReceiptHandle": item["ReceiptHandle"]} for n, item in enumerate(messages)]
            self.cloud.sqs.delete_message_batch(QueueUrl=queue_url, Entries=handles)
            yield from messages

    def _take_dead_letters(self) -> Iterator[tuple[QueueMapping, dict[str, Any], DeadLetter]]:
        """The messages in the dead-letter queues: each as an entry to send again, and as evidence."""
        for folder, mapping in self._mappings.items():
            function = next(item for item in self.cloud.stack.functions.values() if item.folder == folder)
            for message in self._take(function.environment["DEAD_LETTER_QUEUE_URL"]):
                given = message.get("MessageAttributes", {})
                attributes = {name: item["StringValue"] for name, item in given.items()}
                entry = {"MessageBody": message["Body"], "MessageAttributes": _attributes(attributes)}
                result = json.loads(attributes["result"]) if "result" in attributes else None
                yield mapping, entry, DeadLetter(_origin(message["MessageId"], entry), message["MessageId"], result)

    def _take_unrouted(self) -> Iterator[str]:
        for message in self._take(self.cloud.stack.queue_urls["UnroutedRequestsQueue"]):
            yield json.loads(message["Body"])["id"]


def _attributes(values: Mapping[str, str]) -> dict[str, dict[str, str]]:
    return {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}


def _origin(message_id: str, entry: Mapping[str, Any]) -> str:
    attributes = {
        name: {"stringValue": item["StringValue"]} for name, item in entry.get("MessageAttributes", {}).items()
    }
    return origin_of({"messageId": message_id, "body": entry["MessageBody"], "messageAttributes": attributes})


def _chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
