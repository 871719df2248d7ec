"""Reads requests from the events of all triggers, and writes their replies. No other module knows AWS event formats.

Sources: the Lambda developer guide's event formats (SQS, EventBridge, HTTP API payload format 2.0), RFC 9457.
"""

import base64
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qsl, quote

from task_cleanup.errors import Category, CleanupError, Code, invalid_request
from task_cleanup.event_types import SOURCE, EventType
from task_cleanup.results import Error, Result
from task_cleanup.times import parse_time, rfc3339
from task_cleanup.validation import (
    NotJsonError,
    RequestValidator,
    Violation,
    pointer,
    strict_json,
    violation_error,
)

Event = Mapping[str, Any]

_DIGITS = re.compile("[0-9]{1,9}")
MAX_ID = 128  # characters of an id that came from outside
CLOCK_SKEW = timedelta(minutes=5)  # how far a sender's clock may be ahead of ours


class Trigger(StrEnum):
    """What invoked the function."""

    DIRECT = "direct"
    EVENTBRIDGE = "eventbridge"
    SQS = "sqs"
    HTTP = "http"


@dataclass(frozen=True)
class Received:
    """One request as a trigger delivered it, not yet validated, and where it came from.

    ``origin_id`` is the first id that the trigger gave the request; redeliveries and redrives keep it. Only a plain
    body that SQS itself moved to the dead-letter queue gets a new id when somebody sends it back.
    ``first_sent`` is the earliest time in the event or message that a redrive does not change; None if there is none.
    ``unreadable`` is why no request could be read; ``request`` is then None. ``redriven`` marks a message that a
    function had moved to the dead-letter queue, and that somebody sent back. ``by_sweep``: see ``_is_by_sweep``.
    """

    trigger: Trigger
    request: object
    origin_id: str
    first_sent: datetime | None = None
    requested_by: str | None = None
    unreadable: CleanupError | None = None
    redriven: bool = False
    by_sweep: bool = False

    @property
    def is_queued(self) -> bool:
        """Whether the request can arrive long after it was sent."""
        return self.trigger in (Trigger.EVENTBRIDGE, Trigger.SQS)

    def origin_time(self, now: datetime) -> str | None:
        """When the request was first sent, for its move to the dead-letter queue; None if that is unknown.

        A time in the future is replaced by ``now``. Otherwise a redrive after that time would take the request for a
        new one.
        """
        return None if self.first_sent is None else rfc3339(min(self.first_sent, now))

    def age(self, now: datetime, otherwise: str) -> timedelta:
        """How long ago the request was first sent. ``otherwise`` ends the error's advice: what the caller can do.

        Raises
        ------
        CleanupError
            ``invalid_request``, ``SentTimeUnknown``: ``first_sent`` is None, or in the future by more than
            ``CLOCK_SKEW``. Until that time, such a request would never be too old.
        """
        if self.first_sent is None:
            why = "this request does not say when it was first sent"
        elif self.first_sent - now > CLOCK_SKEW:
            why = "the time at which this request was first sent is in the future"
        else:
            return now - self.first_sent
        advice = (
            "send it in the shape of an EventBridge event (`id`, `source`, `detail-type`, `time`, and the request as "
            f"`detail`), or {otherwise}"
        )
        raise invalid_request(Code.SENT_TIME_UNKNOWN, f"{why}, so its age is unknown: {advice}")


@dataclass(frozen=True)
class QueueMessage:
    """One record of an SQS batch: its request, and what is needed to move it to the dead-letter queue."""

    message_id: str
    body: str
    receives: int
    received: Received


def trigger_of(event: object) -> Trigger:
    """The trigger, by the event's shape. Any other event is a direct request, which the schema accepts or refuses."""
    if not isinstance(event, dict):
        return Trigger.DIRECT
    records = event.get("Records")
    if isinstance(records, list) and records and all(_is_sqs_record(record) for record in records):
        return Trigger.SQS
    if _is_eventbridge(event):
        return Trigger.EVENTBRIDGE
    context = event.get("requestContext")
    if event.get("version") == "2.0" and isinstance(context, dict) and isinstance(context.get("http"), dict):
        return Trigger.HTTP
    return Trigger.DIRECT


