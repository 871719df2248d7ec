"""The published document's two sweep routes are the template's, and take and give what the schemas say."""

import json
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from local.api import openapi, openapi_sweep, schemas
from local.aws import stack
from task_cleanup import triggers
from task_cleanup.errors import Category
from task_cleanup.results import Error
from task_cleanup.sweep.results import Answer, merge, progress
from task_cleanup.sweep.services import SERVICES
from tests.support.functions import ROOT, request_schema, sample_event
from tests.support.results_world import requests, result
from tests.support.sweep_runs import NO_DIGEST, apply
from tests.support.sweep_world import PLANNED, Failure, SweepWorld, http_get, http_post, policy, queued

Json = dict[str, Any]

DOCUMENT = openapi.document()
COMPONENTS: Json = DOCUMENT["components"]["schemas"]
ROUTES = [openapi_sweep.ASK, openapi_sweep.TELL]
REGISTRY: Registry[Any] = Registry().with_resources(
    [("urn:document", Resource.from_contents({"$schema": openapi.DIALECT, **DOCUMENT}))]
)
BAD_RUN_IDS = ["", "..", "../x", "a/b", "-a", ".a", "a b", "a\n", "é", "a" * 129, "a%2Fb"]

both = pytest.mark.parametrize("route", ROUTES, ids=" ".join)


def operation(route: tuple[str, str]) -> Json:
    method, path = route
    found: Json = DOCUMENT["paths"][path][method]
    return found


def validator(schema: Json) -> Draft202012Validator:
    """For a schema that stands in the document."""
    return Draft202012Validator(json.loads(json.dumps(schema).replace('"#/', '"urn:document#/')), registry=REGISTRY)


def component(name: str) -> Draft202012Validator:
    return validator({"$ref": f"#/components/schemas/{name}"})


def contents(route: tuple[str, str]) -> list[Json]:
    """Every schema with an example that a route has."""
    own = operation(route)
    groups = [own.get("requestBody", {"content": {}}), *own["responses"].values()]
    return [item for group in groups for item in group["content"].values()]


# -- against the template ------------------------------------------------


def test_documented_routes_are_the_templates() -> None:
    resources = stack.translate(ROOT / "template.yaml", {})["Resources"]
    apis = [resource["Properties"] for resource in resources.values() if resource["Type"] == "AWS::ApiGatewayV2::Api"]
    deployed = {
        (route["method"].lower(), route["path"])
        for api in apis
        for route in stack.routes(api)
        if route["function"] == "SweepFunction"
    }

    documented = {
        (method, path)
        for path, item in DOCUMENT["paths"].items()
        for method, own in item.items()
        if own["tags"] == [openapi_sweep.TAG]
    }

    assert deployed == documented == set(ROUTES)


def test_samples_are_calls_of_these_routes() -> None:
    for route, name in zip(ROUTES, ("http", "http_get"), strict=True):
        event = sample_event("sweep", name)
        assert event["routeKey"] == f"{route[0].upper()} {route[1]}"
        assert event["rawPath"] == route[1].format(**event.get("pathParameters", {}))
        assert event["requestContext"]["http"]["method"] == route[0].upper()


# -- requests ------------------------------------------------


def policies() -> dict[str, Json]:
    """The request in each of the sample events."""
    return {
        "direct": sample_event("sweep", "direct"),
        "eventbridge": sample_event("sweep", "eventbridge")["detail"],
        "schedule": sample_event("sweep", "schedule")["detail"],
        "http": json.loads(sample_event("sweep", "http")["body"]),
        "sqs": json.loads(sample_event("sweep", "sqs")["Records"][0]["body"])["detail"],
    }


@pytest.mark.parametrize("name", policies())
def test_samples_are_valid_by_the_document(name: str) -> None:
    component("Sweep.Request").validate(policies()[name])


POLICY = policies()["direct"]
OMS, ELASTICSEARCH = POLICY["targets"][0], POLICY["targets"][1]


