"""The API gateway in front of Alibaba Elasticsearch (Alibaba sheet, sections 2 and 3).

Order of the checks: sheet, end of section 3.4. Authorization, algorithm, action, date, window, key, token,
signature, nonce, permission, throttle; then the product has its say. A path that is no API is refused before all.
"""

import calendar
import re
import time
from abc import abstractmethod

from . import signatures
from .faults import Fault
from .keys import AccessKey, Memory, Provider
from .messages import Reply, Request
from .routing import Call
from .service import CLOCK_WINDOW_SECONDS, Exchange, Platform, Refusal, Service, json_reply

VERSION = "2017-06-13"
NONCE_SECONDS = 2 * CLOCK_WINDOW_SECONDS

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


class AlibabaService(Service):
    """A product behind the gateway."""

    def __init__(self, platform: Platform) -> None:
        """Start without remembered nonces."""
        super().__init__(platform)
        self._nonces: Memory[bool] = Memory(platform.clock)

    @abstractmethod
    def perform(self, exchange: Exchange, call: Call, key: AccessKey) -> Reply:
        """Carry out an authenticated call."""

    def clear(self) -> None:
        """Forget the nonces."""
        self._nonces.clear()

    def note(self, exchange: Exchange) -> None:
        """Write down the nonce."""
        exchange.nonce = exchange.request.header("x-acs-signature-nonce")

    def unavailable(self) -> Refusal:
        """Section 3.2."""
        return Refusal(503, "ServiceUnavailable", "The request has failed due to a temporary failure.")

    def new_request_id(self) -> str:
        """Upper-case UUID (section 1.1)."""
        return str(self.platform.new_id()).upper()

    def render(self, refusal: Refusal, exchange: Exchange) -> Reply:
        """Error object of section 3.1."""
        content = {
            "RequestId": exchange.request_id,
            "HostId": exchange.request.header("host") or "",
            "Code": refusal.code,
            "Message": refusal.message,
            "Recommend": f"https://next.api.aliyun.com/troubleshoot?q={refusal.code}"
            "&product=elasticsearch&source=PopGw",
            **refusal.fields,
        }
        return json_reply(refusal.status, content, (("x-acs-request-id", exchange.request_id), *refusal.headers))

    def throttled(self, fault: Fault) -> Refusal:
        """Section 3.2: HTTP 400, and the wait in milliseconds."""
        wait = (("x-acs-retry-after", str(round(fault.retry_after * 1000))),)
        return Refusal(
            self.switches.alibaba_throttle_status,
            "Throttling.User",
            "Request was denied due to user flow control.",
            headers=wait if self.switches.alibaba_retry_after_sent else (),
        )

    def answer(self, exchange: Exchange) -> Reply:
        """Run the checks in their order, then the operation."""
        request = exchange.request
        call = exchange.call
        if call is None:
            raise _api_not_found()
        claim = _read_claim(request)
        exchange.access_key_id = claim.access_key_id
        _check_action(request, call)
        _check_date(request, exchange.now)
        key = self._find_key(claim.access_key_id)
        self._check_token(request, key)
        self._check_signature(exchange, claim, key)
        self._use_nonce(exchange, key)
        _check_permission(key, call.operation)
        exchange.pass_gate()
        return self.perform(exchange, call, key)

    def _find_key(self, access_key_id: str) -> AccessKey:
        key = self.platform.keys.find(Provider.ALIBABA, access_key_id)
        if key is None:
            raise Refusal(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        if key.disabled:
            raise Refusal(400, "InvalidAccessKeyId.Inactive", "Specified access key is disabled.")
        return key

    def _check_token(self, request: Request, key: AccessKey) -> None:
        sent = request.header("x-acs-security-token")
        status = self.switches.alibaba_security_token_status
        if key.security_token is not None and sent is None:
            raise Refusal(400, "MissingSecurityToken", "SecurityToken is mandatory for this action.")
        if sent != key.security_token:
            raise Refusal(
                status, "InvalidSecurityToken.MismatchWithAccessKey", "The token belongs to another access key."
            )
        if key.token_expired:
            raise Refusal(status, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")

    def _check_signature(self, exchange: Exchange, claim: signatures.Claim, key: AccessKey) -> None:
        request = exchange.request
        exchange.signature_ok = False
        faulty = signatures.unsigned_headers(request, claim, _must_be_signed(request))
        if faulty:
            raise Refusal(400, "IncompleteSignature", f"Headers not signed or not sent: {', '.join(faulty)}.")
        names = [name for name, _ in signatures.form_pairs(request.query)]
        if len(set(names)) != len(names):
            raise Refusal(400, "InvalidParameter", "A query parameter is given more than once.")
        computed = signatures.compute_acs3(request, claim, key.secret_access_key)
        honest = request.header("x-acs-content-sha256") == signatures.body_hash(request)
        if not (honest and computed.confirms(claim)):
            raise Refusal(
                self.switches.alibaba_signature_status,
                "SignatureDoesNotMatch",
                "Specified signature does not match our calculation. "
                f"server string to sign is:{computed.string_to_sign} "
                f"server canonical request is:{computed.canonical_request}",
            )
        exchange.signature_ok = True

    def _use_nonce(self, exchange: Exchange, key: AccessKey) -> None:
        if not exchange.nonce:
            raise Refusal(400, "MissingSignatureNonce", "SignatureNonce is mandatory for this action.")
        if self._nonces.remember((key.access_key_id, exchange.nonce), value=True, seconds=NONCE_SECONDS):
            raise Refusal(400, "SignatureNonceUsed", "Specified signature nonce was used already.")


def _read_claim(request: Request) -> signatures.Claim:
    try:
        return signatures.read_acs3_claim(request)
    except signatures.UnknownAlgorithmError:
        raise Refusal(400, "InvalidSignatureMethod", "Specified signature method is not supported.") from None
    except signatures.MalformedAuthorizationError:
        raise Refusal(400, "IncompleteSignature", "The Authorization header is missing or incomplete.") from None


def _api_not_found() -> Refusal:
    return Refusal(404, "InvalidApi.NotFound", "Specified api is not found, please check your url and method.")


def _check_action(request: Request, call: Call) -> None:
    """Action, version, method and path must fit together (section 1.1)."""
    named = (request.header("x-acs-action"), request.header("x-acs-version"))
    if named != (call.operation, VERSION):
        raise _api_not_found()


def _check_date(request: Request, now: float) -> None:
    date = request.header("x-acs-date") or ""
    malformed = Refusal(400, "InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted.")
    if not _DATE.fullmatch(date):
        raise malformed
    try:
        signed_at = calendar.timegm(time.strptime(date, "%Y-%m-%dT%H:%M:%SZ"))
    except ValueError:
        raise malformed from None
    if abs(now - signed_at) > CLOCK_WINDOW_SECONDS:
        raise Refusal(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")


def _must_be_signed(request: Request) -> list[str]:
    """Section 2.3: host, the content type if there is one, and every x-acs- header present."""
    always = ["host", "x-acs-content-sha256"]
    present = request.header_names
    return [*always, *(n for n in present if n == "content-type" or n.startswith("x-acs-"))]


def _check_permission(key: AccessKey, operation: str) -> None:
    if not key.may(operation):
        detail = {
            "AuthAction": f"elasticsearch:{operation}",
            "AuthPrincipalType": "SubUser",
            "AuthPrincipalOwnerId": "1000000000000001",
            "AuthPrincipalDisplayName": key.access_key_id,
            "NoPermissionType": "ImplicitDeny",
            "PolicyType": "AccountLevelIdentityBasedPolicy",
            "EncodedDiagnosticMessage": "fake-diagnostic-message",
        }
        raise Refusal(
            403,
            "Forbidden.RAM",
            "User not authorized to operate on the specified resource.",
            fields={"AccessDeniedDetail": detail},
        )
