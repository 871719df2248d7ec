"""A secret, an Authorization header, a token or a canonical request never reaches a log, a result or an exception."""

import json
import logging
import re
import traceback
from collections.abc import Iterable, Mapping
from urllib.parse import quote, quote_plus

import pytest

from tests.support.aws import Trouble
from tests.support.echo import EchoProvider, Headers, Quote
from tests.support.functions import function_folders, in_turn, provider_of, request_schema, service_of
from tests.support.handler_world import HandlerWorld, Outcome
from tests.support.identities import AWS_VARIABLES, fake_secret
from tests.support.runtime_log import runtime_log
from tests.support.scenes import Scene, arrange, put_task, scenes_in_turn
from tests.support.secret_store import MALFORMED, SECRET_STORE, break_secret_store
from tests.support.triggers import TRIGGERS, arrival, batch, http_event, request_of, with_body

FOLDERS = ["alibaba_elasticsearch_delete_data_task", "huawei_oms_delete_task"]  # one of each signing scheme
CANONICAL = re.compile(
    r"x-sdk-date:|x-acs-date:|x-acs-signature-nonce:|SignedHeaders|HMAC-SHA256 (Access|Credential)"
)

every_function = pytest.mark.parametrize("folder", FOLDERS)


def everything_said(world: HandlerWorld, outcome: Outcome, caplog: pytest.LogCaptureFixture) -> str:
    """Log lines, metrics, replies, exceptions, events and dead letters: whatever leaves the function."""
    world.log_lines()
    said = [world.output, caplog.text, json.dumps(outcome.reply, ensure_ascii=False)]
    if outcome.error is not None:
        said.append("".join(traceback.format_exception(outcome.error)))
    said += [json.dumps(item, ensure_ascii=False) for item in (*world.aws.events, *world.aws.messages)]
    return "\n".join(said)


def secrets_of(world: HandlerWorld, folder: str, sent: Iterable[Mapping[str, str]] = ()) -> set[str]:
    """All that must stay inside: what the secret holds, our own role's, and what was signed."""
    secrets = {AWS_VARIABLES["AWS_SECRET_ACCESS_KEY"], AWS_VARIABLES["AWS_SESSION_TOKEN"]}
    for text in (*world.aws.secrets.values(), json.dumps(fake_secret(provider_of(folder)))):
        stored = json.loads(text)
        secrets |= {stored["access_key_id"], stored["secret_access_key"], stored["security_token"]}
    for headers in sent:
        secrets |= {headers["authorization"], signature_of(headers)}
    return secrets


def signature_of(headers: Mapping[str, str]) -> str:
    return headers["authorization"].rpartition("Signature=")[2]


def check_silent(said: str, secrets: Iterable[str]) -> None:
    for secret in secrets:
        for form in {secret, quote(secret, safe=""), quote_plus(secret), quote(secret), json.dumps(secret)[1:-1]}:
            assert form not in said
    assert CANONICAL.search(said) is None


@pytest.mark.parametrize(("folder", "scene", "trigger"), scenes_in_turn(FOLDERS))
def test_no_outcome_tells_a_secret(
    world: HandlerWorld, caplog: pytest.LogCaptureFixture, folder: str, scene: Scene, trigger: str
) -> None:
    """The emulators echo the canonical request when a signature is bad (`APIGW.0301`, `SignatureDoesNotMatch`)."""
    caplog.set_level(logging.DEBUG)
    arrange(world, folder, scene)
    function = world.function(folder, {**scene.variables, "POWERTOOLS_LOG_LEVEL": "DEBUG"})

    outcome = function.invoke(arrival(folder, trigger, scene.changes).event)

    check_silent(everything_said(world, outcome, caplog), secrets_of(world, folder))


@pytest.mark.parametrize("folder", function_folders())
def test_no_library_writes_into_the_log_at_debug(world: HandlerWorld, folder: str) -> None:
    """As Lambda's runtime sets up logging, with ``LogLevel=DEBUG`` and every library at its most talkative."""
    put_task(world, folder, request_of(folder))

    with runtime_log() as log:
        function = world.function(folder, {"POWERTOOLS_LOG_LEVEL": "DEBUG", "AWS_LAMBDA_LOG_LEVEL": "DEBUG"})
        done = function.result(request_of(folder))
        world.rotate_key(provider_of(folder))
        rejected = function.result(request_of(folder))
        function.invoke(arrival(folder, "sqs_plain").event)

    assert (done["attempts"], rejected["error"]["category"]) == (1, "unauthenticated")
    assert log.lines == []
    check_silent("\n".join(map(json.dumps, world.log_lines())), secrets_of(world, folder))


