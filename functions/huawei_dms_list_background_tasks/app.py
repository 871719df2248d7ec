"""List the background tasks of a DMS instance on Huawei Cloud, page by page, to the end.

Provider page: "Listing Background Tasks", DMS API reference v2.
"""

from pathlib import Path

from task_cleanup.handler import make_handler
from task_cleanup.listing import Pages, confirmed_by
from task_cleanup.operation import Operation, Request
from task_cleanup.providers import dms
from task_cleanup.providers.service import Call
from task_cleanup.validation import load_schema


def call(request: Request) -> Call:
    """``GET /v2/{project_id}/instances/{instance_id}/tasks``, from the first record on."""
    return dms.list_call(request, 0)


OPERATION = Operation(
    name="huawei.dms.ListBackgroundTasks",
    service=dms.HUAWEI,
    schema=load_schema(Path(__file__).with_name("schema.json")),
    call=call,
    confirmed=confirmed_by(dms.read_page),
    pages=Pages(read=dms.read_page, call=dms.list_call, past_end=dms.PAST_END),
)

lambda_handler = make_handler(OPERATION)
