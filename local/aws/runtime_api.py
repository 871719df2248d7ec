"""Runs a function as Lambda does: a process under awslambdaric, which gets events from a Runtime API on loopback.

Sources: Lambda developer guide, "Using the Lambda runtime API for custom runtimes" (version 2018-06-01: paths,
headers, status codes), "Understanding the Lambda execution environment lifecycle" (init, invoke, freeze, time-out),
"Defined runtime environment variables". Not imitated: extensions, SnapStart, response streaming, payload limits, and
the second init that Lambda makes within an invocation after a failed one.
"""

import contextlib
import json
import os
import queue
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from local.aws.artifact import RUNTIME_CLIENT, Package
from local.aws.stack import REGION
from local.loopback import Unpolled

VERSION = "2018-06-01"
ACCOUNT = "123456789012"
INIT_TIMEOUT = 60.0  # seconds; Lambda allows 10, but its machine does nothing else
SETTLE_TIMEOUT = 10.0  # seconds from an answer until the runtime asks for the next event


# -- how an invocation ends ------------------------------------------------


class ErrorKind(StrEnum):
    """Why an invocation has no answer: what the process did."""

    HANDLER = "handler"
    """The handler raised; the environment lives on."""
    INIT = "init"
    """The environment never asked for an event."""
    TIMEOUT = "timeout"
    """No answer in time; killed."""
    EXIT = "exit"
    """The process ended by itself during the invocation."""


@dataclass(frozen=True)
class FunctionError:
    """A failed invocation. ``report`` is the error object that a caller of Lambda gets."""

    kind: ErrorKind
    report: Mapping[str, Any]

    @property
    def type(self) -> str:
        """Lambda's ``errorType``: an exception's name, or one of Lambda's own."""
        return str(self.report.get("errorType", ""))

    @property
    def message(self) -> str:
        """Lambda's ``errorMessage``."""
        return str(self.report.get("errorMessage", ""))


@dataclass(frozen=True)
class Reply:
    """An answered invocation: ``payload`` (decoded JSON) or ``error``; ``duration`` in seconds, without init.

    ``environment`` counts the function's execution environments from 1.
    """

    request_id: str
    payload: Any
    error: FunctionError | None
    duration: float
    environment: int


# -- the API ------------------------------------------------


@dataclass(frozen=True)
class _Invocation:
    request_id: str
    body: bytes
    deadline_ms: int  # Unix time


@dataclass(frozen=True)
class _Polled:
    """The runtime waits for an event."""


@dataclass(frozen=True)
class _Answered:
    body: bytes


@dataclass(frozen=True)
class _Failed:
    kind: ErrorKind
    body: bytes


@dataclass(frozen=True)
class _Exited:
    status: int
    killed: bool  # by a signal, whose number ``status`` is then


_Report = _Polled | _Answered | _Failed | _Exited


class RuntimeApi:
    """The Runtime API of one environment. Each call of the runtime is put into ``reports``, in order."""

    def __init__(self, function_arn: str) -> None:
        """Listen on a free port of 127.0.0.1."""
        self.reports: queue.SimpleQueue[_Report] = queue.SimpleQueue()
        self.function_arn = function_arn
        self._changed = threading.Condition()
        self._waiting: _Invocation | None = None  # not handed over yet
        self._current: str | None = None  # handed over, not answered yet
        self._closed = False
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, name="runtime-api")
        self._thread.start()

    @property
    def address(self) -> str:
        """The value of ``AWS_LAMBDA_RUNTIME_API``."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def submit(self, invocation: _Invocation) -> None:
        """Give an event to the runtime, which waits for one."""
        with self._changed:
            self._waiting = invocation
            self._changed.notify_all()

    def next(self) -> _Invocation | None:
        """Wait for an event; None once the server is closed."""
        self.reports.put(_Polled())
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting is not None)
            invocation, self._waiting = self._waiting, None
            self._current = invocation.request_id if invocation else None
            return invocation

    def finish(self, request_id: str, report: _Report) -> bool:
        """Take the answer to the current invocation; False if its id is another one's."""
        with self._changed:
            if self._current is None or self._current != request_id:
                return False
            self._current = None
        self.reports.put(report)
        return True

    def close(self) -> None:
        """Stop, and wait for all threads. End the runtime's process first: its connections keep threads alive."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(Unpolled, ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self, api: RuntimeApi) -> None:
        self.api = api
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: a runtime that is killed breaks its connections."""


