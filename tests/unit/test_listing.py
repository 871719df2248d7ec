"""Walking a list's pages: to the end, to the limit, to the deadline, and never pretending that it was the end."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from task_cleanup.errors import Category
from task_cleanup.paging import READINGS, walk
from task_cleanup.providers.model import Call, Reply
from task_cleanup.results import Error, Outcome, Result, TaskList
from task_cleanup.retries import Verdict
from task_cleanup.transport import FinishedCall
from tests.support.builders import (
    DATA_TASKS,
    DMS_LIST,
    HUAWEI_DMS_LIST,
    LISTS,
    NO_REPLY,
    OMS_LIST,
    OPERATIONS,
    ROTATED,
    Answer,
    OperationWorld,
    auth_failure,
    direct,
    listing,
    record,
    refusal,
    success,
    throttle,
    world,
)
from tests.support.functions import ROOT

PAGED = [OMS_LIST, DMS_LIST, HUAWEI_DMS_LIST]
PAST_END = ["DMS.00400062", "DMS.40050010"]
SCHEMA = json.loads((ROOT / "layers/task_cleanup/python/task_cleanup/result.schema.json").read_bytes())
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=FormatChecker())


def page(name: str, numbers: range, total: int) -> Answer:
    """The records with these numbers, of so many in all."""
    operation = OPERATIONS[name]
    return listing(operation, *(record(operation, number) for number in numbers), total=total)


def listed(result: Result) -> TaskList:
    assert (result.outcome, result.error) == (Outcome.SUCCEEDED, None)
    assert result.listed is not None
    VALIDATOR.validate(result.to_dict())
    return result.listed


def asked(faked: OperationWorld) -> list[str]:
    """Where each request's page began."""
    return [
        str(sent.url).partition("offset=")[2] or str(sent.url).partition("start=")[2] for sent in faked.script.sent
    ]


@pytest.mark.parametrize("name", PAGED)
def test_all_pages_are_fetched_by_record_index_and_overlap_by_one(name: str) -> None:
    faked = world(
        name, page(name, range(1, 101), 230), page(name, range(100, 200), 230), page(name, range(199, 231), 230)
    )
    result = faked.run()

    found = listed(result)

    assert ([task.task_id for task in found.tasks], found.complete) == (
        [task_id(name, number) for number in range(1, 231)],
        True,
    )
    assert (result.attempts, result.http_status) == (3, 200)
    assert asked(faked) == (["0", "99", "198"] if name == OMS_LIST else ["1", "100", "199"])


def task_id(name: str, number: int) -> str:
    """The id of the task with this number."""
    return str(record(OPERATIONS[name], number)["taskId" if name == DATA_TASKS else "id"])


@pytest.mark.parametrize("name", PAGED)
def test_a_page_that_is_shorter_than_asked_for_is_not_the_end(name: str) -> None:
    faked = world(name, page(name, range(1, 11), 25), page(name, range(10, 20), 25), page(name, range(19, 26), 25))

    found = listed(faked.run())

    assert (len(found.tasks), found.complete) == (25, True)
    assert asked(faked) == (["0", "9", "18"] if name == OMS_LIST else ["1", "10", "19"])


@pytest.mark.parametrize("name", LISTS)
def test_nothing_to_list_is_complete(name: str) -> None:
    faked = world(name, page(name, range(0), 0))

    assert listed(faked.run()) == TaskList((), complete=True)
    assert len(faked.script.sent) == 1


def test_without_paging_one_reply_is_all() -> None:
    faked = world(DATA_TASKS, page(DATA_TASKS, range(1, 501), 500))

    found = listed(faked.run())

    assert (len(found.tasks), found.complete, len(faked.script.sent)) == (500, True, 1)


