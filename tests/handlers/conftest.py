"""Functions with everything around them, on loopback."""

import socket
from collections.abc import Iterator

import pytest

from local.emulators import Emulators
from tests.support.aws import FakeAws
from tests.support.handler_world import HandlerWorld
from tests.support.identities import AWS_VARIABLES
from tests.support.stand_ins import register_all


def new_aws() -> FakeAws:
    """An AWS account that knows the functions' role."""
    return FakeAws(
        AWS_VARIABLES["AWS_ACCESS_KEY_ID"],
        AWS_VARIABLES["AWS_SECRET_ACCESS_KEY"],
        AWS_VARIABLES["AWS_SESSION_TOKEN"],
        AWS_VARIABLES["AWS_REGION"],
    )


@pytest.fixture(scope="session")
def _clouds() -> Iterator[tuple[Emulators, FakeAws]]:
    with Emulators() as cloud, new_aws() as aws:
        yield cloud, aws


@pytest.fixture
def world(
    _clouds: tuple[Emulators, FakeAws], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[HandlerWorld]:
    """A fresh world on shared servers: for tests after which no request is still on its way."""
    world = HandlerWorld(*_clouds, monkeypatch, capsys)
    yield world
    assert world.aws.bad_signatures == []


@pytest.fixture
def keyless(world: HandlerWorld) -> HandlerWorld:
    """Every provider trusts the functions' role, and the secret store is empty."""
    register_all(world.cloud)
    world.aws.secrets.clear()
    return world


@pytest.fixture
def own_world(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[HandlerWorld]:
    """A world on servers of its own: for tests that give up while the far end is still at it."""
    with Emulators() as cloud, new_aws() as aws:
        world = HandlerWorld(cloud, aws, monkeypatch, capsys)
        yield world
        assert world.aws.bad_signatures == []


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port of this machine on which nobody listens."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])
