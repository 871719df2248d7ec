"""What ``requests`` sends through: connections that keep to their time and read a reply only as a whole.

Time: a socket's time-out starts anew with every byte that arrives, and name resolution has none. Here connecting and
sending share one time-out, and reading the whole reply has one. Only connecting needs a thread for that; a thread for
every call would take a seventh of a warm invocation.

Whole replies: ``http.client`` reads the end of the connection as the end of the headers. A ``204 No Content`` that
breaks off after its first line would then be a delete that the provider confirmed. Here it is a broken reply, and so
is one whose ``Content-Length`` is no number or which says in two ways where it ends (RFC 9112, section 6.3):
``http.client`` reads such a reply to the end of the connection, and an empty 200 confirms a delete, too.

TLS: parsing the CA bundle takes longer than the handshake, and urllib3 would parse it for every connection. Here all
connections share one context.
"""

import http.client
import io
import queue
import re
import socket
import ssl
import threading
from collections.abc import Callable
from functools import cache, partial
from typing import Any
from urllib.parse import urlsplit

from certifi import where
from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError
from urllib3.util import Retry, Timeout, create_urllib3_context

from task_cleanup.system import Deadline

Monotonic = Callable[[], float]

NO_RETRY = Retry(total=False)
SHORTEST = 0.001  # seconds; a socket with the time-out 0 does not wait at all
_LENGTH = re.compile("[0-9]{1,18}")
_MOST_INTERIM = 10  # replies before the final one


class _Timed(io.RawIOBase):
    """A socket's bytes. All must arrive within the time-out that the socket has when this is made."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, monotonic: Monotonic) -> None:
        super().__init__()
        self._raw = raw
        self._sock = sock
        self._deadline = Deadline.after(sock.gettimeout() or 0.0, monotonic)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:  # noqa: ANN401 - any buffer
        left = self._deadline.remaining()
        if not left:
            raise TimeoutError("the reply did not end in time")
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
    def __init__(self, sock: socket.socket, *args: Any, monotonic: Monotonic, **kwargs: Any) -> None:  # noqa: ANN401 - passed through
        super().__init__(sock, *args, **kwargs)
        self._lines = _Lines(_Timed(self.fp.detach(), sock, monotonic))
        self.fp = self._lines

    def begin(self) -> None:
        super().begin()
        self._check_line_end()
        lengths, codings = self.headers.get_all("Content-Length", []), self.headers.get_all("Transfer-Encoding", [])
        bodiless = self.status in (http.HTTPStatus.NO_CONTENT, http.HTTPStatus.NOT_MODIFIED)
        if self.headers.defects or not all(_LENGTH.fullmatch(value) for value in lengths):
            raise http.client.HTTPException("the head is not one of HTTP")
        if len(lengths) + len(codings) > 1 or (codings and not self.chunked) or (bodiless and set(lengths) - {"0"}):
            raise http.client.HTTPException("the body's length is given twice, or in an unknown way")

    def _read_status(self) -> tuple[str, int, str]:
        """The status line of the final reply.

        ``http.client`` would return a 102 or 103 as the final one, and read the final one as the answer to the next
        request on this connection.
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
        """Read the end of a chunked body; ``http.client`` reads the end of the connection as one."""
        super()._read_and_discard_trailer()  # type: ignore[misc]
        self._check_line_end()

    def _check_line_end(self) -> None:
        if self._lines.last not in (b"\r\n", b"\n"):
            raise http.client.IncompleteRead(b"")


class _HTTPConnection(HTTPConnection):
    """Resolves the name, connects, does the TLS handshake and sends, all within ``timeout`` seconds together."""

    timeout: float  # seconds: ``exchange`` always sets one

    def __init__(self, *args: Any, monotonic: Monotonic, **kwargs: Any) -> None:  # noqa: ANN401 - passed through
        super().__init__(*args, **kwargs)
        self._monotonic = monotonic
        self._deadline: Deadline | None = None  # while it connects and sends
        self.response_class = partial(_WholeHeadResponse, monotonic=monotonic)  # type: ignore[assignment]

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
        self._deadline = None
        return super().getresponse()

    def _left(self) -> float:
        """Seconds."""
        if self._deadline is None:
            self._deadline = Deadline.after(self.timeout, self._monotonic)
        return max(SHORTEST, self._deadline.remaining())


class _HTTPSConnection(_HTTPConnection, HTTPSConnection):
    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed through
        super().__init__(*args, **{**kwargs, "ssl_context": _tls_context()})


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls: Any = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls: Any = _HTTPSConnection


class WholeHeadAdapter(BaseAdapter):
    """Sends prepared requests as they are, over such connections.

    ``requests``' own adapter looks for proxies, cookies and CA bundles at every call, which takes a tenth of a warm
    invocation, and none is wanted here: certificates are verified against the one CA bundle whatever the caller says.
    """

    def __init__(self, monotonic: Monotonic, retries: Retry = NO_RETRY) -> None:
        super().__init__()
        self._retries = retries
        self._pools = PoolManager(maxsize=10)
        kinds: dict[str, Any] = {
            "http": partial(_HTTPPool, monotonic=monotonic),
            "https": partial(_HTTPSPool, monotonic=monotonic),
        }
        self._pools.pool_classes_by_scheme = kinds

    def send(self, request: PreparedRequest, *_: Any, timeout: Timeout, **__: Any) -> Response:  # type: ignore[override]  # noqa: ANN401
        """The reply's status, and as ``raw`` its headers and the body, which is not read yet.

        Raises
        ------
        urllib3.exceptions.HTTPError
        OSError
        """
        url, response = urlsplit(str(request.url)), Response()
        pool = self._pools.connection_from_host(url.hostname, url.port, url.scheme)
        sent = (str(request.method), request.path_url, request.body, request.headers, self._retries)
        response.raw = pool.urlopen(
            *sent, redirect=False, timeout=timeout, preload_content=False, decode_content=False
        )
        response.status_code = response.raw.status
        return response

    def close(self) -> None:
        """Close all connections that are not in use."""
        self._pools.clear()


@cache
def _tls_context() -> ssl.SSLContext:
    """As urllib3 makes them: certificates and host names are verified."""
    context = create_urllib3_context()
    context.load_verify_locations(where())
    return context
