"""Alibaba Elasticsearch: DeleteDataTask, CancelTask, ListDataTasks (Alibaba sheet, sections 1 to 4).

The gateway has authenticated the caller. Next come parameters, client token, instance, operation.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from . import signatures
from .alibaba_gateway import AlibabaService
from .elasticsearch_state import ElasticsearchInstance, ElasticsearchStore
from .keys import AccessKey, Memory
from .messages import Reply, Request
from .routing import Call, Route, find_call
from .service import Exchange, Platform, Refusal, json_reply
from .switches import AlibabaIdleCancel, AlibabaRunningTask, AlibabaTokenScope, AlibabaUnknownTask

RUNNING = frozenset({"RUNNING"})
"""Assumed: the only documented status is SUCCESS (section 1.8)."""
UNKNOWN_TASK_CODE = "InvalidTaskId.NotFound"
"""Assumed: no source names a code for a missing data task (section 3.3)."""
WRONG_STATE_CODE = "InstanceStatusNotSupportCurrentAction"

_CLIENT_TOKEN = re.compile(r"[\x20-\x7e]{1,64}")


@dataclass(frozen=True)
class Parameters:
    """Names of an operation's query parameters, in their exact case (sections 1.2 and 1.3)."""

    client_token: str = ""
    subject: str = ""
    required: tuple[str, ...] = ()


PARAMETERS = {
    "DeleteDataTask": Parameters("ClientToken", "taskId", ("ClientToken", "taskId")),
    "CancelTask": Parameters("clientToken", "taskType", ("taskType",)),
    "ListDataTasks": Parameters(),
}


@dataclass(frozen=True)
class RememberedCall:
    """A call that was answered under a client token (section 4)."""

    parameters: tuple[str, ...]
    result: bool


