"""Writes one log line and one set of metrics per run, and of an apply's end: counts, never a task's name."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit

from task_cleanup.errors import SweepCode
from task_cleanup.observability import Telemetry
from task_cleanup.sweep.report import SweepOutcome

OPERATION = "sweep"
MAX_REFUSALS = 20  # in logs, dead letters and events that would be too large


class EndTelemetry(Telemetry):
    """For both functions that can publish that an apply is finished."""

    def finished(self, detail: Mapping[str, Any]) -> None:
        """Log the detail of a ``Sweep Finished`` without its places, and count it."""
        told = {name: value for name, value in detail.items() if name != "places"}
        self._logger.info("sweep: finished", extra={"finished": told})
        self._measure({"operation": OPERATION}, ("Finished", MetricUnit.Count, 1))


class SweepObservability(EndTelemetry):
    """Logs and counts the runs of the sweep."""

    def record(self, summary: Mapping[str, Any], trigger: str) -> None:
        """Log a run's summary without its targets, and count it."""
        brief = short(summary)
        outcome = SweepOutcome(summary["outcome"])
        text = f"{OPERATION}: {outcome.value}"
        log = self._logger.info if outcome.ok else self._logger.warning
        log(text, extra={"trigger": trigger, "sweep": brief})
        totals = summary["totals"] or Counter()  # not known, where the store cannot be read
        counts = {
            "Runs": 1,
            "Refused": outcome is SweepOutcome.REFUSED,
            "Failed": outcome is SweepOutcome.FAILED and summary["final"],  # else it comes again by itself
            "TargetsIncomplete": sum(not target["complete"] for target in summary["targets"]),
            "TasksFound": totals["found"],
            "TasksSelected": totals["selected"],
            "TasksRequested": totals["requested"],
            "TasksNotRequested": totals["failed"],
        }
        self._measure(
            {"operation": OPERATION}, *((name, MetricUnit.Count, int(count)) for name, count in counts.items())
        )

    def repeated(self, run_id: str) -> None:
        """Log another delivery of a run that has ended."""
        self._logger.info("sweep: this run has ended already, nothing to do", extra={"run_id": run_id})

    def elsewhere(self, run_id: str) -> None:
        """Log another delivery of a run that another worker holds."""
        self._logger.info("sweep: another worker holds this run, will come again", extra={"run_id": run_id})


def short(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The summary without what can be long; of the refusals ``MAX_REFUSALS``, and how many more there are."""
    brief = {name: value for name, value in summary.items() if name not in ("targets", "policy", "guards")}
    more = len(brief["refusals"]) - MAX_REFUSALS
    if more > 0:
        rest = {"code": SweepCode.MORE, "message": f"{more} more: the report has them all", "target": None}
        brief["refusals"] = [*brief["refusals"][:MAX_REFUSALS], rest]
    return brief
