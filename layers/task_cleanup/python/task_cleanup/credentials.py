"""Provider credentials: from Secrets Manager or by an exchange, cached with a time limit.

They are suspended after a rejected signature.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

from task_cleanup.aws import AwsCalls, AwsError, IdentityTokens
from task_cleanup.errors import Category, CleanupError, Code, invalid_request
from task_cleanup.providers.model import PRINTABLE, PROJECT_ID, Credentials, Service
from task_cleanup.settings import Settings
from task_cleanup.system import Deadline, System

if TYPE_CHECKING:
    from task_cleanup.federation import Federation

CACHE_SECONDS = 300.0
MARGIN = timedelta(seconds=300)  # temporary keys are not used for the last of their time: a call may be repeated

DEFAULT_ACCOUNT = "default"  # the default of `account` in the schemas
_NOT_STORED = "ResourceNotFoundException"
_MARKED = "InvalidRequestException"  # the secret is marked for deletion, so the caller's alias is right
_DENIED = frozenset(
    {
        "AccessDeniedException",
        "DecryptionFailure",
        "IncompleteSignatureException",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
    }
)


# With a secret's when it was read, on the monotonic clock; with temporary keys when they end.
_Kept = tuple[Credentials, float | datetime]


# When an exchange has failed, on the monotonic clock, and what its error was made of. The exception itself would keep
# its frames, which have the token.
_Failure = tuple[float, tuple[Category, str, str, Mapping[str, Any] | None]]


class CredentialStore:
    """The credentials of one provider, by account alias. ``federation`` has the accounts without a stored key."""

    def __init__(
        self,
        aws: AwsCalls,
        prefix: str,
        provider: str,
        system: System,
        federation: "Federation | None" = None,
    ) -> None:
        self._aws = aws
        self._prefix = f"{prefix}/{provider}"
        self._system = system
        self._federation = federation
        self._cache: dict[str, _Kept] = {}
        self._exchanging: dict[str, Lock] = {}  # one exchange at a time for an account; the others wait for its end
        self._failed: dict[str, _Failure] = {}  # of an account's last exchange that failed
        self._suspended: dict[tuple[str, str | None], float] = {}  # by key and project; None means every project

    @classmethod
    def of(cls, service: Service, settings: Settings, aws: AwsCalls, tokens: IdentityTokens, system: System) -> Self:
        """The store of a service's provider, with the accounts without a stored key that the settings configure.

        Raises
        ------
        SettingsError
            If one of them is not configured as the provider's exchange needs it.
        """
        federation = None
        if settings.federation.get(service.provider):
            # Here, since it would make the cold start of functions with stored keys longer.
            from task_cleanup.federation import Federation  # noqa: PLC0415

            federation = Federation.of(service.exchange, settings, tokens, system)
        return cls(aws, settings.secret_prefix, service.provider, system, federation)

    def get(self, account: str, deadline: Deadline) -> Credentials:
        """The account's credentials: a secret's at most ``CACHE_SECONDS`` old, temporary keys until near their end.

        Raises
        ------
        CleanupError
            ``invalid_request`` if this account has no secret; ``internal`` if the default account has none, or a
            secret is marked for deletion, denied or malformed; ``unavailable`` if it cannot be read now. The message
            has the secret's name, never its content. For an account without a stored key see ``Federation.keys``.
        """
        kept = self._kept(account)
        if kept is not None:
            return kept
        if not self.is_federated(account):
            return self.refetch(account, deadline)
        asked_at = self._system.monotonic()
        with self._exchanging.setdefault(account, Lock()):
            kept = self._kept(account)
            if kept is not None:
                return kept
            failure = self._failed.get(account)
            if failure is not None and failure[0] > asked_at:  # of the exchange that this caller has waited for
                raise CleanupError(*failure[1])
            try:
                return self.refetch(account, deadline)
            except CleanupError as error:
                told = (error.category, error.code, error.message, error.detail)
                self._failed[account] = (self._system.monotonic(), told)
                raise

    def is_federated(self, account: str) -> bool:
        """Whether the account's keys come by an exchange, and no secret is read for it."""
        return self._federation is not None and account in self._federation

    def identity_token(self, deadline: Deadline) -> str:
        """A fresh identity token, for the doctor. Raises like ``Federation.keys``."""
        if self._federation is None:
            raise AssertionError("asked for accounts that are federated only")
        return self._federation.identity_token(deadline)

    def ends_at(self, account: str) -> datetime | None:
        """When the account's temporary keys end; None for a secret's."""
        _, when = self._cache[account]
        return when if isinstance(when, datetime) else None

    def _kept(self, account: str) -> Credentials | None:
        kept = self._cache.get(account)
        if kept is None:
            return None
        credentials, when = kept
        if isinstance(when, datetime):  # the wall clock: the monotonic one may stand still while Lambda freezes us
            return credentials if self._system.now() < when - MARGIN else None
        return credentials if self._system.monotonic() - when < CACHE_SECONDS else None

    def refetch(self, account: str, deadline: Deadline) -> Credentials:
        """Read the account's secret again, or exchange again, and cache what it has. Raises like ``get``."""
        if self._federation is not None and account in self._federation:
            keys = self._federation.keys(account, deadline)
            self._cache[account] = keys.credentials, keys.expires_at
        else:
            self._cache[account] = self._read(account, deadline), self._system.monotonic()
        return self._cache[account][0]

    def _read(self, account: str, deadline: Deadline) -> Credentials:
        name = f"{self._prefix}/{account}"
        try:
            text = self._aws.get_secret_value(name, deadline)
        except AwsError as error:
            elsewhere = f", and {self._federation.exchange.variable} does not name it" if self._federation else ""
            raise _secret_error(name, account, error.code, elsewhere) from None
        return _parse(name, text)

    def forget(self, account: str) -> None:
        """Read or exchange the account's credentials anew when they are asked for next."""
        self._cache.pop(account, None)

    def suspend(self, credentials: Credentials, project_id: str | None = None) -> None:
        """Refuse these credentials for ``CACHE_SECONDS``: six bad signatures lock a Huawei key for every user of it.

        With a ``project_id``, in that project only: the 401 may be about the project, and not about the key. After a
        401 in a second project, in every project.
        """
        key, now = digest_of(credentials), self._system.monotonic()
        elsewhere = [
            project
            for (digest, project), until in self._suspended.copy().items()
            if digest == key and project != project_id and now < until
        ]
        self._suspended[key, None if elsewhere else project_id] = now + CACHE_SECONDS

    def refuse_if_suspended(self, credentials: Credentials, project_id: str | None = None) -> None:
        """Raise ``CleanupError`` (``CredentialSuspended``) while these credentials are suspended in this project."""
        if not self._suspended:
            return
        digest, now = digest_of(credentials), self._system.monotonic()
        if any(now < self._suspended.get((digest, project), float("-inf")) for project in {None, project_id}):
            raise CleanupError(
                Category.UNAUTHENTICATED,
                Code.CREDENTIAL_SUSPENDED,
                "the provider rejected these credentials a moment ago; not sent, so that the key is not locked",
            )


