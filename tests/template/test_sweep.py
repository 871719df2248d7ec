"""The sweep's own part of the template: what it may do, when it runs, where its reports are, who is told."""

import json
import re
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from jsonschema import Draft202012Validator

from task_cleanup.sweep.claims import LEASE_MARGIN
from tests.support.expected import (
    ALARMS,
    COMMON_ENVIRONMENT,
    LOGS,
    NETWORK,
    SECRET,
    UNDELIVERED,
    WATCHED,
    Watch,
    check,
    routes,
)
from tests.support.federation import PROVIDERS, parameter_of, token_condition
from tests.support.functions import request_schema, sample_event
from tests.support.template import (
    BUS,
    OPERATIONS,
    SWEEP,
    Deployment,
    listed,
    of_type,
    properties,
    statements,
    template,
    translated,
)

DAY = 24 * 60 * 60
NOTHING = {"Ref": "AWS::NoValue"}
RESOURCES = template()["Resources"]


def arn(logical_id: str) -> dict[str, list[str]]:
    return {"Fn::GetAtt": [logical_id, "Arn"]}


def mapping() -> dict[str, Any]:
    found = of_type("AWS::Lambda::EventSourceMapping").values()
    (own,) = [it for it in found if it["FunctionName"] == {"Ref": "SweepFunction"}]
    return own


# -- the function ------------------------------------------------


def test_function_runs_as_designed() -> None:
    function = properties("SweepFunction")
    assert function["Handler"] == "app.lambda_handler"
    assert function["Runtime"] == "python3.13"
    assert function["Architectures"] == [{"Ref": "Architecture"}]
    assert (function["Timeout"], function["MemorySize"]) == (900, 1024)
    assert function["TracingConfig"] == {"Mode": "Active"}
    assert function["VpcConfig"] == properties(OPERATIONS[0].id("Function"))["VpcConfig"]
    assert RESOURCES["SweepFunction"]["Metadata"] == {"BuildMethod": "makefile", "ContextPath": "functions"}

    config = properties("SweepFunctionEventInvokeConfig")

    assert config["DestinationConfig"]["OnFailure"]["Destination"] == arn("SweepDeadLetterQueue")


def test_environment_is_complete() -> None:
    assert properties("SweepFunction")["Environment"]["Variables"] == {
        **COMMON_ENVIRONMENT,
        "DEAD_LETTER_QUEUE_URL": {"Ref": "SweepDeadLetterQueue"},
        **{f"{it.upper()}_FEDERATION": {"Ref": parameter_of(it)} for it in PROVIDERS},
        "REPORT_BUCKET": {"Ref": "ReportBucket"},
        "MAX_RECEIVES": "3",
        "AWS_ENDPOINT_URL_S3": {"Fn::Sub": "https://s3.${AWS::Region}.${AWS::URLSuffix}"},
    }


def test_log_group_is_its_own_and_expires() -> None:
    group = properties("SweepLogGroup")

    assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert group["LogGroupName"] == {"Fn::Sub": "/aws/lambda/${AWS::StackName}/sweep"}
    assert properties("SweepFunction")["LoggingConfig"]["LogGroup"] == {"Ref": "SweepLogGroup"}


def test_only_who_makes_pages_has_the_report_layer() -> None:
    """Every other function would start the slower, and import what it has no use for."""
    layers = {
        name: [re.sub("Layer.*", "", layer["Ref"]) for layer in function["Layers"]]
        for name, function in of_type("AWS::Lambda::Function").items()
    }

    for name in ("SweepFunction", "SweepResultsFunction"):
        assert layers.pop(name) == ["Dependencies", "TaskCleanup", "Report"]
    assert set(map(tuple, layers.values())) == {("Dependencies", "TaskCleanup")}


def test_report_layer_is_built_like_the_dependencies() -> None:
    own, other = RESOURCES["ReportLayer"], RESOURCES["DependenciesLayer"]
    assert own["Metadata"] == other["Metadata"]

    differing = ("LayerName", "Description")

    assert {key: value for key, value in own["Properties"].items() if key not in differing} == {
        key: value for key, value in other["Properties"].items() if key not in differing
    }
    assert own["Properties"]["LayerName"] != other["Properties"]["LayerName"]


# -- the role ------------------------------------------------


