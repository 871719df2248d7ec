"""What the functions of a stack say of their credentials: each has a role of its own, and only it can try it.

Each is invoked with ``{"check": "credentials", …}`` (``task_cleanup.doctor``), which changes nothing.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from task_cleanup.credentials import DEFAULT_ACCOUNT
from task_cleanup.errors import Code
from task_cleanup.providers.model import PROVIDERS, Service
from task_cleanup.sweep.services import SERVICES
from task_cleanup.validation import shared_pattern
from task_cleanup_cli import doctor
from task_cleanup_cli.doctor import Finding
from task_cleanup_cli.exits import usage
from task_cleanup_cli.operations import logical_id, schemas
from task_cleanup_cli.stack import RefusedError, Stack
from task_cleanup_cli.tables import claims_in_words

AT_ONCE = 4  # invocations; an account has a thousand, and a new one ten

_END = "FunctionArn"  # of the outputs
_PASSING = frozenset({Code.EXCHANGE_UNAVAILABLE, Code.IDENTITY_TOKEN_UNAVAILABLE, Code.SECRET_STORE_UNAVAILABLE})
_OF_SUBJECT = re.compile(r"\bsub\b")  # in a hint: the trust compares the subject, which is the role's ARN

Json = dict[str, Any]


_Answer = Json | Finding | RefusedError


@dataclass(frozen=True)
class _Check:
    """One invocation. ``region`` is None where no service of the function has it, or none was asked for."""

    name: str
    arn: str
    services: tuple[Service, ...]
    account: str
    region: str | None


def look(accounts: Sequence[str], region: str | None) -> doctor.Look:
    """The look for ``doctor.examined``.

    ``accounts`` are asked for at all providers; where there are none, those of the stack's parameters, and the
    default account at a provider that has none of these.

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
        checks = list(_checks(stack, asked, region))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers = list(zip(checks, pool.map(lambda check: _answer(stack, check), checks), strict=True))
        untrusted: defaultdict[str, dict[str, None]] = defaultdict(dict)
        lines = []
        for check, answer in answers:
            if isinstance(answer, Finding):
                yield answer
            for told in _services(check, answer, asked):
                lines.append(_line(check, told, region))
                if _is_untrusted(told):
                    untrusted[told["provider"]][check.name] = None
        yield from _merged(lines)
        for provider, names in untrusted.items():
            yield _pinning(stack, provider, names)
        yield from _refused(answers)
        yield from _not_known(stack)

    return functions


def _checks(stack: Stack, asked: Mapping[str, Sequence[str]], region: str | None) -> Iterator[_Check]:
    """Every function that calls a provider, with each account of its providers.

    Raises
    ------
    EndedError
        For a region that no service has: nothing would be tried there.
    """
    extra = doctor.extra_regions(stack) if region is not None else {}
    here = [
        service for service in SERVICES.values() if not service.region_violations(region, extra.get(service.id, ()))
    ]
    if region is not None and not here:
        raise usage(f"--region: no service has the region {region!r}")
    called = _called()
    for name, arn in _functions(stack):
        services = called.get(name, ())
        there = region if any(service in here for service in services) else None
        for account in dict.fromkeys(account for service in services for account in asked[service.provider]):
            yield _Check(name, arn, services, account, there)


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
        return refused
    try:
        answer = json.loads(told["Payload"].read())
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        return Finding("unknown", f"{check.name}: its answer cannot be read", "see its log")
    if "FunctionError" in told:
        why = f"{answer.get('errorType', told['FunctionError'])}: {answer.get('errorMessage', 'it says no more')}"
        return Finding("wrong", f"{check.name} fails: {why}", "its log may say more")
    if answer.get("check") != request["check"]:
        return Finding("unknown", f"{check.name} does not know this check", "deploy this version")
    if "error" in answer:
        error = answer["error"]
        return Finding("wrong", f"{check.name}, account {check.account}: {error['code']}: {error['message']}")
    return answer


