"""One set of clouds for all commands; each test has a laptop of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.emulators import Emulators
from tests.support.cli import Laptop
from tests.support.cli_forks import Forks
from tests.support.identities import fake_secret


@pytest.fixture(scope="session")
def _clouds() -> Iterator[Emulators]:
    with Emulators() as cloud:
        yield cloud


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """Starts the commands."""
    with Forks() as found:
        yield found


@pytest.fixture
def laptop(forks: Forks, _clouds: Emulators, tmp_path: Path) -> Iterator[Laptop]:
    """A laptop with the keys of all three providers."""
    _clouds.reset(keys=True)
    for provider in ("alibaba", "huawei", "otc"):
        _clouds.add_key(provider, **fake_secret(provider))
    found = Laptop(forks, _clouds, tmp_path)
    yield found
    found.stop()
