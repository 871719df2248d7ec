"""A deployed stack, seen with the user's own AWS identity: its outputs, its HTTP API and its queues."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any

import requests
from requests_aws4auth import AWS4Auth

from task_cleanup import triggers
from task_cleanup.settings import SettingsError, base_url
from task_cleanup.triggers import Received
from task_cleanup_cli.exits import EndedError, Exit, usage
from task_cleanup_cli.keys import not_set_up, session

Json = dict[str, Any]

API_SECONDS = 30.0  # the HTTP API gives up then
PEEK_SECONDS = 60  # for so long at most, messages that are looked at are hidden
MOST_PEEKED = 1000
# A function that cannot reach anything takes long to say so, and must not be invoked again meanwhile.
_PATIENT: Mapping[str, Json] = {"lambda": {"read_timeout": 300, "retries": {"total_max_attempts": 2}}}


class Stack:
    """One stack. Every method raises ``EndedError`` where AWS refuses or does not answer.

    ``call`` can be called by several threads.
    """

    def __init__(self, name: str, api_url: str | None = None) -> None:
        self.name = name
        self._session = session("stack")
        self._api_url = api_url
        self._clients: dict[str, Any] = {}
        self._making = Lock()  # boto3's clients can be shared by threads, and its sessions cannot

    def call(self, service: Any, operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - as boto3
        """Make one call of boto3: ``call("sqs", "receive_message", QueueUrl=…)``."""
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError  # noqa: PLC0415 - as boto3

        try:
            return getattr(self._client(service), operation)(**arguments)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "ClientError")
            raise RefusedError(service, operation, str(code)) from None
        except NoCredentialsError as error:
            raise not_set_up(error) from None
        except BotoCoreError as error:
            raise RefusedError(service, operation, type(error).__name__) from None

    def _client(self, service: Any) -> Any:  # noqa: ANN401 - as boto3
        from botocore.config import Config  # noqa: PLC0415 - as boto3
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - as boto3

        try:
            with self._making:
                if service not in self._clients:
                    self._clients[service] = self._session.client(service, config=Config(**_PATIENT.get(service, {})))
                return self._clients[service]
        except (BotoCoreError, ValueError) as error:
            raise not_set_up(error) from None

    def pages(self, service: str, operation: str, member: str, **arguments: str) -> Iterator[Json]:
        """Everything that a call lists under ``member``, page by page."""
        more: dict[str, str] = {}
        while True:
            page = self.call(service, operation, **arguments, **more)
            yield from page[member]
            if not page.get("NextToken"):
                return
            more = {"NextToken": page["NextToken"]}

    @cached_property
    def description(self) -> Json:
        """What CloudFormation says of the stack."""
        found = self.call("cloudformation", "describe_stacks", StackName=self.name)["Stacks"]
        stack: Json = found[0]
        return stack

    @cached_property
    def outputs(self) -> Mapping[str, str]:
        """The stack's outputs."""
        return {it["OutputKey"]: it["OutputValue"] for it in self.description.get("Outputs", [])}

    def output(self, name: str) -> str:
        """One output."""
        if name not in self.outputs:
            raise usage(f"the stack {self.name} has no output {name}: is it one of Task cleanup, of this version?")
        return self.outputs[name]

    # -- the HTTP API ------------------------------------------------

    def api(self, method: str, path: str, body: Json | None = None) -> tuple[int, Json]:
        """Call the stack's HTTP API: the status, and the JSON object of the reply."""
        try:
            base = base_url("API_URL", self._api_url or self.output("ApiUrl"))
        except SettingsError as error:
            raise usage(str(error)) from None
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - as boto3

        try:
            credentials = self._session.get_credentials()
            key = credentials and credentials.get_frozen_credentials()
        except (BotoCoreError, ValueError) as error:  # as of a profile whose login has ended
            raise not_set_up(error) from None
        if key is None or self._session.region_name is None:
            raise usage("there is no AWS identity, or no region: set AWS_PROFILE and AWS_REGION")
        auth = AWS4Auth(
            key.access_key, key.secret_key, self._session.region_name, "execute-api", session_token=key.token
        )
        try:
            reply = requests.request(
                method, base + path, json=body, auth=auth, timeout=API_SECONDS, allow_redirects=False
            )
            value = reply.json()
        except (requests.RequestException, ValueError) as error:
            raise NoAnswerError(
                Exit.FAILED, f"{method} {path}: no readable answer ({type(error).__name__})"
            ) from None
        return reply.status_code, value if isinstance(value, dict) else {}

    # -- queues ------------------------------------------------

    def operations(self) -> dict[str, str]:
        """The names of what has a dead-letter queue in the outputs: ``HuaweiOmsDeleteTask``, and its queue's URL."""
        end = "DeadLetterQueueUrl"
        return {name.removesuffix(end): url for name, url in self.outputs.items() if name.endswith(end)}

    def dead_letters(self, queue_url: str) -> tuple[list["DeadLetter"], bool]:
        """The messages of a queue, left in it, and whether they are all.

        They are hidden while they are read, so that each is seen once, and shown again at the end.
        """
        found: dict[str, DeadLetter] = {}
        receipts: list[Json] = []
        for message in self._peek(queue_url):
            receipts.append({"Id": str(len(receipts)), "ReceiptHandle": message["ReceiptHandle"]})
            if message["MessageId"] in found or len(found) >= MOST_PEEKED:
                break
            found[message["MessageId"]] = DeadLetter.read(message)
        for first in range(0, len(receipts), 10):
            entries = [{**it, "VisibilityTimeout": 0} for it in receipts[first : first + 10]]
            self.call("sqs", "change_message_visibility_batch", QueueUrl=queue_url, Entries=entries)
        told = self.call(
            "sqs",
            "get_queue_attributes",
            QueueUrl=queue_url,
            AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
        )["Attributes"]
        return list(found.values()), len(found) >= sum(int(number) for number in told.values())

    def _peek(self, queue_url: str) -> Iterator[Json]:
        while messages := self.call(
            "sqs",
            "receive_message",
            QueueUrl=queue_url,
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            VisibilityTimeout=PEEK_SECONDS,
            WaitTimeSeconds=1,  # without a wait, SQS asks a part of its servers, and finds nothing on them
        ).get("Messages"):
            yield from messages


