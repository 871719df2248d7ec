"""What is sent for temporary keys is what official clients send: by requests captured from them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from task_cleanup.aws import Aws, AwsError
from task_cleanup.errors import Category
from task_cleanup.providers import alibaba_sts, huawei_sts, otc_iam
from task_cleanup.providers.model import Reply, SignedRequest
from task_cleanup.providers.token_exchange import StepInput, TemporaryKeys, TokenExchange
from task_cleanup.settings import Settings
from task_cleanup.system import Deadline, System
from tests.support.builders import Answer, Script
from tests.support.stand_ins import ACCOUNTS

VECTORS: Mapping[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "keyless.json").read_text())
CAPTURED = {vector["name"]: vector["requests"] for vector in VECTORS["vectors"]}
REPLIES = {reply["name"]: reply for reply in VECTORS["replies"]}
JWT: str = VECTORS["jwt"]["token"]
NOW = datetime(2026, 11, 25, 13, 6, 32, tzinfo=UTC)
EXCHANGES = {it.provider: it for it in (alibaba_sts.EXCHANGE, huawei_sts.EXCHANGE, otc_iam.EXCHANGE)}


def sent(provider: str, number: int = 0, bearer: str = JWT) -> SignedRequest:
    """A request of the exchange, for the account of the captured requests."""
    exchange = EXCHANGES[provider]
    account = ACCOUNTS[provider]
    given = StepInput(f"https://{exchange.host(account)}", account, bearer, "task-cleanup", NOW)
    assert bearer not in repr(given)
    return exchange.steps(account)[number].request(given)


def told(name: str) -> Reply:
    """A captured reply."""
    reply = REPLIES[name]
    headers = {header.lower(): value for header, value in reply["headers"].items()}
    return Reply(reply["status"], headers, reply["body"].replace("${JWT}", JWT).encode())


def test_the_token_is_asked_for_as_in_the_captured_request(monkeypatch: pytest.MonkeyPatch) -> None:
    sigv4 = VECTORS["sigv4"]
    environment = {
        "AWS_REGION": sigv4["region"],
        "AWS_ACCESS_KEY_ID": sigv4["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": sigv4["secret_access_key"],
        "AWS_SESSION_TOKEN": sigv4["session_token"],
    }
    system = System(now=lambda: datetime(2026, 11, 25, 12, tzinfo=UTC))
    reply = told("aws_token_json")
    script = Script(Answer(reply.status, reply.body))
    aws = Aws(Settings.from_env((), environment), lambda: script.session(system), system)

    token = aws.get_web_identity_token("task-cleanup", Deadline.after(5, system.monotonic))

    (request,) = script.sent
    assert token == JWT
    assert (request.method, request.url) == ("POST", sigv4["url"])
    assert request.body == sigv4["body"].encode()
    assert str(request.headers["Authorization"]).endswith(sigv4["requests_aws4auth"]["signature"])


@pytest.mark.parametrize("name", ["aws_token_json", "aws_token_xml"])
def test_both_forms_of_the_token_are_read(name: str) -> None:
    system = System()
    reply = told(name)
    script = Script(Answer(reply.status, reply.body))
    environment = {
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "AKFAKE",
        "AWS_SECRET_ACCESS_KEY": "testSecretFake",
    }
    aws = Aws(Settings.from_env((), environment), lambda: script.session(system), system)

    assert aws.get_web_identity_token("any", Deadline.after(5, system.monotonic)) == JWT


@pytest.mark.parametrize(("status", "code"), [(200, "UnexpectedReply"), (302, "Http302"), (403, "Http403")])
def test_a_reply_that_is_no_text_has_no_token(status: int, code: str) -> None:
    system = System()
    script = Script(Answer(status, b"\xff\xfe"))
    environment = {
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "AKFAKE",
        "AWS_SECRET_ACCESS_KEY": "testSecretFake",
    }
    aws = Aws(Settings.from_env((), environment), lambda: script.session(system), system)

    with pytest.raises(AwsError) as raised:
        aws.get_web_identity_token("any", Deadline.after(5, system.monotonic))

    assert (raised.value.code, raised.value.status) == (code, status)


def test_alibabas_is_the_one_of_the_node_client() -> None:
    (captured,) = CAPTURED["alibaba_assume_role_with_oidc_post_form"]
    request = sent("alibaba")
    url = urlsplit(request.url)

    assert (request.method, url.path) == (captured["method"], captured["path"])
    assert dict(parse_qsl(url.query)) == dict(map(tuple, captured["query"])) | {"Timestamp": "2026-11-25T13:06:32Z"}
    assert JWT not in request.url
    form = {name: value.replace("${JWT}", JWT) for name, value in captured["form_body"]}
    assert dict(parse_qsl((request.body or b"").decode())) == {**form, "DurationSeconds": "900"}
    assert request.headers["Content-Type"] == dict(map(tuple, captured["headers"]))["Content-Type"]


def test_huaweis_is_the_one_of_the_sdk_core() -> None:
    captured, _ = CAPTURED["huawei_v5_assume_with_oidc_then_oms"]
    request = sent("huawei")

    assert (request.method, urlsplit(request.url).path) == (captured["method"], captured["path"])
    wanted = json.loads(captured["raw_body"].replace("${JWT}", JWT))
    assert json.loads(request.body or b"") == {**wanted, "duration_seconds": 900}


def test_otcs_are_those_of_huaweis_clients_for_the_same_calls() -> None:
    (captured,) = CAPTURED["huawei_v3_token_with_id_token_scoped"]
    first, second = sent("otc"), sent("otc", 1, "FAKESUBJECTTOKEN")

    assert (first.method, urlsplit(first.url).path) == (captured["method"], captured["path"])
    assert json.loads(first.body or b"") == json.loads(captured["raw_body"].replace("${JWT}", JWT))
    assert first.headers["X-Idp-Id"] == "aws"
    keys = CAPTURED["huawei_v3_federation_then_oms"][1]
    assert (second.method, urlsplit(second.url).path) == (keys["method"], keys["path"])
    assert second.headers["X-Auth-Token"] == "FAKESUBJECTTOKEN"  # the body's member is about to be dropped
    wanted = json.loads(keys["raw_body"])["auth"]["identity"]
    del wanted["token"]["id"]
    assert json.loads(second.body or b"")["auth"]["identity"] == {**wanted, "token": {"duration_seconds": 900}}


HOSTS = [
    ("alibaba", {}, "sts.aliyuncs.com"),
    ("alibaba", {"sts_region": "eu-central-1"}, "sts.eu-central-1.aliyuncs.com"),
    ("alibaba", {"sts_region": "ap-southeast-2"}, "sts.aliyuncs.com"),
    ("huawei", {"sts_region": "cn-north-4"}, "sts.cn-north-4.myhuaweicloud.com"),
    ("otc", {"region": "eu-nl"}, "iam.eu-nl.otc.t-systems.com"),
]


@pytest.mark.parametrize(("provider", "members", "host"), HOSTS)
def test_hosts(provider: str, members: dict[str, str], host: str) -> None:
    assert EXCHANGES[provider].host({**ACCOUNTS[provider], **members}) == host


@pytest.mark.parametrize(
    ("provider", "name", "end"),
    [
        ("alibaba", "alibaba_ok", datetime(2026, 11, 25, 12, 15, tzinfo=UTC)),
        ("huawei", "huawei_ok", datetime(2026, 11, 25, 12, 15, 0, 158000, tzinfo=UTC)),
        ("otc", "otc_keys_ok", datetime(2026, 11, 25, 12, 15, 0, 575000, tzinfo=UTC)),
    ],
)
def test_keys_are_read_whole_or_not_at_all(provider: str, name: str, end: datetime) -> None:
    exchange: TokenExchange = EXCHANGES[provider]
    read = exchange.steps(ACCOUNTS[provider])[-1].read
    reply = told(name)

    keys = read(reply, ACCOUNTS[provider])

    assert isinstance(keys, TemporaryKeys)
    assert (keys.expires_at, keys.credentials.project_id) == (end, ACCOUNTS[provider].get("project_id"))
    shown = f"{reply} {keys} {sent(provider)}"
    assert not any(secret in shown for secret in (JWT, *keys.credentials.secrets[1:]))
    body = json.loads(reply.body)
    (outer,) = (member for member in ("Credentials", "credentials", "credential") if member in body)
    for member in body[outer]:
        for value in (None, "", "two\nlines", 1):
            broken = {**body, outer: {**body[outer], member: value}}
            assert read(Reply(reply.status, {}, json.dumps(broken).encode()), ACCOUNTS[provider]) is None
    ends = {member: "soon" for member in body[outer] if "xpir" in member}
    broken = {**body, outer: {**body[outer], **ends}}
    assert read(Reply(reply.status, {}, json.dumps(broken).encode()), ACCOUNTS[provider]) is None


def test_otcs_token_is_read_from_the_reply_that_creates_one_and_from_no_other() -> None:
    account, read = ACCOUNTS["otc"], otc_iam.read_project_token
    head, body = {"x-subject-token": "testTokenFake"}, b'{"token": {"expires_at": "2026-11-26T12:00:00.000000Z"}}'

    assert read(Reply(201, head, b""), account) == "testTokenFake"
    assert read(Reply(201, head, b""), {**account, "use": "keys"}) == "testTokenFake"
    assert read(Reply(200, head, body), account) is None
    for value in ("", "two words", "two\nlines"):
        assert read(Reply(201, {"x-subject-token": value}, body), account) is None

    used = {**account, "use": "token"}
    keys = read(Reply(201, head, body), used)
    assert isinstance(keys, TemporaryKeys)
    assert (keys.credentials.auth_token, keys.credentials.project_id) == ("testTokenFake", account["project_id"])
    for broken in (b"", b"[]", b'{"token": "x"}', b'{"token": {}}', b'{"token": {"expires_at": "soon"}}'):
        assert read(Reply(201, head, broken), used) is None


WHOLE = {"alibaba": {**ACCOUNTS["alibaba"], "sts_region": "eu-central-1"}, "otc": {**ACCOUNTS["otc"], "use": "token"}}
MEMBERS = [(provider, member) for provider, exchange in EXCHANGES.items() for member in exchange.members]


@pytest.mark.parametrize(("provider", "member"), MEMBERS)
def test_a_member_is_taken_as_a_whole_and_nothing_beside_it(provider: str, member: str) -> None:
    """They end up in host names, headers and bodies."""
    violation, account = EXCHANGES[provider].violation, WHOLE.get(provider, ACCOUNTS[provider])
    value = account[member]

    assert violation(account) is None
    for wrong in ("", f" {value}", f"{value} ", f"{value}\n", f"{value}/x", f"{value}\u00e9", f"{value}\n{value}"):
        told = violation({**account, member: wrong})
        assert told is not None
        assert told.startswith(f"has a malformed {member}; one is ")


@pytest.mark.parametrize(
    ("provider", "member", "value"),
    [
        ("alibaba", "sts_region", "eu-central-1.evil.example"),
        ("alibaba", "provider_arn", ACCOUNTS["alibaba"]["role_arn"]),
        ("huawei", "agency_urn", "iam::0123:agency:task-cleanup"),
        ("huawei", "project_id", ACCOUNTS["huawei"]["project_id"] + "0"),
        ("otc", "region", "eu-ch2"),
    ],
)
def test_a_member_of_another_kind_is_not_taken(provider: str, member: str, value: str) -> None:
    assert f"malformed {member}" in (EXCHANGES[provider].violation({**ACCOUNTS[provider], member: value}) or "")


def test_the_example_of_each_member_is_taken() -> None:
    for provider, member in MEMBERS:
        known = EXCHANGES[provider].members[member]
        taken = [word for word in known.example.replace(",", " ").split() if known.pattern.fullmatch(word)]
        assert taken, (provider, member)


def test_otcs_keys_take_two_requests_and_its_token_one() -> None:
    steps, account = otc_iam.EXCHANGE.steps, ACCOUNTS["otc"]

    assert [len(steps({**account, **use})) for use in ({}, {"use": "keys"}, {"use": "token"})] == [2, 2, 1]


# Every code that the providers' documents name and whose cause an operator can repair: what its hint speaks of.
HINTS = [
    ("alibaba", "AuthenticationFail.NoPermission", "oidc:sub"),
    ("alibaba", "AuthenticationFail.OIDCToken.AudienceNotMatch", "client ids"),
    ("alibaba", "AuthenticationFail.OIDCToken.Expired", "five minutes"),
    ("alibaba", "AuthenticationFail.OIDCToken.InvalidSignature", "signing key"),
    ("alibaba", "AuthenticationFail.OIDCToken.IssuerNotMatch", "issuer URL"),
    ("alibaba", "AuthenticationFail.OIDCToken.HttpsUrlInvalid", "fingerprint"),
    ("alibaba", "AuthenticationFail.OIDCToken.PublicKeyFingerprintMismatch", "fingerprint"),
    ("alibaba", "EntityNotExist.Role", "role_arn"),
    ("huawei", "STS5.1001", "oidc:sub"),
    ("huawei", "STS5.1007", "sts_region"),
    ("huawei", "STS5.1106", "agency_urn"),
    ("huawei", "STS5.2001", "client ids"),
    ("otc", "IAM.0001", "signing keys"),
    ("otc", "IAM.0003", "mapping"),
    ("otc", "IAM.0004", "provider_id"),
]


@pytest.mark.parametrize(("provider", "code", "named"), HINTS)
def test_hints(provider: str, code: str, named: str) -> None:
    exchange = EXCHANGES[provider]

    assert named in (exchange.hint(code) or "")
    assert exchange.hint(f"{code}Exception") == exchange.hint(code)  # of its beginning
    assert exchange.category(code, 401) is exchange.category(code, 403) is None
    assert exchange.hint("SomethingElse") is None


@pytest.mark.parametrize(
    ("provider", "code", "status", "category"),
    [
        ("alibaba", "AuthenticationFail.OIDCToken.IssuerConfigurationBroken", 401, Category.UNAVAILABLE),
        ("alibaba", "Throttling.Api", 400, Category.THROTTLED),
        ("huawei", "STS5.9999", 429, Category.THROTTLED),
        ("huawei", "STS5.9999", 500, Category.UNAVAILABLE),
        ("otc", "IAM.9999", 503, Category.UNAVAILABLE),
        ("otc", "IAM.9999", 404, None),
        ("otc", "IAM.9999", 501, None),
    ],
)
def test_what_passes_by_itself(provider: str, code: str, status: int, category: Category | None) -> None:
    assert EXCHANGES[provider].category(code, status) is category
