"""The sweep's two routes for the OpenAPI document: ``local.api.openapi`` puts them beside the operations' own.

Their answers are not results: ``POST`` answers 202 with the place of the summary, ``GET`` with the summary. Problems
have the published shape without the member ``result``.
"""

import json
from collections.abc import Mapping
from typing import Any

from local.api import schemas
from local.aws import stack
from task_cleanup import triggers
from task_cleanup.errors import Category, Code
from task_cleanup.results import Error
from task_cleanup.sweep.claims import RUN_ID_REUSED

Json = dict[str, Any]

TAG = "sweep"
ASK = ("post", "/sweeps")
TELL = ("get", "/sweeps/{run_id}")
RUN_ID_HEADER = "Idempotency-Key"

_RUN_ID = "nightly-2026-11-21"
_REQUEST_ID = "JKJaXmPLvHcESH5="
_REPORT = {
    "bucket": "task-cleanup-reportbucket-1a2b3c4d5e6f",
    "json": f"reports/{_RUN_ID}/report.json",
    "html": f"reports/{_RUN_ID}/index.html",
}
_DURATION = "must be a duration in days or hours, such as P7D or PT12H"
# The function's own problems, with one example each. All other error answers are the gateway's.
_ERRORS: Mapping[int, Error] = {
    400: Error(
        Category.INVALID_REQUEST,
        Code.SCHEMA_VIOLATION,
        f"the request is not valid: /select/older_than {_DURATION}",
        {"violations": [{"pointer": "/select/older_than", "rule": "pattern", "allowed": _DURATION}]},
    ),
    404: Error(Category.NOT_FOUND, "RunNotFound", "no sweep with this id has begun"),
    409: Error(Category.CONFLICT, RUN_ID_REUSED.code, RUN_ID_REUSED.message),
    503: Error(Category.UNAVAILABLE, "AwsUnavailable", "AWS refused a call (ThrottlingException)"),
}
_COUNTS = {
    "found": 240,
    "selected": 96,
    "protected": 3,
    "not_deletable": 12,
    "other_status": 9,
    "other_name": 0,
    "too_young": 118,
    "age_unknown": 2,
    "requested": 0,
    "failed": 0,
}


def component_schemas() -> dict[str, Json]:
    """Component name -> JSON Schema of what goes in and out."""
    published = schemas.published()
    return {
        "Sweep.Request": schemas.request(schemas.SWEEP),
        "Sweep.Accepted": _accepted(),
        "Sweep.Running": _running(),
        "Sweep.Summary": schemas.summary(),
        "Sweep.Problem": problem(published["Problem"], published["Result"]),
    }


def paths(gateway: Mapping[int, str]) -> Json:
    """Both routes; ``gateway`` has API Gateway's own answers, by status."""
    found: Json = {}
    for (method, path), operation in {ASK: _ask(gateway), TELL: _tell(gateway)}.items():
        found.setdefault(path, {})[method] = operation
    return found


def sample(name: str) -> Json:
    """A sample event of the function."""
    event: Json = json.loads((stack.ROOT / "events" / schemas.SWEEP / f"{name}.json").read_text())
    return event


# -- requests ------------------------------------------------


def _ask(gateway: Mapping[int, str]) -> Json:
    rule = _run_id()
    return {
        "operationId": "sweep.Request",
        "tags": [TAG],
        "summary": schemas.request(schemas.SWEEP)["title"],
        "description": (
            "Checks the request, puts it in the sweep's queue and answers at once; nothing has been listed by then. "
            "The answer says where the summary and the report will be. The same run id again does nothing again."
        ),
        "parameters": [
            {
                "name": RUN_ID_HEADER,
                "in": "header",
                "description": "The field `run_id`, instead of the body's member.",
                "schema": {name: value for name, value in rule.items() if name != "description"},
                "example": _RUN_ID,
            }
        ],
        "requestBody": {
            "required": True,
            "description": "A policy, or the report whose plan is to be carried out.",
            "content": {"application/json": _content("Sweep.Request", json.loads(sample("http")["body"]))},
        },
        "responses": {
            "202": {
                "description": "Asked for. Whether it went well is in the summary, not here.",
                "content": {
                    "application/json": _content(
                        "Sweep.Accepted", {"run_id": _RUN_ID, "status": f"/sweeps/{_RUN_ID}", "report": _REPORT}
                    )
                },
            },
            **_refusals((400, 409, 503), (400, 403, 413, 429, 500, 503, 504), gateway),
        },
    }


