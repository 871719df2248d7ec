"""Walking the pages of a list, to its end or to a limit, and never pretending that it was the end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from task_cleanup.errors import Category, Code
from task_cleanup.providers.service import Call, Reply
from task_cleanup.results import Error, Listed, Outcome
from task_cleanup.tasks import Page, Task
from task_cleanup.transport import Settled

Request = Mapping[str, Any]


@dataclass(frozen=True)
class Pages:
    """How a list operation pages.

    ``call`` makes the request for the page that begins after so many records; None where the service has no paging.
    ``read`` returns the page of a confirmed reply, or None if the reply is not what is promised. ``past_end`` are
    the provider's codes that say that there is nothing from here on.
    """

    read: Callable[[Reply], Page | None]
    call: Callable[[Request, int], Call] | None = None
    past_end: frozenset[str] = frozenset()


def confirmed_by(read: Callable[[Reply], Page | None]) -> Callable[[Reply], Error | None]:
    """A list is confirmed by a reply with HTTP 200 that ``read`` understands."""

    def confirmed(reply: Reply) -> Error | None:
        if reply.status == 200 and read(reply) is not None:
            return None
        message = f"HTTP {reply.status} without the promised list"
        return Error(Category.PROVIDER_ERROR, Code.UNEXPECTED_REPLY, message)

    return confirmed


def walk(
    pages: Pages, request: Request, send: Callable[[Call], Settled], first: Call
) -> tuple[Settled, Listed | None]:
    """Fetch page after page with ``send``; the verdict of the whole, and what was found.

    A failure on any page but the first is a failure of the whole, with two exceptions: the provider's way to say
    "past the end", and a deadline that cut the walk (then the list is there, and not complete).
    """
    limit: int = request["limit"]
    tasks: dict[str, Task] = {}
    records, attempts, total = 0, 0, None
    call = first
    while True:
        settled = send(call)
        attempts += settled.attempts
        verdict = settled.verdict
        ended = _ended_by(pages, settled, records)
        if ended is not None:
            return _succeeded(settled, attempts), Listed(tuple(tasks.values()), complete=ended)
        page = pages.read(verdict.reply) if verdict.outcome is Outcome.SUCCEEDED and verdict.reply else None
        if page is None:
            return Settled(verdict, attempts), None
        before = len(tasks)
        tasks.update((task.task_id, task) for task in page.tasks)
        records += page.records
        total = page.total if page.total is not None else total
        at_end = pages.call is None or (records >= total if total is not None else page.records == 0)
        if at_end or len(tasks) >= limit or len(tasks) == before:
            found = tuple(tasks.values())
            complete = at_end and len(found) <= limit
            return Settled(verdict, attempts), Listed(found[:limit], complete)
        if pages.call is not None:
            call = pages.call(request, records)


def _ended_by(pages: Pages, settled: Settled, records: int) -> bool | None:
    """True if a later page says "past the end", False if time ran out on one, None if neither."""
    error = settled.verdict.error
    if error is None or records == 0:
        return None
    if error.code in pages.past_end:
        return True
    return False if error.category is Category.TIMEOUT else None


def _succeeded(settled: Settled, attempts: int) -> Settled:
    verdict = settled.verdict
    return Settled(type(verdict)(Outcome.SUCCEEDED, http_status=200, request_id=verdict.request_id), attempts)
