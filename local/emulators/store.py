"""Tasks in memory, by place and id. The service decides what is allowed with them."""

import itertools
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Generic, TypeVar

from .clock import Clock
from .records import InvalidRecordError, converted


@dataclass
class Record(ABC):
    """A task as its service keeps it. A subclass adds fields; its defaults make a task that has succeeded."""

    task_id: str
    status: Any = None
    looks_left: int = field(default=1, kw_only=True)
    """Only in a passing status, and without `passes_at`: how often the task is looked at before it has passed."""
    passes_at: float | None = field(default=None, kw_only=True)
    """Only in a passing status: when it has passed, on the emulators' timer."""

    @abstractmethod
    def as_json(self) -> dict[str, Any]:
        """Return the entry that the service answers with."""

    @classmethod
    @abstractmethod
    def dated(cls, name: str, begun: float, ended: float) -> dict[str, Any]:
        """The service's fields for a task with this name and these times (Unix seconds)."""


R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Kind(Generic[R]):
    """What all tasks of a service have in common: record, place, statuses, form of the ids."""

    record: type[R]
    place: tuple[str, ...]
    """The ids in a call before the task's id: `project_id`, `instance_id`."""
    waiting: Any
    running: Any
    final: tuple[Any, ...]
    """The statuses in which a task may be deleted; success is the first."""
    usual: tuple[Any, ...]
    """Statuses of leftover tasks; a frequent one is there several times."""
    passing: Mapping[Any, Any] = field(default_factory=dict)
    """Temporary statuses, each with the next one; None: the task is removed then."""
    flags: tuple[str, ...] = ()
    """Boolean fields of a place, such as that nodes of an instance are being migrated."""
    new_id: Callable[[int], str] = "fa{:030x}".format
    new_instance: Callable[[int], str] = "00000000-0000-4000-8000-{:012x}".format
    last: Mapping[str, Any] = field(default_factory=dict)
    """The fields that put a record at the end of the list; none where a list is in the order of creation."""

    def place_ids(self, project: str, instance: str) -> dict[str, str]:
        """Project, instance or both: the ids that name a place of this service."""
        values = {"project_id": project, "instance_id": instance}
        return {name: values[name] for name in self.place}


@dataclass
class Place(Generic[R]):
    """A project or an instance: its tasks, and those that were deleted."""

    ids: Mapping[str, str]
    flags: dict[str, bool]
    tasks: dict[str, R] = field(default_factory=dict)
    deleted: dict[str, R] = field(default_factory=dict)
    deleted_at: dict[str, float] = field(default_factory=dict)
    """By task id, on the emulators' timer."""

    def remove(self, task_id: str, at: float = float("-inf")) -> None:
        """Delete a task, at a moment of the emulators' timer; without one, long ago."""
        self.deleted[task_id] = self.tasks.pop(task_id)
        self.deleted_at[task_id] = at

    def deleted_since(self, moment: float) -> dict[str, R]:
        """Return those that were deleted after the moment, and are not there again."""
        ids = [task_id for task_id, at in self.deleted_at.items() if at > moment and task_id not in self.tasks]
        return {task_id: self.deleted[task_id] for task_id in ids}