class _Handler(BaseHTTPRequestHandler):
    """The four calls. Connections are kept alive, as the runtime client expects."""

    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    _CALL = re.compile(rf"/{VERSION}/runtime/(?:invocation/(?P<id>[^/]+)/(?P<verb>response|error)|init/error)")

    def do_GET(self) -> None:
        if self.path != f"/{VERSION}/runtime/invocation/next":
            self._send(404, _error_body("NotFound", self.path))
            return
        invocation = self.server.api.next()
        if invocation is None:
            self.close_connection = True
            return
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": self.server.api.function_arn,
            "Lambda-Runtime-Trace-Id": _trace_id(),
        }
        self._send(200, invocation.body, headers)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        call = self._CALL.fullmatch(self.path)
        if call is None:
            self._send(404, _error_body("NotFound", self.path))
        elif call["id"] is None:
            self.server.api.reports.put(_Failed(ErrorKind.INIT, body))
            self._accepted()
        else:
            report = _Answered(body) if call["verb"] == "response" else _Failed(ErrorKind.HANDLER, body)
            if self.server.api.finish(call["id"], report):
                self._accepted()
            else:
                self._send(400, _error_body("InvalidRequestID", "no such invocation is under way"))

    def _accepted(self) -> None:
        self._send(202, b'{"status":"OK"}')

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: the functions log."""


def _error_body(error_type: str, message: str) -> bytes:
    return json.dumps({"errorType": error_type, "errorMessage": message}).encode()


def _trace_id() -> str:
    """An X-Ray tracing header, not sampled (X-Ray developer guide, "Tracing header")."""
    return f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)};Parent={secrets.token_hex(8)};Sampled=0"


# -- execution environments ------------------------------------------------


class _Environment:
    """One process under awslambdaric, frozen while it has nothing to do."""

    def __init__(self, package: Package, runtime: Path, variables: Mapping[str, str], log: Path) -> None:
        self._api = RuntimeApi(f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{package.name}")
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                # -S and -s: neither this environment's site-packages nor the user's.
                [sys.executable, "-S", "-s", "-m", RUNTIME_CLIENT, package.handler],
                cwd=package.task_root,
                env=_variables(package, runtime, variables) | {"AWS_LAMBDA_RUNTIME_API": self._api.address},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A group of its own, in our session: it is killed as a whole, and if we are killed while it is
                # frozen, the system wakes it up and ends it (setpgid(2): orphaned process groups).
                process_group=0,
            )
        self._watcher = threading.Thread(target=self._watch, name="runtime-watch")
        self._watcher.start()
        self.alive = True

    @property
    def pid(self) -> int:
        return self._process.pid

    def initialize(self, timeout: float) -> FunctionError | None:
        """Wait until the runtime asks for its first event; else say why it does not, and end."""
        report = self._wait(timeout)
        if isinstance(report, _Polled):
            self._signal(signal.SIGSTOP)
            return None
        self.close()
        if isinstance(report, _Failed):
            return FunctionError(ErrorKind.INIT, _decoded(report.body))
        if isinstance(report, _Exited):
            return _lambda_error(ErrorKind.INIT, "Runtime.ExitError", _exit_text(report))
        return _lambda_error(ErrorKind.INIT, "Sandbox.Timedout", f"Init timed out after {timeout:.2f} seconds")

    def run(self, request_id: str, body: bytes, timeout: float) -> tuple[Any, FunctionError | None]:
        """The answer to one event: payload or error. The environment may be dead afterwards."""
        self._signal(signal.SIGCONT)
        self._api.submit(_Invocation(request_id, body, int((time.time() + timeout) * 1000)))
        report = self._wait(timeout)
        if isinstance(report, _Answered | _Failed):
            self._settle()
            if isinstance(report, _Answered):
                return json.loads(report.body), None
            return None, FunctionError(ErrorKind.HANDLER, _decoded(report.body))
        self.close()
        prefix = f"RequestId: {request_id} Error: "
        if isinstance(report, _Exited):
            return None, _lambda_error(ErrorKind.EXIT, "Runtime.ExitError", prefix + _exit_text(report))
        text = f"{prefix}Task timed out after {timeout:.2f} seconds"
        return None, _lambda_error(ErrorKind.TIMEOUT, "Sandbox.Timedout", text)

    def close(self) -> None:
        """Kill it and everything that it started; a second call does nothing."""
        if not self.alive:
            return
        self.alive = False
        self._signal(signal.SIGKILL)
        self._watcher.join()
        self._process.wait()
        self._api.close()

    def _settle(self) -> None:
        """Freeze the process once it asks for the next event; if it does not in time, it is not used again."""
        if isinstance(self._wait(SETTLE_TIMEOUT), _Polled):
            self._signal(signal.SIGSTOP)
        else:
            self.close()

    def _wait(self, timeout: float) -> _Report | None:
        with contextlib.suppress(queue.Empty):
            return self._api.reports.get(timeout=timeout)
        return None

    def _watch(self) -> None:
        """Report the end of the process, but leave it to ``close`` to collect it: until then its id stays taken."""
        ended = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        if ended is not None:
            self._api.reports.put(_Exited(ended.si_status, ended.si_code != os.CLD_EXITED))

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def _variables(package: Package, runtime: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """The function's own variables and those that Lambda defines; of this process's environment, none."""
    # A layer that comes later is laid over those before it, so it wins.
    layers = [str(layer / "python") for layer in reversed(package.layers)]
    return {
        **variables,
        "_HANDLER": package.handler,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{package.runtime}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(package.memory_size),
        "AWS_LAMBDA_FUNCTION_NAME": package.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_FORMAT": package.log_format,
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{package.name}",
        "AWS_LAMBDA_LOG_LEVEL": package.log_level,
        "AWS_LAMBDA_LOG_STREAM_NAME": "local",
        "LAMBDA_RUNTIME_DIR": str(runtime),
        "LAMBDA_TASK_ROOT": str(package.task_root),
        "LANG": "en_US.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": os.pathsep.join([*layers, str(runtime)]),
        "TZ": ":UTC",
    }


def _decoded(body: bytes) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(body)
    return report


def _lambda_error(kind: ErrorKind, error_type: str, message: str) -> FunctionError:
    return FunctionError(kind, {"errorType": error_type, "errorMessage": message})


def _exit_text(report: _Exited) -> str:
    if report.killed:
        return f"Runtime exited with error: signal: {signal.Signals(report.status).name}"
    if report.status:
        return f"Runtime exited with error: exit status {report.status}"
    return "Runtime exited without providing a reason"


class LambdaFunction:
    """A deployed function. Use it in a ``with`` block: processes, servers and files are gone after it.

    The first ``invoke`` starts an execution environment, which then serves one event after the other; one that died
    (time-out, exit, failed init) is replaced at the next ``invoke``. Callers of several threads wait for each other.
    """

    def __init__(
        self,
        package: Package,
        runtime: Path,
        variables: Mapping[str, str],
        *,
        init_timeout: float = INIT_TIMEOUT,
    ) -> None:
        """Take what is to run, the folder of ``copy_runtime_client``, and the function's environment variables."""
        self.package = package
        self._runtime = runtime
        self._init_timeout = init_timeout
        self._lock = threading.Lock()
        self._environment: _Environment | None = None
        self._environments = 0
        self._scratch = tempfile.TemporaryDirectory(prefix="lambda-")
        self._log = Path(self._scratch.name) / "log"
        # Code and layers are read-only in Lambda: what was not compiled when it was built is compiled at every start.
        self._variables = {**variables, "PYTHONDONTWRITEBYTECODE": "1"}

    def __enter__(self) -> Self:
        """Return the function; its first process is started by ``invoke``."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process, its server, and remove its files."""
        with self._lock:
            if self._environment is not None:
                self._environment.close()
            self._scratch.cleanup()

    @property
    def log(self) -> str:
        """All that the function's processes wrote so far, standard output and standard error."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def pid(self) -> int | None:
        """The process of the environment that serves now, if there is one."""
        environment = self._environment
        return environment.pid if environment is not None and environment.alive else None

    def invoke(self, event: object, timeout: float | None = None) -> Reply:
        """Invoke with any JSON value; ``timeout`` in seconds, by default the function's own."""
        limit = self.package.timeout if timeout is None else timeout
        request_id = str(uuid.uuid4())
        with self._lock:
            environment, error = self._initialized()
            if error is not None:
                return Reply(request_id, None, error, 0.0, self._environments)
            began = time.monotonic()
            payload, error = environment.run(request_id, json.dumps(event).encode(), limit)
            return Reply(request_id, payload, error, time.monotonic() - began, self._environments)

    def _initialized(self) -> tuple[_Environment, FunctionError | None]:
        if self._environment is not None and self._environment.alive:
            return self._environment, None
        environment = _Environment(self.package, self._runtime, self._variables, self._log)
        self._environment, self._environments = environment, self._environments + 1
        return environment, environment.initialize(self._init_timeout)
