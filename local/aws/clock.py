"""Lets days pass at once in the local cloud: for the functions, for local AWS and for the emulated providers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from types import SimpleNamespace
from unittest.mock import patch

from moto.core import utils as moto_time

from local.emulators.clock import Clock
from task_cleanup import system


class CloudClock:
    """The machine's time, ahead by the days that have passed here. It moves the emulators' clock with it."""

    def __init__(self, emulators: Clock) -> None:
        """Start with the right time."""
        self._emulators = emulators
        self._ahead = timedelta(0)

    def now(self, zone: tzinfo = UTC) -> datetime:
        """The time here."""
        return datetime.now(zone) + self._ahead

    def move(self, by: timedelta) -> None:
        """Move all clocks: forward, so that timers run on too, or back, where the past is made before the present."""
        self._ahead += by
        self._emulators.shift(by.total_seconds())
        self._emulators.advance(max(0.0, by.total_seconds()))

    def move_to(self, moment: datetime) -> None:
        """Move all clocks to this moment."""
        self.move(moment - self.now())


@contextmanager
def installed(now: Callable[[], datetime]) -> Iterator[None]:
    """Let the functions of this process and its moto take the time from ``now`` while the block runs.

    A function asks ``task_cleanup.system`` alone for the time. moto's queues and buses ask ``moto.core.utils``.
    """
    functions = SimpleNamespace(now=lambda _zone: now())
    with (
        patch.object(system, "datetime", functions),
        patch.object(moto_time, "utcnow", lambda: now().replace(tzinfo=None)),
    ):
        yield


def next_due(expression: str, zone: tzinfo, now: datetime) -> datetime:
    """When a schedule is due next, strictly after ``now``: ``cron(minute hour * * ? *)`` or ``rate(<n> hours|days)``.

    Raises
    ------
    ValueError
        For any other expression of EventBridge Scheduler: none of the template's has one.
    """
    kind, _, inside = expression.rstrip(")").partition("(")
    words = inside.split()
    if kind == "rate" and len(words) == 2 and words[1].rstrip("s") in ("hour", "day"):
        return now + timedelta(**{f"{words[1].rstrip('s')}s": int(words[0])})
    if kind != "cron" or words[2:] != ["*", "*", "?", "*"] or not all(word.isdigit() for word in words[:2]):
        raise ValueError(f"not a schedule for every day: {expression}")
    here = now.astimezone(zone)
    due = here.replace(hour=int(words[1]), minute=int(words[0]), second=0, microsecond=0)
    return (due if due > here else due + timedelta(days=1)).astimezone(UTC)
