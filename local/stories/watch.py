"""``make dashboard``: the stack's dashboard, drawn from a busy week in the local cloud.

It writes ``.build/dashboard/index.html``. The functions' metrics are their own; those of SQS, EventBridge and API
Gateway are counted where the local cloud imitates these services.
"""

import json
import os
import random
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import requests
from rich.console import Console

from local.aws import stack
from local.aws.cloud import LocalCloud
from local.aws.dashboard import body_of, drawn
from local.aws.recorder import Recorder
from local.aws.runner import Answer, HttpApi, QueuePoller, await_schedule
from local.emulators import KINDS
from local.emulators.faults import FaultKind
from local.stories import night, seeds
from task_cleanup.sweep.services import SERVICES

PLACE = Path(".build/dashboard/index.html")
PERIOD = 3600  # seconds: what CloudWatch takes for a week
SIZE = 60  # tasks in each service
DELETES = {  # by the emulator's name of the service
    "alibaba_elasticsearch": "alibaba.elasticsearch.DeleteDataTask",
    "huawei_dms": "huawei.dms.DeleteBackgroundTask",
    "huawei_oms": "huawei.oms.DeleteTask",
    "otc_dms": "otc.dms.DeleteBackgroundTask",
}


class CountingApi(HttpApi):
    """Counts its answers as API Gateway does."""

    recorder: Recorder

    def respond(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer, and count it."""
        answer = super().respond(method, target, headers, body)
        for name, counts in (("Count", 1), ("4xx", 400 <= answer[0] < 500), ("5xx", answer[0] >= 500)):
            self.recorder.count("AWS/ApiGateway", name, {"ApiId": "local"}, counts)
        return answer


@dataclass(frozen=True)
class Week:
    """What every hour needs."""

    cloud: LocalCloud
    api: HttpApi
    recorder: Recorder
    chance: random.Random

    def pass_by(self, hours: int, requests_an_hour: int) -> None:
        """Let hours pass, with this many requests in each at most, and let the queues be worked off."""
        for _ in range(hours):
            self.cloud.clock.move(timedelta(minutes=self.chance.randrange(1, 10)))
            for _ in range(self.chance.randrange(requests_an_hour + 1)):
                self.cloud.put_event(self._request())
            self._ask()
            self.cloud.clock.move(timedelta(minutes=self.chance.randrange(1, 5)))
            self.recorder.sample_queues()
            QueuePoller(self.cloud).drain()
            self.cloud.clock.move(timedelta(minutes=50))

    def _ask(self) -> None:
        """Some lists over HTTP, and now and then one of what is not there."""
        for _ in range(self.chance.randrange(4)):
            region = self.chance.choice(["cn-north-4", "cn-north-4", "cn-north-4", "nowhere-1"])
            requests.get(f"{self.api.url}/huawei/oms/{region}/tasks?limit=20", timeout=30)

    def _request(self) -> dict[str, Any]:
        """A delete of some task: a few are running or gone already, a few requests are wrong."""
        service, number = self.chance.choice(list(DELETES)), self.chance.randrange(SIZE)
        request = {
            "operation": DELETES[service],
            "region": next(iter(SERVICES[service].regions)),
            "task_id": str(KINDS[service].new_id(seeds.FIRST + number)),
            **{name: it for name, it in seeds.place(service).items() if name == "instance_id"},
        }
        match number % 30:
            case 0:
                return {**request, "region": "nowhere-1"}
            case 1:
                return {**request, "dry_run": True}
            case 2:
                return {**request, "operation": "huawei.oms.DeleteTsak"}
            case 3:
                return {**request, "expected": {"name": "another"}}
        return request

    def sweep(self, request: dict[str, Any]) -> dict[str, Any]:
        """Ask for a sweep over HTTP, let it run, and return its summary."""
        reply = requests.post(f"{self.api.url}/sweeps", json=request, timeout=30).json()
        self.cloud.clock.move(timedelta(minutes=5))
        self.recorder.sample_queues()
        QueuePoller(self.cloud).drain()
        summary = requests.get(f"{self.api.url}/sweeps/{reply.get('run_id', 'none')}", timeout=30).json()
        return dict(summary)


def live(week: Week) -> None:
    """Seven days: a report each night, deletes each day, one refused sweep, and an apply at the end."""
    summary: dict[str, Any] = {}
    for day in range(7):
        await_schedule(week.cloud, night.SCHEDULE)
        QueuePoller(week.cloud).drain()
        week.pass_by(4, 0)
        week.pass_by(9, 2 + day % 3)
        if day == 2:
            week.sweep({**night.POLICY, "name": "too-much", "mode": "apply", "limits": {"max_tasks": 1}})
        if day == 4:
            week.cloud.emulators.faults.add(FaultKind.THROTTLE, service="huawei_oms", count=30)
    summary = week.sweep({**night.POLICY, "mode": "report"})
    week.sweep({"apply_report": summary["report"]["json"], "sha256": summary["report"]["sha256"]})
    week.pass_by(3, 1)


def main() -> int:
    """Live the week, and write the page; returns the process's exit status."""
    with LocalCloud(parameters={"SweepPolicy": json.dumps(night.POLICY)}) as cloud, CountingApi(cloud) as api:
        recorder = api.recorder = Recorder(cloud)
        cloud.emulators.switches.update(oms_stop_ms=1)
        seeds.seed_many(cloud.emulators, cloud.clock.now().timestamp(), SIZE)
        with recorder, recorder.counting_rules():
            live(Week(cloud, api, recorder, random.Random(3)))
        dashboard = body_of(stack.translate(stack.ROOT / "template.yaml", cloud.parameters)["Resources"])
    PLACE.parent.mkdir(parents=True, exist_ok=True)
    PLACE.write_text(drawn(dashboard, recorder.points, PERIOD))
    Console().print(f"{PLACE}: {len(recorder.points)} points, {len(recorder.lines)} lines", soft_wrap=True)
    return 0


if __name__ == "__main__":
    os.chdir(stack.ROOT)
    sys.exit(main())
