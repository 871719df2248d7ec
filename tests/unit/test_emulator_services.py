"""What the SDKs cannot show: raw requests, faults on the wire, journal, admin API."""

import hashlib
import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest

from local import emulators as emulators_package
from local.emulators import KINDS, SERVICES, Emulators, signatures
from local.emulators.messages import Request
from local.emulators.services import huawei_oms

PROJECT = "0123456789abcdef0123456789abcdef"
DMS_INSTANCE = "11111111-2222-3333-4444-555555555555"
DATA_TASK = "/openapi/instances/es-cn-fake1/data-task"
OMS_TASK = f"/v2/{PROJECT}/tasks/42"
SECRET = "testSecretFake0001"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


@pytest.fixture(scope="module")
def running() -> Iterator[Emulators]:
    with Emulators(seed=7) as emulators:
        yield emulators


@pytest.fixture
def cloud(running: Emulators) -> Emulators:
    """Empty emulators with one key for each provider and one task for each service."""
    running.reset(seed=7, keys=True)
    for provider in ("alibaba", "huawei", "otc"):
        running.add_key(provider, "AKFAKE0001", SECRET)
    for service in SERVICES:
        running.seed({"service": service, **ids_of(service)})
    return running


def ids_of(service: str) -> dict[str, str]:
    """Where the one task of a service is, and its id."""
    kind, instance = KINDS[service], "es-cn-fake1" if service == "alibaba_elasticsearch" else DMS_INSTANCE
    named = {"alibaba_elasticsearch": "et_cn_fake1", "huawei_oms": "42"}
    return {**kind.place_ids(PROJECT, instance), "task_id": named.get(service, kind.new_id(7))}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    connection: Any = field(repr=False, default=None)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def send(url: str, request: Request, connection: http.client.HTTPConnection | None = None) -> Answer:
    host = urlsplit(url).netloc
    opened = connection or http.client.HTTPConnection(host, timeout=5)
    try:
        opened.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers:
            opened.putheader(name, value.encode("latin-1"))
        opened.endheaders(request.body or None)
        reply = opened.getresponse()
        return Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())
    finally:
        if connection is None:
            opened.close()