# -- the limit ------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "count", "complete", "calls"),
    [(1, 1, False, 1), (100, 100, False, 1), (150, 150, False, 2), (198, 198, True, 2), (199, 198, True, 2)],
)
@pytest.mark.parametrize("name", PAGED)
def test_the_limit_cuts_and_says_so(name: str, limit: int, count: int, complete: bool, calls: int) -> None:
    faked = world(name, page(name, range(1, 101), 198), page(name, range(100, 199), 198))

    found = listed(faked.run(direct(OPERATIONS[name], limit=limit)))

    assert (len(found.tasks), found.complete, len(faked.script.sent)) == (count, complete, calls)
    assert found.note == (None if complete else "there are more tasks than the request's limit")


@pytest.mark.parametrize(("limit", "complete"), [(4, False), (5, True), (6, True)])
def test_the_limit_cuts_a_list_without_pages_too(limit: int, complete: bool) -> None:
    faked = world(DATA_TASKS, page(DATA_TASKS, range(1, 6), 5))

    found = listed(faked.run(direct(OPERATIONS[DATA_TASKS], limit=limit)))

    assert (len(found.tasks), found.complete) == (min(limit, 5), complete)


# -- a full page that says that it was all ------------------------------------------------


# How each service may answer where nothing is left: by an empty page, or by a code.
ENDS = [(OMS_LIST, None), *((name, code) for name in (DMS_LIST, HUAWEI_DMS_LIST) for code in (None, *PAST_END))]


@pytest.mark.parametrize(("name", "code"), ENDS)
def test_behind_a_full_page_that_says_that_it_was_all_one_more_is_asked_for(name: str, code: str | None) -> None:
    """The count may be the page's own. The last record again, or "past the end", is the end."""
    end = refusal(OPERATIONS[name], code, 400) if code else page(name, range(100, 101), 100)
    faked = world(name, page(name, range(1, 101), 100), end)

    found = listed(faked.run(direct(OPERATIONS[name], limit=100)))

    assert (len(found.tasks), found.complete) == (100, True)
    assert asked(faked) == (["0", "99"] if name == OMS_LIST else ["1", "100"])


@pytest.mark.parametrize("name", PAGED)
def test_a_page_that_is_not_full_is_taken_at_its_word(name: str) -> None:
    faked = world(name, page(name, range(1, 100), 99))

    found = listed(faked.run())

    assert (len(found.tasks), found.complete, len(faked.script.sent)) == (99, True, 1)


@pytest.mark.parametrize(("number", "calls"), [(100, 2), (101, 2), (198, 2), (199, 3), (250, 3), (298, 4)])
@pytest.mark.parametrize("name", PAGED)
def test_counts_that_are_the_page_s_own_do_not_end_the_list(name: str, number: int, calls: int) -> None:
    served = Served(name, list(range(1, number + 1)), own_counts=True)

    found = served.walk()

    assert (served.ids(found), found.complete) == (list(range(1, number + 1)), True)
    assert len(served.asked) == calls


@pytest.mark.parametrize("name", PAGED)
def test_counts_that_are_the_page_s_own_do_not_hide_the_limit(name: str) -> None:
    served = Served(name, list(range(1, 251)), own_counts=True)

    found = served.walk(limit=100)

    assert (len(found.tasks), found.complete, len(served.asked)) == (100, False, 2)


# -- lists that move while they are read ------------------------------------------------


