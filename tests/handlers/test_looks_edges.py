"""The edges of looks: what is nearly the same task, stops, and no time left."""

import json
from typing import Any

import pytest

from task_cleanup.transport import MAX_REPLY_BYTES
from tests.support.aws import Trouble
from tests.support.functions import action_of, provider_of, sample_event, service_of
from tests.support.handler_world import MAX_RECEIVES, HandlerWorld
from tests.support.looks import ALIBABA, DELETES, DMS, LOOKED_AT, OMS, STOP, looks, seen, start
from tests.support.scenes import OMS_RUNNING, put_task
from tests.support.triggers import arrival, batch, crashed_invocation, http_event, request_of, with_body

OMS_PAUSED, OMS_FAILED, OMS_SUCCEEDED, OMS_PAUSING = 3, 4, 5, 7


# -- what is the same ------------------------------------------------


@pytest.mark.parametrize(
    "created",
    ["2026-11-21T09:30:00+01:00", "2026-11-21T08:30:00.000999Z", "2026-11-21t08:30:00z", "2026-11-21T08:30:00Z"],
)
def test_times_are_compared_as_moments(world: HandlerWorld, created: str) -> None:
    request = start(world, DMS)
    request["expected"]["created_at"] = created

    assert world.function(DMS).result(request)["outcome"] == "succeeded"


def test_a_record_finer_than_a_list_shows_is_the_same(world: HandlerWorld) -> None:
    request = start(world, DMS, created_at="2026-11-21T08:30:00.123456Z")

    assert request["expected"]["created_at"] == "2026-11-21T08:30:00.123Z"
    assert world.function(DMS).result(request)["outcome"] == "succeeded"


def test_the_failure_of_a_task_is_no_failed_look(world: HandlerWorld) -> None:
    """Its record has the code for which it failed, in a shape that errors have too."""
    request = start(world, OMS, status=OMS_FAILED)

    assert world.function(OMS).result(request)["outcome"] == "succeeded"


@pytest.mark.parametrize("name", ["", " ", "\u202e\u0000x", "\ud83d\ude80", "Ünïcode ❤", 'quo"te\\', "x" * 5000])
def test_odd_names_are_the_same(world: HandlerWorld, name: str) -> None:
    request = start(world, DMS, name=name)

    assert world.function(DMS).result(request)["outcome"] == "succeeded"


@pytest.mark.parametrize("trigger", ["direct", "sqs_eventbridge", "http"])
@pytest.mark.parametrize("name", ["\ud800", "x" * 100_000, "\u202e\u0000"])
def test_odd_names_that_differ_can_be_told(world: HandlerWorld, trigger: str, name: str) -> None:
    put_task(world, DMS, request_of(DMS), name="y" * 100_000)

    outcome = world.function(DMS).invoke(arrival(DMS, trigger, {"expected": {"name": name}}).event)

    *_, result = world.logged_results()
    assert outcome.error is None
    assert result["error"]["code"] == "TaskChanged"
    assert len(json.dumps(result)) < 8_000
    assert [event["error"]["code"] for event in world.published()] == ["TaskChanged"] * (trigger != "http")


def test_an_end_that_moves_is_no_identity(world: HandlerWorld) -> None:
    world.cloud.switches.update(dms_updated_at_moves=True)
    request = start(world, DMS)

    assert world.function(DMS).result(request)["outcome"] == "succeeded"


def test_an_id_in_other_letters_is_the_task_where_it_is_shown(world: HandlerWorld) -> None:
    """An id of hex digits: OTC may write it in lower case, however it was asked for."""
    upper = request_of(DMS, {"task_id": "ABCDEF" + "0" * 26})
    put_task(world, DMS, upper)
    request = {**upper, "expected": {}}
    task = next(iter(world.cloud.services["otc_dms"].store.places.values())).tasks[upper["task_id"]]
    task.task_id = task.task_id.lower()

    planned = world.function(DMS).result({**request, "dry_run": True})

    assert looks(planned) == [("before", True)]


