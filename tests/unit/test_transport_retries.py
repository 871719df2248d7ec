"""What a provider call does with the answers it gets: which are repeated, how often, after how long, signed how."""

import itertools
from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime

import pytest
import requests
from urllib3.exceptions import ProtocolError

from task_cleanup.errors import Category, Code
from task_cleanup.operation import Operation
from task_cleanup.results import Outcome
from tests.support.builders import (
    CANCEL_TASK,
    DELETE_DATA_TASK,
    DMS_DELETE,
    LISTS,
    NAMES,
    NO_CONNECTION,
    NO_REPLY,
    NOW,
    OF_EACH_KIND,
    OMS_DELETE,
    OMS_STOP,
    OPERATIONS,
    ROTATED,
    SECRET,
    Answer,
    Clock,
    OperationWorld,
    auth_failure,
    codes_of,
    direct,
    refusal,
    success,
    throttle,
    world,
)
from tests.support.cases import case

pytestmark = pytest.mark.parametrize("name", OF_EACH_KIND)

MAKERS: dict[str, Callable[[Operation], Answer | Exception]] = {
    "throttled": throttle,
    "unavailable": lambda _: Answer(503),
    "timeout": lambda _: NO_REPLY,
    "connect timeout": lambda _: NO_CONNECTION,
    "reset": lambda _: ProtocolError("aborted", ConnectionResetError(104, "reset")),
    "half a reply": lambda _: ProtocolError("half a chunk"),
}
NOTHING_DONE = ("throttled", "connect timeout")


def is_sent_once(name: str, kind: str) -> bool:
    """CancelTask stops whatever runs when it arrives, so it is repeated only if it certainly stopped nothing."""
    return name == CANCEL_TASK and kind not in NOTHING_DONE


def http_date(offset: timedelta) -> str:
    return format_datetime(NOW + offset, usegmt=True)


def signed_time(request: requests.PreparedRequest) -> str:
    return request.headers.get("x-acs-date") or request.headers["X-Sdk-Date"]


def in_provider_format(operation: Operation, offset: timedelta) -> str:
    alibaba = operation.service.provider == "alibaba"
    return (NOW + offset).strftime("%Y-%m-%dT%H:%M:%SZ" if alibaba else "%Y%m%dT%H%M%SZ")


def key_id(request: requests.PreparedRequest) -> str:
    """The access key id in the Authorization header of either scheme."""
    return next(key for key in ("AKFAKE0000000001", "AKFAKE0000000002") if key in request.headers["Authorization"])


@pytest.mark.parametrize("kind", MAKERS)
def test_transient_failures_are_retried_until_one_answer_settles_it(name: str, kind: str) -> None:
    operation = OPERATIONS[name]
    faked = world(name, MAKERS[kind](operation), MAKERS[kind](operation), success(operation))

    result = faked.run()

    expected = (Outcome.FAILED, 1) if is_sent_once(name, kind) else (Outcome.SUCCEEDED, 3)
    assert (result.outcome, result.attempts) == expected
    assert len(faked.script.sent) == result.attempts


@pytest.mark.parametrize("kind", MAKERS)
def test_retries_end(name: str, kind: str) -> None:
    faked = world(name, MAKERS[kind](OPERATIONS[name]), looks=False)

    result = faked.run(seconds=3600)

    assert (result.outcome, result.retryable) == (Outcome.FAILED, True)
    assert result.attempts == len(faked.script.sent)
    assert result.attempts == 1 if is_sent_once(name, kind) else 2 <= result.attempts <= 10


def test_every_attempt_has_a_new_signature_and_the_same_client_token(name: str) -> None:
    operation = OPERATIONS[name]
    later = throttle(operation, Retry_After="1")  # so that each wait crosses a full second
    faked = world(name, later, later, success(operation), clock=Clock(fraction=1.0))
    result = faked.run()
    sent = faked.script.sent
    assert len(sent) == 3
    assert len({request.url for request in sent}) == 1, "the client token is a part of the URL"
    assert len({signed_time(request) for request in sent}) == 3
    assert len({request.headers["Authorization"] for request in sent}) == 3
    if operation.service.provider == "alibaba":
        assert len({request.headers["x-acs-signature-nonce"] for request in sent}) == 3
        assert all((result.client_token or "-") in str(request.url) for request in sent)


