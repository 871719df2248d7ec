"""Finds a request's violations with jsonschema. Imported only if ``quick_check`` did not accept the request."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from task_cleanup.allowed import misplaced, required, sentence, unknown
from task_cleanup.times import parse_time
from task_cleanup.validation import MAX_VIOLATIONS, Violation, pointer, short_name

# Errors of the library that are looked at. A request can have a hundred thousand, which takes it minutes.
MAX_ERRORS = 20 * MAX_VIOLATIONS
_FORMATS = FormatChecker(formats=())


@_FORMATS.checks("date-time", raises=ValueError)
def _is_rfc3339(value: object) -> bool:
    return not isinstance(value, str) or bool(parse_time(value))


def _is_integer(_checker: object, value: object) -> bool:
    """Whether the value is an integer; 1.0 is not, unlike in JSON Schema: an id written so may have been rounded."""
    return isinstance(value, int) and not isinstance(value, bool)


def _unique_items(
    _validator: object,
    wanted: bool,
    instance: object,
    schema: Mapping[str, Any],
) -> Iterator[ValidationError]:
    """``uniqueItems`` without the library's comparison of every pair, which takes minutes for thousands of items."""
    if not wanted or not isinstance(instance, list) or len(instance) > schema.get("maxItems", len(instance)):
        return  # too many: `maxItems` reports it
    if len({json.dumps(item, sort_keys=True) for item in instance}) < len(instance):
        yield ValidationError("items are repeated")


_Validator = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    validators={"uniqueItems": _unique_items},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)


def validator(schema: Mapping[str, Any]) -> Validator:
    """A validator that also checks ``date-time``, and that takes no 1.0 for an integer."""
    made: Validator = _Validator(schema, format_checker=_FORMATS)
    return made


_CHOICE = {"const": "enum"}  # both list the allowed values, so they count as one rule


@dataclass(frozen=True)
class _Found:
    """A violation without its text; ``name`` is the missing or unknown field, if ``rule`` is about one."""

    pointer: str
    rule: str
    error: ValidationError
    name: str = ""

    @property
    def kind(self) -> tuple[str, str]:
        """Pointer and rule. Of several violations of one kind, only one is reported."""
        return (self.pointer, _CHOICE.get(self.rule, self.rule))

    @property
    def depth(self) -> int:
        """How deep in the schema the rule is: of one kind, the deepest is reported, since it is the most specific."""
        return len(self.error.absolute_schema_path)


def violations_of(schema: Mapping[str, Any], request: Any) -> list[Violation]:  # noqa: ANN401 - any JSON value
    """The violations, one for each field and rule, at most ``MAX_VIOLATIONS``; none has the rejected value."""
    try:
        errors = islice(validator(schema).iter_errors(request), MAX_ERRORS)
        found = [one for error in errors for one in _found(error)]
    except RecursionError:
        return [Violation("", "nesting", "must not be nested so deeply")]
    deepest = {one.kind: one for one in sorted(found, key=lambda one: (*one.kind, one.depth))}
    told = list(deepest.values())[:MAX_VIOLATIONS]
    return [Violation(one.pointer, one.rule, _allowed(schema, one)) for one in told]


def _found(error: ValidationError) -> Iterator[_Found]:
    """The fields that one error of the library is about, each with its own pointer."""
    rule, place = str(error.validator), [str(part) for part in error.absolute_path]
    instance = error.instance if isinstance(error.instance, dict) else {}
    if rule == "required":
        wanted: list[str] = error.validator_value  # type: ignore[assignment]
        yield from (_Found(pointer(*place, name), rule, error, name) for name in wanted if name not in instance)
    elif rule == "additionalProperties":
        known = _properties(error.schema)
        yield from (_Found(pointer(*place, name), rule, error, name) for name in instance if name not in known)
    else:
        yield _Found(pointer(*place), rule, error)


def _properties(schema: object) -> Mapping[str, Any]:
    known = schema.get("properties", {}) if isinstance(schema, Mapping) else {}
    return known if isinstance(known, Mapping) else {}


def _allowed(schema: Mapping[str, Any], found: _Found) -> str:
    error = found.error
    known, at_root = _properties(error.schema), not error.absolute_path
    if found.rule == "required":
        # A condition at the root requires a field whose rule is in the root's `properties`.
        rules = [known.get(found.name), _properties(schema).get(found.name) if at_root else None]
        return required(next((rule for rule in rules if isinstance(rule, Mapping)), None))
    if found.rule == "additionalProperties":
        if at_root and found.name in _properties(schema):
            return misplaced(schema.get("if", {}).get("required", []), known)
        return unknown(short_name(found.name), known)
    return sentence(found.rule, error.schema if isinstance(error.schema, Mapping) else {})
