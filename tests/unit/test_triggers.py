"""Every trigger's event, unwrapped: what the request is, which id and time are the first, who asked."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from task_cleanup.errors import Category, CleanupError, Code
from task_cleanup.results import Error, Outcome, Result, Target
from task_cleanup.triggers import (
    CLOCK_SKEW,
    HTTP_STATUS,
    Received,
    Trigger,
    batch_reply,
    from_direct,
    from_eventbridge,
    from_http,
    from_sqs,
    http_reply,
    trigger_of,
)
from tests.support.builders import CANCEL_TASK, DELETE_DATA_TASK, NAMES, NOW, OMS_DELETE, OPERATIONS, REQUESTS
from tests.support.checks import HTTP_STATUS as DOCUMENTED_STATUS
from tests.support.records import REQUEST, RULE_EVENT, record

SCHEDULE = "arn:aws:scheduler:eu-central-1:111122223333:schedule/task-cleanup/nightly"
SCHEDULE_EVENT = {**RULE_EVENT, "source": "aws.scheduler", "resources": [SCHEDULE], "detail": json.dumps(REQUEST)}


def unwrapped(body: object, attributes: dict[str, str] | None = None, **moved: str) -> Received:
    [message] = from_sqs({"Records": [record(body, attributes, **moved)]})
    assert message.received.trigger is Trigger.SQS
    return message.received


def http_event(**changes: Any) -> dict[str, Any]:
    return {
        "version": "2.0",
        "routeKey": "DELETE /huawei/oms/{region}/tasks/{task_id}",
        "rawPath": "/huawei/oms/cn-north-4/tasks/191297407830872",
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "host": "api.example"},
        "pathParameters": dict(REQUEST),
        "requestContext": {
            "authorizer": {"iam": {"userArn": "arn:aws:iam::111122223333:user/operator"}},
            "http": {"method": "DELETE", "path": "/huawei/oms/cn-north-4/tasks/191297407830872"},
            "requestId": "JKJaXmPLvHcESHA=",
        },
        "isBase64Encoded": False,
        **changes,
    }


def http(name: str = OMS_DELETE, **changes: Any) -> Received:
    received = from_http(http_event(**changes), OPERATIONS[name].validator, "lambda-request-id")
    assert received.trigger is Trigger.HTTP
    return received


def refusal_of(received: Received) -> CleanupError:
    assert received.unreadable is not None
    assert received.unreadable.category is Category.INVALID_REQUEST
    return received.unreadable


# -- which trigger ------------------------------------------------


@pytest.mark.parametrize(
    ("event", "trigger"),
    [
        (REQUEST, Trigger.DIRECT),
        ({}, Trigger.DIRECT),
        (None, Trigger.DIRECT),
        ([], Trigger.DIRECT),
        ("text", Trigger.DIRECT),
        (RULE_EVENT, Trigger.EVENTBRIDGE),
        (SCHEDULE_EVENT, Trigger.EVENTBRIDGE),
        ({"Records": [record(REQUEST)]}, Trigger.SQS),
        ({"Records": [record(REQUEST), record("x")]}, Trigger.SQS),
        ({"Records": [{"eventSource": "aws:s3"}]}, Trigger.DIRECT),
        ({"Records": "x"}, Trigger.DIRECT),
        (http_event(), Trigger.HTTP),
    ],
)
def test_the_trigger_is_told_from_the_event(event: object, trigger: Trigger) -> None:
    assert trigger_of(event) is trigger


# -- direct and EventBridge ------------------------------------------------


def test_a_direct_event_is_the_request() -> None:
    received = from_direct(REQUEST, "request-id")

    assert (received.request, received.origin_id, received.is_queued) == (REQUEST, "request-id", False)
    assert received.first_sent is None


@pytest.mark.parametrize("detail", [REQUEST, json.dumps(REQUEST)], ids=["object", "JSON string"])
def test_an_event_s_detail_is_the_request(detail: object) -> None:
    received = from_eventbridge({**RULE_EVENT, "detail": detail}, "fallback")

    assert (received.request, received.unreadable) == (REQUEST, None)
    assert received.origin_id == RULE_EVENT["id"]
    assert received.first_sent == datetime(2026, 11, 21, 8, tzinfo=UTC)
    assert received.requested_by == "migration-platform"
    assert received.is_queued


def test_a_schedule_is_named_as_the_requester() -> None:
    assert from_eventbridge(SCHEDULE_EVENT, "fallback").requested_by == SCHEDULE


@pytest.mark.parametrize("source", ["task-cleanup", "aws.scheduler"])
def test_resources_tell_the_requester_of_a_schedule_and_of_our_own_requests(source: str) -> None:
    event = {**RULE_EVENT, "source": source, "resources": [SCHEDULE]}

    assert from_eventbridge(event, "fallback").requested_by == SCHEDULE


@pytest.mark.parametrize("source", ["migration-platform", "aws.events", "aws.scheduler.x", "task-cleanup-2"])
def test_resources_of_any_other_source_are_not_believed(source: str) -> None:
    """Whoever may put events on the bus can name anybody there."""
    event = {**RULE_EVENT, "source": source, "resources": [SCHEDULE]}

    assert from_eventbridge(event, "fallback").requested_by == source


@pytest.mark.parametrize("detail", ["{", "", '{"a": 1, "a": 2}', '{"task_id": NaN}', "[" * 100_000])
def test_a_detail_that_is_no_json_is_refused(detail: str) -> None:
    error = refusal_of(from_eventbridge({**RULE_EVENT, "detail": detail}, "fallback"))

    assert error.code == Code.UNREADABLE_REQUEST


@pytest.mark.parametrize("event_id", [None, 7, "", "x" * 5000, "line\nbreak"])
def test_an_event_without_a_usable_id_has_the_fallback(event_id: object) -> None:
    assert from_eventbridge({**RULE_EVENT, "id": event_id}, "fallback").origin_id == "fallback"


# No times: the last two are none that UTC could hold.
NO_TIMES = [
    None,
    "yesterday",
    5,
    "",
    "2026-11-21T08:00:00",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
]


@pytest.mark.parametrize("moment", NO_TIMES)
def test_an_event_without_a_time_has_none(moment: object) -> None:
    assert from_eventbridge({**RULE_EVENT, "time": moment}, "fallback").first_sent is None
    assert unwrapped({**RULE_EVENT, "time": moment}).first_sent is None


# -- SQS ------------------------------------------------


def test_a_body_is_the_request_and_the_message_id_the_first_id() -> None:
    received = unwrapped(REQUEST)

    assert received.request == REQUEST
    assert received.origin_id == "059f36b4-87a3-44ab-83d2-661975830a7d"
    assert received.requested_by == "AROAFAKE:queue-sender"
    assert received.is_queued


@pytest.mark.parametrize("stamp", ["1795248000000", "0", "253402300800000", "", "x"])
def test_the_time_of_the_queue_is_not_when_a_request_was_first_sent(stamp: str) -> None:
    """SQS gives a redriven message a new SentTimestamp: what is days old would be young again."""
    assert unwrapped(REQUEST, {"SentTimestamp": stamp}).first_sent is None
    assert unwrapped({**RULE_EVENT, "time": None}, {"SentTimestamp": stamp}).first_sent is None


@pytest.mark.parametrize("detail", [REQUEST, json.dumps(REQUEST)], ids=["object", "JSON string"])
def test_a_body_may_be_an_eventbridge_event_whose_id_is_the_first(detail: object) -> None:
    received = unwrapped({**RULE_EVENT, "detail": detail})

    assert (received.request, received.origin_id) == (REQUEST, RULE_EVENT["id"])
    assert received.requested_by == "migration-platform"


def test_a_moved_message_keeps_its_first_id_and_time() -> None:
    """So that a redriven message repeats the same token, and CancelTask's hour is not started anew."""
    received = unwrapped(REQUEST, origin_id="first-id", origin_time="2026-11-20T23:00:00.000Z")

    assert received.origin_id == "first-id"
    assert received.first_sent == datetime(2026, 11, 20, 23, tzinfo=UTC)


