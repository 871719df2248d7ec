"""The checks of an identity token that every provider makes; each refuses in its own words."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Flaw(StrEnum):
    """What is wrong with a token, in the order in which it is looked for."""

    MALFORMED = "malformed"
    ALGORITHM = "algorithm"
    ISSUER = "issuer"
    SIGNATURE = "signature"
    EXPIRED = "expired"
    EARLY = "early"
    AUDIENCE = "audience"


class FlawedTokenError(Exception):
    """A token that no provider takes."""

    def __init__(self, flaw: Flaw, detail: str = "") -> None:
        """Take the flaw, and what some providers quote."""
        super().__init__(flaw)
        self.flaw = flaw
        self.detail = detail


@dataclass(frozen=True)
class Claims:
    """The claims of a token with a good signature."""

    issuer: str
    audience: str
    subject: str
    issued_at: float
    expires_at: float


def check_token(
    token: object, keys: Mapping[str, Any], issuer: str, audiences: Collection[str], now: float
) -> Claims:
    """Check all but the subject, in the order of `Flaw`; raise `FlawedTokenError`."""
    from joserfc import errors, jwk, jwt

    if not isinstance(token, str) or not 4 <= len(token) <= 20_000:
        raise FlawedTokenError(Flaw.MALFORMED)
    header, claims = _peek(token)
    if header.get("alg") != "RS256":
        raise FlawedTokenError(Flaw.ALGORITHM, str(header.get("alg")))
    if claims.get("iss") != issuer:
        raise FlawedTokenError(Flaw.ISSUER)
    try:
        decoded = jwt.decode(token, jwk.KeySet.import_key_set(dict(keys)), algorithms=["RS256"])  # type: ignore[arg-type]
    except (errors.JoseError, ValueError, KeyError, TypeError):  # the last three: uploaded keys that are none
        raise FlawedTokenError(Flaw.SIGNATURE) from None
    return _check_claims(decoded.claims, audiences, now)


def _peek(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read header and claims before the signature is checked."""
    from joserfc import errors, jws

    try:
        compact = jws.extract_compact(token.encode())
        header, claims = compact.headers(), json.loads(compact.payload)
    except (errors.JoseError, ValueError):
        raise FlawedTokenError(Flaw.MALFORMED) from None
    if not isinstance(claims, dict):
        raise FlawedTokenError(Flaw.MALFORMED)
    return dict(header), claims


def _check_claims(claims: Mapping[str, Any], audiences: Collection[str], now: float) -> Claims:
    issued, expires, subject = claims.get("iat"), claims.get("exp"), claims.get("sub")
    if not isinstance(issued, int) or not isinstance(expires, int) or not isinstance(subject, str):
        raise FlawedTokenError(Flaw.MALFORMED)
    if now >= expires:
        raise FlawedTokenError(Flaw.EXPIRED)
    if now < max(issued, claims.get("nbf", issued)):
        raise FlawedTokenError(Flaw.EARLY)
    audience = claims.get("aud")
    if not isinstance(audience, str) or audience not in audiences:
        raise FlawedTokenError(Flaw.AUDIENCE)
    return Claims(claims["iss"], audience, subject, issued, expires)
