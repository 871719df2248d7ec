"""The local cloud: emulated providers, local AWS with the deployed template, secrets, and the functions."""

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from unittest.mock import patch

import boto3
import requests
import yaml
from jsonpath_ng.ext.parser import parse
from moto.server import ThreadedMotoServer
from moto.sqs.models import sqs_backends

from local.aws import message_moves, notices, stack
from local.aws.clock import CloudClock, installed
from local.aws.lambdas import LocalFunction
from local.emulators import Emulators
from task_cleanup.sweep.services import SERVICES

PROJECT_ID = "0123456789abcdef0123456789abcdef"

# Obviously fake: only the emulators accept them.
SECRETS: Mapping[str, Mapping[str, str]] = {
    service.provider: {
        "access_key_id": f"AKFAKE{service.provider.upper()}00001",
        "secret_access_key": f"testSecretFake{service.provider.title()}00001",
        **({"project_id": PROJECT_ID} if service.needs_project else {}),
    }
    for service in SERVICES.values()
}
LOCAL_AWS_IDENTITY = {
    "AWS_ACCESS_KEY_ID": "AKIAFAKELOCALAWS0001",
    "AWS_SECRET_ACCESS_KEY": "testSecretFakeLocalAws0001",
    "AWS_REGION": stack.REGION,
    "AWS_DEFAULT_REGION": stack.REGION,
}

RESULTS = ("Task Cleanup Completed", "Task Cleanup Failed")
SWEEP_RESULTS = ("Sweep Completed", "Sweep Refused", "Sweep Failed")
SWEEP_FINISHED = "Sweep Finished"


@dataclass(frozen=True)
class Message:
    """A message received from a queue."""

    body: str
    attributes: Mapping[str, str]


