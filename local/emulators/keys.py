"""Access keys, and what the services remember about their use."""

import threading
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from .clock import Clock
from .records import InvalidRecordError, converted

T = TypeVar("T")


@dataclass(frozen=True)
class AccessKey:
    """One access key; a temporary one has a security token and needs it on every call."""

    provider: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)
    project_id: str | None = None
    disabled: bool = False
    token_expired: bool = False
    denied: tuple[str, ...] = ()
    ends_at: float | None = None
    """When its token expires, on the emulators' timer; None: never, unless `token_expired` says so."""

    @property
    def name(self) -> tuple[str, str]:
        """Provider and key id, unique among all keys."""
        return self.provider, self.access_key_id

    def may(self, operation: str) -> bool:
        """Whether the permissions allow the operation (`*` in `denied` forbids all)."""
        return operation not in self.denied and "*" not in self.denied


class Memory(Generic[T]):
    """A dictionary that forgets each entry after a time."""

    def __init__(self, clock: Clock) -> None:
        """Start empty."""
        self._clock = clock
        self._entries: dict[Hashable, tuple[float, T]] = {}
        self._lock = threading.Lock()

    def recall(self, name: Hashable) -> T | None:
        """The value that is kept under that name, or None."""
        until, value = self._entries.get(name, (0.0, None))
        return value if until > self._clock.elapsed() else None

    def remember(self, name: Hashable, value: T, seconds: float) -> T | None:
        """Keep the value unless one is kept already; return the one that was there."""
        with self._lock:
            known = self.recall(name)
            if known is None:
                self._forget_old()
                self._entries.pop(name, None)
                self._entries[name] = (self._clock.elapsed() + seconds, value)
            return known

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()

    def _forget_old(self) -> None:
        """Remove expired entries. They are in the order of arrival, so only the first ones need a check."""
        now = self._clock.elapsed()
        for name in list(self._entries)[:2]:
            if self._entries[name][0] <= now:
                del self._entries[name]


class KeyRing:
    """All access keys by provider and id."""

    def __init__(self, clock: Clock) -> None:
        """Start empty; the clock ends temporary keys."""
        self._clock = clock
        self.providers: set[str] = set()
        """Whose keys there can be. A provider's keys work for all of its services."""
        self.bearers: Memory[AccessKey] = Memory(clock)
        """Tokens that replace a signature, each with whom it stands for (Open Telekom Cloud, `X-Auth-Token`)."""
        self._keys: dict[tuple[str, str], AccessKey] = {}
        self._lock = threading.Lock()

    def add(self, **values: object) -> AccessKey:
        """Add a key, or replace the one with that id."""
        key = AccessKey(**converted(AccessKey, values))
        if key.provider not in self.providers:
            raise InvalidRecordError(f"provider must be one of {', '.join(sorted(self.providers))}")
        with self._lock:
            self._keys[key.name] = key
        return key

    def change(self, provider: str, access_key_id: str, **values: object) -> AccessKey:
        """Change fields of a key: rotate its secret, disable it, let its token expire, deny operations."""
        with self._lock:
            key = replace(self._keys[provider, access_key_id], **converted(AccessKey, values))
            self._keys[key.name] = key
        return key

    def find(self, provider: str, access_key_id: str) -> AccessKey | None:
        """The key with this id of this provider, or None; after its end its token has expired."""
        key = self._keys.get((provider, access_key_id))
        over = key is not None and key.ends_at is not None and self._clock.elapsed() >= key.ends_at
        return replace(key, token_expired=True) if key is not None and over else key

    def clear(self) -> None:
        """Forget all keys and bearers."""
        self.bearers.clear()
        with self._lock:
            self._keys.clear()


class LockOut:
    """Locks a key after several bad signatures in a row (Huawei signing sheet, section 4)."""

    SECONDS = 300.0

    def __init__(self, clock: Clock) -> None:
        """Start with nothing locked."""
        self._clock = clock
        self._failures: dict[tuple[str, str], int] = {}
        self._locked_until: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def is_locked(self, key: AccessKey) -> bool:
        """Whether the key is locked now."""
        return self._locked_until.get(key.name, 0.0) > self._clock.elapsed()

    def failed(self, key: AccessKey, limit: int) -> None:
        """Count a bad signature; lock the key at the limit."""
        with self._lock:
            count = self._failures.get(key.name, 0) + 1
            if count >= limit:
                self._locked_until[key.name] = self._clock.elapsed() + self.SECONDS
                count = 0
            self._failures[key.name] = count

    def succeeded(self, key: AccessKey) -> None:
        """Reset the count of bad signatures after a good one."""
        with self._lock:
            self._failures.pop(key.name, None)

    def clear(self) -> None:
        """Unlock everything."""
        with self._lock:
            self._failures.clear()
            self._locked_until.clear()
