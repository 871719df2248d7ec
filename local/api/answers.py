"""What the HTTP API answers, for its document: every status, with an example.

The examples are made of the operations' sample requests and of the services' tables of codes. The gateway's own
answers have no result: no function ran, or none answered in time.

Source: API Gateway developer guide, "HTTP API quotas".
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from local.api.routes import HttpOperation
from task_cleanup import triggers
from task_cleanup.errors import Category, CleanupError, Code
from task_cleanup.results import Error, Evidence, Outcome, Result, Sighting, Target, When
from task_cleanup.sweep.services import SERVICES
from task_cleanup.validation import RequestValidator

Json = dict[str, Any]

# The gateway's own answers, without a function (HTTP APIs: the IAM authorizer, routing, limits, time-outs).
GATEWAY: Mapping[int, str] = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    413: "Request Entity Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
    504: "Endpoint request timed out",
}
_GATEWAY_ONLY = {
    403: "The caller's AWS identity is missing, wrong, or may not call this route.",
    413: "The body is larger than the gateway takes (10 MB).",
}
_EXAMPLE_TIME = datetime(2026, 11, 21, 8, 30, 0, 123000, UTC)
_EXAMPLE_ID = "0b6e7a52-6a4f-4b5e-9d7c-1f2e3d4c5b6a"


def statuses() -> list[int]:
    """All statuses but 200 that the HTTP API can answer."""
    return sorted({*triggers.HTTP_STATUS.values(), *GATEWAY})


def response_name(status: int) -> str:
    """The name of the component that describes this answer."""
    return f"Answer{status}"


def success(operation: HttpOperation) -> Json:
    """The answer 200 of one operation."""
    result = Result(
        operation=operation.name,
        outcome=Outcome.SUCCEEDED,
        target=operation.target,
        completed_at=_EXAMPLE_TIME,
        correlation_id=_EXAMPLE_ID,
        duration_ms=41.7,
        attempts=1,
        http_status=200,
        request_id="3F71A6D2-7BD0-4A53-9119-386A2F0B0001",
        client_token="5A2CFF0E-5718-45B5-9D4D-70B3FF000001" if "client_token" in operation.other_fields else None,
    )
    return {
        "description": "`succeeded`, `unchanged` or `planned`: the wanted state holds, or would be asked for.",
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/Result"}, "example": result.to_dict()}
        },
    }


def responses(operations: Sequence[HttpOperation]) -> Json:
    """All other answers as components; ``operations`` are those that the examples can be about."""
    return {response_name(status): _response(status, operations) for status in statuses()}


def _response(status: int, operations: Sequence[HttpOperation]) -> Json:
    categories = [category for category, code in triggers.HTTP_STATUS.items() if code == status]
    names = ", ".join(f"`{category.value}`" for category in categories)
    response: Json = {
        "description": f"Error category {names}." if categories else _GATEWAY_ONLY[status],
        "content": {},
    }
    if categories:
        reply = triggers.http_reply(_failed(categories[0], _about(status, operations)))
        response["content"]["application/problem+json"] = {
            "schema": {"$ref": "#/components/schemas/Problem"},
            "example": json.loads(reply["body"]),
        }
        if retry_after := reply["headers"].get("Retry-After"):
            response["headers"] = {
                "Retry-After": {
                    "description": "Seconds to wait. The gateway's own refusals have none.",
                    "schema": {"type": "integer", "minimum": 1},
                    "example": int(retry_after),
                }
            }
    if status in GATEWAY:
        response["content"]["application/json"] = {
            "schema": {"$ref": "#/components/schemas/GatewayMessage"},
            "example": {"message": GATEWAY[status]},
        }
    return response


def _about(status: int, operations: Sequence[HttpOperation]) -> HttpOperation:
    """The operation of this status's example: they take turns, without those that only read."""
    changes = [operation for operation in operations if operation.method != "get"] or operations
    if status == triggers.HTTP_STATUS[Category.PRECONDITION_FAILED]:
        changes = [operation for operation in changes if "expected" in operation.other_fields] or changes
    return changes[statuses().index(status) % len(changes)]


def _failed(category: Category, operation: HttpOperation) -> Result:
    error = _error(category, operation)
    target = operation.target
    is_sent = category not in (Category.INVALID_REQUEST, Category.INTERNAL, Category.PRECONDITION_FAILED)
    looks = (Sighting(When.BEFORE, Evidence.SHOW, found=True),) if category is Category.PRECONDITION_FAILED else ()
    return Result(
        operation=operation.name,
        outcome=Outcome.CONFLICT if category is Category.CONFLICT else Outcome.FAILED,
        target=Target(target.provider, target.service) if category is Category.INVALID_REQUEST else target,
        completed_at=_EXAMPLE_TIME,
        correlation_id=_EXAMPLE_ID,
        duration_ms=41.7,
        attempts=int(is_sent),
        # A provider answers many kinds of failures with 400: the code decides.
        http_status=400 if is_sent and category is not Category.TIMEOUT else None,
        error=error,
        looks=looks,
    )


def _error(category: Category, operation: HttpOperation) -> Error:
    """The example's error: one of the function's own if the category has one, else a code of the service's table."""
    target = operation.target
    if category is Category.INVALID_REQUEST:
        return _refusal(operation)
    if category is Category.INTERNAL:
        message = f"the secret task-cleanup/{target.provider}/{target.account} does not exist"
        return Error(category, Code.SECRET_NOT_FOUND, message)
    if category is Category.TIMEOUT:
        return Error(category, Code.TIMEOUT, "no answer in time", {"note": "the provider may have made the change"})
    if category is Category.PRECONDITION_FAILED:
        seen = {"expected": {"name": "nightly-copy"}, "found": {"name": "nightly-copy-2"}}
        return Error(category, Code.TASK_CHANGED, "the task is not as expected: name; nothing was sent", seen)
    service = SERVICES.get(f"{target.provider}_{target.service}")
    codes = service.errors.codes if service else {}
    code = next((code for code, meaning in codes.items() if meaning is category), "TheProvidersCode")
    hint = {"retry_after_seconds": 3} if category is Category.THROTTLED else None
    return Error(category, code, "the provider's own text", hint)


def _refusal(operation: HttpOperation) -> Error:
    """The refusal of a wrong value for the last id in the path."""
    wrong = {**operation.sample, operation.path_fields[-1]: "?"}
    try:
        RequestValidator(operation.schema).validate(wrong)
    except CleanupError as error:
        return Error(error.category, error.code, error.message, error.detail)
    raise ValueError(f"{operation.name} takes ? for an id")
