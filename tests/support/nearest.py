"""``make quick``: ruff on the files that changed, and the tests nearest to them. A minute at most, and no proof.

Changed is what differs from the last commit, what git does not know yet, and what this branch's commits changed.
Where that is much, tests end when their time is up, and the last lines say so.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]
# These build, deploy or start processes: `make check` runs them.
SLOW = ("tests/artifact/", "tests/attacks/", "tests/e2e/", "tests/rights/")
OF_A_FUNCTION = ("tests/handlers/test_matrix.py", "tests/unit/test_validation.py", "tests/template/test_functions.py")
LAYER = "layers/task_cleanup/python/task_cleanup/"
# Where a source is, where tests may be named after it, and what runs if none is. The first line that fits holds.
ROOMS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    (f"{LAYER}sweep/", ("tests/sweep/",), ("tests/sweep/test_plan.py", "tests/sweep/test_handler.py")),
    (f"{LAYER}providers/alibaba_sts.py", (), ("tests/contract/test_exchange_requests.py",)),
    (f"{LAYER}providers/huawei_sts.py", (), ("tests/contract/test_exchange_requests.py",)),
    (f"{LAYER}providers/otc_iam.py", (), ("tests/contract/test_exchange_requests.py",)),
    (f"{LAYER}providers/token_exchange.py", (), ("tests/contract/test_exchange_requests.py",)),
    (f"{LAYER}providers/", (), ("tests/contract/test_error_tables.py", "tests/contract/test_requests.py")),
    (f"{LAYER}signing/", (), ("tests/contract/test_signing_vectors.py", "tests/unit/test_signing.py")),
    (f"{LAYER}federation.py", (), ("tests/handlers/test_keyless.py", "tests/unit/test_federation_limits.py")),
    (LAYER, ("tests/unit/", "tests/handlers/"), ("tests/unit/test_operation.py", "tests/unit/test_results.py")),
    ("functions/sweep/", (), ("tests/sweep/test_schema.py", "tests/sweep/test_policy.py")),
    ("events/sweep/", (), ("tests/sweep/test_handler.py",)),
    ("functions/sweep_results/", (), ("tests/sweep/test_gatherer.py",)),
    ("events/sweep_results/", (), ("tests/sweep/test_gatherer.py",)),
    (
        "local/emulators/",
        ("tests/contract/test_sdk_", "tests/unit/test_emulator_"),
        ("tests/unit/test_emulator_services.py",),
    ),
    ("local/api/reference/", (), ("tests/contract/test_reference.py",)),
    ("local/api/", ("tests/contract/",), ("tests/contract/test_openapi.py", "tests/sweep/test_http_document.py")),
    ("local/aws/deployed/", (), ("tests/template/test_deployed_copy.py",)),
    ("local/aws/", (), ("tests/template/test_table.py", "tests/template/test_routing.py")),
    ("cli/", ("tests/cli/",), ("tests/cli/test_cli_files.py",)),
    ("bench/sweep/", (), ("tests/e2e/test_bench_sweep.py",)),
    ("bench/cold_start/", (), ("tests/unit/test_cold_start.py",)),
    ("docs/openapi.json", (), ("tests/contract/test_openapi.py",)),
    ("docs/keyless.md", (), ("tests/contract/test_keyless_document.py",)),
    ("docs/reference/", (), ("tests/contract/test_documents.py",)),
    ("template.yaml", (), ("tests/template/",)),
    ("tests/", (), ("tests/template/test_conventions.py",)),
    ("docs/", (), ("tests/template/test_conventions.py",)),
    ("CONTRIBUTING.md", (), ("tests/template/test_conventions.py",)),
)
SECONDS = 35  # for all tests together
OPTIONS = ("-q", "-p", "no:schemathesis", "-m", "not exhaustive")
NO_TESTS = 5  # exit status of pytest
OUT_OF_TIME = 75  # exit status that tests/conftest.py gives it, where nothing has failed before its time was up
BASES = ("origin/main", "main")


@dataclass
class Choice:
    """What to run: whole test files, and the tests of some functions in others."""

    files: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)
    without_tests: list[str] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)


def choose(changed: Iterable[str], tests: Iterable[str]) -> Choice:
    """The tests nearest to changed files; all paths are from the root."""
    tests, choice = set(tests), Choice()
    for name in sorted(changed):
        parts = PurePosixPath(name).parts
        if name in tests:
            if name.startswith(SLOW):
                choice.slow.append(name)
            else:
                choice.files.add(name)
        elif parts[0] in {"functions", "events"} and len(parts) > 2 and not parts[1].startswith("sweep"):
            choice.functions.add(parts[1])
        elif found := _near(name, {test for test in tests if not test.startswith(SLOW)}):
            choice.files |= found
        else:
            choice.without_tests.append(name)
    return choice


def _near(name: str, tests: set[str]) -> set[str]:
    room = next((room for room in ROOMS if name.startswith(room[0])), None)
    if room is None:
        return set()
    _, folders, otherwise = room
    words = PurePosixPath(name).name.partition(".")[0].split("_")
    while words:  # test_transport_retries.py is of transport.py, test_sdk_dms.py of services/dms.py
        called = "_".join(["", *words, ""])
        found = {test for test in tests if test.startswith(folders) and called in f"{PurePosixPath(test).stem}_"}
        if found:
            return found
        words.pop()
    return {test for test in tests if test.startswith(otherwise)} | {
        test for test in otherwise if test.endswith(".py")
    }


def changed_files() -> list[str]:
    """Paths from the root; a file that was deleted is not among them."""
    names = _git("diff", "--name-only", "HEAD") + _git("ls-files", "--others", "--exclude-standard")
    for base in BASES:
        if since := _git("merge-base", "HEAD", base):
            names += _git("diff", "--name-only", since[0], "HEAD")
            break
    return sorted({name for name in names if (ROOT / name).is_file()})


def _git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else []


def _operation(folder: str) -> str:
    schema = json.loads((ROOT / "functions" / folder / "schema.json").read_text())
    return str(schema["properties"]["operation"]["const"])


class Session:
    """Runs commands, prints each, and remembers what failed. All tests together have ``SECONDS``."""

    def __init__(self) -> None:
        self.until = time.monotonic() + SECONDS
        self.failed = self.cut = False

    def ruff(self, *arguments: str) -> None:
        """Ruff with these arguments."""
        self.failed |= self._run("ruff", *arguments) != 0

    def pytest(self, *arguments: str) -> None:
        """These tests, for as long as there is time."""
        left = int(self.until - time.monotonic())
        if left < 5:
            self.cut = True
            return
        code = self._run("pytest", *OPTIONS, f"--session-timeout={left}", *arguments)
        self.cut |= code == OUT_OF_TIME
        self.failed |= code not in (0, NO_TESTS, OUT_OF_TIME)

    @staticmethod
    def _run(*command: str) -> int:
        print("+", "python -m", *command, flush=True)
        return subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=False).returncode


def main() -> int:
    """0 if all that was run is well."""
    changed, session = changed_files(), Session()
    choice = choose(changed, [str(path.relative_to(ROOT)) for path in ROOT.glob("tests/*/test_*.py")])
    if not changed:
        print("Nothing has changed: the unit tests that are fast.")
        choice.files.add("tests/unit")
    for text, names in (("No test is near to:", choice.without_tests), ("Slow, run them yourself:", choice.slow)):
        if names:
            print(text, *names)
    if python := [name for name in changed if name.endswith(".py")]:
        session.ruff("check", *python)
        session.ruff("format", "--check", *python)
    if choice.functions:
        words = [word for folder in sorted(choice.functions) for word in (folder, _operation(folder))]
        session.pytest("-k", " or ".join(words), *OF_A_FUNCTION)
    if choice.files:
        session.pytest(*sorted(choice.files))
    if session.cut:
        print(f"Not all of them ran in {SECONDS} seconds.")
    print("Not well." if session.failed else "Well, as far as this looks; `make check` looks at everything.")
    return int(session.failed)


if __name__ == "__main__":
    sys.exit(main())
