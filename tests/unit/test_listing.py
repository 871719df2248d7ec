"""Walking a list's pages: to the end, to the limit, to the deadline, and never pretending that it was the end."""

import json
from dataclasses import replace
from typing import Any

import pytest
import requests
from jsonschema import Draft202012Validator, FormatChecker

from task_cleanup.results import Listed, Outcome, Result
from tests.unit.builders import (
    DATA_TASKS,
    DMS_LIST,
    HUAWEI_DMS_LIST,
    LISTS,
    OMS_LIST,
    OPERATIONS,
    ROOT,
    ROTATED,
    Answer,
    World,
    auth_failure,
    direct,
    listing,
    record,
    refusal,
    success,
    throttle,
    world,
)

PAGED = [OMS_LIST, DMS_LIST, HUAWEI_DMS_LIST]
SCHEMA = json.loads((ROOT / "layers/task_cleanup/python/task_cleanup/result.schema.json").read_bytes())
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=FormatChecker())


def page(name: str, numbers: range, total: int) -> Answer:
    """The records with these numbers, of so many in all."""
    operation = OPERATIONS[name]
    return listing(operation, *(record(operation, number) for number in numbers), total=total)


def listed(result: Result) -> Listed:
    assert (result.outcome, result.error) == (Outcome.SUCCEEDED, None)
    assert result.listed is not None
    VALIDATOR.validate(result.to_dict())
    return result.listed


def asked(there: World) -> list[str]:
    """Where each request's page began."""
    return [
        str(sent.url).partition("offset=")[2] or str(sent.url).partition("start=")[2] for sent in there.script.sent
    ]


@pytest.mark.parametrize("name", PAGED)
def test_all_pages_are_fetched_by_record_index(name: str) -> None:
    there = world(
        name, page(name, range(1, 101), 230), page(name, range(101, 201), 230), page(name, range(201, 231), 230)
    )
    result = there.run()
    found = listed(result)
    assert ([task.task_id for task in found.tasks], found.complete) == (
        [task_id(name, number) for number in range(1, 231)],
        True,
    )
    assert (result.attempts, result.http_status) == (3, 200)
    assert asked(there) == (["0", "100", "200"] if name == OMS_LIST else ["1", "101", "201"])


def task_id(name: str, number: int) -> str:
    """The id of the task with this number."""
    return str(record(OPERATIONS[name], number)["taskId" if name == DATA_TASKS else "id"])


@pytest.mark.parametrize("name", PAGED)
def test_a_page_that_is_shorter_than_asked_for_is_not_the_end(name: str) -> None:
    there = world(name, page(name, range(1, 11), 25), page(name, range(11, 21), 25), page(name, range(21, 26), 25))
    assert (len(listed(there.run()).tasks), asked(there)[1][-2:]) == (25, "10" if name == OMS_LIST else "11")


@pytest.mark.parametrize("name", LISTS)
def test_nothing_to_list_is_complete(name: str) -> None:
    there = world(name, page(name, range(0), 0))
    assert listed(there.run()) == Listed((), complete=True)
    assert len(there.script.sent) == 1


def test_without_paging_one_reply_is_all() -> None:
    there = world(DATA_TASKS, page(DATA_TASKS, range(1, 501), 500))
    found = listed(there.run())
    assert (len(found.tasks), found.complete, len(there.script.sent)) == (500, True, 1)


# -- the limit ------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "count", "complete", "calls"),
    [(1, 1, False, 1), (100, 100, False, 1), (150, 150, False, 2), (200, 200, True, 2)],
)
@pytest.mark.parametrize("name", PAGED)
def test_the_limit_cuts_and_says_so(name: str, limit: int, count: int, complete: bool, calls: int) -> None:
    there = world(name, page(name, range(1, 101), 200), page(name, range(101, 201), 200))
    found = listed(there.run(direct(OPERATIONS[name], limit=limit)))
    assert (len(found.tasks), found.complete, len(there.script.sent)) == (count, complete, calls)


