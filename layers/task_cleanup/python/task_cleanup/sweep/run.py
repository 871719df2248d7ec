"""One sweep, from its request to its end: list, judge, check, save the plan, request, save the summary.

A run happens once. Its first worker claims it with a conditional put and holds it for as long as it can live; a
second delivery finds the summary and does nothing, or finds the claim and comes again later. A worker that dies
leaves its plan: the next one goes on from there and never selects anew.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from task_cleanup.errors import Category, CleanupError, Code, invalid_request
from task_cleanup.results import Error
from task_cleanup.sweep.bus import Bus, BusError
from task_cleanup.sweep.delete_events import requests_of
from task_cleanup.sweep.lister import Lister
from task_cleanup.sweep.page import page
from task_cleanup.sweep.plan import LIFETIME, Plan, Refusal, make, refusals
from task_cleanup.sweep.policy import Mode, Policy, Protect
from task_cleanup.sweep.report import Run, RunEnd, SweepOutcome, document, read_plan, summary, unreadable
from task_cleanup.sweep.selection import Decision, Judged, protection
from task_cleanup.sweep.services import region_violations
from task_cleanup.sweep.store import Store, Stored, StoreError, key
from task_cleanup.system import Deadline, System
from task_cleanup.times import in_words, parse_time, rfc3339
from task_cleanup.triggers import Received
from task_cleanup.validation import RequestValidator, Violation

LIST_SHARE = 0.6  # of the time; the rest is for requests and documents
SAVE_SHARE = 0.1
LEASE_MARGIN = timedelta(seconds=60)  # between two machines' clocks

_RUNNING = "SweepRunning"
_SENT_STAND = "requests that were sent before stand"

RUN_ID_REUSED = "RunIdReused"
REUSED = "another request has used this run id: leave `run_id` out, or give a new one"

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
        """Whether another worker is at this run: it will tell how it ends."""
        return (self.summary["error"] or {}).get("code") == _RUNNING

    @property
    def run_id(self) -> str:
        """The run's id."""
        return str(self.summary["run_id"])


class _RefusedError(Exception):
    """Nothing is requested, and this is why."""

    def __init__(self, *found: Refusal) -> None:
        super().__init__(found[0].code)
        self.refusals = found


class _ElsewhereError(Exception):
    """Another worker holds the run."""


