"""What an exchange of an identity token for temporary keys is made of: requests, replies and hints, all plain data.

A provider's module (``alibaba_sts``, ``huawei_sts``, ``otc_iam``) fills this in; ``federation`` sends it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from task_cleanup.errors import Category
from task_cleanup.providers.model import (
    PRINTABLE,
    Credentials,
    ProviderError,
    Reply,
    SignedRequest,
    category_of_unknown,
)
from task_cleanup.startup import wired
from task_cleanup.times import parse_time

KEY_LIFETIME = timedelta(seconds=900)  # the least that all three providers allow; asked for by name

Account = Mapping[str, str]  # the members of one account in ALIBABA_FEDERATION and its siblings

SUBJECT_HINT = (
    "Compare the token's claims. The subject (sub) of a function is the ARN of its role, and a new or replaced role "
    "has another one: pin each ARN of the stack's output"
)


@dataclass(frozen=True)
class TemporaryKeys:
    """What an exchange ends with."""

    credentials: Credentials
    expires_at: datetime


@wired
class Member:
    """One member of an account's configuration. ``example`` is for messages and documents."""

    pattern: re.Pattern[str]
    example: str
    required: bool = True


@dataclass(frozen=True)
class StepInput:
    """What a request is made of: ``bearer`` is the identity token, or what the step before this one has read.

    ``session`` is the name under which the provider's audit log shows the calls.
    """

    base: str
    account: Account
    bearer: str = field(repr=False)
    session: str
    now: datetime


@wired
class ExchangeStep:
    """One request of an exchange, and what its reply holds: the next bearer, or the keys; None if neither."""

    request: Callable[[StepInput], SignedRequest]
    read: Callable[[Reply, Account], str | TemporaryKeys | None]


@wired
class TokenExchange:
    """How a provider gives temporary keys for an identity token.

    ``audience`` is the token's: one for each provider, so that none can show the token to another. ``members`` are
    those of an account's configuration, and ``host`` makes the host name of them. ``steps`` are the requests for an
    account. ``temporary`` are the codes of refusals that pass by themselves. ``hints`` say, by the beginning of a
    code, what an operator has to look at.
    """

    provider: str
    name: str
    title: str
    audience: str
    members: Mapping[str, Member]
    host: Callable[[Account], str]
    steps: Callable[[Account], Sequence[ExchangeStep]]
    read_error: Callable[[Reply], ProviderError | None]
    request_id: Callable[[Reply], str | None]
    temporary: frozenset[str]
    hints: Mapping[str, str]

    @property
    def id(self) -> str:
        """``alibaba_sts``: names the variable with another address, and the emulator."""
        return f"{self.provider}_{self.name}"

    @property
    def variable(self) -> str:
        """The environment variable with the accounts, by alias."""
        return f"{self.provider.upper()}_FEDERATION"

    def violation(self, account: Account) -> str | None:
        """What is wrong with an account's configuration, without any of its values."""
        unknown = sorted(account.keys() - self.members.keys())
        if unknown:
            return f"has members that are not known; there are {', '.join(self.members)}"
        for name, member in self.members.items():
            if name not in account and member.required:
                return f"has no {name}"
            if name in account and not member.pattern.fullmatch(account[name]):
                return f"has a malformed {name}; one is {member.example}"
        return None

    def category(self, code: str, status: int) -> Category | None:
        """Why a later try can help: ``throttled`` or ``unavailable``; None for a refusal, which stays."""
        if code in self.temporary:
            return Category.UNAVAILABLE
        category = category_of_unknown(code, status)
        return category if category in (Category.THROTTLED, Category.UNAVAILABLE) else None

    def hint(self, code: str) -> str | None:
        """What to look at, for a refusal with this code."""
        return next((text for beginning, text in self.hints.items() if code.startswith(beginning)), None)


def read_keys(
    source: object, names: tuple[str, str, str, str], project_id: str | None = None
) -> TemporaryKeys | None:
    """The keys in an object of a reply: ``names`` of key id, secret, security token and end; None if one is missing.

    Keys without a security token would be an account's own, which no exchange may answer with.
    """
    members: Mapping[str, Any] = source if isinstance(source, dict) else {}
    texts = [value for name in names if isinstance(value := members.get(name), str) and PRINTABLE.fullmatch(value)]
    if len(texts) < len(names):
        return None
    key_id, secret, token, end = texts
    expires_at = read_time(end)
    if expires_at is None:
        return None
    return TemporaryKeys(Credentials(key_id, secret, token, project_id), expires_at)


def read_time(value: object) -> datetime | None:
    """The time of an RFC 3339 text, with or without a fraction of a second; None for anything else."""
    try:
        return parse_time(value) if isinstance(value, str) else None
    except ValueError:
        return None
