"""Decides where every message ended, and finds everything that is not as it should be.

Pure: evidence in, table and differences out. Each rule is one function that yields what contradicts it.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from bench.torture.books import TICK, Books, moment, short, span, target_of, target_of_entry
from bench.torture.evidence import DeadLetter, Ending, Evidence, Receive, Result, fingerprint, is_ok
from bench.torture.look_rules import LOOK_RULES, was_lied_to
from bench.torture.messages import CANCEL, CHANGING, OPERATIONS, REFUSALS, TURNS, Kind, Message
from local.emulators import KINDS
from local.emulators.journal import Entry

MAX_RECEIVES = 5  # the template's
CANCEL_LIFETIME = timedelta(hours=1)  # from when a queued cancel was first sent
_TELLS_GONE = {operation.name for operation in OPERATIONS if operation.tells_gone}


class End(StrEnum):
    """Where a message ended. A dagger: it is in the dead-letter queue as well."""

    SUCCEEDED = "succeeded"
    UNCHANGED = "unchanged"
    PLANNED = "planned"
    CONFLICT = "conflict†"
    FAILED = "failed†"
    NO_RESULT = "died each time†"
    UNROUTED = "unrouted†"
    LOST = "LOST"


@dataclass(frozen=True)
class Difference:
    """The name of a rule, and the message, call or task that contradicts it."""

    rule: str
    case: str


@dataclass(frozen=True)
class Account:
    """``ends``: kind of message -> where it ended, before and after the redrive."""

    ends: Mapping[Kind, Counter[End]]
    after_redrive: Mapping[Kind, Counter[End]]
    differences: tuple[Difference, ...]
    apart: Mapping[str, int] = field(default_factory=dict)
    """What is no difference, since no function could know better: in words, and how often."""


# -- the rules ------------------------------------------------


def every_message_is_sent(books: Books) -> Iterator[str]:
    """The run had time to send all messages, and at its end no queue has a message."""
    if books.evidence.unsent:
        yield f"{books.evidence.unsent} messages were not sent in time"
    if books.evidence.waiting:
        yield f"{books.evidence.waiting} messages still wait in a queue"


def every_message_ends(books: Books) -> Iterator[str]:
    """Every message is received until a worker finishes it and it is deleted. SQS moves one only if every receive at
    which the function would have moved it killed its worker."""
    for case in books.cases:
        if case.message.kind is Kind.UNKNOWN_OPERATION:
            continue
        if case.message_id is None or not (case.history or case.died):
            yield f"never received: {case.name}"
        elif case.died and any(r.ending is not Ending.KILLED for r in case.history if r.number >= MAX_RECEIVES):
            yield f"moved by SQS although not every worker died ({case.endings}): {case.name}"
        elif not case.died and not any(receive.ending is Ending.DONE for receive in case.history):
            yield f"received and never finished ({case.endings}): {case.name}"
    for message_id in books.extras:
        yield f"received and never sent: {message_id}"


def every_redriven_message_ends(books: Books) -> Iterator[str]:
    """Every redriven message is received until a worker finishes it."""
    for message_id, origin in books.evidence.redriven.items():
        if not any(receive.ending is Ending.DONE for receive in books.receives_of.get(message_id, [])):
            yield f"redriven and never finished: {origin}"


def every_end_is_published(books: Books) -> Iterator[str]:
    """A message that was deleted from its queue has a result, and that result is on the bus."""
    published = {fingerprint(result) for result in books.evidence.published}
    for receive in books.evidence.receives:
        if receive.ending is not Ending.DONE:
            continue
        if receive.result is None:
            yield f"forgotten without a result: {receive.origin}"
        elif fingerprint(receive.result) not in published:
            yield f"not published: {short(receive.result)}"


def every_failure_is_in_a_dead_letter_queue(books: Books) -> Iterator[str]:
    """A failed message is in the dead-letter queue as well, with the result that was published."""
    dead_letters = {fingerprint(dead.result) for dead in _dead_letters(books) if dead.result}
    for receive, result in books.logged:
        if receive.ending is Ending.DONE and not is_ok(result) and fingerprint(result) not in dead_letters:
            yield f"failed, and in no dead-letter queue: {short(result)}"


def nothing_is_invented(books: Books) -> Iterator[str]:
    """Every result on the bus or in a dead-letter queue was logged by a function, and none there is a success."""
    logged = {fingerprint(result) for _, result in books.logged}
    for result in books.evidence.published:
        if fingerprint(result) not in logged:
            yield f"published by nobody: {short(result)}"
    for dead in _dead_letters(books):
        if dead.result is not None and (fingerprint(dead.result) not in logged or is_ok(dead.result)):
            yield f"should not be in a dead-letter queue: {short(dead.result)}"
    for name in books.evidence.crashes:
        yield f"a function did not foresee: {name}"


def every_result_names_its_message(books: Books) -> Iterator[str]:
    """The correlation id is the message's first id, also after redeliveries and a redrive."""
    for receive, result in books.logged:
        if result["correlation_id"] != receive.origin:
            yield f"{receive.origin} became {short(result)}"


