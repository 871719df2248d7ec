"""One request, from its unwrapped form to its result: validate, look, change, look.

``run`` never raises: whatever goes wrong is a result that says so.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, field, replace
from datetime import timedelta
from enum import Enum
from functools import partial
from typing import Any

from task_cleanup.calls import Answers, Caller, Dependencies
from task_cleanup.errors import RETRY_LATER, Category, CleanupError, Code, invalid_request
from task_cleanup.looking import changed_error, is_expected, look_at
from task_cleanup.paging import check_reading, walk
from task_cleanup.providers.model import Call, ListCall, Look, Reply, Request, Service
from task_cleanup.results import Error, Outcome, Result, Sighting, Target, TaskList, When
from task_cleanup.retries import MIN_ATTEMPT, Verdict
from task_cleanup.startup import wired
from task_cleanup.system import Deadline, System
from task_cleanup.tasks import ENDED, Task
from task_cleanup.times import in_words, parse_time
from task_cleanup.transport import FinishedCall
from task_cleanup.triggers import Received
from task_cleanup.validation import RequestValidator, Violation, pointer

CALL_SECONDS = 2.0  # a call that has less is not worth beginning
LOOK_RESERVE = CALL_SECONDS  # seconds; a change is sent only with as much left for a look behind it


class Goal(Enum):
    """What a change is for."""

    GONE = "the task is gone"
    STOPPED = "the task does not run"


@wired
class StopFirst:
    """The call that stops a task which a delete met running, and the codes that say that it runs."""

    codes: frozenset[str]
    call: Callable[[Request], Call]


@wired
class Operation:
    """What a function does: its name, its request, the call it makes, and what the answers mean.

    ``check_success`` gets every 2xx reply without an error code, and returns what is wrong with it; None means that
    the provider confirmed the change. A reply with one of the ``already_done_codes`` makes the result ``unchanged``.
    ``max_age_in_queue`` is for a call that names no task, and acts on whatever runs when it arrives: a queued request
    that was first sent longer ago is refused, and a call that is in doubt is not repeated.
    ``listing`` makes the operation a list. ``stop_first`` is what a delete sends where the request has
    ``stop_running`` and the task runs.

    ``goal`` is what the change is for; an operation whose target cannot be looked at has none. ``is_asynchronous``:
    the provider's success says that it will make the change.
    """

    name: str
    service: Service
    schema: Mapping[str, Any]
    call: Callable[[Request], Call]
    check_success: Callable[[Reply], Error | None]
    already_done_codes: frozenset[str] = frozenset()
    max_age_in_queue: timedelta | None = None
    listing: ListCall | None = None
    stop_first: StopFirst | None = None
    goal: Goal | None = None
    is_asynchronous: bool = False
    validator: RequestValidator = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "validator", RequestValidator(self.schema))

    @property
    def answers(self) -> Answers:
        """What the replies to its call mean."""
        is_list = self.listing is not None
        once = self.always_looks or self.max_age_in_queue is not None
        return Answers(self.check_success, self.already_done_codes, is_read=is_list, is_list=is_list, once=once)

    @property
    def look(self) -> Look | None:
        """How its target is looked at; None where it cannot be."""
        return None if self.goal is None else self.service.look

    @property
    def always_looks(self) -> bool:
        """Whether it looks before the change also where nothing is expected, and repeats none that is in doubt."""
        return self.look is not None and self.look.always

    @property
    def least_seconds(self) -> float:
        """What its calls need: the change, and a look before and after it."""
        return CALL_SECONDS if self.look is None else 3 * CALL_SECONDS

    def is_done(self, task: Task) -> bool:
        """Whether a task that is there is already as the operation would leave it, or on its way there."""
        is_stopped = task.status in ENDED or task.provider_status in self.service.look.after_stop
        return self.goal is Goal.STOPPED and is_stopped


def list_operation(service: Service, schema: Mapping[str, Any], listing: ListCall | None = None) -> Operation:
    """The operation that lists a service's tasks, or reads another list of the service's module."""
    listing = listing or service.listing
    return Operation(
        name=listing.operation,
        service=service,
        schema=schema,
        call=partial(listing.call, received=0),
        check_success=check_reading(listing.read, "list"),
        listing=listing,
    )


def run(operation: Operation, received: Received, dependencies: Dependencies, deadline: Deadline) -> Result:
    """Validate, sign, send, judge. ``deadline`` is the latest moment for the provider's answer."""
    started = dependencies.system.monotonic()
    request: Request = {}
    looks: list[Sighting] = []  # also of a request that ends with an exception
    try:
        request = _accept(operation, received, dependencies)
        _refuse_expired(operation, request, received, dependencies.system)
        caller = Caller(operation.service, request, dependencies, deadline)
        request = caller.request
        planned = dependencies.dry_run or bool(request.get("dry_run"))
        done = _carry_out(operation, caller, looks, planned=planned)
    except CleanupError as error:
        if error.code == Code.SCHEMA_VIOLATION:
            # The result repeats no field of a request that its schema refused: one of them has the rejected value.
            request = {}
        done = _failed(Error.of(error))
    except Exception as error:  # noqa: BLE001 - a bug must end as a result too; its text may hold anything
        done = _failed(
            Error(
                Category.INTERNAL,
                Code.INTERNAL_ERROR,
                f"unforeseen {type(error).__name__}",
                {"note": "if it came after a request was sent, the change may have been made"},
            )
        )
    verdict = done.finished.verdict
    return Result(
        operation=operation.name,
        outcome=verdict.outcome,
        target=_target(operation.service, request),
        completed_at=dependencies.system.now(),
        correlation_id=request.get("correlation_id") or received.origin_id,
        duration_ms=(dependencies.system.monotonic() - started) * 1000,
        attempts=done.finished.attempts,
        http_status=verdict.http_status,
        request_id=verdict.request_id,
        client_token=request.get("client_token"),
        error=verdict.error,
        plan=done.plan,
        requested_by=received.requested_by,
        listed=done.listed,
        looks=tuple(looks),
        accepted=operation.is_asynchronous and verdict.outcome is Outcome.SUCCEEDED,
    )


