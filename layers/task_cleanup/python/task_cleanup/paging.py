"""Reads a list page by page. The result says whether it is the whole list (``complete``), and why not (``note``)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from task_cleanup.errors import Category, Code
from task_cleanup.providers.model import Call, ListCall, Reply, Request
from task_cleanup.results import Error, Outcome, TaskList
from task_cleanup.retries import Verdict
from task_cleanup.tasks import Page, Task
from task_cleanup.transport import FinishedCall

READINGS = 3  # at most, of a list that changes while it is read


def check_reading(read: Callable[[Reply], object | None], promised: str) -> Callable[[Reply], Error | None]:
    """The ``check_success`` of a call that reads: a success has HTTP 200, and ``read`` finds what is ``promised``."""

    def check_success(reply: Reply) -> Error | None:
        if reply.status == 200 and read(reply) is not None:
            return None
        message = f"HTTP {reply.status} without the promised {promised}"
        return Error(Category.PROVIDER_ERROR, Code.UNEXPECTED_REPLY, message)

    return check_success


class _End(StrEnum):
    """How a reading ended; the values are for people, and say why the list is not complete."""

    WHOLE = ""
    LIMIT = "there are more tasks than the request's limit"
    TIME = "time ran out before the last page"
    MOVED = f"tasks came or went while they were listed, in each of {READINGS} readings: some may be missing"
    COUNT = "the provider's count is not the number of tasks that it listed"


@dataclass
class _Reading:
    """One reading of a list, from its first page on. ``records`` counts the records that came, each once."""

    limit: int
    to_the_end: bool  # go on where tasks have moved between two pages; else end there, to read anew
    paged: bool
    by_number: bool  # its pages cannot overlap: all of them are read a second time, and must be the same
    tasks: dict[str, Task] = field(default_factory=dict)
    records: int = 0
    end: _End | None = None
    _total: int | None = None  # None before the first page
    _own_counts: bool = True  # every page so far counted its own records, and perhaps nothing else
    _last_id: str | None = None
    _moved: bool = False
    _confirmed: int | None = None  # how many records the second time has shown; None before it begins

    @property
    def begin(self) -> int:
        """How many records come before the page that is to be read next."""
        if self._confirmed is not None:
            return self._confirmed
        return self.records if self.by_number else max(0, self.records - 1)

    def take(self, page: Page) -> None:
        """Add the page that begins at ``begin``."""
        ids, known = [task.task_id for task in page.tasks], len(self.tasks)
        if self._confirmed is not None:
            self._confirm(ids, self._confirmed)
            return
        first = self._total is None
        self._own_counts = self._own_counts and page.total == page.records
        if not first:
            overlaps = bool(ids) and ids[0] == self._last_id
            same_place = self.tasks.keys().isdisjoint(ids) if self.by_number else overlaps
            same_total = page.total == self._total or self._own_counts
            self._moved = self._moved or not (same_place and same_total)
        self.tasks.update((task.task_id, task) for task in page.tasks)
        self.records += page.records - (0 if first or self.by_number else 1)
        self._total = page.total
        self._last_id = ids[-1] if ids else None
        self.end = self._end_with(page, progress=len(self.tasks) > known)
        if self.end is _End.WHOLE and self.by_number and not first:
            self.end, self._confirmed = None, 0

    def _confirm(self, ids: list[str], begin: int) -> None:
        """Compare a page with what it had the first time, since records that shift would not change the count."""
        self._confirmed = begin + len(ids)
        if not ids or ids != list(self.tasks)[begin : self._confirmed]:
            self.end = _End.MOVED
        elif self._confirmed == len(self.tasks):
            self.end = _End.WHOLE

    def nothing_there(self) -> None:
        """The provider says that the next page is past the end."""
        self._moved = self._moved or not self._is_all_read
        self.end = self._at_the_end()

    def _end_with(self, page: Page, *, progress: bool) -> _End | None:
        if self._moved and not self.to_the_end:
            return _End.MOVED
        # The total of a full page may count that page only, so ask for the next page too.
        if not self.paged or (self._is_all_read and not page.full):
            return self._at_the_end()
        if len(self.tasks) > self.limit or (len(self.tasks) == self.limit and page.total > self.limit):
            return _End.MOVED if self._moved else _End.LIMIT
        if not progress:
            return _End.MOVED if self._moved else _End.COUNT
        return None

    @property
    def _is_all_read(self) -> bool:
        return self._total is not None and self.records >= self._total

    def _at_the_end(self) -> _End:
        expected = self.records if self._own_counts else self._total
        if self._moved:
            return _End.MOVED
        if len(self.tasks) != expected:
            return _End.COUNT
        return _End.WHOLE if len(self.tasks) <= self.limit else _End.LIMIT


def walk(
    listing: ListCall, request: Request, send: Callable[[Call], FinishedCall]
) -> tuple[FinishedCall, TaskList | None]:
    """Fetch page after page with ``send``; the verdict of the whole, and what was found.

    A failure on any page but the first is a failure of the whole, with two exceptions: the provider's way to say
    "past the end", and a deadline that cut the walk (then the list is there, and not complete).

    Where tasks come or go meanwhile, records shift between the pages, and some would never be seen although the
    count stays the same. So each page begins with the last record of the page before it. Where another record is
    there, or the count has changed, the list is read anew; the last of ``READINGS`` readings goes on to the end,
    and is not complete. Complete is a list whose pages fit, with as many tasks as the provider counts.

    Pages that have numbers cannot overlap. A list of several is read a second time, and must be the same.
    """
    limit = request["limit"]
    latest = Verdict(Outcome.FAILED)  # of the last page that came
    found: Mapping[str, Task] = {}
    attempts = 0
    for number in range(1, READINGS + 1):
        last = number == READINGS
        reading = _Reading(limit, to_the_end=last, paged=listing.is_paged, by_number=listing.by_number)
        while reading.end is None:
            settled = send(listing.call(request, reading.begin))
            attempts += settled.attempts
            page, error = _page_of(listing, settled), settled.verdict.error
            if page is not None:
                latest = settled.verdict
                reading.take(page)
            elif latest.reply is not None and error is not None and error.code in listing.past_end:
                reading.nothing_there()
            elif latest.reply is not None and error is not None and error.category is Category.TIMEOUT:
                reading.end = _End.TIME
            else:
                return replace(settled, attempts=attempts), None
        found = reading.tasks or found
        if reading.end is not _End.MOVED:
            break
    whole = reading.end is _End.WHOLE
    listed = TaskList(tuple(found.values())[:limit], complete=whole, note=None if whole else str(reading.end))
    return FinishedCall(latest, attempts), listed


def _page_of(listing: ListCall, settled: FinishedCall) -> Page | None:
    verdict = settled.verdict
    return listing.read(verdict.reply) if verdict.outcome is Outcome.SUCCEEDED and verdict.reply else None
