"""HTTP for provider and AWS calls: one session, one hard deadline, capped replies, and the retries.

``exchange`` sends one request and reads one reply. ``Transport.run`` wraps it with everything that may make a
second attempt right: back-off, clock correction, rotated credentials. Nothing here knows a provider.
"""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum
from http.cookiejar import DefaultCookiePolicy

import requests
from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError, ReadTimeoutError
from urllib3.util import Retry, Timeout

from task_cleanup import __version__
from task_cleanup.connections import SHORTEST, WholeHeadAdapter
from task_cleanup.errors import RETRY_WITHIN_CALL as _TRANSIENT
from task_cleanup.errors import Category, Code, TaskCleanupError
from task_cleanup.providers.model import Credentials, Reply, SignedRequest
from task_cleanup.results import Error, Outcome
from task_cleanup.system import Deadline, System
from task_cleanup.times import plausible

CONNECT_TIMEOUT = 3.0  # seconds; a handshake that takes longer will not get better
READ_TIMEOUT = 10.0
MAX_REPLY_BYTES = 1024 * 1024
MAX_LIST_BYTES = 16 * MAX_REPLY_BYTES  # of one page; Alibaba's list has no pages
CHUNK_BYTES = 64 * 1024

MAX_BACKOFFS = 4  # retries after a transient failure, within the deadline
BACKOFF_BASE = 0.2  # seconds; doubled each time, then full jitter
BACKOFF_CAP = 5.0
MIN_ATTEMPT = 0.5  # an attempt with less time than this cannot end well
MAX_CLOCK_SKEW = timedelta(minutes=5)

# These log URLs, signed headers, canonical requests and the role's session token, and Lambda's runtime sets the root
# logger to the function's level, DEBUG included. A level of their own is not enough, since anybody can set another
# one for a logger below: so nothing of theirs reaches the root logger, either.
for _library in ("boto3", "botocore", "requests", "s3transfer", "urllib3"):
    logging.getLogger(_library).setLevel(logging.CRITICAL)
    logging.getLogger(_library).addHandler(logging.NullHandler())
    logging.getLogger(_library).propagate = False

_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",  # what is capped is what was sent: no decompression bombs
    "User-Agent": f"task-cleanup/{__version__}",
}

# Calls to AWS are repeated by the library: SigV4 allows it, and each is safe to repeat.
_AWS_RETRY = Retry(
    total=2,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=None,
    backoff_factor=0.1,
    respect_retry_after_header=False,
    raise_on_status=False,
)


def new_session(aws_endpoints: Iterable[str] = ()) -> requests.Session:
    """A session that reads no environment (proxies, .netrc, CA overrides) and repeats nothing but calls to AWS.

    A provider call repeated below us would replay a nonce and a signature.
    """
    session = requests.Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # no call may colour the next one
    session.mount("https://", WholeHeadAdapter(max_retries=0))
    session.mount("http://", WholeHeadAdapter(max_retries=0))
    for endpoint in aws_endpoints:
        session.mount(endpoint + "/", WholeHeadAdapter(max_retries=_AWS_RETRY))
    return session


