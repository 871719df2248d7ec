"""Whether `GET` tells of a run that it has not ended, so that its end must be stored and not only published."""

from datetime import datetime

from task_cleanup.sweep.plan import LIFETIME
from task_cleanup.sweep.store import Store, key
from task_cleanup.times import parse_time


def is_awaited(store: Store, run_id: str, digest: str, now: datetime) -> bool:
    """Whether this request was asked for over HTTP, or has been begun, and no worker has stored its end.

    If the same request was asked for over HTTP once more in the last ``LIFETIME``, the later one tells the end.

    Raises
    ------
    AwsError
        If the store cannot be read.
    """
    told = store.get(key(run_id, "summary.json"))
    if told is not None and told.document.get("final") is not False:
        return False
    asked, claim = store.get(key(run_id, "asked.json")), store.get(key(run_id, "claim.json"))
    sent_at = None if asked is None else asked.document.get("sent_at")
    if sent_at is not None and now - parse_time(sent_at) <= LIFETIME:
        return False
    begun = claim or asked
    return begun is not None and begun.document.get("digest") == digest
