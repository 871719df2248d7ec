"""The sweep's handler: every trigger in and out, what is published, logged and counted, and what no one may see."""

import hashlib
import json
import time
from collections import Counter
from typing import Any

import pytest

from local.aws.lambdas import Context, load_handler
from task_cleanup.settings import SettingsError
from task_cleanup.sweep.claims import run_id_of
from task_cleanup.sweep.handler import SweepFailedError
from tests.support.aws import Trouble
from tests.support.functions import EVENTS
from tests.support.identities import fake_secret
from tests.support.sweep_world import (
    BUCKET,
    ES_TARGET,
    OMS_TARGET,
    PLANNED,
    SEEDS,
    Failure,
    Json,
    SweepWorld,
    bridge_event,
    check_shape,
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
        "sha256": hashlib.sha256(sweep_world.aws.objects[f"reports/{run_id}/report.json"].body).hexdigest(),
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
        {name: value for name, value in summary.items() if name not in {"targets", "policy", "guards"}}
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


def test_a_failure_that_comes_again_by_itself_rings_no_alarm(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    sweep_world.aws.failures["PUT report.json"] = Failure((403, "AccessDenied"))

    for receives in (1, 2, 3):
        sweep_world.worker()(queued(policy(), receives=receives))

    assert [metrics["Failed"] for metrics in sweep_world.sweep_metrics()] == [[0.0], [0.0], [1.0]]


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


# -- secrecy ------------------------------------------------


def test_no_secret_goes_anywhere_and_names_of_tasks_only_into_requests(
    sweep_world: SweepWorld,
) -> None:
    sweep_world.seed()
    sweep_world.worker()(queued(policy()))
    sweep_world.rotate_key("otc")
    sweep_world.worker()(queued(policy(), "m-2"))
    sweep_world.worker()(message(policy(run_id="x y")))

    sweep_world.log_lines()
    others = [event for event in sweep_world.aws.events if event["DetailType"] != "Task Cleanup Requested"]
    told = sweep_world.output + json.dumps([*others, *sweep_world.aws.messages])
    kept = b"".join(body for _, body in sweep_world.aws.history).decode()
    assert len(sweep_world.summaries()) == 3
    for provider in ("alibaba", "huawei", "otc"):
        secret = fake_secret(provider)
        for word in (secret["secret_access_key"], secret["security_token"], "Signature=", "SDK-HMAC", "ACS3-HMAC"):
            assert word not in told + kept
    names = {str(seed.get("name") or seed.get("source_index")) for seed, _ in SEEDS}
    assert [name for name in names if name in told] == []
    assert all(json.dumps(name) in kept for name in names)
