"""All commands, and how they end."""

import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

import typer

from task_cleanup.aws import AwsError
from task_cleanup_cli import keyless_commands, policy_commands, single, stack_commands, sweeping
from task_cleanup_cli.exits import EndedError, Exit
from task_cleanup_cli.keys import NoBotoError
from task_cleanup_cli.screen import Screen

app = typer.Typer(
    help="List the leftover migration tasks of your clouds, see what a policy would delete, and delete exactly that.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
sweeping.register(app)
app.add_typer(sweeping.reports, name="report")
app.add_typer(policy_commands.app, name="policy")
single.register(app)
app.add_typer(stack_commands.app, name="stack")
app.add_typer(keyless_commands.app, name="keyless")


def _show_version(wanted: bool) -> None:
    if wanted:
        try:
            Screen().say(f"task-cleanup {version('task-cleanup')}")
        except PackageNotFoundError:
            Screen().say("task-cleanup, not installed: run from its sources")
        raise typer.Exit


@app.callback()
def _options(
    *,
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version, and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    pass


# Typer has its own copy of click, and exports only this child of click's errors of usage.
_USAGE_ERROR: Any = typer.BadParameter.__mro__[1]


def run(arguments: list[str]) -> int:
    """Run the command of these arguments, and return its exit code."""
    try:
        code = typer.main.get_command(app).main(arguments, prog_name="task-cleanup", standalone_mode=False)
        sys.stdout.flush()
        if code == Exit.BROKEN_OFF:  # Typer makes this of a KeyboardInterrupt
            Screen().tell("broken off")
        return int(code or 0)
    except BrokenPipeError:
        # Whoever read has gone. Nothing else is written, also not when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILED
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - an unforeseen one is raised again
        code, lines = _end_by(error)
        Screen().tell(*lines)
        return code


def _end_by(error: BaseException) -> tuple[int, Sequence[str]]:
    """The exit code, and what people are told. An unforeseen exception is raised again."""
    match error:
        case EndedError():
            return error.code, error.lines
        case NoBotoError():
            return Exit.USAGE, [str(error)]
        case AwsError():
            return Exit.FAILED, [f"the folder could not be read or written: {error.code}"]
        case OSError():
            return Exit.FAILED, [f"{error.filename or 'a file'}: {error.strerror}"]
        case KeyboardInterrupt() | typer.Abort():
            return Exit.BROKEN_OFF, ["broken off"]
        case _ if isinstance(error, _USAGE_ERROR):
            return Exit.USAGE, [error.format_message(), "`--help` after the command says how it is used"]
    raise error
