"""A sweep's report as one HTML page, by which people decide whether tasks are deleted.

All that is counted, compared or worded is made here, as frozen view objects; ``page.html.j2`` only lays it out.
Names come from strangers: the template escapes everything, isolates the direction of their text, and shows
characters that one cannot see by their number (``visible``).
"""

import heapq
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from task_cleanup.providers.model import PROVIDERS
from task_cleanup.sweep.services import SERVICES
from task_cleanup.tasks import Status
from task_cleanup.times import parse_time, rfc3339

Json = Mapping[str, Any]

ROWS_PER_TARGET = 200
# So that the page of any report opens on a phone: the rows of all targets together.
ROWS_PER_PAGE = 4_000
FEWEST_ROWS = 5
OPEN_TARGETS = 8
PROBLEMS_ON_TOP = 12
VALUES_SHOWN = 20
NAME_CHARACTERS = 240
MESSAGE_CHARACTERS = 1_000
PLAN_HOURS = 24

_SECONDS_A_DAY = 86_400.0


# -- words ---------------------------------------------------------------------


@dataclass(frozen=True)
class Decision:
    """A decision in words. ``key`` is also the name of its style."""

    key: str
    label: str
    meaning: str


# In the order of every bar and every table. What is kept follows what is selected.
DECISIONS = (
    Decision("selected", "Selected", "for deletion by this policy"),
    Decision("age_unknown", "Age unknown", "kept: no usable time to count from"),
    Decision("too_young", "Too young", "kept: not old enough"),
    Decision("other_name", "Other name", "kept: the name matches no pattern"),
    Decision("other_status", "Other status", "kept: this status is not asked for"),
    Decision("protected", "Protected", "kept: the policy protects its id or name"),
    Decision("not_deletable", "Not deletable", "kept: the provider would refuse"),
)
_DECISION = {decision.key: decision for decision in DECISIONS}
_RANK = {decision.key: rank for rank, decision in enumerate(DECISIONS)}
_KEPT = tuple(decision.key for decision in DECISIONS if decision.key != "selected")
_COUNTS = ("found", *_DECISION, "requested", "failed")

_BASES = {"ended": "since it ended", "created": "since it was created", None: "no usable time"}

_AGE_BOUNDS = (1.0, 7.0, 30.0, 90.0)
_AGES = ("Under 1 day", "1 to 7 days", "7 to 30 days", "30 to 90 days", "90 days or more", "Unknown")

# Joiners belong to emoji and to several scripts; the wide blank is the ordinary one beside Chinese and Japanese.
_KEPT_CHARACTERS = frozenset("\u200c\u200d\u3000")


def visible(value: object) -> object:
    """A text whose control, direction and other unseen characters are shown as ``[U+202E]``; the rest as it is.

    It is the template's ``finalize``, so that no text gets past it; nor does half a surrogate pair, which a JSON
    string may hold and which no encoder takes.
    """
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return "".join(c if c.isprintable() or c in _KEPT_CHARACTERS else f"[U+{ord(c):04X}]" for c in value)


def number(value: int) -> str:
    """``1,234``."""
    return f"{value:,}"


def counted(value: int, one: str, many: str | None = None) -> str:
    """``1 task``, ``1,234 tasks``."""
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def share(part: float, whole: float) -> str:
    """A percentage that never rounds something to nothing, nor almost all to all."""
    if not whole:
        return "0 %"
    percent = 100 * part / whole
    if percent in {0, 100}:
        return f"{percent:.0f} %"
    if percent < 0.1:
        return "< 0.1 %"
    if 99.9 < percent < 100:
        return "> 99.9 %"
    return f"{percent:.1f} %"


def age_in_words(seconds: float | None) -> str:
    """``12.3 days``, rounded down: a task that is not yet 7 days old must not read ``7.0 days``."""
    if seconds is None:
        return "unknown"
    if seconds < 0:
        return "in the future"
    for unit, length, below in (("minutes", 60, 3600), ("hours", 3600, 2 * _SECONDS_A_DAY)):
        if seconds < below:
            return f"{int(seconds / length * 10) / 10:,.1f} {unit}"
    return f"{int(seconds / _SECONDS_A_DAY * 10) / 10:,.1f} days"


_DURATION = re.compile(r"P(?:([0-9]+)W)?(?:([0-9]+)D)?(?:T(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+)S)?)?", re.ASCII)


