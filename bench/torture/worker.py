"""A worker process: polls one queue by the template's mapping and invokes the function, until it is ended or killed.

Its standard output is a file: the function's log lines, and a line where each batch begins and ends, which shows what
a killed worker was working on.
"""

import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import boto3
from botocore.exceptions import EndpointConnectionError

from local.aws.cloud import LOCAL_AWS_IDENTITY, LocalCloud
from local.aws.lambdas import LocalFunction
from local.aws.runner import QueuePoller
from local.aws.stack import REGION, QueueMapping

IDLE_SECONDS = 0.25
MARK = "torture"  # the member that tells a worker's own lines from the function's


@dataclass(frozen=True)
class Job:
    """A worker's queue, function, environment and log file."""

    mapping: QueueMapping
    folder: str
    environment: Mapping[str, str]
    timeout: float
    aws_url: str
    log: str


def origin_of(message: Mapping[str, Any]) -> str:
    """The message's first id, read without the layer: an event's own, a moved message's attribute, else its id."""
    attributes = message.get("messageAttributes", {})
    try:
        content = json.loads(message["body"])
    except ValueError:
        content = None
    if isinstance(content, dict) and "detail-type" in content:
        return str(content["id"])
    moved: str | None = attributes.get("origin_id", {}).get("stringValue")
    return moved or str(message["messageId"])


def first_sent_of(body: str) -> str | None:
    """When the message says that it was first sent, read without the layer: an event's time."""
    try:
        content = json.loads(body)
    except ValueError:
        return None
    return str(content["time"]) if isinstance(content, dict) and "detail-type" in content else None


def _received(record: Mapping[str, Any]) -> dict[str, Any]:
    number = int(record["attributes"]["ApproximateReceiveCount"])
    return {"message_id": record["messageId"], "origin": origin_of(record), "number": number}


def mark(kind: str, **members: object) -> None:
    """Write a worker's line into the log, which tells where a batch begins or ends."""
    sys.stdout.write(json.dumps({MARK: kind, **members}) + "\n")
    sys.stdout.flush()


class _MarkedFunction:
    """The function, with a line when a batch begins and one when it is answered."""

    def __init__(self, function: LocalFunction) -> None:
        self._function = function

    def invoke(self, event: Mapping[str, Any]) -> Any:  # noqa: ANN401 - whatever the handler returns
        mark("received", messages=[_received(record) for record in event["Records"]])
        reply, failures = {}, None
        try:
            reply = self._function.invoke(event)
            failures = [item["itemIdentifier"] for item in reply["batchItemFailures"]]
        finally:  # before the messages are deleted: a worker that is killed after this has answered
            mark("answered", failures=failures)
        return reply


class _Surroundings:
    """The part of ``LocalCloud`` that a poller needs, for one queue in a process of its own."""

    def __init__(self, job: Job) -> None:
        self.sqs = boto3.client("sqs", endpoint_url=job.aws_url, region_name=REGION)
        self._function = _MarkedFunction(LocalFunction(job.folder, job.environment, job.timeout))

    def function(self, _name: str) -> _MarkedFunction:
        return self._function


def work(job: Job) -> None:
    """Poll until SIGTERM or until the parent is gone; a batch that has begun is finished."""
    sys.stdout = open(job.log, "w", buffering=1, encoding="utf-8")  # noqa: SIM115, PTH123 - open as long as the process
    ending = []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(True))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update({**LOCAL_AWS_IDENTITY, **job.environment})  # nothing else runs in this process
    # Not hastened: a failed message comes again when its visibility ends, as with Lambda.
    poller = QueuePoller(cast("LocalCloud", _Surroundings(job)), hasten=False)
    parent = multiprocessing.parent_process()
    with suppress(EndpointConnectionError):  # local AWS is gone, and with it the run
        while not ending and (parent is None or parent.is_alive()):
            if not poller.poll(job.mapping).received:
                time.sleep(IDLE_SECONDS)