def test_backoff_is_full_jitter_that_doubles_up_to_a_cap(name: str) -> None:
    refused = throttle(OPERATIONS[name])
    longest = world(name, refused, looks=False, clock=Clock(fraction=0.999999))
    longest.run(seconds=3600)
    shortest = world(name, refused, looks=False, clock=Clock(fraction=0.0))
    shortest.run(seconds=3600)

    waits = longest.clock.slept

    assert shortest.clock.slept == [0.0] * len(waits), "full jitter begins at no wait at all"
    assert all(later >= earlier for earlier, later in itertools.pairwise(waits))
    assert waits[1] == pytest.approx(2 * waits[0], rel=0.01)
    assert max(waits) <= 5.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": http_date(timedelta(seconds=9))}, 9.0),
        ({"x-acs-retry-after": "2500"}, 2.5),
        ({"x-acs-retry-after": "2500", "Retry-After": "1"}, 2.5),
    ],
)
def test_the_providers_own_hint_is_obeyed(name: str, headers: dict[str, str], seconds: float) -> None:
    operation = OPERATIONS[name]
    first = throttle(operation)
    waits = []
    for fraction in (0.0, 0.999999):
        faked = world(name, Answer(first.status, first.body, headers), success(operation), clock=Clock(fraction))
        assert faked.run().outcome is Outcome.SUCCEEDED
        waits += faked.clock.slept

    soonest, latest = waits

    assert soonest == seconds
    assert seconds < latest <= seconds + 5.0, "all who were told the same do not come back in the same instant"


def test_a_hint_beyond_the_deadline_is_not_waited_for_but_handed_on(name: str) -> None:
    operation = OPERATIONS[name]
    faked = world(name, throttle(operation, Retry_After="120"), success(operation))

    result = faked.run(seconds=20)

    assert (result.attempts, faked.clock.slept, result.retryable) == (1, [], True)
    assert result.error is not None
    assert result.error.category is Category.THROTTLED
    assert (result.error.detail or {})["retry_after_seconds"] == 120


@pytest.mark.parametrize("value", ["soon", "-1", "", "1e9", "٣", "99999999999999999999", "nan"])
def test_a_hint_that_is_no_number_is_no_hint(name: str, value: str) -> None:
    """A header from outside never stops or breaks a call."""
    operation = OPERATIONS[name]
    first = throttle(operation)
    hints = {"Retry-After": value.encode().decode("latin-1")}

    faked = world(name, Answer(first.status, first.body, hints), success(operation))

    assert faked.run().outcome is Outcome.SUCCEEDED
    assert sum(faked.clock.slept) <= 5.0


# No date, no date that a clock of today can show, and dates that only some parsers take.
ODD_DATES = [
    "Mon, 01 Jan 99999999999 00:00:00 GMT",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Mon, 01 Jan 0001 00:00:00 +2359",
    "Mon, 01 Jan 2026 00:00:00 +9999999999",
    "Thu, 01 Jan 1970 00:00:00 GMT",
    "Mon, 99 Foo 2026 99:99:99 GMT",
    "Mon, 01 Jan 2026",
    "01",
    ",",
    "\xb2\xb3",
]


@pytest.mark.parametrize("date", ODD_DATES)
def test_a_date_that_no_clock_can_show_sets_no_clock(name: str, date: str) -> None:
    operation = OPERATIONS[name]
    rejected = auth_failure(operation)
    faked = world(name, Answer(rejected.status, rejected.body, {"Date": date}))

    result = faked.run()

    assert result.error is not None
    assert (result.error.category, result.attempts) == (Category.UNAUTHENTICATED, 1)


@pytest.mark.parametrize("date", ODD_DATES)
def test_a_date_that_no_clock_can_show_is_no_hint(name: str, date: str) -> None:
    operation = OPERATIONS[name]
    first = throttle(operation)

    faked = world(name, Answer(first.status, first.body, {"Retry-After": date, "Date": date}), success(operation))

    assert faked.run().outcome is Outcome.SUCCEEDED
    assert sum(faked.clock.slept) <= 5.0


def test_nothing_is_sent_after_the_deadline(name: str) -> None:
    faked = world(name, Answer(503), clock=Clock(fraction=0.9))
    started = faked.clock.seconds

    result = faked.run(seconds=1.0)

    assert result.retryable
    assert faked.clock.seconds - started <= 1.0


