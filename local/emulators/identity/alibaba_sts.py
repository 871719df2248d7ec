"""Alibaba Cloud STS: AssumeRoleWithOIDC (sheet, section 2)."""

import calendar
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from local.emulators.faults import Fault
from local.emulators.messages import Reply, Request
from local.emulators.routing import Call, Route
from local.emulators.service import CLOCK_WINDOW_SECONDS, Exchange, Platform, Refusal, json_reply
from local.emulators.switches import switch

from .stand_in import Issuers, StandIn, form_body, form_fields
from .tokens import Claims, Flaw, FlawedTokenError, check_token
from .trust import AlibabaTrust, Registry

OPERATION = "AssumeRoleWithOIDC"
VERSION = "2015-04-01"
_SESSION = re.compile(r"[\w.@-]{2,64}", re.ASCII)
_WHOLE = re.compile(r"[0-9]{1,6}")
_FAILURE = "AuthenticationFail."
_TOKEN_FAILURE = f"{_FAILURE}OIDCToken."
_FLAWS: Mapping[Flaw, tuple[str, str]] = {
    Flaw.MALFORMED: ("Invalid", "This JsonWebToken is invalid."),
    Flaw.ALGORITHM: ("Invalid", "The algorithm of this JsonWebToken is not supported: {detail}."),
    Flaw.ISSUER: ("IssuerNotMatch", "The issuer of the token is not the provider's."),
    Flaw.SIGNATURE: ("InvalidSignature", "The signature of this JsonWebToken is invalid."),
    Flaw.EXPIRED: ("Expired", "This JsonWebToken is expired."),
    Flaw.EARLY: ("Invalid", "This JsonWebToken is not valid yet."),
    Flaw.AUDIENCE: ("AudienceNotMatch", "Invalid audience."),
}
_PROBLEMS = {
    "PublicKeyFingerprintMismatch": "The https fingerprint of this discovery is invalid.",
    "HttpsUrlInvalid": "root ca certificate is not in ca whitelist of this url",
    "IssuerConfigurationBroken": "Get public keys from OIDC Provider failed",
}


@dataclass
class AlibabaStsSwitches:
    """What no source settles (section 2.3)."""

    alibaba_sts_throttle_status: int = switch(400, 429)
    alibaba_sts_issuer_status: int = switch(401, 400)
    """Of `IssuerNotMatch`."""
    alibaba_sts_broken_status: int = switch(401, 400, 500)
    """Of `IssuerConfigurationBroken`."""
    alibaba_sts_no_role_status: int = switch(404, 401)
    alibaba_sts_timestamp_checked: bool = False


