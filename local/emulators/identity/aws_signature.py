"""Signature Version 4 of a received request, computed again by botocore."""

import calendar
import hashlib
import hmac
import re
import time
from dataclasses import dataclass

from local.emulators.messages import Request

from .trust import AwsRole

WINDOW_SECONDS = 5 * 60

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=([^/,\s]+)/([0-9]{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, *"
    r"SignedHeaders=([^,\s]+), *Signature=([0-9a-f]{64})"
)
_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z")


@dataclass(frozen=True)
class Claim:
    """What the Authorization header claims."""

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str


def read_claim(request: Request) -> Claim | None:
    """Read the Authorization header; None if it is missing, malformed, or there twice."""
    values = request.header_values("authorization")
    found = _AUTHORIZATION.fullmatch(values[0]) if len(values) == 1 else None
    if found is None:
        return None
    key_id, date, region, service, names, signature = found.groups()
    return Claim(key_id, date, region, service, tuple(names.split(";")), signature)


def flaw(request: Request, claim: Claim, role: AwsRole, now: float) -> str | None:
    """Say why the signature is refused; None: it is good."""
    date = request.header("x-amz-date") or ""
    if not _DATE.fullmatch(date) or not date.startswith(claim.date):
        return "Date in Credential scope does not match X-Amz-Date"
    if abs(now - calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))) > WINDOW_SECONDS:
        return f"Signature expired: {date} is too far from the server's time"
    if claim.service != "sts":
        return "Credential should be scoped to correct service: 'sts'."
    required = {"host", *(name for name in request.header_names if name.startswith("x-amz-"))}
    if not required <= set(claim.signed_headers) <= request.header_names:
        return "Headers are not signed, or signed headers did not arrive"
    honest = request.header("x-amz-content-sha256") in {None, hashlib.sha256(request.body).hexdigest()}
    if not (honest and hmac.compare_digest(_compute(request, claim, role.secret_access_key, date), claim.signature)):
        return "The request signature we calculated does not match the signature you provided"
    return None


def _compute(request: Request, claim: Claim, secret: str, date: str) -> str:
    """The signature over the headers that the client lists, as they arrived."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    signer = SigV4Auth(Credentials(claim.access_key_id, secret), claim.service, claim.region)
    received = AWSRequest(
        method=request.method,
        url=f"http://{request.header('host')}{request.target}",
        headers={name: ",".join(request.header_values(name)) for name in claim.signed_headers},
        data=request.body,
    )
    received.context["timestamp"] = date
    text = signer.string_to_sign(received, signer.canonical_request(received))
    return str(signer.signature(text, received))
