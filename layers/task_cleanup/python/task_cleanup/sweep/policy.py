"""The validated request of a sweep as frozen dataclasses, with every default filled in."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any, Literal, Self

from task_cleanup.errors import Code, invalid_request
from task_cleanup.sweep.names import Matcher, folded, folds_to_more, plain_id
from task_cleanup.tasks import Status
from task_cleanup.validation import Violation, pointer, violation_error

DEFAULT_STATUSES = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)
LEAST_AGE = timedelta(hours=1)
DEFAULT_MAX_TASKS = 500
DEFAULT_MAX_FRACTION = 0.5

_DURATION = re.compile("P(?:([0-9]+)D|T([0-9]+)H)")


class Mode(StrEnum):
    """Whether the plan is only shown, or carried out."""

    REPORT = "report"
    APPLY = "apply"


class AgeFrom(StrEnum):
    """What the age of a task that has ended may be counted from."""

    ENDED = "ended"  # the provider tells it
    SEEN = "seen"  # when sweeps first saw it as it is now
    INFERRED = "inferred"  # its start and how long it ran: a pause counts as if it had ended before
    CREATED = "created"


class RunningSince(StrEnum):
    """What the age of a task that is stopped first is counted from."""

    STARTED = "started"
    CREATED = "created"
    SEEN = "seen"


DEFAULT_AGE_FROM = (AgeFrom.ENDED, AgeFrom.SEEN)


@dataclass(frozen=True)
class SweepTarget:
    """One place to look: a project or an instance of one service, with one account's credentials.

    With ``instance_ids`` it is all instances of a place: each of them is listed as a target with its ``instance_id``.
    """

    provider: str
    service: str
    region: str
    account: str = "default"
    project_id: str | None = None
    instance_id: str | None = None
    limit: int = 10000
    instance_ids: Literal["all"] | None = None

    @property
    def service_id(self) -> str:
        """The ``Service.id`` of its service: ``huawei_oms``."""
        return f"{self.provider}_{self.service}"

    @classmethod
    def of_report(cls, target: Mapping[str, Any]) -> Self:
        """The place that a target of a report is about."""
        members = ("provider", "service", "region", "account", "instance_id")
        return cls(**{name: target[name] for name in members})

    def list_request(self) -> dict[str, Any]:
        """The request of the list operation for this target."""
        members = {
            "region": self.region,
            "account": self.account,
            "project_id": self.project_id,
            "instance_id": self.instance_id,
            "limit": self.limit,
            "instance_ids": self.instance_ids,
        }
        return {name: value for name, value in members.items() if value is not None}

    def instance(self, instance_id: str) -> "SweepTarget":
        """One of the instances that ``instance_ids`` stands for, as a target of its own."""
        return replace(self, instance_id=instance_id, instance_ids=None)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {"provider": self.provider, "service": self.service, **self.list_request()}


@dataclass(frozen=True)
class Select:
    """What may be deleted. No ``names`` means any name.

    Of ``age_from``, the first that is known counts. ``provider_statuses`` are the provider's words that the operator
    vouches for: tasks with them are deleted although our table does not call them deletable.
    """

    older_than: str  # as written: P<n>D or PT<n>H
    statuses: tuple[Status, ...] = DEFAULT_STATUSES
    names: tuple[str, ...] = ()
    age_from: tuple[AgeFrom, ...] = DEFAULT_AGE_FROM
    running_since: RunningSince | None = None
    provider_statuses: tuple[str, ...] = ()

    @cached_property
    def min_age(self) -> timedelta:
        """``older_than`` as a duration."""
        return duration(self.older_than)

    @cached_property
    def matcher(self) -> Matcher:
        """The ``names``, ready to be matched."""
        return Matcher(self.names)

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Self:
        """The value of the validated member ``select``."""
        since = value.get("running_since")
        return cls(
            value["older_than"],
            tuple(Status(status) for status in value.get("statuses", DEFAULT_STATUSES)),
            tuple(value.get("names", ())),
            tuple(AgeFrom(basis) for basis in value.get("age_from", DEFAULT_AGE_FROM)),
            None if since is None else RunningSince(since),
            tuple(value.get("provider_statuses", ())),
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON object; what is empty is left out, as the schema wants it."""
        members: dict[str, Any] = {
            "statuses": [status.value for status in self.statuses],
            "older_than": self.older_than,
            "age_from": [basis.value for basis in self.age_from],
            "running_since": None if self.running_since is None else self.running_since.value,
            "names": list(self.names),
            "provider_statuses": list(self.provider_statuses),
        }
        return {name: value for name, value in members.items() if value}


MAX_KEPT_NAMES = 2**17  # a sweep asks twice for each name: to judge, and to count what each pattern matched


@dataclass(frozen=True)
class Protect:
    """What is never deleted, whatever is selected."""

    task_ids: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()

    @cached_property
    def by_plain_id(self) -> Mapping[str, tuple[str, ...]]:
        """The ids as written, by their ``plain_id``."""
        found: dict[str, tuple[str, ...]] = {}
        for task_id in sorted(self.task_ids):
            found[plain_id(task_id)] = (*found.get(plain_id(task_id), ()), task_id)
        return found

    @cached_property
    def matching(self) -> Callable[[str], tuple[int, ...] | None]:
        """The places in ``names`` of the patterns that match a name, in order; None if nothing of it can be seen."""
        patterns = [folded(pattern) for pattern in self.names]
        written, plain = Matcher(self.names), Matcher(patterns)
        wide = Matcher([pattern.replace("?", "*") for pattern in patterns])

        def matching(name: str) -> tuple[int, ...] | None:
            known_as = folded(name)
            if not known_as:
                return None
            # Folding can replace one letter by two, which a `?` does not match: in doubt, the task is kept.
            found = (wide if folds_to_more(name) else plain).matching(known_as)
            # Also as written: a `?` may be meant for a character that nobody sees.
            if not (name.isascii() and len(name) == len(known_as)):
                found = [*found, *written.matching(name)]
            return tuple(sorted(set(found))) if found else ()

        return lru_cache(MAX_KEPT_NAMES)(matching)

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
        return cls(
            name=request["name"],
            mode=Mode(request["mode"]),
            targets=targets,
            select=Select.read(request["select"]),
            protect=Protect.read(request.get("protect", {})),
            limits=Limits(**request.get("limits", {})),
            stop_running=request["stop_running"],
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON object, with its defaults: an apply reads the policy from the report again."""
        return {
            "name": self.name,
            "mode": self.mode.value,
            "targets": [target.to_dict() for target in self.targets],
            "select": self.select.to_dict(),
            "protect": self.protect.to_dict(),
            "limits": self.limits.to_dict(),
            "stop_running": self.stop_running,
        }


def duration(text: str) -> timedelta:
    """The length of a duration such as ``P7D`` (days) or ``PT12H`` (hours).

    Raises
    ------
    CleanupError
        ``invalid_request`` for anything else, and for less than an hour.
    """
    match = _DURATION.fullmatch(text)
    days, hours = (0, 0) if match is None else (int(number or 0) for number in match.groups())
    length = timedelta(days=days, hours=hours)
    if length < LEAST_AGE:
        raise invalid_request(
            Code.SCHEMA_VIOLATION, "a duration is written as days (P7D) or hours (PT12H), and is an hour at least"
        )
    return length
