"""The one result shape of every provider, trigger and outcome (JSON Schema: ``result.schema.json``)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from task_cleanup.errors import RETRY_LATER, Category, CleanupError, Code
from task_cleanup.tasks import Task
from task_cleanup.times import rfc3339

SCHEMA_VERSION = "1.1"


class Outcome(StrEnum):
    """What happened to the task; the README's table says what each promises."""

    SUCCEEDED = "succeeded"
    UNCHANGED = "unchanged"
    PLANNED = "planned"
    CONFLICT = "conflict"
    FAILED = "failed"


@dataclass(frozen=True)
class Error:
    """Why an outcome is not ``succeeded``: for ``unchanged`` it is the provider's code, kept as evidence.

    ``detail`` keys: ``violations`` (list of ``{pointer, rule, allowed}``), ``provider`` (reply fields that the
    official SDKs drop; of an exchange for keys its code, HTTP status and request id), ``claims`` and ``hint`` (of an
    exchange that was refused: what trust policies compare, and what to look at), ``aws_code``, ``note`` (what this
    call could not know), ``retry_after_seconds``.
    """

    category: Category
    code: str
    message: str
    detail: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, error: CleanupError) -> Self:
        """The record of an exception."""
        return cls(error.category, error.code, error.message, error.detail)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "category": self.category.value,
            "code": str(self.code),
            "message": self.message,
            "detail": None if self.detail is None else dict(self.detail),
        }

    def with_detail(self, **members: Any) -> Self:  # noqa: ANN401 - JSON values
        """A copy whose detail has these members too."""
        return replace(self, detail={**(self.detail or {}), **members})


@dataclass(frozen=True)
class Target:
    """What a request is about. If its schema refused it, only provider and service are set."""

    provider: str
    service: str
    account: str | None = None
    region: str | None = None
    project_id: str | None = None
    instance_id: str | None = None
    task_id: str | None = None
    task_type: str | None = None

    def to_dict(self) -> dict[str, str]:
        """The members that are set."""
        return {name: value for name, value in vars(self).items() if value is not None}


class When(StrEnum):
    """When a look was taken: before the change was sent, or after one whose answer leaves doubt."""

    BEFORE = "before"
    AFTER = "after"


class Evidence(StrEnum):
    """What a look rests on."""

    CODE = "code"  # the provider's, to the call that shows the task
    SHOW = "show"
    LIST = "list"


@dataclass(frozen=True)
class Sighting:
    """What one look at a task found: ``found`` is None where the look was not answered, and ``error`` says why.

    ``records`` is how many tasks a list had. ``error`` of a task that is gone is the provider's code that says so.
    """

    when: When
    evidence: Evidence
    found: bool | None
    task: Task | None = None
    records: int | None = None
    error: Error | None = None
    http_status: int | None = None
    request_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "when": self.when.value,
            "evidence": self.evidence.value,
            "found": self.found,
            "provider_status": None if self.task is None else self.task.provider_status,
            "records": self.records,
        }


@dataclass(frozen=True)
class TaskList:
    """What a list operation found. ``complete`` is false where there may be more; ``note`` then says why."""

    tasks: tuple[Task, ...]
    complete: bool
    note: str | None = None


@dataclass(frozen=True)
class Result:
    """A normalized result. ``duration_ms`` is wall time in milliseconds, ``completed_at`` is UTC.

    ``attempts`` counts the calls that would change something (of a list: its calls); ``looks`` are apart.
    ``accepted``: the provider has only accepted the change, and makes it later.
    """

    operation: str
    outcome: Outcome
    target: Target
    completed_at: datetime
    correlation_id: str
    duration_ms: float
    attempts: int = 0
    http_status: int | None = None
    request_id: str | None = None
    client_token: str | None = None
    error: Error | None = None
    plan: Mapping[str, str] | None = None
    requested_by: str | None = None
    listed: TaskList | None = None
    looks: tuple[Sighting, ...] = ()
    accepted: bool = False

    @property
    def retryable(self) -> bool:
        """Whether the same request can succeed later."""
        if self.error is None or self.outcome is Outcome.UNCHANGED:
            return False
        return self.error.category in RETRY_LATER or self.error.code == Code.CREDENTIAL_SUSPENDED

    @property
    def ok(self) -> bool:
        """Whether the wanted state holds (or, for a dry run, was planned)."""
        return self.outcome in (Outcome.SUCCEEDED, Outcome.UNCHANGED, Outcome.PLANNED)

    @property
    def task_changed(self) -> bool:
        """Whether nothing was sent because the task is not as the request expects it."""
        return self.error is not None and self.error.category is Category.PRECONDITION_FAILED

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that callers see."""
        body = self.to_event()
        if self.listed is not None:
            body["tasks"] = [task.to_dict() for task in self.listed.tasks]
        return body

    def to_event(self) -> dict[str, Any]:
        """The same without the tasks of a list, for events, messages and logs: their size is limited."""
        listed: dict[str, Any] = {}
        if self.listed is not None:
            listed = {"count": len(self.listed.tasks), "complete": self.listed.complete}
            listed |= {"note": self.listed.note} if self.listed.note else {}
        return {
            "schema_version": SCHEMA_VERSION,
            "operation": self.operation,
            "outcome": self.outcome.value,
            "retryable": self.retryable,
            "target": self.target.to_dict(),
            "http_status": self.http_status,
            "request_id": self.request_id,
            "client_token": self.client_token,
            "error": None if self.error is None else self.error.to_dict(),
            "plan": None if self.plan is None else dict(self.plan),
            "looks": [look.to_dict() for look in self.looks],
            "accepted": self.accepted,
            "attempts": self.attempts,
            "duration_ms": round(self.duration_ms, 1),
            "completed_at": rfc3339(self.completed_at),
            "correlation_id": self.correlation_id,
            "requested_by": self.requested_by,
            **listed,
        }
