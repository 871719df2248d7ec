"""Every error code that the providers document, by what the contract says it means.

``provider_codes.json`` is transcribed from the providers' tables: code, HTTP status, whether a retry is said to
help, and the expected category (several where the provider's words allow more than one reading; ``unchanged`` where
they say "treat as done").
"""

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from task_cleanup.errors import Category
from task_cleanup.providers import dms, huawei_oms
from task_cleanup.providers.model import Reply
from task_cleanup.results import Outcome, Result
from tests.support.builders import (
    CANCEL_TASK,
    LISTS,
    OF_EACH_KIND,
    OMS_DELETE,
    OMS_STOP,
    OPERATIONS,
    WITH_PROJECT,
    Answer,
    refusal,
    world,
)
from tests.support.builders import NAMES as ALL_NAMES
from tests.support.cases import case

# The two clouds with DMS have one table (a test below holds that): one of them is enough here.
NAMES = [name for name in ALL_NAMES if not name.startswith("otc.dms.")]
TABLES: dict[str, list[dict[str, Any]]] = json.loads(Path(__file__).with_name("provider_codes.json").read_bytes())
RETRYABLE = {"throttled", "unavailable", "timeout", "conflict"}
# The retry column, as the contract maps it.
YES = {"yes", "yes, backoff", "yes, back off", "yes, few times", "yes, same token", "maybe once"}
LATER = {"later", "yes, slowly", "after a wait", "yes, after a stop"}
BY_SENSE = {
    "no",
    "renew, once",
    "renew token once",
    "re-sign once",
    "after clock correction",
    "after credential refresh, once",
}


def tables_of(name: str) -> list[str]:
    """The table of an operation's service; for one operation of each kind that of the gateway before it, too."""
    service = OPERATIONS[name].service
    own = "dms" if service.name == "dms" else service.id
    before = ["gateway"] if service.provider != "alibaba" and name in OF_EACH_KIND else []
    assert own in TABLES, f"a service needs a table of its codes in provider_codes.json, from its page: {own}"
    return [*before, own]


def settle(name: str, code: str, status: int) -> Result:
    """The result of a call whose every attempt is answered with this code."""
    return world(name, refusal(OPERATIONS[name], code, status)).run()


# The codes that mean an operation's wanted state. "Already started" (`OMS.0065`) is no stop.
WANTED_STATE = {
    CANCEL_TASK: {"RepetitionOperationError"},
    OMS_DELETE: {"OMS.1009"},
    OMS_STOP: {"OMS.0066", "OMS.0070", "OMS.1009"},
}


@pytest.mark.parametrize("name", NAMES)
def test_every_documented_code_means_what_the_contract_says(name: str) -> None:
    """And `unchanged` is the wanted state only: Alibaba and DMS have no known code for a missing task."""
    unchanged = set()

    for row in (row for table in tables_of(name) for row in TABLES[table]):
        with case(row["code"], row["status"]):
            result = settle(name, row["code"], row["status"])
            _check_meaning(name, row, result)
            _check_looks(name, row, result)
            unchanged |= {row["code"]} if result.outcome is Outcome.UNCHANGED else set()

    assert unchanged == set(OPERATIONS[name].already_done_codes) == WANTED_STATE.get(name, set())


def _check_looks(name: str, row: dict[str, Any], result: Result) -> None:
    """A known refusal costs no look, unless it has two senses or can come after the change was made."""
    look, error = OPERATIONS[name].look, result.error
    assert error is not None
    is_open = row["status"] >= 500 or error.category is Category.UNAVAILABLE
    doubt = look is not None and (error.code in look.doubtful_codes or is_open)
    certain = result.outcome is Outcome.UNCHANGED or error.category is Category.THROTTLED
    assert bool(result.looks) is (doubt and not certain)


def _check_meaning(name: str, row: dict[str, Any], result: Result) -> None:
    assert result.error is not None
    assert (result.error.code, result.http_status) == (row["code"], row["status"])
    assert result.outcome is not Outcome.SUCCEEDED
    if row["expected"] == ["unchanged"]:
        assert not result.retryable
        holds = row["code"] in WANTED_STATE.get(name, set())
        assert result.outcome is (Outcome.UNCHANGED if holds else Outcome.FAILED)
        return
    assert result.error.category.value in row["expected"]
    if row["code"] in WANTED_STATE.get(name, set()):
        assert (result.outcome, result.retryable) == (Outcome.UNCHANGED, False)
        return
    is_conflict = result.error.category is Category.CONFLICT
    assert result.outcome is (Outcome.CONFLICT if is_conflict else Outcome.FAILED)
    assert result.retryable is (result.error.category.value in RETRYABLE)


