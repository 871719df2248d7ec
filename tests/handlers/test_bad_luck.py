"""The provider, the network and our own AWS calls at their worst: never a false success, never a lost message."""

import json
import time
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from task_cleanup import aws, transport
from task_cleanup.handler import DELIVERY_RESERVE, PUBLISH_RESERVE
from tests.support.aws import Trouble
from tests.support.checks import check_against_journal, check_shape, only_result
from tests.support.functions import in_turn, is_list, operation_name, provider_of, representative_folders, service_of
from tests.support.handler_world import MAX_RECEIVES, Function, HandlerWorld
from tests.support.identities import fake_secret
from tests.support.scenes import Request, is_still_there, made, put_instance, put_task
from tests.support.secret_store import SECRET_STORE, break_secret_store
from tests.support.triggers import QUEUED, TRIGGERS, arrival, batch, plain_body, request_of, with_body

FOLDERS = representative_folders()
# One function of each dialect where a test is slow; the machinery behind them is the same.
DELETE_DATA_TASK = "alibaba_elasticsearch_delete_data_task"
CANCEL_TASK = "alibaba_elasticsearch_cancel_task"
OMS_DELETE = "huawei_oms_delete_task"
OMS_STOP = "huawei_oms_stop_task"
HUAWEI_DMS_DELETE = "huawei_dms_delete_background_task"
DMS_DELETE = "otc_dms_delete_background_task"
# What is sent again in the same call, although the attempt before may have arrived. CancelTask is not.
REPEATED = [folder for folder in FOLDERS if folder != CANCEL_TASK]
CHANGING = ("deleted", "cancelled", "stopped")

RECEIVES = [1, MAX_RECEIVES - 1, MAX_RECEIVES, MAX_RECEIVES + 1]
EMPTY: list[tuple[str, ...] | None] = [("MAX_RECEIVES",), ("DEAD_LETTER_QUEUE_URL",), ("EVENT_BUS_NAME",), None]

every_function = pytest.mark.parametrize("folder", FOLDERS)


def add_fault(world: HandlerWorld, folder: str, kind: str, **fault: Any) -> None:
    world.cloud.faults.add(kind, service=service_of(folder), **fault)


def start(world: HandlerWorld, folder: str) -> tuple[Function, Request]:
    """A function whose task is there."""
    request = request_of(folder)
    put_task(world, folder, request)
    return world.function(folder), request


# -- the provider ------------------------------------------------


@pytest.mark.parametrize("folder", REPEATED)
def test_reset_before_the_change_is_tried_again_with_the_same_token_and_a_new_signature(
    world: HandlerWorld, folder: str
) -> None:
    function, request = start(world, folder)
    add_fault(world, folder, "reset_before", count=1)

    result = function.result(request)

    assert (result["outcome"], result["attempts"]) == ("succeeded", 2)
    check_against_journal(world, folder, request, result)
    assert len(world.effects) == made(folder)


AFTER_A_LOST_ANSWER = {
    # The client token makes the second call answer what the first would have answered.
    DELETE_DATA_TASK: ("succeeded", None),
    CANCEL_TASK: ("failed", "ConnectionFailed"),
    OMS_DELETE: ("unchanged", "OMS.1009"),
    OMS_STOP: ("unchanged", "OMS.0066"),
    # No code is known for a missing task: it cannot be `unchanged`.
    DMS_DELETE: ("failed", "DMS.00400070"),
    HUAWEI_DMS_DELETE: ("failed", "DMS.00400070"),
    **{folder: ("succeeded", None) for folder in FOLDERS if is_list(folder)},
}


@pytest.mark.parametrize(("folder", "expected"), AFTER_A_LOST_ANSWER.items())
def test_the_answer_is_lost_after_the_change(
    world: HandlerWorld, folder: str, expected: tuple[str, str | None]
) -> None:
    """Where an earlier attempt of the same call got no answer, "gone" is still `unchanged`, and `detail` says so."""
    function, request = start(world, folder)
    add_fault(world, folder, "reset_after", count=1)

    result = function.result(request)

    error = result["error"] or {"code": None, "detail": None}
    attempts = 1 if folder == CANCEL_TASK else 2
    assert (result["outcome"], error["code"], result["attempts"]) == (*expected, attempts)
    assert len(world.effects) == made(folder)
    if error["code"] is not None:
        assert "no" in error["detail"]["note"]
        assert "answer" in error["detail"]["note"]


def test_gone_without_a_lost_answer_has_no_note(world: HandlerWorld) -> None:
    result = world.function(OMS_DELETE).result(request_of(OMS_DELETE))

    assert (result["outcome"], result["error"]["detail"]) == ("unchanged", None)


@every_function
def test_never_answering_after_the_change_is_never_a_success(world: HandlerWorld, folder: str) -> None:
    function, request = start(world, folder)
    add_fault(world, folder, "reset_after")

    result = function.result(request)

    assert (result["outcome"], result["error"]["category"]) == ("failed", "unavailable")
    assert result["retryable"] is True
    assert bool((result["error"]["detail"] or {}).get("note")) is not is_list(folder)
    check_against_journal(world, folder, request, result)


