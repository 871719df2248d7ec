"""Clock, sleep, random numbers and nonces as arguments, so that tests can give their own."""

import random
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime

from task_cleanup.startup import wired


def _utc_now() -> datetime:
    return datetime.now(UTC)


@wired
class System:
    """``now`` is aware UTC time, ``monotonic`` and ``sleep`` are seconds, ``fraction`` is in [0, 1)."""

    now: Callable[[], datetime] = _utc_now
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    fraction: Callable[[], float] = random.random
    nonce: Callable[[], str] = lambda: secrets.token_hex(16)


@wired
class Deadline:
    """A moment on the monotonic clock, at which every wait must end."""

    at: float
    monotonic: Callable[[], float]

    @classmethod
    def after(cls, seconds: float, monotonic: Callable[[], float]) -> "Deadline":
        """The deadline ``seconds`` from now."""
        return cls(monotonic() + seconds, monotonic)

    def remaining(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self.at - self.monotonic())

    def within(self, seconds: float) -> "Deadline":
        """This deadline, or ``seconds`` from now if that comes first."""
        return Deadline(min(self.at, self.monotonic() + seconds), self.monotonic)

    def less(self, reserve: float) -> "Deadline":
        """A deadline ``reserve`` seconds earlier than this one, so that they are left for what comes after it."""
        return Deadline(self.at - reserve, self.monotonic)
