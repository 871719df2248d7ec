"""Lists all targets side by side, with at most ``MAX_CALLS`` calls at once to one provider.

A target with ``instance_ids`` is looked up first: the service's own lists name its instances, and each of them is
listed as a target of its own.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from task_cleanup.aws import AwsCalls, IdentityTokens
from task_cleanup.calls import Dependencies
from task_cleanup.credentials import CredentialStore, digest_of
from task_cleanup.errors import Category, CleanupError, SweepCode
from task_cleanup.operation import list_operation, run
from task_cleanup.providers.model import Service
from task_cleanup.results import Error, Result, TaskList
from task_cleanup.settings import Settings
from task_cleanup.sweep.policy import SweepTarget
from task_cleanup.sweep.services import SERVICES
from task_cleanup.system import Deadline, System
from task_cleanup.tasks import Task
from task_cleanup.transport import Transport
from task_cleanup.triggers import Received, Trigger

MAX_CALLS = 16  # at once to one provider
TARGET_SECONDS = 240.0  # for all pages of one target
MAX_INSTANCES = 1_000  # that one run lists, of those that ``instance_ids`` found
_ALL = 100_000  # the most that a request for a list can ask for


@dataclass(frozen=True)
class TargetListing:
    """The tasks of one target. If the list failed, ``complete`` is false and ``error`` says why.

    ``policy_target`` is the index of the policy's target that it comes from, which can be the origin of many.
    """

    target: SweepTarget
    tasks: tuple[Task, ...]
    complete: bool
    project_id: str | None = None
    error: Error | None = None
    policy_target: int = 0


# What was found for one target of the policy: its listing, or the instances that are to be listed.
_Found = TargetListing | tuple[SweepTarget, ...]


class Lister:
    """Lists targets with the code of the list operations. ``schema`` is that of the sweep's requests."""

    def __init__(
        self,
        schema: Mapping[str, Any],
        settings: Settings,
        stores: Mapping[str, CredentialStore],
        system: System,
    ) -> None:
        self._operations = {key: list_operation(service, schema["$defs"][key]) for key, service in SERVICES.items()}
        self._instance_lists = {
            key: [list_operation(service, schema["$defs"][key], each) for each in service.instances]
            for key, service in SERVICES.items()
        }
        self._settings = settings
        self._system = system
        self._stores = stores

    def list_all(self, targets: Sequence[SweepTarget], run_id: str, deadline: Deadline) -> list[TargetListing]:
        """One listing for each target and each instance found, in the order of the targets.

        One target of each key is listed first and alone. If the key is rejected, the next one is listed alone, too:
        six bad signatures lock a Huawei key. Once the store has suspended the key, no more calls are sent with it.
        A target with ``instance_ids`` that could not be looked up has one listing, without an ``instance_id``.
        """
        found: dict[int, _Found] = {}
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

            def find_one(number: int) -> _Found:
                find = self._list if targets[number].instance_ids is None else self._look_up
                return find(targets[number], run_id, deadline)

            def first_of(numbers: Sequence[int]) -> dict[int, _Found]:
                tried: dict[int, _Found] = {}
                for number in numbers:
                    tried[number] = find_one(number)
                    if not _key_rejected(tried[number]):
                        break
                return tried

            firsts = [pools[provider].submit(first_of, numbers) for (provider, _), numbers in keys.items()]
            for first in firsts:
                found.update(first.result())
            rest = [number for number in range(len(targets)) if number not in found]
            started = [(number, pools[targets[number].provider].submit(find_one, number)) for number in rest]
            found.update((number, future.result()) for number, future in started)

            found = _within_limit(targets, found)
            listings: list[tuple[int, Future[TargetListing] | TargetListing]] = []
            for number in range(len(targets)):
                each = found[number]
                if isinstance(each, TargetListing):
                    listings.append((number, each))
                else:
                    pool = pools[targets[number].provider]
                    listings += [(number, pool.submit(self._list, one, run_id, deadline)) for one in each]
            done = [(number, it if isinstance(it, TargetListing) else it.result()) for number, it in listings]
        return [replace(listing, policy_target=number) for number, listing in done]

    def _key_of(self, provider: str, account: str, deadline: Deadline) -> str:
        """What tells the account's key from others; several accounts can have one. Without a key, the account itself.

        The secret counts, too: an account with the right id and a mistyped secret must be listed first and alone.
        """
        try:
            return digest_of(self._stores[provider].get(account, deadline))
        except CleanupError:
            return f"account {account}"  # listing its targets fails, with the reason

    def _list(self, target: SweepTarget, run_id: str, deadline: Deadline) -> TargetListing:
        operation = self._operations[target.service_id]
        received = Received(Trigger.DIRECT, target.to_dict(), run_id)
        result = run(operation, received, self.dependencies(operation.service), deadline.within(TARGET_SECONDS))
        return _listing(target, result)

    def _look_up(self, target: SweepTarget, run_id: str, deadline: Deadline) -> _Found:
        """A place's instances, each once; where a list of them failed or may lack some, a listing that says so."""
        until, ids = deadline.within(TARGET_SECONDS), dict[str, str]()
        for operation in self._instance_lists[target.service_id]:
            received = Received(Trigger.DIRECT, {**target.to_dict(), "limit": _ALL}, run_id)
            result = run(operation, received, self.dependencies(operation.service), until)
            if result.listed is None or not result.listed.complete:
                failed = _listing(target, result)
                return replace(failed, tasks=(), error=failed.error or _not_whole(result.listed))
            # Case does not count in DMS's ids, and a service may answer with instances of other engines, too.
            ids |= {task.task_id.lower(): task.task_id for task in result.listed.tasks}
        return tuple(target.instance(instance_id) for instance_id in ids.values())

    def dependencies(self, service: Service) -> Dependencies:
        """The dependencies for one target, with its own session, since threads must not share one."""
        transport = Transport(self._system)
        return Dependencies.of(
            service,
            self._settings,
            self._stores[service.provider],
            transport,
            self._system,
            dry_run=False,  # a list changes nothing
        )


