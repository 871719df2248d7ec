"""Runs ministack, a local AWS that enforces roles and signatures: a process on loopback, all files in one folder."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import boto3
import requests

from local.aws.stack import REGION, ROOT

VENV = ROOT / ".build" / "deployed" / "venv"
PATH = f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}"
LOG = "ministack.log"
ROOT_KEY = ("test", "test")  # ministack takes it for the account's root user, who may do everything
TIMEOUT = 120.0  # seconds, for anything that is waited for; ministack looks at schedules every 10 seconds
ENDING = 15  # seconds, after which a program is killed

Found = TypeVar("Found")


class NotAsItShouldBe(Exception):  # noqa: N818 - a finding about the stack, and not an error of this program
    """A step of ``make deployed`` saw something else than it expects."""


@dataclass(frozen=True)
class Aws:
    """A running ministack: its base URL, and the folder that holds all its files."""

    url: str
    folder: Path

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
        """A boto3 client, as the account's root user."""
        key, secret = ROOT_KEY
        names = {"aws_access_key_id": key, "aws_secret_access_key": secret, "region_name": REGION}
        return boto3.client(service, endpoint_url=self.url, **names)  # type: ignore[call-overload]

    def environment(self, **more: str) -> dict[str, str]:
        """The programs' environment: without the user's profile, keys and addresses, which lead to another AWS."""
        return {"PATH": PATH, "HOME": str(self.folder), "TMPDIR": str(self.folder), "LANG": "C.UTF-8", **more}


def log_end(folder: Path) -> str:
    """The last lines of ministack's log in this folder, each cut to a readable length."""
    return "\n".join(line[:160] for line in (folder / LOG).read_text(errors="replace").splitlines()[-15:])


@contextmanager
def program(
    command: Sequence[str | Path], environment: Mapping[str, str], folder: Path, log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program in a process group of its own; on any exit from the block the whole group is ended."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(ENDING)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def ministack(folder: Path) -> Iterator[Aws]:
    """Start ministack on a free port; end it when the block is left."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    aws = Aws(f"http://127.0.0.1:{port}", folder)
    environment = aws.environment(
        AUTH="true",
        BIND_HOST="127.0.0.1",
        GATEWAY_PORT=str(port),
        IOT_MTLS_ENABLED="0",  # else its MQTT listener would be open on all interfaces
        S3_DATA_DIR=str(folder / "s3"),
        STATE_DIR=str(folder / "state"),
    )
    with program([VENV / "bin" / "ministack"], environment, folder, folder / LOG):
        waited("answer of ministack", lambda: _answers(aws.url))
        yield aws


def _answers(url: str) -> bool:
    with suppress(requests.RequestException):
        return requests.get(f"{url}/_ministack/health", timeout=5).ok
    return False


def waited(what: str, look: Callable[[], Found]) -> Found:
    """Call ``look`` until it returns something. Raises NotAsItShouldBe if it does not in time."""
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.1)
    raise NotAsItShouldBe(f"no {what} in {TIMEOUT:.0f} s")
