"""The faults of a run: at the providers, and in the functions' calls to bus, queues and secrets."""

import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from moto.server import create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from bench.torture.messages import OPERATIONS
from local.emulators import Emulators

# -- the providers: together about a third of the calls ------------------------------------------------

_INTERNAL_ERRORS: tuple[Mapping[str, Any], ...] = (  # each provider's own code for an internal error
    {"service": "alibaba_elasticsearch", "status": 500, "code": "InternalError"},
    {"service": "huawei_oms", "status": 400, "code": "OMS.1001"},
    {"service": "otc_dms", "status": 500, "code": "DMS.00500000"},
)
PROVIDER_FAULTS: tuple[Mapping[str, Any], ...] = (
    {"kind": "throttle", "probability": 0.04, "retry_after": 0.1, "dialect": "service"},
    {"kind": "throttle", "probability": 0.02, "retry_after": 0.1, "dialect": "gateway"},
    {"kind": "reset_before", "probability": 0.05},
    {"kind": "reset_after", "probability": 0.06},
    {"kind": "http_error", "probability": 0.03, "status": 502},
    {"kind": "http_error", "probability": 0.02, "status": 503, "made": True},
    {"kind": "garbage", "probability": 0.03, "variant": "html"},
    {"kind": "garbage", "probability": 0.02, "variant": "html", "made": True},
    {"kind": "garbage", "probability": 0.02, "variant": "truncated", "made": True},
    {"kind": "garbage", "probability": 0.005, "variant": "huge", "size": 1200000, "made": True},
    {"kind": "error", "probability": 0.01, "status": 400, "code": "NobodyKnowsThisCode"},
    {"kind": "error", "probability": 0.01, "status": 500, "code": "NobodyKnowsThisCode", "made": True},
    *({"kind": "error", "probability": 0.05, **error} for error in _INTERNAL_ERRORS),
    *({"kind": "error", "probability": 0.03, "made": True, **error} for error in _INTERNAL_ERRORS),
    {"kind": "close_after_reply", "probability": 0.05},  # the next call finds its connection closed
)
_SHOWS, _LISTS = ("ShowTask", "ShowBackgroundTask"), ("ListDataTasks",)
LOOK_FAULTS: tuple[tuple[tuple[str, ...], Mapping[str, Any]], ...] = (  # beside those, of the looks at a task
    (_SHOWS + _LISTS, {"kind": "hide", "probability": 0.06}),  # a lie: no such task, or an empty list
    (_SHOWS, {"kind": "other_record", "probability": 0.06}),
    (_SHOWS + _LISTS, {"kind": "http_error", "probability": 0.04, "status": 504}),
    (_SHOWS + _LISTS, {"kind": "garbage", "probability": 0.04, "variant": "truncated"}),
    (_SHOWS + _LISTS, {"kind": "latency", "probability": 0.05, "ms": 600}),
    (_SHOWS + _LISTS, {"kind": "latency", "probability": 0.005, "ms": 11_000}),  # over the read time-out
)
DELETED_SEEN = 1.5  # seconds for which a deleted task is still listed and shown


def switches(seed: int) -> Mapping[str, Any]:
    """What no page tells of the providers, one way or another for each run."""
    dice = random.Random(seed)
    return {
        "deleted_seen_s": DELETED_SEEN,
        # Not "empty": a wrapper without a task is no answer, and the rules take every look with status 200 for one.
        "dms_show_unknown": dice.choice(("DMS.00400070", "404", "deleted_record")),
        "dms_delete_unknown": dice.choice(("DMS.00400070", "404")),
        "dms_updated_at_moves": dice.choice((True, False)),
        "alibaba_delete_unknown": dice.choice(("result_false", "error")),
        "alibaba_delete_running": dice.choice(("allow", "refuse")),
        "oms_delete_unknown": dice.choice(("OMS.1009", "404", "OMS.0054")),
    }


AWAY = tuple(  # sent share of the messages; the service that is away; how it fails
    (0.2 * number, service, "unavailable" if number % 2 else "reset")
    for number, service in enumerate(dict.fromkeys(operation.service for operation in OPERATIONS), 1)
)


