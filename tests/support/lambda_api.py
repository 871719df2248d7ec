"""AWS Lambda's Invoke over HTTP: the functions of a local cloud, by the ARNs of the stack's outputs."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote

from local.aws.cloud import LocalCloud

Invoke = Callable[[str, Any], Any]  # logical id and event


class DeniedError(Exception):
    """The caller may not invoke the function."""


class LambdaApi:
    """Answers ``invoke`` in a ``with`` block. ``instead``: answers by logical id, not the function's."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.instead: dict[str, Any] = {}
        self.asked: list[tuple[str, Any]] = []
        self._cloud = cloud
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_class(self._invoked))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _invoked(self, arn: str, event: Any) -> Any:
        name = arn.rpartition(f":{self._cloud.stack.name}-")[2]
        self.asked.append((name, event))
        if name not in self.instead:
            return self._cloud.function(name).invoke(event)
        if isinstance(self.instead[name], Exception):
            raise self.instead[name]
        return self.instead[name]


def _handler_class(invoked: Invoke) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                self._reply(200, invoked(unquote(self.path.split("/")[3]), json.loads(body)))
            except DeniedError:
                self._reply(403, {"message": "not authorized"}, **{"x-amzn-ErrorType": "AccessDeniedException"})
            except Exception as error:  # noqa: BLE001 - as Lambda answers for a function that fails
                told = {"errorType": type(error).__name__, "errorMessage": str(error)}
                self._reply(200, told, **{"X-Amz-Function-Error": "Unhandled"})

        def _reply(self, status: int, answer: Any, **headers: str) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
