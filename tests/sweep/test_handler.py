"""The sweep's handler: every trigger in and out, what is published, logged and counted, and what no one may see."""

import base64
import json
import re
import time
from collections import Counter
from typing import Any

import pytest

from local.aws.lambdas import Context, load_handler
from task_cleanup.settings import SettingsError
from task_cleanup.sweep.handler import SweepFailedError
from task_cleanup.sweep.run import run_id_of
from tests.support.aws import Trouble
from tests.support.functions import EVENTS
from tests.support.handler_world import BUS
from tests.support.identities import fake_secret
from tests.support.readable import unreadable
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
    bridge_event,
    check_shape,
    http_get,
    http_post,
    message,
    policy,
    queued,
    sample,
)

DONE: Json = {"batchItemFailures": []}
EVENT_ID = "6f1d2c1e-0b7a-4d0e-9a53-1c6f1f2e0041"
SCHEDULED_RUN = run_id_of(sample("schedule")["id"])
SCHEDULE_ARN = sample("schedule")["resources"][0]
CALLER_ARN = sample("http")["requestContext"]["authorizer"]["iam"]["userArn"]
REQUEST_ID = "11111111-2222-4333-8444-555555555501"
SENT = "2026-11-21T08:30:00.000Z"


def scheduled(request: Json) -> Json:
    """What a schedule sends."""
    return {**sample("schedule"), "detail": request}


def plain(request: object) -> Json:
    """A plain body that tells its time by an attribute, as one does that a function moved."""
    return message(request, message_id="m-1", attributes={"origin_time": SENT})


# trigger -> (event, run id, who asked, whether a good end is published)
ARRIVALS: dict[str, tuple[Any, str, str | None, bool]] = {
    "direct": (lambda request: request, REQUEST_ID, None, False),
    "eventbridge": (bridge_event, EVENT_ID, "com.example.migrations", True),
    "eventbridge_text": (lambda request: bridge_event(json.dumps(request)), EVENT_ID, "com.example.migrations", True),
    "schedule": (scheduled, SCHEDULED_RUN, SCHEDULE_ARN, True),
    "queue": (plain, "m-1", "AIDAIENQZJOLO23YVJ4VO", True),
    "queue_event": (lambda request: message(bridge_event(request)), EVENT_ID, "com.example.migrations", True),
    "queue_schedule": (lambda request: message(scheduled(request)), SCHEDULED_RUN, SCHEDULE_ARN, True),
}
every_trigger = pytest.mark.parametrize("trigger", ARRIVALS)


@every_trigger
def test_every_trigger_starts_a_sweep_once(sweep_world: SweepWorld, trigger: str) -> None:
    sweep_world.seed()
    build, run_id, requested_by, published = ARRIVALS[trigger]
    event, worker = build(policy()), sweep_world.worker()

    reply = worker(event, request_id=REQUEST_ID)

    summary = sweep_world.aws.document(f"reports/{run_id}/summary.json")
    assert (summary["outcome"], summary["requested_by"]) == ("requested", requested_by)
    assert summary["report"] == {
        "bucket": BUCKET,
        "json": f"reports/{run_id}/report.json",
        "html": f"reports/{run_id}/index.html",
    }
    assert Counter(sweep_world.requested()) == Counter(PLANNED)
    assert sweep_world.summaries() == ([("Sweep Completed", summary)] if published else [])
    assert reply == (DONE if trigger.startswith("queue") else summary)
    _check_seen_once(sweep_world, summary)

    worker(event, request_id=REQUEST_ID)  # delivered twice

    assert Counter(sweep_world.requested()) == Counter(PLANNED)
    assert len(sweep_world.summaries()) == published
    _check_seen_once(sweep_world, summary)
    assert [line["run_id"] for line in sweep_world.log_lines() if "has ended already" in line["message"]] == [run_id]