def alibaba(
    url: str,
    *,
    method: str = "DELETE",
    target: str = f"{DATA_TASK}?ClientToken=t1&taskId=et_cn_fake1",
    action: str = "DeleteDataTask",
    nonce: str | None = None,
    unsigned: frozenset[str] = frozenset(),
    **more: str,
) -> Request:
    """A request with the smallest set of signed headers; `unsigned` ones are sent all the same."""
    headers = {
        "host": urlsplit(url).netloc,
        "x-acs-action": action,
        "x-acs-version": "2017-06-13",
        "x-acs-date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": nonce or f"{time.monotonic_ns():032x}",
        "x-acs-content-sha256": EMPTY_SHA256,
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    names = tuple(sorted(set(headers) - unsigned))
    request = Request(method, target, tuple(headers.items()))
    computed = signatures.compute_acs3(request, signatures.Claim("AKFAKE0001", names, ""), SECRET)
    value = f"ACS3-HMAC-SHA256 Credential=AKFAKE0001,SignedHeaders={';'.join(names)},Signature={computed.signature}"
    return Request(method, target, (*request.headers, ("Authorization", value)))


def huawei(
    url: str,
    *,
    method: str = "DELETE",
    target: str = OMS_TASK,
    unsigned: frozenset[str] = frozenset(),
    **more: str,
) -> Request:
    headers = {
        "Host": urlsplit(url).netloc,
        "X-Sdk-Date": datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"),
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    names = tuple(sorted(name.lower() for name in headers if name not in unsigned))
    request = Request(method, target, tuple(headers.items()))
    computed = signatures.compute_sdk_hmac(request, signatures.Claim("AKFAKE0001", names, ""), SECRET)
    value = f"SDK-HMAC-SHA256 Access=AKFAKE0001, SignedHeaders={';'.join(names)}, Signature={computed.signature}"
    return Request(method, target, (*request.headers, ("Authorization", value)))


def delete(cloud: Emulators, service: str) -> Answer:
    """The delete call of a service, signed well."""
    url = cloud.urls[service]
    return send(url, delete_request(cloud, service))


def delete_request(cloud: Emulators, service: str) -> Request:
    url = cloud.urls[service]
    if service == "alibaba_elasticsearch":
        return alibaba(url)
    route = next(route for route in cloud.services[service].routes if route.operation.startswith("Delete"))
    return huawei(url, method=route.method, target=route.template.format(**ids_of(service)))


every_service = pytest.mark.parametrize("service", SERVICES)


# -- the services ---------------------------------------------------------------------------------------------


@every_service
def test_a_deleted_task_is_gone(cloud: Emulators, service: str) -> None:
    answer = delete(cloud, service)
    assert answer.status == {"alibaba_elasticsearch": 200, "huawei_oms": 200}.get(service, 204)
    assert "date" in answer.headers
    again = delete(cloud, service)

    if service == "alibaba_elasticsearch":
        assert again.json["Result"] is True  # the same client token
    else:
        assert again.status in {400, 404}

    assert [effect for effect, _ in cloud.journal.effects()] == ["deleted"]


@pytest.mark.parametrize(("service", "body"), [("huawei_oms", b""), ("otc_dms", b""), ("huawei_dms", b"")])
def test_huawei_deletes_have_no_body(cloud: Emulators, service: str, body: bytes) -> None:
    answer = delete(cloud, service)

    assert answer.body == body
    assert len(answer.headers["x-request-id"]) == 32


@pytest.mark.parametrize(
    ("service", "sender"),
    [
        (service, sender)
        for service in SERVICES
        for sender in SERVICES
        if service.removeprefix("otc_").removeprefix("huawei_") != sender.removeprefix("otc_").removeprefix("huawei_")
    ],
)
def test_every_gateway_knows_only_its_own_api(cloud: Emulators, service: str, sender: str) -> None:
    request = delete_request(cloud, sender)
    answer = send(cloud.urls[service], request)

    code = answer.json.get("Code") or answer.json.get("error_code")

    assert (answer.status, code) == (
        404,
        "InvalidApi.NotFound" if service == "alibaba_elasticsearch" else "APIGW.0101",
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"unsigned": frozenset({"host"})}, (400, "IncompleteSignature")),
        ({"unsigned": frozenset({"x-acs-action"})}, (400, "IncompleteSignature")),
        ({"unsigned": frozenset({"x-acs-extra"}), "x_acs_extra": "1"}, (400, "IncompleteSignature")),
        ({"unsigned": frozenset({"content-type"}), "content_type": "a/b"}, (400, "IncompleteSignature")),
        ({"x_acs_extra": "1", "content_type": "a/b"}, (200, None)),
        ({"action": "CancelTask"}, (404, "InvalidApi.NotFound")),
        ({"x_acs_version": "2014-05-26"}, (404, "InvalidApi.NotFound")),
        ({"target": f"{DATA_TASK}?ClientToken=t&taskId=a&taskId=b"}, (400, "InvalidParameter")),
        ({"target": f"{DATA_TASK}?clientToken=t&taskId=a"}, (400, "MissingClientToken")),
        ({"target": f"{DATA_TASK}?ClientToken=t&TaskId=a"}, (400, "MissingTaskId")),
        ({"target": f"{DATA_TASK}?ClientToken=t+1%2B&taskId=et_cn_fake1"}, (200, None)),
        ({"x_acs_content_sha256": "0" * 64}, (400, "SignatureDoesNotMatch")),
    ],
)
def test_alibaba_checks(cloud: Emulators, change: dict[str, Any], expected: tuple[int, str | None]) -> None:
    url = cloud.urls["alibaba_elasticsearch"]

    answer = send(url, alibaba(url, **change))

    assert (answer.status, answer.json.get("Code")) == expected


