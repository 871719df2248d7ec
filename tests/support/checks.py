"""What holds for every result, and for every trigger's reply to it: sections 3, 4 and 6 of the contract."""

import json
from datetime import datetime
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from tests.support.functions import ROOT, is_list, operation_name, provider_of
from tests.support.handler_world import BUS, HandlerWorld, Outcome
from tests.support.scenes import Request, Scene, is_still_there
from tests.support.triggers import Arrival, request_of

HTTP_STATUS = {
    "invalid_request": 400,
    "not_found": 404,
    "conflict": 409,
    "precondition_failed": 412,
    "throttled": 429,
    "unauthenticated": 502,
    "forbidden": 502,
    "provider_error": 502,
    "unavailable": 503,
    "timeout": 504,
    "internal": 500,
}


@cache
def _result_validator() -> Draft202012Validator:
    path = ROOT / "layers" / "task_cleanup" / "python" / "task_cleanup" / "result.schema.json"
    return Draft202012Validator(json.loads(path.read_text()), format_checker=FormatChecker())


def check_shape(result: dict[str, Any]) -> None:
    """One shape for every provider, trigger and outcome, described by the published schema."""
    problems = [f"{error.json_path}: {error.message}" for error in _result_validator().iter_errors(result)]
    assert problems == []
    assert datetime.fromisoformat(result["completed_at"]).utcoffset() is not None


def without_tasks(shown: dict[str, Any]) -> dict[str, Any]:
    """What a caller sees, less the tasks of a list: logs, events and dead letters carry counts only."""
    check_shape(shown)
    if "tasks" in shown:
        assert shown["count"] == len(shown["tasks"])
    return {name: value for name, value in shown.items() if name != "tasks"}


def only_result(world: HandlerWorld) -> dict[str, Any]:
    """The one result that was logged."""
    results = world.logged_results()
    assert len(results) == 1
    return results[0]


# -- the result ------------------------------------------------


def check_result(world: HandlerWorld, folder: str, scene: Scene, arrived: Arrival, result: dict[str, Any]) -> None:
    """The result is what the scene calls for, and no word of it is contradicted by the journal."""
    request = request_of(folder)
    check_shape(result)
    assert (result["operation"], result["outcome"]) == (operation_name(folder), scene.outcome), result["error"]
    assert result["retryable"] is scene.retryable
    assert "tasks" not in result
    assert ("count" in result) is (is_list(folder) and scene.outcome == "succeeded")
    _check_error(scene, folder, result)
    _check_target(scene, folder, request, result)
    assert result["correlation_id"] in {arrived.first_id, _own_correlation_id(arrived)}
    if arrived.requested_by is not None:
        assert result["requested_by"] == arrived.requested_by
    check_against_journal(world, folder, request, result)
    if not scene.slow:
        assert bool(world.arrived(operation_name(folder), looks=True)) is scene.reaches_provider


def _own_correlation_id(arrived: Arrival) -> str | None:
    if arrived.trigger != "sqs_plain":
        return None
    own: str = json.loads(arrived.event["Records"][0]["body"])["correlation_id"]
    return own


def _check_error(scene: Scene, folder: str, result: dict[str, Any]) -> None:
    error = result["error"]
    if scene.outcome == "planned":
        assert set(result["plan"]) == {"method", "url"}
    if scene.outcome in {"succeeded", "planned"}:
        assert error is None
        return
    code = scene.code(folder)
    assert code is None or error["code"] == code
    if scene.category is not None:
        assert error["category"] == scene.category


def _check_target(scene: Scene, folder: str, request: Request, result: dict[str, Any]) -> None:
    provider, service, _ = operation_name(folder).split(".")
    if not scene.reaches_provider and scene.category == "invalid_request":
        assert result["target"] == {"provider": provider, "service": service}
        return
    asked = {
        name: str(request[name]) for name in ("region", "instance_id", "task_id", "task_type") if name in request
    }
    assert (
        result["target"].items() >= {"provider": provider, "service": service, "account": "default", **asked}.items()
    )


def check_against_journal(world: HandlerWorld, folder: str, request: Request, result: dict[str, Any]) -> None:
    """Attempts, status, request id and client token are those of the journal; success is real; no look is untold."""
    if result["outcome"] == "succeeded":
        assert (world.effects == []) is is_list(folder)
    if result["outcome"] in {"succeeded", "unchanged"} and result["error"] is None and not is_list(folder):
        assert not is_still_there(world, folder, request)
    if result["error"] is not None and result["error"]["code"] == "Timeout":
        return  # the emulator writes such a request down when it gets to it
    entries = world.arrived(operation_name(folder))
    everything = world.arrived(operation_name(folder), looks=True)
    assert result["attempts"] == len(entries)
    assert result["looks"] or everything == entries
    if not entries:
        assert result["http_status"] is None
        return
    # A delete that sent a stop as well answers with its own refusal.
    own_stop = operation_name(folder) == "huawei.oms.StopTask"
    last = [entry for entry in entries if own_stop or entry.operation != "StopTask"][-1]
    assert result["http_status"] == last.status
    if last.code is not None:
        assert result["request_id"] == last.request_id
    assert {entry.client_token for entry in entries} == {result["client_token"]}
    nonces = [entry.nonce for entry in everything if entry.nonce is not None]
    assert len(set(nonces)) == len(nonces)
    assert len(world.effects) <= 1


