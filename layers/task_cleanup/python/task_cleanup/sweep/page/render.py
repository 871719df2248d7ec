"""A sweep's report as one HTML page, by which people decide whether tasks are deleted.

``report.html.j2`` lays the report's own members out and has the sentences; what has to be computed is made here.
Names come from strangers: the template escapes all text, isolates its direction, and shows unseen characters by
their number (``words.visible``).
"""

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from task_cleanup.providers.model import PROVIDERS
from task_cleanup.sweep.ledger import MAX_GAP
from task_cleanup.sweep.page import commands, words
from task_cleanup.sweep.page.charts import Chart, Spread, charts, meters, spread
from task_cleanup.sweep.page.checks import contradictions, flag, problem, remedy
from task_cleanup.sweep.page.guards import CAUTIONS, bases, guards
from task_cleanup.sweep.page.words import DECISIONS, Json
from task_cleanup.sweep.plan import LIFETIME
from task_cleanup.sweep.policy import duration
from task_cleanup.sweep.selection import Decision
from task_cleanup.times import in_words, parse_time, rfc3339

# The page of any report must open on a phone: the rows of one target, and of all targets together.
ROWS_PER_TARGET = 200
ROWS_PER_PAGE = 4_000
FEWEST_ROWS = 5
OPEN_TARGETS = 8


@dataclass(frozen=True)
class TargetView:
    """One target of the report, its charts, and the tasks that have a row."""

    anchor: str
    target: Json
    charts: tuple[Chart, ...]
    rows: Sequence[Json]


@dataclass(frozen=True)
class ProviderView:
    """One provider's targets, and the sum of their counts."""

    title: str
    targets: list[TargetView] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def summary(self) -> str:
        """``3 targets: at least 1,234 found, 900 kept, 334 selected; 1 list incomplete or failed``."""
        troubled = sum(bool(flag(view.target)) for view in self.targets)
        least = "at least " if troubled else ""
        also = f"; {words.counted(troubled, 'list')} incomplete or failed" if troubled else ""
        found, kept, selected = self.counts["found"], words.kept(self.counts), self.counts["selected"]
        targets = words.counted(len(self.targets), "target")
        return f"{targets}: {least}{found:,} found, {kept:,} kept, {selected:,} selected{also}"


def rows_allowed(found: Sequence[int]) -> int:
    """How many rows each target may have, the same for all, so that the page has at most ``ROWS_PER_PAGE``."""
    for rows in range(ROWS_PER_TARGET, FEWEST_ROWS, -1):
        if sum(min(rows, tasks) for tasks in found) <= ROWS_PER_PAGE:
            return rows
    return FEWEST_ROWS


_RANK: Mapping[str, int] = {decision: rank for rank, decision in enumerate(DECISIONS)}


def _order(task: Json) -> tuple[int, float]:
    """Selected first, then decision by decision, the oldest first."""
    age = task["age_seconds"]
    return _RANK[task["decision"]], float("inf") if age is None else -age


def _providers(targets: Sequence[Json], spreads: Sequence[Spread], rows: int) -> list[ProviderView]:
    """The targets by provider, in the report's order."""
    views: dict[str, ProviderView] = {}
    for number, (target, counts) in enumerate(zip(targets, spreads, strict=True), 1):
        name = target["provider"]
        provider = views.setdefault(name, ProviderView(PROVIDERS[name]))
        shown = heapq.nsmallest(rows, target["tasks"], key=_order)
        provider.targets.append(TargetView(f"t{number}", target, charts(counts), shown))
        provider.counts.update(target["counts"])
    return list(views.values())


def _instances(report: Json) -> list[tuple[str, int | None]]:
    """Each target of the policy that is all instances of a place, and how many were found."""
    asked = report["policy"]["targets"] if report["instances"] else ()
    return [
        (words.target_label({**asked[each["policy_target"]], "instance_id": None}), each["found"])
        for each in report["instances"]
    ]


@cache
def template(name: str) -> Template:
    """A template of this folder, in which every text is escaped and made visible."""
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=words.visible,
        loader=FileSystemLoader(Path(__file__).parent),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=words.number,
        counted=words.counted,
        cut=words.cut,
        age=words.age_in_words,
        moment=words.moment,
        duration=lambda text: in_words(duration(text)),
    )
    environment.globals.update(words=words, commands=commands, flag=flag, problem=problem, remedy=remedy)
    return environment.get_template(name)


def page(report: Mapping[str, Any], saved: Mapping[str, str]) -> str:
    """The report as one HTML document: no script, no outside asset, at most ``ROWS_PER_PAGE`` tasks.

    ``report`` is what ``report.ended`` makes. ``saved`` says where the report is, and its digest, as the member
    ``report`` of a summary does.

    Raises
    ------
    KeyError, ValueError, jinja2.UndefinedError
        For a report that is not of the shape, or that has a word the page does not know: a page that guessed at an
        outcome or a decision would be worse than none.
    """
    totals, targets = report["totals"], report["targets"]
    row_limit = rows_allowed([len(target["tasks"]) for target in targets])
    spreads = [spread(target["tasks"]) for target in targets]
    wrong = contradictions(report)
    tasks = (task for target in targets for task in target["tasks"])
    return template("report.html.j2").render(
        report=report,
        totals=totals,
        outcome=report["outcome"],
        headline=words.headline(report["outcome"], totals),
        took=words.took(report),
        saved=saved,
        no_plan=commands.no_plan(report, wrong),
        # The page has no clock: it shows until when the plan can be applied, not whether that time is over.
        plan_until=rfc3339(parse_time(report["listed_at"]) + LIFETIME),
        wrong=wrong,
        troubled=[index for index, target in enumerate(targets) if flag(target)],
        to_stop=sum(task["decision"] == Decision.SELECTED and task["stop_running"] for task in tasks),
        applied=report["outcome"] == "requested" or bool(totals["requested"] or totals["failed"]),
        guards=guards(report),
        bases=bases(report),
        cautions=CAUTIONS,
        gap=in_words(MAX_GAP),
        anew=[index for index, target in enumerate(targets) if target["ages_begin_anew"]],
        meters=meters(report),
        charts=charts(sum(spreads, Spread())),
        instances=_instances(report),
        providers=_providers(targets, spreads, row_limit),
        folded=len(targets) > OPEN_TARGETS,
        row_limit=row_limit,
    )
