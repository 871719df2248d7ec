"""``task-cleanup sweep`` as a process: what it shows, how it ends, and that it changes nothing."""

import json
import re
import signal
import time
from pathlib import Path

from local.emulators import KINDS
from local.stories.seeds import DMS_INSTANCE, ES_INSTANCE
from tests.support.cli import OMS, Laptop

ALIBABA = {"provider": "alibaba", "service": "elasticsearch", "region": "cn-hangzhou", "instance_id": ES_INSTANCE}
DMS = {"provider": "otc", "service": "dms", "region": "eu-de", "instance_id": DMS_INSTANCE}


def test_it_shows_what_would_go_and_writes_a_report_and_changes_nothing(laptop: Laptop) -> None:
    """Also where the policy says `apply`, which is for the stack."""
    gone = laptop.seed(3)
    laptop.seed(2, first=50, age=1)
    laptop.seed(2, "alibaba_elasticsearch")
    laptop.seed(1, "otc_dms")
    policy = laptop.policy(OMS, ALIBABA, DMS, mode="apply", protect={"names": ["*-nobody"]})

    ended = laptop.run("sweep", policy)

    assert ended.code == 0
    assert "\x1b" not in ended.out + ended.err
    assert re.search(r"^all +8 +6 +2 +too young 2$", ended.out, re.MULTILINE)
    assert all(re.search(f"^{task_id} +Huawei Cloud · OMS", ended.out, re.MULTILINE) for task_id in gone)
    assert "mode: apply is for the deployed stack" in ended.err
    assert "'*-nobody' matches no task" in ended.err
    (report,) = laptop.folder.glob("reports/*/report.json")
    assert f"task-cleanup apply {report}" in ended.out
    assert f"task-cleanup apply {report}" in report.with_name("index.html").read_text()
    assert laptop.changes() == []
    assert report.stat().st_mode & 0o077 == 0
    assert report.parents[2].stat().st_mode & 0o077 == 0


def test_json_is_the_summary_and_nothing_else(laptop: Laptop) -> None:
    laptop.seed(1)

    ended = laptop.run("sweep", laptop.policy(), "--json")

    assert (ended.code, ended.json["outcome"], ended.json["totals"]["selected"], ended.err) == (0, "reported", 1, "")
    opened = laptop.run("report", "open", ended.json["run_id"], "--json")
    assert (opened.code, "<html" in Path(opened.json["page"]).read_text()) == (0, True)


def test_a_first_sweep_tells_for_each_target_what_another_basis_would_select(laptop: Laptop) -> None:
    """Nobody has seen the tasks before, and a policy that counts from then selects none of them."""
    laptop.seed(2)
    laptop.seed(3, "alibaba_elasticsearch")

    ended = laptop.run("sweep", laptop.policy(OMS, ALIBABA, select={"older_than": "P7D"}))

    assert ended.code == 0
    assert "OMS · default · cn-north-4: 2 tasks stay only for want of an age; inferred would select 2" in ended.out
    assert re.search("Elasticsearch .*: 3 tasks stay only for want of an age; created would select 3", ended.out)
    assert "nothing would be deleted" in ended.out


def test_a_list_that_fails_is_a_failure(laptop: Laptop) -> None:
    laptop.cloud.faults.add(service="huawei_oms", kind="error", status=403, code="OMS.0206")

    ended = laptop.run("sweep", laptop.policy(protect={"names": ["*prod*"]}))

    assert ended.code == 1
    assert re.search(r"cn-north-4 +[?] +[?] +[?] +list failed: OMS[.]0206$", ended.out, re.MULTILINE)
    assert "1 lists failed: an apply is refused unless every list is whole then" in ended.err
    assert "matches no task" not in ended.err
    assert "OMS · default · cn-north-4: the list failed: OMS.0206" in ended.err


def test_a_plan_that_a_limit_forbids_is_refused(laptop: Laptop) -> None:
    laptop.seed(3)

    ended = laptop.run("sweep", laptop.policy(limits={"max_tasks": 2, "max_fraction": 1}))

    assert ended.code == 2
    assert "TooManyTasks: 3 tasks are selected, and limits.max_tasks allows 2" in ended.err
    assert "task-cleanup apply" not in ended.out


def test_what_is_missing_of_a_key_is_told_by_name(laptop: Laptop) -> None:
    laptop.more = {"HUAWEICLOUD_SDK_SK": "", "PROD_EU_ALIBABA_CLOUD_ACCESS_KEY_ID": "two words"}

    ended = laptop.run("sweep", laptop.policy(OMS, {**ALIBABA, "account": "prod-eu"}))

    assert ended.code == 64
    assert ended.err.splitlines() == [
        "PROD_EU_ALIBABA_CLOUD_ACCESS_KEY_ID is not one line of printable ASCII without blanks",
        "PROD_EU_ALIBABA_CLOUD_ACCESS_KEY_SECRET is not set (key of account prod-eu at Alibaba Cloud)",
        "HUAWEICLOUD_SDK_SK is not set (key of account default at Huawei Cloud)",
    ]
    assert laptop.cloud.journal.as_json(0) == []


def test_what_is_wrong_with_a_project_is_told_by_the_name_of_its_variable(laptop: Laptop) -> None:
    told = []
    for project in ("", "my-project"):
        laptop.more = {"HUAWEICLOUD_SDK_PROJECT_ID": project}
        told += [laptop.run("sweep", laptop.policy()), laptop.run("list", "huawei.oms", "region=cn-north-4")]

    missing = "HUAWEICLOUD_SDK_PROJECT_ID is not set, and no project_id is given\n"
    malformed = "HUAWEICLOUD_SDK_PROJECT_ID is not 32 hex digits in small letters\n"
    assert [(it.code, it.err) for it in told] == [(64, missing)] * 2 + [(64, malformed)] * 2
    assert laptop.cloud.journal.as_json(0) == []