CURABLE: dict[str, Callable[[Operation], Answer | Exception]] = {
    **MAKERS,
    "clock": lambda operation: auth_failure(operation, Date=http_date(timedelta(hours=1))),
    "rotated key": auth_failure,
}


@pytest.mark.parametrize("kind", CURABLE)
def test_no_second_attempt_begins_without_the_time_to_end(name: str, kind: str) -> None:
    """Whatever could be put right: a call that is cut off leaves doubt."""
    operation = OPERATIONS[name]
    faked = world(name, success(operation), CURABLE[kind](operation), success(operation), clock=Clock(fraction=0.0))
    faked.run()

    faked.aws.secrets[faked.secret_name] = ROTATED

    assert faked.run(seconds=0.4).attempts <= 1
    assert len(faked.script.sent) <= 2


def test_timeouts_come_from_the_time_that_is_left(name: str) -> None:
    """Every attempt's connect and read time-out is derived from the remaining time (read at most 10 s)."""
    operation = OPERATIONS[name]
    plenty, little = (world(name, success(operation), looks=False) for _ in range(2))
    plenty.run(seconds=3600)
    little.run(seconds=1.5)
    [much], [few] = plenty.script.timeouts, little.script.timeouts
    assert (much.connect_timeout, much.read_timeout) == (3.0, 10.0)
    assert (few.connect_timeout, few.read_timeout) == (1.5, 1.5)

    little.clock.pass_(1)

    assert few.read_timeout == 0.5, "what connecting has left"


def test_a_change_leaves_time_for_a_look_behind_it(name: str) -> None:
    operation = OPERATIONS[name]
    faked = world(name, success(operation))

    faked.run(seconds=3.5)

    [timeout] = faked.script.timeouts
    assert timeout.read_timeout == (3.5 if operation.look is None else 1.5)


def conflict(operation: Operation) -> Answer:
    return refusal(operation, codes_of(operation, Category.CONFLICT)[0], 400)


def test_a_conflict_is_not_retried_inside_a_call(name: str) -> None:
    faked = world(name, conflict(OPERATIONS[name]))

    result = faked.run()

    assert (result.outcome, result.attempts, result.retryable) == (Outcome.CONFLICT, 1, True)
    assert len(faked.script.sent) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 418, 301, 302, 307])
def test_permanent_failures_are_sent_once(name: str, status: int) -> None:
    faked = world(name, Answer(status, headers={"Location": "https://elsewhere.example/"}), looks=False)

    result = faked.run()

    assert result.error is not None
    assert len(faked.script.sent) == 1
    assert not result.retryable


# -- rejected signatures ------------------------------------------------


def test_a_rejected_signature_is_not_retried(name: str) -> None:
    operation = OPERATIONS[name]
    faked = world(name, auth_failure(operation, Date=http_date(timedelta(minutes=-4, seconds=-59))))

    result = faked.run()

    assert result.error is not None
    assert (result.error.category, result.attempts) == (Category.UNAUTHENTICATED, 1)
    assert len(faked.script.sent) == 1


@pytest.mark.parametrize("minutes", [-60 * 24, -6, 6, 16])
def test_the_clock_is_corrected_once_and_the_offset_is_kept(name: str, minutes: int) -> None:
    operation, offset = OPERATIONS[name], timedelta(minutes=minutes)
    faked = world(name, auth_failure(operation, Date=http_date(offset)), success(operation))
    result = faked.run()
    assert (result.outcome, result.attempts) == (Outcome.SUCCEEDED, 2)
    faked.run()
    assert len(faked.script.sent) == 3, "the kept offset signs the next call right at once"

    expected = [timedelta(0), offset, offset]

    assert [signed_time(request) for request in faked.script.sent] == [
        in_provider_format(operation, moment) for moment in expected
    ]


def test_a_later_correction_comes_on_top_of_the_kept_offset(name: str) -> None:
    operation = OPERATIONS[name]
    first, second = timedelta(minutes=16), timedelta(minutes=30)
    rejections = [auth_failure(operation, Date=http_date(offset)) for offset in (first, second)]
    faked = world(name, rejections[0], success(operation), rejections[1], success(operation))

    faked.run()
    faked.run()

    assert [signed_time(request) for request in faked.script.sent] == [
        in_provider_format(operation, moment) for moment in (timedelta(0), first, first, second)
    ]


