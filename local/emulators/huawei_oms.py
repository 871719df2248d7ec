"""Huawei OMS: ListTasks, ShowTask, DeleteTask, StopTask (OMS sheet, sections 2 to 5, 9 and 11)."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from .huawei_gateway import GatewayRefusal, HuaweiService, query_pairs, whole_number
from .keys import AccessKey, LockOut, Provider
from .messages import Reply
from .oms_state import OmsStatus, OmsStore, OmsTask
from .routing import Call, Route
from .service import Exchange, Platform, Refusal, json_reply
from .switches import ListCount, OmsFinishedStop, OmsUnknownTask

LIST_STATES = frozenset({"1", "2", "3", "4", "5", "7"})
"""The status values that the list takes as a filter (section 3)."""
NEVER_DELETED = frozenset({OmsStatus.RUNNING, OmsStatus.PAUSING})
MAX_OFFSET = 2147483647

_TASK_ID = re.compile(r"[0-9]{1,15}")


class HuaweiOms(HuaweiService):
    """The object storage migration service."""

    name = "huawei_oms"
    provider = Provider.HUAWEI
    routes: ClassVar[tuple[Route, ...]] = (
        Route("ListTasks", "GET", "/v2/{project_id}/tasks"),
        Route("ShowTask", "GET", "/v2/{project_id}/tasks/{task_id}"),
        Route("DeleteTask", "DELETE", "/v2/{project_id}/tasks/{task_id}"),
        Route("StopTask", "POST", "/v2/{project_id}/tasks/{task_id}/stop"),
    )

    def __init__(self, platform: Platform, lock_out: LockOut) -> None:
        """Start without tasks."""
        super().__init__(platform, lock_out)
        self.store = OmsStore(platform.clock)

    def seed(self, record: Mapping[str, Any]) -> None:
        """Put a task in place."""
        self.store.add_task(**record)

    def snapshot(self) -> list[dict[str, Any]]:
        """Return all tasks."""
        return self.store.snapshot()

    def clear(self) -> None:
        """Forget all tasks and lock-outs."""
        self.store.clear()
        self._lock_out.clear()

    def forbidden(self) -> Refusal:
        """Section 9, newer pages."""
        return Refusal(403, "OMS.0206", "You have no permission for this operation.")

    def check_project(self, key: AccessKey, project_id: str) -> None:
        """The sheet has no OMS code for this: the gateway's own is taken."""
        if key.project_id not in {None, project_id}:
            raise GatewayRefusal(403, "0310", "The project is not usable with this access key.")

    def perform(self, exchange: Exchange, call: Call) -> Reply:
        """Choose the operation."""
        with self.store.lock:
            if call.operation == "ListTasks":
                return self._list(exchange, call.ids["project_id"])
            task = self._find(call)
            if call.operation == "ShowTask":
                return json_reply(200, self.store.look(task))
            change = self._delete if call.operation == "DeleteTask" else self._stop
            change(exchange, task)
            return Reply(200)

    def _list(self, exchange: Exchange, project_id: str) -> Reply:
        names = ("group_id", "limit", "offset", "status", "task_name")
        query = query_pairs(exchange.request, names)
        limit = whole_number(query, "limit", 10)
        offset = whole_number(query, "offset", 0)
        if limit is None or not 1 <= limit <= 100:
            raise _bad_parameter("limit")
        if offset is None or offset > MAX_OFFSET:
            raise _bad_parameter("offset")
        _check_filters(query)
        found = [task for task in self.store.of_project(project_id) if _matches(task, query)]
        page = [self.store.look(task) for task in found[offset : offset + limit]]
        count = len(page) if self.switches.oms_count is ListCount.PAGE else len(found)
        if exchange.list_moves:
            self.store.move(found)
        return json_reply(200, {"tasks": page, "count": count})

    def _find(self, call: Call) -> OmsTask:
        task_id = call.ids["task_id"]
        if not _TASK_ID.fullmatch(task_id):
            raise Refusal(400, "OMS.0054", "Invalid task ID.")
        task = self.store.find(call.ids["project_id"], task_id)
        if task is not None:
            return task
        if call.operation == "DeleteTask":
            raise _unknown_on_delete(self.switches.oms_delete_unknown)
        raise Refusal(400, "OMS.1009", "The resource is not found.")

    def _delete(self, exchange: Exchange, task: OmsTask) -> None:
        refused = NEVER_DELETED | set(self.switches.oms_delete_refused_states)
        again = task.status == OmsStatus.STOPPED and task.false_refusals < self.switches.oms_running_again
        if again:
            task.false_refusals += 1
        if again or task.status in refused:
            raise Refusal(400, "OMS.0063", "The task is in progress and cannot be deleted.")
        self.store.remove(task)
        exchange.effect = "deleted"

    def _stop(self, exchange: Exchange, task: OmsTask) -> None:
        finished = self.switches.oms_stop_finished is OmsFinishedStop.FINISHED
        if task.status == OmsStatus.SUCCEEDED and finished:
            raise Refusal(400, "OMS.0070", "The task is finished and cannot be started or paused.")
        if task.status != OmsStatus.RUNNING:
            raise Refusal(400, "OMS.0066", "The task is not running and cannot be paused.")
        self.store.pause(task, self.switches.oms_stop_polls, self.switches.oms_stop_ms)
        exchange.effect = "stopped"


def _bad_parameter(name: str) -> Refusal:
    """`error_detail` is the undocumented third field (section 9)."""
    return Refusal(400, "OMS.0064", "Invalid parameter.", fields={"error_detail": name})


def _unknown_on_delete(switch: OmsUnknownTask) -> Refusal:
    if switch is OmsUnknownTask.BAD_ID:
        return Refusal(400, "OMS.0054", "Invalid task ID.")
    status = 404 if switch is OmsUnknownTask.HTTP_404 else 400
    return Refusal(status, "OMS.1009", "The resource is not found.")


def _check_filters(query: Mapping[str, str]) -> None:
    if query.get("status", "1") not in LIST_STATES:
        raise Refusal(400, "OMS.0052", "Invalid state value.")
    if not 1 <= len(query.get("group_id", "-")) <= 100:
        raise _bad_parameter("group_id")
    if len(query.get("task_name", "")) > 255:
        raise _bad_parameter("task_name")


def _matches(task: OmsTask, query: Mapping[str, str]) -> bool:
    return (
        query.get("group_id", task.group_id) == task.group_id
        and query.get("status", str(task.status)) == str(task.status)
        and query.get("task_name", "") in task.as_json()["name"]
    )
