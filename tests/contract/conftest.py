"""The emulators, and the official SDKs pointed at them.

The SDKs are imported and built inside fixtures, after `HOME` has been moved: Huawei's writes a file there.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from local.emulators import Emulators
from tests.support.identities import PROJECT
from tests.support.sdk import ALIBABA_KEY, HUAWEI_KEY, OTC_KEY, Build

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@pytest.fixture(autouse=True, scope="session")
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "HOME", str(tmp_path_factory.mktemp("home")))
        for name in PROXIES:
            patch.delitem(os.environ, name, raising=False)
        yield


@pytest.fixture(scope="session")
def _running() -> Iterator[Emulators]:
    with Emulators(seed=0) as emulators:
        yield emulators


@pytest.fixture
def cloud(_running: Emulators) -> Emulators:
    """Empty emulators that know three keys."""
    _running.reset(seed=0, keys=True)
    _running.add_key("alibaba", *ALIBABA_KEY)
    _running.add_key("huawei", *HUAWEI_KEY, project_id=PROJECT)
    _running.add_key("otc", *OTC_KEY, project_id=PROJECT)
    return _running


@pytest.fixture
def elasticsearch(cloud: Emulators) -> Build:
    """Builds Alibaba's SDK client; the key can be another one."""
    from alibabacloud_elasticsearch20170613.client import Client
    from alibabacloud_tea_openapi.utils_models import Config

    def build(
        key_id: str = ALIBABA_KEY[0],
        secret: str = ALIBABA_KEY[1],
        token: str | None = None,
        service: str = "alibaba_elasticsearch",
    ) -> Any:
        return Client(
            Config(
                access_key_id=key_id,
                access_key_secret=secret,
                security_token=token,
                protocol="http",
                region_id="cn-hangzhou",
                endpoint=cloud.urls[service].removeprefix("http://"),
                connect_timeout=2000,
                read_timeout=2000,
            )
        )

    return build


@pytest.fixture
def oms(cloud: Emulators) -> Build:
    """Builds Huawei's OMS client."""
    from huaweicloudsdkoms.v2 import OmsClient

    return _huawei_builder(OmsClient, cloud, "huawei_oms", HUAWEI_KEY)


@pytest.fixture(params=["otc_dms", "huawei_dms"])
def dms_service(request: pytest.FixtureRequest) -> str:
    """Each of the two DMS services in turn."""
    return str(request.param)


@pytest.fixture
def dms(cloud: Emulators, dms_service: str) -> Build:
    """Builds Huawei's Kafka client, pointed at the DMS of either cloud."""
    from huaweicloudsdkkafka.v2 import KafkaClient

    return _huawei_builder(KafkaClient, cloud, dms_service, OTC_KEY if dms_service == "otc_dms" else HUAWEI_KEY)


def _huawei_builder(client: Any, cloud: Emulators, service: str, key: tuple[str, str]) -> Build:
    from huaweicloudsdkcore.auth.credentials import BasicCredentials
    from huaweicloudsdkcore.http.http_config import HttpConfig

    def build(
        key_id: str = key[0],
        secret: str = key[1],
        token: str | None = None,
        project: str = PROJECT,
        service: str = service,
    ) -> Any:
        credentials = BasicCredentials(key_id, secret, project)
        if token is not None:
            credentials.with_security_token(token)
        return (
            client.new_builder()
            .with_credentials(credentials)
            .with_http_config(HttpConfig(timeout=(2, 2)))
            .with_endpoint(cloud.urls[service])
            .build()
        )

    return build
