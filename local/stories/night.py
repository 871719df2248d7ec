"""``make run``: a week of nightly reports, the last one is applied, and exactly its selected tasks are gone.

It runs the template's routes, rules, queues and schedule, the functions' own code, and emulators of all services,
which check every signature. One clock moves for all of them. Ends with status 1 if anything is not as it should be.
"""

import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import requests
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from local.aws.cloud import LocalCloud
from local.aws.runner import HttpApi, QueuePoller, await_schedule
from local.emulators import KINDS
from local.emulators.clock import milliseconds
from local.stories import seeds
from local.stories.tour import QUIET
from task_cleanup.sweep.policy import duration
from task_cleanup.sweep.selection import Decision
from task_cleanup.sweep.services import SERVICES
from task_cleanup.times import in_words

PLACE = Path(".build/sweep")
TIMEOUT = 30  # seconds, of one HTTP call
# What a policy takes for an age whose tasks no sweep has seen before.
AT_ONCE = {"age_from": ["ended", "inferred", "created"]}
ROUNDS = 400  # of polling all queues once; about 50 are needed
NIGHTS = 8
APPLY = "apply"  # the id of the run that applies, else a long one is made: it is a folder's name
SCHEDULE = "SweepSchedule"
PROTECTED = KINDS["huawei_oms"].new_id(seeds.FIRST + 10)
MISSPELT = "*ledgre*"
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
    "select": {
        "statuses": ["succeeded", "failed", "cancelled", "running"],
        "older_than": "P7D",
        "running_since": "started",
    },
    "protect": {"names": ["*prod*", MISSPELT], "task_ids": [PROTECTED]},
    "limits": {"max_tasks": 300, "max_fraction": 0.8},
    "stop_running": True,
}

Json = dict[str, Any]
Tasks = set[tuple[str, str, str]]  # named as ``seeds.state`` names them


