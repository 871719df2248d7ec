"""The pages that runs write: what they tell people to do is what the sweep takes."""

import hashlib
import json
import shlex
from typing import Any

from tests.support.handler_world import NOW
from tests.support.report_page import Document, notices, rows
from tests.support.sweep_runs import check_requests, new_report
from tests.support.sweep_world import OLD, PLANNED, SweepWorld, milliseconds, oms_task


def page_of(sweep_world: SweepWorld, run_id: str) -> Document:
    """The page of a run, as it is stored."""
    return Document(sweep_world.aws.objects[f"reports/{run_id}/index.html"].body.decode())


def asked_by(document: Document) -> Any:
    """The body of the request that the page tells people to send."""
    return json.loads(shlex.split(document.one("pre").text)[-1])


def test_the_command_on_the_page_applies_the_report(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    key = new_report(sweep_world)
    document = page_of(sweep_world, "seen")
    digest = hashlib.sha256(sweep_world.aws.objects[key].body).hexdigest()

    request = asked_by(document)

    assert request == {"apply_report": key, "sha256": digest}
    assert digest in document.one("dl", "facts").text
    assert sweep_world.worker()({"run_id": "run-1", **request})["outcome"] == "requested"
    check_requests(sweep_world)


def test_a_task_that_was_started_again_is_on_the_page_of_the_apply(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    new_report(sweep_world)
    request = asked_by(page_of(sweep_world, "seen"))
    for place in sweep_world.cloud.huawei_oms.places.values():
        place.remove("1001")
    sweep_world.cloud.seed({**oms_task(1001, 2, OLD), "start_time": milliseconds(NOW) - 120_000})

    sweep_world.worker()({"run_id": "run-1", **request})

    document = page_of(sweep_world, "run-1")
    (row,) = [row.text for row in rows(document) if row.text.startswith("Changed")]
    assert "1001" in row
    assert "it is not as it was when the report was made: " in row
    assert "tasks that have changed since the plan was made (1)." in document.one("header").text
    assert "results/run-1/index.html" in document.one("header").text
    check_requests(sweep_world, PLANNED - {("huawei_oms", "1001")})


def test_a_guard_in_another_tools_syntax_is_the_first_thing_on_the_page(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    new_report(sweep_world, protect={"task_ids": [], "names": [".*prod.*"]})

    first, *_ = notices(page_of(sweep_world, "seen"))

    assert first.startswith("1 entry of protect matches no task")
    assert ".*prod.* in protect.names" in first