def credential_stores(
    aws: AwsCalls, settings: Settings, tokens: IdentityTokens, system: System
) -> dict[str, CredentialStore]:
    """One for each provider of a service that sweeps list.

    Raises
    ------
    SettingsError
        If an account without a stored key is not configured as its provider's exchange needs it.
    """
    services = {service.provider: service for service in SERVICES.values()}
    return {
        provider: CredentialStore.of(service, settings, aws, tokens, system) for provider, service in services.items()
    }


def _within_limit(targets: Sequence[SweepTarget], found: Mapping[int, _Found]) -> dict[int, _Found]:
    """What was found; but if there are more instances than ``MAX_INSTANCES``, none of them is listed."""
    instances = sum(len(each) for each in found.values() if isinstance(each, tuple))
    if instances <= MAX_INSTANCES:
        return dict(found)
    message = (
        f"this run found {instances:,} instances, and one run lists {MAX_INSTANCES:,} of them at most: "
        "make several policies, each with a part of the places"
    )
    error = Error(Category.INVALID_REQUEST, SweepCode.TOO_MANY_INSTANCES, message)
    return {
        number: TargetListing(targets[number], (), complete=False, error=error) if isinstance(each, tuple) else each
        for number, each in found.items()
    }


def _not_whole(listed: TaskList | None) -> Error:
    """The error for a list of instances that may lack some. The notes of lists speak of tasks."""
    note = ((listed.note if listed is not None else None) or "").replace("task", "instance")
    return Error(Category.UNAVAILABLE, SweepCode.INSTANCES_INCOMPLETE, f"not all instances may be known: {note}")


def _key_rejected(listing: _Found) -> bool:
    return (
        isinstance(listing, TargetListing)
        and listing.error is not None
        and listing.error.category is Category.UNAUTHENTICATED
    )


def _listing(target: SweepTarget, result: Result) -> TargetListing:
    if result.listed is None:
        return TargetListing(target, (), complete=False, project_id=result.target.project_id, error=result.error)
    return TargetListing(target, result.listed.tasks, result.listed.complete, result.target.project_id)
