"""What the functions of a stack say of their credentials: each has a role of its own, and only it can try it.

Each is invoked with ``{"check": "credentials", …}`` (``task_cleanup.doctor``), which changes nothing.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal

from task_cleanup.credentials import DEFAULT_ACCOUNT
from task_cleanup.errors import Code
from task_cleanup.providers.model import PROVIDERS, Service
from task_cleanup.sweep.services import SERVICES
from task_cleanup.validation import shared_pattern
from task_cleanup_cli import doctor
from task_cleanup_cli.doctor import Finding
from task_cleanup_cli.exits import usage
from task_cleanup_cli.federation_parameters import parameter_of
from task_cleanup_cli.operations import logical_id, schemas
from task_cleanup_cli.stack import RefusedError, Stack
from task_cleanup_cli.tables import claims_in_words

AT_ONCE = 4  # invocations; an account has a thousand, and a new one ten

_END = "FunctionArn"  # of the outputs
_PASSING = frozenset({Code.EXCHANGE_UNAVAILABLE, Code.IDENTITY_TOKEN_UNAVAILABLE, Code.SECRET_STORE_UNAVAILABLE})
_OF_KEYS = "IAM.0001"  # of OTC's IAM: says so of wrong signing keys, and of everything else in a token
_OF_SUBJECT = re.compile(r"\bsub\b")  # in a hint: the trust compares the subject, which is the role's ARN

Json = dict[str, Any]


@dataclass(frozen=True)
class _Silent:
    """Why a function has not said what was asked, and what to do."""

    state: Literal["wrong", "unknown"]
    reason: str
    to_do: str = ""


_Answer = Json | _Silent


@dataclass(frozen=True)
class _Check:
    """One invocation, and the services of which its answer is told.

    ``region`` is None for services that have none of those that were asked for. ``sole``: the function calls one
    service only.
    """

    name: str
    arn: str
    services: tuple[Service, ...]
    account: str
    region: str | None
    sole: bool


@dataclass(frozen=True)
class _Told:
    """What a function tells of an account at a service."""

    check: _Check
    service: Service
    steps: Sequence[Json]

    @property
    def pool(self) -> tuple[str, str]:
        """Whose keys they are: what is set up at the provider is the same for all functions but for their roles."""
        return self.service.provider, self.check.account

    @property
    def failed(self) -> Json | None:
        """The step that failed."""
        return next((step for step in self.steps if step["state"] == "failed"), None)

    @property
    def call(self) -> str:
        """How the call went: ``ok``, ``failed``, or ``skipped``."""
        return next((str(step["state"]) for step in self.steps if step["step"] == "call"), "skipped")

    @property
    def state(self) -> Literal["ok", "skipped", "wrong"]:
        """That of its line. It is no ``ok`` where nothing was called: the provider may take no such keys."""
        return "wrong" if self.failed else "ok" if self.call == "ok" else "skipped"

    @property
    def is_exchanged(self) -> bool:
        """Whether the provider gave keys for a token."""
        return any(step["step"] == "exchange" and step["state"] == "ok" for step in self.steps)

    @property
    def refusal(self) -> Json | None:
        """The detail of an exchange that was refused in a way in which a subject that is not pinned is."""
        step = self.failed
        if step is None or step["code"] != Code.EXCHANGE_REFUSED:
            return None
        detail: Json = step.get("detail") or {}
        return detail if "hint" not in detail or _OF_SUBJECT.search(detail["hint"]) else None


def look(accounts: Sequence[str], regions: Sequence[str]) -> doctor.Look:
    """The look for ``doctor.examined``.

    ``accounts`` are asked for at all providers; where there are none, those of the stack's parameters, and the
    default account at a provider that has none of these. ``regions`` are those of the providers: each function is
    asked in those that a service of it has.

    Raises
    ------
    EndedError
        For a malformed account.
    """
    for account in accounts:
        if not shared_pattern("account").fullmatch(account):
            raise usage(f"--account: {account!r} is no alias: 1 to 63 lower-case letters, digits and hyphens")

    def functions(stack: Stack) -> Iterator[Finding]:
        known = doctor.federated(stack)
        asked = {provider: tuple(accounts or known[provider] or (DEFAULT_ACCOUNT,)) for provider in known}
        checks = list(_checks(stack, asked, tuple(dict.fromkeys(regions))))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers = list(zip(checks, pool.map(lambda check: _answer(stack, check), checks), strict=True))
        told = [each for check, answer in answers for each in _told(check, answer)]
        good = {each.pool for each in told if each.is_exchanged}
        yield from _silent(answers)
        yield from _merged(_line(each, regions, good) for each in told)
        yield from _pinning(told, good)
        yield from _not_known(stack)
        unheard = sum(len(check.services) for check, answer in answers if isinstance(answer, _Silent))
        yield _counted(told, unheard)

    return functions


def _checks(stack: Stack, asked: Mapping[str, Sequence[str]], regions: Sequence[str]) -> Iterator[_Check]:
    """Every function that calls a provider, with each account of its providers, in each region that it has.

    Raises
    ------
    EndedError
        For a region that no service has: nothing would be tried there.
    """
    extra = doctor.extra_regions(stack) if regions else {}
    having = {
        region: [it for it in SERVICES.values() if not it.region_violations(region, extra.get(it.id, ()))]
        for region in regions
    }
    if unknown := [region for region, services in having.items() if not services]:
        names = ", ".join(map(repr, unknown))
        raise usage(f"--region: no service has the region {names}: name regions of the providers, not of AWS")
    called = _called()
    for name, arn in _functions(stack):
        services = called.get(name, ())
        nowhere = [it for it in services if not any(it in having[region] for region in regions)]
        for region in (*regions, None):
            there = nowhere if region is None else [it for it in services if it in having[region]]
            for account in dict.fromkeys(account for service in there for account in asked[service.provider]):
                yours = tuple(it for it in there if account in asked[it.provider])
                yield _Check(name, arn, yours, account, region, sole=len(services) == 1)


def _called() -> dict[str, tuple[Service, ...]]:
    """The services that each function calls."""
    services = {logical_id(name): (SERVICES["_".join(name.split(".")[:2])],) for name in schemas()}
    return {**services, "Sweep": tuple(SERVICES.values()), "SweepResults": ()}


def _functions(stack: Stack) -> list[tuple[str, str]]:
    """The functions of the stack's outputs: name and ARN."""
    return [(name.removesuffix(_END), arn) for name, arn in stack.outputs.items() if name.endswith(_END)]


