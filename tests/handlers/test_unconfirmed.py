"""What no page settles: whichever way the provider decides, the result is true.

Every switch of the emulators, every value, every function that it can concern, in the situations of a task that can
matter. A new switch and a new function are found by themselves.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local.emulators import KINDS, Platform, make_services
from tests.support.functions import function_folders, is_list, representative_folders, service_of
from tests.support.handler_world import HandlerWorld
from tests.support.scenes import Request, is_still_there, put_instance, put_task
from tests.support.triggers import request_of

# Second words of the switches that decide what an action does in a state, and of those that decide about states.
ACTIONS, STATES = ("cancel", "delete", "stop"), ("running", "show")


def ready(world: HandlerWorld, folder: str, request: Request) -> None:
    put_task(world, folder, request)


def running(world: HandlerWorld, folder: str, request: Request) -> None:
    put_task(world, folder, request, status=KINDS[service_of(folder)].running)


def waiting(world: HandlerWorld, folder: str, request: Request) -> None:
    put_task(world, folder, request, status=KINDS[service_of(folder)].waiting)


def absent(world: HandlerWorld, folder: str, request: Request) -> None:
    put_instance(world, folder, request)


def throttled(world: HandlerWorld, folder: str, request: Request) -> None:
    put_task(world, folder, request)
    world.cloud.faults.add("throttle", service=service_of(folder), count=1)


Situation = Callable[[HandlerWorld, str, Request], None]
SITUATIONS: tuple[Situation, ...] = (ready, running, waiting, absent, throttled)


def concerned(name: str, services: frozenset[str]) -> list[str]:
    """The functions that a switch can concern; of what is the gateway's, one of each kind."""
    folders = representative_folders() if "gateway" in name else function_folders()
    folders = [folder for folder in folders if service_of(folder) in services]
    action = name.split("_")[1]
    if action in ACTIONS:
        folders = [folder for folder in folders if f"_{action}_" in folder]
    # The two clouds with DMS share every line but their hosts: one of them stands for both.
    return [folder for folder in folders if service_of(folder) != "otc_dms"]


def situations(name: str, folder: str) -> tuple[Situation, ...]:
    """All, where the switch is about the state of a task; else those in which anything is answered at all."""
    if is_list(folder):
        return (ready, absent)
    return SITUATIONS if name.split("_")[1] in {*ACTIONS, *STATES} else (ready, throttled)


def rows() -> Iterator[Any]:
    platform = Platform(0)
    make_services(platform)
    for name, values, services in platform.switches.tried():
        for value in values:
            for folder in concerned(name, services):
                for situation in situations(name, folder):
                    yield pytest.param(
                        name, value, folder, situation, id=f"{name}={value}-{folder}-{situation.__name__}"
                    )


@pytest.mark.parametrize(("name", "value", "folder", "situation"), list(rows()))
def test_the_result_is_true_either_way(
    world: HandlerWorld, name: str, value: object, folder: str, situation: Situation
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

    if result["outcome"] == "unchanged":
        looked = [look["found"] for look in result["looks"]]
        assert looked == [False] or result["error"]["code"].startswith(("OMS.", "Repetition"))
