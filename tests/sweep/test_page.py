"""The report's page: what people decide by is all there, in words, and nothing that strangers wrote is markup."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import pytest

from task_cleanup.sweep.page import (
    DECISIONS,
    NAME_CHARACTERS,
    PROBLEMS_ON_TOP,
    ROWS_PER_PAGE,
    ROWS_PER_TARGET,
    age_in_words,
    bucket,
    contradictions,
    cut,
    duration_in_words,
    headline,
    page,
    rows_allowed,
    share,
    visible,
)
from task_cleanup.sweep.plan import refusals, target_prefix
from task_cleanup.sweep.policy import SweepTarget
from task_cleanup.sweep.report import Run, RunEnd, SweepOutcome, read_plan
from task_cleanup.sweep.report import document as written_by
from task_cleanup.sweep.selection import Decision
from task_cleanup.tasks import Status
from tests.support import sample_report as sample

_ELEMENTS = """
html head meta title style body main header section footer div p span small b i em bdi code pre h1 h2 h3 a ul li
dl dt dd time figure figcaption table caption thead tbody tr th td details summary svg path circle
"""
_ATTRIBUTES = """
lang charset http-equiv content name class style role scope colspan id href open datetime aria-label aria-labelledby
aria-hidden data-of viewbox d cx cy r
"""
ELEMENTS, ATTRIBUTES = frozenset(_ELEMENTS.split()), frozenset(_ATTRIBUTES.split())
VOID = frozenset({"meta", "path", "circle"})


TARGET_MEMBERS = ("provider", "service", "account", "region", "project_id", "instance_id")


@dataclass
class Element:
    """An element: its tag, its attributes and all the text inside."""

    tag: str
    attributes: dict[str, str]
    inside: tuple["Element", ...] = ()
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What a reader reads, blanks joined."""
        return " ".join("".join(self.texts).split())

    @property
    def classes(self) -> list[str]:
        """Its classes."""
        return self.attributes.get("class", "").split()


class Document(HTMLParser):
    """A page, parsed; an element that is closed wrongly fails the test."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self.comments: list[str] = []
        self._open: list[Element] = []
        self.feed(markup)
        self.close()
        assert not self._open, [element.tag for element in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), attrs
        element = Element(tag, {name: value or "" for name, value in attrs}, tuple(self._open))
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self._open[1:]:
            element.texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def all(self, tag: str, style: str = "") -> list[Element]:
        """Elements by tag, and class."""
        return [one for one in self.elements if one.tag == tag and (not style or style in one.classes)]

    def one(self, tag: str, style: str = "") -> Element:
        """The only such element."""
        (found,) = self.all(tag, style)
        return found

    def within(self, outer: Element, tag: str, style: str = "") -> list[Element]:
        """Elements by tag and class inside another."""
        return [one for one in self.all(tag, style) if any(above is outer for above in one.inside)]

    @property
    def text(self) -> str:
        """All the text of the body."""
        return self.one("body").text

    def notices(self) -> list[str]:
        """The texts of the notices at the top."""
        return [one.text for one in self.within(self.one("header"), "div", "notice")]

    def rows(self) -> list[Element]:
        """The tasks' rows."""
        bodies = [one for one in self.all("tbody") if "tasks" in one.inside[-1].classes]
        return [row for body in bodies for row in self.within(body, "tr")]


def shown(report: sample.Json) -> Document:
    """The parsed page of a report."""
    return Document(page(report))


CASES: dict[str, Callable[[], sample.Json]] = {
    "typical": sample.typical,
    "refused": sample.refused,
    "requested": sample.requested,
    "partly": lambda: sample.requested(failed=12),
    "empty": sample.report,
    "hostile": sample.hostile,
    "many": lambda: sample.many(20, 10),
}


@pytest.fixture(name="document", params=CASES, scope="module")
def _document(request: pytest.FixtureRequest) -> Document:
    return shown(CASES[request.param]())


