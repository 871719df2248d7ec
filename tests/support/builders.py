"""What the tests are made of: the operations as the functions define them, a fake clock, a fake secret store, and
an HTTP adapter that answers from a script instead of a socket."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from unittest.mock import patch

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPResponse
from urllib3.exceptions import ConnectTimeoutError, ReadTimeoutError

from task_cleanup.aws import Aws, AwsError
from task_cleanup.calls import Dependencies
from task_cleanup.credentials import CredentialStore
from task_cleanup.errors import Category
from task_cleanup.operation import Operation, run
from task_cleanup.results import Result
from task_cleanup.system import Deadline, System
from task_cleanup.transport import Transport
from task_cleanup.triggers import Received, Trigger
from tests.support.functions import function_folders, load_operation, representative_folders, sample_event
from tests.support.identities import AWS_VARIABLES, PROJECT

NOW = datetime(2026, 11, 21, 8, 30, 0, tzinfo=UTC)
SECRET = {
    "access_key_id": "AKFAKE0000000001",
    "secret_access_key": "testSecretFake0000000001",
    "project_id": PROJECT,
}
ROTATED = {**SECRET, "access_key_id": "AKFAKE0000000002", "secret_access_key": "testSecretFake0000000002"}

DELETE_DATA_TASK = "alibaba.elasticsearch.DeleteDataTask"
CANCEL_TASK = "alibaba.elasticsearch.CancelTask"
DATA_TASKS = "alibaba.elasticsearch.ListDataTasks"
OMS_DELETE = "huawei.oms.DeleteTask"
OMS_LIST = "huawei.oms.ListTasks"
OMS_STOP = "huawei.oms.StopTask"
DMS_DELETE = "otc.dms.DeleteBackgroundTask"
DMS_LIST = "otc.dms.ListBackgroundTasks"
HUAWEI_DMS_DELETE = "huawei.dms.DeleteBackgroundTask"
HUAWEI_DMS_LIST = "huawei.dms.ListBackgroundTasks"


with patch.dict(os.environ, AWS_VARIABLES):  # read while a function is imported
    FOLDERS = {folder: load_operation(folder) for folder in function_folders()}
OPERATIONS = {operation.name: operation for operation in FOLDERS.values()}
NAMES = sorted(OPERATIONS)
OF_EACH_KIND = [FOLDERS[folder].name for folder in representative_folders()]  # for what all operations share
LISTS = [name for name in NAMES if OPERATIONS[name].listing is not None]
WITH_PROJECT = [name for name in NAMES if "project_id" in OPERATIONS[name].schema["properties"]]
WITH_TOKEN = [name for name in NAMES if "client_token" in OPERATIONS[name].schema["properties"]]


def _sample(folder: str) -> dict[str, Any]:
    """The direct sample event, with the ids of the original pages; without what has a default."""
    request = sample_event(folder, "direct")
    request.pop("task_type", None)
    return {**request, **({"task_id": str(request["task_id"])} if "task_id" in request else {})}


# A valid request for every operation.
REQUESTS: Mapping[str, Mapping[str, Any]] = {FOLDERS[folder].name: _sample(folder) for folder in FOLDERS}


# What is no region anywhere: it could make another host of a service's rule, or looks like a region and is none.
NO_REGIONS = (
    *(
        "",
        "a",
        "cn-north-4\n",
        "\ncn-north-4",
        "cn-north-4 ",
        " cn-north-4",
        "CN-NORTH-4",
        "cn_north_4",
        "cn north 4",
    ),
    *(
        "example.com",
        "cn-north-4.",
        ".",
        "..",
        "cn-north-4/x",
        "cn-north-4@x",
        "cn-north-4:1",
        "cn-north-4#",
        "-cn",
        "cn-",
    ),
    *(
        "4-cn",
        "cn-north-\u0664",
        "cn-north-\uff14",
        "\u0441n-north-4",
        "cn\u2010north\u20104",
        "cn-north-4\x00",
        "%63n",
    ),
    *("a" * 64, "a" * 65, "a" * 5000),
)


class Clock:
    """Time that passes only while somebody sleeps, and chance that is no chance."""

    def __init__(self, fraction: float = 0.5) -> None:
        self.moment = NOW
        self.seconds = 1000.0
        self.fraction = fraction
        self.slept: list[float] = []
        self._nonces = 0

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.pass_(seconds)

    def pass_(self, seconds: float) -> None:
        self.seconds += seconds
        self.moment += timedelta(seconds=seconds)

    def _nonce(self) -> str:
        self._nonces += 1
        return f"{self._nonces:032x}"

    @property
    def system(self) -> System:
        return System(
            now=lambda: self.moment,
            monotonic=lambda: self.seconds,
            sleep=self.sleep,
            fraction=lambda: self.fraction,
            nonce=self._nonce,
        )

    def deadline(self, seconds: float = 60.0) -> Deadline:
        return Deadline.after(seconds, lambda: self.seconds)


class FakeAws(Aws):
    """A secret store of one dictionary. ``error`` is AWS's code for every call while it is set."""

    def __init__(self, secrets: Mapping[str, object] | None = None) -> None:
        self.secrets = dict(secrets or {})
        self.error: str | None = None
        self.asked: list[str] = []

    def get_secret_value(self, secret_id: str, deadline: Deadline) -> str:
        self.asked.append(secret_id)
        if self.error is not None:
            raise AwsError(self.error)
        if secret_id not in self.secrets:
            raise AwsError("ResourceNotFoundException")
        value = self.secrets[secret_id]
        return value if isinstance(value, str) else json.dumps(value)


