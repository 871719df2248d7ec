"""One request's way to its result: defaults, deadlines of requests, derived tokens, dry runs, projects."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from task_cleanup.errors import Category
from task_cleanup.results import Outcome, Result
from task_cleanup.triggers import Received, Trigger, from_eventbridge, from_sqs
from tests.support.builders import (
    CANCEL_TASK,
    DELETE_DATA_TASK,
    NAMES,
    NO_CONNECTION,
    NO_REPLY,
    NOW,
    OF_EACH_KIND,
    OMS_DELETE,
    OPERATIONS,
    REQUESTS,
    SECRET,
    SHAPES,
    WITH_PROJECT,
    WITH_TOKEN,
    Answer,
    OperationWorld,
    direct,
    refusal,
    success,
    throttle,
    world,
)
from tests.support.identities import PROJECT
from tests.support.records import RULE_EVENT, record

if TYPE_CHECKING:
    from task_cleanup.operation import Operation
    from task_cleanup.providers.model import Reply


def run(name: str, received: Received) -> tuple[Result, int]:
    """The result of a call that the provider would confirm, and how many requests it took."""
    faked = world(name, success(OPERATIONS[name]))
    return faked.run(received), len(faked.script.sent)


def error_of(result: Result) -> tuple[str, str]:
    assert result.error is not None
    return result.error.category.value, result.error.code


# -- the straight line ------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_confirmed_change_is_succeeded(name: str) -> None:
    result, sent = run(name, direct(OPERATIONS[name], correlation_id="ticket 42"))
    assert (result.outcome, result.attempts, sent, result.error) == (Outcome.SUCCEEDED, 1, 1, None)
    assert result.correlation_id == "ticket 42"

    target = result.target.to_dict()

    assert target == {**target, "account": "default", "region": REQUESTS[name]["region"]}
    assert target.get("task_id") == REQUESTS[name].get("task_id")
    assert target.get("project_id") == (PROJECT if name in WITH_PROJECT else None)


@pytest.mark.parametrize("name", OF_EACH_KIND)
def test_the_trigger_s_id_is_the_default_correlation_id(name: str) -> None:
    assert run(name, direct(OPERATIONS[name]))[0].correlation_id == "3f1c7a52-direct-request-id"


@pytest.mark.parametrize("value", [191297407830872, "191297407830872"])
def test_an_oms_task_id_is_text_in_the_result(value: object) -> None:
    result, _ = run(OMS_DELETE, direct(OPERATIONS[OMS_DELETE], task_id=value))

    assert result.target.task_id == "191297407830872"


@pytest.mark.parametrize("name", OF_EACH_KIND)
@pytest.mark.parametrize("value", ["some.other.Operation", "", 7])
def test_a_misrouted_request_is_refused(name: str, value: object) -> None:
    result, sent = run(name, direct(OPERATIONS[name], operation=value))

    assert (error_of(result)[0], sent) == ("invalid_request", 0)
    assert run(name, direct(OPERATIONS[name], operation=name))[0].outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize("name", OF_EACH_KIND)
def test_a_bug_is_a_result_too(name: str) -> None:
    """An exception's text may hold anything, so none of it goes on."""

    def broken(_request: Any) -> Any:
        raise RuntimeError("testSecretFake in an exception")

    operation: Operation = replace(OPERATIONS[name], call=broken)
    faked = world(name, success(operation))
    faked.operation = operation
    result = faked.run()
    assert error_of(result)[0] == "internal"
    assert "testSecretFake" not in str(result.to_dict())


