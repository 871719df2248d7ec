"""A run happens once, whatever happens to its workers, the bucket and the bus; and it does what was planned."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import count
from random import Random
from typing import Any

import pytest
from botocore.config import Config
from hypothesis import given
from hypothesis import strategies as st

from task_cleanup.sweep import handler as sweep_handler
from task_cleanup.sweep.claims import run_id_of
from task_cleanup.validation import RequestValidator
from tests.support.aws import Trouble
from tests.support.functions import request_schema
from tests.support.identities import PROJECT, fake_secret
from tests.support.readable import unreadable
from tests.support.sweep_runs import (
    DAY,
    DONE,
    LATER,
    WIDE,
    again,
    apply,
    check_end,
    check_requests,
    deliver,
    dies_after,
    meanwhile,
    new_report,
    plans,
    refused,
    refused_or,
)
from tests.support.sweep_world import (
    ES_TARGET,
    HUAWEI_DMS_TARGET,
    LEASE_SECONDS,
    OLD,
    OMS_TARGET,
    OTC_DMS_TARGET,
    PLANNED,
    Failure,
    Json,
    S3Object,
    SweepWorld,
    bridge_event,
    message,
    oms_task,
    policy,
)

# -- the run's id ------------------------------------------------

ids = st.text(max_size=200) | st.from_regex(r"[A-Za-z0-9._:/@-]{1,200}", fullmatch=True)


@given(ids, ids)
def test_every_id_of_a_trigger_is_the_id_of_a_run_and_a_part_of_a_key(one: str, other: str) -> None:
    run_id = run_id_of(one)

    assert re.fullmatch("[A-Za-z0-9][A-Za-z0-9._-]{0,127}", run_id)
    assert run_id_of(run_id) == run_id
    assert (run_id == run_id_of(other)) is (one == other)


@pytest.mark.parametrize("text", ["", "..", "../../x", "a/b", "a\n", "\ud83d", "x" * 129, "-", "\u0661", "a b"])
def test_what_is_no_part_of_a_key_is_changed(text: str) -> None:
    run_id = run_id_of(text)
    assert run_id != text
    assert re.fullmatch("[A-Za-z0-9][A-Za-z0-9._-]{0,127}", run_id)
    RequestValidator(request_schema("sweep")).validate(policy(run_id=run_id))


# -- a worker dies ------------------------------------------------


def deaths(sweep_world: SweepWorld, request: Json | None) -> Iterator[tuple[SweepWorld, Json]]:
    """For every call to AWS that a delivery makes: a world in which the worker died at it, and time has passed.

    Without a request, a report is applied.

    It dies after the call was done and before it has the answer. To die before the next call looks the same.
    """
    seen: dict[str, S3Object] = {}
    if request is None:
        request = apply(sweep_world, new_report(again(sweep_world), limits=WIDE, targets=FEW))
        seen = dict(sweep_world.aws.objects)
    for number in count(1):
        world = again(sweep_world)
        world.aws.objects.update(seen)
        world.aws.cut(number, after=True)
        deliver(world.worker(), request)
        if not world.aws.is_cut:
            assert number > 10
            return
        world.aws.restore()
        world.pass_time(LEASE_SECONDS)
        yield world, request


FEW = [OMS_TARGET, OTC_DMS_TARGET]  # each target has two calls more
OMS_PLANNED = frozenset(place for place in PLANNED if place[0] == "huawei_oms")
FEW_PLANNED = frozenset(place for place in PLANNED if place[0] in {"huawei_oms", "otc_dms"})


@pytest.mark.exhaustive
@pytest.mark.timeout(300)
@pytest.mark.parametrize("asked", [policy(limits=WIDE, targets=FEW[:1]), None], ids=["policy", "report"])
def test_a_worker_may_die_at_any_call_to_aws(sweep_world: SweepWorld, asked: Json | None) -> None:
    """The message comes again: exactly the planned tasks are asked for. What was planned is never chosen anew.

    The report is on two targets, so that a worker dies between what it writes for one and for the other. A policy's
    worker makes the same calls for a target.
    """
    all_planned = FEW_PLANNED if asked is None else OMS_PLANNED
    for world, request_ in deaths(sweep_world, asked):
        was_planned = bool(plans(world)) or asked is None
        world.cloud.seed(dict(LATER))

        assert deliver(world.worker(), request_, receives=2) == DONE

        check_requests(world, all_planned if was_planned else all_planned | {("huawei_oms", "2001")})
        check_end(world)
        assert len(plans(world)) == 1
        assert world.aws.messages == []
        seen = list(world.aws.events)
        assert deliver(world.worker(), request_, receives=3) == DONE
        assert world.aws.events == seen


@pytest.mark.exhaustive
def test_two_workers_may_die_one_after_the_other(sweep_world: SweepWorld) -> None:
    random = Random(20261122)
    for _ in range(4):
        world = again(sweep_world)
        for receives in (1, 2):
            world.aws.cut(random.randint(4, 16), after=random.random() < 0.5)
            deliver(world.worker(), policy(), receives=receives)
            world.aws.restore()
            world.pass_time(LEASE_SECONDS)
        assert deliver(world.worker(), policy(), receives=3) == DONE
        check_requests(world)
        check_end(world)
        assert len(plans(world)) == 1


@pytest.mark.exhaustive
def test_a_report_asks_for_nothing_wherever_its_worker_dies(sweep_world: SweepWorld) -> None:
    request = policy(mode="report", targets=[OMS_TARGET])
    for world, _ in deaths(sweep_world, request):
        assert deliver(world.worker(), request, receives=2) == DONE
        assert world.requests() == []
        ends = world.summaries()
        assert {(kind, end["outcome"]) for kind, end in ends} == {("Sweep Completed", "reported")}


def test_a_dead_workers_claim_holds_until_it_cannot_live_any_more(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    sweep_world.aws.cut(8, after=True)
    deliver(sweep_world.worker(), policy())
    sweep_world.aws.restore()
    sweep_world.pass_time(900)
    assert deliver(sweep_world.worker(), policy(), receives=2) != DONE
    assert sweep_world.requests() == []

    sweep_world.pass_time(61)

    assert deliver(sweep_world.worker(), policy(), receives=3) == DONE
    check_requests(sweep_world)


def test_a_plan_that_is_a_day_old_is_not_gone_on_with(sweep_world: SweepWorld) -> None:
    """Half of its requests were sent; the other half would meet another world."""
    sweep_world.seed()
    sweep_world.aws.untaken = {task_id: 99 for _, task_id in sorted(PLANNED)[:5]}
    assert deliver(sweep_world.worker(), policy()) != DONE
    asked = sweep_world.requested()
    assert len(asked) == len(PLANNED) - 5
    sweep_world.aws.untaken = {}
    sweep_world.pass_time(DAY + 1)

    assert deliver(sweep_world.worker(), policy(), receives=2) == DONE

    assert sweep_world.requested() == asked
    ((kind, end),) = sweep_world.summaries()
    assert (kind, [refusal["code"] for refusal in end["refusals"]]) == ("Sweep Refused", ["PlanTooOld"])
    assert "sent before" in end["refusals"][0]["message"]
    assert len(sweep_world.aws.messages) == 1


# -- AWS refuses ------------------------------------------------

STEPS = (
    "GET summary.json",
    "PUT claim.json",
    "GET report.json",
    "PUT nightly.json",
    "GET -.json",
    "PUT -.json",
    "PUT report.json",
    "GET requests.json",
    "PutEvents Task Cleanup Requested",
    "PUT requests.json",
    "PUT index.html",
    "PUT summary.json",
    "PutEvents Sweep Completed",
    "PUT published.json",
)


@pytest.mark.parametrize("step", STEPS)
def test_a_call_that_fails_once_costs_a_delivery_at_most(sweep_world: SweepWorld, step: str) -> None:
    sweep_world.seed()
    sweep_world.aws.failures[step] = Failure((500, "InternalError"), times=1)
    reply = deliver(sweep_world.worker(), policy())
    assert sweep_world.aws.failures[step].times == 0, "the step was not met"

    if reply != DONE:
        sweep_world.pass_time(60)  # a claim was given back: nobody waits for it to run out
        assert deliver(sweep_world.worker(), policy(), receives=2) == DONE

    check_requests(sweep_world)
    assert Counter(sweep_world.requested()).most_common(1)[0][1] <= 2
    check_end(sweep_world)
    assert sweep_world.aws.messages == []


@pytest.mark.parametrize("step", STEPS)
def test_a_call_that_always_fails_never_becomes_a_success(sweep_world: SweepWorld, step: str) -> None:
    sweep_world.seed()
    sweep_world.aws.failures[step] = Failure((403, "AccessDenied"))
    replies = [deliver(sweep_world.worker(), policy(), receives=receives) for receives in (1, 2, 3)]
    assert replies[:2] == [{"batchItemFailures": [{"itemIdentifier": "run-1"}]}] * 2
    assert set(sweep_world.requested()) <= PLANNED
    ends = sweep_world.summaries()
    if step in {"PUT published.json", "GET requests.json"}:  # the end is told, and would be told again
        assert {kind for kind, _ in ends} == {"Sweep Completed"}
        return
    if step == "PutEvents Sweep Completed":
        assert (ends, replies[2]) == ([], replies[0])
        return
    assert replies[2] == DONE
    ((kind, end),) = ends
    assert (kind, end["outcome"], end["error"]["category"]) == ("Sweep Failed", "failed", "unavailable")
    if step == "GET summary.json":
        assert end["totals"] is None, "it cannot be known"
    else:
        assert end["totals"]["requested"] == len(set(sweep_world.requested())), "the end says how much was asked for"

    (moved,) = sweep_world.aws.messages

    assert json.loads(moved["MessageAttributes"]["result"]["StringValue"])["outcome"] == "failed"


def test_a_failed_run_that_is_sent_back_goes_on_where_it_was(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    sweep_world.aws.failures["PUT index.html"] = Failure((403, "AccessDenied"))
    for receives in (1, 2, 3):
        deliver(sweep_world.worker(), policy(), receives=receives)
    sweep_world.aws.failures.clear()
    sweep_world.cloud.seed(dict(LATER))
    before = sweep_world.requested()

    assert deliver(sweep_world.worker(), policy(), message_id="new", attributes={"origin_id": "run-1"}) == DONE

    assert sweep_world.requested() == before
    kind, end = sweep_world.summaries()[-1]
    assert (kind, end["outcome"], end["totals"]["requested"]) == ("Sweep Completed", "requested", len(PLANNED))


def test_a_better_end_is_told_by_a_later_delivery_where_the_first_could_not_tell_it(sweep_world: SweepWorld) -> None:
    """The worse end before it was told already, and that is no reason to keep silent."""
    sweep_world.seed()
    sweep_world.aws.failures["PUT index.html"] = Failure((403, "AccessDenied"))
    deliver(sweep_world.worker(), policy(), receives=3)
    sweep_world.aws.failures = {"PutEvents Sweep Completed": Failure((403, "AccessDenied"), times=1)}

    back = {"message_id": "back", "attributes": {"origin_id": "run-1"}}

    assert deliver(sweep_world.worker(), policy(), **back) != DONE
    assert deliver(sweep_world.worker(), policy(), receives=2, **back) == DONE
    assert [kind for kind, _ in sweep_world.summaries()] == ["Sweep Failed", "Sweep Completed"]


def test_a_page_that_cannot_be_made_does_not_hide_what_was_asked_for(
    sweep_world: SweepWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep_world.seed()

    def no_page(_: object) -> str:
        raise ZeroDivisionError("text that may hold anything")

    monkeypatch.setattr("task_cleanup.sweep.run.page", no_page)
    assert deliver(sweep_world.worker(), policy()) == DONE
    check_requests(sweep_world)
    ((kind, end),) = sweep_world.summaries()
    assert (kind, end["error"]["code"], end["totals"]["requested"]) == ("Sweep Failed", "InternalError", len(PLANNED))
    assert "anything" not in json.dumps(end)
    assert len(sweep_world.aws.messages) == 1


def test_a_slow_bucket_is_an_unavailable_one(sweep_world: SweepWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep_world.seed()
    monkeypatch.setattr(sweep_handler, "_AWS_CONFIG", Config(read_timeout=0.2, retries={"total_max_attempts": 1}))

    sweep_world.aws.failures["PUT report.json"] = Failure(Trouble.SLOW, times=1)

    assert deliver(sweep_world.worker(), policy()) != DONE
    assert sweep_world.requests() == []
    assert deliver(sweep_world.worker(), policy(), receives=2) == DONE
    check_requests(sweep_world)


def test_a_bucket_that_answers_with_something_else_is_no_new_run(sweep_world: SweepWorld) -> None:
    """A page of somebody's proxy where the summary should be: nothing is taken for granted."""
    sweep_world.seed()

    sweep_world.aws.failures["GET summary.json"] = Failure(Trouble.GARBAGE)

    assert deliver(sweep_world.worker(), policy()) != DONE
    assert (sweep_world.requests(), sweep_world.aws.objects) == ([], {})


