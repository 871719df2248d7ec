"""Looks at a task: read-only calls that say whether it is there, as it was expected, or gone.

Nothing is inferred from a look that was not answered with what the service's module calls an answer: a 403, an
unknown code, a bare 404, a list that is not whole, another task's record.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from task_cleanup.calls import Answers, Caller
from task_cleanup.errors import Category, CleanupError, Code
from task_cleanup.paging import check_reading, walk
from task_cleanup.providers.model import Call, Look, Service
from task_cleanup.results import Error, Evidence, Outcome, Sighting, When
from task_cleanup.retries import Verdict
from task_cleanup.tasks import Task
from task_cleanup.times import parse_time, rfc3339
from task_cleanup.transport import FinishedCall
from task_cleanup.validation import printable

MAX_TOLD_CHARACTERS = 256  # characters of a value that a result repeats
LIST_LIMIT = 10_000  # tasks; a longer list is not whole, and proves nothing
_TIMES = frozenset({"created_at", "started_at", "ended_at"})
# What a stop changes, beside what the service's module lists in `after_stop`.
_CHANGED_BY_STOP = frozenset({"status", "provider_status", "ended_at"})


def look_at(service: Service, caller: Caller, when: When) -> Sighting:
    """Look once at the task that the caller's request names. A key that is suspended leaves the look unanswered."""
    show = service.look.show
    try:
        if show is None:
            return _by_list(service, caller, when)
        return _by_show(service.look, show(caller.request), caller, when)
    except CleanupError as error:
        return Sighting(when, Evidence.LIST if show is None else Evidence.SHOW, None, error=Error.of(error))


def _by_show(look: Look, call: Call, caller: Caller, when: When) -> Sighting:
    answers = Answers(check_reading(look.read, "task"), look.gone_codes, is_read=True)
    verdict = caller.send(call, answers).verdict
    seen = _unknown(when, Evidence.SHOW, verdict)
    if verdict.outcome is Outcome.UNCHANGED:
        return replace(seen, evidence=Evidence.CODE, found=False)
    if verdict.outcome is not Outcome.SUCCEEDED or verdict.reply is None:
        return seen
    tasks = look.read(verdict.reply) or ()
    task = tasks[0] if len(tasks) == 1 else None
    own = task is not None and _plain_id(task.task_id) == _plain_id(caller.request["task_id"])
    return _with_task(seen, look, task if own else None, "another task's record, or none, was shown")


def _by_list(service: Service, caller: Caller, when: When) -> Sighting:
    answers = Answers(check_reading(service.listing.read, "list"), is_read=True, is_list=True)

    def send(call: Call) -> FinishedCall:
        return caller.send(call, answers)

    finished, listed = walk(service.listing, {**caller.request, "limit": LIST_LIMIT}, send)
    seen = _unknown(when, Evidence.LIST, finished.verdict)
    if listed is None:
        return seen
    seen = replace(seen, records=len(listed.tasks))
    task_id = caller.request["task_id"]
    plain_id = _plain_id(task_id)
    # The same id in other letters may be the same task or another one: neither is a proof.
    task = next((task for task in listed.tasks if task.task_id == task_id), None)
    alike = any(_plain_id(task.task_id) == plain_id for task in listed.tasks)
    if task is None and listed.complete and not alike:
        return replace(seen, found=False)
    why = "the list has this id only in another case" if alike else f"the list is not whole: {listed.note}"
    return _with_task(seen, service.look, task, why)


def _unknown(when: When, evidence: Evidence, verdict: Verdict) -> Sighting:
    """The sighting of a call before its reply is read: nothing is known of the task."""
    return Sighting(
        when, evidence, None, error=verdict.error, http_status=verdict.http_status, request_id=verdict.request_id
    )


def _with_task(seen: Sighting, look: Look, task: Task | None, otherwise: str) -> Sighting:
    """The sighting with the task that was asked for; without it nothing is known, and ``otherwise`` says why."""
    if task is None:
        return replace(seen, error=Error(Category.PROVIDER_ERROR, Code.UNEXPECTED_REPLY, otherwise))
    return replace(seen, found=task.provider_status not in look.gone_statuses, task=task)


def _plain_id(task_id: str) -> str:
    """Hex digits in one case, and a number without leading zeros: a provider may show an id so."""
    return str(int(task_id)) if task_id.isascii() and task_id.isdigit() else task_id.casefold()


def differences(expected: Mapping[str, Any], task: Task) -> list[str]:
    """The fields of ``expected`` that are otherwise in the task. Null means that the task must have none."""
    record = task.to_dict()
    return [name for name, wanted in expected.items() if _plain(name, wanted) != (record[name] or None)]


def is_expected(look: Look, expected: Mapping[str, Any], task: Task, *, stopping: bool) -> bool:
    """Whether the task is as the request saw it or, where the request may stop it, as a stop leaves it."""
    different = differences(expected, task)
    if not different:
        return True
    by_a_stop = expected.get("provider_status") in look.stoppable and task.provider_status in look.after_stop
    return stopping and by_a_stop and _CHANGED_BY_STOP.issuperset(different)


def _plain(name: str, wanted: str | None) -> str | None:
    """As a record has it: times in UTC and to the millisecond, and None for an empty text."""
    return rfc3339(parse_time(wanted)) if wanted and name in _TIMES else wanted or None


def changed_error(expected: Mapping[str, Any], task: Task) -> Error:
    """``TaskChanged``, with what was expected and what is there, of the fields that differ."""
    record, names = task.to_dict(), differences(expected, task)
    return Error(
        Category.PRECONDITION_FAILED,
        Code.TASK_CHANGED,
        f"the task is not as expected: {', '.join(names)}; nothing was sent",
        {"expected": _told(expected, names), "found": _told(record, names)},
    )


def _told(values: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """These members, in a length and in characters that any event and log can hold."""
    told = {name: values[name] for name in names}
    return {name: value and printable(value, MAX_TOLD_CHARACTERS) for name, value in told.items()}
