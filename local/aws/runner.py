"""Does what AWS does around the functions: polls the queues, answers HTTP, fires schedules.

It takes batch size, partial failures, routes and the schedules' messages from the deployed template.
"""

import base64
import json
import re
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, unquote

from local.aws.clock import next_due
from local.aws.cloud import LocalCloud
from local.aws.stack import REGION, STACK_NAME, QueueMapping, Route

LOCAL_CALLER = "arn:aws:iam::123456789012:user/local"
RECEIVE = 10  # messages that SQS returns at once, at most
MAX_BODY = 10 * 1024 * 1024  # bytes; "HTTP API quotas": payload size

Answer = tuple[int, Mapping[str, str], bytes]  # status, headers, body


@dataclass
class QueueRun:
    """How many messages a poll received, and which of them failed."""

    received: int = 0
    failed: int = 0
    batches: list[dict[str, Any]] = field(default_factory=list)


class QueuePoller:
    """Lambda's queue pollers. ``hasten`` makes failed messages visible at once instead of after 180 seconds."""

    def __init__(self, cloud: LocalCloud, *, hasten: bool = True) -> None:
        self._cloud = cloud
        self._hasten = hasten

    def poll(self, mapping: QueueMapping) -> QueueRun:
        """Receive one batch and invoke the function with it."""
        run = QueueRun()
        messages = self._batch(mapping)
        if not messages:
            return run
        event = {"Records": [_record(message, mapping.queue_arn) for message in messages]}
        try:
            reply = self._cloud.function(mapping.function).invoke(event)
            failed = {item["itemIdentifier"] for item in reply["batchItemFailures"]}
        except Exception:  # noqa: BLE001 - Lambda, too, takes a raised exception as "all of them failed"
            reply, failed = {}, {message["MessageId"] for message in messages}
        run.received, run.failed = len(messages), len(failed)
        run.batches.append({"event": event, "reply": reply})
        for message in messages:
            self._settle(mapping, message, failed)
        return run

    def _batch(self, mapping: QueueMapping) -> list[dict[str, Any]]:
        """One receive; where the mapping has a window, as many as there are messages, up to its batch size.

        Nothing waits for the window here: it ends when the queue is empty.
        """
        messages: list[dict[str, Any]] = []
        most = mapping.batch_size if mapping.window else min(RECEIVE, mapping.batch_size)
        while len(messages) < most:
            received = self._cloud.sqs.receive_message(
                QueueUrl=mapping.queue_url,
                MaxNumberOfMessages=min(RECEIVE, most - len(messages)),
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
            ).get("Messages", [])
            messages += received
            if not received or not mapping.window:
                break
        return messages

    def _settle(self, mapping: QueueMapping, message: Mapping[str, Any], failed: set[str]) -> None:
        handle = {"QueueUrl": mapping.queue_url, "ReceiptHandle": message["ReceiptHandle"]}
        if message["MessageId"] not in failed:
            self._cloud.sqs.delete_message(**handle)
        elif self._hasten:
            self._cloud.sqs.change_message_visibility(**handle, VisibilityTimeout=0)

    def drain(self, rounds: int = 20) -> QueueRun:
        """Poll all queues until they are empty, at most ``rounds`` times.

        A queue whose mapping has a window is polled when the others are empty: it collects what they bring.
        """
        total = QueueRun()
        for _ in range(rounds):
            waiting = [it for it in self._cloud.stack.mappings if self._cloud.has_messages(it.queue_url)]
            runs = [self.poll(mapping) for mapping in waiting if not mapping.window]
            if not any(run.received for run in runs):
                runs += [self.poll(mapping) for mapping in waiting if mapping.window]
            for run in runs:
                total.received += run.received
                total.failed += run.failed
                total.batches += run.batches
            if not any(run.received for run in runs):
                break
        return total


def _record(message: Mapping[str, Any], queue_arn: str) -> dict[str, Any]:
    """A message as Lambda hands it over (developer guide, "Using Lambda with Amazon SQS")."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {
            name: {"stringValue": item["StringValue"], "dataType": item["DataType"]}
            for name, item in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": REGION,
    }


def await_schedule(cloud: LocalCloud, name: str) -> str:
    """Let the time pass until the template's schedule is due, and fire it; the message id."""
    schedule = next(item for item in cloud.stack.schedules if item.name == name)
    cloud.clock.move_to(next_due(schedule.expression, schedule.zone, cloud.clock.now()))
    return fire_schedule(cloud, name)


def fire_schedule(cloud: LocalCloud, name: str, message: str | None = None) -> str:
    """Send a schedule's message to its queue, as EventBridge Scheduler does; the message id."""
    schedule = next(item for item in cloud.stack.schedules if item.name == name)
    body = as_scheduled(message or schedule.message, name, schedule.group, cloud.clock.now())
    sent: str = cloud.sqs.send_message(QueueUrl=schedule.queue_url, MessageBody=body)["MessageId"]
    return sent


