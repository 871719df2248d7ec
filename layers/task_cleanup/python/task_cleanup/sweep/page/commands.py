"""The commands that the page tells, ready to be pasted into a shell, and why a report cannot be applied."""

import json
import shlex
from collections.abc import Mapping, Sequence

from task_cleanup.sweep.page.words import Json


def is_folder(place: str) -> bool:
    """Whether the documents are in a folder of the command line, told by its whole path, and not in a bucket."""
    return place.startswith("/")


def fetch(bucket: str, name: str) -> str:
    """The command that copies a document of the bucket into the current folder; of a folder, the document's path."""
    if is_folder(bucket):
        return shlex.quote(f"{bucket}/{name}")
    return f"aws s3 cp {shlex.quote(f's3://{bucket}/{name}')} ."


def status(run_id: str, bucket: str) -> str:
    """The command that asks how a run is doing."""
    if is_folder(bucket):
        return f"task-cleanup report results {shlex.quote(f'{bucket}/reports/{run_id}')}"
    return f'api "$API_URL/sweeps/{run_id}"'


def apply(report: Json, saved: Mapping[str, str]) -> str:
    """The command that applies this report's plan. A report that repeats another names that one."""
    name, sha256 = saved["json"], saved["sha256"]
    if report["plan_of"] is not None:
        name, sha256 = report["plan_of"], report["plan_sha256"]
    if is_folder(saved["bucket"]):
        return f"task-cleanup apply {fetch(saved['bucket'], name)}"
    return f'api -X POST "$API_URL/sweeps" -d {shlex.quote(json.dumps({"apply_report": name, "sha256": sha256}))}'


_NO_PLAN: Mapping[str, str] = {
    "requested": "This run has requested the deletes itself.",
    "refused": "This run was refused.",
    "failed": "This run failed.",
}


def no_plan(report: Json, wrong: Sequence[str]) -> str:
    """Why this report cannot be applied; empty if it can. Raises KeyError for an outcome that no run has."""
    outcome = report["outcome"]
    if outcome != "reported":
        return f"{_NO_PLAN[outcome]} Only the report of a run that ended as “reported” can be applied."
    if wrong:
        return "Its numbers contradict each other, as told above."
    if report["refusals"]:
        return "An apply would be refused for the reasons told above. Change what they name, and make a new report."
    return ""
