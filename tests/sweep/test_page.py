"""The report's page: what people decide by is all there, in words."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from task_cleanup.errors import Category
from task_cleanup.providers.model import PROVIDERS, Service
from task_cleanup.results import Error
from task_cleanup.sweep.page import render
from task_cleanup.sweep.page.checks import contradictions
from task_cleanup.sweep.page.render import ROWS_PER_PAGE, page, rows_allowed
from task_cleanup.sweep.page.words import AGES, DECISIONS, age_in_words
from task_cleanup.sweep.plan import Plan, TargetPlan, refusals, target_prefix
from task_cleanup.sweep.policy import AgeFrom, Mode, Policy, RunningSince, SweepTarget
from task_cleanup.sweep.report import Run, RunEnd, SweepOutcome, ended
from task_cleanup.sweep.report import document as written_by
from task_cleanup.sweep.selection import Decision, Judged
from task_cleanup.sweep.services import SERVICES
from task_cleanup.tasks import Status, Task
from tests.support import sample_report as sample
from tests.support.report_page import CASES, Document, failed, notices, rows, shown, shown_tasks, unseen
from tests.support.sample_report import Json
from tests.support.sweep_world import check_shape

REFUSAL = {"code": "TooManyTasks", "message": "too many", "target": None}


def nothing_found() -> Json:
    """A report on one target that has no tasks."""
    return sample.report([sample.target()])


def planned(report: Json) -> Plan:
    """The plan from which the sweep would have written this report."""
    targets = []
    for target in report["targets"]:
        place = SweepTarget(*(target[name] for name in ("provider", "service", "region", "account")))
        judged = tuple(Judged(read_task(record), Decision(record["decision"]), "") for record in target["tasks"])
        error = None if target["error"] is None else Error(Category.UNAVAILABLE, "ConnectionFailed", "")
        targets.append(TargetPlan(place, target["region"], target["complete"], error, judged))
    return Plan(Policy.read(report["policy"]), sample.LISTED, tuple(targets), sample.wanting())


def read_task(record: Json) -> Task:
    """The task of a report's record, without its times."""
    status = Status(record["status"])
    return Task(record["task_id"], record["name"], status, record["provider_status"], record["deletable"], "")


# -- the page keeps up with the sweep ---------------------------------------------------


def test_decisions_and_bases_of_an_age_have_words_and_selected_is_the_first() -> None:
    styles = (Path(render.__file__).parent / "report.css").read_text()

    assert set(DECISIONS) == set(Decision) == set(sample.DECISIONS)
    assert set(AGES) == {*AgeFrom, *RunningSince, None}
    assert next(iter(DECISIONS)) is Decision.SELECTED
    assert [decision for decision in Decision if f"i.{decision}, .key.{decision} {{" not in styles] == []


@pytest.mark.parametrize("outcome", list(SweepOutcome))
@pytest.mark.parametrize("mode", list(Mode))
def test_every_end_of_a_run_has_a_page(outcome: SweepOutcome, mode: Mode) -> None:
    document = shown(unseen(outcome=outcome.value, mode=mode.value, refusals=[REFUSAL]))

    assert outcome.value in document.one("header").classes
    assert f".top.{outcome.value}" in document.one("style").text


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_services_have_the_names_of_their_modules(service: Service) -> None:
    target = sample.target(provider=service.provider, service=service.name, complete=False)

    document = shown(sample.report([target]))

    assert document.all("h2")[-1].text == PROVIDERS[service.provider]
    assert document.one("h3").text == f"{service.title} · default · cn-north-4"
    assert f"{PROVIDERS[service.provider]} · {service.title} · default · cn-north-4: the list" in notices(document)[1]


@pytest.mark.exhaustive
@pytest.mark.parametrize("case", ["typical", "refused", "many"])
def test_the_samples_are_what_the_sweep_writes(case: str) -> None:
    """Else the page would be tested against reports that nobody makes; and both judge the limits alike."""
    report = CASES[case]()
    plan = planned(report)
    document = written_by(Run("r", sample.LISTED, name="nightly"), plan, ())

    written = ended(document, RunEnd(SweepOutcome.REPORTED), "", sample.LISTED)

    assert set(written) == set(report)
    assert set(written["targets"][0]["tasks"][0]) == set(report["targets"][0]["tasks"][0])
    assert written["totals"] | {"requested": 0, "failed": 0} == report["totals"] | {"requested": 0, "failed": 0}
    assert bool(contradictions(written)) is bool(refusals(plan))
    assert len(rows(shown(written))) == len(rows(shown(report)))


