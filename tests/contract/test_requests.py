"""What each function asks its provider, against the provider's own page; regions and endpoints against its lists."""

from typing import Any
from urllib.parse import urlsplit

import pytest

from task_cleanup.errors import Category, CleanupError
from task_cleanup.providers.model import Call, Credentials
from tests.support.builders import (
    CANCEL_TASK,
    DATA_TASKS,
    DELETE_DATA_TASK,
    DMS_DELETE,
    DMS_LIST,
    HUAWEI_DMS_DELETE,
    HUAWEI_DMS_LIST,
    NAMES,
    NOW,
    OMS_DELETE,
    OMS_LIST,
    OMS_STOP,
    OPERATIONS,
    REQUESTS,
    WITH_PROJECT,
    WITH_TOKEN,
    direct,
    success,
    world,
)
from tests.support.identities import PROJECT

ALIBABA_REGIONS = [
    "cn-hangzhou", "cn-shanghai", "cn-qingdao", "cn-beijing", "cn-zhangjiakou", "cn-wulanchabu", "cn-shenzhen",
    "cn-guangzhou", "cn-chengdu", "cn-hongkong", "cn-hangzhou-finance", "cn-shanghai-finance-1",
    "cn-north-2-gov-1", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-5", "ap-northeast-1",
    "ap-south-1", "eu-central-1", "eu-west-1", "us-east-1", "us-west-1",
    "ap-northeast-2", "ap-southeast-7",  # Seoul and Bangkok: on the help page "Regions", not in the metadata
]  # fmt: skip
OMS_REGIONS = [
    "cn-north-1", "cn-north-4", "cn-north-9", "cn-north-12", "cn-east-2", "cn-east-3", "cn-east-4", "cn-south-1",
    "cn-south-4", "cn-southwest-2", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4",
    "ap-southeast-5", "la-south-2", "la-north-2", "tr-west-1", "sa-brazil-1", "me-east-1", "af-south-1",
]  # fmt: skip
HUAWEI_DMS_REGIONS = [
    "af-north-1", "af-south-1", "ae-ad-1", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4",
    "ap-southeast-5", "cn-east-2", "cn-east-3", "cn-east-4", "cn-east-5", "cn-north-1", "cn-north-2", "cn-north-4",
    "cn-north-9", "cn-north-11", "cn-north-12", "cn-south-1", "cn-south-2", "cn-south-4", "cn-southwest-2",
    "cn-southwest-3", "eu-west-0", "eu-west-101", "la-north-2", "la-south-2", "me-east-1", "my-kualalumpur-1",
    "na-mexico-1", "ru-moscow-1", "ru-northwest-2", "sa-brazil-1", "tr-west-1",
]  # fmt: skip
REGIONS = {
    "alibaba_elasticsearch": (ALIBABA_REGIONS, "https://elasticsearch.{}.aliyuncs.com"),
    "huawei_oms": (OMS_REGIONS, "https://oms.{}.myhuaweicloud.com"),
    "otc_dms": (["eu-de", "eu-nl"], "https://dms.{}.otc.t-systems.com"),
    "huawei_dms": (HUAWEI_DMS_REGIONS, "https://dms.{}.myhuaweicloud.com"),
}
ODD_HOSTS = {("huawei_dms", "eu-west-101"): "https://dms.eu-west-101.myhuaweicloud.eu"}


def regions_of(name: str) -> list[str]:
    """The provider's list for an operation's service."""
    return REGIONS[OPERATIONS[name].service.id][0]


def base_of(name: str, region: str) -> str:
    """The provider's endpoint for an operation's service."""
    service = OPERATIONS[name].service.id
    return ODD_HOSTS.get((service, region), REGIONS[service][1].format(region))


FILLED = {"project_id": PROJECT, "task_type": "MigrateData"}


def call(name: str, **changes: Any) -> Call:
    return OPERATIONS[name].call({**FILLED, **REQUESTS[name], **changes})


