"""The sweep in its world: four emulated services, and an AWS with a bucket that can fail, or cut a worker off.

A worker that dies is one whose calls to AWS stop: from one chosen call on, nothing of it is heard any more. Whatever
its handler still answers, nobody sees.
"""

import hashlib
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from botocore.config import Config
from jsonschema import Draft202012Validator, FormatChecker

from local.aws.lambdas import Context
from task_cleanup.sweep import gatherer
from task_cleanup.sweep import handler as sweep_handler
from tests.support.aws import AwsHandler, FakeAws, Trouble
from tests.support.functions import EVENTS, ROOT, request_schema
from tests.support.handler_world import NOW, HandlerWorld
from tests.support.identities import AWS_VARIABLES, PROJECT

Json = dict[str, Any]

BUCKET = "task-cleanup-test-reports"
LAMBDA_TIMEOUT = 900.0
LEASE_SECONDS = 1000.0  # later than any claim that a dead worker can have left
REQUESTED = "Task Cleanup Requested"
# One try, so that a worker that was cut off is done soon. A call can hold another worker's whole run.
QUICK = Config(connect_timeout=2, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 1})


# -- AWS ------------------------------------------------


@dataclass(frozen=True)
class S3Object:
    """What the bucket holds under a key."""

    body: bytes
    etag: str
    modified: datetime
    content_type: str


@dataclass(frozen=True)
class Answer:
    """An HTTP reply."""

    status: int
    body: bytes
    headers: Mapping[str, str]


@dataclass
class Failure:
    """How a call fails: below HTTP, or with a status and a code. ``times`` is how often; None: for ever."""

    how: Trouble | tuple[int, str]
    times: int | None = None


