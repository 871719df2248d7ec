"""Huawei OMS: ListTasks, ShowTask, DeleteTask, StopTask (OMS sheet, sections 2 to 5, 9 and 11)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from local.emulators.clock import milliseconds
from local.emulators.huawei_gateway import HuaweiService, query_pairs
from local.emulators.messages import Reply, whole_number
from local.emulators.routing import Route
from local.emulators.service import Exchange, Refusal, json_reply
from local.emulators.store import Kind, Record
from local.emulators.switches import ListCount, switch
from task_cleanup.providers import huawei_oms

WAITING, RUNNING, STOPPED, FAILED, SUCCEEDED, RETRYING, PAUSING = range(1, 8)
LIST_STATES = frozenset("123457")  # which the list takes as a filter (section 3)

_TASK_ID = re.compile(r"[0-9]{1,15}")


@dataclass
class OmsSwitches:
    """OMS's behaviour that no source documents (sections 9 and 11). Tuples are numbers of states."""

    oms_delete_unknown: Literal["OMS.1009", "404", "OMS.0054"] = "OMS.1009"
    oms_delete_refused_states: tuple[int, ...] = switch((1, 6), (), (0, 1, 6))
    oms_stop_finished: Literal["OMS.0070", "OMS.0066"] = "OMS.0070"
    oms_running_again: int = switch(0, 2)
    oms_stop_polls: int = switch(1, 0, 3)
    oms_stop_ms: int | None = switch(None, 1)
    oms_count: ListCount = "all"


