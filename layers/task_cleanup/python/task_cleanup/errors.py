"""What can go wrong, as data: categories, our own codes, what is tried again; and the root of all our exceptions.

::

    TaskCleanupError              every exception of this package
        CleanupError              a failure with its category and code: it becomes the ``error`` of a result
        AwsError                  an AWS call failed (``aws``)
        NoAnswerError             no whole reply came (``transport``)
        ReplyTooLargeError        a reply is larger than allowed (``transport``)
        NotJsonError              a text is no strict JSON (``validation``)
        SettingsError             an environment variable is missing or malformed (``settings``)
        RunRefusedError           a guard of the sweep forbids its requests (``sweep.plan``)
        RunElsewhereError         another worker holds the run of a sweep (``sweep.claims``)
        OverlapsError             another run applies a policy of the same name (``sweep.claims``)
        FinishElsewhereError      another worker is publishing that a run is finished (``sweep.gathering``)
        RetryableError            tells Lambda to send an event again (``handler``)
        SweepFailedError          the same for a sweep (``sweep.handler``)
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Category(StrEnum):
    """The kind of a failure. It decides the HTTP status and whether a later try can help."""

    INVALID_REQUEST = "invalid_request"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    PRECONDITION_FAILED = "precondition_failed"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    TIMEOUT = "timeout"
    PROVIDER_ERROR = "provider_error"
    INTERNAL = "internal"


class Code(StrEnum):
    """Our own codes, for failures without a code of the provider."""

    CREDENTIAL_SUSPENDED = "CredentialSuspended"
    CONNECTION_FAILED = "ConnectionFailed"
    EXCHANGE_REFUSED = "ExchangeRefused"  # the provider gives no keys for our identity token
    EXCHANGE_UNAVAILABLE = "ExchangeUnavailable"
    EXPIRED = "Expired"
    FAILED_ENTRY = "FailedEntry"  # the bus did not take an event, and did not say why
    IDENTITY_TOKEN_DENIED = "IdentityTokenDenied"  # noqa: S105 - a code, not a password
    IDENTITY_TOKEN_UNAVAILABLE = "IdentityTokenUnavailable"  # noqa: S105
    INTERNAL_ERROR = "InternalError"
    NOT_JSON = "NotJson"
    PROJECT_ID_MISSING = "ProjectIdMissing"
    REPLY_TOO_LARGE = "ReplyTooLarge"
    RESULT_FALSE = "ResultFalse"
    SCHEMA_VIOLATION = "SchemaViolation"
    SECRET_DENIED = "SecretDenied"  # noqa: S105
    SECRET_MALFORMED = "SecretMalformed"  # noqa: S105
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105
    SECRET_STORE_UNAVAILABLE = "SecretStoreUnavailable"  # noqa: S105
    SENT_TIME_UNKNOWN = "SentTimeUnknown"
    TASK_CHANGED = "TaskChanged"  # it is not as the request expects it
    TASK_GONE = "TaskGone"
    TASK_NOT_DELETABLE = "TaskNotDeletable"  # in its present state
    TASK_STOPPED = "TaskStopped"
    TIMEOUT = "Timeout"
    UNEXPECTED_REPLY = "UnexpectedReply"
    UNREADABLE_REQUEST = "UnreadableRequest"


class SweepCode(StrEnum):
    """The sweep's own codes: why nothing was requested, why a run failed, and why its summary cannot be returned."""

    ALREADY_APPLIED = "AlreadyApplied"
    AWS_UNAVAILABLE = "AwsUnavailable"
    BUS_ERROR = "BusError"
    DRY_RUN = "DryRun"
    FRACTION_TOO_HIGH = "FractionTooHigh"
    INSTANCES_INCOMPLETE = "InstancesIncomplete"  # the list of them may lack some
    LIST_FAILED = "ListFailed"
    LIST_INCOMPLETE = "ListIncomplete"
    MORE = "More"  # how many refusals an event, a log line or a dead letter leaves out
    NOT_CONFIRMED = "NotConfirmed"  # whoever was asked before the first request did not say yes
    OVERLAPS = "Overlaps"  # another run applies a policy of the same name, or asks for the same tasks
    PLAN_TOO_OLD = "PlanTooOld"
    REGION_UNKNOWN = "RegionUnknown"
    REPORT_CHANGED = "ReportChanged"
    REPORT_NOT_A_PLAN = "ReportNotAPlan"
    REPORT_NOT_FOUND = "ReportNotFound"
    REPORT_UNREADABLE = "ReportUnreadable"
    REQUEST_TOO_LARGE = "RequestTooLarge"
    REQUESTS_NOT_TAKEN = "RequestsNotTaken"
    RESULTS_CONTENDED = "ResultsContended"  # other workers' merges overtook this one, each time
    RUN_ID_INVALID = "RunIdInvalid"
    RUN_ID_REUSED = "RunIdReused"
    RUN_NOT_FOUND = "RunNotFound"
    SAME_TARGET = "SameTarget"
    STORE_ERROR = "StoreError"
    SWEEP_RUNNING = "SweepRunning"
    TOO_MANY_INSTANCES = "TooManyInstances"
    TOO_MANY_TASKS = "TooManyTasks"


# Within a call: the same function sends it again after a short wait, as long as its deadline allows.
RETRY_WITHIN_CALL = frozenset({Category.THROTTLED, Category.UNAVAILABLE, Category.TIMEOUT})

# Later: the result is `retryable`, so its event or message comes again. A conflict is over when the running task has
# ended, or the other worker of a sweep; that is longer than one call may wait.
RETRY_LATER = RETRY_WITHIN_CALL | {Category.CONFLICT}


class TaskCleanupError(Exception):
    """The root of this package's exceptions."""


class CleanupError(TaskCleanupError):
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
    """The error for a mistake of the caller: nothing was sent, and no retry will help."""
    return CleanupError(Category.INVALID_REQUEST, code, message, detail)
