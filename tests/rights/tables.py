"""What AWS services do with the stack's roles, and what nobody may do: requests for the simulator."""

from collections.abc import Iterator
from dataclasses import dataclass

from local.aws.stack import REGION
from tests.rights.recorded import SWEEP, SWEEP_RESULTS, put_events
from tests.rights.resolved import ACCOUNT, KEY_ARN, Function, Json, Rights
from tests.rights.simulator import Request, through_key
from tests.support.federation import AUDIENCES
from tests.support.functions import operation_name
from tests.support.sweep_world import BUCKET
from tests.support.template import OPERATIONS

SOURCE = "task-cleanup"
REQUESTED, COMPLETED, FAILED = "Task Cleanup Requested", "Task Cleanup Completed", "Task Cleanup Failed"
SWEEP_REQUESTED, SWEEP_COMPLETED, SWEEP_FINISHED = "Sweep Requested", "Sweep Completed", "Sweep Finished"
PROVIDERS = sorted({operation.provider for operation in OPERATIONS})

SCHEDULED = ("SchedulerRole", "SweepHeartbeatRole")  # what schedules run as
REPORT = f"arn:aws:s3:::{BUCKET}/reports/run-1/report.json"
RESULT = f"arn:aws:s3:::{BUCKET}/results/run-1/results.json"
# What deletes are decided by, beside reports.
LEDGER = f"arn:aws:s3:::{BUCKET}/ledger/huawei/oms/tasks/cn-north-4.json"
NAME = f"arn:aws:s3:::{BUCKET}/names/nightly"
EVENTS, SCHEDULER, LAMBDA = "events.amazonaws.com", "scheduler.amazonaws.com", "lambda.amazonaws.com"
ADMINISTRATOR = f"arn:aws:iam::{ACCOUNT}:role/Administrator"
MAY_ALL: Json = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["s3:*", "sqs:*", "events:*"], "Resource": "*"}],
}


# -- AWS services, with the stack's roles ------------------------------------------------

# The pages that say so. Of Lambda's Developer Guide:
LOGS = "Sending Lambda function logs to CloudWatch Logs"
TRACES = "Visualize Lambda function invocations using AWS X-Ray"
MAPPING = "Creating and configuring an Amazon SQS event source mapping"
ON_FAILURE = "Capturing records of Lambda asynchronous invocations"
EXECUTION = "Defining Lambda function permissions with an execution role"
VPC = "Giving Lambda functions access to resources in an Amazon VPC"
VARIABLES = "Securing Lambda environment variables"
CONTEXT_KEYS = "kms:EncryptionContextKeys"
# Of STS's API Reference:
TOKENS = "GetWebIdentityToken"
# What the sweep does in the bucket beside its reports, of docs/sweep.md:
SWEEPS_OWN = "A sweep of many tasks"
# Of EventBridge's and EventBridge Scheduler's User Guides, and of SQS's Developer Guide:
RULES = "Using resource-based policies for Amazon EventBridge"
SCHEDULES = "Setting up Amazon EventBridge Scheduler"
SCHEDULES_LETTERS = "Configuring a schedule's dead-letter queue in EventBridge Scheduler"
SCHEDULES_UNIVERSAL = "Using universal targets in EventBridge Scheduler"
SCHEDULES_TRUST = "Confused deputy prevention in EventBridge Scheduler"
QUEUES_KEY = "Amazon SQS Key management"

Told = Iterator[tuple[str, Request]]
# A metric is no resource. The simulator wants the one kind that the action knows besides, and that is not used here.
DATASET = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:dataset/default"
HEARTBEAT = Request(
    "SweepHeartbeatRole", "cloudwatch:PutMetricData", DATASET, {"cloudwatch:namespace": "TaskCleanup"}
)


def of_services(rights: Rights) -> Told:
    """What AWS itself does with the roles or as a service, and the page that says so."""
    for function in rights.functions:
        yield from _of_lambda(rights, function)
        if function.folder in rights.queue_of and function.folder != SWEEP_RESULTS:  # no schedule sends results
            queue, letters = rights.queue_of[function.folder], rights.letters_of[function.folder]
            yield SCHEDULES, Request("SchedulerRole", "sqs:SendMessage", rights.arns[queue])
            yield SCHEDULES_LETTERS, Request("SchedulerRole", "sqs:SendMessage", rights.arns[letters])
    for place in (LEDGER, NAME, RESULT):
        for action in ("GetObject", "PutObject"):
            yield SWEEPS_OWN, Request("SweepRole", f"s3:{action}", place)
    yield SWEEPS_OWN, put_events("SweepRole", rights.arns["EventBus"], (SOURCE, SWEEP_FINISHED))
    yield SCHEDULES_UNIVERSAL, HEARTBEAT
    for role in SCHEDULED:
        yield SCHEDULES_TRUST, assume_scheduler(rights, role)
    for rule, queue in rights.rules:
        yield RULES, from_rule(rights, rule, queue)


