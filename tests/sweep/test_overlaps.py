"""Runs that meet: of one name, over the same places, again and late; and ledgers that fail or are written by two."""

import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from task_cleanup.sweep.lister import Lister
from tests.support.handler_world import NOW
from tests.support.sweep_runs import (
    DONE,
    check_end,
    check_requests,
    dies_after,
    meanwhile,
    new_report,
    refused_or,
)
from tests.support.sweep_world import (
    DMS_INSTANCE,
    ES_INSTANCE,
    ES_TARGET,
    LEASE_SECONDS,
    OLD,
    OMS_TARGET,
    PLANNED,
    Failure,
    Json,
    S3Object,
    SweepWorld,
    data_task,
    oms_task,
    policy,
    queued,
)

NAME_SECONDS = LEASE_SECONDS + 600  # later than any hold of a name that a dead worker can have left
VALID = 22 * 3600
OMS_LEDGER = "-.json"  # the end of its key
LEDGERS = (OMS_LEDGER, f"{ES_INSTANCE}.json", f"{DMS_INSTANCE}.json")
BY_SIGHT: Json = {"select": {"older_than": "P7D"}, "limits": {"max_tasks": 50, "max_fraction": 1}}
NIGHT = 86_460.0


def send(world: SweepWorld, run_id: str, request: Json | None = None, receives: int = 1) -> bool:
    """A message of the queue; whether it is settled."""
    event = queued(request or policy(), run_id, message_id=run_id, receives=receives)
    return bool(world.worker()(event) == DONE)


def summary(world: SweepWorld, run_id: str) -> Json:
    return world.aws.document(f"reports/{run_id}/summary.json")


def told(world: SweepWorld, run_id: str) -> list[Json]:
    """The published ends of a run."""
    return [end for _, end in world.summaries() if end["run_id"] == run_id]


# -- one name ------------------------------------------------


@pytest.mark.parametrize("receives", [1, 3])
def test_two_runs_of_a_name_do_not_apply_side_by_side(sweep_world: SweepWorld, receives: int) -> None:
    """The second one comes again; where it cannot, it ends refused, and asks for nothing."""
    sweep_world.seed()
    settled: list[bool] = []
    meanwhile(
        sweep_world,
        "PUT requests.json",
        lambda: settled.append(send(sweep_world, "run-2", policy(), receives)),
    )

    assert send(sweep_world, "run-1")

    check_requests(sweep_world)
    assert settled == [receives == 3]
    if receives == 3:
        (end,) = told(sweep_world, "run-2")
        assert refused_or(end) == ["Overlaps"]
        assert "run-1" in end["refusals"][0]["message"]
    else:
        again = summary(sweep_world, "run-2")
        assert (again["outcome"], again["error"]["code"], again["final"]) == ("failed", "Overlaps", False)
        assert send(sweep_world, "run-2", receives=2)
        assert summary(sweep_world, "run-2")["totals"]["requested_before"] == len(PLANNED)
        check_requests(sweep_world)


