"""Nothing is lost, counted: a short run with all faults on, and the account, which must notice whatever is wrong."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from bench.torture import account
from bench.torture.account import settle
from bench.torture.evidence import DeadLetter, Ending, Evidence, Receive, Result, Sent, read_log
from bench.torture.messages import (
    CHANGING,
    DUPLICATES,
    INVALID,
    OPERATIONS,
    REFUSALS,
    Copy,
    Kind,
    Message,
    Target,
    envelope,
    make_messages,
    present,
    seed_records,
)
from bench.torture.trouble import Proxies, Refusals
from bench.torture.worker import first_sent_of
from local.emulators.journal import Entry
from tests.support.functions import ROOT

Change = Callable[[Evidence], Evidence]

# -- a run ------------------------------------------------


@pytest.mark.timeout(480)
def test_a_short_run_accounts_for_every_message() -> None:
    """All faults on, in a process of its own (local AWS lives once in each), as ``make torture`` runs it."""
    paths = [str(ROOT / "layers/task_cleanup/python"), str(ROOT)]
    options = {"messages": 120, "seed": 7, "visibility": 2, "kill-every": 1.5, "away": 1.5, "time-limit": 400}
    command = [sys.executable, "-m", "bench.torture", *(f"--{name}={value}" for name, value in options.items())]

    done = subprocess.run(
        command,
        env={"PYTHONPATH": os.pathsep.join(paths), "PATH": os.environ["PATH"]},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=460,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "All 120 messages are accounted for." in done.stdout
    assert "workers killed in the middle of a batch: 0" not in done.stdout
    assert "since they killed every worker: 0" not in done.stdout
    assert Kind.AGELESS.value in done.stdout


def test_a_run_without_time_says_what_is_missing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.torture", "--messages=20", "--time-limit=0"],
        env={"PYTHONPATH": f"{ROOT / 'layers/task_cleanup/python'}{os.pathsep}{ROOT}", "PATH": os.environ["PATH"]},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert done.returncode == 1, done.stdout + done.stderr
    assert "20 messages were not sent in time" in done.stdout


# -- the account: an honest world, by hand ------------------------------------------------

ALIBABA, CANCEL, OMS, DMS = OPERATIONS
KEY = "AKFAKEWORKER0001"
TIMES = {
    name: f"2026-11-21T08:{minute}:00.000Z"
    for name, minute in (("sent", "29"), ("call", "30"), ("end", "31"), ("redrive", "40"))
}


def make_message(number: int, operation: Any, kind: Kind, copy: Copy = Copy.FIRST, **more: bool) -> Message:
    names = {
        ALIBABA: ("es-cn-fake1", f"et_cn_fake{number}"),
        CANCEL: (f"es-cn-fake{number}", ""),
        OMS: ("", str(number)),
        DMS: ("b9f1c1de-5b1a-4f0c-9e0e-000000000001", f"{number:032x}"),
    }
    target = Target(operation.service, *names[operation])
    return Message(number, number, kind, copy, operation, target, "{}", over_bus=False, **more)


def make_result(message: Message, origin: str, outcome: str, **changes: Any) -> Result:
    provider, _, service = message.operation.service.partition("_")
    target = message.target
    ids = {"instance_id": target.instance, "task_id": target.task}
    token = f"token-{origin}" if provider == "alibaba" else None
    return {
        "operation": message.operation.name,
        "outcome": outcome,
        "target": {"provider": provider, "service": service, **{name: value for name, value in ids.items() if value}},
        "request_id": f"request-{origin}",
        "client_token": token,
        "error": None,
        "looks": [],
        "attempts": 1,
        "duration_ms": 60000.0,
        "completed_at": TIMES["end"],
        "correlation_id": origin,
        **changes,
    }


def make_error(code: str, note: str | None = None) -> dict[str, Any]:
    return {"category": "provider_error", "code": code, "message": "", "detail": {"note": note} if note else None}


def make_entry(message: Message, origin: str, effect: str | None, **changes: Any) -> Entry:
    target = message.target
    values: dict[str, Any] = {
        "time": TIMES["call"],
        "service": target.service,
        "operation": "DeleteTask",
        "method": "DELETE",
        "path": "/",
        "ids": {"instance_id": target.instance, "task_id": target.task},
        "client_token": make_result(message, origin, "failed")["client_token"],
        "access_key_id": KEY,
        "signature_ok": True,
        "nonce": None,
        "status": 200,
        "code": None,
        "effect": effect,
        "faults": (),
        "request_id": f"request-{origin}",
    }
    return Entry(**{**values, **changes})


DELETED = make_message(1, ALIBABA, Kind.PRESENT)
CANCELLED = make_message(2, CANCEL, Kind.PRESENT)
GONE = make_message(3, OMS, Kind.ABSENT)
DRY = make_message(4, DMS, Kind.DRY_RUN)
INVALID_ONE = make_message(5, OMS, Kind.VIOLATION)
DOUBTFUL = make_message(6, OMS, Kind.PRESENT)  # changed by a call that got no answer; told after the redrive
RUNNING = make_message(7, OMS, Kind.RUNS_ON)
STRAY = make_message(8, OMS, Kind.UNKNOWN_OPERATION)
AGELESS = make_message(9, CANCEL, Kind.AGELESS, doomed=True)  # moved by SQS, and sent back under another id
ENDS = {
    DELETED: ("succeeded", None),
    CANCELLED: ("succeeded", None),
    GONE: ("unchanged", make_error("OMS.1009")),
    DRY: ("planned", None),
    INVALID_ONE: ("failed", make_error("SchemaViolation")),
    DOUBTFUL: ("failed", make_error("ConnectionFailed", "the change may have been made")),
    RUNNING: ("conflict", make_error("OMS.0063")),
}
REDRIVEN = {
    INVALID_ONE: ("failed", make_error("SchemaViolation")),
    DOUBTFUL: ("unchanged", make_error("OMS.1009")),
    RUNNING: ("conflict", make_error("OMS.0063")),
}
BYSTANDER = Target("huawei_oms", "", "999")


def origin(message: Message) -> str:
    return f"origin-{message.number}"


def honest() -> Evidence:
    """Nine messages, each with an end of its own, all as it should be."""
    first = {message: make_result(message, origin(message), *end[:1], error=end[1]) for message, end in ENDS.items()}
    again = {
        message: make_result(message, origin(message), end[0], error=end[1], completed_at=TIMES["redrive"])
        for message, end in REDRIVEN.items()
    }
    receives = [
        Receive(f"id-{message.number}", origin(message), 1, KEY, Ending.DONE, result)
        for message, result in first.items()
    ]
    receives.append(Receive("id-1", origin(DELETED), 1, KEY, Ending.KILLED, None))
    receives += [
        Receive(f"new-{message.number}", origin(message), 1, KEY, Ending.DONE, result)
        for message, result in again.items()
    ]
    receives += [Receive("id-9", origin(AGELESS), number, "", Ending.KILLED, None) for number in range(1, 9)]
    unknown = make_result(
        AGELESS, "new-9", "failed", error=make_error("SentTimeUnknown"), completed_at=TIMES["redrive"]
    )
    receives.append(Receive("new-9", "new-9", 1, KEY, Ending.DONE, unknown))
    before = {message.target for message in (*ENDS, STRAY, AGELESS) if message is not GONE} | {BYSTANDER}
    return Evidence(
        sent=(
            *(Sent(message, origin(message), f"id-{message.number}", TIMES["sent"]) for message in ENDS),
            Sent(STRAY, origin(STRAY), None),
            Sent(AGELESS, origin(AGELESS), "id-9"),
        ),
        unsent=0,
        receives=tuple(receives),
        crashes=(),
        published=(*first.values(), *again.values(), unknown),
        dead_letters=(
            *(DeadLetter(origin(message), f"moved-{message.number}", first[message]) for message in REDRIVEN),
            DeadLetter(origin(AGELESS), "id-9", None),
        ),
        redriven={f"new-{message.number}": origin(message) for message in (*REDRIVEN, AGELESS)},
        left=(
            *(
                DeadLetter(origin(message), f"left-{message.number}", again[message])
                for message in (INVALID_ONE, RUNNING)
            ),
            DeadLetter("new-9", "left-9", unknown),
        ),
        unrouted=(origin(STRAY),),
        waiting=0,
        journal=(
            make_entry(DELETED, origin(DELETED), "deleted"),
            make_entry(CANCELLED, origin(CANCELLED), "cancelled"),
            make_entry(DOUBTFUL, origin(DOUBTFUL), "deleted", status=None, faults=("reset_after",)),
            make_entry(RUNNING, origin(RUNNING), None, status=400, code="OMS.0063"),
        ),
        before=frozenset(before),
        after=frozenset(before - {DELETED.target, CANCELLED.target, DOUBTFUL.target}),
    )


def test_an_honest_world_has_no_differences() -> None:
    settled = settle(honest())
    assert settled.differences == ()

    all_of_them = (*ENDS, STRAY, AGELESS)

    assert {kind: sum(ends.values()) for kind, ends in settled.ends.items()} == {
        kind: sum(message.kind is kind for message in all_of_them)
        for kind in {message.kind for message in all_of_them}
    }
    assert settled.ends[Kind.AGELESS] == {account.End.NO_RESULT: 1}
    assert settled.after_redrive[Kind.AGELESS] == {account.End.FAILED: 1}


# -- … and what must not go unnoticed ------------------------------------------------


def change_result(message: Message, **changes: Any) -> Change:
    """Another first result, everywhere that it stands."""

    def changed(result: Result | None) -> Result | None:
        if result is None or result["correlation_id"] != origin(message) or result["completed_at"] != TIMES["end"]:
            return result
        return {**result, **changes}

    def doctor(evidence: Evidence) -> Evidence:
        return replace(
            evidence,
            receives=tuple(replace(item, result=changed(item.result)) for item in evidence.receives),
            published=tuple(changed(item) or item for item in evidence.published),
            dead_letters=tuple(replace(item, result=changed(item.result)) for item in evidence.dead_letters),
        )

    return doctor


def change_receive(received_id: str, **changes: Any) -> Change:
    return lambda evidence: replace(
        evidence,
        receives=tuple(
            replace(item, **changes) if item.message_id == received_id else item for item in evidence.receives
        ),
    )


def without(collection: str, message: Message) -> Change:
    """The evidence without what names this message in one of its collections."""

    def names(item: Any) -> bool:
        found = item["correlation_id"] if isinstance(item, dict) else getattr(item, "origin", item)
        return bool(found == origin(message))

    def doctor(evidence: Evidence) -> Evidence:
        changes: dict[str, Any] = {collection: tuple(x for x in getattr(evidence, collection) if not names(x))}
        return replace(evidence, **changes)

    return doctor


def with_entry(entry: Entry) -> Change:
    return lambda evidence: replace(evidence, journal=(*evidence.journal, entry))


def change_entry(message: Message, **changes: Any) -> Change:
    return lambda evidence: replace(
        evidence,
        journal=tuple(
            replace(entry, **changes) if entry.request_id == f"request-{origin(message)}" else entry
            for entry in evidence.journal
        ),
    )


def change_sent(message: Message, **changes: Any) -> Change:
    return lambda evidence: replace(
        evidence,
        sent=tuple(replace(sent, **changes) if sent.message is message else sent for sent in evidence.sent),
    )


def fields(**changes: Any) -> Change:
    return lambda evidence: replace(evidence, **changes)


def still_there(message: Message) -> Change:
    return lambda evidence: replace(evidence, after=evidence.after | {message.target})


def no_longer_there(target: Target) -> Change:
    return lambda evidence: replace(evidence, after=evidence.after - {target})


def moved_by_sqs(ending: Ending) -> Change:
    """The running task's message, as if no worker had finished it by its eighth receive."""

    def doctor(evidence: Evidence) -> Evidence:
        receives = tuple(
            Receive("id-7", origin(RUNNING), number, KEY, Ending.AGAIN if number < 5 else ending, None)
            for number in range(1, 9)
        )
        others = tuple(item for item in evidence.receives if item.message_id != "id-7")
        dead_letters = tuple(item for item in evidence.dead_letters if item.origin != origin(RUNNING))
        published = tuple(
            item
            for item in evidence.published
            if (item["correlation_id"], item["completed_at"]) != (origin(RUNNING), TIMES["end"])
        )
        dead = DeadLetter(origin(RUNNING), "id-7", None)
        return replace(evidence, receives=others + receives, published=published, dead_letters=(*dead_letters, dead))

    return doctor


