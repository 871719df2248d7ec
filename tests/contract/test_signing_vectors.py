"""Our signatures against vectors that the official SDKs made: one assertion for every stage of every vector."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from task_cleanup import signing
from task_cleanup.signing import acs3_hmac_sha256, sdk_hmac_sha256

VECTORS = Path(__file__).parents[1] / "vectors"
ALIBABA = json.loads((VECTORS / "alibaba.json").read_bytes())
HUAWEI = json.loads((VECTORS / "huawei.json").read_bytes())

ACS3 = {vector["name"]: vector for vector in ALIBABA["vectors"] if vector["scheme"] == "ACS3-HMAC-SHA256"}
ACCESS = {vector["name"]: vector for vector in HUAWEI["vectors"] if vector["algorithm"] == "SDK-HMAC-SHA256"}

# Schemes that are not ours. A vector that is neither here nor tested fails the test below.
OTHER_SCHEMES = {
    "alibaba.json": {
        "acs-HMAC-SHA1": {
            "roa_v2_delete_data_task_ak",
            "roa_v2_cancel_task_sts",
            "roa_v2_delete_data_task_edge",
            "roa_v2_delete_data_task_empty_value",
            "roa_v2_get_cluster_data_information_body",
            "roa_core_delete_data_task",
            "roa_core_get_cluster_data_information_body_sts",
        },
        "RPC-HMAC-SHA1": {"rpc_sts_assume_role"},
    },
    "huawei.json": {
        "V11-HMAC-SHA256": {"v11_derived", "v11_derived_security_token"},
        "SDK-HMAC-SM3": {"sm3"},
        "Credential=": {
            "oms_delete_task_minimal",
            "oms_delete_task_sdk_like",
            "oms_list_tasks_query",
            "oms_create_task_json",
            "oms_stop_task_post_no_body",
            "dms_delete_background_task_security_token",
            "query_edge_cases",
            "path_trailing_slash",
        },
    },
}
# The SDK declares bodies of other types as unsigned by itself; the signer here leaves that header to its caller.
UNSIGNED_PAYLOAD = {"non_json_content_type"}


def test_no_vector_is_skipped_silently() -> None:
    others: dict[str, dict[str, set[str]]] = {"alibaba.json": {}, "huawei.json": {}}
    for vector in ALIBABA["vectors"]:
        if vector["name"] not in ACS3:
            others["alibaba.json"].setdefault(vector["scheme"], set()).add(vector["name"])
    for vector in HUAWEI["vectors"]:
        if vector["name"] not in ACCESS:
            others["huawei.json"].setdefault(vector["algorithm"], set()).add(vector["name"])

    others["huawei.json"]["Credential="] = {vector["name"] for vector in HUAWEI["credential_form_vectors"]}

    assert others == OTHER_SCHEMES
    assert len(ACS3) + sum(map(len, OTHER_SCHEMES["alibaba.json"].values())) == len(ALIBABA["vectors"]) == 20
    assert (len(ACS3), len(ACCESS)) == (12, 22)


# -- ACS3-HMAC-SHA256 ------------------------------------------------


def acs3_canonical(vector: dict[str, Any]) -> tuple[str, str]:
    sent = vector["input"]
    body = (sent["body"] or "").encode()
    return acs3_hmac_sha256.canonical_request(
        sent["method"], sent["path"], sent["query"].items(), sent["headers"], signing.hex_sha256(body)
    )


@pytest.mark.parametrize("name", ACS3)
def test_acs3_canonical_request(name: str) -> None:
    canonical, _ = acs3_canonical(ACS3[name])

    assert canonical == ACS3[name]["canonical_request"]
    assert signing.hex_sha256(canonical.encode()) == ACS3[name]["canonical_request_sha256"]


@pytest.mark.parametrize("name", ACS3)
def test_acs3_string_to_sign(name: str) -> None:
    assert acs3_hmac_sha256.string_to_sign(ACS3[name]["canonical_request"]) == ACS3[name]["string_to_sign"]


@pytest.mark.parametrize("name", ACS3)
def test_acs3_authorization(name: str) -> None:
    vector = ACS3[name]
    _, names = acs3_canonical(vector)
    secret = vector["input"]["access_key_secret"]
    signature = signing.hex_hmac_sha256(secret, vector["string_to_sign"])

    key_id = vector["input"]["access_key_id"]

    assert acs3_hmac_sha256.authorization(key_id, names, signature) == vector["authorization"]


# The vectors whose signed headers are exactly those that `sign` sends.
ACS3_WHOLE = ["v3_minimal_headers_delete", "v3_emulator_localhost_port", "v3_public_doc_runinstances"]


@pytest.mark.parametrize("name", ACS3_WHOLE)
def test_acs3_whole_sign(name: str) -> None:
    vector = ACS3[name]
    sent = vector["input"]
    headers = acs3_hmac_sha256.sign(
        method=sent["method"],
        host=sent["host"],
        path=sent["path"],
        query=sent["query"].items(),
        action=sent["headers"]["x-acs-action"],
        version=sent["headers"]["x-acs-version"],
        access_key_id=sent["access_key_id"],
        secret_access_key=sent["access_key_secret"],
        security_token=sent["security_token"],
        now=datetime.fromisoformat(sent["headers"]["x-acs-date"]),
        nonce=sent["headers"]["x-acs-signature-nonce"],
    )

    lower = {name.lower(): value for name, value in headers.items()}

    assert lower == {**sent["headers"], "authorization": vector["authorization"]}


def test_acs3_whole_sign_with_a_security_token_signs_the_token_and_the_key_id() -> None:
    """As the official SDK does: its own headers besides are telemetry."""
    vector = ACS3["v3_cancel_task_sts"]
    sent = vector["input"]
    headers = acs3_hmac_sha256.sign(
        method=sent["method"],
        host=sent["host"],
        path=sent["path"],
        query=sent["query"].items(),
        action="CancelTask",
        version="2017-06-13",
        access_key_id=sent["access_key_id"],
        secret_access_key=sent["access_key_secret"],
        security_token=sent["security_token"],
        now=datetime.fromisoformat(sent["headers"]["x-acs-date"]),
        nonce=sent["headers"]["x-acs-signature-nonce"],
    )
    telemetry = {"accept", "user-agent", "x-acs-credentials-provider"}

    expected = {name: value for name, value in sent["headers"].items() if name not in telemetry}

    assert {name.lower(): value for name, value in headers.items() if name != "Authorization"} == expected
    assert f"SignedHeaders={';'.join(sorted(expected))}," in headers["Authorization"]


# -- SDK-HMAC-SHA256, Access= ------------------------------------------------


def text(value: object) -> str:
    """Booleans go out in lower case."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def access_headers(vector: dict[str, Any]) -> dict[str, str]:
    sent = vector["input"]
    headers: dict[str, str] = {**sent["headers"], "Host": sent["host"], "X-Sdk-Date": sent["x_sdk_date"]}
    if vector["name"] in UNSIGNED_PAYLOAD:
        headers["X-Sdk-Content-Sha256"] = "UNSIGNED-PAYLOAD"
    return headers


