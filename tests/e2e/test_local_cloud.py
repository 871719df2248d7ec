"""What runs on a laptop is the stack that ships: the template decides, and the two commands do what they say."""

import json
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import requests
from botocore.exceptions import ClientError

from local.aws.clock import next_due
from local.aws.cloud import PROJECT_ID, LocalCloud, aws_client
from local.aws.runner import HttpApi, QueuePoller, as_scheduled, await_schedule, fire_schedule
from local.aws.stack import ACCOUNT, REGION, ROOT, STACK_NAME, translate
from local.stories import seeds, serve
from tests.support.tools import PROCESS_ENVIRONMENT, python

REQUEST = {"operation": "huawei.oms.DeleteTask", "region": "cn-north-4", "task_id": str(seeds.OMS_FINISHED)}


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


def test_extra_regions_of_the_stack_are_the_functions_and_the_sweep_s() -> None:
    with LocalCloud(parameters={"ExtraRegions": '{"huawei.oms": ["xx-name-1"]}'}) as cloud, HttpApi(cloud) as api:
        seeds.seed(cloud.emulators)
        policy = {"name": "x", "select": {"older_than": "P7D"}}
        found = {}
        for region in ("xx-name-1", "yy-name-1"):
            path = f"{api.url}/huawei/oms/{region}/tasks/{seeds.OMS_FINISHED}"
            targets = [{"provider": "huawei", "service": "oms", "region": region}]
            swept = requests.post(f"{api.url}/sweeps", json={**policy, "targets": targets}, timeout=30)
            found[region] = (requests.delete(path, timeout=30).status_code, swept.status_code)
        assert found == {"xx-name-1": (200, 202), "yy-name-1": (400, 400)}


def test_changing_a_rule_changes_where_events_go(tmp_path: Path) -> None:
    template = changed_template(tmp_path, "Name: huawei.oms.DeleteTask", "Name: huawei.oms.Nobody")
    with LocalCloud(template=template) as cloud:
        seeds.seed(cloud.emulators)
        cloud.put_event(REQUEST)
        assert QueuePoller(cloud).drain().received == 0
        assert cloud.emulators.journal.entries() == []


def test_changing_a_mapping_changes_the_batches(tmp_path: Path) -> None:
    with LocalCloud(template=changed_template(tmp_path, "BatchSize: 2", "BatchSize: 3")) as cloud:
        mapping = cloud.stack.mapping_of("huawei_oms_delete_task")
        for _ in range(4):
            cloud.sqs.send_message(QueueUrl=mapping.queue_url, MessageBody=json.dumps(REQUEST))
        assert [QueuePoller(cloud).poll(mapping).received for _ in range(2)] == [3, 1]


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


NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "zone", "due"),
    [
        ("cron(0 9 * * ? *)", "UTC", "2026-11-21T09:00:00+00:00"),
        ("cron(30 8 * * ? *)", "UTC", "2026-11-22T08:30:00+00:00"),
        ("cron(0 9 * * ? *)", "Europe/Berlin", "2026-11-22T08:00:00+00:00"),
        ("rate(2 days)", "UTC", "2026-11-23T08:30:00+00:00"),
        ("rate(1 hour)", "UTC", "2026-11-21T09:30:00+00:00"),
    ],
)
def test_a_schedule_is_due_when_its_expression_says(expression: str, zone: str, due: str) -> None:
    assert next_due(expression, ZoneInfo(zone), NOW).isoformat() == due


@pytest.mark.parametrize("expression", ["cron(0 9 ? * MON *)", "cron(0/5 9 * * ? *)", "rate(5 minutes)", "at(2026)"])
def test_no_other_expression_is_taken_for_one_of_every_day(expression: str) -> None:
    with pytest.raises(ValueError, match="not a schedule"):
        next_due(expression, ZoneInfo("UTC"), NOW)


