"""The published document says what the template, the schemas and the code say; the page beside it stays at home."""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
import requests
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from openapi_spec_validator import OpenAPIV30SpecValidator, OpenAPIV31SpecValidator
from referencing import Registry, Resource

from local.api import docs_page, documents, openapi, openapi_sweep, routes, schemas
from local.aws.runner import HttpApi
from task_cleanup import triggers
from task_cleanup.errors import Category
from task_cleanup.results import Error, Outcome, Result, Target
from task_cleanup.sweep.services import SERVICES
from tests.support.functions import ROOT, function_folders, operation_name, request_schema, sample_event

Json = dict[str, Any]

DOCUMENT = openapi.document()
SCHEMAS = schemas.published()
REGISTRY: Registry[Any] = Registry().with_resources(
    [
        ("urn:document", Resource.from_contents({"$schema": openapi.DIALECT, **DOCUMENT})),
        *((schema["$id"], Resource.from_contents(schema)) for schema in SCHEMAS.values()),
    ]
)
PROBLEM = Draft202012Validator(SCHEMAS["Problem"], registry=REGISTRY)


def operation_of(folder: str) -> Json:
    """The one operation of the document that a function's folder stands for."""
    name = operation_name(folder)
    (found,) = [it for item in DOCUMENT["paths"].values() for it in item.values() if it["operationId"] == name]
    return cast("Json", found)


def parameters(folder: str, place: str) -> dict[str, Json]:
    return {item["name"]: item for item in operation_of(folder)["parameters"] if item["in"] == place}


def resolved(node: Json) -> Json:
    """The node, or what it points to inside the document."""
    while "$ref" in node:
        target: Any = DOCUMENT
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def inside(schema: Json) -> Draft202012Validator:
    """A validator for a schema that stands in the document."""
    text = json.dumps(schema).replace('"#/', '"urn:document#/')
    return Draft202012Validator(json.loads(text), registry=REGISTRY)


every_function = pytest.mark.parametrize("folder", function_folders())


# -- the whole document ------------------------------------------------


def test_document_is_valid_openapi() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert [error.message for error in OpenAPIV31SpecValidator(cast("Any", DOCUMENT)).iter_errors()] == []


def test_document_names_no_machine() -> None:
    assert not re.search(r"127\.0\.0\.1|localhost|/home/|/work/|\.whl", documents.texts()[documents.API])


# -- requests ------------------------------------------------


def test_there_is_one_operation_per_function() -> None:
    found = {it["operationId"]: it["tags"] for item in DOCUMENT["paths"].values() for it in item.values()}

    swept = {name for name, tags in found.items() if tags == [openapi_sweep.TAG]}

    assert found.keys() - swept == {operation_name(folder) for folder in function_folders()}
    assert len(swept) == len(openapi_sweep.paths(dict.fromkeys(range(400, 600), "")))


def test_document_of_given_operations_holds_nothing_else() -> None:
    paths = openapi.document(routes.operations())["paths"]

    assert paths == {path: item for path, item in DOCUMENT["paths"].items() if not path.startswith("/sweeps")}


@every_function
def test_every_field_has_its_places(folder: str) -> None:
    schema, operation = request_schema(folder), operation_of(folder)
    path, query = parameters(folder, "path"), parameters(folder, "query")

    body = resolved(operation["requestBody"]["content"]["application/json"]["schema"])

    assert path.keys() | body["properties"].keys() == schema["properties"].keys()
    assert not path.keys() & body["properties"].keys()
    assert query.keys() == {name for name, rule in body["properties"].items() if openapi.as_text(rule) is not None}
    assert body["additionalProperties"] is False
    assert all(item["required"] for item in path.values())
    assert not any(item.get("required") for item in query.values())
    assert ("Idempotency-Key" in parameters(folder, "header")) == ("client_token" in schema["properties"])
    assert body["properties"] == {name: schema["properties"][name] for name in body["properties"]}


@every_function
def test_descriptions_are_the_schemas_own(folder: str) -> None:
    schema = request_schema(folder)
    assert operation_of(folder)["summary"] == schema["title"]
    for item in [*parameters(folder, "path").values(), *parameters(folder, "query").values()]:
        if item["name"] != "region":
            assert item.get("description") == schema["properties"][item["name"]].get("description")