LIES: dict[str, dict[str, Any]] = {
    "web page": {"kind": "garbage", "variant": "html"},
    "truncated JSON": {"kind": "garbage", "variant": "truncated"},
    "endless body": {"kind": "garbage", "variant": "huge"},
    "redirect": {"kind": "redirect"},
    "202": {"kind": "http_error", "status": 202},
    "teapot": {"kind": "http_error", "status": 418, "body": "<html>"},
}
# Each by every function, half of them after the change.
LIES_TOLD = [(folder, lie, number % 2 == 1) for number, (lie, folder) in enumerate(product(LIES, FOLDERS))]


@pytest.mark.parametrize(("folder", "lie", "changed"), LIES_TOLD, ids=str)
def test_an_answer_that_the_sheet_does_not_promise_is_a_provider_error(
    world: HandlerWorld, folder: str, lie: str, changed: bool
) -> None:
    """Any other status, and a 2xx whose body is not what the sheet promises: `provider_error`."""
    function, request = start(world, folder)
    add_fault(world, folder, **LIES[lie], made=changed)

    result = function.result(request)

    assert (result["outcome"], result["error"]["category"]) == ("failed", "provider_error")
    assert result["retryable"] is False
    assert len(world.effects) == (made(folder) if changed else 0)
    assert len(world.arrived(operation_name(folder))) == result["attempts"] == 1
    check_shape(result)


WITHOUT_A_CODE = {429: "throttled"} | dict.fromkeys((408, 500, 502, 503, 504), "unavailable")
WITHOUT_A_CODE |= {401: "unauthenticated", 403: "forbidden"}
WITHOUT_A_CODE |= dict.fromkeys((301, 400, 404, 409, 410, 422, 501), "provider_error")


@pytest.mark.parametrize(("folder", "status"), in_turn(FOLDERS, list(WITHOUT_A_CODE)))
def test_without_a_readable_code_the_status_decides(world: HandlerWorld, folder: str, status: int) -> None:
    """404 without a code is no proof that the task is gone."""
    function, request = start(world, folder)
    add_fault(world, folder, "http_error", status=status, body="<html>no</html>")

    result = function.result(request)

    assert (result["outcome"], result["error"]["category"]) == ("failed", WITHOUT_A_CODE[status])
    assert is_still_there(world, folder, request)
    assert len(world.arrived(operation_name(folder))) == result["attempts"]


SLOW: dict[str, dict[str, Any]] = {
    "dripping body": {"kind": "drip_body", "ms": 200},
    "dripping headers": {"kind": "drip_headers", "ms": 200},
    "slow": {"kind": "latency", "ms": 30_000},
    "slow after the change": {"kind": "latency", "ms": 30_000, "made": True},
}


@pytest.mark.parametrize(("folder", "slowness"), in_turn(FOLDERS, list(SLOW)))
def test_slow_and_dripping_answers_end_before_the_deadline(
    own_world: HandlerWorld, folder: str, slowness: str
) -> None:
    """Every attempt is bounded by the deadline, whatever the far end does; the function always answers."""
    function, request = start(own_world, folder)
    add_fault(own_world, folder, **SLOW[slowness])

    outcome = function.invoke(request, timeout=7)

    assert outcome.seconds < 7
    result = outcome.reply
    has_body = service_of(folder) == "alibaba_elasticsearch" or is_list(folder)
    if slowness == "dripping body" and not has_body:
        assert result["outcome"] == "succeeded"  # no body that could drip
        return
    assert (result["outcome"], result["error"]["category"], result["retryable"]) == ("failed", "timeout", True)
    assert bool((result["error"]["detail"] or {}).get("note")) is not is_list(folder)


@pytest.mark.parametrize("folder", REPEATED)
def test_a_provider_that_is_away_and_comes_back(world: HandlerWorld, folder: str) -> None:
    function, request = start(world, folder)
    add_fault(world, folder, "away", count=2)

    result = function.result(request)

    assert (result["outcome"], result["attempts"]) == ("succeeded", 3)
    assert len(world.arrived(operation_name(folder))) == 3
    assert len(world.naps) == 2


@every_function
def test_nobody_listens_at_the_providers_address(world: HandlerWorld, folder: str, free_port: int) -> None:
    name = f"{service_of(folder).upper()}_ENDPOINT"
    function = world.function(folder, {name: f"http://127.0.0.1:{free_port}"})

    result = function.result(request_of(folder))

    assert (result["outcome"], result["error"]["category"]) == ("failed", "unavailable")
    assert result["error"]["code"] == "ConnectionFailed"
    assert result["http_status"] is None
    assert result["attempts"] > 1, "nothing was sent, so nothing can be done twice"
    assert result["error"]["detail"] is None


UNANSWERED: dict[str, dict[str, Any]] = {
    "reset before the change": {"kind": "reset_before"},
    "reset after the change": {"kind": "reset_after"},
    "no reply in time": {"kind": "latency", "ms": 30_000, "made": True},
    "half a head in time": {"kind": "drip_headers", "ms": 100},
    "half a body in time": {"kind": "drip_body", "ms": 100},
    "away": {"kind": "away"},
    "away, connections are reset": {"kind": "away", "variant": "reset"},
    "internal error with a code": {"kind": "error", "status": 400, "code": "InternalError"},
    "unknown code with 500": {"kind": "error", "status": 500, "code": "Nobody.Knows"},
    **{f"{status} without a code": {"kind": "http_error", "status": status} for status in (408, 500, 502, 503, 504)},
    "502 after the change": {"kind": "http_error", "status": 502, "made": True},
}