def test_a_kept_offset_is_no_reason_to_correct_the_clock_again(name: str) -> None:
    """The server's clock agrees with what was signed: whatever was wrong with the signature, it was not the time."""
    operation, date = OPERATIONS[name], http_date(timedelta(minutes=16))
    faked = world(name, auth_failure(operation, Date=date), success(operation), auth_failure(operation, Date=date))
    faked.run()

    result = faked.run()

    assert (result.outcome, result.attempts, len(faked.script.sent)) == (Outcome.FAILED, 1, 3)


@pytest.mark.parametrize(
    "second",
    [
        lambda operation: auth_failure(operation, Date=http_date(timedelta(hours=4))),
        lambda operation: throttle(operation, Retry_After="120"),  # nobody has looked at the signature
    ],
    ids=["rejected", "throttled"],
)
def test_an_offset_that_was_not_accepted_is_not_kept(name: str, second: Callable[[Operation], Answer]) -> None:
    operation = OPERATIONS[name]
    faked = world(
        name, auth_failure(operation, Date=http_date(timedelta(hours=2))), second(operation), success(operation)
    )
    assert faked.run().attempts == 2, "the clock is corrected once"
    faked.clock.pass_(3600)  # until the credentials are no longer suspended
    faked.run()

    signed = signed_time(faked.script.sent[-1])

    assert signed == in_provider_format(operation, timedelta(hours=1)), "one hour later, by our own clock"


def test_a_date_that_is_far_off_is_no_reason_to_repeat_a_success(name: str) -> None:
    operation = OPERATIONS[name]
    promised = success(operation)

    faked = world(name, Answer(promised.status, promised.body, {"Date": http_date(timedelta(days=3))}))

    assert (faked.run().outcome, len(faked.script.sent)) == (Outcome.SUCCEEDED, 1)


def test_rotated_credentials_are_fetched_and_tried_once(name: str) -> None:
    operation = OPERATIONS[name]
    faked = world(name, success(operation), auth_failure(operation), success(operation))
    faked.run()
    faked.aws.secrets[faked.secret_name] = ROTATED

    result = faked.run()

    assert (result.outcome, result.attempts) == (Outcome.SUCCEEDED, 2)
    assert [key_id(request)[-1] for request in faked.script.sent] == ["1", "1", "2"]
    assert faked.aws.asked == [faked.secret_name] * 2


def test_credentials_are_fetched_again_only_once_per_call(name: str) -> None:
    operation = OPERATIONS[name]
    faked = world(name, auth_failure(operation))
    secrets = iter([SECRET, ROTATED, {**ROTATED, "secret_access_key": "testSecretFake0000000003"}, SECRET])
    original = faked.aws.get_secret_value

    def rotating(secret_id: str, deadline: object) -> str:
        faked.aws.secrets[secret_id] = next(secrets)
        return original(secret_id, faked.clock.deadline())

    faked.aws.get_secret_value = rotating  # type: ignore[method-assign]
    result = faked.run()
    assert (result.attempts, len(faked.aws.asked)) == (2, 2)


def test_a_store_that_fails_meanwhile_leaves_the_rejection_as_the_result(name: str) -> None:
    operation = OPERATIONS[name]
    faked = world(name, success(operation), auth_failure(operation))
    faked.run()
    faked.aws.error = "InternalServiceError"

    result = faked.run()

    assert result.error is not None
    assert (result.error.category, result.attempts) == (Category.UNAUTHENTICATED, 1)


def test_corrections_are_three_at_most_each_once(name: str) -> None:
    """Six rejected signatures lock a Huawei key: one call never comes near that."""
    operation = OPERATIONS[name]
    code, status = ("SignatureNonceUsed", 400) if operation.service.provider == "alibaba" else ("APIGW.0301", 401)
    faked = world(name, refusal(operation, code, status, Date=http_date(timedelta(hours=7))))
    faked.environment.credentials.get("default", faked.clock.deadline())
    faked.aws.secrets[faked.secret_name] = ROTATED

    result = faked.run(seconds=3600)

    assert result.attempts <= 4
    assert result.attempts == (4 if operation.service.provider == "alibaba" else 3)
    assert not result.retryable


