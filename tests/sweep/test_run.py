"""A run happens once, whatever happens to its workers, the bucket and the bus; and it does what was planned."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from random import Random
from typing import Any

import pytest
from botocore.config import Config
from hypothesis import given
from hypothesis import strategies as st

from task_cleanup.sweep import handler as sweep_handler
from task_cleanup.sweep.plan import LIFETIME
from task_cleanup.sweep.run import run_id_of
from task_cleanup.times import rfc3339
from task_cleanup.validation import RequestValidator
from tests.support.aws import Trouble
from tests.support.functions import request_schema
from tests.support.identities import PROJECT, fake_secret
from tests.support.readable import unreadable
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
    Worker,
    bridge_event,
    check_shape,
    message,
    oms_task,
    policy,
    queued,
)

DONE: Json = {"batchItemFailures": []}
LATER = oms_task(2001, 5, OLD, "tmp-later")  # old enough, and found by whoever looks once more
WIDE = {"max_tasks": 14, "max_fraction": 0.6}
DAY = LIFETIME.total_seconds()


def deliver(worker: Worker, request: object, **more: Any) -> Any:
    """A message of the queue, of one run."""
    return worker(queued(request, "run-1", **{"message_id": "run-1", **more}))


def again(sweep_world: SweepWorld) -> SweepWorld:
    """Another world on the same servers."""
    sweep_world.check_documents()
    sweep_world.summaries()
    fresh = SweepWorld(sweep_world.cloud, sweep_world.aws, sweep_world.monkeypatch, sweep_world.capsys)
    fresh.seed()
    return fresh


def check_requests(
    sweep_world: SweepWorld, planned: frozenset[tuple[str, str]] = PLANNED, run_id: str = "run-1"
) -> None:
    """Exactly these tasks were asked for; what was asked twice was asked in the same words."""
    assert set(sweep_world.requested()) == planned
    words: dict[tuple[str, str], set[str]] = {}
    for place, request in zip(sweep_world.requested(), sweep_world.requests(), strict=True):
        words.setdefault(place, set()).add(json.dumps(request, sort_keys=True))
        assert request["correlation_id"] == run_id
    assert {len(different) for different in words.values()} <= {1}


def check_end(sweep_world: SweepWorld, run_id: str = "run-1") -> Json:
    """One end was published, however often; it stands in the bucket, too."""
    ends = sweep_world.summaries()
    assert ends
    assert {(kind, end["outcome"], end["run_id"]) for kind, end in ends} == {("Sweep Completed", "requested", run_id)}
    assert ends[-1][1] == sweep_world.aws.document(f"reports/{run_id}/summary.json")
    end = ends[-1][1]
    assert (end["totals"]["selected"], end["totals"]["requested"], end["totals"]["failed"]) == (
        len(set(sweep_world.requested())),
        len(set(sweep_world.requested())),
        0,
    )
    return end


def plans(sweep_world: SweepWorld) -> set[str]:
    """The different plans that were saved to be carried out."""
    return {
        json.dumps([target["tasks"] for target in report["targets"]])
        for report in sweep_world.written("report.json")
        if report["outcome"] == "planned"
    }


def new_report(sweep_world: SweepWorld, run_id: str = "seen", **changes: Any) -> str:
    """A report of the policy, saved; its key."""
    summary = sweep_world.worker()(policy(mode="report", run_id=run_id, **changes))
    assert summary["outcome"] == "reported"
    key: str = summary["report"]["json"]
    return key


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


def deaths(sweep_world: SweepWorld, request: Json) -> Iterator[SweepWorld]:
    """For every call to AWS that a delivery makes: a world in which the worker died at it, and time has passed.

    It dies after the call was done and before it has the answer. To die before the next call looks the same.
    """
    seen: dict[str, S3Object] = {}
    if "apply_report" in request:
        new_report(again(sweep_world), limits=WIDE)
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
        yield world


@pytest.mark.exhaustive
@pytest.mark.parametrize("request_", [policy(limits=WIDE), {"apply_report": "reports/seen/report.json"}])
def test_a_worker_may_die_at_any_call_to_aws(sweep_world: SweepWorld, request_: Json) -> None:
    """The message comes again: exactly the planned tasks are asked for. What was planned is never chosen anew."""
    for world in deaths(sweep_world, request_):
        was_planned = bool(plans(world)) or "apply_report" in request_
        world.cloud.seed(dict(LATER))

        assert deliver(world.worker(), request_, receives=2) == DONE

        check_requests(world, PLANNED if was_planned else PLANNED | {("huawei_oms", "2001")})
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
    for world in deaths(sweep_world, request):
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
    if step == "PUT published.json":  # the end is told, and would be told again
        assert {kind for kind, _ in ends} == {"Sweep Completed"}
        return
    if step == "PutEvents Sweep Completed":
        assert (ends, replies[2]) == ([], replies[0])
        return
    assert replies[2] == DONE
    ((kind, end),) = ends
    assert (kind, end["outcome"], end["error"]["category"]) == ("Sweep Failed", "failed", "unavailable")
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

    assert deliver(sweep_world.worker(), {"apply_report": key}) == DONE
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


def meanwhile(sweep_world: SweepWorld, step: str, happens: Any) -> None:
    """Something happens just before the first call of this name is done."""

    def look(name: str) -> None:
        if name == step:
            sweep_world.aws.on_call = lambda _: None
            happens()

    sweep_world.aws.on_call = look


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
    "select": {"older_than": "P1D"},
    "protect": {"names": ["*prod*"]},
    "limits": {"max_tasks": 100, "max_fraction": 1},
    "stop_running": True,
}


@pytest.mark.parametrize(("member", "receives"), [*((member, 2) for member in ANOTHER), ("select", 1)])
def test_the_same_run_id_with_another_policy_is_refused(sweep_world: SweepWorld, member: str, receives: int) -> None:
    """Another in any of its members."""
    sweep_world.seed()
    worker = sweep_world.worker()
    assert deliver(worker, policy()) == DONE
    before = dict(sweep_world.aws.objects)
    assert deliver(worker, policy(**{member: ANOTHER[member]}), receives=receives) == DONE

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


def refused(sweep_world: SweepWorld, request: Json, **variables: str) -> list[str]:
    """The codes of a refusal, which asks for nothing."""
    asked = len(sweep_world.requests())
    summary = sweep_world.worker(**variables)(request)
    check_shape(summary)
    assert summary["outcome"] == "refused"
    assert len(sweep_world.requests()) == asked
    return [refusal["code"] for refusal in summary["refusals"]]


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
    select = {"older_than": "P7D", "statuses": statuses}
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
    request = policy() if what == "policy" else {"apply_report": new_report(sweep_world, limits=WIDE)}
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


@pytest.mark.parametrize("number", range(9, 13))
def test_dry_run_stops_a_run_that_another_worker_had_begun(sweep_world: SweepWorld, number: int) -> None:
    """Sent back when it is lifted, it goes on."""
    sweep_world.seed()
    sweep_world.aws.cut(number, after=True)
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


def test_dry_run_makes_a_report_of_an_applied_report_that_is_no_plan_of_its_own(sweep_world: SweepWorld) -> None:
    """A plan is carried out once: not under the name of its copy as well."""
    sweep_world.seed()
    key = new_report(sweep_world)

    copied = sweep_world.worker(DRY_RUN="true")({"apply_report": key, "run_id": "copy"})

    assert (copied["outcome"], copied["dry_run"], copied["plan_of"]) == ("reported", True, key)
    assert sweep_world.requests() == []
    assert refused(sweep_world, {"apply_report": copied["report"]["json"]}, DRY_RUN="false") == ["ReportNotAPlan"]
    assert sweep_world.worker()({"apply_report": key, "run_id": "run-1"})["outcome"] == "requested"
    check_requests(sweep_world)


# -- a saved report ------------------------------------------------


def test_a_report_is_applied_as_it_was_and_once(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    key = new_report(sweep_world, limits=WIDE)
    sweep_world.cloud.seed(dict(LATER))
    sweep_world.pass_time(DAY - 60)

    summary = sweep_world.worker()({"apply_report": key, "run_id": "run-1"})

    assert (summary["outcome"], summary["mode"], summary["plan_of"], summary["name"]) == (
        "requested",
        "apply",
        key,
        "nightly",
    )
    check_requests(sweep_world)
    assert refused(sweep_world, {"apply_report": key}) == ["AlreadyApplied"]
    assert refused(sweep_world, {"apply_report": summary["report"]["json"]}) == ["ReportNotAPlan"]


def test_two_that_apply_one_report_at_the_same_time_do_it_once(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    key = new_report(sweep_world)
    other = sweep_world.worker()
    ended: list[Json] = []

    meanwhile(sweep_world, "PUT applied.json", lambda: ended.append(other({"apply_report": key, "run_id": "run-1"})))

    assert refused_or(sweep_world.worker()({"apply_report": key, "run_id": "run-2"})) == ["AlreadyApplied"]
    assert ended[0]["outcome"] == "requested"
    check_requests(sweep_world)


def refused_or(summary: Json) -> list[str]:
    """The codes of a refusal."""
    assert summary["outcome"] == "refused"
    return [refusal["code"] for refusal in summary["refusals"]]


@pytest.mark.parametrize("seconds", [DAY + 1, 7 * DAY])
def test_an_old_report_is_not_applied(sweep_world: SweepWorld, seconds: float) -> None:
    sweep_world.seed()
    key = new_report(sweep_world)

    sweep_world.pass_time(seconds)

    assert refused(sweep_world, {"apply_report": key}) == ["PlanTooOld"]


def test_a_report_that_was_written_again_is_as_old_as_its_list(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    key = new_report(sweep_world)
    sweep_world.pass_time(DAY + 1)

    change(sweep_world, key, lambda report: None)

    assert refused(sweep_world, {"apply_report": key}) == ["PlanTooOld"]


def test_a_report_is_as_old_as_the_bucket_says_whatever_is_written_in_it(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    key = new_report(sweep_world)
    stored = sweep_world.aws.objects[key]
    sweep_world.pass_time(DAY + 1)
    change(sweep_world, key, lambda report: report.update(listed_at=rfc3339(sweep_world.system.now())))

    sweep_world.aws.objects[key] = replace(sweep_world.aws.objects[key], modified=stored.modified)

    assert refused(sweep_world, {"apply_report": key}) == ["PlanTooOld"]


@pytest.mark.parametrize("listed_at", ["2026-11-23T08:31:00.000Z", "2026-11-01T08:31:00.000Z"])
def test_a_report_whose_time_cannot_be_is_not_applied(sweep_world: SweepWorld, listed_at: str) -> None:
    sweep_world.seed()
    key = new_report(sweep_world)

    change(sweep_world, key, lambda report: report.update(listed_at=listed_at))

    assert refused(sweep_world, {"apply_report": key}) == ["PlanTooOld"]


def test_protect_and_limits_of_the_application_can_only_be_tighter(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    key = new_report(sweep_world)
    assert refused(sweep_world, {"apply_report": key, "limits": {"max_tasks": 12}}) == ["TooManyTasks"]
    assert set(refused(sweep_world, {"apply_report": key, "limits": {"max_fraction": 0.5}})) == {"FractionTooHigh"}
    summary = sweep_world.worker()(
        {
            "apply_report": key,
            "run_id": "run-1",
            "protect": {"task_ids": [1001], "names": ["TMP-INDEX"]},
            "limits": {"max_tasks": 8},
        }
    )
    assert summary["outcome"] == "requested"

    gone = {("huawei_oms", "1001")} | {place for place in PLANNED if place[0] == "alibaba_elasticsearch"}

    check_requests(sweep_world, PLANNED - gone)


def test_a_report_over_its_limits_stays_a_report(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    key = new_report(sweep_world, limits={"max_tasks": 12, "max_fraction": 1})

    loose = {"max_tasks": 100000, "max_fraction": 1, "allow_incomplete": True}

    assert refused(sweep_world, {"apply_report": key, "limits": loose}) == ["TooManyTasks"]


def test_a_report_of_an_incomplete_list_stays_a_report(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    sweep_world.cloud.otc_dms.clear()

    key = new_report(sweep_world)

    assert refused(sweep_world, {"apply_report": key, "limits": {"allow_incomplete": True}}) == ["ListFailed"]


EXTRA = '{"huawei.oms": ["xx-name-1"]}'
ELSEWHERE = [ES_TARGET, {**OMS_TARGET, "region": "xx-name-1"}]


def test_a_report_is_applied_in_the_regions_that_there_still_are(sweep_world: SweepWorld) -> None:
    """The deletes in another one would all be refused, each on its own."""
    sweep_world.seed()
    asked = policy(mode="report", run_id="seen", targets=ELSEWHERE)
    key = sweep_world.worker(EXTRA_REGIONS=EXTRA)(asked)["report"]["json"]

    summary = sweep_world.worker(EXTRA_REGIONS="")({"apply_report": key, "run_id": "run-1"})

    assert refused_or(summary) == ["RegionUnknown"]
    assert re.findall("/targets/[0-9]/region", summary["refusals"][0]["message"]) == ["/targets/1/region"]
    assert sweep_world.requests() == []
    assert sweep_world.worker(EXTRA_REGIONS=EXTRA)({"apply_report": key, "run_id": "run-2"})["outcome"] == "requested"
    assert {request["region"] for request in sweep_world.requests()} == {"cn-hangzhou", "xx-name-1"}


def test_a_run_that_broke_off_does_not_go_on_in_a_region_that_is_none_any_more(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    key = sweep_world.worker(EXTRA_REGIONS=EXTRA)(policy(mode="report", run_id="seen", targets=ELSEWHERE))["report"][
        "json"
    ]
    request_ = {"apply_report": key}
    sweep_world.aws.failures["PutEvents Task Cleanup Requested"] = Failure((500, "InternalFailure"))
    assert deliver(sweep_world.worker(EXTRA_REGIONS=EXTRA), request_) != DONE
    sweep_world.aws.failures.clear()
    assert deliver(sweep_world.worker(EXTRA_REGIONS=""), request_) == DONE

    ((kind, end),) = sweep_world.summaries()

    assert (kind, refused_or(end)) == ("Sweep Refused", ["RegionUnknown"])
    assert "not withdrawn" in end["refusals"][0]["message"]
    assert sweep_world.requests() == []


def change(sweep_world: SweepWorld, key: str, edit: Any) -> None:
    """Somebody writes another version of a document."""
    document = sweep_world.aws.document(key)
    edit(document)
    body = json.dumps(document).encode()
    sweep_world.aws.objects[key] = S3Object(body, '"changed"', sweep_world.system.now(), "application/json")


def _task(report: Json, decision: str) -> Json:
    tasks = (task for target in report["targets"] for task in target["tasks"])
    found: Json = next(task for task in tasks if task["decision"] == decision)
    return found


def _swap(one: Json, other: Json) -> None:
    one["decision"], other["decision"] = other["decision"], one["decision"]


TAMPERED: dict[str, Any] = {
    "another task is selected": lambda report: _task(report, "not_deletable").update(decision="selected"),
    "a running task is selected, and the counts agree": lambda report: _swap(
        _task(report, "selected"), _task(report, "not_deletable")
    ),
    "a task less": lambda report: report["targets"][0]["tasks"].pop(),
    "a task more": lambda report: report["targets"][0]["tasks"].append(_task(report, "selected")),
    "a target less": lambda report: report["targets"].pop(),
    "no targets": lambda report: report.pop("targets"),
    "targets are swapped": lambda report: report["targets"].reverse(),
    "another account": lambda report: report["targets"][0].update(account="other"),
    "another instance": lambda report: report["targets"][1].update(instance_id="es-cn-other"),
    "no policy": lambda report: report.update(policy=None),
    "no time": lambda report: report.update(listed_at=None),
    "a time without a zone": lambda report: report.update(listed_at="2026-11-21T08:31:00"),
    "a name that is none": lambda report: _task(report, "selected").update(name=None),
    "an id that is none": lambda report: _task(report, "selected").update(task_id=1001),
    "an unknown decision": lambda report: _task(report, "protected").update(decision="chosen"),
    "an unknown status": lambda report: _task(report, "protected").update(status="gone"),
    "an age that is none": lambda report: _task(report, "selected").update(age_seconds="old"),
    "another version": lambda report: report.update(schema_version="2.0"),
    "another run": lambda report: report.update(run_id="else"),
}


def test_a_report_that_no_sweep_wrote_is_not_applied(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    key = new_report(sweep_world)
    good, worker = sweep_world.aws.objects[key], sweep_world.worker()

    for what, edit in TAMPERED.items():
        sweep_world.aws.objects[key] = good
        change(sweep_world, key, edit)
        assert refused_or(worker({"apply_report": key})) == ["ReportUnreadable"], what

    assert sweep_world.requests() == []


def test_half_a_report_is_not_applied(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    key = new_report(sweep_world)
    stored, worker = sweep_world.aws.objects[key], sweep_world.worker()

    for body in (b"", b"[]", b"null", stored.body[:-1], b"\xff\xfe", b"{}"):
        sweep_world.aws.objects[key] = S3Object(body, stored.etag, stored.modified, stored.content_type)
        assert worker({"apply_report": key})["outcome"] in {"refused", "failed"}

    assert sweep_world.requests() == []


@pytest.mark.parametrize(
    "key",
    [
        "reports/../secrets/report.json",
        "reports/seen/../other/report.json",
        "reports/seen/summary.json",
        "reports/seen/report.json\n",
        "/reports/seen/report.json",
        "reports//report.json",
        "reports/.seen/report.json",
        "reports/seen%2Freport.json",
        "reports/seen/report.json?versionId=1",
        "other/seen/report.json",
        "REPORTS/seen/report.json",
        "",
        7,
        None,
    ],
)
def test_a_key_outside_of_the_reports_is_refused_before_anything_is_read(
    sweep_world: SweepWorld, key: object
) -> None:
    assert refused(sweep_world, {"apply_report": key}) == ["SchemaViolation"]
    assert sweep_world.aws.names == ["PutEvents Sweep Refused"]


def test_a_report_that_does_not_exist_is_refused(sweep_world: SweepWorld) -> None:
    assert refused(sweep_world, {"apply_report": "reports/unseen/report.json"}) == ["ReportNotFound"]


@pytest.mark.parametrize("member", ["mode", "targets", "select", "name", "stop_running"])
def test_a_report_is_applied_by_its_own_policy(sweep_world: SweepWorld, member: str) -> None:
    request = {"apply_report": "reports/seen/report.json", member: policy(stop_running=True)[member]}

    assert refused(sweep_world, request) == ["SchemaViolation"]
    assert sweep_world.aws.names == ["PutEvents Sweep Refused"]
