"""The sweep's two routes for the OpenAPI document: ``local.api.openapi`` puts them beside the operations' own.

Their answers are not results: ``POST`` answers with the place of the summary, ``GET`` with the summary. Problems have
the published shape without the member ``result``.
"""

import json
from collections.abc import Mapping
from typing import Any

from local.api import schemas
from local.aws import stack
from task_cleanup import triggers
from task_cleanup.errors import Category, Code, SweepCode
from task_cleanup.results import Error
from task_cleanup.sweep.api import MAX_REQUEST
from task_cleanup.sweep.claims import RUN_ID_REUSED
from task_cleanup.sweep.policy import Policy
from task_cleanup.sweep.report import REPORT_VERSION
from task_cleanup.sweep.results import LISTED

Json = dict[str, Any]

TAG = "sweep"
ASK = ("post", "/sweeps")
TELL = ("get", "/sweeps/{run_id}")
RUN_ID_HEADER = "Idempotency-Key"
RESULTS_ID = "urn:task-cleanup:sweep-results:1.0"

_RUN_ID = "nightly-2026-11-21"
_REQUEST_ID = "JKJaXmPLvHcESH5="
_REPORT = {
    "bucket": "task-cleanup-reportbucket-1a2b3c4d5e6f",
    "json": f"reports/{_RUN_ID}/report.json",
    "html": f"reports/{_RUN_ID}/index.html",
}
_ACCEPTED = {"run_id": _RUN_ID, "status": f"/sweeps/{_RUN_ID}", "report": _REPORT}
_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_DURATION = "must be a duration in days or hours, an hour at least, such as P7D or PT12H"
_UNAVAILABLE = Error(Category.UNAVAILABLE, SweepCode.AWS_UNAVAILABLE, "AWS refused a call (ThrottlingException)")
# The function's own problems, each with one example and the codes that it can have. All others are the gateway's.
_ASK_ERRORS: Mapping[int, tuple[Error, str]] = {
    400: (
        Error(
            Category.INVALID_REQUEST,
            Code.SCHEMA_VIOLATION,
            f"the request is not valid: /select/older_than {_DURATION}",
            {"violations": [{"pointer": "/select/older_than", "rule": "pattern", "allowed": _DURATION}]},
        ),
        f"`SchemaViolation`, `UnreadableRequest`, or `RequestTooLarge`: more than {MAX_REQUEST:,} bytes.",
    ),
    404: (
        Error(Category.NOT_FOUND, SweepCode.REPORT_NOT_FOUND, "there is no reports/nightly-2026-11-20/report.json"),
        "`ReportNotFound`: there is no such report to apply.",
    ),
    409: (
        Error(Category.CONFLICT, RUN_ID_REUSED.code, RUN_ID_REUSED.message),
        "`RunIdReused`; of a report, `ReportNotAPlan`, `AlreadyApplied`, `PlanTooOld` or `ReportUnreadable`.",
    ),
    412: (
        Error(
            Category.PRECONDITION_FAILED,
            SweepCode.REPORT_CHANGED,
            "`sha256` is not the digest of this report: read it again, and take the digest that is shown there",
        ),
        "`ReportChanged`: the report has another digest than `sha256`.",
    ),
    503: (
        _UNAVAILABLE,
        "`AwsUnavailable`. It may be on the bus already: ask again, with this `run_id`.",
    ),
}
_TELL_ERRORS: Mapping[int, tuple[Error, str]] = {
    400: (
        Error(Category.INVALID_REQUEST, SweepCode.RUN_ID_INVALID, "the path must hold a run id, and nothing else"),
        "`RunIdInvalid`.",
    ),
    404: (
        Error(Category.NOT_FOUND, SweepCode.RUN_NOT_FOUND, "no sweep was asked for under this id"),
        "`RunNotFound`: nobody has asked for it, or its documents have expired.",
    ),
    503: (_UNAVAILABLE, "`AwsUnavailable`: the bucket could not be read."),
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
    "gone": 0,
    "changed": 0,
    "not_in_plan": 0,
    "requested_before": 0,
    "requested": 0,
    "failed": 0,
}


