"""Makes the AWS calls of a function, signed by requests-aws4auth: boto3 would double the cold start.

Sources: the API references of Secrets Manager, EventBridge and SQS (JSON protocols), and of STS (Query protocol).
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

import requests
from requests_aws4auth import AWS4Auth

from task_cleanup.errors import Code, TaskCleanupError
from task_cleanup.providers.model import Reply, SignedRequest
from task_cleanup.settings import Settings
from task_cleanup.startup import wired
from task_cleanup.system import Deadline, System
from task_cleanup.transport import NoAnswerError, ReplyTooLargeError, exchange

IdentityTokens = Callable[[str, Deadline], str]  # the token for an audience; raises AwsError

CALL_TIMEOUT = 2.5  # seconds for one call with its repetitions
TOKEN_SECONDS = 300  # an identity token's; the exchange follows at once

# AWS's codes for a signature that is too old: Lambda froze the environment during the call, or its clock is wrong.
# The call is then signed and sent once more.
STALE_SIGNATURE = frozenset(
    {"InvalidSignatureException", "SignatureDoesNotMatch", "RequestExpired", "RequestTimeTooSkewed"}
)


class AwsError(TaskCleanupError):
    """An AWS call failed. ``code`` is AWS's own (``ResourceNotFoundException``) or ours.

    ``service`` is its signing name (``s3``), where the caller has to tell them apart. ``status`` is the reply's, if
    one came.
    """

    def __init__(self, code: str, service: str = "", status: int | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.service = service
        self.status = status


class AwsCalls(Protocol):
    """The three calls that functions make for messages and secrets. Each raises ``AwsError`` if AWS did not do it."""

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

    def __init__(self, settings: Settings, session: Callable[[], requests.Session], system: System) -> None:
        self._system = system
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

    def get_web_identity_token(self, audience: str, deadline: Deadline) -> str:
        """A token (JWT) that proves the function's own role to whoever trusts AWS's issuer, for five minutes.

        STS answers JSON where it is asked for, as every call here does: for this action that is UNCONFIRMED, and the
        documented reply is XML. Both are read. The token is all that is taken from it.

        Raises
        ------
        AwsError
            If AWS does not answer, or answers with an error or without a token.
        """
        form = {
            "Action": "GetWebIdentityToken",
            "Version": "2011-06-15",
            "Audience.member.1": audience,
            "SigningAlgorithm": "RS256",
            "DurationSeconds": str(TOKEN_SECONDS),  # always named: the right's condition has no value without it
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        reply = self._send("sts", headers, urlencode(form).encode(), deadline)
        if reply.status != 200:
            raise AwsError(_error_code(reply) or f"Http{reply.status}", "sts", reply.status)
        token = re.search(_TOKEN, reply.body.decode(errors="replace"))
        if token is None:
            raise AwsError(Code.UNEXPECTED_REPLY, "sts", reply.status)
        return token[1]

    def _call(self, action: _Action, payload: Mapping[str, Any], deadline: Deadline) -> dict[str, Any]:
        headers = {
            "Content-Type": f"application/x-amz-json-{action.json_version}",
            "X-Amz-Target": action.target,
        }
        reply = self._send(action.service, headers, json.dumps(payload).encode(), deadline)
        body = reply.json_object()
        if reply.status == 200 and body is not None:
            return body
        raise AwsError(_error_code(reply) or f"Http{reply.status}", status=reply.status)

    def _send(self, service: str, headers: Mapping[str, str], body: bytes, deadline: Deadline) -> Reply:
        """The reply, of whatever status; a signature that has gone stale is made once more."""
        within = deadline.within(CALL_TIMEOUT)
        reply = self._send_once(service, headers, body, within)
        if _error_code(reply) in STALE_SIGNATURE:
            return self._send_once(service, headers, body, within)
        return reply

    def _send_once(self, service: str, headers: Mapping[str, str], body: bytes, deadline: Deadline) -> Reply:
        try:
            return exchange(self._session(), self._signed(service, headers, body), deadline)
        except NoAnswerError as error:
            raise AwsError(error.code) from None
        except ReplyTooLargeError:
            raise AwsError(Code.REPLY_TOO_LARGE) from None

    def _signed(self, service: str, headers: Mapping[str, str], body: bytes) -> SignedRequest:
        identity = self._identity
        url = self._endpoints[service] + "/"
        prepared = requests.Request(
            "POST",
            url,
            headers={**headers, "X-Amz-Date": f"{self._system.now():%Y%m%dT%H%M%SZ}"},
            data=body,
            auth=AWS4Auth(
                identity.access_key_id,
                identity.secret_access_key,
                identity.region,
                service,
                session_token=identity.session_token,
            ),
        ).prepare()
        signed = {name: str(value) for name, value in prepared.headers.items()}
        return SignedRequest("POST", url, signed, body)


# Of both forms of STS's replies. A token needs no unescaping, and importing an XML parser takes 54 ms. They are
# compiled when they are needed, since most functions have stored keys.
_TOKEN = r"""(?a)WebIdentityToken["\s]*[:>]\s*"?([\w-]+\.[\w-]+\.[\w-]+)["<]"""  # noqa: S105 - a pattern
_QUERY_CODE = r"""(?a)Code["\s]*[:>]\s*"?([\w.]+)["<]"""


def _error_code(reply: Reply) -> str:
    """``com.amazonaws.sqs#QueueDoesNotExist`` → ``QueueDoesNotExist``; empty for a success."""
    if reply.status == 200:
        return ""
    value = (reply.json_object() or {}).get("__type")
    if isinstance(value, str):
        return value.rpartition("#")[2]
    code = re.search(_QUERY_CODE, reply.body.decode(errors="replace"))
    return code[1] if code else ""
