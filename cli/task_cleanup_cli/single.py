"""Single operations: ``call``, ``operations`` and ``list``."""

import os
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from task_cleanup.calls import Dependencies
from task_cleanup.credentials import CredentialStore
from task_cleanup.errors import Category
from task_cleanup.operation import Operation, run
from task_cleanup.results import Outcome, Result
from task_cleanup.system import Deadline, System
from task_cleanup.transport import Transport
from task_cleanup.triggers import Received, Trigger
from task_cleanup.validation import NotJsonError, strict_json
from task_cleanup_cli import tables
from task_cleanup_cli.exits import EndedError, Exit, usage
from task_cleanup_cli.interrupts import INTERRUPTS
from task_cleanup_cli.keys import keys
from task_cleanup_cli.operations import operation, schemas
from task_cleanup_cli.options import KEYS, AsJson, Secrets, TokenFile
from task_cleanup_cli.policies import service_named
from task_cleanup_cli.runs import settings_of
from task_cleanup_cli.screen import Screen
from task_cleanup_cli.worker import REQUEST_SECONDS

Json = dict[str, Any]

LIST_SECONDS = 240.0
LEAST_WATCH = 2.0  # seconds between two lists

Account = Annotated[str | None, typer.Option("--account", help="Alias of the keys: `prod` reads PROD_….")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command(
        epilog="Example: task-cleanup call huawei.oms.DeleteTask region=cn-north-4 task_id=200477729979132 --dry-run"
        f"\n\n{KEYS}"
    )(call)
    app.command(epilog="Example: task-cleanup operations")(operations)
    app.command("list", epilog=f"Example: task-cleanup list huawei.oms region=cn-north-4\n\n{KEYS}")(list_tasks)


def call(
    name: Annotated[str, typer.Argument(metavar="OPERATION", help="`task-cleanup operations` shows them all.")],
    fields: Annotated[list[str] | None, typer.Argument(metavar="name=value…", help="The request's fields.")] = None,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Sign, and send no change. It looks at the task if `expected` is given.")
    ] = False,
    account: Account = None,
    secrets: Secrets = False,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> int:
    """Call one operation: it deletes at once what you name. Prints the normalized result."""
    screen, found = Screen(as_json=as_json), _operation(name)
    request = _request(found, [*(fields or ()), *([f"account={account}"] if account else [])])
    if dry_run:
        request["dry_run"] = True
    calls = Calls(found, REQUEST_SECONDS, token_file or (), secrets=secrets)
    with screen.busy(name):
        result = calls.run(request)
    if found.listing is not None:
        return _tell_list(screen, result)
    screen.document(result.to_dict())
    error, target = result.error, " ".join(result.target.to_dict().values())
    screen.say(f"{result.outcome.value}: {target}", style="green" if result.ok else "red")
    if error is not None:
        screen.tell(f"{error.code}: {error.message}", *tables.of_exchange(error.detail or {}))
        if error.detail and "note" in error.detail:
            screen.tell(str(error.detail["note"]))
    if result.plan is not None:
        screen.say(f"would send {result.plan['method']} {result.plan['url']}")
        if not result.looks:
            screen.say("not looked at: whether there is such a task is not known")
    if INTERRUPTS.ending:
        raise EndedError(Exit.BROKEN_OFF, "broken off: the call was on its way, and ended as told")
    return _exit_of(result)


def operations(*, as_json: AsJson = False) -> int:
    """Show all operations, and the fields that each needs and takes."""
    screen, found = Screen(as_json=as_json), schemas()
    screen.document([_told(name, schema) for name, schema in found.items()])
    screen.table(
        ("!operation", "does", "needs"),
        [(name, schema["title"], " ".join(schema["required"])) for name, schema in found.items()],
    )
    return Exit.DONE


def list_tasks(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="huawei.oms, alibaba.elasticsearch, …")],
    fields: Annotated[
        list[str] | None, typer.Argument(metavar="name=value…", help="region=…, instance_id=…, …")
    ] = None,
    *,
    watch: Annotated[
        float | None, typer.Option("--watch", min=LEAST_WATCH, help="List again every so many seconds, until Ctrl-C.")
    ] = None,
    account: Account = None,
    secrets: Secrets = False,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> int:
    """List the tasks of one place of a service, as the provider shows them now."""
    screen = Screen(as_json=as_json)
    found = operation(service_named(service).listing.operation)
    request = _request(found, [*(fields or ()), *([f"account={account}"] if account else [])])
    calls = Calls(found, LIST_SECONDS, token_file or (), secrets=secrets)
    while True:
        with screen.busy(f"listing {service}"):
            result = calls.run(request)
        code = _tell_list(screen, result)
        rejected = result.error is not None and result.error.category is Category.UNAUTHENTICATED
        if watch is None or rejected or code == Exit.USAGE:
            return code
        with INTERRUPTS.asked_for():
            INTERRUPTS.wait(watch)
        _end_if_asked()


