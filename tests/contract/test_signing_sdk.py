"""The official SDKs' signers on random inputs: theirs and ours give the same signature for every operation."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from task_cleanup import signing
from task_cleanup.operation import Operation
from task_cleanup.providers.model import Call, Credentials
from task_cleanup.signing import acs3_hmac_sha256, sdk_hmac_sha256
from tests.support.builders import (
    CANCEL_TASK,
    DATA_TASKS,
    DELETE_DATA_TASK,
    DMS_DELETE,
    DMS_LIST,
    HUAWEI_DMS_DELETE,
    HUAWEI_DMS_LIST,
    OMS_DELETE,
    OMS_LIST,
    OMS_STOP,
    OPERATIONS,
    REQUESTS,
)
from tests.support.identities import PROJECT
from tests.support.scripted_server import ScriptedServer, reply
from tests.support.strategies import requests_of

# The SDKs' own use of `datetime.utcnow` is not ours to judge.
pytestmark = pytest.mark.filterwarnings("ignore:.*utcnow.*:DeprecationWarning")

ALIBABA = [name for name, operation in OPERATIONS.items() if operation.service.provider == "alibaba"]
HUAWEI = [name for name in OPERATIONS if name not in ALIBABA]

PRINTABLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=80)
TOKENS = st.none() | PRINTABLE
HOSTS = st.from_regex(r"[a-z]{1,12}(\.[a-z0-9-]{1,12}){0,3}(:[1-9][0-9]{1,3})?", fullmatch=True)
TIMES = st.integers(10**9, 4 * 10**9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
NONCES = st.from_regex(r"[0-9a-f]{32}", fullmatch=True)


def call_of(operation: Operation, request: dict[str, Any]) -> Call:
    """The operation's call for a request, with what the environment would have filled in."""
    filled = {"project_id": PROJECT, "client_token": "token", "task_type": "MigrateData", **request}
    return operation.call({name: str(value) for name, value in filled.items()})


def shuffled(headers: dict[str, str], seed: int) -> dict[str, str]:
    entries = list(headers.items())
    random.Random(seed).shuffle(entries)
    return dict(entries)


@pytest.mark.parametrize("name", ALIBABA)
@settings(max_examples=25)
@given(data=st.data())
def test_alibabas_signer_agrees(name: str, data: st.DataObject) -> None:
    from alibabacloud_tea_openapi.utils import Utils
    from darabonba.request import DaraRequest

    operation = OPERATIONS[name]
    call = call_of(operation, data.draw(requests_of(name)))
    credentials = Credentials(data.draw(PRINTABLE), data.draw(PRINTABLE), data.draw(TOKENS))
    headers = operation.service.sign(
        call, data.draw(HOSTS), credentials, now=data.draw(TIMES), nonce=data.draw(NONCES)
    )
    ours = headers.pop("Authorization")
    theirs = DaraRequest()
    theirs.method, theirs.pathname, theirs.query = call.method, call.path, dict(call.query)
    theirs.headers = shuffled(headers, data.draw(st.integers(0, 99)))
    assert ours == Utils.get_authorization(
        theirs,
        acs3_hmac_sha256.ALGORITHM,
        signing.EMPTY_SHA256,
        credentials.access_key_id,
        credentials.secret_access_key,
    )


@pytest.mark.parametrize("name", HUAWEI)
@settings(max_examples=25)
@given(data=st.data())
def test_huaweis_signer_agrees(name: str, data: st.DataObject) -> None:
    from huaweicloudsdkcore.sdk_request import SdkRequest
    from huaweicloudsdkcore.signer.signer import Signer

    operation = OPERATIONS[name]
    call = call_of(operation, data.draw(requests_of(name)))
    credentials = Credentials(data.draw(PRINTABLE), data.draw(PRINTABLE), data.draw(TOKENS))
    host = data.draw(HOSTS)
    headers = operation.service.sign(call, host, credentials, now=data.draw(TIMES), nonce="")
    ours = headers.pop("Authorization")
    signer = Signer(SimpleNamespace(ak=credentials.access_key_id, sk=credentials.secret_access_key))
    theirs = signer.sign(
        SdkRequest(
            method=call.method,
            schema="https",
            host=host,
            resource_path=call.path,
            query_params=list(call.query),
            header_params=shuffled(headers, data.draw(st.integers(0, 99))),
            body="",
        )
    )
    assert ours == theirs.header_params["Authorization"]
    assert theirs.uri == call.url("")


