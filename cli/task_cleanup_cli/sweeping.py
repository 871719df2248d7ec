"""Sweeps of one's own clouds: ``sweep``, ``apply`` and ``report``."""

import json
import os
import shlex
import sys
import webbrowser
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from task_cleanup.errors import SweepCode
from task_cleanup.sweep.gathering import Results, results_key
from task_cleanup.sweep.report import SweepOutcome
from task_cleanup.sweep.services import SERVICES
from task_cleanup.sweep.state import RunResult
from task_cleanup.sweep.store import key, sha256_of
from task_cleanup.system import System
from task_cleanup_cli import policies, tables
from task_cleanup_cli.exits import EndedError, Exit, of_progress, usage
from task_cleanup_cli.folder import BusyError, FolderStore
from task_cleanup_cli.interrupts import INTERRUPTS
from task_cleanup_cli.keys import keys
from task_cleanup_cli.options import (
    DEFAULT_FOLDER,
    KEYS,
    AsJson,
    Folder,
    Most,
    Secrets,
    TokenFile,
    Yes,
    check_consent,
)
from task_cleanup_cli.runs import Runs, apply_id, find_report, settings_of, summary_of
from task_cleanup_cli.screen import Counter, Screen
from task_cleanup_cli.worker import Journal, LocalBus, Worker, is_final_failure

Json = dict[str, Any]

