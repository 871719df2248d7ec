"""The validated request of a sweep as frozen dataclasses, with every default filled in."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from fractions import Fraction
from functools import cached_property
from typing import Any, Self

from task_cleanup.errors import Code, invalid_request
from task_cleanup.tasks import Status
from task_cleanup.validation import Violation, pointer, violation_error

DEFAULT_STATUSES = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)
DEFAULT_MAX_TASKS = 500
DEFAULT_MAX_FRACTION = 0.5

_DURATION = re.compile("P(?:([0-9]+)D|T([0-9]+)H)")


class Mode(StrEnum):
    """Whether the plan is only shown, or carried out."""

    REPORT = "report"
    APPLY = "apply"


@dataclass(frozen=True)
class SweepTarget:
    """One place to look: a project or an instance of one service, with one account's credentials."""

    provider: str
    service: str
    region: str
    account: str = "default"
    project_id: str | None = None
    instance_id: str | None = None
    limit: int = 10000

    @property
    def service_id(self) -> str:
        """The ``Service.id`` of its service: ``huawei_oms``."""
        return f"{self.provider}_{self.service}"

    def list_request(self) -> dict[str, Any]:
        """The request of the list operation for this target."""
        members = {
            "region": self.region,
            "account": self.account,
            "project_id": self.project_id,
            "instance_id": self.instance_id,
            "limit": self.limit,
        }
        return {name: value for name, value in members.items() if value is not None}

    def to_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {"provider": self.provider, "service": self.service, **self.list_request()}


@dataclass(frozen=True)
class Select:
    """What may be deleted. No ``names`` means any name."""

    older_than: str  # as written: P<n>D or PT<n>H
    statuses: tuple[Status, ...] = DEFAULT_STATUSES
    names: tuple[str, ...] = ()

    @cached_property
    def min_age(self) -> timedelta:
        """``older_than`` as a duration."""
        return duration(self.older_than)


@dataclass(frozen=True)
class Protect:
    """What is never deleted, whatever is selected."""

    task_ids: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()

    @cached_property
    def folded_ids(self) -> frozenset[str]:
        """The ids, each ``folded`` for comparison."""
        return frozenset(folded(task_id) for task_id in self.task_ids)

    @cached_property
    def folded_names(self) -> tuple[tuple[str, str], ...]:
        """Each pattern as written, and ``folded`` for comparison."""
        return tuple((pattern, folded(pattern)) for pattern in self.names)

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Self:
        """The value of the validated member ``protect``."""
        return cls(frozenset(str(task_id) for task_id in value.get("task_ids", ())), tuple(value.get("names", ())))

    def to_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {"task_ids": sorted(self.task_ids), "names": list(self.names)}

    def __or__(self, other: Self) -> "Protect":
        return Protect(self.task_ids | other.task_ids, tuple(dict.fromkeys((*self.names, *other.names))))


@dataclass(frozen=True)
class Limits:
    """How much may be selected. If one of them is exceeded, nothing at all is requested."""

    max_tasks: int = DEFAULT_MAX_TASKS
    max_fraction: float = DEFAULT_MAX_FRACTION
    allow_incomplete: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "max_tasks": self.max_tasks,
            "max_fraction": self.max_fraction,
            "allow_incomplete": self.allow_incomplete,
        }

    def allowed_of(self, found: int) -> int:
        """How many of the ``found`` tasks may be selected, calculated exactly: 0.1 of 30 is 3, and not 2.99."""
        return int(Fraction(str(self.max_fraction)) * found)

    def stricter(self, value: Mapping[str, Any]) -> "Limits":
        """The stricter of each of these limits and the one in ``value``, the validated member ``limits``."""
        return Limits(
            min(self.max_tasks, value.get("max_tasks", self.max_tasks)),
            min(self.max_fraction, value.get("max_fraction", self.max_fraction)),
            self.allow_incomplete and value.get("allow_incomplete", True),
        )


@dataclass(frozen=True)
class Policy:
    """What to list, which of the tasks to delete, and how many at most."""

    name: str
    mode: Mode
    targets: tuple[SweepTarget, ...]
    select: Select
    protect: Protect = Protect()
    limits: Limits = Limits()
    stop_running: bool = False

    @classmethod
    def read(cls, request: Mapping[str, Any]) -> Self:
        """The policy of a validated request.

        Raises
        ------
        CleanupError
            ``invalid_request`` if two targets are the same: their tasks would count twice.
        """
        targets = tuple(SweepTarget(**target) for target in request["targets"])
        repeated = [number for number, target in enumerate(targets) if target in targets[:number]]
        if repeated:
            raise violation_error(
                Violation(
                    pointer("targets", str(number)), "repeated", "must not be the same place as a target before it"
                )
                for number in repeated
            )
        select = request["select"]
        return cls(
            name=request["name"],
            mode=Mode(request["mode"]),
            targets=targets,
            select=Select(
                select["older_than"],
                tuple(Status(status) for status in select.get("statuses", DEFAULT_STATUSES)),
                tuple(select.get("names", ())),
            ),
            protect=Protect.read(request.get("protect", {})),
            limits=Limits(**request.get("limits", {})),
            stop_running=request["stop_running"],
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON object, with its defaults: an apply reads the policy from the report again."""
        select: dict[str, Any] = {
            "statuses": [status.value for status in self.select.statuses],
            "older_than": self.select.older_than,
        }
        if self.select.names:
            select["names"] = list(self.select.names)
        return {
            "name": self.name,
            "mode": self.mode.value,
            "targets": [target.to_dict() for target in self.targets],
            "select": select,
            "protect": self.protect.to_dict(),
            "limits": self.limits.to_dict(),
            "stop_running": self.stop_running,
        }


def folded(text: str) -> str:
    """The text for comparison, in which case, composed letters and outer blanks make no difference."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).strip()


def duration(text: str) -> timedelta:
    """The length of a duration such as ``P7D`` (days) or ``PT12H`` (hours).

    Raises
    ------
    CleanupError
        ``invalid_request`` for anything else.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise invalid_request(Code.SCHEMA_VIOLATION, "a duration is written as days (P7D) or hours (PT12H)")
    days, hours = match.groups()
    return timedelta(days=int(days)) if days is not None else timedelta(hours=int(hours))
