"""The API gateway in front of OMS and DMS, at Huawei Cloud and at Open Telekom Cloud.

Source: Huawei signing sheet, sections 1, 3 and 4. The gateway finds the API, authenticates the caller and refuses
with codes of its own; only then does the service see the request.
"""

import calendar
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

from task_cleanup.providers.model import Service as Provided

from . import signatures
from .clock import rfc3339
from .faults import Dialect, Fault
from .keys import AccessKey, LockOut
from .messages import Reply, Request
from .service import CLOCK_WINDOW_SECONDS, Exchange, Platform, R, Refusal, S, Service, json_reply
from .switches import switch

_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z")


@dataclass
class GatewaySwitches:
    """Behaviour of the gateway that no source documents (section 4)."""

    gateway_retry_after_sent: bool = True
    gateway_expired_token: Literal["0307", "0301"] = "0307"
    gateway_unsigned_token_accepted: bool = False
    gateway_lock_after: int = switch(5, 6)
    otc_gateway_prefix: Literal["APIGW", "APIG"] = "APIGW"


@dataclass
class OtcSwitches:
    """What is open about the keys of Open Telekom Cloud alone."""

    otc_temporary_keys: bool = True
    """Whether DMS takes the temporary keys that IAM gives for an identity token."""


class GatewayRefusal(Refusal):
    """A refusal by the gateway; the code is without its prefix."""


class HuaweiService(Service[R, S]):
    """A service behind the gateway."""

    forbidden: ClassVar[str]
    """The service's own code for a caller who lacks the permission (section 4)."""
    foreign_project: ClassVar[str | None] = None
    """Its own code for a key of another project; None: the gateway refuses that."""

    def __init__(self, platform: Platform, provided: Provided) -> None:
        """Start on this platform, with the gateway's switches."""
        super().__init__(platform, provided)
        self.gateway = platform.switches.part(GatewaySwitches, self.name)
        self.otc = OtcSwitches() if provided.provider != "otc" else platform.switches.part(OtcSwitches, self.name)

    @property
    def prefix(self) -> str:
        """The first part of the gateway's error codes: `APIGW` or `APIG`."""
        return self.gateway.otc_gateway_prefix if self.provided.provider == "otc" else "APIGW"

    def note(self, exchange: Exchange) -> None:
        """Do nothing: these calls have neither nonce nor client token."""

    def answer(self, exchange: Exchange) -> Reply:
        """Find the API, authenticate the caller, then let the service answer."""
        if exchange.call is None:
            raise GatewayRefusal(404, "0101", "The API does not exist or has not been published.")
        key = self._authenticate(exchange)
        self._check_project(key, exchange.ids["project_id"])
        if not key.may(exchange.call.operation):
            raise self.refuse(self.forbidden)
        exchange.key = key
        exchange.pass_gate()
        reply = self.perform(exchange, exchange.call)
        return Reply(reply.status, (("X-Request-Id", exchange.request_id), *reply.headers), reply.body)

    def render(self, refusal: Refusal, exchange: Exchange) -> Reply:
        """Error objects: the gateway's has a `request_id`, a service's has not."""
        headers = (("X-Request-Id", exchange.request_id), *refusal.headers)
        if isinstance(refusal, GatewayRefusal):
            exchange.code = f"{self.prefix}.{refusal.code}"
            content = {
                "error_code": exchange.code,
                "error_msg": refusal.message,
                "request_id": exchange.request_id,
            }
        else:
            content = {"error_code": refusal.code, "error_msg": refusal.message, **refusal.fields}
        return json_reply(refusal.status, content, headers)

    def unavailable(self) -> Refusal:
        """The gateway's answer while the service is away (section 4)."""
        return GatewayRefusal(503, "0613", "Backend unavailable.")

    def throttled(self, fault: Fault) -> Refusal:
        """Refuse with the gateway's 429, or with the service's own code if it has one."""
        own = self.service_throttle(fault.dialect)
        if own is not None:
            return own
        wait = (("Retry-After", str(max(1, round(fault.retry_after)))),)
        sent = wait if self.gateway.gateway_retry_after_sent else ()
        return GatewayRefusal(429, "0308", "The throttling threshold has been reached.", headers=sent)

    def service_throttle(self, dialect: Dialect | None) -> Refusal | None:  # noqa: ARG002
        """The service's own throttled answer; None, the default, if only the gateway throttles."""
        return None

    # -- authentication --------------------------------------------------------------------------------------

    def _authenticate(self, exchange: Exchange) -> AccessKey:
        request = exchange.request
        token = request.header("x-auth-token")
        if self.provided.provider == "otc" and token is not None and request.header("authorization") is None:
            return self._bearer(token)
        key = authenticate(self.platform, self.gateway, self.provided.provider, exchange)
        if key.security_token is not None and not self.otc.otc_temporary_keys:
            raise _unauthenticated("the security token cannot be decrypted")
        return key

    def _bearer(self, token: str) -> AccessKey:
        key = self.platform.keys.bearers.recall(token)
        if key is None:
            raise _unauthenticated("the token cannot be decrypted")
        return key

    def _check_project(self, key: AccessKey, project_id: str) -> None:
        if key.project_id in {None, project_id}:
            return
        if self.foreign_project is not None:
            raise self.refuse(self.foreign_project)
        raise GatewayRefusal(403, "0310", "The project is not usable with this access key.")


