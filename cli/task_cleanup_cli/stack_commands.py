"""``stack …``: the same by the deployed stack, with the user's AWS identity."""

import time
from collections import Counter, defaultdict
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

import typer

from task_cleanup.sweep.report import SweepOutcome
from task_cleanup.system import System
from task_cleanup_cli import doctor, function_checks, policies, tables
from task_cleanup_cli.exits import EndedError, Exit, of_progress, usage
from task_cleanup_cli.operations import logical_id, operation, schemas
from task_cleanup_cli.options import AsJson, Most, Yes, check_consent
from task_cleanup_cli.screen import Screen
from task_cleanup_cli.stack import DeadLetter, NoAnswerError, Stack
from task_cleanup_cli.sweeping import Consent

Json = dict[str, Any]

app = typer.Typer(help="The same by a deployed stack, with your AWS identity (AWS_PROFILE).", rich_markup_mode=None)

POLL_SECONDS = 3.0
_SIGNS = {
    "ok": ("ok  ", "green"),
    "skipped": ("--  ", "yellow"),
    "wrong": ("!!  ", "red"),
    "unknown": ("?   ", "yellow"),
}
EXAMPLES = 3  # requests that are told of each cause

Name = Annotated[str, typer.Option("--stack", envvar="TASK_CLEANUP_STACK", help="The stack's name.")]
ApiUrl = Annotated[
    str | None, typer.Option("--api-url", envvar="API_URL", help="Its HTTP API; else the output ApiUrl.")
]


@app.command(epilog="Example: task-cleanup stack sweep nightly.yaml")
def sweep(
    policy: Annotated[Path, typer.Argument(help="YAML 1.2 or JSON.")],
    *,
    name: Name = "task-cleanup",
    api_url: ApiUrl = None,
    as_json: AsJson = False,
) -> int:
    """Let the stack sweep, report only, and show what would go."""
    screen, stack = Screen(as_json=as_json), Stack(name, api_url)
    request, notes = policies.load(policy, {})
    screen.tell(*notes)
    run_id = _started(stack, {**request, "mode": "report"})
    screen.asking.say(f"run {run_id}")
    summary = _ended(screen, stack, run_id, results=False)
    screen.document(summary)
    tables.counted(screen, summary, "would go")
    tables.warnings(screen, summary)
    return _told(screen, summary, f"to delete exactly these, within a day: task-cleanup stack apply {run_id}")


@app.command(epilog="Example: task-cleanup stack apply 1f0c9e0e-3d2f-4b7a-9a11-5b1a4f0c9e0e")
def apply(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run whose report is applied.")],
    *,
    yes: Yes = False,
    most: Most = None,
    name: Name = "task-cleanup",
    api_url: ApiUrl = None,
    as_json: AsJson = False,
) -> int:
    """Let the stack apply a report, after asking for the number of tasks, and wait for the results."""
    check_consent(yes=yes, most=most)
    screen, stack = Screen(as_json=as_json), Stack(name, api_url)
    plan = _summary(stack, run_id)
    if plan.get("outcome") != SweepOutcome.REPORTED or not plan.get("report"):
        raise EndedError(Exit.REFUSED, f"{run_id} is no report that can be applied")
    tables.counted(screen.asking, plan, "goes")
    tables.warnings(screen.asking, plan)
    selected = plan["totals"]["selected"]
    Consent(screen, most if yes else None).ask(selected, "delete")
    request = {"apply_report": plan["report"]["json"], "sha256": plan["report"]["sha256"]}
    # What the stack may request is what was shown: it can find fewer now, and never more.
    started = _started(stack, {**request, "limits": {"max_tasks": selected}})
    screen.asking.say(
        f"run {started}: if this is broken off, `task-cleanup stack results {started}` tells how it goes on"
    )
    summary = _ended(screen, stack, started, results=True)
    screen.document(summary)
    code = _told(screen, summary, "")
    of_requests = _told_results(screen, summary) if summary.get("results") else Exit.DONE
    return code or of_requests


@app.command(epilog="Example: task-cleanup stack results 1f0c9e0e-3d2f-4b7a-9a11-5b1a4f0c9e0e")
def results(
    run_id: Annotated[str, typer.Argument(metavar="RUN")],
    *,
    name: Name = "task-cleanup",
    api_url: ApiUrl = None,
    as_json: AsJson = False,
) -> int:
    """Tell what became of a run's requests: succeeded, unchanged, changed, failed, waiting."""
    screen, stack = Screen(as_json=as_json), Stack(name, api_url)
    summary = _summary(stack, run_id)
    screen.document(summary)
    if "state" in summary:
        screen.say(f"the run has not ended: {summary['state'].replace('_', ' ')}")
        return Exit.FAILED
    if not summary.get("results"):
        screen.say(f"{summary['outcome']}: this run has made no requests")
        return _told(screen, summary, "")
    return _told_results(screen, summary)


