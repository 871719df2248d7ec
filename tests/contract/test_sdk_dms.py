"""Huawei's own Kafka SDK, unchanged, against the emulated DMS of Open Telekom Cloud and of Huawei Cloud."""

from typing import Any

import pytest

from local.emulators import Emulators
from local.emulators.services.dms import BackgroundTask
from local.emulators.store import Store
from tests.support.identities import PROJECT
from tests.support.sdk import HUAWEI_KEY, OTC_KEY, TOKEN, Build

DmsStore = Store[BackgroundTask]

pytestmark = pytest.mark.filterwarnings(
    "ignore:datetime.datetime.utcnow:DeprecationWarning",  # the SDK signs with it
)

INSTANCE = "11111111-2222-3333-4444-555555555555"
OTHER_ENGINES = ("11111111-2222-3333-4444-666666666666", "11111111-2222-3333-4444-777777777777")
TASK = "fa000000000000000000000000000001"


@pytest.fixture
def store(cloud: Emulators, dms_service: str) -> DmsStore:
    """The data of the service under test, with one instance."""
    store: DmsStore = cloud.services[dms_service].store
    store.add_place(PROJECT, INSTANCE)
    return store


def list_tasks(client: Any, instance_id: str = INSTANCE, **query: Any) -> Any:
    from huaweicloudsdkkafka.v2 import ListBackgroundTasksRequest

    return client.list_background_tasks(ListBackgroundTasksRequest(instance_id, **query))


def show(client: Any, task_id: str = TASK) -> Any:
    from huaweicloudsdkkafka.v2 import ShowBackgroundTaskRequest

    return client.show_background_task(ShowBackgroundTaskRequest(INSTANCE, task_id))


def delete(client: Any, task_id: str = TASK) -> Any:
    from huaweicloudsdkkafka.v2 import DeleteBackgroundTaskRequest

    return client.delete_background_task(DeleteBackgroundTaskRequest(INSTANCE, task_id))


def refusal(function: Any, *arguments: Any, **more: Any) -> tuple[int, str]:
    """Status and code of the SDK's own exception."""
    from huaweicloudsdkcore.exceptions.exceptions import ServiceResponseException

    with pytest.raises(ServiceResponseException) as caught:
        function(*arguments, **more)
    return caught.value.status_code, caught.value.error_code


def test_list_show_delete(cloud: Emulators, store: DmsStore, dms: Build, dms_service: str) -> None:
    store.add_task(PROJECT, INSTANCE, TASK, name="bindInstancePublicIp")
    client = dms()
    listed = list_tasks(client)
    assert (listed.task_count, [task.id for task in listed.tasks]) == ("1", [TASK])
    shown = show(client)
    assert (shown.task_count, shown.tasks[0].name) == ("1", "bindInstancePublicIp")

    delete(client)

    assert cloud.journal[-1].status == 204
    assert list_tasks(client).task_count == "0"
    assert [entry.service for entry in cloud.journal] == [dms_service] * 4
    assert cloud.journal.effects() == [("deleted", TASK)]


def test_the_two_clouds_have_separate_data(cloud: Emulators, store: DmsStore, dms: Build) -> None:
    store.add_task(PROJECT, INSTANCE, TASK)

    others = [other for other in (cloud.otc_dms, cloud.huawei_dms) if other is not store]

    assert [other.snapshot() for other in others] == [[]]
    assert list_tasks(dms()).task_count == "1"


def test_list_by_pages(store: DmsStore, dms: Build) -> None:
    ids = [store.add_task(PROJECT, INSTANCE) for _ in range(7)]
    client = dms()

    pages = [list_tasks(client, start=start, limit=3) for start in (1, 4, 7)]

    assert [len(page.tasks) for page in pages] == [3, 3, 1]
    assert {page.task_count for page in pages} == {"7"}
    assert [task.id for page in pages for task in page.tasks] == ids[::-1]


def list_instances(client: Any, engine: str | None = "kafka", **query: str) -> Any:
    from huaweicloudsdkkafka.v2 import ListInstancesRequest

    return client.list_instances(ListInstancesRequest(engine, **query))