def _is_sqs_record(record: object) -> bool:
    return isinstance(record, dict) and record.get("eventSource") == "aws:sqs"


def _is_eventbridge(event: Event) -> bool:
    return "detail-type" in event and "detail" in event and "source" in event


# -- direct ------------------------------------------------


def from_direct(event: object, request_id: str) -> Received:
    """The event itself is the request. Lambda's own retries keep ``request_id``, so it is the ``origin_id``."""
    return Received(Trigger.DIRECT, event, request_id)


def is_check(event: object) -> bool:
    """Whether a direct request is the doctor's: ``{"check": …}``. No operation has a field of that name."""
    return isinstance(event, dict) and "check" in event


# -- EventBridge ------------------------------------------------


def from_eventbridge(event: Event, fallback_id: str) -> Received:
    """``detail`` is the request: an object, or a JSON string (EventBridge Scheduler sends one)."""
    detail, unreadable = event["detail"], None
    if isinstance(detail, str):
        detail, unreadable = _read_json("the event's detail", detail)
    return Received(
        Trigger.EVENTBRIDGE,
        detail,
        _text(event.get("id")) or fallback_id,
        first_sent=_time(event.get("time")),
        requested_by=_requester(event),
        unreadable=unreadable,
        by_sweep=_is_by_sweep(event),
    )


def _requester(event: Event) -> str | None:
    """The ARN of the schedule or HTTP caller that caused the event; for any other event, its ``source``."""
    source, resources = _text(event.get("source")), event.get("resources")
    if source in ("aws.scheduler", SOURCE) and isinstance(resources, list) and resources:
        return _text(resources[0]) or source
    return source


def _is_by_sweep(event: Event) -> bool:
    """Whether the event is marked as a sweep's request, by its source and its type together.

    Of the stack's roles, the template lets the sweep's alone put this type on the bus, and with this source only. The
    function cannot see who did: whoever else may put events on the bus, or send messages to the queue, can claim the
    same. That is enough for the one thing that the mark decides, namely that a ``TaskChanged`` is not a dead letter.
    Who may do either may order deletes anyway; by the claim, one keeps one's own refused request out of the
    dead-letter queue, and its result is published all the same.
    """
    return (event["source"], event["detail-type"]) == (SOURCE, EventType.DELETE_REQUESTED)


# -- SQS ------------------------------------------------


def from_sqs(event: Event) -> list[QueueMessage]:
    """All messages of the batch, also those without a readable request."""
    return [_queue_message(record) for record in event["Records"]]


def _queue_message(record: Event) -> QueueMessage:
    attributes = _object(record.get("attributes"))
    message_id, body = str(record.get("messageId", "")), str(record.get("body", ""))
    receives = str(attributes.get("ApproximateReceiveCount", ""))
    return QueueMessage(
        message_id,
        body,
        int(receives) if _DIGITS.fullmatch(receives) else 1,
        _from_body(record, attributes, message_id, body),
    )


def _from_body(record: Event, attributes: Event, message_id: str, body: str) -> Received:
    moved = _object(record.get("messageAttributes"))
    origin_id = _attribute(moved, "origin_id") or message_id
    content, unreadable = _read_json("the message's body", body)
    # Not SentTimestamp: a redrive sets it to its own time, so an old request would look new.
    sent = [_time(_attribute(moved, "origin_time"))]
    requested_by, by_sweep = _text(attributes.get("SenderId")), False
    crashed = _is_failed_invocation(content)
    if crashed:
        # Lambda's record of a failed invocation, from the OnFailure destination: the request is inside.
        sent.append(_time(content.get("timestamp")))
        origin_id = _text(_object(content["requestContext"]).get("requestId")) or origin_id
        content = content["requestPayload"]
    if isinstance(content, dict) and _is_eventbridge(content):
        inner = from_eventbridge(content, origin_id)
        content, unreadable = inner.request, inner.unreadable
        origin_id, requested_by = inner.origin_id, inner.requested_by
        sent.append(inner.first_sent)
        by_sweep = inner.by_sweep and not crashed  # the stack's rules send a sweep's requests to queues only
    known = [moment for moment in sent if moment is not None]
    return Received(
        Trigger.SQS,
        content,
        origin_id,
        first_sent=min(known, default=None),
        requested_by=requested_by,
        unreadable=unreadable,
        redriven="origin_id" in moved,
        by_sweep=by_sweep,
    )


