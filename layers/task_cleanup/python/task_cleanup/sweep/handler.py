"""The sweep's Lambda handler: events, messages and direct invocations run a sweep.

A sweep takes minutes, and an HTTP API waits 30 seconds only. So `POST` puts a request on the bus, and `GET` reads the
summary from the bucket.
"""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import boto3
from botocore.config import Config

from task_cleanup import triggers
from task_cleanup.aws import Aws, AwsError
from task_cleanup.delivery import Delivery, MessageEnd
from task_cleanup.errors import Category, CleanupError, SweepCode, TaskCleanupError
from task_cleanup.event_types import EventType
from task_cleanup.handler import ANSWER_RESERVE, LambdaContext
from task_cleanup.results import Error
from task_cleanup.settings import Settings, SettingsError
from task_cleanup.sweep.bus import Bus
from task_cleanup.sweep.claims import RUN_ID_REUSED, digest_of
from task_cleanup.sweep.lister import Lister
from task_cleanup.sweep.observability import SweepObservability, short
from task_cleanup.sweep.report import SweepOutcome
from task_cleanup.sweep.run import RunResult, Sweeper, run_id_of
from task_cleanup.sweep.services import SERVICES
from task_cleanup.sweep.store import Store, StoreError, key
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
_RUN_ID_WANTED = (
    "the path must hold a run id (1 to 128 letters, digits, dots, dashes and underscores), and nothing else"
)
POLL_SECONDS = 10  # what `Retry-After` says while a sweep runs

# boto3 repeats failed calls. Every call that is made here may be made twice.
_AWS_CONFIG = Config(
    connect_timeout=3, read_timeout=20, max_pool_connections=20, retries={"mode": "standard", "total_max_attempts": 4}
)


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
    settings = Settings.from_env(SERVICES)
    if not settings.extra_regions.keys() <= SERVICES.keys():
        raise SettingsError("EXTRA_REGIONS names an unknown service")
    if settings.report_bucket is None:
        raise SettingsError("REPORT_BUCKET is not set")
    if settings.event_bus_name is None:
        raise SettingsError("EVENT_BUS_NAME is not set")
    system = system or System()
    # The same endpoint URLs as for all other AWS calls: boto3's own differ for some services.
    clients = {
        service: boto3.client(
            service, region_name=settings.aws.region, endpoint_url=settings.aws_endpoints[service], config=_AWS_CONFIG
        )
        for service in ("s3", "events")
    }
    validator = RequestValidator(schema)
    sweeper = Sweeper(
        validator=validator,
        lister=Lister(schema, settings, system),
        store=Store(clients["s3"], settings.report_bucket),
        bus=Bus(clients["events"], settings.event_bus_name, system),
        system=system,
        dry_run=settings.dry_run,
        extra_regions=settings.extra_regions,
    )
    return _Handler(sweeper, settings, validator, system)


