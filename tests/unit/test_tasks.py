"""Listed records, normalized: every documented status, times as the sheets say, and never a guess about deleting."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_cleanup.operation import Operation
from task_cleanup.providers import alibaba_elasticsearch, dms, huawei_oms
from task_cleanup.providers.model import Reply
from task_cleanup.tasks import Status, StatusTable, Task
from tests.support.builders import DATA_TASKS, DMS_LIST, HUAWEI_DMS_LIST, LISTS, OMS_LIST, OPERATIONS, listing, record


def shown(name: str, **changes: Any) -> dict[str, Any]:
    """The one task of a list, as callers see it; a change to None takes the field away."""
    operation = OPERATIONS[name]
    fields = {key: value for key, value in record(operation, **changes).items() if value is not None}
    return _read(operation, fields)


def _read(operation: Operation, fields: Mapping[str, Any]) -> dict[str, Any]:
    return _task(operation, fields).to_dict()


def _task(operation: Operation, fields: Mapping[str, Any]) -> Task:
    assert operation.listing is not None
    page = operation.listing.read(Reply(200, {}, listing(operation, fields).body))
    assert page is not None
    [task] = page.tasks
    return task


# -- statuses ------------------------------------------------

STATUSES: list[tuple[str, object, str, bool]] = [
    (OMS_LIST, 1, "waiting", False),
    (OMS_LIST, 2, "running", False),
    (OMS_LIST, 3, "paused", True),
    (OMS_LIST, 4, "failed", True),
    (OMS_LIST, 5, "succeeded", True),
    (OMS_LIST, 6, "running", False),
    (OMS_LIST, 7, "running", False),
    *(
        (name, *row)
        for name in (DMS_LIST, HUAWEI_DMS_LIST)
        for row in (
            ("CREATED", "waiting", False),
            ("EXECUTING", "running", False),
            ("SUCCESS", "succeeded", True),
            ("FAILED", "failed", True),
            ("CANCELLED", "cancelled", True),
            ("CANCELED", "cancelled", True),
        )
    ),
    (DATA_TASKS, "SUCCESS", "succeeded", True),
]
UNKNOWN: list[tuple[str, object]] = [
    *((OMS_LIST, status) for status in (0, 8, -1, 99, "", None, True, 5.0, "succeeded", [5])),
    *((DMS_LIST, status) for status in ("DELETED", "success", "SUCCESS ", "", None, 5, ["SUCCESS"])),
    *((DATA_TASKS, status) for status in ("FAILED", "RUNNING", "success", "", None, True)),
]


@pytest.mark.parametrize(("name", "status", "meaning", "deletable"), STATUSES)
def test_every_documented_status(name: str, status: object, meaning: str, deletable: bool) -> None:
    task = shown(name, status=status)

    assert (task["status"], task["provider_status"], task["deletable"]) == (meaning, str(status), deletable)
    assert task["why_not"] == (None if deletable else f"the provider refuses while it is {meaning}")


@pytest.mark.parametrize(("name", "status"), UNKNOWN)
def test_any_other_status_is_unknown_and_not_deletable(name: str, status: object) -> None:
    task = shown(name, status=status)

    assert (task["status"], task["deletable"]) == ("unknown", False)
    assert task["why_not"] == "its status is not documented"
    assert (task["ended_at"], task["inferred_end_at"]) == (None, None)
    assert task["age_basis"] in {"created", None}


@pytest.mark.parametrize("table", [alibaba_elasticsearch.STATUSES, dms.STATUSES, huawei_oms.STATUSES])
def test_only_states_with_a_meaning_are_deletable(table: StatusTable) -> None:
    assert table.deletable <= set(table.meanings)

    running = {Status.RUNNING, Status.WAITING, Status.UNKNOWN}

    assert not {table.meanings[word] for word in table.deletable} & running


# -- times ------------------------------------------------

ABSURD_MILLISECONDS = [None, 0, -1, 1, 1795249800, 10**15, 10**400, True, 1795249800000.0, "1795249800000", [1]]


def test_oms_times_are_milliseconds_and_the_end_is_inferred() -> None:
    task = shown(OMS_LIST, start_time=1795249800123, total_time=90_000)

    assert (task["started_at"], task["inferred_end_at"]) == ("2026-11-21T08:30:00.123Z", "2026-11-21T08:31:30.123Z")
    assert (task["created_at"], task["ended_at"], task["age_basis"]) == (None, None, "inferred")


@pytest.mark.parametrize("value", ABSURD_MILLISECONDS, ids=lambda value: repr(value)[:20])
def test_an_oms_task_without_a_usable_start_has_no_age(value: object) -> None:
    """Zero is OMS's "not yet"; seconds taken for milliseconds would make it decades old."""
    task = shown(OMS_LIST, start_time=value)

    assert (task["started_at"], task["inferred_end_at"], task["age_basis"]) == (None, None, None)


