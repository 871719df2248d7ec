"""Accepts most valid requests without jsonschema, whose import takes a fifth of a cold start.

All other requests go to jsonschema, which accepts them or explains what is wrong. A keyword, type or format that is
not listed below is never accepted here. tests/unit/test_quick_check.py proves that no request is accepted here that
jsonschema refuses.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from task_cleanup.times import parse_time

_ANNOTATIONS = frozenset({"$schema", "$id", "title", "description", "default", "examples"})
_OF_AN_OBJECT = _ANNOTATIONS | {"type", "properties", "required", "additionalProperties"}


def certainly_valid(schema: Mapping[str, Any], request: object) -> bool:
    """Whether an object schema (draft 2020-12) takes this request; False if that is not certain.

    Its fields are strings, integers, booleans and null, or objects that hold nothing but those.
    """
    return _fits_object(schema, request, _fits_field)


def _fits_object(schema: Mapping[str, Any], value: object, fits: Callable[[Mapping[str, Any], object], bool]) -> bool:
    """Whether the value is an object with all required members, and each member has a rule that it ``fits``."""
    if not isinstance(value, dict) or schema.get("type") != "object" or not schema.keys() <= _OF_AN_OBJECT:
        return False
    properties = schema.get("properties", {})
    return all(name in value for name in schema.get("required", ())) and all(
        name in properties and fits(properties[name], member) for name, member in value.items()
    )


def _fits_field(rule: Mapping[str, Any], value: object) -> bool:
    return _fits_object(rule, value, _fits) if isinstance(value, dict) else _fits(rule, value)


def _fits(rule: Mapping[str, Any], value: object) -> bool:
    return all(
        keyword in _ANNOTATIONS or (keyword in _CHECKS and _CHECKS[keyword](wanted, value))
        for keyword, wanted in rule.items()
    )


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_TYPES: Mapping[str, Callable[[object], bool]] = {
    "boolean": lambda value: isinstance(value, bool),
    "integer": _is_integer,
    "null": lambda value: value is None,
    "string": lambda value: isinstance(value, str),
}


def _is_of_type(wanted: str | list[str], value: object) -> bool:
    names = [wanted] if isinstance(wanted, str) else wanted
    return any(name in _TYPES and _TYPES[name](value) for name in names)


def _is_time(wanted: str, text: str) -> bool:
    try:
        return wanted == "date-time" and bool(parse_time(text))
    except ValueError:
        return False


# Each accepts only values of the type that it is about, null, and strings if it is about numbers; jsonschema decides
# about all others.
_CHECKS: Mapping[str, Callable[[Any, Any], bool]] = {
    "type": _is_of_type,
    "const": lambda wanted, value: isinstance(value, str | None) and value == wanted,
    "enum": lambda wanted, value: isinstance(value, str | None) and value in wanted,
    "pattern": lambda wanted, value: not isinstance(value, str) or re.search(wanted, value) is not None,
    "minimum": lambda wanted, value: isinstance(value, str | None) or (_is_integer(value) and value >= wanted),
    "maximum": lambda wanted, value: isinstance(value, str | None) or (_is_integer(value) and value <= wanted),
    "format": lambda wanted, value: value is None or (isinstance(value, str) and _is_time(wanted, value)),
}
