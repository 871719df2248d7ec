"""``"instance_ids": "all"``: no instance is forgotten, and how many were found is told."""

from collections.abc import Iterator
from typing import Any

import pytest

from task_cleanup.providers import alibaba_elasticsearch, dms
from task_cleanup.sweep import lister
from tests.support.identities import PROJECT
from tests.support.readable import unreadable
from tests.support.sweep_world import (
    DMS_INSTANCE,
    ES_INSTANCE,
    OLD,
    OMS_TARGET,
    TARGETS,
    Json,
    SweepWorld,
    data_task,
    dms_task,
    oms_task,
    policy,
)

OTHER_ES = "es-cn-fake00000002"
OTHER_DMS = "b9f1c1de-5b1a-4f0c-9e0e-3d2f7f6f1a12"
EVERY = {
    key: {name: value for name, value in target.items() if name != "instance_id"} | {"instance_ids": "all"}
    for key, target in TARGETS.items()
    if "instance_id" in target
}
INSTANCES = {
    key: (ES_INSTANCE, OTHER_ES) if key.startswith("alibaba") else (DMS_INSTANCE, OTHER_DMS) for key in EVERY
}
INSTANCE_PAGE = {
    key: alibaba_elasticsearch.INSTANCE_PAGE if key.startswith("alibaba") else dms.INSTANCE_PAGE for key in EVERY
}
LIST_NAME = {key: "ListInstance" if key.startswith("alibaba") else "ListInstances" for key in EVERY}
WIDE = {"max_tasks": 500, "max_fraction": 1}

each_service = pytest.mark.parametrize("key", EVERY)


def add_task(world: SweepWorld, key: str, number: int, instance: str) -> None:
    """One old task on an instance."""
    seed = data_task(number, "SUCCESS", OLD) if key.startswith("alibaba") else dms_task(key, number, "SUCCESS", OLD)
    world.cloud.seed({**seed, "instance_id": instance})


def add_instance(world: SweepWorld, key: str, instance: str, **flags: bool) -> None:
    """An instance without tasks."""
    project = () if key.startswith("alibaba") else (PROJECT,)
    world.cloud.services[key].store.add_place(*project, instance, **flags)


def seed(world: SweepWorld, key: str) -> None:
    """Two tasks on one instance and one on another."""
    for number, instance in ((1, INSTANCES[key][0]), (2, INSTANCES[key][0]), (3, INSTANCES[key][1])):
        add_task(world, key, number, instance)


def sweep(world: SweepWorld, *targets: Json, **changes: Any) -> Json:
    """The summary of an apply of these targets; ``run_id`` is the run's."""
    run_id = changes.pop("run_id", "run-1")
    summary: Json = world.worker()(policy(targets=list(targets), **{"limits": WIDE, **changes}), request_id=run_id)
    return summary


def refusals(summary: Json) -> Iterator[tuple[str, int | None]]:
    """Each with its target; and nothing was asked for."""
    assert (summary["outcome"], summary["totals"]["requested"]) == ("refused", 0)
    for refusal in summary["refusals"]:
        assert unreadable(refusal["message"]) == []
        yield refusal["code"], refusal["target"]


def codes(summary: Json) -> list[tuple[str, str | None]]:
    """Each refusal, with the code of its target's error."""
    return [
        (code, None if number is None else (summary["targets"][number]["error"] or {}).get("code"))
        for code, number in refusals(summary)
    ]


# -- found ------------------------------------------------


@each_service
def test_each_instance_is_a_target_of_its_own(sweep_world: SweepWorld, key: str) -> None:
    seed(sweep_world, key)
    sweep_world.cloud.seed(oms_task(1001, 5, OLD))

    summary = sweep(sweep_world, OMS_TARGET, EVERY[key])

    told = [
        (target["policy_target"], target["instance_id"], target["counts"]["found"]) for target in summary["targets"]
    ]
    first, second = INSTANCES[key]
    assert (summary["outcome"], told) == ("requested", [(0, None, 1), (1, first, 2), (1, second, 1)])
    assert summary["instances"] == [{"policy_target": 1, "found": 2}]
    requested = [request.get("instance_id") for request in sweep_world.requests()]
    assert requested == [None, first, first, second]


@each_service
def test_that_none_was_found_is_told(sweep_world: SweepWorld, key: str) -> None:
    summary = sweep(sweep_world, EVERY[key])

    assert (summary["outcome"], summary["targets"]) == ("requested", [])
    assert summary["instances"] == [{"policy_target": 0, "found": 0}]
    page = sweep_world.aws.objects["reports/run-1/index.html"].body.decode()
    assert "0 instances found" in page
    assert "There was no instance to list." in page


