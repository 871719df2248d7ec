"""The API gateway in front of Alibaba Elasticsearch (Alibaba sheet, sections 2 and 3).

Order of the checks: sheet, end of section 3.4. Authorization, algorithm, action, date, window, key, token,
signature, nonce, permission, throttle; then the product answers. An unknown path is refused before all of them.
"""

import calendar
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from task_cleanup.providers.model import Service as Provided

from . import signatures
from .faults import Fault
from .keys import AccessKey, Memory
from .messages import Reply, Request
from .routing import Call, Route, find_call
from .service import CLOCK_WINDOW_SECONDS, Exchange, Platform, R, Refusal, S, Service, json_reply
from .switches import switch

NONCE_SECONDS = 2 * CLOCK_WINDOW_SECONDS

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_CLIENT_TOKEN = re.compile(r"[\x20-\x7e]{1,64}")


@dataclass
class GatewaySwitches:
    """Behaviour of gateway and client tokens that no source documents."""

    alibaba_throttle_status: int = switch(400, 429)
    alibaba_retry_after_sent: bool = True
    alibaba_security_token_status: int = switch(400, 403)
    alibaba_signature_status: int = switch(400, 403)
    alibaba_client_token_scope: Literal["operation", "account"] = "operation"
    """How far a client token is compared (section 4)."""
    alibaba_client_token_seconds: float = switch(86400.0, 0.0)


@dataclass(frozen=True)
class RememberedCall:
    """A call with a client token, and its answer (section 4)."""

    parameters: tuple[str, ...]
    result: Any


