"""Measures one process under the runtime client: the time to its first result, and the CPU of each further one."""

import os
import re
import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.cold_start.servers import Servers
from local.aws.artifact import Package
from local.aws.runtime_api import LambdaFunction, Reply

SETTLING = 20  # warm invocations that are not counted: the interpreter still specialises its code


class UnexpectedReplyError(Exception):
    """A measured handler did not make its call."""


@dataclass(frozen=True)
class Case:
    """A handler and its event. ``done`` is what its reply contains if the call was made."""

    name: str
    package: Package
    variables: Mapping[str, str]
    event: Mapping[str, Any]
    done: Mapping[str, Any]


@dataclass(frozen=True)
class Sample:
    """One process. Times in milliseconds, CPU in microseconds per invocation, memory in MB (10^6 bytes).

    ``cold`` runs from the start of the process to its first result, ``init`` to the moment at which it asks for an
    event; ``cold_cpu`` (milliseconds, too) is what the process itself computed until its first result. ``memory`` is
    the peak, all invocations included. ``connections`` and ``requests`` are those until the first result, and counted
    with TLS only. What was not measured is None.
    """

    cold: float
    cold_cpu: float
    init: float
    first: float
    memory: float
    warm: float | None = None
    warm_cpu: float | None = None
    connections: int | None = None
    requests: int | None = None

    def to_dict(self) -> dict[str, float | None]:
        """For JSON; a tenth of a unit is less than the noise."""
        return {name: None if value is None else round(value, 2) for name, value in asdict(self).items()}


def measure(case: Case, runtime: Path, servers: Servers, invocations: int = 0) -> Sample:
    """Start a process, invoke it once, and ``invocations`` more times; the servers are reset before each.

    Raises
    ------
    UnexpectedReplyError
        If the handler did not make its call.
    """
    with LambdaFunction(case.package, runtime, case.variables) as function:
        servers.reset()
        began = time.perf_counter()
        reply = function.invoke(case.event)
        cold = time.perf_counter() - began
        cold_cpu = _cpu_seconds(function.pid)
        connections, requests = servers.traffic()
        _check(case, reply, function)
        durations, cpu = [], None
        if invocations:
            for number in range(SETTLING + invocations):
                if number == SETTLING:
                    cpu = _cpu_seconds(function.pid)
                servers.reset()
                warm = function.invoke(case.event)
                _check(case, warm, function)
                durations.append(warm.duration * 1000)
            cpu = (_cpu_seconds(function.pid) - (cpu or 0.0)) / invocations
        return Sample(
            cold=cold * 1000,
            cold_cpu=cold_cpu * 1000,
            init=(cold - reply.duration) * 1000,
            first=reply.duration * 1000,
            memory=_peak_megabytes(function.pid),
            warm=statistics.median(durations[SETTLING:]) if durations else None,
            warm_cpu=None if cpu is None else cpu * 1e6,
            connections=connections or None,
            requests=requests or None,
        )


def _check(case: Case, reply: Reply, function: LambdaFunction) -> None:
    if reply.error is not None or not case.done.items() <= reply.payload.items():
        raise UnexpectedReplyError(f"{case.name}: {reply.error or reply.payload}\n{function.log[-2000:]}")


def _cpu_seconds(pid: int | None) -> float:
    """User and system time of a process, all threads, in steps of a clock tick (proc(5), stat: fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_megabytes(pid: int | None) -> float:
    """The peak of a process's resident memory (proc(5), status: VmHWM)."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 / 1e6 if found else 0.0
