"""One request, from its unwrapped form to its result: validate, sign, send, judge.

``run`` never raises: whatever goes wrong is a result that says so.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from task_cleanup.credentials import CredentialStore
from task_cleanup.errors import Category, CleanupError, Code, invalid_request
from task_cleanup.paging import check_page_with, walk
from task_cleanup.providers.model import (
    Call,
    Credentials,
    ListCall,
    Reply,
    Request,
    Service,
    SignedRequest,
    category_of_unknown,
)
from task_cleanup.redaction import redact
from task_cleanup.results import Error, Outcome, Result, Target, TaskList
from task_cleanup.retries import Verdict
from task_cleanup.startup import wired
from task_cleanup.system import Deadline, System
from task_cleanup.times import in_words, parse_time
from task_cleanup.transport import MAX_LIST_BYTES, MAX_REPLY_BYTES, FinishedCall, Sign, Transport
from task_cleanup.triggers import Received
from task_cleanup.validation import RequestValidator, Violation


@wired
class StopFirst:
    """The call that stops a task which a delete met running, and the codes that say that it runs."""

    codes: frozenset[str]
    call: Callable[[Request], Call]


@wired
class Operation:
    """What a function does: its name, its request, the call it makes, and what the answers mean.

    ``check_success`` gets every 2xx reply without an error code, and returns what is wrong with it; None means that
    the provider confirmed the change. A reply with one of the ``already_done_codes`` makes the result ``unchanged``.
    ``max_age_in_queue`` is for a call that names no task: a queued request that was first sent longer ago is refused.
    ``listing`` makes the operation a list. ``stop_first`` is what a delete sends where the request has
    ``stop_running`` and the task runs.
    """

    name: str
    service: Service
    schema: Mapping[str, Any]
    call: Callable[[Request], Call]
    check_success: Callable[[Reply], Error | None]
    already_done_codes: frozenset[str] = frozenset()
    max_age_in_queue: timedelta | None = None
    listing: ListCall | None = None
    stop_first: StopFirst | None = None
    validator: RequestValidator = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "validator", RequestValidator(self.schema))


def list_operation(service: Service, schema: Mapping[str, Any]) -> Operation:
    """The operation that lists a service's tasks, as the service's module describes it."""
    listing = service.listing
    return Operation(
        name=listing.operation,
        service=service,
        schema=schema,
        call=partial(listing.call, received=0),
        check_success=check_page_with(listing.read),
        listing=listing,
    )


@wired
class Dependencies:
    """What one execution environment keeps between requests."""

    credentials: CredentialStore
    transport: Transport
    system: System
    endpoint: str | None  # base URL instead of the region's
    dry_run: bool
    extra_regions: Collection[str] = ()  # of the operation's service, beside its own


def run(operation: Operation, received: Received, dependencies: Dependencies, deadline: Deadline) -> Result:
    """Validate, sign, send, judge. ``deadline`` is the latest moment for the provider's answer."""
    started = dependencies.system.monotonic()
    request: Request = {}
    plan = listed = None
    try:
        request = _accept(operation, received, dependencies)
        _refuse_expired(operation, request, received, dependencies.system)
        ready = _prepare(operation, request, dependencies, deadline)
        request = ready.request
        if dependencies.dry_run or request.get("dry_run"):
            plan = _planned(operation.service, ready, dependencies.system)
            settled = FinishedCall(Verdict(Outcome.PLANNED), 0)
        else:
            settled, listed = _carry_out(operation, ready, dependencies, deadline)
    except CleanupError as error:
        if error.code == Code.SCHEMA_VIOLATION:
            # The result repeats no field of a request that its schema refused: one of them has the rejected value.
            request = {}
        settled = _failed(Error.of(error))
    except Exception as error:  # noqa: BLE001 - a bug must end as a result too; its text may hold anything
        settled = _failed(
            Error(
                Category.INTERNAL,
                Code.INTERNAL_ERROR,
                f"unforeseen {type(error).__name__}",
                {"note": "if it came after a request was sent, the change may have been made"},
            )
        )
    return Result(
        operation=operation.name,
        outcome=settled.verdict.outcome,
        target=_target(operation.service, request),
        completed_at=dependencies.system.now(),
        correlation_id=request.get("correlation_id") or received.origin_id,
        duration_ms=(dependencies.system.monotonic() - started) * 1000,
        attempts=settled.attempts,
        http_status=settled.verdict.http_status,
        request_id=settled.verdict.request_id,
        client_token=request.get("client_token"),
        error=settled.verdict.error,
        plan=plan,
        requested_by=received.requested_by,
        listed=listed,
    )