def _not_known(stack: Stack) -> Iterator[Finding]:
    for name, _ in _functions(stack):
        if name not in _called():
            yield Finding("unknown", f"{name} is not asked: this command line does not know it", "update it")


def _answer(stack: Stack, check: _Check) -> _Answer:
    """What the function answers, or why it does not."""
    request = {"check": "credentials", "account": check.account}
    if check.region is not None:
        request["region"] = check.region
    try:
        told = stack.call("lambda", "invoke", FunctionName=check.arn, Payload=json.dumps(request).encode())
    except RefusedError as refused:
        to_do = "ask for the right lambda:InvokeFunction, or look with another AWS_PROFILE"
        return _Silent("unknown", str(refused), to_do)
    try:
        answer = json.loads(told["Payload"].read())
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        return _Silent("unknown", "the answer cannot be read", "see the function's log")
    if "FunctionError" in told:
        why = f"{answer.get('errorType', told['FunctionError'])}: {answer.get('errorMessage', 'it says no more')}"
        return _Silent("wrong", f"no answer but {why}", "the function's log may say more")
    if answer.get("check") != request["check"]:
        return _Silent("unknown", "this check is not known there", "deploy this version")
    if "error" in answer:
        error = answer["error"]
        return _Silent("wrong", f"account {check.account}: {error['code']}: {error['message']}")
    return answer


def _told(check: _Check, answer: _Answer) -> Iterator[_Told]:
    """What is told of the check's services: the sweep tells of all that it calls."""
    for each in answer.get("services", []) if isinstance(answer, dict) else []:
        service = SERVICES.get(f"{each['provider']}_{each['service']}")
        if service in check.services:
            yield _Told(check, service, each["steps"])


def _silent(answers: Sequence[tuple[_Check, _Answer]]) -> Iterator[Finding]:
    """One line for each reason why functions do not say what they are asked."""
    names: defaultdict[_Silent, dict[str, None]] = defaultdict(dict)
    for check, answer in answers:
        if isinstance(answer, _Silent):
            names[answer][check.name] = None
    for why, those in names.items():
        yield Finding(why.state, f"{', '.join(those)}: {why.reason}", why.to_do)


@dataclass(frozen=True)
class _Line:
    """What is said of what a function tells."""

    state: Literal["ok", "skipped", "wrong"]
    who: str
    what: str
    to_do: str


