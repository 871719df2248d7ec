"""The HTTP API as an OpenAPI 3.1 document, made from the template's routes and the functions' schemas.

Nothing is deployed, and no operation is named here: a new one is found by its folder, its route and its sample event.
The sweep, which is no operation, has a module of its own.

Sources: OpenAPI Specification 3.1.0; API Gateway developer guide, "OpenAPI extensions".
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import task_cleanup
from local.api import answers, openapi_sweep, schemas
from local.api.routes import HttpOperation, operations
from local.aws import stack

Json = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TOKEN = "client_token"
TOKEN_HEADER = "Idempotency-Key"

_DESCRIPTION = """\
Cancels and deletes leftover migration and background tasks on other clouds. Every call answers with one normalized
result, or with RFC 9457 problem details that hold it.

The fields that are not in the path may come as query parameters or as members of a JSON body. A name that comes in
both, or twice in the query, is refused: which one was meant?"""


def document(found: Sequence[HttpOperation] | None = None) -> Json:
    """The whole document; with ``found``, that of these operations alone."""
    sweep_paths: Json = openapi_sweep.paths(answers.GATEWAY) if found is None else {}
    sweep_schemas = openapi_sweep.component_schemas() if found is None else {}
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
            "responses": answers.responses(found),
            "schemas": {
                **schemas.components(schemas.published()),
                "GatewayMessage": {
                    "type": "object",
                    "description": "The gateway's own answer; no function ran, or none answered.",
                    "required": ["message"],
                    "properties": {"message": {"type": "string"}},
                },
                **{_body_name(operation): _body_schema(operation) for operation in found},
                **schemas.components(sweep_schemas),
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
            "200": answers.success(operation),
            **{
                str(status): {"$ref": f"#/components/responses/{answers.response_name(status)}"}
                for status in answers.statuses()
            },
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
    """A field's schema for a path or a query, where every value is text.

    The functions read ``true``, ``false`` and digits where the schema allows only a boolean or an integer. None where
    no text can satisfy the schema: such a field can only be in a body.
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