@pytest.mark.parametrize("table", TABLES)
def test_the_expected_categories_follow_from_the_retry_column(table: str) -> None:
    """The data file itself is held to the contract: yes is unavailable or throttled, later is conflict."""
    for row in TABLES[table]:
        expected, retry = set(row["expected"]), row["retry"]
        if retry in YES:
            assert expected <= {"unavailable", "throttled", "timeout"}, row
        elif retry in LATER:
            assert expected == {"conflict"}, row
        elif retry == "treat as done":
            assert expected == {"unchanged"}, row
        elif retry == "retried by others":
            assert expected <= RETRYABLE, row
        else:
            assert retry in BY_SENSE, row
            assert not expected & RETRYABLE, row


@pytest.mark.parametrize("name", ["error_reason", "success_record_error_reason", "skip_record_error_reason"])
@pytest.mark.parametrize("code", ["TRF.0001", "OMS.1009", "APIGW.0301"])
def test_what_an_oms_task_failed_for_is_no_error_of_the_call_that_shows_it(name: str, code: str) -> None:
    """Taken for one, the task would look as if it were gone, or the key as if it were rejected."""
    record = {"id": 1, "status": 4, name: {"error_code": code, "error_msg": "no"}}

    assert huawei_oms.SERVICE.read_error(Reply(200, {}, json.dumps(record).encode())) is None


def test_both_clouds_with_dms_read_errors_alike() -> None:
    assert vars(dms.HUAWEI.errors) == vars(dms.OTC.errors)
    assert dms.HUAWEI.read_error is dms.OTC.read_error


def test_both_gateway_prefixes_are_in_the_data() -> None:
    codes = {row["code"] for row in TABLES["gateway"]}

    numbers = {code.partition(".")[2] for code in codes}

    assert codes == {f"{prefix}.{number}" for prefix in ("APIGW", "APIG") for number in numbers}
    assert len(numbers) >= 19


@pytest.mark.parametrize("name", NAMES)
def test_the_code_has_no_category_for_a_code_that_no_sheet_lists(name: str) -> None:
    """A table entry without a source would be a guess."""
    known = {row["code"] for table in TABLES.values() for row in table}

    assert set(OPERATIONS[name].service.errors.codes) <= known


ALIBABA = [name for name in NAMES if OPERATIONS[name].service.provider == "alibaba"]
UNKNOWN = ["Unheard.Of", "OMS.9999", "DMS.99999999", "APIGW.9999", "APIG.0624", "TRF.0001", "S3M.0001", "x"]


# What a status says where no code does; any other is `provider_error`.
BY_STATUS = {401: Category.UNAUTHENTICATED, 403: Category.FORBIDDEN, 429: Category.THROTTLED}
BY_STATUS |= dict.fromkeys((408, 500, 502, 503, 504), Category.UNAVAILABLE)
STATUSES = [*BY_STATUS, 200, 201, 202, 301, 302, 307, 400, 404, 405, 409, 410, 413, 418, 422, 501, 505]


@pytest.mark.parametrize("name", OF_EACH_KIND)
def test_an_unknown_code_leaves_the_word_to_the_status_and_is_never_a_success(name: str) -> None:
    """A new code for "too many requests" must be tried again like the known ones."""
    for code, status in [*product(UNKNOWN[:1], STATUSES), *product(UNKNOWN, [200, 404, 503])]:
        with case(code, status):
            _check_unknown(name, code, status)


def _check_unknown(name: str, code: str, status: int) -> None:
    result = settle(name, code, status)
    expected = BY_STATUS.get(status, Category.PROVIDER_ERROR)
    assert result.error is not None
    assert (result.outcome, result.error.category, result.error.code) == (Outcome.FAILED, expected, code)
    # CancelTask is not repeated where it may have been carried out.
    repeated = {Category.THROTTLED} if name == CANCEL_TASK else {Category.THROTTLED, Category.UNAVAILABLE}
    retryable = expected in {Category.THROTTLED, Category.UNAVAILABLE}
    assert (result.retryable, result.attempts > 1) == (retryable, expected in repeated)


OF_THROTTLING = ["ThrottlingUser", "ThrottlingException", "RejectedThrottling", "Throttling.New", "Throttled"]


@pytest.mark.parametrize("name", OF_EACH_KIND)
def test_an_unknown_code_that_speaks_of_throttling_is_throttled(name: str) -> None:
    for code, status in [*product(OF_THROTTLING, [400]), *product(OF_THROTTLING[:1], [200, 403, 503])]:
        with case(code, status):
            result = settle(name, code, status)
            assert result.error is not None
            assert (result.outcome, result.error.category) == (Outcome.FAILED, Category.THROTTLED)


BEGINNINGS = [
    "InvalidAccessKeyId.New",
    "InvalidSecurityToken.New",
    "Forbidden.New",
    "MissingNew",
    "InvalidNew",
    "DMS.0040",
]
OTHER_SPELLINGS = ["OMS.10090", "instancenotfound", "InstanceNotFound ", "oms.1009", "THROTTLING"]


