"""Each function has its block, its own role with its provider's rights only, its log group, its environment."""

import json
import re

import pytest

from task_cleanup.settings import Settings, SettingsError
from tests.support.builders import NO_REGIONS
from tests.support.expected import COMMON_ENVIRONMENT, LOGS, NETWORK, SECRET
from tests.support.federation import PROVIDERS, parameter_of, token_condition
from tests.support.functions import FUNCTIONS
from tests.support.identities import AWS_VARIABLES
from tests.support.template import (
    OPERATIONS,
    SWEEP,
    SWEEP_RESULTS,
    Operation,
    listed,
    of_type,
    properties,
    statements,
    template,
)

TOKEN = "ProveIdentityToProvider"


def reached(role: str) -> set[tuple[str, str]]:
    """Pairs of action and resource that a role may use, if its provider has a federation."""
    pairs = set()
    for sid, statement in statements(role).items():
        assert (statement["Effect"] == "Allow") is (sid != TOKEN)
        actions, resource = statement["Action"], statement["Resource"]
        target = next(iter(resource.values())) if isinstance(resource, dict) else resource
        for action in listed(actions):
            pairs.add((action, ".".join(listed(target))))
    return pairs


def test_folder_is_named_after_its_operation(operation: Operation) -> None:
    provider, service, call = operation.name.split(".")

    words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in call)

    assert operation.folder == f"{provider}_{service}{words}"


def test_every_folder_has_its_function_and_every_function_its_folder() -> None:
    functions = {
        key: resource["Properties"]["CodeUri"]
        for key, resource in template()["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }
    operations = {operation.id("Function"): f"functions/{operation.folder}" for operation in OPERATIONS}
    others = {"SweepFunction": f"functions/{SWEEP}/", "SweepResultsFunction": f"functions/{SWEEP_RESULTS}/"}
    assert functions == {**operations, **others}

    folders = {path.name for path in FUNCTIONS.iterdir() if path.is_dir() and path.name != "__pycache__"}

    known = {operation.folder for operation in OPERATIONS} | {SWEEP, SWEEP_RESULTS}

    assert folders == known, "a folder without app.py or operation"


def test_function_runs_as_designed(operation: Operation) -> None:
    function = properties(operation.id("Function"))

    assert function["Runtime"] == "python3.13"
    assert function["Handler"] == "app.lambda_handler"
    assert function["Architectures"] == [{"Ref": "Architecture"}]
    assert function["Timeout"] <= 29
    assert function["MemorySize"] == {"Ref": "MemorySize"}
    assert function["TracingConfig"] == {"Mode": "Active"}
    assert operation.name in function["Description"]


def test_layers_are_both_there_in_this_order(operation: Operation) -> None:
    names = [layer["Ref"] for layer in properties(operation.id("Function"))["Layers"]]
    assert [name[:-10] for name in names] == ["DependenciesLayer", "TaskCleanupLayer"]
    for name in names:
        layer = properties(name)
        assert layer["CompatibleArchitectures"] == [{"Ref": "Architecture"}]
        assert layer["CompatibleRuntimes"] == ["python3.13"]
        assert "${AWS::StackName}" in layer["LayerName"]["Fn::Sub"]


def test_built_from_a_makefile_that_follows_the_architecture(operation: Operation) -> None:
    resources = template()["Resources"]
    assert resources[operation.id("Function")]["Metadata"] == {
        "BuildMethod": "makefile",
        "ContextPath": "functions",
    }
    for layer in ("DependenciesLayer", "TaskCleanupLayer"):
        assert resources[layer]["Metadata"]["BuildMethod"] == "makefile"
        assert resources[layer]["Metadata"]["BuildArchitecture"] == {"Ref": "Architecture"}
    makefile = resources["DependenciesLayer"]["Metadata"]["ContextPath"]["Fn::Sub"]
    for architecture in template()["Parameters"]["Architecture"]["AllowedValues"]:
        path = FUNCTIONS.parent / makefile.replace("${Architecture}", architecture) / "Makefile"
        assert f"ARCHITECTURE := {architecture}\n" in path.read_text()


def test_environment_is_complete(operation: Operation) -> None:
    variables = properties(operation.id("Function"))["Environment"]["Variables"]
    letters = {"DEAD_LETTER_QUEUE_URL": {"Ref": operation.id("DeadLetterQueue")}}

    of_queue = {} if operation.is_list else {"MAX_RECEIVES": "5", **letters}

    others = {f"{it.upper()}_FEDERATION": "" for it in PROVIDERS}
    federation = {f"{operation.provider.upper()}_FEDERATION": {"Ref": parameter_of(operation.provider)}}

    assert variables == {**COMMON_ENVIRONMENT, **of_queue, **others, **federation}


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        ("", True),
        ('{"huawei.oms": ["xx-name-1"]}', True),
        ('{"huawei.oms":["xx-name-1","yy-name-2"],"otc.dms":["eu-nl2"]}', True),
        ('{\n  "huawei.oms": [\n    "xx-name-1",\n    "yy-name-2"\n  ],\n  "otc.dms": ["eu-nl2"]\n}', True),
        ("{}", False),
        ("[]", False),
        ('["xx-name-1"]', False),
        ('{"huawei.oms": []}', False),
        ('{"huawei.oms": "xx-name-1"}', False),
        ('{"huawei.oms": ["xx-name-1",]}', False),
        ('{"huawei.oms": ["xx-name-1" "yy-name-2"]}', False),
        ('{"huawei.oms": ["xx-name-1"],}', False),
        ('{"huawei.oms": ["xx-name-1"] "otc.dms": ["eu-nl2"]}', False),
        ('{"huawei_oms": ["xx-name-1"]}', False),
        ('{"huawei": ["xx-name-1"]}', False),
        (' {"huawei.oms": ["xx-name-1"]}', False),
        ('{"huawei.oms": ["xx-name-1"]}x', False),
        *((json.dumps({"huawei.oms": [region]}), False) for region in NO_REGIONS),
    ],
)
def test_what_the_parameter_of_extra_regions_takes_the_functions_can_read(value: str, *, valid: bool) -> None:
    parameter = template()["Parameters"]["ExtraRegions"]
    assert bool(re.search(parameter["AllowedPattern"], value)) is valid

    try:
        Settings.from_env([], {**AWS_VARIABLES, "EXTRA_REGIONS": value})
        taken = True
    except SettingsError:
        taken = False

    assert taken or not valid
    assert parameter["Default"] == ""


