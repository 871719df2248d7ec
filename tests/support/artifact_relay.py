"""A TCP relay on loopback: counts the connections that a client makes, and keeps what it sent."""

import contextlib
import socket
import threading
from typing import Self
from urllib.parse import urlsplit

CHUNK = 65536


class Relay:
    """Stands in front of one server. Bytes pass unchanged, and so does the end of a connection."""

    def __init__(self, target: str) -> None:
        """``target`` is the base URL of a server on loopback."""
        parts = urlsplit(target)
        self._target = (parts.hostname or "", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._received = bytearray()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        """Accept connections in the background."""
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        """End all connections, and wait for the threads."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        for connection in self._sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()
        for connection in self._sockets:
            connection.close()

    @property
    def connections(self) -> int:
        """How many connections were made so far."""
        with self._lock:
            return len(self._sockets) // 2

    def count(self, text: bytes) -> int:
        """How often the client sent this text."""
        with self._lock:
            return self._received.count(text)

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, name="relay")  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # what a listener that is shut down raises
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
                with self._lock:
                    self._sockets += [near, far]
                self._start(self._forward, near, far, True)
                self._start(self._forward, far, near, False)

    def _forward(self, source: socket.socket, sink: socket.socket, keep: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                if keep:
                    with self._lock:
                        self._received += data
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
