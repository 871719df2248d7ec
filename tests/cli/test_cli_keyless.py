"""``task-cleanup keyless …``: an issuer's keys are brought to OTC's IAM; parameters are checked before a deploy."""

import json
import re
import socket
from collections.abc import Callable, Mapping
from threading import Event
from typing import Any

import pytest

from local.emulators.identity import Issuer
from task_cleanup.federation import Federation
from task_cleanup.providers.model import Credentials, Reply, SignedRequest
from task_cleanup.system import System
from task_cleanup_cli.exits import EndedError, Exit
from task_cleanup_cli.federation_parameters import LONGEST, faults, form
from task_cleanup_cli.keys import EXCHANGES
from task_cleanup_cli.otc_keys import MOST_BYTES, MOST_TEXT, Configuration, Key, Plan, Web, signing_keys
from task_cleanup_cli.otc_keys import Issuer as PublishedKeys
from tests.support.cli import Ended, Laptop
from tests.support.federation import FEDERATIONS, parameter_of
from tests.support.identities import PROJECT
from tests.support.scripted_server import ScriptedServer, Step, reply
from tests.support.stand_ins import OTC_AUDIENCE, OTC_PROVIDER, ROLE
from tests.support.template import template

WHOLE = {"kty": "RSA", "kid": "RSA_0", "n": "AQAB", "e": "AQAB"}


@pytest.fixture
def issuer(laptop: Laptop) -> Issuer:
    """The issuer of the identity provider, on loopback."""
    identity = laptop.cloud.identity
    identity.issuer.url = identity.urls["aws_sts"]
    identity.otc.trust(provider_id=OTC_PROVIDER, project_id=PROJECT, audience=OTC_AUDIENCE, subjects=[ROLE])
    laptop.more["OTC_IAM_ENDPOINT"] = identity.urls["otc_iam"]
    return identity.issuer


def refresh(laptop: Laptop, *more: str, issuer: str = "", provider: str = OTC_PROVIDER) -> Ended:
    url = issuer or laptop.cloud.identity.urls["aws_sts"]
    return laptop.run("keyless", "otc-keys", "--issuer", url, "--provider-id", provider, "--region", "eu-de", *more)


def configured(laptop: Laptop) -> dict[str, str]:
    return laptop.cloud.identity.otc.configurations.find(OTC_PROVIDER) or {}


def changes(laptop: Laptop) -> int:
    return sum(it.method != "GET" for it in laptop.cloud.journal.entries("otc_iam"))


@pytest.mark.parametrize("same_kid", [False, True])
def test_a_rotated_key_is_brought_once(laptop: Laptop, issuer: Issuer, same_kid: bool) -> None:
    """By key, not by its id alone: ids come again with another key. Everything else stays as it is."""
    before = configured(laptop)
    assert (refresh(laptop, "--json").json["outcome"], changes(laptop)) == ("unchanged", 0)
    issuer.rotate(same_kid=same_kid)

    dry = refresh(laptop, "--dry-run", "--json")
    assert (dry.code, dry.json["outcome"], changes(laptop), configured(laptop)) == (0, "would_be_updated", 0, before)
    differing = refresh(laptop, "--check")
    assert (differing.code, "would be updated" in differing.out, changes(laptop)) == (1, True, 0)
    done = refresh(laptop)
    again = refresh(laptop, "--check", "--json")

    new = "RSA_0" if same_kid else "RSA_1"
    assert (done.code, f"{OTC_PROVIDER}: updated; signing keys: {new}\n" in done.out) == (0, True), done
    assert (again.code, again.json["outcome"], again.json["keys"], changes(laptop)) == (0, "unchanged", [new], 1)
    after = configured(laptop)
    assert json.loads(after.pop("signing_key")) == {
        "keys": [{**key, "alg": "RS256"} for key in issuer.jwks()["keys"]]
    }
    assert after == {name: value for name, value in before.items() if name != "signing_key"}
    assert issuer.jwks()["keys"][0]["n"] not in done.out + done.err


