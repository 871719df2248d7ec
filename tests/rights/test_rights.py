"""Every right that is needed is there, none that is not; what must not be is denied. By an independent simulator."""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.rights import mutants, tables
from tests.rights.recorded import SWEEP, SWEEP_RESULTS, Call, needed, record
from tests.rights.resolved import OPTIONS, Rights, rights
from tests.rights.simulator import ALLOWED, CannotJudgeError, Case, Request, distinct, judge
from tests.support.federation import FEDERATIONS, parameter_of

PLAIN, WITH_OPTIONS = "as it comes", "with a key, federations and a VPC"
LOCK = Path(__file__).with_name("package-lock.json")
_RECORDED: list[Call] = []
_JUDGED: dict[tuple[str, str], str] = {}


@cache
def stack(variant: str) -> Rights:
    return rights(OPTIONS if variant == WITH_OPTIONS else {})


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[Call]:
    """What the functions did; recorded once, in the surroundings that every test has."""
    if not _RECORDED:
        _RECORDED.extend(record(stack(PLAIN), monkeypatch, capsys))
        capsys.readouterr()  # what the functions logged: it is other tests that look at it
    return _RECORDED


def seen(calls: Sequence[Call], variant: str) -> list[Request]:
    key = variant == WITH_OPTIONS
    return distinct(request for call in calls for request in needed(call, stack(variant), key=key))


def of_services(variant: str) -> list[Request]:
    own = stack(variant)
    found = list(tables.of_services(own))
    if variant == WITH_OPTIONS:
        found += list(tables.with_options(own, found))
    assert all(page for page, _ in found)
    return distinct(request for _, request in found)


def forbidden(variant: str) -> list[tables.Forbidden]:
    """Without a key or a federation there is no neighbour that is allowed."""
    options = () if variant == WITH_OPTIONS else ("kms:", "sts:GetWebIdentityToken")
    return [it for it in tables.forbidden(stack(variant)) if not it.neighbour.action.startswith(options)]


def judged(variant: str, requests: Sequence[Request]) -> list[str]:
    """The verdicts; each request is judged once."""
    unknown = [request for request in distinct(requests) if (variant, request.key) not in _JUDGED]
    verdicts = judge([Case(stack(variant), request) for request in unknown])
    _JUDGED.update({(variant, it.key): verdict for it, verdict in zip(unknown, verdicts, strict=True)})
    return [_JUDGED[variant, request.key] for request in requests]


def not_as_wanted(requests: Sequence[Request], verdicts: Sequence[str], *, allowed: bool) -> list[str]:
    return [
        f"{verdict}: {request}"
        for request, verdict in zip(requests, verdicts, strict=True)
        if (verdict == ALLOWED) is not allowed
    ]


every_variant = pytest.mark.parametrize("variant", [PLAIN, WITH_OPTIONS])


# -- what is needed, and what must not be ------------------------------------------------


@every_variant
def test_every_call_that_was_seen_is_allowed(calls: list[Call], variant: str) -> None:
    requests = seen(calls, variant)

    assert not_as_wanted(requests, judged(variant, requests), allowed=True) == []


@every_variant
def test_what_services_do_with_the_roles_is_allowed(variant: str) -> None:
    requests = of_services(variant)

    assert not_as_wanted(requests, judged(variant, requests), allowed=True) == []


@every_variant
def test_what_must_not_be_is_denied_and_its_neighbour_is_not(variant: str) -> None:
    """The neighbour differs in one thing: a typing error in this table would not pass for a denial."""
    rows = forbidden(variant)
    denied, allowed = [row.request for row in rows], [row.neighbour for row in rows]

    verdicts = judged(variant, denied + allowed)

    assert not_as_wanted(denied, verdicts[: len(denied)], allowed=False) == []
    assert not_as_wanted(allowed, verdicts[len(denied) :], allowed=True) == []


def test_the_runs_did_what_is_to_be_judged(calls: list[Call]) -> None:
    """Every kind of call that a function can make was really made."""
    made: dict[str, set[str]] = defaultdict(set)
    for call in calls:
        for request in needed(call, stack(PLAIN)):
            kinds = request.context.get("events:detail-type", ("",))
            made[call.folder] |= {f"{request.action} {kind}".strip() for kind in kinds}
    sweep = made.pop(SWEEP)
    assert sweep == {
        "secretsmanager:GetSecretValue",
        *(f"events:PutEvents Sweep {kind}" for kind in ("Requested", "Completed", "Refused", "Failed")),
        "events:PutEvents Task Cleanup Requested",
        "sqs:SendMessage",
        "s3:GetObject",
        "s3:PutObject",
        "s3:ListBucket",
    }
    assert made.pop(SWEEP_RESULTS) == {
        "events:PutEvents Sweep Finished",
        "s3:GetObject",
        "s3:PutObject",
        "s3:ListBucket",
    }
    assert made.keys() | {SWEEP, SWEEP_RESULTS} == {function.folder for function in stack(PLAIN).functions}
    for folder, actions in made.items():
        moved = {"sqs:SendMessage"} if folder in stack(PLAIN).queue_of else set()  # lists have no queue
        assert actions == {
            "secretsmanager:GetSecretValue",
            "events:PutEvents Task Cleanup Completed",
            "events:PutEvents Task Cleanup Failed",
            *moved,
        }, folder


