"""The stages that ``samconfig.toml`` knows."""

import tomllib

import pytest

from tests.support.functions import ROOT
from tests.support.template import template

CONFIG = tomllib.loads((ROOT / "samconfig.toml").read_text())
STAGES = [stage for stage in CONFIG if stage != "version"]


def test_stages_are_there() -> None:
    assert {"default", "dev", "prod"} == set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_stage_gives_build_and_deploy_the_same_allowed_parameters(stage: str) -> None:
    assert "parameter_overrides" not in CONFIG[stage].get("build", {}).get("parameters", {})
    assert "parameter_overrides" not in CONFIG[stage].get("deploy", {}).get("parameters", {})
    overrides = CONFIG[stage]["global"]["parameters"].get("parameter_overrides", "")
    for override in overrides.split():
        name, _, value = override.partition("=")
        allowed = template()["Parameters"][name].get("AllowedValues", [value])
        assert value in map(str, allowed), override


@pytest.mark.parametrize("stage", STAGES)
def test_stage_lints_builds_in_parallel_and_may_make_roles(stage: str) -> None:
    assert CONFIG[stage]["validate"]["parameters"]["lint"] is True
    assert CONFIG[stage]["global"]["parameters"]["language_extensions"] is True, "for those who build template.yaml"
    assert CONFIG[stage]["build"]["parameters"]["parallel"] is True
    assert CONFIG[stage]["deploy"]["parameters"]["capabilities"] == "CAPABILITY_IAM"


def test_stages_are_separate_stacks_and_dev_changes_nothing() -> None:
    names = [CONFIG[stage]["global"]["parameters"]["stack_name"] for stage in STAGES]

    assert len(set(names)) == len(names)
    assert "DryRun=true" in CONFIG["dev"]["global"]["parameters"]["parameter_overrides"].split()
    assert "DryRun=false" in CONFIG["prod"]["global"]["parameters"]["parameter_overrides"].split()
