"""``make run`` tells the truth: it ends well, and it does not where one task is not as it should be."""

import json
import re
from collections import Counter

from local.aws.stack import ROOT
from local.stories import night
from tests.support.tools import python

PLACE = ROOT / night.PLACE
SIZE = 14  # tasks of each of four services
THINGS = 4 * SIZE + 1  # and an instance of a service that no target names
# A provider that loses a task by itself: nobody asked for it, and so the night was not as planned. In a single night,
# ages are known from other times only; that the first look then selects by them is not as planned either.
LOSING = """
from local.stories import night
drain = night.drain
def losing(story, run_id, total):
    told = drain(story, run_id, total)
    next(iter(story.cloud.emulators.huawei_oms.places.values())).tasks.popitem()
    return told
night.drain, night.NIGHTS = losing, 1
night.POLICY["select"] |= night.AT_ONCE
raise SystemExit(night.main(12))
"""


def test_the_nights_go_as_planned() -> None:
    done = python("-c", f"from local.stories import night; raise SystemExit(night.main({SIZE}))")
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-3000:]
    said = done.stdout
    assert "As planned:" in said
    assert "NOT SO" not in said
    assert len(said.splitlines()) <= 64

    report, page = json.loads((PLACE / "report.json").read_text()), (PLACE / "index.html").read_text()
    totals, first = report["totals"], json.loads((PLACE / "first.json").read_text())
    assert page.lower().lstrip().startswith("<!doctype html>")
    # The counts that are printed are those of the reports, and what no target has is named.
    assert f"{THINGS} things are left over: {totals['found']} tasks in the policy's 4 targets, and 1 outside" in said
    assert re.search(
        rf"{first['ages_wanting']['tasks']} tasks wait for an age: \d+ alibaba.elasticsearch, \d+ huawei", said
    )
    assert "Policy: ended over 7 days ago, or seen for 7 days; running tasks that started over 7 days ago" in said
    assert f"protect *prod*, {night.MISSPELT} and 1 id; at most 300 tasks and 80 % of those found." in said
    running = Counter(task["stop_running"] for it in report["targets"] for task in it["tasks"])[True]
    assert re.search(rf"huawei\.oms cn-north-1 .* \d+ +\({running} running, stopped first\)", said)
    for basis in ("inferred", "created"):
        assert f'age_from "{basis}" would select {first["ages_wanting"]["age_from"][basis]}' in said
    assert f"protect entry {night.MISSPELT} matched NO task" in said
    nights = re.findall(r"night (\d)  \S+ 03:00 +(\d+) selected, +(\d+) wait", said)
    assert [int(number) for number, _, _ in nights] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert nights[-1] == ("8", str(totals["selected"]), "0")
    assert int(nights[6][2]) == first["ages_wanting"]["tasks"] > 0

    (restarted,) = re.findall(r"huawei\.oms (\d+) is kept \(changed\)", said)
    deletes = totals["selected"] - 1
    assert f"somebody has restarted task {restarted}" in said
    assert f"Sweep Finished: {deletes} requested, {deletes} succeeded, 0 unchanged, 0 changed, 0 failed" in said
    assert f"{deletes} of {THINGS} deleted, {THINGS - deletes} kept" in said
    assert f"index.html, the plan: {deletes + 1} selected" in said
    assert f"{deletes} deleted; {THINGS - deletes} kept = {THINGS - 1 - deletes} in the targets + 1 outside" in said
    assert str(deletes) in (PLACE / f"results/{night.APPLY}/index.html").read_text()
    named = re.findall(rf"{night.PLACE}/(\S+/index\.html|index\.html)", said)
    assert len(named) == 3
    for page in named:
        links = re.findall(r'href="([^#"]+)"', (PLACE / page).read_text())
        assert links
        assert [link for link in links if not ((PLACE / page).parent / link).is_file()] == []


def test_a_task_that_is_gone_unplanned_is_noticed() -> None:
    done = python("-c", LOSING)

    assert done.returncode == 1, done.stderr[-3000:]
    assert "NOT SO: exactly the planned tasks are gone" in done.stdout
