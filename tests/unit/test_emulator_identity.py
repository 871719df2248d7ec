"""The stand-ins for identity: what each refuses and how, keys that end, switches. For the SDKs: tests/contract."""

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
import requests
from requests_aws4auth import AWS4Auth

from local.emulators import SERVICES, Emulators, signatures
from local.emulators.identity import AWS_ISSUER, AwsRole, TokenFaults, aws_signature
from local.emulators.messages import Request
from task_cleanup.signing import acs3_hmac_sha256, sdk_hmac_sha256
from tests.support.identities import PROJECT
from tests.support.stand_ins import (
    ALIBABA_AUDIENCE,
    ALIBABA_PROVIDER,
    ALIBABA_ROLE,
    AWS_KEY,
    HUAWEI_AGENCY,
    HUAWEI_AUDIENCE,
    HUAWEI_PROVIDER,
    OTC_AUDIENCE,
    OTC_PROVIDER,
    OTHER_ROLE,
    ROLE,
    SESSION,
    register_all,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "keyless.json").read_text(encoding="utf-8"))
AUDIENCES = {"alibaba": ALIBABA_AUDIENCE, "huawei": HUAWEI_AUDIENCE, "otc": OTC_AUDIENCE}
PROVIDERS = tuple(AUDIENCES)
DMS_INSTANCE = "11111111-2222-3333-4444-555555555555"
ALIBABA_FAILURE = "AuthenticationFail.OIDCToken."


@pytest.fixture(scope="module")
def running() -> Iterator[Emulators]:
    with Emulators(seed=5) as emulators:
        yield emulators


@pytest.fixture
def cloud(running: Emulators) -> Emulators:
    """Stand-ins that know one role and trust it everywhere; a place of each provider."""
    running.reset(seed=5, keys=True)
    register_all(running)
    running.alibaba_elasticsearch.add_place("es-cn-fake1")
    running.otc_dms.add_place(PROJECT, DMS_INSTANCE)
    return running


@pytest.fixture(scope="module")
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


@dataclass(frozen=True)
class Exchanger:
    """Sends the exchange of each provider as the project does: what is changed is changed in its last request."""

    cloud: Emulators
    http: requests.Session

    def token(self, provider: str, subject: str = ROLE, **more: Any) -> str:
        return self.cloud.identity.issuer.issue(subject, AUDIENCES[provider], **more)

    def __call__(self, provider: str, token: str | None = None, **changes: Any) -> requests.Response:
        made = self.token(provider) if token is None else token
        call: Callable[..., requests.Response] = getattr(self, provider)
        return call(made, changes)

    def alibaba(self, token: str, changes: dict[str, Any]) -> requests.Response:
        body = {
            "OIDCProviderArn": ALIBABA_PROVIDER,
            "OIDCToken": token,
            "RoleArn": ALIBABA_ROLE,
            "RoleSessionName": SESSION,
            "DurationSeconds": "900",
        }
        query = {"Action": "AssumeRoleWithOIDC", "Format": "JSON", "Version": "2015-04-01"}
        url = f"{self.cloud.identity.urls['alibaba_sts']}/?{urlencode({**query, **changes.pop('query', {})})}"
        return self.http.post(url, data={**body, **changes}, timeout=5)

    def huawei(self, token: str, changes: dict[str, Any]) -> requests.Response:
        body = {
            "provider_urn": HUAWEI_PROVIDER,
            "agency_urn": HUAWEI_AGENCY,
            "agency_session_name": SESSION,
            "id_token": token,
            "duration_seconds": 900,
        }
        url = f"{self.cloud.identity.urls['huawei_sts']}/v5/agencies/assume-with-oidc"
        return self.http.post(url, json={**body, **changes}, timeout=5)

    def otc(self, token: str, changes: dict[str, Any]) -> requests.Response:
        """The first of the two calls, and the second if the first was answered well."""
        project = {"id": changes.pop("project_id", PROJECT)}
        first = self.iam(
            "/v3.0/OS-AUTH/id-token/tokens",
            {"auth": {"id_token": {"id": token}, "scope": {"project": project}}},
            {"X-Idp-Id": changes.pop("provider_id", OTC_PROVIDER)},
        )
        if first.status_code != 201:
            return first
        wanted = {"methods": ["token"], "token": {"duration_seconds": 900, **changes}}
        headers = {"X-Auth-Token": first.headers["X-Subject-Token"]}
        return self.iam("/v3.0/OS-CREDENTIAL/securitytokens", {"auth": {"identity": wanted}}, headers)

    def iam(self, path: str, body: Any, headers: dict[str, str]) -> requests.Response:
        return self.http.post(f"{self.cloud.identity.urls['otc_iam']}{path}", json=body, headers=headers, timeout=5)


@pytest.fixture
def exchange(cloud: Emulators, http: requests.Session) -> Exchanger:
    return Exchanger(cloud, http)


def said(answer: requests.Response) -> tuple[int, str]:
    body = answer.json()
    return answer.status_code, body.get("Code") or body.get("error_code") or ""


def key_of(provider: str, answer: requests.Response) -> tuple[str, str, str, str]:
    """Key id, secret, token and end."""
    members = {
        "alibaba": ("Credentials", "AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration"),
        "huawei": ("credentials", "access_key_id", "secret_access_key", "security_token", "expiration"),
        "otc": ("credential", "access", "secret", "securitytoken", "expires_at"),
    }[provider]
    found = answer.json()[members[0]]
    return found[members[1]], found[members[2]], found[members[3]], found[members[4]]


