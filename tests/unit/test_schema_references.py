"""Rules that several requests share are written once, and a reference to one means what jsonschema takes it for."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from task_cleanup.sweep.services import target_definitions
from task_cleanup.validation import load_schema
from tests.support.functions import FUNCTIONS, function_folders, request_schema
from tests.support.references import COMMON, resolved

SWEEP = "sweep"
FOLDERS = [*function_folders(), SWEEP]

every_request = pytest.mark.parametrize("folder", FOLDERS)


def written_schema(folder: str) -> dict[str, Any]:
    """A function's schema with its references."""
    schema: dict[str, Any] = json.loads((FUNCTIONS / folder / "schema.json").read_bytes())
    return {**schema, "$defs": target_definitions()} if folder == SWEEP else schema


@every_request
def test_filled_in_schema_is_what_its_references_mean(folder: str) -> None:
    assert resolved(request_schema(folder)) == resolved(written_schema(folder))


@every_request
def test_no_reference_is_left_but_those_to_a_sweep_s_targets(folder: str) -> None:
    """Those are jsonschema's to follow; what reads an operation's schema, the quick check above all, follows none."""
    left = set(re.findall(r'"\$ref": "([^"]*)"', json.dumps(request_schema(folder))))

    assert left == ({f"#/$defs/{name}" for name in target_definitions()} if folder == SWEEP else set())


def test_every_shared_rule_is_referred_to() -> None:
    named = re.findall(r"common#/\$defs/(\w+)", "".join(json.dumps(written_schema(it)) for it in FOLDERS))

    assert set(named) == COMMON["$defs"].keys()


@pytest.mark.parametrize("folder", function_folders())
def test_what_functions_share_is_not_written_twice(folder: str) -> None:
    own = written_schema(folder)["properties"].values()
    others = [request_schema(it)["properties"].values() for it in function_folders() if it != folder]

    assert [rule for rule in own if any(rule in other for other in others)] == []


@pytest.mark.parametrize(
    "rule",
    [
        {"$ref": "urn:task-cleanup:common#/$defs/regions"},
        {"$ref": "urn:task-cleanup:common"},
        {"$ref": "common.schema.json#/$defs/region"},
        {"$ref": "#/$defs/region"},
        {"$ref": "urn:task-cleanup:common#/$defs/region", "description": "lost"},
        {"$ref": "#/$defs/known", "default": "lost"},
        {"anyOf": [{"type": "null"}, {"$ref": "#/properties/a"}]},
    ],
    ids=json.dumps,
)
def test_reference_that_leads_nowhere_or_hides_something_is_refused(tmp_path: Path, rule: dict[str, Any]) -> None:
    path = tmp_path / "schema.json"
    path.write_text(json.dumps({"type": "object", "properties": {"a": rule}, "$defs": {"known": {"type": "string"}}}))

    with pytest.raises(ValueError, match=r"reference to .* has members beside it|there is no rule "):
        load_schema(path)


def test_sweep_s_schema_alone_is_refused() -> None:
    """Without the services' definitions a target could hold anything."""
    with pytest.raises(ValueError, match="there is no rule #/"):
        load_schema(FUNCTIONS / SWEEP / "schema.json")
