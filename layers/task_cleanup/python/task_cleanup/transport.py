"""HTTP for provider and AWS calls: one session, one deadline, replies of a limited size, and the retries.

``exchange`` sends a request and reads its reply. ``Transport.run`` sends a provider call until its verdict is final:
``retries.next_step`` says what to do before each further attempt, and ``run`` does it. Nothing here knows a provider.
"""

import logging
import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from http.cookiejar import DefaultCookiePolicy

import requests
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.util import Retry, Timeout

from task_cleanup import __version__
from task_cleanup.connections import SHORTEST, WholeHeadAdapter
from task_cleanup.errors import Category, Code, TaskCleanupError
from task_cleanup.providers.model import Credentials, Reply, SignedRequest
from task_cleanup.results import Error, Outcome
from task_cleanup.retries import SIGNATURE_NOT_ACCEPTED, Action, Verdict, next_step, with_hints
from task_cleanup.startup import wired
from task_cleanup.system import Deadline, System

CONNECT_TIMEOUT = 3.0  # seconds; a handshake that takes longer will most likely never end
READ_TIMEOUT = 10.0
MAX_REPLY_BYTES = 1024 * 1024
MAX_LIST_BYTES = 16 * MAX_REPLY_BYTES  # of one page; Alibaba's list has no pages
CHUNK_BYTES = 64 * 1024

# These libraries log URLs, signed headers, canonical requests and the role's session token, and Lambda's runtime
# gives the root logger the function's level, DEBUG included. A higher level alone is not enough, since a logger below
# can have its own: so nothing of theirs reaches the root logger, either.
for _library in ("boto3", "botocore", "requests", "s3transfer", "urllib3"):
    logging.getLogger(_library).setLevel(logging.CRITICAL)
    logging.getLogger(_library).addHandler(logging.NullHandler())
    logging.getLogger(_library).propagate = False

_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",  # so that a small reply cannot unpack to more than `max_bytes`
    "User-Agent": f"task-cleanup/{__version__}",
}

# urllib3 repeats calls to AWS: SigV4 allows it for the same signature, and each of our calls is safe to repeat.
_AWS_RETRY = Retry(
    total=2,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=None,
    backoff_factor=0.1,
    respect_retry_after_header=False,
    raise_on_status=False,
)


def new_session(system: System, aws_endpoints: Iterable[str] = ()) -> requests.Session:
    """A session that reads no environment (proxies, .netrc, CA overrides) and repeats nothing but calls to AWS.

    If the library repeated a provider call, it would send the same nonce and signature again.
    """
    session = requests.Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # no call's reply changes the next call
    session.mount("https://", WholeHeadAdapter(system.monotonic))
    session.mount("http://", WholeHeadAdapter(system.monotonic))
    for endpoint in aws_endpoints:
        session.mount(endpoint + "/", WholeHeadAdapter(system.monotonic, _AWS_RETRY))
    return session