@every_function
def test_region_tells_the_service_s_own_and_takes_others(folder: str) -> None:
    """Not as an enumeration: a client made from the document must be able to name a region that a stack added."""
    service = SERVICES["_".join(operation_name(folder).split(".")[:2])]
    region = parameters(folder, "path")["region"]

    begin = request_schema(folder)["properties"]["region"]["description"]

    assert region["description"] == f"{begin} The service's: {', '.join(service.regions)}."
    assert all(inside(region["schema"]).is_valid(name) for name in [*service.regions, "xx-name-1"])
    assert not any(inside(region["schema"]).is_valid(name) for name in ("EU-DE", "eu.de", "", "a" * 64))


@every_function
def test_parameters_take_the_sample_event_and_refuse_what_the_schema_refuses(folder: str) -> None:
    event = sample_event(folder, "http")

    path, query = parameters(folder, "path"), parameters(folder, "query")

    for name, value in event["pathParameters"].items():
        assert path[name]["example"] == value
        assert inside(path[name]["schema"]).is_valid(value)
        assert not inside(path[name]["schema"]).is_valid(value + "\n")
        assert not inside(path[name]["schema"]).is_valid("..")
    for name, value in event.get("queryStringParameters", {}).items():
        assert inside(query[name]["schema"]).is_valid(value)
    assert inside(query["dry_run"]["schema"]).is_valid(True)
    assert not inside(query["dry_run"]["schema"]).is_valid("yes")


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ({"type": ["string", "integer"], "pattern": "^1$", "minimum": 0}, {"type": "string", "pattern": "^1$"}),
        ({"enum": ["a"]}, {"type": "string", "enum": ["a"]}),
        ({"type": "boolean", "default": False}, {"type": "boolean", "default": False}),
        ({"type": "integer", "minimum": 0, "default": 1}, {"type": "integer", "minimum": 0, "default": 1}),
        ({"type": ["integer", "null"]}, None),
        ({"type": ["array", "null"]}, None),
    ],
)
def test_paths_and_queries_hold_text(rule: Json, wanted: Json | None) -> None:
    assert openapi.as_text(rule) == wanted


def test_callers_sign_as_the_template_wants() -> None:
    (name,) = [name for item in DOCUMENT["security"] for name in item]

    scheme = DOCUMENT["components"]["securitySchemes"][name]

    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "Authorization")
    assert scheme["x-amazon-apigateway-authtype"] == "awsSigv4"


# -- answers ------------------------------------------------


def answers(folder: str) -> dict[int, Json]:
    return {int(status): resolved(item) for status, item in operation_of(folder)["responses"].items()}


@every_function
def test_every_status_is_documented(folder: str) -> None:
    found = answers(folder)

    problems = {status for status, item in found.items() if "application/problem+json" in item["content"]}

    assert problems == set(triggers.HTTP_STATUS.values())
    assert {200, 403, 404, *problems} <= found.keys()
    assert "application/json" in found[403]["content"]
    assert "application/json" in found[404]["content"]
    assert [status for status, item in found.items() if "Retry-After" in item.get("headers", {})] == [429]
    assert found[200]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Result"}


@every_function
def test_examples_are_what_their_schemas_say(folder: str) -> None:
    contents = [
        operation_of(folder)["requestBody"]["content"],
        *(item["content"] for item in answers(folder).values()),
    ]
    for content in contents:
        for item in content.values():
            inside(item["schema"]).validate(item["example"])


def test_components_are_the_published_schemas() -> None:
    components = DOCUMENT["components"]["schemas"]
    for name, schema in SCHEMAS.items():
        text = json.dumps({key: value for key, value in schema.items() if key not in {"$schema", "$id", "$defs"}})
        for other, published in SCHEMAS.items():
            text = text.replace(f'"{published["$id"]}"', f'"#/components/schemas/{other}"')
        text = text.replace('"#/$defs/', f'"#/components/schemas/{name}.')
        assert components[name] == json.loads(text)
        assert {f"{name}.{key}" for key in schema.get("$defs", {})} <= components.keys()


def test_every_reference_leads_somewhere() -> None:
    for target in re.findall(r'"\$ref": "([^"]*)"', documents.texts()[documents.API]):
        assert resolved({"$ref": target})


# -- problem details ------------------------------------------------


def problem(category: Category) -> Json:
    """What the HTTP API answers for a category."""
    result = Result(
        operation="huawei.oms.DeleteTask",
        outcome=Outcome.CONFLICT if category is Category.CONFLICT else Outcome.FAILED,
        target=Target("huawei", "oms"),
        completed_at=datetime(2026, 11, 21, tzinfo=UTC),
        correlation_id='a b/"é%\\',
        duration_ms=0.0,
        error=Error(category, "OMS.0001", "text", {"retry_after_seconds": 0.2}),
    )
    answer: Json = json.loads(triggers.http_reply(result)["body"])
    return answer


