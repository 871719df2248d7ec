"""Estates that change while they are swept: exactly what was read, and is still so at every look, is deleted.

Every task may be restarted, end, vanish, be made anew, or be renamed: before the apply, which lists again, after its
list, and before its delete. The emulators' records and journal tell what was done; ``estates.py`` has the rules.
"""

import json
from dataclasses import dataclass
from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from local.emulators import Emulators
from tests.support.estates import Estate, PlaceKey, Seed, estates, is_as_read, is_wanted, plain, targets
from tests.support.functions import function_folders, operation_name
from tests.support.identities import PROJECT, fake_secret
from tests.support.looks import State
from tests.support.sweep_runs import apply, meanwhile
from tests.support.sweep_world import Json, SweepAws, SweepWorld, policy

FOLDERS = {operation_name(folder): folder for folder in function_folders()}
VALID_HOURS = 22


@dataclass(frozen=True)
class Night:
    """One example: the tasks, the hours between the steps, and what else goes on."""

    seeds: tuple[Seed, ...]
    hours: tuple[float, float]
    stop_running: bool
    max_tasks: int
    unlisted: str | None  # the service whose list fails when the report is applied
    twice: bool  # every request comes twice
    unknown: str  # how DMS shows a task that is gone: only a record with that status proves it


def nights() -> st.SearchStrategy[Night]:
    """Most of them are quiet, so that something is deleted."""
    return st.builds(
        Night,
        seeds=estates(),
        hours=st.tuples(st.sampled_from([0, 1, 5, 20]), st.sampled_from([0, 1, 1, 21, 23])),
        stop_running=st.booleans(),
        max_tasks=st.sampled_from([100, 100, 100, 100, 2]),
        unlisted=st.sampled_from([None] * 7 + ["huawei_oms", "otc_dms"]),
        twice=st.booleans(),
        unknown=st.sampled_from(["deleted_record", "DMS.00400070"]),
    )


class Story:
    """Report, apply and deletes of one night, with what was true at each step."""

    def __init__(self, world: SweepWorld, night: Night) -> None:
        self.world, self.night = world, night
        key = fake_secret("huawei")
        del key["project_id"]
        world.cloud.add_key("huawei", **key)  # of no project, so it may use both
        world.put_secret("huawei", {**key, "project_id": PROJECT})
        world.cloud.switches.update(dms_show_unknown=night.unknown)
        self.estate = Estate(world.cloud, night.seeds)
        self.results: list[tuple[PlaceKey, State | None, list[str], Json, Json]] = []
        self.deleted: set[PlaceKey] = set()

    @property
    def now(self) -> datetime:
        return self.world.system.now()

    def wanted(self) -> dict[PlaceKey, State | None]:
        """What the policy selects of what is there now, and how it looks."""
        return {
            key: State.of(record)
            for key, record in self.estate.records()
            if is_wanted(key[0], record, self.now, stop_running=self.night.stop_running)
        }

    def turn(self, stage: int) -> None:
        for key in self.estate.seeds:
            self.estate.turn(key, stage, self.now)

    def request(self) -> Json:
        statuses = ["succeeded", "failed", "cancelled"] + ["running"] * self.night.stop_running
        return policy(
            mode="report",
            run_id="seen",
            targets=targets(),
            select={
                "older_than": "P7D",
                "age_from": ["ended", "inferred", "created"],
                "running_since": "started",
                "statuses": statuses,
            },
            stop_running=self.night.stop_running,
            protect={"task_ids": ["3", "*3"], "names": ["*prod*"]},
            limits={"max_tasks": self.night.max_tasks, "max_fraction": 1},
        )

    def sweep(self) -> Json:
        """Report and apply, with what happens before and during the apply."""
        world = self.world
        self.read = self.wanted()
        summary = world.worker()(self.request())
        assert summary["outcome"] == "reported"
        world.pass_time(self.night.hours[0] * 3600)
        self.turn(0)
        if self.night.unlisted:
            world.cloud.faults.add("http_error", service=self.night.unlisted, status=403)
        now = self.wanted()
        self.going = {key: seen for key, seen in self.read.items() if now.get(key) == seen and key in now}
        self.there = set(self.estate.states())
        meanwhile(world, "PUT report.json", lambda: self.turn(1))
        ended: Json = world.worker()({**apply(world, "reports/seen/report.json"), "run_id": "run-1"})
        world.cloud.faults.clear()
        return ended

    def place_of(self, request: Json) -> PlaceKey:
        service = "_".join(request["operation"].split(".")[:2])
        names = {"huawei_oms": ("project_id",), "alibaba_elasticsearch": ("instance_id",)}
        return (
            service,
            *(request[name] for name in names.get(service, ("project_id", "instance_id"))),
            request["task_id"],
        )

    def _deliver(self, request: Json) -> Json:
        """The result of a request, which comes again for as long as its task is still stopping."""
        for _ in range(4):
            result: Json = self.world.function(FOLDERS[request["operation"]]).result(request)
            if (result["error"] or {}).get("code") != "TaskNotDeletable":
                break
        return result

    def delete(self) -> None:
        """The delete functions get the requests, each perhaps twice; tasks go on changing."""
        world = self.world
        world.pass_time(self.night.hours[1] * 3600)
        for request in world.requests():
            key = self.place_of(request)
            for time in range(1 + self.night.twice):
                if not time:
                    self.estate.turn(key, 2, self.now)
                before, done = self.estate.states().get(key), len(world.cloud.journal)
                result = self._deliver(request)
                effects = [entry for entry in world.cloud.journal.entries()[done:] if entry.effect]
                for entry in effects:
                    assert entry.ids["task_id"] == request["task_id"]
                told = [str(entry.effect) for entry in effects]
                self.results.append((key, before, told, request, result))
                if "deleted" in told:
                    self.deleted.add(key)