@pytest.mark.parametrize("case", sorted(CASES.keys() - {"hostile"}))
def test_the_samples_have_the_shape_of_what_the_sweep_writes(case: str) -> None:
    report = CASES[case]()

    check_shape({**report, "final": True, "report": sample.saved(report)})


# -- what happened -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "requested", "missed", "words"),
    [
        ("reported", 0, 0, "Report only: nothing was requested"),
        ("requested", 312, 0, "Requested: 312 deletes"),
        ("requested", 1, 0, "Requested: 1 delete"),
        ("requested", 0, 0, "Requested: 0 deletes: nothing was selected"),
        ("requested", 300, 12, "Requested: 300 deletes, 12 not taken"),
        ("refused", 0, 0, "Refused: nothing was requested"),
        ("failed", 0, 0, "Failed: nothing was requested"),
        ("failed", 0, 7, "Failed: nothing was requested, 7 not taken"),
        ("failed", 40, 7, "Failed: 40 deletes requested, 7 not taken"),
        ("refused", 3, 0, "Refused: 3 deletes requested"),
    ],
)
def test_the_headline_says_what_happened(outcome: str, requested: int, missed: int, words: str) -> None:
    report = sample.report(outcome=outcome)
    report["totals"] |= {"requested": requested, "failed": missed, "selected": requested + missed}

    document = shown(report)

    assert document.one("h1").text == words
    assert words in document.one("title").text


RUN_ERROR_TOLD = "What went wrong unavailable, RequestsNotTaken: the bus did not take 12"
LIST_ERROR_TOLD = "unavailable, ConnectionFailed: no answer from the provider within 10 seconds"
NOTHING_TO_APPLY = "Nothing is selected: applying it would request nothing."
STILL_DRY = "While DRY_RUN is on, this again makes a report only."
APPLY_ASKED = "An apply was asked for."
ALLOWED = "The policy still allows an apply (allow_incomplete)."

RESULTS_TOLD = "As results come in, the page of the results tells how many succeeded"
GONE = "44 found, 31 kept, 13 selected, 1 gone"
SINCE_PLAN = "Nothing is requested for tasks that have changed since the plan was made"
RESTARTED = "tmp-rehearsal-started-again7300000000000071runningprovider: 2"
WANTING = "81 tasks stay only for want of an age"
WOULD_INFERRED = "57 would be selected if the age of a task counted since its inferred end."
WOULD_STARTED = "3 would be selected if the age of a task that is stopped first counted since it started"
NIGHTLY = "It needs a sweep every night, and reports count"
CHANGE = "To count from one of these, put its word into that member of the policy"
MIXED_KEPT = "As the policy protects names, these tasks are kept."


def again() -> Json:
    """What a dry run made of a report."""
    return sample.typical(plan_of="first", plan_sha256="00ff", dry_run=True, mode="apply")


def mixed_unprotected() -> Json:
    """One name that mixes scripts, under a policy that protects no names."""
    own = sample.policy(protect={"task_ids": [], "names": []})
    return sample.typical(policy=own, guards=sample.guards(own["protect"], 1))


def instances() -> Json:
    """Two targets that are all instances of a place: of one there is none, of the other it is not known."""
    place = {"provider": "huawei", "service": "oms", "region": "cn-north-4", "account": "default"}
    own = sample.policy(targets=[{**place, "instance_ids": "all"}] * 2)
    return sample.report(
        policy=own, instances=[{"policy_target": 0, "found": 0}, {"policy_target": 1, "found": None}]
    )


