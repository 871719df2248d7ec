"""Find the operation for a method and path, and read the ids in the path."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from .messages import Reply, Request


@dataclass(frozen=True)
class Route:
    """One operation; names in braces in the path stand for one segment each.

    `perform` is the method of the service that carries it out, given the exchange. `required` and `token` name query
    parameters in their exact case: those that must be there, and the one with the client token.
    """

    operation: str
    method: str
    template: str
    perform: Callable[[Any, Any], Reply]
    required: tuple[str, ...] = ()
    token: str = ""

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The path template as a regular expression for the raw path."""
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.template))


@dataclass(frozen=True)
class Call:
    """A recognised call: its route and the decoded ids of its path."""

    route: Route
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def operation(self) -> str:
        """The name of the operation."""
        return self.route.operation


def find_call(routes: Iterable[Route], request: Request) -> Call | None:
    """Match a request against the routes of a service."""
    for route in routes:
        if route.method == request.method:
            found = route.pattern.fullmatch(request.path)
            if found:
                return Call(route, {name: unquote(text) for name, text in found.groupdict().items()})
    return None