@pytest.mark.parametrize(("account", "category"), [("acme", "invalid_request"), ("default", "internal")])
@pytest.mark.parametrize("name", OF_EACH_KIND)
def test_a_missing_secret_sends_nothing_and_is_named(name: str, account: str, category: str) -> None:
    """The account that the request names is the caller's to get right, the default one is ours."""
    faked = world(name, success(OPERATIONS[name]))
    faked.aws.secrets.clear()

    result = faked.run(direct(OPERATIONS[name], account=account, correlation_id="migration 42"))

    assert (error_of(result), result.attempts) == ((category, "SecretNotFound"), 0)
    assert result.error is not None
    assert f"task-cleanup/{OPERATIONS[name].service.provider}/{account}" in result.error.message
    assert faked.script.sent == []
    # The request passed its schema, so that nothing stands against telling whose it was and what it was about.
    assert (result.target.account, result.correlation_id) == (account, "migration 42")


# -- dry runs ------------------------------------------------


@pytest.mark.parametrize("name", OF_EACH_KIND)
@pytest.mark.parametrize(("stack", "request_says"), [(True, False), (True, None), (False, True), (True, True)])
def test_a_dry_run_signs_and_sends_nothing(name: str, stack: bool, request_says: bool | None) -> None:
    """The stack can force it, and a request's ``false`` does not undo that."""
    operation = OPERATIONS[name]
    faked = world(name, success(operation), dry_run=stack)
    changes = {} if request_says is None else {"dry_run": request_says}
    result = faked.run(direct(operation, **changes))
    assert (result.outcome, result.attempts, faked.script.sent) == (Outcome.PLANNED, 0, [])
    assert faked.aws.asked == [faked.secret_name], "credentials are read"
    assert result.plan is not None

    call = operation.call({"project_id": PROJECT, "task_type": "MigrateData", **REQUESTS[name]})

    assert dict(result.plan) == {
        "method": call.method,
        "url": call.url(operation.service.base(REQUESTS[name]["region"], None)),
    }


@pytest.mark.parametrize("name", OF_EACH_KIND)
def test_a_dry_run_finds_credentials_that_are_missing(name: str) -> None:
    faked = world(name, success(OPERATIONS[name]), dry_run=True)

    faked.aws.secrets.clear()

    assert error_of(faked.run(direct(OPERATIONS[name]))) == ("internal", "SecretNotFound")


# -- projects ------------------------------------------------


@pytest.mark.parametrize("name", WITH_PROJECT)
def test_the_project_is_the_request_s_else_the_credentials_else_missing(name: str) -> None:
    operation, other = OPERATIONS[name], "f" * 32
    bare = {key: value for key, value in SECRET.items() if key != "project_id"}
    for secret, changes, expected in (
        (SECRET, {"project_id": other}, other),
        (SECRET, {}, PROJECT),
        (bare, {"project_id": other}, other),
    ):
        faked = world(name, success(operation), secret=secret)
        assert faked.run(direct(operation, **changes)).target.project_id == expected
        assert f"/{expected}/" in str(faked.script.sent[0].url)

    faked = world(name, success(operation), secret=bare)

    assert error_of(faked.run())[0] == "invalid_request"
    assert faked.script.sent == []


# -- requests that come too late ------------------------------------------------


@pytest.mark.parametrize("name", OF_EACH_KIND)
@pytest.mark.parametrize(("seconds", "in_time"), [(-3600, False), (-1, False), (0, True), (1, True), (3600, True)])
def test_not_after_is_checked_before_signing(name: str, seconds: int, in_time: bool) -> None:
    moment = (NOW + timedelta(seconds=seconds)).isoformat()
    faked = world(name, success(OPERATIONS[name]))
    result = faked.run(direct(OPERATIONS[name], not_after=moment))
    if in_time:
        assert result.outcome is Outcome.SUCCEEDED
    else:
        assert error_of(result) == ("invalid_request", "Expired")
        assert (result.outcome, result.retryable, faked.script.sent) == (Outcome.FAILED, False, [])
        assert faked.aws.asked == []


