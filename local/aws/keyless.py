"""Accounts of the local cloud without a stored key: the parameters, and the trust at each provider's stand-in.

As an operator sets it up (docs/keyless.md): the stack's outputs name the roles, and each provider trusts these.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from local.aws.cloud import PROJECT_ID, LocalCloud
from task_cleanup.providers.alibaba_sts import EXCHANGE as ALIBABA
from task_cleanup.providers.huawei_sts import EXCHANGE as HUAWEI
from task_cleanup.providers.otc_iam import EXCHANGE as OTC
from task_cleanup.providers.token_exchange import TokenExchange

ACCOUNT = "keyless"
_MEMBERS: Mapping[TokenExchange, Mapping[str, str]] = {
    ALIBABA: {
        "role_arn": "acs:ram::1234567890123456:role/task-cleanup",
        "provider_arn": "acs:ram::1234567890123456:oidc-provider/aws",
        "sts_region": "eu-central-1",
    },
    HUAWEI: {
        "agency_urn": f"iam::{PROJECT_ID}:agency:task-cleanup",
        "provider_urn": f"iam::{PROJECT_ID}:oidcProvider:aws",
        "sts_region": "ap-southeast-3",
        "project_id": PROJECT_ID,
    },
    OTC: {"provider_id": "aws", "region": "eu-de", "project_id": PROJECT_ID},
}
PARAMETERS: Mapping[str, str] = {
    f"{exchange.provider.title()}Federation": json.dumps({ACCOUNT: members}) for exchange, members in _MEMBERS.items()
}


def role_arns(cloud: LocalCloud, provider: str) -> list[str]:
    """The roles that the stack's output names for this provider."""
    (told,) = cloud.client("cloudformation").describe_stacks(StackName=cloud.stack.name)["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in told["Outputs"]}
    arns: list[str] = outputs[f"{provider.title()}RoleArns"].split(",")
    return arns


def trust(cloud: LocalCloud, **subjects: Sequence[str]) -> None:
    """Let every provider trust the stack's roles; the provider that is named, these roles only."""
    identity = cloud.emulators.identity
    for exchange, members in _MEMBERS.items():
        known = subjects.get(exchange.provider) or role_arns(cloud, exchange.provider)
        fields: dict[str, Any] = {**members, "subjects": known, "audience": exchange.audience}
        for name in ("sts_region", "region"):
            fields.pop(name, None)
        getattr(identity, exchange.provider).trust(**fields)
