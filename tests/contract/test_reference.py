"""The reference has a description of every setting, metric, parameter, output, alarm, outcome and code."""

import ast
import inspect
import re
from collections.abc import Mapping
from enum import StrEnum
from fnmatch import fnmatch
from functools import cache
from typing import Any

import pytest

from local.api.reference import descriptions, of_account, of_code, of_template
from local.api.reference.markdown import shown, table, worded
from local.api.reference.pages import texts
from local.api.schemas import requests
from local.aws import stack
from task_cleanup.errors import Category, Code, SweepCode
from task_cleanup.observability import Telemetry
from task_cleanup.providers.model import ErrorTable
from task_cleanup.results import Outcome
from task_cleanup.sweep.report import SweepOutcome
from task_cleanup.sweep.selection import Decision
from task_cleanup.sweep.services import SERVICES
from task_cleanup.tasks import AgeBasis, Status
from tests.support.template import source
from tests.support.template import template as expanded

ENUMS: dict[type[StrEnum], tuple[Mapping[Any, object], str]] = {
    Outcome: (descriptions.OUTCOMES, "results.md"),
    Category: (descriptions.CATEGORIES, "results.md"),
    SweepOutcome: (descriptions.SWEEP_OUTCOMES, "results.md"),
    Decision: (descriptions.DECISIONS, "results.md"),
    Status: (descriptions.STATUSES, "results.md"),
    AgeBasis: (descriptions.AGES, "results.md"),
    Code: (descriptions.CODES, "error-codes.md"),
    SweepCode: (descriptions.SWEEP_CODES, "error-codes.md"),
}


@cache
def pages() -> Mapping[str, str]:
    return texts()


@cache
def template() -> dict[str, Any]:
    return {**expanded(), "Mappings": source()["Mappings"]}


def first_cells(page: str) -> set[str]:
    """What is in the first cells of a page's tables."""
    return {line.split("|")[1].strip() for line in pages()[page].splitlines() if line.startswith("| `")}


def operation_or_name(name: str) -> str:
    found = [it for it in template()["Mappings"]["Operations"] if name.startswith(it)]
    return name.removeprefix(found[0]) if found else name


# -- everything is described ------------------------------------------------


@pytest.mark.parametrize("kind", ENUMS, ids=lambda kind: kind.__name__)
def test_every_member_has_a_description_and_is_on_its_page(kind: type[StrEnum]) -> None:
    described, page = ENUMS[kind]

    assert set(described) == set(kind)
    assert {f"`{member.value}`" for member in kind} <= first_cells(page)


def test_every_variable_that_the_settings_or_the_template_have_is_described() -> None:
    names = {*of_code.variables_read(), *of_template.variables(template())}

    assert {"DRY_RUN", "MAX_RECEIVES", "HUAWEI_OMS_ENDPOINT", "AWS_ENDPOINT_URL_SQS", "AWS_SESSION_TOKEN"} <= names
    assert [name for name in names if not any(fnmatch(name, known) for known in descriptions.SETTINGS)] == []
    assert [known for known in descriptions.SETTINGS if not any(fnmatch(name, known) for name in names)] == []
    assert {f"`{name}`" for name in names} == first_cells("settings.md")


def test_what_has_no_description_is_named_with_the_place_to_write_one() -> None:
    with pytest.raises(descriptions.MissingDescriptionError, match=r"Code\.TIMEOUT.*descriptions\.py"):
        descriptions.text_of({}, Code.TIMEOUT)
    with pytest.raises(descriptions.MissingDescriptionError, match=r"NEW_VARIABLE.*descriptions\.py"):
        descriptions.text_of_variable("NEW_VARIABLE")


def test_every_metric_that_is_written_is_described() -> None:
    written = {name for metrics in of_code.metrics_written().values() for name in metrics}

    assert written == set(descriptions.METRICS)
    assert {f"`{name}`" for name in written} == first_cells("metrics.md")


def test_every_class_that_writes_metrics_is_asked_for_them() -> None:
    """A class that is new must be among those whose metrics the page takes."""
    writing = {
        node.name
        for path in of_code.LAYER.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and "self._measure(" in ast.unparse(node)
    }

    assert writing == {kind.__name__ for kind in of_code.EMITTERS}
    assert inspect.signature(Telemetry._measure).parameters.keys() == {"self", "dimensions", "metrics"}


def test_every_operation_and_every_field_of_a_request_is_there() -> None:
    text = pages()["requests.md"]

    for operation in template()["Mappings"]["Operations"].values():
        assert f"| [`{operation['Name']}`](../schemas/{operation['Name']}.json) |" in text
        assert f"`{operation['Method']} {operation['Path']}`" in text
    fields = {name for it, schema in requests().items() if it != "sweep" for name in schema["properties"]}
    services = {it.replace("_", ".") for it in SERVICES}
    assert {f"`{name}`" for name in fields | services} == first_cells("requests.md")
    assert all(f"`{region}`" in text for service in SERVICES.values() for region in service.regions)


def test_every_parameter_is_in_a_group_and_described() -> None:
    parameters = template()["Parameters"]

    assert all(len(rule["Description"]) > 10 for rule in parameters.values())
    assert {f"`{name}`" for name in parameters} == first_cells("parameters.md")


def test_every_output_is_there() -> None:
    names = {operation_or_name(name) for name in template()["Outputs"]}
    told = {cell.strip("`").removeprefix("<operation>") for cell in first_cells("outputs.md")}

    assert told - {*template()["Mappings"]["Operations"]} == names


