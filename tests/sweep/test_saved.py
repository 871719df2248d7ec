"""A report is a plan: what was read is what goes, and of it only what is still as it was."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_cleanup.sweep.store import encoded
from tests.support.handler_world import NOW
from tests.support.sweep_runs import (
    DAY,
    DONE,
    LATER,
    NO_DIGEST,
    WIDE,
    apply,
    check_requests,
    deliver,
    meanwhile,
    new_report,
    refused,
    refused_or,
)
from tests.support.sweep_world import (
    ES_TARGET,
    OLD,
    OMS_TARGET,
    PLANNED,
    YOUNG,
    Failure,
    Json,
    S3Object,
    SweepWorld,
    data_task,
    dms_task,
    milliseconds,
    oms_task,
    policy,
)


def decisions(sweep_world: SweepWorld, run_id: str) -> dict[str, str]:
    """What a run decided of each task."""
    report = sweep_world.aws.document(f"reports/{run_id}/report.json")
    return {task["task_id"]: task["decision"] for target in report["targets"] for task in target["tasks"]}


def test_a_report_is_applied_once_and_to_no_task_that_it_did_not_select(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    key = new_report(sweep_world, limits=WIDE)
    sweep_world.cloud.seed(dict(LATER))
    sweep_world.pass_time(DAY - 60)

    summary = sweep_world.worker()({**apply(sweep_world, key), "run_id": "run-1"})

    told = (summary["outcome"], summary["mode"], summary["plan_of"], summary["name"])
    assert told == ("requested", "apply", key, "nightly")
    check_requests(sweep_world)
    assert decisions(sweep_world, "run-1")["2001"] == "not_in_plan"
    assert refused(sweep_world, apply(sweep_world, key)) == ["AlreadyApplied"]
    assert refused(sweep_world, apply(sweep_world, summary["report"]["json"])) == ["ReportNotAPlan"]


def _replace(sweep_world: SweepWorld, record: Json) -> None:
    """Somebody's task is another one now, under the same id."""
    for place in getattr(sweep_world.cloud, record["service"]).places.values():
        if record["task_id"] in place.tasks:
            place.remove(record["task_id"])
    sweep_world.cloud.seed(dict(record))


SINCE: dict[str, tuple[Json, str]] = {
    "OMS: restarted, and it succeeded a minute ago": (
        {**oms_task(1001, 5, OLD), "start_time": milliseconds(NOW) - 120_000},
        "changed",
    ),
    "OMS: it runs again": ({**oms_task(1001, 2, OLD), "start_time": milliseconds(NOW) - 120_000}, "changed"),
    "OMS: another name": (oms_task(1001, 5, OLD, "tmp-other"), "changed"),
    "OMS: another name, that is protected": (oms_task(1001, 5, OLD, "prod-other"), "protected"),
    "Alibaba: made anew": (data_task(1, "SUCCESS", YOUNG), "changed"),
    "DMS: made anew": (dms_task("otc_dms", 1, "FAILED", YOUNG), "changed"),
}


@pytest.mark.parametrize("what", SINCE)
def test_a_task_that_is_not_as_it_was_read_is_kept(sweep_world: SweepWorld, what: str) -> None:
    sweep_world.seed()
    key = new_report(sweep_world)
    record, decision = SINCE[what]
    _replace(sweep_world, record)

    summary = sweep_world.worker()({**apply(sweep_world, key), "run_id": "run-1"})

    assert summary["outcome"] == "requested"
    assert decisions(sweep_world, "run-1")[record["task_id"]] == decision
    check_requests(sweep_world, PLANNED - {(record["service"], record["task_id"])})


