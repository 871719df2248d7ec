"""A function in its world: the three emulated clouds, a fake AWS, a clock that stands at the sample events' time."""

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from local.aws.lambdas import Context
from local.emulators import Emulators, Entry
from task_cleanup.handler import make_handler
from task_cleanup.operation import Operation
from task_cleanup.system import System
from tests.support.aws import FakeAws
from tests.support.functions import load_operation
from tests.support.identities import AWS_VARIABLES, fake_secret

NOW = datetime(2026, 11, 21, 8, 31, tzinfo=UTC)  # a minute after the sample events
BUS = "task-cleanup-test"
MAX_RECEIVES = 5
LAMBDA_TIMEOUT = 29.0

_numbers = count(1)


@dataclass(frozen=True)
class Outcome:
    """What an invocation came to: a reply or an exception, and how long it took."""

    reply: Any
    error: Exception | None
    seconds: float


@dataclass(frozen=True)
class Function:
    """One warm execution environment."""

    folder: str
    operation: Operation
    handler: Callable[[Any, Any], Any]

    def invoke(self, event: object, timeout: float = LAMBDA_TIMEOUT, request_id: str | None = None) -> Outcome:
        """Invoke it as Lambda would; an exception is an outcome too."""
        started = time.monotonic()
        context = Context(request_id or str(uuid.uuid4()), started + timeout)
        reply, error = None, None
        try:
            reply = self.handler(event, context)
        except Exception as raised:  # noqa: BLE001 - what Lambda would report
            error = raised
        return Outcome(reply, error, time.monotonic() - started)

    def result(self, event: object, timeout: float = LAMBDA_TIMEOUT) -> dict[str, Any]:
        """The result of a direct invocation."""
        outcome = self.invoke(event, timeout)
        assert outcome.error is None
        result: dict[str, Any] = outcome.reply
        return result


@dataclass
class HandlerWorld:
    """Everything around a function."""

    cloud: Emulators
    aws: FakeAws
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    naps: list[float] = field(default_factory=list)
    output: str = ""

    def __post_init__(self) -> None:
        self._offset = NOW - datetime.now(UTC)
        self._jumped = 0.0
        self.on_nonce: Callable[[], None] = lambda: None
        self.cloud.reset(seed=0, keys=True)
        self.cloud.clock.shift(self._offset.total_seconds())
        self.aws.reset()
        for provider in ("alibaba", "huawei", "otc"):
            secret = fake_secret(provider)
            self.cloud.add_key(provider, **secret)
            self.put_secret(provider, secret)
        self.system = System(
            now=lambda: datetime.now(UTC) + self._offset,
            monotonic=lambda: time.monotonic() + self._jumped,
            sleep=self.naps.append,
            fraction=lambda: 0.0,
            nonce=self._nonce,
        )

    def _nonce(self) -> str:
        self.on_nonce()
        return uuid.uuid4().hex

    # -- functions ------------------------------------------------

    def variables(self) -> dict[str, str]:
        """A function's environment variables, as the template sets them."""
        endpoints = {f"{name.upper()}_ENDPOINT": url for name, url in self.cloud.urls.items()}
        return {
            **AWS_VARIABLES,
            **endpoints,
            "AWS_ENDPOINT_URL": self.aws.url,
            "CREDENTIALS_SECRET_PREFIX": "task-cleanup",
            "EVENT_BUS_NAME": BUS,
            "DEAD_LETTER_QUEUE_URL": f"{self.aws.url}/123456789012/dead-letters",
            "MAX_RECEIVES": str(MAX_RECEIVES),
            "POWERTOOLS_METRICS_NAMESPACE": "TaskCleanup",
            # A name of its own: loggers are kept by name, and with them the output of the test that made them.
            "POWERTOOLS_SERVICE_NAME": f"task-cleanup-{next(_numbers)}",
        }

    def function(self, folder: str, variables: Mapping[str, str] | None = None) -> Function:
        """A cold start, with this world's clock instead of the machine's."""
        for name, value in {**self.variables(), **(variables or {})}.items():
            self.monkeypatch.setenv(name, value)
        operation = load_operation(folder)
        return Function(folder, operation, make_handler(operation, self.system))

    # -- time ------------------------------------------------

    def pass_time(self, seconds: float) -> None:
        """Let time pass for the functions and the clouds, without waiting."""
        self._offset += timedelta(seconds=seconds)
        self._jumped += seconds
        self.cloud.clock.shift(seconds)
        self.cloud.clock.advance(seconds)

    # -- keys ------------------------------------------------

    def put_secret(self, provider: str, secret: Mapping[str, str], account: str = "default") -> None:
        """Store credentials."""
        self.aws.secrets[f"task-cleanup/{provider}/{account}"] = json.dumps(secret)

    def rotate_key(self, provider: str) -> dict[str, str]:
        """The cloud has a new secret key for the same id, and nobody told the secret store. The new secret."""
        rotated = {**fake_secret(provider), "secret_access_key": f"testSecretFakeRotated/{provider}+0002=="}
        self.cloud.add_key(provider, **rotated)
        return rotated

    # -- what happened ------------------------------------------------

    def arrived(self, operation: str, *, looks: bool = False) -> list[Entry]:
        """The requests that the operation's service got, by the emulators' journal; of a change without its looks."""
        provider, service, name = operation.split(".")
        entries = self.cloud.journal.entries(service=f"{provider}_{service}")
        return [entry for entry in entries if looks or entry.method != "GET" or name.startswith("List")]

    @property
    def effects(self) -> list[tuple[str, str]]:
        """What was really done."""
        return self.cloud.journal.effects()

    def _lines(self) -> list[dict[str, Any]]:
        captured = self.capsys.readouterr()
        self.output += captured.out + captured.err
        return [json.loads(line) for line in self.output.splitlines() if line.strip()]

    def log_lines(self) -> list[dict[str, Any]]:
        """All log lines so far. What is written and is no JSON fails the test."""
        return [line for line in self._lines() if "_aws" not in line]

    def metric_lines(self) -> list[dict[str, Any]]:
        """All lines of results' metrics so far."""
        return [line for line in self._lines() if "_aws" in line and "RunDuration" not in line]

    def run_lines(self) -> list[dict[str, Any]]:
        """The metrics of all invocations so far, one line each."""
        return [line for line in self._lines() if "RunDuration" in line]

    def logged_results(self) -> list[dict[str, Any]]:
        """The results that were logged, in order."""
        return [line["result"] for line in self.log_lines() if "result" in line]

    def published(self) -> list[dict[str, Any]]:
        """The results that are on the bus."""
        return [json.loads(event["Detail"]) for event in self.aws.events]