def test_a_report_waits_for_nobody_and_holds_nothing(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    ended: list[Json] = []
    asked = policy(mode="report", run_id="seen")
    meanwhile(sweep_world, "PUT requests.json", lambda: ended.append(sweep_world.worker()(asked)))

    assert send(sweep_world, "run-1")

    assert ended[0]["outcome"] == "reported"
    check_requests(sweep_world)


def test_the_name_of_a_dead_worker_is_free_after_its_lease(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    dies_after(sweep_world, "PUT report.json")
    send(sweep_world, "run-1")
    sweep_world.aws.restore()

    assert not send(sweep_world, "run-2"), "the dead one may live"
    sweep_world.pass_time(NAME_SECONDS)
    assert send(sweep_world, "run-2", receives=2)

    check_requests(sweep_world, run_id="run-2")


def test_a_run_that_comes_again_takes_its_name_back(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    sweep_world.aws.failures["PutEvents Task Cleanup Requested"] = Failure((500, "InternalFailure"))
    assert not send(sweep_world, "run-1")
    sweep_world.aws.failures.clear()
    sweep_world.pass_time(180)

    assert not send(sweep_world, "run-2")
    assert send(sweep_world, "run-1", receives=2)
    assert send(sweep_world, "run-2", receives=2)

    check_requests(sweep_world)
    assert Counter(sweep_world.requested()) == Counter(PLANNED)


def test_an_apply_of_a_report_that_fails_for_good_gives_its_name_back(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    asked = {"apply_report": new_report(sweep_world), "sha256": summary(sweep_world, "seen")["report"]["sha256"]}
    sweep_world.aws.failures[f"GET {OMS_LEDGER}"] = Failure((403, "AccessDenied"))
    assert not send(sweep_world, "run-1", asked)
    send(sweep_world, "run-1", asked, receives=3)
    assert summary(sweep_world, "run-1")["name"] == "nightly"
    sweep_world.aws.failures.clear()

    assert send(sweep_world, "run-2", asked)

    check_requests(sweep_world, run_id="run-2")


# -- the same tasks ------------------------------------------------


def test_a_task_that_another_run_has_asked_for_waits_until_that_request_is_over(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    assert send(sweep_world, "run-1")

    assert send(sweep_world, "run-2", policy(name="other"))

    second = summary(sweep_world, "run-2")["totals"]
    assert (second["selected"], second["requested_before"]) == (0, len(PLANNED))
    check_requests(sweep_world)
    sweep_world.pass_time(VALID + 60)
    sweep_world.aws.events.clear()
    limits = {"max_tasks": 50, "max_fraction": 1}  # some were too young a day ago
    assert sweep_world.worker()(policy(name="other", run_id="run-3", limits=limits))["outcome"] == "requested"
    assert set(sweep_world.requested()) > PLANNED


@pytest.mark.parametrize("step", ["PUT report.json", f"PUT {OMS_LEDGER}"])
def test_two_names_over_the_same_places_ask_for_every_task_once(sweep_world: SweepWorld, step: str) -> None:
    """The other run does all of its work after this one has listed, and before it asks."""
    sweep_world.seed()
    meanwhile(sweep_world, step, lambda: send(sweep_world, "run-2", policy(name="other")))

    settled = send(sweep_world, "run-1")

    check_requests(sweep_world, run_id="run-2")
    if not settled:
        assert send(sweep_world, "run-1", receives=3)
        assert refused_or(summary(sweep_world, "run-1")) == ["Overlaps"]
    assert Counter(sweep_world.requested()) == Counter(PLANNED)
    assert len(told(sweep_world, "run-1")) == 1


def test_a_run_goes_on_with_tasks_that_it_has_asked_for_itself(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    dies_after(sweep_world, "PUT requests.json")
    send(sweep_world, "run-1")
    sweep_world.aws.restore()
    assert sweep_world.requests() == []
    sweep_world.pass_time(NAME_SECONDS)

    assert send(sweep_world, "run-1", receives=2)

    check_requests(sweep_world)
    check_end(sweep_world)


def test_nights_that_waited_in_a_stopped_queue_ask_once(sweep_world: SweepWorld) -> None:
    """Those of more than a day ago are refused, and of the others the first one asks."""
    sweep_world.seed()
    sent = [queued({**policy()}, f"night-{days}", message_id=f"night-{days}") for days in (4, 3, 2, 0.9, 0.5)]
    for days, event in zip((4, 3, 2, 0.9, 0.5), sent, strict=True):
        record = event["Records"][0]
        body = json.loads(record["body"])
        body["time"] = (NOW - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
        record["body"] = json.dumps(body)

    assert [sweep_world.worker()(event) for event in sent] == [DONE] * 5

    ends = [end for _, end in sweep_world.summaries()]
    assert [[refusal["code"] for refusal in end["refusals"]] for end in ends] == [["Expired"]] * 3 + [[]] * 2
    assert [end["totals"]["requested"] for end in ends] == [0, 0, 0, len(PLANNED), 0]
    assert Counter(sweep_world.requested()) == Counter(PLANNED)


# -- ledgers that fail ------------------------------------------------


def oms_ledger(world: SweepWorld) -> Json:
    ((_, document),) = ledgers(world, "oms").items()
    return document


def ledgers(world: SweepWorld, service: str = "") -> dict[str, Json]:
    return {key: world.aws.document(key) for key in world.aws.objects if key.startswith("ledger/") and service in key}


@pytest.mark.parametrize("mode", ["report", "apply"])
@pytest.mark.parametrize("step", [f"{verb} {name}" for verb in ("GET", "PUT") for name in LEDGERS])
def test_a_ledger_that_cannot_be_read_or_written_is_no_success(sweep_world: SweepWorld, step: str, mode: str) -> None:
    """Without it nobody knows who has asked for what; and once it can be, the run goes on."""
    sweep_world.seed()
    sweep_world.aws.failures[step] = Failure((503, "SlowDown"))

    assert not send(sweep_world, "run-1", policy(mode=mode))
    assert sweep_world.requests() == []
    assert (summary(sweep_world, "run-1")["outcome"], summary(sweep_world, "run-1")["final"]) == ("failed", False)
    sweep_world.aws.failures.clear()
    assert send(sweep_world, "run-1", policy(mode=mode), receives=2)

    assert summary(sweep_world, "run-1")["outcome"] == {"report": "reported", "apply": "requested"}[mode]
    assert len(ledgers(sweep_world)) == 4


def test_where_another_sweep_writes_first_its_sightings_count(sweep_world: SweepWorld) -> None:
    """It saw a task run in between: the task is not as old as this run's first look at it would make it."""
    for number in (1, 2):
        sweep_world.cloud.seed(oms_task(number, 5, None))
    nightly = policy(mode="report", targets=[OMS_TARGET], **BY_SIGHT)
    sweep_world.worker()({**nightly, "run_id": "first"})
    for night in range(2, 8):
        sweep_world.pass_time(NIGHT)
        sweep_world.worker()({**nightly, "run_id": f"night-{night}"})
    sweep_world.pass_time(NIGHT)
    (place,) = sweep_world.cloud.huawei_oms.places.values()

    def other_sweep() -> None:
        place.tasks["1"].status = 4
        sweep_world.worker()({**nightly, "run_id": "other"})
        place.tasks["1"].status = 5

    meanwhile(sweep_world, f"PUT {OMS_LEDGER}", other_sweep)
    ended = sweep_world.worker()({**nightly, "mode": "apply", "run_id": "run-1"})

    assert ended["outcome"] == "requested"
    assert [task_id for _, task_id in sweep_world.requested()] == ["2"]
    first = {task_id: entry[1] for task_id, entry in oms_ledger(sweep_world)["tasks"].items()}
    assert first.keys() == {"2"}, "nobody knows which of the two lists read task 1 last, so it starts anew"


def test_a_list_that_is_not_whole_changes_no_ledger(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    whole = policy(mode="report", targets=[OMS_TARGET])
    sweep_world.worker()({**whole, "run_id": "whole"})
    before = oms_ledger(sweep_world)
    sweep_world.pass_time(NIGHT)

    cut = sweep_world.worker()({**whole, "run_id": "cut", "targets": [{**OMS_TARGET, "limit": 5}]})
    sweep_world.cloud.faults.add("http_error", service="huawei_oms", status=403)
    failed = sweep_world.worker()({**whole, "run_id": "failed"})
    sweep_world.cloud.faults.clear()

    assert [ended["outcome"] for ended in (cut, failed)] == ["reported", "reported"]
    assert [ended["targets"][0]["complete"] for ended in (cut, failed)] == [False, False]
    assert oms_ledger(sweep_world) == before


def test_ages_by_sight_over_nine_nights_of_reports_and_after_a_gap(sweep_world: SweepWorld) -> None:
    """OMS and Alibaba tell no end: nothing of them goes before it was seen for a week, as it is."""
    sweep_world.seed()
    nightly = policy(mode="report", **BY_SIGHT)
    selected: list[dict[str, int]] = []

    def night(run_id: str) -> Json:
        ended: Json = sweep_world.worker()({**nightly, "run_id": run_id})
        assert ended["outcome"] == "reported"
        selected.append({target["service"]: target["counts"]["selected"] for target in ended["targets"]})
        return ended

    for number in range(1, 10):
        ended = night(f"night-{number}")
        if number == 1:
            assert ended["ages_wanting"]["tasks"] > 0
            assert ended["ages_wanting"]["age_from"]["created"] >= 4  # Alibaba's
        assert not any(target["ages_begin_anew"] for target in ended["targets"])
        sweep_world.pass_time(NIGHT)

    assert [(night["oms"], night["elasticsearch"]) for night in selected[:7]] == [(0, 0)] * 7
    assert all(night["oms"] and night["elasticsearch"] for night in selected[7:])
    assert {night["dms"] for night in selected} == {selected[0]["dms"]}
    sweep_world.pass_time(76 * 3600 - NIGHT)
    anew = night("gap")
    assert {target["ages_begin_anew"] for target in anew["targets"]} == {True}
    assert (selected[-1]["oms"], selected[-1]["elasticsearch"]) == (0, 0)


def test_a_ledger_that_is_no_json_makes_tasks_younger_and_is_replaced(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    new_report(sweep_world)
    (key,) = ledgers(sweep_world, "oms")
    sweep_world.aws.objects[key] = S3Object(b"", '"x"', NOW, "application/json")

    assert sweep_world.worker()(policy(run_id="run-1"))["outcome"] == "requested"

    assert oms_ledger(sweep_world)["asked"]


def test_a_list_that_takes_long_does_not_make_a_task_older(
    sweep_world: SweepWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of run a reads SUCCESS, that of b FAILED five minutes later; a's ends, and is noted, after b's.

    The task is SUCCESS again since noon: the next night it has not been as it is for 20 hours.
    """
    select = {"older_than": "PT20H", "age_from": ["seen"]}
    seen = policy(targets=[ES_TARGET], mode="report", select=select, limits={"max_fraction": 1}, protect=None)

    def is_now(status: str) -> None:
        for place in sweep_world.cloud.alibaba_elasticsearch.places.values():
            for task_id in list(place.tasks):
                place.remove(task_id)
        sweep_world.cloud.seed(data_task(1, status, OLD))

    real, first = Lister.list_all, iter([True])

    def slow(self: Lister, *arguments: Any) -> Any:
        found = real(self, *arguments)
        if next(first, False):
            sweep_world.pass_time(300)
            is_now("FAILED")
            sweep_world.worker()({**seen, "name": "b", "run_id": "b"})
            sweep_world.pass_time(300)
        return found

    monkeypatch.setattr(Lister, "list_all", slow)
    is_now("SUCCESS")
    sweep_world.worker()({**seen, "name": "a", "run_id": "a"})
    sweep_world.pass_time(NIGHT / 2)
    is_now("SUCCESS")
    sweep_world.pass_time(NIGHT / 2)

    sweep_world.worker()({**seen, "mode": "apply", "run_id": "c"})

    (task,) = sweep_world.aws.document("reports/c/report.json")["targets"][0]["tasks"]
    assert (task["decision"], sweep_world.requested()) == ("too_young", [])


# -- what was requested stays told ------------------------------------------------


def partly(world: SweepWorld) -> Json:
    """A run with 12 of its 13 requests on the bus."""
    world.seed()
    world.aws.untaken[sorted(PLANNED)[0][1]] = 99
    assert not send(world, "run-1")
    assert summary(world, "run-1")["totals"]["requested"] == len(PLANNED) - 1
    return policy()


STORE = [
    "GET report.json",
    "GET requests.json",
    "PUT summary.json",
    "PUT claim.json",
    "GET claim.json",
    "PUT index.html",
]


@pytest.mark.parametrize("step", STORE)
def test_no_later_word_tells_fewer_requests_than_were_sent(sweep_world: SweepWorld, step: str) -> None:
    partly(sweep_world)
    sweep_world.aws.failures[step] = Failure((503, "SlowDown"))

    for receives in (2, 3):
        send(sweep_world, "run-1", receives=receives)

    for end in [*told(sweep_world, "run-1"), summary(sweep_world, "run-1")]:
        assert end["outcome"] == "failed"
        assert end["totals"]["requested"] == len(set(sweep_world.requested())) == len(PLANNED) - 1


def test_dry_run_between_two_deliveries_hides_no_request(sweep_world: SweepWorld) -> None:
    partly(sweep_world)
    event = queued(policy(), "run-1", message_id="run-1", receives=2)

    assert sweep_world.worker(DRY_RUN="true")(event) == DONE

    (end,) = told(sweep_world, "run-1")
    assert refused_or(end) == ["DryRun"]
    assert (end["totals"]["requested"], end["totals"]["failed"]) == (len(PLANNED) - 1, 1)
    assert end["report"]["json"] == "reports/run-1/report.json"


@pytest.mark.parametrize("verbs", [("GET",), ("GET", "PUT")])
def test_where_the_whole_store_is_down_the_counts_are_unknown(
    sweep_world: SweepWorld, verbs: tuple[str, ...]
) -> None:
    partly(sweep_world)
    for name in ("report.json", "requests.json", "summary.json", "claim.json", "nightly.json", "published.json"):
        for verb in verbs:
            sweep_world.aws.failures[f"{verb} {name}"] = Failure((503, "SlowDown"))

    for receives in (2, 3):
        send(sweep_world, "run-1", receives=receives)

    ends = told(sweep_world, "run-1")
    assert ends
    assert {json.dumps(end["totals"]) for end in ends} == {"null"}
    assert len(set(sweep_world.requested())) == len(PLANNED) - 1
