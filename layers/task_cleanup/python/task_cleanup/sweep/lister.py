"""Lists all targets side by side, with at most ``MAX_CALLS`` calls at once to one provider."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from task_cleanup.aws import Aws
from task_cleanup.calls import Dependencies
from task_cleanup.credentials import CredentialStore
from task_cleanup.errors import Category, CleanupError
from task_cleanup.operation import Operation, list_operation, run
from task_cleanup.results import Error, Result
from task_cleanup.settings import Settings
from task_cleanup.sweep.policy import SweepTarget
from task_cleanup.sweep.services import SERVICES
from task_cleanup.system import Deadline, System
from task_cleanup.tasks import Task
from task_cleanup.transport import Transport, new_session
from task_cleanup.triggers import Received, Trigger

MAX_CALLS = 16  # at once to one provider
TARGET_SECONDS = 240.0  # for all pages of one target


@dataclass(frozen=True)
class TargetListing:
    """The tasks of one target. If the list failed, ``complete`` is false and ``error`` says why."""

    target: SweepTarget
    tasks: tuple[Task, ...]
    complete: bool
    project_id: str | None = None
    error: Error | None = None


class Lister:
    """Lists targets with the code of the list operations. ``schema`` is that of the sweep's requests."""

    def __init__(self, schema: Mapping[str, Any], settings: Settings, system: System) -> None:
        self._operations = {key: list_operation(service, schema["$defs"][key]) for key, service in SERVICES.items()}
        self._settings = settings
        self._system = system
        session = new_session(system, settings.aws_endpoints.values())
        aws = Aws(settings, lambda: session)
        providers = {service.provider for service in SERVICES.values()}
        self._stores = {
            provider: CredentialStore(aws, settings.secret_prefix, provider, system) for provider in providers
        }

    def list_all(self, targets: Sequence[SweepTarget], run_id: str, deadline: Deadline) -> list[TargetListing]:
        """One listing for each target, in their order.

        One target of each key is listed first and alone. If the key is rejected, the next one is listed alone, too:
        six bad signatures lock a Huawei key. Once the store has suspended the key, no more calls are sent with it.
        """
        found: dict[int, TargetListing] = {}
        with ExitStack() as closing:
            pools = {
                provider: closing.enter_context(ThreadPoolExecutor(MAX_CALLS, f"list-{provider}"))
                for provider in {target.provider for target in targets}
            }

            # Each account's secret is read once, before its targets: a missing secret is not cached, so that every
            # target would ask for it. They are read side by side, since one read may be slow.
            accounts = {(target.provider, target.account) for target in targets}
            asked = {account: pools[account[0]].submit(self._key_of, *account, deadline) for account in accounts}
            keys: dict[tuple[str, str], list[int]] = {}
            for number, target in enumerate(targets):
                key = asked[target.provider, target.account].result()
                keys.setdefault((target.provider, key), []).append(number)

            def list_one(number: int) -> TargetListing:
                return self._list(targets[number], run_id, deadline)

            def first_of(numbers: Sequence[int]) -> dict[int, TargetListing]:
                listed: dict[int, TargetListing] = {}
                for number in numbers:
                    listed[number] = list_one(number)
                    if not _key_rejected(listed[number]):
                        break
                return listed

            firsts = [pools[provider].submit(first_of, numbers) for (provider, _), numbers in keys.items()]
            for first in firsts:
                found.update(first.result())
            rest = [number for number in range(len(targets)) if number not in found]
            started = [(number, pools[targets[number].provider].submit(list_one, number)) for number in rest]
            found.update((number, future.result()) for number, future in started)
        return [found[number] for number in range(len(targets))]

    def _key_of(self, provider: str, account: str, deadline: Deadline) -> str:
        """The id of the account's key, which several accounts can have. Without a key, the account itself."""
        try:
            return self._stores[provider].get(account, deadline).access_key_id
        except CleanupError:
            return f"account {account}"  # listing its targets fails, with the reason

    def _list(self, target: SweepTarget, run_id: str, deadline: Deadline) -> TargetListing:
        operation = self._operations[target.service_id]
        received = Received(Trigger.DIRECT, target.to_dict(), run_id)
        result = run(operation, received, self._dependencies(operation), deadline.within(TARGET_SECONDS))
        return _listing(target, result)

    def _dependencies(self, operation: Operation) -> Dependencies:
        """The dependencies for one target, with its own session, since threads must not share one."""
        return Dependencies(
            credentials=self._stores[operation.service.provider],
            transport=Transport(self._system),
            system=self._system,
            endpoint=self._settings.provider_endpoints.get(operation.service.id),
            dry_run=False,  # a list changes nothing
            extra_regions=self._settings.extra_regions.get(operation.service.id, ()),
        )


def _key_rejected(listing: TargetListing) -> bool:
    return listing.error is not None and listing.error.category is Category.UNAUTHENTICATED


def _listing(target: SweepTarget, result: Result) -> TargetListing:
    if result.listed is None:
        return TargetListing(target, (), complete=False, project_id=result.target.project_id, error=result.error)
    return TargetListing(target, result.listed.tasks, result.listed.complete, result.target.project_id)
