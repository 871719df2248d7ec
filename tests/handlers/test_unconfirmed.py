"""What no page settles: whichever way the provider decides, the result is true.

Every switch of the emulators, every value, every function that it can concern, in every situation of a task. A new
switch and a new function are found by themselves.
"""

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, get_type_hints

import pytest

from local.emulators import Switches
from tests.conftest import function_folders
from tests.support.handler_world import World
from tests.support.scenes import Request, is_list, is_still_there, put_instance, put_task, service_of
from tests.support.triggers import request_of

# Values of the switches that are no enums; an enum's are all of its members.
NUMBERS: dict[str, tuple[Any, ...]] = {
    "alibaba_throttle_status": (400, 429),
    "alibaba_retry_after_sent": (True, False),
    "alibaba_security_token_status": (400, 403),
    "alibaba_signature_status": (400, 403),
    "alibaba_client_token_seconds": (0.0, 86400.0),
    "oms_delete_refused_states": ((), (1, 6), (0, 1, 6)),
    "oms_running_again": (0, 2),
    "oms_stop_polls": (0, 3),
    "oms_stop_ms": (None, 1),
    "dms_default_limit": (1, 10),
    "gateway_retry_after_sent": (True, False),
    "gateway_unsigned_token_accepted": (True, False),
    "gateway_lock_after": (5, 6),
}
PREFIXES = {"alibaba": ("alibaba_elasticsearch",), "oms": ("huawei_oms",), "dms": ("otc_dms", "huawei_dms")}
GATEWAY = ("huawei_oms", "huawei_dms", "otc_dms")
RUNNING = {"alibaba_elasticsearch": "RUNNING", "huawei_oms": 2, "otc_dms": "EXECUTING", "huawei_dms": "EXECUTING"}
WAITING = {"alibaba_elasticsearch": "READY", "huawei_oms": 1, "otc_dms": "CREATED", "huawei_dms": "CREATED"}


def ready(world: World, folder: str, request: Request) -> None:
    put_task(world, folder, request)


def running(world: World, folder: str, request: Request) -> None:
    put_task(world, folder, request, status=RUNNING[service_of(folder)])


def waiting(world: World, folder: str, request: Request) -> None:
    put_task(world, folder, request, status=WAITING[service_of(folder)])


def absent(world: World, folder: str, request: Request) -> None:
    put_instance(world, folder, request)


def throttled(world: World, folder: str, request: Request) -> None:
    put_task(world, folder, request)
    world.cloud.faults.add("throttle", service=service_of(folder), count=1)


Situation = Callable[[World, str, Request], None]
SITUATIONS: tuple[Situation, ...] = (ready, running, waiting, absent, throttled)


def values_of(name: str, hint: object) -> tuple[Any, ...]:
    return tuple(hint) if isinstance(hint, type) and issubclass(hint, Enum) else NUMBERS[name]


def concerned(name: str) -> list[str]:
    services = PREFIXES.get(name.partition("_")[0], GATEWAY)
    folders = [folder for folder in function_folders() if service_of(folder) in services]
    # The two clouds with DMS share every line but their hosts: one of them stands for both.
    return [folder for folder in folders if service_of(folder) != "huawei_dms"]


def rows() -> Iterator[Any]:
    for name, hint in get_type_hints(Switches).items():
        for value in values_of(name, hint):
            for folder in concerned(name):
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
    world.cloud.switches.update(**{name: value.value if isinstance(value, Enum) else value})
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
