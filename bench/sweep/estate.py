"""What there is to sweep: targets of all services, and the tasks in them. Nothing here depends on chance."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from local.emulators import KINDS
from task_cleanup.sweep.services import SERVICES

ACCOUNTS = 5  # of each provider
MOST_TARGETS = 200  # that one request may name
TASKS_PER_TARGET = 500  # from 4 targets on, so that an estate grows in both
OLDEST = timedelta(days=90)  # every task is between this and a third of it old: all are selected by P7D
KEY_SECRET = "testSecretFakeBench0001"  # opens the emulators and nothing else

REGIONS = 3  # of each service
PROVIDERS = tuple(dict.fromkeys(service.provider for service in SERVICES.values()))


@dataclass(frozen=True)
class Place:
    """One target, and how many tasks it has."""

    number: int
    service: str
    tasks: int

    @property
    def provider(self) -> str:
        """As a policy names it."""
        return SERVICES[self.service].provider

    @property
    def account(self) -> str:
        """Alias of the credentials."""
        return f"team-{self.number // len(SERVICES) % ACCOUNTS + 1}"

    @property
    def ids(self) -> dict[str, str]:
        """A project of its own, so that no two targets of OMS are one; the instance as the service has it."""
        kind = KINDS[self.service]
        return kind.place_ids(f"{self.number:032x}", kind.new_instance(self.number))

    def target(self) -> dict[str, Any]:
        """The target as a policy has it."""
        service = SERVICES[self.service]
        regions = list(islice(service.regions, REGIONS))
        return {
            "provider": self.provider,
            "service": service.name,
            "region": regions[self.number // len(SERVICES) % len(regions)],
            "account": self.account,
            **self.ids,
        }

    def records(self, now: datetime) -> Iterator[dict[str, Any]]:
        """Its tasks, as the emulators take them."""
        kind = KINDS[self.service]
        for index in range(self.tasks):
            number = self.number * 1_000_000 + index
            moment = (now - OLDEST * (1 - 2 * index / (3 * self.tasks))).timestamp()
            fields = kind.record.dated(f"tmp-orders-archive-{number:010d}", moment, moment)
            yield {"task_id": kind.new_id(number), "status": kind.final[number % len(kind.final)], **fields}


def estate(tasks: int, targets: int | None = None) -> list[Place]:
    """So many tasks, spread evenly over so many targets, and these over the services in turn.

    Raises
    ------
    ValueError
        For fewer tasks than targets, or more targets than a request may have.
    """
    number = targets or min(MOST_TARGETS, max(len(SERVICES), tasks // TASKS_PER_TARGET))
    if not 1 <= number <= min(MOST_TARGETS, tasks):
        raise ValueError(f"{tasks} tasks on {number} targets")
    names = tuple(SERVICES)
    each, over = divmod(tasks, number)
    return [Place(place, names[place % len(names)], each + (place < over)) for place in range(number)]


def policy(places: list[Place], mode: str) -> dict[str, Any]:
    """The request that selects every task of these places, with guards that have to be checked and do not hold."""
    return {
        "name": "bench",
        "mode": mode,
        "targets": [place.target() for place in places],
        "select": {"older_than": "P7D", "statuses": ["succeeded", "failed", "cancelled", "paused"]},
        "protect": {"names": ["*prod*"], "task_ids": [f"none-{number}" for number in range(10)]},
        "limits": {"max_tasks": 100_000, "max_fraction": 1},
    }


def key_id(provider: str, account: str) -> str:
    """The access key of an account; obviously fake."""
    return f"AKFAKE{provider.upper()}{account.upper().replace('-', '')}"


def accounts() -> list[tuple[str, str]]:
    """Every (provider, account) that has credentials."""
    return [(provider, f"team-{number}") for provider in PROVIDERS for number in range(1, ACCOUNTS + 1)]
