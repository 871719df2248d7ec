"""What the reference says of settings, metrics, outcomes and our codes, where code and template have no text for it.

These are no part of the functions: a function that loads a text of its own takes longer to start. Names in
``SETTINGS`` may be patterns (``*_ENDPOINT``). The tests want a description of each member, and none of any other.
"""

from collections.abc import Mapping
from fnmatch import fnmatch
from typing import TypeVar

from task_cleanup.errors import Category, Code, SweepCode
from task_cleanup.results import Outcome
from task_cleanup.sweep.report import SweepOutcome
from task_cleanup.sweep.selection import Decision
from task_cleanup.tasks import AgeBasis, Status

Key = TypeVar("Key")
Text = TypeVar("Text")


class MissingDescriptionError(LookupError):
    """Something has no description here."""

    def __init__(self, name: object) -> None:
        super().__init__(f"{name} has no description: write one in local/api/reference/descriptions.py")


def text_of(texts: Mapping[Key, Text], key: Key) -> Text:
    """The description of a member. Raises MissingDescriptionError."""
    if key not in texts:
        raise MissingDescriptionError(repr(key))
    return texts[key]


def text_of_variable(name: str) -> str:
    """The description of a variable; that with the longest name or pattern, if several fit."""
    fitting = [known for known in SETTINGS if fnmatch(name, known)]
    if not fitting:
        raise MissingDescriptionError(f"The variable {name}")
    return SETTINGS[max(fitting, key=len)]


SETTINGS: Mapping[str, str] = {
    "CREDENTIALS_SECRET_PREFIX": "First part of the secrets' names: `<prefix>/<provider>/<account>`. Not set: "
    "`task-cleanup`.",
    "DRY_RUN": "`true` forces a dry run. With a value other than `true`, `false` or nothing, the function does not "
    "start.",
    "EXTRA_REGIONS": 'Regions that a service has beside its own, a JSON object such as `{"huawei.oms": '
    '["xx-name-1"]}`. With a value that cannot be read, no function starts; with a service that does not exist, the '
    "sweep does not start.",
    "*_FEDERATION": "Accounts of this provider without a stored key, a JSON object by account: "
    "[what is in it](../keyless.md). Not set or empty: none. Accounts that are not named have a secret. The "
    "functions of other providers have it empty. With a value that cannot be read, the function does not start.",
    "AWS_LAMBDA_FUNCTION_NAME": "Lambda sets it. Providers' audit logs show it for the calls of accounts without a "
    "stored key.",
    "EVENT_BUS_NAME": "The bus on which results are published. If this, `DEAD_LETTER_QUEUE_URL` or `MAX_RECEIVES` is "
    "not set, the function moves no message itself: a failed message comes again until SQS moves it.",
    "DEAD_LETTER_QUEUE_URL": "The queue to which the function moves messages that failed for good. Lists have none.",
    "MAX_RECEIVES": "The receive of a message at which a retryable failure counts as final "
    "([why](../architecture.md#which-receive-does-what)). Lists have none.",
    "REPORT_BUCKET": "The bucket of reports and results. `sweep` and `sweep_results` do not start without it; other "
    "functions do not have it.",
    "*_ENDPOINT": "Base URL of this service, instead of the region's. Plain `http` is for loopback only.",
    "AWS_ENDPOINT_URL": "Base URL of all AWS services that have no variable of their own.",
    "AWS_ENDPOINT_URL_*": "Base URL of this AWS service. Not set: the region's.",
    "AWS_REGION": "The region of the stack. Lambda sets it; the function does not start without it.",
    "AWS_DEFAULT_REGION": "Read if `AWS_REGION` is not set.",
    "AWS_ACCESS_KEY_ID": "Key of the function's role. Lambda sets it.",
    "AWS_SECRET_ACCESS_KEY": "Secret key of the function's role. Lambda sets it.",
    "AWS_SESSION_TOKEN": "Session token of the function's role. Lambda sets it.",
    "POWERTOOLS_METRICS_NAMESPACE": "Namespace of the [metrics](metrics.md). Not set: `TaskCleanup`.",
    "POWERTOOLS_SERVICE_NAME": "Dimension `service` of every metric, and `service` of every log line. Not set: "
    "`task-cleanup`.",
    "POWERTOOLS_LOG_LEVEL": "Lowest level that is logged. Lambda's own setting must be the same.",
    "POWERTOOLS_LOGGER_LOG_EVENT": "Whether the received event is logged. Leave it at `false`: an event may hold "
    "data that must not be in a log.",
}

