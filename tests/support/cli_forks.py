"""Starts commands of ``task-cleanup`` as processes that have imported it already: imports are most of their time.

``python -m tests.support.cli_forks FD`` imports once, and forks a process for each request. What it forks has its own
environment, folder, standard files and session, as if it had been started alone.
"""

import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tests.support.functions import ROOT

SOURCES = ("layers/task_cleanup/python", "cli")
PATHS = os.pathsep.join(str(ROOT / source) for source in SOURCES)
# What the command imports at its start, and what it or Typer imports when it needs it.
MODULES = (
    "task_cleanup_cli.main",
    "task_cleanup_cli.commands",
    "task_cleanup.handler",
    "task_cleanup.schema_errors",
    "boto3",
    "jsonschema",
    "pydantic.type_adapter",
    "rich.status",
)
MOST = 65536  # bytes of a message

Json = dict[str, Any]


class Forks:
    """The process that forks; it ends with its block."""

    def __enter__(self) -> Self:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.support.cli_forks", str(theirs.fileno())],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": PATHS, "HOME": "/nonexistent", "LANG": "C.UTF-8"},
            pass_fds=(theirs.fileno(),),
        )
        theirs.close()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._server.wait(30)

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, files: Sequence[int]
    ) -> "Process":
        """Start a command with these three standard files."""
        asked = {"arguments": list(arguments), "environment": dict(environment), "folder": str(folder)}
        return Process(self, self.ask(asked, files)["pid"])

    def ask(self, asked: Json, files: Sequence[int] = ()) -> Json:
        """One request, and its answer."""
        socket.send_fds(self._socket, [json.dumps(asked).encode()], files)
        answer: Json = json.loads(self._socket.recv(MOST))
        return answer


class Process:
    """A command that was started, with the methods of ``subprocess.Popen`` that are needed."""

    def __init__(self, forks: Forks, pid: int) -> None:
        self._forks, self.pid = forks, pid
        self._code: int | None = None

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._asked(block=False)

    def wait(self) -> int:
        """Its exit code, when it has ended."""
        code = self._asked(block=True)
        assert code is not None
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def _asked(self, *, block: bool) -> int | None:
        if self._code is None:
            self._code = self._forks.ask({"pid": self.pid, "block": block})["code"]
        return self._code


# -- the process that forks ------------------------------------------------


def serve(number: int) -> None:
    """Answer requests until the other end is closed."""
    for name in MODULES:
        importlib.import_module(name)
    importlib.import_module("task_cleanup.sweep.page.render").template("report.html.j2")  # compiled once
    gc.freeze()  # a collection in a forked process would go through all of that, and copy its pages
    with socket.socket(fileno=number) as channel:
        while True:
            data, files, _, _ = socket.recv_fds(channel, MOST, 3)
            if not data:
                return
            asked = json.loads(data)
            if "pid" in asked:
                pid, status = os.waitpid(asked["pid"], 0 if asked["block"] else os.WNOHANG)
                answer: Json = {"code": os.waitstatus_to_exitcode(status) if pid else None}
            else:
                child = os.fork()
                if not child:
                    channel.close()
                    _become(asked, files)
                answer = {"pid": child}
                for file in files:
                    os.close(file)
            channel.send(json.dumps(answer).encode())


def _become(asked: Json, files: Sequence[int]) -> None:
    """Be the command, and end."""
    code = 70
    try:
        os.setsid()
        # As in a terminal. Where the tests are started in the background, these are ignored, and would be here.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        for standard, file in enumerate(files):
            os.dup2(file, standard)
            os.close(file)
        os.environ.clear()
        os.environ.update(asked["environment"])
        os.chdir(asked["folder"])
        for standard, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
            setattr(sys, name, os.fdopen(standard, mode))
        sys.argv = ["task-cleanup", *asked["arguments"]]
        importlib.import_module("task_cleanup_cli.main").main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - as the interpreter does at its end
        sys.excepthook(*sys.exc_info())
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
