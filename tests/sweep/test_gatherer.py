"""The gatherer's handler on loopback: what it gathers, what it ignores, and what must come again."""

import json
from typing import Any

import pytest

from local.aws.lambdas import load_handler
from task_cleanup.settings import SettingsError
from tests.support.functions import EVENTS
from tests.support.results_world import RUN, batch, result, run_documents
from tests.support.sweep_runs import deliver, meanwhile
from tests.support.sweep_world import LEASE_SECONDS, PLANNED, Failure, Json, SweepWorld, http_get, policy, queued

DONE: Json = {"batchItemFailures": []}
RESULTS = f"results/{RUN}/results.json"
FINISHED = "Sweep Finished"


def begun(world: SweepWorld, number: int, run_id: str = RUN) -> None:
    """The sweep has requested this many deletes."""
    for name, document in run_documents(number).items():
        world.aws.put_document(f"reports/{run_id}/{name}", document)


def finished(world: SweepWorld) -> list[Json]:
    """The details of every ``Sweep Finished``."""
    return [json.loads(event["Detail"]) for event in world.aws.events if event["DetailType"] == FINISHED]


def succeeded(requests: list[Json]) -> list[Json]:
    """The result of each of a sweep's requests, as its operation makes it."""
    names = ("account", "region", "project_id", "instance_id", "task_id")
    return [
        {
            **result(0),
            "operation": it["operation"],
            "correlation_id": it["correlation_id"],
            "target": {
                **dict(zip(("provider", "service"), it["operation"].split("."), strict=False)),
                **{name: it[name] for name in names if name in it},
            },
        }
        for it in requests
    ]


def came_again(reply: Json) -> list[str]:
    """The messages that the reply names."""
    return [item["itemIdentifier"] for item in reply["batchItemFailures"]]


def test_a_batch_is_gathered_and_the_last_one_finishes_the_run(sweep_world: SweepWorld) -> None:
    begun(sweep_world, 3)
    gatherer = sweep_world.gatherer()

    assert gatherer(batch([result(0), result(1, "failed", "Denied")])) == DONE
    assert finished(sweep_world) == []
    assert gatherer(batch([result(2)])) == DONE

    (told,) = finished(sweep_world)
    assert (told["requested"], told["succeeded"], told["failed"], told["by_cause"]) == (3, 2, 1, {"Denied": 1})
    assert (told["run_id"], told["name"], told["waiting"]) == (RUN, "nightly", 0)
    assert len(sweep_world.aws.document(RESULTS)["results"]) == 3
    page = sweep_world.aws.objects[f"results/{RUN}/index.html"]
    assert page.content_type == "text/html; charset=utf-8"
    assert "Finished: 3 requests, 1 failed" in page.body.decode()


def test_results_of_two_runs_in_one_batch_go_apart(sweep_world: SweepWorld) -> None:
    begun(sweep_world, 1)
    begun(sweep_world, 1, "run-2")

    sweep_world.gatherer()(batch([result(0), {**result(0, "failed", "Denied"), "correlation_id": "run-2"}]))

    assert [it["failed"] for it in finished(sweep_world)] == [0, 1]


@pytest.mark.parametrize(
    "foreign",
    [
        None,
        "text",
        [],
        {},
        {**result(0), "target": {"provider": "otc", "service": "dms"}},
        {**result(0), "outcome": "deleted"},
        {**result(0), "correlation_id": "../../reports/run-1"},
        {**result(0), "correlation_id": "migration 42"},
        {**result(0), "correlation_id": "another-run"},
    ],
    ids=repr,
)
def test_what_is_no_result_of_a_run_is_logged_and_never_comes_again(sweep_world: SweepWorld, foreign: Any) -> None:
    begun(sweep_world, 2)
    sweep_world.aws.put_document("reports/migration%2042/claim.json", {})  # no run has such an id, whatever is there
    before = set(sweep_world.aws.objects)

    assert sweep_world.gatherer()(batch([foreign, result(0)])) == DONE

    assert set(sweep_world.aws.objects) - before == {RESULTS, f"results/{RUN}/index.html"}
    (line,) = [line for line in sweep_world.log_lines() if line["message"] == "results ignored"]
    assert line["results"] == 1


def test_a_body_that_is_no_json_is_ignored(sweep_world: SweepWorld) -> None:
    event = batch([result(0)])
    event["Records"][0]["body"] = "{"

    assert sweep_world.gatherer()(event) == DONE