def list_tasks(
    cloud: Emulators, http: requests.Session, provider: str, key: tuple[str, ...], project: str = PROJECT
) -> requests.Response:
    """The list call of one of the provider's services, signed with a temporary key."""
    service = {"alibaba": "alibaba_elasticsearch", "huawei": "huawei_oms", "otc": "otc_dms"}[provider]
    path = {
        "alibaba": "/openapi/instances/es-cn-fake1/data-task",
        "huawei": f"/v2/{project}/tasks",
        "otc": f"/v2/{project}/instances/{DMS_INSTANCE}/tasks",
    }[provider]
    url = cloud.urls[service]
    common: dict[str, Any] = {
        "method": "GET",
        "host": urlsplit(url).netloc,
        "path": path,
        "query": (),
        "access_key_id": key[0],
        "secret_access_key": key[1],
        "security_token": key[2],
        "now": datetime.now(UTC),
    }
    if provider == "alibaba":
        headers = acs3_hmac_sha256.sign(
            **common, action="ListDataTasks", version="2017-06-13", nonce=f"{time.monotonic_ns()}"
        )
    else:
        headers = sdk_hmac_sha256.sign(**common, project_id=project)
    return http.get(url + path, headers=headers, timeout=5)


every_provider = pytest.mark.parametrize("provider", PROVIDERS)


# -- tokens ----------------------------------------------------------------------------------------------------


def unchanged(exchange: Exchanger, provider: str) -> str:
    return exchange.token(provider)


def faulty(**faults: Any) -> Callable[[Exchanger, str], str]:
    def make(exchange: Exchanger, provider: str) -> str:
        exchange.cloud.identity.issuer.faults = TokenFaults(**faults)
        return exchange.token(provider)

    return make


def tampered(exchange: Exchanger, provider: str) -> str:
    """The claims of one token, the signature of another."""
    head, _, signature = exchange.token(provider).split(".")
    return ".".join((head, exchange.token(provider, OTHER_ROLE).split(".")[1], signature))


