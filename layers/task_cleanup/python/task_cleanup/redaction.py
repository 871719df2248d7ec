"""Providers quote back what they were sent, canonical requests and tokens included: only the rest may go on."""

import re
from collections.abc import Iterable
from urllib.parse import quote

MAX_LENGTH = 500

# Where a quoted request begins: ``APIGW.0301`` writes it with ``|`` for newline, Alibaba with real newlines.
_QUOTED_REQUEST = re.compile(
    r"canonical|string.?to.?sign|authorization|signature=|hmac-sha256|x-acs-|x-sdk-|x-security-|[|\n]",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


def redact(text: str, secrets: Iterable[str]) -> str:
    """A provider's text without these secrets (also percent-encoded) and without any request it quotes."""
    for secret in sorted(secrets, key=len, reverse=True):
        for form in (secret, quote(secret, safe="")):
            text = text.replace(form, "***")
    if quoted := _QUOTED_REQUEST.search(text):
        text = text[: quoted.start()].rstrip(" ,:;[('\"") + " […]"
    return _CONTROL.sub(" ", text).strip()[:MAX_LENGTH]
