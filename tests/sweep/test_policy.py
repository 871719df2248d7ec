"""The policy as values: durations, defaults, limits that are exact and only get tighter."""

from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_cleanup.errors import CleanupError
from task_cleanup.sweep.policy import Limits, Mode, Policy, Protect, duration
from task_cleanup.validation import RequestValidator
from tests.support.functions import request_schema
from tests.support.sweep_world import ES_TARGET, OMS_TARGET, TARGETS, policy, sample

VALIDATOR = RequestValidator(request_schema("sweep"))


def read(**changes: Any) -> Policy:
    """The validated policy with these members changed."""
    return Policy.read(VALIDATOR.validate(policy(**changes)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("P7D", timedelta(days=7)),
        ("P9999D", timedelta(days=9999)),
        ("PT1H", timedelta(hours=1)),
        ("PT99999H", timedelta(hours=99999)),
        ("P007D", timedelta(days=7)),
    ],
)
def test_a_duration(text: str, expected: timedelta) -> None:
    assert duration(text) == expected
    assert read(select={"older_than": text}).select.min_age == expected


NO_DURATIONS = [
    "P0D", "P0000D", "PT0H", "PT00000H",
    "", "P", "PT", "7D", "P7", "P7d", "p7D", "P-7D", "P+7D", "P7.0D", "P7D\n", " P7D", "P1W", "P1M", "P1Y", "PT7M",
    "PT7D", "P7H", "P1DT1H", "P\u0667D", "P7D;", "P 7D",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_DURATIONS)
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(CleanupError):
        duration(text)
    with pytest.raises(CleanupError):
        read(select={"older_than": text})


@pytest.mark.parametrize("value", [7, 7.0, None, True, ["P7D"], {"days": 7}])
def test_a_duration_is_a_text(value: object) -> None:
    with pytest.raises(CleanupError):
        read(select={"older_than": value})


def test_what_is_not_said_is_the_careful_choice() -> None:
    asked = read(mode=None, limits=None, protect=None, select={"older_than": "P7D"})

    assert (asked.mode, asked.stop_running, asked.select.names) == (Mode.REPORT, False, ())
    assert [status.value for status in asked.select.statuses] == ["succeeded", "failed", "cancelled"]
    assert [basis.value for basis in asked.select.age_from] == ["ended", "seen"]
    assert (asked.select.running_since, asked.select.provider_statuses) == (None, ())
    assert (asked.limits.max_tasks, asked.limits.max_fraction, asked.limits.allow_incomplete) == (500, 0.5, False)


@pytest.mark.parametrize("name", ["direct", "eventbridge", "schedule"])
def test_the_samples_are_policies_that_only_report(name: str) -> None:
    event = sample(name)

    assert Policy.read(VALIDATOR.validate(event.get("detail", event))).mode is Mode.REPORT


@pytest.mark.parametrize(
    "targets",
    [
        [OMS_TARGET, {**OMS_TARGET, "account": "default"}],
        [OMS_TARGET, {**OMS_TARGET, "limit": 10000}],
        [OMS_TARGET, ES_TARGET, OMS_TARGET],
    ],
)
def test_a_target_stands_there_once(targets: list[Any]) -> None:
    with pytest.raises(CleanupError) as raised:
        read(targets=targets)

    violations = (raised.value.detail or {})["violations"]

    assert {violation["rule"] for violation in violations} <= {"repeated", "uniqueItems"}


def test_a_policy_reads_what_it_writes() -> None:
    full = {
        "older_than": "PT3H",
        "statuses": ["paused"],
        "names": ["a*"],
        "age_from": ["created", "seen"],
        "running_since": "seen",
        "provider_statuses": ["FAILED"],
    }
    every: tuple[dict[str, Any], ...] = (
        {},
        {"protect": None},
        {"limits": None},
        {"select": full},
        {"select": {"older_than": "PT3H"}},
    )
    for changes in every:
        asked = read(**changes)
        VALIDATOR.validate(asked.to_dict())
        assert "select" not in changes or asked.to_dict()["select"].items() >= changes["select"].items()
        assert Policy.read(asked.to_dict()) == asked


def test_a_list_request_says_where_and_with_whose_key() -> None:
    for target in read().targets:
        request = target.list_request()
        assert request.pop("account") == "default"
        assert request.pop("limit") == 10000
        written = {**request, "provider": target.provider, "service": target.service}
        assert written == TARGETS[f"{target.provider}_{target.service}"]


# -- limits ------------------------------------------------

hundredths = st.integers(0, 100).map(lambda number: number / 100)


@given(hundredths, st.integers(0, 100_000))
def test_a_fraction_is_what_is_written_and_not_what_binary_makes_of_it(fraction: float, found: int) -> None:
    exact = round(fraction * 100) * found

    assert Limits(max_fraction=fraction).allowed_of(found) == exact // 100


@pytest.mark.parametrize(
    ("fraction", "found", "allowed"),
    [(0.1, 30, 3), (0.7, 10, 7), (0.29, 100, 29), (0.57, 100, 57), (0.5, 1, 0), (1, 7, 7), (1.0, 7, 7), (0, 7, 0)],
)
def test_known_traps_of_binary_fractions(fraction: float, found: int, allowed: int) -> None:
    assert Limits(max_fraction=fraction).allowed_of(found) == allowed


@given(st.floats(0, 1), st.integers(0, 100_000))
def test_no_fraction_allows_more_than_its_share(fraction: float, found: int) -> None:
    allowed = Limits(max_fraction=fraction).allowed_of(found)

    assert 0 <= allowed <= Fraction(str(fraction)) * found < allowed + 1


limits = st.builds(Limits, st.integers(0, 1000), hundredths, st.booleans())
said = st.fixed_dictionaries(
    {}, optional={"max_tasks": st.integers(0, 1000), "max_fraction": hundredths, "allow_incomplete": st.booleans()}
)


@given(limits, said)
def test_limits_that_are_said_later_only_get_tighter(before: Limits, value: dict[str, Any]) -> None:
    after = before.stricter(value)

    assert after.max_tasks == min(before.max_tasks, value.get("max_tasks", before.max_tasks))
    assert after.max_fraction == min(before.max_fraction, value.get("max_fraction", before.max_fraction))
    assert after.allow_incomplete is (before.allow_incomplete and value.get("allow_incomplete", True))


protects = st.builds(Protect, st.frozensets(st.text(max_size=5)), st.lists(st.text(max_size=5)).map(tuple))


@given(protects, protects)
def test_protections_add_up(one: Protect, other: Protect) -> None:
    both = one | other

    assert both.task_ids == one.task_ids | other.task_ids
    assert set(both.names) == {*one.names, *other.names}
    assert Protect.read(both.to_dict()) == both


def test_ids_to_protect_may_be_numbers() -> None:
    assert read(protect={"task_ids": [191297407830872, "a"]}).protect.task_ids == {"191297407830872", "a"}
