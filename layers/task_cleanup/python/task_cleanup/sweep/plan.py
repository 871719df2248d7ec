"""The plan of a sweep: every listed task with its decision, and what speaks against carrying the plan out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from task_cleanup.results import Error
from task_cleanup.sweep.listings import Listing
from task_cleanup.sweep.policy import Limits, Policy, Target
from task_cleanup.sweep.selection import Decision, Judged, counts, judge
from task_cleanup.sweep.services import SERVICES

LIFETIME = timedelta(days=1)  # of a plan, and so of its requests: later, the world may be another


@dataclass(frozen=True)
class Refusal:
    """Why nothing is requested. ``target`` is an index into the targets, None for the whole run."""

    code: str
    message: str
    target: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {"code": self.code, "message": self.message, "target": self.target}


@dataclass(frozen=True)
class TargetPlan:
    """One target's tasks, judged."""

    target: Target
    project_id: str | None
    complete: bool
    error: Error | None
    judged: tuple[Judged, ...]

    @cached_property
    def counts(self) -> dict[str, int]:
        """``found``, and how many there are of each decision."""
        return counts(self.judged)

    def place(self) -> tuple[str | None, ...]:
        """What tells two targets apart once the credentials have named their project. Ids in either case are one."""
        target = self.target
        instance_id = None if target.instance_id is None else target.instance_id.lower()
        return (target.provider, target.service, target.region, self.project_id, instance_id)


@dataclass(frozen=True)
class Plan:
    """What a run found and decided. ``listed_at`` is when it began to look: ages are counted to it."""

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


def make(policy: Policy, listings: Sequence[Listing], now: datetime) -> Plan:
    """Judge every listed task by the policy."""
    return Plan(policy, now, tuple(_judged(listing, policy, now) for listing in listings))


def _judged(listing: Listing, policy: Policy, now: datetime) -> TargetPlan:
    target = listing.target
    can_stop = SERVICES[target.service_id].can_stop
    judged = tuple(judge(task, policy, now, can_stop=can_stop) for task in listing.tasks)
    return TargetPlan(target, listing.project_id, listing.complete, listing.error, judged)


def refusals(plan: Plan) -> tuple[Refusal, ...]:
    """Every guard that speaks against this plan: all of them, so that one look tells what to change."""
    limits = plan.policy.limits
    found = [*_over(limits, plan.totals, None)]
    found += [_too_many(plan)] if plan.totals["selected"] > limits.max_tasks else []
    places: set[tuple[str | None, ...]] = set()
    for number, target in enumerate(plan.targets):
        found += _over(limits, target.counts, number)
        if not target.complete and not limits.allow_incomplete:
            found.append(_incomplete(target, number))
        if target.error is not None:
            continue  # its project may be unknown, and it has no tasks that could count twice
        if target.place() in places:
            found.append(Refusal("SameTarget", "another target is the same project or instance", number))
        places.add(target.place())
    return tuple(found)


def _over(limits: Limits, counted: Mapping[str, int], number: int | None) -> Iterator[Refusal]:
    selected, found = counted["selected"], counted["found"]
    if selected > limits.allowed_of(found):
        message = f"{selected} of {found} tasks are selected, more than max_fraction {limits.max_fraction:g}"
        yield Refusal("FractionTooHigh", message, number)


def _too_many(plan: Plan) -> Refusal:
    selected, most = plan.totals["selected"], plan.policy.limits.max_tasks
    return Refusal("TooManyTasks", f"{selected} tasks are selected, max_tasks is {most}")


def _incomplete(target: TargetPlan, number: int) -> Refusal:
    if target.error is not None:
        return Refusal("ListFailed", f"the list failed: {target.error.code}, {target.error.message}", number)
    message = "the list may not be whole: it was cut by a limit or the time, or it changed while it was read"
    return Refusal("ListIncomplete", message, number)
