"""The tasks of a run: how each is told from what it was before, and what becomes of some on the way."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple

from local.aws.cloud import PROJECT_ID
from local.emulators import KINDS
from task_cleanup.sweep.services import SERVICES

BEGUN = 1795249800  # Unix seconds: when every task was created, or started, at first
RESTARTED = BEGUN + 3600
RAN = 60  # seconds; the emulated OMS has no other
AHEAD = {"alibaba_elasticsearch": 8 * 3600}  # seconds: it tells China's time without a zone, which is read as UTC


class Target(NamedTuple):
    """A task, or with an empty ``task`` the node migration of an instance."""

    service: str
    instance: str
    task: str


class State(NamedTuple):
    """What a task is told to be the same by. In what a request expects, None is a field that it does not name."""

    status: object  # in the provider's own form
    name: str | None
    begun: int | None  # Unix seconds

    def meets(self, wanted: "State") -> bool:
        """Whether a task in this state is as the request expects it."""
        return all(want in (None, is_) for want, is_ in zip(wanted, self, strict=True))


class Moment(StrEnum):
    """When a task changes."""

    SENT = "when the request has been sent"
    CALLED = "when the provider has decided the first call about it, and has not answered yet"
    FAILED = "when for the first time a call about it has failed before the provider decided it"


@dataclass(frozen=True)
class Turn:
    """What becomes of a task while its message is on the way. ``state``: None if it vanishes."""

    moment: Moment
    state: State | None


def expected(service: str, wanted: State) -> dict[str, str]:
    """What a request says that it expects: those fields of a state that are not None, as a list tells them."""
    begun = next(name for name in SERVICES[service].look.identity if name in ("created_at", "started_at"))
    time = (
        None
        if wanted.begun is None
        else datetime.fromtimestamp(wanted.begun + AHEAD.get(service, 0), UTC).isoformat()
    )
    told = {"provider_status": str(wanted.status), "name": wanted.name, begun: time}
    return {name: value for name, value in told.items() if value is not None}


def record(target: Target, state: State | None) -> dict[str, Any]:
    """The emulators' record of a task; without a state that of a place, or of a node migration."""
    kind = KINDS[target.service]
    place = {"service": target.service, **kind.place_ids(PROJECT_ID, target.instance)}
    if state is None:
        return place
    fields = kind.record.dated(state.name, state.begun, (state.begun or 0) + RAN)
    return {**place, "task_id": target.task, "status": state.status, **fields}


def migration(target: Target) -> dict[str, Any]:
    """The emulators' record of an instance whose nodes are being migrated."""
    return {**record(target, None), "migrating": True}


def present(tasks: Mapping[str, Sequence[Mapping[str, Any]]]) -> frozenset[Target]:
    """All tasks, and all node migrations that run, in what the emulators' ``tasks()`` returns."""
    return frozenset(_present(tasks))


def _present(tasks: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[Target]:
    for service, places in tasks.items():
        for place in places:
            instance = place.get("instance_id", "")
            yield from (Target(service, instance, task["task_id"]) for task in place["tasks"])
            if place.get("migrating"):
                yield Target(service, instance, "")