def test_time_passes_for_functions_queues_and_providers_until_the_schedule_is_due() -> None:
    """The template's own time and zone decide; a request that is signed a week later is not outside the window."""
    parameters = {"SweepScheduleExpression": "cron(30 4 * * ? *)", "SweepTimeZone": "Asia/Tokyo"}
    with LocalCloud(parameters=parameters) as cloud:
        seeds.seed(cloud.emulators)
        cloud.clock.move(timedelta(days=7))
        await_schedule(cloud, "SweepSchedule")
        cloud.put_event(REQUEST)
        (message,) = cloud.take(cloud.stack.mapping_of("sweep").queue_url)
        assert QueuePoller(cloud).drain().received == 1
        (result,) = cloud.results()
        (entry,) = cloud.emulators.journal.entries()
        cloud.put_event(REQUEST, detail_type="Nobody's")
        (event,) = cloud.take(cloud.stack.queue_urls["UnroutedRequestsQueue"])
    due = datetime.fromisoformat(json.loads(message.body)["time"])
    assert (due.hour, due.minute) == (19, 30)
    assert timedelta(days=7) < due - datetime.now(UTC) < timedelta(days=8)
    assert (result["outcome"], entry.signature_ok) == ("succeeded", True)
    for moment in (result["completed_at"], entry.time, json.loads(event.body)["time"]):
        assert timedelta(0) <= datetime.fromisoformat(moment) - due < timedelta(hours=1)


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


def dead_letter(cloud: LocalCloud, operation: str, queue: str = "DeadLetterQueue") -> dict[str, Any]:
    """The one message of a queue, looked at and left there."""
    (message,) = cloud.sqs.receive_message(
        QueueUrl=cloud.stack.queue_urls[f"{operation}{queue}"],
        AttributeNames=["All"],
        MessageAttributeNames=["All"],
        VisibilityTimeout=0,
    )["Messages"]
    found: dict[str, Any] = message
    return found


def test_sqs_moves_a_message_as_it_is_and_a_redrive_makes_a_new_one(cloud: LocalCloud) -> None:
    """What a request's age rests on: nothing that SQS knows of a message outlives a redrive."""
    queue_url = cloud.stack.queue_urls["HuaweiOmsDeleteTaskQueue"]
    sent = cloud.sqs.send_message(QueueUrl=queue_url, MessageBody=json.dumps(REQUEST))
    first = dead_letter(cloud, "HuaweiOmsDeleteTask", "Queue")
    for _ in range(8):  # a worker that dies each time
        cloud.sqs.receive_message(QueueUrl=queue_url, VisibilityTimeout=0)
    moved = dead_letter(cloud, "HuaweiOmsDeleteTask")
    assert moved["MessageId"] == first["MessageId"] == sent["MessageId"]
    assert moved["Attributes"]["SentTimestamp"] == first["Attributes"]["SentTimestamp"]
    assert "MessageAttributes" not in moved

    cloud.redrive("HuaweiOmsDeleteTask", cloud.take(cloud.stack.queue_urls["HuaweiOmsDeleteTaskDeadLetterQueue"]))

    back = dead_letter(cloud, "HuaweiOmsDeleteTask", "Queue")
    assert (back["Body"], "MessageAttributes" in back) == (moved["Body"], False)
    assert back["MessageId"] != moved["MessageId"]
    assert back["Attributes"]["SentTimestamp"] > moved["Attributes"]["SentTimestamp"]
    assert back["Attributes"]["ApproximateReceiveCount"] == "1"


def test_the_documented_one_off_schedule_is_carried_out(cloud: LocalCloud) -> None:
    """What docs/operations.md tells to send, as EventBridge Scheduler sends it."""
    (written,) = re.findall(r"<<'JSON'\n(.*?)\n *JSON\n", (ROOT / "docs/operations.md").read_text(), re.DOTALL)
    body = as_scheduled(written, "delete-191297407830872")
    request = json.loads(body)["detail"]
    cloud.emulators.huawei_oms.add_task(PROJECT_ID, int(request["task_id"]), status=5)
    queue_url = cloud.stack.queue_urls["HuaweiOmsDeleteTaskQueue"]
    cloud.sqs.send_message(QueueUrl=queue_url, MessageBody=body)
    assert QueuePoller(cloud).drain().received == 1

    (result,) = cloud.results()

    assert (result["outcome"], result["target"]["task_id"]) == ("succeeded", request["task_id"])
    assert result["requested_by"].endswith("/delete-191297407830872")
    assert result["correlation_id"].startswith(result["requested_by"] + "@20")