@pytest.mark.parametrize("step", ["PUT claim.json", "PUT applied.json"])
def test_a_lost_answer_to_a_conditional_put_does_not_lock_the_worker_out(
    sweep_world: SweepWorld, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The library asks again, and meets what its own first try has written."""
    sweep_world.seed()
    key = new_report(sweep_world)
    monkeypatch.setattr(sweep_handler, "_AWS_CONFIG", Config(retries={"mode": "standard", "total_max_attempts": 2}))

    sweep_world.aws.lost[step] = 1

    assert deliver(sweep_world.worker(), apply(sweep_world, key)) == DONE
    check_requests(sweep_world)


def test_a_lost_answer_when_a_claim_is_taken_over_does_not_lock_the_worker_out(
    sweep_world: SweepWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep_world.seed()
    sweep_world.aws.cut(3, after=True)
    deliver(sweep_world.worker(), policy())
    sweep_world.aws.restore()
    sweep_world.pass_time(LEASE_SECONDS)
    monkeypatch.setattr(sweep_handler, "_AWS_CONFIG", Config(retries={"mode": "standard", "total_max_attempts": 2}))

    def second() -> None:  # the first put is "if there is none", the second takes over
        meanwhile(sweep_world, "PUT claim.json", lambda: sweep_world.aws.lost.update({"PUT claim.json": 1}))

    meanwhile(sweep_world, "PUT claim.json", second)
    assert deliver(sweep_world.worker(), policy(), receives=2) == DONE
    check_requests(sweep_world)


# -- the bus takes some ------------------------------------------------


@pytest.mark.parametrize("times", [1, 5])
def test_entries_that_the_bus_did_not_take_are_sent_again_and_no_others(sweep_world: SweepWorld, times: int) -> None:
    sweep_world.seed()

    sweep_world.aws.untaken = {task_id: times for _, task_id in sorted(PLANNED)[::3]}

    assert deliver(sweep_world.worker(), policy()) == DONE
    assert Counter(sweep_world.requested()) == Counter(PLANNED)
    check_end(sweep_world)


def test_what_the_bus_never_took_is_counted_and_asked_for_by_the_next_delivery(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    sweep_world.aws.untaken = {task_id: 6 for _, task_id in sorted(PLANNED)[:4]}  # six rounds
    assert deliver(sweep_world.worker(), policy()) != DONE
    stored = sweep_world.aws.document("reports/run-1/summary.json")
    assert (stored["outcome"], stored["error"]["code"]) == ("failed", "RequestsNotTaken")
    assert (stored["totals"]["requested"], stored["totals"]["failed"]) == (len(PLANNED) - 4, 4)
    assert sweep_world.summaries() == []

    assert deliver(sweep_world.worker(), policy(), receives=2) == DONE

    assert Counter(sweep_world.requested()) == Counter(PLANNED)
    check_end(sweep_world)


def test_without_time_for_requests_none_is_said_to_be_sent(sweep_world: SweepWorld) -> None:
    """The plan is saved, and then the time is over: the next delivery asks."""
    sweep_world.seed()

    def tick(name: str) -> None:
        if name == "PUT report.json":
            sweep_world.pass_time(950)

    sweep_world.aws.on_call = tick
    assert deliver(sweep_world.worker(), policy()) != DONE
    stored = sweep_world.aws.document("reports/run-1/summary.json")
    assert (sweep_world.requests(), stored["totals"]["requested"]) == ([], 0)
    assert stored["totals"]["failed"] == len(PLANNED)
    sweep_world.aws.on_call = lambda _: None
    assert deliver(sweep_world.worker(), policy(), receives=2) == DONE
    assert Counter(sweep_world.requested()) == Counter(PLANNED)


def test_a_list_that_takes_the_time_of_the_requests_is_no_list(sweep_world: SweepWorld) -> None:
    """What it found could not be asked for any more: the run ends with a word for it, and in time."""
    sweep_world.seed()
    seconds = iter([0, 70])  # the claim takes none, and the list 70 of 100
    sweep_world.on_nonce = lambda: sweep_world.pass_time(next(seconds, 0))

    summary = sweep_world.worker()(policy(targets=[OMS_TARGET]), timeout=100)

    assert refused_or(summary) == ["ListFailed"]
    assert sweep_world.requests() == []


def test_requests_leave_time_to_say_which_of_them_were_sent(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    sweep_world.aws.untaken = {"1001": 1}

    def tick(name: str) -> None:
        if name == "PutEvents Task Cleanup Requested":
            sweep_world.pass_time(860)  # of 899 seconds

    sweep_world.aws.on_call = tick
    assert deliver(sweep_world.worker(), policy(targets=[OMS_TARGET])) != DONE
    stored = sweep_world.aws.document("reports/run-1/summary.json")
    assert (stored["totals"]["requested"], stored["totals"]["failed"]) == (2, 1)
    assert len(sweep_world.requests()) == 2


# -- two workers ------------------------------------------------


@pytest.mark.parametrize("step", ["GET report.json", "PUT report.json", "PUT requests.json", "PUT summary.json"])
def test_a_second_delivery_while_the_first_is_at_it_comes_again(sweep_world: SweepWorld, step: str) -> None:
    sweep_world.seed()
    other = sweep_world.worker()
    replies = []

    meanwhile(sweep_world, step, lambda: replies.append(deliver(other, policy())))

    assert deliver(sweep_world.worker(), policy()) == DONE
    assert replies == [{"batchItemFailures": [{"itemIdentifier": "run-1"}]}]
    assert Counter(sweep_world.requested()) == Counter(PLANNED)
    check_end(sweep_world)


@pytest.mark.parametrize("mode", ["apply", "report"])
def test_a_run_that_ends_between_the_look_and_the_claim_is_not_done_again(sweep_world: SweepWorld, mode: str) -> None:
    sweep_world.seed()
    other, request = sweep_world.worker(), policy(mode=mode)

    meanwhile(sweep_world, "PUT claim.json", lambda: deliver(other, request))

    assert deliver(sweep_world.worker(), request) == DONE
    assert Counter(sweep_world.requested()) == (Counter(PLANNED) if mode == "apply" else Counter())
    assert len(list(sweep_world.written("report.json"))) == 1
    assert len(sweep_world.summaries()) == 1


def test_a_refused_run_is_not_tried_by_a_delivery_that_looked_too_early(sweep_world: SweepWorld) -> None:
    """It would find the world of now, in which the limits hold."""
    sweep_world.seed()
    extra = oms_task(3001, 5, OLD)
    sweep_world.cloud.seed(dict(extra))
    other = sweep_world.worker()

    def first() -> None:
        deliver(other, policy())
        sweep_world.cloud.huawei_oms.places[(PROJECT,)].remove("3001")

    meanwhile(sweep_world, "PUT claim.json", first)
    deliver(sweep_world.worker(), policy())
    assert sweep_world.requests() == []
    assert {kind for kind, _ in sweep_world.summaries()} == {"Sweep Refused"}


ANOTHER: dict[str, Any] = {
    "name": "another",
    "mode": "report",
    "targets": [OMS_TARGET],
    "select": {"older_than": "P1D", "running_since": "started"},
    "protect": {"names": ["*prod*"]},
    "limits": {"max_tasks": 100, "max_fraction": 1},
    "stop_running": True,
}
STOPPING = {"select": {**policy()["select"], "running_since": "started"}}


@pytest.mark.parametrize(("member", "receives"), [*((member, 2) for member in ANOTHER), ("select", 1)])
def test_the_same_run_id_with_another_policy_is_refused(sweep_world: SweepWorld, member: str, receives: int) -> None:
    """Another in any of its members."""
    sweep_world.seed()
    worker = sweep_world.worker()
    assert deliver(worker, policy()) == DONE
    before = dict(sweep_world.aws.objects)
    change = {member: ANOTHER[member], **(STOPPING if member == "stop_running" else {})}
    assert deliver(worker, policy(**change), receives=receives) == DONE

    kind, end = sweep_world.summaries()[-1]

    assert (kind, [refusal["code"] for refusal in end["refusals"]]) == ("Sweep Refused", ["RunIdReused"])
    assert sweep_world.aws.objects == before
    assert Counter(sweep_world.requested()) == Counter(PLANNED)


def test_another_policy_does_not_take_over_a_dead_workers_run(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    sweep_world.aws.cut(9, after=True)
    deliver(sweep_world.worker(), policy())
    sweep_world.aws.restore()
    sweep_world.pass_time(LEASE_SECONDS)

    deliver(sweep_world.worker(), policy(protect=None, limits={"max_fraction": 1}))

    assert sweep_world.requests() == []
    assert deliver(sweep_world.worker(), policy(), receives=2) == DONE
    check_requests(sweep_world)


def test_only_one_of_two_workers_takes_over_a_dead_workers_claim(sweep_world: SweepWorld) -> None:
    """Both have seen that the lease is over."""
    sweep_world.seed()
    sweep_world.aws.cut(3, after=True)
    deliver(sweep_world.worker(), policy())
    sweep_world.aws.restore()
    sweep_world.pass_time(LEASE_SECONDS)
    other = sweep_world.worker()

    def taken_over() -> None:
        sweep_world.aws.cut(
            6, after=True
        )  # the other worker has taken over the claim, and is heard of no more for now
        deliver(other, policy(), receives=2)
        sweep_world.aws.restore()

    def second() -> None:  # the first put is "if there is none", the second takes over
        meanwhile(sweep_world, "PUT claim.json", taken_over)

    meanwhile(sweep_world, "PUT claim.json", second)
    assert deliver(sweep_world.worker(), policy(), receives=3) != DONE
    assert sweep_world.requests() == []


def test_a_worker_that_outlived_its_lease_gives_no_claim_back(sweep_world: SweepWorld) -> None:
    """By then the claim is another worker's: a third one that took it would work beside it."""
    sweep_world.seed()
    second = sweep_world.worker()

    def taken_over() -> None:
        sweep_world.pass_time(LEASE_SECONDS)
        sweep_world.aws.cut(
            6, after=True
        )  # the second worker has taken over the claim, and is heard of no more for now
        deliver(second, policy(), receives=2)
        assert "PUT claim.json" in sweep_world.aws.names
        sweep_world.aws.restore()

    meanwhile(sweep_world, "PUT report.json", taken_over)
    assert deliver(sweep_world.worker(), policy()) != DONE
    assert deliver(sweep_world.worker(), policy(), receives=3) != DONE
    assert sweep_world.requests() == []
    sweep_world.pass_time(LEASE_SECONDS)
    assert deliver(sweep_world.worker(), policy(), receives=4) == DONE
    assert Counter(sweep_world.requested()) == Counter(PLANNED)


# -- guards ------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "codes"),
    [
        ({"max_tasks": 12, "max_fraction": 0.6}, {"TooManyTasks"}),
        ({"max_tasks": 0, "max_fraction": 1}, {"TooManyTasks"}),
        ({"max_tasks": 13, "max_fraction": 0.59}, {"FractionTooHigh"}),  # of two targets with 3 of 5
        ({"max_tasks": 13, "max_fraction": 0}, {"FractionTooHigh"}),
        ({"max_fraction": 0.4}, {"FractionTooHigh"}),
        ({}, {"FractionTooHigh"}),
    ],
)
def test_one_task_over_a_limit_and_nothing_is_asked_for(
    sweep_world: SweepWorld, limits: Json, codes: set[str]
) -> None:
    sweep_world.seed()

    assert set(refused(sweep_world, policy(limits=limits))) == codes


