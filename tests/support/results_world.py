"""A run's requests and results, and a bucket and a bus in memory that fail when they are told to."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from task_cleanup.aws import AwsError
from task_cleanup.event_types import EventType
from task_cleanup.sweep.gathering import Results, results_key
from task_cleanup.sweep.results import result_key
from task_cleanup.sweep.store import Document, Stored, encoded, key, sha256_of
from task_cleanup.system import System
from task_cleanup.times import rfc3339
from tests.support.handler_world import NOW

Json = dict[str, Any]

RUN = "run-1"
OPERATION = "otc.dms.DeleteBackgroundTask"
PROJECT = "0123456789abcdef0123456789abcdef"
PLACE = {"account": "default", "region": "eu-de", "project_id": PROJECT, "instance_id": "i"}


def request(number: int) -> Json:
    """A delete request of the run."""
    return {"operation": OPERATION, **PLACE, "task_id": f"t{number}", "correlation_id": RUN}


def result(number: int, outcome: str = "succeeded", code: str | None = None, minute: int = 0) -> Json:
    """Its published result."""
    return {
        "operation": OPERATION,
        "outcome": outcome,
        "target": {"provider": "otc", "service": "dms", **PLACE, "task_id": f"t{number}"},
        "error": None if code is None else {"code": code},
        "completed_at": rfc3339(NOW.replace(minute=minute)),
        "correlation_id": RUN,
        "requested_by": "task-cleanup",
    }


_ENDS = (
    ("succeeded", None),
    ("unchanged", "Gone"),
    ("failed", "TaskChanged"),
    ("failed", "Denied"),
    ("conflict", "Runs"),
)


def some_results(tasks: int, most: int) -> st.SearchStrategy[list[Json]]:
    """Up to ``most`` results of the tasks up to this number, with any end, in a few minutes."""
    one = st.builds(
        lambda task, end, minute: result(task, end[0], end[1], minute),
        st.integers(0, tasks),
        st.sampled_from(_ENDS),
        st.integers(0, 3),
    )
    return st.lists(one, max_size=most)


def requests(number: int, taken: str | None = None) -> Json:
    """The document of the requests 0 to ``number`` - 1."""
    return {"taken": taken or "1" * number, "keys": [result_key(request(it)) for it in range(number)]}


def batch(results: Iterable[object]) -> Json:
    """The results as the gatherer's queue delivers them: each in its event of the bus."""
    records = [
        {
            "messageId": f"m-{number}",
            "body": json.dumps({"id": f"e-{number}", "source": "task-cleanup", "detail-type": "x", "detail": it}),
            "attributes": {"ApproximateReceiveCount": "1"},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
        }
        for number, it in enumerate(results)
    ]
    return {"Records": records}


def run_documents(number: int) -> dict[str, Json]:
    """What the sweep has written of the run, by name, if it has requested ``number`` deletes and is over."""
    return {
        "claim.json": {"digest": "d"},
        "requests.json": requests(number),
        "summary.json": {"run_id": RUN, "name": "nightly", "mode": "apply", "outcome": "requested"},
    }


# How a call fails: AWS never hears of it, or does it and the answer is lost.
BEFORE, AFTER = "before", "after"


