"""Names as people see them: which are the same for a reader, and which patterns they match."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from fnmatch import translate
from functools import cache, lru_cache
from typing import Any, Final

# The scripts that living languages are written in (UAX #31, tables 5 and 7). All others count as one more.
_SCRIPTS: Final = (
    "Adlam Arabic Armenian Balinese Bamum Batak Bengali Bopomofo Canadian_Aboriginal Chakma Cham Cherokee Cyrillic "
    "Devanagari Ethiopic Georgian Greek Gujarati Gunjala_Gondi Gurmukhi Han Hangul Hanifi_Rohingya Hebrew Hiragana "
    "Javanese Kannada Katakana Kayah_Li Khmer Lao Latin Lepcha Limbu Lisu Malayalam Mandaic Meetei_Mayek Miao "
    "Mongolian Myanmar New_Tai_Lue Newa Nko Nyiakeng_Puachue_Hmong Ol_Chiki Oriya Osage Saurashtra Sinhala Sundanese "
    "Syloti_Nagri Syriac Tai_Le Tai_Tham Tai_Viet Tamil Telugu Thaana Thai Tibetan Tifinagh Vai Wancho Yi"
)
OTHER_SCRIPT: Final = "another script"
# Han, kana, hangul and bopomofo beside Latin letters: UTS #39, 5.2, "highly restrictive".
_HIGHLY_RESTRICTIVE = ("Han Hiragana Katakana", "Han Bopomofo", "Han Hangul")

_HEX_ID: Final = re.compile("[0-9a-f]{32}")


def _regex(pattern: str) -> Any:  # noqa: ANN401 - the library has no types
    import regex  # noqa: PLC0415 - slow, and for names beyond ASCII only

    return regex.compile(pattern)


@cache
def _unseen() -> Any:  # noqa: ANN401
    # Separators of lines and paragraphs, and the null notehead, are in none of the classes and are not seen either.
    return _regex(r"[\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cf}\p{Zl}\p{Zp}\U0001d159]+")


def folded(text: str) -> str:
    """The text for comparison: case, composed letters, unseen characters and outer blanks make no difference.

    It is Unicode's NFKC_Casefold, without control and format characters, and without separators of lines.
    """
    if text.isascii() and text.isprintable():
        return text.lower().strip()
    plain = unicodedata.normalize("NFD", _unseen().sub("", text)).casefold()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", plain).casefold()).strip()


def plain_id(task_id: str) -> str:
    """The id for comparison: ``folded``, a number without leading zeros, and 32 hex digits without dashes."""
    plain = folded(task_id)
    if plain.isascii() and plain.isdigit():
        return plain.lstrip("0") or "0"
    without = plain.replace("-", "")
    return without if _HEX_ID.fullmatch(without) else plain


def folds_to_more(text: str) -> bool:
    """Whether a letter of the text is several ones when ``folded``, as ß is ss: a ``?`` does not match it then."""
    return not text.isascii() and any(len(folded(letter)) > 1 for letter in unicodedata.normalize("NFC", text))


# -- scripts ------------------------------------------------


@cache
def _allowed_together() -> Any:  # noqa: ANN401
    sets = (f"Common Inherited Latin {others}".split() for others in _HIGHLY_RESTRICTIVE)
    return _regex("|".join(f"[{''.join(map(_used_with, scripts))}]*" for scripts in sets))


def _used_with(script: str) -> str:
    return rf"\p{{Script_Extensions={script}}}"


@cache
def _of_script() -> Sequence[tuple[str, Callable[[str], object]]]:
    return [(script, _regex(_used_with(script)).match) for script in _SCRIPTS.split()]


@cache
def _of_any_script() -> Any:  # noqa: ANN401
    return _regex(f"[{_used_with('Common')}{_used_with('Inherited')}]")


@lru_cache(maxsize=2**15)
def _scripts(character: str) -> frozenset[str]:
    """The scripts that the character is used with; none for one that is used with all, such as a digit."""
    if _of_any_script().match(character):
        return frozenset()
    return frozenset(script for script, match in _of_script() if match(character)) or frozenset({OTHER_SCRIPT})


# Letters for formulas belong to no script, and people read them as letters.
_MATHEMATICAL = re.compile("[\U0001d400-\U0001d7ff]+")


def mixed_scripts(name: str) -> tuple[str, ...]:
    """The scripts that the name mixes, where they are more than UTS #39 calls "highly restrictive"; else none.

    A Cyrillic letter between Latin ones is read as a Latin one, and no pattern of Latin letters matches the name.
    """
    if name.isascii():
        return ()
    text = _MATHEMATICAL.sub(lambda found: unicodedata.normalize("NFKC", found[0]), name)
    if _allowed_together().fullmatch(text):
        return ()
    each = {scripts for scripts in map(_scripts, set(text)) if scripts}
    if frozenset.intersection(*each):
        return ()
    return tuple(sorted({min(scripts).replace("_", " ") for scripts in each}))


# -- patterns ------------------------------------------------


class Matcher:
    """Patterns with the wildcards ``*`` and ``?``, made ready once: a sweep asks it for every task.

    A pattern can only match a text that has each of the pattern's literal pieces in it. To look for these first, the
    longest before the others, takes a tenth of the time of matching.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        # By the longest piece: the other pieces, and the pattern's number and expression.
        self._by_longest: dict[str, list[tuple[Sequence[str], int, Callable[[str], object]]]] = {}
        for number, pattern in enumerate(patterns):
            pieces = set(re.split("[*?]", pattern)) - {""}
            longest, *others = sorted(pieces, key=len, reverse=True) or [""]
            self._by_longest.setdefault(longest, []).append((others, number, _wildcards(pattern)))

    def matching(self, text: str) -> list[int]:
        """The numbers of the patterns that match the whole text, in no order."""
        found = []
        for longest, patterns in self._by_longest.items():
            if longest in text:
                for others, number, match in patterns:
                    for piece in others:  # `all` would take twice as long
                        if piece not in text:
                            break
                    else:
                        if match(text):
                            found.append(number)
        return found


def _wildcards(pattern: str) -> Callable[[str], object]:
    """Only ``*`` and ``?`` are wildcards: names can have brackets."""
    return re.compile(translate(pattern.replace("[", "[[]"))).match