def _line(told: _Told, regions: Sequence[str], good: Container[tuple[str, str]]) -> _Line:
    service, failed = told.service, told.failed
    of_service = "" if told.check.sole else f" ({PROVIDERS[service.provider]} {service.title})"
    return _Line(
        state=told.state,
        who=told.check.name + of_service,
        what=f"account {told.check.account}: {', '.join(_steps(told, regions))}",
        to_do="" if failed is None else _to_do(told, failed, are_keys_good=told.pool in good),
    )


def _merged(lines: Iterable[_Line]) -> Iterator[Finding]:
    """One finding for each line, but for failures that are all the same: these are one."""
    same: defaultdict[_Line, list[str]] = defaultdict(list)
    for line in lines:
        same[replace(line, who="") if line.state == "wrong" else line].append(line.who)
    for line, names in same.items():
        yield Finding(line.state, f"{', '.join(names)}, {line.what}", line.to_do)


def _steps(told: _Told, regions: Sequence[str]) -> Iterator[str]:
    """Each step as it went, up to the one that failed."""
    for step in told.steps:
        if step["state"] == "ok":
            yield f"{step['step']} ok"
        elif step["state"] == "failed":
            yield f"{step['step']} failed: {step['code']}: {step['message']}"
            return
        else:
            where = " or ".join(regions)
            no_region = f"{PROVIDERS[told.service.provider]} {told.service.title} has no region {where}"
            is_elsewhere = regions and told.check.region is None
            yield f"{step['step']} skipped ({no_region if is_elsewhere else step['message']})"


def _to_do(told: _Told, failed: Json, *, are_keys_good: bool) -> str:
    """``are_keys_good``: other functions get keys for this account, so it is not the issuer's keys there."""
    detail = failed.get("detail") or {}
    provider = detail.get("provider") or {}
    found = [str(hint) for hint in (detail.get("hint"), failed.get("hint")) if hint]
    if provider.get("code") == _OF_KEYS:
        if are_keys_good:
            found = ["other functions get keys for this account: the mapping lacks this role's ARN (sub)"]
        else:
            found.append("`task-cleanup keyless otc-keys` uploads the signing keys")
    if "claims" in detail:
        found.append(claims_in_words(detail["claims"]))
    if provider.get("request_id"):
        found.append(f"the provider's request id: {provider['request_id']}")
    if failed["code"] in _PASSING:
        found.append("this can pass by itself: look again in some minutes")
    if failed["code"] == Code.SECRET_NOT_FOUND:
        parameter = parameter_of(told.service.provider)
        found.append(f"if you use {told.check.account} there, store its secret, or name it in {parameter}")
    return "\n".join(found)


def _pinning(told: Sequence[_Told], good: Container[tuple[str, str]]) -> Iterator[Finding]:
    """By provider: whose tokens are refused, and which roles these are."""
    for provider, title in PROVIDERS.items():
        of_provider = [each for each in told if each.service.provider == provider]
        refused = [(each, detail) for each in of_provider if (detail := each.refusal) is not None]
        if not refused:
            continue
        names = dict.fromkeys(each.check.name for each, _ in refused)
        arns = dict.fromkeys(str(detail.get("claims", {}).get("sub", "?")) for _, detail in refused)
        codes = [(detail.get("provider") or {}).get("code") for each, detail in refused if each.pool not in good]
        first = "upload the keys first; then, " if _OF_KEYS in codes else ""
        yield Finding(
            "wrong",
            f"{title} refuses the tokens of {', '.join(names)}",
            f"{first}if it is for the subject (sub), pin these roles, unless you left them out on purpose "
            f"(reports only): {', '.join(arns)}",
        )


def _counted(told: Sequence[_Told], unheard: int) -> Finding:
    """How many calls were made: without one, nobody knows whether the service takes the keys."""
    calls = Counter(each.call for each in told)
    untried = calls["skipped"] + unheard
    tried = {each.service.provider for each in told if each.call != "skipped"}
    # Where there are no credentials, a region would change nothing.
    wanting = {each.service.provider for each in told if each.state == "skipped" and each.check.region is None}
    missing = [title for provider, title in PROVIDERS.items() if provider in wanting - tried]
    what = f"calls: {calls['ok']} answered, {calls['failed']} failed, {untried} not tried"
    if missing:
        what += f": name a region of {', '.join(missing)}"
    return Finding("wrong" if calls["failed"] else "skipped" if untried else "ok", what)
