"""``make tour``: every operation, every trigger, and failures, against emulators that check each signature.

Each step says what it expects and looks at three things: the reply, the emulators' journal, and what is published.
The tour ends with all tasks before and after, and with status 1 if anything is not as it should be.
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests
from rich.console import Console
from rich.table import Table

from local.aws import stack
from local.aws.cloud import PROJECT_ID, SECRETS, LocalCloud
from local.aws.keyless import ACCOUNT, PARAMETERS, trust
from local.aws.lambdas import LocalFunction
from local.aws.runner import HttpApi, QueuePoller, fire_schedule
from local.emulators.faults import FaultKind
from local.stories import seeds

QUIET = {"POWERTOOLS_LOG_LEVEL": "CRITICAL", "POWERTOOLS_METRICS_DISABLED": "true"}
GONE = "gone"
DMS_IDS = list(seeds.DMS_TASKS)
OMS_THIRD = str(next(oms_id for oms_id, status in seeds.OMS_TASKS.items() if status == 4))
KEY_CALLS = {"aws_sts": 3, "alibaba_sts": 1, "huawei_sts": 1, "otc_iam": 2}
ROLES = f"arn:aws:iam::{stack.ACCOUNT}:role/{stack.STACK_NAME}-"
KEYLESS: dict[str, dict[str, str]] = {
    "alibaba_elasticsearch_delete_data_task": {
        "region": "cn-hangzhou",
        "instance_id": seeds.ES_INSTANCE,
        "task_id": seeds.ES_TASKS[3],
    },
    "huawei_oms_delete_task": {"region": "cn-north-4", "task_id": OMS_THIRD},
    "otc_dms_delete_background_task": {
        "region": "eu-de",
        "instance_id": seeds.DMS_INSTANCE,
        "task_id": DMS_IDS[3],
    },
}


@dataclass
class Tour:
    """Passed to each step: cloud, HTTP API, queue poller, console, and the failures so far."""

    cloud: LocalCloud
    api: HttpApi
    poller: QueuePoller
    console: Console
    failures: list[str] = field(default_factory=list)

    @property
    def stand_ins(self) -> set[str]:
        """Those that give tokens and keys, as the journal names them."""
        return set(self.cloud.emulators.identity.urls)

    def expect(self, what: str, actual: object, wanted: object) -> None:
        """Print a fact, and add it to ``failures`` if it is not the wanted one."""
        if actual == wanted:
            self.console.print(f"    [green]✓[/] {what}: [bold]{actual}[/]")
        else:
            self.console.print(f"    [red]✗ {what}: {actual!r}, but should be {wanted!r}[/]")
            self.failures.append(f"{what}: {actual!r} instead of {wanted!r}")

    def queued_result(self) -> dict[str, Any]:
        """Poll the queues until they are empty, and return the one result that this publishes."""
        self.poller.drain()
        results = self.cloud.results()
        self.expect("results published", len(results), 1)
        return results[-1] if results else {}

    def dead_letters(self, operation: str) -> list[Any]:
        """Receive and delete the messages in an operation's dead-letter queue."""
        return self.cloud.take(self.cloud.stack.queue_urls[f"{operation}DeadLetterQueue"])


def direct_delete(tour: Tour) -> None:
    """A direct call deletes an Alibaba data task"""
    result = tour.cloud.function_in("alibaba_elasticsearch_delete_data_task").invoke(
        {"region": "cn-hangzhou", "instance_id": seeds.ES_INSTANCE, "task_id": seeds.ES_TASKS[0]}
    )
    tour.expect("outcome", result["outcome"], "succeeded")
    tour.expect("made by the provider", tour.cloud.emulators.journal.effects()[-1:], [("deleted", seeds.ES_TASKS[0])])


def event_delete(tour: Tour) -> None:
    """An event on the bus reaches the right queue by the template's rule and deletes an OTC record"""
    task_id = DMS_IDS[0]
    tour.cloud.put_event(
        {
            "operation": "otc.dms.DeleteBackgroundTask",
            "region": "eu-de",
            "instance_id": seeds.DMS_INSTANCE,
            "task_id": task_id,
        }
    )
    result = tour.queued_result()
    tour.expect("outcome", result.get("outcome"), "succeeded")
    tour.expect("made by the provider", tour.cloud.emulators.journal.effects()[-1:], [("deleted", task_id)])


