"""The two signature schemes, recomputed from the received request.

Sources: `ACS3-HMAC-SHA256` - Alibaba sheet, sections 2.2 to 2.4; `SDK-HMAC-SHA256` with `Access=` - Huawei signing
sheet, section 1. Both have the same steps: read the claim in the Authorization header, rebuild the canonical
request from what arrived and from the list of signed headers, hash it into the string to sign, compare.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from .messages import Request

ACS3 = "ACS3-HMAC-SHA256"
SDK_HMAC = "SDK-HMAC-SHA256"
QueryPairs = list[tuple[bytes, bytes]]

_ACS3_FIELDS = re.compile(r"Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]+)")
_SDK_FIELDS = re.compile(r"Access=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]+)")


class MalformedAuthorizationError(Exception):
    """The Authorization header is missing, or its parts are."""


class UnknownAlgorithmError(Exception):
    """The Authorization header names a scheme that is not checked here."""


@dataclass(frozen=True)
class Claim:
    """What the Authorization header claims."""

    access_key_id: str
    signed_headers: tuple[str, ...]
    signature: str


@dataclass(frozen=True)
class Computation:
    """Canonical request, string to sign and signature, computed from the received request."""

    canonical_request: str
    string_to_sign: str
    signature: str

    def confirms(self, claim: Claim) -> bool:
        """Whether this is the claimed signature; compared in constant time."""
        return hmac.compare_digest(self.signature, claim.signature)


def body_hash(request: Request) -> str:
    """SHA-256 of the received body, in lower-case hex."""
    return hashlib.sha256(request.body).hexdigest()


def read_acs3_claim(request: Request) -> Claim:
    """Read `ACS3-HMAC-SHA256 Credential=..,SignedHeaders=..,Signature=..`."""
    return _read_claim(request, ACS3, _ACS3_FIELDS)


def read_sdk_hmac_claim(request: Request) -> Claim:
    """Read `SDK-HMAC-SHA256 Access=.., SignedHeaders=.., Signature=..`."""
    return _read_claim(request, SDK_HMAC, _SDK_FIELDS)


def _read_claim(request: Request, algorithm: str, fields: re.Pattern[str]) -> Claim:
    values = request.header_values("authorization")
    if len(values) != 1:
        raise MalformedAuthorizationError
    scheme, _, rest = values[0].partition(" ")
    if scheme != algorithm:
        raise UnknownAlgorithmError
    found = fields.fullmatch(rest.strip())
    if found is None:
        raise MalformedAuthorizationError
    key_id, names, signature = found.groups()
    return Claim(key_id, tuple(names.split(";")), signature)


def unsigned_headers(request: Request, claim: Claim, required: Iterable[str]) -> list[str]:
    """The headers that should have been signed and were not, and those signed that did not arrive."""
    listed = set(claim.signed_headers)
    missing = [name for name in required if name not in listed]
    absent = [name for name in claim.signed_headers if name not in request.header_names]
    return sorted({*missing, *absent})


def compute_acs3(request: Request, claim: Claim, secret: str) -> Computation:
    """Alibaba sheet, section 2.3. The path counts as sent; the query is decoded form-style and encoded anew."""
    pairs = sorted(form_pairs(request.query))
    canonical = "\n".join(
        (
            request.method.upper(),
            request.path or "/",
            "&".join(f"{_encode(name)}={_encode(value)}" for name, value in pairs),
            _header_block(request, claim.signed_headers),
            ";".join(claim.signed_headers),
            body_hash(request),
        )
    )
    to_sign = f"{ACS3}\n{_sha256(canonical)}"
    return Computation(canonical, to_sign, _hmac(secret, to_sign))


def compute_sdk_hmac(request: Request, claim: Claim, secret: str) -> Computation:
    """Huawei signing sheet, section 1. The canonical URI always ends with a slash; a `+` is a plus sign."""
    pairs = sorted(percent_pairs(request.query))
    canonical = "\n".join(
        (
            request.method.upper(),
            _slashed_uri(request.path),
            "&".join(f"{_encode(name)}={_encode(value)}" for name, value in pairs),
            _header_block(request, claim.signed_headers),
            ";".join(claim.signed_headers),
            _sdk_payload_hash(request),
        )
    )
    to_sign = f"{SDK_HMAC}\n{request.header('x-sdk-date') or ''}\n{_sha256(canonical)}"
    return Computation(canonical, to_sign, _hmac(secret, to_sign))


def form_pairs(query: str) -> QueryPairs:
    """Decode a query form-style: `+` is a blank, empty values are kept."""
    return percent_pairs(query.replace("+", "%20"))


def percent_pairs(query: str) -> QueryPairs:
    """Decode a query by percent-escapes alone."""
    split = (pair.partition("=") for pair in query.split("&") if pair)
    return [(unquote_to_bytes(name), unquote_to_bytes(value)) for name, _, value in split]


def _header_block(request: Request, names: Iterable[str]) -> str:
    """One `name:value` line for each signed header; every line ends with its own newline."""
    lines = []
    for name in sorted(names):
        values = sorted(_received_text(value) for value in request.header_values(name))
        lines.append(f"{name}:{','.join(values)}\n")
    return "".join(lines)


def _slashed_uri(path: str) -> str:
    decoded = unquote_to_bytes(path or "/")
    uri = "/".join(_encode(piece) for piece in decoded.split(b"/"))
    return uri if uri.endswith("/") else uri + "/"


def _sdk_payload_hash(request: Request) -> str:
    """Hash of the body; if there is a body, the content hash that the client sent is used instead."""
    declared = request.header("x-sdk-content-sha256")
    if declared and request.body:
        return declared
    return body_hash(request)


def _received_text(value: str) -> str:
    """Clients sign UTF-8 text and send its bytes; the server read those bytes as Latin-1."""
    return value.encode("latin-1").decode("utf-8", "surrogateescape")


def _encode(data: bytes) -> str:
    """Percent-encode all but `A-Z a-z 0-9 - _ . ~`, upper-case hex."""
    return quote(data, safe="~")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _hmac(secret: str, text: str) -> str:
    return hmac.new(secret.encode(), text.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()
