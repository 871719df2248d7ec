"""What ``sam build`` made, run as Lambda runs it: processes under awslambdaric, fed by a Runtime API.

Every function found is tried, and one of each kind with every trigger. The processes see their own code, the built
layers and the runtime client, and nothing of the environment that the tests run in.
"""

import json
import shutil
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from local.aws.artifact import Package
from local.aws.runtime_api import ErrorKind, LambdaFunction
from task_cleanup.quick_check import certainly_valid
from tests.support.artifact_bench import Bench, assert_nothing_leaks, payload_of, sample, why_not_here, without_tasks
from tests.support.artifact_relay import Relay
from tests.support.build import MissingInterpreterWarning
from tests.support.functions import (
    function_folders,
    is_list,
    operation_name,
    representative_folders,
    request_schema,
    sample_event,
)

NOT_HERE = why_not_here()
needs_the_runtime = pytest.mark.skipif(NOT_HERE is not None, reason=f"NOT CHECKED, the built artifact: {NOT_HERE}")
each_function = pytest.mark.parametrize("folder", function_folders())
# For what triggers do: a function's own handler has one line for all of them.
each_kind_of_function = pytest.mark.parametrize("folder", representative_folders())
# For what the runtime and the layers do: what is slow here is the same for all of a kind.
CHANGE_AND_LIST = ["huawei_oms_delete_task", "alibaba_elasticsearch_list_data_tasks"]
each_kind = pytest.mark.parametrize("folder", CHANGE_AND_LIST)
pytestmark = pytest.mark.timeout(240)

# Lambda's own Python has boto3; that it cannot be found here shows that nothing of this environment is seen, and
# that it is not loaded shows that the functions do without.
ABSENT = ("aws_xray_sdk", "boto3", "botocore", "moto", "pip", "pydantic", "pytest", "setuptools")


