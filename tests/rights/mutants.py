"""Copies of the stack's rights, each with one thing changed in one statement: a proof that the simulator sees it."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from tests.rights.resolved import Json, Rights
from tests.rights.simulator import Request
from tests.support.template import listed


@dataclass(frozen=True)
class Mutant:
    """The changed rights, what was changed in which policy, and which requests can notice."""

    what: str
    owner: str  # a role's logical id, or the ARN of the resource whose policy it is
    actions: Sequence[str]  # of the statement as it was
    rights: Rights

    def concerns(self, request: Request) -> bool:
        """Whether the changed statement has a say in the request."""
        if not any(fnmatchcase(request.action, pattern) for pattern in self.actions):
            return False
        own = self.rights.resource.get(self.owner)
        return self.owner == request.who or (own is not None and self.rights.policy_of(request.resource) is own)


def narrower(rights: Rights) -> Iterator[Mutant]:
    """Each Allow without one action, one resource or one value of a condition; left out where it has one only."""
    for owner, number, statement in _statements(rights):
        if statement["Effect"] == "Allow":
            for member in ("Action", "Resource"):
                if member in statement:
                    yield from _shorter(rights, owner, number, statement, (member,))
            for operator, keys in statement.get("Condition", {}).items():
                for key in keys:
                    yield from _shorter(rights, owner, number, statement, ("Condition", operator, key))


def wider(rights: Rights) -> Iterator[Mutant]:
    """Each Deny left out or with one action less; each Allow without one of its conditions, or on all resources."""
    for owner, number, statement in _statements(rights):
        sid = statement.get("Sid", "trust")
        if statement["Effect"] == "Deny":
            yield from _shorter(rights, owner, number, statement, ("Action",))
            continue
        for operator, keys in statement.get("Condition", {}).items():
            for key in keys:
                changed = deepcopy(statement)
                del changed["Condition"][operator][key]
                yield _mutant(rights, owner, number, changed, f"{sid} without {operator} {key}")
        if owner in rights.identity and statement["Resource"] != "*":
            yield _mutant(rights, owner, number, {**statement, "Resource": "*"}, f"{sid} on every resource")


def _statements(rights: Rights) -> Iterator[tuple[str, int, Json]]:
    for policies in (rights.identity, rights.resource):
        for owner, document in policies.items():
            for number, statement in enumerate(document["Statement"]):
                yield owner, number, statement


def _shorter(rights: Rights, owner: str, number: int, statement: Json, path: tuple[str, ...]) -> Iterator[Mutant]:
    """The statement without each of the values at this place in turn."""
    sid, values = statement.get("Sid", "trust"), listed(_at(statement, path))
    for value in values:
        changed: Json | None = None
        if len(values) > 1:
            changed = deepcopy(statement)
            _at(changed, path[:-1])[path[-1]] = [it for it in values if it != value]
        yield _mutant(rights, owner, number, changed, f"{sid} without {' '.join(path)} {value}")


def _at(node: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        node = node[name]
    return node


def _mutant(rights: Rights, owner: str, number: int, changed: Json | None, what: str) -> Mutant:
    kind = "identity" if owner in rights.identity else "resource"
    policies: Mapping[str, Json] = getattr(rights, kind)
    statements = list(policies[owner]["Statement"])
    # A policy must have a statement: one that is left out becomes one that says nothing about this stack.
    statements[number] = changed or _nothing(statements[number])
    document = {**policies[owner], "Statement": statements}
    changed_rights: Any = {kind: {**policies, owner: document}}
    actions = listed(policies[owner]["Statement"][number]["Action"])
    return Mutant(what, owner, actions, replace(rights, **changed_rights))


def _nothing(statement: Json) -> Json:
    kept = {name: value for name, value in statement.items() if name in {"Sid", "Effect", "Principal"}}
    if "Resource" not in statement:  # a trust policy
        return {**kept, "Principal": {"Service": "nobody.amazonaws.com"}, "Action": "sts:AssumeRole"}
    return {**kept, "Action": "sqs:ListQueueTags", "Resource": "arn:aws:sqs:eu-central-1:123456789012:Nobody"}
