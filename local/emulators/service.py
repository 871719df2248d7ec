"""The base classes of all that is emulated: answers each request and writes one entry into the journal for it."""

import json
import random
import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, TypeVar

from task_cleanup.providers.model import Service as Provided

from .clock import Clock, http_date, rfc3339
from .faults import REFUSALS, Fault, FaultKind, Faults, Plan, Variant
from .journal import Entry, Journal
from .keys import AccessKey, KeyRing, LockOut
from .messages import Delivery, HeaderList, Reply, Request
from .routing import Call, Route, find_call
from .store import Kind, Place, Record, Store
from .switches import ListCount, NoSwitches, Switches, switch

JSON_TYPE = ("Content-Type", "application/json;charset=utf-8")
CLOCK_WINDOW_SECONDS = 15 * 60
HUGE_BYTES = 4 * 1024 * 1024

R = TypeVar("R", bound=Record)
S = TypeVar("S")


@dataclass
class SharedSwitches:
    """What is open about every service."""

    deleted_seen_s: float = switch(0.0, 60.0)
    """How long a deleted task is still listed and shown as it was, in seconds on the emulators' timer."""


class Refusal(Exception):  # noqa: N818 - an answer, not a failure of the emulator
    """An error answer; `render` of the gateway puts it into the provider's error shape."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: HeaderList = (),
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        """Take status, code, message, headers and further members of the error object."""
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers
        self.fields = dict(fields or {})


@dataclass
class Platform:
    """Clock, keys, switches, faults and journal: one of each for all services of a process."""

    seed: int
    clock: Clock = field(default_factory=Clock)
    switches: Switches = field(default_factory=Switches)
    journal: Journal = field(default_factory=Journal)
    stopping: threading.Event = field(default_factory=threading.Event)
    keys: KeyRing = field(init=False)
    faults: Faults = field(init=False)
    lock_out: LockOut = field(init=False)
    ids: random.Random = field(init=False)

    def __post_init__(self) -> None:
        """Seed the two random sources: one decides which requests a fault hits, the other makes ids."""
        self.keys = KeyRing(self.clock)
        self.faults = Faults(self.clock, self.seed)
        self.lock_out = LockOut(self.clock)
        self.ids = random.Random(self.seed)

    def reset(self, seed: int | None) -> None:
        """Forget journal, faults, switches, lock-outs and the shifted clock, and seed the random sources again."""
        self.seed = self.seed if seed is None else seed
        self.faults.reset(self.seed)
        self.ids.seed(self.seed)
        self.switches.reset()
        self.lock_out.clear()
        self.clock.reset()
        self.journal.clear()

    def new_id(self) -> uuid.UUID:
        """Make a UUID from the seeded source."""
        return uuid.UUID(int=self.ids.getrandbits(128), version=4)


@dataclass
class Exchange:
    """A request while it is answered: each step of `answer` adds what it has found out."""

    request: Request
    call: Call | None
    arrived: float
    request_id: str
    now: float = 0.0
    gate: Refusal | None = None
    """A refusal that a fault asks for; due once the caller is known and allowed."""
    list_moves: bool = False
    """A fault asks for `Store.move` after this answer to a page of a list."""
    hides: bool = False
    """No task is to be seen."""
    shows_another: bool = False
    """Another task is shown."""
    key: AccessKey | None = None
    """The caller, once the signature has been found good."""
    access_key_id: str | None = None
    signature_ok: bool | None = None
    nonce: str | None = None
    client_token: str | None = None
    code: str | None = None
    effect: str | None = None
    carried_out: float | None = None

    @property
    def ids(self) -> Mapping[str, str]:
        """The ids in the call's path and query."""
        return self.call.ids if self.call else {}

    def pass_gate(self) -> None:
        """Raise the refusal that a fault asks for, if any."""
        if self.gate is not None:
            raise self.gate


