"""Notices of sweeps, and saved queries: what the template says. What they do: tests/e2e/test_watching.py."""

import json
import re
from typing import Any

import pytest

from local.aws.notices import TransformError, transformed
from task_cleanup.event_types import SOURCE, EventType
from task_cleanup.sweep.report import SweepOutcome
from tests.support import insights
from tests.support.expected import ALARMS
from tests.support.template import Deployment, of_type, properties, source, template, translated

TOPIC = "arn:aws:sns:eu-central-1:123456789012:notices"
NOTICES = [name for name in template()["Resources"] if name.endswith("Notice")]
QUERIES = sorted(of_type("AWS::Logs::QueryDefinition"))


def rule(name: str) -> dict[str, Any]:
    found: dict[str, Any] = Deployment(parameters={"NoticeTopicArn": TOPIC}).resources[name]["Properties"]
    return found


def transformer(name: str) -> dict[str, Any]:
    (target,) = rule(name)["Targets"]
    found: dict[str, Any] = target["InputTransformer"]
    return found


# -- notices ------------------------------------------------


def test_there_are_none_without_a_topic() -> None:
    without = Deployment().resources

    assert not [name for name in NOTICES if name in without]
    assert "NoticesUndeliveredAlarm" not in without
    assert len(NOTICES) == 6


def test_every_end_of_a_sweep_has_a_notice_but_requests_that_are_on_their_way() -> None:
    ends = {
        (pattern["detail-type"][0], *pattern.get("detail", {}).get("outcome", []), "report" in str(pattern))
        for pattern in (rule(name)["EventPattern"] for name in NOTICES)
    }

    assert ends == {
        (EventType.SWEEP_COMPLETED, SweepOutcome.REPORTED, True),
        (EventType.SWEEP_REFUSED, SweepOutcome.REFUSED, True),
        (EventType.SWEEP_FAILED, SweepOutcome.FAILED, True),
        (EventType.SWEEP_FINISHED, False),
    }


@pytest.mark.parametrize("name", NOTICES)
def test_notice_waits_for_the_bus(name: str) -> None:
    assert rule(name)["EventBusName"] == "task-cleanup"
    assert template()["Resources"][name]["DependsOn"] == "EventBus", "the name alone does not order the two"


@pytest.mark.parametrize("name", NOTICES)
def test_notice_is_sent_by_the_bus_to_the_topic_alone(name: str) -> None:
    (target,) = rule(name)["Targets"]

    assert rule(name)["EventPattern"]["source"] == [SOURCE]
    assert target.keys() == {"Id", "Arn", "InputTransformer"}, "no role: the topic's policy allows it"
    assert target["Arn"] == TOPIC


@pytest.mark.parametrize("name", NOTICES)
def test_template_of_a_notice_is_within_its_limits(name: str) -> None:
    """API reference, "InputTransformer"; and every variable that is used has a path."""
    text, paths = json.dumps(transformer(name)["InputTemplate"]), transformer(name)["InputPathsMap"]

    assert len(text) < 8192 - 1000
    assert len(paths) <= 100
    assert {*re.findall(r"<(\w+)>", text)} <= paths.keys()
    assert all(re.fullmatch(r"\$(\.[\w-]+|\[\d+\])+", path) for path in paths.values())
    assert "X-Amz" not in text


@pytest.mark.parametrize("name", NOTICES)
def test_link_is_that_of_the_partition(name: str) -> None:
    names = translated()[name]["Properties"]["Targets"][0]["InputTransformer"]["InputTemplate"]["Fn::Sub"][1]
    conditions = template()["Conditions"]

    hosts = ["IsInGovCloud", "console.amazonaws-us-gov.com", "console.aws.amazon.com"]

    assert names["Console"] == {"Fn::If": ["IsInChina", "console.amazonaws.cn", {"Fn::If": hosts}]}
    assert conditions["IsInChina"] == {"Fn::Equals": [{"Ref": "AWS::Partition"}, "aws-cn"]}
    assert conditions["IsInGovCloud"] == {"Fn::Equals": [{"Ref": "AWS::Partition"}, "aws-us-gov"]}


def test_parameter_says_what_the_topic_must_allow() -> None:
    described = " ".join(template()["Parameters"]["NoticeTopicArn"]["Description"].split())

    for word in ("events.amazonaws.com", "sns:Publish", "kms:Decrypt", "kms:GenerateDataKey"):
        assert word in described


def test_a_notice_that_is_not_delivered_is_told() -> None:
    """The one metric that has no dead-letter queue's alarm behind it, over all rules of the bus."""
    (query,) = ALARMS["NoticesUndeliveredAlarm"]["Metrics"]

    assert query["Expression"]["Fn::Sub"] == (
        'SELECT SUM(FailedInvocations) FROM SCHEMA("AWS/Events", EventBusName, RuleName) '
        "WHERE EventBusName = '${AWS::StackName}'"
    )
    without_queue = [
        name
        for name, it in of_type("AWS::Events::Rule").items()
        if not all("DeadLetterConfig" in target for target in it["Targets"])
    ]
    assert sorted(without_queue) == sorted(NOTICES)


@pytest.mark.parametrize(
    ("template_text", "paths", "made"),
    [
        ('"a <x>"', {"x": "$.detail.x"}, '"a one"'),
        ('"a <x>"\n"b"', {"x": "$.detail.n"}, '"a 7"\n"b"'),
        ('"a <x>"', {"x": "$.detail.list[1].code"}, '"a second"'),
        ('"a <x>."', {"x": "$.detail.list[2].code"}, '"a ."'),
        ('"a <x>."', {"x": "$.detail.none.code"}, '"a ."'),
    ],
)
def test_transformer_fills_in(template_text: str, paths: dict[str, str], made: str) -> None:
    event = {"detail": {"x": "one", "n": 7, "list": [{"code": "first"}, {"code": "second"}], "none": None}}

    assert transformed({"InputTemplate": template_text, "InputPathsMap": paths}, event) == made


@pytest.mark.parametrize(
    ("template_text", "path"),
    [
        ('"a <y>"', "$.detail.x"),
        ('"a <x>"', "$.detail.none"),
        ('"a <x>"', "$.detail"),
        ('"a <x>"', "$.detail['x']"),
        ('"a <x>"', "$.detail.quoted"),
        ("a <x>", "$.detail.x"),
        ('{"a": "<x>"}', "$.detail.x"),
    ],
)
def test_transformer_refuses_what_aws_does_not_tell(template_text: str, path: str) -> None:
    event = {"detail": {"x": "one", "none": None, "quoted": 'a "b"'}}

    with pytest.raises(TransformError):
        transformed({"InputTemplate": template_text, "InputPathsMap": {"x": path}}, event)


# -- saved queries ------------------------------------------------


@pytest.mark.parametrize("name", QUERIES)
def test_query_is_read_and_searches_every_function_of_the_stack(name: str) -> None:
    query = properties(name)
    groups = {it["LoggingConfig"]["LogGroup"]["Ref"] for it in of_type("AWS::Lambda::Function").values()}

    assert insights.run(query["QueryString"], []) == []
    assert {it["Ref"] for it in query["LogGroupNames"]} == groups
    assert len(query["LogGroupNames"]) == len(groups) <= 50
    assert query["Name"]["Fn::Sub"].startswith("${AWS::StackName}/")
    assert len(query["QueryString"]) <= 10_000


def test_queries_are_named_apart() -> None:
    names = [properties(name)["Name"]["Fn::Sub"] for name in QUERIES]

    assert len(set(names)) == len(QUERIES) == len(source()["Mappings"]["Queries"])