def test_old_keys_stay_where_they_are_to(laptop: Laptop, issuer: Issuer) -> None:
    issuer.rotate()

    kept = refresh(laptop, "--keep-old", "--json")

    assert (kept.code, kept.json["keys"], kept.json["dropped"]) == (0, ["RSA_0", "RSA_1"], [])
    dropped = refresh(laptop, "--json")
    assert (dropped.json["outcome"], dropped.json["dropped"]) == ("updated", ["RSA_0"])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"issuer": "http://issuer.example.com"}, "--issuer: plain http is for loopback only"),
        ({"issuer": "https://issuer.example.com/?x"}, "--issuer must have neither query nor fragment"),
        ({"issuer": "issuer.example.com"}, "--issuer must be an http or https URL"),
        ({"provider": "a/../b"}, "--provider-id is malformed"),
    ],
)
def test_what_is_no_issuer_and_no_provider(
    laptop: Laptop, issuer: Issuer, more: Mapping[str, str], words: str
) -> None:
    ended = refresh(laptop, **more)

    assert (ended.code, words in ended.err, laptop.cloud.journal.entries()) == (64, True, []), ended


def test_without_the_operators_key_it_is_wrong_usage(laptop: Laptop, issuer: Issuer) -> None:
    """Also where the account is one without a stored key: that one could not repair itself."""
    laptop.more |= {"OS_SECRET_KEY": "", "OTC_FEDERATION": ""}

    ended = refresh(laptop)

    assert (ended.code, "not set: OS_SECRET_KEY. They are the operator's key" in ended.err) == (64, True), ended


def test_what_iam_refuses_is_told_with_what_to_do(laptop: Laptop, issuer: Issuer) -> None:
    otc = laptop.cloud.identity.otc
    missing = refresh(laptop, provider="nobody")
    otc.trust(provider_id="bare", project_id=PROJECT, audience=OTC_AUDIENCE, subjects=[ROLE], configured=False)
    bare = refresh(laptop, provider="bare")
    other = laptop.cloud.identity.add_issuer("https://ci.example.com")
    otc.trust(provider_id="ci", project_id=PROJECT, audience=OTC_AUDIENCE, subjects=[ROLE], issuer=other.url)
    foreign = refresh(laptop, provider="ci")
    laptop.more["OS_SECRET_KEY"] = "testSecretFakeWrong"
    wrong = refresh(laptop)

    assert {it.code for it in (missing, bare, foreign, wrong)} == {1}
    for ended in (missing, bare):
        assert "HTTP 404, IAM.0004" in ended.err
        assert "make it first (docs/keyless.md)" in ended.err
    assert "is for the issuer https://ci.example.com" in foreign.err
    assert "HTTP 401, APIGW.0301" in wrong.err
    assert "iam:identityProviders:getOpenIDConnectConfig" in wrong.err
    assert changes(laptop) == 0


# -- an issuer that is not what it seems ------------------------------------------------


def answers(*bodies: Callable[[str], Any]) -> list[Step]:
    """Steps whose JSON bodies know the server's address."""

    def step(body: Callable[[str], Any]) -> Step:
        def answer(connection: socket.socket, stop: Event) -> bool:
            url = "http://{}:{}".format(*connection.getsockname())
            return reply(200, json.dumps(body(url)).encode())(connection, stop)

        return answer

    return [step(body) for body in bodies]


