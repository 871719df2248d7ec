"""The gatherer's own part of the template: what it reads, what it may write, and who is told if it cannot."""

from typing import Any

import pytest

from task_cleanup.sweep.gatherer import RUN_SECONDS
from task_cleanup.sweep.gathering import LEASE
from tests.support.expected import ALARMS, COMMON_ENVIRONMENT, LOGS, NETWORK, WATCHED, check
from tests.support.template import BUS, listed, of_type, properties, statements, template

DAY = 24 * 60 * 60
FUNCTION = "SweepResultsFunction"


def arn(logical_id: str) -> dict[str, list[str]]:
    return {"Fn::GetAtt": [logical_id, "Arn"]}


def mapping() -> dict[str, Any]:
    found = of_type("AWS::Lambda::EventSourceMapping").values()
    (own,) = [it for it in found if it["FunctionName"] == {"Ref": FUNCTION}]
    return own


def test_function_runs_as_designed() -> None:
    function = properties(FUNCTION)

    assert function["Handler"] == "app.lambda_handler"
    assert RUN_SECONDS < function["Timeout"] == 60
    assert function["Role"] == arn("SweepResultsRole")
    assert function["LoggingConfig"]["LogGroup"] == {"Ref": "SweepResultsLogGroup"}
    assert template()["Resources"][FUNCTION]["Metadata"] == {"BuildMethod": "makefile", "ContextPath": "functions"}
    assert function["Environment"]["Variables"] == {
        **COMMON_ENVIRONMENT,
        "REPORT_BUCKET": {"Ref": "ReportBucket"},
        "AWS_ENDPOINT_URL_S3": {"Fn::Sub": "https://s3.${AWS::Region}.${AWS::URLSuffix}"},
    }
    config = properties(f"{FUNCTION}EventInvokeConfig")
    assert config["DestinationConfig"]["OnFailure"]["Destination"] == arn("SweepResultsDeadLetterQueue")


def test_log_group_is_its_own_and_expires() -> None:
    group = properties("SweepResultsLogGroup")

    assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert group["LogGroupName"] == {"Fn::Sub": "/aws/lambda/${AWS::StackName}/sweep_results"}


def test_role_reads_reports_and_writes_results_and_nothing_else() -> None:
    found = {}
    for sid, statement in statements("SweepResultsRole").items():
        assert statement["Effect"] == "Allow"
        resources = [next(iter(it.values())) if isinstance(it, dict) else it for it in listed(statement["Resource"])]
        names = [".".join(listed(resource)) for resource in resources]
        found[sid] = {(action, name) for action in listed(statement["Action"]) for name in names}
    assert found == {
        "WriteOwnLogs": {(action, "SweepResultsLogGroup.Arn") for action in LOGS},
        "WriteTraces": {("xray:PutTraceSegments", "*"), ("xray:PutTelemetryRecords", "*")},
        "PublishTheEnd": {("events:PutEvents", "EventBus.Arn")},
        "ReceiveResults": {
            (f"sqs:{action}", "SweepResultsQueue.Arn")
            for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
        },
        "KeepFailures": {("sqs:SendMessage", "SweepResultsDeadLetterQueue.Arn")},
        "ReadReportsAndResults": {
            ("s3:GetObject", "${ReportBucket.Arn}/reports/*"),
            ("s3:GetObject", "${ReportBucket.Arn}/results/*"),
        },
        "WriteResults": {("s3:PutObject", "${ReportBucket.Arn}/results/*")},
        "TellMissingFromForbidden": {("s3:ListBucket", "ReportBucket.Arn")},
        "UseKeyOfQueuesAndReports": {("kms:Decrypt", "KmsKeyArn"), ("kms:GenerateDataKey", "KmsKeyArn")},
        "DecryptVariables": {("kms:Decrypt", "KmsKeyArn")},
        "ManageNetworkInterfaces": {(action, "*") for action in NETWORK},
    }
    users = [key for key, it in of_type("AWS::Lambda::Function").items() if it["Role"] == arn("SweepResultsRole")]
    assert users == [FUNCTION]


def test_batches_are_large_since_each_writes_the_whole_document() -> None:
    assert mapping()["EventSourceArn"] == arn("SweepResultsQueue")
    assert mapping()["BatchSize"] == 10_000
    assert 1 <= mapping()["MaximumBatchingWindowInSeconds"] <= 60
    assert mapping()["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping()["ScalingConfig"] == {"MaximumConcurrency": 2}
    assert mapping().get("Enabled", True) is True


def test_what_comes_again_finds_the_lease_over() -> None:
    visibility = properties("SweepResultsQueue")["VisibilityTimeout"]

    assert visibility >= 6 * properties(FUNCTION)["Timeout"]
    assert visibility > LEASE.total_seconds() > properties(FUNCTION)["Timeout"]


def test_dead_letters_outlast_the_queue() -> None:
    queue, letters = properties("SweepResultsQueue"), properties("SweepResultsDeadLetterQueue")

    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == arn("SweepResultsDeadLetterQueue")
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 10
    assert (queue["MessageRetentionPeriod"], letters["MessageRetentionPeriod"]) == (4 * DAY, 14 * DAY)
    assert "RedrivePolicy" not in letters


def test_rule_takes_results_of_a_sweeps_requests_to_the_queue() -> None:
    rule = properties("SweepResultsRule")
    assert rule["EventBusName"] == BUS
    assert rule["EventPattern"] == {
        "source": ["task-cleanup"],
        "detail-type": ["Task Cleanup Completed", "Task Cleanup Failed"],
        "detail": {"requested_by": ["task-cleanup"]},
    }

    (target,) = rule["Targets"]

    assert target["Arn"] == arn("SweepResultsQueue")
    assert target["DeadLetterConfig"] == {"Arn": arn("SweepResultsDeadLetterQueue")}


@pytest.mark.parametrize("kind", WATCHED)
def test_gatherer_is_watched(kind: str) -> None:
    most = 7200 if kind == "QueueAgeAlarm" else WATCHED[kind].most
    watch = WATCHED[kind]._replace(most=most)

    alarm = ALARMS[f"SweepResults{kind}"]

    check(alarm, watch, f"SweepResults{watch.watched}")
    assert alarm["AlarmDescription"]["Fn::Sub"].startswith("sweep_results: ")


def test_waiting_is_told_after_all_receives() -> None:
    queue = properties("SweepResultsQueue")

    receives = queue["VisibilityTimeout"] * queue["RedrivePolicy"]["maxReceiveCount"]

    assert receives < ALARMS["SweepResultsQueueAgeAlarm"]["Threshold"] < queue["MessageRetentionPeriod"]


@pytest.mark.parametrize("kind", ["QueueUrl", "QueueArn", "DeadLetterQueueUrl", "DeadLetterQueueArn", "FunctionArn"])
def test_output_names_it(kind: str) -> None:
    name = f"SweepResults{kind[:-3]}"

    expected = {"Ref": name} if kind.endswith("Url") else arn(name)

    assert template()["Outputs"][f"SweepResults{kind}"]["Value"] == expected