@pytest.mark.parametrize("value", [None, -1, -(10**12), 10**400, True, 60_000.0, "60000"], ids=lambda v: repr(v)[:20])
def test_an_oms_task_without_a_usable_duration_has_no_end(value: object) -> None:
    task = shown(OMS_LIST, total_time=value)

    assert (task["started_at"], task["age_basis"]) == ("2026-11-21T08:30:00.000Z", None)
    assert (task["inferred_end_at"], task["ended_at"]) == (None, None)


@pytest.mark.parametrize(
    ("status", "ended"), [(1, False), (2, False), (3, True), (4, True), (5, True), (6, False), (7, False)]
)
def test_an_oms_task_that_still_runs_has_not_ended(status: int, ended: bool) -> None:
    task = shown(OMS_LIST, status=status)

    assert (task["inferred_end_at"] is not None, task["age_basis"] == "inferred") == (ended, ended)
    assert task["ended_at"] is None


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2020-05-15T03:19:51.046Z", "2020-05-15T03:19:51.046Z"),
        ("2020-05-15T03:19:51Z", "2020-05-15T03:19:51.000Z"),
        ("2020-05-15T03:19:51+08:00", "2020-05-14T19:19:51.000Z"),
    ],
)
@pytest.mark.parametrize("name", [DMS_LIST, HUAWEI_DMS_LIST])
def test_dms_times_have_their_zone(name: str, text: str, utc: str) -> None:
    task = shown(name, created_at=text, updated_at=text)

    assert (task["created_at"], task["ended_at"], task["age_basis"]) == (utc, utc, "ended")


ABSURD_TEXTS = [
    None,
    "",
    "2020-05-15T03:19:51",
    "2020-05-15 03:19:51Z",
    "soon",
    1795249800000,
    "2020-13-15T03:19:51Z",
]
ABSURD_TEXTS += [
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "1970-01-01T00:00:00Z",
    "9999-12-31T23:59:59-14:00",
]


@pytest.mark.parametrize("value", ABSURD_TEXTS)
def test_a_dms_task_without_a_usable_time_has_no_age(value: object) -> None:
    task = shown(DMS_LIST, created_at=value, updated_at=value)

    assert (task["created_at"], task["ended_at"], task["age_basis"]) == (None, None, None)


@pytest.mark.parametrize("status", ["CREATED", "EXECUTING", "DELETED", "New"])
def test_the_update_of_a_dms_task_that_is_not_final_is_not_its_end(status: str) -> None:
    """`updated_at` is filled while a task runs, too."""
    task = shown(DMS_LIST, status=status)

    assert (task["created_at"], task["ended_at"], task["age_basis"]) == ("2026-11-21T08:30:00.000Z", None, None)


