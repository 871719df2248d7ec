"""The HTTP API: callers are known, logged and slowed down; its routes are the schemas' fields."""

import json
import re

from tests.support.expected import routes
from tests.support.template import OPERATIONS, Operation, of_type, properties, template

ROUTES = {
    "alibaba.elasticsearch.DeleteDataTask": (
        "delete",
        "/alibaba/elasticsearch/{region}/instances/{instance_id}/data-tasks/{task_id}",
    ),
    "alibaba.elasticsearch.CancelTask": (
        "post",
        "/alibaba/elasticsearch/{region}/instances/{instance_id}/cancel-task",
    ),
    "huawei.oms.DeleteTask": ("delete", "/huawei/oms/{region}/tasks/{task_id}"),
    "otc.dms.DeleteBackgroundTask": ("delete", "/otc/dms/{region}/instances/{instance_id}/tasks/{task_id}"),
}


def own_routes(operation: Operation) -> list[tuple[str, str]]:
    return [(method, path) for function, method, path, _ in routes() if function == operation.id("Function")]


def test_every_operation_has_one_route(operation: Operation) -> None:
    assert len(own_routes(operation)) == 1
    assert len([function for function, *_ in routes() if function != "SweepFunction"]) == len(OPERATIONS)


def test_published_route_does_not_change(operation: Operation) -> None:
    if operation.name in ROUTES:
        assert own_routes(operation) == [ROUTES[operation.name]]


def test_path_is_made_of_the_schemas_fields(operation: Operation) -> None:
    ((_, path),) = own_routes(operation)
    fields = re.findall(r"\{(\w+)\}", path)
    assert "region" in fields
    assert set(fields) <= operation.schema["properties"].keys()
    assert set(operation.schema["required"]) <= set(fields), "a required field fits into the path"

    provider, service, _ = operation.name.split(".")

    assert path.startswith(f"/{provider}/{service}/{{region}}/")


def test_every_route_wants_an_aws_identity() -> None:
    for function, _, path, route in routes():
        assert route["security"] == [{"AWS_IAM": []}], path
        assert route["x-amazon-apigateway-integration"]["payloadFormatVersion"] == "2.0", function

    scheme = properties("HttpApi")["Body"]["components"]["securitySchemes"]["AWS_IAM"]

    assert scheme["x-amazon-apigateway-authtype"] == "awsSigv4"


def test_api_may_call_a_function_by_its_own_route_only(operation: Operation) -> None:
    ((method, path),) = own_routes(operation)
    permissions = [
        it
        for it in of_type("AWS::Lambda::Permission").values()
        if it["FunctionName"] == {"Ref": operation.id("Function")}
    ]
    assert [it["Principal"] for it in permissions] == ["apigateway.amazonaws.com"]

    source = permissions[0]["SourceArn"]["Fn::Sub"][0]

    assert source.endswith("/" + method.upper() + re.sub(r"\{\w+\}", "*", path))


def test_api_is_throttled() -> None:
    settings = properties("HttpApiApiGatewayDefaultStage")["DefaultRouteSettings"]

    assert 0 < settings["ThrottlingRateLimit"] <= settings["ThrottlingBurstLimit"] <= 100


def test_access_log_is_json_without_what_callers_fill_in() -> None:
    settings = properties("HttpApiApiGatewayDefaultStage")["AccessLogSettings"]
    assert settings["DestinationArn"] == {"Fn::GetAtt": ["HttpApiLogGroup", "Arn"]}
    assert properties("HttpApiLogGroup")["RetentionInDays"] == {"Ref": "LogRetentionDays"}

    entry = json.loads(settings["Format"])

    assert {"requestId", "routeKey", "status", "caller"} <= entry.keys()
    assert not [name for name in entry.values() if re.search(r"path|query|userAgent|header", name)]


def test_api_url_is_an_output() -> None:
    url = template()["Outputs"]["ApiUrl"]["Value"]["Fn::Sub"]

    assert url == "https://${HttpApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}"
