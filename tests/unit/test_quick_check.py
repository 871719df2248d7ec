"""A quick yes is never given where jsonschema says no, and always to the requests that come every day."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from task_cleanup.quick_check import certainly_valid
from task_cleanup.schema_errors import validator
from tests.support.functions import FUNCTIONS, function_folders, representative_folders, request_schema, sample_event
from tests.support.references import REGISTRY

Json = dict[str, Any]

# A request that has more kinds of members in its objects than any operation has.
NULLABLE: Json = {"type": ["string", "null"]}
NESTED: Json = {
    "type": "object",
    "properties": {
        "task_id": {"type": "string", "pattern": "^[0-9]{1,19}(?!\\n)$"},
        "seen": {
            "type": "object",
            "properties": {
                "name": NULLABLE,
                "status": {**NULLABLE, "enum": ["running", "failed", None]},
                "code": {**NULLABLE, "pattern": "^[a-z]{1,3}(?!\\n)$"},
                "ended_at": {**NULLABLE, "format": "date-time"},
                "count": {"type": ["integer", "null"], "minimum": 0, "maximum": 9},
                "gone": {"const": None},
                "billed": {"type": "boolean"},
            },
            "additionalProperties": False,
        },
        "must": {
            "type": "object",
            "properties": {"status": {"const": "running"}, "name": {"type": "string"}},
            "required": ["status"],
            "additionalProperties": False,
        },
    },
    "required": ["task_id"],
    "additionalProperties": False,
}
SEEN: Json = {
    "name": None,
    "status": "failed",
    "code": "abc",
    "ended_at": "2026-11-21T08:30:00Z",
    "count": 3,
    "gone": None,
    "billed": True,
}
MADE_UP = "made_up"


def sample(folder: str) -> Json:
    """The sample event, with everything in its `expected` where there may be one."""
    event = sample_event(folder, "direct")
    members = request_schema(folder)["properties"].get("expected", {}).get("properties", {})
    return {**event, "expected": {name: rule["examples"][0] for name, rule in members.items()}} if members else event


CASES: dict[str, tuple[Json, Json]] = {  # schema, and a request that it takes
    **{folder: (request_schema(folder), sample(folder)) for folder in function_folders()},
    MADE_UP: (NESTED, {"task_id": "1", "seen": SEEN, "must": {"status": "running", "name": ""}}),
}
CERTAIN = [case for case, (schema, sample) in CASES.items() if certainly_valid(schema, sample)]

every_case = pytest.mark.parametrize("case", CASES)
# For what searches by many examples: the edges of every schema are tried one by one.
case_of_each_kind = pytest.mark.parametrize("case", [*representative_folders(), MADE_UP])

# What JSON can hold, and what only looks alike: 1 and 1.0 and true, digits of other scripts, a newline at the end.
STRANGE = [
    *(None, True, False, 0, 1, -1, 1.0, 0.0, 2**63 - 1, 2**63, 1e400, float("nan"), "", "\n", "true", "1.0", "١٢٣"),
    *([], {}, ["cn-north-4"], {"a": 1}, "cn-north-4\n", "cn-north-4 ", "../..", "a" * 64, "a" * 129, " ", "\ud800"),
    *("2026-11-21T08:30:00Z", "2026-11-21T08:30:00", "2026-13-21T08:30:00Z", "2026-11-21 08:30:00+01:00"),
]


def edges_of(rule: dict[str, Any]) -> list[Any]:
    """Values on both sides of a rule, and the strange ones."""
    near: list[Any] = [rule.get("const"), *rule.get("enum", []), rule.get("minimum"), rule.get("maximum")]
    near += [value + step for value in near if isinstance(value, int) for step in (-1, 1)]
    near += [str(value) for value in near if isinstance(value, int)]
    return [*near, *STRANGE]


def values_for(rule: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Edges, what fits a pattern, and anything else."""
    fitting = st.from_regex(rule["pattern"]) if "pattern" in rule else st.nothing()
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40)
    members = {name: values_for(inner) for name, inner in rule.get("properties", {}).items()}
    objects = st.fixed_dictionaries({}, optional={**members, "unknown": scalars}) if members else st.nothing()
    return st.one_of(st.sampled_from(edges_of(rule)), fitting, scalars, st.lists(scalars, max_size=2), objects)


@st.composite
def requests_for(draw: st.DrawFn, case: str) -> Json:
    """The sample request with some fields changed, dropped or added, in its objects too."""
    schema, sample = CASES[case]
    request = changed(draw, schema, sample)
    for name, member in sample.items():
        if isinstance(member, dict) and name in request and draw(st.booleans()):
            request[name] = changed(draw, schema["properties"][name], member)
    return request


def changed(draw: st.DrawFn, schema: Json, sample: Json) -> Json:
    value = dict(sample)
    names = st.sampled_from(sorted(schema["properties"]))
    for name in draw(st.lists(names, max_size=3)):
        value[name] = draw(values_for(schema["properties"][name]))
    match draw(st.integers(0, 9)):  # rarely: what is wrong in one way hides what is wrong in another
        case 0:
            value.pop(draw(names), None)
        case 1:
            value[draw(st.text(max_size=8))] = 1
    return value


