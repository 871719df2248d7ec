"""Where a sweep keeps its documents: JSON and pages under keys, with conditional puts.

``Store`` is what the sweep needs; ``BucketStore`` is an S3 bucket. Conditional puts let one worker only claim a run.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any, Protocol

from task_cleanup.aws import AwsError
from task_cleanup.errors import Code

if TYPE_CHECKING:
    from task_cleanup.sweep.boto import Boto  # imports boto3, which the command line does without

PREFIX = "reports"

# What is stored: a JSON object, or its bytes as ``encoded`` has made them.
Document = Mapping[str, Any] | bytes

# AWS's codes if the condition of a put is not met: another worker has written the document meanwhile.
_LOST = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})


@dataclass(frozen=True)
class Stored:
    """A JSON document, its version's tag, when it was written (the store's clock), and its bytes' SHA-256 in hex."""

    document: dict[str, Any]
    etag: str
    modified: datetime
    sha256: str


def key(run_id: str, name: str) -> str:
    """``reports/<run id>/<name>``."""
    return f"{PREFIX}/{run_id}/{name}"


def encoded(document: Document) -> bytes:
    """The bytes that are stored for a document; for one that is encoded, its own."""
    if isinstance(document, bytes):
        return document
    body = BytesIO()
    for piece in _pieces(document):
        body.write(piece.encode())
    return body.getvalue() or b"{}"


def _pieces(document: Mapping[str, Any]) -> Iterator[str]:
    """The JSON text. The items of a list one by one: of a report's targets, text and bytes would be too much."""
    before = "{"
    for name, value in document.items():
        yield f"{before}{_text(name)}:"
        if isinstance(value, list) and value:
            for number, item in enumerate(value):
                yield f"{',' if number else '['}{_text(item)}"
            yield "]"
        else:
            yield _text(value)
        before = ","
    if document:
        yield "}"


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def sha256_of(body: bytes) -> str:
    """In hex."""
    return hashlib.sha256(body).hexdigest()


class Store(Protocol):
    """Documents under keys; ``place`` tells people where. A method raises ``AwsError`` if it cannot be done."""

    place: str

    def get(self, name: str) -> Stored | None:
        """Read the document under this key; None if there is none."""

    def version(self, name: str) -> str | None:
        """The tag of the version that is under this key now; None if there is none. The document is not read."""

    def put_json(self, name: str, document: Mapping[str, Any]) -> None:
        """Write a document, and overwrite the one that may be there."""

    def put_new(self, name: str, document: Document) -> bool:
        """Write a document if there is none; False if there is one."""

    def replace(self, name: str, document: Document, etag: str) -> bool:
        """Overwrite this version of a document; False if it has another version by now."""

    def put_page(self, name: str, page: str) -> None:
        """Write an HTML page."""


class BucketStore:
    """One S3 bucket."""

    def __init__(self, boto: "Boto", bucket: str) -> None:
        self._boto = boto
        self.place = bucket

    def get(self, name: str) -> Stored | None:
        """See ``Store``."""
        reply = self._get(name)
        if reply is None:
            return None
        try:
            document = json.loads(reply["Body"])
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise AwsError(Code.NOT_JSON, "s3")
        return Stored(document, reply["ETag"], reply["LastModified"], sha256_of(reply["Body"]))

    def version(self, name: str) -> str | None:
        """See ``Store``."""
        reply = self._get(name)
        return None if reply is None else str(reply["ETag"])

    def _get(self, name: str) -> dict[str, Any] | None:
        try:
            reply: dict[str, Any] = self._boto.call("s3", "get_object", Bucket=self.place, Key=name)
        except AwsError as error:
            if error.code == "NoSuchKey":
                return None
            raise
        return reply

    def put_json(self, name: str, document: Mapping[str, Any]) -> None:
        """See ``Store``."""
        self._put(name, encoded(document), "application/json")

    def put_new(self, name: str, document: Document) -> bool:
        """See ``Store``: ``If-None-Match: *``."""
        return self._put(name, encoded(document), "application/json", IfNoneMatch="*")

    def replace(self, name: str, document: Document, etag: str) -> bool:
        """See ``Store``: ``If-Match``."""
        return self._put(name, encoded(document), "application/json", IfMatch=etag)

    def put_page(self, name: str, page: str) -> None:
        """See ``Store``."""
        self._put(name, page.encode(), "text/html; charset=utf-8")

    def _put(self, name: str, body: bytes, content_type: str, **condition: str) -> bool:
        place = {"Bucket": self.place, "Key": name, "ContentType": content_type, "CacheControl": "no-store"}
        try:
            self._boto.call("s3", "put_object", Body=body, **place, **condition)
        except AwsError as error:
            if condition and error.code in _LOST:
                return False
            raise
        return True
