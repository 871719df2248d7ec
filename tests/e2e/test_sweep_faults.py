"""Twelve hundred tasks, and everything goes wrong at once: in the end exactly the selected ones are gone."""

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bench.torture.crew import Crew
from bench.torture.trouble import Proxies
from local.aws.cloud import LocalCloud
from local.aws.runner import QueuePoller
from local.stories import seeds
from local.stories.night import AT_ONCE, POLICY, planned

SIZE = 300  # tasks in each of the four services
LIMIT = 150.0  # seconds, for all queues to run dry
VISIBILITY = 12  # seconds, instead of 180: what was not finished comes again sooner
THROTTLED = 1 / 3  # of all calls, half in the service's words and half in the gateway's
GONE = "DMS.00400070"  # of a record that is not there: one of the guesses of the emulators
THROTTLING = ("APIGW.0308", "DMS.10240407")
SETTLED = {"7": "3"}  # of OMS: pausing becomes paused, by itself and with time
DELETES = (
    "alibaba_elasticsearch_delete_data_task",
    "huawei_oms_delete_task",
    "huawei_dms_delete_background_task",
    "otc_dms_delete_background_task",
)
QUIET = {"POWERTOOLS_LOG_LEVEL": "CRITICAL", "POWERTOOLS_METRICS_DISABLED": "true"}


@dataclass(frozen=True)
class Delete:
    """An operation that the crew works on."""

    folder: str


@dataclass
class Night:
    """What is left in the morning."""

    cloud: LocalCloud
    plan: set[tuple[str, str, str]]
    before: seeds.State
    results: list[dict[str, Any]]
    sweeps: list[dict[str, Any]]
    requested: int
    kills: int


def _policy() -> dict[str, Any]:
    select = {**POLICY["select"], **AT_ONCE, "names": ["orders-*", "tmp-*"]}
    return {**POLICY, "mode": "apply", "select": select, "limits": {"max_tasks": 2000, "max_fraction": 0.8}}


def _event(run_id: str) -> str:
    return json.dumps(
        {
            "id": run_id,
            "source": "task-cleanup",
            "detail-type": "Sweep Requested",
            "time": datetime.now(UTC).isoformat(),
            "detail": _policy(),
        }
    )


def _waiting(cloud: LocalCloud) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    total = 0
    for folder in DELETES:
        url = cloud.stack.mapping_of(folder).queue_url
        counts = cloud.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        total += sum(int(count) for count in counts.values())
    return total


def _deliver(cloud: LocalCloud, poller: QueuePoller) -> None:
    mapping = cloud.stack.mapping_of("sweep")
    cloud.sqs.send_message(QueueUrl=mapping.queue_url, MessageBody=_event("night-1"))
    run = poller.poll(mapping)
    assert (run.received, run.failed) == (1, 0)


