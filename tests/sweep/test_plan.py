"""The plan: its guards, and the report that is made of it."""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from task_cleanup.errors import Category
from task_cleanup.results import Error
from task_cleanup.sweep.delete_events import requests_of
from task_cleanup.sweep.ledger import Ledger
from task_cleanup.sweep.lister import TargetListing
from task_cleanup.sweep.plan import Plan, make, refusals, target_prefix
from task_cleanup.sweep.policy import AgeFrom, Limits, Mode, Policy, Protect, RunningSince, Select, SweepTarget
from task_cleanup.sweep.report import Run, RunEnd, SweepOutcome, document, ended, summary
from task_cleanup.sweep.services import SERVICES
from task_cleanup.tasks import AgeBasis, Status, Task
from tests.support.readable import unreadable
from tests.support.sweep_world import check_shape

NOW = datetime(2026, 11, 21, 8, 31, tzinfo=UTC)
PROJECT = "0123456789abcdef0123456789abcdef"
TARGETS = (
    SweepTarget("huawei", "oms", "cn-north-4"),
    SweepTarget("alibaba", "elasticsearch", "cn-hangzhou", instance_id="es-cn-1"),
    SweepTarget("otc", "dms", "eu-de", instance_id="b9f1c1de-5b1a-4f0c-9e0e-3d2f7f6f1a11"),
    SweepTarget("alibaba", "elasticsearch", "cn-beijing", instance_ids="all"),
)


def some(number: int, *, old: bool = True, **members: object) -> Task:
    """A finished task."""
    ended = NOW - timedelta(days=30 if old else 1)
    values: dict[str, object] = {"name": "n", "status": Status.SUCCEEDED, "provider_status": "5", "why_not": None}
    values |= {"deletable": True, "ended_at": ended, "age_basis": AgeBasis.ENDED}
    return Task(task_id=str(number), **{**values, **members})  # type: ignore[arg-type]


def a_plan(old: int, young: int, limits: Limits | None = None, **listing: object) -> Plan:
    """One target with so many tasks."""
    tasks = tuple(some(number, old=number < old) for number in range(old + young))
    asked = Policy("p", Mode.APPLY, TARGETS[:1], Select("P7D"), limits=limits or Limits())
    values: dict[str, object] = {"complete": True, "project_id": PROJECT, **listing}
    return planned(asked, [TargetListing(TARGETS[0], tasks, **values)])  # type: ignore[arg-type]


def planned(asked: Policy, listings: list[TargetListing]) -> Plan:
    """The plan, where no sweep has listed these places before."""
    ledgers = [Ledger().after(listing.tasks, NOW, NOW) for listing in listings]
    return make(asked, listings, ledgers, NOW, "run-1")


def report_of(plan: Plan, run_id: str = "run-1") -> Any:
    """The plan's report, as it is read again."""
    run = Run(run_id, NOW, "somebody", "p", plan.policy.mode)
    return json.loads(json.dumps(document(run, plan, refusals(plan))))


def codes(plan: Plan) -> list[tuple[str, int | None]]:
    """What speaks against it."""
    return [(refusal.code, refusal.target) for refusal in refusals(plan)]


def test_a_task_too_many_is_one_too_many() -> None:
    limits = Limits(max_tasks=5, max_fraction=0.5)

    assert codes(a_plan(5, 5, limits)) == []
    assert codes(a_plan(6, 6, limits)) == [("TooManyTasks", None)]
    assert codes(a_plan(5, 4, limits)) == [("FractionTooHigh", None), ("FractionTooHigh", 0)]
    assert codes(a_plan(0, 0, Limits(0, 0))) == []


