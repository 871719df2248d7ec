"""The floor: one signed call with ``requests`` and nothing else. No validation, no log, no secret store, no retry."""

import hashlib
import hmac
import os
from datetime import UTC, datetime
from typing import Any

import requests

session = requests.Session()


def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Sign the call by SDK-HMAC-SHA256, send it, and return its status."""
    endpoint, project_id = os.environ["ENDPOINT"], os.environ["PROJECT_ID"]
    path = f"/v2/{project_id}/tasks/{event['task_id']}"
    date = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": endpoint.partition("://")[2], "x-project-id": project_id, "x-sdk-date": date}
    names = ";".join(headers)
    listed = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = "\n".join(("DELETE", path + "/", "", listed, names, hashlib.sha256(b"").hexdigest()))
    to_sign = "\n".join(("SDK-HMAC-SHA256", date, hashlib.sha256(canonical.encode()).hexdigest()))
    signature = hmac.new(os.environ["SECRET_ACCESS_KEY"].encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    headers["Authorization"] = (
        f"SDK-HMAC-SHA256 Access={os.environ['ACCESS_KEY_ID']}, SignedHeaders={names}, Signature={signature}"
    )
    reply = session.delete(endpoint + path, headers=headers, timeout=(3, 10))
    return {"status": reply.status_code}
