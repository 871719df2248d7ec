"""HTTP/1.1 on loopback: threads, keep-alive, and requests kept exactly as they were received.

The signature checks need the request target and the header values as they came over the wire, which is why the
request is read here and not by `http.server` (that one rewrites a leading `//` and reparses the headers).
"""

import contextlib
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.client import responses

from local.loopback import Unpolled

from .messages import Delivery, Drip, Reply, Request

MAX_LINE = 65536
MAX_HEADERS = 200
MAX_BODY = 12 * 1024 * 1024
SEND_CHUNK = 65536
BODILESS = frozenset({204, 304})


Responder = Callable[[Request], Delivery]


class BadRequestError(Exception):
    """What arrived is not an HTTP/1.1 request that this server reads."""


class LoopbackServer(Unpolled, socketserver.ThreadingTCPServer):
    """One listening port, one thread for each connection."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, respond: Responder, stopping: threading.Event) -> None:
        """Listen on 127.0.0.1; port 0 takes a free one."""
        self.respond = respond
        self.stopping = stopping
        self._connections: set[socket.socket] = set()
        self._idle = threading.Condition()
        super().__init__(("127.0.0.1", port), _Connection)
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Base URL without a closing slash."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def start(self) -> None:
        """Serve in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, end open connections and wait for their threads."""
        self.shutdown()
        self._thread.join()
        self.server_close()
        with self._idle:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._idle.wait_for(lambda: not self._connections, timeout=5)

    @contextlib.contextmanager
    def open_connection(self, connection: socket.socket) -> Iterator[None]:
        """Remember the connection while its thread runs."""
        with self._idle:
            self._connections.add(connection)
        try:
            yield
        finally:
            with self._idle:
                self._connections.discard(connection)
                self._idle.notify_all()

    def process_request_thread(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        """Run one connection; it counts as open until its socket is closed."""
        with self.open_connection(request):
            super().process_request_thread(request, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing when a client closes its connection: faults cause that on purpose."""


class _Connection(socketserver.StreamRequestHandler):
    """Reads requests one after the other until either side closes."""

    server: LoopbackServer
    connection: socket.socket
    disable_nagle_algorithm = True

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            while not self.server.stopping.is_set():
                try:
                    request = self._read_request()
                except BadRequestError:
                    self._send(Delivery(Reply(400, body=b"bad request\n"), close=True), last=True)
                    return
                if request is None or not self._answer(request):
                    return

    def _answer(self, request: Request) -> bool:
        """Send the answer; return whether the connection stays open."""
        delivery = self.server.respond(request)
        if delivery.pause:
            self.server.stopping.wait(delivery.pause)
        if delivery.reply is None:
            self._reset()
            return False
        self._send(delivery, last=request.ends_connection)
        return not (request.ends_connection or delivery.close)

    def _read_request(self) -> Request | None:
        line = self._read_line()
        while line == "":  # an empty line before a request is to be ignored (RFC 9112, 2.2)
            line = self._read_line()
        if line is None:
            return None
        parts = line.split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            raise BadRequestError
        request = Request(parts[0], parts[1], tuple(self._read_headers()), version=parts[2])
        if request.header("transfer-encoding") is not None:
            raise BadRequestError
        length = request.header("content-length") or "0"
        if not (length.isascii() and length.isdigit()) or int(length) > MAX_BODY:
            raise BadRequestError
        return replace(request, body=self.rfile.read(int(length))) if length != "0" else request

    def _read_headers(self) -> Iterator[tuple[str, str]]:
        for _ in range(MAX_HEADERS):
            line = self._read_line()
            if not line:
                return
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise BadRequestError
            yield name, value.strip(" \t")
        raise BadRequestError

    def _read_line(self) -> str | None:
        raw = self.rfile.readline(MAX_LINE)
        if not raw:
            return None
        if not raw.endswith(b"\n"):
            raise BadRequestError
        return raw.rstrip(b"\r\n").decode("latin-1")

    def _send(self, delivery: Delivery, *, last: bool) -> None:
        reply = delivery.reply
        if reply is None:
            return
        head = _head(reply, last=last)
        if delivery.drip_headers is None and delivery.drip_body is None and len(reply.body) <= SEND_CHUNK:
            self.wfile.write(head + reply.body)
            return
        self._send_slowly(head, delivery.drip_headers)
        self._send_slowly(reply.body, delivery.drip_body)

    def _send_slowly(self, data: bytes, drip: Drip | None) -> None:
        size = drip.size if drip else SEND_CHUNK
        for start in range(0, len(data), size):
            if drip and self.server.stopping.wait(drip.seconds):
                return
            self.wfile.write(data[start : start + size])

    def _reset(self) -> None:
        """Close with RST instead of FIN: no lingering, pending data thrown away."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def _head(reply: Reply, *, last: bool) -> bytes:
    reason = responses.get(reply.status, "Unknown")
    lines = [f"HTTP/1.1 {reply.status} {reason}"]
    lines += [f"{name}: {value}" for name, value in reply.headers]
    if reply.status not in BODILESS:
        lines.append(f"Content-Length: {len(reply.body)}")
    if last:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
