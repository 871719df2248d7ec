"""Listed tasks, normalized: one record shape for every provider. Only what a service's table names is deletable."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from task_cleanup.startup import wired
from task_cleanup.times import rfc3339


class Status(StrEnum):
    """What a task is doing. ``unknown`` is any provider status that no page documents."""

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DELETING = "deleting"
    UNKNOWN = "unknown"


# Something is being done, or will be.
BUSY = frozenset({Status.WAITING, Status.RUNNING, Status.DELETING})
# Nothing is done any more, so there is nothing to stop.
ENDED = frozenset({Status.PAUSED, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})


class AgeBasis(StrEnum):
    """What a task's age is counted from."""

    ENDED = "ended"  # the provider tells it
    INFERRED = "inferred"  # its start and how long it ran
    CREATED = "created"


@dataclass(frozen=True)
class Task:
    """One listed task. Times are aware, or None if the provider gave no usable one.

    ``why_not`` says why it is not deletable. ``inferred_end_at`` is worked out of other fields, where the provider
    does not tell ``ended_at``. ``stoppable``: it does something that the service's stop ends. ``billed``: it costs
    money as long as it is there; None where that is not known. ``kind`` is for services that list several kinds.
    ``provider_detail`` keeps fields that no other service has.

    Two are for sweeps alone, and not in the record. ``raw`` are the times and counters as the provider sent them,
    none that moves by itself: as long as they, status and name are the same, nothing has happened to the task.
    ``also_named`` are other names by which people know it.
    """

    task_id: str
    name: str
    status: Status
    provider_status: str
    deletable: bool
    why_not: str | None
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    inferred_end_at: datetime | None = None
    stoppable: bool = False
    billed: bool | None = None
    kind: str | None = None
    age_basis: AgeBasis | None = None
    group_id: str | None = None
    provider_detail: Mapping[str, Any] = field(default_factory=dict)
    raw: tuple[object, ...] = field(default=(), compare=False, repr=False)
    also_named: tuple[str, ...] = field(default=(), compare=False)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "task_id": self.task_id,
            "name": self.name,
            "status": self.status.value,
            "provider_status": self.provider_status,
            "created_at": _text(self.created_at),
            "started_at": _text(self.started_at),
            "ended_at": _text(self.ended_at),
            "inferred_end_at": _text(self.inferred_end_at),
            "stoppable": self.stoppable,
            "billed": self.billed,
            "kind": self.kind,
            "age_basis": None if self.age_basis is None else self.age_basis.value,
            "group_id": self.group_id,
            "deletable": self.deletable,
            "why_not": self.why_not,
            "provider_detail": dict(self.provider_detail),
        }


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)


@wired
class StatusTable:
    """What a service's statuses mean, and which of them allow a delete."""

    meanings: Mapping[str, Status]
    deletable: frozenset[str]

    def judge(self, provider_status: str) -> tuple[Status, bool, str | None]:
        """The status, whether the task may be deleted, and if not, why."""
        status = self.meanings.get(provider_status, Status.UNKNOWN)
        if provider_status in self.deletable:
            return status, True, None
        if status is Status.UNKNOWN:
            return status, False, "its status is not documented"
        return status, False, f"the provider refuses while it is {status.value}"


@dataclass(frozen=True)
class Page:
    """One page of a list: its tasks, how many records it held, and how many there are in all, as the reply says.

    ``full``: it holds as many records as a page can, so that there may be more, whatever the reply says.
    """

    tasks: tuple[Task, ...]
    records: int
    total: int
    full: bool = False

    @classmethod
    def whole(
        cls,
        records: list[Any],
        total: int,
        read: Callable[[Mapping[str, Any]], Task | None],
        size: int | None = None,
    ) -> "Page | None":
        """The page of these records, or None if one cannot be read: without it, the list would look complete.

        ``size`` is the number of records that a page was asked for; None where there is no paging.
        """
        tasks = [read(record) for record in records if isinstance(record, dict)]
        found = tuple(task for task in tasks if task is not None)
        full = size is not None and len(records) >= size
        return cls(found, len(records), total, full) if len(found) == len(records) else None
