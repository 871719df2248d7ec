"""The sweep's request schema agrees with the functions that it stands for, for every service that a sweep knows."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from task_cleanup import schema_errors
from task_cleanup.errors import CleanupError
from task_cleanup.schema_errors import violations_of
from task_cleanup.sweep import services
from task_cleanup.sweep.services import SERVICES, region_violations, vouching_violations
from task_cleanup.tasks import Status
from task_cleanup.validation import RequestValidator
from tests.support.functions import function_folders, operation_name, request_schema, sample_event
from tests.support.sweep_world import ES_TARGET, OMS_TARGET, OTC_DMS_TARGET, TARGETS, policy

SCHEMA = request_schema("sweep")
VALIDATOR = RequestValidator(SCHEMA)
FOLDERS = {operation_name(folder): folder for folder in function_folders()}
SELECT: dict[str, Any] = {"older_than": "P7D"}

every_service = pytest.mark.parametrize("service", SERVICES)


def target_of(service: str) -> dict[str, Any]:
    """The place that the sample event of the service's list names."""
    listed = sample_event(FOLDERS[SERVICES[service].listing.operation], "direct")
    members = SCHEMA["$defs"][service]["properties"]
    place = {name: value for name, value in listed.items() if name in members and name != "limit"}
    return dict(zip(("provider", "service"), service.split("_", 1), strict=True)) | place


def violations(request: Any, **extra: Collection[str]) -> list[str]:
    """Where the request is not valid, with these extra regions."""
    with pytest.raises(CleanupError) as raised:
        VALIDATOR.validate(request, lambda asked: [*region_violations(asked, extra), *vouching_violations(asked)])
    return sorted({violation["pointer"] for violation in (raised.value.detail or {})["violations"]})


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


# -- every service, also one that is added later ------------------------------------------------


def test_every_service_with_a_list_and_a_delete_is_swept() -> None:
    """A service that can be listed and deleted from, but not swept, has been forgotten."""
    can: dict[str, set[str]] = {}

    for name in FOLDERS:
        provider, service, action = name.split(".")
        can.setdefault(f"{provider}_{service}", set()).add(action[:4])

    assert set(SERVICES) == {service for service, actions in can.items() if {"List", "Dele"} <= actions}
    assert set(SCHEMA["$defs"]) == {"target", *SERVICES}


@every_service
def test_its_operations_are_functions(service: str) -> None:
    swept = SERVICES[service]

    assert swept.id == service
    for name, word in ((swept.listing.operation, "_list_"), (swept.delete.operation, "_delete_")):
        assert word in FOLDERS[name]
        assert FOLDERS[name].startswith(f"{service}_")


@every_service
def test_its_target_is_asked_for_like_its_list(service: str) -> None:
    target, listed = SCHEMA["$defs"][service], request_schema(FOLDERS[SERVICES[service].listing.operation])
    own = {"provider", "service", "limit", "instance_ids"}
    for name, rule in target["properties"].items():
        if name not in own:
            assert rule == listed["properties"][name], name

    rest = set(listed["properties"]) - set(target["properties"])

    assert rest == {"operation", "dry_run", "not_after", "correlation_id"}
    wanted = set(target["required"]) | ({"instance_id"} if SERVICES[service].instances else set())
    assert wanted == set(listed["required"]) | {"provider", "service"}
    assert target["additionalProperties"] is False
    assert [target["properties"][name]["const"] for name in ("provider", "service")] == service.split("_", 1)


@every_service
def test_its_place_is_named_as_its_delete_names_it(service: str) -> None:
    """What could be listed and not deleted would be requested in vain."""
    deleted = request_schema(FOLDERS[SERVICES[service].delete.operation])["properties"]
    for name, rule in SCHEMA["$defs"][service]["properties"].items():
        if name not in {"provider", "service", "limit", "instance_ids"}:
            assert rule == deleted[name], name


@every_service
def test_its_target_is_valid_and_every_part_of_it_counts(service: str) -> None:
    target = target_of(service)
    assert VALIDATOR.validate(policy(targets=[target]))["targets"] == [target]

    for name in target:
        short = {key: value for key, value in target.items() if key != name}
        assert any(place.startswith("/targets/0") for place in violations(policy(targets=[short])))

    for name, value in {"region": "mars-1", "account": "A", "limit": 0, "host": "x", "limits": 1}.items():
        assert violations(policy(targets=[{**target, name: value}])) == [f"/targets/0/{name}"]


