"""Every command of docs/runbook.md, docs/operations.md and README.md, copied block by block into one shell.

The local stack has another name than the documents', so that a name that is written down somewhere is noticed; its
queues are polled all the time, as by Lambda. Before some blocks something goes wrong, as before the alarm.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.aws.cloud import LOCAL_AWS_IDENTITY, PROJECT_ID, LocalCloud
from local.aws.runner import HttpApi, QueuePoller
from local.aws.stack import ROOT
from local.stories import seeds, serve
from local.stories.serve import POLL_SECONDS
from local.stories.tour import QUIET
from tests.support.documents import Block, blocks
from tests.support.shell import Said, Shell

pytestmark = pytest.mark.timeout(300)  # whichever test comes first runs a whole document

STACK = "cleanup-rehearsal"
DOCUMENTS = ("docs/runbook.md", "docs/operations.md", "README.md")
DELETE = {"operation": "huawei.oms.DeleteTask", "region": "cn-north-4"}
RUNNING, FINISHED = str(seeds.OMS_RUNNING), str(seeds.OMS_FINISHED)  # the documents name these two
COUNTS = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

# What may be left out, with a reason: builds, deployments, keys. The local stack has its own keys.
LEFT_OUT = re.compile(r"^make |^pipx install |\bsam (deploy|delete)\b|\bcreate-secret\b", re.MULTILINE)

KILLED = ["RequestId: 1 Error: Runtime exited with error: signal: killed", '{"level": "ERROR"}']

RUN_OF_THE_FIRST = "$(sed -nE 's/^0: .* Sweep Requested ([^ ]+) · .*/\\1/p' lines.txt)"

Place = tuple[str, int]  # heading, and which of its blocks


@dataclass
class World:
    """The local cloud, and what happens in it before a block."""

    cloud: LocalCloud
    url: str
    results: list[dict[str, Any]]  # of the operations, as they were published

    def queue(self, name: str) -> str:
        return self.cloud.stack.queue_urls[name]

    def waits(self, name: str, count: int = 1) -> None:
        """Until so many messages are in a queue, those that are being worked on too."""
        for _ in range(300):
            counted = self.cloud.sqs.get_queue_attributes(QueueUrl=self.queue(name), AttributeNames=COUNTS)
            if sum(map(int, counted["Attributes"].values())) == count:
                return
            threading.Event().wait(0.1)
        raise AssertionError(f"{name} has not {count} messages but {counted['Attributes']}")

    def begins_anew(self) -> None:
        """Whatever another document has left: nothing waits, nothing has failed, and the two tasks are there."""
        for name in self.cloud.stack.queue_urls:
            if re.search("DeadLetter|Unrouted|ListFailures", name):
                self.cloud.take(self.queue(name))
            else:
                self.waits(name, 0)
        for task_id, status in ((RUNNING, 2), (FINISHED, 5)):
            self.cloud.emulators.huawei_oms.add_task(PROJECT_ID, int(task_id), status=status)

    # -- before the blocks ------------------------------------------------

    def three_failures(self) -> None:
        """Moved by the function (a plain request: only attributes keep its id), by SQS, and by Lambda (a crash)."""
        self.begins_anew()
        self.cloud.sqs.send_message(
            QueueUrl=self.queue("HuaweiOmsDeleteTaskQueue"), MessageBody=json.dumps({**DELETE, "task_id": RUNNING})
        )
        self.waits("HuaweiOmsDeleteTaskDeadLetterQueue", 1)
        crashed = {
            "timestamp": "2026-11-21T03:00:00.000Z",
            "requestContext": {"requestId": "11111111-aaaa-bbbb-cccc-222222222222"},
            "requestPayload": {**DELETE, "task_id": "7"},
            "responsePayload": {"errorType": "Runtime.ExitError", "errorMessage": "signal: killed"},
        }
        for body in ({**DELETE, "task_id": "6"}, crashed):
            self.cloud.sqs.send_message(
                QueueUrl=self.queue("HuaweiOmsDeleteTaskDeadLetterQueue"), MessageBody=json.dumps(body)
            )

    def the_task_has_ended(self) -> None:
        self.cloud.emulators.huawei_oms.add_task(PROJECT_ID, int(RUNNING), status=5)

    def the_last_one_can_succeed(self) -> None:
        self.waits("HuaweiOmsDeleteTaskQueue", 0)
        self.cloud.emulators.huawei_oms.add_task(PROJECT_ID, 7, status=5)

    def a_function_that_was_killed(self) -> None:
        logs = self.cloud.client("logs")
        place = {"logGroupName": f"/aws/lambda/{STACK}/huawei_oms_delete_task", "logStreamName": "a"}
        logs.create_log_stream(**place)
        now = int(self.cloud.clock.now().timestamp() * 1000)
        logs.put_log_events(**place, logEvents=[{"timestamp": now, "message": it} for it in KILLED])

    def an_unrouted_request(self) -> None:
        self.cloud.put_event({**DELETE, "operation": "huawei.oms.DeleteTsk", "task_id": FINISHED})
        self.waits("UnroutedRequestsQueue")

    def only_a_crashed_list(self) -> None:
        self.begins_anew()
        self.a_crashed_list()

    def a_crashed_list(self) -> None:
        record = {
            "timestamp": "2026-11-21T03:00:00.000Z",
            "requestContext": {"requestId": "33333333-aaaa-bbbb-cccc-444444444444"},
            "requestPayload": {"operation": "huawei.oms.ListTasks", "region": "cn-north-4"},
            "responsePayload": {
                "errorType": "Sandbox.Timedout",
                "errorMessage": "Task timed out after 29.00 seconds",
            },
        }
        self.cloud.sqs.send_message(QueueUrl=self.queue("ListFailuresQueue"), MessageBody=json.dumps(record))

    def a_refused_sweep(self) -> None:
        policy = {**serve.documented_policy(), "name": "too-much", "mode": "apply", "limits": {"max_tasks": 0}}
        policy.pop("run_id", None)
        self.cloud.put_event(policy, detail_type="Sweep Requested")
        self.waits("SweepDeadLetterQueue")

    def a_result_that_could_not_be_gathered(self) -> None:
        self.cloud.sqs.send_message(QueueUrl=self.queue("SweepResultsDeadLetterQueue"), MessageBody='{"detail": {}}')


BEFORE: Mapping[tuple[str, Place], Callable[[World], None]] = {
    ("docs/runbook.md", ("First", 1)): World.only_a_crashed_list,
    ("docs/runbook.md", ("Dead letter alarm", 0)): World.three_failures,
    ("docs/runbook.md", ("Dead letter alarm", 1)): World.the_task_has_ended,
    ("docs/runbook.md", ("Dead letter alarm", 7)): World.the_last_one_can_succeed,
    ("docs/runbook.md", ("Errors alarm", 0)): World.a_function_that_was_killed,
    ("docs/runbook.md", ("Unrouted requests alarm", 0)): World.an_unrouted_request,
    ("docs/runbook.md", ("List failures alarm", 0)): World.a_crashed_list,
    ("docs/runbook.md", ("Sweep refused alarm", 0)): World.a_refused_sweep,
    ("docs/runbook.md", ("Sweep results dead letter alarm", 0)): World.a_result_that_could_not_be_gathered,
}

# What the reader changes in a file before a block, as the text around it says.
EDITS: Mapping[tuple[str, Place], str] = {
    ("docs/runbook.md", ("Unrouted requests alarm", 2)): "sed -i s/DeleteTsk/DeleteTask/ request.json",
    ("docs/runbook.md", ("Sweep refused alarm", 3)): "sed -i -E 's/(\"max_tasks\"): 0/\\1: 100/' policy.json",
}


def numbered(document: str) -> Iterator[tuple[Place, Block]]:
    """The blocks of a document, each with its heading and its number under it."""
    seen: dict[str, int] = {}
    for block in blocks((ROOT / document).read_text()):
        number = seen[block.heading] = seen.get(block.heading, -1) + 1
        yield (block.heading, number), block


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    stopping = threading.Event()
    with (
        LocalCloud(variables=QUIET, stack_name=STACK) as cloud,
        HttpApi(cloud) as api,
    ):
        serve.a_week_of_reports(cloud)
        cloud.open_to_commands(api.url)
        poller = QueuePoller(cloud)

        def poll() -> None:
            while not stopping.wait(POLL_SECONDS):
                poller.drain()
                results.extend(cloud.results())

        results: list[dict[str, Any]] = []
        polling = threading.Thread(target=poll)
        polling.start()
        try:
            yield World(cloud, api.url, results)
        finally:
            stopping.set()
            polling.join()


Runs = dict[Place, Said]


@pytest.fixture(scope="module")
def run(world: World, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Runs]:
    """Runs a document's blocks, once."""
    done: dict[str, Runs] = {}

    def once(document: str) -> Runs:
        if document not in done:
            folder = tmp_path_factory.mktemp(Path(document).stem)
            done[document] = all_blocks(world, document, folder)
        return done[document]

    return once


