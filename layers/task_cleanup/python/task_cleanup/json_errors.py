"""Explains why a text is not JSON, for the person who wrote it. Imported only when one is not.

The text is not quoted, since it may hold a secret. The explanation has the line, the column and the likely mistake.
"""

import json
import re

_YAML = re.compile(r"\s*(---|- |[A-Za-z_][\w.-]*:(\s|$))")
_FORM = re.compile(r"\s*[A-Za-z_][\w.-]*=")
# A string without an end matches up to the text's end. A new search from each quote in it would take minutes.
_STRING_OR_CONSTANT = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|(-?Infinity|NaN)', re.DOTALL)
_WORD = re.compile(r"[A-Za-z_]")
_TYPOGRAPHIC = ("\u201c", "\u201d", "\u201e", "\u2018", "\u2019")
_BLANK = " \t\r\n"


def explained(text: str, error: ValueError) -> str:
    """A sentence for the parser's error: line, column and a hint."""
    if not text.strip(_BLANK):
        return "it is empty"
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}: {_hint(text, error)}"
    constant = next((token for token in _STRING_OR_CONSTANT.finditer(text) if token[1]), None)
    if constant is None:
        return "a number has too many digits"  # the parser's only other plain ValueError
    line, column = text.count("\n", 0, constant.start()) + 1, constant.start() - text.rfind("\n", 0, constant.start())
    return f"line {line}, column {column}: NaN and Infinity are not JSON numbers"


def _hint(text: str, error: json.JSONDecodeError) -> str:
    place = error.pos
    here, before, after = text[place : place + 1], text[:place].rstrip(_BLANK)[-1:], text[place:].lstrip(_BLANK)
    at_start = not text[:place].strip(_BLANK)
    wants_name = before in ("{", ",") and "property name" in error.msg
    hints = (
        ("\ufeff" in here, "it begins with a byte order mark: save the text without one"),
        (here == "'", "JSON wants double quotes, not single ones"),
        (here in _TYPOGRAPHIC, "JSON wants straight double quotes, not typographic ones"),
        (here == "#" or after.startswith(("//", "/*")), "JSON has no comments"),
        (_is_trailing_comma(before, here, text[place + 1 :]), "there is a comma before a closing bracket"),
        ("Unterminated string" in error.msg, "the string that begins here does not end"),
        ("control character" in error.msg, r"a line break or tab in a string is written \n or \t"),
        ("escape" in error.msg, r"a backslash in a string is written \\"),
        (not after, "it ends too early: a value or a closing bracket is missing"),
        (at_start and _YAML.match(text) is not None, "this looks like YAML, and JSON is wanted"),
        (at_start and _FORM.match(text) is not None, "this looks like form data, and JSON is wanted"),
        (at_start and here == "<", "this looks like XML or HTML, and JSON is wanted"),
        (after.startswith(("True", "False", "None")), "JSON writes true, false and null in small letters"),
        (wants_name, "a name in double quotes is wanted"),
        ("Extra data" in error.msg, "the JSON value has ended, and more follows"),
        ("':'" in error.msg, "a colon is wanted between a name and its value"),
        ("','" in error.msg, "a comma or a closing bracket is wanted"),
        (_WORD.match(here) is not None, "text is written in double quotes"),
    )
    return next((hint for holds, hint in hints if holds), "a JSON value is wanted")


def _is_trailing_comma(before: str, here: str, rest: str) -> bool:
    """Whether a comma is before a closing bracket. Python 3.13 reports its position, earlier ones the bracket's."""
    return (before == "," and here in ("}", "]")) or (here == "," and rest.lstrip(_BLANK)[:1] in ("}", "]"))
