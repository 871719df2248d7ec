"""The gathering of results: merged exactly once whatever fails, shown on a page, and told once when all are in."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from task_cleanup.aws import AwsError
from task_cleanup.errors import TaskCleanupError
from task_cleanup.sweep.gathering import FinishElsewhereError, results_key
from task_cleanup.sweep.results import Answer
from tests.support.results_world import AFTER, BEFORE, RUN, ResultsWorld, requests, result, some_results

RESULTS, FINISHED, PAGE = (results_key(RUN, name) for name in ("results.json", "finished.json", "index.html"))


def gather(world: ResultsWorld, *results: dict[str, Any]) -> bool:
    """As one batch of the gatherer."""
    return world.results.gather(RUN, [Answer.read(it) for it in results])


def fails_once(name: str, how: str) -> Callable[[str], str | None]:
    """One call of this name fails."""
    left = [how]
    return lambda called: left.pop() if called == name and left else None


def test_the_last_result_finishes_the_run() -> None:
    world = ResultsWorld()
    world.begun(4)
    assert gather(world, result(0), result(1, "unchanged", "Gone"))
    assert world.finished == []
    assert gather(world, result(2, "failed", "TaskChanged"), result(3, "failed", "Denied"))
    assert world.finished == [
        {
            "schema_version": "1.0",
            "run_id": RUN,
            "name": "nightly",
            "finished_at": "2026-11-21T08:31:00.000Z",
            "requested": 4,
            "succeeded": 1,
            "unchanged": 1,
            "changed": 1,
            "failed": 1,
            "waiting": 0,
            "by_cause": {"Denied": 1},
            "places": {
                "bucket": "reports-bucket",
                "json": "results/run-1/results.json",
                "html": "results/run-1/index.html",
                "report": "reports/run-1/report.json",
            },
        }
    ]


def test_redelivered_results_change_nothing_and_are_told_once() -> None:
    world = ResultsWorld()
    world.begun(2)
    for _ in range(3):
        gather(world, result(0), result(1))
    document = world.bucket.document(RESULTS)
    assert len(document["results"]) == 2
    assert len(world.finished) == 1


def test_what_succeeds_after_a_redrive_is_counted_although_the_end_was_told() -> None:
    world = ResultsWorld()
    world.begun(1)
    gather(world, result(0, "failed", "Denied"))
    gather(world, result(0, minute=9))
    assert [it["failed"] for it in world.finished] == [1]
    progress = world.results.progress(RUN)
    assert progress is not None
    assert (progress["succeeded"], progress["failed"]) == (1, 0)
    assert "Finished: 1 request<" in world.page
    assert f"../../reports/{RUN}/index.html" in world.page


def test_results_of_a_run_that_nobody_has_begun_are_not_kept() -> None:
    world = ResultsWorld()
    assert not gather(world, result(0))
    assert world.bucket.objects == {}


def test_results_that_come_before_the_documents_of_the_sweep_wait_for_them() -> None:
    world = ResultsWorld()
    world.claimed()
    gather(world, result(0), result(1))
    assert PAGE not in world.bucket.objects
    world.requested(2)
    assert not world.results.finish_if_done(RUN)
    assert "2 results, all there; the sweep may still request more" in world.page
    world.ended()
    assert world.results.finish_if_done(RUN)
    assert len(world.finished) == 1
    assert "Finished: 2 requests" in world.page


def test_an_apply_without_requests_is_finished_at_once() -> None:
    world = ResultsWorld()
    world.begun(0)
    assert world.results.finish_if_done(RUN)
    assert [it["requested"] for it in world.finished] == [0]
    assert "The sweep requested nothing." in world.page


@pytest.mark.parametrize(
    ("end", "taken", "is_finished"),
    [
        ({"outcome": "requested"}, "1", True),
        ({"outcome": "requested", "final": False}, "1", False),
        ({"outcome": "failed"}, "1", False),  # it may go on
        ({"outcome": "failed", "final": True}, "1", True),
        ({"outcome": "failed", "final": True}, "10", False),  # a redrive sends the other
        ({"outcome": "failed", "final": True}, "00", False),
        ({"outcome": "refused", "final": True}, "1", False),
    ],
)
def test_only_a_run_that_makes_no_more_requests_is_finished(
    end: dict[str, Any], taken: str, is_finished: bool
) -> None:
    world = ResultsWorld()
    world.claimed()
    world.requested(len(taken), taken=taken)
    world.ended(**end)
    gather(world, result(0))
    assert bool(world.finished) is is_finished
    progress = world.results.progress(RUN)
    assert progress is not None
    assert (progress["requested"], progress["waiting"], progress["finished"]) == (1, 0, is_finished)


def test_a_report_has_no_progress_and_no_end() -> None:
    world = ResultsWorld()
    world.claimed()
    world.ended("reported")
    assert world.results.progress(RUN) is None
    assert not world.results.finish_if_done(RUN)
    assert world.finished == []


def test_requests_of_an_older_release_have_no_keys_and_no_progress() -> None:
    world = ResultsWorld()
    world.begun(1)
    world.bucket.put_json("reports/run-1/requests.json", {"taken": "1"})
    gather(world, result(0))
    assert world.results.progress(RUN) is None


# -- the end is told once ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "how", "told"),
    [
        (f"PUT {FINISHED}", BEFORE, 1),
        (f"PUT {FINISHED}", AFTER, 1),
        ("PUBLISH Sweep Finished", BEFORE, 1),
        ("PUBLISH Sweep Finished", AFTER, 2),  # nobody knows whether the bus has it
    ],
)
def test_an_end_that_could_not_be_told_is_told_when_the_messages_come_again(name: str, how: str, told: int) -> None:
    world = ResultsWorld()
    world.begun(1)
    world.trouble = fails_once(name, how)
    with pytest.raises(AwsError):
        gather(world, result(0))
    world.pass_time(6)  # as the visibility time-out of the queue
    gather(world, result(0))
    assert len(world.finished) == told
    assert len({it["finished_at"] for it in world.finished}) == 1
    gather(world, result(0))
    assert len(world.finished) == told


def test_a_worker_that_dies_before_its_second_mark_is_replaced_after_its_lease() -> None:
    world = ResultsWorld()
    world.begun(1)
    second = iter([None, BEFORE])
    world.trouble = lambda name: next(second, None) if name == f"PUT {FINISHED}" else None
    with pytest.raises(AwsError):
        gather(world, result(0))
    with pytest.raises(FinishElsewhereError):  # comes again: if the other is dead, nobody else would do it
        gather(world, result(0))
    assert not world.results.finish_if_done(RUN)  # the sweep leaves it to the other's messages
    world.pass_time(6)
    gather(world, result(0))
    assert [it["finished_at"] for it in world.finished] == ["2026-11-21T08:31:00.000Z"] * 2


def test_two_workers_at_once_tell_it_once() -> None:
    world = ResultsWorld()
    world.begun(2)
    inner: list[str] = []

    def other(name: str) -> None:
        if name == "PUBLISH Sweep Finished" and not inner:
            inner.append(name)
            with pytest.raises(FinishElsewhereError):
                gather(world, result(0))

    world.trouble = other
    gather(world, result(0), result(1))
    assert inner
    assert len(world.finished) == 1


def test_requests_of_a_sweep_that_goes_on_meanwhile_are_not_overlooked() -> None:
    world = ResultsWorld()
    world.claimed()
    world.requested(2, taken="10")
    world.ended("failed", final=False)
    rest = ["it goes on"]

    def sweep(name: str) -> None:
        if name == f"GET reports/{RUN}/summary.json" and rest:
            rest.clear()
            world.requested(2)
            world.ended()

    world.trouble = sweep
    gather(world, result(0))
    assert not rest
    assert world.finished == []
    gather(world, result(1))
    assert [it["requested"] for it in world.finished] == [2]


def test_a_bus_that_refuses_leaves_no_lease() -> None:
    world = ResultsWorld()
    world.begun(1)
    world.trouble = fails_once("PUBLISH Sweep Finished", BEFORE)
    with pytest.raises(AwsError):
        gather(world, result(0))
    gather(world, result(0))
    assert len(world.finished) == 1


def test_a_mark_that_somebody_removes_meanwhile_loses_no_end() -> None:
    world = ResultsWorld()
    world.begun(1)
    world.bucket.put_json(FINISHED, {"lease_until": "2026-11-21T08:40:00.000Z"})

    def somebody(name: str) -> None:
        if name == f"GET {FINISHED}":
            world.bucket.objects.pop(FINISHED, None)

    world.trouble = somebody
    with pytest.raises(FinishElsewhereError):
        gather(world, result(0))
    gather(world, result(0))
    assert len(world.finished) == 1


# -- other workers ------------------------------------------------------------------------


def test_a_merge_that_another_overtakes_is_made_again_on_what_is_there() -> None:
    world = ResultsWorld()
    world.begun(3)
    others = [result(1), result(2)]

    def other(name: str) -> None:
        if name == f"PUT {RESULTS}" and others:
            gather(world, others.pop())

    world.trouble = other
    gather(world, result(0))
    assert len(world.bucket.document(RESULTS)["results"]) == 3
    assert len(world.finished) == 1


def test_a_merge_that_is_always_overtaken_is_given_up_and_comes_again() -> None:
    world = ResultsWorld()
    world.begun(99)
    numbers = iter(range(1, 99))
    calm = False

    def other(name: str) -> None:
        nonlocal calm
        if name == f"PUT {RESULTS}" and not calm:
            calm = True
            gather(world, result(next(numbers)))
            calm = False

    world.trouble = other
    with pytest.raises(AwsError, match="ResultsContended"):
        gather(world, result(0))


def test_a_page_that_knows_less_is_written_again() -> None:
    world = ResultsWorld()
    world.begun(2)
    others = [result(1)]

    def other(name: str) -> None:
        if name == f"PUT {PAGE}" and others:
            gather(world, others.pop())

    world.trouble = other
    gather(world, result(0))
    assert "Finished: 2 requests" in world.page


# -- everything at once ---------------------------------------------------------------------

_TASKS = 5
_FAULTS = st.lists(st.sampled_from([None, None, None, BEFORE, AFTER, "overtaken"]), max_size=40)
_RANKS = {"succeeded": 0, "unchanged": 1, "conflict": 2, "failed": 3}


def _expected(results: list[dict[str, Any]]) -> Counter[str]:
    """The counts, the slow way: the last of each task, of the tasks that were requested."""
    kinds: Counter[str] = Counter()
    for number in range(_TASKS):
        ends = [
            (it["completed_at"], _RANKS[it["outcome"]], (it["error"] or {"code": ""})["code"], it["outcome"])
            for it in results
            if it["target"]["task_id"] == f"t{number}"
        ]
        _, _, code, outcome = max(ends, default=("", 0, "", "waiting"))
        kinds[{"TaskChanged": "changed", "Runs": "failed"}.get(code, outcome)] += 1
    return kinds


class Chaos:
    """Calls that fail, answers that are lost, and another worker's merge in the middle of one's own."""

    def __init__(self, world: ResultsWorld, faults: list[str | None], others: list[list[dict[str, Any]]]) -> None:
        self._world, self._faults, self._others = world, faults, others
        self._is_inside = False

    def __call__(self, _: str) -> str | None:
        """What goes wrong with this call."""
        fault = self._faults.pop() if self._faults and not self._is_inside else None
        if fault != "overtaken":
            return fault
        self._is_inside = True
        with suppress(FinishElsewhereError):
            for batch in self._others[-1:]:
                gather(self._world, *batch)
        self._is_inside = False
        return None


def _batches(data: st.DataObject, results: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The results in any order, some of them again, in batches of any size."""
    again = data.draw(st.lists(st.sampled_from(results), max_size=6)) if results else []
    mixed = list(data.draw(st.permutations([*results, *again])))
    batches = []
    while mixed:
        size = data.draw(st.integers(1, len(mixed)))
        batches.append(mixed[:size])
        mixed = mixed[size:]
    return batches


