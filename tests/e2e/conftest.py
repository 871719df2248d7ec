"""The built artifact, for this machine's processor."""

from pathlib import Path

import pytest

from tests.support.build import HERE, built_once


@pytest.fixture(scope="session")
def built(runtime_python: str, shared_folder: Path) -> Path:
    """What ``sam build`` makes: the same folder as tests/template looks at."""
    return built_once(HERE, runtime_python, shared_folder)
