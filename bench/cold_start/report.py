"""Writes ``docs/performance.md`` from the samples, and the samples as JSON."""

import json
import os
import platform
import statistics
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.cold_start.cases import TITLES
from bench.cold_start.measure import Sample

PAGE = Path(__file__).with_name("page.md")  # the page's text, with placeholders for the numbers
Number = Callable[[Sample], float | None]


@dataclass(frozen=True)
class Spread:
    """A median with the smallest and the largest value."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values))

    def text(self, digits: int) -> str:
        """``12.3 [11.0, 14.2]``."""
        return f"{self.median:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


@dataclass(frozen=True)
class Goal:
    """One line of the comparison: ours over a peer's, round by round, and what it should be at most."""

    what: str
    number: Number
    form: str  # the one that is divided by
    at_most: Mapping[str, float]


GOALS = (
    Goal(
        "cold, peer as `sam build` leaves it",
        lambda sample: sample.cold,
        "bare",
        {"alibaba": 0.12, "huawei_oms": 0.24, "huawei_kafka": 0.17},
    ),
    Goal(
        "cold, peer with `.pyc` too",
        lambda sample: sample.cold,
        "compiled",
        {"alibaba": 0.30, "huawei_oms": 0.45, "huawei_kafka": 0.38, "huawei_keyless": 0.45},
    ),
    Goal("cold, CPU time only, peer with `.pyc` too", lambda sample: sample.cold_cpu, "compiled", {}),
    Goal("cold over TLS, peer with `.pyc` too", lambda sample: sample.cold, "tls", {}),
    Goal(
        "warm: CPU per invocation",
        lambda sample: sample.warm_cpu,
        "compiled",
        {"alibaba": 0.80, "huawei_oms": 0.80, "huawei_kafka": 0.80, "huawei_keyless": 0.80},
    ),
    Goal(
        "peak memory, peer with `.pyc` too",
        lambda sample: sample.memory,
        "compiled",
        {"alibaba": 0.43, "huawei_oms": 0.60, "huawei_kafka": 0.53, "huawei_keyless": 0.60},
    ),
    Goal("connections of a cold start", lambda sample: sample.connections, "tls", {}),
    Goal("requests of a cold start", lambda sample: sample.requests, "tls", {}),
)
SIZE_GOAL = {"alibaba": 0.24, "huawei_oms": 0.52, "huawei_kafka": 0.48}
FLOOR_GOALS = (
    Goal("cold", lambda sample: sample.cold, "compiled", {"floor": 1.35}),
    Goal("cold, CPU time only", lambda sample: sample.cold_cpu, "compiled", {}),
    Goal("warm: CPU per invocation", lambda sample: sample.warm_cpu, "compiled", {"floor": 1.30}),
    Goal("cold over TLS", lambda sample: sample.cold, "tls", {}),
)
# Ours without a stored key over ours with one.
KEYLESS = "no stored key"
KEYLESS_GOALS = (
    Goal("cold", lambda sample: sample.cold, "ours", {}),
    Goal("cold, CPU time only", lambda sample: sample.cold_cpu, "ours", {}),
    Goal("cold over TLS", lambda sample: sample.cold, "ours-tls", {}),
    Goal("warm: CPU per invocation", lambda sample: sample.warm_cpu, "ours", {}),
    Goal("peak memory", lambda sample: sample.memory, "ours", {}),
    Goal("connections of a cold start", lambda sample: sample.connections, "ours-tls", {}),
    Goal("requests of a cold start", lambda sample: sample.requests, "ours-tls", {}),
)
# A comparison that is not of a peer with ours beside it: whose samples of ours are divided by whose. The floor calls
# OMS, too.
COMPARED = {"floor": ("huawei_oms", "floor"), KEYLESS: ("huawei_keyless", "huawei_oms")}


