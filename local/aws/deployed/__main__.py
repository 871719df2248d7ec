"""Deploys the template that ships into a local AWS that enforces roles, and tries it.

The emulators and the checks run in ``.venv``, like all of the local cloud; ministack and SAM have an environment of
their own. The reverse would have to put there all that the local cloud needs, and ministack pins another botocore;
besides, ministack must be run by CPython 3.13, which ``.venv`` need not be.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from requests import RequestException

from local.aws.cloud import store_secrets
from local.aws.deployed.deployment import build, deploy, keep_local, make_routes, watch
from local.aws.deployed.ministack import VENV, Aws, NotAsItShouldBe, log_end, ministack
from local.aws.deployed.steps import STEPS, Check, make_caller
from local.aws.stack import ROOT
from local.emulators import Emulators
from local.stories import seeds

TASKS = 20  # of each service, for the sweep
FAILURES = (NotAsItShouldBe, subprocess.TimeoutExpired, BotoCoreError, ClientError, RequestException)
NOT_SHOWN = """
No proof for AWS, and nothing is shown of:
 - the HTTP routes that SAM makes (these were made by API calls), and throttling
 - time zones and context attributes (<aws.scheduler...>) of schedules, and the role that they run as
 - queue and bucket policies: the poller, EventBridge and the scheduler are not asked, and what was left out above
 - alarms and metrics, redrives, KMS, functions in a VPC
 - a package that a layer forgot: functions run in ministack's own interpreter and find its packages"""


def main(template: Path, *, loops: bool) -> int:
    """Deploy and try it; the process's exit status: 0, 1 if anything is not as it should be, 2 without the tools."""
    python = VENV / "bin" / "python"
    asked = [str(python), "-c", "import ministack, samcli, sys; sys.exit(sys.version_info[:2] != (3, 13))"]
    if not python.exists() or subprocess.run(asked, check=False, capture_output=True).returncode:
        print("Not in .build/deployed/venv: CPython 3.13 with ministack and SAM. `make deployed` puts them there.")
        return 2
    # Without the user's AWS profile and keys, and without `make`'s variables: the layers' makefiles would get them.
    for name in [name for name in os.environ if name.startswith(("AWS_", "MAKE"))]:
        del os.environ[name]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an orderly end, as with Ctrl-C
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="task-cleanup-") as folder, Emulators() as emulators:
        try:
            with ministack(Path(folder)) as aws:
                _run(template, aws, emulators, loops=loops)
        except FAILURES as error:
            print(f"\nThe end of ministack's log:\n{log_end(Path(folder))}\n\nNot as it should be: {error}")
            return 1
    print(f"{NOT_SHOWN}\n\nAs it should be: {len(STEPS)} steps in {time.monotonic() - begun:.0f} s.")
    return 0


def _run(template: Path, aws: Aws, emulators: Emulators, *, loops: bool) -> None:
    begun = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - begun:4.0f} s  {what}", flush=True)

    document, notes = build(template, aws, loops=loops)
    say(f"sam build of {template.name}. Changed in the built copy, and there only:")
    print(*(f"   {note}" for note in notes), sep="\n")
    deployed = deploy(aws, loops=loops)
    check = Check(aws, deployed, emulators, watch(aws, deployed), make_caller(aws))
    say(f"sam deploy: {len(deployed.ids)} resources")
    check.expect("their states", sorted(set(deployed.states.values())), ["CREATE_COMPLETE"])
    check.expect("hosts that functions know", keep_local(aws, deployed, emulators.urls), ["127.0.0.1", "localhost"])
    check.expect("routes made by API calls", make_routes(aws, deployed, document) > 0, wanted=True)
    store_secrets(aws.client("secretsmanager"), emulators)
    seeds.seed(emulators)
    seeds.seed_many(emulators, time.time(), TASKS)
    for step in STEPS:
        say(str(step.__doc__))
        step(check)
    wrong = [entry for entry in emulators.journal.entries() if not entry.signature_ok]
    check.expect(f"wrong signatures in {check.calls()} calls to providers", wrong, [])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m local.aws.deployed", description="Deploy the template and try it."
    )
    parser.add_argument("--template", type=Path, default=ROOT / "template.yaml", help="another one, to see it fail")
    parser.add_argument("--loops", action="store_true", help="deploy the template as it is, with its loops")
    options = parser.parse_args()
    try:
        sys.exit(main(options.template.resolve(), loops=options.loops))
    except KeyboardInterrupt:
        sys.exit(130)
