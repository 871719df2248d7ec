"""The provider emulators in a process of their own, with an estate in them and a gauge before them."""

import argparse
import gc
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from bench.sweep.estate import KEY_SECRET, Place, accounts, estate, key_id
from bench.sweep.gauge import Gauge
from bench.sweep.helpers import answer
from local.emulators import Emulators, FaultKind
from local.emulators.dms_state import BackgroundTask
from local.emulators.elasticsearch_state import DataTask
from local.emulators.messages import Delivery, Request
from local.emulators.oms_state import OmsTask
from local.emulators.server import LoopbackServer

Responder = Callable[[Request], Delivery]


def fill(cloud: Emulators, places: list[Place]) -> None:
    """Put every key and task in place. Past the stores' own checks of each field: they take minutes for so many."""
    for provider, account in accounts():
        cloud.add_key(provider, key_id(provider, account), KEY_SECRET)
    now = datetime.now(UTC)
    for place in places:
        records = place.records(now)
        if place.service == "alibaba_elasticsearch":
            instance = cloud.alibaba_elasticsearch.add_instance(place.instance_id)
            instance.data_tasks.update((record["task_id"], DataTask(**record)) for record in records)
        elif place.service == "huawei_oms":
            tasks = [OmsTask(place.project_id, **record) for record in records]
            cloud.huawei_oms.tasks.update(((task.project_id, task.task_id), task) for task in tasks)
        else:
            store = cloud.huawei_dms if place.service == "huawei_dms" else cloud.otc_dms
            tasks_of = store.add_instance(place.project_id, place.instance_id).tasks
            tasks_of.update((record["task_id"], BackgroundTask(**record)) for record in records)


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, required=True)
    parser.add_argument("--targets", type=int, required=True)
    parser.add_argument("--latency", type=int, default=0, help="milliseconds of every call")
    options = parser.parse_args()
    cloud, gauge = Emulators(seed=1), Gauge()
    fill(cloud, estate(options.tasks, options.targets))
    if options.latency:
        cloud.faults.add(FaultKind.LATENCY, ms=options.latency)
    gc.freeze()  # a collection that walks all tasks would look like a provider that stalls

    def counted(name: str, respond: Responder) -> Responder:
        group = name.partition("_")[0]  # the provider: its services share what it lets through

        def count(request: Request) -> Delivery:
            with gauge.call(group):
                return respond(request)

        return count

    # Instead of the emulators' own servers, which are not started.
    servers = {
        name: LoopbackServer(0, counted(name, service.respond), threading.Event())
        for name, service in cloud.services.items()
    }
    for server in servers.values():
        server.start()
    answer({"urls": {name: server.url for name, server in servers.items()}}, gauge.take)


if __name__ == "__main__":
    main()
