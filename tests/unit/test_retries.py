"""What comes after an attempt, rule by rule: no socket, no clock, no operation."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_cleanup.errors import Category, Code
from task_cleanup.results import Error, Outcome
from task_cleanup.retries import Action, Step, Verdict, next_step, with_hints
from tests.support.builders import NOW

PLENTY = 3600.0
FIVE, MORE = timedelta(minutes=5), timedelta(minutes=5, seconds=1)


def failed(category: Category, code: str = "AnyCode", **facts: Any) -> Verdict:
    return Verdict(Outcome.FAILED, Error(category, code, "no"), **facts)


REJECTED = failed(Category.UNAUTHENTICATED)
BUSY = failed(Category.UNAVAILABLE)
RESET = failed(Category.UNAVAILABLE, Code.CONNECTION_FAILED)
BACK_OFF, REOPEN = Action.BACK_OFF, Action.REOPEN
CLOCK, NONCE, CREDENTIALS = Action.CORRECT_CLOCK, Action.NEW_NONCE, Action.REFETCH_CREDENTIALS


def skewed(skew: timedelta, **facts: Any) -> Verdict:
    return failed(Category.UNAUTHENTICATED, clock_skew=skew, **facts)


def step_after(
    verdict: Verdict, *taken: Action, time_left: float = PLENTY, fraction: float = 0.5, reused: bool = False
) -> Step | None:
    return next_step(verdict, taken, time_left=time_left, fraction=fraction, reused=reused)


@pytest.mark.parametrize("category", Category)
def test_only_what_passes_by_itself_or_can_be_put_right_is_tried_again(category: Category) -> None:
    passing = {Category.THROTTLED, Category.UNAVAILABLE, Category.TIMEOUT}
    expected = BACK_OFF if category in passing else CREDENTIALS if category is Category.UNAUTHENTICATED else None

    step = step_after(failed(category))

    assert (step and step.action) == expected


@pytest.mark.parametrize("error", [None, Error(Category.UNAVAILABLE, "AnyCode", "evidence only")])
@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.UNCHANGED])
def test_what_is_done_is_not_tried_again(outcome: Outcome, error: Error | None) -> None:
    if outcome is Outcome.UNCHANGED or error is None:
        assert step_after(Verdict(outcome, error, clock_skew=MORE, replay=True, retry_after=1.0), reused=True) is None


@pytest.mark.parametrize(
    ("backoffs", "fraction", "retry_after", "wait"),
    [
        (0, 0.0, None, 0.0),
        (0, 0.5, None, 0.1),
        (1, 0.5, None, 0.2),
        (2, 0.5, None, 0.4),
        (3, 0.5, None, 0.8),
        (0, 0.0, 7.0, 7.0),
        (0, 0.5, 7.0, 7.1),
        (3, 0.5, 7.0, 7.8),
    ],
)
def test_back_off_is_full_jitter_that_doubles_on_top_of_the_providers_hint(
    backoffs: int, fraction: float, retry_after: float | None, wait: float
) -> None:
    verdict = failed(Category.THROTTLED, retry_after=retry_after)

    step = step_after(verdict, *[BACK_OFF] * backoffs, fraction=fraction)

    assert step is not None
    assert step.action is BACK_OFF
    assert step.wait == pytest.approx(wait)


def test_back_offs_end() -> None:
    assert step_after(BUSY, *[BACK_OFF] * 3) is not None
    assert step_after(BUSY, *[BACK_OFF] * 4) is None


def test_corrections_are_no_back_offs() -> None:
    step = step_after(BUSY, CLOCK, NONCE, CREDENTIALS, REOPEN, fraction=0.5)

    assert step == Step(BACK_OFF, wait=0.1)


@pytest.mark.parametrize(
    ("verdict", "taken", "reused", "action"),
    [
        (RESET, (), True, REOPEN),
        (RESET, (), False, BACK_OFF),  # a new connection that fails is the provider's trouble
        (RESET, (REOPEN,), True, BACK_OFF),
        (RESET, (BACK_OFF,), True, REOPEN),
        (RESET, (BACK_OFF,) * 4, True, REOPEN),
        (BUSY, (), True, BACK_OFF),
        (failed(Category.TIMEOUT, Code.TIMEOUT), (), True, BACK_OFF),
    ],
)
def test_a_kept_connection_that_was_closed_is_opened_again_once_and_at_once(
    verdict: Verdict, taken: tuple[Action, ...], reused: bool, action: Action
) -> None:
    step = step_after(verdict, *taken, reused=reused)

    assert step is not None
    assert step.action is action
    assert (step.wait == 0) is (action is REOPEN)


@pytest.mark.parametrize(
    ("verdict", "taken", "step"),
    [
        (skewed(MORE), (), Step(CLOCK, clock_skew=MORE)),
        (skewed(-MORE), (), Step(CLOCK, clock_skew=-MORE)),
        (skewed(FIVE), (), Step(CREDENTIALS)),
        (skewed(MORE), (CLOCK,), Step(CREDENTIALS)),
        (skewed(MORE), (CLOCK, CREDENTIALS), None),
        (failed(Category.UNAUTHENTICATED, replay=True), (), Step(NONCE)),
        (failed(Category.UNAUTHENTICATED, replay=True), (NONCE,), Step(CREDENTIALS)),
        (failed(Category.UNAUTHENTICATED, replay=True), (NONCE, CREDENTIALS), None),
        (skewed(MORE, replay=True), (), Step(CLOCK, clock_skew=MORE)),
        (skewed(MORE, replay=True), (CLOCK,), Step(NONCE)),
        (REJECTED, (), Step(CREDENTIALS)),
        (REJECTED, (CREDENTIALS,), None),
        (REJECTED, (BACK_OFF,) * 4, Step(CREDENTIALS)),
    ],
)
def test_each_cause_of_a_rejected_signature_is_put_right_once(
    verdict: Verdict, taken: tuple[Action, ...], step: Step | None
) -> None:
    assert step_after(verdict, *taken) == step


def test_no_call_is_rejected_six_times() -> None:
    """Six rejected signatures lock a Huawei key for everybody who uses it."""
    taken: list[Action] = []
    while step := step_after(skewed(MORE, replay=True), *taken):
        taken.append(step.action)

    assert taken == [CLOCK, NONCE, CREDENTIALS]


@pytest.mark.parametrize(
    ("verdict", "reused", "wait"),
    [
        (BUSY, False, 0.1),
        (failed(Category.THROTTLED, retry_after=7.0), False, 7.1),
        (RESET, True, 0.0),
        (REJECTED, False, 0.0),
        (skewed(MORE), False, 0.0),
    ],
    ids=["back-off", "hint", "reopen", "credentials", "clock"],
)
def test_no_attempt_begins_without_half_a_second_behind_its_wait(verdict: Verdict, reused: bool, wait: float) -> None:
    assert step_after(verdict, time_left=wait + 0.501, reused=reused) is not None
    assert step_after(verdict, time_left=wait + 0.499, reused=reused) is None


# -- what the headers add ------------------------------------------------

HEADER = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=40) | st.builds(
    "{}, {} {} {} {}:{}:{} {}".format,
    st.sampled_from(["Mon", "Foo"]),
    *[st.integers(0, 99)],
    st.sampled_from(["Jan", "Dec", "Foo"]),
    st.integers(0, 10**12),
    *[st.integers(0, 99)] * 3,
    st.sampled_from(["GMT", "+0000", "-9959", "+99999999", ""]),
)


@given(
    headers=st.fixed_dictionaries({}, optional=dict.fromkeys(("date", "retry-after", "x-acs-retry-after"), HEADER))
)
def test_no_header_breaks_the_reading_of_a_reply(headers: dict[str, str]) -> None:
    for category in (Category.THROTTLED, Category.UNAUTHENTICATED):
        verdict = with_hints(failed(category), headers, NOW, NOW)
        assert verdict.category is category

        step = step_after(verdict, time_left=1e12)

        assert step is not None
        assert 0 <= step.wait < 1e12


def test_the_skew_is_that_of_the_signature_not_of_our_clock() -> None:
    date = {"date": "Sat, 21 Nov 2026 08:46:00 GMT"}  # 16 minutes after NOW

    corrected = with_hints(REJECTED, date, NOW, NOW + timedelta(minutes=16))

    assert with_hints(REJECTED, date, NOW, NOW).clock_skew == timedelta(minutes=16)
    assert corrected.clock_skew == timedelta(0)


def test_a_hint_is_told_only_where_a_later_try_helps() -> None:
    told = [
        with_hints(failed(category), {"retry-after": "7"}, NOW, NOW).error
        for category in (Category.THROTTLED, Category.CONFLICT)
    ]

    assert [error and error.detail for error in told] == [{"retry_after_seconds": 7.0}, None]


def test_a_success_needs_no_hints() -> None:
    verdict = Verdict(Outcome.SUCCEEDED)

    assert with_hints(verdict, {"retry-after": "7", "date": "Sat, 21 Nov 2026 08:46:00 GMT"}, NOW, NOW) is verdict