@every_function
def test_the_emulator_does_echo_the_canonical_request(world: HandlerWorld, folder: str) -> None:
    """Else the test above would prove nothing: the words before the echo are in the result, the echo is not."""
    request = request_of(folder)
    put_task(world, folder, request)
    world.rotate_key(provider_of(folder))

    message = world.function(folder).result(request)["error"]["message"]

    assert "signature" in message
    assert "canonical" not in message


def test_a_locked_key_is_not_named(world: HandlerWorld) -> None:
    """`APIGW.0301` names the key that it has locked."""
    folder = "huawei_oms_delete_task"
    world.rotate_key("huawei")
    results = [world.function(folder).result(request_of(folder)) for _ in range(7)]

    message = results[-1]["error"]["message"]

    assert message.endswith(": access key *** is locked, try again in 5 minutes")


QUOTES: dict[str, Quote] = {
    "Authorization": lambda headers: f"header {headers['authorization']} was refused",
    "signature": lambda headers: f"computed something else than {signature_of(headers)}",
    "all headers": lambda headers: str(dict(headers)),
    "all headers in lines": lambda headers: "\n".join(f"{name}:{value}" for name, value in headers.items()),
    "all headers with bars": lambda headers: "|".join(f"{name}:{value}" for name, value in headers.items()),
    "all headers as JSON": lambda headers: json.dumps(dict(headers)),
    "token": lambda headers: f"the token {_token(headers)} has expired",
    "token, encoded": lambda headers: f"the token {quote(_token(headers), safe='')} has expired",
    "token, encoded in small letters": lambda headers: (
        f"the token {re.sub('%..', lambda code: code[0].lower(), quote(_token(headers), safe=''))} has expired"
    ),
    "token after much text": lambda headers: "x" * 490 + _token(headers),
    "token as JSON": lambda headers: json.dumps({"token": _token(headers)}),
}


def _token(headers: Headers) -> str:
    return headers.get("x-acs-security-token") or headers["x-security-token"]


REPLIES = [(200, None), (200, "InternalError"), (400, None), (400, "OMS.0064"), (400, "SignatureDoesNotMatch")]
REPLIES += [(401, "APIGW.0301"), (503, "ServiceUnavailable")]


@pytest.mark.parametrize("quoted", QUOTES)
@every_function
def test_no_echo_of_what_was_sent_goes_on(
    world: HandlerWorld, caplog: pytest.LogCaptureFixture, folder: str, quoted: str
) -> None:
    """In the code, the message, `error_detail` and the request id; of the replies, three in turn for each quote."""
    caplog.set_level(logging.DEBUG)
    turn = list(QUOTES).index(quoted)
    for status, code in (REPLIES[(turn + step) % len(REPLIES)] for step in (0, 2, 4)):
        with EchoProvider(QUOTES[quoted], status, code) as provider:
            function = world.function(folder, {f"{service_of(folder).upper()}_ENDPOINT": provider.url})
            outcome = function.invoke(arrival(folder, "direct").event)
            secrets = secrets_of(world, folder, provider.requests)
        assert provider.requests
        said = everything_said(world, outcome, caplog)
        check_silent(said, secrets)
        # Percent-encoded in small letters it is still the token.
        assert quote(fake_secret(provider_of(folder))["security_token"], safe="").lower() not in said.lower()


@pytest.mark.parametrize("trigger", TRIGGERS)
@every_function
def test_no_echo_goes_on_by_any_trigger(
    world: HandlerWorld, caplog: pytest.LogCaptureFixture, folder: str, trigger: str
) -> None:
    with EchoProvider(QUOTES["all headers"], 400, "SignatureDoesNotMatch") as provider:
        function = world.function(folder, {f"{service_of(folder).upper()}_ENDPOINT": provider.url})
        outcome = function.invoke(arrival(folder, trigger).event)
        secrets = secrets_of(world, folder, provider.requests)

    check_silent(everything_said(world, outcome, caplog), secrets)


@every_function
def test_a_rotated_keys_old_and_new_secret_stay_inside(
    world: HandlerWorld, caplog: pytest.LogCaptureFixture, folder: str
) -> None:
    provider = provider_of(folder)
    function = world.function(folder)
    function.result(request_of(folder))
    world.put_secret(provider, world.rotate_key(provider))
    world.rotate_key(provider)

    outcome = function.invoke(arrival(folder, "http").event)

    check_silent(everything_said(world, outcome, caplog), secrets_of(world, folder))