def duration_in_words(text: str) -> str:
    """``P7D`` is ``7 days``. What is not weeks, days, hours, minutes and seconds stays as it is."""
    match = _DURATION.fullmatch(text)
    units = zip(match.groups(), ("week", "day", "hour", "minute", "second"), strict=True) if match else ()
    return " ".join(counted(int(value), unit) for value, unit in units if value) or text


def elapsed(seconds: float) -> str:
    """``4 min 12 s``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def bucket(seconds: float | None) -> str:
    """The name of the age's bucket."""
    if seconds is None:
        return _AGES[-1]
    return _AGES[sum(seconds / _SECONDS_A_DAY >= bound for bound in _AGE_BOUNDS)]


# -- what the template is given --------------------------------------------------


@dataclass(frozen=True)
class When:
    """A moment: for machines, and for people."""

    machine: str
    words: str


@dataclass(frozen=True)
class Cut:
    """A text of which the middle may be left out; ``tail`` is empty where nothing is."""

    head: str
    tail: str
    left_out: int


@dataclass(frozen=True)
class Part:
    """One decision's part of what was found."""

    key: str
    label: str
    meaning: str
    count: int
    share: str


@dataclass(frozen=True)
class Split:
    """How what was found splits into decisions; ``words`` is the bar for those who do not see it."""

    parts: tuple[Part, ...]
    words: str


@dataclass(frozen=True)
class Bar:
    """One row of a bar chart; widths in percent of the widest row."""

    label: str
    found: int
    selected: int
    selected_width: str
    kept_width: str


@dataclass(frozen=True)
class Chart:
    """Bars with a caption."""

    caption: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Meter:
    """A number against its limit. ``fill`` and ``limit`` are percent of the meter's width."""

    label: str
    words: str
    verdict: str
    over: bool
    fill: str
    limit: str


@dataclass(frozen=True)
class Rule:
    """One line of the policy: words, and the values as the policy has them."""

    term: str
    words: str
    values: tuple[str, ...] = ()
    more: int = 0


@dataclass(frozen=True)
class Figure:
    """A big number. ``key`` is its style, if it has one."""

    label: str
    value: str
    note: str
    key: str = ""


@dataclass(frozen=True)
class Link:
    """A sentence about a target, with where it is on this page; or about the whole run, without."""

    text: str
    anchor: str | None = None
    target: str | None = None


@dataclass(frozen=True)
class Notice:
    """Something to know before deciding. ``kind``: bad, warn or note."""

    kind: str
    title: str
    text: str
    links: tuple[Link, ...] = ()
    more: int = 0


@dataclass(frozen=True)
class Row:
    """One task."""

    key: str
    decision: str
    name: Cut
    task_id: str
    group_id: str | None
    status: str
    provider_status: str
    age: str
    basis: str
    why: Cut
    stop: bool


@dataclass(frozen=True)
class TargetView:
    """One target: what was found there, what is kept and why, and some of its tasks."""

    anchor: str
    label: str
    service: str
    account: str
    region: str
    project_id: str | None
    instance_id: str | None
    flag: str
    problem: Cut | None
    found: str
    kept: int
    selected: int
    requested: int
    failed: int
    share: str
    split: Split
    charts: tuple[Chart, ...]
    rows: tuple[Row, ...]
    shown: str


@dataclass(frozen=True)
class ProviderView:
    """A provider's targets, and their sum."""

    anchor: str
    label: str
    summary: str
    split: Split
    targets: tuple[TargetView, ...]


@dataclass(frozen=True)
class View:
    """The whole page."""

    name: str
    outcome: str
    tone: str
    headline: str
    lede: str
    run_id: str
    asked: str
    requested_by: str | None
    plan_of: str | None
    times: tuple[tuple[str, When | None, str], ...]
    notices: tuple[Notice, ...]
    reasons_title: str
    reasons: tuple[tuple[str, Link], ...]
    plan: str | None
    plan_note: str
    plan_until: When | None
    figures: tuple[Figure, ...]
    split: Split
    meters: tuple[Meter, ...]
    completeness: Rule
    rules: tuple[Rule, ...]
    charts: tuple[Chart, ...]
    providers: tuple[ProviderView, ...]
    targets: int
    folded: bool
    row_limit: int
    applied: bool
    schema_version: str


# -- small parts ------------------------------------------------------------------


