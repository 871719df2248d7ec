"""Every test that asks for ``operation`` runs once for each function folder there is."""

import pytest

from tests.template.support import OPERATIONS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "operation" in metafunc.fixturenames:
        metafunc.parametrize("operation", OPERATIONS, ids=[operation.name for operation in OPERATIONS])
