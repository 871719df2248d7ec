"""What `make deployed` changes in its copy of the template: what its local AWS judges otherwise, and nothing else."""

import json
from copy import deepcopy
from typing import Any

import pytest

from local.aws.deployed.built import CONDITIONS, NOTHING, for_ministack
from tests.support.template import source, template

ACCOUNT = {"aws:SourceAccount": "123456789012"}


def policy(*statements: Any) -> dict[str, Any]:
    return {"Resources": {"Policy": {"Type": "AWS::IAM::Policy", "Properties": {"Statement": list(statements)}}}}


def statements_of(document: dict[str, Any]) -> list[Any]:
    changed, _ = for_ministack(document)
    found: list[Any] = changed["Resources"]["Policy"]["Properties"]["Statement"]
    return found


@pytest.mark.parametrize("key", [*CONDITIONS, "EVENTS:Source"])
@pytest.mark.parametrize("operator", ["StringEquals", "ForAllValues:StringEquals", "ArnNotEquals", "Bool"])
def test_statement_that_allows_loses_the_condition_and_one_that_denies_is_left_out(key: str, operator: str) -> None:
    allows = {"Effect": "Allow", "Action": "events:PutEvents", "Resource": "*"}
    denies = {"Effect": "Deny", "Action": "s3:*", "Resource": "*"}
    condition = {operator: {key: "any"}}

    changed = statements_of(policy({**allows, "Condition": condition}, {**denies, "Condition": condition}, denies))

    assert changed == [allows, NOTHING, denies]


def test_other_conditions_stay() -> None:
    allows = {"Effect": "Allow", "Action": "events:PutEvents", "Resource": "*"}
    mixed = {"StringEquals": {"events:source": "task-cleanup", **ACCOUNT}, "StringLike": {"events:source": "task-*"}}
    denies = {"Effect": "Deny", "Action": "s3:*", "Resource": "*", "Condition": {"StringEquals": ACCOUNT}}

    changed = statements_of(policy({**allows, "Condition": mixed}, denies))

    assert changed == [{**allows, "Condition": {"StringEquals": ACCOUNT}}, denies]


def test_statement_behind_a_condition_of_the_template_is_found() -> None:
    inner = {"Effect": "Allow", "Action": "events:PutEvents", "Resource": "*"}

    conditional = {"Fn::If": ["HasKmsKey", {**inner, "Condition": {"StringEquals": {"events:source": "x"}}}, NOTHING]}

    assert statements_of(policy(conditional)) == [{"Fn::If": ["HasKmsKey", inner, NOTHING]}]


def test_template_that_needs_no_change_is_not_changed_and_nothing_is_said() -> None:
    document = policy({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"})

    assert for_ministack(document) == (document, [])


def test_limits_become_the_numbers_of_their_parameters() -> None:
    document = {
        "Parameters": {"Limit": {"Type": "Number", "Default": 7}},
        "Resources": {
            "One": {"Scaling": {"MaximumConcurrency": {"Ref": "Limit"}}},
            "Two": {"Scaling": {"MaximumConcurrency": 3}},
        },
    }

    changed, notes = for_ministack(document)

    assert changed["Resources"]["One"]["Scaling"] == {"MaximumConcurrency": 7}
    assert changed["Resources"]["Two"]["Scaling"] == {"MaximumConcurrency": 3}
    assert [note[:23] for note in notes] == ["1 x MaximumConcurrency "]


def test_template_that_ships_keeps_everything_else() -> None:
    shipped = deepcopy(template())
    changed, notes = for_ministack(shipped)
    assert shipped == template()
    assert shipped["Metadata"].keys() - changed["Metadata"].keys() == {"AWS::ServerlessRepo::Application"}
    assert changed.keys() == shipped.keys()
    left_out = {
        name
        for name, it in shipped["Resources"].items()
        if it["Type"] == "AWS::Logs::QueryDefinition" or "Metrics" in it.get("Properties", {})
    }
    assert shipped["Resources"].keys() - changed["Resources"].keys() == left_out
    assert not changed["Resources"].keys() - shipped["Resources"].keys()
    assert any("query" in note for note in notes)

    resources = json.dumps(changed["Resources"])

    assert not any(f'"{key}"' in resources for key in CONDITIONS)
    assert '"MaximumConcurrency": {' not in resources
    assert any("MaximumConcurrency" in note for note in notes)
    assert any("aws:SecureTransport" in note for note in notes)
    assert changed["Conditions"].pop("IsInVpc") != shipped["Conditions"].pop("IsInVpc")
    assert changed["Conditions"] == shipped["Conditions"]


def test_alarms_of_a_loop_are_left_out_too() -> None:
    text = json.dumps(source()["Resources"])
    changed, _ = for_ministack(source())

    assert '"Metrics"' in text
    assert "${Operation}DeadLetterAlarm" in text
    assert '"Metrics"' not in json.dumps(changed["Resources"])
    assert "${Operation}QueueAgeAlarm" in json.dumps(changed["Resources"])
