"""How far a run is, and what it has reached: claimed, planned, requesting, done; and what is told of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from task_cleanup.errors import SweepCode
from task_cleanup.sweep.report import Run, RunEnd


@dataclass(frozen=True)
class Claimed:
    """Nothing is stored but the claim.

    ``replaces`` is the version of a refused run's report, which the run that was sent back writes anew.
    """

    run: Run
    replaces: str | None = None


@dataclass(frozen=True)
class Planned:
    """The report is stored, and ``sha256`` is its digest."""

    run: Run
    report: Mapping[str, Any]
    sha256: str


@dataclass(frozen=True)
class Requesting(Planned):
    """The marks are stored, and requests may have been sent.

    ``taken`` says for each selected task, in the report's order, whether the bus took its request (``1``) or not
    (``0``); ``keys`` are those by which their results are counted, in the same order.
    """

    taken: str
    keys: Sequence[str]


@dataclass(frozen=True)
class Done:
    """It is known how the run ends. ``reached`` is the state before, with what was sent."""

    reached: Claimed | Planned
    end: RunEnd


State = Claimed | Planned | Done


@dataclass(frozen=True)
class RunResult:
    """A run's summary. ``repeated``: an earlier delivery did it; ``stored``: the summary is in the store."""

    summary: dict[str, Any]
    ok: bool
    retryable: bool = False
    repeated: bool = False
    stored: bool = False

    @property
    def elsewhere(self) -> bool:
        """Whether another worker holds this run, and will publish its summary."""
        return (self.summary["error"] or {}).get("code") == SweepCode.SWEEP_RUNNING

    @property
    def run_id(self) -> str:
        """The run's id."""
        return str(self.summary["run_id"])