MADE_UP = make_result(DELETED, "origin-of-nobody", "succeeded")
DOCTORED: dict[str, tuple[Change, set[Any]]] = {
    "there was no time to send all": (fields(unsent=1), {account.every_message_is_sent}),
    "a message still waits": (fields(waiting=1), {account.every_message_is_sent}),
    "a message was never received": (
        lambda evidence: without("published", DELETED)(without("receives", DELETED)(evidence)),
        {account.every_message_ends},
    ),
    "a message was killed and never came again": (
        change_receive("id-1", ending=Ending.KILLED),
        {account.every_message_ends},
    ),
    "a message failed and never came again": (
        change_receive("id-1", ending=Ending.AGAIN),
        {account.every_message_ends},
    ),
    "a message came from nowhere": (
        change_receive("id-1", message_id="id-other"),
        {account.every_message_ends},
    ),
    "SQS moved what a worker should have": (moved_by_sqs(Ending.AGAIN), {account.every_message_ends}),
    "a redriven message was lost": (
        change_receive("new-6", ending=Ending.KILLED),
        {account.every_redriven_message_ends, account.all_that_can_succeed_has_succeeded},
    ),
    "a message was forgotten without a result": (
        change_receive("new-7", result=None),
        {account.every_end_is_published, account.nothing_is_invented},
    ),
    "a result was not published": (without("published", DELETED), {account.every_end_is_published}),
    "a failure was not moved": (without("dead_letters", DOUBTFUL), {account.every_failure_is_in_a_dead_letter_queue}),
    "a failure after the redrive was not moved": (
        without("left", INVALID_ONE),
        {account.every_failure_is_in_a_dead_letter_queue},
    ),
    "a result was made up": (
        lambda evidence: replace(evidence, published=(*evidence.published, MADE_UP)),
        {account.nothing_is_invented},
    ),
    "a success is in a dead-letter queue": (
        lambda evidence: replace(
            evidence, left=(*evidence.left, DeadLetter(origin(DELETED), "moved", evidence.published[0]))
        ),
        {account.nothing_is_invented},
    ),
    "a function crashed": (fields(crashes=("ZeroDivisionError",)), {account.nothing_is_invented}),
    "a redriven message became another": (
        change_receive("new-6", origin="new-6"),
        {account.every_result_names_its_message},
    ),
    "a success for a task that is there": (still_there(DELETED), {account.no_success_is_false}),
    "a success that no call made": (
        change_entry(DELETED, effect=None),
        {account.no_success_is_false, account.nothing_is_changed_unasked},
    ),
    "a success of another call": (
        change_entry(DELETED, client_token="token-of-another", request_id="request-of-another"),
        {account.no_success_is_false},
    ),
    "a success from an error": (
        change_entry(CANCELLED, status=400, code="InstanceActivating"),
        {account.no_success_is_false},
    ),
    "unchanged, and it is there": (still_there(GONE), {account.no_success_is_false}),
    "unchanged before it was gone": (
        change_entry(DOUBTFUL, time="2026-11-21T09:00:00.000Z"),
        {account.no_success_is_false},
    ),
    "an invalid message succeeded": (
        change_result(INVALID_ONE, outcome="succeeded", error=None),
        {account.no_success_is_false, account.nothing_is_invented},
    ),
    "a dry run that was none": (
        change_result(DRY, outcome="succeeded"),
        {account.no_success_is_false},
    ),
    "failed without a note, and it was deleted": (
        change_result(DOUBTFUL, error=make_error("ConnectionFailed")),
        {account.no_change_is_silent},
    ),
    "failed, and a look showed that it is gone": (
        change_result(DOUBTFUL, looks=[{"when": "after", "found": False}]),
        {account.no_change_is_silent},
    ),
    "conflict, and it was deleted": (
        with_entry(make_entry(RUNNING, origin(RUNNING), "deleted")),
        {account.no_change_is_silent},
    ),
    "a bystander was deleted": (
        with_entry(make_entry(make_message(999, OMS, Kind.PRESENT), "origin-999", "deleted")),
        {account.nothing_is_changed_unasked},
    ),
    "an invalid message's task was deleted": (
        with_entry(make_entry(INVALID_ONE, "origin-999", "deleted", access_key_id="AKFAKEANOTHER0001")),
        {account.nothing_is_changed_unasked},
    ),
    "a task is gone and no call took it": (no_longer_there(BYSTANDER), {account.nothing_is_changed_unasked}),
    "a duplicate cancelled another migration": (
        with_entry(make_entry(CANCELLED, origin(CANCELLED), "cancelled", request_id="request-2")),
        {account.nothing_is_changed_twice},
    ),
    "a cancel of unknown age was sent to the provider": (
        with_entry(make_entry(AGELESS, "new-9", None, status=400, code="InstanceNotFound")),
        {account.no_cancel_of_unknown_age_is_sent},
    ),
    "a cancel that told no time was carried out": (
        change_sent(CANCELLED, first_sent=None),
        {account.no_cancel_of_unknown_age_is_sent},
    ),
    "a cancel was carried out after more than an hour": (
        change_sent(CANCELLED, first_sent="2026-11-21T07:29:59.000Z"),
        {account.no_cancel_of_unknown_age_is_sent},
    ),
    "SQS did not move what killed every worker": (
        without("dead_letters", AGELESS),
        {account.every_message_ends, account.every_doomed_message_is_moved_by_sqs},
    ),
    "a signature was rejected": (change_entry(RUNNING, signature_ok=False), {account.every_signature_is_good}),
    "an unknown operation vanished": (fields(unrouted=()), {account.unknown_operations_are_unrouted}),
    "a good event was not routed": (
        fields(unrouted=(origin(STRAY), origin(DELETED))),
        {account.unknown_operations_are_unrouted},
    ),
    "it could have succeeded after the redrive": (
        lambda evidence: replace(
            evidence,
            receives=tuple(
                replace(item, result={**item.result, "outcome": "failed"})
                if item.message_id == "new-6" and item.result
                else item
                for item in evidence.receives
            ),
        ),
        {
            account.every_end_is_published,
            account.every_failure_is_in_a_dead_letter_queue,
            account.nothing_is_invented,
            account.all_that_can_succeed_has_succeeded,
        },
    ),
    "an invalid message says something else": (
        lambda evidence: replace(
            evidence,
            receives=tuple(
                replace(item, result={**item.result, "error": make_error("Expired")})
                if item.message_id == "new-5" and item.result
                else item
                for item in evidence.receives
            ),
        ),
        {account.all_that_can_succeed_has_succeeded},
    ),
}