def reached() -> dict[str, set[tuple[str, str]]]:
    """By Sid, the pairs of action and resource that the role may use."""
    found: dict[str, set[tuple[str, str]]] = {}
    for sid, statement in statements("SweepRole").items():
        assert statement["Effect"] == "Allow"
        resources = [next(iter(it.values())) if isinstance(it, dict) else it for it in listed(statement["Resource"])]
        names = [".".join(listed(resource)) for resource in resources]
        found[sid] = {(action, name) for action in listed(statement["Action"]) for name in names}
    return found


def test_role_may_do_this_and_nothing_else() -> None:
    assert reached() == {
        "WriteOwnLogs": {(action, "SweepLogGroup.Arn") for action in LOGS},
        "WriteTraces": {("xray:PutTraceSegments", "*"), ("xray:PutTelemetryRecords", "*")},
        "ReadCredentialsOfProviders": {
            ("secretsmanager:GetSecretValue", f"{SECRET}{provider}/*")
            for provider in {operation.provider for operation in OPERATIONS}
        },
        **{f"ProveIdentityTo{it.capitalize()}": {("sts:GetWebIdentityToken", "*")} for it in PROVIDERS},
        "PublishRequestsAndResults": {("events:PutEvents", "EventBus.Arn")},
        "ReceiveRequests": {
            ("sqs:ReceiveMessage", "SweepQueue.Arn"),
            ("sqs:DeleteMessage", "SweepQueue.Arn"),
            ("sqs:GetQueueAttributes", "SweepQueue.Arn"),
        },
        "KeepFailures": {("sqs:SendMessage", "SweepDeadLetterQueue.Arn")},
        "ReadAndWriteReports": {
            (action, f"${{ReportBucket.Arn}}/{prefix}/*")
            for action in ("s3:GetObject", "s3:PutObject")
            for prefix in ("reports", "results", "ledger", "names")
        },
        "TellMissingFromForbidden": {("s3:ListBucket", "ReportBucket.Arn")},
        "UseKeyOfSecretsQueuesAndReports": {("kms:Decrypt", "KmsKeyArn"), ("kms:GenerateDataKey", "KmsKeyArn")},
        "DecryptVariables": {("kms:Decrypt", "KmsKeyArn")},
        "ManageNetworkInterfaces": {(action, "*") for action in NETWORK},
    }


def test_optional_rights_depend_on_their_parameter() -> None:
    conditions = {}
    for statement in properties("SweepRole")["Policies"][0]["PolicyDocument"]["Statement"]:
        if "Fn::If" in statement:
            condition, given, otherwise = statement["Fn::If"]
            conditions[given["Sid"]] = condition
            assert otherwise == NOTHING
    assert conditions == {
        **{f"ProveIdentityTo{it.capitalize()}": f"Has{parameter_of(it)}" for it in PROVIDERS},
        "UseKeyOfSecretsQueuesAndReports": "HasKmsKey",
        "DecryptVariables": "HasKmsKey",
        "ManageNetworkInterfaces": "IsInVpc",
    }

    services = statements("SweepRole")["UseKeyOfSecretsQueuesAndReports"]["Condition"]["StringLike"]["kms:ViaService"]

    assert services == [{"Fn::Sub": f"{service}.${{AWS::Region}}.*"} for service in ("secretsmanager", "sqs", "s3")]


def test_each_token_is_for_one_provider() -> None:
    own = statements("SweepRole")

    for provider in PROVIDERS:
        assert own[f"ProveIdentityTo{provider.capitalize()}"]["Condition"] == token_condition(provider)


def test_role_is_its_own() -> None:
    users = [key for key, it in of_type("AWS::Lambda::Function").items() if it["Role"] == arn("SweepRole")]
    assert users == ["SweepFunction"]

    trust = properties("SweepRole")["AssumeRolePolicyDocument"]["Statement"]

    assert [statement["Principal"] for statement in trust] == [{"Service": "lambda.amazonaws.com"}]
    assert "ManagedPolicyArns" not in properties("SweepRole")


def test_nobody_else_may_touch_the_reports() -> None:
    for role in of_type("AWS::IAM::Role"):
        actions = {action for statement in statements(role).values() for action in listed(statement["Action"])}
        sweeps = role in ("SweepRole", "SweepResultsRole")
        assert sweeps or not [action for action in actions if action.startswith("s3:")]


# -- the queue ------------------------------------------------


def test_message_stays_away_while_its_worker_may_hold_the_run_and_comes_soon_after() -> None:
    held = properties("SweepFunction")["Timeout"] + LEASE_MARGIN.total_seconds()

    assert held + 30 <= properties("SweepQueue")["VisibilityTimeout"] <= held + 120


