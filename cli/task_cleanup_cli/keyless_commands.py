"""``keyless …``: what accounts without a stored key need an operator, or a daily job, for."""

import json
import os
from typing import Annotated

import typer

from task_cleanup.credentials import DEFAULT_ACCOUNT
from task_cleanup.providers.model import Credentials
from task_cleanup.providers.otc_iam import EXCHANGE
from task_cleanup.system import Deadline, System
from task_cleanup_cli import otc_keys
from task_cleanup_cli.exits import EndedError, Exit, usage
from task_cleanup_cli.keys import VARIABLES, EnvironmentKeys
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
    as_json: AsJson = False,
) -> int:
    """Bring the issuer's signing keys to Open Telekom Cloud, which cannot fetch them. To be run every day.

    It writes only if they differ. A key that the issuer has withdrawn may be one that somebody else has: it is
    dropped at once, since tokens live 5 minutes, and the functions use theirs at once.
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
        if plan.is_new and not dry_run:
            configuration.write(present, plan.wanted)
    outcome = "unchanged" if not plan.is_new else "would be updated" if dry_run else "updated"
    told = plan.to_dict()
    screen.document({"outcome": outcome.replace(" ", "_"), "provider_id": provider_id, **told})
    screen.say(f"{provider_id}: {outcome}; signing keys: {', '.join(told['keys'])}")
    for name in ("added", "dropped") if plan.is_new else ():
        if told[name]:
            screen.say(f"{name}: {', '.join(told[name])}")
    return Exit.DONE


def _credentials(system: System) -> Credentials:
    """The operator's own key."""
    keys = EnvironmentKeys(os.environ)
    if wrong := keys.wrong([(_OTC, DEFAULT_ACCOUNT)]):
        raise usage(*wrong)
    secret = json.loads(keys.get_secret_value(f"/{_OTC}/{DEFAULT_ACCOUNT}", Deadline.after(0, system.monotonic)))
    return Credentials(secret["access_key_id"], secret["secret_access_key"], secret.get("security_token"))
