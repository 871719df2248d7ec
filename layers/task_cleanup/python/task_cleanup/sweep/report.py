"""Builds the documents of a run: the report with every task, which is also the plan, and the summary without tasks.

Shapes: ``summary.schema.json``; a report has the same members, and ``tasks`` in every target.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from task_cleanup.errors import Category, CleanupError, SweepCode
from task_cleanup.results import Error
from task_cleanup.sweep.plan import Plan, Refusal, TargetPlan
from task_cleanup.sweep.policy import Mode, Policy, SweepTarget
from task_cleanup.sweep.selection import Decision, Judged, counts
from task_cleanup.tasks import AgeBasis, Status, Task
from task_cleanup.times import parse_time, rfc3339

REPORT_VERSION = "1.0"


class SweepOutcome(StrEnum):
    """How a run ended. ``planned`` is in saved reports only: the requests are not sent yet."""

    REPORTED = "reported"
    PLANNED = "planned"
    REQUESTED = "requested"
    REFUSED = "refused"
    FAILED = "failed"

    @property
    def ok(self) -> bool:
        """Whether everything that was asked for was done."""
        return self in (SweepOutcome.REPORTED, SweepOutcome.REQUESTED)


@dataclass(frozen=True)
class Run:
    """Who asked for what. ``dry_run``: DRY_RUN forbids its requests; ``plan_of``: key of the applied report."""

    run_id: str
    started_at: datetime
    requested_by: str | None = None
    name: str | None = None
    mode: Mode = Mode.REPORT
    dry_run: bool = False
    plan_of: str | None = None


@dataclass(frozen=True)
class RunEnd:
    """How a run ended. ``taken`` says for each selected task, in their order, whether the bus took its request."""

    outcome: SweepOutcome
    refusals: tuple[Refusal, ...] = ()
    error: Error | None = None
    taken: Sequence[bool] = ()


def document(run: Run, plan: Plan | None, ending: RunEnd, completed_at: datetime) -> dict[str, Any]:
    """The whole report, as a JSON object."""
    targets = [] if plan is None else _targets(plan, ending.taken)
    names = [*counts(()), "requested", "failed"]
    return {
        "schema_version": REPORT_VERSION,
        "run_id": run.run_id,
        "name": run.name,
        "mode": run.mode.value,
        "dry_run": run.dry_run,
        "outcome": ending.outcome.value,
        "refusals": [refusal.to_dict() for refusal in ending.refusals],
        "error": None if ending.error is None else ending.error.to_dict(),
        "plan_of": run.plan_of,
        "requested_by": run.requested_by,
        "started_at": rfc3339(run.started_at),
        "listed_at": None if plan is None else rfc3339(plan.listed_at),
        "completed_at": rfc3339(completed_at),
        "policy": None if plan is None else plan.policy.to_dict(),
        "totals": {name: sum(target["counts"][name] for target in targets) for name in names},
        "targets": targets,
    }


def _targets(plan: Plan, taken: Sequence[bool]) -> list[dict[str, Any]]:
    targets, position = [], 0
    for planned in plan.targets:
        counted = planned.counts
        selected = counted["selected"]
        asked = taken[position : position + selected]
        position += selected
        target = planned.target
        targets.append(
            {
                "provider": target.provider,
                "service": target.service,
                "account": target.account,
                "region": target.region,
                "project_id": planned.project_id,
                "instance_id": target.instance_id,
                "complete": planned.complete,
                "error": None if planned.error is None else planned.error.to_dict(),
                "counts": {**counted, "requested": sum(asked), "failed": len(asked) - sum(asked)},
                "tasks": [item.to_dict() for item in planned.judged],
            }
        )
    return targets


def summary(report: Mapping[str, Any]) -> dict[str, Any]:
    """The report without its tasks, for callers and events."""
    targets = [{name: value for name, value in target.items() if name != "tasks"} for target in report["targets"]]
    return {**report, "targets": targets}


def read_plan(report: Mapping[str, Any]) -> Plan:
    """The plan of a saved report.

    Raises
    ------
    CleanupError
        ``invalid_request``, code ``ReportUnreadable``, if ``document`` cannot have written it.
    """
    if report.get("schema_version") != REPORT_VERSION:
        raise unreadable()
    try:
        policy = Policy.read(report["policy"])
        pairs = zip(policy.targets, report["targets"], strict=True)
        targets = tuple(_target_plan(target, item) for target, item in pairs)
        return Plan(policy, parse_time(report["listed_at"]), targets)
    except (KeyError, TypeError, ValueError, AttributeError, CleanupError):
        raise unreadable() from None


def unreadable() -> CleanupError:
    """The error for a stored document that is no report of a sweep."""
    return CleanupError(
        Category.INVALID_REQUEST, SweepCode.REPORT_UNREADABLE, "the stored report is not one of a sweep"
    )


def _target_plan(target: SweepTarget, item: Mapping[str, Any]) -> TargetPlan:
    members = ("provider", "service", "account", "region", "instance_id")
    if any(item[name] != getattr(target, name) for name in members):
        raise ValueError("target")
    error, judged = item["error"], tuple(_judged(record) for record in item["tasks"])
    if any(item["counts"][name] != count for name, count in counts(judged).items()):
        raise ValueError("counts")  # tasks have been added to the report, or left out
    return TargetPlan(
        target,
        item["project_id"],
        item["complete"] is True,
        None if error is None else Error(**{**error, "category": Category(error["category"])}),
        judged,
    )


def _judged(record: Mapping[str, Any]) -> Judged:
    basis = record["age_basis"]
    task = Task(
        task_id=_text(record["task_id"]),
        name=_text(record["name"]),
        status=Status(record["status"]),
        provider_status=record["provider_status"],
        deletable=record["deletable"] is True,
        why_not=record["why_not"],
        created_at=_time(record["created_at"]),
        started_at=_time(record["started_at"]),
        ended_at=_time(record["ended_at"]),
        inferred_end_at=_time(record["inferred_end_at"]),
        stoppable=record["stoppable"] is True,
        billed=record["billed"],
        kind=record["kind"],
        age_basis=None if basis is None else AgeBasis(basis),
        group_id=record["group_id"],
        provider_detail=record["provider_detail"],
    )
    decision, stop, age = Decision(record["decision"]), record["stop_running"] is True, record["age_seconds"]
    if decision is Decision.SELECTED and not (task.deletable or (stop and task.status is Status.RUNNING)):
        raise ValueError("selected")  # no sweep selects such a task, so somebody has changed the report
    return Judged(task, decision, _text(record["why"]), None if age is None else float(age), stop)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("text")
    return value


def _time(text: str | None) -> datetime | None:
    return None if text is None else parse_time(text)
