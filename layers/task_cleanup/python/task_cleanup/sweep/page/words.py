"""What the page calls things, and how it writes numbers, ages, times and the texts of strangers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from task_cleanup.providers.model import PROVIDERS
from task_cleanup.sweep.selection import SINCE, Decision
from task_cleanup.sweep.services import SERVICES
from task_cleanup.times import parse_time

Json = Mapping[str, Any]

DAY = 86_400.0  # seconds


@dataclass(frozen=True)
class DecisionLabel:
    """A decision in words: its name, and what it means for the task."""

    name: str
    meaning: str


# In the order of the bars, the legends and the rows. The style sheet has one class per decision.
DECISIONS: Mapping[Decision, DecisionLabel] = {
    Decision.SELECTED: DecisionLabel("Selected", "for deletion by this policy"),
    Decision.CHANGED: DecisionLabel("Changed", "kept: not as it was when the report was made"),
    Decision.NOT_IN_PLAN: DecisionLabel("Not in the plan", "kept: the report did not select it"),
    Decision.REQUESTED_BEFORE: DecisionLabel("Requested before", "kept: another run has asked for its delete"),
    Decision.AGE_UNKNOWN: DecisionLabel("Age unknown", "kept: no usable time to count from"),
    Decision.TOO_YOUNG: DecisionLabel("Too young", "kept: not old enough"),
    Decision.OTHER_NAME: DecisionLabel("Other name", "kept: the name matches no pattern"),
    Decision.OTHER_STATUS: DecisionLabel("Other status", "kept: this status is not asked for"),
    Decision.PROTECTED: DecisionLabel("Protected", "kept: the policy protects its id or name"),
    Decision.NOT_DELETABLE: DecisionLabel("Not deletable", "kept: the provider would refuse"),
    Decision.GONE: DecisionLabel("Gone", "in the plan, and not listed any more"),
}
# Those of the tasks that were found; ``gone`` is of tasks that were not.
FOUND: Mapping[Decision, DecisionLabel] = {
    decision: label for decision, label in DECISIONS.items() if decision is not Decision.GONE
}

# What an age is counted from.
AGES: Mapping[str | None, str] = {None: "no usable time"} | dict(SINCE)


def headline(outcome: str, totals: Json) -> str:
    """What the run came to, in one line. Raises KeyError for an outcome that no finished run has."""
    requested, failed = totals["requested"], totals["failed"]
    missed = f", {failed:,} not taken" if failed else ""
    if outcome == "requested":
        none = "" if totals["selected"] else ": nothing was selected"
        return f"Requested: {counted(requested, 'delete')}{missed}{none}"
    done = f"{counted(requested, 'delete')} requested" if requested else "nothing was requested"
    return {"reported": "Report only: ", "refused": "Refused: ", "failed": "Failed: "}[outcome] + done + missed


def service_title(target: Json) -> str:
    """The name of the target's service. Raises KeyError for one that no sweep lists."""
    return SERVICES[f"{target['provider']}_{target['service']}"].title


def target_label(target: Json) -> str:
    """``Huawei Cloud · OMS · default · cn-north-4``."""
    place = (target["account"], target["region"], target["instance_id"])
    return " · ".join(part for part in (PROVIDERS[target["provider"]], service_title(target), *place) if part)


def kept(counts: Json) -> int:
    """How many of the tasks that were found are not selected."""
    return sum(counts[decision] for decision in FOUND if decision is not Decision.SELECTED)


def split_in_words(counts: Json) -> str:
    """The bar of decisions as text, for screen readers."""
    found = counts["found"]
    parts = ", ".join(
        f"{counts[decision]:,} {label.name.lower()} ({share(counts[decision], found)})"
        for decision, label in FOUND.items()
        if counts[decision]
    )
    gone = f" {counts['gone']:,} gone." if counts["gone"] else ""
    return f"Of {counted(found, 'task')} found: {parts or 'none'}.{gone}"