@pytest.mark.parametrize("reused", [False, True], ids=["new connection", "kept connection"])
@pytest.mark.parametrize("kind", UNANSWERED)
def test_a_cancel_that_may_have_arrived_is_not_sent_again(
    own_world: HandlerWorld, monkeypatch: pytest.MonkeyPatch, kind: str, reused: bool
) -> None:
    """It stops whatever runs when it arrives: a second one could stop the migration that was begun meanwhile."""
    function, request = start(own_world, CANCEL_TASK)
    if reused:
        assert function.result({**request, "client_token": "earlier"})["outcome"] == "succeeded"
        put_task(own_world, CANCEL_TASK, request)
    before = len(own_world.arrived(operation_name(CANCEL_TASK)))
    if "ms" in UNANSWERED[kind]:  # leave time for further attempts
        monkeypatch.setattr(transport, "READ_TIMEOUT", 1.0)
    add_fault(own_world, CANCEL_TASK, **UNANSWERED[kind])

    result = function.result(request)

    assert len(own_world.arrived(operation_name(CANCEL_TASK))) - before <= result["attempts"] == 1
    assert own_world.naps == []
    assert (result["outcome"], result["retryable"]) == ("failed", True)
    assert result["error"]["category"] == ("timeout" if "ms" in UNANSWERED[kind] else "unavailable")
    assert "the change may have been made" in result["error"]["detail"]["note"]


@pytest.mark.parametrize("lost", ["reset_before", "reset_after"])
def test_a_cancel_that_may_have_arrived_is_left_to_the_next_delivery(world: HandlerWorld, lost: str) -> None:
    """With the same client token, so that the provider does not act twice, and only within the hour."""
    function, _ = start(world, CANCEL_TASK)
    event = arrival(CANCEL_TASK, "sqs_eventbridge", {"client_token": None}).event
    add_fault(world, CANCEL_TASK, lost, count=1)

    first, second = function.invoke(event), function.invoke(event)
    arrived = world.arrived(operation_name(CANCEL_TASK))
    world.pass_time(3600)
    function.invoke(event)

    assert [len(outcome.reply["batchItemFailures"]) for outcome in (first, second)] == [1, 0]
    codes = [(result["error"] or {"code": None})["code"] for result in world.logged_results()]
    assert codes == ["ConnectionFailed", None, "Expired"]
    assert len(arrived) == len(world.arrived(operation_name(CANCEL_TASK))) == 2
    assert len({entry.client_token for entry in arrived} - {None}) == 1
    assert [effect for effect, _ in world.effects] == ["cancelled"]