# -- the sweep's own reports ---------------------------------------------------------


def test_the_page_knows_every_decision() -> None:
    assert {decision.key for decision in DECISIONS} == {decision.value for decision in Decision}
    assert set(sample.DECISIONS) == {decision.value for decision in Decision}


@pytest.mark.exhaustive
@pytest.mark.parametrize("case", ["typical", "refused", "many"])
def test_the_samples_are_what_the_sweep_writes(case: str) -> None:
    """Else the page would be tested against reports that nobody makes; and both judge the limits alike."""
    report = CASES[case]()
    report["policy"]["targets"] = [
        {name: target[name] for name in TARGET_MEMBERS if target[name] is not None} for target in report["targets"]
    ]
    plan = read_plan(report)
    written = written_by(Run("r", sample.LISTED, name="nightly"), plan, RunEnd(SweepOutcome.REPORTED), sample.LISTED)
    assert set(written) == set(report)
    assert set(written["targets"][0]["tasks"][0]) == set(report["targets"][0]["tasks"][0])
    assert written["totals"] == report["totals"]
    assert bool(contradictions(written)) is bool(refusals(plan))
    assert len(shown(written).rows()) == len(shown(report).rows())


# -- safety -----------------------------------------------------------------------


def test_only_known_elements_and_attributes(document: Document) -> None:
    """No script, no handler, no form, no picture: what is not on the list is not on the page."""
    assert {one.tag for one in document.elements} <= ELEMENTS
    assert {name for one in document.elements for name in one.attributes} <= ATTRIBUTES
    assert not document.comments


def test_links_stay_on_the_page_or_beside_it(document: Document) -> None:
    ids = [one.attributes["id"] for one in document.elements if "id" in one.attributes]
    assert len(set(ids)) == len(ids)
    for link in document.all("a"):
        href = link.attributes["href"]
        assert href == "report.json" or href.removeprefix("#") in ids
    for one in document.elements:
        if "aria-labelledby" in one.attributes:
            assert one.attributes["aria-labelledby"] in ids


def test_styles_hold_computed_numbers_only(document: Document) -> None:
    styles = {one.attributes["style"] for one in document.elements if "style" in one.attributes}
    assert all(re.fullmatch(r"(width|left):[0-9.]+%|flex-grow:[0-9]+", style) for style in styles), styles
    assert "url(" not in document.one("style").text
    assert "@import" not in document.one("style").text


def test_the_head_forbids_what_the_page_does_not_need(document: Document) -> None:
    metas = {one.attributes.get("name", one.attributes.get("http-equiv", "")): one for one in document.all("meta")}
    policy = metas["Content-Security-Policy"].attributes["content"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert metas["referrer"].attributes["content"] == "no-referrer"
    assert metas["viewport"].attributes["content"] == "width=device-width, initial-scale=1"
    assert document.one("html").attributes["lang"] == "en"


@pytest.mark.parametrize("name", [name for name in sample.HOSTILE_NAMES if 0 < len(name) <= NAME_CHARACTERS])
def test_a_name_is_text_in_isolation_wherever_it_stands(name: str) -> None:
    def told(text: str) -> Document:
        one = sample.task(0, name=text, task_id=text, group_id=text, why=text, provider_status=text)
        return shown(sample.report([sample.target([one])]))

    document = told(name)
    (row,) = document.rows()
    assert ["".join(bdi.texts) for bdi in document.within(row, "bdi")] == [visible(name)] * 5
    assert [(one.tag, one.classes) for one in document.elements] == [
        (one.tag, one.classes) for one in told("a").elements
    ]


def test_a_name_that_is_empty_or_long() -> None:
    found = [sample.task(0, name="", age_days=50.0), sample.task(1, name="x" * 500, age_days=40.0)]
    rows = [row.text for row in shown(sample.report([sample.target(found)])).rows()]
    assert rows[0].startswith("Selectedno name")
    assert f"{'x' * 160}… 260 characters left out …{'x' * 80}" in rows[1]


def test_every_text_of_a_report_is_escaped_and_survives_encoding() -> None:
    document = shown(sample.hostile())
    assert sample.HOSTILE_NAMES[1] in document.one("header").text
    page(sample.hostile()).encode()
    assert "49" not in document.rows()[5].text  # a name is no template


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain, é, 移行　一時", "plain, é, 移行　一時"),
        ("a\u202eb", "a[U+202E]b"),
        ("a\nb\x00", "a[U+000A]b[U+0000]"),
        ("\ud83d", "[U+D83D]"),
        ("a\u200bb\u00a0c", "a[U+200B]b[U+00A0]c"),
        ("\U0001f469\u200d\U0001f4bb", "\U0001f469\u200d\U0001f4bb"),
    ],
)
def test_unseen_characters_are_shown_by_number(text: str, seen: str) -> None:
    assert visible(text) == seen


