"""Lists against the emulators: several hundred tasks over many pages, and nothing of them on the bus or in logs."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from local.emulators import KINDS
from task_cleanup import reply_size
from tests.support.cases import case
from tests.support.checks import check_shape, only_result, without_tasks
from tests.support.functions import function_folders, in_turn, is_list, service_of
from tests.support.handler_world import HandlerWorld
from tests.support.identities import PROJECT
from tests.support.triggers import TRIGGERS, arrival, http_event, request_of

LISTS = [folder for folder in function_folders() if is_list(folder)]
DATA_TASKS = "alibaba_elasticsearch_list_data_tasks"
OMS_LIST = "huawei_oms_list_tasks"
DMS_LISTS = ["otc_dms_list_background_tasks", "huawei_dms_list_background_tasks"]
PAGED = [OMS_LIST, DMS_LISTS[0]]  # the two clouds with DMS share every line but their hosts
WORDS: dict[str, tuple[Any, ...]] = {"huawei_oms": (1, 2, 3, 4, 5, 6, 7, 0)}  # where more than the usual ones count
STATUSES = {
    "oms": {"waiting", "running", "paused", "failed", "succeeded", "unknown"},
    "dms": {"waiting", "running", "succeeded", "failed", "cancelled"},
    "elasticsearch": {"succeeded", "unknown"},
}

every_list = pytest.mark.parametrize("folder", LISTS)
every_list_and_trigger = pytest.mark.parametrize(("folder", "trigger"), in_turn(LISTS, TRIGGERS))


def put_tasks(world: HandlerWorld, folder: str, number_of_tasks: int) -> set[str]:
    """So many tasks in all states; their ids."""
    service, kind = service_of(folder), KINDS[service_of(folder)]
    place = kind.place_ids(PROJECT, request_of(folder).get("instance_id", ""))
    words, midnight = WORDS.get(service, kind.usual), datetime(2026, 11, 21, tzinfo=UTC).timestamp()
    ids = [kind.new_id(1000 + number) for number in range(1, number_of_tasks + 1)]
    for number, task_id in enumerate(ids):
        fields = kind.record.dated("tmp-task", midnight + number, midnight + number + 60)
        status = words[number % len(words)]
        record = {"service": service, **place, "task_id": task_id, "status": status, "looks_left": 99}
        world.cloud.seed({**record, **fields})
    return set(ids)


def before_call(world: HandlerWorld, number: int, happens: Callable[[], object]) -> None:
    """Something happens just before the call with this number is signed."""
    calls = count(1)

    def look() -> None:
        if next(calls) == number:
            happens()

    world.on_nonce = look


@every_list
def test_several_hundred_tasks_are_all_found(world: HandlerWorld, folder: str) -> None:
    ids = put_tasks(world, folder, 430)

    result = world.function(folder).result(request_of(folder))

    check_shape(result)
    assert (result["outcome"], result["count"], result["complete"]) == ("succeeded", 430, True)
    assert {task["task_id"] for task in result["tasks"]} == ids
    statuses = {task["status"] for task in result["tasks"]}
    assert statuses == STATUSES.get(service_of(folder).partition("_")[2], statuses - {"unknown"})
    assert all(task["deletable"] is (task["why_not"] is None) for task in result["tasks"])
    assert result["attempts"] == (1 if folder == DATA_TASKS else 5)
    assert world.effects == []


@every_list
def test_deletable_is_what_the_provider_deletes(world: HandlerWorld, folder: str) -> None:
    """The emulator is asked for each one: it takes every task that was called deletable, and refuses the others."""
    put_tasks(world, folder, 16)
    world.cloud.switches.update(alibaba_delete_running="refuse")
    listed = world.function(folder).result(request_of(folder))["tasks"]
    delete = next(
        name for name in function_folders() if "_delete_" in name and service_of(name) == service_of(folder)
    )
    function = world.function(delete)
    for task in listed:
        request = {**request_of(delete, {"client_token": None}), "task_id": task["task_id"]}
        deleted = function.result(request)["outcome"] == "succeeded"
        # What no page documents may turn out to be deletable; it is never called so.
        assert deleted is task["deletable"] or (deleted and task["status"] == "unknown")


@every_list
def test_a_limit_cuts_and_says_so(world: HandlerWorld, folder: str) -> None:
    put_tasks(world, folder, 300)
    function = world.function(folder)
    for limit, complete in {1: False, 100: False, 250: False, 300: True, 10_000: True}.items():
        result = function.result({**request_of(folder), "limit": limit})
        assert (result["count"], result["complete"]) == (min(limit, 300), complete)


@every_list
def test_a_thousand_is_the_limit_unless_asked(world: HandlerWorld, folder: str) -> None:
    put_tasks(world, folder, 1001)

    result = world.function(folder).result(request_of(folder))

    assert (result["count"], len(result["tasks"]), result["complete"]) == (1000, 1000, False)


@pytest.mark.parametrize("where", ["query", "body"])
@every_list
def test_the_limit_may_stand_in_the_query(world: HandlerWorld, folder: str, where: str) -> None:
    """A GET has its fields in the query, where digits are text."""
    put_tasks(world, folder, 12)
    event = http_event(folder, {"limit": 7} if where == "body" else None)
    if where == "query":
        event["rawQueryString"], event["queryStringParameters"] = "limit=7", {"limit": "7"}
    reply = world.function(folder).invoke(event).reply

    body = json.loads(reply["body"])

    assert (reply["statusCode"], body["count"], len(body["tasks"]), body["complete"]) == (200, 7, 7, False)


@every_list
def test_other_texts_in_the_query_are_no_limit(world: HandlerWorld, folder: str) -> None:
    function = world.function(folder)
    for value in ("0", "10001", "7.0", "-7", "7x", "", "9" * 400, "\u0667", "7,7"):
        event = http_event(folder)
        event["rawQueryString"], event["queryStringParameters"] = "", {"limit": value}
        with case(value):
            assert function.invoke(event).reply["statusCode"] == 400
            assert world.logged_results()[-1]["error"]["category"] == "invalid_request"


@every_list_and_trigger
def test_the_bus_the_logs_and_the_dead_letters_carry_counts_only(
    world: HandlerWorld, folder: str, trigger: str
) -> None:
    ids = put_tasks(world, folder, 130)

    outcome = world.function(folder).invoke(arrival(folder, trigger).event)

    logged = only_result(world)
    assert (logged["count"], logged["complete"]) == (130, True)
    published = world.published()
    assert published == ([logged] if trigger not in {"direct", "http"} else [])
    said = world.output + json.dumps([*world.aws.events, *world.aws.messages])
    assert not any(f'"{task_id}"' in said for task_id in ids)
    if trigger in {"direct", "eventbridge"}:
        assert without_tasks(outcome.reply) == logged
        assert len(outcome.reply["tasks"]) == 130


@pytest.mark.parametrize("folder", PAGED)
def test_a_page_that_fails_fails_the_whole_and_stands_in_the_dead_letters(world: HandlerWorld, folder: str) -> None:
    """A failed message goes with its result: no half list in it."""
    put_tasks(world, folder, 230)
    before_call(
        world,
        2,
        lambda: world.cloud.faults.add("error", service=service_of(folder), status=403, code="APIGW.0304"),
    )

    outcome = world.function(folder).invoke(arrival(folder, "sqs_plain").event)

    assert outcome.reply == {"batchItemFailures": []}
    (message,) = world.aws.messages
    moved = json.loads(message["MessageAttributes"]["result"]["StringValue"])
    assert (moved["outcome"], moved["error"]["code"]) == ("failed", "APIGW.0304")
    assert not {"tasks", "count", "complete"} & set(moved)
    assert moved == only_result(world)


@pytest.mark.parametrize("folder", PAGED)
def test_a_throttled_page_is_tried_again(world: HandlerWorld, folder: str) -> None:
    ids = put_tasks(world, folder, 230)
    world.cloud.faults.add("throttle", service=service_of(folder), count=2)

    result = world.function(folder).result(request_of(folder))

    assert ({task["task_id"] for task in result["tasks"]}, result["complete"]) == (ids, True)
    assert result["attempts"] == 5


@pytest.mark.parametrize("folder", PAGED)
def test_time_that_runs_out_between_pages_leaves_an_incomplete_list(own_world: HandlerWorld, folder: str) -> None:
    put_tasks(own_world, folder, 430)
    before_call(own_world, 3, lambda: own_world.pass_time(12.0))

    result = own_world.function(folder).result(request_of(folder), timeout=11)

    check_shape(result)
    assert (result["outcome"], result["count"], result["complete"]) == ("succeeded", 199, False)


@pytest.mark.parametrize("past_end", ["empty", "DMS.00400062"])
@pytest.mark.parametrize("folder", DMS_LISTS)
def test_a_list_from_which_tasks_go_while_it_is_read_is_read_again(
    world: HandlerWorld, folder: str, past_end: str
) -> None:
    """Past the end there is nothing, by an empty page or by an error; the tasks that shifted were not seen."""
    put_tasks(world, folder, 150)
    world.cloud.switches.update(dms_start_past_end=past_end)

    def half_of_them_go() -> None:
        instance = world.cloud.services[service_of(folder)].store.places[PROJECT, request_of(folder)["instance_id"]]
        for task_id in list(instance.tasks)[:75]:
            instance.remove(task_id)

    before_call(world, 2, half_of_them_go)
    result = world.function(folder).result(request_of(folder))
    check_shape(result)
    assert (result["outcome"], result["count"], result["complete"]) == ("succeeded", 75, True)
    assert result["attempts"] == 3


def listed_now(world: HandlerWorld, folder: str) -> set[str]:
    """The ids that the provider has now."""
    there = world.cloud.tasks()[service_of(folder)]
    return {task["task_id"] for place in there for task in place["tasks"]}


@pytest.mark.parametrize("folder", PAGED)
def test_a_list_that_moved_between_two_pages_is_read_again(world: HandlerWorld, folder: str) -> None:
    """One goes from the front and one comes at the end: the count agrees, and one would never have been seen."""
    put_tasks(world, folder, 250)
    world.cloud.faults.add("list_moves", service=service_of(folder), count=1)

    result = world.function(folder).result(request_of(folder))

    check_shape(result)
    assert (result["count"], result["complete"], result["attempts"]) == (250, True, 2 + 3)
    assert {task["task_id"] for task in result["tasks"]} == listed_now(world, folder)


@pytest.mark.parametrize("folder", PAGED)
def test_a_list_that_always_moves_is_never_complete(world: HandlerWorld, folder: str) -> None:
    put_tasks(world, folder, 250)
    world.cloud.faults.add("list_moves", service=service_of(folder))

    result = world.function(folder).result(request_of(folder))

    check_shape(result)
    assert (result["outcome"], result["complete"], result["attempts"]) == ("succeeded", False, 2 + 2 + 3)
    assert result["note"].startswith("tasks came or went")


@pytest.mark.parametrize("past_end", ["empty", "DMS.00400062"])
@pytest.mark.parametrize("number_of_tasks", [99, 100, 199, 250])
@pytest.mark.parametrize("folder", PAGED)
def test_a_count_of_the_page_alone_hides_no_task(
    world: HandlerWorld, folder: str, number_of_tasks: int, past_end: str
) -> None:
    ids = put_tasks(world, folder, number_of_tasks)
    world.cloud.switches.update(oms_count="page", dms_count="page", dms_start_past_end=past_end)

    result = world.function(folder).result(request_of(folder))

    assert ({task["task_id"] for task in result["tasks"]}, result["complete"]) == (ids, True)
    assert result["attempts"] == -(-number_of_tasks // 99)


@every_list_and_trigger
def test_a_reply_that_lambda_would_drop_is_cut_and_says_so(
    world: HandlerWorld, folder: str, trigger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log says what the caller got. A bus and a queue get counts, of all that was found."""
    put_tasks(world, folder, 130)
    monkeypatch.setattr(reply_size, "MAX_BYTES", 30_000)

    outcome = world.function(folder).invoke(arrival(folder, trigger).event)

    logged = only_result(world)
    if trigger == "http":
        assert outcome.reply["statusCode"] == 200
    reply = json.loads(outcome.reply["body"]) if trigger == "http" else outcome.reply
    if "tasks" in reply:
        check_shape(reply)
        assert 0 < len(reply["tasks"]) == reply["count"] < 130
        assert (reply["complete"], reply["note"]) == (False, reply_size.NOTE)
        assert len(json.dumps(outcome.reply, ensure_ascii=False)) <= 30_000
    assert ("tasks" in reply) is (trigger in {"direct", "http", "eventbridge"})
    if trigger in {"direct", "http"}:
        assert logged == without_tasks(reply)
    else:
        assert (logged["count"], logged["complete"]) == (130, True)
        assert world.published() == [logged]