# Anything in a query, and any path of decoded segments: the corners where the schemes are documented to agree.
WILD = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SEGMENT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/%"), min_size=1, max_size=8)


@settings(max_examples=25)
@given(
    query=st.dictionaries(st.from_regex(r"[A-Za-z.]{1,8}", fullmatch=True), WILD, max_size=5), path=st.lists(SEGMENT)
)
def test_alibabas_canonical_form_agrees_on_any_text(query: dict[str, str], path: list[str]) -> None:
    from alibabacloud_tea_openapi.utils import Utils
    from darabonba.request import DaraRequest

    encoded = "/" + "/".join(signing.percent_encode(segment) for segment in path)
    headers = {"host": "localhost:8080", "x-acs-action": "Any"}
    canonical, names = acs3_hmac_sha256.canonical_request("GET", encoded, query.items(), headers, "0")
    signature = signing.hex_hmac_sha256("testSecretFake", acs3_hmac_sha256.string_to_sign(canonical))
    theirs = DaraRequest()
    theirs.method, theirs.pathname, theirs.query, theirs.headers = "GET", encoded, query, headers
    expected = Utils.get_authorization(theirs, acs3_hmac_sha256.ALGORITHM, "0", "AKFAKE", "testSecretFake")
    assert acs3_hmac_sha256.authorization("AKFAKE", names, signature) == expected


@settings(max_examples=25)
@given(query=st.lists(st.tuples(WILD, WILD), max_size=5), path=st.lists(SEGMENT))
def test_huaweis_canonical_form_agrees_on_any_text(query: list[tuple[str, str]], path: list[str]) -> None:
    from huaweicloudsdkcore.sdk_request import SdkRequest
    from huaweicloudsdkcore.signer.signer import Signer

    encoded = "/" + "/".join(signing.percent_encode(segment) for segment in path)
    headers = {"Host": "localhost:8080", "X-Sdk-Date": "20261121T083000Z"}
    canonical, names = sdk_hmac_sha256.canonical_request("GET", encoded, query, headers, signing.EMPTY_SHA256)
    to_sign = sdk_hmac_sha256.string_to_sign("20261121T083000Z", canonical)
    signature = signing.hex_hmac_sha256("testSecretFake", to_sign)
    theirs = Signer(SimpleNamespace(ak="AKFAKE", sk="testSecretFake")).sign(
        SdkRequest("GET", "http", "localhost:8080", encoded, None, list(query), dict(headers), "")
    )
    assert sdk_hmac_sha256.authorization("AKFAKE", names, signature) == theirs.header_params["Authorization"]


# -- what the SDKs' own clients put on the wire ------------------------------------------------


@pytest.fixture
def provider() -> Iterator[ScriptedServer]:
    with ScriptedServer(reply(200, b"{}", Content_Type="application/json")) as server:
        yield server


def signed_names(authorization: str) -> list[str]:
    return authorization.partition("SignedHeaders=")[2].partition(",")[0].split(";")


def assert_same_request(name: str, provider: ScriptedServer) -> None:
    """Method, path and parameters of the SDK's request are those of our call builder."""
    [arrived] = provider.arrived
    call = call_of(OPERATIONS[name], dict(REQUESTS[name]))
    assert arrived.method == call.method
    assert urlsplit(arrived.target).path == call.path
    assert sorted(parse_qsl(urlsplit(arrived.target).query)) == sorted(call.query)


