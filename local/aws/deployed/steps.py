"""The steps of ``make deployed``. Each needs the ones before it, and prints what it saw and what it expects."""

import json
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from requests_aws4auth import AWS4Auth

from local.aws.deployed.deployment import Deployed
from local.aws.deployed.ministack import TIMEOUT, Aws, NotAsItShouldBe, waited
from local.aws.stack import REGION
from local.emulators import SERVICES, Emulators
from local.stories import night, seeds

OPERATION = "HuaweiOmsDeleteTask"
OMS_TASKS = (seeds.OMS_FINISHED, 200477729979146)  # finished ones, for the two steps with an event
CALLER = "caller"  # a user of the account who gets the right to call the HTTP API and no other
VERSION = {"Version": "2012-10-17"}
INVOKE = "execute-api:Invoke"
READ_SECRET = "secretsmanager:GetSecretValue"
PAUSING = ("huawei_oms", "7")
SUCCEEDED = "Task Cleanup Completed: succeeded"
DENIED = "Task Cleanup Failed: failed, SecretDenied"
# The night's policy without running tasks: their deletes would come again after the queue's three minutes.
POLICY = {name: value for name, value in night.POLICY.items() if name not in {"stop_running", "stop_statuses"}} | {
    "select": {name: value for name, value in night.POLICY["select"].items() if name != "running_since"}
    | {"statuses": [status for status in night.POLICY["select"]["statuses"] if status != "running"]}
    | night.AT_ONCE
}

Detail = dict[str, Any]


@dataclass(frozen=True)
class Check:
    """Passed to each step. ``watched`` is the URL of the queue that gets all results; ``caller`` signs as a user."""

    aws: Aws
    deployed: Deployed
    emulators: Emulators
    watched: str
    caller: AWS4Auth

    def expect(self, what: str, seen: object, wanted: object) -> None:
        """Print what was seen. Raises NotAsItShouldBe if it is not what is wanted."""
        print(f"   {'ok' if seen == wanted else 'NO'}  {what}: {seen} (expected: {wanted})", flush=True)
        if seen != wanted:
            raise NotAsItShouldBe(f"{what}: {seen!r}, but should be {wanted!r}")

    def expect_gone(self, service: str, task_id: str) -> None:
        """Check in the emulator that the service has no task with this id."""
        there = [task for task in seeds.state(self.emulators) if (task[0], task[2]) == (service, task_id)]
        self.expect(f"task {task_id} at the provider", there, [])

    def calls(self) -> int:
        """How many calls the providers' emulators have received."""
        return len(self.emulators.journal.entries())

    def received(self, url: str) -> Detail:
        """Wait for a message in this queue, delete it there, and return it."""
        sqs, wanted = self.aws.client("sqs"), {"QueueUrl": url, "MessageAttributeNames": ["All"]}
        message: Detail = waited(f"message in {url}", lambda: sqs.receive_message(**wanted).get("Messages"))[0]
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return message

    def published(self, run: str) -> Detail:
        """Wait for the next result, which must be of this run; returns its ``detail``, with ``ending`` as a text."""
        event = json.loads(self.received(self.watched)["Body"])
        detail: Detail = event["detail"]
        if run not in {detail.get("correlation_id"), detail.get("run_id")}:
            raise NotAsItShouldBe(f"a result of something else than {run}: {event}")
        code = (detail.get("error") or {}).get("code")
        ending = f"{event['detail-type']}: {detail['outcome']}" + (f", {code}" if code else "")
        return {**detail, "ending": ending}


def by_event(check: Check) -> None:
    """An event on the bus deletes a task: rule, queue, mapping, role, secret, signed call, result"""
    check.expect("published", _delete_by_event(check, OMS_TASKS[0]), SUCCEEDED)
    check.expect_gone("huawei_oms", str(OMS_TASKS[0]))


def by_http(check: Check) -> None:
    """An HTTP call, signed by a user: refused without the right to call, done with it"""
    task_id, calls = next(iter(seeds.DMS_TASKS)), check.calls()
    path = f"/otc/dms/eu-de/instances/{seeds.DMS_INSTANCE}/tasks/{task_id}"
    refused = _call(check, "DELETE", path)
    check.expect("without the right", refused.status_code, 403)
    check.expect("right that the answer names", INVOKE if INVOKE in refused.text else refused.text, INVOKE)
    check.expect("calls to the provider", check.calls() - calls, 0)
    account = check.aws.client("sts").get_caller_identity()["Account"]
    resource = f"arn:aws:execute-api:{REGION}:{account}:{check.deployed.ids['HttpApi']}/*"
    document = {"Statement": [{"Effect": "Allow", "Action": INVOKE, "Resource": resource}], **VERSION}
    check.aws.client("iam").put_user_policy(UserName=CALLER, PolicyName="call", PolicyDocument=json.dumps(document))
    done = _call(check, "DELETE", path)
    check.expect("with the right", done.status_code, 200)
    check.expect("outcome", done.json()["outcome"], "succeeded")
    check.expect_gone("otc_dms", task_id)


