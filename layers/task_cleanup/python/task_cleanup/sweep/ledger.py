"""What sweeps remember of one place: since when each task is as it is now, and who has asked for which delete.

Pure: the caller reads and writes the document. A document that is lost, and a list that comes late, make tasks
younger. A list whose document could not be written must be given to ``after`` of the one that was written instead: it
may have seen a task otherwise.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, Self
from urllib.parse import quote

from task_cleanup.tasks import Task

LEDGER_VERSION = 1
# With more time between two lists a task may have changed and changed back unseen.
MAX_GAP = timedelta(hours=75)
# Lambda ends a worker after 15 minutes. What ended longer before a list ended had ended before it began.
LONGEST_LIST = timedelta(minutes=15)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Entry:
    """A task's ``digest``, and when it was first and last listed with that digest, without another in between."""

    digest: str
    first: datetime
    last: datetime


@dataclass(frozen=True)
class Asked:
    """The run that has asked for a task's delete, and how long its request stays valid."""

    run_id: str
    until: datetime


@dataclass(frozen=True)
class Ledger:
    """The tasks of one place by id, and the deletes that are asked for.

    ``listed_at`` is when the last whole list had been read. ``began_anew`` is not stored: all tasks start anew,
    because the list before was read more than ``MAX_GAP`` ago.
    """

    tasks: Mapping[str, Entry] = field(default_factory=lambda: MappingProxyType({}))
    asked: Mapping[str, Asked] = field(default_factory=lambda: MappingProxyType({}))
    listed_at: datetime | None = None
    began_anew: bool = False

    @classmethod
    def read(cls, document: object) -> Self:
        """The ledger of a stored JSON value; what cannot be read is as if it had never been stored."""
        if not isinstance(document, dict) or document.get("version") != LEDGER_VERSION:
            return cls()
        tasks, listed_at = _tasks(document)
        return cls(tasks, _asked(document), listed_at)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object, small also with 100,000 tasks: times in microseconds since 1970, and no ``last``, since
        all tasks were last seen when the last whole list was read.
        """
        return {
            "version": LEDGER_VERSION,
            "listed_at": None if self.listed_at is None else _number(self.listed_at),
            "tasks": {task_id: [entry.digest, _number(entry.first)] for task_id, entry in self.tasks.items()},
            "asked": {task_id: [asked.run_id, _number(asked.until)] for task_id, asked in self.asked.items()},
        }

    def after(self, tasks: Iterable[Task], began: datetime, ended: datetime) -> "Ledger":
        """The ledger once a whole list was read, from ``began`` to ``ended``: it may only be given whole lists.

        A task with the same digest as in the list before, at most ``MAX_GAP`` ago, keeps its ``first``. Any other is
        seen since ``ended``: nobody knows when in between the list read it.
        """
        asked = self._still_asked(ended)
        digests = {task.task_id: digest_of(task) for task in tasks}
        last = self.listed_at
        if last is not None and began <= last:
            return self._after_older(digests, ended, max(last, ended), asked)
        fresh = last is not None and ended - last <= MAX_GAP
        entries = {}
        for task_id, digest in digests.items():
            before = self.tasks.get(task_id) if fresh else None
            same = before is not None and before.digest == digest
            entries[task_id] = Entry(digest, before.first if before is not None and same else ended, ended)
        return Ledger(entries, asked, ended, began_anew=bool(self.tasks) and not fresh)

    def _after_older(
        self, digests: Mapping[str, str], ended: datetime, listed_at: datetime, asked: Mapping[str, Asked]
    ) -> "Ledger":
        """The ledger once a list came late: others were read since. It can only show that a task was otherwise.

        Where the two lists may have overlapped, nobody knows which of them read the task last, so it is forgotten.
        """
        entries = {}
        for task_id, entry in self.tasks.items():
            if digests.get(task_id) == entry.digest or ended < entry.first - LONGEST_LIST:
                entries[task_id] = replace(entry, last=listed_at)
            elif ended < entry.last - LONGEST_LIST:
                entries[task_id] = replace(entry, first=entry.last)
        return Ledger(entries, asked, listed_at)

    def first_seen(self, task: Task, now: datetime) -> datetime | None:
        """Since when the task is as it is in a list of ``now``; None if this ledger has not seen it so.

        The list need not be whole: after the whole ones, ask the ledger that ``after`` has made.
        """
        entry = self.tasks.get(task.task_id)
        if entry is None or now - entry.last > MAX_GAP or entry.digest != digest_of(task):
            return None
        return entry.first

    def asking(self, task_ids: Iterable[str], run_id: str, until: datetime, now: datetime) -> "Ledger":
        """The ledger once a run has asked for these deletes, which stay valid until ``until``."""
        asked = self._still_asked(now) | dict.fromkeys(task_ids, Asked(run_id, until))
        return replace(self, asked=asked)

    def _still_asked(self, now: datetime) -> dict[str, Asked]:
        return {task_id: one for task_id, one in self.asked.items() if one.until >= now}

    def without(self, run_id: str) -> "Ledger":
        """The ledger without what this run has asked for."""
        return replace(self, asked={task_id: one for task_id, one in self.asked.items() if one.run_id != run_id})

    def asked_by_another(self, task_id: str, run_id: str, now: datetime) -> str | None:
        """The id of another run that has asked for the task's delete, where its request is still valid."""
        asked = self.asked.get(task_id)
        return asked.run_id if asked is not None and asked.run_id != run_id and asked.until >= now else None


def digest_of(task: Task) -> str:
    """16 characters, the same as long as the provider sends the same for the fields in ``Task.raw``."""
    text = json.dumps([task.provider_status, task.name, *task.raw], sort_keys=True, default=str)
    return blake2b(text.encode(errors="backslashreplace"), digest_size=8).hexdigest()


def place_key(  # noqa: PLR0917 - in the order of the key
    provider: str, service: str, kind: str, region: str, project_id: str | None, instance_id: str | None
) -> str:
    """``ledger/huawei/oms/tasks/cn-north-4/0123…/-.json``: the key of a place's ledger, ``-`` for what it has not."""
    instance = None if instance_id is None else instance_id.lower()
    parts = (provider, service, kind, region, project_id, instance)
    return f"ledger/{'/'.join(_key_part(part) for part in parts)}.json"


def _key_part(part: str | None) -> str:
    """No part is empty or made of dots, has a slash, or is the ``-`` of another one that is missing."""
    if part is None or part == "":
        return "-"
    return quote(part, safe="").replace(".", "%2E") if part != "-" else "%2D"


def _number(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _moment(number: object) -> datetime:
    if not isinstance(number, int) or isinstance(number, bool):
        raise TypeError("no time")
    return _EPOCH + timedelta(microseconds=number)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _tasks(document: Mapping[str, Any]) -> tuple[dict[str, Entry], datetime | None]:
    try:
        listed_at = None if document["listed_at"] is None else _moment(document["listed_at"])
        last = _EPOCH if listed_at is None else listed_at  # a list that was never read has no tasks
        entries = {
            task_id: Entry(_text(digest), _moment(first), last)
            for task_id, (digest, first) in document["tasks"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return {}, None
    readable = all(entry.first <= last for entry in entries.values())
    return (entries, listed_at) if readable else ({}, None)


def _asked(document: Mapping[str, Any]) -> dict[str, Asked]:
    try:
        return {
            task_id: Asked(_text(run_id), _moment(until)) for task_id, (run_id, until) in document["asked"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return {}
