"""Ctrl-C, SIGTERM and a terminal that is closed: the first ends the command cleanly, the second at once.

The store is made for a worker that dies at any moment, so that ending at once loses nothing but the answers to the
calls that are on their way.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from task_cleanup.system import System
from task_cleanup_cli.exits import Exit

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_FAR = 1e9  # seconds: every deadline is over


class Interrupts:
    """Whether the command is to end. ``system`` is a clock on which every deadline is over then."""

    def __init__(self) -> None:
        self._ending = threading.Event()
        self._raises = True
        self.system = System(monotonic=self._monotonic, sleep=self.wait)

    @property
    def ending(self) -> bool:
        """Whether it is to end."""
        return self._ending.is_set()

    def wait(self, seconds: float) -> None:
        """Sleep, but not longer than until it is to end."""
        self._ending.wait(seconds)

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Handle the signals within this block: in the main thread, the first raises ``KeyboardInterrupt``."""
        handled = [it for it in _SIGNALS if signal.getsignal(it) is not signal.SIG_IGN]  # as `nohup` ignores SIGHUP
        before = {number: signal.signal(number, self._handle) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def asked_for(self) -> Iterator[None]:
        """Within this block nothing is raised: the code asks ``ending``, and ends with nothing half done."""
        self._raises = False
        try:
            yield
        finally:
            self._raises = True

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self._ending.is_set():
            os._exit(Exit.BROKEN_OFF)
        self._ending.set()
        if self._raises:
            raise KeyboardInterrupt

    def _monotonic(self) -> float:
        return time.monotonic() + (_FAR if self._ending.is_set() else 0.0)


INTERRUPTS = Interrupts()  # of this process
