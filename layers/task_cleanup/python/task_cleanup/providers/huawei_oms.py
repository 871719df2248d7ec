"""Huawei Cloud OMS (Object Storage Migration Service), API v2.

Sources: the OMS API reference ("Error Codes", "Deleting a Migration Task") and the official SDK's region list.
OMS sends nearly every error with HTTP 400, also for internal errors and missing tasks: only the code identifies it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeGuard

from task_cleanup.errors import Category
from task_cleanup.providers import huawei_gateway
from task_cleanup.providers.model import (
    Call,
    DeleteRequest,
    ErrorTable,
    ListCall,
    Look,
    Probe,
    Reply,
    Request,
    Service,
    TargetRules,
    coded,
    text_member,
)
from task_cleanup.tasks import AgeBasis, Page, Status, StatusTable, Task
from task_cleanup.times import plausible

REGIONS = (
    "cn-north-1",
    "cn-north-4",
    "cn-north-9",
    "cn-north-12",
    "cn-east-2",
    "cn-east-3",
    "cn-east-4",
    "cn-south-1",
    "cn-south-4",
    "cn-southwest-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "la-south-2",
    "la-north-2",
    "tr-west-1",
    "sa-brazil-1",
    "me-east-1",
    "af-south-1",
)

CODES = coded(
    "OMS.",
    {
        Category.INVALID_REQUEST: (
            "0001 0002 0004 0005 0051 0052 0054 0057-0061 0064 0067 0074 0078-0081 0083-0085 0087 0151 "
            "1002-1004 1006-1008 1010"
        ),
        Category.NOT_FOUND: "0089 0306 1009 2002",  # 1009: no such task; for both operations that is done
        Category.CONFLICT: "0063 0077 1021 1036 1037",
        Category.UNAUTHENTICATED: "0068 1005",
        Category.FORBIDDEN: "0072 0201-0206 1041",
        Category.UNAVAILABLE: "0053 0062 0073 0086 0152 0153 0155 0159-0161 1001 2004",
        Category.PROVIDER_ERROR: (
            "0065 0066 0070 1038 "  # nothing to change; StopTask has 0066 and 0070 in `already_done_codes`
            "0156-0158 0167-0169 0302-0305 0307 0308 1011-1020 1022-1035 1039 1040"
        ),
    },
)


def task_call(method: str, project_id: str, task_id: str, *action: str) -> Call:
    """``{method} /v2/{project_id}/tasks/{task_id}[/{action}]``."""
    return Call(method, ("v2", project_id, "tasks", task_id, *action), project_id=project_id)


PAGE_SIZE = 100  # the most that ListTasks gives

STATUSES = StatusTable(
    meanings={
        "1": Status.WAITING,
        "2": Status.RUNNING,
        "3": Status.PAUSED,
        "4": Status.FAILED,
        "5": Status.SUCCEEDED,
        "6": Status.RUNNING,  # being tried again
        "7": Status.RUNNING,  # pausing: not stopped yet
    },
    deletable=frozenset({"3", "4", "5"}),
)
_STOPPED = frozenset({"3", "4", "5"})
_STOPPABLE = frozenset({"2", "6"})


def list_call(request: Request, received: int) -> Call:
    """``GET /v2/{project_id}/tasks``; ``offset`` is the index of the first record, not a page number.

    No parameter sets the order of the records, and no document states it.
    """
    query = (("limit", str(PAGE_SIZE)), ("offset", str(received)))
    return Call("GET", ("v2", request["project_id"], "tasks"), query, project_id=request["project_id"])


def read_page(reply: Reply) -> Page | None:
    """Read ``{tasks, count}``. By the documentation, ``count`` counts all matching tasks."""
    body = reply.json_object() or {}
    records, count = body.get("tasks"), body.get("count")
    if not isinstance(records, list) or not _is_whole(count):
        return None
    return Page.whole(records, count, _task, PAGE_SIZE)


def _task(record: Mapping[str, Any]) -> Task | None:
    """The task of a record; None if it has no id."""
    task_id = str(record.get("id", ""))
    if not (task_id.isascii() and task_id.isdigit()):
        return None
    provider_status = str(record.get("status", ""))
    status, deletable, why_not = STATUSES.judge(provider_status)
    started = _milliseconds(record.get("start_time"))
    # No field holds the end. For a task that does not run any more, it is `start_time` plus `total_time`.
    ran = record.get("total_time")
    ended = None
    if provider_status in _STOPPED and started is not None and _is_whole(ran):
        ended = _milliseconds(record["start_time"] + ran)
    return Task(
        task_id=task_id,
        name=text_member(record, ("name",)),
        status=status,
        provider_status=provider_status,
        deletable=deletable,
        why_not=why_not,
        started_at=started,
        inferred_end_at=ended,
        stoppable=provider_status in _STOPPABLE,
        age_basis=AgeBasis.INFERRED if ended else None,
        group_id=text_member(record, ("group_id",)) or None,
        raw=_raw(record, has_stopped=provider_status in _STOPPED),
    )


def _raw(record: Mapping[str, Any], *, has_stopped: bool) -> tuple[object, ...]:
    """What changes only if something happens to the task.

    `left_time` and `migrate_speed` move by themselves, and so does `total_time` as long as the task is not stopped.
    """
    counters = ("total_num", "successful_num", "failed_num", "skipped_num", "total_size", "complete_size")
    names = ("start_time", *counters, *(("total_time",) if has_stopped else ()))
    return tuple(record.get(name) for name in names)


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _milliseconds(value: object) -> datetime | None:
    """The time of Unix milliseconds; None for 0, which OMS sends for "not yet"."""
    if not _is_whole(value):
        return None
    try:
        return plausible(datetime.fromtimestamp(value / 1000, UTC))
    except (ValueError, OverflowError, OSError):
        return None


def show_call(request: Request) -> Call:
    """``GET /v2/{project_id}/tasks/{task_id}`` (ShowTask)."""
    return task_call("GET", request["project_id"], request["task_id"])


def read_task(reply: Reply) -> tuple[Task, ...] | None:
    """ShowTask's reply is the record itself."""
    task = _task(reply.json_object() or {})
    return None if task is None else (task,)


LOOK = Look(
    identity=("provider_status", "name", "started_at"),
    show=show_call,
    read=read_task,
    gone_codes=frozenset({"OMS.1009"}),  # no such task, with HTTP 400
    stoppable=_STOPPABLE,
    after_stop=frozenset({"3", "7"}),  # paused, pausing
    # An id that is not valid, by its text; no page tells how an unknown one is answered.
    doubtful_codes=frozenset({"OMS.0054"}),
)

SERVICE = Service(
    provider="huawei",
    name="oms",
    title="OMS",
    regions=REGIONS,
    host="oms.{}.myhuaweicloud.com".format,
    sign=huawei_gateway.sign,
    read_error=huawei_gateway.read_error,
    request_id=huawei_gateway.request_id,
    errors=ErrorTable({**huawei_gateway.CODES, **CODES}, by_status=huawei_gateway.BY_STATUS),
    statuses=STATUSES,
    listing=ListCall("huawei.oms.ListTasks", list_call, read_page),
    delete=DeleteRequest("huawei.oms.DeleteTask", "oms_task_id", can_stop=True),
    target=TargetRules("Migration tasks of a Huawei Cloud project", {"project_id": "project_id"}),
    look=LOOK,
    exchange_id="huawei_sts",
    probe=Probe("huawei.oms.ListTasks", partial(list_call, received=0), "oms:task:list"),
)
