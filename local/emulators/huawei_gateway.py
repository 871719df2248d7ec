"""The API gateway in front of OMS and DMS, at Huawei Cloud and at Open Telekom Cloud.

Source: Huawei signing sheet, sections 1, 3 and 4. The gateway finds the API, authenticates the caller and refuses
with codes of its own; only then does the service see the request.
"""

import calendar
import re
import time
from abc import abstractmethod
from collections.abc import Iterable, Mapping

from . import signatures
from .clock import rfc3339
from .faults import Dialect, Fault
from .keys import AccessKey, LockOut, Provider
from .messages import Reply, Request
from .routing import Call
from .service import CLOCK_WINDOW_SECONDS, Exchange, Platform, Refusal, Service, json_reply
from .switches import GatewayPrefix

_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z")


class GatewayRefusal(Refusal):
    """A refusal by the gateway; the code is without its prefix."""


class HuaweiService(Service):
    """A service behind the gateway."""

    provider: Provider

    def __init__(self, platform: Platform, lock_out: LockOut) -> None:
        """Join the process; services of one provider share the lock-out of keys."""
        super().__init__(platform)
        self._lock_out = lock_out

    @property
    def prefix(self) -> str:
        """First part of gateway codes."""
        is_otc = self.provider is Provider.OTC
        return self.switches.otc_gateway_prefix.value if is_otc else GatewayPrefix.APIGW.value

    def note(self, exchange: Exchange) -> None:
        """Nothing to write down: these calls carry neither nonce nor client token."""

    def answer(self, exchange: Exchange) -> Reply:
        """Find the API, authenticate, then hand over to the service."""
        if exchange.call is None:
            raise GatewayRefusal(404, "0101", "The API does not exist or has not been published.")
        key = self._authenticate(exchange)
        self.check_project(key, exchange.call.ids["project_id"])
        if not key.may(exchange.call.operation):
            raise self.forbidden()
        exchange.pass_gate()
        reply = self.perform(exchange, exchange.call)
        return Reply(reply.status, (("X-Request-Id", exchange.request_id), *reply.headers), reply.body)

    @abstractmethod
    def perform(self, exchange: Exchange, call: Call) -> Reply:
        """Carry out an authenticated call."""

    @abstractmethod
    def forbidden(self) -> Refusal:
        """Refuse for lack of permission, with the service's own code (section 4)."""

    @abstractmethod
    def check_project(self, key: AccessKey, project_id: str) -> None:
        """Refuse a key of another project."""

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
        """Section 4: the gateway finds no backend."""
        return GatewayRefusal(503, "0613", "Backend unavailable.")

    def throttled(self, fault: Fault) -> Refusal:
        """Refuse with the gateway's 429, or with the service's own code if it has one."""
        own = self.service_throttle(fault.dialect)
        if own is not None:
            return own
        wait = (("Retry-After", str(max(1, round(fault.retry_after)))),)
        sent = wait if self.switches.gateway_retry_after_sent else ()
        return GatewayRefusal(429, "0308", "The throttling threshold has been reached.", headers=sent)

    def service_throttle(self, dialect: Dialect | None) -> Refusal | None:  # noqa: ARG002
        """Tell how the service itself throttles; by default it leaves that to the gateway."""
        return None

    # -- authentication --------------------------------------------------------------------------------------

    def _authenticate(self, exchange: Exchange) -> AccessKey:
        request = exchange.request
        claim = _read_claim(request)
        exchange.access_key_id = claim.access_key_id
        key = self.platform.keys.find(self.provider, claim.access_key_id)
        if key is None or key.disabled:
            raise _unauthenticated(f"access key {claim.access_key_id} not found")
        if self._lock_out.is_locked(key.access_key_id):
            raise _unauthenticated(f"access key {key.access_key_id} is locked, try again in 5 minutes")
        self._check_token(request, key)
        _check_date(request, exchange.now)
        self._check_signature(exchange, claim, key)
        return key

    def _check_token(self, request: Request, key: AccessKey) -> None:
        if request.header("x-security-token") != key.security_token:
            raise _unauthenticated("the security token cannot be decrypted")
        if key.token_expired:
            code = self.switches.gateway_expired_token.value
            raise GatewayRefusal(401, code, "The token has expired and must be renewed.")

    def _check_signature(self, exchange: Exchange, claim: signatures.Claim, key: AccessKey) -> None:
        request = exchange.request
        exchange.signature_ok = False
        faulty = signatures.unsigned_headers(request, claim, ("host", "x-sdk-date"))
        if faulty:
            raise _unauthenticated(f"headers not signed or not sent: {', '.join(faulty)}")
        unsigned_token = key.security_token is not None and "x-security-token" not in claim.signed_headers
        if unsigned_token and not self.switches.gateway_unsigned_token_accepted:
            raise GatewayRefusal(400, "0602", "The security token is not among the signed headers.")
        computed = signatures.compute_sdk_hmac(request, claim, key.secret_access_key)
        if not computed.confirms(claim):
            self._lock_out.failed(key.access_key_id, self.switches.gateway_lock_after)
            echoed = computed.canonical_request.replace("\n", "|")
            raise _unauthenticated(f"verify aksk signature fail, server canonical request: {echoed}")
        self._lock_out.succeeded(key.access_key_id)
        exchange.signature_ok = True


def query_pairs(request: Request, names: Iterable[str]) -> dict[str, str]:
    """Decode those query parameters that the operation knows; the last of a repeated name counts."""
    wanted = set(names)
    pairs = (
        (name.decode("utf-8", "replace"), value.decode("utf-8", "replace"))
        for name, value in signatures.percent_pairs(request.query)
    )
    return {name: value for name, value in pairs if name in wanted}


def whole_number(values: Mapping[str, str], name: str, default: int) -> int | None:
    """Read a parameter as a number from 0; None if it is anything else."""
    text = values.get(name)
    if text is None:
        return default
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None


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
