"""The reader of saved queries: it finds what a query means, and refuses what it does not know."""

import json

import pytest

from tests.support.insights import NotKnownError, record_of, run

LINES = [
    json.dumps({"timestamp": "2", "a": {"b": "x", "n": 3}, "list": [{"code": "one"}], "nothing": None}),
    json.dumps({"timestamp": "1", "a": {"b": "y", "n": 10}}),
    json.dumps({"timestamp": "3", "a": {"b": "y"}, "text": 'an "or" in it'}),
    "no JSON",
]


def test_fields_of_a_line() -> None:
    first, last = record_of(LINES[0]), record_of(LINES[-1])

    assert first == {
        "timestamp": "2",
        "@timestamp": "2",
        "a.b": "x",
        "a.n": 3,
        "list.0.code": "one",
        "@message": LINES[0],
    }
    assert last == {"@message": "no JSON"}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ('fields a.n | filter a.b = "x"', [{"a.n": 3}]),
        ("fields a.n | filter ispresent(a.n) | sort a.n desc", [{"a.n": 10}, {"a.n": 3}]),
        ("fields @timestamp | sort @timestamp asc | limit 2", [{"@timestamp": "1"}, {"@timestamp": "2"}]),
        ('# a comment\nfields a.n\n| filter a.b != "x" and ispresent(a.n)', [{"a.n": 10}]),
        ('fields a.n | filter not (a.b = "x" or a.b = "z") and a.n = 10', [{"a.n": 10}]),
        ('fields @timestamp | filter a.b in ["x", "z"]', [{"@timestamp": "2"}]),
        (
            "fields coalesce(list.0.code, a.b) as it | filter ispresent(a.b)",
            [{"it": "one"}, {"it": "y"}, {"it": "y"}],
        ),
        ('fields text | filter text = "or"', []),
        (
            "filter ispresent(a.b) | stats count(*) as times, max(@timestamp) as latest by a.b | sort times desc",
            [{"a.b": "y", "times": 2, "latest": "3"}, {"a.b": "x", "times": 1, "latest": "2"}],
        ),
    ],
)
def test_finds(query: str, found: list[dict[str, object]]) -> None:
    assert run(query, LINES) == found


@pytest.mark.parametrize(
    "query",
    [
        "parse @message '*' as x",
        "filter a.b like /x/",
        'filter a.b like "x"',
        "filter a.n > 3",
        "filter strlen(a.b) = 1",
        "fields a.b a.n",
        "stats avg(a.n) as x by a.b",
        "stats count(*) by a.b",
        "stats count(*) as x by bin(5m)",
        "sort a.n",
        "limit many",
        "dedup a.b",
        "fields a.n + 1",
        "filter (a.b = 1",
        'filter a.b = "\\""',
    ],
)
def test_refuses_what_it_does_not_know(query: str) -> None:
    with pytest.raises(NotKnownError):
        run(query, LINES)
