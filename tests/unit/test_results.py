"""The one result shape: its published JSON Schema holds for any result, and what is retryable."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from task_cleanup.errors import Category
from task_cleanup.operation import Operation
from task_cleanup.results import Error, Outcome, Result, Target
from task_cleanup.times import rfc3339
from tests.support.builders import (
    CANCEL_TASK,
    NOW,
    OF_EACH_KIND,
    OPERATIONS,
    Answer,
    auth_failure,
    direct,
    refusal,
    success,
    throttle,
    world,
)
from tests.support.functions import ROOT

SCHEMA = json.loads((ROOT / "layers/task_cleanup/python/task_cleanup/result.schema.json").read_bytes())
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=FormatChecker())
RETRYABLE = {Category.THROTTLED, Category.UNAVAILABLE, Category.TIMEOUT, Category.CONFLICT}
MEMBERS = [
    "schema_version", "operation", "outcome", "retryable", "target", "http_status", "request_id", "client_token",
    "error", "plan", "looks", "accepted", "attempts", "duration_ms", "completed_at", "correlation_id", "requested_by",
]  # fmt: skip


def result(outcome: Outcome, error: Error | None = None, **members: Any) -> Result:
    return Result(CANCEL_TASK, outcome, Target("alibaba", "elasticsearch"), NOW, "id", 1.0, error=error, **members)


def test_the_members_are_the_contract_s_in_its_order() -> None:
    shown = result(Outcome.SUCCEEDED, attempts=1).to_dict()

    assert list(shown) == MEMBERS == SCHEMA["required"]
    assert shown["schema_version"] == "1.1"
    assert list(result(Outcome.FAILED, Error(Category.TIMEOUT, "T", "m")).to_dict()["error"]) == [
        "category",
        "code",
        "message",
        "detail",
    ]


@pytest.mark.parametrize("category", Category)
@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.CONFLICT])
def test_retryable_is_decided_by_the_category(category: Category, outcome: Outcome) -> None:
    assert result(outcome, Error(category, "Code", "m")).retryable is (category in RETRYABLE)


@pytest.mark.parametrize("category", Category)
def test_unchanged_is_never_retryable_whatever_its_evidence(category: Category) -> None:
    assert result(Outcome.UNCHANGED, Error(category, "Code", "m")).retryable is False


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.PLANNED])
def test_what_went_well_is_not_retryable(outcome: Outcome) -> None:
    assert result(outcome).retryable is False


def test_suspended_credentials_are_retryable() -> None:
    suspended = result(Outcome.FAILED, Error(Category.UNAUTHENTICATED, "CredentialSuspended", "m"))

    assert suspended.retryable is True


ANSWERS: dict[str, Callable[[Operation], Answer | Exception]] = {
    "success": success,
    "throttled": throttle,
    "signature": auth_failure,
    "http 500": lambda _: Answer(500),
    "html": lambda _: Answer(200, b"<html>"),
    "unknown code": lambda operation: refusal(operation, "Un.Known", 400, "text"),
    "unchanged": lambda operation: refusal(operation, "OMS.1009", 400, "gone", X_Request_Id="r"),
    "conflict": lambda operation: refusal(operation, "OMS.0063", 400, "running"),
    "reset": lambda _: ConnectionResetError(104, "reset"),
    "odd texts": lambda operation: refusal(operation, "C" * 3000, 499, "\x00\ud7ff" * 900),
}


@pytest.mark.parametrize("name", OF_EACH_KIND)
@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("kind", ANSWERS)
def test_every_result_of_a_run_fits_the_schema(name: str, kind: str, dry_run: bool) -> None:
    operation = OPERATIONS[name]
    faked = world(name, ANSWERS[kind](operation), dry_run=dry_run)
    for shown in (faked.run().to_dict(), faked.run().to_dict()):
        VALIDATOR.validate(shown)
        assert json.loads(json.dumps(shown)) == shown


@pytest.mark.parametrize("name", OF_EACH_KIND)
def test_refused_requests_and_missing_secrets_fit_the_schema(name: str) -> None:
    operation = OPERATIONS[name]
    for received in (direct(operation, region="x", surprise=1), direct(operation, account="nobody")):
        VALIDATOR.validate(world(name, success(operation)).run(received).to_dict())


@settings(max_examples=150, deadline=None)
@given(
    outcome=st.sampled_from([Outcome.FAILED, Outcome.CONFLICT, Outcome.UNCHANGED]),
    category=st.sampled_from(list(Category)),
    texts=st.lists(st.text(min_size=1, max_size=20), min_size=6, max_size=6),
    numbers=st.tuples(st.integers(0, 9), st.floats(0, 1e6), st.integers(100, 599)),
)
def test_any_failure_fits_the_schema(
    outcome: Outcome, category: Category, texts: list[str], numbers: tuple[int, float, int]
) -> None:
    attempts, duration, status = numbers
    error = Error(category, texts[0], texts[1]).with_detail(note=texts[2], provider={"error_detail": texts[3]})
    made = Result(
        CANCEL_TASK,
        outcome,
        Target("alibaba", "elasticsearch", account="a", region="r", task_id=texts[4]),
        NOW,
        texts[5],
        duration,
        attempts,
        status,
        error=error,
    )
    VALIDATOR.validate(made.to_dict())


@pytest.mark.parametrize(
    "broken",
    [
        {"outcome": "succeeded", "error": {"category": "timeout", "code": "x", "message": "", "detail": None}},
        {"outcome": "failed"},
        {"outcome": "planned"},
        {"attempts": -1},
        {"outcome": "deleted"},
        {"surprise": 1},
        {"schema_version": "2.0"},
        {"target": {"provider": "alibaba"}},
    ],
)
def test_the_schema_refuses_what_is_no_result(broken: dict[str, Any]) -> None:
    shown = result(Outcome.SUCCEEDED, attempts=1).to_dict()

    VALIDATOR.validate(shown)

    assert not VALIDATOR.is_valid({**shown, **broken})


def test_an_invalid_request_s_target_holds_provider_and_service_only() -> None:
    operation = OPERATIONS[CANCEL_TASK]

    shown = world(CANCEL_TASK, success(operation)).run(direct(operation, region="nowhere")).to_dict()

    assert shown["target"] == {"provider": "alibaba", "service": "elasticsearch"}
    assert (shown["client_token"], shown["attempts"], shown["http_status"]) == (None, 0, None)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 11, 21, 8, 30, 0, 123456, tzinfo=UTC), "2026-11-21T08:30:00.123Z"),
        (datetime(2026, 11, 21, 8, 30, tzinfo=UTC), "2026-11-21T08:30:00.000Z"),
        (datetime(2026, 11, 21, 10, 30, tzinfo=timezone(timedelta(hours=2))), "2026-11-21T08:30:00.000Z"),
    ],
)
def test_times_are_utc_with_milliseconds(moment: datetime, text: str) -> None:
    assert rfc3339(moment) == text
