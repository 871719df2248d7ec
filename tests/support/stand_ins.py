"""What tests register with the stand-ins for identity: one role of AWS, and its trust at each provider."""

import json
from collections.abc import Mapping
from typing import Any

from local.emulators import Emulators
from tests.support.identities import AWS_VARIABLES, PROJECT

ROLE = "arn:aws:iam::123456789012:role/fake-stack/task-cleanup-fake-delete"
OTHER_ROLE = "arn:aws:iam::123456789012:role/fake-stack/somebody-else"
AWS_KEY = (
    AWS_VARIABLES["AWS_ACCESS_KEY_ID"],
    AWS_VARIABLES["AWS_SECRET_ACCESS_KEY"],
    AWS_VARIABLES["AWS_SESSION_TOKEN"],
)
ACCOUNT = "0123456789abcdef0123456789abcdef"

ALIBABA_AUDIENCE, HUAWEI_AUDIENCE = "sts.aliyuncs.com", "sts.huaweicloud.com"
OTC_AUDIENCE = "iam.otc.t-systems.com"
ALIBABA_ROLE = "acs:ram::1234567890123456:role/task-cleanup"
ALIBABA_PROVIDER = "acs:ram::1234567890123456:oidc-provider/aws"
HUAWEI_AGENCY = f"iam::{ACCOUNT}:agency:task-cleanup"
HUAWEI_PROVIDER = f"iam::{ACCOUNT}:oidcProvider:aws"
OTC_PROVIDER = "aws"
SESSION = "task-cleanup"

INSTANCE = {"alibaba": "es-cn-oew1oxiro000f0001", "otc": "b9f1c1de-5b1a-4f0c-9e0e-3d2f7f6f1a11"}
ACCOUNTS: Mapping[str, Mapping[str, str]] = {
    "alibaba": {"role_arn": ALIBABA_ROLE, "provider_arn": ALIBABA_PROVIDER},
    "huawei": {
        "agency_urn": HUAWEI_AGENCY,
        "provider_urn": HUAWEI_PROVIDER,
        "sts_region": "ap-southeast-1",
        "project_id": PROJECT,
    },
    "otc": {"provider_id": OTC_PROVIDER, "region": "eu-de", "project_id": PROJECT},
}
FOLDERS = {
    "alibaba": "alibaba_elasticsearch_list_data_tasks",
    "huawei": "huawei_oms_list_tasks",
    "otc": "otc_dms_list_background_tasks",
}
REQUESTS: Mapping[str, Mapping[str, Any]] = {
    "alibaba": {"region": "cn-hangzhou", "instance_id": INSTANCE["alibaba"]},
    "huawei": {"region": "cn-north-4"},
    "otc": {"region": "eu-de", "instance_id": INSTANCE["otc"]},
}
EXCHANGE = {"alibaba": "alibaba_sts", "huawei": "huawei_sts", "otc": "otc_iam"}


def register_all(cloud: Emulators) -> None:
    """Register the role, and let every provider trust it."""
    identity = cloud.identity
    identity.aws.add_role(ROLE, *AWS_KEY)
    identity.alibaba.trust(
        role_arn=ALIBABA_ROLE, provider_arn=ALIBABA_PROVIDER, audience=ALIBABA_AUDIENCE, subjects=[ROLE]
    )
    identity.huawei.trust(
        agency_urn=HUAWEI_AGENCY, provider_urn=HUAWEI_PROVIDER, audience=HUAWEI_AUDIENCE, subjects=[ROLE]
    )
    identity.otc.trust(provider_id=OTC_PROVIDER, project_id=PROJECT, audience=OTC_AUDIENCE, subjects=[ROLE])
    cloud.alibaba_elasticsearch.add_place(INSTANCE["alibaba"])
    cloud.otc_dms.add_place(PROJECT, INSTANCE["otc"])


def federated(cloud: Emulators, **accounts: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """A function's variables: these accounts, by provider and alias, have no stored key."""
    addresses = {f"{name.upper()}_ENDPOINT": url for name, url in cloud.identity.urls.items()}
    return {
        "AWS_ENDPOINT_URL_STS": addresses.pop("AWS_STS_ENDPOINT"),
        "AWS_LAMBDA_FUNCTION_NAME": "task-cleanup-fake-function",
        **addresses,
        **{f"{provider.upper()}_FEDERATION": json.dumps(known) for provider, known in accounts.items()},
    }
