"""A peer: DeleteDataTask by Alibaba Cloud's official SDK, with validation, a log line and a cached secret."""

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from alibabacloud_elasticsearch20170613 import models
from alibabacloud_elasticsearch20170613.client import Client
from alibabacloud_tea_openapi.utils_models import Config
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities import parameters
from jsonschema import Draft202012Validator

logger = Logger(service="peer")
validator = Draft202012Validator(json.loads(Path(__file__).with_name("schema.json").read_bytes()))


@lru_cache(1)
def client(access_key_id: str, secret_access_key: str) -> Any:  # noqa: ANN401 - the SDK's own type
    """The SDK's client, made anew where the secret has changed."""
    scheme, _, host = os.environ["ENDPOINT"].partition("://")
    return Client(
        Config(
            access_key_id=access_key_id, access_key_secret=secret_access_key, endpoint=host, protocol=scheme.upper()
        )
    )


@logger.inject_lambda_context
def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Validate, fetch the secret, call, log."""
    validator.validate(event)
    secret: Any = parameters.get_secret("task-cleanup/alibaba/default", transform="json", max_age=300)
    reply = client(secret["access_key_id"], secret["secret_access_key"]).delete_data_task(
        event["instance_id"],
        models.DeleteDataTaskRequest(client_token=event["client_token"], task_id=event["task_id"]),
    )
    logger.info("deleted", extra={"task_id": event["task_id"], "status": reply.status_code})
    return {"status": reply.status_code}
