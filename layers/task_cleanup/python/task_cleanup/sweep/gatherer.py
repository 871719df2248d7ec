"""The gatherer's Lambda handler: batches of published results become what is known of their runs."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from botocore.config import Config

from task_cleanup import triggers
from task_cleanup.aws import AwsError
from task_cleanup.handler import ANSWER_RESERVE, LambdaContext
from task_cleanup.settings import Settings
from task_cleanup.sweep.boto import Boto, bucket_and_bus
from task_cleanup.sweep.bus import EventBus
from task_cleanup.sweep.claims import is_run_id
from task_cleanup.sweep.gathering import FinishElsewhereError, Results
from task_cleanup.sweep.observability import EndTelemetry
from task_cleanup.sweep.results import Answer
from task_cleanup.sweep.store import BucketStore
from task_cleanup.system import Deadline, System
from task_cleanup.triggers import QueueMessage

GATHERER = "sweep_results"
RUN_SECONDS = 20.0  # the merge of one run; a batch that has less time left leaves its other runs to the next receive

# boto3 repeats failed calls. Every call that is made here may be made twice.
_AWS_CONFIG = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})

Told = tuple[QueueMessage, Answer]


class GathererObservability(EndTelemetry):
    """Logs and counts what was gathered: never a task."""

    def gathered(self, run_id: str, number: int) -> None:
        """Log how many results of a run are in the bucket now."""
        self._logger.info("results gathered", extra={"run_id": run_id, "results": number})

    def ignored(self, why: str, number: int) -> None:
        """Log results that belong to no run."""
        self._logger.warning("results ignored", extra={"why": why, "results": number})

    def elsewhere(self, run_id: str) -> None:
        """Log that another worker is publishing that the run is finished."""
        self._logger.info("another worker is finishing this run, will come again", extra={"run_id": run_id})

    def counted(self, **counts: int) -> None:
        """Write a batch's metrics."""
        self._measure({"operation": GATHERER}, *((name, MetricUnit.Count, it) for name, it in counts.items()))


def make_results_handler(system: System | None = None) -> Callable[[Any, LambdaContext], Any]:
    """The ``lambda_handler`` of the gatherer. Reads the environment variables once, now.

    Raises
    ------
    SettingsError
        If an environment variable is missing or malformed.
    """
    settings = Settings.from_env(())
    bucket, bus = bucket_and_bus(settings)
    system = system or System()
    boto = Boto(settings, _AWS_CONFIG)
    observability = GathererObservability(settings)
    results = Results(BucketStore(boto, bucket), EventBus(boto, bus, system), system, observability.finished)
    return _Handler(results, observability, system)


class _Handler:
    def __init__(self, results: Results, observability: GathererObservability, system: System) -> None:
        self._results = results
        self._observability = observability
        self._system = system

    def __call__(self, event: Any, context: LambdaContext) -> dict[str, Any]:  # noqa: ANN401 - Lambda's event
        """Gather a batch of its queue, the only trigger; the reply names the messages that must come again."""
        remaining = context.get_remaining_time_in_millis() / 1000 - ANSWER_RESERVE
        deadline = Deadline.after(remaining, self._system.monotonic)
        messages = triggers.from_sqs(event)
        runs = self._by_run(messages)
        failed: list[QueueMessage] = []
        gathered = 0
        for run_id, told in runs.items():
            done = self._gathered(run_id, [answer for _, answer in told]) if self._has_time(deadline) else None
            gathered += len(told) if done else 0
            failed += [] if done is not None else [message for message, _ in told]
        ignored = len(messages) - gathered - len(failed)
        self._observability.counted(ResultsGathered=gathered, ResultsIgnored=ignored, ResultsDeferred=len(failed))
        return triggers.batch_reply(failed)

    @staticmethod
    def _has_time(deadline: Deadline) -> bool:
        return deadline.remaining() >= RUN_SECONDS

    def _by_run(self, messages: Sequence[QueueMessage]) -> Mapping[str, list[Told]]:
        """The readable results, by run. The others are logged: no later receive could read them."""
        runs: defaultdict[str, list[Told]] = defaultdict(list)
        unreadable = 0
        for message in messages:
            try:
                answer = Answer.read(message.received.request)
            except ValueError:
                unreadable += 1
                continue
            if not is_run_id(answer.run_id):  # it becomes a part of a key
                unreadable += 1
                continue
            runs[answer.run_id].append((message, answer))
        if unreadable:
            self._observability.ignored("no result of a run's task", unreadable)
        return runs

    def _gathered(self, run_id: str, answers: Sequence[Answer]) -> bool | None:
        """Whether they are gathered: False if no sweep has this run id, None if they must come again."""
        try:
            if self._results.gather(run_id, answers):
                self._observability.gathered(run_id, len(answers))
                return True
        except FinishElsewhereError:
            self._observability.elsewhere(run_id)
            return None
        except AwsError as error:
            self._observability.undelivered(run_id, error.code)
            return None
        except Exception as error:  # noqa: BLE001 - one run's bug must not fail the others
            self._observability.unforeseen(run_id, error)
            return None
        self._observability.ignored("no such run", len(answers))
        return False
