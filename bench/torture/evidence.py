"""What a run leaves for ``account`` to judge, from sources that are independent of each other."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from bench.torture.actor import Changed
from bench.torture.messages import Message
from bench.torture.tasks import Target
from bench.torture.worker import MARK
from local.emulators.journal import Entry

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Sent:
    """A message that was accepted. ``message_id`` is the queue's; None where the bus sent it on."""

    message: Message
    origin: str  # its first id: the event's, or the first queue message's
    message_id: str | None
    first_sent: str | None = None  # as it tells itself; None for a plain body


class Ending(StrEnum):
    """How a receive ended."""

    DONE = "done"  # deleted from its queue
    AGAIN = "again"  # a batch item failure
    KILLED = "killed"  # the worker was killed before it answered


@dataclass(frozen=True)
class Receive:
    """One message, received once by one worker, and the result that the function logged for it."""

    message_id: str
    origin: str
    number: int  # how often it has been received by then
    access_key_id: str  # what this worker signs with
    ending: Ending
    result: Result | None


@dataclass(frozen=True)
class DeadLetter:
    """A message in a dead-letter queue. ``result`` is None where SQS moved it."""

    origin: str
    message_id: str
    result: Result | None


@dataclass(frozen=True)
class Evidence:
    """The evidence of one run."""

    sent: tuple[Sent, ...]
    unsent: int  # messages that the time was too short to send
    receives: tuple[Receive, ...]
    crashes: tuple[str, ...]  # unexpected exceptions of functions, workers that ended by themselves
    published: tuple[Result, ...]
    dead_letters: tuple[DeadLetter, ...]  # when all queues were empty, faults still on
    redriven: Mapping[str, str]  # new message id -> origin
    left: tuple[DeadLetter, ...]  # after the redrive, faults off
    unrouted: tuple[str, ...]  # event ids
    waiting: int  # messages still in a queue at the end
    journal: tuple[Entry, ...]
    before: frozenset[Target]
    after: frozenset[Target]
    changes: tuple[Changed, ...] = ()  # of tasks, by no call
    deleted_seen: float = 0.0  # seconds for which a list or a show has a deleted task
    kills: int = 0  # workers killed in the middle of a batch


def fingerprint(result: Result) -> tuple[object, ...]:
    """A key that is the same for one result on the bus, in a dead-letter queue and in a log."""
    return tuple(result[name] for name in ("correlation_id", "outcome", "completed_at", "duration_ms", "attempts"))


def is_ok(result: Result) -> bool:
    """Whether the outcome is one of success."""
    return result["outcome"] in {"succeeded", "unchanged", "planned"}


# -- the workers' logs ------------------------------------------------


def read_log(path: Path, access_key_id: str) -> tuple[list[Receive], list[str]]:
    """What one worker did, batch by batch, and the crashes that its function logged."""
    receives: list[Receive] = []
    crashes: list[str] = []
    for batch in _batches(path):
        receives += _receives(batch, access_key_id)
        crashes += [str(line.get("exception_type")) for line in batch if line.get("exception_type")]
    return receives, crashes


def _batches(path: Path) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for line in _lines(path):
        if line.get(MARK) == "received" and batch:
            yield batch
            batch = []
        batch.append(line)
    if batch:
        yield batch


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue  # the last line of a killed worker
        if isinstance(line, dict):
            yield line


def _receives(batch: list[dict[str, Any]], access_key_id: str) -> Iterator[Receive]:
    """The function works on the records one after the other, and logs one result for each that it begins."""
    messages: list[dict[str, Any]] = next((line["messages"] for line in batch if line.get(MARK) == "received"), [])
    results = [line["result"] for line in batch if "result" in line]
    answers = [line["failures"] for line in batch if line.get(MARK) == "answered"]
    for position, message in enumerate(messages):
        if not answers:
            ending = Ending.KILLED
        elif answers[0] is None or message["message_id"] in answers[0]:
            ending = Ending.AGAIN
        else:
            ending = Ending.DONE
        result = results[position] if position < len(results) else None
        yield Receive(**message, access_key_id=access_key_id, ending=ending, result=result)
