"""Migration tasks of Huawei OMS, in memory. What is allowed with them is decided by the service."""

import itertools
import threading
from dataclasses import asdict, dataclass, replace
from typing import Any

from .clock import Clock
from .records import converted


class OmsStatus:
    """Status numbers of a migration task (OMS sheet, section 5)."""

    SETTLING = 0
    WAITING = 1
    RUNNING = 2
    STOPPED = 3
    FAILED = 4
    SUCCEEDED = 5
    RETRYING = 6
    PAUSING = 7


@dataclass
class OmsTask:
    """A migration task of OMS (OMS sheet, section 4)."""

    project_id: str
    task_id: int
    status: int = OmsStatus.STOPPED
    name: str = ""
    group_id: str = ""
    description: str = ""
    task_type: str = "object"
    start_time: int = 1795249800000
    polls_until_stopped: int = 1
    """Only while pausing: looks at the task until it is stopped."""
    stopped_at: float | None = None
    false_refusals: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the record that ListTasks and ShowTask answer with."""
        done = self.status == OmsStatus.SUCCEEDED
        return {
            "id": self.task_id,
            "name": self.name or f"task-{self.task_id}",
            "status": self.status,
            "task_type": self.task_type,
            "group_id": self.group_id,
            "group_type": "GROUP_TASK" if self.group_id else "NORMAL_TASK",
            "description": self.description,
            "start_time": self.start_time,
            "total_time": 60000,
            "left_time": 0 if done else 60000,
            "migrate_since": 0,
            "migrate_speed": 1048576 if self.status == OmsStatus.RUNNING else 0,
            "progress": 1.0 if done else 0.5,
            "total_num": 10,
            "successful_num": 10 if done else 5,
            "failed_num": 0,
            "skipped_num": 0,
            "total_size": 10485760,
            "real_size": 10485760,
            "complete_size": 10485760 if done else 5242880,
            "is_query_over": True,
            "bandwidth_policy": [],
            "src_node": {
                "bucket": "fake-source",
                "cloud_type": "AWS",
                "region": "eu-central-1",
                "app_id": "",
                "object_key": [""],
            },
            "dst_node": {"bucket": "fake-destination", "region": "cn-north-4", "save_prefix": ""},
            "enable_metadata_migration": False,
            "enable_restore": False,
            "enable_failed_object_recording": True,
            "enable_requester_pays": False,
            "error_reason": self._error_reason(),
            "failed_object_record": {"result": False, "list_file_key": None, "error_code": None},
            "success_record_error_reason": None,
            "skip_record_error_reason": None,
            "smn_info": None,
            "source_cdn": None,
            "object_overwrite_mode": "SIZE_LAST_MODIFIED_COMPARISON_OVERWRITE",
            "dst_storage_policy": "STANDARD",
            "consistency_check": "size_last_modified",
            "obs_system": "BUCKET",
            "task_priority": "MEDIUM",
        }

    def _error_reason(self) -> dict[str, str] | None:
        if self.status != OmsStatus.FAILED:
            return None
        return {"error_code": "TRF.FAKE", "error_msg": "An emulated failure of the task."}


class OmsStore:
    """All OMS migration tasks, in the order of their creation."""

    def __init__(self, clock: Clock) -> None:
        """Start empty."""
        self.lock = threading.RLock()
        self.tasks: dict[tuple[str, int], OmsTask] = {}
        self._clock = clock
        self._numbers = itertools.count(100000000000001)

    def add_task(self, project_id: str, task_id: int | str | None = None, **values: object) -> int:
        """Put a task in place; return its id."""
        with self.lock:
            number = next(self._numbers) if task_id is None else int(task_id)
            fields = {"project_id": project_id, "task_id": number, **values}
            self.tasks[project_id, number] = OmsTask(**converted(OmsTask, fields))
            return number

    def find(self, project_id: str, task_id: str) -> OmsTask | None:
        """Look a task up; a task that has had time to pause is stopped by now."""
        with self.lock:
            task = self.tasks.get((project_id, int(task_id)))
            if task is not None:
                self._settle(task)
            return task

    def of_project(self, project_id: str) -> list[OmsTask]:
        """All tasks of a project."""
        with self.lock:
            found = [task for task in self.tasks.values() if task.project_id == project_id]
            for task in found:
                self._settle(task)
            return found

    def pause(self, task: OmsTask, polls: int, milliseconds: int | None) -> None:
        """Start pausing: until the time has passed if one is given, else until so many looks at the task."""
        with self.lock:
            task.status = OmsStatus.PAUSING
            task.polls_until_stopped = polls
            task.stopped_at = None if milliseconds is None else self._clock.elapsed() + milliseconds / 1000

    def look(self, task: OmsTask) -> dict[str, Any]:
        """Return the record, and count the look."""
        with self.lock:
            record = task.as_json()
            task.polls_until_stopped -= 1
            return record

    def remove(self, task: OmsTask) -> None:
        """Delete a task for good."""
        with self.lock:
            self.tasks.pop((task.project_id, task.task_id), None)

    def move(self, tasks: list[OmsTask]) -> None:
        """Of these, in their order, the first goes, and another comes behind the last."""
        with self.lock:
            for task in tasks[:1]:
                moved = replace(tasks[-1], task_id=next(self._numbers))
                self.remove(task)
                self.tasks[moved.project_id, moved.task_id] = moved

    def snapshot(self) -> list[dict[str, Any]]:
        """Return all tasks."""
        with self.lock:
            return [asdict(task) for task in self.tasks.values()]

    def clear(self) -> None:
        """Forget all tasks."""
        with self.lock:
            self.tasks.clear()

    def _settle(self, task: OmsTask) -> None:
        if task.status != OmsStatus.PAUSING:
            return
        if task.stopped_at is None:
            paused = task.polls_until_stopped <= 0
        else:
            paused = self._clock.elapsed() >= task.stopped_at
        if paused:
            task.status = OmsStatus.STOPPED