def _of_lambda(rights: Rights, function: Function) -> Told:
    role, folder = function.role, function.folder
    yield EXECUTION, assume(rights, role)
    for action in ("CreateLogStream", "PutLogEvents"):
        yield LOGS, Request(role, f"logs:{action}", log_stream(rights, function))
    for action in ("PutTraceSegments", "PutTelemetryRecords"):
        yield TRACES, Request(role, f"xray:{action}", "*")
    if folder in rights.queue_of:
        for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"):
            yield MAPPING, Request(role, f"sqs:{action}", rights.arns[rights.queue_of[folder]])
    yield ON_FAILURE, Request(role, "sqs:SendMessage", rights.arns[rights.letters_of[folder]])


def log_stream(rights: Rights, function: Function) -> str:
    """A stream in the function's log group; a group's ARN ends in a star."""
    return rights.arns[function.log_group].removesuffix("*") + "log-stream:2026/11/21/a"


def assume(rights: Rights, role: str, service: str = LAMBDA) -> Request:
    """A service takes a role of the stack."""
    return Request(service, "sts:AssumeRole", rights.arns[role])


def assume_scheduler(rights: Rights, role: str) -> Request:
    """EventBridge Scheduler takes a role, for a schedule of the stack's group."""
    context = {"aws:SourceAccount": ACCOUNT, "aws:SourceArn": rights.arns["ScheduleGroup"]}
    return assume(rights, role, SCHEDULER).but(context=context)


def from_rule(rights: Rights, rule: str, queue: str) -> Request:
    """EventBridge sends to a queue because of a rule."""
    return Request(EVENTS, "sqs:SendMessage", rights.arns[queue], {"aws:SourceArn": rights.arns[rule]})


def variables(function: Function) -> Request:
    """Lambda decrypts a function's variables as its role. Their encryption context is the function's ARN."""
    return Request(function.role, "kms:Decrypt", KEY_ARN, {CONTEXT_KEYS: ["aws:lambda:FunctionArn"]})


def token(role: str, *providers: str) -> Request:
    """A role asks for a token for these providers, as the functions do for their own one."""
    audiences = [AUDIENCES[provider] for provider in providers]
    context = {"sts:IdentityTokenAudience": audiences, "sts:SigningAlgorithm": "RS256", "sts:DurationSeconds": "300"}
    return Request(role, "sts:GetWebIdentityToken", "*", context)


def providers_of(folder: str) -> list[str]:
    """The providers that a function calls."""
    if folder in (SWEEP, SWEEP_RESULTS):
        return PROVIDERS if folder == SWEEP else []
    return [operation_name(folder).split(".")[0]]


def with_options(rights: Rights, told: list[tuple[str, Request]]) -> Told:
    """What comes on top with a key of one's own, accounts without a stored key, and a VPC."""
    for _, request in told:
        if request.who in rights.identity and request.action in ("sqs:SendMessage", "sqs:ReceiveMessage"):
            actions = ("GenerateDataKey", "Decrypt") if request.action == "sqs:SendMessage" else ("Decrypt",)
            for of_key in through_key(request, "sqs", *actions):
                yield QUEUES_KEY, of_key
    ec2 = f"arn:aws:ec2:{REGION}:{ACCOUNT}"
    interface, subnet = f"{ec2}:network-interface/eni-0a1b2c3d", f"{ec2}:subnet/subnet-0a1b2c3d"
    resources = {
        "CreateNetworkInterface": (interface, subnet, f"{ec2}:security-group/sg-0a1b2c3d"),
        "DeleteNetworkInterface": (interface,),
        "AssignPrivateIpAddresses": (interface,),
        "UnassignPrivateIpAddresses": (interface,),
        "DescribeNetworkInterfaces": ("*",),
        "DescribeSubnets": ("*",),
    }
    for function in rights.functions:
        yield VARIABLES, variables(function)
        for provider in providers_of(function.folder):
            yield TOKENS, token(function.role, provider)
        for action, places in resources.items():
            for place in places:
                yield VPC, Request(function.role, f"ec2:{action}", place)


# -- what must not be ------------------------------------------------