class AlibabaSts(StandIn[AlibabaStsSwitches]):
    """Exchanges identity tokens for keys of a RAM role."""

    title = "alibaba_sts"
    own_switches = AlibabaStsSwitches

    def __init__(self, platform: Platform, issuers: Issuers) -> None:
        """Start without roles."""
        super().__init__(platform, issuers)
        self.trusts = Registry(AlibabaTrust)

    @property
    def registries(self) -> tuple[Registry[AlibabaTrust], ...]:
        """The roles."""
        return (self.trusts,)

    def trust(self, **values: object) -> AlibabaTrust:
        """Register a role and its provider; the fields are those of `AlibabaTrust`."""
        return self.trusts.add(values)

    def identify(self, request: Request) -> Call | None:
        """An RPC: the parameters are in the query or in the body."""
        found = super().identify(request)
        fields = _parameters(request)
        if found is None or fields is None or fields.get("Action") != OPERATION:
            return None
        return Call(
            found.route, {"role_arn": fields.get("RoleArn", ""), "session": fields.get("RoleSessionName", "")}
        )

    def new_request_id(self) -> str:
        """Make an upper-case UUID."""
        return str(self.platform.new_id()).upper()

    def answer(self, exchange: Exchange) -> Reply:
        """Check the parameters, then the token, then the trust."""
        fields = _parameters(exchange.request)
        if fields is None:
            raise Refusal(400, "InvalidParameter", "A parameter is given more than once, or the body is no form.")
        if exchange.call is None:
            raise Refusal(404, "InvalidAction.NotFound", "Specified api is not found.")
        if fields.get("Version") != VERSION or fields.get("Format", "").upper() != "JSON":
            raise Refusal(400, "InvalidVersion", "The stand-in knows one version, and answers in JSON alone.")
        exchange.pass_gate()
        self._check_timestamp(fields, exchange.now)
        return exchange.call.route.perform(self, exchange)

    def assume_role(self, exchange: Exchange) -> Reply:
        """Answer with a temporary key."""
        fields = _parameters(exchange.request) or {}
        duration, session = fields.get("DurationSeconds", "3600"), fields.get("RoleSessionName", "")
        for name in ("RoleArn", "OIDCProviderArn", "OIDCToken", "RoleSessionName"):
            if name not in fields:
                raise Refusal(400, f"Missing{name}", f"{name} is mandatory for this action.")
        if not _SESSION.fullmatch(session):
            raise Refusal(400, "InvalidParameter.RoleSessionName", "The RoleSessionName is not well formatted.")
        if fields.get("Policy"):
            raise Refusal(400, "InvalidParameter.Policy", "The stand-in knows no policies.")
        known = [trust for trust in self.trusts.all() if trust.provider_arn == fields["OIDCProviderArn"]]
        if not known:
            raise Refusal(401, f"{_FAILURE}NoPermission", "No such OIDC Provider registered.")
        claims = self._check_token(fields["OIDCToken"], known, exchange.now)
        trust = self.trusts.find(fields["RoleArn"])
        if trust is None:
            status = self.switches.alibaba_sts_no_role_status
            raise Refusal(status, "EntityNotExist.Role", "The specified role does not exist.")
        trusted = trust in known and claims.audience == trust.audience and claims.subject in trust.subjects
        if not trusted:
            raise Refusal(401, f"{_FAILURE}NoPermission", "There is no permission")
        if not _WHOLE.fullmatch(duration) or not 900 <= int(duration) <= trust.max_session_seconds:
            raise Refusal(400, "InvalidParameter.DurationSeconds", "The DurationSeconds is out of its limits.")
        return self._keys(trust, claims, session, int(duration), exchange)

    def _check_token(self, token: str, known: Sequence[AlibabaTrust], now: float) -> Claims:
        trust = known[0]
        issuer = self.issuers.of(trust)
        if trust.issuer_problem is not None or issuer is None:
            problem = trust.issuer_problem or "IssuerConfigurationBroken"
            broken = problem == "IssuerConfigurationBroken"
            status = self.switches.alibaba_sts_broken_status if broken else 401
            raise Refusal(status, f"{_TOKEN_FAILURE}{problem}", _PROBLEMS[problem])
        audiences = {name for each in known for name in each.provider_audiences or (each.audience,)}
        try:
            claims = check_token(token, issuer.jwks(), issuer.url, audiences, now)
        except FlawedTokenError as error:
            raise self._flawed(error.flaw, error.detail) from None
        if now - claims.issued_at > trust.issuance_limit_hours * 3600:
            raise self._flawed(Flaw.EXPIRED)
        return claims

    def _flawed(self, flaw: Flaw, detail: str = "") -> Refusal:
        code, text = _FLAWS[flaw]
        status = self.switches.alibaba_sts_issuer_status if flaw is Flaw.ISSUER else 401
        return Refusal(status, f"{_TOKEN_FAILURE}{code}", text.format(detail=detail))

    def _keys(self, trust: AlibabaTrust, claims: Claims, session: str, seconds: int, exchange: Exchange) -> Reply:
        minted = self.mint("alibaba", "STS.", trust, seconds)
        content = {
            "RequestId": exchange.request_id,
            "OIDCTokenInfo": {
                "Subject": claims.subject,
                "Issuer": claims.issuer,
                "ClientIds": claims.audience,
                "ExpirationTime": _time(claims.expires_at),
                "IssuanceTime": _time(claims.issued_at),
                "VerificationInfo": "Success",
            },
            "AssumedRoleUser": {"Arn": f"{trust.role_arn}/{session}", "AssumedRoleId": f"3000000000000000:{session}"},
            "Credentials": {
                "AccessKeyId": minted.key.access_key_id,
                "AccessKeySecret": minted.key.secret_access_key,
                "SecurityToken": minted.token,
                "Expiration": _time(minted.ends_at),
            },
        }
        return json_reply(200, content)

    def _check_timestamp(self, fields: Mapping[str, str], now: float) -> None:
        if not self.switches.alibaba_sts_timestamp_checked:
            return
        try:
            sent = calendar.timegm(time.strptime(fields.get("Timestamp", ""), "%Y-%m-%dT%H:%M:%SZ"))
        except ValueError:
            raise Refusal(400, "InvalidTimeStamp.Format", "Specified time stamp is not well formatted.") from None
        if abs(now - sent) > CLOCK_WINDOW_SECONDS:
            raise Refusal(400, "InvalidTimeStamp.Expired", "Specified time stamp is expired.")

    def render(self, refusal: Refusal, exchange: Exchange) -> Reply:
        """The error object of section 2.3."""
        link = f"https://api.aliyun.com/troubleshoot?q={refusal.code}&product=Sts&requestId={exchange.request_id}"
        content = {
            "RequestId": exchange.request_id,
            "HostId": "sts.aliyuncs.com",
            "Code": refusal.code,
            "Message": refusal.message,
            "Recommend": link,
        }
        return json_reply(refusal.status, content)

    def unavailable(self) -> Refusal:
        """503 while the service is away."""
        return Refusal(503, "ServiceUnavailable", "The request has failed due to a temporary failure.")

    def throttled(self, fault: Fault) -> Refusal:  # noqa: ARG002
        """Refuse for flow control."""
        status = self.switches.alibaba_sts_throttle_status
        return Refusal(status, "Throttling.User", "Request was denied due to user flow control.")

    routes: ClassVar = (Route(OPERATION, "POST", "/", assume_role), Route(OPERATION, "GET", "/", assume_role))


def _parameters(request: Request) -> dict[str, str] | None:
    """Query and body together; None if a name is repeated."""
    query, body = form_fields(request.query), form_body(request)
    if query is None or body is None or set(query) & set(body):
        return None
    return {**query, **body}


def _time(seconds: float) -> str:
    """Whole seconds: the official Python library takes no fraction."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
