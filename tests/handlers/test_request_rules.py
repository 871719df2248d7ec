"""What a request may say and where: dry runs, lifetimes, client tokens, accounts, regions, and the HTTP rules."""

import base64
import json
from collections.abc import Iterable
from typing import Any

import pytest

from task_cleanup.settings import SettingsError
from tests.support.cases import case
from tests.support.checks import check_shape, only_result
from tests.support.functions import (
    function_folders,
    in_turn,
    operation_name,
    provider_of,
    representative_folders,
    request_schema,
    sample_event,
    service_of,
)
from tests.support.handler_world import Function, HandlerWorld
from tests.support.identities import PROJECT, fake_secret
from tests.support.scenes import Request, is_still_there, made, put_task
from tests.support.triggers import (
    QUEUED,
    TRIGGERS,
    arrival,
    batch,
    bridge_event,
    crashed_invocation,
    http_event,
    plain_body,
    request_of,
    with_body,
)

FOLDERS = function_folders()
CANCEL_TASK = "alibaba_elasticsearch_cancel_task"
DELETE_DATA_TASK = "alibaba_elasticsearch_delete_data_task"
OMS_DELETE = "huawei_oms_delete_task"
OMS_STOP = "huawei_oms_stop_task"
WITH_TOKEN = [folder for folder in FOLDERS if "client_token" in request_schema(folder)["properties"]]
WITHOUT_A_LIFETIME = [folder for folder in FOLDERS if folder != CANCEL_TASK]
WITHOUT_TOKEN = [folder for folder in FOLDERS if folder not in WITH_TOKEN]
SERVICES = sorted({service_of(folder) for folder in FOLDERS})
WITH_PROJECT = [folder for folder in FOLDERS if "project_id" in request_schema(folder)["properties"]]

every_function = pytest.mark.parametrize("folder", FOLDERS)
# For what is settled before a function's own schema is asked.
each_change_or_list = pytest.mark.parametrize("folder", [OMS_DELETE, "alibaba_elasticsearch_list_data_tasks"])
each_kind = pytest.mark.parametrize("folder", representative_folders())
# Each function and each trigger at least once; test_matrix.py tries them together.
every_function_and_trigger = pytest.mark.parametrize(("folder", "trigger"), in_turn(FOLDERS, TRIGGERS))


def start(world: HandlerWorld, folder: str, **variables: str) -> tuple[Function, Request]:
    request = request_of(folder)
    put_task(world, folder, request)
    return world.function(folder, variables), request


def refused(world: HandlerWorld, folder: str, result: dict[str, Any], code: str) -> None:
    """An invalid request: nothing was sent, and nothing of it is repeated unless it passed the schema."""
    check_shape(result)
    provider, service, _ = operation_name(folder).split(".")
    assert (result["outcome"], result["error"]["category"]) == ("failed", "invalid_request")
    assert (result["error"]["code"], result["attempts"], result["retryable"]) == (code, 0, False)
    told = result["target"].keys() - {"provider", "service"}
    assert (result["target"]["provider"], result["target"]["service"]) == (provider, service)
    assert bool(told) is (code not in {"SchemaViolation", "UnreadableRequest"})
    assert world.arrived(operation_name(folder), looks=True) == []


def refused_values(world: HandlerWorld, folder: str, name: str, values: Iterable[object]) -> None:
    """Each of these values of a field is refused before a secret is read."""
    function, request = start(world, folder)
    for value in values:
        with case(name, value):
            result = function.result({**request, name: value})
            refused(world, folder, result, "SchemaViolation")
            assert {pointer for pointer, _ in violations(result)} == {f"/{name}"}
    assert world.aws.calls_of("secretsmanager") == 0


def violations(result: dict[str, Any]) -> set[tuple[str, str]]:
    return {(item["pointer"], item["rule"]) for item in result["error"]["detail"]["violations"]}


# -- the entry point ------------------------------------------------


@every_function
def test_app_lambda_handler_is_the_function(world: HandlerWorld, folder: str) -> None:
    """`app.lambda_handler`, as Lambda would import and call it: with the machine's own clock."""
    from local.aws.lambdas import LocalFunction

    world.cloud.clock.reset()
    request = request_of(folder)
    put_task(world, folder, request)
    function = LocalFunction(folder, world.variables(), timeout=10)

    result = function.invoke(request)

    check_shape(result)
    assert (result["outcome"], result["operation"]) == ("succeeded", operation_name(folder))
    assert len(world.effects) == made(folder)


# -- dry runs ------------------------------------------------