# What urllib3 raises where no reply came: before the request was sent, and after.
NO_CONNECTION = ConnectTimeoutError("no connection in time")
NO_REPLY = ReadTimeoutError(HTTPConnectionPool("127.0.0.1"), "/", "no reply in time")


@dataclass(frozen=True)
class Answer:
    """One reply of a provider."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Shape:
    """How a service answers, by its pages: a listed task, the name of its id, a list's page, a change made."""

    record: Mapping[str, Any]
    task_id: str
    page: Callable[[Sequence[Mapping[str, Any]], int], dict[str, Any]]
    made: Answer


SHAPES: Mapping[str, Shape] = {  # by the service's name, the same on either cloud
    "elasticsearch": Shape(
        {"taskId": "et_cn_0oyg09o96ib400001", "status": "SUCCESS", "createTime": "2026-11-21 08:30:00"},
        "taskId",
        lambda records, _: {"Result": records, "RequestId": "3F71A6D2-7BD0-4A53-9119-386A2F0B0001"},
        Answer(200, b'{"Result": true, "RequestId": "3F71A6D2-7BD0-4A53-9119-386A2F0B0001"}'),
    ),
    "oms": Shape(
        {"id": 191297407830872, "name": "task-1", "status": 5, "start_time": 1795249800000, "total_time": 60000},
        "id",
        lambda records, count: {"tasks": records, "count": count},
        Answer(200),
    ),
    "dms": Shape(
        {
            "id": "8abfa7b372160bfd0172165864064079",
            "name": "modifyAutoTopic",
            "status": "SUCCESS",
            "created_at": "2026-11-21T08:30:00.000Z",
            "updated_at": "2026-11-21T08:31:00.000Z",
        },
        "id",
        lambda records, count: {"tasks": records, "task_count": str(count)},
        Answer(204),
    ),
}


def shape_of(operation: Operation) -> Shape:
    """The shape of its service's answers."""
    name = operation.service.name
    assert name in SHAPES, f"a new service needs a row in SHAPES, from its own page: {name}"
    return SHAPES[name]


class Script(HTTPAdapter):
    """Answers each request with the script's next entry; the last one goes on for ever."""

    def __init__(self, *answers: Answer | Exception) -> None:
        super().__init__()
        self._answers = list(answers)
        self.sent: list[requests.PreparedRequest] = []
        self.timeouts: list[Any] = []

    def send(self, request: requests.PreparedRequest, *_args: Any, **kwargs: Any) -> requests.Response:
        self.sent.append(request)
        self.timeouts.append(kwargs.get("timeout"))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        framing = {} if answer.status == 204 else {"Content-Length": str(len(answer.body))}
        raw = HTTPResponse(
            body=BytesIO(answer.body),
            headers={**framing, **answer.headers},
            status=answer.status,
            preload_content=False,
        )
        return self.build_response(request, raw)

    def session(self, _system: System) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.mount("https://", self)
        session.mount("http://", self)
        return session


