"""The emulators' signature checks against the vectors that the official SDKs made."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlsplit

import pytest

from local.emulators import signatures
from local.emulators.messages import Request

VECTORS = Path(__file__).parents[1] / "vectors"
ALIBABA = json.loads((VECTORS / "alibaba.json").read_text(encoding="utf-8"))
HUAWEI = json.loads((VECTORS / "huawei.json").read_text(encoding="utf-8"))
ACS3 = [vector for vector in ALIBABA["vectors"] if vector["scheme"] == signatures.ACS3]
SDK_HMAC = [vector for vector in HUAWEI["vectors"] if vector["algorithm"] == signatures.SDK_HMAC]


def alibaba_request(vector: dict[str, Any]) -> Request:
    """The request as it would arrive: the SDK's own URL where there is one, else the query form-encoded."""
    sent = vector["input"]
    query = "&".join(f"{name}={quote_plus(value)}" for name, value in sent["query"].items())
    if "url_sent_by_sdk" in vector:
        query = urlsplit(vector["url_sent_by_sdk"]).query
    target = f"{sent['path']}?{query}" if query else sent["path"]
    headers = [(name, value.strip()) for name, value in sent["headers"].items()]
    headers.append(("Authorization", vector["authorization"]))
    return Request(sent["method"], target, tuple(headers), (sent["body"] or "").encode())


def huawei_request(vector: dict[str, Any]) -> Request:
    sent, expected = vector["input"], vector["expected"]
    headers = [
        (name, value.encode().decode("latin-1"))
        for name, value in expected["headers_sent_besides_authorization"].items()
    ]
    headers.append(("Authorization", expected["authorization"]))
    return Request(sent["method"], expected["request_target_sent_by_sdk"], tuple(headers), sent["body"].encode())


def test_every_scheme_has_vectors() -> None:
    assert len(ACS3) == 12
    assert len(SDK_HMAC) == 22


@pytest.mark.parametrize("vector", ACS3, ids=lambda vector: vector["name"])
def test_acs3_vector(vector: dict[str, Any]) -> None:
    request = alibaba_request(vector)
    claim = signatures.read_acs3_claim(request)

    computed = signatures.compute_acs3(request, claim, vector["input"]["access_key_secret"])

    assert claim.access_key_id == vector["input"]["access_key_id"]
    assert computed.canonical_request == vector["canonical_request"]
    assert computed.string_to_sign == vector["string_to_sign"]
    assert computed.confirms(claim)


@pytest.mark.parametrize("vector", SDK_HMAC, ids=lambda vector: vector["name"])
def test_sdk_hmac_vector(vector: dict[str, Any]) -> None:
    request = huawei_request(vector)
    claim = signatures.read_sdk_hmac_claim(request)

    computed = signatures.compute_sdk_hmac(request, claim, HUAWEI["secret_key"])

    assert claim.access_key_id == HUAWEI["access_key"]
    assert computed.canonical_request == vector["expected"]["canonical_request"]
    assert computed.string_to_sign == vector["expected"]["string_to_sign"]
    assert computed.confirms(claim)


@pytest.mark.parametrize(
    ("changed", "value"),
    [
        ("method", "POST"),
        ("target", "/openapi/instances/es-cn-oew1oxiro000f0001/data-task?taskId=et_cn_other"),
        ("body", b"{}"),
        ("headers", (("host", "elsewhere.example.com"),)),
    ],
)
def test_acs3_notices_any_change(changed: str, value: Any) -> None:
    vector = ACS3[0]
    good = alibaba_request(vector)
    parts = {"method": good.method, "target": good.target, "headers": good.headers, "body": good.body}
    if changed == "headers":
        value = tuple(dict([*good.headers, *value]).items())
    request = Request(**{**parts, changed: value})

    claim = signatures.read_acs3_claim(request)

    assert not signatures.compute_acs3(request, claim, vector["input"]["access_key_secret"]).confirms(claim)


@pytest.mark.parametrize("secret", ["", "testSecretFakeOther"])
def test_another_secret_is_not_confirmed(secret: str) -> None:
    request = huawei_request(SDK_HMAC[0])

    claim = signatures.read_sdk_hmac_claim(request)

    assert not signatures.compute_sdk_hmac(request, claim, secret).confirms(claim)


@pytest.mark.parametrize("path", ["/v2/p/tasks/1", "/v2/p/tasks/1/"])
def test_sdk_hmac_closes_the_canonical_path_with_a_slash(path: str) -> None:
    request = Request("GET", path, (("Host", "h"), ("X-Sdk-Date", "20261121T120000Z")))
    claim = signatures.Claim("AKFAKE1", ("host", "x-sdk-date"), "0")

    canonical = signatures.compute_sdk_hmac(request, claim, "testSecretFake").canonical_request

    assert canonical.splitlines()[1] == "/v2/p/tasks/1/"


@pytest.mark.parametrize(("query", "expected"), [("a=x+y", "a=x%20y"), ("a=x%20y", "a=x%20y"), ("a", "a="), ("", "")])
def test_acs3_reads_the_query_form_style(query: str, expected: str) -> None:
    request = Request("GET", f"/p?{query}", (("host", "h"),))

    claim = signatures.Claim("AKFAKE1", ("host",), "0")

    assert signatures.compute_acs3(request, claim, "testSecretFake").canonical_request.splitlines()[2] == expected


def test_sdk_hmac_reads_a_plus_as_a_plus() -> None:
    request = Request("GET", "/p?a=x+y", (("host", "h"),))
    claim = signatures.Claim("AKFAKE1", ("host",), "0")

    canonical = signatures.compute_sdk_hmac(request, claim, "testSecretFake").canonical_request

    assert canonical.splitlines()[2] == "a=x%2By"


@pytest.mark.parametrize(
    ("authorization", "error"),
    [
        ([], signatures.MalformedAuthorizationError),
        (["ACS3-HMAC-SHA256"], signatures.MalformedAuthorizationError),
        (["ACS3-HMAC-SHA256 Credential=AKFAKE1,Signature=00"], signatures.MalformedAuthorizationError),
        (
            ["ACS3-HMAC-SHA256 Credential=AKFAKE1,SignedHeaders=host,Signature=XYZ"],
            signatures.MalformedAuthorizationError,
        ),
        (["acs AKFAKE1:c2lnbmF0dXJl"], signatures.UnknownAlgorithmError),
        (["ACS3-HMAC-SM3 Credential=AKFAKE1,SignedHeaders=host,Signature=00"], signatures.UnknownAlgorithmError),
        (
            ["ACS3-HMAC-SHA256 Credential=AKFAKE1,SignedHeaders=host,Signature=00"] * 2,
            signatures.MalformedAuthorizationError,
        ),
    ],
)
def test_a_bad_authorization_header(authorization: list[str], error: type[Exception]) -> None:
    request = Request("GET", "/", tuple(("Authorization", value) for value in authorization))

    with pytest.raises(error):
        signatures.read_acs3_claim(request)


def test_unsigned_and_absent_headers_are_named() -> None:
    request = Request("GET", "/", (("Host", "h"), ("X-Acs-Date", "d")))

    claim = signatures.Claim("AKFAKE1", ("host", "x-acs-version"), "0")

    assert signatures.unsigned_headers(request, claim, ["host", "x-acs-date"]) == ["x-acs-date", "x-acs-version"]