@pytest.mark.parametrize("how", ["request", "stack", "both"])
@every_function_and_trigger
def test_a_dry_run_reads_the_credentials_signs_and_sends_nothing(
    world: HandlerWorld, folder: str, trigger: str, how: str
) -> None:
    variables = {} if how == "request" else {"DRY_RUN": "true"}
    changes = {} if how == "stack" else {"dry_run": True}
    function, request = start(world, folder, **variables)

    function.invoke(arrival(folder, trigger, changes).event)

    result = only_result(world)
    assert (result["outcome"], result["attempts"], result["http_status"]) == ("planned", 0, None)
    assert result["plan"]["url"].startswith(world.cloud.urls[service_of(folder)] + "/")
    assert world.aws.calls_of("secretsmanager") == 1
    assert len(world.cloud.journal) == 0
    assert is_still_there(world, folder, request)


@each_kind
def test_a_request_cannot_lift_the_stacks_dry_run(world: HandlerWorld, folder: str) -> None:
    """`DRY_RUN`: `true` forces dry run for the whole stack."""
    function, request = start(world, folder, DRY_RUN="true")

    assert function.result({**request, "dry_run": False})["outcome"] == "planned"
    assert len(world.cloud.journal) == 0


@each_kind
def test_a_dry_run_without_a_secret_fails(world: HandlerWorld, folder: str) -> None:
    world.aws.secrets.clear()

    result = world.function(folder).result({**request_of(folder), "dry_run": True})

    assert (result["outcome"], result["error"]["code"]) == ("failed", "SecretNotFound")


@every_function
def test_the_plan_is_the_call_that_would_be_made(world: HandlerWorld, folder: str) -> None:
    function, request = start(world, folder)
    plan = function.result({**request, "dry_run": True})["plan"]
    function.result(request)

    (entry,) = world.arrived(operation_name(folder))

    assert plan["method"] == entry.method
    assert plan["url"].partition("?")[0] == world.cloud.urls[service_of(folder)] + entry.path


@every_function
def test_without_an_override_the_host_comes_from_the_region(world: HandlerWorld, folder: str) -> None:
    """Hosts come from the region; the request never names one."""
    request = request_of(folder)
    function = world.function(folder, {f"{service_of(folder).upper()}_ENDPOINT": ""})

    url = function.result({**request, "dry_run": True})["plan"]["url"]

    assert url.startswith("https://")
    assert request["region"] in url.split("/")[2].split(".")


# -- lifetimes ------------------------------------------------

AN_HOUR = 3600.0


@every_function_and_trigger
def test_not_after_is_checked_before_signing(world: HandlerWorld, folder: str, trigger: str) -> None:
    """Later is `failed`, `invalid_request`, code `Expired`."""
    function, request = start(world, folder)
    function.invoke(arrival(folder, trigger, {"not_after": "2026-11-21T09:30:59+01:00"}).event)

    refused(world, folder, only_result(world), "Expired")

    assert is_still_there(world, folder, request)
    assert world.aws.calls_of("secretsmanager") == 0


@every_function_and_trigger
def test_before_not_after_it_is_done(world: HandlerWorld, folder: str, trigger: str) -> None:
    function, _ = start(world, folder)

    function.invoke(arrival(folder, trigger, {"not_after": "2026-11-21T04:32:00-04:00"}).event)

    assert only_result(world)["outcome"] == "succeeded"


NO_TIMES = ["2026-11-22T08:30:00", "2026-11-22", "tomorrow", "2026-11-22 08:30:00Z", 1795249800, None, ""]


@every_function
def test_not_after_is_rfc_3339_with_a_zone(world: HandlerWorld, folder: str) -> None:
    refused_values(world, folder, "not_after", NO_TIMES)


@pytest.mark.parametrize(("age", "outcome"), [(3400.0, "succeeded"), (3700.0, "failed")])
@pytest.mark.parametrize("trigger", ["eventbridge", "sqs_eventbridge", "sqs_crashed"])
def test_a_queued_cancel_is_good_for_an_hour(world: HandlerWorld, trigger: str, age: float, outcome: str) -> None:
    """From a queue or an event it has a default `not_after` of one hour after the message was first sent."""
    function, request = start(world, CANCEL_TASK)
    world.pass_time(age)

    function.invoke(arrival(CANCEL_TASK, trigger).event)

    result = only_result(world)
    assert result["outcome"] == outcome
    assert is_still_there(world, CANCEL_TASK, request) is (outcome == "failed")
    if outcome == "failed":
        refused(world, CANCEL_TASK, result, "Expired")


@pytest.mark.parametrize("trigger", ["direct", "http"])
def test_a_cancel_from_somebody_who_waits_for_the_answer_has_no_lifetime(world: HandlerWorld, trigger: str) -> None:
    function, _ = start(world, CANCEL_TASK)
    world.pass_time(24 * AN_HOUR)

    function.invoke(arrival(CANCEL_TASK, trigger).event)

    assert only_result(world)["outcome"] == "succeeded"


@pytest.mark.parametrize(("folder", "trigger"), in_turn(WITHOUT_A_LIFETIME, ["eventbridge", *QUEUED]))
def test_what_names_its_task_may_wait_for_days(world: HandlerWorld, folder: str, trigger: str) -> None:
    function, _ = start(world, folder)
    world.pass_time(96 * AN_HOUR)

    function.invoke(arrival(folder, trigger).event)

    assert only_result(world)["outcome"] == "succeeded"


