"""The guide is true: its commands add an operation, and the tests find it by themselves."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.aws.stack import ROOT

GUIDE = ROOT / "docs" / "adding-an-operation.md"
TOY = "alibaba_elasticsearch_purge_data_task"
COPIED = (
    "docs",
    "functions",
    "events",
    "layers",
    "local",
    "bench",
    "docs",
    "tests",
    "template.yaml",
    "samconfig.toml",
    "pyproject.toml",
    "Makefile",
    ".gitignore",
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the project in which the guide's commands have been run."""
    for name in COPIED:
        source = ROOT / name
        ignored = shutil.ignore_patterns("__pycache__")
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=ignored)
        else:
            shutil.copy(source, tmp_path / name)
    for script in re.findall(r"^```sh\n(.*?)^```$", GUIDE.read_text(), flags=re.M | re.S):
        subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, check=True)
    return tmp_path


def run_tests(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tree)}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *arguments],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def passed(done: subprocess.CompletedProcess[str]) -> int:
    match = re.search(r"(\d+) passed", done.stdout)
    assert match, done.stdout[-3000:] + done.stderr[-3000:]
    return int(match[1])


def test_the_guide_adds_an_operation_that_passes_every_test(tree: Path) -> None:
    done = run_tests(tree, "tests/handlers/test_matrix.py", "-k", f"{TOY} and not silent")
    assert done.returncode == 0, done.stdout[-3000:]
    assert passed(done) >= 50, "every trigger and outcome of the new operation"
    done = run_tests(tree, "tests/unit/test_schema_references.py", "-k", TOY)
    assert done.returncode == 0, done.stdout[-3000:]
    assert passed(done) >= 3, "its schema refers to what it shares"
    done = run_tests(
        tree,
        "tests/template",
        "--deselect",
        "tests/template/test_build.py",
        "--ignore",
        "tests/template/test_layers.py",
        "--ignore",
        "tests/template/test_lint.py",
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert passed(done) >= 100


def test_an_operation_without_its_row_in_the_template_fails(tree: Path) -> None:
    shutil.copy(ROOT / "template.yaml", tree / "template.yaml")
    done = run_tests(tree, "tests/template", "-k", "PurgeDataTask", "--ignore", "tests/template/test_lint.py")
    assert done.returncode == 1
    assert "failed" in done.stdout
