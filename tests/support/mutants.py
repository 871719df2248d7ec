"""``make mutants``: a seeded sample of small changes to the layer's code, and whether a test notices each.

mutmut changes the code, finds out which tests run each function, and runs those with the change. It names a module
after its path, and wants it under ``src``: so it works in a copy of the tree in which the layer's folder is a link to
there. It leaves out decorated functions (so every property), and would leave out all of a decorated class.
"""

import argparse
import ast
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from configparser import ConfigParser
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
STAGE = ROOT / ".build" / "mutants"
TREE = STAGE / "mutants"  # mutmut's name for it
PACKAGE = Path("src") / "task_cleanup"
LAYER = "layers/task_cleanup/python"

# The modules whose faults could delete too much, or call a failure a success. Those that do not exist are left out.
MODULES = (
    *("operation", "calls", "looking", "retries", "transport", "credentials", "triggers", "delivery", "paging"),
    *(
        f"sweep/{name}"
        for name in (
            *("run", "state", "saved", "ledgers", "ledger", "claims", "plan", "selection", "policy", "names"),
            *("report", "delete_events", "api", "results", "gathering", "gatherer", "awaited", "lister"),
        )
    ),
)
# What may notice a change, by the part of the package that is changed: tests that are near, and fast.
TESTS: Mapping[str, Sequence[str]] = {
    "": (
        *("connections", "credentials", "listing", "operation", "results", "retries", "stop"),
        *("transport", "transport_retries", "triggers"),
    ),
    "looks": ("looks", "looks_edges", "messages", "stop_running", "vouched"),
    "sweep/": (
        *("api", "awaited", "gatherer", "gathering", "handler", "instances", "ledger", "overlaps", "plan", "policy"),
        *("protected_names", "run", "run_edges", "run_results", "saved", "selection", "sweep_requests"),
    ),
}
FOLDERS = {"": "tests/unit", "looks": "tests/handlers", "sweep/": "tests/sweep"}
PYTEST = (
    *("-p", "tests.support.mutants"),  # this module: see the end
    *("-p", "no:schemathesis", "-p", "no:cacheprovider", "--hypothesis-profile=mutants"),
    # pytest is started again and again in one process, which has already imported its plugins.
    *("-W", "ignore::pytest.PytestAssertRewriteWarning", "--timeout=30"),
)
# What takes half a minute, and runs for each survivor.
TOO_SLOW = "test_a_worker_may_die_at_any_call_to_aws"
# A mutant has three times the time that its tests took, and ten seconds.
TIMES, MORE_SECONDS = 3, 10
PROCESSES = 2
STATUSES = ("killed", "survived", "timeout", "no tests", "suspicious", "segfault", "not checked")


def existing(package: Path) -> list[str]:
    """Those of ``MODULES`` that are in the folder, as paths relative to it."""
    return [f"{name}.py" for name in MODULES if (package / f"{name}.py").is_file()]


def chosen_modules(only: str, modules: Sequence[str]) -> list[str]:
    """Those that ``only`` names, with commas between: modules, or ``single`` or ``sweep``; all if it is empty."""
    words = set(only.split(","))
    return [
        name
        for name in modules
        if not only or words & {name.removesuffix(".py"), "sweep" if name.startswith("sweep/") else "single"}
    ]


def near_tests(modules: Sequence[str], root: Path) -> list[str]:
    """The test files that exist, of the parts that have a module in ``modules``."""
    swept = [name for name in modules if name.startswith("sweep/")]
    parts = (["", "looks"] if len(swept) < len(modules) else []) + (["sweep/"] if swept else [])
    names = (f"{FOLDERS[part]}/test_{name}.py" for part in parts for name in TESTS[part])
    return [name for name in names if (root / name).is_file()]


def sample(names: Sequence[str], size: int, seed: int) -> list[str]:
    """So many of the names. With one seed, a smaller sample is the beginning of a larger one."""
    shuffled = sorted(names)
    random.Random(seed).shuffle(shuffled)
    return shuffled[:size]


def table(results: Mapping[str, int | None], statuses: Mapping[int | None, str]) -> list[str]:
    """Lines of Markdown: how many mutants of each module ended how, from mutants and their exit codes."""
    rows: dict[str, Counter[str]] = {}
    for name, code in results.items():
        module = name.rpartition(".")[0].removeprefix("task_cleanup.")
        for row in (module, "all"):
            rows.setdefault(row, Counter())[statuses[code]] += 1
    columns = [status for status in STATUSES if rows.get("all", Counter())[status]]
    lines = [f"| module | mutants | {' | '.join(columns)} |", f"|---|{'---|' * (len(columns) + 1)}"]
    for row in sorted(rows, key=lambda row: (row == "all", row)):
        counts = " | ".join(str(rows[row][column]) for column in columns)
        lines.append(f"| {row} | {rows[row].total()} | {counts} |")
    return lines


