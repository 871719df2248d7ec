"""What makes a report unfit to decide by: lists that are not whole, and numbers that contradict each other."""

from collections import Counter
from collections.abc import Iterator, Mapping

from task_cleanup.errors import Category
from task_cleanup.sweep.page.charts import meters
from task_cleanup.sweep.page.words import DECISIONS, Json, counted, target_label
from task_cleanup.sweep.selection import Decision


def flag(target: Json) -> str:
    """What is wrong with the target's list, in two words; empty if it is complete."""
    if target["error"] is not None:
        return "List failed"
    return "" if target["complete"] else "Incomplete list"


def problem(target: Json) -> str:
    """The same in a sentence, for a target that has a flag."""
    error = target["error"]
    if error is None:
        return "the list may not be whole"
    return f"{error['category']}, {error['code']}: {error['message']}"


_BY_RIGHTS = "Look at the account's secret, and at the rights of its key."
_LATER = "Ask again later."
_REMEDIES: Mapping[str, str] = {
    Category.NOT_FOUND: "Look at the place that the policy names: it may be misspelt, or gone.",
    Category.UNAUTHENTICATED: _BY_RIGHTS,
    Category.FORBIDDEN: _BY_RIGHTS,
    Category.THROTTLED: _LATER,
    Category.UNAVAILABLE: _LATER,
    Category.TIMEOUT: _LATER,
}


def remedy(target: Json) -> str:
    """What to do about it, in a sentence."""
    if target["error"] is None:
        return "The limit or the time ended it, or it changed meanwhile: ask again, or raise the target's limit."
    return _REMEDIES.get(target["error"]["category"], "Make a new report; if this stays, look the code up.")


def contradictions(report: Json) -> list[str]:
    """The contradictions between the report's numbers. If there are any, the page shows them and offers no plan."""
    return [*_sums(report), *_counts(report), *_outcome(report)]


def _sums(report: Json) -> Iterator[str]:
    for name in ("found", *DECISIONS, "requested", "failed"):
        total, summed = report["totals"][name], sum(target["counts"][name] for target in report["targets"])
        if summed != total:
            yield f"the total of {name} is {total:,}, the targets' sum is {summed:,}"


def _counts(report: Json) -> Iterator[str]:
    for target in report["targets"]:
        counts, tasks = target["counts"], Counter(task["decision"] for task in target["tasks"])
        differing = [name for name in DECISIONS if tasks[name] != counts[name]]
        if differing or counts["found"] != tasks.total() - tasks[Decision.GONE]:
            names = ", ".join(differing) or "found"
            yield f"{target_label(target)}: its counts do not agree with its tasks ({names})"


def _outcome(report: Json) -> Iterator[str]:
    outcome, totals = report["outcome"], report["totals"]
    sent = totals["requested"] + totals["failed"]
    if outcome in {"reported", "refused"} and sent:
        yield f"the outcome is {outcome}, yet {counted(sent, 'delete')} went to the bus"
    if outcome == "requested" and sent != totals["selected"]:
        yield f"{totals['selected']:,} are selected, but {sent:,} are accounted for"
    if outcome in {"reported", "requested"} and not report["refusals"]:
        for meter in meters(report):
            if meter.over:
                yield f"{meter.label.lower()}: {meter.words}, yet nothing was refused"
        if not report["policy"]["limits"]["allow_incomplete"] and any(map(flag, report["targets"])):
            yield "lists are not complete, and the policy requires it, yet nothing was refused"
