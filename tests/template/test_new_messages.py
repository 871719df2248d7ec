"""When the alarm on new messages in a queue rings, and when it rests: its expression, tried on metrics by the minute.

Neither moto nor another local AWS computes metric math. The reader below knows what this expression uses, by "Using
math expressions with CloudWatch metrics" of CloudWatch's user guide: `+` takes a missing value for 0 where the other
is there, `DIFF` needs a value before, `FILL` fills what is missing.
"""

import ast
import re
from collections.abc import Callable, Mapping

import pytest

from tests.support.expected import ALARMS, ARRIVED

Series = list[float | None]  # a value for each minute; None: SQS has sent none

LONGEST_DELAY = 15  # minutes; SQS developer guide, "Monitoring Amazon SQS queues using CloudWatch"


def value(expression: str, metrics: Mapping[str, Series]) -> Series:
    """The expression's value at each minute. Raises NotImplementedError for what it does not know."""
    return _value(ast.parse(re.sub(r"\bOR\b", "or", expression), mode="eval").body, metrics)


def _value(node: ast.expr, metrics: Mapping[str, Series]) -> Series:
    combine: Callable[..., float | None]
    match node:
        case ast.Name(id=name):
            return metrics[name]
        case ast.Constant(value=int() as number):
            return [float(number)] * len(metrics["sent"])
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            combine, parts = _plus, [left, right]
        case ast.Compare(ops=[ast.Gt()], left=left, comparators=[right]):
            combine, parts = _greater, [left, right]
        case ast.BoolOp(op=ast.Or(), values=parts):
            combine = _either
        case ast.Call(func=ast.Name(id="IF"), args=parts):
            combine = _if
        case _:
            return _called(node, metrics)
    return [combine(*row) for row in zip(*(_value(part, metrics) for part in parts), strict=True)]


def _plus(a: float | None, b: float | None) -> float | None:
    return None if a is None and b is None else (a or 0) + (b or 0)


def _greater(a: float | None, b: float | None) -> float:
    return float((a or 0) > (b or 0))


def _either(*values: float | None) -> float:
    return float(any(values))


def _if(held: float | None, given: float | None, otherwise: float | None) -> float | None:
    return given if held else otherwise


def _called(node: ast.expr, metrics: Mapping[str, Series]) -> Series:
    """A function that looks at other minutes, too."""
    match node:
        case ast.Call(func=ast.Name(id="DIFF"), args=[of]):
            series = _value(of, metrics)
            before = _repeated([None, *series[:-1]])
            return [None if a is None or b is None else a - b for a, b in zip(series, before, strict=True)]
        case ast.Call(func=ast.Name(id="FILL"), args=[of, ast.Name(id="REPEAT")]):
            return _repeated(_value(of, metrics))
        case ast.Call(func=ast.Name(id="FILL"), args=[of, ast.Constant(value=int() as number)]):
            return [float(number) if item is None else item for item in _value(of, metrics)]
    raise NotImplementedError(ast.unparse(node))


def _repeated(series: Series) -> Series:
    filled: Series = []
    for item in series:
        filled.append(item if item is not None or not filled else filled[-1])
    return filled


def series(text: str) -> Series:
    """A digit for each minute; a dot where SQS has sent nothing."""
    return [None if it == "." else float(it) for it in text]


def rings(sent: str, visible: str, hidden: str = "") -> list[int]:
    """The minutes at which the alarm sees a new message. Nothing is hidden unless it is said."""
    hidden = hidden or re.sub(r"\d", "0", visible)
    metrics = {"sent": series(sent), "visible": series(visible), "hidden": series(hidden)}
    return [minute for minute, seen in enumerate(value(ARRIVED, metrics)) if seen]


CASES = {
    # what happens: sent, visible, hidden by the minute, and the minutes in which the alarm sees a new message
    "a function moves the first message of an idle queue": (".....00100", ".....00111", "", [7]),
    "SQS moves it": (".....00000", ".....11111", "", [5]),
    "the metrics of an idle queue begin after the message has come": ("..........", ".......111", "", [7]),
    "nothing is there": ("0000000000", "0000000000", "", []),
    "SQS tells nothing": ("..........", "..........", "", []),
    "an old message stays": ("0000000000", "1111111111", "", []),
    "a function moves another one": ("0000010000", "1111122222", "", [5]),
    "SQS moves another one": ("0000000000", "1111122222", "", [5]),
    "one is discarded": ("0000000000", "2222211111", "", []),
    "one is redriven and comes back within the minute": ("0000010000", "1111111111", "", [5]),
    "one is discarded while a function moves another": ("0000010000", "1111111111", "", [5]),
    "somebody reads the messages": ("0000000000", "2222002222", "0000220000", []),
    "SQS leaves out some minutes": ("000...0000", "111...1111", "", []),
    "the newest minutes are not there yet": ("00000000..", "11111111..", "", []),
    "the queue is idle for hours, and gets one": ("000.....010", "000.....011", "", [9]),
    # What it does not see, and why that is little: whoever discards looks at this queue, and a function that leaves
    # messages to SQS has errors, which have an alarm of their own.
    "SQS moves one in the minute in which another is discarded": ("0000000000", "1111111111", "", []),
}


@pytest.mark.parametrize("case", CASES)
def test_alarm_sees_new_messages_and_nothing_else(case: str) -> None:
    sent, visible, hidden, minutes = CASES[case]

    assert rings(sent, visible, hidden) == minutes


NEW = [name for name, alarm in ALARMS.items() if any(it["Id"] == "arrived" for it in alarm.get("Metrics", []))]


@pytest.mark.parametrize("name", NEW)
def test_one_new_message_is_enough_and_the_next_is_told_soon(name: str) -> None:
    """One minute of many, since `FILL` makes up the newest ones; and the alarm must end, to ring again."""
    alarm = ALARMS[name]

    assert alarm["DatapointsToAlarm"] == 1
    assert LONGEST_DELAY < alarm["EvaluationPeriods"] <= LONGEST_DELAY + 5


def test_no_alarm_rings_for_as_long_as_a_message_is_there() -> None:
    directly = [name for name, alarm in ALARMS.items() if "NumberOfMessages" in alarm.get("MetricName", "")]

    assert directly == []
    assert len(NEW) > 4
