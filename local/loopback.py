"""A server that waits for connections without polling, for `http.server` and `socketserver`.

Theirs wakes up every half second, or as often as it is told, to see whether it is to stop. Of the emulators, the
stand-ins and the functions' runtimes there are dozens at a time: all of them together took a tenth of a core.
"""

import socket
import socketserver
import threading
from typing import Any


class Unpolled(socketserver.TCPServer):
    """Comes before the class that it changes: ``class Server(Unpolled, ThreadingHTTPServer)``."""

    def __init__(self, *arguments: Any, **more: Any) -> None:  # noqa: ANN401 - those of the class that it changes
        self._ending, self._ended = threading.Event(), threading.Event()
        super().__init__(*arguments, **more)

    def serve_forever(self, _poll_interval: float = 0) -> None:
        """Take connections until `shutdown`."""
        while not self._ending.is_set():
            self.handle_request()
        self._ended.set()

    def shutdown(self) -> None:
        """Wake the server by a connection that ends at once, and wait until it takes no more of them."""
        self._ending.set()
        socket.create_connection(self.socket.getsockname(), timeout=5).close()
        self._ended.wait()