def by_schedule(check: Check) -> None:
    """A schedule starts a sweep, which reports; its report is applied, and exactly the planned tasks are gone"""
    before, run = seeds.state(check.emulators), f"scheduled-{uuid.uuid4()}"
    _schedule(check, run)
    summary = check.published(run)
    check.expect("published", summary["ending"], "Sweep Completed: reported")
    check.expect("tasks that the report changed", _changed(before, seeds.state(check.emulators)), [])
    place = {"Bucket": check.deployed.outputs["ReportBucketName"], "Key": summary["report"]["json"]}
    plan = night.planned(json.loads(check.aws.client("s3").get_object(**place)["Body"].read()))
    services = sorted({service for service, _, _ in plan})
    check.expect("services with planned tasks", services, sorted(SERVICES))
    asked = _call(check, "POST", "/sweeps", {"apply_report": place["Key"], "sha256": summary["report"]["sha256"]})
    check.expect("POST /sweeps", asked.status_code, 202)
    run = asked.json()["run_id"]
    endings = Counter(check.published(run)["ending"] for _ in range(len(plan) + 1))
    check.expect("published", dict(sorted(endings.items())), {"Sweep Completed: requested": 1, SUCCEEDED: len(plan)})
    told = _call(check, "GET", f"/sweeps/{run}").json()["totals"]["requested"]
    check.expect("requests that GET /sweeps/{run_id} tells", told, len(plan))
    after = seeds.state(check.emulators)
    check.expect("planned tasks that are not gone", sorted(plan & after.keys()), [])
    # A task of OMS that is pausing (7) is paused after a few looks at it: an apply lists again.
    kept = {task: status for task, status in before.items() if task not in plan and (task[0], status) != PAUSING}
    check.expect(f"of {len(kept)} others, gone or changed", _changed(kept, after), [])


def without_right(check: Check) -> None:
    """The same event while the role may not read secrets, and again when it may"""
    iam, lambdas, calls = check.aws.client("iam"), check.aws.client("lambda"), check.calls()
    function = {"FunctionName": check.deployed.ids[f"{OPERATION}Function"]}
    policy = {"RoleName": check.deployed.ids[f"{OPERATION}Role"], "PolicyName": "run"}
    whole = iam.get_role_policy(**policy)["PolicyDocument"]
    less = [statement for statement in whole["Statement"] if READ_SECRET not in statement["Action"]]
    check.expect("statements taken from the role", len(whole["Statement"]) - len(less), 1)
    for document, wanted in (({**whole, "Statement": less}, DENIED), (whole, SUCCEEDED)):
        iam.put_role_policy(**policy, PolicyDocument=json.dumps(document))
        # New variables start the function anew: a warm one would still have the secret in memory.
        variables = lambdas.get_function_configuration(**function)["Environment"]["Variables"]
        lambdas.update_function_configuration(**function, Environment={"Variables": {**variables, "WANTED": wanted}})
        check.expect("published", _delete_by_event(check, OMS_TASKS[1]), wanted)
        if wanted == DENIED:
            check.expect("calls to the provider", check.calls() - calls, 0)
            message = check.received(check.deployed.outputs[f"{OPERATION}DeadLetterQueueUrl"])
            kept = json.loads(message["MessageAttributes"]["result"]["StringValue"])
            check.expect("in the dead-letter queue, with its result", kept["error"]["code"], "SecretDenied")
    check.expect_gone("huawei_oms", str(OMS_TASKS[1]))


STEPS = (by_event, by_http, by_schedule, without_right)


def make_caller(aws: Aws) -> AWS4Auth:
    """Make a user without any right; returns the object that signs requests with the user's key."""
    aws.client("iam").create_user(UserName=CALLER)
    key = aws.client("iam").create_access_key(UserName=CALLER)["AccessKey"]
    return AWS4Auth(key["AccessKeyId"], key["SecretAccessKey"], REGION, "execute-api")


def _call(check: Check, method: str, path: str, body: Mapping[str, Any] | None = None) -> requests.Response:
    url = f"{check.aws.url}/_aws/execute-api/{check.deployed.ids['HttpApi']}/$default{path}"
    return requests.request(method, url, json=body, auth=check.caller, timeout=TIMEOUT)


def _delete_by_event(check: Check, task_id: int) -> str:
    """Put a delete request on the bus, as a migration tool would; returns the ``ending`` of its result."""
    run = f"deployed-{uuid.uuid4()}"
    detail = {"operation": "huawei.oms.DeleteTask", "region": "cn-north-4", "task_id": task_id, "correlation_id": run}
    entry = {"Source": "com.example.migrations", "DetailType": "Task Cleanup Requested", "Detail": json.dumps(detail)}
    bus = {"EventBusName": check.deployed.outputs["EventBusName"]}
    check.aws.client("events").put_events(Entries=[{**entry, **bus}])
    return str(check.published(run)["ending"])


def _schedule(check: Check, run: str) -> None:
    """Make a one-off schedule that sends the sweep's queue an event with an id and a real time.

    Not with ``<aws.scheduler.scheduled-time>`` as in the template: ministack would send this text unchanged.
    """
    now, outputs = datetime.now(UTC), check.deployed.outputs
    event = {"id": run, "source": "aws.scheduler", "detail-type": "Sweep Requested", "detail": POLICY}
    event |= {"time": f"{now:%Y-%m-%dT%H:%M:%SZ}", "resources": []}
    check.aws.client("scheduler").create_schedule(
        Name=run,
        GroupName=outputs["ScheduleGroupName"],
        ScheduleExpression=f"at({now + timedelta(seconds=2):%Y-%m-%dT%H:%M:%S})",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": outputs["SweepQueueArn"],
            "RoleArn": outputs["SchedulerRoleArn"],
            "Input": json.dumps(event),
        },
    )


def _changed(before: seeds.State, after: seeds.State) -> list[tuple[str, str, str]]:
    return sorted(task for task, status in before.items() if after.get(task) != status)
