"""The AWS calls that the functions make in local runs, and the rights that AWS wants to see for each.

Each function runs as the template sets it up: its variables are the resolved template's, all but the endpoints, which
lead to a fake AWS on loopback. What is asked of IAM is told by what arrived there: by the URL of a queue, the name of
a secret, bus or bucket that was sent.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from local.aws.stack import REGION
from local.emulators import Emulators
from tests.rights.resolved import ACCOUNT, Function, Rights
from tests.rights.simulator import Request, through_key
from tests.support import results_world, scenes
from tests.support.aws import Trouble
from tests.support.functions import provider_of
from tests.support.handler_world import MAX_RECEIVES
from tests.support.identities import AWS_VARIABLES, fake_secret
from tests.support.sweep_world import (
    Answer,
    Failure,
    Json,
    SweepAws,
    SweepWorld,
    bridge_event,
    http_get,
    http_post,
    policy,
    queued,
)
from tests.support.triggers import TRIGGERS, arrival, batch, with_body

SWEEP, SWEEP_RESULTS = "sweep", "sweep_results"

# How a function names a service's endpoint: the variable, by the service's name in an action.
_ENDPOINTS = {
    "secretsmanager": "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "events": "AWS_ENDPOINT_URL_EVENTBRIDGE",
    "sqs": "AWS_ENDPOINT_URL_SQS",
    "s3": "AWS_ENDPOINT_URL_S3",
}


@dataclass(frozen=True)
class Call:
    """One call as it arrived: an HTTP method and path, the JSON protocols' target, the body, the answer's status."""

    folder: str
    method: str
    path: str
    target: str
    body: bytes
    conditional: bool  # with If-Match
    status: int | None  # None where the line was cut


class RecordingAws(SweepAws):
    """``SweepAws`` that keeps every call; ``running`` is the folder of the function that makes them."""

    running = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.recorded: list[Call] = []

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer | Trouble:
        """The same answer."""
        answer = super().handle(method, path, headers, body)
        status = answer.status if isinstance(answer, Answer) else None
        target = headers.get("x-amz-target", "")
        self.recorded.append(Call(self.running, method, path, target, body, "if-match" in headers, status))
        return answer


def _new_aws() -> RecordingAws:
    return RecordingAws(
        AWS_VARIABLES["AWS_ACCESS_KEY_ID"],
        AWS_VARIABLES["AWS_SECRET_ACCESS_KEY"],
        AWS_VARIABLES["AWS_SESSION_TOKEN"],
        AWS_VARIABLES["AWS_REGION"],
    )


def record(rights: Rights, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[Call]:
    """The calls of every function, in every way in which it can be started and can end."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", boto3.session.Session())
    with Emulators() as cloud, _new_aws() as aws:

        def new_world(folder: str) -> SweepWorld:
            aws.running = folder
            return SweepWorld(cloud, aws, monkeypatch, capsys)

        for function in rights.functions:
            run = {SWEEP: _run_sweep, SWEEP_RESULTS: _run_gatherer}.get(function.folder, _run_operation)
            run(function, new_world)
        assert aws.bad_signatures == []
    return aws.recorded


def _variables(function: Function) -> dict[str, str]:
    """The template's, but for the endpoints and the name under which loggers are kept. Lists have no queue's."""
    kept = {"DEAD_LETTER_QUEUE_URL": "", "MAX_RECEIVES": ""}
    kept |= {name: value for name, value in function.environment.items() if not name.startswith("AWS_ENDPOINT_URL")}
    del kept["POWERTOOLS_SERVICE_NAME"]
    return kept


# -- operations ------------------------------------------------


def _run_operation(function: Function, new_world: Callable[[str], SweepWorld]) -> None:
    """A success by every trigger and with every kind of account; every other scene but those that wait, as a message.

    It is the message's last receive, so that failures are moved. Lists, which have no queue, are called directly.
    """
    folder = function.folder
    usual = "sqs_eventbridge" if "DEAD_LETTER_QUEUE_URL" in function.environment else "direct"
    for scene in (scene for scene in scenes.scenes_of(folder) if not scene.slow):
        world = new_world(folder)
        environment = world.function(folder, {**_variables(function), **scene.variables})
        provider = provider_of(folder)
        for trigger in TRIGGERS if scene.name == "succeeded" else (usual,):
            scenes.arrange(world, folder, scene)
            environment.invoke(_last_receive(folder, arrival(folder, trigger, scene.changes).event))
        if scene.name == "succeeded":
            world.put_secret(provider, fake_secret(provider), "team-b")
            environment.invoke(arrival(folder, "direct", {"account": "team-b"}).event)


def _last_receive(folder: str, event: Json) -> Json:
    if "Records" not in event:
        return event
    return batch(with_body(folder, event["Records"][0]["body"], receives=MAX_RECEIVES))


# -- the sweep ------------------------------------------------


