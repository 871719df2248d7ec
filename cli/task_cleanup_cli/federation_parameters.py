"""The stack's parameters with the accounts without a stored key: what is wrong with one, before it is deployed.

A parameter that is malformed keeps all functions of its provider and the sweep from starting, also for accounts with
a secret.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from task_cleanup.providers.model import PROVIDERS
from task_cleanup.providers.token_exchange import TokenExchange
from task_cleanup.validation import NotJsonError, shared_pattern, strict_json
from task_cleanup_cli import yaml12
from task_cleanup_cli.exits import usage

# The parameter's MaxLength in template.yaml, by provider: characters.
LONGEST: Mapping[str, int] = {"alibaba": 704, "huawei": 960, "otc": 512}


def parameter_of(provider: str) -> str:
    """The stack's parameter with the provider's accounts."""
    return f"{provider.title()}Federation"


def form(exchange: TokenExchange) -> str:
    """The parameter's AllowedPattern in template.yaml."""
    end = r'(,(?=\s*")|(?=\}))'
    member = rf'(\s*"({"|".join(exchange.members)})"\s*:\s*"[ !#-\[\]-~]+"\s*{end})+'
    account = rf'(\s*"[a-z0-9][a-z0-9-]{{0,62}}"\s*:\s*\{{{member}\}}\s*{end})+'
    return rf"^(\{{{account}\}})?$"


def accounts_in(text: str) -> dict[str, Any]:
    """The accounts by alias, whatever their members are; none for the empty text.

    Raises
    ------
    NotJsonError
        If there are none to be found. The message is what is wrong, without a value of the text.
    """
    accounts = strict_json(text) if text else {}
    if not isinstance(accounts, dict):
        raise NotJsonError("it is not a JSON object of accounts by alias")
    if text and not accounts:
        raise NotJsonError("it has no account: that is the empty text, and not {}")
    return accounts


def faults_of_account(exchange: TokenExchange, alias: str, members: Any) -> str | None:  # noqa: ANN401 - JSON
    """What is wrong with one account, without any of its values."""
    if not shared_pattern("account").fullmatch(alias):
        return "is no alias: 1 to 63 lower-case letters, digits and hyphens"
    if not isinstance(members, dict) or not all(isinstance(value, str) for value in members.values()):
        return "is not an object of texts"
    return exchange.violation(members)


def faults(exchange: TokenExchange, text: str) -> list[str]:
    """What is wrong with a parameter, or with the variable that functions get of it: by account, and as a whole."""
    try:
        accounts = accounts_in(text)
    except NotJsonError as error:
        return [str(error)]
    told = {alias: faults_of_account(exchange, alias, members) for alias, members in accounts.items()}
    found = [f"the account {alias} {fault}" for alias, fault in told.items() if fault]
    return found or faults_of_whole(exchange, text)


def faults_of_whole(exchange: TokenExchange, text: str) -> list[str]:
    """What the template does not take of accounts that are right."""
    if len(text) > (longest := LONGEST[exchange.provider]):
        return [f"{len(text):,} characters, and the template takes {longest}"]
    if not re.fullmatch(form(exchange), text):
        return [r"the template does not take its form: no \ in a text, nothing before { and after }"]
    return []


@dataclass(frozen=True)
class Verdict:
    """A sentence on a parameter or variable (``account`` is None), or on one of its accounts."""

    name: str
    account: str | None
    ok: bool
    what: str


def verdicts(exchange: TokenExchange, text: str | None) -> Iterator[Verdict]:
    """What there is to say of a parameter; ``text`` is None where the file does not have it."""
    name = parameter_of(exchange.provider)
    if not text:
        keeps = "not in the file: the stack keeps the value that it has"
        yield Verdict(name, None, True, f"{name}: {keeps if text is None else 'empty: no account'}")
        return
    of_accounts = list(of_accounts_in(name, exchange, text))
    yield from of_accounts
    if all(it.ok for it in of_accounts):
        wrong = faults_of_whole(exchange, text)
        told = wrong or [f"{len(text):,} of {LONGEST[exchange.provider]} characters"]
        yield from (Verdict(name, None, not wrong, f"{name}: {it}") for it in told)


def of_accounts_in(name: str, exchange: TokenExchange, text: str) -> Iterator[Verdict]:
    """One for each account in this text; one for the whole if there are none to be found."""
    try:
        accounts = accounts_in(text)
    except NotJsonError as error:
        yield Verdict(name, None, False, f"{name}: {error}")
        return
    for alias, members in accounts.items():
        fault = faults_of_account(exchange, alias, members)
        told = fault or f"has {', '.join(f'{member} {value}' for member, value in members.items())}"
        yield Verdict(name, alias, not fault, f"{name}: the account {alias} {told}")


def read(path: Path) -> dict[str, str]:
    """The parameters in this file, by provider.

    Raises
    ------
    EndedError
        If it is no object of parameters, one of these is no text, or a name is like one of these.
    """
    try:
        found = yaml12.read(path.read_text(encoding="utf-8")).value
    except UnicodeDecodeError:
        raise usage(f"{path}: is not UTF-8") from None
    except yaml12.NotYamlError as error:
        raise usage(f"{path}: {error}") from None
    if not isinstance(found, dict):
        raise usage(f"{path}: is no object of parameters by name: docs/deploying.md, step 2 of an update, writes it")
    names = {parameter_of(provider): provider for provider in PROVIDERS}
    strange = [name for name in found if "federation" in name.lower() and name not in names]
    if strange:
        raise usage(f"{path}: there is no parameter {', '.join(strange)}: there are {', '.join(names)}")
    for name in names:
        if name in found and not isinstance(found[name], str):
            raise usage(f"{path}: {name} must be a text with the JSON in it (jq: tojson)")
    return {provider: found[name] for name, provider in names.items() if name in found}
