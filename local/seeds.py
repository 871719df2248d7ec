"""A few dozen tasks in mixed states. The first of each kind has the id of the provider's own page, unmasked."""

from local.cloud import PROJECT_ID
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
    for instance in tasks["otc_dms"]:
        for task in instance["tasks"]:
            found["DMS", instance["instance_id"], task["task_id"]] = task["status"]
    return found
