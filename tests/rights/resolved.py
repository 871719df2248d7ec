"""The stack's policies as they would be deployed: every reference a fixed, fake name, every policy a plain document.

The template goes through the SAM translator; what is left of CloudFormation's functions is filled in here, as far as
roles, policies and functions use them. What nobody has met yet raises.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.aws.stack import REGION, ROOT, STACK_NAME, translate
from tests.support.federation import FEDERATIONS, parameter_of
from tests.support.sweep_world import BUCKET

Json = dict[str, Any]

ACCOUNT = "123456789012"
KEY_ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-4333-8444-555555555501"
# With everything that is optional: a key of one's own, accounts without a stored key, and a VPC.
OPTIONS: Mapping[str, str] = {
    "KmsKeyArn": KEY_ARN,
    **{parameter_of(provider): json.dumps(accounts) for provider, accounts in FEDERATIONS.items()},
    "SubnetIds": "subnet-0a1b2c3d",
    "SecurityGroupIds": "sg-0a1b2c3d",
}

_PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT,
    "AWS::StackName": STACK_NAME,
    "AWS::URLSuffix": "amazonaws.com",
}
_NOTHING = object()  # AWS::NoValue
_HERE = f"{REGION}:{ACCOUNT}"
# By type: the property that may hold the name, its ARN, and what a Ref gives where that is not the name.
_ARNS: Mapping[str, tuple[str, str, str]] = {
    "AWS::SQS::Queue": (
        "QueueName",
        f"arn:aws:sqs:{_HERE}:{{name}}",
        f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{{name}}",
    ),
    "AWS::S3::Bucket": ("BucketName", "arn:aws:s3:::{name}", "{name}"),
    "AWS::IAM::Role": ("RoleName", f"arn:aws:iam::{ACCOUNT}:role/{{name}}", "{name}"),
    "AWS::Logs::LogGroup": ("LogGroupName", f"arn:aws:logs:{_HERE}:log-group:{{name}}:*", "{name}"),
    "AWS::Events::EventBus": ("Name", f"arn:aws:events:{_HERE}:event-bus/{{name}}", "{name}"),
    "AWS::Events::Rule": ("Name", f"arn:aws:events:{_HERE}:rule/{STACK_NAME}/{{name}}", "{name}"),
    "AWS::Scheduler::ScheduleGroup": ("Name", f"arn:aws:scheduler:{_HERE}:schedule-group/{{name}}", "{name}"),
}


@dataclass(frozen=True)
class Function:
    """A function: its folder under ``functions/``, the logical ids of its role and log group, its variables."""

    folder: str
    role: str
    log_group: str
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Rights:
    """All policies of the stack. ``identity`` is by a role's logical id, ``resource`` by the resource's ARN."""

    arns: Mapping[str, str]  # logical id -> ARN
    identity: Mapping[str, Json]
    resource: Mapping[str, Json]
    functions: tuple[Function, ...]
    queue_of: Mapping[str, str]  # folder -> logical id of the queue that its function is fed from
    letters_of: Mapping[str, str]  # folder -> logical id of the queue for its crashed asynchronous invocations
    rules: tuple[tuple[str, str], ...]  # logical ids of a rule and of a queue that EventBridge sends to because of it

    def function_in(self, folder: str) -> Function:
        """The function that lives in this folder."""
        return next(function for function in self.functions if function.folder == folder)

    def policy_of(self, resource: str) -> Json | None:
        """The policy on a resource; a bucket's is on its objects, too."""
        owner = resource.split("/", 1)[0] if resource.startswith("arn:aws:s3:::") else resource
        return self.resource.get(owner)


def rights(parameters: Mapping[str, str] | None = None, template: Path = ROOT / "template.yaml") -> Rights:
    """The rights of a stack with these parameters; those that are not given have the template's defaults."""
    return _Resolver(translate(template, parameters or {}), parameters or {}).rights()