def _run_sweep(function: Function, new_world: Callable[[str], SweepWorld]) -> None:
    """Reported, applied, applied from a saved report, refused, failed, asked for and asked about over HTTP."""
    last = int(function.environment["MAX_RECEIVES"])
    world = new_world(SWEEP)
    world.seed()
    worker = world.worker(**_variables(function))
    worker(queued(policy(mode="report"), "reported"))
    worker(queued({"apply_report": "reports/reported/report.json"}, "applied"))
    worker(queued({"apply_report": "reports/reported/report.json"}, "applied-again"))
    worker(bridge_event(policy(limits={"max_tasks": 1, "max_fraction": 0.6}), "refused"))
    worker(queued(policy(targets=[]), "invalid"))
    world.aws.failures["PUT report.json"] = Failure((500, "InternalError"))
    worker(queued(policy(), "failed", receives=last))
    world.aws.failures.clear()
    worker(http_post(policy(), "asked"))
    for run_id in ("reported", "never-was"):
        worker(http_get(run_id))
    world.seed()
    worker(policy(), request_id="direct")


def _run_gatherer(function: Function, new_world: Callable[[str], SweepWorld]) -> None:
    """Results of no run, the first of a run, the same again with the last, and what comes after the end."""
    world = new_world(SWEEP_RESULTS)
    gatherer = world.gatherer(**_variables(function))
    gatherer(results_world.batch([results_world.result(0)]))
    for name, document in results_world.run_documents(2).items():
        world.aws.put_document(f"reports/{results_world.RUN}/{name}", document)
    for number in (0, 1, 1):
        gatherer(results_world.batch([results_world.result(0), results_world.result(number)]))


# -- what IAM is asked ------------------------------------------------


def needed(call: Call, rights: Rights, *, key: bool = False) -> Iterator[Request]:
    """The rights that AWS wants to see for this call; with ``key``, those for the customer's KMS key as well.

    Sources for the key: SQS Developer Guide, "Amazon SQS Key management"; S3 User Guide, "Using server-side
    encryption with AWS KMS keys"; Secrets Manager User Guide, "Secret encryption and decryption in AWS Secrets
    Manager".
    """
    for request in _requests(call, rights.function_in(call.folder)):
        yield request
        if key:
            service, _, action = request.action.partition(":")
            yield from through_key(request, service, *_KEY_USE.get(action, ()))


_KEY_USE = {
    "GetSecretValue": ("Decrypt",),
    "SendMessage": ("GenerateDataKey", "Decrypt"),
    "GetObject": ("Decrypt",),
    "PutObject": ("GenerateDataKey",),
}


def _requests(call: Call, function: Function) -> Iterator[Request]:
    if call.method == "POST":
        service, action = _JSON_ACTIONS[call.target]
        found = action(function.role, json.loads(call.body))
    else:
        service, found = "s3", _of_s3(function.role, call)
    # Over TLS if the template's endpoint says so.
    secure = str(function.environment[_ENDPOINTS[service]].startswith("https://")).lower()
    return (request.but(context={"aws:SecureTransport": secure}) for request in found)


def _get_secret_value(role: str, body: Json) -> Iterator[Request]:
    # Secrets Manager adds six random characters to the name.
    arn = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{body['SecretId']}-AbCdEf"
    yield Request(role, "secretsmanager:GetSecretValue", arn)


def _send_message(role: str, body: Json) -> Iterator[Request]:
    account, queue = body["QueueUrl"].split("/")[-2:]
    yield Request(role, "sqs:SendMessage", f"arn:aws:sqs:{REGION}:{account}:{queue}")


def _put_events(role: str, body: Json) -> Iterator[Request]:
    """One for each entry, and one for the whole call: AWS's pages do not say which of the two is judged."""
    entries = body["Entries"]
    groups = [[entry] for entry in entries] + ([entries] if len(entries) > 1 else [])
    for group in groups:
        (bus,) = {entry["EventBusName"] for entry in group}
        events = [(entry["Source"], entry["DetailType"]) for entry in group]
        yield put_events(role, f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{bus}", *events)


def put_events(who: str, bus: str, *events: tuple[str, str], **more: Any) -> Request:
    """PutEvents on a bus (ARN), with these events: source and detail-type of each."""
    context = {"events:source": [source for source, _ in events], "events:detail-type": [kind for _, kind in events]}
    return Request(who, "events:PutEvents", bus, context, **more)


def _of_s3(role: str, call: Call) -> Iterator[Request]:
    _, bucket, key = call.path.split("?")[0].split("/", 2)
    of_object = f"arn:aws:s3:::{bucket}/{key}"
    if call.method == "PUT":
        yield Request(role, "s3:PutObject", of_object)
    if call.method == "GET" or call.conditional:  # If-Match looks at what is there
        yield Request(role, "s3:GetObject", of_object)
    if call.method == "GET" and call.status == 404:
        # S3 tells that an object is missing to those only who may list (API Reference, "GetObject", permissions).
        # Such a call has no prefix.
        yield Request(role, "s3:ListBucket", f"arn:aws:s3:::{bucket}")


_JSON_ACTIONS: Mapping[str, tuple[str, Callable[[str, Json], Iterator[Request]]]] = {
    "secretsmanager.GetSecretValue": ("secretsmanager", _get_secret_value),
    "AmazonSQS.SendMessage": ("sqs", _send_message),
    "AWSEvents.PutEvents": ("events", _put_events),
}