_SINCE_PLAN: Mapping[Decision, str] = {
    Decision.CHANGED: "have changed since the plan was made",
    Decision.GONE: "are gone",
    Decision.NOT_IN_PLAN: "are not in the plan",
}


def since_plan(totals: Json) -> str:
    """How many tasks the plan does not fit any more: ``have changed since the plan was made (2) or are gone (1)``."""
    return " or ".join(f"{said} ({totals[it]:,})" for it, said in _SINCE_PLAN.items() if totals[it])


def reason(task: Json) -> str:
    """Why a task is decided as it is, and why the provider would refuse, if ``why`` does not say so already.

    Of a selected task it is not said: it is stopped first, or the policy vouches for its status.
    """
    why, why_not = task["why"], task["why_not"]
    also = why_not and why_not not in why and task["decision"] != Decision.SELECTED
    return f"{why}; {why_not}" if also else str(why)


_TARGET_PREFIX = re.compile(r"^/targets/[0-9]+ \([^()]*\): ")  # as ``plan.target_prefix`` writes it


def without_target(message: str) -> str:
    """A refusal's message without the target's name: on the page a link before the message has it."""
    return _TARGET_PREFIX.sub("", message, count=1)


# -- numbers, ages and times --------------------------------------------------------


def number(value: int) -> str:
    """``1,234``."""
    return f"{value:,}"


def counted(value: int, noun: str, nouns: str | None = None) -> str:
    """``1 task``, ``1,234 tasks``."""
    return f"{value:,} {noun if value == 1 else nouns or noun + 's'}"


def share(part: float, whole: float) -> str:
    """A percentage. Only what is none is ``0 %``, and only what is all is ``100 %``."""
    percent = 100 * part / whole if whole else 0
    if percent in {0, 100}:
        return f"{percent:.0f} %"
    if percent < 0.1:
        return "< 0.1 %"
    return "> 99.9 %" if 99.9 < percent < 100 else f"{percent:.1f} %"


def width(part: float, whole: float) -> str:
    """A CSS width in percent, without the sign: ``33.33``. Nothing of nothing is ``0``."""
    return f"{100 * part / (whole or 1):.2f}".rstrip("0").rstrip(".")


def age_in_words(seconds: float | None) -> str:
    """``12.3 days``, rounded down: a task that is not yet 7 days old must not read ``7.0 days``."""
    if seconds is None:
        return "unknown"
    if seconds < 0:
        return "in the future"
    unit, length = "days", DAY
    if seconds < 2 * DAY:
        unit, length = ("minutes", 60) if seconds < 3600 else ("hours", 3600)
    return f"{int(seconds / length * 10) / 10:,.1f} {unit}"


def moment(text: str) -> str:
    """A report's time for people: ``22 Nov 2026, 03:00:00 UTC``."""
    at = parse_time(text)
    return f"{at.day} {at:%b %Y, %H:%M:%S} UTC"


def took(report: Json) -> str:
    """How long the run took: ``4 min 12 s``."""
    length = parse_time(report["completed_at"]) - parse_time(report["started_at"])
    minutes, seconds = divmod(round(length.total_seconds()), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


# -- texts of strangers ---------------------------------------------------------------

# Not printable, yet shown: joiners belong to emoji and to several scripts, and the wide blank is the ordinary one
# beside Chinese and Japanese.
_SHOWN = frozenset("\u200c\u200d\u3000")


def visible(value: object) -> object:
    """A text whose control, direction and other unseen characters are shown as ``[U+202E]``; the rest as it is.

    It is the template's ``finalize``: every text that is printed goes through it. It also replaces half of a
    surrogate pair, which a JSON string may hold and which UTF-8 cannot encode.
    """
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return "".join(c if c.isprintable() or c in _SHOWN else f"[U+{ord(c):04X}]" for c in value)


def cut(text: str, most: int) -> tuple[str, str, int]:
    """The beginning, the end (a pattern may match either), and how many characters are left out between them."""
    if len(text) <= most:
        return text, "", 0
    tail = most // 3
    return text[: most - tail], text[-tail:], len(text) - most