def test_alibaba_error_shape(cloud: Emulators) -> None:
    url = cloud.urls["alibaba_elasticsearch"]

    answer = send(url, Request("DELETE", DATA_TASK, (("Host", "es.example.com"),)))

    assert answer.json["HostId"] == "es.example.com"
    assert answer.json["RequestId"] == answer.headers["x-acs-request-id"]
    assert set(answer.json) == {"RequestId", "HostId", "Code", "Message", "Recommend"}


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "IncompleteSignature"),
        ("acs AKFAKE0001:c2lnbmF0dXJl", "InvalidSignatureMethod"),
        ("ACS3-HMAC-SHA256 Credential=AKFAKE0001", "IncompleteSignature"),
    ],
)
def test_alibaba_authorization(cloud: Emulators, authorization: str | None, code: str) -> None:
    url = cloud.urls["alibaba_elasticsearch"]
    headers = [(n, v) for n, v in alibaba(url).headers if n != "Authorization"]
    if authorization:
        headers.append(("Authorization", authorization))

    answer = send(url, Request("DELETE", DATA_TASK, tuple(headers)))

    assert (answer.status, answer.json["Code"]) == (400, code)
    assert cloud.journal[-1].signature_ok is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"target": f"{OMS_TASK}/"}, (404, "APIGW.0101")),
        ({"target": OMS_TASK, "method": "PUT"}, (404, "APIGW.0101")),
        ({"unsigned": frozenset({"Host"})}, (401, "APIGW.0301")),
        ({"X_Sdk_Date": "2026-11-21T08:30:00Z"}, (401, "APIGW.0301")),
        ({"X_Sdk_Date": "20261340T000000Z"}, (401, "APIGW.0301")),
    ],
)
def test_huawei_checks(cloud: Emulators, change: dict[str, Any], expected: tuple[int, str]) -> None:
    url = cloud.urls["huawei_oms"]

    answer = send(url, huawei(url, **change))

    assert (answer.status, answer.json["error_code"]) == expected
    assert answer.json["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        (None, "x-auth-token not found"),
        ("SDK-HMAC-SHA256 Access=AKFAKE0001", "Authorization malformed"),
        (
            "SDK-HMAC-SHA256 Credential=AKFAKE0001/20261121///sdk_request, SignedHeaders=host, Signature=00",
            "malformed",
        ),
        ("V11-HMAC-SHA256 Credential=AKFAKE0001", "unknown signature algorithm"),
    ],
)
def test_huawei_authorization(cloud: Emulators, authorization: str | None, reason: str) -> None:
    headers = (("Host", "h"), *([("Authorization", authorization)] if authorization else []))

    answer = send(cloud.urls["huawei_oms"], Request("GET", OMS_TASK, headers))

    assert (answer.status, answer.json["error_code"]) == (401, "APIGW.0301")
    assert reason in answer.json["error_msg"]


@pytest.mark.parametrize("accepted", [False, True])
def test_huawei_token_must_be_signed(cloud: Emulators, accepted: bool) -> None:
    cloud.keys.change("huawei", "AKFAKE0001", security_token="fake-token")
    cloud.switches.update(gateway_unsigned_token_accepted=accepted)
    url = cloud.urls["huawei_oms"]

    request = huawei(url, unsigned=frozenset({"X-Security-Token"}), X_Security_Token="fake-token")

    assert send(url, request).status == (200 if accepted else 400)


def test_oms_bad_parameter_has_the_undocumented_detail(cloud: Emulators) -> None:
    url = cloud.urls["huawei_oms"]

    answer = send(url, huawei(url, method="GET", target=f"/v2/{PROJECT}/tasks?limit=1000"))

    assert answer.json == {
        "error_code": "OMS.0064",
        "error_msg": "Invalid parameter.",
        "error_detail": "limit",
    }


