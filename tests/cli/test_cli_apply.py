"""``task-cleanup apply`` as a process: it asks, deletes what was shown, and goes on where it was broken off, once."""

import json
import re
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from task_cleanup_cli.worker import AT_ONCE
from tests.support.cli import OMS, Laptop, Terminal
from tests.support.cli_recording import PICTURE, picture, recorded
from tests.support.template import template

SLOW_MS = 250  # what a delete takes that is to be broken off


def deletes(laptop: Laptop) -> Counter[str]:
    """How many calls that delete arrived for each task."""
    return Counter(path.rpartition("/")[2] for path in laptop.changes())


def results(laptop: Laptop) -> list[dict[str, object]]:
    """The results that were saved."""
    (saved,) = laptop.folder.glob("results/*/results.jsonl")
    return [json.loads(line) for line in saved.read_text().split("\n") if line]


def test_it_shows_what_goes_asks_for_the_number_and_deletes_exactly_that(laptop: Laptop) -> None:
    """What came after the report, and what has changed since, is kept. A wrong number, or none, deletes nothing."""
    gone = laptop.seed(4)
    changed, kept = gone.pop(), laptop.seed(1, first=50, age=1)
    report = laptop.swept()
    laptop.seed(1, first=int(changed) - 100_000_000_000_000, name="renamed")
    later = laptop.seed(2, first=90)

    terminal = laptop.begin("apply", report)
    screen = terminal.until("type their number:")
    assert "To delete 3 tasks for good" in screen
    assert "not in the plan 2" in screen
    assert f"page of the plan, as the sweep saw it: {Path(report).with_name('index.html')}" in screen
    assert all(task_id in screen for task_id in gone)
    terminal.type("4")
    refused = terminal.end()
    assert (refused.code, deletes(laptop)) == (2, Counter())
    assert "NotConfirmed: that is not 3: nothing was sent" in refused.out

    terminal = laptop.begin("apply", report)
    terminal.until("type their number:")
    terminal.type("3")
    ended = terminal.end()

    assert ended.code == 0, ended.out
    assert sorted(laptop.left()) == sorted([changed, *kept, *later])
    assert {(it["outcome"], it["target"]["task_id"]) for it in results(laptop)} == {("succeeded", it) for it in gone}  # type: ignore[index]

    again = laptop.run("apply", report, "--json")
    assert (again.code, again.json["results"]["succeeded"], again.json["outcome"]) == (0, 3, "requested")
    assert "applied already" in laptop.run("apply", report).out
    assert deletes(laptop) == Counter(gone)
    followed = laptop.run("report", "results", Path(report).parent.name)
    assert (followed.code, bool(re.search("succeeded +3", followed.out))) == (0, True), followed


def test_an_apply_with_nothing_to_do_says_so(laptop: Laptop) -> None:
    """And that a task is gone is no reason why another one stays."""
    laptop.seed(1, age=1)
    (gone,) = laptop.seed(1, first=20)
    report = laptop.swept()
    assert laptop.run("call", "huawei.oms.DeleteTask", "region=cn-north-4", f"task_id={gone}").code == 0

    ended = laptop.run("apply", report, "--yes", "--max", "1")

    assert (ended.code, "nothing to do" in ended.out) == (0, True), ended
    assert re.search(r" 1 +0 +1 +too young 1 \(1 gone since\)$", ended.out, re.MULTILINE), ended.out


def test_what_cannot_succeed_later_is_told_with_its_message(laptop: Laptop) -> None:
    laptop.seed(2)
    report = laptop.swept()
    laptop.cloud.faults.add(
        service="huawei_oms", operation="DeleteTask", kind="error", status=403, code="OMS.0206", message="no right"
    )

    ended = laptop.run("apply", report, "--yes", "--max", "2", "--wait", "0")

    (first, _) = results(laptop)
    assert (ended.code, "2 cannot succeed later" in ended.err, "tries again" in ended.err) == (1, True, False), ended
    assert str(first["error"]["message"])[:20] in ended.out  # type: ignore[index]


def test_a_pipeline_says_how_many_may_go(laptop: Laptop) -> None:
    ids = laptop.seed(2)
    report = laptop.swept()

    for arguments, code, words in (
        ([], 2, "nobody can be asked here"),
        (["--yes"], 64, "--yes and --max N go together"),
        (["--yes", "--max", "1"], 2, "2 tasks would go, and --max allows 1"),
    ):
        ended = laptop.run("apply", report, *arguments)
        assert (ended.code, words in ended.err, laptop.left(), deletes(laptop)) == (code, True, ids, Counter()), ended

    ended = laptop.run("apply", report, "--yes", "--max", "2")
    assert (ended.code, laptop.left(), deletes(laptop)) == (0, [], Counter(ids))