def test_a_cancel_that_names_its_own_lifetime_keeps_it(world: HandlerWorld) -> None:
    """It is a *default* `not_after`."""
    function, _ = start(world, CANCEL_TASK)
    world.pass_time(2 * AN_HOUR)

    function.invoke(arrival(CANCEL_TASK, "sqs_plain", {"not_after": "2026-11-21T20:00:00Z"}).event)

    assert only_result(world)["outcome"] == "succeeded"


def redriven(body: str, attributes: dict[str, str] | None = None) -> dict[str, Any]:
    """What StartMessageMoveTask makes of a dead letter: a new message, with its attributes, if it has any."""
    return batch(
        with_body(CANCEL_TASK, body, message_id="redriven", sent="1795253700000", attributes=attributes or {})
    )


PUT_ASIDE_BY: dict[str, dict[str, str]] = {
    "nobody": {},
    "SQS, after its eighth receive": {},
    "EventBridge Scheduler": {"SCHEDULE_ARN": "arn:aws:scheduler:x", "ERROR_CODE": "SQS.AccessDenied"},
    "a function, as it was of unknown age": {"origin_id": "first", "result": "{}"},
}


@pytest.mark.parametrize("put_aside_by", PUT_ASIDE_BY)
def test_a_cancel_in_a_plain_body_is_of_unknown_age(world: HandlerWorld, put_aside_by: str) -> None:
    """Whether it is a minute old or was sent back after days: SQS tells no difference."""
    function, request = start(world, CANCEL_TASK)
    function.invoke(redriven(json.dumps(request), PUT_ASIDE_BY[put_aside_by]))

    refused(world, CANCEL_TASK, only_result(world), "SentTimeUnknown")

    assert is_still_there(world, CANCEL_TASK, request)


def test_what_is_of_unknown_age_stays_so_when_it_is_moved(world: HandlerWorld) -> None:
    function, request = start(world, CANCEL_TASK)
    function.invoke(batch(with_body(CANCEL_TASK, json.dumps(request))))
    (moved,) = world.aws.messages
    attributes = {name: item["StringValue"] for name, item in moved["MessageAttributes"].items()}
    assert attributes.keys() == {"result", "origin_id"}
    assert moved["MessageBody"] == json.dumps(request)

    function.invoke(redriven(moved["MessageBody"], attributes))

    refused(world, CANCEL_TASK, world.logged_results()[-1], "SentTimeUnknown")


@pytest.mark.parametrize("trigger", ["eventbridge", "sqs_eventbridge"])
def test_a_cancel_from_the_future_is_not_good_until_then(world: HandlerWorld, trigger: str) -> None:
    function, request = start(world, CANCEL_TASK)
    event = {**sample_event(CANCEL_TASK, "eventbridge"), "time": "2099-01-01T00:00:00Z"}
    function.invoke(event if trigger == "eventbridge" else redriven(json.dumps(event)))

    refused(world, CANCEL_TASK, only_result(world), "SentTimeUnknown")

    assert is_still_there(world, CANCEL_TASK, request)


def test_a_redriven_cancel_is_as_old_as_the_message_that_was_first_sent(world: HandlerWorld) -> None:
    function, request = start(world, CANCEL_TASK)
    world.pass_time(3900)
    function.invoke(redriven(json.dumps(request), {"origin_time": "2026-11-21T08:30:00.123Z"}))
    refused(world, CANCEL_TASK, only_result(world), "Expired")


def test_an_events_own_time_counts_although_the_message_is_new(world: HandlerWorld) -> None:
    function, _ = start(world, CANCEL_TASK)
    world.pass_time(3900)
    function.invoke(redriven(json.dumps(sample_event(CANCEL_TASK, "eventbridge"))))
    refused(world, CANCEL_TASK, only_result(world), "Expired")


def test_a_cancel_moved_to_the_dead_letters_and_redriven_is_not_young_again(world: HandlerWorld) -> None:
    """Attributes `origin_id` and `origin_time` go with the message."""
    function, request = start(world, CANCEL_TASK)
    world.cloud.faults.away("alibaba_elasticsearch")
    event = json.dumps(sample_event(CANCEL_TASK, "eventbridge"))
    function.invoke(batch(with_body(CANCEL_TASK, event, receives=5)))
    (moved,) = world.aws.messages
    world.cloud.faults.clear()
    world.cloud.journal.clear()
    world.pass_time(3900)
    attributes = {name: item["StringValue"] for name, item in moved["MessageAttributes"].items()}
    assert attributes["origin_time"] == "2026-11-21T08:30:00.000Z"

    function.invoke(redriven(moved["MessageBody"], attributes))

    refused(world, CANCEL_TASK, world.logged_results()[-1], "Expired")
    assert is_still_there(world, CANCEL_TASK, request)