def _is_failed_invocation(content: object) -> bool:
    return isinstance(content, dict) and "requestPayload" in content and "requestContext" in content


def _attribute(attributes: Event, name: str) -> str | None:
    return _text(_object(attributes.get(name)).get("stringValue"))


def batch_reply(failed: Sequence[QueueMessage]) -> dict[str, Any]:
    """The reply that makes SQS deliver the ``failed`` messages again and delete the others."""
    return {"batchItemFailures": [{"itemIdentifier": message.message_id} for message in failed]}


# -- HTTP API ------------------------------------------------


def from_http(
    event: Event, validator: RequestValidator, fallback_id: str, idempotency_field: str = "client_token"
) -> Received:
    """Merge path parameters, query and body into one request. A name that comes twice is refused.

    The header ``Idempotency-Key`` becomes the ``idempotency_field``, if the schema has that field.
    """
    context = _object(event.get("requestContext"))
    origin_id = _text(context.get("requestId")) or fallback_id
    user_arn = _object(_object(context.get("authorizer")).get("iam")).get("userArn")
    request: object = None
    unreadable = None
    try:
        request = _merged(event, validator, idempotency_field)
    except CleanupError as error:
        unreadable = error
    return Received(Trigger.HTTP, request, origin_id, requested_by=_text(user_arn), unreadable=unreadable)


_ONCE = "must be given once, in the path, the query, the body or the header Idempotency-Key"


def _merged(event: Event, validator: RequestValidator, idempotency_field: str) -> dict[str, Any]:
    parts = [
        list(_object(event.get("pathParameters")).items()),
        [(name, _query_value(name, value, validator)) for name, value in _query(event)],
        list(_body(event).items()),
    ]
    if validator.has(idempotency_field):
        headers = _object(event.get("headers"))
        parts.append(
            [(idempotency_field, value) for name, value in headers.items() if name.lower() == "idempotency-key"]
        )
    merged: dict[str, Any] = {}
    repeated: list[Violation] = []
    for name, value in (pair for part in parts for pair in part):
        if name in merged:
            repeated.append(Violation(pointer(name), "repeated", _ONCE))
        merged[name] = value
    if repeated:
        raise violation_error(repeated)
    return merged


def _query(event: Event) -> list[tuple[str, str]]:
    """The parameters of ``rawQueryString``; of ``queryStringParameters``, those that are not in it.

    ``rawQueryString`` shows a name that comes twice; ``queryStringParameters`` joins the two values with a comma.
    """
    raw = parse_qsl(str(event.get("rawQueryString") or ""), keep_blank_values=True)
    parsed = _object(event.get("queryStringParameters"))
    names = {name for name, _ in raw}
    return raw + [(name, value) for name, value in parsed.items() if name not in names]


def _query_value(name: str, value: str, validator: RequestValidator) -> str | bool | int:
    if validator.is_boolean(name) and value in ("true", "false"):
        return value == "true"
    if validator.is_integer(name) and _DIGITS.fullmatch(value):
        return int(value)
    return value


def _body(event: Event) -> dict[str, Any]:
    body = event.get("body")
    if body is None or body == "":
        return {}
    text = _decoded(str(body)) if event.get("isBase64Encoded") is True else str(body)
    content, unreadable = _read_json("the body", text)
    if unreadable:
        raise unreadable
    if not isinstance(content, dict):
        raise invalid_request(Code.UNREADABLE_REQUEST, "the body must be a JSON object, in curly brackets")
    return content


