"""``python -m bench.sweep``: how long a sweep takes, how much memory, and how both grow."""

import argparse
import json
import os
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.sweep.helpers import ROOT, HelperError
from bench.sweep.measure import Measure, WrongSweepError, measure_all
from bench.sweep.page import HEAD, data, generated, inserted, plot, read, row, verdicts
from task_cleanup.sweep.services import SERVICES

SIZES = "1000,3000,10000,30000,100000"


def machine() -> str:
    """Processor and memory, in words."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} processors ({names[0] if names else platform.machine()}), {memory:.0f} GB"


def show(console: Console, measures: list[Measure]) -> None:
    """Print the table of runs, and which goals are met."""
    shown = Table(title="Each row: one sweep in a new process", header_style="bold")
    for name in HEAD:
        shown.add_column(name, justify="left" if name == "mode" else "right")
    for measure in measures:
        shown.add_row(*row(measure))
    console.print(shown)
    for text, met in verdicts(measures):
        console.print(f"{'✓' if met else '✗'} {text}", style="green" if met else "red")


SAMPLES = Path(__file__).with_name("samples.json")


def write(folder: Path, measures: list[Measure], facts: dict[str, Any], samples: Path = SAMPLES) -> None:
    """Write all measures as JSON, and into the folder ``scale.svg`` and the generated part of ``scale.md``."""
    page = folder / "scale.md"
    page.write_text(inserted(page.read_text(encoding="utf-8"), generated(measures, facts)), encoding="utf-8")
    samples.write_text(json.dumps(data(measures, facts), indent=1) + "\n", encoding="utf-8")
    (folder / "scale.svg").write_text(plot(measures), encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; returns 1 if a sweep did something wrong or a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.sweep", description=__doc__)
    parser.add_argument("--sizes", default=SIZES, help="numbers of tasks, separated by commas")
    parser.add_argument("--targets", type=int, help="of every size; default: one for 500 tasks, 4 to 200")
    parser.add_argument("--latency", type=int, default=20, help="milliseconds of every call")
    parser.add_argument("--time-limit", type=float, default=1800, help="seconds for all of it")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="folder of scale.md and .svg")
    parser.add_argument("--redraw", action="store_true", help="only write scale.md and .svg again, from samples.json")
    parser.add_argument("--no-write", action="store_true", help="only show")
    options = parser.parse_args(arguments)
    console = Console(width=max(150, Console().width), highlight=False)
    if options.redraw:
        write(options.docs, *read(json.loads(SAMPLES.read_text(encoding="utf-8"))))
        return 0
    sizes = sorted({int(size) for size in options.sizes.replace(",", " ").split()})
    began, load = time.monotonic(), os.getloadavg()[0]
    try:
        measures = measure_all(sizes, options.latency, options.time_limit, console.print, targets=options.targets)
    except (WrongSweepError, HelperError, ValueError) as error:
        console.print(f"✗ {error}", style="red", markup=False)
        return 1
    show(console, measures)
    facts = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine(),
        "python": platform.python_version(),
        "latency_ms": options.latency,
        "services": list(SERVICES),
        "load_before": load,
        "load_after": os.getloadavg()[0],
        "seconds": time.monotonic() - began,
    }
    if not options.no_write:
        write(options.docs, measures, facts)
        console.print(f"Written: scale.md and scale.svg in {options.docs}, and {SAMPLES.name}")
    return 0 if all(met for _, met in verdicts(measures)) else 1


if __name__ == "__main__":
    sys.exit(main())
