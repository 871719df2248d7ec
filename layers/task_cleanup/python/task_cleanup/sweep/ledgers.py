"""Reads and writes the ledger of each place: when its tasks were first seen as they are, and which run asks for them.

One document per place, ``ledger/…json``. Where another sweep was faster, its document is read and ours is made anew.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from task_cleanup.aws import AwsError
from task_cleanup.errors import Code
from task_cleanup.sweep.claims import OverlapsError
from task_cleanup.sweep.ledger import Ledger, place_key
from task_cleanup.sweep.lister import TargetListing
from task_cleanup.sweep.plan import Place, place_of
from task_cleanup.sweep.store import Store

AT_ONCE = 8  # calls to the store
KIND = "tasks"  # of the things that a place lists
_TRIES = 5  # of a put that another sweep can be faster with


def key_of(place: Place) -> str:
    """The key of a place's ledger."""
    return place_key(place.provider, place.service, KIND, place.region, place.project_id, place.instance_id)


@dataclass(frozen=True)
class Ledgers:
    """The ledgers in one store."""

    store: Store

    def sighted(self, listings: Sequence[TargetListing], began: datetime, ended: datetime) -> list[Ledger]:
        """Note what the listings show, which were read from ``began`` to ``ended``; return each one's ledger.

        A list that failed or is not whole changes nothing.

        Raises
        ------
        AwsError
            If the store cannot be read or written.
        """
        with ThreadPoolExecutor(AT_ONCE, "ledger") as pool:
            return list(pool.map(lambda listing: self._sighted(listing, began, ended), listings))

    def _sighted(self, listing: TargetListing, began: datetime, ended: datetime) -> Ledger:
        if listing.error is not None:
            return Ledger.read(None)
        name = key_of(place_of(listing.target, listing.project_id))
        ledger = Ledger.read(None)
        for _ in range(_TRIES):
            known, etag = self._read(name)
            if not listing.complete:
                return known
            ledger = known.after(listing.tasks, began, ended)
            if self._write(name, ledger, etag):
                break  # else another sweep was faster: what it saw counts, too
        return ledger

    def _read(self, name: str) -> tuple[Ledger, str | None]:
        """The ledger and its tag. One that is no JSON is as if it had never been stored, and is replaced."""
        etag = None
        for _ in range(2):
            try:
                stored = self.store.get(name)
            except AwsError as error:
                if error.code != Code.NOT_JSON:
                    raise
                # Read again after the tag: if another sweep has replaced it meanwhile, ours is not written over that.
                etag = self.store.version(name)
            else:
                return (Ledger.read(None), None) if stored is None else (Ledger.read(stored.document), stored.etag)
        return Ledger.read(None), etag

    def _write(self, name: str, ledger: Ledger, etag: str | None) -> bool:
        document = ledger.to_dict()
        return self.store.put_new(name, document) if etag is None else self.store.replace(name, document, etag)

    def ask(self, tasks: Mapping[Place, Sequence[str]], run_id: str, until: datetime, now: datetime) -> None:
        """Note that this run asks for these tasks until then. To be called before the first request is sent.

        Raises
        ------
        OverlapsError
            If another run has asked for one of them since the plan was made.
        AwsError
            If the store cannot be read or written.
        """
        with ThreadPoolExecutor(AT_ONCE, "ledger") as pool:
            list(pool.map(lambda place: self._ask(place, tasks[place], run_id, until, now), tasks))

    def _ask(self, place: Place, task_ids: Sequence[str], run_id: str, until: datetime, now: datetime) -> None:
        name = key_of(place)
        for _ in range(_TRIES):
            known, etag = self._read(name)
            others = {known.asked_by_another(task_id, run_id, now) for task_id in task_ids} - {None}
            if others:
                raise OverlapsError(str(sorted(map(str, others))[0]))
            if self._write(name, known.asking(task_ids, run_id, until, now), etag):
                return
        raise OverlapsError("unknown")

    def withdraw(self, places: Iterable[Place], run_id: str) -> None:
        """Take back what this run has asked for, as far as the store allows: the rest ends by itself."""
        for place in places:
            with suppress(AwsError):
                known, etag = self._read(key_of(place))
                if etag is not None:
                    self._write(key_of(place), known.without(run_id), etag)
