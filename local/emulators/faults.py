"""Faults by request: which requests they hit, how often, and what they do to the answer."""

import itertools
import random
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from .clock import Clock
from .messages import Delivery, Drip, Reply
from .records import InvalidRecordError, converted


class FaultKind(StrEnum):
    """What a fault does to a request or its answer."""

    LATENCY = "latency"
    """Wait `ms` before the request is decided (`made`: after the change, before the answer)."""
    SLOW_START = "slow_start"
    """Wait `ms` at first, less and less, nothing after `seconds`."""
    DRIP_BODY = "drip_body"
    """Send the body `size` bytes at a time, `ms` apart."""
    DRIP_HEADERS = "drip_headers"
    """Send the status line and headers `size` bytes at a time, `ms` apart."""
    CLOSE_AFTER_REPLY = "close_after_reply"
    """Close the kept-alive connection after the answer, without announcing it."""
    STALE_DATE = "stale_date"
    """The server's clock and its `Date` header are `offset` seconds wrong."""
    RESET_BEFORE = "reset_before"
    """Reset the connection; nothing was changed."""
    RESET_AFTER = "reset_after"
    """Make the change, then reset the connection instead of answering."""
    THROTTLE = "throttle"
    """Refuse because of too many calls, as the provider does (`retry_after` seconds, `dialect`)."""
    ERROR = "error"
    """Refuse with `status`, `code` and `message`, in the provider's error shape."""
    HTTP_ERROR = "http_error"
    """Answer `status` with `body` (default: none) instead of the provider's error shape."""
    GARBAGE = "garbage"
    """Answer 200 with a body that is not the provider's (`variant`; `size` bytes of the huge one)."""
    REDIRECT = "redirect"
    """Answer 302 to `location`."""
    LIST_MOVES = "list_moves"
    """After the answer to a page, the list's first record is removed and another added last: the count stays."""
    HIDE = "hide"
    """Answer a list or a show as if there were no task at all: a lie, where there is one."""
    OTHER_RECORD = "other_record"
    """Show another task's record instead of the one that was asked for."""
    AWAY = "away"
    """The whole service is down (`variant`: an answer with 503, or a reset)."""


class Variant(StrEnum):
    """The kinds of `garbage`, and of `away`."""

    HTML = "html"
    TRUNCATED = "truncated"
    HUGE = "huge"
    UNAVAILABLE = "unavailable"
    RESET = "reset"


class Dialect(StrEnum):
    """Who throttles: the service's own code, or the gateway in front of it."""

    SERVICE = "service"
    GATEWAY = "gateway"


OUTCOMES = frozenset(
    {
        FaultKind.RESET_BEFORE,
        FaultKind.RESET_AFTER,
        FaultKind.THROTTLE,
        FaultKind.ERROR,
        FaultKind.HTTP_ERROR,
        FaultKind.GARBAGE,
        FaultKind.REDIRECT,
        FaultKind.AWAY,
    }
)
"""At most one of these hits a request; all other faults that match are combined."""

REFUSALS = frozenset({FaultKind.THROTTLE, FaultKind.ERROR})
"""These come from the gateway, after it has checked the signature."""


@dataclass(frozen=True)
class Fault:
    """One fault. `*` matches every service or operation; `match` is an instance id or a task id."""

    kind: FaultKind
    service: str = "*"
    operation: str = "*"
    match: str | None = None
    probability: float = 1.0
    count: int | None = None
    seconds: float | None = None
    ms: int = 0
    size: int = 1
    offset: float = 0.0
    status: int | None = None
    code: str = "EmulatedFault"
    message: str = "A fault that was asked for."
    body: str = ""
    variant: Variant | None = None
    location: str = "http://redirected.invalid/"
    retry_after: float = 1.0
    dialect: Dialect | None = None
    made: bool = False

    def __post_init__(self) -> None:
        """Refuse impossible values of `probability`, `size` and `ms`."""
        if not 0.0 <= self.probability <= 1.0 or self.size < 1 or self.ms < 0:
            raise InvalidRecordError("probability is from 0 to 1, size at least 1, ms at least 0")

    @property
    def after_change(self) -> bool:
        """Whether the change is made although the answer is replaced."""
        return self.made or self.kind is FaultKind.RESET_AFTER

    def hits(self, service: str, operation: str | None, ids: Mapping[str, str]) -> bool:
        """Whether the fault is meant for such a request."""
        return (
            self.service in {"*", service}
            and self.operation in {"*", operation}
            and (self.match is None or self.match in ids.values())
        )


