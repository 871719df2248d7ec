"""Runs saved queries of CloudWatch Logs Insights over local log lines.

It knows the commands ``fields``, ``filter``, ``sort``, ``stats`` and ``limit``, comments, and of expressions: ``=``,
``!=``, ``in [...]``, ``and``, ``or``, ``not``, brackets, ``ispresent``, ``coalesce``, and in ``stats`` ``count(*)``
and ``max``; names as ``result.error.code``, with numbers for places in arrays. It refuses all else: ``parse``,
``dedup``, ``like`` and regular expressions, arithmetic, ``bin()``, other functions. It does not know what AWS does
with null (here it is absent), how it orders values of different types (here they are an error), that it finds at
most 1,000 fields of a line, and which lines a time range has. ("CloudWatch Logs Insights language query syntax" of
CloudWatch Logs' user guide.)
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

Record = Mapping[str, Any]
Value = Callable[[Record], Any]

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"[^"\\]*"|'[^'\\]*')|(?P<number>\d+)|(?P<name>@?[A-Za-z_][\w.]*)|(?P<sign>!=|[=()\[\],*|]))"""
)
_FUNCTIONS: Mapping[str, Callable[[list[Any]], Any]] = {
    "ispresent": lambda values: values[0] is not None,
    "coalesce": lambda values: next((value for value in values if value is not None), None),
}


class NotKnownError(ValueError):
    """The query uses what this reader does not know."""


def run(query: str, lines: Iterable[str]) -> list[dict[str, Any]]:
    """The rows that the query finds: by each row's column, without those that have no value."""
    rows: list[Record] = [record_of(line) for line in lines]
    columns: list[str] | None = None
    for command in _commands(query):
        name = command.word()
        match name:
            case "filter":
                wanted = _either(command)
                rows = [row for row in rows if wanted(row)]
            case "fields":
                values = dict(_columns(command))
                rows = [{**row, **_present(values, row)} for row in rows]
                columns = list(values)
            case "stats":
                rows, columns = _stats(command, rows)
            case "sort":
                rows = _sorted(command, rows)
            case "limit":
                rows = rows[: int(command.take("number"))]
            case _:
                raise NotKnownError(f"the command {name}")
        command.end()
    return [{name: row[name] for name in (row if columns is None else columns) if name in row} for row in rows]


def record_of(line: str) -> Record:
    """A log line's fields: those of its JSON, flattened, and the two that every line has."""
    try:
        found = dict(_flat(json.loads(line), ""))
    except ValueError:
        found = {}
    return {**found, "@message": line, **({"@timestamp": found["timestamp"]} if "timestamp" in found else {})}


