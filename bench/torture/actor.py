"""Changes tasks in the emulators while requests for them are on the way, and keeps a record of every change."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from bench.torture.messages import Copy, Message
from bench.torture.tasks import Moment, State, Target, Turn, record
from local.aws.cloud import PROJECT_ID
from local.emulators import KINDS, Emulators, Entry


@dataclass(frozen=True)
class Changed:
    """A change that no call made. ``at`` is the emulators' wall clock; ``state`` None: the task vanished."""

    at: float
    target: Target
    state: State | None


class Actor:
    """Makes each message's turn once, at its moment.

    A turn at a call is made by the emulators' thread that decides the call, before it answers: so a task changes
    after a look and before the delete that follows it, or between two attempts.
    """

    def __init__(self, emulators: Emulators, messages: Sequence[Message]) -> None:
        """Begin to follow the emulators' journal."""
        self._emulators = emulators
        self._lock = threading.Lock()
        self._turns: dict[Target, Turn] = {}
        self._in_place: dict[tuple[str, str], Target] = {}  # whom a list of all tasks of an instance is about
        self.changes: list[Changed] = []
        for message in messages:
            if message.copy is Copy.FIRST and message.turn is not None:
                self._turns[message.target] = message.turn
                if message.has_own_instance:
                    self._in_place[message.target[:2]] = message.target
        emulators.journal.followers.append(self._called)

    def sent(self, message: Message) -> None:
        """Tell that a message is on the way now."""
        self._make(message.target, Moment.SENT)

    def put(self, target: Target, state: State | None) -> None:
        """Change a task, or let it vanish, unless it is gone already."""
        store = self._emulators.services[target.service].store
        ids = tuple(KINDS[target.service].place_ids(PROJECT_ID, target.instance).values())
        with store.lock:
            place = store.places[ids]
            if target.task not in place.tasks:
                return
            if state is None:
                place.remove(target.task)
            else:
                self._emulators.seed(record(target, state))
            self.changes.append(Changed(self._emulators.clock.now(), target, state))

    def _called(self, entry: Entry) -> None:
        place = (entry.service, entry.ids.get("instance_id", ""))
        named = entry.ids.get("task_id")
        target = self._in_place.get(place) if named is None else Target(*place, named)
        if target is not None:
            self._make(target, Moment.FAILED if entry.carried_out is None else Moment.CALLED)

    def _make(self, target: Target, moment: Moment) -> None:
        with self._lock:
            turn = self._turns.get(target)
            if turn is None or turn.moment is not moment:
                return
            del self._turns[target]
        self.put(target, turn.state)
