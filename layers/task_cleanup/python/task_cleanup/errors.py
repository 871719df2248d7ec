"""What can go wrong, as data: the categories every provider's codes map to, our own codes, one exception."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Category(StrEnum):
    """The kind of a failure. It decides the HTTP status and whether a later try can help."""

    INVALID_REQUEST = "invalid_request"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    TIMEOUT = "timeout"
    PROVIDER_ERROR = "provider_error"
    INTERNAL = "internal"


class Code(StrEnum):
    """Our own codes, where no provider gave one."""

    CREDENTIAL_SUSPENDED = "CredentialSuspended"
    CONNECTION_FAILED = "ConnectionFailed"
    EXPIRED = "Expired"
    INTERNAL_ERROR = "InternalError"
    PROJECT_ID_MISSING = "ProjectIdMissing"
    REPLY_TOO_LARGE = "ReplyTooLarge"
    RESULT_FALSE = "ResultFalse"
    SCHEMA_VIOLATION = "SchemaViolation"
    SECRET_DENIED = "SecretDenied"  # noqa: S105 - a code, not a password
    SECRET_MALFORMED = "SecretMalformed"  # noqa: S105
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105
    SECRET_STORE_UNAVAILABLE = "SecretStoreUnavailable"  # noqa: S105
    SENT_TIME_UNKNOWN = "SentTimeUnknown"
    TIMEOUT = "Timeout"
    UNEXPECTED_REPLY = "UnexpectedReply"
    UNREADABLE_REQUEST = "UnreadableRequest"


RETRYABLE_CATEGORIES = frozenset(
    {Category.THROTTLED, Category.UNAVAILABLE, Category.TIMEOUT, Category.CONFLICT},
)


class CleanupError(Exception):
    """A failure with its category and code; it becomes the ``error`` of a result.

    ``message`` and ``detail`` end up in results and logs: never put a secret, a signature or a rejected
    value in them.
    """

    def __init__(
        self,
        category: Category,
        code: str,
        message: str,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.category = category
        self.code = code
        self.message = message
        self.detail = detail


def invalid_request(code: str, message: str, detail: Mapping[str, Any] | None = None) -> CleanupError:
    """The caller's mistake: nothing was sent, and no retry will help."""
    return CleanupError(Category.INVALID_REQUEST, code, message, detail)
