"""Names as people see them: what is folded, which scripts are mixed, what a pattern matches."""

import re
import unicodedata
from fnmatch import fnmatchcase

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from task_cleanup.sweep.names import OTHER_SCRIPT, Matcher, folded, folds_to_more, mixed_scripts

UNSEEN = r"[\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cf}\u2028\u2029\U0001d159]"
texts = st.text(alphabet=st.characters() | st.sampled_from("aA\u00ad\u200b\u0345\u0130\u00df\ufb03\u1e9e \t\u3000"))


@given(texts)
def test_folding_drops_what_nobody_sees_and_is_done_after_once(text: str) -> None:
    plain = folded(text)

    assert folded(plain) == plain
    assert not regex.search(UNSEEN, plain)
    assert folded(text.upper()) == folded(text.upper().lower())


def test_an_accent_behind_a_character_that_nobody_sees_is_on_the_letter_before_it() -> None:
    assert folded("cafe\u200b\u0301") == folded("caf\u00e9")


@pytest.mark.parametrize("unseen", ["\u2028", "\u2029", "\U0001d159", "\u200b", "\u00ad", "\x00", "\ufe0f"])
def test_what_nobody_sees_does_not_count(unseen: str) -> None:
    assert folded(f"eu-PR{unseen}OD") == "eu-prod"


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("prod", False),
        ("caf\u00e9", False),
        ("cafe\u0301", False),
        ("pr\u200bod", False),
        ("\uff30", False),  # a full-width letter
        ("prod\u00df", True),
        ("o\ufb03ce", True),
        ("\u0130", True),
        ("\u1fbc", True),
        ("\u0391\u0345", True),  # the same letter as the one before, in two
    ],
)
def test_a_letter_that_folds_to_several(text: str, more: bool) -> None:
    assert folds_to_more(text) is more


@given(st.text(max_size=20))
def test_folding_is_nfkc_casefold(text: str) -> None:
    """As Unicode defines it (D146): two texts are the same for it if they are a compatible caseless match."""
    seen = regex.sub(UNSEEN, "", text)
    match = unicodedata.normalize("NFD", seen).casefold()
    match = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", match).casefold())
    kept = regex.sub(UNSEEN, "", match).strip()

    assert unicodedata.normalize("NFKD", folded(text)) == kept


@pytest.mark.parametrize(
    "name",
    [
        "",
        "tmp-copy-1",
        "\u0430\u0440\u0445\u0438\u0432-1",  # Cyrillic alone
        "\u03c0\u03c1\u03bf\u03ba",  # Greek alone
        "orders-\u79fb\u884c\u30bf\u30b9\u30af\u3072\u3089",  # Latin, Han and kana
        "orders-\u79fb\u884c\u3105",  # Latin, Han and bopomofo
        "orders-\ubc31\uc5c5-\u6f22",  # Latin, hangul and Han
        "caf\u00e9-\u0301 \U0001f680 50\u00b5l \u2116 5\u2122",
        "\u0905\u0964\u0967",  # Devanagari, with a stop that many scripts share
        "\u05d2\u05d9\u05d1\u05d5\u05d9 12",
        "\U00012000\U00012001",  # cuneiform alone
        "\u30fc\u30bf",
        "\u0440\u00ad\u200b1",
    ],
)
def test_names_of_one_script_are_plain(name: str) -> None:
    assert mixed_scripts(name) == ()


@pytest.mark.parametrize(
    ("name", "scripts"),
    [
        ("\u0440rod", ("Cyrillic", "Latin")),
        ("pr\u043ed \u79fb", ("Cyrillic", "Han", "Latin")),
        ("pr\u03bfd", ("Greek", "Latin")),
        ("\u0440\u03bf", ("Cyrillic", "Greek")),
        ("\u13e2rod", ("Cherokee", "Latin")),
        ("\u0585rod", ("Armenian", "Latin")),
        ("\u30a2\ubc31", ("Hangul", "Katakana")),
        ("\u3105\u30a2", ("Bopomofo", "Katakana")),
        ("\U0001d6d2rod", ("Greek", "Latin")),
        ("\U00010330rod", ("Latin", OTHER_SCRIPT)),  # Gothic
        ("\ue000rod", ("Latin", OTHER_SCRIPT)),  # for private use: nobody knows how it looks
    ],
)
def test_names_that_mix_scripts(name: str, scripts: tuple[str, ...]) -> None:
    assert mixed_scripts(name) == scripts


@given(st.text(alphabet=st.characters(codec="ascii")), st.text(alphabet="\u0430\u0431\u0432\u0433", min_size=1))
def test_a_letter_of_another_script_beside_a_latin_one_is_seen(latin: str, cyrillic: str) -> None:
    assert bool(mixed_scripts(latin + cyrillic)) is any(letter.isalpha() for letter in latin)


# -- patterns ------------------------------------------------

letters = st.text(alphabet="ab*?[]!-\n\\\u00e9", max_size=8)


@given(st.lists(letters, max_size=5), letters)
def test_a_matcher_matches_what_each_pattern_matches(patterns: list[str], text: str) -> None:
    literal = [pattern.replace("[", "[[]") for pattern in patterns]

    assert sorted(Matcher(patterns).matching(text)) == [
        number for number, pattern in enumerate(literal) if fnmatchcase(text, pattern)
    ]


@given(letters, letters)
def test_a_pattern_without_wildcards_means_itself_and_nothing_else(name: str, other: str) -> None:
    literal = re.sub("[*?]", "", name)

    assert Matcher([literal]).matching(literal) == [0]
    assert Matcher([literal]).matching(other) == ([0] if other == literal else [])


def test_a_hostile_name_is_matched_in_no_time() -> None:
    """A pattern that a careless matcher would try in more ways than there are atoms. (The suite has a time-out.)"""
    assert Matcher(["*a" * 100 + "b"]).matching("a" * 5000) == []
