"""``keyless …``: what accounts without a stored key need an operator, or a daily job, for."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from task_cleanup.credentials import DEFAULT_ACCOUNT
from task_cleanup.providers.model import Credentials
from task_cleanup.providers.otc_iam import EXCHANGE
from task_cleanup.system import Deadline, System
from task_cleanup_cli import federation_parameters, otc_keys
from task_cleanup_cli.exits import EndedError, Exit, usage
from task_cleanup_cli.keys import EXCHANGES, VARIABLES, EnvironmentKeys
from task_cleanup_cli.options import AsJson
from task_cleanup_cli.runs import settings_of
from task_cleanup_cli.screen import Screen

app = typer.Typer(help="What accounts without a stored key need besides.", rich_markup_mode=None)

_OTC = "otc"


@app.callback()
def _group() -> None:
    pass


@app.command(
    "otc-keys",
    epilog="Example: task-cleanup keyless otc-keys --issuer https://….tokens.sts.global.api.aws --provider-id aws "
    "--region eu-de\n\n"
    f"The operator's key, not one of {EXCHANGE.variable}: {', '.join(it.name for it in VARIABLES[_OTC][:3])}.",
)
def otc_keys_(
    *,
    issuer: Annotated[str, typer.Option("--issuer", help="The tokens' issuer (iss), as the configuration has it.")],
    provider_id: Annotated[str, typer.Option("--provider-id", help="The identity provider's name at OTC.")],
    region: Annotated[str, typer.Option("--region", help="Of IAM: eu-de or eu-nl.")],
    keep_old: Annotated[
        bool, typer.Option("--keep-old", help="Keep keys that the issuer no longer publishes. Else they are dropped.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
    only_check: Annotated[
        bool, typer.Option("--check", help="As --dry-run, and end with 1 if the keys differ: for a monitor.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Bring the issuer's signing keys to Open Telekom Cloud, which cannot fetch them. To be run every day.

    It writes only if they differ. A key that the issuer has withdrawn may have been stolen: it is dropped at once,
    since tokens live 5 minutes, and the functions use theirs at once.
    """
    screen, system = Screen(as_json=as_json), System()
    for name, value in (("provider_id", provider_id), ("region", region)):
        member = EXCHANGE.members[name]
        if not member.pattern.fullmatch(value):
            raise usage(f"--{name.replace('_', '-')} is malformed; one is {member.example}")
    source = otc_keys.Issuer(issuer)
    credentials = _credentials(system)
    base = (
        settings_of(os.environ).provider_endpoints.get(EXCHANGE.id) or f"https://{EXCHANGE.host({'region': region})}"
    )
    web = otc_keys.Web(system, *dict.fromkeys((source.origin, base)))
    with screen.busy("reading the keys"):
        published = source.keys(web)
        configuration = otc_keys.Configuration(web, base, provider_id, credentials, system)
        present = configuration.read()
        if present["idp_url"] != issuer:
            raise EndedError(
                Exit.FAILED,
                f"the configuration of {provider_id} is for the issuer {present['idp_url']}: keys of another one "
                "would let its tokens in, so nothing was changed",
            )
        plan = otc_keys.Plan.of(otc_keys.keys_in(present), published, keep_old=keep_old)
        if plan.is_new and not (dry_run or only_check):
            configuration.write(present, plan.wanted)
    outcome = "unchanged" if not plan.is_new else "would be updated" if dry_run or only_check else "updated"
    told = plan.to_dict()
    screen.document({"outcome": outcome.replace(" ", "_"), "provider_id": provider_id, **told})
    screen.say(f"{provider_id}: {outcome}; signing keys: {', '.join(told['keys'])}")
    for name in ("added", "dropped") if plan.is_new else ():
        if told[name]:
            screen.say(f"{name}: {', '.join(told[name])}")
    return Exit.FAILED if only_check and plan.is_new else Exit.DONE


@app.command("check", epilog="Example: task-cleanup keyless check parameters.yaml")
def check(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="The parameters, as `sam deploy` gets them. Else …_FEDERATION."),
    ] = None,
    *,
    as_json: AsJson = False,
) -> int:
    """Say what is wrong with the accounts without a stored key, before they are deployed. Asks nobody.

    A malformed parameter keeps all functions of its provider, and the sweep, from starting.
    """
    screen = Screen(as_json=as_json)
    found = list(_of_variables() if path is None else _of_file(path))
    screen.document([vars(it) for it in found])
    for it in found:
        if it.ok:
            screen.say(f"ok  {it.what}")
        else:
            screen.tell(f"!!  {it.what}")
    return Exit.DONE if all(it.ok for it in found) else Exit.USAGE


def _of_file(path: Path) -> Iterator[federation_parameters.Verdict]:
    texts = federation_parameters.read(path)
    for provider, exchange in EXCHANGES.items():
        yield from federation_parameters.verdicts(exchange, texts.get(provider))


def _of_variables() -> Iterator[federation_parameters.Verdict]:
    """What the template takes does not matter for the variables of this command line."""
    exchanges = [it for it in EXCHANGES.values() if os.environ.get(it.variable)]
    if not exchanges:
        names = ", ".join(it.variable for it in EXCHANGES.values())
        raise usage(f"nothing to check: give the file of the parameters, or set {names}")
    for exchange in exchanges:
        yield from federation_parameters.of_accounts_in(exchange.variable, exchange, os.environ[exchange.variable])


def _credentials(system: System) -> Credentials:
    """The operator's own key."""
    names = [it.name for it in VARIABLES[_OTC] if it.required]
    if missing := [name for name in names if not os.environ.get(name)]:
        raise usage(
            f"not set: {', '.join(missing)}. They are the operator's key, which may change the identity provider"
        )
    keys = EnvironmentKeys(os.environ)
    if wrong := keys.wrong([(_OTC, DEFAULT_ACCOUNT)]):
        raise usage(*wrong)
    secret = json.loads(keys.get_secret_value(f"/{_OTC}/{DEFAULT_ACCOUNT}", Deadline.after(0, system.monotonic)))
    return Credentials(secret["access_key_id"], secret["secret_access_key"], secret.get("security_token"))