# A report, what its page says, and what its page must not say.
TOLD: dict[str, tuple[Callable[[], Json], list[str], list[str]]] = {
    "which run": (sample.requested, ["Runapply-2026-11-22", "reports/nightly-2026-11-22/report.json"], []),
    "who": (sample.requested, ["Asked foran apply", "Byarn:aws:iam::123456789012:role/task-cleanup-scheduler"], []),
    "when": (sample.requested, ["22 Nov 2026, 03:00:00 UTC", "22 Nov 2026, 03:01:13 UTC took 1 min 13 s"], []),
    "nobody": (lambda: sample.typical(requested_by=None), ["Bynot known"], []),
    "no dry run": (sample.typical, ["would be deleted if this plan were applied"], ["DRY_RUN"]),
    "dry": (lambda: sample.typical(dry_run=True), ["DRY_RUN made this a report", STILL_DRY], [APPLY_ASKED]),
    "dry apply": (lambda: sample.typical(dry_run=True, mode="apply"), ["DRY_RUN made", APPLY_ASKED], []),
    "again": (again, ['"apply_report": "first", "sha256": "00ff"', "repeats an earlier one"], ["Run this before"]),
    "results": (sample.requested, ["were selected, and their deletes were requested.", RESULTS_TOLD], [SINCE_PLAN]),
    "since the plan": (sample.overtaken, [f"{SINCE_PLAN} (1) or are gone (1) or are not in the plan (1)."], []),
    "a restarted task": (sample.overtaken, [RESTARTED, "1 Changed 1.9 % · kept: not as it was"], []),
    "gone": (sample.overtaken, ["1 Gone in the plan, and not listed any more", GONE], ["2 found"]),
    "new, or asked for": (sample.overtaken, ["Not in the plantmp-", "Requested beforetmp-"], []),
    "vouched": (sample.overtaken, ["provider: 9the policy vouches for it"], []),
    "guards": (sample.unguarded, ["*prod* 214 tasks", "7300000000000003 1 task", ".*prod.* no task"], []),
    "all guarded": (sample.typical, ["*prod* 3 tasks"], ["no task ", "of protect match"]),
    "no age": (sample.ageless, [WANTING, WOULD_INFERRED, WOULD_STARTED, NIGHTLY], ["no usable timeno age: none is"]),
    "nothing would help": (lambda: sample.report(ages_wanting=sample.wanting(3)), ["No other basis would"], [CHANGE]),
    "every age known": (sample.typical, [], ["want of an age", NIGHTLY, "begin anew"]),
    "ages begin anew": (sample.ageless, ["Ages by “seen” begin anew on 1 target", "begin anew here: no"], []),
    "running": (sample.ageless, ["the age of such a task counts since it was first seen as it is now"], []),
    "mixed scripts": (sample.mixed, ["3 tasks have names that mix scripts", MIXED_KEPT], ["judged like any"]),
    "mixed, unprotected": (
        mixed_unprotected,
        ["1 task has a name that mixes scripts", "this task was judged like any other"],
        [],
    ),
    "no instance": (instances, ["OMS · default · cn-north-4: 0 instances found.", "could not all be found"], []),
    "what to do": (sample.refused, ["Ask again later.", "ask again, or raise the target's limit"], []),
    "no reason": (lambda: sample.typical(outcome="failed"), ["does not say why"], ["told below"]),
    "a reason": (lambda: unseen(outcome="failed"), ["the reason is told below"], ["does not say why"]),
    "an error": (failed, [RUN_ERROR_TOLD, "the reason is told below"], ["does not say why"]),
    "not taken": (failed, ["12 delete requests failed", "300 deletes requested, 12 not taken by the bus."], []),
    "what is counted": (sample.typical, ["“Unknown” counts every task without an age, also those that stay"], []),
    "no target": (sample.report, ["No tasks were found.", "This sweep had no targets: nothing was listed."], []),
    "no task": (nothing_found, ["No tasks were found here.", NOTHING_TO_APPLY], ["not every list"]),
    "unseen": (unseen, ["No tasks were found, but not every list is complete."], ["found here"]),
    "incomplete": (sample.refused, ["2 of 7 lists incomplete or failed", "a lower bound", LIST_ERROR_TOLD], []),
    "at least": (sample.refused, ["1,403at least; lists", "at least 1,350 found, 1,010 kept, 340 selected; 2"], []),
    "in the overview": (sample.refused, ["101 List failed unknown00", "la-south-2 Incomplete list ≥ 30237"], []),
    "required": (sample.refused, ["2 of 7 lists not complete; required by the policy"], [ALLOWED]),
    "allowed": (CASES["many"], [ALLOWED, "1 of 20 lists not complete; not required by the policy"], []),
}


