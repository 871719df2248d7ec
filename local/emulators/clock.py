"""The emulators' clock, in two independent parts.

* The *wall clock* decides whether a signed date is acceptable and fills the `Date` header. `shift` makes it wrong.
* The *timer* runs lock-outs, pausing tasks, remembered nonces and tokens, and the life of faults. `advance` makes
  time pass for those at once, without touching the wall clock, so that honest clients stay inside the window.
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime


class Clock:
    """A wall clock that can be wrong, and a timer that can jump forward."""

    def __init__(self, wall: Callable[[], float] = time.time, timer: Callable[[], float] = time.monotonic) -> None:
        """Start with the right time; both sources can be replaced."""
        self._wall = wall
        self._timer = timer
        self._lock = threading.Lock()
        self._offset = 0.0
        self._advanced = 0.0

    @property
    def offset(self) -> float:
        """Seconds by which the wall clock is ahead of the machine's."""
        return self._offset

    def now(self) -> float:
        """Wall clock, in seconds since 1970."""
        return self._wall() + self._offset

    def elapsed(self) -> float:
        """Timer, in seconds since some moment."""
        return self._timer() + self._advanced

    def shift(self, seconds: float) -> None:
        """Move the wall clock by so many seconds (negative: back)."""
        with self._lock:
            self._offset += seconds

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass on the timer."""
        with self._lock:
            self._advanced += seconds

    def reset(self) -> None:
        """Make the wall clock right again (the timer never runs back)."""
        with self._lock:
            self._offset = 0.0


def http_date(seconds: float) -> str:
    """Return the form that the `Date` header has."""
    return format_datetime(datetime.fromtimestamp(int(seconds), UTC), usegmt=True)


def rfc3339(seconds: float) -> str:
    """Return UTC with milliseconds and `Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def china_time(seconds: float) -> str:
    """Return China time without a zone: `2026-11-21 08:30:00`."""
    return datetime.fromtimestamp(seconds, timezone(timedelta(hours=8))).strftime("%Y-%m-%d %H:%M:%S")


def milliseconds(seconds: float) -> int:
    """Return whole milliseconds since 1970."""
    return int(seconds * 1000)
