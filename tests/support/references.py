"""What schemas that refer to each other mean, by jsonschema's own library for references."""

import json
from typing import Any

from referencing import Registry, Resource

from tests.support.functions import ROOT

COMMON: dict[str, Any] = json.loads(
    (ROOT / "layers" / "task_cleanup" / "python" / "task_cleanup" / "common.schema.json").read_bytes()
)
REGISTRY: Registry[Any] = Registry().with_resource(COMMON["$id"], Resource.from_contents(COMMON))


def resolved(schema: dict[str, Any]) -> Any:
    """The schema with what each reference leads to in its place, those to its own definitions included."""
    resource = Resource.from_contents(schema)
    return _resolved(schema, REGISTRY.with_resource(schema["$id"], resource).resolver(schema["$id"]))


def _resolved(part: Any, resolver: Any) -> Any:
    if isinstance(part, list):
        return [_resolved(item, resolver) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" not in part:
        return {name: _resolved(value, resolver) for name, value in part.items()}
    found = resolver.lookup(part["$ref"])
    return _resolved(found.contents, found.resolver)