@pytest.mark.parametrize("case", TOLD)
def test_the_page_tells(case: str) -> None:
    make, told, untold = TOLD[case]

    text = shown(make()).text

    assert [words for words in told if words not in text] == []
    assert [words for words in untold if words in text] == []


def test_a_report_offers_its_plan_and_until_when() -> None:
    document = shown(sample.typical())

    plan = document.one("div", "plan")
    (line,) = [one.text for one in document.all("pre")]
    sent = shlex.split(line)
    assert sent[:5] == ["api", "-X", "POST", "$API_URL/sweeps", "-d"]
    assert json.loads(sent[5]) == {"apply_report": "reports/nightly-2026-11-22/report.json", "sha256": sample.SHA256}
    assert len(sent) == 6
    assert "listed and judged again, and of the selected tasks only those go that are as they were" in plan.text
    assert "What api and API_URL are: section “Call” of the project's README." in plan.text
    assert "before 23 Nov 2026, 03:00:41 UTC" in plan.text
    assert document.one("time", within=plan).attributes["datetime"] == "2026-11-23T03:00:41.000Z"


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (sample.refused, "This run was refused. Only the report of a run that ended as “reported” can be applied."),
        (sample.requested, "This run has requested the deletes itself. Only the report"),
        (failed, "This run failed. Only the report"),
        (
            lambda: sample.typical(outcome="reported", totals=sample.refused()["totals"]),
            "Its numbers contradict each other",
        ),
        (lambda: sample.typical(refusals=[REFUSAL]), "An apply would be refused for the reasons told above."),
    ],
)
def test_nothing_else_offers_a_plan_and_it_says_why(make: Callable[[], Json], why: str) -> None:
    document = shown(make())

    assert "apply_report" not in document.text
    assert f"This report cannot be applied {why}" in document.all("div", "plan")[-1].text


@pytest.mark.parametrize("case", ["requested", "partly", "failed", "overtaken"])
def test_a_run_that_requested_deletes_tells_where_their_results_are(case: str) -> None:
    document = shown(CASES[case]())

    folder = f"s3://{sample.BUCKET}/results/apply-2026-11-22"
    assert [one.text for one in document.all("pre")] == [
        f"aws s3 cp {folder}/index.html .",
        'api "$API_URL/sweeps/apply-2026-11-22"',
    ]
    assert "../../results/apply-2026-11-22/index.html" in {one.attributes["href"] for one in document.all("a")}


def test_the_digest_and_where_the_report_is_are_told() -> None:
    document = shown(sample.overtaken())

    codes = [one.text for one in document.all("code", within=document.one("dl", "facts"))]
    folder = f"s3://{sample.BUCKET}/reports/apply-2026-11-22"
    assert codes == [
        "a3" * 32,  # of the report that was applied
        sample.SHA256,
        f"aws s3 cp {folder}/report.json .",
        f"aws s3 cp {folder}/index.html .",
    ]


def test_what_protects_nothing_is_the_first_thing_on_the_page_and_beside_the_plan() -> None:
    report = sample.unguarded()

    first, *_ = notices(shown(report | {"refusals": [REFUSAL]}))

    assert first.startswith("2 entries of protect match no task")
    assert first.endswith(".*prod.* in protect.names 01010 in protect.task_ids")
    assert "bad" in shown(report).all("div", "notice")[0].classes
    assert "First look at what protect does not match, above." in shown(report).one("div", "plan").text
    assert "First look at" not in shown(sample.typical()).one("div", "plan").text