@pytest.mark.parametrize(("change", "rules"), DOCTORED.values(), ids=DOCTORED)
def test_the_account_notices(change: Change, rules: set[Any]) -> None:
    found = {difference.rule for difference in settle(change(honest())).differences}

    assert found == {rule.__name__.replace("_", " ") for rule in rules}


def test_every_rule_is_doctored() -> None:
    assert set(account.RULES) == {rule for _, rules in DOCTORED.values() for rule in rules}


def test_sqs_may_move_what_killed_every_worker() -> None:
    """The one exception: from the fifth receive on nobody lived to move it."""
    assert settle(moved_by_sqs(Ending.KILLED)(honest())).differences == ()


# -- what the account is made of ------------------------------------------------


def line(**members: Any) -> str:
    return json.dumps(members) + "\n"


def received(*ids: str) -> str:
    messages = [{"message_id": name, "origin": f"origin-{name}", "number": 1} for name in ids]
    return line(torture="received", messages=messages)


def test_a_log_tells_how_every_receive_ended(tmp_path: Path) -> None:
    first, second = make_result(DELETED, "a", "succeeded"), make_result(DELETED, "b", "failed")
    log = tmp_path / "worker.log"
    log.write_text(
        received("a", "b")
        + line(message="succeeded", result=first)
        + line(message="failed", result=second)
        + line(torture="answered", failures=["b"])
        + received("c")
        + line(message="unforeseen exception", exception_type="ZeroDivisionError")
        + line(torture="answered", failures=None)
        + received("d", "e")
        + line(message="succeeded", result=first)
        + '{"message": "succ'
    )

    receives, crashes = read_log(log, KEY)

    assert [(item.message_id, item.ending, item.result) for item in receives] == [
        ("a", Ending.DONE, first),
        ("b", Ending.AGAIN, second),
        ("c", Ending.AGAIN, None),
        ("d", Ending.KILLED, first),
        ("e", Ending.KILLED, None),
    ]
    assert crashes == ["ZeroDivisionError"]


