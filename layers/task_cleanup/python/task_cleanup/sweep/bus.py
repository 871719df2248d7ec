"""Where a sweep puts its requests. ``EventBus`` sends them in batches of ten, and those again that were not taken."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from task_cleanup.aws import AwsError
from task_cleanup.errors import Code
from task_cleanup.event_types import SOURCE, EventType
from task_cleanup.system import Deadline, System

if TYPE_CHECKING:
    from task_cleanup.sweep.boto import Boto  # imports boto3, which the command line does without

BATCH = 10  # entries that PutEvents takes in one call
SENDERS = 4  # calls at once
BATCHES_AT_ONCE = 400  # in memory
MAX_ROUNDS = 6  # how often an entry is sent at most
ROUND_WAIT = 0.2  # seconds; doubled each round, then full jitter


class Bus(Protocol):
    """Takes requests and events; ``name`` tells people where."""

    name: str

    def publish(self, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str] = ()) -> None:
        """Put one event on the bus. Raises ``AwsError`` if the bus does not take it."""

    def request_all(self, details: Iterable[Mapping[str, Any]], deadline: Deadline) -> list[bool]:
        """Take a request for each of these; returns for each, in their order, whether it is taken."""


class EventBus:
    """One event bus of EventBridge."""

    def __init__(self, boto: "Boto", name: str, system: System) -> None:
        self._boto = boto
        self.name = name
        self._system = system

    def publish(self, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str] = ()) -> None:
        """Put one event on the bus.

        Raises
        ------
        AwsError
            If the call fails, or its answer has no event id.
        """
        self._boto.put_event({**self._entry(detail_type, detail), "Resources": list(resources)})

    def request_all(self, details: Iterable[Mapping[str, Any]], deadline: Deadline) -> list[bool]:
        """Put a request on the bus for each of these; returns for each, in their order, whether the bus took it."""

        def send(batch: tuple[Mapping[str, Any], ...]) -> list[bool]:
            return self._send([self._entry(EventType.DELETE_REQUESTED, detail) for detail in batch], deadline)

        rest, taken = _batches(details), list[bool]()
        with ThreadPoolExecutor(SENDERS, "put-events") as pool:
            # The pool makes all that it is given at once: of 100,000 requests that would be a tenth of the memory.
            while some := list(islice(rest, BATCHES_AT_ONCE)):
                taken += [done for batch in pool.map(send, some) for done in batch]
        return taken

    def _send(self, entries: list[dict[str, str]], deadline: Deadline) -> list[bool]:
        taken = [False] * len(entries)
        for number in range(MAX_ROUNDS):
            open_ = [position for position, done in enumerate(taken) if not done]
            if not open_ or not deadline.remaining():
                break
            if number:
                self._system.sleep(ROUND_WAIT * 2.0**number * self._system.fraction())
            try:
                reply = self._boto.call("events", "put_events", Entries=[entries[position] for position in open_])
            except AwsError:
                continue  # boto3 has repeated the call already; the next round waits, and sends these entries again
            for position, answer in zip(open_, answers(reply, len(open_)), strict=True):
                taken[position] = bool(answer.get("EventId"))
        return taken

    def _entry(self, detail_type: str, detail: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "EventBusName": self.name,
            "Source": SOURCE,
            "DetailType": detail_type,
            "Detail": json.dumps(detail),
        }


def _batches(details: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], ...]]:
    rest = iter(details)
    while batch := tuple(islice(rest, BATCH)):
        yield batch


def answers(reply: Mapping[str, Any], number: int) -> Sequence[Mapping[str, str]]:
    """The bus's answer for each entry. If the reply has another number of answers, no entry counts as taken."""
    found: Sequence[Mapping[str, str]] = reply.get("Entries", ())
    return found if len(found) == number else [{"ErrorCode": Code.UNEXPECTED_REPLY}] * number
