"""Writes one log line and one set of metrics per result. It logs no event, body, header or rejected value."""

from collections.abc import Mapping

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from task_cleanup.errors import Category, Code
from task_cleanup.results import Result
from task_cleanup.settings import Settings
from task_cleanup.triggers import Trigger


class Telemetry:
    """Logger and metrics of one execution environment, for the operations and for the sweep."""

    def __init__(self, settings: Settings) -> None:
        # By default, Logger tries to parse each message as JSON, which takes as long as to write the line.
        self._logger = Logger(service=settings.service_name, use_rfc3339=True, utc=True, json_deserializer=str)
        # Not `Metrics`, whose instances share their dimensions.
        self._metrics = EphemeralMetrics(namespace=settings.metrics_namespace, service=settings.service_name)

    def undelivered(self, what: str, code: str) -> None:
        """Log that a result was not published, or a message not moved to its dead-letter queue: SQS redelivers it."""
        self._logger.warning("not delivered, will come again", extra={"what": what, "code": code})

    def unpublished(self, what: str, code: str) -> None:
        """Log that a direct invocation's result was not published: only a caller who waits for the reply gets it."""
        self._logger.warning("not published, only returned", extra={"what": what, "code": code})

    def unforeseen(self, what: str, error: Exception) -> None:
        """Log a bug. The exception's text may hold anything, so only its type is logged."""
        self._logger.error("unforeseen exception", extra={"what": what, "exception_type": type(error).__name__})

    def _measure(self, dimensions: Mapping[str, str], *metrics: tuple[str, MetricUnit, float]) -> None:
        """Write one set of metrics, without what an earlier call that failed may have left."""
        self._metrics.clear_metrics()
        for name, value in dimensions.items():
            self._metrics.add_dimension(name, value)
        for name, unit, number in metrics:
            self._metrics.add_metric(name, unit, number)
        self._metrics.flush_metrics()


class Observability(Telemetry):
    """Logs and counts the results of an operation."""

    def ran(self, milliseconds: float) -> None:
        """Record an invocation's duration. No dimensions: one alarm watches all functions of the stack together."""
        self._measure({}, ("RunDuration", MetricUnit.Milliseconds, milliseconds))

    def record(self, result: Result, trigger: Trigger) -> None:
        """Log a result, and count it by operation and outcome (two dimensions of few values)."""
        fields = {"trigger": trigger.value, "result": result.to_event()}
        text = f"{result.operation}: {result.outcome.value}"
        if result.ok:
            self._logger.info(text, extra=fields)
        elif result.error is not None and result.error.category is Category.INTERNAL:
            self._logger.error(text, extra=fields)
        else:
            self._logger.warning(text, extra=fields)
        changed = [(Code.TASK_CHANGED.value, MetricUnit.Count, 1)] if result.task_changed else []
        self._measure(
            {"operation": result.operation, "outcome": result.outcome.value},
            ("Results", MetricUnit.Count, 1),
            ("Attempts", MetricUnit.Count, result.attempts),
            ("Looks", MetricUnit.Count, len(result.looks)),
            ("LooksUnanswered", MetricUnit.Count, sum(look.found is None for look in result.looks)),
            ("Duration", MetricUnit.Milliseconds, result.duration_ms),
            *changed,
        )