def encoded(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def unsigned(exchange: Exchanger, provider: str) -> str:
    return f"{encoded({'alg': 'none'})}.{exchange.token(provider).split('.')[1]}."


def hmac_with_the_public_key(exchange: Exchanger, provider: str) -> str:
    """A library that takes the algorithm from the token would check HS256 with the published key."""
    content = f"{encoded({'alg': 'HS256', 'kid': 'RSA_0'})}.{exchange.token(provider).split('.')[1]}"
    public = json.dumps(exchange.cloud.identity.issuer.jwks()["keys"][0]).encode()
    signature = hmac.new(public, content.encode(), hashlib.sha256).digest()
    return f"{content}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def rotated(*, same_kid: bool) -> Callable[[Exchanger, str], str]:
    def make(exchange: Exchanger, provider: str) -> str:
        old = exchange.token(provider)
        exchange.cloud.identity.issuer.rotate(same_kid=same_kid)
        if provider == "otc":
            exchange.cloud.identity.otc.upload_keys(OTC_PROVIDER)
        return old

    return make


FLAWS: dict[str, tuple[Callable[[Exchanger, str], str], str, tuple[int, str]]] = {
    "not a token": (lambda *_: "not-a-token", "Invalid", (400, "STS5.2001")),
    "empty": (lambda *_: "", "Invalid", (400, "STS5.1000")),
    "not base64": (lambda *_: "§§.§§.§§", "Invalid", (400, "STS5.2001")),
    "tampered": (tampered, "InvalidSignature", (400, "STS5.2001")),
    "another key": (faulty(foreign_key=True), "InvalidSignature", (400, "STS5.2001")),
    "rotated": (rotated(same_kid=False), "InvalidSignature", (400, "STS5.2001")),
    "rotated, same kid": (rotated(same_kid=True), "InvalidSignature", (400, "STS5.2001")),
    "unsigned": (unsigned, "Invalid", (400, "STS5.2001")),
    "HS256": (hmac_with_the_public_key, "Invalid", (400, "STS5.2001")),
    "issuer": (faulty(claims={"iss": "https://issuer.invalid"}), "IssuerNotMatch", (403, "STS5.1001")),
    "audience": (faulty(claims={"aud": "sts.invalid"}), "AudienceNotMatch", (400, "STS5.2001")),
    "two audiences": (faulty(claims={"aud": list(AUDIENCES.values())}), "AudienceNotMatch", (400, "STS5.2001")),
    "expired": (faulty(expired=True), "Expired", (400, "STS5.2001")),
    "clock behind": (faulty(clock_offset=-301.0), "Expired", (400, "STS5.2001")),
    "not yet": (faulty(clock_offset=60.0), "Invalid", (400, "STS5.2001")),
    "not before": (faulty(claims={"nbf": 1 << 40}), "Invalid", (400, "STS5.2001")),
    "no end": (faulty(claims={"exp": None}), "Invalid", (400, "STS5.2001")),
}


@every_provider
@pytest.mark.parametrize("flaw", FLAWS)
def test_a_flawed_token_is_refused(exchange: Exchanger, provider: str, flaw: str) -> None:
    make, alibaba, huawei = FLAWS[flaw]
    expected = {
        "alibaba": (401, ALIBABA_FAILURE + alibaba),
        "huawei": huawei,
        "otc": (400, "IAM.0011") if flaw == "empty" else (401, "IAM.0001"),
    }

    answer = exchange(provider, make(exchange, provider))

    assert said(answer) == expected[provider]
    entry = exchange.cloud.journal[-1]
    assert (entry.status, entry.code, entry.signature_ok) == (*expected[provider], None)


@every_provider
def test_another_role_is_refused(exchange: Exchanger, provider: str) -> None:
    answer = exchange(provider, exchange.token(provider, OTHER_ROLE))

    expected = {
        "alibaba": (401, "AuthenticationFail.NoPermission"),
        "huawei": (403, "STS5.1001"),
        "otc": (401, "IAM.0001"),
    }
    assert said(answer) == expected[provider]


@every_provider
def test_the_token_of_another_provider_is_refused(exchange: Exchanger, provider: str) -> None:
    others = [exchange.token(other) for other in PROVIDERS if other != provider]

    assert {exchange(provider, token).status_code for token in others} <= {400, 401}


@every_provider
def test_an_issuer_beside_aws(exchange: Exchanger, provider: str) -> None:
    url = "https://token.ci.invalid"
    identity = exchange.cloud.identity
    other = identity.add_issuer(url)
    trusts: dict[str, Any] = {"alibaba": identity.alibaba, "huawei": identity.huawei, "otc": identity.otc}
    known = trusts[provider].trusts.all()[0]
    token = other.issue("repo:fake/fake", AUDIENCES[provider])
    assert exchange(provider, token).status_code >= 400

    trusts[provider].trust(**{**vars(known), "issuer": url, "subjects": ["repo:fake/fake"]})

    assert exchange(provider, token).ok
    assert exchange(provider).status_code >= 400


# -- parameters ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "changes", "expected"),
    [
        ("alibaba", {"DurationSeconds": "899"}, (400, "InvalidParameter.DurationSeconds")),
        ("alibaba", {"DurationSeconds": "3601"}, (400, "InvalidParameter.DurationSeconds")),
        ("alibaba", {"RoleSessionName": "a"}, (400, "InvalidParameter.RoleSessionName")),
        ("alibaba", {"RoleSessionName": "a:b"}, (400, "InvalidParameter.RoleSessionName")),
        ("alibaba", {"OIDCToken": None}, (400, "MissingOIDCToken")),
        ("alibaba", {"OIDCProviderArn": "acs:ram::1:oidc-provider/x"}, (401, "AuthenticationFail.NoPermission")),
        ("alibaba", {"RoleArn": "acs:ram::1:role/x"}, (404, "EntityNotExist.Role")),
        ("alibaba", {"Policy": "{}"}, (400, "InvalidParameter.Policy")),
        ("alibaba", {"Action": "AssumeRoleWithOIDC"}, (400, "InvalidParameter")),
        ("alibaba", {"query": {"Action": "AssumeRole"}}, (404, "InvalidAction.NotFound")),
        ("alibaba", {"query": {"Version": "2014-01-01"}}, (400, "InvalidVersion")),
        ("huawei", {"duration_seconds": 899}, (400, "STS5.1000")),
        ("huawei", {"duration_seconds": 3601}, (400, "STS5.1000")),
        ("huawei", {"duration_seconds": True}, (400, "STS5.1000")),
        ("huawei", {"agency_session_name": "a"}, (400, "STS5.1000")),
        ("huawei", {"agency_session_name": "a b"}, (400, "STS5.1000")),
        ("huawei", {"agency_urn": "iam::x:agency:other"}, (404, "STS5.1106")),
        ("huawei", {"provider_urn": "iam::x:oidcProvider:other"}, (403, "STS5.1001")),
        ("huawei", {"durationSeconds": 900}, (400, "STS5.1000")),
        ("otc", {"duration_seconds": 899}, (400, "IAM.0011")),
        ("otc", {"duration_seconds": 86_401}, (400, "IAM.0011")),
        ("otc", {"provider_id": "other"}, (404, "IAM.0004")),
        ("otc", {"provider_id": ""}, (400, "IAM.0011")),
        ("otc", {"project_id": "f" * 32}, (403, "IAM.0003")),
    ],
)
def test_a_wrong_parameter_is_refused(
    exchange: Exchanger, provider: str, changes: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert said(exchange(provider, **changes)) == expected


@pytest.mark.parametrize(
    ("provider", "longest", "changes"),
    [
        ("alibaba", "43200", {"DurationSeconds": "43200"}),
        ("huawei", 43200, {"duration_seconds": 43200}),
    ],
)
def test_a_role_can_allow_longer_sessions(
    exchange: Exchanger, provider: str, longest: Any, changes: dict[str, Any]
) -> None:
    stand_in: Any = exchange.cloud.identity.stand_ins[f"{provider}_sts"]
    stand_in.trust(**{**vars(stand_in.trusts.all()[0]), "max_session_seconds": int(longest)})

    assert exchange(provider, **changes).ok


def test_the_provider_at_alibaba_and_huawei_has_audiences_of_its_own(exchange: Exchanger) -> None:
    """An audience that the provider takes and the trust does not is a matter of the trust."""
    identity = exchange.cloud.identity
    for stand_in in (identity.alibaba, identity.huawei):
        known = vars(stand_in.trusts.all()[0])
        stand_in.trust(**{**known, "provider_audiences": [known["audience"], "other.invalid"]})
    token = identity.issuer.issue(ROLE, "other.invalid")

    assert said(exchange("alibaba", token)) == (401, "AuthenticationFail.NoPermission")
    assert said(exchange("huawei", token)) == (403, "STS5.1001")


# -- keys ------------------------------------------------------------------------------------------------------

EXPIRED = {
    "alibaba": (400, "InvalidSecurityToken.Expired"),
    "huawei": (401, "APIGW.0307"),
    "otc": (401, "APIGW.0307"),
}
ENDS = {
    "alibaba": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "huawei": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
    "otc": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z",
}


@every_provider
def test_a_key_works_until_its_end(exchange: Exchanger, http: requests.Session, provider: str) -> None:
    cloud = exchange.cloud
    key = key_of(provider, exchange(provider))

    assert key[0].startswith({"alibaba": "STS.", "huawei": "HST", "otc": "AK"}[provider])
    assert re.fullmatch(ENDS[provider], key[3])
    assert 898 <= datetime.fromisoformat(key[3]).timestamp() - cloud.clock.now() <= 900
    assert list_tasks(cloud, http, provider, key).status_code == 200
    assert list_tasks(cloud, http, provider, (key[0], key[1], "another token")).status_code >= 400
    cloud.clock.advance(890)
    assert list_tasks(cloud, http, provider, key).status_code == 200

    cloud.clock.advance(11)

    assert said(list_tasks(cloud, http, provider, key)) == EXPIRED[provider]
    assert list_tasks(cloud, http, provider, key_of(provider, exchange(provider))).status_code == 200


@every_provider
def test_a_key_has_the_rights_of_its_trust(exchange: Exchanger, http: requests.Session, provider: str) -> None:
    cloud = exchange.cloud
    stand_ins: Any = {"alibaba": cloud.identity.alibaba, "huawei": cloud.identity.huawei, "otc": cloud.identity.otc}
    known = vars(stand_ins[provider].trusts.all()[0])
    denied = ["ListTasks", "ListBackgroundTasks", "ListDataTasks"]
    stand_ins[provider].trust(**{**known, "project_id": PROJECT, "denied": denied})
    assert list_tasks(cloud, http, provider, key_of(provider, exchange(provider))).status_code == 403

    stand_ins[provider].trust(**{**known, "project_id": PROJECT})
    key = key_of(provider, exchange(provider))

    assert list_tasks(cloud, http, provider, key).status_code == 200
    other_project = list_tasks(cloud, http, provider, key, project="f" * 32).status_code
    assert other_project == {"alibaba": 200, "huawei": 403, "otc": 401}[provider], "Alibaba has no projects"


def test_otc_takes_its_own_token_instead_of_a_signature(exchange: Exchanger, http: requests.Session) -> None:
    cloud = exchange.cloud
    given = {"auth": {"id_token": {"id": exchange.token("otc")}, "scope": {"project": {"id": PROJECT}}}}
    first = exchange.iam("/v3.0/OS-AUTH/id-token/tokens", given, {"X-Idp-Id": OTC_PROVIDER})
    token = first.headers["X-Subject-Token"]
    assert re.fullmatch(ENDS["otc"], first.json()["token"]["expires_at"])

    def ask(token: str, project: str = PROJECT, service: str = "otc_dms") -> int:
        url = f"{cloud.urls[service]}/v2/{project}/instances/{DMS_INSTANCE}/tasks"
        return http.get(url, headers={"X-Auth-Token": token}, timeout=5).status_code

    assert ask(token) == 200
    assert cloud.journal[-1].signature_ok is None
    assert ask(token, project="f" * 32) == 401
    assert ask("testIamTokenFakeOther") == 401
    assert ask(token, service="huawei_dms") == 401
    cloud.clock.advance(24 * 3600)
    assert ask(token) == 401


def test_a_switch_keeps_temporary_keys_from_otcs_dms(exchange: Exchanger, http: requests.Session) -> None:
    cloud = exchange.cloud
    key = key_of("otc", exchange("otc"))

    cloud.switches.update(otc_temporary_keys=False)

    assert said(list_tasks(cloud, http, "otc", key)) == (401, "APIGW.0301")
    assert list_tasks(cloud, http, "huawei", key_of("huawei", exchange("huawei"))).status_code == 200


# -- OTC's uploaded keys ---------------------------------------------------------------------------------------


def configure(exchange: Exchanger, method: str, config: Any = None, secret: str = "testSecretFakeAdmin") -> Any:
    """A call of the administrator, signed."""
    path = f"/v3.0/OS-FEDERATION/identity-providers/{OTC_PROVIDER}/openid-connect-config"
    url = exchange.cloud.identity.urls["otc_iam"]
    body = b"" if config is None else json.dumps({"openid_connect_config": config}).encode()
    headers = {"Host": urlsplit(url).netloc, "X-Sdk-Date": datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")}
    claim = signatures.Claim("AKFAKEADMIN", ("host", "x-sdk-date"), "")
    made = signatures.compute_sdk_hmac(Request(method, path, tuple(headers.items()), body), claim, secret)
    headers["Authorization"] = (
        f"SDK-HMAC-SHA256 Access=AKFAKEADMIN, SignedHeaders=host;x-sdk-date, Signature={made.signature}"
    )
    return exchange.http.request(method, url + path, data=body, headers=headers, timeout=5)


def test_otc_knows_only_uploaded_keys(exchange: Exchanger) -> None:
    cloud = exchange.cloud
    cloud.add_key("otc", "AKFAKEADMIN", "testSecretFakeAdmin")
    issuer = cloud.identity.issuer
    before = configure(exchange, "GET").json()["openid_connect_config"]
    assert (before["idp_url"], before["client_id"]) == (AWS_ISSUER, OTC_AUDIENCE)
    assert [key["alg"] for key in json.loads(before["signing_key"])["keys"]] == ["RS256"]

    issuer.rotate()
    assert said(exchange("otc")) == (401, "IAM.0001")
    assert exchange("huawei").ok, "Huawei fetches the keys itself"
    published = exchange.http.get(f"{cloud.identity.urls['aws_sts']}/.well-known/jwks.json", timeout=5)
    assert [(key["kid"], key.get("alg")) for key in published.json()["keys"]] == [("RSA_1", None)]
    written = configure(exchange, "PUT", {"signing_key": published.text})

    assert written.status_code == 200
    assert exchange("otc").ok
    cloud.switches.update(otc_iam_alg_needed=True)
    assert said(exchange("otc")) == (401, "IAM.0001"), "the uploaded key has no alg"
    cloud.identity.otc.upload_keys(OTC_PROVIDER)
    assert exchange("otc").ok
    entry = cloud.journal.entries("otc_iam", "UpdateOpenIdConnectConfig")[0]
    assert (entry.signature_ok, entry.access_key_id) == (True, "AKFAKEADMIN")
    assert entry.ids == {"provider_id": OTC_PROVIDER}


def test_a_provider_that_is_registered_anew_has_its_new_configuration(exchange: Exchanger) -> None:
    iam, known = exchange.cloud.identity.otc, vars(exchange.cloud.identity.otc.trusts.all()[0])
    iam.upload_keys(OTC_PROVIDER)
    token = exchange.cloud.identity.issuer.issue(ROLE, "another.invalid")
    assert said(exchange("otc", token)) == (401, "IAM.0001")

    iam.trust(**{**known, "audience": "another.invalid"})

    assert exchange("otc", token).ok


@pytest.mark.parametrize(
    ("method", "config", "expected"),
    [
        ("PUT", {"signing_key": "no JSON at all"}, (400, "IAM.0011")),
        ("PUT", {"signing_key": '{"keys": []}'}, (400, "IAM.0011")),
        ("PUT", {"signing_key": "x" * 30_001}, (400, "IAM.0011")),
        ("PUT", {"idp_url": "short"}, (400, "IAM.0011")),
        ("PUT", {"access_mode": "other"}, (400, "IAM.0011")),
        ("PUT", {"signing_keys": "misspelt"}, (400, "IAM.0011")),
        ("POST", {"access_mode": "program"}, (409, "IAM.0005")),
    ],
)
def test_a_wrong_configuration_is_refused(
    exchange: Exchanger, method: str, config: dict[str, str], expected: tuple[int, str]
) -> None:
    exchange.cloud.add_key("otc", "AKFAKEADMIN", "testSecretFakeAdmin")

    assert said(configure(exchange, method, config)) == expected

    assert exchange("otc").ok


def test_a_configuration_is_made_by_a_known_key_alone(exchange: Exchanger) -> None:
    cloud = exchange.cloud
    cloud.identity.otc.trust(**{**vars(cloud.identity.otc.trusts.all()[0]), "configured": False})
    config = {
        "access_mode": "program",
        "idp_url": AWS_ISSUER,
        "client_id": OTC_AUDIENCE,
        "signing_key": json.dumps(cloud.identity.issuer.jwks()),
    }
    assert said(configure(exchange, "POST", config)) == (401, "APIGW.0301")
    cloud.add_key("otc", "AKFAKEADMIN", "testSecretFakeAdmin", denied=["UpdateOpenIdConnectConfig"])
    assert said(configure(exchange, "POST", config, secret="testSecretFakeWrong")) == (401, "APIGW.0301")
    assert said(configure(exchange, "GET")) == (404, "IAM.0004")
    assert said(exchange("otc")) == (401, "IAM.0001")

    assert configure(exchange, "POST", config).status_code == 201

    assert exchange("otc").ok
    assert said(configure(exchange, "PUT", config)) == (403, "IAM.0003")


# -- AWS -------------------------------------------------------------------------------------------------------

FORM = {
    "Action": "GetWebIdentityToken",
    "Version": "2011-06-15",
    "Audience.member.1": HUAWEI_AUDIENCE,
    "SigningAlgorithm": "RS256",
    "DurationSeconds": "300",
}


def ask(exchange: Exchanger, accept: str = "application/json", **changes: Any) -> requests.Response:
    """GetWebIdentityToken as the project signs it; a change to None leaves a parameter out."""
    key = AWS4Auth(*AWS_KEY[:2], "eu-central-1", "sts", session_token=AWS_KEY[2])
    url = exchange.cloud.identity.urls["aws_sts"] + "/"
    return exchange.http.post(url, data={**FORM, **changes}, headers={"Accept": accept}, auth=key, timeout=5)


def aws_said(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["Error"]["Code"]


@pytest.mark.parametrize("in_json", [True, False])
@pytest.mark.parametrize("accept", ["application/json", "*/*"])
def test_aws_answers_in_the_form_that_was_asked_for(exchange: Exchanger, accept: str, in_json: bool) -> None:
    exchange.cloud.switches.update(aws_sts_json=in_json)
    answer, refused = ask(exchange, accept), ask(exchange, accept, SigningAlgorithm="HS256")

    if accept == "application/json" and in_json:
        body = answer.json()["GetWebIdentityTokenResponse"]["GetWebIdentityTokenResult"]
        token, ends = body["WebIdentityToken"], body["Expiration"]
        error = refused.json()["Error"]
        assert (error["Code"], error["Type"]) == ("ValidationError", "Sender")
    else:
        assert answer.headers["Content-Type"] == refused.headers["Content-Type"] == "text/xml"
        found = re.search("<WebIdentityToken>(.*)</WebIdentityToken><Expiration>(.*)</Expiration>", answer.text)
        assert found is not None
        token, ends = found[1], datetime.fromisoformat(found[2]).timestamp()
        assert "<Error><Type>Sender</Type><Code>ValidationError</Code>" in refused.text
    assert abs(ends - exchange.cloud.clock.now() - 300) < 5
    assert exchange("huawei", token).ok


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"Action": "GetCallerIdentity"}, (400, "InvalidAction")),
        ({"Version": "2011-06-16"}, (400, "InvalidAction")),
        ({"Audience.member.1": None}, (400, "ValidationError")),
        ({"Audience.member.1": "x" * 1001}, (400, "ValidationError")),
        ({"Audience.member.2": "another"}, (400, "ValidationError")),
        ({"SigningAlgorithm": None}, (400, "ValidationError")),
        ({"DurationSeconds": "59"}, (400, "ValidationError")),
        ({"DurationSeconds": "3601"}, (400, "ValidationError")),
        ({"DurationSeconds": "3e2"}, (400, "ValidationError")),
    ],
)
def test_aws_checks_parameters(exchange: Exchanger, changes: dict[str, Any], expected: tuple[int, str]) -> None:
    assert aws_said(ask(exchange, **changes)) == expected

    assert exchange.cloud.journal[-1].signature_ok is True


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ({"denied": True}, (403, "AccessDenied")),
        ({"audiences": [ALIBABA_AUDIENCE]}, (403, "AccessDenied")),
        ({"session_expired": True}, (403, "ExpiredToken")),
        ({"secret_access_key": "testSecretFakeRotated"}, (403, "SignatureDoesNotMatch")),
        ({"session_token": "testSessionTokenFakeOther"}, (403, "InvalidClientTokenId")),
        ({"session_token": None}, (403, "InvalidClientTokenId")),
    ],
)
def test_aws_refuses_a_role(exchange: Exchanger, role: dict[str, Any], expected: tuple[int, str]) -> None:
    aws = exchange.cloud.identity.aws
    aws.add_role(**{**vars(aws.roles.all()[0]), **role})

    assert aws_said(ask(exchange)) == expected