class Answering(ABC):
    """What answers on a port: decides each request in its provider's manner, and writes the journal."""

    routes: ClassVar[tuple[Route, ...]]

    def __init__(self, platform: Platform, name: str) -> None:
        """Take the process's platform, and the name in the journal, in faults and in switches."""
        self.platform = platform
        self.name = name

    def respond(self, request: Request) -> Delivery:
        """Decide a request, write its journal entry, and return how the answer is sent."""
        exchange = self._open(request)
        self.note(exchange)
        operation = exchange.call.operation if exchange.call else None
        plan = self.platform.faults.pick(self.name, operation, exchange.ids)
        if plan.delay:
            self.platform.stopping.wait(plan.delay)
        exchange.now = self.platform.clock.now() + plan.clock_offset
        exchange.list_moves, exchange.hides = plan.list_moves, plan.hides
        exchange.shows_another = plan.shows_another
        reply = self._decide(exchange, plan.outcome)
        if reply is not None:
            reply = replace(reply, headers=(("Date", http_date(exchange.now)), *reply.headers))
        self.platform.journal.append(self._entry(exchange, plan, reply))
        return plan.delivery(reply)

    def identify(self, request: Request) -> Call | None:
        """Recognise the operation and the ids; services with ids in the query add them."""
        return find_call(self.routes, request)

    def new_request_id(self) -> str:
        """Make a request id in the provider's form (default: 32 hex digits)."""
        return self.platform.new_id().hex

    # -- what a gateway decides ------------------------------------------------

    @abstractmethod
    def note(self, exchange: Exchange) -> None:
        """Copy nonce and client token into the exchange for the journal, even if the request will be refused."""

    @abstractmethod
    def answer(self, exchange: Exchange) -> Reply:
        """Authenticate and carry out; raise `Refusal` for any error answer."""

    @abstractmethod
    def render(self, refusal: Refusal, exchange: Exchange) -> Reply:
        """Put a refusal into the provider's error shape."""

    @abstractmethod
    def unavailable(self) -> Refusal:
        """Refuse because the whole service is down, in the provider's dialect."""

    @abstractmethod
    def throttled(self, fault: Fault) -> Refusal:
        """Refuse for the rate of calls, in the provider's dialect."""

    # -- one request ------------------------------------------------

    def _open(self, request: Request) -> Exchange:
        return Exchange(
            request=request,
            call=self.identify(request),
            arrived=self.platform.clock.now(),
            request_id=self.new_request_id(),
        )

    def _decide(self, exchange: Exchange, outcome: Fault | None) -> Reply | None:
        if outcome is None:
            return self._attempt(exchange)
        if outcome.after_change:
            self._attempt(exchange)
            return self._replaced(outcome, exchange)
        if outcome.kind in REFUSALS:
            exchange.gate = self._refusal(outcome)
            return self._attempt(exchange)
        return self._replaced(outcome, exchange)

    def _attempt(self, exchange: Exchange) -> Reply:
        try:
            return self.answer(exchange)
        except Refusal as refusal:
            return self._rendered(refusal, exchange)

    def _rendered(self, refusal: Refusal, exchange: Exchange) -> Reply:
        exchange.code = refusal.code
        return self.render(refusal, exchange)

    def _refusal(self, fault: Fault) -> Refusal:
        if fault.kind is FaultKind.THROTTLE:
            return self.throttled(fault)
        return Refusal(fault.status or 500, fault.code, fault.message)

    def _replaced(self, fault: Fault, exchange: Exchange) -> Reply | None:
        """The answer that a fault sends instead of the real one; None is a reset."""
        exchange.code = None
        if fault.kind in REFUSALS:
            return self._rendered(self._refusal(fault), exchange)
        if fault.kind is FaultKind.AWAY and fault.variant is not Variant.RESET:
            return self._rendered(self.unavailable(), exchange)
        return _raw_reply(fault)

    def _entry(self, exchange: Exchange, plan: Plan, reply: Reply | None) -> Entry:
        return Entry(
            time=rfc3339(exchange.arrived),
            service=self.name,
            operation=exchange.call.operation if exchange.call else None,
            method=exchange.request.method,
            path=exchange.request.path,
            ids=dict(exchange.ids),
            client_token=exchange.client_token,
            access_key_id=exchange.access_key_id,
            signature_ok=exchange.signature_ok,
            nonce=exchange.nonce,
            status=reply.status if reply else None,
            code=exchange.code,
            effect=exchange.effect,
            faults=plan.kinds,
            request_id=exchange.request_id,
            carried_out=exchange.carried_out,
        )


