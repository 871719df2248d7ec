"""Connections whose replies must have a whole head.

``http.client`` takes the end of the connection for the end of the headers. A ``204 No Content`` that broke off after
its first line would then look like a delete that the provider confirmed. Here it is a broken reply.
"""

import http.client
import io
import socket
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection


class _Lines(io.BufferedReader):
    """Remembers the last line that was read."""

    last = b""

    def readline(self, size: int | None = -1, /) -> bytes:
        self.last = super().readline(size)
        return self.last


class _WholeHeadResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed through
        super().__init__(sock, *args, **kwargs)
        self._lines = _Lines(self.fp.detach())
        self.fp = self._lines

    def begin(self) -> None:
        super().begin()
        if self._lines.last not in (b"\r\n", b"\n"):
            raise http.client.IncompleteRead(b"")


class _HTTPConnection(HTTPConnection):
    response_class = _WholeHeadResponse


class _HTTPSConnection(HTTPSConnection):
    response_class = _WholeHeadResponse


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


class WholeHeadAdapter(HTTPAdapter):
    """``requests``' adapter over such connections."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed through
        """Make the pools, with our connections in them."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
