"""Whatever the provider answers to a change and to the looks at its task, the result is true of what was done.

The emulators' own store and journal tell what was done. Every example is a task in some state, perhaps another one
by the time of the change, with trouble of some kind for the change and for the looks.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from local.emulators import KINDS, Emulators, Entry, Platform, make_services
from task_cleanup.providers.model import Service
from tests.support.aws import FakeAws
from tests.support.functions import load_operation, service_of
from tests.support.handler_world import HandlerWorld
from tests.support.looks import LOOKED_AT, OMS, State, seen
from tests.support.scenes import OMS_RUNNING, is_stop, put_task
from tests.support.triggers import arrival, request_of

ROUTES = [route for service in make_services(Platform(0)).values() for route in service.routes]
LOOKS = frozenset(route.operation for route in ROUTES if route.method == "GET")
CHANGES = frozenset(route.operation for route in ROUTES) - LOOKS
AFTER_STOP = (3, 7)  # of OMS: paused, pausing
PROOFS = ("deleted_record",)  # of what DMS may show of a task that is gone
RETRYABLE = frozenset({"throttled", "unavailable", "timeout", "conflict"})
UNKNOWN = ("New.Unheard.Of", "Throttling.New")  # codes that no table has
LAMBDA_SECONDS = 29

Fault = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """One example. ``turn`` is what becomes of the task before the request comes, or between look and change."""

    running: bool
    turn: str
    late: bool  # the turn comes between look and change
    expects: str  # "nothing", "anything" or "all"
    stop_running: bool
    trigger: str
    to_change: Fault | None
    to_looks: Fault | None
    slow: bool  # the first call takes nearly all the time
    switches: Mapping[str, Any]


def faults(service: Service, *, made: bool) -> st.SearchStrategy[Fault]:
    """Replies that are not the emulator's own; ``made``: to a change, which may be made all the same."""
    # A code by which an operation is told that it was done already would be a lie.
    known = sorted(set(service.errors.codes) - {"OMS.1009", "OMS.0066", "OMS.0070"})
    statuses = (400, 401, 403, 404, 408, 409, 429, 500, 503)
    kinds: list[st.SearchStrategy[dict[str, Any]]] = [
        st.fixed_dictionaries({"kind": st.sampled_from(["reset_before", "throttle", "redirect", "away"])}),
        st.fixed_dictionaries({"kind": st.just("garbage"), "variant": st.sampled_from(["html", "truncated"])}),
        st.fixed_dictionaries({"kind": st.just("http_error"), "status": st.sampled_from((201, *statuses))}),
        st.fixed_dictionaries(
            {
                "kind": st.just("error"),
                "status": st.sampled_from((200, *statuses)),
                "code": st.sampled_from([*UNKNOWN, *known]),
            }
        ),
    ]
    if made:
        kinds.append(st.just({"kind": "reset_after"}))
    else:
        kinds.append(st.fixed_dictionaries({"kind": st.sampled_from(["hide", "other_record"])}))
    parts = st.tuples(st.one_of(kinds), st.booleans() if made else st.just(False), st.sampled_from([1, 2, None]))
    return parts.map(lambda found: {**found[0], "made": found[1] and _may_be_made(found[0]), "count": found[2]})


def _may_be_made(fault: Fault) -> bool:
    """A refusal that is known, throttling, or a rejected signature, of a change that was made would be a lie that
    nothing can find.
    """
    says_no = fault["kind"] == "throttle" or fault.get("status") in (401, 429) or "Throttl" in fault.get("code", "")
    return not says_no and fault.get("code") in (None, *UNKNOWN)