DIALECTS: dict[str, tuple[str, Callable[[HandlerWorld], None], int]] = {
    "Alibaba": (DELETE_DATA_TASK, lambda world: None, 400),
    "Alibaba, CancelTask": (CANCEL_TASK, lambda world: None, 400),
    "Alibaba with 503": (
        DELETE_DATA_TASK,
        lambda world: world.cloud.switches.update(alibaba_throttle_status=503),
        503,
    ),
    "Alibaba without a hint": (
        DELETE_DATA_TASK,
        lambda world: world.cloud.switches.update(alibaba_retry_after_sent=False),
        400,
    ),
    "Huawei's gateway": (OMS_DELETE, lambda world: None, 429),
    "DMS, hidden in a 404": (DMS_DELETE, lambda world: None, 404),
    "DMS behind the gateway": (
        DMS_DELETE,
        lambda world: world.cloud.switches.update(dms_throttle="APIGW.0308", otc_gateway_prefix="APIG"),
        429,
    ),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_throttling_is_recognized_in_every_dialect(world: HandlerWorld, dialect: str) -> None:
    folder, prepare, status = DIALECTS[dialect]
    function, request = start(world, folder)
    prepare(world)
    add_fault(world, folder, "throttle")

    result = function.result(request)

    assert (result["outcome"], result["error"]["category"], result["retryable"]) == ("failed", "throttled", True)
    assert result["http_status"] == status
    assert result["attempts"] > 1
    check_against_journal(world, folder, request, result)
    assert is_still_there(world, folder, request)


@pytest.mark.parametrize("folder", [DELETE_DATA_TASK, OMS_DELETE])
def test_the_provider_says_when_to_come_again(world: HandlerWorld, folder: str) -> None:
    """`Retry-After` and `x-acs-retry-after` (milliseconds) are obeyed, within the deadline, and passed on."""
    function, request = start(world, folder)

    add_fault(world, folder, "throttle", count=1, retry_after=3.0)

    assert function.result(request)["outcome"] == "succeeded"
    assert world.naps == [pytest.approx(3.0)]


@pytest.mark.parametrize("folder", [DELETE_DATA_TASK, OMS_DELETE])
def test_a_hint_beyond_the_deadline_goes_to_the_caller_instead(world: HandlerWorld, folder: str) -> None:
    function, _ = start(world, folder)
    add_fault(world, folder, "throttle", retry_after=77.0)

    reply = function.invoke(arrival(folder, "http").event).reply

    assert (reply["statusCode"], reply["headers"]["Retry-After"]) == (429, "77")
    assert world.naps == []
    assert len(world.arrived(operation_name(folder))) == 1


# -- clocks and connections ------------------------------------------------


@pytest.mark.parametrize("offset", [-3600, 3600])
@every_function
def test_a_wrong_clock_is_put_right_once_and_kept(world: HandlerWorld, folder: str, offset: int) -> None:
    """Only if the reply's `Date` is more than 5 minutes off ours; re-sign with that offset, kept once accepted."""
    function, request = start(world, folder)
    add_fault(world, folder, "stale_date", offset=offset)

    first = function.result(request)
    put_task(world, folder, request)
    second = function.result({**request, **({"client_token": "second"} if "client_token" in request else {})})

    assert (first["outcome"], first["attempts"]) == ("succeeded", 2)
    assert (second["outcome"], second["attempts"]) == ("succeeded", 1)


@every_function
def test_a_date_that_only_lies_costs_one_more_attempt(world: HandlerWorld, folder: str) -> None:
    """A rejected signature is re-signed for the clock once only: six of them lock a Huawei key."""
    function, request = start(world, folder)
    world.rotate_key(provider_of(folder))
    add_fault(world, folder, "http_error", status=500, count=0)
    world.cloud.clock.shift(3600)

    result = function.result(request)

    assert result["error"]["category"] == "unauthenticated"
    assert len(world.arrived(operation_name(folder), looks=True)) == result["attempts"] == 2


@every_function
def test_a_connection_that_was_closed_while_the_function_was_frozen_is_reopened(
    world: HandlerWorld, folder: str
) -> None:
    """One that the far end closed while the function was frozen is reopened and re-signed."""
    function, request = start(world, folder)
    add_fault(world, folder, "close_after_reply")

    for number in range(3):
        put_task(world, folder, request)
        result = function.result({**request, **({"client_token": f"t{number}"} if "client_token" in request else {})})
        assert result["outcome"] == "succeeded"
        time.sleep(0.2)  # it is frozen, and the far end's close arrives

    assert len(world.effects) == made(folder, 3)
    assert world.naps == []


# -- keys ------------------------------------------------


@every_function
def test_a_key_that_is_rotated_while_the_function_is_warm(world: HandlerWorld, folder: str) -> None:
    """Rotated credentials: fetch the secret again; re-sign only if it changed."""
    function, request = start(world, folder)
    provider = provider_of(folder)
    assert function.result(request)["outcome"] == "succeeded"
    world.put_secret(provider, world.rotate_key(provider))
    put_task(world, folder, request)

    rotated = function.result({**request, **({"client_token": "second"} if "client_token" in request else {})})

    assert (rotated["outcome"], rotated["attempts"]) == ("succeeded", 2)
    assert world.aws.calls_of("secretsmanager") == 2


@every_function
def test_the_secret_is_kept_for_a_while_only(world: HandlerWorld, folder: str) -> None:
    function, request = start(world, folder)
    for _ in range(3):
        function.result(request)
    assert world.aws.calls_of("secretsmanager") == 1
    world.pass_time(3600)

    function.result(request)

    assert world.aws.calls_of("secretsmanager") == 2


@every_function
def test_fifty_records_with_one_bad_key_reach_the_provider_twice_at_most(world: HandlerWorld, folder: str) -> None:
    """After a final `unauthenticated`, that credential is refused locally: `CredentialSuspended`, retryable."""
    function, request = start(world, folder)
    world.rotate_key(provider_of(folder))
    records = [with_body(folder, plain_body(folder, request), message_id=f"m{number}") for number in range(50)]

    outcome = function.invoke(batch(*records))

    assert 1 <= len(world.arrived(operation_name(folder), looks=True)) <= 2
    first, *others = world.logged_results()
    assert (first["error"]["category"], first["retryable"]) == ("unauthenticated", False)
    assert {result["error"]["code"] for result in others} == {"CredentialSuspended"}
    assert {(result["attempts"], result["retryable"]) for result in others} == {(0, True)}
    assert {result["error"]["category"] for result in others} == {"unauthenticated"}
    # The first one's own fault is settled; the others come again.
    assert len(outcome.reply["batchItemFailures"]) == 49
    assert len(world.aws.messages) == len(world.published()) == 1


@every_function
def test_a_suspended_key_is_tried_again_after_the_caches_time(world: HandlerWorld, folder: str) -> None:
    function, request = start(world, folder)
    provider = provider_of(folder)
    world.rotate_key(provider)
    assert function.result(request)["error"]["category"] == "unauthenticated"
    assert function.result(request)["error"]["code"] == "CredentialSuspended"
    world.cloud.add_key(provider, **fake_secret(provider))

    world.pass_time(301)

    assert function.result(request)["outcome"] == "succeeded"


@every_function
def test_a_suspended_key_suspends_no_other_account(world: HandlerWorld, folder: str) -> None:
    """That credential (by id and digest) is refused, no other."""
    function, request = start(world, folder)
    provider = provider_of(folder)
    good = {**fake_secret(provider), "access_key_id": "AKFAKEOTHER0002"}
    world.cloud.add_key(provider, **good)
    world.put_secret(provider, good, "other")

    world.rotate_key(provider)

    assert function.result(request)["error"]["category"] == "unauthenticated"
    assert function.result({**request, "account": "other"})["outcome"] == "succeeded"


# -- our own AWS calls ------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less than a second for an AWS that does not answer; the test below compares the real time-out."""
    monkeypatch.setattr(aws, "CALL_TIMEOUT", 0.8)


def test_the_reserves_are_enough_for_calls_to_aws_that_time_out() -> None:
    """A result is published and its message moved, one call after the other, before Lambda's time is over."""
    assert aws.CALL_TIMEOUT <= PUBLISH_RESERVE
    assert 2 * aws.CALL_TIMEOUT <= DELIVERY_RESERVE


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("folder", "trouble"), in_turn(FOLDERS, list(SECRET_STORE)))
def test_the_secret_store_fails(own_world: HandlerWorld, folder: str, trouble: str) -> None:
    """Secret missing, denied or malformed: `internal`, naming the secret; throttled, down or slow: `unavailable`."""
    world = own_world
    function, request = start(world, folder)
    break_secret_store(world, folder, trouble)

    outcome = function.invoke(request, timeout=9)

    assert outcome.seconds < 9
    category, code = SECRET_STORE[trouble]
    error = outcome.reply["error"]
    assert (outcome.reply["outcome"], error["category"]) == ("failed", category)
    assert code is None or error["code"] == code
    assert outcome.reply["retryable"] is (category == "unavailable")
    assert f"task-cleanup/{provider_of(folder)}/default" in error["message"]
    assert "testSecretFake" not in json.dumps(outcome.reply)
    assert "AKFAKE0001" not in json.dumps(outcome.reply)
    assert world.arrived(operation_name(folder), looks=True) == []
    check_shape(outcome.reply)


