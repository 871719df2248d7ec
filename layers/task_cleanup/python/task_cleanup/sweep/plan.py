"""The plan of a sweep: every listed task with its decision, and the refusals that forbid to carry the plan out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from task_cleanup.credentials import DEFAULT_ACCOUNT
from task_cleanup.errors import SweepCode, TaskCleanupError
from task_cleanup.results import Error
from task_cleanup.sweep.lister import TargetListing
from task_cleanup.sweep.policy import Limits, Policy, SweepTarget
from task_cleanup.sweep.selection import Decision, Judged, counts, judge
from task_cleanup.sweep.services import SERVICES
from task_cleanup.validation import pointer

# How long a saved report can be applied, and how long its delete requests stay valid (`not_after`).
LIFETIME = timedelta(days=1)


@dataclass(frozen=True)
class Refusal:
    """Why nothing is requested. ``target`` is an index into the targets, None for the whole run."""

    code: str
    message: str
    target: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {"code": str(self.code), "message": self.message, "target": self.target}


class RunRefusedError(TaskCleanupError):
    """Ends a run without requests, for these refusals."""

    def __init__(self, *found: Refusal) -> None:
        super().__init__(found[0].code)
        self.refusals = found


@dataclass(frozen=True)
class TargetPlan:
    """One target's tasks, judged."""

    target: SweepTarget
    project_id: str | None
    complete: bool
    error: Error | None
    judged: tuple[Judged, ...]

    @cached_property
    def counts(self) -> dict[str, int]:
        """``found``, and how many there are of each decision."""
        return counts(self.judged)

    def place(self) -> tuple[str | None, ...]:
        """Identifies what was listed, with the project of the credentials; the case of ``instance_id`` is ignored."""
        target = self.target
        instance_id = None if target.instance_id is None else target.instance_id.lower()
        return (target.provider, target.service, target.region, self.project_id, instance_id)


@dataclass(frozen=True)
class Plan:
    """What a run found and decided. ``listed_at`` is when it began to list; ages are those at that time."""

    policy: Policy
    listed_at: datetime
    targets: tuple[TargetPlan, ...]

    def selected(self) -> Iterator[tuple[TargetPlan, Judged]]:
        """The tasks that an apply requests, in the order of the targets."""
        for target in self.targets:
            for item in target.judged:
                if item.decision is Decision.SELECTED:
                    yield target, item

    @cached_property
    def totals(self) -> dict[str, int]:
        """The sum of the targets' counts."""
        each = [target.counts for target in self.targets]
        return {name: sum(item[name] for item in each) for name in counts(())}


def make(policy: Policy, listings: Sequence[TargetListing], now: datetime) -> Plan:
    """Judge every listed task by the policy."""
    return Plan(policy, now, tuple(_judged(listing, policy, now) for listing in listings))


def _judged(listing: TargetListing, policy: Policy, now: datetime) -> TargetPlan:
    target = listing.target
    can_stop = SERVICES[target.service_id].delete.can_stop
    judged = tuple(judge(task, policy, now, can_stop=can_stop) for task in listing.tasks)
    return TargetPlan(target, listing.project_id, listing.complete, listing.error, judged)


def refusals(plan: Plan) -> tuple[Refusal, ...]:
    """Every reason that forbids this plan, not only the first, so that one report shows all that must change."""
    limits = plan.policy.limits
    found = [*_over(limits, plan.totals)]
    found += [_too_many(plan)] if plan.totals["selected"] > limits.max_tasks else []
    places: set[tuple[str | None, ...]] = set()
    for number, target in enumerate(plan.targets):
        found += [_of_target(over.code, over.message, number, target.target) for over in _over(limits, target.counts)]
        if not target.complete and not limits.allow_incomplete:
            found.append(_incomplete(target, number))
        if target.error is not None:
            continue  # its project may be unknown, and it has no tasks that could count twice
        if target.place() in places:
            message = "an earlier target is the same project or instance: take one of them out of the policy"
            found.append(_of_target(SweepCode.SAME_TARGET, message, number, target.target))
        places.add(target.place())
    return tuple(found)


def _of_target(code: str, message: str, number: int, target: SweepTarget) -> Refusal:
    return Refusal(code, f"{target_prefix(number, target)}{message}", number)


def target_prefix(number: int, target: SweepTarget) -> str:
    """``/targets/1 (huawei oms cn-north-4): ``, the beginning of a refusal's message that is about one target."""
    words = [target.provider, target.service, target.region]
    words += [] if target.account == DEFAULT_ACCOUNT else [f"account {target.account}"]
    words += [word for word in (target.project_id, target.instance_id) if word is not None]
    return f"{pointer('targets', str(number))} ({' '.join(words)}): "


_REMEDY = "in the policy, and make a new report"


def _over(limits: Limits, counted: Mapping[str, int]) -> Iterator[Refusal]:
    selected, found = counted["selected"], counted["found"]
    allowed = limits.allowed_of(found)
    if selected > allowed:
        message = (
            f"{selected:,} of {found:,} tasks are selected, and limits.max_fraction {limits.max_fraction:g} allows "
            f"{allowed:,} of them; if they may all go, raise it {_REMEDY}"
        )
        yield Refusal(SweepCode.FRACTION_TOO_HIGH, message)


def _too_many(plan: Plan) -> Refusal:
    selected, most = plan.totals["selected"], plan.policy.limits.max_tasks
    message = (
        f"{selected:,} tasks are selected, and limits.max_tasks allows {most:,}; "
        f"if they may all go, raise it {_REMEDY}"
    )
    return Refusal(SweepCode.TOO_MANY_TASKS, message)


def _incomplete(planned: TargetPlan, number: int) -> Refusal:
    if planned.error is not None:
        message = f"the list failed: {planned.error.code}, {planned.error.message}"
        return _of_target(SweepCode.LIST_FAILED, message, number, planned.target)
    message = (
        f"the list may not be whole: its limit of {planned.target.limit:,} tasks or the time cut it, or it changed "
        "while it was read; ask again, or raise the target's limit"
    )
    return _of_target(SweepCode.LIST_INCOMPLETE, message, number, planned.target)
