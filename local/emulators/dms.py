"""DMS background tasks: list, show and delete their records (DMS sheet, sections 1 to 6 and 9).

The same service twice, with data of its own each time: at Open Telekom Cloud and at Huawei Cloud.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from .dms_state import BackgroundTask, DmsInstance, DmsStore
from .faults import Dialect
from .huawei_gateway import HuaweiService, query_pairs, whole_number
from .keys import AccessKey, LockOut, Provider
from .messages import Reply
from .routing import Call, Route
from .service import Exchange, Platform, Refusal, json_reply
from .switches import (
    DmsPastEnd,
    DmsRunningTask,
    DmsStartZero,
    DmsThrottle,
    DmsUnknownDelete,
    DmsUnknownShow,
    ListCount,
)

NOT_FINAL = frozenset({"EXECUTING", "CREATED"})
UNKNOWN_TASK_CODE = "DMS.00404099"
"""Assumed: no source names a code for a missing task, and this one is in no list (section 5)."""
MAX_LIMIT = 100

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TASK_ID = re.compile(r"[0-9a-fA-F]{32}|" + _UUID.pattern)
_QUERY_TIME = re.compile(r"[0-9]{14}")


class Dms(HuaweiService):
    """The distributed message service of one cloud."""

    routes: ClassVar[tuple[Route, ...]] = (
        Route("ListBackgroundTasks", "GET", "/v2/{project_id}/instances/{instance_id}/tasks"),
        Route("ShowBackgroundTask", "GET", "/v2/{project_id}/instances/{instance_id}/tasks/{task_id}"),
        Route("DeleteBackgroundTask", "DELETE", "/v2/{project_id}/instances/{instance_id}/tasks/{task_id}"),
    )

    def __init__(self, name: str, provider: Provider, platform: Platform, lock_out: LockOut) -> None:
        """Start without instances."""
        super().__init__(platform, lock_out)
        self.name = name
        self.provider = provider
        self.store = DmsStore(platform.clock)

    def seed(self, record: Mapping[str, Any]) -> None:
        """Put an instance or, with any field of a task, a task record in place."""
        values = dict(record)
        project_id, instance_id = values.pop("project_id"), values.pop("instance_id")
        self.store.add_instance(project_id, instance_id)
        if values:
            self.store.add_task(project_id, instance_id, **values)

    def snapshot(self) -> list[dict[str, Any]]:
        """Return all instances with their records."""
        return self.store.snapshot()

    def clear(self) -> None:
        """Forget all instances and lock-outs."""
        self.store.clear()
        self._lock_out.clear()

    def forbidden(self) -> Refusal:
        """Section 6."""
        return Refusal(403, "DMS.00403003", "Your role lacks the permission for this operation.")

    def check_project(self, key: AccessKey, project_id: str) -> None:
        """Section 9: a key of another project."""
        if key.project_id not in {None, project_id}:
            raise Refusal(401, "DMS.10240104", "The project ID does not match that of the token.")

    def service_throttle(self, dialect: Dialect | None) -> Refusal | None:
        """Section 6: the service's own throttling hides under 404."""
        if dialect is None:
            by_service = self.switches.dms_throttle is DmsThrottle.SERVICE_404
        else:
            by_service = dialect is Dialect.SERVICE
        return Refusal(404, "DMS.10240407", "Requests are too frequent.") if by_service else None

    def perform(self, exchange: Exchange, call: Call) -> Reply:
        """Choose the operation."""
        with self.store.lock:
            instance = self._find_instance(call)
            if call.operation == "ListBackgroundTasks":
                return self._list(exchange, instance)
            task_id = call.ids["task_id"]
            if not _TASK_ID.fullmatch(task_id):
                raise _bad_task_id()
            if call.operation == "ShowBackgroundTask":
                return self._show(instance, task_id)
            return self._delete(exchange, instance, task_id)

    def _find_instance(self, call: Call) -> DmsInstance:
        if not _UUID.fullmatch(call.ids["instance_id"]):
            raise Refusal(400, "DMS.00400061", "Invalid instance ID format.")
        instance = self.store.instances.get((call.ids["project_id"], call.ids["instance_id"]))
        if instance is None:
            raise Refusal(404, "DMS.00404022", "This instance does not exist.")
        return instance

    def _list(self, exchange: Exchange, instance: DmsInstance) -> Reply:
        query = query_pairs(exchange.request, ("start", "limit", "begin_time", "end_time"))
        start = self._read_start(query)
        limit = whole_number(query, "limit", self.switches.dms_default_limit)
        if limit is None or limit < 1:
            raise _bad_parameter("limit")
        if limit > MAX_LIMIT:
            raise Refusal(400, "DMS.10240042", "The page size is too large.")
        begin, end = (_query_time(query, name) for name in ("begin_time", "end_time"))
        found = [task for task in instance.newest_first() if _within(task, begin, end)]
        past_end = start > max(1, len(found))
        if past_end and self.switches.dms_start_past_end is DmsPastEnd.BAD_PARAMETER:
            raise _bad_parameter("{0}")
        page = found[start - 1 : start - 1 + limit]
        if exchange.list_moves:
            self.store.move(instance, found)
        return _listing(page, count=len(page) if self.switches.dms_count is ListCount.PAGE else len(found))

    def _read_start(self, query: Mapping[str, str]) -> int:
        start = whole_number(query, "start", 1)
        if start == 0 and self.switches.dms_start_zero is DmsStartZero.FROM_FIRST:
            return 1
        if not start:
            raise _bad_parameter("start")
        return start

    def _show(self, instance: DmsInstance, task_id: str) -> Reply:
        task = instance.tasks.get(task_id)
        if task is not None:
            return _listing([task], count=1)
        switch = self.switches.dms_show_unknown
        if switch is DmsUnknownShow.EMPTY_LIST:
            return _listing([], count=0)
        if switch is DmsUnknownShow.HTTP_404:
            raise _unknown_task()
        deleted = instance.deleted.get(task_id)
        if switch is DmsUnknownShow.DELETED_RECORD and deleted is not None:
            return _listing([replace(deleted, status="DELETED")], count=1)
        raise _bad_task_id()

    def _delete(self, exchange: Exchange, instance: DmsInstance, task_id: str) -> Reply:
        task = instance.tasks.get(task_id)
        if task is None:
            return _deleted_unknown(self.switches.dms_delete_unknown)
        switch = self.switches.dms_delete_running
        if task.status in NOT_FINAL and switch is not DmsRunningTask.ALLOW:
            raise Refusal(400, switch.value, "A background task of the instance is running.")
        self.store.remove(instance, task)
        exchange.effect = "deleted"
        return Reply(204)