def test_a_refusal_names_its_target_and_the_remedy() -> None:
    told = [refusal.message for refusal in refusals(a_plan(6, 2, Limits(max_tasks=5, max_fraction=0.5)))]
    too_many = "in the policy, and make a new report"

    fraction = (
        "6 of 8 tasks are selected, and limits.max_fraction 0.5 allows 4 of them; "
        f"if all of them may be deleted, raise it {too_many}"
    )

    assert told == [
        fraction,
        f"6 tasks are selected, and limits.max_tasks allows 5; if all of them may be deleted, raise it {too_many}",
        f"/targets/0 (huawei oms cn-north-4): {fraction}",
    ]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (TARGETS[0], "/targets/7 (huawei oms cn-north-4): "),
        (replace(TARGETS[0], account="team-b"), "/targets/7 (huawei oms cn-north-4 account team-b): "),
        (TARGETS[1], "/targets/7 (alibaba elasticsearch cn-hangzhou es-cn-1): "),
    ],
)
def test_a_target_in_words(target: SweepTarget, words: str) -> None:
    assert target_prefix(7, target) == words


def test_a_fraction_counts_for_every_target_and_the_whole() -> None:
    asked = Policy("p", Mode.APPLY, TARGETS[:2], Select("P7D"), limits=Limits(max_fraction=0.5))
    full = TargetListing(TARGETS[0], tuple(some(number) for number in range(4)), complete=True, project_id=PROJECT)

    young = TargetListing(TARGETS[1], tuple(some(number, old=False) for number in range(40)), complete=True)

    assert codes(planned(asked, [full, young])) == [("FractionTooHigh", 0)]


def test_a_list_that_may_not_be_whole() -> None:
    error = Error(Category.FORBIDDEN, "APIGW.0304", "no")
    for why, code in ((None, "ListIncomplete"), (error, "ListFailed")):
        plan = a_plan(1, 3, complete=False, error=why)
        assert codes(plan) == [(code, 0)]
        assert unreadable(refusals(plan)[0].message) == []
        assert codes(a_plan(1, 3, Limits(allow_incomplete=True), complete=False, error=why)) == []


def test_records_of_what_was_deleted_are_no_tasks_of_which_a_part_may_go() -> None:
    target = TARGETS[2]
    asked = Policy("p", Mode.APPLY, (target,), Select("P7D"), limits=Limits(max_fraction=0.5))
    gone: dict[str, Any] = {
        "provider_status": "DELETED",
        "status": Status.UNKNOWN,
        "deletable": False,
        "why_not": "it is gone",
    }
    listed = [some(1), some(2), some(3), *(some(number, **gone) for number in range(10, 19))]
    found = [replace(task, task_id=f"{int(task.task_id):032x}") for task in listed]

    plan = planned(asked, [TargetListing(target, tuple(found), complete=True, project_id=PROJECT)])

    assert (plan.totals["found"], plan.totals["selected"]) == (3, 3)
    assert codes(plan) == [("FractionTooHigh", None), ("FractionTooHigh", 0)]


# -- whatever is found ------------------------------------------------

moments = st.none() | st.integers(-10, 100_000).map(lambda minutes: NOW - timedelta(minutes=minutes))
tasks = st.builds(
    Task,
    task_id=st.text("0123456789", min_size=1, max_size=3),
    name=st.text(max_size=6),
    status=st.sampled_from(Status),
    provider_status=st.text(max_size=3),
    deletable=st.booleans(),
    why_not=st.none() | st.text(max_size=5),
    created_at=moments,
    started_at=moments,
    ended_at=moments,
    inferred_end_at=moments,
    stoppable=st.booleans(),
    billed=st.none() | st.booleans(),
    kind=st.none() | st.text(max_size=3),
    age_basis=st.none() | st.sampled_from(AgeBasis),
    group_id=st.none() | st.text(max_size=5),
    provider_detail=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=1),
)
errors = st.none() | st.builds(Error, st.sampled_from(Category), st.just("Code"), st.text(max_size=9))
policies = st.builds(
    Policy,
    name=st.just("p"),
    mode=st.sampled_from(Mode),
    targets=st.just(TARGETS),
    select=st.builds(
        Select,
        st.sampled_from(["PT1H", "P7D", "PT100H"]),
        st.lists(st.sampled_from(list(Status)[:-1]), min_size=1, unique=True).map(tuple),
        st.sampled_from([(), ("a*",), ("*", "b?")]),
        st.lists(st.sampled_from(AgeFrom), min_size=1, unique=True).map(tuple),
        st.none() | st.sampled_from(RunningSince),
        st.sampled_from([(), ("?",)]),
    ),
    protect=st.builds(
        Protect,
        st.frozensets(st.text("0123456789", min_size=1, max_size=2), max_size=3),
        st.sampled_from([(), ("*x*",)]),
    ),
    limits=st.builds(Limits, st.integers(0, 8), st.sampled_from([0, 0.1, 0.5, 1]), st.booleans()),
    stop_running=st.booleans(),
)


