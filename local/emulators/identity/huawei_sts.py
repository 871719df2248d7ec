"""Huawei Cloud STS, version 5: AssumeAgencyWithOIDC (sheet, section 3.1)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from local.emulators.clock import rfc3339
from local.emulators.faults import Fault
from local.emulators.messages import Reply, Request
from local.emulators.routing import Call, Route
from local.emulators.service import Exchange, Platform, Refusal, json_reply
from local.emulators.switches import switch

from .stand_in import Issuers, StandIn, is_text, is_whole, json_body
from .tokens import Claims, Flaw, FlawedTokenError, check_token
from .trust import HuaweiTrust, Registry

OPERATION = "AssumeAgencyWithOIDC"
_SESSION = re.compile(r"[\w+=,.@-]{2,128}", re.ASCII)
_URN = re.compile(r"iam::([^:]+):agency:(.+)")
_KNOWN = {"provider_urn", "agency_urn", "agency_session_name", "id_token", "duration_seconds"}
_BAD_PARAMETER = "STS5.1000"  # no source has the code of a wrong parameter


@dataclass
class HuaweiStsSwitches:
    """What no source settles: the table of the codes STS5.* was not found."""

    huawei_sts_token_status: int = switch(400, 401, 403)
    """Of a token that is malformed, expired, or wrongly signed."""
    huawei_sts_token_code: Literal["STS5.2001", "STS5.1001"] = "STS5.2001"
    huawei_sts_audience_status: int = switch(400, 401, 403)
    huawei_sts_no_agency_status: int = switch(404, 400, 403)


class HuaweiSts(StandIn[HuaweiStsSwitches]):
    """Exchanges identity tokens for keys of an agency."""

    title = "huawei_sts"
    own_switches = HuaweiStsSwitches

    def __init__(self, platform: Platform, issuers: Issuers) -> None:
        """Start without agencies."""
        super().__init__(platform, issuers)
        self.trusts = Registry(HuaweiTrust)

    @property
    def registries(self) -> tuple[Registry[HuaweiTrust], ...]:
        """The agencies."""
        return (self.trusts,)

    def trust(self, **values: object) -> HuaweiTrust:
        """Register an agency and its provider; the fields are those of `HuaweiTrust`."""
        return self.trusts.add(values)

    def identify(self, request: Request) -> Call | None:
        """Add agency and session to what the journal says."""
        found = super().identify(request)
        if found is None:
            return None
        named = {"agency_urn": "agency_urn", "session": "agency_session_name"}
        body = json_body(request) or {}
        return Call(
            found.route, {ours: body[name] for ours, name in named.items() if isinstance(body.get(name), str)}
        )

    def answer(self, exchange: Exchange) -> Reply:
        """Check the body, then the token, then the trust."""
        if exchange.call is None:
            raise Refusal(404, "APIGW.0101", "The API does not exist or has not been published.")
        exchange.pass_gate()
        return exchange.call.route.perform(self, exchange)

    def assume_agency(self, exchange: Exchange) -> Reply:
        """Answer with a temporary key."""
        body = _read(exchange.request)
        known = [trust for trust in self.trusts.all() if trust.provider_urn == body["provider_urn"]]
        trust = self.trusts.find(body["agency_urn"])
        if trust is None:
            raise Refusal(self.switches.huawei_sts_no_agency_status, "STS5.1106", "agency not found")
        if trust not in known:
            raise _denied()
        claims = self._check_token(body["id_token"], known, exchange.now)
        if claims.audience != trust.audience or claims.subject not in trust.subjects:
            raise _denied()
        seconds = body.get("duration_seconds", 3600)
        if not is_whole(seconds, 900, trust.max_session_seconds):
            raise _bad("duration_seconds")
        return self._keys(trust, claims, body["agency_session_name"], seconds)

    def _check_token(self, token: str, known: Sequence[HuaweiTrust], now: float) -> Claims:
        issuer = self.issuers.of(known[0])
        audiences = {name for each in known for name in each.provider_audiences or (each.audience,)}
        if issuer is None:
            raise self._bad_token()
        try:
            return check_token(token, issuer.jwks(), issuer.url, audiences, now)
        except FlawedTokenError as error:
            if error.flaw is Flaw.ISSUER:
                raise _denied() from None
            if error.flaw is Flaw.AUDIENCE:
                status = self.switches.huawei_sts_audience_status
                raise Refusal(status, "STS5.2001", "invalid audience") from None
            raise self._bad_token() from None

    def _bad_token(self) -> Refusal:
        switches = self.switches
        return Refusal(switches.huawei_sts_token_status, switches.huawei_sts_token_code, "invalid oidc id token")

    def _keys(self, trust: HuaweiTrust, claims: Claims, session: str, seconds: int) -> Reply:
        minted = self.mint("huawei", "HST", trust, seconds)
        found = _URN.fullmatch(trust.agency_urn)
        account, agency = found.groups() if found else ("", "")
        content = {
            "source_identity": "",
            "assumed_agency": {
                "urn": f"sts::{account}:assumed-agency:{agency}/{session}",
                "id": f"fedcba9876543210fedcba9876543210:{session}",
            },
            "credentials": {
                "access_key_id": minted.key.access_key_id,
                "secret_access_key": minted.key.secret_access_key,
                "security_token": minted.token,
                "expiration": rfc3339(minted.ends_at),
            },
            "audience": claims.audience,
            "provider": trust.provider_urn,
            "subject_from_id_token": claims.subject,
        }
        return json_reply(200, content)

    def render(self, refusal: Refusal, exchange: Exchange) -> Reply:
        """The error object of section 3.1."""
        content = {
            "error_code": refusal.code,
            "error_msg": refusal.message,
            "request_id": exchange.request_id,
            **refusal.fields,
        }
        return json_reply(refusal.status, content, (("X-Request-Id", exchange.request_id), *refusal.headers))

    def unavailable(self) -> Refusal:
        """503 while the service is away: the gateway's answer."""
        return Refusal(503, "APIGW.0613", "Backend unavailable.")

    def throttled(self, fault: Fault) -> Refusal:
        """Refuse with the gateway's 429."""
        wait = (("Retry-After", str(max(1, round(fault.retry_after)))),)
        return Refusal(429, "APIGW.0308", "The throttling threshold has been reached.", headers=wait)

    routes: ClassVar = (Route(OPERATION, "POST", "/v5/agencies/assume-with-oidc", assume_agency),)


def _read(request: Request) -> Mapping[str, Any]:
    body = json_body(request)
    if body is None:
        raise _bad("body")
    unknown = sorted(set(body) - _KNOWN)
    if unknown:
        raise _bad(", ".join(unknown))
    for name in ("provider_urn", "agency_urn"):
        if not is_text(body.get(name), 1, 1500):
            raise _bad(name)
    session = body.get("agency_session_name")
    if not isinstance(session, str) or not _SESSION.fullmatch(session):
        raise _bad("agency_session_name")
    if not is_text(body.get("id_token"), 4, 20_000):
        raise _bad("id_token")
    return body


def _bad(name: str) -> Refusal:
    return Refusal(400, _BAD_PARAMETER, f"invalid parameter: {name}")


def _denied() -> Refusal:
    text = "no identity-based policy allows sts:agencies:assumeWithOIDC"
    return Refusal(403, "STS5.1001", text, fields={"encoded_authorization_message": ""})