def when(text: str | None) -> When | None:
    """A report's time, for people: ``22 Nov 2026, 03:00:00 UTC``."""
    return None if text is None else _moment(parse_time(text))


def _moment(moment: datetime) -> When:
    return When(rfc3339(moment), f"{moment.day} {moment:%b %Y, %H:%M:%S} UTC")


def cut(text: str, most: int) -> Cut:
    """The text, or its beginning and its end: a pattern may match either."""
    if len(text) <= most:
        return Cut(text, "", 0)
    tail = most // 3
    head = most - tail
    return Cut(text[:head], text[-tail:], len(text) - most)


def split_of(counts: Json) -> Split:
    """What was found, by decision; decisions without a task have no part."""
    parts = tuple(
        Part(d.key, d.label, d.meaning, counts[d.key], share(counts[d.key], counts["found"]))
        for d in DECISIONS
        if counts[d.key]
    )
    said = ", ".join(f"{part.count:,} {part.label.lower()} ({part.share})" for part in parts)
    return Split(parts, f"Of {counted(counts['found'], 'task')} found: {said or 'none'}.")


def kept(counts: Json) -> int:
    """How many tasks are not selected."""
    return sum(counts[key] for key in _KEPT)


@dataclass(frozen=True)
class Spread:
    """Tasks counted by age and by status, each apart for selected and kept."""

    ages: Counter[tuple[str, bool]]
    statuses: Counter[tuple[str, bool]]

    @classmethod
    def of(cls, tasks: Sequence[Json]) -> "Spread":
        """Count these tasks. Raises ValueError for a status that has no bar: it would go missing."""
        return cls(
            Counter((bucket(task["age_seconds"]), task["decision"] == "selected") for task in tasks),
            Counter((Status(task["status"]).value, task["decision"] == "selected") for task in tasks),
        )

    def add(self, other: "Spread") -> None:
        """Add the other's counts to this one's."""
        self.ages.update(other.ages)
        self.statuses.update(other.statuses)

    def charts(self) -> tuple[Chart, ...]:
        """Both as bars. Every age has its row, so that charts compare; a status that no task has, has none."""
        present = [s.value for s in Status if self.statuses[s.value, True] + self.statuses[s.value, False]]
        return (Chart("By age", _bars(self.ages, _AGES)), Chart("By status", _bars(self.statuses, present)))


def _bars(counts: Counter[tuple[str, bool]], labels: Iterable[str]) -> tuple[Bar, ...]:
    pairs = [(label, counts[label, True], counts[label, False]) for label in labels]
    widest = max((chosen + rest for _, chosen, rest in pairs), default=0) or 1
    return tuple(
        Bar(label.capitalize(), chosen + rest, chosen, _percent(chosen, widest), _percent(rest, widest))
        for label, chosen, rest in pairs
    )


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.2f}".rstrip("0").rstrip(".")


def _meter(label: str, words: str, verdict: str, value: float, limit: float, *, over: bool = False) -> Meter:
    width = max(value, limit) or 1.0
    return Meter(label, words, verdict, over or value > limit, _percent(value, width), _percent(limit, width))


def _part(counts: Json) -> float:
    return counts["selected"] / counts["found"] if counts["found"] else 0.0


def meters_of(report: Json) -> tuple[Meter, ...]:
    """The limits on numbers; a limit that the policy does not set has no meter.

    The greatest fraction holds for all targets together and for each: one may be over it while the whole is not.
    """
    totals, limits = report["totals"], report["policy"]["limits"]
    found, selected = totals["found"], totals["selected"]
    meters = []
    most = limits.get("max_tasks")
    if most is not None:
        over = selected - most
        verdict = f"{over:,} over the limit" if over > 0 else f"within the limit, {-over:,} to spare"
        words = f"{selected:,} of at most {counted(most, 'task')}"
        meters.append(_meter("Selected tasks", words, verdict, selected, most))
    fraction = limits.get("max_fraction")
    if fraction is not None:
        part = _part(totals)
        alone = sum(_part(target["counts"]) > fraction for target in report["targets"])
        words = f"{share(selected, found)} of {found:,} found; at most {100 * fraction:.4g} %"
        verdict = "over the limit" if part > fraction else "within the limit"
        each = f"; {counted(alone, 'target')} over it alone" if alone else ", as is every target alone"
        meters.append(_meter("Share of what was found", words, verdict + each, part, fraction, over=alone > 0))
    return tuple(meters)


