"""The numbers that the page draws: tasks by age and by status, and the selection beside the policy's limits."""

from bisect import bisect
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from task_cleanup.sweep.page.words import DAY, Json, counted, share
from task_cleanup.sweep.policy import Limits
from task_cleanup.sweep.selection import Decision
from task_cleanup.tasks import Status

_AGE_BOUNDS = (1.0, 7.0, 30.0, 90.0)  # days
_AGES = ("Under 1 day", "1 to 7 days", "7 to 30 days", "30 to 90 days", "90 days or more")
_NO_AGE = "Unknown"


@dataclass(frozen=True)
class Chart:
    """A bar chart: for each bar its label, how many tasks are selected and how many are kept."""

    title: str
    bars: tuple[tuple[str, int, int], ...]

    @property
    def longest(self) -> int:
        """How many tasks the longest bar has."""
        return max((selected + kept for _, selected, kept in self.bars), default=0)


@dataclass(frozen=True)
class Meter:
    """A number beside its limit. ``over`` can hold although ``value`` is within: one target alone may be over."""

    label: str
    words: str
    verdict: str
    over: bool
    value: float
    limit: float


def bucket(seconds: float | None) -> str:
    """The name of the bar that an age counts in."""
    return _NO_AGE if seconds is None else _AGES[bisect(_AGE_BOUNDS, seconds / DAY)]


# How many tasks have this title and bar, selected (True) or kept.
Spread = Counter[tuple[str, str, bool]]


def spread(tasks: Iterable[Json]) -> Spread:
    """Count the tasks that were found by age and by status. Raises ValueError for a status that has no bar."""
    counts: Spread = Counter()
    for task in tasks:
        if task["decision"] == Decision.GONE:
            continue
        selected = task["decision"] == Decision.SELECTED
        counts["age", bucket(task["age_seconds"]), selected] += 1
        counts["status", Status(task["status"]).value, selected] += 1
    return counts


def charts(counts: Spread) -> tuple[Chart, Chart]:
    """Both charts. Every age has a bar, so that targets can be compared; a status has one if a task has it."""
    statuses = [status.value for status in Status]
    by_status = [bar for bar in _bars(counts, "status", statuses) if bar[1] + bar[2]]
    return Chart("age", _bars(counts, "age", (*_AGES, _NO_AGE))), Chart("status", tuple(by_status))


def _bars(counts: Spread, title: str, labels: Sequence[str]) -> tuple[tuple[str, int, int], ...]:
    return tuple((label.capitalize(), counts[title, label, True], counts[title, label, False]) for label in labels)


def meters(report: Json) -> tuple[Meter, Meter]:
    """The limits on numbers. The fraction holds for the whole run and for every target alone."""
    limits, totals = Limits(**report["policy"]["limits"]), report["totals"]
    found, selected = totals["found"], totals["selected"]
    spare = limits.max_tasks - selected
    tasks = Meter(
        "Selected tasks",
        f"{selected:,} of at most {counted(limits.max_tasks, 'task')}",
        f"{-spare:,} over the limit" if spare < 0 else f"within the limit, {spare:,} to spare",
        over=spare < 0,
        value=selected,
        limit=limits.max_tasks,
    )
    over = _over_fraction(limits, totals)
    alone = sum(_over_fraction(limits, target["counts"]) for target in report["targets"])
    each = f"; {counted(alone, 'target')} over it alone" if alone else ", as is every target alone"
    fraction = Meter(
        "Share of what was found",
        f"{share(selected, found)} of {found:,} found; at most {100 * limits.max_fraction:.4g} %",
        f"{'over' if over else 'within'} the limit{each}",
        over=over or alone > 0,
        value=selected / found if found else 0.0,
        limit=limits.max_fraction,
    )
    return tasks, fraction


def _over_fraction(limits: Limits, counts: Json) -> bool:
    return bool(counts["selected"] > limits.allowed_of(counts["found"]))
