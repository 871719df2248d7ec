"""What the world is like when a request arrives, and what must come of it.

Most scenes are the same for every function. A service says how its tasks are put in place; an operation says which
outcomes it can have beyond the common ones. A new function of a known service needs nothing here.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import pytest

from local.emulators import KINDS
from tests.support.functions import action_of, is_list, operation_name, provider_of, service_of
from tests.support.handler_world import HandlerWorld
from tests.support.identities import PROJECT
from tests.support.triggers import TRIGGERS, request_of

Request = Mapping[str, Any]
Arrange = Callable[[HandlerWorld, str, Request], None]

OMS_RUNNING = 2


def made(folder: str, times: int = 1) -> int:
    """How many changes so many successes of a function make."""
    return 0 if is_list(folder) else times


# -- tasks in place, by service ------------------------------------------------


def is_stop(folder: str) -> bool:
    """The operation ends a task's running, and leaves the task."""
    return action_of(folder).startswith("Stop")


def subject(folder: str, request: Request) -> str | int | None:
    """The task that the request is about: by its id, or by being listed; None where it names none."""
    return KINDS[service_of(folder)].new_id(7) if is_list(folder) else request.get("task_id")


def _place(folder: str, request: Request) -> dict[str, Any]:
    ids = KINDS[service_of(folder)].place_ids(request.get("project_id", PROJECT), request.get("instance_id", ""))
    return {"service": service_of(folder), **ids}


def put_task(world: HandlerWorld, folder: str, request: Request, **state: Any) -> None:
    """The task that the request is about exists, and may be deleted, stopped, cancelled or listed."""
    record, task_id = {**_place(folder, request), **state}, subject(folder, request)
    if task_id is None:
        record.setdefault("migrating", True)
    else:
        record["task_id"] = task_id
    if is_stop(folder):
        record.setdefault("status", KINDS[service_of(folder)].running)
    world.cloud.seed(record)


def put_instance(world: HandlerWorld, folder: str, request: Request) -> None:
    """The instance exists, the task does not."""
    world.cloud.seed(_place(folder, request))


def is_still_there(world: HandlerWorld, folder: str, request: Request) -> bool:
    """Whether the task is there (to be stopped: runs), or the migration runs, by the emulators' own store."""
    service, task_id = service_of(folder), subject(folder, request)
    instance_id = request.get("instance_id")
    places = [place for place in world.cloud.tasks()[service] if place.get("instance_id") == instance_id]
    if task_id is None:
        return any(place["migrating"] for place in places)
    statuses = [task["status"] for place in places for task in place["tasks"] if task["task_id"] == str(task_id)]
    return KINDS[service].running in statuses if is_stop(folder) else statuses != []


