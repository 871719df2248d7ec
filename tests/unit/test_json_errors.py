"""Texts that are no JSON: the place and a hint are told, and nothing of the text is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_cleanup.validation import NotJsonError, strict_json

SECRET = "testSecretFakeInBrokenJson"
TOLD: dict[str, tuple[str, str]] = {
    "single quotes": ("{'region': 'eu-de'}", "line 1, column 2: JSON wants double quotes, not single ones"),
    "single-quoted value": (
        '{"a":\n "b", "c": \'d\'}',
        "line 2, column 12: JSON wants double quotes, not single ones",
    ),
    "quotes of the shell": ("'{\"a\": 1}'", "line 1, column 1: JSON wants double quotes, not single ones"),
    "typographic quotes": ("{“a”: 1}", "line 1, column 2: JSON wants straight double quotes, not typographic ones"),
    "trailing comma": ('{"a": 1,}', "there is a comma before a closing bracket"),
    "trailing comma on a line": ('{\n  "a": [1,\n]}', "there is a comma before a closing bracket"),
    "unquoted name": ("{region: 1}", "line 1, column 2: a name in double quotes is wanted"),
    "unquoted text": ('{"region": eu-de}', "line 1, column 12: text is written in double quotes"),
    "repeated name": ('{"a": {"region": 1, "region": 2}}', 'the name "region" comes twice in one object'),
    "YAML": ("region: eu-de\ntask_id: 1\n", "line 1, column 1: this looks like YAML, and JSON is wanted"),
    "YAML list": ("- region: eu-de", "line 1, column 1: this looks like YAML, and JSON is wanted"),
    "YAML document": ("---\nregion: eu-de", "line 1, column 1: this looks like YAML, and JSON is wanted"),
    "form": ("region=eu-de&task_id=1", "line 1, column 1: this looks like form data, and JSON is wanted"),
    "XML": ("<region>eu-de</region>", "line 1, column 1: this looks like XML or HTML, and JSON is wanted"),
    "NaN": ('{"NaN": "NaN",\n "a": NaN}', "line 2, column 7: NaN and Infinity are not JSON numbers"),
    "infinite": ("[-Infinity]", "line 1, column 2: NaN and Infinity are not JSON numbers"),
    "Python": ('{"a": True}', "line 1, column 7: JSON writes true, false and null in small letters"),
    "comment": ('{"a": 1 // one\n}', "line 1, column 9: JSON has no comments"),
    "comment of a script": ('# one\n{"a": 1}', "line 1, column 1: JSON has no comments"),
    "empty": ("", "it is empty"),
    "blank": (" \n", "it is empty"),
    "cut off": ('{"a": 1', "line 1, column 8: it ends too early: a value or a closing bracket is missing"),
    "cut off in a text": ('{"a": "b', "line 1, column 7: the string that begins here does not end"),
    "two values": ('{"a": 1}{"a": 1}', "line 1, column 9: the JSON value has ended, and more follows"),
    "no colon": ('{"a" 1}', "line 1, column 6: a colon is wanted between a name and its value"),
    "no comma": ('{"a": 1 "b": 2}', "line 1, column 9: a comma or a closing bracket is wanted"),
    "line break in a text": ('{"a": "b\nc"}', "a line break or tab in a string is written"),
    "backslash": ('{"a": "C:\\dir"}', "a backslash in a string is written"),
    "byte order mark": ('\ufeff{"a": 1}', "it begins with a byte order mark: save the text without one"),
    "digits": ("1" * 5000, "a number has too many digits"),
    "deep": ("[" * 100_000, "it is nested too deeply"),
    "no value": ('{"a": .5}', "line 1, column 7: a JSON value is wanted"),
}


def told(text: str) -> str:
    """Why the text is refused."""
    with pytest.raises(NotJsonError) as caught:
        strict_json(text)
    return str(caught.value)


@pytest.mark.parametrize("what", TOLD)
def test_the_place_and_a_hint_are_told(what: str) -> None:
    text, expected = TOLD[what]

    assert expected in told(text)


def test_of_a_repeated_name_64_characters_are_told() -> None:
    name = "n" * 100

    assert f'"{name[:64]}"' in told(f'{{"{name}": 1, "{name}": 2}}')
    assert '"?"' in told(r'{"\ud800": 1, "\ud800": 2}')


BROKEN = [
    "{'KEY': 1}",
    '{"a": \'KEY\'}', '{"a": KEY}', "KEY", "KEY: a", "a: KEY", "key=KEY", '{"a": "KEY', '{"a": "KEY"',
    '{"a": "KEY",}', '{"a": "KEY" "b": 1}', '{"a": NaN, "b": "KEY"}', '{"a": "KEY"}KEY', '{KEY: 1}', "<KEY/>",
    "- KEY",
    '{"a": "\\ KEY"}', '{"a": "KEY\n"}', '{"b": 1, "b": "KEY"}', "\ufeffKEY", "# KEY",
]  # fmt: skip


@pytest.mark.parametrize("text", BROKEN)
def test_nothing_of_the_text_is_quoted(text: str) -> None:
    assert SECRET not in told(text.replace("KEY", SECRET))


@given(st.text(alphabet="{}[]:,'\"\\ab1.-e \n\ufeff#/=", max_size=12))
def test_whatever_is_refused_has_a_sentence(text: str) -> None:
    try:
        strict_json(text)
        said = "it is valid"
    except NotJsonError as error:
        said = str(error)

    assert len(said.split()) > 2


def test_a_large_text_is_explained_at_once() -> None:
    """A search from every quote of a string without an end took a worker's whole time. (The suite has a time-out.)"""
    with pytest.raises(NotJsonError, match="too many digits"):
        strict_json("[" + "1" * 5000 + ',"' + '\\"' * 150_000)