@pytest.mark.parametrize("name", OF_EACH_KIND)
def test_not_after_knows_zones(name: str) -> None:
    late, early = "2026-11-21T08:45:00+01:00", "2026-11-21T08:15:00-01:00"

    assert error_of(run(name, direct(OPERATIONS[name], not_after=late))[0])[1] == "Expired"
    assert run(name, direct(OPERATIONS[name], not_after=early))[0].outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize(
    ("moment", "code"),
    [("0001-01-01T00:00:00Z", "Expired"), ("0001-01-01T00:00:00+14:00", "SchemaViolation")],
    ids=["the first", "none that UTC could hold"],
)
def test_a_time_at_the_edge_of_the_calendar_is_refused_not_a_bug(moment: str, code: str) -> None:
    result, sent = run(OMS_DELETE, direct(OPERATIONS[OMS_DELETE], not_after=moment))

    assert (error_of(result), sent) == (("invalid_request", code), 0)


def at(minutes: float) -> str:
    return (NOW - timedelta(minutes=minutes)).isoformat()


def event(minutes: float, request: dict[str, Any]) -> Received:
    return from_eventbridge({**RULE_EVENT, "time": at(minutes), "detail": request}, "fallback")


def message(minutes: float, body: dict[str, Any], **moved: str) -> Received:
    """A record whose SentTimestamp is so old, which must not matter. A redrive sets it to now."""
    stamp = str(int((NOW - timedelta(minutes=minutes)).timestamp() * 1000))
    return from_sqs({"Records": [record(body, {"SentTimestamp": stamp}, **moved)]})[0].received


def event_in_queue(minutes: float, request: dict[str, Any]) -> Received:
    return message(0, {**RULE_EVENT, "time": at(minutes), "detail": request})


def moved_message(minutes: float, request: dict[str, Any]) -> Received:
    return message(0, request, origin_id="x", origin_time=at(minutes))


CANCEL = dict(REQUESTS[CANCEL_TASK])


@pytest.mark.parametrize("make", [event, event_in_queue, moved_message])
def test_a_queued_cancel_is_good_for_one_hour(make: Any) -> None:
    """CancelTask names no task: it stops whatever migration runs on the instance when it arrives."""
    for minutes in (59, 60):
        assert run(CANCEL_TASK, make(minutes, CANCEL))[0].outcome is Outcome.SUCCEEDED

    late, sent = run(CANCEL_TASK, make(61, CANCEL))

    assert (error_of(late), late.retryable, sent) == (("invalid_request", "Expired"), False, 0)


def test_an_explicit_not_after_replaces_the_hour() -> None:
    assert run(CANCEL_TASK, message(600, {**CANCEL, "not_after": at(-1)}))[0].outcome is Outcome.SUCCEEDED
    assert error_of(run(CANCEL_TASK, message(1, {**CANCEL, "not_after": at(0.5)}))[0])[1] == "Expired"


AGELESS: dict[str, Received] = {
    "just sent": message(0, CANCEL),
    "sent long ago": message(60 * 48, CANCEL),
    "sent back after a function had moved it": message(0, CANCEL, origin_id="x"),
    "sent back after EventBridge Scheduler had put it aside": message(0, CANCEL, SCHEDULE_ARN="arn", ERROR_CODE="x"),
    "a dry run": message(0, {**CANCEL, "dry_run": True}),
    "an event without a time": message(0, {**RULE_EVENT, "time": None, "detail": CANCEL}),
    "an event with a time that cannot be": message(
        0, {**RULE_EVENT, "time": "0001-01-01T00:00:00+23:59", "detail": CANCEL}
    ),
    "an event from the future": event_in_queue(-6, CANCEL),
    "an event from 2099": message(0, {**RULE_EVENT, "time": "2099-01-01T00:00:00Z", "detail": CANCEL}),
    "an event from the future, straight": event(-6, CANCEL),
}


@pytest.mark.parametrize("received", AGELESS.values(), ids=AGELESS)
def test_a_queued_cancel_of_unknown_age_is_refused(received: Received) -> None:
    """When in doubt: refuse, and say why, and what to send instead."""
    result, sent = run(CANCEL_TASK, received)

    assert (error_of(result), sent) == (("invalid_request", "SentTimeUnknown"), 0)
    assert (result.outcome, result.retryable) == (Outcome.FAILED, False)
    assert result.error is not None
    for word in ("`id`", "`time`", "`not_after`"):
        assert word in result.error.message


