"""``make run`` tells the truth: it ends well, and it does not where one task is not as it should be."""

import json

from local.aws.stack import ROOT
from tests.support.tools import python

# A provider that loses a task by itself: nobody asked for it, and so the night was not as planned.
LOSING = """
from local.stories import night
drain = night.drain
def losing(cloud, poller, run_id, total, console):
    results = drain(cloud, poller, run_id, total, console)
    next(iter(cloud.emulators.huawei_oms.places.values())).tasks.popitem()
    return results
night.drain = losing
raise SystemExit(night.main(20))
"""


def test_the_night_goes_as_planned() -> None:
    done = python("-c", "from local.stories import night; raise SystemExit(night.main(30))")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "As planned:" in done.stdout
    assert "NOT SO" not in done.stdout

    page, report = ROOT / ".build/sweep/index.html", ROOT / ".build/sweep/report.json"

    assert "<!doctype html>" in page.read_text().lower()
    assert json.loads(report.read_text())["outcome"] == "reported"


def test_a_task_that_is_gone_unplanned_is_noticed() -> None:
    done = python("-c", LOSING)

    assert done.returncode == 1, done.stderr[-3000:]
    assert "NOT SO: exactly the planned tasks are gone" in done.stdout
