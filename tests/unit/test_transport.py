"""One exchange over real HTTP on loopback: what is sent, what is read, and what a hostile far end cannot do."""

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from task_cleanup.calls import Dependencies
from task_cleanup.credentials import CredentialStore
from task_cleanup.errors import Category, Code
from task_cleanup.operation import run
from task_cleanup.providers.model import Reply, SignedRequest
from task_cleanup.results import Outcome, Result
from task_cleanup.system import Deadline, System
from task_cleanup.transport import (
    MAX_LIST_BYTES,
    MAX_REPLY_BYTES,
    NoAnswerError,
    ReplyTooLargeError,
    Transport,
    exchange,
    new_session,
)
from tests.support.builders import (
    CANCEL_TASK,
    LISTS,
    NAMES,
    OF_EACH_KIND,
    OMS_DELETE,
    OPERATIONS,
    SECRET,
    FakeAws,
    direct,
    success,
    without_look,
)
from tests.support.cases import case
from tests.support.scripted_server import ScriptedServer, Step, drip, flood, raw, reply, reset, silence

SLACK = 3.0  # seconds; nothing here is about speed


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with new_session(System()) as opened:
        yield opened


def deadline(seconds: float = 10.0) -> Deadline:
    return Deadline.after(seconds, time.monotonic)


def request(server: ScriptedServer, path: str = "/v2/tasks/1", method: str = "DELETE") -> SignedRequest:
    return SignedRequest(method, server.url + path, {"Authorization": "signed-by-us", "X-Sdk-Date": "now"})


def answer(session: requests.Session, *steps: Step, seconds: float = 10.0) -> Reply:
    with ScriptedServer(*steps) as server:
        return exchange(session, request(server), deadline(seconds))


# -- what is sent ------------------------------------------------


def test_accept_and_user_agent_are_set_and_our_headers_go_out_as_signed(session: requests.Session) -> None:
    with ScriptedServer(reply(204)) as server:
        exchange(session, request(server), deadline())

    [arrived] = server.arrived

    assert arrived.headers["accept"] == "application/json"
    assert arrived.headers["user-agent"].startswith("task-cleanup/")
    assert arrived.headers["authorization"] == "signed-by-us"
    assert arrived.headers["x-sdk-date"] == "now"


@pytest.mark.parametrize(
    "target", ["/a/b", "/openapi/instances/es-1/data-task?ClientToken=a%20b%2B~%2A&taskId=%E4%B8%AD", "/%7Bx%7D"]
)
def test_the_url_that_is_signed_is_the_url_that_is_sent(session: requests.Session, target: str) -> None:
    with ScriptedServer(reply(204)) as server:
        exchange(session, request(server, target), deadline())

    assert [arrived.target for arrived in server.arrived] == [target]


@pytest.mark.parametrize(
    "target",
    ["/a/../b", "/a/./b", "/a/..", "/a/.?b=1", "/a b", "/a?x=%7e", "/a%2", "/é", "/a#b", "/a?b?c", "/a\n", ""],
)
def test_a_url_that_the_library_would_change_is_not_sent(session: requests.Session, target: str) -> None:
    with ScriptedServer(reply(204)) as server:
        with pytest.raises(ValueError, match="not the URL that was signed"):
            exchange(session, request(server, target), deadline())
        assert server.arrived == []


@pytest.mark.parametrize(("name", "value"), [("X-A", "1\r\nX-B: 2"), ("X-A: 1\r\nX-B", "2"), ("X-A", "1\n")])
def test_a_header_that_would_be_two_is_not_sent(session: requests.Session, name: str, value: str) -> None:
    with ScriptedServer(reply(204)) as server:
        with pytest.raises(ValueError, match="Invalid header"):
            exchange(session, SignedRequest("DELETE", server.url + "/", {name: value}), deadline())
        assert server.arrived == []


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [("GET", None, None), ("DELETE", None, "0"), ("POST", None, "0"), ("POST", b"", "0"), ("POST", b"12", "2")],
)
def test_length_of_the_body_is_told(
    session: requests.Session, method: str, body: bytes | None, length: str | None
) -> None:
    with ScriptedServer(reply(204)) as server:
        exchange(session, SignedRequest(method, server.url + "/", {}, body), deadline())

    assert server.arrived[0].headers.get("content-length") == length
    assert "transfer-encoding" not in server.arrived[0].headers


