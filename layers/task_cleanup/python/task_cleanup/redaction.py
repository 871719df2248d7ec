"""Removes secrets and quoted requests from providers' texts: providers repeat what they receive, tokens included."""

import re
from base64 import b64encode
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from urllib.parse import quote

MAX_LENGTH = 500
_MAX_READ = 10_000  # characters of a text that are searched; later ones would not be shown
_SHARED = 10  # characters in a row of a secret; so many in a text are removed
_SHORT = 1_000  # characters; the parts of a longer text are sought faster in a set, which takes a millisecond to make
_ROUNDS = 4  # nested encodings that are decoded: a gateway can quote the error of another gateway

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
# In a form, "+" means a blank, and Base64 writes "+/" or "-_": each such pair is compared as one character.
_ALIKE = str.maketrans("+-_", "  /")


def redact(text: str, secrets: Iterable[str]) -> str:
    """A provider's text without these secrets, in any usual encoding, and without any request that it quotes.

    It finds a secret that is plain, percent-encoded, escaped for JSON or HTML (also several of these), or in Base64,
    alone or within a longer text; also a part of at least ``_SHARED`` characters of any of these. The result has at
    most ``MAX_LENGTH`` characters, on one line.
    """
    secrets = list(secrets)
    if _ID.fullmatch(text) and not _shares(text, "\0".join(secrets)):
        return text  # nearly every request id; the rest would take milliseconds
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


def _places(alike: str, needles: Mapping[int, Collection[str]]) -> Iterator[tuple[int, int]]:
    """The first position, and the one after the last, of each run of ``size`` characters that is also in a needle."""
    for size, forms in needles.items():
        known: Container[str] = (joined := "\0".join(forms))
        if len(alike) > _SHORT:
            known = {joined[at : at + size] for at in range(len(joined) - size + 1)}
        for at in range(len(alike) - size + 1):
            part = alike[at : at + size]
            if part in known and any(part in form for form in forms):
                yield at, at + size


def _needles(secrets: Iterable[str]) -> dict[int, list[str]]:
    """The texts to search for, by the number of their characters in a row that count as a find.

    These are each secret, and the Base64 of it and of its JSON and URL forms. A part counts, since providers cut
    what they quote; but a header's value (it has a blank) counts only as a whole, since it contains ordinary words.
    """
    known = {secret for secret in secrets if secret}
    written = {form for secret in known for form in (secret, secret.replace("/", "\\/"), quote(secret, safe=""))}
    sizes: dict[int, list[str]] = {}
    for form in known | {core for text in written if " " not in text for core in _base64_forms(text)}:
        size = len(form) if " " in form else min(_SHARED, len(form))
        sizes.setdefault(size, []).append(form.translate(_ALIKE))
    return sizes


def _base64_forms(secret: str) -> Iterator[str]:
    """The Base64 of the secret for each place in an encoded text, less the characters that depend on neighbours."""
    for shift in range(3):
        encoded = b64encode(b"\0" * shift + secret.encode()).decode().rstrip("=")
        whole = (shift + len(secret.encode())) * 8 // 6  # characters that do not depend on the bytes after it
        core = encoded[(shift * 8 + 5) // 6 : whole]
        if len(core) >= 8:  # shorter ones occur in ordinary words
            yield core


def _merged(found: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The places in order; those that touch or overlap are joined."""
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
    """The text as it is, and decoded with one encoding after another, in every order.

    With each comes, for each of its characters and for its end, the position in the text where it begins.
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