@pytest.mark.parametrize("others", [(), ("ET_CN_FAKE1",)])
def test_an_id_in_other_letters_proves_nothing_in_a_list(world: HandlerWorld, others: tuple[str, ...]) -> None:
    request = request_of(ALIBABA, {"task_id": "et_cn_fake1"})
    for task_id in ("Et_cn_fake1", *others):
        put_task(world, ALIBABA, {**request, "task_id": task_id})

    result = world.function(ALIBABA).result({**request, "expected": {}})

    assert (result["outcome"], result["attempts"]) == ("failed", 0)
    assert (looks(result), world.effects) == ([("before", None)], [])


def test_of_two_ids_that_are_alike_the_same_one_is_compared(world: HandlerWorld) -> None:
    request = request_of(ALIBABA, {"task_id": "et_cn_fake1"})
    put_task(world, ALIBABA, {**request, "task_id": "ET_CN_FAKE1"}, source_index="expected")
    put_task(world, ALIBABA, request, source_index="another")

    result = world.function(ALIBABA).result({**request, "expected": {"name": "expected"}})

    assert (result["error"]["code"], world.effects) == ("TaskChanged", [])


def test_a_task_beyond_the_longest_list_is_neither_there_nor_gone(world: HandlerWorld) -> None:
    request = request_of(ALIBABA)
    records = [{"task_id": f"et_cn_many{number:07d}"} for number in range(10_001)]
    world.cloud.services["alibaba_elasticsearch"].store.fill((request["instance_id"],), records)

    result = world.function(ALIBABA).result({**request, "expected": {}})

    assert (result["outcome"], result["error"]["code"]) == ("failed", "UnexpectedReply")
    assert "not whole" in result["error"]["message"]
    assert result["looks"][0]["records"] == 10_000
    assert result["attempts"] == 0


@pytest.mark.parametrize("folder", [OMS, DMS, STOP])
def test_another_tasks_record_is_no_answer(world: HandlerWorld, folder: str) -> None:
    request = start(world, folder)
    world.cloud.faults.add("other_record")

    result = world.function(folder).result(request)

    assert (result["outcome"], looks(result), world.effects) == ("failed", [("before", None)], [])


# -- stops ------------------------------------------------


@pytest.mark.parametrize("status", [OMS_PAUSED, OMS_PAUSING])
@pytest.mark.parametrize("named", ["5", "4", "1", None])
def test_only_the_stop_of_the_named_status_leads_to_what_is_expected(
    world: HandlerWorld, status: int, named: str | None
) -> None:
    """Succeeded, started again by somebody, and paused: that was no stop of ours."""
    put_task(world, OMS, request_of(OMS), status=status)
    expected = {"provider_status": named} if named else {"status": "succeeded"}

    result = world.function(OMS).result({**request_of(OMS), "stop_running": True, "expected": expected})

    assert (result["error"]["code"], world.effects) == ("TaskChanged", [])


def test_where_no_status_is_named_nothing_is_stopped(world: HandlerWorld) -> None:
    """It looks deletable, and runs by the time of the delete."""
    world.cloud.switches.update(oms_running_again=1)
    put_task(world, OMS, request_of(OMS), status=OMS_PAUSED)
    world.cloud.faults.add("error", operation="DeleteTask", status=400, code="OMS.0063", count=1)

    result = world.function(OMS).result({**request_of(OMS), "stop_running": True, "expected": {}})

    assert (result["outcome"], result["attempts"]) == ("conflict", 1)
    assert "StopTask" not in [entry.operation for entry in world.arrived("huawei.oms.DeleteTask")]


def test_a_stop_that_comes_again_is_unchanged(world: HandlerWorld) -> None:
    world.cloud.switches.update(oms_stop_ms=60_000)
    request, function = start(world, STOP), world.function(STOP)

    stopped, pausing = function.result(request), function.result(request)
    world.pass_time(61)
    paused = function.result(request)

    assert [result["outcome"] for result in (stopped, pausing, paused)] == ["succeeded", "unchanged", "unchanged"]
    assert (pausing["attempts"], paused["attempts"], stopped["accepted"]) == (0, 0, True)


@pytest.mark.parametrize("named", [True, False])
def test_a_stop_in_doubt_that_was_made_is_unchanged(world: HandlerWorld, named: bool) -> None:
    """The task is pausing, or paused: both are what the stop was for."""
    world.cloud.switches.update(oms_stop_ms=60_000)
    request = start(world, STOP)
    request = request if named else request_of(STOP)
    world.cloud.faults.add("garbage", operation="StopTask", made=True)

    result = world.function(STOP).result(request)

    assert (result["outcome"], result["looks"][-1]["provider_status"]) == ("unchanged", "7")
    assert "may have done it" in result["error"]["detail"]["note"]


