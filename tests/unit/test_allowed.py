"""What a refusal says is allowed: made of the schema alone, in words, for every field and rule of every request."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from task_cleanup.allowed import one_of, sentence, unknown
from task_cleanup.errors import CleanupError
from task_cleanup.schema_errors import validator
from task_cleanup.settings import REGION
from task_cleanup.sweep.services import SERVICES
from task_cleanup.validation import MAX_TOLD, RequestValidator, Violation, not_one_of, violation_error
from tests.support.functions import function_folders, request_schema, sample_event

Json = dict[str, Any]
Told = dict[tuple[str, str], set[str]]  # pointer and rule -> what was said to be allowed

SWEEP = "sweep"
FOLDERS = [*function_folders(), SWEEP]
RULES = {
    *("type", "const", "enum", "pattern", "format", "minimum", "maximum", "minLength", "maxLength"),
    *("minItems", "maxItems", "uniqueItems", "oneOf"),
}
MARK = "testSecretFakeRejected"
LONG = [f"{number}" for number in range(1001)]
WRONG = [
    *(
        None,
        True,
        0,
        -5,
        1.0,
        2.5,
        10**20,
        "",
        "\n",
        "../..",
        "١٢٣",
        "\ud800",
        "2026-11-21",
        "a" * 300,
        "*" * 5,
        MARK,
    ),
    *([], {}, [MARK, MARK], {MARK: MARK}),
]

every_request = pytest.mark.parametrize("folder", FOLDERS)


# -- requests in which every field is there ------------------------------------------------


def value_of(rule: Mapping[str, Any]) -> Any:
    """One that the rule takes."""
    if "const" in rule:
        return rule["const"]
    if "properties" in rule:
        return {name: value_of(member) for name, member in rule["properties"].items()}
    if rule.get("type") == "array":
        return [value_of(rule["items"])]
    for keyword in ("examples", "enum"):
        if keyword in rule:
            return rule[keyword][0]
    if REGION.pattern in rule.get("pattern", ""):
        return "eu-de"
    return {"boolean": False, "integer": rule.get("minimum"), "number": rule.get("minimum")}.get(
        str(rule["type"]), "a"
    )


def whole_requests(folder: str) -> list[Json]:
    """Valid requests that have every field between them."""
    schema = request_schema(folder)
    if folder != SWEEP:
        return [{**value_of(schema), **sample_event(folder, "direct")}]
    (first, *others) = [target for service in SERVICES for target in whole_targets(schema["$defs"][service])]
    policy = {name: value_of(rule) for name, rule in schema["properties"].items() if name not in ("targets",)}
    report = {name: policy[name] for name in ("apply_report", "sha256", "run_id", "protect", "limits")}
    del policy["apply_report"], policy["sha256"]
    short = {name: policy[name] for name in schema["else"]["required"] if name != "targets"}
    return [{**policy, "targets": [first]}, report, *({**short, "targets": [target]} for target in others)]


def whole_targets(rule: Json) -> list[Json]:
    """A target of a service; two where it has one of two fields."""
    whole = value_of(rule)
    choices = [name for choice in rule.get("oneOf", ()) for name in choice["required"]]
    return [
        {name: value for name, value in whole.items() if name == choice or name not in choices}
        for choice in choices or [""]
    ]


def places_in(value: Any, *place: str | int) -> Iterator[tuple[str | int, ...]]:
    """Every place in a request, the whole included."""
    yield place
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield from places_in(member, *place, name)


def changed(request: Json, place: tuple[str | int, ...], value: Any) -> Any:
    """The request with another value in one place."""
    if not place:
        return value
    copy = deepcopy(request)
    inner: Any = copy
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    return copy


def at(request: Json, place: tuple[str | int, ...]) -> Any:
    """The value in one place."""
    inner: Any = request
    for step in place:
        inner = inner[step]
    return inner


def mistakes(request: Json, within: tuple[str, ...] = ()) -> Iterator[Any]:
    """The request with one thing wrong there: a value, a field too few, one too many, an entry twice."""
    for place in places_in(at(request, within), *within):
        value = at(request, place)
        yield from (changed(request, place, wrong) for wrong in WRONG)
        if isinstance(value, dict):
            yield changed(request, place, {})
            yield changed(request, place, {**value, "unheard_of": MARK})
            yield from (changed(request, place, {k: v for k, v in value.items() if k != name}) for name in value)
        if isinstance(value, list):
            yield from (changed(request, place, wrong) for wrong in ([], [*value, *value], LONG))


@cache
def validator_of(folder: str) -> RequestValidator:
    """The function's own."""
    return RequestValidator(request_schema(folder))