def edge_requests(case: str) -> Iterator[Json]:
    """The sample with one field, or one member of an object, at each edge of its rule."""
    schema, sample = CASES[case]
    for name, rule in schema["properties"].items():
        yield from ({**sample, name: value} for value in edges_of(rule))
        for member, inner in rule.get("properties", {}).items():
            yield from ({**sample, name: {**sample[name], member: value}} for value in edges_of(inner))


@every_case
def test_quick_check_and_jsonschema_agree_on_every_edge_of_every_field(case: str) -> None:
    schema, _ = CASES[case]
    reference = validator(schema)
    for request in edge_requests(case):
        quick, slow = certainly_valid(schema, request), reference.is_valid(request)
        assert quick == slow if case in CERTAIN else slow or not quick, request


@case_of_each_kind
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_quick_check_and_jsonschema_agree(case: str, data: st.DataObject) -> None:
    """Never a yes where jsonschema says no; for a schema that it knows all of, never a no where it says yes."""
    (schema, _), request = CASES[case], data.draw(requests_for(case))
    quick, slow = certainly_valid(schema, request), validator(schema).is_valid(request)
    assert slow or not quick
    if case in CERTAIN:
        assert quick == slow


@case_of_each_kind
@settings(max_examples=25, deadline=None)
@given(request=st.recursive(st.sampled_from(STRANGE), lambda inner: st.dictionaries(st.text(), inner, max_size=3)))
def test_whatever_is_no_request_gets_no_yes(case: str, request: Any) -> None:
    schema, _ = CASES[case]

    assert validator(schema).is_valid(request) or not certainly_valid(schema, request)


def test_every_request_that_can_be_checked_quickly_is() -> None:
    """Each of the operations so far; one whose schema has more in it pays for jsonschema at every cold start."""
    assert list(CASES) == CERTAIN


@pytest.mark.parametrize("folder", representative_folders())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_filled_in_schema_refuses_what_the_one_with_references_does(folder: str, data: st.DataObject) -> None:
    """By jsonschema's own reading of the references: the same violations of the same fields, for any request."""
    written = json.loads((FUNCTIONS / folder / "schema.json").read_bytes())
    request = data.draw(requests_for(folder))

    by_reference = Draft202012Validator(written, registry=REGISTRY).iter_errors(request)
    filled_in = Draft202012Validator(CASES[folder][0]).iter_errors(request)

    assert sorted(map(told, by_reference)) == sorted(map(told, filled_in))


def told(error: ValidationError) -> tuple[str, str, str]:
    return error.json_path, str(error.validator), error.message


FLAT_OBJECT: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}, "required": []}


@pytest.mark.parametrize(
    ("schema", "request_"),
    [
        ({**FLAT_OBJECT, "minProperties": 1}, {"a": "x"}),
        ({**FLAT_OBJECT, "allOf": []}, {"a": "x"}),
        ({**FLAT_OBJECT, "$defs": {}}, {"a": "x"}),
        ({**FLAT_OBJECT, "type": ["object", "null"]}, {"a": "x"}),
        ({**FLAT_OBJECT, "properties": {"a": {"type": "number"}}}, {"a": 1}),
        ({**FLAT_OBJECT, "properties": {"a": {"type": "string", "maxLength": 5}}}, {"a": "x"}),
        ({**FLAT_OBJECT, "properties": {"a": {"type": "string", "format": "email"}}}, {"a": "x"}),
        ({**FLAT_OBJECT, "properties": {"a": {"const": 1}}}, {"a": 1}),
        ({**FLAT_OBJECT, "properties": {"a": {"type": ["object", "null"]}}}, {"a": {}}),
        ({**FLAT_OBJECT, "properties": {"a": {"$ref": "#/$defs/a"}}}, {"a": "x"}),
        ({**FLAT_OBJECT, "properties": {"a": {**FLAT_OBJECT, "minProperties": 1}}}, {"a": {"a": "x"}}),
        ({**FLAT_OBJECT, "properties": {"a": {**FLAT_OBJECT, "properties": {"a": FLAT_OBJECT}}}}, {"a": {"a": {}}}),
        ({**FLAT_OBJECT, "properties": {"a": FLAT_OBJECT}}, {"a": {"b": "open"}}),
        (FLAT_OBJECT, {"a": "x", "b": "y"}),
        (FLAT_OBJECT, []),
    ],
)
def test_what_is_not_known_here_is_left_to_jsonschema(schema: dict[str, Any], request_: Any) -> None:
    assert certainly_valid(FLAT_OBJECT, {"a": "x"})
    assert not certainly_valid(schema, request_)


def test_valid_request_needs_no_jsonschema_and_a_refused_one_does() -> None:
    code = """
import json, sys
from pathlib import Path
from task_cleanup.errors import CleanupError
from task_cleanup.validation import RequestValidator, load_schema
folder = sys.argv[1]
validator = RequestValidator(load_schema(Path("functions") / folder / "schema.json"))
request = json.loads((Path("events") / folder / "direct.json").read_text())
validator.validate(request)
print("jsonschema" in sys.modules)
try:
    validator.validate({**request, "region": 5})
except CleanupError:
    print("jsonschema" in sys.modules)
"""
    command = [sys.executable, "-c", code, "huawei_oms_delete_task"]

    done = subprocess.run(
        command, env={"PYTHONPATH": "layers/task_cleanup/python"}, capture_output=True, text=True, check=False
    )

    assert (done.stdout.split(), done.stderr) == (["False", "True"], "")
