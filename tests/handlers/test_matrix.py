"""Every function in every outcome it can have, and every outcome by every trigger. New functions are found."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from task_cleanup.validation import RequestValidator
from tests.support.checks import check_reply, check_result, only_result
from tests.support.functions import (
    EVENTS,
    function_folders,
    in_turn,
    is_list,
    representative_folders,
    request_schema,
    sample_event,
)
from tests.support.handler_world import LAMBDA_TIMEOUT, HandlerWorld
from tests.support.scenes import COMMON, Scene, arrange, is_still_there, put_task, scenes_of
from tests.support.triggers import DIRECT_REQUEST_ID, QUEUED, TRIGGERS, arrival, batch, request_of, with_body

SAMPLES = ("direct", "eventbridge", "http", "schedule", "sqs")
# A silent provider: as little time as the trigger can do with. Of it, two seconds are for the look behind a change.
SHORT = {"direct": 7.2, "http": 4.2, "eventbridge": 10.2} | dict.fromkeys(QUEUED, 13.3)


# Tried with every trigger in every scene: one function that changes something, and one that lists.
IN_FULL = ("huawei_oms_delete_task", "alibaba_elasticsearch_list_data_tasks")


def _rows() -> Iterator[Any]:
    """Every function in every scene that it can have, by one trigger after the other."""
    for number, folder in enumerate(function_folders()):
        for turn, scene in enumerate(scene for scene in scenes_of(folder) if not scene.slow):
            triggers = TRIGGERS if folder in IN_FULL else [TRIGGERS[(number + turn) % len(TRIGGERS)]]
            for trigger in triggers:
                yield pytest.param(folder, trigger, scene, id=f"{folder}-{trigger}-{scene.name.replace(' ', '_')}")


def _run(world: HandlerWorld, folder: str, trigger: str, scene: Scene, timeout: float) -> None:
    request = arrange(world, folder, scene)
    function = world.function(folder, scene.variables)
    arrived = arrival(folder, trigger, scene.changes)
    was_there = is_still_there(world, folder, request)

    outcome = function.invoke(arrived.event, timeout, DIRECT_REQUEST_ID)

    assert outcome.seconds < timeout
    result = only_result(world)
    check_result(world, folder, scene, arrived, result)
    check_reply(world, scene, arrived, outcome, result)
    changed = scene.outcome == "succeeded" and not is_list(folder)
    assert is_still_there(world, folder, request) is (was_there and not changed)


@pytest.mark.parametrize(("folder", "trigger", "scene"), list(_rows()))
def test_every_outcome_by_every_trigger(world: HandlerWorld, folder: str, trigger: str, scene: Scene) -> None:
    _run(world, folder, trigger, scene, LAMBDA_TIMEOUT)


@pytest.mark.parametrize(("folder", "trigger"), in_turn(representative_folders(), TRIGGERS))
def test_a_silent_provider_is_a_timeout_before_the_deadline(
    own_world: HandlerWorld, folder: str, trigger: str
) -> None:
    (scene,) = (scene for scene in COMMON if scene.slow)
    _run(own_world, folder, trigger, scene, SHORT[trigger])


@pytest.mark.parametrize("folder", function_folders())
def test_every_function_has_an_event_of_every_trigger(folder: str) -> None:
    assert sorted(path.stem for path in (EVENTS / folder).glob("*.json")) == list(SAMPLES)


@pytest.mark.parametrize("folder", function_folders())
def test_the_samples_of_a_function_ask_for_the_same_thing(folder: str) -> None:
    direct = request_of(folder)
    bodies = [sample_event(folder, name)["detail"] for name in ("schedule", "eventbridge")]
    bodies.append(json.loads(sample_event(folder, "sqs")["Records"][0]["body"])["detail"])
    http = sample_event(folder, "http")
    bodies.append({**http["pathParameters"], **http.get("queryStringParameters", {})})
    targets = [
        {name: str(body[name]) for name in ("region", "instance_id", "task_id", "task_type") if name in body}
        for body in [direct, *bodies]
    ]
    assert all(target == targets[0] for target in targets)
    for body in [direct, *bodies]:
        RequestValidator(request_schema(folder)).validate(body)


@pytest.mark.parametrize("folder", function_folders())
def test_what_a_schedule_sends_is_carried_out_and_names_the_schedule(world: HandlerWorld, folder: str) -> None:
    """In the shape of an event, since a plain body would have no age."""
    put_task(world, folder, request_of(folder))
    sent = sample_event(folder, "schedule")
    world.function(folder).invoke(batch(with_body(folder, json.dumps(sent))))

    result = only_result(world)

    assert result["outcome"] == "succeeded"
    assert (result["correlation_id"], [result["requested_by"]]) == (sent["id"], sent["resources"])
    assert sent["id"] == f"{sent['resources'][0]}@{sent['time']}"


def test_the_common_scenes_have_every_category_that_needs_no_special_task() -> None:
    assert {scene.category for scene in COMMON} >= {
        "invalid_request",
        "internal",
        "unauthenticated",
        "forbidden",
        "throttled",
        "unavailable",
        "timeout",
        "provider_error",
    }
