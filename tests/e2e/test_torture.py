"""Nothing is lost, counted: a short run with all faults on, and the account, which must notice whatever is wrong."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from bench.torture import account
from bench.torture.account import settle
from bench.torture.evidence import DeadLetter, Ending, read_log
from bench.torture.look_rules import LOOK_RULES
from bench.torture.messages import (
    CHANGING,
    DUPLICATES,
    INVALID,
    OPERATIONS,
    REFUSALS,
    Copy,
    Kind,
    envelope,
    make_messages,
    seed_records,
)
from bench.torture.tasks import present
from bench.torture.trouble import Proxies, Refusals
from bench.torture.worker import first_sent_of
from tests.support.functions import ROOT
from tests.support.torture_world import (
    AGELESS,
    BYSTANDER,
    CANCEL,
    CANCELLED,
    DELETED,
    DOUBTFUL,
    DRY,
    ENDS,
    GONE,
    INVALID_ONE,
    KEY,
    OMS,
    RUNNING,
    STRAY,
    Change,
    change_entry,
    change_receive,
    change_result,
    change_sent,
    fields,
    honest,
    make_entry,
    make_error,
    make_message,
    make_result,
    moved_by_sqs,
    no_longer_there,
    origin,
    still_there,
    with_entry,
    without,
)

# -- a run ------------------------------------------------


@pytest.mark.timeout(480)
def test_a_short_run_accounts_for_every_message() -> None:
    """All faults on, in a process of its own (local AWS lives once in each), as ``make torture`` runs it."""
    paths = [str(ROOT / "layers/task_cleanup/python"), str(ROOT)]
    options = {"messages": 80, "seed": 7, "visibility": 2, "kill-every": 1.5, "away": 1.5, "time-limit": 400}
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
    assert f"All {options['messages']} messages are accounted for." in done.stdout
    assert "workers killed in the middle of a batch: 0" not in done.stdout
    assert "since they killed every worker: 0" not in done.stdout
    assert "tasks changed on the way: 0" not in done.stdout
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


# -- the account: an honest world ------------------------------------------------


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
    assert set(account.RULES) - set(LOOK_RULES) == {rule for _, rules in DOCTORED.values() for rule in rules}


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
