"""Shortens lists so that they fit into Lambda's reply. Lambda drops a larger reply, and the caller gets an error.

Source: Lambda's quotas ("Invocation payload", 6 MB, which its error message states as 6,291,556 bytes).
"""

from bisect import bisect_right
from dataclasses import replace
from itertools import accumulate
from typing import Any

from task_cleanup.results import Result, TaskList
from task_cleanup.triggers import Trigger, json_text

MAX_BYTES = 6_291_556
RESERVE = 2_048  # bytes for the reply's status and headers, and for more digits of a count
NOTE = "the reply would be larger than Lambda's 6 MB: ask with a lower limit"


def fitted(result: Result, trigger: Trigger) -> Result:
    """The result with as many of its tasks as fit. If some do not, ``complete`` is false, and ``note`` says why."""
    listed, size = result.listed, _in_a_body if trigger is Trigger.HTTP else _in_a_reply
    if listed is None or size(result.to_dict()) <= MAX_BYTES - RESERVE:
        return result
    rest = replace(result, listed=TaskList((), complete=False, note=NOTE))
    room = MAX_BYTES - RESERVE - size(rest.to_dict())
    ends = list(accumulate(size(task.to_dict()) + len(", ") for task in listed.tasks))
    tasks = listed.tasks[: bisect_right(ends, room)]
    return replace(result, listed=TaskList(tasks, complete=False, note=NOTE))


def _in_a_reply(value: dict[str, Any]) -> int:
    """Bytes of an object within the reply, as Lambda's runtime client for Python 3.12 and later writes it."""
    return len(json_text(value).encode())


def _in_a_body(value: dict[str, Any]) -> int:
    """Bytes of an object within an HTTP body, which the reply holds as a string: quotes are escaped again."""
    return len(json_text(json_text(value)).encode()) - len('""')
