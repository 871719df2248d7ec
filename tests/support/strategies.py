"""Hypothesis strategies: requests that a schema accepts."""

from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any

from hypothesis import strategies as st

from tests.support.builders import OPERATIONS

TAIL = r"(?!\n)$"


def _texts(rule: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    if rule.get("format") == "date-time":
        return st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.isoformat().replace("+00:00", "Z"))
    if "pattern" not in rule:
        return st.text(max_size=40)
    return st.from_regex(rule["pattern"].removeprefix("^").removesuffix(TAIL), fullmatch=True)


def _values(rule: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    if "const" in rule:
        return st.just(rule["const"])
    if "enum" in rule:
        return st.sampled_from(rule["enum"])
    if rule["type"] == "object":
        members = {name: _values(inner) for name, inner in rule["properties"].items()}
        return st.fixed_dictionaries({}, optional=members)
    kinds = [rule["type"]] if isinstance(rule["type"], str) else rule["type"]
    by_kind: dict[str, Callable[[], st.SearchStrategy[Any]]] = {
        "boolean": st.booleans,
        "integer": lambda: st.integers(rule["minimum"], rule["maximum"]),
        "string": lambda: _texts(rule),
        "null": st.none,
    }
    return st.one_of([by_kind[kind]() for kind in kinds])


def requests_of(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Anything the schema accepts."""
    schema = OPERATIONS[name].schema
    strategies = {field: _values(rule) for field, rule in schema["properties"].items()}
    required = {field: strategies.pop(field) for field in schema["required"]}
    return st.fixed_dictionaries(required, optional=strategies)