def test_messages_are_mixed_as_promised_and_the_same_for_a_seed() -> None:
    messages = make_messages(1000, 3)
    untimed = [(item.number, item.first, item.kind, item.copy, item.target, item.over_bus) for item in messages]
    assert untimed == [
        (item.number, item.first, item.kind, item.copy, item.target, item.over_bus) for item in make_messages(1000, 3)
    ]
    firsts = [message for message in messages if message.copy is Copy.FIRST]
    assert len(messages) - len(firsts) == 1000 * DUPLICATES
    invalid = [message for message in firsts if message.kind in {*REFUSALS, Kind.UNKNOWN_OPERATION}]
    assert len(invalid) == len(firsts) * INVALID
    assert {message.kind for message in messages} == set(Kind)
    assert {message.operation for message in messages} == set(OPERATIONS)

    places = {message.number: place for place, message in enumerate(messages)}

    assert all(places[message.first] <= places[message.number] for message in messages)


def test_some_messages_meet_workers_that_all_die_and_a_cancel_of_unknown_age_is_among_them() -> None:
    for count, seed in ((120, 7), (300, 1), (1000, 3)):
        messages = make_messages(count, seed)
        doomed = [message for message in messages if message.doomed]
        assert {Kind.AGELESS, Kind.PRESENT} <= {message.kind for message in doomed}
        assert {(message.copy, message.over_bus) for message in doomed} == {(Copy.FIRST, False)}
        assert {True, False} == {message.in_event for message in doomed}
        assert len(doomed) < count / 10