def test_log_levels_never_hide_what_was_done() -> None:
    assert set(template()["Parameters"]["LogLevel"]["AllowedValues"]) <= {"DEBUG", "INFO"}


def test_log_group_is_its_own_and_expires(operation: Operation) -> None:
    group = properties(operation.id("LogGroup"))

    assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert group["LogGroupName"]["Fn::Sub"] == "/aws/lambda/${AWS::StackName}/" + operation.folder
    assert properties(operation.id("Function"))["LoggingConfig"] == {
        "LogFormat": "JSON",
        "ApplicationLogLevel": {"Ref": "LogLevel"},
        "SystemLogLevel": "INFO",
        "LogGroup": {"Ref": operation.id("LogGroup")},
    }


def test_role_is_its_own(operation: Operation) -> None:
    role = operation.arn("Role")
    users = [key for key, function in of_type("AWS::Lambda::Function").items() if function["Role"] == role]
    assert users == [operation.id("Function")]

    trust = properties(operation.id("Role"))["AssumeRolePolicyDocument"]["Statement"]

    assert [statement["Principal"] for statement in trust] == [{"Service": "lambda.amazonaws.com"}]
    assert "ManagedPolicyArns" not in properties(operation.id("Role"))


def test_role_may_do_this_and_nothing_else(operation: Operation) -> None:
    letters = "ListFailuresQueue" if operation.is_list else operation.id("DeadLetterQueue")
    receive = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")

    of_queue = [] if operation.is_list else [(f"sqs:{action}", f"{operation.id('Queue')}.Arn") for action in receive]

    assert reached(operation.id("Role")) == {
        *((action, f"{operation.id('LogGroup')}.Arn") for action in LOGS),
        ("xray:PutTraceSegments", "*"),
        ("xray:PutTelemetryRecords", "*"),
        ("secretsmanager:GetSecretValue", f"{SECRET}{operation.provider}/*"),
        ("sts:GetWebIdentityToken", "*"),
        ("events:PutEvents", "EventBus.Arn"),
        *of_queue,
        ("sqs:SendMessage", f"{letters}.Arn"),
        ("kms:Decrypt", "KmsKeyArn"),
        ("kms:GenerateDataKey", "KmsKeyArn"),
        *((action, "*") for action in NETWORK),
    }