PAGES = [
    (
        DELETE_DATA_TASK,
        "DELETE",
        (
            "/openapi/instances/es-cn-oew1oxiro000f0001/data-task"
            "?ClientToken=5A2CFF0E-5718-45B5-9D4D-70B3FF000001&taskId=et_cn_0oyg09o96ib400001"
        ),
    ),
    (
        CANCEL_TASK,
        "POST",
        (
            "/openapi/instances/es-cn-nif1q9o8r00080001/actions/cancel-task"
            "?clientToken=5A2CFF0E-5718-45B5-9D4D-70B3FF000002&taskType=MigrateData"
        ),
    ),
    (OMS_DELETE, "DELETE", f"/v2/{PROJECT}/tasks/191297407830872"),
    (
        DMS_DELETE,
        "DELETE",
        f"/v2/{PROJECT}/instances/b9f1c1de-5b1a-4f0c-9e0e-3d2f7f6f1a11/tasks/8abfa7b372160bfd0172165864064079",
    ),
    (
        HUAWEI_DMS_DELETE,
        "DELETE",
        f"/v2/{PROJECT}/instances/b9f1c1de-5b1a-4f0c-9e0e-3d2f7f6f1a11/tasks/8abfa7b372160bfd0172165864064079",
    ),
    (OMS_STOP, "POST", f"/v2/{PROJECT}/tasks/191297407830872/stop"),
    (DATA_TASKS, "GET", "/openapi/instances/es-cn-oew1oxiro000f0001/data-task"),
    (OMS_LIST, "GET", f"/v2/{PROJECT}/tasks?limit=100&offset=0"),
    *(
        (
            name,
            "GET",
            f"/v2/{PROJECT}/instances/b9f1c1de-5b1a-4f0c-9e0e-3d2f7f6f1a11/tasks?limit=100&start=1",
        )
        for name in (DMS_LIST, HUAWEI_DMS_LIST)
    ),
]


@pytest.mark.parametrize(
    ("name", "where"), [(OMS_LIST, "offset=300"), (DMS_LIST, "start=301"), (HUAWEI_DMS_LIST, "start=301")]
)
def test_a_later_page_begins_after_the_records_that_came(name: str, where: str) -> None:
    """`offset` is a record index from 0, `start` one from 1; neither is a page number."""
    pages = OPERATIONS[name].listing
    assert pages is not None
    assert pages.call is not None

    first, later = call(name), pages.call({**FILLED, **REQUESTS[name]}, 300)

    assert (later.method, later.path, later.project_id) == (first.method, first.path, first.project_id)
    assert later.url("") == f"{first.path}?limit=100&{where}"


def test_every_operation_and_service_is_compared_with_its_provider_s_pages() -> None:
    """These tables are copied from the provider's pages by hand, and from nothing in this project."""
    assert sorted(page[0] for page in PAGES) == NAMES, "an operation needs a row in PAGES: its call, from its page"
    services = {operation.service.id for operation in OPERATIONS.values()}
    assert REGIONS.keys() == services, "a service needs a row in REGIONS: its regions and host, from its list"


@pytest.mark.parametrize(("name", "method", "target"), PAGES, ids=[page[0] for page in PAGES])
def test_the_call_is_the_one_on_the_providers_page(name: str, method: str, target: str) -> None:
    built = call(name)

    assert (built.method, built.url("https://host")) == (method, "https://host" + target)


@pytest.mark.parametrize(("name", "method", "target"), PAGES, ids=[page[0] for page in PAGES])
def test_what_is_sent_is_the_page_s_request_with_no_body(name: str, method: str, target: str) -> None:
    faked = world(name, success(OPERATIONS[name]))
    faked.run()

    [sent] = faked.script.sent

    assert (sent.method, sent.url) == (method, base_of(name, REQUESTS[name]["region"]) + target)
    assert not sent.body
    assert sent.headers.get("Content-Length", "0") == "0"


@pytest.mark.parametrize(
    ("name", "action"),
    [(DELETE_DATA_TASK, "DeleteDataTask"), (CANCEL_TASK, "CancelTask"), (DATA_TASKS, "ListDataTasks")],
)
def test_alibaba_s_operation_selector_and_version(name: str, action: str) -> None:
    faked = world(name, success(OPERATIONS[name]))
    faked.run()

    headers = faked.script.sent[0].headers

    assert (headers["x-acs-action"], headers["x-acs-version"]) == (action, "2017-06-13")


@pytest.mark.parametrize("name", WITH_PROJECT)
def test_huawei_s_project_header(name: str) -> None:
    faked = world(name, success(OPERATIONS[name]))
    faked.run(direct(OPERATIONS[name], project_id="f" * 32))

    [sent] = faked.script.sent

    assert sent.headers["X-Project-Id"] == "f" * 32, "the request's project wins over the credentials'"
    assert f"/{'f' * 32}/" in str(sent.url)


