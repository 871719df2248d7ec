"""The provider calls of one request: signed, sent and judged, each with the key that the one before it ended with."""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime
from functools import partial
from urllib.parse import urlsplit

from task_cleanup.credentials import CredentialStore
from task_cleanup.errors import Category, CleanupError, Code, invalid_request
from task_cleanup.providers.model import (
    Call,
    Credentials,
    Reply,
    Request,
    Service,
    SignedRequest,
    category_of_unknown,
)
from task_cleanup.redaction import redact
from task_cleanup.results import Error, Outcome
from task_cleanup.retries import Verdict
from task_cleanup.settings import Settings
from task_cleanup.startup import wired
from task_cleanup.system import Deadline, System
from task_cleanup.transport import MAX_LIST_BYTES, MAX_REPLY_BYTES, FinishedCall, Sign, Transport


@wired
class Dependencies:
    """What one execution environment keeps between requests."""

    credentials: CredentialStore
    transport: Transport
    system: System
    endpoint: str | None  # base URL instead of the region's
    dry_run: bool
    extra_regions: Collection[str] = ()  # of the operation's service, beside its own

    @classmethod
    def of(
        cls,
        service: Service,
        settings: Settings,
        credentials: CredentialStore,
        transport: Transport,
        system: System,
        *,
        dry_run: bool,
    ) -> "Dependencies":
        """Those of a service's operations, with what the settings say of the service."""
        endpoint = settings.provider_endpoints.get(service.id)
        extra_regions = settings.extra_regions.get(service.id, ())
        return cls(credentials, transport, system, endpoint, dry_run, extra_regions)


@wired
class Answers:
    """What the replies to one kind of call mean.

    ``check_success`` gets every 2xx reply without an error code, and returns what is wrong with it; None means that
    the provider confirmed the call. A reply with one of the ``already_done_codes`` is ``unchanged``. Where
    ``is_read``, the body is what was asked for, and the verdict keeps the reply. The body of a list may be larger.
    ``once``: after an attempt without a definite answer, the call is not sent again.
    """

    check_success: Callable[[Reply], Error | None]
    already_done_codes: frozenset[str] = frozenset()
    is_read: bool = False
    is_list: bool = False
    once: bool = False


class Caller:
    """Sends the calls of one request.

    ``request`` is the validated request with the project that it is about. A rotated key is rejected once, and not
    again by every page of a list: each call is signed with the key that the call before it ended with.
    """

    def __init__(self, service: Service, request: Request, dependencies: Dependencies, deadline: Deadline) -> None:
        """Read the credentials.

        Raises
        ------
        CleanupError
            No such region, credentials that cannot be read, or nothing names the project.
        """
        self._service = service
        self._dependencies = dependencies
        self._base = service.base(request["region"], dependencies.endpoint, dependencies.extra_regions)
        self._credentials = dependencies.credentials.get(request["account"], deadline)
        self.request = self._with_project(request)
        self.deadline = deadline

    def _with_project(self, request: Request) -> Request:
        if not self._service.needs_project:
            return request
        project_id = request.get("project_id") or self._credentials.project_id
        if project_id is None:
            raise invalid_request(
                Code.PROJECT_ID_MISSING, "neither the request nor the credentials name a project_id"
            )
        return {**request, "project_id": project_id}

    def plan(self, call: Call) -> dict[str, str]:
        """Sign like a real call, so that credentials that cannot sign are found now; show it, and send nothing."""
        system = self._dependencies.system
        request = self._signer(call)(self._credentials, system.now(), system.nonce())
        return {"method": request.method, "url": request.url}

    def send(self, call: Call, answers: Answers, deadline: Deadline | None = None) -> FinishedCall:
        """Send until the verdict stands, at most until ``deadline`` (default: the request's).

        Raises
        ------
        CleanupError
            ``CredentialSuspended``: the provider has just rejected this key.
        """
        until = deadline or self.deadline
        store, account = self._dependencies.credentials, self.request["account"]
        project_id = self.request.get("project_id")
        store.refuse_if_suspended(self._credentials, project_id)
        not_exchanged: list[CleanupError] = []

        def refetch(rejected: Credentials) -> Credentials:
            try:
                fresh = store.refetch(account, until)
                store.refuse_if_suspended(fresh, project_id)
            except CleanupError as error:
                if store.is_federated(account):
                    not_exchanged.append(error)
                # For a secret, the result is about the provider's rejection, which is the cause, and not about the
                # failed read.
                return rejected
            self._credentials = fresh
            return fresh

        settled = self._dependencies.transport.run(
            sign=self._signer(call),
            judge=partial(judge, self._service, answers),
            refetch=refetch,
            credentials=self._credentials,
            deadline=until,
            max_bytes=MAX_LIST_BYTES if answers.is_list else MAX_REPLY_BYTES,
            once=answers.once,
        )
        if not_exchanged:
            # Temporary keys can end early. Why there are no others is the cause, and tells whether it may pass.
            store.forget(account)
            error = Error.of(not_exchanged[0]).with_detail(
                note="the keys before these were rejected; nothing changed"
            )
            return replace(settled, verdict=replace(settled.verdict, error=error))
        if settled.verdict.category is Category.UNAUTHENTICATED:
            store.suspend(self._credentials, None if settled.verdict.code_known else project_id)
        return settled

    def _signer(self, call: Call) -> Sign:
        """Signs this call anew for every attempt: only the client token in its query stays."""
        service, url, host = self._service, call.url(self._base), urlsplit(self._base).netloc

        def sign(credentials: Credentials, now: datetime, nonce: str) -> SignedRequest:
            headers = service.sign(call, host, credentials, now=now, nonce=nonce)
            return SignedRequest(call.method, url, headers)

        return sign


def judge(
    service: Service, answers: Answers, reply: Reply, request: SignedRequest, credentials: Credentials
) -> Verdict:
    """What a reply means, by the provider's code first and the HTTP status only where there is none."""
    authorization = request.headers.get("Authorization", "")  # a token is sent without one
    signature = authorization.rpartition("Signature=")[2]
    secrets = [secret for secret in (*credentials.secrets, authorization, signature) if secret]
    clean = partial(redact, secrets=secrets)
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
        outcome = _outcome_of(answers, provider_error.code, category)
    elif 200 <= reply.status < 300:
        error = answers.check_success(reply)
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
        reply=reply if answers.is_read else None,
    )


def _outcome_of(answers: Answers, code: str, category: Category) -> Outcome:
    if code in answers.already_done_codes:
        return Outcome.UNCHANGED
    return Outcome.CONFLICT if category is Category.CONFLICT else Outcome.FAILED


def _is_uncertain(error: Error | None, reply: Reply) -> bool:
    """An internal error, or a success that does not look like one, can come after the change was made.

    Throttling cannot, whatever its HTTP status (Alibaba's can have 503): the provider says that it took no request.
    """
    if error is None or error.category is Category.THROTTLED:
        return False
    unlike_success = 200 <= reply.status < 300 and error.code == Code.UNEXPECTED_REPLY
    return error.category is Category.UNAVAILABLE or reply.status >= 500 or unlike_success