def _flat(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if children is None:
        if value is not None:
            yield name, value
        return
    for key, child in children:
        yield from _flat(child, f"{name}.{key}" if name else str(key))


# -- reading ------------------------------------------------


class _Command:
    """The words of one command, to be taken one after the other."""

    def __init__(self, words: list[tuple[str, str]]) -> None:
        self._words = words

    def is_next(self, *texts: str) -> bool:
        return bool(self._words) and self._words[0][0] != "text" and self._words[0][1] in texts

    def skip(self, text: str) -> bool:
        """Whether this was the next word, which is taken then."""
        found = self.is_next(text)
        if found:
            self._words.pop(0)
        return found

    def take(self, *kinds: str) -> str:
        if not self._words or self._words[0][0] not in kinds:
            raise NotKnownError(f"{' or '.join(kinds)} expected, not {self._words[:1]}")
        return self._words.pop(0)[1]

    def word(self) -> str:
        return self.take("name")

    def must(self, text: str) -> None:
        if not self.skip(text):
            raise NotKnownError(f"{text} expected, not {self._words[:1]}")

    def kind(self) -> str:
        return self._words[0][0] if self._words else ""

    def end(self) -> None:
        if self._words:
            raise NotKnownError(f"not known: {self._words[0][1]}")


def _commands(query: str) -> Iterator[_Command]:
    text = "\n".join(line for line in query.splitlines() if not line.lstrip().startswith("#")).rstrip()
    words: list[tuple[str, str]] = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise NotKnownError(f"not known: {text[place : place + 20].strip()}")
        place = match.end()
        word = match[match.lastgroup]
        if (match.lastgroup, word) == ("sign", "|"):
            yield _Command(words)
            words = []
        else:
            words.append((match.lastgroup, word.strip("\"'") if match.lastgroup == "text" else word))
    yield _Command(words)


def _either(command: _Command) -> Value:
    choices = [_both(command)]
    while command.skip("or"):
        choices.append(_both(command))
    return lambda row: any(choice(row) for choice in choices)


def _both(command: _Command) -> Value:
    parts = [_one(command)]
    while command.skip("and"):
        parts.append(_one(command))
    return lambda row: all(part(row) for part in parts)


def _one(command: _Command) -> Value:
    if command.skip("not"):
        denied = _one(command)
        return lambda row: not denied(row)
    if command.skip("("):
        inside = _either(command)
        command.must(")")
        return inside
    left = _value(command)
    if command.skip("="):
        right = _value(command)
        return lambda row: left(row) == right(row)
    if command.skip("!="):
        other = _value(command)
        return lambda row: left(row) != other(row)
    if command.skip("in"):
        command.must("[")
        listed = list(_listed(command, "]"))
        return lambda row: left(row) in [value(row) for value in listed]
    return left


def _value(command: _Command) -> Value:
    if command.kind() == "text":
        text = command.take("text")
        return lambda _row: text
    if command.kind() == "number":
        number = int(command.take("number"))
        return lambda _row: number
    name = command.word()
    if not command.skip("("):
        return lambda row: row.get(name)
    if name not in _FUNCTIONS:
        raise NotKnownError(f"the function {name}")
    values = list(_listed(command, ")"))
    return lambda row: _FUNCTIONS[name]([value(row) for value in values])


def _listed(command: _Command, end: str) -> Iterator[Value]:
    yield _value(command)
    while command.skip(","):
        yield _value(command)
    command.must(end)


# -- the commands ------------------------------------------------


def _columns(command: _Command) -> Iterator[tuple[str, Value]]:
    while True:
        plain = command._words[0][1] if command.kind() == "name" else ""
        value = _value(command)
        yield (command.word() if command.skip("as") else plain), value
        if not command.skip(","):
            return


def _present(values: Mapping[str, Value], row: Record) -> dict[str, Any]:
    return {name: found for name, value in values.items() if (found := value(row)) is not None}


def _stats(command: _Command, rows: list[Record]) -> tuple[list[Record], list[str]]:
    wanted: list[tuple[str, str, str]] = []  # name of the column, function, field
    while True:
        function = command.word()
        command.must("(")
        argument = command.take("name", "sign")
        command.must(")")
        if (function, argument) != ("count", "*") and function != "max":
            raise NotKnownError(f"{function}({argument})")
        command.must("as")
        wanted.append((command.word(), function, argument))
        if not command.skip(","):
            break
    command.must("by")
    keys = [name for name, _ in _columns(command)]
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(key) for key in keys), []).append(row)
    made: list[Record] = []
    for values, found in groups.items():
        told = {key: value for key, value in zip(keys, values, strict=True) if value is not None}
        for column, function, argument in wanted:
            known = [row[argument] for row in found if argument in row]
            told[column] = len(found) if function == "count" else max(known)
        made.append(told)
    return made, [*keys, *(column for column, _, _ in wanted)]


def _sorted(command: _Command, rows: list[Record]) -> list[Record]:
    name = command.word()
    order = command.word()
    if order not in ("asc", "desc"):
        raise NotKnownError(f"sort {order}")
    known = sorted((row for row in rows if name in row), key=lambda row: row[name], reverse=order == "desc")
    return [*known, *(row for row in rows if name not in row)]
