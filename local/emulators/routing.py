"""From method and path to an operation and the ids in the path."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import unquote

from .messages import Request


@dataclass(frozen=True)
class Route:
    """One operation; names in braces in the path stand for one segment each."""

    operation: str
    method: str
    template: str

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The template as a pattern for the raw path."""
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.template))


@dataclass(frozen=True)
class Call:
    """A recognised call: the operation and the decoded ids of its path."""

    operation: str
    ids: dict[str, str] = field(default_factory=dict)


def find_call(routes: Iterable[Route], request: Request) -> Call | None:
    """Match a request against the routes of a service."""
    for route in routes:
        if route.method == request.method:
            found = route.pattern.fullmatch(request.path)
            if found:
                return Call(route.operation, {name: unquote(text) for name, text in found.groupdict().items()})
    return None