def run_id_of(text: str) -> str:
    """A trigger's id as a run's id: itself where it can be a part of a key, else its readable end and its digest."""
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

    def sweep(self, received: Received, deadline: Deadline) -> RunResult:
        """Do what was asked, once. Never raises: whatever goes wrong is a summary that says so."""
        run = Run(run_id_of(received.origin_id), self.system.now(), received.requested_by)
        try:
            request = self.accept(received)
        except CleanupError as error:
            return self._ended(run, None, RunEnd(SweepOutcome.REFUSED, (_refusal_of(error),)))
        run = replace(
            run,
            run_id=request.get("run_id", run.run_id),
            name=request.get("name"),
            mode=Mode.APPLY if "apply_report" in request else Mode(request["mode"]),
            plan_of=request.get("apply_report"),
        )
        try:
            return self._once(run, request, received, deadline)
        except Exception as error:  # noqa: BLE001 - whatever it was, a summary says it
            return self._ended(run, None, _ending_by(error))

    def accept(self, received: Received) -> dict[str, Any]:
        """The validated request.

        Raises
        ------
        CleanupError
            ``invalid_request``.
        """
        if received.unreadable is not None:
            raise received.unreadable
        request = self.validator.validate(received.request, self._region_violations)
        if "apply_report" not in request:
            Policy.read(request)
        return request

    def _region_violations(self, request: Mapping[str, Any]) -> Iterable[Violation]:
        return region_violations(request, self.extra_regions)

    # -- once ------------------------------------------------

    def _once(self, run: Run, request: Mapping[str, Any], received: Received, deadline: Deadline) -> RunResult:
        digest = digest_of(request)
        done = self._done(run.run_id, digest, redriven=received.redriven)
        if done is not None:
            return done
        self._refuse_by_age(run, received)
        until = self._claim(run.run_id, digest, deadline)
        try:
            # Once more: another worker may have ended the run between the look and the claim.
            done = self._done(run.run_id, digest, redriven=received.redriven)
            return self._carried_out(run, request, deadline) if done is None else done
        finally:
            self._release(run.run_id, digest, until)

    def _carried_out(self, run: Run, request: Mapping[str, Any], deadline: Deadline) -> RunResult:
        try:
            return self._carry_out(run, request, deadline)
        except Exception as error:  # noqa: BLE001 - whatever it was, who asks for the run is told
            return self._told(run, None, _ending_by(error))

    def _done(self, run_id: str, digest: str, *, redriven: bool) -> RunResult | None:
        """The run's end, where it has one that stands."""
        done = self.store.get(key(run_id, "summary.json"))
        if done is None or _may_go_on(done, redriven=redriven):
            return None
        if self._claimed_for(run_id) != digest:
            raise _RefusedError(_reused())
        return RunResult(done.document, SweepOutcome(done.document["outcome"]).ok, repeated=True, stored=True)

    def _refuse_by_age(self, run: Run, received: Received) -> None:
        """An apply from a queue must tell when it was first sent, at most ``LIFETIME`` ago: its policy is as old.

        A report may be of any age: it changes nothing.

        This comes before the claim, so that the same request may be sent again under the same run id, with its time.
        """
        if run.mode is Mode.APPLY and not self.dry_run and received.is_queued:
            age = received.age(self.system.now(), "ask for the sweep by `POST /sweeps`")
            # A run that has begun goes by the age of its plan: some of its requests may be out, and its end says so.
            if age > LIFETIME and self._claimed_for(run.run_id) is None:
                raise invalid_request(Code.EXPIRED, f"the sweep was first sent more than {in_words(LIFETIME)} ago")

    def _claimed_for(self, run_id: str) -> object:
        claim = self.store.get(key(run_id, "claim.json"))
        return None if claim is None else claim.document.get("digest")

    def _claim(self, run_id: str, digest: str, deadline: Deadline) -> datetime:
        """Hold the run for as long as this worker can live; until when."""
        name = key(run_id, "claim.json")
        until = self.system.now() + timedelta(seconds=deadline.remaining()) + LEASE_MARGIN
        mine = {"digest": digest, "lease_until": rfc3339(until), "worker": self.system.nonce()}
        if self.store.put_new(name, mine):
            return until
        held = self.store.get(name)
        if held is None:
            raise _ElsewhereError
        if held.document == mine:
            return until  # the first answer was lost, and the library's second try met our own claim
        if held.document.get("digest") != digest:
            raise _RefusedError(_reused())
        if parse_time(held.document["lease_until"]) > self.system.now():
            raise _ElsewhereError
        if self.store.replace(name, mine, held.etag):
            return until
        held = self.store.get(name)
        if held is None or held.document != mine:
            raise _ElsewhereError
        return until

    def _release(self, run_id: str, digest: str, until: datetime) -> None:
        """A run that ended, well or badly, keeps nobody waiting. If this fails, the lease ends by itself."""
        now = self.system.now()
        if now < until:  # later it may be somebody else's
            with suppress(StoreError):
                self.store.put_json(key(run_id, "claim.json"), {"digest": digest, "lease_until": rfc3339(now)})

    # -- the straight line ------------------------------------------------

    def _carry_out(self, run: Run, request: Mapping[str, Any], deadline: Deadline) -> RunResult:
        run = replace(run, dry_run=self.dry_run and run.mode is Mode.APPLY)
        saved = self.store.get(key(run.run_id, "report.json"))
        if saved is not None and saved.document.get("outcome") == SweepOutcome.PLANNED:
            plan = read_plan(saved.document)  # a worker died, or the bus failed it: never select anew
            self._refuse_expired(plan, f"; {_SENT_STAND}")
            self._refuse_regions(plan, f"; {_SENT_STAND}")
            run = replace(run, name=plan.policy.name)
            return self._request(run, plan, deadline)
        plan = self._plan(run, request, deadline)
        run = replace(run, name=plan.policy.name)
        against = refusals(plan)
        if run.mode is Mode.REPORT or run.dry_run:
            return self._save(run, plan, RunEnd(SweepOutcome.REPORTED, against))
        if against:
            return self._save(run, plan, RunEnd(SweepOutcome.REFUSED, against))
        if run.plan_of is not None:
            self._take_plan(run)
        planned = document(run, plan, RunEnd(SweepOutcome.PLANNED), self.system.now())
        self.store.put_json(key(run.run_id, "report.json"), planned)
        return self._request(run, plan, deadline)

    def _plan(self, run: Run, request: Mapping[str, Any], deadline: Deadline) -> Plan:
        if "apply_report" in request:
            return self._saved_plan(request)
        policy = Policy.read(request)
        now = self.system.now()
        listing_ends = deadline.within(deadline.remaining() * LIST_SHARE)
        return make(policy, self.lister.list_all(policy.targets, run.run_id, listing_ends), now)

    def _request(self, run: Run, plan: Plan, deadline: Deadline) -> RunResult:
        """Ask for every selected task's delete, but for those whose requests the bus took before."""
        if self.dry_run:
            raise _RefusedError(
                Refusal("DryRun", f"the stack's DRY_RUN forbids to go on with this plan; {_SENT_STAND}")
            )
        name = key(run.run_id, "requests.json")
        before = self.store.get(name)
        known = str(before.document["taken"]) if before is not None else ""
        asked = list(requests_of(plan, run.run_id))
        taken = [known[position : position + 1] == "1" for position in range(len(asked))]
        due = [position for position, done in enumerate(taken) if not done]
        ends = deadline.within(deadline.remaining() * (1 - SAVE_SHARE))
        for position, done in zip(due, self.bus.request_all((asked[it] for it in due), ends), strict=True):
            taken[position] = done
        try:
            self.store.put_json(name, {"taken": "".join("1" if done else "0" for done in taken)})
            return self._save(run, plan, _ending_of(taken))
        except Exception as error:  # noqa: BLE001 - the requests are out: the summary must not say that there are none
            return self._told(run, plan, replace(_ending_by(error), taken=taken))

    # -- a saved plan ------------------------------------------------

    def _saved_plan(self, request: Mapping[str, Any]) -> Plan:
        """Exactly the tasks of the report, less what is protected now, under limits that can only be tighter."""
        name = request["apply_report"]
        stored = self.store.get(name)
        if stored is None:
            raise _RefusedError(Refusal("ReportNotFound", f"there is no {name}"))
        try:
            plan = read_plan(stored.document)
            if key(str(stored.document.get("run_id")), "report.json") != name:
                raise unreadable()
        except CleanupError as error:
            raise _RefusedError(_refusal_of(error)) from None
        if stored.document.get("outcome") != SweepOutcome.REPORTED:
            raise _RefusedError(Refusal("ReportNotAPlan", "only a sweep that requested nothing can be applied"))
        if (original := stored.document.get("plan_of")) is not None:
            # A plan is carried out once. What a dry run made of one is the same plan under another key.
            raise _RefusedError(Refusal("ReportNotAPlan", f"it repeats another report: apply {original}"))
        if self.system.now() - stored.modified > LIFETIME:
            raise _RefusedError(_expired())
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
            raise _RefusedError(_expired(more))

    def _refuse_regions(self, plan: Plan, more: str = "") -> None:
        """A region can have left ``EXTRA_REGIONS`` since the plan was made: its requests would all be refused."""
        violations = list(self._region_violations(plan.policy.to_dict()))
        if violations:
            named = ", ".join(violation.pointer for violation in violations)
            raise _RefusedError(
                Refusal(
                    "RegionUnknown", f"the report's policy has regions that its services do not have: {named}{more}"
                )
            )

    def _take_plan(self, run: Run) -> None:
        """A plan is carried out once, by one run."""
        name = f"{str(run.plan_of).rpartition('/')[0]}/applied.json"
        if self.store.put_new(name, {"run_id": run.run_id}):
            return
        taken = self.store.get(name)
        other = None if taken is None else taken.document.get("run_id")
        if other != run.run_id:
            raise _RefusedError(Refusal("AlreadyApplied", f"the run {other} has applied this report"))

    # -- endings ------------------------------------------------

    def _save(self, run: Run, plan: Plan, ending: RunEnd) -> RunResult:
        """Write what there is to read, the summary last: it is what makes the run done."""
        report = document(run, plan, ending, self.system.now())
        if ending.outcome in (SweepOutcome.REPORTED, SweepOutcome.REFUSED):
            self.store.put_json(key(run.run_id, "report.json"), report)
        self.store.put_page(key(run.run_id, "index.html"), page(report))
        ended = self._ended(run, plan, ending, report)
        self.store.put_json(key(run.run_id, "summary.json"), ended.summary)
        return replace(ended, stored=True)

    def _told(self, run: Run, plan: Plan | None, ending: RunEnd) -> RunResult:
        """The summary alone, where something went wrong."""
        ended = self._ended(run, plan, ending)
        try:
            self.store.put_json(key(run.run_id, "summary.json"), ended.summary)
        except StoreError as error:
            return self._ended(run, plan, replace(_ending_by(error), taken=ending.taken))
        return replace(ended, stored=True)

    def _ended(self, run: Run, plan: Plan | None, ending: RunEnd, report: dict[str, Any] | None = None) -> RunResult:
        described = summary(report or document(run, plan, ending, self.system.now()))
        described["report"] = self.places(run.run_id) if report is not None else None
        retryable = ending.outcome is SweepOutcome.FAILED and ending.error is not None and _is_retryable(ending.error)
        return RunResult(described, ending.outcome.ok, retryable)

    def places(self, run_id: str) -> dict[str, str]:
        """Where a run's report is, or will be."""
        return {
            "bucket": self.store.bucket,
            "json": key(run_id, "report.json"),
            "html": key(run_id, "index.html"),
        }