class _Handler:
    def __init__(self, sweeper: Sweeper, settings: Settings, validator: RequestValidator, system: System) -> None:
        session = new_session(system, settings.aws_endpoints.values())
        self._delivery = Delivery(Aws(settings, lambda: session), settings)
        self._sweeper = sweeper
        self._validator = validator
        self._system = system
        self._observability = SweepObservability(settings)

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
                received = triggers.from_http(event, self._validator, context.aws_request_id, "run_id")
                if event["requestContext"]["http"].get("method") == "GET":
                    return self._http_status(received)
                return self._http_start(received)
            case Trigger.DIRECT:
                return self._direct(triggers.from_direct(event, context.aws_request_id), deadline)

    def _direct(self, received: Received, deadline: Deadline) -> dict[str, Any]:
        """Return the summary. Publish it too if the run did not succeed: an asynchronous caller gets no reply."""
        ended = self._run(received, deadline)
        if not ended.ok and not ended.elsewhere:
            try:
                self._publish(ended)
            except AwsError as error:
                self._observability.unpublished(ended.run_id, error.code)
        return ended.summary

    def _run(self, received: Received, deadline: Deadline) -> RunResult:
        ended = self._sweeper.sweep(received, deadline)
        if ended.repeated:
            self._observability.repeated(ended.run_id)
        elif ended.elsewhere:
            self._observability.elsewhere(ended.run_id)
        else:
            self._observability.record(ended.summary, received.trigger.value)
        return ended

    # -- events and messages ------------------------------------------------

    def _event(self, received: Received, deadline: Deadline) -> dict[str, Any]:
        ended = self._run(received, deadline)
        if ended.retryable:
            raise SweepFailedError(f"{ended.summary['error']['code']}, run {ended.run_id}")
        self._publish(ended)
        return ended.summary

    def _settled(self, message: QueueMessage, deadline: Deadline) -> bool:
        try:
            ended = self._run(message.received, deadline)
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

    # -- HTTP ------------------------------------------------

    def _http_start(self, received: Received) -> dict[str, Any]:
        """Put the request on the bus and answer 202 with the run's id; a worker of the queue runs the sweep."""
        try:
            request = self._sweeper.accept(received)
            run_id = request.get("run_id", run_id_of(received.origin_id))
            self._mark_as_asked(run_id, digest_of(request))
            requester = [received.requested_by] if received.requested_by else []
            self._sweeper.bus.publish(EventType.SWEEP_REQUESTED, {**_as_asked(received), "run_id": run_id}, requester)
        except CleanupError as error:
            # There is no member `result` here, so the error's detail (`violations`) becomes members of the reply.
            title = {"title": "The run id is taken"} if error.code == RUN_ID_REUSED.code else {}
            return triggers.http_problem(Error.of(error), received.origin_id, **title, **(error.detail or {}))
        except AwsError as error:
            return triggers.http_problem(_unavailable(error), received.origin_id)
        body = {"run_id": run_id, "status": f"/sweeps/{run_id}", "report": self._sweeper.places(run_id)}
        return triggers.http_response(202, "application/json", body)

    def _mark_as_asked(self, run_id: str, digest: str) -> None:
        """Store that the run was asked for: `GET` then answers 202 before a worker has begun.

        Raises
        ------
        CleanupError
            ``conflict``, if another request has used this run id: `GET` would return the summary and the report of
            that one.
        """
        store = self._sweeper.store
        mark = {"run_id": run_id, "digest": digest}
        used = store.get(key(run_id, "claim.json"))  # by an event or a message, if nobody has asked over HTTP
        if used is None and not store.put_new(key(run_id, "asked.json"), mark):
            used = store.get(key(run_id, "asked.json"))
        if used is not None and used.document.get("digest") != digest:
            raise CleanupError(Category.CONFLICT, RUN_ID_REUSED.code, RUN_ID_REUSED.message)

    def _http_status(self, received: Received) -> dict[str, Any]:
        """200 with the summary; 202 while there is none; 404 for a run id that nobody has used."""
        request = _as_asked(received)
        run_id = request.get("run_id")
        if received.unreadable is not None or set(request) != {"run_id"} or run_id_of(str(run_id)) != run_id:
            invalid = Error(Category.INVALID_REQUEST, SweepCode.RUN_ID_INVALID, _RUN_ID_WANTED)
            return triggers.http_problem(invalid, received.origin_id)
        try:
            found = self._first_of(run_id, "summary", "claim", "asked")
        except StoreError as error:
            return triggers.http_problem(_unavailable(error), received.origin_id)
        if found is not None and found[0] == "summary":
            return triggers.http_response(200, "application/json", found[1])
        if found is not None:
            body = {"run_id": run_id, "state": "running" if found[0] == "claim" else "waiting"}
            return triggers.http_response(202, "application/json", body, {"Retry-After": str(POLL_SECONDS)})
        unknown = Error(Category.NOT_FOUND, SweepCode.RUN_NOT_FOUND, "no sweep was asked for under this id")
        return triggers.http_problem(unknown, received.origin_id, title="There is no such run")

    def _first_of(self, run_id: str, *names: str) -> tuple[str, dict[str, Any]] | None:
        """The first of a run's documents that is there, and its name."""
        for name in names:
            stored = self._sweeper.store.get(key(run_id, f"{name}.json"))
            if stored is not None:
                return name, stored.document
        return None


def _fitting(summary: dict[str, Any]) -> dict[str, Any]:
    """The summary, without targets and policy if it is too large for an event (256 KB): the bucket has all of it."""
    return summary if len(json.dumps(summary)) <= MAX_EVENT else {**short(summary), "targets": [], "policy": None}


def _as_asked(received: Received) -> dict[str, Any]:
    """The request as it came. The worker fills in the defaults."""
    return received.request if isinstance(received.request, dict) else {}


def _unavailable(error: AwsError) -> Error:
    return Error(Category.UNAVAILABLE, SweepCode.AWS_UNAVAILABLE, f"AWS refused a call ({error.code})")