def outputs(aws_url: str) -> dict[str, str]:
    """What the runbook's function of this name asks for."""
    (described,) = aws_client("cloudformation", aws_url).describe_stacks(StackName=STACK_NAME)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}


def test_outputs_are_the_templates_own(cloud: LocalCloud) -> None:
    found = outputs(cloud.aws_url)
    cloud.open_to_commands("http://127.0.0.1:9")
    opened = outputs(cloud.aws_url)
    assert opened.keys() == translate(ROOT / "template.yaml", {})["Outputs"].keys()
    assert opened == {**found, "ApiUrl": "http://127.0.0.1:9"}
    groups = cloud.client("scheduler").list_schedule_groups()["ScheduleGroups"]
    assert found["ScheduleGroupName"] in [group["Name"] for group in groups]
    assert found["SweepFunctionArn"] == f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{STACK_NAME}-SweepFunction"
    assert found["EventBusName"] == cloud.stack.bus
    assert found["ReportBucketName"] == cloud.stack.buckets["ReportBucket"]

    for name, url in cloud.stack.queue_urls.items():
        if name not in {"UnroutedRequestsQueue", "ListFailuresQueue"}:  # nothing is sent back to a queue from there
            asked = cloud.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
            assert (found[f"{name}Url"], found[f"{name}Arn"]) == (url, asked["QueueArn"])

    assert found["UnroutedRequestsQueueUrl"] == cloud.stack.queue_urls["UnroutedRequestsQueue"]


