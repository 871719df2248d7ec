"""Alibaba Elasticsearch: DeleteDataTask, CancelTask, ListDataTasks (Alibaba sheet, sections 1 to 4), ListInstance."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from local.emulators.alibaba_gateway import AlibabaService, query_of
from local.emulators.clock import china_time
from local.emulators.messages import Reply, whole_number
from local.emulators.routing import Route
from local.emulators.service import Exchange, json_reply
from local.emulators.store import Kind, Record
from task_cleanup.providers import alibaba_elasticsearch

UNKNOWN_TASK = "InvalidTaskId.NotFound"
"""Assumed: no source names a code for a missing data task (section 3.3)."""
WRONG_STATE = "InstanceStatusNotSupportCurrentAction"


@dataclass
class ElasticsearchSwitches:
    """Alibaba Elasticsearch's behaviour that no source documents (sections 1.2 and 1.3)."""

    alibaba_delete_unknown: Literal["result_false", "error", "result_true"] = "result_false"
    alibaba_delete_running: Literal["allow", "refuse"] = "allow"
    alibaba_cancel_idle: Literal["result_false", "error"] = "result_false"


@dataclass
class DataTask(Record):
    """An index migration task (section 1.4)."""

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

    @classmethod
    def dated(cls, name: str, begun: float, ended: float) -> dict[str, Any]:
        """Set the time of creation; this service's entries have no end."""
        del ended
        return {"source_index": name, "create_time": china_time(begun)}


class AlibabaElasticsearch(AlibabaService[DataTask, ElasticsearchSwitches]):
    """Alibaba Elasticsearch, as a product behind the gateway."""

    emulates = (alibaba_elasticsearch.SERVICE,)
    version = "2017-06-13"
    own_switches = ElasticsearchSwitches
    query_ids: ClassVar = {"taskId": "task_id"}
    no_place = "InstanceNotFound"
    kind = Kind(
        DataTask,
        place=("instance_id",),
        waiting="READY",
        running="RUNNING",  # assumed, as all statuses but SUCCESS (section 1.8)
        final=("SUCCESS",),
        usual=("SUCCESS", "SUCCESS", "SUCCESS", "FAILED"),
        flags=("migrating", "activating"),
        new_id="et_cn_fake{:010d}".format,
        new_instance="es-cn-fake{:08d}".format,
    )
    codes: ClassVar = {
        "InstanceNotFound": (400, "The instanceId provided does not exist."),
        "InvalidParameter": (400, "The specified taskType is not supported."),
        "InstanceActivating": (400, "Instance is activating."),
        UNKNOWN_TASK: (400, "The specified data task does not exist."),
        WRONG_STATE: (400, "The task or the instance is in another state."),
    }

    def list_tasks(self, exchange: Exchange) -> Reply:
        """All data tasks of the instance: there are no pages."""
        return _result(exchange, [self.store.look(task) for task in self.tasks(exchange)])

    def list_regions(self, exchange: Exchange) -> Reply:
        """The regions, without any of the account's data."""
        regions = [{"regionId": region, "status": "available"} for region in self.provided.regions]
        return _result(exchange, regions)

    def list_instances(self, exchange: Exchange) -> Reply:
        """A page of the instances, by its number from 1; they are in the order in which they were added."""
        query = query_of(exchange.request)
        page, size = (whole_number(query, name, default) for name, default in (("page", 1), ("size", 10)))
        if not page or not size or size > 100:
            raise self.refuse("InvalidParameter")
        found = list(self.store.places.values())
        entries = [
            {
                "instanceId": place.ids["instance_id"],
                "description": "fake-instance",
                "status": "activating" if place.flags["activating"] else "active",
                "esVersion": "7.10_with_X-Pack",
                "createdAt": "2026-11-01T08:30:00.000Z",
            }
            for place in self.page_of_places(exchange, found, (page - 1) * size, size)
        ]
        return _result(exchange, entries, Headers={"X-Total-Count": len(found)})

    def delete_task(self, exchange: Exchange) -> Reply:
        """Delete a data task."""
        subject = (exchange.ids["instance_id"], exchange.ids["task_id"])
        return _result(exchange, self.once(exchange, subject, lambda: self._delete(exchange)))

    def cancel(self, exchange: Exchange) -> Reply:
        """CancelTask: end the migration of nodes that runs on the instance."""
        task_type = query_of(exchange.request)["taskType"]
        subject = (exchange.ids["instance_id"], task_type)
        return _result(exchange, self.once(exchange, subject, lambda: self._cancel(exchange, task_type)))

    def _delete(self, exchange: Exchange) -> bool:
        task = self.find(exchange, exchange.ids["task_id"])
        if task is None:
            if self.switches.alibaba_delete_unknown == "error":
                raise self.refuse(UNKNOWN_TASK)
            return self.switches.alibaba_delete_unknown == "result_true"
        if task.status == self.kind.running and self.switches.alibaba_delete_running == "refuse":
            raise self.refuse(WRONG_STATE)
        self.delete(exchange, task)
        return True

    def _cancel(self, exchange: Exchange, task_type: str) -> bool:
        flags = self.place(exchange).flags
        if task_type != "MigrateData":
            raise self.refuse("InvalidParameter")
        if flags["activating"]:
            raise self.refuse("InstanceActivating")
        if not flags["migrating"]:
            if self.switches.alibaba_cancel_idle == "error":
                raise self.refuse(WRONG_STATE)
            return False
        flags["migrating"] = False
        exchange.effect = "cancelled"
        return True

    routes = (
        Route(
            "DeleteDataTask",
            "DELETE",
            "/openapi/instances/{instance_id}/data-task",
            delete_task,
            required=("ClientToken", "taskId"),
            token="ClientToken",
        ),
        Route("DescribeRegions", "GET", "/openapi/regions", list_regions),
        Route("ListInstance", "GET", "/openapi/instances", list_instances),
        Route("ListDataTasks", "GET", "/openapi/instances/{instance_id}/data-task", list_tasks),
        Route(
            "CancelTask",
            "POST",
            "/openapi/instances/{instance_id}/actions/cancel-task",
            cancel,
            required=("taskType",),
            token="clientToken",
        ),
    )


def _result(exchange: Exchange, result: object, **more: object) -> Reply:
    content = {"Result": result, "RequestId": exchange.request_id, **more}
    return json_reply(200, content, (("x-acs-request-id", exchange.request_id),))