@pytest.mark.parametrize("service", ["secretsmanager", "events", "sqs"])
def test_a_call_to_aws_whose_signature_has_gone_stale_is_signed_again(world: HandlerWorld, service: str) -> None:
    """Lambda freezes an environment in the middle of a call: the first thing that it hears when it goes on."""
    world.aws.troubles_once[service] = Trouble.STALE
    function, request = start(world, OMS_DELETE)
    if service == "sqs":
        world.cloud.faults.add("error", service="huawei_oms", status=403, code="OMS.0072")

    outcome = function.invoke(batch(with_body(OMS_DELETE, json.dumps(request))))

    assert outcome.reply == {"batchItemFailures": []}
    assert (len(world.aws.events), len(world.aws.messages)) == (1, service == "sqs")
    assert world.published()[0]["error"] is None or service == "sqs"


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("trigger", TRIGGERS)
def test_a_slow_secret_store_by_every_trigger(own_world: HandlerWorld, trigger: str) -> None:
    function, _ = start(own_world, OMS_DELETE)
    own_world.aws.troubles["secretsmanager"] = Trouble.SLOW

    outcome = function.invoke(arrival(OMS_DELETE, trigger).event, timeout=14)

    assert outcome.seconds < 14
    assert only_result(own_world)["error"]["category"] == "unavailable"
    assert len(own_world.aws.events) == (trigger == "direct")
    assert own_world.aws.messages == []
    if trigger in QUEUED:
        assert len(outcome.reply["batchItemFailures"]) == 1


def test_a_secret_store_that_fails_at_the_second_look_leaves_the_rejection(world: HandlerWorld) -> None:
    """The key was rejected: that is the news, and nothing is signed with it again."""
    function, request = start(world, OMS_DELETE)
    assert function.result(request)["outcome"] == "succeeded"
    world.rotate_key("huawei")
    world.aws.troubles["secretsmanager"] = Trouble.DOWN

    result = function.result(request)

    assert result["error"]["category"] == "unauthenticated"
    assert result["attempts"] == 1


NOT_DELIVERED = [trouble for trouble in Trouble if trouble is not Trouble.FAILED_ENTRY]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("trigger", "trouble"), in_turn(QUEUED, list(Trouble)))
@pytest.mark.parametrize("there", [True, False], ids=["succeeded", "failed"])
def test_a_result_that_cannot_be_published_leaves_the_message_in_its_queue(
    own_world: HandlerWorld, trigger: str, there: bool, trouble: Trouble
) -> None:
    """If publishing fails (also 200 with `FailedEntryCount` > 0), that record is an item failure."""
    world = own_world
    function, _ = start(world, DMS_DELETE)
    if not there:
        world.cloud.otc_dms.clear()
    world.aws.troubles["events"] = trouble
    arrived = arrival(DMS_DELETE, trigger)

    outcome = function.invoke(arrived.event, timeout=14)

    assert outcome.seconds < 14
    message_id = arrived.event["Records"][0]["messageId"]
    assert outcome.reply == {"batchItemFailures": [{"itemIdentifier": message_id}]}
    assert world.aws.messages == []
    assert only_result(world)["outcome"] == ("succeeded" if there else "failed")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("folder", "trouble"), in_turn(FOLDERS, NOT_DELIVERED))
