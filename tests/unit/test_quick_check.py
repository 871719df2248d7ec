"""A quick yes is never given where jsonschema says no, and always to the requests that come every day."""

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from task_cleanup.quick_check import certainly_valid
from task_cleanup.schema_errors import validator
from tests.conftest import function_folders, request_schema, sample_event

FLAT = [
    folder for folder in function_folders() if certainly_valid(request_schema(folder), sample_event(folder, "direct"))
]

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
    return st.one_of(st.sampled_from(edges_of(rule)), fitting, scalars, st.lists(scalars, max_size=2))


@st.composite
def requests_for(draw: st.DrawFn, folder: str) -> dict[str, Any]:
    """The sample request with some fields changed, dropped or added."""
    schema, request = request_schema(folder), sample_event(folder, "direct")
    names = st.sampled_from(sorted(schema["properties"]))
    for name in draw(st.lists(names, max_size=3)):
        request[name] = draw(values_for(schema["properties"][name]))
    match draw(st.integers(0, 9)):  # rarely: what is wrong in one way hides what is wrong in another
        case 0:
            request.pop(draw(names), None)
        case 1:
            request[draw(st.text(max_size=8))] = 1
    return request


@pytest.mark.parametrize("folder", function_folders())
def test_quick_check_and_jsonschema_agree_on_every_edge_of_every_field(folder: str) -> None:
    schema, sample = request_schema(folder), sample_event(folder, "direct")
    reference = validator(schema)
    for name, rule in schema["properties"].items():
        for value in edges_of(rule):
            request = {**sample, name: value}
            quick, slow = certainly_valid(schema, request), reference.is_valid(request)
            assert quick == slow if folder in FLAT else slow or not quick, (name, value)


@pytest.mark.parametrize("folder", function_folders())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_quick_check_and_jsonschema_agree(folder: str, data: st.DataObject) -> None:
    """Never a yes where jsonschema says no; for a flat schema, never a no where it says yes."""
    schema, request = request_schema(folder), data.draw(requests_for(folder))
    quick, slow = certainly_valid(schema, request), validator(schema).is_valid(request)
    assert slow or not quick
    if folder in FLAT:
        assert quick == slow


@pytest.mark.parametrize("folder", function_folders())
@settings(max_examples=50, deadline=None)
@given(request=st.recursive(st.sampled_from(STRANGE), lambda inner: st.dictionaries(st.text(), inner, max_size=3)))
def test_whatever_is_no_request_gets_no_yes(folder: str, request: Any) -> None:
    schema = request_schema(folder)
    assert validator(schema).is_valid(request) or not certainly_valid(schema, request)


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