def _until_done(world: ResultsWorld, steps: list[Callable[[], object]]) -> None:
    """Do these, and again what failed, later."""
    while steps:
        step = steps.pop(0)
        try:
            step()
        except TaskCleanupError:
            steps.append(step)
        world.pass_time(6)


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(some_results(_TASKS, 12), _FAULTS, st.booleans(), st.data())
def test_any_order_repetition_batches_and_faults_end_in_exact_counts(
    results: list[dict[str, Any]], faults: list[str | None], complete: bool, data: st.DataObject
) -> None:
    if complete:
        results = [*results, *(result(task) for task in range(_TASKS))]
    batches = _batches(data, results)
    world = ResultsWorld()
    world.claimed()
    world.trouble = Chaos(world, faults, batches)

    def ends() -> None:
        world.ended()
        world.results.finish_if_done(RUN)

    steps: list[Callable[[], object]] = [partial(gather, world, *batch) for batch in batches]
    requested = data.draw(st.integers(0, len(steps)))
    ended = data.draw(st.integers(requested, len(steps)))
    steps.insert(ended, ends)
    steps.insert(requested, lambda: world.requested(_TASKS))
    _until_done(world, steps)

    world.trouble = lambda _: None
    progress, expected = world.results.progress(RUN), _expected(results)
    assert progress is not None
    assert {kind: progress[kind] for kind in expected} == expected
    assert progress["requested"] == _TASKS
    assert progress["finished"] is (expected["waiting"] == 0)
    assert bool(world.finished) is progress["finished"]
    assert len({it["finished_at"] for it in world.finished}) <= 1
    assert ("Finished: " if progress["finished"] else f"of {_TASKS} still to come") in world.page


def test_five_thousand_results_take_bounded_calls() -> None:
    number = 5_000
    world = ResultsWorld()
    world.begun(number)
    assert len(requests(number)["keys"]) == number
    called: list[str] = []

    def count(name: str) -> None:
        called.append(name)

    world.trouble = count
    for start in range(0, number, 1_000):
        gather(world, *(result(it) for it in range(start, start + 1_000)))
    assert len(world.finished) == 1
    assert world.finished[0]["succeeded"] == number
    assert len(called) <= 5 * 12  # calls for each batch, whatever it holds
