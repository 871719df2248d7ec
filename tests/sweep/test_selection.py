"""Which tasks a policy selects, and why each of the others stays."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_cleanup.sweep.policy import Mode, Policy, Protect, Select, SweepTarget
from task_cleanup.sweep.selection import Decision, counts, judge, matches, protection
from task_cleanup.tasks import AgeBasis, Status, Task

NOW = datetime(2026, 11, 21, 8, 31, tzinfo=UTC)
WEEK = timedelta(days=7)
TARGET = SweepTarget("huawei", "oms", "cn-north-4")


def task(**members: object) -> Task:
    """A finished task, a month old."""
    values: dict[str, object] = {
        "task_id": "1001",
        "name": "tmp-copy",
        "status": Status.SUCCEEDED,
        "provider_status": "5",
        "deletable": True,
        "why_not": None,
        "created_at": NOW - timedelta(days=31),
        "ended_at": NOW - timedelta(days=30),
        "age_basis": AgeBasis.ENDED,
    }
    return Task(**{**values, **members})  # type: ignore[arg-type]


def running(**members: object) -> Task:
    """A task that runs since a month."""
    none = {"ended_at": None, "age_basis": None, "deletable": False, "why_not": "it runs"}
    return task(**{"status": Status.RUNNING, **none, **members})


def a_policy(select: Select | None = None, protect: Protect | None = None, *, stop: bool = False) -> Policy:
    """Older than a week."""
    return Policy("p", Mode.APPLY, (TARGET,), select or Select("P7D"), protect or Protect(), stop_running=stop)


def decided(item: Task, asked: Policy, *, can_stop: bool = False) -> str:
    """The decision alone."""
    return judge(item, asked, NOW, can_stop=can_stop).decision.value


@pytest.mark.parametrize(
    ("members", "decision"),
    [
        ({}, "selected"),
        ({"status": Status.FAILED}, "selected"),
        ({"status": Status.CANCELLED}, "selected"),
        ({"status": Status.PAUSED}, "other_status"),
        ({"status": Status.WAITING}, "other_status"),
        ({"status": Status.UNKNOWN, "deletable": False}, "not_deletable"),
        ({"deletable": False}, "not_deletable"),
        ({"deletable": False, "status": Status.PAUSED}, "not_deletable"),
        ({"ended_at": NOW - WEEK}, "too_young"),  # not older than a week: a week
        ({"ended_at": NOW - WEEK - timedelta(milliseconds=1)}, "selected"),
        ({"ended_at": NOW + timedelta(days=30)}, "too_young"),  # the future
        ({"ended_at": NOW}, "too_young"),
        ({"ended_at": None}, "age_unknown"),
        ({"age_basis": None}, "age_unknown"),
        ({"age_basis": AgeBasis.CREATED, "created_at": None}, "age_unknown"),
        ({"age_basis": AgeBasis.CREATED, "created_at": NOW - WEEK, "ended_at": NOW - 2 * WEEK}, "too_young"),
        ({"age_basis": AgeBasis.CREATED, "ended_at": None}, "selected"),
        ({"age_basis": AgeBasis.INFERRED, "inferred_end_at": NOW - WEEK, "ended_at": NOW - 2 * WEEK}, "too_young"),
        ({"age_basis": AgeBasis.INFERRED, "inferred_end_at": NOW - 2 * WEEK, "ended_at": None}, "selected"),
        ({"age_basis": AgeBasis.INFERRED}, "age_unknown"),
        ({"status": Status.DELETING, "deletable": False}, "not_deletable"),
        ({"ended_at": NOW - timedelta(days=1)}, "too_young"),  # created a month ago: the end is what counts
    ],
)
def test_a_task_by_its_state_and_age(members: dict[str, object], decision: str) -> None:
    assert decided(task(**members), a_policy()) == decision


@pytest.mark.parametrize(
    ("names", "name", "selected"),
    [
        ((), "", True),
        (("tmp-*",), "tmp-copy", True),
        (("tmp-*",), "TMP-copy", False),
        (("tmp-*",), "my tmp-copy", False),
        (("a", "tmp-????"), "tmp-copy", True),
        (("*",), "", True),
        (("?*",), "", False),
        (("[t]mp-copy",), "tmp-copy", False),
        (("[t]mp*",), "[t]mp-copy", True),
        (("tmp*",), "tmp\ncopy", True),
        (("*copy",), "tmp-copy\n", False),
    ],
)
def test_a_task_by_its_name(names: tuple[str, ...], name: str, selected: bool) -> None:
    asked = a_policy(Select("P7D", names=names))

    assert decided(task(name=name), asked) == ("selected" if selected else "other_name")


@pytest.mark.parametrize(
    ("protect", "task_id", "name"),
    [
        (Protect(frozenset({"1001"})), "1001", ""),
        (Protect(frozenset({" 1001\n"})), "1001", ""),
        (Protect(frozenset({"8ABF"})), "8abf", ""),
        (Protect(names=("*prod*",)), "1", "eu-PROD-1"),
        (Protect(names=("*PROD*",)), "1", "eu-prod-1"),
        (Protect(names=("*prod*",)), "1", "a\nprod\nb"),
        (Protect(names=("*prod*",)), "1", "\uff30\uff32\uff2f\uff24"),  # full-width letters
        (Protect(names=("*caf\u00e9*",)), "1", "cafe\u0301 1"),  # one letter, written in two ways
        (Protect(names=("*cafe\u0301*",)), "1", "CAF\u00c9"),
        (Protect(names=("stra?e",)), "1", "stra\u00dfe"),  # folded, it is two letters
        (Protect(names=("strasse",)), "1", "STRA\u00dfE"),
        (Protect(names=("\u0130stanbul",)), "1", "\u0130stanbul"),
        (Protect(names=("prod",)), "1", " prod "),
        (Protect(names=("[prod]",)), "1", "[PROD]"),
        (Protect(names=("a[b",)), "1", "a[b"),
        (Protect(names=("[!a]*",)), "1", "[!a] task"),
        (Protect(names=("a\\*",)), "1", "a\\b"),
        (Protect(names=("(a|b)+$",)), "1", "(A|B)+$"),
        (Protect(names=("*",)), "1", "anything"),
        (Protect(names=("prod",)), "1", ""),  # nothing tells that it is not meant
        (Protect(names=("prod",)), "1", " \u3000\t"),
    ],
)
def test_what_is_protected(protect: Protect, task_id: str, name: str) -> None:
    assert protection(protect, task_id, name)
    for item in (task(task_id=task_id, name=name), running(task_id=task_id, name=name)):
        judged = judge(item, a_policy(protect=protect, stop=True), NOW, can_stop=True)
        assert (judged.decision, judged.stop) == (Decision.PROTECTED, False)


@pytest.mark.parametrize(
    ("protect", "task_id", "name"),
    [
        (Protect(), "1001", ""),
        (Protect(frozenset({"1001"})), "10010", "1001"),
        (Protect(frozenset({"*"})), "1001", "*"),
        (Protect(frozenset({"1001"})), "1002", ""),
        (Protect(names=("prod",)), "prod", "production"),
        (Protect(names=("[prod]",)), "1", "p"),
    ],
)
def test_what_is_not_protected(protect: Protect, task_id: str, name: str) -> None:
    assert protection(protect, task_id, name) is None


def test_a_hostile_name_is_matched_in_no_time() -> None:
    """A pattern that a careless matcher would try in more ways than there are atoms."""
    assert not matches("a" * 5000, "*a" * 100 + "b")


@pytest.mark.parametrize("can_stop", [True, False])
@pytest.mark.parametrize("stop", [True, False])
@pytest.mark.parametrize("statuses", [(Status.RUNNING,), (Status.SUCCEEDED,)])
def test_a_running_task_is_selected_only_where_all_three_say_so(
    can_stop: bool, stop: bool, statuses: tuple[Status, ...]
) -> None:
    judged = judge(running(), a_policy(Select("P7D", statuses), stop=stop), NOW, can_stop=can_stop)

    allowed = can_stop and stop and Status.RUNNING in statuses

    assert (judged.decision is Decision.SELECTED, judged.stop) == (allowed, allowed)


def test_a_running_task_is_as_old_as_its_start() -> None:
    asked = a_policy(Select("P7D", (Status.RUNNING,)), stop=True)

    assert decided(running(created_at=NOW - timedelta(days=6)), asked, can_stop=True) == "too_young"
    assert decided(running(created_at=None), asked, can_stop=True) == "age_unknown"


def test_what_is_not_running_is_never_stopped() -> None:
    asked = a_policy(Select("P7D", tuple(Status)), stop=True)
    for status in Status:
        if status is not Status.RUNNING:
            judged = judge(task(status=status), asked, NOW, can_stop=True)
            assert (judged.decision, judged.stop) == (Decision.SELECTED, False)


# -- whatever comes ------------------------------------------------

texts = st.text(alphabet="abPROD*?[]!-\n\u00e9\u0301\u00df\ud83d ", max_size=8)
times = st.none() | st.integers(-60, 60).map(lambda days: NOW - timedelta(days=days))
tasks = st.builds(
    Task,
    task_id=st.integers(0, 9).map(str),
    name=texts,
    status=st.sampled_from(Status),
    provider_status=st.just("?"),
    deletable=st.booleans(),
    why_not=st.none(),
    created_at=times,
    started_at=times,
    ended_at=times,
    inferred_end_at=times,
    age_basis=st.none() | st.sampled_from(AgeBasis),
)
patterns = st.lists(texts.filter(bool), max_size=2).map(tuple)
policies = st.builds(
    Policy,
    name=st.just("p"),
    mode=st.just(Mode.APPLY),
    targets=st.just((TARGET,)),
    select=st.builds(
        Select,
        older_than=st.sampled_from(["P0D", "P7D", "PT12H"]),
        statuses=st.lists(st.sampled_from(Status), min_size=1, unique=True).map(tuple),
        names=patterns,
    ),
    protect=st.builds(Protect, st.frozensets(st.integers(0, 9).map(str), max_size=2), patterns),
    stop_running=st.booleans(),
)


@given(st.lists(tasks, max_size=12), policies, st.booleans())
def test_every_task_is_decided_once_and_what_is_selected_has_every_right_to_be(
    found: list[Task], asked: Policy, can_stop: bool
) -> None:
    judged = tuple(judge(item, asked, NOW, can_stop=can_stop) for item in found)
    counted = counts(judged)
    assert counted.pop("found") == len(found) == sum(counted.values())
    for item in judged:
        one = item.task
        assert item.why
        assert not item.stop or item.decision is Decision.SELECTED
        if item.decision is not Decision.SELECTED:
            continue
        assert one.task_id not in asked.protect.task_ids
        assert not any(matches(one.name, pattern) for pattern in asked.protect.names)
        assert one.status in asked.select.statuses
        assert one.deletable or (item.stop and one.status is Status.RUNNING and asked.stop_running and can_stop)
        bases = {
            AgeBasis.ENDED: one.ended_at,
            AgeBasis.INFERRED: one.inferred_end_at,
            AgeBasis.CREATED: one.created_at,
            None: None,
        }
        since = (one.created_at or one.started_at) if item.stop else bases[one.age_basis]
        assert since is not None
        assert NOW - since > asked.select.min_age


@given(tasks, policies)
def test_more_protection_never_selects_more(one: Task, asked: Policy) -> None:
    guarded = Policy(
        asked.name,
        asked.mode,
        asked.targets,
        asked.select,
        asked.protect | Protect(frozenset({one.task_id}), ("x",)),
        stop_running=asked.stop_running,
    )

    assert judge(one, guarded, NOW, can_stop=True).decision is Decision.PROTECTED


@given(texts, texts)
def test_a_pattern_without_wildcards_means_itself_and_nothing_else(name: str, other: str) -> None:
    literal = name.replace("*", "").replace("?", "")

    assert matches(literal, literal)
    assert matches(other, literal) is (other == literal)
