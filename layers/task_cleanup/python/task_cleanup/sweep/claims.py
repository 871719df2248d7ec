"""Who does a run: one worker at a time, each run once, a saved plan by one run, and one applying run of a name.

A run happens once. Its first worker claims it with a conditional put and holds it for as long as it can live; a
second delivery finds the summary and does nothing, or finds the claim and comes again later.
"""

import hashlib
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from task_cleanup.aws import AwsError
from task_cleanup.errors import SweepCode, TaskCleanupError
from task_cleanup.sweep.plan import Refusal, RunRefusedError
from task_cleanup.sweep.report import SweepOutcome
from task_cleanup.sweep.store import Store, Stored, key
from task_cleanup.system import Deadline, System
from task_cleanup.times import parse_time, rfc3339

LEASE_MARGIN = timedelta(seconds=60)  # how far two machines' clocks may be apart

RUN_ID_REUSED = Refusal(
    SweepCode.RUN_ID_REUSED, "another request has used this run id: leave `run_id` out, or give a new one"
)


SCHEDULED = "schedule."
_RUN_ID = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class RunElsewhereError(TaskCleanupError):
    """Another worker holds the run."""


class OverlapsError(TaskCleanupError):
    """Another run of the same policy name is applying. ``run_id`` names it."""

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.run_id = run_id


def is_run_id(text: str) -> bool:
    """Whether a run can have this id: it can be a part of a key."""
    return _RUN_ID.fullmatch(text) is not None


def run_id_of(text: str) -> str:
    """A trigger's id as a run's id: itself if it can be a part of a key, else its readable end and its digest.

    The id of a schedule begins with ``SCHEDULED``, with which the ``run_id`` of a request cannot begin: nobody can
    take the run id of a coming night.
    """
    if is_run_id(text) and not text.startswith(SCHEDULED):
        return text
    prefix = SCHEDULED if text.startswith("arn:") and ":scheduler:" in text else ""
    readable = re.sub("[^A-Za-z0-9._-]+", "-", text)[-60:].lstrip("._-")
    digest = hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:16]
    return f"{prefix}{readable or 'run'}-{digest}"