class Service(Answering, Generic[R, S]):
    """One emulated service.

    A gateway, a subclass, authenticates the caller and has its error shape. A service, a subclass of a gateway,
    has the records of its tasks (`R`), its switches (`S`), its codes and its routes.
    """

    emulates: ClassVar[tuple[Provided, ...]]
    """The layer's services that this class emulates, each with data of its own."""
    family: ClassVar[str] = ""
    """Only where a service has several kinds of tasks, at one address: which of them, if not the first."""
    kind: ClassVar[Kind[Any]]
    own_switches: ClassVar[type[Any]] = NoSwitches
    codes: ClassVar[Mapping[str, tuple[int, str]]]
    """The HTTP status and the text of each error code."""
    no_place: ClassVar[str | None] = None
    """The code for a place that does not exist; None: any place is there, and empty."""

    def __init__(self, platform: Platform, provided: Provided) -> None:
        """Start without tasks; `platform` is the process's."""
        super().__init__(platform, provided.id)
        self.provided = provided
        self.key = f"{self.name}_{self.family}" if self.family else self.name
        self.shared = platform.switches.part(SharedSwitches, self.name)
        self.switches: S = platform.switches.part(self.own_switches, self.name)
        self.store: Store[R] = Store(self.kind, platform.clock)

    def clear(self) -> None:
        """Forget all tasks and all memory of earlier requests."""
        self.store.clear()

    # -- helpers for operations ------------------------------------------------

    def perform(self, exchange: Exchange, call: Call) -> Reply:
        """Carry out an authenticated call."""
        with self.store.lock:
            exchange.carried_out = self.platform.clock.now()
            return call.route.perform(self, exchange)

    def refuse(self, code: str, **fields: str) -> Refusal:
        """Make the refusal with this code; more fields go into the error object."""
        status, message = self.codes[code]
        return Refusal(status, code, message, fields=fields)

    def place(self, exchange: Exchange) -> Place[R]:
        """Find the place that the call names."""
        ids = {name: exchange.ids[name] for name in self.kind.place}
        place = self.store.places.get(tuple(ids.values()))
        if place is None and self.no_place is not None:
            raise self.refuse(self.no_place)
        return place or self.store.empty(ids)

    def tasks(self, exchange: Exchange) -> list[R]:
        """List the tasks of the place that the call names, in the order of their creation, as a list shows them."""
        place = self.place(exchange)
        tasks = [*self.store.tasks(place), *self._just_deleted(place).values()]
        return [] if exchange.hides else tasks

    def seen(self, exchange: Exchange, task_id: str) -> R | None:
        """Find a task as a call that shows it does."""
        place = self.place(exchange)
        task = self.store.find(place, task_id) or self._just_deleted(place).get(task_id)
        if task is None or exchange.hides:
            return None
        return replace(task, task_id=self.kind.new_id(0)) if exchange.shows_another else task

    def _just_deleted(self, place: Place[R]) -> Mapping[str, R]:
        return place.deleted_since(self.platform.clock.elapsed() - self.shared.deleted_seen_s)

    def find(self, exchange: Exchange, task_id: str) -> R | None:
        """Find a task in the place that the call names."""
        return self.store.find(self.place(exchange), task_id)

    def page(
        self, exchange: Exchange, found: Sequence[R], first: int, limit: int, counts: ListCount = "all"
    ) -> tuple[list[dict[str, Any]], int]:
        """Return the entries of a page, and the count in the same answer; `first` is an index from 0."""
        entries = [self.store.look(task) for task in found[first : first + limit]]
        if exchange.list_moves:
            self.store.move(self.place(exchange), found)
        return entries, len(entries) if counts == "page" else len(found)

    def page_of_places(
        self, exchange: Exchange, found: Sequence[Place[R]], first: int, limit: int
    ) -> Sequence[Place[R]]:
        """Return the places of a page, for a list of instances; `first` is an index from 0."""
        if exchange.list_moves:
            self.store.move_place(found)
        return found[first : first + limit]

    def delete(self, exchange: Exchange, task: R) -> None:
        """Delete a task at once."""
        self.place(exchange).remove(task.task_id, self.platform.clock.elapsed())
        exchange.effect = "deleted"


def json_reply(status: int, content: object, headers: HeaderList = ()) -> Reply:
    """Make a JSON answer."""
    return Reply(status, (JSON_TYPE, *headers), json.dumps(content, separators=(",", ":")).encode())


def _raw_reply(fault: Fault) -> Reply | None:
    if fault.kind is FaultKind.GARBAGE:
        return _garbage(fault)
    if fault.kind is FaultKind.REDIRECT:
        return Reply(302, (("Location", fault.location),))
    if fault.kind is FaultKind.HTTP_ERROR:
        return Reply(fault.status or 502, (("Content-Type", "text/html"),), fault.body.encode())
    return None


def _garbage(fault: Fault) -> Reply:
    if fault.variant is Variant.TRUNCATED:
        return Reply(200, (JSON_TYPE,), b'{"RequestId":"00000000-0000-0000-0000-0000000000')
    if fault.variant is Variant.HUGE:
        size = fault.size if fault.size > 1 else HUGE_BYTES
        return Reply(200, (JSON_TYPE,), b'{"filler":"' + b"x" * size + b'"}')
    return Reply(200, (("Content-Type", "text/html"),), b"<html><body>Please sign in to the network.</body></html>")
