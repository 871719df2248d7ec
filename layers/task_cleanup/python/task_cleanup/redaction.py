"""Providers quote back what they were sent, canonical requests and tokens included: only the rest may go on."""

import re
from collections.abc import Iterable

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
        # A signature is another with every call: its pattern would be compiled for every reply, in milliseconds.
        if "%" in text or "+" in text:
            text = re.sub("".join(map(_any_form, secret)), "***", text)
        else:
            text = text.replace(secret, "***")
    if quoted := _QUOTED_REQUEST.search(text):
        text = text[: quoted.start()].rstrip(" ,:;[('\"") + " […]"
    return _CONTROL.sub(" ", text).strip()[:MAX_LENGTH]


def _any_form(character: str) -> str:
    """The character, or its percent-encoding in either case; a blank can be a plus."""
    encoded = "".join(f"%{byte:02x}" for byte in character.encode())
    return f"(?:{re.escape(character)}|(?i:{encoded}){'|[+]' if character == ' ' else ''})"
