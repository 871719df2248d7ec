"""One log line and one set of metrics per run: counts, never a task's name."""

from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from task_cleanup.settings import Settings
from task_cleanup.sweep.report import Outcome

OPERATION = "sweep"
MAX_REFUSALS = 20  # in logs, dead letters and events that would be too large


class SweepObservability:
    """Logger and metrics of one execution environment."""

    def __init__(self, settings: Settings) -> None:
        self._logger = Logger(service=settings.service_name, use_rfc3339=True)
        self._namespace = settings.metrics_namespace
        self._service = settings.service_name

    def record(self, summary: Mapping[str, Any], trigger: str) -> None:
        """Log a run's summary without its targets, and count it."""
        brief = short(summary)
        outcome = Outcome(summary["outcome"])
        text = f"{OPERATION}: {outcome.value}"
        log = self._logger.info if outcome in (Outcome.REPORTED, Outcome.REQUESTED) else self._logger.warning
        log(text, extra={"trigger": trigger, "sweep": brief})
        totals = summary["totals"]
        metrics = EphemeralMetrics(namespace=self._namespace, service=self._service)
        metrics.add_dimension("operation", OPERATION)
        for name, count in (
            ("Runs", 1),
            ("Refused", outcome is Outcome.REFUSED),
            ("Failed", outcome is Outcome.FAILED),
            ("TargetsIncomplete", sum(not target["complete"] for target in summary["targets"])),
            ("TasksFound", totals["found"]),
            ("TasksSelected", totals["selected"]),
            ("TasksRequested", totals["requested"]),
            ("TasksNotRequested", totals["failed"]),
        ):
            metrics.add_metric(name, MetricUnit.Count, int(count))
        metrics.flush_metrics()

    def repeated(self, run_id: str) -> None:
        """A second delivery of a run that is done."""
        self._logger.info("sweep: done before, nothing to do", extra={"run_id": run_id})

    def elsewhere(self, run_id: str) -> None:
        """A second delivery of a run that another worker is at."""
        self._logger.info("sweep: another worker is at it, comes again", extra={"run_id": run_id})

    def undelivered(self, what: str, code: str) -> None:
        """A summary could not be published, or a message not be moved: it comes again."""
        self._logger.warning("not delivered, will come again", extra={"what": what, "code": code})

    def unforeseen(self, what: str, error: Exception) -> None:
        """A bug. The exception's text may hold anything, so only its type is logged."""
        self._logger.error("unforeseen exception", extra={"what": what, "exception_type": type(error).__name__})


def short(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The summary without what grows with the policy. Of many refusals, as many as fit, and how many more."""
    brief = {name: value for name, value in summary.items() if name not in ("targets", "policy")}
    more = len(brief["refusals"]) - MAX_REFUSALS
    if more > 0:
        rest = {"code": "More", "message": f"{more} more: the report has them all", "target": None}
        brief["refusals"] = [*brief["refusals"][:MAX_REFUSALS], rest]
    return brief
