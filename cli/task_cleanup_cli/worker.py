"""The bus and its workers in one process: a run's requests are carried out by the functions' own code.

The queue is what the core has stored: the report, and which of its requests are taken. Each result is added to
``results/<run id>/results.jsonl`` as it comes, so that a run that was broken off goes on with those that have none.
A request that was on its way then is made again: its look sees what became of the first.
"""

import errno
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import local
from typing import Any, Protocol

from task_cleanup.calls import Dependencies
from task_cleanup.credentials import CredentialStore
from task_cleanup.errors import Code
from task_cleanup.operation import Operation, run
from task_cleanup.results import Outcome, Result
from task_cleanup.settings import Settings
from task_cleanup.sweep.delete_events import requests_of
from task_cleanup.sweep.gathering import FinishElsewhereError, Results, results_key
from task_cleanup.sweep.results import Answer, result_key
from task_cleanup.sweep.store import key
from task_cleanup.system import Deadline, System
from task_cleanup.transport import Transport
from task_cleanup.triggers import Received, Trigger
from task_cleanup_cli.folder import FolderStore
from task_cleanup_cli.interrupts import Interrupts

AT_ONCE = 2  # requests of one operation, as `MaximumConcurrency` of the stack
REQUEST_SECONDS = 28.0  # as a function has
# Between the tries of what can succeed later. A stop takes minutes: all of them take as long as a queue's receives.
WAITS = (5.0, 15.0, 30.0, 60.0, 120.0, 240.0, 300.0)

Json = dict[str, Any]


class LocalBus:
    """Takes every request: that it is taken is stored, and the worker reads it there."""

    name = "this machine"

    def publish(self, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str] = ()) -> None:
        """Nobody listens."""

    def request_all(self, details: Iterable[Mapping[str, Any]], deadline: Deadline) -> list[bool]:  # noqa: ARG002
        """See ``Bus``."""
        return [True for _ in details]


class Journal:
    """The results of a run, one JSON object in a line. A line that was cut off by a kill counts as not there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, Json]:
        """The last result of each request, by ``result_key``."""
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return {}
        found: dict[str, Json] = {}
        for line in lines:
            try:
                result = json.loads(line)
                found[result_key(result)] = result
            except (ValueError, AttributeError, RecursionError):
                continue
        return found

    def add(self, result: Json) -> None:
        """Write a result to the end, in one piece.

        Raises
        ------
        OSError
            If it is not written whole: of a full disk, the first call can write a part without an error.
        """
        # What a kill has left of a line before ends here.
        line = b"\n" + json.dumps(result, separators=(",", ":")).encode() + b"\n"
        with self._path.open("ab", buffering=0) as file:
            if file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))


class Watcher(Protocol):
    """Hears what the worker does."""

    def ended(self, result: Json) -> None:
        """A request has its final result."""

    def waits(self, number: int, seconds: float) -> None:
        """So many requests are tried again after this time."""


@dataclass(frozen=True)
class Worker:
    """Carries out the requests of runs. ``operations`` are by name, ``keys`` by provider.

    ``patience`` is for how many seconds what can succeed later is tried again.
    """

    store: FolderStore
    results: Results
    operations: Mapping[str, Operation]
    keys: Mapping[str, CredentialStore]
    settings: Settings
    system: System
    interrupts: Interrupts
    patience: float

    def carry_out(self, run_id: str, watcher: Watcher) -> Json | None:
        """Carry out what has no final result yet; returns the run's progress.

        A request whose last try failed in a way that can succeed later has no final result.

        Raises
        ------
        AwsError
            If the folder cannot be read or written.
        KeyboardInterrupt
            If it is to end: what was on its way has ended, and is stored.
        """
        with self.interrupts.asked_for():
            journal = Journal(self.store.path(results_key(run_id, "results.jsonl")))
            known = journal.read()
            self._gather(run_id, known.values())
            due, waits, left = self._due(run_id, known), iter(WAITS), self.patience
            while due and not self.interrupts.ending:
                wait = min(next(waits, 0.0), left)
                due, left = self._round(due, run_id, journal, watcher, may_wait=wait > 0), left - wait
                if due:
                    watcher.waits(len(due), wait)
                    self.interrupts.wait(wait)
            self._gather(run_id, journal.read().values())
        if self.interrupts.ending:
            raise KeyboardInterrupt
        return self.results.progress(run_id)

    def outstanding(self, run_id: str) -> int:
        """How many requests have no final result."""
        return len(self._due(run_id, Journal(self.store.path(results_key(run_id, "results.jsonl"))).read()))

    def _due(self, run_id: str, known: Mapping[str, Json]) -> list[Json]:
        return [request for request in self._requests(run_id) if _is_due(known.get(result_key(request)))]

    def _requests(self, run_id: str) -> list[Json]:
        """Those that the bus has taken."""
        report, marks = self.store.get(key(run_id, "report.json")), self.store.get(key(run_id, "requests.json"))
        if report is None or marks is None:
            return []
        asked = zip(requests_of(report.document), marks.document["taken"], strict=True)
        return [request for request, mark in asked if mark == "1"]

    def _round(
        self, requests: Sequence[Json], run_id: str, journal: Journal, watcher: Watcher, *, may_wait: bool
    ) -> list[Json]:
        """Carry each request out once, and return those that are to be tried again."""
        again: list[Json] = []
        pools = {name: ThreadPoolExecutor(AT_ONCE, name) for name in {it["operation"] for it in requests}}
        sessions = local()
        try:
            begun = {pools[it["operation"]].submit(self._carry_out, it, run_id, sessions): it for it in requests}
            for future in as_completed(begun):
                result = future.result()
                if result is None:
                    continue
                if result.retryable and may_wait:
                    again.append(begun[future])
                else:
                    body = result.to_event()
                    journal.add(body)
                    watcher.ended(body)
        finally:
            for pool in pools.values():
                pool.shutdown(cancel_futures=True)
        return again

    def _carry_out(self, request: Json, run_id: str, sessions: local) -> Result | None:
        """One request; None if none is to be begun any more."""
        if self.interrupts.ending:
            return None
        operation = self.operations[request["operation"]]
        if not hasattr(sessions, "transport"):  # threads must not share one
            sessions.transport = Transport(self.system)
        received = Received(Trigger.SQS, request, run_id, first_sent=self.system.now(), by_sweep=True)
        deadline = Deadline.after(REQUEST_SECONDS, self.system.monotonic)
        return run(operation, received, self._dependencies(operation, sessions.transport), deadline)

    def _dependencies(self, operation: Operation, transport: Transport) -> Dependencies:
        service = operation.service
        return Dependencies.of(
            service,
            self.settings,
            self.keys[service.provider],
            transport,
            self.system,
            dry_run=self.settings.dry_run,
        )

    def _gather(self, run_id: str, results: Iterable[Json]) -> None:
        answers = [Answer.read(result) for result in results]
        if answers:
            with suppress(FinishElsewhereError):  # a worker that was killed has left a lease: the results are stored
                self.results.gather(run_id, answers)
        else:
            self.results.finish_if_done(run_id)


def is_final_failure(result: Json) -> bool:
    """Whether it failed in a way that no later try changes. That the task had changed is no failure."""
    error = result.get("error") or {}
    done = result["outcome"] in (Outcome.SUCCEEDED, Outcome.UNCHANGED) or error.get("code") == Code.TASK_CHANGED
    return not done and not result["retryable"]


def _is_due(result: Json | None) -> bool:
    return result is None or bool(result["retryable"])
