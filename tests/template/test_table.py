"""The table of operations: each is one row; the rest is made by loops, the same by our expander and by SAM's."""

import json
import re
import subprocess
from copy import deepcopy
from typing import Any

import pytest
import yaml
from samcli.lib.cfn_language_extensions.sam_integration import expand_language_extensions

from local.aws.expand import SAM, ExpansionError, expand, text_of
from tests.support.functions import ROOT
from tests.support.template import (
    CHANGES,
    LISTS,
    OPERATIONS,
    Operation,
    by_sam,
    lines,
    source,
    template,
    translated,
    walk,
)

LOOP = "Fn::ForEach::"
TABLE: dict[str, dict[str, str]] = source()["Mappings"]["Operations"]
EXTENDED = ["AWS::LanguageExtensions", SAM]
FORMER = f"{LOOP}FormerPolicies"  # of the operations of earlier versions, and never of another
OTHERS = [f"{LOOP}{name}" for name in ("SavedQueries", "ReportNotices", "EarlyNotices")]  # over other tables


def loops(document: dict[str, Any]) -> dict[str, list[Any]]:
    """Variable, ids and body of every loop."""
    both = {**document["Resources"], **document["Outputs"]}
    return {name: loop for name, loop in both.items() if name.startswith(LOOP)}


# -- the table ------------------------------------------------


def test_every_folder_has_its_row(operation: Operation) -> None:
    row = TABLE[operation.id("")]

    code = {"Folder": operation.folder, "CodeUri": f"functions/{operation.folder}"}

    assert {name: row[name] for name in ("Name", "Provider", *code)} == {
        "Name": operation.name,
        "Provider": operation.provider,
        **code,
    }
    assert row["Description"].startswith(f"{operation.name}: ")


def test_every_row_has_its_folder_and_is_in_the_loops_of_its_kind() -> None:
    changes, lists = ([it.id("") for it in kind] for kind in (CHANGES, LISTS))
    assert sorted(TABLE) == sorted(changes + lists)
    own = {name: loop for name, loop in loops(source()).items() if name not in (FORMER, *OTHERS)}
    ids = {name.removeprefix(LOOP): sorted(loop[1]) for name, loop in own.items()}

    wanted = {"Changes": changes, "ChangeOutputs": changes, "Lists": lists, "ListOutputs": lists}

    assert ids == {name: sorted(of_kind) for name, of_kind in wanted.items()}


@pytest.mark.parametrize("name", ["Changes", "Lists"])
def test_every_row_has_every_key_that_its_loop_reads_and_no_other(name: str) -> None:
    variable, ids, body = source()["Resources"][LOOP + name]

    found = [it["Fn::FindInMap"] for it in walk(body) if isinstance(it, dict) and "Fn::FindInMap" in it]

    read = [(row, key) for table, row, key in found if table == "Operations"]
    assert {json.dumps(row) for row, _ in read} == {json.dumps({"Ref": variable})}
    for row in ids:
        assert TABLE[row].keys() == {key for _, key in read}, row
        assert all(isinstance(value, str) for value in TABLE[row].values()), "as a mapping wants it"


def test_operation_is_at_most_fifteen_lines(operation: Operation) -> None:
    text = lines()
    begun = text.index(f"    {operation.id('')}:")
    row = re.match(r"(      .*\n)+", "\n".join([*text[begun + 1 :], ""]))
    assert row

    ids = rf"{operation.id('')}(LogGroup|Role\.Arn)?"
    elsewhere = [line for line in text if re.search(rf"\b({ids}|{re.escape(operation.name)})$", line)]
    former = operation.id("") in source()["Resources"][FORMER][1]  # a new operation is not in that loop

    assert 1 + row[0].count("\n") + len([it for it in elsewhere if "Name:" not in it]) - former <= 15


# -- what it costs ------------------------------------------------


def own(resources: dict[str, Any], operation: Operation) -> set[str]:
    return {name for name in resources if re.match(rf"{operation.id('')}[A-Z]", name)}


def test_change_is_at_most_thirteen_resources(change: Operation) -> None:
    assert len(own(translated(), change) - {change.id("DeadLetterQueuePolicy")}) <= 13