@dataclass(frozen=True)
class Forbidden:
    """A request that must be denied, and one that is allowed and differs from it in what makes it wrong."""

    why: str
    request: Request
    neighbour: Request


def forbidden(rights: Rights) -> Iterator[Forbidden]:
    """What nobody may do."""
    for function in rights.functions:
        yield from _foreign_places(rights, function)
        yield from _foreign_events(rights, function)
        yield from _key_elsewhere(function)
        yield from _other_tokens(rights, function)
    yield from _bucket(rights)
    yield from _queues(rights)
    yield from _roles(rights)


def _secret(role: str, name: str) -> Request:
    arn = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-AbCdEf"
    return Request(role, "secretsmanager:GetSecretValue", arn)


def _foreign_places(rights: Rights, function: Function) -> Iterator[Forbidden]:
    """Secrets, queues and logs that are another's."""
    role, folder = function.role, function.folder
    own = providers_of(folder)
    for provider in sorted({*PROVIDERS, "aws"} - set(own)):
        # The gatherer may read no secret: the sweep may.
        secret = _secret(role if own else "SweepRole", f"task-cleanup/{(own or PROVIDERS)[0]}/default")
        yield Forbidden("another provider's secret", _secret(role, f"task-cleanup/{provider}/default"), secret)
        yield Forbidden("another stack's secret", _secret(role, f"other/{(own or PROVIDERS)[0]}/default"), secret)

    other = next(it for it in rights.functions if it.folder != folder and it.folder in rights.queue_of)
    letters = Request(role, "sqs:SendMessage", rights.arns[rights.letters_of[folder]])
    for what, queue in (
        ("another's dead-letter queue", rights.letters_of[other.folder]),
        ("another operation's queue: a delete by a detour", rights.queue_of[other.folder]),
        ("the queue it is fed from", rights.queue_of.get(folder, "SweepQueue")),
        ("the sweep's queue", "SweepQueue"),
    ):
        yield Forbidden(f"sends to {what}", letters.but(resource=rights.arns[queue]), letters)
    if folder in rights.queue_of:
        receive = Request(role, "sqs:ReceiveMessage", rights.arns[rights.queue_of[folder]])
        foreign = receive.but(resource=rights.arns[rights.queue_of[other.folder]])
        yield Forbidden("takes another's requests", foreign, receive)

    write = Request(role, "logs:PutLogEvents", log_stream(rights, function))
    yield Forbidden("writes another's logs", write.but(resource=log_stream(rights, other)), write)


def _foreign_events(rights: Rights, function: Function) -> Iterator[Forbidden]:
    """Events that another kind of function puts on the bus, and any on another bus."""
    role, bus = function.role, rights.arns["EventBus"]
    if function.folder == SWEEP:
        own, foreign = SWEEP_COMPLETED, [COMPLETED, FAILED, "Anything Else"]
    elif function.folder == SWEEP_RESULTS:
        own, foreign = (
            SWEEP_FINISHED,
            [REQUESTED, COMPLETED, FAILED, SWEEP_REQUESTED, SWEEP_COMPLETED, "Anything Else"],
        )
    else:
        own, foreign = COMPLETED, [REQUESTED, SWEEP_REQUESTED, SWEEP_COMPLETED, SWEEP_FINISHED, "Anything Else"]
    allowed = put_events(role, bus, (SOURCE, own))
    for kind in foreign:
        yield Forbidden(f"puts {kind} on the bus", put_events(role, bus, (SOURCE, kind)), allowed)
        hidden = put_events(role, bus, (SOURCE, own), (SOURCE, kind))
        yield Forbidden(f"puts {kind} on the bus, behind another event", hidden, allowed)
    yield Forbidden("claims another source", put_events(role, bus, ("com.example.migrations", own)), allowed)
    hidden = put_events(role, bus, (SOURCE, own), ("com.example.migrations", own))
    yield Forbidden("claims another source, behind another event", hidden, allowed)
    for key in ("events:source", "events:detail-type"):
        yield Forbidden(f"puts an event without {key}", allowed.but(context={key: None}), allowed)
    default = allowed.but(resource=f"{bus.rpartition('/')[0]}/default")
    yield Forbidden("uses the account's default bus", default, allowed)


