"""The plan of a sweep: every listed task with its decision, and the refusals that forbid to carry the plan out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from task_cleanup.credentials import DEFAULT_ACCOUNT
from task_cleanup.errors import SweepCode, TaskCleanupError
from task_cleanup.results import Error
from task_cleanup.sweep.ledger import Ledger
from task_cleanup.sweep.lister import TargetListing
from task_cleanup.sweep.policy import Limits, Policy, SweepTarget
from task_cleanup.sweep.selection import Decision, Judged, ages_wanting, counts, judge
from task_cleanup.sweep.services import SERVICES
from task_cleanup.validation import pointer, shared_pattern

# How long a saved report can be applied, and an apply carried out after it was first sent.
LIFETIME = timedelta(days=1)


@dataclass(frozen=True)
class Place:
    """What was listed, with the project of the credentials. ``instance_id`` is in small letters."""

    provider: str
    service: str
    region: str
    project_id: str | None
    instance_id: str | None


def place_of(target: SweepTarget, project_id: str | None) -> Place:
    """Where this target's tasks are."""
    instance_id = None if target.instance_id is None else target.instance_id.lower()
    return Place(target.provider, target.service, target.region, project_id, instance_id)


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
    """One target's tasks, judged. ``ages_begin_anew``: they were not seen for too long, so they are new again.

    ``policy_target`` is the index of the policy's target that it comes from. ``vanished``: the instance is not found
    any more, so that its tasks are all gone.
    """

    target: SweepTarget
    project_id: str | None
    complete: bool
    error: Error | None
    judged: tuple[Judged, ...]
    ages_begin_anew: bool = False
    policy_target: int = 0
    vanished: bool = False

    @cached_property
    def counts(self) -> dict[str, int]:
        """``found``, and how many there are of each decision."""
        return counts(self.judged)

    @property
    def place(self) -> Place:
        """See ``place_of``."""
        return place_of(self.target, self.project_id)


@dataclass(frozen=True)
class Plan:
    """What a run found and decided. ``listed_at`` is when it began to list; ages are those at that time.

    ``ages_wanting`` says how many tasks stay only for want of an age, and which basis would select them.
    """

    policy: Policy
    listed_at: datetime
    targets: tuple[TargetPlan, ...]
    ages_wanting: Mapping[str, Any]

    def instances_found(self) -> list[dict[str, int | None]]:
        """For each target of the policy with ``instance_ids``, how many instances were found; None: not known."""
        found: list[dict[str, int | None]] = []
        for number, asked in enumerate(self.policy.targets):
            if asked.instance_ids is not None:
                here = [planned for planned in self.targets if not planned.vanished]
                own = [planned.target for planned in here if planned.policy_target == number]
                known = all(target.instance_ids is None for target in own)
                found.append({"policy_target": number, "found": len(own) if known else None})
        return found

    @cached_property
    def totals(self) -> dict[str, int]:
        """The sum of the targets' counts."""
        each = [target.counts for target in self.targets]
        return {name: sum(item[name] for item in each) for name in counts(())}


def make(
    policy: Policy, listings: Sequence[TargetListing], ledgers: Sequence[Ledger], now: datetime, run_id: str
) -> Plan:
    """Judge every listed task by the policy. ``ledgers`` are those of the listings' places, in the same order."""
    pairs = list(zip(listings, ledgers, strict=True))
    seen = {id(task): ledger.first_seen(task, now) for listing, ledger in pairs for task in listing.tasks}

    def judged(listing: TargetListing, ledger: Ledger) -> TargetPlan:
        service = SERVICES[listing.target.service_id]
        is_id = shared_pattern(service.delete.id_rule).search
        # A record of what was deleted is no task: of many records, a part would be all the tasks that there are.
        tasks = (task for task in listing.tasks if task.provider_status not in service.look.gone_statuses)
        items = (_asked_by_id(judge(task, policy, now, seen[id(task)], service=service), is_id) for task in tasks)
        once = tuple(_once(item, ledger, now, run_id) for item in items)
        planned = TargetPlan(listing.target, listing.project_id, listing.complete, listing.error, once)
        return replace(planned, ages_begin_anew=ledger.began_anew, policy_target=listing.policy_target)

    targets = tuple(judged(listing, ledger) for listing, ledger in pairs)
    everything = (item for target in targets for item in target.judged)
    wanting = ages_wanting(everything, policy, now, lambda task: seen[id(task)])
    return Plan(policy, now, targets, wanting)


def _asked_by_id(item: Judged, is_id: Callable[[str], object]) -> Judged:
    """Keep a task whose id the delete would refuse: the request could not be counted, and would never end."""
    if item.decision is not Decision.SELECTED or is_id(item.task.task_id):
        return item
    return item.kept(Decision.NOT_DELETABLE, "its id does not look like a task's id, so it cannot be asked for")


def _once(item: Judged, ledger: Ledger, now: datetime, run_id: str) -> Judged:
    """Keep a task that another run has asked for, as long as that request can still be carried out."""
    if item.decision is not Decision.SELECTED:
        return item
    other = ledger.asked_by_another(item.task.task_id, run_id, now)
    if other is None:
        return item
    return item.kept(Decision.REQUESTED_BEFORE, f"the run {other} has asked for it, and its request may still wait")


def refusals(plan: Plan) -> tuple[Refusal, ...]:
    """Every reason that forbids this plan, not only the first, so that one report shows all that must change."""
    limits = plan.policy.limits
    found = [*_over(limits, plan.totals)]
    found += [_too_many(plan)] if plan.totals["selected"] > limits.max_tasks else []
    places: set[Place] = set()
    for number, target in enumerate(plan.targets):
        found += [_of_target(over.code, over.message, number, target) for over in _over(limits, target.counts)]
        if not target.complete and not limits.allow_incomplete:
            found.append(_incomplete(target, number))
        if target.error is not None:
            continue  # its project may be unknown, and it has no tasks that could count twice
        if target.place in places:
            message = "an earlier target is the same project or instance: take one of them out of the policy"
            found.append(_of_target(SweepCode.SAME_TARGET, message, number, target))
        places.add(target.place)
    return tuple(found)


def _of_target(code: str, message: str, number: int, planned: TargetPlan) -> Refusal:
    return Refusal(code, f"{target_prefix(planned.policy_target, planned.target)}{message}", number)


def target_prefix(number: int, target: SweepTarget) -> str:
    """``/targets/1 (huawei oms cn-north-4): ``, the beginning of a refusal's message that is about one target.

    ``number`` is the index in the policy, where people look for it.
    """
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
            f"{allowed:,} of them; if all of them may be deleted, raise it {_REMEDY}"
        )
        yield Refusal(SweepCode.FRACTION_TOO_HIGH, message)


def _too_many(plan: Plan) -> Refusal:
    selected, most = plan.totals["selected"], plan.policy.limits.max_tasks
    message = (
        f"{selected:,} tasks are selected, and limits.max_tasks allows {most:,}; "
        f"if all of them may be deleted, raise it {_REMEDY}"
    )
    return Refusal(SweepCode.TOO_MANY_TASKS, message)


def _incomplete(planned: TargetPlan, number: int) -> Refusal:
    if planned.error is not None:
        message = f"the list failed: {planned.error.code}, {planned.error.message}"
        return _of_target(SweepCode.LIST_FAILED, message, number, planned)
    message = (
        f"the list may not be whole: its limit of {planned.target.limit:,} tasks or the time ended it, or it changed "
        "while it was read; ask again, or raise the target's limit"
    )
    return _of_target(SweepCode.LIST_INCOMPLETE, message, number, planned)