@dataclass(frozen=True)
class Plan:
    """The faults that hit one request."""

    faults: tuple[Fault, ...] = ()
    slow_start: float = 0.0

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of the faults, for the journal."""
        return tuple(fault.kind.value for fault in self.faults)

    @property
    def outcome(self) -> Fault | None:
        """The fault that replaces the answer, if any."""
        return next((fault for fault in self.faults if fault.kind in OUTCOMES), None)

    @property
    def list_moves(self) -> bool:
        """Whether `Store.move` changes the list after this answer."""
        return any(fault.kind is FaultKind.LIST_MOVES for fault in self.faults)

    @property
    def hides(self) -> bool:
        """Whether tasks that are there are not to be seen."""
        return any(fault.kind is FaultKind.HIDE for fault in self.faults)

    @property
    def shows_another(self) -> bool:
        """Whether another task is shown."""
        return any(fault.kind is FaultKind.OTHER_RECORD for fault in self.faults)

    @property
    def delay(self) -> float:
        """Seconds to wait before the request is decided."""
        return self.slow_start + self._latency(made=False)

    @property
    def clock_offset(self) -> float:
        """Seconds that the server's clock is ahead for this request."""
        return sum(fault.offset for fault in self.faults if fault.kind is FaultKind.STALE_DATE)

    def delivery(self, reply: Reply | None) -> Delivery:
        """How these faults let the answer be sent."""
        return Delivery(
            reply,
            pause=self._latency(made=True),
            drip_headers=self._drip(FaultKind.DRIP_HEADERS),
            drip_body=self._drip(FaultKind.DRIP_BODY),
            close=any(fault.kind is FaultKind.CLOSE_AFTER_REPLY for fault in self.faults),
        )

    def _latency(self, *, made: bool) -> float:
        return sum(f.ms / 1000 for f in self.faults if f.kind is FaultKind.LATENCY and f.made is made)

    def _drip(self, kind: FaultKind) -> Drip | None:
        return next((Drip(f.size, f.ms / 1000) for f in self.faults if f.kind is kind), None)


@dataclass
class _Active:
    fault: Fault
    began: float
    left: int | None


class Faults:
    """The faults that are set, and the seeded random source that decides which requests they hit."""

    def __init__(self, clock: Clock, seed: int) -> None:
        """Start without faults; the seed makes a run repeatable."""
        self._clock = clock
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._active: dict[int, _Active] = {}
        self._random = random.Random(seed)

    def add(self, kind: str, **values: object) -> int:
        """Set a fault; return its number."""
        fault = Fault(**converted(Fault, {"kind": kind, **values}))
        with self._lock:
            number = next(self._numbers)
            self._active[number] = _Active(fault, self._clock.elapsed(), fault.count)
        return number

    def away(self, service: str = "*", seconds: float | None = None, variant: str = Variant.UNAVAILABLE) -> int:
        """Take a whole service down, for a while or until the fault is removed."""
        return self.add(FaultKind.AWAY, service=service, seconds=seconds, variant=variant)

    def remove(self, number: int) -> None:
        """Remove the fault with this number."""
        with self._lock:
            self._active.pop(number, None)

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._active.clear()

    def reset(self, seed: int) -> None:
        """Remove all faults and seed the random source again."""
        with self._lock:
            self._active.clear()
            self._random.seed(seed)

    def pick(self, service: str, operation: str | None, ids: Mapping[str, str]) -> Plan:
        """Choose the faults for one request, and count them."""
        if not self._active:
            return Plan()
        with self._lock:
            now = self._clock.elapsed()
            self._drop_spent(now)
            chosen: list[_Active] = []
            for active in self._active.values():
                if active.fault.hits(service, operation, ids) and self._strikes(active.fault, chosen):
                    chosen.append(active)
            for active in chosen:
                active.left = active.left if active.left is None else active.left - 1
        return Plan(tuple(a.fault for a in chosen), sum(_slow_start(a, now) for a in chosen))

    def as_json(self) -> list[dict[str, Any]]:
        """Return the faults that are set."""
        with self._lock:
            self._drop_spent(self._clock.elapsed())
            return [
                {"number": number, **asdict(replace(active.fault, count=active.left))}
                for number, active in self._active.items()
            ]

    def _strikes(self, fault: Fault, chosen: list[_Active]) -> bool:
        if fault.kind in OUTCOMES and any(active.fault.kind in OUTCOMES for active in chosen):
            return False
        return fault.probability >= 1.0 or self._random.random() < fault.probability

    def _drop_spent(self, now: float) -> None:
        for number, active in list(self._active.items()):
            seconds = active.fault.seconds
            if active.left == 0 or (seconds is not None and now >= active.began + seconds):
                del self._active[number]


def _slow_start(active: _Active, now: float) -> float:
    fault = active.fault
    if fault.kind is not FaultKind.SLOW_START or not fault.seconds:
        return 0.0
    return fault.ms / 1000 * max(0.0, 1 - (now - active.began) / fault.seconds)