def _key_elsewhere(function: Function) -> Iterator[Forbidden]:
    """The customer's key, beyond the services that hold the stack's data; only with a key of one's own."""
    (allowed,) = through_key(Request(function.role, "", ""), "sqs", "Decrypt")
    directly = allowed.but(context={"kms:ViaService": None})
    elsewhere = allowed.but(context={"kms:ViaService": f"dynamodb.{REGION}.amazonaws.com"})
    yield Forbidden("decrypts by itself", directly, allowed)
    yield Forbidden("decrypts by a service that the stack does not use", elsewhere, allowed)
    another = KEY_ARN.replace("11111111", "22222222")
    yield Forbidden("uses another key", allowed.but(resource=another), allowed)
    own = variables(function)
    for why, context in (("a log", ["aws:logs:arn"]), ("what has no context", None)):
        yield Forbidden(f"decrypts {why}", own.but(context={CONTEXT_KEYS: context}), own)
    yield Forbidden("decrypts variables with another key", own.but(resource=another), own)


def _other_tokens(rights: Rights, function: Function) -> Iterator[Forbidden]:
    """Tokens for others than the function's own providers, and other ones than it needs; only with federations."""
    role, own = function.role, providers_of(function.folder)
    # The gatherer may ask for no token: the sweep may.
    allowed = token(role if own else "SweepRole", (own or PROVIDERS)[0])
    for provider in sorted({*PROVIDERS} - {*own}):
        yield Forbidden(f"a token for {provider}", token(role, provider), allowed)
    if not own:
        return
    audience = "sts:IdentityTokenAudience"
    for provider in own:
        usual = token(role, provider)
        other = next(it for it in PROVIDERS if it != provider)
        for why, context in (
            ("for anybody", {audience: ["sts.amazonaws.com"]}),
            ("for its provider and another one", {audience: [AUDIENCES[provider], AUDIENCES[other]]}),
            ("for another one and its provider", {audience: [AUDIENCES[other], AUDIENCES[provider]]}),
            ("for nobody", {audience: None}),
            ("signed in another way", {"sts:SigningAlgorithm": "ES384"}),
            ("signed in a way that is not named", {"sts:SigningAlgorithm": None}),
            ("for a longer time", {"sts:DurationSeconds": "301"}),
            ("for a time that is not named", {"sts:DurationSeconds": None}),
        ):
            yield Forbidden(f"a token {why}", usual.but(context=context), usual)
    tag = Request(role, "sts:TagGetWebIdentityToken", "*", {"aws:RequestTag/a": "b", "aws:TagKeys": ["a"]})
    yield Forbidden("a token with tags of its own", tag, allowed)
    for action in ("AssumeRole", "AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"):
        for other_role in ("SchedulerRole", role):
            assumed = Request(role, f"sts:{action}", rights.arns[other_role])
            yield Forbidden(f"takes a role ({action})", assumed, allowed)


def _bucket(rights: Rights) -> Iterator[Forbidden]:
    """Reports: written by the sweep alone, by TLS alone, and never deleted by it."""
    for function in rights.functions:
        for place in (REPORT, LEDGER, NAME, RESULT):
            for action in ("GetObject", "PutObject"):
                allowed = Request("SweepRole", f"s3:{action}", place)
                is_gathering = place == RESULT or (place == REPORT and action == "GetObject")
                if function.folder != SWEEP and not (function.folder == SWEEP_RESULTS and is_gathering):
                    yield Forbidden("is not the sweep", allowed.but(who=function.role), allowed)
    write = Request("SweepRole", "s3:PutObject", REPORT)
    look = Request("SweepRole", "s3:ListBucket", f"arn:aws:s3:::{BUCKET}")
    outside = f"arn:aws:s3:::{BUCKET}/index.html"
    for why, request, allowed in (
        ("the sweep deletes", write.but(action="s3:DeleteObject"), write),
        ("the sweep deletes a version", write.but(action="s3:DeleteObjectVersion"), write),
        ("the sweep writes beside its reports", write.but(resource=outside), write),
        ("the sweep writes into another bucket", write.but(resource=REPORT.replace(BUCKET, "another-bucket")), write),
        ("the sweep lists another bucket", look.but(resource="arn:aws:s3:::another-bucket"), look),
        ("the sweep sends a report without TLS", write.but(context={"aws:SecureTransport": "false"}), write),
        ("the sweep looks without TLS", look.but(context={"aws:SecureTransport": "false"}), look),
    ):
        yield Forbidden(why, request, allowed)

    gathers = Request(rights.arns["SweepResultsRole"], "s3:PutObject", RESULT, own=MAY_ALL)
    for place in (REPORT, LEDGER, NAME):
        yield Forbidden("the gatherer writes a plan, whatever its role allows", gathers.but(resource=place), gathers)
        replicates = gathers.but(resource=place, action="s3:ReplicateObject")
        yield Forbidden("the gatherer replicates a plan, whatever its role allows", replicates, gathers)
    yield Forbidden(
        "the gatherer deletes", gathers.but(who="SweepResultsRole", action="s3:DeleteObject", own=None), gathers
    )

    own = Request("SweepResultsRole", "s3:PutObject", RESULT)
    yield Forbidden("the gatherer writes beside its results", own.but(resource=outside), own)
    look = own.but(action="s3:GetObject")
    yield Forbidden("the gatherer reads beside reports and results", look.but(resource=outside), look)

    missing = Request("SweepResultsRole", "s3:ListBucket", f"arn:aws:s3:::{BUCKET}")
    yield Forbidden("the gatherer lists another bucket", missing.but(resource="arn:aws:s3:::another-bucket"), missing)

    read = Request(ADMINISTRATOR, "s3:GetObject", REPORT, own=MAY_ALL)
    for action in ("PutObject", "ReplicateObject"):
        yield Forbidden("another principal with all rights writes a report", read.but(action=f"s3:{action}"), read)
        results = read.but(action=f"s3:{action}", resource=RESULT)
        yield Forbidden("another principal with all rights writes results", results, read)
    beside = read.but(action="s3:PutObject", resource=outside)
    yield Forbidden("another principal with all rights writes beside the reports", beside, read)
    yield Forbidden("another principal reads without TLS", read.but(context={"aws:SecureTransport": "false"}), read)


