"""Every message that a function can make, as a person reads it: sentences, nothing of a program's own notation."""

import base64
from typing import Any

import pytest

from tests.support.functions import function_folders, representative_folders, request_schema
from tests.support.handler_world import HandlerWorld
from tests.support.identities import fake_secret
from tests.support.readable import unreadable
from tests.support.scenes import arrange, scenes_of
from tests.support.secret_store import MALFORMED, SECRET_STORE, break_secret_store
from tests.support.triggers import arrival, batch, http_event, request_of, with_body

FOLDERS = function_folders()
CANCEL_TASK = "alibaba_elasticsearch_cancel_task"
BROKEN = {
    "single quotes": "{'region': 'eu-de'}",
    "YAML": "region: eu-de",
    "repeated name": '{"region": "eu-de", "region": "eu-de"}',
    "NaN": '{"region": NaN}',
    "nothing": " ",
    "deep": "[" * 100_000,
    "a list": "[]",
}

WRONG: list[Any] = [None, "\n", -1, [], "a" * 300]

every_function = pytest.mark.parametrize("folder", FOLDERS)
each_kind = pytest.mark.parametrize("folder", representative_folders())


def check(world: HandlerWorld, at_least: int) -> list[str]:
    """The messages of all results so far are for people."""
    errors = [result["error"] for result in world.logged_results() if result["error"] is not None]
    assert len(errors) >= at_least
    assert {error["message"]: unreadable(error["message"]) for error in errors if unreadable(error["message"])} == {}
    return [error["message"] for error in errors]


@pytest.mark.parametrize(
    ("message", "what"),
    [
        ("the request was first sent more than 1:00:00 hours ago", "a duration as Python shows it"),
        ("older than 1 day, 0:00:00", "a duration as Python shows it"),
        ("the project is None for now", "a value as Python shows it"),
        ("refused for {'a': 1} and more", "a value as Python shows it"),
        ("it ended as Category.TIMEOUT once more", "an enumeration's member"),
        ("the request is not valid (/region: enum)", "a keyword instead of words"),
        ("ResultFalse", "fewer than three words"),
    ],
)
def test_what_people_stumble_over_is_found(message: str, what: str) -> None:
    assert what in unreadable(message)
    assert unreadable("/not_after must be a time, such as 2026-11-21T08:30:00Z or 2026-11-21T09:30:00+01:00") == []


@every_function
def test_whatever_a_provider_answers(world: HandlerWorld, folder: str) -> None:
    scenes = [scene for scene in scenes_of(folder) if not scene.slow]

    for scene in scenes:
        world.cloud.faults.clear()
        request = {**arrange(world, folder, scene), **scene.changes}
        world.function(folder, scene.variables).result(request)

    check(world, len(scenes) // 3)


@every_function
def test_whatever_the_schema_refuses(world: HandlerWorld, folder: str) -> None:
    function = world.function(folder)
    names = [*request_schema(folder)["properties"], "surprise", "dryrun"]
    for name in names:
        for value in WRONG:
            function.result({**request_of(folder), name: value})
    function.result({})

    function.result([])

    check(world, len(names) * 4)


@each_kind
def test_whatever_cannot_be_read(world: HandlerWorld, folder: str) -> None:
    """The body of a call, the body of a message and the detail of an event say the same of the same text."""
    function = world.function(folder)
    for text in BROKEN.values():
        function.invoke({**http_event(folder), "body": text})
        function.invoke(batch(with_body(folder, text)))
        function.invoke({**arrival(folder, "eventbridge").event, "detail": text})
    for body in ("no base64!", base64.b64encode(b"\xff\xfe").decode()):
        function.invoke({**http_event(folder), "body": body, "isBase64Encoded": True})
    said = check(world, 3 * len(BROKEN) + 2)

    hints = (
        "not single ones",
        "looks like YAML",
        'the name "region" comes twice',
        "NaN",
        "it is empty",
        "too deeply",
    )

    for hint in hints:
        assert sum(hint in message for message in said) == 3, hint
    assert "the body is not UTF-8 text: its byte 1 is wrong" in said


@each_kind
def test_whatever_comes_too_late_or_has_no_key(world: HandlerWorld, folder: str) -> None:
    function, provider = world.function(folder), folder.partition("_")[0]
    function.result({**request_of(folder), "not_after": "2026-01-01T00:00:00Z"})
    function.result({**request_of(folder), "account": "nobody-1"})
    world.put_secret(provider, {name: text for name, text in fake_secret(provider).items() if name != "project_id"})
    world.function(folder).result(request_of(folder, {"project_id": None}))
    for content in MALFORMED.values():
        world.aws.secrets[f"task-cleanup/{provider}/default"] = content
        world.function(folder).result(request_of(folder))

    for trouble in ("missing", "denied", "throttled", "down"):
        break_secret_store(world, folder, trouble)
        world.function(folder).result(request_of(folder))
        world.put_secret(provider, fake_secret(provider))
        world.aws.troubles.clear()

    assert {"missing", "denied", "throttled", "down"} <= SECRET_STORE.keys()
    check(world, len(MALFORMED) + 6)


def test_the_age_of_a_late_cancel_is_told_in_words(world: HandlerWorld) -> None:
    function = world.function(CANCEL_TASK)
    world.pass_time(3700)

    reply: Any = function.invoke(arrival(CANCEL_TASK, "eventbridge").event).reply

    assert reply["error"]["message"] == "the request was first sent more than 1 hour ago"
    assert reply["target"]["instance_id"] == request_of(CANCEL_TASK)["instance_id"]
