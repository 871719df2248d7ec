"""What the stand-ins have in common: issuers, registrations, bodies, temporary keys."""

import json
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar
from urllib.parse import unquote_to_bytes

from local.emulators.keys import AccessKey
from local.emulators.messages import Request
from local.emulators.service import Answering, Exchange, Platform
from local.emulators.switches import NoSwitches

from .issuer import Issuer
from .trust import Registry, Trust

S = TypeVar("S")


class Issuers:
    """All issuers of a process, by URL."""

    def __init__(self, aws: Issuer) -> None:
        """Start with AWS's."""
        self.aws = aws
        self.others: dict[str, Issuer] = {}

    def of(self, trust: Trust) -> Issuer | None:
        """Find the issuer that a trust names; None: nobody answers at that URL."""
        if trust.issuer in {None, self.aws.url}:
            return self.aws
        return self.others.get(trust.issuer or "")


@dataclass(frozen=True)
class Minted:
    """A new temporary key, and when it ends on the emulators' wall clock."""

    key: AccessKey
    ends_at: float

    @property
    def token(self) -> str:
        """Its security token."""
        return self.key.security_token or ""


class StandIn(Answering, Generic[S]):
    """One stand-in, at an address of its own."""

    title: ClassVar[str]
    """Its name in the journal, in faults and in `Identity.urls`."""
    own_switches: ClassVar[type[Any]] = NoSwitches

    def __init__(self, platform: Platform, issuers: Issuers) -> None:
        """Start without registrations."""
        super().__init__(platform, self.title)
        self.issuers = issuers
        self.switches: S = platform.switches.part(self.own_switches, self.title)

    @property
    def registries(self) -> tuple[Registry[Any], ...]:
        """What can be registered here."""
        return ()

    def reset(self) -> None:
        """Forget what earlier requests left, but not what was registered."""

    def clear(self) -> None:
        """Forget what was registered, too."""
        self.reset()
        for registry in self.registries:
            registry.clear()

    def note(self, exchange: Exchange) -> None:
        """Do nothing: these calls have neither nonce nor client token that is looked at."""

    def mint(self, provider: str, prefix: str, trust: Trust, seconds: int) -> Minted:
        """Make a temporary key with this prefix, which the provider's services accept until it ends."""
        name = self.platform.new_id().hex[:16].upper()
        key = self.platform.keys.add(
            provider=provider,
            access_key_id=f"{prefix}FAKE{name}",
            secret_access_key=f"testSecretFake{self.platform.new_id().hex}",
            security_token=f"testSecurityTokenFake{self.platform.new_id().hex}",
            project_id=trust.project_id,
            denied=trust.denied,
            ends_at=self.platform.clock.elapsed() + seconds,
        )
        return Minted(key, self.platform.clock.now() + seconds)


def is_whole(value: object, least: int, most: int) -> bool:
    """Whether it is a whole number from the least to the most; `True` is none."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def is_text(value: object, least: int, most: int) -> bool:
    """Whether it is text of so many characters."""
    return isinstance(value, str) and least <= len(value) <= most


def json_body(request: Request) -> dict[str, Any] | None:
    """Read the body as a JSON object; None if it is none."""
    try:
        body = json.loads(request.body)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def form_fields(text: str) -> dict[str, str] | None:
    """Decode a query or a form; None if a name is repeated, for then nobody can say which of the two counts."""
    fields: dict[str, str] = {}
    for pair in filter(None, text.replace("+", "%20").split("&")):
        name, _, value = (unquote_to_bytes(part).decode("utf-8", "replace") for part in pair.partition("="))
        if name in fields:
            return None
        fields[name] = value
    return fields


def form_body(request: Request) -> dict[str, str] | None:
    """Decode the body as a form; None if a name is repeated, or if the body is not announced as a form."""
    kind = (request.header("content-type") or "").partition(";")[0].strip().lower()
    if request.body and kind != "application/x-www-form-urlencoded":
        return None
    return form_fields(request.body.decode("latin-1"))