@pytest.mark.parametrize(("limit", "complete"), [(4, False), (5, True), (6, True)])
def test_the_limit_cuts_a_list_without_pages_too(limit: int, complete: bool) -> None:
    there = world(DATA_TASKS, page(DATA_TASKS, range(1, 6), 5))
    found = listed(there.run(direct(OPERATIONS[DATA_TASKS], limit=limit)))
    assert (len(found.tasks), found.complete) == (min(limit, 5), complete)


# -- what cannot be the whole list ------------------------------------------------

SHIFTS = {
    "a task went: the next page began one too late": [(range(1, 101), 200), (range(102, 201), 199)],
    "a hundred went: the count agrees by chance": [(range(1, 101), 300), (range(201, 301), 200)],
    "a task came: one record twice": [(range(1, 101), 200), (range(100, 200), 201), (range(200, 201), 201)],
    "records twice, as many as counted": [(range(1, 101), 150), (range(51, 101), 150)],
    "an empty page before the count": [(range(1, 101), 150), (range(0), 150)],
    "an empty first page before the count": [(range(0), 7)],
    "more than was counted": [(range(1, 11), 5)],
}


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("name", PAGED)
def test_a_list_that_does_not_add_up_is_not_complete(name: str, shift: str) -> None:
    pages = SHIFTS[shift]
    there = world(name, *(page(name, numbers, total) for numbers, total in pages))
    found = listed(there.run())
    ids = [task.task_id for task in found.tasks]
    assert ids == [task_id(name, number) for number in sorted({n for numbers, _ in pages for n in numbers})]
    assert found.complete is False
    assert len(there.script.sent) == len(pages)


@pytest.mark.parametrize("name", PAGED)
def test_a_provider_that_repeats_itself_ends_the_walk(name: str) -> None:
    there = world(name, page(name, range(1, 101), 10_000))
    found = listed(there.run())
    assert (len(found.tasks), found.complete, len(there.script.sent)) == (100, False, 2)


def test_a_task_that_is_listed_twice_is_shown_as_it_was_last() -> None:
    operation = OPERATIONS[OMS_LIST]
    first = listing(operation, record(operation, 1, status=2), record(operation, 2), total=3)
    there = world(OMS_LIST, first, listing(operation, record(operation, 1, status=3), record(operation, 3), total=3))
    assert [(task.task_id, task.provider_status) for task in listed(there.run()).tasks] == [
        ("1", "3"),
        ("2", "5"),
        ("3", "5"),
    ]


# -- errors ------------------------------------------------

PAST_END = ["DMS.00400062", "DMS.40050010"]


@pytest.mark.parametrize("code", PAST_END)
@pytest.mark.parametrize("name", [DMS_LIST, HUAWEI_DMS_LIST])
def test_an_error_past_the_end_is_the_end(name: str, code: str) -> None:
    """It can only come where the count has said that there is more: what was found is kept, and not complete."""
    there = world(name, page(name, range(1, 101), 150), refusal(OPERATIONS[name], code, 400))
    result = there.run()
    found = listed(result)
    assert (len(found.tasks), found.complete) == (100, False)
    assert (result.attempts, result.http_status) == (2, 200)


@pytest.mark.parametrize("code", PAST_END)
def test_an_error_past_the_end_on_the_first_page_is_an_error(code: str) -> None:
    result = world(DMS_LIST, refusal(OPERATIONS[DMS_LIST], code, 400)).run()
    assert result.error is not None
    assert (result.outcome, result.error.code, result.listed) == (Outcome.FAILED, code, None)


def test_the_same_code_is_no_end_where_the_sheet_does_not_say_so() -> None:
    there = world(OMS_LIST, page(OMS_LIST, range(1, 101), 150), refusal(OPERATIONS[OMS_LIST], PAST_END[0], 400))
    assert there.run().outcome is Outcome.FAILED


@pytest.mark.parametrize("pages", [0, 1, 2])
@pytest.mark.parametrize("name", PAGED)
def test_a_failure_on_any_page_is_a_failure_of_the_whole(name: str, pages: int) -> None:
    operation = OPERATIONS[name]
    before = [page(name, range(100 * n + 1, 100 * n + 101), 900) for n in range(pages)]
    result = world(name, *before, refusal(operation, "APIGW.0304", 403)).run()
    assert result.error is not None
    assert (result.outcome, result.error.code, result.listed) == (Outcome.FAILED, "APIGW.0304", None)
    assert (result.attempts, result.http_status) == (pages + 1, 403)
    assert not {"tasks", "count", "complete"} & set(result.to_dict())