def test_list_instances_by_pages_and_engines(store: DmsStore, dms: Build) -> None:
    ids = [INSTANCE, *(f"11111111-2222-3333-4444-{number:012d}" for number in range(11))]
    for instance in ids[1:]:
        store.add_place(PROJECT, instance)
    store.add_place("f" * 32, INSTANCE)  # of another project
    store.add_place(PROJECT, OTHER_ENGINES[0], rabbitmq=True)
    store.add_place(PROJECT, OTHER_ENGINES[1], rocketmq=True, creating=True)
    client = dms()
    assert [each.instance_id for each in list_instances(client).instances] == ids[:10]  # by default

    pages = [list_instances(client, offset=offset, limit="5") for offset in ("0", "5", "10", "15")]

    assert [each.instance_id for page in pages for each in page.instances] == ids
    assert {page.instance_num for page in pages} == {12}
    (rabbitmq,), (rocketmq,) = (list_instances(client, engine).instances for engine in ("rabbitmq", "reliability"))
    assert (rabbitmq.instance_id, rabbitmq.engine, rabbitmq.status) == (OTHER_ENGINES[0], "rabbitmq", "RUNNING")
    assert (rocketmq.instance_id, rocketmq.engine, rocketmq.status) == (
        OTHER_ENGINES[1],
        "reliability",
        "CREATING",
    )


@pytest.mark.parametrize("query", [{"engine": None}, {"limit": "51"}, {"limit": "0"}, {"offset": "x"}])
def test_list_instances_parameters_refused(store: DmsStore, dms: Build, query: dict[str, Any]) -> None:
    assert store.places
    assert refusal(list_instances, dms(), **query) == (400, "DMS.00400062")


def test_switches_of_the_list_of_instances(cloud: Emulators, store: DmsStore, dms: Build) -> None:
    store.add_place(PROJECT, OTHER_ENGINES[0])
    assert list_instances(dms(), "amqp").instances == []

    cloud.switches.update(dms_other_engine="DMS.00400062", dms_instance_count="page")

    assert refusal(list_instances, dms(), "amqp") == (400, "DMS.00400062")
    assert list_instances(dms(), limit="1").instance_num == 1


def test_list_between_two_times(store: DmsStore, dms: Build) -> None:
    for day in (1, 2, 3):
        store.add_task(PROJECT, INSTANCE, f"{day:032x}", created_at=f"2026-11-0{day}T12:00:00.000Z")

    listed = list_tasks(dms(), begin_time="20261102000000", end_time="20261102235959")

    assert [task.id for task in listed.tasks] == [f"{2:032x}"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"start": -1}, "DMS.00400062"),
        ({"limit": 0}, "DMS.00400062"),
        ({"limit": 101}, "DMS.10240042"),
        ({"begin_time": "yesterday"}, "DMS.00400142"),
    ],
)
def test_list_parameters_refused(store: DmsStore, dms: Build, query: dict[str, Any], code: str) -> None:
    assert refusal(list_tasks, dms(), **query) == (400, code)


def test_switch_start_past_the_end(cloud: Emulators, store: DmsStore, dms: Build) -> None:
    store.add_task(PROJECT, INSTANCE)
    assert list_tasks(dms(), start=2).tasks == []

    cloud.switches.update(dms_start_past_end="DMS.00400062")

    assert refusal(list_tasks, dms(), start=2) == (400, "DMS.00400062")
    assert len(list_tasks(dms(), start=1).tasks) == 1


def test_switch_start_zero(cloud: Emulators, store: DmsStore, dms: Build) -> None:
    store.add_task(PROJECT, INSTANCE)
    assert refusal(list_tasks, dms(), start=0) == (400, "DMS.00400062")

    cloud.switches.update(dms_start_zero="first")

    assert len(list_tasks(dms(), start=0).tasks) == 1


@pytest.mark.parametrize("status", ["EXECUTING", "CREATED", "SUCCESS", "FAILED", "CANCELLED"])
@pytest.mark.parametrize("switch", ["DMS.00400017", "DMS.00400026", "allow"])
def test_switch_delete_running(cloud: Emulators, store: DmsStore, dms: Build, status: str, switch: str) -> None:
    cloud.switches.update(dms_delete_running=switch)
    store.add_task(PROJECT, INSTANCE, TASK, status=status)
    if status in {"EXECUTING", "CREATED"} and switch != "allow":
        assert refusal(delete, dms()) == (400, switch)
        assert show(dms()).tasks[0].status == status
    else:
        delete(dms())
        assert cloud.journal.effects() == [("deleted", TASK)]