@each_service
def test_very_many_are_found_over_all_pages_and_those_that_come_meanwhile(sweep_world: SweepWorld, key: str) -> None:
    new_id = sweep_world.cloud.services[key].kind.new_instance
    total = INSTANCE_PAGE[key] + 10
    ids = [new_id(number) for number in range(2000, 2000 + total)]
    for instance in ids:
        add_instance(sweep_world, key, instance)
    sweep_world.cloud.faults.add("list_moves", service=key, operation=LIST_NAME[key], count=1)

    summary = sweep(sweep_world, EVERY[key])

    there = [place.ids["instance_id"] for place in sweep_world.cloud.services[key].store.places.values()]
    found = [target["instance_id"] for target in summary["targets"]]
    assert (found, len(found)) == (there, total)
    assert found[:-1] == ids[1:]
    assert summary["instances"] == [{"policy_target": 0, "found": total}]


def test_on_huawei_every_engine_is_asked_for_and_on_otc_the_one_that_has_tasks(sweep_world: SweepWorld) -> None:
    """Each list of one engine has nothing of the others."""
    for key in ("huawei_dms", "otc_dms"):
        for number, flags in ((1, {}), (2, {"rabbitmq": True}), (3, {"rocketmq": True, "creating": True})):
            instance = f"b9f1c1de-5b1a-4f0c-9e0e-3d2f7f6f1a2{number}"
            add_task(sweep_world, key, number, instance)
            add_instance(sweep_world, key, instance, **flags)

    summary = sweep(sweep_world, EVERY["huawei_dms"], EVERY["otc_dms"])

    assert summary["instances"] == [{"policy_target": 0, "found": 3}, {"policy_target": 1, "found": 1}]
    assert [request["instance_id"][-2:] for request in sweep_world.requests()] == ["21", "22", "23", "21"]


def test_an_instance_that_several_lists_have_is_listed_once(sweep_world: SweepWorld) -> None:
    """A service may take no notice of ``engine``; and case does not count in an id."""
    seed(sweep_world, "huawei_dms")
    body = '{"instances": [{"instance_id": "%s"}], "instance_num": 1}'
    for instance in (DMS_INSTANCE.upper(), DMS_INSTANCE):
        sweep_world.cloud.faults.add(
            "http_error", service="huawei_dms", operation="ListInstances", status=200, body=body % instance, count=1
        )
    sweep_world.cloud.faults.add("hide", service="huawei_dms", operation="ListInstances")

    summary = sweep(sweep_world, EVERY["huawei_dms"])

    assert [target["instance_id"] for target in summary["targets"]] == [DMS_INSTANCE]
    assert summary["instances"] == [{"policy_target": 0, "found": 1}]


# -- refused ------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"kind": "error", "status": 403, "code": "APIGW.0304"}, "APIGW.0304"),
        ({"kind": "http_error", "status": 200, "body": '{"Result": [{}], "instances": [{}]}'}, "UnexpectedReply"),
        ({"kind": "list_moves"}, "InstancesIncomplete"),
    ],
)
@each_service
def test_where_the_instances_are_not_known_nothing_is_asked_for(
    sweep_world: SweepWorld, key: str, fault: Json, code: str
) -> None:
    seed(sweep_world, key)
    new_id = sweep_world.cloud.services[key].kind.new_instance
    for number in range(2000, 2120):
        add_instance(sweep_world, key, new_id(number))
    sweep_world.cloud.faults.add(**fault, service=key, operation=LIST_NAME[key])

    summary = sweep(sweep_world, EVERY[key])

    assert codes(summary) == [("ListFailed", code)]
    assert [target["instance_id"] for target in summary["targets"]] == [None]
    assert summary["instances"] == [{"policy_target": 0, "found": None}]
    assert sweep_world.requests() == []


@each_service
def test_one_instance_whose_tasks_cannot_be_listed_refuses_all(sweep_world: SweepWorld, key: str) -> None:
    seed(sweep_world, key)
    broken = INSTANCES[key][1]
    sweep_world.cloud.faults.add("error", service=key, match=broken, status=403, code="Forbidden")
    sweep_world.cloud.seed(oms_task(1001, 5, OLD))

    summary = sweep(sweep_world, OMS_TARGET, EVERY[key])

    assert codes(summary) == [("ListFailed", "Forbidden")]
    (refusal,) = summary["refusals"]
    assert refusal["target"] == 2  # in the report; the message names the policy's
    assert refusal["message"].startswith("/targets/1 (")
    assert broken in refusal["message"]


