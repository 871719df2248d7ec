"""The documents of a run: the report, which is also the plan and says nothing of what became of it, and the summary.

Shapes: ``summary.schema.json``. A report is written once. Its SHA-256 is what an apply names, so that the plan that
people have read is the plan that is carried out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from task_cleanup.errors import Category, SweepCode
from task_cleanup.results import Error
from task_cleanup.sweep.plan import Plan, Refusal, TargetPlan
from task_cleanup.sweep.policy import Mode
from task_cleanup.sweep.selection import Decision, counts, guard_matches
from task_cleanup.times import rfc3339

REPORT_VERSION = "2.0"


class SweepOutcome(StrEnum):
    """How a run ended."""

    REPORTED = "reported"
    REQUESTED = "requested"
    REFUSED = "refused"
    FAILED = "failed"

    @property
    def ok(self) -> bool:
        """Whether everything that was asked for was done."""
        return self in (SweepOutcome.REPORTED, SweepOutcome.REQUESTED)


@dataclass(frozen=True)
class Run:
    """Who asked for what.

    ``dry_run``: DRY_RUN forbids its requests; ``plan_of`` and ``plan_sha256``: key and digest of the applied report.
    """

    run_id: str
    started_at: datetime
    requested_by: str | None = None
    name: str | None = None
    mode: Mode = Mode.REPORT
    dry_run: bool = False
    plan_of: str | None = None
    plan_sha256: str | None = None


@dataclass(frozen=True)
class RunEnd:
    """How a run ended."""

    outcome: SweepOutcome
    refusals: tuple[Refusal, ...] = ()
    error: Error | None = None


def end_by_bus(taken: list[str]) -> RunEnd:
    """How a run ends whose requests have been sent: failed if the bus did not take all."""
    missed = taken.count("0")
    if not missed:
        return RunEnd(SweepOutcome.REQUESTED)
    message = f"the bus did not take {missed} of {len(taken)} requests"
    return RunEnd(SweepOutcome.FAILED, error=Error(Category.UNAVAILABLE, SweepCode.REQUESTS_NOT_TAKEN, message))


def document(run: Run, plan: Plan | None, against: Sequence[Refusal]) -> dict[str, Any]:
    """The report, as a JSON object. ``against`` are the refusals of an apply; without a plan it has no targets."""
    targets = [] if plan is None else [_target(planned) for planned in plan.targets]
    return {
        "schema_version": REPORT_VERSION,
        "run_id": run.run_id,
        "name": run.name,
        "mode": run.mode.value,
        "dry_run": run.dry_run,
        "plan_of": run.plan_of,
        "plan_sha256": run.plan_sha256,
        "requested_by": run.requested_by,
        "started_at": rfc3339(run.started_at),
        "listed_at": None if plan is None else rfc3339(plan.listed_at),
        "policy": None if plan is None else plan.policy.to_dict(),
        "refusals": [refusal.to_dict() for refusal in against],
        "guards": None if plan is None else _guards(plan),
        "ages_wanting": None if plan is None else dict(plan.ages_wanting),
        "totals": {name: sum(target["counts"][name] for target in targets) for name in counts(())},
        "targets": targets,
        "instances": [] if plan is None else plan.instances_found(),
    }


def _guards(plan: Plan) -> dict[str, Any]:
    listed = (item.task for planned in plan.targets for item in planned.judged if item.decision is not Decision.GONE)
    return guard_matches(plan.policy.protect, listed).to_dict()


def _target(planned: TargetPlan) -> dict[str, Any]:
    target = planned.target
    return {
        "provider": target.provider,
        "service": target.service,
        "account": target.account,
        "region": target.region,
        "project_id": planned.project_id,
        "instance_id": target.instance_id,
        "policy_target": planned.policy_target,
        "complete": planned.complete,
        "error": None if planned.error is None else planned.error.to_dict(),
        "ages_begin_anew": planned.ages_begin_anew,
        "counts": planned.counts,
        "tasks": [item.to_dict() for item in planned.judged],
    }


def ended(report: Mapping[str, Any], end: RunEnd, taken: str, completed_at: datetime) -> dict[str, Any]:
    """The report with how the run ended, as the page shows it.

    ``taken`` says for each selected task in the report's order whether the bus took its request (``1``) or not
    (``0``); it is empty where no request was sent.
    """
    targets, position = [], 0
    for target in report["targets"]:
        selected = target["counts"]["selected"]
        asked = taken[position : position + selected]
        position += selected
        requested = {"requested": asked.count("1"), "failed": asked.count("0")}
        targets.append({**target, "counts": {**target["counts"], **requested}})
    names = ("requested", "failed")
    totals = {name: sum(target["counts"][name] for target in targets) for name in names}
    return {
        **report,
        "outcome": end.outcome.value,
        "refusals": [refusal.to_dict() for refusal in end.refusals],
        "error": None if end.error is None else end.error.to_dict(),
        "completed_at": rfc3339(completed_at),
        "totals": {**report["totals"], **totals},
        "targets": targets,
    }


def summary(whole: Mapping[str, Any], report: Mapping[str, str] | None, *, final: bool) -> dict[str, Any]:
    """What ``ended`` made, without the tasks. ``report`` says where the report is, and its digest; None if nowhere.

    ``final`` is false where the run comes again by itself.
    """
    targets = [{name: value for name, value in target.items() if name != "tasks"} for target in whole["targets"]]
    return {**whole, "targets": targets, "report": report, "final": final}