def test_receives_leave_room_after_the_functions_own_last_try() -> None:
    redrive = properties("SweepQueue")["RedrivePolicy"]

    tries = int(properties("SweepFunction")["Environment"]["Variables"]["MAX_RECEIVES"])

    assert redrive["deadLetterTargetArn"] == arn("SweepDeadLetterQueue")
    assert redrive["maxReceiveCount"] == tries + 3


def test_dead_letters_outlast_the_queue() -> None:
    queue, letters = properties("SweepQueue"), properties("SweepDeadLetterQueue")

    assert (queue["MessageRetentionPeriod"], letters["MessageRetentionPeriod"]) == (4 * DAY, 14 * DAY)
    assert "RedrivePolicy" not in letters


def test_one_sweep_at_a_time_and_two_at_once() -> None:
    assert mapping()["EventSourceArn"] == arn("SweepQueue")
    assert mapping()["BatchSize"] == 1
    assert mapping()["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping()["ScalingConfig"] == {"MaximumConcurrency": 2}
    assert mapping().get("Enabled", True) is True


def test_rule_leads_to_the_queue() -> None:
    rule = properties("SweepRule")
    assert rule["EventPattern"] == {"detail-type": ["Sweep Requested"]}

    (target,) = rule["Targets"]

    assert target["Arn"] == arn("SweepQueue")
    assert target["DeadLetterConfig"] == {"Arn": arn("SweepDeadLetterQueue")}


def test_routes_ask_and_tell() -> None:
    own = {(method, path) for function, method, path, _ in routes() if function == "SweepFunction"}
    assert own == {("post", "/sweeps"), ("get", "/sweeps/{run_id}")}

    sources = {
        it["SourceArn"]["Fn::Sub"][0].partition("/")[2]
        for it in of_type("AWS::Lambda::Permission").values()
        if it["FunctionName"] == {"Ref": "SweepFunction"}
    }

    assert sources == {"${__Stage__}/POST/sweeps", "${__Stage__}/GET/sweeps/*"}


@pytest.mark.parametrize("kind", ["QueueUrl", "QueueArn", "DeadLetterQueueUrl", "DeadLetterQueueArn", "FunctionArn"])
def test_output_names_it(kind: str) -> None:
    name = f"Sweep{kind[:-3]}"

    expected = {"Ref": name} if kind.endswith("Url") else arn(name)

    assert template()["Outputs"][f"Sweep{kind}"]["Value"] == expected


# -- the schedule ------------------------------------------------


def schedule_input(policy: str | None) -> dict[str, Any]:
    """What the schedule sends, with this policy or with none."""
    text, values = properties("SweepSchedule")["Target"]["Input"]["Fn::Sub"]
    ((name, choice),) = values.items()
    condition, given, otherwise = choice["Fn::If"]
    assert (condition, given) == ("HasSweepPolicy", {"Ref": "SweepPolicy"})
    filled = text.replace(f"${{{name}}}", otherwise if policy is None else policy)
    assert "${" not in filled
    sent: dict[str, Any] = json.loads(filled)
    return sent


def test_schedule_is_off_until_there_is_a_policy() -> None:
    assert template()["Parameters"]["SweepPolicy"]["Default"] == ""
    assert template()["Conditions"]["HasSweepPolicy"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "SweepPolicy"}, ""]}]}
    assert properties("SweepSchedule")["State"] == {"Fn::If": ["HasSweepPolicy", "ENABLED", "DISABLED"]}


def test_schedule_sends_to_the_queue_and_keeps_what_it_cannot_send() -> None:
    schedule = properties("SweepSchedule")

    assert schedule["GroupName"] == {"Ref": "ScheduleGroup"}
    assert schedule["ScheduleExpression"] == {"Ref": "SweepScheduleExpression"}
    assert schedule["ScheduleExpressionTimezone"] == {"Ref": "SweepTimeZone"}
    assert schedule["Target"]["Arn"] == arn("SweepQueue")
    assert schedule["Target"]["RoleArn"] == arn("SchedulerRole")
    assert schedule["Target"]["RetryPolicy"]["MaximumRetryAttempts"] > 0
    assert schedule["Target"]["DeadLetterConfig"] == {"Arn": arn("SweepDeadLetterQueue")}