def shell_of(world: World, folder: Path) -> Shell:
    environment = {
        **LOCAL_AWS_IDENTITY,
        "AWS_SESSION_TOKEN": "",
        "AWS_ENDPOINT_URL": world.cloud.aws_url,
        "AWS_PAGER": "",
        "STACK": STACK,
    }
    return Shell(folder, environment)


def on_the_stack(script: str) -> str:
    """The block, as somebody pastes it who has another stack, and takes the first message of the last look."""
    script = re.sub(r"^STACK=\S+", f"STACK={STACK}", script, flags=re.MULTILINE)
    script = re.sub(r"^(discard|redrive|show) N\b", r"\1 0", script, flags=re.MULTILINE)
    return re.sub(r"\bRUN\b", lambda _: RUN_OF_THE_FIRST, script)


def all_blocks(world: World, document: str, folder: Path) -> Runs:
    said: Runs = {}
    with shell_of(world, folder) as shell:
        for place, block in numbered(document):
            if block.reason is not None:
                continue
            if before := BEFORE.get((document, place)):
                before(world)
            if edit := EDITS.get((document, place)):
                assert not shell.run(edit).failures
            said[place] = shell.run(on_the_stack(block.script))
    return said


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_works_on_a_stack_of_any_name(run: Callable[[str], Runs], document: str) -> None:
    said = run(document)

    assert {place: it for place, it in said.items() if it.failures} == {}
    assert len(said) >= 3


