"""A provider that quotes back what it was sent, in every place where a reply has text."""

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

Headers = Mapping[str, str]
Quote = Callable[[Headers], str]
BODY = "(body)"  # the name under which a quote finds the request's body among the headers


class EchoProvider:
    """Answers every request with ``status`` and an error of every provider's shape, its texts made by ``quote``."""

    def __init__(self, quote: Quote, status: int, code: str | None = None) -> None:
        self.requests: list[dict[str, str]] = []
        received = self.requests

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                received.append(headers)
                body = self.rfile.read(int(headers.get("content-length", 0)))
                text = quote({**headers, BODY: body.decode()})
                names = ("Message", "error_msg", "error_detail", "RequestId", "request_id")
                content = dict.fromkeys(names, text) | dict.fromkeys(("Code", "error_code"), code or text)
                reply = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(reply)))
                self.send_header("X-Request-Id", text.replace("\n", " ").replace("\r", " "))
                self.end_headers()
                self.wfile.write(reply)

            do_GET = do_POST = do_DELETE = do_PUT = _answer  # noqa: N815 - names of the library

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
