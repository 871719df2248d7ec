"""``task-cleanup stack …`` as processes against the local stack."""

import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from local.aws import keyless
from local.aws.cloud import LOCAL_AWS_IDENTITY, LocalCloud
from local.aws.runner import HttpApi, QueuePoller
from local.stories.tour import QUIET
from task_cleanup.sweep.services import SERVICES
from task_cleanup.triggers import Received, Trigger
from task_cleanup_cli import stack_commands
from task_cleanup_cli.exits import EndedError, Exit
from task_cleanup_cli.operations import logical_id, schemas
from task_cleanup_cli.stack import DeadLetter, NoAnswerError, Stack
from tests.support.cli import OMS, Laptop
from tests.support.cli_forks import Forks
from tests.support.federation import AUDIENCES
from tests.support.lambda_api import DeniedError, LambdaApi


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    # The roles of the functions have no session token here, and the tests' own environment has one.
    with LocalCloud(variables={**QUIET, "AWS_SESSION_TOKEN": ""}, parameters=keyless.PARAMETERS) as running:
        yield running


@pytest.fixture(scope="module")
def functions(cloud: LocalCloud) -> Iterator[LambdaApi]:
    with LambdaApi(cloud) as running:
        yield running


@pytest.fixture
def operator(forks: Forks, cloud: LocalCloud, functions: LambdaApi, tmp_path: Path) -> Iterator[Laptop]:
    """A laptop with an AWS identity and no key of a provider; the stack's queues are worked on meanwhile."""
    cloud.emulators.reset()
    functions.instead.clear()
    functions.asked.clear()
    with HttpApi(cloud, 0) as api:
        identity = {**LOCAL_AWS_IDENTITY, "AWS_ENDPOINT_URL": cloud.aws_url, "API_URL": api.url}
        identity["AWS_ENDPOINT_URL_LAMBDA"] = functions.url
        found = Laptop(forks, cloud.emulators, tmp_path, {"HUAWEICLOUD_SDK_AK": "", **identity})
        yield found
        found.stop()


@pytest.fixture
def working(cloud: LocalCloud) -> Iterator[None]:
    stopping, poller = threading.Event(), QueuePoller(cloud)

    def work() -> None:
        while not stopping.wait(0.2):
            poller.drain(rounds=1)

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stopping.set()
    thread.join()


def letter(cloud: LocalCloud, operation: str, body: object, **attributes: str) -> None:
    """A message in a dead-letter queue."""
    told = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
    url = cloud.stack.queue_urls[f"{operation}DeadLetterQueue"]
    cloud.sqs.send_message(QueueUrl=url, MessageBody=json.dumps(body), MessageAttributes=told)


@pytest.mark.usefixtures("working")
def test_sweep_apply_and_results_by_the_stack(operator: Laptop) -> None:
    ids = operator.seed(3)
    kept = operator.seed(1, first=50, age=1)

    swept = operator.run("stack", "sweep", operator.policy(OMS))
    assert swept.code == 0, swept
    run_id = re.findall(r"task-cleanup stack apply (\S+)$", swept.out, re.MULTILINE)[0]
    refused = operator.run("stack", "apply", run_id, "--yes", "--max", "2")
    assert (refused.code, sorted(operator.left())) == (2, sorted([*ids, *kept]))
    terminal = operator.begin("stack", "apply", run_id)
    terminal.until("To delete 3 tasks for good, type their number:")
    terminal.type("3")
    applied = terminal.end()

    assert (applied.code, operator.left()) == (0, kept), applied.out
    assert re.search(r"succeeded +3", applied.out)
    started = re.findall(r"^run (\S+):", applied.out, re.MULTILINE)[0]
    told = operator.run("stack", "results", started, "--json")
    assert (told.code, told.json["results"]["succeeded"]) == (0, 3)
    again = operator.run("stack", "apply", run_id, "--yes", "--max", "3")
    assert (again.code, "AlreadyApplied" in again.err) == (2, True), again