@every_service
def test_instances_can_be_all_exactly_where_a_target_names_one(service: str) -> None:
    """By the word "all" only, and instead of one, not beside it."""
    swept, target = SERVICES[service], target_of(service)
    without = {name: value for name, value in target.items() if name != "instance_id"}
    every = {**without, "instance_ids": "all"}
    assert bool(swept.instances) is ("instance_id" in swept.target.fields)
    if not swept.instances:
        assert violations(policy(targets=[every])) == ["/targets/0/instance_ids"]
        return

    assert VALIDATOR.validate(policy(targets=[every]))["targets"] == [every]
    for several in ({**target, "instance_ids": "all"}, without):
        assert violations(policy(targets=[several])) == ["/targets/0"]
    for word in ("ALL", "*", "", "all\n", ["all"], [target["instance_id"]], True, None):
        assert violations(policy(targets=[{**without, "instance_ids": word}])) == ["/targets/0/instance_ids"]
    assert violations(policy(targets=[{**every, "instance_id": "all"}])) != []


def test_a_target_with_both_or_neither_is_told_what_is_wanted() -> None:
    with pytest.raises(CleanupError) as raised:
        VALIDATOR.validate(policy(targets=[{**ES_TARGET, "instance_ids": "all"}]))

    assert (
        raised.value.message
        == "the request is not valid: /targets/0 must have exactly one of the fields instance_id, instance_ids"
    )


@every_service
def test_its_region_is_one_of_the_service_s_or_an_extra_one_of_it(service: str) -> None:
    target = target_of(service)
    others = {region for other in SERVICES.values() for region in other.regions}
    for region in [
        *sorted(others - set(SERVICES[service].regions)),
        "",
        "EU-DE",
        "xx-name-1",
        None,
        ["eu-de"],
    ]:
        asked = policy(targets=[*TARGETS.values(), {**target, "region": region}])
        elsewhere = {other: ["xx-name-1"] for other in SERVICES if other != service}
        assert violations(asked, **elsewhere) == [f"/targets/{len(TARGETS)}/region"], region
    for region in [*SERVICES[service].regions, "xx-name-1"]:
        asked = policy(targets=[{**target, "region": region}])
        assert list(region_violations(asked, {service: ["xx-name-1"]})) == [], region


@pytest.mark.parametrize(
    "targets", [None, 7, "otc", {}, [None, 7, "otc", []], [{}], [{"provider": []}], [{"service": {}}]]
)
def test_what_is_no_target_is_the_schemas_to_refuse(targets: object) -> None:
    assert list(region_violations({"targets": targets}, {})) == []
    assert violations({**policy(), "targets": targets})


