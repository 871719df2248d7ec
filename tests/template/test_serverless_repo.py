"""The template without loops keeps the rules of the Serverless Application Repository, as far as they are documented.

Not checked here: that ``sam package`` has put licence, readme and code into a bucket that the repository may read
("Publishing Applications" of its developer guide), that the name is free, and what the repository itself says of the
types of resources in ``NOT_IN_THE_LIST``.
"""

import json
import re
from typing import Any

import pytest
from samcli.yamlhelper import yaml_parse

import task_cleanup
from local.aws.expand import SAM, text_of
from tests.support.functions import ROOT
from tests.support.template import by_sam, source, template

APPLICATION: dict[str, Any] = template()["Metadata"]["AWS::ServerlessRepo::Application"]
MEGABYTES = 5

# "AWS SAM template Metadata section properties" of SAM's developer guide: pattern, and most characters.
REQUIRED = {
    "Name": (r"[a-zA-Z0-9\-]+", 140),
    "Description": (r"[^\n]+", 256),
    "Author": (r"[a-z0-9](([a-z0-9]|-(?!-))*[a-z0-9])?", 127),
}
# These two are optional there, and required of an application that everybody can see.
FOR_THE_PUBLIC = {"SemanticVersion", "LicenseUrl"}
OTHERS = {"SpdxLicenseId", "ReadmeUrl", "Labels", "HomePageUrl", "SourceCodeUrl"}
# "List of Supported AWS Resources" of the repository's developer guide, an edition of 2020, as far as it is needed.
LISTED = {
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::Events::Rule",
    "AWS::IAM::Role",
    "AWS::Logs::LogGroup",
    "AWS::S3::Bucket",
    "AWS::S3::BucketPolicy",
    "AWS::SQS::Queue",
    "AWS::SQS::QueuePolicy",
    "AWS::Serverless::Function",
    "AWS::Serverless::HttpApi",
    "AWS::Serverless::LayerVersion",
}
# They are newer than that edition, or were left out: look them up in the list, or ask AWS, before publishing.
NOT_IN_THE_LIST = {
    "AWS::Events::EventBus",
    "AWS::Logs::QueryDefinition",
    "AWS::Scheduler::Schedule",
    "AWS::Scheduler::ScheduleGroup",
}
# "Application Capabilities" of the repository's developer guide.
CAPABILITIES = {
    "CAPABILITY_IAM": {"AWS::IAM::Group", "AWS::IAM::InstanceProfile", "AWS::IAM::Policy", "AWS::IAM::Role"},
    "CAPABILITY_RESOURCE_POLICY": {
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        "AWS::Events::EventBusPolicy",
        "AWS::Lambda::LayerVersionPermission",
        "AWS::Lambda::Permission",
        "AWS::S3::BucketPolicy",
        "AWS::SNS::TopicPolicy",
        "AWS::SQS::QueuePolicy",
    },
    "CAPABILITY_AUTO_EXPAND": {"AWS::Serverless::Application", "AWS::CloudFormation::Stack"},
}


def test_required_properties_are_there_and_known() -> None:
    assert REQUIRED.keys() | FOR_THE_PUBLIC <= APPLICATION.keys() <= REQUIRED.keys() | FOR_THE_PUBLIC | OTHERS
    for name, (pattern, most) in REQUIRED.items():
        assert re.fullmatch(pattern, APPLICATION[name]), name
        assert len(APPLICATION[name]) <= most, name


def test_nothing_in_it_is_a_function() -> None:
    """The repository resolves none there."""
    assert source()["Metadata"]["AWS::ServerlessRepo::Application"] == APPLICATION
    assert all(isinstance(it, (str, list)) for it in APPLICATION.values())
    assert "Fn::" not in json.dumps(APPLICATION)


def test_labels() -> None:
    assert len(APPLICATION["Labels"]) <= 10
    assert all(re.fullmatch(r"[a-zA-Z0-9+\-_:/@]{1,127}", label) for label in APPLICATION["Labels"])


def test_version_is_semantic_and_the_packages() -> None:
    assert APPLICATION["SemanticVersion"] == task_cleanup.__version__
    assert re.fullmatch(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?", task_cleanup.__version__)


def test_licence_is_the_one_of_the_file() -> None:
    assert APPLICATION["SpdxLicenseId"] == "Apache-2.0", 'an identifier of the "SPDX License List"'
    text = (ROOT / APPLICATION["LicenseUrl"]).read_text()
    assert "Apache License" in text
    assert "Version 2.0" in text


@pytest.mark.parametrize("name", ["LicenseUrl", "ReadmeUrl"])
def test_file_is_there_and_small_enough(name: str) -> None:
    """Beside the template, from which ``sam package`` uploads it."""
    assert 0 < (ROOT / APPLICATION[name]).stat().st_size <= MEGABYTES * 1024 * 1024


def test_the_file_that_is_packaged_has_all_of_it_and_sams_transform_alone() -> None:
    written = yaml_parse(text_of(template()))

    assert written["Metadata"]["AWS::ServerlessRepo::Application"] == APPLICATION
    assert written["Transform"] == SAM, "the repository takes no other"
    assert "Fn::ForEach" not in text_of(template())


def test_types_of_resources() -> None:
    used = {it["Type"] for it in template()["Resources"].values()}

    assert used - LISTED == NOT_IN_THE_LIST


def test_capabilities_that_users_acknowledge() -> None:
    """Both are of what is in the stack; a role with a name, or a nested application, would need another one."""
    resources = by_sam(template())
    types = {it["Type"] for it in (*resources.values(), *template()["Resources"].values())}

    needed = {capability for capability, kinds in CAPABILITIES.items() if kinds & types}

    assert needed == {"CAPABILITY_IAM", "CAPABILITY_RESOURCE_POLICY"}
    assert not [name for name, it in resources.items() if "RoleName" in it["Properties"]]
