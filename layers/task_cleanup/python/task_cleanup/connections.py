"""Connections whose replies must have a whole head, and which read the CA bundle once.

``http.client`` takes the end of the connection for the end of the headers. A ``204 No Content`` that broke off after
its first line would then look like a delete that the provider confirmed. Here it is a broken reply.

Parsing the CA bundle takes longer than the handshake, and urllib3 does it anew for every connection.
"""

import http.client
import io
import socket
import ssl
from functools import cache
from typing import Any

from certifi import where
from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import create_urllib3_context


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

    def build_connection_pool_key_attributes(
        self, request: PreparedRequest, verify: bool | str, cert: str | tuple[str, str] | None = None
    ) -> Any:  # noqa: ANN401 - two dictionaries of the library's own
        """All hosts share one TLS context, unless another CA bundle is asked for."""
        host, tls = super().build_connection_pool_key_attributes(request, verify, cert)
        if verify is True and host["scheme"] == "https":
            tls["ssl_context"] = _tls_context()
        return host, tls

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
