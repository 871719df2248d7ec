"""DMS (Distributed Message Service) background tasks, API v2: the same API on two clouds.

Sources: Open Telekom Cloud's DMS API reference ("Error Codes", "Deleting a Background Task") and its list of
endpoints. Traps: throttling can come as HTTP 404 (``DMS.10240407``), and no code is known for a missing task.
"""

from task_cleanup.errors import Category
from task_cleanup.providers import huawei_gateway
from task_cleanup.providers.service import Call, ErrorTable, Service, coded

OTC_REGIONS = ("eu-de", "eu-nl")

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


def _service(provider: str, hosts: dict[str, str]) -> Service:
    return Service(
        provider=provider,
        name="dms",
        hosts=hosts,
        sign=huawei_gateway.sign,
        read_error=huawei_gateway.read_error,
        request_id=huawei_gateway.request_id,
        errors=ErrorTable({**huawei_gateway.CODES, **CODES}, by_status=huawei_gateway.BY_STATUS),
        needs_project=True,
    )


OTC = _service("otc", {region: f"dms.{region}.otc.t-systems.com" for region in OTC_REGIONS})


def task_call(method: str, project_id: str, instance_id: str, task_id: str) -> Call:
    """``{method} /v2/{project_id}/instances/{instance_id}/tasks/{task_id}``: no engine segment here."""
    return Call(method, ("v2", project_id, "instances", instance_id, "tasks", task_id), project_id=project_id)