@dataclass
class OperationWorld:
    """One execution environment of an operation, with everything around it faked."""

    operation: Operation
    script: Script
    clock: Clock = field(default_factory=Clock)
    secret: Mapping[str, Any] = field(default_factory=lambda: SECRET)
    dry_run: bool = False
    aws: FakeAws = field(init=False)
    environment: Dependencies = field(init=False)

    def __post_init__(self) -> None:
        self.aws = FakeAws({self.secret_name: self.secret})
        self.environment = Dependencies(
            credentials=CredentialStore(self.aws, "task-cleanup", self.operation.service.provider, self.clock.system),
            transport=Transport(self.clock.system, self.script.session),
            system=self.clock.system,
            endpoint=None,
            dry_run=self.dry_run,
        )

    @property
    def secret_name(self) -> str:
        return f"task-cleanup/{self.operation.service.provider}/default"

    def run(self, received: Received | None = None, seconds: float = 60.0) -> Result:
        return run(self.operation, received or direct(self.operation), self.environment, self.clock.deadline(seconds))


def world(name: str, *answers: Answer | Exception, looks: bool = True, **options: Any) -> OperationWorld:
    """``looks=False``: for what one call does, without the look that follows a doubtful one."""
    operation = OPERATIONS[name] if looks else without_look(name)
    return OperationWorld(operation, Script(*answers), **options)


def without_look(name: str) -> Operation:
    """The operation as one whose task cannot be looked at."""
    return replace(OPERATIONS[name], goal=None)


def direct(called: Operation, /, **changes: Any) -> Received:
    """A valid direct request, with some fields changed."""
    return Received(Trigger.DIRECT, {**REQUESTS[called.name], **changes}, "3f1c7a52-direct-request-id")


def record(operation: Operation, number: int = 0, /, **changes: Any) -> dict[str, Any]:
    """One listed task in its service's shape; every number is another task."""
    shape = shape_of(operation)
    listed = dict(shape.record)
    if number:
        own = listed[shape.task_id]
        listed[shape.task_id] = number if isinstance(own, int) else f"{own[:-5]}{number:05d}"
    return {**listed, **changes}


def listing(operation: Operation, *records: Mapping[str, Any], total: int | None = None) -> Answer:
    """A page with these records of so many in all."""
    count = len(records) if total is None else total
    return Answer(200, json.dumps(shape_of(operation).page(records, count)).encode())


def success(operation: Operation) -> Answer:
    """What the provider promises as a success."""
    return shape_of(operation).made if operation.listing is None else listing(operation, record(operation))


def codes_of(operation: Operation, category: Category) -> list[str]:
    """The service's codes, the gateway's among them, that mean this and are not the operation's wanted state."""
    codes = operation.service.errors.codes
    return [code for code in codes if codes[code] is category and code not in operation.already_done_codes]


def refusal(operation: Operation, code: str, status: int, message: str = "no", **headers: str) -> Answer:
    """A provider's error in that provider's own shape."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if operation.service.provider == "alibaba":
        content = {"RequestId": "3F71A6D2-7BD0-4A53-9119-386A2F0B0002", "Code": code, "Message": message}
    else:
        content = {"error_code": code, "error_msg": message}
    return Answer(status, json.dumps(content).encode(), sent)


def auth_failure(operation: Operation, **headers: str) -> Answer:
    """A rejected signature."""
    if operation.service.provider == "alibaba":
        return refusal(operation, "SignatureDoesNotMatch", 400, **headers)
    return refusal(operation, "APIGW.0301", 401, **headers)


def throttle(operation: Operation, **headers: str) -> Answer:
    """The provider's own dialect of "slow down"."""
    if operation.service.provider == "alibaba":
        return refusal(operation, "Throttling.User", 400, **headers)
    return refusal(operation, "APIGW.0308", 429, **headers)