@pytest.mark.parametrize("seconds", [-302, 302])
def test_aws_refuses_a_stale_signature(exchange: Exchanger, seconds: float) -> None:
    exchange.cloud.clock.shift(seconds)

    assert aws_said(ask(exchange)) == (403, "SignatureDoesNotMatch")


def test_aws_refuses_what_is_not_signed(exchange: Exchanger) -> None:
    url = exchange.cloud.identity.urls["aws_sts"] + "/"
    answer = exchange.http.post(url, data=FORM, headers={"Accept": "application/json"}, timeout=5)

    assert aws_said(answer) == (403, "MissingAuthenticationToken")
    assert exchange.cloud.journal[-1].signature_ok is None


def test_what_a_lambda_functions_token_says(exchange: Exchanger) -> None:
    aws = exchange.cloud.identity.aws
    arn = "arn:aws:lambda:eu-central-1:123456789012:function:fake"
    aws.add_role(**{**vars(aws.roles.all()[0]), "function_arn": arn})

    answer = ask(exchange).json()["GetWebIdentityTokenResponse"]["GetWebIdentityTokenResult"]["WebIdentityToken"]

    claims = json.loads(base64.urlsafe_b64decode(answer.split(".")[1] + "=="))
    assert claims["https://sts.amazonaws.com/"]["lambda_source_function_arn"] == arn
    assert set(claims) == {"iss", "aud", "sub", "iat", "exp", "jti", "https://sts.amazonaws.com/"}


