"""Delete one index-migration task (``et_cn_…``) of an Alibaba Cloud Elasticsearch instance.

Provider page: "DeleteDataTask", Alibaba Cloud Elasticsearch API reference, version 2017-06-13. No code is known
for a task that is already gone, so ``unchanged`` cannot occur here.
"""

from pathlib import Path

from task_cleanup.handler import make_handler
from task_cleanup.operation import Goal, Operation
from task_cleanup.providers import alibaba_elasticsearch
from task_cleanup.providers.model import Call, Request
from task_cleanup.validation import load_schema


def call(request: Request) -> Call:
    """``DELETE /openapi/instances/{InstanceId}/data-task?ClientToken&taskId`` (not ``clientToken``)."""
    return alibaba_elasticsearch.instance_call(
        "DeleteDataTask",
        "DELETE",
        request["instance_id"],
        "data-task",
        ClientToken=request["client_token"],
        taskId=request["task_id"],
    )


OPERATION = Operation(
    name="alibaba.elasticsearch.DeleteDataTask",
    service=alibaba_elasticsearch.SERVICE,
    schema=load_schema(Path(__file__).with_name("schema.json")),
    call=call,
    goal=Goal.GONE,
    check_success=alibaba_elasticsearch.check_success,
)

lambda_handler = make_handler(OPERATION)
