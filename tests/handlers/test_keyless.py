"""Accounts without a stored key, by whole functions: tokens, exchanges and keys against stand-ins that check them."""

import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pytest

from local.emulators.faults import FaultKind, Variant
from local.emulators.identity import Identity
from task_cleanup.errors import CleanupError
from task_cleanup.federation import Federation
from task_cleanup.settings import SettingsError
from task_cleanup.system import Deadline
from tests.support.checks import check_shape
from tests.support.echo import BODY, EchoProvider
from tests.support.handler_world import Function, HandlerWorld
from tests.support.identities import AWS_VARIABLES, fake_secret
from tests.support.runtime_log import runtime_log
from tests.support.stand_ins import (
    ACCOUNTS,
    EXCHANGE,
    FOLDERS,
    HUAWEI_PROVIDER,
    OTHER_ROLE,
    REQUESTS,
    ROLE,
    federated,
)

LAST_CALL = {
    "alibaba": "AssumeRoleWithOIDC",
    "huawei": "AssumeAgencyWithOIDC",
    "otc": "CreateTemporaryAccessKey",
}
every_provider = pytest.mark.parametrize("provider", ACCOUNTS)


def function(world: HandlerWorld, provider: str, alias: str = "default", **members: str) -> Function:
    """A list of the provider whose account ``alias`` has no stored key."""
    account = {**ACCOUNTS[provider], **members}
    return world.function(FOLDERS[provider], federated(world.cloud, **{provider: {alias: account}}))


def exchanges(world: HandlerWorld, provider: str) -> int:
    """How many keys were given."""
    entries = world.cloud.journal.entries(service=EXCHANGE[provider])
    return len([entry for entry in entries if entry.operation == LAST_CALL[provider] and (entry.status or 500) < 300])


# -- keys ------------------------------------------------


@every_provider
def test_keys_are_used_until_five_minutes_before_their_end(keyless: HandlerWorld, provider: str) -> None:
    called = function(keyless, provider)

    given = []
    for seconds in (0, 590, 20, 590):
        keyless.pass_time(seconds)
        assert called.result(REQUESTS[provider])["outcome"] == "succeeded"
        given.append(exchanges(keyless, provider))

    assert given == [1, 1, 2, 2]
    tokens = keyless.cloud.journal.entries(service="aws_sts")
    assert [(entry.status, entry.signature_ok) for entry in tokens] == [(200, True)] * 2


@every_provider
def test_a_rejected_signature_exchanges_once_anew(keyless: HandlerWorld, provider: str) -> None:
    called = function(keyless, provider)
    called.result(REQUESTS[provider])
    (key_id,) = {entry.access_key_id for entry in keyless.cloud.journal.entries() if entry.service in REQUESTS_TO}
    assert key_id is not None
    keyless.cloud.keys.change(provider, key_id, disabled=True)

    result = called.result(REQUESTS[provider])

    assert (result["outcome"], result["attempts"], exchanges(keyless, provider)) == ("succeeded", 2, 2)


REQUESTS_TO = ("alibaba_elasticsearch", "huawei_oms", "otc_dms")


@pytest.mark.parametrize(
    ("kind", "code", "retryable"),
    [
        (FaultKind.ERROR, "ExchangeRefused", False),
        (FaultKind.THROTTLE, "ExchangeUnavailable", True),
    ],
)
def test_where_no_other_keys_can_be_had_the_result_says_why(
    keyless: HandlerWorld, kind: FaultKind, code: str, retryable: bool
) -> None:
    called = function(keyless, "huawei")
    called.result(REQUESTS["huawei"])
    (key_id,) = {entry.access_key_id for entry in keyless.cloud.journal.entries(service="huawei_oms")}
    keyless.cloud.keys.change("huawei", str(key_id), disabled=True)
    values = {"status": 403, "code": "STS5.1001", "message": "no"} if kind is FaultKind.ERROR else {}
    keyless.cloud.faults.add(kind, service="huawei_sts", **values)

    refused = called.result(REQUESTS["huawei"])
    keyless.cloud.faults.clear()

    assert (refused["error"]["code"], refused["retryable"], refused["attempts"]) == (code, retryable, 1)
    assert called.result(REQUESTS["huawei"])["outcome"] == "succeeded"