def test_a_cancel_from_the_future_is_not_young_when_that_time_has_come(world: HandlerWorld) -> None:
    function, request = start(world, CANCEL_TASK)
    event = json.dumps({**sample_event(CANCEL_TASK, "eventbridge"), "time": "2026-11-22T08:30:00Z"})
    function.invoke(batch(with_body(CANCEL_TASK, event)))
    (moved,) = world.aws.messages
    world.pass_time(86400)
    attributes = {name: item["StringValue"] for name, item in moved["MessageAttributes"].items()}

    function.invoke(redriven(moved["MessageBody"], attributes))

    refused(world, CANCEL_TASK, world.logged_results()[-1], "Expired")
    assert is_still_there(world, CANCEL_TASK, request)


# -- client tokens ------------------------------------------------


def _sent_token(world: HandlerWorld, folder: str) -> str | None:
    return world.arrived(operation_name(folder))[-1].client_token


@pytest.mark.parametrize("trigger", TRIGGERS)
@pytest.mark.parametrize("folder", WITH_TOKEN)
def test_a_given_token_is_the_one_that_is_sent(world: HandlerWorld, folder: str, trigger: str) -> None:
    function, _ = start(world, folder)
    arrived = arrival(folder, trigger, {"client_token": "given token/+ 1"})
    arrived.event.get("headers", {}).pop("idempotency-key", None)

    function.invoke(arrived.event)

    result = only_result(world)
    assert (result["outcome"], result["client_token"]) == ("succeeded", "given token/+ 1")
    assert _sent_token(world, folder) == "given token/+ 1"


@pytest.mark.parametrize("folder", WITH_TOKEN)
def test_the_idempotency_key_is_the_token(world: HandlerWorld, folder: str) -> None:
    function, _ = start(world, folder)
    event = http_event(folder)
    key = event["headers"]["idempotency-key"]

    function.invoke(event)

    assert _sent_token(world, folder) == only_result(world)["client_token"] == key


@pytest.mark.parametrize("key", ["", "x" * 65, "tab\t", "ключ", "line\n"])
@pytest.mark.parametrize("folder", WITH_TOKEN)
def test_an_idempotency_key_must_be_a_client_token(world: HandlerWorld, folder: str, key: str) -> None:
    """1 to 64 printable ASCII characters."""
    function, _ = start(world, folder)
    event = http_event(folder)
    event["headers"]["idempotency-key"] = key
    assert function.invoke(event).reply["statusCode"] == 400
    refused(world, folder, only_result(world), "SchemaViolation")


@pytest.mark.parametrize("folder", WITHOUT_TOKEN)
def test_the_idempotency_key_is_ignored_where_the_operation_has_no_token(world: HandlerWorld, folder: str) -> None:
    function, _ = start(world, folder)
    event = http_event(folder)

    event["headers"]["idempotency-key"] = "anything\x00 at all" * 10

    assert function.invoke(event).reply["statusCode"] == 200
    assert only_result(world)["client_token"] is None


@pytest.mark.parametrize("folder", WITH_TOKEN)
def test_a_key_in_the_header_and_a_token_in_the_body_are_one_too_many(world: HandlerWorld, folder: str) -> None:
    function, _ = start(world, folder)
    assert function.invoke(http_event(folder, {"client_token": "another"})).reply["statusCode"] == 400
    refused(world, folder, only_result(world), "SchemaViolation")


def _without_token(folder: str, trigger: str) -> dict[str, Any]:
    event = arrival(folder, trigger, {"client_token": None}).event
    event.get("headers", {}).pop("idempotency-key", None)
    return event


@pytest.mark.parametrize("trigger", TRIGGERS)
@pytest.mark.parametrize("folder", WITH_TOKEN)
def test_a_derived_token_is_the_same_at_every_redelivery(world: HandlerWorld, folder: str, trigger: str) -> None:
    """Also in another execution environment, and for the second delivery nothing is changed twice."""
    event = _without_token(folder, trigger)
    function, request = start(world, folder)
    function.invoke(event, request_id="11111111-2222-4333-8444-555555555509")
    put_task(world, folder, request)
    if trigger in QUEUED:
        event["Records"][0]["attributes"]["ApproximateReceiveCount"] = "2"
        event["Records"][0]["receiptHandle"] = "another"
    world.function(folder).invoke(event, request_id="11111111-2222-4333-8444-555555555509")

    first, second = world.arrived(operation_name(folder))
    assert first.client_token == second.client_token
    assert first.client_token is not None
    assert 1 <= len(first.client_token) <= 64
    assert len(world.effects) == 1


