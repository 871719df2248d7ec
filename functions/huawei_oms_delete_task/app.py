"""Delete one migration task of Huawei Cloud OMS. A running task is refused (``OMS.0063``: ``conflict``).

Provider page: "Deleting a Migration Task", OMS API reference v2. Success is HTTP 200 without a body. With
``stop_running``, a stop is sent to a running task, and the next delivery of the message deletes the task: OMS can
answer ``OMS.0063`` even after the stop has finished.
"""

from pathlib import Path

from task_cleanup.handler import make_handler
from task_cleanup.operation import Goal, Operation, StopFirst
from task_cleanup.providers import huawei_gateway, huawei_oms
from task_cleanup.providers.model import Call, Request
from task_cleanup.validation import load_schema


def call(request: Request) -> Call:
    """``DELETE /v2/{project_id}/tasks/{task_id}``."""
    return huawei_oms.task_call("DELETE", request["project_id"], request["task_id"])


def stop(request: Request) -> Call:
    """``POST /v2/{project_id}/tasks/{task_id}/stop``."""
    return huawei_oms.task_call("POST", request["project_id"], request["task_id"], "stop")


OPERATION = Operation(
    name="huawei.oms.DeleteTask",
    service=huawei_oms.SERVICE,
    schema=load_schema(Path(__file__).with_name("schema.json")),
    call=call,
    goal=Goal.GONE,
    check_success=huawei_gateway.check_success,
    already_done_codes=frozenset({"OMS.1009"}),  # no such task; comes with HTTP 400
    stop_first=StopFirst(frozenset({"OMS.0063"}), stop),
)

lambda_handler = make_handler(OPERATION)
