"""One sweep, from its request to its summary: claim, plan, save, request, close.

``claims`` lets one worker at a time do a run, once. A worker that dies leaves its plan in the bucket, as a report
with the outcome ``planned``: the next one goes on from there and never selects anew.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from task_cleanup.errors import RETRY_LATER, Category, CleanupError, Code, SweepCode, invalid_request
from task_cleanup.results import Error
from task_cleanup.sweep.bus import Bus, BusError
from task_cleanup.sweep.claims import LEASE_MARGIN, Claims, RunElsewhereError, digest_of
from task_cleanup.sweep.delete_events import requests_of
from task_cleanup.sweep.lister import Lister
from task_cleanup.sweep.page.render import page
from task_cleanup.sweep.plan import LIFETIME, Plan, Refusal, RunRefusedError, make, refusals
from task_cleanup.sweep.policy import Mode, Policy, Protect
from task_cleanup.sweep.report import Run, RunEnd, SweepOutcome, document, read_plan, summary, unreadable
from task_cleanup.sweep.selection import Decision, Judged, protection
from task_cleanup.sweep.services import region_violations
from task_cleanup.sweep.store import Store, StoreError, key
from task_cleanup.system import Deadline, System
from task_cleanup.times import in_words
from task_cleanup.triggers import Received
from task_cleanup.validation import RequestValidator, Violation

LIST_SHARE = 0.6  # of the time; the rest is for requests and documents
SAVE_SHARE = 0.1

_SENT_STAND = "requests that were sent before are not withdrawn"

_RUN_ID = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class RunResult:
    """A run's summary. ``repeated``: an earlier delivery did it; ``stored``: the summary is in the bucket."""

    summary: dict[str, Any]
    ok: bool
    retryable: bool = False
    repeated: bool = False
    stored: bool = False

    @property
    def elsewhere(self) -> bool:
        """Whether another worker holds this run, and will publish its summary."""
        return (self.summary["error"] or {}).get("code") == SweepCode.SWEEP_RUNNING

    @property
    def run_id(self) -> str:
        """The run's id."""
        return str(self.summary["run_id"])


@dataclass(frozen=True)
class _Planned:
    """A run and its plan. The run has the policy's name by now, and ``dry_run`` if the stack forces it."""

    run: Run
    plan: Plan


def run_id_of(text: str) -> str:
    """A trigger's id as a run's id: itself if it can be a part of a key, else its readable end and its digest."""
    if _RUN_ID.fullmatch(text):
        return text
    readable = re.sub("[^A-Za-z0-9._-]+", "-", text)[-60:].lstrip("._-")
    return f"{readable or 'run'}-{hashlib.sha256(text.encode(errors='backslashreplace')).hexdigest()[:16]}"


