"""The cost model: calls, time and money of a sweep and of the deletes that it requests.

Pure arithmetic. The assumptions are the fields of ``Stack``, ``Pace`` and ``Prices``; docs/scale.md shows them with
the numbers. Times are in seconds, money in USD.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from task_cleanup.sweep.services import SERVICES

PAGE = 99  # new records of a list call, whose first of 100 is the last one before; Alibaba's list is one call
AT_ONCE = 16  # list calls at a time to one provider (task_cleanup.sweep.lister.MAX_CALLS)
ENTRIES = 10  # of one PutEvents call
SENDERS = 4  # PutEvents calls at once (task_cleanup.sweep.bus.SENDERS)
MOST_TASKS = 100_000  # that one sweep may select
LIFETIME = 79_200.0  # of a request, from when its task was listed (task_cleanup.sweep.delete_events)
MOST_TARGETS = 200  # of one sweep; each has a ledger, which is read and written twice
EVENT_CHUNK = 64 * 1024  # bytes that EventBridge counts as one event
DAY = 86_400.0


@dataclass(frozen=True)
class Stack:
    """The template's numbers: batch size, memory in GB of an operation's function and of the sweep's."""

    batch: int = 2
    concurrency: int = 2
    memory: float = 0.5
    sweep_memory: float = 1.0
    retention_days: int = 90


@dataclass(frozen=True)
class Pace:
    """Seconds for a message of a queue, and for a batch. Assumed: nothing here is measured at a provider."""

    provider_call: float = 0.10
    look: float = 0.10  # the call before it, which shows the task; at Alibaba it lists the instance
    publish: float = 0.02  # PutEvents of the result
    own_work: float = 0.03  # at the processor share of 512 MB
    batch_overhead: float = 0.02  # receive and delete, between two batches

    def batch_seconds(self, batch: int) -> float:
        """How long a worker is busy with a batch, whose messages it works on one after the other."""
        return batch * (self.look + self.provider_call + self.publish + self.own_work) + self.batch_overhead


@dataclass(frozen=True)
class Prices:
    """Public list prices of us-east-1 without any free tier, as commonly quoted in mid-2026; check them."""

    lambda_gb_second: dict[str, float] = field(
        default_factory=lambda: {"arm64": 0.0000133334, "x86_64": 0.0000166667}
    )
    lambda_million: float = 0.20
    sqs_million: float = 0.40
    event_million: float = 1.00
    s3_put_thousand: float = 0.005
    s3_get_thousand: float = 0.0004
    s3_gb_month: float = 0.023
    log_gb: float = 0.50


LOG_BYTES = 2_000  # of one message: its log line and its metrics; assumed


# -- the sweep -----------------------------------------------------------------


@dataclass(frozen=True)
class Targets:
    """So many targets of one provider with so many tasks each. ``paged``: the list comes in pages."""

    provider: str
    number: int
    tasks: int
    paged: bool

    @property
    def list_calls(self) -> int:
        """List calls for all of these targets. An empty target takes one call, and a full last page one more."""
        return self.number * (max(1, math.ceil(self.tasks / PAGE)) if self.paged else 1)


