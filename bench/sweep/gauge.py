"""Counts calls at the server: how many, how many at once, and from when to when."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class Reading:
    """``seconds`` is from the first call's arrival to the last one's answer."""

    calls: int = 0
    most_at_once: int = 0
    seconds: float = 0.0


class Gauge:
    """Counts calls by group. A call is open from when it has been read to when its answer is ready to be sent."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, int] = {}
        self._first: dict[str, float] = {}
        self._readings: dict[str, Reading] = {}

    @contextmanager
    def call(self, group: str) -> Iterator[None]:
        """Count what happens inside as one call of this group."""
        with self._lock:
            began = self._first.setdefault(group, time.monotonic())
            reading = self._readings.setdefault(group, Reading())
            reading.calls += 1
            self._open[group] = self._open.get(group, 0) + 1
            reading.most_at_once = max(reading.most_at_once, self._open[group])
        try:
            yield
        finally:
            with self._lock:
                self._open[group] -= 1
                reading.seconds = time.monotonic() - began

    def take(self) -> dict[str, dict[str, Any]]:
        """The readings since the last call; counting starts again."""
        with self._lock:
            readings, self._readings, self._first = self._readings, {}, {}
            return {group: asdict(reading) for group, reading in readings.items()}
