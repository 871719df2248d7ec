"""Pages of sample reports, parsed: their elements in order, with what is around each and the text inside."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from html.parser import HTMLParser
from typing import Any

from task_cleanup.sweep.page.render import page
from tests.support import sample_report as sample
from tests.support.sample_report import Json

VOID = frozenset({"meta", "path", "circle"})  # of the elements that the sweep's page has


@dataclass(eq=False)
class Element:
    """``inside`` are the elements around it, from the outermost on."""

    tag: str
    attributes: dict[str, str]
    inside: tuple["Element", ...] = ()
    texts: list[str] = field(default_factory=list)

    @property
    def classes(self) -> list[str]:
        """Its classes."""
        return self.attributes.get("class", "").split()

    @property
    def raw(self) -> str:
        """The text inside, as written."""
        return "".join(self.texts)

    @property
    def text(self) -> str:
        """What a reader reads, blanks joined."""
        return " ".join(self.raw.split())


class Document(HTMLParser):
    """A page. An element that is closed wrongly, an attribute that is there twice, or a comment fails the test."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(markup)
        self.close()
        assert not self._open, [element.tag for element in self._open]

    def updatepos(self, i: int, j: int) -> int:
        """No test asks for line numbers."""
        return j

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), attrs
        element = Element(tag, {name: value or "" for name, value in attrs}, tuple(self._open))
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert tag in VOID or self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.texts.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def all(self, tag: str, style: str = "", within: Element | None = None) -> list[Element]:
        """Elements by tag and class, of the whole page or inside one element."""
        return [
            one
            for one in self.elements
            if one.tag == tag and (not style or style in one.classes) and (within is None or within in one.inside)
        ]

    def one(self, tag: str, style: str = "", within: Element | None = None) -> Element:
        """The only such element."""
        (found,) = self.all(tag, style, within)
        return found

    @property
    def text(self) -> str:
        """What a reader reads on the whole page."""
        return self.one("body").text


RUN_ERROR = {
    "category": "unavailable",
    "code": "RequestsNotTaken",
    "message": "the bus did not take 12",
    "detail": None,
}


def unseen(**members: Any) -> Json:
    """A report on one target whose list failed."""
    return sample.report([sample.target((), error=sample.UNAVAILABLE)], **members)


def failed(error: Json | None = RUN_ERROR) -> Json:
    """A run that failed after most of its requests."""
    return sample.requested(failed=12) | {"outcome": "failed", "error": error}


CASES: dict[str, Callable[[], Json]] = {
    "typical": sample.typical,
    "refused": sample.refused,
    "requested": sample.requested,
    "partly": lambda: sample.requested(failed=12),
    "failed": failed,
    "empty": sample.report,
    "overtaken": sample.overtaken,
    "unguarded": sample.unguarded,
    "ageless": sample.ageless,
    "mixed": sample.mixed,
    "hostile": sample.hostile,
    "many": lambda: sample.many(20, 10),
}


def shown(report: Json) -> Document:
    """The parsed page of a report."""
    return _parsed(page(report, sample.saved(report)))


@lru_cache(maxsize=16)
def _parsed(markup: str) -> Document:
    """Parsing takes longer than everything else here, and many tests look at the same page."""
    return Document(markup)


def shown_tasks(*tasks: Json) -> Document:
    """The parsed page of a report on one target with these tasks."""
    return shown(sample.report([sample.target(tasks)]))


def notices(document: Document) -> list[str]:
    """The texts of the notices at the top."""
    return [one.text for one in document.all("div", "notice", document.one("header"))]


def rows(document: Document) -> list[Element]:
    """The rows of tasks."""
    tables = document.all("table", "tasks")
    return [row for table in tables for row in document.all("tr", within=table) if row.inside[-1].tag == "tbody"]