# -- the policy in words ---------------------------------------------------------------


def _values(term: str, words: str, values: Sequence[str]) -> Rule:
    return Rule(term, words, tuple(values[:VALUES_SHOWN]), max(0, len(values) - VALUES_SHOWN))


def rules_of(policy: Json) -> tuple[Rule, ...]:
    """What the policy selects and what it protects. A condition that it does not set is said to be not set."""
    select, protect = policy["select"], policy.get("protect") or {}
    statuses, names, older = select.get("statuses"), select.get("names"), select.get("older_than")
    ids, patterns = protect.get("task_ids") or (), protect.get("names") or ()
    return (
        _values("Status", "is one of", statuses) if statuses else Rule("Status", "any"),
        Rule("Age", f"older than {duration_in_words(older)}", (older,)) if older else Rule("Age", "any"),
        _values("Name", "matches one of", names) if names else Rule("Name", "any"),
        _values("Never, by name", "what matches", patterns) if patterns else Rule("Never, by name", "no name is set"),
        _values("Never, by id", "", ids) if ids else Rule("Never, by id", "no id is set"),
        Rule("Running tasks", "are stopped first, then deleted" if policy.get("stop_running") else "are not stopped"),
    )


# -- what to know before deciding ---------------------------------------------------------


def contradictions(report: Json) -> list[str]:
    """Where the report's numbers disagree with each other. A page must not smooth that over."""
    said = []
    totals = report["totals"]
    for key in _COUNTS:
        summed = sum(target["counts"][key] for target in report["targets"])
        if summed != totals[key]:
            said.append(f"the total of {key} is {totals[key]:,}, the targets' sum is {summed:,}")
    for index, target in enumerate(report["targets"]):
        counts, tasks = target["counts"], Counter(task["decision"] for task in target["tasks"])
        differing = [key for key in _DECISION if tasks[key] != counts[key]]
        if differing or counts["found"] != tasks.total():
            names = ", ".join(differing) or "found"
            said.append(f"target {index + 1}: its counts do not agree with its tasks ({names})")
    taken = totals["requested"] + totals["failed"]
    if report["outcome"] in {"reported", "refused"} and taken:
        said.append(f"the outcome is {report['outcome']}, yet {counted(taken, 'delete')} went to the bus")
    if report["outcome"] == "requested" and taken != totals["selected"]:
        said.append(f"{totals['selected']:,} are selected, but {taken:,} are accounted for")
    if report["outcome"] in {"reported", "requested"} and not report["refusals"]:
        said += [f"{what}, yet nothing was refused" for what in _exceeded(report)]
    return said


def _exceeded(report: Json) -> list[str]:
    """Which limits of the policy the numbers exceed."""
    limits = report["policy"]["limits"]
    over = [f"{meter.label.lower()}: {meter.words}" for meter in meters_of(report) if meter.over]
    if not limits.get("allow_incomplete", False) and any(map(_flag, report["targets"])):
        over.append("lists are not complete, and the policy requires it")
    return over


def _flag(target: Json) -> str:
    if target["error"] is not None:
        return "List failed"
    return "" if target["complete"] else "Incomplete list"


def _problem(target: Json) -> str:
    error = target["error"]
    if error is None:
        return "" if target["complete"] else "the list was cut short"
    return f"{error['category']}, {error['code']}: {error['message']}"


def _target_label(target: Json) -> str:
    names = (PROVIDERS.get(target["provider"], target["provider"]), _service(target), target["account"])
    return " · ".join(str(part) for part in (*names, target["region"], target["instance_id"]) if part)


def _service(target: Json) -> str:
    known = SERVICES.get(f"{target['provider']}_{target['service']}")
    return str(target["service"]) if known is None else known.title


def _anchor(index: int) -> str:
    return f"t{index + 1}"