def test_schedule_says_which_night_it_is() -> None:
    """In the shape of the sample event, and with the same id at every attempt to send it."""
    sent, sample = schedule_input('{"name": "x"}'), sample_event(SWEEP, "schedule")

    assert sent.keys() == sample.keys()
    assert sent["id"] == "<aws.scheduler.schedule-arn>@<aws.scheduler.scheduled-time>"
    assert sent["time"] == "<aws.scheduler.scheduled-time>"
    assert sent["resources"] == ["<aws.scheduler.schedule-arn>"]
    for name in ("source", "detail-type"):
        assert sent[name] == sample[name]
    assert sent["detail"] == {"name": "x"}


def test_example_policy_is_valid_and_only_reports() -> None:
    policy = schedule_input(None)["detail"]

    Draft202012Validator(request_schema(SWEEP)).validate(policy)

    assert policy["mode"] == "report"


@pytest.mark.parametrize("text", ["", '{"name": "x"}', '{\n  "name": "x"\n}'])
def test_policy_parameter_takes_an_object(text: str) -> None:
    assert re.search(template()["Parameters"]["SweepPolicy"]["AllowedPattern"], text)


@pytest.mark.parametrize("text", [" ", "[]", "x", '"{}"', " {}", "{} ", "{}x"])
def test_policy_parameter_refuses_what_is_none(text: str) -> None:
    """A blank would switch the schedule on with nothing to do."""
    assert not re.search(template()["Parameters"]["SweepPolicy"]["AllowedPattern"], text)


def test_policy_parameter_says_what_to_do_beyond_its_length() -> None:
    parameter = template()["Parameters"]["SweepPolicy"]

    assert parameter["MaxLength"] == 4096, "CloudFormation's own limit"
    assert "4,096" in parameter["Description"]


# -- the bucket ------------------------------------------------


def test_bucket_is_encrypted_with_or_without_a_key() -> None:
    (rule,) = properties("ReportBucket")["BucketEncryption"]["ServerSideEncryptionConfiguration"]

    assert rule["ServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": {"Fn::If": ["HasKmsKey", "aws:kms", "AES256"]},
        "KMSMasterKeyID": {"Fn::If": ["HasKmsKey", {"Ref": "KmsKeyArn"}, NOTHING]},
    }


def test_bucket_is_private() -> None:
    bucket = properties("ReportBucket")

    access = bucket["PublicAccessBlockConfiguration"]

    assert len(access) == 4
    assert set(access.values()) == {True}
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert "AccessControl" not in bucket


def test_bucket_refuses_plain_http_and_lets_nobody_in() -> None:
    """Who may write is judged in tests/rights."""
    (policy,) = of_type("AWS::S3::BucketPolicy").values()
    assert policy["Bucket"] == {"Ref": "ReportBucket"}
    found = {statement["Sid"]: statement for statement in policy["PolicyDocument"]["Statement"]}
    assert {statement["Effect"] for statement in found.values()} == {"Deny"}

    statement = found["DenyWithoutTls"]

    assert (statement["Principal"], statement["Action"]) == ("*", "s3:*")
    assert statement["Resource"] == [arn("ReportBucket"), {"Fn::Sub": "${ReportBucket.Arn}/*"}]
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_reports_are_versioned_and_expire() -> None:
    bucket = properties("ReportBucket")
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}

    rules = {rule["Prefix"]: rule for rule in bucket["LifecycleConfiguration"]["Rules"]}

    expiry = {prefix: rule.get("ExpirationInDays") for prefix, rule in rules.items()}
    days = {"Ref": "ReportRetentionDays"}
    assert expiry == {"reports/": days, "results/": days, "ledger/": None, "names/": None}
    former = {prefix: rule["NoncurrentVersionExpiration"]["NoncurrentDays"] for prefix, rule in rules.items()}
    assert former == {"reports/": 30, "results/": 1, "ledger/": 30, "names/": 30}
    for rule in rules.values():
        assert rule["Status"] == "Enabled"
        assert rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] >= 1


def test_a_run_is_known_for_as_long_as_its_request_can_come_back() -> None:
    parameter = template()["Parameters"]["ReportRetentionDays"]

    assert parameter["Default"] == 90
    waits = properties("SweepQueue")["MessageRetentionPeriod"]
    dead = properties("SweepDeadLetterQueue")["MessageRetentionPeriod"]
    assert parameter["MinValue"] * DAY > waits + 2 * dead, "a function that moves a message begins its time anew"


