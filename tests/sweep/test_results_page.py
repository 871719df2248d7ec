"""The page of a run's results: what it says in each state and of every service, and that no name can do harm."""

import re
from typing import Any

import pytest

from task_cleanup.providers.model import PROVIDERS
from task_cleanup.sweep.page.results import KINDS, results_page
from task_cleanup.sweep.results import Answer, merge, progress, result_key
from task_cleanup.sweep.services import SERVICES
from tests.support.report_page import Document
from tests.support.results_world import RUN, requests, result

AT = "2026-11-21T08:31:00.000Z"
HOSTILE = "<script>alert(1)</script>"


def page(counted: dict[str, Any], name: str | None = "nightly", *, ended: bool = True) -> str:
    """The page of a run that has ended, or not yet."""
    return results_page(RUN, name, {**counted, "finished": counted["finished"] and ended}, AT)


def counted(number: int, *results: dict[str, Any]) -> dict[str, Any]:
    """The counts of these results of this many requests."""
    return progress(requests(number), merge(None, map(Answer.read, results)))


ALL = counted(
    5, result(0), result(1, "unchanged", "G"), result(2, "failed", "TaskChanged"), result(3, "failed", "Denied")
)


def test_every_kind_has_its_number_its_words_and_its_part_of_the_bar() -> None:
    document = Document(page(ALL))

    figures = {it.text for it in document.all("dd", "value")}
    bar = document.one("div", "split")

    assert figures == {"1"}
    assert [it.classes for it in document.all("i", within=bar)] == [[kind] for kind in KINDS]
    assert bar.attributes["aria-label"] == "1 succeeded, 1 unchanged, 1 changed, 1 failed, 1 waiting"
    assert "1 succeeded, 1 changed nothing because the task was gone, 1 met a task" in document.one("p", "lede").text


@pytest.mark.parametrize(
    ("counts", "ended", "headline", "style"),
    [
        (ALL, True, "Not finished: 1 result of 5 still to come", "partly"),
        (counted(2, result(0)), True, "Not finished: 1 result of 2 still to come", "reported"),
        (counted(1, result(0)), False, "1 result, all there; the sweep may still request more", "reported"),
        (counted(1, result(0)), True, "Finished: 1 request", "requested"),
        (counted(2, result(0), result(1, "failed", "X")), True, "Finished: 2 requests, 1 failed", "partly"),
        (counted(1, result(0, "failed", "X")), True, "Finished: 1 request, 1 failed", "failed"),
        (counted(0), True, "Finished: 0 requests", "requested"),
    ],
)
def test_headline_tells_how_far_it_is(counts: dict[str, Any], ended: bool, headline: str, style: str) -> None:
    document = Document(page(counts, ended=ended))

    assert document.one("h1").text == headline
    assert style in document.one("header", "top").classes


@pytest.mark.parametrize("service", SERVICES)
def test_a_task_of_every_service_has_a_row_whether_it_failed_or_waits(service: str) -> None:
    own = SERVICES[service]
    place = {"account": "default", "region": "eu-de"}
    place |= {"project_id": "p-1"} if own.needs_project else {}
    place |= {"instance_id": "i-1"} if "instance_id" in own.target.fields else {}
    operation = own.delete.operation
    asked = [{"operation": operation, **place, "task_id": task} for task in ("failed-1", "waits-1")]
    keys = {"taken": "11", "keys": [result_key(it) for it in asked]}
    answer = {**result(0, "failed", "X"), "operation": operation, "target": {**place, "task_id": "failed-1"}}
    counts = progress(keys, merge(None, [Answer.read(answer)]))

    document = Document(page(counts))

    rows = [row.text for row in document.all("tr") if "-1" in row.text]
    assert len(rows) == 2
    for row in rows:
        assert f"{PROVIDERS[own.provider]} · {own.title}" in row
        assert all(text in row for text in place.values())


def test_texts_of_strangers_are_escaped_and_unseen_characters_are_shown() -> None:
    counts = {**ALL, "by_cause": {HOSTILE: 1, "\u202eevil": 1}}
    counts["failures"] = [{"target": {**ALL["failures"][0]["target"], "task_id": HOSTILE}, "code": HOSTILE}]
    markup = page(counts, name=f"{HOSTILE}\u202e")

    assert HOSTILE not in markup
    assert "\u202e" not in markup
    assert "[U+202E]" in markup
    assert Document(markup).all("script") == []


def test_page_loads_nothing() -> None:
    markup = page(ALL)

    assert "default-src 'none'" in markup
    assert not re.search(r"(src=|url\(|@import|https?://)", markup)
    links = {it.attributes["href"] for it in Document(markup).all("a")}
    assert links == {"results.json", f"../../reports/{RUN}/index.html"}


def test_a_run_without_a_summary_is_called_by_its_id() -> None:
    assert Document(page(ALL, name=None)).one("p", "eyebrow").text == f"What became of the sweep {RUN}"


def test_page_of_a_large_run_stays_small() -> None:
    number = 3_000
    counts = counted(number, *(result(it, "failed", f"Code{it}") for it in range(number // 2)))
    markup = page(counts)

    assert len(markup) < 200_000
    assert "The first 100 of 1,500;" in markup
