"""Records what local runs log and measure: the functions' own lines, and counts of what AWS services would count."""

import logging
from collections.abc import Mapping
from contextlib import ExitStack, redirect_stdout
from io import TextIOBase
from typing import Any, Self
from unittest.mock import patch

from moto.events.models import Rule
from moto.sqs.models import sqs_backends

from local.aws import stack
from local.aws.cloud import LocalCloud
from local.aws.dashboard import filled
from local.aws.metrics import NO_TAGS, Point, emitted

ACCOUNT = "123456789012"


class Recorder(TextIOBase):
    """While a ``with`` block runs, it takes what the functions print, with the local cloud's time."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._cloud = cloud
        self.points: list[Point] = []
        self.lines: list[str] = []
        resources = stack.translate(stack.ROOT / "template.yaml", cloud.parameters)["Resources"]
        self._tagged = {
            name: {tag["Key"]: filled(tag["Value"]["Fn::Sub"], {"AWS::StackName": stack.STACK_NAME}) for tag in tags}
            for name, item in resources.items()
            if item["Type"] == "AWS::SQS::Queue" and (tags := item["Properties"].get("Tags"))
        }

    def __enter__(self) -> Self:
        """Begin. A logger that another local cloud has made before still writes to where that one did."""
        self._closing = ExitStack()
        self._closing.enter_context(redirect_stdout(self))
        for handler in logging.getLogger(stack.STACK_NAME).handlers:
            if isinstance(handler, logging.StreamHandler):
                before = handler.setStream(self)
                self._closing.callback(handler.setStream, before)
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._closing.close()

    def write(self, text: str) -> int:
        """Take a line. A line comes in one piece, or its end comes alone."""
        for line in filter(str.strip, text.splitlines()):
            self.lines.append(line)
            self.points += emitted(line, self._cloud.clock.now())
        return len(text)

    def count(
        self,
        namespace: str,
        name: str,
        dimensions: Mapping[str, str],
        value: float,
        tags: Mapping[str, str] = NO_TAGS,
    ) -> None:
        """Add one point."""
        self.points.append(Point(self._cloud.clock.now(), namespace, name, dimensions, value, tags))

    def sample_queues(self) -> None:
        """Add how many messages wait in each queue, and for how long."""
        queues = sqs_backends[ACCOUNT][stack.REGION].queues
        now = self._cloud.clock.now().timestamp()
        for name, tags in self._tagged.items():
            queue = queues[self._cloud.stack.queue_urls[name].rpartition("/")[2]]
            waiting = [message.sent_timestamp / 1000 for message in queue.messages]
            named = {"QueueName": name}
            self.count("AWS/SQS", "ApproximateNumberOfMessagesVisible", named, len(waiting), tags)
            self.count("AWS/SQS", "ApproximateAgeOfOldestMessage", named, now - min(waiting, default=now), tags)

    def counting_rules(self) -> Any:  # noqa: ANN401 - a patch
        """While it lasts, each event is counted for each of the stack's rules that it matches."""
        sends = Rule.send_to_targets

        def counted(rule: Rule, event: Any, *more: Any) -> None:  # noqa: ANN401 - moto's
            if not rule.name.startswith("watch-") and rule.event_pattern.matches_event(event):
                named = {"EventBusName": stack.STACK_NAME, "RuleName": rule.name}
                self.count("AWS/Events", "MatchedEvents", named, 1)
            sends(rule, event, *more)

        return patch.object(Rule, "send_to_targets", counted)
