"""Measures every size in every mode, and checks each run: a sweep that did something wrong is not measured."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.sweep.aws import REQUEST
from bench.sweep.estate import PROVIDERS, estate, policy
from bench.sweep.helpers import LAYER, ROOT, Helper

# `plan` applies what `report` saved before: it lists all targets a second time.
OUTCOMES = {"report": "reported", "plan": "requested", "apply": "requested"}
MODES = tuple(OUTCOMES)
# Each in an AWS of its own: no run asks for a task that another one has asked for.
STORIES = (("report", "plan"), ("apply",))
TIMEOUT = 900.0  # the function's, in seconds
BUCKET = "task-cleanup-reports"


class WrongSweepError(Exception):
    """The sweep did not do exactly what it was asked for, so its figures are worth nothing."""


@dataclass(frozen=True)
class Measure:
    """One run. Times in seconds, sizes in bytes; the dictionaries are by provider."""

    tasks: int
    targets: int
    mode: str
    seconds: float
    cpu_seconds: float
    load_seconds: float
    peak_bytes: int
    loaded_bytes: int
    calls: Mapping[str, int]
    most_at_once: Mapping[str, int]
    listing_seconds: float
    put_events_calls: int
    put_events_at_once: int
    requesting_seconds: float
    report_bytes: int
    page_bytes: int
    summary_event_bytes: int

    @property
    def list_calls(self) -> int:
        """List calls to all providers."""
        return sum(self.calls.values())

    @property
    def other_seconds(self) -> float:
        """The rest of ``seconds`` after listing and requesting: judging, documents, S3."""
        return self.seconds - self.listing_seconds - self.requesting_seconds


def measure_all(
    sizes: list[int], latency: int, seconds: float, say: Callable[[str], None], *, targets: int | None = None
) -> list[Measure]:
    """Measure every size in every mode. ``latency`` is milliseconds of every call; ``seconds`` is the limit for all.

    Raises
    ------
    WrongSweepError
        If a sweep did something wrong, or took too long.
    HelperError
        If a helper process ended.
    """
    measures = []
    ends = time.monotonic() + seconds
    for size in sizes:
        number = len(estate(size, targets))
        arguments = ("--tasks", str(size), "--targets", str(number), "--latency", str(latency))
        with Helper("bench.sweep.providers", *arguments, seconds=ends - time.monotonic()) as providers:
            for modes in STORIES:
                with Helper("bench.sweep.aws", "--latency", str(latency), seconds=ends - time.monotonic()) as aws:
                    for mode in modes:
                        say(f"{size:,} tasks on {number} targets: {mode} …")
                        left = ends - time.monotonic()
                        measures.append(measure(size, number, mode, providers=providers, aws=aws, seconds=left))
    return measures


def measure(size: int, targets: int, mode: str, *, providers: Helper, aws: Helper, seconds: float) -> Measure:
    """Measure one sweep in a new process.

    Raises
    ------
    WrongSweepError
        If it did something wrong, or took longer than ``seconds``.
    """
    request = _request(size, targets, mode, aws)
    own = _invoke(event(request, f"bench-{mode}"), providers.ready["urls"], aws.ready["url"], seconds)
    listed, stored = providers.ask(), aws.ask()
    wrong = disagreement(size, mode, own["reply"], stored)
    if wrong:
        raise WrongSweepError(f"{size} tasks, {mode}: {wrong}")
    put_events = stored["calls"]["put_events"]
    return Measure(
        tasks=size,
        targets=targets,
        mode=mode,
        seconds=own["seconds"],
        cpu_seconds=own["cpu_seconds"],
        load_seconds=own["load_seconds"],
        peak_bytes=own["peak_bytes"],
        loaded_bytes=own["loaded_bytes"],
        calls={name: listed[name]["calls"] for name in PROVIDERS if name in listed},
        most_at_once={name: listed[name]["most_at_once"] for name in PROVIDERS if name in listed},
        listing_seconds=max((reading["seconds"] for reading in listed.values()), default=0.0),
        put_events_calls=put_events["calls"],
        put_events_at_once=put_events["most_at_once"],
        requesting_seconds=put_events["seconds"] if mode != "report" else 0.0,
        report_bytes=stored["objects"]["report.json"],
        page_bytes=stored["objects"]["index.html"],
        summary_event_bytes=stored["largest_event"],
    )


def disagreement(size: int, mode: str, reply: Any, stored: Mapping[str, Any]) -> str:  # noqa: ANN401 - as the handler answered
    """In words, how the run differs from what was asked; empty if it does not."""
    wanted = 0 if mode == "report" else size
    checks = {
        "reply": (reply, {"batchItemFailures": []}),
        "outcome": (stored["outcomes"], [OUTCOMES[mode]]),
        "different tasks requested": (stored["requested"], wanted),
        "requests": (stored["events"].get(REQUEST, 0), wanted),
        "dead letters": ("sqs" in stored["calls"], False),
    }
    return "; ".join(f"{name}: {found}, not {right}" for name, (found, right) in checks.items() if found != right)


def _request(size: int, targets: int, mode: str, aws: Helper) -> dict[str, Any]:
    if mode == "plan":
        key = "reports/bench-report/report.json"
        return {"apply_report": key, "sha256": aws.ask()["sha256"][f"/{BUCKET}/{key}"]}
    return policy(estate(size, targets), mode)


def event(request: Mapping[str, Any], run_id: str) -> dict[str, Any]:
    """The request as the sweep's queue delivers it."""
    body = {
        "id": run_id,
        "source": "bench",
        "detail-type": "Sweep Requested",
        "time": datetime.now(UTC).isoformat(),  # without one an apply is refused
        "detail": {**request, "run_id": run_id},
    }
    record = {
        "messageId": run_id,
        "receiptHandle": "fake",
        "body": json.dumps(body),
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1795249800000"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:task-cleanup-sweep",
        "awsRegion": "eu-central-1",
    }
    return {"Records": [record]}


def _invoke(event_: Mapping[str, Any], urls: Mapping[str, str], aws_url: str, seconds: float) -> dict[str, Any]:
    variables = {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": str(LAYER),
        "AWS_ACCESS_KEY_ID": "AKIAFAKEBENCH0000001",
        "AWS_SECRET_ACCESS_KEY": "testSecretFakeBench0002",
        "AWS_SESSION_TOKEN": "testTokenFakeBench0001",
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL": aws_url,
        "EVENT_BUS_NAME": "task-cleanup",
        "DEAD_LETTER_QUEUE_URL": f"{aws_url}/123456789012/dead-letters",
        "MAX_RECEIVES": "3",
        "REPORT_BUCKET": BUCKET,
        "POWERTOOLS_SERVICE_NAME": "task-cleanup",
        "POWERTOOLS_METRICS_NAMESPACE": "TaskCleanup",
        **{f"{name.upper()}_ENDPOINT": url for name, url in urls.items()},
    }
    with tempfile.TemporaryDirectory(prefix="bench-sweep-") as folder:
        sent, measured = Path(folder) / "event.json", Path(folder) / "measure.json"
        sent.write_text(json.dumps(event_), encoding="utf-8")
        script = Path(__file__).with_name("invoke.py")
        command = [sys.executable, str(script), str(sent), str(measured), str(TIMEOUT)]
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            raise WrongSweepError(f"no end within {seconds:.0f} seconds") from None
        if done.returncode:
            raise WrongSweepError(done.stderr[-2000:])
        result: dict[str, Any] = json.loads(measured.read_text(encoding="utf-8"))
        return result
