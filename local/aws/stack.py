"""The template that ships, deployed into local AWS.

``template.yaml``, with its loops written out, goes through the SAM translator and then, by CloudFormation, into moto.
Everything a runner needs (queues, environment variables, mappings, routes, schedules) is asked back from the deployed
stack: whatever holds an intrinsic function becomes an output, so that CloudFormation resolves it and not a copy of
its rules.
"""

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from samtranslator.translator.transform import transform

from local.aws.expand import expand, parse

ROOT = Path(__file__).resolve().parents[2]
REGION = "eu-central-1"
ACCOUNT = "123456789012"  # moto's
STACK_NAME = "task-cleanup"  # unless another is given

# moto's CloudFormation knows no HTTP API and no Scheduler, and would consume the queues itself if it had the
# mappings; the runner imitates these by the template's own properties. Of a bucket moto takes the name and the
# encryption; versions, expiry and the access block are checked by the template's tests. Log groups stay empty.
_DEPLOYED = frozenset(
    {"AWS::SQS::Queue", "AWS::Events::EventBus", "AWS::Events::Rule", "AWS::S3::Bucket", "AWS::Logs::LogGroup"}
)
# What an output tells of a resource that is not deployed. There is none for the HTTP API: see ``tell``.
_ARNS = {
    "AWS::Lambda::Function": "arn:aws:lambda:{region}:{account}:function:{stack}-{id}",
    "AWS::IAM::Role": "arn:aws:iam::{account}:role/{stack}-{id}",
}


@dataclass(frozen=True)
class Function:
    """A deployed function: its folder under ``functions/``, its variables, its time-out in seconds."""

    name: str
    folder: str
    environment: Mapping[str, str]
    timeout: float


@dataclass(frozen=True)
class QueueMapping:
    """An event source mapping from a queue to a function. ``window`` is in seconds."""

    function: str
    queue_arn: str
    queue_url: str
    batch_size: int
    window: float
    concurrency: int
    partial_failures: bool


@dataclass(frozen=True)
class Route:
    """An HTTP route, with ``{name}`` for path parameters."""

    function: str
    method: str
    path: str


@dataclass(frozen=True)
class Schedule:
    """A schedule of EventBridge Scheduler: its group, what it sends and to which queue, and when."""

    name: str
    group: str
    queue_url: str
    message: str
    enabled: bool
    expression: str
    zone: ZoneInfo


@dataclass(frozen=True)
class Stack:
    """The deployed stack, as far as a runner needs it."""

    name: str
    functions: Mapping[str, Function]
    mappings: tuple[QueueMapping, ...]
    routes: tuple[Route, ...]
    schedules: tuple[Schedule, ...]
    queue_urls: Mapping[str, str]  # logical id -> URL
    buckets: Mapping[str, str]  # logical id -> name
    bus: str

    def mapping_of(self, folder: str) -> QueueMapping:
        """The event source mapping of the function whose code is in this folder."""
        return next(item for item in self.mappings if self.functions[item.function].folder == folder)


def translate(template: Path, parameters: Mapping[str, str]) -> dict[str, Any]:
    """The template as CloudFormation sees it after the SAM transform. The caller may change it."""
    return deepcopy(_translated(template.read_text(), tuple(sorted(parameters.items()))))


