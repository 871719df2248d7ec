"""Requests against the schemas: every violation is named by pointer and rule, and no rejected value is repeated."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from task_cleanup.errors import Category, CleanupError, Code
from task_cleanup.settings import REGION
from task_cleanup.times import in_words, parse_time, plausible, rfc3339
from task_cleanup.validation import RequestValidator, Violation, strict_json
from tests.support.builders import (
    CANCEL_TASK,
    DATA_TASKS,
    DELETE_DATA_TASK,
    DMS_DELETE,
    DMS_LIST,
    HUAWEI_DMS_DELETE,
    HUAWEI_DMS_LIST,
    NAMES,
    NO_REGIONS,
    OMS_DELETE,
    OMS_LIST,
    OMS_STOP,
    OPERATIONS,
    REQUESTS,
)
from tests.support.cases import case
from tests.support.functions import ROOT, function_folders, request_schema
from tests.support.identities import PROJECT
from tests.support.strategies import TAIL, requests_of

SCHEMAS = sorted([*ROOT.glob("functions/*/schema.json"), *ROOT.glob("layers/*/python/*/*.schema.json")])


def violations(operation: str, request: object) -> list[tuple[str, str]]:
    """Pointer and rule of everything that is wrong, after checking the frame of the error."""
    with pytest.raises(CleanupError) as caught:
        OPERATIONS[operation].validator.validate(request)
    error = caught.value
    assert (error.category, error.code) == (Category.INVALID_REQUEST, Code.SCHEMA_VIOLATION)
    return [(entry["pointer"], entry["rule"]) for entry in (error.detail or {})["violations"]]


def request(name: str, /, **changes: Any) -> dict[str, Any]:
    return {**REQUESTS[name], **changes}


# -- the schemas ------------------------------------------------


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.parent.name + "/" + path.name)
def test_every_schema_is_one(path: Any) -> None:
    schema = json.loads(path.read_bytes())

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", NAMES)
def test_every_request_schema_refuses_unknown_fields_and_shares_the_common_ones(name: str) -> None:
    schema = OPERATIONS[name].schema
    assert schema["additionalProperties"] is False

    common = {"operation", "region", "account", "dry_run", "not_after", "correlation_id"}

    assert common <= set(schema["properties"])
    assert "region" in schema["required"]
    assert not (common - {"region"}) & set(schema["required"])
    assert schema["properties"]["operation"] == {**schema["properties"]["operation"], "const": name}


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.parent.name + "/" + path.name)
def test_no_pattern_takes_other_scripts_digits_or_a_newline_at_its_end(path: Any) -> None:
    patterns = re.findall(r'"pattern": "((?:[^"\\]|\\.)*)"', path.read_text(encoding="utf-8"))

    for pattern in patterns:
        assert r"\\d" not in pattern
        assert r"\\w" not in pattern
        assert pattern.startswith("^")
        assert pattern.endswith(TAIL.replace("\\", "\\\\"))


@pytest.mark.parametrize("folder", [*function_folders(), "sweep"])
def test_a_region_is_the_same_pattern_everywhere_and_no_schema_lists_any(folder: str) -> None:
    """Which regions there are is in the service's module alone; EXTRA_REGIONS takes what a request takes."""
    schema = request_schema(folder)
    parts = [schema, *schema.get("$defs", {}).values()]

    rules = [part["properties"]["region"] for part in parts if "region" in part["properties"]]

    assert rules
    for rule in rules:
        assert {name: value for name, value in rule.items() if name not in ("title", "description")} == {
            "type": "string",
            "pattern": f"^{REGION.pattern}{TAIL}",
        }


@pytest.mark.parametrize("name", NAMES)
def test_what_the_schema_takes_for_a_region(name: str) -> None:
    for region in ("aa", "a" * 63, "cn-north-4", "xx-name-101", "eu-west-0"):
        assert OPERATIONS[name].validator.validate(request(name, region=region))["region"] == region


