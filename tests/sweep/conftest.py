"""The sweep with everything around it, on loopback."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from local.emulators import Emulators
from tests.support.sweep_world import SweepAws, SweepWorld, new_sweep_aws


@pytest.fixture(scope="session")
def _sweep_clouds() -> Iterator[tuple[Emulators, SweepAws]]:
    with Emulators() as cloud, new_sweep_aws() as aws:
        yield cloud, aws


class KeptClients(boto3.session.Session):
    """Makes each client once: that takes longer than a whole run of a small sweep, and a cold start makes two."""

    def __init__(self) -> None:
        super().__init__()
        self._clients: dict[tuple[object, ...], tuple[Any, Any]] = {}

    def client(self, service_name: Any, *arguments: Any, **options: Any) -> Any:
        """A client with these options; its connections are kept, like a warm function's."""
        config = options.get("config")
        rest = tuple(sorted((name, str(value)) for name, value in options.items() if name != "config"))
        key = (service_name, arguments, rest, id(config))
        if key not in self._clients:  # the configuration is kept, too, so that its id is nobody else's
            # botocore writes its own User-Agent anew for each call, which takes a quarter of the call's time.
            options["config"] = Config(user_agent="tests").merge(config or Config())
            self._clients[key] = (super().client(service_name, *arguments, **options), config)
        return self._clients[key][0]


@pytest.fixture(scope="session")
def _aws_session() -> boto3.session.Session:
    """Not the process's: that one has the credentials of whatever test was the first to ask."""
    return KeptClients()


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
