"""The sweep's Lambda handler: events, messages and direct invocations run one; ``api`` answers HTTP callers."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from botocore.config import Config

from task_cleanup import triggers
from task_cleanup.aws import Aws, AwsError
from task_cleanup.delivery import Delivery, MessageEnd
from task_cleanup.errors import TaskCleanupError
from task_cleanup.event_types import EventType
from task_cleanup.handler import ANSWER_RESERVE, LambdaContext
from task_cleanup.settings import Settings, SettingsError
from task_cleanup.sweep.api import ANSWER_SECONDS, AWS_CALL_SECONDS, Api
from task_cleanup.sweep.boto import Boto, bucket_and_bus
from task_cleanup.sweep.bus import EventBus
from task_cleanup.sweep.gathering import Results
from task_cleanup.sweep.lister import Lister, credential_stores
from task_cleanup.sweep.observability import SweepObservability, short
from task_cleanup.sweep.policy import Mode
from task_cleanup.sweep.report import SweepOutcome
from task_cleanup.sweep.run import Sweeper
from task_cleanup.sweep.services import CALLED, SERVICES
from task_cleanup.sweep.state import RunResult
from task_cleanup.sweep.store import BucketStore, key
from task_cleanup.system import Deadline, System
from task_cleanup.transport import new_session
from task_cleanup.triggers import QueueMessage, Received, Trigger
from task_cleanup.validation import RequestValidator

_TYPE_OF_END: Mapping[SweepOutcome, EventType] = {
    SweepOutcome.REPORTED: EventType.SWEEP_COMPLETED,
    SweepOutcome.REQUESTED: EventType.SWEEP_COMPLETED,
    SweepOutcome.REFUSED: EventType.SWEEP_REFUSED,
    SweepOutcome.FAILED: EventType.SWEEP_FAILED,
}
MAX_EVENT = 200_000  # characters of a summary on the bus

# boto3 repeats failed calls. Every call that is made here may be made twice.
_AWS_CONFIG = Config(
    connect_timeout=3, read_timeout=20, max_pool_connections=20, retries={"mode": "standard", "total_max_attempts": 4}
)
# An HTTP caller does not wait for so long, and asks again itself. The sum of the times is `AWS_CALL_SECONDS`.
_HTTP_CONFIG = Config(connect_timeout=2, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 1})


class SweepFailedError(TaskCleanupError):
    """Raised to Lambda for an event whose sweep failed and can succeed later: Lambda then sends the event again."""


def make_sweep_handler(
    schema: Mapping[str, Any], system: System | None = None
) -> Callable[[Any, LambdaContext], Any]:
    """The ``lambda_handler`` of the sweep. Reads the environment variables once, now.

    Raises
    ------
    SettingsError
        If an environment variable is missing or malformed.
    """
    settings = Settings.from_env(CALLED)
    if not settings.extra_regions.keys() <= SERVICES.keys():
        raise SettingsError("EXTRA_REGIONS names an unknown service")
    bucket, bus = bucket_and_bus(settings)
    system = system or System()
    validator = RequestValidator(schema)
    boto = Boto(settings, _AWS_CONFIG)
    # Not by boto3: Lambda's own may be older than the call for identity tokens.
    session = new_session(system, settings.aws_endpoints.values())
    tokens = Aws(settings, lambda: session, system).get_web_identity_token
    sweeper = Sweeper(
        validator=validator,
        lister=Lister(schema, settings, credential_stores(boto, settings, tokens, system), system),
        store=BucketStore(boto, bucket),
        bus=EventBus(boto, bus, system),
        system=system,
        dry_run=settings.dry_run,
        extra_regions=settings.extra_regions,
    )
    return _Handler(sweeper, settings, boto, system)


class _Handler:
    def __init__(self, sweeper: Sweeper, settings: Settings, boto: Boto, system: System) -> None:
        self._delivery = Delivery(boto, settings)
        self._http_boto = Boto(settings, _HTTP_CONFIG)
        self._sweeper = sweeper
        self._system = system
        self._observability = SweepObservability(settings)
        self._results = Results(sweeper.store, sweeper.bus, system, self._observability.finished)

    def __call__(self, event: Any, context: LambdaContext) -> Any:  # noqa: ANN401 - any trigger's event and reply
        remaining = context.get_remaining_time_in_millis() / 1000 - ANSWER_RESERVE
        deadline = Deadline.after(remaining, self._system.monotonic)
        match triggers.trigger_of(event):
            case Trigger.SQS:
                failed = [message for message in triggers.from_sqs(event) if not self._settled(message, deadline)]
                return triggers.batch_reply(failed)
            case Trigger.EVENTBRIDGE:
                return self._event(triggers.from_eventbridge(event, context.aws_request_id), deadline)
            case Trigger.HTTP:
                received = triggers.from_http(event, self._sweeper.validator, context.aws_request_id, "run_id")
                return self._http(received, event["requestContext"]["http"].get("method"), deadline)
            case Trigger.DIRECT if triggers.is_check(event):
                return self._check(event, deadline)
            case Trigger.DIRECT:
                return self._direct(triggers.from_direct(event, context.aws_request_id), deadline)

    def _check(self, event: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
        from task_cleanup.doctor import check  # noqa: PLC0415 - hardly ever asked for

        lister = self._sweeper.lister
        return check(event, {service: lister.dependencies(service) for service in SERVICES.values()}, deadline)

    def _direct(self, received: Received, deadline: Deadline) -> dict[str, Any]:
        """Return the summary. Publish it too if the run did not succeed: an asynchronous caller gets no reply.

        That an apply is finished is published as that of any trigger's: nobody else does it if all results are in
        before the summary is stored.
        """
        ended = self._run(received, deadline, comes_again=False)
        publish = self._finish if ended.ok or ended.elsewhere else self._publish
        try:
            publish(ended)
        except AwsError as error:
            self._observability.unpublished(ended.run_id, error.code)
        return ended.summary

    def _http(self, received: Received, method: object, deadline: Deadline) -> dict[str, Any]:
        within = deadline.within(ANSWER_SECONDS)
        boto = self._http_boto.only_while(lambda: within.remaining() >= AWS_CALL_SECONDS)
        store = BucketStore(boto, self._sweeper.store.place)
        bus = EventBus(boto, self._sweeper.bus.name, self._system)
        sweeper = replace(self._sweeper, store=store, bus=bus)
        api = Api(sweeper, Results(store, bus, self._system))
        return api.status(received) if method == "GET" else api.start(received, within)

    def _run(self, received: Received, deadline: Deadline, *, comes_again: bool) -> RunResult:
        ended = self._sweeper.sweep(received, deadline, comes_again=comes_again)
        if ended.repeated:
            self._observability.repeated(ended.run_id)
        elif ended.elsewhere:
            self._observability.elsewhere(ended.run_id)
        else:
            self._observability.record(ended.summary, received.trigger.value)
        return ended

    # -- events and messages ------------------------------------------------

    def _event(self, received: Received, deadline: Deadline) -> dict[str, Any]:
        ended = self._run(received, deadline, comes_again=True)
        if ended.retryable:
            raise SweepFailedError(f"{ended.summary['error']['code']}, run {ended.run_id}")
        self._publish(ended)
        return ended.summary

    def _settled(self, message: QueueMessage, deadline: Deadline) -> bool:
        try:
            ended = self._run(message.received, deadline, comes_again=self._delivery.has_more_receives(message))
            if ended.elsewhere:
                return False  # the worker that holds the run publishes its summary
            told, publish = short(ended.summary), partial(self._publish, ended)
            end = MessageEnd(ended.ok, ended.retryable, self._system.now(), told, publish)
            return self._delivery.settle(message, end, deadline)
        except AwsError as error:
            self._observability.undelivered(message.message_id, error.code)
        except Exception as error:  # noqa: BLE001 - one record's bug must not fail the others
            self._observability.unforeseen(message.message_id, error)
        return False

    def _publish(self, ended: RunResult) -> None:
        """Publish the summary and, where all results of the run are in already, that it is finished."""
        self._publish_summary(ended)
        self._finish(ended)

    def _finish(self, ended: RunResult) -> None:
        """Publish that the run is finished, where all results of a stored apply are in already."""
        if not ended.stored or ended.summary["mode"] != Mode.APPLY:
            return
        try:
            self._results.finish_if_done(ended.run_id)
        except AwsError as error:
            if ended.ok:
                raise  # the message comes again, and this is tried again
            self._observability.unpublished(ended.run_id, error.code)

    def _publish_summary(self, ended: RunResult) -> None:
        """Publish the summary, once for each outcome of a stored run.

        The marker ``published.json`` is written after the event. If the worker dies between the two, the summary is
        published twice; with the marker first, it might never be published.
        """
        store, name = self._sweeper.store, key(ended.run_id, "published.json")
        outcome = SweepOutcome(ended.summary["outcome"])
        if ended.repeated:
            marker = store.get(name)
            if marker is not None and marker.document.get("outcome") == outcome:
                return
        self._sweeper.bus.publish(_TYPE_OF_END[outcome], _fitting(ended.summary))
        if ended.stored:
            store.put_json(name, {"outcome": outcome.value})


def _fitting(summary: dict[str, Any]) -> dict[str, Any]:
    """The summary; in brief if it is too large for an event (256 KB), since the bucket has all of it."""
    if len(json.dumps(summary)) <= MAX_EVENT:
        return summary
    return {**short(summary), "targets": [], "policy": None, "guards": None}
