"""AWS STS: GetWebIdentityToken (sheet, section 1). The issuer's two documents are at the same address."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal
from xml.sax.saxutils import escape

from local.emulators.clock import rfc3339
from local.emulators.faults import Fault
from local.emulators.messages import Reply, Request
from local.emulators.routing import Call, Route
from local.emulators.service import Exchange, Platform, Refusal, json_reply
from local.emulators.switches import switch

from . import aws_signature
from .issuer import DISCOVERY_PATH, KEYS_PATH
from .stand_in import Issuers, StandIn, form_body
from .trust import AwsRole, Registry

OPERATION = "GetWebIdentityToken"
VERSION = "2011-06-15"
_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
_ROLE = re.compile(r"arn:aws(?:-[a-z]+)*:iam::([0-9]{12}):role/.+")
_WHOLE = re.compile(r"[0-9]{1,5}")


@dataclass
class AwsStsSwitches:
    """What is open about the call, and how AWS throttles."""

    aws_sts_json: bool = True
    """Whether `Accept: application/json` is answered in JSON for this action, too."""
    aws_sts_disabled_code: Literal[
        "OutboundWebIdentityFederationDisabledException", "OutboundWebIdentityFederationDisabled"
    ] = "OutboundWebIdentityFederationDisabledException"
    aws_sts_throttle_code: Literal["Throttling", "ThrottlingException", "RequestLimitExceeded"] = "Throttling"
    aws_sts_throttle_status: int = switch(400, 429)


class AwsSts(StandIn[AwsStsSwitches]):
    """Gives identity tokens to the roles that were registered."""

    title = "aws_sts"
    own_switches = AwsStsSwitches

    def __init__(self, platform: Platform, issuers: Issuers) -> None:
        """Start with federation switched on, and without roles."""
        super().__init__(platform, issuers)
        self.roles = Registry(AwsRole)
        self.enabled = True
        """Whether the account has outbound web identity federation; the next reset switches it on again."""

    @property
    def registries(self) -> tuple[Registry[AwsRole], ...]:
        """The roles."""
        return (self.roles,)

    def add_role(
        self,
        role_arn: str,
        access_key_id: str,
        secret_access_key: str,
        session_token: str | None = None,
        **more: object,
    ) -> AwsRole:
        """Register the key that a role's function signs with; more fields: those of `AwsRole`."""
        return self.roles.add(
            {
                "role_arn": role_arn,
                "access_key_id": access_key_id,
                "secret_access_key": secret_access_key,
                "session_token": session_token,
                **more,
            }
        )

    def reset(self) -> None:
        """Switch federation on again, and the issuer to its first key."""
        self.enabled = True
        self.issuers.aws.reset()

    def identify(self, request: Request) -> Call | None:
        """A query protocol: the action is in the body."""
        found = super().identify(request)
        if found is None or found.operation != OPERATION:
            return found
        claim = aws_signature.read_claim(request)
        role = self.roles.find(claim.access_key_id) if claim else None
        ids = {
            "role_arn": role.role_arn if role else None,
            "audience": (form_body(request) or {}).get("Audience.member.1"),
        }
        return Call(found.route, {name: value for name, value in ids.items() if value is not None})

    def new_request_id(self) -> str:
        """Make a UUID."""
        return str(self.platform.new_id())

    def answer(self, exchange: Exchange) -> Reply:
        """Answer the three calls that there are."""
        if exchange.call is None:
            raise Refusal(404, "InvalidAction", "There is no such call.")
        return exchange.call.route.perform(self, exchange)

    def show_discovery(self, exchange: Exchange) -> Reply:
        """The issuer's discovery document."""
        exchange.pass_gate()
        return json_reply(200, self.issuers.aws.discovery())

    def show_keys(self, exchange: Exchange) -> Reply:
        """The issuer's keys."""
        exchange.pass_gate()
        return json_reply(200, self.issuers.aws.jwks())

    def give_token(self, exchange: Exchange) -> Reply:
        """Check the signature, then the request, then the rights; answer with a token."""
        role, region = self._authenticate(exchange)
        exchange.pass_gate()
        fields = form_body(exchange.request)
        if fields is None or fields.get("Action") != OPERATION or fields.get("Version") != VERSION:
            raise Refusal(400, "InvalidAction", "Could not find operation in this version.")
        audience, seconds = _read(fields)
        if role.denied or (role.audiences is not None and audience not in role.audiences):
            text = f"User: {role.role_arn} is not authorized to perform: sts:{OPERATION}"
            raise Refusal(403, "AccessDenied", text)
        if not self.enabled:
            text = "Outbound web identity federation is not enabled for this account."
            raise Refusal(403, self.switches.aws_sts_disabled_code, text)
        token = self.issuers.aws.issue(role.role_arn, audience, seconds, **_own_claims(role, region))
        return self._reply(exchange, token, exchange.now + seconds)

    def _authenticate(self, exchange: Exchange) -> tuple[AwsRole, str]:
        request = exchange.request
        claim = aws_signature.read_claim(request)
        if claim is None:
            raise Refusal(403, "MissingAuthenticationToken", "Request is missing Authentication Token")
        exchange.access_key_id = claim.access_key_id
        role = self.roles.find(claim.access_key_id)
        if role is None or request.header("x-amz-security-token") != role.session_token:
            text = "The security token included in the request is invalid."
            raise Refusal(403, "InvalidClientTokenId", text)
        if role.session_expired:
            raise Refusal(403, "ExpiredToken", "The security token included in the request is expired")
        flaw = aws_signature.flaw(request, claim, role, exchange.now)
        exchange.signature_ok = flaw is None
        if flaw is not None:
            raise Refusal(403, "SignatureDoesNotMatch", flaw)
        return role, claim.region

    def _wants_json(self, exchange: Exchange) -> bool:
        return self.switches.aws_sts_json and "application/json" in (exchange.request.header("accept") or "")

    def _reply(self, exchange: Exchange, token: str, ends_at: float) -> Reply:
        if self._wants_json(exchange):
            result = {"Expiration": int(ends_at), "WebIdentityToken": token}
            metadata = {"RequestId": exchange.request_id}
            content = {f"{OPERATION}Response": {f"{OPERATION}Result": result, "ResponseMetadata": metadata}}
            return Reply(200, (("Content-Type", "application/json"),), _json(content))
        return _xml_reply(
            200,
            f'<{OPERATION}Response xmlns="{_NAMESPACE}"><{OPERATION}Result>'
            f"<WebIdentityToken>{token}</WebIdentityToken><Expiration>{rfc3339(int(ends_at))}</Expiration>"
            f"</{OPERATION}Result><ResponseMetadata><RequestId>{exchange.request_id}</RequestId></ResponseMetadata>"
            f"</{OPERATION}Response>",
        )

    def render(self, refusal: Refusal, exchange: Exchange) -> Reply:
        """The error object of section 1.4, in the form that the client asked for."""
        kind = "Sender" if refusal.status < 500 else "Receiver"
        if self._wants_json(exchange):
            error = {"Code": refusal.code, "Message": refusal.message, "Type": kind}
            content = _json({"Error": error, "RequestId": exchange.request_id})
            return Reply(refusal.status, (("Content-Type", "application/json"),), content)
        return _xml_reply(
            refusal.status,
            f'<ErrorResponse xmlns="{_NAMESPACE}"><Error><Type>{kind}</Type><Code>{escape(refusal.code)}</Code>'
            f"<Message>{escape(refusal.message)}</Message></Error><RequestId>{exchange.request_id}</RequestId>"
            "</ErrorResponse>",
        )

    def unavailable(self) -> Refusal:
        """503 while the service is away."""
        return Refusal(503, "ServiceUnavailable", "Service is unavailable. Please try again shortly.")

    def throttled(self, fault: Fault) -> Refusal:  # noqa: ARG002
        """The query protocol says it by the code, mostly with HTTP 400 (section 1.4)."""
        code, status = self.switches.aws_sts_throttle_code, self.switches.aws_sts_throttle_status
        return Refusal(status, code, "Rate exceeded")

    routes: ClassVar = (
        Route(OPERATION, "POST", "/", give_token),
        Route("GetDiscovery", "GET", re.escape(DISCOVERY_PATH), show_discovery),
        Route("GetKeys", "GET", re.escape(KEYS_PATH), show_keys),
    )


