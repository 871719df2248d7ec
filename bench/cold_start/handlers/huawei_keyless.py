"""A peer without a stored key: DeleteTask of OMS by Huawei Cloud's official SDK and its own OIDC provider.

With validation and a log line. The identity token is from AWS STS, by boto3. The SDK keeps the keys that it gets for
the token; the client is made anew, with a new token, when it is ten minutes old: the SDK would show an old one.
"""

import json
import os
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from huaweicloudsdkcore.auth.provider import OidcStsCredentialProvider
from huaweicloudsdkoms.v2 import DeleteTaskRequest, OmsClient
from jsonschema import Draft202012Validator

logger = Logger(service="peer")
validator = Draft202012Validator(json.loads(Path(__file__).with_name("schema.json").read_bytes()))
sts = boto3.client("sts")


@lru_cache(1)
def client(_ten_minutes: int) -> Any:  # noqa: ANN401 - the SDK's own type
    """The SDK's client, with a fresh token. The provider takes agency, OIDC provider and project from variables."""
    told = sts.get_web_identity_token(
        Audience=[os.environ["AUDIENCE"]], SigningAlgorithm="RS256", DurationSeconds=300
    )
    credentials = OidcStsCredentialProvider("basic", id_token=told["WebIdentityToken"]).get_credentials()
    return OmsClient.new_builder().with_credentials(credentials).with_endpoint(os.environ["ENDPOINT"]).build()


@logger.inject_lambda_context
def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Validate, call, log."""
    validator.validate(event)
    sdk = client(int(time.monotonic() // 600))
    reply = sdk.delete_task(DeleteTaskRequest(task_id=event["task_id"]))
    logger.info("deleted", extra={"task_id": event["task_id"], "status": reply.status_code})
    return {"status": reply.status_code}
