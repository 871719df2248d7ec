"""Turn JSON objects into dataclass fields, strictly: the admin API must not swallow a misspelt name."""

import types
from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

# The fields' types of each class so far: records are many, and of few classes.
_TYPES: dict[type[Any], dict[str, Any]] = {}


class InvalidRecordError(ValueError):
    """A name that does not exist, or a value of the wrong kind."""


def converted(cls: type[Any], values: Mapping[str, object]) -> dict[str, Any]:
    """Check names and values against the fields of a dataclass; enum members are given by value."""
    hints = _TYPES.get(cls) or _TYPES.setdefault(cls, get_type_hints(cls))
    known = {field.name for field in fields(cls)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise InvalidRecordError(f"{cls.__name__} has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    return {name: _convert(name, hints[name], value) for name, value in values.items()}


def _convert(name: str, hint: object, value: object) -> object:
    origin = get_origin(hint)
    if origin in {Union, types.UnionType}:
        if value is None and type(None) in get_args(hint):
            return None
        return _convert(name, next(arg for arg in get_args(hint) if arg is not type(None)), value)
    if origin is Literal:
        if value not in get_args(hint):
            raise InvalidRecordError(f"{name} must be one of {', '.join(map(str, get_args(hint)))}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise InvalidRecordError(f"{name} must be a list")
        return tuple(_convert(name, get_args(hint)[0], item) for item in value)
    return _convert_plain(name, hint, value)


def _convert_plain(name: str, hint: object, value: object) -> object:
    if isinstance(hint, type) and issubclass(hint, Enum):
        try:
            return hint(value)
        except ValueError:
            raise InvalidRecordError(f"{name} must be one of {', '.join(str(m.value) for m in hint)}") from None
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if (
        not isinstance(hint, type)
        or not isinstance(value, hint)
        or (hint in {int, float} and isinstance(value, bool))
    ):
        raise InvalidRecordError(f"{name} must be of type {getattr(hint, '__name__', hint)}")
    return value
