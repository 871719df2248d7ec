"""The template's notices over the events that sweeps publish: one for each end, and every place is filled in."""

import json
import re
from typing import Any

import pytest
from moto.events.models import EventPattern

from local.aws.notices import transformed
from tests.support.sweep_world import Failure, Json, SweepWorld, policy, queued
from tests.support.template import Deployment

TOPIC = "arn:aws:sns:eu-central-1:123456789012:notices"
RULES = {
    name: it["Properties"]
    for name, it in Deployment(parameters={"NoticeTopicArn": TOPIC}).resources.items()
    if name.endswith("Notice")
}
ENDS = ("Sweep Completed", "Sweep Refused", "Sweep Failed", "Sweep Finished")


def notice(event: Json) -> list[tuple[str, str]]:
    """Name and text of each notice that a published event causes."""
    whole: Any = {
        "source": event["Source"],
        "detail-type": event["DetailType"],
        "detail": json.loads(event["Detail"]),
    }
    told = []
    for name, rule in RULES.items():
        if EventPattern.load(json.dumps(rule["EventPattern"])).matches_event(whole):
            (target,) = rule["Targets"]
            text, names = target["InputTransformer"]["InputTemplate"]["Fn::Sub"]
            assert names.keys() == {"Console"}
            told.append((name, transformed({**target["InputTransformer"], "InputTemplate": text}, whole)))
    return told


@pytest.mark.parametrize(
    ("request_", "step", "name"),
    [
        (policy(mode="report"), "", "SweepReportedNotice"),
        (policy(limits={"max_tasks": 1, "max_fraction": 1}), "", "SweepRefusedNotice"),
        ({"name": "no policy"}, "", "SweepRefusedEarlyNotice"),
        (policy(mode="report"), "PUT index.html", "SweepFailedNotice"),
        (policy(), "PutEvents Task Cleanup Requested", "SweepFailedNotice"),
        (policy(), "PUT requests.json", "SweepFailedNotice"),
        (policy(), "PUT summary.json", "SweepFailedNotice"),
        (policy(), "PUT report.json", "SweepFailedEarlyNotice"),
        (policy(), "PUT claim.json", "SweepFailedEarlyNotice"),
        (policy(), "GET summary.json", "SweepFailedEarlyNotice"),
        (policy(), "GET report.json", "SweepFailedEarlyNotice"),
    ],
)
def test_every_end_has_one_notice_with_all_in_it(
    sweep_world: SweepWorld, request_: Json, step: str, name: str
) -> None:
    sweep_world.seed()
    sweep_world.aws.failures[step] = Failure((403, "AccessDenied"))

    for receives in (1, 2, 3):
        if not sweep_world.worker()(queued(request_, "night-1", receives=receives))["batchItemFailures"]:
            break

    told = [it for event in sweep_world.aws.events if event["DetailType"] in ENDS for it in notice(event)]
    ((which, text),) = told
    lines = [json.loads(line) for line in text.splitlines()]
    assert which == name
    assert lines[1] == "Run: night-1"
    assert "<" not in text
    for line in lines:
        assert not re.search(r"  | [,.;)]|\( | \Z", line), f"a place is empty: {line}"


def test_requests_that_are_on_their_way_are_no_end(sweep_world: SweepWorld) -> None:
    sweep_world.seed()

    sweep_world.worker()(queued(policy(), "night-1"))

    (event,) = [event for event in sweep_world.aws.events if event["DetailType"] in ENDS]
    assert (event["DetailType"], notice(event)) == ("Sweep Completed", [])


def test_counts_are_those_of_the_run(sweep_world: SweepWorld) -> None:
    sweep_world.seed()
    sweep_world.aws.failures["PutEvents Task Cleanup Requested"] = Failure((403, "AccessDenied"))
    for receives in (1, 2, 3):
        sweep_world.worker()(queued(policy(), "night-1", receives=receives))
    ((_, end),) = sweep_world.summaries()

    ((_, text),) = notice(sweep_world.aws.events[-1])

    totals = end["totals"]
    assert totals["failed"] == totals["selected"] > 1
    assert (
        f"{totals['found']} tasks were found, {totals['selected']} selected, 0 deletes requested, "
        f"{totals['failed']} requests not sent."
    ) in text