def test_alibaba_times_have_no_zone_and_are_the_latest_that_they_can_be() -> None:
    """UTC's, and not China's, which is 8 hours earlier."""
    task = shown(DATA_TASKS, createTime="2026-11-21 08:30:00")

    assert (task["created_at"], task["ended_at"], task["age_basis"]) == ("2026-11-21T08:30:00.000Z", None, "created")


@pytest.mark.parametrize(
    "value", [None, "", 0, "2026-11-21", "2026-11-21T08:30:00", "0001-01-01 00:00:00", "1970-01-01 08:00:00", "soon"]
)
def test_an_alibaba_task_without_a_usable_time_has_no_age(value: object) -> None:
    task = shown(DATA_TASKS, createTime=value)

    assert (task["created_at"], task["age_basis"]) == (None, None)


# -- the rest of a record ------------------------------------------------


@pytest.mark.parametrize("name", LISTS)
def test_a_record_with_nothing_but_its_id_is_listed(name: str) -> None:
    operation = OPERATIONS[name]
    key = "taskId" if name == DATA_TASKS else "id"

    task = _read(operation, {key: record(operation)[key]})

    assert (task["task_id"], task["name"], task["group_id"]) == (str(record(operation)[key]), "", None)
    assert (task["status"], task["deletable"], task["age_basis"]) == ("unknown", False, None)


BAD_RECORDS: dict[str, list[object]] = {
    OMS_LIST: [{}, {"id": None}, {"id": True}, {"id": "x"}, {"id": -1}, {"id": "\u0661"}, "text", None, []],
    DMS_LIST: [{}, {"id": None}, {"id": ""}, {"id": 7}, "text", None],
    DATA_TASKS: [{}, {"taskId": None}, {"taskId": ""}, {"taskId": 7}, "text", None],
}


@pytest.mark.parametrize(("name", "bad"), [(name, bad) for name, rows in BAD_RECORDS.items() for bad in rows])
def test_one_record_without_an_id_refuses_the_page(name: str, bad: Any) -> None:
    """A list that cannot be read whole is not read: what is missing from it could be what somebody protects."""
    operation = OPERATIONS[name]

    assert operation.listing is not None
    assert operation.listing.read(Reply(200, {}, listing(operation, record(operation), bad).body)) is None


@pytest.mark.parametrize("task_id", [191297407830872, "191297407830872"])
def test_an_oms_id_may_be_a_number_or_text(task_id: object) -> None:
    assert shown(OMS_LIST, id=task_id)["task_id"] == "191297407830872"


@pytest.mark.parametrize(("group", "expected"), [("9f6c", "9f6c"), ("", None), (None, None)])
def test_an_oms_task_may_belong_to_a_group(group: object, expected: object) -> None:
    assert shown(OMS_LIST, group_id=group)["group_id"] == expected


@pytest.mark.parametrize(("count", "total"), [("4", 4), (4, 4), ("0004", 4)])
def test_the_dms_count_is_text(count: object, total: int) -> None:
    page = dms.read_page(Reply(200, {}, json.dumps({"task_count": count, "tasks": []}).encode()))

    assert page is not None
    assert page.total == total


@pytest.mark.parametrize("params", ["", "{}", '{"password": "testSecretFake"}', "not json {", None, 7])
def test_dms_params_are_not_read(params: object) -> None:
    """JSON in a string, whatever it says."""
    assert shown(DMS_LIST, params=params) == shown(DMS_LIST)


# What is otherwise once something has happened to a task, and what moves by itself.
HAPPENED: list[tuple[str, dict[str, Any]]] = [
    (OMS_LIST, {"start_time": 1795250000001}),
    (OMS_LIST, {"total_time": 12345}),
    (OMS_LIST, {"successful_num": 12345}),
    (OMS_LIST, {"failed_num": 12345}),
    (OMS_LIST, {"complete_size": 12345}),
    (OMS_LIST, {"start_time": None}),
    (DMS_LIST, {"created_at": "2026-11-21T08:30:01.000Z"}),
    (DATA_TASKS, {"createTime": "2026-11-21 08:30:01"}),
    (DATA_TASKS, {"sinkCluster": {"index": "another"}}),
]
BY_ITSELF: list[tuple[str, dict[str, Any]]] = [
    (OMS_LIST, {"left_time": 12345}),
    (OMS_LIST, {"migrate_speed": 12345}),
    (OMS_LIST, {"status": 2, "total_time": 12345}),  # while it runs
    (DMS_LIST, {"updated_at": "2026-11-21T09:30:00.000Z"}),
    (DMS_LIST, {"params": '{"password": "testSecretFake"}'}),
]


