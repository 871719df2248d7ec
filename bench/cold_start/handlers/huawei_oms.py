"""A peer: DeleteTask of OMS by Huawei Cloud's official SDK, with validation, a log line and a cached secret."""

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities import parameters
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkoms.v2 import DeleteTaskRequest, OmsClient
from jsonschema import Draft202012Validator

logger = Logger(service="peer")
validator = Draft202012Validator(json.loads(Path(__file__).with_name("schema.json").read_bytes()))


@lru_cache(1)
def client(access_key_id: str, secret_access_key: str, project_id: str) -> Any:  # noqa: ANN401 - the SDK's own type
    """The SDK's client, made anew where the secret has changed."""
    credentials = BasicCredentials(access_key_id, secret_access_key, project_id)
    return OmsClient.new_builder().with_credentials(credentials).with_endpoint(os.environ["ENDPOINT"]).build()


@logger.inject_lambda_context
def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Validate, fetch the secret, call, log."""
    validator.validate(event)
    secret: Any = parameters.get_secret("task-cleanup/huawei/default", transform="json", max_age=300)
    sdk = client(secret["access_key_id"], secret["secret_access_key"], secret["project_id"])
    reply = sdk.delete_task(DeleteTaskRequest(task_id=event["task_id"]))
    logger.info("deleted", extra={"task_id": event["task_id"], "status": reply.status_code})
    return {"status": reply.status_code}
