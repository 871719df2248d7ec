"""Accounts without a stored key: what the parameters take, who gets them, how much fits, whose roles are told."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore.session
import pytest

from task_cleanup.providers import alibaba_sts, huawei_sts, otc_iam
from tests.support.federation import FEDERATIONS, PROVIDERS, parameter_of
from tests.support.template import OPERATIONS, Deployment, Operation, template

EXCHANGES = (alibaba_sts.EXCHANGE, huawei_sts.EXCHANGE, otc_iam.EXCHANGE)
VARIABLES = {provider: f"{provider.upper()}_FEDERATION" for provider in PROVIDERS}


def variables(deployment: Deployment) -> dict[str, dict[str, Any]]:
    """Of every function, by its logical id."""
    return {
        name: it["Properties"]["Environment"]["Variables"]
        for name, it in deployment.resources.items()
        if it["Type"] == "AWS::Lambda::Function"
    }


GIVEN = variables(Deployment(parameters={parameter_of(it): f"accounts of {it}" for it in PROVIDERS}))


# -- who gets them ------------------------------------------------


def test_function_gets_the_accounts_of_its_own_provider_alone(operation: Operation) -> None:
    own = GIVEN[operation.id("Function")]

    assert {name: own[name] for name in VARIABLES.values()} == {
        **dict.fromkeys(VARIABLES.values(), ""),
        VARIABLES[operation.provider]: f"accounts of {operation.provider}",
    }


def test_sweep_gets_the_accounts_of_all_providers_and_the_gatherer_none() -> None:
    sweep, gatherer = GIVEN["SweepFunction"], GIVEN["SweepResultsFunction"]

    assert {name: sweep[name] for name in VARIABLES.values()} == {
        VARIABLES[provider]: f"accounts of {provider}" for provider in PROVIDERS
    }
    assert not VARIABLES.values() & gatherer.keys()


# -- what is taken ------------------------------------------------


def broken(provider: str) -> Iterator[str]:
    """What is no object of accounts, each an object of strings with the provider's own names."""
    good = json.dumps(FEDERATIONS[provider])
    other = next(it for it in PROVIDERS if it != provider)
    (name, *_), account = FEDERATIONS[provider]["default"], json.dumps(FEDERATIONS[provider]["default"])
    yield from ("{}", "[]", "null", '"text"', account, f"[{good}]", f" {good}", f"{good}\n", f"{good}x", good[:-1])
    yield json.dumps(FEDERATIONS[other])
    yield from (f'{{"default": {it}}}' for it in ("{}", "[]", '"text"', f"[{account}]", f"{account},", account[:-1]))
    yield f'{{"default": {account} "team-b": {account}}}'
    yield f'{{"Default": {account}}}'
    values: list[Any] = [1, None, True, ["text"], {}, "", 'a"b', "a\\b", "é"]
    yield from (json.dumps({"default": {name: it}}) for it in values)
    yield f'{{"default": {{"{name}": "é"}}}}'


@pytest.mark.parametrize("provider", PROVIDERS)
def test_parameter_takes_what_a_function_can_read_and_refuses_the_rest(provider: str) -> None:
    parameter = template()["Parameters"][parameter_of(provider)]
    accounts = FEDERATIONS[provider]
    two = accounts | {"team-b": accounts["default"]}
    good = ["", *(json.dumps(it, indent=indent) for it in (accounts, two) for indent in (None, 2))]
    good.append(json.dumps(two, separators=(",", ":")))

    assert parameter["Default"] == ""
    assert [it for it in good if not re.fullmatch(parameter["AllowedPattern"], it)] == []
    assert [it for it in broken(provider) if re.fullmatch(parameter["AllowedPattern"], it)] == []
    assert re.search(parameter["AllowedPattern"], parameter["ConstraintDescription"].partition("such as ")[2])


@pytest.mark.parametrize("provider", PROVIDERS)
def test_values_that_a_description_shows_are_taken_by_the_functions(provider: str) -> None:
    """Operators copy them, and a function with a value that it does not know does not start."""
    description = template()["Parameters"][parameter_of(provider)]["Description"]
    shown = [it for it in re.findall(r'"(\w+)": "([^"]+)"', description) if "..." not in it[1]]
    members = next(it.members for it in EXCHANGES if it.provider == provider)

    assert shown
    assert [(name, value) for name, value in shown if not members[name].pattern.fullmatch(value)] == []


