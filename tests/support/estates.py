"""Estates that change while they are swept, and what their owners, and nobody else, would want to be deleted.

The rules here are written by hand over the emulators' records: nothing of the sweep's own code decides.
"""

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from local.emulators import KINDS, Emulators
from local.emulators.store import Record
from tests.support.identities import PROJECT
from tests.support.looks import State
from tests.support.sweep_world import (
    DMS_INSTANCE,
    ES_INSTANCE,
    TARGETS,
    Json,
    data_task,
    dms_task,
    milliseconds,
    oms_task,
)

OTHER_INSTANCE = {"alibaba_elasticsearch": "es-cn-oew1oxiro000f0002", "": "b9f1c1de-5b1a-4f0c-9e0e-3d2f7f6f1a12"}
OTHER_PROJECT = "f" * 32
PROTECTED_ID = "3"
STAGES = ("before the apply", "after its list", "before the delete")
TURNS = (
    "restarted",
    "ended anew",
    "other status",
    "renamed",
    "protected",
    "freed",
    "touched",
    "vanished",
    "made anew",
)
AGES = (timedelta(days=30), timedelta(days=8), timedelta(days=6, hours=20), timedelta(hours=1))
_WORDS = {"huawei_oms": (5, 5, 4, 3, 2, 1), "alibaba_elasticsearch": ("SUCCESS", "SUCCESS", "FAILED", "RUNNING")}
_DMS_WORDS = ("SUCCESS", "FAILED", "CANCELLED", "EXECUTING", "CREATED")
_OMS_RUNNING = 2

PlaceKey = tuple[str, ...]  # service, project, instance


@dataclass(frozen=True)
class Seed:
    """A task, and what its owner does to it at each of ``STAGES``; ``place`` is 0 or 1 of its service."""

    service: str
    place: int
    number: int
    status: Any
    name: str
    age: timedelta
    turns: tuple[str, str, str]

    def values(self) -> Json:
        """The emulator's record."""
        record: Json
        if self.service == "huawei_oms":
            record = {**oms_task(self.number, self.status, self.age, self.name), "project_id": self.ids[0]}
        elif self.service == "alibaba_elasticsearch":
            record = data_task(self.number, self.status, self.age, self.name)
        else:
            record = dms_task(self.service, self.number, self.status, self.age, self.name)
        return {**record, "instance_id": self.ids[-1]} if self.service != "huawei_oms" else record

    @property
    def ids(self) -> tuple[str, ...]:
        """Project, instance or both."""
        return place_ids(self.service, self.place)


def place_ids(service: str, place: int) -> tuple[str, ...]:
    """The ids of one of a service's two places."""
    instance = ES_INSTANCE if service == "alibaba_elasticsearch" else DMS_INSTANCE
    other = OTHER_INSTANCE.get(service, OTHER_INSTANCE[""])
    project = (PROJECT, OTHER_PROJECT)[place] if service == "huawei_oms" else PROJECT
    return tuple(KINDS[service].place_ids(project, (instance, other)[place]).values())


def targets() -> list[Json]:
    """All places, as a policy names them."""
    found = []
    for service, target in TARGETS.items():
        wanted = "project_id" if service == "huawei_oms" else "instance_id"
        for place in (0, 1):
            ids = dict(zip(KINDS[service].place, place_ids(service, place), strict=True))
            found.append({**target, wanted: ids[wanted]})
    return found


def estates() -> st.SearchStrategy[tuple[Seed, ...]]:
    """Up to a dozen tasks; the same id may be in both places of a service, and in different services."""
    turn = st.sampled_from(("none",) * 9 + TURNS)
    seeds = st.sampled_from(list(TARGETS)).flatmap(
        lambda service: st.builds(
            Seed,
            service=st.just(service),
            place=st.integers(0, 1),
            number=st.integers(1, 4),
            status=st.sampled_from(_WORDS.get(service, _DMS_WORDS)),
            name=st.sampled_from(["tmp-copy", "tmp-copy", "PRO d", "orders-PROD-1", "p\N{SOFT HYPHEN}rod"]),
            age=st.sampled_from((AGES[0], *AGES)),
            turns=st.tuples(turn, turn, turn),
        )
    )
    return st.lists(
        seeds, min_size=1, max_size=14, unique_by=lambda seed: (seed.service, seed.place, seed.number)
    ).map(tuple)


# -- the rules ------------------------------------------------