@app.command(epilog="Example: task-cleanup stack failures")
def failures(*, name: Name = "task-cleanup", as_json: AsJson = False) -> int:
    """Read the dead-letter queues, leave the messages there, and tell why they failed, by cause."""
    screen, stack = Screen(as_json=as_json), Stack(name)
    rows, told, whole = [], [], True
    for queue, url in stack.operations().items():
        letters, complete = stack.dead_letters(url)
        whole = whole and complete
        causes: defaultdict[str, list[DeadLetter]] = defaultdict(list)
        for letter in letters:
            causes[letter.cause].append(letter)
        for cause, same in causes.items():
            some = [it.target() for it in same[:EXAMPLES]]
            rows.append((queue, len(same), cause, same[0].words, "; ".join(some)))
            told.append({"operation": queue, "messages": len(same), "cause": cause, "examples": some})
    screen.document({"complete": whole, "failures": told})
    if rows:
        screen.table(("operation", "#requests", "cause", "", "for example"), rows)
        screen.say("sent back by: task-cleanup stack redrive OPERATION")
    if not whole:
        screen.tell("there may be more: other readers hide messages for a while")
    if not rows and whole:
        screen.say("no failed requests")
    return Exit.FAILED if rows or not whole else Exit.DONE


@app.command(epilog="Example: task-cleanup stack redrive HuaweiOmsDeleteTask")
def redrive(
    named: Annotated[str, typer.Argument(metavar="OPERATION", help="As `stack failures` names it.")],
    *,
    yes: Yes = False,
    most: Most = None,
    name: Name = "task-cleanup",
    as_json: AsJson = False,
) -> int:
    """Send the failed requests of one operation back to its queue: they are carried out then.

    A cancel that does not say how old it is stays: it names no task, and would stop whatever runs now.
    """
    check_consent(yes=yes, most=most)
    screen, stack = Screen(as_json=as_json), Stack(name)
    known = stack.operations()
    if named not in known:
        raise usage(f"there is no {named!r}: there are {', '.join(known)}")
    letters, complete = stack.dead_letters(known[named])
    if not letters and complete:
        screen.document({"moved": 0})
        screen.say("there is nothing to send back")
        return Exit.DONE
    causes = Counter(f"{letter.cause}: {letter.words}" for letter in letters)
    for cause, number in causes.items():
        screen.asking.say(f"{number:,} failed with {cause}")
    if _needs_age(named) and not (complete and all(letter.has_age for letter in letters)):
        raise EndedError(
            Exit.REFUSED,
            "some of these do not say when they were first sent: a cancel stops whatever runs when it arrives",
            "send what is still wanted anew, as an event; nothing was moved",
        )
    if not complete:
        raise EndedError(Exit.REFUSED, "not all messages can be seen now, so their number is not known: try again")
    Consent(screen, most if yes else None).ask(len(letters), "send back", "requests")
    moved = _move(screen, stack, named)
    screen.document({"moved": moved})
    screen.say(f"{moved:,} requests are in the queue again")
    if moved != len(letters):  # SQS moves what is there when it comes to it
        screen.tell(f"{len(letters):,} were counted before: `task-cleanup stack failures` tells what is left")
        return Exit.FAILED
    return Exit.DONE


def _move(screen: Screen, stack: Stack, named: str) -> int:
    source = stack.output(f"{named}DeadLetterQueueArn")
    # SQS knows no source queue of a message that a function moved.
    stack.call("sqs", "start_message_move_task", SourceArn=source, DestinationArn=stack.output(f"{named}QueueArn"))
    while True:
        tasks = stack.call("sqs", "list_message_move_tasks", SourceArn=source, MaxResults=1)["Results"]
        task = tasks[0] if tasks else {}
        if task.get("Status") == "COMPLETED":
            return int(task.get("ApproximateNumberOfMessagesMoved", 0))
        if task.get("Status") != "RUNNING":
            raise EndedError(Exit.FAILED, f"the move ended as {task.get('Status')}: {task.get('FailureReason', '')}")
        screen.say(f"{task.get('ApproximateNumberOfMessagesMoved', 0):,} moved")
        time.sleep(POLL_SECONDS)