@pytest.mark.parametrize("token", [None, "testSecurityTokenFake/ABC+def=="])
@pytest.mark.parametrize("name", [DELETE_DATA_TASK, CANCEL_TASK, DATA_TASKS])
def test_the_elasticsearch_client_sends_what_we_send(name: str, token: str | None, provider: ScriptedServer) -> None:
    from alibabacloud_elasticsearch20170613 import models
    from alibabacloud_elasticsearch20170613.client import Client
    from alibabacloud_tea_openapi.utils_models import Config

    config = Config(
        access_key_id="AKFAKE0000000001",
        access_key_secret="testSecretFake0000000001",
        security_token=token,
        protocol="http",
        region_id="cn-hangzhou",
        endpoint=provider.url.removeprefix("http://"),
    )
    request = REQUESTS[name]
    client = Client(config)
    if name == DELETE_DATA_TASK:
        delete = models.DeleteDataTaskRequest(client_token=request["client_token"], task_id=request["task_id"])
        client.delete_data_task(request["instance_id"], delete)
    elif name == DATA_TASKS:
        client.list_data_tasks(request["instance_id"])
    else:
        cancel = models.CancelTaskRequest(client_token=request["client_token"], task_type="MigrateData")
        client.cancel_task(request["instance_id"], cancel)
    assert_same_request(name, provider)
    [arrived] = provider.arrived
    assert arrived.headers["x-acs-action"] == call_of(OPERATIONS[name], dict(request)).action
    assert arrived.headers["x-acs-version"] == "2017-06-13"
    names = signed_names(arrived.headers["authorization"])
    canonical, ours = acs3_hmac_sha256.canonical_request(
        arrived.method,
        urlsplit(arrived.target).path,
        parse_qsl(urlsplit(arrived.target).query, keep_blank_values=True),
        {name: arrived.headers[name] for name in names},
        signing.EMPTY_SHA256,
    )
    to_sign = acs3_hmac_sha256.string_to_sign(canonical)
    signature = signing.hex_hmac_sha256("testSecretFake0000000001", to_sign)
    expected = acs3_hmac_sha256.authorization("AKFAKE0000000001", ours, signature)
    assert arrived.headers["authorization"] == expected


@pytest.mark.parametrize("token", [None, "testSecurityTokenFake/ABC+def=="])
@pytest.mark.parametrize(
    "name", [OMS_DELETE, OMS_STOP, OMS_LIST, DMS_DELETE, DMS_LIST, HUAWEI_DMS_DELETE, HUAWEI_DMS_LIST]
)
def test_the_oms_and_kafka_clients_send_what_we_send(name: str, token: str | None, provider: ScriptedServer) -> None:
    from huaweicloudsdkcore.auth.credentials import BasicCredentials

    credentials = BasicCredentials("AKFAKE0000000001", "testSecretFake0000000001", PROJECT)
    if token is not None:
        credentials.with_security_token(token)
    send = _send_by_oms if OPERATIONS[name].service.name == "oms" else _send_by_kafka
    send(name, credentials, provider)
    assert_same_request(name, provider)
    [arrived] = provider.arrived
    names = signed_names(arrived.headers["authorization"])
    ours_signed = {"content-type", "host", "x-project-id", "x-sdk-date"} | ({"x-security-token"} if token else set())
    assert ours_signed <= set(names)
    canonical, ours = sdk_hmac_sha256.canonical_request(
        arrived.method,
        urlsplit(arrived.target).path,
        parse_qsl(urlsplit(arrived.target).query, keep_blank_values=True),
        {n: arrived.headers[n] for n in names},
        signing.EMPTY_SHA256,
    )
    to_sign = sdk_hmac_sha256.string_to_sign(arrived.headers["x-sdk-date"], canonical)
    signature = signing.hex_hmac_sha256("testSecretFake0000000001", to_sign)
    expected = sdk_hmac_sha256.authorization("AKFAKE0000000001", ours, signature)
    assert arrived.headers["authorization"] == expected


def _send_by_oms(name: str, credentials: Any, provider: ScriptedServer) -> None:
    from huaweicloudsdkoms.v2 import DeleteTaskRequest, ListTasksRequest, OmsClient, StopTaskRequest

    client = OmsClient.new_builder().with_credentials(credentials).with_endpoint(provider.url).build()
    task_id = REQUESTS[name].get("task_id")
    if name == OMS_DELETE:
        client.delete_task(DeleteTaskRequest(task_id=task_id))
    elif name == OMS_STOP:
        client.stop_task(StopTaskRequest(task_id=task_id))
    else:
        client.list_tasks(ListTasksRequest(limit=100, offset=0))


def _send_by_kafka(name: str, credentials: Any, provider: ScriptedServer) -> None:
    from huaweicloudsdkkafka.v2 import DeleteBackgroundTaskRequest, KafkaClient, ListBackgroundTasksRequest

    client = KafkaClient.new_builder().with_credentials(credentials).with_endpoint(provider.url).build()
    instance_id = REQUESTS[name]["instance_id"]
    if name.endswith(".DeleteBackgroundTask"):
        client.delete_background_task(DeleteBackgroundTaskRequest(instance_id, REQUESTS[name]["task_id"]))
    else:
        client.list_background_tasks(ListBackgroundTasksRequest(instance_id, start=1, limit=100))
