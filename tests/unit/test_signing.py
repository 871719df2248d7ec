"""What holds for any signature: order does not matter, everything that is sent counts, nothing is guessed."""

import random
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from task_cleanup import signing
from task_cleanup.signing import acs3_hmac_sha256, sdk_hmac_sha256
from tests.support.builders import NOW

SCHEMES = [acs3_hmac_sha256, sdk_hmac_sha256]
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,12}", fullmatch=True)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)
HEADERS = st.dictionaries(NAMES, VALUES, min_size=1, max_size=6)
QUERIES = st.lists(st.tuples(NAMES, VALUES), max_size=5)


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(max_examples=100, deadline=None)
@given(headers=HEADERS, query=QUERIES, seed=st.integers(0, 99))
def test_header_and_query_order_never_matter(
    scheme: Any, headers: dict[str, str], query: list[tuple[str, str]], seed: int
) -> None:
    entries, pairs = list(headers.items()), list(query)
    random.Random(seed).shuffle(entries)
    random.Random(seed).shuffle(pairs)

    one = scheme.canonical_request("GET", "/a", query, headers, "hash")

    assert one == scheme.canonical_request("GET", "/a", pairs, dict(entries), "hash")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_header_names_are_case_insensitive_and_values_trimmed(scheme: Any) -> None:
    one = scheme.canonical_request("get", "/a", [], {"Host": " h ", "X-A": "b  c"}, "hash")

    assert one == scheme.canonical_request("GET", "/a", [], {"x-a": "b  c", "HOST": "h"}, "hash")
    assert "x-a:b  c\n" in one[0]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    "change",
    [
        {"method": "POST"},
        {"path": "/b"},
        {"query": [("a", "c")]},
        {"query": []},
        {"headers": {"host": "other"}},
        {"headers": {"host": "h", "x-more": "1"}},
        {"payload_sha256": "other"},
    ],
)
def test_any_change_changes_the_canonical_request(scheme: Any, change: dict[str, Any]) -> None:
    base = {"method": "GET", "path": "/a", "query": [("a", "b")], "headers": {"host": "h"}, "payload_sha256": "hash"}

    assert scheme.canonical_request(**base)[0] != scheme.canonical_request(**{**base, **change})[0]


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_percent_encoding_leaves_only_unreserved_characters(text: str) -> None:
    encoded = signing.percent_encode(text)

    allowed = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~%")

    assert set(encoded) <= allowed
    assert "%" not in text or "%25" in encoded


def test_the_canonical_query_is_in_code_point_order_and_keeps_empty_values() -> None:
    query = [("b", ""), ("a", "2"), ("B", "x"), ("a", "1"), ("a b", "é")]

    assert signing.canonical_query(query) == "B=x&a=1&a=2&a%20b=%C3%A9&b="


ZONED = NOW.astimezone(timezone(timedelta(hours=-7, minutes=-30)))


@pytest.mark.parametrize("now", [NOW, ZONED, NOW.replace(microsecond=999999)])
def test_the_signed_date_is_utc_in_whole_seconds_whatever_the_zone(now: datetime) -> None:
    common: dict[str, Any] = {
        "method": "GET",
        "host": "h",
        "path": "/",
        "query": [],
        "access_key_id": "AKFAKE01",
        "secret_access_key": "testSecretFake01",
        "security_token": None,
        "now": now,
    }
    alibaba: dict[str, Any] = {**common, "action": "A", "version": "1", "nonce": "n"}

    huawei: dict[str, Any] = {**common, "project_id": "p"}

    assert acs3_hmac_sha256.sign(**alibaba)["x-acs-date"] == "2026-11-21T08:30:00Z"
    assert sdk_hmac_sha256.sign(**huawei)["X-Sdk-Date"] == "20261121T083000Z"


@pytest.mark.parametrize(
    ("path", "canonical"),
    [("", "/"), ("/", "/"), ("/a", "/a/"), ("/a/", "/a/"), ("/a%20b/c~d", "/a%20b/c~d/"), ("/a*b", "/a%2Ab/")],
)
def test_huaweis_canonical_path_ends_in_a_slash(path: str, canonical: str) -> None:
    assert sdk_hmac_sha256.canonical_uri(path) == canonical
