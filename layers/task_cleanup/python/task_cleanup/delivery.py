"""Publishes results on the bus, and moves messages that failed finally to the dead-letter queue."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from task_cleanup.aws import AwsCalls
from task_cleanup.event_types import SOURCE, EventType
from task_cleanup.results import Result
from task_cleanup.settings import Settings
from task_cleanup.startup import wired
from task_cleanup.system import Deadline
from task_cleanup.triggers import QueueMessage


@wired
class MessageEnd:
    """How a message ended. ``publish`` puts the result on the bus; ``told`` goes with the message if it is moved.

    ``guarded``: the request was refused by a guard that it had asked for, and nobody has to look at it.
    """

    ok: bool
    retryable: bool
    completed_at: datetime
    told: Mapping[str, Any]
    publish: Callable[[], None]
    guarded: bool = False


@wired
class Delivery:
    """Publishes results, and moves failed messages to the dead-letter queue.

    An empty ``event_bus_name`` switches publishing off. Without it, a dead-letter queue or ``max_receives``, no
    message is moved: see ``settle``.
    """

    aws: AwsCalls
    settings: Settings

    def publish(self, result: Result, deadline: Deadline) -> None:
        """Put the result on the bus.

        Raises
        ------
        AwsError
            If the bus did not take it.
        """
        bus = self.settings.event_bus_name
        if bus is None:
            return
        entry = {
            "EventBusName": bus,
            "Source": SOURCE,
            "DetailType": EventType.TASK_COMPLETED if result.ok else EventType.TASK_FAILED,
            "Detail": json.dumps(result.to_event()),
        }
        self.aws.put_event(entry, deadline)

    def settle(self, message: QueueMessage, end: MessageEnd, deadline: Deadline) -> bool:
        """Publish the result, and move a failed message: True if SQS may delete it, False if it must come again.

        What a guard refused is published, and not moved.

        A failed message comes again if another receive may succeed, and if no bus, dead-letter queue or
        ``max_receives`` is set: its queue then moves it after its own number of receives.

        Raises
        ------
        AwsError
            If publishing or moving failed: then the message must come again, too.
        """
        if not end.ok and self._comes_again(message, retryable=end.retryable):
            return False
        end.publish()
        if not end.ok and not end.guarded:
            self._move_to_dead_letters(message, end, deadline)
        return True

    def _comes_again(self, message: QueueMessage, *, retryable: bool) -> bool:
        if not self._can_move:
            return True
        return retryable and self.has_more_receives(message)

    @property
    def _can_move(self) -> bool:
        settings = self.settings
        return bool(settings.event_bus_name and settings.dead_letter_queue_url and settings.max_receives)

    def has_more_receives(self, message: QueueMessage) -> bool:
        """Whether a message that can succeed later comes again after this receive."""
        return not self._can_move or message.receives < (self.settings.max_receives or 0)

    def _move_to_dead_letters(self, message: QueueMessage, end: MessageEnd, deadline: Deadline) -> None:
        """Send the body unchanged, so that a redrive makes the same request, with the same client token or run id.

        ``origin_time`` keeps its age. If that is unknown, no time is sent: after a redrive, it would be a wrong age.
        """
        received = message.received
        attributes = {"result": json.dumps(end.told), "origin_id": received.origin_id}
        if origin_time := received.origin_time(end.completed_at):
            attributes["origin_time"] = origin_time
        self.aws.send_message(self.settings.dead_letter_queue_url or "", message.body, attributes, deadline)
