"""Huawei's own OMS SDK, unchanged, against the emulated OMS."""

from typing import Any

import pytest

from local.emulators import Emulators
from tests.support.identities import PROJECT
from tests.support.sdk import HUAWEI_KEY, TOKEN, Build

pytestmark = pytest.mark.filterwarnings(
    "ignore:datetime.datetime.utcnow:DeprecationWarning",  # the SDK signs with it
)

TASK = 191297407830872


def call(client: Any, operation: str, task_id: int | str = TASK) -> Any:
    """DeleteTask, ShowTask or StopTask by name."""
    from huaweicloudsdkoms import v2

    names = {"delete_task": "DeleteTaskRequest", "show_task": "ShowTaskRequest", "stop_task": "StopTaskRequest"}
    return getattr(client, operation)(getattr(v2, names[operation])(str(task_id)))


def list_tasks(client: Any, **query: Any) -> Any:
    from huaweicloudsdkoms.v2 import ListTasksRequest

    return client.list_tasks(ListTasksRequest(**query))


def refusal(function: Any, *arguments: Any, **more: Any) -> tuple[int, str]:
    """Status and code of the SDK's own exception."""
    error = exception(function, *arguments, **more)
    return error.status_code, error.error_code


def exception(function: Any, *arguments: Any, **more: Any) -> Any:
    from huaweicloudsdkcore.exceptions.exceptions import ServiceResponseException

    with pytest.raises(ServiceResponseException) as caught:
        function(*arguments, **more)
    return caught.value


def test_show_stop_poll_delete(cloud: Emulators, oms: Build) -> None:
    cloud.huawei_oms.add_task(PROJECT, TASK, status=2)
    cloud.switches.update(oms_stop_polls=2)
    client = oms()
    shown = call(client, "show_task")
    assert (shown.id, shown.status) == (TASK, 2)
    assert refusal(call, client, "delete_task") == (400, "OMS.0063")
    call(client, "stop_task")
    assert refusal(call, client, "delete_task") == (400, "OMS.0063")
    assert [call(client, "show_task").status for _ in range(3)] == [7, 7, 3]

    call(client, "delete_task")

    assert refusal(call, client, "show_task") == (400, "OMS.1009")
    assert cloud.journal.effects() == [("stopped", str(TASK)), ("deleted", str(TASK))]


def test_stop_takes_time(cloud: Emulators, oms: Build) -> None:
    cloud.huawei_oms.add_task(PROJECT, TASK, status=2)
    cloud.switches.update(oms_stop_ms=600000)
    client = oms()
    call(client, "stop_task")
    assert [call(client, "show_task").status for _ in range(3)] == [7, 7, 7]
    cloud.clock.advance(601)

    call(client, "delete_task")

    assert cloud.tasks()["huawei_oms"][0]["tasks"] == []


def test_list_by_pages(cloud: Emulators, oms: Build) -> None:
    ids = [int(cloud.huawei_oms.add_task(PROJECT)) for _ in range(25)]
    cloud.huawei_oms.add_task("f" * 32)
    client = oms()

    pages = [list_tasks(client, offset=offset, limit=10) for offset in (0, 10, 20, 30)]

    assert [len(page.tasks) for page in pages] == [10, 10, 5, 0]
    assert {page.count for page in pages} == {25}
    assert [task.id for page in pages for task in page.tasks] == ids
    assert len(list_tasks(client).tasks) == 10


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"status": 2}, {1}),
        ({"group_id": "group-a"}, {2}),
        ({"task_name": "night"}, {1, 2}),
        ({"task_name": "night", "status": 3}, {2}),
        ({"task_name": "no such"}, set()),
    ],
)
def test_list_filters(cloud: Emulators, oms: Build, query: dict[str, Any], found: set[int]) -> None:
    cloud.huawei_oms.add_task(PROJECT, 1, status=2, name="nightly one")
    cloud.huawei_oms.add_task(PROJECT, 2, status=3, name="nightly two", group_id="group-a")
    cloud.huawei_oms.add_task(PROJECT, 3, status=5, name="weekly")

    listed = list_tasks(oms(), **query)

    assert {task.id for task in listed.tasks} == found
    assert listed.count == len(found)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"limit": 0}, "OMS.0064"),
        ({"limit": 101}, "OMS.0064"),
        ({"offset": -1}, "OMS.0064"),
        ({"offset": 2147483648}, "OMS.0064"),
        ({"status": 6}, "OMS.0052"),
        ({"group_id": ""}, "OMS.0064"),
        ({"task_name": "x" * 256}, "OMS.0064"),
    ],
)
def test_list_parameters_refused(oms: Build, query: dict[str, Any], code: str) -> None:
    assert refusal(list_tasks, oms(), **query) == (400, code)