def test_a_report_says_what_would_speak_against_it(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    report = sweep_world.worker()(policy(limits={"max_tasks": 12, "max_fraction": 0.4}, mode="report"))

    found = [(refusal["code"], refusal["target"]) for refusal in report["refusals"]]

    assert report["outcome"] == "reported"
    assert found == [
        ("FractionTooHigh", None),
        ("TooManyTasks", None),
        ("FractionTooHigh", 1),
        ("FractionTooHigh", 2),
        ("FractionTooHigh", 3),
    ]


def test_exactly_at_the_limits_is_allowed(sweep_world: SweepWorld) -> None:
    sweep_world.seed()

    assert sweep_world.worker()(policy(), request_id="run-1")["outcome"] == "requested"
    check_requests(sweep_world)


@pytest.mark.parametrize("gone", ["secret", "instance", "provider"])
def test_a_target_that_cannot_be_listed_refuses_an_apply(sweep_world: SweepWorld, gone: str) -> None:
    sweep_world.seed()
    if gone == "secret":
        del sweep_world.aws.secrets["task-cleanup/otc/default"]
    elif gone == "instance":
        sweep_world.cloud.otc_dms.clear()
    else:
        sweep_world.cloud.faults.add("error", service="otc_dms", status=403, code="APIGW.0304")
    assert refused(sweep_world, policy()) == ["ListFailed"]

    wide = {"max_tasks": 500, "max_fraction": 1, "allow_incomplete": True}
    summary = sweep_world.worker()(policy(limits=wide), request_id="run-1")
    assert summary["outcome"] == "requested"
    assert [target["complete"] for target in summary["targets"]] == [True, True, True, False]
    check_requests(sweep_world, frozenset(place for place in PLANNED if place[0] != "otc_dms"))


def test_a_list_that_a_limit_cut_refuses_an_apply(sweep_world: SweepWorld) -> None:
    sweep_world.seed()

    targets = [{**OMS_TARGET, "limit": 10}, ES_TARGET]

    assert refused(sweep_world, policy(targets=targets, limits={"max_fraction": 1})) == ["ListIncomplete"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (OMS_TARGET, {**OMS_TARGET, "project_id": PROJECT}),
        (OMS_TARGET, {**OMS_TARGET, "limit": 9}),
        (OMS_TARGET, {**OMS_TARGET, "account": "second"}),
        (ES_TARGET, {**ES_TARGET, "account": "second"}),
        (OTC_DMS_TARGET, {**OTC_DMS_TARGET, "instance_id": OTC_DMS_TARGET["instance_id"].upper()}),
    ],
)
def test_a_target_by_another_name_counts_as_a_repetition(sweep_world: SweepWorld, one: Json, other: Json) -> None:
    sweep_world.seed()
    for provider in ("huawei", "alibaba"):
        sweep_world.aws.secrets[f"task-cleanup/{provider}/second"] = sweep_world.aws.secrets[
            f"task-cleanup/{provider}/default"
        ]
    instance = sweep_world.cloud.otc_dms.places[PROJECT, OTC_DMS_TARGET["instance_id"]]
    sweep_world.cloud.otc_dms.places[PROJECT, OTC_DMS_TARGET["instance_id"].upper()] = instance

    limits = {"max_fraction": 1, "allow_incomplete": True}

    assert refused(sweep_world, policy(targets=[one, other], limits=limits)) == ["SameTarget"]