def test_a_long_name_keeps_both_ends() -> None:
    seen = cut("a" * 300 + "-prod", NAME_CHARACTERS)
    assert seen.tail.endswith("-prod")
    assert len(seen.head) + len(seen.tail) + seen.left_out == 305


# -- outcomes ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "requested", "failed", "words"),
    [
        ("reported", 0, 0, "Report only: nothing was requested"),
        ("requested", 312, 0, "Requested: 312 deletes"),
        ("requested", 1, 0, "Requested: 1 delete"),
        ("requested", 300, 12, "Requested: 300 deletes, 12 not taken"),
        ("refused", 0, 0, "Refused: nothing was requested"),
        ("failed", 0, 0, "Failed: nothing was requested"),
        ("failed", 0, 7, "Failed: nothing was requested, 7 not taken"),
        ("failed", 40, 7, "Failed: 40 deletes requested, 7 not taken"),
        ("refused", 3, 0, "Refused: 3 deletes requested"),
    ],
)
def test_the_headline_says_what_happened(outcome: str, requested: int, failed: int, words: str) -> None:
    totals = {"requested": requested, "failed": failed, "selected": requested + failed}
    assert headline(outcome, totals) == words
    report = sample.typical(outcome=outcome)
    report["totals"] |= totals
    document = shown(report)
    assert document.one("h1").text == words
    assert words in document.one("title").text


def test_an_apply_that_selected_nothing_says_so() -> None:
    report = sample.report([sample.target(sample.tasks(5, selected=0))], outcome="requested", mode="apply")
    assert shown(report).one("h1").text == "Requested: 0 deletes: nothing was selected"


def test_a_report_offers_its_plan_and_until_when() -> None:
    document = shown(sample.typical())
    assert document.one("pre").text == '{"apply_report": "reports/nightly-2026-11-22/report.json"}'
    (plan,) = document.all("div", "plan")
    assert "before 23 Nov 2026, 03:00:41 UTC" in plan.text
    (until,) = document.within(plan, "time")
    assert until.attributes["datetime"] == "2026-11-23T03:00:41.000Z"


def test_a_report_that_repeats_another_offers_the_other() -> None:
    original = "reports/first/report.json"
    document = shown(sample.typical(mode="apply", dry_run=True, plan_of=original))
    assert document.one("pre").text == f'{{"apply_report": "{original}"}}'
    assert "This report repeats an earlier one" in document.text


@pytest.mark.parametrize("case", ["refused", "requested", "partly", "hostile"])
def test_nothing_else_offers_a_plan(case: str) -> None:
    assert not shown(CASES[case]()).all("pre")


@pytest.mark.exhaustive
def test_refusals_stand_in_full_at_the_top() -> None:
    message = "12 tasks are selected, max_tasks is 10. " * 60
    refusals = [{"code": "TooManyTasks", "message": message, "target": None}]
    for outcome, title in (("refused", "Why it was refused"), ("reported", "An apply of this plan would be refused")):
        (notice,) = shown(sample.typical(outcome=outcome, refusals=refusals)).notices()
        assert notice.startswith(title)
        assert message.strip() in notice
        assert "TooManyTasks" in notice