def spoil(emulators: Emulators) -> None:
    """Set the providers' faults in the emulators."""
    for operations, fault in LOOK_FAULTS:
        for operation in operations:
            emulators.faults.add(**{**fault, "operation": operation})
    for fault in PROVIDER_FAULTS:
        emulators.faults.add(**fault)


# -- AWS ------------------------------------------------


@dataclass(frozen=True)
class Refusals:
    """How often an AWS call fails: before it is done, after it, or (PutEvents) by a 200 with failed entries."""

    before: float = 0.0
    after: float = 0.0
    failed_entry: float = 0.0


AWS_FAULTS: Mapping[str, Refusals] = {  # by X-Amz-Target; the functions repeat a 500 twice before they give up
    "AWSEvents.PutEvents": Refusals(before=0.08, after=0.08, failed_entry=0.02),
    "AmazonSQS.SendMessage": Refusals(before=0.1, after=0.1),
    "secretsmanager.GetSecretValue": Refusals(before=0.2),
}

_MOTO = {"AmazonSQS": "sqs", "AWSEvents": "events", "secretsmanager": "secretsmanager"}  # by X-Amz-Target
Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Wsgi = Callable[[Environ, StartResponse], Iterable[bytes]]


class Proxies:
    """Two proxies in front of local AWS: a plain one for pollers and senders, an unreliable one for the functions.

    Both pass on one call at a time: moto's queues are not safe with threads (a delete during a send loses the sent
    message), and a message that moto loses must not look like one that the functions lost.
    """

    def __init__(self, seed: int) -> None:
        # One backend per service: moto takes a fifth of its time to find out which service a request is for.
        self._moto: dict[str, Wsgi] = {target: create_backend_app(service) for target, service in _MOTO.items()}
        self._one_at_a_time = threading.Lock()
        self._dice = random.Random(seed)
        self._closing = ExitStack()
        self.faults: Mapping[str, Refusals] = AWS_FAULTS
        self.refused: Counter[str] = Counter()

    def __enter__(self) -> Self:
        """Start both proxies."""
        self.plain_url = self._open(self._forward)
        self.unreliable_url = self._open(self._forward_perhaps)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop both proxies."""
        self._closing.close()

    def _open(self, application: Wsgi) -> str:
        server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_Quiet)
        server.daemon_threads = True  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, name="proxy", daemon=True).start()
        self._closing.callback(server.server_close)
        self._closing.callback(server.shutdown)
        return f"http://127.0.0.1:{server.server_port}"

    def _forward(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        moto = self._moto[environ["HTTP_X_AMZ_TARGET"].partition(".")[0]]
        with self._one_at_a_time:
            return list(moto(environ, start_response))

    def _forward_perhaps(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        action = environ.get("HTTP_X_AMZ_TARGET", "")
        refusals = self.faults.get(action, Refusals())
        throw = self._dice.random()
        if throw < refusals.before:
            self.refused[f"{action}, not done"] += 1
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            return _answer(start_response, "500 Internal Server Error", {"__type": "InternalFailure"})
        if throw < refusals.before + refusals.failed_entry:
            self.refused[f"{action}, failed entry"] += 1
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            entries = [{"ErrorCode": "InternalFailure", "ErrorMessage": "A failure that was asked for."}]
            return _answer(start_response, "200 OK", {"FailedEntryCount": 1, "Entries": entries})
        if throw < refusals.before + refusals.failed_entry + refusals.after:
            self.refused[f"{action}, done all the same"] += 1
            self._forward(environ, lambda *_: None)
            return _answer(start_response, "500 Internal Server Error", {"__type": "InternalFailure"})
        return self._forward(environ, start_response)


def _answer(start_response: StartResponse, status: str, content: Mapping[str, Any]) -> Iterable[bytes]:
    body = json.dumps(content).encode()
    start_response(status, [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(body)))])
    return [body]


class _Quiet(WSGIRequestHandler):
    """A request handler that logs nothing."""

    def log(self, *_: object) -> None:
        """Log nothing."""
