"""The local AWS that enforces roles and signatures: one process, on loopback, with nothing outside one folder."""

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
    """A step saw something else than it should have."""


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
        """For programs: no profile, key or address of the user's is in it, so they cannot reach another AWS."""
        return {"PATH": PATH, "HOME": str(self.folder), "TMPDIR": str(self.folder), "LANG": "C.UTF-8", **more}


def log_end(folder: Path) -> str:
    """The last lines of the log of the ministack with this folder, without their far ends."""
    return "\n".join(line[:160] for line in (folder / LOG).read_text(errors="replace").splitlines()[-15:])


@contextmanager
def program(
    command: Sequence[str | Path], environment: Mapping[str, str], folder: Path, log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run it in a group of its own. On leaving, however that happens, it and all that it started is ended."""
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
    """Start it on a free port; end it on leaving."""
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
    """Look until there is something, and return it. NotAsItShouldBe if there is nothing in time."""
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.1)
    raise NotAsItShouldBe(f"no {what} in {TIMEOUT:.0f} s")