def test_how_many_of_each_there_are(
    calls: list[Call], capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    """A table for people: `python -m tests.rights` prints it."""
    variant = WITH_OPTIONS
    own = stack(variant)
    parts: dict[str, tuple[int | str, list[Request]]] = {}
    for function in sorted(own.functions, key=lambda it: it.folder):
        made = [call for call in calls if call.folder == function.folder]
        parts[function.folder] = (len(made), seen(made, variant))
    assert sum(int(number) for number, _ in parts.values()) == len(calls)
    parts["AWS services with the stack's roles"] = ("", of_services(variant))
    parts["what must not be"] = ("", distinct(row.request for row in forbidden(variant)))
    judged(variant, [request for _, requests in parts.values() for request in requests])  # all at once
    lines = [f"{'':40}{'calls seen':>12}{'different':>12}{'allowed':>12}{'denied':>12}"]
    for name, (number, requests) in parts.items():
        found = Counter(verdict == ALLOWED for verdict in judged(variant, requests))
        lines.append(f"{name:40}{number:>12}{len(requests):>12}{found[True]:>12}{found[False]:>12}")
        assert found[name == "what must not be"] == 0
    if request.config.getoption("capture") == "no":
        with capsys.disabled():
            print("", *lines, sep="\n")


def test_token_is_denied_where_its_provider_has_no_federation() -> None:
    """Without any, and with that of one provider alone: of the sweep, too, whose role has a statement for each."""
    cases, wanted = [], []
    for given in ([], *([provider] for provider in tables.PROVIDERS)):
        own = rights({parameter_of(provider): json.dumps(FEDERATIONS[provider]) for provider in given})
        for function in own.functions:
            for provider in tables.PROVIDERS:
                cases.append(Case(own, tables.token(function.role, provider)))
                wanted.append(provider in given and provider in tables.providers_of(function.folder))

    verdicts = judge(cases)

    assert [verdict == ALLOWED for verdict in verdicts] == wanted
    assert len(tables.PROVIDERS) < sum(wanted) < len(wanted)


# -- the simulator sees it ------------------------------------------------


def test_a_condition_on_the_prefix_would_fail_every_look_at_what_is_not_there(calls: list[Call]) -> None:
    own, sid = stack(PLAIN), "TellMissingFromForbidden"
    statements = [
        {**it, "Condition": {"StringLike": {"s3:prefix": "reports/*"}}} if it["Sid"] == sid else it
        for it in own.identity["SweepRole"]["Statement"]
    ]
    identity = {**own.identity, "SweepRole": {**own.identity["SweepRole"], "Statement": statements}}

    looks = [it for it in seen(calls, PLAIN) if it.action == "s3:ListBucket" and it.who == "SweepRole"]

    assert looks
    assert judge([Case(replace(own, identity=identity), look) for look in looks]) == ["ImplicitlyDenied"] * len(looks)


@pytest.mark.parametrize(
    "changes",
    [
        {"action": "s3:NoSuchAction"},
        {"context": {"s3:prefix": "reports/"}},
        {"resource": "arn:aws:sqs:eu-central-1:123456789012:queue"},
    ],
)
def test_what_makes_no_sense_is_not_taken_for_a_denial(changes: dict[str, Any]) -> None:
    request = Request("SweepRole", "s3:GetObject", tables.REPORT).but(**changes)

    with pytest.raises(CannotJudgeError):
        judge([Case(stack(PLAIN), request)])


def test_every_right_is_needed(calls: list[Call]) -> None:
    """Without any one action, resource or value of a condition, something that is needed is denied."""
    requests = distinct([*seen(calls, WITH_OPTIONS), *of_services(WITH_OPTIONS)])

    assert unnoticed(list(mutants.narrower(stack(WITH_OPTIONS))), requests, noticed_by=False) == []


def test_every_limit_is_needed() -> None:
    """Without any one condition, denial or resource, something that must not be is allowed."""
    requests = distinct(row.request for row in forbidden(WITH_OPTIONS))

    assert unnoticed(list(mutants.wider(stack(WITH_OPTIONS))), requests, noticed_by=True) == []


def unnoticed(changed: Sequence[mutants.Mutant], requests: Sequence[Request], *, noticed_by: bool) -> list[str]:
    """The mutants that no request notices by being allowed (or, with False, by being denied)."""
    cases = [(mutant, request) for mutant in changed for request in requests if mutant.concerns(request)]
    verdicts = judge([Case(mutant.rights, request) for mutant, request in cases])
    noticed = {id(mutant) for (mutant, _), it in zip(cases, verdicts, strict=True) if (it == ALLOWED) is noticed_by}
    assert len(changed) > 100
    return [f"{mutant.owner}: {mutant.what}" for mutant in changed if id(mutant) not in noticed]


# -- the tool itself ------------------------------------------------


def test_the_simulator_is_pinned_by_hash_and_by_no_address() -> None:
    packages = {name: it for name, it in json.loads(LOCK.read_text())["packages"].items() if name}

    assert "node_modules/@cloud-copilot/iam-simulate" in packages
    for package in packages.values():
        assert package["integrity"].startswith("sha512-")
    assert "://" not in LOCK.read_text()