def authenticate(platform: Platform, switches: GatewaySwitches, provider: str, exchange: Exchange) -> AccessKey:
    """Return the key whose signature the request has; raise `GatewayRefusal` if it has none."""
    request = exchange.request
    claim = _read_claim(request)
    exchange.access_key_id = claim.access_key_id
    key = platform.keys.find(provider, claim.access_key_id)
    if key is None or key.disabled:
        raise _unauthenticated(f"access key {claim.access_key_id} not found")
    if platform.lock_out.is_locked(key):
        raise _unauthenticated(f"access key {key.access_key_id} is locked, try again in 5 minutes")
    if request.header("x-security-token") != key.security_token:
        raise _unauthenticated("the security token cannot be decrypted")
    if key.token_expired:
        raise GatewayRefusal(401, switches.gateway_expired_token, "The token has expired and must be renewed.")
    _check_date(request, exchange.now)
    exchange.signature_ok = False
    _check_signature(request, claim, key, switches, platform.lock_out)
    exchange.signature_ok = True
    return key


def _check_signature(
    request: Request, claim: signatures.Claim, key: AccessKey, switches: GatewaySwitches, lock_out: LockOut
) -> None:
    faulty = signatures.unsigned_headers(request, claim, ("host", "x-sdk-date"))
    if faulty:
        raise _unauthenticated(f"headers not signed or not sent: {', '.join(faulty)}")
    unsigned_token = key.security_token is not None and "x-security-token" not in claim.signed_headers
    if unsigned_token and not switches.gateway_unsigned_token_accepted:
        raise GatewayRefusal(400, "0602", "The security token is not among the signed headers.")
    computed = signatures.compute_sdk_hmac(request, claim, key.secret_access_key)
    if not computed.confirms(claim):
        lock_out.failed(key, switches.gateway_lock_after)
        echoed = computed.canonical_request.replace("\n", "|")
        raise _unauthenticated(f"verify aksk signature fail, server canonical request: {echoed}")
    lock_out.succeeded(key)


def query_pairs(request: Request, names: Iterable[str]) -> dict[str, str]:
    """Decode those query parameters that the operation knows; the last of a repeated name counts."""
    wanted = set(names)
    pairs = (
        (name.decode("utf-8", "replace"), value.decode("utf-8", "replace"))
        for name, value in signatures.percent_pairs(request.query)
    )
    return {name: value for name, value in pairs if name in wanted}


def _unauthenticated(reason: str) -> Refusal:
    return GatewayRefusal(401, "0301", f"Incorrect IAM authentication information: {reason}")


def _read_claim(request: Request) -> signatures.Claim:
    try:
        return signatures.read_sdk_hmac_claim(request)
    except signatures.UnknownAlgorithmError:
        raise _unauthenticated("unknown signature algorithm") from None
    except signatures.MalformedAuthorizationError:
        reason = "Authorization malformed" if request.header("authorization") else "x-auth-token not found"
        raise _unauthenticated(reason) from None


def _check_date(request: Request, now: float) -> None:
    date = request.header("x-sdk-date") or ""
    try:
        if not _DATE.fullmatch(date):
            raise _unauthenticated("X-Sdk-Date is missing or malformed")
        signed_at = calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise _unauthenticated("X-Sdk-Date is missing or malformed") from None
    if abs(now - signed_at) > CLOCK_WINDOW_SECONDS:
        raise _unauthenticated(f"signature expired, signed at {date}, server time {rfc3339(now)}")
