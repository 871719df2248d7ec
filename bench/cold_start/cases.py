"""The cases to measure: each of our functions beside a peer, and the floor."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bench.cold_start.build import ALIBABA, FLOOR, HUAWEI_KAFKA, HUAWEI_KEYLESS, HUAWEI_OMS, Peer
from bench.cold_start.measure import Case
from bench.cold_start.servers import KEYLESS, Servers
from local.aws.artifact import Package
from local.aws.cloud import LOCAL_AWS_IDENTITY, PROJECT_ID, SECRETS
from local.aws.stack import ROOT
from task_cleanup.providers.huawei_sts import EXCHANGE

TITLES = {
    "alibaba": "Alibaba SDK",
    "huawei_oms": "Huawei OMS SDK",
    "huawei_kafka": "Huawei/OTC Kafka SDK",
    "huawei_keyless": "Huawei OMS SDK without a stored key",
}
SERVICES = {
    ALIBABA.name: "alibaba_elasticsearch",
    HUAWEI_OMS.name: "huawei_oms",
    HUAWEI_KAFKA.name: "otc_dms",
    HUAWEI_KEYLESS.name: "huawei_oms",
    FLOOR.name: "huawei_oms",
}
STATUS = {HUAWEI_KAFKA.name: 204}  # as the pages say; all others 200


def sample_event(function: str) -> Mapping[str, Any]:
    """The direct call among the sample events."""
    event: dict[str, Any] = json.loads((ROOT / "events" / function / "direct.json").read_text())
    return event


def ours(kind: Peer, package: Package, servers: Servers, *, secure: bool) -> Case:
    """Our function beside this peer, with the environment of a deployed one."""
    urls = servers.secure_urls if secure else servers.urls
    service = SERVICES[kind.name]
    variables = {
        **LOCAL_AWS_IDENTITY,
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": urls["secretsmanager"],
        f"{service.upper()}_ENDPOINT": urls[service],
        "POWERTOOLS_SERVICE_NAME": "task-cleanup",
    }
    if kind.name == HUAWEI_KEYLESS.name:
        variables |= {
            "HUAWEI_FEDERATION": json.dumps({"default": KEYLESS}),
            "HUAWEI_STS_ENDPOINT": urls["huawei_sts"],
            "AWS_ENDPOINT_URL_STS": urls["aws_sts"],
        }
    done = {"outcome": "succeeded", "attempts": 1}
    case = Case(f"ours, beside {kind.name}", package, variables, sample_event(kind.function), done)
    return _secured(case, servers, secure)


def peer(kind: Peer, package: Package, servers: Servers, *, secure: bool) -> Case:
    """A peer in one of its forms, with the same event."""
    urls = servers.secure_urls if secure else servers.urls
    variables = {
        **LOCAL_AWS_IDENTITY,
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": urls["secretsmanager"],
        "ENDPOINT": urls[SERVICES[kind.name]],
        "HOME": str(servers.trust),  # Huawei's SDK writes a file there
    }
    if kind.name == FLOOR.name:  # it fetches nothing
        key = SECRETS["huawei"]
        variables |= {name.upper(): key[name] for name in ("access_key_id", "secret_access_key")}
        variables["PROJECT_ID"] = PROJECT_ID
    if kind.name == HUAWEI_KEYLESS.name:
        variables |= {
            "AUDIENCE": EXCHANGE.audience,
            "AWS_ENDPOINT_URL_STS": urls["aws_sts"],
            "HUAWEICLOUD_OIDC_AGENCY_URN": KEYLESS["agency_urn"],
            "HUAWEICLOUD_OIDC_PROVIDER_URN": KEYLESS["provider_urn"],
            "HUAWEICLOUD_SDK_PROJECT_ID": KEYLESS["project_id"],
            "HUAWEICLOUD_SDK_STS_ENDPOINT": urls["huawei_sts"],
        }
    event = sample_event(kind.function or HUAWEI_OMS.function)
    return _secured(
        Case(package.name, package, variables, event, {"status": STATUS.get(kind.name, 200)}), servers, secure
    )


def _secured(case: Case, servers: Servers, secure: bool) -> Case:
    """With TLS, the case trusts the test CA by one more layer, as if its certifi had come with it."""
    if not secure:
        return case
    layers = (*case.package.layers, servers.trust)
    return replace(case, name=f"{case.name}, TLS", package=replace(case.package, layers=layers))
