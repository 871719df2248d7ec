"""The command ``task-cleanup``: how its process begins and ends."""

import os
import sys
from contextlib import suppress
from io import TextIOWrapper

from task_cleanup_cli.exits import Exit
from task_cleanup_cli.interrupts import INTERRUPTS


def main() -> None:
    """Run the command of this process's arguments, and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # what a terminal's encoding does not have must end no command
            stream.reconfigure(errors="backslashreplace")
    with INTERRUPTS.handled():
        code = _run()
    if code == Exit.BROKEN_OFF:
        # What was broken off can have left a lock that is held, for which the interpreter's end would wait for ever.
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def _run() -> int:
    try:
        from task_cleanup_cli.commands import run  # noqa: PLC0415 - takes long: Ctrl-C meanwhile must be no traceback
    except KeyboardInterrupt:
        sys.stderr.write("broken off\n")
        return Exit.BROKEN_OFF
    return run(sys.argv[1:])