def test_more_instances_than_one_run_lists_are_refused_before_any_of_them_is_listed(
    sweep_world: SweepWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lister, "MAX_INSTANCES", 3)
    seed(sweep_world, "alibaba_elasticsearch")
    seed(sweep_world, "otc_dms")

    targets = [EVERY["alibaba_elasticsearch"], EVERY["otc_dms"]]
    summary = sweep(sweep_world, *targets)

    assert codes(summary) == [("ListFailed", "TooManyInstances")] * 2
    assert "this run found 4 instances, and one run lists 3 of them at most" in summary["refusals"][0]["message"]
    assert sweep_world.arrived("otc.dms.ListBackgroundTasks") == sweep_world.arrived("otc.dms.ListInstances")
    assert {entry.operation for entry in sweep_world.cloud.journal.entries()} == {"ListInstance", "ListInstances"}

    monkeypatch.setattr(lister, "MAX_INSTANCES", 4)
    assert sweep(sweep_world, *targets, run_id="run-2")["outcome"] == "requested"


@each_service
def test_limits_hold_for_each_instance(sweep_world: SweepWorld, key: str) -> None:
    """``limit`` cuts the one with two tasks, and a fraction is one of each instance's tasks."""
    seed(sweep_world, key)

    cut = sweep(sweep_world, {**EVERY[key], "limit": 1})
    assert list(refusals(cut)) == [("ListIncomplete", 0)]
    assert [target["complete"] for target in cut["targets"]] == [False, True]

    above = sweep(sweep_world, EVERY[key], limits={"max_fraction": 0.9}, run_id="run-2")
    assert list(refusals(above)) == [("FractionTooHigh", None), ("FractionTooHigh", 0), ("FractionTooHigh", 1)]


@each_service
def test_an_instance_that_is_named_beside_all_of_them_is_the_same_place(sweep_world: SweepWorld, key: str) -> None:
    seed(sweep_world, key)

    summary = sweep(sweep_world, EVERY[key], {**TARGETS[key], "instance_id": INSTANCES[key][1]})

    assert list(refusals(summary)) == [("SameTarget", 2)]


# -- the key ------------------------------------------------


def test_a_rejected_key_costs_one_bad_signature(sweep_world: SweepWorld) -> None:
    seed(sweep_world, "huawei_dms")
    sweep_world.rotate_key("huawei")

    targets = [{**EVERY["huawei_dms"], "region": region} for region in ("cn-north-4", "cn-east-3", "cn-south-1")]

    assert {code for code, _ in codes(sweep(sweep_world, *targets))} == {"ListFailed"}
    assert sum(entry.signature_ok is False for entry in sweep_world.cloud.journal.entries()) == 1


def test_the_first_list_of_a_key_is_alone_also_where_it_is_of_instances(sweep_world: SweepWorld) -> None:
    for number in range(9):
        add_instance(sweep_world, "alibaba_elasticsearch", f"es-cn-fake{number}")

    sweep(sweep_world, EVERY["alibaba_elasticsearch"], {**TARGETS["alibaba_elasticsearch"], "region": "cn-beijing"})

    operations = [entry.operation for entry in sweep_world.cloud.journal.entries()]
    assert operations == ["ListInstance", *["ListDataTasks"] * 10]


# -- a report is a plan ------------------------------------------------


@each_service
def test_a_report_on_all_instances_can_be_applied(sweep_world: SweepWorld, key: str) -> None:
    seed(sweep_world, key)
    report = sweep(sweep_world, EVERY[key], mode="report")
    assert (report["outcome"], report["policy"]["targets"][0]["instance_ids"]) == ("reported", "all")

    plan = {"apply_report": report["report"]["json"], "sha256": report["report"]["sha256"]}
    applied = sweep_world.worker()({**plan, "run_id": "applied"})

    assert (applied["outcome"], len(sweep_world.requests())) == ("requested", 3)
    assert applied["instances"] == report["instances"] == [{"policy_target": 0, "found": 2}]


def test_an_instance_that_is_not_there_any_more_takes_its_tasks_with_it(sweep_world: SweepWorld) -> None:
    """They are told as gone; the other instance's are asked for."""
    seed(sweep_world, "otc_dms")
    report = sweep(sweep_world, EVERY["otc_dms"], mode="report")["report"]
    first = sweep_world.aws.document(report["json"])["targets"][0]
    del sweep_world.cloud.otc_dms.places[(PROJECT, first["instance_id"])]

    request = {"apply_report": report["json"], "sha256": report["sha256"], "run_id": "applied"}
    applied = sweep_world.worker()(request)

    gone = first["counts"]["selected"]
    assert (applied["outcome"], applied["totals"]["gone"], gone > 0) == ("requested", gone, True)
    assert len(sweep_world.requests()) == 3 - gone
    assert applied["instances"] == [{"policy_target": 0, "found": 1}]