@pytest.mark.parametrize("operation", ["show_task", "stop_task", "delete_task"])
def test_an_unknown_task(oms: Build, operation: str) -> None:
    assert refusal(call, oms(), operation) == (400, "OMS.1009")
    assert refusal(call, oms(), operation, "not-a-number") == (400, "OMS.0054")


@pytest.mark.parametrize(
    ("switch", "expected"),
    [("OMS.1009", (400, "OMS.1009")), ("404", (404, "OMS.1009")), ("OMS.0054", (400, "OMS.0054"))],
)
def test_switch_delete_unknown(cloud: Emulators, oms: Build, switch: str, expected: tuple[int, str]) -> None:
    cloud.switches.update(oms_delete_unknown=switch)

    assert refusal(call, oms(), "delete_task") == expected
    assert refusal(call, oms(), "show_task") == (400, "OMS.1009")


@pytest.mark.parametrize("status", [0, 1, 3, 4, 5, 6])
@pytest.mark.parametrize("refused", [True, False])
def test_switch_delete_states(cloud: Emulators, oms: Build, status: int, refused: bool) -> None:
    cloud.switches.update(oms_delete_refused_states=[status] if refused else [])
    cloud.huawei_oms.add_task(PROJECT, TASK, status=status)

    if refused:
        assert refusal(call, oms(), "delete_task") == (400, "OMS.0063")
    else:
        call(oms(), "delete_task")

    assert len(cloud.tasks()["huawei_oms"][0]["tasks"]) == refused


@pytest.mark.parametrize("status", [2, 7])
def test_a_running_or_pausing_task_is_never_deleted(cloud: Emulators, oms: Build, status: int) -> None:
    cloud.switches.update(oms_delete_refused_states=[])
    cloud.huawei_oms.add_task(PROJECT, TASK, status=status)

    client = oms()

    assert [refusal(call, client, "delete_task") for _ in range(3)] == [(400, "OMS.0063")] * 3


def test_switch_running_again(cloud: Emulators, oms: Build) -> None:
    cloud.switches.update(oms_running_again=2)
    cloud.huawei_oms.add_task(PROJECT, TASK, status=3)
    client = oms()
    assert [refusal(call, client, "delete_task") for _ in range(2)] == [(400, "OMS.0063")] * 2
    call(client, "delete_task")


@pytest.mark.parametrize(
    ("status", "switch", "code"),
    [
        (5, "OMS.0070", "OMS.0070"),
        (5, "OMS.0066", "OMS.0066"),
        *[(status, "OMS.0070", "OMS.0066") for status in (0, 1, 3, 4, 6)],
    ],
)
def test_stop_of_a_task_that_does_not_run(cloud: Emulators, oms: Build, status: int, switch: str, code: str) -> None:
    cloud.switches.update(oms_stop_finished=switch)

    cloud.huawei_oms.add_task(PROJECT, TASK, status=status)

    assert refusal(call, oms(), "stop_task") == (400, code)


def test_a_temporary_key(cloud: Emulators, oms: Build) -> None:
    cloud.add_key("huawei", "HSTAKFAKE0002", "testSecretFake0002", security_token=TOKEN)

    assert list_tasks(oms("HSTAKFAKE0002", "testSecretFake0002", TOKEN)).count == 0


