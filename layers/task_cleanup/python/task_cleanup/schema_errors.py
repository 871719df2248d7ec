"""What is wrong with a request, by jsonschema. Imported when something is: see ``quick_check``."""

from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from task_cleanup.times import parse_time

_FORMATS = FormatChecker(formats=())


@_FORMATS.checks("date-time", raises=ValueError)
def _is_rfc3339(value: object) -> bool:
    return not isinstance(value, str) or bool(parse_time(value))


def _is_integer(_checker: object, value: object) -> bool:
    """JSON Schema takes 1.0 for an integer. In an id that would be somebody's rounding error."""
    return isinstance(value, int) and not isinstance(value, bool)


_Validator = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)


def validator(schema: Mapping[str, Any]) -> Validator:
    """A validator that is strict where the library is lenient."""
    made: Validator = _Validator(schema, format_checker=_FORMATS)
    return made
