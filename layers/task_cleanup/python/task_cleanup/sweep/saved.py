"""Saved reports as plans: which of them can be applied, and what they selected.

A report is a plan if its run ended as ``reported``, if its bytes have the digest that the request names, and for
``LIFETIME`` after its tasks were listed. One run can apply it, once.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from task_cleanup.errors import CleanupError, SweepCode
from task_cleanup.looking import differences
from task_cleanup.sweep.claims import LEASE_MARGIN
from task_cleanup.sweep.plan import LIFETIME, Place, Plan, Refusal, RunRefusedError, TargetPlan, place_of
from task_cleanup.sweep.policy import Policy, SweepTarget
from task_cleanup.sweep.report import REPORT_VERSION, SweepOutcome
from task_cleanup.sweep.selection import Decision, Judged
from task_cleanup.sweep.services import SERVICES
from task_cleanup.sweep.store import PREFIX, Store
from task_cleanup.tasks import Status, Task
from task_cleanup.times import in_words, parse_time


@dataclass(frozen=True)
class SavedTarget:
    """What a report selected of one target: the tasks by id."""

    target: SweepTarget
    policy_target: int
    project_id: str | None
    selected: Mapping[str, Task]


@dataclass(frozen=True)
class SavedPlan:
    """The policy of a report, when its tasks were listed, and what it selected, by place."""

    policy: Policy
    listed_at: datetime
    targets: Mapping[Place, SavedTarget]


def check(store: Store, name: str, sha256: str, now: datetime, run_id: str = "") -> str:
    """Refuse a report that is no plan, as far as its run's summary tells: the report itself can be large.

    ``run_id`` may have applied it before. Returns the name of its policy.

    Raises
    ------
    RunRefusedError
        ``ReportNotFound``, ``ReportNotAPlan``, ``ReportChanged``, ``PlanTooOld`` or ``AlreadyApplied``.
    AwsError
        If the store cannot be read.
    """
    folder = name.rpartition("/")[0]
    ended = store.get(f"{folder}/summary.json")
    if ended is None:
        if store.get(f"{folder}/claim.json") is None:
            raise refused(SweepCode.REPORT_NOT_FOUND, f"there is no {name}")
        raise refused(SweepCode.REPORT_NOT_A_PLAN, "its run has not ended")
    told = ended.document
    if told.get("outcome") != SweepOutcome.REPORTED:
        raise refused(SweepCode.REPORT_NOT_A_PLAN, "only the report of a run that ended as `reported` can be applied")
    if told.get("schema_version") != REPORT_VERSION:
        raise unreadable()
    if told.get("plan_of") is not None:
        # A plan is carried out once. What a dry run made of one is the same plan under another key.
        raise refused(SweepCode.REPORT_NOT_A_PLAN, f"it repeats another report: apply {told['plan_of']}")
    if (told.get("report") or {}).get("sha256") != sha256:
        raise refused(
            SweepCode.REPORT_CHANGED,
            "`sha256` is not the digest of this report: read it again, and take the digest that is shown there",
        )
    try:
        refuse_expired(parse_time(str(told.get("listed_at"))), now)
    except ValueError:
        raise unreadable() from None
    applied = store.get(f"{folder}/applied.json")
    if applied is not None and applied.document.get("run_id") != run_id:
        other = applied.document.get("run_id")
        raise refused(SweepCode.ALREADY_APPLIED, f"the run {other} has applied this report")
    return str(told["name"])


def read(store: Store, name: str, sha256: str, now: datetime) -> SavedPlan:
    """The plan of a saved report, from the bytes that have this digest.

    Raises
    ------
    RunRefusedError
        If there is no such report, if its bytes have another digest, or if it is too old or no report of a sweep.
    AwsError
        If the store cannot be read.
    """
    stored = store.get(name)
    if stored is None:
        raise refused(SweepCode.REPORT_NOT_FOUND, f"there is no {name}")
    if stored.sha256 != sha256:
        raise refused(SweepCode.REPORT_CHANGED, "the stored report has another digest than `sha256`")
    if now - stored.modified > LIFETIME:
        raise expired()
    try:
        saved = _read(stored.document, name)
    except (KeyError, TypeError, ValueError, AttributeError, CleanupError):
        raise unreadable() from None
    refuse_expired(saved.listed_at, now)
    return saved


def _read(report: Mapping[str, Any], name: str) -> SavedPlan:
    if report["schema_version"] != REPORT_VERSION or f"{PREFIX}/{report['run_id']}/report.json" != name:
        raise ValueError("report")
    targets: dict[Place, SavedTarget] = {}
    for item in report["targets"]:
        target = SweepTarget.of_report(item)
        selected = {
            str(task["task_id"]): _task(task) for task in item["tasks"] if task["decision"] == Decision.SELECTED
        }
        targets[place_of(target, item["project_id"])] = SavedTarget(
            target, item["policy_target"], item["project_id"], selected
        )
    return SavedPlan(Policy.read(report["policy"]), parse_time(report["listed_at"]), targets)


def refuse_expired(listed_at: datetime, now: datetime, more: str = "") -> None:
    """Refuse a plan whose tasks were listed more than ``LIFETIME`` ago, or in the future.

    Raises
    ------
    RunRefusedError
        ``PlanTooOld``; ``more`` ends its message.
    """
    if not -LEASE_MARGIN <= now - listed_at <= LIFETIME:  # a plan from the future has no age that could be judged
        raise expired(more)


def expired(more: str = "", lifetime: timedelta = LIFETIME) -> RunRefusedError:
    """The refusal of a plan that is too old."""
    message = f"the plan is older than {in_words(lifetime)}: make a new report{more}"
    return refused(SweepCode.PLAN_TOO_OLD, message)


def unreadable() -> RunRefusedError:
    """The refusal of a stored document that is no report of a sweep, or one of another version."""
    message = f"the stored report is not one of a sweep of this version ({REPORT_VERSION}): make a new one"
    return refused(SweepCode.REPORT_UNREADABLE, message)


def refused(code: SweepCode, message: str) -> RunRefusedError:
    """A refusal of the whole run."""
    return RunRefusedError(Refusal(code, message))


# -- what of it goes now ------------------------------------------------


def narrowed(plan: Plan, saved: SavedPlan) -> Plan:
    """The new plan without what the saved one did not select, or selected as it is not any more.

    A task that the new list does not have is added with the decision ``gone``.
    """
    known = {target.place for target in plan.targets}
    targets = [_narrowed(target, saved.targets.get(target.place)) for target in plan.targets]
    unknown = {target.policy_target for target in plan.targets if target.error is not None}
    # Of instances that were found by themselves, one can be gone as a whole; where the list failed, nobody knows.
    vanished = [
        TargetPlan(
            target.target,
            target.project_id,
            complete=True,
            error=None,
            judged=tuple(_gone(target.selected.values())),
            policy_target=target.policy_target,
            vanished=True,
        )
        for place, target in saved.targets.items()
        if place not in known and target.policy_target not in unknown and target.selected
    ]
    return replace(plan, targets=(*targets, *vanished))


def _narrowed(target: TargetPlan, saved: SavedTarget | None) -> TargetPlan:
    if target.error is not None:
        return target  # nothing is known of its tasks, and an apply is refused
    selected = {} if saved is None else saved.selected
    fields = SERVICES[target.target.service_id].look.identity
    judged = [_still(item, selected.get(item.task.task_id), fields) for item in target.judged]
    listed = {item.task.task_id for item in target.judged}
    missing = _gone(task for task_id, task in selected.items() if task_id not in listed)
    return replace(target, judged=(*judged, *missing))


def _still(item: Judged, before: Task | None, fields: tuple[str, ...]) -> Judged:
    """The decision of an apply about a task that the report has, if it selected it, as this one."""
    if before is None:
        new = item.decision is Decision.SELECTED
        return item.kept(Decision.NOT_IN_PLAN, "the report did not select it") if new else item
    if item.decision is Decision.PROTECTED:
        return item
    record = before.to_dict()
    different = differences({field: record[field] for field in fields}, item.task)
    if different:
        return item.kept(Decision.CHANGED, f"it is not as it was when the report was made: {', '.join(different)}")
    return item


def _gone(tasks: Iterable[Task]) -> Iterator[Judged]:
    for task in tasks:
        yield Judged(task, Decision.GONE, "it is not listed any more")


def _task(record: Mapping[str, Any]) -> Task:
    """The task of a report's record, for another report: without what the provider sent."""
    members = (
        "task_id",
        "name",
        "provider_status",
        "deletable",
        "why_not",
        "stoppable",
        "billed",
        "kind",
        "group_id",
    )
    values: dict[str, Any] = {name: record[name] for name in members}
    for name in ("created_at", "started_at", "ended_at", "inferred_end_at"):
        values[name] = None if record[name] is None else parse_time(record[name])
    return Task(status=Status(record["status"]), provider_detail=record["provider_detail"], **values)
