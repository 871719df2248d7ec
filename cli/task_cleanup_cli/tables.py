"""Reports, plans and results as tables and sentences for people."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from task_cleanup.sweep.page.checks import flag
from task_cleanup.sweep.page.guards import CAUTIONS, bases, guards
from task_cleanup.sweep.page.words import DECISIONS, FOUND, age_in_words, kept, target_label
from task_cleanup.sweep.page.words import counted as tasks_in_words
from task_cleanup.sweep.policy import duration
from task_cleanup.sweep.results import result_key, target_of
from task_cleanup.sweep.selection import SINCE, Decision
from task_cleanup.sweep.services import SERVICES
from task_cleanup.times import parse_time
from task_cleanup_cli.screen import Screen

Json = dict[str, Any]
TOLD = 20  # tasks that are told one by one
# The fields of a record that a basis of age reads. Since when a task was seen is not in a record.
_BASES: Mapping[str, str] = {
    "ended": "ended_at",
    "inferred": "inferred_end_at",
    "created": "created_at",
    "started": "started_at",
}
_STAYING = [decision for decision in FOUND if decision is not Decision.SELECTED]


def plan(screen: Screen, report: Json, verb: str) -> None:
    """What would go (``verb``: "would go" or "goes") and what stays, per target, and the first tasks that go."""
    counted(screen, report, verb)
    selected = list(_selected(report))
    if selected:
        screen.say("")
        several = len(report["targets"]) > 1
        screen.table(
            (f"!{verb}", *(["where"] if several else []), "name", "status", "age", ""),
            [
                (
                    task["task_id"],
                    *([_label(target)] if several else []),
                    task["name"],
                    task["provider_status"],
                    f"{age_in_words(task['age_seconds'])} {SINCE[task['age_from']]}",
                    "is stopped first" if task["stop_running"] else "",
                )
                for target, task in selected[:TOLD]
            ],
        )
        if len(selected) > TOLD:
            screen.say(f"… and {len(selected) - TOLD:,} more: the page has them")


def counted(screen: Screen, summary: Json, verb: str) -> None:
    """What would go and what stays, per target, of a report or a summary."""
    rows = [_counted(_label(target), target["counts"], target["error"]) for target in summary["targets"]]
    if len(rows) > 1:
        rows.append(_counted("all", summary["totals"], None))
    screen.table(("where", "#found", f"#{verb}", "#stay", "because"), rows)


def warnings(screen: Screen, report: Json) -> None:
    """What makes the plan other than it seems: failed lists, protect entries that match nothing, ages not known.

    Of a report, or of its summary, which has no tasks.
    """
    for target in report["targets"]:
        if target["error"] is not None:
            error = target["error"]
            screen.tell(f"{_label(target)}: the list failed: {error['code']}, {error['message']}", style="red")
            screen.tell(*of_exchange(error.get("detail") or {}))
        elif flag(target):
            screen.tell(f"{_label(target)}: the list may not be whole", style="yellow")
    failed = failed_lists(report)
    if failed and not report.get("policy", {}).get("limits", {}).get("allow_incomplete"):
        screen.tell(f"{failed:,} lists failed: an apply is refused unless every list is whole then", style="red")
    # A list that failed may have what an entry means.
    for guard in guards(report) if report["guards"] and not failed else ():
        if not guard.tasks:
            screen.tell(f"protect.{guard.member}: {guard.entry!r} matches no task: is it a typo?", style="yellow")
    for paid in sorted({target["service"] for target in report["targets"] if _service(target).has_money}):
        screen.tell(f"{paid}: a delete releases what is paid for", style="red")
    _ages(screen, report)


def of_exchange(detail: Mapping[str, Any]) -> Iterator[str]:
    """Of an exchange that the provider refused: what to look at, and the claims that its trust compares."""
    if "claims" in detail:
        if "hint" in detail:
            yield detail["hint"]
        yield claims_in_words(detail["claims"])


def claims_in_words(claims: Mapping[str, str]) -> str:
    """The claims of a token, for people."""
    told = ", ".join(f"{name} {value}" for name, value in claims.items())
    return f"the token's claims: {told or 'none that can be read'}"


def failed_lists(report: Json) -> int:
    """How many lists failed."""
    return sum(target["error"] is not None for target in report["targets"])


def _ages(screen: Screen, report: Json) -> None:
    for target in report["targets"]:
        stay, words = ages_wanting(target, report) if "tasks" in target else (0, {})
        if stay:
            told = "; ".join(_would(*item) for item in words.items()) or "no other basis would select one now"
            screen.say(
                f"{_label(target)}: {tasks_in_words(stay, 'task')} stay only for want of an age; {told}", style="cyan"
            )
    if report["ages_wanting"] and not any("tasks" in target for target in report["targets"]):
        for basis in bases(report):
            told = _would(basis.word, basis.tasks)
            screen.say(f"of the tasks that stay only for want of an age, {told}", style="cyan")


def _would(word: str, number: int) -> str:
    return f"{word} would select {number:,}" + (f" ({CAUTIONS[word]})" if word in CAUTIONS else "")


def ages_wanting(target: Json, report: Json) -> tuple[int, dict[str, int]]:
    """How many tasks of a target stay for want of an age, and how many another basis would select, by its word.

    The report tells the same for all its targets together.
    """
    least = duration(report["policy"]["select"]["older_than"])
    now, found, stay = parse_time(report["listed_at"]), Counter[str](), 0
    for task in target["tasks"]:
        by_seen = task["decision"] == Decision.TOO_YOUNG and task["age_from"] == "seen"
        if task["decision"] != Decision.AGE_UNKNOWN and not by_seen:
            continue
        stay += 1
        stopped = not task["deletable"]
        for word in ("started", "created") if stopped else ("ended", "inferred", "created"):
            since = task[_BASES[word]]
            found[word] += since is not None and now - parse_time(since) > least
    return stay, {word: number for word, number in found.items() if number}


def refusals(screen: Screen, found: Sequence[Json]) -> None:
    """Why nothing is, or would be, deleted."""
    for refusal in found:
        screen.tell(f"{refusal['code']}: {refusal['message']}", style="yellow")


def results(screen: Screen, progress: Json, place: object, told: Iterable[Json] = ()) -> None:
    """What became of each request, counted, with the causes and the first that failed.

    ``told`` are whole results, where they are known: what is counted has codes, and no messages.
    """
    words = {result_key(it): it["error"]["message"] for it in told if it.get("error")}
    messages = {_task(target_of(each)): text for each, text in words.items()}
    kinds = ("succeeded", "unchanged", "changed", "failed", "waiting")
    screen.table(("", "#requests"), [(kind, progress[kind]) for kind in kinds if progress[kind]])
    for cause, number in progress["by_cause"].items():
        screen.tell(f"failed: {number:,} with {cause}", style="red")
    failures = progress["failures"]
    if failures:
        rows = [
            (it["target"]["task_id"], _where(it["target"]), it["code"], messages.get(_task(it["target"]), ""))
            for it in failures[:TOLD]
        ]
        screen.table(("!not deleted", "where", "why", ""), rows)
        if progress["failed"] + progress["changed"] > TOLD:
            screen.say(f"… all of them: {place}")


def tasks(screen: Screen, listed: Sequence[Json]) -> None:
    """Listed tasks."""
    screen.table(
        ("!task", "name", "status", "began", "ended", "may be deleted"),
        [
            (
                task["task_id"],
                task["name"],
                task["provider_status"],
                task["started_at"] or task["created_at"] or "",
                task["ended_at"] or (f"about {task['inferred_end_at']}" if task["inferred_end_at"] else ""),
                "yes" if task["deletable"] else f"no: {task['why_not']}",
            )
            for task in listed
        ],
    )


def where(key: str) -> str:
    """The target of a ``result_key``, for people."""
    return _where(target_of(key))


def _counted(label: str, counts: Mapping[str, int], error: Json | None) -> Sequence[object]:
    """What is gone is no part of what stays, so that it is told apart."""
    if error is not None:
        return label, "?", "?", "?", f"list failed: {error['code']}"
    because = [f"{DECISIONS[it].name.lower()} {counts[it.value]:,}" for it in _STAYING if counts[it.value]]
    gone = [f"({counts[Decision.GONE.value]:,} gone since)"] if counts[Decision.GONE.value] else []
    return label, counts["found"], counts["selected"], kept(counts), " ".join([", ".join(because), *gone]).strip()


def _selected(report: Json) -> Iterator[tuple[Json, Json]]:
    for target in report["targets"]:
        for task in target["tasks"]:
            if task["decision"] == Decision.SELECTED:
                yield target, task


def _label(target: Json) -> str:
    return target_label(target)


def _service(target: Json) -> Any:  # noqa: ANN401 - a Service
    return SERVICES[f"{target['provider']}_{target['service']}"]


def _task(target: Mapping[str, str]) -> str:
    return f"{_where(target)} {target['task_id']}"


def _where(target: Mapping[str, str]) -> str:
    names = ("provider", "service", "region", "account", "project_id", "instance_id")
    return " ".join(target[name] for name in names if name in target)