def test_a_bucket_that_refuses_makes_only_its_runs_results_come_again(sweep_world: SweepWorld) -> None:
    begun(sweep_world, 1)
    begun(sweep_world, 1, "run-2")
    gatherer = sweep_world.gatherer()
    sweep_world.aws.failures["PUT results.json"] = Failure((503, "SlowDown"), times=1)
    event = batch([result(0), {**result(0), "correlation_id": "run-2"}])

    assert came_again(gatherer(event)) == ["m-0"]
    assert [it["run_id"] for it in finished(sweep_world)] == ["run-2"]
    assert gatherer(event) == DONE
    assert [it["run_id"] for it in finished(sweep_world)] == ["run-2", RUN]


def test_a_lost_answer_to_a_merge_is_no_conflict(sweep_world: SweepWorld) -> None:
    begun(sweep_world, 1)
    gatherer = sweep_world.gatherer()
    sweep_world.aws.lost["PUT results.json"] = 1

    assert came_again(gatherer(batch([result(0)]))) == ["m-0"]
    assert gatherer(batch([result(0)])) == DONE

    assert len(finished(sweep_world)) == 1


def test_a_bus_that_refuses_is_asked_again(sweep_world: SweepWorld) -> None:
    begun(sweep_world, 1)
    gatherer = sweep_world.gatherer()
    sweep_world.aws.failures[f"PutEvents {FINISHED}"] = Failure((500, "InternalFailure"), times=1)

    assert came_again(gatherer(batch([result(0)]))) == ["m-0"]
    sweep_world.pass_time(360)
    assert gatherer(batch([result(0)])) == DONE

    assert len(finished(sweep_world)) == 1


def test_a_worker_that_dies_anywhere_loses_and_doubles_nothing(sweep_world: SweepWorld) -> None:
    """At each of its calls, before and after AWS has heard of it."""
    told = []
    for after in (False, True):
        for number in range(1, 30):
            sweep_world.aws.reset()
            begun(sweep_world, 1)
            gatherer = sweep_world.gatherer()
            sweep_world.aws.cut(number, after=after)
            gatherer(batch([result(0)]))
            died = sweep_world.aws.is_cut
            sweep_world.aws.restore()
            sweep_world.pass_time(360)
            assert gatherer(batch([result(0)])) == DONE
            ends = finished(sweep_world)
            assert 1 <= len(ends) <= 2
            assert len({json.dumps(it) for it in ends}) == 1
            assert ends[0]["succeeded"] == 1
            told.append(len(ends))
            if not died:
                break
    assert told.count(2) <= 3  # only those that died between the event and the mark


def test_what_has_no_time_left_comes_again(sweep_world: SweepWorld) -> None:
    begun(sweep_world, 1)

    reply = sweep_world.gatherer()(batch([result(0)]), timeout=15)

    assert came_again(reply) == ["m-0"]
    assert RESULTS not in sweep_world.aws.objects


def test_five_thousand_results_of_one_batch_are_gathered_in_few_calls(sweep_world: SweepWorld) -> None:
    number = 5_000
    begun(sweep_world, number)
    gatherer = sweep_world.gatherer()
    sweep_world.aws.names.clear()

    assert gatherer(batch([result(it) for it in range(number)])) == DONE

    assert [it["succeeded"] for it in finished(sweep_world)] == [number]
    assert len(sweep_world.aws.names) < 20


def test_counts_go_into_metrics(sweep_world: SweepWorld) -> None:
    begun(sweep_world, 2)

    sweep_world.gatherer()(batch([result(0), {}]))

    (line,) = [line for line in sweep_world.metric_lines() if line.get("operation") == "sweep_results"]
    assert [line[name] for name in ("ResultsGathered", "ResultsIgnored", "ResultsDeferred")] == [[1.0], [1.0], [0.0]]


def test_the_end_is_one_log_line_and_one_metric_with_the_events_counts(sweep_world: SweepWorld) -> None:
    begun(sweep_world, 2)
    gatherer = sweep_world.gatherer()

    gatherer(batch([result(0)]))
    assert not [line for line in sweep_world.log_lines() if "finished" in line]
    gatherer(batch([result(1)]))
    gatherer(batch([result(1)]))

    (event,) = finished(sweep_world)
    (line,) = [line for line in sweep_world.log_lines() if "finished" in line]
    assert line["finished"] == {name: value for name, value in event.items() if name != "places"}
    assert (line["level"], line["message"]) == ("INFO", "sweep: finished")
    assert [metrics["Finished"] for metrics in sweep_world.sweep_metrics()] == [[1.0]]


