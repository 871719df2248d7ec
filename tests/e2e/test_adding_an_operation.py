"""The guide is true: its commands add an operation, and the tests find it by themselves."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.aws.stack import ROOT
from tests.support.functions import function_folders, operation_name

GUIDE = ROOT / "docs" / "adding-an-operation.md"
pytestmark = pytest.mark.timeout(240)
TOY = "alibaba_elasticsearch_purge_data_task"
OF_THE_TOY = ("test_matrix", "test_schema_references", "test_requests")  # of these files, what is about it
WITHOUT = [f"-pno:{plugin}" for plugin in ("cacheprovider", "schemathesis")]
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", ".build", ".aws-sam", ".*_cache", ".hypothesis")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which the guide's commands have been run."""
    copy = tmp_path_factory.mktemp("guide") / "project"
    shutil.copytree(ROOT, copy, ignore=NOT_COPIED)
    for script in re.findall(r"^```sh\n(.*?)^```$", GUIDE.read_text(), flags=re.M | re.S):
        subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=copy, check=True)
    return copy


def run_tests(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tree)}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *WITHOUT, *arguments],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_guide_adds_an_operation_that_passes_every_test(tree: Path) -> None:
    """In all its outcomes, and in the template as a whole. A build would find nothing new."""
    paths = (
        "tests/handlers/test_matrix.py",
        "tests/unit/test_schema_references.py",
        "tests/contract/test_requests.py",
        "tests/template",
    )
    # What is about one of the other operations does not change, and is tried in the project itself.
    others = " and ".join(f"not {name}" for name in (*OF_THE_TOY, *map(operation_name, function_folders())))
    chosen = f"({others}) or ((PurgeDataTask or {TOY} or every_operation) and not silent)"

    done = run_tests(tree, "-rp", "-k", chosen, *paths)

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout.count("PASSED tests/handlers/test_matrix.py") >= 15, "the new operation's outcomes"
    assert done.stdout.count("PASSED tests/unit/test_schema_references.py") >= 3, "its schema refers"
    assert "test_the_call_is_the_one_on_the_providers_page[alibaba.elasticsearch.PurgeDataTask]" in done.stdout
    assert done.stdout.count("PASSED tests/template") >= 100


def test_an_operation_without_its_row_in_the_template_fails(tree: Path) -> None:
    with_row = (tree / "template.yaml").read_bytes()
    shutil.copy(ROOT / "template.yaml", tree / "template.yaml")
    try:
        done = run_tests(tree, "tests/template/test_functions.py", "-k", "PurgeDataTask")
    finally:
        (tree / "template.yaml").write_bytes(with_row)

    assert done.returncode == 1
    assert "failed" in done.stdout