@st.composite
def whole_plans(draw: st.DrawFn) -> Plan:
    """A policy, and what the lists gave."""
    asked = draw(policies)
    listings = []
    places = [(number, target) for number, target in enumerate(TARGETS) if target.instance_ids is None]
    places += [(3, TARGETS[3].instance(f"es-cn-{number}")) for number in range(draw(st.integers(0, 3)))]
    for number, target in places:
        error = draw(errors)
        found = () if error else tuple({task.task_id: task for task in draw(st.lists(tasks, max_size=6))}.values())
        project = None if target.provider == "alibaba" else PROJECT
        listings.append(TargetListing(target, found, error is None and draw(st.booleans()), project, error, number))
    if error := draw(errors):  # the instances are not known
        listings = [one for one in listings if one.policy_target != 3]
        listings.append(TargetListing(TARGETS[3], (), complete=False, error=error, policy_target=3))
    return planned(asked, listings)


plenty = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)


@plenty
@given(whole_plans())
def test_what_no_guard_refuses_keeps_every_limit(plan: Plan) -> None:
    """And what a guard should refuse is refused, with the place."""
    limits, against = plan.policy.limits, refusals(plan)
    found = {code: {refusal.target for refusal in against if refusal.code == code} for code, _ in codes(plan)}
    parts = [(None, plan.totals), *((number, target.counts) for number, target in enumerate(plan.targets))]
    over = {where for where, part in parts if part["selected"] > limits.max_fraction * part["found"] + 1e-9}
    assert found.get("FractionTooHigh", set()) == over
    assert ("TooManyTasks" in found) is (plan.totals["selected"] > limits.max_tasks)
    incomplete = {number for number, target in enumerate(plan.targets) if not target.complete}
    told = found.get("ListFailed", set()) | found.get("ListIncomplete", set())
    assert told == (set() if limits.allow_incomplete else incomplete)
    assert len(list(requests_of(report_of(plan)))) == plan.totals["selected"]

    own = [refusal.message for refusal in against if refusal.code != "ListFailed"]  # the others quote a provider

    assert {message: unreadable(message) for message in own if unreadable(message)} == {}


@plenty
@given(whole_plans(), st.integers(0, 30))
def test_a_report_is_of_its_shape_and_counts_what_was_sent_apart(plan: Plan, sent: int) -> None:
    selected = plan.totals["selected"]
    taken = "".join("1" if number < sent else "0" for number in range(selected))
    end = RunEnd(SweepOutcome.FAILED if sent < selected else SweepOutcome.REQUESTED)
    report = report_of(plan)

    whole = ended(report, end, taken, NOW)

    check_shape(report)
    check_shape(summary(whole, None, final=True))
    assert "outcome" not in report
    assert report["totals"] == plan.totals
    counts = {"requested": taken.count("1"), "failed": taken.count("0")}
    assert whole["totals"] == report["totals"] | counts
    assert {name: sum(target["counts"][name] for target in whole["targets"]) for name in counts} == counts
    assert all(
        target["counts"]["requested"] + target["counts"]["failed"] == target["counts"]["selected"]
        for target in whole["targets"]
    )


@plenty
@given(whole_plans())
def test_one_request_for_each_selected_task_and_for_no_other(plan: Plan) -> None:
    wanted = Counter(
        (SERVICES[f"{target.target.provider}_{target.target.service}"].delete.operation, item.task.task_id)
        for target in plan.targets
        for item in target.judged
        if item.decision == "selected"
    )
    requests = list(requests_of(report_of(plan)))
    assert Counter((request["operation"], request["task_id"]) for request in requests) == wanted
    tokens = [request["client_token"] for request in requests if "client_token" in request]
    assert len(set(tokens)) == len(tokens)

    stops = {request["task_id"] for request in requests if request.get("stop_running")}

    assert all(plan.policy.stop_running for _ in stops)