@pytest.mark.parametrize(
    ("trouble", "trigger"),
    in_turn([name for name in SECRET_STORE if name not in {"slow", "malformed", "no text"}], TRIGGERS),
)
def test_the_secret_stores_troubles_tell_nothing(
    world: HandlerWorld, caplog: pytest.LogCaptureFixture, trigger: str, trouble: str
) -> None:
    folder = "huawei_oms_delete_task"
    function = world.function(folder)
    secrets = secrets_of(world, folder)
    break_secret_store(world, folder, trouble)

    outcome = function.invoke(arrival(folder, trigger).event)

    check_silent(everything_said(world, outcome, caplog), secrets)


@pytest.mark.parametrize("content", MALFORMED)
@every_function
def test_a_malformed_secret_is_named_and_not_told(
    world: HandlerWorld, caplog: pytest.LogCaptureFixture, folder: str, content: str
) -> None:
    """`SecretMalformed`, naming the secret, never its content."""
    world.aws.secrets[f"task-cleanup/{provider_of(folder)}/default"] = MALFORMED[content]

    outcome = world.function(folder).invoke(request_of(folder))

    assert outcome.reply["error"]["code"] == "SecretMalformed"
    assert f"task-cleanup/{provider_of(folder)}/default" in outcome.reply["error"]["message"]
    assert "testSecretFakeMalformed" not in everything_said(world, outcome, caplog)


@pytest.mark.parametrize("trouble", [Trouble.DENIED, Trouble.GARBAGE])
@pytest.mark.parametrize("trigger", TRIGGERS)
def test_failed_deliveries_tell_nothing(
    world: HandlerWorld, caplog: pytest.LogCaptureFixture, trigger: str, trouble: Trouble
) -> None:
    folder = "otc_dms_delete_background_task"
    world.aws.troubles |= {"events": trouble, "sqs": trouble}

    outcome = world.function(folder).invoke(arrival(folder, trigger).event)

    check_silent(everything_said(world, outcome, caplog), secrets_of(world, folder))


@every_function
def test_a_secret_that_somebody_put_into_a_request_is_not_repeated(
    world: HandlerWorld, caplog: pytest.LogCaptureFixture, folder: str
) -> None:
    """Never the rejected value: people paste keys into the wrong field."""
    function = world.function(folder)
    for name in (*request_schema(folder)["properties"], "secret_access_key"):
        for pasted in ({"pasted": "testSecretFakePasted"}, "testSecretFakePasted\n", ["testSecretFakePasted"]):
            outcome = function.invoke({**request_of(folder), name: pasted})
            assert outcome.reply["error"]["category"] == "invalid_request"
            assert "testSecretFakePasted" not in everything_said(world, outcome, caplog)


@pytest.mark.parametrize(
    "text", ["{'key': 'KEY'}", '{"key": KEY}', "key: KEY", "key=KEY", '{"key": "KEY",}', '{"key": "KEY'], ids=repr
)
@every_function
def test_a_secret_in_a_broken_text_is_not_repeated(
    world: HandlerWorld, caplog: pytest.LogCaptureFixture, folder: str, text: str
) -> None:
    """A dead letter holds the body as it came, and nothing else does."""
    function, text = world.function(folder), text.replace("KEY", "testSecretFakePasted")

    for event in (
        {**http_event(folder), "body": text},
        {**arrival(folder, "eventbridge").event, "detail": text},
        batch(with_body(folder, text)),
    ):
        outcome = function.invoke(event)
        for message in world.aws.messages:
            message["MessageBody"] = ""
        assert "testSecretFakePasted" not in everything_said(world, outcome, caplog)

    assert {result["error"]["code"] for result in world.logged_results()} == {"UnreadableRequest"}


def test_an_exception_nobody_foresaw_is_named_and_not_quoted(
    world: HandlerWorld, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a bug's text holds, it stays inside; the result is `failed`, `internal`."""
    folder = "huawei_oms_delete_task"
    function = world.function(folder)

    def bug() -> None:
        raise RuntimeError("testSecretFakeInABug")

    world.on_nonce = bug
    for trigger in TRIGGERS:
        outcome = function.invoke(arrival(folder, trigger).event)
        said = everything_said(world, outcome, caplog)
        assert "testSecretFakeInABug" not in said
    assert {result["error"]["category"] for result in world.logged_results()} == {"internal"}
