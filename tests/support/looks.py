"""Requests that expect their task to be as a list has shown it."""

from dataclasses import dataclass
from typing import Any

from local.emulators.store import Record
from tests.support.functions import function_folders, is_list, request_schema, service_of
from tests.support.handler_world import HandlerWorld
from tests.support.scenes import put_task
from tests.support.triggers import request_of

LOOKED_AT = [folder for folder in function_folders() if "expected" in request_schema(folder)["properties"]]
IDENTITY = ("provider_status", "name", "created_at", "started_at")
DELETES = [folder for folder in LOOKED_AT if "_delete_" in folder]
OMS, STOP = "huawei_oms_delete_task", "huawei_oms_stop_task"
DMS, ALIBABA = "otc_dms_delete_background_task", "alibaba_elasticsearch_delete_data_task"


def seen(world: HandlerWorld, folder: str, request: dict[str, Any]) -> dict[str, Any]:
    """The request with what a list tells of its task."""
    (lists,) = [name for name in function_folders() if is_list(name) and service_of(name) == service_of(folder)]
    asked = {name: request[name] for name in ("region", "instance_id") if name in request}
    tasks = world.function(lists).result(asked)["tasks"]
    (task,) = [task for task in tasks if task["task_id"] == str(request["task_id"])]
    return {**request, "expected": {name: task[name] for name in IDENTITY}}


def start(world: HandlerWorld, folder: str, **values: Any) -> dict[str, Any]:
    """A task, and the request that expects it as it is."""
    request = request_of(folder)
    put_task(world, folder, request, **values)
    return seen(world, folder, request)


def looks(result: dict[str, Any]) -> list[tuple[str, bool | None]]:
    """When a result's looks were, and whether they found the task."""
    return [(look["when"], look["found"]) for look in result["looks"]]


@dataclass(frozen=True)
class State:
    """What a task is told to be the same by; None in the place of one: it is not there."""

    status: Any
    name: str
    begun: Any

    @classmethod
    def of(cls, record: Record | None) -> "State | None":
        if record is None:
            return None
        values = vars(record)
        names, begun = ("name", "source_index"), ("start_time", "created_at", "create_time")
        return cls(
            record.status, *(next(values[name] for name in found if name in values) for found in (names, begun))
        )
