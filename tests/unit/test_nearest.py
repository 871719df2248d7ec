"""``make quick`` finds the tests that are nearest to a changed file."""

import subprocess
import sys

import pytest

from tests.support.functions import ROOT
from tests.support.nearest import LAYER, OF_A_FUNCTION, OPTIONS, OUT_OF_TIME, ROOMS, choose

TESTS = [str(path.relative_to(ROOT)) for path in ROOT.glob("tests/*/test_*.py")]


@pytest.mark.parametrize(
    ("changed", "files"),
    [
        (f"{LAYER}transport.py", {"tests/unit/test_transport.py", "tests/unit/test_transport_retries.py"}),
        (f"{LAYER}sweep/page/charts.py", {"tests/sweep/test_page_charts.py"}),
        (f"{LAYER}sweep/handler.py", {"tests/sweep/test_handler.py"}),
        (f"{LAYER}handler.py", {"tests/unit/test_operation.py", "tests/unit/test_results.py"}),
        ("local/emulators/services/dms.py", {"tests/contract/test_sdk_dms.py"}),
        ("tests/sweep/test_run.py", {"tests/sweep/test_run.py"}),
        ("tests/support/scenes.py", {"tests/template/test_conventions.py"}),
    ],
)
def test_a_module_has_its_tests(changed: str, files: set[str]) -> None:
    choice = choose([changed], TESTS)

    assert (choice.files, choice.functions, choice.without_tests) == (files, set(), [])


def test_the_template_has_its_tests_but_for_those_that_build() -> None:
    files = choose(["template.yaml"], TESTS).files

    assert {"tests/template/test_queues.py", "tests/template/test_sweep.py"} <= files
    assert not [name for name in files if "test_build" in name or "test_layers" in name]


@pytest.mark.parametrize("changed", ["functions/huawei_oms_stop_task/app.py", "events/huawei_oms_stop_task/sqs.json"])
def test_a_function_has_the_tests_that_are_called_after_it(changed: str) -> None:
    choice = choose([changed], TESTS)

    assert (choice.files, choice.functions) == (set(), {"huawei_oms_stop_task"})


def test_a_slow_test_that_changed_is_told_and_not_run() -> None:
    choice = choose(["tests/e2e/test_torture.py"], TESTS)

    assert (choice.files, choice.slow) == (set(), ["tests/e2e/test_torture.py"])


def test_what_has_no_test_near_is_told() -> None:
    assert choose(["README.md", "local/stories/tour.py"], TESTS).without_tests == [
        "README.md",
        "local/stories/tour.py",
    ]


def test_every_test_that_is_named_exists() -> None:
    named = {name for _, _, otherwise in ROOMS for name in otherwise} | set(OF_A_FUNCTION)

    assert {name for name in named if not (ROOT / name).exists()} == set()
    for source, _, _ in ROOMS:
        assert (ROOT / source).exists(), source


def test_a_run_whose_time_is_up_is_no_failure() -> None:
    limited = [sys.executable, "-m", "pytest", *OPTIONS, "--session-timeout=0.001", "tests/unit/test_retries.py"]

    done = subprocess.run(limited, cwd=ROOT, capture_output=True, text=True, check=False)

    assert "session-timeout" in done.stdout
    assert done.returncode == OUT_OF_TIME
