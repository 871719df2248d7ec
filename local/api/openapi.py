"""The HTTP API as an OpenAPI 3.1 document, made from the template's routes and the functions' schemas.

``python -m local.api.openapi`` writes ``docs/openapi.json``; ``--check`` exits with 1 if that file is not up to date.
Nothing is deployed, and no operation is named here: a new one comes in by its folder, its route and its sample event.
The sweep, which is no operation, has a module of its own.

Sources: OpenAPI Specification 3.1.0; API Gateway developer guide, "OpenAPI extensions" and "HTTP API quotas".
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import task_cleanup
from local.api import openapi_sweep
from local.aws import stack
from task_cleanup import triggers
from task_cleanup.errors import Category, Code
from task_cleanup.results import Error, Outcome, Result, Target
from task_cleanup.validation import load_schema

Json = dict[str, Any]

DOCUMENT = stack.ROOT / "docs" / "openapi.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
TOKEN = "client_token"
TOKEN_HEADER = "Idempotency-Key"

PUBLISHED = {  # component name -> schema file of the shared package
    "Result": "result.schema.json",
    "Problem": "problem.schema.json",
}
_DESCRIPTION = """\
Cancels and deletes leftover migration and background tasks on other clouds. Every call answers with one normalized
result, or with RFC 9457 problem details that hold it.

The fields that are not in the path may come as query parameters or as members of a JSON body. A name that comes in
both, or twice in the query, is refused: which one was meant?"""

# What the gateway says by itself, without a function (HTTP APIs: the IAM authorizer, routing, limits, time-outs).
_GATEWAY: Mapping[int, str] = {
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
_DIGITS = "must be 1 to 19 digits, such as 191297407830872"
# One example each, with ids and codes of the providers' own pages.
_EXAMPLES: Mapping[int, tuple[str, Target, Error, int | None]] = {
    400: (
        "huawei.oms.DeleteTask",
        Target("huawei", "oms"),
        Error(
            Category.INVALID_REQUEST,
            Code.SCHEMA_VIOLATION,
            f"the request is not valid: /task_id {_DIGITS}",
            {"violations": [{"pointer": "/task_id", "rule": "pattern", "allowed": _DIGITS}]},
        ),
        None,
    ),
    404: (
        "alibaba.elasticsearch.DeleteDataTask",
        Target(
            "alibaba",
            "elasticsearch",
            account="default",
            region="cn-hangzhou",
            instance_id="es-cn-oew1oxiro000f0001",
            task_id="et_cn_0oyg09o96ib400001",
        ),
        Error(Category.NOT_FOUND, "InstanceNotFound", "The instanceId provided does not exist."),
        404,
    ),
    409: (
        "huawei.oms.DeleteTask",
        Target("huawei", "oms", account="default", region="cn-north-4", task_id="191297407830872"),
        Error(Category.CONFLICT, "OMS.0063", "The task is running."),
        400,
    ),
    429: (
        "otc.dms.DeleteBackgroundTask",
        Target(
            "otc",
            "dms",
            account="default",
            region="eu-de",
            instance_id="b9f1c1de-5b1a-4f0c-9e0e-3d2f7f6f1a11",
            task_id="8abfa7b372160bfd0172165864064079",
        ),
        Error(Category.THROTTLED, "DMS.10240407", "Too many requests.", {"retry_after_seconds": 3}),
        404,
    ),
    500: (
        "huawei.oms.DeleteTask",
        Target("huawei", "oms", account="default", region="cn-north-4", task_id="191297407830872"),
        Error(Category.INTERNAL, Code.SECRET_NOT_FOUND, "the secret task-cleanup/huawei/default does not exist"),
        None,
    ),
    502: (
        "alibaba.elasticsearch.CancelTask",
        Target(
            "alibaba",
            "elasticsearch",
            account="default",
            region="cn-hangzhou",
            instance_id="es-cn-nif1q9o8r00080001",
            task_type="MigrateData",
        ),
        Error(Category.PROVIDER_ERROR, Code.RESULT_FALSE, "the provider answered Result: false"),
        200,
    ),
    503: (
        "huawei.oms.DeleteTask",
        Target("huawei", "oms", account="default", region="cn-north-4", task_id="191297407830872"),
        Error(Category.UNAVAILABLE, "OMS.0053", "Internal error."),
        400,
    ),
    504: (
        "otc.dms.DeleteBackgroundTask",
        Target(
            "otc",
            "dms",
            account="default",
            region="eu-de",
            instance_id="b9f1c1de-5b1a-4f0c-9e0e-3d2f7f6f1a11",
            task_id="8abfa7b372160bfd0172165864064079",
        ),
        Error(Category.TIMEOUT, Code.TIMEOUT, "no answer in time", {"note": "the provider may have made the change"}),
        None,
    ),
}
_EXAMPLE_TIME = datetime(2026, 11, 21, 8, 30, 0, 123000, UTC)
_EXAMPLE_ID = "0b6e7a52-6a4f-4b5e-9d7c-1f2e3d4c5b6a"


@dataclass(frozen=True)
class HttpOperation:
    """One route, the schema of its function's requests, and a sample request to it."""

    method: str
    path: str
    schema: Mapping[str, Any]
    sample: Mapping[str, str]  # path parameters

    @property
    def name(self) -> str:
        """``huawei.oms.DeleteTask``."""
        return str(self.schema["properties"]["operation"]["const"])

    @property
    def path_fields(self) -> list[str]:
        """The fields that stand in the path, in their order."""
        return re.findall(r"\{(\w+)\}", self.path)

    @property
    def other_fields(self) -> dict[str, Any]:
        """The fields that come in the query or in the body."""
        return {name: rule for name, rule in self.schema["properties"].items() if name not in self.path_fields}


