"""Adds to moto the two SQS calls of a redrive: ``StartMessageMoveTask`` and ``ListMessageMoveTasks``.

A move is over when its call returns. As in SQS, a moved message is a new one, with a new id and time, and keeps its
body and its message attributes (API reference, "StartMessageMoveTask").
"""

import time
import uuid
from typing import Any
from weakref import WeakKeyDictionary

from moto.core.responses import ActionResult
from moto.sqs.exceptions import InvalidParameterValue
from moto.sqs.models import Queue, SQSBackend
from moto.sqs.responses import SQSResponse

_BATCH = 10
_HIDDEN = 30  # seconds, for what is being moved

_moves: WeakKeyDictionary[Queue, list[dict[str, Any]]] = WeakKeyDictionary()  # of each source, the newest first


def install() -> None:
    """Let moto's SQS answer the two calls."""
    SQSResponse.start_message_move_task = _start
    SQSResponse.list_message_move_tasks = _list


def _start(response: SQSResponse) -> ActionResult:
    backend = response.sqs_backend
    source = _source(response)
    destination_arn = response._get_param("DestinationArn")
    if destination_arn is None:
        # Without a destination, SQS sends back only messages that it moved itself; those of a function it refuses.
        raise InvalidParameterValue("Name the DestinationArn: a message that a function moved has no source queue.")
    destination = _queue(backend, destination_arn)
    moved = 0
    while messages := backend.receive_message(source.name, _BATCH, 0, _HIDDEN, ["All"]):
        for message in messages:
            backend.send_message(destination.name, message.body, message.message_attributes)
            backend.delete_message(source.name, message.receipt_handle)
        moved += len(messages)
    task = {
        "Status": "COMPLETED",
        "SourceArn": source.queue_arn,
        "DestinationArn": destination.queue_arn,
        "ApproximateNumberOfMessagesMoved": moved,
        "ApproximateNumberOfMessagesToMove": moved,
        "StartedTimestamp": int(time.time() * 1000),
    }
    _moves.setdefault(source, []).insert(0, task)
    return ActionResult({"TaskHandle": str(uuid.uuid4())})


def _list(response: SQSResponse) -> ActionResult:
    most = int(response._get_param("MaxResults") or 1)
    return ActionResult({"Results": _moves.get(_source(response), [])[:most]})


def _source(response: SQSResponse) -> Queue:
    backend = response.sqs_backend
    source = _queue(backend, response._get_param("SourceArn"))
    if not backend.list_dead_letter_source_queues(source.name):
        raise InvalidParameterValue("Source queue must be configured as a Dead Letter Queue.")
    return source


def _queue(backend: SQSBackend, arn: str) -> Queue:
    """The queue with this ARN; moto's own refusal where there is none."""
    return backend.get_queue(arn.rpartition(":")[2])