@pytest.mark.parametrize("trigger", QUEUED)
@pytest.mark.parametrize("folder", WITH_TOKEN)
def test_a_derived_token_is_the_same_after_a_redrive(world: HandlerWorld, folder: str, trigger: str) -> None:
    function, _ = start(world, folder)
    world.cloud.faults.away("alibaba_elasticsearch")
    event = _without_token(folder, trigger)
    event["Records"][0]["attributes"]["ApproximateReceiveCount"] = "5"
    function.invoke(event)
    (moved,) = world.aws.messages
    world.cloud.faults.clear()
    attributes = {name: item["StringValue"] for name, item in moved["MessageAttributes"].items()}
    record = with_body(folder, moved["MessageBody"], message_id="new-id", sent="1795249860000", attributes=attributes)

    function.invoke(batch(record))

    tokens = {entry.client_token for entry in world.arrived(operation_name(folder))}
    assert len(tokens) == 1
    assert world.logged_results()[-1]["outcome"] == "succeeded"


@pytest.mark.parametrize("folder", WITH_TOKEN)
def test_a_plain_body_that_sqs_moved_and_somebody_sent_back_is_a_new_message(
    world: HandlerWorld, folder: str
) -> None:
    """It has nothing that tells its first id. An event has its own, and repeats its token."""
    function, request = start(world, folder)
    event = bridge_event(sample_event(folder, "eventbridge"), {"client_token": None})
    bodies = {plain_body(folder, request, {"client_token": None}): 2, json.dumps(event): 1}
    for body, different in bodies.items():
        world.cloud.journal.clear()
        for message_id in ("first", "after the redrive"):
            function.invoke(batch(with_body(folder, body, message_id=message_id)))
        assert len({entry.client_token for entry in world.arrived(operation_name(folder))}) == different


@pytest.mark.parametrize("folder", WITH_TOKEN)
def test_a_crashed_invocation_that_is_redriven_repeats_its_token(world: HandlerWorld, folder: str) -> None:
    """The trigger's own first id: that of the invocation, or of the event, that crashed."""
    function, _ = start(world, folder)
    for event in (_without_token(folder, "direct"), sample_event(folder, "eventbridge")):
        world.cloud.journal.clear()
        envelope = crashed_invocation(event)
        function.invoke(event, request_id=envelope["requestContext"]["requestId"])
        function.invoke(batch(with_body(folder, json.dumps(envelope), message_id="m9")))
        first, second = world.arrived(operation_name(folder))
        assert first.client_token == second.client_token


@pytest.mark.parametrize("folder", WITH_TOKEN)
def test_other_messages_and_other_targets_have_other_tokens(world: HandlerWorld, folder: str) -> None:
    function, _ = start(world, folder)
    request = request_of(folder, {"client_token": None})
    world.put_secret("alibaba", fake_secret("alibaba"), "other")
    for number, changes in enumerate([{}, {}, {"region": "cn-shanghai"}, {"account": "other"}]):
        message_id = "same" if number > 1 else f"m{number}"
        function.invoke(batch(with_body(folder, plain_body(folder, request, changes), message_id=message_id)))

    tokens = [entry.client_token for entry in world.arrived(operation_name(folder))]

    assert len(tokens) == len(set(tokens)) == 4


# -- accounts, projects, regions, operations ------------------------------------------------


@every_function
def test_an_unknown_account_names_its_secret(world: HandlerWorld, folder: str) -> None:
    function, request = start(world, folder)
    result = function.result({**request, "account": "nobody-1"})

    refused(world, folder, result, "SecretNotFound")

    assert f"task-cleanup/{provider_of(folder)}/nobody-1" in result["error"]["message"]
    assert result["target"]["account"] == "nobody-1"


@every_function
def test_an_unknown_account_is_the_callers_mistake_over_http_and_a_missing_default_is_not(
    world: HandlerWorld, folder: str
) -> None:
    function, _ = start(world, folder)
    assert _http_status(world, function, http_event(folder, {"account": "nobody-1"})) == 400

    world.aws.secrets.clear()

    for changes in ({}, {"account": "default"}):
        assert _http_status(world, world.function(folder), http_event(folder, changes)) == 500


@every_function
def test_another_account_is_another_key(world: HandlerWorld, folder: str) -> None:
    function, request = start(world, folder)
    provider = provider_of(folder)
    other = {**fake_secret(provider), "access_key_id": "AKFAKEOTHER0002"}
    world.cloud.add_key(provider, **other)
    world.put_secret(provider, other, "team-b")

    result = function.result({**request, "account": "team-b"})

    assert (result["outcome"], result["target"]["account"]) == ("succeeded", "team-b")
    (entry,) = world.arrived(operation_name(folder))
    assert entry.access_key_id == "AKFAKEOTHER0002"


@every_function
def test_an_account_is_an_alias_and_nothing_else(world: HandlerWorld, folder: str) -> None:
    refused_values(world, folder, "account", ["", "Upper", "-a", "a/b", "a" * 64, "a\n", "..", 1])


REGIONS = {"": "pattern", "evil.example.com": "pattern", "EU-DE": "pattern", "eu-de\n": "pattern", None: "type"}
EXTRA = json.dumps({service.replace("_", ".", 1): ["xx-name-1"] for service in SERVICES})