def test_optional_rights_depend_on_their_parameter(operation: Operation) -> None:
    conditions = {}

    for statement in properties(operation.id("Role"))["Policies"][0]["PolicyDocument"]["Statement"]:
        if "Fn::If" in statement:
            condition, given, otherwise = statement["Fn::If"]
            conditions[given["Sid"]] = condition
            assert otherwise == {"Ref": "AWS::NoValue"}

    assert conditions == {
        TOKEN: "HasFederation",
        "UseKeyOfSecretsAndQueues": "HasKmsKey",
        "DecryptVariables": "HasKmsKey",
        "ManageNetworkInterfaces": "IsInVpc",
    }
    assert "kms:ViaService" in statements(operation.id("Role"))["UseKeyOfSecretsAndQueues"]["Condition"]["StringLike"]


def test_token_is_for_the_own_provider_alone_and_denied_where_it_has_no_federation(operation: Operation) -> None:
    statement = statements(operation.id("Role"))[TOKEN]

    assert statement["Effect"] == {"Fn::If": [f"Has{parameter_of(operation.provider)}", "Allow", "Deny"]}
    assert statement["Condition"] == token_condition(operation.provider)


def test_every_role_takes_the_boundary() -> None:
    for role in of_type("AWS::IAM::Role").values():
        boundary = ["HasPermissionsBoundary", {"Ref": "PermissionsBoundaryArn"}, {"Ref": "AWS::NoValue"}]
        assert role["PermissionsBoundary"] == {"Fn::If": boundary}


def test_network_is_optional(operation: Operation) -> None:
    condition, given, otherwise = properties(operation.id("Function"))["VpcConfig"]["Fn::If"]

    assert condition == "IsInVpc"
    assert given == {"SubnetIds": {"Ref": "SubnetIds"}, "SecurityGroupIds": {"Ref": "SecurityGroupIds"}}
    assert otherwise == {"Ref": "AWS::NoValue"}


def test_key_encrypts_logs_and_variables() -> None:
    key = {"Fn::If": ["HasKmsKey", {"Ref": "KmsKeyArn"}, {"Ref": "AWS::NoValue"}]}
    for group in of_type("AWS::Logs::LogGroup").values():
        assert group["KmsKeyId"] == key
    for name, function in of_type("AWS::Lambda::Function").items():
        assert function["KmsKeyArn"] == key
        variables = statements(name.removesuffix("Function") + "Role")["DecryptVariables"]
        assert variables["Action"] == "kms:Decrypt"
        context = {"kms:EncryptionContextKeys": "aws:lambda:FunctionArn"}
        assert variables["Condition"] == {"ForAnyValue:StringEquals": context}


def test_crashed_asynchronous_run_is_kept(operation: Operation) -> None:
    config = properties(operation.id("FunctionEventInvokeConfig"))

    assert config["DestinationConfig"]["OnFailure"]["Destination"] == (
        {"Fn::GetAtt": ["ListFailuresQueue", "Arn"]} if operation.is_list else operation.arn("DeadLetterQueue")
    )
    assert config["MaximumRetryAttempts"] == 2
    assert config["MaximumEventAgeInSeconds"] <= 3600
