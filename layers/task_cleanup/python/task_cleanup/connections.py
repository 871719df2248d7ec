"""Connections that keep to their time, whose replies must have a whole head, and which read the CA bundle once.

Time-outs of sockets start anew with every byte that drips in, and name resolution has none at all. Here connecting
and sending share one time-out, and reading the whole reply has one. Only connecting needs a thread for that: where
one connection serves many calls, one for each call took a seventh of a warm invocation.

``http.client`` takes the end of the connection for the end of the headers. A ``204 No Content`` that broke off after
its first line would then look like a delete that the provider confirmed. Here it is a broken reply. So is one whose
``Content-Length`` is no number, or that says otherwise where it ends (RFC 9112, section 6.3): ``http.client`` reads
on without one, to the end of the connection, and an empty 200 is what a delete is confirmed by.

Parsing the CA bundle takes longer than the handshake, and urllib3 does it anew for every connection.
"""

import http.client
import io
import queue
import re
import socket
import ssl
import threading
from collections.abc import Mapping
from functools import cache
from time import monotonic
from typing import Any

from certifi import where
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError
from urllib3.util import create_urllib3_context

_LENGTH = re.compile("[0-9]{1,18}")
_MOST_INTERIM = 10  # replies before the final one
SHORTEST = 0.001  # seconds; 0 would mean not to wait at all


class _Timed(io.RawIOBase):
    """A socket's bytes, all of which must come within the time-out that the socket has now."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        super().__init__()
        self._raw = raw
        self._sock = sock
        timeout = sock.gettimeout()
        self._until = None if timeout is None else monotonic() + timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:  # noqa: ANN401 - any buffer
        if self._until is not None:
            left = self._until - monotonic()
            if left <= 0:
                raise TimeoutError("the reply was not whole in time")
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Lines(io.BufferedReader):
    """Remembers the last line that was read."""

    last = b""

    def readline(self, size: int | None = -1, /) -> bytes:
        self.last = super().readline(size)
        return self.last


class _WholeHeadResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed through
        super().__init__(sock, *args, **kwargs)
        self._lines = _Lines(_Timed(self.fp.detach(), sock))
        self.fp = self._lines

    def begin(self) -> None:
        super().begin()
        self._check_line_end()
        lengths, codings = self.headers.get_all("Content-Length", []), self.headers.get_all("Transfer-Encoding", [])
        bodiless = self.status in (http.HTTPStatus.NO_CONTENT, http.HTTPStatus.NOT_MODIFIED)
        if self.headers.defects or not all(_LENGTH.fullmatch(value) for value in lengths):
            raise http.client.HTTPException("the head is not one of HTTP")
        if len(lengths) + len(codings) > 1 or (codings and not self.chunked) or (bodiless and set(lengths) - {"0"}):
            raise http.client.HTTPException("where the body ends is said twice, or in a way that is not known")

    def _read_status(self) -> tuple[str, int, str]:
        """The status line of the final reply. ``http.client`` takes 102 and 103 for it, and what comes next for the
        answer to the next request on this connection.
        """
        for _ in range(_MOST_INTERIM):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 <= status < 200:
                return version, status, reason
            if status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                break
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException("no final reply")

    def _read_and_discard_trailer(self) -> None:
        """The end of a chunked body, which ``http.client`` takes the end of the connection for."""
        super()._read_and_discard_trailer()  # type: ignore[misc]
        self._check_line_end()

    def _check_line_end(self) -> None:
        if self._lines.last not in (b"\r\n", b"\n"):
            raise http.client.IncompleteRead(b"")


class _HTTPConnection(HTTPConnection):
    """Resolves the name, connects, shakes hands and sends within ``timeout`` seconds, all in all."""

    response_class = _WholeHeadResponse
    _until: float | None = None  # while it connects and sends

    def connect(self) -> None:
        timeout = self._left()
        outcome: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
        late = threading.Event()
        connect = super().connect

        def work() -> None:
            try:
                connect()
            except Exception as error:  # noqa: BLE001 - it is raised again in the waiting thread
                outcome.put(error)
            else:
                outcome.put(None)
            if late.is_set():
                self.close()

        threading.Thread(target=work, name="connect", daemon=True).start()
        try:
            error = outcome.get(timeout=timeout)
        except queue.Empty:
            late.set()
            error = TimeoutError()
        if isinstance(error, TimeoutError):  # of a handshake, too: the request itself was not sent
            raise ConnectTimeoutError(self, "no connection in time")
        if error is not None:
            raise error
        self.sock.settimeout(self._left())

    def send(self, data: Any) -> None:  # noqa: ANN401 - as declared
        if self.sock is not None:
            self.sock.settimeout(self._left())
        super().send(data)

    def getresponse(self) -> Any:  # noqa: ANN401 - as declared
        self._until = None
        return super().getresponse()

    def _left(self) -> float | None:
        """Seconds; None without a time-out."""
        if self.timeout is None:
            return None
        if self._until is None:
            self._until = monotonic() + self.timeout
        return max(SHORTEST, self._until - monotonic())


class _HTTPSConnection(_HTTPConnection, HTTPSConnection):
    pass


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


class WholeHeadAdapter(HTTPAdapter):
    """``requests``' adapter over such connections, without proxies and cookies: neither is wanted, and looking for
    them takes a twentieth of a warm invocation.
    """

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed through
        """Make the pools, with our connections in them."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}

    def build_connection_pool_key_attributes(
        self, request: PreparedRequest, verify: bool | str, cert: str | tuple[str, str] | None = None
    ) -> Any:  # noqa: ANN401 - two dictionaries of the library's own
        """All hosts share one TLS context, unless another CA bundle is asked for."""
        host, tls = super().build_connection_pool_key_attributes(request, verify, cert)
        if verify is True and host["scheme"] == "https":
            tls["ssl_context"] = _tls_context()
        return host, tls

    def get_connection_with_tls_context(
        self,
        request: PreparedRequest,
        verify: bool | str | None,
        proxies: Mapping[str, str] | None = None,
        cert: str | tuple[str, str] | None = None,
    ) -> Any:  # noqa: ANN401 - as declared
        """The pool of the request's own host."""
        del proxies
        host, tls = self.build_connection_pool_key_attributes(request, True if verify is None else verify, cert)
        return self.poolmanager.connection_from_host(**host, pool_kwargs=tls)

    def request_url(self, request: PreparedRequest, proxies: Any) -> str:  # noqa: ANN401 - as declared
        """Path and query: only a proxy is told more."""
        del proxies
        return request.path_url

    def build_response(self, req: PreparedRequest, resp: Any) -> Response:  # noqa: ANN401 - as declared
        """Status, headers, and the body to be read."""
        response = Response()
        response.request = req
        response.status_code = resp.status
        response.headers = resp.headers
        response.raw = resp
        return response

    def cert_verify(self, conn: Any, url: str, verify: bool | str, cert: Any) -> None:  # noqa: ANN401 - as declared
        """The shared context holds the CA bundle already."""
        super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]
        if verify is True:
            conn.ca_certs = None


@cache
def _tls_context() -> ssl.SSLContext:
    """As urllib3 makes them: certificates and host names are verified."""
    context = create_urllib3_context()
    context.load_verify_locations(where())
    return context