def decorated_below(source: str) -> str:
    """The module with each class decorated in a line behind its body, so that mutmut changes its methods too."""
    lines = source.splitlines()
    for node in reversed(ast.parse(source).body):
        if isinstance(node, ast.ClassDef) and node.decorator_list:
            for decorator in node.decorator_list:  # the innermost ends up nearest to the class
                lines.insert(node.end_lineno or 0, f"{node.name} = {ast.unparse(decorator)}({node.name})")
            del lines[node.decorator_list[0].lineno - 1 : node.lineno - 1]
    return "\n".join(lines) + "\n"


def _prepare(modules: Sequence[str]) -> None:
    """A fresh copy of what git knows or could know, and mutmut's settings."""
    shutil.rmtree(STAGE, ignore_errors=True)
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, files):
        if (ROOT / name).is_file():
            in_layer = name.startswith(f"{LAYER}/")
            target = STAGE / "src" / name.removeprefix(f"{LAYER}/") if in_layer else TREE / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
    for module in modules:
        path = STAGE / PACKAGE / module
        path.write_text(decorated_below(path.read_text()))
    link = TREE / LAYER
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(TREE / "src", link.parent))
    settings = {
        "source_paths": "src",
        "only_mutate": "\n".join(str(PACKAGE / name) for name in modules),
        "pytest_add_cli_args": "\n".join(PYTEST),
        "pytest_add_cli_args_test_selection": "\n".join(near_tests(modules, ROOT)),
        "timeout_multiplier": str(TIMES),
        "timeout_constant": str(MORE_SECONDS),
        "use_git_change_detection": "false",
    }
    configuration = ConfigParser()
    configuration["mutmut"] = settings
    with (STAGE / "setup.cfg").open("w") as file:
        configuration.write(file)


def _make() -> None:
    """Write the changed modules; ``mutmut run`` sees that they are there, and goes on with them."""
    from mutmut.__main__ import copy_src_dir, create_mutants

    with redirect_stdout(None):
        copy_src_dir()
        create_mutants(PROCESSES)


def _results(modules: Sequence[str]) -> dict[str, int | None]:
    """By mutant the exit code of its tests, null if they were not run."""
    codes: dict[str, int | None] = {}
    for module in modules:
        codes |= json.loads((TREE / PACKAGE / f"{module}.meta").read_text())["exit_code_by_key"]
    return codes


def _report(results: Mapping[str, int | None]) -> list[str]:
    from mutmut.__main__ import get_diff_for_mutant, status_by_exit_code

    lines = table(results, status_by_exit_code)
    for name in sorted(results):
        if status_by_exit_code[results[name]] not in ("killed", "not checked"):
            lines += ["", f"## {name}: {status_by_exit_code[results[name]]}", "", "```diff"]
            lines += [*get_diff_for_mutant(name).splitlines()[2:], "```"]
    return lines


def main() -> int:
    """0 if all mutants of the sample were tried, whatever became of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=500, metavar="N", help="how many mutants to try")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", metavar="WORD,…", help="modules as in calls,sweep/plan; single; sweep")
    arguments = parser.parse_args()
    modules = chosen_modules(arguments.only, existing(ROOT / LAYER / "task_cleanup"))
    _prepare(modules)
    os.chdir(STAGE)  # mutmut looks for its settings there
    _make()
    every = list(_results(modules))
    chosen = sample(every, arguments.sample, arguments.seed)
    said = f"{len(chosen)} of {len(every)} mutants of {len(modules)} modules, seed {arguments.seed}"
    print(said, flush=True)
    command = [str(Path(sys.executable).with_name("mutmut")), "run", "--max-children", str(PROCESSES), *chosen]
    try:
        code = subprocess.run(command, check=False).returncode
    except KeyboardInterrupt:
        code = 130
    report = [
        said + "." if code == 0 else f"{said}; broken off. What was tried is no sample: the fast ones come first.",
        "",
    ]
    results = _results(modules)
    report += _report({name: results[name] for name in chosen})
    (STAGE / "report.md").write_text("\n".join(report) + "\n")
    print("\n", *(line for line in report if line.startswith("|")), sep="\n")
    print(f"\nThose that no test noticed: {(STAGE / 'report.md').relative_to(ROOT)}")
    return code


# -- a plugin of pytest, in mutmut's processes ------------------------------------------------


def pytest_itemcollected(item: Any) -> None:
    """mutmut 3.7 reads a test's name from an attribute that pytest 9.2 does not have."""
    item._nodeid = item.nodeid


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Leaves out the few cases that pytest does not find again by their names: those with escaped letters in them."""
    items[:] = [item for item in items if not re.search(rf"\\[uUx\\]|{TOO_SLOW}", item.nodeid)]


if __name__ == "__main__":
    sys.exit(main())