def _failed(error: Error) -> FinishedCall:
    return FinishedCall(Verdict(Outcome.FAILED, error), 0)


def _target(service: Service, request: Request) -> Target:
    names = ("account", "region", "project_id", "instance_id", "task_id", "task_type")
    return Target(service.provider, service.name, **{name: request.get(name) for name in names})


# -- before anything is sent ------------------------------------------------


def _accept(operation: Operation, received: Received, dependencies: Dependencies) -> Request:
    """The validated request, with its defaults and its client token."""
    if received.unreadable is not None:
        raise received.unreadable

    def regions(asked: Request) -> list[Violation]:
        return operation.service.region_violations(asked.get("region"), dependencies.extra_regions)

    request = operation.validator.validate(received.request, regions)
    if "task_id" in request:
        request["task_id"] = str(request["task_id"])
    if operation.validator.has("client_token") and "client_token" not in request:
        request["client_token"] = _derived_token(operation, request, received.origin_id)
    return request


def _derived_token(operation: Operation, request: Request, origin_id: str) -> str:
    """The same for every redelivery and redrive of the same request, another for every other (64 characters)."""
    identity = [operation.name, origin_id, asdict(_target(operation.service, request))]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _refuse_expired(operation: Operation, request: Request, received: Received, system: System) -> None:
    lifetime = operation.max_age_in_queue
    if "not_after" in request:
        if system.now() > parse_time(request["not_after"]):
            raise invalid_request(Code.EXPIRED, "the request came later than its not_after")
    elif lifetime is not None and received.is_queued:
        age = received.age(system.now(), "put `not_after` into the request")
        if age > lifetime:
            raise invalid_request(Code.EXPIRED, f"the request was first sent more than {in_words(lifetime)} ago")


@wired
class _Ready:
    """Everything a call needs, before it is signed."""

    request: Request
    call: Call
    base: str
    credentials: Credentials


def _prepare(operation: Operation, request: Request, dependencies: Dependencies, deadline: Deadline) -> _Ready:
    """The credentials and the call; the call's project is the credentials' own if the request names none."""
    base = operation.service.base(request["region"], dependencies.endpoint, dependencies.extra_regions)
    credentials = dependencies.credentials.get(request["account"], deadline)
    if operation.service.needs_project:
        project_id = request.get("project_id") or credentials.project_id
        if project_id is None:
            raise invalid_request(
                Code.PROJECT_ID_MISSING, "neither the request nor the credentials name a project_id"
            )
        request = {**request, "project_id": project_id}
    return _Ready(request, operation.call(request), base, credentials)


# -- sending and judging ------------------------------------------------


def _signer(service: Service, ready: _Ready) -> Sign:
    """Signs this call anew for every attempt: only the client token in its query stays."""
    url, host = ready.call.url(ready.base), urlsplit(ready.base).netloc

    def sign(credentials: Credentials, now: datetime, nonce: str) -> SignedRequest:
        headers = service.sign(ready.call, host, credentials, now=now, nonce=nonce)
        return SignedRequest(ready.call.method, url, headers)

    return sign


def _planned(service: Service, ready: _Ready, system: System) -> dict[str, str]:
    """Signed like a real call, so that credentials that cannot sign are found now; then shown, not sent."""
    request = _signer(service, ready)(ready.credentials, system.now(), system.nonce())
    return {"method": request.method, "url": request.url}


def _carry_out(
    operation: Operation, ready: _Ready, dependencies: Dependencies, deadline: Deadline
) -> tuple[FinishedCall, TaskList | None]:
    """One call that makes a change, or as many as a list has pages.

    Each page is called with the credentials that the page before it ended with, so that a rotated key is rejected
    once, and not again by every page.
    """
    current = ready

    def send(call: Call) -> FinishedCall:
        nonlocal current
        settled, credentials = _send(operation, replace(current, call=call), dependencies, deadline)
        current = replace(current, credentials=credentials)
        return settled

    if operation.listing is None:
        return _stopped(operation, ready, _with_doubt(send(ready.call)), send), None
    return walk(operation.listing, ready.request, send)


