"""``{"check": "credentials"}``: each step says what it found, and nothing that is broken is called ok."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from local.emulators.faults import FaultKind, Variant
from tests.support.functions import ROOT, function_folders, operation_name, provider_of
from tests.support.handler_world import HandlerWorld
from tests.support.identities import fake_secret
from tests.support.stand_ins import ACCOUNTS, EXCHANGE, FOLDERS, OTHER_ROLE, REQUESTS, ROLE, federated

CHECK = {"check": "credentials"}
Json = dict[str, Any]


def checked(world: HandlerWorld, folder: str, **request: str) -> Json:
    """The answer of a function that has the default account of its provider without a stored key."""
    provider = provider_of(folder)
    variables = federated(world.cloud, **{provider: {"default": ACCOUNTS[provider]}})
    return world.function(folder, variables).result({**CHECK, **request})


def states(answer: Json) -> dict[str, str]:
    (service,) = answer["services"]
    return {step["step"]: step["state"] for step in service["steps"]}


def step(answer: Json, name: str) -> Json:
    (service,) = answer["services"]
    found: Json = next(step for step in service["steps"] if step["step"] == name)
    return found


def region_of(folder: str) -> str:
    region: str = REQUESTS[provider_of(folder)]["region"]
    return region


ALL_OK = {"identity token": "ok", "exchange": "ok", "call": "ok"}


@pytest.mark.parametrize("folder", function_folders())
def test_every_function_checks_what_it_would_call_with(keyless: HandlerWorld, folder: str) -> None:
    answer = checked(keyless, folder, region=region_of(folder))

    provider, service, _ = operation_name(folder).split(".")
    (told,) = answer["services"]
    assert (answer["ok"], answer["account"], states(answer)) == (True, "default", ALL_OK)
    assert (told["provider"], told["service"], told["source"]) == (provider, service, "exchange")
    assert step(answer, "identity token")["detail"]["claims"]["sub"] == ROLE
    assert keyless.effects == []


@pytest.mark.parametrize("folder", FOLDERS.values())
def test_the_same_with_a_secret(keyless: HandlerWorld, folder: str) -> None:
    keyless.put_secret(provider_of(folder), {**fake_secret(provider_of(folder))})

    answer = keyless.function(folder).result({**CHECK, "region": region_of(folder)})

    assert (answer["ok"], states(answer)) == (True, {"secret": "ok", "call": "ok"})


def _no_secret(_: HandlerWorld) -> None:
    """The secret store is empty."""


def _wrong_key(world: HandlerWorld) -> None:
    world.put_secret("otc", {**fake_secret("otc"), "secret_access_key": "testSecretFakeWrong"})


def _no_right(world: HandlerWorld) -> None:
    secret = fake_secret("otc")
    world.put_secret("otc", secret)
    world.cloud.keys.change("otc", secret["access_key_id"], denied=["ListInstances"])


@pytest.mark.parametrize(
    ("make", "expected", "named"),
    [
        (_no_secret, {"secret": "failed", "call": "skipped"}, "task-cleanup/otc/default"),
        (_wrong_key, {"secret": "ok", "call": "failed"}, "APIGW.0301"),
        (_no_right, {"secret": "ok", "call": "failed"}, "dms:instance:list"),
    ],
)
def test_what_is_wrong_with_a_secret_is_named(
    keyless: HandlerWorld, make: Callable[[HandlerWorld], None], expected: Json, named: str
) -> None:
    make(keyless)

    answer = keyless.function(FOLDERS["otc"]).result({**CHECK, "region": "eu-de"})

    assert (answer["ok"], states(answer)) == (False, expected)
    failed = next(step for step in answer["services"][0]["steps"] if step["state"] == "failed")
    assert named in str(failed)
    assert ("hint" in failed) is (make is _no_right)


@pytest.mark.parametrize("provider", ACCOUNTS)
def test_a_role_that_nobody_trusts_is_told_with_its_claims(keyless: HandlerWorld, provider: str) -> None:
    stand_in = getattr(keyless.cloud.identity, provider)
    stand_in.trust(**{**vars(stand_in.trusts.all()[0]), "subjects": [OTHER_ROLE]})

    answer = checked(keyless, FOLDERS[provider], region=region_of(FOLDERS[provider]))

    failed = step(answer, "exchange")
    assert (answer["ok"], states(answer)) == (
        False,
        {"identity token": "ok", "exchange": "failed", "call": "skipped"},
    )
    assert (failed["code"], failed["detail"]["claims"]["sub"]) == ("ExchangeRefused", ROLE)
    assert failed["detail"]["hint"]


def test_a_token_that_aws_does_not_give_ends_the_check(keyless: HandlerWorld) -> None:
    keyless.cloud.identity.aws.enabled = False

    answer = checked(keyless, FOLDERS["huawei"])

    assert (answer["ok"], states(answer)) == (False, {"identity token": "failed", "call": "skipped"})
    assert "enable-outbound-web-identity-federation" in step(answer, "identity token")["message"]
    assert not keyless.cloud.journal.entries(service=EXCHANGE["huawei"])


def test_keys_that_are_kept_do_not_hide_what_is_wrong_now(keyless: HandlerWorld) -> None:
    function = keyless.function(FOLDERS["huawei"], federated(keyless.cloud, huawei={"default": ACCOUNTS["huawei"]}))
    assert function.result(CHECK)["ok"]
    keyless.cloud.faults.add(FaultKind.ERROR, service="huawei_sts", status=403, code="STS5.1001", message="no")

    assert not function.result(CHECK)["ok"]


def test_without_a_region_nothing_is_called(keyless: HandlerWorld) -> None:
    answer = checked(keyless, FOLDERS["alibaba"])

    assert (answer["ok"], states(answer)) == (True, {**ALL_OK, "call": "skipped"})
    assert not keyless.cloud.journal.entries(service="alibaba_elasticsearch")


def test_without_a_project_the_call_is_skipped_and_says_so(keyless: HandlerWorld) -> None:
    account = {name: value for name, value in ACCOUNTS["huawei"].items() if name != "project_id"}
    variables = federated(keyless.cloud, huawei={"default": account})

    answer = keyless.function(FOLDERS["huawei"], variables).result({**CHECK, "region": "cn-north-4"})

    assert (states(answer)["call"], "project_id" in step(answer, "call")["message"]) == ("skipped", True)


@pytest.mark.parametrize(
    ("request_", "pointer"),
    [
        ({"check": "everything"}, "/check"),
        ({**CHECK, "region": "nowhere"}, "/region"),
        ({**CHECK, "region": "cn-north-4.evil.example"}, "/region"),
        ({**CHECK, "account": "Not an alias"}, "/account"),
        ({**CHECK, "task_id": "1"}, "/task_id"),
    ],
)
def test_a_request_that_is_not_valid_is_refused(keyless: HandlerWorld, request_: Json, pointer: str) -> None:
    answer = keyless.function(FOLDERS["huawei"]).result(request_)

    assert (answer["ok"], answer["services"], answer["error"]["category"]) == (False, [], "invalid_request")
    assert [it["pointer"] for it in answer["error"]["detail"]["violations"]] == [pointer]
    assert not keyless.cloud.journal.entries()


def test_it_is_asked_for_directly_only(keyless: HandlerWorld) -> None:
    """In a message, an event or an HTTP request it is no request of the operation: refused like any other."""
    function = keyless.function(FOLDERS["huawei"])
    event = {
        "id": "e-1",
        "source": "com.example",
        "detail-type": "x",
        "time": "2026-11-21T08:30:00Z",
        "detail": CHECK,
    }
    message = {"messageId": "m-1", "eventSource": "aws:sqs", "body": json.dumps(CHECK), "attributes": {}}
    call = {"version": "2.0", "requestContext": {"http": {"method": "POST"}}, "body": json.dumps(CHECK)}

    assert function.result(event)["error"]["code"] == "SchemaViolation"
    # The envelope counts, also where the event has the doctor's field, too.
    assert function.result({**CHECK, "Records": [message]}) == {"batchItemFailures": []}
    assert function.result({**CHECK, **call})["statusCode"] == 400
    assert [result["error"]["code"] for result in keyless.logged_results()] == ["SchemaViolation"] * 3
    assert not keyless.cloud.journal.entries()


def test_the_account_that_is_named_is_checked(keyless: HandlerWorld) -> None:
    """One that nobody trusts, beside a default account that is all right."""
    other = {**ACCOUNTS["huawei"], "agency_urn": f"{ACCOUNTS['huawei']['agency_urn']}-other"}
    accounts = {"default": ACCOUNTS["huawei"], "other": other}
    function = keyless.function(FOLDERS["huawei"], federated(keyless.cloud, huawei=accounts))

    answers = [function.result({**CHECK, "account": alias}) for alias in ("other", "default", "third")]

    assert [(it["account"], it["ok"]) for it in answers] == [("other", False), ("default", True), ("third", False)]
    assert [it["services"][0]["source"] for it in answers] == ["exchange", "exchange", "secret"]


def test_an_answer_that_is_none_of_the_services_is_a_failure(keyless: HandlerWorld) -> None:
    keyless.cloud.faults.add(FaultKind.GARBAGE, service="otc_dms", variant=Variant.HTML)

    answer = checked(keyless, FOLDERS["otc"], region="eu-de")

    assert (answer["ok"], step(answer, "call")["code"]) == (False, "UnexpectedReply")


def test_a_region_of_extra_regions_is_called(keyless: HandlerWorld) -> None:
    keyless.monkeypatch.setenv("EXTRA_REGIONS", json.dumps({"huawei.oms": ["xx-name-1"]}))

    assert states(checked(keyless, FOLDERS["huawei"], region="xx-name-1"))["call"] == "ok"


def test_keys_that_have_ended_are_no_success(keyless: HandlerWorld) -> None:
    key = {"access_key_id": "AKFAKE", "secret_access_key": "testSecretFake", "security_token": "testTokenFake"}
    body = json.dumps({"credentials": {**key, "expiration": "2026-11-21T08:30:00Z"}})
    keyless.cloud.faults.add(FaultKind.HTTP_ERROR, service="huawei_sts", status=200, body=body)

    answer = checked(keyless, FOLDERS["huawei"])

    assert (answer["ok"], states(answer)["exchange"]) == (False, "failed")


def test_the_documented_check_is_answered_as_documented(keyless: HandlerWorld) -> None:
    page = (ROOT / "docs" / "keyless.md").read_text()
    (asked,) = re.findall(r"^echo '(.*)' > check.json$", page, flags=re.M)
    (shown,) = [text for text in re.findall(r"^```json\n(.*?)^```$", page, flags=re.M | re.S) if '"steps"' in text]

    answer = checked(keyless, FOLDERS["otc"], **json.loads(asked))

    def alike(told: Json) -> str:
        return re.sub(r"arn:[^\"]+|until [^\"]+", "…", json.dumps(told))

    assert alike(answer) == alike(json.loads(shown))
