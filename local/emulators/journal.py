"""The journal: an entry for every request that arrived, in order."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One request, its answer, and its `effect`: the change that was really made."""

    time: str
    service: str
    operation: str | None
    method: str
    path: str
    ids: dict[str, str]
    client_token: str | None
    access_key_id: str | None
    signature_ok: bool | None
    """None: the request was refused, or answered by a fault, before its signature was looked at."""
    nonce: str | None
    status: int | None
    """None: the connection was reset instead of an answer."""
    code: str | None
    effect: str | None
    """`deleted`, `cancelled` or `stopped` if this request made the change, else None."""
    faults: tuple[str, ...]
    request_id: str
    carried_out: float | None = None
    """When it was carried out (wall clock, Unix seconds), while nothing else could change a task. None: never."""


class Journal:
    """Entries in the order in which the requests were decided, each written before its answer is sent."""

    def __init__(self) -> None:
        """Start empty."""
        self._entries: list[Entry] = []
        self._changed = threading.Condition()
        self.followers: list[Callable[[Entry], None]] = []
        """Each is called with every new entry, before the request is answered."""

    def append(self, entry: Entry) -> None:
        """Add an entry."""
        with self._changed:
            self._entries.append(entry)
            self._changed.notify_all()
        for follow in self.followers:
            follow(entry)

    def entries(self, service: str | None = None, operation: str | None = None) -> list[Entry]:
        """Copy the entries, of one service or operation if named."""
        with self._changed:
            return [
                entry
                for entry in self._entries
                if service in {None, entry.service} and operation in {None, entry.operation}
            ]

    def effects(self) -> list[tuple[str, str]]:
        """The changes that were really made: (effect, task id; for a cancel the instance id), in order."""
        return [
            (entry.effect, entry.ids.get("task_id") or entry.ids.get("instance_id", ""))
            for entry in self.entries()
            if entry.effect is not None
        ]

    def wait_for(self, count: int, timeout: float = 5.0) -> list[Entry]:
        """Wait until there are so many entries (a client may give up before its request is decided)."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._entries) >= count, timeout)
        return self.entries()

    def clear(self) -> None:
        """Forget all entries."""
        with self._changed:
            self._entries.clear()

    def as_json(self, since: int = 0) -> list[dict[str, Any]]:
        """Return the entries from an index on, each with its index."""
        entries = self.entries()
        return [{"index": index, **asdict(entries[index])} for index in range(since, len(entries))]

    def __len__(self) -> int:
        """Count the entries."""
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        """Go through a copy of the entries."""
        return iter(self.entries())

    def __getitem__(self, index: int) -> Entry:
        """Read one entry; -1 is the last."""
        return self._entries[index]
