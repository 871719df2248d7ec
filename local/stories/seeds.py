"""Puts tasks into the emulators. The first of each kind has the id from the provider's own page, unmasked."""

import random
from collections.abc import Sequence
from typing import Any

from local.aws.cloud import PROJECT_ID
from local.emulators import KINDS, Emulators

ES_INSTANCE = "es-cn-oew1oxiro000f0001"
ES_MIGRATING = "es-cn-nif1q9o8r00080001"
ES_IDLE = "es-cn-nif1q9o8r00080002"
ES_TASKS = [f"et_cn_0oyg09o96ib4{number:05d}" for number in range(1, 13)]

OMS_RUNNING = 191297407830872
OMS_FINISHED = 200477729979132
OMS_TASKS = {
    OMS_RUNNING: 2,
    OMS_FINISHED: 5,
    **{200477729979140 + number: status for number, status in enumerate((1, 2, 3, 3, 4, 4, 5, 5, 5, 7))},
}

DMS_INSTANCE = "b9f1c1de-5b1a-4f0c-9e0e-3d2f7f6f1a11"
DMS_TASKS = {
    "8abfa7b372160bfd0172165864064079": "SUCCESS",
    "8abfa7b372160bfd0172165864064080": "EXECUTING",
    **{
        f"8abfa7b372160bfd01721658640641{number:02d}": status
        for number, status in enumerate(("SUCCESS", "FAILED", "CANCELLED", "SUCCESS", "CREATED", "SUCCESS"))
    },
}

State = dict[tuple[str, str, str], str]  # (service's id, instance, task) -> status


def seed(emulators: Emulators, now: float | None = None) -> None:
    """Add the few dozen tasks of this module, in mixed states; if ``now`` (Unix seconds) is given, an hour old."""

    def times(service: str) -> dict[str, Any]:
        return {} if now is None else KINDS[service].record.dated("sample", now - 7200, now - 3600)

    elasticsearch = emulators.alibaba_elasticsearch
    for number, task_id in enumerate(ES_TASKS):
        status = ("SUCCESS", "SUCCESS", "FAILED")[number % 3]
        elasticsearch.add_task(ES_INSTANCE, task_id, status=status, **times("alibaba_elasticsearch"))
    elasticsearch.add_place(ES_MIGRATING, migrating=True)
    elasticsearch.add_place(ES_IDLE, migrating=False)
    for oms_id, oms_status in OMS_TASKS.items():
        emulators.huawei_oms.add_task(PROJECT_ID, oms_id, status=oms_status, **times("huawei_oms"))
    for dms_id, dms_status in DMS_TASKS.items():
        emulators.otc_dms.add_task(PROJECT_ID, DMS_INSTANCE, dms_id, status=dms_status, **times("otc_dms"))


def state(emulators: Emulators) -> State:
    """Every task and its status in the provider's own word; and whether an instance's nodes are being migrated."""
    found: State = {}
    for service, places in emulators.tasks().items():
        for place in places:
            instance = place.get("instance_id", "")
            if "migrating" in place:
                found[service, instance, "(node migration)"] = "running" if place["migrating"] else "none"
            for task in place["tasks"]:
                found[service, instance, task["task_id"]] = str(task["status"])
    return found


# -- a few hundred tasks, up to a year old ------------------------------------------------

INSTANCES = {  # others: `new_instance(1)` of their kind
    "alibaba_elasticsearch": ES_INSTANCE,
    "huawei_dms": DMS_INSTANCE,
    "otc_dms": DMS_INSTANCE,
}
FIRST = 100_000  # number of which the first id is made; the emulators' own ids begin at 1
AGES = (0.04, 1, 3, 6.9, 7.1, 20, 45, 120, 365)  # days
_DAY = 86400
_TEAMS = ("orders", "billing", "search", "prod-ledger", "tmp-trial", "reports")
_ODD_NAMES = ('tmp-<script>alert("x")</script>', "PROD-last-resort", "tmp-\u202egnp.tset", "")


def place(service: str) -> dict[str, str]:
    """The project, the instance or both, in which a service has its tasks."""
    return KINDS[service].place_ids(PROJECT_ID, INSTANCES.get(service, KINDS[service].new_instance(1)))


def seed_many(
    emulators: Emulators, now: float, size: int = 90, first: int = FIRST, ages: Sequence[float] = AGES
) -> None:
    """Add ``size`` tasks to each service, in every status, with one of ``ages`` at the time ``now``.

    ``now`` is in Unix seconds; the same time gives the same tasks. ``first`` is the number of the first id.
    """
    chance = random.Random(7)
    for number in range(size):
        age = chance.choice(ages) * _DAY + chance.random()
        begun, ended = now - age - 600, now - age
        name = _ODD_NAMES[number] if number < len(_ODD_NAMES) else f"{chance.choice(_TEAMS)}-{number:03d}"
        for service, kind in KINDS.items():
            task = {"task_id": kind.new_id(first + number), "status": chance.choice(kind.usual)}
            emulators.seed({"service": service, **place(service), **task, **kind.record.dated(name, begun, ended)})