def digest_of(credentials: Credentials) -> str:
    """What tells two keys apart, without showing either: their SHA-256 in hex."""
    key = (credentials.access_key_id, credentials.secret_access_key, credentials.security_token or "")
    parts = key if credentials.auth_token is None else (credentials.auth_token,)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _secret_error(name: str, account: str, code: str, elsewhere: str) -> CleanupError:
    """The error for AWS's code; ``elsewhere`` says where else the account is not."""
    if code == _NOT_STORED and account != DEFAULT_ACCOUNT:
        # The caller chose this account. A missing default account is a mistake in the stack's setup.
        return invalid_request(
            Code.SECRET_NOT_FOUND, f"no credentials are stored for this account: there is no secret {name}{elsewhere}"
        )
    if code in (_NOT_STORED, _MARKED):
        why = "does not exist" if code == _NOT_STORED else "is marked for deletion"
        return CleanupError(Category.INTERNAL, Code.SECRET_NOT_FOUND, f"the secret {name} {why} ({code}){elsewhere}")
    if code in _DENIED:
        return CleanupError(Category.INTERNAL, Code.SECRET_DENIED, f"the secret {name} may not be read ({code})")
    message = f"the secret {name} could not be read ({code})"
    return CleanupError(Category.UNAVAILABLE, Code.SECRET_STORE_UNAVAILABLE, message)


def _parse(name: str, text: str) -> Credentials:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise _malformed(name, "it is not a JSON object")
    project_id = _member(name, value, "project_id", required=False)
    if project_id is not None and not PROJECT_ID.fullmatch(project_id):
        raise _malformed(name, "project_id is not 32 hex digits")
    return Credentials(
        access_key_id=_member(name, value, "access_key_id") or "",
        secret_access_key=_member(name, value, "secret_access_key") or "",
        security_token=_member(name, value, "security_token", required=False),
        project_id=project_id,
    )


def _member(name: str, value: Mapping[str, Any], member: str, *, required: bool = True) -> str | None:
    text = value.get(member)
    if text is None and not required:
        return None
    if not isinstance(text, str) or not PRINTABLE.fullmatch(text):
        raise _malformed(name, f"{member} is missing or not a line of printable ASCII")
    return text


def _malformed(name: str, why: str) -> CleanupError:
    return CleanupError(Category.INTERNAL, Code.SECRET_MALFORMED, f"the secret {name} is malformed: {why}")