def _notices(report: Json) -> tuple[Notice, ...]:
    notices = []
    wrong = contradictions(report)
    if wrong:
        shown = tuple(Link(text) for text in wrong[:PROBLEMS_ON_TOP])
        text = "Do not decide by it before somebody has found out why."
        notices.append(Notice("bad", "This report contradicts itself", text, shown, len(wrong) - len(shown)))
    error = report.get("error")
    if error is not None:
        text = f"{error['category']}, {error['code']}: {error['message']}"
        notices.append(Notice("bad", "What went wrong", text))
    failed = report["totals"]["failed"]
    if failed:
        text = "The bus did not take them: for these tasks no delete is under way."
        notices.append(Notice("bad", f"{counted(failed, 'delete request')} failed", text))
    notices += _list_notices(report)
    if report["dry_run"]:
        asked = "An apply was asked for. " if report["mode"] == "apply" else ""
        text = f"{asked}While the stack's DRY_RUN is on, every sweep is a report and requests nothing."
        notices.append(Notice("note", "DRY_RUN made this a report", text))
    return tuple(notices)


def _list_notices(report: Json) -> list[Notice]:
    """Lists that failed or were cut short: what they hold is missing from every number of the page."""
    targets = report["targets"]
    troubled = [index for index, target in enumerate(targets) if _flag(target)]
    if not troubled:
        return []
    links = tuple(
        Link(
            cut(_problem(targets[index]), NAME_CHARACTERS).head,
            _anchor(index),
            _target_label(targets[index]),
        )
        for index in troubled[:PROBLEMS_ON_TOP]
    )
    allowed = report["policy"]["limits"].get("allow_incomplete", False)
    text = "There may be tasks that nobody has seen: every count on this page is a lower bound." + (
        " The policy allows an apply all the same (allow_incomplete)." if allowed else ""
    )
    title = f"{len(troubled):,} of {counted(len(targets), 'list')} incomplete or failed"
    return [Notice("bad", title, text, links, len(troubled) - len(links))]


_TARGET_PREFIX = re.compile(r"^/targets/[0-9]+ \([^()]*\): ")  # as ``plan.target_prefix`` writes it


def _reasons(report: Json) -> tuple[tuple[str, Link], ...]:
    def link(refusal: Json) -> Link:
        index = refusal["target"]
        if index is None:
            return Link(refusal["message"])
        # The link names the target, so the message need not.
        text = _TARGET_PREFIX.sub("", refusal["message"], count=1)
        return Link(text, _anchor(index), _target_label(report["targets"][index]))

    return tuple((refusal["code"], link(refusal)) for refusal in report["refusals"])


_REASONS_TITLES = {
    "reported": "An apply of this plan would be refused",
    "requested": "Refused in part",
    "refused": "Why it was refused",
    "failed": "What else stood against it",
}


def headline(outcome: str, totals: Json) -> str:
    """The outcome in words that a tired person understands."""
    requested, failed = totals["requested"], totals["failed"]
    done = "nothing was requested" if not requested else f"{counted(requested, 'delete')} requested"
    if outcome == "requested":
        missed = f", {failed:,} not taken" if failed else ""
        none = ": nothing was selected" if not totals["selected"] else ""
        return f"Requested: {counted(requested, 'delete')}{missed}{none}"
    missed = f", {failed:,} not taken" if failed else ""
    return {"reported": "Report only: ", "refused": "Refused: ", "failed": "Failed: "}[outcome] + done + missed


def _lede(report: Json) -> str:
    totals = report["totals"]
    tasks = f"{totals['selected']:,} of {counted(totals['found'], 'task')} found"
    if not totals["found"]:
        unseen = any(map(_flag, report["targets"]))
        failed = f" {_known(report)}" if report["outcome"] == "failed" else ""
        return ("No tasks were found, but not every list is complete." if unseen else "No tasks were found.") + failed
    return {
        "reported": f"{tasks} would be deleted if this plan were applied; {kept(totals):,} would be kept.",
        "requested": f"{tasks} were selected. What became of each request stands in its own result on the bus, "
        "not on this page.",
        "refused": f"{tasks} are selected. An apply was asked for; it was refused as a whole.",
        "failed": f"{tasks} are selected. {_known(report)}",
    }[report["outcome"]]


def _known(report: Json) -> str:
    """Whether the report says why it failed."""
    told = (
        report.get("error") or report["refusals"] or report["totals"]["failed"] or any(map(_flag, report["targets"]))
    )
    return "What is known of the reason stands below." if told else "The report does not say why."