def discovery(url: str) -> dict[str, str]:
    return {"issuer": url, "jwks_uri": f"{url}/keys"}


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([reply(302, Location="http://127.0.0.1:1/")], "HTTP 302, and no JSON object"),
        ([reply(200, b"[]")], "HTTP 200, and no JSON object"),
        ([reply(200, b"x" * (MOST_BYTES + 1))], "more than 256 KB, which are not read"),
        (answers(lambda url: {**discovery(url), "issuer": "https://other.example.com"}), "is of another issuer"),
        (answers(lambda url: {**discovery(url), "jwks_uri": "https://other.example.com/keys"}), "on another host"),
        (answers(lambda url: {**discovery(url), "jwks_uri": url + "@other.example.com/"}), "on another host"),
        (answers(lambda url: {**discovery(url), "jwks_uri": [url]}), "on another host"),
        (answers(discovery, lambda _: {"keys": []}), "no RSA key for signatures"),
        (answers(discovery, lambda _: {"keys": [{"kty": "EC", "kid": "EC384_0"}]}), "no RSA key for signatures"),
        (answers(discovery, lambda _: {"keys": [WHOLE, {**WHOLE, "kid": None}]}), "has no kid, n or e"),
        (answers(discovery, lambda _: {"keys": "x"}), "the issuer's keys cannot be read"),
    ],
)
def test_an_issuer_whose_keys_cannot_be_had_ends_it(steps: list[Step], words: str) -> None:
    with ScriptedServer(*steps) as server, pytest.raises(EndedError, match=re.escape(words)) as ended:
        PublishedKeys(server.url).keys(Web(System(), server.url))
    assert ended.value.code == Exit.FAILED


# -- keys ------------------------------------------------


def test_only_public_members_of_rsa_keys_for_signatures_are_uploaded() -> None:
    elliptic, sealing = {"kty": "EC", "kid": "EC384_0"}, {**WHOLE, "kid": "enc", "use": "enc"}
    other = {**WHOLE, "kid": "PS", "alg": "PS256"}

    found = signing_keys({"keys": [{**WHOLE, "d": "testSecretFake", "use": "sig"}, elliptic, sealing, other]})

    assert found == [{**WHOLE, "use": "sig", "alg": "RS256"}]


@pytest.mark.parametrize(
    ("present", "is_new"),
    [
        ({**WHOLE, "alg": "RS256"}, False),
        (WHOLE, True),  # it may be of no use there without `alg`
        ({**WHOLE, "alg": "RS256", "n": "AAAA"}, True),
        ({"kty": "EC", "kid": "RSA_0"}, True),
    ],
)
def test_keys_are_compared_whole(present: Key, is_new: bool) -> None:
    plan = Plan.of([present], signing_keys({"keys": [WHOLE]}), keep_old=True)

    assert (plan.is_new, [key["n"] for key in plan.wanted]) == (is_new, ["AQAB"])


SHOWN = {
    "idp_url": "https://ci.example.com",
    "client_id": OTC_AUDIENCE,
    "access_mode": "program_console",
    "scope": "openid",
    "response_type": None,
    "signing_key": "no JSON",
}


class Deaf:
    """IAM takes every change, and shows what it showed before."""

    def __init__(self) -> None:
        self.sent: list[SignedRequest] = []

    def send(self, request: SignedRequest, _what: str) -> Reply:
        self.sent.append(request)
        return Reply(200, {}, json.dumps({"openid_connect_config": SHOWN}).encode())


@pytest.mark.parametrize(
    ("kid", "words"), [("RSA_0", "does not show the keys"), ("x" * MOST_TEXT, "IAM takes 30,000")]
)
def test_a_change_that_is_not_seen_afterwards_is_no_success(kid: str, words: str) -> None:
    """What is not sent with it may be taken for empty, so everything that there is goes with it."""
    web = Deaf()
    configuration = Configuration(web, "https://x", "aws", Credentials("AKFAKE1", "testSecretFake1"), System())  # type: ignore[arg-type]

    with pytest.raises(EndedError, match=words) as ended:
        configuration.write(configuration.read(), [{**WHOLE, "kid": kid}])
    assert ended.value.code == Exit.FAILED
    for request in web.sent[1:2]:
        sent = json.loads(request.body or b"")["openid_connect_config"]
        assert json.loads(sent.pop("signing_key")) == {"keys": [WHOLE]}
        assert sent == {name: SHOWN[name] for name in ("idp_url", "client_id", "access_mode", "scope")}


