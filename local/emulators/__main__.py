"""`python -m local.emulators`: run until SIGTERM or SIGINT, printing the URLs as one line of JSON."""

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from .emulators import Emulators


def main(arguments: list[str] | None = None) -> int:
    """Start the emulators and wait for a signal."""
    parser = argparse.ArgumentParser(prog="python -m local.emulators", description=__doc__)
    parser.add_argument(
        "--port-base", type=int, default=0, help="first port, of as many as services, one and four; 0: free ones"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the dice for faults and of generated ids")
    parser.add_argument("--state", type=Path, help='JSON file: {"keys": [..], "identity": [..], "tasks": [..]}')
    options = parser.parse_args(arguments)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with Emulators(options.seed, options.port_base) as cloud:
        state = json.loads(options.state.read_text(encoding="utf-8")) if options.state else {}
        for key in state.get("keys", []):
            cloud.add_key(**key)
        for record in state.get("identity", []):
            cloud.identity.register(record)
        for record in state.get("tasks", []):
            cloud.seed(record)
        addresses = {"urls": cloud.urls, "admin_url": cloud.admin_url, "identity_urls": cloud.identity.urls}
        sys.stdout.write(json.dumps(addresses) + "\n")
        sys.stdout.flush()
        stopped.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
