"""``make run`` tells the truth: it ends well, and it does not where one task is not as it should be."""

import json
import os
import subprocess
import sys

from local.stack import ROOT

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "PYTHONPATH": f"{ROOT / 'layers/task_cleanup/python'}{os.pathsep}{ROOT}",
    "PYTHONUNBUFFERED": "1",
}
# A provider that loses a task by itself: nobody asked for it, and so the night was not as planned.
LOSING = """
from local import night
drain = night.drain
def losing(cloud, poller, run_id, total, console):
    results = drain(cloud, poller, run_id, total, console)
    cloud.emulators.huawei_oms.tasks.popitem()
    return results
night.drain = losing
raise SystemExit(night.main(20))
"""


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_the_night_goes_as_planned() -> None:
    done = _python("-c", "from local import night; raise SystemExit(night.main(30))")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "As planned:" in done.stdout
    assert "NOT SO" not in done.stdout
    page, report = ROOT / ".build/sweep/index.html", ROOT / ".build/sweep/report.json"
    assert "<!doctype html>" in page.read_text().lower()
    assert json.loads(report.read_text())["outcome"] == "reported"


def test_a_task_that_is_gone_unplanned_is_noticed() -> None:
    done = _python("-c", LOSING)
    assert done.returncode == 1, done.stderr[-3000:]
    assert "NOT SO: exactly the planned tasks are gone" in done.stdout
