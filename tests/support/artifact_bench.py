"""The built functions, ready to be invoked against a local cloud, and what their tests ask of both."""

import json
import platform
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from local.aws.artifact import Package, copy_runtime_client, packages
from local.aws.cloud import LOCAL_AWS_IDENTITY, PROJECT_ID, SECRETS, LocalCloud, Message
from local.aws.runtime_api import LambdaFunction, Reply
from local.stories import seeds
from tests.support.functions import sample_event

# No text of these may stand in a reply, an error report or a log.
NEVER_SHOWN = (
    LOCAL_AWS_IDENTITY["AWS_SECRET_ACCESS_KEY"],
    *(secret["secret_access_key"] for secret in SECRETS.values()),
    "HMAC-SHA256",
    "SignedHeaders",
    "Authorization",
)


def why_not_here() -> str | None:
    """Why this machine cannot run the built layers, which hold wheels of CPython 3.13 for Linux with glibc."""
    if sys.version_info[:2] != (3, 13):
        return f"the layers are built for CPython 3.13, this is {platform.python_version()}"
    if platform.libc_ver()[0] != "glibc":
        return f"the layers are built for Linux with glibc, this is {platform.platform()}"
    return None


class Bench:
    """The cloud, the packages, and functions that are kept warm. Use it in a ``with`` block."""

    def __init__(self, build: Path, scratch: Path) -> None:
        self.cloud = LocalCloud()
        self.packages = packages(build)
        self.runtime = copy_runtime_client(scratch / "runtime")
        self._warm: dict[str, LambdaFunction] = {}
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        self._closing.enter_context(self.cloud)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def reset(self, folder: str = "") -> None:
        """The seeded tasks, fit for this function's sample events; no faults, no journal, empty queues."""
        emulators = self.cloud.emulators
        emulators.reset()
        seeds.seed(emulators)
        for task_id, status in seeds.DMS_TASKS.items():
            emulators.huawei_dms.add_task(PROJECT_ID, seeds.DMS_INSTANCE, task_id, status=status)
        if not folder.endswith("_stop_task"):  # all samples name the same task: only a stop wants it running
            emulators.huawei_oms.add_task(PROJECT_ID, seeds.OMS_RUNNING, status=5)
        self.cloud.results()
        for function in self.cloud.stack.functions.values():
            self.dead_letters(function.folder)

    def name_of(self, folder: str) -> str:
        """The function's logical id."""
        return next(name for name, item in self.cloud.stack.functions.items() if item.folder == folder)

    def service_of(self, folder: str) -> str:
        """The emulated service that the function calls."""
        return next(name for name in self.cloud.emulators.urls if folder.startswith(name))

    def package(self, folder: str) -> Package:
        """The function as it was built."""
        return self.packages[self.name_of(folder)]

    def variables(self, folder: str) -> dict[str, str]:
        """The function's variables, pointed at the local cloud."""
        return self.cloud.environment_of(self.name_of(folder))

    def started(self, package: Package, variables: Mapping[str, str], init_timeout: float = 60.0) -> LambdaFunction:
        """A function of one's own; it is ended by its ``with`` block."""
        return LambdaFunction(package, self.runtime, variables, init_timeout=init_timeout)

    def warm(self, folder: str) -> LambdaFunction:
        """The function as deployed, shared by all tests that do it no harm."""
        if folder not in self._warm:
            function = self.started(self.package(folder), self.variables(folder))
            self._warm[folder] = self._closing.enter_context(function)
        return self._warm[folder]

    def dead_letters(self, folder: str) -> list[Message]:
        """Take what is in the function's dead-letter queue. Lists have none."""
        url = self.variables(folder).get("DEAD_LETTER_QUEUE_URL")
        return self.cloud.take(url) if url else []


def without_tasks(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result as it is logged and published: a list's tasks go to the caller only."""
    return {name: value for name, value in result.items() if name != "tasks"}


def sample(folder: str, trigger: str) -> dict[str, Any]:
    """A sample event as if it were sent now: some operations refuse old ones."""
    now = datetime.now(UTC)
    event = sample_event(folder, trigger)
    if "time" in event:
        event["time"] = now.isoformat()
    for record in event.get("Records", []):
        record["attributes"]["SentTimestamp"] = str(int(now.timestamp() * 1000))
        body = json.loads(record["body"])
        record["body"] = json.dumps({**body, "time": now.isoformat()} if "time" in body else body)
    return event


def payload_of(reply: Reply) -> Any:
    """The payload of an invocation that must have worked."""
    assert reply.error is None, reply.error
    return reply.payload


def assert_nothing_leaks(reply: Reply, log: str) -> None:
    """Neither to the caller nor to the log."""
    said = json.dumps(reply.payload) + json.dumps(dict(reply.error.report) if reply.error else None)
    for text in NEVER_SHOWN:
        assert text not in said
        assert text not in log
