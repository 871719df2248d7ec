"""Reads and writes the report bucket: JSON documents and pages. Conditional puts let one worker only claim a run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from task_cleanup.aws import AwsError
from task_cleanup.errors import Code

PREFIX = "reports"

# AWS's codes if the condition of a put is not met: another worker has written the document meanwhile.
_LOST = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})


class StoreError(AwsError):
    """The bucket could not be read or written."""


@dataclass(frozen=True)
class Stored:
    """A JSON document, its version's tag, and when it was written (the bucket's clock)."""

    document: dict[str, Any]
    etag: str
    modified: datetime


def key(run_id: str, name: str) -> str:
    """``reports/<run id>/<name>``."""
    return f"{PREFIX}/{run_id}/{name}"


class Store:
    """Access to one bucket with a boto3 client."""

    def __init__(self, client: Any, bucket: str) -> None:  # noqa: ANN401 - boto3 makes its clients at run time
        self._client = client
        self.bucket = bucket

    def get(self, name: str) -> Stored | None:
        """Read the document under this key; None if there is none.

        Raises
        ------
        StoreError
            If the bucket refuses the read, or the document is no JSON object.
        """
        try:
            reply = self._client.get_object(Bucket=self.bucket, Key=name)
            document = json.loads(reply["Body"].read())
        except (BotoCoreError, ClientError) as error:
            if _code(error) == "NoSuchKey":
                return None
            raise StoreError(_code(error)) from None
        except ValueError:
            raise StoreError(Code.NOT_JSON) from None
        if not isinstance(document, dict):
            raise StoreError(Code.NOT_JSON)
        return Stored(document, reply["ETag"], reply["LastModified"])

    def put_json(self, name: str, document: Mapping[str, Any]) -> None:
        """Write a document, and overwrite the one that may be there.

        Raises
        ------
        StoreError
            If the bucket refuses the write.
        """
        self._put(name, json.dumps(document).encode(), "application/json")

    def put_new(self, name: str, document: Mapping[str, Any]) -> bool:
        """Write a document if there is none (``If-None-Match: *``); False if there is one.

        Raises
        ------
        StoreError
            If the bucket refuses the write.
        """
        return self._put(name, json.dumps(document).encode(), "application/json", IfNoneMatch="*")

    def replace(self, name: str, document: Mapping[str, Any], etag: str) -> bool:
        """Overwrite this version of a document (``If-Match``); False if it has another version by now.

        Raises
        ------
        StoreError
            If the bucket refuses the write.
        """
        return self._put(name, json.dumps(document).encode(), "application/json", IfMatch=etag)

    def put_page(self, name: str, page: str) -> None:
        """Write an HTML page.

        Raises
        ------
        StoreError
            If the bucket refuses the write.
        """
        self._put(name, page.encode(), "text/html; charset=utf-8")

    def _put(self, name: str, body: bytes, content_type: str, **condition: str) -> bool:
        try:
            self._client.put_object(
                Bucket=self.bucket,
                Key=name,
                Body=body,
                ContentType=content_type,
                CacheControl="no-store",
                **condition,
            )
        except (BotoCoreError, ClientError) as error:
            if condition and _code(error) in _LOST:
                return False
            raise StoreError(_code(error)) from None
        return True


def _code(error: BotoCoreError | ClientError) -> str:
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "ClientError"))
    return type(error).__name__
