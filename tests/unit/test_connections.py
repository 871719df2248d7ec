"""Connections: in time, whatever it is that takes long; TLS with one CA bundle for all hosts, and nobody else's."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from urllib3.exceptions import ReadTimeoutError

from bench.cold_start.servers import TlsFront, server_context
from task_cleanup.connections import _HTTPConnection
from task_cleanup.errors import Category
from task_cleanup.providers.model import SignedRequest
from task_cleanup.system import Deadline, System
from task_cleanup.transport import NoAnswerError, exchange, new_session
from tests.support.builders import Clock
from tests.support.scripted_server import ScriptedServer, reply, silence

SLACK = 3.0  # seconds; nothing here is about speed

ROOT = Path(__file__).resolve().parents[2]

CALLS = """
import json, ssl, sys
loads, load = [], ssl.SSLContext.load_verify_locations
def counting(context, *arguments, **named):
    loads.append(context)
    return load(context, *arguments, **named)
ssl.SSLContext.load_verify_locations = counting
from task_cleanup.providers.model import SignedRequest
from task_cleanup.system import Deadline, System
from task_cleanup.transport import NoAnswerError, exchange, new_session
said = []
for urls in json.loads(sys.argv[1]):
    with new_session(System(), ["https://127.0.0.1:1"]) as session:
        for url in urls:
            try:
                reply = exchange(session, SignedRequest("GET", url + "/", {}), Deadline.after(5, System().monotonic))
                said.append(reply.status)
            except NoAnswerError as error:
                said.append([error.category, error.sent])
print(json.dumps({"said": said, "loads": len(loads)}))
"""


def call(sessions: list[list[str]], trust: Path | None) -> dict[str, object]:
    """What a process of its own gets that makes these calls."""
    path = [*([str(trust / "trust" / "python")] if trust else []), str(ROOT / "layers" / "task_cleanup" / "python")]
    done = subprocess.run(
        [sys.executable, "-c", CALLS, json.dumps(sessions)],
        env={"PYTHONPATH": ":".join(path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    told: dict[str, object] = json.loads(done.stdout)
    return told


def test_ca_bundle_is_read_once_for_all_hosts_and_sessions(tmp_path: Path) -> None:
    context = server_context(tmp_path)

    with (
        ScriptedServer(reply(200)) as one,
        ScriptedServer(reply(204)) as other,
        TlsFront(one.url, context) as first,
        TlsFront(other.url, context) as second,
    ):
        told = call([[first.url, second.url, first.url], [second.url]], tmp_path)

    assert told == {"said": [200, 204, 200, 204], "loads": 1}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_certificate_must_be_vouched_for_and_name_the_host(tmp_path: Path, host: str) -> None:
    """Of an unknown CA, or for another host: nothing is sent."""
    context = server_context(tmp_path)
    with ScriptedServer(reply(200)) as server, TlsFront(server.url, context) as front:
        url = front.url.replace("127.0.0.1", host)
        told = call([[url]], tmp_path if host == "localhost" else None)
        assert told["said"] == [["unavailable", False]]
        assert server.arrived == []


# -- time ------------------------------------------------


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with new_session(System()) as opened:
        yield opened


def failed(session: requests.Session, url: str, seconds: float, body: bytes | None = None) -> NoAnswerError:
    """What ended the exchange, which must be in time."""
    started = time.monotonic()
    with pytest.raises(NoAnswerError) as caught:
        exchange(session, SignedRequest("POST", url, {}, body), Deadline.after(seconds, time.monotonic))
    assert time.monotonic() - started < seconds + SLACK
    return caught.value


def connecting() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "connect"]


def test_name_that_is_not_resolved_in_time(session: requests.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolvers know no time-out. One that answers later finds nobody waiting, and what it opens is closed."""
    answer, resolve = threading.Event(), socket.getaddrinfo
    opened: list[socket.socket] = []

    def resolved(*arguments: Any, **named: Any) -> Any:
        answer.wait(30)
        return resolve(*arguments, **named)

    def connect(opening: socket.socket, address: Any) -> None:
        connect_at_once(opening, address)
        opened.append(opening)

    connect_at_once = socket.socket.connect
    with ScriptedServer(reply(204)) as server:
        monkeypatch.setattr(socket, "getaddrinfo", resolved)
        monkeypatch.setattr(socket.socket, "connect", connect)
        error = failed(session, server.url + "/", 0.2)
        assert (error.category, error.sent) == (Category.TIMEOUT, False)
        answer.set()
        for thread in connecting():
            thread.join(10)
        assert [late.fileno() for late in opened] == [-1]
        assert server.arrived == []
        reply_to = exchange(session, SignedRequest("GET", server.url + "/", {}), Deadline.after(10, time.monotonic))
        assert reply_to.status == 204, "the next one connects anew"


