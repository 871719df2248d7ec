"""Deletes in a status that our table does not call deletable, for which somebody vouches."""

from dataclasses import replace
from typing import Any

import pytest

from task_cleanup import operation
from task_cleanup.sweep.services import SERVICES
from task_cleanup.tasks import BUSY, Status, Task
from tests.support.functions import service_of
from tests.support.handler_world import HandlerWorld
from tests.support.looks import ALIBABA, DELETES, OMS, looks, start

NEW_WORD = {folder: "FAILED" if folder == ALIBABA else 9 if "_oms_" in folder else "NEW" for folder in DELETES}


def vouched(world: HandlerWorld, folder: str, **values: Any) -> dict[str, Any]:
    """A task in a status that no table knows, and the request that vouches for it."""
    return {**start(world, folder, **{"status": NEW_WORD[folder], **values}), "vouched": True}


@pytest.mark.parametrize("folder", DELETES)
def test_a_task_in_exactly_that_status_is_deleted(world: HandlerWorld, folder: str) -> None:
    request = vouched(world, folder)
    function = world.function(folder)

    without = function.result({name: value for name, value in request.items() if name != "vouched"})
    refused = function.result({**request, "vouched": False})
    planned = function.result({**request, "dry_run": True})
    deleted = function.result(request)

    for result in (without, refused):
        assert (result["outcome"], result["error"]["code"]) == ("conflict", "TaskNotDeletable")
    assert (planned["outcome"], deleted["outcome"]) == ("planned", "succeeded")
    assert looks(deleted) == [("before", True)]
    assert [effect for effect, _ in world.effects] == ["deleted"]


@pytest.mark.parametrize("folder", DELETES)
def test_a_task_in_another_status_has_changed(world: HandlerWorld, folder: str) -> None:
    request = vouched(world, folder)
    for word in ("another", f"{NEW_WORD[folder]} ", f"{NEW_WORD[folder]}x"):
        expected = {**request["expected"], "provider_status": word}
        result = world.function(folder).result({**request, "expected": expected})
        assert result["error"]["code"] == "TaskChanged"
    assert world.effects == []


AT_WORK = [
    (folder, word)
    for folder in DELETES
    for word, meaning in SERVICES[service_of(folder)].statuses.meanings.items()
    if meaning in BUSY
]


@pytest.mark.parametrize(("folder", "word"), AT_WORK)
def test_no_word_makes_a_task_at_work_deletable(world: HandlerWorld, folder: str, word: str) -> None:
    stays = {"looks_left": 99} if "_oms_" in folder else {}
    request = vouched(world, folder, status=int(word) if word.isdigit() else word, **stays)

    result = world.function(folder).result(request)

    assert (result["outcome"], result["error"]["code"]) == ("conflict", "TaskNotDeletable")
    assert world.effects == []


@pytest.mark.parametrize("expected", [None, {}, {"name": "x"}, {"provider_status": None}, {"provider_status": ""}])
@pytest.mark.parametrize("folder", DELETES)
def test_it_must_be_said_for_which_status(world: HandlerWorld, folder: str, expected: dict[str, Any] | None) -> None:
    request = {**vouched(world, folder), "expected": expected}

    result = world.function(folder).result({name: value for name, value in request.items() if value is not None})

    assert (result["error"]["category"], result["error"]["code"]) == ("invalid_request", "SchemaViolation")
    assert "/expected/provider_status is required beside vouched" in result["error"]["message"]
    assert (result["attempts"], world.effects) == (0, [])


def test_nothing_is_vouched_for_where_there_is_money() -> None:
    service = SERVICES[service_of(ALIBABA)]

    assert service.can_be_vouched("FAILED")
    assert not replace(service, has_money=True).can_be_vouched("FAILED")


def test_what_a_stop_leads_to_is_not_the_status_that_is_vouched_for() -> None:
    """With ``stop_running`` a look may find the task as the stop leaves it, in a word that nobody has vouched for."""
    service = SERVICES[service_of(OMS)]
    request = {"vouched": True, "stop_running": True, "expected": {"provider_status": "3"}}
    task = Task("1", "n", Status.UNKNOWN, "9", deletable=False, why_not="its status is not documented")

    assert not operation._is_vouched(service, request, task)
    assert operation._is_vouched(service, {**request, "expected": {"provider_status": "9"}}, task)
