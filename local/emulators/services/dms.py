"""DMS background tasks: list, show and delete their records (DMS sheet, sections 1 to 6 and 9), and list instances.

Both Open Telekom Cloud and Huawei Cloud have this service; each of the two emulators has its own data.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from local.emulators.clock import rfc3339
from local.emulators.faults import Dialect
from local.emulators.huawei_gateway import HuaweiService, query_pairs
from local.emulators.messages import Reply, whole_number
from local.emulators.routing import Route
from local.emulators.service import Exchange, Refusal, json_reply
from local.emulators.store import Kind, Record
from local.emulators.switches import ListCount, switch
from task_cleanup.providers import dms

UNKNOWN_TASK = "DMS.00404099"
"""Assumed: no source names a code for a missing task, and this one is in no list (section 5)."""
BAD_TASK_ID = "DMS.00400070"
_ENGINES = {"kafka": "kafka", "rabbitmq": "rabbitmq", "reliability": "reliability", "rocketmq": "reliability"}
"""What `engine` can be in a query, and what the instances have; RocketMQ has two names."""
OLDEST = "2000-01-01T00:00:00.000Z"
NOT_FINAL = frozenset({"EXECUTING", "CREATED"})

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TASK_ID = re.compile(r"[0-9a-fA-F]{32}|" + _UUID.pattern)
_QUERY_TIME = re.compile(r"[0-9]{14}")


@dataclass
class DmsSwitches:
    """DMS's behaviour that no source documents (sections 2, 5 and 6)."""

    dms_delete_running: Literal["DMS.00400017", "DMS.00400026", "allow"] = "DMS.00400017"
    dms_delete_unknown: Literal["DMS.00400070", "404", "204"] = "DMS.00400070"
    dms_show_unknown: Literal["DMS.00400070", "404", "empty", "deleted_record"] = "DMS.00400070"
    dms_start_past_end: Literal["empty", "DMS.00400062"] = "empty"
    dms_start_zero: Literal["DMS.00400062", "first"] = "DMS.00400062"
    dms_default_limit: int = switch(10, 1)
    dms_count: ListCount = "all"
    dms_instance_count: ListCount = "all"
    dms_other_engine: Literal["empty", "DMS.00400062"] = "empty"
    """The answer to a list of instances of an engine that the service does not know."""
    dms_updated_at_moves: bool = False
    """Whether `updated_at` moves by itself, also when a task has ended."""
    dms_throttle: Literal["DMS.10240407", "APIGW.0308"] = "DMS.10240407"
    """Who throttles: the service, with status 404, or the gateway."""


@dataclass
class BackgroundTask(Record):
    """The record of a background task (section 3)."""

    status: str = "SUCCESS"
    name: str = "modifyAutoTopic"
    user_name: str = "fake-user"
    user_id: str = "00000000000000000000000000000001"
    params: str = '{"new_value":"true","old_value":"false"}'
    created_at: str = "2026-11-21T08:30:00.000Z"
    updated_at: str = "2026-11-21T08:31:00.000Z"

    def as_json(self) -> dict[str, Any]:
        """Return the entry that list and show answer with."""
        names = ("name", "user_name", "user_id", "params", "status", "created_at", "updated_at")
        return {"id": self.task_id, **{name: getattr(self, name) for name in names}}

    @classmethod
    def dated(cls, name: str, begun: float, ended: float) -> dict[str, Any]:
        """Set the times of creation and of the last change."""
        return {"name": name, "created_at": rfc3339(begun), "updated_at": rfc3339(ended)}