def test_a_stop_before_the_delete_that_got_no_answer_says_so(world: HandlerWorld) -> None:
    request = {**start(world, OMS, status=OMS_RUNNING), "stop_running": True}
    world.cloud.faults.add("reset_after", operation="StopTask")

    result = world.function(OMS).result(request)

    assert (result["outcome"], world.effects[:1]) == ("conflict", [("stopped", str(request["task_id"]))])
    assert "may have been made" in result["error"]["detail"]["note"]


# -- time ------------------------------------------------


@pytest.mark.parametrize("folder", LOOKED_AT)
def test_after_a_long_look_without_time_for_another_no_change_is_sent(world: HandlerWorld, folder: str) -> None:
    request = start(world, folder)
    function = world.function(folder)
    sent = len(world.arrived(function.operation.name, looks=True))
    world.on_nonce = lambda: world.pass_time(29 - 4 - 2)  # of 29 seconds, four are for the answer

    result = function.result(request)

    assert (result["outcome"], result["error"]["category"], result["retryable"]) == ("failed", "timeout", True)
    assert (result["attempts"], looks(result)) == (0, [("before", True)])
    assert len(world.arrived(function.operation.name, looks=True)) == sent + 1


@pytest.mark.parametrize("folder", LOOKED_AT)
def test_with_hardly_any_time_no_change_is_sent(world: HandlerWorld, folder: str) -> None:
    put_task(world, folder, request_of(folder))
    function = world.function(folder)

    result = function.result(request_of(folder), timeout=4 + 2 + 0.4)

    assert (result["outcome"], result["error"]["category"], result["attempts"]) == ("failed", "timeout", 0)
    assert world.arrived(function.operation.name, looks=True) == []


# -- an answer that was not the last word ------------------------------------------------


@pytest.mark.parametrize("folder", [OMS, ALIBABA])
def test_a_list_that_lags_does_not_make_a_delete_undone(world: HandlerWorld, folder: str) -> None:
    world.cloud.switches.update(deleted_seen_s=60)
    put_task(world, folder, request_of(folder))
    world.cloud.faults.add("garbage", operation=action_of(folder), made=True)

    result = world.function(folder).result(request_of(folder))

    assert (result["outcome"], looks(result)) == ("failed", [("after", True)])
    assert "does not show yet" in result["error"]["detail"]["note"]


@pytest.mark.parametrize("folder", DELETES)
def test_a_key_that_is_rotated_during_a_look_is_read_again(world: HandlerWorld, folder: str) -> None:
    request, function = start(world, folder), world.function(folder)
    provider = provider_of(folder)
    function.result({**request, "dry_run": True})
    world.put_secret(provider, world.rotate_key(provider))
    bad = len([entry for entry in world.cloud.journal if entry.signature_ok is False])

    result = function.result(request)

    assert (result["outcome"], result["attempts"]) == ("succeeded", 1)
    assert len([entry for entry in world.cloud.journal if entry.signature_ok is False]) == bad + 1


@pytest.mark.parametrize("folder", DELETES)
def test_a_rejected_key_is_not_used_to_look(world: HandlerWorld, folder: str) -> None:
    """The first attempt got no answer, the second met a key that had been withdrawn."""
    put_task(world, folder, request_of(folder))
    world.cloud.faults.add("http_error", operation=action_of(folder), status=503, made=True, count=1)
    world.cloud.faults.add("http_error", operation=action_of(folder), status=401)

    result = world.function(folder).result(request_of(folder))

    assert (result["outcome"], result["error"]["category"]) == ("failed", "unauthenticated")
    assert looks(result) == [("after", None)]
    assert "CredentialSuspended" in result["error"]["detail"]["note"]
    assert "may have been made" in result["error"]["detail"]["note"]


@pytest.mark.parametrize("folder", LOOKED_AT)
def test_a_look_that_a_suspended_key_forbids_is_told(world: HandlerWorld, folder: str) -> None:
    request, function = start(world, folder), world.function(folder)
    world.cloud.faults.add("http_error", service=service_of(folder), status=401)

    rejected, suspended = function.result(request), function.result(request)

    assert (rejected["error"]["code"], suspended["error"]["code"]) == ("Http401", "CredentialSuspended")
    assert suspended["error"]["detail"]["note"] == "the task could not be looked at, so no change was sent"
    assert [look["evidence"] for look in suspended["looks"]] == [look["evidence"] for look in rejected["looks"]]
    assert (looks(suspended), suspended["attempts"], suspended["retryable"]) == ([("before", None)], 0, True)


