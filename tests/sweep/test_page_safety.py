"""The report's page is safe: nothing that strangers wrote is markup, and it asks for nothing from outside."""

import json
import re
import shlex

import pytest

from task_cleanup.sweep.page.render import page
from task_cleanup.sweep.page.words import visible
from tests.support import sample_report as sample
from tests.support.report_page import CASES, Document, rows, shown, shown_tasks

_ELEMENTS = """
html head meta title style body main header section footer div p span small b i em bdi code pre h1 h2 h3 a ul li
dl dt dd time figure figcaption table caption thead tbody tr th td details summary svg path circle
"""
_ATTRIBUTES = """
lang charset http-equiv content name class style role scope colspan id href open datetime aria-label aria-labelledby
aria-hidden data-of viewbox d cx cy r
"""
RUN_IDS = {make()["run_id"] for make in CASES.values()}
ELEMENTS, ATTRIBUTES = frozenset(_ELEMENTS.split()), frozenset(_ATTRIBUTES.split())


@pytest.fixture(name="document", params=CASES, scope="module")
def _document(request: pytest.FixtureRequest) -> Document:
    return shown(CASES[request.param]())


def test_only_known_elements_and_attributes(document: Document) -> None:
    """No script, no handler, no form, no picture: what is not on the list is not on the page."""
    assert {one.tag for one in document.elements} <= ELEMENTS
    assert {name for one in document.elements for name in one.attributes} <= ATTRIBUTES


def test_links_stay_on_the_page_or_beside_it(document: Document) -> None:
    ids = [one.attributes["id"] for one in document.elements if "id" in one.attributes]
    links = {link.attributes["href"] for link in document.all("a")}
    labels = {one.attributes["aria-labelledby"] for one in document.elements if "aria-labelledby" in one.attributes}

    assert len(set(ids)) == len(ids)
    results = {f"../../results/{run_id}/index.html" for run_id in RUN_IDS}
    assert links <= {"report.json", *results, *(f"#{name}" for name in ids)}
    assert labels <= set(ids)


def test_styles_hold_computed_numbers_only(document: Document) -> None:
    styles = {one.attributes["style"] for one in document.elements if "style" in one.attributes}
    sheet = document.one("style").text

    assert all(re.fullmatch(r"(width|left):[0-9.]+%|flex-grow:[0-9]+", style) for style in styles), styles
    assert "url(" not in sheet
    assert "@import" not in sheet


def test_the_head_forbids_what_the_page_does_not_need(document: Document) -> None:
    metas = {
        one.attributes.get("name", one.attributes.get("http-equiv", "")): one.attributes.get("content", "")
        for one in document.all("meta")
    }

    assert metas["Content-Security-Policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert metas["referrer"] == "no-referrer"
    assert metas["viewport"] == "width=device-width, initial-scale=1"
    assert document.one("html").attributes["lang"] == "en"


def test_what_is_drawn_has_words_and_headings_have_a_scope(document: Document) -> None:
    drawn = [one for one in document.elements if one.attributes.get("role") == "img"]

    assert all(one.attributes["aria-label"] for one in drawn)
    assert {heading.attributes["scope"] for heading in document.all("th")} <= {"col", "row", "rowgroup"}


@pytest.mark.parametrize("name", [name for name in sample.HOSTILE_NAMES if 0 < len(name) <= 240])
def test_a_strangers_text_is_text_in_isolation_wherever_it_is(name: str) -> None:
    def told(text: str) -> Document:
        return shown_tasks(sample.task(0, name=text, task_id=text, group_id=text, why=text, provider_status=text))

    document = told(name)

    (row,) = rows(document)
    assert [bdi.raw for bdi in document.all("bdi", within=row)] == [visible(name)] * 5
    shapes = [[(one.tag, one.classes) for one in each.elements] for each in (document, told("a"))]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("name", [name for name in sample.HOSTILE_NAMES if 0 < len(name) <= 240])
def test_a_policys_text_is_text_in_isolation_wherever_it_is(name: str) -> None:
    """An entry of ``protect`` that matches nothing is at the top and among the rules."""

    def told(text: str) -> Document:
        own = sample.policy(
            targets=[
                {"provider": "huawei", "service": "oms", "region": text, "account": text, "instance_ids": "all"}
            ],
            select=sample.SELECT | {"provider_statuses": [text]},
            protect={"task_ids": [text], "names": [text]},
        )
        guards = sample.guards(own["protect"], task_ids=0, names=0)
        found = [{"policy_target": 0, "found": 0}]
        return shown(sample.report([sample.target()], policy=own, guards=guards, instances=found))

    document = told(name)

    (notice,) = document.all("div", "notice")
    rules = document.one("dl", "rules")
    isolated = [[bdi.raw for bdi in document.all("bdi", within=part)] for part in (notice, rules)]
    assert isolated[0] == [visible(name)] * 2
    assert isolated[1].count(str(visible(name))) == 3
    shapes = [[(one.tag, one.classes) for one in each.elements] for each in (document, told("a"))]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("name", [name for name in sample.HOSTILE_NAMES if name.isprintable() and name])
def test_a_command_is_one_command_whatever_is_in_it(name: str) -> None:
    """A key or a bucket cannot be such a text; if it were, a shell would take it as one word all the same."""
    plan = sample.typical(plan_of=name, plan_sha256=name, dry_run=True)

    document = Document(page(plan, sample.saved(plan) | {"bucket": name, "json": name}))

    *apply, body = shlex.split(document.one("pre").raw)
    assert apply == ["api", "-X", "POST", "$API_URL/sweeps", "-d"]
    assert json.loads(body) == {"apply_report": name, "sha256": name}
    codes = [one.raw for one in document.all("code", within=document.one("dl", "facts"))]
    assert shlex.split(codes[2]) == ["aws", "s3", "cp", f"s3://{name}/{name}", "."]
    shape = [one.tag for one in shown(sample.typical(plan_of="a", plan_sha256="a", dry_run=True)).elements]
    assert [one.tag for one in document.elements] == shape


def test_every_text_of_a_report_is_escaped_and_survives_encoding() -> None:
    report = sample.hostile()
    markup = page(report, sample.saved(report))

    markup.encode()
    document = Document(markup)
    assert sample.HOSTILE_NAMES[1] in document.one("header").text
    assert "49" not in rows(document)[5].text  # a name is no template


def test_a_name_that_is_empty_or_long_is_told() -> None:
    empty = sample.task(0, name="", age_days=50.0)
    long = sample.task(1, name="x" * 500, age_days=40.0)

    first, second = [row.text for row in rows(shown_tasks(empty, long))]

    assert first.startswith("Selectedno name")
    assert f"{'x' * 160}… 260 characters left out …{'x' * 80}" in second
