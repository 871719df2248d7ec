"""Requests against JSON Schema: strict where the library is lenient, silent about values."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from task_cleanup.errors import CleanupError, Code, TaskCleanupError, invalid_request
from task_cleanup.quick_check import certainly_valid

MAX_VIOLATIONS = 50
MAX_TOLD = 10  # of them in the message; all are in the detail
MAX_NAME = 64  # characters of an unknown field's name that are repeated to the caller
_COMMON = Path(__file__).with_name("common.schema.json")


@dataclass(frozen=True, order=True)
class Violation:
    """One field that is wrong, and what would be right.

    ``pointer`` is an RFC 6901 JSON Pointer into the request, ``rule`` the JSON Schema keyword (or ``repeated``,
    ``nesting``). ``allowed`` goes on with the sentence that the pointer begins ("must be one of eu-de, eu-nl"). It is
    made of the schema, never of the rejected value.
    """

    pointer: str
    rule: str
    allowed: str


def load_schema(path: Path, definitions: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A request's schema, with the shared rules of ``common.schema.json`` in the place of references to them.

    ``definitions`` are made in code and become the schema's ``$defs``. References to those stay, for jsonschema to
    follow. Tests run ``check_schema`` over every schema, so that no start-up has to.

    Raises
    ------
    ValueError
        For a reference to a rule that there is not, or one with members beside it: they would be lost.
    """
    schema = json.loads(path.read_bytes())
    if definitions is not None:
        schema["$defs"] = definitions
    filled: dict[str, Any] = _filled(schema, _shared_rules(), {f"#/$defs/{name}" for name in schema.get("$defs", ())})
    return filled


def reference(name: str) -> dict[str, str]:
    """How a schema refers to the shared rule of this name."""
    return {"$ref": f"urn:task-cleanup:common#/$defs/{name}"}


@cache
def _shared_rules() -> dict[str, Any]:
    """Shared rules by the references to them."""
    rules = json.loads(_COMMON.read_bytes())["$defs"]
    return {reference(name)["$ref"]: rule for name, rule in rules.items()}


def _filled(part: Any, shared: Mapping[str, Any], own: Collection[str]) -> Any:  # noqa: ANN401 - any part of a schema
    if isinstance(part, list):
        return [_filled(item, shared, own) for item in part]
    if not isinstance(part, dict):
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
        """The request with the schema's defaults filled in.

        ``more`` finds violations that the schema cannot, in an object that may violate the schema too. They are told
        with the schema's own. Where the schema refuses the same field, its rule is told with what ``more`` allows.

        Raises
        ------
        CleanupError
            ``invalid_request`` with every violation and what is allowed there, never the rejected value.
        """
        violations = [] if certainly_valid(self._schema, request) else self._violations_of(request)
        if isinstance(request, dict):
            violations = _with_more(violations, more(request))
        if violations or not isinstance(request, dict):
            raise violation_error(violations)
        defaults = {name: rule["default"] for name, rule in self._properties.items() if "default" in rule}
        return {**defaults, **request}

    def _violations_of(self, request: object) -> list[Violation]:
        from task_cleanup.schema_errors import violations_of  # noqa: PLC0415 - only a refusal pays for it

        return violations_of(self._schema, request)


def short_name(name: str) -> str:
    """The caller's own name of a field as any log can hold it: cut, and characters that UTF-8 lacks replaced."""
    return name[:MAX_NAME].encode(errors="replace").decode()


def pointer(*parts: str) -> str:
    """An RFC 6901 JSON Pointer of short names."""
    return "".join("/" + short_name(part).replace("~", "~0").replace("/", "~1") for part in parts)


def violation_error(violations: Iterable[Violation], code: Code = Code.SCHEMA_VIOLATION) -> CleanupError:
    """``invalid_request`` that tells all violations, each once: the first ones in the message, and up to
    ``MAX_VIOLATIONS`` in the detail.
    """
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
    """For a field whose values no schema lists: a region, which is its service's to know."""
    from task_cleanup.allowed import one_of  # noqa: PLC0415

    return Violation(place, "enum", f"must be {one_of(list(values))}")


class NotJsonError(TaskCleanupError, ValueError):
    """A text that is no strict JSON. Its message says where and why, for people, and quotes no value of the text."""


def strict_json(text: str) -> Any:  # noqa: ANN401 - any JSON value
    """JSON without the parser's leniencies: no repeated names, no NaN.

    Raises
    ------
    NotJsonError
        Also for nesting that is too deep.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except RecursionError:
        raise NotJsonError("it is nested too deeply") from None
    except NotJsonError:
        raise
    except ValueError as error:
        from task_cleanup.json_errors import explained  # noqa: PLC0415 - only a refusal pays for it

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
