"""A stack may have any name that CloudFormation takes: what is named after it stays within the services' limits."""

import json
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest

from tests.support.template import Deployment, template, translated, walk

SERVICES = botocore.session.get_session()
LONGEST = 128  # CloudFormation user guide, "Specify stack details": the stack's name
SHORT_NAMES = ["a", "a" * 64]  # a schedule group may be called the same
LONG_NAMES = ["a" * 65, "a" * LONGEST]


def most(service: str, shape: str) -> int:
    """The most characters that the service's own model allows."""
    limit: int = SERVICES.get_service_model(service).shape_for(shape).metadata["max"]
    return limit


# Type and property of all that is built from the stack's name, and the most characters of it.
LIMITS = {
    ("AWS::ApiGatewayV2::Api", "Body"): 128,  # its title is the API's name; API reference, "CreateApi": 1 to 128
    ("AWS::CloudWatch::Alarm", "Dimensions"): most("cloudwatch", "DimensionValue"),
    ("AWS::CloudWatch::Alarm", "Metrics"): most("cloudwatch", "MetricExpression"),
    ("AWS::CloudWatch::Dashboard", "DashboardName"): 255,  # API reference, "PutDashboard"
    ("AWS::CloudWatch::Dashboard", "DashboardBody"): 1024,  # a search; "CloudWatch search expression syntax"
    ("AWS::Events::Rule", "Targets"): 8192,  # an input template; API reference, "InputTransformer"
    ("AWS::Logs::QueryDefinition", "Name"): most("logs", "QueryDefinitionName"),
    ("AWS::SQS::Queue", "Tags"): 256,  # developer guide, "Amazon SQS cost allocation tags"
    ("AWS::Events::EventBus", "Name"): most("events", "EventBusName"),
    ("AWS::Events::Rule", "EventBusName"): most("events", "EventBusName"),
    ("AWS::Lambda::Function", "Environment"): 4096,  # all variables together; developer guide, "Lambda quotas"
    ("AWS::Lambda::LayerVersion", "LayerName"): most("lambda", "LayerName"),
    ("AWS::Logs::LogGroup", "LogGroupName"): most("logs", "LogGroupName"),
    ("AWS::Scheduler::Schedule", "Target"): most("cloudwatch", "DimensionValue"),  # in the heartbeat's message
    ("AWS::Scheduler::ScheduleGroup", "Name"): most("scheduler", "ScheduleGroupName"),
}


def named_after_the_stack() -> Iterator[tuple[str, str]]:
    """Logical id and property, wherever the stack's name goes in."""
    for logical_id, resource in translated().items():
        for name, value in resource["Properties"].items():
            parts = list(walk(value))
            if "AWS::StackName" in parts or [it for it in parts if isinstance(it, str) and "${AWS::StackName}" in it]:
                yield logical_id, name


NAMED = list(named_after_the_stack())


def length(property_name: str, value: Any, stack_name: str) -> int:
    """Of the longest text with the stack's name in it; of all variables together."""
    if property_name == "Environment":
        return sum(len(name) + len(str(text)) for name, text in value["Variables"].items())
    if property_name == "DashboardBody":
        value = [it for it in walk(json.loads(value["Fn::Sub"])) if isinstance(it, str) and "SEARCH" in it]
    if property_name == "Target":
        value = json.loads(value["Input"])
    if property_name == "Body":
        value = value["info"]["title"]
    return max(len(text) for text in walk(value) if isinstance(text, str) and stack_name in text)


def too_long(deployment: Deployment) -> set[str]:
    resources = deployment.resources
    return {
        logical_id
        for logical_id, name in NAMED
        if logical_id in resources
        and (value := resources[logical_id]["Properties"].get(name)) is not None
        and deployment.stack_name in json.dumps(value)
        and length(name, value, deployment.stack_name) > LIMITS[resources[logical_id]["Type"], name]
    }


def test_every_name_that_the_stacks_name_is_in_has_a_limit_here() -> None:
    assert {(translated()[logical_id]["Type"], name) for logical_id, name in NAMED} == LIMITS.keys()


@pytest.mark.parametrize("policy", ["", "{}"], ids=["", "nightly"])
@pytest.mark.parametrize("stack_name", SHORT_NAMES, ids=len)
def test_names_fit(stack_name: str, policy: str) -> None:
    deployment = Deployment(stack_name, {"SweepPolicy": policy})

    assert not too_long(deployment)
    assert deployment.resources["ScheduleGroup"]["Properties"]["Name"] == stack_name


@pytest.mark.parametrize("policy", ["", "{}"], ids=["", "nightly"])
@pytest.mark.parametrize("stack_name", LONG_NAMES, ids=len)
def test_names_of_a_long_stack_fit_once_its_schedule_group_has_a_name(stack_name: str, policy: str) -> None:
    """The one name that cannot follow, and the parameter that says what to do: nothing else is in the way."""
    assert too_long(Deployment(stack_name, {"SweepPolicy": policy})) == {"ScheduleGroup"}
    assert not too_long(Deployment(stack_name, {"SweepPolicy": policy, "ScheduleGroupName": "cleanup"}))
    assert not too_long(Deployment(stack_name, {"Schedules": "false"}))
    assert "64 characters" in " ".join(template()["Parameters"]["ScheduleGroupName"]["Description"].split())


def test_layers_differ_by_what_follows_the_stacks_name() -> None:
    resources = Deployment("a" * LONGEST).resources.values()

    names = [it["Properties"]["LayerName"] for it in resources if it["Type"] == "AWS::Lambda::LayerVersion"]

    assert len(set(names)) == len(names) == 3