def test_an_id_that_is_made_is_no_other_task_s(cloud: Emulators) -> None:
    store = cloud.otc_dms
    first = int(store.add_task(PROJECT, DMS_INSTANCE)[2:], 16)
    named = store.add_task(PROJECT, DMS_INSTANCE, task_id=KINDS["otc_dms"].new_id(first + 3))

    made = [store.add_task(PROJECT, DMS_INSTANCE) for _ in range(4)]

    assert named not in made


@pytest.mark.parametrize(("counts", "count"), [("all", 3), ("page", 2)])
@pytest.mark.parametrize("service", ["huawei_oms", "otc_dms", "huawei_dms"])
def test_switch_count(cloud: Emulators, service: str, counts: str, count: int) -> None:
    cloud.switches.update(oms_count=counts, dms_count=counts)
    for _ in range(2):
        if service == "huawei_oms":
            cloud.huawei_oms.add_task(PROJECT)
        else:
            getattr(cloud, service).add_task(PROJECT, DMS_INSTANCE)
    instance = "" if service == "huawei_oms" else f"/instances/{DMS_INSTANCE}"
    url = cloud.urls[service]

    answer = send(url, huawei(url, method="GET", target=f"/v2/{PROJECT}{instance}/tasks?limit=2"))

    assert len(answer.json["tasks"]) == 2
    assert int(answer.json.get("count", answer.json.get("task_count"))) == count


DMS_TASK = f"/v2/{PROJECT}/instances/{DMS_INSTANCE}/tasks/{KINDS['otc_dms'].new_id(7)}"
SHOWN = {"huawei_oms": OMS_TASK, "otc_dms": DMS_TASK}


def ask(cloud: Emulators, service: str, target: str, method: str = "GET") -> Answer:
    url = cloud.urls[service]
    return send(url, huawei(url, method=method, target=target))


@pytest.mark.parametrize("service", SHOWN)
def test_switch_deleted_seen(cloud: Emulators, service: str) -> None:
    cloud.switches.update(deleted_seen_s=60)
    task, tasks = SHOWN[service], SHOWN[service].rpartition("/")[0]
    before = [ask(cloud, service, target).json for target in (task, tasks)]

    deleted = ask(cloud, service, task, "DELETE").status
    behind = [ask(cloud, service, target).json for target in (task, tasks)]
    cloud.clock.advance(61)
    later = ask(cloud, service, tasks).json["tasks"]

    assert (deleted, behind, later) == (200 if service == "huawei_oms" else 204, before, [])
    assert ask(cloud, service, task).status == 400


def test_switch_updated_at_moves(cloud: Emulators) -> None:
    cloud.switches.update(dms_updated_at_moves=True)

    first = ask(cloud, "otc_dms", DMS_TASK).json
    cloud.clock.shift(60)

    assert ask(cloud, "otc_dms", DMS_TASK).json["tasks"][0]["updated_at"] > first["tasks"][0]["updated_at"]


@pytest.mark.parametrize("service", SHOWN)
def test_looks_that_lie(cloud: Emulators, service: str) -> None:
    right = ask(cloud, service, SHOWN[service]).json

    cloud.faults.add("other_record", count=1)
    another = ask(cloud, service, SHOWN[service])
    cloud.faults.add("hide", count=1)
    hidden = ask(cloud, service, SHOWN[service])

    assert (another.status, hidden.status) == (200, 400)
    assert another.json.keys() == right.keys()
    assert another.json != right


@pytest.mark.parametrize("number", [3, 7])
def test_switch_lock_after(cloud: Emulators, number: int) -> None:
    cloud.switches.update(gateway_lock_after=number)
    url = cloud.urls["huawei_oms"]
    good = huawei(url)
    bad = Request("GET", good.target, good.headers)

    answers = [send(url, bad).json["error_msg"] for _ in range(number + 1)]

    assert ["locked" in text for text in answers] == [False] * number + [True]