def test_list_is_at_most_six_resources(listing: Operation) -> None:
    kinds = ("Function", "Role", "LogGroup", "FunctionHttpPermission", "FunctionEventInvokeConfig")

    assert own(translated(), listing) == {listing.id(kind) for kind in kinds}


def grown(changes: int, lists: int) -> dict[str, Any]:
    """The template with copies of operations, up to so many of each kind."""
    document = deepcopy(source())
    rules = document["Resources"]["UnroutedRequestsRule"]["Properties"]["EventPattern"]["detail"]["operation"][1]
    groups = loops(document)[OTHERS[0]][2]["${Query}Query"]["Properties"]["LogGroupNames"]
    for kind, wanted in ((CHANGES, changes), (LISTS, lists)):
        for number in range(wanted - len(kind)):
            original = kind[number % len(kind)].id("")
            row = {**TABLE[original], "Name": f"{TABLE[original]['Name']}{number}"}
            row["Path"] += f"/{number}"
            document["Mappings"]["Operations"][f"{original}{number}"] = row
            for name, loop in loops(document).items():
                if original in loop[1] and name != FORMER:
                    loop[1].append(f"{original}{number}")
            groups.append({"Ref": f"{original}{number}LogGroup"})
            roles = document["Outputs"][f"{row['Provider'].capitalize()}RoleArns"]["Value"]["Fn::Join"][1]
            roles.append({"Fn::GetAtt": [f"{original}{number}Role", "Arn"]})
            if kind is CHANGES:
                rules["anything-but"].append(row["Name"])
    return document


def test_stack_has_room_for_the_operations_to_come() -> None:
    """CloudFormation's quotas: 500 resources, 200 outputs; and what AWS takes as a template, with a margin."""
    twin = expand(grown(changes=24, lists=13))
    resources = by_sam(twin)

    functions = [it for it in resources.values() if it["Type"] == "AWS::Lambda::Function"]

    assert len(functions) == 24 + 13 + 2  # the sweep, and what gathers its results
    assert len(resources) < 470
    assert len(twin["Resources"]["DeletedQuery"]["Properties"]["LogGroupNames"]) <= 50, 'API reference, "StartQuery"'
    assert len(twin["Outputs"]) < 200
    assert len(json.dumps(twin).encode()) < 600_000
    assert len(json.dumps(resources).encode()) < 600_000


# -- written out ------------------------------------------------


def test_both_forms_are_the_same_to_sams_own_expansion() -> None:
    """SAM CLI's, which also fills in parameters and conditions, of the loops and of what we made of them."""
    twin = {**deepcopy(template()), "Transform": EXTENDED}
    forms = [
        dict(expand_language_extensions(deepcopy(form), enabled=True).expanded_template) for form in (source(), twin)
    ]

    for form in forms:
        form.pop("Mappings", None)  # all filled in

    assert forms[0] == forms[1]
    assert len(by_sam(template())) > len(template()["Resources"]) > len(OPERATIONS) * 3


def test_what_is_written_is_what_is_tested() -> None:
    text = text_of(template())

    assert yaml.safe_load(text) == template()
    assert [line for line in text.splitlines() if line.startswith("#")] == text.splitlines()[:1]
    assert template()["Transform"] == SAM
    assert "template.expanded.yaml" in (ROOT / ".gitignore").read_text().splitlines()


