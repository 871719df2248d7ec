"""Alibaba Cloud's V3 signature, ``ACS3-HMAC-SHA256``.

Source: "V3 request body & signature mechanism" of the Alibaba Cloud SDK guide; checked against vectors that the
official SDK made (``tests/vectors/alibaba.json``).
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from task_cleanup import signing

ALGORITHM = "ACS3-HMAC-SHA256"


def canonical_request(
    method: str,
    path: str,
    query: Iterable[tuple[str, str]],
    headers: Mapping[str, str],
    payload_sha256: str,
) -> tuple[str, str]:
    """The canonical request and the names of the signed headers.

    ``path`` is the percent-encoded path, exactly as it is sent; ``query`` is decoded.
    """
    block, names = signing.canonical_headers(headers.items())
    parts = (method.upper(), path or "/", signing.canonical_query(query), block, names, payload_sha256)
    return "\n".join(parts), names


def string_to_sign(canonical: str) -> str:
    """The algorithm and the hash of the canonical request: no scope, no date line."""
    return f"{ALGORITHM}\n{signing.hex_sha256(canonical.encode())}"


def authorization(access_key_id: str, signed_headers: str, signature: str) -> str:
    """The ``Authorization`` value: no blanks after the commas."""
    return f"{ALGORITHM} Credential={access_key_id},SignedHeaders={signed_headers},Signature={signature}"


def sign(
    *,
    method: str,
    host: str,
    path: str,
    query: Iterable[tuple[str, str]],
    action: str,
    version: str,
    access_key_id: str,
    secret_access_key: str,
    security_token: str | None,
    now: datetime,
    nonce: str,
) -> dict[str, str]:
    """All headers of a signed request without a body; every one but ``Authorization`` is signed.

    ``host`` carries the port where it is not the default one.
    """
    headers = {
        "Host": host,
        "x-acs-action": action,
        "x-acs-version": version,
        "x-acs-date": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": nonce,
        "x-acs-content-sha256": signing.EMPTY_SHA256,
    }
    if security_token:
        headers["x-acs-accesskey-id"] = access_key_id
        headers["x-acs-security-token"] = security_token
    canonical, names = canonical_request(method, path, query, headers, signing.EMPTY_SHA256)
    signature = signing.hex_hmac_sha256(secret_access_key, string_to_sign(canonical))
    return {**headers, "Authorization": authorization(access_key_id, names, signature)}