def operations(root: Path = stack.ROOT) -> list[HttpOperation]:
    """Every route of the template that calls an operation, by the operation's name.

    Raises
    ------
    ValueError
        If a function wants a field that its path does not have: the document could not say where it may come.
    """
    found = []
    for folder, route in _routes(root):
        if folder == openapi_sweep.FOLDER:
            continue
        event = json.loads((root / "events" / folder / "http.json").read_text())
        schema = load_schema(root / "functions" / folder / "schema.json")
        provider, service, _ = str(schema["properties"]["operation"]["const"]).split(".")
        operation = HttpOperation(
            route["method"].lower(),
            route["path"],
            openapi_sweep.with_regions(schema, f"{provider}_{service}"),
            event["pathParameters"],
        )
        if missing := set(operation.schema["required"]) - set(operation.path_fields):
            raise ValueError(f"{operation.path} has no {', '.join(sorted(missing))}")
        found.append(operation)
    return sorted(found, key=lambda operation: operation.name)


def _routes(root: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Folder of the function behind a route, and the route."""
    # The translator looks up a region for its managed policies, which this template does not use.
    os.environ.setdefault("AWS_DEFAULT_REGION", stack.REGION)
    resources = stack.translate(root / "template.yaml", {})["Resources"]
    for resource in resources.values():
        if resource["Type"] == "AWS::ApiGatewayV2::Api":
            for route in stack.routes(resource["Properties"]):  # the one reader of SAM's OpenAPI body
                yield Path(resources[route["function"]]["Properties"]["Code"]["S3Key"]).name, route


def document(found: Sequence[HttpOperation] | None = None) -> Json:
    """The whole document; with ``found``, that of these operations alone."""
    sweep_paths: Json = openapi_sweep.paths(_GATEWAY) if found is None else {}
    sweep_schemas = openapi_sweep.schemas() if found is None else {}
    found = operations() if found is None else found
    paths: Json = {}
    for operation in found:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    tags = [*dict.fromkeys(_tag(operation) for operation in found), *([openapi_sweep.TAG] if sweep_paths else [])]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Task cleanup",
            "version": task_cleanup.__version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "jsonSchemaDialect": DIALECT,
        "servers": [
            {
                "url": "https://{api_id}.execute-api.{aws_region}.{url_suffix}",
                "description": "The stack's output ApiUrl",
                "variables": {
                    "api_id": {"default": "a1b2c3d4e5"},
                    "aws_region": {"default": stack.REGION},
                    "url_suffix": {"default": "amazonaws.com", "enum": ["amazonaws.com", "amazonaws.com.cn"]},
                },
            }
        ],
        "security": [{"AWS_IAM": []}],
        "tags": [{"name": name} for name in tags],
        "paths": {**paths, **sweep_paths},
        "components": {
            "securitySchemes": {
                "AWS_IAM": {
                    "type": "apiKey",
                    "name": "Authorization",
                    "in": "header",
                    "description": "AWS Signature Version 4, service `execute-api`.",
                    "x-amazon-apigateway-authtype": "awsSigv4",
                }
            },
            "responses": _responses(),
            "schemas": {
                **published(),
                "GatewayMessage": {
                    "type": "object",
                    "description": "The gateway's own answer; no function ran, or none answered.",
                    "required": ["message"],
                    "properties": {"message": {"type": "string"}},
                },
                **{_body_name(operation): _body_schema(operation) for operation in found},
                **components(sweep_schemas),
            },
        },
    }


def _tag(operation: HttpOperation) -> str:
    return operation.name.rpartition(".")[0]


# -- requests ------------------------------------------------


def _operation(operation: HttpOperation) -> Json:
    described = {"description": operation.schema["description"]} if "description" in operation.schema else {}
    return {
        "operationId": operation.name,
        "tags": [_tag(operation)],
        "summary": operation.schema["title"],
        **described,
        "parameters": list(_parameters(operation)),
        "requestBody": {
            "required": False,
            "description": "Fields that are not given as query parameters.",
            "content": {
                "application/json": {
                    "schema": {"$ref": f"#/components/schemas/{_body_name(operation)}"},
                    "example": {"correlation_id": "migration-0042"},
                }
            },
        },
        "responses": {
            "200": _success(operation),
            **{str(status): {"$ref": f"#/components/responses/{_response_name(status)}"} for status in _statuses()},
        },
    }


def _parameters(operation: HttpOperation) -> Iterator[Json]:
    properties = operation.schema["properties"]
    for name in operation.path_fields:
        rule = as_text(properties[name])
        if rule is None:
            raise ValueError(f"{operation.name}: {name} cannot be written in a path")
        yield _parameter(name, "path", rule, required=True, example=operation.sample[name])
    for name, field in operation.other_fields.items():
        if (rule := as_text(field)) is not None:
            yield _parameter(name, "query", rule)
    if TOKEN in operation.other_fields:
        rule = dict(operation.other_fields[TOKEN])
        text = f"The field `{TOKEN}`, instead of the query parameter or the body's member."
        yield _parameter(TOKEN_HEADER, "header", {**rule, "description": text})


def _parameter(name: str, place: str, rule: Mapping[str, Any], **more: Any) -> Json:  # noqa: ANN401 - JSON values
    schema = {keyword: value for keyword, value in rule.items() if keyword != "description"}
    described = {"description": rule["description"]} if "description" in rule else {}
    return {"name": name, "in": place, **described, "schema": schema, **more}


_NUMERIC = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})


def as_text(rule: Mapping[str, Any]) -> Json | None:
    """What is left of a field's schema in a path or a query, where every value is text.

    The functions read ``true``, ``false`` and digits where the schema wants nothing else. None where no text can
    satisfy it: such a field fits into a body only.
    """
    kinds = rule.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds in (["boolean"], ["integer"]):
        return dict(rule)
    if kinds and "string" not in kinds:
        return None
    kept = {keyword: value for keyword, value in rule.items() if keyword not in _NUMERIC}
    return {"type": "string", **{keyword: value for keyword, value in kept.items() if keyword != "type"}}


def _body_name(operation: HttpOperation) -> str:
    return f"{operation.name}.Body"


def _body_schema(operation: HttpOperation) -> Json:
    return {
        "type": "object",
        "description": "Every field that the path does not have.",
        "additionalProperties": False,
        "properties": operation.other_fields,
    }


# -- answers ------------------------------------------------


def published() -> Json:
    """The shared package's schemas as components."""
    return components({name: load_schema(schema_file(file)) for name, file in PUBLISHED.items()})


def components(schemas: Mapping[str, Mapping[str, Any]]) -> Json:
    """Schemas as components; what one of them defines inside is a component too: ``Result.task``.

    References by URN, or to a schema's own definitions, become references inside the document.
    """
    pointers = {schema["$id"]: _pointer(name) for name, schema in schemas.items() if "$id" in schema}
    found: Json = {}
    for name, schema in schemas.items():
        own = {f"#/$defs/{key}": f"{name}.{key}" for key in schema.get("$defs", {})}
        known = pointers | {place: _pointer(component) for place, component in own.items()}
        body = {key: value for key, value in schema.items() if key not in ("$schema", "$id", "$defs")}
        found[name] = _moved(body, known)
        found |= {own[f"#/$defs/{key}"]: _moved(value, known) for key, value in schema.get("$defs", {}).items()}
    return found


def _pointer(component: str) -> str:
    return f"#/components/schemas/{component}"


def _moved(value: Any, known: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return {name: known[item] if name == "$ref" else _moved(item, known) for name, item in value.items()}
    return [_moved(item, known) for item in value] if isinstance(value, list) else value


def schema_file(name: str) -> Path:
    """Where the shared package keeps a published schema."""
    return Path(task_cleanup.__file__).with_name(name)


def _statuses() -> list[int]:
    """Every status but 200."""
    return sorted({*triggers.HTTP_STATUS.values(), *_GATEWAY})


def _response_name(status: int) -> str:
    return f"Answer{status}"


def _success(operation: HttpOperation) -> Json:
    provider, service, _ = operation.name.split(".")
    known = Target.__dataclass_fields__.keys() & operation.sample.keys()
    kind = operation.schema["properties"].get("task_type", {}).get("default")
    target = Target(
        provider, service, account="default", task_type=kind, **{name: operation.sample[name] for name in known}
    )
    result = Result(
        operation=operation.name,
        outcome=Outcome.SUCCEEDED,
        target=target,
        completed_at=_EXAMPLE_TIME,
        correlation_id=_EXAMPLE_ID,
        duration_ms=41.7,
        attempts=1,
        http_status=200,
        request_id="3F71A6D2-7BD0-4A53-9119-386A2F0B0001",
        client_token="5A2CFF0E-5718-45B5-9D4D-70B3FF000001" if TOKEN in operation.other_fields else None,
    )
    return {
        "description": "`succeeded`, `unchanged` or `planned`: the wanted state holds, or would be asked for.",
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/Result"},
                "example": result.to_dict(),
            }
        },
    }