every_category = pytest.mark.parametrize("category", Category, ids=lambda category: category.value)


def test_problem_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMAS["Problem"])


@every_category
def test_every_problem_is_of_the_published_shape(category: Category) -> None:
    PROBLEM.validate(problem(category))


@every_category
@pytest.mark.parametrize(
    "change",
    [
        {"status": 200},
        {"status": 418},
        {"status": "404"},
        {"type": "about:blank"},
        {"title": ""},
        {"detail": None},
        {"instance": "urn:task-cleanup:request:a b"},
        {"instance": "urn:task-cleanup:request:a\n"},
        {"result": None},
        {"extra": 1},
    ],
    ids=repr,
)
def test_other_shapes_are_none(category: Category, change: Json) -> None:
    assert not PROBLEM.is_valid({**problem(category), **change})


@every_category
@pytest.mark.parametrize("member", ["type", "title", "status", "detail", "instance", "result"])
def test_no_member_may_be_missing(category: Category, member: str) -> None:
    answer = problem(category)

    del answer[member]

    assert not PROBLEM.is_valid(answer)


@every_category
def test_status_type_and_category_belong_together(category: Category) -> None:
    answer = problem(category)
    for other in Category:
        alien = problem(other)
        if alien["status"] != answer["status"]:
            assert not PROBLEM.is_valid({**answer, "status": alien["status"]})
            assert not PROBLEM.is_valid({**answer, "type": alien["type"]})
            assert not PROBLEM.is_valid({**answer, "result": alien["result"]})


def test_a_success_is_no_problem() -> None:
    answer = problem(Category.INTERNAL)
    answer["result"] |= {"outcome": "succeeded", "error": None, "attempts": 1}

    with pytest.raises(ValidationError):
        PROBLEM.validate(answer)


# -- new functions ------------------------------------------------

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Parameters: {}
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
  NewFunction:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.13
      Handler: app.lambda_handler
      CodeUri: functions/toy_new/
      Events:
        Http:
          Type: HttpApi
          Properties: {ApiId: !Ref Api, Method: PUT, Path: "/toy/box/{region}/tasks/{task_id}"}
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project with one function that nobody knows."""
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    for folder in ("functions", "events"):
        shutil.copytree(ROOT / folder / "huawei_oms_delete_task", tmp_path / folder / "toy_new")
    path = tmp_path / "functions" / "toy_new" / "schema.json"
    path.write_text(path.read_text().replace("huawei.oms.DeleteTask", "toy.box.Shake"))
    return tmp_path


def test_new_function_comes_in_by_itself(tree: Path) -> None:
    document = openapi.document(routes.operations(tree))
    assert document["paths"].keys() == {"/toy/box/{region}/tasks/{task_id}"}

    operation = document["paths"]["/toy/box/{region}/tasks/{task_id}"]["put"]

    assert (operation["operationId"], operation["tags"]) == ("toy.box.Shake", ["toy.box"])
    assert list(OpenAPIV31SpecValidator(cast("Any", document)).iter_errors()) == []


def test_field_that_has_no_place_is_refused(tree: Path) -> None:
    path = tree / "functions" / "toy_new" / "schema.json"
    schema = json.loads(path.read_text())
    path.write_text(json.dumps({**schema, "required": [*schema["required"], "project_id"]}))

    with pytest.raises(ValueError, match="project_id"):
        routes.operations(tree)


# -- the page ------------------------------------------------


@dataclass(frozen=True)
class _Stack:
    routes: tuple[()] = ()


@dataclass(frozen=True)
class _NoCloud:
    """All that the HTTP server wants of a cloud: its routes, here none."""

    stack: _Stack = _Stack()


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with HttpApi(cast("Any", _NoCloud()), pages=docs_page.pages()) as api:
        yield api.url


def get(site: str, path: str) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(site + path, timeout=30)


def named(html: str) -> list[str]:
    """Everything that the page has the browser load."""
    return re.findall(r'(?:src|href)="([^"]*)"', html)


ASSET_TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
}


def test_page_is_laid_out_for_the_screen_it_is_on(site: str) -> None:
    """A phone shows the page as wide as it is, by rules that come after Swagger UI's own and hide nothing of ours."""
    page = get(site, docs_page.PAGE).text
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    styles = [name for name in named(page) if name.endswith(".css")]
    assert styles == [f"{docs_page.PAGE}/swagger-ui.css", f"{docs_page.PAGE}/phone.css"]
    assert get(site, styles[1]).text.startswith("@media (max-width: 640px) {")

    replies = [
        it for item in DOCUMENT["paths"].values() for call in item.values() for it in call["responses"].values()
    ]

    assert not [reply for reply in replies if "links" in resolved(reply)], "their column is hidden on a phone"


