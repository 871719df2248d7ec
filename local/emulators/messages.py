"""Requests exactly as they were received, answers, and how an answer is sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

HeaderList = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Request:
    """A request as received; header values are the received bytes read as Latin-1, trimmed at both ends."""

    method: str
    target: str
    headers: HeaderList = ()
    body: bytes = b""
    version: str = "HTTP/1.1"

    @cached_property
    def path(self) -> str:
        """The part of the target before the first `?`, still percent-encoded."""
        return self.target.partition("?")[0]

    @cached_property
    def query(self) -> str:
        """The part of the target after the first `?`, still percent-encoded."""
        return self.target.partition("?")[2]

    def header_values(self, name: str) -> list[str]:
        """All values of one header (any case), in the order received."""
        wanted = name.lower()
        return [value for key, value in self.headers if key.lower() == wanted]

    def header(self, name: str) -> str | None:
        """The first value of one header, or None."""
        return next(iter(self.header_values(name)), None)

    @property
    def ends_connection(self) -> bool:
        """Whether the client wants the connection closed after the answer."""
        return self.version == "HTTP/1.0" or (self.header("connection") or "").lower() == "close"

    @cached_property
    def header_names(self) -> frozenset[str]:
        """The lower-case names of all headers present."""
        return frozenset(key.lower() for key, _ in self.headers)


@dataclass(frozen=True)
class Reply:
    """Status, headers and body of an answer; length and connection headers are added when it is sent."""

    status: int
    headers: HeaderList = ()
    body: bytes = b""


@dataclass(frozen=True)
class Drip:
    """Send in small pieces: `size` bytes, a pause of `seconds`, and so on."""

    size: int
    seconds: float


@dataclass(frozen=True)
class Delivery:
    """How an answer is sent. If ``reply`` is None, the connection is reset."""

    reply: Reply | None
    pause: float = 0.0
    drip_headers: Drip | None = None
    drip_body: Drip | None = None
    close: bool = False


def whole_number(values: Mapping[str, str], name: str, default: int, most: int = 9_999_999_999) -> int | None:
    """Read a parameter as a number from 0 to the most; None if it is anything else."""
    text = values.get(name, str(default))
    is_number = text.isascii() and text.isdigit() and len(text) <= 10
    return int(text) if is_number and int(text) <= most else None
