"""Alibaba Cloud STS 2015-04-01: AssumeRoleWithOIDC, an unsigned call, gives a RAM role's keys for an identity token.

Sources: the help pages of AssumeRoleWithOIDC and of its error codes; the parameters in the body as
``@alicloud/credentials`` 2.4.7 sends them. UNCONFIRMED: that AWS's issuer is accepted.
"""

import re
from datetime import UTC
from urllib.parse import urlencode

from task_cleanup.providers.alibaba_gateway import read_error, request_id
from task_cleanup.providers.model import Reply, SignedRequest
from task_cleanup.providers.token_exchange import (
    KEY_LIFETIME,
    SUBJECT_HINT,
    Account,
    ExchangeStep,
    Member,
    StepInput,
    TemporaryKeys,
    TokenExchange,
    read_keys,
)
from task_cleanup.signing import canonical_query
from task_cleanup.validation import shared_pattern

_WITHOUT_HOST = frozenset({"ap-south-1", "ap-southeast-2", "cn-wuhan"})  # the SDK sends these to the global host
_FAILED = "AuthenticationFail.OIDCToken."


def _host(account: Account) -> str:
    region = account.get("sts_region")
    return "sts.aliyuncs.com" if region is None or region in _WITHOUT_HOST else f"sts.{region}.aliyuncs.com"


def assume_role(given: StepInput) -> SignedRequest:
    """``POST /?Action=AssumeRoleWithOIDC…``. The token is in the body: proxies and servers log URLs."""
    query = {
        "Action": "AssumeRoleWithOIDC",
        "Format": "JSON",
        "Timestamp": f"{given.now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "Version": "2015-04-01",
    }
    body = {
        "OIDCProviderArn": given.account["provider_arn"],
        "OIDCToken": given.bearer,
        "RoleArn": given.account["role_arn"],
        "RoleSessionName": given.session,
        "DurationSeconds": f"{KEY_LIFETIME.total_seconds():.0f}",
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return SignedRequest("POST", f"{given.base}/?{canonical_query(query.items())}", headers, urlencode(body).encode())


def read_assumed(reply: Reply, account: Account) -> TemporaryKeys | None:
    """Read ``{"Credentials": {"AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration"}}``."""
    del account
    body = reply.json_object() or {}
    return read_keys(body.get("Credentials"), ("AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration"))


_FINGERPRINT = (
    "Alibaba Cloud does not trust the certificate of the issuer's host: add the SHA-1 fingerprint of its root CA to "
    "the OIDC provider"
)

EXCHANGE = TokenExchange(
    provider="alibaba",
    name="sts",
    title="Alibaba Cloud STS",
    audience="sts.aliyuncs.com",
    members={
        "role_arn": Member(
            re.compile(r"acs:ram::[0-9]{1,32}:role/[\w.-]{1,64}", re.ASCII),
            "acs:ram::1234567890123456:role/task-cleanup",
        ),
        "provider_arn": Member(
            re.compile(r"acs:ram::[0-9]{1,32}:oidc-provider/[\w.-]{1,128}", re.ASCII),
            "acs:ram::1234567890123456:oidc-provider/aws",
        ),
        "sts_region": Member(shared_pattern("region"), "eu-central-1", required=False),
    },
    host=_host,
    steps=lambda _: (ExchangeStep(assume_role, read_assumed),),
    read_error=read_error,
    request_id=request_id,
    temporary=frozenset({_FAILED + "IssuerConfigurationBroken"}),  # it could not fetch the issuer's keys
    hints={
        "AuthenticationFail.NoPermission": "the role's trust policy (oidc:iss, oidc:aud, oidc:sub), or the OIDC "
        f"provider that provider_arn names, does not accept this token. {SUBJECT_HINT}",
        _FAILED + "AudienceNotMatch": "the OIDC provider's client ids must have the token's audience (aud)",
        _FAILED
        + "Expired": "the token is older than five minutes by Alibaba Cloud's clock, or than the OIDC provider's "
        "issuance limit",
        _FAILED + "InvalidSignature": "the issuer's signing key is not one of those that Alibaba Cloud has fetched",
        _FAILED + "IssuerNotMatch": "the OIDC provider's issuer URL must be the token's issuer (iss)",
        _FAILED + "HttpsUrlInvalid": _FINGERPRINT,
        _FAILED + "PublicKeyFingerprintMismatch": _FINGERPRINT,
        "EntityNotExist.Role": "there is no role with the name in role_arn",
    },
)
