"""A test that asks for ``operation`` runs once for each function folder; ``change`` and ``listing``: of that kind."""

from pathlib import Path

import pytest

from tests.support.build import ARCHITECTURES, built_once
from tests.support.template import CHANGES, LISTS, OPERATIONS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name, operations in {"operation": OPERATIONS, "change": CHANGES, "listing": LISTS}.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, operations, ids=[operation.name for operation in operations])


@pytest.fixture(scope="session", params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> str:
    """Each processor that the template can be built for."""
    return str(request.param)


@pytest.fixture(scope="session")
def built(architecture: str, runtime_python: str, shared_folder: Path) -> Path:
    """What ``sam build`` makes for this processor; of one that is not this machine's, what differs by it."""
    return built_once(architecture, runtime_python, shared_folder)