def violations(folder: str, request: Any) -> list[Json]:
    """What is said of a request; nothing of one that is valid."""
    error = refusal(folder, request)
    if error is None:
        return []
    assert MARK not in error.message.replace(f"/{MARK} is not a known field", "")
    found: list[Json] = (error.detail or {})["violations"]
    return found


def refusal(folder: str, request: Any) -> CleanupError | None:
    """Why the request is refused, if it is."""
    try:
        validator_of(folder).validate(request)
    except CleanupError as error:
        return error
    return None


def message_of(folder: str, request: Any) -> str:
    """The same in one sentence."""
    error = refusal(folder, request)
    assert error is not None
    return error.message


def told_of(folder: str, request: Json, within: tuple[str, ...] = ()) -> Told:
    """Whatever is said of all the mistakes that can be made there in a request."""
    found: Told = {}
    for wrong in mistakes(request, within):
        for violation in violations(folder, wrong):
            found.setdefault((violation["pointer"], violation["rule"]), set()).add(violation["allowed"])
    return found


# -- what must be said ------------------------------------------------


def rules_of(schema: Json, rule: Json, value: Any, pointer: str = "") -> Iterator[tuple[str, str]]:
    """Every pointer and rule that a request like ``value`` can violate."""
    yield from ((pointer, keyword) for keyword in RULES & rule.keys())
    if isinstance(value, dict):
        yield from ((f"{pointer}/{name}", "required") for name in rule.get("required", []))
        yield (f"{pointer}/unheard_of", "additionalProperties")
        for name, member in value.items():
            yield from rules_of(schema, rule["properties"][name], member, f"{pointer}/{name}")
    for number, item in enumerate(value if isinstance(value, list) else []):
        inner = rule["items"]
        if pointer == "/targets":  # its provider and service decide which rules the rest has
            inner = schema["$defs"]["target"]
            of_service = schema["$defs"][f"{item['provider']}_{item['service']}"]
            inner = {**of_service, "properties": {**of_service["properties"], **inner["properties"]}}
        yield from rules_of(schema, inner, item, f"{pointer}/{number}")


@every_request
def test_every_rule_of_every_field_says_what_is_allowed_whatever_was_wrong(folder: str) -> None:
    schema = request_schema(folder)
    for number, request in enumerate(whole_requests(folder)):
        assert violations(folder, request) == []
        # The others differ from the first in their target alone.
        within = () if number < 2 else ("targets",)
        told = told_of(folder, request, within)
        for place, rule in rules_of(schema, schema, request):
            if not place.startswith("".join(f"/{name}" for name in within)):
                continue
            # A service is a choice among its provider's: which rule says so depends on how many there are.
            rules = {"const", "enum"} if rule in {"const", "enum"} else {rule}
            assert any((place, each) in told for each in rules), (place, rule)
        for (place, rule), sentences in told.items():
            (said,) = sentences  # one sentence, however different the values were
            assert said.startswith(("must ", "is required", "is not a known field", "is not allowed")), (place, said)
            assert said == "is required" or len(said.split()) > 2, (place, said)
            assert rule not in said.split(), (place, said)
            assert MARK not in said


@every_request
def test_every_pattern_and_format_is_explained_and_its_examples_are_valid(folder: str) -> None:
    """A pattern says nothing to most people: its title says it in words, and its examples show it."""
    rules = [*_rules_in(request_schema(folder))]
    assert rules
    for rule in rules:
        if "pattern" in rule:
            assert rule["title"]
        is_region = REGION.pattern in rule.get("pattern", "")  # the service tells which there are
        if ("pattern" in rule and not is_region) or "format" in rule:
            assert rule["examples"]
        for example in rule.get("examples", []):
            assert validator(rule).is_valid(example)


