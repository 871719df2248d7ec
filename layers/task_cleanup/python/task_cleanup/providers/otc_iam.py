"""Open Telekom Cloud IAM: an identity token gives a token of one project, and that gives temporary keys.

Sources: "Obtaining a Token with an OpenID Connect ID Token" and "Obtaining a Temporary AK/SK" of the IAM API
reference (2026-01-26). IAM cannot read the issuer's keys itself: an operator uploads them, again after each rotation.
UNCONFIRMED: that DMS takes temporary keys. Where it does not, ``"use": "token"`` sends the project's token itself.
"""

import json
import re

from task_cleanup.providers import huawei_gateway
from task_cleanup.providers.model import PRINTABLE, PROJECT_ID, Credentials, Reply, SignedRequest
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
    read_time,
)

_JSON = {"Content-Type": "application/json;charset=utf8"}


def project_token(given: StepInput) -> SignedRequest:
    """``POST /v3.0/OS-AUTH/id-token/tokens``, for a token of the account's project."""
    project = {"id": given.account["project_id"]}
    body = {"auth": {"id_token": {"id": given.bearer}, "scope": {"project": project}}}
    headers = {**_JSON, "X-Idp-Id": given.account["provider_id"]}
    return SignedRequest("POST", f"{given.base}/v3.0/OS-AUTH/id-token/tokens", headers, json.dumps(body).encode())


def read_project_token(reply: Reply, account: Account) -> str | TemporaryKeys | None:
    """The token of the header ``X-Subject-Token``; as credentials where it is what is used."""
    token = reply.headers.get("x-subject-token", "")
    if reply.status != 201 or not PRINTABLE.fullmatch(token):
        return None
    if account.get("use") != "token":
        return token
    told = (reply.json_object() or {}).get("token")
    expires_at = read_time(told.get("expires_at")) if isinstance(told, dict) else None
    if expires_at is None:
        return None
    return TemporaryKeys(Credentials("", "", project_id=account["project_id"], auth_token=token), expires_at)


def security_token(given: StepInput) -> SignedRequest:
    """``POST /v3.0/OS-CREDENTIAL/securitytokens``. The member ``id`` in the body is about to be dropped there."""
    wanted = {"duration_seconds": int(KEY_LIFETIME.total_seconds())}
    body = {"auth": {"identity": {"methods": ["token"], "token": wanted}}}
    headers = {**_JSON, "X-Auth-Token": given.bearer}
    url = f"{given.base}/v3.0/OS-CREDENTIAL/securitytokens"
    return SignedRequest("POST", url, headers, json.dumps(body).encode())


def read_security_token(reply: Reply, account: Account) -> TemporaryKeys | None:
    """Read ``{"credential": {"access", "secret", "securitytoken", "expires_at"}}``."""
    names = ("access", "secret", "securitytoken", "expires_at")
    return read_keys((reply.json_object() or {}).get("credential"), names, account["project_id"])


_FIRST, _SECOND = ExchangeStep(project_token, read_project_token), ExchangeStep(security_token, read_security_token)

EXCHANGE = TokenExchange(
    provider="otc",
    name="iam",
    title="Open Telekom Cloud IAM",
    audience="iam.otc.t-systems.com",
    members={
        "provider_id": Member(re.compile(r"[\w-]{1,64}", re.ASCII), "aws"),
        "region": Member(re.compile("eu-de|eu-nl"), "eu-de or eu-nl"),
        "project_id": Member(PROJECT_ID, "0123456789abcdef0123456789abcdef"),
        "use": Member(re.compile("keys|token"), "keys or token", required=False),
    },
    host=lambda account: f"iam.{account['region']}.otc.t-systems.com",
    steps=lambda account: (_FIRST,) if account.get("use") == "token" else (_FIRST, _SECOND),
    read_error=huawei_gateway.read_error,
    request_id=huawei_gateway.request_id,
    temporary=frozenset(),
    hints={
        "IAM.0001": "IAM says so of everything that is wrong with a token. Most often the uploaded signing keys are "
        "not AWS's present ones: upload them again (docs/keyless.md, daily). Else compare client id (aud), provider "
        "URL (iss) and mapping (sub)",
        "IAM.0003": f"the mapping gives this token no group with rights in the project. {SUBJECT_HINT}",
        "IAM.0004": "there is no identity provider with the name in provider_id, or it is not enabled",
    },
)
