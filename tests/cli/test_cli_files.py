"""What the command line reads and keeps: YAML without surprises, policies, keys, and a folder as a safe store."""

import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
import typer

from task_cleanup.aws import AwsError
from task_cleanup.sweep.store import encoded, sha256_of
from task_cleanup_cli import doctor, policies, yaml12
from task_cleanup_cli.commands import app
from task_cleanup_cli.exits import EndedError
from task_cleanup_cli.folder import BusyError, FolderStore
from task_cleanup_cli.keys import VARIABLES
from task_cleanup_cli.operations import operation, schemas
from task_cleanup_cli.screen import Screen
from task_cleanup_cli.stack import RefusedError
from task_cleanup_cli.worker import Journal
from tests.support.cli_forks import PATHS
from tests.support.functions import function_folders, operation_name

# -- YAML ------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (
            "a: no\nb: off\nc: y\nd: 2026-11-20\ne: 12:30:45",
            {"a": "no", "b": "off", "c": "y", "d": "2026-11-20", "e": "12:30:45"},
        ),
        (
            "a: 12\nb: -0.5\nc: true\nd: null\ne:\nf: ~",
            {"a": 12, "b": -0.5, "c": True, "d": None, "e": None, "f": None},
        ),
        ("'0123': \"0123\"\nb: 'true'\nc: [x, {y: z}]", {"0123": "0123", "b": "true", "c": ["x", {"y": "z"}]}),
        ('%YAML 1.1\n---\n{"a": no}', {"a": "no"}),
        ("a: 8abfa7b372160bfd0172165864064079 # an id", {"a": "8abfa7b372160bfd0172165864064079"}),
    ],
)
def test_yaml_is_what_it_looks_like(text: str, value: object) -> None:
    assert yaml12.read(text).value == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: {c: 1, c: 2}", "line 2: 'c' is there twice"),
        ("a: 1\n'a': 2", "line 2: 'a' is there twice"),
        ("a: !!str 1", "line 1: tags are not read"),
        ("a: !!python/object:os.system x", "tags are not read"),
        ("!x a: 1", "tags are not read"),
        ("a: &x [1]\nb: *x", "anchors and aliases are not read"),
        ("b: *x", "anchors and aliases are not read"),
        ("<<: {a: 1}", "merge keys are not read"),
        ("a: 0123", "programs read this number differently"),
        ("a: 0o17", "programs read this number differently"),
        ("a: 0x1F", "programs read this number differently"),
        ("a: 1_000", "programs read this number differently"),
        ("a: 1e5", "programs read this number differently"),
        ("a: .inf", "programs read this number differently"),
        ("a: 191297407830872191297407830872", "programs read this number differently"),
        ("a: True", "in small letters"),
        ("1: x", "the name of a field is a text"),
        ("[a]: x", "the name of a field is a text"),
        ("true: x", "the name of a field is a text"),
        ("a: 1\n---\na: 2", "line 2: a second document begins"),
        ("a:\n  - x\n    - y", "line 2: the next line is read as a part of this text"),
        ("a: [x\n  y]", "line 1: the next line is read as a part of this text"),
        ("a: 1\n# b\u2028c: 2", r"line 2: U\+2028 ends a line in some programs"),
        ("a: [", "line 1, column 5"),
        ("a: \x07", "this is no YAML"),
        ("[" * 50 + "]" * 50, "nested too deeply"),
    ],
)
def test_what_yaml_would_read_in_another_way_is_refused(text: str, words: str) -> None:
    with pytest.raises(yaml12.NotYamlError, match=words.replace("[", r"\[")):
        yaml12.read(text)


# -- policies ------------------------------------------------

GOOD = """
name: nightly
targets:
  - {provider: huawei, service: oms, region: cn-north-4}
select: {older_than: P7D}
protect:
  names: ["*prod*"]
  task_ids: ["0123"]
"""
GOOD_JSON = json.dumps(
    {
        "name": "nightly",
        "targets": [{"provider": "huawei", "service": "oms", "region": "cn-north-4"}],
        "select": {"older_than": "P7D"},
    }
)


def loaded(path: Path, text: str) -> Mapping[str, object]:
    file = path / "p.yaml"
    file.write_text(text)
    return policies.load(file, {})[0]