def _figures(report: Json, stops: int, applied: bool) -> tuple[Figure, ...]:
    totals, targets = report["totals"], report["targets"]
    troubled = sum(bool(_flag(target)) for target in targets)
    least = "at least; lists are incomplete" if troubled else f"on {counted(len(targets), 'target')}"
    chosen = f"{share(totals['selected'], totals['found'])} of what was found"
    figures = [
        Figure("Found", number(totals["found"]), least),
        Figure("Kept", number(kept(totals)), f"{share(kept(totals), totals['found'])} of what was found"),
        Figure(
            "Selected", number(totals["selected"]), chosen + (f"; {stops:,} to stop first" if stops else ""), "sel"
        ),
    ]
    if applied:
        figures.append(Figure("Requested", number(totals["requested"]), "deletes the bus took"))
        style = "bad" if totals["failed"] else ""
        figures.append(Figure("Not taken", number(totals["failed"]), "deletes the bus did not take", style))
    return tuple(figures)


# -- targets --------------------------------------------------------------------------


def rows_allowed(found: Sequence[int]) -> int:
    """How many rows each target may have, so that the page stays within its own bound; every target the same."""
    for rows in range(ROWS_PER_TARGET, FEWEST_ROWS, -1):
        if sum(min(rows, number_found) for number_found in found) <= ROWS_PER_PAGE:
            return rows
    return FEWEST_ROWS


def _order(task: Json) -> tuple[int, float]:
    """Selected first, then decision by decision, the oldest first."""
    age = task["age_seconds"]
    return _RANK[task["decision"]], float("inf") if age is None else -age


def _row(task: Json) -> Row:
    why = task["why"]
    if task["why_not"] and task["why_not"] not in why:
        why = f"{why}; {task['why_not']}"
    return Row(
        key=_DECISION[task["decision"]].key,
        decision=_DECISION[task["decision"]].label,
        name=cut(task["name"], NAME_CHARACTERS),
        task_id=task["task_id"],
        group_id=task["group_id"],
        status=Status(task["status"]).value,
        provider_status=task["provider_status"],
        age=age_in_words(task["age_seconds"]),
        basis=_BASES[task["age_basis"]],
        why=cut(why, NAME_CHARACTERS),
        stop=task["stop_running"],
    )


def _shown(rows: int, tasks: Sequence[Json], selected: int) -> str:
    if rows == len(tasks):
        return f"All {counted(len(tasks), 'task')}, selected ones first."
    return (
        f"{rows:,} of {len(tasks):,} shown ({min(rows, selected):,} of {selected:,} selected); "
        "all of them in report.json."
    )


def _found(target: Json) -> str:
    """How many were found; of a list that failed at once, nobody knows."""
    found = number(target["counts"]["found"])
    if not _flag(target):
        return found
    return f"≥ {found}" if target["tasks"] else "unknown"


def _target(index: int, target: Json, rows: int, spread: Spread) -> TargetView:
    counts, tasks, flag = target["counts"], target["tasks"], _flag(target)
    shown = tuple(_row(task) for task in heapq.nsmallest(rows, tasks, key=_order))
    return TargetView(
        anchor=_anchor(index),
        label=_target_label(target),
        service=_service(target),
        account=target["account"],
        region=target["region"],
        project_id=target["project_id"],
        instance_id=target["instance_id"],
        flag=flag,
        problem=cut(_problem(target), MESSAGE_CHARACTERS) if flag else None,
        found=_found(target),
        kept=kept(counts),
        selected=counts["selected"],
        requested=counts["requested"],
        failed=counts["failed"],
        share=share(counts["selected"], counts["found"]),
        split=split_of(counts),
        charts=spread.charts() if tasks else (),
        rows=shown,
        shown=_shown(len(shown), tasks, counts["selected"]),
    )


def _provider(position: int, provider: str, targets: Sequence[TargetView], counts: Json) -> ProviderView:
    troubled = sum(bool(target.flag) for target in targets)
    summary = (
        f"{counted(len(targets), 'target')}: {'at least ' if troubled else ''}{counts['found']:,} found, "
        f"{kept(counts):,} kept, {counts['selected']:,} selected"
    )
    if troubled:
        summary += f"; {counted(troubled, 'list')} incomplete or failed"
    label = PROVIDERS.get(provider, provider)
    return ProviderView(f"p{position}", label, summary, split_of(counts), tuple(targets))


def _providers(targets: Sequence[Json], rows: int, spreads: Sequence[Spread]) -> tuple[ProviderView, ...]:
    views: dict[str, list[TargetView]] = {}
    sums: dict[str, Counter[str]] = {}
    for index, target in enumerate(targets):
        views.setdefault(target["provider"], []).append(_target(index, target, rows, spreads[index]))
        sums.setdefault(target["provider"], Counter()).update(target["counts"])
    return tuple(
        _provider(position, provider, group, sums[provider])
        for position, (provider, group) in enumerate(views.items(), 1)
    )


