"""``policy new`` and ``policy check``."""

import os
from pathlib import Path
from typing import Annotated

import typer

from task_cleanup.providers.model import PROVIDERS, Service
from task_cleanup.sweep.services import SERVICES
from task_cleanup_cli import policies
from task_cleanup_cli.exits import EndedError, Exit, usage
from task_cleanup_cli.options import AsJson
from task_cleanup_cli.runs import settings_of
from task_cleanup_cli.screen import Screen

app = typer.Typer(help="Write and check policies: what to list, and what may be deleted.", rich_markup_mode=None)


@app.command(epilog="Example: task-cleanup policy new nightly.yaml")
def new(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("policy.yaml"),
    *,
    service: Annotated[str | None, typer.Option("--service", help="huawei.oms, alibaba.elasticsearch, …")] = None,
    region: Annotated[str | None, typer.Option("--region")] = None,
    instance: Annotated[str | None, typer.Option("--instance", help="An instance's id, or `all`.")] = None,
    account: Annotated[str | None, typer.Option("--account", help="Alias of the keys.")] = None,
    older_than: Annotated[str | None, typer.Option("--older-than", help="P7D: days; PT12H: hours.")] = None,
    as_json: AsJson = False,
) -> int:
    """Ask what to look for, and write a policy with comments, which editors can complete."""
    screen = Screen(as_json=as_json)
    names = [f"{it.provider}.{it.name}" for it in SERVICES.values()]
    for each in SERVICES.values() if service is None else ():
        screen.say(f"  {each.provider}.{each.name}: {PROVIDERS[each.provider]}, {each.target.title}")
    chosen = policies.service_named(service or _asked(screen, f"Which service? [{names[0]}]", names[0]))
    answers = _answers(screen, chosen, region, instance, account)
    age = older_than or _asked(screen, "Older than? [P7D]", "P7D")
    text = policies.new_text(path.stem, chosen, answers, age, "*prod*")
    policies.write_new(path, text)
    try:
        policies.load(path, settings_of(os.environ).extra_regions)
    except BaseException:
        path.unlink()  # an answer was wrong: the next try must not meet this file
        raise
    screen.document({"policy": str(path)})
    screen.say(f"{path} is written. Next: task-cleanup sweep {path}")
    return Exit.DONE


def _answers(
    screen: Screen, service: Service, region: str | None, instance: str | None, account: str | None
) -> dict[str, str]:
    regions = list(service.regions)
    if region is None:
        screen.say(f"  regions: {', '.join(regions)}")
    answers = {"region": region or _asked(screen, f"Which region? [{regions[0]}]", regions[0])}
    answers["account"] = account or "default"
    has_instances = "instance_id" in service.target.fields
    if instance and not has_instances:
        raise usage(f"{service.provider}.{service.name} has no instances: leave out --instance")
    if has_instances:
        where = instance or _asked(screen, "Which instance? Its id, or all of the region [all]", "all")
        answers["instance_ids" if where == "all" else "instance_id"] = where
    return answers


def _asked(screen: Screen, question: str, default: str) -> str:
    answer = screen.ask(question)
    if answer is None:
        raise usage("nobody can be asked here: give the answers as options, see --help")
    return answer or default


@app.command(epilog="Example: task-cleanup policy check nightly.yaml")
def check(
    paths: Annotated[list[Path], typer.Argument(help="Policies.")],
    *,
    as_json: AsJson = False,
) -> int:
    """Say whether policies are valid, and what is wrong with them, line by line. Asks no provider."""
    screen, extra = Screen(as_json=as_json), settings_of(os.environ).extra_regions
    told, wrong = {}, False
    for path in paths:
        try:
            policy, _ = policies.load(path, extra)
            told[str(path)] = list[str]()
            screen.say(f"{path}: valid")
            screen.tell(*(f"{path}: {it}" for it in policies.doubts(policy)), style="yellow")
        except EndedError as error:
            wrong = True
            told[str(path)] = list(error.lines)
            screen.tell(*error.lines)
    screen.document([{"policy": path, "valid": not lines, "errors": lines} for path, lines in told.items()])
    return Exit.USAGE if wrong else Exit.DONE