@pytest.mark.parametrize("name", NAMES)
def test_what_only_code_can_tell_is_listed_with_the_schema_s_violations_and_once(name: str) -> None:
    def more(_: object) -> list[Violation]:
        return [Violation("/region", "enum", "must be xx"), Violation("/account", "enum", "must be yy")]

    validator = OPERATIONS[name].validator
    for changes, expected in (
        ({}, [("/account", "enum"), ("/region", "enum")]),
        ({"region": "EU-DE", "x": 1}, [("/account", "enum"), ("/region", "pattern"), ("/x", "additionalProperties")]),
    ):
        with pytest.raises(CleanupError) as caught:
            validator.validate(request(name, **changes), more)
        listed = (caught.value.detail or {})["violations"]
        assert [(entry["pointer"], entry["rule"]) for entry in listed] == expected
        # Whoever knows which values there are says so, whatever rule the schema named.
        assert {entry["allowed"] for entry in listed} >= {"must be xx", "must be yy"}
    missing = {key: value for key, value in REQUESTS[name].items() if key != "region"}
    with pytest.raises(CleanupError, match="/region is required, and must be xx"):
        validator.validate(missing, more)
    with pytest.raises(CleanupError):
        validator.validate([], more)


@pytest.mark.parametrize("name", NAMES)
def test_the_example_is_valid_and_defaults_are_filled_in(name: str) -> None:
    accepted = OPERATIONS[name].validator.validate(REQUESTS[name])

    assert accepted == {**accepted, **REQUESTS[name], "account": "default", "dry_run": False}
    assert accepted.get("task_type") == ("MigrateData" if name == CANCEL_TASK else None)


def test_validation_does_not_change_what_it_was_given() -> None:
    given_request = dict(REQUESTS[CANCEL_TASK])

    OPERATIONS[CANCEL_TASK].validator.validate(given_request)

    assert given_request == REQUESTS[CANCEL_TASK]


# -- violations ------------------------------------------------

ALL: list[tuple[str, Any, str]] = [
    ("operation", "somebody.elses.Operation", "const"),
    ("operation", None, "const"),
    *(("region", value, "pattern") for value in NO_REGIONS),
    *(("region", value, "type") for value in (None, 4, True, ["cn-north-4"], {"a": 1})),
    ("account", "Upper", "pattern"),
    ("account", "-dash", "pattern"),
    ("account", "a" * 64, "pattern"),
    ("account", "", "pattern"),
    ("account", "a/b", "pattern"),
    ("account", "..", "pattern"),
    ("account", "default\n", "pattern"),
    ("account", 7, "type"),
    ("dry_run", "true", "type"),
    ("dry_run", 1, "type"),
    ("dry_run", None, "type"),
    ("not_after", "2026-11-21T08:30:00", "format"),
    ("not_after", "2026-11-21", "format"),
    ("not_after", "2026-13-21T08:30:00Z", "format"),
    ("not_after", "2026-02-30T08:30:00Z", "format"),
    ("not_after", "2026-11-21T25:30:00Z", "format"),
    ("not_after", "2026-11-21 08:30:00Z", "format"),
    ("not_after", "2026-11-21T08:30:00Z\n", "format"),
    ("not_after", "2026-11-21T08:30:00+0100", "format"),
    ("not_after", "\uff12\uff10\uff12\uff16-11-21T08:30:00Z", "format"),
    ("not_after", "tomorrow", "format"),
    ("not_after", 1795000000, "type"),
    ("correlation_id", "", "pattern"),
    ("correlation_id", "a" * 129, "pattern"),
    ("correlation_id", "line\nbreak", "pattern"),
    ("correlation_id", "ends\n", "pattern"),
    ("correlation_id", "é", "pattern"),
    ("correlation_id", "\x7f", "pattern"),
]
NO_TEXTS: list[Any] = [None, True, 1.0, 1.5, [], {}]
IDS = ["", "a/b", "..", ".", "a b", " a", "a\n", "a\x00", "a%2Fb", "a?b", "a#b", "ä", "a\\b", "a" * 2000]