@dataclass
class Served:
    """A provider that serves ``numbers``, page by page. ``moves`` happens to them before the call of that number."""

    name: str
    numbers: list[int]
    own_counts: bool = False
    moves: Mapping[int, Callable[[list[int]], object]] = field(default_factory=dict)
    past_end: str | None = None
    size: int = 100
    asked: list[int] = field(default_factory=list)

    def send(self, call: Call) -> FinishedCall:
        query = dict(call.query)
        begin = int(query["offset"]) if "offset" in query else int(query["start"]) - 1
        self.asked.append(begin)
        if move := self.moves.get(len(self.asked)):
            move(self.numbers)
        served = self.numbers[begin : begin + self.size]
        if not served and begin and self.past_end:
            error = Error(Category.INVALID_REQUEST, self.past_end, "past the end")
            return FinishedCall(Verdict(Outcome.FAILED, error, 400), 1)
        operation = OPERATIONS[self.name]
        total = len(served) if self.own_counts else len(self.numbers)
        answer = listing(operation, *(record(operation, number) for number in served), total=total)
        return FinishedCall(Verdict(Outcome.SUCCEEDED, None, 200, reply=Reply(200, {}, answer.body)), 1)

    def walk(self, limit: int = 1000) -> TaskList:
        operation = OPERATIONS[self.name]
        assert operation.listing is not None
        request = {"project_id": "0" * 32, "instance_id": "fake", "limit": limit}
        _, found = walk(operation.listing, request, self.send)
        assert found is not None
        return found

    def ids(self, found: TaskList) -> list[int]:
        digits = 15 if self.name == OMS_LIST else 5
        return [int(task.task_id[-digits:]) for task in found.tasks]


def one_goes_and_one_comes(numbers: list[int]) -> None:
    """The first goes, another comes behind the last: every count stays the same."""
    numbers.append(max(numbers) + 1)
    del numbers[0]


def one_comes_and_one_goes(numbers: list[int]) -> None:
    numbers.insert(0, max(numbers) + 1)
    del numbers[-1]


def most_go(numbers: list[int]) -> None:
    del numbers[50:]


@pytest.mark.parametrize("move", [one_goes_and_one_comes, one_comes_and_one_goes, most_go])
@pytest.mark.parametrize("when", [2, 3])
@pytest.mark.parametrize(("name", "past_end"), ENDS)
def test_a_list_that_moved_once_is_read_again(
    name: str, past_end: str | None, when: int, move: Callable[[list[int]], object]
) -> None:
    """Without the second reading, number 101 would never have been seen, and the count would agree."""
    served = Served(name, list(range(1, 251)), moves={when: move}, past_end=past_end)

    found = served.walk()

    assert (served.ids(found), found.complete, found.note) == (served.numbers, True, None)
    assert served.asked.count(0) == 2


@pytest.mark.parametrize("name", PAGED)
def test_a_list_that_never_rests_is_not_complete_and_the_last_reading_goes_to_its_end(name: str) -> None:
    moves = dict.fromkeys(range(2, 1000), one_goes_and_one_comes)
    served = Served(name, list(range(1, 251)), moves=moves)

    found = served.walk()

    assert (found.complete, found.note) == (
        False,
        "tasks came or went while they were listed, in each of 3 readings: some may be missing",
    )
    assert (served.asked.count(0), len(served.asked)) == (READINGS, 2 + 2 + 3)
    assert len(found.tasks) >= 245


@given(
    st.data(),
    st.integers(min_value=0, max_value=320),
    st.booleans(),
    st.sampled_from(["DMS.00400062", None]),
    st.sampled_from([OMS_LIST, DMS_LIST]),
)
def test_what_was_there_all_the_time_is_listed_or_the_list_is_not_complete(
    data: st.DataObject, number: int, own_counts: bool, past_end: str | None, name: str
) -> None:
    """Tasks come at either end and go anywhere, between any two calls; the others keep their order."""
    served = Served(name, list(range(1, number + 1)), own_counts=own_counts)
    served.past_end = past_end if name == DMS_LIST else None
    always, fresh = set(served.numbers), 1000

    def move(numbers: list[int]) -> None:
        nonlocal fresh
        for _ in range(data.draw(st.integers(min_value=0, max_value=2))):
            fresh += 1
            numbers.insert(data.draw(st.sampled_from([0, len(numbers)])), fresh)
        for _ in range(min(data.draw(st.integers(min_value=0, max_value=2)), len(numbers))):
            always.discard(numbers.pop(data.draw(st.integers(min_value=0, max_value=len(numbers) - 1))))

    served.moves = dict.fromkeys(data.draw(st.sets(st.integers(min_value=2, max_value=12), max_size=4)), move)
    found = served.walk()
    assert len(served.asked) <= READINGS * 5
    assert not found.complete or always <= set(served.ids(found))
    assert found.complete is (found.note is None)
    if not served.moves:
        assert (served.ids(found), found.complete) == (served.numbers, True)