@pytest.mark.parametrize(
    ("name", "changes", "differs"), [(*it, True) for it in HAPPENED] + [(*it, False) for it in BY_ITSELF]
)
def test_what_is_raw_changes_only_if_something_happens_to_the_task(
    name: str, changes: dict[str, Any], differs: bool
) -> None:
    operation = OPERATIONS[name]
    status = {"status": changes["status"]} if "status" in changes else {}
    one, other = (_task(operation, record(operation, **each)).raw for each in (status, changes))

    assert (one != other) is differs


# -- Alibaba's two sides ------------------------------------------------

ADDRESS = {"dataSourceType": "elasticsearch", "index": "a", "type": "_doc", "endpoint": "http://192.0.2.10:9200"}
ADDRESS |= {"vpcId": "vpc-1", "vpcInstanceId": "vpc-1-i", "vpcInstancePort": "9200"}
NAMES = {"dataSourceType": "elasticsearch", "index": "b", "type": "_doc"}


@pytest.mark.parametrize(("source", "sink"), [(ADDRESS, NAMES), (NAMES, ADDRESS)], ids=["sample", "table"])
def test_source_and_sink_are_kept_whichever_way_round_they_come(source: dict[str, str], sink: dict[str, str]) -> None:
    task = shown(DATA_TASKS, sourceCluster=source, sinkCluster=sink)

    assert task["provider_detail"] == {"sourceCluster": source, "sinkCluster": sink}
    assert task["name"] == source["index"]


def test_a_port_may_be_a_number_and_long_texts_are_clipped() -> None:
    kept = shown(DATA_TASKS, sourceCluster={**ADDRESS, "vpcInstancePort": 9200, "type": "t" * 5000})

    source = kept["provider_detail"]["sourceCluster"]

    assert (source["vpcInstancePort"], source["type"]) == ("9200", "t" * 256)


SECRET = "testSecretFake"
WRITTEN = {"settings": '{"password": "testSecretFake"}', "mapping": SECRET, "routing": SECRET}


def test_only_names_and_addresses_go_on() -> None:
    """The create call of the same service sent passwords back, and anything may be in documents and nested values."""
    source = {**ADDRESS, **WRITTEN, "username": "elastic", "password": SECRET, "vpcId": {"password": SECRET}}
    task = shown(DATA_TASKS, sourceCluster=source, sinkCluster={**NAMES, **WRITTEN}, password=SECRET)

    left = {name: value for name, value in ADDRESS.items() if name != "vpcId"}

    assert task["provider_detail"] == {"sourceCluster": left, "sinkCluster": NAMES}
    assert SECRET not in json.dumps(task)


