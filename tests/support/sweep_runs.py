"""Runs of the sweep in its world: how they are sent, applied and checked."""

import hashlib
import json
from typing import Any

from task_cleanup.sweep.plan import LIFETIME
from tests.support.sweep_world import OLD, PLANNED, Json, SweepWorld, Worker, check_shape, oms_task, policy, queued

DONE: Json = {"batchItemFailures": []}
LATER = oms_task(2001, 5, OLD, "tmp-later")  # old enough, and found by whoever looks once more
WIDE = {"max_tasks": 14, "max_fraction": 0.6}
DAY = LIFETIME.total_seconds()
NO_DIGEST = "0" * 64


def deliver(worker: Worker, request: object, **more: Any) -> Any:
    """A message of the queue, of one run."""
    return worker(queued(request, "run-1", **{"message_id": "run-1", **more}))


def again(sweep_world: SweepWorld) -> SweepWorld:
    """Another world on the same servers."""
    sweep_world.check_documents()
    sweep_world.summaries()
    fresh = SweepWorld(sweep_world.cloud, sweep_world.aws, sweep_world.monkeypatch, sweep_world.capsys)
    fresh.seed()
    return fresh


def check_requests(
    sweep_world: SweepWorld, planned: frozenset[tuple[str, str]] = PLANNED, run_id: str = "run-1"
) -> None:
    """Exactly these tasks were asked for; what was asked twice was asked in the same words."""
    assert set(sweep_world.requested()) == planned
    words: dict[tuple[str, str], set[str]] = {}
    for place, request in zip(sweep_world.requested(), sweep_world.requests(), strict=True):
        words.setdefault(place, set()).add(json.dumps(request, sort_keys=True))
        assert request["correlation_id"] == run_id
    assert {len(different) for different in words.values()} <= {1}


def check_end(sweep_world: SweepWorld, run_id: str = "run-1") -> Json:
    """One end was published, however often; it stands in the bucket, too."""
    ends = sweep_world.summaries()
    assert ends
    assert {(kind, end["outcome"], end["run_id"]) for kind, end in ends} == {("Sweep Completed", "requested", run_id)}
    assert ends[-1][1] == sweep_world.aws.document(f"reports/{run_id}/summary.json")
    end = ends[-1][1]
    assert (end["totals"]["selected"], end["totals"]["requested"], end["totals"]["failed"]) == (
        len(set(sweep_world.requested())),
        len(set(sweep_world.requested())),
        0,
    )
    return end


def plans(sweep_world: SweepWorld) -> set[str]:
    """The different plans that were saved to be carried out."""
    return {
        json.dumps([target["tasks"] for target in report["targets"]])
        for report in sweep_world.written("report.json")
        if report["mode"] == "apply"
    }


def apply(sweep_world: SweepWorld, key: str) -> Json:
    """The request that applies the report under this key, as it is stored."""
    return {"apply_report": key, "sha256": hashlib.sha256(sweep_world.aws.objects[key].body).hexdigest()}


def new_report(sweep_world: SweepWorld, run_id: str = "seen", **changes: Any) -> str:
    """A report of the policy, saved; its key."""
    summary = sweep_world.worker()(policy(mode="report", run_id=run_id, **changes))
    assert summary["outcome"] == "reported"
    key: str = summary["report"]["json"]
    return key


def meanwhile(sweep_world: SweepWorld, step: str, happens: Any) -> None:
    """Something happens just before the first call of this name is done."""

    def look(name: str) -> None:
        if name == step:
            sweep_world.aws.on_call = lambda _: None
            happens()

    sweep_world.aws.on_call = look


def dies_after(sweep_world: SweepWorld, step: str) -> None:
    """The worker's line is cut after the first call of this name."""
    meanwhile(sweep_world, step, lambda: setattr(sweep_world.aws, "is_cut", True))


def refused(sweep_world: SweepWorld, request: Json, **variables: str) -> list[str]:
    """The codes of a refusal, which asks for nothing."""
    asked = len(sweep_world.requests())
    summary = sweep_world.worker(**variables)(request)
    check_shape(summary)
    assert summary["outcome"] == "refused"
    assert len(sweep_world.requests()) == asked
    return [refusal["code"] for refusal in summary["refusals"]]


def refused_or(summary: Json) -> list[str]:
    """The codes of a refusal."""
    assert summary["outcome"] == "refused"
    return [refusal["code"] for refusal in summary["refusals"]]