def test_a_cancel_goes_to_its_queue_as_an_event_unless_that_is_what_is_wrong_with_it() -> None:
    for message in make_messages(1000, 3):
        good = message.kind in CHANGING or message.kind is Kind.DRY_RUN
        if message.operation is CANCEL and good and not message.over_bus:
            assert message.in_event
        if message.kind is Kind.AGELESS:
            assert (message.operation, message.in_event, message.over_bus) == (CANCEL, False, False)
            assert first_sent_of(message.text) is None


def test_a_message_tells_its_time_as_an_event_only() -> None:
    assert first_sent_of(envelope("id", "{}", "2026-11-21T08:29:00Z")) == "2026-11-21T08:29:00Z"
    assert [first_sent_of(text) for text in ("{}", "[]", "{", '{"time": "2026-11-21T08:29:00Z"}')] == [None] * 4


def test_a_copy_asks_for_the_same_as_its_first() -> None:
    messages = make_messages(300, 5)
    firsts = {message.number: message for message in messages if message.copy is Copy.FIRST}
    for message in messages:
        first = firsts[message.first]
        assert (message.text, message.target, message.operation) == (first.text, first.target, first.operation)


def test_every_named_task_is_there_but_for_the_absent() -> None:
    from local.emulators import Emulators

    messages = make_messages(200, 1)
    with Emulators() as emulators:
        for record in seed_records(messages):
            emulators.seed(record)
        there = present(emulators.tasks())
    named = {message.target for message in messages if message.kind is not Kind.ABSENT}
    assert named <= there
    assert not {message.target for message in messages if message.kind is Kind.ABSENT} & there
    assert there - named  # bystanders


