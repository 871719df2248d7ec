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
    FLOOR,
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
    compiled: bool = True,
    secure: bool = True,
) -> Results:
    """Measure everything, interleaved. ``build`` is a build folder of ours, ``folder`` takes the peers.

    ``compiled`` and ``secure`` add the peers with ``.pyc`` files, and all of it over TLS.
    """
    began = time.monotonic()
    results = Results(rounds=rounds, invocations=invocations, versions=versions(VERSIONS))
    runtime = build_runtime(folder / "runtime")
    packages = our_packages(build)
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch, Servers(Path(scratch)) as servers:
        cases: dict[tuple[str, str], Case] = {}
        for kind in peers:
            mine, bare = packages[kind.function], build_peer(kind, folder, compiled=False)
            results.sizes[kind.name] = (zipped_bytes(mine), zipped_bytes(bare))
            cases[kind.name, "ours"] = ours(kind.function, mine, servers, secure=False)
            cases[kind.name, "bare"] = peer(kind, bare, servers, secure=False)
            if compiled:
                package = build_peer(kind, folder, compiled=True)
                cases[kind.name, "compiled"] = peer(kind, package, servers, secure=False)
            if compiled and secure:
                cases[kind.name, "ours-tls"] = ours(kind.function, mine, servers, secure=True)
                cases[kind.name, "tls"] = peer(kind, package, servers, secure=True)
        floor = build_peer(FLOOR, folder, compiled=True)
        cases["floor", "compiled"] = peer(FLOOR, floor, servers, secure=False)
        if compiled and secure:
            cases["floor", "tls"] = peer(FLOOR, floor, servers, secure=True)
        # Without the sweep: it has one more layer, and nobody waits for its cold start.
        results.parts = zipped_parts([it for it in packages.values() if not it.task_root.name.startswith("Sweep")])
        results.samples = {key: [] for key in cases}
        for number in range(rounds + 1):
            for key in random.sample(list(cases), len(cases)):
                warm = invocations if number and key[1] in ("ours", "compiled") else 0
                sample = measure(cases[key], runtime, servers.reset, warm)
                if number or not rounds:
                    results.samples[key].append(sample)
            sys.stdout.write(f"round {number} of {rounds} after {time.monotonic() - began:.0f} s\n")
            sys.stdout.flush()
    results.seconds = time.monotonic() - began
    return results


if __name__ == "__main__":
    sys.exit(main())