def test_keys_that_are_never_accepted_are_suspended(keyless: HandlerWorld) -> None:
    keyless.cloud.switches.update(otc_temporary_keys=False)
    called = function(keyless, "otc")

    first, second = (called.result(REQUESTS["otc"])["error"] for _ in range(2))

    assert (first["category"], exchanges(keyless, "otc")) == ("unauthenticated", 2)
    assert second["code"] == "CredentialSuspended"


def test_where_dms_takes_no_temporary_keys_the_token_itself_is_sent(keyless: HandlerWorld) -> None:
    keyless.cloud.switches.update(otc_temporary_keys=False, otc_iam_token_size=16_000)
    called = function(keyless, "otc", use="token")

    for seconds in (0, 590, 20):
        keyless.pass_time(seconds)
        assert called.result(REQUESTS["otc"])["outcome"] == "succeeded"

    operations = [entry.operation for entry in keyless.cloud.journal.entries(service="otc_iam")]
    assert operations == ["CreateTokenWithIdToken"] * 2  # though the token would be good for a day


def test_accounts_that_are_not_named_have_a_secret(keyless: HandlerWorld) -> None:
    keyless.put_secret("huawei", fake_secret("huawei"))
    called = function(keyless, "huawei", alias="archive")

    stored = called.result(REQUESTS["huawei"])
    exchanged = called.result({**REQUESTS["huawei"], "account": "archive"})
    neither = called.result({**REQUESTS["huawei"], "account": "other"})

    assert [stored["outcome"], exchanged["outcome"]] == ["succeeded"] * 2
    assert exchanges(keyless, "huawei") == 1
    assert neither["error"]["code"] == "SecretNotFound"
    assert "HUAWEI_FEDERATION does not name it" in neither["error"]["message"]


def test_the_providers_log_names_the_function(keyless: HandlerWorld) -> None:
    function(keyless, "huawei").result(REQUESTS["huawei"])

    (entry,) = keyless.cloud.journal.entries(service="huawei_sts")
    assert entry.ids["session"] == "task-cleanup-fake-function"


@every_provider
def test_an_exchange_is_repeated_where_that_can_help(keyless: HandlerWorld, provider: str) -> None:
    for service in ("aws_sts", EXCHANGE[provider]):
        keyless.cloud.faults.add(FaultKind.HTTP_ERROR, service=service, status=503, count=1)

    assert function(keyless, provider).result(REQUESTS[provider])["outcome"] == "succeeded"


@pytest.mark.parametrize("in_json", [True, False])
def test_a_token_is_asked_for_again_where_the_signature_was_stale(keyless: HandlerWorld, in_json: bool) -> None:
    """Lambda froze the environment during the call."""
    keyless.cloud.switches.update(aws_sts_json=in_json)
    refusal = {"status": 403, "code": "SignatureDoesNotMatch", "message": "Signature expired"}
    keyless.cloud.faults.add(FaultKind.ERROR, service="aws_sts", count=1, **refusal)

    assert function(keyless, "huawei").result(REQUESTS["huawei"])["outcome"] == "succeeded"
    assert [entry.status for entry in keyless.cloud.journal.entries(service="aws_sts")] == [403, 200]


def test_callers_at_the_same_time_share_one_exchange(keyless: HandlerWorld) -> None:
    """As the threads of a sweep do."""
    called = function(keyless, "huawei")
    keyless.cloud.faults.add(FaultKind.LATENCY, service="huawei_sts", ms=100)
    handler: Any = called.handler
    store, deadline = handler._dependencies.credentials, Deadline.after(20, keyless.system.monotonic)

    with ThreadPoolExecutor(8) as pool:
        keys = {it.access_key_id for it in pool.map(lambda _: store.get("default", deadline), range(8))}

    assert (len(keys), exchanges(keyless, "huawei")) == (1, 1)


# -- refusals ------------------------------------------------


@dataclass(frozen=True)
class Trouble:
    """Something that is not as it should be, and what the result says of it: code, category, the provider's code."""

    make: Callable[[HandlerWorld], object]
    code: str
    category: str
    own: str | None = None
    provider: str = "huawei"


def _identity(change: Callable[[Identity], object]) -> Callable[[HandlerWorld], object]:
    return lambda world: change(world.cloud.identity)


