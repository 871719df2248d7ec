"""For all tests: an environment without the developer's own settings, no network but loopback, and the functions.

Fixtures are seen by every test below; the functions are imported (``from tests.conftest import function_folders``).
"""

import json
import logging
import os
import socket
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from task_cleanup.sweep.services import load_sweep_schema
from task_cleanup.validation import load_schema

# Enough for every run; a machine that is busy is no failure.
settings.register_profile("suite", max_examples=40, deadline=None)
settings.load_profile("suite")

ROOT = Path(__file__).resolve().parents[1]
FUNCTIONS = ROOT / "functions"
EVENTS = ROOT / "events"

AWS_VARIABLES = {
    "AWS_ACCESS_KEY_ID": "AKFAKEAWSROLE0001",
    "AWS_SECRET_ACCESS_KEY": "testSecretFakeAwsRole0001",
    "AWS_SESSION_TOKEN": "testTokenFakeAwsRole0001",
    "AWS_REGION": "eu-central-1",
    "AWS_DEFAULT_REGION": "eu-central-1",
}
# Of the tests, those with long files first.
FOLDERS = ("e2e", "rights", "template", "handlers", "sweep", "contract", "unit")
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, and marks on the tests that coverage is measured by.

    Those are the ones nearest to the layer that do not search by many examples: tracing branches makes CPython 3.13
    twice as slow, and the hundredth example covers what the first did.
    """
    for name, count in Counter(item.nodeid for item in items).items():
        if count > 1:
            raise pytest.UsageError(f"{count} tests are called {name}: distributed to workers, only one would run")
    items.sort(key=lambda item: FOLDERS.index(_folder(item)))  # each worker takes a file at a time
    for item in items:
        near = _folder(item) in ("unit", "sweep")
        searching = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
        if near and not searching and not item.get_closest_marker("exhaustive"):
            item.add_marker("covering")


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(ROOT / "tests").parts[0]


# -- which functions there are ------------------------------------------------


def function_folders() -> list[str]:
    """Every provider operation: a folder under ``functions/`` whose schema names one. New ones are tested unasked."""
    folders = sorted(path.parent.name for path in FUNCTIONS.glob("*/app.py"))
    return [folder for folder in folders if "operation" in request_schema(folder)["properties"]]


def representative_folders() -> list[str]:
    """For tests of what all functions share: one delete of each API, and one list."""
    chosen: dict[str, str] = {}
    for folder in function_folders():
        _, service, action = operation_name(folder).split(".")
        if action.startswith(("Delete", "List")):
            chosen.setdefault("list" if action.startswith("List") else service, folder)
    return list(chosen.values())


def request_schema(folder: str) -> dict[str, Any]:
    """The JSON Schema of a function's requests, as the function loads it."""
    load = load_sweep_schema if folder == "sweep" else load_schema
    return load(FUNCTIONS / folder / "schema.json")


def operation_name(folder: str) -> str:
    """The name of a function's operation, as its schema has it."""
    name: str = request_schema(folder)["properties"]["operation"]["const"]
    return name


def sample_event(folder: str, name: str) -> dict[str, Any]:
    """A fresh copy of ``events/<folder>/<name>.json``."""
    event: dict[str, Any] = json.loads((EVENTS / folder / f"{name}.json").read_text())
    return event


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
