"""``make serve``: keeps the local stack running, with its HTTP API on loopback, and prints results as they come."""

import argparse
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from types import FrameType
from typing import Any

from botocore.exceptions import ClientError
from rich.console import Console

from local.api import docs_page, openapi_sweep
from local.aws.cloud import LOCAL_AWS_IDENTITY, LocalCloud
from local.aws.runner import Answer, HttpApi, QueuePoller
from local.aws.stack import REGION
from local.stories import seeds
from local.stories.night import unmatched
from local.stories.tour import QUIET

PORT = 8787
POLL_SECONDS = 1.0
SIZE = 40  # tasks of each service that are old, and as many that are new
BETWEEN = (3, 3, 2)  # days after each report; with more than 75 hours between two, all ages would begin anew
OMS_EVENT = 200477729979142  # a paused task, which may be deleted


def main(port: int = PORT) -> int:
    """Serve until SIGINT or SIGTERM; returns the process's exit status, 2 if the port cannot be used."""
    reason = why_not(port)
    if reason is not None:
        print(f"Port {port} cannot be used: {reason}. Take another one: make serve PORT=9000", file=sys.stderr)
        return 2
    os.environ.update(QUIET)
    console = Console(width=max(120, Console().width), highlight=False)
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    with LocalCloud(variables=QUIET) as cloud, HttpApi(cloud, port, docs_page.pages(), stored(cloud)) as api:
        a_week_of_reports(cloud)
        cloud.open_to_commands(api.url)
        for line in usage(cloud, api):
            console.print(line, soft_wrap=True)
        poller = QueuePoller(cloud, hasten=False)
        while not stopping.wait(POLL_SECONDS):
            poller.drain(rounds=1)
            for line in published(cloud, api.url):
                console.print(f"published: {line}", soft_wrap=True, markup=False)
    console.print("stopped")
    return 0


def a_week_of_reports(cloud: LocalCloud) -> None:
    """Tasks that the reports of eight days have seen, so that all ages are known, and some that are new."""
    cloud.clock.move(-timedelta(days=8))
    seeds.seed_many(cloud.emulators, cloud.clock.now().timestamp(), SIZE)
    for days in BETWEEN:
        report = {**documented_policy(), "run_id": f"report-of-{cloud.clock.now():%Y-%m-%d}"}
        cloud.function_in("sweep").invoke(report)
        cloud.clock.move(timedelta(days=days))
    now = cloud.clock.now().timestamp()
    seeds.seed_many(cloud.emulators, now, SIZE, first=seeds.FIRST + SIZE, ages=[age for age in seeds.AGES if age < 7])
    seeds.seed(cloud.emulators, now)


def documented_policy() -> dict[str, Any]:
    """The example in the OpenAPI document."""
    policy: dict[str, Any] = json.loads(openapi_sweep.sample("http")["body"])
    return policy


def stored(cloud: LocalCloud) -> Callable[[str], Answer | None]:
    """Finds what sweeps have stored in the report bucket: ``/reports/…`` and ``/results/…``."""
    store, bucket = cloud.client("s3"), cloud.stack.buckets["ReportBucket"]

    def find(path: str) -> Answer | None:
        if not path.startswith(("/reports/", "/results/")):
            return None
        try:
            found = store.get_object(Bucket=bucket, Key=path[1:])
        except ClientError:
            return None
        return 200, {"Content-Type": found["ContentType"]}, found["Body"].read()

    return find


def published(cloud: LocalCloud, url: str) -> Iterator[str]:
    """A line for each result, and for each end of a sweep, that was published since the last call."""
    for result in cloud.results():
        where = [value for name, value in result["target"].items() if name not in ("provider", "service")]
        yield f"{result['operation']} {told(result)} · {' '.join(where)}"
    for event in cloud.sweep_results():
        summary = event["detail"]
        page = f" · {url}/{summary['report']['html']}" if summary["report"] else ""
        missed = f" · ! protect matches nothing: {', '.join(entries)}" if (entries := unmatched(summary)) else ""
        yield f"{event['detail-type']}, run {summary['run_id']}: {told(summary)}{missed}{page}"
    for end in cloud.finished():
        counts = ", ".join(f"{end[name]} {name}" for name in ("succeeded", "unchanged", "changed", "failed"))
        yield f"Sweep Finished, run {end['run_id']}: {counts} · {url}/{end['places']['html']}"


def told(result: Mapping[str, Any]) -> str:
    """The outcome of an operation's result or a sweep's summary, with the codes and messages that explain it."""
    reasons = [*([result["error"]] if result["error"] else []), *result.get("refusals", [])]
    return " · ".join([result["outcome"], *(f"{reason['code']}: {reason['message']}" for reason in reasons)])