@dataclass
class OmsTask(Record):
    """A migration task (section 4)."""

    status: int = STOPPED
    name: str = ""
    group_id: str = ""
    description: str = ""
    task_type: str = "object"
    start_time: int = 1795249800000
    false_refusals: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the record that ListTasks and ShowTask answer with."""
        done = self.status == SUCCEEDED
        return {
            "id": int(self.task_id),
            "name": self.name or f"task-{self.task_id}",
            "status": self.status,
            "task_type": self.task_type,
            "group_id": self.group_id,
            "group_type": "GROUP_TASK" if self.group_id else "NORMAL_TASK",
            "description": self.description,
            "start_time": self.start_time,
            "total_time": 60000,
            "left_time": 0 if done else 60000,
            "migrate_speed": 1048576 if self.status == RUNNING else 0,
            "progress": 1.0 if done else 0.5,
            "successful_num": 10 if done else 5,
            "complete_size": 10485760 if done else 5242880,
            "error_reason": _ERROR_REASON if self.status == FAILED else None,
            **_ALIKE,
        }

    @classmethod
    def dated(cls, name: str, begun: float, ended: float) -> dict[str, Any]:
        """Set the start; the end is the start plus `total_time`, a minute."""
        del begun
        return {"name": name, "start_time": milliseconds(ended - 60)}


_ERROR_REASON = {"error_code": "TRF.FAKE", "error_msg": "An emulated failure of the task."}
_SOURCE = {"bucket": "fake-source", "cloud_type": "AWS", "region": "eu-central-1", "app_id": "", "object_key": [""]}
_ALIKE: dict[str, Any] = {  # members that are the same in every task's entry
    **dict.fromkeys(("migrate_since", "failed_num", "skipped_num"), 0),
    "total_num": 10,
    **dict.fromkeys(("total_size", "real_size"), 10485760),
    "is_query_over": True,
    "bandwidth_policy": [],
    "src_node": _SOURCE,
    "dst_node": {"bucket": "fake-destination", "region": "cn-north-4", "save_prefix": ""},
    **dict.fromkeys(("enable_metadata_migration", "enable_restore", "enable_requester_pays"), False),
    "enable_failed_object_recording": True,
    "failed_object_record": {"result": False, "list_file_key": None, "error_code": None},
    **dict.fromkeys(("success_record_error_reason", "skip_record_error_reason", "smn_info", "source_cdn")),
    "object_overwrite_mode": "SIZE_LAST_MODIFIED_COMPARISON_OVERWRITE",
    "dst_storage_policy": "STANDARD",
    "consistency_check": "size_last_modified",
    "obs_system": "BUCKET",
    "task_priority": "MEDIUM",
}


class HuaweiOms(HuaweiService[OmsTask, OmsSwitches]):
    """The object storage migration service."""

    emulates = (huawei_oms.SERVICE,)
    own_switches = OmsSwitches
    kind = Kind(
        OmsTask,
        place=("project_id",),
        waiting=WAITING,
        running=RUNNING,
        final=(SUCCEEDED, FAILED, STOPPED),
        usual=(WAITING, RUNNING, STOPPED, FAILED, *[SUCCEEDED] * 5, PAUSING),
        passing={PAUSING: STOPPED},
        new_id=lambda number: str(100_000_000_000_000 + number),
    )
    forbidden = "OMS.0206"  # section 9, newer pages
    codes: ClassVar = {
        "OMS.0052": (400, "Invalid state value."),
        "OMS.0054": (400, "Invalid task ID."),
        "OMS.0063": (400, "The task is in progress and cannot be deleted."),
        "OMS.0064": (400, "Invalid parameter."),
        "OMS.0066": (400, "The task is not running and cannot be paused."),
        "OMS.0070": (400, "The task is finished and cannot be started or paused."),
        "OMS.0206": (403, "You have no permission for this operation."),
        "OMS.1009": (400, "The resource is not found."),
    }

    def list_tasks(self, exchange: Exchange) -> Reply:
        """A page of the tasks, in the order of their creation."""
        query = query_pairs(exchange.request, ("group_id", "limit", "offset", "status", "task_name"))
        limit = whole_number(query, "limit", 10, most=100)
        offset = whole_number(query, "offset", 0, most=2147483647)
        if not limit:
            raise self._bad_parameter("limit")
        if offset is None:
            raise self._bad_parameter("offset")
        self._check_filters(query)
        found = [task for task in self.tasks(exchange) if _matches(task, query)]
        tasks, count = self.page(exchange, found, offset, limit, self.switches.oms_count)
        return json_reply(200, {"tasks": tasks, "count": count})

    def show_task(self, exchange: Exchange) -> Reply:
        """One task."""
        task = self.seen(exchange, self._task_id(exchange))
        if task is None:
            raise self.refuse("OMS.1009")
        return json_reply(200, self.store.look(task))

    def delete_task(self, exchange: Exchange) -> Reply:
        """Delete a task; a state in `oms_delete_refused_states` is refused."""
        unknown = self.switches.oms_delete_unknown
        refusal = self.refuse("OMS.0054" if unknown == "OMS.0054" else "OMS.1009")
        refusal.status = 404 if unknown == "404" else 400
        task = self._task(exchange, refusal)
        again = task.status == STOPPED and task.false_refusals < self.switches.oms_running_again
        if again:
            task.false_refusals += 1
        if again or task.status in {RUNNING, PAUSING, *self.switches.oms_delete_refused_states}:
            raise self.refuse("OMS.0063")
        self.delete(exchange, task)
        return Reply(200)

    def stop_task(self, exchange: Exchange) -> Reply:
        """Put a running task into state 7 (pausing), which becomes 3 after `oms_stop_polls` or `oms_stop_ms`."""
        task = self._task(exchange, self.refuse("OMS.1009"))
        if task.status == SUCCEEDED:
            raise self.refuse(self.switches.oms_stop_finished)
        if task.status != RUNNING:
            raise self.refuse("OMS.0066")
        self.store.begin(task, PAUSING, self.switches.oms_stop_polls, self.switches.oms_stop_ms)
        exchange.effect = "stopped"
        return Reply(200)

    def _task(self, exchange: Exchange, unknown: Refusal) -> OmsTask:
        task = self.find(exchange, self._task_id(exchange))
        if task is None:
            raise unknown
        return task

    def _task_id(self, exchange: Exchange) -> str:
        if not _TASK_ID.fullmatch(exchange.ids["task_id"]):
            raise self.refuse("OMS.0054")
        return str(int(exchange.ids["task_id"]))

    def _bad_parameter(self, name: str) -> Refusal:
        """`error_detail` is the undocumented third field (section 9)."""
        return self.refuse("OMS.0064", error_detail=name)

    def _check_filters(self, query: Mapping[str, str]) -> None:
        if query.get("status", "1") not in LIST_STATES:
            raise self.refuse("OMS.0052")
        if not 1 <= len(query.get("group_id", "-")) <= 100:
            raise self._bad_parameter("group_id")
        if len(query.get("task_name", "")) > 255:
            raise self._bad_parameter("task_name")

    routes = (
        Route("ListTasks", "GET", "/v2/{project_id}/tasks", list_tasks),
        Route("ShowTask", "GET", "/v2/{project_id}/tasks/{task_id}", show_task),
        Route("DeleteTask", "DELETE", "/v2/{project_id}/tasks/{task_id}", delete_task),
        Route("StopTask", "POST", "/v2/{project_id}/tasks/{task_id}/stop", stop_task),
    )


def _matches(task: OmsTask, query: Mapping[str, str]) -> bool:
    same = {"group_id": task.group_id, "status": str(task.status)}
    alike = all(query.get(name, value) == value for name, value in same.items())
    return alike and query.get("task_name", "") in task.as_json()["name"]
