"""Accounts without a stored key, as the parameters and the functions' variables take them, and the audiences."""

from typing import Any, Final

from tests.support.identities import PROJECT

DOMAIN = "00112233445566778899aabbccddeeff"
FEDERATIONS: Final[dict[str, dict[str, dict[str, str]]]] = {
    "alibaba": {
        "default": {
            "role_arn": "acs:ram::1234567890123456:role/task-cleanup",
            "provider_arn": "acs:ram::1234567890123456:oidc-provider/aws",
            "sts_region": "eu-central-1",
        }
    },
    "huawei": {
        "default": {
            "agency_urn": f"iam::{DOMAIN}:agency:task-cleanup",
            "provider_urn": f"iam::{DOMAIN}:oidcProvider:aws",
            "sts_region": "cn-north-4",
            "project_id": PROJECT,
        }
    },
    "otc": {"default": {"provider_id": "aws", "region": "eu-de", "project_id": PROJECT}},
}
PROVIDERS = tuple(FEDERATIONS)
AUDIENCES = {"alibaba": "sts.aliyuncs.com", "huawei": "sts.huaweicloud.com", "otc": "iam.otc.t-systems.com"}


def parameter_of(provider: str) -> str:
    """The template's parameter with the accounts of this provider."""
    return f"{provider.capitalize()}Federation"


def token_condition(provider: str) -> dict[str, Any]:
    """Of the right to a token: for this provider and nobody else, signed by RS256, for at most 300 s."""
    return {
        "ForAllValues:StringEquals": {"sts:IdentityTokenAudience": AUDIENCES[provider]},
        "Null": {"sts:IdentityTokenAudience": "false"},
        "StringEquals": {"sts:SigningAlgorithm": "RS256"},
        "NumericLessThanEquals": {"sts:DurationSeconds": "300"},
    }
