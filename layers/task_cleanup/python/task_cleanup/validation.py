"""Validates requests by their JSON Schema. The errors name each wrong field and what is allowed there, no value."""

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from task_cleanup.errors import CleanupError, Code, TaskCleanupError, invalid_request
from task_cleanup.quick_check import certainly_valid

MAX_VIOLATIONS = 50
MAX_TOLD = 10  # violations in the error's message; its detail has them all
MAX_NAME = 64  # characters of an unknown field's name that are repeated to the caller
_COMMON = Path(__file__).with_name("common.schema.json")


@dataclass(frozen=True, order=True)
class Violation:
    """One field that is wrong, and what would be right.

    ``pointer`` is an RFC 6901 JSON Pointer into the request, ``rule`` the JSON Schema keyword (or ``repeated``,
    ``nesting``). ``allowed`` is the rest of a sentence that begins with the pointer ("must be one of eu-de, eu-nl").
    It is made from the schema, never from the rejected value.
    """

    pointer: str
    rule: str
    allowed: str


def load_schema(path: Path, definitions: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Load a request's schema, and replace its references to ``common.schema.json`` by the shared rules.

    ``definitions`` are made in code and become the schema's ``$defs``. References to them stay, for jsonschema to
    follow. ``check_schema`` is called by tests only: here it would make every start-up longer.

    Raises
    ------
    ValueError
        If a reference names a rule that does not exist, or has other members beside ``$ref``: they would be lost.
    """
    schema = json.loads(path.read_bytes())
    if definitions is not None:
        schema["$defs"] = definitions
    filled: dict[str, Any] = _filled(schema, _shared_rules(), {f"#/$defs/{name}" for name in schema.get("$defs", ())})
    return filled


def filled_in(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema made in code, with its references to shared rules replaced by these. Raises like ``load_schema``."""
    filled: dict[str, Any] = _filled(schema, _shared_rules(), ())
    return filled


def reference(name: str) -> dict[str, str]:
    """The ``$ref`` object that refers to the shared rule of this name."""
    return {"$ref": f"urn:task-cleanup:common#/$defs/{name}"}


@cache
def _shared_rules() -> dict[str, Any]:
    """The rules of ``common.schema.json``, by the ``$ref`` that refers to each."""
    rules = json.loads(_COMMON.read_bytes())["$defs"]
    return {reference(name)["$ref"]: rule for name, rule in rules.items()}


def shared_pattern(name: str) -> re.Pattern[str]:
    """The pattern of a shared rule, to be searched for in a text.

    Raises
    ------
    KeyError
        If there is no such rule, or it has no pattern.
    """
    return re.compile(_shared_rules()[reference(name)["$ref"]]["pattern"])


def _filled(part: Any, shared: Mapping[str, Any], own: Collection[str]) -> Any:  # noqa: ANN401 - any part of a schema
    if isinstance(part, list):
        return [_filled(item, shared, own) for item in part]
    if not isinstance(part, Mapping):
        return part
    if "$ref" not in part:
        return {name: _filled(value, shared, own) for name, value in part.items()}
    place = part["$ref"]
    if len(part) > 1:
        raise ValueError(f"the reference to {place} has members beside it")
    if place in own:
        return part
    if place not in shared:
        raise ValueError(f"there is no rule {place}")
    return _filled(shared[place], shared, ())


class RequestValidator:
    """Checks requests against one schema."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._properties: Mapping[str, Any] = schema["properties"]
        self._schema = schema

    def has(self, name: str) -> bool:
        """Whether the schema knows this field."""
        return name in self._properties

    def is_boolean(self, name: str) -> bool:
        """Whether this field is a boolean: query strings hold ``true`` as text."""
        return bool(self._properties.get(name, {}).get("type") == "boolean")

    def is_integer(self, name: str) -> bool:
        """Whether this field is an integer and nothing else: query strings hold digits as text."""
        return bool(self._properties.get(name, {}).get("type") == "integer")

    def validate(
        self, request: object, more: Callable[[Mapping[str, Any]], Iterable[Violation]] = lambda _: ()
    ) -> dict[str, Any]:
        """Check the request, and return it with the schema's defaults.

        ``more`` returns violations that the schema cannot express; its argument may violate the schema too. They are
        reported with the schema's own. For a field that both refuse, ``rule`` is the schema's and ``allowed`` is
        that of ``more``.

        Raises
        ------
        CleanupError
            ``invalid_request`` if there is a violation. It has all of them, and never the rejected value.
        """
        violations = [] if certainly_valid(self._schema, request) else self._violations_of(request)
        if isinstance(request, dict):
            violations = _with_more(violations, more(request))
        if violations or not isinstance(request, dict):
            raise violation_error(violations)
        defaults = {name: rule["default"] for name, rule in self._properties.items() if "default" in rule}
        return {**defaults, **request}

    def _violations_of(self, request: object) -> list[Violation]:
        from task_cleanup.schema_errors import violations_of  # noqa: PLC0415 - slow, and for refusals only

        return violations_of(self._schema, request)


def short_name(name: str) -> str:
    """The caller's name of a field, cut to ``MAX_NAME`` characters; what UTF-8 cannot encode becomes ``?``."""
    return printable(name, MAX_NAME)


def printable(text: str, most: int) -> str:
    """The text as any event and log can hold it: ``most`` characters, and ``?`` for what UTF-8 cannot encode."""
    return text[:most].encode(errors="replace").decode()


def pointer(*parts: str) -> str:
    """An RFC 6901 JSON Pointer of short names."""
    return "".join("/" + short_name(part).replace("~", "~0").replace("/", "~1") for part in parts)


def violation_error(violations: Iterable[Violation], code: Code = Code.SCHEMA_VIOLATION) -> CleanupError:
    """``invalid_request`` with each violation once: ``MAX_TOLD`` in the message, ``MAX_VIOLATIONS`` in the detail."""
    listed = sorted(set(violations))[:MAX_VIOLATIONS]
    told = [f"{violation.pointer or 'the request'} {violation.allowed}" for violation in listed[:MAX_TOLD]]
    more = ["and so on"] if len(listed) > MAX_TOLD else []
    return invalid_request(
        code,
        f"the request is not valid: {'; '.join(told + more)}",
        {"violations": [asdict(violation) for violation in listed]},
    )


def _with_more(violations: list[Violation], more: Iterable[Violation]) -> list[Violation]:
    known = {violation.pointer: violation for violation in more}
    told = [_narrowed(violation, known.pop(violation.pointer, None)) for violation in violations]
    return [*told, *known.values()]


def _narrowed(violation: Violation, by: Violation | None) -> Violation:
    if by is None:
        return violation
    return replace(
        violation, allowed=f"is required, and {by.allowed}" if violation.rule == "required" else by.allowed
    )


def not_one_of(place: str, values: Iterable[str]) -> Violation:
    """The violation for a value that is not one of ``values``, which are in no schema: the regions of a service."""
    from task_cleanup.allowed import one_of  # noqa: PLC0415

    return Violation(place, "enum", f"must be {one_of(list(values))}")


class NotJsonError(TaskCleanupError, ValueError):
    """A text that is no strict JSON. Its message has the place and the reason, and quotes no value of the text."""


def strict_json(text: str) -> Any:  # noqa: ANN401 - any JSON value
    """Parse JSON, but refuse what ``json.loads`` accepts too: repeated names, NaN and Infinity.

    Raises
    ------
    NotJsonError
        If the text is not such JSON, or is nested too deeply.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except RecursionError:
        raise NotJsonError("it is nested too deeply") from None
    except NotJsonError:
        raise
    except ValueError as error:
        from task_cleanup.json_errors import explained  # noqa: PLC0415 - for refusals only

        raise NotJsonError(explained(text, error)) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise NotJsonError(f"the name {json.dumps(short_name(name))} comes twice in one object")
        members[name] = value
    return members


def _refuse_constant(_name: str) -> None:
    raise ValueError