# -- how much fits ------------------------------------------------

# Developer guide, "Lambda quotas": all variables together. The error's text shows what is measured: the JSON of all
# names and values ("String measured: {...}"), in which each quote of a value takes two bytes.
MOST = 4096


@cache
def longest_region() -> tuple[str, str]:
    """Of all partitions: the region and the suffix of its host names."""
    partitions = botocore.session.get_session().get_data("endpoints")["partitions"]
    regions = [(name, it["dnsSuffix"]) for it in partitions for name in it["regions"]]
    return max(regions, key=lambda it: len("".join(it)))


def full(parameter: str, entries: Iterator[tuple[str, Any]]) -> str:
    """As many entries as the parameter's MaxLength allows, and then as long as it allows."""
    most, text, taken = template()["Parameters"][parameter]["MaxLength"], "", dict[str, Any]()
    for name, entry in entries:
        taken[name] = entry
        written = json.dumps(taken)
        if len(written) > most:
            break
        text = written
    return text.replace('"', " " * (most - len(text)) + '"', 1)


def fullest(stack_name: str) -> Deployment:
    """Every parameter that ends up in a variable, as long as it can be with values as they are in real life."""
    given = {"CredentialsSecretPrefix": "a" * 128, "LogLevel": "DEBUG", "DryRun": "false", "ScheduleGroupName": "a"}
    for provider in PROVIDERS:
        account = FEDERATIONS[provider]["default"]
        given[parameter_of(provider)] = full(parameter_of(provider), ((f"team-{n}", account) for n in range(100)))
    given["ExtraRegions"] = full(
        "ExtraRegions", (("huawei.oms", [f"ap-southeast-{n}" for n in range(number)]) for number in range(1, 100))
    )
    return Deployment(stack_name, given)


def measured(variables: dict[str, Any]) -> int:
    """What Lambda measures, with every reference that is left filled in by something as long as it can be."""
    region, suffix = longest_region()

    def value(it: Any) -> str:
        match it:
            case {"Ref": "ReportBucket"}:
                return "b" * 63  # S3's limit
            case {"Ref": str() as queue} if queue.endswith("Queue"):
                return f"https://sqs.{region}.{suffix}/123456789012/{'q' * 80}"  # SQS's limit
            case {"Fn::Sub": str() as text}:
                filled = text.replace("${AWS::Region}", region).replace("${AWS::URLSuffix}", suffix)
                assert "${" not in filled
                return filled
        assert isinstance(it, str)
        return it

    filled = {name: value(it) for name, it in variables.items()}
    return len(json.dumps(filled, separators=(",", ":")).encode())


def test_variables_fit_into_lambdas_limit_when_everything_is_as_long_as_it_can_be() -> None:
    deployment = fullest("a" * 128)
    for name, value in deployment.parameters.items():
        parameter = template()["Parameters"][name]
        assert re.search(parameter.get("AllowedPattern", ""), value), name
        assert len(value) == parameter.get("MaxLength", len(value)), name

    sizes = {name: measured(own) for name, own in variables(deployment).items()}

    assert max(sizes, key=lambda it: sizes[it]) == "SweepFunction"
    assert 0.9 * MOST < sizes["SweepFunction"] <= MOST


@pytest.mark.parametrize("provider", PROVIDERS)
def test_parameter_says_how_many_accounts_fit(provider: str) -> None:
    held = json.loads(fullest("a").parameters[parameter_of(provider)])

    assert len(held) == 4
    assert "About four accounts fit" in template()["Parameters"][parameter_of(provider)]["Description"]


# -- whose roles are told ------------------------------------------------


@pytest.mark.parametrize("provider", PROVIDERS)
def test_output_has_the_roles_of_the_providers_functions_and_of_the_sweep(provider: str) -> None:
    output = template()["Outputs"][f"{provider.capitalize()}RoleArns"]
    separator, arns = output["Value"]["Fn::Join"]
    roles = [arn["Fn::GetAtt"] for arn in arns]
    own = [[operation.id("Role"), "Arn"] for operation in OPERATIONS if operation.provider == provider]

    assert separator == ","
    assert sorted(roles) == sorted([["SweepRole", "Arn"], *own])
    assert "Condition" not in output, "trust is set up before the first account is named in the parameter"