@dataclass
class Results:
    """Everything that was measured. A key of ``samples`` is (group, form); each list has one sample a round.

    Groups are the peers' names, and ``floor``; forms are ``ours``, ``bare``, ``compiled``, and with TLS ``ours-tls``
    and ``tls``. ``sizes`` are bytes by group: ours and the peer's, zipped.
    """

    samples: dict[tuple[str, str], list[Sample]] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    parts: dict[str, int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    rounds: int = 0
    invocations: int = 0
    seconds: float = 0.0

    def groups(self) -> list[str]:
        """The peers that were measured, without the floor."""
        return [title for title in TITLES if any(group == title for group, _ in self.samples)]

    def ratio(self, group: str, goal: Goal) -> Spread | None:
        """Ours over the peer's, round by round; None where one of both was not measured."""
        mine, other = COMPARED.get(group, (group, group))
        ours = self.samples.get((mine, "ours-tls" if goal.form.endswith("tls") else "ours"), [])
        theirs = self.samples.get((other, goal.form), [])
        pairs = [(goal.number(one), goal.number(two)) for one, two in zip(ours, theirs, strict=False)]
        ratios = [one / two for one, two in pairs if one is not None and two]
        return Spread.of(ratios) if ratios else None

    def to_dict(self) -> dict[str, Any]:
        """For JSON: samples, ratios, sizes, and where they come from."""
        return {
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "versions": self.versions,
            "rounds": self.rounds,
            "warm_invocations_per_round": self.invocations,
            "seconds": round(self.seconds, 1),
            "samples": {
                f"{group}/{form}": [sample.to_dict() for sample in samples]
                for (group, form), samples in sorted(self.samples.items())
            },
            "ratios": {
                f"{goal.what} / {group}": [round(value, 3) for value in (ratio.median, ratio.low, ratio.high)]
                for goals, groups in ((GOALS, self.groups()), (FLOOR_GOALS, ["floor"]), (KEYLESS_GOALS, [KEYLESS]))
                for goal in goals
                for group in groups
                if (ratio := self.ratio(group, goal))
            },
            "zipped_bytes": {
                group: {"ours": ours, "peer": theirs, "ratio": round(ours / theirs, 3)}
                for group, (ours, theirs) in self.sizes.items()
            },
            "our_parts_zipped_bytes": self.parts,
        }


def machine() -> dict[str, Any]:
    """Processor, system and load, on which the numbers depend; nothing that identifies the machine."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": f"{platform.python_implementation()} {platform.python_version()} ({platform.python_compiler()})",
        "load_average": [round(value, 2) for value in os.getloadavg()],
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return f"{names[0]} ({platform.machine()})" if names else platform.machine()


# -- the page ------------------------------------------------


def write(results: Results, folder: Path, samples: Path) -> None:
    """Write ``performance.md`` into the folder, and every sample into ``samples`` (JSON)."""
    folder.mkdir(parents=True, exist_ok=True)
    samples.write_text(json.dumps(results.to_dict(), indent=1) + "\n")
    (folder / "performance.md").write_text(page(results))


def page(results: Results) -> str:
    """The page as Markdown."""
    here = machine()
    facts = {
        "rounds": results.rounds,
        "invocations": results.invocations,
        "minutes": f"{results.seconds / 60:.1f}",
        "machine": f"{here['processor']}, {here['cores']} cores, {here['system']}, {here['python']}",
        "load": here["load_average"][0],
        "versions": ", ".join(f"{name} {number}" for name, number in results.versions.items()),
        "goals": "\n\n".join(_tables(results)),
        "samples": _samples_table(results),
        "sizes": _sizes(results),
    }
    return string.Template(PAGE.read_text()).substitute(facts)


def _tables(results: Results) -> list[str]:
    groups = results.groups()
    lines = [_row(["ours / peer", *(TITLES[group] for group in groups)]), _row(["---"] * (len(groups) + 1))]
    for goal in GOALS:
        cells = [_cell(results.ratio(group, goal), goal.at_most.get(group)) for group in groups]
        lines.append(_row([goal.what, *cells]))
    sizes = [(group, *results.sizes.get(group, (0, 0))) for group in groups]
    shares = [_judged(mine / other, "", SIZE_GOAL.get(group)) if other else "" for group, mine, other in sizes]
    lines.append(_row(["zipped function + layers, peer without `.pyc`", *shares]))
    floor = _table(results, "floor", FLOOR_GOALS, "ours / floor", "bare `requests`, one signed call")
    keyless = _table(results, KEYLESS, KEYLESS_GOALS, "ours / ours", "no stored key / a stored key, Huawei OMS")
    return ["\n".join(lines), floor, keyless]


def _table(results: Results, group: str, goals: Sequence[Goal], *titles: str) -> str:
    """A table of one comparison, with the lines that were measured."""
    lines = [_row(titles), _row(["---", "---"])]
    for goal in goals:
        ratio = results.ratio(group, goal)
        if ratio:
            lines.append(_row([goal.what, _cell(ratio, goal.at_most.get(group))]))
    return "\n".join(lines)


def _cell(ratio: Spread | None, at_most: float | None) -> str:
    return "" if ratio is None else _judged(ratio.median, f" [{ratio.low:.2f}, {ratio.high:.2f}]", at_most)


def _judged(value: float, spread: str, at_most: float | None) -> str:
    if at_most is None:
        return f"{value:.2f}{spread}"
    # The rounded number is judged, since the page shows that: 0.504 meets a goal of 0.50.
    return f"**{value:.2f}**{spread} ({'✓' if round(value, 2) <= at_most else '✗'} ≤ {at_most:.2f})"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


COLUMNS: tuple[tuple[str, Number, int], ...] = (
    ("cold ms", lambda sample: sample.cold, 0),
    ("its CPU ms", lambda sample: sample.cold_cpu, 0),
    ("of it init ms", lambda sample: sample.init, 0),
    ("first call ms", lambda sample: sample.first, 0),
    ("warm ms", lambda sample: sample.warm, 2),
    ("warm CPU µs", lambda sample: sample.warm_cpu, 0),
    ("peak MB", lambda sample: sample.memory, 1),
    ("connections", lambda sample: sample.connections, 0),
    ("requests", lambda sample: sample.requests, 0),
)


def label(group: str, form: str) -> str:
    """A case's name in the table and in the plot."""
    if group == "floor":
        return "floor" + (", TLS" if form == "tls" else "")
    if form.startswith("ours"):
        return f"ours, beside the {TITLES[group]}" + (", TLS" if form == "ours-tls" else "")
    suffix = {"bare": "as `sam build` leaves it", "compiled": "with `.pyc`", "tls": "with `.pyc`, TLS"}[form]
    return f"{TITLES[group]}, {suffix}"


def _samples_table(results: Results) -> str:
    lines = [_row(["handler", *(name for name, _, _ in COLUMNS)]), _row(["---"] * (len(COLUMNS) + 1))]
    for (group, form), samples in results.samples.items():
        cells = []
        for _, number, digits in COLUMNS:
            values = [value for sample in samples if (value := number(sample)) is not None]
            cells.append(Spread.of(values).text(digits) if values else "")
        lines.append(_row([label(group, form), *cells]))
    return "\n".join(lines)


def _sizes(results: Results) -> str:
    ours = ", ".join(f"{name} {size / 1e6:.2f}" for name, size in results.parts.items())
    theirs = ", ".join(f"{TITLES[group]} {size / 1e6:.2f}" for group, (_, size) in results.sizes.items())
    return f"ours, with sources and `.pyc`: {ours}; peers without `.pyc`: {theirs}"