def _cases() -> dict[tuple[str, str], list[tuple[Any, str]]]:
    """By operation and field: values that are refused, and by which rule."""
    cases: list[tuple[str, str, Any, str]] = [(name, *violation) for name in NAMES for violation in ALL]
    for name in NAMES:
        known = OPERATIONS[name].schema["properties"]
        for field in sorted({"instance_id", "task_id", "project_id"} & set(known)):
            cases += [(name, field, value, "pattern") for value in IDS]
            cases += [(name, field, value, "type") for value in NO_TEXTS]
        if "client_token" in known:
            cases += [(name, "client_token", value, "pattern") for value in ("", "a" * 65, "é", "a\n", "a\tb")]
        if "project_id" in known:
            cases += [(name, "project_id", value, "pattern") for value in (PROJECT + "\n", PROJECT[1:], "g" * 32)]
        if "limit" in known:
            cases += [(name, "limit", 0, "minimum"), (name, "limit", 10_001, "maximum")]
            cases += [(name, "limit", value, "type") for value in ("5", 1.0, True, None)]
        if "stop_running" in known:
            cases += [(name, "stop_running", value, "type") for value in ("true", 1, None)]
    cases += [
        (name, "task_id", value, "pattern")
        for name in (OMS_DELETE, OMS_STOP)
        for value in ("\u0661\u0662\u0663", "\uff11\uff12\uff13", "12\n", "+1", "-1", "1e3", "0x1")
    ]
    for name in (OMS_DELETE, OMS_STOP):
        cases += [(name, "task_id", value, "type") for value in (191297407830872.0, True, False, None)]
        cases += [(name, "task_id", -1, "minimum"), (name, "task_id", 2**63, "maximum")]
    uuid = "b9f1c1de-5b1a-4f0c-9e0e-3d2f7f6f1a11"
    bad = (
        uuid + "\n",
        uuid.replace("-", ""),
        f"{{{uuid}}}",
        uuid[:-1],
        uuid.replace("b", "g"),
        uuid.replace("1", "\u0661"),
    )
    for name in (DMS_DELETE, DMS_LIST, HUAWEI_DMS_DELETE, HUAWEI_DMS_LIST):
        cases += [(name, "instance_id", value, "pattern") for value in bad]
    cases += [(CANCEL_TASK, "task_type", value, "const") for value in ("migratedata", "", None, "MigrateData\n")]
    found: dict[tuple[str, str], list[tuple[Any, str]]] = {}
    for name, field, value, rule in cases:
        found.setdefault((name, field), []).append((value, rule))
    return found


CASES = _cases()


@pytest.mark.parametrize(("name", "field"), CASES)
def test_every_violation_is_a_pointer_and_a_rule(name: str, field: str) -> None:
    for value, rule in CASES[name, field]:
        with case(value):
            assert violations(name, request(name, **{field: value})) == [(f"/{field}", rule)]


@pytest.mark.parametrize("name", NAMES)
def test_all_violations_are_listed_at_once(name: str) -> None:
    required = sorted(OPERATIONS[name].schema["required"])

    assert violations(name, {}) == [(f"/{field}", "required") for field in required]
    assert violations(name, {"dry_run": "x", "surprise": 1}) == sorted(
        [("/dry_run", "type"), ("/surprise", "additionalProperties"), *((f"/{f}", "required") for f in required)]
    )


POINTERS = {
    "surprise": "/surprise",
    "a/b": "/a~1b",
    "a~b": "/a~0b",
    "": "/",
    "Region": "/Region",
    "host": "/host",
}


@pytest.mark.parametrize("name", NAMES)
def test_unknown_fields_are_refused_with_an_rfc_6901_pointer(name: str) -> None:
    for field, expected in POINTERS.items():
        assert violations(name, request(name, **{field: "x"})) == [(expected, "additionalProperties")]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_object_is_refused_as_a_whole(name: str) -> None:
    no_objects: list[Any] = [None, [], "text", 7, True, [{}]]

    for value in no_objects:
        assert violations(name, value) == [("", "type")]


@pytest.mark.parametrize("name", NAMES)
def test_many_violations_stay_bounded(name: str) -> None:
    """What a stranger sends does not decide how much we log."""
    flood = {f"surprise{number}": "v" for number in range(5000)} | {"x" * 100_000: "v"}

    with pytest.raises(CleanupError) as caught:
        OPERATIONS[name].validator.validate({**REQUESTS[name], **flood})
    assert len(json.dumps(caught.value.detail)) < 20_000
    assert len(caught.value.message) < 20_000


