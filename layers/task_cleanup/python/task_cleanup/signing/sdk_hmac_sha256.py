"""Huawei Cloud's and Open Telekom Cloud's ``SDK-HMAC-SHA256``, header form ``Access=``.

Source: "AK/SK-based authentication" of both clouds' API signing guides; checked against vectors that the
official SDK made (``tests/vectors/huawei.json``). The scheme of the same name with ``Credential=`` and a derived
key is another one, and not used here.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from urllib.parse import unquote

from task_cleanup import signing

ALGORITHM = "SDK-HMAC-SHA256"


def canonical_uri(path: str) -> str:
    """Each segment decoded once and encoded again; the canonical form (not the request) ends in ``/``."""
    encoded = "/".join(signing.percent_encode(unquote(segment)) for segment in path.split("/"))
    return encoded if encoded.endswith("/") else encoded + "/"


def payload_hash(headers: Mapping[str, str], body: bytes) -> str:
    """The body's hash, or what ``X-Sdk-Content-Sha256`` declares for a body that is not empty."""
    declared = {name.lower(): value for name, value in headers.items()}.get("x-sdk-content-sha256")
    return declared if declared and body else signing.hex_sha256(body)


def canonical_request(
    method: str,
    path: str,
    query: Iterable[tuple[str, str]],
    headers: Mapping[str, str],
    payload_sha256: str,
) -> tuple[str, str]:
    """The canonical request and the names of the signed headers.

    Headers whose name holds an underscore are sent but not signed, as the official SDK does.
    """
    signed = [(name, value) for name, value in headers.items() if "_" not in name]
    block, names = signing.canonical_headers(signed)
    parts = (
        method.upper(),
        canonical_uri(path),
        signing.canonical_query(query),
        block,
        names,
        payload_sha256,
    )
    return "\n".join(parts), names


def string_to_sign(x_sdk_date: str, canonical: str) -> str:
    """Algorithm, date, and the hash of the canonical request."""
    return f"{ALGORITHM}\n{x_sdk_date}\n{signing.hex_sha256(canonical.encode())}"


def authorization(access_key_id: str, signed_headers: str, signature: str) -> str:
    """The ``Authorization`` value: here with a blank after each comma."""
    return f"{ALGORITHM} Access={access_key_id}, SignedHeaders={signed_headers}, Signature={signature}"


def sign(
    *,
    method: str,
    host: str,
    path: str,
    query: Iterable[tuple[str, str]],
    project_id: str,
    access_key_id: str,
    secret_access_key: str,
    security_token: str | None,
    now: datetime,
    body: bytes = b"",
) -> dict[str, str]:
    """All headers of a signed request; every one but ``Authorization`` is signed, and so is a ``body`` of JSON.

    Without a ``project_id`` the request is about none. The security token is signed too: dedicated gateways answer
    ``APIGW.0602`` where it is not.
    """
    date = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "Host": host,
        "Content-Type": "application/json;charset=utf-8" if body else "application/json",
        "X-Sdk-Date": date,
    }
    if project_id:
        headers["X-Project-Id"] = project_id
    if security_token:
        headers["X-Security-Token"] = security_token
    canonical, names = canonical_request(method, path, query, headers, payload_hash(headers, body))
    signature = signing.hex_hmac_sha256(secret_access_key, string_to_sign(date, canonical))
    return {**headers, "Authorization": authorization(access_key_id, names, signature)}