def _queues(rights: Rights) -> Iterator[Forbidden]:
    """Queues: EventBridge by the queue's own rules alone, everybody by TLS alone."""
    for rule, queue in rights.rules:
        allowed = from_rule(rights, rule, queue)
        own = {name for name, fed in rights.rules if fed == queue}
        other = next(name for name, _ in rights.rules if name not in own)
        foreign = f"arn:aws:events:{REGION}:210987654321:rule/theirs"
        for why, arn in (("another rule", rights.arns[other]), ("another account's rule", foreign)):
            yield Forbidden(f"{why} sends", allowed.but(context={"aws:SourceArn": arn}), allowed)
        yield Forbidden("EventBridge receives", allowed.but(action="sqs:ReceiveMessage"), allowed)
    for queue in sorted({queue for _, queue in rights.rules} | set(rights.letters_of.values())):
        send = Request(ADMINISTRATOR, "sqs:SendMessage", rights.arns[queue], own=MAY_ALL)
        yield Forbidden("sends without TLS", send.but(context={"aws:SecureTransport": "false"}), send)


def _roles(rights: Rights) -> Iterator[Forbidden]:
    """Who may take a role, and what the scheduler's may do."""
    group = rights.arns["ScheduleGroup"]
    for role in SCHEDULED:
        schedule = assume_scheduler(rights, role)
        for why, context in (
            ("a schedule of another account", {"aws:SourceAccount": "210987654321"}),
            ("a schedule of another group", {"aws:SourceArn": f"{group.rpartition('/')[0]}/default"}),
            ("a schedule that does not say its group", {"aws:SourceArn": None}),
        ):
            yield Forbidden(f"{why} takes {role}", schedule.but(context=context), schedule)
        yield Forbidden(f"Lambda takes {role}", schedule.but(who=LAMBDA), schedule)
    foreign = HEARTBEAT.but(context={"cloudwatch:namespace": "AWS/Lambda"})
    yield Forbidden("the heartbeat writes another's metrics", foreign, HEARTBEAT)
    for function in rights.functions:
        allowed = assume(rights, function.role)
        yield Forbidden("another service takes a function's role", allowed.but(who=SCHEDULER), allowed)

    send = Request("SchedulerRole", "sqs:SendMessage", rights.arns["SweepQueue"])
    unrouted = send.but(resource=rights.arns["UnroutedRequestsQueue"])
    yield Forbidden("a schedule sends to the unrouted requests", unrouted, send)
    event = put_events("SchedulerRole", rights.arns["EventBus"], (SOURCE, REQUESTED))
    yield Forbidden("a schedule puts an event on the bus", event, send)
    (keyed,) = through_key(send, "sqs", "Decrypt")
    elsewhere = keyed.but(context={"kms:ViaService": f"s3.{REGION}.amazonaws.com"})
    yield Forbidden("a schedule decrypts reports", elsewhere, keyed)
    yield Forbidden("a schedule uses another key", keyed.but(resource=KEY_ARN.replace("11111111", "22222222")), keyed)
