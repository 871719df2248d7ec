"""A few dozen tasks in mixed states. The first of each kind has the id of the provider's own page, unmasked."""

import random
from datetime import UTC, datetime

from local.aws.cloud import PROJECT_ID
from local.emulators import Emulators

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

_OMS_STATUS = {1: "waiting", 2: "running", 3: "paused", 4: "failed", 5: "succeeded", 7: "pausing"}

State = dict[tuple[str, str, str], str]  # (service, instance, task) -> status


def seed(emulators: Emulators) -> None:
    """Put all of it in place."""
    elasticsearch = emulators.alibaba_elasticsearch
    for number, task_id in enumerate(ES_TASKS):
        elasticsearch.add_data_task(ES_INSTANCE, task_id, status=("SUCCESS", "SUCCESS", "FAILED")[number % 3])
    elasticsearch.add_instance(ES_MIGRATING, migrating=True)
    elasticsearch.add_instance(ES_IDLE, migrating=False)
    for oms_id, oms_status in OMS_TASKS.items():
        emulators.huawei_oms.add_task(PROJECT_ID, oms_id, status=oms_status)
    for dms_id, dms_status in DMS_TASKS.items():
        emulators.otc_dms.add_task(PROJECT_ID, DMS_INSTANCE, dms_id, status=dms_status)


def state(emulators: Emulators) -> State:
    """Every task and its status, and for Elasticsearch instances whether nodes are being migrated."""
    found: State = {}
    tasks = emulators.tasks()
    for instance in tasks["alibaba_elasticsearch"]:
        name = instance["instance_id"]
        found["Elasticsearch", name, "(node migration)"] = "running" if instance["migrating"] else "none"
        for task in instance["data_tasks"]:
            found["Elasticsearch", name, task["task_id"]] = task["status"]
    for task in tasks["huawei_oms"]:
        found["OMS", "", str(task["task_id"])] = f"{task['status']} {_OMS_STATUS[task['status']]}"
    for cloud, service in (("otc_dms", "DMS"), ("huawei_dms", "Huawei DMS")):
        for instance in tasks[cloud]:
            for task in instance["tasks"]:
                found[service, instance["instance_id"], task["task_id"]] = task["status"]
    return found


# -- a few hundred tasks, as a year of migrations leaves them ------------------------------------------------

HUAWEI_DMS_INSTANCE = "6c1a9a4e-2f0b-4b5e-9a55-1d2f7f6f1a22"
_DAY = 86400
_TEAMS = ("orders", "billing", "search", "prod-ledger", "tmp-trial", "reports")
_ODD_NAMES = ('tmp-<script>alert("x")</script>', "PROD-last-resort", "tmp-\u202egnp.tset", "")


def seed_many(emulators: Emulators, now: float, size: int = 90) -> None:
    """``size`` tasks in each of the four services: every status, from an hour to a year old at the time ``now``.

    ``now`` is in Unix seconds; the same time gives the same tasks.
    """
    chance = random.Random(7)
    for number in range(size):
        age = chance.choice((0.04, 1, 3, 6.9, 7.1, 20, 45, 120, 365)) * _DAY + chance.random()
        begun, ended = now - age - 600, now - age
        team = chance.choice(_TEAMS)
        name = _ODD_NAMES[number] if number < len(_ODD_NAMES) else f"{team}-{number:03d}"
        emulators.alibaba_elasticsearch.add_data_task(
            ES_INSTANCE,
            f"et_cn_0oyg09o96ib5{number:05d}",
            status=chance.choice(("SUCCESS", "SUCCESS", "SUCCESS", "FAILED")),
            create_time=_text(begun + 8 * 3600, "%Y-%m-%d %H:%M:%S"),  # China time, without a zone
            source_index=name,
        )
        emulators.huawei_oms.add_task(
            PROJECT_ID,
            210477729979000 + number,
            name=name,
            status=chance.choice((1, 2, 3, 4, 5, 5, 5, 5, 5, 7)),
            start_time=int((ended - 60) * 1000),  # it is said to have run for a minute
            group_id=f"group-{team}" if number % 3 == 0 else "",
        )
        for dms, instance in ((emulators.otc_dms, DMS_INSTANCE), (emulators.huawei_dms, HUAWEI_DMS_INSTANCE)):
            dms.add_task(
                PROJECT_ID,
                instance,
                f"{number + 1:032x}",
                name=name,
                status=chance.choice(
                    ("SUCCESS", "SUCCESS", "SUCCESS", "FAILED", "CANCELLED", "EXECUTING", "CREATED")
                ),
                created_at=_text(begun, "%Y-%m-%dT%H:%M:%S.000Z"),
                updated_at=_text(ended, "%Y-%m-%dT%H:%M:%S.000Z"),
            )


def _text(moment: float, form: str) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime(form)