METRICS: Mapping[str, str] = {
    "RunDuration": "Duration of one invocation of an operation or a list.",
    "Results": "Results: one for each request that ended.",
    "Attempts": "Calls to the provider that would change something; of a list its calls.",
    "Looks": "Looks at a task, before or after a change.",
    "LooksUnanswered": "Looks that were not answered. If this is above 0 all the time, a "
    "[right to read](../../SECURITY.md#least-privilege-at-the-providers) is missing.",
    "Duration": "Duration of one request, from its start to its result.",
    "TaskChanged": "Tasks that were not as the request expected, so that nothing was sent.",
    "Runs": "Runs of the sweep. With a nightly sweep, an hourly heartbeat adds 0, so that a run that is missing "
    "can be seen.",
    "Refused": "Runs that a limit or another guard refused.",
    "Failed": "Runs that ended in an error and do not come again by themselves.",
    "TargetsIncomplete": "Targets that could not be listed whole.",
    "TasksFound": "Tasks that were listed.",
    "TasksSelected": "Tasks that the policy selected.",
    "TasksRequested": "Deletes that the bus took.",
    "TasksNotRequested": "Deletes that the bus did not take.",
    "Finished": "Applies whose last result is in.",
    "ResultsGathered": "Results that were counted for their run.",
    "ResultsIgnored": "Results that belong to no run of the stack.",
    "ResultsDeferred": "Results that could not be counted now, and come again.",
}

OUTCOMES: Mapping[Outcome, str] = {
    Outcome.SUCCEEDED: "The provider confirmed that this call made the change; with `accepted: true`, that it will "
    "make it.",
    Outcome.UNCHANGED: "The wanted state holds, and nothing proves that this call made it: the task is gone, or does "
    "not run. `error` is the evidence, and no failure. **A mistyped id looks the same.**",
    Outcome.PLANNED: "Dry run: signed, and no change was sent. `plan` has method and URL. With `expected`, the "
    "task was looked at, and the request would end like this.",
    Outcome.CONFLICT: "The present state of the task does not allow it. Nothing changed.",
    Outcome.FAILED: "Anything else. `error` has the category and the provider's own code.",
}

CATEGORIES: Mapping[Category, tuple[str, str]] = {
    Category.INVALID_REQUEST: (
        "The request has a mistake.",
        "`error.detail.violations` names each field, its rule and what is allowed there.",
    ),
    Category.NOT_FOUND: (
        "The instance or the project is unknown. This says nothing about the task.",
        "Correct `instance_id`, `project_id` or `region`.",
    ),
    Category.CONFLICT: ("The task runs, or its instance is being changed.", "Stop the task, or wait."),
    Category.PRECONDITION_FAILED: (
        "The task is not as `expected` says. Nothing was sent.",
        "`error.detail` has `expected` and `found` of the fields that differ. Look, then send a new request.",
    ),
    Category.UNAUTHENTICATED: (
        "The key, its secret or its token is wrong.",
        "[Rotate the key](../operations.md#rotation-of-keys).",
    ),
    Category.FORBIDDEN: (
        "The provider does not allow it: a right, the caller's address, or the project.",
        "Compare the key's rights with [SECURITY.md](../../SECURITY.md#least-privilege-at-the-providers).",
    ),
    Category.THROTTLED: ("There were too many calls.", "Nothing: the queue sends it again. Over HTTP, wait."),
    Category.UNAVAILABLE: ("The provider, AWS or the network failed.", "Nothing: the queue sends it again."),
    Category.TIMEOUT: ("No answer came in time.", "Nothing: the queue sends it again."),
    Category.PROVIDER_ERROR: (
        "The provider answered with a code that no table knows, or with a reply that confirms nothing.",
        "Look at the task before you try again.",
    ),
    Category.INTERNAL: (
        "The stack is not set up right, or has a bug.",
        "[The code](error-codes.md#operations) says what.",
    ),
}