@pytest.mark.parametrize("folder", PAGED)
def test_a_rotated_key_costs_one_bad_signature_however_many_pages(world: HandlerWorld, folder: str) -> None:
    """Six of them lock a Huawei key for everybody."""
    put_tasks(world, folder, 930)
    function = world.function(folder)
    provider = service_of(folder).partition("_")[0]
    assert function.result({**request_of(folder), "limit": 1})["outcome"] == "succeeded"
    world.put_secret(provider, world.rotate_key(provider))

    result = function.result(request_of(folder))

    assert (result["outcome"], result["count"], result["complete"]) == ("succeeded", 930, True)
    assert result["attempts"] == 11


def test_alibabas_tasks_keep_names_and_addresses_of_both_sides(world: HandlerWorld) -> None:
    world.cloud.alibaba_elasticsearch.add_task(request_of(DATA_TASKS)["instance_id"])
    secret = {"instance_id": request_of(DATA_TASKS)["instance_id"], "service": "alibaba_elasticsearch"}
    world.cloud.seed({**secret, "endpoint": "http://elastic:testSecretFake@192.0.2.10:9200"})
    for task in world.function(DATA_TASKS).result(request_of(DATA_TASKS))["tasks"]:
        sides = task["provider_detail"]
        assert sides["sinkCluster"] == {"dataSourceType": "elasticsearch", "index": "sink-index", "type": "_doc"}
        assert sides["sourceCluster"]["vpcInstancePort"] == "9200"
        assert sides["sourceCluster"]["endpoint"] == "http://192.0.2.10:9200"
        assert (task["name"], task["age_basis"]) == ("source-index", "created")
        assert task["created_at"] == "2026-11-21T08:30:00.000Z"