def test_a_message_that_cannot_be_moved_stays_in_its_queue(
    own_world: HandlerWorld, folder: str, trouble: Trouble
) -> None:
    """If moving fails, that record is an item failure."""
    world = own_world
    function = world.function(folder)
    world.aws.troubles["sqs"] = trouble
    record = with_body(folder, '{"region": "atlantis-1"}')

    outcome = function.invoke(batch(record), timeout=14)

    assert outcome.seconds < 14
    assert outcome.reply == {"batchItemFailures": [{"itemIdentifier": record["messageId"]}]}
    assert world.aws.messages == []


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("folder", "trouble"), in_turn(FOLDERS, list(Trouble)))
def test_an_events_result_that_cannot_be_published_raises(
    own_world: HandlerWorld, folder: str, trouble: Trouble
) -> None:
    """Every message ends in a published result: Lambda must try again."""
    function, _ = start(own_world, folder)
    own_world.aws.troubles["events"] = trouble

    outcome = function.invoke(arrival(folder, "eventbridge").event, timeout=12)

    assert outcome.seconds < 12
    assert outcome.error is not None


def test_an_event_s_call_leaves_time_to_publish_its_result(world: HandlerWorld) -> None:
    """A change that is made when no time is left to tell of it would be a change that nobody hears of."""
    function, _ = start(world, OMS_DELETE)
    world.on_nonce = lambda: world.pass_time(24)  # of the 28 seconds

    outcome = function.invoke(arrival(OMS_DELETE, "eventbridge").event)

    assert outcome.error is not None, "Lambda tries again"
    assert (world.effects, world.published()) == ([], [])


@pytest.mark.parametrize("trigger", ["eventbridge", "sqs_plain", "sqs_eventbridge"])
def test_a_redelivery_after_an_unpublished_success_does_not_change_twice(world: HandlerWorld, trigger: str) -> None:
    """A redelivered event repeats the same client token, so that the provider answers as before."""
    function, _ = start(world, DELETE_DATA_TASK)
    arrived = arrival(DELETE_DATA_TASK, trigger)
    world.aws.troubles["events"] = Trouble.DENIED
    function.invoke(arrived.event)
    world.aws.troubles.clear()

    outcome = function.invoke(arrived.event)

    assert outcome.error is None
    assert [result["outcome"] for result in world.published()] == ["succeeded"]
    assert len(world.effects) == 1


# -- batches ------------------------------------------------


@every_function
def test_a_batch_goes_on_after_failed_records(world: HandlerWorld, folder: str) -> None:
    function, request = start(world, folder)
    good, none = plain_body(folder, request), json.dumps([request])
    bodies = ["not json", '{"region": "atlantis-1"}', good, "", none, '{"a":1,"a":2}']
    records = [with_body(folder, body, message_id=f"m{number}") for number, body in enumerate(bodies)]

    outcome = function.invoke(batch(*records))

    assert outcome.reply == {"batchItemFailures": []}
    assert [result["outcome"] for result in world.published()] == ["failed", "failed", "succeeded"] + ["failed"] * 3
    assert [message["MessageBody"] for message in world.aws.messages] == [*bodies[:2], *bodies[3:]]
    assert {result["error"]["category"] for result in world.published() if result["error"]} == {"invalid_request"}
    assert len(world.effects) == made(folder)


def test_one_record_that_nobody_foresaw_comes_again_and_the_others_go_on(world: HandlerWorld) -> None:
    """A bug in our own code must not lose a message either."""
    function, request = start(world, OMS_DELETE)
    run = function.handler._run  # type: ignore[attr-defined]

    def broken(received: Any, deadline: Any) -> Any:
        if received.origin_id == "bad":
            raise ZeroDivisionError("text that may hold anything")
        return run(received, deadline)

    world.monkeypatch.setattr(function.handler, "_run", broken)
    records = [with_body(OMS_DELETE, json.dumps(request), message_id=name) for name in ("bad", "good")]

    outcome = function.invoke(batch(*records))

    assert outcome.reply == {"batchItemFailures": [{"itemIdentifier": "bad"}]}
    assert [result["outcome"] for result in world.published()] == ["succeeded"]
    assert [line for line in world.log_lines() if "bad" in json.dumps(line)], "the log names the message"
    assert "anything" not in world.output


def test_no_record_of_a_batch_waits_longer_than_its_share(world: HandlerWorld) -> None:
    """The second one would find no time left."""
    function, request = start(world, OMS_DELETE)
    add_fault(world, OMS_DELETE, "throttle", count=1, retry_after=15.0)  # of the 22 seconds for both
    records = [with_body(OMS_DELETE, json.dumps(request), message_id=f"m{number}") for number in range(2)]

    outcome = function.invoke(batch(*records))

    assert world.naps == []
    assert outcome.reply == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert [result["outcome"] for result in world.logged_results()] == ["failed", "succeeded"]