@dataclass(frozen=True)
class Sweeper:
    """Everything a sweep needs. ``dry_run`` makes a report of every sweep; ``extra_regions`` are by service id."""

    validator: RequestValidator
    lister: Lister
    store: Store
    bus: Bus
    system: System
    dry_run: bool
    extra_regions: Mapping[str, Collection[str]]

    @cached_property
    def claims(self) -> Claims:
        """The claims of the same bucket."""
        return Claims(self.store, self.system)

    def sweep(self, received: Received, deadline: Deadline) -> RunResult:
        """Do what was asked, once. Never raises: whatever goes wrong is a summary that says so."""
        run = Run(run_id_of(received.origin_id), self.system.now(), received.requested_by)
        try:
            request = self.accept(received)
        except CleanupError as error:
            return self._build_result(run, None, RunEnd(SweepOutcome.REFUSED, (_refusal_of(error),)))
        run = replace(
            run,
            run_id=request.get("run_id", run.run_id),
            name=request.get("name"),
            mode=Mode.APPLY if "apply_report" in request else Mode(request["mode"]),
            plan_of=request.get("apply_report"),
        )
        try:
            return self._run_under_claim(run, request, received, deadline)
        except Exception as error:  # noqa: BLE001 - every error ends in a summary
            return self._build_result(run, None, _end_by(error))

    def accept(self, received: Received) -> dict[str, Any]:
        """The validated request.

        Raises
        ------
        CleanupError
            ``invalid_request``, where the request cannot be read, is not of the schema, or has a target twice.
        """
        if received.unreadable is not None:
            raise received.unreadable
        request = self.validator.validate(received.request, self._region_violations)
        if "apply_report" not in request:
            Policy.read(request)
        return request

    def _region_violations(self, request: Mapping[str, Any]) -> Iterable[Violation]:
        return region_violations(request, self.extra_regions)

    # -- claim ------------------------------------------------

    def _run_under_claim(
        self, run: Run, request: Mapping[str, Any], received: Received, deadline: Deadline
    ) -> RunResult:
        """Claim the run and do it, or return the summary of the delivery that did.

        What is raised here is returned and not stored: the run may be another worker's, or another request's, and its
        summary must not be overwritten.
        """
        digest = digest_of(request)
        done = self._find_result(run.run_id, digest, received)
        if done is not None:
            return done
        self._refuse_by_age(run, received)
        until = self.claims.claim(run.run_id, digest, deadline)
        try:
            # Once more: another worker may have ended the run between the look and the claim.
            done = self._find_result(run.run_id, digest, received)
            return self._plan_and_request(run, request, deadline) if done is None else done
        finally:
            self.claims.release(run.run_id, digest, until)

    def _find_result(self, run_id: str, digest: str, received: Received) -> RunResult | None:
        found = self.claims.final_summary(run_id, digest, redriven=received.redriven)
        if found is None:
            return None
        return RunResult(found, SweepOutcome(found["outcome"]).ok, repeated=True, stored=True)

    def _refuse_by_age(self, run: Run, received: Received) -> None:
        """Refuse an apply from a queue if it was first sent more than ``LIFETIME`` ago, or at an unknown time.

        Its policy is as old. A report may be of any age: it changes nothing.

        This is done before the claim, so that the request may be sent again under the same run id, with its time.
        """
        if run.mode is Mode.APPLY and not self.dry_run and received.is_queued:
            age = received.age(self.system.now(), "ask for the sweep by `POST /sweeps`")
            # For a run that has begun, the age of its plan counts: some of its requests may have been sent already.
            if age > LIFETIME and self.claims.digest_claimed(run.run_id) is None:
                raise invalid_request(Code.EXPIRED, f"the sweep was first sent more than {in_words(LIFETIME)} ago")

    def _plan_and_request(self, run: Run, request: Mapping[str, Any], deadline: Deadline) -> RunResult:
        """The other phases, under the claim: plan, save, request, close. Whatever goes wrong, a summary is stored.

        From the moment that requests are on the bus, every summary of the run counts them.
        """
        requested: tuple[_Planned, Sequence[bool]] | None = None
        try:
            resumed = self._resume(run)
            planned, end = resumed or self._plan(run, request, deadline)
            if end is None and resumed is None:
                self._save_plan(planned)
            if end is None:
                taken = self._request(planned, deadline)
                requested = planned, taken
                self._save_taken(run.run_id, taken)
                end = _end_by_bus(taken)
            return self._close(planned.run, planned.plan, end, self._save_report(planned, end))
        except Exception as error:  # noqa: BLE001 - every error ends in a stored summary
            return self._close_failed(run, requested, error)

    # -- plan and save ------------------------------------------------

    def _resume(self, run: Run) -> tuple[_Planned, None] | None:
        """The plan that an earlier worker saved, and whose requests are to be sent: it died, or the bus failed it."""
        saved = self.store.get(key(run.run_id, "report.json"))
        if saved is None or saved.document.get("outcome") != SweepOutcome.PLANNED:
            return None
        plan = read_plan(saved.document)
        self._refuse_expired(plan, f"; {_SENT_STAND}")
        self._refuse_regions(plan, f"; {_SENT_STAND}")
        return self._planned(run, plan), None

    def _plan(self, run: Run, request: Mapping[str, Any], deadline: Deadline) -> tuple[_Planned, RunEnd | None]:
        """The plan, and how the run ends by it; None if its deletes are to be requested."""
        plan = self._read_saved_plan(request) if run.plan_of else self._list_and_judge(run, request, deadline)
        planned = self._planned(run, plan)
        against = refusals(plan)
        if run.mode is Mode.REPORT or planned.run.dry_run:
            return planned, RunEnd(SweepOutcome.REPORTED, against)
        return planned, RunEnd(SweepOutcome.REFUSED, against) if against else None

    def _save_plan(self, planned: _Planned) -> None:
        """Store the plan before its requests are sent, so that another worker can go on with it."""
        run = planned.run
        if run.plan_of is not None:
            self.claims.take_plan(run.plan_of, run.run_id)
        saved = document(run, planned.plan, RunEnd(SweepOutcome.PLANNED), self.system.now())
        self.store.put_json(key(run.run_id, "report.json"), saved)

    def _planned(self, run: Run, plan: Plan) -> _Planned:
        forced = self.dry_run and run.mode is Mode.APPLY
        return _Planned(replace(run, name=plan.policy.name, dry_run=forced), plan)

    def _list_and_judge(self, run: Run, request: Mapping[str, Any], deadline: Deadline) -> Plan:
        policy = Policy.read(request)
        now = self.system.now()
        listing_ends = deadline.within(deadline.remaining() * LIST_SHARE)
        return make(policy, self.lister.list_all(policy.targets, run.run_id, listing_ends), now)

    # -- request ------------------------------------------------

    def _request(self, planned: _Planned, deadline: Deadline) -> list[bool]:
        """Put the requests on the bus that it has not taken before; for each selected task, whether it has now.

        Raises
        ------
        RunRefusedError
            ``DryRun``, where the stack forbids requests since the plan was saved.
        StoreError
            If what an earlier worker has sent cannot be read.
        """
        if self.dry_run:
            raise _refused(SweepCode.DRY_RUN, f"the stack's DRY_RUN forbids to go on with this plan; {_SENT_STAND}")
        run_id = planned.run.run_id
        before = self.store.get(key(run_id, "requests.json"))
        known = str(before.document["taken"]) if before is not None else ""
        asked = list(requests_of(planned.plan, run_id))
        taken = [known[position : position + 1] == "1" for position in range(len(asked))]
        due = [position for position, done in enumerate(taken) if not done]
        ends = deadline.within(deadline.remaining() * (1 - SAVE_SHARE))
        for position, done in zip(due, self.bus.request_all((asked[it] for it in due), ends), strict=True):
            taken[position] = done
        return taken

    def _save_taken(self, run_id: str, taken: Sequence[bool]) -> None:
        """Note which requests the bus took, so that a worker that goes on with this run does not send them again."""
        self.store.put_json(key(run_id, "requests.json"), {"taken": "".join("1" if done else "0" for done in taken)})

    # -- a saved plan ------------------------------------------------

    def _read_saved_plan(self, request: Mapping[str, Any]) -> Plan:
        """Exactly the tasks of the report, less what is protected now, under limits that can only be tighter."""
        name = request["apply_report"]
        stored = self.store.get(name)
        if stored is None:
            raise _refused(SweepCode.REPORT_NOT_FOUND, f"there is no {name}")
        try:
            plan = read_plan(stored.document)
            if key(str(stored.document.get("run_id")), "report.json") != name:
                raise unreadable()
        except CleanupError as error:
            raise RunRefusedError(_refusal_of(error)) from None
        if stored.document.get("outcome") != SweepOutcome.REPORTED:
            raise _refused(SweepCode.REPORT_NOT_A_PLAN, "only a sweep that requested nothing can be applied")
        if (original := stored.document.get("plan_of")) is not None:
            # A plan is carried out once. What a dry run made of one is the same plan under another key.
            raise _refused(SweepCode.REPORT_NOT_A_PLAN, f"it repeats another report: apply {original}")
        if self.system.now() - stored.modified > LIFETIME:
            raise _expired()
        self._refuse_expired(plan)
        self._refuse_regions(plan)
        policy = replace(
            plan.policy,
            mode=Mode.APPLY,
            protect=plan.policy.protect | Protect.read(request.get("protect", {})),
            limits=plan.policy.limits.stricter(request.get("limits", {})),
        )
        targets = tuple(
            replace(target, judged=tuple(_protected(item, policy.protect) for item in target.judged))
            for target in plan.targets
        )
        return Plan(policy, plan.listed_at, targets)

    def _refuse_expired(self, plan: Plan, more: str = "") -> None:
        age = self.system.now() - plan.listed_at
        if not -LEASE_MARGIN <= age <= LIFETIME:  # a plan from the future has no age that could be judged
            raise _expired(more)

    def _refuse_regions(self, plan: Plan, more: str = "") -> None:
        """A region can have left ``EXTRA_REGIONS`` since the plan was made: its requests would all be refused."""
        violations = list(self._region_violations(plan.policy.to_dict()))
        if violations:
            named = ", ".join(violation.pointer for violation in violations)
            raise _refused(
                SweepCode.REGION_UNKNOWN,
                f"the report's policy has regions that its services do not have: {named}{more}",
            )

    # -- close ------------------------------------------------

    def _save_report(self, planned: _Planned, end: RunEnd) -> dict[str, Any]:
        """Write the page, and the report unless the run has requests: its stored report stays the plan."""
        run_id, report = planned.run.run_id, document(planned.run, planned.plan, end, self.system.now())
        if end.outcome in (SweepOutcome.REPORTED, SweepOutcome.REFUSED):
            self.store.put_json(key(run_id, "report.json"), report)
        self.store.put_page(key(run_id, "index.html"), page(report))
        return report

    def _close(self, run: Run, plan: Plan | None, end: RunEnd, report: dict[str, Any] | None = None) -> RunResult:
        """Store the summary: from here on the run is over, and later deliveries find it."""
        result = self._build_result(run, plan, end, report)
        self.store.put_json(key(run.run_id, "summary.json"), result.summary)
        return replace(result, stored=True)

    def _close_failed(
        self, run: Run, requested: tuple[_Planned, Sequence[bool]] | None, error: Exception
    ) -> RunResult:
        """Store the summary of a run that an exception ended; if that fails too, return what failed last."""
        plan: Plan | None = None
        taken: Sequence[bool] = ()
        if requested is not None:
            planned, taken = requested
            run, plan = planned.run, planned.plan
        try:
            return self._close(run, plan, replace(_end_by(error), taken=taken))
        except StoreError as unstored:
            return self._build_result(run, plan, replace(_end_by(unstored), taken=taken))

    def _build_result(
        self, run: Run, plan: Plan | None, end: RunEnd, report: dict[str, Any] | None = None
    ) -> RunResult:
        """The result with its summary, which is not stored here. The summary says where the report is, if one is."""
        described = summary(report or document(run, plan, end, self.system.now()))
        described["report"] = self.places(run.run_id) if report is not None else None
        retryable = end.outcome is SweepOutcome.FAILED and end.error is not None and end.error.category in RETRY_LATER
        return RunResult(described, end.outcome.ok, retryable)

    def places(self, run_id: str) -> dict[str, str]:
        """Where a run's report is, or will be."""
        return {
            "bucket": self.store.bucket,
            "json": key(run_id, "report.json"),
            "html": key(run_id, "index.html"),
        }