@wired
class _Done:
    """How a request ended, with what only some have: a plan, a list."""

    finished: FinishedCall
    plan: Mapping[str, str] | None = None
    listed: TaskList | None = None


_PLANNED = FinishedCall(Verdict(Outcome.PLANNED), 0)
_NO_TIME = FinishedCall(
    Verdict(Outcome.FAILED, Error(Category.TIMEOUT, Code.TIMEOUT, "no time was left to call: no change was sent")), 0
)


def _failed(error: Error) -> _Done:
    return _Done(FinishedCall(Verdict(Outcome.FAILED, error), 0))


def _target(service: Service, request: Request) -> Target:
    names = ("account", "region", "project_id", "instance_id", "task_id", "task_type")
    return Target(service.provider, service.name, **{name: request.get(name) for name in names})


# -- before anything is sent ------------------------------------------------


def _accept(operation: Operation, received: Received, dependencies: Dependencies) -> Request:
    """The validated request, with its defaults and its client token."""
    if received.unreadable is not None:
        raise received.unreadable

    def more(asked: Request) -> list[Violation]:
        regions = operation.service.region_violations(asked.get("region"), dependencies.extra_regions)
        return [*regions, *_unnamed_status(asked)]

    request = operation.validator.validate(received.request, more)
    if "task_id" in request:
        request["task_id"] = str(request["task_id"])
    if operation.validator.has("client_token") and "client_token" not in request:
        request["client_token"] = _derived_token(operation, request, received.origin_id)
    return request


def _unnamed_status(asked: Request) -> list[Violation]:
    """A request that vouches for a status, and does not say for which. ``asked`` need not be valid."""
    expected = asked.get("expected")
    named = expected.get("provider_status") if isinstance(expected, dict) else None
    if asked.get("vouched") is not True or named:
        return []
    place = pointer("expected", "provider_status")
    return [Violation(place, "required", "is required beside vouched, and must be the status that is vouched for")]


def _derived_token(operation: Operation, request: Request, origin_id: str) -> str:
    """The same for every redelivery and redrive of the same request, another for every other (64 characters)."""
    identity = [operation.name, origin_id, asdict(_target(operation.service, request))]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _refuse_expired(operation: Operation, request: Request, received: Received, system: System) -> None:
    lifetime = operation.max_age_in_queue
    if "not_after" in request:
        if system.now() > parse_time(request["not_after"]):
            raise invalid_request(Code.EXPIRED, "the request came later than its not_after")
    elif lifetime is not None and received.is_queued:
        age = received.age(system.now(), "put `not_after` into the request")
        if age > lifetime:
            raise invalid_request(Code.EXPIRED, f"the request was first sent more than {in_words(lifetime)} ago")


# -- what is sent ------------------------------------------------


def _carry_out(operation: Operation, caller: Caller, looks: list[Sighting], *, planned: bool) -> _Done:
    """One change with its looks, or as many calls as a list has pages. ``planned``: no change is sent."""
    call, listing = operation.call(caller.request), operation.listing
    if listing is None:
        return _change(operation, caller, call, looks, planned=planned)
    if planned:
        return _Done(_PLANNED, plan=caller.plan(call))
    finished, listed = walk(listing, caller.request, lambda page: caller.send(page, operation.answers))
    return _Done(finished, listed=listed)


