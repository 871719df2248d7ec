"""Alibaba's own SDK, unchanged, against the emulated Alibaba Elasticsearch."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.emulators import Emulators
from tests.support.sdk import ALIBABA_KEY, TOKEN, Build

pytestmark = pytest.mark.filterwarnings(
    "ignore:datetime.datetime.utcnow:DeprecationWarning",  # the SDK signs with it
)

INSTANCE = "es-cn-fake00000001"
TASK = "et_cn_fake00000001"


def delete(client: Any, task_id: str | None = TASK, token: str | None = "token-1", **headers: str) -> Any:
    from alibabacloud_elasticsearch20170613.models import DeleteDataTaskRequest
    from darabonba.runtime import RuntimeOptions

    request = DeleteDataTaskRequest(client_token=token, task_id=task_id)
    return client.delete_data_task_with_options(INSTANCE, request, headers, RuntimeOptions()).body


def cancel(client: Any, task_type: str | None = "MigrateData", token: str | None = None) -> Any:
    from alibabacloud_elasticsearch20170613.models import CancelTaskRequest

    return client.cancel_task(INSTANCE, CancelTaskRequest(task_type=task_type, client_token=token)).body


def refusal(call: Any, *arguments: Any, **more: Any) -> Any:
    """The SDK's own exception."""
    from alibabacloud_tea_openapi.exceptions import AlibabaCloudException

    with pytest.raises(AlibabaCloudException) as caught:
        call(*arguments, **more)
    return caught.value


def said(error: Any) -> tuple[int, str]:
    return error.status_code, error.code


def test_list_then_delete(cloud: Emulators, elasticsearch: Build) -> None:
    for number in (1, 2):
        cloud.alibaba_elasticsearch.add_task(INSTANCE, f"et_cn_fake{number:08d}")
    client = elasticsearch()
    listed = client.list_data_tasks(INSTANCE).body
    assert [(task.task_id, task.status) for task in listed.result] == [
        ("et_cn_fake00000001", "SUCCESS"),
        ("et_cn_fake00000002", "SUCCESS"),
    ]

    deleted = delete(client)

    assert deleted.result is True
    assert deleted.request_id == deleted.request_id.upper()
    assert len(deleted.request_id) == 36
    assert [task.task_id for task in client.list_data_tasks(INSTANCE).body.result] == ["et_cn_fake00000002"]
    assert cloud.journal.effects() == [("deleted", TASK)]


def instances(client: Any, **query: int) -> Any:
    from alibabacloud_elasticsearch20170613.models import ListInstanceRequest

    return client.list_instance(ListInstanceRequest(**query)).body


def test_list_instances_by_pages(cloud: Emulators, elasticsearch: Build) -> None:
    ids = [f"es-cn-fake{number:08d}" for number in range(12)]
    for instance in ids:
        cloud.alibaba_elasticsearch.add_place(instance, activating=instance == ids[-1])
    client = elasticsearch()
    first = instances(client)
    assert [each.instance_id for each in first.result] == ids[:10]  # by default

    pages = [instances(client, page=page, size=5) for page in (1, 2, 3, 4)]

    assert [each.instance_id for page in pages for each in page.result] == ids
    assert {page.headers.x_total_count for page in (first, *pages)} == {12}
    assert [each.status for each in pages[2].result] == ["active", "activating"]


@pytest.mark.parametrize("query", [{"page": 0}, {"size": 0}, {"size": 101}, {"page": -1}])
def test_list_instances_refuses_what_is_no_page(
    cloud: Emulators, elasticsearch: Build, query: dict[str, int]
) -> None:
    assert said(refusal(instances, elasticsearch(), **query)) == (400, "InvalidParameter")

    cloud.keys.change("alibaba", ALIBABA_KEY[0], denied=["ListInstance"])
    assert said(refusal(instances, elasticsearch())) == (403, "Forbidden.RAM")


@pytest.mark.parametrize("odd", ["tok en+1~*/%", "a=b&c=d;e", "quote'\"<>"])
def test_any_printable_token_is_signed_alike(cloud: Emulators, elasticsearch: Build, odd: str) -> None:
    cloud.alibaba_elasticsearch.add_task(INSTANCE, TASK)

    assert delete(elasticsearch(), token=odd).result is True
    assert cloud.journal[-1].client_token == odd