@pytest.mark.parametrize("raw", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n"])
def test_what_is_not_http_is_refused(cloud: Emulators, raw: bytes) -> None:
    address = urlsplit(cloud.urls["huawei_oms"])
    with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
        connection.sendall(raw)
        assert connection.recv(64).startswith(b"HTTP/1.1 400 ")


def test_the_target_is_kept_as_received(cloud: Emulators) -> None:
    url = cloud.urls["huawei_oms"]

    send(url, Request("GET", "//v2/%7E/../x?y=%2f", (("Host", "h"),)))

    assert cloud.journal[-1].path == "//v2/%7E/../x"


def test_a_second_kind_of_tasks_is_at_the_address_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """As OMS has tasks and groups: found by the module that it is in, with tasks of its own."""

    class Groups(huawei_oms.HuaweiOms):
        family = "groups"
        routes: ClassVar[Any] = tuple(
            replace(route, template=route.template.replace("/tasks", "/groups"))
            for route in huawei_oms.HuaweiOms.routes
        )

    monkeypatch.setattr(Groups, "__module__", huawei_oms.__name__)
    monkeypatch.setattr(huawei_oms, "Groups", Groups, raising=False)
    with Emulators() as emulators:
        assert list(emulators.urls) == list(SERVICES)
        emulators.add_key("huawei", "AKFAKE0001", SECRET)
        emulators.seed({"service": "huawei_oms_groups", "project_id": PROJECT, "task_id": "42"})
        url = emulators.urls["huawei_oms"]
        assert send(url, huawei(url)).status == 400, "no task, only a group"
        assert send(url, huawei(url, target=OMS_TASK.replace("/tasks", "/groups"))).status == 200
        assert [entry.service for entry in emulators.journal] == ["huawei_oms"] * 2


def test_what_is_verified_shares_nothing_with_the_layer() -> None:
    """Of the layer, emulators know which services there are: ids, providers, regions."""
    folder = Path(emulators_package.__file__).parent

    shared = {
        path.name: sorted(set(re.findall(r"^ *(?:from|import) (task_cleanup\S*)", path.read_text(), flags=re.M)))
        for path in folder.rglob("*.py")
    }

    assert all(module.startswith("task_cleanup.providers") for modules in shared.values() for module in modules)
    assert not shared["signatures.py"]


# -- faults ---------------------------------------------------------------------------------------------------


@every_service
def test_fault_reset(cloud: Emulators, service: str) -> None:
    cloud.faults.add("reset_before", service=service, count=1)
    with pytest.raises(ConnectionResetError):
        delete(cloud, service)
    assert cloud.journal.effects() == []

    cloud.faults.add("reset_after", service=service, count=1)

    with pytest.raises(ConnectionResetError):
        delete(cloud, service)
    assert [effect for effect, _ in cloud.journal.effects()] == ["deleted"]
    assert [entry.status for entry in cloud.journal] == [None, None]


@every_service
def test_fault_latency(cloud: Emulators, service: str) -> None:
    cloud.faults.add("latency", ms=150)

    began = time.monotonic()

    assert delete(cloud, service).status < 300
    assert time.monotonic() - began >= 0.15


def test_fault_latency_after_the_change(cloud: Emulators) -> None:
    cloud.faults.add("latency", ms=60000, made=True, count=1)
    address = urlsplit(cloud.urls["huawei_oms"])
    connection = http.client.HTTPConnection(address.netloc, timeout=0.3)
    with pytest.raises(TimeoutError):
        send(cloud.urls["huawei_oms"], huawei(cloud.urls["huawei_oms"]), connection)

    connection.close()

    assert cloud.journal.wait_for(1)[0].effect == "deleted"


@pytest.mark.parametrize("kind", ["drip_body", "drip_headers"])
def test_fault_drip(cloud: Emulators, kind: str) -> None:
    cloud.faults.add(kind, size=40, ms=20)
    began = time.monotonic()

    answer = delete(cloud, "alibaba_elasticsearch")

    assert answer.json["Result"] is True
    assert time.monotonic() - began >= 0.02


def test_fault_close_after_reply(cloud: Emulators) -> None:
    cloud.faults.add("close_after_reply", count=1)
    url = cloud.urls["huawei_oms"]
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    answer = send(url, huawei(url), connection)
    assert answer.status == 200
    assert "connection" not in answer.headers
    assert connection.sock.recv(1) == b""
    connection.close()


def test_connections_are_kept(cloud: Emulators) -> None:
    url = cloud.urls["huawei_oms"]
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    ports = []
    for _ in range(3):
        send(url, huawei(url), connection)
        ports.append(connection.sock.getsockname())

    connection.close()

    assert len(set(ports)) == 1


@every_service
@pytest.mark.parametrize("made", [False, True])
@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"kind": "http_error", "status": 502}, 502),
        ({"kind": "garbage", "variant": "html"}, 200),
        ({"kind": "garbage", "variant": "truncated"}, 200),
        ({"kind": "redirect"}, 302),
        ({"kind": "error", "status": 500, "code": "Fake.Internal"}, 500),
        ({"kind": "away"}, 503),
    ],
)
def test_faults_that_replace_the_answer(
    cloud: Emulators, service: str, fault: dict[str, Any], status: int, made: bool
) -> None:
    cloud.faults.add(**fault, made=made, count=1)
    answer = delete(cloud, service)
    assert answer.status == status
    assert "date" in answer.headers
    assert len(cloud.journal.effects()) == made
    if fault["kind"] == "garbage":
        with pytest.raises(json.JSONDecodeError):
            _ = answer.json