def test_netrc_is_ignored(session: requests.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A .netrc entry for the host would replace the Authorization header."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))

    with ScriptedServer(reply(204)) as server:
        exchange(session, request(server), deadline())

    assert server.arrived[0].headers["authorization"] == "signed-by-us"


def test_proxy_variables_are_ignored(session: requests.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(reply(500)) as proxy, ScriptedServer(reply(204)) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("no_proxy", "")
        assert exchange(session, request(server), deadline()).status == 204
        assert proxy.arrived == []


def test_tls_is_verified_and_no_variable_switches_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURL_CA_BUNDLE", "")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "")

    with new_session(System()) as session:
        settings = session.merge_environment_settings("https://example.invalid/", {}, None, None, None)

    assert settings["verify"] is True


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(session: requests.Session, status: int) -> None:
    with ScriptedServer(reply(204)) as elsewhere:
        with ScriptedServer(reply(status, Location=elsewhere.url + "/")) as server:
            assert exchange(session, request(server), deadline()).status == status
            with new_session(System(), [server.url]) as to_aws:
                assert exchange(to_aws, request(server), deadline()).status == status
        assert elsewhere.arrived == []
        assert len(server.arrived) == 2


def test_connections_are_reused(session: requests.Session) -> None:
    with ScriptedServer(reply(200, b"{}")) as server:
        for _ in range(3):
            exchange(session, request(server), deadline())

    assert {arrived.connection for arrived in server.arrived} == {1}


def test_cookies_do_not_travel_from_call_to_call(session: requests.Session) -> None:
    """Nothing of one request outlives it, and nothing goes out that was not chosen."""
    with ScriptedServer(reply(200, b"{}", Set_Cookie="session=abc; Path=/")) as server:
        for _ in range(2):
            exchange(session, request(server), deadline())

    assert "cookie" not in server.arrived[1].headers


# -- what is read ------------------------------------------------


def test_a_reply_is_read_whole_with_lower_case_header_names(session: requests.Session) -> None:
    got = answer(session, reply(404, b'{"a": 1}', X_Request_Id="abc"))

    assert (got.status, got.body, got.headers["x-request-id"]) == (404, b'{"a": 1}', "abc")


def test_a_header_that_comes_twice_is_joined(session: requests.Session) -> None:
    got = answer(session, raw(b"HTTP/1.1 204 X\r\nX-A: 1\r\nx-a: 2\r\nX-B: 3\r\n\r\n"))

    assert got.headers == {"x-a": "1, 2", "x-b": "3"}


def test_a_chunked_reply_is_read_whole(session: requests.Session) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    got = answer(session, raw(head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"))

    assert got.body == b"abcde"


def test_a_reply_of_exactly_the_cap_is_read(session: requests.Session) -> None:
    assert len(answer(session, reply(200, b"x" * MAX_REPLY_BYTES)).body) == MAX_REPLY_BYTES == 1024 * 1024


@pytest.mark.parametrize(
    "step",
    [
        reply(200, b"x" * (MAX_REPLY_BYTES + 1)),
        flood(b"HTTP/1.1 200 OK\r\n\r\n"),
        flood(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"),
    ],
    ids=["one byte over", "endless", "announced"],
)
def test_at_most_a_mebibyte_of_a_reply_is_read(session: requests.Session, step: Step) -> None:
    with pytest.raises(ReplyTooLargeError):
        answer(session, step)


def test_a_compressed_reply_is_not_unpacked(session: requests.Session) -> None:
    """The cap counts what was sent: no decompression bomb."""
    with ScriptedServer(reply(200, b"\x1f\x8b", Content_Encoding="gzip")) as server:
        assert exchange(session, request(server), deadline()).body == b"\x1f\x8b"
        assert server.arrived[0].headers.get("accept-encoding", "identity") == "identity"


@pytest.mark.parametrize(
    ("step", "category"),
    [
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes."), Category.UNAVAILABLE),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nten bytes."), Category.UNAVAILABLE),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"), Category.UNAVAILABLE),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Le"), Category.UNAVAILABLE),
        (raw(b"HTTP/1.1 2"), Category.UNAVAILABLE),
        (raw(b""), Category.UNAVAILABLE),
        (raw(b"\x00\xff\xfe garbage, no HTTP\r\n\r\n"), Category.UNAVAILABLE),
        (raw(b"CERTIFICATE_VERIFY_FAILED\r\n\r\n"), Category.UNAVAILABLE),  # words, and no handshake
        (reset, Category.UNAVAILABLE),
    ],
    ids=[
        "short",
        "short chunk",
        "no last chunk",
        "half headers",
        "half status",
        "nothing",
        "garbage",
        "words",
        "reset",
    ],
)
def test_half_a_reply_is_no_reply(session: requests.Session, step: Step, category: Category) -> None:
    with pytest.raises(NoAnswerError) as caught:
        answer(session, step)

    assert caught.value.category is category
    assert caught.value.sent, "it may have been carried out"


@pytest.mark.parametrize(
    "step",
    [
        silence,
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", interval=0.005),
        drip(b"HTTP/1.1 200 OK\r\nX-Slow: ", interval=0.005),
        drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n", interval=0.005),
    ],
    ids=["silence", "body", "headers", "chunks"],
)
def test_whatever_the_far_end_does_the_deadline_holds(session: requests.Session, step: Step) -> None:
    started = time.monotonic()

    with ScriptedServer(step) as server:
        with pytest.raises(NoAnswerError) as caught:
            exchange(session, request(server), deadline(0.25))
        assert time.monotonic() - started < 0.25 + SLACK

    assert (caught.value.category, caught.value.code) == (Category.TIMEOUT, Code.TIMEOUT)
    assert caught.value.sent


def test_a_refused_connection_cannot_have_changed_anything(session: requests.Session) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(NoAnswerError) as caught:
        exchange(session, SignedRequest("DELETE", f"http://127.0.0.1:{port}/", {}), deadline())
    assert (caught.value.category, caught.value.sent) == (Category.UNAVAILABLE, False)


def test_exception_texts_hold_no_url_and_no_header(session: requests.Session) -> None:
    with ScriptedServer(reset) as server, pytest.raises(NoAnswerError) as caught:
        exchange(session, request(server, "/v2/tasks/1?clientToken=secret-token"), deadline())

    assert "secret-token" not in str(caught.value)
    assert "signed-by-us" not in repr(caught.value)
    assert "127.0.0.1" not in str(caught.value)


def test_the_http_library_does_not_log_requests(session: requests.Session, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        answer(session, reply(204))

    assert [record.name for record in caplog.records if record.name.startswith("urllib3")] == []


def test_the_http_library_logs_no_url_of_a_reply_that_it_cannot_parse(
    session: requests.Session, caplog: pytest.LogCaptureFixture
) -> None:
    """A token never reaches a log; client tokens are in the query."""
    odd = raw(b"HTTP/1.1 200 OK\r\nno colon here\r\nContent-Length: 0\r\n\r\n")

    with ScriptedServer(odd) as server, caplog.at_level(logging.DEBUG), contextlib.suppress(NoAnswerError):
        exchange(session, request(server, "/v2/tasks/1?clientToken=secret-token"), deadline())

    assert "secret-token" not in caplog.text


# -- a whole operation on a real connection ------------------------------------------------


class Wire:
    """An operation whose provider is a scripted server. Back-offs take no time."""

    def __init__(self, name: str, server: ScriptedServer, *, looks: bool = True) -> None:
        self.slept: list[float] = []
        self.operation = OPERATIONS[name] if looks else without_look(name)
        system = System(sleep=self.slept.append)
        aws = FakeAws({f"task-cleanup/{self.operation.service.provider}/default": SECRET})
        self.transport = Transport(system)
        store = CredentialStore(aws, "task-cleanup", self.operation.service.provider, system)
        self._environment = Dependencies(store, self.transport, system, server.url, dry_run=False)

    def run(self, seconds: float = 10.0) -> Result:
        return run(self.operation, direct(self.operation), self._environment, deadline(seconds))


def promised(name: str, *, close: bool = False) -> Step:
    """The provider's success as a step."""
    faked = success(OPERATIONS[name])
    return reply(faked.status, faked.body, close=close)


@pytest.mark.parametrize("name", OF_EACH_KIND)
def test_a_connection_that_was_closed_meanwhile_is_reopened(name: str) -> None:
    with ScriptedServer(promised(name, close=True)) as server:
        faked = Wire(name, server)
        outcomes = []
        for _ in range(3):
            outcomes.append(faked.run().outcome)
            time.sleep(0.01)
        faked.transport.session.close()

    assert outcomes == [Outcome.SUCCEEDED] * 3
    assert faked.slept == []
    assert len(server.arrived) == 3


@pytest.mark.parametrize("name", [name for name in OF_EACH_KIND if name != CANCEL_TASK])
def test_a_connection_that_breaks_when_it_is_used_again_is_reopened_and_re_signed_at_once(name: str) -> None:
    with ScriptedServer(promised(name), reset, promised(name)) as server:
        faked = Wire(name, server)
        first, second = faked.run(), faked.run()
        faked.transport.session.close()
    assert (first.outcome, second.outcome) == (Outcome.SUCCEEDED, Outcome.SUCCEEDED)
    assert (second.attempts, faked.slept) == (2, [])
    _, broken, repeated = server.arrived
    assert broken.target == repeated.target
    if OPERATIONS[name].service.provider == "alibaba":
        assert broken.headers["x-acs-signature-nonce"] != repeated.headers["x-acs-signature-nonce"]
        assert broken.headers["authorization"] != repeated.headers["authorization"]


def test_a_cancel_on_a_kept_connection_that_breaks_is_not_sent_again() -> None:
    """Nothing tells whether the provider closed the connection before it read the request, or after."""
    with ScriptedServer(promised(CANCEL_TASK), reset, promised(CANCEL_TASK)) as server:
        faked = Wire(CANCEL_TASK, server)
        first, second = faked.run(), faked.run()
        faked.transport.session.close()

    assert (first.outcome, second.outcome, second.retryable) == (Outcome.SUCCEEDED, Outcome.FAILED, True)
    assert (second.attempts, len(server.arrived)) == (1, 2)
    assert second.error is not None
    assert "may have been made" in (second.error.detail or {})["note"]


def test_after_an_attempt_without_an_answer_no_connection_is_used_again() -> None:
    """Not even a kept one to AWS: whatever cut off the one while the function slept has cut off the other, too."""
    with ScriptedServer(promised(OMS_DELETE), reset, promised(OMS_DELETE)) as server, ScriptedServer(reply()) as aws:
        faked = Wire(OMS_DELETE, server)
        for _ in range(2):
            exchange(faked.transport.session, request(aws), deadline())
            faked.run()
        exchange(faked.transport.session, request(aws), deadline())
        faked.transport.session.close()

    assert [arrived.connection for arrived in server.arrived] == [1, 1, 2]
    assert [arrived.connection for arrived in aws.arrived] == [1, 1, 2]


@pytest.mark.parametrize("name", OF_EACH_KIND)
@pytest.mark.parametrize("step", [silence, drip(b"HTTP/1.1 200 OK\r\nX: ")], ids=["silence", "drip"])
def test_an_operation_answers_before_its_deadline(name: str, step: Step) -> None:
    started = time.monotonic()

    with ScriptedServer(step) as server:
        faked = Wire(name, server)
        result = faked.run(seconds=0.15)
        assert time.monotonic() - started < 0.15 + SLACK
        faked.transport.session.close()

    assert result.error is not None
    assert (result.outcome, result.error.category) == (Outcome.FAILED, Category.TIMEOUT)
    assert result.retryable


NOT_PROMISED = {
    "html": reply(200, b"<html>maintenance</html>"),
    "cut": reply(200, b'{"Result": tru'),
    "no result": reply(200, b'{"RequestId": "x"}'),
    "text": reply(200, b'{"Result": "true"}'),
    "number": reply(200, b'{"Result": 1}'),
    "array": reply(200, b"[true]"),
    "accepted": reply(202, b""),
    "accepted result": reply(202, b'{"Result": true}'),
    "huge": flood(b"HTTP/1.1 200 OK\r\n\r\n"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_success_that_is_not_what_the_provider_promises_is_no_success(name: str) -> None:
    for what, step in NOT_PROMISED.items():
        with case(what):
            _check_not_promised(name, step)


def _check_not_promised(name: str, step: Step) -> None:
    with ScriptedServer(step) as server:
        faked = Wire(name, server, looks=False)
        result = faked.run()
        faked.transport.session.close()
    assert result.error is not None
    assert (result.outcome, result.error.category) == (Outcome.FAILED, Category.PROVIDER_ERROR)
    assert not result.retryable
    assert bool((result.error.detail or {}).get("note")) is (name not in LISTS), "the change may have been made"
    assert len(server.arrived) == 1


# No numbers: what is behind the headers may be a part of the reply or all of it.
BAD_LENGTHS = [b"abc", b"-1", b"+0", b"0x0", b"0.0", b"0, 0", b"0\r\nContent-Length: x", b"", b"9" * 5000, b"\xb2"]


# Empty replies that do not say where they end, or say it twice, or not as HTTP does: what they promised may be lost.
NO_CERTAIN_END = {
    "no length": b"HTTP/1.1 200 OK\r\n\r\n",
    "no length, 1.0": b"HTTP/1.0 200 OK\r\n\r\n",
    "a line without a colon": b"HTTP/1.1 200 OK\r\nX-broken\r\nContent-Length: 47\r\n\r\n",
    "a folded line": b"HTTP/1.1 200 OK\r\nX: a\r\n Content-Length: 47\r\n\r\n",
    "a blank before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 47\r\n\r\n",
    "two codings": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\nContent-Length: 0\r\n\r\n",
    "a coding and a length": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
    "another coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n",
    "chunks cut in a size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0",
    "chunks cut behind a size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    "204 with a length": b'HTTP/1.1 204 No Content\r\nContent-Length: 25\r\n\r\n{"error_code":"OMS.0063"}',
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "no end of interim replies": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 50
    + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("name", [name for name in OF_EACH_KIND if OPERATIONS[name].service.provider != "alibaba"])
@pytest.mark.parametrize("end", NO_CERTAIN_END)
def test_an_empty_reply_confirms_only_if_its_end_is_certain(name: str, end: str) -> None:
    with ScriptedServer(raw(NO_CERTAIN_END[end])) as server:
        faked = Wire(name, server)
        result = faked.run(seconds=5)
        faked.transport.session.close()
    assert result.outcome is Outcome.FAILED
    assert result.error is not None
    if name not in LISTS:
        assert (result.error.detail or {}).get("note"), "the change may have been made"


@pytest.mark.parametrize("chunks", [b"0\r\n\r\n", b"0\r\nX-Trailer: 1\r\n\r\n"])
def test_an_empty_reply_in_chunks_is_whole_with_its_last_line(chunks: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with ScriptedServer(raw(head + chunks)) as server:
        faked = Wire(OMS_DELETE, server)
        assert faked.run().outcome is Outcome.SUCCEEDED
        faked.transport.session.close()


@pytest.mark.parametrize(
    "interim",
    [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 103 X\r\nA: b\r\n\r\n"],
)
def test_an_interim_reply_is_not_the_answer_and_the_answer_is_not_the_next_request_s(interim: bytes) -> None:
    def late(connection: socket.socket, _stop: threading.Event) -> bool:
        connection.sendall(interim)
        time.sleep(0.05)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        return True

    running = reply(400, b'{"error_code": "OMS.0063", "error_msg": "it runs"}')
    with ScriptedServer(late, running) as server:
        faked = Wire(OMS_DELETE, server)
        first, second = faked.run(), faked.run()
        faked.transport.session.close()
    assert (first.outcome, first.http_status) == (Outcome.SUCCEEDED, 200)
    assert (second.outcome, second.http_status) == (Outcome.CONFLICT, 400)


@pytest.mark.parametrize("name", OF_EACH_KIND)
@pytest.mark.parametrize("over", [False, True])
def test_of_a_list_sixteen_mebibytes_are_read_of_other_replies_one(name: str, over: bool) -> None:
    operation = OPERATIONS[name]
    cap = MAX_REPLY_BYTES if operation.listing is None else MAX_LIST_BYTES
    content = success(operation).body or b"{}"
    body = content[:-1] + b" " * (cap + over - len(content)) + content[-1:]
    with ScriptedServer(reply(200, body)) as server:
        faked = Wire(name, server, looks=False)
        result = faked.run()
        faked.transport.session.close()
    assert len(server.arrived) == 1
    assert MAX_LIST_BYTES == 16 * 1024 * 1024
    code = result.error.code if result.error else None
    assert (code == "ReplyTooLarge") is over
    if over and result.error is not None:
        assert str(cap) in result.error.message
    if operation.listing is not None and not over:
        assert result.outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize("name", OF_EACH_KIND)
@pytest.mark.parametrize(
    "content",
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 204 No Content\r\nX-Request-Id: 1",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n",
        *(b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\n" for length in BAD_LENGTHS),
    ],
    ids=["status line", "half header", "half 204", "no body", *(f"length {length!r}" for length in BAD_LENGTHS)],
)
def test_a_reply_that_breaks_off_is_never_a_success(name: str, content: bytes) -> None:
    """The silent case: OMS and DMS promise an empty body, so headers that break off must not look like one."""
    with ScriptedServer(raw(content)) as server:
        faked = Wire(name, server)
        result = faked.run()
        faked.transport.session.close()

    assert result.outcome is Outcome.FAILED
