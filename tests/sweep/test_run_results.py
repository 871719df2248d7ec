"""The pure part of the gathering: keys, merge, counts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_cleanup.sweep.results import LISTED, MAX_CAUSES, Answer, merge, progress, result_key, target_of
from tests.support.results_world import PLACE, request, requests, result, some_results


def gathered(*results: dict[str, Any]) -> dict[str, Any]:
    """The document of these results."""
    return merge(None, [Answer.read(it) for it in results])


def test_a_request_and_its_result_have_one_key() -> None:
    assert result_key(request(7)) == result_key(result(7))
    assert target_of(result_key(request(7))) == result(7)["target"]


def test_a_target_without_project_and_instance_is_told_without_them() -> None:
    asked = {name: value for name, value in request(7).items() if name not in ("project_id", "instance_id")}
    assert target_of(result_key(asked)) == {
        "provider": "otc",
        "service": "dms",
        "account": "default",
        "region": "eu-de",
        "task_id": "t7",
    }


@pytest.mark.parametrize(
    "change",
    [
        {"operation": None},
        {"operation": 7},
        {"target": {"provider": "otc", "service": "dms"}},  # as after a schema error
        {"target": "t7"},
        {"target": {**PLACE, "task_id": "t 7"}},
        {"target": {**PLACE, "task_id": "t\n7"}},
        {"target": {**PLACE, "task_id": ["t7"]}},
        {"outcome": "deleted"},
        {"outcome": None},
        {"completed_at": "yesterday"},
        {"completed_at": None},
        {"correlation_id": None},
    ],
    ids=str,
)
def test_what_is_no_result_of_a_task_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Answer.read({**result(7), **change})


@pytest.mark.parametrize("value", [None, [], "text", 7])
def test_what_is_no_object_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not an object"):
        Answer.read(value)


def test_each_outcome_is_counted_where_it_belongs() -> None:
    document = gathered(
        result(0),
        result(1, "unchanged", "SomeGone"),
        result(2, "failed", "TaskChanged"),
        result(3, "failed", "Denied"),
        result(4, "conflict", "Denied"),
        result(5, "planned"),
    )
    counted = progress(requests(7), document)
    assert {name: counted[name] for name in counted if isinstance(counted[name], int)} == {
        "requested": 7,
        "succeeded": 1,
        "unchanged": 1,
        "changed": 1,
        "failed": 3,
        "waiting": 1,
        "finished": False,
    }
    assert list(counted["by_cause"].items()) == [("Denied", 2), ("DryRun", 1)]
    assert [(it["target"]["task_id"], it["code"]) for it in counted["failures"]] == [
        ("t2", "TaskChanged"),
        ("t3", "Denied"),
        ("t4", "Denied"),
        ("t5", "DryRun"),
    ]
    assert [it["task_id"] for it in counted["waiting_for"]] == ["t6"]


def test_a_request_that_the_bus_did_not_take_is_not_waited_for() -> None:
    counted = progress(requests(3, taken="10"), gathered(result(0)))
    assert (counted["requested"], counted["waiting"], counted["finished"]) == (1, 0, True)


def test_a_result_proves_that_the_bus_took_its_request() -> None:
    counted = progress(requests(3, taken="100"), gathered(result(2)))
    assert (counted["requested"], counted["succeeded"], counted["waiting"]) == (2, 1, 1)


def test_results_of_other_keys_count_nowhere() -> None:
    counted = progress(requests(1), gathered(result(0), result(99, "failed", "Denied")))
    assert (counted["requested"], counted["failed"], counted["finished"]) == (1, 0, True)


def test_before_the_first_result_everything_waits() -> None:
    counted = progress(requests(LISTED + 5), None)
    assert (counted["waiting"], len(counted["waiting_for"]), counted["finished"]) == (LISTED + 5, LISTED, False)


def test_a_redriven_request_that_then_succeeds_has_succeeded() -> None:
    counted = progress(requests(1), gathered(result(0, minute=30), result(0, "failed", "Denied", minute=1)))
    assert (counted["succeeded"], counted["failed"]) == (1, 0)


def test_many_causes_are_summed_up_so_that_the_event_stays_small() -> None:
    number = MAX_CAUSES + 9
    counted = progress(
        requests(number), gathered(*(result(it, "failed", f"Code{it:03}" * 100) for it in range(number)))
    )
    assert len(counted["by_cause"]) == MAX_CAUSES + 1
    assert counted["by_cause"]["Other"] == 9
    assert sum(counted["by_cause"].values()) == number == counted["failed"]
    assert max(map(len, counted["by_cause"])) == 100


@given(some_results(5, 25), st.data())
def test_order_repetition_and_batches_make_no_difference(results: list[dict[str, Any]], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(results), max_size=10)) if results else []
    mixed = data.draw(st.permutations([*results, *again]))
    document = gathered()
    while mixed:
        size = data.draw(st.integers(1, len(mixed)))
        batch, mixed = mixed[:size], mixed[size:]
        document = merge(document, [Answer.read(it) for it in batch])
    assert document == gathered(*results)
    last = {
        task: max(it["completed_at"] for it in results if it["target"]["task_id"] == task)
        for task in {it["target"]["task_id"] for it in results}
    }
    assert {target_of(key)["task_id"]: told[1] for key, told in document["results"].items()} == last