def _listing(tasks: list[BackgroundTask], *, count: int) -> Reply:
    """Section 1: list and show have the same wrapper; the count is a string."""
    return json_reply(200, {"task_count": str(count), "tasks": [task.as_json() for task in tasks]})


def _bad_parameter(name: str) -> Refusal:
    return Refusal(400, "DMS.00400062", f"Invalid parameter: {name}.")


def _bad_task_id() -> Refusal:
    return Refusal(400, "DMS.00400070", "Invalid task ID format.")


def _unknown_task() -> Refusal:
    return Refusal(404, UNKNOWN_TASK_CODE, "The task does not exist.")


def _deleted_unknown(switch: DmsUnknownDelete) -> Reply:
    if switch is DmsUnknownDelete.NO_CONTENT:
        return Reply(204)
    raise _unknown_task() if switch is DmsUnknownDelete.HTTP_404 else _bad_task_id()


def _query_time(query: Mapping[str, str], name: str) -> str | None:
    text = query.get(name)
    if text is not None and not _QUERY_TIME.fullmatch(text):
        raise Refusal(400, "DMS.00400142", "Invalid time stamp.")
    return text


def _within(task: BackgroundTask, begin: str | None, end: str | None) -> bool:
    """The time zone of the query is not documented: UTC is assumed, and the creation time is compared."""
    created = re.sub(r"[^0-9]", "", task.created_at)[:14]
    return (begin is None or created >= begin) and (end is None or created <= end)
