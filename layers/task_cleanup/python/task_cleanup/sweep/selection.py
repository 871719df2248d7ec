"""Which of the listed tasks a policy selects, and why each of the others stays. Pure; the clock is an argument."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from task_cleanup.providers.model import Service
from task_cleanup.sweep.names import mixed_scripts, plain_id
from task_cleanup.sweep.policy import AgeFrom, Policy, Protect, RunningSince
from task_cleanup.tasks import Status, Task


class Decision(StrEnum):
    """What a sweep does with a task: it deletes the ``selected``, and keeps the others for the reason named.

    The last four are decided when a plan is carried out: the task is not there any more, is not as it was, was not in
    the plan, or is one whose delete another run has asked for.
    """

    SELECTED = "selected"
    PROTECTED = "protected"
    NOT_DELETABLE = "not_deletable"
    OTHER_STATUS = "other_status"
    OTHER_NAME = "other_name"
    TOO_YOUNG = "too_young"
    AGE_UNKNOWN = "age_unknown"
    GONE = "gone"
    CHANGED = "changed"
    NOT_IN_PLAN = "not_in_plan"
    REQUESTED_BEFORE = "requested_before"


@dataclass(frozen=True)
class Judged:
    """A task with its decision. ``age`` is in seconds; ``stop`` asks to stop it first.

    ``age_from`` is what ``age`` is counted from, a word of ``AgeFrom`` or ``RunningSince``. ``vouched``: it counts as
    deletable only because the policy vouches for its status.
    """

    task: Task
    decision: Decision
    why: str
    age: float | None = None
    stop: bool = False
    age_from: str | None = None
    vouched: bool = False

    def kept(self, decision: Decision, why: str) -> "Judged":
        """The task, kept for another reason."""
        return replace(self, decision=decision, why=why, stop=False)

    def to_dict(self) -> dict[str, Any]:
        """The task's record in a report."""
        return {
            **self.task.to_dict(),
            "decision": self.decision.value,
            "why": self.why,
            "age_seconds": None if self.age is None else round(self.age, 1),
            "age_from": self.age_from,
            "stop_running": self.stop,
            "vouched": self.vouched,
        }


SINCE: Mapping[str, str] = {
    AgeFrom.ENDED: "since it ended",
    AgeFrom.SEEN: "since it was first seen as it is now",
    AgeFrom.INFERRED: "since its inferred end",
    AgeFrom.CREATED: "since it was created",
    RunningSince.STARTED: "since it started",
}


def judge(task: Task, policy: Policy, now: datetime, first_seen: datetime | None, *, service: Service) -> Judged:
    """Judge a task by the first that applies: protected, not deletable, other status or name, no age, too young.

    ``first_seen`` is since when the ledger knows the task as it is now. The age of a task that is to be stopped is
    counted from ``select.running_since``, since it has not ended; that of any other by ``select.age_from``.
    """
    select = policy.select
    stop = service.delete.can_stop and policy.stop_running and task.status is Status.RUNNING and task.stoppable
    vouched = (
        not task.deletable
        and task.provider_status in select.provider_statuses
        and service.can_be_vouched(task.provider_status)
    )
    age_from, age = _age(task, _bases(policy, stop=stop), first_seen, now)
    decision, why = _kept_at_any_age(task, policy, stop=stop, vouched=vouched) or _by_age(
        age_from, age, policy, stop=stop
    )
    if decision is Decision.SELECTED:
        words = (task.status.value, why, "the policy vouches for its status" * vouched, "is stopped first" * stop)
        why = ", ".join(filter(None, words))
    return Judged(
        task,
        decision,
        why,
        None if age is None else age.total_seconds(),
        stop=stop and decision is Decision.SELECTED,
        age_from=age_from,
        vouched=vouched,
    )


def _kept_at_any_age(task: Task, policy: Policy, *, stop: bool, vouched: bool) -> tuple[Decision, str] | None:
    select = policy.select
    guard = protection(policy.protect, task)
    if guard is not None:
        return Decision.PROTECTED, guard
    if not (task.deletable or vouched or (stop and Status.RUNNING in select.statuses)):
        return Decision.NOT_DELETABLE, task.why_not or "the provider would refuse"
    if not vouched and task.status not in select.statuses:
        return Decision.OTHER_STATUS, f"{task.status.value} is not selected"
    if select.names and not select.matcher.matching(task.name):
        return Decision.OTHER_NAME, "its name matches none of select.names"
    return None


def _by_age(age_from: str | None, age: timedelta | None, policy: Policy, *, stop: bool) -> tuple[Decision, str]:
    """The decision about a task that only its age can keep."""
    if age is None or age_from is None:
        return Decision.AGE_UNKNOWN, f"its age is not known from {' or '.join(_bases(policy, stop=stop))}"
    old = f"{age / timedelta(days=1):.1f} days {SINCE[age_from]}"
    if age <= policy.select.min_age:
        return Decision.TOO_YOUNG, f"{old}, not older than {policy.select.older_than}"
    return Decision.SELECTED, old