def test_fault_huge_body(cloud: Emulators) -> None:
    cloud.faults.add("garbage", variant="huge", size=2_000_000)

    assert len(delete(cloud, "huawei_oms").body) > 2_000_000


@pytest.mark.parametrize(("offset", "accepted"), [(-1000, False), (1000, False), (600, True)])
def test_fault_stale_date(cloud: Emulators, offset: int, accepted: bool) -> None:
    cloud.faults.add("stale_date", offset=offset)
    answer = delete(cloud, "huawei_oms")

    date = parsedate_to_datetime(answer.headers["date"])

    assert abs((date - datetime.now(UTC)).total_seconds() - offset) < 5
    assert (answer.status == 200) is accepted


def test_fault_away_for_a_while(cloud: Emulators) -> None:
    cloud.faults.away("huawei_oms", seconds=60)
    assert delete(cloud, "huawei_oms").status == 503
    assert delete(cloud, "otc_dms").status == 204
    cloud.clock.advance(61)
    assert delete(cloud, "huawei_oms").status == 200
    cloud.faults.away("otc_dms", variant="reset")

    with pytest.raises(ConnectionResetError):
        delete(cloud, "otc_dms")


def test_fault_slow_start(cloud: Emulators) -> None:
    cloud.faults.add("slow_start", ms=200, seconds=100)
    began = time.monotonic()
    delete(cloud, "huawei_oms")
    assert time.monotonic() - began >= 0.15
    assert cloud.journal[-1].faults == ("slow_start",)
    cloud.clock.advance(101)

    delete(cloud, "otc_dms")

    assert not cloud.journal[-1].faults


def test_faults_are_matched_counted_and_listed(cloud: Emulators) -> None:
    cloud.faults.add("error", operation="DeleteTask", match="42", count=2, code="OMS.1001", status=400)
    cloud.faults.add("error", match="43", code="OMS.9999")

    codes = [delete(cloud, "huawei_oms").body for _ in range(3)]

    assert [b"OMS.1001" in body for body in codes] == [True, True, False]
    assert [fault["code"] for fault in cloud.faults.as_json()] == ["OMS.9999"]