reports = typer.Typer(help="Look at reports and results.", rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command(epilog=f"Example: task-cleanup sweep nightly.yaml\n\n{KEYS}")(sweep)
    app.command(epilog=f"Example: task-cleanup apply 20261126T030000-nightly-1a2b3c\n\n{KEYS}")(apply)


# -- sweep ------------------------------------------------


def sweep(
    policy: Annotated[Path, typer.Argument(help="YAML 1.2 or JSON: `task-cleanup policy new` writes one.")],
    *,
    folder: Folder = DEFAULT_FOLDER,
    secrets: Secrets = False,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> int:
    """List your clouds, judge by the policy, show what would go, and write a report. Never deletes."""
    screen, settings = Screen(as_json=as_json), settings_of(os.environ)
    request, notes = policies.load(policy, settings.extra_regions)
    screen.tell(*notes)
    found = keys(os.environ, settings.federation, token_file or (), secrets=secrets)
    runs = Runs(FolderStore(folder), settings, found, INTERRUPTS)
    _check_keys(runs, request["targets"])
    with screen.busy(f"listing {len(request['targets'])} places"):
        ended = runs.sweep(request)
    summary, report = ended.summary, _report(runs.store, ended.run_id)
    screen.document(summary)
    _end_of_run(screen, summary)
    if report is None:
        tables.refusals(screen, summary["refusals"])
        return _exit_of(ended)
    tables.plan(screen, report, "would go")
    screen.say("")
    tables.warnings(screen, report)
    where = runs.store.path(key(ended.run_id, "report.json"))
    screen.say(f"page: {where.with_name('index.html')}")
    if not ended.ok:
        return _exit_of(ended)
    if any(target["error"] for target in report["targets"]):
        return Exit.FAILED
    if summary["refusals"]:
        tables.refusals(screen, summary["refusals"])
        screen.tell("an apply would be refused: change what is named, and sweep again")
        return Exit.REFUSED
    if report["totals"]["selected"]:
        screen.say(
            f"to delete exactly these, within a day: task-cleanup apply {shlex.quote(str(where))}", style="bold"
        )
    else:
        screen.say("nothing would be deleted")
    return Exit.DONE


# -- apply ------------------------------------------------


def apply(
    report: Annotated[
        str, typer.Argument(help="The report.json that `sweep` has written, its folder, or the run's id.")
    ],
    *,
    yes: Yes = False,
    most: Most = None,
    wait: Annotated[
        float, typer.Option("--wait", min=0, help="For how many seconds what can succeed later is tried again.")
    ] = 780.0,
    folder: Folder = DEFAULT_FOLDER,
    secrets: Secrets = False,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> int:
    """List and judge again, show what goes, ask for the number of tasks, delete them, and tell what became of each.

    If it is broken off, the same command goes on where it stopped, and deletes nothing twice.
    """
    check_consent(yes=yes, most=most)
    screen, settings = Screen(as_json=as_json), settings_of(os.environ)
    store, path = find_report(report, folder)
    found = keys(os.environ, settings.federation, token_file or (), secrets=secrets)
    runs = Runs(store, settings, found, INTERRUPTS, patience=wait)
    try:
        body = path.read_bytes()
        targets, sha256 = json.loads(body)["targets"], sha256_of(body)
        operations = {SERVICES[f"{it['provider']}_{it['service']}"].delete.operation for it in targets}
    except (ValueError, KeyError, TypeError):
        raise usage(f"{path}: is no report of a sweep of this version") from None
    _check_keys(runs, targets)
    consent = Consent(screen, most if yes else None, page=path.with_name("index.html"))
    try:
        with store.alone(apply_id(sha256)):
            return _apply(screen, runs, (path, sha256), consent, operations)
    except BusyError:
        raise EndedError(Exit.REFUSED, "another process is applying this report now") from None


def _apply(
    screen: Screen, runs: Runs, report: tuple[Path, str], consent: "Consent", operations: Collection[str]
) -> int:
    """``report`` is its path and its digest."""
    worker = runs.worker(operations)
    with screen.busy("listing again") as busy:
        consent.before = busy.pause
        ended = runs.apply(*report, consent.approve)
    run_id = ended.run_id
    if ended.summary["outcome"] != SweepOutcome.REQUESTED:
        screen.document(ended.summary)
        _end_of_run(screen, ended.summary)
        tables.refusals(screen, ended.summary["refusals"])
        if any(it["code"] == SweepCode.REPORT_CHANGED for it in ended.summary["refusals"]):
            screen.tell("it was edited after the sweep: sweep again")
        if ended.summary["dry_run"]:
            screen.say("DRY_RUN is set: nothing was deleted")
        return _exit_of(ended)
    outstanding = worker.outstanding(run_id)
    if outstanding and not consent.given:
        screen.say(f"this report is being applied already: {outstanding:,} requests have no final result")
        consent.ask(outstanding, "go on with")
    elif not consent.given:
        screen.say("applied already: every request has its final result, and nothing is sent again")
    return _carry_out(screen, worker, run_id, outstanding)


def _carry_out(screen: Screen, worker: Worker, run_id: str, outstanding: int) -> int:
    try:
        with screen.progress("deleting", outstanding) as counter:
            progress = worker.carry_out(run_id, _Watcher(screen, counter))
    except KeyboardInterrupt:
        left = worker.outstanding(run_id)
        raise EndedError(
            Exit.BROKEN_OFF,
            f"broken off: {outstanding - left:,} requests have their result, {left:,} have none",
            "the same command goes on with them",
            f"`task-cleanup report results {run_id}` tells what became of those that have one",
        ) from None
    summary = summary_of(worker.store, run_id) or {}
    saved = worker.store.path(results_key(run_id, "results.jsonl"))
    screen.document({**summary, "results": progress})
    if progress is None or not progress["requested"]:
        screen.say("nothing to do: nothing is selected now, so nothing was deleted")
        return Exit.DONE
    results = Journal(saved).read().values()
    tables.results(screen, progress, saved, results)
    screen.say(f"each result: {saved}")
    screen.say(f"page: {saved.with_name('index.html')}")
    if progress["failed"] or progress["waiting"]:
        final = sum(is_final_failure(it) for it in results)
        if final:
            screen.tell(f"{final:,} cannot succeed later")
        if progress["failed"] + progress["waiting"] > final:
            screen.tell("the same command tries again what can succeed later")
    elif progress["changed"]:
        screen.tell("some tasks were not as the report saw them any more, and were kept")
    return of_progress(progress)


class _Watcher:
    def __init__(self, screen: Screen, counter: Counter) -> None:
        self._screen, self._counter = screen, counter

    def ended(self, result: Json) -> None:  # noqa: ARG002 - the end tells what became of each
        self._counter.one()

    def waits(self, number: int, seconds: float) -> None:
        self._screen.tell(f"{number:,} can succeed later: trying again in {seconds:.0f} s (Ctrl-C ends)")


class Consent:
    """Asks for the number of tasks to be typed. ``most``: nobody is asked, and so many may go."""

    def __init__(self, screen: Screen, most: int | None, page: Path | None = None) -> None:
        self._screen, self._most, self._page = screen, most, page
        self.given = False
        self.before: Any = lambda: None

    def approve(self, report: Mapping[str, Any]) -> str | None:
        """See ``Sweeper.approve``."""
        self.before()
        screen = self._screen.asking
        tables.plan(screen, dict(report), "goes")
        screen.say("")
        tables.warnings(screen, dict(report))
        if self._page is not None:
            screen.say(f"page of the plan, as the sweep saw it: {self._page}")
        try:
            self.ask(report["totals"]["selected"], "delete")
        except EndedError as error:
            return " ".join(error.lines)
        return None

    def ask(self, number: int, verb: str, what: str = "tasks for good") -> None:
        """Ask, unless nothing goes.

        Raises
        ------
        EndedError
            If the answer is no.
        """
        if number and self._most is None:
            answer = self._screen.ask(f"To {verb} {number:,} {what}, type their number:")
            if answer is None:
                raise EndedError(
                    Exit.REFUSED, "nobody can be asked here: run it in a terminal, or give --yes and --max N"
                )
            if answer.replace(",", "") != str(number):
                raise EndedError(Exit.REFUSED, f"that is not {number}: nothing was sent")
        elif self._most is not None and number > self._most:
            raise EndedError(Exit.REFUSED, f"{number:,} tasks would go, and --max allows {self._most:,}")
        self.given = True


# -- report ------------------------------------------------


@reports.command("open", epilog="Example: task-cleanup report open 20261126T030000-nightly-1a2b3c")
def report_open(
    report: Annotated[str, typer.Argument(help="A report.json, its folder, or the run's id.")],
    *,
    folder: Folder = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> int:
    """Open a report's page in the browser, or tell where it is."""
    screen = Screen(as_json=as_json)
    _, path = find_report(report, folder)
    page = path.with_name("index.html")
    opened = sys.stdout.isatty() and webbrowser.open(page.as_uri())
    screen.document({"page": str(page), "opened": opened})
    screen.say(str(page))
    return Exit.DONE


@reports.command("results", epilog="Example: task-cleanup report results apply-0a1b2c…")
def report_results(
    report: Annotated[
        str, typer.Argument(help="The report of an apply, or of the sweep that it applied, or the run's id.")
    ],
    *,
    folder: Folder = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> int:
    """Tell what became of the requests of an apply."""
    screen = Screen(as_json=as_json)
    store, path = find_report(report, folder)
    run_id = path.parent.name
    applied = store.get(key(run_id, "applied.json"))
    if applied is not None:
        run_id = str(applied.document["run_id"])
        screen.say(f"the report was applied by {run_id}")
    progress = Results(store, LocalBus(), System()).progress(run_id)
    screen.document(progress)
    if progress is None:
        screen.say("this run has made no requests")
        return Exit.DONE
    saved = store.path(results_key(run_id, "results.jsonl"))
    tables.results(screen, progress, saved, Journal(saved).read().values())
    if not progress["finished"]:
        screen.tell("the run has not ended: the same apply goes on with it")
        return Exit.FAILED
    return of_progress(progress)


# -- shared ------------------------------------------------


def _check_keys(runs: Runs, targets: list[Json]) -> None:
    accounts = [(it["provider"], it.get("account", "default"), _wants_project(it)) for it in targets]
    wrong = runs.keys.wrong((provider, account) for provider, account, _ in accounts)
    wrong += runs.keys.without_project((provider, account) for provider, account, wants in accounts if wants)
    if wrong:
        raise usage(*wrong)


def _wants_project(target: Json) -> bool:
    return not target.get("project_id") and SERVICES[f"{target['provider']}_{target['service']}"].needs_project


def _report(store: FolderStore, run_id: str) -> Json | None:
    stored = store.get(key(run_id, "report.json"))
    return None if stored is None else stored.document


def _end_of_run(screen: Screen, summary: Json) -> None:
    error = summary["error"]
    if error is not None:
        words = error["message"]
        if error["code"] == SweepCode.STORE_ERROR:
            words = words.replace("AWS refused a call", "the folder could not be read or written")
        screen.tell(f"{error['code']}: {words}", style="red")


def _exit_of(ended: RunResult) -> Exit:
    if ended.ok:
        return Exit.DONE
    return Exit.REFUSED if ended.summary["outcome"] == SweepOutcome.REFUSED else Exit.FAILED