def test_cancel_stops_the_migration_of_the_instance(cloud: Emulators, elasticsearch: Build) -> None:
    cloud.alibaba_elasticsearch.add_task(INSTANCE, TASK)
    cloud.alibaba_elasticsearch.add_place(INSTANCE, migrating=True)

    client = elasticsearch()

    assert cancel(client).result is True
    assert cancel(client).result is False
    assert cloud.journal.effects() == [("cancelled", INSTANCE)]
    assert len(client.list_data_tasks(INSTANCE).body.result) == 1


def test_a_temporary_key(cloud: Emulators, elasticsearch: Build) -> None:
    cloud.add_key("alibaba", "STS.AKFAKE0002", "testSecretFake0002", security_token=TOKEN)

    cloud.alibaba_elasticsearch.add_task(INSTANCE, TASK)

    assert delete(elasticsearch("STS.AKFAKE0002", "testSecretFake0002", TOKEN)).result is True


@pytest.mark.parametrize(
    ("credentials", "key", "expected"),
    [
        (("AKFAKENOBODY", "testSecretFake"), {}, (404, "InvalidAccessKeyId.NotFound")),
        ((ALIBABA_KEY[0], "testSecretFakeWrong"), {}, (400, "SignatureDoesNotMatch")),
        ((*ALIBABA_KEY, TOKEN), {}, (400, "InvalidSecurityToken.MismatchWithAccessKey")),
        (ALIBABA_KEY, {"security_token": TOKEN}, (400, "MissingSecurityToken")),
        ((*ALIBABA_KEY, TOKEN), {"security_token": "other"}, (400, "InvalidSecurityToken.MismatchWithAccessKey")),
        (
            (*ALIBABA_KEY, TOKEN),
            {"security_token": TOKEN, "token_expired": True},
            (400, "InvalidSecurityToken.Expired"),
        ),
        (ALIBABA_KEY, {"disabled": True}, (400, "InvalidAccessKeyId.Inactive")),
        (ALIBABA_KEY, {"denied": ["DeleteDataTask"]}, (403, "Forbidden.RAM")),
    ],
)
def test_credentials_refused(
    cloud: Emulators,
    elasticsearch: Build,
    credentials: tuple[str, ...],
    key: dict[str, Any],
    expected: tuple[int, str],
) -> None:
    cloud.alibaba_elasticsearch.add_task(INSTANCE, TASK)
    cloud.keys.change("alibaba", ALIBABA_KEY[0], **key)

    error = refusal(delete, elasticsearch(*credentials))

    assert said(error) == expected
    assert cloud.journal[-1].code == expected[1]
    assert cloud.journal.effects() == []


def test_a_bad_signature_is_answered_with_the_servers_view(cloud: Emulators, elasticsearch: Build) -> None:
    cloud.add_key("alibaba", "STS.AKFAKE0002", "testSecretFake0002", security_token=TOKEN)

    error = refusal(delete, elasticsearch("STS.AKFAKE0002", "testSecretFakeWrong", TOKEN))

    assert "ACS3-HMAC-SHA256\n" in error.message
    assert f"/openapi/instances/{INSTANCE}/data-task\nClientToken=token-1&taskId={TASK}\n" in error.message
    assert f"x-acs-security-token:{TOKEN}" in error.message
    assert cloud.journal[-1].signature_ok is False


def test_a_permission_refusal_has_its_detail(cloud: Emulators, elasticsearch: Build) -> None:
    cloud.keys.change("alibaba", ALIBABA_KEY[0], denied=["*"])

    error = refusal(cancel, elasticsearch())

    assert error.access_denied_detail["AuthAction"] == "elasticsearch:CancelTask"


@pytest.mark.parametrize(
    ("call", "arguments", "expected"),
    [
        (delete, {"token": None}, (400, "MissingClientToken")),
        (delete, {"token": ""}, (400, "MissingClientToken")),
        (delete, {"task_id": None}, (400, "MissingTaskId")),
        (delete, {"token": "x" * 65}, (400, "InvalidParameter")),
        (delete, {"token": "é"}, (400, "InvalidParameter")),
        (cancel, {"task_type": None}, (400, "MissingTaskType")),
        (cancel, {"task_type": "Other"}, (400, "InvalidParameter")),
    ],
)
def test_parameters_refused(
    cloud: Emulators, elasticsearch: Build, call: Any, arguments: dict[str, Any], expected: tuple[int, str]
) -> None:
    cloud.alibaba_elasticsearch.add_task(INSTANCE, TASK)

    assert said(refusal(call, elasticsearch(), **arguments)) == expected