def no_success_is_false(books: Books) -> Iterator[str]:
    """``succeeded``: this call, or an earlier one with its token, changed it. ``unchanged``: the task is gone."""
    by_request = {entry.request_id: entry for entry in books.evidence.journal}
    for receive, result in books.logged:
        message = books.message_of.get(receive.origin)
        if message is None or not is_ok(result):
            continue
        if result["outcome"] == "planned":
            allowed = message.kind is Kind.DRY_RUN
        elif result["outcome"] == "unchanged":
            allowed = message.kind in CHANGING | {Kind.ABSENT} and _was_gone(books, message, result)
            if not allowed and was_lied_to(books, result):
                books.apart["unchanged although it is there, by a look that was answered with a lie"] += 1
                allowed = True
        else:
            allowed = message.kind in CHANGING and _was_confirmed(books, by_request, message, result)
        if not allowed:
            yield f"{message.kind.value}: {short(result)}"


def _was_gone(books: Books, message: Message, result: Result) -> bool:
    target = message.target
    if target in books.evidence.after:
        return False
    done_at = moment(result["completed_at"]) + TICK
    went = [entry.time for entry in books.effects.get(target, [])]
    vanished = target in books.vanished and books.history_of(target).before(done_at.timestamp()) is None
    return target not in books.evidence.before or vanished or any(moment(time) <= done_at for time in went)


def _was_confirmed(books: Books, by_request: Mapping[str, Entry], message: Message, result: Result) -> bool:
    answer = by_request.get(str(result["request_id"]))
    if answer is None or answer.status not in {200, 204} or answer.code is not None:
        return False
    if message.operation is not CANCEL and message.target in books.evidence.after:
        return False
    token = result["client_token"]
    return any(
        entry is answer or (token is not None and entry.client_token == token and entry.time <= answer.time)
        for entry in books.effects.get(message.target, [])
    )


def no_change_is_silent(books: Books) -> Iterator[str]:
    """A call that made the change is not ``failed`` or ``conflict``, unless its result has a ``note``.

    Nor is any result after a look that showed that the task is gone.
    """
    for receive, result in books.logged:
        if not is_ok(result) and any(look["found"] is False for look in result["looks"]):
            yield f"{short(result)}, but a look showed that it is gone"
        if is_ok(result) or (result["error"]["detail"] or {}).get("note"):
            continue
        began, ended = span(result)
        for entry in books.effects.get(target_of(result), []):
            own = (entry.access_key_id, entry.client_token) == (receive.access_key_id, result["client_token"])
            if own and began <= moment(entry.time) <= ended:
                yield f"{short(result)}, but it was {entry.effect} (faults: {', '.join(entry.faults) or 'none'})"


def nothing_is_changed_unasked(books: Books) -> Iterator[str]:
    """Only tasks that a valid message names are changed, and each task that is gone was deleted by a call."""
    asked = {sent.message.target for sent in books.evidence.sent if sent.message.kind in CHANGING}
    for target, entries in books.effects.items():
        if target not in asked:
            yield f"{entries[0].effect}, and nobody asked for it: {' '.join(target)}"
    for target in books.evidence.before - books.evidence.after - books.vanished:
        if target not in books.effects:
            yield f"gone, and no call deleted it: {' '.join(target)}"


def nothing_is_changed_twice(books: Books) -> Iterator[str]:
    """A duplicate changes nothing. (A cancelled migration is started again, so that a second cancel would show.)"""
    for target, entries in books.effects.items():
        if len(entries) > 1:
            yield f"{entries[0].effect} {len(entries)} times: {' '.join(target)}"


def no_cancel_of_unknown_age_is_sent(books: Books) -> Iterator[str]:
    """A cancel stops whatever runs when it arrives: it is sent only for a message with a time, and a recent one."""
    for entry in books.evidence.journal:
        target = target_of_entry(entry)
        ages = [moment(entry.time) - moment(text) for text in books.cancels.get(target, []) if text is not None]
        if target in books.cancels and not any(age <= CANCEL_LIFETIME for age in ages):
            yield f"cancel sent to the provider ({'too old' if ages else 'of unknown age'}): {' '.join(target)}"