@dataclass(frozen=True)
class Story:
    """What every step needs."""

    cloud: LocalCloud
    api: HttpApi
    poller: QueuePoller
    console: Console

    def say(self, text: str = "") -> None:
        """Print one line."""
        self.console.print(text, soft_wrap=True)

    def post(self, request: Json) -> requests.Response:
        """``POST /sweeps``."""
        return requests.post(f"{self.api.url}/sweeps", json=request, timeout=TIMEOUT)

    def asked(self, request: Json) -> Json:
        """Request a sweep over HTTP, and return its summary."""
        reply = self.post(request)
        reply.raise_for_status()
        return self.swept()

    def swept(self) -> Json:
        """Let the queue's worker run the one sweep that waits, and return the summary of ``GET``."""
        self.poller.poll(self.cloud.stack.mapping_of("sweep"))
        (event,) = self.cloud.sweep_results()
        return self.told(event["detail"]["run_id"])

    def told(self, run_id: str) -> Json:
        """``GET /sweeps/{run_id}``."""
        reply = requests.get(f"{self.api.url}/sweeps/{run_id}", timeout=TIMEOUT)
        reply.raise_for_status()
        summary: Json = reply.json()
        return summary

    def saved(self, key: str, name: str = "") -> str:
        """Save an object of the report bucket as a file, and return its text.

        Without a ``name``, the file has the object's key: pages link to each other by the bucket's folders.
        """
        bucket = self.cloud.stack.buckets["ReportBucket"]
        content: bytes = self.cloud.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        path = PLACE / (name or key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return content.decode()


# -- what is printed of a summary ------------------------------------------------


def service_of(target: Json) -> str:
    """``huawei.oms``."""
    return f"{target['provider']}.{target['service']}"


# How long a task must have been as each basis says: the policy's words in ``age_from`` and ``running_since``.
LONGER = {
    "ended": "ended over {} ago",
    "seen": "seen for {}",
    "inferred": "ended, as far as its start and its duration tell, over {} ago",
    "created": "created over {} ago",
    "started": "started over {} ago",
}


def policy_lines(policy: Json) -> list[str]:
    """What a report's policy selects, what it protects, and its limits, in words."""
    select, protect, limits = policy["select"], policy["protect"], policy["limits"]
    age = in_words(duration(select["older_than"]))
    line = ", or ".join(LONGER[basis].format(age) for basis in select["age_from"])
    ids = len(protect["task_ids"])
    kept = f"{', '.join(protect['names']) or 'no name'} and {ids or 'no'} {'id' if ids == 1 else 'ids'}"
    running = "no running task is stopped"
    if policy["stop_running"]:
        running = f"running tasks that {LONGER[select['running_since']].format(age)} are stopped first"
    return [
        f"Policy: {line}; {running};",
        f"protect {kept}; at most {limits['max_tasks']} tasks and {limits['max_fraction'] * 100:g} % of those found.",
    ]


def stopped_first(target: Json) -> str:
    """How many of a target's selected tasks are running: a target may have no others, or not only these."""
    running = sum(task["stop_running"] for task in target["tasks"] if task["decision"] == Decision.SELECTED)
    selected = target["counts"]["selected"]
    return f"({'' if running == selected else f'{running} '}running, stopped first)" if running else ""


def plan_table(report: Json, title: str) -> Table:
    """The report's counts by target: how many tasks are kept, for which reason, and how many are selected."""
    decisions = [it.value for it in Decision if it is not Decision.SELECTED and report["totals"][it.value]]
    columns = ["found", *decisions, "selected"]
    table = Table(title=title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD)
    table.show_edge, table.collapse_padding = False, True  # it fits into 120 columns
    table.add_column("target", no_wrap=True)
    for column in columns:
        words = column.replace("_", " ")
        style, least = "bold" if column == "selected" else "", max(map(len, words.split()))
        table.add_column(words, justify="right", style=style, min_width=least)
    table.add_column("", no_wrap=True)
    for target in report["targets"]:
        named = f"{service_of(target)} {target['region']}"
        table.add_row(named, *(str(target["counts"][column]) for column in columns), stopped_first(target))
    table.add_row("all", *(str(report["totals"][column]) for column in columns), style="bold")
    return table


def unmatched(summary: Json) -> list[str]:
    """The entries of ``protect`` that matched no task; of a run that could judge no task, none is known."""
    guards = summary["guards"] or {"task_ids": {}, "names": {}}
    return [entry for kind in ("task_ids", "names") for entry, matched in guards[kind].items() if not matched]


def waiting(report: Json) -> Counter[str]:
    """How many tasks wait for an age, by service: sweeps have not seen them for long enough, or know no age."""
    return Counter(
        service_of(target)
        for target in report["targets"]
        for task in target["tasks"]
        if task["decision"] == Decision.AGE_UNKNOWN
        or (task["decision"] == Decision.TOO_YOUNG and task["age_from"] == "seen")
    )


def others(summary: Json) -> str:
    """How many of the tasks that wait for an age another basis would select."""
    wanting = summary["ages_wanting"]
    members = [(member, basis, n) for member in ("age_from", "running_since") for basis, n in wanting[member].items()]
    return ", ".join(f'{member} "{basis}" would select {n}' for member, basis, n in members if n) or "no other would"


# -- tasks ------------------------------------------------


def tasks_of(report: Json, decisions: Iterable[str] = tuple(Decision)) -> Tasks:
    """The tasks of a report that have one of these decisions."""
    return {
        (f"{target['provider']}_{target['service']}", target["instance_id"] or "", task["task_id"])
        for target in report["targets"]
        for task in target["tasks"]
        if task["decision"] in decisions
    }


def planned(report: Json) -> Tasks:
    """The selected tasks of a report."""
    return tasks_of(report, [Decision.SELECTED])


def restart(cloud: LocalCloud, report: Json) -> tuple[str, str, str]:
    """Start one of the selected OMS tasks anew, as somebody can in the provider's console; returns the task."""
    kind = KINDS["huawei_oms"]
    (place,) = cloud.emulators.huawei_oms.places.values()
    stopped = [task for task in place.tasks.values() if task.status != kind.running]
    selected = {task_id for service, _, task_id in planned(report) if service == "huawei_oms"}
    task = next(task for task in stopped if task.task_id in selected)
    task.status, task.start_time = kind.running, milliseconds(cloud.clock.now().timestamp())
    return "huawei_oms", "", task.task_id


def drain(story: Story, run_id: str, total: int) -> tuple[list[Json], list[Json]]:
    """Poll the queues until the sweep says that it is finished; returns its results, and what it said."""
    results: list[Json] = []
    finished: list[Json] = []
    columns = (TextColumn("   deleting"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=story.console) as progress:
        bar = progress.add_task("", total=total)
        for _ in range(ROUNDS):
            received = story.poller.drain(rounds=1).received
            results += [result for result in story.cloud.results() if result["correlation_id"] == run_id]
            finished += story.cloud.finished()
            progress.update(bar, completed=len(results))
            if not received:
                break
    return results, finished


# -- the story ------------------------------------------------


def first_look(story: Story) -> Json:
    """A sweep in report mode, asked for by hand, and why it does not select all that is old."""
    summary = story.asked(POLICY)
    report = json.loads(story.saved(summary["report"]["json"], "first.json"))
    left_over = seeds.state(story.cloud.emulators).keys()
    outside = sorted(left_over - tasks_of(report))
    story.say(
        f"[bold cyan]1.[/] {len(left_over)} things are left over: {summary['totals']['found']} tasks in the policy's "
        f"{len(summary['targets'])} targets, and {len(outside)} outside of every target, which no sweep touches: "
        f"{', '.join(' '.join(filter(None, it)) for it in outside)}."
    )
    for line in policy_lines(report["policy"]):
        story.say(f"   {line}")
    story.console.print(plan_table(report, "A first look, in report mode: nothing is requested"))
    wait = waiting(report)
    story.say(f"   {wait.total()} tasks wait for an age: {', '.join(f'{n} {name}' for name, n in wait.items())}.")
    story.say("   Their providers do not tell when a task ended, so its age counts from when a sweep first saw it as")
    story.say(f"   it is: now. Of these, {others(summary)}: earlier times, and less")
    story.say("   sure ones. The default waits: [bold]older_than P7D needs a week of nightly reports.[/]")
    for entry in unmatched(summary):
        story.say(f"   [bold red]! protect entry {entry} matched NO task: it protects nothing. Is it misspelt?[/]")
    return summary


def nights(story: Story) -> tuple[Json, Json]:
    """Let the template's schedule fire each night, and return the last night's summary and report."""
    summary: Json = {}
    story.say(f"[bold cyan]2.[/] The clock moves, and the template's schedule fires: {NIGHTS} nightly reports.")
    for night in range(1, NIGHTS + 1):
        await_schedule(story.cloud, SCHEDULE)
        summary = story.swept()
        totals, wait = summary["totals"], summary["ages_wanting"]["tasks"]
        due = f"{story.cloud.clock.now():%Y-%m-%d %H:%M}"
        story.say(f"   night {night}  {due}  {totals['selected']:4} selected, {wait:4} wait for an age")
    report = json.loads(story.saved(summary["report"]["json"], "report.json"))
    story.console.print(plan_table(report, f"The report of night {NIGHTS}: all have an age now"))
    return summary, report


def kept(report: Json, decision: str) -> Iterator[str]:
    """Each task with this decision, and why."""
    for target in report["targets"]:
        for task in target["tasks"]:
            if task["decision"] == decision:
                yield f"{service_of(target)} {task['task_id']} is kept ([bold]{decision}[/]): {task['why']}"


def main(size: int = 60) -> int:
    """Run the story with ``size`` tasks in each service; returns the process's exit status."""
    os.environ.update(QUIET)
    console = Console(width=max(120, Console().width), highlight=False)
    console.rule("[bold]Task cleanup: a week of reports, then the apply")
    console.print("Starting the emulators of three clouds, and a local AWS with the template that ships …")
    parameters = {"SweepPolicy": json.dumps(POLICY)}
    with LocalCloud(variables=QUIET, parameters=parameters) as cloud, HttpApi(cloud) as api:
        # Here a failed message comes again at once, not after three minutes, so a stop must be over at once, too.
        cloud.emulators.switches.update(oms_stop_ms=1)
        seeds.seed_many(cloud.emulators, cloud.clock.now().timestamp(), size)
        checks = tell(Story(cloud, api, QueuePoller(cloud), console))
    return 0 if all(checks.values()) else 1


def tell(story: Story) -> dict[str, bool]:
    """The whole story; returns what was checked, and whether it is so."""
    cloud = story.cloud
    shutil.rmtree(PLACE, ignore_errors=True)  # what an earlier story has left would be read as this one's
    first = first_look(story)
    summary, report = nights(story)
    place, digest = summary["report"], summary["report"]["sha256"]
    story.saved(place["html"], "index.html")
    plan = planned(report)
    untouched = cloud.emulators.journal.effects() == []

    cloud.clock.move(timedelta(hours=6))
    restarted = restart(cloud, report)
    before = seeds.state(cloud.emulators)
    story.say(f"[bold cyan]3.[/] Six hours later: somebody has restarted task {restarted[2]}. The plan is applied,")
    story.say("   by its key and its digest, so that what was read is what is applied. Everything is listed again.")
    unread = story.post({"apply_report": place["json"], "sha256": "0" * 64}).status_code
    applied = story.asked({"apply_report": place["json"], "sha256": digest, "run_id": APPLY})
    story.saved(applied["report"]["html"])
    after_look = json.loads(story.saved(applied["report"]["json"]))
    changed = tasks_of(after_look, [Decision.CHANGED])
    for line in kept(after_look, Decision.CHANGED):
        story.say(f"   {line}")
    requested = applied["totals"]["requested"]
    story.say(f"   outcome [bold]{applied['outcome']}[/]: {requested} of the plan's {len(plan)} deletes requested.")

    results, finished = drain(story, applied["run_id"], requested)
    told = story.told(applied["run_id"])["results"]
    counts = ("requested", "succeeded", "unchanged", "changed", "failed")
    for end in finished:
        story.say(f"   [bold]Sweep Finished[/]: {', '.join(f'{end[name]} {name}' for name in counts)}")
        story.saved(end["places"]["html"])
        story.saved(end["places"]["json"])
    after = seeds.state(cloud.emulators)
    gone = before.keys() - after.keys()
    signed = [entry.signature_ok for entry in cloud.emulators.journal.entries()]
    again = story.post({"apply_report": place["json"], "sha256": digest}).status_code

    checks = {
        f"the {NIGHTS + 1} reports changed nothing": untouched,
        "the first look selected no OMS and no Alibaba task that has ended": waiting_was_kept(first),
        "by the last night none waits for an age": summary["ages_wanting"]["tasks"] == 0,
        "the misspelt entry of protect is named": unmatched(summary) == [MISSPELT],
        "with another digest the plan is not applied: 412": unread == 412,
        "the restarted task alone is kept of the plan, as changed": changed == {restarted} and restarted in plan,
        "every request has one result, and each is a success": [it["outcome"] for it in results]
        == ["succeeded"] * requested,
        "Sweep Finished came once, and counts them all": [
            (it["run_id"], it["requested"], it["succeeded"]) for it in finished
        ]
        == [(applied["run_id"], requested, requested)],
        "so does GET /sweeps/{run_id}": told["finished"] and told["succeeded"] == requested,
        "exactly the planned tasks are gone": gone == plan - {restarted},
        "every other task is as it was": all(after[task] == state for task, state in before.items() if task in after),
        "nothing protected is gone": not gone & tasks_of(report, [Decision.PROTECTED]),
        "every signature was right": all(signed),
        "applied once more, the report is refused: 409": again == 409,
    }
    story.say("[bold cyan]4.[/] Checks:")
    for what, true in checks.items():
        story.say(f"   [green]✓[/] {what}" if true else f"   [red]✗ NOT SO: {what}[/]")
    verdict = "[green]As planned:[/]" if all(checks.values()) else "[red]Something is not as it should be.[/]"
    counted = f"{len(gone)} of {len(before)} deleted, {len(after)} kept"
    story.say(f"{verdict} {counted}, {len(signed)} signed calls checked.")
    inside = len(after.keys() & tasks_of(report))
    story.say("To read:")
    story.say(f"   [bold]{PLACE}/index.html[/], the plan: {len(plan)} selected")
    story.say(
        f"   [bold]{PLACE}/reports/{APPLY}/index.html[/], the apply's own report: {len(changed)} of them changed"
    )
    story.say(
        f"   [bold]{PLACE}/results/{APPLY}/index.html[/], what became of it: {len(gone)} deleted; "
        f"{len(after)} kept = {inside} in the targets + {len(after) - inside} outside"
    )
    return checks


def waiting_was_kept(first: Json) -> bool:
    """Whether the first look selected none of the tasks whose end no provider tells, but running ones."""
    report = json.loads((PLACE / "first.json").read_text())
    ended = [
        task
        for target in report["targets"]
        if service_of(target) in ("huawei.oms", "alibaba.elasticsearch")
        for task in target["tasks"]
        if task["decision"] == Decision.SELECTED and not task["stop_running"]
    ]
    return not ended and first["ages_wanting"]["tasks"] == waiting(report).total()


if __name__ == "__main__":
    sys.exit(main())