MARK = "REJECTED-VALUE-7f3a"


@pytest.mark.parametrize("name", NAMES)
def test_a_rejected_value_is_never_repeated(name: str) -> None:
    for field in [*OPERATIONS[name].schema["properties"], "surprise"]:
        value = f"{MARK}/../{MARK}\n"
        with pytest.raises(CleanupError) as caught:
            OPERATIONS[name].validator.validate(request(name, **{field: value}))
        assert MARK not in f"{caught.value} {caught.value.message} {caught.value.detail}"


@pytest.mark.parametrize("value", [191297407830872, 0, 2**63 - 1, "191297407830872", "0"])
@pytest.mark.parametrize("name", [OMS_DELETE, OMS_STOP])
def test_an_oms_task_id_is_digits_as_text_or_as_an_integer(name: str, value: object) -> None:
    assert OPERATIONS[name].validator.validate(request(name, task_id=value))["task_id"] == value


@pytest.mark.parametrize("name", [DATA_TASKS, OMS_LIST, DMS_LIST, HUAWEI_DMS_LIST])
def test_a_list_is_limited_to_a_thousand_tasks_unless_asked(name: str) -> None:
    assert OPERATIONS[name].validator.validate(request(name))["limit"] == 1000
    assert OPERATIONS[name].validator.validate(request(name, limit=10_000))["limit"] == 10_000


@pytest.mark.parametrize("task_id", ["8abfa7b372160bfd0172165864064079", "8abfa7b3-7216-0bfd-0172-165864064079"])
@pytest.mark.parametrize("name", [DMS_DELETE, HUAWEI_DMS_DELETE])
def test_a_dms_task_id_is_32_hex_or_a_uuid(name: str, task_id: str) -> None:
    OPERATIONS[name].validator.validate(request(name, task_id=task_id))


@pytest.mark.parametrize("token", ["a", " ", "~", "a b", "a/b?c=d&e", "x" * 64])
@pytest.mark.parametrize("name", [CANCEL_TASK, DELETE_DATA_TASK])
def test_a_client_token_is_1_to_64_printable_ascii_characters(name: str, token: str) -> None:
    OPERATIONS[name].validator.validate(request(name, client_token=token))


# -- times ------------------------------------------------


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-21T08:30:00Z", datetime(2026, 11, 21, 8, 30, tzinfo=UTC)),
        ("2026-11-21t08:30:00z", datetime(2026, 11, 21, 8, 30, tzinfo=UTC)),
        ("2026-11-21T09:30:00+01:00", datetime(2026, 11, 21, 8, 30, tzinfo=UTC)),
        ("2026-11-21T08:30:00.5Z", datetime(2026, 11, 21, 8, 30, 0, 500000, tzinfo=UTC)),
        ("2026-11-21T08:30:00.123456789Z", datetime(2026, 11, 21, 8, 30, 0, 123456, tzinfo=UTC)),
        ("2026-11-21T08:30:00-00:00", datetime(2026, 11, 21, 8, 30, tzinfo=UTC)),
    ],
)
def test_rfc_3339_times_with_a_zone_are_read(text: str, moment: datetime) -> None:
    assert parse_time(text) == moment


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", ["2026-11-21T08:30:00Z", "2026-11-21T09:30:00.25+01:00"])
def test_not_after_takes_rfc_3339(name: str, text: str) -> None:
    assert OPERATIONS[name].validator.validate(request(name, not_after=text))["not_after"] == text


OTHER_TIMES = [
    "2026-11-21T08:30:00",
    "2026-W47-6T08:30:00Z",
    "20261121T083000Z",
    "",
    "\u0662",
    "2026-11-21T08:30:00+05:99",
    "2026-11-21T08:30:00+24:00",
    # Times that UTC cannot hold.
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-00:01",
]