def why_not(port: int) -> str | None:
    """Why the HTTP API cannot use this port, or None. Checked first, since starting all the rest takes long."""
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as the server does; else the port of a server that has just ended would seem in use
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error.strerror
    return None


def usage(cloud: LocalCloud, api: HttpApi) -> list[str]:
    """The lines to print: commands to try, each of which can be copied unchanged."""
    oms, es = f"{api.url}/huawei/oms/cn-north-4", f"{api.url}/alibaba/elasticsearch/cn-hangzhou"
    dms = f"{api.url}/otc/dms/eu-de/instances/{seeds.DMS_INSTANCE}"
    request = {"operation": "huawei.oms.DeleteTask", "region": "cn-north-4", "task_id": str(OMS_EVENT)}
    entry = {
        "EventBusName": cloud.stack.bus,
        "Source": "com.example.migrations",
        "DetailType": "Task Cleanup Requested",
        "Detail": json.dumps(request),
    }
    identity = f"{LOCAL_AWS_IDENTITY['AWS_ACCESS_KEY_ID']}:{LOCAL_AWS_IDENTITY['AWS_SECRET_ACCESS_KEY']}"
    environment = " ".join(f"{name}={value}" for name, value in LOCAL_AWS_IDENTITY.items())
    put_events = (
        f"curl --aws-sigv4 aws:amz:{REGION}:events --user {identity} -H 'X-Amz-Target: AWSEvents.PutEvents' "
        f"-H 'Content-Type: application/x-amz-json-1.1' -d '{json.dumps({'Entries': [entry]})}'"
    )
    post = f"curl -s -X POST {api.url}/sweeps"
    policy = {name: documented_policy()[name] for name in ("name", "targets", "select", "protect")}
    plan = '{\\"apply_report\\": \\"reports/$RUN_ID/report.json\\", \\"sha256\\": \\"$SHA256\\"}'
    return [
        f"[bold]HTTP API[/] (IAM is not checked here; in a browser: {api.url}{docs_page.PAGE})",
        f"  curl {oms}/tasks",
        f"  curl -X DELETE '{oms}/tasks/{seeds.OMS_FINISHED}?dry_run=true'",
        f"  curl -X DELETE {oms}/tasks/{seeds.OMS_FINISHED}",
        f"  curl -X DELETE {oms}/tasks/{seeds.OMS_RUNNING}  # 409: it is running",
        f"  curl -X DELETE {es}/instances/{seeds.ES_INSTANCE}/data-tasks/{seeds.ES_TASKS[0]}",
        f"  curl -X POST {es}/instances/{seeds.ES_MIGRATING}/cancel-task",
        f"  curl -X DELETE {dms}/tasks/{next(iter(seeds.DMS_TASKS))}",
        "[bold]Sweep[/] (the reports of a week have seen the tasks; each end is printed below, with its page)",
        f"  RUN_ID=$({post} -d '{json.dumps(policy)}' | {_member('run_id')}); echo $RUN_ID",
        f"  {_when_done(f'{api.url}/sweeps/$RUN_ID')}",
        f"  SHA256=$(curl -s {api.url}/sweeps/$RUN_ID | {_member('sha256')}); echo $SHA256",
        f'  APPLY_ID=$({post} -d "{plan}" | {_member("run_id")}); echo $APPLY_ID',
        f"  {_when_done(f'{api.url}/sweeps/$APPLY_ID')}",
        "[bold]Emulators[/] (tasks, journal, faults)",
        f"  curl {cloud.emulators.admin_url}/_emulator/tasks",
        f"  curl {cloud.emulators.admin_url}/_emulator/journal",
        "[bold]Bus[/] (published results are printed below)",
        f"  {put_events} {cloud.aws_url}",
        "[bold]Local AWS[/] (paste both lines, and docs/runbook.md works on it; AWS CLI 1 needs the second)",
        f"  export API_URL={api.url} AWS_ENDPOINT_URL={cloud.aws_url} {environment}",
        '  aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }',
        "Ctrl-C stops it.",
    ]


def _member(name: str) -> str:
    """A command that finds the value of a member in the JSON text that it reads."""
    return f"""sed -n 's/.*"{name}": *"\\([^"]*\\)".*/\\1/p'"""


def _when_done(url: str) -> str:
    """A command that waits for the end of a sweep, or of what it has requested, and shows the summary.

    An error is an end, too: it has neither member, and is shown.
    """
    return f"""until ! curl -s {url} | grep -Eq '"state"|"finished": false'; do sleep 1; done; curl -s {url}"""


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"a port is a number below 65536, not {text}")
    return int(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="make serve", description=__doc__)
    parser.add_argument("port", nargs="?", type=_port, default=PORT, help=f"of the HTTP API: {PORT} unless given")
    sys.exit(main(parser.parse_args().port))