def access_canonical(vector: dict[str, Any]) -> tuple[str, str]:
    sent, headers = vector["input"], access_headers(vector)
    query = [(name, text(value)) for name, value in sent["query"]]
    digest = sdk_hmac_sha256.payload_hash(headers, sent["body"].encode())
    return sdk_hmac_sha256.canonical_request(sent["method"], sent["path"], query, headers, digest)


@pytest.mark.parametrize("name", ACCESS)
def test_access_canonical_request(name: str) -> None:
    expected = ACCESS[name]["expected"]

    canonical, names = access_canonical(ACCESS[name])

    assert canonical == expected["canonical_request"]
    assert names == expected["signed_headers"]


@pytest.mark.parametrize("name", ACCESS)
def test_access_parts_of_the_canonical_request(name: str) -> None:
    sent, expected = ACCESS[name]["input"], ACCESS[name]["expected"]
    query = [(name, text(value)) for name, value in sent["query"]]
    assert sdk_hmac_sha256.canonical_uri(sent["path"]) == expected["canonical_uri"]
    assert signing.canonical_query(query) == expected["canonical_query"]

    digest = sdk_hmac_sha256.payload_hash(access_headers(ACCESS[name]), sent["body"].encode())

    assert digest == expected["payload_hash"]


@pytest.mark.parametrize("name", ACCESS)
def test_access_string_to_sign(name: str) -> None:
    sent, expected = ACCESS[name]["input"], ACCESS[name]["expected"]

    ours = sdk_hmac_sha256.string_to_sign(sent["x_sdk_date"], expected["canonical_request"])

    assert ours == expected["string_to_sign"]


@pytest.mark.parametrize("name", ACCESS)
def test_access_authorization(name: str) -> None:
    expected = ACCESS[name]["expected"]
    signature = signing.hex_hmac_sha256(HUAWEI["secret_key"], expected["string_to_sign"])

    _, names = access_canonical(ACCESS[name])

    assert signature == expected["signature"]
    assert sdk_hmac_sha256.authorization(HUAWEI["access_key"], names, signature) == expected["authorization"]


# The vectors whose signed headers are exactly those that `sign` sends.
ACCESS_WHOLE = [
    name
    for name, vector in ACCESS.items()
    if set(vector["input"]["headers"]) - {"X-Security-Token"} == {"Content-Type", "X-Project-Id"}
    and vector["input"]["headers"]["Content-Type"]
    == ("application/json;charset=utf-8" if vector["input"]["body"] else "application/json")
]


def test_whole_sign_is_checked_with_and_without_a_security_token_and_a_body() -> None:
    bodies = {"oms_create_task_json", "oms_create_task_json_unicode"}
    assert {"oms_delete_task_sdk_like", "dms_delete_background_task_security_token", *bodies} <= set(ACCESS_WHOLE)


@pytest.mark.parametrize("name", ACCESS_WHOLE)
def test_access_whole_sign(name: str) -> None:
    sent, expected = ACCESS[name]["input"], ACCESS[name]["expected"]

    headers = sdk_hmac_sha256.sign(
        method=sent["method"],
        host=sent["host"],
        path=sent["path"],
        query=[(key, text(value)) for key, value in sent["query"]],
        project_id=sent["headers"]["X-Project-Id"],
        access_key_id=HUAWEI["access_key"],
        secret_access_key=HUAWEI["secret_key"],
        security_token=sent["headers"].get("X-Security-Token"),
        now=datetime.strptime(sent["x_sdk_date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC),
        body=sent["body"].encode(),
    )

    assert headers == {
        **expected["headers_sent_besides_authorization"],
        "Authorization": expected["authorization"],
    }
