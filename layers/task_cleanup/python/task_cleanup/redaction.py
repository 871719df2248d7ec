"""Removes secrets and quoted requests from providers' texts: they repeat what they were sent, tokens included."""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote

MAX_LENGTH = 500
_MAX_READ = 10_000  # characters of a text; what is behind them would not be shown
_SHARED = 10  # characters in a row that are no accident
_ROUNDS = 4  # encodings inside each other that are undone: a gateway that quotes another gateway's quotation

_ID = re.compile("[0-9A-Fa-f-]{1,64}")  # no encoding has only these characters

# Where a quoted request begins: ``APIGW.0301`` writes it with ``|`` for newline, Alibaba with real newlines.
_QUOTED_REQUEST = re.compile(
    r"canonical|string.?to.?sign|authorization|signature=|hmac-sha256|x-acs-|x-sdk-|x-security-|[|\n]",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")

# One character, as percent-encoding, JSON (or a Python or shell string), and HTML write it.
_ENCODINGS = (
    re.compile(r"%(?P<hex>[0-9A-Fa-f]{2})"),
    re.compile(r"\\u(?P<hex>[0-9A-Fa-f]{4})|\\x(?P<x>[0-9A-Fa-f]{2})|\\(?P<escaped>[^ux])"),
    re.compile(r"&#0*(?P<decimal>[0-9]{1,7});?|&#[xX]0*(?P<hex>[0-9A-Fa-f]{1,6});?|&(?P<entity>[A-Za-z]{2,8});"),
)
_LETTERS = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
# A form's plus is a blank, and Base64 has two alphabets: each pair counts as one character, in texts and in secrets.
_ALIKE = str.maketrans("+-_", "  /")


def redact(text: str, secrets: Iterable[str]) -> str:
    """A provider's text without these secrets, in any usual encoding, and without any request that it quotes.

    Known are: plain, percent-encoding, JSON and HTML escapes (each also inside each other), and Base64 of the secret
    or of a text that holds it; and parts of these, from ``_SHARED`` characters on. The result has at most
    ``MAX_LENGTH`` characters, on one line.
    """
    secrets = list(secrets)
    if _ID.fullmatch(text) and not _shares(text, "\0".join(secrets)):
        return text  # as nearly every request id is: what follows takes milliseconds
    if len(text) > _MAX_READ:
        text = text[:_MAX_READ].rpartition(" ")[0]  # no secret has a blank, so none is cut into two
    found: list[tuple[int, int]] = []
    end, needles = len(text), _needles(secrets)
    for plain, starts in _views(text):
        found += [(starts[first], starts[last]) for first, last in _places(plain.translate(_ALIKE), needles)]
        if quoted := _QUOTED_REQUEST.search(plain):
            end = min(end, starts[quoted.start()])
    kept, position = [], 0
    for begin, until in _merged(found):
        if begin >= end:
            break
        kept += [text[position:begin], "***"]
        position = until
    kept.append(text[position:end])
    clean = "".join(kept)
    if end < len(text):
        clean = clean.rstrip(" ,:;[('\"\\") + " […]"
    return _CONTROL.sub(" ", clean).strip()[:MAX_LENGTH]


def _shares(text: str, secrets: str) -> bool:
    size = min(_SHARED, len(text))
    return any(text[at : at + size] in secrets for at in range(len(text) - size + 1))


def _places(alike: str, needles: Mapping[int, Iterable[str]]) -> Iterator[tuple[int, int]]:
    """Where so many characters in a row are in one of the needles."""
    for size, forms in needles.items():
        places: dict[str, list[int]] = {}
        for at in range(len(alike) - size + 1):
            places.setdefault(alike[at : at + size], []).append(at)
        for form in forms:
            for start in range(len(form) - size + 1):
                yield from ((at, at + size) for at in places.get(form[start : start + size], ()))


def _needles(secrets: Iterable[str]) -> dict[int, list[str]]:
    """What is looked for, by how many characters of it are enough.

    Each secret, and what Base64 makes of it, as it is and as JSON or a URL writes it. A part of a secret is enough,
    since providers cut what they quote; but not of a header's value, which has ordinary words in it.
    """
    known = {secret for secret in secrets if secret}
    written = {form for secret in known for form in (secret, secret.replace("/", "\\/"), quote(secret, safe=""))}
    sizes: dict[int, list[str]] = {}
    for form in known | {core for text in written if " " not in text for core in _base64_forms(text)}:
        size = len(form) if " " in form else min(_SHARED, len(form))
        sizes.setdefault(size, []).append(form.translate(_ALIKE))
    return sizes


def _base64_forms(secret: str) -> Iterator[str]:
    """What Base64 makes of the secret, wherever it is in the encoded text: less what its neighbours' bits are in."""
    for shift in range(3):
        encoded = b64encode(b"\0" * shift + secret.encode()).decode().rstrip("=")
        whole = (shift + len(secret.encode())) * 8 // 6  # characters that no byte behind it can change
        core = encoded[(shift * 8 + 5) // 6 : whole]
        if len(core) >= 8:  # shorter ones are in many innocent words
            yield core


def _merged(found: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The same places in order, those that touch or overlap made one."""
    first = last = -1
    for begin, end in sorted(found):
        if begin > last:
            if last >= 0:
                yield first, last
            first, last = begin, end
        last = max(last, end)
    if last >= 0:
        yield first, last


def _views(text: str) -> Iterator[tuple[str, list[int] | range]]:
    """The text as it is, and with encodings undone, one after another in every order.

    Each with where in the text its characters begin (one more for the end).
    """
    seen = {text}
    views: list[tuple[str, list[int] | range]] = [(text, range(len(text) + 1))]
    for _ in range(_ROUNDS):
        yield from views
        undone = [_decoded(pattern, *view) for view in views for pattern in _ENCODINGS if pattern.search(view[0])]
        views = [view for view in undone if view[0] not in seen]
        seen.update(view[0] for view in views)
    yield from views


def _decoded(pattern: re.Pattern[str], text: str, starts: list[int] | range) -> tuple[str, list[int]]:
    parts, kept, position = [], [], 0
    for match in pattern.finditer(text):
        parts += [text[position : match.start()], _character(match)]
        kept += [*starts[position : match.start()], *[starts[match.start()]] * len(parts[-1])]
        position = match.end()
    return "".join([*parts, text[position:]]), [*kept, *starts[position:]]


def _character(match: re.Match[str]) -> str:
    kind, value = match.lastgroup, match[match.lastgroup or 0]
    if kind == "entity":
        from html import unescape  # noqa: PLC0415 - a table of 2,000 names that hardly any text needs

        return unescape(match[0])
    if kind == "escaped":
        return _LETTERS.get(value, value)
    number = int(value, 10 if kind == "decimal" else 16)
    return chr(number) if number < 0x110000 else match[0]