def test_every_guard_that_matches_nothing_is_counted_and_shown_before_the_others() -> None:
    ids = {str(number): int(number < 990) for number in range(1000)}
    own = sample.policy(protect={"task_ids": sorted(ids), "names": []})

    document = shown(sample.typical(policy=own, guards={"task_ids": ids, "names": {}, "mixed_scripts": 0}))

    assert notices(document)[0].startswith("10 entries of protect match no task")
    assert notices(document)[0].count("in protect.task_ids") == 10
    rules = document.one("dl", "rules")
    told = [one.text for one in document.all("span", "guard", within=rules)]
    assert told[:10] == [f"{number} no task" for number in range(990, 1000)]
    assert told[10:] == [f"{number} 1 task" for number in range(10)]
    assert "and 980 more, in report.json" in rules.text


@pytest.mark.parametrize(
    ("outcome", "title"), [("refused", "Why it was refused"), ("reported", "An apply of this plan would be refused")]
)
def test_refusals_are_in_full_at_the_top(outcome: str, title: str) -> None:
    message = "12 tasks are selected, max_tasks is 10. " * 60
    refusal = {"code": "TooManyTasks", "message": message, "target": None}

    (notice,) = notices(shown(sample.typical(outcome=outcome, refusals=[refusal])))

    assert notice == f"{title} {message}TooManyTasks"


def test_a_refusal_leads_to_its_target_and_names_it_once() -> None:
    """Its message names the target for those who have no page."""
    message = f"{target_prefix(1, SweepTarget('huawei', 'oms', 'cn-north-4', account='team-b'))}6 of 8 are selected"
    refusal = {"code": "FractionTooHigh", "message": message, "target": 1}

    document = shown(sample.typical(outcome="refused", mode="apply", refusals=[refusal]))

    link = document.all("a", within=document.one("header"))[0]
    assert link.attributes["href"] == "#t2"
    assert notices(document) == [
        "Why it was refused Huawei Cloud · OMS · default · cn-south-1: 6 of 8 are selected FractionTooHigh"
    ]


# -- numbers ---------------------------------------------------------------------------------


def test_all_totals_are_there() -> None:
    document = shown(sample.requested(failed=12))

    figures = [one.inside[-1].text for one in document.all("dd", "value")]
    assert figures == [
        "Found1,373on 5 targets",
        "Kept1,03175.1 % of what was found",
        "Selected34224.9 % of what was found",
        "Requested330deletes the bus took",
        "Not taken12deletes the bus did not take",
    ]
    assert "partly" in document.one("header").classes


def test_every_decision_is_a_part_of_the_bar_and_a_line_of_words() -> None:
    report = sample.typical()

    document = shown(report)

    bar, legend = document.all("div", "split")[0], document.all("ul", "legend")[0]
    parts = {one.classes[0]: one.attributes["style"] for one in document.all("i", within=bar)}
    lines = [one.text for one in document.all("li", within=legend)]
    there = {decision: words for decision, words in DECISIONS.items() if report["totals"][decision]}
    assert len(there) == 7
    for (decision, words), line in zip(there.items(), lines, strict=True):
        count = report["totals"][decision]
        assert parts[decision] == f"flex-grow:{count}"
        assert line.startswith(f"{count:,} {words.name} ")
        assert words.meaning in line
        assert f"{count:,} {words.name.lower()} (" in bar.attributes["aria-label"]


IDS = [str(number) for number in range(1000)]
FIRST_IDS = " ".join(f"{number} 3 tasks" for number in IDS[:20])
AT_LEAST = sample.SELECT
STOPPED = "are stopped first, then deleted; the age of such a task counts since it started"
POLICIES: list[tuple[Json, dict[str, str]]] = [
    ({}, {"Status": "is one of succeeded failed", "Age": "older than 7 days P7D", "Name": "matches one of tmp-*"}),
    ({}, {"Age counts": "since the first of these that is known ended seen inferred"}),
    ({}, {"Never, by name": "*prod* 3 tasks", "Never, by id": "7300000000000003 3 tasks"}),
    ({"stop_running": False}, {"Running tasks": "are not stopped"}),
    (
        {"stop_running": True, "select": AT_LEAST | {"running_since": "started", "statuses": ["running"]}},
        {"Running tasks": STOPPED},
    ),
    (
        {"stop_running": True, "select": AT_LEAST | {"running_since": "started"}},
        {"Running tasks": "are not stopped: stop_running has no effect, since running is not in select.statuses"},
    ),
    ({"select": AT_LEAST | {"older_than": "PT36H"}}, {"Age": "older than 36 hours PT36H"}),
    ({"select": AT_LEAST | {"older_than": "P1D"}}, {"Age": "older than 1 day P1D", "Name": "any"}),
    ({"protect": {"task_ids": [], "names": IDS[:1]}}, {"Never, by id": "no id is set"}),
    ({"protect": {"task_ids": IDS[:1], "names": []}}, {"Never, by name": "no name is set"}),
    ({"protect": {"task_ids": IDS, "names": []}}, {"Never, by id": f"{FIRST_IDS} and 980 more, in report.json"}),
]


