"""Makes the three AWS calls of a function, signed by requests-aws4auth: boto3 would double the cold start.

Sources: the API references of Secrets Manager, EventBridge and SQS (JSON protocols).
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import requests
from requests_aws4auth import AWS4Auth

from task_cleanup.errors import Code, TaskCleanupError
from task_cleanup.providers.model import SignedRequest
from task_cleanup.settings import Settings
from task_cleanup.startup import wired
from task_cleanup.system import Deadline
from task_cleanup.transport import NoAnswerError, ReplyTooLargeError, exchange

CALL_TIMEOUT = 2.5  # seconds for one call with its repetitions

# AWS's codes for a signature that is too old: Lambda froze the environment during the call, or its clock is wrong.
# The call is then signed and sent once more.
STALE_SIGNATURE = frozenset(
    {"InvalidSignatureException", "SignatureDoesNotMatch", "RequestExpired", "RequestTimeTooSkewed"}
)


class AwsError(TaskCleanupError):
    """An AWS call failed. ``code`` is AWS's own (``ResourceNotFoundException``) or ours.

    ``service`` is its signing name (``s3``), where the caller has to tell them apart.
    """

    def __init__(self, code: str, service: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.service = service


class AwsCalls(Protocol):
    """The three calls that all functions make. Each raises ``AwsError`` if AWS did not do it."""

    def get_secret_value(self, secret_id: str, deadline: Deadline) -> str:
        """The secret's ``SecretString``; empty if it holds bytes only."""

    def put_event(self, entry: Mapping[str, str], deadline: Deadline) -> None:
        """Put one event on a bus."""

    def send_message(self, queue_url: str, body: str, attributes: Mapping[str, str], deadline: Deadline) -> None:
        """Send one message with string attributes."""


@wired
class _Action:
    service: str  # signing name
    target: str  # X-Amz-Target
    json_version: str


_GET_SECRET_VALUE = _Action("secretsmanager", "secretsmanager.GetSecretValue", "1.1")
_PUT_EVENTS = _Action("events", "AWSEvents.PutEvents", "1.1")
_SEND_MESSAGE = _Action("sqs", "AmazonSQS.SendMessage", "1.0")


class Aws:
    """Calls AWS with the function's own role. ``session`` is called each time, since the session can be replaced."""

    def __init__(self, settings: Settings, session: Callable[[], requests.Session]) -> None:
        self._endpoints = settings.aws_endpoints
        self._identity = settings.aws
        self._session = session

    def get_secret_value(self, secret_id: str, deadline: Deadline) -> str:
        """The secret's ``SecretString``; empty if it holds bytes only.

        Raises
        ------
        AwsError
            If AWS does not answer, or answers with an error.
        """
        reply = self._call(_GET_SECRET_VALUE, {"SecretId": secret_id}, deadline)
        value = reply.get("SecretString")
        return value if isinstance(value, str) else ""

    def put_event(self, entry: Mapping[str, str], deadline: Deadline) -> None:
        """Put one event on a bus.

        Raises
        ------
        AwsError
            If AWS does not answer, answers with an error, or did not take the entry (``FailedEntryCount`` above 0).
        """
        reply = self._call(_PUT_EVENTS, {"Entries": [dict(entry)]}, deadline)
        failed = reply.get("FailedEntryCount")
        if failed != 0 or isinstance(failed, bool):
            entries = reply.get("Entries")
            first = entries[0] if isinstance(entries, list) and entries else None
            code = first.get("ErrorCode", Code.FAILED_ENTRY) if isinstance(first, dict) else Code.FAILED_ENTRY
            raise AwsError(str(code))

    def send_message(self, queue_url: str, body: str, attributes: Mapping[str, str], deadline: Deadline) -> None:
        """Send one message with string attributes.

        Raises
        ------
        AwsError
            If AWS does not answer, answers with an error, or returns no ``MessageId``.
        """
        payload = {
            "QueueUrl": queue_url,
            "MessageBody": body,
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            },
        }
        reply = self._call(_SEND_MESSAGE, payload, deadline)
        if not reply.get("MessageId"):
            raise AwsError(Code.UNEXPECTED_REPLY)

    def _call(self, action: _Action, payload: Mapping[str, Any], deadline: Deadline) -> dict[str, Any]:
        within = deadline.within(CALL_TIMEOUT)
        try:
            return self._call_once(action, payload, within)
        except AwsError as error:
            if error.code not in STALE_SIGNATURE:
                raise
            return self._call_once(action, payload, within)

    def _call_once(self, action: _Action, payload: Mapping[str, Any], deadline: Deadline) -> dict[str, Any]:
        try:
            reply = exchange(self._session(), self._signed(action, payload), deadline)
        except NoAnswerError as error:
            raise AwsError(error.code) from None
        except ReplyTooLargeError:
            raise AwsError(Code.REPLY_TOO_LARGE) from None
        body = reply.json_object()
        if reply.status == 200 and body is not None:
            return body
        raise AwsError(_error_code(body) or f"Http{reply.status}")

    def _signed(self, action: _Action, payload: Mapping[str, Any]) -> SignedRequest:
        identity = self._identity
        url = self._endpoints[action.service] + "/"
        prepared = requests.Request(
            "POST",
            url,
            headers={
                "Content-Type": f"application/x-amz-json-{action.json_version}",
                "X-Amz-Target": action.target,
            },
            data=json.dumps(payload).encode(),
            auth=AWS4Auth(
                identity.access_key_id,
                identity.secret_access_key,
                identity.region,
                action.service,
                session_token=identity.session_token,
            ),
        ).prepare()
        body = prepared.body if isinstance(prepared.body, bytes) else b""
        headers = {name: str(value) for name, value in prepared.headers.items()}
        return SignedRequest("POST", url, headers, body)


def _error_code(body: Mapping[str, Any] | None) -> str:
    """``com.amazonaws.sqs#QueueDoesNotExist`` → ``QueueDoesNotExist``."""
    value = (body or {}).get("__type")
    return value.rpartition("#")[2] if isinstance(value, str) else ""
