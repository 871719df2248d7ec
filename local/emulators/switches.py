"""Switches for behaviour that no public source documents. The defaults are the provider sheets' best guess.

Each gateway and each service declares its own as a dataclass; the values of a switch are those of its `Literal`. All
of them can be changed while the emulators run: `cloud.switches.update(oms_delete_unknown="OMS.0054")`, or
`POST /_emulator/switches`.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, TypeVar, get_args, get_type_hints

from .records import InvalidRecordError, converted

S = TypeVar("S")


ListCount = Literal["all", "page"]
"""What the count of a list counts: by the sheets all records, but a client of Huawei's own does not trust it."""


@dataclass
class NoSwitches:
    """The switches of a service that has none."""


def switch(default: Any, *others: Any) -> Any:  # noqa: ANN401 - as `dataclasses.field`
    """Declare a switch that takes more values than a `Literal` or a boolean, with some that tests try."""
    return field(default=default, metadata={"tried": (default, *others)})


class Switches:
    """The switches of all gateways and services of a process, by name."""

    def __init__(self) -> None:
        """Start with none; each service adds its own by `part`."""
        self._parts: dict[type[Any], Any] = {}
        self._users: dict[type[Any], set[str]] = {}

    def part(self, kind: type[S], service: str) -> S:
        """Return the switches of this class; the first call makes them."""
        part: S = self._parts.setdefault(kind, kind())
        self._users.setdefault(kind, set()).add(service)
        return part

    def update(self, **values: object) -> None:
        """Change some switches; if one value is wrong, none is changed."""
        owners = {name: part for part in self._parts.values() for name in asdict(part)}
        unknown = sorted(set(values) - set(owners))
        if unknown:
            raise InvalidRecordError(f"there is no {', '.join(unknown)}; there are {', '.join(sorted(owners))}")
        changes = [(owners[name], converted(type(owners[name]), {name: value})) for name, value in values.items()]
        for part, change in changes:
            for name, value in change.items():
                setattr(part, name, value)

    def reset(self) -> None:
        """Set every switch to its default."""
        for part in self._parts.values():
            for each in fields(part):
                setattr(part, each.name, each.default)

    def as_json(self) -> dict[str, Any]:
        """Return all switches by name."""
        return {name: value for part in self._parts.values() for name, value in asdict(part).items()}

    def tried(self) -> Iterator[tuple[str, tuple[Any, ...], frozenset[str]]]:
        """For every switch: its name, the values that tests try, and the services that use it."""
        for kind in self._parts:
            hints = get_type_hints(kind)
            for each in fields(kind):
                values = get_args(hints[each.name]) or (True, False)
                yield each.name, each.metadata.get("tried", values), frozenset(self._users[kind])
