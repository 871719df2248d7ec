"""Single operations on the command line, and what is installed."""

import os
import re
import signal
import subprocess
import sys
import time
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

from local.stories.seeds import DMS_INSTANCE
from task_cleanup.errors import Category
from task_cleanup_cli.operations import operation
from task_cleanup_cli.single import Calls
from tests.support.cli import Laptop
from tests.support.cli_forks import PATHS
from tests.support.functions import ROOT, function_folders, operation_name

DELETE = ("call", "huawei.oms.DeleteTask", "region=cn-north-4")


def test_a_call_looks_deletes_and_tells(laptop: Laptop) -> None:
    """`--dry-run` sends no change; a task that is gone is `unchanged`; a schema's refusal is wrong usage."""
    task_id, other = laptop.seed(2)

    planned = laptop.run(*DELETE, f"task_id={task_id}", "--dry-run")
    assert (planned.code, laptop.changes()) == (0, [])
    assert "would send DELETE http://127.0.0.1" in planned.out
    assert "not looked at" in planned.out
    looked = laptop.run(*DELETE, f"task_id={task_id}", "--dry-run", 'expected={"provider_status": "5"}')
    assert (looked.code, "not looked at" in looked.out) == (0, False), looked
    done = laptop.run(*DELETE, f"task_id={task_id}", "--json")
    assert (done.code, done.json["outcome"], laptop.left()) == (0, "succeeded", [other])
    changed = laptop.run(*DELETE, f"task_id={other}", 'expected={"provider_status": "4"}')
    assert (changed.code, laptop.left(), "TaskChanged" in changed.err) == (2, [other], True)
    wrong = laptop.run(*DELETE, "task_id=x", "dryrun=true")
    assert (wrong.code, "dry_run" in wrong.err) == (64, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("call", "huawei.oms.Nothing"), "there is no operation 'huawei.oms.Nothing'"),
        ((*DELETE, "task_id"), "'task_id' is no name=value"),
        ((*DELETE, "region=eu-de"), "region is there twice"),
    ],
)
def test_a_call_that_cannot_be_understood(laptop: Laptop, arguments: tuple[str, ...], words: str) -> None:
    ended = laptop.run(*arguments)

    assert (ended.code, words in ended.err) == (64, True), ended


def test_a_list_as_a_table_and_as_json(laptop: Laptop) -> None:
    (task_id,) = laptop.seed(1, "otc_dms")
    place = ("region=eu-de", f"instance_id={DMS_INSTANCE}")

    table = laptop.run("list", "otc.dms", *place)
    laptop.cloud.faults.add(service="otc_dms", kind="error", status=403, code="DMS.00403003")
    failed = laptop.run("list", "otc.dms", *place, "--json")

    assert (table.code, re.findall(rf"^{task_id} .* yes", table.out, re.MULTILINE) != []) == (0, True)
    assert (failed.code, failed.json["error"]["code"]) == (1, "DMS.00403003")


def test_a_list_is_watched_until_ctrl_c(laptop: Laptop) -> None:
    laptop.seed(1)
    terminal = laptop.begin("list", "huawei.oms", "region=cn-north-4", "--watch", "2")
    terminal.until("1 tasks")
    laptop.seed(1, first=2)
    terminal.until("2 tasks")
    terminal.signal(signal.SIGINT)

    assert terminal.end().code == 130


def test_a_watch_ends_when_the_key_is_rejected(laptop: Laptop) -> None:
    """Each further list would bring the key nearer to being locked."""
    laptop.more = {"HUAWEICLOUD_SDK_SK": "testSecretWrong"}

    ended = laptop.run("list", "huawei.oms", "region=cn-north-4", "--watch", "2")

    assert (ended.code, len(laptop.cloud.journal.as_json(0))) == (1, 1), ended


def test_the_calls_of_a_command_remember_a_rejected_key(laptop: Laptop, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**laptop.environment, "HUAWEICLOUD_SDK_SK": "testSecretWrong"}.items():
        monkeypatch.setenv(name, value)
    calls = Calls(operation("huawei.oms.ListTasks"), 30, secrets=False)

    errors = [calls.run({"region": "cn-north-4"}).error for _ in range(3)]

    assert [it and it.category for it in errors] == [Category.UNAUTHENTICATED] * 3
    assert len(laptop.cloud.journal.as_json(0)) == 1