@every_function
def test_a_batch_mixes_what_comes_again_and_what_does_not(world: HandlerWorld, folder: str) -> None:
    """Every record on its own: `batchItemFailures` names the records that must come again."""
    function, request = start(world, folder)
    add_fault(world, folder, "away", count=5 if folder in REPEATED else 1)  # until the first record is given up
    bodies = [plain_body(folder, request), "not json", plain_body(folder, request)]
    records = [with_body(folder, body, message_id=f"m{number}") for number, body in enumerate(bodies)]

    outcome = function.invoke(batch(*records))

    assert [result["outcome"] for result in world.logged_results()] == ["failed", "failed", "succeeded"]
    assert outcome.reply == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert len(world.aws.messages) == 1


def test_a_batch_stops_starting_records_when_time_is_short(world: HandlerWorld) -> None:
    """The function always answers before Lambda kills it: what was not started comes again, untouched."""
    function = world.function(OMS_DELETE)
    tasks = [100000000000001 + number for number in range(16)]
    for task_id in tasks:
        put_task(world, OMS_DELETE, {"task_id": task_id})
    records = [
        with_body(OMS_DELETE, json.dumps({"region": "cn-north-4", "task_id": task_id}), message_id=str(task_id))
        for task_id in tasks
    ]
    world.on_nonce = lambda: world.pass_time(1.7)  # what every call takes of the 29 seconds

    outcome = function.invoke(batch(*records))

    done = {int(identifier) for effect, identifier in world.effects}
    again = {int(item["itemIdentifier"]) for item in outcome.reply["batchItemFailures"]}
    assert tasks[0] in done
    assert done | again == set(tasks)
    assert tasks[-1] in again - done
    assert len(world.arrived("huawei.oms.DeleteTask")) == len(world.logged_results()) < len(tasks)


@pytest.mark.parametrize("timeout", [1.5, 8.5])  # of the latter, 7 seconds are the answer's and the delivery's
def test_no_record_is_started_without_time(world: HandlerWorld, timeout: float) -> None:
    function, request = start(world, OMS_DELETE)
    record = with_body(OMS_DELETE, json.dumps(request))

    outcome = function.invoke(batch(record), timeout=timeout)

    assert outcome.reply == {"batchItemFailures": [{"itemIdentifier": record["messageId"]}]}
    assert world.effects == []
    assert world.aws.events == world.aws.messages == []


@pytest.mark.parametrize("timeout", [0.0, 1.0, 1.02])
@pytest.mark.parametrize("trigger", ["direct", "http", "eventbridge"])
def test_an_invocation_without_time_may_be_tried_again(own_world: HandlerWorld, trigger: str, timeout: float) -> None:
    """Time that has run out is `timeout` (at the secret store: `unavailable`), never `internal`, which is final."""
    function, request = start(own_world, OMS_DELETE)
    for _attempt in range(5):
        put_task(own_world, OMS_DELETE, request)
        function.invoke(arrival(OMS_DELETE, trigger).event, timeout)

    # A request that got no answer in time may still arrive, and delete the task put there for the next attempt.
    results = own_world.logged_results()
    assert {result["outcome"] for result in results} <= {"succeeded", "unchanged", "failed"}
    failures = [result for result in results if result["outcome"] == "failed"]
    assert {result["error"]["category"] for result in failures} <= {"timeout", "unavailable"}
    assert own_world.aws.events == [] or trigger in {"eventbridge", "direct"}


def test_time_that_is_over_before_the_call_is_sent_may_be_tried_again(own_world: HandlerWorld) -> None:
    """No time is left when the call is signed: `timeout`, to be tried again."""
    function, request = start(own_world, OMS_DELETE)
    own_world.on_nonce = lambda: own_world.pass_time(60)

    result = function.result(request)

    assert (result["outcome"], result["error"]["category"], result["retryable"]) == ("failed", "timeout", True)


@every_function
def test_an_event_without_records_is_no_success(world: HandlerWorld, folder: str) -> None:
    """No queue sends an empty batch. As an answer to a direct request, "no failures" would read like a success."""
    result = world.function(folder).result(batch())

    assert (result["outcome"], result["error"]["category"]) == ("failed", "invalid_request")


@pytest.mark.parametrize(("folder", "receives"), in_turn(FOLDERS, RECEIVES))
def test_a_retryable_failure_is_published_and_moved_on_its_last_receive(
    world: HandlerWorld, folder: str, receives: int
) -> None:
    """A retryable result is a batch item failure, unless it was the last receive."""
    function, request = start(world, folder)
    add_fault(world, folder, "away")
    record = with_body(folder, plain_body(folder, request), receives=receives)

    outcome = function.invoke(batch(record))

    is_last = receives >= MAX_RECEIVES
    assert len(outcome.reply["batchItemFailures"]) == (0 if is_last else 1)
    assert len(world.published()) == len(world.aws.messages) == (1 if is_last else 0)
    if is_last:
        (message,) = world.aws.messages
        assert message["MessageBody"] == record["body"]
        assert json.loads(message["MessageAttributes"]["result"]["StringValue"]) == only_result(world)
        assert only_result(world)["retryable"] is True


