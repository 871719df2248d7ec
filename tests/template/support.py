"""What the template's tests look at: the parsed template, its raw lines, its translation, the operations."""

import json
import os
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "template.yaml"
FUNCTIONS = ROOT / "functions"
REQUEST = "Task Cleanup Requested"
SWEEP = "sweep"  # the one folder that is no operation; what holds for it stands in test_sweep.py
BUS = {"Fn::Sub": "${AWS::StackName}"}


class MissingInterpreterWarning(UserWarning):
    """A check could not run because this machine lacks the functions' own Python."""


@dataclass(frozen=True)
class Operation:
    """One folder under ``functions/`` and what the template must call things that belong to it."""

    folder: str
    name: str
    schema: Mapping[str, Any]

    @property
    def provider(self) -> str:
        return self.name.split(".")[0]

    def id(self, kind: str) -> str:
        """The logical id of this operation's resource of a kind, such as ``Queue``."""
        return "".join(word.capitalize() for word in self.folder.split("_")) + kind

    def arn(self, kind: str) -> dict[str, list[str]]:
        return {"Fn::GetAtt": [self.id(kind), "Arn"]}


def discover() -> list[Operation]:
    """Every folder whose schema names an operation: a new one is tested without a word here."""
    found = []
    for handler in sorted(FUNCTIONS.glob("*/app.py")):
        schema = json.loads(handler.with_name("schema.json").read_text())
        if "operation" in schema["properties"]:
            found.append(Operation(handler.parent.name, schema["properties"]["operation"]["const"], schema))
    return found


OPERATIONS = discover()


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms, each written out as its long form."""


def _long_form(loader: _Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        raise TypeError(f"!{tag} on a mapping")
    if tag == "GetAtt":
        value = value.split(".")
    return {tag if tag in {"Ref", "Condition"} else f"Fn::{tag}": value}


yaml.add_multi_constructor("!", _long_form, Loader=_Loader)


@cache
def template() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.load(TEMPLATE.read_text(), Loader=_Loader)
    return parsed


@cache
def translated() -> dict[str, Any]:
    """The resources that CloudFormation gets: SAM's own, written out, with the globals merged in."""
    from samtranslator.translator.transform import transform

    source = deepcopy(template())
    for resource in source["Resources"].values():
        for code in {"CodeUri", "ContentUri"} & resource["Properties"].keys():
            resource["Properties"][code] = "s3://bucket/key"  # as after "sam package"

    class NoManagedPolicies:
        def load(self) -> dict[str, str]:
            return {}

    with patch.dict(os.environ, {"AWS_DEFAULT_REGION": "eu-central-1"}):  # wanted, never called
        resources: dict[str, Any] = transform(source, {}, NoManagedPolicies())["Resources"]
    return resources


def properties(logical_id: str) -> dict[str, Any]:
    resource: dict[str, Any] = translated()[logical_id]["Properties"]
    return resource


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    """Logical id and properties of every translated resource of a type."""
    return {key: value["Properties"] for key, value in translated().items() if value["Type"] == kind}


def walk(node: Any) -> Iterator[Any]:
    """The node and everything in it."""
    yield node
    children: Any = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from walk(child)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(role: str) -> dict[str, dict[str, Any]]:
    """A role's statements by Sid, the conditional ones too."""
    found = {}
    for policy in properties(role)["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            plain = statement["Fn::If"][1] if "Fn::If" in statement else statement
            found[plain["Sid"]] = plain
    return found


def lines() -> list[str]:
    return TEMPLATE.read_text().splitlines()