# -- the page -----------------------------------------------------------------------------


def _plan(report: Json) -> tuple[str | None, str, When | None]:
    """The JSON that applies this plan, what to know about it, and until when; None where a page must not offer it.

    The page reads no clock: it can say until when the plan holds, not whether that is past.
    """
    if report["outcome"] != "reported" or report["refusals"] or contradictions(report):
        return None, "", None
    key = report["plan_of"] or f"reports/{report['run_id']}/report.json"
    notes = []
    if report["plan_of"]:
        notes.append("This report repeats an earlier one: that one is what can be applied.")
    if not report["totals"]["selected"]:
        notes.append("Nothing is selected: applying it would request nothing.")
    if report["dry_run"]:
        notes.append("While DRY_RUN is on, this again makes a report only.")
    listed = report["listed_at"]
    until = None if listed is None else _moment(parse_time(listed) + timedelta(hours=PLAN_HOURS))
    return json.dumps({"apply_report": key}), " ".join(notes), until


def _times(report: Json) -> tuple[tuple[str, When | None, str], ...]:
    names = {"Started": "started_at", "Listed": "listed_at", "Completed": "completed_at"}
    took = ""
    if report["started_at"] and report["completed_at"]:
        took = elapsed((parse_time(report["completed_at"]) - parse_time(report["started_at"])).total_seconds())
    return tuple(
        (name, when(report[key]), f"took {took}" if took and key == "completed_at" else "")
        for name, key in names.items()
    )


def _completeness(report: Json) -> Rule:
    troubled = sum(bool(_flag(target)) for target in report["targets"])
    lists = counted(len(report["targets"]), "list")
    state = f"{troubled:,} of {lists} not complete" if troubled else f"all of {lists} complete"
    allowed = report["policy"]["limits"].get("allow_incomplete", False)
    return Rule("Complete lists", f"{state}; {'not required by the policy' if allowed else 'required by the policy'}")


def view_of(report: Json) -> View:
    """All that the page shows.

    Raises
    ------
    KeyError, ValueError
        For a report that is not of the shape, or that uses a word the page does not know: a page that guessed at
        an outcome or a decision would be worse than none.
    """
    totals, targets = report["totals"], report["targets"]
    rows = rows_allowed([len(target["tasks"]) for target in targets])
    spreads = [Spread.of(target["tasks"]) for target in targets]
    whole = Spread(Counter(), Counter())
    for spread in spreads:
        whole.add(spread)
    stops = sum(t["decision"] == "selected" and t["stop_running"] for target in targets for t in target["tasks"])
    applied = report["outcome"] == "requested" or bool(totals["requested"] or totals["failed"])
    plan, plan_note, plan_until = _plan(report)
    return View(
        name=report["name"],
        outcome=report["outcome"],
        tone="partly" if report["outcome"] == "requested" and totals["failed"] else report["outcome"],
        headline=headline(report["outcome"], totals),
        lede=_lede(report),
        run_id=report["run_id"],
        asked={"report": "a report", "apply": "an apply"}[report["mode"]],
        requested_by=report["requested_by"],
        plan_of=report["plan_of"],
        times=_times(report),
        notices=_notices(report),
        reasons_title=_REASONS_TITLES[report["outcome"]],
        reasons=_reasons(report),
        plan=plan,
        plan_note=plan_note,
        plan_until=plan_until,
        figures=_figures(report, stops, applied),
        split=split_of(totals),
        meters=meters_of(report),
        completeness=_completeness(report),
        rules=rules_of(report["policy"]),
        charts=whole.charts() if totals["found"] else (),
        providers=_providers(targets, rows, spreads),
        targets=len(targets),
        folded=len(targets) > OPEN_TARGETS,
        row_limit=rows,
        applied=applied,
        schema_version=report["schema_version"],
    )


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=visible,
        loader=FileSystemLoader(Path(__file__).parent),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2")


def page(report: Mapping[str, Any]) -> str:
    """The report as one HTML document: no script, no outside asset, at most ``ROWS_PER_PAGE`` tasks.

    Raises as ``view_of`` does.
    """
    return _template().render(view=view_of(report))
