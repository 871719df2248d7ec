"""The targets and tasks to sweep, of all services. They are the same in every run."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from local.emulators import KINDS
from task_cleanup.sweep.services import SERVICES

ACCOUNTS = 5  # of each provider
MOST_TARGETS = 200  # in one request
TASKS_PER_TARGET = 500  # with at least 4 targets, so that larger sizes have more tasks and more targets
OLDEST = timedelta(days=90)  # tasks are from a third of this to all of it old, so P7D selects each
KEY_SECRET = "testSecretFakeBench0001"  # only the emulators accept it

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
        """The provider, as a policy names it."""
        return SERVICES[self.service].provider

    @property
    def account(self) -> str:
        """Alias of the credentials."""
        return f"team-{self.number // len(SERVICES) % ACCOUNTS + 1}"

    @property
    def ids(self) -> dict[str, str]:
        """Project and instance. The project is the target's own, so that no two OMS targets are the same."""
        kind = KINDS[self.service]
        return kind.place_ids(f"{self.number:032x}", kind.new_instance(self.number))

    def target(self) -> dict[str, Any]:
        """The target, as a member of a policy's ``targets``."""
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
        """The target's tasks, as records for the emulators."""
        kind = KINDS[self.service]
        for index in range(self.tasks):
            number = self.number * 1_000_000 + index
            moment = (now - OLDEST * (1 - 2 * index / (3 * self.tasks))).timestamp()
            fields = kind.record.dated(f"tmp-orders-archive-{number:010d}", moment, moment)
            yield {"task_id": kind.new_id(number), "status": kind.final[number % len(kind.final)], **fields}


def estate(tasks: int, targets: int | None = None) -> list[Place]:
    """Targets of all services in turn, with the tasks spread evenly over them.

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
    """The request that selects every task of these places; its ``protect`` is checked and matches none."""
    return {
        "name": "bench",
        "mode": mode,
        "targets": [place.target() for place in places],
        "select": {
            "older_than": "P7D",
            "statuses": ["succeeded", "failed", "cancelled", "paused"],
            "age_from": ["ended", "inferred", "created"],
        },
        "protect": {"names": ["*prod*"], "task_ids": [f"none-{number}" for number in range(10)]},
        "limits": {"max_tasks": 100_000, "max_fraction": 1},
    }


def key_id(provider: str, account: str) -> str:
    """The access key of an account; obviously fake."""
    return f"AKFAKE{provider.upper()}{account.upper().replace('-', '')}"


def accounts() -> list[tuple[str, str]]:
    """Every (provider, account) that has credentials."""
    return [(provider, f"team-{number}") for provider in PROVIDERS for number in range(1, ACCOUNTS + 1)]
