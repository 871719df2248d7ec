"""The options that several commands have."""

import os
from pathlib import Path
from typing import Annotated

import typer

from task_cleanup_cli.exits import usage
from task_cleanup_cli.keys import explained

KEYS = (
    f"Keys are read from the environment, as the official SDKs name them. {explained()}\n\n"
    "The account `prod` reads the same with PROD_ before the names. What is in [ ] can be left out."
)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document to standard output, and nothing else.")]
Secrets = Annotated[
    bool,
    typer.Option(
        "--secrets", help="Read the keys from AWS Secrets Manager (prefix/provider/account), by your profile."
    ),
]
Folder = Annotated[
    Path,
    typer.Option(
        "--folder",
        envvar="TASK_CLEANUP_FOLDER",
        help="Where reports, results and what was seen before are kept. Of one machine: no network drive.",
    ),
]
DEFAULT_FOLDER = Path(os.path.expanduser("~")) / ".task-cleanup"  # noqa: PTH111 - Path.home() raises without a home


Yes = Annotated[bool, typer.Option("--yes", help="Do not ask. Only with --max.")]
Most = Annotated[int | None, typer.Option("--max", min=0, help="The most that may go. Only with --yes.")]


def check_consent(*, yes: bool, most: int | None) -> None:
    """Refuse one of the two without the other."""
    if yes != (most is not None):
        raise usage("--yes and --max N go together: a pipeline says how many may go at most")
