"""Instances and data tasks of Alibaba Elasticsearch, in memory. What is allowed is decided by the service."""

import itertools
import threading
from dataclasses import asdict, dataclass, field
from typing import Any

from .records import converted


@dataclass
class DataTask:
    """An index migration task of Alibaba Elasticsearch (Alibaba sheet, section 1.4)."""

    task_id: str
    status: str = "SUCCESS"
    create_time: str = "2026-11-21 08:30:00"
    source_index: str = "source-index"
    sink_index: str = "sink-index"
    endpoint: str = "http://192.0.2.10:9200"

    def as_json(self) -> dict[str, Any]:
        """Return the shape of the published sample: the source has the address, the sink the settings."""
        return {
            "taskId": self.task_id,
            "status": self.status,
            "createTime": self.create_time,
            "sourceCluster": {
                "dataSourceType": "elasticsearch",
                "index": self.source_index,
                "type": "_doc",
                "endpoint": self.endpoint,
                "vpcId": "vpc-fake0001",
                "vpcInstanceId": "vpc-fake0001-instance",
                "vpcInstancePort": 9200,
            },
            "sinkCluster": {
                "dataSourceType": "elasticsearch",
                "index": self.sink_index,
                "type": "_doc",
                "settings": "{}",
                "mapping": "{}",
                "routing": "",
            },
        }


@dataclass
class ElasticsearchInstance:
    """An instance: its data tasks, and whether shards are being moved off its nodes."""

    instance_id: str
    migrating: bool = False
    activating: bool = False
    data_tasks: dict[str, DataTask] = field(default_factory=dict)


class ElasticsearchStore:
    """All Alibaba Elasticsearch instances."""

    def __init__(self) -> None:
        """Start empty."""
        self.lock = threading.RLock()
        self.instances: dict[str, ElasticsearchInstance] = {}
        self._numbers = itertools.count(1)

    def add_instance(
        self, instance_id: str, *, migrating: bool | None = None, activating: bool | None = None
    ) -> ElasticsearchInstance:
        """Put an instance in place, or change one."""
        with self.lock:
            instance = self.instances.setdefault(instance_id, ElasticsearchInstance(instance_id))
            instance.migrating = instance.migrating if migrating is None else migrating
            instance.activating = instance.activating if activating is None else activating
            return instance

    def add_data_task(self, instance_id: str, task_id: str | None = None, **values: str) -> str:
        """Put a data task in place, with its instance if need be; return its id."""
        with self.lock:
            name = task_id or f"et_cn_fake{next(self._numbers):08d}"
            task = DataTask(**converted(DataTask, {"task_id": name, **values}))
            self.add_instance(instance_id).data_tasks[task.task_id] = task
            return task.task_id

    def snapshot(self) -> list[dict[str, Any]]:
        """Return all instances with their tasks."""
        with self.lock:
            return [
                {**asdict(instance), "data_tasks": [asdict(task) for task in instance.data_tasks.values()]}
                for instance in self.instances.values()
            ]

    def clear(self) -> None:
        """Forget all instances."""
        with self.lock:
            self.instances.clear()
