"""One JSON log line and one set of metrics per result, and nothing else."""

import json
import logging
from typing import Any

import pytest

from tests.support.aws import Trouble
from tests.support.checks import check_shape
from tests.support.functions import operation_name
from tests.support.handler_world import HandlerWorld
from tests.support.scenes import Scene, arrange, made, put_task, scenes_in_turn
from tests.support.triggers import TRIGGERS, arrival, batch, request_of, with_body

FOLDERS = ["huawei_oms_delete_task", "huawei_oms_list_tasks"]  # what is logged knows no provider
LINE_KEYS = {"level", "location", "message", "timestamp", "service", "trigger", "result"}
MARKER = "onlyInTheEvent4711"


@pytest.mark.parametrize(("folder", "scene", "trigger"), scenes_in_turn(FOLDERS))
def test_one_line_with_the_same_keys_and_one_set_of_metrics(
    world: HandlerWorld, folder: str, scene: Scene, trigger: str
) -> None:
    arrange(world, folder, scene)
    world.function(folder, scene.variables).invoke(arrival(folder, trigger, scene.changes).event)

    (line,) = world.log_lines()
    assert set(line) == LINE_KEYS
    check_shape(line["result"])
    assert line["trigger"] == trigger.partition("_")[0]
    assert line["level"] in ({"INFO"} if scene.ok else {"WARNING", "ERROR"})
    (metrics,) = world.metric_lines()
    _check_metrics(metrics, line)
    (run,) = world.run_lines()
    (directive,) = run["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["service"]], "of the stack, for one alarm"
    assert set(run) == {"_aws", "service", "RunDuration"}


def _check_metrics(metrics: dict[str, Any], line: dict[str, Any]) -> None:
    (directive,) = metrics["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "TaskCleanup"
    (dimensions,) = directive["Dimensions"]
    assert sorted(dimensions) == ["operation", "outcome", "service"]
    result = line["result"]
    assert {name: metrics[name] for name in dimensions} == {
        "operation": result["operation"],
        "outcome": result["outcome"],
        "service": line["service"],
    }
    names = {metric["Name"] for metric in directive["Metrics"]}
    assert len(names) >= 1
    assert set(metrics) == {"_aws", *dimensions, *names}


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_batch_has_one_line_and_one_set_of_metrics_per_record(world: HandlerWorld, folder: str) -> None:
    """The dimensions of one record do not stick to the next."""
    request = request_of(folder)
    put_task(world, folder, request)
    bodies = ["not json", json.dumps(request), json.dumps({**request, "dry_run": True}), "not json"]
    records = [with_body(folder, body, message_id=f"m{number}") for number, body in enumerate(bodies)]

    world.function(folder).invoke(batch(*records))

    outcomes = ["failed", "succeeded", "planned", "failed"]
    assert [result["outcome"] for result in world.logged_results()] == outcomes
    assert [metrics["outcome"] for metrics in world.metric_lines()] == outcomes
    assert {metrics["operation"] for metrics in world.metric_lines()} == {operation_name(folder)}
    for metrics, line in zip(world.metric_lines(), world.log_lines(), strict=True):
        _check_metrics(metrics, line)
    assert len(world.run_lines()) == 1, "of the invocation, not of each record: it is what Lambda's time-out is about"


@pytest.mark.parametrize("trigger", TRIGGERS)
@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_of_the_event_is_logged(
    world: HandlerWorld, caplog: pytest.LogCaptureFixture, folder: str, trigger: str
) -> None:
    """Never an event, a body, a header or a value that was refused."""
    caplog.set_level(logging.DEBUG)
    event = json.loads(json.dumps(arrival(folder, trigger, {"region": MARKER}).event))
    if trigger == "http":
        event["headers"]["x-forwarded-for"] = MARKER
        event["requestContext"]["http"]["userAgent"] = MARKER
    function = world.function(folder, {"POWERTOOLS_LOG_LEVEL": "DEBUG"})

    function.invoke(event)

    assert len(world.log_lines()) == 1
    assert MARKER not in world.output
    assert MARKER not in caplog.text


@pytest.mark.parametrize("folder", FOLDERS)
def test_urllib3_says_nothing_even_at_debug(
    world: HandlerWorld, caplog: pytest.LogCaptureFixture, folder: str
) -> None:
    """urllib3 logs request lines at DEBUG; they hold ids and client tokens."""
    caplog.set_level(logging.DEBUG)
    request = request_of(folder)
    put_task(world, folder, request)
    function = world.function(folder, {"POWERTOOLS_LOG_LEVEL": "DEBUG"})

    function.invoke(arrival(folder, "eventbridge").event)

    assert len(world.effects) == made(folder)
    assert [record for record in caplog.records if record.name.startswith(("urllib3", "requests"))] == []
    assert len(world.log_lines()) == 1


@pytest.mark.parametrize("service", ["events", "sqs"])
def test_what_could_not_be_delivered_is_said_once_and_without_the_message(world: HandlerWorld, service: str) -> None:
    folder = "huawei_oms_delete_task"
    world.aws.troubles[service] = Trouble.DENIED
    body = json.dumps({"region": MARKER})

    world.function(folder).invoke(batch(with_body(folder, body)))

    result_line, trouble_line = world.log_lines()
    assert "result" in result_line
    assert "AccessDenied" in json.dumps(trouble_line)
    assert MARKER not in world.output


def test_the_name_of_a_logger_is_the_services(world: HandlerWorld) -> None:
    """`POWERTOOLS_*`: as usual."""
    folder = "huawei_oms_delete_task"
    variables = {"POWERTOOLS_SERVICE_NAME": "cleanup-of-a-test", "POWERTOOLS_METRICS_NAMESPACE": "Elsewhere"}
    world.function(folder, variables).result(request_of(folder))
    (line,) = world.log_lines()

    (metrics,) = world.metric_lines()

    assert line["service"] == metrics["service"] == "cleanup-of-a-test"
    assert metrics["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Elsewhere"
