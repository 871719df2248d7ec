"""What the template's tests look at: the template without loops, its raw lines, its translation, the operations."""

import os
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from unittest.mock import patch

from local.aws.expand import expand, parse
from tests.support.functions import ROOT, function_folders, operation_name, request_schema

TEMPLATE = ROOT / "template.yaml"
REQUEST = "Task Cleanup Requested"
# The two folders that are no operation; what holds for them stands in test_sweep.py and test_sweep_results.py.
SWEEP, SWEEP_RESULTS = "sweep", "sweep_results"
BUS = {"Fn::Sub": "${AWS::StackName}"}
NO_VALUE = {"Ref": "AWS::NoValue"}


@dataclass(frozen=True)
class Operation:
    """One folder under ``functions/`` and what the template must call things that belong to it."""

    folder: str
    name: str
    schema: Mapping[str, Any]

    @property
    def provider(self) -> str:
        return self.name.split(".")[0]

    @property
    def is_list(self) -> bool:
        """Lists have a limit, and no queue."""
        return "limit" in self.schema["properties"]

    def id(self, kind: str) -> str:
        """The logical id of this operation's resource of a kind, such as ``Queue``."""
        return "".join(word.capitalize() for word in self.folder.split("_")) + kind

    def arn(self, kind: str) -> dict[str, list[str]]:
        return {"Fn::GetAtt": [self.id(kind), "Arn"]}


OPERATIONS = [Operation(it, operation_name(it), request_schema(it)) for it in function_folders()]
CHANGES = [operation for operation in OPERATIONS if not operation.is_list]
LISTS = [operation for operation in OPERATIONS if operation.is_list]


@cache
def source() -> dict[str, Any]:
    """The template as it is written, with its loops."""
    return parse(TEMPLATE.read_text())


@cache
def template() -> dict[str, Any]:
    """What is deployed: the template with its loops written out."""
    return expand(source())


@cache
def translated() -> dict[str, Any]:
    """The resources that CloudFormation gets: SAM's own, written out, with the globals merged in."""
    return by_sam(template())


def by_sam(template: Mapping[str, Any]) -> dict[str, Any]:
    """The resources that SAM's transform makes of a template without loops."""
    from samtranslator.translator.transform import transform

    source: dict[str, Any] = deepcopy(dict(template))
    for resource in source["Resources"].values():
        for code in {"CodeUri", "ContentUri"} & resource["Properties"].keys():
            resource["Properties"][code] = "s3://bucket/key"  # as after "sam package"

    class NoManagedPolicies:
        def load(self) -> dict[str, str]:
            return {}

    with patch.dict(os.environ, {"AWS_DEFAULT_REGION": "eu-central-1"}):  # wanted, never called
        resources: dict[str, Any] = transform(source, {}, NoManagedPolicies())["Resources"]
    return resources


@dataclass(frozen=True)
class Deployment:
    """What CloudFormation makes of the translated template, for some parameters and a stack's name.

    Parameters that are not given have their defaults. Only what these decide is filled in: conditions, ``Fn::If``,
    and references to parameters and to the stack's name. References to resources stay.
    """

    stack_name: str = "task-cleanup"
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def resources(self) -> dict[str, dict[str, Any]]:
        return self._kept(translated())

    @property
    def outputs(self) -> dict[str, dict[str, Any]]:
        return self._kept(template()["Outputs"])

    def refused(self) -> list[str]:
        """The descriptions of the template's rules that do not hold: nothing is deployed then."""
        return [
            assertion["AssertDescription"]
            for rule in template()["Rules"].values()
            if self._holds(rule.get("RuleCondition", {"Fn::Equals": ["", ""]}))
            for assertion in rule["Assertions"]
            if not self._holds(assertion["Assert"])
        ]

    def _kept(self, section: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        return {
            name: self._resolved(item)
            for name, item in section.items()
            if "Condition" not in item or self._holds({"Condition": item["Condition"]})
        }

    def _holds(self, condition: dict[str, Any]) -> bool:
        ((function, value),) = condition.items()
        match function:
            case "Condition":
                return self._holds(template()["Conditions"][value])
            case "Fn::Equals":
                return bool(self._resolved(value[0]) == self._resolved(value[1]))
            case "Fn::Not":
                return not self._holds(value[0])
            case "Fn::And":
                return all(map(self._holds, value))
        raise NotImplementedError(function)

    def _resolved(self, node: Any) -> Any:
        match node:
            case list():
                return [it for it in map(self._resolved, node) if it != NO_VALUE]
            case {"Fn::If": [condition, given, otherwise]}:
                return self._resolved(given if self._holds({"Condition": condition}) else otherwise)
            case {"Ref": name}:
                return self._value(name, node)
            case {"Fn::Join": [separator, texts]}:
                return separator.join(map(str, self._resolved(texts)))
            case {"Fn::Sub": str() as text}:
                filled = text.replace("${AWS::StackName}", self.stack_name)
                return {"Fn::Sub": filled} if "${" in filled else filled
            case dict():
                resolved = {name: self._resolved(item) for name, item in node.items()}
                node = {name: item for name, item in resolved.items() if item != NO_VALUE}
        return node

    def _value(self, name: str, otherwise: dict[str, Any]) -> Any:
        if name == "AWS::StackName":
            return self.stack_name
        if name in template()["Parameters"]:
            return self.parameters.get(name, template()["Parameters"][name]["Default"])
        return otherwise


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