def test_the_dice_can_be_thrown_again(cloud: Emulators) -> None:
    def run() -> list[int]:
        cloud.reset(seed=3)
        cloud.faults.add("http_error", probability=0.5)
        return [delete(cloud, "huawei_oms").status for _ in range(40)]

    first = run()
    assert first == run()
    assert 5 < first.count(502) < 35


def test_only_one_fault_replaces_an_answer(cloud: Emulators) -> None:
    cloud.faults.add("http_error", status=502, count=1)

    cloud.faults.add("http_error", status=504, count=1)

    assert [delete(cloud, "huawei_oms").status for _ in range(3)] == [502, 504, 200]


def test_bad_signatures_are_not_hidden_by_throttling(cloud: Emulators) -> None:
    cloud.keys.change("huawei", "AKFAKE0001", secret_access_key="testSecretFakeRotated")

    cloud.faults.add("throttle")

    assert delete(cloud, "huawei_oms").status == 401


# -- journal and threads --------------------------------------------------------------------------------------


def test_journal_entry(cloud: Emulators) -> None:
    url = cloud.urls["alibaba_elasticsearch"]
    cloud.faults.add("throttle", count=1)
    send(url, alibaba(url, nonce="nonce-1"))
    send(url, alibaba(url, nonce="nonce-2"))

    throttled, made = cloud.journal

    assert (throttled.status, throttled.code, throttled.effect) == (400, "Throttling.User", None)
    assert (made.status, made.code, made.effect) == (200, None, "deleted")
    assert [entry.nonce for entry in cloud.journal] == ["nonce-1", "nonce-2"]
    assert {entry.client_token for entry in cloud.journal} == {"t1"}
    assert made.ids == {"instance_id": "es-cn-fake1", "task_id": "et_cn_fake1"}
    assert (made.access_key_id, made.signature_ok, made.path) == ("AKFAKE0001", True, DATA_TASK)


def test_a_call_is_carried_out_at_a_moment_and_followers_hear_of_it_before_the_answer(cloud: Emulators) -> None:
    heard: list[float | None] = []
    cloud.journal.followers.append(lambda entry: heard.append(entry.carried_out))
    cloud.faults.add("throttle", count=1)
    delete(cloud, "huawei_oms")
    assert heard == [None]
    before = cloud.clock.now()

    delete(cloud, "huawei_oms")

    assert heard[1] is not None
    assert before <= heard[1] <= cloud.clock.now()


def test_one_delete_of_many_at_once_makes_the_change(cloud: Emulators) -> None:
    threads = [threading.Thread(target=delete, args=(cloud, "huawei_oms")) for _ in range(20)]
    for thread in threads:
        thread.start()

    for thread in threads:
        thread.join()

    assert len(cloud.journal) == 20
    assert cloud.journal.effects() == [("deleted", "42")]


def test_stop_ends_open_connections() -> None:
    with Emulators() as emulators:
        address = urlsplit(emulators.urls["huawei_oms"])
        connection = socket.create_connection((address.hostname, address.port), timeout=5)
        emulators.faults.add("latency", ms=60000)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        time.sleep(0.05)
        began = time.monotonic()
    assert time.monotonic() - began < 3
    connection.close()


# -- admin API ------------------------------------------------------------------------------------------------


def admin(cloud: Emulators, method: str, call: str, body: Any = None) -> Answer:
    content = b"" if body is None else json.dumps(body).encode()
    headers = (("Host", "admin"), ("Content-Length", str(len(content))))
    return send(cloud.admin_url, Request(method, f"/_emulator/{call}", headers, content))