def component_schemas() -> dict[str, Json]:
    """Component name -> JSON Schema of what goes in and out."""
    published = schemas.published()
    return {
        "Sweep.Request": schemas.request(schemas.SWEEP),
        "Sweep.Accepted": _accepted(),
        "Sweep.Repeated": _repeated(),
        "Sweep.Running": _running(schemas.summary()),
        "Sweep.Summary": _told(schemas.summary()),
        "Sweep.Results": {"$id": RESULTS_ID, **_results()},
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
            "Checks the request, puts it on the bus and answers at once; nothing has been listed by then. The answer "
            "says where the summary and the report will be. The same request under the same run id is one sweep."
        ),
        "parameters": [
            {
                "name": RUN_ID_HEADER,
                "in": "header",
                "description": "The field `run_id`, instead of the body's member. Without it, each call is a run.",
                "schema": {name: value for name, value in rule.items() if name != "description"},
                "example": _RUN_ID,
            }
        ],
        "requestBody": {
            "required": True,
            "description": "A policy, or the report whose plan is to be carried out, with its digest: "
            f'`{{"apply_report": "{_REPORT["json"]}", "sha256": "{_SHA256}"}}`',
            "content": {"application/json": _content("Sweep.Request", json.loads(sample("http")["body"]))},
        },
        "responses": {
            "200": {
                "description": "The same request has run under this run id, and is over. Nothing is asked for.",
                "content": {
                    "application/json": _content(
                        "Sweep.Repeated",
                        {**_ACCEPTED, "repeated": True, "ended_at": "2026-11-21T08:30:09.000Z"},
                    )
                },
            },
            "202": {
                "description": "Asked for. Whether it went well is in the summary, not here.",
                "content": {"application/json": _content("Sweep.Accepted", _ACCEPTED)},
            },
            **_refusals(_ASK_ERRORS, (400, 403, 413, 429, 500, 503, 504), gateway),
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
                "description": "It has ended for good: `outcome` says how. A refused or failed sweep is a 200 too. "
                "Of an apply, `results` tells what became of its requests so far.",
                "content": {"application/json": _content("Sweep.Summary", _summary())},
            },
            "202": {
                "description": "It has not ended: `state` says how far it is.",
                "headers": {
                    "Retry-After": {
                        "description": "Seconds to wait before the next question.",
                        "schema": {"type": "integer", "minimum": 1},
                        "example": 10,
                    }
                },
                "content": {"application/json": _content("Sweep.Running", {"run_id": _RUN_ID, "state": "running"})},
            },
            **_refusals(_TELL_ERRORS, (400, 403, 404, 429, 500, 503, 504), gateway),
        },
    }


def _run_id() -> Json:
    rule: Json = schemas.request(schemas.SWEEP)["properties"]["run_id"]
    return rule


# -- answers ------------------------------------------------


def _content(schema: str, example: Any) -> Json:  # noqa: ANN401 - JSON
    return {"schema": {"$ref": f"#/components/schemas/{schema}"}, "example": example}


def _refusals(own: Mapping[int, tuple[Error, str]], gateways: tuple[int, ...], gateway: Mapping[int, str]) -> Json:
    """The answers of all error statuses: the function's problems, the gateway's messages, or either."""
    found: Json = {}
    for status in sorted({*own, *gateways}):
        content: Json = {}
        text = "The gateway's answer."
        if status in own:
            error, codes = own[status]
            reply = triggers.http_problem(error, _REQUEST_ID, **(error.detail or {}))
            content["application/problem+json"] = _content("Sweep.Problem", json.loads(reply["body"]))
            text = f"Error category `{error.category.value}`. {codes}"
        if status in gateways:
            content["application/json"] = _content("GatewayMessage", {"message": gateway[status]})
        found[str(status)] = {"description": text, "content": content}
    return found


def problem(published: Mapping[str, Any], result: Mapping[str, Any]) -> Json:
    """The schema of problem details without the member ``result`` and its description, but with two more."""
    found: Json = {**_without_result(published)}
    found["description"] = "RFC 9457: why a sweep could not be asked for, or not be told of."
    error = result["properties"]["error"]["oneOf"][1]
    found["properties"]["title"] = {**found["properties"]["title"], "description": "In a few words, for people."}
    found["properties"]["violations"] = error["properties"]["detail"]["properties"]["violations"]
    found["properties"]["run_id"] = {
        **_run_id(),
        "description": "With a 503 of `POST` only: the run to ask again for.",
    }
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
        "json": {
            "type": "string",
            "description": "Key of the report; with its digest it is a plan.",
        },
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


def _repeated() -> Json:
    known = _accepted()["properties"]
    return _object(
        "A sweep that is over: the same request was made before, under the same run id.",
        {
            **known,
            "repeated": {"const": True},
            "ended_at": {"type": "string", "format": "date-time", "description": "When it ended."},
        },
    )