def cases(folder: str) -> st.SearchStrategy[Case]:
    """All that can come together for a function."""
    service = load_operation(folder).service
    return st.builds(
        Case,
        running=st.booleans(),
        turn=st.sampled_from(["none", "none", "renamed", "started", "stopped", "gone"]),
        late=st.booleans(),
        expects=st.sampled_from(["nothing", "anything", "all", "all"]),
        stop_running=st.booleans() if folder == OMS else st.just(False),
        trigger=st.sampled_from(["direct", "sqs_eventbridge", "http"]),
        to_change=st.none() | faults(service, made=True),
        to_looks=st.none() | st.none() | faults(service, made=False),
        slow=st.sampled_from([False, False, False, True]),
        switches=st.fixed_dictionaries(
            {
                "deleted_seen_s": st.sampled_from([0, 0, 60]),
                "dms_show_unknown": st.sampled_from(["DMS.00400070", "404", "empty", "deleted_record"]),
                "dms_delete_unknown": st.sampled_from(["DMS.00400070", "404", "204"]),
                "dms_delete_running": st.sampled_from(["DMS.00400017", "allow"]),
                "alibaba_delete_unknown": st.sampled_from(["result_false", "error", "result_true"]),
                "alibaba_delete_running": st.sampled_from(["allow", "refuse"]),
                "oms_delete_unknown": st.sampled_from(["OMS.1009", "404", "OMS.0054"]),
                "oms_running_again": st.sampled_from([0, 1]),
                "oms_stop_ms": st.just(60_000),
            }
        ),
    )


class Scene:
    """One function, its task, and what is known about every call when it is sent."""

    def __init__(self, world: HandlerWorld, folder: str, case: Case) -> None:
        self.world, self.folder, self.case = world, folder, case
        self.kind, service = KINDS[service_of(folder)], world.cloud.services[service_of(folder)]
        self.store = service.store
        self.task_id = str(request_of(folder)["task_id"])
        self.states: list[State | None] = []

    @property
    def state(self) -> State | None:
        (place,) = self.store.places.values()
        return State.of(place.tasks.get(self.task_id))

    def turn(self) -> None:
        (place,) = self.store.places.values()
        record, turn = place.tasks.get(self.task_id), self.case.turn
        if record is None:
            return
        if turn == "gone":
            place.remove(self.task_id, float("-inf"))
        elif turn == "renamed":
            setattr(record, "name" if hasattr(record, "name") else "source_index", "renamed")
        elif turn == "started":
            record.status = self.kind.running
            if hasattr(record, "start_time"):
                record.start_time += 60_000
        elif turn == "stopped":
            record.status = self.kind.final[-1]

    def run(self) -> dict[str, Any]:
        world, folder, case = self.world, self.folder, self.case
        status = self.kind.running if case.running or is_stop(folder) else self.kind.final[0]
        request = request_of(folder)
        put_task(world, folder, request, status=status)
        expected: dict[str, Any] | None = None if case.expects == "nothing" else {}
        if case.expects == "all":
            expected = seen(world, folder, request)["expected"]
        self.expected = self.state
        if not case.late:
            self.turn()
        world.cloud.switches.update(**case.switches)
        for operations, fault in ((CHANGES, case.to_change), (LOOKS, case.to_looks)):
            for operation in operations if fault else ():
                world.cloud.faults.add(**{"operation": operation, **(fault or {})})
        self.before = len(world.cloud.journal)
        world.on_nonce = self.on_call
        changes = {"expected": expected, "stop_running": case.stop_running or None}
        function = world.function(folder)
        outcome = function.invoke(arrival(folder, case.trigger, changes).event)
        assert outcome.error is None
        *_, result = world.logged_results()
        return result

    def on_call(self) -> None:
        if self.case.slow and self.case.expects != "nothing" and not self.states:
            reserve = {"direct": 4, "http": 1, "sqs_eventbridge": 7}[self.case.trigger]
            self.world.pass_time(LAMBDA_SECONDS - reserve - 2)
        looked = any(entry.operation in LOOKS and entry.status == 200 for entry in self.entries)
        if self.case.late and looked and len(self.entries) == len(self.states):
            self.turn()
            self.case = Case(**{**vars(self.case), "turn": "none"})
        self.states.append(self.state)

    @property
    def entries(self) -> list[Entry]:
        return self.world.cloud.journal.entries()[self.before :]

    @property
    def effects(self) -> list[str]:
        return [entry.effect for entry in self.entries if entry.effect]

    @property
    def sent(self) -> list[int]:
        """Which of the calls were changes."""
        return [number for number, entry in enumerate(self.entries) if entry.operation in CHANGES]

    def calls_of_looks(self) -> dict[str, list[tuple[Entry, State | None]]]:
        """The calls of the look before and of the one after the change, each with the task as it was then."""
        calls, first = list(zip(self.entries, self.states, strict=True)), (self.sent or [len(self.entries)])[0]
        parts = {"before": calls[:first], "after": calls[first:]}
        found = {when: [call for call in part if call[0].operation in LOOKS] for when, part in parts.items()}
        return {when: part for when, part in found.items() if part}

    @property
    def is_proven(self) -> bool:
        """Whether a look at a task that is gone proves it."""
        return not service_of(self.folder).endswith("_dms") or self.case.switches["dms_show_unknown"] in PROOFS

    def is_stopped(self, state: State | None) -> bool:
        return is_stop(self.folder) and state is not None and state.status != OMS_RUNNING