CODES: Mapping[Code, str] = {
    Code.CREDENTIAL_SUSPENDED: "The provider rejected this key, and this execution environment does not use it for 5 "
    "minutes, so that the provider does not lock it. Retryable. Check the key.",
    Code.CONNECTION_FAILED: "No connection, or it broke off.",
    Code.EXPIRED: "The request came later than its `not_after`, or too long after it was first sent.",
    Code.FAILED_ENTRY: "The bus did not take an event, and did not say why.",
    Code.INTERNAL_ERROR: "A bug. The log has the exception's type (`unforeseen exception`).",
    Code.NOT_JSON: "A document in the report bucket is not JSON.",
    Code.PROJECT_ID_MISSING: "Neither the request nor the secret names a `project_id`.",
    Code.REPLY_TOO_LARGE: "The reply is longer than 1 MiB (a page of a list: 16 MiB) and was not read to its end.",
    Code.RESULT_FALSE: "Alibaba answered `Result: false`, without a reason.",
    Code.SCHEMA_VIOLATION: "A field is missing, unknown or wrong: `error.detail.violations`.",
    Code.EXCHANGE_REFUSED: "The provider gives no keys for the function's identity token. `error.detail` has the "
    "provider's code, the token's claims, and what to compare ([keyless.md](../keyless.md)).",
    Code.EXCHANGE_UNAVAILABLE: "The provider's STS or IAM throttled the exchange, was down or slow.",
    Code.IDENTITY_TOKEN_DENIED: "AWS STS gives the function no identity token: it is not switched on for the "
    "account, or the role or the organisation forbids it.",
    Code.IDENTITY_TOKEN_UNAVAILABLE: "AWS STS throttled the call, was down or slow.",
    Code.SECRET_DENIED: "The function may not read the secret: its role, or the secret's own policy or key.",
    Code.SECRET_MALFORMED: "The secret is not the JSON object that "
    "[credentials](../operations.md#first-steps-in-an-account) are. Its content is never told.",
    Code.SECRET_NOT_FOUND: "There is no such secret, or it is marked for deletion. If the request names the account, "
    "that is the request's mistake.",
    Code.SECRET_STORE_UNAVAILABLE: "Secrets Manager throttled the call, was down or slow.",
    Code.SENT_TIME_UNKNOWN: "It is not known when the message was first sent, and this request must not be carried "
    "out late. Send it as an event with `id` and `time`.",
    Code.TASK_CHANGED: "A look shows that the task is not as `expected` says.",
    Code.TASK_GONE: "A look shows that the task is gone. With the outcome `unchanged` this is evidence, and no "
    "failure.",
    Code.TASK_NOT_DELETABLE: "A look shows that the task may not be deleted in its present state.",
    Code.TASK_STOPPED: "A look shows that the task does not run. With the outcome `unchanged` this is evidence, "
    "and no failure.",
    Code.TIMEOUT: "No connection or no reply within the time that was left.",
    Code.UNEXPECTED_REPLY: "The reply is not what the provider's page promises: it confirms nothing.",
    Code.UNREADABLE_REQUEST: "The body is no JSON object. The message has line, column and a hint.",
}