def test_failures_are_told_by_cause_and_sent_back(operator: Laptop, cloud: LocalCloud) -> None:
    """A cancel that does not say how old it is stays: it would stop whatever runs now."""
    (task_id,) = operator.seed(1)
    request = {
        "operation": "huawei.oms.DeleteTask",
        "region": "cn-north-4",
        "task_id": task_id,
    }
    result = json.dumps({"error": {"code": "OMS.0206", "message": "no permission"}})
    letter(cloud, "HuaweiOmsDeleteTask", request, result=result, origin_id="an-id")
    cancel = {"region": "cn-hangzhou", "instance_id": "es-cn-oew1oxiro000f0001"}
    letter(cloud, "AlibabaElasticsearchCancelTask", cancel)

    failures = operator.run("stack", "failures", "--json")
    assert failures.code == 1
    assert {(it["operation"], it["cause"]) for it in failures.json["failures"]} == {
        ("HuaweiOmsDeleteTask", "OMS.0206"),
        ("AlibabaElasticsearchCancelTask", "LastReceive"),
    }
    old = operator.run("stack", "redrive", "AlibabaElasticsearchCancelTask", "--yes", "--max", "9")
    assert (old.code, "do not say when they were first sent" in old.err) == (2, True), old
    asked = operator.run("stack", "redrive", "HuaweiOmsDeleteTask")
    assert (asked.code, "nobody can be asked here" in asked.err) == (2, True)
    moved = operator.run("stack", "redrive", "HuaweiOmsDeleteTask", "--yes", "--max", "1", "--json")

    assert (moved.code, moved.json) == (0, {"moved": 1})
    QueuePoller(cloud).drain()
    assert operator.left() == []
    assert len(cloud.take(cloud.stack.queue_urls["AlibabaElasticsearchCancelTaskDeadLetterQueue"])) == 1


def test_keys_are_read_from_secrets_manager(operator: Laptop, cloud: LocalCloud) -> None:
    """But for the accounts of a federation: a token is exchanged for theirs."""
    operator.seed(2)
    keyless.trust(cloud, huawei=["job"])
    identity = cloud.emulators.identity
    (operator.home / "jwt").write_text(identity.issuer.issue("job", AUDIENCES["huawei"]))
    operator.more["HUAWEI_STS_ENDPOINT"] = identity.urls["huawei_sts"]
    operator.more["HUAWEI_FEDERATION"] = keyless.PARAMETERS["HuaweiFederation"]
    policy = operator.policy({**OMS, "account": keyless.ACCOUNT}, name="exchanged")
    exchanged = operator.run("sweep", policy, "--secrets", "--oidc-token-file", "jwt", "--json")
    wanting = operator.run("sweep", policy, "--secrets")
    assert (exchanged.code, exchanged.json["totals"]["selected"]) == (0, 2), exchanged
    assert (wanting.code, "no token is given: --oidc-token-file huawei=PATH" in wanting.err) == (64, True), wanting

    found = operator.run("sweep", operator.policy(), "--secrets", "--json")
    missing = operator.run("sweep", operator.policy({**OMS, "account": "other"}), "--secrets")

    assert (found.code, found.json["totals"]["selected"]) == (0, 2), found
    assert (missing.code, "SecretNotFound" in missing.err, "task-cleanup/huawei/other" in missing.err) == (
        1,
        True,
        True,
    )


def test_the_doctor_says_line_by_line_what_is_wrong_and_what_to_do(operator: Laptop, cloud: LocalCloud) -> None:
    secrets = cloud.client("secretsmanager")
    secrets.delete_secret(SecretId="task-cleanup/otc/default", ForceDeleteWithoutRecovery=True)

    alarm = {"MetricName": "Errors", "Namespace": "AWS/Lambda", "Statistic": "Sum", "Period": 60, "Threshold": 1}
    cloud.client("cloudwatch").put_metric_alarm(
        AlarmName="task-cleanup-x", EvaluationPeriods=1, ComparisonOperator="GreaterThanThreshold", **alarm
    )

    ended = operator.run("stack", "doctor", "--json")

    found = {it["what"]: (it["state"], it["to_do"]) for it in ended.json}
    assert ended.code == 1
    assert found["the secret task-cleanup/huawei/default exists"] == ("ok", "")
    state, to_do = found["the secret task-cleanup/otc/default does not exist"]
    assert (state, "create-secret --name task-cleanup/otc/default" in to_do) == ("wrong", True)
    assert any(re.match("[0-9]+ of [0-9]+ alarms tell nobody", what) for what in found), found
    assert found["there is no nightly sweep: SweepPolicy is empty"] == ("ok", "")
    assert any(re.match("you are arn:aws:", what) for what in found)


