"""``task-cleanup`` as a process, against the emulators, also in a pseudo-terminal where it asks."""

import json
import os
import pty
import re
import select
import signal
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.emulators import KINDS, Emulators
from local.stories.seeds import INSTANCES
from task_cleanup_cli.keys import VARIABLES
from tests.support.cli_forks import Forks, Process
from tests.support.identities import PROJECT, fake_secret

Json = dict[str, Any]
DAY = 86_400
OMS = {"provider": "huawei", "service": "oms", "region": "cn-north-4"}
SECONDS = 60  # longer than any command here takes on a busy machine


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code and what it wrote."""

    code: int
    out: str
    err: str = ""

    @property
    def json(self) -> Any:
        """Standard output as one JSON document."""
        return json.loads(self.out)


@dataclass
class Laptop:
    """A folder, the keys in the environment, and the clouds."""

    forks: Forks
    cloud: Emulators
    home: Path
    more: dict[str, str] = field(default_factory=dict)
    _begun: list["Terminal"] = field(default_factory=list)

    def stop(self) -> None:
        """End what a failed test has left running."""
        for terminal in self._begun:
            if terminal.process.poll() is None:
                terminal.signal(signal.SIGKILL)
                terminal.process.wait()

    @property
    def folder(self) -> Path:
        """Where sweeps are kept."""
        return self.home / "sweeps"

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the developer's own but the path."""
        endpoints = {f"{name.upper()}_ENDPOINT": url for name, url in self.cloud.urls.items()}
        found = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "TASK_CLEANUP_FOLDER": str(self.folder),
            "LANG": "C.UTF-8",
            **endpoints,
        }
        for provider, variables in VARIABLES.items():
            secret = fake_secret(provider)
            found |= {it.name: secret[it.member] for it in variables if it.member in secret}
        return {name: value for name, value in {**found, **self.more}.items() if value}

    def run(self, *arguments: str | Path) -> Ended:
        """Run a command without a terminal."""
        with open(os.devnull) as nothing, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:  # noqa: PTH123
            files = (nothing.fileno(), out.fileno(), err.fileno())
            code = self.forks.start([*map(str, arguments)], self.environment, self.home, files).wait()
            out.seek(0)
            err.seek(0)
            return Ended(code, out.read().decode(), err.read().decode())

    def begin(self, *arguments: str | Path, kind: str = "xterm") -> "Terminal":
        """Run a command in a pseudo-terminal."""
        own, theirs = pty.openpty()
        environment = {**self.environment, "TERM": kind, "COLUMNS": "120", "LINES": "40"}
        process = self.forks.start([*map(str, arguments)], environment, self.home, (theirs, theirs, theirs))
        os.close(theirs)
        self._begun.append(Terminal(process, own))
        return self._begun[-1]

    # -- what is there ------------------------------------------------

    def policy(self, *targets: Mapping[str, Any], name: str = "nightly", **more: Any) -> Path:
        """A policy that takes what ended more than a week ago; everything may go."""
        policy = {
            "name": name,
            "targets": [dict(target) for target in targets or (OMS,)],
            "select": {"older_than": "P7D", "age_from": ["ended", "inferred", "created"]},
            "limits": {"max_fraction": 1},
            **more,
        }
        path = self.home / f"{name}.json"
        path.write_text(json.dumps(policy))
        return path

    def seed(
        self,
        number: int,
        service: str = "huawei_oms",
        *,
        first: int = 1,
        age: float = 30,
        instance: str = "",
        **more: Any,
    ) -> list[str]:
        """Tasks that ended so many days ago; returns their ids."""
        kind, now = KINDS[service], time.time()
        place = kind.place_ids(PROJECT, instance or INSTANCES.get(service, kind.new_instance(1)))
        status = {"huawei_oms": 5}.get(service, "SUCCESS")
        ids = [str(kind.new_id(first + count)) for count in range(number)]
        for task_id in ids:
            dated = kind.record.dated(f"job-{task_id[-4:]}", now - age * DAY - 600, now - age * DAY)
            self.cloud.seed({"service": service, **place, "task_id": task_id, "status": status, **dated, **more})
        return ids

    def left(self, service: str = "huawei_oms") -> list[str]:
        """The ids of the tasks that are there now."""
        places = self.cloud.tasks()[service]
        return [str(task["task_id"]) for place in places for task in place["tasks"]]

    def changes(self) -> list[str]:
        """The paths of all calls that would change something."""
        return [it["path"] for it in self.cloud.journal.as_json(0) if it["method"] != "GET"]

    def swept(self, *arguments: str | Path, policy: Path | None = None) -> str:
        """Sweep, and return the path of the report."""
        ended = self.run("sweep", policy or self.policy(), "--json", *arguments)
        assert ended.code in (0, 2), ended
        places = ended.json["report"]
        return f"{places['bucket']}/{places['json']}"


class Terminal:
    """A process whose standard input, output and error are a terminal."""

    def __init__(self, process: Process, own: int) -> None:
        self.process, self._own, self.seen = process, own, ""

    def until(self, text: str) -> str:
        """Read until this text is on the screen."""
        end = time.monotonic() + SECONDS
        while text not in self.plain:
            assert time.monotonic() < end, self.plain
            if not self._read():
                raise AssertionError(f"it ended before {text!r}: {self.plain}")
        return self.plain

    @property
    def plain(self) -> str:
        """What is on the screen, without colours and moves of the cursor."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.seen).replace("\r\n", "\n")

    def type(self, text: str) -> None:
        """Type a line."""
        os.write(self._own, text.encode() + b"\n")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, once it waits: a prompt is on the screen before somebody is asked."""
        end, looks = time.monotonic() + SECONDS, 0
        while looks < 2 and time.monotonic() < end and self.process.poll() is None:
            looks = looks + 1 if _waits(self.process.pid) else 0
            time.sleep(0.01)
        self.process.send_signal(number)

    def end(self) -> Ended:
        """Read until the process has ended."""
        while self._read():
            pass
        code = self.process.wait()
        os.close(self._own)
        return Ended(code, self.plain)

    def _read(self) -> bool:
        has_ended = self.process.poll() is not None  # asked first: what it wrote before its end is there by now
        ready, _, _ = select.select([self._own], [], [], 0.05)
        if not ready:
            return not has_ended
        try:
            data = os.read(self._own, 65536)
        except OSError:  # the other end is closed
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)


def _waits(pid: int) -> bool:
    """Whether the process's first thread waits for something; true where nothing tells it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"
    except OSError:
        return True
