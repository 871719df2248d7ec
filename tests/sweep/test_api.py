"""The sweep over HTTP: what is accepted, what is answered at once, and how an end is told."""

import base64
import json
import re
from collections import Counter
from typing import Any

import pytest

from task_cleanup.settings import SettingsError
from task_cleanup.sweep.claims import run_id_of
from task_cleanup.times import rfc3339
from tests.support.aws import Trouble
from tests.support.handler_world import BUS
from tests.support.readable import unreadable
from tests.support.sweep_runs import DAY, DONE, NO_DIGEST, apply, meanwhile, new_report
from tests.support.sweep_world import (
    BUCKET,
    ES_TARGET,
    OMS_TARGET,
    PLANNED,
    SEEDS,
    TARGETS,
    Failure,
    Json,
    SweepWorld,
    http_get,
    http_post,
    message,
    policy,
    queued,
    sample,
)

CALLER_ARN = sample("http")["requestContext"]["authorizer"]["iam"]["userArn"]


def body_of(reply: Json) -> Json:
    """The JSON body of an HTTP reply."""
    body: Json = json.loads(reply["body"])
    assert reply["headers"]["Cache-Control"] == "no-store"
    return body


def asked_for(sweep_world: SweepWorld) -> list[Json]:
    """What POST put on the bus, as the queue would bring it."""
    events = [event for event in sweep_world.aws.events if event["DetailType"] == "Sweep Requested"]
    return [
        {
            **sample("eventbridge"),
            "id": f"e-{number}",
            "source": event["Source"],
            "resources": event["Resources"],
            "detail": json.loads(event["Detail"]),
        }
        for number, event in enumerate(events)
        if event["EventBusName"] == BUS
    ]


