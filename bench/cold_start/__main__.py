"""``python -m bench.cold_start``: build, measure, and write ``docs/performance.*`` and all samples."""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from bench.cold_start import plot, report
from bench.cold_start.build import (
    PEERS,
    Peer,
    build_ours,
    build_peer,
    build_runtime,
    our_packages,
    versions,
    zipped_bytes,
    zipped_parts,
)
from bench.cold_start.cases import ours, peer
from bench.cold_start.measure import Case, measure
from bench.cold_start.report import Results
from bench.cold_start.servers import Servers
from local.aws.stack import ROOT

FOLDER = ROOT / ".build" / "bench"
VERSIONS = (
    *("alibabacloud-elasticsearch20170613", "huaweicloudsdkoms", "huaweicloudsdkkafka", "awslambdaric", "boto3"),
    *("aws-lambda-powertools", "jsonschema", "requests", "moto"),
)


def main(arguments: list[str] | None = None) -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.cold_start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--invocations", type=int, default=80, help="warm ones, in each round")
    parser.add_argument("--output", type=Path, default=ROOT / "docs", help="folder of performance.md and .svg")
    parser.add_argument("--samples", type=Path, default=Path(__file__).with_name("samples.json"))
    options = parser.parse_args(arguments)
    sys.stdout.write("Building ours and the peers …\n")
    build = build_ours(FOLDER / "ours")
    results = run(build, FOLDER, rounds=options.rounds, invocations=options.invocations)
    report.write(results, options.output, options.samples)
    plot.write(results, options.output / "performance.svg")
    sys.stdout.write(report.page(results))
    return 0


def run(
    build: Path,
    folder: Path,
    *,
    rounds: int,
    invocations: int,
    peers: Iterable[Peer] = PEERS,
) -> Results:
    """Measure everything, interleaved. ``build`` is a build folder of ours, ``folder`` takes the peers."""
    began = time.monotonic()
    results = Results(rounds=rounds, invocations=invocations, versions=versions(VERSIONS))
    runtime = build_runtime(folder / "runtime")
    packages = our_packages(build)
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch, Servers(Path(scratch)) as servers:
        cases: dict[tuple[str, str], Case] = {}
        for kind in peers:
            for form in kind.forms:
                secure = form.endswith("tls")
                if form.startswith("ours"):
                    cases[kind.name, form] = ours(kind, packages[kind.function], servers, secure=secure)
                else:
                    package = build_peer(kind, folder, compiled=form != "bare")
                    cases[kind.name, form] = peer(kind, package, servers, secure=secure)
                if form == "bare":
                    results.sizes[kind.name] = (zipped_bytes(packages[kind.function]), zipped_bytes(package))
        # Without the sweep: it has one more layer, and nobody waits for its cold start.
        results.parts = zipped_parts([it for it in packages.values() if not it.task_root.name.startswith("Sweep")])
        results.samples = {key: [] for key in cases}
        for number in range(rounds + 1):
            for key in random.sample(list(cases), len(cases)):
                warm = invocations if number and key[1] in ("ours", "compiled") else 0
                sample = measure(cases[key], runtime, servers, warm)
                if number or not rounds:
                    results.samples[key].append(sample)
            sys.stdout.write(f"round {number} of {rounds} after {time.monotonic() - began:.0f} s\n")
            sys.stdout.flush()
    results.seconds = time.monotonic() - began
    return results


if __name__ == "__main__":
    sys.exit(main())
