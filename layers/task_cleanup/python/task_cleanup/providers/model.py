"""What every provider service is made of: calls, replies, endpoints and an error table, all plain data."""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from task_cleanup.errors import Category
from task_cleanup.signing import canonical_query, percent_encode
from task_cleanup.startup import wired
from task_cleanup.tasks import BUSY, Page, Status, StatusTable, Task
from task_cleanup.validation import Violation, not_one_of, violation_error

if TYPE_CHECKING:
    from task_cleanup.providers.token_exchange import TokenExchange

Request = Mapping[str, Any]  # validated, with its defaults

# The names of the clouds, for people.
PROVIDERS: Mapping[str, str] = {
    "alibaba": "Alibaba Cloud",
    "huawei": "Huawei Cloud",
    "otc": "Open Telekom Cloud",
}


# What the parts of credentials are made of: no blanks and no controls, since the values go into HTTP headers.
PRINTABLE = re.compile(r"[!-~]+")
PROJECT_ID = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True)
class Credentials:
    """One account's key. ``project_id`` is Huawei's and OTC's, and optional even there.

    ``auth_token`` is a token of OTC's IAM that is sent instead of a signature; there is no key then.
    """

    access_key_id: str
    secret_access_key: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)
    project_id: str | None = None
    auth_token: str | None = field(default=None, repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log and no result may have in it. The key's id is not secret, and is not shown either."""
        parts = (self.access_key_id, self.secret_access_key, self.security_token, self.auth_token)
        return tuple(part for part in parts if part)


@dataclass(frozen=True)
class Call:
    """An unsigned provider request: path segments and query are decoded here and encoded once.

    Raises
    ------
    ValueError
        For a segment that would change the path's shape (HTTP libraries remove dot segments).
    """

    method: str
    segments: tuple[str, ...]
    query: tuple[tuple[str, str], ...] = ()
    action: str = ""  # Alibaba's operation selector
    project_id: str = ""  # Huawei's and OTC's

    def __post_init__(self) -> None:
        if any(segment in ("", ".", "..") for segment in self.segments):
            raise ValueError("a path segment is empty or a dot segment")

    @cached_property
    def path(self) -> str:
        """The percent-encoded path, as signed and as sent."""
        return "/" + "/".join(percent_encode(segment) for segment in self.segments)

    def url(self, base: str) -> str:
        """The URL that is signed and sent."""
        query = canonical_query(self.query)
        return f"{base}{self.path}?{query}" if query else base + self.path


@dataclass(frozen=True)
class SignedRequest:
    """A request as it is sent. The headers hold signature and security token: they belong in no log and no result."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)


_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


@dataclass(frozen=True)
class Reply:
    """A whole reply. Header names are lower case. An exchange's has keys and tokens in it: it belongs in no log."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def json_object(self) -> dict[str, Any] | None:
        """The body, if it is a JSON object."""
        return self._json_object

    @cached_property
    def _json_object(self) -> dict[str, Any] | None:
        """Parsed once: the readers of error, request id and success all ask for it."""
        if not self.body:
            return None
        try:
            text = self.body.decode().removeprefix("\ufeff")
            value = json.loads(text)
            if _SURROGATE.search(text):
                # JSON can name half a pair, and UTF-8 has no bytes for it: a result with one could not be sent.
                value = json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None


@dataclass(frozen=True)
class ProviderError:
    """What the provider says of a failure: its code, its text, and fields that the official SDKs drop."""

    code: str
    message: str
    extra: Mapping[str, str] = field(default_factory=dict)


@wired
class ErrorTable:
    """What a service's codes mean, as data. ``by_status`` is for the few whose meaning depends on the HTTP status.

    A code is known only if all of it is in the table. ``OMS.0063x`` is unknown, although ``OMS.0063`` is there.
    """

    codes: Mapping[str, Category]
    by_status: Mapping[tuple[str, int], Category] = field(default_factory=dict)

    def category(self, code: str, status: int) -> Category | None:
        """The category of a provider's code, None for one that is not in the table."""
        return self.by_status.get((code, status)) or self.codes.get(code)


class NextCall(Protocol):
    """The call for the part of a list that begins after so many records."""

    def __call__(self, request: Request, received: int) -> Call: ...


@wired
class ListCall:
    """How a service lists its tasks.

    ``operation`` is the list operation's name. ``read`` returns the page of a reply without an error code, or None if
    the reply is not what is promised. Where ``is_paged`` is false, one reply has the whole list. ``past_end`` are the
    provider's codes that say that the list ends before the page that was asked for. ``by_number``: its pages have
    numbers, so that one cannot begin with the last record of the page before it.
    """

    operation: str
    call: NextCall
    read: Callable[[Reply], Page | None]
    is_paged: bool = True
    by_number: bool = False
    past_end: frozenset[str] = frozenset()


@wired
class Look:
    """How a service shows one task as it is now, and what in the answer proves that the task is gone.

    ``show`` makes the call that shows the task, and ``read`` returns the tasks of its reply, or None if the reply is
    not what is promised. Without ``show`` the service's list is read, and a whole list without the task is the proof.
    ``gone_codes`` are the codes with which ``show`` says that there is no such task. A task with one of the
    ``gone_statuses`` (the provider's words) is a record of what has been deleted.

    ``identity`` are the fields by which a task is told to be the one that was seen: none that moves by itself.
    ``stoppable`` are the provider's statuses that a stop ends, and ``after_stop`` those to which it leads.
    ``doubtful_codes`` are answers to a change, known but with two senses: one is that there is no such task.
    ``always`` is for a service whose changes cost money or cannot be undone: every change is looked at first, also
    where nothing is expected, and none is sent again in the same call after an attempt without a definite answer.
    """

    identity: tuple[str, ...]
    show: Callable[[Request], Call] | None = None
    read: Callable[[Reply], Sequence[Task] | None] = lambda _: None
    gone_codes: frozenset[str] = frozenset()
    gone_statuses: frozenset[str] = frozenset()
    stoppable: frozenset[str] = frozenset()
    after_stop: frozenset[str] = frozenset()
    doubtful_codes: frozenset[str] = frozenset()
    always: bool = False


@wired
class DeleteRequest:
    """What a sweep asks for: the delete ``operation``, and which of the optional fields its request has.

    ``id_rule`` names the rule of ``common.schema.json`` that its ``task_id`` has: another id could not be asked for.
    """

    operation: str
    id_rule: str
    can_stop: bool = False  # `stop_running`
    takes_token: bool = False  # `client_token`


@wired
class TargetRules:
    """What a target of a sweep names beside region, account and limit.

    ``title`` says for people what is listed there. ``fields`` are the names of fields and of their rules in
    ``common.schema.json``. A target must have the ``required`` ones of them.
    """

    title: str
    fields: Mapping[str, str]
    required: Collection[str] = ()


class Probe(NamedTuple):
    """A read that needs no task: the ``operation``, its call, and the right that it needs at the provider."""

    operation: str
    call: Callable[[Request], Call]
    right: str


class Signer(Protocol):
    """Signs one call for one base URL: the headers to send."""

    def __call__(
        self, call: Call, host: str, credentials: Credentials, *, now: datetime, nonce: str
    ) -> dict[str, str]: ...


@wired
class Service:
    """One provider service: how it is called, what its replies mean, and how its tasks are listed and deleted.

    ``title`` is its name for people; ``regions`` is its own list of them; ``host`` makes a host name of any region.
    ``has_money``: a delete releases something that is paid for, so that only our own table says what is deleted.
    Where its tasks belong to instances, ``instances`` are the lists that have all of them between them: their records
    are ``instance_record``. ``exchange_id`` (``huawei_sts``) names the variable with the exchange's address, the
    emulator, and the module beside this one. ``probe`` shows whether the credentials are accepted.
    """

    provider: str
    name: str
    title: str
    regions: Collection[str]
    host: Callable[[str], str]
    sign: Signer
    read_error: Callable[[Reply], ProviderError | None]
    request_id: Callable[[Reply], str | None]
    errors: ErrorTable
    statuses: StatusTable
    listing: ListCall
    delete: DeleteRequest
    target: TargetRules
    look: Look
    exchange_id: str
    probe: Probe
    has_money: bool = False
    instances: tuple[ListCall, ...] = ()

    @property
    def needs_project(self) -> bool:
        """Whether its calls are about a project, which the request or the credentials name."""
        return "project_id" in self.target.fields

    @property
    def id(self) -> str:
        """``huawei_oms``: names the endpoint variable and the emulator."""
        return f"{self.provider}_{self.name}"

    @property
    def exchange(self) -> "TokenExchange":
        """What gives keys for the function's own identity. Imported when asked for: most need it not."""
        exchange: TokenExchange = import_module(f"task_cleanup.providers.{self.exchange_id}").EXCHANGE
        return exchange

    def can_be_vouched(self, provider_status: str) -> bool:
        """Whether somebody may vouch for it that tasks with this word of the provider can be deleted.

        Not where our table knows that such a task is at work, or will be.
        """
        return not self.has_money and self.statuses.meanings.get(provider_status) not in BUSY

    def region_violations(
        self, region: object, extra: Collection[str] = (), pointer: str = "/region"
    ) -> list[Violation]:
        """A violation that lists the known regions, if neither the service nor ``extra`` has this one."""
        is_known = isinstance(region, str) and (region in self.regions or region in extra)
        return [] if is_known else [not_one_of(pointer, [*self.regions, *extra])]

    def base(self, region: str, override: str | None, extra: Collection[str] = ()) -> str:
        """The base URL for a region.

        Raises
        ------
        CleanupError
            ``invalid_request`` for a region that neither the service nor ``extra`` has, whatever the override.
        """
        if violations := self.region_violations(region, extra):
            raise violation_error(violations)
        return override or f"https://{self.host(region)}"


def instance_record(record: Mapping[str, Any], id_field: str) -> Task | None:
    """A listed instance, in the form of a task, so that ``paging.walk`` can read its list; None if it has no id."""
    instance_id, status = text_member(record, (id_field,)), text_member(record, ("status",))
    if not instance_id:
        return None
    return Task(instance_id, "", Status.UNKNOWN, status, deletable=False, why_not="it is an instance, and no task")


_STATUS_CATEGORIES: Mapping[int, Category] = {
    401: Category.UNAUTHENTICATED,
    403: Category.FORBIDDEN,
    429: Category.THROTTLED,
    408: Category.UNAVAILABLE,
    500: Category.UNAVAILABLE,
    502: Category.UNAVAILABLE,
    503: Category.UNAVAILABLE,
    504: Category.UNAVAILABLE,
}


def category_of_unknown(code: str, status: int) -> Category:
    """The category of a failure whose code is in no table, or that has no code, by its HTTP status.

    Providers add codes: one for "too many requests" that is new must be tried again like the old ones. (Alibaba's all
    have ``Throttl`` in them, and come with HTTP 400.)
    """
    if "Throttl" in code:
        return Category.THROTTLED
    return _STATUS_CATEGORIES.get(status, Category.PROVIDER_ERROR)


def coded(prefix: str, table: Mapping[Category, str]) -> dict[str, Category]:
    """``{CONFLICT: "0063 1036"}`` → ``{"OMS.0063": CONFLICT, "OMS.1036": CONFLICT}``; ``0083-0085`` is a range."""
    return {
        prefix + number: category
        for category, numbers in table.items()
        for entry in numbers.split()
        for number in _numbers(entry)
    }


def _numbers(entry: str) -> Iterator[str]:
    first, dash, last = entry.partition("-")
    if not dash:
        yield first
        return
    yield from (f"{number:0{len(first)}}" for number in range(int(first), int(last) + 1))


def text_member(source: Mapping[str, Any], names: Sequence[str]) -> str:
    """The first of these members that is a non-empty string, else an empty one."""
    return next((value for name in names if isinstance(value := source.get(name), str) and value), "")
