"""Reads YAML 1.2 as JSON values, and refuses what would be read in another way than it was meant.

Refused: a name twice in one mapping, tags, anchors and aliases, merge keys, a second document, names that are no
text, texts without quotes that go on in the next line, and numbers that programs read differently (``0123``,
``0o17``, ``1_000``). ``no`` and dates stay text.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError, YAMLStreamError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from task_cleanup.validation import pointer

MAX_DEPTH = 20

_WORDS: dict[str, Any] = {"": None, "~": None, "null": None, "true": True, "false": False}
_INTEGER = re.compile("-?(0|[1-9][0-9]{0,14})")
_FRACTION = re.compile(r"-?(0|[1-9][0-9]{0,14})\.[0-9]{1,15}")
# What YAML 1.1, YAML 1.2 and people read as different numbers, or as none.
_AMBIGUOUS = re.compile(
    r"[-+]?(\.?[0-9][0-9_,.]*([eE][-+]?[0-9]+)?|0[xob][0-9a-fA-F_]+)|[-+]?\.(inf|nan)", re.IGNORECASE
)
# YAML 1.1 ends lines, and so comments, at these; YAML 1.2 and editors do not.
_BREAK = re.compile("[\x85\u2028\u2029]")


class NotYamlError(ValueError):
    """What is wrong with a text, and where: a sentence that quotes at most a name of a field."""


@dataclass(frozen=True)
class Yaml:
    """The value, and by JSON Pointer the lines (from 1) where its parts are."""

    value: Any
    lines: dict[str, int] = field(default_factory=dict)


def read(text: str) -> Yaml:
    """The one document in this text.

    Raises
    ------
    NotYamlError
        If it is no such YAML.
    """
    found = _BREAK.search(text)
    if found is not None:
        number = f"U+{ord(found[0]):04X}"
        raise NotYamlError(f"line {text.count(chr(10), 0, found.start()) + 1}: {number} ends a line in some programs")
    try:
        return _Reader(text).document()
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
        raise NotYamlError(f"{where}{error.problem or 'this is no YAML'}") from None
    except (YAMLError, YAMLStreamError) as error:
        raise NotYamlError(f"this is no YAML ({type(error).__name__})") from None


class _Reader:
    def __init__(self, text: str) -> None:
        self._events = YAML(typ="safe", pure=True).parse(text)
        self._lines: dict[str, int] = {}

    def document(self) -> Yaml:
        begun = False
        value: Any = None
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                if begun:
                    raise _refused(event, "a second document begins: a policy is one document")
                begun = True
                value = self._value(next(self._events), ())
            elif isinstance(event, StreamEndEvent):
                break
        return Yaml(value, self._lines)

    def _value(self, event: Event, place: tuple[str, ...]) -> Any:  # noqa: ANN401 - any JSON value
        _check(event)
        if len(place) > MAX_DEPTH:
            raise _refused(event, "it is nested too deeply")
        self._lines[pointer(*place)] = _line(event)
        if isinstance(event, MappingStartEvent):
            return self._mapping(place)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(place)
        if isinstance(event, ScalarEvent):
            return _scalar(event)
        raise _refused(event, "this cannot be read")

    def _mapping(self, place: tuple[str, ...]) -> dict[str, Any]:
        members: dict[str, Any] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            _check(event)
            name = _scalar(event) if isinstance(event, ScalarEvent) else None
            if not isinstance(name, str):
                raise _refused(event, "the name of a field is a text: put it in quotes")
            if name == "<<":
                raise _refused(event, "merge keys are not read: write the fields out")
            if name in members:
                raise _refused(event, f"{name[:64]!r} is there twice: only one of them would count")
            members[name] = self._value(next(self._events), (*place, name))
            self._lines[pointer(*place, name)] = _line(event)
        return members

    def _sequence(self, place: tuple[str, ...]) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            items.append(self._value(event, (*place, str(len(items)))))
        return items


def _check(event: Event) -> None:
    if isinstance(event, AliasEvent) or getattr(event, "anchor", None) is not None:
        raise _refused(event, "anchors and aliases are not read: write the value out")
    if getattr(event, "ctag", None):
        raise _refused(event, "tags are not read: write the value without its tag")


def _scalar(event: ScalarEvent) -> Any:  # noqa: ANN401 - any JSON value
    text: str = event.value
    if event.style:  # quoted, or a block
        return text
    if event.end_mark is not None and event.end_mark.line > event.start_mark.line:
        raise _refused(event, "the next line is read as a part of this text: correct its indentation, or use quotes")
    if text.lower() in _WORDS:
        if text not in _WORDS:
            raise _refused(event, "write true, false and null in small letters, or put the text in quotes")
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FRACTION.fullmatch(text):
        return float(text)
    if _AMBIGUOUS.fullmatch(text):
        raise _refused(event, "programs read this number differently: put it in quotes, or write it out")
    return text


def _refused(event: Event, why: str) -> NotYamlError:
    return NotYamlError(f"line {_line(event)}: {why}")


def _line(event: Event) -> int:
    mark = event.start_mark
    return int(mark.line) + 1 if mark is not None else 1