# -- what cannot be the whole list ------------------------------------------------

# (pages, whether it is another list on every page: then it is read again)
ODD: dict[str, tuple[list[tuple[range, int]], bool]] = {
    "a task came: the next page begins with another record": ([(range(1, 101), 200), (range(99, 199), 200)], True),
    "a task went: the next page begins with another record": ([(range(1, 101), 200), (range(101, 201), 200)], True),
    "the count has changed": ([(range(1, 101), 300), (range(100, 200), 299)], True),
    "nothing there any more": ([(range(1, 101), 150), (range(0), 150)], True),
    "records twice, as many as counted": ([(range(1, 11), 15), (range(10, 11), 15)], False),
    "an empty first page before the count": ([(range(0), 7)], False),
    "more than was counted": ([(range(1, 11), 5)], False),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", PAGED)
def test_a_list_that_does_not_add_up_is_not_complete(name: str, odd: str) -> None:
    pages, again = ODD[odd]
    answers = [page(name, numbers, total) for numbers, total in pages]
    faked = world(name, *answers * (READINGS if again else 1))
    found = listed(faked.run(direct(OPERATIONS[name], limit=150)))

    ids = [task.task_id for task in found.tasks]

    assert ids == [task_id(name, number) for number in sorted({n for numbers, _ in pages for n in numbers})][:150]
    assert found.complete is False
    assert found.note is not None
    assert found.note.startswith("tasks came or went" if again else "the provider's count")
    assert len(faked.script.sent) == len(pages) * (READINGS if again else 1)


@pytest.mark.parametrize("name", PAGED)
def test_a_provider_that_repeats_itself_ends_the_walk(name: str) -> None:
    faked = world(name, page(name, range(1, 101), 10_000))

    found = listed(faked.run())

    assert (len(found.tasks), found.complete, len(faked.script.sent)) == (100, False, 2 * READINGS)


@pytest.mark.parametrize("name", PAGED)
def test_a_provider_with_one_record_a_page_ends_the_walk(name: str) -> None:
    """A page that begins with the last record has no room for another one."""
    served = Served(name, [1, 2, 3], size=1)

    assert (served.walk().complete, len(served.asked)) == (False, 2)


def test_a_task_that_is_listed_twice_is_shown_as_it_was_last() -> None:
    operation = OPERATIONS[OMS_LIST]
    first = listing(operation, record(operation, 1, status=2), record(operation, 2), total=3)

    faked = world(OMS_LIST, first, listing(operation, record(operation, 2, status=3), record(operation, 3), total=3))

    assert [(task.task_id, task.provider_status) for task in listed(faked.run()).tasks] == [
        ("1", "2"),
        ("2", "3"),
        ("3", "5"),
    ]


# -- errors ------------------------------------------------


@pytest.mark.parametrize("code", PAST_END)
@pytest.mark.parametrize("name", [DMS_LIST, HUAWEI_DMS_LIST])
def test_an_error_past_the_end_before_the_count_leaves_an_incomplete_list(name: str, code: str) -> None:
    """The list has shrunk: it is read again. Where that fails in the same way, what was found before is kept."""
    faked = world(name, page(name, range(1, 101), 150), refusal(OPERATIONS[name], code, 400))
    result = faked.run()

    found = listed(result)

    assert (len(found.tasks), found.complete) == (100, False)
    assert (result.attempts, result.http_status) == (1 + READINGS, 200)


@pytest.mark.parametrize("code", PAST_END)
def test_an_error_past_the_end_on_the_first_page_is_an_error(code: str) -> None:
    result = world(DMS_LIST, refusal(OPERATIONS[DMS_LIST], code, 400)).run()

    assert result.error is not None
    assert (result.outcome, result.error.code, result.listed) == (Outcome.FAILED, code, None)


def test_the_same_code_is_no_end_where_the_sheet_does_not_say_so() -> None:
    faked = world(OMS_LIST, page(OMS_LIST, range(1, 101), 150), refusal(OPERATIONS[OMS_LIST], PAST_END[0], 400))

    assert faked.run().outcome is Outcome.FAILED


@pytest.mark.parametrize("pages", [0, 1, 2])
@pytest.mark.parametrize("name", PAGED)
def test_a_failure_on_any_page_is_a_failure_of_the_whole(name: str, pages: int) -> None:
    operation = OPERATIONS[name]
    before = [page(name, range(99 * n + 1, 99 * n + 101), 900) for n in range(pages)]

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
    faked = world(name, page(name, range(1, 101), 120), throttle(OPERATIONS[name]), page(name, range(100, 121), 120))

    result = faked.run()

    assert (len(listed(result).tasks), result.attempts, asked(faked)[1]) == (120, 3, asked(faked)[2])


# -- time ------------------------------------------------


@pytest.mark.parametrize("name", PAGED)
def test_a_deadline_that_cuts_the_walk_leaves_an_incomplete_list(name: str) -> None:
    faked = world(name, page(name, range(1, 101), 300), NO_REPLY)
    result = faked.run()

    found = listed(result)

    assert (len(found.tasks), found.complete) == (100, False)
    assert found.note == "time ran out before the last page"
    assert result.attempts > 1


@pytest.mark.parametrize("name", PAGED)
def test_a_deadline_that_cuts_the_second_reading_leaves_what_was_found_before(name: str) -> None:
    moved = [page(name, range(1, 101), 300), page(name, range(101, 201), 300)]

    found = listed(world(name, *moved, NO_REPLY).run())

    assert (len(found.tasks), found.note) == (200, "time ran out before the last page")


@pytest.mark.parametrize("name", LISTS)
def test_a_deadline_before_anything_was_listed_is_a_timeout(name: str) -> None:
    result = world(name, NO_REPLY).run()

    assert result.error is not None
    assert (result.outcome, result.error.category.value, result.listed) == (Outcome.FAILED, "timeout", None)


# -- keys ------------------------------------------------


@pytest.mark.parametrize("name", PAGED)
def test_a_rotated_key_is_rejected_once_not_by_every_page(name: str) -> None:
    """Six bad signatures lock a Huawei key."""
    operation = OPERATIONS[name]
    faked = world(name, success(operation))
    faked.run()
    faked.aws.secrets[faked.secret_name] = ROTATED
    pages = [page(name, range(99 * n + 1, 99 * n + 101), 297) for n in range(2)] + [page(name, range(199, 298), 297)]
    rotated = OperationWorld(operation, type(faked.script)(auth_failure(operation), *pages))
    rotated.environment = replace(rotated.environment, credentials=faked.environment.credentials)
    result = rotated.run()
    assert (len(listed(result).tasks), result.attempts) == (297, 4)

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
    faked = world(OMS_LIST, success(OPERATIONS[OMS_LIST]), dry_run=True)

    result = faked.run()

    assert (result.outcome, result.listed, faked.script.sent) == (Outcome.PLANNED, None, [])


def test_the_first_call_is_the_planned_one() -> None:
    faked = world(OMS_LIST, success(OPERATIONS[OMS_LIST]))
    planned = world(OMS_LIST, success(OPERATIONS[OMS_LIST]), dry_run=True).run().plan

    faked.run()

    assert planned is not None
    assert faked.script.sent[0].url == planned["url"]
