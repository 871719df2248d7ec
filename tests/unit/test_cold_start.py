"""What keeps a cold start short and is easily lost, by counts: nothing here looks at a clock."""

import json
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from task_cleanup.system import Deadline
from tests.support.builders import FOLDERS, NAMES, OPERATIONS, success, world
from tests.support.identities import AWS_VARIABLES
from tests.support.stand_ins import HUAWEI_AGENCY, HUAWEI_PROVIDER

ROOT = Path(__file__).resolve().parents[2]
MOST_CALLS = 400  # Python functions in one warm run; compiling one pattern for each signature was 20,000 more


def test_nothing_is_collected_while_importing_and_all_is_as_before_afterwards() -> None:
    code = """
import gc, json
def collections(): return sum(generation["collections"] for generation in gc.get_stats())
before = collections()
import task_cleanup.handler
print(json.dumps([collections() - before, gc.isenabled()]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "layers" / "task_cleanup" / "python")},
        capture_output=True,
        text=True,
        check=True,
    )

    collections, enabled = json.loads(done.stdout)

    assert enabled
    assert collections <= 2, "some at the start and at the end"


LOADED = """
import json, runpy, sys
for path in sys.argv[1:]:
    runpy.run_path(path)
of_providers = ("token_exchange", "alibaba_sts", "huawei_sts", "otc_iam")
parts = ("federation", *(f"providers.{name}" for name in of_providers))
print(json.dumps([part for part in parts if f"task_cleanup.{part}" in sys.modules]))
"""
FEDERATION = {
    "default": {
        "agency_urn": HUAWEI_AGENCY,
        "provider_urn": HUAWEI_PROVIDER,
        "sts_region": "ap-southeast-1",
    }
}


@pytest.mark.parametrize(
    ("names", "variables", "loaded"),
    [
        (list(FOLDERS), {}, []),
        (
            ["huawei_oms_delete_task"],
            {"HUAWEI_FEDERATION": json.dumps(FEDERATION)},
            ["federation", "providers.token_exchange", "providers.huawei_sts"],
        ),
    ],
)
def test_the_exchange_is_imported_only_where_an_account_is_configured(
    names: list[str], variables: dict[str, str], loaded: list[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *(str(ROOT / "functions" / name / "app.py") for name in names)],
        env={"PYTHONPATH": str(ROOT / "layers" / "task_cleanup" / "python"), **AWS_VARIABLES, **variables},
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(done.stdout) == loaded


@pytest.mark.parametrize("name", NAMES)
def test_warm_run_calls_few_functions(name: str) -> None:
    faked = world(name, *[success(OPERATIONS[name])] * 3)
    faked.run()
    faked.run()
    calls = 0

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        faked.run()
    finally:
        sys.setprofile(None)
    assert 0 < calls < MOST_CALLS


def test_what_is_wired_has_no_methods_to_compile_but_its_own() -> None:
    kept = Deadline(1.0, lambda: 0.0)

    assert type(kept).__eq__ is object.__eq__
    assert type(kept).__repr__ is object.__repr__
    with pytest.raises(FrozenInstanceError):
        kept.at = 2.0  # type: ignore[misc]