@pytest.mark.parametrize("name", PAGED)
def test_a_later_page_without_the_promised_list_is_a_failure(name: str) -> None:
    result = world(name, page(name, range(1, 101), 150), Answer(200, b"<html>")).run()
    assert result.error is not None
    assert (result.outcome, result.error.code) == (Outcome.FAILED, "UnexpectedReply")


@pytest.mark.parametrize("name", PAGED)
def test_a_throttled_page_is_tried_again(name: str) -> None:
    there = world(name, page(name, range(1, 101), 120), throttle(OPERATIONS[name]), page(name, range(101, 121), 120))
    result = there.run()
    assert (len(listed(result).tasks), result.attempts, asked(there)[1]) == (120, 3, asked(there)[2])


# -- time ------------------------------------------------


@pytest.mark.parametrize("name", PAGED)
def test_a_deadline_that_cuts_the_walk_leaves_an_incomplete_list(name: str) -> None:
    there = world(name, page(name, range(1, 101), 300), requests.exceptions.ReadTimeout())
    result = there.run()
    found = listed(result)
    assert (len(found.tasks), found.complete) == (100, False)
    assert result.attempts > 1


@pytest.mark.parametrize("name", LISTS)
def test_a_deadline_before_anything_was_listed_is_a_timeout(name: str) -> None:
    result = world(name, requests.exceptions.ReadTimeout()).run()
    assert result.error is not None
    assert (result.outcome, result.error.category.value, result.listed) == (Outcome.FAILED, "timeout", None)


# -- keys ------------------------------------------------


@pytest.mark.parametrize("name", PAGED)
def test_a_rotated_key_is_rejected_once_not_by_every_page(name: str) -> None:
    """Six bad signatures lock a Huawei key."""
    operation = OPERATIONS[name]
    there = world(name, success(operation))
    there.run()
    there.aws.secrets[there.secret_name] = ROTATED
    pages = [page(name, range(100 * n + 1, 100 * n + 101), 300) for n in range(3)]
    rotated = World(operation, type(there.script)(auth_failure(operation), *pages))
    rotated.environment = replace(rotated.environment, credentials=there.environment.credentials)
    result = rotated.run()
    assert (len(listed(result).tasks), result.attempts) == (300, 4)
    keys = [
        str(sent.headers["Authorization"]).partition("Access=")[2].partition(",")[0] for sent in rotated.script.sent
    ]
    assert keys == ["AKFAKE0000000001"] + ["AKFAKE0000000002"] * 3


# -- the result ------------------------------------------------


@pytest.mark.parametrize("name", LISTS)
def test_callers_see_the_tasks_and_events_carry_counts_only(name: str) -> None:
    result = world(name, page(name, range(1, 4), 3)).run()
    shown, told = result.to_dict(), result.to_event()
    VALIDATOR.validate(told)
    assert [task["task_id"] for task in shown["tasks"]] == [task_id(name, number) for number in range(1, 4)]
    assert (told["count"], told["complete"]) == (3, True)
    assert "tasks" not in told
    assert shown == {**told, "tasks": shown["tasks"]}


def test_tasks_without_their_count_are_no_result() -> None:
    shown: dict[str, Any] = world(OMS_LIST, page(OMS_LIST, range(1, 2), 1)).run().to_dict()
    for member in ("count", "complete"):
        assert not VALIDATOR.is_valid({name: value for name, value in shown.items() if name != member})


def test_a_dry_run_lists_nothing() -> None:
    there = world(OMS_LIST, success(OPERATIONS[OMS_LIST]), dry_run=True)
    result = there.run()
    assert (result.outcome, result.listed, there.script.sent) == (Outcome.PLANNED, None, [])


def test_the_first_call_is_the_planned_one() -> None:
    there = world(OMS_LIST, success(OPERATIONS[OMS_LIST]))
    planned = world(OMS_LIST, success(OPERATIONS[OMS_LIST]), dry_run=True).run().plan
    there.run()
    assert planned is not None
    assert there.script.sent[0].url == planned["url"]
