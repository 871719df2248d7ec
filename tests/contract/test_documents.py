"""What is written into docs/ for users: it is up to date, and a request's schema needs nothing beside it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from local.api import documents
from task_cleanup.schema_errors import validator
from task_cleanup.sweep.services import SERVICES
from tests.support.functions import function_folders, operation_name, request_schema, sample_event

SWEEP = "sweep"
NAMES = {**{folder: operation_name(folder) for folder in function_folders()}, SWEEP: SWEEP}

PUBLISHED = sorted(str(place) for place in documents.texts())

every_request = pytest.mark.parametrize("folder", NAMES)


# -- drift ------------------------------------------------


def test_published_documents_are_up_to_date() -> None:
    assert documents.main(["--check"]) == 0


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A folder with the documents as they should be."""
    assert documents.main([], tmp_path) == 0
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")) == PUBLISHED
    return tmp_path


@pytest.mark.parametrize("place", PUBLISHED)
@pytest.mark.parametrize("change", [lambda text: text.replace("the", "a", 1), lambda _: ""])
def test_check_sees_drift_and_writes_nothing(
    docs: Path, place: str, change: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = docs / place
    path.write_text(changed := change(path.read_text()))

    assert documents.main(["--check"], docs) == 1

    assert path.read_text() == changed
    error = capsys.readouterr().err
    assert place in error
    assert "python -m local.api.documents" in error


@pytest.mark.parametrize("place", PUBLISHED)
def test_document_that_is_missing_is_written_again(docs: Path, place: str) -> None:
    (docs / place).unlink()

    assert documents.main(["--check"], docs) == 1
    assert documents.main([], docs) == 0
    assert documents.main(["--check"], docs) == 0


@pytest.mark.parametrize("place", ["schemas/toy.box.Shake.json", "reference/toys.md"])
def test_document_of_what_is_gone_goes_too(docs: Path, place: str) -> None:
    gone = docs / place
    gone.write_text("{}")

    assert documents.main(["--check"], docs) == 1
    assert documents.main([], docs) == 0
    assert not gone.exists()


def test_costs_in_the_readme_are_made_too(tmp_path: Path) -> None:
    docs, readme = tmp_path / "docs", tmp_path / "README.md"
    docs.mkdir()
    readme.write_text("Mine.\n<!-- made: costs -->\nold\n<!-- end -->\nMine, too.\n")

    assert documents.main([], docs) == 0

    text = readme.read_text()
    assert text.startswith("Mine.\n<!-- made: costs -->\n\n")
    assert "\n| a month |" in text
    assert text.endswith("|\n\n<!-- end -->\nMine, too.\n")
    assert documents.main(["--check"], docs) == 0
    readme.write_text(text.replace("$", "€", 1))
    assert documents.main(["--check"], docs) == 1


# -- the schemas of requests ------------------------------------------------


def bundled(folder: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((documents.DOCS / "schemas" / f"{NAMES[folder]}.json").read_bytes())
    return schema


def test_every_function_has_one() -> None:
    schemas = {f"schemas/{name}.json" for name in NAMES.values()}

    assert schemas == {place for place in PUBLISHED if place.startswith("schemas/")}


@every_request
def test_schema_leads_nowhere_outside_itself(folder: str) -> None:
    schema = bundled(folder)

    Draft202012Validator.check_schema(schema)
    for place in re.findall(r'"\$ref": "([^"]*)"', json.dumps(schema)):
        assert place.removeprefix("#/$defs/") in schema["$defs"]


@every_request
def test_schema_is_the_function_s_own_and_tells_the_service_s_regions(folder: str) -> None:
    """In words: an enumeration would refuse a region that a stack added (``ExtraRegions``)."""
    own, told = request_schema(folder), bundled(folder)
    parts = [*told["$defs"].items()] if folder == SWEEP else [("_".join(NAMES[folder].split(".")[:2]), told)]
    for service, part in parts:
        if service in SERVICES:
            region = part["properties"]["region"]
            begin, _, regions = region["description"].partition(" The service's: ")
            assert regions == f"{', '.join(SERVICES[service].regions)}."
            region["description"] = begin

    assert told == own


@every_request
def test_schema_takes_the_sample_request_also_with_an_extra_region(folder: str) -> None:
    request = sample_event(folder, "direct")
    places = request["targets"] if folder == SWEEP else [request]

    assert validator(bundled(folder)).is_valid(request)
    places[0]["region"] = "xx-name-1"
    assert validator(bundled(folder)).is_valid(request)
    places[0]["surprise"] = 1
    assert not validator(bundled(folder)).is_valid(request)