def _change(operation: Operation, caller: Caller, call: Call, looks: list[Sighting], *, planned: bool) -> _Done:
    """Look where the request expects something, send the change, and look again where its answer leaves doubt.

    Every look is added to ``looks``.
    """
    request = caller.request
    if request.get("expected") is not None or operation.always_looks:
        seen = look_at(operation.service, caller, When.BEFORE)
        looks.append(seen)
        ended = _ended_by(operation, seen, request)
        if ended is not None:
            return _Done(ended)
        stop = _wanted_stop(operation, seen, request)
        if stop is not None and planned:
            return _Done(_PLANNED, plan=caller.plan(stop.call(request)))
        if stop is not None:
            refused = FinishedCall(_not_deletable(seen), 0)
            return _Done(_send_stop(operation, stop, caller, refused))
    if planned:
        return _Done(_PLANNED, plan=caller.plan(call))
    # Whatever becomes of the change, there is time for a look behind it.
    until = caller.deadline if operation.look is None else caller.deadline.less(LOOK_RESERVE)
    if until.remaining() < MIN_ATTEMPT:
        return _Done(_NO_TIME)
    finished = caller.send(call, operation.answers, until)
    if operation.look is not None and _is_in_doubt(operation.look, finished):
        seen = look_at(operation.service, caller, When.AFTER)
        looks.append(seen)
        finished = _with_look(operation, finished, seen)
    else:
        finished = _with_doubt(finished)
    return _Done(_stopped(operation, caller, finished))


def _ended_by(operation: Operation, seen: Sighting, request: Request) -> FinishedCall | None:
    """The end of a request that needs no change, or must not make one, as the look before it tells; else None."""
    verdict = partial(Verdict, http_status=seen.http_status, request_id=seen.request_id)
    if seen.found is None:
        why = seen.error or Error(Category.PROVIDER_ERROR, Code.UNEXPECTED_REPLY, "the look was not answered")
        note = "the task could not be looked at, so no change was sent"
        return FinishedCall(verdict(Outcome.FAILED, why.with_detail(note=note)), 0)
    if not seen.found:
        return FinishedCall(verdict(Outcome.UNCHANGED, seen.error or _gone(seen)), 0)
    task, expected = seen.task, request.get("expected")
    if task is None:
        raise AssertionError("a task that was found is in the sighting")
    stopping = bool(request.get("stop_running")) or operation.goal is Goal.STOPPED
    if expected and not is_expected(operation.service.look, expected, task, stopping=stopping):
        return FinishedCall(verdict(Outcome.FAILED, changed_error(expected, task)), 0)
    if operation.is_done(task):
        error = Error(
            Category.CONFLICT,
            Code.TASK_STOPPED,
            f"the task does not run, or is being stopped: {task.provider_status}",
        )
        return FinishedCall(verdict(Outcome.UNCHANGED, error), 0)
    may_delete = task.deletable or _is_vouched(operation.service, request, task)
    if operation.goal is Goal.GONE and not may_delete and _wanted_stop(operation, seen, request) is None:
        return FinishedCall(_not_deletable(seen), 0)
    return None


def _is_vouched(service: Service, request: Request, task: Task) -> bool:
    """Whether the request vouches for exactly the status that the task is in, and may do so."""
    named = (request.get("expected") or {}).get("provider_status")
    may_be = task.provider_status == named and service.can_be_vouched(task.provider_status)
    return bool(request.get("vouched")) and may_be


def _gone(seen: Sighting) -> Error:
    status = "" if seen.task is None else f", its record says {seen.task.provider_status}"
    return Error(Category.NOT_FOUND, Code.TASK_GONE, f"the task is gone{status}")


def _not_deletable(seen: Sighting) -> Verdict:
    why = seen.task.why_not if seen.task is not None else None
    error = Error(Category.CONFLICT, Code.TASK_NOT_DELETABLE, f"nothing was sent: {why}")
    return Verdict(Outcome.CONFLICT, error, http_status=seen.http_status, request_id=seen.request_id)


def _wanted_stop(operation: Operation, seen: Sighting, request: Request) -> StopFirst | None:
    """The stop of a running task, if the request allows it and names the status that the task is in."""
    task, named = seen.task, (request.get("expected") or {}).get("provider_status")
    may_stop = task is not None and task.stoppable and task.provider_status == named
    return operation.stop_first if may_stop and request.get("stop_running") else None