def check_looks(scene: Scene, result: dict[str, Any]) -> None:
    """What was seen is said, as it was; and what was not there then is no failure."""
    wanted, switches = scene.calls_of_looks(), scene.case.switches
    told = [look for look in result["looks"] if look["when"] in wanted or look["found"] is not None]
    assert [look["when"] for look in told] == list(wanted)
    assert ("before" in wanted) <= (scene.case.expects != "nothing")
    for look in told:
        entry, state = wanted[look["when"]][-1]
        if look["found"] is False:
            assert result["outcome"] == "unchanged"
        if "other_record" in entry.faults and entry.operation != "ListDataTasks":
            assert look["found"] is not True
        if entry.faults or switches["deleted_seen_s"]:
            continue
        assert look["found"] is (True if state else False if scene.is_proven else None)
        assert state is None or look["provider_status"] == str(state.status)


def check_success(scene: Scene, result: dict[str, Any]) -> None:
    """Nobody is told that the task is gone, or stopped, who would find it as it was."""
    done = scene.state is None or scene.is_stopped(scene.state)
    if result["outcome"] == "succeeded":
        assert done
        assert scene.sent
        assert result["error"] is None
    if result["outcome"] == "unchanged":
        assert done or any("hide" in entry.faults for entry in scene.entries)
        assert result["error"]["code"]


def check_failure(scene: Scene, result: dict[str, Any]) -> None:
    """No failure hides a change."""
    error = result["error"] or {}
    failed = result["outcome"] in {"failed", "conflict"}
    if failed and scene.effects:
        detail = error["detail"]
        assert detail.get("note") or (detail["stop"] and scene.effects == ["stopped"])
    goal = "stopped" if is_stop(scene.folder) else "deleted"
    looked = scene.case.to_looks is None and scene.is_proven and not scene.case.switches["deleted_seen_s"]
    if goal in scene.effects and looked and error.get("category") != "unauthenticated":
        assert not failed
    retryable = error.get("category") in RETRYABLE or error.get("code") == "CredentialSuspended"
    assert result["retryable"] == (retryable and failed)


def check_restraint(scene: Scene, result: dict[str, Any]) -> None:
    """Nothing is touched that was not meant, nor without a look where one was asked for."""
    case, before = scene.case, scene.calls_of_looks().get("before")
    assert result["attempts"] == len(scene.sent)
    if case.expects != "nothing" and scene.sent:
        assert before
        state = before[-1][1]
        # What our stop leads to is expected, and a list or show that lags behind a delete still has the record.
        as_stopped = (
            state is not None
            and scene.expected == State(OMS_RUNNING, state.name, state.begun)
            and state.status in AFTER_STOP
            and (is_stop(scene.folder) or case.stop_running)
        )
        lagging = state is None and case.switches["deleted_seen_s"] > 0
        assert case.expects == "anything" or state == scene.expected or as_stopped or lagging
    if "stopped" in scene.effects and not is_stop(scene.folder):
        assert case.stop_running
        assert case.expects == "nothing" or (case.expects == "all" and before and scene.expected == before[-1][1])


@pytest.mark.exhaustive
@pytest.mark.parametrize("folder", LOOKED_AT)
def test_the_result_is_true(
    folder: str,
    _clouds: tuple[Emulators, FakeAws],  # noqa: PT019 - the servers, which every example empties
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    @settings(suppress_health_check=list(HealthCheck), max_examples=60)
    @given(cases(folder))
    def holds(case: Case) -> None:
        scene = Scene(HandlerWorld(*_clouds, monkeypatch, capsys), folder, case)
        result = scene.run()
        note(json.dumps(result))

        assert len(scene.entries) == len(scene.states)
        assert result["accepted"] == (is_stop(folder) and result["outcome"] == "succeeded")
        for check in (check_looks, check_success, check_failure, check_restraint):
            check(scene, result)

    holds()