def test_a_policy_that_vouches_says_for_which_words() -> None:
    own = sample.policy(select=AT_LEAST | {"provider_statuses": ["9", "STOP_FAILED"]})

    rules = shown(sample.report(policy=own)).one("dl", "rules")

    assert "Vouched foralso these statuses, in the provider's words 9 STOP_FAILED" in rules.text


@pytest.mark.parametrize(("members", "lines"), POLICIES)
def test_the_policy_in_words(members: Json, lines: dict[str, str]) -> None:
    document = shown(sample.report(policy=sample.policy(**members)))

    terms = document.all("dt", within=document.one("dl", "rules"))
    said = {one.text: one.inside[-1].text.removeprefix(one.text) for one in terms}
    assert said | lines == said
    assert len(said) == 7


# -- what is wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: r["totals"].update(found=9), "the total of found is 9, the targets' sum is 1,373"),
        (lambda r: r["totals"].update(selected=341), "the total of selected is 341, the targets' sum is 342"),
        (lambda r: r["totals"].update(failed=1), "the total of failed is 1, the targets' sum is 0"),
        (lambda r: r["targets"][1]["tasks"].pop(), "cn-south-1: its counts do not agree with its tasks"),
        (lambda r: r["targets"][1]["tasks"][0].update(decision="protected"), "(selected, protected)"),
        (lambda r: r["totals"].update(requested=1), "the outcome is reported, yet 1 delete went to the bus"),
        (lambda r: r.update(outcome="requested"), "342 are selected, but 0 are accounted for"),
        (lambda r: r["policy"]["limits"].update(max_tasks=3), "342 of at most 3 tasks, yet nothing was refused"),
        (lambda r: r["targets"][0].update(complete=False), "lists are not complete, and the policy requires it"),
    ],
)
def test_a_report_that_contradicts_itself_is_not_smoothed_over(change: Callable[[Json], None], words: str) -> None:
    report = sample.typical()
    change(report)

    document = shown(report)

    assert "apply_report" not in document.text
    assert notices(document)[0].startswith("This report contradicts itself")
    assert words in notices(document)[0]


@pytest.mark.parametrize("case", sorted(CASES.keys() - {"hostile"}))
def test_numbers_that_agree_raise_no_alarm(case: str) -> None:
    assert contradictions(CASES[case]()) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r.update(outcome="done"),
        lambda r: r.update(mode="maybe"),
        # Of a task that has no row: it is among the youngest of 1,234.
        lambda r: r["targets"][0]["tasks"][0].update(decision="chosen", age_seconds=1.0),
        lambda r: r["targets"][0]["tasks"][0].update(status="sleeping", age_seconds=1.0),
    ],
)
def test_a_word_that_the_page_does_not_know_is_not_guessed_at(change: Callable[[Json], None]) -> None:
    report = sample.typical()
    change(report)

    with pytest.raises((KeyError, ValueError, UndefinedError)):
        page(report, sample.saved(report))


# -- tasks and targets -----------------------------------------------------------------------


def test_every_decision_in_the_rows_with_its_reason() -> None:
    found = [sample.task(number, key) for number, key in enumerate(reversed(sample.DECISIONS))]

    told = [row.text for row in rows(shown_tasks(*found))]

    order = {decision: place for place, decision in enumerate(DECISIONS)}
    for task, row in zip(sorted(found, key=lambda one: order[one["decision"]]), told, strict=True):
        assert row.startswith(f"{DECISIONS[task['decision']].name}{task['name']}{task['task_id']}")
        assert task["why"] in row
        assert ("not listed" if task["decision"] == "gone" else age_in_words(task["age_seconds"])) in row


