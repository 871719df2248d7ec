"""The evidence of a run, put in order once for all rules: messages with their receives, tasks with their history."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from bench.torture.evidence import Ending, Evidence, Receive, Result, Sent
from bench.torture.messages import CANCEL, Copy, Message
from bench.torture.tasks import State, Target
from local.emulators.journal import Entry

TICK = timedelta(milliseconds=2)  # times are cut to milliseconds


@dataclass(frozen=True)
class Case:
    """One message with everything that happened to it, in the order of its receives."""

    sent: Sent
    message_id: str | None
    history: tuple[Receive, ...]
    redelivered: tuple[Receive, ...]  # after the redrive
    died: bool  # SQS moved it, without a result

    @property
    def message(self) -> Message:
        """The message that was sent."""
        return self.sent.message

    def done(self) -> Iterator[Result]:
        """The results after which the message was deleted from its queue, the latest last."""
        for receives in (self.history, self.redelivered):
            yield from (item.result for item in receives if item.ending is Ending.DONE and item.result)

    @property
    def endings(self) -> str:
        """How its receives ended."""
        return ", ".join(
            f"{item.ending.value}{' with ' + item.result['outcome'] if item.result else ''}" for item in self.history
        )

    @property
    def name(self) -> str:
        """The case in words: operation, kind of message, which copy, and first id."""
        message = self.message
        return f"{message.operation.name}, {message.kind.value}, {message.copy.value}, {self.sent.origin}"


@dataclass(frozen=True)
class History:
    """The states of one task: the first one, and each later one with its beginning (Unix seconds). None: gone."""

    first: State | None
    later: tuple[tuple[float, State | None], ...] = ()

    def before(self, time: float) -> State | None:
        """The state right before a moment."""
        return next((state for began, state in reversed(self.later) if began < time), self.first)

    def during(self, began: float, ended: float) -> tuple[State | None, ...]:
        """Every state between two moments."""
        return (self.before(began), *(state for time, state in self.later if began <= time <= ended))


@dataclass(frozen=True)
class Books:
    """The evidence, indexed once for all rules."""

    evidence: Evidence
    extras: list[str] = field(default_factory=list)  # messages received that nobody sent
    apart: Counter[str] = field(default_factory=Counter)
    """What is no difference, because nobody can do better: in words, and how often."""

    @cached_property
    def receives_of(self) -> dict[str, list[Receive]]:
        found: dict[str, list[Receive]] = defaultdict(list)
        for receive in self.evidence.receives:
            found[receive.message_id].append(receive)
        return {message_id: sorted(receives, key=lambda item: item.number) for message_id, receives in found.items()}

    @cached_property
    def ids_of(self) -> dict[str, list[str]]:
        """Origin -> ids of its messages before the redrive, wherever they were seen."""
        found: dict[str, dict[str, None]] = defaultdict(dict)
        seen = [(item.origin, item.message_id) for item in self.evidence.receives]
        # A message that a function moved to a dead-letter queue has a new id there.
        seen += [(item.origin, item.message_id) for item in self.evidence.dead_letters if item.result is None]
        for origin, message_id in seen:
            if message_id not in self.evidence.redriven:
                found[origin].setdefault(message_id)
        return {origin: list(ids) for origin, ids in found.items()}

    @cached_property
    def redriven_of(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for message_id, origin in self.evidence.redriven.items():
            found[origin].append(message_id)
        return found

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        ids = {origin: list(found) for origin, found in self.ids_of.items()}
        died = {dead.message_id for dead in self.evidence.dead_letters if dead.result is None}
        for sent in self.evidence.sent:
            if sent.message_id in ids.get(sent.origin, []):
                ids[sent.origin].remove(str(sent.message_id))
        cases = []
        for sent in self.evidence.sent:
            rest = ids.get(sent.origin, [])
            message_id = sent.message_id or (rest.pop(0) if rest else None)
            history = self.receives_of.get(message_id or "", [])
            new_ids = self.redriven_of.get(sent.origin, [])
            redelivered = [item for new_id in new_ids for item in self.receives_of.get(new_id, [])]
            cases.append(Case(sent, message_id, tuple(history), tuple(redelivered), message_id in died))
        self.extras.extend(message_id for rest in ids.values() for message_id in rest)
        return tuple(cases)

    @cached_property
    def logged(self) -> list[tuple[Receive, Result]]:
        return [(receive, receive.result) for receive in self.evidence.receives if receive.result is not None]

    @cached_property
    def effects(self) -> dict[Target, list[Entry]]:
        found: dict[Target, list[Entry]] = defaultdict(list)
        for entry in self.evidence.journal:
            if entry.effect:
                found[target_of_entry(entry)].append(entry)
        return found

    @cached_property
    def firsts(self) -> dict[Target, Message]:
        """The message that named a task first; its copies ask for the same."""
        messages = [sent.message for sent in self.evidence.sent]
        return {message.target: message for message in messages if message.copy is Copy.FIRST}

    @cached_property
    def _histories(self) -> dict[Target, History]:
        found: dict[Target, list[tuple[float, State | None]]] = defaultdict(list)
        for change in self.evidence.changes:
            found[change.target].append((change.at, change.state))
        for target, entries in self.effects.items():
            found[target] += [(time_of(entry), None) for entry in entries if entry.effect == "deleted"]
        return {
            target: History(message.seeded, tuple(sorted(found[target], key=lambda item: item[0])))
            for target, message in self.firsts.items()
        }

    def history_of(self, target: Target) -> History:
        """What became of a task, by the emulators' and the actor's own records."""
        return self._histories.get(target, History(None))

    @cached_property
    def vanished(self) -> frozenset[Target]:
        """The tasks that went without a call."""
        return frozenset(change.target for change in self.evidence.changes if change.state is None)

    @cached_property
    def _calls(self) -> dict[Target, list[Entry]]:
        found: dict[Target, list[Entry]] = defaultdict(list)
        for entry in self.evidence.journal:
            found[target_of_entry(entry)].append(entry)
        return found

    def calls_about(self, target: Target) -> list[Entry]:
        """The calls that name a task, and the lists of an instance on which no other task is named."""
        message = self.firsts.get(target)
        if message is None or not message.has_own_instance:
            return self._calls[target]
        return sorted(self._calls[target] + self._calls[target._replace(task="")], key=time_of)

    def calls_of(self, receive: Receive, result: Result) -> list[Entry]:
        """The calls about its task during a result's run, by this worker or by one that is not known.

        (A fault can answer before the provider has read the key.)
        """
        began, ended = span(result)
        return [
            entry
            for entry in self.calls_about(target_of(result))
            if entry.access_key_id in (receive.access_key_id, None) and began <= moment(entry.time) <= ended
        ]

    @cached_property
    def _runs(self) -> dict[Target, list[tuple[Receive, Result]]]:
        found: dict[Target, list[tuple[Receive, Result]]] = defaultdict(list)
        for receive, result in self.logged:
            found[target_of(result)].append((receive, result))
        return found

    def results_about(self, target: Target) -> list[tuple[Receive, Result]]:
        """The results about a task, whoever asked."""
        return self._runs[target]

    def is_alone(self, receive: Receive, result: Result) -> bool:
        """Whether these calls are certainly this result's: no other run with this key was about the task then."""
        began, ended = span(result)
        others = [
            other
            for by, other in self._runs[target_of(result)]
            if other is not result and by.access_key_id == receive.access_key_id
        ]
        spans = [span(other) for other in others]
        changes = sum(entry.method != "GET" for entry in self.calls_of(receive, result))
        return changes <= result["attempts"] and not any(start <= ended and began <= end for start, end in spans)

    @cached_property
    def cancels(self) -> dict[Target, list[str | None]]:
        """For every migration that messages ask to cancel: when each says that it was first sent."""
        found: dict[Target, list[str | None]] = defaultdict(list)
        for sent in self.evidence.sent:
            if sent.message.operation is CANCEL:
                found[sent.message.target].append(sent.first_sent)
        return found

    @cached_property
    def message_of(self) -> dict[str, Message]:
        """Origin -> what was asked for. Redriven messages that lost their origin are found by their new id."""
        found = {sent.origin: sent.message for sent in self.evidence.sent}
        return {**found, **{new: found[old] for new, old in self.evidence.redriven.items() if old in found}}


def target_of_entry(entry: Entry) -> Target:
    """The task that a provider's call was about."""
    return Target(entry.service, entry.ids.get("instance_id", ""), entry.ids.get("task_id", ""))


def time_of(entry: Entry) -> float:
    """When a call was carried out, or at least arrived (Unix seconds)."""
    return moment(entry.time).timestamp() if entry.carried_out is None else entry.carried_out


def moment(text: str) -> datetime:
    """An RFC 3339 time."""
    return datetime.fromisoformat(text)


def span(result: Result) -> tuple[datetime, datetime]:
    """From when to when the call of this result lasted."""
    ended = moment(result["completed_at"])
    return ended - timedelta(milliseconds=result["duration_ms"]) - TICK, ended + TICK


def target_of(result: Result) -> Target:
    """The task that a result is about."""
    target = result["target"]
    service = f"{target['provider']}_{target['service']}"
    return Target(service, target.get("instance_id", ""), target.get("task_id", ""))


def short(result: Result) -> str:
    """A result in a few words."""
    error = result["error"] or {}
    target = " ".join(str(value) for value in target_of(result) if value)
    return f"{result['outcome']} {error.get('code', '')} [{target}] {result['correlation_id']}".replace("  ", " ")