def is_wanted(service: str, record: Record, now: datetime, *, stop_running: bool) -> bool:
    """Whether the policy of this test's sweeps selects the task: by hand."""
    values = vars(record)
    name = values.get("name") or values.get("source_index", "")
    if "prod" in name.casefold().replace("\N{SOFT HYPHEN}", "") or record.task_id == PROTECTED_ID:
        return False
    words = {"huawei_oms": (5, 4), "alibaba_elasticsearch": ("SUCCESS",)}.get(service, _DMS_WORDS[:3])
    stops = service == "huawei_oms" and stop_running and record.status == _OMS_RUNNING
    return (record.status in words or stops) and now - _since(values, stops=stops) > timedelta(days=7)


def _since(values: Mapping[str, Any], *, stops: bool) -> datetime:
    if "start_time" in values:
        return datetime.fromtimestamp(values["start_time"] / 1000, UTC) + timedelta(minutes=0 if stops else 1)
    text = values.get("updated_at") or values["create_time"]
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def is_as_read(seen: State | None, now: State | None, *, stop_running: bool) -> bool:
    """Whether a delete may go on. What a stop leaves of a running task is as expected where the delete may stop."""
    if seen is None or now is None:
        return False
    stopped = stop_running and seen.status == _OMS_RUNNING and now.status in (3, 7)
    return seen == now or (stopped and (seen.name, seen.begun) == (now.name, now.begun))


# -- the estate in the emulators ------------------------------------------------


class Estate:
    """The tasks in the emulators. ``owned`` is each one's record as its owner left it, whatever a sweep does."""

    def __init__(self, cloud: Emulators, seeds: tuple[Seed, ...]) -> None:
        self.cloud = cloud
        self.seeds = {(seed.service, *seed.ids, _id(seed)): seed for seed in seeds}
        for service in TARGETS:
            for place in (0, 1):
                cloud.services[service].store.add_place(*place_ids(service, place))
        for seed in seeds:
            cloud.seed(seed.values())
        self.owned = {key: copy(record) for key, record in self.records()}

    def records(self) -> Iterator[tuple[PlaceKey, Record]]:
        """Every task that is there: its service, place and id, and its record."""
        for service in TARGETS:
            for ids, place in self.cloud.services[service].store.places.items():
                for task_id, record in place.tasks.items():
                    yield (service, *ids, task_id), record

    def record(self, key: PlaceKey) -> Record | None:
        """One task's record, if it is there."""
        return dict(self.records()).get(key)

    def states(self) -> dict[PlaceKey, State | None]:
        """What each task looks like."""
        return {key: State.of(record) for key, record in self.records()}

    def turn(self, key: PlaceKey, stage: int, now: datetime) -> None:
        """The owner does what the seed says for this stage, if the task is still there."""
        service, *ids, task_id = key
        place, turn = self.cloud.services[service].store.places[tuple(ids)], self.seeds[key].turns[stage]
        record = place.tasks.get(task_id)
        if record is None or turn == "none":
            return
        if turn in ("vanished", "made anew"):
            place.remove(task_id)
            del self.owned[key]
        if turn == "made anew":
            new = task_id[:-2] + f"{90 + stage}" if service != "huawei_oms" else f"{task_id}{90 + stage}"
            place.tasks[new] = copy(record)
            place.tasks[new].task_id = new
            key = (service, *ids, new)
        elif turn != "vanished":
            _change(KINDS[service], record, turn, now)
        if turn != "vanished":
            self.owned[key] = copy(place.tasks[key[-1]])

    def left(self) -> dict[PlaceKey, Json]:
        """Every task that is there, as it is."""
        return {key: plain(record) for key, record in self.records()}


def plain(record: Record) -> Json:
    """What an owner sees of a record."""
    return {name: value for name, value in asdict(record).items() if name not in {"looks_left", "passes_at"}}


def _id(seed: Seed) -> str:
    return str(seed.values()["task_id"])


def _change(kind: Any, record: Record, turn: str, now: datetime) -> None:
    name = "name" if hasattr(record, "name") else "source_index"
    if turn in ("restarted", "ended anew"):
        record.status = kind.running if turn == "restarted" else kind.final[0]
        _date(record, now - timedelta(minutes=2))
    elif turn == "other status":
        others = [word for word in dict.fromkeys((*kind.final, kind.running)) if word != record.status]
        record.status = others[0]
    elif turn == "touched" and hasattr(record, "updated_at"):
        record.updated_at = _text(now)
    elif turn in ("renamed", "protected", "freed"):
        names = {"renamed": getattr(record, name) + "-2", "protected": "prod-2", "freed": "tmp-free"}
        setattr(record, name, names[turn])


def _date(record: Record, moment: datetime) -> None:
    for name, value in {
        "start_time": milliseconds(moment),
        "created_at": _text(moment),
        "updated_at": _text(moment),
        "create_time": f"{moment:%Y-%m-%d %H:%M:%S}",
    }.items():
        if hasattr(record, name):
            setattr(record, name, value)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