def _services(check: _Check, answer: _Answer, asked: Mapping[str, Sequence[str]]) -> list[Json]:
    """What is told of the services whose provider is asked for this account: the sweep has them all."""
    told = answer.get("services", []) if isinstance(answer, dict) else []
    known = {(service.provider, service.name) for service in check.services}
    return [
        each
        for each in told
        if (each["provider"], each["service"]) in known and check.account in asked[each["provider"]]
    ]


def _refused(answers: Sequence[tuple[_Check, _Answer]]) -> Iterator[Finding]:
    """One line for each reason why functions cannot be asked."""
    names: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for check, answer in answers:
        if isinstance(answer, RefusedError):
            names[str(answer)][check.name] = None
    for reason, those in names.items():
        to_do = "ask for the right lambda:InvokeFunction, or look with another AWS_PROFILE"
        yield Finding("unknown", f"credentials of {', '.join(those)}: {reason}", to_do)


@dataclass(frozen=True)
class _Line:
    """What a function tells of an account at a service."""

    who: str
    what: str
    to_do: str
    ok: bool


def _line(check: _Check, told: Json, region: str | None) -> _Line:
    service = SERVICES[f"{told['provider']}_{told['service']}"]
    of_service = f" ({PROVIDERS[service.provider]} {service.title})" if len(check.services) > 1 else ""
    failed = next((step for step in told["steps"] if step["state"] == "failed"), None)
    return _Line(
        who=check.name + of_service,
        what=f"account {check.account}: {', '.join(_steps(check, told, service, region))}",
        to_do="" if failed is None else _to_do(failed, service, check.account),
        ok=failed is None,
    )


def _merged(lines: Iterable[_Line]) -> Iterator[Finding]:
    """One finding for each line, but for failures that are all the same: these are one."""
    same: defaultdict[_Line, list[str]] = defaultdict(list)
    for line in lines:
        same[line if line.ok else replace(line, who="")].append(line.who)
    for line, names in same.items():
        yield Finding("ok" if line.ok else "wrong", f"{', '.join(names)}, {line.what}", line.to_do)


def _steps(check: _Check, told: Json, service: Service, region: str | None) -> Iterator[str]:
    """Each step as it went, up to the one that failed."""
    for step in told["steps"]:
        if step["state"] == "ok":
            yield f"{step['step']} ok"
        elif step["state"] == "failed":
            yield f"{step['step']} failed: {step['code']}: {step['message']}"
            return
        else:
            no_region = f"{PROVIDERS[service.provider]} {service.title} has no region {region}"
            is_elsewhere = region is not None and check.region is None
            yield f"{step['step']} skipped ({no_region if is_elsewhere else step['message']})"


def _to_do(failed: Json, service: Service, account: str) -> str:
    detail = failed.get("detail") or {}
    found = [str(hint) for hint in (detail.get("hint"), failed.get("hint")) if hint]
    if "claims" in detail:
        found.append(claims_in_words(detail["claims"]))
    provider = detail.get("provider") or {}
    if provider.get("code") == "IAM.0001":
        found.append("`task-cleanup keyless otc-keys` uploads the signing keys")
    if provider.get("request_id"):
        found.append(f"the provider's request id: {provider['request_id']}")
    if failed["code"] in _PASSING:
        found.append("this can pass by itself: look again in some minutes")
    if failed["code"] == Code.SECRET_NOT_FOUND:
        parameter = doctor.parameter_of(service.provider)
        found.append(f"if you use {account} there, store its secret, or name it in {parameter}")
    return "\n".join(found)


def _is_untrusted(told: Json) -> bool:
    """Whether the exchange was refused in a way in which a subject that is not pinned is."""
    hints = [
        (step.get("detail") or {}).get("hint") for step in told["steps"] if step.get("code") == Code.EXCHANGE_REFUSED
    ]
    return any(hint is None or _OF_SUBJECT.search(hint) for hint in hints)


def _pinning(stack: Stack, provider: str, names: Iterable[str]) -> Finding:
    output = f"{provider.title()}RoleArns"
    arns = stack.outputs.get(output, "the stack has no such output: deploy this version").replace(",", ", ")
    return Finding(
        "wrong",
        f"{PROVIDERS[provider]} refuses the tokens of {', '.join(names)}",
        f"if it is for the subject (sub): a new or replaced role must be pinned again. {output}: {arns}",
    )
