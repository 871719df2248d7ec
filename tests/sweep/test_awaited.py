"""Whether `GET` still tells of a run that it has not ended."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from task_cleanup.sweep.awaited import is_awaited
from task_cleanup.sweep.plan import LIFETIME
from task_cleanup.sweep.store import Store, Stored
from task_cleanup.times import rfc3339

NOW = datetime(2026, 11, 21, 3, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
OURS, ANOTHER = "a" * 64, "b" * 64


class Documents:
    """A store that has these documents of the run, and reads only."""

    def __init__(self, **documents: dict[str, Any]) -> None:
        self._documents = {f"reports/run-1/{name}.json": document for name, document in documents.items()}

    def get(self, name: str) -> Stored | None:
        found = self._documents.get(name)
        return None if found is None else Stored(found, "etag", NOW, "")


def sent(age: timedelta, digest: str = OURS) -> dict[str, Any]:
    return {"digest": digest, "sent_at": rfc3339(NOW - age)}


BEGUN = {"digest": OURS}


@pytest.mark.parametrize(
    ("documents", "awaited"),
    [
        ({}, False),  # nobody asks `GET` for a run that was never asked for nor begun
        ({"claim": BEGUN}, True),
        ({"claim": {"digest": ANOTHER}}, False),
        ({"asked": sent(LIFETIME + MINUTE)}, True),
        ({"asked": sent(LIFETIME)}, False),  # the later request tells the end
        ({"asked": sent(LIFETIME + MINUTE, ANOTHER)}, False),
        ({"asked": sent(LIFETIME + MINUTE, ANOTHER), "claim": BEGUN}, True),
        ({"asked": {"digest": OURS}}, True),
        ({"claim": BEGUN, "summary": {"final": True}}, False),
        ({"claim": BEGUN, "summary": {}}, False),
        ({"claim": BEGUN, "summary": {"final": False}}, True),
        ({"asked": sent(MINUTE), "claim": BEGUN, "summary": {"final": False}}, False),
    ],
)
def test_who_waits_for_the_end_of_a_run(documents: dict[str, dict[str, Any]], awaited: bool) -> None:
    store = cast("Store", Documents(**documents))

    assert is_awaited(store, "run-1", OURS, NOW) is awaited
