"""Walking the pages of a list, to its end or to a limit, and never pretending that it was the end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from task_cleanup.errors import Category, Code
from task_cleanup.providers.service import Call, Reply
from task_cleanup.results import Error, Listed, Outcome
from task_cleanup.tasks import Page, Task
from task_cleanup.transport import Settled

Request = Mapping[str, Any]


@dataclass(frozen=True, eq=False, repr=False)
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

    Complete is what every page agrees with: as many tasks as the provider counted, and the same count each time.
    Where tasks come or go meanwhile, records shift between the pages, and some may never have been seen.
    """
    limit: int = request["limit"]
    tasks: dict[str, Task] = {}
    totals: set[int] = set()
    attempts = records = 0
    call, latest = first, None
    while True:
        settled = send(call)
        attempts += settled.attempts
        page = _page_of(pages, settled)
        if page is None:
            if latest is not None and _ends(pages, settled):
                return Settled(latest, attempts), Listed(tuple(tasks.values())[:limit], complete=False)
            return replace(settled, attempts=attempts), None
        latest, before = settled.verdict, len(tasks)
        tasks.update((task.task_id, task) for task in page.tasks)
        records += page.records
        totals.add(page.total)
        if pages.call is None or records >= page.total or len(tasks) >= limit or len(tasks) == before:
            complete = totals == {len(tasks)} and len(tasks) <= limit
            return Settled(latest, attempts), Listed(tuple(tasks.values())[:limit], complete)
        call = pages.call(request, records)


def _page_of(pages: Pages, settled: Settled) -> Page | None:
    verdict = settled.verdict
    return pages.read(verdict.reply) if verdict.outcome is Outcome.SUCCEEDED and verdict.reply else None


def _ends(pages: Pages, settled: Settled) -> bool:
    """Whether a later page says "past the end", or time ran out on it."""
    error = settled.verdict.error
    return error is not None and (error.code in pages.past_end or error.category is Category.TIMEOUT)