@pytest.mark.parametrize("document", DOCUMENTS)
def test_only_what_cannot_run_here_is_left_out_and_says_why(document: str) -> None:
    left_out = [block for _, block in numbered(document) if block.reason is not None]

    assert [block for block in left_out if not LEFT_OUT.search(block.script)] == []
    assert [block for block in left_out if not re.search(r"\w \w", str(block.reason))] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_stack_is_named_once(document: str) -> None:
    scripts = [block.script for _, block in numbered(document) if block.reason is None]

    assert sum(len(re.findall(r"^STACK=", script, flags=re.M)) for script in scripts) <= 1
    assert not [
        it for it in scripts if re.search(r"--stack-name (?!\"?\$STACK)|EventBusName\\?\": \\?\"task-cleanup", it)
    ]


def test_scenes_are_those_of_blocks_that_are_there() -> None:
    there = {(document, place) for document in DOCUMENTS for place, _ in numbered(document)}

    assert BEFORE.keys() | EDITS.keys() <= there


# -- what the runbook's commands bring about ------------------------------------------------

RUNBOOK = "docs/runbook.md"


def test_look_says_why_messages_failed_whoever_moved_them(run: Callable[[str], Runs]) -> None:
    lines = run(RUNBOOK)["Dead letter alarm", 0].text.split("\n")[:3]

    by_function, by_sqs, by_lambda = lines
    assert re.match(
        rf"0: \S+Z huawei.oms.DeleteTask cn-north-4 {RUNNING} · conflict · conflict OMS.0063: .+ · origin \S{{36}}$",
        by_function,
    )
    assert re.match(
        r"1: \S+Z huawei.oms.DeleteTask cn-north-4 6 · no result · SQS moved it after its last receive · origin \S+$",
        by_sqs,
    )
    assert "2: " in by_lambda
    assert "cn-north-4 7 · no result · Runtime.ExitError: signal: killed · origin" in by_lambda