def test_ctrl_c_during_a_call_waits_for_its_result(laptop: Laptop) -> None:
    (task_id,) = laptop.seed(1)
    laptop.cloud.faults.add(service="huawei_oms", kind="latency", ms=1500)
    terminal = laptop.begin(*DELETE, f"task_id={task_id}")
    terminal.until("huawei.oms.DeleteTask")
    time.sleep(0.5)
    terminal.signal(signal.SIGINT)
    ended = terminal.end()

    assert (ended.code, "succeeded" in ended.out, "broken off" in ended.out) == (130, True, True), ended


def test_a_call_that_lists_tells_that_it_may_not_be_all(laptop: Laptop) -> None:
    laptop.seed(3)

    ended = laptop.run("call", "huawei.oms.ListTasks", "region=cn-north-4", "limit=2")

    assert (ended.code, "this may not be all" in ended.err, "2 tasks" in ended.out) == (1, True, True), ended


# A signal comes while the command is being imported, and something would keep the interpreter from its end.
EARLY = """
import os, signal, sys, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, where the tests were started in the background
class Stop:
    def find_spec(self, name, *_):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Stop())
threading.Thread(target=time.sleep, args=(100,)).start()
from task_cleanup_cli.main import main
main()
"""


def test_ctrl_c_at_the_start_is_no_traceback_and_waits_for_nothing() -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": PATHS}
    done = subprocess.run(
        [sys.executable, "-c", EARLY], env=environment, capture_output=True, text=True, check=False, timeout=60
    )

    assert (done.returncode, done.stderr) == (130, "broken off\n")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "there is no AWS region: set AWS_REGION"),
        ({"AWS_PROFILE": "nobody"}, "The config profile (nobody) could not be found"),
        ({"AWS_REGION": "eu-west-1"}, "Unable to locate credentials"),
        ({"AWS_REGION": "eu_west:1"}, "doesn't match a supported format"),
    ],
)
def test_an_aws_identity_that_is_not_set_up_is_told_in_one_line(
    laptop: Laptop, more: dict[str, str], words: str
) -> None:
    laptop.more = {"AWS_EC2_METADATA_DISABLED": "true", **more}

    ended = laptop.run("stack", "failures")

    assert (ended.code, words in ended.err, len(ended.err.splitlines())) == (64, True, 1), ended


def test_the_version(laptop: Laptop) -> None:
    ended = laptop.run("--version")

    assert (ended.code, ended.out.startswith("task-cleanup")) == (0, True), ended


# -- what is installed ------------------------------------------------


# As the script does that pip makes of the wheel's entry point.
STARTED = """
from importlib.metadata import entry_points
(command,) = entry_points(group="console_scripts", name="task-cleanup")
command.load()()
"""


def test_one_wheel_has_all_that_the_command_needs(laptop: Laptop, tmp_path: Path) -> None:
    """In an environment that has the dependencies, and neither the sources nor boto3."""
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, folder=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    home = tmp_path / "env"
    venv.create(home, symlinks=True, with_pip=False)
    site = next(home.glob("lib/*/site-packages"))
    with ZipFile(wheel) as packed:  # which is what pip does with it
        packed.extractall(site)
    (site / "boto3.py").write_text("raise ImportError('boto3 is not installed')")
    known = [path for path in sys.path if path.endswith("site-packages")]
    (site / "dependencies.pth").write_text("\n".join(known))
    laptop.seed(1)

    def installed(*arguments: str | Path) -> str:
        command = (home / "bin" / "python", "-c", STARTED, *arguments)
        return _run(*command, folder=tmp_path, environment=laptop.environment)

    operations = installed("operations")
    assert [name for folder in function_folders() if (name := operation_name(folder)) not in operations] == []
    report = re.findall("task-cleanup apply (.+)$", installed("sweep", laptop.policy()), re.MULTILINE)[0]
    installed("apply", report, "--yes", "--max", "1")
    assert laptop.left() == []
    assert str(ROOT) not in installed("report", "results", f"{laptop.folder}/reports/{_apply(laptop)}")


def _apply(laptop: Laptop) -> str:
    return next(laptop.folder.glob("reports/apply-*")).name


def _run(*command: str | Path, folder: Path, environment: dict[str, str] | None = None) -> str:
    words = [*map(str, command)]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    return done.stdout