def test_a_policy_in_yaml(tmp_path: Path) -> None:
    assert loaded(tmp_path, GOOD)["protect"] == {"names": ["*prod*"], "task_ids": ["0123"]}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('["0123"]', "[123]", "p.yaml:8: /protect/task_ids/0 is a number: put the id in quotes"),
        ("P7D", "7d", "p.yaml:5: /select/older_than must be a duration in days or hours"),
        ("cn-north-4", "cn-norht-4", "p.yaml:4: /targets/0/region must be one of"),
        ("older_than", "older-than", "p.yaml:5: /select/older-than is not"),
        ('["*prod*"]', "[no, 1]", "p.yaml:7: /protect/names/1 must be"),
        ("name: nightly", "name: nightly\nmode: delete", "p.yaml:3: mode must be one of report, apply"),
        ("name: nightly", "name: nightly\nrun_id: x", "p.yaml:3: run_id is no part of a policy"),
        ("name: nightly", "filters: []", "p.yaml:2: filters: what may go is said by `select`"),
        ("name: nightly", "max-resources: 5", "p.yaml:2: max-resources: write `limits"),
        (GOOD, "- name: x", "a policy is an object"),
        (GOOD, "", "a policy is an object"),
    ],
)
def test_a_policy_is_refused_with_line_place_and_what_is_meant(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in GOOD
    with pytest.raises(EndedError) as caught:
        loaded(tmp_path, GOOD.replace(old, new))

    assert (caught.value.code, told in str(caught.value)) == (64, True), caught.value


def test_a_policy_is_read_to_its_end_or_not_at_all(tmp_path: Path) -> None:
    """Its bytes count: what was read of a longer one would be a policy without what protects."""
    targets, _, protect = GOOD.partition("protect:")
    filled = f"{targets}# {'é' * ((policies.MAX_BYTES - len(targets)) // 2 - 4)}\n"
    padding = "\n" * (policies.MAX_BYTES + 1 - len(filled.encode()))

    with pytest.raises(EndedError, match="larger than a policy can be"):
        loaded(tmp_path, f"{filled}{padding}protect:{protect}")


# -- the screen ------------------------------------------------


def test_json_shows_unseen_characters_as_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    """A terminal would obey a name with them. Half of a surrogate pair cannot even be written."""
    value = {"name": "x\x9b31m\x7f\u202e\ud800\U000e0041 \u4e2d\n"}

    Screen(as_json=True).document(value)

    out = capsys.readouterr().out
    assert (json.loads(out), out.replace("\n", "").isprintable(), "\u4e2d" in out) == (value, True, True)


# -- results ------------------------------------------------


def test_a_result_that_is_not_written_whole_is_an_error(tmp_path: Path) -> None:
    """A full disk takes a part of it first. What was written before is read, and what comes later."""
    journal, limits = Journal(tmp_path / "results.jsonl"), resource.getrlimit(resource.RLIMIT_FSIZE)
    results = [{"operation": "a.b.C", "target": {"task_id": task_id}, "n": "x" * 100} for task_id in "123"]
    journal.add(results[0])
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "results.jsonl").stat().st_size + 50, limits[1]))
    try:
        with pytest.raises(OSError, match="No space left"):
            journal.add(results[1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    journal.add(results[2])

    assert list(journal.read().values()) == [results[0], results[2]]


# -- operations ------------------------------------------------


def test_every_function_is_an_operation_of_the_command_line() -> None:
    """They are imported without the environment of Lambda, and the process's own is left as it was."""
    before = dict(os.environ)
    names = {operation_name(folder) for folder in function_folders()}

    assert set(schemas()) == names
    assert {operation(name).name for name in names} == names
    assert dict(os.environ) == before


def commands(group: Any, *names: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *names, name)
        else:
            yield " ".join((*names, name)), command


def test_every_command_has_an_example_and_says_what_is_read_from_the_environment() -> None:
    found = dict(commands(typer.main.get_command(app)))

    assert len(found) > 12
    assert [name for name, it in found.items() if f"Example: task-cleanup {name}" not in (it.epilog or "")] == []
    variables = [variable.name for provider in VARIABLES.values() for variable in provider]
    for name in ("sweep", "apply", "call", "list"):
        assert [variable for variable in variables if variable not in found[name].epilog] == [], name


# -- the folder ------------------------------------------------


def test_conditional_puts(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "new" / "folder")

    assert (store.get("reports/a/claim.json"), store.version("names/x.json")) == (None, None)
    assert store.put_new("reports/a/claim.json", {"a": 1})
    assert not store.put_new("reports/a/claim.json", {"a": 2})
    first = store.get("reports/a/claim.json")
    assert first is not None
    assert (first.document, first.sha256) == ({"a": 1}, sha256_of(encoded({"a": 1})))
    assert store.replace("reports/a/claim.json", {"a": 3}, first.etag)
    assert not store.replace("reports/a/claim.json", {"a": 4}, first.etag)
    assert not store.replace("reports/a/none.json", {"a": 4}, first.etag)
    store.put_json("reports/a/claim.json", {"a": 5})
    store.put_page("reports/a/index.html", "<p>")
    assert store.version("reports/a/claim.json") == sha256_of(encoded({"a": 5}))
    assert sorted(it.name for it in (tmp_path / "new/folder/reports/a").iterdir()) == ["claim.json", "index.html"]


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "a//b", "a/./b", ""])
def test_a_key_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="a key is a path below the folder"):
        FolderStore(tmp_path).put_json(name, {})