def test_reports_outlive_the_stack() -> None:
    for name in ("ReportBucket", "ReportBucketPolicy"):
        assert RESOURCES[name]["DeletionPolicy"] == RESOURCES[name]["UpdateReplacePolicy"] == "Retain"

    assert list(of_type("AWS::S3::Bucket")) == ["ReportBucket"]
    assert template()["Outputs"]["ReportBucketName"]["Value"] == {"Ref": "ReportBucket"}


# -- the alarms ------------------------------------------------

# Like an operation, and more: there is one sweep only.
OWN_WATCHED = {
    **WATCHED,
    "QueueAgeAlarm": WATCHED["QueueAgeAlarm"]._replace(most=7200),
    "UndeliveredAlarm": UNDELIVERED,
    "ThrottlesAlarm": Watch("AWS/Lambda", "Throttles", "Sum", "Function", 0),
    "DurationAlarm": Watch("AWS/Lambda", "Duration", "Maximum", "Function", 780_000),
}


@pytest.mark.parametrize("kind", OWN_WATCHED)
def test_sweep_is_watched(kind: str) -> None:
    watch = OWN_WATCHED[kind]

    alarm = ALARMS[f"Sweep{kind}"]

    check(alarm, watch, f"Sweep{watch.watched}")
    assert alarm["AlarmDescription"]["Fn::Sub"].startswith("sweep: ")


def test_alarms_come_before_it_is_too_late_and_not_before_it_is_normal() -> None:
    queue = properties("SweepQueue")

    all_receives = queue["VisibilityTimeout"] * queue["RedrivePolicy"]["maxReceiveCount"]

    assert all_receives < ALARMS["SweepQueueAgeAlarm"]["Threshold"] < queue["MessageRetentionPeriod"]
    assert ALARMS["SweepDurationAlarm"]["Threshold"] < 1000 * properties("SweepFunction")["Timeout"]


OWN_METRIC = [{"Name": "service", "Value": BUS}, {"Name": "operation", "Value": "sweep"}]


def test_metrics_are_those_of_this_stack() -> None:
    variables = properties("SweepFunction")["Environment"]["Variables"]
    for name in ("Refused", "Failed", "Incomplete", "Missing"):
        alarm = ALARMS[f"Sweep{name}Alarm"]
        assert alarm["Dimensions"] == OWN_METRIC
        assert alarm["Dimensions"][0]["Value"] == variables["POWERTOOLS_SERVICE_NAME"]
        assert alarm["Namespace"] == variables["POWERTOOLS_METRICS_NAMESPACE"]
        assert alarm["Statistic"] == "Sum"


@pytest.mark.parametrize(
    ("name", "metric"), [("Refused", "Refused"), ("Failed", "Failed"), ("Incomplete", "TargetsIncomplete")]
)
def test_one_refused_failed_or_incomplete_run_is_told(name: str, metric: str) -> None:
    alarm = ALARMS[f"Sweep{name}Alarm"]

    assert alarm["MetricName"] == metric
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", 0)
    assert alarm["EvaluationPeriods"] == 1


MISSING = ALARMS["SweepMissingAlarm"]
HOUR = 60 * 60
STAYS = None  # of an alarm: the state does not change


def state_after(hours: list[int | None]) -> str | None:
    """The alarm's state by the last hours' sums of ``Runs``, the newest last; ``None`` is an hour without data.

    User guide, "Configuring how CloudWatch alarms treat missing data", for an alarm that ignores missing data and
    wants all of its data points to breach: those that there are decide, and where they are too few, it stays.
    """
    wanted = MISSING["EvaluationPeriods"]
    known = [hour for hour in hours[-wanted:] if hour is not None]
    if any(hour >= MISSING["Threshold"] for hour in known):
        return "OK"
    return "ALARM" if len(known) == wanted else STAYS


def first_alarm(hours: list[int | None]) -> int | None:
    """How many hours after the beginning the alarm rings for the first time."""
    return next((hour for hour in range(len(hours) + 1) if state_after(hours[:hour]) == "ALARM"), None)


def beats(hours: int, *runs: int) -> list[int | None]:
    """Hours with a heartbeat, and with a run in some of them."""
    return [int(hour in runs) for hour in range(hours)]


BEFORE: list[int | None] = [None for _ in range(24 * 30)]


@pytest.mark.parametrize("every", [24, 48])
def test_missing_alarm_rests_from_the_first_day_on(every: int) -> None:
    """Whenever the policy was given; the first run comes as late as it may."""
    assert first_alarm([*BEFORE, *beats(24 * 14, *range(every - 1, 24 * 14, every))]) is None


