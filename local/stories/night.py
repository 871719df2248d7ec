"""``make run``: a sweep makes a report, the report is applied, and exactly its selected tasks are gone.

It runs the template's routes, rules and queues, the functions' own code, and emulators of all services, which check
every signature. Ends with status 1 if anything is not as it should be.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import requests
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from local.aws.cloud import LocalCloud
from local.aws.runner import HttpApi, QueuePoller
from local.emulators import KINDS
from local.stories import seeds
from local.stories.tour import QUIET
from task_cleanup.sweep.services import SERVICES

PLACE = Path(".build/sweep")
TIMEOUT = 30  # seconds, of one HTTP call
ROUNDS = 400  # of polling all queues once; about 50 are needed
PROTECTED = KINDS["huawei_oms"].new_id(seeds.FIRST + 10)
POLICY: dict[str, Any] = {
    "name": "nightly",
    "targets": [
        {
            "provider": service.provider,
            "service": service.name,
            "region": next(iter(service.regions)),
            **seeds.place(service.id),
        }
        for service in SERVICES.values()
    ],
    "select": {"statuses": ["succeeded", "failed", "cancelled", "running"], "older_than": "P7D"},
    "protect": {"names": ["*prod*"], "task_ids": [PROTECTED]},
    "limits": {"max_tasks": 250, "max_fraction": 0.6},
    "stop_running": True,
}
COLUMNS = ("found", "protected", "not_deletable", "other_status", "too_young", "age_unknown", "selected")

Summary = dict[str, Any]


def ask(cloud: LocalCloud, api: HttpApi, poller: QueuePoller, request: Summary) -> Summary:
    """Request a sweep by ``POST /sweeps``, let the queue's worker run it, and return the summary of ``GET``."""
    asked = requests.post(f"{api.url}/sweeps", json=request, timeout=TIMEOUT)
    asked.raise_for_status()
    poller.poll(cloud.stack.mapping_of("sweep"))
    told = requests.get(api.url + asked.json()["status"], timeout=TIMEOUT)
    told.raise_for_status()
    summary: Summary = told.json()
    return summary


def plan_table(summary: Summary) -> Table:
    """The summary's counts by target: how many tasks are kept, for which reason, and how many are selected."""
    table = Table(title=f"The plan of run {summary['run_id']}", header_style="bold")
    table.add_column("target", no_wrap=True)
    for column in COLUMNS:
        table.add_column(column.replace("_", " "), justify="right", style="bold" if column == "selected" else "")
    for target in summary["targets"]:
        table.add_row(
            f"{target['provider']}.{target['service']} {target['region']}",
            *(str(target["counts"][column]) for column in COLUMNS),
        )
    table.add_section()
    table.add_row("all", *(str(summary["totals"][column]) for column in COLUMNS))
    return table


def planned(report: Summary) -> set[tuple[str, str, str]]:
    """The selected tasks of a report, named as ``seeds.state`` names them."""
    return {
        (f"{target['provider']}_{target['service']}", target["instance_id"] or "", task["task_id"])
        for target in report["targets"]
        for task in target["tasks"]
        if task["decision"] == "selected"
    }


def drain(cloud: LocalCloud, poller: QueuePoller, run_id: str, total: int, console: Console) -> list[Summary]:
    """Poll the queues until every request of the run has its result; returns the results."""
    results: list[Summary] = []
    columns = (TextColumn("  deleting"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=total)
        for _ in range(ROUNDS):
            poller.drain(rounds=1)
            results += [result for result in cloud.results() if result["correlation_id"] == run_id]
            progress.update(bar, completed=len(results))
            if len(results) >= total:
                break
    return results


def saved(cloud: LocalCloud, summary: Summary) -> tuple[Summary, Path]:
    """Save the run's report and page as files; returns the report and the page's path."""
    store, bucket = cloud.client("s3"), summary["report"]["bucket"]
    PLACE.mkdir(parents=True, exist_ok=True)
    for kind in ("json", "html"):
        name = summary["report"][kind]
        (PLACE / Path(name).name).write_bytes(store.get_object(Bucket=bucket, Key=name)["Body"].read())
    report: Summary = json.loads((PLACE / "report.json").read_text())
    return report, PLACE / "index.html"


def main(size: int = 90) -> int:
    """Run the story with ``size`` tasks in each service; returns the process's exit status."""
    os.environ.update(QUIET)
    console = Console(width=max(120, Console().width))
    console.rule("[bold]Task cleanup: one night")
    console.print("Starting the emulators of three clouds, and a local AWS with the template that ships …")
    with LocalCloud(variables=QUIET) as cloud, HttpApi(cloud) as api:
        # Here a failed message comes again at once, not after three minutes, so a stop must be over at once, too.
        cloud.emulators.switches.update(oms_stop_ms=1)
        seeds.seed_many(cloud.emulators, time.time(), size)
        before = seeds.state(cloud.emulators)
        poller = QueuePoller(cloud)
        console.print(f"[bold cyan]1.[/] {len(before)} leftover tasks. A sweep in report mode lists and judges them:")
        summary = ask(cloud, api, poller, POLICY)
        report, page = saved(cloud, summary)
        console.print(plan_table(summary))
        console.print(f"   outcome [bold]{summary['outcome']}[/]: nothing is requested. To read: [bold]{page}[/]")
        untouched = seeds.state(cloud.emulators) == before
        plan = planned(report)
        console.print(f"[bold cyan]2.[/] The report is applied. It selected {len(plan)} tasks.")
        applied = ask(cloud, api, poller, {"apply_report": summary["report"]["json"]})
        console.print(f"   outcome [bold]{applied['outcome']}[/]: {applied['totals']['requested']} deletes requested")
        results = drain(cloud, poller, applied["run_id"], len(plan), console)
        after = seeds.state(cloud.emulators)
        signed = [entry.signature_ok for entry in cloud.emulators.journal.entries()]
        again = ask(cloud, api, poller, {"apply_report": summary["report"]["json"]})
    gone = before.keys() - after.keys()
    checks = {
        "the report changed nothing": untouched,
        "the bus took every request": applied["totals"]["requested"] == len(plan),
        "every request has a result, and each is a success": [result["outcome"] for result in results]
        == ["succeeded"] * len(plan),
        "exactly the planned tasks are gone": gone == plan,
        "every other task is as it was": all(after[task] == state for task, state in before.items() if task in after),
        "nothing protected is gone": not any(PROTECTED in task for task in gone),
        "every signature was right": all(signed),
        "applied once more, the report is refused": again["outcome"] == "refused",
    }
    console.print("[bold cyan]3.[/] Checks:")
    for what, true in checks.items():
        console.print(f"   [green]✓[/] {what}" if true else f"   [red]✗ NOT SO: {what}[/]")
    verdict = "[green]As planned:[/]" if all(checks.values()) else "[red]Something is not as it should be.[/]"
    counted = f"{len(gone)} of {len(before)} tasks deleted, {len(after)} kept, {len(signed)} signed calls checked."
    console.print(f"\n{verdict} {counted}")
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