def test_a_report_that_somebody_has_changed_is_refused(laptop: Laptop) -> None:
    (task_id,) = laptop.seed(1)
    report = Path(laptop.swept())
    report.write_text(report.read_text().replace(f"job-{task_id[-4:]}", "job-0000"))

    ended = laptop.run("apply", report, "--yes", "--max", "9")

    assert (ended.code, deletes(laptop)) == (2, Counter())
    assert "ReportChanged" in ended.err
    assert "it was edited after the sweep: sweep again" in ended.err


def test_dry_run_in_the_environment_deletes_nothing(laptop: Laptop) -> None:
    """And the report can be applied later."""
    laptop.seed(1)
    report = laptop.swept()
    laptop.more = {"DRY_RUN": "true"}

    ended = laptop.run("apply", report, "--yes", "--max", "9")

    assert (ended.code, deletes(laptop)) == (0, Counter())
    assert "DRY_RUN is set: nothing was deleted" in ended.out
    laptop.more = {}
    assert laptop.run("apply", report, "--yes", "--max", "9").code == 0
    assert laptop.left() == []


def test_what_can_succeed_later_is_tried_again_by_the_same_command(laptop: Laptop) -> None:
    """A new report could not ask for it for 22 hours: this run has."""
    laptop.seed(2)
    report = laptop.swept()
    laptop.cloud.faults.add(service="huawei_oms", operation="DeleteTask", kind="error", status=400, code="OMS.0063")

    first = laptop.run("apply", report, "--yes", "--max", "2", "--wait", "0")
    assert first.code == 1, first
    assert "failed: 2 with OMS.0063" in first.err
    laptop.cloud.faults.clear()
    again = laptop.run("apply", report, "--yes", "--max", "2", "--json")

    assert (again.code, again.json["results"]["succeeded"], laptop.left()) == (0, 2, [])


def test_what_can_succeed_later_is_tried_again_within_the_command(laptop: Laptop) -> None:
    """Its result is the last one: what came before is no failure."""
    laptop.seed(2)
    report = laptop.swept()
    laptop.cloud.faults.add(
        service="huawei_oms", operation="DeleteTask", kind="error", status=400, code="OMS.0063", count=2
    )

    ended = laptop.run("apply", report, "--yes", "--max", "2", "--wait", "0.2")

    assert (ended.code, laptop.left(), len(results(laptop))) == (0, [], 2), ended
    assert "2 can succeed later: trying again" in ended.err


def test_a_running_task_is_stopped_and_then_deleted(laptop: Laptop) -> None:
    """By the same request, as in the stack: the stop is no result, and the delete comes when it has an effect."""
    ids = laptop.seed(1, status=2)
    select = {"older_than": "P7D", "statuses": ["running"], "running_since": "started"}
    report = laptop.swept(policy=laptop.policy(select=select, stop_running=True))

    ended = laptop.run("apply", report, "--yes", "--max", "1", "--wait", "5.5")

    assert (ended.code, laptop.left(), len(results(laptop))) == (0, [], 1), ended
    assert [path.rpartition("/")[2] for path in laptop.changes()] == ["stop", *ids]


def test_as_many_requests_are_on_their_way_as_in_the_stack() -> None:
    assert int(template()["Parameters"]["MaximumConcurrency"]["Default"]) == AT_ONCE


def in_the_middle(laptop: Laptop, report: str, number: int) -> Terminal:
    """An apply that is deleting: two calls are on their way, and some are done."""
    laptop.cloud.faults.add(service="huawei_oms", operation="DeleteTask", kind="latency", ms=SLOW_MS)
    terminal = laptop.begin("apply", report)
    terminal.until("type their number:")
    terminal.type(str(number))
    while len(deletes(laptop)) < 4:
        time.sleep(0.01)
    return terminal


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_broken_off_it_goes_on_and_deletes_nothing_twice(laptop: Laptop, number: signal.Signals) -> None:
    """Ctrl-C waits for the calls that are on their way. After a kill, a look sees what became of them."""
    ids = laptop.seed(12)
    report = laptop.swept()
    terminal = in_the_middle(laptop, report, 12)
    terminal.signal(number)
    broken = terminal.end()

    assert broken.code == (130 if number == signal.SIGINT else -9)
    time.sleep(2 * SLOW_MS / 1000)  # the cloud carries out what had arrived, and only then knows of it
    laptop.cloud.faults.clear()
    known = len(results(laptop))  # a kill loses those that are on their way, or not written yet
    if number == signal.SIGINT:
        done = 12 - len(laptop.left())
        assert f"broken off: {done} requests have their result, {12 - done} have none" in broken.out
        assert known == done
        assert "task-cleanup report results apply-" in broken.out
    unasked = laptop.run("apply", report)
    assert (unasked.code, "nobody can be asked here" in unasked.err) == (2, True)
    assert 0 < len(laptop.left()) < 12
    ended = laptop.run("apply", report, "--yes", "--max", "12", "--json")

    told = ended.json["results"]
    assert (ended.code, laptop.left(), told["finished"], told["failed"]) == (0, [], True, 0)
    assert told["succeeded"] + told["unchanged"] == 12
    assert told["succeeded"] == 12 if number == signal.SIGINT else told["succeeded"] >= known
    assert deletes(laptop) == Counter(ids)