def _rules_in(schema: Any) -> Iterator[Json]:
    if isinstance(schema, dict):
        for name, inner in schema.items():
            if name in ("properties", "$defs"):
                yield from (rule for rule in inner.values() if isinstance(rule, dict))
            yield from _rules_in(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _rules_in(inner)


@every_request
def test_no_keyword_of_a_request_is_left_without_words(folder: str) -> None:
    applied = {
        "properties",
        "required",
        "additionalProperties",
        "items",
        "allOf",
        "if",
        "then",
        "else",
        "$ref",
        "$defs",
    }

    annotations = {"$schema", "$id", "title", "description", "default", "examples"}

    for rule in (request_schema(folder), *_rules_in(request_schema(folder))):
        for keyword in rule.keys() - applied - annotations:
            assert "its schema" not in sentence(keyword, rule), keyword


def test_a_keyword_that_has_no_words_yet_is_named_with_what_the_schema_says() -> None:
    schema = {"not": {"const": 1}, "description": "Anything but one."}

    assert sentence("not", schema) == "must satisfy the keyword not of its schema: Anything but one."


@pytest.mark.parametrize(
    ("schema", "keyword", "said"),
    [
        ({"type": "boolean"}, "type", "must be the boolean true or false"),
        ({"type": ["string", "integer"], "minimum": 0}, "type", "must be a string or an integer"),
        ({"type": "integer", "minimum": 1, "maximum": 10000}, "maximum", "must be an integer from 1 to 10,000"),
        ({"type": "number", "minimum": 0.5}, "minimum", "must be a number of at least 0.5"),
        ({"type": "number", "maximum": 3}, "type", "must be a number of at most 3"),
        ({"maxItems": 3}, "maxItems", "must have at most 3 entries"),
        ({"minLength": 1}, "minLength", "must have at least 1 characters"),
        ({"const": 7}, "const", "must be 7"),
        ({"enum": ["a", "b c", None, "true"]}, "enum", 'must be one of a, "b c", null, "true"'),
        ({"pattern": "^a$"}, "pattern", "must match the pattern ^a$"),
        ({"pattern": "^a$", "title": "an a", "examples": ["a"]}, "pattern", "must be an a, such as a"),
        ({"format": "email"}, "format", "must be a email"),
    ],
)
def test_a_sentence(schema: Json, keyword: str, said: str) -> None:
    assert sentence(keyword, schema) == said


def test_of_very_many_values_the_first_are_named() -> None:
    assert one_of(range(40)) == "one of " + ", ".join(map(str, range(40)))
    assert one_of(range(60)) == "one of " + ", ".join(map(str, range(40))) + " and 20 more"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("dryrun", "dry_run"),
        ("dryRun", "dry_run"),
        ("DRY-RUN", "dry_run"),
        ("Region", "region"),
        ("taskid", "task_id"),
    ],
)
def test_the_nearest_field_is_named(name: str, meant: str) -> None:
    known = ["account", "dry_run", "region", "task_id"]

    assert unknown(name, known) == f"is not a known field, did you mean {meant}?"
    assert unknown("host", known) == "is not a known field, the known ones are account, dry_run, region, task_id"


# -- the whole refusal ------------------------------------------------


def test_a_refusal_is_a_sentence() -> None:
    request = {**sample_event("huawei_oms_delete_task", "direct"), "dryrun": True, "not_after": "tomorrow"}

    assert message_of("huawei_oms_delete_task", request) == (
        "the request is not valid: /dryrun is not a known field, did you mean dry_run?; "
        "/not_after must be a time with its zone (RFC 3339), such as 2026-11-21T08:30:00Z or "
        "2026-11-21T09:30:00+01:00"
    )


def test_what_is_no_object_is_told_of_the_request_as_a_whole() -> None:
    assert message_of("huawei_oms_delete_task", []) == "the request is not valid: the request must be an object"


POLICY: Json = {
    "name": "n",
    "select": {"older_than": "P7D"},
    "targets": [{"provider": "huawei", "service": "oms", "region": "cn-north-4"}],
}


