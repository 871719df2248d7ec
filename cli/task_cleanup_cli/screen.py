"""What a command prints: tables and sentences for people, or one JSON document; colours only on a terminal.

Names come from strangers: every text is printed as it is, without markup, and with its unseen characters shown.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from task_cleanup.sweep.page.words import visible

WIDTH = 120  # where there is no terminal


def shown(value: object) -> str:
    """A text of one line whose control, direction and other unseen characters are shown by their number."""
    text = str(visible(str(value)))
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


class Screen:
    """Standard output for what was asked for, standard error for everything else."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        width = None if sys.stdout.isatty() else int(os.environ.get("COLUMNS") or WIDTH)
        self._out = Console(highlight=False, emoji=False, markup=False, width=width, soft_wrap=False)
        self._err = Console(stderr=True, highlight=False, emoji=False, markup=False, soft_wrap=True)

    def document(self, document: object) -> None:
        """One JSON document, where the user asked for it."""
        if self.as_json:
            sys.stdout.write(_json_text(document) + "\n")
            sys.stdout.flush()

    @property
    def asking(self) -> "Screen":
        """For what somebody is asked about: beside JSON, standard error."""
        if not self.as_json:
            return self
        aside = Screen()
        aside._out = self._err
        return aside

    def say(self, text: str, style: str = "") -> None:
        """A sentence for people. Beside JSON, nothing is said."""
        if not self.as_json:
            self._out.print(Text(shown(text), style=style), soft_wrap=True)

    def tell(self, *lines: str, style: str = "") -> None:
        """A warning or an error, to standard error."""
        for line in lines:
            self._err.print(Text(shown(line), style=style))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """A table. Columns whose title begins with ``#`` have numbers; those with ``!`` are never broken.

        Beside JSON, there is none.
        """
        if self.as_json:
            return
        table = Table(box=None, pad_edge=False, show_edge=False)
        for column in columns:
            number, whole = column.startswith("#"), column.startswith(("#", "!"))
            title = Text(column.lstrip("#!"))
            table.add_column(title, justify="right" if number else "left", overflow="fold", no_wrap=whole)
        for row in rows:
            table.add_row(*(Text(f"{cell:,}" if isinstance(cell, int) else shown(cell)) for cell in row))
        self._out.print(table)

    @contextmanager
    def busy(self, text: str) -> Iterator["Busy"]:
        """Something that takes a while. A spinner on a terminal, else nothing."""
        status = self._err.status(Text(shown(text)))
        busy = Busy(status.start if self._err.is_terminal else _nothing, status.stop)
        busy.begin()
        try:
            yield busy
        finally:
            busy.pause()

    @contextmanager
    def progress(self, text: str, total: int) -> Iterator["Counter"]:
        """A bar that fills; none where there is no terminal."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._err, disable=not self._err.is_terminal, transient=True) as bar:
            yield Counter(bar, bar.add_task(shown(text), total=total))

    def ask(self, question: str) -> str | None:
        """What the user types; None where nobody can be asked."""
        if not sys.stdin.isatty():
            return None
        self._err.print(Text(shown(question)), end=" ")
        try:
            return input().strip()
        except EOFError:
            return None


class Busy:
    """A spinner that can be taken away, so that somebody can be asked."""

    def __init__(self, begin: Any, pause: Any) -> None:  # noqa: ANN401 - rich's methods
        self.begin, self.pause = begin, pause


class Counter:
    """Counts on a progress bar."""

    def __init__(self, bar: Progress, task: Any) -> None:  # noqa: ANN401 - rich's task id
        self._bar, self._task = bar, task

    def one(self) -> None:
        """One more is done."""
        self._bar.advance(self._task)

    def text(self, text: str) -> None:
        """What is being done."""
        self._bar.update(self._task, description=shown(text))


def _nothing() -> None:
    pass


def _json_text(document: object) -> str:
    """JSON that people may look at on a terminal too: unseen characters are escapes."""
    text = json.dumps(document, indent=2, ensure_ascii=not _is_utf8())
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def _is_utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