@pytest.mark.parametrize(("folder", "empty"), in_turn(FOLDERS, EMPTY), ids=str)
@pytest.mark.parametrize("permanent", [True, False], ids=["permanent", "retryable"])
def test_without_a_dead_letter_queue_every_failure_is_an_item_failure(
    world: HandlerWorld, folder: str, permanent: bool, empty: tuple[str, ...] | None
) -> None:
    """Empty: nowhere, and every failure of a queue message is a batch item failure."""
    names = empty or ("MAX_RECEIVES", "DEAD_LETTER_QUEUE_URL", "EVENT_BUS_NAME")
    function = world.function(folder, dict.fromkeys(names, ""))
    if not permanent:
        add_fault(world, folder, "away")
    body = '{"region": "atlantis-1"}' if permanent else plain_body(folder, request_of(folder))
    record = with_body(folder, body, receives=MAX_RECEIVES + 3)

    outcome = function.invoke(batch(record))

    assert outcome.reply == {"batchItemFailures": [{"itemIdentifier": record["messageId"]}]}
    assert world.aws.messages == []


@pytest.mark.parametrize(("folder", "trigger"), in_turn(FOLDERS, ["eventbridge", *QUEUED]))
def test_without_a_bus_a_success_is_still_a_success(world: HandlerWorld, folder: str, trigger: str) -> None:
    request = request_of(folder)
    put_task(world, folder, request)
    function = world.function(folder, {"EVENT_BUS_NAME": ""})

    outcome = function.invoke(arrival(folder, trigger).event)

    assert outcome.error is None
    assert only_result(world)["outcome"] == "succeeded"
    assert world.aws.calls_of("events") == 0
    if trigger in QUEUED:
        assert outcome.reply == {"batchItemFailures": []}


# -- the operations' own traps ------------------------------------------------


@pytest.mark.parametrize("folder", [DELETE_DATA_TASK, CANCEL_TASK])
def test_result_false_is_a_failure(world: HandlerWorld, folder: str) -> None:
    """`Result: false` with HTTP 200, on either Alibaba call, is `failed`, `provider_error`, code `ResultFalse`.

    (Unless a look shows that the task is gone. Here it may not look.)
    """
    request = request_of(folder)
    put_instance(world, folder, request)
    world.cloud.keys.change("alibaba", "AKFAKEALIBABA0001", denied=("ListDataTasks",))

    result = world.function(folder).result(request)

    assert (result["outcome"], result["error"]["category"]) == ("failed", "provider_error")
    assert (result["error"]["code"], result["http_status"], result["retryable"]) == ("ResultFalse", 200, False)


@pytest.mark.parametrize("variant", ["DMS.00400070", "404"])
def test_a_missing_record_of_dms_is_not_unchanged_where_the_look_proves_nothing(
    world: HandlerWorld, variant: str
) -> None:
    """DMS has no known code for a missing task, and the look is answered as the delete was."""
    world.cloud.switches.update(dms_delete_unknown=variant)
    request = request_of(DMS_DELETE)

    put_instance(world, DMS_DELETE, request)

    assert world.function(DMS_DELETE).result(request)["outcome"] == "failed"


@pytest.mark.parametrize("variant", ["error", "result_false"])
def test_a_missing_data_task_is_unchanged_only_where_the_list_shows_it(world: HandlerWorld, variant: str) -> None:
    """The call's own answer is an unknown code, or one with two senses: no success by itself."""
    world.cloud.switches.update(alibaba_delete_unknown=variant)
    request = request_of(DELETE_DATA_TASK)
    put_instance(world, DELETE_DATA_TASK, request)
    function = world.function(DELETE_DATA_TASK)

    gone = function.result(request)
    world.cloud.keys.change("alibaba", "AKFAKEALIBABA0001", denied=("ListDataTasks",))
    unseen = function.result({**request, "client_token": "second"})

    assert (gone["outcome"], [look["records"] for look in gone["looks"]]) == ("unchanged", [0])
    assert (unseen["outcome"], [look["found"] for look in unseen["looks"]]) == ("failed", [None])
    assert "was not answered" in unseen["error"]["detail"]["note"]


def test_a_conflict_is_not_retried_inside_a_call(world: HandlerWorld) -> None:
    """`conflict` is not retried inside a call; it goes back to the queue."""
    function, request = start(world, OMS_DELETE)

    put_task(world, OMS_DELETE, request, status=2)

    assert function.result(request)["outcome"] == "conflict"
    assert len(world.arrived("huawei.oms.DeleteTask")) == 1


def test_the_provider_explains_a_bad_parameter_in_a_field_that_its_sdk_drops(world: HandlerWorld) -> None:
    """Provider fields that official SDKs drop (`error_detail`) are kept in `detail`."""
    function, request = start(world, OMS_DELETE)
    body = json.dumps({"error_code": "OMS.0064", "error_msg": "Invalid parameter.", "error_detail": "description"})
    add_fault(world, OMS_DELETE, "http_error", status=400, body=body)

    result = function.result(request)

    assert result["error"]["code"] == "OMS.0064"
    assert "description" in json.dumps(result["error"]["detail"])