def digest_of(request: Mapping[str, Any]) -> str:
    """Tells requests apart that came under one run id. Of the validated request, defaults included."""
    asked = {name: value for name, value in request.items() if name != "run_id"}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _may_go_on(done: Stored, *, redriven: bool) -> bool:
    """A failed run goes on when it comes again; a refused one only when somebody sent it back on purpose."""
    outcome = done.document.get("outcome")
    return outcome == SweepOutcome.FAILED or (outcome == SweepOutcome.REFUSED and redriven)


def _ending_by(error: Exception) -> RunEnd:
    """What an exception means. The text of one that nobody foresaw may hold anything, so it is not repeated."""
    match error:
        case _RefusedError():
            return RunEnd(SweepOutcome.REFUSED, error.refusals)
        case CleanupError():
            return RunEnd(SweepOutcome.REFUSED, (_refusal_of(error),))
        case _ElsewhereError():
            found = Error(Category.CONFLICT, _RUNNING, "another worker is at this run")
        case StoreError() | BusError():
            found = Error(Category.UNAVAILABLE, type(error).__name__, f"AWS refused a call ({error})")
        case _:
            found = Error(Category.INTERNAL, "InternalError", f"unforeseen {type(error).__name__}")
    return RunEnd(SweepOutcome.FAILED, error=found)


def _ending_of(taken: list[bool]) -> RunEnd:
    if all(taken):
        return RunEnd(SweepOutcome.REQUESTED, taken=taken)
    message = f"the bus did not take {taken.count(False)} of {len(taken)} requests"
    return RunEnd(SweepOutcome.FAILED, error=Error(Category.UNAVAILABLE, "RequestsNotTaken", message), taken=taken)


def _protected(item: Judged, protect: Protect) -> Judged:
    if item.decision is not Decision.SELECTED:
        return item
    guard = protection(protect, item.task.task_id, item.task.name)
    return item if guard is None else replace(item, decision=Decision.PROTECTED, why=guard, stop=False)


def _is_retryable(error: Error) -> bool:
    return error.category in (Category.UNAVAILABLE, Category.CONFLICT)


def _refusal_of(error: CleanupError) -> Refusal:
    return Refusal(str(error.code), error.message)


def _reused() -> Refusal:
    return Refusal(RUN_ID_REUSED, REUSED)


def _expired(more: str = "") -> Refusal:
    return Refusal("PlanTooOld", f"the plan is older than {LIFETIME.days} day: make a new report{more}")
