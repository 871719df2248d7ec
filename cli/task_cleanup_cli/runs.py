"""Sweeps on this machine: the core with a folder as store and a worker as bus."""

import getpass
import os
import platform
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from task_cleanup.federation import Federation
from task_cleanup.settings import Settings, SettingsError
from task_cleanup.sweep.claims import digest_of
from task_cleanup.sweep.gathering import Results
from task_cleanup.sweep.lister import Lister, credential_stores
from task_cleanup.sweep.run import Sweeper
from task_cleanup.sweep.services import CALLED, SERVICES
from task_cleanup.sweep.state import RunResult
from task_cleanup.sweep.store import PREFIX, key
from task_cleanup.system import Deadline, System
from task_cleanup.triggers import Received, Trigger
from task_cleanup.validation import RequestValidator
from task_cleanup_cli.exits import usage
from task_cleanup_cli.folder import BusyError, FolderStore
from task_cleanup_cli.interrupts import Interrupts
from task_cleanup_cli.keys import EXCHANGES, EnvironmentKeys
from task_cleanup_cli.operations import UNUSED_AWS, operation, sweep_schema
from task_cleanup_cli.worker import LocalBus, Worker

RUN_SECONDS = 3600.0  # of a sweep; of an apply, until its requests are made
SESSION_NAME = "task-cleanup-cli"  # what the providers' audit logs call who calls with temporary keys
Json = dict[str, Any]
Approve = Callable[[Mapping[str, Any]], str | None]

# The core's settings, as far as they are about this machine. Those of AWS are never used.
_TAKEN = ("CREDENTIALS_SECRET_PREFIX", "DRY_RUN", "EXTRA_REGIONS")


def settings_of(environment: Mapping[str, str]) -> Settings:
    """The settings that the command line shares with the functions: endpoints, regions, accounts, ``DRY_RUN``.

    Raises
    ------
    EndedError
        If a variable is malformed.
    """
    variables = (exchange.variable for exchange in EXCHANGES.values())
    names = (*_TAKEN, *variables, *(f"{service.upper()}_ENDPOINT" for service in CALLED))
    known = {name: environment[name] for name in names if name in environment}
    try:
        settings = Settings.from_env(CALLED, {**UNUSED_AWS, **known, "AWS_LAMBDA_FUNCTION_NAME": SESSION_NAME})
        for exchange in EXCHANGES.values():
            Federation.of(exchange, settings, EnvironmentKeys({}).identity_token, System())
    except SettingsError as error:
        raise usage(str(error)) from None
    if not settings.extra_regions.keys() <= SERVICES.keys():
        raise usage("EXTRA_REGIONS names an unknown service")
    return settings


@dataclass(frozen=True)
class Runs:
    """The runs in one folder."""

    store: FolderStore
    settings: Settings
    keys: EnvironmentKeys
    interrupts: Interrupts
    patience: float = 0.0

    def sweep(self, policy: Json) -> RunResult:
        """A report of this policy."""
        now = datetime.now(UTC)
        nonce = System().nonce()[:6]
        run_id = f"{now:%Y%m%dT%H%M%S}-{policy['name']}-{nonce}"
        return self._run({**policy, "mode": "report", "run_id": run_id}, lambda _: None, again=False)

    def apply(self, report: Path, sha256: str, approve: Approve) -> RunResult:
        """Apply this report of the store, or go on with it. ``approve`` may forbid it, before the first request.

        The run's id is made of the report's digest: the same report is the same run. To be called ``alone``.
        """
        request = {
            "apply_report": f"{PREFIX}/{report.parent.name}/report.json",
            "sha256": sha256,
            # A dry run has an id of its own: it would end the run, which could not be made any more.
            "run_id": apply_id(sha256) + (f"-dry-{System().nonce()[:6]}" if self.settings.dry_run else ""),
        }
        self._end_lease(request)
        self._end_hold(report.parent.name)
        return self._run(request, approve, again=True)

    def worker(self, providers_operations: Iterable[str]) -> Worker:
        """The worker for these operations."""
        system = System()  # what is on its way ends in its time, also after Ctrl-C
        return Worker(
            store=self.store,
            results=Results(self.store, LocalBus(), system),
            operations={name: operation(name) for name in providers_operations},
            keys=credential_stores(self.keys, self.settings, self.keys.identity_token, system),
            settings=self.settings,
            system=system,
            interrupts=self.interrupts,
            patience=self.patience,
        )

    def _run(self, request: Json, approve: Approve, *, again: bool) -> RunResult:
        """``again``: a run that was refused lists and judges anew, as one that is sent back from a queue does."""
        received = Received(Trigger.DIRECT, request, request["run_id"], requested_by=_who(), redriven=again)
        deadline = Deadline.after(RUN_SECONDS, self.interrupts.system.monotonic)
        return self._sweeper(approve).sweep(received, deadline, comes_again=False)

    def _sweeper(self, approve: Approve) -> Sweeper:
        schema, system = sweep_schema(), self.interrupts.system
        stores = credential_stores(self.keys, self.settings, self.keys.identity_token, system)
        return Sweeper(
            validator=RequestValidator(schema),
            lister=Lister(schema, self.settings, stores, system),
            store=self.store,
            bus=LocalBus(),
            system=system,
            dry_run=self.settings.dry_run,
            extra_regions=self.settings.extra_regions,
            approve=approve,
            lists_again=True,  # what is shown to whom is asked is what is there now
        )

    def _end_lease(self, request: Json) -> None:
        """End the claim that a killed process has left. This one is alone with the run, so it is nobody else's."""
        sweeper, digest = self._sweeper(lambda _: None), digest_of(request)
        if sweeper.claims.digest_claimed(request["run_id"]) == digest:
            sweeper.claims.release(request["run_id"], digest, datetime.max.replace(tzinfo=UTC))

    def _end_hold(self, reported: str) -> None:
        """End the hold of this report's policy name that an apply of another report has left, if it has ended."""
        claims, told = self._sweeper(lambda _: None).claims, summary_of(self.store, reported)
        name = str((told or {}).get("name"))
        other = claims.name_holder(name)
        if other is not None:
            with suppress(BusyError), self.store.alone(other):
                claims.release_name(name, other)


def apply_id(sha256: str) -> str:
    """The id of the run that applies the report with this digest."""
    return f"apply-{sha256[:40]}"


def find_report(text: str, default: Path) -> tuple[FolderStore, Path]:
    """The store and the file of a report, which people give as a file, as its folder, or as a run's id.

    Raises
    ------
    EndedError
        If there is no such report in a folder of sweeps.
    """
    path = Path(text)
    if not path.exists() and "/" not in text:
        path = default / PREFIX / text
    if path.is_dir():
        path /= "report.json"
    if not path.is_file():
        raise usage(f"{text}: there is no such report: give the path of a report.json, its folder, or the run's id")
    path = path.resolve()
    if path.name != "report.json" or path.parent.parent.name != PREFIX:
        raise usage(f"{text}: is not in a folder of sweeps (…/{PREFIX}/<run>/report.json)")
    return FolderStore(path.parents[2]), path


def summary_of(store: FolderStore, run_id: str) -> Json | None:
    """The stored summary of a run."""
    stored = store.get(key(run_id, "summary.json"))
    return None if stored is None else stored.document


def _who() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = str(os.getuid())
    return f"{user}@{platform.node() or 'localhost'}"