@pytest.mark.parametrize("call", [delete, cancel])
def test_an_unknown_instance(elasticsearch: Build, call: Any) -> None:
    assert said(refusal(call, elasticsearch())) == (400, "InstanceNotFound")


def test_an_activating_instance_refuses_to_cancel(cloud: Emulators, elasticsearch: Build) -> None:
    cloud.alibaba_elasticsearch.add_place(INSTANCE, migrating=True, activating=True)

    assert said(refusal(cancel, elasticsearch())) == (400, "InstanceActivating")


@pytest.mark.parametrize("off", [-16, 16])
def test_a_wrong_clock(cloud: Emulators, elasticsearch: Build, off: int) -> None:
    cloud.clock.shift(off * 60)

    assert said(refusal(delete, elasticsearch())) == (400, "InvalidTimeStamp.Expired")


@pytest.mark.parametrize("off", [-14, 14])
def test_a_clock_inside_the_window(cloud: Emulators, elasticsearch: Build, off: int) -> None:
    cloud.alibaba_elasticsearch.add_task(INSTANCE, TASK)

    date = datetime.now(UTC) + timedelta(minutes=off)

    assert delete(elasticsearch(), **{"x-acs-date": date.strftime("%Y-%m-%dT%H:%M:%SZ")}).result is True


@pytest.mark.parametrize("date", ["20261121T083000Z", "2026-13-40T00:00:00Z"])
def test_a_malformed_date(elasticsearch: Build, date: str) -> None:
    error = refusal(delete, elasticsearch(), **{"x-acs-date": date})

    assert said(error) == (400, "InvalidTimeStamp.Format")


def test_a_replayed_nonce(cloud: Emulators, elasticsearch: Build) -> None:
    cloud.alibaba_elasticsearch.add_task(INSTANCE, TASK)
    nonce = {"x-acs-signature-nonce": "0123456789abcdef0123456789abcdef"}
    wrong = elasticsearch(secret="testSecretFakeWrong")
    assert said(refusal(delete, wrong, **nonce)) == (400, "SignatureDoesNotMatch")
    client = elasticsearch()
    assert delete(client, **nonce).result is True
    assert said(refusal(delete, client, **nonce)) == (400, "SignatureNonceUsed")

    cloud.clock.advance(31 * 60)

    assert delete(client, **nonce).result is True


def test_a_repeated_client_token_has_no_second_effect(cloud: Emulators, elasticsearch: Build) -> None:
    client = elasticsearch()
    for _ in range(2):
        cloud.alibaba_elasticsearch.add_task(INSTANCE, TASK)
        assert delete(client, token="again").result is True
    assert len(client.list_data_tasks(INSTANCE).body.result) == 1
    assert cloud.journal.effects() == [("deleted", TASK)]
    error = refusal(delete, client, task_id="et_cn_other", token="again")
    assert said(error) == (400, "IdempotentParameterMismatch")

    cloud.clock.advance(25 * 3600)

    assert delete(client, token="again").result is True
    assert cloud.journal.effects() == [("deleted", TASK)] * 2


@pytest.mark.parametrize("scope", ["operation", "account"])
def test_how_far_a_client_token_reaches(cloud: Emulators, elasticsearch: Build, scope: str) -> None:
    cloud.switches.update(alibaba_client_token_scope=scope)
    cloud.alibaba_elasticsearch.add_task(INSTANCE, TASK)
    cloud.alibaba_elasticsearch.add_place(INSTANCE, migrating=True)
    client = elasticsearch()
    assert delete(client, token="shared").result is True
    if scope == "operation":
        assert cancel(client, token="shared").result is True
    else:
        assert said(refusal(cancel, client, token="shared")) == (400, "IdempotentParameterMismatch")