def test_after_a_final_rejection_the_credentials_are_suspended_for_the_caches_time(name: str) -> None:
    operation = OPERATIONS[name]
    faked = world(name, auth_failure(operation), success(operation))
    first, second = faked.run(), faked.run()
    assert first.error is not None
    assert first.retryable is False
    assert second.error is not None
    assert second.outcome is Outcome.FAILED
    assert (second.error.category, second.error.code) == (Category.UNAUTHENTICATED, Code.CREDENTIAL_SUSPENDED)
    assert (second.attempts, second.retryable, len(faked.script.sent)) == (0, True, 1)

    faked.clock.pass_(3600)

    assert faked.run().outcome is Outcome.SUCCEEDED


def test_a_rotated_key_that_is_rejected_as_well_is_not_tried_by_the_next_call(name: str) -> None:
    """The key of the last attempt is the one that is suspended: the next call has it from the cache."""
    operation = OPERATIONS[name]
    faked = world(name, success(operation), auth_failure(operation))
    faked.run()
    faked.aws.secrets[faked.secret_name] = ROTATED
    assert faked.run().attempts == 2

    last = faked.run()

    assert last.error is not None
    assert (last.error.code, last.attempts) == (Code.CREDENTIAL_SUSPENDED, 0)
    assert [key_id(request)[-1] for request in faked.script.sent] == ["1", "1", "2"]


def test_a_rotated_key_that_is_suspended_is_not_sent(name: str) -> None:
    """Another account had it before, and it was rejected there."""
    operation = OPERATIONS[name]
    faked = world(name, success(operation), auth_failure(operation))
    faked.run()
    faked.aws.secrets["task-cleanup/" + operation.service.provider + "/other"] = ROTATED
    faked.run(direct(operation, account="other"))
    faked.aws.secrets[faked.secret_name] = ROTATED

    result = faked.run()

    assert (result.outcome, result.attempts) == (Outcome.FAILED, 1)
    assert [key_id(request)[-1] for request in faked.script.sent] == ["1", "2", "1"]


def test_other_credentials_are_not_suspended(name: str) -> None:
    """The suspension is by id and digest: a secret that was put right works at the next fetch."""
    operation = OPERATIONS[name]
    faked = world(name, auth_failure(operation), success(operation))
    faked.run()

    faked.aws.secrets["task-cleanup/" + operation.service.provider + "/other"] = ROTATED

    assert faked.run(direct(operation, account="other")).outcome is Outcome.SUCCEEDED


# A rejected key, in the shapes that were seen: a code that no table has, the identity service's own, and none at all.
REJECTED = {
    "unknown code": Answer(401, b'{"error_code": "APIGW.9999", "error_msg": "no"}'),
    "the status as code": Answer(401, b'{"error": {"code": 401, "message": "no", "title": "Unauthorized"}}'),
    "no body": Answer(401),
    "a page": Answer(401, b"<html>401 Authorization Required</html>"),
}


@pytest.mark.parametrize("shape", [None, *REJECTED])
def test_a_full_queue_with_a_bad_key_sends_at_most_one_call(name: str, shape: str | None) -> None:
    operation = OPERATIONS[name]
    faked = world(name, REJECTED[shape] if shape else auth_failure(operation))

    results = [faked.run() for _ in range(20)]

    assert len(faked.script.sent) == 1
    assert {result.error.category for result in results if result.error} == {Category.UNAUTHENTICATED}
    assert [result.retryable for result in results] == [False] + [True] * 19


@pytest.mark.parametrize("shape", REJECTED)
def test_a_rotated_key_is_fetched_whatever_shape_the_rejection_has(name: str, shape: str) -> None:
    operation = OPERATIONS[name]
    faked = world(name, success(operation), REJECTED[shape], success(operation))
    faked.run()
    faked.aws.secrets[faked.secret_name] = ROTATED

    result = faked.run()

    assert (result.outcome, result.attempts) == (Outcome.SUCCEEDED, 2)


OTHER_PROJECTS = [f"{number:032x}" for number in range(1, 5)]


