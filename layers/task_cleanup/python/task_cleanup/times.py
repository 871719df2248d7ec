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


def rfc3339(moment: datetime) -> str:
    """``2026-11-21T08:30:00.123Z``: UTC, milliseconds (RFC 3339, section 5.6)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