def test_the_issuers_documents(exchange: Exchanger) -> None:
    base = exchange.cloud.identity.urls["aws_sts"]
    found = exchange.http.get(f"{base}/.well-known/openid-configuration", timeout=5).json()
    keys = exchange.http.get(f"{base}/.well-known/jwks.json", timeout=5).json()["keys"]

    assert (found["issuer"], found["jwks_uri"]) == (AWS_ISSUER, f"{AWS_ISSUER}/.well-known/jwks.json")
    assert "token_endpoint" not in found
    assert [set(key) for key in keys] == [{"e", "kid", "kty", "n", "use"}]
    assert exchange.http.get(f"{base}/other", timeout=5).status_code == 404


# -- faults and switches ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "throttled", "away"),
    [
        ("aws_sts", (400, "Throttling"), (503, "ServiceUnavailable")),
        ("alibaba_sts", (400, "Throttling.User"), (503, "ServiceUnavailable")),
        ("huawei_sts", (429, "APIGW.0308"), (503, "APIGW.0613")),
        ("otc_iam", (429, "APIGW.0308"), (503, "APIGW.0613")),
    ],
)
def test_throttled_and_away(
    exchange: Exchanger, service: str, throttled: tuple[int, str], away: tuple[int, str]
) -> None:
    def call() -> requests.Response:
        return ask(exchange) if service == "aws_sts" else exchange(service.partition("_")[0])

    for fault, expected in (("throttle", throttled), ("away", away)):
        exchange.cloud.faults.add(fault, service=service, count=1)
        assert (aws_said if service == "aws_sts" else said)(call()) == expected
        assert exchange.cloud.journal[-1].faults == (fault,)
    assert call().ok


