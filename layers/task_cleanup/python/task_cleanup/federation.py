"""Temporary keys for accounts without a stored key: the function's AWS identity is exchanged at the provider.

AWS gives the function a token that says which role it runs with. The provider, which trusts AWS's issuer for that
role, gives keys for the token. Nothing here knows a provider: ``providers/alibaba_sts``, ``huawei_sts`` and
``otc_iam`` say what is sent. Neither the token nor the keys get into a log, a URL, a result or an exception.
"""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

import requests

from task_cleanup import transport
from task_cleanup.aws import STALE_SIGNATURE, AwsError, IdentityTokens
from task_cleanup.errors import Category, CleanupError, Code
from task_cleanup.providers.model import Reply
from task_cleanup.providers.token_exchange import KEY_LIFETIME, StepInput, TemporaryKeys, TokenExchange
from task_cleanup.redaction import redact
from task_cleanup.settings import Accounts, Settings, SettingsError
from task_cleanup.system import Deadline, System
from task_cleanup.transport import NoAnswerError, ReplyTooLargeError

EXCHANGE_TIMEOUT = 5.0  # seconds for an exchange with its repetitions
_SESSION_NAME = 64  # characters: fits the rules of all three providers
_CLAIM = re.compile("[ -~]{1,2048}")

# AWS's codes that pass by themselves; as do all with `Throttl` in them, and every HTTP status from 500 on. By the
# code, since STS throttles with HTTP 400.
_PASSING = STALE_SIGNATURE | frozenset(
    {
        Code.TIMEOUT,
        Code.CONNECTION_FAILED,
        "ExpiredToken",  # the function's own session: Lambda replaces the environment
        "ExpiredTokenException",
        "InternalFailure",
        "RequestLimitExceeded",
        "ServiceUnavailable",
    }
)
_TOKEN_HINTS = {
    "OutboundWebIdentityFederationDisabled": "switch it on, once for the AWS account: "
    "aws iam enable-outbound-web-identity-federation",
    "AccessDenied": "the function's role needs sts:GetWebIdentityToken (the stack gives it where the provider's "
    "federation is configured), and the organisation's policies must not deny it",
    "SessionDurationEscalation": "the function's own session ends before the token would",
}


