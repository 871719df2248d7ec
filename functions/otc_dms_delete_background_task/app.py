"""Delete the record of one background task of a DMS instance on Open Telekom Cloud.

Provider page: "Deleting a Background Task", DMS API reference v2. Success is HTTP 204 without a body. Only the
record is deleted; the work that it describes goes on. No code is known for a record that is already deleted, so
``unchanged`` cannot occur here: a 404 may be throttling.
"""

from pathlib import Path

from task_cleanup.handler import make_handler
from task_cleanup.operation import Goal, Operation
from task_cleanup.providers import dms, huawei_gateway
from task_cleanup.providers.model import Call, Request
from task_cleanup.validation import load_schema


def call(request: Request) -> Call:
    """``DELETE /v2/{project_id}/instances/{instance_id}/tasks/{task_id}``."""
    return dms.task_call("DELETE", request["project_id"], request["instance_id"], request["task_id"])


OPERATION = Operation(
    name="otc.dms.DeleteBackgroundTask",
    service=dms.OTC,
    schema=load_schema(Path(__file__).with_name("schema.json")),
    call=call,
    goal=Goal.GONE,
    check_success=huawei_gateway.check_success,
)

lambda_handler = make_handler(OPERATION)