def _other_subject(identity: Identity) -> None:
    for stand_in in (identity.alibaba, identity.huawei, identity.otc):
        for trust in stand_in.trusts.all():
            stand_in.trust(**{**vars(trust), "subjects": [OTHER_ROLE]})


def _expired(identity: Identity) -> None:
    identity.issuer.faults.expired = True


def _foreign(identity: Identity) -> None:
    identity.issuer.faults.foreign_key = True


def _problem(name: str) -> Callable[[HandlerWorld], object]:
    return _identity(
        lambda identity: identity.alibaba.trust(**{**vars(identity.alibaba.trusts.all()[0]), "issuer_problem": name})
    )


def _role(**fields: Any) -> Callable[[HandlerWorld], object]:
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    return lambda world: world.cloud.identity.aws.add_role(ROLE, *(AWS_VARIABLES[name] for name in names), **fields)


def _disabled(identity: Identity) -> None:
    identity.aws.enabled = False


KEYS = {"access_key_id": "AKFAKE", "secret_access_key": "testSecretFake", "security_token": "testTokenFake"}


def _keys(status: int, end: str) -> Callable[[HandlerWorld], object]:
    body = json.dumps({"credentials": {**KEYS, "expiration": end}})
    return _fault("huawei_sts", FaultKind.HTTP_ERROR, status=status, body=body)


def _fault(service: str, kind: FaultKind, **values: Any) -> Callable[[HandlerWorld], object]:
    return lambda world: world.cloud.faults.add(kind, service=service, **values)


REFUSED, PASSING = ("ExchangeRefused", "internal"), ("ExchangeUnavailable", "unavailable")
TOKEN_FAILURE = "AuthenticationFail.OIDCToken."
TROUBLES = {
    "alibaba: another subject": Trouble(
        _identity(_other_subject), *REFUSED, "AuthenticationFail.NoPermission", "alibaba"
    ),
    "huawei: another subject": Trouble(_identity(_other_subject), *REFUSED, "STS5.1001", "huawei"),
    "otc: another subject": Trouble(_identity(_other_subject), *REFUSED, "IAM.0001", "otc"),
    "alibaba: expired": Trouble(_identity(_expired), *REFUSED, TOKEN_FAILURE + "Expired", "alibaba"),
    "huawei: expired": Trouble(_identity(_expired), *REFUSED, None, "huawei"),
    "otc: rotated keys": Trouble(_identity(lambda it: it.issuer.rotate()), *REFUSED, "IAM.0001", "otc"),
    "alibaba: forged": Trouble(_identity(_foreign), *REFUSED, TOKEN_FAILURE + "InvalidSignature", "alibaba"),
    "alibaba: fingerprint": Trouble(
        _problem("PublicKeyFingerprintMismatch"), *REFUSED, TOKEN_FAILURE + "PublicKeyFingerprintMismatch", "alibaba"
    ),
    "alibaba: keys not fetched": Trouble(
        _problem("IssuerConfigurationBroken"), *PASSING, TOKEN_FAILURE + "IssuerConfigurationBroken", "alibaba"
    ),
    "alibaba: throttled": Trouble(
        _fault("alibaba_sts", FaultKind.THROTTLE), "ExchangeUnavailable", "throttled", "Throttling.User", "alibaba"
    ),
    "huawei: throttled": Trouble(
        _fault("huawei_sts", FaultKind.THROTTLE), "ExchangeUnavailable", "throttled", "APIGW.0308"
    ),
    "huawei: away": Trouble(_fault("huawei_sts", FaultKind.HTTP_ERROR, status=503), *PASSING, "Http503"),
    "otc: away": Trouble(_fault("otc_iam", FaultKind.RESET_BEFORE), *PASSING, provider="otc"),
    "huawei: nonsense": Trouble(
        _fault("huawei_sts", FaultKind.GARBAGE, variant=Variant.HTML), "UnexpectedReply", "provider_error"
    ),
    "huawei: ended keys": Trouble(_keys(200, "2026-11-21T08:30:00Z"), "UnexpectedReply", "provider_error"),
    "huawei: keys of the year 1": Trouble(_keys(200, "0001-01-01T00:00:00Z"), "UnexpectedReply", "provider_error"),
    "huawei: keys with a redirect": Trouble(_keys(302, "2026-11-21T08:46:00Z"), *REFUSED, "Http302"),
    "huawei: keys with a refusal": Trouble(_keys(403, "2026-11-21T08:46:00Z"), *REFUSED, "Http403"),
    "huawei: more than is read": Trouble(
        _fault("huawei_sts", FaultKind.GARBAGE, variant=Variant.HUGE, size=1024**2 + 1),
        "UnexpectedReply",
        "provider_error",
    ),
    "huawei: refusal as a success": Trouble(
        _fault("huawei_sts", FaultKind.ERROR, status=200, code="STS5.1001", message="no"), *REFUSED, "STS5.1001"
    ),
    "huawei: nothing": Trouble(
        _fault("huawei_sts", FaultKind.HTTP_ERROR, status=204), "UnexpectedReply", "provider_error"
    ),
    "otc: a token and no keys": Trouble(
        _fault("otc_iam", FaultKind.ERROR, operation=LAST_CALL["otc"], status=403, code="IAM.0003", message="no"),
        *REFUSED,
        "IAM.0003",
        "otc",
    ),
    "aws: not switched on": Trouble(_identity(_disabled), "IdentityTokenDenied", "internal"),
    "aws: no right": Trouble(_role(denied=True), "IdentityTokenDenied", "internal"),
    "aws: another audience": Trouble(_role(audiences=("sts.aliyuncs.com",)), "IdentityTokenDenied", "internal"),
    "aws: throttled": Trouble(_fault("aws_sts", FaultKind.THROTTLE), "IdentityTokenUnavailable", "unavailable"),
    "aws: no token": Trouble(
        _fault("aws_sts", FaultKind.HTTP_ERROR, status=200, body='{"WebIdentityToken": "testTokenFake"}'),
        "UnexpectedReply",
        "provider_error",
    ),
    "aws: reset": Trouble(_fault("aws_sts", FaultKind.RESET_BEFORE), "IdentityTokenUnavailable", "unavailable"),
    "aws: session expired": Trouble(
        _fault("aws_sts", FaultKind.ERROR, status=403, code="ExpiredTokenException", message="expired"),
        "IdentityTokenUnavailable",
        "unavailable",
    ),
    "aws: more than is read": Trouble(
        _fault("aws_sts", FaultKind.GARBAGE, variant=Variant.HUGE, size=1024**2 + 1),
        "UnexpectedReply",
        "provider_error",
    ),
    "aws: away": Trouble(
        _fault("aws_sts", FaultKind.HTTP_ERROR, status=503), "IdentityTokenUnavailable", "unavailable"
    ),
}


