"""``sam build`` as ``make build`` runs it, and the make targets that it calls, on a copy of what they read."""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

from local.aws.expand import text_of
from tests.support.functions import ROOT
from tests.support.template import template
from tests.support.tools import BARE_PATH, BIN, run

ARCHITECTURES: list[str] = template()["Parameters"]["Architecture"]["AllowedValues"]
COMPILED_LAYERS = ("DependenciesLayer", "ReportLayer")
HERE = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())


class MissingInterpreterWarning(UserWarning):
    """A check could not run because this machine lacks the functions' own Python."""


def copy_project(target: Path) -> Path:
    """What ``make build`` reads, and nothing else."""
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", ".*_cache")
    for name in ("template.yaml", "samconfig.toml"):
        shutil.copy(ROOT / name, target / name)
    for name in ("functions", "layers"):
        shutil.copytree(ROOT / name, target / name, ignore=ignored)
    (target / "template.expanded.yaml").write_text(text_of(template()))
    return target


def functions_python() -> str | None:
    """A CPython 3.13 on this machine, by its own path: what finds it on the PATH may be a shim."""
    for candidate in (sys.executable, shutil.which("python3.13")):
        if candidate:
            asked = subprocess.run(
                [candidate, "-c", "import sys; print(*sys.version_info[:2], sys.executable)"],
                capture_output=True,
                text=True,
                check=False,
            )
            if asked.stdout.startswith("3 13 "):
                return asked.stdout.removeprefix("3 13 ").strip()
    return None


def make_venv(project: Path, python: str) -> None:
    """What ``make`` leaves in ``.venv``, as far as a build looks for it."""
    found = project / ".venv" / "bin" / "python"
    found.parent.mkdir(parents=True)
    found.write_text(f'#!/bin/sh\nexec "{python}" "$@"\n')
    found.chmod(0o755)


def build_for(architecture: str, python: str, project: Path) -> Path:
    """The build folder for one processor, in a copy of the project in an empty folder.

    All is built for this machine's processor. For another one, only the layers differ that have compiled packages:
    they are built by the makefile that ``sam build`` calls, and which the template names by the processor.
    """
    if architecture == HERE:
        build(project, architecture, python)
    else:
        copy_project(project)
        for layer in COMPILED_LAYERS:
            done = make_layer(project, layer, python, f"{architecture}/Makefile")
            assert done.returncode == 0, done.stdout
    return project / ".aws-sam" / "build"


def make_layer(project: Path, layer: str, python: str, makefile: str) -> subprocess.CompletedProcess[str]:
    """Run the target of a layer of third-party packages as ``sam build`` does, in a copy of the project."""
    artifacts = project / ".aws-sam" / "build" / layer
    return run(
        *("make", "--makefile", makefile, f"build-{layer}", f"ARTIFACTS_DIR={artifacts}"),
        cwd=project / "layers" / "dependencies",
        state=project / "state",
        RUNTIME_PYTHON=python,
    )


def build(project: Path, architecture: str, python: str) -> None:
    """Build as on a machine that has just run ``make``: the only CPython 3.13 is in ``.venv``, not named."""
    copy_project(project)
    make_venv(project, python)
    done = run(
        *(str(BIN / "sam"), "build", "--template", "template.expanded.yaml", "--parallel"),
        *("--parameter-overrides", f"Architecture={architecture}"),
        cwd=project,
        state=project / "state",
        PATH=BARE_PATH,
        HOME=str(project / "home"),
    )
    assert done.returncode == 0, done.stdout