def test_a_refusal_of_a_target_leads_to_it() -> None:
    document = shown(sample.refused())
    (link,) = [
        one for one in document.within(document.one("header"), "a") if "its list failed" in one.inside[-1].text
    ]
    assert link.attributes["href"] == "#t6"
    assert link.text == "Huawei Cloud · OMS · default · eu-west-101"


def test_a_refusal_names_its_target_once() -> None:
    """Its message names the target for those who have no page."""
    number = 1
    report = sample.typical(outcome="refused", mode="apply")
    target = SweepTarget("huawei", "oms", "cn-north-4", account="team-b")
    message = f"{target_prefix(number, target)}6 of 8 tasks are selected"
    refused = {**report, "refusals": [{"code": "FractionTooHigh", "message": message, "target": number}]}
    (notice,) = shown(refused).notices()
    assert "6 of 8 tasks are selected" in notice
    assert "/targets/" not in notice


@pytest.mark.parametrize("mode", ["report", "apply"])
def test_a_forced_dry_run_is_told(mode: str) -> None:
    document = shown(sample.typical(mode=mode, dry_run=True))
    (notice,) = document.notices()
    assert notice.startswith("DRY_RUN made this a report")
    assert ("An apply was asked for." in notice) is (mode == "apply")
    assert "While DRY_RUN is on, this again makes a report only." in document.text
    assert not shown(sample.typical()).notices()


def test_a_failure_without_a_reason_says_that_there_is_none() -> None:
    assert "does not say why" in shown(sample.typical(outcome="failed", mode="apply")).text
    told = sample.report([sample.target((), error=sample.UNAVAILABLE)], outcome="failed", mode="apply")
    assert "does not say why" not in shown(told).text


def test_the_error_of_a_run_is_told() -> None:
    error = {
        "category": "unavailable",
        "code": "RequestsNotTaken",
        "message": "the bus did not take 12",
        "detail": None,
    }
    document = shown(sample.requested(failed=12) | {"outcome": "failed", "error": error})
    assert document.notices()[0] == "What went wrong unavailable, RequestsNotTaken: the bus did not take 12"
    assert document.one("h1").text == "Failed: 330 deletes requested, 12 not taken"
    assert "does not say why" not in document.text


def test_who_when_and_which() -> None:
    text = shown(sample.requested()).one("header").text
    for words in (
        "apply-2026-11-22",
        "arn:aws:iam::123456789012:role/task-cleanup-scheduler",
        "reports/nightly-2026-11-22/report.json",
        "22 Nov 2026, 03:00:00 UTC",
        "took 1 min 13 s",
        "an apply",
    ):
        assert words in text
    assert "not known" in shown(sample.typical(requested_by=None)).one("header").text


def test_a_run_that_never_listed_has_a_page() -> None:
    document = shown(sample.report(outcome="failed", mode="apply", listed_at=None, completed_at=None))
    assert document.one("header").text.count("never") == 2


# -- numbers -------------------------------------------------------------------------


def test_all_totals_are_there() -> None:
    report = sample.requested(failed=12)
    document, totals = shown(report), report["totals"]
    figures = {one.inside[-1].text: one.text for one in document.all("dd", "value")}
    for label, value in (
        ("Found", totals["found"]),
        ("Kept", totals["found"] - totals["selected"]),
        ("Selected", totals["selected"]),
        ("Requested", totals["requested"]),
        ("Not taken", 12),
    ):
        assert [number for text, number in figures.items() if text.startswith(label)] == [f"{value:,}"]