@pytest.mark.parametrize(
    ("name", "in_json"),
    [*((name, True) for name in TROUBLES), *((name, False) for name in TROUBLES if name.startswith("aws"))],
)
def test_what_is_refused_is_no_success_and_says_why(keyless: HandlerWorld, name: str, in_json: bool) -> None:
    """AWS STS answers in JSON, or in XML as its documents say."""
    trouble = TROUBLES[name]
    called = function(keyless, trouble.provider)
    keyless.cloud.switches.update(aws_sts_json=in_json)
    trouble.make(keyless)

    result = called.result(REQUESTS[trouble.provider])

    check_shape(result)
    error = result["error"]
    assert (result["outcome"], error["code"], error["category"]) == ("failed", trouble.code, trouble.category)
    assert result["retryable"] is (trouble.category in ("throttled", "unavailable"))
    provider = (error["detail"] or {}).get("provider", {})
    if trouble.own is not None:
        assert provider["code"] == trouble.own
        assert trouble.own in error["message"]
    if error["code"] == "ExchangeRefused":
        assert error["detail"]["claims"]["sub"] == ROLE
        assert int(provider["http_status"]) >= 300 or "as a success" in name
        assert "account default: " in error["message"]
        assert ("request_id" in provider) is not provider["code"].startswith("Http")
    titles = (called.operation.service.exchange.title, "AWS STS")
    assert error["message"].startswith(titles[name.startswith("aws")])
    assert {entry.service for entry in keyless.cloud.journal.entries()} <= {"aws_sts", EXCHANGE[trouble.provider]}


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, it in TROUBLES.items()
        if it.code == "ExchangeRefused" and it.own and not it.own.startswith("Http")
    ],
)
def test_every_refusal_says_what_to_compare(keyless: HandlerWorld, name: str) -> None:
    called = function(keyless, TROUBLES[name].provider)
    TROUBLES[name].make(keyless)

    assert called.result(REQUESTS[TROUBLES[name].provider])["error"]["detail"]["hint"]


