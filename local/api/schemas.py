"""The schemas that users see: of every request, of a result, and of what the HTTP API answers with.

A request's schema is as its function loads it, with the service's regions told in words: no ``enum``, since a stack
can have more (``ExtraRegions``), and a client that is made from a document must be able to name those.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import task_cleanup
from local.aws import stack
from task_cleanup.sweep.services import SERVICES, load_sweep_schema
from task_cleanup.validation import load_schema

Json = dict[str, Any]

SWEEP = "sweep"  # the sweep's folder, the only one whose function is no operation

_PACKAGE = Path(task_cleanup.__file__).parent


def requests(root: Path = stack.ROOT) -> dict[str, Json]:
    """The schema of every function's requests, by the operation's name or ``sweep``."""
    folders = sorted(path.parent.name for path in root.glob("functions/*/schema.json"))
    schemas = {folder: request(folder, root) for folder in folders}
    return {_name(folder, schema): schema for folder, schema in schemas.items()}


def request(folder: str, root: Path = stack.ROOT) -> Json:
    """The schema of one function's requests."""
    path = root / "functions" / folder / "schema.json"
    if folder != SWEEP:
        schema = load_schema(path)
        return _with_regions(schema, "_".join(_name(folder, schema).split(".")[:2]))
    schema = load_sweep_schema(path)
    return {**schema, "$defs": {key: _with_regions(part, key) for key, part in schema["$defs"].items()}}


def _name(folder: str, schema: Mapping[str, Any]) -> str:
    return folder if folder == SWEEP else str(schema["properties"]["operation"]["const"])


def _with_regions(schema: Mapping[str, Any], service_id: str) -> Json:
    if service_id not in SERVICES:
        return dict(schema)
    rule = schema["properties"]["region"]
    told = f"{rule['description']} The service's: {', '.join(SERVICES[service_id].regions)}."
    return {**schema, "properties": {**schema["properties"], "region": {**rule, "description": told}}}


def published() -> dict[str, Json]:
    """The schemas of the answers, by the names that they have in the API's document."""
    return {"Result": _of_package("result"), "Problem": _of_package("problem")}


def summary() -> Json:
    """The schema of a sweep's summary."""
    return _of_package("sweep/summary")


def _of_package(name: str) -> Json:
    schema: Json = json.loads((_PACKAGE / f"{name}.schema.json").read_bytes())
    return schema


def components(schemas: Mapping[str, Mapping[str, Any]]) -> Json:
    """Schemas as components; what one of them defines inside is a component too: ``Result.task``.

    References by URN, or to a schema's own definitions, become references inside the document.
    """
    pointers = {schema["$id"]: _pointer(name) for name, schema in schemas.items() if "$id" in schema}
    found: Json = {}
    for name, schema in schemas.items():
        own = {f"#/$defs/{key}": f"{name}.{key}" for key in schema.get("$defs", {})}
        known = pointers | {place: _pointer(component) for place, component in own.items()}
        body = {key: value for key, value in schema.items() if key not in ("$schema", "$id", "$defs")}
        found[name] = _moved(body, known)
        found |= {own[f"#/$defs/{key}"]: _moved(value, known) for key, value in schema.get("$defs", {}).items()}
    return found


def _pointer(component: str) -> str:
    return f"#/components/schemas/{component}"


def _moved(value: Any, known: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return {name: known[item] if name == "$ref" else _moved(item, known) for name, item in value.items()}
    return [_moved(item, known) for item in value] if isinstance(value, list) else value
