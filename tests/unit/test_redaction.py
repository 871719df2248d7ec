"""Provider texts go on without secrets and without the requests that they quote."""

import html
import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from itertools import product
from string import ascii_letters, digits
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from task_cleanup.redaction import redact
from tests.support.builders import OF_EACH_KIND, OPERATIONS, SECRET, Answer, refusal, world

SECRETS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=12, max_size=60)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@settings(max_examples=100, deadline=None)
@given(before=TEXTS, secret=SECRETS, other=SECRETS, after=TEXTS)
def test_no_secret_survives_plain_or_percent_encoded(before: str, secret: str, other: str, after: str) -> None:
    assume(secret not in "*" * 60)
    for form in (secret, quote(secret, safe=""), quote(secret), quote_plus(secret)):
        assume(form not in before + after + " […]")
        clean = redact(f"{before}{form}{after}", [secret, other])
        assert form not in clean


@settings(max_examples=80, deadline=None)
@given(secret=SECRETS)
def test_lower_case_percent_encoding_does_not_let_a_secret_through(secret: str) -> None:
    """Percent-encoding is case-insensitive: ``%2f`` is the same token as ``%2F``."""
    lower = quote(secret, safe="").replace("%2F", "%2f").replace("%2B", "%2b").replace("%3D", "%3d")

    assert lower not in redact(f"token {lower} is bad", [secret])


# What the providers' keys and tokens are made of.
KEYS = st.text(st.sampled_from(ascii_letters + digits + "+/=-_.~"), min_size=12, max_size=60)
# How a secret can be written in a provider's text; each of the first can be applied to what another made.
ESCAPES: dict[str, Callable[[str], str]] = {
    "percent": lambda text: quote(text, safe=""),
    "percent, small letters": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "JSON": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "JSON, by number": lambda text: "".join(f"\\u{ord(character):04x}" for character in text),
    "HTML": html.escape,
    "HTML, by number": lambda text: "".join(f"&#{ord(character)};" for character in text),
    "HTML, by hexadecimal number": lambda text: "".join(f"&#x{ord(character):X};" for character in text),
    "HTML, by name": lambda text: text.replace("+", "&plus;").replace("/", "&sol;").replace("=", "&equals;"),
}
BASE64: dict[str, Callable[[str], str]] = {
    "alone": lambda text: b64encode(text.encode()).decode(),
    "URL-safe": lambda text: urlsafe_b64encode(text.encode()).decode(),
    "behind one byte": lambda text: b64encode(f"x{text}yz".encode()).decode(),
    "behind two bytes": lambda text: urlsafe_b64encode(f"xy{text}z".encode()).decode(),
    "in JSON": lambda text: b64encode(json.dumps({"token": text}).encode()).decode(),
}


@pytest.mark.parametrize("inner", ESCAPES)
@pytest.mark.parametrize("outer", ESCAPES)
@settings(max_examples=15)
@given(secret=KEYS)
def test_no_secret_survives_in_an_encoding_or_in_two(inner: str, outer: str, secret: str) -> None:
    form = ESCAPES[outer](ESCAPES[inner](secret))

    # The last two where the two encodings together look like an escaped newline: the text is cut there.
    allowed = {"before: *** (after)", "before: *** […]", "before […]"}

    assert redact(f"before: {form} (after)", [secret]) in allowed


@pytest.mark.parametrize("escape", [None, *ESCAPES])
@pytest.mark.parametrize("encoding", BASE64)
@settings(max_examples=15)
@given(secret=KEYS)
def test_no_secret_survives_in_base64(encoding: str, escape: str | None, secret: str) -> None:
    form = BASE64[encoding](secret)
    shown = ESCAPES[escape](form) if escape else form

    clean = redact(f"before {shown} after", [secret])

    assert "***" in clean
    # What is left of it are the bits that the secret shares with its neighbours.
    assert not any(form[start : start + 12] in clean for start in range(14, len(form) - 14))


IN_FRONT = ["", "\\", "%", "&", "&#", "\\u", "%25", "\\\\"]
ODD_SECRETS = ["r0000000000:", "testSecretFake%41+", "u0041testSecretFake", "amp;testSecretFake&"]


@pytest.mark.parametrize("escape", ESCAPES)
def test_what_is_in_front_of_a_secret_does_not_hide_it(escape: str) -> None:
    for before, secret in product(IN_FRONT, ODD_SECRETS):
        for form in (secret, ESCAPES[escape](secret)):
            assert form[4:] not in redact(f"token {before}{form} is bad", [secret])


def test_of_a_text_without_end_only_the_beginning_is_read_and_no_half_secret_is_left() -> None:
    secret = "testSecretFake" * 40

    text = " ".join([secret] * 50)

    assert "Secret" not in redact(text, [secret])
    assert redact("x" * 20_000, [secret]) == ""


@pytest.mark.parametrize("escape", [None, *ESCAPES])
@settings(max_examples=15)
@given(secret=KEYS, kept=st.floats(0.3, 0.99))
def test_a_part_of_a_secret_does_not_go_on_either(escape: str | None, secret: str, kept: float) -> None:
    """Providers cut what they quote."""
    part = secret[: max(10, int(len(secret) * kept))]

    shown = ESCAPES[escape](part) if escape else part

    assert not any(part[at : at + 10] in redact(f"got {shown}", [secret]) for at in range(len(part) - 9))
    assert shown not in redact(f"got {shown}", [secret])