def test_admin_seeds_every_service(cloud: Emulators) -> None:
    cloud.reset()
    tasks = [
        {"service": "alibaba_elasticsearch", "instance_id": "es-1", "task_id": "et_1", "migrating": True},
        {"service": "alibaba_elasticsearch", "instance_id": "es-2", "activating": True},
        {"service": "huawei_oms", "project_id": PROJECT, "task_id": "7", "status": 2},
        {"service": "otc_dms", "project_id": PROJECT, "instance_id": DMS_INSTANCE, "status": "EXECUTING"},
        {"service": "huawei_dms", "project_id": PROJECT, "instance_id": DMS_INSTANCE},
    ]
    assert admin(cloud, "POST", "tasks", {"tasks": tasks}).status == 200

    seen = admin(cloud, "GET", "tasks").json

    assert [i["instance_id"] for i in seen["alibaba_elasticsearch"]] == ["es-1", "es-2"]
    assert seen["alibaba_elasticsearch"][0]["tasks"][0]["task_id"] == "et_1"
    assert [(task["task_id"], task["status"]) for task in seen["huawei_oms"][0]["tasks"]] == [("7", 2)]
    assert seen["otc_dms"][0]["tasks"][0]["status"] == "EXECUTING"
    assert seen["huawei_dms"][0]["tasks"] == []


def test_admin_health_journal_and_reset(cloud: Emulators) -> None:
    assert admin(cloud, "GET", "health").json == {"status": "ok", "services": cloud.urls}
    delete(cloud, "huawei_oms")

    delete(cloud, "otc_dms")

    assert [entry["index"] for entry in admin(cloud, "GET", "journal").json] == [0, 1]
    assert [entry["service"] for entry in admin(cloud, "GET", "journal?since=1").json] == ["otc_dms"]
    assert admin(cloud, "POST", "reset", {"seed": 1}).status == 200
    assert admin(cloud, "GET", "journal").json == []
    assert not any(admin(cloud, "GET", "tasks").json.values())


def test_admin_switches_keys_faults_and_clock(cloud: Emulators) -> None:
    switches = admin(cloud, "POST", "switches", {"oms_delete_unknown": "404", "oms_stop_ms": 5}).json
    assert (switches["oms_delete_unknown"], switches["oms_stop_ms"]) == ("404", 5)
    key = {"provider": "otc", "access_key_id": "AKFAKE9", "secret_access_key": "testSecretFake9"}
    assert admin(cloud, "POST", "keys", key).json == {"provider": "otc", "access_key_id": "AKFAKE9"}
    fault = {"kind": "http_error", "service": "huawei_oms", "parameters": {"status": 504}}
    number = admin(cloud, "POST", "faults", fault).json["number"]
    assert delete(cloud, "huawei_oms").status == 504
    assert admin(cloud, "DELETE", f"faults?number={number}").json == []

    admin(cloud, "POST", "clock", {"shift_seconds": 3600})

    assert delete(cloud, "huawei_oms").status == 401
    assert admin(cloud, "POST", "clock", {"reset": True}).json["offset_seconds"] == 0
    assert delete(cloud, "huawei_oms").status == 200


@pytest.mark.parametrize(
    ("method", "call", "body", "status"),
    [
        ("GET", "nothing", None, 404),
        ("POST", "switches", {"oms_delete_unknwon": "404"}, 400),
        ("POST", "switches", {"oms_delete_unknown": "nonsense"}, 400),
        ("POST", "switches", {"oms_stop_polls": True}, 400),
        ("POST", "switches", {"oms_delete_refused_states": 1}, 400),
        ("POST", "faults", {"kind": "nonsense"}, 400),
        ("POST", "faults", {"kind": "latency", "probability": 2}, 400),
        ("POST", "faults", {"kind": "latency", "milliseconds": 2}, 400),
        ("POST", "tasks", {"service": "nonsense"}, 400),
        ("POST", "tasks", {"service": "huawei_oms", "project_id": PROJECT, "staus": 2}, 400),
        ("POST", "tasks", {"instance_id": "es-1"}, 400),
        ("POST", "clock", {"seconds": 1}, 400),
        ("POST", "reset", {"everything": True}, 400),
        ("POST", "keys", [1], 400),
    ],
)
def test_admin_refuses(cloud: Emulators, method: str, call: str, body: Any, status: int) -> None:
    assert admin(cloud, method, call, body).status == status