class Federation:
    """The accounts of one provider that have no stored key.

    Parameters
    ----------
    base
        A base URL instead of the provider's.
    session_name
        What the provider's audit log calls the one who calls.
    """

    def __init__(
        self,
        exchange: TokenExchange,
        accounts: Accounts,
        tokens: IdentityTokens,
        system: System,
        *,
        base: str | None = None,
        session_name: str = "task-cleanup",
    ) -> None:
        """Check the accounts' configuration.

        Raises
        ------
        SettingsError
            If a member is missing, unknown or malformed; the text names variable, account and member.
        """
        for alias, account in accounts.items():
            if violation := exchange.violation(account):
                raise SettingsError(f"{exchange.variable}: the account {alias} {violation}")
        self.exchange = exchange
        self._accounts = accounts
        self._tokens = tokens
        self._system = system
        self._base = base
        self._session_name = session_name[:_SESSION_NAME]

    @classmethod
    def of(cls, exchange: TokenExchange, settings: Settings, tokens: IdentityTokens, system: System) -> "Federation":
        """The one that the settings configure. Raises like the class."""
        return cls(
            exchange,
            settings.federation.get(exchange.provider, {}),
            tokens,
            system,
            base=settings.provider_endpoints.get(exchange.id),
            session_name=settings.function_name,
        )

    def __contains__(self, alias: str) -> bool:
        return alias in self._accounts

    def keys(self, alias: str, deadline: Deadline) -> TemporaryKeys:
        """Temporary keys of an account that is configured.

        Raises
        ------
        CleanupError
            ``internal`` if AWS gives no token (``IdentityTokenDenied``) or the provider no keys
            (``ExchangeRefused``); ``unavailable`` or ``throttled`` if that may pass (``IdentityTokenUnavailable``,
            ``ExchangeUnavailable``); ``provider_error`` for a success without usable keys (``UnexpectedReply``).
        """
        token = self.identity_token(deadline)
        return self.exchanged(alias, token, deadline)

    def identity_token(self, deadline: Deadline) -> str:
        """A fresh token for the provider's audience. Raises like ``keys``."""
        try:
            return self._tokens(self.exchange.audience, deadline)
        except AwsError as error:
            raise _token_error(error) from None

    def exchanged(self, alias: str, token: str, deadline: Deadline) -> TemporaryKeys:
        """The account's keys for this token. Raises like ``keys``."""
        account = self._accounts[alias]
        base = self._base or f"https://{self.exchange.host(account)}"
        within = deadline.within(EXCHANGE_TIMEOUT)
        secrets = [token]
        # The exchange changes nothing, so the session may repeat its requests as it may those to AWS.
        with closing(transport.new_session(self._system, [base])) as session:
            for step in self.exchange.steps(account):
                given = StepInput(base, account, secrets[-1], self._session_name, self._system.now())
                reply = self._sent(session, given, step.request, within)
                found = step.read(reply, account) if 200 <= reply.status < 300 else None
                if isinstance(found, TemporaryKeys):
                    return self._limited(found)
                if found is None:
                    raise self._refusal(alias, reply, secrets)
                secrets.append(found)
        raise AssertionError("the last step of an exchange reads keys")

    def _sent(
        self, session: requests.Session, given: StepInput, request: Callable[[StepInput], Any], deadline: Deadline
    ) -> Reply:
        try:
            return transport.exchange(session, request(given), deadline)
        except NoAnswerError as error:
            message = f"{self.exchange.title} did not answer: {error}"
            raise CleanupError(Category.UNAVAILABLE, Code.EXCHANGE_UNAVAILABLE, message) from None
        except ReplyTooLargeError:
            message = f"{self.exchange.title} answered with more than is read"
            raise CleanupError(Category.PROVIDER_ERROR, Code.UNEXPECTED_REPLY, message) from None

    def _limited(self, keys: TemporaryKeys) -> TemporaryKeys:
        """Keys end after their lifetime here at the latest: a token that is used as one is good for a day."""
        now = self._system.now()
        if keys.expires_at <= now:
            message = f"{self.exchange.title} gives keys that have ended already, or the clock here is wrong"
            raise CleanupError(Category.PROVIDER_ERROR, Code.UNEXPECTED_REPLY, message)
        return TemporaryKeys(keys.credentials, min(keys.expires_at, now + KEY_LIFETIME))

    def _refusal(self, alias: str, reply: Reply, secrets: list[str]) -> CleanupError:
        """The error for a reply without what was asked for. Its detail names what the operator has to compare."""
        told = self.exchange.read_error(reply)
        if told is None and 200 <= reply.status < 300:
            message = f"{self.exchange.title}: HTTP {reply.status} without usable keys"
            return CleanupError(Category.PROVIDER_ERROR, Code.UNEXPECTED_REPLY, message)
        code = redact(told.code, secrets) if told else f"Http{reply.status}"
        text = redact(told.message, secrets) if told else "no readable error code"
        provider = {"code": code, "http_status": str(reply.status)}
        if request_id := self.exchange.request_id(reply):
            provider["request_id"] = redact(request_id, secrets)
        message = f"{self.exchange.title}, account {alias}: {code}: {text}"
        passing = self.exchange.category(code, reply.status)
        if passing is not None:
            return CleanupError(passing, Code.EXCHANGE_UNAVAILABLE, message, {"provider": provider})
        hint = self.exchange.hint(code)
        detail = {"provider": provider, "claims": claims_of(secrets[0]), **({"hint": hint} if hint else {})}
        return CleanupError(Category.INTERNAL, Code.EXCHANGE_REFUSED, message, detail)


def _token_error(error: AwsError) -> CleanupError:
    code, status = error.code, error.status or 0
    if code in (Code.UNEXPECTED_REPLY, Code.REPLY_TOO_LARGE):
        message = f"AWS STS answered without a token ({code})"
        return CleanupError(Category.PROVIDER_ERROR, Code.UNEXPECTED_REPLY, message)
    if code in _PASSING or "Throttl" in code or status >= 500 or status == 429:
        message = f"AWS STS gives no identity token now ({code})"
        return CleanupError(Category.UNAVAILABLE, Code.IDENTITY_TOKEN_UNAVAILABLE, message)
    hint = next((text for beginning, text in _TOKEN_HINTS.items() if code.startswith(beginning)), None)
    message = f"AWS STS gives this function no identity token ({code})" + (f": {hint}" if hint else "")
    return CleanupError(Category.INTERNAL, Code.IDENTITY_TOKEN_DENIED, message, {"aws_code": code})


def claims_of(token: str) -> Mapping[str, str]:
    """Issuer, audience and subject of a token, which trust policies compare. None of them is secret.

    One that is not a line of printable ASCII, or too long for a result, is left out.
    """
    payload = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(claims, dict):
        return {}
    told = {name: value for name in ("iss", "aud", "sub") if isinstance(value := claims.get(name), str)}
    return {name: value for name, value in told.items() if _CLAIM.fullmatch(value)}