@pytest.mark.parametrize(
    ("request_", "valid"),
    [
        (POLICY, True),
        ({**POLICY, "run_id": "a"}, True),
        ({"apply_report": "reports/a/report.json", "sha256": "0" * 64}, True),
        ({"apply_report": "reports/a/report.json", "sha256": "0" * 64, "limits": {"max_tasks": 3}}, True),
        ({"apply_report": "reports/a/report.json"}, False),
        ({"apply_report": "reports/a/report.json", "sha256": "A" * 64}, False),
        ({**POLICY, "sha256": "0" * 64}, False),
        ({}, False),
        ({**POLICY, "extra": 1}, False),
        ({**POLICY, "run_id": "../x"}, False),
        ({**POLICY, "mode": "delete"}, False),
        ({**POLICY, "targets": []}, False),
        ({**POLICY, "targets": [{**OMS, "instance_id": "x"}]}, False),
        ({**POLICY, "targets": [{**OMS, "region": "EU-DE"}]}, False),
        ({**POLICY, "targets": [{**OMS, "region": "xx-name-1"}]}, True),  # a stack may have added it
        ({**POLICY, "targets": [{**OMS, "service": "elasticsearch"}]}, False),
        ({**POLICY, "targets": [{k: v for k, v in ELASTICSEARCH.items() if k != "instance_id"}]}, False),
        ({**POLICY, "select": {}}, False),
        ({**POLICY, "limits": {"max_fraction": 1.5}}, False),
        ({**POLICY, "apply_report": "reports/a/report.json"}, False),
        ({"apply_report": "elsewhere/a/report.json", "sha256": "0" * 64}, False),
    ],
    ids=str,
)
def test_document_judges_requests_as_the_schema_does(request_: Json, valid: bool) -> None:
    assert Draft202012Validator(request_schema("sweep")).is_valid(request_) is valid
    assert component("Sweep.Request").is_valid(request_) is valid


def test_request_is_the_functions_schema_with_its_definitions() -> None:
    """And each target's region names the service's own."""
    schema = request_schema("sweep")
    definitions = schema["$defs"]
    for name, rule in [(name, definitions.pop(name)) for name in SERVICES]:
        told = COMPONENTS[f"Sweep.Request.{name}"]["properties"]["region"]["description"]
        assert told.startswith(rule["properties"]["region"]["description"])
        assert set(SERVICES[name].regions) <= set(re.findall(r"[a-z0-9-]+", told))
        rule["properties"]["region"]["description"] = told
        assert COMPONENTS[f"Sweep.Request.{name}"] == rule
    whole = {key: value for key, value in schema.items() if key not in {"$schema", "$id", "$defs"}}
    for component, rule in {"Sweep.Request": whole, "Sweep.Request.target": definitions.pop("target")}.items():
        text = json.dumps(rule).replace('"#/$defs/', '"#/components/schemas/Sweep.Request.')
        assert COMPONENTS[component] == json.loads(text)
    assert not definitions

    content = operation(openapi_sweep.ASK)["requestBody"]["content"]["application/json"]

    assert content["schema"] == {"$ref": "#/components/schemas/Sweep.Request"}


@both
def test_run_id_is_strict_wherever_it_stands(route: tuple[str, str]) -> None:
    (parameter,) = operation(route)["parameters"]
    name, place = {
        openapi_sweep.ASK: ("Idempotency-Key", "header"),
        openapi_sweep.TELL: ("run_id", "path"),
    }[route]
    assert (parameter["name"], parameter["in"]) == (name, place)

    rule = validator(parameter["schema"])

    assert rule.is_valid(parameter["example"])
    assert rule.is_valid("3f71a6d2-7bd0-4a53-9119-386a2f0b0001")
    assert not [text for text in BAD_RUN_IDS if rule.is_valid(text)]


# -- answers ------------------------------------------------


@both
def test_examples_are_what_their_schemas_say(route: tuple[str, str]) -> None:
    assert contents(route)
    for item in contents(route):
        validator(item["schema"]).validate(item["example"])


def ends(published: Json) -> list[str]:
    """What a summary has besides the members of a report."""
    found: list[str] = published["dependentRequired"]["outcome"]
    return found


def test_summary_is_the_published_schema_of_a_run_that_has_ended() -> None:
    published = schemas.summary()
    Draft202012Validator.check_schema(published)
    example = operation(openapi_sweep.TELL)["responses"]["200"]["content"]["application/json"]["example"]

    Draft202012Validator(published).validate(example)

    assert set(COMPONENTS["Sweep.Summary"]["required"]) == {"outcome", *published["required"], *ends(published)}
    for name in ("outcome", *ends(published)):
        assert not component("Sweep.Summary").is_valid({key: it for key, it in example.items() if key != name})
    for name in published.get("$defs", {}):
        assert f"Sweep.Summary.{name}" in COMPONENTS