def http_conflict(tour: Tour) -> None:
    """An HTTP call meets a running OMS task (409), and later the finished one (200)"""
    url = f"{tour.api.url}/huawei/oms/cn-north-4/tasks/{seeds.OMS_RUNNING}"
    refused = requests.delete(url, timeout=30)
    tour.expect("status while it runs", refused.status_code, 409)
    tour.expect("content type", refused.headers["Content-Type"], "application/problem+json")
    tour.expect("the provider's own code", refused.json()["result"]["error"]["code"], "OMS.0063")
    tour.cloud.emulators.huawei_oms.add_task(PROJECT_ID, seeds.OMS_RUNNING, status=5)
    tour.expect("status once it is finished", requests.delete(url, timeout=30).status_code, 200)
    again = requests.delete(url, timeout=30)
    tour.expect("deleted once more", again.json()["outcome"], "unchanged")


def scheduled_cancel(tour: Tour) -> None:
    """A one-off schedule fires: its message cancels a node migration"""
    (schedule,) = [item for item in tour.cloud.stack.schedules if item.name == "SampleSchedule"]
    request = {"region": "cn-hangzhou", "instance_id": seeds.ES_MIGRATING}
    fire_schedule(tour.cloud, schedule.name, json.dumps({**json.loads(schedule.message), "detail": request}))
    tour.expect("outcome", tour.queued_result().get("outcome"), "succeeded")
    effects = tour.cloud.emulators.journal.effects()
    tour.expect("made by the provider", effects[-1:], [("cancelled", seeds.ES_MIGRATING)])


def redelivery(tour: Tour) -> None:
    """A redelivered event changes nothing twice: it has the same client token"""
    mapping = tour.cloud.stack.mapping_of("alibaba_elasticsearch_delete_data_task")
    event = {
        "id": "00000000-0000-4000-8000-000000000001",
        "source": "com.example.migrations",
        "detail-type": "Task Cleanup Requested",
        "detail": {"region": "cn-hangzhou", "instance_id": seeds.ES_INSTANCE, "task_id": seeds.ES_TASKS[1]},
    }
    for _ in range(2):
        tour.cloud.sqs.send_message(QueueUrl=mapping.queue_url, MessageBody=json.dumps(event))
    tour.poller.drain()
    results = tour.cloud.results()
    tour.expect("outcomes", [result["outcome"] for result in results], ["succeeded", "succeeded"])
    tour.expect("different client tokens", len({result["client_token"] for result in results}), 1)
    effects = [effect for effect in tour.cloud.emulators.journal.effects() if effect[1] == seeds.ES_TASKS[1]]
    tour.expect("changes made by the provider", len(effects), 1)


def throttled(tour: Tour) -> None:
    """A throttled call is tried again after the time that the provider names (DMS throttles with HTTP 404!)"""
    tour.cloud.emulators.faults.add(FaultKind.THROTTLE, service="otc_dms", count=1, retry_after=0.1)
    tour.cloud.emulators.faults.add(FaultKind.THROTTLE, service="alibaba_elasticsearch", count=1, retry_after=0.1)
    alibaba = tour.cloud.function_in("alibaba_elasticsearch_delete_data_task").invoke(
        {"region": "cn-hangzhou", "instance_id": seeds.ES_INSTANCE, "task_id": seeds.ES_TASKS[2]}
    )
    otc = tour.cloud.function_in("otc_dms_delete_background_task").invoke(
        {"region": "eu-de", "instance_id": seeds.DMS_INSTANCE, "task_id": DMS_IDS[2]}
    )
    for provider, result in (("Alibaba", alibaba), ("OTC", otc)):
        tour.expect(f"{provider}: outcome, attempts", (result["outcome"], result["attempts"]), ("succeeded", 2))


def refused(tour: Tour) -> None:
    """An invalid request is refused: every violation is named, and nothing is sent"""
    before = len(tour.cloud.emulators.journal.entries())
    reply = requests.delete(f"{tour.api.url}/huawei/oms/nowhere/tasks/12a?dry-run=true", timeout=30)
    violations = reply.json()["result"]["error"]["detail"]["violations"]
    tour.expect("status", reply.status_code, 400)
    tour.expect("violations", [item["pointer"] for item in violations], ["/dry-run", "/region", "/task_id"])
    tour.expect("calls to the provider", len(tour.cloud.emulators.journal.entries()) - before, 0)


def dry_run(tour: Tour) -> None:
    """A dry run reads the credentials, signs, and sends nothing"""
    before = len(tour.cloud.emulators.journal.entries())
    url = f"{tour.api.url}/huawei/oms/cn-north-4/tasks/{seeds.OMS_FINISHED}?dry_run=true"
    result = requests.delete(url, timeout=30).json()
    tour.expect("outcome", result["outcome"], "planned")
    tour.expect("calls to the provider", len(tour.cloud.emulators.journal.entries()) - before, 0)


