"""The sweep with everything around it, on loopback."""

from collections.abc import Iterator

import boto3
import pytest

from local.emulators import Emulators
from tests.support.sweep_world import SweepAws, SweepWorld, new_sweep_aws


@pytest.fixture(scope="session")
def _sweep_clouds() -> Iterator[tuple[Emulators, SweepAws]]:
    with Emulators() as cloud, new_sweep_aws() as aws:
        yield cloud, aws


@pytest.fixture(scope="session")
def _aws_session() -> boto3.session.Session:
    """Not the process's: that one has the credentials of whatever test was the first to ask."""
    return boto3.session.Session()


@pytest.fixture
def sweep_world(
    _sweep_clouds: tuple[Emulators, SweepAws],
    _aws_session: boto3.session.Session,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[SweepWorld]:
    """A fresh world on shared servers. Whatever the test did, every document that it wrote is well-formed."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", _aws_session)
    world = SweepWorld(*_sweep_clouds, monkeypatch, capsys)
    yield world
    assert world.aws.bad_signatures == []
    world.check_documents()
    world.summaries()
    for brief in world.sweep_logs():
        assert not {"targets", "policy"} & set(brief)
