"""An exchange's time, what of a token is told, and which of AWS's refusals pass by themselves."""

import json
from base64 import urlsafe_b64encode

import pytest

from task_cleanup import transport
from task_cleanup.aws import AwsError
from task_cleanup.errors import Category, CleanupError, Code
from task_cleanup.federation import Federation, claims_of
from task_cleanup.providers import otc_iam
from task_cleanup.providers.model import Reply
from task_cleanup.settings import Settings, SettingsError
from task_cleanup.system import Deadline
from tests.support.builders import Clock
from tests.support.stand_ins import ACCOUNTS


def test_an_exchange_has_five_seconds_of_the_requests_time(monkeypatch: pytest.MonkeyPatch) -> None:
    given, clock = list[float](), Clock()
    account = ACCOUNTS["otc"]

    def answer(_session: object, _request: object, deadline: Deadline) -> Reply:
        given.append(deadline.remaining())
        clock.pass_(2)
        return Reply(201, {"x-subject-token": "testTokenFake"}, b"")

    monkeypatch.setattr(transport, "exchange", answer)
    federation = Federation(otc_iam.EXCHANGE, {"default": account}, lambda *_: "a.b.c", clock.system)
    for seconds in (20, 4):
        with pytest.raises(CleanupError):
            federation.keys("default", Deadline.after(seconds, clock.system.monotonic))

    assert given == [5, 3, 4, 2]


LONG = "a" * 2049
ODD_TOKENS = {
    b'{"iss": "https://i", "aud": "a", "sub": "s", "jti": "j"}': {"iss": "https://i", "aud": "a", "sub": "s"},
    b'{"iss": 1, "aud": ["a", "b"], "sub": "s"}': {"sub": "s"},
    b'{"iss": "two\\nlines", "aud": "\\u2028", "sub": "\\ud800"}': {},
    json.dumps({"iss": LONG[1:], "aud": LONG}).encode(): {"iss": LONG[1:]},
    b'["iss"]': {},
    b"\xff\xfe": {},
    b"[" * 100_000: {},
}


@pytest.mark.parametrize(("payload", "told"), ODD_TOKENS.items(), ids=range(len(ODD_TOKENS)))
def test_of_a_token_three_claims_are_told_that_fit_into_a_result(payload: bytes, told: dict[str, str]) -> None:
    part = urlsafe_b64encode(payload).decode().rstrip("=")

    assert claims_of(f"e30.{part}.AAAA") == told
    assert claims_of(part) == claims_of(f"e30.{part}.AAAA.AAAA") == {}


PASSING = [
    *(("Throttling", 400), ("ThrottlingException", 400), ("RequestLimitExceeded", 400), ("ServiceUnavailable", 400)),
    *(
        ("InternalFailure", 400),
        ("ExpiredToken", 403),
        ("ExpiredTokenException", 403),
        ("SignatureDoesNotMatch", 403),
    ),
    *(("RequestExpired", 400), (Code.TIMEOUT, None), (Code.CONNECTION_FAILED, None), ("Http429", 429), ("Any", 500)),
]
STAYING = [
    *(("AccessDenied", 403), ("OutboundWebIdentityFederationDisabledException", 403), ("InvalidClientTokenId", 403)),
    *(("SessionDurationEscalationException", 403), ("ValidationError", 400), ("Http403", 403), ("Http302", 302)),
]


@pytest.mark.parametrize(("code", "status"), [*PASSING, *STAYING])
def test_a_token_that_aws_does_not_give_is_asked_for_later_only_if_that_can_help(
    code: str, status: int | None
) -> None:
    clock = Clock()

    def no_token(_audience: str, _deadline: Deadline) -> str:
        raise AwsError(code, "sts", status)

    federation = Federation(otc_iam.EXCHANGE, {"default": ACCOUNTS["otc"]}, no_token, clock.system)
    with pytest.raises(CleanupError) as raised:
        federation.identity_token(clock.deadline())

    error = raised.value
    assert code in error.message
    if (code, status) in PASSING:
        assert (error.category, error.code) == (Category.UNAVAILABLE, Code.IDENTITY_TOKEN_UNAVAILABLE)
    else:
        assert (error.category, error.code) == (Category.INTERNAL, Code.IDENTITY_TOKEN_DENIED)
        assert error.detail == {"aws_code": code}


ENVIRONMENT = {"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "AKFAKE", "AWS_SECRET_ACCESS_KEY": "testSecretFake"}


@pytest.mark.parametrize(
    "value",
    [
        *(
            "{}",
            "[]",
            "null",
            "x",
            '{"default": []}',
            '{"default": "x"}',
            '{"default": {"region": 1, "use": "keys"}}',
        ),
        *('{"Default": {}}', '{"": {}}', '{"a": {}, "a": {}}', '{"a": {"use": "keys", "use": "token"}}'),
    ],
)
def test_what_is_no_object_of_accounts_is_refused_without_its_value(value: str) -> None:
    with pytest.raises(SettingsError, match=r"^OTC_FEDERATION"):
        Settings.from_env(["otc_dms"], {**ENVIRONMENT, "OTC_FEDERATION": value})


def test_only_the_own_providers_accounts_are_read() -> None:
    variables = {"OTC_FEDERATION": '{"default": {"use": "keys"}}', "HUAWEI_FEDERATION": "x"}

    assert Settings.from_env(["otc_dms"], {**ENVIRONMENT, **variables}).federation == {
        "otc": {"default": {"use": "keys"}}
    }