def _responses() -> Json:
    return {_response_name(status): _response(status) for status in _statuses()}


def _response(status: int) -> Json:
    categories = [category for category, code in triggers.HTTP_STATUS.items() if code == status]
    names = ", ".join(f"`{category.value}`" for category in categories)
    response: Json = {
        "description": f"Error category {names}." if categories else _GATEWAY_ONLY[status],
        "content": {},
    }
    if categories:
        reply = triggers.http_reply(_failed(status))
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
    if status in _GATEWAY:
        response["content"]["application/json"] = {
            "schema": {"$ref": "#/components/schemas/GatewayMessage"},
            "example": {"message": _GATEWAY[status]},
        }
    return response


def _failed(status: int) -> Result:
    """A result that the HTTP API answers with this status."""
    operation, target, error, http_status = _EXAMPLES[status]
    return Result(
        operation=operation,
        outcome=Outcome.CONFLICT if error.category is Category.CONFLICT else Outcome.FAILED,
        target=target,
        completed_at=_EXAMPLE_TIME,
        correlation_id=_EXAMPLE_ID,
        duration_ms=41.7,
        attempts=0 if http_status is None and error.category is not Category.TIMEOUT else 1,
        http_status=http_status,
        error=error,
    )


# -- command line ------------------------------------------------


@cache
def text() -> str:
    """The document as it stands in ``docs/openapi.json``."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str] | None = None, path: Path = DOCUMENT) -> int:
    """Write the document, or check it; the process's exit status."""
    parser = argparse.ArgumentParser(prog="python -m local.api.openapi", description=document.__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 if the file is not up to date")
    wanted = text()
    if not parser.parse_args(arguments).check:
        path.write_text(wanted, encoding="utf-8")
        return 0
    if path.is_file() and path.read_text(encoding="utf-8") == wanted:
        return 0
    print(f"{path.name} differs from the template and the schemas: run python -m local.api.openapi", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
