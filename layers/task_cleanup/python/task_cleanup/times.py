"""Reads and writes RFC 3339 times."""

import re
from datetime import UTC, datetime, timedelta

_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-5][0-9])"
)


def parse_time(text: str) -> datetime:
    """Parse an RFC 3339 time with a zone, and convert it to UTC.

    Raises
    ------
    ValueError
        If the text is no such time, or UTC cannot hold it (``0001-01-01T00:00:00+23:59``): converting it later would
        raise an ``OverflowError``.
    """
    if not _RFC3339.fullmatch(text):
        raise ValueError("not an RFC 3339 time with a zone")
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except OverflowError:
        raise ValueError("not within the years 1 to 9999 of UTC") from None


_EARLIEST, _LATEST = datetime(2010, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def plausible(moment: datetime) -> datetime | None:
    """The time, or None outside the years 2010 to 2099: it was a zero, or seconds that were read as milliseconds.

    A sweep would take such a task for decades old, and select it.
    """
    return moment if _EARLIEST <= moment < _LATEST else None


def rfc3339(moment: datetime) -> str:
    """``2026-11-21T08:30:00.123Z``: UTC, milliseconds (RFC 3339, section 5.6)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def in_words(length: timedelta) -> str:
    """``1 hour``, ``7 days``, ``90 minutes``: a whole number of the largest unit for which it is whole."""
    seconds = round(length.total_seconds())
    unit, size = next((unit, size) for unit, size in _UNITS if seconds % size == 0)
    number = seconds // size
    return f"{number:,} {unit}" if number == 1 else f"{number:,} {unit}s"


_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))
