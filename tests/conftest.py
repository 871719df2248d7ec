"""For all tests: an environment without the developer's own settings, no network but loopback, and the build."""

import fcntl
import logging
import os
import socket
import sys
import warnings
from collections import Counter
from collections.abc import Generator, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.logging.filters import SuppressFilter
from coverage import Coverage
from hypothesis import HealthCheck, Phase, settings

# Before the first import of them: without it, an assertion that fails there would not show its values.
pytest.register_assert_rewrite("tests.support")

from tests.support.identities import AWS_VARIABLES  # noqa: E402

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

# Where coverage is traced, not monitored: of each test, so many of its cases, evenly spread. The others take half a
# percent of the branches more.
TRACED_CASES = 2
# Of the tests, those with long files first.
FOLDERS = ("e2e", "rights", "template", "cli", "handlers", "sweep", "contract", "unit")
MEASURING = pytest.StashKey[Coverage | None]()
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


# -- what is run how ------------------------------------------------


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """One process collects first, if most test modules are not compiled: the others then read what it has written.

    Else each rewrites the assertions of every module, and compiles every package, which takes longer than the rest of
    collecting. Where nothing is written, they cannot read it, and nobody waits.
    """
    if sys.dont_write_bytecode or _are_compiled():
        return (yield)
    # Next to the compiled modules. It is freed also where its holder crashes.
    with (Path(__file__).parent / "__pycache__" / "collecting.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _are_compiled():
            fcntl.flock(lock, fcntl.LOCK_UN)
        return (yield)


def _are_compiled() -> bool:
    modules = list(Path(__file__).parent.rglob("test_*.py"))
    return sum(map(_is_compiled, modules)) > len(modules) / 2


def _is_compiled(module: Path) -> bool:
    written = module.parent.glob(f"__pycache__/{module.stem}.{sys.implementation.cache_tag}-pytest-*.pyc")
    return any(compiled.stat().st_mtime >= module.stat().st_mtime for compiled in written)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, and marks on the tests that measure coverage.

    Those are the ones nearest to the layer. Where they are traced, which makes CPython twice as slow, only the ones
    that do not search by many examples, and some cases of each: the hundredth example covers what the first did.
    """
    for name, count in Counter(item.nodeid for item in items).items():
        if count > 1:
            raise pytest.UsageError(f"{count} tests are called {name}: distributed to workers, only one would run")
    items.sort(key=lambda item: FOLDERS.index(_folder(item)))  # each worker takes a file at a time
    cases: dict[str, list[pytest.Item]] = {}
    traced = sys.gettrace() is not None
    for item in items:
        # Looks are tried with whole functions: alone, their module has little to do.
        near = _folder(item) in ("unit", "sweep") or "tests/handlers/test_looks" in item.nodeid
        searching = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
        if near and not traced:
            item.add_marker("covering")
        elif near and not searching and not item.get_closest_marker("exhaustive"):
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for found in cases.values():
        found.sort(key=lambda item: item.nodeid)  # pytest-randomly has shuffled them: the same are traced every time
        chosen = min(len(found), TRACED_CASES)
        for number in range(chosen):
            found[number * len(found) // chosen].add_marker("covering")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """Where coverage is measured, only the tests with the mark are measured.

    A start lets CPython prepare all code anew that it then runs. So it is only started or stopped where that changes.
    """
    measuring = item.config.stash.setdefault(MEASURING, Coverage.current())  # while it is stopped, none is current
    if measuring is None:
        return
    wanted = item.get_closest_marker("covering") is not None
    if wanted != (Coverage.current() is measuring):
        (measuring.start if wanted else measuring.stop)()


def _folder(item: pytest.Item) -> str:
    return item.nodeid.removeprefix("tests/").partition("/")[0]


# -- the environment ------------------------------------------------


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


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """One folder for all workers of this run."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent
