"""DMS (Distributed Message Service) background tasks, API v2: the same API on two clouds.

Sources: Open Telekom Cloud's DMS API reference ("Error Codes", "Deleting a Background Task") and its list of
endpoints. Throttling can come as HTTP 404 (``DMS.10240407``), and no code is known for a missing task.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

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
    instance_record,
    text_member,
)
from task_cleanup.tasks import AgeBasis, Page, Status, StatusTable, Task
from task_cleanup.times import parse_time, plausible

OTC_REGIONS = ("eu-de", "eu-nl")
HUAWEI_REGIONS = (
    "af-north-1",
    "af-south-1",
    "ae-ad-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "cn-east-2",
    "cn-east-3",
    "cn-east-4",
    "cn-east-5",
    "cn-north-1",
    "cn-north-2",
    "cn-north-4",
    "cn-north-9",
    "cn-north-11",
    "cn-north-12",
    "cn-south-1",
    "cn-south-2",
    "cn-south-4",
    "cn-southwest-2",
    "cn-southwest-3",
    "eu-west-0",
    "eu-west-101",
    "la-north-2",
    "la-south-2",
    "me-east-1",
    "my-kualalumpur-1",
    "na-mexico-1",
    "ru-moscow-1",
    "ru-northwest-2",
    "sa-brazil-1",
    "tr-west-1",
)

CODES = {
    **coded(
        "DMS.",
        {
            Category.INVALID_REQUEST: (
                "00400002 10240005 00400005 00400085 10240009 00400030 00400061 00400062 00400800 00400070 "
                "00400142 10240042 10240043 40050010"
            ),
            Category.NOT_FOUND: "00404022",
            Category.CONFLICT: "00400017 00400026",
            Category.UNAUTHENTICATED: "10240101 10240102 10240103",
            # 10240104 is "a project that is not the credentials' own": the request's mistake. As
            # `unauthenticated` it would suspend a key that is fine for everybody else.
            Category.FORBIDDEN: ("10240104 00403002 10240310 00403003 10240311 10240306 10240309 10240312"),
            Category.THROTTLED: "10240407",
            Category.UNAVAILABLE: (
                "111501024 00500000 00500006 00500017 00500024 00500025 00500041 00500052-00500054 00500070 "
                "00500071 00500094 00500106 10250002-10250006 111501025"
            ),
            Category.PROVIDER_ERROR: "00404001 10240406 00405001 111501026",
        },
    ),
    "CBC.99003651": Category.CONFLICT,  # a billing order of the instance is in progress
}


def _huawei_host(region: str) -> str:
    """``eu-west-101`` is in the domain ``.eu``, all other regions are in ``.com``."""
    return f"dms.{region}.myhuaweicloud.{'eu' if region == 'eu-west-101' else 'com'}"


def task_call(method: str, project_id: str, instance_id: str, task_id: str) -> Call:
    """``{method} /v2/{project_id}/instances/{instance_id}/tasks/{task_id}``: no engine segment here."""
    return Call(method, ("v2", project_id, "instances", instance_id, "tasks", task_id), project_id=project_id)


_COUNT = re.compile("[0-9]{1,9}")
PAGE_SIZE = 100  # what other clients ask for; the documentation states no maximum

# Codes of similar DMS lists for a start past the end; the documentation of this list has none.
PAST_END = frozenset({"DMS.00400062", "DMS.40050010"})

STATUSES = StatusTable(
    meanings={
        "CREATED": Status.WAITING,
        "EXECUTING": Status.RUNNING,
        "SUCCESS": Status.SUCCEEDED,
        "FAILED": Status.FAILED,
        "CANCELLED": Status.CANCELLED,
        "CANCELED": Status.CANCELLED,  # the console's spelling
    },
    deletable=frozenset({"SUCCESS", "FAILED", "CANCELLED", "CANCELED"}),
)


def list_call(request: Request, received: int) -> Call:
    """``GET …/tasks``; ``start`` is the 1-based index of the first record.

    No parameter sets the order of the records, and no document states it.
    """
    project_id = request["project_id"]
    query = (("start", str(received + 1)), ("limit", str(PAGE_SIZE)))
    return Call("GET", ("v2", project_id, "instances", request["instance_id"], "tasks"), query, project_id=project_id)


def read_page(reply: Reply) -> Page | None:
    """Read ``{task_count, tasks}``. The count is a string of digits, and counts all matching records."""
    body = reply.json_object() or {}
    records, count = body.get("tasks"), str(body.get("task_count", ""))
    if not isinstance(records, list) or not _COUNT.fullmatch(count):
        return None
    return Page.whole(records, int(count), _task, PAGE_SIZE)


def _task(record: Mapping[str, Any]) -> Task | None:
    """The task of a record; None if it has no id."""
    task_id = text_member(record, ("id",))
    if not task_id:
        return None
    provider_status = text_member(record, ("status",))
    status, deletable, why_not = STATUSES.judge(provider_status)
    # `updated_at` is set while a task runs, too; only in a final state is it the time of the end.
    ended = _time(record.get("updated_at")) if deletable else None
    return Task(
        task_id=task_id,
        name=text_member(record, ("name",)),
        status=status,
        provider_status=provider_status,
        deletable=deletable,
        why_not=why_not,
        created_at=_time(record.get("created_at")),
        ended_at=ended,
        age_basis=AgeBasis.ENDED if ended else None,
        # Not `updated_at`, which moves by itself, and not `params`, which may hold anything.
        raw=(record.get("created_at"),),
    )


def _time(value: object) -> datetime | None:
    try:
        return plausible(parse_time(value)) if isinstance(value, str) else None
    except ValueError:
        return None


def show_call(request: Request) -> Call:
    """``GET …/tasks/{task_id}`` (ShowBackgroundTask)."""
    return task_call("GET", request["project_id"], request["instance_id"], request["task_id"])


def read_shown(reply: Reply) -> tuple[Task, ...] | None:
    """ShowBackgroundTask answers with the list's wrapper around one record."""
    page = read_page(reply)
    return None if page is None or page.total != page.records else page.tasks