class NoAnswerError(EndedError):
    """The HTTP API did not answer, so that nobody knows what became of the request."""


class RefusedError(EndedError):
    """AWS refused a call of the user's identity."""

    def __init__(self, service: str, operation: str, code: str) -> None:
        super().__init__(Exit.FAILED, f"AWS refused {service}.{operation} ({code})")
        self.reason = code


@dataclass(frozen=True)
class DeadLetter:
    """A message of a dead-letter queue: why it is there, and what it asks for."""

    cause: str
    words: str
    received: Received

    @classmethod
    def read(cls, message: Json) -> "DeadLetter":
        """The message as ``receive_message`` returns it."""
        told = {name: it.get("StringValue", "") for name, it in message.get("MessageAttributes", {}).items()}
        record = {
            "messageId": message["MessageId"],
            "body": message["Body"],
            "messageAttributes": {name: {"stringValue": value} for name, value in told.items()},
        }
        received = triggers.from_sqs({"Records": [record]})[0].received
        return cls(*_why(told, message["Body"]), received)

    @property
    def has_age(self) -> bool:
        """Whether the request says until when, or since when, it is meant."""
        request = self.received.request
        return self.received.first_sent is not None or (isinstance(request, dict) and "not_after" in request)

    def target(self) -> str:
        """What the request names, for people."""
        request = self.received.request if isinstance(self.received.request, dict) else {}
        names = ("region", "account", "instance_id", "task_id", "name", "run_id", "apply_report")
        return " ".join(str(request[name]) for name in names if name in request)


def _why(told: Mapping[str, str], body: str) -> tuple[str, str]:
    """The code and a sentence, by who has moved the message (docs/operations.md, "Redrive")."""
    if "result" in told:
        try:
            result = json.loads(told["result"])
            error = result.get("error") or next(iter(result.get("refusals") or []), None) or {}
            return str(error.get("code", result.get("outcome"))), str(error.get("message", "no reason is told"))
        except (ValueError, AttributeError):
            return "Unreadable", "the function's result cannot be read"
    if "ERROR_CODE" in told:
        who = "the event bus" if "RULE_ARN" in told else "the scheduler"
        return told["ERROR_CODE"], f"{who} could not deliver it to the queue"
    if "requestPayload" in body and "requestContext" in body:
        return "Crashed", "the function crashed, or ran out of time or memory"
    return "LastReceive", "no function has ended with it: each receive crashed, or ran out of time"