@pytest.mark.parametrize(
    ("credentials", "key", "expected"),
    [
        (("AKFAKENOBODY", "testSecretFake"), {}, (401, "APIGW.0301")),
        ((HUAWEI_KEY[0], "testSecretFakeWrong"), {}, (401, "APIGW.0301")),
        ((*HUAWEI_KEY, TOKEN), {}, (401, "APIGW.0301")),
        (HUAWEI_KEY, {"security_token": TOKEN}, (401, "APIGW.0301")),
        ((*HUAWEI_KEY, TOKEN), {"security_token": TOKEN, "token_expired": True}, (401, "APIGW.0307")),
        (HUAWEI_KEY, {"disabled": True}, (401, "APIGW.0301")),
        (HUAWEI_KEY, {"denied": ["ListTasks"]}, (403, "OMS.0206")),
        (HUAWEI_KEY, {"project_id": "f" * 32}, (403, "APIGW.0310")),
    ],
)
def test_credentials_refused(
    cloud: Emulators, oms: Build, credentials: tuple[str, ...], key: dict[str, Any], expected: tuple[int, str]
) -> None:
    cloud.keys.change("huawei", HUAWEI_KEY[0], **key)

    assert refusal(list_tasks, oms(*credentials)) == expected


def test_switch_expired_token(cloud: Emulators, oms: Build) -> None:
    cloud.keys.change("huawei", HUAWEI_KEY[0], security_token=TOKEN, token_expired=True)

    cloud.switches.update(gateway_expired_token="0301")

    assert refusal(list_tasks, oms(*HUAWEI_KEY, TOKEN)) == (401, "APIGW.0301")


def test_a_bad_signature_is_answered_with_the_servers_canonical_request(cloud: Emulators, oms: Build) -> None:
    cloud.keys.change("huawei", HUAWEI_KEY[0], security_token=TOKEN)

    error = exception(call, oms(HUAWEI_KEY[0], "testSecretFakeWrong", TOKEN), "delete_task")

    assert f"DELETE|/v2/{PROJECT}/tasks/{TASK}/||content-type:application/json|host:127.0.0.1:" in error.error_msg
    assert f"x-security-token:{TOKEN}|" in error.error_msg
    assert error.request_id == cloud.journal[-1].request_id
    assert len(error.request_id) == 32


def test_five_bad_signatures_lock_the_key(cloud: Emulators, oms: Build) -> None:
    good, bad = oms(), oms(secret="testSecretFakeWrong")
    for _ in range(4):
        assert refusal(list_tasks, bad) == (401, "APIGW.0301")
    assert list_tasks(good).count == 0
    for _ in range(5):
        assert "verify aksk signature fail" in exception(list_tasks, bad).error_msg
    assert "locked" in exception(list_tasks, good).error_msg
    cloud.clock.advance(299)
    assert "locked" in exception(list_tasks, good).error_msg

    cloud.clock.advance(2)

    assert list_tasks(good).count == 0


@pytest.mark.parametrize("off", [-16, 16])
def test_a_wrong_clock(cloud: Emulators, oms: Build, off: int) -> None:
    cloud.clock.shift(off * 60)
    error = exception(list_tasks, oms())
    assert (error.status_code, error.error_code) == (401, "APIGW.0301")
    assert "server time" in error.error_msg

    cloud.clock.reset()

    assert list_tasks(oms()).count == 0


@pytest.mark.parametrize("sent", [True, False])
def test_throttled(cloud: Emulators, oms: Build, sent: bool) -> None:
    cloud.switches.update(gateway_retry_after_sent=sent)
    cloud.faults.add("throttle", count=1, service="huawei_oms")

    client = oms()

    assert refusal(list_tasks, client) == (429, "429")  # the SDK never reads the body of a 429
    assert cloud.journal[0].code == "APIGW.0308"
    assert list_tasks(client).count == 0
    assert cloud.journal[0].faults == ("throttle",)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"kind": "away"}, (503, "APIGW.0613")),
        ({"kind": "error", "status": 400, "code": "OMS.1001"}, (400, "OMS.1001")),
    ],
)
def test_errors_on_request(cloud: Emulators, oms: Build, fault: dict[str, Any], expected: tuple[int, str]) -> None:
    cloud.faults.add(**fault)

    assert refusal(list_tasks, oms()) == expected


@pytest.mark.parametrize("service", ["otc_dms", "huawei_dms"])
def test_a_call_to_the_port_of_another_service(cloud: Emulators, oms: Build, service: str) -> None:
    assert refusal(list_tasks, oms(service=service)) == (404, "APIGW.0101")