def endpoint_shown(endpoint: object) -> str | None:
    kept = shown(DATA_TASKS, sourceCluster={**ADDRESS, "endpoint": endpoint})["provider_detail"]["sourceCluster"]
    assert {**ADDRESS, **kept} == {**ADDRESS, **({"endpoint": kept["endpoint"]} if "endpoint" in kept else {})}
    shown_endpoint: str | None = kept.get("endpoint")
    return shown_endpoint


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        ("http://192.0.2.10:9200", "http://192.0.2.10:9200"),
        ("es-cn-fake1.elasticsearch.example", "es-cn-fake1.elasticsearch.example"),
        ("HTTPS://[2001:db8::1]:9200", "HTTPS://[2001:db8::1]:9200"),
        ("http://elastic:testSecretFake@192.0.2.10:9200", "http://192.0.2.10:9200"),
        ("elastic:testSecretFake@192.0.2.10:9200", "192.0.2.10:9200"),
        ("testSecretFake@192.0.2.10", "192.0.2.10"),
        ("http://elastic:test@Secret@Fake@192.0.2.10:9200", "http://192.0.2.10:9200"),
        ("http://elastic:test%40SecretFake%2F@192.0.2.10:9200", "http://192.0.2.10:9200"),
        ("http://192.0.2.10:9200/testSecretFake?token=testSecretFake#testSecretFake", "http://192.0.2.10:9200"),
        # Where the host is not certain, nothing is shown.
        ("http://elastic:test/SecretFake@192.0.2.10:9200", None),
        ("http://elastic:12/SecretFake@192.0.2.10:9200", None),
        ("http://192.0.2.10:9200/?mail=a@testSecretFake", None),
        ("http://elastic:testSecretFake%40192.0.2.10:9200", None),
        ("http://elastic:testSecretFake", None),
        ("//elastic:testSecretFake@192.0.2.10", None),
        ("ftp://testSecretFake", None),
        ("", None),
        ({"url": "testSecretFake"}, None),
        (["testSecretFake"], None),
        (None, None),
    ],
)
def test_of_an_endpoint_nothing_but_scheme_host_and_port_goes_on(endpoint: object, address: str | None) -> None:
    assert endpoint_shown(endpoint) == address


@given(st.text() | st.text(alphabet="ab:/@?#%4\\[]. \n"), st.sampled_from(["", "http://", "https://"]), st.booleans())
def test_whatever_user_information_goes_in_none_of_it_comes_out(text: str, scheme: str, path: bool) -> None:
    sent = f"{scheme}{text}@192.0.2.10:9200{'/a?b=' + text.replace('@', '') if path else ''}"

    # Without a scheme, the text may bring one.
    assert endpoint_shown(sent) in {None, *(known + "192.0.2.10:9200" for known in {scheme, "http://", "https://"})}


@pytest.mark.parametrize("side", [None, "text", 7, [], {}])
def test_a_missing_side_is_empty_and_the_sink_gives_the_name(side: object) -> None:
    task = shown(DATA_TASKS, sourceCluster=side, sinkCluster=NAMES)

    assert task["provider_detail"] == {"sourceCluster": {}, "sinkCluster": NAMES}
    assert task["name"] == "b"


@pytest.mark.parametrize("name", [OMS_LIST, DMS_LIST, HUAWEI_DMS_LIST])
def test_of_the_other_services_no_field_goes_on_that_is_not_a_name_a_state_or_a_time(name: str) -> None:
    nested = {"bucket": SECRET, "ak": SECRET, "sk": SECRET, "json_auth_file": SECRET}
    more = {"src_node": nested, "dst_node": nested, "source_cdn": nested, "description": SECRET, "params": SECRET}

    more |= {"error_reason": {"error_msg": SECRET}, "smn_info": nested, "user_name": SECRET, "user_id": SECRET}

    assert shown(name, **more) == {**shown(name), "provider_detail": {}}


@pytest.mark.parametrize("escape", ["\\ud800", "\\uDFFF", "\\udc00\\ud800"])
def test_half_a_surrogate_pair_in_a_name_is_replaced(escape: str) -> None:
    """JSON can name it and UTF-8 cannot hold it: neither Lambda's reply nor a log line could be written."""
    body = listing(OPERATIONS[OMS_LIST], record(OPERATIONS[OMS_LIST], name="a-NAME-\U0001f600")).body

    page = huawei_oms.read_page(Reply(200, {}, body.replace(b"NAME", escape.encode())))

    assert page is not None
    assert page.tasks[0].name == "a-" + "?" * (len(escape) // 6) + "-\U0001f600"
