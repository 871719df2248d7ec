"""Makes the requests that delete the selected tasks."""

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from task_cleanup.sweep.plan import LIFETIME, Plan, TargetPlan
from task_cleanup.sweep.selection import Judged
from task_cleanup.sweep.services import SERVICES
from task_cleanup.times import rfc3339


def requests_of(plan: Plan, run_id: str) -> Iterator[dict[str, Any]]:
    """One request per selected task, in the plan's order; the run's id is their correlation id."""
    not_after = plan.listed_at + LIFETIME
    return (_request(target, item, run_id, not_after) for target, item in plan.selected())


def _request(planned: TargetPlan, item: Judged, run_id: str, not_after: datetime) -> dict[str, Any]:
    target = planned.target
    delete = SERVICES[target.service_id].delete
    request: dict[str, Any] = {
        "operation": delete.operation,
        "region": target.region,
        "account": target.account,
        "task_id": item.task.task_id,
        "correlation_id": run_id,
        "not_after": rfc3339(not_after),
    }
    if planned.project_id is not None:
        request["project_id"] = planned.project_id  # the secret may name another project when the delete runs
    if target.instance_id is not None:
        request["instance_id"] = target.instance_id
    if item.stop:
        request["stop_running"] = True
    if delete.takes_token:
        request["client_token"] = _token(run_id, planned.place(), item.task.task_id)
    return request


def _token(run_id: str, place: tuple[str | None, ...], task_id: str) -> str:
    """A client token that is the same when the run is resumed: the provider recognizes the repeated request."""
    return hashlib.sha256(json.dumps([run_id, place, task_id]).encode()).hexdigest()