SWEEP_CODES: Mapping[SweepCode, str] = {
    SweepCode.ALREADY_APPLIED: "Another run has applied this report.",
    SweepCode.AWS_UNAVAILABLE: "AWS did not answer the HTTP request in time, or refused it. Ask again with the "
    "same id.",
    SweepCode.BUS_ERROR: "The bus did not take a request or an event. The run comes again.",
    SweepCode.DRY_RUN: "The stack's `DryRun` was switched on between two tries of the run, or before its requests "
    "were carried out.",
    SweepCode.FRACTION_TOO_HIGH: "The whole run or one target selects more than `max_fraction` of the tasks that "
    "were found.",
    SweepCode.INSTANCES_INCOMPLETE: "The list of a place's instances may lack some.",
    SweepCode.LIST_FAILED: "A target's list, or that of its instances, failed. The target's `error` says why.",
    SweepCode.LIST_INCOMPLETE: "A target's list may be incomplete: `limit`, the time, or it changed while it was "
    "read.",
    SweepCode.MORE: "How many more refusals there are, where an event, a log line or a dead letter leaves them out.",
    SweepCode.NOT_CONFIRMED: "Command line only: whoever was asked for the number of tasks did not type it.",
    SweepCode.OVERLAPS: "Another run of this policy's name is applying, or has asked for one of the tasks "
    "meanwhile. Before that, the message has come again for more than half an hour.",
    SweepCode.PLAN_TOO_OLD: "The report's tasks were listed more than a day ago. Also where a run goes on with its "
    "own plan after that.",
    SweepCode.REGION_UNKNOWN: "A target of the report is in a region that its service no longer has: "
    "`ExtraRegions` was changed.",
    SweepCode.REPORT_CHANGED: "The stored report has another digest than `sha256`.",
    SweepCode.REPORT_NOT_A_PLAN: "The report's run has not ended, was refused, failed, or requested the deletes "
    "itself; or the report repeats another one.",
    SweepCode.REPORT_NOT_FOUND: "There is no such report, or it has expired.",
    SweepCode.REPORT_UNREADABLE: "It is no report of a sweep, or one of an earlier version.",
    SweepCode.REQUEST_TOO_LARGE: "Over HTTP only: more than 200,000 bytes, which the bus does not take. Give it "
    "fewer ids.",
    SweepCode.REQUESTS_NOT_TAKEN: "The bus did not take all requests. The run comes again and sends the others.",
    SweepCode.RESULTS_CONTENDED: "Other workers changed the run's results at the same time. The results come again.",
    SweepCode.RUN_ID_INVALID: "The path holds no run id.",
    SweepCode.RUN_ID_REUSED: "Another request has used this run id. Leave `run_id` out.",
    SweepCode.RUN_NOT_FOUND: "Nobody has asked for this run, or it has expired.",
    SweepCode.SAME_TARGET: "Two targets turned out to be the same project or instance: their tasks would count "
    "twice.",
    SweepCode.STORE_ERROR: "The report bucket could not be read or written. The run comes again.",
    SweepCode.SWEEP_RUNNING: "Another worker has the run.",
    SweepCode.TOO_MANY_INSTANCES: "A place has more instances than one run lists (1,000).",
    SweepCode.TOO_MANY_TASKS: "The whole run or one target selects more tasks than `max_tasks`.",
}

SWEEP_OUTCOMES: Mapping[SweepOutcome, str] = {
    SweepOutcome.REPORTED: "The report is written. Nothing was requested.",
    SweepOutcome.REQUESTED: "Every delete is on the bus. What became of each is counted in "
    "[`results`](../sweep.md#what-became-of-it).",
    SweepOutcome.REFUSED: "A guard refused the run, and nothing was requested. `refusals` says why and what to do.",
    SweepOutcome.FAILED: "`error` says why. It may have requested a part. With `final: false` it comes again by "
    "itself.",
}

DECISIONS: Mapping[Decision, str] = {
    Decision.SELECTED: "It is deleted, or would be.",
    Decision.PROTECTED: "An entry of `protect` matches it.",
    Decision.NOT_DELETABLE: "The service does not delete a task in this state, or its state is not documented.",
    Decision.OTHER_STATUS: "Its status is none that the policy selects.",
    Decision.OTHER_NAME: "No name that the policy selects matches it.",
    Decision.TOO_YOUNG: "It is younger than `older_than`.",
    Decision.AGE_UNKNOWN: "None of the ages that `age_from` takes is known.",
    Decision.GONE: "It is not listed any more.",
    Decision.CHANGED: "It is not as it was when the report was made.",
    Decision.NOT_IN_PLAN: "The policy selects it now, and the report that is applied did not.",
    Decision.REQUESTED_BEFORE: "Another run has asked for its delete, and that request can still be carried out.",
}

STATUSES: Mapping[Status, str] = {
    Status.WAITING: "It has not begun.",
    Status.RUNNING: "It does something, or is being tried again or stopped.",
    Status.PAUSED: "It was stopped, and could go on.",
    Status.SUCCEEDED: "It ended as it should.",
    Status.FAILED: "It ended with an error.",
    Status.CANCELLED: "Somebody ended it.",
    Status.DELETING: "It is being deleted already.",
    Status.UNKNOWN: "The provider does not document this word. It is not deletable.",
}

AGES: Mapping[AgeBasis, str] = {
    AgeBasis.ENDED: "the end, as the provider tells it",
    AgeBasis.INFERRED: "an end that is worked out: start plus running time. Too early for a task that was paused",
    AgeBasis.CREATED: "the creation",
}