def test_what_the_file_system_refuses_is_told_as_the_core_knows_it(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file where a folder should be")
    (tmp_path / "broken.json").write_text("{")
    store = FolderStore(tmp_path)

    with pytest.raises(AwsError) as refused:
        store.put_json("reports/a/claim.json", {})
    with pytest.raises(AwsError) as unreadable:
        store.get("broken.json")
    assert (refused.value.code, unreadable.value.code) == ("ENOTDIR", "NotJson")


_COUNT = """
import sys, pathlib
from task_cleanup_cli.keys import VARIABLES
from task_cleanup_cli.commands import app
from task_cleanup_cli.folder import FolderStore
store = FolderStore(pathlib.Path(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    while True:
        seen = store.get("count.json")
        if store.replace("count.json", {"count": seen.document["count"] + 1, "more": "x" * 5000}, seen.etag):
            break
"""


def counting(folder: Path, number: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _COUNT, str(folder), str(number)], env={"PYTHONPATH": PATHS})


def test_no_update_is_lost_between_processes_nor_by_a_kill(tmp_path: Path) -> None:
    """A process that is killed leaves the old document or the new one, and a lock that nobody waits for."""
    store = FolderStore(tmp_path)
    store.put_json("count.json", {"count": 0})
    victim = counting(tmp_path, 10**6)
    while json.loads((tmp_path / "count.json").read_text())["count"] < 20:
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    before = json.loads((tmp_path / "count.json").read_text())["count"]

    workers = [counting(tmp_path, 30) for _ in range(2)]

    assert [worker.wait(60) for worker in workers] == [0, 0]
    assert json.loads((tmp_path / "count.json").read_text())["count"] == before + 60


def test_a_document_is_compared_and_replaced_under_one_lock(tmp_path: Path) -> None:
    """What another process writes while it holds the lock is seen, and not overwritten."""
    store = FolderStore(tmp_path)
    store.put_json("a.json", {"a": 1})
    seen = store.version("a.json")
    assert seen is not None
    with ThreadPoolExecutor() as pool:
        with (tmp_path / ".lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            replaced = pool.submit(store.replace, "a.json", {"a": 3}, seen)
            wait([replaced], timeout=0.3)
            (tmp_path / "a.json").write_text('{"a": 2}')
        assert replaced.result() is False

    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 2}


def test_one_process_works_on_a_run(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    with store.alone("run"), store.alone("another"), pytest.raises(BusyError), FolderStore(tmp_path).alone("run"):
        pass
    with store.alone("run"):
        pass


# -- a stack that one may not look at ------------------------------------------------


class Forbidden:
    """A stack of which CloudFormation tells, and nothing else."""

    name = "task-cleanup"
    outputs: Mapping[str, str] = {"ScheduleGroupName": "a"}
    description: Mapping[str, Any] = {
        "StackStatus": "UPDATE_ROLLBACK_COMPLETE",
        "Parameters": [
            {"ParameterKey": "DryRun", "ParameterValue": "true"},
            {"ParameterKey": "SweepPolicy", "ParameterValue": GOOD_JSON.replace("cn-north-4", "cn-nowhere-9")},
        ],
    }

    def call(self, service: str, operation: str, **_: object) -> Any:
        raise RefusedError(service, operation, "AccessDenied")

    def pages(self, service: str, operation: str, member: str, **_: object) -> Any:
        return self.call(service, operation)

    def operations(self) -> dict[str, str]:
        return {"HuaweiOmsDeleteTask": "https://queue"}


def test_the_doctor_tells_what_it_may_not_see_and_looks_at_the_rest() -> None:
    found = [(it.state, it.what) for it in doctor.examined(Forbidden())]  # type: ignore[arg-type]

    unseen = [what.partition(":")[0] for state, what in found if state == "unknown"]
    assert unseen == ["identity", "secrets", "alarms", "schedules", "failures"]
    assert [what[:34] for state, what in found if state == "wrong"] == [
        "the stack task-cleanup is UPDATE_R",
        "DryRun is true: nothing is ever de",
        "the nightly policy is refused: Sch",
    ]