def test_a_key_that_the_look_after_a_delete_suspends_is_not_used_to_stop(world: HandlerWorld) -> None:
    put_task(world, OMS, request_of(OMS), status=OMS_RUNNING)
    world.cloud.faults.add("reset_before", operation="DeleteTask", count=1)
    world.cloud.faults.add("http_error", operation="ShowTask", status=401)

    result = world.function(OMS).result({**request_of(OMS), "stop_running": True})

    assert (result["outcome"], result["attempts"], looks(result)) == ("conflict", 2, [("after", None)])
    assert result["error"]["detail"]["stop"] == "CredentialSuspended"
    assert "may have been made" in result["error"]["detail"]["note"]
    assert world.effects == []


def test_what_a_look_shows_to_be_gone_is_not_stopped(world: HandlerWorld) -> None:
    """The first attempt deleted the task without an answer; the second one was told that it runs."""
    put_task(world, OMS, request_of(OMS))
    world.cloud.faults.add("http_error", operation="DeleteTask", status=503, made=True, count=1)
    world.cloud.faults.add("error", operation="DeleteTask", status=400, code="OMS.0063", count=1)

    result = world.function(OMS).result({**request_of(OMS), "stop_running": True})

    assert (result["outcome"], result["attempts"], looks(result)) == ("unchanged", 2, [("after", False)])
    assert "stop" not in result["error"]["detail"]


# -- of a sweep ------------------------------------------------


BY_SWEEP = {"source": "task-cleanup", "detail-type": "Task Cleanup Requested"}


def changed(world: HandlerWorld, folder: str, mark: dict[str, str]) -> dict[str, Any]:
    """The body of a message: an event whose task is not as expected."""
    request = start(world, folder)
    expected = {**request["expected"], "name": "another"}
    return {**sample_event(folder, "eventbridge"), "detail": {**request, "expected": expected}, **mark}


@pytest.mark.parametrize("receives", [1, MAX_RECEIVES])
@pytest.mark.parametrize("folder", LOOKED_AT)
def test_a_changed_task_that_a_sweep_asked_for_is_published_and_counted_and_no_dead_letter(
    world: HandlerWorld, folder: str, receives: int
) -> None:
    body = changed(world, folder, BY_SWEEP)

    reply = world.function(folder).invoke(batch(with_body(folder, json.dumps(body), receives=receives))).reply

    assert reply == {"batchItemFailures": []}
    assert [event["error"]["code"] for event in world.published()] == ["TaskChanged"]
    assert (world.aws.messages, world.effects) == ([], [])
    assert [line["TaskChanged"] for line in world.metric_lines() if "TaskChanged" in line] == [[1.0]]


@pytest.mark.parametrize(
    "mark",
    [
        {},
        {"source": "task-cleanup"},
        {"source": "task-cleanup", "detail-type": "Sweep Requested"},
        {"detail-type": "Task Cleanup Requested"},
        {"source": "aws.scheduler", "resources": ["task-cleanup"]},
        {"source": "com.example.migrations", "resources": ["task-cleanup"]},
    ],
)
def test_a_changed_task_that_anybody_else_asked_for_is_a_dead_letter(
    world: HandlerWorld, mark: dict[str, Any]
) -> None:
    body = {**changed(world, OMS, {"source": "com.example", "detail-type": "Clean up"}), **mark}

    reply = world.function(OMS).invoke(batch(with_body(OMS, json.dumps(body)))).reply

    assert reply == {"batchItemFailures": []}
    assert [event["error"]["code"] for event in world.published()] == ["TaskChanged"]
    assert [message["MessageBody"] for message in world.aws.messages] == [json.dumps(body)]


def test_a_failed_invocation_is_of_no_sweep_whatever_it_claims(world: HandlerWorld) -> None:
    """Lambda's record of one, sent back from the queue of failures. A sweep invokes no function."""
    body = json.dumps(crashed_invocation(changed(world, OMS, BY_SWEEP)))

    world.function(OMS).invoke(batch(with_body(OMS, body)))

    assert [message["MessageBody"] for message in world.aws.messages] == [body]