def test_make_builds_what_was_written_out() -> None:
    recipe = subprocess.run(
        ["make", "--dry-run", "-o", ".venv/dev", "build"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    written, built = recipe.index("-m local.aws.expand"), recipe.index("sam build --template template.expanded.yaml")

    assert written < built


def toy(body: Any, section: str = "Resources", **more: Any) -> dict[str, Any]:
    """A template with one loop over the rows of its mapping."""
    return {
        "Transform": EXTENDED,
        "Mappings": {
            "Rows": {"One": {"Name": "first"}, "Two": {"Name": "second"}},
            "Places": {"first": {"Place": "1"}, "second": {"Place": "0"}},
        },
        section: {f"{LOOP}Rows": ["Row", ["One", "Two"], body], **more},
    }


NAME = {"Fn::FindInMap": ["Rows", {"Ref": "Row"}, "Name"]}


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"Ref": "Row"}, "One"),
        ({"Ref": {"Fn::Sub": "${Row}Queue"}}, {"Ref": "OneQueue"}),
        ({"Fn::GetAtt": [{"Fn::Sub": "${Row}Queue"}, "Arn"]}, {"Fn::GetAtt": ["OneQueue", "Arn"]}),
        (NAME, "first"),
        ({"Fn::Sub": ["a ${Name}", {"Name": NAME}]}, "a first"),
        ({"Fn::Sub": ["${AWS::StackName}/${Name}", {"Name": NAME}]}, {"Fn::Sub": "${AWS::StackName}/first"}),
        (
            {"Fn::Sub": ["${Row} ${Other}", {"Other": {"Ref": "Other"}}]},
            {"Fn::Sub": ["One ${Other}", {"Other": {"Ref": "Other"}}]},
        ),
        ({"Fn::If": ["Condition", [NAME], "other"]}, {"Fn::If": ["Condition", ["first"], "other"]}),
        ({"Fn::Select": ["1", ["", {"Ref": "Other"}]]}, {"Ref": "Other"}),
        ({"Fn::Select": [{"Fn::FindInMap": ["Places", NAME, "Place"]}, ["Place", NAME]]}, "first"),
        ({"Ref": "Other"}, {"Ref": "Other"}),
        ([1, True, None, "{row}"], [1, True, None, "{row}"]),
    ],
    ids=str,
)
def test_loop_writes_out(value: Any, written: Any) -> None:
    made = expand(toy({"${Row}Thing": {"Type": "T", "Properties": {"Value": value}}}, Kept={"Type": "K"}))[
        "Resources"
    ]

    assert list(made) == ["OneThing", "TwoThing", "Kept"]
    assert made["OneThing"] == {"Type": "T", "Properties": {"Value": written}}


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({**toy({}), "Transform": "AWS::Include"}, "Transform"),
        ({**toy({}), "Transform": [SAM, "AWS::LanguageExtensions"]}, "Transform"),
        (toy({"${Row}": {"Value": {"Fn::FindInMap": ["Rows", {"Ref": "Row"}, "Nmae"]}}}), "Nmae"),
        (toy({"${Row}": {"Value": {"Fn::FindInMap": ["Rwos", {"Ref": "Row"}, "Name"]}}}), "Rwos"),
        (toy({"${Row}": {"Value": {"Fn::FindInMap": ["Rows", {"Ref": "Other"}, "Name"]}}}), "Other"),
        (toy({"Same": {}}), "Same is there twice"),
        (toy({"${Row}": {}}, Two={}), "Two is there twice"),
        (toy({"${Row}": {"Value": {"Fn::Join": ["", [{"Ref": "Row"}]]}}}), "Fn::Join"),
        (toy({"${Row}": {"Value": {"Fn::Select": ["2", ["a", "b"]]}}}), "Fn::Select"),
        (toy({"${Row}": {"Value": {"Fn::Select": [{"Ref": "Other"}, ["a", "b"]]}}}), "Fn::Select"),
        (toy({"${Row}": {"Value": {"Fn::Select": ["0", {"Ref": "Other"}]}}}), "Fn::Select"),
        (toy({"${Row}": {"Properties": {f"{LOOP}Inner": ["Key", ["A"], {}]}}}), "Inner"),
        (toy({"${Row}": {"Description": "of ${Row}"}}), "plain string"),
        (toy({"${Row}": {}}, Other={"Properties": {f"{LOOP}Inner": ["Key", ["A"], {}]}}), "Inner"),
        (toy({"${Row}": {}}, Other={"Value": {"Fn::FindInMap": ["Rows", "One", "Name"]}}), "Fn::FindInMap"),
        ({"Transform": EXTENDED, "Resources": {f"{LOOP}Rows": ["Row", {"Ref": "Parameter"}, {}]}}, "Rows"),
        ({"Transform": EXTENDED, "Resources": {f"{LOOP}Rows": ["Row", ["One"]]}}, "Rows"),
        (toy({"${Row}": {}}, section="Conditions"), "Rows"),
    ],
    ids=lambda it: it if isinstance(it, str) else "",
)
def test_what_is_not_known_is_refused(document: dict[str, Any], told: str) -> None:
    with pytest.raises(ExpansionError, match=re.escape(told)):
        expand(document)


def test_template_without_loops_stays_as_it_is() -> None:
    assert expand(template()) == template()
