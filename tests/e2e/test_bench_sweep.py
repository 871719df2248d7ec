"""The bench measures what it says: the estate, the stand-ins' counts, the lines, the model, and a tiny run of it."""

import json
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import requests

from bench.sweep import fit, model, page
from bench.sweep.__main__ import SAMPLES
from bench.sweep.aws import REQUEST, Server, State
from bench.sweep.estate import estate, policy
from bench.sweep.gauge import Gauge
from bench.sweep.measure import disagreement, measure_all
from task_cleanup.providers import dms, huawei_oms
from task_cleanup.sweep import bus, delete_events, lister
from task_cleanup.sweep.services import SERVICES
from task_cleanup.validation import RequestValidator
from tests.support.functions import ROOT, request_schema
from tests.support.template import template

DOCS = ROOT / "docs"
SIZES = [(100_000, 200), (200, 4), (1_001, 7), (401, 4), (200, 200), (99, 3)]

# -- the model ------------------------------------------------


def test_the_model_lists_as_many_calls_as_one_counts_by_hand() -> None:
    """50 targets of a service with 500 tasks: one call where there are no pages, else 100 tasks and five times 99."""
    assert [model.Targets("any", 50, 500, paged=paged).list_calls for paged in (False, True)] == [50, 300]


@pytest.mark.parametrize(("tasks", "targets"), SIZES)
def test_the_model_s_targets_are_the_estate_s(tasks: int, targets: int) -> None:
    places = estate(tasks, targets)
    calls: Counter[str] = Counter()

    for place in places:
        calls[place.provider] += 1 if place.provider == "alibaba" else -(-place.tasks // 99)

    assert sum(place.tasks for place in places) == tasks
    assert model.list_calls(model.even(tasks, targets)) == calls


def test_the_model_s_numbers_are_the_code_s_and_the_template_s() -> None:
    schema = request_schema("sweep")
    resources = template()["Resources"]
    queue = resources["HuaweiOmsDeleteTaskFunction"]["Properties"]["Events"]["Queue"]["Properties"]
    parameters = template()["Parameters"]

    stack = model.Stack()

    assert (model.AT_ONCE, model.SENDERS, model.ENTRIES) == (lister.MAX_CALLS, bus.SENDERS, bus.BATCH)
    assert {model.PAGE + 1} == {huawei_oms.PAGE_SIZE, dms.PAGE_SIZE}
    assert schema["properties"]["limits"]["properties"]["max_tasks"]["maximum"] == model.MOST_TASKS
    assert delete_events.REQUEST_LIFETIME.total_seconds() == model.LIFETIME
    assert schema["properties"]["targets"]["maxItems"] == model.MOST_TARGETS
    assert stack.batch == queue["BatchSize"]
    assert stack.concurrency == parameters["MaximumConcurrency"]["Default"]
    assert stack.memory * 1024 == parameters["MemorySize"]["Default"]
    assert stack.sweep_memory * 1024 == resources["SweepFunction"]["Properties"]["MemorySize"]
    assert stack.retention_days == parameters["ReportRetentionDays"]["Default"]


def test_waiting_is_of_the_slowest_provider_with_no_more_at_once_than_it_has_targets() -> None:
    few = [model.Targets("alibaba", 1, 500, paged=False), model.Targets("otc", 2, 450, paged=True)]

    many = [model.Targets("otc", 160, 0, paged=True)]

    assert model.waiting(few, 0.5) == 2.5  # ten pages, two at once
    assert model.waiting(many, 0.5) == 5.0  # 160 calls, 16 at once


def test_the_longer_of_waiting_and_working_is_predicted() -> None:
    groups = [model.Targets("slow", 100, 500, paged=True), model.Targets("quick", 100, 500, paged=False)]
    lazy = model.predict(100_000, groups, 0.02, model.Work(0, 0))

    busy = model.predict(100_000, groups, 0.02, model.Work(0.0003, 0.01))

    assert (lazy.put_events_calls, lazy.listing, lazy.requesting) == (10_001, 600 * 0.02 / 16, 10_001 * 0.02 / 4)
    assert [busy.listing, busy.requesting] == pytest.approx([30, 100.01])


def test_a_queue_drains_at_its_workers_pace_or_at_the_provider_s_limit() -> None:
    stack = model.Stack(batch=5)
    pace = model.Pace(
        look=0.03, provider_call=0.07, publish=0.05, own_work=0.04, batch_overhead=0.05
    )  # 1 s for a batch

    free, limited = (model.drain(90_000, 4, stack, pace, limit) for limit in (None, 1.0))

    assert [free.rate, free.seconds] == pytest.approx([20, 4_500])
    assert [limited.rate, limited.seconds] == [1.0, 90_000.0]
    assert [free.in_time, limited.in_time] == [True, False]


@pytest.mark.parametrize("limit", [1.0, 10.0, 99.9, 100.0, 200.0])
def test_the_advised_concurrency_is_the_last_within_the_limit(limit: float) -> None:
    stack, pace = model.Stack(), model.Pace()

    most = model.concurrency_for(limit, stack, pace)

    assert model.drain(1, most + 1, stack, pace).rate > limit
    assert most == 0 or model.drain(1, most, stack, pace).rate <= limit


def test_the_bill_grows_with_the_messages_and_arm_is_cheaper() -> None:
    sweeps = model.Sweeps(runs=10, seconds=100, document_bytes=10**8, summary_bytes=100_000)

    one, two, x86 = (
        {item.name: item.usd for item in model.bill(tasks, sweeps, architecture)}
        for tasks, architecture in ((10**6, "arm64"), (2 * 10**6, "arm64"), (10**6, "x86_64"))
    )

    assert one["SQS"] == pytest.approx(2.0 * 0.40)  # a message each, a batch of two twice
    assert one["EventBridge"] == pytest.approx(2.0 + 20 / 10**6)  # a summary of 100 kB counts as two
    assert one["Lambda, invocations"] == pytest.approx(0.10)
    assert one["Lambda, sweeps"] == pytest.approx(1000 * 0.0000133334)
    for name in ("Lambda, deletes", "Lambda, invocations", "SQS", "Logs"):
        assert two[name] == pytest.approx(2 * one[name])
    assert x86["Lambda, deletes"] == pytest.approx(1.25 * one["Lambda, deletes"], rel=1e-4)


# -- the line ------------------------------------------------


def test_a_straight_line_has_nothing_left_over() -> None:
    found = fit.line([1, 3, 10], [7, 11, 25])

    assert [found.base, found.slope] == pytest.approx([5, 2])
    assert found.residuals == pytest.approx((0, 0, 0))


def test_what_is_not_straight_is_said() -> None:
    values = [1.0, 4.0, 9.0, 16.0]

    found = fit.line([1, 2, 3, 4], values)

    assert found.residuals == pytest.approx((1, -1, -1, 1))
    assert found.worst(values) == pytest.approx(1 / 16)


def test_one_size_is_no_line() -> None:
    with pytest.raises(ValueError, match="two different sizes"):
        fit.line([5, 5], [1, 2])


# -- what there is to sweep ------------------------------------------------


@pytest.mark.parametrize(("tasks", "targets"), SIZES)
def test_the_policy_is_one_that_the_function_takes(tasks: int, targets: int) -> None:
    places = estate(tasks, targets)

    request = RequestValidator(request_schema("sweep")).validate(policy(places, "apply"))

    assert len(request["targets"]) == targets
    assert {place.service for place in places} == set(list(SERVICES)[:targets])


def test_no_id_is_there_twice() -> None:
    for place in estate(2_000, 8):
        records = list(place.records(datetime.now(UTC)))
        assert len({record["task_id"] for record in records}) == len(records) == place.tasks


@pytest.mark.parametrize(("tasks", "targets"), [(3, 4), (1_000, 201), (1_000, -1)])
def test_an_estate_that_no_request_can_name_is_refused(tasks: int, targets: int) -> None:
    with pytest.raises(ValueError, match="targets"):
        estate(tasks, targets)


# -- the counts ------------------------------------------------


def test_the_gauge_counts_calls_that_overlap() -> None:
    gauge, both = Gauge(), threading.Barrier(2, timeout=10)

    def call() -> None:
        with gauge.call("huawei"):
            both.wait()

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with gauge.call("huawei"), gauge.call("otc"):
        pass
    taken = gauge.take()
    assert {name: (each["calls"], each["most_at_once"]) for name, each in taken.items()} == {
        "huawei": (3, 2),
        "otc": (1, 1),
    }
    assert gauge.take() == {}


@pytest.fixture
def aws() -> Any:
    server = Server(State(latency=0))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def call(server: Server, action: str, body: Mapping[str, Any]) -> requests.Response:
    headers = {"X-Amz-Target": action, "Connection": "close"}
    return requests.post(server.url + "/", data=json.dumps(body), headers=headers, timeout=10)


def test_the_stand_in_counts_a_delete_that_is_asked_for_twice_once(aws: Server) -> None:
    details = [{"operation": "x", "task_id": number} for number in (1, 2, 1)] + [{"outcome": "requested"}]
    entries = [
        {"DetailType": REQUEST if "task_id" in detail else "Sweep Completed", "Detail": json.dumps(detail)}
        for detail in details
    ]
    assert call(aws, "AWSEvents.PutEvents", {"Entries": entries}).json()["FailedEntryCount"] == 0
    state: State = aws.RequestHandlerClass.state  # type: ignore[attr-defined]

    taken = state.take()

    assert (taken["requested"], taken["events"][REQUEST], taken["outcomes"]) == (2, 3, ["requested"])
    assert taken["largest_event"] == max(len(json.dumps(detail)) for detail in details)
    assert taken["calls"]["put_events"]["calls"] == 1


def test_the_stand_in_keeps_the_conditions_of_a_put(aws: Server) -> None:
    url, close = aws.url + "/bucket/key", {"Connection": "close"}

    def put(**condition: str) -> requests.Response:
        return requests.put(url, data=b"text", headers={**close, **condition}, timeout=10)

    assert requests.get(url, headers=close, timeout=10).status_code == 404
    first = put(**{"If-None-Match": "*"})
    assert [first.status_code, put(**{"If-None-Match": "*"}).status_code] == [200, 412]
    assert [put(**{"If-Match": '"other"'}).status_code, put(**{"If-Match": first.headers["ETag"]}).status_code] == [
        412,
        200,
    ]
    assert requests.get(url, headers=close, timeout=10).content == b"text"


def test_the_stand_in_refuses_what_it_would_count_wrongly(aws: Server) -> None:
    close = {"Connection": "close"}
    chunked = requests.put(
        aws.url + "/b/k", data=b"", headers={**close, "Content-Encoding": "aws-chunked"}, timeout=10
    )
    part = requests.put(aws.url + "/b/k?partNumber=1", data=b"", headers=close, timeout=10)

    unknown = call(aws, "AWSEvents.DescribeEventBus", {})

    assert [chunked.status_code, part.status_code, unknown.status_code] == [501, 501, 400]


GOOD: Mapping[str, Any] = {
    "outcomes": ["requested"],
    "requested": 5,
    "events": {REQUEST: 5, "Sweep Completed": 1},
    "calls": {"put_events": {}},
}


def test_a_good_run_disagrees_with_nothing() -> None:
    assert not disagreement(5, "apply", {"batchItemFailures": []}, GOOD)


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"outcomes": ["refused"]}, "outcome"),
        ({"outcomes": []}, "outcome"),
        ({"requested": 4}, "different tasks"),
        ({"events": {REQUEST: 6}}, "requests"),
        ({"calls": {"sqs": {}}}, "dead letters"),
    ],
)
def test_a_sweep_that_does_something_else_is_not_measured(wrong: Mapping[str, Any], word: str) -> None:
    assert word in disagreement(5, "apply", {"batchItemFailures": []}, {**GOOD, **wrong})