def test_what_is_peculiar_to_a_task_is_in_its_row() -> None:
    stopped = sample.task(1, status="running", stop_running=True, group_id="g-1", age_from="started")
    stopped |= {"deletable": False, "why_not": "the provider refuses while it is running"}
    held = sample.task(2, "other_status", why_not="it is held")
    refused = sample.task(3, "not_deletable")

    document = shown_tasks(stopped, held, refused)

    first, second, third = [row.text for row in rows(document)]
    assert "in group g-1" in first
    assert "is stopped first" in first
    assert "since it started" in first
    assert "refuses" not in first  # it is stopped, and then the provider does not refuse
    assert "stopped first" not in second
    assert second.endswith("paused is not one of succeeded, failed; it is held")
    assert third.count(refused["why_not"]) == 1  # its reason is the same: told once
    assert "1 to stop first" in document.one("dl", "figures").text


@pytest.mark.parametrize(
    ("tasks", "caption"),
    [
        (1234, "200 of 1,234 shown (150 of 150 selected); all of them in report.json."),
        (200, "All 200 tasks, selected ones first."),
    ],
)
def test_a_target_shows_at_most_200_rows_selected_first_and_says_so(tasks: int, caption: str) -> None:
    document = shown_tasks(*reversed(sample.tasks(tasks, selected=150)))

    selected = [row.text.startswith("Selected") for row in rows(document)]
    assert selected == [True] * 150 + [False] * 50
    assert caption in document.text


def test_the_oldest_of_a_decision_are_first() -> None:
    found = [sample.task(number, age_days=days) for number, days in enumerate((8.0, 90.0, 30.0))]

    told = [row.text for row in rows(shown_tasks(*found))]

    assert [row[-len("30.0 days ago") :] for row in told] == ["90.0 days ago", "30.0 days ago", " 8.0 days ago"]


@pytest.mark.exhaustive
@pytest.mark.parametrize(("targets", "is_open"), [(8, True), (9, False), (200, False)])
def test_targets_are_an_overview_with_anchors_and_details_that_are_closed_where_many(
    targets: int, is_open: bool
) -> None:
    document = shown(sample.many(targets, 3))

    details = document.all("details")
    links = {one.attributes["href"] for one in document.all("a", within=document.one("table", "overview"))}
    assert ["open" in one.attributes for one in details] == [is_open] * targets
    assert {f"#{one.attributes['id']}" for one in details} <= links
    assert [one.text for one in document.all("h2")][-3:] == ["Huawei Cloud", "Open Telekom Cloud", "Alibaba Cloud"]


def test_many_troubles_are_counted_not_all_repeated_at_the_top() -> None:
    error = sample.UNAVAILABLE | {"message": "m" * 500}
    targets = [sample.target((), error=error, region=f"r-{number}") for number in range(50)]

    notice = notices(shown(sample.report(targets, outcome="failed")))[0]

    assert notice.count("ConnectionFailed") == 12
    assert notice.count("characters left out") == 12
    assert "and 38 more, each marked below." in notice


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("found", "allowed"),
    [([], 200), ([10_000], 200), ([500] * 200, 20), ([5] * 500 + [9_000], 200), ([90] * 5000, 5)],
)
def test_rows_are_shared_out_within_the_pages_bound(found: list[int], allowed: int) -> None:
    assert rows_allowed(found) == allowed


@pytest.mark.exhaustive
def test_a_page_with_all_its_rows_grows_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "ROWS_PER_PAGE", 400)

    report = sample.many(20, 40)
    markup = page(report, sample.saved(report))

    document = Document(markup)
    assert len(markup.encode()) < 3_000_000 * 400 / ROWS_PER_PAGE
    assert len(rows(document)) == 400
    assert "20 of 40 shown (10 of 10 selected); all of them in report.json." in document.text
    assert "Each target shows at most 20 of its tasks." in document.text


def test_the_page_is_a_function_of_its_report() -> None:
    report = sample.typical()
    before = repr(report)

    first, second = page(report, sample.saved(report)), page(report, sample.saved(report))

    assert first == second
    assert repr(report) == before