def test_every_decision_is_a_part_of_the_bar_and_a_line_of_words() -> None:
    report = sample.typical()
    document = shown(report)
    bar, legend = document.all("div", "split")[0], document.all("ul", "legend")[0]
    parts = {one.classes[0]: one.attributes["style"] for one in document.within(bar, "i")}
    lines = [one.text for one in document.within(legend, "li")]
    for decision, line in zip(DECISIONS, lines, strict=True):
        count = report["totals"][decision.key]
        assert parts[decision.key] == f"flex-grow:{count}"
        assert line.startswith(f"{count:,} {decision.label} ")
        assert decision.meaning in line
        assert f"{count:,} {decision.label.lower()} (" in bar.attributes["aria-label"]


def test_every_bar_has_words_for_those_who_do_not_see_it(document: Document) -> None:
    for one in document.elements:
        if one.attributes.get("role") == "img":
            assert one.attributes["aria-label"]
    for heading in document.all("th"):
        assert heading.attributes["scope"] in {"col", "row", "rowgroup"}


@pytest.mark.parametrize(
    ("days", "name"),
    [
        (None, "Unknown"),
        (0.0, "Under 1 day"),
        (0.999, "Under 1 day"),
        (1.0, "1 to 7 days"),
        (7.0, "7 to 30 days"),
        (30.0, "30 to 90 days"),
        (89.9, "30 to 90 days"),
        (90.0, "90 days or more"),
    ],
)
def test_ages_fall_into_buckets_and_charts(days: float | None, name: str) -> None:
    assert bucket(None if days is None else days * sample.DAY) == name
    decision = "age_unknown" if days is None else "selected"
    document = shown(sample.report([sample.target([sample.task(0, decision, age_days=days)])]))
    chosen = "0" if days is None else "1"
    for chart in (one for one in document.all("table", "chart") if one.text.startswith("By age")):
        rows = [row.text for row in document.within(chart, "tr")][1:]
        assert len(rows) == 6
        assert [row for row in rows if not row.endswith("00")] == [f"{name}{chosen}1"]


@pytest.mark.parametrize("status", list(Status))
def test_every_status_has_its_bar(status: Status) -> None:
    document = shown(sample.report([sample.target([sample.task(0, status=status.value)])]))
    charts = [one for one in document.all("table", "chart") if one.text.startswith("By status")]
    assert len(charts) == 2
    assert all(chart.text.endswith(f"{status.value.capitalize()}11") for chart in charts)
    assert f"{status.value}provider:" in document.rows()[0].text


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [
        (0, 0, "0 %"),
        (0, 9, "0 %"),
        (9, 9, "100 %"),
        (1, 10_000, "< 0.1 %"),
        (9_999, 10_000, "> 99.9 %"),
        (1, 3, "33.3 %"),
    ],
)
def test_shares_never_round_to_all_or_nothing(part: int, whole: int, words: str) -> None:
    assert share(part, whole) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "unknown"),
        (-5.0, "in the future"),
        (90.0, "1.5 minutes"),
        (7200.0, "2.0 hours"),
        (7 * sample.DAY - 1, "6.9 days"),
        (1234.5 * sample.DAY, "1,234.5 days"),
    ],
)
def test_ages_are_rounded_down(seconds: float | None, words: str) -> None:
    assert age_in_words(seconds) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("P7D", "7 days"),
        ("P1D", "1 day"),
        ("P2W", "2 weeks"),
        ("P1DT12H", "1 day 12 hours"),
        ("P1M", "P1M"),
        ("", ""),
    ],
)
def test_durations_in_words(text: str, words: str) -> None:
    assert duration_in_words(text) == words


# -- policy and limits ------------------------------------------------------------------


def policy_lines(**members: Any) -> dict[str, str]:
    """The policy's lines on the page."""
    document = shown(sample.typical(policy=sample.policy(**members)))
    terms = document.within(document.one("dl", "rules"), "dt")
    return {one.text: one.inside[-1].text.removeprefix(one.text) for one in terms}


