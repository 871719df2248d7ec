"""The torture's tasks that change on the way, and the four rules about looks, each of which must notice its case."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bench.torture import look_rules
from bench.torture.account import no_success_is_false, settle
from bench.torture.actor import Actor, Changed
from bench.torture.evidence import DeadLetter, Ending, Evidence, Receive, Sent
from bench.torture.look_rules import LOOK_RULES
from bench.torture.messages import OPERATIONS, TURNS, Copy, Kind, Message, make_messages, seed_records
from bench.torture.tasks import BEGUN, RESTARTED, Moment, State, expected, present, record
from local.emulators import KINDS, Emulators, Entry
from task_cleanup.looking import differences
from task_cleanup.providers.model import Reply
from task_cleanup.sweep.services import SERVICES
from tests.support.torture_world import (
    KEY,
    OMS,
    TIMES,
    Change,
    fields,
    make_entry,
    make_error,
    make_message,
    make_result,
    origin,
)

START = datetime(2026, 11, 21, 8, 30, tzinfo=UTC).timestamp()
AGAIN = 9 * 60 + 30  # seconds after it: during the redrive
AS_SEEN = State(5, "task", BEGUN)
ANEW = AS_SEEN._replace(begun=RESTARTED)

EXPECTED = make_message(11, OMS, Kind.PRESENT, seeded=AS_SEEN, expects=AS_SEEN)
ANOTHER = make_message(12, OMS, Kind.RESTARTS, seeded=AS_SEEN, expects=AS_SEEN)
VANISHED = make_message(13, OMS, Kind.VANISHES, seeded=AS_SEEN)
DOUBTED = make_message(14, OMS, Kind.PRESENT, seeded=AS_SEEN)
ENDS = {
    EXPECTED: ("succeeded", None),
    ANOTHER: ("failed", make_error("TaskChanged")),
    VANISHED: ("failed", make_error("OMS.0054", "the answer does not say whether the change was made")),
    DOUBTED: ("failed", make_error("ConnectionFailed", "the change may have been made")),
}
REDRIVEN = {
    ANOTHER: ("failed", make_error("TaskChanged")),
    VANISHED: ("unchanged", make_error("OMS.1009")),
    DOUBTED: ("succeeded", None),
}


def call(message: Message, second: float, effect: str | None = None, **changes: Any) -> Entry:
    """A call that the provider carried out so many seconds after the start."""
    time = START + second
    told = datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds")
    values = {"time": told, "carried_out": time, "request_id": f"request-{origin(message)}", **changes}
    return make_entry(message, origin(message), effect, **values)


def look(message: Message, second: float, **changes: Any) -> Entry:
    return call(message, second, **{"method": "GET", "request_id": "look", **changes})


def cut(message: Message, second: float, **changes: Any) -> Entry:
    """A call whose connection was reset before anything was done."""
    lost = {"carried_out": None, "access_key_id": None, "status": None, "faults": ("reset_before",)}
    return look(message, second, **lost, **changes)


def gone(message: Message, second: float, **changes: Any) -> Entry:
    return look(message, second, **{"status": 400, "code": "OMS.1009", **changes})


def world() -> Evidence:
    """Four messages: a good delete, a restarted task, one that vanished and one in doubt, all as it should be."""
    first = {message: make_result(message, origin(message), end[0], error=end[1]) for message, end in ENDS.items()}
    again = {
        message: make_result(message, origin(message), end[0], error=end[1], completed_at=TIMES["redrive"])
        for message, end in REDRIVEN.items()
    }
    runs = [("id", first), ("new", again)]
    before = frozenset(message.target for message in ENDS)
    return Evidence(
        sent=tuple(Sent(message, origin(message), f"id-{message.number}", TIMES["sent"]) for message in ENDS),
        unsent=0,
        receives=tuple(
            Receive(f"{name}-{message.number}", origin(message), 1, KEY, Ending.DONE, result)
            for name, results in runs
            for message, result in results.items()
        ),
        crashes=(),
        published=(*first.values(), *again.values()),
        dead_letters=tuple(DeadLetter(origin(m), f"moved-{m.number}", first[m]) for m in REDRIVEN),
        redriven={f"new-{message.number}": origin(message) for message in REDRIVEN},
        left=(DeadLetter(origin(ANOTHER), "left", again[ANOTHER]),),
        unrouted=(),
        waiting=0,
        journal=(
            look(EXPECTED, 1),
            call(EXPECTED, 2, "deleted"),
            look(ANOTHER, 2),
            call(VANISHED, 2, status=400, code="OMS.0054"),
            cut(VANISHED, 3),
            cut(DOUBTED, 2, method="DELETE"),
            cut(DOUBTED, 3),
            look(ANOTHER, AGAIN),
            call(VANISHED, AGAIN, status=400, code="OMS.1009"),
            call(DOUBTED, AGAIN, "deleted"),
        ),
        before=before,
        after=frozenset({ANOTHER.target}),
        changes=(Changed(START + 1, ANOTHER.target, ANEW), Changed(START + 1, VANISHED.target, None)),
    )


def test_a_world_of_looks_has_no_differences() -> None:
    settled = settle(world())

    assert (settled.differences, settled.apart) == ((), {})


# -- what must not go unnoticed, and what nobody can do better ------------------------------------------------


def changed(message: Message, second: float) -> Change:
    """The task was restarted as well, so many seconds after the start."""
    more = Changed(START + second, message.target, ANEW)
    return lambda evidence: replace(evidence, changes=(*evidence.changes, more))


def looked(message: Message, *instead: Entry) -> Change:
    """Other looks at this task during the first run, or none."""

    def is_meant(entry: Entry) -> bool:
        return entry.method == "GET" and entry.ids["task_id"] == message.target.task and entry.time < TIMES["end"]

    def doctor(evidence: Evidence) -> Evidence:
        others = [entry for entry in evidence.journal if not is_meant(entry)]
        return replace(evidence, journal=tuple(sorted([*others, *instead], key=lambda entry: entry.time)))

    return doctor


def both(*changes: Change) -> Change:
    def doctor(evidence: Evidence) -> Evidence:
        for change in changes:
            evidence = change(evidence)
        return evidence

    return doctor


def hidden(*faults: str) -> Change:
    """The good delete was none: its look told that there was no task."""

    def doctor(evidence: Evidence) -> Evidence:
        result = make_result(EXPECTED, origin(EXPECTED), "unchanged", error=make_error("OMS.1009"))
        kept = [entry for entry in evidence.journal if entry.ids["task_id"] != EXPECTED.target.task]
        return replace(
            evidence,
            receives=(replace(evidence.receives[0], result=result), *evidence.receives[1:]),
            published=(result, *evidence.published[1:]),
            journal=(gone(EXPECTED, 1, faults=faults), *kept),
            after=evidence.after | {EXPECTED.target},
        )

    return doctor


DOCTORED: dict[str, tuple[Change, Callable[..., Any]]] = {
    "another task was deleted, and nobody had looked": (
        both(changed(EXPECTED, 0.5), looked(EXPECTED)),
        look_rules.no_delete_of_another_than_expected,
    ),
    "another task was deleted, and a look had shown it": (
        changed(EXPECTED, 0.5),
        look_rules.no_delete_of_another_than_expected,
    ),
    "another task was deleted, on a look that was not answered": (
        both(changed(EXPECTED, 1.5), looked(EXPECTED, look(EXPECTED, 1, faults=("garbage",)))),
        look_rules.no_delete_of_another_than_expected,
    ),
    "another task was deleted, on the look of another worker": (
        both(changed(EXPECTED, 1.5), looked(EXPECTED, look(EXPECTED, 1, access_key_id="AKFAKEANOTHER0001"))),
        look_rules.no_delete_of_another_than_expected,
    ),
    "another task was deleted, on a look of an earlier run": (
        both(changed(EXPECTED, 1.5), looked(EXPECTED, look(EXPECTED, -1))),
        look_rules.no_delete_of_another_than_expected,
    ),
    "failed, and a look was told that it is gone": (
        looked(VANISHED, gone(VANISHED, 3)),
        look_rules.no_failure_of_a_task_that_is_gone,
    ),
    "failed, it is gone, and nobody looked": (looked(VANISHED), look_rules.no_failure_of_a_task_that_is_gone),
    "failed, it is gone, and the look came before": (
        looked(VANISHED, look(VANISHED, 0.5)),
        look_rules.no_failure_of_a_task_that_is_gone,
    ),
    "in doubt, and a look was answered": (
        looked(DOUBTED, cut(DOUBTED, 3), look(DOUBTED, 4)),
        look_rules.no_doubt_where_a_look_was_answered,
    ),
    "in doubt, and nobody looked": (looked(DOUBTED), look_rules.no_doubt_where_a_look_was_answered),
    "in doubt, and the look came before": (
        looked(DOUBTED, look(DOUBTED, 1)),
        look_rules.no_doubt_where_a_look_was_answered,
    ),
    "called changed, and it was not": (
        lambda evidence: replace(evidence, changes=evidence.changes[1:]),
        look_rules.no_task_is_called_changed_that_was_not,
    ),
    "called changed before it was": (
        lambda evidence: replace(evidence, changes=(changed_late(ANOTHER), *evidence.changes[1:])),
        look_rules.no_task_is_called_changed_that_was_not,
    ),
    "unchanged, it is there, and the provider did not say otherwise": (hidden(), no_success_is_false),
}


def changed_late(message: Message) -> Changed:
    return Changed(START + 120, message.target, ANEW)


@pytest.mark.parametrize(("change", "rule"), DOCTORED.values(), ids=DOCTORED)
def test_the_account_notices(change: Change, rule: Callable[..., Any]) -> None:
    found = {difference.rule for difference in settle(change(world())).differences}

    assert found == {rule.__name__.replace("_", " ")}


def test_every_rule_about_looks_is_doctored() -> None:
    assert set(LOOK_RULES) <= {rule for _, rule in DOCTORED.values()}


APART: dict[str, tuple[Change, str]] = {
    "it changed between look and delete": (changed(EXPECTED, 1.5), "after the look and before the delete"),
    "a slow look may have been answered in time": (
        both(changed(EXPECTED, 1.5), looked(EXPECTED, look(EXPECTED, 1, faults=("latency",)))),
        "after the look and before the delete",
    ),
    "it is gone, and was still shown": (
        both(fields(deleted_seen=60.0), looked(VANISHED, look(VANISHED, 3))),
        "by a look that still showed it",
    ),
    "a look was answered with a lie": (hidden("hide"), "by a look that was answered with a lie"),
}


@pytest.mark.parametrize(("change", "words"), APART.values(), ids=APART)
def test_what_nobody_can_know_is_counted_apart(change: Change, words: str) -> None:
    settled = settle(change(world()))

    assert settled.differences == ()
    ((what, count),) = settled.apart.items()
    assert (what.endswith(words), count) == (True, 1)


def test_two_runs_at_once_with_one_key_are_not_judged_by_their_looks() -> None:
    """The journal does not tell whose look it was."""
    evidence = looked(VANISHED, gone(VANISHED, 3))(world())
    (receive,) = [item for item in evidence.receives if item.message_id == "id-13"]
    twice = replace(receive, message_id="id-15", result=dict(receive.result or {}))

    found = {
        difference.rule for difference in settle(replace(evidence, receives=(*evidence.receives, twice))).differences
    }

    assert look_rules.no_failure_of_a_task_that_is_gone.__name__.replace("_", " ") not in found


# -- the actor ------------------------------------------------


def test_turns_are_the_same_for_a_seed_with_and_without_expectations() -> None:
    messages = make_messages(1000, 3)
    told = [(item.number, item.expects, item.turn) for item in messages]
    assert told == [(item.number, item.expects, item.turn) for item in make_messages(1000, 3)]

    turning = [message for message in messages if message.turn is not None]

    assert {message.kind for message in turning} == set(TURNS)
    mixed = {(m.kind, m.expects is not None, m.turn.moment) for m in turning if m.turn is not None}
    assert mixed == {(kind, expects, moment) for kind in TURNS for expects in (True, False) for moment in Moment}
    statuses = {m.turn.state and m.turn.state.status == KINDS[m.operation.service].running for m in turning if m.turn}
    assert {True, False, None} <= statuses


@pytest.mark.parametrize("operation", [operation for operation in OPERATIONS if "Delete" in operation.name])
def test_a_request_expects_the_task_as_its_list_tells_it(operation: Any) -> None:
    (message, *_) = [
        m for m in make_messages(300, 1) if m.operation is operation and m.kind is Kind.PRESENT and m.seeded
    ]
    service = SERVICES[operation.service]
    assert message.seeded is not None
    told = expected(operation.service, message.seeded)
    assert set(told) == set(service.look.identity)

    with Emulators() as emulators:
        emulators.seed(record(message.target, message.seeded))
        store = emulators.services[operation.service].store
        (listed,) = [task.as_json() for place in store.places.values() for task in store.tasks(place)]
    body = {"Result": [listed], "tasks": [listed], "count": 1, "task_count": "1"}  # each service reads its own
    page = service.listing.read(Reply(200, {}, json.dumps(body).encode()))

    assert page is not None
    assert differences(told, page.tasks[0]) == []
    assert differences({**told, **expected(operation.service, ANEW)}, page.tasks[0])


@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("kind", TURNS)
def test_the_actor_changes_a_task_once_and_tells_when(kind: Kind, moment: Moment) -> None:
    message = next(
        m
        for m in make_messages(1000, 3)
        if m.kind is kind and m.operation is OMS and m.turn and m.turn.moment is moment and m.copy is Copy.FIRST
    )
    assert message.turn is not None
    with Emulators() as emulators:
        for values in seed_records([message]):
            emulators.seed(values)
        actor = Actor(emulators, [message])
        happens = {
            Moment.SENT: lambda: actor.sent(message),
            Moment.CALLED: lambda: emulators.journal.append(call(message, 1)),
            Moment.FAILED: lambda: emulators.journal.append(cut(message, 1)),
        }
        for other in set(Moment) - {moment}:
            happens[other]()
        assert actor.changes == []

        for _ in range(2):
            happens[moment]()

        there = message.target in present(emulators.tasks())
        actor.put(message.target, message.turn.state)
    assert there == (kind is not Kind.VANISHES)
    assert [(change.target, change.state) for change in actor.changes][:1] == [(message.target, message.turn.state)]
    assert len(actor.changes) == (2 if there else 1)  # what is gone stays gone
