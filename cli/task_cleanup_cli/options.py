"""The options that several commands have."""

import os
from pathlib import Path
from typing import Annotated

import typer

from task_cleanup_cli.exits import usage
from task_cleanup_cli.keys import EXCHANGES, explained
from task_cleanup_cli.token_files import OPTION

KEYS = (
    f"Keys are read from the environment, as the official SDKs name them. {explained()}\n\n"
    "The account `prod` reads the same with PROD_ before the names. What is in [ ] can be left out.\n\n"
    f"An account in {', '.join(it.variable for it in EXCHANGES.values())} needs no key: the token of {OPTION} is "
    "exchanged for temporary keys. Its audience must be one that the provider's OIDC provider lists; the functions' "
    f"is {', '.join(f'{it.audience} ({name})' for name, it in EXCHANGES.items())}."
)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document to standard output, and nothing else.")]
Secrets = Annotated[
    bool,
    typer.Option(
        "--secrets", help="Read the keys from AWS Secrets Manager (prefix/provider/account), by your profile."
    ),
]
TokenFile = Annotated[
    list[str] | None,
    typer.Option(
        OPTION,
        metavar="[PROVIDER=]PATH",
        help="A file with an identity token (JWT), exchanged for temporary keys of the accounts in …_FEDERATION. "
        f"It is read anew at each exchange. PROVIDER: {', '.join(EXCHANGES)}; without it, for those without a "
        "file of their own. May be repeated.",
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