def every_doomed_message_is_moved_by_sqs(books: Books) -> Iterator[str]:
    """SQS moves each message that is sent while every worker dies; else that case would not have been tested."""
    for case in books.cases:
        if case.message.doomed and not case.died:
            yield f"not moved by SQS ({case.endings}): {case.name}"


def every_signature_is_good(books: Books) -> Iterator[str]:
    """No provider received a wrong signature."""
    for entry in books.evidence.journal:
        if entry.signature_ok is False:
            yield f"{entry.method} {entry.path}"


def unknown_operations_are_unrouted(books: Books) -> Iterator[str]:
    """The queue for unrouted requests has all events with an unknown operation, and nothing else."""
    expected = Counter(sent.origin for sent in books.evidence.sent if sent.message.kind is Kind.UNKNOWN_OPERATION)
    actual = Counter(books.evidence.unrouted)
    for origin in expected - actual:
        yield f"not among the unrouted requests: {origin}"
    for origin in actual - expected:
        yield f"unrouted without reason: {origin}"


def all_that_can_succeed_has_succeeded(books: Books) -> Iterator[str]:
    """After the redrive, without faults: every message that can succeed has; an invalid one has its expected code."""
    for case in books.cases:
        message, last = case.message, list(case.done())[-1:]
        if message.kind is Kind.UNKNOWN_OPERATION or not last:
            continue
        result = last[0]
        code = (result["error"] or {}).get("code")
        if message.kind in REFUSALS:
            lied = result["outcome"] == "unchanged" and was_lied_to(books, result)
            if code != REFUSALS[message.kind] and not lied:
                yield f"{message.kind.value} ended as {short(result)}"
        elif not is_ok(result) and not _cannot_succeed(books, message, result):
            yield f"{message.kind.value} ended as {short(result)}"


def _cannot_succeed(books: Books, message: Message, result: Result) -> bool:
    """The task runs, or is not the expected one; or it is gone, and neither a code nor a look tells that."""
    began, ended = span(result)
    states = books.history_of(message.target).during(began.timestamp(), ended.timestamp())
    if result["outcome"] == "conflict":
        running = KINDS[message.operation.service].running
        return message.kind is Kind.RUNS_ON or any(state is not None and state.status == running for state in states)
    if result["error"]["code"] == "TaskChanged":  # that it is true is another rule's
        return message.kind in TURNS and message.expects is not None
    if message.operation.name in _TELLS_GONE:
        return False
    return message.kind is Kind.ABSENT or message.target in books.effects or message.target in books.vanished


RULES: tuple[Callable[[Books], Iterator[str]], ...] = (
    every_message_is_sent,
    every_message_ends,
    every_redriven_message_ends,
    every_end_is_published,
    every_failure_is_in_a_dead_letter_queue,
    nothing_is_invented,
    every_result_names_its_message,
    no_success_is_false,
    no_change_is_silent,
    nothing_is_changed_unasked,
    nothing_is_changed_twice,
    no_cancel_of_unknown_age_is_sent,
    every_doomed_message_is_moved_by_sqs,
    every_signature_is_good,
    unknown_operations_are_unrouted,
    all_that_can_succeed_has_succeeded,
    *LOOK_RULES,
)


def settle(evidence: Evidence) -> Account:
    """Apply all rules."""
    books = Books(evidence)
    ends: dict[Kind, Counter[End]] = defaultdict(Counter)
    after: dict[Kind, Counter[End]] = defaultdict(Counter)
    unrouted = Counter(evidence.unrouted)
    for case in books.cases:
        kind = case.message.kind
        if kind is Kind.UNKNOWN_OPERATION:
            where = End.UNROUTED if unrouted[case.sent.origin] else End.LOST
            ends[kind][where] += 1
            after[kind][where] += 1
            continue
        ends[kind][_end(case.history, died=case.died)] += 1
        after[kind][_end(case.redelivered or case.history, died=case.died and not case.redelivered)] += 1
    differences = [Difference(rule.__name__.replace("_", " "), found) for rule in RULES for found in rule(books)]
    return Account(ends, after, tuple(differences), books.apart)


def _end(history: tuple[Receive, ...], *, died: bool) -> End:
    if died:
        return End.NO_RESULT
    results = [item.result for item in history if item.ending is Ending.DONE and item.result is not None]
    if not results:
        return End.LOST
    outcome = results[-1]["outcome"]
    return {"conflict": End.CONFLICT, "failed": End.FAILED}.get(outcome) or End(outcome)


def _dead_letters(books: Books) -> tuple[DeadLetter, ...]:
    return books.evidence.dead_letters + books.evidence.left