def test_a_moved_event_keeps_the_event_s_id() -> None:
    received = unwrapped(RULE_EVENT, origin_id=RULE_EVENT["id"], origin_time="2026-11-21T07:00:00Z")

    assert received.origin_id == RULE_EVENT["id"]
    assert received.first_sent == datetime(2026, 11, 21, 7, tzinfo=UTC)


def test_the_earliest_time_counts() -> None:
    """An attribute cannot make an event younger, nor an event's time an attribute."""
    for event, moved in (("06", "09"), ("09", "06")):
        event_time, moved_time = f"2026-11-21T{event}:00:00Z", f"2026-11-21T{moved}:00:00Z"
        received = unwrapped({**RULE_EVENT, "time": event_time}, origin_time=moved_time)
        assert received.first_sent == datetime(2026, 11, 21, 6, tzinfo=UTC)


@pytest.mark.parametrize("moment", [moment for moment in NO_TIMES if isinstance(moment, str)])
def test_a_moved_message_whose_time_cannot_be_read_has_none(moment: str) -> None:
    assert unwrapped(REQUEST, origin_time=moment).first_sent is None

    kept = unwrapped(RULE_EVENT, origin_time=moment)

    assert kept.first_sent == datetime(2026, 11, 21, 8, tzinfo=UTC), "the event's own time is still one"