def test_the_policy_in_words() -> None:
    assert policy_lines() == {
        "Status": "is one of succeeded failed",
        "Age": "older than 7 days P7D",
        "Name": "matches one of tmp-*",
        "Never, by name": "what matches *prod*",
        "Never, by id": " 7300000000000003",
        "Running tasks": "are not stopped",
    }


def test_what_the_policy_does_not_ask_is_told() -> None:
    lines = policy_lines(select={"statuses": ["failed"]}, protect={"task_ids": [], "names": []}, stop_running=True)
    assert lines["Age"] == lines["Name"] == "any"
    assert lines["Never, by name"] == "no name is set"
    assert lines["Never, by id"] == "no id is set"
    assert lines["Running tasks"] == "are stopped first, then deleted"


def test_many_protected_ids_are_counted() -> None:
    lines = policy_lines(protect={"task_ids": [str(number) for number in range(1000)], "names": []})
    assert lines["Never, by id"].endswith("19 and 980 more, in report.json")


def meters(**limits: Any) -> list[Element]:
    """The meters on the page of 342 selected of 1,373."""
    full = {"max_tasks": 500, "max_fraction": 0.5, "allow_incomplete": False} | limits
    return shown(sample.typical(policy=sample.policy(limits=full))).all("div", "meter")


@pytest.mark.exhaustive
def test_meters_within_at_and_over_the_limit() -> None:
    assert meters()[0].text.endswith("342 of at most 500 tasks within the limit, 158 to spare")
    assert meters(max_tasks=342)[0].text.endswith("within the limit, 0 to spare")
    over = meters(max_tasks=341, max_fraction=0.2)
    assert over[0].text.endswith("342 of at most 341 tasks 1 over the limit")
    assert over[1].text.endswith("24.9 % of 1,373 found; at most 20 % over the limit; 3 targets over it alone")
    assert meters()[1].text.endswith("at most 50 % within the limit, as is every target alone")
    assert all("over" in one.classes for one in over[:2])
    assert not any("over" in one.classes for one in meters(max_tasks=342))


def test_one_target_over_the_fraction_is_over_though_the_whole_is_not() -> None:
    report = sample.report([sample.target(sample.tasks(9, selected=1)), sample.target(sample.tasks(3, selected=2))])
    meter = shown(report).all("div", "meter")[1]
    assert meter.text.endswith("25.0 % of 12 found; at most 50 % within the limit; 1 target over it alone")
    assert "over" in meter.classes
    assert contradictions(report)


def test_limits_of_nothing_divide_nothing() -> None:
    limits = {"max_tasks": 0, "max_fraction": 0.0, "allow_incomplete": False}
    document = shown(sample.report(policy=sample.policy(limits=limits)))
    assert not [one for one in document.all("div", "meter") if "over" in one.classes]


def test_a_limit_that_is_not_set_has_no_meter() -> None:
    document = shown(sample.typical(policy=sample.policy(limits={"allow_incomplete": True})))
    assert [one.text for one in document.all("div", "meter")] == [
        "Complete lists all of 5 lists complete; not required by the policy"
    ]
    assert "The policy sets no limit on numbers." in document.text


# -- what is missing or wrong ------------------------------------------------------------


def test_failed_and_incomplete_lists_are_loud() -> None:
    document = shown(sample.refused())
    notice = document.notices()[1]
    assert notice.startswith("2 of 7 lists incomplete or failed")
    assert "lower bound" in notice
    assert "unavailable, ConnectionFailed: no answer from the provider within 10 seconds" in notice
    flags = [one.text for one in document.all("span", "flag")]
    assert flags == ["List failed", "Incomplete list"] * 2
    overview = {row.text for row in document.within(document.one("table", "overview"), "tr")}
    assert any("eu-west-101 List failed unknown00" in row for row in overview)
    assert any("la-south-2 Incomplete list ≥ 30" in row for row in overview)
    assert "at least; lists are incomplete" in document.one("dl", "figures").text
    assert "2 of 7 lists not complete; required by the policy" in document.text


