"""Makes the requests that delete the selected tasks, from the stored report: what was read is what goes."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import astuple
from datetime import datetime, timedelta
from typing import Any

from task_cleanup.sweep.plan import Place, place_of
from task_cleanup.sweep.policy import SweepTarget
from task_cleanup.sweep.selection import Decision
from task_cleanup.sweep.services import SERVICES
from task_cleanup.times import parse_time, rfc3339

# How long a request can be carried out after its task was listed. Shorter than the time between two nights, also
# where clocks are put forward: the next nightly sweep may then ask again for what failed.
REQUEST_LIFETIME = timedelta(hours=22)

Report = Mapping[str, Any]


def valid_until(report: Report) -> datetime:
    """The ``not_after`` of a report's requests."""
    return parse_time(report["listed_at"]) + REQUEST_LIFETIME


def requests_of(report: Report) -> Iterator[dict[str, Any]]:
    """One request per selected task, in the report's order; the run's id is their correlation id."""
    not_after = rfc3339(valid_until(report))
    return (_request(target, task, report["run_id"], not_after) for target, task in _selected(report))


def asked_places(report: Report) -> dict[Place, list[str]]:
    """The ids of the selected tasks, by place."""
    places: dict[Place, list[str]] = {}
    for target, task in _selected(report):
        places.setdefault(_place(target), []).append(task["task_id"])
    return places


def _selected(report: Report) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    for target in report["targets"]:
        for task in target["tasks"]:
            if task["decision"] == Decision.SELECTED:
                yield target, task


def _place(target: Mapping[str, Any]) -> Place:
    return place_of(SweepTarget.of_report(target), target["project_id"])


def _request(target: Mapping[str, Any], task: Mapping[str, Any], run_id: str, not_after: str) -> dict[str, Any]:
    service = SERVICES[f"{target['provider']}_{target['service']}"]
    delete = service.delete
    request: dict[str, Any] = {
        "operation": delete.operation,
        "region": target["region"],
        "account": target["account"],
        "task_id": task["task_id"],
        "expected": {field: task[field] for field in service.look.identity},
        "correlation_id": run_id,
        "not_after": not_after,
    }
    if target["project_id"] is not None:
        request["project_id"] = target["project_id"]  # the secret may name another project when the delete runs
    if target["instance_id"] is not None:
        request["instance_id"] = target["instance_id"]
    if task["stop_running"]:
        request["stop_running"] = True
    if task["vouched"]:
        request["vouched"] = True
    if delete.takes_token:
        request["client_token"] = _token(run_id, _place(target), task["task_id"])
    return request


def _token(run_id: str, place: Place, task_id: str) -> str:
    """A client token that is the same when the run is resumed: the provider recognizes the repeated request."""
    return hashlib.sha256(json.dumps([run_id, astuple(place), task_id]).encode()).hexdigest()