def test_handshake_that_never_ends(session: requests.Session) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # it takes the connection, and says nothing
        error = failed(session, f"https://127.0.0.1:{listener.getsockname()[1]}/", 0.2)

    assert (error.category, error.sent) == (Category.TIMEOUT, False)


def test_body_that_nobody_takes(session: requests.Session) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        error = failed(session, f"http://127.0.0.1:{listener.getsockname()[1]}/", 0.2, b"x" * 30_000_000)

    assert error.category in (Category.TIMEOUT, Category.UNAVAILABLE)
    assert error.sent, "some of it was"


def test_repeated_calls_to_aws_share_the_time() -> None:
    with ScriptedServer(silence) as server, new_session(System(), [server.url]) as session:
        error = failed(session, server.url + "/", 0.3)
        assert error.category is Category.TIMEOUT
        assert len(server.arrived) >= 1


def connection_to(server: ScriptedServer, clock: Clock, timeout: float) -> Any:
    """A connection as the sessions make them, closed after the block."""
    port = int(server.url.rpartition(":")[2])
    return contextlib.closing(_HTTPConnection("127.0.0.1", port, timeout=timeout, monotonic=clock.system.monotonic))


def test_connecting_and_sending_share_the_time() -> None:
    clock = Clock()
    with ScriptedServer(reply(204)) as server, connection_to(server, clock, 5.0) as connection:
        connection.connect()
        clock.pass_(3)
        connection.request("GET", "/")
        assert connection.sock.gettimeout() == pytest.approx(2.0)
        assert connection.getresponse().status == 204
        connection.timeout = 4.0
        connection.request("GET", "/")
        assert connection.sock.gettimeout() == pytest.approx(4.0), "the next exchange has its own"


def test_reading_a_reply_has_one_time_out() -> None:
    clock = Clock()
    with ScriptedServer(reply(200, b"x" * 50_000)) as server, connection_to(server, clock, 5.0) as connection:
        connection.request("GET", "/", preload_content=False)
        response = connection.getresponse()
        clock.pass_(3)
        assert response.read(20_000) == b"x" * 20_000
        assert connection.sock.gettimeout() == pytest.approx(2.0)
        clock.pass_(3)
        with pytest.raises(ReadTimeoutError):
            response.read()


def test_only_connecting_takes_a_thread(session: requests.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    start = threading.Thread.start

    def counted(thread: threading.Thread) -> None:
        if thread.name == "connect":
            started.append(thread.name)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", counted)
    with ScriptedServer(reply(204)) as server:
        for _ in range(3):
            exchange(session, SignedRequest("GET", server.url + "/", {}), Deadline.after(10, time.monotonic))
    assert started == ["connect"]


def test_closing_a_session_closes_its_connections(session: requests.Session) -> None:
    with ScriptedServer(reply(204)) as server:
        exchange(session, SignedRequest("GET", server.url + "/", {}), Deadline.after(10, time.monotonic))
        serving = server._threads[-1]

        session.close()

        serving.join(10)
        assert not serving.is_alive()
