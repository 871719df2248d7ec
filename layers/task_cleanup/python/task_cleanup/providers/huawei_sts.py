"""Huawei Cloud STS v5: AssumeAgencyWithOIDC, an unsigned call, gives a trust agency's keys for an identity token.

Sources: the page of AssumeAgencyWithOIDC (2026-06) and the official SDK core 3.1.219. Any region's STS gives keys for
every region. UNCONFIRMED: that AWS's issuer is accepted, and the whole table of codes: they are told, not judged.
"""

import json
import re

from task_cleanup.providers import huawei_gateway
from task_cleanup.providers.model import PROJECT_ID, Reply, SignedRequest
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

# There is no global host, and none in Europe.
REGIONS = (
    "af-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "cn-east-3",
    "cn-north-4",
    "cn-south-1",
    "cn-southwest-2",
    "la-south-2",
    "sa-brazil-1",
    "tr-west-1",
)


def assume_agency(given: StepInput) -> SignedRequest:
    """``POST /v5/agencies/assume-with-oidc``."""
    body = {
        "provider_urn": given.account["provider_urn"],
        "agency_urn": given.account["agency_urn"],
        "agency_session_name": given.session,
        "id_token": given.bearer,
        "duration_seconds": int(KEY_LIFETIME.total_seconds()),
    }
    url = f"{given.base}/v5/agencies/assume-with-oidc"
    return SignedRequest("POST", url, {"Content-Type": "application/json"}, json.dumps(body).encode())


def read_assumed(reply: Reply, account: Account) -> TemporaryKeys | None:
    """Read ``{"credentials": {"access_key_id", "secret_access_key", "security_token", "expiration"}}``."""
    names = ("access_key_id", "secret_access_key", "security_token", "expiration")
    return read_keys((reply.json_object() or {}).get("credentials"), names, account.get("project_id"))


def _urn(kind: str) -> re.Pattern[str]:
    return re.compile(rf"iam::[0-9a-f]{{32}}:{kind}:[\w+=,.@-]{{1,64}}", re.ASCII)


EXCHANGE = TokenExchange(
    provider="huawei",
    name="sts",
    title="Huawei Cloud STS",
    audience="sts.huaweicloud.com",
    members={
        "agency_urn": Member(_urn("agency"), "iam::0123456789abcdef0123456789abcdef:agency:task-cleanup"),
        "provider_urn": Member(_urn("oidcProvider"), "iam::0123456789abcdef0123456789abcdef:oidcProvider:aws"),
        "sts_region": Member(re.compile("|".join(REGIONS)), f"one of {', '.join(REGIONS)}"),
        "project_id": Member(PROJECT_ID, "0123456789abcdef0123456789abcdef", required=False),
    },
    host=lambda account: f"sts.{account['sts_region']}.myhuaweicloud.com",
    steps=lambda _: (ExchangeStep(assume_agency, read_assumed),),
    read_error=huawei_gateway.read_error,
    request_id=huawei_gateway.request_id,
    temporary=frozenset(),
    hints={
        "STS5.1001": "the agency's trust policy (oidc:iss, oidc:aud, oidc:sub, and the provider under Federated) "
        f"does not accept this token. {SUBJECT_HINT}",
        "STS5.1007": "the STS of this sts_region does not have the call: choose another",
        "STS5.1106": "there is no agency with the name in agency_urn",
        "STS5.2001": "the OIDC provider's client ids must have the token's audience (aud)",
    },
)