def test_an_empty_sweep_does_not_pretend_to_have_looked() -> None:
    assert (
        "No tasks were found, but not every list is complete."
        in shown(sample.report([sample.target((), error=sample.UNAVAILABLE)])).one("header").text
    )
    assert "This sweep had no targets: nothing was listed." in shown(sample.report()).text
    nothing = shown(sample.report([sample.target()]))
    assert "No tasks were found." in nothing.one("header").text
    assert "Nothing is selected: applying it would request nothing." in nothing.text
    assert "No tasks were found here." in nothing.text


def test_requests_that_were_not_taken_are_loud() -> None:
    document = shown(sample.requested(failed=12))
    assert document.notices()[0].startswith("12 delete requests failed")
    assert "300 deletes requested, 12 not taken by the bus." in document.text
    assert "partly" in document.one("header").classes


def test_tasks_that_are_stopped_first_are_marked() -> None:
    running = sample.task(1, status="running", stop_running=True)
    document = shown(sample.report([sample.target([running, sample.task(2, age_days=1.0)])]))
    assert ["stopped first" in row.text for row in document.rows()] == [True, False]
    assert "1 to stop first" in document.one("dl", "figures").text


def broken(change: Callable[[sample.Json], None]) -> sample.Json:
    """A good report, spoilt."""
    report = sample.typical()
    assert contradictions(report) == []
    change(report)
    return report


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: r["totals"].update(found=9), "the total of found is 9, the targets' sum is 1,373"),
        (lambda r: r["totals"].update(selected=341), "the total of selected is 341, the targets' sum is 342"),
        (lambda r: r["totals"].update(failed=1), "the total of failed is 1, the targets' sum is 0"),
        (lambda r: r["targets"][1]["tasks"].pop(), "target 2: its counts do not agree with its tasks"),
        (lambda r: r["totals"].update(requested=1), "the outcome is reported, yet 1 delete went to the bus"),
        (lambda r: r.update(outcome="requested"), "342 are selected, but 0 are accounted for"),
        (lambda r: r["policy"]["limits"].update(max_tasks=3), "342 of at most 3 tasks, yet nothing was refused"),
        (lambda r: r["targets"][0].update(complete=False), "lists are not complete, and the policy requires it"),
    ],
)
def test_a_report_that_contradicts_itself_is_not_smoothed_over(
    change: Callable[[sample.Json], None], words: str
) -> None:
    document = shown(broken(change))
    assert document.notices()[0].startswith("This report contradicts itself")
    assert words in document.notices()[0]
    assert not document.all("pre")


def test_numbers_that_agree_raise_no_alarm() -> None:
    for name, make in CASES.items():
        if name != "hostile":
            assert contradictions(make()) == []


@pytest.mark.parametrize("member", [("outcome", "done"), ("mode", "maybe")])
def test_a_word_that_the_page_does_not_know_is_not_guessed_at(member: tuple[str, str]) -> None:
    with pytest.raises(KeyError):
        page(sample.typical() | dict([member]))


@pytest.mark.parametrize("members", [{"decision": "chosen"}, {"status": "sleeping"}])
def test_neither_is_an_unknown_decision_or_status_even_of_a_task_that_has_no_row(members: sample.Json) -> None:
    spoilt = sample.typical()
    spoilt["targets"][0]["tasks"][0].update(members, age_seconds=1.0)
    with pytest.raises((KeyError, ValueError)):
        page(spoilt)


# -- tasks and targets ----------------------------------------------------------------


def test_every_decision_in_the_rows_with_its_reason() -> None:
    found = [sample.task(number, key) for number, key in enumerate(reversed(sample.DECISIONS))]
    rows = [row.text for row in shown(sample.report([sample.target(found)])).rows()]
    assert [row.startswith(d.label) for row, d in zip(rows, DECISIONS, strict=True)] == [True] * len(DECISIONS)
    for one in found:
        (row,) = [row for row in rows if one["task_id"] in row]
        assert one["name"] in row
        assert one["why"] in row
        assert (age_in_words(one["age_seconds"]) if one["age_seconds"] else "unknown") in row


