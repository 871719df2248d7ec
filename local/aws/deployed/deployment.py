"""`sam build`, `sam deploy`, and the steps after it that are needed before a function may run."""

import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from local.aws.cloud import RESULTS, SWEEP_RESULTS
from local.aws.deployed.built import for_ministack
from local.aws.deployed.ministack import PATH, ROOT_KEY, VENV, Aws, NotAsItShouldBe, program
from local.aws.expand import expand, parse, text_of
from local.aws.stack import REGION, ROOT, STACK_NAME

SAM_TIMEOUT = 600  # seconds
# The functions run on this machine.
PARAMETERS = f"Architecture={'arm64' if platform.machine() in {'aarch64', 'arm64'} else 'x86_64'}"


@dataclass(frozen=True)
class Deployed:
    """A deployed stack. The keys of ``ids``, ``states`` and ``kinds`` are logical ids."""

    outputs: Mapping[str, str]
    ids: Mapping[str, str]
    states: Mapping[str, str]
    kinds: Mapping[str, str]


def build(template: Path, aws: Aws, *, loops: bool) -> tuple[dict[str, Any], list[str]]:
    """Build as ``make build`` does, into an empty folder; returns ministack's copy, and its changes in words.

    With ``loops``, the template is built and deployed as it is, and its loops are CloudFormation's to resolve.
    """
    written = template
    if not loops:
        written = aws.folder / "template.expanded.yaml"
        written.write_text(text_of(expand(parse(template.read_text()))))
    # The user's environment, which pip may need, with the functions' interpreter first on the path.
    environment = {**os.environ, "PATH": PATH, "RUNTIME_PYTHON": str(VENV / "bin" / "python")}
    places = ("--template", written, "--base-dir", ROOT, "--build-dir", aws.folder / "build")
    extensions = ("--language-extensions",) if loops else ()
    _sam(aws, ("build", "--no-cached", *extensions, *places, "--parameter-overrides", PARAMETERS), environment, ROOT)
    path = _built(aws)
    changed, notes = for_ministack(yaml.safe_load(path.read_text()))
    path.write_text(yaml.safe_dump(changed, sort_keys=False))
    return expand(changed) if loops else changed, notes


def deploy(aws: Aws, *, loops: bool) -> Deployed:
    """``sam deploy`` of what was built."""
    key, secret = ROOT_KEY
    address = {"AWS_ENDPOINT_URL": aws.url, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    stack = ("--stack-name", STACK_NAME, "--region", REGION, "--parameter-overrides", PARAMETERS)
    flags = ["--resolve-s3", "--no-confirm-changeset", "--capabilities", "CAPABILITY_IAM"]
    flags += ["CAPABILITY_AUTO_EXPAND", "--language-extensions"] if loops else []
    _sam(aws, ("deploy", "--template", _built(aws), *stack, *flags), aws.environment(**address), aws.folder)
    cloudformation = aws.client("cloudformation")
    outputs = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]["Outputs"]
    resources = cloudformation.describe_stack_resources(StackName=STACK_NAME)["StackResources"]
    return Deployed(
        {output["OutputKey"]: output["OutputValue"] for output in outputs},
        *(
            {item["LogicalResourceId"]: item[what] for item in resources}
            for what in ("PhysicalResourceId", "ResourceStatus", "ResourceType")
        ),
    )


def _built(aws: Aws) -> Path:
    return aws.folder / "build" / "template.yaml"


def _sam(aws: Aws, arguments: Sequence[str | Path], environment: Mapping[str, str], folder: Path) -> None:
    log = aws.folder / "sam.log"
    with program([VENV / "bin" / "sam", *arguments], {**environment, "SAM_CLI_TELEMETRY": "0"}, folder, log) as sam:
        sam.wait(SAM_TIMEOUT)
    if sam.returncode:
        raise NotAsItShouldBe(f"sam {arguments[0]} ended with {sam.returncode}:\n{log.read_text()[-3000:]}")


def keep_local(aws: Aws, deployed: Deployed, providers: Mapping[str, str]) -> list[str]:
    """Give every function local addresses of AWS and the providers; returns the hosts of all its addresses.

    Invoke no function before: the template's own addresses are those of the real AWS.
    """
    client, hosts = aws.client("lambda"), set[str | None]()
    local = {f"{service.upper()}_ENDPOINT": url for service, url in providers.items()}
    for name in (name for name, kind in deployed.kinds.items() if kind == "AWS::Lambda::Function"):
        function = {"FunctionName": deployed.ids[name]}
        variables = client.get_function_configuration(**function)["Environment"]["Variables"]
        variables |= {key: aws.url for key in variables if key.startswith("AWS_ENDPOINT_URL")} | local
        made = client.update_function_configuration(**function, Environment={"Variables": variables})
        hosts |= {urlsplit(text).hostname for text in made["Environment"]["Variables"].values() if "://" in text}
    return sorted(map(str, hosts))


def watch(aws: Aws, deployed: Deployed) -> str:
    """Make a queue that gets all results from the bus; returns its URL."""
    sqs, events, bus = aws.client("sqs"), aws.client("events"), deployed.outputs["EventBusName"]
    url: str = sqs.create_queue(QueueName="watch")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = json.dumps({"detail-type": [*RESULTS, *SWEEP_RESULTS]})
    events.put_rule(Name="watch", EventBusName=bus, EventPattern=pattern)
    events.put_targets(Rule="watch", EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    return url


def make_routes(aws: Aws, deployed: Deployed, template: Mapping[str, Any]) -> int:
    """Make the HTTP API's routes by API calls, since ministack does not read SAM's document; returns their number."""
    client, api = aws.client("apigatewayv2"), deployed.ids["HttpApi"]
    events = list(_http_events(template["Resources"]))
    for name, event in events:
        arn = aws.client("lambda").get_function_configuration(FunctionName=deployed.ids[name])["FunctionArn"]
        how = {"IntegrationType": "AWS_PROXY", "PayloadFormatVersion": event["PayloadFormatVersion"]}
        made = client.create_integration(ApiId=api, IntegrationUri=arn, **how)["IntegrationId"]
        key = {"RouteKey": f"{event['Method'].upper()} {event['Path']}", "AuthorizationType": "AWS_IAM"}
        client.create_route(ApiId=api, Target=f"integrations/{made}", **key)
    return len(events)


def _http_events(resources: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, resource in resources.items():
        for event in resource.get("Properties", {}).get("Events", {}).values():
            if event["Type"] == "HttpApi":
                yield name, event["Properties"]
