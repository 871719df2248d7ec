"""One bash in which the commands of a document are run, as by a reader who pastes one block after the other."""

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support import aws_cli

_END = "--- end of block ---"
# Each command that fails is written down, wherever it is in a block, unless it is a condition (of `until`, of `&&`).
# Waits are cut short: what a document waits for takes less here.
_SET_UP = f"""set -o errtrace -o pipefail
trap 'echo "line $LINENO: $BASH_COMMAND" >> "$FAILURES"' ERR
sleep() {{ command sleep 0.3; }}
export -f sleep
block() {{ . "$1" < /dev/null; echo; echo "{_END}"; }}
"""
# `jq` as a command, from the tests' requirements, which have it as a library: what the documents use of it.
_JQ = """#!{python}
import json, sys
import jq
named, flags, rest, words = {{}}, "", [], iter(sys.argv[1:])
read = {{"--arg": str, "--argjson": json.loads, "--rawfile": lambda it: open(it).read(),
        "--slurpfile": lambda it: [json.load(open(it))]}}
for word in words:
    if word in read:
        name = next(words)
        named[name] = read[word](next(words))
    elif word.startswith("-"):
        flags += word
    else:
        rest.append(word)
text = "null" if "n" in flags else open(rest[1]).read() if len(rest) > 1 else sys.stdin.read()
found = jq.compile(rest[0], args=named).input_text(text).all() if text.strip() else []
for it in found:
    print(it if "r" in flags and isinstance(it, str) else json.dumps(it, ensure_ascii=False, indent=2))
sys.exit("e" in flags and (not found or found[-1] in (None, False)))
"""


@dataclass(frozen=True)
class Said:
    """What a block printed, and which of its commands failed."""

    text: str
    failures: tuple[str, ...]


class Shell:
    """A bash that keeps what a block defines for the blocks behind it; it ends with its ``with`` block."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._failures = folder / "failures"
        tools = folder / "bin"
        tools.mkdir()
        (tools / "jq").write_text(_JQ.format(python=sys.executable))
        (tools / "jq").chmod(0o700)
        places = {"HOME": str(folder), "TMPDIR": str(folder), "FAILURES": str(self._failures)}
        self._environment = {**environment, **places, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        self._closing.enter_context(aws_cli.command(self._folder / "bin", self._environment))
        self._process = self._closing.enter_context(
            subprocess.Popen(
                ["bash", "--noprofile", "--norc"],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        self._closing.callback(self._process.kill)
        self._type(_SET_UP)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def _type(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def run(self, script: str) -> Said:
        """Run a block to its end. What the block leaves in variables and functions stays."""
        block = self._folder / "block.sh"
        block.write_text(script)
        self._failures.write_text("")
        self._type(f"block {block}\n")
        printed: list[str] = []
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip() == _END:
                break
            printed.append(line)
        return Said("".join(printed), tuple(self._failures.read_text().splitlines()))