def test_a_clock_that_is_a_little_ahead_does_not_make_an_event_one_from_the_future() -> None:
    assert run(CANCEL_TASK, event_in_queue(-4, CANCEL))[0].outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize("trigger", [Trigger.DIRECT, Trigger.HTTP])
def test_a_cancel_by_hand_has_no_default_lifetime(trigger: Trigger) -> None:
    assert run(CANCEL_TASK, Received(trigger, CANCEL, "id"))[0].outcome is Outcome.SUCCEEDED


def test_what_names_no_task_expires_in_a_queue_and_is_not_repeated_while_in_doubt() -> None:
    changes = {name: operation for name, operation in OPERATIONS.items() if operation.listing is None}
    nameless = {name for name, operation in changes.items() if "task_id" not in operation.schema["properties"]}

    assert nameless == {CANCEL_TASK}
    assert {name for name, operation in changes.items() if operation.max_age_in_queue is not None} == nameless
    assert {name for name, operation in changes.items() if operation.answers.once} == nameless


@pytest.mark.parametrize("name", [name for name in NAMES if name != CANCEL_TASK])
def test_what_names_its_task_has_no_default_lifetime(name: str) -> None:
    assert run(name, message(60 * 24, dict(REQUESTS[name])))[0].outcome is Outcome.SUCCEEDED


# -- client tokens ------------------------------------------------


def token(name: str, received: Received) -> str:
    result, _ = run(name, received)
    assert result.client_token is not None, result.error
    return result.client_token


def bare(name: str, **changes: Any) -> dict[str, Any]:
    """A request without a token of its own."""
    return {key: value for key, value in {**REQUESTS[name], **changes}.items() if key != "client_token"}


def request_with_id(name: str, origin_id: str, **changes: Any) -> Received:
    return Received(Trigger.DIRECT, bare(name, **changes), origin_id)


@pytest.mark.parametrize("name", WITH_TOKEN)
def test_a_given_token_is_used_as_it_is(name: str) -> None:
    faked = world(name, success(OPERATIONS[name]))

    result = faked.run(direct(OPERATIONS[name], client_token="my token/1"))

    assert result.client_token == "my token/1"
    assert "lientToken=my%20token%2F1&" in str(faked.script.sent[0].url)


@pytest.mark.parametrize("name", WITH_TOKEN)
@settings(max_examples=60, deadline=None)
@given(origin=st.text(min_size=1, max_size=200))
def test_a_derived_token_is_a_token_whatever_the_trigger_s_id(name: str, origin: str) -> None:
    """1 to 64 printable ASCII characters, and stable."""
    derived = token(name, request_with_id(name, origin))

    assert 1 <= len(derived) <= 64
    assert derived.isascii()
    assert derived.isprintable()
    assert derived == token(name, request_with_id(name, origin))


@pytest.mark.parametrize("name", WITH_TOKEN)
def test_redelivery_repeats_the_token(name: str) -> None:
    first = from_sqs({"Records": [record(bare(name), {"ApproximateReceiveCount": "1"})]})[0].received

    again = from_sqs({"Records": [record(bare(name), {"ApproximateReceiveCount": "4"})]})[0].received

    assert token(name, at_noon(first)) == token(name, at_noon(again))


def at_noon(received: Received) -> Received:
    return replace(received, first_sent=NOW)


@pytest.mark.parametrize("name", WITH_TOKEN)
def test_redrive_repeats_the_token(name: str) -> None:
    """The moved message has a new message id; ``origin_id`` tells the first."""
    first = record(bare(name))
    moved = {**record(bare(name), None, origin_id=first["messageId"]), "messageId": "another-message-id"}

    before, after = (from_sqs({"Records": [entry]})[0].received for entry in (first, moved))

    assert token(name, at_noon(before)) == token(name, at_noon(after))


