"""``make mutants``: which modules and tests it takes, its sample, and how it counts."""

import pytest

from tests.support.functions import ROOT
from tests.support.mutants import (
    FOLDERS,
    LAYER,
    TESTS,
    chosen_modules,
    decorated_below,
    existing,
    near_tests,
    sample,
    table,
)

MODULES = ("calls.py", "paging.py", "sweep/plan.py")


def test_every_test_file_of_the_table_exists() -> None:
    named = [ROOT / FOLDERS[part] / f"test_{name}.py" for part, names in TESTS.items() for name in names]

    assert [path for path in named if not path.is_file()] == []


def test_a_module_that_does_not_exist_is_left_out() -> None:
    found = existing(ROOT / LAYER / "task_cleanup")

    assert {"calls.py", "sweep/plan.py"} <= set(found)
    assert existing(ROOT / "docs") == []


@pytest.mark.parametrize(
    ("only", "names"),
    [
        ("", MODULES),
        ("single", MODULES[:2]),
        ("sweep", MODULES[2:]),
        ("calls,sweep/plan", (MODULES[0], MODULES[2])),
        ("nothing", ()),
    ],
)
def test_only_the_named_modules_are_changed(only: str, names: tuple[str, ...]) -> None:
    assert chosen_modules(only, MODULES) == list(names)


def test_a_part_brings_its_own_tests_only() -> None:
    folders = {
        modules: {name.split("/")[1] for name in near_tests(modules, ROOT)}
        for modules in (MODULES, MODULES[:2], MODULES[2:])
    }

    assert folders == {
        MODULES: {"unit", "handlers", "sweep"},
        MODULES[:2]: {"unit", "handlers"},
        MODULES[2:]: {"sweep"},
    }


def test_a_seed_gives_one_sample_and_a_smaller_one_is_its_beginning() -> None:
    names = [str(number) for number in range(100)]

    assert sample(names, 20, 1) == sample(names[::-1], 60, 1)[:20]
    assert sample(names, 20, 1) != sample(names, 20, 2)
    assert sorted(sample(names, 500, 1)) == sorted(names)


def test_each_mutant_is_counted_once_for_its_module_and_once_for_all() -> None:
    statuses = {1: "killed", 0: "survived", 36: "timeout", 35: "suspicious", None: "not checked"}
    results = {
        "task_cleanup.calls.x_send__mutmut_1": 1,
        "task_cleanup.calls.x_send__mutmut_2": 0,
        "task_cleanup.sweep.plan.x_made__mutmut_1": 1,
        "task_cleanup.sweep.plan.x_made__mutmut_2": None,
    }

    assert table(results, statuses) == [
        "| module | mutants | killed | survived | not checked |",
        "|---|---|---|---|---|",
        "| calls | 2 | 1 | 1 | 0 |",
        "| sweep.plan | 2 | 1 | 0 | 1 |",
        "| all | 4 | 2 | 1 | 1 |",
    ]


def test_a_class_is_decorated_behind_its_body() -> None:
    source = "@outer\n@inner(frozen=True)\nclass A:\n    x: int\n\n\n@kept\ndef f() -> None: ...\n"

    assert decorated_below(source) == (
        "class A:\n    x: int\nA = inner(frozen=True)(A)\nA = outer(A)\n\n\n@kept\ndef f() -> None: ...\n"
    )