class NoAnswerError(TaskCleanupError):
    """No whole reply came. ``sent`` is false only where the request cannot have left this machine."""

    def __init__(self, category: Category, code: Code, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.category = category
        self.code = code
        self.sent = sent


class ReplyTooLargeError(TaskCleanupError):
    """The reply is over the cap; what it says is unknown."""


class _Until(Timeout):
    """Time-outs for each attempt that the library makes of one exchange: none goes on past the deadline."""

    def __init__(self, deadline: Deadline) -> None:
        super().__init__(total=max(SHORTEST, deadline.remaining()), connect=CONNECT_TIMEOUT, read=READ_TIMEOUT)
        self._deadline = deadline

    def clone(self) -> "_Until":
        return _Until(self._deadline)


# What percent-encoding leaves, and no dot segments: the library sends any other URL otherwise than it was signed.
_SENT_AS_SIGNED = re.compile(
    r"https?://[^/?#@\s]+(/(?!\.{1,2}([/?]|\Z))([\w.~-]|%[0-9A-F]{2})*)+(\?([\w.~=&-]|%[0-9A-F]{2})*)?", re.ASCII
)


def exchange(
    session: requests.Session, request: SignedRequest, deadline: Deadline, max_bytes: int = MAX_REPLY_BYTES
) -> Reply:
    """Send one request and read its whole reply before the deadline, whatever the far end does.

    Raises
    ------
    NoAnswerError
        Time-out, reset, refused connection, TLS failure, half a reply.
    ReplyTooLargeError
        More than ``max_bytes``.
    ValueError
        For a URL that would not be sent as it was signed. Nothing was sent.
    """
    if not _SENT_AS_SIGNED.fullmatch(request.url):
        raise ValueError("the URL that would be sent is not the URL that was signed")
    if not deadline.remaining():
        raise NoAnswerError(Category.TIMEOUT, Code.TIMEOUT, "no time was left to call", sent=False)
    try:
        return _exchange(session, request, deadline, max_bytes)
    except (requests.exceptions.RequestException, HTTPError, OSError) as error:
        raise _translated(error) from None


def _exchange(session: requests.Session, request: SignedRequest, deadline: Deadline, max_bytes: int) -> Reply:
    headers = {**_HEADERS, **request.headers}
    if request.method != "GET":
        headers["Content-Length"] = str(len(request.body or b""))
    # As it is: for the library to prepare it, the URL above all, takes a third as long as to send it. What has no
    # place in a header is refused further down, by http.client.
    prepared = requests.PreparedRequest()
    prepared.method, prepared.url, prepared.body = request.method, request.url, request.body
    prepared.headers = headers  # type: ignore[assignment]
    # By the adapter: what a session adds to it, redirects and cookies, is not wanted here.
    adapter = session.get_adapter(request.url)
    # Its documentation allows urllib3's Timeout, its annotation does not.
    response = adapter.send(prepared, timeout=_Until(deadline), stream=True)  # type: ignore[arg-type]
    try:
        body = bytearray()
        while chunk := response.raw.read1(CHUNK_BYTES, decode_content=False):
            body += chunk
            if len(body) > max_bytes:
                raise ReplyTooLargeError
        arrived = {name.lower(): value for name, value in response.raw.headers.itermerged()}
        if not body and response.status_code != 204 and not arrived.keys() & {"content-length", "transfer-encoding"}:
            raise ProtocolError("an empty reply without a length: nothing tells whether it is whole")
        return Reply(response.status_code, arrived, bytes(body))
    finally:
        response.close()


def _translated(error: Exception) -> NoAnswerError:
    """Library exceptions hold URLs and addresses: only their kind goes on."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return NoAnswerError(Category.TIMEOUT, Code.TIMEOUT, "no connection within the time-out", sent=False)
    if isinstance(error, (requests.exceptions.Timeout, ReadTimeoutError)):
        return NoAnswerError(Category.TIMEOUT, Code.TIMEOUT, "no reply within the time-out", sent=True)
    message = f"the connection failed ({type(error).__name__})"
    return NoAnswerError(Category.UNAVAILABLE, Code.CONNECTION_FAILED, message, sent=not _never_left(error))


def _never_left(error: Exception) -> bool:
    """Refused, unresolvable, or a certificate that does not verify: the request itself was not sent."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, NewConnectionError) or "CERTIFICATE_VERIFY_FAILED" in str(reason)


@dataclass(frozen=True)
class Verdict:
    """What one attempt came to. ``uncertain``: the change may have been made although nothing confirms it."""

    outcome: Outcome
    error: Error | None = None
    http_status: int | None = None
    request_id: str | None = None
    uncertain: bool = False
    code_known: bool = True  # false where only the HTTP status said what the failure means
    retry_after: float | None = None  # seconds, the provider's own hint
    server_time: datetime | None = None
    replay: bool = False  # the provider says that it has seen this nonce
    reply: Reply | None = field(default=None, repr=False)  # where its body is the result

    @property
    def category(self) -> Category | None:
        """The error's category; none where there is no error or it is evidence only."""
        return self.error.category if self.error and self.outcome is not Outcome.UNCHANGED else None


@dataclass(frozen=True, eq=False, repr=False)
class Settled:
    """The verdict of a call's last attempt, how many were sent, and how many of them got no definite answer."""

    verdict: Verdict
    attempts: int
    unanswered: int = 0


class _Correction(Enum):
    """What may be put right once per call after a rejected signature."""

    CLOCK = "clock"
    NONCE = "nonce"
    CREDENTIALS = "credentials"


Sign = Callable[[Credentials, datetime, str], SignedRequest]
Judge = Callable[[Reply, SignedRequest, Credentials], Verdict]
Refetch = Callable[[Credentials], Credentials]

_SIGNATURE_UNJUDGED = _TRANSIENT | {Category.UNAUTHENTICATED}


@dataclass(eq=False, repr=False)
class _Progress:
    """What a call remembers between its attempts."""

    credentials: Credentials
    offset: timedelta
    attempts: int = 0
    backoffs: int = 0
    unanswered: int = 0
    spent: set[_Correction] = field(default_factory=set)
    reopened: bool = False


class Transport:
    """Sends a provider call until it is settled. One per execution environment; it keeps session and clock offset."""

    def __init__(self, system: System, session_factory: Callable[[], requests.Session] = new_session) -> None:
        self._system = system
        self._session_factory = session_factory
        self._session = session_factory()
        self._offset = timedelta(0)
        self._kept_alive = False

    @property
    def session(self) -> requests.Session:
        """The session, for calls to AWS."""
        return self._session

    def run(
        self,
        *,
        sign: Sign,
        judge: Judge,
        refetch: Refetch,
        credentials: Credentials,
        deadline: Deadline,
        max_bytes: int = MAX_REPLY_BYTES,
    ) -> Settled:
        """Attempt, judge, and attempt again where that can help and the deadline allows it.

        Parameters
        ----------
        sign
            Makes a request from credentials, time and nonce. Called for every attempt: a replayed signature is
            refused, and only the client token stays the same.
        judge
            Says what a reply means.
        refetch
            Returns the credentials as the secret store has them now.
        max_bytes
            Of a reply's body; what a larger one says is not known.
        """
        progress = _Progress(credentials, self._offset)
        while True:
            verdict = self._attempt(sign, judge, progress, deadline, max_bytes)
            if verdict.category not in _SIGNATURE_UNJUDGED:
                self._offset = progress.offset
            if not self._prepare_another(verdict, progress, refetch, deadline):
                return Settled(verdict, progress.attempts, progress.unanswered)

    def _attempt(self, sign: Sign, judge: Judge, progress: _Progress, deadline: Deadline, max_bytes: int) -> Verdict:
        request = sign(progress.credentials, self._system.now() + progress.offset, self._system.nonce())
        progress.attempts += 1
        try:
            reply = exchange(self._session, request, deadline.within(CONNECT_TIMEOUT + READ_TIMEOUT), max_bytes)
        except NoAnswerError as error:
            self._session.close()
            self._session = self._session_factory()
            verdict = Verdict(Outcome.FAILED, Error(error.category, error.code, str(error)), uncertain=error.sent)
        except ReplyTooLargeError:
            message = f"the reply is over {max_bytes} bytes"
            verdict = Verdict(
                Outcome.FAILED, Error(Category.PROVIDER_ERROR, Code.REPLY_TOO_LARGE, message), uncertain=True
            )
        else:
            verdict = _with_hints(judge(reply, request, progress.credentials), reply, self._system.now())
        progress.unanswered += verdict.uncertain
        return verdict

    def _prepare_another(self, verdict: Verdict, progress: _Progress, refetch: Refetch, deadline: Deadline) -> bool:
        """Whether to try again; if so, everything is put right for it, and waited for."""
        kept_alive, self._kept_alive = self._kept_alive, verdict.http_status is not None
        if verdict.category is Category.UNAUTHENTICATED:
            return deadline.remaining() > MIN_ATTEMPT and self._correct(verdict, progress, refetch)
        if verdict.category not in _TRANSIENT:
            return False
        if kept_alive and not progress.reopened and _is_reset(verdict):
            progress.reopened = True  # closed by the far end while we slept: no sign of trouble, no wait
            return deadline.remaining() > MIN_ATTEMPT
        if progress.backoffs >= MAX_BACKOFFS:
            return False
        wait = self._backoff(verdict, progress.backoffs)
        if deadline.remaining() < wait + MIN_ATTEMPT:
            return False
        progress.backoffs += 1
        self._system.sleep(wait)
        return True

    def _backoff(self, verdict: Verdict, backoffs: int) -> float:
        """Full jitter, but never sooner than the provider asked for."""
        ceiling = min(BACKOFF_CAP, BACKOFF_BASE * 2.0**backoffs)
        jitter = ceiling * self._system.fraction()
        return jitter if verdict.retry_after is None else verdict.retry_after + jitter

    def _correct(self, verdict: Verdict, progress: _Progress, refetch: Refetch) -> bool:
        """A rejected signature is signed again only where something about it has changed."""
        skew = self._skew(verdict, progress)
        if skew is not None and _Correction.CLOCK not in progress.spent:
            progress.spent.add(_Correction.CLOCK)
            progress.offset += skew
            return True
        if verdict.replay and _Correction.NONCE not in progress.spent:
            progress.spent.add(_Correction.NONCE)
            return True
        if _Correction.CREDENTIALS not in progress.spent:
            progress.spent.add(_Correction.CREDENTIALS)
            current = refetch(progress.credentials)
            changed = current != progress.credentials
            progress.credentials = current
            return changed
        return False

    def _skew(self, verdict: Verdict, progress: _Progress) -> timedelta | None:
        """How far the time we signed with is off the server's, if far enough to matter."""
        if verdict.server_time is None:
            return None
        skew = verdict.server_time - (self._system.now() + progress.offset)
        return skew if abs(skew) > MAX_CLOCK_SKEW else None


def _with_hints(verdict: Verdict, reply: Reply, now: datetime) -> Verdict:
    """The verdict with what the headers add: the server's clock, and when to come again. A success needs neither."""
    error = verdict.error
    if error is None:
        return verdict
    retry_after = _retry_after(reply.headers, now)
    if retry_after is not None and error.category in _TRANSIENT:
        error = error.with_detail(retry_after_seconds=retry_after)
    server_time = _http_date(reply.headers.get("date"))
    return replace(verdict, error=error, retry_after=retry_after, server_time=server_time)


def _is_reset(verdict: Verdict) -> bool:
    return verdict.error is not None and verdict.error.code == Code.CONNECTION_FAILED


def _http_date(value: str | None) -> datetime | None:
    """None for what is no date, or one that no clock of today shows: the clock would be set by it."""
    try:
        moment = parsedate_to_datetime(value) if value else None
    except (ValueError, TypeError, OverflowError):
        return None
    return plausible(moment.replace(tzinfo=moment.tzinfo or UTC)) if moment else None


def _retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds from ``x-acs-retry-after`` (milliseconds) or ``Retry-After`` (seconds or a date)."""
    milliseconds, value = headers.get("x-acs-retry-after", ""), headers.get("retry-after", "")
    if _NUMBER.fullmatch(milliseconds):
        return int(milliseconds) / 1000
    if _NUMBER.fullmatch(value):
        return float(value)
    moment = _http_date(value)
    return max(0.0, (moment - now).total_seconds()) if moment else None


_NUMBER = re.compile("[0-9]{1,9}")