class Store(Generic[R]):
    """All tasks of a service, in the order of their creation."""

    def __init__(self, kind: Kind[R], clock: Clock) -> None:
        """Start empty."""
        self.lock = threading.RLock()
        self.places: dict[tuple[str, ...], Place[R]] = {}
        self._kind = kind
        self._clock = clock
        self._numbers = itertools.count(1)

    # -- for tests and stories: add places and tasks ------------------------------------------------

    def add_place(self, *ids: str, **flags: bool) -> Place[R]:
        """Add a place, or change its flags."""
        kind = self._kind
        if len(ids) != len(kind.place) or not set(flags) <= set(kind.flags):
            raise InvalidRecordError(f"a place has {', '.join((*kind.place, *kind.flags))}")
        if not all(isinstance(value, bool) for value in flags.values()):
            raise InvalidRecordError(f"{', '.join(flags)} must be of type bool")
        with self.lock:
            place = self.places.get(ids) or self.empty(dict(zip(kind.place, ids, strict=True)))
            place.flags.update(flags)
            self.places[ids] = place
            return place

    def add_task(self, *ids: str | int, task_id: str | int | None = None, **values: Any) -> str:  # noqa: ANN401
        """Add a task, and its place if it is new; the task's id is the last of `ids`, or is made here. Return it."""
        *where, named = (*ids, None) if len(ids) == len(self._kind.place) else ids
        named = task_id if named is None else named
        with self.lock:
            place = self.add_place(*map(str, where))
            name = self._free_id(place) if named is None else str(named)
            place.tasks[name] = self._kind.record(**converted(self._kind.record, {"task_id": name, **values}))
            return name

    def seed(self, values: Mapping[str, Any]) -> None:
        """Add a place, and a task in it if the values have more fields than the place's."""
        rest = dict(values)
        ids = [rest.pop(name) for name in self._kind.place]
        flags = {name: rest.pop(name) for name in self._kind.flags if name in rest}
        self.add_place(*ids, **flags)
        if rest:
            self.add_task(*ids, **rest)

    def fill(self, ids: Sequence[str], records: Iterable[Mapping[str, Any]]) -> None:
        """Add very many tasks, without checking each field, which would take minutes."""
        made = (self._kind.record(**record) for record in records)
        self.add_place(*ids).tasks.update((record.task_id, record) for record in made)

    # -- for services ------------------------------------------------

    def empty(self, ids: Mapping[str, str]) -> Place[R]:
        """Make a place without tasks, which is not added to the store."""
        return Place(ids, dict.fromkeys(self._kind.flags, False))

    def tasks(self, place: Place[R]) -> list[R]:
        """The tasks of a place, after each temporary status that is over has been replaced by the next one."""
        for task in list(place.tasks.values()):
            self._pass(place, task)
        return list(place.tasks.values())

    def find(self, place: Place[R], task_id: str) -> R | None:
        """One task of a place, or None; a temporary status that is over is replaced first."""
        task = place.tasks.get(task_id)
        if task is not None:
            self._pass(place, task)
        return place.tasks.get(task_id)

    def begin(self, task: R, status: object, looks: int = 1, milliseconds: int | None = None) -> None:
        """Give a task a temporary status, for `milliseconds` if they are given, else for so many `looks`."""
        task.status = status
        task.looks_left = looks
        task.passes_at = None if milliseconds is None else self._clock.elapsed() + milliseconds / 1000

    def look(self, task: R) -> dict[str, Any]:
        """Return a task's entry for an answer, and count it against `looks_left`."""
        entry = task.as_json()
        task.looks_left -= 1
        return entry

    def move(self, place: Place[R], tasks: Sequence[R]) -> None:
        """Remove the first of these tasks and add a new one after the last, so that the count stays."""
        for task in tasks[:1]:
            name = self._free_id(place)
            moved = replace(tasks[-1], task_id=name, **self._kind.last)
            place.remove(task.task_id, self._clock.elapsed())
            place.tasks[name] = moved

    def move_place(self, places: Sequence[Place[R]]) -> None:
        """Remove the first of these places and add another one, empty, after all: their number stays."""
        for place in places[:1]:
            names = map(self._kind.new_instance, self._numbers)
            every = ({**place.ids, "instance_id": name} for name in names)
            ids = next(ids for ids in every if tuple(ids.values()) not in self.places)
            del self.places[tuple(place.ids.values())]
            self.places[tuple(ids.values())] = self.empty(ids)

    # -- all places ------------------------------------------------

    def snapshot(self) -> list[dict[str, Any]]:
        """Return all places with their flags and tasks."""
        with self.lock:
            return [
                {**place.ids, **place.flags, "tasks": [asdict(task) for task in place.tasks.values()]}
                for place in self.places.values()
            ]

    def clear(self) -> None:
        """Forget all places."""
        with self.lock:
            self.places.clear()

    def _free_id(self, place: Place[R]) -> str:
        """A new id that no task of the place has or had: the same ids can also be given by name."""
        ids = map(self._kind.new_id, self._numbers)
        return next(name for name in ids if name not in place.tasks and name not in place.deleted)

    def _pass(self, place: Place[R], task: R) -> None:
        if task.status not in self._kind.passing:
            return
        over = task.looks_left <= 0 if task.passes_at is None else self._clock.elapsed() >= task.passes_at
        following = self._kind.passing[task.status]
        if over and following is None:
            place.remove(task.task_id, self._clock.elapsed())
        elif over:
            task.status = following