def as_scheduled(message: str, name: str, group: str = STACK_NAME, due: datetime | None = None) -> str:
    """The message with its context attributes filled in (user guide, "Adding context attributes"): due now."""
    due = due or datetime.now(UTC)
    attributes = {
        "schedule-arn": f"arn:aws:scheduler:{REGION}:123456789012:schedule/{group}/{name}",
        "scheduled-time": due.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "execution-id": uuid.uuid4().hex[:16],
        "attempt-number": "1",
    }
    for attribute, value in attributes.items():
        message = message.replace(f"<aws.scheduler.{attribute}>", value)
    return message


class HttpApi:
    """The HTTP API on loopback: matches the template's routes and speaks payload format 2.0.

    ``pages`` are served beside the routes, by path, and so is what ``files`` finds for a path: they are not part of
    the stack.
    """

    def __init__(
        self,
        cloud: LocalCloud,
        port: int = 0,
        pages: Mapping[str, Answer] | None = None,
        files: Callable[[str], Answer | None] = lambda _path: None,
    ) -> None:
        self._cloud = cloud
        self._pages = dict(pages or {})
        self._files = files
        self._routes = [
            (route, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.path))) for route in cloud.stack.routes
        ]
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler_class(self.respond))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        """Serve in the background."""
        threading.Thread(target=self._server.serve_forever, name="http-api", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()

    def respond(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Route a request as API Gateway would."""
        path = target.partition("?")[0]
        beside = (self._pages.get(path) or self._files(path)) if method in ("GET", "HEAD") else None
        if beside is not None:
            return beside
        for route, pattern in self._routes:
            match = pattern.fullmatch(path)
            if match and route.method == method:
                parameters = {name: unquote(value) for name, value in match.groupdict().items()}
                event = http_event(route, target, parameters, headers, body, now=self._cloud.clock.now())
                reply = self._cloud.function(route.function).invoke(event)
                return reply["statusCode"], reply["headers"], reply["body"].encode()
        return _message(404, "Not Found")


def _message(status: int, message: str, **more: str) -> Answer:
    """An answer of the gateway itself, without a function."""
    return status, {"Content-Type": "application/json"}, json.dumps({"message": message, **more}).encode()


def http_event(
    route: Route,
    target: str,
    parameters: Mapping[str, str],
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Payload format 2.0 (API Gateway developer guide, "Lambda proxy integrations")."""
    # Not `urlsplit`: it would drop what follows a `#`, which has no meaning in a request line.
    path, _, query = target.partition("?")
    method = route.method
    joined: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    now = now or datetime.now(UTC)
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": f"{method} {route.path}",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {name.lower(): value for name, value in headers.items()},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "local",
            "authorizer": {"iam": {"userArn": LOCAL_CALLER}},
            "domainName": "127.0.0.1",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": headers.get("User-Agent", ""),
            },
            "requestId": str(uuid.uuid4()),
            "routeKey": f"{method} {route.path}",
            "stage": "$default",
            "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": int(now.timestamp() * 1000),
        },
        "pathParameters": dict(parameters),
        "isBase64Encoded": False,
    }
    if joined:
        event["queryStringParameters"] = joined
    if body:
        event["body"], event["isBase64Encoded"] = _body_text(body)
    return event


def _body_text(body: bytes) -> tuple[str, bool]:
    try:
        return body.decode(), False
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), True


Respond = Callable[[str, str, Mapping[str, str], bytes], Answer]


def _joined(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """A header that comes twice is one value with a comma, as payload format 2.0 has it."""
    joined: dict[str, str] = {}
    for given, value in headers:
        name = given.title()
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _refusal(headers: Message) -> Answer | None:
    """The answer to a body of unknown length or over ``MAX_BODY``, which is not read; None for any other."""
    lengths = set(headers.get_all("Content-Length", ["0"]))
    length = lengths.pop()
    if lengths or "Transfer-Encoding" in headers or not (length.isascii() and length.isdigit()):
        return _message(400, "Bad Request")
    return _message(413, "Request Entity Too Large") if int(length) > MAX_BODY else None


def _handler_class(respond: Respond) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            refusal = _refusal(self.headers)
            if refusal is not None:
                self.close_connection = True  # an unread body would be taken for the next request
                self._send(refusal)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                answer = respond(self.command, self.path, _joined(self.headers.items()), body)
            except Exception as error:  # noqa: BLE001 - what API Gateway says of a crashed function
                answer = _message(500, "Internal Server Error", type=type(error).__name__)
            self._send(answer)

        def _send(self, answer: Answer) -> None:
            status, headers, reply = answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply)

        def send_error(self, code: int, *_: object, **__: object) -> None:
            """Answer a request that ``http.server`` itself refuses; for an unknown method, 404: it has no route."""
            self.close_connection = True
            status = HTTPStatus.NOT_FOUND if code == HTTPStatus.NOT_IMPLEMENTED else HTTPStatus(code)
            self._send(_message(status, status.phrase))

        do_GET = do_HEAD = do_OPTIONS = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - library's

        def log_message(self, *_: object) -> None:
            """Nothing: the functions log."""

    return Handler
