"""What there is to sweep: targets of all four services, and the tasks in them. Nothing here depends on chance."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

ACCOUNTS = 5  # of each provider
MOST_TARGETS = 200  # that one request may name
TASKS_PER_TARGET = 500  # from 4 targets on, so that an estate grows in both
OLDEST = timedelta(days=90)  # every task is between this and a third of it old: all are selected by P7D
KEY_SECRET = "testSecretFakeBench0001"  # opens the emulators and nothing else

# service -> provider, service as a policy names them, and some of its regions
SERVICES: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "alibaba_elasticsearch": ("alibaba", "elasticsearch", ("cn-hangzhou", "cn-shanghai", "eu-central-1")),
    "huawei_oms": ("huawei", "oms", ("cn-north-4", "cn-east-3", "ap-southeast-1")),
    "huawei_dms": ("huawei", "dms", ("cn-north-4", "cn-east-3", "ap-southeast-1")),
    "otc_dms": ("otc", "dms", ("eu-de", "eu-nl")),
}
PROVIDERS = tuple(dict.fromkeys(provider for provider, _, _ in SERVICES.values()))


@dataclass(frozen=True)
class Place:
    """One target, and how many tasks it has."""

    number: int
    service: str
    tasks: int

    @property
    def provider(self) -> str:
        """As a policy names it."""
        return SERVICES[self.service][0]

    @property
    def account(self) -> str:
        """Alias of the credentials."""
        return f"team-{self.number // len(SERVICES) % ACCOUNTS + 1}"

    @property
    def project_id(self) -> str:
        """One of its own, so that OMS has a target in it that no other is."""
        return f"{self.number:032x}"

    @property
    def instance_id(self) -> str:
        """In the service's own form."""
        if self.provider == "alibaba":
            return f"es-cn-fake{self.number:08d}"
        return f"00000000-0000-4000-8000-{self.number:012x}"

    def target(self) -> dict[str, Any]:
        """The target as a policy has it."""
        provider, service, regions = SERVICES[self.service]
        target = {
            "provider": provider,
            "service": service,
            "region": regions[self.number // len(SERVICES) % len(regions)],
            "account": self.account,
        }
        if provider != "alibaba":
            target["project_id"] = self.project_id
        if service != "oms":
            target["instance_id"] = self.instance_id
        return target

    def records(self, now: datetime) -> Iterator[dict[str, Any]]:
        """Its tasks, as the emulators take them."""
        make = {"alibaba_elasticsearch": _elasticsearch, "huawei_oms": _oms}.get(self.service, _dms)
        for number in range(self.tasks):
            age = OLDEST * (1 - 2 * number / (3 * self.tasks))
            yield make(self.number * 1_000_000 + number, now - age)


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


def _elasticsearch(number: int, created: datetime) -> dict[str, Any]:
    return {
        "task_id": f"et_cn_fake{number:010d}",
        "status": "SUCCESS",
        "create_time": (created + timedelta(hours=8)).strftime("%Y-%m-%d %H:%M:%S"),  # China time
        "source_index": f"tmp-orders-archive-{number:010d}",
        "sink_index": f"orders-archive-{number:010d}",
    }


def _oms(number: int, started: datetime) -> dict[str, Any]:
    return {
        "task_id": 100_000_000_000_000 + number,
        "status": (3, 4, 5)[number % 3],
        "name": f"tmp-copy-invoices-{number:010d}",
        "start_time": int(started.timestamp() * 1000),
    }


def _dms(number: int, created: datetime) -> dict[str, Any]:
    time = created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    status = ("SUCCESS", "FAILED", "CANCELLED")[number % 3]
    return {"task_id": f"fa{number:030x}", "status": status, "created_at": time, "updated_at": time}