def _read(fields: Mapping[str, str]) -> tuple[str, int]:
    """Return audience and seconds; the stand-in takes what the project may send, and no more."""
    audience, duration = fields.get("Audience.member.1", ""), fields.get("DurationSeconds", "300")
    if not 1 <= len(audience) <= 1000:
        raise _invalid("'audience' must have from 1 to 1000 characters")
    if fields.get("SigningAlgorithm") != "RS256":
        raise _invalid("'signingAlgorithm' must be RS256")
    if not _WHOLE.fullmatch(duration) or not 60 <= int(duration) <= 3600:
        raise _invalid("'durationSeconds' must be from 60 to 3600")
    others = set(fields) - {"Action", "Version", "Audience.member.1", "SigningAlgorithm", "DurationSeconds"}
    if others:
        raise _invalid(f"the stand-in takes one audience and no {', '.join(sorted(others))}")
    return audience, int(duration)


def _invalid(text: str) -> Refusal:
    return Refusal(400, "ValidationError", f"1 validation error detected: {text}")


def _own_claims(role: AwsRole, region: str) -> dict[str, object]:
    """AWS's own object among the claims."""
    account = _ROLE.fullmatch(role.role_arn)
    own = {
        "aws_account": account[1] if account else "",
        "source_region": region,
        "principal_id": role.role_arn,
        "lambda_source_function_arn": role.function_arn,
    }
    return {"https://sts.amazonaws.com/": {name: value for name, value in own.items() if value is not None}}


def _json(content: object) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _xml_reply(status: int, text: str) -> Reply:
    return Reply(status, (("Content-Type", "text/xml"),), text.encode())
