"""The sweep's HTTP routes: ``POST /sweeps`` puts a request on the bus, ``GET /sweeps/{run_id}`` tells how it ended.

A sweep takes minutes, and an HTTP API gives up after 30 seconds: both routes answer before ``ANSWER_SECONDS``.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from task_cleanup import triggers
from task_cleanup.aws import AwsError
from task_cleanup.errors import Category, CleanupError, Code, SweepCode, invalid_request
from task_cleanup.event_types import EventType
from task_cleanup.results import Error
from task_cleanup.sweep import saved
from task_cleanup.sweep.claims import RUN_ID_REUSED, digest_of, is_run_id, run_id_of
from task_cleanup.sweep.gathering import Results
from task_cleanup.sweep.plan import RunRefusedError
from task_cleanup.sweep.policy import Mode
from task_cleanup.sweep.run import Sweeper
from task_cleanup.sweep.store import Stored, key
from task_cleanup.system import Deadline
from task_cleanup.times import parse_time, rfc3339
from task_cleanup.triggers import Received

ANSWER_SECONDS = 24.0
AWS_CALL_SECONDS = 5.0  # the most that one call to AWS can take here; no call begins with less time left
MAX_REQUEST = 200_000  # bytes of a request on the bus, which takes 256 KB with everything around it
POLL_SECONDS = 10  # what `Retry-After` says while a sweep runs

_RUN_ID_WANTED = (
    "the path must hold a run id (1 to 128 letters, digits, dots, dashes and underscores), and nothing else"
)
_TITLES: Mapping[Category, str] = {
    Category.NOT_FOUND: "There is no such report",
    Category.PRECONDITION_FAILED: "The report has another digest",
    Category.CONFLICT: "The request conflicts with what is stored",
}
# Every other refusal of a saved report is a conflict with what is stored.
_CATEGORIES: Mapping[str, Category] = {
    SweepCode.REPORT_NOT_FOUND: Category.NOT_FOUND,
    SweepCode.REPORT_CHANGED: Category.PRECONDITION_FAILED,
}


@dataclass(frozen=True)
class Api:
    """The two routes. ``sweeper`` has a store and a bus whose calls take ``AWS_CALL_SECONDS`` at most."""

    sweeper: Sweeper
    results: Results

    def start(self, received: Received, deadline: Deadline) -> dict[str, Any]:
        """202 with the run's id once the request is on the bus; 200 where the same request's run is over."""
        try:
            _refuse_large(received)
            request = self.sweeper.accept(received)
            run_id = request.get("run_id", run_id_of(received.origin_id))
            try:
                return self._start(received, request, run_id, deadline)
            except AwsError as error:  # the bus may have it all the same: who asks again needs the id
                return triggers.http_problem(_unavailable(error), received.origin_id, run_id=run_id)
        except RunRefusedError as error:
            (refusal, *_) = error.refusals
            category = _CATEGORIES.get(refusal.code, Category.CONFLICT)
            return _problem(received, CleanupError(category, refusal.code, refusal.message))
        except CleanupError as error:
            return _problem(received, error)

    def _start(
        self, received: Received, request: Mapping[str, Any], run_id: str, deadline: Deadline
    ) -> dict[str, Any]:
        sweeper, store = self.sweeper, self.sweeper.store
        digest = digest_of(received.request)
        detail = {**_as_asked(received), "run_id": run_id}
        claim = store.get(key(run_id, "claim.json"))  # by an event or a message, if nobody has asked over HTTP
        _refuse_other(claim, digest)
        if claim is None:
            # Before the id is taken: who is refused may ask for another report under it.
            if "apply_report" in request:
                saved.check(store, request["apply_report"], request["sha256"], sweeper.system.now())
            self._take(run_id, digest)
        elif (done := self._final_summary(run_id, claim)) is not None:
            return self._reply(200, run_id, repeated=True, ended_at=done["completed_at"])
        self._publish(received, detail, deadline)
        asked = {"run_id": run_id, "digest": digest, "sent_at": rfc3339(sweeper.system.now())}
        with suppress(AwsError):  # the request is on the bus all the same; `GET` knows the run when a worker has it
            store.put_json(key(run_id, "asked.json"), asked)
        return self._reply(202, run_id)

    def _take(self, run_id: str, digest: str) -> None:
        """Take this run id for this request, if no other POST has."""
        store, name = self.sweeper.store, key(run_id, "asked.json")
        if not store.put_new(name, {"run_id": run_id, "digest": digest}):
            _refuse_other(store.get(name), digest)

    def _final_summary(self, run_id: str, claim: Stored | None) -> dict[str, Any] | None:
        """The summary of a run that is over. None if it is not, or if a worker goes on with it: a redrive does."""
        done = self.sweeper.store.get(key(run_id, "summary.json"))
        return done.document if done is not None and self._is_over(done.document, claim) else None

    def _is_over(self, told: Mapping[str, Any], claim: Stored | None) -> bool:
        """Whether this summary is the run's end."""
        return told.get("final") is not False and not self._is_held(claim)

    def _is_held(self, claim: Stored | None) -> bool:
        """Whether a worker has the run now."""
        until = None if claim is None else claim.document.get("lease_until")
        return until is not None and parse_time(until) > self.sweeper.system.now()

    def _publish(self, received: Received, detail: Mapping[str, Any], deadline: Deadline) -> None:
        if deadline.remaining() < 2 * AWS_CALL_SECONDS:  # this call, and the mark after it
            raise AwsError(Code.TIMEOUT)
        requester = [received.requested_by] if received.requested_by else []
        self.sweeper.bus.publish(EventType.SWEEP_REQUESTED, detail, requester)

    def _reply(self, status: int, run_id: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON values
        body = {"run_id": run_id, "status": f"/sweeps/{run_id}", "report": self.sweeper.places(run_id), **more}
        return triggers.http_response(status, "application/json", body)

    def status(self, received: Received) -> dict[str, Any]:
        """200 with the summary; 202 while there is none that is final; 404 for a run id that nobody has used."""
        request = _as_asked(received)
        run_id = request.get("run_id")
        readable = received.unreadable is None and set(request) == {"run_id"}
        if not readable or not isinstance(run_id, str) or not is_run_id(run_id):
            invalid = Error(Category.INVALID_REQUEST, SweepCode.RUN_ID_INVALID, _RUN_ID_WANTED)
            return triggers.http_problem(invalid, received.origin_id)
        try:
            return self._status(run_id, received)
        except AwsError as error:
            return triggers.http_problem(_unavailable(error), received.origin_id)

    def _status(self, run_id: str, received: Received) -> dict[str, Any]:
        store = self.sweeper.store
        # The claim is read first: a worker stores its summary, and releases its claim then.
        claim = store.get(key(run_id, "claim.json"))
        done = store.get(key(run_id, "summary.json"))
        told = None if done is None else done.document
        if told is not None and self._is_over(told, claim):
            if told["mode"] == Mode.APPLY:
                told = {**told, "results": self.results.progress(run_id)}
            return triggers.http_response(200, "application/json", told)
        state: str | None = None
        if self._is_held(claim):  # also of a run that had ended, and was redriven
            state, told = "running", None
        elif told is not None:
            state = "trying_again"
        elif claim is not None:
            state = "interrupted"
        elif (asked := store.get(key(run_id, "asked.json"))) is not None and "sent_at" in asked.document:
            state = "waiting"
        if state is None:
            unknown = Error(Category.NOT_FOUND, SweepCode.RUN_NOT_FOUND, "no sweep was asked for under this id")
            return triggers.http_problem(unknown, received.origin_id, title="There is no such run")
        body = {"run_id": run_id, "state": state, **({"error": told["error"]} if told else {})}
        return triggers.http_response(202, "application/json", body, {"Retry-After": str(POLL_SECONDS)})


def _refuse_large(received: Received) -> None:
    """Refuse what the bus does not take, before it is validated: that takes longer than a caller waits.

    Raises
    ------
    CleanupError
        ``invalid_request``, ``RequestTooLarge``.
    """
    try:
        size = len(json.dumps(_as_asked(received)).encode())
    except RecursionError:
        return  # the validator says that it is nested too deeply
    if size > MAX_REQUEST:
        message = f"the request is larger than {MAX_REQUEST:,} bytes, which the bus does not take: give it fewer ids"
        raise invalid_request(SweepCode.REQUEST_TOO_LARGE, message)


def _refuse_other(used: Stored | None, digest: str) -> None:
    """Refuse a request whose run id another request has used.

    Raises
    ------
    CleanupError
        ``conflict``: `GET` would return the summary and the report of the other one.
    """
    if used is not None and used.document.get("digest") != digest:
        raise CleanupError(Category.CONFLICT, RUN_ID_REUSED.code, RUN_ID_REUSED.message)


def _problem(received: Received, error: CleanupError) -> dict[str, Any]:
    # There is no member `result` here, so the error's detail (`violations`) becomes members of the reply.
    reused = error.code == RUN_ID_REUSED.code
    title = "The run id is taken" if reused else _TITLES.get(error.category)
    members = {**({"title": title} if title else {}), **(error.detail or {})}
    return triggers.http_problem(Error.of(error), received.origin_id, **members)


def _as_asked(received: Received) -> dict[str, Any]:
    """The request as it came. The worker fills in the defaults."""
    return received.request if isinstance(received.request, dict) else {}


def _unavailable(error: AwsError) -> Error:
    return Error(Category.UNAVAILABLE, SweepCode.AWS_UNAVAILABLE, f"AWS refused a call ({error.code})")
