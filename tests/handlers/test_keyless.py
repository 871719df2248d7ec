"""Accounts without a stored key, by whole functions: tokens, exchanges and keys, against stand-ins that check them."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from local.emulators.faults import FaultKind
from tests.support.handler_world import Function, HandlerWorld
from tests.support.identities import PROJECT
from tests.support.stand_ins import (
    ALIBABA_PROVIDER,
    ALIBABA_ROLE,
    HUAWEI_AGENCY,
    HUAWEI_PROVIDER,
    OTC_PROVIDER,
    register_all,
)

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
    "alibaba": {"region": "cn-hangzhou", "instance_id": "es-cn-oew1oxiro000f0001"},
    "huawei": {"region": "cn-north-4"},
    "otc": {"region": "eu-de", "instance_id": "b9f1c1de-5b1a-4f0c-9e0e-3d2f7f6f1a11"},
}


@pytest.fixture
def keyless(world: HandlerWorld) -> HandlerWorld:
    register_all(world.cloud)
    world.aws.secrets.clear()
    return world


def function(world: HandlerWorld, provider: str, **account: str) -> Function:
    urls = world.cloud.identity.urls
    variables = {f"{name.upper()}_ENDPOINT": url for name, url in urls.items() if name != "aws_sts"}
    federation = json.dumps({"default": {**ACCOUNTS[provider], **account}})
    return world.function(
        FOLDERS[provider],
        {
            **variables,
            "AWS_ENDPOINT_URL_STS": urls["aws_sts"],
            f"{provider.upper()}_FEDERATION": federation,
            "AWS_LAMBDA_FUNCTION_NAME": "task-cleanup-fake-function",
        },
    )


@pytest.mark.parametrize("provider", ACCOUNTS)
def test_smoke(keyless: HandlerWorld, provider: str) -> None:
    result = function(keyless, provider).result(REQUESTS[provider])
    print(json.dumps(result, indent=1)[:1500])
    print(json.dumps(function(keyless, provider).result({"check": "credentials", "region": REQUESTS[provider]["region"]}), indent=1))
    assert 0
