"""For all tests: an environment without the developer's own settings, no network but loopback, and the build."""

import fcntl
import logging
import os
import socket
import warnings
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.logging.filters import SuppressFilter
from hypothesis import HealthCheck, Phase, settings

# Before the first import of them: without it, an assertion that fails there would not show its values.
pytest.register_assert_rewrite("tests.support")

from tests.support.identities import AWS_VARIABLES  # noqa: E402
from tests.support.nearest import OUT_OF_TIME  # noqa: E402

# Enough for every run; a machine that is busy is no failure.
settings.register_profile("suite", max_examples=25, deadline=None)
settings.load_profile("suite")
# `make mutants` runs a test very often: few examples, always the same, and a failure is not made smaller.
settings.register_profile(
    "mutants",
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)

_PREFIXES = ("AWS_", "POWERTOOLS_", "LAMBDA_", "_X_AMZN_", "ALIBABA_", "HUAWEI", "OTC_")
_NAMES = frozenset(
    {
        "CREDENTIALS_SECRET_PREFIX",
        "DRY_RUN",
        "EVENT_BUS_NAME",
        "DEAD_LETTER_QUEUE_URL",
        "EXTRA_REGIONS",
        "MAX_RECEIVES",
    }
)
_PROXIES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"})


# -- runs ------------------------------------------------

# Each folder of tests is run by a process of its own, and some start at the same time. pip has compiled nothing: the
# first process compiles what all of them import, and the others read that. So each holds this lock, on this file,
# until it has collected its tests. The kernel frees it where the process dies.
_IMPORTING = Path(__file__).open()  # noqa: SIM115
fcntl.flock(_IMPORTING, fcntl.LOCK_EX)


def pytest_collection_finish() -> None:
    _IMPORTING.close()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """`make quick` limits the time of a run by ``--session-timeout``: to reach the limit is no failed test."""
    if str(session.shouldfail).startswith("session-timeout") and not session.testsfailed:
        session.exitstatus = OUT_OF_TIME


# -- the environment ------------------------------------------------

# A make that a test starts must not take the options of the make that runs the tests, as to go on after a failure.
for _name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
    os.environ.pop(_name, None)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the developer's machine reaches a test; the AWS credentials are obviously fake."""
    for name in list(os.environ):
        if name.startswith(_PREFIXES) or name in _NAMES or name.upper() in _PROXIES:
            monkeypatch.delenv(name)
    for name, value in AWS_VARIABLES.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def no_loggers_left() -> Iterator[None]:
    """Functions under test log under names of their own. Kept, thousands of them would slow down every later test."""
    yield
    known = logging.getLogger().manager.loggerDict
    for name in [name for name in known if name.startswith("task-cleanup")]:
        del known[name]
    for handler in logging.getLogger().handlers:  # pytest's; each logger has left a filter on them
        handler.filters = [it for it in handler.filters if not isinstance(it, SuppressFilter)]


# -- the network ------------------------------------------------


class OutsideError(OSError):
    """Something tried to leave the machine."""


def _is_inside(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host is None or host in {"", "localhost", socket.gethostname()}:
        return True
    try:
        address = ip_address(str(host).partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test that looks up or connects to anything but this machine fails, even if the code swallows the error."""
    attempts: list[str] = []
    connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def check(host: object) -> None:
        if not _is_inside(host):
            attempts.append(str(host))
            raise OutsideError(f"tests do not leave this machine: {host!r}")

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            check(address[0])
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            check(address[0])
        return connect_ex(self, address)

    def guarded_getaddrinfo(host: Any, *arguments: Any, **more: Any) -> Any:
        check(host)
        return getaddrinfo(host, *arguments, **more)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
    yield
    if attempts:
        pytest.fail(f"tried to leave this machine: {', '.join(sorted(set(attempts)))}")


# -- what sam build makes ------------------------------------------------


@pytest.fixture(scope="session")
def runtime_python() -> str:
    """A CPython 3.13: nothing can be built without it. Where there is none, the summary says so loudly."""
    from tests.support.build import MissingInterpreterWarning, functions_python

    python = functions_python()
    if python is None:
        text = "no CPython 3.13 here: NOT CHECKED what sam build makes"
        with warnings.catch_warnings():
            warnings.simplefilter("always", MissingInterpreterWarning)
            warnings.warn(text, MissingInterpreterWarning, stacklevel=1)
        pytest.skip(text)
    return python