def test_a_redriven_message_is_carried_out_as_the_same_request(run: Callable[[str], Runs], world: World) -> None:
    said = run(RUNBOOK)
    origin = said["Dead letter alarm", 0].text.split("\n")[0].rpartition(" ")[2]

    assert re.search(
        rf"^redriven 0: .* {RUNNING} · conflict .* · from \S*DeadLetterQueue\S*\n0: ",
        said["Dead letter alarm", 1].text,
        flags=re.M,
    )
    deleted = [it for it in world.results if it["outcome"] == "succeeded" and it["target"].get("task_id") == RUNNING]
    assert [it["correlation_id"] for it in deleted] == [origin]


def test_a_discarded_message_is_gone_and_the_others_are_not(run: Callable[[str], Runs]) -> None:
    before, after = (run(RUNBOOK)["Dead letter alarm", number].text for number in (1, 2))

    assert re.findall(r"^\d: .*cn-north-4 (\d+) ·", before, flags=re.M) == ["6", "7"]
    assert re.findall(r"^\d: .*cn-north-4 (\d+) ·", after, flags=re.M) == ["7"]
    assert re.search(r"^discarded 0: .*cn-north-4 6 · .* · from \S*DeleteTaskDeadLetterQueue", after, flags=re.M)
    assert "in the queue, about: 1" in after


def test_all_messages_are_redriven_with_their_ages(run: Callable[[str], Runs], world: World) -> None:
    assert "COMPLETED\t1" in run(RUNBOOK)["Dead letter alarm", 7].text
    world.waits("HuaweiOmsDeleteTaskQueue", 0)
    of_it = [it for it in world.results if it["correlation_id"] == "11111111-aaaa-bbbb-cccc-222222222222"]
    assert (of_it[0]["outcome"], of_it[0]["target"]["task_id"]) == ("succeeded", "7")


def test_a_new_request_is_carried_out(run: Callable[[str], Runs], world: World) -> None:
    """By the runbook's ``request``: of the failed message, of the example, and of the unrouted request."""
    said = run(RUNBOOK)
    assert json.loads(said["Dead letter alarm", 3].text) == {**DELETE, "task_id": "7"}
    assert [said["Dead letter alarm", number].text.split() for number in (4, 5, 6)] == [["requested"]] * 3
    asked = {it["target"].get("task_id"): it["outcome"] for it in world.results if it["requested_by"] == "runbook"}
    assert asked["7"] == asked[RUNNING] == "unchanged"
    assert asked[FINISHED] == "succeeded"


def test_what_nobody_has_carried_out_is_shown_and_can_be_thrown_away(run: Callable[[str], Runs]) -> None:
    said = run(RUNBOOK)

    assert f"huawei.oms.DeleteTsk cn-north-4 {FINISHED} · no result · no function takes it" in (
        said["Unrouted requests alarm", 0].text
    )
    assert json.loads(said["Unrouted requests alarm", 1].text)["task_id"] == FINISHED
    assert "\n1: " not in said["Unrouted requests alarm", 2].text
    assert "discarded 0: " in said["Unrouted requests alarm", 3].text
    assert "Sandbox.Timedout: Task timed out" in said["List failures alarm", 0].text


def test_log_shows_the_function_s_lines(run: Callable[[str], Runs]) -> None:
    assert run(RUNBOOK)["Errors alarm", 0].text.split("\n")[:2] == KILLED


def test_why_a_sweep_was_refused_is_shown(run: Callable[[str], Runs]) -> None:
    said = run(RUNBOOK)
    text = said["Sweep refused alarm", 1].text

    newest = re.findall(r"^\S+  (\S+)  refused$", text, flags=re.M)[0]
    assert json.loads(re.findall(r"^\{.*?^\}", text, flags=re.M | re.S)[0])["refusals"][0]["code"] == "TooManyTasks"
    assert "index.html" in text
    assert f"Sweep Requested {newest} · refused · TooManyTasks: " in said["Sweep refused alarm", 0].text
    assert f" {newest} · refused · " in said["Sweep refused alarm", 4].text.partition("discarded 0: ")[2]


