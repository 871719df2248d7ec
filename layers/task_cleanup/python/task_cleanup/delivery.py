"""What becomes of the results of events and messages: published on the bus, failed messages moved aside."""

import json
from dataclasses import dataclass

from task_cleanup.aws import Aws
from task_cleanup.event_types import SOURCE, EventType
from task_cleanup.results import Result
from task_cleanup.settings import Settings
from task_cleanup.system import Deadline
from task_cleanup.triggers import QueueMessage


@dataclass(frozen=True, eq=False, repr=False)
class Delivery:
    """Where results and permanently failed messages go. What is not set goes nowhere."""

    aws: Aws
    settings: Settings

    def publish(self, result: Result, deadline: Deadline) -> None:
        """Put the result on the bus.

        Raises
        ------
        AwsError
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

    def settle(self, message: QueueMessage, result: Result, deadline: Deadline) -> bool:
        """Finish a message: True if its queue may forget it, False if it must come again.

        Raises
        ------
        AwsError
            If publishing or moving failed: it must come again then, too.
        """
        if not result.ok and self._comes_again(message, result):
            return False
        self.publish(result, deadline)
        if not result.ok:
            self._move_to_dead_letters(message, result, deadline)
        return True

    def _comes_again(self, message: QueueMessage, result: Result) -> bool:
        settings = self.settings
        if not (settings.event_bus_name and settings.dead_letter_queue_url and settings.max_receives):
            return True  # with nowhere to tell or to move it, SQS must keep the count
        return result.retryable and message.receives < settings.max_receives

    def _move_to_dead_letters(self, message: QueueMessage, result: Result, deadline: Deadline) -> None:
        """The body as it came, so that a redrive sends the same request with the same client token.

        And with the same age. Where it is unknown, no time is added: it would be known after the redrive, and wrong.
        """
        received = message.received
        attributes = {"result": json.dumps(result.to_event()), "origin_id": received.origin_id}
        if origin_time := received.origin_time(result.completed_at):
            attributes["origin_time"] = origin_time
        self.aws.send_message(self.settings.dead_letter_queue_url or "", message.body, attributes, deadline)
