"""Helper processes, which serve on loopback for the process that is measured.

For each line on standard input a helper answers what it has counted, as one line of JSON. When its standard input
ends, it ends too, so that no helper is left when the bench ends.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
LAYER = ROOT / "layers" / "task_cleanup" / "python"
END_SECONDS = 5.0


def answer(ready: Mapping[str, Any], take: Callable[[], Mapping[str, Any]]) -> None:
    """Run by the helper: write ``ready``, then answer every line of standard input with ``take()``."""
    _write(ready)
    for _ in sys.stdin:
        _write(take())


def _write(value: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


class HelperError(Exception):
    """A helper ended, or took longer than it may."""


class Helper:
    """A helper process, in a ``with`` block. ``ready`` is its first line; it is killed after ``seconds``."""

    def __init__(self, module: str, *arguments: str, seconds: float) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(LAYER), str(ROOT)))},
        )
        self._module = module
        self._limit = threading.Timer(seconds, self._process.kill)
        self._limit.daemon = True
        self._limit.start()
        self.ready: dict[str, Any] = {}

    def ask(self) -> dict[str, Any]:
        """What the helper has counted since the last call.

        Raises
        ------
        HelperError
            If the helper has ended.
        """
        if self._process.stdin is None:
            raise HelperError(self._module)
        try:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        except OSError as error:
            raise HelperError(f"{self._module} has ended") from error
        return self._read()

    def __enter__(self) -> Self:
        try:
            self.ready = self._read()
        except HelperError:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _read(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise HelperError(f"{self._module} has ended, status {self._process.poll()}")
        value: dict[str, Any] = json.loads(line)
        return value

    def _end(self) -> None:
        self._limit.cancel()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