@pytest.mark.parametrize(
    ("switch", "expected"),
    [("DMS.00400070", (400, "DMS.00400070")), ("404", (404, "DMS.00404099")), ("204", None)],
)
def test_switch_delete_unknown(
    cloud: Emulators, store: DmsStore, dms: Build, switch: str, expected: tuple[int, str] | None
) -> None:
    cloud.switches.update(dms_delete_unknown=switch)

    if expected:
        assert refusal(delete, dms()) == expected
    else:
        delete(dms())

    assert cloud.journal.effects() == []


@pytest.mark.parametrize(
    ("switch", "expected"),
    [
        ("DMS.00400070", (400, "DMS.00400070")),
        ("404", (404, "DMS.00404099")),
        ("empty", []),
        ("deleted_record", ["DELETED"]),
    ],
)
def test_switch_show_after_delete(cloud: Emulators, store: DmsStore, dms: Build, switch: str, expected: Any) -> None:
    cloud.switches.update(dms_show_unknown=switch)
    store.add_task(PROJECT, INSTANCE, TASK)
    client = dms()
    delete(client)
    if isinstance(expected, tuple):
        assert refusal(show, client) == expected
    else:
        assert [task.status for task in show(client).tasks] == expected


@pytest.mark.parametrize("function", [show, delete])
def test_a_task_id_of_bad_form(store: DmsStore, dms: Build, function: Any) -> None:
    assert refusal(function, dms(), "no-task") == (400, "DMS.00400070")


@pytest.mark.parametrize(
    ("instance_id", "expected"),
    [
        ("not-a-uuid", (400, "DMS.00400061")),
        ("99999999-2222-3333-4444-555555555555", (404, "DMS.00404022")),
    ],
)
def test_a_missing_instance(dms: Build, instance_id: str, expected: tuple[int, str]) -> None:
    assert refusal(list_tasks, dms(), instance_id) == expected


def test_a_key_of_another_project(dms: Build, store: DmsStore) -> None:
    assert refusal(list_tasks, dms(project="f" * 32)) == (401, "DMS.10240104")


def test_no_permission(cloud: Emulators, dms: Build, dms_service: str) -> None:
    provider, key = ("otc", OTC_KEY) if dms_service == "otc_dms" else ("huawei", HUAWEI_KEY)

    cloud.keys.change(provider, key[0], denied=["ListBackgroundTasks"])

    assert refusal(list_tasks, dms()) == (403, "DMS.00403003")


def test_a_bad_signature(dms: Build) -> None:
    assert refusal(list_tasks, dms(secret="testSecretFakeWrong")) == (401, "APIGW.0301")


def test_a_temporary_key(cloud: Emulators, store: DmsStore, dms: Build, dms_service: str) -> None:
    provider = "otc" if dms_service == "otc_dms" else "huawei"

    cloud.add_key(provider, "HSTAKFAKE0003", "testSecretFake0003", security_token=TOKEN)

    assert list_tasks(dms("HSTAKFAKE0003", "testSecretFake0003", TOKEN)).task_count == "0"


@pytest.mark.parametrize(
    ("dialect", "switch", "expected"),
    [
        (None, "DMS.10240407", (404, "DMS.10240407")),
        (None, "APIGW.0308", (429, "429")),  # the SDK never reads the body of a 429
        ("gateway", "DMS.10240407", (429, "429")),
        ("service", "APIGW.0308", (404, "DMS.10240407")),
    ],
)
def test_throttled(
    *,
    cloud: Emulators,
    store: DmsStore,
    dms: Build,
    dialect: str | None,
    switch: str,
    expected: tuple[int, str],
) -> None:
    store.add_task(PROJECT, INSTANCE, TASK)
    cloud.switches.update(dms_throttle=switch)
    cloud.faults.add("throttle", count=1, dialect=dialect)
    assert refusal(delete, dms()) == expected
    assert cloud.journal[-1].code == ("DMS.10240407" if expected[0] == 404 else "APIGW.0308")
    assert cloud.journal.effects() == []

    delete(dms())

    assert cloud.journal.effects() == [("deleted", TASK)]


@pytest.mark.parametrize("prefix", ["APIGW", "APIG"])
def test_switch_prefix_of_the_otc_gateway(cloud: Emulators, dms: Build, dms_service: str, prefix: str) -> None:
    cloud.switches.update(otc_gateway_prefix=prefix)

    expected = prefix if dms_service == "otc_dms" else "APIGW"

    assert refusal(list_tasks, dms("AKFAKENOBODY"))[1] == f"{expected}.0301"