def even(tasks: int, targets: int, services: Sequence[str] = tuple(SERVICES)) -> list[Targets]:
    """The bench's targets: these services in turn, the tasks spread evenly."""
    groups = []
    for place, service in enumerate(SERVICES[name] for name in services):
        for extra in (True, False):  # the first few targets have one task more
            numbers = range(place, targets, len(services))
            count = sum((number < tasks % targets) == extra for number in numbers)
            if count:
                groups.append(Targets(service.provider, count, tasks // targets + extra, service.listing.is_paged))
    return groups


def list_calls(groups: Sequence[Targets]) -> dict[str, int]:
    """List calls by provider."""
    calls: dict[str, int] = {}
    for group in groups:
        calls[group.provider] = calls.get(group.provider, 0) + group.list_calls
    return calls


def waiting(groups: Sequence[Targets], latency: float) -> float:
    """Seconds of listing if only latency counted: the slowest provider, a call per target at once, at most 16."""
    numbers: dict[str, int] = {}
    for group in groups:
        numbers[group.provider] = numbers.get(group.provider, 0) + group.number
    calls = list_calls(groups)
    return max(calls[name] * latency / min(AT_ONCE, numbers[name]) for name in calls)


def put_events_calls(tasks: int) -> int:
    """PutEvents calls of a run: one for each ten requests, and one for the summary."""
    return math.ceil(tasks / ENTRIES) + 1


@dataclass(frozen=True)
class Work:
    """Seconds of the sweep's own work: for each listed task, and for each PutEvents call.

    Taken from a smaller run. One interpreter does all of it, so threads do not make it shorter.
    """

    listed_task: float
    put_events: float


@dataclass(frozen=True)
class Prediction:
    """Calls of one applied sweep, and its times: for each the longer of waiting and own work."""

    list_calls: dict[str, int]
    put_events_calls: int
    listing: float
    requesting: float


def predict(tasks: int, groups: Sequence[Targets], latency: float, work: Work) -> Prediction:
    """The calls and times of an applied sweep; ``latency`` is the seconds that every call takes."""
    puts = put_events_calls(tasks)
    return Prediction(
        list_calls=list_calls(groups),
        put_events_calls=puts,
        listing=max(waiting(groups, latency), tasks * work.listed_task),
        requesting=max(puts * latency / SENDERS, puts * work.put_events),
    )


# -- the queues ------------------------------------------------------------------


@dataclass(frozen=True)
class Drain:
    """One operation's queue: deletes a second, and how long it takes to be empty."""

    tasks: int
    concurrency: int
    rate: float
    seconds: float

    @property
    def in_time(self) -> bool:
        """Whether the last request is still valid when its turn comes."""
        return self.seconds <= LIFETIME


def drain(tasks: int, concurrency: int, stack: Stack, pace: Pace, limit: float | None = None) -> Drain:
    """How long a queue of deletes lasts; ``limit`` is the provider's, in deletes a second; those above it repeat."""
    rate = concurrency * stack.batch / pace.batch_seconds(stack.batch)
    rate = rate if limit is None else min(rate, limit)
    return Drain(tasks, concurrency, rate, tasks / rate)


def concurrency_for(limit: float, stack: Stack, pace: Pace) -> int:
    """The largest maximum concurrency that stays within a limit in deletes a second; 0 if none does."""
    return math.floor(limit * pace.batch_seconds(stack.batch) / stack.batch)


# -- money -------------------------------------------------------------------------


@dataclass(frozen=True)
class Item:
    """One line of the bill, with its arithmetic in words."""

    name: str
    arithmetic: str
    usd: float


@dataclass(frozen=True)
class Sweeps:
    """A number of sweeps, and for each: seconds on Lambda, bytes of documents, and size of the summary event."""

    runs: int
    seconds: float
    document_bytes: int
    summary_bytes: int


def bill(tasks: int, sweeps: Sweeps, architecture: str, pace: Pace | None = None) -> list[Item]:
    """All costs that grow with the number of tasks; those of alarms, keys and secrets do not."""
    stack, pace, prices = Stack(), pace or Pace(), Prices()
    price = prices.lambda_gb_second[architecture]
    batches = math.ceil(tasks / stack.batch)
    busy = pace.batch_seconds(stack.batch) - pace.batch_overhead
    own = batches * busy * stack.memory
    sweeping = sweeps.runs * sweeps.seconds * stack.sweep_memory
    messages = tasks + 2 * batches
    events = 2 * tasks + sweeps.runs * math.ceil(sweeps.summary_bytes / EVENT_CHUNK)
    stored = sweeps.runs * sweeps.document_bytes / 1e9
    months = stack.retention_days / 30
    logged = tasks * LOG_BYTES / 1e9
    puts, gets = 8 + 2 * MOST_TARGETS, 4 + 2 * MOST_TARGETS
    s3 = sweeps.runs * (puts * prices.s3_put_thousand + gets * prices.s3_get_thousand) / 1000
    return [
        Item(
            "Lambda, deletes",
            f"{batches:,} batches · {busy:.2f} s · {stack.memory:g} GB = {own:,.0f} GB-s · ${price:.10f}",
            own * price,
        ),
        Item(
            "Lambda, invocations",
            f"{batches:,} · ${prices.lambda_million:.2f} a million",
            batches * prices.lambda_million / 1e6,
        ),
        Item(
            "Lambda, sweeps",
            f"{sweeps.runs} runs · {sweeps.seconds:.0f} s · {stack.sweep_memory:g} GB = {sweeping:,.0f} GB-s · "
            f"${price:.10f}",
            sweeping * price,
        ),
        Item(
            "SQS",
            f"({tasks:,} sent + {batches:,} received + {batches:,} deleted) · ${prices.sqs_million:.2f} a million",
            messages * prices.sqs_million / 1e6,
        ),
        Item(
            "EventBridge",
            f"({tasks:,} requests + {tasks:,} results + {events - 2 * tasks} for summaries) · "
            f"${prices.event_million:.2f} a million",
            events * prices.event_million / 1e6,
        ),
        Item(
            "S3",
            f"{stored:.2f} GB · {months:g} months · ${prices.s3_gb_month} + calls ${s3:.4f}",
            stored * months * prices.s3_gb_month + s3,
        ),
        Item(
            "Logs",
            f"{tasks:,} · {LOG_BYTES:,} bytes = {logged:.1f} GB · ${prices.log_gb:.2f}",
            logged * prices.log_gb,
        ),
    ]