def test_a_sweeps_own_requests_are_counted(sweep_world: SweepWorld) -> None:
    """Keys that the sweep has written, and results as the operations make them."""
    sweep_world.seed()
    worker, gatherer = sweep_world.worker(), sweep_world.gatherer()
    worker(queued(policy(), "night-1"))
    asked = sweep_world.requests()
    before = json.loads(worker(http_get("night-1"))["body"])["results"]
    assert (before["requested"], before["waiting"], before["finished"]) == (len(asked), len(asked), False)

    gatherer(batch(succeeded(asked)))

    after = json.loads(worker(http_get("night-1"))["body"])["results"]
    assert (after["succeeded"], after["waiting"], after["finished"]) == (len(asked), 0, True)
    assert [it["requested"] for it in finished(sweep_world)] == [len(asked)]


def test_an_end_is_told_of_a_direct_apply_that_selected_nothing(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    nothing = policy(select={"older_than": "P999D", "age_from": ["ended", "inferred", "created"]})

    assert sweep_world.worker()({**nothing, "run_id": "run-1"})["outcome"] == "requested"

    assert [it["requested"] for it in finished(sweep_world)] == [0]


def test_an_end_is_told_of_a_direct_apply_whose_results_come_before_its_summary(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    worker, gatherer = sweep_world.worker(), sweep_world.gatherer()
    meanwhile(sweep_world, "PUT summary.json", lambda: gatherer(batch(succeeded(sweep_world.requests()))))

    assert worker({**policy(), "run_id": "run-1"})["outcome"] == "requested"

    assert [(it["requested"], it["succeeded"]) for it in finished(sweep_world)] == [(len(PLANNED), len(PLANNED))]


def test_a_direct_apply_returns_its_summary_where_its_end_cannot_be_told(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    nothing = policy(select={"older_than": "P999D", "age_from": ["ended", "inferred", "created"]})
    sweep_world.aws.failures[f"PutEvents {FINISHED}"] = Failure((500, "InternalFailure"), times=9)

    assert sweep_world.worker()({**nothing, "run_id": "run-1"})["outcome"] == "requested"

    assert finished(sweep_world) == []


def test_an_end_is_told_when_a_redrive_has_sent_what_the_bus_had_not_taken(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    worker = sweep_world.worker()
    sweep_world.aws.untaken = {task_id: 6 for _, task_id in PLANNED}
    deliver(worker, policy(), receives=3)
    assert sweep_world.summaries()[-1][1]["outcome"] == "failed"
    assert finished(sweep_world) == []

    deliver(worker, policy(), receives=1, attributes={"origin_id": "run-1"})
    assert finished(sweep_world) == []
    sweep_world.gatherer()(batch(succeeded(sweep_world.requests())))

    assert [(it["requested"], it["succeeded"]) for it in finished(sweep_world)] == [(len(PLANNED), len(PLANNED))]


def test_no_end_is_told_of_an_apply_that_was_refused_after_it_had_sent_requests(sweep_world: SweepWorld) -> None:
    """The worker died when the bus had all requests and no mark said so; then DRY_RUN was switched on."""
    sweep_world.seed()
    sweep_world.aws.on_call = lambda name: (
        setattr(sweep_world.aws, "is_cut", True) if name.startswith("PutEvents Task") else None
    )
    deliver(sweep_world.worker(), policy(), receives=1)
    sweep_world.aws.on_call = lambda _: None
    sweep_world.aws.restore()
    assert sweep_world.requests() != []
    sweep_world.pass_time(LEASE_SECONDS)

    deliver(sweep_world.worker(DRY_RUN="true"), policy(), receives=2)

    assert sweep_world.summaries()[-1][1]["outcome"] == "refused"
    assert finished(sweep_world) == []


def test_a_report_has_no_results(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    worker = sweep_world.worker()
    worker(queued(policy(mode="report"), "look"))

    assert "results" not in json.loads(worker(http_get("look"))["body"])


@pytest.mark.parametrize("missing", ["REPORT_BUCKET", "EVENT_BUS_NAME"])
def test_settings_must_be_there(sweep_world: SweepWorld, missing: str) -> None:
    with pytest.raises(SettingsError, match=missing):
        sweep_world.gatherer(**{missing: ""})


def test_the_sample_event_is_gathered_by_the_function_itself(sweep_world: SweepWorld) -> None:
    event = json.loads((EVENTS / "sweep_results" / "sqs.json").read_text())
    detail = json.loads(event["Records"][0]["body"])["detail"]
    run_id = detail["correlation_id"]
    begun(sweep_world, 1, run_id)

    handler = load_handler("sweep_results", {**sweep_world.variables()})

    class Context:
        aws_request_id = "r"

        def get_remaining_time_in_millis(self) -> int:
            return 60_000

    assert handler(event, Context()) == DONE  # type: ignore[arg-type]
    assert len(sweep_world.aws.document(f"results/{run_id}/results.json")["results"]) == 1
