"""Which tasks a policy selects, and why each of the others stays."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_cleanup.providers import alibaba_elasticsearch, dms, huawei_oms
from task_cleanup.providers.model import Reply, Service
from task_cleanup.sweep.policy import AgeFrom, Mode, Policy, Protect, RunningSince, Select, SweepTarget
from task_cleanup.sweep.selection import (
    Decision,
    Judged,
    ages_wanting,
    counts,
    guard_matches,
    judge,
    protection,
)
from task_cleanup.tasks import BUSY, AgeBasis, Status, Task

NOW = datetime(2026, 11, 21, 8, 31, tzinfo=UTC)
WEEK = timedelta(days=7)
TARGET = SweepTarget("huawei", "oms", "cn-north-4")
OMS, DMS, ALIBABA = huawei_oms.SERVICE, dms.OTC, alibaba_elasticsearch.SERVICE  # OMS alone can stop
SOME = {True: OMS, False: DMS}


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
    none |= {"stoppable": True}
    return task(**{"status": Status.RUNNING, **none, **members})


def a_policy(select: Select | None = None, protect: Protect | None = None, *, stop: bool = False) -> Policy:
    """Older than a week."""
    return Policy("p", Mode.APPLY, (TARGET,), select or Select("P7D"), protect or Protect(), stop_running=stop)


def judged(item: Task, asked: Policy, *, seen: datetime | None = None, service: Service = OMS) -> Judged:
    """The task, judged at NOW."""
    return judge(item, asked, NOW, seen, service=service)


def decided(item: Task, asked: Policy, *, seen: datetime | None = None, service: Service = OMS) -> str:
    """The decision alone."""
    return judged(item, asked, seen=seen, service=service).decision.value


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
        ({"ended_at": None, "inferred_end_at": NOW - 2 * WEEK, "started_at": NOW - 3 * WEEK}, "age_unknown"),
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
        (Protect(frozenset({"0001001"})), "1001", ""),
        (Protect(frozenset({"1001"})), "0001001", ""),
        (Protect(frozenset({"8ABF5B1A-4F0C-9E0E-3D2F-7F6F1A118ABF"})), "8abf5b1a4f0c9e0e3d2f7f6f1a118abf", ""),
        (Protect(frozenset({"8abf5b1a4f0c9e0e3d2f7f6f1a118abf"})), "8abf5b1a-4f0c-9e0e-3d2f-7f6f1a118abf", ""),
        (Protect(names=("*prod*",)), "1", "eu-PROD-1"),
        (Protect(names=("*PROD*",)), "1", "eu-prod-1"),
        (Protect(names=("*prod*",)), "1", "a\nprod\nb"),
        (Protect(names=("*prod*",)), "1", "\uff30\uff32\uff2f\uff24"),  # full-width letters
        (Protect(names=("*caf\u00e9*",)), "1", "cafe\u0301 1"),  # one letter, written in two ways
        (Protect(names=("*cafe\u0301*",)), "1", "CAF\u00c9"),
        (Protect(names=("stra?e",)), "1", "stra\u00dfe"),  # folded, it is two letters
        (Protect(names=("prod?",)), "1", "prod\u00df"),
        (Protect(names=("prod?",)), "1", "PROD\u00df"),
        (Protect(names=("*o?ce-stra?e-strasse",)), "1", "O\ufb03CE-stra\u00dfe-STRA\u00dfE"),
        (Protect(names=("eu-prod?",)), "1", "eu-pr\u2028od1"),
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
    for item in (task(task_id=task_id, name=name), running(task_id=task_id, name=name)):
        assert protection(protect, item)
        done = judged(item, a_policy(protect=protect, stop=True))
        assert (done.decision, done.stop) == (Decision.PROTECTED, False)


@pytest.mark.parametrize(
    ("protect", "task_id", "name"),
    [
        (Protect(), "1001", ""),
        (Protect(frozenset({"1001"})), "10010", "1001"),
        (Protect(frozenset({"*"})), "1001", "*"),
        (Protect(frozenset({"1001"})), "1002", ""),
        (Protect(frozenset({"0"})), "1000", ""),
        (Protect(frozenset({"et-cn-1"})), "etcn1", ""),
        (Protect(names=("prod",)), "prod", "production"),
        (Protect(names=("[prod]",)), "1", "p"),
        (Protect(names=("prod?",)), "1", "prod"),
        (Protect(names=("prod?",)), "1", "PROD\u00e9\u00e9"),
        (Protect(names=("prod?",)), "1", "tmp-stra\u00dfe"),
    ],
)
def test_what_is_not_protected(protect: Protect, task_id: str, name: str) -> None:
    assert protection(protect, task(task_id=task_id, name=name)) is None


@pytest.mark.parametrize("can_stop", [True, False])
@pytest.mark.parametrize("stop", [True, False])
@pytest.mark.parametrize("statuses", [(Status.RUNNING,), (Status.SUCCEEDED,)])
def test_a_running_task_is_selected_only_where_all_three_say_so(
    can_stop: bool, stop: bool, statuses: tuple[Status, ...]
) -> None:
    select = Select("P7D", statuses, running_since=RunningSince.CREATED)
    done = judged(running(), a_policy(select, stop=stop), service=SOME[can_stop])

    allowed = can_stop and stop and Status.RUNNING in statuses

    assert (done.decision is Decision.SELECTED, done.stop) == (allowed, allowed)
    assert ("is stopped first" in done.why) is allowed


def test_what_the_stop_does_not_end_is_not_stopped() -> None:
    """A task of OMS that is being paused counts as running, and a stop does not lead it to where it is deleted."""
    asked = a_policy(Select("P7D", (Status.RUNNING,), running_since=RunningSince.CREATED), stop=True)

    assert decided(running(), asked) == "selected"
    assert decided(running(stoppable=False), asked) == "not_deletable"


def test_what_is_not_running_is_never_stopped() -> None:
    asked = a_policy(Select("P7D", tuple(Status)), stop=True)
    for status in Status:
        if status is not Status.RUNNING:
            done = judged(task(status=status), asked)
            assert (done.decision, done.stop) == (Decision.SELECTED, False)


# -- whatever comes ------------------------------------------------

texts = st.text(alphabet="abPROD*?[]!-\n\u00e9\u0301\u00df\ud83d ", max_size=8)
times = st.none() | st.integers(-60, 60).map(lambda days: NOW - timedelta(days=days))
tasks = st.builds(
    Task,
    task_id=st.integers(0, 9).map(str),
    name=texts,
    status=st.sampled_from(Status),
    provider_status=st.sampled_from(["?", "2"]),  # OMS's own word for a running task
    deletable=st.booleans(),
    why_not=st.none(),
    created_at=times,
    started_at=times,
    ended_at=times,
    inferred_end_at=times,
    age_basis=st.none() | st.sampled_from(AgeBasis),
    stoppable=st.booleans(),
)
patterns = st.lists(texts.filter(bool), max_size=2).map(tuple)
policies = st.builds(
    Policy,
    name=st.just("p"),
    mode=st.just(Mode.APPLY),
    targets=st.just((TARGET,)),
    select=st.builds(
        Select,
        older_than=st.sampled_from(["PT1H", "P7D", "PT12H"]),
        statuses=st.lists(st.sampled_from(Status), min_size=1, unique=True).map(tuple),
        names=patterns,
        age_from=st.lists(st.sampled_from(AgeFrom), min_size=1, unique=True).map(tuple),
        running_since=st.none() | st.sampled_from(RunningSince),
        provider_statuses=st.sampled_from([(), ("?",), ("2",), ("?", "2")]),
    ),
    protect=st.builds(Protect, st.frozensets(st.integers(0, 9).map(str), max_size=2), patterns),
    stop_running=st.booleans(),
)


@given(st.lists(tasks, max_size=12), policies, st.booleans(), times)
def test_every_task_is_decided_once_and_what_is_selected_has_every_right_to_be(
    found: list[Task], asked: Policy, can_stop: bool, seen: datetime | None
) -> None:
    done = tuple(judged(item, asked, seen=seen, service=SOME[can_stop]) for item in found)
    counted = counts(done)
    assert counted.pop("found") == len(found) == sum(counted.values())
    for item in done:
        one, select = item.task, asked.select
        assert item.why
        assert not item.stop or item.decision is Decision.SELECTED
        assert item.age is None or item.age >= 0
        assert not item.vouched or (not one.deletable and one.provider_status in select.provider_statuses)
        if item.decision is not Decision.SELECTED:
            continue
        assert one.task_id not in asked.protect.task_ids
        assert not asked.protect.matching(one.name)
        assert item.vouched or one.status in select.statuses
        by_stop = item.stop and one.stoppable and one.status is Status.RUNNING and asked.stop_running and can_stop
        assert one.deletable or item.vouched or by_stop
        allowed = {select.running_since} if item.stop else set(select.age_from)
        assert item.age_from in allowed
        since = {**known_times(one), "seen": seen}[str(item.age_from)]
        assert since is not None
        assert NOW - since > select.min_age


def known_times(one: Task) -> dict[str, datetime | None]:
    return {
        "ended": one.ended_at,
        "inferred": one.inferred_end_at,
        "created": one.created_at,
        "started": one.started_at,
    }


@given(tasks, policies)
def test_more_protection_never_selects_more(one: Task, asked: Policy) -> None:
    guarded = replace(asked, protect=asked.protect | Protect(frozenset({one.task_id}), ("x",)))

    assert judged(one, guarded).decision is Decision.PROTECTED


# -- ages ------------------------------------------------

AGES = {
    "ended_at": NOW - timedelta(days=1),
    "inferred_end_at": NOW - timedelta(days=2),
    "created_at": NOW - timedelta(days=3),
    "started_at": NOW - timedelta(days=4),
}
SEEN = NOW - timedelta(days=5)
DAYS = {"ended": 1, "inferred": 2, "created": 3, "started": 4, "seen": 5}


def _bases(words: str) -> tuple[AgeFrom, ...]:
    return tuple(AgeFrom(word) for word in words.split())


@pytest.mark.parametrize("first", list(AgeFrom))
def test_an_age_is_counted_from_the_first_basis_that_is_known(first: AgeFrom) -> None:
    asked = a_policy(Select("PT1H", age_from=(first, *(basis for basis in AgeFrom if basis is not first))))

    by_first = judged(task(**AGES), asked, seen=SEEN)
    alone = judged(task(ended_at=None, created_at=NOW - timedelta(days=3)), asked)

    assert (by_first.age_from, by_first.age) == (first.value, DAYS[first] * 86400)
    assert (alone.age_from, alone.age) == ("created", 3 * 86400)


@pytest.mark.parametrize("basis", list(AgeFrom))
def test_what_is_not_listed_in_age_from_never_makes_a_task_old(basis: AgeFrom) -> None:
    others = tuple(each for each in AgeFrom if each is not basis)
    only = {"ended_at": None, "created_at": None} | (
        {} if basis is AgeFrom.SEEN else {{"inferred": "inferred_end_at"}.get(basis, f"{basis}_at"): NOW - 2 * WEEK}
    )
    seen = NOW - 2 * WEEK if basis is AgeFrom.SEEN else None

    assert decided(task(**only), a_policy(Select("P7D", age_from=others)), seen=seen) == "age_unknown"
    assert decided(task(**only), a_policy(Select("P7D", age_from=(basis,))), seen=seen) == "selected"


@pytest.mark.parametrize("since", list(RunningSince))
def test_a_task_that_is_stopped_is_as_old_as_the_policy_says(since: RunningSince) -> None:
    """Whatever may count for tasks that have ended."""
    asked = a_policy(Select("PT1H", (Status.RUNNING,), age_from=tuple(AgeFrom), running_since=since), stop=True)

    done = judged(running(**AGES), asked, seen=SEEN)
    without = running(ended_at=NOW - 2 * WEEK, created_at=None)

    assert (done.age_from, done.age, done.stop) == (since.value, DAYS[since] * 86400, True)
    assert decided(without, asked) == "age_unknown"
    assert decided(running(**AGES), replace(asked, select=replace(asked.select, running_since=None))) == "age_unknown"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("ended", "succeeded, 30.0 days since it ended"),
        ("inferred", "succeeded, 30.0 days since its inferred end"),
        ("seen", "succeeded, 30.0 days since it was first seen as it is now"),
        ("created", "succeeded, 30.0 days since it was created"),
    ],
)
def test_the_reason_says_what_the_age_was_counted_from(words: str, told: str) -> None:
    month = NOW - timedelta(days=30)
    item = task(ended_at=month, inferred_end_at=month, created_at=month)
    asked = Select("P7D", age_from=_bases(words))

    assert judged(item, a_policy(asked), seen=month).why == told
    young = judged(item, a_policy(replace(asked, older_than="P30D")), seen=month)
    assert young.why == f"{told.removeprefix('succeeded, ')}, not older than P30D"


def test_a_time_in_the_future_is_no_age() -> None:
    done = judged(task(ended_at=NOW + timedelta(days=30)), a_policy())

    assert (done.decision, done.age) == (Decision.TOO_YOUNG, 0)


def oms(**members: object) -> Task:
    """A finished task as OMS lists it."""
    start = int((NOW - timedelta(days=30)).timestamp() * 1000)
    record = {"id": 1, "name": "tmp", "status": 5, "start_time": start, "total_time": 60000, **members}
    found = huawei_oms.read_task(Reply(200, {}, json.dumps(record).encode()))
    assert found is not None
    return found[0]


def data_task(**members: object) -> Task:
    """A finished task as Alibaba lists it."""
    record = {"taskId": "et_cn_1", "status": "SUCCESS", "createTime": "2026-11-21 08:30:00", **members}
    page = alibaba_elasticsearch.read_page(Reply(200, {}, json.dumps({"Result": [record]}).encode()))
    assert page is not None
    return page.tasks[0]


def test_a_task_of_oms_that_was_paused_for_a_month_is_as_old_as_it_was_seen() -> None:
    """Start plus running time is a month ago, and it may have ended an hour ago."""
    an_hour = NOW - timedelta(hours=1)

    assert decided(oms(), a_policy(), seen=an_hour) == "too_young"
    assert decided(oms(), a_policy(), seen=NOW - timedelta(days=8)) == "selected"
    assert decided(oms(), a_policy()) == "age_unknown"
    assert decided(oms(), a_policy(Select("P7D", age_from=_bases("inferred"))), seen=an_hour) == "selected"


def test_a_time_without_a_zone_is_the_latest_that_it_can_be() -> None:
    by_creation = Select("PT4H", age_from=_bases("created"))

    assert judged(data_task(), a_policy(by_creation), service=ALIBABA).age == 60
    assert decided(data_task(), a_policy(by_creation), service=ALIBABA) == "too_young"
    assert decided(data_task(createTime="2026-11-21 04:30:00"), a_policy(by_creation), service=ALIBABA) == "selected"
    assert decided(data_task(createTime="2026-11-21 16:30:00"), a_policy(by_creation), service=ALIBABA) == "too_young"


def test_what_another_basis_would_select_is_told_of_tasks_that_stay_for_want_of_an_age() -> None:
    """Only of those: a task that stays for another reason stays by any basis."""
    select = Select("P7D", (*Select("P7D").statuses, Status.RUNNING), running_since=RunningSince.SEEN)
    asked = a_policy(select, Protect(names=("prod",)), stop=True)
    young = NOW - timedelta(days=1)
    found = [
        task(task_id="1", ended_at=None, created_at=NOW - 2 * WEEK),  # as old as it was seen
        task(task_id="2", ended_at=None, created_at=NOW - 2 * WEEK, inferred_end_at=NOW - 2 * WEEK),
        task(task_id="3", ended_at=None, created_at=young),
        task(task_id="4", ended_at=None, created_at=NOW - 2 * WEEK, name="prod"),
        task(task_id="5", ended_at=young, created_at=NOW - 2 * WEEK),  # its age is known
        running(task_id="6", created_at=NOW - 2 * WEEK, started_at=young),
        task(task_id="7"),
    ]
    for seen in (None, young):
        done = [judged(item, asked, seen=seen) for item in found]
        assert ages_wanting(done, asked, NOW, lambda _, seen=seen: seen) == {  # type: ignore[misc]
            "tasks": 4,
            "age_from": {"ended": 0, "seen": 0, "inferred": 1, "created": 2},
            "running_since": {"started": 0, "created": 1, "seen": 0},
        }


# -- words that the operator vouches for ------------------------------------------------


def test_a_word_that_the_policy_vouches_for_is_selected_whatever_the_statuses() -> None:
    failed = data_task(status="FAILED", createTime="2026-10-21 08:30:00")
    select = Select("P7D", (Status.SUCCEEDED,), age_from=_bases("created"), provider_statuses=("FAILED",))

    done = judged(failed, a_policy(select), service=ALIBABA)

    assert (done.decision, done.vouched, done.to_dict()["vouched"]) == (Decision.SELECTED, True, True)
    assert "vouches" in done.why
    for other in (replace(select, provider_statuses=()), replace(select, provider_statuses=("failed",))):
        kept = judged(failed, a_policy(other), service=ALIBABA)
        assert (kept.decision, kept.vouched) == (Decision.NOT_DELETABLE, False)
    assert decided(failed, a_policy(replace(select, older_than="P99D")), service=ALIBABA) == "too_young"
    money = replace(ALIBABA, has_money=True)
    assert decided(failed, a_policy(select), service=money) == "not_deletable"


@pytest.mark.parametrize("service", [OMS, DMS, dms.HUAWEI, ALIBABA], ids=lambda service: service.id)
def test_a_word_for_a_task_at_work_is_never_taken(service: Service) -> None:
    words = [word for word, meaning in service.statuses.meanings.items() if meaning in BUSY]
    assert words or service is ALIBABA
    for word in words:
        status, deletable, why_not = service.statuses.judge(word)
        item = task(status=status, provider_status=word, deletable=deletable, why_not=why_not)
        select = Select("P7D", tuple(Status), provider_statuses=(word,))
        assert decided(item, a_policy(select), service=service) == "not_deletable"


def test_a_word_that_the_table_calls_deletable_needs_nobody_to_vouch_for_it() -> None:
    paused = task(status=Status.PAUSED, provider_status="3")
    done = judged(paused, a_policy(Select("P7D", provider_statuses=("3",))))

    assert (done.decision, done.vouched) == (Decision.OTHER_STATUS, False)


# -- protect, as people see names ------------------------------------------------

PROD = Protect(names=("*prod*",))


@pytest.mark.parametrize(
    "name",
    [
        "orders-pr\u00adod-1",  # soft hyphen
        "orders-pro\u200bd",  # zero width space
        "pr\u034fod",  # combining grapheme joiner
        "p\ufe0frod",  # variation selector
        "pr\u0000od",
        "pr\u2060od",
        "pr\U000e0001od",  # language tag
        "\u202epr\u202cod",
        "pr\u115fod",  # a filler for hangul
    ],
)
def test_characters_that_nobody_sees_do_not_hide_a_name(name: str) -> None:
    assert protection(PROD, task(name=name)) == "its name matches *prod* in protect.names"
    assert protection(Protect(names=(f"*{name}*",)), task(name="eu-orders-prod-1"))


def test_an_id_is_compared_as_it_is_seen() -> None:
    assert protection(Protect(frozenset({"8abf\u200b"})), task(task_id="8ABF"))


@pytest.mark.parametrize(
    ("name", "scripts"),
    [
        ("orders-\u0440rod-1", "Cyrillic and Latin"),
        ("pr\u03bfd", "Greek and Latin"),
        ("\U0001d6d2rod", "Greek and Latin"),  # a letter for formulas
    ],
)
def test_a_name_that_mixes_scripts_is_kept_by_policies_that_protect_names(name: str, scripts: str) -> None:
    item = task(name=name)

    assert decided(item, a_policy(protect=Protect(names=("other",)))) == "protected"
    assert scripts in str(protection(Protect(names=("other",)), item))
    assert decided(item, a_policy(protect=Protect(frozenset({"7"})))) == "selected"


def test_the_other_side_s_name_counts_and_the_whole_of_it() -> None:
    """What fills the index ``prod-orders`` from the index ``a`` is known by both."""
    both = data_task(sourceCluster={"index": "a"}, sinkCluster={"index": "prod-orders"})
    long = data_task(sourceCluster={"index": "a" * 300 + "-prod"})

    assert (both.name, both.also_named) == ("a", ("prod-orders",))
    assert protection(PROD, both)
    assert protection(Protect(names=("*-prod",)), long)
    assert len(long.provider_detail["sourceCluster"]["index"]) == 256
    assert protection(Protect(names=("other",)), data_task(sinkCluster={"index": "\u0440rod"}))


def test_it_is_told_how_many_tasks_each_entry_matched() -> None:
    """A pattern in another tool's syntax, and an id that is not there, match nothing: that must be seen."""
    protect = Protect(frozenset({"1", "01", "2\u200b", "9"}), (".*prod.*", "*prod*", "*", "*eu*"))
    found = [
        task(task_id="1", name="orders-PROD-1"),
        task(task_id="2", name="eu-prod"),
        task(task_id="3", name="pr\u03bfd"),
        task(task_id="4", name=""),
        replace(task(task_id="5", name="prod"), also_named=("eu-prod", "other")),
    ]

    told = guard_matches(protect, found)

    assert told.to_dict() == {
        "task_ids": {"01": 1, "1": 1, "2\u200b": 1, "9": 0},
        "names": {".*prod.*": 0, "*prod*": 3, "*": 4, "*eu*": 2},
        "mixed_scripts": 1,
    }
    assert guard_matches(Protect(), found).to_dict() == {"task_ids": {}, "names": {}, "mixed_scripts": 1}


@given(st.lists(tasks, max_size=8), policies)
def test_what_an_entry_matches_is_protected(found: list[Task], asked: Policy) -> None:
    for item in found:
        matched = guard_matches(asked.protect, [item])
        hit = any(matched.task_ids.values()) or any(matched.names.values())
        assert not hit or judged(item, asked).decision is Decision.PROTECTED
