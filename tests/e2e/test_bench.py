"""``make bench`` in its shortest form: it runs, and no number is missing. No number is judged."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.cold_start import plot, report
from bench.cold_start.__main__ import run
from bench.cold_start.build import HUAWEI_OMS
from tests.support.artifact_bench import why_not_here

NOT_HERE = why_not_here()
pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(NOT_HERE is not None, reason=f"NOT CHECKED, make bench: {NOT_HERE}"),
]


def test_bench_measures_and_writes_all_it_promises(built: Path, tmp_path: Path) -> None:
    results = run(built, tmp_path / "peers", rounds=1, invocations=2, peers=[HUAWEI_OMS], compiled=False)
    report.write(results, tmp_path, tmp_path / "samples.json")
    plot.write(results, tmp_path / "performance.svg")
    told = json.loads((tmp_path / "samples.json").read_text())
    assert set(told["samples"]) == {"huawei_oms/ours", "huawei_oms/bare", "floor/compiled"}
    for name, samples in told["samples"].items():
        assert len(samples) == 1
        wanted = {"cold", "cold_cpu", "init", "first", "memory"}
        wanted |= set() if name.endswith("bare") else {"warm", "warm_cpu"}
        assert {key for key, value in samples[0].items() if value is not None} == wanted
    assert set(told["ratios"]) >= {"cold, peer as `sam build` leaves it / huawei_oms", "cold / floor"}
    assert 0 < told["zipped_bytes"]["huawei_oms"]["ours"] < told["zipped_bytes"]["huawei_oms"]["peer"]
    assert set(told["our_parts_zipped_bytes"]) == {"DependenciesLayer", "TaskCleanupLayer", "largest function"}

    page = (tmp_path / "performance.md").read_text()

    assert "$" not in page
    assert page.count("Huawei OMS SDK") >= 3
    assert len(list(ET.parse(tmp_path / "performance.svg").getroot())) == 2 + 4 * len(told["samples"])
