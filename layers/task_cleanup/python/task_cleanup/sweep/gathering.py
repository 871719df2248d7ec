"""Gathers the results of a run's requests in the bucket, shows them on a page, and says once that all are in.

Two write here: the gatherer, after results have come, and the sweep, after it has stored its summary. Each writes its
own document first and reads the other's then, so whoever is last sees that the run is finished.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from task_cleanup.aws import AwsError
from task_cleanup.errors import SweepCode, TaskCleanupError
from task_cleanup.event_types import EventType
from task_cleanup.sweep import results
from task_cleanup.sweep.bus import Bus
from task_cleanup.sweep.page.results import results_page
from task_cleanup.sweep.report import SweepOutcome
from task_cleanup.sweep.results import Answer
from task_cleanup.sweep.store import Store, key
from task_cleanup.system import System
from task_cleanup.times import parse_time, rfc3339

RESULTS_PREFIX = "results"
FINISHED_VERSION = "1.0"
MAX_TRIES = 10  # of a merge that other workers' merges overtake
TRY_WAIT = 0.2  # seconds; doubled each time, at most MAX_WAIT, full jitter
MAX_WAIT = 2.0
# How long a worker may take to publish that a run is finished. Longer than boto3 repeats one call, and shorter than
# the visibility time-out of the gatherer's queue: the messages of a worker that died find the lease over.
LEASE = timedelta(minutes=5)


class FinishElsewhereError(TaskCleanupError):
    """Another worker is publishing that the run is finished. If it dies, somebody must come again and do it."""


_NOT_TOLD = frozenset({"failures", "waiting_for", "finished"})  # by the event, which is small: the document has them


def results_key(run_id: str, name: str) -> str:
    """``results/<run id>/<name>``."""
    return f"{RESULTS_PREFIX}/{run_id}/{name}"


def _nobody(_detail: Mapping[str, Any]) -> None:
    """For those who only read."""


@dataclass(frozen=True)
class Results:
    """The results of the runs of one bucket. ``told`` gets the detail of each end that is published here."""

    store: Store
    bus: Bus
    system: System
    told: Callable[[Mapping[str, Any]], None] = _nobody

    def gather(self, run_id: str, answers: Sequence[Answer]) -> bool:
        """Add these answers to the run's, and finish the run if they are the last; False if there is no such run.

        It may be repeated: the same answers change nothing, and what an earlier try left undone is done.

        Raises
        ------
        AwsError
            If AWS refuses a call, or other workers were faster ``MAX_TRIES`` times.
        FinishElsewhereError
            If another worker is about to say that the run is finished.
        """
        name = results_key(run_id, "results.json")
        for number in range(MAX_TRIES):
            if number:
                self.system.sleep(min(MAX_WAIT, TRY_WAIT * 2.0**number) * self.system.fraction())
            stored = self.store.get(name)
            if stored is None and self.store.get(key(run_id, "claim.json")) is None:
                return False
            merged = results.merge(None if stored is None else stored.document, answers)
            if stored is None:
                done = self.store.put_new(name, merged)
            else:
                done = merged == stored.document or self.store.replace(name, merged, stored.etag)
            if done:
                self._show_and_finish(run_id)
                return True
        raise AwsError(SweepCode.RESULTS_CONTENDED)

    def progress(self, run_id: str) -> dict[str, Any] | None:
        """What became of the run's requests, as ``results.progress`` counts it; None if it has made none.

        ``finished`` is true only of a run that will make no more requests.

        Raises
        ------
        AwsError
            If the bucket cannot be read.
        """
        return self._count(run_id)[0]

    def finish_if_done(self, run_id: str) -> bool:
        """Write the page, and publish ``Sweep Finished`` if every request has its result; whether that is published.

        The sweep calls this after each time that it has stored or found its summary: results may have come before.
        It may be repeated. False also while another worker is publishing it.

        Raises
        ------
        AwsError
            If AWS refuses a call: then it must be called again.
        """
        try:
            return self._show_and_finish(run_id)
        except FinishElsewhereError:
            return False

    def places(self, run_id: str) -> dict[str, str]:
        """Where the results are, and the report of the same run."""
        return {
            "bucket": self.store.place,
            "json": results_key(run_id, "results.json"),
            "html": results_key(run_id, "index.html"),
            "report": key(run_id, "report.json"),
        }

    # -- the page ------------------------------------------------

    def _show_and_finish(self, run_id: str) -> bool:
        """Finish the run if it is done, and write the page.

        The page comes second, so that no fault of it can keep the end from being told. It is written again if there
        are other results or another summary by now: their worker may have written its page before this one, which
        knows less.
        """
        for _ in range(MAX_TRIES):
            seen = self._versions(run_id)
            counted, run_name = self._count(run_id)
            if counted is None:
                return False
            if counted["finished"]:
                self._finish(run_id, run_name, counted)
            page = results_page(run_id, run_name, counted, rfc3339(self.system.now()))
            self.store.put_page(results_key(run_id, "index.html"), page)
            if self._versions(run_id) == seen:
                return bool(counted["finished"])
        raise AwsError(SweepCode.RESULTS_CONTENDED)

    def _versions(self, run_id: str) -> tuple[str | None, str | None]:
        names = results_key(run_id, "results.json"), key(run_id, "summary.json")
        return self.store.version(names[0]), self.store.version(names[1])

    def _count(self, run_id: str) -> tuple[dict[str, Any] | None, str | None]:
        """``progress``, and the run's name, which is known when the summary is there.

        The summary is read first. If it is there and final, the requests that are read after it are all, and so are
        the results that a worker has stored before. If it is not there, the sweep will store it and then read all.
        """
        summary = self.store.get(key(run_id, "summary.json"))
        requests = self.store.get(key(run_id, "requests.json"))
        if requests is None or "keys" not in requests.document:
            return None, None
        stored = self.store.get(results_key(run_id, "results.json"))
        counted = results.progress(requests.document, None if stored is None else stored.document)
        if summary is None:
            return {**counted, "finished": False}, None
        is_finished = counted["finished"] and _is_final(summary.document, str(requests.document["taken"]))
        return {**counted, "finished": is_finished}, summary.document.get("name")

    # -- the end ------------------------------------------------

    def _finish(self, run_id: str, run_name: str | None, counted: dict[str, Any]) -> None:
        """Publish the end, once: mark that it is being published, publish it, mark that it is published.

        A worker that dies between the marks leaves a lease. Its messages come again, also those that met the lease,
        and publish once more, with the same run id and the same ``finished_at``.
        """
        name, now = results_key(run_id, "finished.json"), self.system.now()
        mark = {"finished_at": rfc3339(now), "lease_until": rfc3339(now + LEASE), "worker": self.system.nonce()}
        if not self.store.put_new(name, mark):
            held = self.store.get(name)
            if held is None:
                raise FinishElsewhereError
            known = held.document
            if known.get("published"):
                return
            if known != mark:  # else the answer to the first try of our own put was lost
                mark["finished_at"] = known["finished_at"]
                if parse_time(known["lease_until"]) > now or not self.store.replace(name, mark, held.etag):
                    raise FinishElsewhereError
        detail = self._detail(run_id, run_name, counted, mark["finished_at"])
        try:
            self.bus.publish(EventType.SWEEP_FINISHED, detail)
        except AwsError:
            with suppress(AwsError):  # if this fails too, the lease ends by itself
                self.store.put_json(name, {**mark, "lease_until": rfc3339(now)})
            raise
        self.told(detail)
        self.store.put_json(name, {"published": True, "finished_at": mark["finished_at"]})

    def _detail(self, run_id: str, run_name: str | None, counted: dict[str, Any], finished_at: str) -> dict[str, Any]:
        counts = {name: value for name, value in counted.items() if name not in _NOT_TOLD}
        return {
            "schema_version": FINISHED_VERSION,
            "run_id": run_id,
            "name": run_name,
            "finished_at": finished_at,
            **counts,
            "places": self.places(run_id),
        }


def _is_final(summary: dict[str, Any], taken: str) -> bool:
    """Whether the run has asked for all that it selected, and so makes no more requests.

    A failed run whose requests the bus has not all taken sends the others if somebody redrives its message. A run
    that was refused while it sent requests lists anew then. Neither is finished before.
    """
    outcome = summary.get("outcome")
    if outcome == SweepOutcome.REFUSED or "0" in taken:
        return False
    return bool(summary.get("final", outcome == SweepOutcome.REQUESTED))
