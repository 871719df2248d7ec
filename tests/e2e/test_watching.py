"""What an operator looks at, from real runs: saved queries over their lines, notices of their sweeps, the charts."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from local.aws.cloud import LocalCloud
from local.aws.dashboard import body_of
from local.aws.metrics import shown, written_out
from local.aws.recorder import Recorder
from local.aws.runner import HttpApi, QueuePoller
from local.aws.stack import REGION, STACK_NAME, Stack
from local.stories import seeds
from tests.support import insights
from tests.support.template import Deployment, template

TOPIC = f"arn:aws:sns:{REGION}:123456789012:notices"
POLICY: dict[str, Any] = {
    "name": "weekly",
    "targets": [{"provider": "huawei", "service": "oms", "region": "cn-north-4"}],
    "select": {"statuses": ["succeeded"], "older_than": "PT1H", "age_from": ["created", "inferred"]},
    "limits": {"max_fraction": 1},
}
DELETE = {"operation": "otc.dms.DeleteBackgroundTask", "region": "eu-de", "instance_id": seeds.DMS_INSTANCE}
ELSEWHERE = "00000000-1111-4222-8333-444444444444"  # no instance
TASKS = list(seeds.DMS_TASKS)


@dataclass(frozen=True)
class Day:
    """What a day with every kind of end has left behind."""

    recorder: Recorder
    notices: list[str]
    runs: dict[str, str]  # by what was asked for
    stack: Stack
    bucket: str


class _Asking:
    """Asks for sweeps over HTTP, and lets the queues be worked off."""

    def __init__(self, cloud: LocalCloud, api: HttpApi) -> None:
        self.cloud, self.api, self.poller = cloud, api, QueuePoller(cloud)

    def sweep(self, run_id: str, **request: Any) -> str:
        reply = requests.post(f"{self.api.url}/sweeps", json={**request, "run_id": run_id}, timeout=30)
        assert reply.status_code == 202, reply.text
        self.poller.drain()
        return run_id


@pytest.fixture(scope="module")
def day() -> Iterator[Day]:
    parameters = {"NoticeTopicArn": TOPIC}
    with LocalCloud(parameters=parameters) as cloud, HttpApi(cloud) as api, Recorder(cloud) as recorder:
        topic_queue = _subscribed(cloud)
        seeds.seed(cloud.emulators, cloud.clock.now().timestamp())
        asking = _Asking(cloud, api)
        cloud.put_event({**DELETE, "task_id": TASKS[0], "correlation_id": "the-good-one"})
        cloud.put_event({**DELETE, "task_id": TASKS[2], "instance_id": ELSEWHERE, "correlation_id": "the-bad-one"})
        unread = cloud.put_event({**DELETE, "task_id": TASKS[2], "region": "nowhere-1"})
        cloud.put_event({**DELETE, "task_id": TASKS[3], "expected": {"name": "another"}})
        asking.poller.drain()
        cloud.function_in("huawei_oms_list_tasks").invoke({"region": "cn-north-4"})
        runs = {"unread": unread, "reported": asking.sweep("look", **POLICY, mode="report")}
        runs["refused"] = asking.sweep("too-much", **{**POLICY, "limits": {"max_tasks": 1}}, mode="apply")
        summary = requests.get(f"{api.url}/sweeps/look", timeout=30).json()
        plan = {"apply_report": summary["report"]["json"], "sha256": summary["report"]["sha256"]}
        runs["finished"] = asking.sweep("the-apply", **plan)
        runs["early"] = _requested_by_event(asking, {**POLICY, "name": "not a name"})
        runs["failed"] = _broken(asking)
        recorder.sample_queues()
        notices = [message.body for message in cloud.take(topic_queue)]
        yield Day(recorder, notices, runs, cloud.stack, cloud.stack.buckets["ReportBucket"])


def _subscribed(cloud: LocalCloud) -> str:
    sns, url = cloud.client("sns"), cloud.sqs.create_queue(QueueName="mail")["QueueUrl"]
    assert sns.create_topic(Name="notices")["TopicArn"] == TOPIC
    arn = cloud.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=TOPIC, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    return str(url)


def _requested_by_event(asking: _Asking, request: dict[str, Any]) -> str:
    run_id = asking.cloud.put_event(request, "Sweep Requested")
    asking.poller.drain()
    return run_id


def _broken(asking: _Asking) -> str:
    """A sweep whose bucket is gone: all its tries fail."""
    s3, bucket = asking.cloud.client("s3"), asking.cloud.stack.buckets["ReportBucket"]
    for item in s3.list_objects_v2(Bucket=bucket)["Contents"]:
        s3.delete_object(Bucket=bucket, Key=item["Key"])
    s3.delete_bucket(Bucket=bucket)
    return _requested_by_event(asking, {**POLICY, "mode": "report"})


def found(day: Day, query: str, **replaced: str) -> list[dict[str, Any]]:
    """What a saved query finds, some of its words replaced."""
    text = template()["Resources"][f"{query}Query"]["Properties"]["QueryString"]
    for old, new in replaced.items():
        assert text.count(f'"{old}"') == 4
        text = text.replace(f'"{old}"', f'"{new}"')
    return insights.run(text, [line for line in day.recorder.lines if '"_aws"' not in line])


# -- saved queries ------------------------------------------------


def test_deleted_tells_what_by_whom_and_in_which_run(day: Day) -> None:
    rows = found(day, "Deleted")

    (single,) = [row for row in rows if row["result.correlation_id"] == "the-good-one"]
    swept = [row for row in rows if row["result.correlation_id"] == day.runs["finished"]]
    assert single["result.target.task_id"] == TASKS[0]
    assert single["result.requested_by"] == "com.example.migrations"
    assert len(swept) == sum(status == 5 for status in seeds.OMS_TASKS.values())
    assert {row["result.requested_by"] for row in swept} == {"task-cleanup"}
    assert {row["result.operation"] for row in swept} == {"huawei.oms.DeleteTask"}
    assert len(rows) == 1 + len(swept), "no list, and nothing that failed"


def test_failed_tells_what_and_why(day: Day) -> None:
    rows = {row["result.correlation_id"]: row for row in found(day, "Failed")}

    bad, unread = rows.pop("the-bad-one"), rows.pop(day.runs["unread"])
    (changed,) = rows.values()
    assert bad["result.error.category"] == "not_found"
    assert bad["result.target.instance_id"] == ELSEWHERE
    assert bad["result.requested_by"] == "com.example.migrations"
    assert unread["result.error.code"] == "SchemaViolation"
    assert "region" in unread["result.error.message"]
    assert (changed["result.error.category"], changed["result.target.task_id"]) == ("precondition_failed", TASKS[3])
    causes = {row["result.error.code"]: row["times"] for row in found(day, "Causes")}
    assert causes == {"SchemaViolation": 1, "TaskChanged": 1, bad["result.error.code"]: 1}


@pytest.mark.parametrize("wanted", ["the-bad-one", "unread", "finished", "refused", "early", "failed"])
def test_one_request_or_run_is_found_by_its_id(day: Day, wanted: str) -> None:
    wanted = day.runs.get(wanted, wanted)

    rows = found(day, "Request", ID=wanted)

    assert rows
    marked = [line for line in day.recorder.lines if wanted in line and '"_aws"' not in line]
    assert len(rows) == len(marked), "all lines that are about it, and no other"


def test_slowest_come_first(day: Day) -> None:
    rows = found(day, "Slowest")

    times = [row["result.duration_ms"] for row in rows]
    assert len(times) > 5
    assert times == sorted(times, reverse=True)
    assert "huawei.oms.ListTasks" in {row["result.operation"] for row in rows}, "lists are calls too"


def test_sweeps_tell_how_they_ended(day: Day) -> None:
    rows = found(day, "Sweeps")
    by_run = {(row["run"], row["message"]): row for row in rows}

    ended = by_run[day.runs["finished"], "sweep: finished"]
    requested = by_run[day.runs["finished"], "sweep: requested"]
    assert ended["policy"] == requested["policy"] == "weekly"
    assert ended["finished.requested"] == ended["finished.succeeded"] == requested["sweep.totals.requested"] > 1
    assert by_run[day.runs["refused"], "sweep: refused"]["sweep.refusals.0.code"] == "TooManyTasks"
    assert by_run[day.runs["early"], "sweep: refused"]["sweep.refusals.0.code"] == "SchemaViolation"
    assert by_run[day.runs["failed"], "sweep: failed"]["sweep.error.code"] == "StoreError"
    assert by_run[day.runs["reported"], "sweep: reported"]["sweep.totals.found"] == len(seeds.OMS_TASKS)
    assert len([row for row in rows if row["message"] == "sweep: finished"]) == 1


# -- notices ------------------------------------------------


def notice(day: Day, asked: str) -> list[str]:
    """The lines of the one notice of a run that ended so, without their quotes."""
    (text,) = [
        it for it in day.notices if f'"Run: {day.runs[asked]}"' in it and (asked != "finished" or "finished" in it)
    ]
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("reported", "the sweep weekly (mode report) has reported. It selected {selected} of {found} tasks, and"),
        (
            "refused",
            "the sweep weekly (mode apply) was refused. The first reason is TooManyTasks; the report has all.",
        ),
        (
            "finished",
            "the sweep weekly is finished. Of {selected} deletes {selected} succeeded, 0 found the task gone",
        ),
        ("early", "a sweep was refused before it had a report, and requested nothing. The first reason is"),
        ("failed", "a sweep failed, and has no report or could not read it. The cause is StoreError."),
    ],
)
def test_notice_tells_how_a_sweep_ended(day: Day, asked: str, words: str) -> None:
    selected = sum(status == 5 for status in seeds.OMS_TASKS.values())

    first, *rest = notice(day, asked)

    assert words.format(selected=selected, found=len(seeds.OMS_TASKS)) in first
    assert first.startswith(f"Task cleanup, stack {STACK_NAME}: ")
    assert "<" not in "".join([first, *rest]), "every place is filled in"
    assert "  " not in first, "nothing is missing in the sentence"
    assert len(rest) == 3


@pytest.mark.parametrize(
    ("asked", "folder"), [("reported", "reports"), ("refused", "reports"), ("finished", "results")]
)
def test_notice_leads_to_the_page_by_console_and_command(day: Day, asked: str, folder: str) -> None:
    _, _, link, command = notice(day, asked)

    key = f"{folder}/{day.runs[asked]}/index.html"
    console = f"https://{REGION}.console.aws.amazon.com/s3/object/{day.bucket}?region={REGION}&prefix={key}"
    assert link.endswith(f": {console}")
    assert f": aws s3 cp s3://{day.bucket}/{key} " in command
    assert "X-Amz" not in link + command


def test_every_sweep_has_one_notice(day: Day) -> None:
    """An apply has its notice when it is finished; that its requests are sent is no end."""
    assert len(day.notices) == len(day.runs.keys() - {"unread"}) == 5


# -- charts ------------------------------------------------


def test_every_metric_of_ours_in_the_dashboard_is_written(day: Day) -> None:
    """Each line of each chart, but those for outcomes that this day did not have."""
    body = body_of(Deployment().resources, STACK_NAME, REGION)
    empty = []
    for widget in body["widgets"]:
        properties = widget["properties"]
        for metric in written_out(properties.get("metrics", []) if widget["type"] == "metric" else []):
            alone = {**widget, "properties": {**properties, "metrics": [metric]}}
            if not shown(alone, day.recorder.points, 3600) and "AWS/" not in json.dumps(metric):
                empty.append(metric[-1]["label"])

    operation = "${PROP('Dim.operation')}"
    assert empty == ["unchanged", "planned", "conflict", operation, f"{operation} ${{PROP('Dim.outcome')}}"]


def test_queues_are_found_by_their_tags(day: Day) -> None:
    body = body_of(Deployment().resources, STACK_NAME, REGION)
    kept, age = [shown(it, day.recorder.points, 3600) for it in body["widgets"] if it["type"] == "explorer"]

    waiting = {it.label for it in kept if max(it.values.values()) > 0}

    assert waiting == {"OtcDmsDeleteBackgroundTaskDeadLetterQueue", "SweepDeadLetterQueue"}
    assert {it.label for it in kept}.isdisjoint(it.label for it in age)
    assert len(kept) + len(age) == len(day.stack.queue_urls)
