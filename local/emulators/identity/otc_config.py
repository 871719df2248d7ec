"""The OIDC configuration of OTC's identity providers (sheet, section 4.3): the keys are uploaded, never fetched."""

import json
from collections.abc import Mapping
from typing import Any

from local.emulators.service import Refusal

from .otc_dialect import bad_parameter, refuse
from .stand_in import Issuers, is_text
from .trust import OtcTrust, Registry

_LENGTHS = {"idp_url": (10, 255), "client_id": (5, 255), "signing_key": (10, 30_000)}
_BROWSER = ("authorization_endpoint", "scope", "response_type", "response_mode")


def upload_form(jwks: Mapping[str, Any]) -> str:
    """Return keys as they are uploaded: as text, and each with `alg`, which AWS's document leaves out."""
    return json.dumps({"keys": [{**key, "alg": "RS256"} for key in jwks["keys"]]})


class Configurations:
    """What is configured for each identity provider now."""

    def __init__(self, trusts: Registry[OtcTrust], issuers: Issuers) -> None:
        """Start with what was registered."""
        self._trusts = trusts
        self._issuers = issuers
        self._written: dict[OtcTrust, dict[str, str]] = {}
        """By registration: a provider that is registered anew has the configuration of its new registration."""

    def reset(self) -> None:
        """Go back to what was registered."""
        self._written.clear()

    def find(self, provider_id: str) -> dict[str, str] | None:
        """The configuration of a provider, or None."""
        trust = self._trusts.find(provider_id)
        if trust is None:
            return None
        return self._written.get(trust) or (self._registered(trust) if trust.configured else None)

    def upload(self, provider_id: str, jwks: Mapping[str, Any] | str | None = None) -> None:
        """Upload keys, by default those that the issuer publishes now, as the daily job does."""
        trust = self._trusts.find(provider_id)
        if trust is None:
            raise KeyError(provider_id)
        issuer = self._issuers.of(trust)
        if jwks is None and issuer is not None:
            jwks = issuer.jwks()
        text = jwks if isinstance(jwks, str) else upload_form(jwks or {"keys": []})
        self._written[trust] = {**(self.find(provider_id) or self._registered(trust)), "signing_key": text}

    def write(self, trust: OtcTrust, sent: object, *, new: bool) -> dict[str, str]:
        """Check and keep a configuration that was sent; raise `Refusal` if it is not well formed."""
        before = self.find(trust.provider_id)
        if new == (before is not None):
            raise Refusal(409, "IAM.0005", "There is a configuration.") if new else refuse("IAM.0004")
        if not isinstance(sent, dict) or not {*sent} <= {*_LENGTHS, *_BROWSER, "access_mode"}:
            raise bad_parameter("openid_connect_config")
        values = {**(before or {}), **sent}
        if values.get("access_mode") != "program":
            raise bad_parameter("access_mode")
        for name, (least, most) in _LENGTHS.items():
            if not is_text(values.get(name), least, most):
                raise bad_parameter(name)
        if read_keys(values["signing_key"]) is None:
            raise bad_parameter("signing_key")
        self._written[trust] = values
        return values

    def _registered(self, trust: OtcTrust) -> dict[str, str]:
        issuer = self._issuers.of(trust)
        keys = issuer.first_jwks() if issuer is not None else {"keys": []}
        return {
            "access_mode": "program",
            "idp_url": issuer.url if issuer is not None else trust.issuer or "",
            "client_id": trust.audience,
            "signing_key": trust.jwks if trust.jwks is not None else upload_form(keys),
        }


def read_keys(text: str) -> dict[str, Any] | None:
    """Read an uploaded JWKS; None if it is none."""
    try:
        document = json.loads(text)
    except ValueError:
        return None
    keys = document.get("keys") if isinstance(document, dict) else None
    well_formed = (
        isinstance(keys, list) and bool(keys) and all(isinstance(key, dict) and "kty" in key for key in keys)
    )
    return document if well_formed else None