def test_two_projects_of_one_region_are_two_targets(sweep_world: SweepWorld) -> None:
    other = "f" * 32
    key = fake_secret("huawei")
    del key["project_id"]
    sweep_world.cloud.add_key("huawei", **key)  # of no project, so it may use both
    sweep_world.put_secret("huawei", {**key, "project_id": other}, "second")
    sweep_world.cloud.seed(oms_task(1, 5, OLD))
    sweep_world.cloud.seed({**oms_task(1, 5, OLD), "project_id": other})
    targets = [OMS_TARGET, {**OMS_TARGET, "account": "second"}]
    summary = sweep_world.worker()(policy(targets=targets, limits={"max_fraction": 1}))
    assert (summary["outcome"], summary["refusals"]) == ("requested", [])

    asked = {(request["account"], request["project_id"], request["task_id"]) for request in sweep_world.requests()}

    assert asked == {("default", PROJECT, "1"), ("second", other, "1")}


def test_the_same_target_twice_is_not_a_valid_policy(sweep_world: SweepWorld) -> None:
    assert refused(sweep_world, policy(targets=[OMS_TARGET, {**OMS_TARGET, "account": "default"}])) == [
        "SchemaViolation"
    ]
    assert sweep_world.cloud.journal.entries() == []


def test_an_account_that_nobody_stored_is_named_with_its_target(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    summary = sweep_world.worker()(policy(targets=[OMS_TARGET, {**OMS_TARGET, "account": "typo"}]))
    (refusal,) = (one for one in summary["refusals"] if one["code"] == "ListFailed")
    assert refusal["target"] == 1
    assert refusal["message"] == (
        "/targets/1 (huawei oms cn-north-4 account typo): the list failed: SecretNotFound, no credentials are stored "
        "for this account: there is no secret task-cleanup/huawei/typo"
    )

    error = summary["targets"][1]["error"]

    assert (error["category"], error["code"]) == ("invalid_request", "SecretNotFound")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("name: nightly\nselect:\n  older_than: P7D", "looks like YAML"),
        ("{'name': 'nightly'}", "line 1, column 2: JSON wants double quotes"),
        ('{"name": "nightly",}', "a comma before a closing bracket"),
        ('{"name": "nightly", "name": "weekly"}', 'the name "name" comes twice'),
        ('{"name": "nightly", "select": {"older_than": "7d"}}', "/targets is required, and must be an array"),
    ],
)
def test_a_policy_with_a_mistake_in_it_is_told_where(sweep_world: SweepWorld, text: str, hint: str) -> None:
    """The stack's parameter comes as text, in the event that the schedule puts into the queue."""
    assert sweep_world.worker()(message(bridge_event(text))) == DONE
    ((_, summary),) = sweep_world.summaries()

    (refusal,) = summary["refusals"]

    assert hint in refusal["message"]
    assert unreadable(refusal["message"]) == []