def test_broken_off_while_it_asks_it_asks_again(laptop: Laptop) -> None:
    """A killed process leaves a claim of an hour, which its successor on the same machine ends."""
    laptop.seed(2)
    report = laptop.swept()
    for number, code in ((signal.SIGKILL, -9), (signal.SIGINT, 130)):
        terminal = laptop.begin("apply", report)
        terminal.until("type their number:")
        terminal.signal(number)
        assert terminal.end().code == code

    ended = laptop.run("apply", report, "--yes", "--max", "2")

    assert (ended.code, laptop.left(), sum(deletes(laptop).values())) == (0, [], 2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_broken_off_while_it_asks_it_lists_again(laptop: Laptop, number: signal.Signals) -> None:
    """What is shown then is what is there then, and the limits are judged over it."""
    changed = laptop.seed(2)[0]
    report = laptop.swept()
    terminal = laptop.begin("apply", report)
    terminal.until("type their number:")
    terminal.signal(number)
    terminal.end()
    laptop.seed(1, first=int(changed) - 100_000_000_000_000, name="renamed")

    terminal = laptop.begin("apply", report)
    screen = terminal.until("type their number:")
    terminal.type("1")

    assert "To delete 1 tasks" in screen
    assert (terminal.end().code, laptop.left()) == (0, [changed])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_broken_off_while_it_asks_another_report_of_the_policy_need_not_wait(
    laptop: Laptop, number: signal.Signals
) -> None:
    ids = laptop.seed(2)
    first, second = laptop.swept(), laptop.swept()
    terminal = laptop.begin("apply", first)
    terminal.until("type their number:")
    waits = laptop.run("apply", second, "--yes", "--max", "2")
    terminal.signal(number)
    broken = terminal.end()

    ended = laptop.run("apply", second, "--yes", "--max", "2")

    assert (waits.code, "Overlaps" in waits.err) == (2, True), waits
    assert broken.code == (-9 if number == signal.SIGKILL else 130)
    assert (ended.code, deletes(laptop)) == (0, Counter(ids)), ended


def test_who_is_asked_sees_what_goes_also_beside_json(laptop: Laptop) -> None:
    (task_id,) = laptop.seed(1)
    report = laptop.swept()

    terminal = laptop.begin("apply", report, "--json")
    screen = terminal.until("type their number:")
    terminal.type("0")
    terminal.end()
    refused = laptop.run("apply", report, "--json")

    assert task_id in screen
    assert (refused.json["outcome"], task_id in refused.err) == ("refused", True)


def test_the_results_of_a_run_end_as_the_run_did(laptop: Laptop) -> None:
    """A task that was kept because it had changed is no success."""
    laptop.seed(1)
    report = laptop.swept()
    terminal = laptop.begin("apply", report)
    terminal.until("type their number:")
    laptop.seed(1, name="renamed")
    terminal.type("1")
    ended = terminal.end()
    (saved,) = laptop.folder.glob("results/*")

    told = laptop.run("report", "results", saved.name, "--json")

    assert (ended.code, told.code, told.json["changed"], len(laptop.left())) == (2, 2, 1, 1), ended


def test_two_processes_do_not_apply_one_report_at_once(laptop: Laptop) -> None:
    laptop.seed(2)
    report = laptop.swept()
    terminal = laptop.begin("apply", report)
    terminal.until("type their number:")

    other = laptop.run("apply", report, "--yes", "--max", "2")

    assert (other.code, deletes(laptop)) == (2, Counter())
    assert "another process is applying this report now" in other.err
    terminal.type("2")
    assert terminal.end().code == 0


def test_two_reports_of_the_same_tasks_delete_them_once(laptop: Laptop) -> None:
    laptop.seed(2)
    first, second = laptop.swept(), laptop.swept(policy=laptop.policy(OMS, name="other"))
    laptop.cloud.faults.add(service="huawei_oms", operation="DeleteTask", kind="error", status=400, code="OMS.0054")

    one = laptop.run("apply", first, "--yes", "--max", "2", "--wait", "0")
    two = laptop.run("apply", second, "--yes", "--max", "2", "--wait", "0", "--json")

    assert (one.code, two.code) == (1, 0)
    assert two.json["totals"]["requested_before"] == 2
    assert set(deletes(laptop).values()) == {1}


def test_the_recording_shows_what_the_commands_show(laptop: Laptop) -> None:
    """If this fails since a command's words have changed: `python -m tests.support.cli_recording` writes it again."""
    assert PICTURE.read_text() == picture(recorded(laptop))