def test_results_are_what_the_gathered_ones_come_to() -> None:
    """`GET` adds them to the summary of an apply."""
    results = [result(0), result(1, "failed", "Denied"), result(2, "failed", "TaskChanged")]
    counted = progress(requests(5), merge(None, map(Answer.read, results)))
    schema = component("Sweep.Results")

    schema.validate(counted)

    example = operation(openapi_sweep.TELL)["responses"]["200"]["content"]["application/json"]["example"]
    for results_ in (counted, None):
        component("Sweep.Summary").validate({**example, "results": results_})
    assert not component("Sweep.Summary").is_valid({**example, "results": {}})
    for name in counted:
        assert not schema.is_valid({key: value for key, value in counted.items() if key != name})


def statuses(route: tuple[str, str], content_type: str) -> set[int]:
    return {int(it) for it, item in operation(route)["responses"].items() if content_type in item["content"]}


def test_every_status_is_documented() -> None:
    ask, tell = openapi_sweep.ASK, openapi_sweep.TELL
    assert statuses(ask, "application/problem+json") == {400, 404, 409, 412, 503}
    assert statuses(tell, "application/problem+json") == {400, 404, 503}

    gateways = {400, 403, 429, 500, 503, 504}

    assert statuses(ask, "application/json") == {200, 202, 413, *gateways}
    assert statuses(tell, "application/json") == {200, 202, 404, *gateways}


def told(route: tuple[str, str], reply: Json) -> tuple[int, Json]:
    """Status and body of a reply, which the document has."""
    body: Json = json.loads(reply["body"])
    content = operation(route)["responses"][str(reply["statusCode"])]["content"]
    validator(content[reply["headers"]["Content-Type"]]["schema"]).validate(body)
    return reply["statusCode"], body


def test_every_answer_of_the_function_is_documented(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    worker = sweep_world.worker()
    report, applied = policy(mode="report", run_id="seen"), "applied"

    def asked(request: Json) -> int:
        return told(openapi_sweep.ASK, worker(http_post(request)))[0]

    def state(run_id: str) -> tuple[int, Any]:
        status, body = told(openapi_sweep.TELL, worker(http_get(run_id)))
        return status, body.get("state", body.get("outcome"))

    assert state("seen") == (404, None)
    assert asked(report) == 202
    assert state("seen") == (202, "waiting")
    worker(queued(report, "e-1"))
    assert (asked(report), state("seen")) == (200, (200, "reported"))
    request = {**apply(sweep_world, "reports/seen/report.json"), "run_id": applied}
    sweep_world.aws.untaken = {sorted(PLANNED)[0][1]: 6}
    assert [
        asked({**request, "sha256": "0"}),
        asked({**request, "apply_report": "reports/unseen/report.json", "run_id": "a"}),
        asked({**request, "sha256": NO_DIGEST, "run_id": "b"}),
        asked({**report, "name": "another"}),
        asked(request),
    ] == [400, 404, 412, 409, 202]
    worker(queued(request, "e-2"))
    assert state(applied) == (202, "trying_again")
    worker(queued(request, "e-2", receives=2))
    assert state(applied) == (200, "requested")
    assert asked({**request, "run_id": "c"}) == 409
    sweep_world.aws.failures["GET claim.json"] = Failure((503, "SlowDown"))
    assert asked(report) == 503


def test_only_a_running_sweep_says_when_to_ask_again() -> None:
    for route in ROUTES:
        waiting = {status for status, item in operation(route)["responses"].items() if item.get("headers")}
        assert waiting == ({"202"} if route == openapi_sweep.TELL else set())

    assert operation(openapi_sweep.TELL)["responses"]["202"]["headers"].keys() == {"Retry-After"}


@pytest.mark.parametrize("category", Category, ids=lambda category: category.value)
def test_problem_is_what_the_code_makes(category: Category) -> None:
    """And nothing else: the published shape, but for the result that a sweep does not have."""
    reply = triggers.http_problem(Error(category, "Code", "text"), 'a b/"é')
    problem: Json = json.loads(reply["body"])
    schema = component("Sweep.Problem")

    schema.validate(problem)

    assert not schema.is_valid({**problem, "status": 200})
    assert not schema.is_valid({**problem, "type": "about:blank"})
    assert not schema.is_valid({**problem, "result": {}})
    for name in problem:
        assert not schema.is_valid({key: value for key, value in problem.items() if key != name})


def test_status_and_type_of_a_problem_belong_together() -> None:
    replies = [triggers.http_problem(Error(category, "Code", "text"), "a") for category in Category]
    problems = [json.loads(reply["body"]) for reply in replies]
    for one in problems:
        for other in problems:
            if one["status"] != other["status"]:
                assert not component("Sweep.Problem").is_valid({**one, "status": other["status"]})


def test_other_problems_still_hold_a_result() -> None:
    assert "result" in COMPONENTS["Problem"]["required"]
