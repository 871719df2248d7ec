"""``make serve``: keeps the local stack running, with its HTTP API on loopback, and prints results as they come."""

import argparse
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from types import FrameType
from typing import Any

from rich.console import Console

from local.api import docs_page
from local.aws.cloud import LOCAL_AWS_IDENTITY, LocalCloud
from local.aws.runner import HttpApi, QueuePoller
from local.aws.stack import REGION
from local.stories import seeds
from local.stories.tour import QUIET

PORT = 8787
POLL_SECONDS = 0.5
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
    with LocalCloud(variables=QUIET) as cloud, HttpApi(cloud, port, docs_page.pages()) as api:
        seeds.seed(cloud.emulators)
        for line in usage(cloud, api):
            console.print(line, soft_wrap=True)
        poller = QueuePoller(cloud, hasten=False)
        while not stopping.wait(POLL_SECONDS):
            poller.drain(rounds=1)
            for result in cloud.results():
                console.print(f"published: {result['operation']} {told(result)} {result['target']}", soft_wrap=True)
            for event in cloud.sweep_results():
                summary = event["detail"]
                console.print(
                    f"published: {event['detail-type']}, run {summary['run_id']}: {told(summary)}", soft_wrap=True
                )
    console.print("stopped")
    return 0


def told(result: Mapping[str, Any]) -> str:
    """The outcome of an operation's result or a sweep's summary, with the codes and messages that explain it."""
    reasons = [result["error"]] if result["error"] else result.get("refusals", [])
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
        "Source": "task-cleanup",
        "DetailType": "Task Cleanup Requested",
        "Detail": json.dumps(request),
    }
    identity = f"{LOCAL_AWS_IDENTITY['AWS_ACCESS_KEY_ID']}:{LOCAL_AWS_IDENTITY['AWS_SECRET_ACCESS_KEY']}"
    environment = " ".join(f"{name}={value}" for name, value in LOCAL_AWS_IDENTITY.items())
    put_events = (
        f"curl --aws-sigv4 aws:amz:{REGION}:events --user {identity} -H 'X-Amz-Target: AWSEvents.PutEvents' "
        f"-H 'Content-Type: application/x-amz-json-1.1' -d '{json.dumps({'Entries': [entry]})}'"
    )
    return [
        f"[bold]HTTP API[/] (IAM is not checked here; in a browser: {api.url}{docs_page.PAGE})",
        f"  curl -X DELETE '{oms}/tasks/{seeds.OMS_FINISHED}?dry_run=true'",
        f"  curl -X DELETE {oms}/tasks/{seeds.OMS_FINISHED}",
        f"  curl -X DELETE {oms}/tasks/{seeds.OMS_RUNNING}",
        f"  curl -X DELETE {es}/instances/{seeds.ES_INSTANCE}/data-tasks/{seeds.ES_TASKS[0]}",
        f"  curl -X POST {es}/instances/{seeds.ES_MIGRATING}/cancel-task",
        f"  curl -X DELETE {dms}/tasks/{next(iter(seeds.DMS_TASKS))}",
        "[bold]Emulators[/] (tasks, journal, faults)",
        f"  curl {cloud.emulators.admin_url}/_emulator/tasks",
        f"  curl {cloud.emulators.admin_url}/_emulator/journal",
        "[bold]Bus[/] (published results are printed below)",
        f"  {put_events} {cloud.aws_url}",
        "[bold]Local AWS[/] (with this line, the commands in docs/operations.md, Redrive, work on it)",
        f"  export API_URL={api.url} AWS_ENDPOINT_URL={cloud.aws_url} {environment}",
        "Ctrl-C stops it.",
    ]


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"a port is a number below 65536, not {text}")
    return int(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="make serve", description=__doc__)
    parser.add_argument("port", nargs="?", type=_port, default=PORT, help=f"of the HTTP API: {PORT} unless given")
    sys.exit(main(parser.parse_args().port))
