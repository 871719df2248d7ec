"""What is registered with the stand-ins: roles of AWS, and whom each provider trusts."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, Literal, Protocol, TypeVar

from local.emulators.records import converted


class Named(Protocol):
    """What can be registered."""

    @property
    def name(self) -> str:
        """What a request finds it by."""


T = TypeVar("T", bound=Named)


@dataclass(frozen=True)
class AwsRole:
    """A role of the AWS account, and the key that its function signs with."""

    role_arn: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    function_arn: str | None = None
    audiences: tuple[str, ...] | None = None
    """What the role's policy lets it ask for; None: any audience."""
    denied: bool = False
    """The role lacks the right altogether."""
    session_expired: bool = False

    @property
    def name(self) -> str:
        """What a request finds it by."""
        return self.access_key_id


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Whom a provider lets in: tokens of this issuer for this audience, with exactly one of these subjects."""

    audience: str
    subjects: tuple[str, ...]
    issuer: str | None = None
    """None: AWS's."""
    denied: tuple[str, ...] = ()
    """Operations that the temporary keys have no right for (`*`: all)."""
    project_id: str | None = None
    """The one project in which the temporary keys have rights; None: all."""


@dataclass(frozen=True, kw_only=True)
class AlibabaTrust(Trust):
    """A RAM role with its OIDC provider (sheet, section 2.4)."""

    role_arn: str
    provider_arn: str
    max_session_seconds: int = 3600
    issuance_limit_hours: int = 1
    issuer_problem: Literal["PublicKeyFingerprintMismatch", "HttpsUrlInvalid", "IssuerConfigurationBroken"] | None = (
        None
    )
    """What keeps Alibaba from reading the issuer's keys, as its code names it."""
    provider_audiences: tuple[str, ...] | None = None
    """The provider's client ids; None: the audience of the trust."""

    @property
    def name(self) -> str:
        """What a request finds it by."""
        return self.role_arn


@dataclass(frozen=True, kw_only=True)
class HuaweiTrust(Trust):
    """An agency with its OIDC provider (section 3.4)."""

    agency_urn: str
    provider_urn: str
    max_session_seconds: int = 3600
    provider_audiences: tuple[str, ...] | None = None
    """The provider's client ids; None: the audience of the trust."""

    @property
    def name(self) -> str:
        """What a request finds it by."""
        return self.agency_urn


@dataclass(frozen=True, kw_only=True)
class OtcTrust(Trust):
    """An identity provider with protocol and mapping (section 4.3). Its keys are in its OIDC configuration."""

    provider_id: str
    project_id: str | None = None
    jwks: str | None = None
    """The JWKS that is uploaded at first; None: the issuer's first keys."""
    configured: bool = True
    """Whether there is an OIDC configuration at all."""
    enabled: bool = True

    @property
    def name(self) -> str:
        """What a request finds it by."""
        return self.provider_id


class Registry(Generic[T]):
    """What was registered of one kind, by name."""

    def __init__(self, kind: type[T]) -> None:
        """Start empty."""
        self.kind = kind
        self._known: dict[str, T] = {}
        self._lock = threading.Lock()

    def add(self, values: Mapping[str, object]) -> T:
        """Register one, or replace the one with that name."""
        made = self.kind(**converted(self.kind, values))
        with self._lock:
            self._known[made.name] = made
        return made

    def find(self, name: object) -> T | None:
        """Find one by its name."""
        return self._known.get(name) if isinstance(name, str) else None

    def all(self) -> list[T]:
        """All that are registered."""
        with self._lock:
            return list(self._known.values())

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._known.clear()