def _tell_list(screen: Screen, result: Result) -> int:
    screen.document(result.to_dict())
    if result.listed is None:
        if result.error is not None:
            error = result.error
            screen.tell(f"{error.code}: {error.message}", *tables.of_exchange(error.detail or {}))
        return _exit_of(result)
    tables.tasks(screen, [task.to_dict() for task in result.listed.tasks])
    screen.say(f"{len(result.listed.tasks):,} tasks")
    if not result.listed.complete:
        screen.tell(f"this may not be all: {result.listed.note}", style="yellow")
        return Exit.FAILED
    return Exit.DONE


def _operation(name: str) -> Operation:
    try:
        return operation(name)
    except KeyError:
        raise usage(f"there is no operation {name!r}: `task-cleanup operations` shows them") from None


def _request(found: Operation, fields: Sequence[str]) -> Json:
    """The request of ``name=value`` words. As in a query string, the schema says what is a number or a boolean."""
    request: Json = {}
    for text in fields:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise usage(f"{text!r} is no name=value")
        if name in request:
            raise usage(f"{name} is there twice: only one of them would count")
        request[name] = _value(found, name, value)
    return request


def _value(found: Operation, name: str, value: str) -> object:
    if found.validator.is_boolean(name) and value in ("true", "false"):
        return value == "true"
    if found.validator.is_integer(name) and value.isascii() and value.isdigit():
        return int(value)
    if value.startswith("{"):
        try:
            return strict_json(value)
        except NotJsonError as error:
            raise usage(f"{name} is not JSON: {error}") from None
    return value


class Calls:
    """Calls of one operation. They share what is known of a key: one that was rejected is not sent again."""

    def __init__(
        self, found: Operation, seconds: float, token_files: Sequence[str] = (), *, secrets: bool = False
    ) -> None:
        self._found, self._seconds = found, seconds
        settings = settings_of(os.environ)
        self._keys = keys(os.environ, settings.federation, token_files, secrets=secrets)
        # After Ctrl-C, a list is not gone on with; what changes something ends in its time.
        self._system = system = System() if found.listing is None else INTERRUPTS.system
        service = found.service
        self._dependencies = Dependencies.of(
            service,
            settings,
            CredentialStore.of(service, settings, self._keys, self._keys.identity_token, system),
            Transport(system),
            system,
            dry_run=settings.dry_run and found.listing is None,
        )

    def run(self, request: Json) -> Result:
        """Call it. A signal raises nothing meanwhile: within a connection pool, that could lock it for good."""
        account = request.get("account", "default")
        accounts = [(self._found.service.provider, account)] if isinstance(account, str) else []
        wrong = self._keys.wrong(accounts)
        if self._found.service.needs_project and not request.get("project_id"):
            wrong += self._keys.without_project(accounts)
        if wrong:
            raise usage(*wrong)
        received = Received(Trigger.DIRECT, request, f"cli-{self._system.nonce()[:12]}")
        with INTERRUPTS.asked_for():
            deadline = Deadline.after(self._seconds, self._system.monotonic)
            result = run(self._found, received, self._dependencies, deadline)
        if self._found.listing is not None:
            _end_if_asked()
        return result


def _end_if_asked() -> None:
    if INTERRUPTS.ending:
        raise EndedError(Exit.BROKEN_OFF, "broken off")


def _exit_of(result: Result) -> int:
    if result.ok:
        return Exit.DONE
    if result.error is not None and result.error.category is Category.INVALID_REQUEST:
        return Exit.USAGE
    return Exit.REFUSED if result.outcome is Outcome.CONFLICT or result.task_changed else Exit.FAILED


def _told(name: str, schema: Mapping[str, Any]) -> Json:
    hidden = {"operation", *schema["required"]}
    return {
        "operation": name,
        "title": schema["title"],
        "required": schema["required"],
        "optional": [field for field in schema["properties"] if field not in hidden],
    }
