"""Many cases in one test: less to collect and to set up, and a failure still names its case."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def case(*name: object) -> Iterator[None]:
    """What fails in this block tells which case it was."""
    try:
        yield
    except Exception as error:
        error.add_note(f"the case: {', '.join(map(repr, name))}")
        raise