def digest_of(request: object) -> str:
    """The digest of a request as it was sent, by which two requests with one run id are told apart.

    Without defaults: one that a new version changes must not make a run that waits another request.
    """
    asked = request
    if isinstance(request, dict):
        asked = {name: value for name, value in request.items() if name != "run_id"}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Claims:
    """The claims in one store.

    ``claim.json`` of each run, ``applied.json`` of each applied report, and ``names/<name>.json`` of each policy name
    that applies.
    """

    store: Store
    system: System

    def final_summary(self, run_id: str, digest: str, *, redriven: bool) -> dict[str, Any] | None:
        """The summary of a run that has ended; None if it has not, or if this delivery may continue the run.

        Raises
        ------
        RunRefusedError
            If another request has used this run id.
        AwsError
            If the bucket cannot be read.
        """
        done = self.store.get(key(run_id, "summary.json"))
        if done is None or _may_go_on(done, redriven=redriven):
            return None
        if self.digest_claimed(run_id) != digest:
            raise RunRefusedError(RUN_ID_REUSED)
        return done.document

    def digest_claimed(self, run_id: str) -> object:
        """The digest of the request that has claimed this run; None if none has.

        Raises
        ------
        AwsError
            If the bucket cannot be read.
        """
        claim = self.store.get(key(run_id, "claim.json"))
        return None if claim is None else claim.document.get("digest")

    def claim(self, run_id: str, digest: str, deadline: Deadline) -> datetime:
        """Hold the run for as long as this worker can live, and return until when.

        Raises
        ------
        RunElsewhereError
            If another worker holds it, or was faster.
        RunRefusedError
            If another request has used this run id.
        AwsError
            If the bucket cannot be read or written.
        """
        asked = self.store.get(key(run_id, "asked.json"))
        if asked is not None and "sent_at" in asked.document and asked.document.get("digest") != digest:
            raise RunRefusedError(RUN_ID_REUSED)  # it is that of a request over HTTP, which waits in the queue
        name = key(run_id, "claim.json")
        until = self.system.now() + timedelta(seconds=deadline.remaining()) + LEASE_MARGIN
        mine = {"digest": digest, "lease_until": rfc3339(until), "worker": self.system.nonce()}
        if self.store.put_new(name, mine):
            return until
        held = self.store.get(name)
        if held is None:
            raise RunElsewhereError
        if held.document == mine:
            return until  # the first answer was lost, and the library's second try met our own claim
        if held.document.get("digest") != digest:
            raise RunRefusedError(RUN_ID_REUSED)
        if parse_time(held.document["lease_until"]) > self.system.now():
            raise RunElsewhereError
        if self.store.replace(name, mine, held.etag):
            return until
        held = self.store.get(name)
        if held is None or held.document != mine:
            raise RunElsewhereError
        return until

    def release(self, run_id: str, digest: str, until: datetime) -> None:
        """End the lease now, so that a failed run can continue at once. If this fails, the lease ends by itself."""
        now = self.system.now()
        if now < until:  # after that, another worker may have claimed the run: its lease must stay
            with suppress(AwsError):
                self.store.put_json(key(run_id, "claim.json"), {"digest": digest, "lease_until": rfc3339(now)})

    def take_plan(self, report: str, run_id: str) -> None:
        """Mark this saved report as applied by this run: no other run may apply it.

        Raises
        ------
        RunRefusedError
            ``AlreadyApplied``, if another run has.
        AwsError
            If the bucket cannot be read or written.
        """
        name = f"{report.rpartition('/')[0]}/applied.json"
        if self.store.put_new(name, {"run_id": run_id}):
            return
        taken = self.store.get(name)
        other = None if taken is None else taken.document.get("run_id")
        if other != run_id:
            raise RunRefusedError(Refusal(SweepCode.ALREADY_APPLIED, f"the run {other} has applied this report"))

    def hold_name(self, name: str, run_id: str, until: datetime) -> None:
        """Hold a policy's name for this run until then, so that no other run of the name applies meanwhile.

        Raises
        ------
        OverlapsError
            If another run holds it.
        AwsError
            If the store cannot be read or written.
        """
        mine = {"run_id": run_id, "lease_until": rfc3339(until)}
        if self.store.put_new(_name_key(name), mine):
            return
        held = self.store.get(_name_key(name))
        if held is None:
            raise OverlapsError("unknown")
        other = str(held.document.get("run_id"))
        if other != run_id and parse_time(held.document["lease_until"]) > self.system.now():
            raise OverlapsError(other)
        if held.document != mine and not self.store.replace(_name_key(name), mine, held.etag):
            raise OverlapsError(other)

    def name_holder(self, name: str) -> str | None:
        """The run that holds a policy's name, or held it last; None if none has.

        Raises
        ------
        AwsError
            If the store cannot be read.
        """
        held = self.store.get(_name_key(name))
        return None if held is None else str(held.document.get("run_id"))

    def release_name(self, name: str, run_id: str) -> None:
        """End this run's hold of the name. If this fails, the lease ends by itself."""
        with suppress(AwsError):
            held = self.store.get(_name_key(name))
            if held is not None and held.document.get("run_id") == run_id:
                now = rfc3339(self.system.now())
                self.store.replace(_name_key(name), {"run_id": run_id, "lease_until": now}, held.etag)


def _name_key(name: str) -> str:
    return f"names/{name}.json"


def _may_go_on(done: Stored, *, redriven: bool) -> bool:
    """Whether a delivery continues an ended run: a failed one always, a refused one only if it was redriven."""
    outcome = done.document.get("outcome")
    return outcome == SweepOutcome.FAILED or (outcome == SweepOutcome.REFUSED and redriven)