def test_any_other_failure_of_a_sweeps_request_is_a_dead_letter(world: HandlerWorld) -> None:
    body = changed(world, OMS, BY_SWEEP)
    world.cloud.keys.change("huawei", "AKFAKEHUAWEI0001", denied=("ShowTask",))

    world.function(OMS).invoke(batch(with_body(OMS, json.dumps(body))))

    assert [event["error"]["category"] for event in world.published()] == ["forbidden"]
    assert len(world.aws.messages) == 1


@pytest.mark.parametrize("empty", ["MAX_RECEIVES", "DEAD_LETTER_QUEUE_URL", "EVENT_BUS_NAME"])
def test_what_cannot_be_published_or_moved_comes_again_also_of_a_sweep(world: HandlerWorld, empty: str) -> None:
    record = with_body(OMS, json.dumps(changed(world, OMS, BY_SWEEP)))

    reply = world.function(OMS, {empty: ""}).invoke(batch(record)).reply

    assert reply == {"batchItemFailures": [{"itemIdentifier": record["messageId"]}]}


def test_a_changed_task_that_the_bus_does_not_take_comes_again(world: HandlerWorld) -> None:
    record = with_body(OMS, json.dumps(changed(world, OMS, BY_SWEEP)))
    world.aws.troubles["events"] = Trouble.DENIED

    reply = world.function(OMS).invoke(batch(record)).reply

    assert reply == {"batchItemFailures": [{"itemIdentifier": record["messageId"]}]}


# -- over HTTP ------------------------------------------------


def test_expected_in_the_body_of_a_delete(world: HandlerWorld) -> None:
    put_task(world, OMS, request_of(OMS))

    reply = world.function(OMS).invoke(http_event(OMS, {"expected": {"name": "another"}})).reply

    assert (reply["statusCode"], json.loads(reply["body"])["result"]["error"]["code"]) == (412, "TaskChanged")
    assert world.effects == []


@pytest.mark.parametrize("text", ['{"name": "another"}', "{}", ""])
def test_expected_in_a_query_is_no_object(world: HandlerWorld, text: str) -> None:
    put_task(world, OMS, request_of(OMS))
    event: dict[str, Any] = http_event(OMS)
    event["queryStringParameters"] = {**(event.get("queryStringParameters") or {}), "expected": text}

    reply = world.function(OMS).invoke(event).reply

    assert reply["statusCode"] == 400
    assert world.effects == []


@pytest.mark.parametrize(
    "expected",
    [
        None,
        [],
        "x",
        {"name": 1},
        {"task_id": "1"},
        {"created_at": "yesterday"},
        {"created_at": "0001-01-01T00:00:00+23:59"},
    ],
)
def test_what_expects_nothing_that_can_be_compared_is_refused(world: HandlerWorld, expected: object) -> None:
    put_task(world, OMS, request_of(OMS))

    result = world.function(OMS).result({**request_of(OMS), "expected": expected})

    assert (result["error"]["code"], world.effects) == ("SchemaViolation", [])


def test_a_status_that_is_null_or_empty_is_expected_of_no_task(world: HandlerWorld) -> None:
    request = start(world, OMS, status=OMS_SUCCEEDED)

    result = world.function(OMS).result({**seen(world, OMS, request), "expected": {"provider_status": None}})

    assert (result["error"]["code"], world.effects) == ("TaskChanged", [])


# -- size ------------------------------------------------


@pytest.mark.parametrize("folder", LOOKED_AT)
def test_a_show_reads_a_mebibyte_and_a_list_sixteen(world: HandlerWorld, folder: str) -> None:
    """The task's own name takes 2 MiB. (Alibaba's look is its list.)"""
    name = "source_index" if folder == ALIBABA else "name"
    put_task(world, folder, request_of(folder), **{name: "x" * 2 * MAX_REPLY_BYTES})

    result = world.function(folder).result({**request_of(folder), "expected": {}, "dry_run": True})

    if folder == ALIBABA:
        assert (result["outcome"], looks(result)) == ("planned", [("before", True)])
    else:
        assert (result["error"]["code"], looks(result)) == ("ReplyTooLarge", [("before", None)])
