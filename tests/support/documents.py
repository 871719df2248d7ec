"""What a reader finds in a document: headings, and the commands to copy."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(
    r"(?:^ *<!-- not run: (?P<reason>.*?) ?-->\n)?^(?P<indent> *)```(?P<kind>\w*)\n(?P<text>.*?)^ *```$", re.M | re.S
)
COMMANDS = ("sh", "console")


def anchors(document: Path) -> set[str]:
    """Those of the document's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", document.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@dataclass(frozen=True)
class Block:
    """Commands that a document shows together, as a script for bash. ``reason``: why no test runs them, or None."""

    line: int
    heading: str
    script: str
    reason: str | None


def blocks(text: str) -> Iterator[Block]:
    """The ``sh`` blocks of a document, and the commands (not what they print) of its ``console`` blocks."""
    for found in _FENCE.finditer(text):
        if found["kind"] not in COMMANDS:
            continue
        indent = len(found["indent"])
        script = "".join(line[indent:] if line.strip() else "\n" for line in found["text"].splitlines(keepends=True))
        headings = re.findall(r"^#+ (.+)$", text[: found.start()], flags=re.MULTILINE)
        yield Block(
            line=text.count("\n", 0, found.start("text")),
            heading=headings[-1] if headings else "",
            script=_typed(script) if found["kind"] == "console" else script,
            reason=found["reason"],
        )


def _typed(session: str) -> str:
    """What is typed in a terminal session: what follows ``$ ``, and the lines that continue it.

    A line continues the one before it if that ends in a backslash, or is indented behind a ``$ ``.
    """
    typed: list[str] = []
    continues = False
    for line in session.splitlines():
        if line.startswith("$ "):
            typed.append(line[2:])
            continues = True
        elif continues and (line.startswith("    ") or typed[-1].endswith("\\")):
            typed.append(line)
        else:
            continues = False
    return "\n".join(typed) + "\n"
