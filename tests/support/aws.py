"""AWS on loopback, as far as the functions use it: GetSecretValue, PutEvents and SendMessage (JSON protocols).

Every call must carry a SigV4 signature of the right service, which is computed anew from what was received.
"""

import hashlib
import hmac
import json
import re
import socket
import struct
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from local.loopback import Unpolled

ACTIONS = {
    "secretsmanager.GetSecretValue": ("secretsmanager", "application/x-amz-json-1.1"),
    "AWSEvents.PutEvents": ("events", "application/x-amz-json-1.1"),
    "AmazonSQS.SendMessage": ("sqs", "application/x-amz-json-1.0"),
}
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<day>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, ?"
    r"SignedHeaders=(?P<names>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)


class Trouble(StrEnum):
    """What can go wrong with a call to AWS."""

    DENIED = "denied"
    THROTTLED = "throttled"
    DOWN = "down"
    SLOW = "slow"
    RESET = "reset"
    GARBAGE = "garbage"
    EMPTY = "empty"  # a JSON object that says nothing
    FAILED_ENTRY = "failed_entry"
    STALE = "stale"


ERRORS = {
    Trouble.DENIED: (400, "com.amazon.coral.service#AccessDeniedException"),
    Trouble.THROTTLED: (400, "ThrottlingException"),
    Trouble.DOWN: (500, "InternalServiceError"),
    Trouble.STALE: (400, "InvalidSignatureException"),
}
# With HTTP 200.
NOT_TAKEN: dict[Trouble, dict[str, Any]] = {
    Trouble.EMPTY: {},
    Trouble.FAILED_ENTRY: {
        "FailedEntryCount": 1,
        "Entries": [{"ErrorCode": "InternalFailure", "ErrorMessage": "no"}],
    },
}


@dataclass(frozen=True)
class AwsCall:
    """One call that arrived with a good signature."""

    service: str
    payload: dict[str, Any]


@dataclass
class FakeAws:
    """One AWS account. ``troubles`` maps a service's signing name to what is wrong with it now.

    ``troubles_once`` are over with the next call.
    """

    access_key_id: str
    secret_access_key: str
    session_token: str | None
    region: str
    secrets: dict[str, str] = field(default_factory=dict)
    troubles: dict[str, Trouble] = field(default_factory=dict)
    troubles_once: dict[str, Trouble] = field(default_factory=dict)
    calls: list[AwsCall] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    bad_signatures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def reset(self) -> None:
        """Forget everything but the account itself."""
        with self._lock:
            for memory in (self.secrets, self.troubles, self.troubles_once):
                memory.clear()
            for record in (self.calls, self.events, self.messages, self.bad_signatures):
                record.clear()

    def calls_of(self, service: str) -> int:
        """How many calls of a service arrived."""
        return sum(call.service == service for call in self.calls)

    def respond(self, headers: Mapping[str, str], body: bytes) -> tuple[int, dict[str, Any]] | Trouble:
        """The answer to one call, or how it fails below HTTP."""
        target = headers.get("x-amz-target", "")
        if target not in ACTIONS:
            return 400, {"__type": "UnknownOperationException"}
        service, content_type = ACTIONS[target]
        if problem := self._signature_problem(headers, body, service, content_type):
            with self._lock:
                self.bad_signatures.append(f"{target}: {problem}")
            return 400, {"__type": "InvalidSignatureException", "message": problem}
        payload = json.loads(body)
        with self._lock:
            self.calls.append(AwsCall(service, payload))
            return self._decide(service, payload)

    def _decide(self, service: str, payload: dict[str, Any]) -> tuple[int, dict[str, Any]] | Trouble:
        trouble = self.troubles_once.pop(service, None) or self.troubles.get(service)
        if trouble in ERRORS:
            status, code = ERRORS[trouble]
            return status, {"__type": code, "message": "A trouble that was asked for."}
        if trouble in NOT_TAKEN:
            return 200, NOT_TAKEN[trouble]
        if trouble is not None:
            return trouble
        if service == "secretsmanager":
            return self._secret(payload)
        if service == "events":
            self.events += payload["Entries"]
            return 200, {
                "FailedEntryCount": 0,
                "Entries": [{"EventId": str(uuid.uuid4())} for _ in payload["Entries"]],
            }
        self.messages.append(payload)
        digest = hashlib.md5(payload["MessageBody"].encode()).hexdigest()
        return 200, {"MessageId": str(uuid.uuid4()), "MD5OfMessageBody": digest}

    def _secret(self, payload: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        name = payload["SecretId"]
        if name not in self.secrets:
            return 400, {
                "__type": "ResourceNotFoundException",
                "Message": "Secrets Manager can't find the specified secret.",
            }
        arn = f"arn:aws:secretsmanager:{self.region}:123456789012:secret:{name}-AbCdEf"
        return 200, {"ARN": arn, "Name": name, "SecretString": self.secrets[name]}

    def _signature_problem(
        self, headers: Mapping[str, str], body: bytes, service: str, content_type: str
    ) -> str | None:
        claim = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
        if claim is None:
            return "no SigV4 Authorization"
        expected = {"key": self.access_key_id, "region": self.region, "service": service}
        wrong = [name for name, value in expected.items() if claim[name] != value]
        if headers.get("content-type") != content_type:
            wrong.append("content-type")
        if headers.get("x-amz-security-token") != self.session_token:
            wrong.append("x-amz-security-token")
        names = claim["names"].split(";")
        must = {"host", *(name for name in headers if name.startswith("x-amz-"))}
        wrong += [f"{name} is not signed" for name in sorted(must - set(names))]
        if wrong:
            return ", ".join(wrong)
        good = self._signature(headers, body, names, claim["day"], service)
        return None if hmac.compare_digest(good, claim["signature"]) else "the signature does not match"

    def _signature(self, headers: Mapping[str, str], body: bytes, names: list[str], day: str, service: str) -> str:
        lines = [f"{name}:{' '.join(headers.get(name, '').split())}" for name in names]
        canonical = "\n".join(["POST", "/", "", *lines, "", ";".join(names), hashlib.sha256(body).hexdigest()])
        scope = f"{day}/{self.region}/{service}/aws4_request"
        moment = headers.get("x-amz-date", "")
        text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = f"AWS4{self.secret_access_key}".encode()
        for part in (day, self.region, service, "aws4_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class _Server(Unpolled, ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, account: FakeAws) -> None:
        self.account = account
        super().__init__(("127.0.0.1", 0), AwsHandler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are part of the tests."""


class AwsHandler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.account.respond(headers, body)
        if answer is Trouble.SLOW:
            self.server.account.stopping.wait(30)
            self.close_connection = True
        elif answer is Trouble.RESET:
            self.close_connection = True
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif isinstance(answer, Trouble):
            self._send(200, b"<html>Please sign in to the network.</html>")
        else:
            self._send(answer[0], json.dumps(answer[1]).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """The tests look at the records."""