def test_page_and_all_that_it_names_are_served(site: str) -> None:
    page = get(site, docs_page.PAGE)
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert {Path(name).suffix for name in named(page.text)} == ASSET_TYPES.keys()
    urls = re.findall(r'url: "([^"]*)"', get(site, f"{docs_page.PAGE}/start.js").text)
    assert len(urls) == 1
    for name in [*named(page.text), *urls]:
        reply = get(site, name)
        assert (reply.status_code, reply.headers["Content-Type"]) == (200, ASSET_TYPES[Path(name).suffix])
        assert reply.content


def test_nothing_comes_from_outside(site: str) -> None:
    for path in docs_page.pages():
        reply = get(site, path)
        policy = dict(rule.split(" ", 1) for rule in reply.headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert set(" ".join(policy.values()).split()) <= {"'none'", "'self'", "'unsafe-inline'", "data:"}
        assert policy["script-src"] == policy["connect-src"] == "'self'"
        assert reply.headers["X-Content-Type-Options"] == "nosniff"

    page, start, style = (get(site, docs_page.PAGE + name).text for name in ("", "/start.js", "/swagger-ui.css"))

    assert all(re.match(r"/[^/]", name) for name in named(page))
    assert "//" not in start
    assert "validatorUrl: null" in start, "else the badge asks a public server"
    assert not re.findall(r"@import|url\((?![\"']?data:)", style)


def test_served_document_is_the_published_one_for_this_server(site: str) -> None:
    served = get(site, docs_page.DOCUMENT).json()

    assert [server["url"] for server in served["servers"]] == ["/"]
    assert {**served, "servers": DOCUMENT["servers"]} == DOCUMENT


def test_other_paths_and_methods_are_the_apis(site: str) -> None:
    assert get(site, "/docs/").status_code == get(site, "/docs/index.html").status_code == 404

    with requests.Session() as session:
        assert session.delete(site + docs_page.PAGE, timeout=30).status_code == 404
        head = session.head(site + docs_page.PAGE, timeout=30)

    assert (head.status_code, head.content) == (200, b"")


def test_older_viewer_gets_the_same_operations(site: str) -> None:
    view = get(site, docs_page.VIEW).json()
    assert [error.message for error in OpenAPIV30SpecValidator(view).iter_errors()] == []
    assert view["paths"].keys() == DOCUMENT["paths"].keys()

    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            older = view["paths"][path][method]
            assert older["responses"].keys() == operation["responses"].keys()
            assert [it["name"] for it in older["parameters"]] == [it["name"] for it in operation["parameters"]]
            assert ("requestBody" in older) == ("requestBody" in operation and method != "get")

    assert view["components"]["schemas"].keys() == DOCUMENT["components"]["schemas"].keys()


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        ({"const": 1}, {"enum": [1]}),
        ({"type": ["string", "null"]}, {"type": "string", "nullable": True}),
        ({"type": ["string", "integer"]}, {"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        ({"oneOf": [{"type": "null"}, {"type": "object"}]}, {"type": "object", "nullable": True}),
        ({"type": "string", "if": {}, "then": {}, "else": {}, "allOf": [{"if": {}, "then": {}}]}, {"type": "string"}),
        ({"allOf": [{"if": {}, "then": {"$ref": "#/a"}}, {"then": {}}]}, {"anyOf": [{"$ref": "#/a"}]}),
        ({"properties": {"if": {"const": 1}}}, {"properties": {"if": {"enum": [1]}}}),
        ({"required": []}, {}),
        ({"required": ["a"]}, {"required": ["a"]}),
        ({"required": True}, {"required": True}),
        ({"example": {"const": None, "if": 1}}, {"example": {"const": None, "if": 1}}),
    ],
)
def test_older_viewer_reads_newer_keywords(newer: Json, older: Json) -> None:
    view = docs_page.as_openapi_30({"components": {"schemas": {"It": newer}}})

    assert view["components"]["schemas"]["It"] == older


def test_no_browser_sends_a_body_with_a_get() -> None:
    item: Json = {"get": {"requestBody": {}}, "post": {"requestBody": {}}}

    view = docs_page.as_openapi_30({"paths": {"/": item}})

    assert view["paths"]["/"] == {"get": {}, "post": {"requestBody": {}}}