def test_dead_letters_are_redriven_by_the_runbooks_own_calls(cloud: LocalCloud) -> None:
    known = outputs(cloud.aws_url)
    cloud.put_event({**REQUEST, "region": "nowhere"})
    cloud.put_event({**REQUEST, "task_id": str(seeds.OMS_RUNNING)})
    QueuePoller(cloud).drain()
    letters = {"QueueUrl": known["HuaweiOmsDeleteTaskDeadLetterQueueUrl"], "MessageAttributeNames": ["All"]}
    before = cloud.sqs.receive_message(**letters, MaxNumberOfMessages=10, VisibilityTimeout=0)["Messages"]
    assert len(before) == 2

    source = known["HuaweiOmsDeleteTaskDeadLetterQueueArn"]
    moving = {"SourceArn": source, "DestinationArn": known["HuaweiOmsDeleteTaskQueueArn"]}
    assert cloud.sqs.start_message_move_task(**moving)["TaskHandle"]
    (task,) = cloud.sqs.list_message_move_tasks(SourceArn=source)["Results"]
    assert (task["Status"], task["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 2)
    assert task | moving == task
    assert "Messages" not in cloud.sqs.receive_message(**letters)

    queue = {"QueueUrl": known["HuaweiOmsDeleteTaskQueueUrl"], "MessageAttributeNames": ["All"]}
    after = cloud.sqs.receive_message(**queue, MaxNumberOfMessages=10, VisibilityTimeout=0)["Messages"]
    assert {it["Body"] for it in after} == {it["Body"] for it in before}
    assert not {it["MessageId"] for it in after} & {it["MessageId"] for it in before}
    assert {it["MessageAttributes"]["origin_id"]["StringValue"] for it in after} == {
        it["MessageAttributes"]["origin_id"]["StringValue"] for it in before
    }


@pytest.mark.parametrize(
    ("source", "destination", "says"),
    [
        ("HuaweiOmsDeleteTaskQueueArn", "HuaweiOmsDeleteTaskQueueArn", "Dead Letter Queue"),
        ("HuaweiOmsDeleteTaskDeadLetterQueueArn", None, "DestinationArn"),
    ],
)
def test_move_that_sqs_refuses_is_refused(cloud: LocalCloud, source: str, destination: str | None, says: str) -> None:
    known = outputs(cloud.aws_url)
    with pytest.raises(ClientError, match=says):
        cloud.sqs.start_message_move_task(
            SourceArn=known[source], **({"DestinationArn": known[destination]} if destination else {})
        )
    if destination is None:
        assert cloud.sqs.list_message_move_tasks(SourceArn=known[source])["Results"] == []


def test_stack_without_schedules_has_none() -> None:
    with LocalCloud(parameters={"Schedules": "false"}) as cloud:
        assert cloud.stack.schedules == ()
        assert not {name for name in outputs(cloud.aws_url) if "Schedule" in name}


def test_every_resource_that_local_aws_leaves_out_is_played_by_the_runner() -> None:
    """What neither moto nor the runner plays has no part in the tests: the list is kept on purpose."""
    played = {
        *("AWS::SQS::Queue", "AWS::Events::EventBus", "AWS::Events::Rule", "AWS::S3::Bucket", "AWS::Logs::LogGroup"),
        *("AWS::Lambda::Function", "AWS::Lambda::EventSourceMapping", "AWS::ApiGatewayV2::Api"),
        "AWS::Scheduler::Schedule",
    }
    passive = {
        *("AWS::CloudWatch::Alarm", "AWS::IAM::Role", "AWS::SQS::QueuePolicy"),
        *("AWS::Lambda::LayerVersion", "AWS::Lambda::Permission", "AWS::Lambda::EventInvokeConfig"),
        *("AWS::ApiGatewayV2::Stage", "AWS::Scheduler::ScheduleGroup", "AWS::S3::BucketPolicy"),
        # They are for people. What they would show of a local run is in test_watching.py.
        *("AWS::CloudWatch::Dashboard", "AWS::Logs::QueryDefinition"),
    }

    kinds = {resource["Type"] for resource in translate(ROOT / "template.yaml", {})["Resources"].values()}

    assert kinds == played | passive


def test_tour_ends_well() -> None:
    done = python("-m", "local.stories.tour")

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Everything is as it should be" in done.stdout
    assert done.stderr == ""


def test_tour_fails_if_the_emulators_do_not_do_their_part() -> None:
    script = (
        "from local.stories import tour, seeds; tour.CHANGES.pop(('huawei_oms', '', str(seeds.OMS_FINISHED))); "
        "raise SystemExit(tour.main())"
    )

    done = python("-c", script)

    assert done.returncode == 1
    assert f"huawei_oms  {seeds.OMS_FINISHED}: gone instead of 5" in done.stdout


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[list[str], Any]]:
    """``make serve`` on a free port, with fewer tasks: its lines, and the process."""
    few = "from local.stories import serve; serve.SIZE = 12; raise SystemExit(serve.main(0))"
    with subprocess.Popen(
        [sys.executable, "-c", few],
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


def printed(process: Any, pattern: str) -> re.Match[str]:
    """The next line of ``make serve`` that begins so."""
    for line in process.stdout:
        if found := re.match(pattern, line):
            return found
    raise AssertionError(f"it ended, and printed no {pattern}")


def test_every_curl_line_of_serve_works(served: tuple[list[str], Any]) -> None:
    lines, process = served
    commands = [shlex.split(line, comments=True) for line in lines if line.startswith("curl ") and "$" not in line]
    assert len(commands) >= 9
    statuses = []
    for command in commands:
        command += ["-s", "-w", "\n%{http_code}", "--max-time", "30"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        body, _, status = done.stdout.rpartition("\n")
        statuses.append(status)
        assert json.loads(body) is not None
    assert statuses == ["200"] * 3 + ["409"] + ["200"] * (len(commands) - 4)
    printed(process, rf"published: huawei\.oms\.DeleteTask succeeded · .* {serve.OMS_EVENT}$")
    exported = next(line for line in lines if line.startswith("export "))

    environment = dict(item.split("=", 1) for item in shlex.split(exported)[1:])

    assert environment["API_URL"] in " ".join(commands[0])
    assert outputs(environment["AWS_ENDPOINT_URL"])["EventBusName"] == STACK_NAME


def in_shell(*lines: str) -> str:
    """What these lines print, pasted into one shell."""
    done = subprocess.run(["bash", "-c", "\n".join(lines)], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def test_the_sweep_that_serve_prints_is_copied_line_by_line(served: tuple[list[str], Any]) -> None:
    lines, process = served
    ask, look, digest, apply, results_of = (line for line in lines if "RUN_ID" in line or "APPLY_ID" in line)
    run_id, _, told = in_shell(ask, look).partition("\n")
    summary = json.loads(told)
    report = printed(process, rf"published: Sweep Completed, run {run_id}: reported · (http\S+)$")[1]
    assert 0 < summary["totals"]["selected"] < summary["totals"]["found"]
    assert [target["counts"]["selected"] > 0 for target in summary["targets"]] == [True] * 4
    assert requests.get(report, timeout=30).headers["Content-Type"].startswith("text/html")

    applied, _, told = in_shell(f"RUN_ID={run_id}", f"{digest} >&2", apply, results_of).partition("\n")
    ending = json.loads(told)["results"]
    assert (ending["finished"], ending["succeeded"]) == (True, summary["totals"]["selected"])
    assert json.loads(in_shell("APPLY_ID=no-such-run", results_of))["status"] == 404

    printed(process, rf"published: Sweep Completed, run {applied}: requested · http")
    ended = (
        rf"published: Sweep Finished, run {applied}: (\d+) succeeded, 0 unchanged, 0 changed, 0 failed · (http\S+)$"
    )
    counted, results = printed(process, ended).groups()
    assert int(counted) == summary["totals"]["selected"]
    page = requests.get(results, timeout=30)
    assert (page.status_code, counted in page.text) == (200, True)
    assert requests.get(results.replace("index", "other"), timeout=30).status_code == 404


def test_serve_tells_why_a_sweep_was_refused(served: tuple[list[str], Any]) -> None:
    lines, process = served
    (ask,) = (line for line in lines if line.startswith("RUN_ID="))
    policy = json.loads(re.findall(r"'({.*})'", ask)[0])
    refused = {**policy, "mode": "apply", "select": {"older_than": "PT2H"}, "limits": {"max_tasks": 0}}
    url = re.findall(r"http\S+", ask)[0]

    run_id = requests.post(url, json=refused, timeout=30).json()["run_id"]

    printed(process, rf"published: Sweep Refused, run {run_id}: refused · .*TooManyTasks: \d+ tasks are selected")


def test_serve_names_what_protects_nothing(served: tuple[list[str], Any]) -> None:
    lines, process = served
    (ask,) = (line for line in lines if line.startswith("RUN_ID="))
    policy = json.loads(re.findall(r"'({.*})'", ask)[0])
    protect = {"names": ["*prod*", "*ledgre*"], "task_ids": ["1"]}

    url = re.findall(r"http\S+", ask)[0]
    run_id = requests.post(url, json={**policy, "protect": protect}, timeout=30).json()["run_id"]

    printed(
        process,
        rf"published: Sweep Completed, run {run_id}: reported · ! protect matches nothing: 1, \*ledgre\* · http",
    )


def test_taken_port_is_one_line_that_says_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        done = python("-m", "local.stories.serve", str(port))
    assert (done.returncode, done.stdout) == (2, "")

    (line,) = done.stderr.splitlines()

    assert f"Port {port} " in line
    assert "make serve PORT=" in line


CALL_WITH_EACH = """
import runpy, sys
for port in sys.argv[1:]:
    sys.argv = ["serve", port]
    try:
        runpy.run_module("local.stories.serve", run_name="__main__")
    except SystemExit as end:
        print(repr(port), end.code)
"""


def test_port_that_is_none_is_refused() -> None:
    ports = ["x", "-1", "65536", "8 787", "\u0661"]

    done = python("-W", "ignore::RuntimeWarning", "-c", CALL_WITH_EACH, *ports)

    assert done.stdout.splitlines() == [f"{port!r} 2" for port in ports], done.stderr
    assert done.stderr.count("error: ") == len(ports)


def test_make_serve_takes_a_port() -> None:
    said = subprocess.run(
        ["make", "--dry-run", "-o", ".venv/local", "serve", "PORT=9000"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert said.stdout.rstrip().endswith(" -m local.stories.serve 9000")