@pytest.mark.parametrize("text", OTHER_TIMES)
def test_other_times_are_not(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_time(text)


@pytest.mark.parametrize("name", NAMES)
def test_not_after_takes_no_other_time(name: str) -> None:
    for text in OTHER_TIMES:
        with case(text):
            assert violations(name, request(name, not_after=text)) == [("/not_after", "format")]


@given(st.datetimes(timezones=st.just(UTC)), st.integers(-1439, 1439))
def test_every_time_that_is_read_can_be_counted_with_and_written(moment: datetime, offset: int) -> None:
    """Also at the ends of the calendar, where a conversion to UTC may have no result."""
    sign, (hours, minutes) = "-" if offset < 0 else "+", divmod(abs(offset), 60)
    text = f"{moment.replace(tzinfo=None).isoformat(timespec='seconds')}{sign}{hours:02}:{minutes:02}"

    try:
        read = parse_time(text)
    except ValueError:
        assert moment.year in (1, 9999)
        return

    assert read.utcoffset() == timedelta(0)
    assert moment.replace(microsecond=0) - read == timedelta(minutes=offset)
    assert parse_time(rfc3339(read)) == read
    assert plausible(read) in (None, read)


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(hours=1), "1 hour"),
        (timedelta(hours=12), "12 hours"),
        (timedelta(days=1), "1 day"),
        (timedelta(days=7), "7 days"),
        (timedelta(minutes=90), "90 minutes"),
        (timedelta(seconds=1), "1 second"),
        (timedelta(days=10_000), "10,000 days"),
    ],
)
def test_a_length_of_time_is_told_in_words(length: timedelta, words: str) -> None:
    assert in_words(length) == words


# -- JSON ------------------------------------------------


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 2}', '{"a": {"b": 1, "b": 1}}', "NaN", "[Infinity]", "-Infinity", "", "{", "[" * 100_000]
)
def test_json_with_two_meanings_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        strict_json(text)


# -- whatever the schema accepts can be sent ------------------------------------------------

SEGMENTS = {
    CANCEL_TASK: 5,
    DATA_TASKS: 4,
    DELETE_DATA_TASK: 4,
    DMS_DELETE: 6,
    DMS_LIST: 5,
    HUAWEI_DMS_DELETE: 6,
    HUAWEI_DMS_LIST: 5,
    OMS_DELETE: 4,
    OMS_LIST: 3,
    OMS_STOP: 5,
}


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_the_schema_accepts_builds_a_url_of_the_expected_shape(name: str, data: st.DataObject) -> None:
    """The path has exactly the expected number of segments, and no dot segments; the host is the provider's own.

    Any region that the schema accepts can be an extra one.
    """
    operation = OPERATIONS[name]
    accepted = operation.validator.validate(data.draw(requests_of(name)))
    accepted = {"project_id": PROJECT, "client_token": "token", **accepted}
    call = operation.call({**accepted, **({"task_id": str(accepted["task_id"])} if "task_id" in accepted else {})})
    example = operation.call(
        {"project_id": PROJECT, "client_token": "t", "task_type": "MigrateData", **REQUESTS[name]}
    )
    region, sample = accepted["region"], REQUESTS[name]["region"]
    url = call.url(operation.service.base(region, None, [region]))
    assert urlsplit(url).hostname == operation.service.host(sample).replace(sample, region)

    segments = urlsplit(url).path.split("/")[1:]

    assert len(segments) == len(example.segments) == SEGMENTS.get(name, len(example.segments))
    assert all(unquote(segment) == sent for segment, sent in zip(segments, call.segments, strict=True))
    assert not {"", ".", ".."} & {unquote(segment) for segment in segments}
    assert all("/" not in unquote(segment) and "\\" not in unquote(segment) for segment in segments)
    assert url.isascii()


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(text=st.text(max_size=70))
def test_no_text_slips_through_an_id_that_changes_the_path(name: str, text: str) -> None:
    validator: RequestValidator = OPERATIONS[name].validator
    for field in ("instance_id", "task_id", "project_id"):
        if not validator.has(field):
            continue
        try:
            validator.validate(request(name, **{field: text}))
        except CleanupError:
            continue
        assert re.fullmatch(r"[0-9A-Za-z_-]+", text)
