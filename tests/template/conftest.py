"""A test that asks for ``operation`` runs once for each function folder; ``change`` and ``listing``: of that kind."""

import pytest

from tests.support.template import CHANGES, LISTS, OPERATIONS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name, operations in {"operation": OPERATIONS, "change": CHANGES, "listing": LISTS}.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, operations, ids=[operation.name for operation in operations])