@pytest.mark.parametrize(
    ("provider", "ids"),
    [
        ("alibaba", {"role_arn": ALIBABA_ROLE, "session": SESSION}),
        ("huawei", {"agency_urn": HUAWEI_AGENCY, "session": SESSION}),
        ("otc", {"provider_id": OTC_PROVIDER}),
    ],
)
def test_the_journal_says_who_was_asked_for(exchange: Exchanger, provider: str, ids: dict[str, str]) -> None:
    """So that a fault can be meant for one account, too."""
    exchange.cloud.faults.add("error", status=500, match=next(iter(ids.values())))

    assert exchange(provider).status_code == 500
    assert exchange.cloud.journal[-1].ids == ids


def otherwise(exchange: Exchanger, trust: dict[str, Any]) -> None:
    """Change what the one trust at Alibaba and at OTC says."""
    identity = exchange.cloud.identity
    for stand_in in (identity.alibaba, identity.otc):
        known: Any = vars(stand_in.trusts.all()[0])
        stand_in.trust(**{**known, **{name: value for name, value in trust.items() if name in known}})


@dataclass(frozen=True)
class Row:
    """A switch, a situation in which it counts, and what it changes in status or code."""

    switch: str
    value: object
    usual: object
    changed: object
    trust: dict[str, Any] = field(default_factory=dict)
    request: dict[str, Any] = field(default_factory=dict)
    faults: dict[str, Any] = field(default_factory=dict)

    @property
    def provider(self) -> str:
        return self.switch.partition("_")[0]