def _decoded(body: str) -> str:
    try:
        return base64.b64decode(body, validate=True).decode()
    except UnicodeDecodeError as error:
        why = f"is not UTF-8 text: its byte {error.start + 1} is wrong"
    except ValueError:
        why = "is not base64, although isBase64Encoded is true"
    raise invalid_request(Code.UNREADABLE_REQUEST, f"the body {why}")


HTTP_STATUS: Mapping[Category, int] = {
    Category.INVALID_REQUEST: 400,
    Category.NOT_FOUND: 404,
    Category.CONFLICT: 409,
    Category.PRECONDITION_FAILED: 412,
    Category.THROTTLED: 429,
    # Our own credentials, not the caller's: a 401 or 403 would send the caller looking in the wrong place.
    Category.UNAUTHENTICATED: 502,
    Category.FORBIDDEN: 502,
    Category.PROVIDER_ERROR: 502,
    Category.UNAVAILABLE: 503,
    Category.TIMEOUT: 504,
    Category.INTERNAL: 500,
}
_TITLES: Mapping[Category, str] = {
    Category.INVALID_REQUEST: "The request is not valid",
    Category.NOT_FOUND: "The provider does not know the resource",
    Category.CONFLICT: "The task's present state does not allow it",
    Category.PRECONDITION_FAILED: "The task is not as the request expects it",
    Category.THROTTLED: "The provider asks for fewer calls",
    Category.UNAUTHENTICATED: "The provider rejected our credentials",
    Category.FORBIDDEN: "The provider does not allow our credentials this call",
    Category.PROVIDER_ERROR: "The provider's answer is not a success",
    Category.UNAVAILABLE: "The provider or a store is not available",
    Category.TIMEOUT: "The provider did not answer in time",
    Category.INTERNAL: "The function is not set up right, or has a bug",
}
DEFAULT_RETRY_AFTER = 5  # seconds, if the provider gave no hint


def http_reply(result: Result) -> dict[str, Any]:
    """200 with the result, else RFC 9457 problem details with the whole result as member ``result``."""
    body = result.to_dict()
    if result.ok or result.error is None:
        return http_response(200, "application/json", body)
    return http_problem(result.error, result.correlation_id, result=body)


def http_problem(error: Error, request_id: str, **members: object) -> dict[str, Any]:
    """RFC 9457 problem details for an error, with ``members`` added."""
    status = HTTP_STATUS[error.category]
    problem = {
        "type": f"urn:task-cleanup:problem:{error.category.value}",
        "title": _TITLES[error.category],
        "status": status,
        "detail": f"{error.code}: {error.message}",
        "instance": f"urn:task-cleanup:request:{quote(request_id, safe='')}",
        **members,
    }
    headers = {"Retry-After": str(_retry_after(error))} if status == 429 else {}
    return http_response(status, "application/problem+json", problem, headers)


def _retry_after(error: Error) -> int:
    hint = (error.detail or {}).get("retry_after_seconds")
    return max(1, math.ceil(hint)) if isinstance(hint, (int, float)) else DEFAULT_RETRY_AFTER


def http_response(
    status: int, content_type: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """A reply in payload format 2.0."""
    return {
        "statusCode": status,
        "headers": {"Content-Type": content_type, "Cache-Control": "no-store", **(headers or {})},
        "body": json_text(body),
        "isBase64Encoded": False,
    }


def json_text(value: object) -> str:
    """JSON with non-ASCII characters as they are. Escapes would be escaped again within a reply, and take more bytes.

    Half of a surrogate pair stays an escape: UTF-8 cannot encode it.
    """
    return json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace").decode()


# -- readers of untrusted members ------------------------------------------------


def _read_json(what: str, text: str) -> tuple[Any, CleanupError | None]:
    try:
        return strict_json(text), None
    except NotJsonError as error:
        return None, invalid_request(Code.UNREADABLE_REQUEST, f"{what} is not valid JSON: {error}")


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    """The value if it is a printable string that is not too long, else None: it goes into logs."""
    return value if isinstance(value, str) and 0 < len(value) <= MAX_ID * 2 and value.isprintable() else None


def _time(value: object) -> datetime | None:
    try:
        return parse_time(value) if isinstance(value, str) else None
    except ValueError:
        return None