def _told(summary: Json) -> Json:
    """The stored summary, which says how the run ended, and what `GET` adds to that of an apply."""
    results = {
        "description": "Of an apply only: what became of its requests so far. Null: it has made none.",
        "oneOf": [{"$ref": RESULTS_ID}, {"type": "null"}],
    }
    told = {name: value for name, value in summary.items() if name != "dependentRequired"}
    required = [*summary["required"], "outcome", *summary["dependentRequired"]["outcome"]]
    return {**told, "properties": {**summary["properties"], "results": results}, "required": required}


def _results() -> Json:
    """As ``task_cleanup.sweep.results.progress`` counts them."""
    counts = {
        "requested": "Requests that the bus took: the sum of the other five.",
        "succeeded": "The provider confirmed the delete.",
        "unchanged": "The task was gone already.",
        "changed": "The task was not as the plan saw it (`TaskChanged`), so it was kept.",
        "failed": "Anything else; `by_cause` says why.",
        "waiting": "No result yet.",
    }
    target = _object(
        "A task.",
        {
            name: {"type": "string"}
            for name in ("provider", "service", "account", "region", "project_id", "instance_id", "task_id")
        },
    )
    target["required"] = ["provider", "service", "account", "region", "task_id"]
    failure = _object("A request that did not delete its task.", {"target": target, "code": {"type": "string"}})
    return _object(
        "What became of the requests of a sweep.",
        {
            **{name: {"type": "integer", "minimum": 0, "description": text} for name, text in counts.items()},
            "by_cause": {
                "type": "object",
                "additionalProperties": {"type": "integer", "minimum": 1},
                "description": "How many failed with each code; of more than 50 codes the rest as `Other`.",
            },
            "failures": {
                "type": "array",
                "maxItems": LISTED,
                "items": failure,
                "description": f"The first {LISTED} that failed or had changed; results.json in the bucket has all.",
            },
            "waiting_for": {
                "type": "array",
                "maxItems": LISTED,
                "items": target,
                "description": f"The first {LISTED} that wait.",
            },
            "finished": {
                "type": "boolean",
                "description": "All are in, and no more are requested. The event `Sweep Finished` says the same.",
            },
        },
    )


def _running(summary: Json) -> Json:
    states = {
        "waiting": "it is on the bus or in the queue",
        "running": "a worker has it; also a run that had ended, and that somebody sent again",
        "trying_again": "its last try failed, and it comes again by itself",
        "interrupted": "its worker died, or could not store how it ended; a queue sends it again, until its last try",
    }
    running = _object(
        "A sweep that has not ended.",
        {
            "run_id": _run_id(),
            "state": {"enum": [*states], "description": "; ".join(f"`{it}`: {text}" for it, text in states.items())},
            "error": {
                **summary["properties"]["error"],
                "description": "With `trying_again` only.",
            },
        },
    )
    return {**running, "required": ["run_id", "state"]}


def _summary() -> Json:
    """A report on one target."""
    policy = json.loads(sample("http")["body"])
    asked = Policy.read({"stop_running": False, **policy, "targets": policy["targets"][:1]}).to_dict()
    (target,) = asked["targets"]
    place = {"project_id": "0123456789abcdef0123456789abcdef", "instance_id": None, "policy_target": 0}
    return {
        "schema_version": REPORT_VERSION,
        "run_id": _RUN_ID,
        "name": policy["name"],
        "mode": "report",
        "dry_run": False,
        "outcome": "reported",
        "refusals": [],
        "error": None,
        "plan_of": None,
        "plan_sha256": None,
        "requested_by": "arn:aws:sts::123456789012:assumed-role/pipeline/cleanup",
        "started_at": "2026-11-21T08:30:00.000Z",
        "listed_at": "2026-11-21T08:30:01.000Z",
        "completed_at": "2026-11-21T08:30:09.000Z",
        "policy": asked,
        "guards": {"task_ids": {}, "names": {"*prod*": 3}, "mixed_scripts": 0},
        "ages_wanting": {
            "tasks": 2,
            "age_from": {"ended": 0, "seen": 0, "inferred": 0, "created": 0},
            "running_since": {"started": 0, "created": 0, "seen": 0},
        },
        "totals": _COUNTS,
        "targets": [
            {
                **{name: target[name] for name in ("provider", "service", "account", "region")},
                **place,
                "complete": True,
                "error": None,
                "ages_begin_anew": False,
                "counts": _COUNTS,
            }
        ],
        "instances": [],
        "report": {**_REPORT, "sha256": _SHA256},
        "final": True,
    }