def test_the_doctor_asks_every_function_for_the_accounts_without_a_stored_key(
    operator: Laptop, cloud: LocalCloud, functions: LambdaApi
) -> None:
    """Only functions whose service has a region are told it: a function refuses one that its service has not.

    What was not called is not called ok, and the last line says for which provider that is so.
    """
    keyless.trust(cloud)

    ended = operator.run("stack", "doctor", "--region", "cn-north-4", "--region", "eu-de")

    found = {line[4:]: line[:4].strip() for line in ended.out.splitlines() if "account keyless" in line}
    assert len(found) == len(schemas()) + len(SERVICES), found
    exchanged = "account keyless: identity token ok, exchange ok"
    assert found[f"HuaweiOmsStopTask, {exchanged}, call ok"] == "ok"
    assert found[f"Sweep (Huawei Cloud DMS), {exchanged}, call ok"] == "ok"
    assert found[f"Sweep (Open Telekom Cloud DMS), {exchanged}, call ok"] == "ok"
    none = f"{exchanged}, call skipped (Alibaba Cloud Elasticsearch has no region cn-north-4 or eu-de)"
    assert found[f"AlibabaElasticsearchCancelTask, {none}"] == "--"
    assert found[f"Sweep (Alibaba Cloud Elasticsearch), {none}"] == "--"
    answered, untried = (sum(sign == it for sign in found.values()) for it in ("ok", "--"))
    last = f"calls: {answered} answered, 0 failed, {untried} not tried: name a region of Alibaba Cloud"
    assert ended.out.splitlines()[-1] == f"--  {last}"
    assert {f"{name}Function" for name in (*map(logical_id, schemas()), "Sweep")} == {*dict(functions.asked)}
    there = {(name, event["region"]) for name, event in functions.asked if "region" in event}
    assert {name for name, region in there if region == "eu-de"} == {
        *(f"{logical_id(it)}Function" for it in schemas() if it.startswith("otc")),
        "SweepFunction",
    }
    assert {name[:5] for name, region in there if region == "cn-north-4"} == {"Huawe", "Sweep"}


def test_the_doctor_tells_which_roles_are_to_be_pinned_and_which_keys_to_be_uploaded(
    operator: Laptop, cloud: LocalCloud
) -> None:
    roles = keyless.role_arns(cloud, "huawei")
    keyless.trust(cloud, huawei=[it for it in roles if "StopTask" not in it])
    cloud.emulators.identity.issuer.rotate()

    ended = operator.run("stack", "doctor", "--account", "keyless")

    lines = ended.out.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("!!  HuaweiOmsStopTask"))
    assert "identity token ok, exchange failed: ExchangeRefused: Huawei Cloud STS" in lines[place]
    assert "oidc:sub" in lines[place + 1]
    (stopping,) = (it for it in roles if "StopTask" in it)
    assert f"aud sts.huaweicloud.com, sub {stopping}" in lines[place + 2]
    place = lines.index("!!  Huawei Cloud refuses the tokens of HuaweiOmsStopTask")
    pinning = "if it is for the subject (sub), pin these roles, unless you left them out on purpose (reports only): "
    assert lines[place + 1] == f"      {pinning}{stopping}"
    assert "IAM.0001" in ended.out
    assert "`task-cleanup keyless otc-keys` uploads the signing keys" in ended.out
    place = next(number for number, line in enumerate(lines) if line.startswith("!!  Open Telekom Cloud refuses"))
    assert lines[place + 1].startswith(f"      upload the keys first; then, {pinning}arn:aws:iam::")
    assert not any(line.startswith("!!  Alibaba") for line in lines)
    assert (ended.code, "eyJ" in ended.out + ended.err) == (1, False)


def test_keys_that_serve_other_functions_are_not_to_be_uploaded_again(operator: Laptop, cloud: LocalCloud) -> None:
    """Open Telekom Cloud refuses everything with the same code: what other functions get tells what it is not."""
    roles = keyless.role_arns(cloud, "otc")
    keyless.trust(cloud, otc=[it for it in roles if "DeleteBackground" not in it])

    ended = operator.run("stack", "doctor", "--account", "keyless", "--json")

    (refused,) = (role for role in roles if "DeleteBackground" in role)
    found = {it["what"]: it["to_do"] for it in ended.json if it["state"] == "wrong"}
    (to_do,) = (told for what, told in found.items() if what.startswith("OtcDmsDelete") and "IAM.0001" in what)
    assert to_do.startswith("other functions get keys for this account: the mapping lacks this role's ARN (sub)")
    assert "upload" not in "".join(found.values())
    assert found["Open Telekom Cloud refuses the tokens of OtcDmsDeleteBackgroundTask"].endswith(f"only): {refused}")


