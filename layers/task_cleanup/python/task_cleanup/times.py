"""RFC 3339 times, in and out."""

import re
from datetime import UTC, datetime

_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def parse_time(text: str) -> datetime:
    """An RFC 3339 time with its zone.

    Raises
    ------
    ValueError
    """
    if not _RFC3339.fullmatch(text):
        raise ValueError("not an RFC 3339 time with a zone")
    return datetime.fromisoformat(text.upper())


_EARLIEST, _LATEST = datetime(2010, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def plausible(moment: datetime) -> datetime | None:
    """The time, or None for one that no task can have: a zero value, seconds taken for milliseconds.

    Taken at its word, such a time would make the task look decades old.
    """
    return moment if _EARLIEST <= moment < _LATEST else None


def rfc3339(moment: datetime) -> str:
    """``2026-11-21T08:30:00.123Z``: UTC, milliseconds (RFC 3339, section 5.6)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