def test_a_policy_beside_a_report_is_told_what_goes_with_it() -> None:
    found = violations(SWEEP, {**POLICY, "apply_report": "reports/n/report.json"})

    said = {item["pointer"]: item["allowed"] for item in found}

    rule = "is not allowed beside apply_report, only sha256, run_id, protect, limits are"
    digest = "is required, and must be 64 hex digits in small letters, such as " + "0" * 64
    assert said == {**dict.fromkeys(("/name", "/select", "/targets"), rule), "/sha256": digest}


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (
            {"service": "oms", "region": "cn-north-4"},
            {"provider": "is required, and must be one of alibaba, huawei, otc"},
        ),
        ({"provider": "huawei", "service": "x"}, {"service": "must be one of oms, dms"}),
        ({"provider": "alibaba", "service": "oms"}, {"service": "must be elasticsearch"}),
        ({"provider": "alibaba", "service": "x"}, {"service": "must be elasticsearch"}),
        ({"provider": "otc"}, {"service": "is required, and must be one of elasticsearch, oms, dms"}),
    ],
)
def test_a_target_is_told_what_fits_its_provider_and_nothing_of_other_providers(target: Json, said: Json) -> None:
    found = {item["pointer"]: item["allowed"] for item in violations(SWEEP, {**POLICY, "targets": [target]})}

    assert found == {f"/targets/0/{name}": text for name, text in said.items()}


def test_a_message_tells_the_first_violations_and_the_detail_all() -> None:
    error = violation_error(Violation(f"/a{number:02}", "type", "must be a string") for number in range(MAX_TOLD + 1))

    assert error.message.count("must be a string") == MAX_TOLD
    assert error.message.endswith("; and so on")
    assert len((error.detail or {})["violations"]) == MAX_TOLD + 1


def test_values_that_no_schema_lists_are_told_the_same_way() -> None:
    violation = not_one_of("/region", ("eu-de", "eu-nl"))
    assert violation == Violation("/region", "enum", "must be one of eu-de, eu-nl")

    error = violation_error([violation])

    assert error.message == "the request is not valid: /region must be one of eu-de, eu-nl"
    assert error.detail == {
        "violations": [{"pointer": "/region", "rule": "enum", "allowed": "must be one of eu-de, eu-nl"}]
    }


@every_request
def test_a_secret_in_any_field_and_any_form_is_not_repeated(folder: str) -> None:
    secret = "testSecretFake/Pasted+0001=="
    for request in whole_requests(folder):
        for place in places_in(request):
            for pasted in (secret, {"a": secret}, [secret], f"{secret}\n", {"region": {"key": secret}}):
                error = refusal(folder, changed(request, place, pasted))
                assert error is None or secret not in f"{error} {error.message} {json.dumps(error.detail)}"


@every_request
def test_of_an_unknown_fields_name_64_characters_are_repeated_and_no_more(folder: str) -> None:
    name = "testSecretFake" + "x" * 100
    (request, *_) = whole_requests(folder)

    error = refusal(folder, {**request, name: 1})

    assert error is not None
    for text in (error.message, json.dumps(error.detail)):
        assert name[:64] in text
        assert name[:65] not in text
    assert "testSecretFake" not in (error.detail or {})["violations"][0]["allowed"]


def test_annotations_do_not_make_a_schema_another() -> None:
    """The examples are for people: no validator reads them."""
    for folder in FOLDERS:
        schema = json.loads(json.dumps(request_schema(folder)))
        for rule in _rules_in(schema):
            rule.pop("examples", None)
            rule.pop("title", None)
        for request in whole_requests(folder):
            assert Draft202012Validator(schema).is_valid(request)


def test_words_are_imported_for_refusals_only() -> None:
    code = """
import json, sys
from pathlib import Path
from task_cleanup.errors import CleanupError
from task_cleanup.validation import RequestValidator, load_schema, strict_json
import task_cleanup.triggers, task_cleanup.handler
folder = sys.argv[1]
validator = RequestValidator(load_schema(Path("functions") / folder / "schema.json"))
validator.validate(strict_json((Path("events") / folder / "direct.json").read_text()))
late = {"difflib", "task_cleanup.allowed", "task_cleanup.json_errors", "task_cleanup.schema_errors"}
print(sorted(late & set(sys.modules)))
for refused in (lambda: validator.validate({}), lambda: strict_json("{")):
    try:
        refused()
    except (CleanupError, ValueError):
        pass
print(late - set(sys.modules))
"""

    done = subprocess.run(
        [sys.executable, "-c", code, "huawei_oms_delete_task"],
        env={"PYTHONPATH": "layers/task_cleanup/python"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout.split("\n")[:2], done.stderr) == (["[]", "set()"], "")