@pytest.mark.parametrize("payload", [RULE_EVENT, REQUEST], ids=["event", "request"])
def test_a_failed_invocation_is_unwrapped_like_the_event_it_holds(payload: dict[str, Any]) -> None:
    envelope = {
        "version": "1.0",
        "timestamp": "2026-11-21T07:30:00.000Z",
        "requestContext": {
            "requestId": "e4b46cbf-b738-xmpl-8880-a18cdf61200e",
            "functionArn": "arn:aws:lambda:eu-central-1:111122223333:function:f:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": payload,
        "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
        "responsePayload": {"errorMessage": "…"},
    }
    received = unwrapped(envelope)
    assert received.request == REQUEST

    expected = RULE_EVENT["id"] if payload is RULE_EVENT else "e4b46cbf-b738-xmpl-8880-a18cdf61200e"

    assert received.origin_id == expected
    assert received.first_sent == datetime(2026, 11, 21, 7, 30, tzinfo=UTC)


def sent_at(moment: datetime | None) -> Received:
    return Received(Trigger.SQS, REQUEST, "id", first_sent=moment)


@pytest.mark.parametrize("seconds", [-CLOCK_SKEW.total_seconds(), -1.0, 0.0, 1.0, 1e6])
def test_the_age_is_counted_from_when_it_was_first_sent(seconds: float) -> None:
    """A sender's clock may be a little ahead of ours."""
    assert sent_at(NOW - timedelta(seconds=seconds)).age(NOW, "") == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("moment", "why"),
    [
        (None, "does not say when"),
        (NOW + CLOCK_SKEW + timedelta(seconds=1), "in the future"),
        (datetime(2099, 1, 1, tzinfo=UTC), "in the future"),
        (datetime.max.replace(tzinfo=UTC), "in the future"),
    ],
)
def test_an_unknown_age_is_refused_with_what_to_send_instead(moment: datetime | None, why: str) -> None:
    with pytest.raises(CleanupError) as refused:
        sent_at(moment).age(NOW, "do otherwise")
    assert (refused.value.category, refused.value.code) == (Category.INVALID_REQUEST, Code.SENT_TIME_UNKNOWN)

    message = refused.value.message

    assert why in message
    assert message.endswith("and the request as `detail`), or do otherwise")
    assert "2099" not in message


@pytest.mark.parametrize("body", ["", "not JSON", "{", '{"a": 1, "a": 2}', "NaN", "\ufeff{}"])
def test_an_unreadable_body_is_refused_not_lost(body: str) -> None:
    assert refusal_of(unwrapped(body)).code == Code.UNREADABLE_REQUEST


@pytest.mark.parametrize("detail", ["{", '{"a": 1, "a": 2}'])
def test_an_unreadable_detail_in_a_body_is_refused(detail: str) -> None:
    assert refusal_of(unwrapped({**RULE_EVENT, "detail": detail})).code == Code.UNREADABLE_REQUEST


@pytest.mark.parametrize(("count", "receives"), [("1", 1), ("5", 5), ("x", 1), ("", 1), ("٣", 1)])
def test_the_receive_count_is_read(count: str, receives: int) -> None:
    [message] = from_sqs({"Records": [record(REQUEST, {"ApproximateReceiveCount": count})]})

    assert message.receives == receives


def test_the_body_is_kept_as_it_came() -> None:
    body = '{ "region":"cn-north-4",\n "task_id": 1}'

    [message] = from_sqs({"Records": [record(body)]})

    assert message.body == body


def test_a_batch_reply_names_the_records_that_must_come_again() -> None:
    messages = from_sqs({"Records": [{**record(REQUEST), "messageId": name} for name in ("a", "b", "c")]})

    assert batch_reply([messages[0], messages[2]]) == {
        "batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "c"}]
    }
    assert batch_reply([]) == {"batchItemFailures": []}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
