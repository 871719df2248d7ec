"""A tiny HTTP server on loopback that misbehaves as it is told: one step of its script for each request."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Arrived:
    """One request as it came over the wire."""

    method: str
    target: str
    headers: dict[str, str]  # lower-case names
    connection: int


# A step answers one request on its connection; True keeps the connection open.
Step = Callable[[socket.socket, threading.Event], bool]


def reply(status: int = 200, body: bytes = b"", *, close: bool = False, **headers: str) -> Step:
    """A whole reply."""

    def step(connection: socket.socket, _stop: threading.Event) -> bool:
        fields = {"Content-Length": str(len(body)), **{name.replace("_", "-"): v for name, v in headers.items()}}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        connection.sendall(f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body)
        return not close

    return step


def raw(content: bytes) -> Step:
    """These bytes, then the end of the connection."""

    def step(connection: socket.socket, _stop: threading.Event) -> bool:
        connection.sendall(content)
        return False

    return step


def drip(content: bytes, interval: float = 0.02) -> Step:
    """One byte at a time, for ever."""

    def step(connection: socket.socket, stop: threading.Event) -> bool:
        position = 0
        while not stop.is_set():
            connection.sendall(content[position : position + 1] if position < len(content) else b"a")
            position += 1
            time.sleep(interval)
        return False

    return step


def flood(head: bytes) -> Step:
    """A reply that never ends, as fast as it goes."""

    def step(connection: socket.socket, stop: threading.Event) -> bool:
        connection.sendall(head)
        while not stop.is_set():
            connection.sendall(b"x" * 65536)
        return False

    return step


def silence(_connection: socket.socket, stop: threading.Event) -> bool:
    """No answer at all."""
    stop.wait(30)
    return False


def reset(connection: socket.socket, _stop: threading.Event) -> bool:
    """RST instead of a reply."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


class ScriptedServer:
    """Serves the steps in order, the last one for ever."""

    def __init__(self, *steps: Step) -> None:
        self._steps = list(steps)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.arrived: list[Arrived] = []

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        with contextlib.suppress(OSError):
            socket.create_connection(self._listener.getsockname()).close()  # wakes `_accept`
        for connection in self._connections:
            with contextlib.suppress(OSError):  # it is closed already
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            self._connections.append(connection)
            number = len(self._connections)
            self._start(lambda connection=connection, number=number: self._serve(connection, number))  # type: ignore[misc]

    def _serve(self, connection: socket.socket, number: int) -> None:
        connection.settimeout(0.05)
        try:
            with connection:
                while (head := self._read_head(connection)) is not None:
                    connection.settimeout(5)
                    if not self._answer(connection, head, number):
                        return
                    connection.settimeout(0.05)
        except OSError:
            return

    def _read_head(self, connection: socket.socket) -> str | None:
        """Requests here have no body."""
        data = b""
        while b"\r\n\r\n" not in data:
            if self._stop.is_set():
                return None
            try:
                chunk = connection.recv(65536)
            except TimeoutError:
                continue
            if not chunk:
                return None
            data += chunk
        return data.decode("latin-1")

    def _answer(self, connection: socket.socket, head: str, number: int) -> bool:
        line, *lines = head.split("\r\n")
        method, target, _ = line.split(" ")
        fields = {name.lower(): value.strip() for name, _, value in (entry.partition(":") for entry in lines) if name}
        with self._lock:
            self.arrived.append(Arrived(method, target, fields, number))
            step = self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]
        return step(connection, self._stop)
