"""What no page settles: whichever way the provider decides, the result is true.

Every switch of the emulators, every value, every function that it can concern, in every situation of a task. A new
switch and a new function are found by themselves.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local.emulators import KINDS, Platform, make_services
from tests.conftest import function_folders
from tests.support.handler_world import World
from tests.support.scenes import Request, is_list, is_still_there, put_instance, put_task, service_of
from tests.support.triggers import request_of


def ready(world: World, folder: str, request: Request) -> None:
    put_task(world, folder, request)


def running(world: World, folder: str, request: Request) -> None:
    put_task(world, folder, request, status=KINDS[service_of(folder)].running)


def waiting(world: World, folder: str, request: Request) -> None:
    put_task(world, folder, request, status=KINDS[service_of(folder)].waiting)


def absent(world: World, folder: str, request: Request) -> None:
    put_instance(world, folder, request)


def throttled(world: World, folder: str, request: Request) -> None:
    put_task(world, folder, request)
    world.cloud.faults.add("throttle", service=service_of(folder), count=1)


Situation = Callable[[World, str, Request], None]
SITUATIONS: tuple[Situation, ...] = (ready, running, waiting, absent, throttled)


def concerned(services: frozenset[str]) -> list[str]:
    folders = [folder for folder in function_folders() if service_of(folder) in services]
    # The two clouds with DMS share every line but their hosts: one of them stands for both.
    return [folder for folder in folders if service_of(folder) != "huawei_dms"]


def rows() -> Iterator[Any]:
    platform = Platform(0)
    make_services(platform)
    for name, values, services in platform.switches.tried():
        for value in values:
            for folder in concerned(services):
                for situation in (ready, absent) if is_list(folder) else SITUATIONS:
                    yield pytest.param(
                        name, value, folder, situation, id=f"{name}={value}-{folder}-{situation.__name__}"
                    )


@pytest.mark.parametrize(("name", "value", "folder", "situation"), list(rows()))
def test_the_result_is_true_either_way(
    world: World, name: str, value: object, folder: str, situation: Situation
) -> None:
    request = request_of(folder)
    situation(world, folder, request)
    world.cloud.switches.update(**{name: value})
    result = world.function(folder).result(request)
    changed = world.effects != []
    there = is_still_there(world, folder, request)
    if is_list(folder):
        assert not changed
    elif result["outcome"] in {"succeeded", "unchanged"}:
        assert not there, "a success of a task that is still there"
        assert changed or situation is absent or result["outcome"] == "unchanged"
    else:
        assert not changed or result["error"]["detail"]["note"], "a failure of a call that made the change"
    assert result["outcome"] != "unchanged" or result["error"]["code"].startswith(("OMS.", "Repetition"))
