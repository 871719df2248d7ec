"""The operation of each HTTP route, from the template, the functions' schemas and the sample events."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.api import schemas
from local.aws import stack
from task_cleanup.results import Target


@dataclass(frozen=True)
class HttpOperation:
    """One route, the schema of its function's requests, and a sample request to it."""

    method: str
    path: str
    schema: Mapping[str, Any]
    sample: Mapping[str, str]  # path parameters

    @property
    def name(self) -> str:
        """``huawei.oms.DeleteTask``."""
        return str(self.schema["properties"]["operation"]["const"])

    @property
    def path_fields(self) -> list[str]:
        """The fields in the path, in their order."""
        return re.findall(r"\{(\w+)\}", self.path)

    @property
    def other_fields(self) -> dict[str, Any]:
        """The fields that come in the query or in the body."""
        return {name: rule for name, rule in self.schema["properties"].items() if name not in self.path_fields}

    @property
    def target(self) -> Target:
        """The ``target`` of the sample request's result."""
        provider, service, _ = self.name.split(".")
        known = Target.__dataclass_fields__.keys() & self.sample.keys()
        kind = self.schema["properties"].get("task_type", {}).get("default")
        named = {name: self.sample[name] for name in known}
        return Target(provider, service, account="default", task_type=kind, **named)


def operations(root: Path = stack.ROOT) -> list[HttpOperation]:
    """Every route of the template that calls an operation, by the operation's name.

    Raises
    ------
    ValueError
        If a function wants a field that its path does not have: the document could not say where it may come.
    """
    found = []
    for folder, route in _routes(root):
        if folder == schemas.SWEEP:
            continue
        event = json.loads((root / "events" / folder / "http.json").read_text())
        operation = HttpOperation(
            route["method"].lower(), route["path"], schemas.request(folder, root), event["pathParameters"]
        )
        if missing := set(operation.schema["required"]) - set(operation.path_fields):
            raise ValueError(f"{operation.path} has no {', '.join(sorted(missing))}")
        found.append(operation)
    return sorted(found, key=lambda operation: operation.name)


def _routes(root: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Folder of the function behind a route, and the route."""
    # The translator looks up a region for its managed policies, which this template does not use.
    os.environ.setdefault("AWS_DEFAULT_REGION", stack.REGION)
    resources = stack.translate(root / "template.yaml", {})["Resources"]
    for resource in resources.values():
        if resource["Type"] == "AWS::ApiGatewayV2::Api":
            for route in stack.routes(resource["Properties"]):  # the one reader of SAM's OpenAPI body
                yield Path(resources[route["function"]]["Properties"]["Code"]["S3Key"]).name, route
