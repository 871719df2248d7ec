"""Open Telekom Cloud IAM: token for an identity token, temporary keys, OIDC configuration (sheet, section 4)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from local.emulators.faults import Fault
from local.emulators.huawei_gateway import GatewayRefusal, GatewaySwitches, authenticate
from local.emulators.keys import AccessKey, Memory
from local.emulators.messages import Reply, Request
from local.emulators.routing import Call, Route
from local.emulators.service import Exchange, Platform, Refusal, json_reply
from local.emulators.switches import switch

from .otc_config import Configurations, read_keys
from .otc_dialect import TITLES, TOKEN_SECONDS, member, microseconds, refuse, token_document
from .stand_in import Issuers, StandIn, is_whole, json_body
from .tokens import FlawedTokenError, check_token
from .trust import OtcTrust, Registry

_KEYSTONE_SHAPED = {"CreateUnscopedToken", "CreateScopedToken"}


@dataclass
class OtcIamSwitches:
    """What no source settles."""

    otc_iam_unmapped: Literal["IAM.0001", "IAM.0003"] = "IAM.0001"
    """The code for a subject that the mapping does not name."""
    otc_iam_foreign_project: Literal["IAM.0003", "IAM.0001"] = "IAM.0003"
    """The code for a scope in which the group has no rights."""
    otc_iam_disabled: Literal["IAM.0004", "IAM.0001", "IAM.0003"] = "IAM.0004"
    """The code for an identity provider that is not enabled."""
    otc_iam_alg_needed: bool = False
    """Whether an uploaded key without `alg` is of no use."""
    otc_iam_token_size: int = switch(256, 16_000)
    """Characters of the token in `X-Subject-Token`."""


@dataclass(frozen=True)
class IamToken:
    """Whom a token of IAM stands for, and in which project."""

    trust: OtcTrust
    project_id: str | None


class OtcIam(StandIn[OtcIamSwitches]):
    """Gives a token for an identity token, and keys for its token."""

    title = "otc_iam"
    own_switches = OtcIamSwitches

    def __init__(self, platform: Platform, issuers: Issuers) -> None:
        """Start without identity providers."""
        super().__init__(platform, issuers)
        self.gateway = platform.switches.part(GatewaySwitches, self.title)
        self.trusts = Registry(OtcTrust)
        self.configurations = Configurations(self.trusts, issuers)
        self._tokens: Memory[IamToken] = Memory(platform.clock)

    @property
    def registries(self) -> tuple[Registry[OtcTrust], ...]:
        """The identity providers."""
        return (self.trusts,)

    def trust(self, **values: object) -> OtcTrust:
        """Register an identity provider with its mapping; the fields are those of `OtcTrust`."""
        return self.trusts.add(values)

    def upload_keys(self, provider_id: str, jwks: dict[str, Any] | str | None = None) -> None:
        """Do what the daily job does: upload keys, by default those that the issuer publishes now."""
        self.configurations.upload(provider_id, jwks)

    def reset(self) -> None:
        """Forget tokens, and keys that were uploaded since the registration."""
        self._tokens.clear()
        self.configurations.reset()

    def identify(self, request: Request) -> Call | None:
        """Add the identity provider to what the journal says, where a header names it."""
        found = super().identify(request)
        named = request.header("x-idp-id")
        return found if found is None or named is None else Call(found.route, {**found.ids, "provider_id": named})

    def answer(self, exchange: Exchange) -> Reply:
        """Answer one of the calls."""
        if exchange.call is None:
            raise GatewayRefusal(404, "0101", "The API does not exist or has not been published.")
        exchange.pass_gate()
        return exchange.call.route.perform(self, exchange)

    # -- tokens ------------------------------------------------------------------------------------------------

    def token_for_id_token(self, exchange: Exchange) -> Reply:
        """One call: a token, scoped to a project if the body names one."""
        provider_id = exchange.request.header("x-idp-id")
        auth = member(json_body(exchange.request), "auth")
        given = member(auth, "id_token").get("id")
        if not provider_id or not given:
            raise refuse("IAM.0011")
        trust = self._check_token(provider_id, given, exchange.now)
        return self._token(IamToken(trust, self._scope(trust, auth)), exchange)

    def token_for_bearer(self, exchange: Exchange) -> Reply:
        """The other entrance: always an unscoped token."""
        kind, _, given = (exchange.request.header("authorization") or "").partition(" ")
        if kind.lower() != "bearer" or exchange.ids["protocol"] != "oidc":
            raise refuse("IAM.0001")
        trust = self._check_token(exchange.ids["provider_id"], given, exchange.now)
        return self._token(IamToken(trust, None), exchange)

    def scoped_token(self, exchange: Exchange) -> Reply:
        """A token of the same user for a project."""
        auth = member(json_body(exchange.request), "auth")
        identity = member(auth, "identity")
        known = self._known(member(identity, "token").get("id"))
        if identity.get("methods") != ["token"]:
            raise refuse("IAM.0011")
        return self._token(IamToken(known.trust, self._scope(known.trust, auth)), exchange)

    def keys_for_token(self, exchange: Exchange) -> Reply:
        """Temporary keys; the header's token counts before the body's."""
        identity = member(member(json_body(exchange.request), "auth"), "identity")
        wanted = member(identity, "token", {})
        seconds = wanted.get("duration_seconds", 900)
        known = self._known(exchange.request.header("x-auth-token") or wanted.get("id"))
        if identity.get("methods") != ["token"] or not is_whole(seconds, 900, 86_400) or "policy" in identity:
            raise refuse("IAM.0011")
        minted = self.mint("otc", "AK", known.trust, seconds)
        credential = {
            "access": minted.key.access_key_id,
            "secret": minted.key.secret_access_key,
            "expires_at": microseconds(minted.ends_at),
            "securitytoken": minted.token,
        }
        return json_reply(201, {"credential": credential})

    def _check_token(self, provider_id: str, token: object, now: float) -> OtcTrust:
        """All that is wrong with a token has one code here."""
        trust = self.trusts.find(provider_id)
        if trust is None:
            raise refuse("IAM.0004")
        if not trust.enabled:
            raise refuse(self.switches.otc_iam_disabled)
        configured = self.configurations.find(provider_id)
        keys = read_keys(configured["signing_key"]) if configured else None
        if configured is None or keys is None:
            raise refuse("IAM.0001")
        if self.switches.otc_iam_alg_needed:
            keys = {"keys": [key for key in keys["keys"] if "alg" in key]}
        try:
            claims = check_token(token, keys, configured["idp_url"], (configured["client_id"],), now)
        except FlawedTokenError:
            raise refuse("IAM.0001") from None
        if claims.subject not in trust.subjects:
            raise refuse(self.switches.otc_iam_unmapped)
        return trust

    def _scope(self, trust: OtcTrust, auth: dict[str, Any]) -> str | None:
        """Read the project; the stand-in takes it by its id alone."""
        if "scope" not in auth:
            return None
        project_id = member(member(auth, "scope"), "project").get("id")
        if not isinstance(project_id, str):
            raise refuse("IAM.0011")
        if trust.project_id not in {None, project_id}:
            raise refuse(self.switches.otc_iam_foreign_project)
        return project_id

    def _known(self, token: object) -> IamToken:
        known = self._tokens.recall(token) if isinstance(token, str) else None
        if known is None:
            raise refuse("IAM.0001")
        return known

    def _token(self, made: IamToken, exchange: Exchange) -> Reply:
        text = f"testIamTokenFake{self.platform.new_id().hex}".ljust(self.switches.otc_iam_token_size, "0")
        self._tokens.remember(text, made, TOKEN_SECONDS)
        if made.project_id is not None:
            holder = AccessKey(
                "otc", made.trust.provider_id, "", project_id=made.project_id, denied=made.trust.denied
            )
            self.platform.keys.bearers.remember(text, holder, TOKEN_SECONDS)
        document = token_document(made.trust.provider_id, made.project_id, exchange.now)
        return json_reply(201, {"token": document}, (("X-Subject-Token", text),))

    # -- configuration -----------------------------------------------------------------------------------------

    def configuration(self, exchange: Exchange) -> Reply:
        """Show, make or change the OIDC configuration; only for a known key with a good signature."""
        assert exchange.call is not None
        key = authenticate(self.platform, self.gateway, "otc", exchange)
        if not key.may(exchange.call.operation):
            raise refuse("IAM.0003")
        provider_id, method = exchange.ids["provider_id"], exchange.request.method
        trust = self.trusts.find(provider_id)
        if trust is None:
            raise refuse("IAM.0004")
        if method == "GET":
            found = self.configurations.find(provider_id)
            if found is None:
                raise refuse("IAM.0004")
            return json_reply(200, {"openid_connect_config": found})
        sent = member(json_body(exchange.request), "openid_connect_config")
        written = self.configurations.write(trust, sent, new=method == "POST")
        return json_reply(201 if method == "POST" else 200, {"openid_connect_config": written})

    # -- the dialect -------------------------------------------------------------------------------------------

    def render(self, refusal: Refusal, exchange: Exchange) -> Reply:
        """The error object of section 4.1; the calls of Keystone have their own."""
        if isinstance(refusal, GatewayRefusal):
            exchange.code = f"{self.gateway.otc_gateway_prefix}.{refusal.code}"
        content: dict[str, Any] = {"error_msg": refusal.message, "error_code": exchange.code}
        if exchange.call is not None and exchange.call.operation in _KEYSTONE_SHAPED:
            title = TITLES.get(refusal.status, "Error")
            content = {"error": {"code": refusal.status, "message": refusal.message, "title": title}}
        return json_reply(refusal.status, content, (("X-Request-Id", exchange.request_id), *refusal.headers))

    def unavailable(self) -> Refusal:
        """The gateway's answer while the service is away."""
        return GatewayRefusal(503, "0613", "Backend unavailable.")

    def throttled(self, fault: Fault) -> Refusal:
        """The gateway's 429."""
        wait = (("Retry-After", str(max(1, round(fault.retry_after)))),)
        return GatewayRefusal(429, "0308", "The throttling threshold has been reached.", headers=wait)

    _config: ClassVar = "/v3\\.0/OS-FEDERATION/identity-providers/{provider_id}/openid-connect-config"
    _bearer: ClassVar = "/v3/OS-FEDERATION/identity_providers/{provider_id}/protocols/{protocol}/auth"
    routes: ClassVar = (
        Route("CreateTokenWithIdToken", "POST", "/v3\\.0/OS-AUTH/id-token/tokens", token_for_id_token),
        Route("CreateUnscopedToken", "POST", _bearer, token_for_bearer),
        Route("CreateScopedToken", "POST", "/v3/auth/tokens", scoped_token),
        Route("CreateTemporaryAccessKey", "POST", "/v3\\.0/OS-CREDENTIAL/securitytokens", keys_for_token),
        Route("ShowOpenIdConnectConfig", "GET", _config, configuration),
        Route("UpdateOpenIdConnectConfig", "PUT", _config, configuration),
        Route("CreateOpenIdConnectConfig", "POST", _config, configuration),
    )