def test_asked_for_over_http_done_by_the_queue_and_told_over_http(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    worker = sweep_world.worker()
    assert worker(http_get("night-1"))["statusCode"] == 404

    reply = worker(http_post(policy(), key="night-1"), timeout=29)

    assert reply["statusCode"] == 202
    assert body_of(reply) == {
        "run_id": "night-1",
        "status": "/sweeps/night-1",
        "report": {
            "bucket": BUCKET,
            "json": "reports/night-1/report.json",
            "html": "reports/night-1/index.html",
        },
    }
    assert (sweep_world.requests(), list(sweep_world.aws.objects)) == ([], ["reports/night-1/asked.json"])
    assert sweep_world.cloud.journal.entries() == []
    waiting = worker(http_get("night-1"))
    assert (waiting["statusCode"], body_of(waiting)["state"]) == (202, "waiting")
    (event,) = asked_for(sweep_world)

    seen: list[Json] = []
    meanwhile(sweep_world, "PUT index.html", lambda: seen.append(worker(http_get("night-1"))))
    assert worker(message(event)) == DONE

    assert [(reply["statusCode"], body_of(reply)["state"]) for reply in seen] == [(202, "running")]
    assert seen[0]["headers"]["Retry-After"] == "10"
    ((kind, end),) = sweep_world.summaries()
    assert (kind, end["run_id"], end["requested_by"]) == ("Sweep Completed", "night-1", CALLER_ARN)
    assert Counter(sweep_world.requested()) == Counter(PLANNED)
    shown = worker(http_get("night-1"))
    told = body_of(shown)
    results = told.pop("results")
    assert (shown["statusCode"], told) == (200, end)
    assert (results["requested"], results["waiting"], results["finished"]) == (len(PLANNED), len(PLANNED), False)


def test_a_report_is_seen_and_then_applied_over_http(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    worker = sweep_world.worker()
    worker(http_post(policy(mode="report"), key="seen"))
    worker(message(asked_for(sweep_world)[0]))
    report = body_of(worker(http_get("seen")))["report"]
    key = report["json"]
    sweep_world.pass_time(3600)

    request = {"apply_report": key, "sha256": report["sha256"], "protect": {"task_ids": [1001]}}
    reply = worker(http_post(request, key="applied"))

    assert reply["statusCode"] == 202
    assert worker(message(asked_for(sweep_world)[1])) == DONE
    end = body_of(worker(http_get("applied")))
    assert (end["outcome"], end["plan_of"]) == ("requested", key)
    assert Counter(sweep_world.requested()) == Counter(PLANNED - {("huawei_oms", "1001")})


def test_the_same_key_twice_is_one_sweep(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    worker = sweep_world.worker()
    for _ in range(2):
        assert worker(http_post(policy(), key="night-1"))["statusCode"] == 202

    first, second = asked_for(sweep_world)

    assert worker(message(first, message_id="m-1")) == worker(message(second, message_id="m-2")) == DONE
    assert Counter(sweep_world.requested()) == Counter(PLANNED)
    assert len(sweep_world.summaries()) == 1


@pytest.mark.parametrize("earlier", ["http", "queue"])
def test_another_request_under_a_used_run_id_is_refused_at_once(sweep_world: SweepWorld, earlier: str) -> None:
    """Else it would be told how the first one ended, and the first one's report would be applied for it."""
    sweep_world.seed()
    worker = sweep_world.worker()
    first = policy(mode="report", run_id="weekly")
    if earlier == "http":
        assert worker(http_post(first))["statusCode"] == 202
    else:
        assert worker(message(first)) == DONE

    reply = worker(http_post({**first, "protect": {"task_ids": ["1001"]}}))
    again = worker(http_post(first))

    assert reply["statusCode"] == 409
    assert "RunIdReused" in body_of(reply)["detail"]
    if earlier == "http":
        assert again["statusCode"] == 202
    else:
        ended_at = sweep_world.aws.document("reports/weekly/summary.json")["completed_at"]
        assert (again["statusCode"], body_of(again)["repeated"], body_of(again)["ended_at"]) == (200, True, ended_at)
    assert len(asked_for(sweep_world)) == (2 if earlier == "http" else 0)


def test_without_a_key_each_post_is_a_run_of_its_own(sweep_world: SweepWorld) -> None:
    worker = sweep_world.worker()
    events = [http_post(policy()), http_post(policy())]
    events[1]["requestContext"]["requestId"] = "JKJaXmPLvHcESH7="

    run_ids = [body_of(worker(event))["run_id"] for event in events]

    assert len(set(run_ids)) == 2
    assert [event["detail"]["run_id"] for event in asked_for(sweep_world)] == run_ids


MANY_NAMES = [f"{number}-" + "\U0001f600" * 250 for number in range(90)]
BAD_POSTS: dict[str, Json] = {
    "no body": http_post(""),
    "not JSON": http_post("{"),
    "a list": http_post([policy()]),
    "not base64": http_post("%%%", isBase64Encoded=True),
    "a name twice": http_post('{"name": "a", "name": "b"}'),
    "no targets": http_post(policy(targets=None)),
    "the same target twice": http_post(policy(targets=[OMS_TARGET, {**OMS_TARGET, "account": "default"}])),
    "unknown member": http_post(policy(mod="apply")),
    "mode in the query as well": http_post(policy(), rawQueryString="mode=report"),
    "two run ids": http_post(policy(run_id="a"), key="b"),
    "a key that is a path": http_post(policy(), key="../../etc"),
    "a key with a newline": http_post(policy(), key="night\n"),
    "an empty key": http_post(policy(), key=""),
    "a long key": http_post(policy(), key="n" * 129),
    "an unknown region": http_post(policy(targets=[OMS_TARGET, {**ES_TARGET, "region": "atlantis-1"}])),
    "a report elsewhere": http_post({"apply_report": "reports/../x/report.json", "sha256": NO_DIGEST}),
    "a report without its digest": http_post({"apply_report": "reports/x/report.json"}),
    "a digest without a report": http_post(policy(sha256=NO_DIGEST)),
    "the run id of a schedule": http_post(policy(run_id="schedule.nightly-1")),
    "more than the bus takes": http_post(
        policy(protect={"names": [f"{number}-" + "\U0001f600" * 250 for number in range(90)]})
    ),
    "a report and a policy": http_post({**policy(), "apply_report": "reports/x/report.json"}),
}


@pytest.mark.parametrize("what", BAD_POSTS)
def test_an_invalid_post_is_answered_at_once_and_asks_for_nothing(sweep_world: SweepWorld, what: str) -> None:
    reply = sweep_world.worker()(BAD_POSTS[what])

    assert (reply["statusCode"], reply["headers"]["Content-Type"]) == (400, "application/problem+json")
    assert body_of(reply)["type"] == "urn:task-cleanup:problem:invalid_request"
    assert unreadable(body_of(reply)["detail"]) == []
    assert sweep_world.aws.names == []


def test_a_request_of_a_hundred_thousand_violations_is_refused_by_its_size(sweep_world: SweepWorld) -> None:
    """The validator would take longer than the caller waits."""
    reply = sweep_world.worker()(http_post(json.dumps(policy(targets=[{}] * 80_000), separators=(",", ":"))))

    assert (reply["statusCode"], body_of(reply)["detail"].partition(":")[0]) == (400, "RequestTooLarge")


def test_every_target_in_an_unknown_region_is_named_at_once(sweep_world: SweepWorld) -> None:
    """By where it is; an extra region of one service is none of another."""
    asked = policy(targets=[{**target, "region": "xx-name-1"} for target in TARGETS.values()])
    asked["targets"].append({**OMS_TARGET, "region": "UPPER"})
    reply = sweep_world.worker(EXTRA_REGIONS='{"otc.dms": ["xx-name-1"]}')(http_post(asked))
    assert reply["statusCode"] == 400

    wanted = [f"/targets/{number}/region" for number, name in enumerate([*TARGETS, "upper"]) if name != "otc_dms"]

    assert re.findall("/targets/[0-9]+/region", body_of(reply)["detail"]) == wanted
    assert sweep_world.aws.names == []


@pytest.mark.parametrize(
    "value", ['{"huawei.omss": ["xx-name-1"]}', '{"huawei.oms": ["xx-name-1"], "x.y": ["a-1"]}', "[]"]
)
def test_extra_regions_of_no_service_stop_the_sweep(sweep_world: SweepWorld, value: str) -> None:
    with pytest.raises(SettingsError, match="EXTRA_REGIONS"):
        sweep_world.worker(EXTRA_REGIONS=value)


def test_a_target_in_an_extra_region_is_listed_and_asked_for_there(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    extra = json.dumps({name.replace("_", ".", 1): ["xx-name-1"] for name in TARGETS})
    targets = [{**target, "region": "xx-name-1"} for target in TARGETS.values()]

    summary = sweep_world.worker(EXTRA_REGIONS=extra)(policy(targets=targets))

    assert (summary["outcome"], summary["totals"]["found"]) == ("requested", len(SEEDS))
    assert {request["region"] for request in sweep_world.requests()} == {"xx-name-1"}


def test_an_invalid_post_tells_every_violation_as_a_member(sweep_world: SweepWorld) -> None:
    """There is no result that could hold them."""
    body = body_of(sweep_world.worker()(http_post(policy(select={"older_than": "7d"}))))

    allowed = "must be a duration in days or hours, an hour at least, such as P7D or PT12H"

    assert body["violations"] == [{"pointer": "/select/older_than", "rule": "pattern", "allowed": allowed}]
    assert body["detail"] == f"SchemaViolation: the request is not valid: /select/older_than {allowed}"


def test_a_post_may_come_in_base64(sweep_world: SweepWorld) -> None:
    body = base64.b64encode(json.dumps(policy()).encode()).decode()
    assert sweep_world.worker()(http_post(body, isBase64Encoded=True))["statusCode"] == 202

    ((event),) = asked_for(sweep_world)

    assert event["detail"]["targets"] == policy()["targets"]


@pytest.mark.parametrize("how", [(400, "AccessDeniedException"), (500, "InternalFailure"), Trouble.RESET])
def test_a_post_that_the_bus_does_not_take_is_not_accepted(sweep_world: SweepWorld, how: Any) -> None:
    sweep_world.aws.failures["PutEvents Sweep Requested"] = Failure(how)

    reply = sweep_world.worker()(http_post(policy(), key="night-1"))

    assert (reply["statusCode"], body_of(reply)["status"]) == (503, 503)
    assert sweep_world.worker()(http_get("night-1"))["statusCode"] == 404, "nobody waits for it"
    sweep_world.aws.failures.clear()
    assert sweep_world.worker()(http_post(policy(), key="night-1"))["statusCode"] == 202
    assert sweep_world.worker()(http_get("night-1"))["statusCode"] == 202


def test_a_post_that_the_bus_may_have_taken_is_told_its_run_id(sweep_world: SweepWorld) -> None:
    """Without a key of one's own, the run would be known to nobody."""
    sweep_world.aws.lost["PutEvents Sweep Requested"] = 1

    reply = sweep_world.worker()(http_post(policy()), timeout=29)

    (event,) = asked_for(sweep_world)
    assert (reply["statusCode"], body_of(reply)["run_id"]) == (503, event["detail"]["run_id"])


BAD_RUN_IDS = ["..", ".", "", "a/b", "../seen", "a b", "a\n", "%2e%2e", "n" * 129, "\u0661", "\ud83d", None, 7, ["a"]]


@pytest.mark.parametrize("run_id", BAD_RUN_IDS, ids=repr)
def test_a_run_id_that_is_none_is_not_looked_up(sweep_world: SweepWorld, run_id: object) -> None:
    reply = sweep_world.worker()(http_get(run_id))

    assert reply["statusCode"] == 400
    assert sweep_world.aws.names == []


@pytest.mark.parametrize("more", [{"rawQueryString": "run_id=other"}, {"rawQueryString": "name=x"}, {"body": "{}x"}])
def test_more_than_a_run_id_is_not_looked_up(sweep_world: SweepWorld, more: Json) -> None:
    assert sweep_world.worker()(http_get("night-1", **more))["statusCode"] == 400
    assert sweep_world.aws.names == []


@pytest.mark.parametrize("step", ["GET summary.json", "GET claim.json"])
@pytest.mark.parametrize("how", [(403, "AccessDenied"), (500, "InternalError"), Trouble.RESET])
def test_a_bucket_that_cannot_be_read_is_not_a_missing_run(sweep_world: SweepWorld, step: str, how: Any) -> None:
    sweep_world.aws.failures[step] = Failure(how)

    reply = sweep_world.worker()(http_get("night-1"))

    assert (reply["statusCode"], "AwsUnavailable" in body_of(reply)["detail"]) == (503, True)


@pytest.mark.parametrize("ending", ["refused", "failed"])
def test_a_bad_end_is_told_as_it_is(sweep_world: SweepWorld, ending: str) -> None:
    sweep_world.seed()
    if ending == "failed":
        sweep_world.aws.failures["PUT index.html"] = Failure((403, "AccessDenied"))
    limits = {"max_tasks": 1 if ending == "refused" else 13, "max_fraction": 0.6}
    sweep_world.worker()(queued(policy(limits=limits), "m-1", receives=3))

    reply = sweep_world.worker()(http_get("m-1"))

    assert (reply["statusCode"], body_of(reply)["outcome"]) == (200, ending)


# -- a report that cannot be applied ------------------------------------------------


def _unplanned(sweep_world: SweepWorld, what: str) -> Json:
    """A request to apply something that is no plan."""
    if what == "no such report":
        return {"apply_report": "reports/unseen/report.json", "sha256": NO_DIGEST}
    if what == "refused":
        sweep_world.worker()(policy(run_id="seen", limits={"max_tasks": 1}))
        return apply(sweep_world, "reports/seen/report.json")
    request = apply(sweep_world, new_report(sweep_world))
    if what == "another digest":
        return {**request, "sha256": NO_DIGEST}
    if what == "applied already":
        sweep_world.worker()({**request, "run_id": "applied"})
    elif what == "a day old":
        sweep_world.pass_time(DAY + 60)
    return request


@pytest.mark.parametrize(
    ("what", "status", "code"),
    [
        ("no such report", 404, "ReportNotFound"),
        ("another digest", 412, "ReportChanged"),
        ("refused", 409, "ReportNotAPlan"),
        ("applied already", 409, "AlreadyApplied"),
        ("a day old", 409, "PlanTooOld"),
    ],
)
def test_a_report_that_cannot_be_applied_is_refused_at_once(
    sweep_world: SweepWorld, what: str, status: int, code: str
) -> None:
    sweep_world.seed()
    request = _unplanned(sweep_world, what)

    reply = sweep_world.worker()(http_post(request, key="applies"))

    assert (reply["statusCode"], body_of(reply)["detail"].partition(":")[0]) == (status, code)
    assert asked_for(sweep_world) == []
    assert sweep_world.worker()(http_get("applies"))["statusCode"] == 404


def test_a_post_that_is_refused_does_not_take_its_run_id(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    key = new_report(sweep_world)
    wrong = {"apply_report": key, "sha256": NO_DIGEST}
    assert sweep_world.worker()(http_post(wrong, key="night-1"))["statusCode"] == 412

    assert sweep_world.worker()(http_post(apply(sweep_world, key), key="night-1"))["statusCode"] == 202


# -- in time ------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_an_aws_that_takes_its_time_is_not_waited_for(sweep_world: SweepWorld, method: str) -> None:
    """The HTTP API gives up after 30 seconds; what is put on the bus after that is a run that nobody knows of."""
    sweep_world.aws.on_call = lambda _: sweep_world.pass_time(12)

    event = http_post(policy(), key="night-1") if method == "POST" else http_get("night-1")
    reply = sweep_world.worker()(event, timeout=900)

    assert (reply["statusCode"], "AwsUnavailable: AWS refused a call (Timeout)" in body_of(reply)["detail"]) == (
        503,
        True,
    )
    assert len(sweep_world.aws.names) <= 3
    assert asked_for(sweep_world) == []


def test_a_run_that_comes_again_has_not_ended(sweep_world: SweepWorld) -> None:
    """Who polls must not take its failure for the end, and start another sweep."""
    sweep_world.seed()
    sweep_world.aws.untaken = {sorted(PLANNED)[0][1]: 6}
    assert sweep_world.worker()(queued(policy(), "night-1")) != DONE

    reply = sweep_world.worker()(http_get("night-1"))
    told = body_of(reply)

    assert (reply["statusCode"], told["state"], told["error"]["code"]) == (202, "trying_again", "RequestsNotTaken")
    assert sweep_world.worker()(queued(policy(), "night-1", receives=2)) == DONE
    assert body_of(sweep_world.worker()(http_get("night-1")))["outcome"] == "requested"


@pytest.mark.parametrize("earlier", ["failed", "refused"])
def test_a_run_that_was_redriven_is_not_over(sweep_world: SweepWorld, earlier: str) -> None:
    """While its worker sends requests, neither `GET` nor the same `POST` calls it over."""
    sweep_world.seed()
    if earlier == "failed":
        sweep_world.aws.untaken = {sorted(PLANNED)[0][1]: 6}
    else:
        sweep_world.aws.secrets["gone"] = sweep_world.aws.secrets.pop("task-cleanup/huawei/default")
    worker = sweep_world.worker()
    worker(queued(policy(), "night-1", receives=3))
    assert body_of(worker(http_get("night-1")))["outcome"] == earlier
    if earlier == "refused":
        sweep_world.aws.secrets["task-cleanup/huawei/default"] = sweep_world.aws.secrets.pop("gone")
    seen: list[Json] = []

    def look() -> None:
        seen.extend(
            sweep_world.worker()(event) for event in (http_get("night-1"), http_post(policy(), key="night-1"))
        )

    meanwhile(sweep_world, "PutEvents Task Cleanup Requested", look)
    sent = {"origin_id": "night-1", "origin_time": sample("eventbridge")["time"]}
    sweep_world.worker()(queued(policy(), "night-1", receives=1, attributes=sent))

    assert [reply["statusCode"] for reply in seen] == [202, 202]
    assert body_of(seen[0]) == {"run_id": "night-1", "state": "running"}
    assert body_of(worker(http_get("night-1")))["outcome"] == "requested"


def test_a_run_whose_worker_died_does_not_run(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    sweep_world.aws.cut(9, after=True)
    sweep_world.worker()(queued(policy(), "night-1", receives=3))
    sweep_world.aws.restore()
    states = [body_of(sweep_world.worker()(http_get("night-1")))["state"]]
    sweep_world.pass_time(10 * DAY)

    reply = sweep_world.worker()(http_get("night-1"))

    states.append(body_of(reply)["state"])
    assert (reply["statusCode"], states) == (202, ["running", "interrupted"])


def test_a_request_that_expired_in_the_queue_is_over(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    worker = sweep_world.worker()
    worker(http_post(policy(), key="night-1"))
    (event,) = asked_for(sweep_world)
    sweep_world.pass_time(DAY + 60)

    assert worker(message(event)) == DONE

    reply = worker(http_get("night-1"))
    told = body_of(reply)
    assert (reply["statusCode"], told["outcome"], told["refusals"][0]["code"]) == (200, "refused", "Expired")
    assert told == {**sweep_world.summaries()[-1][1], "results": None}
    assert sweep_world.requests() == []


def test_a_request_that_expired_does_not_end_the_same_one_that_was_sent_later(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    worker, request = sweep_world.worker(), policy(limits={"max_tasks": 99, "max_fraction": 1})
    worker(http_post(request, key="night-1"))
    sweep_world.pass_time(DAY + 60)
    worker(http_post(request, key="night-1"))
    first, second = asked_for(sweep_world)
    second["time"] = rfc3339(sweep_world.system.now())

    assert worker(message(first, message_id="m-1")) == DONE
    assert worker(message(second, message_id="m-2")) == DONE

    assert body_of(worker(http_get("night-1")))["outcome"] == "requested"


def test_a_failed_run_whose_next_delivery_has_expired_is_over(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    sweep_world.pass_time(DAY - 600)
    sweep_world.aws.failures["PUT report.json"] = Failure((503, "SlowDown"), times=9)
    sweep_world.worker()(queued(policy(), "night-1"))
    assert body_of(sweep_world.worker()(http_get("night-1")))["state"] == "trying_again"
    sweep_world.pass_time(1020)

    assert sweep_world.worker()(queued(policy(), "night-1", receives=2)) == DONE

    told = body_of(sweep_world.worker()(http_get("night-1")))
    assert (told["outcome"], told["refusals"][0]["code"], told["final"]) == ("refused", "Expired", True)


def test_a_failure_of_the_last_delivery_is_an_end(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    sweep_world.aws.untaken = {sorted(PLANNED)[0][1]: 99}
    for receives in (1, 2, 3):
        sweep_world.worker()(queued(policy(), "night-1", receives=receives))

    reply = sweep_world.worker()(http_get("night-1"))

    assert (reply["statusCode"], body_of(reply)["outcome"], body_of(reply)["final"]) == (200, "failed", True)
    assert body_of(reply)["totals"]["requested"] == len(PLANNED) - 1


def test_the_run_id_of_a_coming_night_cannot_be_taken(sweep_world: SweepWorld) -> None:
    run_id = run_id_of(sample("schedule")["id"])

    assert run_id.startswith("schedule.")
    assert sweep_world.worker()(http_post(policy(run_id=run_id)))["statusCode"] == 400
    assert sweep_world.worker()(http_post(policy(), key=run_id))["statusCode"] == 400
    assert sweep_world.worker()(http_get(run_id))["statusCode"] == 404, "but it can be asked for"