def test_the_doctor_tells_once_what_is_wrong_with_all_functions(operator: Laptop, cloud: LocalCloud) -> None:
    keyless.trust(cloud)
    cloud.emulators.identity.aws.enabled = False

    ended = operator.run("stack", "doctor", "--account", "keyless", "--json")

    (told,) = (it for it in ended.json if it["state"] == "wrong" and "account keyless" in it["what"])
    who, _, what = told["what"].partition(", account keyless: ")
    assert {*map(logical_id, schemas()), "Sweep (Huawei Cloud OMS)"} <= {*who.split(", ")}
    assert what.startswith("identity token failed: IdentityTokenDenied: ")
    assert what.endswith("aws iam enable-outbound-web-identity-federation")


def test_the_doctor_tells_functions_that_do_not_answer(
    operator: Laptop, cloud: LocalCloud, functions: LambdaApi
) -> None:
    keyless.trust(cloud)
    functions.instead |= {
        "HuaweiOmsDeleteTaskFunction": DeniedError(),
        "HuaweiOmsStopTaskFunction": DeniedError(),
        "HuaweiOmsListTasksFunction": ValueError("HUAWEI_FEDERATION has no agency_urn"),
        "HuaweiDmsListBackgroundTasksFunction": ValueError("HUAWEI_FEDERATION has no agency_urn"),
        "OtcDmsDeleteBackgroundTaskFunction": {"outcome": "failed", "error": {"code": "RequestInvalid"}},
        "OtcDmsListBackgroundTasksFunction": [],
    }

    ended = operator.run("stack", "doctor", "--account", "keyless", "--json")

    found = {it["what"]: (it["state"], it["to_do"]) for it in ended.json}
    denied = "HuaweiOmsDeleteTask, HuaweiOmsStopTask: AWS refused lambda.invoke (AccessDeniedException)"
    assert (found[denied][0], "lambda:InvokeFunction" in found[denied][1]) == ("unknown", True)
    both = "HuaweiOmsListTasks, HuaweiDmsListBackgroundTasks"
    assert found[f"{both}: no answer but ValueError: HUAWEI_FEDERATION has no agency_urn"][0] == "wrong"
    assert found["OtcDmsDeleteBackgroundTask: this check is not known there"] == ("unknown", "deploy this version")
    assert found["OtcDmsListBackgroundTasks: the answer cannot be read"][0] == "unknown"
    assert any(what.startswith("Sweep (Huawei Cloud OMS), account keyless: ident") for what in found)


def test_the_doctor_asks_for_accounts_by_name(operator: Laptop) -> None:
    ended = operator.run("stack", "doctor", "--account", "default", "--account", "other", "--json")
    alias = operator.run("stack", "doctor", "--account", "Other")
    region = operator.run("stack", "doctor", "--region", "nowhere-1", "--region", "eu-de")

    found = {it["what"]: (it["state"], it["to_do"]) for it in ended.json}
    assert any(what.startswith("HuaweiOmsDeleteTask, account default: secret ok, call skipped") for what in found)
    (state, to_do), *_ = [it for what, it in found.items() if "HuaweiOmsStopTask" in what and "account other" in what]
    assert (state, to_do) == ("wrong", "if you use other there, store its secret, or name it in HuaweiFederation")
    assert (alias.code, "--account: 'Other' is no alias" in alias.err) == (64, True), alias
    assert (region.code, "--region: no service has the region 'nowhere-1'" in region.err) == (64, True), region


