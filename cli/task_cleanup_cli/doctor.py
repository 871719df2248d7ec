"""What the user's own AWS identity can see of a stack: what is wrong, and what to do about it.

The functions' own rights and the providers' answers are seen by the functions alone: ``function_checks`` asks them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from task_cleanup.credentials import DEFAULT_ACCOUNT
from task_cleanup.errors import CleanupError
from task_cleanup.providers.token_exchange import TokenExchange
from task_cleanup.settings import Accounts
from task_cleanup.validation import NotJsonError, strict_json
from task_cleanup_cli import policies
from task_cleanup_cli.exits import EndedError
from task_cleanup_cli.federation_parameters import faults, parameter_of
from task_cleanup_cli.keys import EXCHANGES, NoBotoError
from task_cleanup_cli.runs import settings_of
from task_cleanup_cli.stack import RefusedError, Stack

NOT_THERE = "ResourceNotFoundException"


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, how it is, and what to do (lines). ``skipped``: a call that was not tried."""

    state: Literal["ok", "skipped", "wrong", "unknown"]
    what: str
    to_do: str = ""


Look = Callable[[Stack], Iterator[Finding]]


def examined(stack: Stack, *more: Look) -> Iterator[Finding]:
    """Everything, one after the other: what cannot be seen is told, and does not hide the rest."""
    for look in (_identity, _stack, _policy, _federation, _secrets, _alarms, _schedules, _failures, *more):
        try:
            yield from look(stack)
        except RefusedError as error:
            to_do = "ask for this right, or look with another AWS_PROFILE"
            yield Finding("unknown", f"{look.__name__.strip('_')}: {error}", to_do)
        except NoBotoError as error:
            yield Finding("unknown", f"{look.__name__.strip('_')}: {error}")


def _identity(stack: Stack) -> Iterator[Finding]:
    yield Finding("ok", f"you are {stack.call('sts', 'get_caller_identity')['Arn']}")


def _stack(stack: Stack) -> Iterator[Finding]:
    status = stack.description["StackStatus"]
    is_there = status.endswith("_COMPLETE") and "ROLLBACK" not in status and "DELETE" not in status
    if is_there:
        yield Finding("ok", f"the stack {stack.name} is {status}")
    else:
        yield Finding("wrong", f"the stack {stack.name} is {status}", "see its events, and deploy again")
    parameters = _parameters(stack)
    if parameters.get("DryRun") == "true":
        yield Finding("wrong", "DryRun is true: nothing is ever deleted", "deploy with DryRun=false if you want that")


def _parameters(stack: Stack) -> dict[str, str]:
    return {it["ParameterKey"]: it.get("ParameterValue", "") for it in stack.description.get("Parameters", [])}


def extra_regions(stack: Stack) -> Mapping[str, tuple[str, ...]]:
    """The stack's regions beside those of this release. Raises ``EndedError`` if the parameter is malformed."""
    return settings_of({"EXTRA_REGIONS": _parameters(stack).get("ExtraRegions", "")}).extra_regions


def _policy(stack: Stack) -> Iterator[Finding]:
    """The nightly policy: the stack looks at it when it runs, and not when it is deployed."""
    parameters = _parameters(stack)
    text = parameters.get("SweepPolicy", "")
    if not text:
        yield Finding("ok", "there is no nightly sweep: SweepPolicy is empty")
        return
    try:
        policies.validate(strict_json(text), extra_regions(stack))
        yield Finding("ok", "the nightly policy is valid, and its regions are known")
    except (NotJsonError, CleanupError, EndedError) as error:
        yield Finding("wrong", f"the nightly policy is refused: {error}", "correct SweepPolicy, and deploy again")


def _accounts(stack: Stack, exchange: TokenExchange) -> Accounts:
    """The provider's accounts without a stored key. Raises ``EndedError`` if the parameter is malformed."""
    text = _parameters(stack).get(parameter_of(exchange.provider), "")
    return settings_of({exchange.variable: text}).federation[exchange.provider]


def federated(stack: Stack) -> dict[str, Accounts]:
    """The accounts without a stored key, by provider; none where the parameter is malformed, which is a finding."""
    found: dict[str, Accounts] = {}
    for provider, exchange in EXCHANGES.items():
        try:
            found[provider] = _accounts(stack, exchange)
        except EndedError:
            found[provider] = {}
    return found


def _federation(stack: Stack) -> Iterator[Finding]:
    for provider, exchange in EXCHANGES.items():
        name = parameter_of(provider)
        if wrong := faults(exchange, _parameters(stack).get(name, "")):
            yield Finding("wrong", f"{name} is refused: {'; '.join(wrong)}", f"correct {name}, and deploy again")
        elif accounts := _accounts(stack, exchange):
            yield Finding("ok", f"{name} is well-formed: no stored key for {', '.join(accounts)}")


def _secrets(stack: Stack) -> Iterator[Finding]:
    prefix, exchanged = _parameters(stack).get("CredentialsSecretPrefix") or "task-cleanup", federated(stack)
    for provider in EXCHANGES:
        name = f"{prefix}/{provider}/{DEFAULT_ACCOUNT}"
        if DEFAULT_ACCOUNT in exchanged[provider]:
            continue  # no secret is read for it
        try:
            told = stack.call("secretsmanager", "describe_secret", SecretId=name)
        except RefusedError as error:
            if error.reason != NOT_THERE:
                raise
            to_do = f"aws secretsmanager create-secret --name {name} …, if you use {provider}"
            yield Finding("wrong", f"the secret {name} does not exist", to_do)
            continue
        if told.get("DeletedDate"):
            to_do = f"aws secretsmanager restore-secret --secret-id {name}"
            yield Finding("wrong", f"the secret {name} is marked for deletion", to_do)
        else:
            yield Finding("ok", f"the secret {name} exists")


def _alarms(stack: Stack) -> Iterator[Finding]:
    alarms = list(stack.pages("cloudwatch", "describe_alarms", "MetricAlarms", AlarmNamePrefix=f"{stack.name}-"))
    silent = [it["AlarmName"] for it in alarms if not it.get("AlarmActions")]
    ringing = [it["AlarmName"] for it in alarms if it.get("StateValue") == "ALARM"]
    if silent:
        yield Finding("wrong", f"{len(silent)} of {len(alarms)} alarms tell nobody", "deploy with AlarmTopicArn")
    elif alarms:
        yield Finding("ok", f"{len(alarms)} alarms have a topic")
    for name in ringing:
        yield Finding("wrong", f"{name} is in ALARM", "docs/operations.md says what each means")


def _schedules(stack: Stack) -> Iterator[Finding]:
    group = stack.outputs.get("ScheduleGroupName")
    if group is None:
        return
    for each in stack.pages("scheduler", "list_schedules", "Schedules", GroupName=group):
        told = stack.call("scheduler", "get_schedule", GroupName=group, Name=each["Name"])
        zone = told.get("ScheduleExpressionTimezone", "UTC")
        what = f"schedule {each['Name']}: {told['ScheduleExpression']} {zone}, {told['State'].lower()}"
        yield Finding("ok", what)


def _failures(stack: Stack) -> Iterator[Finding]:
    for operation, url in stack.operations().items():
        told = stack.call("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        number = int(told["Attributes"]["ApproximateNumberOfMessages"])
        if number:
            yield Finding("wrong", f"{operation}: {number:,} failed requests", "task-cleanup stack failures")