def test_a_sweep_that_comes_again_is_not_measured() -> None:
    assert "reply" in disagreement(5, "apply", {"batchItemFailures": [{"itemIdentifier": "1"}]}, GOOD)


# -- a tiny run, and the page ------------------------------------------------


def test_a_tiny_run_measures_every_mode() -> None:
    report, planned, apply = measure_all([200], 0, 60, lambda _: None, targets=4)
    assert (report.mode, planned.mode, apply.mode) == ("report", "plan", "apply")
    # An apply of a report lists everything a second time.
    assert report.calls == planned.calls == apply.calls == model.list_calls(model.even(200, 4))
    assert apply.put_events_calls == planned.put_events_calls == model.put_events_calls(200)
    assert report.put_events_calls == 1  # the summary
    for measure in (report, planned, apply):
        assert (measure.tasks, measure.targets) == (200, 4)
        assert 1 <= max(measure.most_at_once.values()) <= lister.MAX_CALLS
        assert 10_000_000 < measure.loaded_bytes <= measure.peak_bytes
        assert min(measure.seconds, measure.cpu_seconds, measure.listing_seconds) > 0
        assert min(measure.report_bytes, measure.page_bytes, measure.summary_event_bytes) > 1_000
    measured = (report, planned, apply)
    both = [*measured, *(replace(measure, tasks=400, targets=8) for measure in measured)]
    facts = json.loads(SAMPLES.read_text())
    del facts["measures"]

    again, said = page.read(json.loads(json.dumps(page.data(both, facts))))

    assert (again, said) == (both, facts)
    assert "200 | 4 | apply" in page.generated(again, said)


