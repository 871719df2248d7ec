"""Task records of DMS, in memory. What is allowed with them is decided by the service."""

import itertools
import threading
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from .clock import Clock, rfc3339
from .records import converted

OLDEST = "2000-01-01T00:00:00.000Z"
"""Creation time of a record that comes as the last of the list."""


@dataclass
class BackgroundTask:
    """The record of a DMS background task (DMS sheet, section 3)."""

    task_id: str
    status: str = "SUCCESS"
    name: str = "modifyAutoTopic"
    user_name: str = "fake-user"
    user_id: str = "00000000000000000000000000000001"
    params: str = '{"new_value":"true","old_value":"false"}'
    created_at: str = "2026-11-21T08:30:00.000Z"
    updated_at: str = "2026-11-21T08:31:00.000Z"

    def as_json(self) -> dict[str, Any]:
        """Return the entry that list and show answer with."""
        return {
            "id": self.task_id,
            "name": self.name,
            "user_name": self.user_name,
            "user_id": self.user_id,
            "params": self.params,
            "status": self.status,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        }


@dataclass
class DmsInstance:
    """A DMS instance with its task records, and those that were deleted."""

    project_id: str
    instance_id: str
    tasks: dict[str, BackgroundTask] = field(default_factory=dict)
    deleted: dict[str, BackgroundTask] = field(default_factory=dict)

    def newest_first(self) -> list[BackgroundTask]:
        """Records by creation time, the newest first."""
        return sorted(self.tasks.values(), key=lambda task: task.created_at)[::-1]


class DmsStore:
    """All DMS instances of one cloud."""

    def __init__(self, clock: Clock) -> None:
        """Start empty."""
        self.lock = threading.RLock()
        self.instances: dict[tuple[str, str], DmsInstance] = {}
        self._clock = clock
        self._numbers = itertools.count(1)

    def add_instance(self, project_id: str, instance_id: str) -> DmsInstance:
        """Put an instance in place."""
        with self.lock:
            return self.instances.setdefault((project_id, instance_id), DmsInstance(project_id, instance_id))

    def add_task(self, project_id: str, instance_id: str, task_id: str | None = None, **values: str) -> str:
        """Put a task record in place, with its instance if need be; return its id."""
        with self.lock:
            number = next(self._numbers)
            created = rfc3339(self._clock.now() + number / 1000)
            times = {"created_at": created, "updated_at": created}
            name = task_id or f"fa{number:030x}"
            task = BackgroundTask(**converted(BackgroundTask, {"task_id": name, **times, **values}))
            self.add_instance(project_id, instance_id).tasks[task.task_id] = task
            return task.task_id

    def remove(self, instance: DmsInstance, task: BackgroundTask) -> None:
        """Delete a record."""
        with self.lock:
            instance.deleted[task.task_id] = instance.tasks.pop(task.task_id)

    def move(self, instance: DmsInstance, tasks: list[BackgroundTask]) -> None:
        """Of these, the newest first, the first goes, and an older one comes."""
        with self.lock:
            for task in tasks[:1]:
                moved = replace(tasks[-1], task_id=f"fa{next(self._numbers):030x}", created_at=OLDEST)
                self.remove(instance, task)
                instance.tasks[moved.task_id] = moved

    def snapshot(self) -> list[dict[str, Any]]:
        """Return all instances with their records."""
        with self.lock:
            return [
                {
                    "project_id": instance.project_id,
                    "instance_id": instance.instance_id,
                    "tasks": [asdict(task) for task in instance.tasks.values()],
                }
                for instance in self.instances.values()
            ]

    def clear(self) -> None:
        """Forget all instances."""
        with self.lock:
            self.instances.clear()