NO_ROLE, NO_AGENCY = {"RoleArn": "acs:ram::1:role/x"}, {"agency_urn": "iam::x:agency:x"}
OTHER_ISSUER, OTHER_AUDIENCE = {"claims": {"iss": "https://issuer.invalid"}}, {"claims": {"aud": "invalid"}}
BROKEN = {"issuer_problem": "IssuerConfigurationBroken"}
OVER = {"expired": True}
ROWS = [
    Row("alibaba_sts_issuer_status", 400, 401, 400, faults=OTHER_ISSUER),
    Row("alibaba_sts_broken_status", 500, 401, 500, trust=BROKEN),
    Row("alibaba_sts_no_role_status", 401, 404, 401, request=NO_ROLE),
    Row("alibaba_sts_timestamp_checked", True, 200, 400),
    Row("huawei_sts_token_status", 401, 400, 401, faults=OVER),
    Row("huawei_sts_token_code", "STS5.1001", "STS5.2001", "STS5.1001", faults=OVER),
    Row("huawei_sts_audience_status", 403, 400, 403, faults=OTHER_AUDIENCE),
    Row("huawei_sts_no_agency_status", 400, 404, 400, request=NO_AGENCY),
    Row("otc_iam_unmapped", "IAM.0003", 401, 403, trust={"subjects": []}),
    Row("otc_iam_foreign_project", "IAM.0001", 403, 401, request={"project_id": "f" * 32}),
    Row("otc_iam_disabled", "IAM.0001", 404, 401, trust={"enabled": False}),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.switch)
def test_switches(exchange: Exchanger, row: Row) -> None:
    otherwise(exchange, row.trust)
    exchange.cloud.identity.issuer.faults = TokenFaults(**row.faults)
    assert row.usual in said(exchange(row.provider, **row.request))

    exchange.cloud.switches.update(**{row.switch: row.value})

    assert row.changed in said(exchange(row.provider, **row.request))


def test_every_switch_of_the_exchanges_is_tried_here(cloud: Emulators) -> None:
    """Those that have a test of their own are named here."""
    own = {
        *("aws_sts_json", "aws_sts_throttle_code", "aws_sts_throttle_status", "aws_sts_disabled_code"),
        *("alibaba_sts_throttle_status", "otc_iam_alg_needed", "otc_iam_token_size", "otc_temporary_keys"),
    }
    stand_ins = {name for name in cloud.switches.as_json() if re.match("aws_|[a-z]+_(sts|iam)_|otc_temporary", name)}

    assert stand_ins == own | {row.switch for row in ROWS}


SHORT = "OutboundWebIdentityFederationDisabled"


@pytest.mark.parametrize(
    ("switch", "value", "expected"),
    [
        ("aws_sts_throttle_code", "RequestLimitExceeded", (400, "RequestLimitExceeded")),
        ("aws_sts_throttle_status", 429, (429, "Throttling")),
        ("aws_sts_disabled_code", SHORT, (403, SHORT)),
    ],
)
def test_switches_of_aws(exchange: Exchanger, switch: str, value: object, expected: tuple[int, str]) -> None:
    exchange.cloud.switches.update(**{switch: value})
    if "throttle" in switch:
        exchange.cloud.faults.add("throttle", service="aws_sts")
    else:
        exchange.cloud.identity.aws.enabled = False

    assert aws_said(ask(exchange)) == expected


def test_switch_of_alibabas_throttle(exchange: Exchanger) -> None:
    exchange.cloud.switches.update(alibaba_sts_throttle_status=429)
    exchange.cloud.faults.add("throttle", service="alibaba_sts")

    assert said(exchange("alibaba")) == (429, "Throttling.User")


@pytest.mark.parametrize("problem", ["PublicKeyFingerprintMismatch", "HttpsUrlInvalid", "IssuerConfigurationBroken"])
def test_what_keeps_alibaba_from_the_issuers_keys(exchange: Exchanger, problem: str) -> None:
    otherwise(exchange, {"issuer_problem": problem})

    assert said(exchange("alibaba")) == (401, ALIBABA_FAILURE + problem)


def test_alibabas_limit_of_a_tokens_age(exchange: Exchanger) -> None:
    """Where a token lives for longer than the limit that its provider was given there."""
    tokens = {provider: exchange.token(provider, seconds=7200) for provider in ("alibaba", "huawei")}
    exchange.cloud.clock.shift(3590)
    assert exchange("alibaba", tokens["alibaba"]).ok

    exchange.cloud.clock.shift(20)

    assert said(exchange("alibaba", tokens["alibaba"])) == (401, ALIBABA_FAILURE + "Expired")
    assert exchange("huawei", tokens["huawei"]).ok


def test_a_token_of_iam_can_be_long(exchange: Exchanger) -> None:
    exchange.cloud.switches.update(otc_iam_token_size=16_000)

    assert exchange("otc").ok


# -- the captured requests of the official SDKs ---------------------------------------------------------------