def test_a_goal_that_is_missed_is_said() -> None:
    measures, _ = page.read(json.loads(SAMPLES.read_text()))
    worse = [replace(m, seconds=301, peak_bytes=513 * 2**20, most_at_once={"otc": 17}) for m in measures]
    assert [met for _, met in page.verdicts(worse)] == [False, False, False]

    edge = [replace(m, seconds=299, peak_bytes=511 * 2**20, most_at_once={"otc": 16}) for m in measures]

    assert [met for _, met in page.verdicts(edge)] == [True, True, True]


def test_the_page_and_the_plot_are_what_the_figures_say() -> None:
    """After a change of the model or of the page: ``python -m bench.sweep --redraw``."""
    measures, facts = page.read(json.loads(SAMPLES.read_text()))

    written = (DOCS / "scale.md").read_text()

    assert page.inserted(written, page.generated(measures, facts)) == written
    assert (DOCS / "scale.svg").read_text() == page.plot(measures)


def test_the_plot_is_xml_with_a_point_for_each_run() -> None:
    measures, _ = page.read(json.loads(SAMPLES.read_text()))
    root = ET.fromstring(page.plot(measures))

    circles = root.findall("{http://www.w3.org/2000/svg}circle")

    modes = {measure.mode for measure in measures}
    assert len(circles) == 2 * (len(measures) + len(modes))  # in either panel, with its legend


@pytest.mark.parametrize(
    "document", ["", page.BEGIN, page.END, page.BEGIN + page.END + page.END, page.BEGIN * 2 + page.END]
)
def test_a_page_without_its_markers_is_not_written(document: str) -> None:
    with pytest.raises(ValueError, match="markers"):
        page.inserted(document, "text")


def test_only_what_is_between_the_markers_is_replaced() -> None:
    written = page.inserted(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n", "new")

    assert written == f"before\n{page.BEGIN}\n\nnew\n\n{page.END}\nafter\n"