# -- ages ------------------------------------------------


def _bases(policy: Policy, *, stop: bool) -> tuple[AgeFrom | RunningSince, ...]:
    """What an age may be counted from, in this order."""
    if not stop:
        return policy.select.age_from
    return () if policy.select.running_since is None else (policy.select.running_since,)


# The field of a task from which each basis counts; ``seen`` is the ledger's.
_FIELDS: Mapping[str, str] = {
    AgeFrom.ENDED: "ended_at",
    AgeFrom.INFERRED: "inferred_end_at",
    AgeFrom.CREATED: "created_at",
    RunningSince.STARTED: "started_at",
}


def _age(
    task: Task, bases: Iterable[AgeFrom | RunningSince], first_seen: datetime | None, now: datetime
) -> tuple[str | None, timedelta | None]:
    """The first basis that is known, and the age by it. A time in the future makes the age zero."""
    for basis in bases:
        since = first_seen if basis == AgeFrom.SEEN else getattr(task, _FIELDS[basis])
        if since is not None:
            return str(basis), max(now - since, timedelta(0))
    return None, None


def ages_wanting(
    judged: Iterable[Judged], policy: Policy, now: datetime, first_seen: Callable[[Task], datetime | None]
) -> dict[str, Any]:
    """Of the tasks that stay only for want of an age, how many each other basis would select.

    Those are the tasks without a known age, and those that were not seen for long enough. ``age_from`` counts the
    ones that have ended and ``running_since`` the ones that would be stopped, by basis; ``tasks`` is how many stay.
    """
    ended, running = dict.fromkeys(AgeFrom, 0), dict.fromkeys(RunningSince, 0)
    stay = 0
    for item in judged:
        by_seen = item.decision is Decision.TOO_YOUNG and item.age_from == AgeFrom.SEEN
        if item.decision is not Decision.AGE_UNKNOWN and not by_seen:
            continue
        stay += 1
        # What was judged as far as its age, and cannot be deleted as it is, would be stopped.
        would_be_stopped = not item.task.deletable and not item.vouched
        wanted: dict[Any, int] = running if would_be_stopped else ended
        seen = first_seen(item.task)
        for basis in wanted:
            _, age = _age(item.task, (basis,), seen, now)
            wanted[basis] += age is not None and age > policy.select.min_age
    return {
        "tasks": stay,
        "age_from": {basis.value: count for basis, count in ended.items()},
        "running_since": {basis.value: count for basis, count in running.items()},
    }


# -- protection ------------------------------------------------


def protection(protect: Protect, task: Task) -> str | None:
    """Why this task is protected, or None. Ids are compared plain, and names folded: in doubt, a task is kept."""
    if plain_id(task.task_id) in protect.by_plain_id:
        return "its id is in protect.task_ids"
    if not protect.names:
        return None
    named = False
    for name in (task.name, *task.also_named):
        found = protect.matching(name)
        if found:
            return f"its name matches {protect.names[found[0]]} in protect.names"
        named = named or found is not None
    if not named:
        return "it has no name, so protect.names cannot be judged"
    for name in (task.name, *task.also_named):
        if scripts := mixed_scripts(name):
            return f"its name mixes letters of {' and '.join(scripts)}, so protect.names cannot be judged"
    return None


@dataclass(frozen=True)
class GuardMatches:
    """How many tasks each entry of ``protect`` matched, and how many tasks have a name that mixes scripts."""

    task_ids: Mapping[str, int]
    names: Mapping[str, int]
    mixed_scripts: int

    def to_dict(self) -> dict[str, Any]:
        """The JSON object; an entry that matched nothing is there, with 0."""
        return {"task_ids": dict(self.task_ids), "names": dict(self.names), "mixed_scripts": self.mixed_scripts}


def guard_matches(protect: Protect, tasks: Iterable[Task]) -> GuardMatches:
    """Count for each entry the tasks that it matched, whatever else protects them."""
    ids, names = dict.fromkeys(sorted(protect.task_ids), 0), dict.fromkeys(protect.names, 0)
    mixed = 0
    for task in tasks:
        for task_id in protect.by_plain_id.get(plain_id(task.task_id), ()):
            ids[task_id] += 1
        known_as = (task.name, *task.also_named)
        for number in {number for name in known_as for number in protect.matching(name) or ()}:
            names[protect.names[number]] += 1
        mixed += any(map(mixed_scripts, known_as))
    return GuardMatches(ids, names, mixed)


Counts = Mapping[str, int]


def counts(judged: tuple[Judged, ...]) -> dict[str, int]:
    """``found``, and how many there are of each decision. The ``gone`` are not found."""
    found = {"found": 0, **{decision.value: 0 for decision in Decision}}
    for item in judged:
        found[item.decision.value] += 1
        found["found"] += item.decision is not Decision.GONE
    return found