SHAPES = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("detail", "detail-type", "source", "id", "time", "requestPayload", "requestContext", "timestamp"),
        JSON_VALUES,
    ),
)


@settings(max_examples=80, deadline=None)
@given(
    body=JSON_VALUES | SHAPES,
    stamp=st.text(max_size=20) | st.integers(0, 10**20).map(str),
    count=st.text(max_size=8),
    origin=st.text(max_size=30) | st.from_regex(r"[0-9]{4}-01-01T00:00:00[+-][0-9]{2}:[0-9]{2}", fullmatch=True),
)
def test_no_record_however_odd_breaks_the_batch(body: object, stamp: str, count: str, origin: str) -> None:
    """Every message ends in a published result, so every record must be unwrapped."""
    odd = record(
        body, {"SentTimestamp": stamp, "ApproximateReceiveCount": count}, origin_id=origin, origin_time=origin
    )

    messages = from_sqs({"Records": [odd, record(REQUEST)]})

    assert len(messages) == 2
    assert messages[1].received.request == REQUEST


# -- HTTP ------------------------------------------------


def test_path_query_and_body_are_merged() -> None:
    received = http(rawQueryString="account=acme&dry_run=true", body=json.dumps({"correlation_id": "abc"}))

    assert received.request == {**REQUEST, "account": "acme", "dry_run": True, "correlation_id": "abc"}
    assert received.origin_id == "JKJaXmPLvHcESHA="
    assert received.requested_by == "arn:aws:iam::111122223333:user/operator"
    assert not received.is_queued


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("false", False), ("True", "True"), ("1", "1"), ("", "")]
)
def test_query_true_and_false_become_booleans_where_the_schema_wants_one(text: str, value: object) -> None:
    received = http(rawQueryString=f"dry_run={text}&account=true")

    assert received.request == {**REQUEST, "dry_run": value, "account": "true"}


def test_only_the_query_s_text_becomes_a_boolean_not_the_body_s() -> None:
    assert http(body='{"dry_run": "true"}').request == {**REQUEST, "dry_run": "true"}


@pytest.mark.parametrize(
    "changes",
    [
        {"rawQueryString": "account=a&account=b"},
        {"rawQueryString": "account=a&account=a"},
        {"rawQueryString": "dry_run=true&dry_run=false"},
        {"rawQueryString": "account=a", "queryStringParameters": {"account": "a"}, "body": '{"account": "a"}'},
        {"rawQueryString": "region=eu-de"},
        {"body": '{"task_id": 191297407830872}'},
        {"rawQueryString": "acc%6Funt=a&account=b"},
    ],
)
def test_the_same_name_twice_is_refused(changes: dict[str, Any]) -> None:
    error = refusal_of(http(**changes))

    assert "repeated" in str(error.detail)


def test_the_same_name_twice_in_the_body_is_refused() -> None:
    assert refusal_of(http(body='{"account": "a", "account": "b"}')).category is Category.INVALID_REQUEST


def test_a_joined_query_parameter_is_not_a_repeated_one_where_the_raw_query_says_so() -> None:
    received = http(rawQueryString="account=a%2Cb", queryStringParameters={"account": "a,b"})

    assert received.request == {**REQUEST, "account": "a,b"}


def test_the_parsed_query_is_read_where_there_is_no_raw_one() -> None:
    assert http(queryStringParameters={"account": "acme"}).request == {**REQUEST, "account": "acme"}


def test_neither_raw_path_nor_route_key_is_read() -> None:
    plain = http()

    odd = http(rawPath="/huawei/oms/eu-de/tasks/1", routeKey="$default")

    assert plain.request == odd.request == REQUEST


def test_base64_is_honoured() -> None:
    encoded = base64.b64encode(b'{"correlation_id": "a"}').decode()
    assert http(body=encoded, isBase64Encoded=True).request == {**REQUEST, "correlation_id": "a"}
    refusal_of(http(body=encoded, isBase64Encoded=False))


# "e!30=" is "{}", if what is no letter of base64 is skipped.
@pytest.mark.parametrize("body", ["%%%", "AAA", "é", "e!30=", base64.b64encode(b"\xff\xfe").decode()])
def test_broken_base64_is_refused(body: str) -> None:
    assert refusal_of(http(body=body, isBase64Encoded=True)).code == Code.UNREADABLE_REQUEST