def _work(cloud: LocalCloud, crew: Crew, again: QueuePoller) -> list[dict[str, Any]]:
    """Until every message has been dealt with, while workers are killed and a provider is away."""
    dice, results, ends = random.Random(3), [], time.monotonic() + LIMIT
    crew.start()
    cloud.emulators.faults.away("otc_dms", 4.0, "unavailable")
    delivered = False
    while _waiting(cloud) and time.monotonic() < ends:
        time.sleep(0.4)
        results += cloud.results()
        if crew.kills < 3 and len(results) > 25 * (crew.kills + 1):
            crew.kill_one(dice)
        if not delivered and len(results) > 60:
            delivered = True
            _deliver(cloud, again)  # the same event, once more, in the middle of the work
    assert delivered
    assert crew.deaths() == []
    crew.stop()
    return results + cloud.results()


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    with pytest.MonkeyPatch.context() as patch, LocalCloud(seed=5, variables=QUIET) as cloud, Proxies(5) as proxies:
        for name, value in QUIET.items():
            patch.setenv(name, value)
        proxies.faults = {}  # here it is the providers and the workers that fail
        store = cloud.client("s3")
        cloud.function_in("sweep")  # goes to local AWS itself: the proxies have no S3
        cloud.aws_url = proxies.plain_url
        cloud.sqs = cloud.client("sqs")
        poller = QueuePoller(cloud)
        cloud.emulators.switches.update(oms_stop_ms=1)
        seeds.seed_many(cloud.emulators, time.time(), SIZE)
        # A task that is listed while it is pausing is paused when its delete comes: it has changed, and stays.
        for place in cloud.emulators.tasks()["huawei_oms"]:
            for task in place["tasks"]:
                if str(task["status"]) in SETTLED:
                    cloud.emulators.seed(
                        {"service": "huawei_oms", "project_id": place["project_id"], **task, "status": 3}
                    )
        before = seeds.state(cloud.emulators)
        for service in cloud.emulators.urls:  # the lists as well, but never so often that one fails
            cloud.emulators.faults.add("throttle", service=service, count=2, retry_after=0.05)
        _deliver(cloud, poller)
        bucket = cloud.stack.buckets["ReportBucket"]
        report = json.load(store.get_object(Bucket=bucket, Key="reports/night-1/report.json")["Body"])
        requested = _waiting(cloud)
        for dialect in ("service", "gateway"):
            cloud.emulators.faults.add("throttle", probability=THROTTLED / 2, retry_after=0.05, dialect=dialect)
        for delete in DELETES:
            url = cloud.stack.mapping_of(delete).queue_url
            cloud.sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(VISIBILITY)})
        crew = Crew(cloud, [Delete(name) for name in DELETES], proxies.plain_url, proxies.unreliable_url, tmp_path)
        try:
            results = _work(cloud, crew, poller)
        finally:
            crew.stop(0.0)
        yield Night(cloud, planned(report), before, results, cloud.sweep_results(), requested, crew.kills)


@pytest.mark.timeout(300)
def test_in_the_morning_exactly_the_selected_tasks_are_gone(night: Night) -> None:
    check_it_was_a_night_of_its_kind(night)
    check_exactly_the_selected_tasks_are_gone(night)
    check_two_deliveries_are_one_sweep(night)
    check_every_request_has_a_result_and_no_other_has_one(night)
    check_what_failed_had_been_deleted_before(night)


def check_it_was_a_night_of_its_kind(night: Night) -> None:
    codes = Counter(entry.code for entry in night.cloud.emulators.journal.entries())
    throttled = sum(
        count
        for code, count in codes.items()
        if code and ("hrottl" in code or code in {"APIGW.0308", "DMS.10240407"})
    )
    assert throttled > len(night.plan) / 5
    assert night.kills >= 2
    assert len(night.before) > 4 * SIZE
    assert len(night.plan) > SIZE / 3


def check_exactly_the_selected_tasks_are_gone(night: Night) -> None:
    after = seeds.state(night.cloud.emulators)
    assert night.before.keys() - after.keys() == night.plan
    kept = {task: state for task, state in night.before.items() if task not in night.plan}
    assert {task: SETTLED.get(state, state) for task, state in after.items()} == {
        task: SETTLED.get(state, state) for task, state in kept.items()
    }


def check_two_deliveries_are_one_sweep(night: Night) -> None:
    assert night.requested == len(night.plan)
    (event,) = night.sweeps
    assert (event["detail-type"], event["detail"]["run_id"]) == ("Sweep Completed", "night-1")
    assert event["detail"]["totals"]["requested"] == len(night.plan)


def check_every_request_has_a_result_and_no_other_has_one(night: Night) -> None:
    told = Counter((result["operation"], result["target"]["task_id"]) for result in night.results)
    deletes = {
        "alibaba_elasticsearch": "alibaba.elasticsearch.DeleteDataTask",
        "huawei_oms": "huawei.oms.DeleteTask",
        "huawei_dms": "huawei.dms.DeleteBackgroundTask",
        "otc_dms": "otc.dms.DeleteBackgroundTask",
    }
    assert told.keys() == {(deletes[service], task_id) for service, _, task_id in night.plan}
    assert {result["correlation_id"] for result in night.results} == {"night-1"}


def check_what_failed_had_been_deleted_before(night: Night) -> None:
    """DMS has no code for a task that is gone: the second delivery of what a killed worker deleted ends as failed."""
    failed = [result for result in night.results if result["outcome"] not in ("succeeded", "unchanged")]
    assert {(result["target"]["service"], result["error"]["code"]) for result in failed} <= {("dms", GONE)}
