"""What ``sam build`` makes, once for each processor."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.support.build import ARCHITECTURES, HERE, build_for


@pytest.fixture(scope="session")
def build(runtime_python: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Builds for a processor, and builds nothing twice."""
    return cache(lambda architecture: build_for(architecture, runtime_python, tmp_path_factory.mktemp(architecture)))


@pytest.fixture(scope="session", params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> str:
    """Each processor that the template can be built for."""
    return str(request.param)


@pytest.fixture(scope="session")
def built(architecture: str, build: Callable[[str], Path]) -> Path:
    """The build folder for this processor; of one that is not this machine's, what differs by it."""
    return build(architecture)


@pytest.fixture(scope="session")
def built_here(build: Callable[[str], Path]) -> Path:
    """The build folder for this machine's processor."""
    return build(HERE)