@cache  # half a second each time, and a process deploys the same template again and again
def _translated(text: str, parameters: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    document = expand(parse(text))
    for resource in document["Resources"].values():
        properties = resource.get("Properties", {})
        for source in ("CodeUri", "ContentUri"):
            if source in properties:
                # As `sam package` does: the translator takes S3 locations only. The key is the path.
                properties[source] = {"Bucket": "local", "Key": str(properties[source])}
    os.environ.setdefault("AWS_DEFAULT_REGION", REGION)  # the translator takes it from nowhere else
    values = {name: value for name, value in parameters if name in document["Parameters"]}
    translated: dict[str, Any] = transform(document, values, _NoManagedPolicies())
    return translated


class _NoManagedPolicies:
    """No AWS managed policies for the translator: this template names none."""

    def load(self) -> dict[str, str]:
        """No policies."""
        return {}


def deploy(
    cloudformation: Any,  # noqa: ANN401 - boto3 makes its clients at run time
    template: Path = ROOT / "template.yaml",
    *,
    name: str = STACK_NAME,
    **parameters: str,
) -> Stack:
    """Deploy the template with this boto3 client, as a stack of this name, and read back what a runner needs."""
    translated = translate(template, parameters)
    resources = translated["Resources"]
    questions = _Questions()
    parts = _parts(resources, questions)
    deployed = {name: item for name, item in resources.items() if item["Type"] in _DEPLOYED}
    given = [
        {"ParameterKey": name, "ParameterValue": value}
        for name, value in parameters.items()
        if name in translated["Parameters"]
    ]

    def body(outputs: Mapping[str, Any]) -> str:
        return json.dumps({**translated, "Resources": deployed, "Outputs": outputs})

    cloudformation.create_stack(StackName=name, TemplateBody=body(questions.outputs()), Parameters=given)
    outputs = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]
    answers = {output["OutputKey"]: output["OutputValue"] for output in outputs}
    # At the end the stack has the template's own outputs.
    known = deployed.keys() | translated["Parameters"].keys()
    own = {
        key: {**item, "Value": _as_if_deployed(item["Value"], resources, known, name)}
        for key, item in translated["Outputs"].items()
    }
    told = {key: item for key, item in own.items() if _references(item["Value"]) <= known}
    cloudformation.update_stack(StackName=name, TemplateBody=body(told), Parameters=given)
    return _stack(name, questions.resolve(parts, answers))


def tell(cloudformation: Any, name: str, parameters: Mapping[str, str], **outputs: str) -> None:  # noqa: ANN401
    """Add outputs to a stack: of what began after its deployment. The parameters are those of the deployment."""
    template = cloudformation.get_template(StackName=name)["TemplateBody"]
    template["Outputs"] |= {key: {"Value": value} for key, value in outputs.items()}
    # moto makes every resource anew that uses a parameter which it was not given before.
    given = [
        {"ParameterKey": key, "ParameterValue": value}
        for key, value in parameters.items()
        if key in template["Parameters"]
    ]
    cloudformation.update_stack(StackName=name, TemplateBody=json.dumps(template), Parameters=given)


def _as_if_deployed(value: Any, resources: Mapping[str, Any], known: Collection[str], stack: str) -> Any:  # noqa: ANN401
    """An output's value, in which what is not deployed has the ARN or the name that it would have."""
    match value:
        case {"Fn::GetAtt": [str() as id_, "Arn"]} if id_ not in known and resources[id_]["Type"] in _ARNS:
            return _ARNS[resources[id_]["Type"]].format(region=REGION, account=ACCOUNT, stack=stack, id=id_)
        case {"Ref": str() as id_} if id_ not in known:
            properties = resources.get(id_, {}).get("Properties", {})
            return properties.get("Name", properties.get("DashboardName", value))
        case {"Fn::Join": [separator, list() as parts]}:
            return {"Fn::Join": [separator, [_as_if_deployed(part, resources, known, stack) for part in parts]]}
    return value


def _references(value: Any) -> set[str]:  # noqa: ANN401 - JSON
    """The logical ids of resources, and the parameters, that a value refers to."""
    if isinstance(value, list):
        return {name for item in value for name in _references(item)}
    if not isinstance(value, dict):
        return set()
    match value:
        case {"Ref": name}:
            names = {name}
        case {"Fn::GetAtt": [name, *_]}:
            names = {name}
        case {"Fn::Sub": str() as text}:
            names = {name.partition(".")[0] for name in re.findall(r"\$\{([\w:.]+)\}", text)}
        case _:
            names = {name for item in value.values() for name in _references(item)}
    return {name for name in names if not name.startswith("AWS::")}