class AlibabaService(Service[R, S]):
    """A product behind the gateway."""

    version: ClassVar[str]
    """Of the API, which the header `x-acs-version` names."""
    query_ids: ClassVar[Mapping[str, str]] = {}
    """The ids that come in the query: the parameter, and what the id is called here."""

    def __init__(self, platform: Platform, provided: Provided) -> None:
        """Start without remembered nonces and client tokens."""
        super().__init__(platform, provided)
        self.gateway = platform.switches.part(GatewaySwitches, self.name)
        self._nonces: Memory[bool] = Memory(platform.clock)
        self._calls: Memory[RememberedCall] = Memory(platform.clock)

    def identify(self, request: Request) -> Call | None:
        """Add the ids in the query to those in the path. If operations share a path, the action header decides."""
        action = request.header("x-acs-action")
        named = [route for route in self.routes if route.operation == action]
        call = find_call(named, request) or find_call(self.routes, request)
        if call is None:
            return None
        query = query_of(request)
        return Call(
            call.route,
            {**call.ids, **{ours: query[name] for name, ours in self.query_ids.items() if query.get(name)}},
        )

    def clear(self) -> None:
        """Forget tasks, nonces and client tokens."""
        super().clear()
        self._nonces.clear()
        self._calls.clear()

    def note(self, exchange: Exchange) -> None:
        """Copy nonce and client token into the exchange, even if the request will be refused."""
        exchange.nonce = exchange.request.header("x-acs-signature-nonce")
        if exchange.call is not None:
            exchange.client_token = query_of(exchange.request).get(exchange.call.route.token)

    def once(self, exchange: Exchange, subject: tuple[str, ...], change: Callable[[], Any]) -> Any:  # noqa: ANN401
        """Make a change; answer a repeated client token from memory, without a second effect (section 4)."""
        if not exchange.client_token or exchange.call is None or exchange.key is None:
            return change()
        by_operation = self.gateway.alibaba_client_token_scope == "operation"
        operation = exchange.call.operation
        name = (exchange.key.access_key_id, operation if by_operation else "*", exchange.client_token)
        parameters = (operation, *subject)
        known = self._calls.recall(name)
        if known is not None:
            if known.parameters != parameters:
                text = "The client token was used with other parameters before."
                raise Refusal(400, "IdempotentParameterMismatch", text)
            return known.result
        result = change()
        self._calls.remember(name, RememberedCall(parameters, result), self.gateway.alibaba_client_token_seconds)
        return result

    def unavailable(self) -> Refusal:
        """503 while the service is away (section 3.2)."""
        return Refusal(503, "ServiceUnavailable", "The request has failed due to a temporary failure.")

    def new_request_id(self) -> str:
        """A request id: an upper-case UUID (section 1.1)."""
        return str(self.platform.new_id()).upper()

    def render(self, refusal: Refusal, exchange: Exchange) -> Reply:
        """The error object of section 3.1 for a refusal."""
        content = {
            "RequestId": exchange.request_id,
            "HostId": exchange.request.header("host") or "",
            "Code": refusal.code,
            "Message": refusal.message,
            "Recommend": f"https://next.api.aliyun.com/troubleshoot?q={refusal.code}"
            f"&product={self.provided.name}&source=PopGw",
            **refusal.fields,
        }
        return json_reply(refusal.status, content, (("x-acs-request-id", exchange.request_id), *refusal.headers))

    def throttled(self, fault: Fault) -> Refusal:
        """The throttled answer of section 3.2: HTTP 400, and the wait in milliseconds."""
        wait = (("x-acs-retry-after", str(round(fault.retry_after * 1000))),)
        return Refusal(
            self.gateway.alibaba_throttle_status,
            "Throttling.User",
            "Request was denied due to user flow control.",
            headers=wait if self.gateway.alibaba_retry_after_sent else (),
        )

    def answer(self, exchange: Exchange) -> Reply:
        """Make the gateway's checks in their order, then carry out the operation."""
        request = exchange.request
        call = exchange.call
        if call is None:
            raise _api_not_found()
        claim = _read_claim(request)
        exchange.access_key_id = claim.access_key_id
        self._check_action(request, call)
        _check_date(request, exchange.now)
        key = self._find_key(claim.access_key_id)
        self._check_token(request, key)
        self._check_signature(exchange, claim, key)
        self._use_nonce(exchange, key)
        self._check_permission(key, call.operation)
        exchange.key = key
        exchange.pass_gate()
        _check_parameters(call.route, query_of(request))
        return self.perform(exchange, call)

    def _check_action(self, request: Request, call: Call) -> None:
        """Action, version, method and path must fit together (section 1.1)."""
        named = (request.header("x-acs-action"), request.header("x-acs-version"))
        if named != (call.operation, self.version):
            raise _api_not_found()

    def _find_key(self, access_key_id: str) -> AccessKey:
        key = self.platform.keys.find(self.provided.provider, access_key_id)
        if key is None:
            raise Refusal(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        if key.disabled:
            raise Refusal(400, "InvalidAccessKeyId.Inactive", "Specified access key is disabled.")
        return key

    def _check_token(self, request: Request, key: AccessKey) -> None:
        sent = request.header("x-acs-security-token")
        status = self.gateway.alibaba_security_token_status
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
                self.gateway.alibaba_signature_status,
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

    def _check_permission(self, key: AccessKey, operation: str) -> None:
        if not key.may(operation):
            detail = {
                "AuthAction": f"{self.provided.name}:{operation}",
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


def _read_claim(request: Request) -> signatures.Claim:
    try:
        return signatures.read_acs3_claim(request)
    except signatures.UnknownAlgorithmError:
        raise Refusal(400, "InvalidSignatureMethod", "Specified signature method is not supported.") from None
    except signatures.MalformedAuthorizationError:
        raise Refusal(400, "IncompleteSignature", "The Authorization header is missing or incomplete.") from None


def _api_not_found() -> Refusal:
    return Refusal(404, "InvalidApi.NotFound", "Specified api is not found, please check your url and method.")


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
    """The headers to sign (section 2.3): host, the content type if there is one, and every x-acs- header."""
    always = ["host", "x-acs-content-sha256"]
    present = request.header_names
    return [*always, *(n for n in present if n == "content-type" or n.startswith("x-acs-"))]


def query_of(request: Request) -> dict[str, str]:
    """Decode the query into a dictionary; `_check_signature` refuses one with a repeated name."""
    pairs = signatures.form_pairs(request.query)
    return {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in pairs}


def _check_parameters(route: Route, query: Mapping[str, str]) -> None:
    """Refuse a missing query parameter or a wrong client token; names are compared with their case (section 1.10)."""
    for name in route.required:
        if not query.get(name):
            raise Refusal(400, f"Missing{name[0].upper()}{name[1:]}", f"{name} is mandatory for this action.")
    token = query.get(route.token)
    if token and not _CLIENT_TOKEN.fullmatch(token):
        raise Refusal(400, "InvalidParameter", f"{route.token} must be at most 64 ASCII characters.")