@pytest.mark.parametrize("name", WITH_TOKEN)
def test_query_values_are_percent_encoded_not_form_encoded(name: str) -> None:
    query = urlsplit(call(name, client_token="a b+c*d~/é&=%").url("https://host")).query

    assert "lientToken=a%20b%2Bc%2Ad~%2F%C3%A9%26%3D%25&" in query


@pytest.mark.parametrize("segment", ["", ".", ".."])
def test_a_segment_that_would_change_the_path_is_no_call(segment: str) -> None:
    with pytest.raises(ValueError, match="segment"):
        Call("DELETE", ("v2", segment, "tasks"))


def test_a_slash_in_a_segment_stays_one_segment() -> None:
    assert Call("DELETE", ("v2", "a/b", "c d")).path == "/v2/a%2Fb/c%20d"


# -- regions and endpoints ------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_regions_are_the_provider_s_list(name: str) -> None:
    assert sorted(OPERATIONS[name].service.regions) == sorted(regions_of(name))


def test_huawei_s_dms_has_34_regions_one_of_them_on_another_domain() -> None:
    service = OPERATIONS[HUAWEI_DMS_LIST].service
    assert len(service.regions) == 34

    hosts = [service.host(region) for region in service.regions]

    assert [host for host in hosts if not host.endswith(".com")] == ["dms.eu-west-101.myhuaweicloud.eu"]


@pytest.mark.parametrize("name", NAMES)
def test_every_region_has_its_https_endpoint(name: str) -> None:
    service = OPERATIONS[name].service

    for region in regions_of(name):
        assert service.base(region, None) == base_of(name, region)


@pytest.mark.parametrize(
    ("name", "region"),
    [
        (name, region)
        for name in NAMES
        for region in ["", "eu-west-101", "eu-ch2", "example.com", "EU-DE", "../x"]
        if (OPERATIONS[name].service.id, region) not in ODD_HOSTS
    ],
)
def test_an_unknown_region_is_refused_even_where_the_endpoint_is_overridden(name: str, region: str) -> None:
    with pytest.raises(CleanupError) as caught:
        OPERATIONS[name].service.base(region, "http://127.0.0.1:1")

    assert caught.value.category is Category.INVALID_REQUEST


@pytest.mark.parametrize("name", NAMES)
def test_an_extra_region_s_host_follows_the_rule(name: str) -> None:
    service = OPERATIONS[name].service

    assert service.base("xx-name-1", None, ("yy-name-2", "xx-name-1")) == base_of(name, "xx-name-1")
    with pytest.raises(CleanupError):
        service.base("xx-name", None, ("yy-name-2", "xx-name-1"))


@pytest.mark.parametrize("name", NAMES)
def test_an_endpoint_override_replaces_the_host_that_is_signed(name: str) -> None:
    faked = world(name, success(OPERATIONS[name]))
    assert OPERATIONS[name].service.base(REQUESTS[name]["region"], "http://127.0.0.1:9") == "http://127.0.0.1:9"

    headers = OPERATIONS[name].service.sign(
        call(name), "127.0.0.1:9", Credentials("AKFAKE0001", "testSecretFake0001"), now=NOW, nonce="0" * 32
    )

    assert headers["Host"] == "127.0.0.1:9"
    assert faked.script.sent == []


@pytest.mark.parametrize("name", NAMES)
def test_the_security_token_is_sent_and_signed(name: str) -> None:
    headers = OPERATIONS[name].service.sign(
        call(name), "host", Credentials("AKFAKE0001", "testSecretFake0001", "testTokenFake"), now=NOW, nonce="0" * 32
    )
    [header] = [key for key, value in headers.items() if value == "testTokenFake"]

    signed = headers["Authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")

    assert header.lower() in signed
    assert {key.lower() for key in headers} - {"authorization"} == set(signed), "everything that is sent is signed"


@pytest.mark.parametrize("name", NAMES)
def test_the_scheme_is_the_one_of_the_provider(name: str) -> None:
    headers = OPERATIONS[name].service.sign(
        call(name), "host", Credentials("AKFAKE0001", "testSecretFake0001"), now=NOW, nonce="0" * 32
    )
    alibaba = OPERATIONS[name].service.provider == "alibaba"

    expected = "ACS3-HMAC-SHA256 Credential=AKFAKE0001," if alibaba else "SDK-HMAC-SHA256 Access=AKFAKE0001, "

    assert headers["Authorization"].startswith(expected)