LOOK = Look(
    # `updated_at`, and so the end, moves by itself.
    identity=("provider_status", "name", "created_at"),
    show=show_call,
    read=read_shown,
    # No page tells what is shown of a deleted record. One that says so is the proof. A wrapper that counts 0 is none,
    # since no page gives it that meaning, nor is the list, since it has a window of time that no page gives.
    gone_statuses=frozenset({"DELETED"}),
    doubtful_codes=frozenset({"DMS.00400070"}),  # by its text the form of the id, which our pattern has checked
)


INSTANCE_PAGE = 50  # the most that ListInstances allows; its default is 10

# `engine` is mandatory by the providers' newer pages (by older ones, no engine means Kafka), so each is asked for.
# `reliability` is RocketMQ. These are the engines for which a provider's API reference has background tasks (Huawei's
# SDKs have them, too): that of Open Telekom Cloud has them for Kafka only.
HUAWEI_ENGINES = ("kafka", "rabbitmq", "reliability")
OTC_ENGINES = ("kafka",)


def list_instances_call(request: Request, received: int, *, engine: str) -> Call:
    """``GET /v2/{project_id}/instances`` (ListInstances): one engine's instances of every status, ``offset`` from 0.

    Sources: "Listing All Instances" of Huawei's and of Open Telekom Cloud's API references, and Huawei's SDKs 3.1.219
    for Kafka, RabbitMQ and RocketMQ. The right is ``dms:instance:list``.

    ``include_failure`` is not sent: by the pages it makes the reply count the instances that could not be created,
    and no page says whether it lists them too. A count of more than is listed would make every list incomplete.
    """
    project_id = request["project_id"]
    query = (("engine", engine), ("offset", str(received)), ("limit", str(INSTANCE_PAGE)))
    return Call("GET", ("v2", project_id, "instances"), query, project_id=project_id)


def read_instances(reply: Reply) -> Page | None:
    """Read ``{"instances": [{"instance_id", "status", …}], "instance_num": n}``."""
    body = reply.json_object() or {}
    records, count = body.get("instances"), str(body.get("instance_num", ""))
    if not isinstance(records, list) or not _COUNT.fullmatch(count):
        return None
    return Page.whole(records, int(count), lambda record: instance_record(record, "instance_id"), INSTANCE_PAGE)


def _instances(provider: str, engines: Collection[str]) -> tuple[ListCall, ...]:
    name = f"{provider}.dms.ListInstances"
    calls = [partial(list_instances_call, engine=engine) for engine in engines]
    return tuple(ListCall(name, call, read_instances, past_end=PAST_END) for call in calls)


def _service(
    provider: str,
    exchange_id: str,
    instance: str,
    engines: Sequence[str],
    regions: Collection[str],
    *,
    host: Callable[[str], str],
) -> Service:
    return Service(
        provider=provider,
        name="dms",
        title="DMS",
        regions=regions,
        host=host,
        sign=huawei_gateway.sign,
        read_error=huawei_gateway.read_error,
        request_id=huawei_gateway.request_id,
        errors=ErrorTable({**huawei_gateway.CODES, **CODES}, by_status=huawei_gateway.BY_STATUS),
        statuses=STATUSES,
        listing=ListCall(f"{provider}.dms.ListBackgroundTasks", list_call, read_page, past_end=PAST_END),
        delete=DeleteRequest(f"{provider}.dms.DeleteBackgroundTask", "dms_task_id"),
        target=TargetRules(
            f"Background tasks of {instance}",
            {"project_id": "project_id", "instance_id": "dms_instance_id"},
            required=("instance_id",),
        ),
        look=LOOK,
        exchange_id=exchange_id,
        probe=Probe(
            f"{provider}.dms.ListInstances",
            partial(list_instances_call, received=0, engine=engines[0]),
            "dms:instance:list",
        ),
        instances=_instances(provider, engines),
    )


HUAWEI = _service(
    "huawei",
    "huawei_sts",
    "a Huawei Cloud DMS instance",
    HUAWEI_ENGINES,
    HUAWEI_REGIONS,
    host=_huawei_host,
)
OTC = _service(
    "otc",
    "otc_iam",
    "an Open Telekom Cloud DMS instance",
    OTC_ENGINES,
    OTC_REGIONS,
    host="dms.{}.otc.t-systems.com".format,
)
