"""Alibaba Cloud Elasticsearch, OpenAPI 2017-06-13 (ROA style).

Sources: the pages of DeleteDataTask and CancelTask, the product's and the gateway's error-code lists, and the
product metadata's endpoint list. ap-northeast-2 (Seoul) and ap-southeast-7 (Bangkok) are on the help page "Regions"
only. Throttling comes as HTTP 400: only the code identifies it.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from task_cleanup.errors import Category, Code
from task_cleanup.providers.alibaba_gateway import read_error, request_id
from task_cleanup.providers.model import (
    Call,
    Credentials,
    DeleteRequest,
    ErrorTable,
    ListCall,
    Look,
    Probe,
    Reply,
    Request,
    Service,
    TargetRules,
    instance_record,
    text_member,
)
from task_cleanup.results import Error
from task_cleanup.signing import acs3_hmac_sha256
from task_cleanup.tasks import AgeBasis, Page, Status, StatusTable, Task
from task_cleanup.times import plausible

VERSION = "2017-06-13"

REGIONS = (
    "cn-hangzhou",
    "cn-shanghai",
    "cn-qingdao",
    "cn-beijing",
    "cn-zhangjiakou",
    "cn-wulanchabu",
    "cn-shenzhen",
    "cn-guangzhou",
    "cn-chengdu",
    "cn-hongkong",
    "cn-hangzhou-finance",
    "cn-shanghai-finance-1",
    "cn-north-2-gov-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-5",
    "ap-southeast-7",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-south-1",
    "eu-central-1",
    "eu-west-1",
    "us-east-1",
    "us-west-1",
)

_MEANINGS = {
    Category.INVALID_REQUEST: (
        "MissingParameter InvalidParameter InvalidParameter.Format InvalidParameter.Accept "
        "MissingInstanceId InvalidInstanceId MissingTaskType InvalidTaskType "
        "IdempotentParameterMismatch MustChangeOneResource"
    ),
    Category.NOT_FOUND: "InstanceNotFound",  # the instance, never the task
    Category.CONFLICT: "InstanceActivating InstanceStatusNotSupportCurrentAction",
    Category.UNAUTHENTICATED: (
        "InvalidAccessKeyId.NotFound InvalidAccessKeyId.Inactive Forbidden.AccessKeyDisabled SignatureDoesNotMatch "
        "IncompleteSignature InvalidSignatureMethod SignatureNonceUsed InvalidTimeStamp.Format "
        "InvalidTimeStamp.Expired MissingSecurityToken InvalidSecurityToken.Expired InvalidSecurityToken.Malformed "
        "InvalidSecurityToken.MismatchWithAccessKey"
    ),
    Category.FORBIDDEN: "Forbidden.RAM NoPermission Forbidden AccessEsPermissionError ActionTrailNoPermission",
    Category.THROTTLED: "Throttling Throttling.User Throttling.Api Rejected.Throttling",
    Category.UNAVAILABLE: (
        "ServiceUnavailable InternalError UnknownError InternalServerError ApiConnectTimeout "
        "ConcurrencyUpdateInstanceConflict InstanceDuplicateScheduledTask TokenPreviousRequestProcessError "
        "IdempotentProcessing"
    ),
    Category.PROVIDER_ERROR: (
        "InvalidApi.NotFound InvalidProduct.NotFound InvalidRegion.NotFound InvalidProtocol.NeedSsl "
        "UnsupportedHTTPMethod ContentMD5NotMatched ContentLengthDoesNotMatch AlreadyReceivedInterruptSignal "
        "CssCheckUpdowngradeError "
        "RepetitionOperationError"  # CancelTask has it in `already_done_codes`
    ),
}
ERRORS = ErrorTable(
    {code: category for category, codes in _MEANINGS.items() for code in codes.split()},
)


def sign(call: Call, host: str, credentials: Credentials, *, now: datetime, nonce: str) -> dict[str, str]:
    """Sign with ``ACS3-HMAC-SHA256``."""
    return acs3_hmac_sha256.sign(
        method=call.method,
        host=host,
        path=call.path,
        query=call.query,
        action=call.action,
        version=VERSION,
        access_key_id=credentials.access_key_id,
        secret_access_key=credentials.secret_access_key,
        security_token=credentials.security_token,
        now=now,
        nonce=nonce,
    )


def check_success(reply: Reply) -> Error | None:
    """Whether a reply without a code confirms the change: HTTP 200 and ``{"Result": true}``, nothing less."""
    body = reply.json_object() or {}
    contradicted = any(name in body for name in ("Code", "code", "Error")) or body.get("Success", True) is not True
    if reply.status == 200 and body.get("Result") is True and not contradicted:
        return None
    if reply.status == 200 and body.get("Result") is False:
        return Error(Category.PROVIDER_ERROR, Code.RESULT_FALSE, "the provider answered Result: false")
    return Error(
        Category.PROVIDER_ERROR,
        Code.UNEXPECTED_REPLY,
        f"HTTP {reply.status} without the promised JSON body",
    )


def instance_call(action: str, method: str, instance_id: str, *path: str, **query: str) -> Call:
    """``{method} /openapi/instances/{instance_id}/{path}?{query}``. Query names are case-sensitive."""
    return Call(method, ("openapi", "instances", instance_id, *path), tuple(query.items()), action=action)


INSTANCE_PAGE = 100  # the most that ListInstance allows; its default is 10
_COUNT = re.compile("[0-9]{1,9}")


def list_instances_call(request: Request, received: int) -> Call:
    """``GET /openapi/instances`` (ListInstance): instances of every status in the region, by page number, from 1.

    Sources: the operation's page and the SDK 5.4.1 (``list_instance``). The right is ``elasticsearch:ListInstance``.
    No parameter sets the order of the records, and no document states it.
    """
    del request
    query = (("page", str(received // INSTANCE_PAGE + 1)), ("size", str(INSTANCE_PAGE)))
    return Call("GET", ("openapi", "instances"), query, action="ListInstance")


def read_instances(reply: Reply) -> Page | None:
    """Read ``{"Headers": {"X-Total-Count": n}, "Result": [{"instanceId", "status", …}]}``; both are in the body."""
    body = reply.json_object() or {}
    records, headers = body.get("Result"), body.get("Headers")
    total = str(headers.get("X-Total-Count")) if isinstance(headers, dict) else ""
    if not isinstance(records, list) or not _COUNT.fullmatch(total):
        return None
    return Page.whole(records, int(total), lambda record: instance_record(record, "instanceId"), INSTANCE_PAGE)


def list_call(request: Request, received: int) -> Call:
    """``GET …/data-task``: all data tasks of the instance. ``received`` is 0, since the service has no paging."""
    del received
    return instance_call("ListDataTasks", "GET", request["instance_id"], "data-task")


# `SUCCESS` is the only documented status. A task with any other may still run, so it is not deletable.
STATUSES = StatusTable(meanings={"SUCCESS": Status.SUCCEEDED}, deletable=frozenset({"SUCCESS"}))
_CREATED = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_MAX_DETAIL = 256  # characters
# Only names and addresses are kept of each side. A similar call returned passwords, so undocumented fields are
# dropped, and also `settings`, `mapping` and `routing`, into which users write any text.
_CLUSTER_FIELDS = ("dataSourceType", "index", "type", "endpoint", "vpcId", "vpcInstanceId", "vpcInstancePort")
# User information, path and query may hold passwords or tokens. With an `@` after the first `/`, `?` or `#` there is
# no match: what looks like the host may then be part of a password.
_ENDPOINT = re.compile(
    r"(?P<scheme>https?://)?([^/?#\\]*@)?(?P<host>([\w.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?)([/?#][^@]*)?",
    re.ASCII | re.IGNORECASE,
)


def read_page(reply: Reply) -> Page | None:
    """Read ``{"Result": […]}``, all data tasks of the instance: the service has no paging."""
    records = (reply.json_object() or {}).get("Result")
    if not isinstance(records, list):
        return None
    return Page.whole(records, len(records), _task)


def _task(record: Mapping[str, Any]) -> Task | None:
    """The task of a record; None if it has no id."""
    task_id = text_member(record, ("taskId",))
    if not task_id:
        return None
    provider_status = text_member(record, ("status",))
    status, deletable, why_not = STATUSES.judge(provider_status)
    created = _time(record.get("createTime"))
    # The documentation's field tables show the two sides exchanged, its samples do not: keep each side's own fields.
    clusters = {side: _cluster(record.get(side)) for side in ("sourceCluster", "sinkCluster")}
    source, sink = (cluster.get("index", "") for cluster in clusters.values())
    return Task(
        task_id=task_id,
        name=source or sink,
        status=status,
        provider_status=provider_status,
        deletable=deletable,
        why_not=why_not,
        created_at=created,
        age_basis=AgeBasis.CREATED if created else None,
        provider_detail={
            side: {name: value[:_MAX_DETAIL] for name, value in cluster.items()} for side, cluster in clusters.items()
        },
        raw=(record.get("createTime"), sink),  # nothing else is shown that could change, or move by itself
        also_named=(sink,) if source and sink else (),
    )


def _cluster(cluster: object) -> dict[str, str]:
    """The ``_CLUSTER_FIELDS`` as text, of an endpoint the host only."""
    members = cluster if isinstance(cluster, dict) else {}
    values = {name: members.get(name) for name in _CLUSTER_FIELDS}
    values["endpoint"] = _host_only(values["endpoint"])
    return {name: str(value) for name, value in values.items() if isinstance(value, (str, int))}


def _host_only(endpoint: object) -> str | None:
    """``http://user:password@10.0.0.5:9200/path`` → ``http://10.0.0.5:9200``; None if the host is not certain."""
    found = _ENDPOINT.fullmatch(endpoint) if isinstance(endpoint, str) else None
    return (found["scheme"] or "") + found["host"] if found else None


