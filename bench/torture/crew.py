"""Starts, kills and replaces the worker processes, as many for each queue as the mapping allows."""

import json
import multiprocessing
import multiprocessing.forkserver
import os
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

from bench.torture.evidence import Receive, read_log
from bench.torture.worker import MARK, Job, work
from bench.torture.worker import __name__ as worker_module
from local.aws.cloud import PROJECT_ID, SECRETS, LocalCloud
from local.aws.stack import QueueMapping
from task_cleanup.sweep.services import SERVICES

END_SECONDS = 60.0  # for the batch that is being worked on
TAIL_BYTES = 64 * 1024
# Each worker reads its secret under a prefix of its own. At a provider without client tokens, workers have different
# keys, so that the journal tells whose call made a change. With client tokens, which count per key, they share one.
SHARED_KEYS = frozenset(service.provider for service in SERVICES.values() if service.delete.takes_token)


class Worked(Protocol):
    """An operation, of which the crew needs only the folder of its function."""

    @property
    def folder(self) -> str:
        """Below ``functions/``."""
        ...


@dataclass
class _Worker:
    """One worker's place, with its present process. ``logs`` are those of all processes that had this place."""

    number: int
    job: Job
    access_key_id: str
    process: BaseProcess | None = None
    logs: list[Path] = field(default_factory=list)


class Crew:
    """All worker processes of a run."""

    def __init__(
        self, cloud: LocalCloud, operations: Sequence[Worked], aws_url: str, functions_aws_url: str, folder: Path
    ) -> None:
        self._context = multiprocessing.get_context("forkserver")
        # The process from which workers are forked imports all that they need, so that they start at once.
        self._context.set_forkserver_preload([worker_module, "task_cleanup.handler"])
        self._folder = folder
        self.kills = 0
        self._workers: list[_Worker] = []
        for mapping in (cloud.stack.mapping_of(operation.folder) for operation in operations):
            for _ in range(mapping.concurrency):
                number = len(self._workers) + 1
                variables = _variables(cloud, mapping, number, functions_aws_url)
                function = cloud.stack.functions[mapping.function]
                job = Job(mapping, function.folder, variables, function.timeout, aws_url, "")
                self._workers.append(_Worker(number, job, _add_keys(cloud, function.folder, number)))

    def start(self) -> None:
        """Start all processes."""
        with _importable():
            multiprocessing.forkserver.ensure_running()
        for worker in self._workers:
            self._start(worker)

    def kill_one(self, dice: random.Random) -> bool:
        """Kill a worker that is in the middle of a batch, if there is one, and start another one for it."""
        busy = [worker for worker in self._workers if _is_busy(worker.logs[-1])]
        if not busy:
            return False
        worker = dice.choice(busy)
        if worker.process is not None:
            worker.process.kill()
            worker.process.join()
            worker.process.close()
            worker.process = None
        self.kills += _is_busy(worker.logs[-1])  # not counted if it answered just before it was killed
        self._start(worker)
        return True

    def deaths(self) -> list[str]:
        """Workers that ended by themselves; there should be none. (A function that cannot be loaded ends one.)"""
        return [
            f"worker {worker.number} ended by itself, status {worker.process.exitcode}"
            for worker in self._workers
            if worker.process is not None and worker.process.exitcode is not None
        ]

    def stop(self, seconds: float = END_SECONDS) -> None:
        """Let every worker finish its batch; kill those that take longer."""
        processes = [worker.process for worker in self._workers if worker.process is not None]
        for process in processes:
            process.terminate()
        for process in processes:
            process.join(seconds)
            if process.exitcode is None:
                process.kill()
                process.join()
            process.close()
        for worker in self._workers:
            worker.process = None

    def receives(self) -> tuple[list[Receive], list[str]]:
        """All receives from the workers' logs, and the crashes."""
        receives: list[Receive] = []
        crashes: list[str] = []
        for worker in self._workers:
            for log in worker.logs:
                done, crashed = read_log(log, worker.access_key_id)
                receives += done
                crashes += crashed
        return receives, crashes

    def _start(self, worker: _Worker) -> None:
        log = self._folder / f"worker-{worker.number}-{len(worker.logs) + 1}.log"
        log.touch()
        worker.logs.append(log)
        process = self._context.Process(target=work, args=(replace(worker.job, log=str(log)),), daemon=True)
        process.start()
        worker.process = process


def _variables(cloud: LocalCloud, mapping: QueueMapping, number: int, aws_url: str) -> dict[str, str]:
    variables = cloud.environment_of(mapping.function)
    variables |= {name: aws_url for name in variables if name.startswith("AWS_ENDPOINT_URL")}
    variables["CREDENTIALS_SECRET_PREFIX"] = _prefix(number)
    return variables


def _prefix(number: int) -> str:
    return f"task-cleanup/worker-{number}"


def _add_keys(cloud: LocalCloud, folder: str, number: int) -> str:
    """Store the worker's secret and add its key to the emulators; returns the key's id."""
    provider = folder.partition("_")[0]
    secret: dict[str, Any] = dict(SECRETS[provider])
    if provider not in SHARED_KEYS:
        secret = {
            "access_key_id": f"AKFAKE{provider.upper()}W{number:04d}",
            "secret_access_key": f"testSecretFake{provider.title()}Worker{number:04d}",
            "project_id": PROJECT_ID,
        }
        cloud.emulators.add_key(provider, **secret)
    secrets = cloud.client("secretsmanager")
    secrets.create_secret(Name=f"{_prefix(number)}/{provider}/default", SecretString=json.dumps(secret))
    return str(secret["access_key_id"])


def _is_busy(log: Path) -> bool:
    """Whether the worker's last mark is that of a batch that it received."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    marks = [line for line in lines if line.startswith(f'{{"{MARK}"')]
    return bool(marks) and '"received"' in marks[-1]


class _importable:  # noqa: N801 - a context manager, named as one reads it
    """The server that workers are forked from looks for modules where this process does."""

    def __enter__(self) -> None:
        self._before = dict(os.environ)
        os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)

    def __exit__(self, *_: object) -> None:
        os.environ.clear()
        os.environ.update(self._before)