def misspelt(tour: Tour) -> None:
    """An event with a misspelt operation is not lost: it goes to a queue that has an alarm"""
    tour.cloud.put_event({"operation": "huawei.oms.DeleteTsk", "region": "cn-north-4", "task_id": "1"})
    tour.expect("messages taken by functions", tour.poller.drain().received, 0)
    unrouted = tour.cloud.take(tour.cloud.stack.queue_urls["UnroutedRequestsQueue"])
    tour.expect("unrouted requests", len(unrouted), 1)


def poisoned(tour: Tour) -> None:
    """A message that cannot succeed is published as failed, moved to the dead-letter queue, and redriven"""
    request = {"operation": "huawei.oms.DeleteTask", "region": "cn-north-4", "account": "archive"}
    tour.cloud.put_event({**request, "task_id": str(seeds.OMS_FINISHED)})
    failed = tour.queued_result()
    tour.expect("code", (failed.get("error") or {}).get("code"), "SecretNotFound")
    moved = tour.dead_letters("HuaweiOmsDeleteTask")
    tour.expect("messages in the dead-letter queue", len(moved), 1)
    tour.cloud.client("secretsmanager").create_secret(
        Name="task-cleanup/huawei/archive", SecretString=json.dumps(SECRETS["huawei"])
    )
    tour.cloud.redrive("HuaweiOmsDeleteTask", moved)
    redriven = tour.queued_result()
    tour.expect("outcome after the redrive", redriven.get("outcome"), "succeeded")
    tour.expect("same request", redriven.get("correlation_id"), failed.get("correlation_id"))


def keyless(tour: Tour) -> None:
    """No stored key: each function exchanges its own identity for temporary keys, and deletes with them"""
    trust(tour.cloud)
    for folder, request in KEYLESS.items():
        result = tour.cloud.function_in(folder).invoke({**request, "account": ACCOUNT})
        tour.expect(f"{result['operation']}: outcome", result["outcome"], "succeeded")
        tour.expect(
            "made by the provider", tour.cloud.emulators.journal.effects()[-1:], [("deleted", request["task_id"])]
        )
    exchanges = [entry for entry in tour.cloud.emulators.journal.entries() if entry.service in tour.stand_ins]
    tour.expect("calls for tokens and keys", dict(Counter(entry.service for entry in exchanges)), KEY_CALLS)


def keyless_refused(tour: Tour) -> None:
    """Trust in another role, an expired token: refused, and the result says what to compare"""
    function = tour.cloud.function_in("huawei_oms_stop_task")
    request = {"region": "cn-north-4", "task_id": str(seeds.OMS_FINISHED), "account": ACCOUNT}
    trust(tour.cloud, huawei=["arn:aws:iam::123456789012:role/another"])
    error = function.invoke(request)["error"]
    tour.expect("code", error["code"], "ExchangeRefused")
    tour.expect("the provider's own code", error["detail"]["provider"]["code"], "STS5.1001")
    tour.console.print(f"      {error['detail']['hint']}")
    tour.expect("the token's subject", error["detail"]["claims"]["sub"], f"{ROLES}HuaweiOmsStopTaskRole")
    function = tour.cloud.function_in("alibaba_elasticsearch_cancel_task")
    tour.cloud.emulators.identity.issuer.faults.expired = True
    error = function.invoke({"region": "cn-hangzhou", "instance_id": seeds.ES_IDLE, "account": ACCOUNT})["error"]
    tour.expect(
        "the provider's own code", error["detail"]["provider"]["code"], "AuthenticationFail.OIDCToken.Expired"
    )
    checked = function.invoke({"check": "credentials", "account": ACCOUNT})
    (service,) = checked["services"]
    steps = {step["step"]: step["state"] for step in service["steps"]}
    tour.expect("the doctor", steps, {"identity token": "ok", "exchange": "failed", "call": "skipped"})
    tour.cloud.emulators.identity.issuer.faults.expired = False


def rotated(tour: Tour) -> None:
    """AWS signs with a new key: Open Telekom Cloud refuses its tokens until somebody uploads the key there"""
    deployed = tour.cloud.stack.functions["OtcDmsListBackgroundTasksFunction"]
    function = LocalFunction(deployed.folder, tour.cloud.environment_of(deployed.name), deployed.timeout)
    identity = tour.cloud.emulators.identity
    identity.issuer.rotate()
    for upload in (False, True):
        if upload:
            identity.otc.upload_keys("aws")  # as the daily job does: `task-cleanup keyless otc-keys`
        (checked,) = function.invoke({"check": "credentials", "account": ACCOUNT, "region": "eu-de"})["services"]
        codes = [step["detail"]["provider"]["code"] for step in checked["steps"] if step["state"] == "failed"]
        tour.expect("refused", codes, [] if upload else ["IAM.0001"])