def _tell(gateway: Mapping[int, str]) -> Json:
    rule = _run_id()
    return {
        "operationId": "sweep.Summary",
        "tags": [TAG],
        "summary": "How a sweep ended",
        "description": "From the report bucket, for as long as it keeps reports.",
        "parameters": [
            {
                "name": "run_id",
                "in": "path",
                "required": True,
                "description": "As the request was answered, or of any other run: a schedule's execution, an event.",
                "schema": {name: value for name, value in rule.items() if name != "description"},
                "example": _RUN_ID,
            }
        ],
        "responses": {
            "200": {
                "description": "It has ended: `outcome` says how. A refused or failed sweep is a 200 too.",
                "content": {"application/json": _content("Sweep.Summary", _summary())},
            },
            "202": {
                "description": "It runs.",
                "headers": {
                    "Retry-After": {
                        "description": "Seconds to wait before the next question.",
                        "schema": {"type": "integer", "minimum": 1},
                        "example": 10,
                    }
                },
                "content": {"application/json": _content("Sweep.Running", {"run_id": _RUN_ID, "state": "running"})},
            },
            **_refusals((400, 404, 503), (400, 403, 404, 429, 500, 503, 504), gateway),
        },
    }


def _run_id() -> Json:
    rule: Json = schemas.request(schemas.SWEEP)["properties"]["run_id"]
    return rule


# -- answers ------------------------------------------------


def _content(schema: str, example: Any) -> Json:  # noqa: ANN401 - JSON
    return {"schema": {"$ref": f"#/components/schemas/{schema}"}, "example": example}


def _refusals(own: tuple[int, ...], gateways: tuple[int, ...], gateway: Mapping[int, str]) -> Json:
    """The answers of all error statuses: the function's problems, the gateway's messages, or either."""
    found: Json = {}
    for status in sorted({*own, *gateways}):
        content: Json = {}
        if status in own:
            reply = triggers.http_problem(_ERRORS[status], _REQUEST_ID, **(_ERRORS[status].detail or {}))
            content["application/problem+json"] = _content("Sweep.Problem", json.loads(reply["body"]))
        if status in gateways:
            content["application/json"] = _content("GatewayMessage", {"message": gateway[status]})
        text = f"Error category `{_ERRORS[status].category.value}`." if status in own else "The gateway's answer."
        found[str(status)] = {"description": text, "content": content}
    return found


def problem(published: Mapping[str, Any], result: Mapping[str, Any]) -> Json:
    """The schema of problem details without the member ``result`` and its description, but with ``violations``."""
    found: Json = {**_without_result(published)}
    found["description"] = "RFC 9457: why a sweep could not be asked for, or not be told of."
    error = result["properties"]["error"]["oneOf"][1]
    found["properties"]["violations"] = error["properties"]["detail"]["properties"]["violations"]
    return found


def _without_result(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, list):
        kept = [_without_result(item) for item in value if item != "result"]
        return [item for item in kept if item != {"properties": {}}]
    if isinstance(value, dict):
        return {name: _without_result(item) for name, item in value.items() if name != "result"}
    return value


def _object(description: str, properties: Json) -> Json:
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _accepted() -> Json:
    report = {
        "bucket": {"type": "string", "minLength": 1},
        "json": {"type": "string", "description": "Key of the report; as `apply_report` it is a plan."},
        "html": {"type": "string", "description": "Key of the page."},
    }
    return _object(
        "A sweep that was asked for.",
        {
            "run_id": _run_id(),
            "status": {"type": "string", "description": "Path of this API that tells how it ended."},
            "report": _object("Where the report will be.", report),
        },
    )


def _running() -> Json:
    return _object("A sweep that has not ended.", {"run_id": _run_id(), "state": {"enum": ["waiting", "running"]}})


def _summary() -> Json:
    """A report on one target."""
    policy = json.loads(sample("http")["body"])
    target = {**policy["targets"][0], "account": "default", "project_id": "0123456789abcdef0123456789abcdef"}
    return {
        "schema_version": "1.0",
        "run_id": _RUN_ID,
        "name": policy["name"],
        "mode": "report",
        "dry_run": False,
        "outcome": "reported",
        "refusals": [],
        "error": None,
        "plan_of": None,
        "requested_by": "arn:aws:sts::123456789012:assumed-role/pipeline/cleanup",
        "started_at": "2026-11-21T08:30:00Z",
        "listed_at": "2026-11-21T08:30:01Z",
        "completed_at": "2026-11-21T08:30:09Z",
        "policy": {**policy, "targets": policy["targets"][:1]},
        "totals": _COUNTS,
        "targets": [{**target, "instance_id": None, "complete": True, "error": None, "counts": _COUNTS}],
        "report": _REPORT,
    }
