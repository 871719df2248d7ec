"""A running OMS task on its way out: stop, pausing, paused, gone. The queue is the wait."""

import json
from typing import Any

import pytest

from tests.support.functions import function_folders
from tests.support.handler_world import MAX_RECEIVES, HandlerWorld
from tests.support.scenes import OMS_RUNNING, put_task
from tests.support.triggers import TRIGGERS, arrival, batch, request_of, with_body

DELETE = "huawei_oms_delete_task"
STOP = "huawei_oms_stop_task"


def start(world: HandlerWorld, status: int = OMS_RUNNING) -> dict[str, Any]:
    request = request_of(DELETE)
    put_task(world, DELETE, request, status=status)
    return {**request, "stop_running": True}


def deliver(world: HandlerWorld, request: dict[str, Any]) -> list[dict[str, Any]]:
    """Deliver the message until its queue may forget it; the results."""
    function = world.function(DELETE)
    for receives in range(1, MAX_RECEIVES + 1):
        record = with_body(DELETE, json.dumps(request), receives=receives)
        if function.invoke(batch(record)).reply == {"batchItemFailures": []}:
            return world.logged_results()
        world.pass_time(180)
    raise AssertionError("the message was never settled")


def status_of(world: HandlerWorld) -> int:
    [task] = world.cloud.tasks()["huawei_oms"][0]["tasks"]
    status: int = task["status"]
    return status


@pytest.mark.parametrize("falsely_running", [0, 1, 2])
def test_over_the_queue_until_it_is_gone(world: HandlerWorld, falsely_running: int) -> None:
    """2, 7, 3 and gone; `OMS.0063` can come back after the stop has finished: that is the same path."""
    world.cloud.switches.update(oms_stop_ms=200_000, oms_running_again=falsely_running)

    *conflicts, last = deliver(world, start(world))

    assert last["outcome"] == "succeeded"
    assert {result["outcome"] for result in conflicts} == {"conflict"}
    assert [result["error"]["detail"]["stop"] for result in conflicts] == [
        "requested",  # running
        "OMS.0066",  # pausing
        *["OMS.0066"] * falsely_running,  # paused, and refused all the same
    ]
    assert world.effects == [("stopped", "191297407830872"), ("deleted", "191297407830872")]
    assert world.cloud.tasks()["huawei_oms"][0]["tasks"] == []
    assert world.published() == [last]
    assert world.aws.messages == []
    assert world.naps == []


def test_a_stop_that_never_ends_stands_in_the_dead_letters(world: HandlerWorld) -> None:
    world.cloud.switches.update(oms_stop_ms=10**9)
    results = deliver(world, start(world))
    assert len(results) == MAX_RECEIVES
    assert {result["error"]["code"] for result in results} == {"OMS.0063"}

    (message,) = world.aws.messages

    assert json.loads(message["MessageAttributes"]["result"]["StringValue"]) == results[-1] == world.published()[0]
    assert world.effects == [("stopped", "191297407830872")]


def test_without_stop_running_nothing_is_stopped(world: HandlerWorld) -> None:
    request = {**start(world), "stop_running": False}

    results = deliver(world, request)

    assert {(result["outcome"], result["attempts"]) for result in results} == {("conflict", 1)}
    assert (world.effects, status_of(world)) == ([], OMS_RUNNING)


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_by_every_trigger_the_stop_is_sent_and_the_conflict_answered(world: HandlerWorld, trigger: str) -> None:
    start(world)
    world.function(DELETE).invoke(arrival(DELETE, trigger, {"stop_running": True}).event)

    (result,) = world.logged_results()

    assert (result["outcome"], result["retryable"], result["attempts"]) == ("conflict", True, 2)
    assert result["error"]["detail"] == {"stop": "requested"}
    assert (world.effects, status_of(world)) == ([("stopped", "191297407830872")], 7)


@pytest.mark.parametrize("status", [1, 6])
def test_what_is_refused_and_cannot_be_stopped_stays(world: HandlerWorld, status: int) -> None:
    request = start(world, status)

    result = world.function(DELETE).result(request)

    assert (result["outcome"], result["error"]["detail"]) == ("conflict", {"stop": "OMS.0066"})
    assert (world.effects, status_of(world)) == ([], status)


def test_a_stop_that_is_forbidden_says_so(world: HandlerWorld) -> None:
    request = start(world)
    world.cloud.keys.change("huawei", "AKFAKEHUAWEI0001", denied=("StopTask",))

    result = world.function(DELETE).result(request)

    assert (result["outcome"], result["error"]["detail"]) == ("conflict", {"stop": "OMS.0206"})
    assert (world.effects, status_of(world)) == ([], OMS_RUNNING)


# -- StopTask ------------------------------------------------


def test_stop_then_stopped_then_unchanged(world: HandlerWorld) -> None:
    world.cloud.switches.update(oms_stop_ms=60_000)
    request = request_of(STOP)
    put_task(world, STOP, request)
    function = world.function(STOP)

    first, pausing = function.result(request), function.result(request)
    world.pass_time(61)
    paused = function.result(request)

    assert [result["outcome"] for result in (first, pausing, paused)] == ["succeeded", "unchanged", "unchanged"]
    assert {result["error"]["code"] for result in (pausing, paused)} == {"OMS.0066"}
    assert world.effects == [("stopped", "191297407830872")]


@pytest.mark.parametrize("switch", ["OMS.0070", "OMS.0066"])
def test_a_finished_task_is_unchanged_in_either_words(world: HandlerWorld, switch: str) -> None:
    world.cloud.switches.update(oms_stop_finished=switch)
    request = request_of(STOP)
    put_task(world, STOP, request, status=5)

    result = world.function(STOP).result(request)

    assert (result["outcome"], result["error"]["code"]) == ("unchanged", switch)


def test_a_task_that_is_gone_does_not_run(world: HandlerWorld) -> None:
    result = world.function(STOP).result(request_of(STOP))

    assert (result["outcome"], result["error"]["code"], result["attempts"]) == ("unchanged", "OMS.1009", 1)
    assert result["looks"] == []


def test_both_functions_are_there() -> None:
    assert {DELETE, STOP} <= set(function_folders())