@dataclass
class MemoryBucket:
    """What ``Store`` offers, in memory. ``trouble`` is asked before each call how it fails; None: it does not."""

    trouble: Callable[[str], str | None] = lambda _: None
    objects: dict[str, bytes] = field(default_factory=dict)
    place: str = "reports-bucket"
    writes: int = 0
    _tags: dict[str, str] = field(default_factory=dict)

    def get(self, name: str) -> Stored | None:
        """The document."""
        self._read(f"GET {name}")
        if name not in self.objects:
            return None
        return Stored(json.loads(self.objects[name]), self._tags[name], NOW, sha256_of(self.objects[name]))

    def version(self, name: str) -> str | None:
        """Its tag."""
        self._read(f"VERSION {name}")
        return self._tags.get(name)

    def put_json(self, name: str, document: Mapping[str, Any]) -> None:
        """Write it."""
        self._put(name, json.dumps(document).encode(), lambda: True)

    def put_new(self, name: str, document: Document) -> bool:
        """Write it if it is not there."""
        return self._put(name, encoded(document), lambda: name not in self.objects)

    def replace(self, name: str, document: Document, etag: str) -> bool:
        """Write it if its version is this one."""
        return self._put(name, encoded(document), lambda: self._tags.get(name) == etag)

    def put_page(self, name: str, page: str) -> None:
        """Write it."""
        self._put(name, page.encode(), lambda: True)

    def document(self, name: str) -> Json:
        """What is there now."""
        found: Json = json.loads(self.objects[name])
        return found

    def _read(self, name: str) -> None:
        if self.trouble(name) is not None:
            raise AwsError("SlowDown")

    def _put(self, name: str, body: bytes, condition: Callable[[], bool]) -> bool:
        trouble = self.trouble(f"PUT {name}")
        if trouble == BEFORE:
            raise AwsError("SlowDown")
        done = condition()
        if done:
            self.writes += 1
            self.objects[name] = body
            self._tags[name] = f"{hashlib.md5(body, usedforsecurity=False).hexdigest()}-{self.writes}"
        if trouble == AFTER:
            raise AwsError("ReadTimeoutError")
        return done


@dataclass
class MemoryBus:
    """What ``Bus`` offers for one event; ``trouble`` as that of the bucket."""

    trouble: Callable[[str], str | None] = lambda _: None
    events: list[tuple[str, Json]] = field(default_factory=list)

    def publish(self, detail_type: str, detail: Mapping[str, Any], resources: Iterable[str] = ()) -> str:
        """Keep it."""
        assert not list(resources)
        trouble = self.trouble(f"PUBLISH {detail_type}")
        if trouble == BEFORE:
            raise AwsError("ThrottlingException")
        self.events.append((str(detail_type), json.loads(json.dumps(detail))))
        if trouble == AFTER:
            raise AwsError("ReadTimeoutError")
        return "an id"


@dataclass
class ResultsWorld:
    """A run whose documents the sweep writes when it is told to, and the gathering of its results."""

    trouble: Callable[[str], str | None] = lambda _: None
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.bucket = MemoryBucket(self._fault)
        self.bus = MemoryBus(self._fault)
        nonces = iter(range(10**9))
        system = System(now=lambda: self.now, sleep=lambda _: None, nonce=lambda: str(next(nonces)))
        self.results = Results(self.bucket, self.bus, system)  # type: ignore[arg-type]

    def _fault(self, name: str) -> str | None:
        return self.trouble(name)  # whatever it is by now

    def claimed(self) -> None:
        """The sweep has begun."""
        self._put("claim.json", {"digest": "d"})

    def requested(self, number: int, taken: str | None = None) -> None:
        """Its requests are on the bus."""
        self._put("requests.json", requests(number, taken))

    def ended(self, outcome: str = "requested", **more: object) -> None:
        """It has stored its summary."""
        self._put("summary.json", {"run_id": RUN, "name": "nightly", "mode": "apply", "outcome": outcome, **more})

    def begun(self, number: int) -> None:
        """All three."""
        for name, document in run_documents(number).items():
            self._put(name, document)

    def pass_time(self, minutes: float) -> None:
        """Later."""
        self.now += timedelta(minutes=minutes)

    @property
    def finished(self) -> list[Json]:
        """The details of all ``Sweep Finished``."""
        assert {name for name, _ in self.bus.events} <= {EventType.SWEEP_FINISHED.value}
        return [detail for _, detail in self.bus.events]

    @property
    def page(self) -> str:
        """The page as it is now."""
        return self.bucket.objects[results_key(RUN, "index.html")].decode()

    def _put(self, name: str, document: Json) -> None:
        calm, self.trouble = self.trouble, lambda _: None
        self.bucket.put_json(key(RUN, name), document)
        self.trouble = calm