@pytest.mark.parametrize("name", NAMES)
def test_the_beginning_of_a_known_code_and_other_spellings_are_no_knowledge(name: str) -> None:
    for code in (*BEGINNINGS, *OTHER_SPELLINGS):
        with case(code):
            result = settle(name, code, 400)
            assert result.error is not None
            assert result.error.category is Category.PROVIDER_ERROR


BODIES = [b"", b"<html>404</html>", b"[]", b'{"unexpected": true}', b"{", b"\xff\xfe"]


@pytest.mark.parametrize("name", OF_EACH_KIND)
def test_without_a_readable_code_the_status_decides(name: str) -> None:
    statuses = [status for status in STATUSES if status >= 300]
    for body, status in [*product(BODIES[:1], statuses), *product(BODIES, [404, 503])]:
        with case(body, status):
            result = world(name, Answer(status, body)).run()
            assert result.error is not None
            expected = BY_STATUS.get(status, Category.PROVIDER_ERROR)
            assert (result.outcome, result.error.category) == (Outcome.FAILED, expected)


# The shapes that the providers' own SDKs read.
SHAPES = [
    {"error_code": "CODE", "error_msg": "text"},
    {"errorCode": "CODE", "errorMsg": "text"},
    {"code": "CODE", "message": "text"},
    {"error": {"code": "CODE", "message": "text"}},
    {"anything": {"error_code": "CODE", "error_msg": "text"}},
]


@pytest.mark.parametrize("name", [name for name in OF_EACH_KIND if OPERATIONS[name].service.provider != "alibaba"])
def test_every_error_shape_that_the_huawei_sdk_reads_is_read(name: str) -> None:
    for shape, status in product(SHAPES, [200, 400]):
        with case(shape, status):
            body = json.dumps(shape).replace("CODE", "APIGW.0304").encode()
            result = world(name, Answer(status, body)).run()
            assert result.error is not None
            assert (result.error.code, result.error.message) == ("APIGW.0304", "text")
            assert result.error.category is Category.FORBIDDEN


@pytest.mark.parametrize("name", ALIBABA)
@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("shape", [{"Code": "InstanceNotFound", "Message": "text"}, {"code": "InstanceNotFound"}])
def test_an_alibaba_error_is_read_also_inside_a_200(name: str, shape: dict[str, str], status: int) -> None:
    body = {**shape, "Result": True, "RequestId": "ABC"}

    result = world(name, Answer(status, json.dumps(body).encode())).run()

    assert result.error is not None
    assert (result.error.category, result.error.code) == (Category.NOT_FOUND, "InstanceNotFound")
    assert result.request_id == "ABC"


@pytest.mark.parametrize("name", WITH_PROJECT)
def test_provider_fields_that_official_sdks_drop_are_kept_in_detail(name: str) -> None:
    body = b'{"error_code": "OMS.0064", "error_msg": "bad", "error_detail": "description"}'

    result = world(name, Answer(400, body, {"X-Request-Id": "f" * 32})).run()

    assert result.error is not None
    assert "description" in json.dumps(result.error.detail)
    assert result.request_id == "f" * 32


@pytest.mark.parametrize("name", [name for name in ALIBABA if name not in LISTS])
def test_result_false_is_a_failure_with_its_own_code(name: str) -> None:
    result = world(name, Answer(200, b'{"Result": false, "RequestId": "ABC"}')).run()

    assert result.error is not None
    assert (result.outcome, result.error.category) == (Outcome.FAILED, Category.PROVIDER_ERROR)
    assert (result.error.code, result.retryable, result.attempts) == ("ResultFalse", False, 1)


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    "body",
    [
        {"Result": False},
        {"Result": True},
        {"Result": {}, "tasks": {}, "count": 0, "task_count": "0"},
        {"Result": ["text"], "tasks": ["text"], "count": 1, "task_count": "1"},
        {"Result": [{"status": "SUCCESS"}], "tasks": [{"status": 5}], "count": 1, "task_count": "1"},
        {"Result": None, "tasks": []},
        {"tasks": [], "count": "0", "task_count": "none"},
        {"tasks": [], "count": True, "task_count": True},
        {"tasks": [], "count": -1, "task_count": "-1"},
        {"tasks": [], "count": None, "task_count": "9" * 5000},
    ],
    ids=lambda body: json.dumps(body)[:60],
)
def test_a_200_that_is_not_the_promised_list_is_a_failure_not_an_empty_list(name: str, body: dict[str, Any]) -> None:
    """A 2xx whose body is not what the sheet promises is `provider_error`; nor does a record without an id pass."""
    result = world(name, Answer(200, json.dumps(body).encode())).run()

    assert result.error is not None
    assert (result.outcome, result.error.category) == (Outcome.FAILED, Category.PROVIDER_ERROR)
    assert (result.error.code, result.listed) == ("UnexpectedReply", None)
