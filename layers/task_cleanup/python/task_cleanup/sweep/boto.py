"""The AWS calls of the sweep and of the gatherer, by boto3, which repeats a failed call: any may be made twice."""

from collections.abc import Callable, Mapping
from copy import copy
from threading import Lock
from typing import Any, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from task_cleanup.aws import AwsError
from task_cleanup.errors import Code
from task_cleanup.settings import Settings, SettingsError
from task_cleanup.sweep.bus import answers
from task_cleanup.system import Deadline

AwsService = Literal["s3", "events", "secretsmanager", "sqs"]


class Boto:
    """boto3's clients, made when they are first used, and the calls that ``AwsCalls`` asks for.

    ``config`` says how long a call may take; the deadlines of ``AwsCalls`` are not looked at. Where ``has_time`` is
    false, no call is begun.
    """

    def __init__(self, settings: Settings, config: Config, has_time: Callable[[], bool] = lambda: True) -> None:
        self._settings = settings
        self._config = config
        self._has_time = has_time
        self._clients: dict[AwsService, Any] = {}
        self._making = Lock()  # boto3 makes clients in one thread at a time

    def only_while(self, has_time: Callable[[], bool]) -> "Boto":
        """The same clients for as long as there is time."""
        limited = copy(self)
        limited._has_time = has_time
        return limited

    def call(self, service: AwsService, operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - as boto3
        """Make one call: ``call("s3", "get_object", Bucket=…, Key=…)``. A ``Body`` that comes back is read.

        Raises
        ------
        AwsError
            With AWS's code, the name of boto3's error, or ``Timeout`` where there is no time left.
        """
        if not self._has_time():
            raise AwsError(Code.TIMEOUT, service)
        try:
            reply = getattr(self._client(service), operation)(**arguments)
            return {**reply, "Body": reply["Body"].read()} if "Body" in reply else reply
        except ClientError as error:
            raise AwsError(str(error.response.get("Error", {}).get("Code", "ClientError")), service) from None
        except BotoCoreError as error:
            raise AwsError(type(error).__name__, service) from None

    def _client(self, service: AwsService) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
        with self._making:
            if service not in self._clients:
                # The same endpoint URLs as for all other AWS calls: boto3's own differ for some services.
                self._clients[service] = boto3.client(
                    service,
                    region_name=self._settings.aws.region,
                    endpoint_url=self._settings.aws_endpoints[service],
                    config=self._config,
                )
            return self._clients[service]

    # -- AwsCalls ------------------------------------------------

    def get_secret_value(self, secret_id: str, deadline: Deadline) -> str:  # noqa: ARG002 - see the class
        """See ``AwsCalls``."""
        value = self.call("secretsmanager", "get_secret_value", SecretId=secret_id).get("SecretString")
        return value if isinstance(value, str) else ""

    def put_event(self, entry: Mapping[str, Any], deadline: Deadline | None = None) -> None:  # noqa: ARG002
        """See ``AwsCalls``."""
        (taken,) = answers(self.call("events", "put_events", Entries=[entry]), 1)
        if not taken.get("EventId"):
            raise AwsError(taken.get("ErrorCode", Code.FAILED_ENTRY), "events")

    def send_message(self, queue_url: str, body: str, attributes: Mapping[str, str], deadline: Deadline) -> None:  # noqa: ARG002
        """See ``AwsCalls``."""
        told = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
        reply = self.call("sqs", "send_message", QueueUrl=queue_url, MessageBody=body, MessageAttributes=told)
        if not reply.get("MessageId"):
            raise AwsError(Code.UNEXPECTED_REPLY, "sqs")


def bucket_and_bus(settings: Settings) -> tuple[str, str]:
    """The names of the report bucket and the event bus.

    Raises
    ------
    SettingsError
        If one of them is not set.
    """
    if settings.report_bucket is None:
        raise SettingsError("REPORT_BUCKET is not set")
    if settings.event_bus_name is None:
        raise SettingsError("EVENT_BUS_NAME is not set")
    return settings.report_bucket, settings.event_bus_name