# -- the triggers' replies ------------------------------------------------


def check_reply(
    world: HandlerWorld, scene: Scene, arrived: Arrival, outcome: Outcome, result: dict[str, Any]
) -> None:
    """The trigger gets its reply, the bus its event and the dead-letter queue its message: no more and no less."""
    checks = {"direct": _check_direct, "eventbridge": _check_eventbridge, "http": _check_http}
    checks.get(arrived.trigger, _check_queue)(world, scene, arrived, outcome, result)


def _check_direct(
    world: HandlerWorld, scene: Scene, arrived: Arrival, outcome: Outcome, result: dict[str, Any]
) -> None:
    assert outcome.error is None
    _check_shown(outcome.reply, result)
    assert world.aws.messages == []
    if scene.ok:
        assert world.aws.events == []
    else:  # nothing tells whether anybody waits for the reply
        _check_published(world, scene, result)


def _check_shown(shown: dict[str, Any], result: dict[str, Any]) -> None:
    """A caller who waits sees the logged result, and with it the tasks that were counted."""
    assert without_tasks(shown) == result
    assert ("tasks" in shown) is ("count" in result)


def _check_eventbridge(
    world: HandlerWorld, scene: Scene, arrived: Arrival, outcome: Outcome, result: dict[str, Any]
) -> None:
    assert world.aws.messages == []
    if scene.retryable:
        assert outcome.error is not None
        assert world.aws.events == []
        return
    assert outcome.error is None
    _check_shown(outcome.reply, result)
    _check_published(world, scene, result)


def _check_published(world: HandlerWorld, scene: Scene, result: dict[str, Any]) -> None:
    (event,) = world.aws.events
    assert (event["EventBusName"], event["Source"]) == (BUS, "task-cleanup")
    assert event["DetailType"] == ("Task Cleanup Completed" if scene.ok else "Task Cleanup Failed")
    assert json.loads(event["Detail"]) == result


def _check_queue(
    world: HandlerWorld, scene: Scene, arrived: Arrival, outcome: Outcome, result: dict[str, Any]
) -> None:
    assert outcome.error is None
    (record,) = arrived.event["Records"]
    if scene.retryable:
        assert outcome.reply == {"batchItemFailures": [{"itemIdentifier": record["messageId"]}]}
        assert world.aws.events == world.aws.messages == []
        return
    assert outcome.reply == {"batchItemFailures": []}
    _check_published(world, scene, result)
    if scene.ok:
        assert world.aws.messages == []
    else:
        check_moved(world, record, arrived, result)


def check_moved(world: HandlerWorld, record: dict[str, Any], arrived: Arrival, result: dict[str, Any]) -> None:
    """A failed message stands in the dead-letter queue as it came, with its result and its origin."""
    (message,) = world.aws.messages
    assert message["QueueUrl"] == f"{world.aws.url}/123456789012/dead-letters"
    assert message["MessageBody"] == record["body"]
    attributes = {name: item["StringValue"] for name, item in message["MessageAttributes"].items()}
    assert json.loads(attributes.pop("result")) == result
    time = {} if arrived.first_sent is None else {"origin_time": arrived.first_sent}
    assert attributes == {"origin_id": arrived.first_id, **time}


def _check_http(
    world: HandlerWorld, scene: Scene, arrived: Arrival, outcome: Outcome, result: dict[str, Any]
) -> None:
    assert outcome.error is None
    assert world.aws.events == world.aws.messages == []
    reply = outcome.reply
    body = json.loads(reply["body"])
    headers = {name.lower(): value for name, value in reply["headers"].items()}
    assert reply["isBase64Encoded"] is False
    if scene.outcome in {"succeeded", "unchanged", "planned"}:
        assert (reply["statusCode"], headers["content-type"]) == (200, "application/json")
        _check_shown(body, result)
        assert "retry-after" not in headers
        return
    status = HTTP_STATUS[result["error"]["category"]]
    assert (reply["statusCode"], headers["content-type"]) == (status, "application/problem+json")
    assert body["status"] == status
    assert body["result"] == result
    for member in ("type", "title", "detail", "instance"):
        assert isinstance(body.get(member, ""), str)
    assert body["title"]
    assert ("retry-after" in headers) is (status == 429)
    if status == 429:
        assert int(headers["retry-after"]) >= 1


def secret_name(folder: str, account: str = "default") -> str:
    """The name of the secret that a function reads."""
    return f"task-cleanup/{provider_of(folder)}/{account}"
