"""One sweep as a state: claimed, planned, requesting, done. Each step makes the next state, which is then stored.

``claims`` lets one worker at a time do a run, once. Whatever ends a run, its summary is made of the state that it had
reached: it counts every request that was sent. A worker that dies leaves its state in the store, and the next one
goes on from there: it never selects anew, and sends no request again that the bus has taken.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import Any

from task_cleanup.aws import AwsError
from task_cleanup.errors import RETRY_LATER, Category, CleanupError, Code, SweepCode, invalid_request
from task_cleanup.results import Error
from task_cleanup.sweep import saved
from task_cleanup.sweep.awaited import is_awaited
from task_cleanup.sweep.bus import Bus
from task_cleanup.sweep.claims import Claims, OverlapsError, RunElsewhereError, digest_of, run_id_of
from task_cleanup.sweep.delete_events import REQUEST_LIFETIME, asked_places, requests_of, valid_until
from task_cleanup.sweep.ledgers import Ledgers
from task_cleanup.sweep.lister import Lister
from task_cleanup.sweep.page.render import page
from task_cleanup.sweep.plan import LIFETIME, Plan, Refusal, RunRefusedError, make, refusals
from task_cleanup.sweep.policy import Mode, Policy, Protect
from task_cleanup.sweep.report import Run, RunEnd, SweepOutcome, document, end_by_bus, ended, summary
from task_cleanup.sweep.results import result_key
from task_cleanup.sweep.saved import SavedPlan, refused
from task_cleanup.sweep.services import region_violations, vouching_violations
from task_cleanup.sweep.state import Claimed, Done, Planned, Requesting, RunResult, State
from task_cleanup.sweep.store import Store, encoded, key, sha256_of
from task_cleanup.system import Deadline, System
from task_cleanup.times import in_words, parse_time
from task_cleanup.triggers import Received
from task_cleanup.validation import RequestValidator, Violation

LIST_SHARE = 0.6  # of the time; the rest is for requests and documents
SAVE_SHARE = 0.1
# A run that comes again takes its policy's name back before another run can have it.
NAME_MARGIN = timedelta(minutes=10)

_SENT_STAND = "requests that were sent before are not withdrawn"


@dataclass(frozen=True)
class _Delivery:
    """What one worker was given: the accepted request, its time, and whether the request comes again if it fails."""

    request: Mapping[str, Any]
    deadline: Deadline
    comes_again: bool


@dataclass(frozen=True)
class Sweeper:
    """Everything a sweep needs. ``dry_run`` makes a report of every sweep; ``extra_regions`` are by service id.

    ``approve`` sees the stored report before the first request is made, and may return why none is to be made.
    ``lists_again``: a plan that an earlier worker has left before its first request is made anew.
    """

    validator: RequestValidator
    lister: Lister
    store: Store
    bus: Bus
    system: System
    dry_run: bool
    extra_regions: Mapping[str, Collection[str]]
    approve: Callable[[Mapping[str, Any]], str | None] = lambda _: None
    lists_again: bool = False

    @cached_property
    def claims(self) -> Claims:
        """The claims in the same store."""
        return Claims(self.store, self.system)

    @cached_property
    def ledgers(self) -> Ledgers:
        """The ledgers in the same store."""
        return Ledgers(self.store)

    def sweep(self, received: Received, deadline: Deadline, *, comes_again: bool) -> RunResult:
        """Do what was asked, once. Never raises: whatever goes wrong is a summary that says so.

        ``comes_again``: this delivery is not the last one, if it fails.
        """
        run = Run(run_id_of(received.origin_id), self.system.now(), received.requested_by)
        try:
            request = self.accept(received)
        except CleanupError as error:
            return self._result(Done(Claimed(run), RunEnd(SweepOutcome.REFUSED, (_refusal_of(error),))))
        run = replace(
            run,
            run_id=request.get("run_id", run.run_id),
            name=request.get("name"),
            mode=Mode.APPLY if "apply_report" in request else Mode(request["mode"]),
            plan_of=request.get("apply_report"),
            plan_sha256=request.get("sha256"),
        )
        delivery = _Delivery(request, deadline, comes_again)
        try:
            return self._run_under_claim(run, received, delivery)
        except Exception as error:  # noqa: BLE001 - every error ends in a summary
            return self._unstored(Done(Claimed(run), self._end_by(error, delivery)), delivery)

    def accept(self, received: Received) -> dict[str, Any]:
        """The validated request.

        Raises
        ------
        CleanupError
            ``invalid_request``, where the request cannot be read, is not of the schema, or has a target twice.
        """
        if received.unreadable is not None:
            raise received.unreadable
        request = self.validator.validate(
            received.request, lambda asked: [*self._region_violations(asked), *vouching_violations(asked)]
        )
        if "apply_report" not in request:
            Policy.read(request)
        return request

    def _region_violations(self, request: Mapping[str, Any]) -> Iterable[Violation]:
        return region_violations(request, self.extra_regions)

    # -- claim ------------------------------------------------

    def _run_under_claim(self, run: Run, received: Received, delivery: _Delivery) -> RunResult:
        """Claim the run and do it, or return the summary of the delivery that did."""
        digest = digest_of(received.request)
        done = self._find_result(run.run_id, digest, received)
        if done is not None:
            return done
        expired = self._expired(run, received)
        if expired is not None and not is_awaited(self.store, run.run_id, digest, self.system.now()):
            raise expired
        until = self.claims.claim(run.run_id, digest, delivery.deadline)
        try:
            # Once more: another worker may have ended the run between the look and the claim.
            done = self._find_result(run.run_id, digest, received)
            if done is None and expired is not None:
                done = self._close(Done(Claimed(run), self._end_by(expired, delivery)), delivery)
            return self._go_on(self._load(run), delivery) if done is None else done
        finally:
            self.claims.release(run.run_id, digest, until)

    def _find_result(self, run_id: str, digest: str, received: Received) -> RunResult | None:
        found = self.claims.final_summary(run_id, digest, redriven=received.redriven)
        if found is None:
            return None
        return RunResult(found, SweepOutcome(found["outcome"]).ok, repeated=True, stored=True)

    def _expired(self, run: Run, received: Received) -> CleanupError | None:
        """Why an apply from a queue is too old: it was first sent more than ``LIFETIME`` ago, and so was its policy.

        A report may be of any age: it changes nothing. This is done before the claim, so that the request may be sent
        again under the same run id, with its time; it is claimed only where `GET` waits for its end.
        """
        if run.mode is Mode.APPLY and not self.dry_run and received.is_queued:
            age = received.age(self.system.now(), "ask for the sweep by `POST /sweeps`")
            # For a run that goes on with its plan, the plan's age counts: some of its requests may have been sent.
            # One that was refused and sent back, or whose worker died before it had a plan, would list anew.
            if age > LIFETIME and not isinstance(self._load(run), Planned):
                return invalid_request(Code.EXPIRED, f"the sweep was first sent more than {in_words(LIFETIME)} ago")
        return None

    def _load(self, run: Run) -> Claimed | Planned:
        """The state that an earlier worker left.

        Raises
        ------
        AwsError
            If the store cannot be read: then the state is unknown, and a stored summary must stay.
        """
        report = self.store.get(key(run.run_id, "report.json"))
        if report is None:
            return Claimed(run)
        marks = self.store.get(key(run.run_id, "requests.json"))
        run = replace(run, name=report.document["name"], dry_run=report.document["dry_run"])
        if marks is not None:
            taken, keys = str(marks.document["taken"]), marks.document["keys"]
            return Requesting(run, report.document, report.sha256, taken, keys)
        told = self.store.get(key(run.run_id, "summary.json"))
        was_refused = told is not None and told.document.get("outcome") == SweepOutcome.REFUSED
        if was_refused or self.lists_again:
            return Claimed(run, replaces=report.etag)  # one that is sent back after a refusal lists and judges anew
        return Planned(run, report.document, report.sha256)

    # -- the steps ------------------------------------------------

    def _go_on(self, begun: Claimed | Planned, delivery: _Delivery) -> RunResult:
        """All steps that are left. Whatever goes wrong, the summary is made of the state that was reached."""
        state: State = begun
        try:
            if begun.run.mode is Mode.APPLY and not self.dry_run:
                state = self._hold_name(begun, delivery.deadline)
            while not isinstance(state, Done):
                state = self._step(state, delivery)
            if isinstance(state.reached, Requesting):
                self._save_marks(state.reached)
            if isinstance(state.reached, Planned):
                self._save_page(state, state.reached)
        except Exception as error:  # noqa: BLE001 - every error ends in a stored summary
            reached = state.reached if isinstance(state, Done) else state
            state = Done(reached, self._end_by(error, delivery))
            if isinstance(reached, Planned):
                with suppress(Exception):  # the summary tells the end, with or without a page
                    self._save_page(state, reached)
        return self._close(state, delivery)

    def _step(self, state: Claimed | Planned, delivery: _Delivery) -> State:
        match state:
            case Claimed():
                return self._plan(state, delivery)
            case Requesting():
                return self._request(state, delivery.deadline)
            case _:
                return self._judge_plan(state)

    def _hold_name(self, state: Claimed | Planned, deadline: Deadline) -> Claimed | Planned:
        """Hold the policy's name: two runs of one policy must not ask for the same tasks side by side."""
        run, name = state.run, state.run.name
        if run.plan_of is not None and name is None:
            name = saved.check(self.store, run.plan_of, str(run.plan_sha256), self.system.now(), run.run_id)
        until = self.system.now() + timedelta(seconds=deadline.remaining()) + NAME_MARGIN
        self.claims.hold_name(str(name), run.run_id, until)
        return replace(state, run=replace(run, name=name))

    def _plan(self, state: Claimed, delivery: _Delivery) -> Planned:
        """List, judge, and store the report."""
        report = self._report(state.run, delivery)
        run, body = replace(state.run, name=report["name"], dry_run=report["dry_run"]), encoded(report)
        planned, name = Planned(run, report, sha256_of(body)), key(run.run_id, "report.json")
        written = (
            self.store.put_new(name, body)
            if state.replaces is None
            else self.store.replace(name, body, state.replaces)
        )
        stored = None if written else self.store.get(name)
        if stored is not None and stored.sha256 != planned.sha256:
            raise RunElsewhereError  # it is not our own put, whose answer was lost
        return planned

    def _report(self, run: Run, delivery: _Delivery) -> dict[str, Any]:
        """The report of a new list. When this returns, all that it was made of is out of memory."""
        plan = self._judged(run, delivery)
        run = replace(run, name=plan.policy.name, dry_run=self.dry_run and run.mode is Mode.APPLY)
        return document(run, plan, refusals(plan))

    def _judged(self, run: Run, delivery: _Delivery) -> Plan:
        """The plan of a new list; from a saved plan, only what it selected and what is as it was goes."""
        deadline = delivery.deadline
        plan_saved = self._read_saved(run, delivery.request) if run.plan_of is not None else None
        policy = Policy.read(delivery.request) if plan_saved is None else plan_saved.policy
        started = self.system.now()
        listings = self.lister.list_all(
            policy.targets, run.run_id, deadline.within(deadline.remaining() * LIST_SHARE)
        )
        ledgers = self.ledgers.sighted(listings, started, self.system.now())
        plan = make(policy, listings, ledgers, started, run.run_id)
        return plan if plan_saved is None else saved.narrowed(plan, plan_saved)

    def _save_marks(self, state: Requesting) -> None:
        self.store.put_json(key(state.run.run_id, "requests.json"), {"taken": state.taken, "keys": state.keys})

    def _read_saved(self, run: Run, request: Mapping[str, Any]) -> SavedPlan:
        """The saved plan, with what this request protects too, under limits that can only be tighter.

        Raises
        ------
        RunRefusedError
            If it cannot be applied.
        """
        name, sha256, now = request["apply_report"], request["sha256"], self.system.now()
        saved.check(self.store, name, sha256, now, run.run_id)
        plan = saved.read(self.store, name, sha256, now)
        policy = replace(
            plan.policy,
            mode=Mode.APPLY,
            protect=plan.policy.protect | Protect.read(request.get("protect", {})),
            limits=plan.policy.limits.stricter(request.get("limits", {})),
        )
        self._refuse_regions(policy.to_dict())
        return replace(plan, policy=policy)

    def _judge_plan(self, state: Planned) -> Requesting | Done:
        """What follows from the stored report: an end, or the marks before the first request."""
        run, report = state.run, state.report
        against = tuple(Refusal(**refusal) for refusal in report["refusals"])
        if run.mode is Mode.REPORT or run.dry_run:
            return Done(state, RunEnd(SweepOutcome.REPORTED, against))
        if against:
            return Done(state, RunEnd(SweepOutcome.REFUSED, against))
        if (forbidden := self.approve(report)) is not None:
            raise refused(SweepCode.NOT_CONFIRMED, forbidden)
        self._refuse_outdated(report)
        places = asked_places(report)
        try:
            self.ledgers.ask(places, run.run_id, valid_until(report), self.system.now())
            if run.plan_of is not None:
                self.claims.take_plan(run.plan_of, run.run_id)
        except (OverlapsError, RunRefusedError):
            self.ledgers.withdraw(places, run.run_id)  # nothing is sent: the tasks are free for other runs
            raise
        keys = [result_key(request) for request in requests_of(report)]
        requesting = Requesting(run, report, state.sha256, "0" * len(keys), keys)
        self._save_marks(requesting)
        return requesting

    def _request(self, state: Requesting, deadline: Deadline) -> Done:
        """Put the requests on the bus that it has not taken yet."""
        self._refuse_outdated(state.report)
        taken = list(state.taken)
        due = [position for position, mark in enumerate(taken) if mark == "0"]
        requests = (it for it, mark in zip(requests_of(state.report), state.taken, strict=True) if mark == "0")
        ends = deadline.within(deadline.remaining() * (1 - SAVE_SHARE))
        for position, done in zip(due, self.bus.request_all(requests, ends), strict=True):
            taken[position] = "1" if done else "0"
        return Done(replace(state, taken="".join(taken)), end_by_bus(taken))

    def _refuse_outdated(self, report: Mapping[str, Any]) -> None:
        """Refuse to go on with a plan that is too old by now, or that the stack's settings forbid by now.

        Raises
        ------
        RunRefusedError
            ``DryRun``, ``PlanTooOld`` or ``RegionUnknown``.
        """
        if self.dry_run:
            raise refused(SweepCode.DRY_RUN, f"the stack's DRY_RUN does not allow this plan to go on; {_SENT_STAND}")
        now = self.system.now()
        saved.refuse_expired(parse_time(report["listed_at"]), now, f"; {_SENT_STAND}")
        if now >= valid_until(report):  # every request would be refused
            raise saved.expired(f"; {_SENT_STAND}", REQUEST_LIFETIME)
        self._refuse_regions(report["policy"], f"; {_SENT_STAND}")

    def _refuse_regions(self, policy: Mapping[str, Any], more: str = "") -> None:
        """A region can have left ``EXTRA_REGIONS`` since the plan was made: its requests would all be refused."""
        violations = list(self._region_violations(policy))
        if violations:
            named = ", ".join(violation.pointer for violation in violations)
            message = f"the report's policy has regions that its services do not have: {named}{more}"
            raise refused(SweepCode.REGION_UNKNOWN, message)

    # -- the end ------------------------------------------------

    def _save_page(self, state: Done, reached: Planned) -> None:
        places = self.places(reached.run.run_id)
        self.store.put_page(places["html"], page(self._whole(state), {**places, "sha256": reached.sha256}))

    def _close(self, state: Done, delivery: _Delivery) -> RunResult:
        """Store the summary: from here on the run is over, unless it comes again.

        If it cannot be stored, it is told all the same, and that the run failed.
        """
        run, result = state.reached.run, self._result(state, delivery)
        try:
            self.store.put_json(key(run.run_id, "summary.json"), result.summary)
        except AwsError as error:
            return self._result(replace(state, end=self._end_by(error, delivery)), delivery)
        if run.mode is Mode.APPLY and run.name is not None and result.summary["final"]:
            self.claims.release_name(run.name, run.run_id)
        return replace(result, stored=True)

    def _whole(self, state: Done) -> dict[str, Any]:
        """The report, or what there is without one, with the end and the counts of the requests."""
        reached = state.reached
        report = reached.report if isinstance(reached, Planned) else document(reached.run, None, ())
        taken = reached.taken if isinstance(reached, Requesting) else ""
        return ended(report, state.end, taken, self.system.now())

    def _result(self, state: Done, delivery: _Delivery | None = None) -> RunResult:
        """The result with its summary, which is not stored here."""
        end, reached = state.end, state.reached
        failed = end.outcome is SweepOutcome.FAILED
        retryable = failed and end.error is not None and end.error.category in RETRY_LATER
        final = not (retryable and delivery is not None and delivery.comes_again)
        places = None
        if isinstance(reached, Planned):
            places = {**self.places(reached.run.run_id), "sha256": reached.sha256}
        return RunResult(summary(self._whole(state), places, final=final), end.outcome.ok, retryable)

    def _unstored(self, state: Done, delivery: _Delivery) -> RunResult:
        """The result of a delivery that did not get as far as the run's state.

        It is not stored: the run may be another worker's, or another request's, whose summary must stay. Where an
        earlier delivery may have sent requests, it does not say that there are none: the counts are the stored ones,
        or unknown.
        """
        run, result = state.reached.run, self._result(state, delivery)
        if result.elsewhere or result.summary["outcome"] != SweepOutcome.FAILED or run.mode is Mode.REPORT:
            return result
        try:
            told = self.store.get(key(run.run_id, "summary.json"))
            sent = told is not None or self.store.get(key(run.run_id, "requests.json")) is not None
        except AwsError:
            told, sent = None, True
        counts = {"totals": None} if sent else {}
        if told is not None:
            counts = {name: told.document[name] for name in ("totals", "targets", "policy", "listed_at", "report")}
        return replace(result, summary={**result.summary, **counts})

    def places(self, run_id: str) -> dict[str, str]:
        """Where a run's report is, or will be."""
        return {
            "bucket": self.store.place,
            "json": key(run_id, "report.json"),
            "html": key(run_id, "index.html"),
        }

    def _end_by(self, error: Exception, delivery: _Delivery) -> RunEnd:
        """How an exception ends a run. The text of an unforeseen one may hold anything, so it is not repeated."""
        match error:
            case RunRefusedError():
                return RunEnd(SweepOutcome.REFUSED, error.refusals)
            case CleanupError():
                return RunEnd(SweepOutcome.REFUSED, (_refusal_of(error),))
            case OverlapsError():
                message = f"the run {error.run_id} applies a policy of the same name, or has asked for the same tasks"
                if not delivery.comes_again:
                    return RunEnd(SweepOutcome.REFUSED, (Refusal(SweepCode.OVERLAPS, message),))
                found = Error(Category.CONFLICT, SweepCode.OVERLAPS, message)
            case RunElsewhereError():
                found = Error(Category.CONFLICT, SweepCode.SWEEP_RUNNING, "another worker holds this run")
            case AwsError():
                code = SweepCode.BUS_ERROR if error.service == "events" else SweepCode.STORE_ERROR
                found = Error(Category.UNAVAILABLE, code, f"AWS refused a call ({error.code})")
            case _:
                found = Error(Category.INTERNAL, Code.INTERNAL_ERROR, f"unforeseen {type(error).__name__}")
        return RunEnd(SweepOutcome.FAILED, error=found)


def _refusal_of(error: CleanupError) -> Refusal:
    return Refusal(str(error.code), error.message)