@pytest.mark.parametrize("shape", REJECTED)
def test_a_rejection_of_unknown_meaning_stops_one_project_and_the_second_stops_the_key(name: str, shape: str) -> None:
    """It may mean that the key has no right in that project: then the key is fine for all others."""
    operation = OPERATIONS[name]
    if not operation.service.needs_project:
        return
    faked = world(name, REJECTED[shape])
    for project in (*OTHER_PROJECTS[:1] * 3, *OTHER_PROJECTS[1:], OTHER_PROJECTS[0]):
        faked.run(direct(operation, project_id=project))
    projects = [request.headers["X-Project-Id"] for request in faked.script.sent]
    assert projects == OTHER_PROJECTS[:2]
    faked.clock.pass_(3600)
    faked.run(direct(operation, project_id=OTHER_PROJECTS[3]))

    faked.run(direct(operation, project_id=OTHER_PROJECTS[2]))

    assert len(faked.script.sent) == 4, "what is over counts as no second project"


def test_a_known_rejection_stops_the_key_in_every_project(name: str) -> None:
    operation = OPERATIONS[name]
    faked = world(name, auth_failure(operation), success(operation))

    for project in OTHER_PROJECTS if operation.service.needs_project else [None]:
        faked.run(direct(operation, **({"project_id": project} if project else {})))

    assert len(faked.script.sent) == 1


# -- doubt ------------------------------------------------


def test_a_failure_after_an_attempt_without_answer_says_that_the_change_may_have_been_made(name: str) -> None:
    operation = OPERATIONS[name]
    faked = world(name, NO_REPLY, conflict(operation))
    result = faked.run()
    assert result.error is not None
    if name in LISTS:
        assert result.error.detail is None, "a list changes nothing"
    else:
        assert (result.error.detail or {}).get("note")


def test_a_call_that_never_left_leaves_no_doubt(name: str) -> None:
    faked = world(name, NO_CONNECTION, conflict(OPERATIONS[name]))

    result = faked.run()

    assert result.error is not None
    assert "note" not in (result.error.detail or {})


def test_an_internal_error_leaves_doubt_whatever_its_status(name: str) -> None:
    """OMS sends even its internal errors with HTTP 400: here the code tells that the change may have been made."""
    operation = OPERATIONS[name]
    for code in codes_of(operation, Category.UNAVAILABLE):
        with case(code):
            result = world(name, refusal(operation, code, 400), conflict(operation)).run()

            assert result.error is not None
            expected = (Outcome.FAILED, 1) if name == CANCEL_TASK else (Outcome.CONFLICT, 2)
            assert (result.outcome, result.attempts) == expected
            assert bool((result.error.detail or {}).get("note")) is (name not in LISTS)


@pytest.mark.parametrize("status", [501, 520, 599])
def test_a_server_error_with_a_code_that_nobody_knows_leaves_doubt(name: str, status: int) -> None:
    operation = OPERATIONS[name]

    result = world(name, refusal(operation, "Nobody.Knows", status)).run()

    assert result.error is not None
    assert (result.outcome, result.error.category) == (Outcome.FAILED, Category.PROVIDER_ERROR)
    assert bool((result.error.detail or {}).get("note")) is (name not in LISTS)


@pytest.mark.parametrize("status", [500, 501])
def test_a_refusal_with_the_status_of_a_server_error_leaves_doubt(name: str, status: int) -> None:
    operation = OPERATIONS[name]
    for code in codes_of(operation, Category.CONFLICT):
        with case(code):
            result = world(name, refusal(operation, code, status)).run()

            assert result.error is not None
            assert result.outcome is Outcome.CONFLICT
            assert bool((result.error.detail or {}).get("note")) is (name not in LISTS)


@pytest.mark.parametrize("first", [NO_REPLY, Answer(502)])
def test_gone_after_an_attempt_without_answer_is_unchanged_and_says_so(name: str, first: Answer | Exception) -> None:
    """Only OMS has a code for a missing task, which is the answer to a delete and to a stop."""
    operation = OPERATIONS[name]
    faked: OperationWorld = world(name, first, refusal(operation, "OMS.1009", 400))
    result = faked.run()
    assert result.error is not None
    if name in {OMS_DELETE, OMS_STOP}:
        assert (result.outcome, result.retryable) == (Outcome.UNCHANGED, False)
        assert result.error.code == "OMS.1009"
        assert (result.error.detail or {}).get("note")
    else:
        assert result.outcome is Outcome.FAILED


def test_names_exist(name: str) -> None:
    """The tests of one provider's habits would pass for nothing if an operation were renamed."""
    assert {DELETE_DATA_TASK, DMS_DELETE, OMS_DELETE} <= set(NAMES)
    assert name in NAMES
