"""The bars and meters of the report's page."""

import pytest

from task_cleanup.tasks import Status
from tests.support import sample_report as sample
from tests.support.report_page import Document, rows, shown, shown_tasks
from tests.support.sample_report import Json


def charts(document: Document, title: str) -> list[list[str]]:
    """The bars of every chart that has this title."""
    tables = [one for one in document.all("table", "chart") if one.text.startswith(title)]
    return [[row.text for row in document.all("tr", within=table)][1:] for table in tables]


@pytest.mark.parametrize(
    ("days", "name"),
    [
        *((None, "Unknown"), (0.0, "Under 1 day"), (0.999, "Under 1 day"), (1.0, "1 to 7 days")),
        *((7.0, "7 to 30 days"), (30.0, "30 to 90 days"), (89.9, "30 to 90 days"), (90.0, "90 days or more")),
    ],
)
def test_every_age_has_its_bar(days: float | None, name: str) -> None:
    decision, selected = ("age_unknown", "0") if days is None else ("selected", "1")

    document = shown_tasks(sample.task(0, decision, age_days=days))

    whole, target = charts(document, "By age")
    assert whole == target
    assert len(whole) == 6
    assert [bar for bar in whole if not bar.endswith("00")] == [f"{name}{selected}1"]


@pytest.mark.parametrize("status", list(Status))
def test_every_status_has_its_bar(status: Status) -> None:
    document = shown_tasks(sample.task(0, status=status.value))

    assert charts(document, "By status") == [[f"{status.value.capitalize()}11"]] * 2
    assert f"{status.value}provider:" in rows(document)[0].text


def test_a_task_that_is_gone_has_no_bar() -> None:
    document = shown_tasks(sample.task(0, "gone"))

    assert {bar[-2:] for bars in charts(document, "By age") for bar in bars} == {"00"}
    assert charts(document, "By status") == [[]]  # of the target: nothing was found on all of them


TASKS, FRACTION = 0, 1  # the meters, in the page's order
TARGETS = [(1000, 300), (373, 42)]  # found, selected
METERS: list[tuple[list[tuple[int, int]], Json, int, str, bool]] = [
    (TARGETS, {}, TASKS, "342 of at most 500 tasks within the limit, 158 to spare", False),
    (TARGETS, {"max_tasks": 342}, TASKS, "342 of at most 342 tasks within the limit, 0 to spare", False),
    (TARGETS, {"max_tasks": 341}, TASKS, "342 of at most 341 tasks 1 over the limit", True),
    (TARGETS, {}, FRACTION, "24.9 % of 1,373 found; at most 50 % within the limit, as is every target alone", False),
    (TARGETS, {"max_fraction": 0.1}, FRACTION, "at most 10 % over the limit; 2 targets over it alone", True),
    # One target is over it, though the whole is not.
    (TARGETS, {"max_fraction": 0.25}, FRACTION, "at most 25 % within the limit; 1 target over it alone", True),
    # A third as floating point has it is less than a third: as in the plan, it allows none of three tasks.
    ([(3, 1)], {"max_fraction": 1 / 3}, FRACTION, "at most 33.33 % over the limit; 1 target over it alone", True),
    ([], {"max_fraction": 0.0, "max_tasks": 0}, FRACTION, "0 % of 0 found; at most 0 % within the limit", False),
]


@pytest.mark.parametrize(("targets", "limits", "meter", "words", "over"), METERS)
def test_meters_within_at_and_over_the_limit(
    targets: list[tuple[int, int]], limits: Json, meter: int, words: str, over: bool
) -> None:
    policy = sample.policy(limits={"max_tasks": 500, "max_fraction": 0.5, "allow_incomplete": False} | limits)
    listed = [sample.target(sample.tasks(found, selected=selected)) for found, selected in targets]

    document = shown(sample.report(listed, policy=policy))

    drawn = document.all("div", "meter")[meter]
    assert words in drawn.text
    assert ("over" in drawn.classes) is over
    assert ("apply_report" in document.text) is not over  # a plan that a limit forbids is not offered