@pytest.mark.parametrize(
    ("switch", "answer"),
    [("result_false", False), ("result_true", True), ("error", (400, "InvalidTaskId.NotFound"))],
)
def test_switch_delete_unknown(cloud: Emulators, elasticsearch: Build, switch: str, answer: Any) -> None:
    cloud.switches.update(alibaba_delete_unknown=switch)
    cloud.alibaba_elasticsearch.add_place(INSTANCE)

    if isinstance(answer, bool):
        assert delete(elasticsearch()).result is answer
    else:
        assert said(refusal(delete, elasticsearch())) == answer

    assert cloud.journal.effects() == []


def test_switch_delete_running(cloud: Emulators, elasticsearch: Build) -> None:
    cloud.alibaba_elasticsearch.add_task(INSTANCE, TASK, status="RUNNING")
    cloud.switches.update(alibaba_delete_running="refuse")
    error = refusal(delete, elasticsearch())
    assert said(error) == (400, "InstanceStatusNotSupportCurrentAction")

    cloud.switches.update(alibaba_delete_running="allow")

    assert delete(elasticsearch()).result is True


def test_switch_cancel_idle(cloud: Emulators, elasticsearch: Build) -> None:
    cloud.alibaba_elasticsearch.add_place(INSTANCE)
    assert cancel(elasticsearch()).result is False

    cloud.switches.update(alibaba_cancel_idle="error")

    assert said(refusal(cancel, elasticsearch())) == (400, "InstanceStatusNotSupportCurrentAction")


@pytest.mark.parametrize("status", [400, 403])
def test_switch_statuses_of_authentication(cloud: Emulators, elasticsearch: Build, status: int) -> None:
    cloud.switches.update(alibaba_security_token_status=status, alibaba_signature_status=status)

    assert refusal(delete, elasticsearch(secret="testSecretFakeWrong")).status_code == status
    assert refusal(delete, elasticsearch(token=TOKEN)).status_code == status


@pytest.mark.parametrize(("status", "sent"), [(400, True), (429, True), (400, False)])
def test_throttled(cloud: Emulators, elasticsearch: Build, status: int, sent: bool) -> None:
    from alibabacloud_tea_openapi.exceptions import ClientException, ThrottlingException

    cloud.switches.update(alibaba_throttle_status=status, alibaba_retry_after_sent=sent)
    cloud.faults.add("throttle", count=1, retry_after=2.5)
    cloud.alibaba_elasticsearch.add_task(INSTANCE, TASK)
    error = refusal(delete, elasticsearch())
    assert said(error) == (status, "Throttling.User")
    assert type(error) is (ThrottlingException if sent else ClientException)
    assert error.retry_after == (2500 if sent else None)
    assert delete(elasticsearch()).result is True


@pytest.mark.parametrize(
    ("fault", "kind", "expected"),
    [
        ({"kind": "away"}, "ServerException", (503, "ServiceUnavailable")),
        ({"kind": "error", "status": 500, "code": "InternalError"}, "ServerException", (500, "InternalError")),
        (
            {"kind": "error", "status": 400, "code": "TokenPreviousRequestProcessError"},
            "ClientException",
            (400, "TokenPreviousRequestProcessError"),
        ),
    ],
)
def test_errors_on_request(
    cloud: Emulators, elasticsearch: Build, fault: dict[str, Any], kind: str, expected: tuple[int, str]
) -> None:
    cloud.faults.add(**fault)

    error = refusal(delete, elasticsearch())

    assert (type(error).__name__, *said(error)) == (kind, *expected)


@pytest.mark.parametrize("kind", ["reset_before", "reset_after"])
def test_a_reset_connection(cloud: Emulators, elasticsearch: Build, kind: str) -> None:
    from darabonba.exceptions import UnretryableException

    cloud.alibaba_elasticsearch.add_task(INSTANCE, TASK)
    cloud.faults.add(kind, count=1, operation="DeleteDataTask", match=TASK)
    client = elasticsearch()
    with pytest.raises(UnretryableException):
        delete(client)
    made = [("deleted", TASK)] if kind == "reset_after" else []
    assert cloud.journal.effects() == made
    assert delete(client).result is True
    assert cloud.journal.effects() == [("deleted", TASK)]


def test_a_call_to_the_port_of_another_service(elasticsearch: Build, cloud: Emulators) -> None:
    error = refusal(delete, elasticsearch(service="huawei_oms"))

    assert error.status_code == 404
    assert cloud.journal[-1].code == "APIGW.0101"
