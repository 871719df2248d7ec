"""List the migration tasks of a project of Huawei Cloud OMS, page by page, to the end.

Provider page: "Querying Migration Tasks", OMS API reference v2.
"""

from pathlib import Path

from task_cleanup.handler import make_handler
from task_cleanup.operation import list_operation
from task_cleanup.providers import huawei_oms
from task_cleanup.validation import load_schema

# The call and the meaning of its replies are in the service's module, since a sweep uses them too.
OPERATION = list_operation(huawei_oms.SERVICE, load_schema(Path(__file__).with_name("schema.json")))

lambda_handler = make_handler(OPERATION)