@pytest.fixture(scope="module")
def running(built_here: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(built_here, tmp_path_factory.mktemp("artifact")) as bench:
        yield bench


@pytest.fixture
def bench(running: Bench, request: pytest.FixtureRequest) -> Bench:
    running.reset(request.node.callspec.params.get("folder", "") if hasattr(request.node, "callspec") else "")
    return running


@pytest.mark.filterwarnings("always::tests.support.build.MissingInterpreterWarning")
def test_this_machine_can_run_the_artifact() -> None:
    """Where it cannot, the summary says so in capital letters, and not only the list of skipped tests."""
    if NOT_HERE:
        text = f"NOT CHECKED, the built artifact: {NOT_HERE}"
        warnings.warn(text, MissingInterpreterWarning, stacklevel=1)
        pytest.skip(text)


# -- every function ------------------------------------------------


@needs_the_runtime
def test_every_function_is_in_the_artifact(bench: Bench) -> None:
    operations = [bench.name_of(folder) for folder in function_folders()]

    assert sorted(bench.packages) == sorted([*operations, "SweepFunction", "SweepResultsFunction"])


@needs_the_runtime
@each_function
def test_direct_invocation_works(bench: Bench, folder: str) -> None:
    function = bench.warm(folder)
    before = len(function.log)
    result = payload_of(function.invoke(sample(folder, "direct")))
    assert (result["operation"], result["outcome"]) == (operation_name(folder), "succeeded")
    assert len(bench.cloud.emulators.journal.effects()) == int(not is_list(folder))

    lines = [json.loads(line) for line in function.log[before:].splitlines()]

    assert [line["result"] for line in lines if "result" in line] == [without_tasks(result)]
    assert [line["Results"] for line in lines if "Results" in line] == [[1.0]]


@needs_the_runtime
@each_kind_of_function
def test_http_call_is_answered(bench: Bench, folder: str) -> None:
    reply = payload_of(bench.warm(folder).invoke(sample(folder, "http")))

    assert (reply["statusCode"], reply["headers"]["Content-Type"]) == (200, "application/json")
    assert json.loads(reply["body"])["outcome"] == "succeeded"


@needs_the_runtime
@each_kind_of_function
def test_event_is_published(bench: Bench, folder: str) -> None:
    event = sample(folder, "eventbridge")

    result = payload_of(bench.warm(folder).invoke(event))

    assert (result["outcome"], result["correlation_id"]) == ("succeeded", event["id"])
    assert bench.cloud.results() == [without_tasks(result)]


@needs_the_runtime
@each_kind
def test_retryable_event_raises_and_tells_no_secret(bench: Bench, folder: str) -> None:
    quoted = "SignedHeaders testSecretFakeHuawei00001 testSecretFakeAlibaba0001 testSecretFakeOtc00000001"
    bench.cloud.emulators.faults.add("http_error", status=503, body=quoted)
    event = sample(folder, "eventbridge")
    function = bench.warm(folder)
    reply = function.invoke(event)
    assert reply.payload is None
    assert reply.error
    assert (reply.error.kind, reply.error.type) == (ErrorKind.HANDLER, "RetryableError")
    assert reply.error.message == f"{operation_name(folder)}: Http503 (retryable), correlation id {event['id']}"
    assert_nothing_leaks(reply, function.log)
    assert bench.cloud.results() == []

    bench.cloud.emulators.faults.clear()

    assert payload_of(function.invoke(event))["outcome"] == "succeeded"


@needs_the_runtime
@pytest.mark.parametrize("folder", [folder for folder in representative_folders() if not is_list(folder)])
def test_batch_fails_in_part(bench: Bench, folder: str) -> None:
    """The first record is throttled and comes again, the second succeeds, the third cannot ever."""
    (good,) = sample(folder, "sqs")["Records"]
    throttled, unreadable = {**good, "messageId": "throttled"}, {**good, "messageId": "unreadable", "body": "{"}
    bench.cloud.emulators.faults.add("throttle", retry_after=600, count=1)
    bench.cloud.emulators.switches.update(dms_throttle="APIGW.0308")  # the dialect that tells when to come again
    reply = payload_of(bench.warm(folder).invoke({"Records": [throttled, good, unreadable]}))
    assert reply == {"batchItemFailures": [{"itemIdentifier": "throttled"}]}

    codes = [(item["outcome"], item["error"] and item["error"]["code"]) for item in bench.cloud.results()]

    assert codes == [("succeeded", None), ("failed", "UnreadableRequest")]
    assert [letter.body for letter in bench.dead_letters(folder)] == ["{"]


@needs_the_runtime
@each_kind
@pytest.mark.parametrize("trigger", ["direct", "http"])
def test_invalid_request_is_refused_and_not_repeated(bench: Bench, folder: str, trigger: str) -> None:
    event = sample(folder, trigger)
    (event["pathParameters"] if trigger == "http" else event)["region"] = "rejected.value"
    function = bench.warm(folder)
    reply = function.invoke(event)
    result = payload_of(reply)
    if trigger == "http":
        assert (result["statusCode"], result["headers"]["Content-Type"]) == (400, "application/problem+json")
        result = json.loads(result["body"])["result"]
    assert (result["outcome"], result["error"]["category"]) == ("failed", "invalid_request")

    (violation,) = result["error"]["detail"]["violations"]

    assert (violation["pointer"], violation["rule"]) == ("/region", "pattern")
    assert violation["allowed"].startswith("must be one of ")
    assert bench.cloud.emulators.journal.entries() == []
    assert "rejected.value" not in json.dumps(reply.payload) + function.log


# -- environments ------------------------------------------------


@needs_the_runtime
@each_kind
def test_broken_variable_is_an_init_error_that_names_it(bench: Bench, folder: str) -> None:
    broken = {**bench.variables(folder), "MAX_RECEIVES": "wrong-value"}

    with bench.started(bench.package(folder), broken) as function:
        replies = [function.invoke(sample(folder, "direct")) for _ in range(2)]
        assert [reply.environment for reply in replies] == [1, 2], "each invocation tries again"
        for reply in replies:
            assert reply.error
            assert (reply.error.kind, reply.error.type) == (ErrorKind.INIT, "SettingsError")
            assert "MAX_RECEIVES" in reply.error.message
            assert "wrong-value" not in json.dumps(dict(reply.error.report)) + function.log
            assert_nothing_leaks(reply, function.log)

    assert bench.cloud.emulators.journal.entries() == []


@needs_the_runtime
@each_kind
@pytest.mark.parametrize("kind", ["drip_headers", "drip_body"])
def test_function_answers_before_its_time_is_up(bench: Bench, folder: str, kind: str) -> None:
    """The provider sends a byte now and then, for longer than the function has."""
    faults = bench.cloud.emulators.faults
    if kind == "drip_body":  # some answers have none
        faults.add("garbage", variant="html")
    faults.add(kind, size=1, ms=400)
    with bench.started(bench.package(folder), bench.variables(folder)) as function:
        result = payload_of(function.invoke(sample(folder, "direct"), timeout=7))
        assert (result["outcome"], result["retryable"]) == ("failed", True)
        assert (result["error"]["category"], result["error"]["code"]) == ("timeout", "Timeout")
        if not is_list(folder):
            assert "may have been made" in result["error"]["detail"]["note"]
        bench.reset(folder)
        after = function.invoke(sample(folder, "direct"))
        assert after.environment == 1
        assert payload_of(after)["outcome"] == "succeeded"


@needs_the_runtime
@each_kind
def test_fifty_events_need_one_connection_and_one_secret(bench: Bench, folder: str) -> None:
    service = bench.service_of(folder)
    with Relay(bench.cloud.emulators.urls[service]) as provider, Relay(bench.cloud.aws_url) as aws:
        variables = {
            **bench.variables(folder),
            f"{service.upper()}_ENDPOINT": provider.url,
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": aws.url,
        }
        with bench.started(bench.package(folder), variables) as function:
            replies = [function.invoke(sample(folder, "direct")) for _ in range(50)]
        results = [payload_of(reply) for reply in replies]
        assert {reply.environment for reply in replies} == {1}
        assert results[0]["outcome"] == "succeeded"
        calls = len(bench.cloud.emulators.journal.entries())
        assert calls == 50 if not is_list(folder) else calls >= 50  # a list may need several pages
        assert provider.connections == 1
        assert aws.count(b"secretsmanager.GetSecretValue") == 1


@needs_the_runtime
@each_kind
def test_connection_closed_while_frozen_is_reopened(bench: Bench, folder: str) -> None:
    service, emulators = bench.service_of(folder), bench.cloud.emulators
    with Relay(emulators.urls[service]) as provider:
        variables = {**bench.variables(folder), f"{service.upper()}_ENDPOINT": provider.url}
        with bench.started(bench.package(folder), variables) as function:
            emulators.faults.add("close_after_reply", count=1)
            assert payload_of(function.invoke(sample(folder, "direct")))["outcome"] == "succeeded"
            assert provider.connections == 1
            bench.reset(folder)
            reply = function.invoke(sample(folder, "direct"))
            assert payload_of(reply)["outcome"] == "succeeded"
            assert (reply.environment, provider.connections) == (1, 2)


PROBE = """
import importlib.util
import sys

import app

IMPORTED = set(sys.modules)

def lambda_handler(event, context):
    if "absent" not in event:
        return app.lambda_handler(event, context)
    files = [str(getattr(module, "__file__", None)) for module in list(sys.modules.values())]
    return {
        "loaded": sorted({name.partition(".")[0] for name in sys.modules} & set(event["absent"])),
        "importable": [name for name in event["absent"] if importlib.util.find_spec(name)],
        "outside": [path for path in files + sys.path if "site-packages" in path],
        "version": "python{}.{}".format(*sys.version_info[:2]),
        "packages": sorted({name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names),
        "modules": sorted(sys.modules),
        "late": sorted(set(sys.modules) - IMPORTED),
    }
"""

# What an invocation may load, the runtime client's own included. Something new here is milliseconds of every cold
# start: find out what brought it (python -X importtime) before it is added.
RUNTIME_CLIENT = {"awslambdaric", "rapid_client", "runtime_client", "simplejson", "snapshot_restore_py"}
LOADED = {
    *("app", "probe", "task_cleanup", "certifi", "idna", "requests", "requests_aws4auth", "urllib3"),
    *("aws_lambda_powertools", "jmespath", "typing_extensions"),  # Logger brings the others
}
VALIDATION = {"attr", "attrs", "jsonschema", "jsonschema_specifications", "referencing", "rpds"}
NOT_LOADED = {
    *("aws_lambda_powertools.event_handler", "aws_lambda_powertools.utilities.parameters", "asyncio"),
    *("jsonschema.validators", "multiprocessing", "statistics", "unittest"),
}
LATE = {"_strptime", "encodings.idna", "stringprep"}
LATE |= {f"task_cleanup.{name}" for name in ("allowed", "json_errors", "schema_errors")}


@needs_the_runtime
@each_kind
def test_process_holds_the_artifact_and_the_runtime_client_only(bench: Bench, folder: str, tmp_path: Path) -> None:
    """Asked in the process that has just served an event."""
    package = bench.package(folder)
    shutil.copytree(package.task_root, tmp_path, dirs_exist_ok=True)
    (tmp_path / "probe.py").write_text(PROBE)
    probed = replace(package, task_root=tmp_path, handler="probe.lambda_handler")
    with bench.started(probed, bench.variables(folder)) as function:
        assert payload_of(function.invoke(sample(folder, "direct")))["outcome"] == "succeeded"
        found = payload_of(function.invoke({"absent": ABSENT}))
    packages, modules, late = (set(found.pop(name)) for name in ("packages", "modules", "late"))
    assert found == {"loaded": [], "importable": [], "outside": [], "version": package.runtime}
    quick = certainly_valid(request_schema(folder), sample_event(folder, "direct"))
    names = {name for name in packages if not name.startswith(("_", "cython"))}
    assert names - RUNTIME_CLIENT - (set() if quick else VALIDATION) == LOADED
    if quick:
        assert modules & NOT_LOADED == set()
        assert late - LATE == set(), "what the first call needs is loaded before it: init is not throttled"


# -- the runtime API itself, with a handler that misbehaves on demand ------------------------------------------------

TOY = """
import http.client
import os
import subprocess
import sys
import time

def lambda_handler(event, context):
    match event.get("do"):
        case "hang":
            time.sleep(600)
        case "start a child":
            return subprocess.Popen(["/bin/sleep", "600"]).pid
        case "exit":
            os._exit(3)
        case "raise":
            raise ValueError("on purpose")
        case "call":
            connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
            connection.request(event["method"], event["path"], b"{}")
            response = connection.getresponse()
            response.read()
            connection.close()
            return response.status
    print("to stdout")
    print("to stderr", file=sys.stderr)
    return {
        "pid": os.getpid(),
        "request_id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "remaining": context.get_remaining_time_in_millis(),
        "environment": dict(os.environ),
    }
"""


def toy_package(folder: Path, source: str = TOY) -> Package:
    (folder / "toy.py").write_text(source)
    return Package(name="Toy", task_root=folder, handler="toy.lambda_handler")


@pytest.fixture
def toy(bench: Bench, tmp_path: Path) -> Iterator[LambdaFunction]:
    with bench.started(toy_package(tmp_path), {"GIVEN": "yes"}) as function:
        yield function


def state_of(pid: int) -> str:
    """The kernel's letter for a process (proc(5)): T stopped, Z ended but not collected; empty: there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


def wait_until_state(pid: int, *wanted: str) -> bool:
    for _ in range(500):
        if state_of(pid) in wanted:
            return True
        time.sleep(0.02)
    return False


@needs_the_runtime
def test_context_comes_from_the_headers(toy: LambdaFunction) -> None:
    reply = toy.invoke({}, timeout=20)

    seen = payload_of(reply)

    assert seen["request_id"] == reply.request_id
    assert seen["arn"].startswith("arn:aws:lambda:")
    assert seen["arn"].endswith(":function:Toy")
    assert 0 < seen["remaining"] <= 20_000
    assert seen["environment"]["_X_AMZN_TRACE_ID"].startswith("Root=1-")
    assert "to stdout" in toy.log
    assert "to stderr" in toy.log


@needs_the_runtime
def test_environment_is_lambdas_and_not_the_developers(
    toy: LambdaFunction, monkeypatch: pytest.MonkeyPatch, bench: Bench
) -> None:
    monkeypatch.setenv("DEVELOPERS_OWN", "yes")

    seen = payload_of(toy.invoke({}))["environment"]

    assert seen["GIVEN"] == "yes"
    assert "DEVELOPERS_OWN" not in seen
    assert seen["_HANDLER"] == "toy.lambda_handler"
    assert seen["AWS_LAMBDA_FUNCTION_NAME"] == "Toy"
    assert seen["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.13"
    assert seen["LAMBDA_TASK_ROOT"] == str(toy.package.task_root)
    assert seen["PYTHONPATH"] == str(bench.runtime)


@needs_the_runtime
@pytest.mark.parametrize(
    ("do", "kind", "error_type", "text"),
    [
        ("hang", ErrorKind.TIMEOUT, "Sandbox.Timedout", "Task timed out after 1.00 seconds"),
        ("exit", ErrorKind.EXIT, "Runtime.ExitError", "Runtime exited with error: exit status 3"),
    ],
)
def test_dead_environment_is_reported_and_replaced(
    toy: LambdaFunction, do: str, kind: ErrorKind, error_type: str, text: str
) -> None:
    first = payload_of(toy.invoke({}))["pid"]
    failed = toy.invoke({"do": do}, timeout=1 if kind is ErrorKind.TIMEOUT else 20)
    assert failed.error
    assert (failed.error.kind, failed.error.type) == (kind, error_type)
    assert failed.error.message == f"RequestId: {failed.request_id} Error: {text}"
    assert (state_of(first), toy.pid) == ("", None)

    after = toy.invoke({})

    assert (failed.environment, after.environment) == (1, 2)
    assert payload_of(after)["pid"] == toy.pid != first


@needs_the_runtime
def test_time_out_ends_what_the_function_started(toy: LambdaFunction) -> None:
    child = payload_of(toy.invoke({"do": "start a child"}))

    assert state_of(child) not in {"", "Z"}
    assert toy.invoke({"do": "hang"}, timeout=1).error
    assert wait_until_state(child, "", "Z")


@needs_the_runtime
def test_raising_handler_keeps_its_environment(toy: LambdaFunction) -> None:
    failed = toy.invoke({"do": "raise"})
    assert failed.error
    assert (failed.error.kind, failed.error.type, failed.error.message) == (
        ErrorKind.HANDLER,
        "ValueError",
        "on purpose",
    )

    after = toy.invoke({})

    assert after.environment == 1
    assert payload_of(after)["pid"] == toy.pid


@needs_the_runtime
@pytest.mark.parametrize(
    ("source", "error_type"),
    [
        ("import no_such_module_anywhere", "Runtime.ImportModuleError"),
        ("import os; os._exit(7)", "Runtime.ExitError"),
        ("import time; time.sleep(600)", "Sandbox.Timedout"),
        ("raise ValueError('on purpose')", "ValueError"),
    ],
)
def test_failed_init_is_reported(bench: Bench, tmp_path: Path, source: str, error_type: str) -> None:
    with bench.started(toy_package(tmp_path, source), {}, init_timeout=2 if "sleep" in source else 60) as function:
        reply = function.invoke({})
        assert reply.error
        assert (reply.error.kind, reply.error.type) == (ErrorKind.INIT, error_type)
        assert function.pid is None


@needs_the_runtime
def test_environment_is_frozen_between_events_and_gone_after_the_block(bench: Bench, tmp_path: Path) -> None:
    threads = set(threading.enumerate())

    with bench.started(toy_package(tmp_path), {}) as function:
        pid = payload_of(function.invoke({}))["pid"]
        assert wait_until_state(pid, "T")
        assert payload_of(function.invoke({}))["pid"] == pid

    assert state_of(pid) == ""
    assert set(threading.enumerate()) <= threads


@needs_the_runtime
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/2018-06-01/runtime/invocation/another-id/response", 400),
        ("POST", "/2018-06-01/runtime/invocation/another-id/error", 400),
        ("POST", "/2018-06-01/runtime/unknown", 404),
        ("GET", "/2018-06-01/runtime/unknown", 404),
    ],
)
def test_wrong_calls_are_refused_and_change_nothing(toy: LambdaFunction, method: str, path: str, status: int) -> None:
    assert payload_of(toy.invoke({"do": "call", "method": method, "path": path})) == status


@needs_the_runtime
def test_package_is_left_as_it_was_built(bench: Bench) -> None:
    """Code and layers are read-only in Lambda."""
    for folder in function_folders():
        package = bench.package(folder)
        places = (package.task_root, *package.layers)
        before = {path for place in places for path in place.rglob("*")}
        payload_of(bench.warm(folder).invoke({}))
        assert {path for place in places for path in place.rglob("*")} == before
