"""List the migration tasks of a project of Huawei Cloud OMS, page by page, to the end.

Provider page: "Querying Migration Tasks", OMS API reference v2.
"""

from pathlib import Path

from task_cleanup.handler import make_handler
from task_cleanup.listing import Pages, confirmed_by
from task_cleanup.operation import Operation, Request
from task_cleanup.providers import huawei_oms
from task_cleanup.providers.service import Call
from task_cleanup.validation import load_schema


def call(request: Request) -> Call:
    """``GET /v2/{project_id}/tasks``, from the first record on."""
    return huawei_oms.list_call(request, 0)


OPERATION = Operation(
    name="huawei.oms.ListTasks",
    service=huawei_oms.SERVICE,
    schema=load_schema(Path(__file__).with_name("schema.json")),
    call=call,
    confirmed=confirmed_by(huawei_oms.read_page),
    pages=Pages(read=huawei_oms.read_page, call=huawei_oms.list_call),
)

lambda_handler = make_handler(OPERATION)