@pytest.mark.parametrize("words", [2, 600], ids=["short", "long"])
def test_of_texts_of_any_length_ten_characters_of_a_secret_are_a_part_and_nine_are_not(words: int) -> None:
    secrets, text = ["testSecretFake0001"], " word" * words

    assert redact(f"tSecretFak{text}", secrets).startswith("*** word")
    assert redact(f"a tSecretFak{text}", secrets).startswith("a *** word")
    assert redact(f"tSecretFa{text}", secrets).startswith("tSecretFa word")


@pytest.mark.parametrize("words", [2, 600], ids=["short", "long"])
def test_the_end_of_one_secret_and_the_beginning_of_another_are_a_part_of_neither(words: int) -> None:
    text = " word" * words

    for found in ("k1\0Fa", "k2\0Fa"):
        assert redact(found + text, ["FaKk1", "FaKk2"]).startswith(f"{found[:2]} Fa word")


@settings(max_examples=15)
@given(secret=KEYS)
def test_no_secret_survives_in_base64_of_a_text_that_escapes_it(secret: str) -> None:
    for written in (json.dumps({"token": secret}).replace("/", "\\/"), quote(f"token={secret}", safe="=")):
        form = b64encode(written.encode()).decode()
        clean = redact(f"before {form} after", [secret])
        assert "***" in clean


@settings(max_examples=80, deadline=None)
@given(text=TEXTS, secret=SECRETS)
def test_a_text_without_the_secret_keeps_its_characters(text: str, secret: str) -> None:
    assume(secret not in text)

    assert redact(text, [secret]) == redact(text, [])


@settings(max_examples=80, deadline=None)
@given(secret=SECRETS, inner=st.integers(1, 8))
def test_a_secret_that_holds_another_is_removed_whole(secret: str, inner: int) -> None:
    assume("*" not in secret)

    part = secret[:-inner]

    assert secret[-inner:] not in redact(f"<{secret}>", [part, secret]).strip("<>") or inner < 2


QUOTED = [
    "verify aksk signature fail, canonical request: GET|/v2/PROJECT/tasks/|",
    "verify aksk signature fail|DELETE|/v2/PROJECT/tasks/1/||host:oms|",
    "The signature does not match. server string to sign is:ACS3-HMAC-SHA256\nPROJECT",
    "server stringToSign=PROJECT",
    "CanonicalRequest is DELETE PROJECT",
    "Authorization: SDK-HMAC-SHA256 Access=PROJECT",
    "got Signature=PROJECT",
    "x-acs-security-token:PROJECT",
    "X-Sdk-Date PROJECT",
    "header X-Security-Token PROJECT",
    "DELETE\n/path PROJECT",
    "DELETE%0A%2Fpath PROJECT",
    "server string%20to%20sign: PROJECT",
    "canonic&#97;l request GET PROJECT",
    r'{"text": "GET\n/path PROJECT',
]


@pytest.mark.parametrize("text", QUOTED)
def test_a_quoted_request_is_cut(text: str) -> None:
    assert "PROJECT" not in redact(text, [])


@pytest.mark.parametrize("text", ["The instanceId provided does not exist.", "task 191297407830872 in progress", ""])
def test_an_ordinary_text_stays(text: str) -> None:
    assert redact(text, ["testSecretFake0001"]) == text


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=2000))
def test_what_goes_on_is_one_bounded_line(text: str) -> None:
    clean = redact(text, [])

    assert len(clean) <= 600
    assert not [character for character in clean if ord(character) < 32 or ord(character) == 127]


@pytest.mark.parametrize("name", OF_EACH_KIND)
@pytest.mark.parametrize("status", [400, 401, 500])
def test_no_part_of_a_result_repeats_what_a_provider_echoes(name: str, status: int) -> None:
    """A secret, an ``Authorization`` header, a token or a canonical request never reaches a result."""
    operation = OPERATIONS[name]
    token = "testSecurityTokenFake/ABC+def=="
    secrets = [SECRET["secret_access_key"], token, quote(token, safe="")]
    echo = " ".join(secrets)
    answer = refusal(operation, f"Odd.Code {secrets[1]}", status, f"bad {echo} canonical request GET|/|{echo}")
    more = dict.fromkeys(("RequestId", "request_id", "error_detail"), echo)
    body = json.dumps({**json.loads(answer.body), **more}).encode()
    headers = dict.fromkeys(("X-Request-Id", "x-acs-request-id"), echo)
    faked = world(name, Answer(status, body, headers), secret={**SECRET, "security_token": token})
    shown = str(faked.run().to_dict())

    sent = faked.script.sent[0].headers["Authorization"]

    for secret in [*secrets, sent, sent.rpartition("=")[2]]:
        assert secret not in shown


@pytest.mark.parametrize("name", OF_EACH_KIND)
@pytest.mark.parametrize("part", [str, lambda sent: sent.rpartition("=")[2]], ids=["all of it", "the signature"])
def test_an_echoed_authorization_header_is_removed(name: str, part: Callable[[str], str]) -> None:
    """The emulated provider answers with the very header it got, or with the signature alone."""
    operation = OPERATIONS[name]
    faked = world(name, refusal(operation, "Odd.Code", 400, "no"))
    faked.run()
    sent = faked.script.sent[0].headers["Authorization"]
    faked.clock.pass_(0)
    again = world(name, refusal(operation, "Odd.Code", 400, f"you sent {part(sent)}"))

    result = again.run()

    assert result.error is not None
    assert sent.rpartition("=")[2] not in result.error.message
    assert result.error.message
