"""The rules about looks: what a result may say, and what may be deleted, by the emulators' own history of each task.

A look is *answered* if the provider itself decided it and its answer arrived whole. A fault can make the answer a lie
(``hide``), and a deleted task can still be listed and shown for a while: what follows from that is no difference,
since no function can know better. It is counted apart.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta

from bench.torture.books import Books, moment, short, span, target_of, time_of
from bench.torture.evidence import Result, is_ok
from bench.torture.messages import CANCEL
from bench.torture.tasks import Target
from local.emulators.journal import Entry
from task_cleanup.sweep.services import SERVICES

LONGEST = timedelta(seconds=29)  # how long a function may run (the template's time-out)
DOUBT = "may have been made"
LIE = "hide"
_HARMLESS = frozenset({"close_after_reply"})  # the call that it hits is answered
_SLOW = frozenset({"latency"})  # the answer may have come too late, or in time


def no_delete_of_another_than_expected(books: Books) -> Iterator[str]:
    """At the moment of a delete the task was as the request expects it.

    No provider takes a condition with a delete. So it may have changed after the look on which the delete rests.
    """
    for target, entries in books.effects.items():
        message, history = books.firsts.get(target), books.history_of(target)
        if message is None or message.expects is None:
            continue
        for entry in entries:
            state = history.before(time_of(entry))
            if state is None or state.meets(message.expects):
                continue
            looks = _looks_before(books, target, entry)
            seen = [history.before(time_of(look)) for look in looks]
            if any(state is not None and state.meets(message.expects) for state in seen):
                books.apart["deleted although it had changed, after the look and before the delete"] += 1
            else:
                why = "a look showed it" if looks else "nobody looked"
                yield f"deleted although it was not as expected, and {why}: {' '.join(target)}"


def _looks_before(books: Books, target: Target, delete: Entry) -> list[Entry]:
    """The last look that was answered before this delete, in the same run of the same worker.

    And every slow one: it may be the one that the function took, or one that it gave up.
    """
    since = moment(delete.time) - LONGEST
    for receive, result in books.results_about(target):
        began, ended = span(result)
        own = (receive.access_key_id, result["client_token"]) == (delete.access_key_id, delete.client_token)
        if own and began <= moment(delete.time) <= ended:
            since = began
    looks = [
        call
        for call in books.calls_about(target)
        if _is_answered(call, _HARMLESS | _SLOW)
        and call.access_key_id == delete.access_key_id
        and since <= moment(call.time)
        and time_of(call) < time_of(delete)
    ]
    slow = [call for call in looks if not _is_answered(call)]
    return slow + sorted((call for call in looks if call not in slow), key=time_of)[-1:]


def no_failure_of_a_task_that_is_gone(books: Books) -> Iterator[str]:
    """No failure where the provider told that the task is gone, or had no chance to: after an answer that is no proof
    the function looks, and only a look that is not answered leaves a failure.
    """
    for receive, result in books.logged:
        if is_ok(result) or not target_of(result).task or not books.is_alone(receive, result):
            continue
        history, calls = books.history_of(target_of(result)), books.calls_of(receive, result)
        of_gone = [call for call in calls if call.carried_out and history.before(call.carried_out) is None]
        looks = [call for call in of_gone if _is_answered(call)]
        told = [call for call in looks if history.before(time_of(call) - books.evidence.deleted_seen) is None]
        if told:
            yield f"{short(result)}, but it was gone, and a look was told so"
        elif any(_is_in_vain(call, calls) for call in of_gone):
            yield f"{short(result)}, but it was gone, and nobody looked"
        elif looks:
            books.apart["failed although it is gone, by a look that still showed it"] += 1


def _is_in_vain(call: Entry, calls: list[Entry]) -> bool:
    """Whether the provider answered this change, and no look came after it."""
    is_answered = call.method != "GET" and _HARMLESS.issuperset(call.faults)
    return is_answered and not any(_is_look(later) and time_of(later) > time_of(call) for later in calls)


def no_doubt_where_a_look_was_answered(books: Books) -> Iterator[str]:
    """A result does not say whether the change was made only if a look came after it, and none was answered."""
    for receive, result in books.logged:
        note = str(((result["error"] or {}).get("detail") or {}).get("note") or "")
        if DOUBT not in note or result["operation"] == CANCEL.name or not books.is_alone(receive, result):
            continue
        calls = books.calls_of(receive, result)
        last = max((time_of(call) for call in calls if not _is_look(call)), default=0.0)
        looks = [call for call in calls if _is_look(call) and time_of(call) > last]
        if not looks:
            yield f"{short(result)}: {note}. Nobody looked"
        elif any(_is_answered(call) for call in looks):
            yield f"{short(result)}: {note}. A look was answered"


def no_task_is_called_changed_that_was_not(books: Books) -> Iterator[str]:
    """``TaskChanged`` only for a task that was not as expected during the run, or when it was deleted just before."""
    for receive, result in books.logged:
        if (result["error"] or {}).get("code") != "TaskChanged":
            continue
        message = books.message_of.get(receive.origin)
        expects = None if message is None else message.expects
        began, ended = (time.timestamp() for time in span(result))
        states = books.history_of(target_of(result)).during(began - books.evidence.deleted_seen, ended)
        if expects is None or all(state is None or state.meets(expects) for state in states):
            yield f"as it was expected all the time: {short(result)}"


def was_lied_to(books: Books, result: Result) -> bool:
    """Whether a look of this time was answered as if there were no task."""
    began, ended = span(result)
    calls = books.calls_about(target_of(result))
    return any(LIE in call.faults and began <= moment(call.time) <= ended for call in calls)


def _is_look(call: Entry) -> bool:
    return call.method == "GET"


def _is_answered(call: Entry, harmless: frozenset[str] = _HARMLESS) -> bool:
    """Whether a look certainly got an answer that says whether the task is there, be it a lie."""
    proof = call.status == 200 or call.code in SERVICES[call.service].look.gone_codes
    whole = (harmless | {LIE}).issuperset(call.faults)
    return _is_look(call) and call.carried_out is not None and proof and whole


LOOK_RULES: tuple[Callable[[Books], Iterator[str]], ...] = (
    no_delete_of_another_than_expected,
    no_failure_of_a_task_that_is_gone,
    no_doubt_where_a_look_was_answered,
    no_task_is_called_changed_that_was_not,
)
