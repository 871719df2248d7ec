"""The sample events as every trigger would bring them, with some fields of the request changed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.functions import sample_event

TRIGGERS = ("direct", "eventbridge", "sqs_plain", "sqs_eventbridge", "sqs_crashed", "http")
QUEUED = ("sqs_plain", "sqs_eventbridge", "sqs_crashed")
DIRECT_REQUEST_ID = "11111111-2222-4333-8444-555555555501"
CRASHED_REQUEST_ID = "11111111-2222-4333-8444-555555555502"
SENT = "2026-11-21T08:30:00.000Z"
CRASHED = "2026-11-21T08:30:30.000Z"
GOOD_UNTIL = "2026-11-21T09:31:00Z"
# A plain body tells no age, so what it asks these functions for must say until when it is meant.
NEED_AN_AGE = ("alibaba_elasticsearch_cancel_task",)

Changes = Mapping[str, Any]


@dataclass(frozen=True)
class Arrival:
    """An event, and what the trigger tells about it."""

    trigger: str
    event: dict[str, Any]
    first_id: str
    first_sent: str | None = None  # what a dead-letter move says as origin_time; None: it says nothing
    requested_by: str | None = None


def request_of(folder: str, changes: Changes | None = None) -> dict[str, Any]:
    """The sample request of a function."""
    return _changed(sample_event(folder, "direct"), changes)


def _changed(request: Mapping[str, Any], changes: Changes | None) -> dict[str, Any]:
    merged = {**request, **(changes or {})}
    return {name: value for name, value in merged.items() if value is not None}


def arrival(folder: str, trigger: str, changes: Changes | None = None) -> Arrival:
    """The sample event of a trigger; a change to None takes the field away."""
    return _BUILDERS[trigger](folder, changes)


def _direct(folder: str, changes: Changes | None) -> Arrival:
    return Arrival("direct", request_of(folder, changes), DIRECT_REQUEST_ID)


def bridge_event(event: dict[str, Any], changes: Changes | None = None) -> dict[str, Any]:
    """An EventBridge event whose request has been changed."""
    return {**event, "detail": _changed(event["detail"], changes)}


def _eventbridge(folder: str, changes: Changes | None) -> Arrival:
    event = bridge_event(sample_event(folder, "eventbridge"), changes)
    return Arrival("eventbridge", event, event["id"], SENT, event["source"])


def with_body(folder: str, body: str, **more: Any) -> dict[str, Any]:
    """The sample record with another body; ``receives``, ``message_id``, ``attributes`` (message attributes)."""
    record: dict[str, Any] = sample_event(folder, "sqs")["Records"][0]
    record["body"] = body
    record["messageId"] = more.get("message_id", record["messageId"])
    record["attributes"]["ApproximateReceiveCount"] = str(more.get("receives", 1))
    record["attributes"]["SentTimestamp"] = more.get("sent", record["attributes"]["SentTimestamp"])
    record["messageAttributes"] = {
        name: {"stringValue": value, "dataType": "String", "stringListValues": [], "binaryListValues": []}
        for name, value in more.get("attributes", {}).items()
    }
    return record


def batch(*records: dict[str, Any]) -> dict[str, Any]:
    """An SQS event."""
    return {"Records": list(records)}


def plain_body(folder: str, request: Mapping[str, Any], changes: Changes | None = None) -> str:
    """The request as a body without an event around it."""
    until = {"not_after": GOOD_UNTIL} if folder in NEED_AN_AGE else {}
    return json.dumps(_changed({**until, **request}, changes))


def _sqs_plain(folder: str, changes: Changes | None) -> Arrival:
    request = {**sample_event(folder, "schedule")["detail"], "correlation_id": "d0c4b9a8-6a52-4d9f-8d0e-2f6d7c1b0002"}
    record = with_body(folder, plain_body(folder, request, changes))
    return Arrival("sqs_plain", batch(record), record["messageId"])


def _sqs_eventbridge(folder: str, changes: Changes | None) -> Arrival:
    inner = bridge_event(json.loads(sample_event(folder, "sqs")["Records"][0]["body"]), changes)
    record = with_body(folder, json.dumps(inner))
    return Arrival("sqs_eventbridge", batch(record), inner["id"], SENT, inner["source"])


def crashed_invocation(payload: object) -> dict[str, Any]:
    """What Lambda sends to an OnFailure destination (developer guide, "Capturing records of asynchronous ...")."""
    return {
        "version": "1.0",
        "timestamp": CRASHED,
        "requestContext": {
            "requestId": CRASHED_REQUEST_ID,
            "functionArn": "arn:aws:lambda:eu-central-1:123456789012:function:task-cleanup:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": payload,
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": {"errorMessage": "Task timed out after 29.00 seconds"},
    }


def _sqs_crashed(folder: str, changes: Changes | None) -> Arrival:
    record = with_body(folder, json.dumps(crashed_invocation(request_of(folder, changes))))
    return Arrival("sqs_crashed", batch(record), CRASHED_REQUEST_ID, CRASHED)


def http_event(folder: str, changes: Changes | None = None) -> dict[str, Any]:
    """The sample HTTP event; changes go into the path where it has that parameter, else into the body."""
    event = sample_event(folder, "http")
    body = {}
    for name, value in (changes or {}).items():
        if name in event["pathParameters"]:
            event["pathParameters"][name] = str(value)
        elif value is not None:
            body[name] = value
    if body:
        event["body"] = json.dumps(body)
    return event


def _http(folder: str, changes: Changes | None) -> Arrival:
    event = http_event(folder, changes)
    context = event["requestContext"]
    return Arrival("http", event, context["requestId"], requested_by=context["authorizer"]["iam"]["userArn"])


_BUILDERS = {
    "direct": _direct,
    "eventbridge": _eventbridge,
    "sqs_plain": _sqs_plain,
    "sqs_eventbridge": _sqs_eventbridge,
    "sqs_crashed": _sqs_crashed,
    "http": _http,
}