# -- scenes ------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """How the world is, and what must come of it.

    ``codes`` are by service, or by its name on either cloud; a ``*`` stands for all others.
    """

    name: str
    outcome: str
    category: str | None = None
    codes: Mapping[str, str] = field(default_factory=dict)
    arrange: Arrange = put_task
    changes: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    reaches_provider: bool = True
    slow: bool = False

    @property
    def ok(self) -> bool:
        return self.outcome in {"succeeded", "unchanged", "planned"}

    @property
    def retryable(self) -> bool:
        """Section 4: true for throttled, unavailable, timeout and conflict."""
        return not self.ok and self.category in {"throttled", "unavailable", "timeout", "conflict"}

    def code(self, folder: str) -> str | None:
        service = service_of(folder)
        return self.codes.get(service, self.codes.get(service.partition("_")[2], self.codes.get("*")))


def _with_fault(kind: str, **fault: Any) -> Arrange:
    def arrange(world: HandlerWorld, folder: str, request: Request) -> None:
        put_task(world, folder, request)
        world.cloud.faults.add(kind, service=service_of(folder), **fault)

    return arrange


def _wrong_key(world: HandlerWorld, folder: str, request: Request) -> None:
    put_task(world, folder, request)
    world.rotate_key(provider_of(folder))


def _no_permission(world: HandlerWorld, folder: str, request: Request) -> None:
    put_task(world, folder, request)
    provider = provider_of(folder)
    world.cloud.keys.change(provider, f"AKFAKE{provider.upper()}0001", denied=("*",))


def _no_secret(world: HandlerWorld, folder: str, request: Request) -> None:
    put_task(world, folder, request)
    world.aws.secrets.clear()


COMMON = [
    Scene("succeeded", "succeeded"),
    Scene("planned", "planned", changes={"dry_run": True}, reaches_provider=False),
    Scene("planned for the whole stack", "planned", variables={"DRY_RUN": "true"}, reaches_provider=False),
    Scene(
        "invalid request",
        "failed",
        "invalid_request",
        {"*": "SchemaViolation"},
        changes={"region": "atlantis-1"},
        reaches_provider=False,
    ),
    Scene("no secret", "failed", "internal", {"*": "SecretNotFound"}, _no_secret, reaches_provider=False),
    Scene(
        "wrong key",
        "failed",
        "unauthenticated",
        {"alibaba_elasticsearch": "SignatureDoesNotMatch", "*": "APIGW.0301"},
        _wrong_key,
    ),
    Scene(
        "no permission",
        "failed",
        "forbidden",
        {"alibaba_elasticsearch": "Forbidden.RAM", "huawei_oms": "OMS.0206", "dms": "DMS.00403003"},
        _no_permission,
    ),
    Scene(
        "throttled",
        "failed",
        "throttled",
        {"alibaba_elasticsearch": "Throttling.User", "huawei_oms": "APIGW.0308", "dms": "DMS.10240407"},
        _with_fault("throttle"),
    ),
    Scene(
        "provider down",
        "failed",
        "unavailable",
        {"alibaba_elasticsearch": "ServiceUnavailable", "*": "APIGW.0613"},
        _with_fault("away"),
    ),
    Scene("provider silent", "failed", "timeout", {"*": "Timeout"}, _with_fault("latency", ms=60_000), slow=True),
    Scene("web page with 200", "failed", "provider_error", arrange=_with_fault("garbage", variant="html")),
    Scene(
        "unknown code",
        "failed",
        "provider_error",
        {"*": "New.Unheard.Of"},
        _with_fault("error", status=404, code="New.Unheard.Of"),
    ),
]


def _missing(world: HandlerWorld, folder: str, request: Request) -> None:
    put_instance(world, folder, request)


def _nothing(world: HandlerWorld, folder: str, request: Request) -> None:
    """The provider knows neither the instance nor the task."""


def _in_state(**state: Any) -> Arrange:
    return lambda world, folder, request: put_task(world, folder, request, **state)


def _refused_while_running(world: HandlerWorld, folder: str, request: Request) -> None:
    put_task(world, folder, request, status="RUNNING")
    world.cloud.switches.update(alibaba_delete_running="refuse")


def _gone_is_404(world: HandlerWorld, folder: str, request: Request) -> None:
    world.cloud.switches.update(oms_delete_unknown="404")


BY_SERVICE = {
    "alibaba_elasticsearch": [
        Scene("no such instance", "failed", "not_found", {"*": "InstanceNotFound"}, _nothing),
    ],
    "huawei_oms": [
        Scene(
            "no such objects",
            "failed",
            "not_found",
            {"*": "OMS.0089"},
            _with_fault("error", status=400, code="OMS.0089"),
        ),
        Scene(
            "internal error sent as 400",
            "failed",
            "unavailable",
            {"*": "OMS.1001"},
            _with_fault("error", status=400, code="OMS.1001"),
        ),
    ],
    "dms": [
        Scene("no such instance", "failed", "not_found", {"*": "DMS.00404022"}, _nothing),
    ],
}
LIST_SCENES = [Scene("nothing to list", "succeeded", arrange=_missing)]
_DMS_DELETE = [
    Scene("running task", "conflict", "conflict", {"*": "DMS.00400017"}, _in_state(status="EXECUTING")),
    Scene("gone for all we know", "failed", "invalid_request", {"*": "DMS.00400070"}, _missing),
]
BY_OPERATION = {
    "alibaba.elasticsearch.DeleteDataTask": [
        Scene(
            "running task",
            "conflict",
            "conflict",
            {"*": "InstanceStatusNotSupportCurrentAction"},
            _refused_while_running,
        ),
        Scene("Result false, and gone by its list", "unchanged", codes={"*": "ResultFalse"}, arrange=_missing),
    ],
    "alibaba.elasticsearch.CancelTask": [
        Scene("Result false", "failed", "provider_error", {"*": "ResultFalse"}, _missing),
        Scene("busy instance", "conflict", "conflict", {"*": "InstanceActivating"}, _in_state(activating=True)),
        Scene(
            "already being cancelled",
            "unchanged",
            codes={"*": "RepetitionOperationError"},
            arrange=_with_fault("error", status=400, code="RepetitionOperationError"),
        ),
    ],
    "huawei.oms.DeleteTask": [
        Scene("running task", "conflict", "conflict", {"*": "OMS.0063"}, _in_state(status=OMS_RUNNING)),
        Scene(
            "running task that may be stopped",
            "conflict",
            "conflict",
            {"*": "OMS.0063"},
            _in_state(status=OMS_RUNNING),
            changes={"stop_running": True},
        ),
        Scene("already gone", "unchanged", codes={"*": "OMS.1009"}, arrange=_nothing),
        Scene("already gone, said with 404", "unchanged", codes={"*": "OMS.1009"}, arrange=_gone_is_404),
    ],
    "huawei.oms.StopTask": [
        Scene("not running", "unchanged", codes={"*": "OMS.0066"}, arrange=_in_state(status=3)),
        Scene("finished", "unchanged", codes={"*": "OMS.0070"}, arrange=_in_state(status=5)),
        Scene("stopping already", "unchanged", codes={"*": "OMS.0066"}, arrange=_in_state(status=7)),
        Scene("no such task", "unchanged", codes={"*": "OMS.1009"}, arrange=_nothing),
    ],
    "otc.dms.DeleteBackgroundTask": _DMS_DELETE,
    "huawei.dms.DeleteBackgroundTask": _DMS_DELETE,
}


def scenes_of(folder: str) -> list[Scene]:
    """All scenes that can happen to a function."""
    service = service_of(folder)
    by_service = BY_SERVICE.get(service, BY_SERVICE.get(service.partition("_")[2], []))
    by_kind = LIST_SCENES if is_list(folder) else []
    return [*COMMON, *by_service, *by_kind, *BY_OPERATION.get(operation_name(folder), [])]


def scenes_in_turn(folders: Iterable[str]) -> list[Any]:
    """For tests of what no function does otherwise: all quick scenes of some, by one trigger after the other."""
    return [
        pytest.param(folder, scene, trigger, id=f"{folder}-{scene.name.replace(' ', '_')}-{trigger}")
        for folder in folders
        for scene, trigger in zip((it for it in scenes_of(folder) if not it.slow), cycle(TRIGGERS), strict=False)
    ]


def arrange(world: HandlerWorld, folder: str, scene: Scene) -> Request:
    """Set the scene; the request that is about it."""
    request = request_of(folder)
    scene.arrange(world, folder, request)
    return request
