"""How a command ends: its exit code, and the errors that end it early."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    """The exit codes (docs/command-line.md)."""

    DONE = 0
    FAILED = 1  # something failed
    REFUSED = 2  # a guard refused: nothing, or not all, was done
    USAGE = 64  # the command, the policy or the keys are wrong: nothing was sent
    BROKEN_OFF = 130  # Ctrl-C, or SIGTERM


class EndedError(Exception):
    """Ends the command with this exit code, and tells people these lines."""

    def __init__(self, code: Exit, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.code = code
        self.lines = lines


def of_progress(progress: Mapping[str, Any]) -> Exit:
    """The code for the counts of a run's results."""
    if progress["failed"] or progress["waiting"]:
        return Exit.FAILED
    return Exit.REFUSED if progress["changed"] else Exit.DONE


def usage(*lines: str) -> EndedError:
    """The command is not right."""
    return EndedError(Exit.USAGE, *lines)