def test_why_a_task_cannot_be_deleted_is_told_once() -> None:
    other = sample.task(1, "other_status", why_not="it is held")
    same = sample.task(2, "not_deletable")
    rows = [row.text for row in shown(sample.report([sample.target([other, same])])).rows()]
    assert rows[0].endswith("paused is not one of succeeded, failed; it is held")
    assert rows[1].count(same["why_not"]) == 1


def test_a_target_shows_at_most_200_rows_selected_first_and_says_so() -> None:
    found = sample.tasks(1234, selected=150)
    document = shown(sample.report([sample.target(found[::-1])]))
    rows = [row.text for row in document.rows()]
    assert len(rows) == ROWS_PER_TARGET == 200
    assert [row.startswith("Selected") for row in rows] == [True] * 150 + [False] * 50
    assert "200 of 1,234 shown (150 of 150 selected); all of them in report.json." in document.text
    fewer = shown(sample.report([sample.target(sample.tasks(200))]))
    assert len(fewer.rows()) == 200
    assert "All 200 tasks, selected ones first." in fewer.text


def test_the_oldest_of_a_decision_stand_first() -> None:
    found = [sample.task(number, age_days=days) for number, days in enumerate((8.0, 90.0, 30.0))]
    rows = [row.text for row in shown(sample.report([sample.target(found)])).rows()]
    assert [next(days for days in ("8.0 days", "90.0 days", "30.0 days") if days in row) for row in rows] == [
        "90.0 days",
        "30.0 days",
        "8.0 days",
    ]


@pytest.mark.exhaustive
def test_two_hundred_targets_are_an_overview_with_anchors_and_closed_details() -> None:
    document = shown(sample.many(200, 3))
    anchors = [one.attributes["id"] for one in document.all("details")]
    links = {one.attributes["href"] for one in document.within(document.one("table", "overview"), "a")}
    assert len(anchors) == 200
    assert {f"#{anchor}" for anchor in anchors} <= links
    assert not [one for one in document.all("details") if "open" in one.attributes]
    assert [one.text for one in document.all("h2")][-3:] == ["Huawei Cloud", "Open Telekom Cloud", "Alibaba Cloud"]


def test_few_targets_are_open() -> None:
    assert all("open" in one.attributes for one in shown(sample.many(8)).all("details"))
    assert not any("open" in one.attributes for one in shown(sample.many(9)).all("details"))


def test_many_troubles_are_counted_not_all_repeated_at_the_top() -> None:
    targets = [sample.target((), error=sample.UNAVAILABLE, region=f"r-{number}") for number in range(50)]
    notice = shown(sample.report(targets, outcome="failed")).notices()[0]
    assert notice.count("ConnectionFailed") == PROBLEMS_ON_TOP
    assert "and 38 more, each marked below." in notice


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("found", "rows"), [([], 200), ([10_000], 200), ([500] * 200, 20), ([5] * 500 + [9_000], 200), ([90] * 5000, 5)]
)
def test_rows_are_shared_out_within_the_pages_bound(found: list[int], rows: int) -> None:
    assert rows_allowed(found) == rows


@pytest.mark.exhaustive
def test_a_page_with_all_its_rows_grows_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("task_cleanup.sweep.page.ROWS_PER_PAGE", 400)
    markup = page(sample.many(20, 40))
    assert len(markup.encode()) < 3_000_000 * 400 / ROWS_PER_PAGE
    document = Document(markup)
    assert len(document.rows()) == 400
    assert "20 of 40 shown (10 of 10 selected); all of them in report.json." in document.text
    assert "Each target shows at most 20 of its tasks." in document.text


def test_the_page_is_a_function_of_its_report() -> None:
    report = sample.typical()
    before = repr(report)
    assert page(report) == page(report)
    assert repr(report) == before