@pytest.mark.parametrize("name", WITH_TOKEN)
def test_one_event_has_one_token_however_it_arrives(name: str) -> None:
    content = {**RULE_EVENT, "detail": bare(name)}
    by_rule = from_eventbridge(content, "fallback")
    by_queue = from_sqs({"Records": [record(content)]})[0].received
    other_message = from_sqs({"Records": [{**record(content), "messageId": "other"}]})[0].received

    tokens = {token(name, at_noon(received)) for received in (by_rule, by_queue, other_message)}

    assert len(tokens) == 1


@pytest.mark.parametrize("name", WITH_TOKEN)
def test_spelled_out_defaults_do_not_change_the_token(name: str) -> None:
    plain = token(name, request_with_id(name, "id"))

    assert plain == token(name, request_with_id(name, "id", account="default"))
    assert plain == token(name, request_with_id(name, "id", correlation_id="other", dry_run=False))


@pytest.mark.parametrize("name", WITH_TOKEN)
def test_another_request_has_another_token(name: str) -> None:
    changes: list[dict[str, Any]] = [{}, {"region": "cn-beijing"}, {"instance_id": "es-cn-other"}]
    if name == DELETE_DATA_TASK:
        changes.append({"task_id": "et_cn_other"})
    tokens = [token(name, request_with_id(name, "id", **change)) for change in changes]

    tokens.append(token(name, request_with_id(name, "another id")))

    assert len(set(tokens)) == len(tokens)


def test_operations_do_not_share_tokens() -> None:
    """Not even two that have the same target."""
    received, tokens = request_with_id(CANCEL_TASK, "id"), set()

    for name in (CANCEL_TASK, "alibaba.elasticsearch.AnotherTask"):
        faked = world(CANCEL_TASK, success(OPERATIONS[CANCEL_TASK]))
        faked.operation = replace(OPERATIONS[CANCEL_TASK], name=name)
        tokens.add(faked.run(received).client_token)

    assert len(tokens) == 2


@pytest.mark.parametrize("name", [name for name in NAMES if name not in WITH_TOKEN])
def test_operations_without_a_token_have_none(name: str) -> None:
    assert run(name, direct(OPERATIONS[name]))[0].client_token is None
    assert error_of(run(name, direct(OPERATIONS[name], client_token="x"))[0])[0] == "invalid_request"


# -- evidence ------------------------------------------------


def test_unchanged_keeps_the_provider_s_code_as_evidence() -> None:
    faked = world(OMS_DELETE, refusal(OPERATIONS[OMS_DELETE], "OMS.1009", 400, "not found"))

    result = faked.run()

    assert result.error is not None
    assert (result.outcome, result.error.code, result.http_status) == (Outcome.UNCHANGED, "OMS.1009", 400)
    assert (result.retryable, result.attempts) == (False, 1)
    assert result.error.category is Category.NOT_FOUND


def test_completed_at_is_utc() -> None:
    result, _ = run(OMS_DELETE, direct(OPERATIONS[OMS_DELETE]))

    assert result.completed_at == datetime(2026, 11, 21, 8, 30, tzinfo=UTC)


def test_a_bug_after_a_look_keeps_the_look() -> None:
    def bug(_: "Reply") -> None:
        raise ZeroDivisionError

    operation = OPERATIONS[OMS_DELETE]
    faked = world(OMS_DELETE, Answer(200, json.dumps(dict(SHAPES["oms"].record)).encode()), success(operation))
    faked.operation = replace(operation, check_success=bug)

    result = faked.run(direct(operation, expected={}))

    assert result.error is not None
    assert (result.error.code, [look.found for look in result.looks]) == ("InternalError", [True])


# -- what cannot be undone, and what is only accepted ------------------------------------------------

SHOWN = Answer(200, json.dumps(dict(SHAPES["oms"].record)).encode())


