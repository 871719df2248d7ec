"""Stopping: a task of its own accord, and a running task that a delete met."""

import pytest

from task_cleanup.results import Outcome
from tests.support.builders import (
    NAMES,
    OMS_DELETE,
    OMS_STOP,
    OPERATIONS,
    Answer,
    auth_failure,
    direct,
    refusal,
    success,
    throttle,
    world,
)

DELETE = OPERATIONS[OMS_DELETE]
RUNNING = refusal(DELETE, "OMS.0063", 400, "in progress")
TO_STOP = direct(DELETE, stop_running=True)


def test_a_running_task_is_told_to_stop_and_the_conflict_stays() -> None:
    faked = world(OMS_DELETE, RUNNING, success(DELETE))
    result = faked.run(TO_STOP)
    assert result.error is not None
    assert (result.outcome, result.error.code, result.http_status) == (Outcome.CONFLICT, "OMS.0063", 400)
    assert (result.error.detail, result.retryable, result.attempts) == ({"stop": "requested"}, True, 2)

    delete, stop = faked.script.sent

    assert (delete.method, stop.method) == ("DELETE", "POST")
    assert stop.url == f"{delete.url}/stop"
    assert not stop.body
    assert faked.clock.slept == [], "no function sleeps for a stop"


@pytest.mark.parametrize("changes", [{}, {"stop_running": False}])
def test_nothing_is_stopped_unasked(changes: dict[str, bool]) -> None:
    faked = world(OMS_DELETE, RUNNING)

    result = faked.run(direct(DELETE, **changes))

    assert result.error is not None
    assert (result.outcome, result.error.detail, len(faked.script.sent)) == (Outcome.CONFLICT, None, 1)


@pytest.mark.parametrize(
    "answer", [success(DELETE), refusal(DELETE, "OMS.1009", 400), refusal(DELETE, "OMS.1036", 400)]
)
def test_only_a_task_that_runs_is_stopped(answer: Answer) -> None:
    faked = world(OMS_DELETE, answer)

    faked.run(TO_STOP)

    assert [sent.method for sent in faked.script.sent] == ["DELETE"]


def test_a_dry_run_stops_nothing() -> None:
    faked = world(OMS_DELETE, RUNNING, dry_run=True)

    assert faked.run(TO_STOP).outcome is Outcome.PLANNED
    assert faked.script.sent == []


@pytest.mark.parametrize(
    ("answer", "said", "attempts"),
    [
        (refusal(DELETE, "OMS.0066", 400), "OMS.0066", 2),  # stopped meanwhile, and OMS.0063 came all the same
        (refusal(DELETE, "OMS.1009", 400), "OMS.1009", 2),
        (refusal(DELETE, "OMS.0206", 403), "OMS.0206", 2),
        (auth_failure(DELETE), "APIGW.0301", 2),
        (Answer(202), "UnexpectedReply", 2),
        (throttle(DELETE), "APIGW.0308", 6),
        (ConnectionResetError(104, "reset"), "ConnectionFailed", 7),
    ],
)
def test_a_stop_that_fails_leaves_the_conflict_and_says_how(
    answer: Answer | Exception, said: str, attempts: int
) -> None:
    result = world(OMS_DELETE, RUNNING, answer).run(TO_STOP)

    assert result.error is not None
    assert (result.outcome, result.error.code, result.attempts) == (Outcome.CONFLICT, "OMS.0063", attempts)
    detail = dict(result.error.detail or {})
    note = detail.pop("note", None)
    assert detail == {"stop": said}
    # Whether a stop without a definite answer was made is told, as of any change.
    assert (note is not None) == (said in {"UnexpectedReply", "ConnectionFailed"})


def test_every_delivery_of_the_request_stops_again_until_it_is_gone() -> None:
    """`OMS.0063` can come back after the stop has finished: the same path."""
    gone = success(DELETE)
    faked = world(OMS_DELETE, RUNNING, success(DELETE), RUNNING, refusal(DELETE, "OMS.0066", 400), gone)
    stops = []

    for _delivery in range(2):
        error = faked.run(TO_STOP).error
        assert error is not None
        assert error.detail is not None
        stops.append(error.detail["stop"])

    assert stops == ["requested", "OMS.0066"]
    assert faked.run(TO_STOP).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize("name", [name for name in NAMES if name != OMS_DELETE])
def test_no_other_operation_takes_stop_running(name: str) -> None:
    result = world(name, success(OPERATIONS[name])).run(direct(OPERATIONS[name], stop_running=True))

    assert result.error is not None
    assert result.error.category.value == "invalid_request"


# -- StopTask ------------------------------------------------


@pytest.mark.parametrize("code", ["OMS.0066", "OMS.0070", "OMS.1009"])
def test_a_task_that_does_not_run_is_unchanged(code: str) -> None:
    result = world(OMS_STOP, refusal(OPERATIONS[OMS_STOP], code, 400)).run()

    assert result.error is not None
    assert (result.outcome, result.error.code, result.retryable) == (Outcome.UNCHANGED, code, False)


@pytest.mark.parametrize("code", ["OMS.0089", "OMS.0306", "OMS.2002"])
def test_another_resource_that_is_missing_is_not_found(code: str) -> None:
    """It says nothing about the task: that may run."""
    result = world(OMS_STOP, refusal(OPERATIONS[OMS_STOP], code, 400)).run()

    assert result.error is not None
    assert (result.outcome, result.error.category.value, result.retryable) == (Outcome.FAILED, "not_found", False)


@pytest.mark.parametrize("code", ["OMS.0065", "OMS.1038"])
def test_no_other_already_so_is_a_stop(code: str) -> None:
    result = world(OMS_STOP, refusal(OPERATIONS[OMS_STOP], code, 400)).run()

    assert result.outcome is Outcome.FAILED