def test_every_alarm_is_there() -> None:
    alarms = [name for name, item in template()["Resources"].items() if item["Type"] == "AWS::CloudWatch::Alarm"]

    assert len(alarms) > 20
    assert {cell.strip("`…") for cell in first_cells("alarms.md")} == {operation_or_name(name) for name in alarms}


@pytest.mark.parametrize("service", SERVICES.values(), ids=lambda service: service.id)
def test_every_code_of_a_provider_is_there(service: Any) -> None:
    text = pages()["provider-codes.md"]

    assert [name for name in service.errors.codes if f"`{name}`" not in text] == []
    assert service.id.replace("_", ".") in text


def test_every_type_of_resource_is_counted() -> None:
    translated = stack.translate(stack.ROOT / "template.yaml", {})
    present = [*of_account.present(translated)]
    nightly = {name for name, it in translated["Resources"].items() if it.get("Condition") == "SweepsEveryNight"}

    assert {f"`{it['Type']}`" for it in translated["Resources"].values()} == {
        it for it in first_cells("resources.md") if "::" in it
    }
    assert f"| **all** | {len(present)} |" in pages()["resources.md"]
    assert len(present) <= len(translated["Resources"]) - len(nightly) < len(translated["Resources"])


def test_page_of_which_nothing_is_written_is_not_there() -> None:
    assert all(len(text) > 500 for text in pages().values())
    assert {f"({name})" for name in pages()} - {"(README.md)"} <= set(
        re.findall(r"\([\w.-]+\)", pages()["README.md"])
    )


# -- what is derived ------------------------------------------------


def test_codes_have_the_categories_that_the_code_gives_them() -> None:
    found = of_code.categories_of_codes()

    assert found["Code.SECRET_NOT_FOUND"] == {"invalid_request", "internal"}
    assert found["SweepCode.OVERLAPS"] == {"conflict", "refusal"}
    of_all = {f"{kind.__name__}.{member.name}" for kind in (Code, SweepCode) for member in kind}
    assert {name for name in of_all if not found.get(name)} == {
        "Code.FAILED_ENTRY",
        "Code.NOT_JSON",
        "SweepCode.MORE",
        "SweepCode.RESULTS_CONTENDED",
    }


def test_a_code_with_an_exception_by_status_says_so() -> None:
    errors = ErrorTable({"A.1": Category.CONFLICT}, {("A.1", 502): Category.UNAVAILABLE})

    text = of_code._by_category(errors)

    assert "| `conflict` | yes | `A.1` |" in text
    assert text.endswith("`A.1` with HTTP 502 is `unavailable`.")


def alarm(**properties: Any) -> dict[str, Any]:
    return {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}


def test_an_alarm_is_paid_for_by_its_metrics() -> None:
    parts = [{"MetricStat": {}}, {"MetricStat": {}}, {"Expression": "a - b"}]
    resources = {
        "Plain": alarm(MetricName="Errors"),
        "Two": alarm(Metrics=parts),
        "Query": alarm(Metrics=[{"Expression": "SELECT …"}]),
        "Never": {**alarm(MetricName="Errors"), "Condition": "HasUrl"},
    }

    costs = of_account.costs({**PLAIN, "Resources": resources})

    assert "| 3 | $0.10 | $0.30 |" in costs
    assert "**about $2**" in costs  # with three secrets


PLAIN = {
    "Parameters": {"Url": {"Default": ""}, "Night": {"Default": "true"}},
    "Conditions": {
        "HasUrl": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Url"}, ""]}]},
        "Nights": {"Fn::Equals": [{"Ref": "Night"}, "true"]},
        "Both": {"Fn::And": [{"Condition": "Nights"}, {"Condition": "HasUrl"}]},
    },
}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        ({"Ref": "Night"}, "true"),
        ({"Ref": "AWS::StackName"}, "<stack>"),
        ({"Fn::GetAtt": ["Queue", "Arn"]}, "<Queue.Arn>"),
        ({"Fn::Sub": "of ${AWS::StackName}, ${Night}"}, "of <stack>, true"),
        ({"Fn::Sub": ["${A} ${Night}", {"A": {"Ref": "Night"}}]}, "true true"),
        ({"Fn::If": ["HasUrl", {"Ref": "Url"}, "docs/runbook.md"]}, "docs/runbook.md"),
        ({"Fn::If": ["Nights", "yes", "no"]}, "yes"),
        ({"Fn::If": ["Both", "yes", "no"]}, "no"),
        ({"Fn::Join": ["-", ["a", {"Ref": "Night"}]]}, "a-true"),
    ],
)
def test_values_of_the_template_are_shown(value: Any, text: str) -> None:
    assert shown(value, PLAIN) == text


@pytest.mark.parametrize("value", [{"Fn::Select": [0, []]}, {"Ref": "Url", "Fn::Sub": ""}])
def test_a_value_that_is_not_known_is_an_error(value: Any) -> None:
    with pytest.raises(ValueError, match=r"is not known|is no function"):
        shown(value, PLAIN)


def test_conditions_are_told_by_their_parameters() -> None:
    assert worded({"Condition": "Both"}, PLAIN) == "`Night` is `true` and `Url` is set"


def test_a_link_to_the_runbook_leads_there_from_the_reference() -> None:
    linked = of_template._linked("it failed: docs/runbook.md#dead-letter-alarm")

    assert linked == "it failed: [docs/runbook.md#dead-letter-alarm](../runbook.md#dead-letter-alarm)"


def test_a_cell_cannot_break_its_table() -> None:
    assert table(("a",), [("x|y\nz",)]).endswith("| x\\|y z |")