def test_two_failed_lists_are_not_taken_for_one_place(sweep_world: SweepWorld) -> None:
    """Without their secrets, nobody knows their projects; and there is nothing that could count twice."""
    sweep_world.seed()
    targets = [OMS_TARGET, {**OMS_TARGET, "account": "gone-1"}, {**OMS_TARGET, "account": "gone-2"}]
    assert refused(sweep_world, policy(targets=targets)) == ["ListFailed", "ListFailed"]

    limits = {"allow_incomplete": True}

    assert sweep_world.worker()(policy(targets=targets, limits=limits))["outcome"] == "requested"


def test_a_rejected_key_costs_one_bad_signature_however_many_targets(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    sweep_world.rotate_key("huawei")
    other = "b9f1c1de-5b1a-4f0c-9e0e-3d2f7f6f1a"

    targets = [OMS_TARGET, *({**HUAWEI_DMS_TARGET, "instance_id": f"{other}{number}"} for number in range(10, 22))]

    assert refused(sweep_world, policy(targets=targets)) == ["ListFailed"] * 13
    assert sum(entry.signature_ok is False for entry in sweep_world.cloud.journal.entries()) == 1


@pytest.mark.parametrize(
    "code", ['{"error_code": "APIGW.9999"}', '{"error": {"code": 401, "title": "Unauthorized"}}', ""]
)
def test_a_rejection_of_unknown_meaning_costs_two_bad_signatures_however_many_projects(
    sweep_world: SweepWorld, code: str
) -> None:
    """In one project it may be about the project. In a second one it is about the key, which is then left alone."""
    sweep_world.seed()
    sweep_world.cloud.faults.add("http_error", service="huawei_oms", status=401, body=code)

    targets = [{**OMS_TARGET, "project_id": f"{number:032x}"} for number in range(1, 21)]

    assert refused(sweep_world, policy(targets=targets)) == ["ListFailed"] * 20
    assert len(sweep_world.arrived("huawei.oms.ListTasks")) == 2


def test_accounts_that_share_a_key_share_its_one_bad_signature(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    for number in range(12):
        sweep_world.put_secret(
            "huawei", {**fake_secret("huawei"), "project_id": f"{number:032x}"}, f"project-{number}"
        )
    sweep_world.rotate_key("huawei")

    targets = [{**OMS_TARGET, "account": f"project-{number}"} for number in range(12)]

    assert refused(sweep_world, policy(targets=targets)) == ["ListFailed"] * 12
    assert sum(entry.signature_ok is False for entry in sweep_world.cloud.journal.entries()) == 1


def test_a_good_key_does_not_let_another_accounts_bad_key_be_tried_more_than_once(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    sweep_world.put_secret("huawei", {**fake_secret("huawei"), "secret_access_key": "testSecretFakeWrong"}, "other")
    places = [{**OMS_TARGET, "account": "other", "project_id": f"{number:032x}"} for number in range(1, 13)]

    assert refused(sweep_world, policy(targets=[OMS_TARGET, *places])) == ["ListFailed"] * 12
    assert sum(entry.signature_ok is False for entry in sweep_world.cloud.journal.entries()) == 1


def test_a_project_that_rejects_the_key_does_not_keep_others_from_being_listed(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    sweep_world.cloud.faults.add("http_error", service="huawei_oms", status=401, count=1)
    targets = [
        {**OMS_TARGET, "project_id": "f" * 32},
        OMS_TARGET,
        {**OMS_TARGET, "project_id": "f" * 32, "region": "cn-east-3"},
    ]
    summary = sweep_world.worker()(policy(mode="report", targets=targets))

    codes = [target["error"] and target["error"]["code"] for target in summary["targets"]]

    assert codes == ["Http401", None, "CredentialSuspended"]


def test_nothing_found_is_a_run_that_asks_for_nothing(sweep_world: SweepWorld) -> None:
    summary = sweep_world.worker()(policy(targets=[OMS_TARGET]))

    assert (summary["outcome"], summary["totals"]["found"], sweep_world.requests()) == ("requested", 0, [])


def test_half_a_surrogate_pair_in_a_name_breaks_nothing(sweep_world: SweepWorld) -> None:
    """JSON can hold it, and no encoding takes it."""
    sweep_world.seed()

    sweep_world.cloud.seed(oms_task(4001, 5, OLD, "tmp \ud83d"))

    assert deliver(sweep_world.worker(), policy(limits=WIDE)) == DONE
    check_requests(sweep_world, PLANNED | {("huawei_oms", "4001")})
    check_end(sweep_world)


# -- stop_running ------------------------------------------------


@pytest.mark.parametrize(
    ("statuses", "stop", "stopped"),
    [
        (["succeeded", "running"], True, {"1004"}),
        (["succeeded", "running"], False, set()),
        (["succeeded"], True, set()),
        (["running"], True, {"1004"}),
    ],
)
def test_stop_running_is_asked_for_tasks_that_were_listed_running_only(
    sweep_world: SweepWorld, statuses: list[str], stop: bool, stopped: set[str]
) -> None:
    sweep_world.seed()
    select = {**policy()["select"], "statuses": statuses}
    summary = sweep_world.worker()(policy(select=select, stop_running=stop, limits={"max_fraction": 1}))
    assert summary["outcome"] == "requested"
    assert {request["task_id"] for request in sweep_world.requests() if "stop_running" in request} == stopped
    assert {task_id for _, task_id in sweep_world.requested()} >= stopped

    running = {seed["task_id"] for seed in (oms_task(1004, 2, OLD),)}

    assert running & {task_id for _, task_id in sweep_world.requested()} == stopped


# -- an unknown age ------------------------------------------------

AGELESS: dict[str, Any] = {
    "plain": lambda request: message(request, message_id="run-1"),
    "plain, sent back": lambda request: message(request, message_id="x", attributes={"origin_id": "run-1"}),
    "event without a time": lambda request: message({**bridge_event(request, "run-1"), "time": None}),
    "event from the future": lambda request: message(
        {**bridge_event(request, "run-1"), "time": "2099-01-01T00:00:00Z"}
    ),
    "event from the future, straight": lambda request: {
        **bridge_event(request, "run-1"),
        "time": "2099-01-01T00:00:00Z",
    },
}


def test_an_apply_that_was_first_sent_more_than_a_day_ago_is_refused(sweep_world: SweepWorld) -> None:
    """Its policy is as old: a name that is protected since is not in it."""
    sweep_world.seed()
    old = {**bridge_event(policy(), "run-1"), "time": "2026-11-20T08:30:00Z"}
    assert sweep_world.worker()(message(old)) == DONE
    ((kind, end),) = sweep_world.summaries()
    assert (kind, [refusal["code"] for refusal in end["refusals"]]) == ("Sweep Refused", ["Expired"])
    assert (sweep_world.requests(), sweep_world.cloud.journal.entries()) == ([], [])
    young = {**bridge_event(policy(), "run-2"), "time": "2026-11-20T08:32:00Z"}

    sweep_world.worker()(message(young))

    assert {request["correlation_id"] for request in sweep_world.requests()} == {"run-2"}


def test_a_refused_apply_that_is_sent_back_after_a_day_is_refused(sweep_world: SweepWorld) -> None:
    """It would list anew, and carry out a policy that is as old."""
    sweep_world.seed()
    sweep_world.cloud.otc_dms.clear()
    limits = {"max_tasks": 100, "max_fraction": 1}
    assert deliver(sweep_world.worker(), policy(limits=limits), receives=3) == DONE
    sweep_world.seed()
    sent_back = {"attributes": {"origin_id": "run-1"}, "message_id": "back"}
    sweep_world.pass_time(DAY + 60)

    assert deliver(sweep_world.worker(), policy(limits=limits), **sent_back) == DONE

    codes = [[refusal["code"] for refusal in end["refusals"]] for _, end in sweep_world.summaries()]
    assert codes == [["ListFailed"], ["Expired"]]
    assert sweep_world.requests() == []


def test_an_apply_from_the_future_is_not_young_when_that_time_has_come(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    soon = {**bridge_event(policy(), "run-1"), "time": "2026-11-23T08:31:00Z"}
    sweep_world.worker()(message(soon))
    (moved,) = sweep_world.aws.messages
    attributes = {name: item["StringValue"] for name, item in moved["MessageAttributes"].items()}
    sweep_world.pass_time(2 * 86400 + 60)

    sweep_world.worker()(message(soon, message_id="redriven", attributes=attributes))

    assert [refusal["code"] for refusal in sweep_world.summaries()[-1][1]["refusals"]] == ["Expired"]
    assert sweep_world.requests() == []


@pytest.mark.parametrize("what", ["policy", "report"])
@pytest.mark.parametrize("form", AGELESS)
def test_an_apply_of_unknown_age_is_refused_before_anything_is_listed(
    sweep_world: SweepWorld, form: str, what: str
) -> None:
    """It may have waited for weeks in the dead-letter queue, and its policy with it."""
    sweep_world.seed()
    request = policy() if what == "policy" else apply(sweep_world, new_report(sweep_world, limits=WIDE))
    sweep_world.cloud.journal.clear()
    before = dict(sweep_world.aws.objects)

    sweep_world.worker()(AGELESS[form](request))

    ((kind, end),) = sweep_world.summaries()
    (refusal,) = end["refusals"]
    assert (kind, end["outcome"], end["mode"], end["run_id"]) == ("Sweep Refused", "refused", "apply", "run-1")
    assert refusal["code"] == "SentTimeUnknown"
    assert "the shape of an EventBridge event" in refusal["message"]
    assert (sweep_world.requests(), sweep_world.cloud.journal.entries(), sweep_world.aws.objects) == ([], [], before)
    for moved in sweep_world.aws.messages:
        times = [item["StringValue"] for name, item in moved["MessageAttributes"].items() if name == "origin_time"]
        assert [time[:16] for time in times] == (["2026-11-21T08:31"] if "future" in form else []), "unknown stays so"
    assert len(sweep_world.aws.messages) == (form != "event from the future, straight")

    assert deliver(sweep_world.worker(), request) == DONE, "with its time it is taken, under the same run id"
    check_requests(sweep_world)


def test_a_report_may_be_of_unknown_age(sweep_world: SweepWorld) -> None:
    sweep_world.seed()

    assert sweep_world.worker()(message(policy(mode="report"))) == DONE
    assert sweep_world.summaries()[0][1]["outcome"] == "reported"


def test_what_a_dry_run_stack_makes_a_report_of_may_be_of_unknown_age(sweep_world: SweepWorld) -> None:
    sweep_world.seed()

    assert sweep_world.worker(DRY_RUN="true")(message(policy())) == DONE
    assert sweep_world.summaries()[0][1]["outcome"] == "reported"
    assert sweep_world.requests() == []


def test_a_run_that_is_over_is_not_refused_when_it_comes_again_without_its_time(sweep_world: SweepWorld) -> None:
    """Its end stands, and nobody is told another one."""
    sweep_world.seed()

    assert deliver(sweep_world.worker(), policy()) == DONE
    assert sweep_world.worker()(message(policy(), message_id="run-1")) == DONE
    check_end(sweep_world)
    check_requests(sweep_world)


# -- DRY_RUN ------------------------------------------------


def test_dry_run_makes_a_report_of_an_apply(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    assert deliver(sweep_world.worker(DRY_RUN="true"), policy()) == DONE

    ((kind, end),) = sweep_world.summaries()

    assert (kind, end["outcome"], end["mode"], end["dry_run"]) == ("Sweep Completed", "reported", "apply", True)
    assert (sweep_world.requests(), end["totals"]["selected"]) == ([], len(PLANNED))


@pytest.mark.parametrize("step", ["PUT report.json", "PUT requests.json", "PutEvents Task Cleanup Requested"])
def test_dry_run_stops_a_run_that_another_worker_had_begun(sweep_world: SweepWorld, step: str) -> None:
    """Sent back when it is lifted, it goes on."""
    sweep_world.seed()
    dies_after(sweep_world, step)
    deliver(sweep_world.worker(), policy())
    sweep_world.aws.restore()
    sweep_world.pass_time(LEASE_SECONDS)
    before = sweep_world.requested()

    assert deliver(sweep_world.worker(DRY_RUN="true"), policy(), receives=2) == DONE

    assert sweep_world.requested() == before
    ((kind, end),) = sweep_world.summaries()
    assert (kind, [refusal["code"] for refusal in end["refusals"]]) == ("Sweep Refused", ["DryRun"])
    assert len(sweep_world.aws.messages) == 1
    sent_back = {"attributes": {"origin_id": "run-1"}, "message_id": "back"}  # its body tells its time
    assert deliver(sweep_world.worker(DRY_RUN="false"), policy(), **sent_back) == DONE
    check_requests(sweep_world)
    assert sweep_world.summaries()[-1][1]["outcome"] == "requested"


def test_an_apply_that_is_refused_after_its_plan_was_marked_goes_on_when_it_is_sent_back(
    sweep_world: SweepWorld,
) -> None:
    """The report's mark and the ledger's are its own: they keep nobody but other runs away."""
    sweep_world.seed()
    asked = apply(sweep_world, new_report(sweep_world))
    dies_after(sweep_world, "PUT applied.json")
    deliver(sweep_world.worker(), asked)
    sweep_world.aws.restore()
    sweep_world.pass_time(LEASE_SECONDS)
    assert deliver(sweep_world.worker(DRY_RUN="true"), asked, receives=2) == DONE
    assert [refusal["code"] for refusal in sweep_world.summaries()[-1][1]["refusals"]] == ["DryRun"]

    sent_back = {"attributes": {"origin_id": "run-1"}, "message_id": "back"}
    assert deliver(sweep_world.worker(DRY_RUN="false"), asked, **sent_back) == DONE

    assert sweep_world.summaries()[-1][1]["outcome"] == "requested"
    check_requests(sweep_world)


def test_dry_run_makes_a_report_of_an_applied_report_that_is_no_plan_of_its_own(sweep_world: SweepWorld) -> None:
    """A plan is carried out once: not under the name of its copy as well."""
    sweep_world.seed()
    key = new_report(sweep_world)

    copied = sweep_world.worker(DRY_RUN="true")({**apply(sweep_world, key), "run_id": "copy"})

    assert (copied["outcome"], copied["dry_run"], copied["plan_of"]) == ("reported", True, key)
    assert sweep_world.requests() == []
    assert refused(sweep_world, apply(sweep_world, copied["report"]["json"]), DRY_RUN="false") == ["ReportNotAPlan"]
    assert sweep_world.worker()({**apply(sweep_world, key), "run_id": "run-1"})["outcome"] == "requested"
    check_requests(sweep_world)
