"""What runs on a laptop is the stack that ships: the template decides, and the two commands do what they say."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from local import seeds
from local.cloud import PROJECT_ID, LocalCloud
from local.runner import HttpApi, QueuePoller, fire_schedule
from local.stack import ROOT, translate

REQUEST = {"operation": "huawei.oms.DeleteTask", "region": "cn-north-4", "task_id": str(seeds.OMS_FINISHED)}
PROCESS_ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "PYTHONPATH": f"{ROOT / 'layers/task_cleanup/python'}{os.pathsep}{ROOT}",
    "PYTHONUNBUFFERED": "1",
}


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], env=PROCESS_ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.fixture
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud() as running:
        seeds.seed(running.emulators)
        yield running


def changed_template(tmp_path: Path, old: str, new: str) -> Path:
    """The template with one thing changed, everywhere it stands."""
    text = (ROOT / "template.yaml").read_text()
    assert old in text
    path = tmp_path / "template.yaml"
    path.write_text(text.replace(old, new))
    return path


def test_event_reaches_its_operation_by_the_rule_of_the_template(cloud: LocalCloud) -> None:
    cloud.put_event(REQUEST)
    assert QueuePoller(cloud).drain().received == 1
    assert [result["outcome"] for result in cloud.results()] == ["succeeded"]


def test_changing_a_rule_changes_where_events_go(tmp_path: Path) -> None:
    template = changed_template(tmp_path, "operation: [huawei.oms.DeleteTask]", "operation: [huawei.oms.Nobody]")
    with LocalCloud(template=template) as cloud:
        seeds.seed(cloud.emulators)
        cloud.put_event(REQUEST)
        assert QueuePoller(cloud).drain().received == 0
        assert cloud.emulators.journal.entries() == []


def test_changing_a_mapping_changes_the_batches(tmp_path: Path) -> None:
    with LocalCloud(template=changed_template(tmp_path, "BatchSize: 5", "BatchSize: 2")) as cloud:
        mapping = cloud.stack.mapping_of("huawei_oms_delete_task")
        for _ in range(3):
            cloud.sqs.send_message(QueueUrl=mapping.queue_url, MessageBody=json.dumps(REQUEST))
        assert [QueuePoller(cloud).poll(mapping).received for _ in range(2)] == [2, 1]


def test_changing_a_route_changes_the_api(tmp_path: Path) -> None:
    with LocalCloud(template=changed_template(tmp_path, "Path: /huawei/oms/", "Path: /moved/")) as cloud:
        seeds.seed(cloud.emulators)
        path = f"cn-north-4/tasks/{seeds.OMS_FINISHED}"
        with HttpApi(cloud) as api:
            assert requests.delete(f"{api.url}/huawei/oms/{path}", timeout=30).status_code == 404
            assert requests.delete(f"{api.url}/moved/{path}", timeout=30).status_code == 200


def test_misspelt_operation_stands_in_the_unrouted_queue(cloud: LocalCloud) -> None:
    for operation in ("huawei.oms.DeleteTsk", "", None, 5, {"a": 1}):
        cloud.put_event({**REQUEST, "operation": operation})
    cloud.put_event({name: value for name, value in REQUEST.items() if name != "operation"})
    assert QueuePoller(cloud).drain().received == 0
    assert len(cloud.take(cloud.stack.queue_urls["UnroutedRequestsQueue"])) == 6


def test_event_of_a_misspelt_kind_stands_in_the_unrouted_queue(cloud: LocalCloud) -> None:
    cloud.put_event(REQUEST, detail_type="Task Cleanup Request")
    assert QueuePoller(cloud).drain().received == 0
    assert len(cloud.take(cloud.stack.queue_urls["UnroutedRequestsQueue"])) == 1


def test_schedule_sends_the_templates_message_to_its_queue(cloud: LocalCloud) -> None:
    (schedule,) = [it for it in cloud.stack.schedules if it.name == "SampleSchedule"]
    assert not schedule.enabled
    fire_schedule(cloud, schedule.name)
    assert QueuePoller(cloud).drain().received == 1
    assert [result["outcome"] for result in cloud.results()] == ["planned"]


def test_failed_message_is_published_and_moved_and_can_be_redriven(cloud: LocalCloud) -> None:
    cloud.put_event({**REQUEST, "task_id": str(seeds.OMS_RUNNING)})
    poller = QueuePoller(cloud)
    assert poller.drain().received == 5, "a conflict is tried MAX_RECEIVES times"
    assert [result["outcome"] for result in cloud.results()] == ["conflict"]
    letters = cloud.take(cloud.stack.queue_urls["HuaweiOmsDeleteTaskDeadLetterQueue"])
    assert [json.loads(letter.attributes["result"])["outcome"] for letter in letters] == ["conflict"]
    cloud.emulators.huawei_oms.add_task(PROJECT_ID, seeds.OMS_RUNNING, status=5)
    cloud.redrive("HuaweiOmsDeleteTask", letters)
    assert poller.drain().received == 1
    assert [result["outcome"] for result in cloud.results()] == ["succeeded"]


def test_every_resource_that_local_aws_leaves_out_is_played_by_the_runner() -> None:
    """What neither moto nor the runner plays has no part in the tests: the list is kept on purpose."""
    played = {
        *("AWS::SQS::Queue", "AWS::Events::EventBus", "AWS::Events::Rule", "AWS::S3::Bucket"),
        *("AWS::Lambda::Function", "AWS::Lambda::EventSourceMapping", "AWS::ApiGatewayV2::Api"),
        "AWS::Scheduler::Schedule",
    }
    passive = {
        *("AWS::CloudWatch::Alarm", "AWS::IAM::Role", "AWS::Logs::LogGroup", "AWS::SQS::QueuePolicy"),
        *("AWS::Lambda::LayerVersion", "AWS::Lambda::Permission", "AWS::Lambda::EventInvokeConfig"),
        *("AWS::ApiGatewayV2::Stage", "AWS::Scheduler::ScheduleGroup", "AWS::S3::BucketPolicy"),
    }
    kinds = {resource["Type"] for resource in translate(ROOT / "template.yaml", {})["Resources"].values()}
    assert kinds == played | passive


def test_tour_ends_well() -> None:
    done = python("-m", "local.tour")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Everything is as it should be" in done.stdout
    assert done.stderr == ""


def test_tour_fails_if_the_emulators_do_not_do_their_part() -> None:
    script = (
        "from local import tour, seeds; tour.CHANGES.pop(('OMS', '', str(seeds.OMS_FINISHED))); "
        "raise SystemExit(tour.main())"
    )
    done = python("-c", script)
    assert done.returncode == 1
    assert f"OMS  {seeds.OMS_FINISHED}: gone instead of 5 succeeded" in done.stdout


@pytest.fixture
def served() -> Iterator[tuple[list[str], Any]]:
    """``make serve`` on a free port: its lines, and the process."""
    with subprocess.Popen(
        [sys.executable, "-m", "local.serve", "0"],
        env=PROCESS_ENVIRONMENT,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line.strip())
                if "Ctrl-C" in line:
                    break
            yield lines, process
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=30) == 0


def test_every_curl_line_of_serve_works(served: tuple[list[str], Any]) -> None:
    lines, process = served
    commands = [shlex.split(line) for line in lines if line.startswith("curl ")]
    assert len(commands) >= 8
    statuses = []
    for command in commands:
        command += ["-s", "-w", "\n%{http_code}", "--max-time", "30"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        body, _, status = done.stdout.rpartition("\n")
        statuses.append(status)
        assert json.loads(body) is not None
    assert statuses == ["200"] * 2 + ["409"] + ["200"] * (len(commands) - 3)
    published = process.stdout.readline()
    assert re.match(r"published: huawei\.oms\.DeleteTask succeeded", published)
