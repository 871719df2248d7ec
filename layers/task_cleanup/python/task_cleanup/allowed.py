"""Says what a field may hold, from its schema and never from the value. Imported only when a request is refused.

Each text is the rest of a sentence that begins with the field's name: "must be one of eu-de, eu-nl". For a pattern,
it has the schema's ``title`` and ``examples``, if there are any, and not the pattern.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

MAX_VALUES = 40  # of an enumeration, in one text
MAX_FIELDS = 20  # names of fields in one text

Schema = Mapping[str, Any]

_KINDS: Mapping[str, str] = {
    "array": "an array",
    "boolean": "the boolean true or false",
    "integer": "an integer",
    "null": "null",
    "number": "a number",
    "object": "an object",
    "string": "a string",
}


def sentence(keyword: str, schema: Schema) -> str:
    """What ``keyword`` allows in this part of a schema: ``must be an integer from 1 to 100``."""
    if keyword in _SENTENCES:
        return _SENTENCES[keyword](schema)
    return f"must satisfy the keyword {keyword} of its schema{_described(schema)}"


def required(schema: Schema | None) -> str:
    """The text for a missing field. ``schema`` is the field's own, None if it is unknown."""
    wanted = {} if schema is None else schema
    telling = next((keyword for keyword in ("const", "enum", "pattern", "type") if keyword in wanted), None)
    return "is required" if telling is None else f"is required, and {sentence(telling, wanted)}"


def unknown(name: str, known: Collection[str]) -> str:
    """The text for an unknown field: with the most similar known name, or with all known names."""
    by_folded = {each.casefold(): each for each in known}
    nearest = get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.75)
    if nearest:
        return f"is not a known field, did you mean {by_folded[nearest[0]]}?"
    return f"is not a known field, the known ones are {_listed(sorted(known), MAX_FIELDS)}"


def _one_of_fields(schema: Schema) -> str:
    names = [name for choice in schema["oneOf"] for name in choice["required"]]
    return f"must have exactly one of the fields {_listed(names, MAX_FIELDS)}"


def misplaced(beside: Collection[str], known: Collection[str]) -> str:
    """The text for a known field that is not allowed together with the fields ``beside``."""
    others = [name for name in known if name not in beside]
    return f"is not allowed beside {_listed(list(beside), MAX_FIELDS)}, only {_listed(others, MAX_FIELDS)} are"


def one_of(values: Sequence[object]) -> str:
    """``one of eu-de, eu-nl``; of more than ``MAX_VALUES``, the first ones and how many more there are."""
    return _written(values[0]) if len(values) == 1 else f"one of {_listed(values, MAX_VALUES)}"


def _listed(values: Sequence[object], most: int) -> str:
    more = f" and {len(values) - most} more" if len(values) > most else ""
    return ", ".join(_written(value) for value in values[:most]) + more


def _written(value: object) -> str:
    """A plain word as it is, anything else as JSON: text with a comma, or ``true`` as text, needs its quotes."""
    plain = (
        isinstance(value, str) and value and not set(value) & set(' ,"') and value not in ("true", "false", "null")
    )
    return str(value) if plain else json.dumps(value, ensure_ascii=False)


def _type(schema: Schema) -> str:
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    words = " or ".join(_KINDS[kind] for kind in kinds)
    if kinds in (["integer"], ["number"]):
        return f"must be {words}{_range(schema)}"
    return f"must be {words}{_such_as(schema)}"


def _number(schema: Schema) -> str:
    kind = "integer" if "integer" in schema.get("type", ()) else "number"
    return f"must be {_KINDS[kind]}{_range(schema)}"


def _pattern(schema: Schema) -> str:
    if "title" in schema or "examples" in schema:
        return f"must be {schema.get('title', 'text')}{_such_as(schema)}"
    return f"must match the pattern {schema['pattern']}{_described(schema)}"


def _format(schema: Schema) -> str:
    words = "a time with its zone (RFC 3339)" if schema["format"] == "date-time" else f"a {schema['format']}"
    return f"must be {words}{_such_as(schema)}"


def _such_as(schema: Schema) -> str:
    examples = schema.get("examples", ())
    return f", such as {' or '.join(_written(example) for example in examples)}" if examples else ""


def _range(schema: Schema) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is None and most is None:
        return ""
    if most is None:
        return f" of at least {least:,}"
    return f" of at most {most:,}" if least is None else f" from {least:,} to {most:,}"


def _size(least: str, most: str, unit: str) -> Callable[[Schema], str]:
    def words(schema: Schema) -> str:
        few, many = schema.get(least), schema.get(most)
        if many is None:
            return f"must have at least {few:,} {unit}"
        return f"must have at most {many:,} {unit}" if few is None else f"must have {few:,} to {many:,} {unit}"

    return words


def _described(schema: Schema) -> str:
    return f": {schema['description']}" if "description" in schema else ""


_characters = _size("minLength", "maxLength", "characters")
_entries = _size("minItems", "maxItems", "entries")


def _dependent(schema: Schema) -> str:
    pairs = schema["dependentRequired"].items()
    return f"must have {' and '.join(f'{_listed(others, MAX_FIELDS)} beside {name}' for name, others in pairs)}"


_SENTENCES: Mapping[str, Callable[[Schema], str]] = {
    "const": lambda schema: f"must be {_written(schema['const'])}",
    "enum": lambda schema: f"must be {one_of(schema['enum'])}",
    "dependentRequired": _dependent,
    "format": _format,
    "maximum": _number,
    "maxItems": _entries,
    "maxLength": _characters,
    "minimum": _number,
    "minItems": _entries,
    "minLength": _characters,
    "oneOf": _one_of_fields,
    "pattern": _pattern,
    "type": _type,
    "uniqueItems": lambda _: "must not have the same entry twice",
}