def test_a_refused_sweep_is_asked_for_again_as_a_report(run: Callable[[str], Runs]) -> None:
    said = run(RUNBOOK)

    policy = json.loads(said["Sweep refused alarm", 2].text)
    assert (policy["name"], policy["mode"]) == ("too-much", "report")
    assert said["Sweep refused alarm", 3].text.split() == ["requested"]
    assert said["Sweep dead letter alarm", 0].text.startswith("no message")


def test_queues_that_are_not_empty_are_counted(run: Callable[[str], Runs]) -> None:
    counted = re.findall(r"^(\d+) (\w+)Url$", run(RUNBOOK)["First", 1].text, flags=re.M)

    assert counted == [("1", "ListFailuresQueue")]


def test_a_message_goes_to_the_queue_that_it_came_from_and_only_once(
    run: Callable[[str], Runs], world: World, tmp_path: Path
) -> None:
    """Not to another operation's, when OPERATION was changed or another queue looked at; not twice."""
    run(RUNBOOK)  # which looks at the same queue
    world.three_failures()
    with shell_of(world, tmp_path) as shell:
        shell.run(on_the_stack(dict(numbered(RUNBOOK))["First", 0].script))
        looked = shell.run("look").text
        elsewhere = shell.run("OPERATION=HuaweiOmsStopTask; redrive 2; OPERATION=HuaweiOmsDeleteTask").text
        once, again, never = (shell.run(f"redrive {number}").text for number in (2, 2, 7))

    assert "2: " in looked
    assert elsewhere.startswith("the last look was not at the messages of HuaweiOmsStopTask")
    assert "redriven 2: " in once
    assert again.startswith("there is no message 2")
    assert never.startswith("there is no message 7")


def test_functions_refuse_what_would_be_a_silent_mistake(world: World, tmp_path: Path) -> None:
    world.three_failures()
    with shell_of(world, tmp_path) as shell:
        shell.run(on_the_stack(dict(numbered(RUNBOOK))["First", 0].script))
        no_look, placeholder = shell.run("discard 0; echo $?").text, shell.run("look; discard N; echo $?").text
        nothing = shell.run("discard; echo $?; : > messages.json; discard 0; echo $?").text
        failed = shell.run("look; aws() { false; }; look; echo $?; unset -f aws; discard 0").text
        misspelt = shell.run("OPERATION=HuaweiOmsDelete; look; echo $?").text
        moves = shell.run("for OPERATION in AlibabaElasticsearchCancelTask Sweep; do redrive_all; echo $?; done").text
        no_summary = shell.run("summary nobody-s; echo $?").text
        kept = shell.run("OPERATION=HuaweiOmsDeleteTask; look; discard 1; jq -r .Body discarded.json").text

    assert no_look.split("\n")[:2] == ["there is no message 0: look again", "1"]
    assert "there is no message N: look again\n1" in placeholder
    assert nothing.split("\n")[:4] == [
        "there is no message : look again",
        "1",
        "there is no message 0: look again",
        "1",
    ]
    assert failed.rstrip().endswith("1\nthere is no message 0: look again")
    assert misspelt.startswith("the stack has no such queue: is OPERATION right?\n1")
    assert re.findall(r"^(not of \w+|\d+)", moves, flags=re.M) == [
        "not of AlibabaElasticsearchCancelTask", "1", "not of Sweep", "1"
    ]  # fmt: skip
    assert "no summary of run nobody-s: the reason is in look\n1" in no_summary
    assert json.loads(kept.strip().split("\n")[-1])["task_id"] == "6"


def test_stand_in_for_jq_has_the_exit_status_and_the_raw_text(tmp_path: Path) -> None:
    with Shell(tmp_path, {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}) as shell:
        said = [
            shell.run(f"echo '{given}' | jq -{flags} '{program}' || echo $?").text.split()
            for given, flags, program in (
                ('{"a": 1}', "e", ".b"),
                ('{"a": 1}', "r", '"\\(.a)"'),
                ("", "r", ".a"),
            )
        ]
    assert said == [["null", "1"], ["1"], []]