def irreversible(name: str, *answers: Answer | Exception, **changes: Any) -> OperationWorld:
    """OMS, as a service that always looks."""
    faked = world(name, *answers)
    service = faked.operation.service
    always = replace(service, look=replace(service.look, always=True))
    faked.operation = replace(faked.operation, service=always, **changes)
    return faked


def methods(faked: OperationWorld) -> list[str | None]:
    return [request.method for request in faked.script.sent]


def test_a_service_that_always_looks_looks_where_nothing_is_expected() -> None:
    faked = irreversible(OMS_DELETE, SHOWN, success(OPERATIONS[OMS_DELETE]))

    result = faked.run()

    assert (result.outcome, methods(faked)) == (Outcome.SUCCEEDED, ["GET", "DELETE"])


def test_an_irreversible_change_of_a_task_that_cannot_be_looked_at_is_not_sent() -> None:
    faked = irreversible(OMS_DELETE, refusal(OPERATIONS[OMS_DELETE], "OMS.0206", 403))

    result = faked.run()

    assert (result.outcome, methods(faked)) == (Outcome.FAILED, ["GET"])


@pytest.mark.parametrize("lost", [NO_REPLY, Answer(503), Answer(500)], ids=["time-out", "503", "500"])
def test_an_irreversible_change_in_doubt_is_not_sent_again_and_comes_again(lost: Answer | Exception) -> None:
    """The next delivery looks first. A change of any other service is repeated at once."""
    answers = (SHOWN, lost, SHOWN)
    faked, other = irreversible(OMS_DELETE, *answers), world(OMS_DELETE, *answers)

    result, _ = faked.run(), other.run(direct(other.operation, expected={}))

    assert methods(faked) == ["GET", "DELETE", "GET"]
    assert (result.outcome, result.retryable, result.attempts) == (Outcome.FAILED, True, 1)
    assert [(look.when.value, look.found) for look in result.looks] == [("before", True), ("after", True)]
    assert methods(other).count("DELETE") > 1


def test_an_irreversible_change_that_was_certainly_not_made_is_sent_again() -> None:
    operation = OPERATIONS[OMS_DELETE]
    faked = irreversible(OMS_DELETE, SHOWN, throttle(operation), NO_CONNECTION, success(operation))

    result = faked.run()

    assert (result.outcome, methods(faked)) == (Outcome.SUCCEEDED, ["GET", "DELETE", "DELETE", "DELETE"])


def test_a_look_before_an_irreversible_change_is_repeated() -> None:
    faked = irreversible(OMS_DELETE, NO_REPLY, SHOWN, success(OPERATIONS[OMS_DELETE]))

    result = faked.run()

    assert (result.outcome, methods(faked)) == (Outcome.SUCCEEDED, ["GET", "GET", "DELETE"])


def test_what_began_to_run_after_the_look_is_not_stopped_where_a_stop_cannot_be_undone() -> None:
    """No status was named that may be stopped."""
    operation = OPERATIONS[OMS_DELETE]
    faked = irreversible(OMS_DELETE, SHOWN, refusal(operation, "OMS.0063", 400), success(operation))

    result = faked.run(direct(operation, stop_running=True))

    assert (result.outcome, methods(faked)) == (Outcome.CONFLICT, ["GET", "DELETE"])


@pytest.mark.parametrize("is_asynchronous", [True, False])
@pytest.mark.parametrize("doubt", [refusal(OPERATIONS[OMS_DELETE], "OMS.0054", 400), Answer(200, b"<html>")])
def test_a_delete_that_is_only_accepted_and_in_doubt_is_never_final(doubt: Answer, is_asynchronous: bool) -> None:
    """A provider that deletes later still shows the task, so the same request comes again."""
    faked = world(OMS_DELETE, doubt, SHOWN)
    faked.operation = replace(faked.operation, is_asynchronous=is_asynchronous)

    result = faked.run()

    assert result.error is not None
    assert (result.outcome, result.retryable) == (Outcome.FAILED, is_asynchronous)
    assert result.error.code in {"OMS.0054", "UnexpectedReply"}
