"""``make bench`` in its shortest form: it runs, and no number is missing. No number is judged."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.cold_start import plot, report
from bench.cold_start.__main__ import run
from bench.cold_start.build import FLOOR, HUAWEI_KEYLESS, HUAWEI_OMS
from tests.support.artifact_bench import why_not_here

NOT_HERE = why_not_here()
pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(NOT_HERE is not None, reason=f"NOT CHECKED, make bench: {NOT_HERE}"),
]


def test_bench_measures_and_writes_all_it_promises(built_here: Path, tmp_path: Path) -> None:
    measured = [
        replace(HUAWEI_OMS, forms=("ours", "ours-tls")),
        replace(HUAWEI_KEYLESS, forms=("ours", "bare", "ours-tls")),
        replace(FLOOR, forms=("compiled",)),
    ]
    results = run(built_here, tmp_path / "peers", rounds=1, invocations=2, peers=measured)
    report.write(results, tmp_path, tmp_path / "samples.json")
    plot.write(results, tmp_path / "performance.svg")
    told = json.loads((tmp_path / "samples.json").read_text())
    assert set(told["samples"]) == {f"{kind.name}/{form}" for kind in measured for form in kind.forms}
    for name, samples in told["samples"].items():
        assert len(samples) == 1
        wanted = {"cold", "cold_cpu", "init", "first", "memory"}
        wanted |= {"warm", "warm_cpu"} if name.endswith(("ours", "compiled")) else set()
        wanted |= {"connections", "requests"} if name.endswith("tls") else set()
        assert {key for key, value in samples[0].items() if value is not None} == wanted
    assert set(told["ratios"]) >= {"cold, peer as `sam build` leaves it / huawei_keyless", "cold / floor"}
    both = [told["samples"][f"{name}/ours-tls"][0] for name in ("huawei_oms", "huawei_keyless")]
    assert [(sample["connections"], sample["requests"]) for sample in both] == [(2, 2), (3, 3)]
    assert "cold over TLS / no stored key" in told["ratios"]
    assert 0 < told["zipped_bytes"]["huawei_keyless"]["ours"] < told["zipped_bytes"]["huawei_keyless"]["peer"]
    assert set(told["our_parts_zipped_bytes"]) == {"DependenciesLayer", "TaskCleanupLayer", "largest function"}

    page = (tmp_path / "performance.md").read_text()

    assert "$" not in page
    assert page.count("Huawei OMS SDK") >= 3
    assert len(list(ET.parse(tmp_path / "performance.svg").getroot())) == 2 + 4 * len(told["samples"])