def test_a_task_that_is_gone_is_told_and_not_asked_for(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    key = new_report(sweep_world)
    for tasks in sweep_world.cloud.huawei_oms.places.values():
        tasks.remove("1001")

    summary = sweep_world.worker()({**apply(sweep_world, key), "run_id": "run-1"})

    assert (summary["totals"]["gone"], summary["totals"]["selected"]) == (1, len(PLANNED) - 1)
    assert decisions(sweep_world, "run-1")["1001"] == "gone"
    check_requests(sweep_world, PLANNED - {("huawei_oms", "1001")})


def test_the_limits_are_judged_over_what_is_there_now(sweep_world: SweepWorld) -> None:
    """Half of the tasks went meanwhile: what is left is a larger part of what is found."""
    sweep_world.seed()
    key = new_report(sweep_world, targets=[OMS_TARGET], limits={"max_fraction": 0.3})
    for tasks in sweep_world.cloud.huawei_oms.places.values():
        for number in range(1003, 1010):
            tasks.remove(str(number))

    assert set(refused(sweep_world, apply(sweep_world, key))) == {"FractionTooHigh"}


def test_a_target_that_cannot_be_listed_again_refuses_the_apply(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    key = new_report(sweep_world)
    sweep_world.cloud.otc_dms.clear()

    assert refused(sweep_world, apply(sweep_world, key)) == ["ListFailed"]


def test_every_request_says_how_its_task_was_read(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    key = new_report(sweep_world)

    sweep_world.worker()({**apply(sweep_world, key), "run_id": "run-1"})

    report = sweep_world.aws.document(key)
    read = {task["task_id"]: task for target in report["targets"] for task in target["tasks"]}
    for request in sweep_world.requests():
        expected = request["expected"]
        assert set(expected) >= {"provider_status", "name"}
        assert expected == {name: read[request["task_id"]][name] for name in expected}


# -- its digest ------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_a_document_s_bytes_are_those_of_its_json_without_spaces(document: Json) -> None:
    """They are made piece by piece, since a report can be large."""
    body = encoded(document)

    assert body == json.dumps(document, separators=(",", ":")).encode()
    assert encoded(body) is body


def test_another_report_than_the_one_that_was_read_is_not_applied(sweep_world: SweepWorld) -> None:
    """Whatever is other in it: its bytes are."""
    sweep_world.seed()
    key = new_report(sweep_world)
    request = apply(sweep_world, key)

    def other_id(report: Json) -> None:
        report["targets"][0]["tasks"][0]["task_id"] = "424242"

    change(sweep_world, key, other_id)

    assert refused(sweep_world, request) == ["ReportChanged"]
    assert refused(sweep_world, apply(sweep_world, key)) == ["ReportChanged"], "the summary tells another digest"
    assert refused(sweep_world, {**request, "sha256": NO_DIGEST}) == ["ReportChanged"]


def test_the_digest_is_told_by_summary_and_page(sweep_world: SweepWorld) -> None:
    sweep_world.seed()

    summary = sweep_world.worker()(policy(mode="report", run_id="seen"))

    assert summary["report"]["sha256"] == apply(sweep_world, summary["report"]["json"])["sha256"]


def test_an_apply_without_a_digest_is_refused(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    key = new_report(sweep_world)

    assert refused(sweep_world, {"apply_report": key}) == ["SchemaViolation"]


def test_a_report_whose_page_could_not_be_stored_stays_the_report(sweep_world: SweepWorld) -> None:
    """The delivery that comes again finishes that report: it does not list anew."""
    sweep_world.seed()
    request = policy(mode="report", limits={"max_tasks": 100, "max_fraction": 1})
    sweep_world.aws.failures["PUT index.html"] = Failure((503, "SlowDown"), times=1)
    assert deliver(sweep_world.worker(), request) != DONE
    first = apply(sweep_world, "reports/run-1/report.json")
    assert refused(sweep_world, first) == ["ReportNotAPlan"], "its run has not ended as reported"
    sweep_world.cloud.seed(dict(LATER))

    assert deliver(sweep_world.worker(), request, receives=2) == DONE

    assert apply(sweep_world, "reports/run-1/report.json") == first
    assert sweep_world.worker()({**first, "run_id": "applied"})["outcome"] == "requested"
    assert ("huawei_oms", "2001") not in sweep_world.requested()


@pytest.mark.parametrize(
    ("edit", "code"), [({"schema_version": "1.0"}, "ReportUnreadable"), ({"outcome": "failed"}, "ReportNotAPlan")]
)
def test_a_report_of_another_version_or_of_a_failed_run_is_no_plan(
    sweep_world: SweepWorld, edit: Json, code: str
) -> None:
    sweep_world.seed()
    key = new_report(sweep_world)

    change(sweep_world, key.replace("report.json", "summary.json"), lambda summary: summary.update(edit))

    assert refused(sweep_world, apply(sweep_world, key)) == [code]


# -- who applies it, and when ------------------------------------------------


def test_two_that_apply_one_report_at_the_same_time_do_it_once(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    key = new_report(sweep_world)
    other = sweep_world.worker()
    ended: list[Json] = []

    second = {**apply(sweep_world, key), "run_id": "run-2"}
    meanwhile(sweep_world, "PUT applied.json", lambda: ended.append(other(second)))

    assert sweep_world.worker()({**apply(sweep_world, key), "run_id": "run-1"})["outcome"] == "requested"
    assert refused_or(ended[0]) == ["Overlaps"]
    check_requests(sweep_world)


def test_a_run_that_an_error_ends_after_its_plan_has_a_page_that_says_so(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    key = new_report(sweep_world)
    sweep_world.aws.failures["PUT applied.json"] = Failure((403, "AccessDenied"))

    assert sweep_world.worker()({**apply(sweep_world, key), "run_id": "run-1"})["outcome"] == "failed"

    assert b"Failed: nothing was requested" in sweep_world.aws.objects["reports/run-1/index.html"].body


@pytest.mark.parametrize("seconds", [DAY + 1, 7 * DAY])
def test_an_old_report_is_not_applied(sweep_world: SweepWorld, seconds: float) -> None:
    sweep_world.seed()
    key = new_report(sweep_world)

    sweep_world.pass_time(seconds)

    assert refused(sweep_world, apply(sweep_world, key)) == ["PlanTooOld"]


def test_protect_and_limits_of_the_application_can_only_be_tighter(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    key = new_report(sweep_world)
    assert refused(sweep_world, {**apply(sweep_world, key), "limits": {"max_tasks": 12}}) == ["TooManyTasks"]
    assert set(refused(sweep_world, {**apply(sweep_world, key), "limits": {"max_fraction": 0.5}})) == {
        "FractionTooHigh"
    }
    summary = sweep_world.worker()(
        {
            **apply(sweep_world, key),
            "run_id": "run-1",
            "protect": {"task_ids": [1001], "names": ["TMP-INDEX"]},
            "limits": {"max_tasks": 8},
        }
    )
    assert summary["outcome"] == "requested"

    gone = {("huawei_oms", "1001")} | {place for place in PLANNED if place[0] == "alibaba_elasticsearch"}

    check_requests(sweep_world, PLANNED - gone)


def test_a_report_over_its_limits_stays_a_report(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    key = new_report(sweep_world, limits={"max_tasks": 12, "max_fraction": 1})

    loose = {"max_tasks": 100000, "max_fraction": 1, "allow_incomplete": True}

    assert refused(sweep_world, {**apply(sweep_world, key), "limits": loose}) == ["TooManyTasks"]


EXTRA = '{"huawei.oms": ["xx-name-1"]}'
ELSEWHERE = [ES_TARGET, {**OMS_TARGET, "region": "xx-name-1"}]


def test_a_report_is_applied_in_the_regions_that_there_still_are(sweep_world: SweepWorld) -> None:
    """The deletes in another one would all be refused, each on its own."""
    sweep_world.seed()
    asked = policy(mode="report", run_id="seen", targets=ELSEWHERE)
    key = sweep_world.worker(EXTRA_REGIONS=EXTRA)(asked)["report"]["json"]

    summary = sweep_world.worker(EXTRA_REGIONS="")({**apply(sweep_world, key), "run_id": "run-1"})

    assert refused_or(summary) == ["RegionUnknown"]
    assert re.findall("/targets/[0-9]/region", summary["refusals"][0]["message"]) == ["/targets/1/region"]
    assert sweep_world.requests() == []
    assert (
        sweep_world.worker(EXTRA_REGIONS=EXTRA)({**apply(sweep_world, key), "run_id": "run-2"})["outcome"]
        == "requested"
    )
    assert {request["region"] for request in sweep_world.requests()} == {"cn-hangzhou", "xx-name-1"}


def test_a_run_that_broke_off_does_not_go_on_in_a_region_that_is_none_any_more(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    key = sweep_world.worker(EXTRA_REGIONS=EXTRA)(policy(mode="report", run_id="seen", targets=ELSEWHERE))["report"][
        "json"
    ]
    request_ = apply(sweep_world, key)
    sweep_world.aws.failures["PutEvents Task Cleanup Requested"] = Failure((500, "InternalFailure"))
    assert deliver(sweep_world.worker(EXTRA_REGIONS=EXTRA), request_) != DONE
    sweep_world.aws.failures.clear()
    assert deliver(sweep_world.worker(EXTRA_REGIONS=""), request_) == DONE

    ((kind, end),) = sweep_world.summaries()

    assert (kind, refused_or(end)) == ("Sweep Refused", ["RegionUnknown"])
    assert "not withdrawn" in end["refusals"][0]["message"]
    assert sweep_world.requests() == []


def change(sweep_world: SweepWorld, key: str, edit: Any) -> None:
    """Somebody writes another version of a document."""
    document = sweep_world.aws.document(key)
    edit(document)
    body = json.dumps(document).encode()
    sweep_world.aws.objects[key] = S3Object(body, '"changed"', sweep_world.system.now(), "application/json")


@pytest.mark.parametrize(
    "key",
    [
        "reports/../secrets/report.json",
        "reports/seen/../other/report.json",
        "reports/seen/summary.json",
        "reports/seen/report.json\n",
        "/reports/seen/report.json",
        "reports//report.json",
        "reports/.seen/report.json",
        "reports/seen%2Freport.json",
        "reports/seen/report.json?versionId=1",
        "other/seen/report.json",
        "REPORTS/seen/report.json",
        "",
        7,
        None,
    ],
)
def test_a_key_outside_of_the_reports_is_refused_before_anything_is_read(
    sweep_world: SweepWorld, key: object
) -> None:
    assert refused(sweep_world, {"apply_report": key, "sha256": NO_DIGEST}) == ["SchemaViolation"]
    assert sweep_world.aws.names == ["PutEvents Sweep Refused"]


def test_a_report_that_does_not_exist_is_refused(sweep_world: SweepWorld) -> None:
    assert refused(sweep_world, {"apply_report": "reports/unseen/report.json", "sha256": NO_DIGEST}) == [
        "ReportNotFound"
    ]


@pytest.mark.parametrize("member", ["mode", "targets", "select", "name", "stop_running"])
def test_a_report_is_applied_by_its_own_policy(sweep_world: SweepWorld, member: str) -> None:
    request = {
        "apply_report": "reports/seen/report.json",
        "sha256": NO_DIGEST,
        member: policy(stop_running=True)[member],
    }

    assert refused(sweep_world, request) == ["SchemaViolation"]
    assert sweep_world.aws.names == ["PutEvents Sweep Refused"]
