"""The API gateway in front of every Huawei Cloud and Open Telekom Cloud service: signing, error shape, codes.

Sources: the "Error codes" pages of both clouds' API gateways, and the error parser of the official SDK core.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from task_cleanup.errors import Category, Code
from task_cleanup.providers.model import Call, Credentials, ProviderError, Reply, coded, text_member
from task_cleanup.results import Error
from task_cleanup.signing import sdk_hmac_sha256

_CODES = {
    Category.INVALID_REQUEST: "0201 0602",
    Category.UNAUTHENTICATED: "0301 0303 0305 0307",
    Category.FORBIDDEN: "0302 0304 0306 0310 0401 0402 0404 0802",
    Category.THROTTLED: "0308",
    Category.UNAVAILABLE: "0601 0606 0610 0613",
    Category.PROVIDER_ERROR: "0101",  # path or method unknown there: our mistake, not the caller's
}
# `APIGW.` in front of public services, `APIG.` on dedicated gateways and in OTC's documents.
PREFIXES = ("APIGW.", "APIG.")
CODES: Mapping[str, Category] = {
    code: category for prefix in PREFIXES for code, category in coded(prefix, _CODES).items()
}
# 0201 covers the client's mistakes (400, 413, 414, 494) and the upstream's (502, 504).
BY_STATUS: Mapping[tuple[str, int], Category] = {
    (f"{prefix}0201", status): Category.UNAVAILABLE for prefix in PREFIXES for status in (502, 504)
}

_CODE_NAMES = ("error_code", "errorCode", "code")
_MESSAGE_NAMES = ("error_msg", "errorMsg", "message")
# Codes of an OMS task, in the record that ShowTask returns: why it failed, or why the record of its objects did.
_OF_TASKS = frozenset(
    {"error_reason", "failed_object_record", "success_record_error_reason", "skip_record_error_reason"}
)


def read_error(reply: Reply) -> ProviderError | None:
    """The error in a reply, in any of the shapes the official SDK knows, also one level deep."""
    body = reply.json_object()
    if body is None:
        return None
    inner = (value for name, value in body.items() if isinstance(value, dict) and name not in _OF_TASKS)
    candidates: list[dict[str, Any]] = [body, *inner]
    for candidate in candidates:
        if code := text_member(candidate, _CODE_NAMES) or _status_as_code(candidate):
            # `error_detail` names the bad parameter; it is undocumented, and the official SDK drops it.
            detail = text_member(candidate, ("error_detail",))
            return ProviderError(
                code,
                text_member(candidate, _MESSAGE_NAMES),
                {"error_detail": detail} if detail else {},
            )
    return None


def _status_as_code(candidate: Mapping[str, Any]) -> str:
    """IAM's own shape has the HTTP status for a code: ``{"error": {"code": 401, "title": "Unauthorized"}}``."""
    code = candidate.get("code")
    return str(code) if isinstance(code, int) and 400 <= code < 600 and text_member(candidate, ("title",)) else ""


def request_id(reply: Reply) -> str | None:
    """The request id from the header, or from the body of a gateway error."""
    return reply.headers.get("x-request-id") or text_member(reply.json_object() or {}, ("request_id",)) or None


def check_success(reply: Reply) -> Error | None:
    """Whether a reply without a code confirms a delete or a stop: 200 or 204 without a body.

    OMS promises 200, DMS 204, both without a body; 202 would be an acceptance, not a confirmation.
    """
    if reply.status in (200, 204) and not reply.body.strip():
        return None
    return Error(
        Category.PROVIDER_ERROR,
        Code.UNEXPECTED_REPLY,
        f"HTTP {reply.status} is not the empty reply that is promised",
    )


def sign(call: Call, host: str, credentials: Credentials, *, now: datetime, nonce: str) -> dict[str, str]:
    """Sign with ``SDK-HMAC-SHA256``, which has no nonce; an ``auth_token`` is sent as it is."""
    del nonce
    if credentials.auth_token is not None:
        return {"X-Auth-Token": credentials.auth_token}
    return sdk_hmac_sha256.sign(
        method=call.method,
        host=host,
        path=call.path,
        query=call.query,
        project_id=call.project_id,
        access_key_id=credentials.access_key_id,
        secret_access_key=credentials.secret_access_key,
        security_token=credentials.security_token,
        now=now,
    )