class Dms(HuaweiService[BackgroundTask, DmsSwitches]):
    """The distributed message service of one cloud."""

    emulates = (dms.OTC, dms.HUAWEI)
    own_switches = DmsSwitches
    no_place = "DMS.00404022"
    kind = Kind(
        BackgroundTask,
        place=("project_id", "instance_id"),
        waiting="CREATED",
        running="EXECUTING",
        final=("SUCCESS", "FAILED", "CANCELLED"),
        usual=("SUCCESS", "SUCCESS", "SUCCESS", "FAILED", "CANCELLED", "EXECUTING", "CREATED"),
        flags=("rabbitmq", "rocketmq", "creating"),
        last={"created_at": OLDEST},
    )
    forbidden = "DMS.00403003"
    foreign_project = "DMS.10240104"
    codes: ClassVar = {
        "DMS.00400017": (400, "A background task of the instance is running."),
        "DMS.00400026": (400, "A background task of the instance is running."),
        "DMS.00400061": (400, "Invalid instance ID format."),
        "DMS.00400062": (400, "Invalid parameter."),
        BAD_TASK_ID: (400, "Invalid task ID format."),
        "DMS.00400142": (400, "Invalid time stamp."),
        "DMS.00403003": (403, "Your role lacks the permission for this operation."),
        "DMS.00404022": (404, "This instance does not exist."),
        UNKNOWN_TASK: (404, "The task does not exist."),
        "DMS.10240042": (400, "The page size is too large."),
        "DMS.10240104": (401, "The project ID does not match that of the token."),
        "DMS.10240407": (404, "Requests are too frequent."),
    }

    def list_tasks(self, exchange: Exchange) -> Reply:
        """A page of the records, the newest first; `start` is the number of the first, from 1."""
        self._check_instance(exchange)
        tasks = [self._dated_anew(task) for task in self.tasks(exchange)]
        query = query_pairs(exchange.request, ("start", "limit", "begin_time", "end_time"))
        start = whole_number(query, "start", 1)
        if start == 0 and self.switches.dms_start_zero == "first":
            start = 1
        limit = whole_number(query, "limit", self.switches.dms_default_limit)
        if not start or not limit:
            raise self.refuse("DMS.00400062")
        if limit > 100:
            raise self.refuse("DMS.10240042")
        begin, end = (self._query_time(query, name) for name in ("begin_time", "end_time"))
        found = [task for task in _newest_first(tasks) if _within(task, begin, end)]
        if start > max(1, len(found)) and self.switches.dms_start_past_end == "DMS.00400062":
            raise self.refuse("DMS.00400062")
        return _listing(*self.page(exchange, found, start - 1, limit, self.switches.dms_count))

    def list_instances(self, exchange: Exchange) -> Reply:
        """A page of one engine's instances; `offset` is the index of the first, from 0."""
        names = ("engine", "name", "instance_id", "status", "include_failure", "offset", "limit")
        query = query_pairs(exchange.request, names)
        offset, limit = whole_number(query, "offset", 0), whole_number(query, "limit", 10, most=50)
        engine = query.get("engine", "")
        unknown = engine not in _ENGINES and self.switches.dms_other_engine != "empty"
        if not engine or offset is None or not limit or unknown:
            raise self.refuse("DMS.00400062")
        project = exchange.ids["project_id"]
        places = [place for place in self.store.places.values() if place.ids["project_id"] == project]
        found = [place for place in places if _engine(place.flags) == _ENGINES.get(engine)]
        entries = [
            {
                "name": "fake-instance",
                "engine": _engine(place.flags),
                "status": "CREATING" if place.flags["creating"] else "RUNNING",
                "instance_id": place.ids["instance_id"],
                "created_at": "1795249800000",
            }
            for place in self.page_of_places(exchange, found, offset, limit)
        ]
        total = len(entries) if self.switches.dms_instance_count == "page" else len(found)
        return json_reply(200, {"instances": entries, "instance_num": total})

    def show_task(self, exchange: Exchange) -> Reply:
        """One record, in the shape of a list."""
        self._check_instance(exchange)
        task_id = self._task_id(exchange)
        task, deleted = self.seen(exchange, task_id), self.place(exchange).deleted.get(task_id)
        unknown = self.switches.dms_show_unknown
        if task is None and deleted is not None and unknown == "deleted_record":
            task = replace(deleted, status="DELETED")
        if task is not None:
            return _listing([self._dated_anew(task).as_json()], 1)
        if unknown == "empty":
            return _listing([], 0)
        raise self.refuse(UNKNOWN_TASK if unknown == "404" else BAD_TASK_ID)

    def delete_task(self, exchange: Exchange) -> Reply:
        """Delete the record of a task that does not run."""
        self._check_instance(exchange)
        task = self.find(exchange, self._task_id(exchange))
        unknown, running = self.switches.dms_delete_unknown, self.switches.dms_delete_running
        if task is None and unknown != "204":
            raise self.refuse(UNKNOWN_TASK if unknown == "404" else BAD_TASK_ID)
        if task is not None:
            if task.status in NOT_FINAL and running != "allow":
                raise self.refuse(running)
            self.delete(exchange, task)
        return Reply(204)

    def service_throttle(self, dialect: Dialect | None) -> Refusal | None:
        """Section 6: the service itself throttles with status 404."""
        by_default = self.switches.dms_throttle == "DMS.10240407"
        by_service = by_default if dialect is None else dialect is Dialect.SERVICE
        return self.refuse("DMS.10240407") if by_service else None

    def _check_instance(self, exchange: Exchange) -> None:
        if not _UUID.fullmatch(exchange.ids["instance_id"]):
            raise self.refuse("DMS.00400061")

    def _dated_anew(self, task: BackgroundTask) -> BackgroundTask:
        moves = self.switches.dms_updated_at_moves
        return replace(task, updated_at=rfc3339(self.platform.clock.now())) if moves else task

    def _task_id(self, exchange: Exchange) -> str:
        if not _TASK_ID.fullmatch(exchange.ids["task_id"]):
            raise self.refuse(BAD_TASK_ID)
        return exchange.ids["task_id"]

    def _query_time(self, query: Mapping[str, str], name: str) -> str | None:
        text = query.get(name)
        if text is not None and not _QUERY_TIME.fullmatch(text):
            raise self.refuse("DMS.00400142")
        return text

    routes = (
        Route("ListInstances", "GET", "/v2/{project_id}/instances", list_instances),
        Route("ListBackgroundTasks", "GET", "/v2/{project_id}/instances/{instance_id}/tasks", list_tasks),
        Route("ShowBackgroundTask", "GET", "/v2/{project_id}/instances/{instance_id}/tasks/{task_id}", show_task),
        Route(
            "DeleteBackgroundTask", "DELETE", "/v2/{project_id}/instances/{instance_id}/tasks/{task_id}", delete_task
        ),
    )


def _engine(flags: Mapping[str, bool]) -> str:
    """An instance has Kafka, unless it was added as another one's."""
    return "rabbitmq" if flags["rabbitmq"] else "reliability" if flags["rocketmq"] else "kafka"


def _listing(tasks: list[dict[str, Any]], count: int) -> Reply:
    """Section 1: list and show have the same wrapper; the count is a string."""
    return json_reply(200, {"task_count": str(count), "tasks": tasks})


def _newest_first(tasks: Iterable[BackgroundTask]) -> list[BackgroundTask]:
    return sorted(tasks, key=lambda task: task.created_at)[::-1]


def _within(task: BackgroundTask, begin: str | None, end: str | None) -> bool:
    """The time zone of the query is not documented: UTC is assumed, and the creation time is compared."""
    created = re.sub(r"[^0-9]", "", task.created_at)[:14]
    return (begin is None or created >= begin) and (end is None or created <= end)
