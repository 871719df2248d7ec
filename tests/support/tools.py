"""The command line tools as a user calls them: no telemetry, no account, nothing written to the home folder."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.functions import ROOT

BIN = Path(sys.executable).parent
PROCESS_ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "PYTHONPATH": f"{ROOT / 'layers/task_cleanup/python'}{os.pathsep}{ROOT}",
    "PYTHONUNBUFFERED": "1",
}
BARE_PATH = f"/usr/bin{os.pathsep}/bin"  # make and the shell, and no Python of this project


def run(tool: str, *arguments: str, cwd: Path, state: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a tool of this environment; what it printed is in ``stdout``, errors too."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "SAM_"))}
    for chosen in ("ARCHITECTURE", "RUNTIME_PYTHON", "PYTHONPATH", "VIRTUAL_ENV"):
        kept.pop(chosen, None)
    environment = {
        **kept,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "SAM_CLI_TELEMETRY": "0",
        "__SAM_CLI_APP_DIR": str(state),
        **variables,
    }
    return subprocess.run(
        [tool, *arguments],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=110,
        check=False,
    )


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run this project's Python in the source tree, as the make targets do."""
    return subprocess.run(
        [sys.executable, *arguments], env=PROCESS_ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, check=False
    )
