"""List the index-migration tasks of an Alibaba Cloud Elasticsearch instance.

Provider page: "ListDataTasks", Alibaba Cloud Elasticsearch API reference, version 2017-06-13. There is no paging, no
filter, and only one documented status (``SUCCESS``): every other is ``unknown`` and not deletable.
"""

from pathlib import Path

from task_cleanup.handler import make_handler
from task_cleanup.listing import Pages, confirmed_by
from task_cleanup.operation import Operation, Request
from task_cleanup.providers import alibaba_elasticsearch
from task_cleanup.providers.service import Call
from task_cleanup.validation import load_schema


def call(request: Request) -> Call:
    """``GET /openapi/instances/{InstanceId}/data-task``, without any parameter."""
    return alibaba_elasticsearch.instance_call("ListDataTasks", "GET", request["instance_id"], "data-task")


OPERATION = Operation(
    name="alibaba.elasticsearch.ListDataTasks",
    service=alibaba_elasticsearch.SERVICE,
    schema=load_schema(Path(__file__).with_name("schema.json")),
    call=call,
    confirmed=confirmed_by(alibaba_elasticsearch.read_page),
    pages=Pages(read=alibaba_elasticsearch.read_page),
)

lambda_handler = make_handler(OPERATION)