def _check_seen_once(sweep_world: SweepWorld, summary: Json) -> None:
    assert sweep_world.sweep_logs() == [
        {name: value for name, value in summary.items() if name not in {"targets", "policy"}}
    ]
    (metrics,) = sweep_world.sweep_metrics()
    outcome, totals = summary["outcome"], summary["totals"]
    expected = {
        "Runs": 1,
        "Refused": outcome == "refused",
        "Failed": outcome == "failed",
        "TasksFound": totals["found"],
        "TasksSelected": totals["selected"],
        "TasksRequested": totals["requested"],
        "TasksNotRequested": totals["failed"],
        "TargetsIncomplete": 0,
    }
    assert {name: metrics[name] for name in expected} == {name: [float(value)] for name, value in expected.items()}


@pytest.mark.parametrize(
    ("step", "gone", "request_", "counted"),
    [
        ("", "", policy(limits={"max_tasks": 1, "max_fraction": 1}), {"Refused": 1}),
        ("PUT claim.json", "", policy(), {"Failed": 1}),
        ("", "huawei", policy(mode="report"), {"TargetsIncomplete": 2}),
    ],
    ids=["refused", "failed", "incomplete"],
)
def test_what_the_alarms_look_at_is_counted(
    sweep_world: SweepWorld, step: str, gone: str, request_: Json, counted: dict[str, int]
) -> None:
    """An alarm that sees zeros for ever is a failure that nobody hears of."""
    sweep_world.seed()
    sweep_world.aws.failures[step] = Failure((403, "AccessDenied"))
    sweep_world.aws.secrets.pop(f"task-cleanup/{gone}/default", None)
    sweep_world.worker()(request_)
    (metrics,) = sweep_world.sweep_metrics()

    names = ("Refused", "Failed", "TargetsIncomplete")

    assert {name: metrics[name] for name in names} == {name: [float(counted.get(name, 0))] for name in names}


@pytest.mark.parametrize("name", sorted(path.stem for path in (EVENTS / "sweep").glob("*.json")))
def test_every_sample_event_is_understood(sweep_world: SweepWorld, name: str) -> None:
    sweep_world.seed()
    reply = sweep_world.worker()(sample(name))

    if name.startswith("http"):
        assert reply["statusCode"] == (202 if name == "http" else 404)
    else:
        assert sweep_world.sweep_logs()[0]["outcome"] == "reported"
        assert reply == DONE or reply["totals"]["found"] == len(SEEDS)

    assert sweep_world.requests() == []


def test_the_app_itself_sweeps(sweep_world: SweepWorld) -> None:
    """With the machine's own clock: what is listed is younger by no more than a moment."""
    handler = load_handler("sweep", sweep_world.variables())
    sweep_world.cloud.clock.reset()

    reply = handler(policy(targets=[OMS_TARGET]), Context("run-1", time.monotonic() + 60))

    check_shape(reply)
    assert reply["outcome"] == "requested"