class NoAnswerError(TaskCleanupError):
    """No whole reply came. ``sent`` is false only if the request cannot have left this machine."""

    def __init__(self, category: Category, code: Code, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.category = category
        self.code = code
        self.sent = sent


class ReplyTooLargeError(TaskCleanupError):
    """The reply has more than ``max_bytes`` and was not read."""


class _Until(Timeout):
    """Time-outs of one exchange, also if the library repeats it: none is longer than the deadline allows."""

    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def clone(self) -> "_Until":
        return _Until(self._deadline)

    @property
    def connect_timeout(self) -> float:
        return max(SHORTEST, min(CONNECT_TIMEOUT, self._deadline.remaining()))

    @property
    def read_timeout(self) -> float:
        return min(READ_TIMEOUT, self._deadline.remaining())


# Percent-encoded as signers do, and without dot segments: the library would rewrite another URL after it was signed.
_SENT_AS_SIGNED = re.compile(
    r"https?://[^/?#@\s]+(/(?!\.{1,2}([/?]|\Z))([\w.~-]|%[0-9A-F]{2})*)+(\?([\w.~=&-]|%[0-9A-F]{2})*)?", re.ASCII
)


def exchange(
    session: requests.Session, request: SignedRequest, deadline: Deadline, max_bytes: int = MAX_REPLY_BYTES
) -> Reply:
    """Send one request and read its whole reply, at most until the deadline.

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
    except (HTTPError, OSError) as error:
        raise _translated(error) from None


def _exchange(session: requests.Session, request: SignedRequest, deadline: Deadline, max_bytes: int) -> Reply:
    headers = {**_HEADERS, **request.headers}
    if request.method != "GET":
        headers["Content-Length"] = str(len(request.body or b""))
    # Filled by hand: `prepare` takes a third of the time of sending, above all for the URL. A line break in a header
    # is refused by http.client.
    prepared = requests.PreparedRequest()
    prepared.method, prepared.url, prepared.body = request.method, request.url, request.body
    prepared.headers = headers  # type: ignore[assignment]
    # By the adapter, since the session's own `send` adds redirects and cookies.
    adapter = session.get_adapter(request.url)
    # The adapters' documentation allows urllib3's Timeout, their annotation does not.
    response = adapter.send(prepared, timeout=_Until(deadline), stream=True)  # type: ignore[arg-type]
    try:
        body = bytearray()
        while chunk := response.raw.read1(CHUNK_BYTES, decode_content=False):
            body += chunk
            if len(body) > max_bytes:
                raise ReplyTooLargeError
        arrived = {name.lower(): value for name, value in response.raw.headers.itermerged()}
        if not body and response.status_code != 204 and not arrived.keys() & {"content-length", "transfer-encoding"}:
            raise ProtocolError("an empty reply without a length: it may be incomplete")
        return Reply(response.status_code, arrived, bytes(body))
    finally:
        response.close()


def _translated(error: Exception) -> NoAnswerError:
    """The kind of the failure, without the library's text, which has URLs and addresses in it."""
    reason = error.reason if isinstance(error, MaxRetryError) else error
    # Refused, unresolvable, or a certificate that does not verify: the request itself was not sent.
    unverified = isinstance(reason, SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(reason)
    never_left = isinstance(reason, NewConnectionError) or unverified
    if isinstance(reason, ConnectTimeoutError) and not never_left:
        return NoAnswerError(Category.TIMEOUT, Code.TIMEOUT, "no connection within the time-out", sent=False)
    if isinstance(reason, ReadTimeoutError):
        return NoAnswerError(Category.TIMEOUT, Code.TIMEOUT, "no reply within the time-out", sent=True)
    message = f"the connection failed ({type(reason).__name__})"
    return NoAnswerError(Category.UNAVAILABLE, Code.CONNECTION_FAILED, message, sent=not never_left)


@wired
class FinishedCall:
    """The verdict of a call's last attempt, how many were sent, and how many of them got no definite answer."""

    verdict: Verdict
    attempts: int
    unanswered: int = 0


Sign = Callable[[Credentials, datetime, str], SignedRequest]
Judge = Callable[[Reply, SignedRequest, Credentials], Verdict]
Refetch = Callable[[Credentials], Credentials]


class Transport:
    """Sends provider calls. Keeps the session and the clock's offset from call to call; not for several threads."""

    def __init__(self, system: System, session_factory: Callable[[System], requests.Session] = new_session) -> None:
        self._system = system
        self._session_factory = session_factory
        self._session = session_factory(system)
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
        once: bool = False,
    ) -> FinishedCall:
        """Send the call and judge its reply, and do both again if that can help and the deadline allows it.

        Parameters
        ----------
        sign
            Makes a request from credentials, time and nonce. Called for every attempt, since providers refuse a
            signature that they have seen; only the client token stays the same.
        judge
            Says what a reply means.
        refetch
            Returns the credentials as the secret store has them now.
        max_bytes
            Of a reply's body. A larger reply ends the call as ``ReplyTooLarge``.
        once
            An attempt without a definite answer ends the call: the change may have been made.
        """
        offset, taken = self._offset, list[Action]()
        attempts = unanswered = 0
        while True:
            verdict = self._attempt(sign, judge, credentials, offset, deadline=deadline, max_bytes=max_bytes)
            attempts += 1
            unanswered += verdict.uncertain
            if verdict.category not in SIGNATURE_NOT_ACCEPTED:
                self._offset = offset
            reused, self._kept_alive = self._kept_alive, verdict.http_status is not None
            time_left, fraction = deadline.remaining(), self._system.fraction()
            step = next_step(verdict, taken, time_left=time_left, fraction=fraction, reused=reused)
            if step is None or (once and verdict.uncertain):
                break
            taken.append(step.action)
            if step.action is Action.BACK_OFF:
                self._system.sleep(step.wait)
            elif step.action is Action.CORRECT_CLOCK:
                offset += step.clock_skew
            elif step.action is Action.REFETCH_CREDENTIALS:
                rejected, credentials = credentials, refetch(credentials)
                if credentials == rejected:
                    break
        return FinishedCall(verdict, attempts, unanswered)

    def _attempt(
        self,
        sign: Sign,
        judge: Judge,
        credentials: Credentials,
        offset: timedelta,
        *,
        deadline: Deadline,
        max_bytes: int,
    ) -> Verdict:
        request = sign(credentials, self._system.now() + offset, self._system.nonce())
        try:
            reply = exchange(self._session, request, deadline.within(CONNECT_TIMEOUT + READ_TIMEOUT), max_bytes)
        except NoAnswerError as error:
            # What cut off this connection may have cut off the others of the session, too.
            self._session.close()
            self._session = self._session_factory(self._system)
            return Verdict(Outcome.FAILED, Error(error.category, error.code, str(error)), uncertain=error.sent)
        except ReplyTooLargeError:
            message = f"the reply is over {max_bytes} bytes"
            too_large = Error(Category.PROVIDER_ERROR, Code.REPLY_TOO_LARGE, message)
            return Verdict(Outcome.FAILED, too_large, uncertain=True)
        now = self._system.now()
        return with_hints(judge(reply, request, credentials), reply.headers, now, now + offset)