@pytest.mark.parametrize("signer", ["requests_aws4auth", "botocore_sigv4auth"])
@pytest.mark.parametrize("change", ["none", "body", "host", "unsigned header", "target"])
def test_captured_signatures_of_aws(signer: str, change: str) -> None:
    vector = VECTORS["sigv4"]
    found = vector[signer]
    names = found["signed_headers"]
    credential = f"{vector['access_key_id']}/20261125/{vector['region']}/sts/aws4_request"
    headers = {
        "Content-Type": vector["content_type"],
        "Host": urlsplit(vector["url"]).netloc,
        "X-Amz-Date": vector["amz_date"],
        "X-Amz-Security-Token": vector["session_token"],
        "Authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, "
        f"Signature={found['signature']}",
    }
    if "x_amz_content_sha256" in found:
        headers["X-Amz-Content-Sha256"] = found["x_amz_content_sha256"]
    request = Request("POST", "/", tuple(headers.items()), vector["body"].encode())
    role = AwsRole(ROLE, vector["access_key_id"], vector["secret_access_key"], vector["session_token"])
    now = datetime(2026, 11, 25, 12, 1, tzinfo=UTC).timestamp()
    claim = aws_signature.read_claim(request)
    assert claim is not None
    changed = {
        "none": request,
        "body": replace(request, body=request.body + b"0"),
        "host": replace(request, headers=tuple({**headers, "Host": "sts.invalid"}.items())),
        "unsigned header": replace(request, headers=(*request.headers, ("X-Amz-More", "1"))),
        "target": replace(request, target="/?more=1"),
    }[change]

    assert (aws_signature.flaw(changed, claim, role, now) is None) is (change == "none")


CAPTURED = [
    vector
    for vector in VECTORS["vectors"]
    if not vector["name"].startswith("aws_") and vector["name"] != "otc_create_security_token"
]


@pytest.mark.parametrize("vector", CAPTURED, ids=[vector["name"] for vector in CAPTURED])
def test_captured_exchanges_are_accepted(cloud: Emulators, http: requests.Session, vector: dict[str, Any]) -> None:
    """All but those of AWS, whose signatures hold one port, and the SDK that misspells a member."""
    identity, jwt = cloud.identity, VECTORS["jwt"]
    claims = jwt["claims"]
    identity.issuer.published = jwt["jwks"]
    cloud.clock.shift(claims["iat"] + 60 - time.time())
    for stand_in in (identity.alibaba, identity.huawei, identity.otc):
        known: Any = vars(stand_in.trusts.all()[0])
        stand_in.trust(**{**known, "audience": claims["aud"], "subjects": [claims["sub"]]})
    first = {"alibaba": "alibaba_sts", "huawei_v5": "huawei_sts", "huawei_v3": "otc_iam", "otc": "otc_iam"}
    name = next(stand_in for start, stand_in in first.items() if vector["name"].startswith(start))
    token = ""

    for request in vector["requests"]:
        if not re.search("assume-with-oidc|auth|AUTH|CREDENTIAL|AssumeRole", request["path"] + request["raw_query"]):
            continue  # a call of a service, signed for one port
        url = f"{identity.urls[name]}{request['path']}?{request['raw_query']}"
        headers = {key: value for key, value in request["headers"] if key.lower() not in {"host", "authorization"}}
        headers |= {key: value for key, value in request["headers"] if value.startswith("Bearer")}
        sent = json.dumps([url, headers, request["raw_body"]])
        sent = sent.replace("${JWT}", jwt["token"]).replace("FAKESUBJECTTOKEN", token)
        url, headers, body = json.loads(sent)
        answer = http.request(request["method"], url, headers=headers, data=body, timeout=5)
        assert answer.status_code in {200, 201}, answer.text
        token = answer.headers.get("X-Subject-Token", token)

    assert jwt["token"] not in json.dumps(cloud.journal.as_json()), "a token that is sent in a URL"


# -- together with the other emulators ------------------------------------------------------------------------


def test_stand_ins_are_no_services(cloud: Emulators) -> None:
    assert list(cloud.identity.urls) == ["aws_sts", "alibaba_sts", "huawei_sts", "otc_iam"]
    assert len({*cloud.urls.values(), *cloud.identity.urls.values(), cloud.admin_url}) == len(cloud.urls) + 5
    assert not {*cloud.urls, *cloud.services, *SERVICES} & set(cloud.identity.urls)


def test_a_reset_keeps_registrations_unless_keys_go_too(exchange: Exchanger) -> None:
    cloud = exchange.cloud
    identity = cloud.identity
    identity.issuer.rotate()
    identity.issuer.faults = TokenFaults(expired=True)
    identity.otc.upload_keys(OTC_PROVIDER, {"keys": [{"kty": "RSA", "kid": "RSA_0", "n": "AQAB", "e": "AQAB"}]})
    identity.aws.enabled = False
    assert {exchange(provider).ok for provider in PROVIDERS} == {False}

    cloud.reset()

    assert {exchange(provider).ok for provider in PROVIDERS} == {True}
    assert ask(exchange).ok
    assert identity.issuer.jwks()["keys"][0]["kid"] == "RSA_0"
    cloud.reset(keys=True)
    assert {exchange(provider).ok for provider in PROVIDERS} == {False}
    assert aws_said(ask(exchange)) == (403, "InvalidClientTokenId")


def test_registrations_by_the_admin_api(exchange: Exchanger) -> None:
    cloud = exchange.cloud
    cloud.reset(keys=True)
    record = {
        "stand_in": "huawei_sts",
        "agency_urn": HUAWEI_AGENCY,
        "provider_urn": HUAWEI_PROVIDER,
        "audience": HUAWEI_AUDIENCE,
        "subjects": [ROLE],
    }

    def register(content: dict[str, Any]) -> requests.Response:
        return exchange.http.post(f"{cloud.admin_url}/_emulator/identity", json=content, timeout=5)

    assert register({**record, "stand_in": "other"}).status_code == 400
    assert register({**record, "subject": ROLE}).status_code == 400
    assert not exchange("huawei").ok

    assert register(record).json() == {"urls": cloud.identity.urls}

    assert exchange("huawei").ok
