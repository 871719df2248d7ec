"""What sweeps remember of a place: whatever the history, no task looks older than it was seen."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from task_cleanup.sweep.ledger import MAX_GAP, Asked, Entry, Ledger, digest_of, place_key
from task_cleanup.tasks import Status, Task

START = datetime(2026, 11, 1, 3, tzinfo=UTC)
IDS = ("1", "2")


def at(hours: float) -> datetime:
    """So many hours after the first list."""
    return START + timedelta(hours=hours)


def task(task_id: str = "1", word: str = "5", *raw: object, name: str = "n") -> Task:
    """A task with this raw status."""
    return Task(task_id, name, Status.SUCCEEDED, word, deletable=True, why_not=None, raw=raw)


def stored(ledger: Ledger) -> Ledger:
    """The ledger, written and read."""
    return Ledger.read(json.loads(json.dumps(ledger.to_dict())))


def listed(*sights: tuple[float, Sequence[Task]]) -> Ledger:
    """The ledger after these whole lists."""
    ledger = Ledger()
    for hours, tasks in sights:
        ledger = stored(ledger.after(tasks, at(hours), at(hours)))
    return ledger


# -- how a first sighting is kept ------------------------------------------------


def test_a_task_that_stays_as_it_is_keeps_its_first_sighting() -> None:
    ledger = listed((0, [task()]), (24, [task(), task("2")]), (48, [task(), task("2")]))

    assert ledger.first_seen(task(), at(48)) == at(0)
    assert ledger.first_seen(task("2"), at(48)) == at(24)
    assert ledger.first_seen(task("3"), at(48)) is None
    assert ledger.first_seen(task(word="4"), at(48)) is None


@pytest.mark.parametrize(
    "other",
    [task(word="4"), task(name="m"), task("1", "5", 7), task("1", "5", None), task("1", "5", {"a": 1})],
    ids=["status", "name", "a counter", "a missing one", "an object"],
)
def test_a_task_that_was_otherwise_in_between_starts_anew(other: Task) -> None:
    assert digest_of(other) != digest_of(task())
    assert listed((0, [task()]), (24, [other]), (48, [task()])).first_seen(task(), at(48)) == at(48)


def test_a_task_that_was_not_in_a_whole_list_starts_anew() -> None:
    assert listed((0, [task()]), (24, []), (48, [task()])).first_seen(task(), at(48)) == at(48)


@pytest.mark.parametrize(("gap", "first"), [(75, 0), (75.001, 75.001)])
def test_a_gap_of_more_than_three_days_and_a_bit_starts_anew(gap: float, first: float) -> None:
    assert timedelta(hours=75) == MAX_GAP
    before = listed((0, [task(), task("2")]))
    ledger = before.after([task()], at(gap), at(gap))

    assert ledger.first_seen(task(), at(gap)) == at(first)
    assert ledger.began_anew is (first > 0)
    assert stored(ledger).began_anew is False


def test_what_has_nothing_to_begin_anew_did_not() -> None:
    assert not Ledger().after([task()], at(0), at(0)).began_anew
    assert not listed((0, [])).after([task()], at(100), at(100)).began_anew


def test_a_list_that_is_not_whole_finds_what_is_known_and_not_what_is_too_long_ago() -> None:
    ledger = listed((0, [task()]), (24, [task()]))

    assert ledger.first_seen(task(), at(24 + 75)) == at(0)
    assert ledger.first_seen(task(), at(24 + 75.001)) is None


def test_a_list_that_comes_late_makes_nothing_older() -> None:
    """Two sweeps of one place: the one that listed first writes last."""
    same = listed((0, [task()]), (24, [task()]))

    assert same.after([task()], at(12), at(12)).first_seen(task(), at(24)) == at(0)
    assert same.after([task(word="4")], at(12), at(12)).first_seen(task(), at(24)) == at(24)
    assert same.after([], at(12), at(12)).first_seen(task(), at(24)) == at(24)
    assert same.after([], at(-1), at(-1)).first_seen(task(), at(24)) == at(0)
    assert same.after([task("2")], at(12), at(12)).first_seen(task("2"), at(24)) is None
    gone = listed((0, [task()]), (24, []))
    assert gone.after([task()], at(12), at(12)).after([task()], at(25), at(25)).first_seen(task(), at(25)) == at(25)


def test_a_list_that_another_one_overlaps_forgets_what_it_saw_otherwise() -> None:
    """A list from 23.9 to 24.1 hours, and one within it that was written before."""
    same = listed((0, [task()]), (24, [task()]))
    other = listed((0, [task()]), (24, [task(word="4")]))

    assert same.after([task()], at(23.9), at(24.1)).first_seen(task(), at(25)) == at(0)
    after = other.after([task()], at(23.9), at(24.1))
    assert after.first_seen(task(word="4"), at(25)) is None
    assert after.listed_at == at(24.1), "a third one that began before may have read before"
    assert after.after([task()], at(24.05), at(24.2)).first_seen(task(), at(25)) is None
    assert after.after([task()], at(24.2), at(24.3)).first_seen(task(), at(25)) == at(24.3)
    # One that ended shortly before the other may have read after it.
    new = listed((0, []), (24, [task()]))
    assert new.after([], at(23), at(23.5)).first_seen(task(), at(25)) == at(24)
    for ledger in (new, same):
        assert ledger.after([], at(23.8), at(23.9)).first_seen(task(), at(25)) is None


# -- whatever comes ------------------------------------------------


@dataclass(frozen=True)
class Sight:
    """A list that reads all tasks at one moment; it began and ended so many minutes ``before`` and ``after`` it.

    ``order`` is when its sweep wrote the ledger, in hours after its end. ``is_lost``: nothing was there to read.
    """

    hours: float
    words: Mapping[str, str]
    is_whole: bool
    order: float
    is_lost: bool
    before: int = 0
    after: int = 0

    @property
    def span(self) -> tuple[datetime, datetime]:
        """When it began and ended."""
        moment = at(self.hours)
        return moment - timedelta(minutes=self.before), moment + timedelta(minutes=self.after)


sights = st.builds(
    Sight,
    hours=st.integers(0, 400),
    words=st.dictionaries(st.sampled_from(IDS), st.sampled_from("45"), max_size=2),
    is_whole=st.booleans() | st.just(value=True),
    order=st.integers(-30, 30),
    is_lost=st.integers(0, 9).map(lambda number: number == 0),
)
histories = st.lists(sights, min_size=1, max_size=10, unique_by=lambda sight: sight.hours)
# Lists that overlap: all begin within half an hour of a night.
long_sights = st.builds(
    lambda night, minute, **members: Sight(hours=24 * night + minute / 60, is_whole=True, is_lost=False, **members),
    night=st.integers(0, 2),
    minute=st.integers(0, 30),
    words=st.dictionaries(st.sampled_from(IDS), st.sampled_from("45"), max_size=2),
    order=st.sampled_from([0, 0.01, 0.1, 0.3, 25]),
    before=st.integers(0, 10),
    after=st.integers(0, 4),
)
long_histories = st.lists(long_sights, min_size=1, max_size=6, unique_by=lambda sight: sight.hours)


def true_first(history: Sequence[Sight], task_id: str) -> datetime | None:
    """When the task was first seen as it is in the last whole list, in all whole lists since, without a gap."""
    first: float | None = None
    for sight in sorted(history, key=lambda one: one.hours, reverse=True):
        if first is not None and first - sight.hours > 75:
            break
        if first is None:
            word = sight.words.get(task_id)
        if sight.words.get(task_id) != word or word is None:
            break
        first = sight.hours
    return None if first is None else at(first)


def told(history: Sequence[Sight], *, lose: bool) -> Ledger:
    """The ledger after this history, written in the order in which the sweeps ended."""
    ledger = Ledger()
    for sight in sorted(history, key=lambda one: one.hours + one.after / 60 + one.order):
        tasks = [task(task_id, word) for task_id, word in sight.words.items()]
        ledger = Ledger() if lose and sight.is_lost else stored(ledger)
        ledger = ledger.after(tasks, *sight.span) if sight.is_whole else ledger
    return ledger


def check_against_the_truth(history: Sequence[Sight], ledger: Ledger, *, exactly: bool = False) -> None:
    """No task of the last whole list is older than it is, and with ``exactly`` none is younger."""
    whole = [sight for sight in history if sight.is_whole]
    last = max(whole, key=lambda one: one.hours, default=None)
    if last is None:
        assert ledger == Ledger()
        return
    for task_id, word in last.words.items():
        seen, true = ledger.first_seen(task(task_id, word), last.span[1]), true_first(whole, task_id)
        assert true is not None
        assert seen == true if exactly else seen is None or seen >= true


def in_order(history: Sequence[Sight]) -> list[Sight]:
    """The same lists, each written before the next one began."""
    return [replace(sight, order=0) for sight in history]


@given(histories)
def test_lists_that_come_late_make_no_task_older(history: list[Sight]) -> None:
    check_against_the_truth(history, told(history, lose=False))


@settings(max_examples=400)
@given(long_histories)
def test_lists_that_overlap_make_no_task_older(history: list[Sight]) -> None:
    check_against_the_truth(history, told(history, lose=False))


@given(histories)
def test_in_order_and_with_nothing_lost_the_first_sighting_is_the_true_one(history: list[Sight]) -> None:
    check_against_the_truth(history, told(in_order(history), lose=False), exactly=True)


@given(histories)
def test_a_lost_document_only_makes_tasks_younger(history: list[Sight]) -> None:
    one_by_one = in_order(history)
    kept, lost = told(one_by_one, lose=False), told(one_by_one, lose=True)

    check_against_the_truth(history, lost)
    for task_id in IDS:
        for word in "45":
            now = at(max(sight.hours for sight in history))
            with_all, with_less = (one.first_seen(task(task_id, word), now) for one in (kept, lost))
            assert with_less is None or (with_all is not None and with_less >= with_all)


# -- deletes that are asked for ------------------------------------------------


def test_a_task_that_another_run_has_asked_for_is_told_until_its_request_expires() -> None:
    ledger = stored(Ledger().after([task()], at(0), at(0)).asking(["1"], "run-1", at(24), at(0)))

    assert ledger.asked == {"1": Asked("run-1", at(24))}
    assert ledger.asked_by_another("1", "run-2", at(24)) == "run-1"
    assert ledger.asked_by_another("1", "run-1", at(1)) is None  # the same run takes it up again
    assert ledger.asked_by_another("2", "run-2", at(1)) is None
    assert ledger.asked_by_another("1", "run-2", at(24.001)) is None
    assert ledger.after([], at(24), at(24)).asked == ledger.asked  # a task that is gone is still asked for
    assert ledger.after([task()], at(24.001), at(24.001)).asked == {}
    # Where no list is whole, only the runs that ask write the ledger.
    assert ledger.asking(["2"], "run-2", at(48), at(24)).asked.keys() == {"1", "2"}
    assert ledger.asking(["2"], "run-2", at(48), at(24.001)).asked.keys() == {"2"}


# -- the document ------------------------------------------------


def test_a_ledger_reads_what_it_writes() -> None:
    ledger = listed((0, [task()]), (24, [task(), task("2")])).asking(["2"], "run", at(48), at(24))

    assert stored(ledger) == ledger
    assert ledger.tasks["1"] == Entry(digest_of(task()), at(0), at(24))
    assert stored(Ledger()) == Ledger()


GOOD = {"version": 1, "listed_at": 5, "tasks": {"1": ["a", 4]}, "asked": {"1": ["run", 9]}}


@pytest.mark.parametrize(
    "document",
    [
        None,
        7,
        [],
        "x",
        {},
        {**GOOD, "version": 2},
        {**GOOD, "version": None},
        {**GOOD, "tasks": None},
        {**GOOD, "tasks": []},
        {**GOOD, "tasks": {"1": ["a"]}},
        {**GOOD, "tasks": {"1": ["a", "4"]}},
        {**GOOD, "tasks": {"1": ["a", True]}},
        {**GOOD, "tasks": {"1": [7, 4]}},
        {**GOOD, "tasks": {"1": ["a", 10**40]}},
        {**GOOD, "tasks": {"1": ["a", 6]}},  # first seen after it was last seen
        {**GOOD, "listed_at": None},
        {**GOOD, "listed_at": "5"},
        {name: value for name, value in GOOD.items() if name != "tasks"},
    ],
)
def test_a_document_that_cannot_be_read_makes_tasks_younger(document: object) -> None:
    assert Ledger.read(GOOD).tasks.keys() == {"1"}
    assert Ledger.read(document).tasks == {}


def test_what_is_asked_for_is_read_where_the_tasks_cannot_be_and_the_other_way_round() -> None:
    assert Ledger.read({**GOOD, "tasks": None}).asked.keys() == {"1"}
    assert Ledger.read({**GOOD, "asked": {"1": "run"}}).tasks.keys() == {"1"}


def test_a_hundred_thousand_tasks_are_a_small_document() -> None:
    tasks = [task(str(191297407830872 + number), "5", number) for number in range(1000)]

    size = len(json.dumps(Ledger().after(tasks, at(0), at(0)).to_dict(), separators=(",", ":")))

    assert size < 1000 * 65


# -- the key ------------------------------------------------

PLACE = ("huawei", "oms", "tasks", "cn-north-4", "0123456789abcdef0123456789abcdef", None)


def test_a_place_has_one_key_whatever_the_case_of_its_instance() -> None:
    assert place_key(*PLACE) == "ledger/huawei/oms/tasks/cn-north-4/0123456789abcdef0123456789abcdef/-.json"
    one, other = (place_key(*PLACE[:5], instance_id=text) for text in ("B9F1-a", "b9f1-A"))
    assert one == other
    assert one.endswith("/b9f1-a.json")


@pytest.mark.parametrize("part", range(6))
@pytest.mark.parametrize("text", ["a/b", "..", ".", "a b", "\u00e9", "a%2Fb", "-", "x"])
def test_no_two_places_share_a_key_and_none_leaves_the_folder(part: int, text: str) -> None:
    key = place_key(*PLACE[:part], text, *PLACE[part + 1 :])  # type: ignore[call-arg, arg-type]

    assert key != place_key(*PLACE)
    assert key.count("/") == 6
    assert ".." not in key
    assert key.isascii()
    assert " " not in key