def back_to_a_secret(tour: Tour) -> None:
    """And back: deployed without the account in HuaweiFederation, the function reads its secret"""
    secret = json.dumps(SECRETS["huawei"])
    tour.cloud.client("secretsmanager").create_secret(Name=f"task-cleanup/huawei/{ACCOUNT}", SecretString=secret)
    deployed = tour.cloud.stack.functions["HuaweiOmsListTasksFunction"]
    variables = {**tour.cloud.environment_of(deployed.name), "HUAWEI_FEDERATION": ""}
    function = LocalFunction(deployed.folder, variables, deployed.timeout)
    (checked,) = function.invoke({"check": "credentials", "account": ACCOUNT, "region": "cn-north-4"})["services"]
    steps = {step["step"]: step["state"] for step in checked["steps"]}
    tour.expect("the doctor", (checked["source"], steps), ("secret", {"secret": "ok", "call": "ok"}))


STEPS: tuple[Callable[[Tour], None], ...] = (
    direct_delete,
    event_delete,
    http_conflict,
    scheduled_cancel,
    redelivery,
    throttled,
    refused,
    dry_run,
    misspelt,
    poisoned,
    keyless,
    keyless_refused,
    rotated,
    back_to_a_secret,
)

CHANGES = {
    ("alibaba_elasticsearch", seeds.ES_INSTANCE, seeds.ES_TASKS[0]): GONE,
    ("alibaba_elasticsearch", seeds.ES_INSTANCE, seeds.ES_TASKS[1]): GONE,
    ("alibaba_elasticsearch", seeds.ES_INSTANCE, seeds.ES_TASKS[2]): GONE,
    ("alibaba_elasticsearch", seeds.ES_MIGRATING, "(node migration)"): "none",
    ("huawei_oms", "", str(seeds.OMS_RUNNING)): GONE,
    ("huawei_oms", "", str(seeds.OMS_FINISHED)): GONE,
    ("otc_dms", seeds.DMS_INSTANCE, DMS_IDS[0]): GONE,
    ("otc_dms", seeds.DMS_INSTANCE, DMS_IDS[2]): GONE,
    ("alibaba_elasticsearch", seeds.ES_INSTANCE, seeds.ES_TASKS[3]): GONE,
    ("huawei_oms", "", OMS_THIRD): GONE,
    ("otc_dms", seeds.DMS_INSTANCE, DMS_IDS[3]): GONE,
}


def compare(before: seeds.State, after: seeds.State) -> tuple[Table, list[str]]:
    """All tasks before and after, and every difference from what the tour should have changed."""
    table = Table(title="Tasks before and after", header_style="bold")
    for column in ("service", "instance", "task", "before", "after", ""):
        table.add_column(column, no_wrap=True)
    wrong = []
    for key in sorted(before.keys() | after.keys()):
        was, now = before.get(key, "-"), after.get(key, GONE)
        if now != CHANGES.get(key, was):
            wrong.append(f"{' '.join(key)}: {now} instead of {CHANGES.get(key, was)}")
            mark = "[red]wrong[/]"
        else:
            mark = "[green]as asked[/]" if now != was else ""
        style = "bold" if now != was else "dim"
        table.add_row(*key, was, now, mark, style=style)
    return table, wrong


def main() -> int:
    """Run all steps; returns the process's exit status."""
    os.environ.update(QUIET)
    console = Console(width=max(150, Console().width))
    console.rule("[bold]Task cleanup")
    console.print("Starting the emulators of three clouds, and a local AWS with the template that ships …")
    with LocalCloud(variables=QUIET, parameters=PARAMETERS) as cloud, HttpApi(cloud) as api:
        seeds.seed(cloud.emulators)
        before = seeds.state(cloud.emulators)
        tour = Tour(cloud, api, QueuePoller(cloud), console)
        for number, step in enumerate(STEPS, 1):
            console.print(f"\n[bold cyan]{number:2}.[/] {step.__doc__}")
            step(tour)
        table, wrong = compare(before, seeds.state(cloud.emulators))
        checks = (entry.signature_ok for entry in cloud.emulators.journal.entries())
        signatures = [check for check in checks if check is not None]  # an exchange with a provider is not signed
        console.print()
        tour.expect("calls that reached a provider with a bad signature", signatures.count(False), 0)
        console.print(table)
    failures = tour.failures + wrong
    for failure in failures:
        console.print(f"[red]✗ {failure}[/]")
    verdict = "[red]Something is not as it should be.[/]" if failures else "[green]Everything is as it should be:[/]"
    checked = f"{len(signatures)} signed calls checked, {len(CHANGES)} of {len(before)} tasks changed, no others."
    console.print(f"\n{verdict} {checked}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
