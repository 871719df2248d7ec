"""Stop one migration task of Huawei Cloud OMS. It does not stop at once: it is running, then pausing, then paused.

Provider page: "Stopping a Migration Task", OMS API reference v2. Success is HTTP 200 without a body, and means that
the stop was accepted. No function here can undo a stop: to start the task again, OMS needs the buckets' secrets.
"""

from pathlib import Path

from task_cleanup.handler import make_handler
from task_cleanup.operation import Goal, Operation
from task_cleanup.providers import huawei_gateway, huawei_oms
from task_cleanup.providers.model import Call, Request
from task_cleanup.validation import load_schema


def call(request: Request) -> Call:
    """``POST /v2/{project_id}/tasks/{task_id}/stop``."""
    return huawei_oms.task_call("POST", request["project_id"], request["task_id"], "stop")


OPERATION = Operation(
    name="huawei.oms.StopTask",
    service=huawei_oms.SERVICE,
    schema=load_schema(Path(__file__).with_name("schema.json")),
    call=call,
    goal=Goal.STOPPED,
    is_asynchronous=True,  # the task is pausing for a while
    check_success=huawei_gateway.check_success,
    already_done_codes=frozenset({"OMS.0066", "OMS.0070", "OMS.1009"}),  # not running; finished; no such task
)

lambda_handler = make_handler(OPERATION)
