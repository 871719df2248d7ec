"""Puts requests on the event bus in batches of ten, and sends those again that the bus did not take."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from task_cleanup.aws import AwsError
from task_cleanup.errors import Code
from task_cleanup.event_types import SOURCE, EventType
from task_cleanup.system import Deadline, System

BATCH = 10  # entries that PutEvents takes in one call
SENDERS = 4  # calls at once
MAX_ROUNDS = 6  # how often an entry is sent at most
ROUND_WAIT = 0.2  # seconds; doubled each round, then full jitter


class BusError(AwsError):
    """The bus did not take an event."""


class Bus:
    """PutEvents with a boto3 client."""

    def __init__(self, client: Any, name: str, system: System) -> None:  # noqa: ANN401 - boto3 makes its clients at run time
        self._client = client
        self._name = name
        self._system = system

    def publish(self, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str] = ()) -> str:
        """Put one event on the bus, and return its id.

        Raises
        ------
        BusError
            If the call fails, or its answer has no event id.
        """
        entry = {**self._entry(detail_type, detail), "Resources": list(resources)}
        try:
            reply = self._client.put_events(Entries=[entry])
        except (BotoCoreError, ClientError) as error:
            raise BusError(type(error).__name__) from None
        (taken,) = _answers(reply, 1)
        if not taken.get("EventId"):
            raise BusError(taken.get("ErrorCode", Code.FAILED_ENTRY))
        return taken["EventId"]

    def request_all(self, details: Iterable[Mapping[str, Any]], deadline: Deadline) -> list[bool]:
        """Put a request on the bus for each of these; returns for each, in their order, whether the bus took it."""

        def send(batch: tuple[Mapping[str, Any], ...]) -> list[bool]:
            return self._send([self._entry(EventType.DELETE_REQUESTED, detail) for detail in batch], deadline)

        with ThreadPoolExecutor(SENDERS, "put-events") as pool:
            return [taken for batch in pool.map(send, _batches(details)) for taken in batch]

    def _send(self, entries: list[dict[str, str]], deadline: Deadline) -> list[bool]:
        taken = [False] * len(entries)
        for number in range(MAX_ROUNDS):
            open_ = [position for position, done in enumerate(taken) if not done]
            if not open_ or not deadline.remaining():
                break
            if number:
                self._system.sleep(ROUND_WAIT * 2.0**number * self._system.fraction())
            try:
                reply = self._client.put_events(Entries=[entries[position] for position in open_])
            except (BotoCoreError, ClientError):
                continue  # boto3 has repeated the call already; the next round waits, and sends these entries again
            for position, answer in zip(open_, _answers(reply, len(open_)), strict=True):
                taken[position] = bool(answer.get("EventId"))
        return taken

    def _entry(self, detail_type: str, detail: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "EventBusName": self._name,
            "Source": SOURCE,
            "DetailType": detail_type,
            "Detail": json.dumps(detail),
        }


def _answers(reply: Mapping[str, Any], number: int) -> Sequence[Mapping[str, str]]:
    """The bus's answer for each entry. If the reply has another number of answers, no entry counts as taken."""
    answers: Sequence[Mapping[str, str]] = reply.get("Entries", ())
    return answers if len(answers) == number else [{"ErrorCode": Code.UNEXPECTED_REPLY}] * number


def _batches(details: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], ...]]:
    rest = iter(details)
    while batch := tuple(islice(rest, BATCH)):
        yield batch