@pytest.mark.parametrize(("dry_run", "endpoint"), [(True, ""), (False, ""), (False, "http://127.0.0.1:1")])
@every_function
def test_a_region_is_one_of_the_service_s(world: HandlerWorld, folder: str, *, dry_run: bool, endpoint: str) -> None:
    """Refused before a secret is read; an extra region of another service is none of this one."""
    service = service_of(folder)
    others = {name.replace("_", ".", 1): ["xx-name-1"] for name in SERVICES if name != service}
    variables = {"EXTRA_REGIONS": json.dumps(others), f"{service.upper()}_ENDPOINT": endpoint}
    function, request = start(world, folder, **variables)

    for region, rule in {**REGIONS, "atlantis-1": "enum", "xx-name-1": "enum"}.items():
        with case(region):
            result = function.result({**request, "region": region, "dry_run": dry_run})
            refused(world, folder, result, "SchemaViolation")
            assert violations(result) == {("/region", rule)}
            assert str(region or "evil") not in json.dumps(result)

    assert world.aws.calls_of("secretsmanager") == 0


@every_function
def test_a_wrong_region_is_told_which_regions_there_are(world: HandlerWorld, folder: str) -> None:
    """Those of the service and the stack's extra ones, whatever is wrong with the region."""
    function, request = start(world, folder, EXTRA_REGIONS=EXTRA)
    regions = [*function.operation.service.regions, "xx-name-1"]
    for region in ("atlantis-1", "EU-DE", 7):
        (violation,) = function.result({**request, "region": region})["error"]["detail"]["violations"]
        assert violation["allowed"] == f"must be one of {', '.join(regions)}"


@every_function_and_trigger
def test_an_unknown_region_is_told_with_all_else_that_is_wrong(
    world: HandlerWorld, folder: str, trigger: str
) -> None:
    """And once: not as a violation of the pattern too."""
    function, _ = start(world, folder)
    function.invoke(arrival(folder, trigger, {"region": "atlantis-1", "account": "UPPER"}).event)
    result = only_result(world)

    refused(world, folder, result, "SchemaViolation")

    assert violations(result) == {("/region", "enum"), ("/account", "pattern")}


@every_function_and_trigger
def test_an_extra_region_is_a_region(world: HandlerWorld, folder: str, trigger: str) -> None:
    function, _ = start(world, folder, EXTRA_REGIONS=EXTRA)
    function.invoke(arrival(folder, trigger, {"region": "xx-name-1"}).event)

    result = only_result(world)

    assert (result["outcome"], result["target"]["region"]) == ("succeeded", "xx-name-1")
    assert len(world.arrived(operation_name(folder))) == 1


@every_function
def test_an_extra_region_s_host_is_made_by_the_service_s_rule(world: HandlerWorld, folder: str) -> None:
    request = request_of(folder)
    service = service_of(folder)
    function = world.function(folder, {f"{service.upper()}_ENDPOINT": "", "EXTRA_REGIONS": EXTRA})
    plans = [
        function.result({**request, "region": region, "dry_run": True})["plan"]
        for region in ("xx-name-1", request["region"])
    ]

    extra, known = ((plan["url"].split("/")[2], plan["url"].split("/", 3)[3].split("?")[0]) for plan in plans)

    assert extra == (known[0].replace(request["region"], "xx-name-1"), known[1])
    assert "xx-name-1" in extra[0].split(".")


@pytest.mark.parametrize(
    ("folder", "value"), in_turn(FOLDERS, ['{"huawei.oms": ["a.b"]}', '["xx-name-1"]', "xx-name-1"])
)
def test_extra_regions_that_cannot_be_read_stop_the_function(world: HandlerWorld, folder: str, value: str) -> None:
    with pytest.raises(SettingsError, match="EXTRA_REGIONS"):
        world.function(folder, {"EXTRA_REGIONS": value})


@pytest.mark.parametrize("region", ["ap-northeast-2", "ap-southeast-7"])
def test_seoul_and_bangkok_are_regions_of_alibaba(world: HandlerWorld, region: str) -> None:
    request = {**request_of(DELETE_DATA_TASK), "region": region}
    function = world.function(DELETE_DATA_TASK, {"ALIBABA_ELASTICSEARCH_ENDPOINT": ""})

    url = function.result({**request, "dry_run": True})["plan"]["url"]

    assert url.split("/")[2] == f"elasticsearch.{region}.aliyuncs.com"


@every_function_and_trigger
def test_a_misrouted_request_is_refused(world: HandlerWorld, folder: str, trigger: str) -> None:
    """`operation`: constant; guards against misrouted events."""
    function, _ = start(world, folder)
    function.invoke(arrival(folder, trigger, {"operation": "other.service.DeleteEverything"}).event)
    result = only_result(world)

    refused(world, folder, result, "SchemaViolation")

    assert violations(result) == {("/operation", "const")}