class AlibabaElasticsearch(AlibabaService):
    """The product behind the gateway."""

    name = "alibaba_elasticsearch"
    routes: ClassVar[tuple[Route, ...]] = (
        Route("DeleteDataTask", "DELETE", "/openapi/instances/{instance_id}/data-task"),
        Route("ListDataTasks", "GET", "/openapi/instances/{instance_id}/data-task"),
        Route("CancelTask", "POST", "/openapi/instances/{instance_id}/actions/cancel-task"),
    )

    def __init__(self, platform: Platform) -> None:
        """Start without instances."""
        super().__init__(platform)
        self.store = ElasticsearchStore()
        self._calls: Memory[RememberedCall] = Memory(platform.clock)

    def identify(self, request: Request) -> Call | None:
        """Add the task id from the query to those of the path."""
        call = find_call(self.routes, request)
        if call is None:
            return None
        task_id = dict(_query(request)).get("taskId")
        return Call(call.operation, {**call.ids, **({"task_id": task_id} if task_id else {})})

    def note(self, exchange: Exchange) -> None:
        """Write down nonce and client token, even of a request that will be refused."""
        super().note(exchange)
        if exchange.call is not None:
            name = PARAMETERS[exchange.call.operation].client_token
            exchange.client_token = dict(_query(exchange.request)).get(name)

    def seed(self, record: Mapping[str, Any]) -> None:
        """Put an instance or, with a `task_id` or any field of a data task, a data task in place."""
        values = dict(record)
        instance_id = values.pop("instance_id")
        flags = {name: values.pop(name) for name in ("migrating", "activating") if name in values}
        self.store.add_instance(instance_id, **flags)
        if values:
            self.store.add_data_task(instance_id, **values)

    def snapshot(self) -> list[dict[str, Any]]:
        """Return all instances with their tasks."""
        return self.store.snapshot()

    def clear(self) -> None:
        """Forget instances, nonces and client tokens."""
        super().clear()
        self.store.clear()
        self._calls.clear()

    def perform(self, exchange: Exchange, call: Call, key: AccessKey) -> Reply:
        """Check the parameters, then the client token, then carry out."""
        query = dict(_query(exchange.request))
        names = PARAMETERS[call.operation]
        _check_parameters(names, query)
        with self.store.lock:
            if call.operation == "ListDataTasks":
                instance = self._find_instance(call.ids["instance_id"])
                return _result(exchange, [task.as_json() for task in instance.data_tasks.values()])
            result = self._once(exchange, call, key, (call.ids["instance_id"], query[names.subject]))
        return _result(exchange, result)

    def _once(self, exchange: Exchange, call: Call, key: AccessKey, subject: tuple[str, str]) -> bool:
        """Answer a repeated client token from memory, without a second effect (section 4)."""
        scope = self.switches.alibaba_client_token_scope
        operation = call.operation if scope is AlibabaTokenScope.OPERATION else "*"
        name = (key.access_key_id, operation, exchange.client_token)
        parameters = (call.operation, *subject)
        known = self._calls.recall(name) if exchange.client_token else None
        if known is not None:
            if known.parameters != parameters:
                raise Refusal(
                    400, "IdempotentParameterMismatch", "The client token was used with other parameters before."
                )
            return known.result
        instance = self._find_instance(subject[0])
        change = self._delete if call.operation == "DeleteDataTask" else self._cancel
        result = change(exchange, instance, subject[1])
        if exchange.client_token:
            seconds = self.switches.alibaba_client_token_seconds
            self._calls.remember(name, RememberedCall(parameters, result), seconds)
        return result

    def _find_instance(self, instance_id: str) -> ElasticsearchInstance:
        instance = self.store.instances.get(instance_id)
        if instance is None:
            raise Refusal(400, "InstanceNotFound", "The instanceId provided does not exist.")
        return instance

    def _delete(self, exchange: Exchange, instance: ElasticsearchInstance, task_id: str) -> bool:
        task = instance.data_tasks.get(task_id)
        if task is None:
            if self.switches.alibaba_delete_unknown is AlibabaUnknownTask.ERROR:
                raise Refusal(400, UNKNOWN_TASK_CODE, "The specified data task does not exist.")
            return self.switches.alibaba_delete_unknown is AlibabaUnknownTask.RESULT_TRUE
        if task.status in RUNNING and self.switches.alibaba_delete_running is AlibabaRunningTask.REFUSE:
            raise Refusal(400, WRONG_STATE_CODE, "The data task is running.")
        del instance.data_tasks[task_id]
        exchange.effect = "deleted"
        return True

    def _cancel(self, exchange: Exchange, instance: ElasticsearchInstance, task_type: str) -> bool:
        if task_type != "MigrateData":
            raise Refusal(400, "InvalidParameter", "The specified taskType is not supported.")
        if instance.activating:
            raise Refusal(400, "InstanceActivating", "Instance is activating.")
        if not instance.migrating:
            if self.switches.alibaba_cancel_idle is AlibabaIdleCancel.ERROR:
                raise Refusal(400, WRONG_STATE_CODE, "No data migration is running.")
            return False
        instance.migrating = False
        exchange.effect = "cancelled"
        return True


def _result(exchange: Exchange, result: object) -> Reply:
    content = {"Result": result, "RequestId": exchange.request_id}
    return json_reply(200, content, (("x-acs-request-id", exchange.request_id),))


def _query(request: Request) -> list[tuple[str, str]]:
    pairs = signatures.form_pairs(request.query)
    return [(name.decode("utf-8", "replace"), value.decode("utf-8", "replace")) for name, value in pairs]


def _check_parameters(names: Parameters, query: Mapping[str, str]) -> None:
    """Names are compared with their case (section 1.10)."""
    for name in names.required:
        if not query.get(name):
            raise Refusal(400, f"Missing{name[0].upper()}{name[1:]}", f"{name} is mandatory for this action.")
    token = query.get(names.client_token)
    if token and not _CLIENT_TOKEN.fullmatch(token):
        raise Refusal(400, "InvalidParameter", f"{names.client_token} must be at most 64 ASCII characters.")