def _end_by(error: Exception) -> RunEnd:
    """How an exception ends a run. The text of an unforeseen one may hold anything, so it is not repeated."""
    match error:
        case RunRefusedError():
            return RunEnd(SweepOutcome.REFUSED, error.refusals)
        case CleanupError():
            return RunEnd(SweepOutcome.REFUSED, (_refusal_of(error),))
        case RunElsewhereError():
            found = Error(Category.CONFLICT, SweepCode.SWEEP_RUNNING, "another worker holds this run")
        case StoreError():
            found = Error(Category.UNAVAILABLE, SweepCode.STORE_ERROR, f"AWS refused a call ({error.code})")
        case BusError():
            found = Error(Category.UNAVAILABLE, SweepCode.BUS_ERROR, f"AWS refused a call ({error.code})")
        case _:
            found = Error(Category.INTERNAL, Code.INTERNAL_ERROR, f"unforeseen {type(error).__name__}")
    return RunEnd(SweepOutcome.FAILED, error=found)


def _end_by_bus(taken: Sequence[bool]) -> RunEnd:
    """How a run ends whose requests have been sent: failed if the bus did not take all."""
    if all(taken):
        return RunEnd(SweepOutcome.REQUESTED, taken=taken)
    message = f"the bus did not take {taken.count(False)} of {len(taken)} requests"
    error = Error(Category.UNAVAILABLE, SweepCode.REQUESTS_NOT_TAKEN, message)
    return RunEnd(SweepOutcome.FAILED, error=error, taken=taken)


def _protected(item: Judged, protect: Protect) -> Judged:
    """The task as an apply sees it: a selected one that is protected by now is kept."""
    if item.decision is not Decision.SELECTED:
        return item
    guard = protection(protect, item.task.task_id, item.task.name)
    return item if guard is None else replace(item, decision=Decision.PROTECTED, why=guard, stop=False)


def _refusal_of(error: CleanupError) -> Refusal:
    return Refusal(str(error.code), error.message)


def _refused(code: SweepCode, message: str) -> RunRefusedError:
    return RunRefusedError(Refusal(code, message))


def _expired(more: str = "") -> RunRefusedError:
    message = f"the plan is older than {LIFETIME.days} day: make a new report{more}"
    return _refused(SweepCode.PLAN_TOO_OLD, message)