def _is_in_doubt(look: Look, finished: FinishedCall) -> bool:
    """Whether the change may have been made, or have met a task that is gone, although the answer says otherwise.

    A success and a known refusal leave none. An answer that no table knows does: it may be the word for a missing
    task. (Two kinds are no such word, known or not: the provider asks for fewer calls, and has not looked for the
    task; it rejects the signature, and the key may not be used again.)
    """
    verdict = finished.verdict
    if verdict.error is None or verdict.outcome is Outcome.UNCHANGED:
        return False
    if finished.unanswered:
        return True
    if verdict.category in (Category.THROTTLED, Category.UNAUTHENTICATED) or verdict.http_status is None:
        return False
    return not verdict.code_known or verdict.error.code in look.doubtful_codes


def _with_look(operation: Operation, finished: FinishedCall, seen: Sighting) -> FinishedCall:
    """The verdict of a doubtful change as the look behind it ends the doubt, or leaves it."""
    verdict = finished.verdict
    error = verdict.error
    if error is None:
        return finished
    if seen.found is None:
        why = "nothing" if seen.error is None else seen.error.code
        return _with_doubt(finished, f"a look at the task after it was not answered ({why})")
    task_is_done = seen.task is not None and operation.is_done(seen.task)
    if not seen.found or task_is_done:
        state = "the task is gone" if not seen.found else "the task does not run, or is being stopped"
        note = f"a look after it shows that {state}: an attempt of this call may have done it"
        return replace(
            finished, verdict=replace(verdict, outcome=Outcome.UNCHANGED, error=error.with_detail(note=note))
        )
    note = "a look after it still shows the task"
    if finished.unanswered:  # no proof: a provider may show for a while what it has deleted
        attempts = f"{finished.unanswered} attempt(s) got no definite answer"
        note = f"{attempts}, and {note}: if the change was made, it does not show yet"
    if operation.goal is Goal.GONE and operation.is_asynchronous and error.category not in RETRY_LATER:
        # The provider may have accepted the delete, and make it later: a final failure would be too early.
        error = replace(error, category=Category.UNAVAILABLE)
    return replace(finished, verdict=replace(verdict, error=error.with_detail(note=note)))


def _stopped(operation: Operation, caller: Caller, finished: FinishedCall) -> FinishedCall:
    """Where a delete met a running task and may stop it: the stop is sent, and the result is a conflict all the same.

    Where there was a look before the delete, it decides, and a task that has begun to run since is left alone.
    """
    stop, error, request = operation.stop_first, finished.verdict.error, caller.request
    if finished.verdict.outcome is not Outcome.CONFLICT or stop is None or error is None:
        return finished
    looked = operation.always_looks or request.get("expected") is not None
    may_stop = request.get("stop_running") and not looked and error.code in stop.codes
    return _send_stop(operation, stop, caller, finished) if may_stop else finished


def _send_stop(operation: Operation, stop: StopFirst, caller: Caller, finished: FinishedCall) -> FinishedCall:
    """Send the stop. The function does not wait until the task has stopped: the conflict is retryable, so the message
    comes again, and the delete is sent then.
    """
    error = finished.verdict.error
    if error is None:
        return finished
    until = caller.deadline.less(LOOK_RESERVE)
    if until.remaining() < MIN_ATTEMPT:
        return replace(finished, verdict=replace(finished.verdict, error=error.with_detail(stop=Code.TIMEOUT.value)))
    try:
        reply = caller.send(stop.call(caller.request), operation.answers, until)
    except CleanupError as refused:  # the look after the delete has suspended the key
        return replace(finished, verdict=replace(finished.verdict, error=error.with_detail(stop=str(refused.code))))
    answer = "requested" if reply.verdict.error is None else reply.verdict.error.code
    error = error.with_detail(stop=str(answer))
    if reply.verdict.error is not None and reply.unanswered:
        earlier = (error.detail or {}).get("note")
        note = f"{reply.unanswered} attempt(s) of the stop got no definite answer: it may have been made"
        error = error.with_detail(note=f"{earlier}; {note}" if earlier else note)
    verdict = replace(finished.verdict, error=error)
    return replace(finished, verdict=verdict, attempts=finished.attempts + reply.attempts)


def _with_doubt(finished: FinishedCall, more: str = "") -> FinishedCall:
    """Where an attempt got no usable answer, the result says what this call cannot know."""
    verdict = finished.verdict
    if verdict.error is None or not (finished.unanswered or more):
        return finished
    if verdict.outcome is Outcome.UNCHANGED:
        note = "an earlier attempt of this call got no answer: it may be the one that made the change"
    elif finished.unanswered:
        note = f"{finished.unanswered} attempt(s) got no definite answer: the change may have been made"
    else:
        note = "the answer does not say whether the change was made"
    note = f"{note}; {more}" if more else note
    return replace(finished, verdict=replace(verdict, error=verdict.error.with_detail(note=note)))