def test_without_an_identity_or_a_stack_it_says_what_to_do(operator: Laptop) -> None:
    other = operator.run("stack", "results", "x", "--stack", "another")
    operator.more |= {"API_URL": "", "AWS_ACCESS_KEY_ID": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": ""}

    ended = operator.run("stack", "sweep", operator.policy())
    doctor = operator.run("stack", "doctor", "--json")

    assert (doctor.code, {it["state"] for it in doctor.json}) == (1, {"unknown"})
    assert (other.code, "no sweep was asked for under this id" in other.err) == (64, True), other
    assert (ended.code, ended.err) == (64, "there is no AWS region: set AWS_REGION\n"), ended


# -- a stack that answers as it is told ------------------------------------------------


COUNTS = {"succeeded": 1, "unchanged": 0, "changed": 0, "failed": 0, "waiting": 0, "by_cause": {}, "failures": []}
TOTALS = {"found": 2, "selected": 2}


class Scripted(Stack):
    """Takes every apply; its run has ended as ``end`` says. Its moves move one message more than there were."""

    end: Mapping[str, Any] = {}
    asked: ClassVar[list[str]] = []

    def answer(self, run_id: str) -> tuple[int, Any]:
        return 202, {"run_id": run_id}

    def __init__(self, name: str, api_url: str | None = None) -> None: ...

    def api(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        if method == "POST":
            self.asked.append(body["run_id"])
            return self.answer(body["run_id"])
        guards = {"names": {"*-nobody": 0}, "task_ids": {}}
        wanting = {"age_from": {"inferred": 7}, "running_since": {}}
        common: dict[str, Any] = {
            "guards": guards,
            "ages_wanting": wanting,
            "totals": TOTALS,
            "targets": [],
            "refusals": [],
            "error": None,
            "run_id": "x",
        }
        plan = {**common, "outcome": "reported", "report": {"json": "reports/x/report.json", "sha256": "0" * 64}}
        return 200, {**common, **self.end} if path.rpartition("/")[2] in self.asked else plan

    def operations(self) -> dict[str, str]:
        return {"HuaweiOmsDeleteTask": "https://queue"}

    def output(self, name: str) -> str:
        return name

    def dead_letters(self, queue_url: str) -> tuple[list[DeadLetter], bool]:
        return [DeadLetter("a", "b", Received(Trigger.SQS, {}, "id"))], True

    def call(self, service: Any, operation: str, **_: Any) -> Any:
        return {"Results": [{"Status": "COMPLETED", "ApproximateNumberOfMessagesMoved": 2}]}


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> type[Scripted]:
    monkeypatch.setattr(stack_commands, "Stack", Scripted)
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it waits for nothing"))
    return Scripted


@pytest.mark.parametrize(("outcome", "code"), [("failed", 1), ("refused", 2)])
def test_a_run_that_ended_while_it_sent_its_requests_is_told(
    scripted: type[Scripted],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    outcome: str,
    code: int,
) -> None:
    """Its results are never finished, since not all requests were sent. Beside JSON, its id is told at once."""
    error = {"code": "RequestsNotTaken", "message": "1 of 2"} if outcome == "failed" else None
    ended: dict[str, Any] = {"outcome": outcome, "error": error, "results": {**COUNTS, "finished": False}}
    ended["refusals"] = [] if error else [{"code": "DryRun", "message": "no more"}]
    monkeypatch.setattr(scripted, "end", ended)

    assert stack_commands.apply("x", yes=True, most=2, as_json=True) == code
    told = capsys.readouterr()
    assert (json.loads(told.out)["outcome"], f"stack results {scripted.asked[-1]}`" in told.err) == (outcome, True)


@pytest.mark.parametrize("answer", ["503", "none"])
def test_a_run_whose_beginning_is_in_doubt_has_an_id_that_is_told(
    scripted: type[Scripted], monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    def answered(_stack: Scripted, _run_id: str) -> tuple[int, Any]:
        if answer == "none":
            raise NoAnswerError(Exit.FAILED, "no readable answer")
        return 503, {"title": "not available"}

    monkeypatch.setattr(scripted, "answer", answered)

    with pytest.raises(EndedError) as ended:
        stack_commands.apply("x", yes=True, most=2)
    assert ended.value.code == Exit.FAILED
    assert f"stack results {scripted.asked[-1]}" in ended.value.lines[-1]


def test_what_makes_a_plan_other_than_it_seems_is_told_before_it_is_applied(
    scripted: type[Scripted], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scripted, "end", {"outcome": "requested", "results": {**COUNTS, "finished": True}})

    assert stack_commands.apply("x", yes=True, most=2) == 0
    told = capsys.readouterr()
    assert "protect.names: '*-nobody' matches no task" in told.err
    assert "want of an age, inferred would select 7" in told.out


@pytest.mark.usefixtures("scripted")
def test_a_redrive_tells_that_it_moved_more_than_was_asked_about(capsys: pytest.CaptureFixture[str]) -> None:
    assert stack_commands.redrive("HuaweiOmsDeleteTask", yes=True, most=1) == 1
    assert "1 were counted before" in capsys.readouterr().err
