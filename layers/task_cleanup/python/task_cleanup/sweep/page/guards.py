"""What kept tasks and what would not: how many tasks each entry of ``protect`` matched, and what an age lacks."""

from dataclasses import dataclass

from task_cleanup.sweep.page.words import Json
from task_cleanup.sweep.selection import SINCE


@dataclass(frozen=True)
class Guard:
    """An entry of ``protect``, in its member ``task_ids`` or ``names``, and how many tasks it matched."""

    member: str
    entry: str
    tasks: int


def guards(report: Json) -> list[Guard]:
    """Every entry of ``protect``. Those that matched nothing are first: they may be misspelt."""
    members = ("names", "task_ids")
    found = [Guard(member, *item) for member in members for item in report["guards"][member].items()]
    return sorted(found, key=lambda guard: guard.tasks > 0)


@dataclass(frozen=True)
class Basis:
    """What an age could be counted from: the policy's member, its word, and how many tasks it would select."""

    member: str
    word: str
    since: str
    tasks: int


# Why a basis can be wrong: it makes a task look older than it is.
CAUTIONS = {
    "inferred": "A task that was paused has ended later than this time.",
    "created": "Such a task can have ended a moment ago.",
    "started": "Such a task can still be doing its work.",
}


def bases(report: Json) -> list[Basis]:
    """Of the tasks that stay only for want of an age: which basis would select some, the most cautious first."""
    wanting = report["ages_wanting"]
    return [
        Basis(member, word, SINCE[word], tasks)
        for member in ("age_from", "running_since")
        for word, tasks in wanting[member].items()
        if tasks
    ]