@every_function
def test_every_violation_is_listed_and_no_value(world: HandlerWorld, folder: str) -> None:
    """A schema error lists every violation as JSON Pointer + rule, never the rejected value."""
    function, _ = start(world, folder)
    result = function.result({"a/b~c": "leak1", "dry_run": "leak2", "account": "LEAK3", "correlation_id": ""})
    refused(world, folder, result, "SchemaViolation")

    required = {(f"/{name}", "required") for name in request_schema(folder)["required"]}

    assert violations(result) == required | {
        ("/a~1b~0c", "additionalProperties"),
        ("/dry_run", "type"),
        ("/account", "pattern"),
        ("/correlation_id", "pattern"),
    }
    assert "leak" not in json.dumps(result).lower()


NO_REQUESTS: list[Any] = [None, [], "text", 7, True, {}, {"Records": "x"}, {"Records": [{"eventSource": "aws:s3"}]}]


@every_function
def test_what_is_no_request_is_refused(world: HandlerWorld, folder: str) -> None:
    function = world.function(folder)
    for event in NO_REQUESTS:
        with case(event):
            refused(world, folder, function.result(event), "SchemaViolation")


@pytest.mark.parametrize("folder", WITH_PROJECT)
def test_the_requests_project_wins(world: HandlerWorld, folder: str) -> None:
    """`project_id`: optional when the credentials carry one; the request's wins."""
    other = "f" * 32
    request = {**request_of(folder), "project_id": other}
    provider = provider_of(folder)
    world.cloud.keys.change(provider, f"AKFAKE{provider.upper()}0001", project_id=other)
    put_task(world, folder, request)

    result = world.function(folder).result(request)

    assert (result["outcome"], result["target"]["project_id"]) == ("succeeded", other)
    assert world.arrived(operation_name(folder))[0].ids["project_id"] == other


@pytest.mark.parametrize("folder", WITH_PROJECT)
def test_the_credentials_project_is_the_default(world: HandlerWorld, folder: str) -> None:
    function, request = start(world, folder)

    assert function.result(request)["target"]["project_id"] == PROJECT


@pytest.mark.parametrize("folder", WITH_PROJECT)
def test_no_project_at_all_is_an_invalid_request(world: HandlerWorld, folder: str) -> None:
    """Neither: `invalid_request`."""
    function, request = start(world, folder)
    secret = fake_secret(provider_of(folder))
    del secret["project_id"]
    world.put_secret(provider_of(folder), secret)
    refused(world, folder, function.result(request), "ProjectIdMissing")


BAD_IDS = ["", "..", ".", "a/b", "a b", "a\n", "%2e%2e", "١٢٣", "a?b", "x" * 200, None, True, 1.5, ["a"]]


@every_function
def test_an_id_that_could_change_the_path_is_refused(world: HandlerWorld, folder: str) -> None:
    """Strict pattern: no `/`, no dot segment, no blank, no newline, no other script's digits."""
    names = request_schema(folder)["properties"].keys() & {"instance_id", "task_id", "project_id"}
    for name in sorted(names):
        refused_values(world, folder, name, BAD_IDS)


@pytest.mark.parametrize("value", [191297407830872, "191297407830872"])
@pytest.mark.parametrize("folder", [OMS_DELETE, OMS_STOP])
def test_an_oms_task_id_is_digits_as_text_or_integer(world: HandlerWorld, folder: str, value: object) -> None:
    function, request = start(world, folder)

    result = function.result({**request, "task_id": value})

    assert (result["outcome"], result["target"]["task_id"]) == ("succeeded", "191297407830872")


@pytest.mark.parametrize("body", ['{"region":"cn-north-4","task_id":1.0}', '{"region":"cn-north-4","task_id":1e3}'])
def test_an_integer_valued_float_is_not_an_integer(world: HandlerWorld, body: str) -> None:
    function, _ = start(world, OMS_DELETE)
    function.invoke(batch(with_body(OMS_DELETE, body)))
    refused(world, OMS_DELETE, only_result(world), "SchemaViolation")


@every_function_and_trigger
def test_a_correlation_id_is_echoed(world: HandlerWorld, folder: str, trigger: str) -> None:
    function, _ = start(world, folder)

    function.invoke(arrival(folder, trigger, {"correlation_id": "migration 42/a"}).event)

    assert only_result(world)["correlation_id"] == "migration 42/a"


def test_a_detail_may_be_a_json_string(world: HandlerWorld) -> None:
    """`detail`: an object, or a JSON string."""
    function, request = start(world, OMS_DELETE)

    event = {**sample_event(OMS_DELETE, "eventbridge"), "detail": json.dumps(request)}

    assert function.invoke(event).reply["outcome"] == "succeeded"


