"""Cancel the node migration that runs on an Alibaba Cloud Elasticsearch instance.

Provider page: "CancelTask", Alibaba Cloud Elasticsearch API reference, version 2017-06-13. The call names no task:
it stops the migration that runs when it arrives. So a request from a queue expires after one hour.
"""

from datetime import timedelta
from pathlib import Path

from task_cleanup.handler import make_handler
from task_cleanup.operation import Operation
from task_cleanup.providers import alibaba_elasticsearch
from task_cleanup.providers.model import Call, Request
from task_cleanup.validation import load_schema


def call(request: Request) -> Call:
    """``POST /openapi/instances/{InstanceId}/actions/cancel-task?taskType&clientToken`` (not ``ClientToken``)."""
    return alibaba_elasticsearch.instance_call(
        "CancelTask",
        "POST",
        request["instance_id"],
        "actions",
        "cancel-task",
        clientToken=request["client_token"],
        taskType=request["task_type"],
    )


OPERATION = Operation(
    name="alibaba.elasticsearch.CancelTask",
    service=alibaba_elasticsearch.SERVICE,
    schema=load_schema(Path(__file__).with_name("schema.json")),
    call=call,
    check_success=alibaba_elasticsearch.check_success,
    already_done_codes=frozenset({"RepetitionOperationError"}),  # it is being cancelled already
    max_age_in_queue=timedelta(hours=1),
)

lambda_handler = make_handler(OPERATION)
