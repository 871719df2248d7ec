"""Requests against JSON Schema: strict where the library is lenient, silent about values."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from task_cleanup.errors import CleanupError, Code, invalid_request
from task_cleanup.quick_check import certainly_valid

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

MAX_VIOLATIONS = 50
MAX_NAME = 64  # characters of an unknown field's name that are repeated to the caller


def load_schema(path: Path) -> dict[str, Any]:
    """A schema file. Tests run ``check_schema`` over every one, so that no start-up has to."""
    schema: dict[str, Any] = json.loads(path.read_bytes())
    return schema


class RequestValidator:
    """Checks requests against one schema."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._properties: Mapping[str, Any] = schema["properties"]
        self._schema = schema

    @cached_property
    def _validator(self) -> "Validator":
        from task_cleanup.schema_errors import validator  # noqa: PLC0415 - only the first refusal pays for it

        return validator(self._schema)

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
        self, request: object, more: Callable[[Mapping[str, Any]], Iterable[tuple[str, str]]] = lambda _: ()
    ) -> dict[str, Any]:
        """The request with the schema's defaults filled in.

        ``more`` finds violations that the schema cannot, in an object that may violate the schema too. They are told
        with the schema's own, but for fields of which the schema has told something.

        Raises
        ------
        CleanupError
            ``invalid_request`` with every violation as JSON Pointer and rule, never the rejected value.
        """
        violations = [] if certainly_valid(self._schema, request) else self._violations_of(request)
        if isinstance(request, dict):
            told = {place for place, _ in violations}
            violations += [violation for violation in more(request) if violation[0] not in told]
        if violations or not isinstance(request, dict):
            raise violation_error(violations)
        defaults = {name: rule["default"] for name, rule in self._properties.items() if "default" in rule}
        return {**defaults, **request}

    def _violations_of(self, request: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - any JSON value
        try:
            errors = self._validator.iter_errors(request)
            return [violation for error in errors for violation in self._violations(error)]
        except RecursionError:
            return [("", "nesting")]

    def _violations(self, error: "ValidationError") -> Iterator[tuple[str, str]]:
        """One error of the library can stand for several fields: each gets its own pointer."""
        rule, place = str(error.validator), [str(part) for part in error.absolute_path]
        instance = error.instance if isinstance(error.instance, dict) else {}
        if rule == "required":
            names: list[str] = error.validator_value  # type: ignore[assignment]
            yield from ((pointer(*place, name), rule) for name in names if name not in instance)
        elif rule == "additionalProperties":
            known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
            yield from ((pointer(*place, name), rule) for name in instance if name not in known)
        else:
            yield pointer(*place), rule


def pointer(*parts: str) -> str:
    """An RFC 6901 JSON Pointer that any log can hold: names are cut, and characters that UTF-8 lacks replaced."""
    names = (part[:MAX_NAME].encode(errors="replace").decode() for part in parts)
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)


def violation_error(violations: Iterable[tuple[str, str]], code: Code = Code.SCHEMA_VIOLATION) -> CleanupError:
    """``invalid_request`` that names all violations, each once, up to ``MAX_VIOLATIONS``."""
    listed = sorted(set(violations))[:MAX_VIOLATIONS]
    named = ", ".join(f"{place or '(request)'}: {rule}" for place, rule in listed)
    return invalid_request(
        code,
        f"the request is not valid ({named})",
        {"violations": [{"pointer": place, "rule": rule} for place, rule in listed]},
    )


def strict_json(text: str | bytes) -> Any:  # noqa: ANN401 - any JSON value
    """JSON without the parser's leniencies: no repeated names, no NaN.

    Raises
    ------
    ValueError
        Also for bytes that are not UTF-8 and nesting that is too deep.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name is repeated")
    return members


def _refuse_constant(_name: str) -> None:
    raise ValueError("not a JSON number")