def _time(value: object) -> datetime | None:
    """The time of ``2026-11-21 08:30:00``, which has no zone, and no page names one.

    It may be UTC or China's (+08:00). UTC is the later moment of the two, so that no task looks older than it is.
    """
    text = str(value)
    try:
        return plausible(datetime.fromisoformat(text).replace(tzinfo=UTC)) if _CREATED.fullmatch(text) else None
    except ValueError:
        return None


def regions_call(request: Request) -> Call:
    """``GET /openapi/regions`` (DescribeRegions): reads nothing of the account."""
    del request
    return Call("GET", ("openapi", "regions"), action="DescribeRegions")


LOOK = Look(
    identity=("provider_status", "name", "created_at"),
    # No page tells how an unknown id is answered. These come where a parameter, of which the id is one, is not right.
    doubtful_codes=frozenset({Code.RESULT_FALSE, "InvalidParameter"}),
)

SERVICE = Service(
    provider="alibaba",
    name="elasticsearch",
    title="Elasticsearch",
    regions=REGIONS,
    host="elasticsearch.{}.aliyuncs.com".format,
    sign=sign,
    read_error=read_error,
    request_id=request_id,
    errors=ERRORS,
    statuses=STATUSES,
    listing=ListCall("alibaba.elasticsearch.ListDataTasks", list_call, read_page, is_paged=False),
    delete=DeleteRequest("alibaba.elasticsearch.DeleteDataTask", "elasticsearch_task_id", takes_token=True),
    target=TargetRules(
        "Data migration tasks of an Alibaba Cloud Elasticsearch instance",
        {"instance_id": "elasticsearch_instance_id"},
        required=("instance_id",),
    ),
    look=LOOK,
    exchange_id="alibaba_sts",
    probe=Probe("alibaba.elasticsearch.DescribeRegions", regions_call, "elasticsearch:DescribeRegions"),
    instances=(ListCall("alibaba.elasticsearch.ListInstance", list_instances_call, read_instances, by_number=True),),
)