class SweepAws(FakeAws):
    """``FakeAws`` with a bucket. Calls have names: ``GET claim.json``, ``PutEvents Sweep Completed``.

    ``cut(n)`` cuts the line at the n-th call from now: before AWS hears of it, or after AWS did it and before the
    answer. ``restore`` mends it. ``failures`` maps names to what goes wrong. ``lost`` counts the calls of a name that
    are done, and whose answer never comes. ``untaken`` maps task ids to how often
    the bus refuses the request for that task. ``on_call`` is told each name before the call is done.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._server.RequestHandlerClass = _Handler
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self._forget()

    def _forget(self) -> None:
        self.objects: dict[str, S3Object] = {}
        self.history: list[tuple[str, bytes]] = []  # every version that was ever written
        self.failures: dict[str, Failure] = {}
        self.untaken: dict[str, int] = {}
        self.lost: dict[str, int] = {}
        self.names: list[str] = []
        self.on_call: Callable[[str], None] = lambda _: None
        self.restore()

    def reset(self) -> None:
        """Forget everything but the account itself."""
        super().reset()
        self._forget()

    def cut(self, number: int, *, after: bool) -> None:
        """Cut the line at this call, counted from now."""
        self.names.clear()
        self._cut_at, self._cut_after, self.is_cut = number, after, False

    def restore(self) -> None:
        """Another worker begins."""
        self._cut_at, self._cut_after, self.is_cut = 0, False, False

    def put_document(self, key: str, document: Json) -> None:
        """Put a JSON document into the bucket that no function has written: it is not in the history."""
        body = json.dumps(document).encode()
        self.objects[key] = S3Object(body, f'"{hashlib.md5(body).hexdigest()}"', self.now(), "application/json")

    def document(self, key: str) -> Json:
        """A JSON document in the bucket."""
        document: Json = json.loads(self.objects[key].body)
        return document

    # -- one call

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer | Trouble:
        """The answer to a call, or how it fails below HTTP."""
        name = self._name(method, path, headers, body)
        with self._lock:
            if self.is_cut:
                return Trouble.RESET
            self.names.append(name)
            last = len(self.names) == self._cut_at
            self.is_cut = last
            if last and not self._cut_after:
                return Trouble.RESET
        self.on_call(name)
        failure = self._failure(name)
        if failure is not None:
            return failure
        answer = self._s3(method, path, headers, body) if method != "POST" else self._json(headers, body)
        with self._lock:
            lost = self.lost.get(name, 0) > 0
            self.lost[name] = self.lost.get(name, 0) - 1
        return Trouble.RESET if last or lost else answer

    @staticmethod
    def _name(method: str, path: str, headers: Mapping[str, str], body: bytes) -> str:
        if method != "POST":
            return f"{method} {path.rpartition('/')[2]}"
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        if action != "PutEvents":
            return action
        return f"{action} {json.loads(body)['Entries'][0]['DetailType']}"

    def _failure(self, name: str) -> Answer | Trouble | None:
        with self._lock:
            failure = self.failures.get(name)
            if failure is None or failure.times == 0:
                return None
            if failure.times is not None:
                failure.times -= 1
        if isinstance(failure.how, Trouble):
            return failure.how
        status, code = failure.how
        return _xml_error(status, code) if name.startswith(("GET", "PUT")) else _json_reply(status, {"__type": code})

    def _json(self, headers: Mapping[str, str], body: bytes) -> Answer | Trouble:
        refused = self._refused_entries(headers, body)
        if refused:
            return self._partly(headers, body, refused)
        answer = self.respond(headers, body)
        return answer if isinstance(answer, Trouble) else _json_reply(*answer)

    def _refused_entries(self, headers: Mapping[str, str], body: bytes) -> set[int]:
        if not headers.get("x-amz-target", "").endswith("PutEvents"):
            return set()
        refused = set()
        with self._lock:
            for position, entry in enumerate(json.loads(body)["Entries"]):
                task_id = json.loads(entry["Detail"]).get("task_id")
                if self.untaken.get(task_id, 0) > 0:
                    self.untaken[task_id] -= 1
                    refused.add(position)
        return refused

    def _partly(self, headers: Mapping[str, str], body: bytes, refused: set[int]) -> Answer:
        """HTTP 200, and some of the entries are not taken."""
        answers = []
        for position, entry in enumerate(json.loads(body)["Entries"]):
            if position in refused:
                answers.append({"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"})
            else:
                with self._lock:
                    self.events.append(entry)
                answers.append({"EventId": str(uuid.uuid4())})
        return _json_reply(200, {"FailedEntryCount": len(refused), "Entries": answers})

    def _s3(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        scope = f"/{self.region}/s3/aws4_request"
        if scope not in headers.get("authorization", "") or "x-amz-security-token" not in headers:
            self.bad_signatures.append(f"{method} {path}")
            return _xml_error(403, "SignatureDoesNotMatch")
        _, bucket, key = path.split("/", 2)
        if bucket != BUCKET:
            return _xml_error(404, "NoSuchBucket")
        with self._lock:
            return self._put(key, headers, body) if method == "PUT" else self._get(key)

    def _get(self, key: str) -> Answer:
        stored = self.objects.get(key)
        if stored is None:
            return _xml_error(404, "NoSuchKey")
        modified = stored.modified.strftime("%a, %d %b %Y %H:%M:%S GMT")
        headers = {"ETag": stored.etag, "Last-Modified": modified, "Content-Type": stored.content_type}
        return Answer(200, stored.body, headers)

    def _put(self, key: str, headers: Mapping[str, str], body: bytes) -> Answer:
        assert "aws-chunked" not in headers.get("content-encoding", "")
        stored = self.objects.get(key)
        if headers.get("if-none-match") == "*" and stored is not None:
            return _xml_error(412, "PreconditionFailed")
        if "if-match" in headers:
            if stored is None:
                return _xml_error(404, "NoSuchKey")
            if headers["if-match"] != stored.etag:
                return _xml_error(412, "PreconditionFailed")
        etag = f'"{hashlib.md5(body).hexdigest()}{len(self.history)}"'
        self.objects[key] = S3Object(body, etag, self.now(), headers.get("content-type", ""))
        self.history.append((key, body))
        return Answer(200, b"", {"ETag": etag})


def _json_reply(status: int, body: Mapping[str, Any]) -> Answer:
    return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/x-amz-json-1.1"})


def _xml_error(status: int, code: str) -> Answer:
    text = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>no</Message></Error>'
    return Answer(status, text.encode(), {"Content-Type": "application/xml"})


class _Handler(AwsHandler):
    """The same failures below HTTP as ``FakeAws`` has, and two more methods."""

    def do_POST(self) -> None:  # noqa: N802
        account = self.server.account
        assert isinstance(account, SweepAws)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = account.handle(self.command, self.path, headers, body)
        if isinstance(answer, Trouble):
            self._fail(answer)
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_PUT = do_POST  # noqa: N815 - the base class finds them by these names

    def _fail(self, trouble: Trouble) -> None:
        self.close_connection = True
        if trouble is Trouble.SLOW:
            self.server.account.stopping.wait(4)
        elif trouble is Trouble.GARBAGE:
            self._send(200, b"<html>Please sign in to the network.</html>")


# -- the tasks ------------------------------------------------

OMS_TARGET = {"provider": "huawei", "service": "oms", "region": "cn-north-4"}
ES_INSTANCE = "es-cn-oew1oxiro000f0001"
ES_TARGET = {
    "provider": "alibaba",
    "service": "elasticsearch",
    "region": "cn-hangzhou",
    "instance_id": ES_INSTANCE,
}
DMS_INSTANCE = "b9f1c1de-5b1a-4f0c-9e0e-3d2f7f6f1a11"
HUAWEI_DMS_TARGET = {"provider": "huawei", "service": "dms", "region": "cn-north-4", "instance_id": DMS_INSTANCE}
OTC_DMS_TARGET = {"provider": "otc", "service": "dms", "region": "eu-de", "instance_id": DMS_INSTANCE}
TARGETS = {
    "huawei_oms": OMS_TARGET,
    "alibaba_elasticsearch": ES_TARGET,
    "huawei_dms": HUAWEI_DMS_TARGET,
    "otc_dms": OTC_DMS_TARGET,
}
OLD, YOUNG = timedelta(days=30), timedelta(days=6, hours=23)


def milliseconds(moment: datetime) -> int:
    """Unix milliseconds, as OMS writes times."""
    return int(moment.timestamp() * 1000)


def oms_task(number: int, status: int, age: timedelta | None, name: str = "tmp-copy") -> Json:
    """A seed: its total time is a minute, so that it ended this long ago."""
    start = 0 if age is None else milliseconds(NOW - age) - 60000
    return {
        "service": "huawei_oms",
        "project_id": PROJECT,
        "task_id": str(number),
        "status": status,
        "name": name,
        "start_time": start,
        "looks_left": 99,
    }


def dms_task(service: str, number: int, status: str, age: timedelta, name: str = "tmp-topic") -> Json:
    """A seed that was updated this long ago."""
    moment = (NOW - age).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "service": service,
        "project_id": PROJECT,
        "instance_id": DMS_INSTANCE,
        "task_id": f"{service[:1].encode().hex()}{number:030x}",
        "status": status,
        "name": name,
        "created_at": moment,
        "updated_at": moment,
    }


def data_task(number: int, status: str, age: timedelta, name: str = "tmp-index") -> Json:
    """A seed; Alibaba's times have no zone, and are taken for UTC's."""
    moment = (NOW - age).strftime("%Y-%m-%d %H:%M:%S")
    return {
        "service": "alibaba_elasticsearch",
        "instance_id": ES_INSTANCE,
        "task_id": f"et_cn_{number:017d}",
        "status": status,
        "create_time": moment,
        "source_index": name,
    }


# Every task with what POLICY makes of it, decided by hand.
SEEDS: tuple[tuple[Json, str], ...] = (
    (oms_task(1001, 5, OLD), "selected"),
    (oms_task(1002, 4, OLD, "PRO d"), "selected"),
    (oms_task(1003, 5, YOUNG), "too_young"),
    (oms_task(1004, 2, OLD), "not_deletable"),
    (oms_task(1005, 5, OLD, "orders-PROD-1"), "protected"),
    (oms_task(1006, 3, OLD), "other_status"),
    (oms_task(1007, 0, OLD), "not_deletable"),
    (oms_task(1008, 5, None), "age_unknown"),
    (oms_task(1009, 5, -OLD), "too_young"),
    (oms_task(1010, 5, OLD, "keep by id"), "protected"),
    (oms_task(1011, 5, OLD, "<script>alert(1)</script>"), "selected"),
    *((data_task(number, "SUCCESS", OLD), "selected") for number in range(1, 5)),
    (data_task(5, "SUCCESS", YOUNG), "too_young"),
    (data_task(6, "FAILED", OLD), "not_deletable"),
    (data_task(7, "SUCCESS", OLD, "eu-Prod"), "protected"),
    *((dms_task("huawei_dms", number, "SUCCESS", OLD), "selected") for number in range(1, 4)),
    (dms_task("huawei_dms", 4, "EXECUTING", OLD), "not_deletable"),
    (dms_task("huawei_dms", 5, "CANCELLED", YOUNG), "too_young"),
    *((dms_task("otc_dms", number, "FAILED", OLD), "selected") for number in range(1, 4)),
    (dms_task("otc_dms", 4, "CREATED", OLD), "not_deletable"),
    (dms_task("otc_dms", 5, "SUCCESS", OLD, "production-topic"), "protected"),
)
PLANNED = frozenset((seed["service"], seed["task_id"]) for seed, decision in SEEDS if decision == "selected")

POLICY: Json = {
    "name": "nightly",
    "mode": "apply",
    "targets": list(TARGETS.values()),
    "select": {"older_than": "P7D", "age_from": ["ended", "inferred", "created"], "running_since": "started"},
    "protect": {"task_ids": [1010], "names": ["*prod*"]},
    "limits": {"max_tasks": 13, "max_fraction": 0.6},
}


def policy(**changes: Any) -> Json:
    """POLICY with other members; None takes one away."""
    merged = {**json.loads(json.dumps(POLICY)), **changes}
    return {name: value for name, value in merged.items() if value is not None}


# -- events ------------------------------------------------


def sample(name: str) -> Json:
    """A fresh copy of ``events/sweep/<name>.json``."""
    event: Json = json.loads((EVENTS / "sweep" / f"{name}.json").read_text())
    return event


def message(request: object, **more: Any) -> Json:
    """An SQS batch of one: ``message_id``, ``receives``, ``attributes``."""
    event = sample("sqs")
    record = event["Records"][0]
    record["body"] = request if isinstance(request, str) else json.dumps(request)
    record["messageId"] = more.get("message_id", record["messageId"])
    record["attributes"]["ApproximateReceiveCount"] = str(more.get("receives", 1))
    record["messageAttributes"] = {
        name: {"stringValue": value, "dataType": "String"} for name, value in more.get("attributes", {}).items()
    }
    return event


def bridge_event(request: object, event_id: str = "6f1d2c1e-0b7a-4d0e-9a53-1c6f1f2e0041") -> Json:
    """An event of the bus."""
    return {**sample("eventbridge"), "id": event_id, "detail": request}


def queued(request: object, run_id: str = "6f1d2c1e-0b7a-4d0e-9a53-1c6f1f2e0041", **more: Any) -> Json:
    """An event of the bus as it comes from the queue. It tells when it was sent, which a plain body does not."""
    return message(bridge_event(request, run_id), **more)


def http_post(request: object, key: str | None = None, **members: Any) -> Json:
    """``POST /sweeps``."""
    event = sample("http")
    event["body"] = request if isinstance(request, str) else json.dumps(request)
    event["headers"] = {} if key is None else {"Idempotency-Key": key}
    return {**event, **members}


def http_get(run_id: object, **members: Any) -> Json:
    """``GET /sweeps/{run_id}``."""
    return {**sample("http_get"), "pathParameters": {"run_id": run_id}, **members}


# -- the function ------------------------------------------------


@cache
def _validator(part: str) -> Draft202012Validator:
    path = ROOT / "layers" / "task_cleanup" / "python" / "task_cleanup" / "sweep" / "summary.schema.json"
    schema = json.loads(path.read_text())
    chosen = {"$ref": f"#/$defs/{part}", "$defs": schema["$defs"]} if part else schema
    Draft202012Validator.check_schema(chosen)
    return Draft202012Validator(chosen, format_checker=FormatChecker())


_CHECKED: set[str] = set()


def _check(value: Json, part: str) -> None:
    """Against ``summary.schema.json``, or one of its definitions."""
    assert [f"{error.json_path}: {error.message}" for error in _validator(part).iter_errors(value)] == []


def check_shape(document: Json) -> None:
    """A summary or report is what its schema says, and its numbers add up."""
    targets = [{**target, "tasks": []} if "tasks" in target else target for target in document["targets"]]
    _check({**document, "targets": targets}, "")
    for task in (task for target in document["targets"] for task in target.get("tasks", ())):
        form = json.dumps({**task, "age_seconds": task["age_seconds"] is None})
        if form not in _CHECKED:  # the same few tasks in hundreds of reports
            _check(task, "task")
            _CHECKED.add(form)
    for part in (document["totals"] or {}, *(target["counts"] for target in document["targets"])):
        rest = {name: count for name, count in part.items() if name not in {"found", "gone", "requested", "failed"}}
        assert sum(rest.values()) == part.get("found", 0)
        assert part.get("requested", 0) + part.get("failed", 0) <= part.get("selected", 0)
    for name, total in (document["totals"] or {}).items():
        told = sum(target["counts"][name] for target in document["targets"])
        assert total == told or document["policy"] is None  # too large for an event: told in brief
    if document.get("outcome") == "reported":
        assert document["totals"]["requested"] == 0


@dataclass(frozen=True)
class Worker:
    """One execution environment of the sweep."""

    handler: Callable[[Any, Any], Any]

    def __call__(self, event: object, timeout: float = LAMBDA_TIMEOUT, request_id: str | None = None) -> Any:
        """Invoke it; exceptions come through."""
        return self.handler(event, Context(request_id or str(uuid.uuid4()), time.monotonic() + timeout))


class SweepWorld(HandlerWorld):
    """Everything around the sweep."""

    aws: SweepAws

    def __post_init__(self) -> None:
        super().__post_init__()
        self.aws.now = self.system.now
        self.monkeypatch.setattr(sweep_handler, "_AWS_CONFIG", QUICK)

    def variables(self) -> dict[str, str]:
        """The sweep's environment variables, as the template sets them."""
        return {**super().variables(), "REPORT_BUCKET": BUCKET, "MAX_RECEIVES": "3"}

    def worker(self, **variables: str) -> Worker:
        """A cold start."""
        for name, value in {**self.variables(), **variables}.items():
            self.monkeypatch.setenv(name, value)
        return Worker(sweep_handler.make_sweep_handler(request_schema("sweep"), self.system))

    def gatherer(self, **variables: str) -> Worker:
        """A cold start of the function that gathers results."""
        for name, value in {**self.variables(), **variables}.items():
            self.monkeypatch.setenv(name, value)
        self.monkeypatch.setattr(gatherer, "_AWS_CONFIG", QUICK)
        return Worker(gatherer.make_results_handler(self.system))

    def seed(self) -> None:
        """All tasks of SEEDS."""
        for record, _ in SEEDS:
            self.cloud.seed(dict(record))

    # -- what happened

    def requests(self) -> list[Json]:
        """The requests for deletes that are on the bus, in order."""
        return self._details(REQUESTED)

    def requested(self) -> list[tuple[str, str]]:
        """Service and task id of each."""
        return [("_".join(request["operation"].split(".")[:2]), request["task_id"]) for request in self.requests()]

    def summaries(self) -> list[tuple[str, Json]]:
        """Detail type and detail of every published end of a sweep; each is what its schema says."""
        ends = []
        for event in self.aws.events:
            if event["DetailType"] in {"Sweep Completed", "Sweep Refused", "Sweep Failed"}:
                detail = json.loads(event["Detail"])
                check_shape(detail)
                ends.append((event["DetailType"], detail))
        return ends

    def _details(self, detail_type: str) -> list[Json]:
        return [json.loads(event["Detail"]) for event in self.aws.events if event["DetailType"] == detail_type]

    def written(self, name: str) -> Iterator[Json]:
        """Every version of every document with this last part of its key."""
        return (json.loads(body) for key, body in self.aws.history if key.endswith(f"/{name}"))

    def check_documents(self) -> None:
        """Every summary and report that was ever written is what the schema says; no page has a live script."""
        for name in ("summary.json", "report.json"):
            for document in self.written(name):
                check_shape(document)
        for key, body in self.aws.history:
            if key.endswith("index.html"):
                assert b"<script>alert" not in body

    def sweep_logs(self) -> list[Json]:
        """The log lines that tell how a run ended."""
        return [line["sweep"] for line in self.log_lines() if "sweep" in line]

    def sweep_metrics(self) -> list[Json]:
        """The lines of metrics."""
        return [line for line in self.metric_lines() if line.get("operation") == "sweep"]


def new_sweep_aws() -> SweepAws:
    """An AWS account that knows the function's role."""
    return SweepAws(
        AWS_VARIABLES["AWS_ACCESS_KEY_ID"],
        AWS_VARIABLES["AWS_SECRET_ACCESS_KEY"],
        AWS_VARIABLES["AWS_SESSION_TOKEN"],
        AWS_VARIABLES["AWS_REGION"],
    )
