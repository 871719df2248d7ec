"""Look, act, look: what a request expects is looked at first, and a doubtful answer is looked behind."""

from typing import Any

import pytest

from local.emulators import KINDS
from tests.support.functions import action_of, function_folders, request_schema, service_of
from tests.support.handler_world import HandlerWorld
from tests.support.looks import DELETES, DMS, LOOKED_AT, OMS, looks, start
from tests.support.scenes import OMS_RUNNING, put_task
from tests.support.triggers import TRIGGERS, arrival, request_of

# -- before ------------------------------------------------


def test_every_delete_and_stop_of_a_named_task_can_be_looked_at() -> None:
    named = [folder for folder in function_folders() if "task_id" in request_schema(folder)["properties"]]

    assert sorted(LOOKED_AT) == sorted(named)


MAY_GO = [(folder, status) for folder in DELETES for status in KINDS[service_of(folder)].final]


@pytest.mark.parametrize(("folder", "status"), MAY_GO)
def test_a_task_as_expected_is_deleted(world: HandlerWorld, folder: str, status: object) -> None:
    """In each status that may go: the record of one that has failed tells why, and that is no failed look."""
    result = world.function(folder).result(start(world, folder, status=status))

    assert (result["outcome"], result["attempts"], looks(result)) == ("succeeded", 1, [("before", True)])
    assert [effect for effect, _ in world.effects] == ["deleted"]


@pytest.mark.parametrize("trigger", TRIGGERS)
@pytest.mark.parametrize("folder", LOOKED_AT)
def test_a_task_that_has_changed_is_left_alone(world: HandlerWorld, folder: str, trigger: str) -> None:
    request = start(world, folder)
    expected = {**request["expected"], "name": "another"}

    world.function(folder).invoke(arrival(folder, trigger, {"expected": expected}).event)

    *_, result = world.logged_results()
    assert (result["outcome"], result["retryable"], result["attempts"]) == ("failed", False, 0)
    assert (result["error"]["category"], result["error"]["code"]) == ("precondition_failed", "TaskChanged")
    assert result["error"]["detail"]["expected"] == {"name": "another"}
    assert result["error"]["detail"]["found"] == {"name": request["expected"]["name"]}
    assert (looks(result), world.effects) == ([("before", True)], [])


def test_a_restarted_task_has_changed(world: HandlerWorld) -> None:
    request = start(world, OMS)
    put_task(world, OMS, request_of(OMS), start_time=1795250000000)

    result = world.function(OMS).result(request)

    assert (result["error"]["code"], world.effects) == ("TaskChanged", [])
    assert set(result["error"]["detail"]["found"]) == {"started_at"}


@pytest.mark.parametrize("absent", ["started_at", "ended_at"])
def test_null_means_that_there_must_be_none(world: HandlerWorld, absent: str) -> None:
    request = start(world, DMS)
    request["expected"] = {absent: None}

    result = world.function(DMS).result(request)

    wanted = "succeeded" if absent == "started_at" else "failed"
    assert result["outcome"] == wanted


@pytest.mark.parametrize("folder", DELETES)
def test_a_task_that_is_gone_is_unchanged(world: HandlerWorld, folder: str) -> None:
    world.cloud.switches.update(dms_show_unknown="deleted_record")
    request = start(world, folder)
    world.function(folder).result({**request, "expected": {}})
    before = list(world.effects)

    result = world.function(folder).result(request)

    assert (result["outcome"], result["attempts"], looks(result)) == ("unchanged", 0, [("before", False)])
    # The evidence: the show call's own code, or a code of ours where a record or a whole list proves it.
    assert result["error"]["code"] == ("OMS.1009" if folder.startswith("huawei_oms") else "TaskGone")
    assert world.effects == before


@pytest.mark.parametrize(
    ("shown", "ended"),
    [("deleted_record", ("unchanged", False)), ("empty", ("failed", None)), ("404", ("failed", None))],
)
def test_only_a_record_that_says_so_is_gone(world: HandlerWorld, shown: str, ended: tuple[str, bool | None]) -> None:
    """No page tells what DMS shows of a deleted record, so a wrapper that counts none proves no more than a 404."""
    world.cloud.switches.update(dms_show_unknown=shown)
    request = start(world, DMS)
    world.function(DMS).result({**request, "expected": {}})

    result = world.function(DMS).result(request)

    assert (result["outcome"], result["looks"][0]["found"]) == ended


def test_a_task_that_may_not_be_deleted_now_is_a_conflict(world: HandlerWorld) -> None:
    request = start(world, OMS, status=OMS_RUNNING)

    result = world.function(OMS).result(request)

    assert (result["outcome"], result["error"]["code"], result["retryable"]) == ("conflict", "TaskNotDeletable", True)
    assert (result["attempts"], world.effects) == (0, [])


