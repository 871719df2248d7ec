"""Runs that meet odd ids, each other, failed lists and late deliveries."""

import json
from datetime import timedelta

import pytest

from task_cleanup.sweep.claims import run_id_of
from task_cleanup.times import parse_time
from tests.support.handler_world import NOW
from tests.support.sweep_runs import apply, deliver, meanwhile, new_report
from tests.support.sweep_world import (
    ES_TARGET,
    HUAWEI_DMS_TARGET,
    OLD,
    OMS_TARGET,
    OTC_DMS_TARGET,
    PLANNED,
    Json,
    SweepWorld,
    bridge_event,
    data_task,
    http_get,
    http_post,
    message,
    policy,
    queued,
    sample,
)


def body_of(reply: Json) -> Json:
    body: Json = json.loads(reply["body"])
    return body


def ledger_keys(sweep_world: SweepWorld, word: str) -> list[str]:
    return [key for key in sweep_world.aws.objects if key.startswith("ledger/") and word in key]


def asked_by_other(sweep_world: SweepWorld, word: str) -> None:
    """Another run asks for all tasks of one place, in this moment."""
    (key,) = ledger_keys(sweep_world, word)
    ledger = sweep_world.aws.document(key)
    until = int((NOW + timedelta(hours=1)).timestamp() * 1_000_000)
    ledger["asked"] = {task_id: ["other", until] for task_id in ledger["tasks"]}
    sweep_world.aws.put_document(key, ledger)


def test_no_request_is_sent_that_cannot_be_carried_out_any_more(sweep_world: SweepWorld) -> None:
    """A report can be applied for 24 hours, and the requests of a run are good for 22."""
    sweep_world.seed()
    sweep_world.aws.on_call = lambda name: (
        setattr(sweep_world.aws, "is_cut", True) if name == "PUT requests.json" else None
    )
    deliver(sweep_world.worker(), policy(), receives=1)
    sweep_world.aws.on_call = lambda _: None
    sweep_world.aws.restore()
    assert sweep_world.requests() == []
    sweep_world.pass_time(23 * 3600)

    deliver(sweep_world.worker(), policy(), receives=1, attributes={"origin_id": "run-1"})

    now = sweep_world.system.now()
    late = [it for it in sweep_world.requests() if parse_time(it["not_after"]) < now]
    assert late == []
    assert [refusal["code"] for refusal in sweep_world.summaries()[-1][1]["refusals"]] == ["PlanTooOld"]


@pytest.mark.parametrize("how", ["message", "direct"])
def test_no_request_can_take_the_id_of_a_coming_night(sweep_world: SweepWorld, how: str) -> None:
    """Not by an event's own id either."""
    sweep_world.seed()
    night = sample("schedule")
    taken = bridge_event(policy(mode="report", targets=[ES_TARGET]), run_id_of(night["id"]))
    sweep_world.worker()(message(taken) if how == "message" else taken)

    sweep_world.worker()(message({**night, "detail": policy()}))

    assert set(sweep_world.requested()) == PLANNED, [end["refusals"] for _, end in sweep_world.summaries()]


def test_a_run_that_was_refused_as_overlaps_holds_no_task(sweep_world: SweepWorld) -> None:
    """Its marks in the other places' ledgers are taken back."""
    sweep_world.seed()
    meanwhile(sweep_world, "PUT report.json", lambda: asked_by_other(sweep_world, "otc"))
    summary = sweep_world.worker()(policy(run_id="run-1"))
    assert (summary["outcome"], summary["refusals"][0]["code"]) == ("refused", "Overlaps")
    assert sweep_world.requests() == []

    again = sweep_world.worker()(policy(run_id="run-2", name="x", targets=[OMS_TARGET, ES_TARGET, HUAWEI_DMS_TARGET]))

    assert again["totals"]["requested_before"] == 0
    assert again["totals"]["requested"] == len(PLANNED) - 3


def test_a_plan_whose_apply_was_refused_is_not_used_up(sweep_world: SweepWorld) -> None:
    """It asked for nothing, so another run may apply the plan."""
    sweep_world.seed()
    key = new_report(sweep_world)
    meanwhile(sweep_world, "PUT report.json", lambda: asked_by_other(sweep_world, "otc"))
    summary = sweep_world.worker()({**apply(sweep_world, key), "run_id": "run-1"})
    assert (summary["outcome"], summary["refusals"][0]["code"]) == ("refused", "Overlaps")
    assert sweep_world.requests() == []
    sweep_world.pass_time(2 * 3600)  # the other's request cannot be carried out any more

    second = sweep_world.worker()({**apply(sweep_world, key), "run_id": "run-2"})

    assert [refusal["code"] for refusal in second["refusals"]] == []


@pytest.mark.parametrize("how", ["instances", "project"])
def test_tasks_of_a_list_that_failed_are_not_told_as_gone(sweep_world: SweepWorld, how: str) -> None:
    """With `allow_incomplete`; the failed target has no place that the plan's targets could be found by."""
    sweep_world.seed()
    place = {name: value for name, value in OTC_DMS_TARGET.items() if name != "instance_id"}
    targets = [ES_TARGET, {**place, "instance_ids": "all"} if how == "instances" else OMS_TARGET]
    key = new_report(sweep_world, targets=targets, limits={"allow_incomplete": True, "max_fraction": 1})
    if how == "instances":
        sweep_world.cloud.faults.add(
            "error", service="otc_dms", operation="ListInstances", status=403, code="APIGW.0304"
        )
    else:
        del sweep_world.aws.secrets["task-cleanup/huawei/default"]

    summary = sweep_world.worker()({**apply(sweep_world, key), "run_id": "run-1"})

    assert [target["error"] is None for target in summary["targets"]][:2] == [True, False]
    assert summary["totals"]["gone"] == 0


@pytest.mark.parametrize("task_id", ["et cn 1", "et.cn.1"])
def test_one_odd_id_does_not_deny_the_others(sweep_world: SweepWorld, task_id: str) -> None:
    """An id that the delete's schema refuses could not be counted, and its result would never come."""
    sweep_world.seed()
    sweep_world.cloud.seed({**data_task(9, "SUCCESS", OLD), "task_id": task_id})
    summary = sweep_world.worker()(policy(run_id="run-1", limits={"max_tasks": 99, "max_fraction": 1}))

    assert summary["outcome"] == "requested"
    assert set(sweep_world.requested()) == PLANNED


def test_a_run_id_that_a_post_has_taken_is_that_posts(sweep_world: SweepWorld) -> None:
    """Until its worker has claimed it, no event and no direct invocation takes the id."""
    sweep_world.seed()
    worker = sweep_world.worker()
    assert worker(http_post(policy(), key="night-1"))["statusCode"] == 202
    worker(policy(mode="report", targets=[ES_TARGET], name="other", run_id="night-1"))
    (event,) = [event for event in sweep_world.aws.events if event["DetailType"] == "Sweep Requested"]
    worker(queued(json.loads(event["Detail"]), "e-1"))

    told = body_of(worker(http_get("night-1")))

    assert (told["name"], told["outcome"]) == ("nightly", "requested")