class _Resolver:
    def __init__(self, document: Json, parameters: Mapping[str, str]) -> None:
        self._document = document
        self._resources: Json = document["Resources"]
        self._parameters = {
            name: parameters.get(name, declared["Default"]) for name, declared in document["Parameters"].items()
        }

    def rights(self) -> Rights:
        """Everything, resolved."""
        functions = dict(zip(self._ids("Lambda::Function"), self._functions(), strict=True))
        folders = {name: function.folder for name, function in functions.items()}
        invocations = {folders[it["FunctionName"]["Ref"]]: it for it in self._of("Lambda::EventInvokeConfig")}
        mappings = {folders[it["FunctionName"]["Ref"]]: it for it in self._of("Lambda::EventSourceMapping")}
        letters = {folder: it["DestinationConfig"]["OnFailure"]["Destination"] for folder, it in invocations.items()}
        return Rights(
            arns={name: self._arn(name) for name, item in self._resources.items() if item["Type"] in _ARNS},
            identity={name: self._identity(name) for name in self._ids("IAM::Role")},
            resource=dict(self._resource_policies()),
            functions=tuple(functions.values()),
            queue_of={folder: it["EventSourceArn"]["Fn::GetAtt"][0] for folder, it in mappings.items()},
            letters_of={folder: arn["Fn::GetAtt"][0] for folder, arn in letters.items()},
            rules=tuple(self._rules()),
        )

    # -- what there is

    def _ids(self, kind: str) -> list[str]:
        return [name for name, item in self._resources.items() if item["Type"] == f"AWS::{kind}"]

    def _of(self, kind: str) -> list[Json]:
        return [self._resources[name]["Properties"] for name in self._ids(kind)]

    def _functions(self) -> Iterator[Function]:
        for item in self._of("Lambda::Function"):
            yield Function(
                folder=Path(item["Code"]["S3Key"]).name,
                role=item["Role"]["Fn::GetAtt"][0],
                log_group=item["LoggingConfig"]["LogGroup"]["Ref"],
                environment=self._value(item["Environment"]["Variables"]),
            )

    def _identity(self, role: str) -> Json:
        policies = self._value(self._resources[role]["Properties"]["Policies"])
        if len(policies) != 1:
            raise NotImplementedError(f"{role} has {len(policies)} policies")
        document: Json = policies[0]["PolicyDocument"]
        return document

    def _resource_policies(self) -> Iterator[tuple[str, Json]]:
        for item in self._of("SQS::QueuePolicy"):
            for queue in item["Queues"]:
                yield self._arn(queue["Ref"]), self._value(item["PolicyDocument"])
        for item in self._of("S3::BucketPolicy"):
            yield self._arn(item["Bucket"]["Ref"]), self._value(item["PolicyDocument"])
        for role in self._ids("IAM::Role"):
            yield self._arn(role), self._value(self._resources[role]["Properties"]["AssumeRolePolicyDocument"])

    def _rules(self) -> Iterator[tuple[str, str]]:
        for name in self._ids("Events::Rule"):
            for target in self._resources[name]["Properties"]["Targets"]:
                if target["Arn"] == {"Ref": "NoticeTopicArn"}:
                    continue  # the topic is the user's, and so is its policy
                for arn in (target["Arn"], target["DeadLetterConfig"]["Arn"]):
                    yield name, arn["Fn::GetAtt"][0]

    # -- names

    def _name(self, logical_id: str) -> str:
        item = self._resources[logical_id]
        name_property = _ARNS[item["Type"]][0]
        if name_property in item.get("Properties", {}):
            return str(self._value(item["Properties"][name_property]))
        return BUCKET if item["Type"] == "AWS::S3::Bucket" else logical_id

    def _arn(self, logical_id: str) -> str:
        return _ARNS[self._resources[logical_id]["Type"]][1].format(name=self._name(logical_id))

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _NOTHING
        if name in _PSEUDO:
            return _PSEUDO[name]
        if name in self._parameters:
            return self._parameters[name]
        return _ARNS[self._resources[name]["Type"]][2].format(name=self._name(name))

    def _attribute(self, logical_id: str, attribute: str) -> str:
        if attribute != "Arn":
            raise NotImplementedError(f"{logical_id}.{attribute}")
        return self._arn(logical_id)

    # -- CloudFormation's functions

    def _value(self, node: Any) -> Any:
        """The node without functions."""
        if isinstance(node, list):
            return [value for value in map(self._value, node) if value is not _NOTHING]
        if not isinstance(node, dict):
            return deepcopy(node)
        if len(node) == 1:
            ((name, argument),) = node.items()
            if name == "Ref" or name.startswith("Fn::"):
                return self._call(name, argument)
        values = {name: self._value(value) for name, value in node.items()}
        return {name: value for name, value in values.items() if value is not _NOTHING}

    def _call(self, function: str, argument: Any) -> Any:
        known: Mapping[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Fn::GetAtt": lambda path: self._attribute(*path),
            "Fn::Sub": self._substituted,
            "Fn::If": self._chosen,
            "Fn::Join": self._joined,
            "Fn::Equals": lambda both: self._value(both[0]) == self._value(both[1]),
            "Fn::Not": lambda condition: not self._value(condition[0]),
        }
        if function not in known:
            raise NotImplementedError(function)
        return known[function](argument)

    def _chosen(self, argument: Any) -> Any:
        condition, yes, no = argument
        return self._value(yes if self._value(self._document["Conditions"][condition]) else no)

    def _joined(self, argument: Any) -> str:
        separator, parts = self._value(argument)
        return str(separator.join(parts if isinstance(parts, list) else parts.split(",")))

    def _substituted(self, argument: Any) -> str:
        text, own = argument if isinstance(argument, list) else (argument, {})

        def fill(match: re.Match[str]) -> str:
            name = match[1]
            if name in own:
                return str(self._value(own[name]))
            logical_id, _, attribute = name.partition(".")
            return self._attribute(logical_id, attribute) if attribute else str(self._ref(name))

        return re.sub(r"\$\{([^!}]+)\}", fill, text)
