"""Whatever a list holds, Lambda delivers it: measured as the runtime client writes it, byte by byte."""

import json
from dataclasses import replace
from typing import Any

import pytest
from awslambdaric.lambda_runtime_marshaller import LambdaMarshaller
from hypothesis import given
from hypothesis import strategies as st

from task_cleanup import reply_size
from task_cleanup.reply_size import MAX_BYTES, NOTE, RESERVE, fitted
from task_cleanup.results import Outcome, Result, Target, TaskList
from task_cleanup.tasks import AgeBasis, Status, Task
from task_cleanup.triggers import Trigger, http_reply
from tests.support.builders import NOW, OMS_LIST

ANSWERED = [Trigger.DIRECT, Trigger.HTTP, Trigger.EVENTBRIDGE]
NAMES = {
    "ascii": "a" * 5100,
    "quotes": '"\\' * 2540,
    "control": "\n\x01" * 2000,
    "chinese": "任" * 5100,
    "emoji": "\U0001f600" * 4000,
    "half a pair": "\ud800" * 2000,
}


def task(number: int, name: str) -> Task:
    return Task(
        str(10**14 + number),
        name,
        Status.SUCCEEDED,
        "5",
        deletable=True,
        why_not=None,
        created_at=NOW,
        ended_at=NOW,
        age_basis=AgeBasis.ENDED,
        group_id="9f6c2a8e-0000-4000-8000-000000000000",
        provider_detail={"sourceCluster": {"index": name[:50]}},
    )


def result(tasks: list[Task]) -> Result:
    listed = TaskList(tuple(tasks), complete=True)
    return Result(OMS_LIST, Outcome.SUCCEEDED, Target("huawei", "oms"), NOW, "id", 1.0, attempts=1, listed=listed)


def smaller_limit(monkeypatch: pytest.MonkeyPatch, limit: int) -> int:
    """A limit that takes less time to reach than Lambda's."""
    monkeypatch.setattr(reply_size, "MAX_BYTES", limit)
    return limit


def size(delivered: Result, trigger: Trigger) -> int:
    """Bytes that the runtime client of Python 3.13 sends to Lambda."""
    reply: Any = http_reply(delivered) if trigger is Trigger.HTTP else delivered.to_dict()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_EXECUTION_ENV", "AWS_Lambda_python3.13")
        written, _ = LambdaMarshaller().marshal_response(reply)
    return len(written.encode(errors="backslashreplace"))


@pytest.mark.parametrize("trigger", ANSWERED)
@pytest.mark.parametrize("name", NAMES)
def test_a_list_that_is_too_large_is_cut_to_what_lambda_delivers(
    name: str, trigger: Trigger, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = smaller_limit(monkeypatch, 300_000)
    tasks = [task(number, NAMES[name]) for number in range(70)]
    assert size(result(tasks), trigger) > limit

    delivered = fitted(result(tasks), trigger)

    assert delivered.listed is not None
    count = len(delivered.listed.tasks)
    assert delivered == replace(result(tasks), listed=TaskList(tuple(tasks[:count]), complete=False, note=NOTE))
    assert delivered.to_dict()["count"] == count
    one = size(result(tasks[:2]), trigger) - size(result(tasks[:1]), trigger)
    assert limit - RESERVE - one <= size(delivered, trigger) <= limit


@pytest.mark.exhaustive
@pytest.mark.parametrize("trigger", ANSWERED)
def test_ten_thousand_tasks_with_long_chinese_names_are_delivered_whole(trigger: Trigger) -> None:
    """As escapes within a string, each character took seven bytes."""
    whole = result([replace(task(number, "任" * 48), provider_detail={}) for number in range(10_000)])

    assert fitted(whole, trigger) is whole
    assert size(whole, trigger) <= MAX_BYTES


@pytest.mark.parametrize("trigger", ANSWERED)
def test_one_task_that_is_too_large_leaves_an_empty_list(trigger: Trigger) -> None:
    delivered = fitted(result([task(1, "a" * MAX_BYTES), task(2, "b")]), trigger)

    assert delivered.listed == TaskList((), complete=False, note=NOTE)


def test_a_list_that_is_not_complete_anyway_keeps_its_own_reason() -> None:
    short = replace(result([task(1, "a")]), listed=TaskList((task(1, "a"),), complete=False, note="the limit"))

    assert fitted(short, Trigger.HTTP) is short


def test_a_result_without_a_list_is_left_as_it_is() -> None:
    other = replace(result([]), listed=None)

    assert fitted(other, Trigger.DIRECT) is other


@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_a_body_has_characters_and_can_always_be_sent(name: str) -> None:
    """Escapes only where JSON needs them, and for half a surrogate pair, which UTF-8 cannot hold."""
    body = http_reply(result([task(1, name)]))["body"]
    assert json.loads(body)["tasks"][0]["name"] == name
    assert body.encode().decode() == body
    if name.isprintable():
        assert "\\u" not in body.replace("\\\\", "")


@pytest.mark.parametrize("trigger", ANSWERED)
def test_of_very_many_small_tasks_what_is_between_them_counts_too(
    trigger: Trigger, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = smaller_limit(monkeypatch, 1_000_000)
    whole = result([replace(task(number, ""), provider_detail={}) for number in range(5_000)])

    assert size(whole, trigger) > limit
    delivered = fitted(whole, trigger)
    assert delivered.listed is not None
    assert len(", ") * len(delivered.listed.tasks) > 2 * RESERVE, "else the reserve would hide it"
    assert size(delivered, trigger) <= limit