# -- secrecy ------------------------------------------------


@pytest.mark.parametrize("name", ["no trouble", *TROUBLES])
def test_no_token_and_no_key_is_told(keyless: HandlerWorld, name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    provider = TROUBLES[name].provider if name in TROUBLES else "otc"
    given: list[str] = []
    issue = keyless.cloud.identity.issuer.issue

    def issued(*arguments: Any, **more: Any) -> str:
        given.append(issue(*arguments, **more))
        return given[-1]

    keyless.monkeypatch.setattr(keyless.cloud.identity.issuer, "issue", issued)
    with runtime_log() as log:
        called = function(keyless, provider)
        if name in TROUBLES:
            TROUBLES[name].make(keyless)
        said = [
            called.result(REQUESTS[provider]),
            called.result({"check": "credentials", "region": REQUESTS[provider]["region"]}),
        ]
    keyless.log_lines()

    text = "\n".join([json.dumps(said), keyless.output, caplog.text, *map(str, log.lines)])

    keys = keyless.cloud.keys._keys.values()
    minted = {part for key in keys for part in (key.access_key_id, key.secret_access_key, key.security_token) if part}
    signatures = {token.rpartition(".")[2] for token in given}
    assert given or name.startswith("aws")
    for secret in {*given, *signatures, *minted, AWS_VARIABLES["AWS_SESSION_TOKEN"]}:
        assert secret not in text


@every_provider
@pytest.mark.parametrize("status", [200, 401, 429])
def test_a_provider_that_quotes_the_tokens_is_quoted_without_them(
    keyless: HandlerWorld, provider: str, status: int
) -> None:
    exchange = keyless.function(FOLDERS[provider]).operation.service.exchange
    tokens = [keyless.cloud.identity.issuer.issue(ROLE, exchange.audience), "testSubjectTokenFake0001"]
    first, *later = exchange.steps(ACCOUNTS[provider])
    if later and status == 200:  # OTC's second request has another token
        exchange = replace(exchange, steps=lambda _: (replace(first, read=lambda *_: tokens[1]), *later))
    with EchoProvider(lambda sent: sent[BODY] + sent.get("x-auth-token", ""), status) as echo:
        federation = Federation(
            exchange, {"default": ACCOUNTS[provider]}, lambda *_: tokens[0], keyless.system, base=echo.url
        )
        with pytest.raises(CleanupError) as refused:
            federation.keys("default", Deadline.after(5, keyless.system.monotonic))

    error = refused.value
    told = json.dumps([error.code, error.message, error.detail])
    assert "***" in error.message
    for secret in (*tokens, *tokens[0].split(".")):
        assert secret not in told


# -- configuration ------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "members", "why"),
    [
        ("alibaba", {"role_arn": "testSecretFake"}, "has a malformed role_arn"),
        ("alibaba", {"sts_region": "evil.example/"}, "has a malformed sts_region"),
        ("huawei", {"sts_region": "eu-west-101"}, "has a malformed sts_region"),
        ("huawei", {"agency_urn": HUAWEI_PROVIDER}, "has a malformed agency_urn"),
        ("otc", {"region": "eu-ch2"}, "has a malformed region"),
        ("otc", {"use": "tokens"}, "has a malformed use"),
        ("otc", {"secret_access_key": "testSecretFake"}, "has members that are not known"),
    ],
)
def test_a_function_with_a_wrong_account_does_not_start(
    keyless: HandlerWorld, provider: str, members: dict[str, str], why: str
) -> None:
    with pytest.raises(SettingsError, match=f"{provider.upper()}_FEDERATION: the account default {why}") as raised:
        function(keyless, provider, **members)

    assert not any(value in str(raised.value) for value in members.values())


@every_provider
def test_every_required_member_is_required(keyless: HandlerWorld, provider: str) -> None:
    called = function(keyless, provider)
    members = called.operation.service.exchange.members
    for name in (name for name, member in members.items() if member.required):
        account = {key: value for key, value in ACCOUNTS[provider].items() if key != name}
        variables = {f"{provider.upper()}_FEDERATION": json.dumps({"default": account})}
        with pytest.raises(SettingsError, match=f"the account default has no {name}"):
            keyless.function(FOLDERS[provider], variables)