def test_missing_alarm_rests_with_a_run_that_needed_all_its_receives() -> None:
    queue = properties("SweepQueue")

    late = 48 + queue["VisibilityTimeout"] * queue["RedrivePolicy"]["maxReceiveCount"] // HOUR

    assert first_alarm(beats(late + 40, 0, late)) is None


def test_missing_alarm_rings_two_days_after_the_last_run_or_the_deployment() -> None:
    never, stopped = first_alarm([*BEFORE, *beats(200)]), first_alarm(beats(400, 10, 34, 58))

    assert never is not None
    assert stopped is not None
    assert 48 <= never - len(BEFORE) <= 51
    assert 48 <= stopped - 59 <= 51


def test_missing_alarm_keeps_ringing_when_the_heartbeat_ends_too() -> None:
    hours = [*beats(60), *BEFORE]

    assert state_after(hours[:60]) == "ALARM"
    assert {state_after(hours[:hour]) for hour in range(60, len(hours))} <= {"ALARM", STAYS}


def test_missing_alarm_counts_runs_by_the_hour_where_the_schedule_is_on() -> None:
    assert (MISSING["MetricName"], MISSING["Statistic"], MISSING["Period"]) == ("Runs", "Sum", HOUR)
    assert (MISSING["ComparisonOperator"], MISSING["Threshold"]) == ("LessThanThreshold", 1)
    assert MISSING.get("DatapointsToAlarm", MISSING["EvaluationPeriods"]) == MISSING["EvaluationPeriods"]
    assert MISSING["EvaluationPeriods"] * HOUR <= 7 * DAY, "the most that CloudWatch evaluates"
    assert MISSING["TreatMissingData"] == "ignore", "what state_after() stands for"
    assert translated()["SweepMissingAlarm"]["Condition"] == "SweepsEveryNight"


def test_heartbeat_adds_nothing_to_the_metric_that_the_alarm_and_the_sweep_use() -> None:
    heartbeat = Deployment(parameters={"SweepPolicy": "{}"}).resources["SweepHeartbeat"]["Properties"]
    assert (heartbeat["ScheduleExpression"], heartbeat.get("State", "ENABLED")) == ("rate(1 hour)", "ENABLED")
    assert heartbeat["GroupName"] == {"Ref": "ScheduleGroup"}
    target = heartbeat["Target"]
    assert target["Arn"] == {"Fn::Sub": "arn:${AWS::Partition}:scheduler:::aws-sdk:cloudwatch:putMetricData"}
    sent = json.loads(target["Input"])
    (datum,) = sent["MetricData"]
    assert (sent["Namespace"], datum["MetricName"], datum["Value"]) == (MISSING["Namespace"], "Runs", 0)
    assert datum["Unit"] == "Count"
    assert datum["Dimensions"] == [
        {"Name": "service", "Value": "task-cleanup"},
        {"Name": "operation", "Value": "sweep"},
    ]
    shape = (
        botocore.session.get_session().get_service_model("cloudwatch").operation_model("PutMetricData").input_shape
    )
    assert shape is not None

    report = ParamValidator().validate(sent, shape)

    assert not report.has_errors(), report.generate_report()


def test_heartbeat_may_write_our_metrics_and_nothing_else() -> None:
    assert target_role("SweepHeartbeat") == "SweepHeartbeatRole"
    (statement,) = statements("SweepHeartbeatRole").values()
    assert statement["Action"] == "cloudwatch:PutMetricData"
    assert statement["Condition"] == {"StringEquals": {"cloudwatch:namespace": MISSING["Namespace"]}}

    own, other = properties("SweepHeartbeatRole"), properties("SchedulerRole")

    assert own["AssumeRolePolicyDocument"] == other["AssumeRolePolicyDocument"], "for this group only"
    assert own["PermissionsBoundary"] == other["PermissionsBoundary"]


def target_role(schedule: str) -> str:
    role: str = properties(schedule)["Target"]["RoleArn"]["Fn::GetAtt"][0]
    return role


def test_heartbeat_beats_only_where_a_nightly_sweep_is_on() -> None:
    for parameters in ({}, {"Schedules": "false"}):
        assert (
            not {"SweepHeartbeat", "SweepHeartbeatRole", "SweepMissingAlarm"}
            & Deployment(parameters=parameters).resources.keys()
        )