# -- the unreliable way into local AWS ------------------------------------------------

SEND = "AmazonSQS.SendMessage"


@pytest.mark.parametrize(
    ("refusals", "arrives"),
    [(Refusals(before=1.0), 0), (Refusals(after=1.0), 1)],
    ids=["not done", "done all the same"],
)
def test_a_call_fails_before_or_after_it_is_made(refusals: Refusals, arrives: int) -> None:
    once = Config(retries={"total_max_attempts": 1})

    with Proxies(seed=1) as proxies:
        proxies.faults = {SEND: refusals}
        plain = boto3.session.Session().client("sqs", endpoint_url=proxies.plain_url)
        unreliable = boto3.session.Session().client("sqs", endpoint_url=proxies.unreliable_url, config=once)
        url = plain.create_queue(QueueName=f"proxies-{arrives}")["QueueUrl"]
        with pytest.raises(ClientError) as refused:
            unreliable.send_message(QueueUrl=url, MessageBody="fake")
        found = plain.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        for client in (plain, unreliable):
            client.close()

    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert len(found) == arrives


def test_a_failed_entry_comes_with_status_200() -> None:
    with Proxies(seed=1) as proxies:
        proxies.faults = {"AWSEvents.PutEvents": Refusals(failed_entry=1.0)}
        events = boto3.session.Session().client("events", endpoint_url=proxies.unreliable_url)
        reply = events.put_events(Entries=[{"Source": "fake", "DetailType": "fake", "Detail": "{}"}])
        events.close()

    assert reply["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert reply["FailedEntryCount"] == 1