def test_an_alias_has_its_own_key_and_no_secret_is_written_down(laptop: Laptop) -> None:
    laptop.seed(1)
    laptop.cloud.add_key("huawei", "AKFAKEPROD", "testSecretFakeProd", project_id="0123456789abcdef0123456789abcdef")
    laptop.more = {
        "HUAWEICLOUD_SDK_AK": "",
        "PROD_HUAWEICLOUD_SDK_AK": "AKFAKEPROD",
        "PROD_HUAWEICLOUD_SDK_SK": "testSecretFakeProd",
        "PROD_HUAWEICLOUD_SDK_PROJECT_ID": "0123456789abcdef0123456789abcdef",
    }

    ended = laptop.run("sweep", laptop.policy({**OMS, "account": "prod"}))

    assert ended.code == 0, ended
    written = ended.out + ended.err + "".join(it.read_text() for it in laptop.folder.rglob("*") if it.is_file())
    assert "testSecret" not in written
    assert "AKFAKE" not in written


def test_policies_are_checked_without_asking_a_provider(laptop: Laptop) -> None:
    good = laptop.policy()
    (laptop.home / "p.yaml").write_text("name: x\nselect: {older_than: 7d}\ntargets: []\n")

    ended = laptop.run("policy", "check", good, "p.yaml", "--json")

    assert (ended.code, [it["valid"] for it in ended.json]) == (64, [True, False])
    assert "p.yaml:2: /select/older_than must be a duration in days" in ended.err
    assert laptop.cloud.journal.as_json(0) == []


def test_names_that_look_like_regular_expressions_are_told(laptop: Laptop) -> None:
    """They are valid, and would protect nothing that people mean."""
    ended = laptop.run("policy", "check", laptop.policy(protect={"names": ["prod.*", "^db$", "a*"]}))

    assert (ended.code, ended.err.count("looks like a regular expression")) == (0, 2), ended


def test_an_answer_that_a_service_has_no_place_for_is_refused(laptop: Laptop) -> None:
    ended = laptop.run("policy", "new", "--service", "huawei.oms", "--region", "cn-north-4", "--instance", "x")

    assert (ended.code, "huawei.oms has no instances" in ended.err) == (64, True), ended
    assert not (laptop.home / "policy.yaml").exists()


def test_a_hostile_name_cannot_reach_the_terminal(laptop: Laptop) -> None:
    laptop.seed(1, name="\x1b]0;owned\x07[bold]x[/bold]\u202e")

    ended = laptop.run("sweep", laptop.policy())

    assert "[U+001B]]0;owned[U+0007][bold]x[/bold][U+202E]" in re.sub(r"\n +", "", ended.out).replace(" ", "")
    assert not set("\x1b\x07\u202e") & set(ended.out)


def test_wrong_usage(laptop: Laptop) -> None:
    ended = [laptop.run(*arguments) for arguments in (["sweep", "x.yaml", "--nonsense"], ["apply", "nowhere"])]

    assert [it.code for it in ended] == [64, 64]
    assert ["--nonsense" in ended[0].err, "nowhere: there is no such report" in ended[1].err] == [True, True]


def test_ctrl_c_ends_a_sweep_whose_lists_are_slow(laptop: Laptop) -> None:
    """The lists that are not begun are not asked for, though each may take minutes."""
    instances = [KINDS["otc_dms"].new_instance(number) for number in range(40)]
    for instance in instances:
        laptop.seed(1, "otc_dms", instance=instance)
    laptop.cloud.faults.add(service="otc_dms", kind="latency", ms=300)
    terminal = laptop.begin("sweep", laptop.policy(*({**DMS, "instance_id": instance} for instance in instances)))
    while len(laptop.cloud.journal.as_json(0)) < 2:
        time.sleep(0.01)
    terminal.signal(signal.SIGINT)

    ended = terminal.end()

    assert (ended.code, "broken off" in ended.out) == (130, True)
    assert len(laptop.cloud.journal.as_json(0)) < 40
    assert list(laptop.folder.glob("reports/*/report.json")) == []


def test_ten_thousand_tasks(laptop: Laptop) -> None:
    instances = [KINDS["otc_dms"].new_instance(number) for number in range(10)]
    for number, instance in enumerate(instances):
        laptop.seed(1_000, "otc_dms", first=1 + 1_000 * number, instance=instance)
    targets = [{**DMS, "instance_id": instance} for instance in instances]

    ended = laptop.run("sweep", laptop.policy(*targets, limits={"max_tasks": 10_000, "max_fraction": 1}), "--json")

    assert (ended.code, ended.json["totals"]["selected"]) == (0, 10_000)


def test_a_policy_is_asked_for_and_written(laptop: Laptop) -> None:
    """It is one that `sweep` takes, and the first line is for editors."""
    laptop.seed(1)
    terminal = laptop.begin("policy", "new", "mine.yaml")
    for question, answer in [("Which service?", "huawei.oms"), ("Which region?", "cn-north-4"), ("Older than?", "")]:
        terminal.until(question)
        terminal.type(answer)
    ended = terminal.end()

    assert ended.code == 0, ended.out
    written = (laptop.home / "mine.yaml").read_text()
    assert written.startswith("# yaml-language-server: $schema=task-cleanup.schema.json\n")
    assert json.loads((laptop.home / "task-cleanup.schema.json").read_text())["type"] == "object"
    assert laptop.run("sweep", Path("mine.yaml")).code == 0
