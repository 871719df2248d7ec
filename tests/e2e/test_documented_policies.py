"""Every policy that a document shows selects something on what ``make serve`` has, and nothing refuses it."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from local.api import openapi_sweep
from local.aws.cloud import LocalCloud
from local.aws.stack import ROOT
from local.stories import serve

Json = dict[str, Any]
DOCUMENTS = ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))), "template.yaml"]


def policies_in(text: str) -> Iterator[Json]:
    """The JSON objects in a text that have targets, not a "…" for them: in a block, in a command, in YAML."""
    for start in re.finditer(r'{\s*"', text):
        try:
            found, _ = json.JSONDecoder().raw_decode(text, start.start())
        except ValueError:
            continue
        if all(isinstance(target, dict) for target in found.get("targets", ["none"])):
            yield found


POLICIES = [
    pytest.param(policy, id=f"{name}-{number}")
    for name in DOCUMENTS
    for number, policy in enumerate(policies_in((ROOT / name).read_text()))
]
EXAMPLES = [
    pytest.param(json.loads(openapi_sweep.sample("http")["body"]), id="openapi"),
    *(pytest.param(openapi_sweep.sample(name)["detail"], id=name) for name in ("eventbridge", "schedule")),
    pytest.param(openapi_sweep.sample("direct"), id="direct"),
]


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud() as running:
        serve.a_week_of_reports(running)
        yield running


def test_policies_are_found_where_they_are_shown() -> None:
    shown = {str(parameter.id).rpartition("-")[0] for parameter in POLICIES}

    assert shown >= {"README.md", "docs/sweep.md", "docs/operations.md", "template.yaml"}


@pytest.mark.parametrize("policy", [*POLICIES, *EXAMPLES])
def test_the_policy_selects_something_that_may_go(cloud: LocalCloud, policy: Json) -> None:
    asked = {name: value for name, value in policy.items() if name != "run_id"}

    summary = cloud.function_in("sweep").invoke({**asked, "mode": "report"})

    assert (summary["outcome"], summary["refusals"]) == ("reported", [])
    assert all(target["counts"]["selected"] > 0 for target in summary["targets"]), summary["totals"]
