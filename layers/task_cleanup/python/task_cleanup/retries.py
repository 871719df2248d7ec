"""What one attempt of a provider call came to (``Verdict``), and what comes next (``next_step``).

Only decisions: nothing here sends, waits, reads a clock or keeps anything. ``Transport.run`` carries the steps out.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum

from task_cleanup.errors import RETRY_WITHIN_CALL, Category, Code
from task_cleanup.providers.model import Reply
from task_cleanup.results import Error, Outcome
from task_cleanup.times import plausible

MAX_BACKOFFS = 4  # in one call
BACKOFF_BASE = 0.2  # seconds; doubled each time, then full jitter
BACKOFF_CAP = 5.0
MIN_ATTEMPT = 0.5  # seconds; an attempt that has less is cut off, and leaves doubt whether the change was made
MAX_CLOCK_SKEW = timedelta(minutes=5)

SIGNATURE_NOT_ACCEPTED = RETRY_WITHIN_CALL | {Category.UNAUTHENTICATED}  # it was rejected, or not checked at all


@dataclass(frozen=True)
class Verdict:
    """What one attempt came to. ``uncertain``: the change may have been made although nothing confirms it."""

    outcome: Outcome
    error: Error | None = None
    http_status: int | None = None
    request_id: str | None = None
    uncertain: bool = False
    code_known: bool = True  # false if only the HTTP status identifies the failure
    retry_after: float | None = None  # seconds, from the provider's own header
    clock_skew: timedelta | None = None  # the server's clock less the time that we sign with
    replay: bool = False  # the provider says that it has seen this nonce
    reply: Reply | None = field(default=None, repr=False)  # if its body is the result

    @property
    def category(self) -> Category | None:
        """The error's category; None if there is no error, or it is the evidence of ``unchanged``."""
        return self.error.category if self.error and self.outcome is not Outcome.UNCHANGED else None


class Action(Enum):
    """What is done before a call is attempted again."""

    BACK_OFF = "wait for `wait` seconds"
    REOPEN = "nothing: the next attempt opens a new connection"
    CORRECT_CLOCK = "add `clock_skew` to the time that is signed"
    NEW_NONCE = "nothing: every attempt has a new nonce"
    REFETCH_CREDENTIALS = "read the secret again; if it is the same, the verdict stays"


@dataclass(frozen=True)
class Step:
    """An action and its measure. ``wait`` is in seconds."""

    action: Action
    wait: float = 0.0
    clock_skew: timedelta = timedelta(0)


def next_step(
    verdict: Verdict, taken: Sequence[Action], *, time_left: float, fraction: float, reused: bool
) -> Step | None:
    """What to do before the next attempt, or None if this verdict is the call's.

    Parameters
    ----------
    taken
        The actions of this call so far.
    time_left
        Seconds to the deadline.
    fraction
        In [0, 1): the jitter's share of the longest wait.
    reused
        Whether the attempt could use a connection that an earlier one left open.
    """
    if verdict.category is Category.UNAUTHENTICATED:
        step = _correction(verdict, taken)
    elif verdict.category in RETRY_WITHIN_CALL:
        step = _repetition(verdict, taken, fraction, reused)
    else:
        # A success, or a failure that the same request would meet again. Also a conflict: the task's state
        # changes in minutes, and the message comes again later.
        return None
    # No attempt is begun without the time to end it.
    return None if step is None or time_left < step.wait + MIN_ATTEMPT else step


def _repetition(verdict: Verdict, taken: Sequence[Action], fraction: float, reused: bool) -> Step | None:
    """The step after a failure that can pass by itself."""
    # Providers close idle connections, which we notice after an environment was frozen. The provider itself may be
    # available: try at once on a new connection, but only once, since the next failure is one of the provider.
    closed = verdict.error is not None and verdict.error.code == Code.CONNECTION_FAILED
    if closed and reused and Action.REOPEN not in taken:
        return Step(Action.REOPEN)
    # A provider that is down for longer is left to the queue.
    backoffs = taken.count(Action.BACK_OFF)
    if backoffs >= MAX_BACKOFFS:
        return None
    # Never sooner than the provider asked for; the jitter spreads callers that got the same `Retry-After`.
    jitter = min(BACKOFF_CAP, BACKOFF_BASE * 2.0**backoffs) * fraction
    return Step(Action.BACK_OFF, wait=(verdict.retry_after or 0.0) + jitter)


def _correction(verdict: Verdict, taken: Sequence[Action]) -> Step | None:
    """The step after a rejected signature. Each cause is corrected once at most: six rejections lock a Huawei key."""
    # Our clock is off: providers refuse signatures that are a quarter of an hour old.
    skew = verdict.clock_skew
    if skew is not None and abs(skew) > MAX_CLOCK_SKEW and Action.CORRECT_CLOCK not in taken:
        return Step(Action.CORRECT_CLOCK, clock_skew=skew)
    # The provider has seen the nonce, for example because a proxy sent the request twice.
    if verdict.replay and Action.NEW_NONCE not in taken:
        return Step(Action.NEW_NONCE)
    # The key was rotated after we had cached it.
    if Action.REFETCH_CREDENTIALS not in taken:
        return Step(Action.REFETCH_CREDENTIALS)
    return None


def with_hints(verdict: Verdict, headers: Mapping[str, str], now: datetime, signing_time: datetime) -> Verdict:
    """The verdict with what the headers add to a failure: the server's clock, and when to come again.

    ``now`` is our clock's time, ``signing_time`` the same with the offset that signatures have. Header names are in
    lower case.
    """
    error = verdict.error
    if error is None:
        return verdict
    retry_after = _retry_after(headers, now)
    if retry_after is not None and error.category in RETRY_WITHIN_CALL:
        error = error.with_detail(retry_after_seconds=retry_after)
    server_time = _http_date(headers.get("date"))
    skew = None if server_time is None else server_time - signing_time
    return replace(verdict, error=error, retry_after=retry_after, clock_skew=skew)


def _http_date(value: str | None) -> datetime | None:
    """The header's date; None if it is no date or not ``plausible``, since we would set our clock by it."""
    try:
        moment = parsedate_to_datetime(value) if value else None
    except (ValueError, TypeError, OverflowError):
        return None
    return plausible(moment.replace(tzinfo=moment.tzinfo or UTC)) if moment else None


def _retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds from ``x-acs-retry-after`` (milliseconds) or ``Retry-After`` (seconds or a date)."""
    milliseconds, value = headers.get("x-acs-retry-after", ""), headers.get("retry-after", "")
    if _NUMBER.fullmatch(milliseconds):
        return int(milliseconds) / 1000
    if _NUMBER.fullmatch(value):
        return float(value)
    moment = _http_date(value)
    return max(0.0, (moment - now).total_seconds()) if moment else None


_NUMBER = re.compile("[0-9]{1,9}")
