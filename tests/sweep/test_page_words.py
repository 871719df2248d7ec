"""How the report's page writes numbers, ages and texts."""

from collections.abc import Callable
from typing import Any

import pytest

from task_cleanup.sweep.page.words import age_in_words, cut, share, visible
from tests.support.sample_report import DAY


@pytest.mark.parametrize(
    ("function", "arguments", "words"),
    [
        (share, (0, 0), "0 %"),
        (share, (0, 9), "0 %"),
        (share, (9, 9), "100 %"),
        (share, (1, 10_000), "< 0.1 %"),
        (share, (9_999, 10_000), "> 99.9 %"),
        (share, (1, 3), "33.3 %"),
        (age_in_words, (None,), "unknown"),
        (age_in_words, (-5.0,), "in the future"),
        (age_in_words, (90.0,), "1.5 minutes"),
        (age_in_words, (7200.0,), "2.0 hours"),
        (age_in_words, (7 * DAY - 1,), "6.9 days"),
        (age_in_words, (1234.5 * DAY,), "1,234.5 days"),
        (visible, ("plain, é, 移行　一時",), "plain, é, 移行　一時"),
        (visible, ("a\u202eb",), "a[U+202E]b"),
        (visible, ("a\nb\x00",), "a[U+000A]b[U+0000]"),
        (visible, ("\ud83d",), "[U+D83D]"),
        (visible, ("a\u200bb\u00a0c",), "a[U+200B]b[U+00A0]c"),
        (visible, ("\U0001f469\u200d\U0001f4bb",), "\U0001f469\u200d\U0001f4bb"),
        (cut, ("abcdef", 6), ("abcdef", "", 0)),
        (cut, ("abcdefg", 6), ("abcd", "fg", 1)),
    ],
)
def test_numbers_ages_and_texts_for_people(function: Callable[..., Any], arguments: Any, words: Any) -> None:
    assert function(*arguments) == words
