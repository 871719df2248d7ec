"""Which of the listed tasks a policy selects, and why each of the others stays. Pure; the clock is an argument."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from task_cleanup.sweep.policy import Policy, Protect, folded
from task_cleanup.tasks import AgeBasis, Status, Task


class Decision(StrEnum):
    """What a sweep does with a task: it deletes the ``selected``, and keeps the others for the reason named."""

    SELECTED = "selected"
    PROTECTED = "protected"
    NOT_DELETABLE = "not_deletable"
    OTHER_STATUS = "other_status"
    OTHER_NAME = "other_name"
    TOO_YOUNG = "too_young"
    AGE_UNKNOWN = "age_unknown"


@dataclass(frozen=True)
class Judged:
    """A task with its decision. ``age`` is in seconds; ``stop`` asks to stop it first."""

    task: Task
    decision: Decision
    why: str
    age: float | None = None
    stop: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The task's record in a report."""
        return {
            **self.task.to_dict(),
            "decision": self.decision.value,
            "why": self.why,
            "age_seconds": None if self.age is None else round(self.age, 1),
            "stop_running": self.stop,
        }


def judge(task: Task, policy: Policy, now: datetime, *, can_stop: bool) -> Judged:
    """Judge a task by the first that applies: protected, not deletable, other status or name, no age, too young.

    ``can_stop`` says whether the service stops a running task before it deletes it. The age of such a task is counted
    from its start, since it has not ended.
    """
    stop = can_stop and policy.stop_running and task.status is Status.RUNNING
    since = _since(task, stop=stop)
    age = None if since is None else (now - since).total_seconds()
    decision, why = _decide(task, policy, age, stop=stop)
    return Judged(task, decision, why, age, stop=stop and decision is Decision.SELECTED)


def _decide(task: Task, policy: Policy, age: float | None, *, stop: bool) -> tuple[Decision, str]:
    select = policy.select
    guard = protection(policy.protect, task.task_id, task.name)
    deletable = task.deletable or (stop and Status.RUNNING in select.statuses)
    named = not select.names or any(matches(task.name, pattern) for pattern in select.names)
    young = age is not None and age <= select.min_age.total_seconds()
    stays = (
        (guard is not None, Decision.PROTECTED, guard or ""),
        (not deletable, Decision.NOT_DELETABLE, task.why_not or "the provider would refuse"),
        (task.status not in select.statuses, Decision.OTHER_STATUS, f"{task.status.value} is not selected"),
        (not named, Decision.OTHER_NAME, "its name matches none of select.names"),
        (age is None, Decision.AGE_UNKNOWN, "nothing tells its age"),
        (young, Decision.TOO_YOUNG, f"{_days(age)}, not older than {select.older_than}"),
    )
    selected = (Decision.SELECTED, f"{task.status.value}, {_days(age)}")
    return next(((decision, why) for holds, decision, why in stays if holds), selected)


def _since(task: Task, *, stop: bool) -> datetime | None:
    if stop:
        return task.created_at or task.started_at
    bases = {
        AgeBasis.ENDED: task.ended_at,
        AgeBasis.INFERRED: task.inferred_end_at,
        AgeBasis.CREATED: task.created_at,
    }
    return None if task.age_basis is None else bases[task.age_basis]


def _days(age: float | None) -> str:
    return "of unknown age" if age is None else f"{age / 86400:.1f} days old"


def protection(protect: Protect, task_id: str, name: str) -> str | None:
    """Why this task is protected, or None. Ids and names are compared ``folded``: in doubt, a task is kept."""
    if folded(task_id) in protect.folded_ids:
        return "its id is in protect.task_ids"
    known_as = folded(name) if protect.names else ""
    if protect.names and not known_as:
        return "it has no name, so protect.names cannot be judged"
    for pattern, folded_pattern in protect.folded_names:
        # Also as written: folding can replace one letter by two, which a `?` does not match.
        if matches(known_as, folded_pattern) or matches(name, pattern):
            return f"its name matches {pattern} in protect.names"
    return None


def matches(name: str, pattern: str) -> bool:
    """Whether the pattern matches the whole name. Only ``*`` and ``?`` are wildcards: names can have brackets."""
    return fnmatchcase(name, pattern.replace("[", "[[]"))


Counts = Mapping[str, int]


def counts(judged: tuple[Judged, ...]) -> dict[str, int]:
    """``found``, and how many there are of each decision."""
    found = {"found": len(judged), **{decision.value: 0 for decision in Decision}}
    for item in judged:
        found[item.decision.value] += 1
    return found