def aws_client(service: str, url: str) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
    """A boto3 client of the local AWS at this address."""
    return boto3.client(  # type: ignore[call-overload]
        service,
        endpoint_url=url,
        region_name=stack.REGION,
        aws_access_key_id=LOCAL_AWS_IDENTITY["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=LOCAL_AWS_IDENTITY["AWS_SECRET_ACCESS_KEY"],
    )


def store_secrets(secrets: Any, emulators: Emulators) -> None:  # noqa: ANN401 - boto3 makes its clients at run time
    """Store every provider's secret by this client of Secrets Manager, and add its key to the emulators."""
    for provider, secret in SECRETS.items():
        secrets.create_secret(Name=f"task-cleanup/{provider}/default", SecretString=json.dumps(secret))
        emulators.add_key(provider=provider, **secret)


class LocalCloud:
    """Emulators, local AWS and functions; they run inside a ``with`` block and end with it."""

    def __init__(
        self,
        seed: int = 0,
        variables: Mapping[str, str] | None = None,
        template: Path = stack.ROOT / "template.yaml",
        parameters: Mapping[str, str] | None = None,
        stack_name: str = stack.STACK_NAME,
    ) -> None:
        """``variables`` override the template's environment variables, for a quieter or a different run.

        ``parameters`` are the stack's own; those that are not given have the template's defaults.
        """
        self._stack_name = stack_name
        self._template = template
        self.parameters = dict(parameters or {})
        self.emulators = Emulators(seed)
        self.clock = CloudClock(self.emulators.clock)
        self._variables = dict(variables or {})
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        """Start the servers, deploy the template, store the secrets."""
        for chatty in ("werkzeug", "samtranslator"):
            logging.getLogger(chatty).setLevel(logging.ERROR)
        self._closing.enter_context(self.emulators)
        self._closing.enter_context(installed(self.clock.now))
        # Lambda has the credentials in the environment, and a client that is made at the first call takes them there.
        self._closing.enter_context(patch.dict(os.environ, LOCAL_AWS_IDENTITY))
        # moto reads a template with this loader, four times for each deployment. In Python, that takes half a second.
        self._closing.enter_context(patch.object(yaml, "Loader", yaml.CLoader))
        # moto makes a parser of JSONPath for each path of each event: as much work as the rest of putting the event.
        self._closing.enter_context(patch("jsonpath_ng.ext.parse", cache(parse)))
        message_moves.install()
        notices.install()
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        self._closing.callback(server.stop)
        _, port = server.get_host_and_port()
        self.aws_url = f"http://127.0.0.1:{port}"
        # moto keeps its state in the process: an earlier local cloud's stack would still be there.
        requests.post(f"{self.aws_url}/moto-api/reset", timeout=30).raise_for_status()
        self.stack = stack.deploy(
            self.client("cloudformation"), self._template, name=self._stack_name, **self.parameters
        )
        self.sqs = self.client("sqs")
        self._results_url = self._watch("watch-results", RESULTS)
        self._sweep_results_url = self._watch("watch-sweeps", SWEEP_RESULTS)
        self._finished_url = self._watch("watch-finished", (SWEEP_FINISHED,))
        store_secrets(self.client("secretsmanager"), self.emulators)
        self._functions: dict[str, LocalFunction] = {}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop all servers."""
        self._closing.close()

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
        """A boto3 client of local AWS."""
        return aws_client(service, self.aws_url)

    def open_to_commands(self, api_url: str) -> None:
        """Add what commands of the AWS CLI need besides: the output ``ApiUrl``, and the group for schedules.

        A schedule that is made there is kept, and sends nothing.
        """
        stack.tell(self.client("cloudformation"), self.stack.name, self.parameters, ApiUrl=api_url)
        for group in {schedule.group for schedule in self.stack.schedules}:
            self.client("scheduler").create_schedule_group(Name=group)

    def function(self, name: str) -> LocalFunction:
        """The function with this logical id, kept warm."""
        if name not in self._functions:
            deployed = self.stack.functions[name]
            self._functions[name] = LocalFunction(deployed.folder, self.environment_of(name), deployed.timeout)
        return self._functions[name]

    def function_in(self, folder: str) -> LocalFunction:
        """The function whose code is in this folder."""
        return self.function(next(name for name, item in self.stack.functions.items() if item.folder == folder))

    def environment_of(self, name: str) -> dict[str, str]:
        """The template's variables, with AWS's and the providers' addresses replaced by local ones."""
        variables = dict(self.stack.functions[name].environment)
        variables |= LOCAL_AWS_IDENTITY
        variables |= {name: self.aws_url for name in variables if name.startswith("AWS_ENDPOINT_URL")}
        stand_ins = dict(self.emulators.identity.urls)
        variables["AWS_ENDPOINT_URL_STS"] = stand_ins.pop("aws_sts")  # moto does not give identity tokens
        addresses = {**self.emulators.urls, **stand_ins}
        variables |= {f"{service.upper()}_ENDPOINT": url for service, url in addresses.items()}
        variables["AWS_LAMBDA_FUNCTION_NAME"] = f"{self._stack_name}-{name}"
        if any(name.endswith("_FEDERATION") and value for name, value in variables.items()):
            variables["AWS_ACCESS_KEY_ID"] = self._own_key(name)
        return variables | self._variables

    def _own_key(self, name: str) -> str:
        """The id of a key by which AWS STS knows this function's role, and puts it into the token."""
        key_id = f"AKIAFAKE{hashlib.sha256(name.encode()).hexdigest()[:12].upper()}"
        role = f"arn:aws:iam::{stack.ACCOUNT}:role/{self._stack_name}-{name.removesuffix('Function')}Role"
        self.emulators.identity.aws.add_role(role, key_id, LOCAL_AWS_IDENTITY["AWS_SECRET_ACCESS_KEY"])
        return key_id

    def put_event(self, detail: Mapping[str, Any], detail_type: str = "Task Cleanup Requested") -> str:
        """Put an event on the stack's bus, as a user of the stack does, and return its id.

        The source is not ours: results of requests with ours are taken for those of a sweep.
        """
        entry = {
            "EventBusName": self.stack.bus,
            "Source": "com.example.migrations",
            "DetailType": detail_type,
            "Detail": json.dumps(detail),
        }
        event_id: str = self.client("events").put_events(Entries=[entry])["Entries"][0]["EventId"]
        return event_id

    def results(self) -> list[dict[str, Any]]:
        """The operations' results published on the bus since the last call."""
        return [json.loads(message.body)["detail"] for message in self.take(self._results_url)]

    def sweep_results(self) -> list[dict[str, Any]]:
        """The final events of sweeps since the last call, whole, since the detail-type says how each ended."""
        return [json.loads(message.body) for message in self.take(self._sweep_results_url)]

    def finished(self) -> list[dict[str, Any]]:
        """What became of the sweeps whose last result has come since the last call."""
        return [json.loads(message.body)["detail"] for message in self.take(self._finished_url)]

    def has_messages(self, queue_url: str) -> bool:
        """Whether something is visible in a queue. Receiving is a call over HTTP, and most are empty."""
        return bool(sqs_backends[stack.ACCOUNT][stack.REGION].queues[queue_url.rpartition("/")[2]].messages)

    def take(self, queue_url: str) -> list[Message]:
        """Receive and delete everything that is visible in a queue."""
        taken: list[Message] = []
        while self.has_messages(queue_url):
            received = self.sqs.receive_message(
                QueueUrl=queue_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
            )
            for message in received.get("Messages", []):
                self.sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
                attributes = message.get("MessageAttributes", {})
                taken.append(
                    Message(message["Body"], {name: item["StringValue"] for name, item in attributes.items()})
                )
        return taken

    def redrive(self, operation: str, messages: Iterable[Message]) -> None:
        """Send messages of the dead-letter queue back to the operation's queue as StartMessageMoveTask does.

        That makes new messages ("Configure a dead-letter queue redrive" of the SQS developer guide): another id,
        another SentTimestamp, no receives. Only body and message attributes stay.
        """
        for message in messages:
            attributes = {
                name: {"DataType": "String", "StringValue": text} for name, text in message.attributes.items()
            }
            self.sqs.send_message(
                QueueUrl=self.stack.queue_urls[f"{operation}Queue"],
                MessageBody=message.body,
                MessageAttributes=attributes,
            )

    def _watch(self, name: str, detail_types: Sequence[str]) -> str:
        """Make a queue that gets these events from the bus, as a user of the stack would; returns its URL."""
        url: str = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events = self.client("events")
        rule = {"Name": name, "EventBusName": self.stack.bus}
        events.put_rule(**rule, EventPattern=json.dumps({"detail-type": list(detail_types)}))
        events.put_targets(Rule=rule["Name"], EventBusName=self.stack.bus, Targets=[{"Id": "queue", "Arn": arn}])
        return url
