"""Emulates S3, PutEvents and Secrets Manager on loopback, as far as a sweep needs them, and counts the calls.

It checks no signature. It refuses every call that it does not know, so that a sweep which makes other calls one day
is not measured by mistake.
"""

import argparse
import hashlib
import json
import threading
import time
from collections import Counter
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bench.sweep.estate import KEY_SECRET, key_id
from bench.sweep.gauge import Gauge
from bench.sweep.helpers import answer

REQUEST = "Task Cleanup Requested"
# Two requests with the same values of these members are the same delete.
IDENTITY = ("operation", "account", "region", "project_id", "instance_id", "task_id")


class State:
    """The stored objects and the counts. ``gauge`` groups: ``put_events``, ``s3``, ``secrets``, ``sqs``."""

    def __init__(self, latency: float) -> None:
        self.latency = latency
        self.gauge = Gauge()
        self.objects: dict[str, tuple[bytes, str]] = {}
        self._lock = threading.Lock()
        self._reset()

    def _reset(self) -> None:
        self._events: Counter[str] = Counter()
        self._requested: set[bytes] = set()
        self._largest = 0
        self._sizes: dict[str, int] = {}
        self._outcomes: list[str] = []

    def put_events(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        """Count the entries of a PutEvents call, and accept all."""
        with self._lock:
            for entry in entries:
                kind, text = entry["DetailType"], entry["Detail"]
                self._events[kind] += 1
                self._largest = max(self._largest, len(text.encode()))
                detail = json.loads(text)
                if kind == REQUEST:
                    identity = json.dumps([detail.get(name) for name in IDENTITY])
                    self._requested.add(hashlib.sha256(identity.encode()).digest()[:16])
                else:
                    self._outcomes.append(str(detail.get("outcome")))
        return {"FailedEntryCount": 0, "Entries": [{"EventId": f"{number:032x}"} for number in range(len(entries))]}

    def put(self, key: str, body: bytes, condition: tuple[str | None, str | None]) -> tuple[int, str]:
        """Store an object under ``condition`` (If-None-Match, If-Match); returns status and tag."""
        none_match, match = condition
        with self._lock:
            known = self.objects.get(key)
            lost = (none_match == "*" and known is not None) or (
                match is not None and (known is None or known[1] != match)
            )
            if lost:
                return 412, ""
            tag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
            self.objects[key] = (body, tag)
            if "/reports/" in key:
                self._sizes[key.rpartition("/")[2]] = len(body)
            return 200, tag

    def take(self) -> dict[str, Any]:
        """The counts since the last call, and the digests of all reports; counting starts again."""
        with self._lock:
            counted = {
                "calls": self.gauge.take(),
                "events": dict(self._events),
                "requested": len(self._requested),
                "largest_event": self._largest,
                "objects": self._sizes,
                "outcomes": self._outcomes,
                "sha256": {
                    key: hashlib.sha256(body).hexdigest()
                    for key, (body, _) in self.objects.items()
                    if key.endswith("/report.json")
                },
            }
            self._reset()
            return counted


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: State

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Log nothing."""

    def do_POST(self) -> None:
        """The JSON protocols: the action is in a header."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        action = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        group = {"PutEvents": "put_events", "GetSecretValue": "secrets", "SendMessage": "sqs"}.get(action)
        if group is None:
            self._reply(400, json.dumps({"__type": "UnknownOperationException"}).encode())
            return
        with self.state.gauge.call(group):
            time.sleep(self.state.latency)
            request = json.loads(body)
            if action == "PutEvents":
                reply = self.state.put_events(request["Entries"])
            elif action == "GetSecretValue":
                _, provider, account = request["SecretId"].split("/")
                secret = {"access_key_id": key_id(provider, account), "secret_access_key": KEY_SECRET}
                reply = {"SecretString": json.dumps(secret)}
            else:
                reply = {"MessageId": "0"}
        self._reply(200, json.dumps(reply).encode())

    def do_PUT(self) -> None:
        """PutObject, with its two conditions."""
        if "aws-chunked" in self.headers.get("Content-Encoding", "") or "?" in self.path:
            self._reply(501, b"")
            return
        with self.state.gauge.call("s3"):
            time.sleep(self.state.latency)
            body = self.rfile.read(int(self.headers["Content-Length"]))
            condition = (self.headers.get("If-None-Match"), self.headers.get("If-Match"))
            status, tag = self.state.put(self.path, body, condition)
        if status == 200:
            self._reply(200, b"", {"ETag": tag})
        else:
            self._reply(status, b"<Error><Code>PreconditionFailed</Code></Error>")

    def do_GET(self) -> None:
        """GetObject."""
        with self.state.gauge.call("s3"):
            time.sleep(self.state.latency)
            known = self.state.objects.get(self.path)
        if known is None:
            self._reply(404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            self._reply(200, known[0], {"ETag": known[1], "Last-Modified": formatdate(usegmt=True)})

    def _reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """The HTTP server, on a free port of loopback."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, state: State) -> None:
        super().__init__(("127.0.0.1", 0), type("Handler", (_Handler,), {"state": state}))

    @property
    def url(self) -> str:
        """Base URL without a closing slash."""
        return f"http://127.0.0.1:{self.server_address[1]}"


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=int, default=0, help="milliseconds of every call")
    state = State(parser.parse_args().latency / 1000)
    server = Server(state)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    answer({"url": server.url}, state.take)


if __name__ == "__main__":
    main()