@app.command(
    "doctor", epilog="Example: task-cleanup stack doctor --region cn-north-4 --region eu-de --region cn-hangzhou"
)
def doctor_(
    *,
    account: Annotated[
        list[str] | None,
        typer.Option("--account", help="Accounts for which the functions are asked; else those of …Federation."),
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Option(
            "--region",
            help="A region of a provider, not of AWS: functions whose service has it read something harmless there. "
            "Give one of each provider; without one, its functions call nothing. May be repeated.",
        ),
    ] = None,
    name: Name = "task-cleanup",
    as_json: AsJson = False,
) -> int:
    """Look at the stack with your own AWS identity, and say line by line what is wrong, and what to do.

    Each function is asked whether it gets credentials and, with --region, whether the provider accepts them. The last
    line counts these calls.
    """
    screen, stack = Screen(as_json=as_json), Stack(name)
    with screen.busy("looking, and asking the functions"):
        found = list(doctor.examined(stack, function_checks.look(account or (), region or ())))
    screen.document([vars(it) for it in found])
    for each in found:
        sign, style = _SIGNS[each.state]
        screen.say(f"{sign}{each.what}", style=style)
        for line in each.to_do.splitlines():
            screen.say(f"      {line}")
    return Exit.DONE if all(it.state in ("ok", "skipped") for it in found) else Exit.FAILED


# -- runs ------------------------------------------------


def _needs_age(named: str) -> bool:
    """Whether this is an operation that acts on whatever runs when it arrives."""
    names = [name for name in schemas() if logical_id(name) == named]
    return any(operation(name).max_age_in_queue is not None for name in names)


def _started(stack: Stack, request: Json) -> str:
    """Ask for a run, and return its id. It is made here: it is known also where the answer does not come."""
    run_id = f"cli-{System().nonce()}"
    doubt = f"the run may have begun all the same: `task-cleanup stack results {run_id}` tells"
    try:
        status, reply = stack.api("POST", "/sweeps", {**request, "run_id": run_id})
    except NoAnswerError as error:
        raise EndedError(error.code, *error.lines, doubt) from None
    if status not in (200, 202):
        code = Exit.REFUSED if status in (404, 409, 412) else Exit.USAGE if status == 400 else Exit.FAILED
        raise EndedError(
            code, _problem(status, reply), *([doubt] if status >= HTTPStatus.INTERNAL_SERVER_ERROR else [])
        )
    return run_id


def _summary(stack: Stack, run_id: str) -> Json:
    status, reply = stack.api("GET", f"/sweeps/{run_id}")
    if status not in (200, 202):
        raise EndedError(Exit.USAGE if status in (400, 404) else Exit.FAILED, _problem(status, reply))
    return reply


def _problem(status: int, reply: Json) -> str:
    words = [str(reply[name]) for name in ("title", "code", "detail", "message") if name in reply]
    return f"HTTP {status}: {': '.join(words)}"


def _ended(screen: Screen, stack: Stack, run_id: str, *, results: bool) -> Json:
    """The summary, when the run has ended; with ``results``, when no request waits for its result any more.

    The requests of a run that failed or was refused while it sent them are never ``finished``.
    """
    with screen.busy(f"waiting for run {run_id}"):
        while True:
            summary = _summary(stack, run_id)
            counted = summary.get("results")
            if "state" not in summary and not (results and counted and counted["waiting"]):
                return summary
            time.sleep(POLL_SECONDS)


def _told(screen: Screen, summary: Json, next_step: str) -> Exit:
    """What is wrong with a run that has ended, or what comes next."""
    tables.refusals(screen, summary["refusals"])
    if summary["error"] is not None:
        screen.tell(f"{summary['error']['code']}: {summary['error']['message']}")
    if summary["outcome"] == SweepOutcome.FAILED or any(target["error"] for target in summary["targets"]):
        return Exit.FAILED
    if summary["outcome"] == SweepOutcome.REFUSED or summary["refusals"]:
        return Exit.REFUSED
    if summary["totals"]["selected"] and next_step:
        screen.say(next_step)
    return Exit.DONE


def _told_results(screen: Screen, summary: Json) -> int:
    progress = summary["results"]
    tables.results(screen, progress, f"results/{summary['run_id']}/ in the report bucket")
    return of_progress(progress)
