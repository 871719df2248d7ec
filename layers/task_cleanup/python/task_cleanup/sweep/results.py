"""What became of a run's requests: keys, the merge of results, and the counts. Pure: ``gathering`` reads and writes.

Two documents meet here. ``requests.json`` is ``{"taken": "110…", "keys": […]}``: the keys of the run's requests in
the plan's order, and for each whether the bus took it. ``results.json`` is ``{"results": {key: [outcome,
completed_at, code]}}``: an outcome of ``Outcome``, an RFC 3339 time in UTC with milliseconds, a code or null.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from task_cleanup.errors import Code, SweepCode
from task_cleanup.results import Outcome
from task_cleanup.times import parse_time, rfc3339

LISTED = 100  # how many failures and how many waiting requests are told one by one
MAX_CAUSES = 50  # codes that are counted apart; a code is the provider's own, so there may be any number
OTHER_CAUSES = "Other"
MAX_CODE = 100  # characters of a code

_PARTS = ("account", "region", "project_id", "instance_id", "task_id")
_NONE = "-"  # in a key, for a part that the service does not have
_SEVERITY = (Outcome.SUCCEEDED, Outcome.UNCHANGED, Outcome.PLANNED, Outcome.CONFLICT, Outcome.FAILED)


def result_key(request_or_result: Mapping[str, Any]) -> str:
    """What a delete request and its results have in common: operation and target, in one line.

    A request has the target's fields itself; a result has them in ``target``.

    Raises
    ------
    ValueError
        If operation or task is missing, or a part is no text, or has a space, which no schema of ours lets through.
    """
    target = request_or_result.get("target", request_or_result)
    if not isinstance(target, Mapping):
        raise ValueError("target")  # noqa: TRY004 - the caller asks for one error
    parts = [request_or_result.get("operation"), *(target.get(name) for name in _PARTS)]
    if parts[0] is None or parts[-1] is None:
        raise ValueError("operation or task_id")
    words = [_NONE if part is None else part for part in parts]
    if not all(isinstance(word, str) and word.isprintable() and word.split() == [word] for word in words):
        raise ValueError("a part of the target")
    return " ".join(words)


def target_of(key: str) -> dict[str, str]:
    """The target that a key names, in the shape that a result has."""
    operation, *parts = key.split(" ")
    provider, service, *_ = [*operation.split("."), ""]
    named = {name: part for name, part in zip(_PARTS, parts, strict=True) if part != _NONE}
    return {"provider": provider, "service": service, **named}


@dataclass(frozen=True)
class Answer:
    """What one published result says about one request of a run."""

    run_id: str
    key: str
    outcome: Outcome
    completed_at: str  # as ``rfc3339`` writes it, so that later times are greater texts
    code: str | None

    @classmethod
    def read(cls, result: object) -> Self:
        """The answer in the detail of a ``Task Cleanup Completed`` or ``Task Cleanup Failed``.

        Raises
        ------
        ValueError
            If it is no result, or its request's schema has refused the request: then it names no task.
        """
        if not isinstance(result, Mapping):
            raise ValueError("not an object")  # noqa: TRY004 - the caller asks for one error
        run_id, completed_at, error = (result.get(name) for name in ("correlation_id", "completed_at", "error"))
        if not isinstance(run_id, str) or not isinstance(completed_at, str):
            raise ValueError("correlation_id or completed_at")  # noqa: TRY004
        code = error.get("code") if isinstance(error, Mapping) else None
        return cls(
            run_id,
            result_key(result),
            Outcome(str(result.get("outcome"))),
            rfc3339(parse_time(completed_at)),
            code[:MAX_CODE] if isinstance(code, str) else None,
        )


def merge(document: Mapping[str, Any] | None, answers: Iterable[Answer]) -> dict[str, Any]:
    """The document with these answers of its run: of each key, the one that was completed last.

    A request that failed and was sent again from the dead-letter queue has two results, and the later one counts.
    Order, repetition and batches of answers make no difference: of two with the same time, the worse one counts.
    """
    results = {} if document is None else dict(document["results"])
    for answer in answers:
        told = [answer.outcome.value, answer.completed_at, answer.code]
        known = results.get(answer.key)
        if known is None or _order(told) > _order(known):
            results[answer.key] = told
    return {**(document or {}), "results": results}


def _order(told: list[Any]) -> tuple[str, int, str]:
    outcome, completed_at, code = told
    return completed_at, _SEVERITY.index(outcome), code or ""


def progress(requests: Mapping[str, Any], results: Mapping[str, Any] | None) -> dict[str, Any]:
    """How many of a run's requests have which result, by what causes the failed ones failed, and which wait.

    A request counts if the bus took it, or if it has a result: then the bus did, and its answer was lost. Results of
    other keys count nowhere. ``changed`` are those that ended as ``TaskChanged``: the task was not as the plan saw
    it, so it was kept. A ``planned`` result is a failure with the cause ``DryRun``: nothing was deleted. ``failures``
    tells the first ``LISTED`` of the failed and the changed, ``waiting_for`` those without a result.
    """
    told = {} if results is None else results["results"]
    counted: Counter[str] = Counter()
    causes: Counter[str] = Counter()
    failures: list[dict[str, Any]] = []
    waiting_for: list[dict[str, str]] = []
    taken = requests["taken"]
    for position, key in enumerate(requests["keys"]):
        found = told.get(key)
        if found is None:
            if taken[position : position + 1] == "1":
                counted["waiting"] += 1
                if len(waiting_for) < LISTED:
                    waiting_for.append(target_of(key))
            continue
        kind, cause = _kind(*found)
        counted[kind] += 1
        if kind == "failed":
            causes[cause] += 1
        if kind in ("failed", "changed") and len(failures) < LISTED:
            failures.append({"target": target_of(key), "code": cause})
    return {
        "requested": counted.total(),
        **{kind: counted[kind] for kind in ("succeeded", "unchanged", "changed", "failed", "waiting")},
        "by_cause": _by_cause(causes),
        "failures": failures,
        "waiting_for": waiting_for,
        "finished": counted["waiting"] == 0,
    }


def _kind(outcome: str, _completed_at: str, code: str | None) -> tuple[str, str]:
    """Where a result is counted, and its cause."""
    if outcome in (Outcome.SUCCEEDED, Outcome.UNCHANGED):
        return outcome, ""
    if outcome == Outcome.PLANNED:
        return "failed", SweepCode.DRY_RUN
    return "changed" if code == Code.TASK_CHANGED else "failed", code or Code.UNEXPECTED_REPLY


def _by_cause(causes: Counter[str]) -> dict[str, int]:
    """The most frequent first; equal ones by their code."""
    ordered = sorted(causes.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in ordered[MAX_CAUSES:])
    return {**dict(ordered[:MAX_CAUSES]), **({OTHER_CAUSES: rest} if rest else {})}
