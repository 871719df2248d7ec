"""List the index-migration tasks of an Alibaba Cloud Elasticsearch instance.

Provider page: "ListDataTasks", Alibaba Cloud Elasticsearch API reference, version 2017-06-13. There is no paging, no
filter, and only one documented status (``SUCCESS``): every other is ``unknown`` and not deletable.
"""

from pathlib import Path

from task_cleanup.handler import make_handler
from task_cleanup.operation import list_operation
from task_cleanup.providers import alibaba_elasticsearch
from task_cleanup.validation import load_schema

# The call and the meaning of its replies are in the service's module, since a sweep uses them too.
OPERATION = list_operation(alibaba_elasticsearch.SERVICE, load_schema(Path(__file__).with_name("schema.json")))

lambda_handler = make_handler(OPERATION)