# -- parameters, before they are deployed ------------------------------------------------


def checked(laptop: Laptop, *more: str, **parameters: object) -> Ended:
    (laptop.home / "parameters.yaml").write_text(json.dumps(parameters))
    return laptop.run("keyless", "check", "parameters.yaml", *more)


def test_parameters_are_checked_account_by_account(laptop: Laptop) -> None:
    good = FEDERATIONS["huawei"]["default"]
    text = json.dumps({"default": good, "trial": {**good, "agency_urn": "iam::1:agency:x"}})

    ended = checked(laptop, HuaweiFederation=text, OtcFederation='{"default": {"a": "b",}}', AlibabaFederation="{}")
    right = checked(laptop, "--json", DryRun="true", HuaweiFederation=json.dumps({"default": good}), OtcFederation="")

    assert (ended.code, laptop.cloud.journal.entries()) == (64, []), ended
    assert f"ok  HuaweiFederation: the account default has agency_urn {good['agency_urn']}, provider_urn" in ended.out
    told = re.sub(r"\s+", " ", ended.err)
    assert "!! HuaweiFederation: the account trial has a malformed agency_urn" in told
    assert "!! AlibabaFederation: it has no account: that is the empty text, and not {}" in told
    assert re.search(r"!! OtcFederation: .*(line|character|place) ", told), told
    assert (right.code, {it["ok"] for it in right.json}) == (0, {True}), right
    assert "AlibabaFederation: not in the file: the stack keeps the value that it has" in right.out
    assert "OtcFederation: empty: no account" in right.out
    assert re.search("HuaweiFederation: [0-9]{3} of 960 characters", right.out)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"HuaweiFederations": ""}, "there is no parameter HuaweiFederations"),
        ({"OtcFederation": FEDERATIONS["otc"]}, "OtcFederation must be a text with the JSON in it"),
    ],
)
def test_what_the_deploy_would_not_take_as_parameters(
    laptop: Laptop, parameters: Mapping[str, object], words: str
) -> None:
    ended = checked(laptop, **parameters)

    assert (ended.code, words in ended.err) == (64, True), ended


def test_variables_are_checked_where_there_is_no_file(laptop: Laptop) -> None:
    nothing = laptop.run("keyless", "check")
    laptop.more["OTC_FEDERATION"] = json.dumps(FEDERATIONS["otc"] | {"trial": {"provider_id": "aws"}})
    ended = laptop.run("keyless", "check")

    assert (nothing.code, "nothing to check: give the file" in nothing.err) == (64, True), nothing
    assert ended.out.startswith("ok  OTC_FEDERATION: the account default has provider_id aws")
    assert (ended.code, ended.err) == (64, "!!  OTC_FEDERATION: the account trial has no region\n")


@pytest.mark.parametrize("exchange", EXCHANGES.values(), ids=EXCHANGES)
def test_what_the_check_takes_the_template_and_the_functions_take(exchange: Any) -> None:
    parameter = template()["Parameters"][parameter_of(exchange.provider)]
    good = json.dumps(FEDERATIONS[exchange.provider])
    many = {f"a{number}": FEDERATIONS[exchange.provider]["default"] for number in range(9)}

    assert (form(exchange), LONGEST[exchange.provider]) == (parameter["AllowedPattern"], parameter["MaxLength"])
    assert [faults(exchange, text) for text in ("", good)] == [[], []]
    Federation(exchange, json.loads(good), lambda *_: "", System())
    assert "characters, and the template takes" in faults(exchange, json.dumps(many))[0]
    assert "nothing before { and after }" in faults(exchange, f"{good}\n")[0]
    assert "no \\ in a text" in faults(exchange, good.replace("a", "\\u0061"))[0]