def check_decisions(story: Story, ended: Json) -> bool:
    """The apply asks for what was read, is as it was and is still wanted; where it is refused, for nothing."""
    night, requests = story.night, story.world.requests()
    asked = [story.place_of(request) for request in requests]
    if night.unlisted or len(story.going) > night.max_tasks:
        assert ended["outcome"] == "refused"
        assert asked == []
        return False
    assert ended["outcome"] == "requested"
    assert sorted(asked) == sorted(story.going)
    assert ended["totals"]["requested"] == len(asked)
    assert ended["totals"]["gone"] == len(set(story.read) - story.there)
    for request in requests:
        assert request["correlation_id"] == "run-1"
    return True


def check_results(story: Story) -> None:
    """Every result is true of what was done, and nothing was done that was not meant."""
    for key, before, effects, request, result in story.results:
        stops = request.get("stop_running", False)
        expected = is_as_read(story.read[key], before, stop_running=stops)
        outcome, code = result["outcome"], (result["error"] or {}).get("code")
        if story.now > datetime.fromisoformat(request["not_after"]):
            assert (effects, code) == ([], "Expired")
        elif expected and before is not None:
            assert outcome == "succeeded"
            assert effects == ["stopped"] * (before.status == 2) + ["deleted"]
        elif before is None:
            proven = not key[0].endswith("_dms") or story.night.unknown == "deleted_record"
            assert (outcome, effects) == ("unchanged" if proven else "failed", [])
        else:
            assert (outcome, code, effects) == ("failed", "TaskChanged", [])


def check_estate(story: Story) -> None:
    """Every other task is there, as its owner left it."""
    for key in story.deleted:
        story.estate.owned.pop(key)
    assert story.estate.left() == {key: plain(record) for key, record in story.estate.owned.items()}


@pytest.mark.exhaustive
@pytest.mark.timeout(300)
def test_what_was_read_and_is_still_so_is_deleted_and_nothing_else(
    sweep_world: SweepWorld,
    _sweep_clouds: tuple[Emulators, SweepAws],  # noqa: PT019 - every example empties them
) -> None:
    @settings(suppress_health_check=list(HealthCheck), max_examples=8)
    @given(nights())
    def holds(night: Night) -> None:
        world = SweepWorld(*_sweep_clouds, sweep_world.monkeypatch, sweep_world.capsys)
        story = Story(world, night)
        ended = story.sweep()
        note(json.dumps({name: ended[name] for name in ("outcome", "refusals", "totals")}))
        if check_decisions(story, ended):
            story.delete()
        note(json.dumps([result for *_, result in story.results]))
        check_results(story)
        check_estate(story)

    holds()