@pytest.mark.parametrize("detail", ["", "{", "null", "[]", '{"a":1,"a":1}', "NaN"])
@each_change_or_list
def test_an_unreadable_detail_is_published_as_a_failure(world: HandlerWorld, folder: str, detail: str) -> None:
    """Anything else is published and returned."""
    event = {**sample_event(folder, "eventbridge"), "detail": detail}

    outcome = world.function(folder).invoke(event)

    assert outcome.error is None
    assert outcome.reply["error"]["category"] == "invalid_request"
    assert world.published() == [outcome.reply]


def test_a_schedule_is_named_as_the_requester(world: HandlerWorld) -> None:
    """`requested_by`: IAM ARN, event source or schedule, as far as the trigger tells."""
    function, _ = start(world, OMS_DELETE)
    arn = "arn:aws:scheduler:eu-central-1:123456789012:schedule/task-cleanup/nightly"

    event = {**bridge_event(sample_event(OMS_DELETE, "eventbridge")), "source": "aws.scheduler", "resources": [arn]}

    assert function.invoke(event).reply["requested_by"] == arn


# -- HTTP ------------------------------------------------


def _http_status(world: HandlerWorld, function: Function, event: dict[str, Any]) -> int:
    status: int = function.invoke(event).reply["statusCode"]
    return status


@pytest.mark.parametrize("query", ["dry_run=true", "dry_run=false"])
@every_function
def test_true_and_false_in_the_query_are_booleans(world: HandlerWorld, folder: str, query: str) -> None:
    function, _ = start(world, folder)
    event = http_event(folder)
    event["rawQueryString"] = query

    event["queryStringParameters"] = dict([query.split("=")])

    assert _http_status(world, function, event) == 200
    assert only_result(world)["outcome"] == ("planned" if query.endswith("true") else "succeeded")


@every_function
def test_other_words_in_the_query_are_no_booleans(world: HandlerWorld, folder: str) -> None:
    function, _ = start(world, folder)

    for value in ("True", "TRUE", "1", "yes", "", "true,true"):
        event = http_event(folder)
        event["rawQueryString"], event["queryStringParameters"] = f"dry_run={value}", {"dry_run": value}
        with case(value):
            assert _http_status(world, function, event) == 400

    assert world.effects == []


@each_kind
def test_a_body_may_be_base64(world: HandlerWorld, folder: str) -> None:
    """`isBase64Encoded` is honoured."""
    function, _ = start(world, folder)
    event = http_event(folder)

    event["body"], event["isBase64Encoded"] = base64.b64encode(b'{"dry_run": true}').decode(), True

    assert _http_status(world, function, event) == 200
    assert only_result(world)["outcome"] == "planned"


def _repeated(event: dict[str, Any], how: str) -> None:
    name, value = "region", event["pathParameters"]["region"]
    if how == "path and body":
        event["body"] = json.dumps({name: value})
    elif how == "path and query":
        event["rawQueryString"], event["queryStringParameters"] = f"{name}={value}", {name: value}
    elif how == "query and body":
        event["rawQueryString"], event["queryStringParameters"] = "account=a", {"account": "a"}
        event["body"] = '{"account": "a"}'
    elif how == "twice in the query":
        event["rawQueryString"], event["queryStringParameters"] = "account=a&account=a", {"account": "a,a"}
    else:
        event["body"] = '{"account": "default", "account": "default"}'


@pytest.mark.parametrize(
    "how", ["path and body", "path and query", "query and body", "twice in the query", "twice in the body"]
)
@each_change_or_list
def test_the_same_name_twice_is_refused(world: HandlerWorld, folder: str, how: str) -> None:
    """The same name twice, in two places or repeated in the query, is refused."""
    function, _ = start(world, folder)
    event = http_event(folder)

    _repeated(event, how)

    assert _http_status(world, function, event) == 400
    assert world.effects == []
    assert only_result(world)["error"]["category"] == "invalid_request"


@each_kind
def test_the_raw_path_and_the_route_key_are_never_read(world: HandlerWorld, folder: str) -> None:
    function, _ = start(world, folder)
    event = http_event(folder)
    event["rawPath"] = "/somewhere/else"

    event["routeKey"] = event["requestContext"]["routeKey"] = "DELETE /somewhere/else"

    assert _http_status(world, function, event) == 200


@pytest.mark.parametrize("body", ["{", "[]", '"x"', "null", "7", "NaN", "[" * 100_000])
@each_change_or_list
def test_a_body_that_is_no_json_object_is_refused(world: HandlerWorld, folder: str, body: str) -> None:
    function, _ = start(world, folder)

    assert _http_status(world, function, {**http_event(folder), "body": body}) == 400
    assert only_result(world)["error"]["category"] == "invalid_request"


@each_kind
def test_bytes_that_are_no_text_are_refused(world: HandlerWorld, folder: str) -> None:
    function, _ = start(world, folder)

    body = base64.b64encode(b"\xff\xfe").decode()

    for text in (body, "no base64!"):
        assert _http_status(world, function, {**http_event(folder), "body": text, "isBase64Encoded": True}) == 400