def _stopped(
    operation: Operation, ready: _Ready, settled: FinishedCall, send: Callable[[Call], FinishedCall]
) -> FinishedCall:
    """Where a delete met a running task and may stop it: the stop is sent, and the result is a conflict all the same.

    The function does not wait until the task has stopped. The conflict is retryable, so the message comes again, and
    the delete is sent once more.
    """
    stop, error = operation.stop_first, settled.verdict.error
    if stop is None or error is None or error.code not in stop.codes or not ready.request.get("stop_running"):
        return settled
    reply = send(stop.call(ready.request))
    answer = "requested" if reply.verdict.error is None else reply.verdict.error.code
    verdict = replace(settled.verdict, error=error.with_detail(stop=str(answer)))
    return replace(settled, verdict=verdict, attempts=settled.attempts + reply.attempts)


def _with_doubt(settled: FinishedCall) -> FinishedCall:
    """Where an attempt got no usable answer, the result says what this call cannot know."""
    verdict = settled.verdict
    if not settled.unanswered or verdict.error is None:
        return settled
    if verdict.outcome is Outcome.UNCHANGED:
        note = "an earlier attempt of this call got no answer: it may be the one that made the change"
    else:
        note = f"{settled.unanswered} attempt(s) got no definite answer: the change may have been made all the same"
    return replace(settled, verdict=replace(verdict, error=verdict.error.with_detail(note=note)))


def _send(
    operation: Operation, ready: _Ready, dependencies: Dependencies, deadline: Deadline
) -> tuple[FinishedCall, Credentials]:
    """The settled call, and the credentials of its last attempt."""
    store, account = dependencies.credentials, ready.request["account"]
    project_id = ready.request.get("project_id")
    store.refuse_if_suspended(ready.credentials, project_id)
    latest = ready.credentials

    def refetch(rejected: Credentials) -> Credentials:
        nonlocal latest
        try:
            fresh = store.refetch(account, deadline)
            store.refuse_if_suspended(fresh, project_id)
        except CleanupError:
            # The result is about the provider's rejection, which is the cause, and not about the failed read.
            return rejected
        latest = fresh
        return fresh

    settled = dependencies.transport.run(
        sign=_signer(operation.service, ready),
        judge=partial(_judge, operation),
        refetch=refetch,
        credentials=ready.credentials,
        deadline=deadline,
        max_bytes=MAX_REPLY_BYTES if operation.listing is None else MAX_LIST_BYTES,
    )
    if settled.verdict.category is Category.UNAUTHENTICATED:
        store.suspend(latest, None if settled.verdict.code_known else project_id)
    return settled, latest


def _judge(operation: Operation, reply: Reply, request: SignedRequest, credentials: Credentials) -> Verdict:
    """What a reply means, by the provider's code first and the HTTP status only where there is none."""
    service = operation.service
    authorization = request.headers["Authorization"]
    signature = authorization.rpartition("Signature=")[2]
    secrets = [credentials.access_key_id, credentials.secret_access_key, credentials.security_token]
    clean = partial(redact, secrets=[secret for secret in (*secrets, authorization, signature) if secret])
    provider_error = service.read_error(reply)
    known: Category | None = None
    if provider_error is not None:
        code = clean(provider_error.code)
        known = service.errors.category(provider_error.code, reply.status)
        category = known or category_of_unknown(provider_error.code, reply.status)
        extra = {name: clean(text) for name, text in provider_error.extra.items()}
        error: Error | None = Error(
            category, code, clean(provider_error.message), {"provider": extra} if extra else None
        )
        outcome = _outcome_of(operation, provider_error.code, category)
    elif 200 <= reply.status < 300:
        error = operation.check_success(reply)
        outcome = Outcome.SUCCEEDED if error is None else Outcome.FAILED
    else:
        category = category_of_unknown("", reply.status)
        error = Error(category, f"Http{reply.status}", f"HTTP {reply.status} without a readable error code")
        outcome = Outcome.FAILED
    request_id = service.request_id(reply)
    return Verdict(
        outcome,
        error,
        http_status=reply.status,
        request_id=clean(request_id) if request_id else None,
        uncertain=_is_uncertain(error, reply),
        code_known=known is not None,
        replay=error is not None and error.code == "SignatureNonceUsed",
        reply=reply if operation.listing is not None else None,
    )


def _outcome_of(operation: Operation, code: str, category: Category) -> Outcome:
    if code in operation.already_done_codes:
        return Outcome.UNCHANGED
    return Outcome.CONFLICT if category is Category.CONFLICT else Outcome.FAILED


def _is_uncertain(error: Error | None, reply: Reply) -> bool:
    """An internal error, or a success that does not look like one, can come after the change was made."""
    if error is None:
        return False
    unlike_success = 200 <= reply.status < 300 and error.code == Code.UNEXPECTED_REPLY
    return error.category is Category.UNAVAILABLE or reply.status >= 500 or unlike_success