class _Questions:
    """Collects values that only CloudFormation can resolve, and makes an output of each."""

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}

    def ask(self, value: object) -> object:
        """A placeholder for this value, which ``resolve`` replaces by the answer. A plain value stays as it is."""
        if not isinstance(value, dict):
            return value
        text = json.dumps(value, sort_keys=True)
        return _Question(self._keys.setdefault(text, f"Answer{len(self._keys)}"))

    def outputs(self) -> dict[str, Any]:
        """The ``Outputs`` section with one output for each collected value."""
        return {key: {"Value": json.loads(text)} for text, key in self._keys.items()}

    def resolve(self, value: Any, answers: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON with place-holders
        """The same structure, with each placeholder replaced by its answer."""
        if isinstance(value, _Question):
            return answers[value.key]
        if isinstance(value, dict):
            return {name: self.resolve(item, answers) for name, item in value.items()}
        if isinstance(value, list):
            return [self.resolve(item, answers) for item in value]
        return value


@dataclass(frozen=True)
class _Question:
    key: str


def _parts(resources: Mapping[str, Any], questions: _Questions) -> dict[str, Any]:
    """Functions, mappings, schedules, routes and queues, with placeholders for what CloudFormation has to resolve."""
    return {
        "functions": [
            {
                "name": name,
                "folder": Path(item["Code"]["S3Key"]).name,
                "timeout": item["Timeout"],
                "environment": {
                    variable: questions.ask(value) for variable, value in item["Environment"]["Variables"].items()
                },
            }
            for name, item in _of_type(resources, "AWS::Lambda::Function")
        ],
        "mappings": [
            {
                "function": item["FunctionName"]["Ref"],
                "queue_arn": questions.ask(item["EventSourceArn"]),
                "queue_url": questions.ask({"Ref": item["EventSourceArn"]["Fn::GetAtt"][0]}),
                "batch_size": item.get("BatchSize", 10),
                "window": item.get("MaximumBatchingWindowInSeconds", 0),
                "concurrency": questions.ask(item["ScalingConfig"]["MaximumConcurrency"]),
                "partial_failures": "ReportBatchItemFailures" in item.get("FunctionResponseTypes", []),
            }
            for _, item in _of_type(resources, "AWS::Lambda::EventSourceMapping")
        ],
        "schedules": [
            {
                "name": name,
                "group": questions.ask(resources[item["GroupName"]["Ref"]]["Properties"]["Name"]),
                "queue_url": questions.ask({"Ref": item["Target"]["Arn"]["Fn::GetAtt"][0]}),
                "message": questions.ask(item["Target"]["Input"]),
                "state": questions.ask(item.get("State", "ENABLED")),
                "expression": questions.ask(item["ScheduleExpression"]),
                "zone": questions.ask(item.get("ScheduleExpressionTimezone", "UTC")),
                "there": questions.ask({"Fn::If": [resources[name]["Condition"], "true", "false"]}),
            }
            for name, item in _of_type(resources, "AWS::Scheduler::Schedule")
            if "Fn::GetAtt"
            in item["Target"]["Arn"]  # a queue; the heartbeat's target is a metric, which is not imitated here
        ],
        "routes": [route for _, item in _of_type(resources, "AWS::ApiGatewayV2::Api") for route in routes(item)],
        "queues": {name: questions.ask({"Ref": name}) for name, _ in _of_type(resources, "AWS::SQS::Queue")},
        "buckets": {name: questions.ask({"Ref": name}) for name, _ in _of_type(resources, "AWS::S3::Bucket")},
        # By name: moto resolves a reference to a bus to no name.
        "bus": [questions.ask(item["Name"]) for _, item in _of_type(resources, "AWS::Events::EventBus")],
    }


def _of_type(resources: Mapping[str, Any], kind: str) -> Iterator[tuple[str, Any]]:
    return ((name, item["Properties"]) for name, item in resources.items() if item["Type"] == kind)


def routes(api: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Function, method and path of each route in the OpenAPI body that SAM wrote."""
    for path, methods in api["Body"]["paths"].items():
        for method, operation in methods.items():
            uri = operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
            function = re.search(r"\$\{(\w+)\.Arn\}", uri)
            if function is None:
                raise ValueError(f"no function behind {method} {path}")
            yield {"function": function[1], "method": method.upper(), "path": path}


def _stack(name: str, parts: Mapping[str, Any]) -> Stack:
    return Stack(
        name=name,
        functions={item["name"]: Function(**item) for item in parts["functions"]},
        mappings=tuple(
            QueueMapping(**{**item, "concurrency": int(item["concurrency"])}) for item in parts["mappings"]
        ),
        routes=tuple(Route(**item) for item in parts["routes"]),
        schedules=tuple(
            Schedule(
                **{name: item[name] for name in ("name", "group", "queue_url", "message", "expression")},
                enabled=item["state"] == "ENABLED",
                zone=ZoneInfo(item["zone"]),
            )
            for item in parts["schedules"]
            if item["there"] == "true"
        ),
        queue_urls=parts["queues"],
        buckets=parts["buckets"],
        bus=parts["bus"][0],
    )