# -- the rest of the policy ------------------------------------------------

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "unknown member": ({"dry_run": True}, "/dry_run"),
    "mode": ({"mode": "delete"}, "/mode"),
    "mode in capitals": ({"mode": "APPLY"}, "/mode"),
    "name with a newline": ({"name": "a\n"}, "/name"),
    "name that is a path": ({"name": "../a"}, "/name"),
    "run id that is a path": ({"run_id": "a/b"}, "/run_id"),
    "run id with a dot first": ({"run_id": ".."}, "/run_id"),
    "run id with a newline": ({"run_id": "a\n"}, "/run_id"),
    "long run id": ({"run_id": "a" * 129}, "/run_id"),
    "no targets": ({"targets": []}, "/targets"),
    "too many targets": (
        {"targets": [{**ES_TARGET, "instance_id": f"es-{number}"} for number in range(201)]},
        "/targets",
    ),
    "a target that is none": ({"targets": ["huawei"]}, "/targets/0"),
    "a service of another provider": ({"targets": [{**OTC_DMS_TARGET, "service": "oms"}]}, "/targets/0/service"),
    "an instance id that is a path": (
        {"targets": [{**ES_TARGET, "instance_id": "a/../b"}]},
        "/targets/0/instance_id",
    ),
    "no age": ({"select": {}}, "/select/older_than"),
    "misspelt filter": ({"select": {**SELECT, "name": ["a"]}}, "/select/name"),
    "younger than an hour": ({"select": {"older_than": "PT0H"}}, "/select/older_than"),
    "no basis of an age": ({"select": {**SELECT, "age_from": []}}, "/select/age_from"),
    "a basis twice": ({"select": {**SELECT, "age_from": ["seen", "seen"]}}, "/select/age_from"),
    "an unknown basis": ({"select": {**SELECT, "age_from": ["started"]}}, "/select/age_from/0"),
    "an unknown start": ({"select": {**SELECT, "running_since": "ended"}}, "/select/running_since"),
    "a stop without an age": ({"stop_running": True, "select": SELECT}, "/select/running_since"),
    "no words to vouch for": ({"select": {**SELECT, "provider_statuses": []}}, "/select/provider_statuses"),
    "an empty word": ({"select": {**SELECT, "provider_statuses": [""]}}, "/select/provider_statuses/0"),
    "stars": ({"select": {**SELECT, "names": ["*a*b*c*d*"]}}, "/select/names/0"),
    "question marks": ({"protect": {"names": ["?" * 41]}}, "/protect/names/0"),
    "stars over lines": ({"protect": {"names": ["a\n*\n*\n*\n*\n*"]}}, "/protect/names/0"),
    "no statuses": ({"select": {**SELECT, "statuses": []}}, "/select/statuses"),
    "unknown is no choice": ({"select": {**SELECT, "statuses": ["unknown"]}}, "/select/statuses/0"),
    "a status twice": ({"select": {**SELECT, "statuses": ["failed", "failed"]}}, "/select/statuses"),
    "no names": ({"select": {**SELECT, "names": []}}, "/select/names"),
    "an empty name": ({"select": {**SELECT, "names": [""]}}, "/select/names/0"),
    "misspelt guard": ({"protect": {"name": ["*prod*"]}}, "/protect/name"),
    "an empty pattern": ({"protect": {"names": [""]}}, "/protect/names/0"),
    "an id that is a fraction": ({"protect": {"task_ids": [1.0]}}, "/protect/task_ids/0"),
    "an id that is a truth": ({"protect": {"task_ids": [True]}}, "/protect/task_ids/0"),
    "one id": ({"protect": {"task_ids": "1"}}, "/protect/task_ids"),
    "misspelt limit": ({"limits": {"max_task": 1}}, "/limits/max_task"),
    "less than none": ({"limits": {"max_tasks": -1}}, "/limits/max_tasks"),
    "a fraction of a task": ({"limits": {"max_tasks": 1.0}}, "/limits/max_tasks"),
    "a limit in words": ({"limits": {"max_tasks": "500"}}, "/limits/max_tasks"),
    "more than all": ({"limits": {"max_fraction": 1.01}}, "/limits/max_fraction"),
    "infinitely many": ({"limits": {"max_fraction": float("inf")}}, "/limits/max_fraction"),
    "a truth for a fraction": ({"limits": {"max_fraction": True}}, "/limits/max_fraction"),
    "a per cent": ({"limits": {"max_fraction": 50}}, "/limits/max_fraction"),
    "no limit": ({"limits": {"max_tasks": None}}, "/limits/max_tasks"),
    "allowed in words": ({"limits": {"allow_incomplete": "true"}}, "/limits/allow_incomplete"),
    "stop in words": ({"stop_running": "false"}, "/stop_running"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_not_valid_is_named(what: str) -> None:
    changes, place = WRONG[what]

    assert violations(policy(**changes)) == [place]


def test_a_value_that_was_refused_is_not_repeated() -> None:
    with pytest.raises(CleanupError) as raised:
        VALIDATOR.validate(policy(mode="hunter2-secret", select={"older_than": "hunter2-secret"}))

    assert "hunter2" not in f"{raised.value} {raised.value.detail}"


def test_every_status_can_be_selected_but_the_unknown_and_what_is_being_deleted() -> None:
    named = SCHEMA["properties"]["select"]["properties"]["statuses"]["items"]["enum"]

    assert set(named) == {status.value for status in Status} - {"deleting", "unknown"}


@pytest.mark.parametrize("name", ["*" * 4 + "?" * 40, "*a*b*c*" + "x" * 249, "????-??-??-*", "a\n"])
def test_patterns_with_as_many_wildcards_as_anybody_needs_are_valid(name: str) -> None:
    VALIDATOR.validate(policy(select={**SELECT, "names": [name]}, protect={"names": [name]}))


# -- words that the operator vouches for ------------------------------------------------


def vouching(service: str, *words: object) -> dict[str, Any]:
    """A policy for one service with these ``provider_statuses``."""
    return policy(targets=[target_of(service)], select={**SELECT, "provider_statuses": list(words)})


@every_service
def test_a_word_for_a_task_at_work_cannot_be_vouched_for(service: str) -> None:
    """Nor with another target beside it, for which it would be another word."""
    meanings = SERVICES[service].statuses.meanings
    for word, meaning in meanings.items():
        asked = vouching(service, "a new word", word)
        if meaning.value in {"waiting", "running", "deleting"}:
            assert violations(asked) == ["/select/provider_statuses/1"]
            both = {**asked, "targets": [*TARGETS.values()]}
            assert violations(both) == ["/select/provider_statuses/1"]
        else:
            assert list(vouching_violations(asked)) == []


@every_service
def test_nothing_is_vouched_for_where_there_is_money(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    money = replace(SERVICES[service], has_money=True)
    monkeypatch.setattr(services, "SERVICES", {**SERVICES, service: money})

    (violation,) = vouching_violations(vouching(service, "A_NEW_WORD"))

    assert "paid for" in violation.allowed
    assert "A_NEW_WORD" not in violation.allowed


@pytest.mark.parametrize("select", [None, 7, [], {"provider_statuses": 7}, {"provider_statuses": [7, None, {}]}])
@pytest.mark.parametrize("targets", [None, [7, {}], [OMS_TARGET]])
def test_what_is_no_word_is_the_schemas_to_refuse(select: object, targets: object) -> None:
    assert list(vouching_violations({"select": select, "targets": targets})) == []


@every_service
def test_a_delete_can_be_vouched_for_where_there_is_no_money(service: str) -> None:
    deleted = request_schema(FOLDERS[SERVICES[service].delete.operation])["properties"]

    assert ("vouched" in deleted) is not SERVICES[service].has_money


def test_the_largest_policy_is_valid() -> None:
    VALIDATOR.validate(
        policy(
            targets=[OMS_TARGET, *({**ES_TARGET, "instance_id": f"es-{number}"} for number in range(199))],
            select={"older_than": "P9999D", "names": [f"{number:0>256}" for number in range(100)]},
            protect={
                "task_ids": [f"{number:0>64}" for number in range(1000)],
                "names": [f"{number:0>256}" for number in range(100)],
            },
            limits={"max_tasks": 100_000, "max_fraction": 1, "allow_incomplete": True},
        )
    )


@pytest.mark.exhaustive
def test_a_list_of_very_many_is_refused_at_once() -> None:
    """Compared each with each other, they took minutes. (The suite has a time-out.)"""
    for many in ([{"no": number} for number in range(20_000)], [1] * 20_000):
        with pytest.raises(CleanupError) as refused:
            RequestValidator(SCHEMA).validate(policy(protect={"task_ids": many}))
        assert refused.value.code == "SchemaViolation"


@pytest.mark.parametrize(
    ("ids", "rule"), [([1, 2, 1], "uniqueItems"), (["1", "1"], "uniqueItems"), ([1, 2], None), ([1, "1"], None)]
)
def test_what_is_in_a_list_twice_is_told(ids: list[object], rule: str | None) -> None:
    violations = violations_of(SCHEMA, policy(protect={"task_ids": ids}))

    assert [violation.rule for violation in violations] == ([rule] if rule else [])


def test_of_very_many_errors_the_first_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes the library some time, and a request can have a hundred thousand of them."""
    request = policy(targets=[{}], select={}, limits={"max_tasks": 0})
    schema = request_schema("sweep")
    all_of_them = violations_of(schema, request)

    monkeypatch.setattr(schema_errors, "MAX_ERRORS", 1)

    assert 0 < len(violations_of(schema, request)) < len(all_of_them)