@pytest.mark.parametrize("body", ["[]", '"text"', "1", "null", "{", "NaN", "region=eu-de"])
def test_a_body_that_is_no_json_object_is_refused(body: str) -> None:
    assert refusal_of(http(body=body)).code == Code.UNREADABLE_REQUEST


@pytest.mark.parametrize("body", [None, ""])
def test_no_body_is_no_body(body: str | None) -> None:
    assert http(body=body).request == REQUEST


@pytest.mark.parametrize("header", ["idempotency-key", "Idempotency-Key", "IDEMPOTENCY-KEY"])
def test_idempotency_key_is_the_client_token_where_the_operation_has_one(header: str) -> None:
    path = {"region": "cn-hangzhou", "instance_id": "es-cn-nif1q9o8r00080001"}

    for name in (CANCEL_TASK, DELETE_DATA_TASK):
        received = http(name, pathParameters=path, headers={header: "my-token"})
        assert received.request == {**path, "client_token": "my-token"}

    assert http(OMS_DELETE, headers={header: "my-token"}).request == REQUEST, "else ignored"


def test_idempotency_key_and_client_token_together_are_one_name_twice() -> None:
    headers = {"idempotency-key": "a"}
    refusal_of(http(CANCEL_TASK, pathParameters={}, headers=headers, rawQueryString="client_token=b"))


def test_refusals_never_repeat_a_value() -> None:
    for changes in ({"rawQueryString": "account=MARK7f&account=MARK7f"}, {"body": "MARK7f"}):
        error = refusal_of(http(**changes))
        assert "MARK7f" not in f"{error} {error.message} {error.detail}"


@settings(max_examples=60, deadline=None)
@given(
    query=st.text(max_size=30),
    body=st.none() | st.text(max_size=30),
    encoded=st.booleans(),
    path=st.none() | st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
)
def test_no_http_event_however_odd_raises(query: str, body: str | None, encoded: bool, path: Any) -> None:
    received = http(rawQueryString=query, body=body, isBase64Encoded=encoded, pathParameters=path)

    assert (received.unreadable is None) == isinstance(received.request, dict)


# -- HTTP replies ------------------------------------------------


def result(outcome: Outcome, category: Category | None = None, **detail: Any) -> Result:
    error = Error(category, "Some.Code", "some text", detail or None) if category else None
    return Result(OMS_DELETE, outcome, Target("huawei", "oms"), NOW, "corr/1 é", 1.0, attempts=1, error=error)


@pytest.mark.parametrize(
    "given_result",
    [
        result(Outcome.SUCCEEDED),
        result(Outcome.PLANNED),
        result(Outcome.UNCHANGED, Category.NOT_FOUND),
    ],
    ids=["succeeded", "planned", "unchanged"],
)
def test_what_is_well_is_a_200_with_the_result(given_result: Result) -> None:
    reply = http_reply(given_result)

    assert (reply["statusCode"], reply["headers"]["Content-Type"]) == (200, "application/json")
    assert json.loads(reply["body"]) == given_result.to_dict()


@pytest.mark.parametrize("category", Category)
def test_everything_else_is_problem_details_with_the_whole_result(category: Category) -> None:
    outcome = Outcome.CONFLICT if category is Category.CONFLICT else Outcome.FAILED
    given_result = result(outcome, category)
    reply = http_reply(given_result)

    body = json.loads(reply["body"])

    assert reply["statusCode"] == body["status"] == DOCUMENTED_STATUS[category.value] == HTTP_STATUS[category]
    assert reply["headers"]["Content-Type"] == "application/problem+json"
    assert body["result"] == given_result.to_dict()
    assert {"type", "title", "detail"} <= set(body)
    assert ("Retry-After" in reply["headers"]) == (category is Category.THROTTLED)


@pytest.mark.parametrize(("hint", "header"), [(None, None), (0, "1"), (7, "7"), (2.1, "3"), (120, "120")])
def test_a_429_says_when_to_come_again(hint: float | None, header: str | None) -> None:
    detail = {} if hint is None else {"retry_after_seconds": hint}

    sent = http_reply(result(Outcome.FAILED, Category.THROTTLED, **detail))["headers"]["Retry-After"]

    assert sent == (header or sent)
    assert int(sent) >= 1


def test_every_operation_has_an_example() -> None:
    assert set(NAMES) >= set(REQUESTS)
