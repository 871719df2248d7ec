"""Makes an operation's Lambda handler: it reads any trigger's event, runs the operation, and answers that trigger.

One execution environment keeps one session, one credential cache and one clock offset, and nothing of a request.
"""

from task_cleanup.startup import UncollectedImports

with UncollectedImports():
    from collections.abc import Callable
    from functools import partial
    from typing import Any, Protocol

    from task_cleanup import triggers
    from task_cleanup.aws import Aws, AwsError
    from task_cleanup.calls import Dependencies
    from task_cleanup.credentials import CredentialStore
    from task_cleanup.delivery import Delivery, MessageEnd
    from task_cleanup.errors import TaskCleanupError
    from task_cleanup.observability import Observability
    from task_cleanup.operation import Operation, run
    from task_cleanup.reply_size import fitted
    from task_cleanup.results import Result
    from task_cleanup.settings import Settings
    from task_cleanup.system import Deadline, System
    from task_cleanup.transport import Transport, new_session
    from task_cleanup.triggers import QueueMessage, Received, Trigger

ANSWER_RESERVE = 1.0  # seconds kept back for logging, metrics and the reply
DELIVERY_RESERVE = 6.0  # seconds kept back for publishing a result and moving a message
PUBLISH_RESERVE = 3.0  # seconds kept back for publishing alone


class LambdaContext(Protocol):
    """The two members of Lambda's context object that are used."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends the invocation."""
        ...


class RetryableError(TaskCleanupError):
    """Raised to Lambda for a retryable result of an event, so that Lambda's own retries take over."""

    def __init__(self, result: Result) -> None:
        code = result.error.code if result.error else result.outcome.value
        super().__init__(f"{result.operation}: {code} (retryable), correlation id {result.correlation_id}")


def make_handler(operation: Operation, system: System | None = None) -> Callable[[Any, LambdaContext], Any]:
    """The ``lambda_handler`` of an operation. Reads the environment variables once, now.

    Raises
    ------
    SettingsError
        If an environment variable is missing or malformed.
    """
    service = operation.service
    return _Handler(operation, Settings.from_env([service.id, service.exchange_id]), system or System())


class _Handler:
    def __init__(self, operation: Operation, settings: Settings, system: System) -> None:
        transport = Transport(system, lambda system: new_session(system, settings.aws_endpoints.values()))
        aws = Aws(settings, lambda: transport.session, system)
        service = operation.service
        self._operation = operation
        self._system = system
        self._delivery = Delivery(aws, settings)
        self._observability = Observability(settings)
        credentials = CredentialStore.of(service, settings, aws, aws.get_web_identity_token, system)
        self._dependencies = Dependencies.of(
            service, settings, credentials, transport, system, dry_run=settings.dry_run
        )

    def __call__(self, event: Any, context: LambdaContext) -> Any:  # noqa: ANN401 - any trigger's event and reply
        started = self._system.monotonic()
        try:
            return self._answer(event, context)
        finally:
            self._observability.ran((self._system.monotonic() - started) * 1000)

    def _answer(self, event: Any, context: LambdaContext) -> Any:  # noqa: ANN401
        remaining = context.get_remaining_time_in_millis() / 1000 - ANSWER_RESERVE
        deadline = Deadline.after(remaining, self._system.monotonic)
        request_id = context.aws_request_id
        match triggers.trigger_of(event):
            case Trigger.SQS:
                return self._batch(triggers.from_sqs(event), deadline)
            case Trigger.EVENTBRIDGE:
                return self._event(triggers.from_eventbridge(event, request_id), deadline)
            case Trigger.HTTP:
                received = triggers.from_http(event, self._operation.validator, request_id)
                return triggers.http_reply(self._run(received, deadline))
            case Trigger.DIRECT if triggers.is_check(event):
                return self._check(event, deadline)
            case Trigger.DIRECT:
                return self._direct(triggers.from_direct(event, request_id), deadline)

    def _run(self, received: Received, deadline: Deadline) -> Result:
        result = run(self._operation, received, self._dependencies, deadline)
        if not received.is_queued:  # a queued request's result is published without its tasks, and counts them all
            result = fitted(result, received.trigger)
        self._observability.record(result, received.trigger)
        return result

    def _direct(self, received: Received, deadline: Deadline) -> dict[str, Any]:
        """The result; a failed one is published, too, since an asynchronous caller never sees the reply."""
        result = self._run(received, deadline.less(PUBLISH_RESERVE))
        if not result.ok:
            try:
                self._delivery.publish(result, deadline)
            except AwsError as error:
                self._observability.unpublished(result.correlation_id, error.code)
        return result.to_dict()

    def _check(self, event: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
        from task_cleanup.doctor import check  # noqa: PLC0415 - hardly ever asked for

        return check(event, {self._operation.service: self._dependencies}, deadline)

    def _event(self, received: Received, deadline: Deadline) -> dict[str, Any]:
        result = self._run(received, deadline.less(DELIVERY_RESERVE))
        if result.retryable:
            raise RetryableError(result)
        self._delivery.publish(result, deadline)
        return fitted(result, received.trigger).to_dict()

    def _batch(self, messages: list[QueueMessage], deadline: Deadline) -> dict[str, Any]:
        """Run each message separately. The reply names those that SQS must deliver again."""
        failed, least = [], self._operation.least_seconds
        for position, message in enumerate(messages):
            if deadline.less(DELIVERY_RESERVE).remaining() < least:
                failed += messages[position:]
                break
            # An equal share of the time for each, delivery included, so that one slow call, to the provider or to
            # AWS, does not use up the time of the others.
            waiting = len(messages) - position
            share = max(least, deadline.remaining() / waiting - DELIVERY_RESERVE)
            if not self._settled(message, deadline.within(share), deadline):
                failed.append(message)
        return triggers.batch_reply(failed)

    def _settled(self, message: QueueMessage, call_deadline: Deadline, deadline: Deadline) -> bool:
        try:
            result = self._run(message.received, call_deadline)
            publish = partial(self._delivery.publish, result, deadline)
            guarded = message.received.by_sweep and result.task_changed
            end = MessageEnd(
                result.ok, result.retryable, result.completed_at, result.to_event(), publish, guarded=guarded
            )
            return self._delivery.settle(message, end, deadline)
        except AwsError as error:
            self._observability.undelivered(message.message_id, error.code)
        except Exception as error:  # noqa: BLE001 - one record's bug must not fail the others
            self._observability.unforeseen(message.message_id, error)
        return False