@pytest.mark.parametrize("folder", LOOKED_AT)
def test_a_look_that_is_not_answered_is_not_a_yes(world: HandlerWorld, folder: str) -> None:
    request = start(world, folder)
    for provider, key in (("alibaba", "AKFAKEALIBABA0001"), ("huawei", "AKFAKEHUAWEI0001"), ("otc", "AKFAKEOTC0001")):
        world.cloud.keys.change(provider, key, denied=("ShowTask", "ShowBackgroundTask", "ListDataTasks"))

    result = world.function(folder).result(request)

    assert (result["outcome"], result["error"]["category"], result["attempts"]) == ("failed", "forbidden", 0)
    assert (looks(result), world.effects) == ([("before", None)], [])


@pytest.mark.parametrize("folder", LOOKED_AT)
def test_a_dry_run_looks_where_the_request_would(world: HandlerWorld, folder: str) -> None:
    request = start(world, folder)

    planned = world.function(folder).result({**request, "dry_run": True})
    changed = world.function(folder).result({**request, "dry_run": True, "expected": {"name": "another"}})
    plain = world.function(folder).result({**request, "dry_run": True, "expected": {}})

    assert (planned["outcome"], looks(planned)) == ("planned", [("before", True)])
    assert (changed["error"]["code"], plain["outcome"]) == ("TaskChanged", "planned")
    assert world.effects == []


# -- with stop_running ------------------------------------------------


def test_the_status_that_is_named_is_stopped_and_what_it_leads_to_is_expected(world: HandlerWorld) -> None:
    world.cloud.switches.update(oms_stop_ms=60_000)
    request = {**start(world, OMS, status=OMS_RUNNING), "stop_running": True}
    function = world.function(OMS)

    stopped, pausing = function.result(request), function.result(request)
    world.pass_time(61)
    deleted = function.result(request)

    assert (stopped["outcome"], stopped["error"]["detail"]["stop"]) == ("conflict", "requested")
    assert (pausing["outcome"], pausing["attempts"]) == ("conflict", 0)
    assert deleted["outcome"] == "succeeded"
    assert [effect for effect, _ in world.effects] == ["stopped", "deleted"]


def test_a_dry_run_shows_the_stop_of_a_task_that_runs(world: HandlerWorld) -> None:
    request = {**start(world, OMS, status=OMS_RUNNING), "stop_running": True}
    stop = world.function("huawei_oms_stop_task").result({**request_of("huawei_oms_stop_task"), "dry_run": True})

    planned = world.function(OMS).result({**request, "dry_run": True})

    assert (planned["outcome"], looks(planned)) == ("planned", [("before", True)])
    assert planned["plan"] == stop["plan"]
    assert world.effects == []


def test_a_task_that_runs_again_is_not_stopped(world: HandlerWorld) -> None:
    request = {**start(world, OMS), "stop_running": True}
    put_task(world, OMS, request_of(OMS), status=OMS_RUNNING)

    result = world.function(OMS).result(request)

    assert (result["error"]["code"], world.effects) == ("TaskChanged", [])


# -- after ------------------------------------------------


@pytest.mark.parametrize("folder", DELETES)
def test_a_delete_that_got_no_answer_and_was_made_is_unchanged(world: HandlerWorld, folder: str) -> None:
    world.cloud.switches.update(dms_show_unknown="deleted_record")
    request = request_of(folder)
    put_task(world, folder, request)
    world.cloud.faults.add("reset_after", operation=action_of(folder), count=9)

    result = world.function(folder).result(request)

    assert result["outcome"] == "unchanged"
    assert "may have done it" in result["error"]["detail"]["note"]
    assert looks(result) == [("after", False)]


THROTTLED = [
    {"kind": "http_error", "status": 429},
    {"kind": "error", "status": 400, "code": "Throttling.New"},
    {"kind": "error", "status": 503, "code": "Throttling.New"},
    {"kind": "error", "status": 429, "code": "New.Unheard.Of"},
    {"kind": "throttle"},
]


@pytest.mark.parametrize("fault", THROTTLED, ids=lambda fault: "-".join(map(str, fault.values())))
@pytest.mark.parametrize("folder", LOOKED_AT)
def test_throttling_is_no_doubt(world: HandlerWorld, folder: str, fault: dict[str, Any]) -> None:
    """The provider says that it made no change, so the calls are the attempts alone, and no note tells of a doubt."""
    function, request = world.function(folder), request_of(folder)
    put_task(world, folder, request)
    world.cloud.faults.add(operation=action_of(folder), **fault)

    result = function.result(request)

    assert (result["outcome"], result["error"]["category"], looks(result)) == ("failed", "throttled", [])
    assert len(world.arrived(function.operation.name, looks=True)) == result["attempts"] > 1
    assert "note" not in (result["error"]["detail"] or {})


@pytest.mark.parametrize("folder", LOOKED_AT)
def test_throttling_after_an_attempt_without_an_answer_is_looked_behind(world: HandlerWorld, folder: str) -> None:
    put_task(world, folder, request_of(folder))
    world.cloud.faults.add("reset_before", operation=action_of(folder), count=2)
    world.cloud.faults.add("http_error", operation=action_of(folder), status=429)

    result = world.function(folder).result(request_of(folder))

    assert (result["error"]["category"], looks(result)) == ("throttled", [("after", True)])
