"""A helper process: the provider emulators with the bench's tasks, and a ``Gauge`` that counts their calls."""

import argparse
import gc
import threading
from datetime import UTC, datetime

from bench.sweep.estate import KEY_SECRET, Place, accounts, estate, key_id
from bench.sweep.gauge import Gauge
from bench.sweep.helpers import answer
from local.emulators import Emulators, FaultKind
from local.emulators.messages import Delivery, Request
from local.emulators.server import LoopbackServer, Responder


def fill(cloud: Emulators, places: list[Place]) -> None:
    """Add every key and task to the emulators."""
    for provider, account in accounts():
        cloud.add_key(provider, key_id(provider, account), KEY_SECRET)
    now = datetime.now(UTC)
    for place in places:
        cloud.services[place.service].store.fill(tuple(place.ids.values()), place.records(now))


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
        group = name.partition("_")[0]  # the provider: its limits are for all its services together

        def count(request: Request) -> Delivery:
            with gauge.call(group):
                return respond(request)

        return count

    # Instead of the emulators' own servers, which are not started.
    servers = {
        name: LoopbackServer(0, counted(name, respond), threading.Event())
        for name, respond in cloud.responders.items()
    }
    for server in servers.values():
        server.start()
    answer({"urls": {name: server.url for name, server in servers.items()}}, gauge.take)


if __name__ == "__main__":
    main()