@pytest.mark.parametrize("name", ["REPORT_BUCKET", "EVENT_BUS_NAME"])
def test_without_a_bucket_or_a_bus_it_does_not_start(sweep_world: SweepWorld, name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        sweep_world.worker(**{name: ""})


# -- what fails ------------------------------------------------

INVALID: dict[str, Any] = {
    "no target": policy(targets=[]),
    "unknown member": policy(selct={"older_than": "P1D"}),
    "no select": policy(select=None),
    "not a request": ["sweep"],
    "a word": "sweep",
    "an unknown region": policy(targets=[OMS_TARGET, {**ES_TARGET, "region": "atlantis-1"}], mode="apply"),
}


@pytest.mark.parametrize("what", INVALID)
@pytest.mark.parametrize("trigger", ["direct", "eventbridge", "queue"])
def test_an_invalid_request_is_refused_told_and_kept(sweep_world: SweepWorld, trigger: str, what: str) -> None:
    build, run_id, _, _ = ARRIVALS[trigger]
    event = build(INVALID[what])
    if trigger == "direct" and not isinstance(event, dict):
        return  # the same as for an object: a direct event has no envelope
    reply = sweep_world.worker()(event, request_id=REQUEST_ID)
    (logged,) = sweep_world.sweep_logs()
    assert (logged["outcome"], logged["run_id"], logged["report"]) == ("refused", run_id, None)
    # Of a direct request, too: nothing tells whether anybody waits for the reply.
    assert [kind for kind, _ in sweep_world.summaries()] == ["Sweep Refused"]
    assert (sweep_world.requests(), sweep_world.aws.objects, sweep_world.cloud.journal.entries()) == ([], {}, [])
    if trigger != "queue":
        check_shape(reply)
        return
    assert reply == DONE
    _check_moved(sweep_world, event, logged)


def _check_moved(sweep_world: SweepWorld, event: Json, logged: Json) -> None:
    (moved,) = sweep_world.aws.messages
    (record,) = event["Records"]
    attributes = {name: item["StringValue"] for name, item in moved["MessageAttributes"].items()}
    assert moved["MessageBody"] == record["body"]
    assert json.loads(attributes.pop("result")) == logged
    assert attributes == {"origin_id": logged["run_id"], "origin_time": SENT}


@pytest.mark.parametrize("body", ["", "{", "not json", '{"name": "a", "name": "b"}', '{"name": NaN}', "[" * 5000])
def test_a_message_that_cannot_be_read_is_refused_told_and_kept(sweep_world: SweepWorld, body: str) -> None:
    assert sweep_world.worker()(message(body)) == DONE

    ((kind, end),) = sweep_world.summaries()

    assert (kind, [refusal["code"] for refusal in end["refusals"]]) == ("Sweep Refused", ["UnreadableRequest"])
    assert len(sweep_world.aws.messages) == 1


def test_a_refused_sweep_stands_in_the_dead_letter_queue_and_can_be_sent_back(sweep_world: SweepWorld) -> None:
    """Sent back, it looks anew: the limit held this time."""
    sweep_world.seed()
    event = plain(policy(limits={"max_tasks": 12, "max_fraction": 0.6}))
    assert sweep_world.worker()(event) == DONE
    (logged,) = sweep_world.sweep_logs()
    _check_moved(sweep_world, event, logged)
    assert sweep_world.worker()(event) == DONE, "a second delivery changes nothing"
    assert len(sweep_world.summaries()) == 1
    refused = policy(limits={"max_tasks": 12, "max_fraction": 0.6})
    early = message(refused, message_id="m-1b", attributes={"origin_id": "m-1"})
    assert sweep_world.worker()(early) == DONE, "sent back too early, it is the same run, and refused once more"
    assert {moved["MessageAttributes"]["origin_id"]["StringValue"] for moved in sweep_world.aws.messages} == {"m-1"}
    sweep_world.cloud.huawei_oms.places[("0123456789abcdef0123456789abcdef",)].remove("1001")

    body = json.loads(event["Records"][0]["body"])
    back = message(body, message_id="m-2", attributes={"origin_id": "m-1", "origin_time": SENT})
    assert sweep_world.worker()(back) == DONE

    assert Counter(sweep_world.requested()) == Counter(PLANNED - {("huawei_oms", "1001")})
    assert [kind for kind, _ in sweep_world.summaries()] == ["Sweep Refused", "Sweep Refused", "Sweep Completed"]


def test_an_event_is_given_back_to_lambda_while_it_may_end_better(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    sweep_world.aws.failures["PUT report.json"] = Failure((503, "SlowDown"), times=1)

    worker = sweep_world.worker()

    with pytest.raises(SweepFailedError, match="StoreError"):
        worker(bridge_event(policy()))
    assert (sweep_world.requests(), sweep_world.summaries()) == ([], [])
    assert worker(bridge_event(policy()))["outcome"] == "requested"
    assert [kind for kind, _ in sweep_world.summaries()] == ["Sweep Completed"]


def test_an_end_that_no_event_can_hold_is_told_in_brief(sweep_world: SweepWorld) -> None:
    """Two lists of long names, and sixty targets without their secrets."""
    names = [f"{number:02d}" + "\u79fb" * 254 for number in range(100)]
    targets = [{**OMS_TARGET, "account": f"gone-{number}"} for number in range(60)]
    request = policy(targets=targets, select={"older_than": "P7D", "names": names}, protect={"names": names})

    assert sweep_world.worker()(queued(request)) == DONE

    ((kind, end),) = sweep_world.summaries()
    assert (kind, end["outcome"], end["targets"], end["policy"]) == ("Sweep Refused", "refused", [], None)
    assert [refusal["code"] for refusal in end["refusals"]] == ["ListFailed"] * 20 + ["More"]
    assert end["refusals"][-1]["message"].startswith("40 more")
    assert all(len(event["Detail"]) < 200_000 for event in sweep_world.aws.events)
    (moved,) = sweep_world.aws.messages
    assert len(moved["MessageAttributes"]["result"]["StringValue"]) < 20_000
    whole = sweep_world.aws.document(end["report"]["json"])
    assert (len(whole["refusals"]), len(whole["targets"])) == (60, 60)


def test_where_nobody_counts_receives_a_failure_comes_again(sweep_world: SweepWorld) -> None:
    sweep_world.aws.failures["PUT claim.json"] = Failure((403, "AccessDenied"))

    worker = sweep_world.worker(MAX_RECEIVES="")

    assert worker(queued(policy(), receives=9)) != DONE
    assert (sweep_world.summaries(), sweep_world.aws.messages) == ([], [])


@pytest.mark.parametrize("empty", ["DEAD_LETTER_QUEUE_URL", "MAX_RECEIVES"])
def test_where_a_refused_message_cannot_be_moved_it_stays_untold(sweep_world: SweepWorld, empty: str) -> None:
    """Each receive would publish it again. Its queue moves it at last, as with any function."""
    worker = sweep_world.worker(**{empty: ""})

    assert worker(message(policy(targets=[]))) != DONE

    assert (sweep_world.summaries(), sweep_world.aws.messages) == ([], [])


@pytest.mark.parametrize("trouble", [Trouble.DOWN, Trouble.RESET])
def test_a_failed_message_that_cannot_be_moved_comes_again(sweep_world: SweepWorld, trouble: Trouble) -> None:
    sweep_world.seed()
    request = policy(limits={"max_tasks": 1, "max_fraction": 1})
    how: Trouble | tuple[int, str] = (400, "AccessDenied") if trouble is Trouble.DOWN else trouble
    sweep_world.aws.failures["SendMessage"] = Failure(how)
    assert sweep_world.worker()(queued(request)) != DONE

    sweep_world.aws.failures.clear()

    assert sweep_world.worker()(queued(request, receives=2)) == DONE
    assert [kind for kind, _ in sweep_world.summaries()] == ["Sweep Refused"]
    assert len(sweep_world.aws.messages) == 1


@pytest.mark.parametrize("step", ["PutEvents Sweep Completed", "PutEvents Task Cleanup Requested"])
def test_a_bus_that_answers_with_something_else_has_taken_nothing(sweep_world: SweepWorld, step: str) -> None:
    sweep_world.seed()
    sweep_world.aws.failures[step] = Failure(Trouble.GARBAGE)
    assert sweep_world.worker()(queued(policy())) != DONE
    stored = sweep_world.aws.document(f"reports/{sweep_world.sweep_logs()[0]['run_id']}/summary.json")
    sent = 0 if "Task" in step else len(PLANNED)
    assert (stored["totals"]["requested"], stored["totals"]["failed"]) == (sent, len(PLANNED) - sent)

    sweep_world.aws.failures.clear()

    assert sweep_world.worker()(queued(policy(), receives=2)) == DONE
    assert Counter(sweep_world.requested()) == Counter(PLANNED)


def test_one_record_that_nobody_foresaw_does_not_fail_the_others(
    sweep_world: SweepWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep_world.seed()
    event = message(policy(mode="report"), message_id="good")
    event["Records"] += message(policy(mode="report"), message_id="bad")["Records"]
    worker = sweep_world.worker()
    publish = worker.handler._publish  # type: ignore[attr-defined]

    def broken(ended: Any) -> None:
        if ended.run_id == "bad":
            raise ZeroDivisionError("text that may hold anything")
        publish(ended)

    monkeypatch.setattr(worker.handler, "_publish", broken)
    assert worker(event) == {"batchItemFailures": [{"itemIdentifier": "bad"}]}
    assert "anything" not in sweep_world.output + json.dumps(sweep_world.log_lines())
    assert [end["run_id"] for _, end in sweep_world.summaries()] == ["good"]


# -- over HTTP ------------------------------------------------


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

    told: list[Json] = []
    sweep_world.aws.on_call = lambda name: (
        told.append(worker(http_get("night-1"))) if name == "PUT index.html" else None
    )
    assert worker(message(event)) == DONE

    assert [(reply["statusCode"], body_of(reply)["state"]) for reply in told] == [(202, "running")]
    assert told[0]["headers"]["Retry-After"] == "10"
    ((kind, end),) = sweep_world.summaries()
    assert (kind, end["run_id"], end["requested_by"]) == ("Sweep Completed", "night-1", CALLER_ARN)
    assert Counter(sweep_world.requested()) == Counter(PLANNED)
    shown = worker(http_get("night-1"))
    assert (shown["statusCode"], body_of(shown)) == (200, end)


def test_a_report_is_seen_and_then_applied_over_http(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    worker = sweep_world.worker()
    worker(http_post(policy(mode="report"), key="seen"))
    worker(message(asked_for(sweep_world)[0]))
    key = body_of(worker(http_get("seen")))["report"]["json"]
    sweep_world.pass_time(3600)

    reply = worker(http_post({"apply_report": key, "protect": {"task_ids": [1001]}}, key="applied"))

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
    assert again["statusCode"] == 202
    assert len(asked_for(sweep_world)) == (2 if earlier == "http" else 1)


def test_without_a_key_each_post_is_a_run_of_its_own(sweep_world: SweepWorld) -> None:
    worker = sweep_world.worker()
    events = [http_post(policy()), http_post(policy())]
    events[1]["requestContext"]["requestId"] = "JKJaXmPLvHcESH7="

    run_ids = [body_of(worker(event))["run_id"] for event in events]

    assert len(set(run_ids)) == 2
    assert [event["detail"]["run_id"] for event in asked_for(sweep_world)] == run_ids


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
    "a report elsewhere": http_post({"apply_report": "reports/../x/report.json"}),
    "a report and a policy": http_post({**policy(), "apply_report": "reports/x/report.json"}),
}


@pytest.mark.parametrize("what", BAD_POSTS)
def test_an_invalid_post_is_answered_at_once_and_asks_for_nothing(sweep_world: SweepWorld, what: str) -> None:
    reply = sweep_world.worker()(BAD_POSTS[what])

    assert (reply["statusCode"], reply["headers"]["Content-Type"]) == (400, "application/problem+json")
    assert body_of(reply)["type"] == "urn:task-cleanup:problem:invalid_request"
    assert unreadable(body_of(reply)["detail"]) == []
    assert sweep_world.aws.names == []


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

    allowed = "must be a duration in days or hours, such as P7D or PT12H"

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
    sweep_world.worker()(queued(policy(limits=limits), "m-1"))

    reply = sweep_world.worker()(http_get("m-1"))

    assert (reply["statusCode"], body_of(reply)["outcome"]) == (200, ending)


# -- secrecy ------------------------------------------------


def test_no_secret_goes_anywhere_and_no_name_of_a_task_leaves_the_bucket(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    sweep_world.worker()(queued(policy()))
    sweep_world.rotate_key("otc")
    sweep_world.worker()(queued(policy(), "m-2"))
    sweep_world.worker()(message(policy(run_id="x y")))

    sweep_world.log_lines()
    told = sweep_world.output + json.dumps([*sweep_world.aws.events, *sweep_world.aws.messages])
    kept = b"".join(body for _, body in sweep_world.aws.history).decode()
    assert len(sweep_world.summaries()) == 3
    for provider in ("alibaba", "huawei", "otc"):
        secret = fake_secret(provider)
        for word in (secret["secret_access_key"], secret["security_token"], "Signature=", "SDK-HMAC", "ACS3-HMAC"):
            assert word not in told + kept
    names = {str(seed.get("name") or seed.get("source_index")) for seed, _ in SEEDS}
    assert [name for name in names if name in told] == []
    assert all(json.dumps(name) in kept for name in names)
