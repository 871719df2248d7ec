"""Issuers of identity tokens: RS256 with real keys, discovery document and JWKS (sheet, section 1.5)."""

import functools
import threading
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local.emulators.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from joserfc.jwk import RSAKey

AWS_ISSUER = "https://11111111-2222-3333-4444-555555555555.tokens.sts.global.api.aws"
DISCOVERY_PATH = "/.well-known/openid-configuration"
KEYS_PATH = "/.well-known/jwks.json"

_making = threading.Lock()


@dataclass
class TokenFaults:
    """What is wrong with the tokens that are issued from now on, until the emulators' next reset."""

    clock_offset: float = 0.0
    """Seconds that the issuer's clock is ahead (negative: behind)."""
    expired: bool = False
    """The token was over a second before it was issued."""
    foreign_key: bool = False
    """Signed by a key that is not published, under the key id of the one that is."""
    claims: dict[str, Any] = field(default_factory=dict)
    """Claims instead of the usual ones; None leaves a claim out."""


class Issuer:
    """Issues tokens and publishes keys. AWS's is one; others stand for CI systems."""

    def __init__(self, url: str, clock: Clock) -> None:
        """Take the issuer's URL, the claim `iss`, and the emulators' clock. Keys are made when they are needed."""
        self.url = url
        self.faults = TokenFaults()
        self.published: Mapping[str, Any] | None = None
        """A JWKS instead of the issuer's own, for tokens that were captured elsewhere."""
        self._clock = clock
        self._first_url = url
        self._generation = 0
        self._kid = 0

    def reset(self) -> None:
        """Go back to the first key, and to tokens without faults."""
        self.faults = TokenFaults()
        self._generation = self._kid = 0

    def forget(self) -> None:
        """Go back to the URL and the keys of the start as well."""
        self.reset()
        self.url = self._first_url
        self.published = None

    def rotate(self, *, same_kid: bool = False) -> None:
        """Sign with a new key from now on, and publish only that one."""
        self._generation += 1
        self._kid += not same_kid

    def issue(self, subject: str, audience: str, seconds: int = 300, **more: object) -> str:
        """Return a signed token; more claims are added as they are."""
        from joserfc import jwt

        issued = int(self._clock.now() + self.faults.clock_offset) - (seconds + 1) * self.faults.expired
        claims: dict[str, Any] = {
            "iss": self.url,
            "aud": audience,
            "sub": subject,
            "iat": issued,
            "exp": issued + seconds,
            "jti": str(uuid.uuid4()),
            **more,
            **self.faults.claims,
        }
        key = _signing_key("foreign" if self.faults.foreign_key else f"{self._first_url} {self._generation}")
        header = {"kid": f"RSA_{self._kid}", "typ": "JWT", "alg": "RS256"}
        present = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(header, present, key, algorithms=["RS256"])

    def jwks(self) -> dict[str, Any]:
        """Return the published keys, in AWS's form: without `alg`."""
        if self.published is not None:
            return dict(self.published)
        return self._document(self._generation, self._kid)

    def first_jwks(self) -> dict[str, Any]:
        """Return the keys that were published before any rotation."""
        return dict(self.published) if self.published is not None else self._document(0, 0)

    def discovery(self) -> dict[str, Any]:
        """Return the discovery document."""
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}{KEYS_PATH}",
            "claims_supported": ["aud", "exp", "iat", "iss", "jti", "sub", "https://sts.amazonaws.com/"],
            "id_token_signing_alg_values_supported": ["RS256", "ES384"],
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
        }

    def _document(self, generation: int, kid: int) -> dict[str, Any]:
        public = _signing_key(f"{self._first_url} {generation}").as_dict(private=False)
        return {"keys": [{"e": public["e"], "kid": f"RSA_{kid}", "kty": "RSA", "n": public["n"], "use": "sig"}]}


def _signing_key(name: str) -> "RSAKey":
    """The key of this name, made at its first use, once a process."""
    with _making:
        return _make_key(name)


@functools.cache
def _make_key(name: str) -> "RSAKey":  # noqa: ARG001 - one key a name
    from joserfc.jwk import RSAKey

    return RSAKey.generate_key(2048)
