"""What a stack puts into an AWS account, and what that costs in a month in which nothing is asked for.

Prices are those of AWS's pages for us-east-1, in US dollars, without free amounts.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from local.api.reference.markdown import Json, Page, code, holds, section, table, worded

SECRETS = 3  # one for each provider, of one account
# Lambda keeps five connections open to a queue that it polls, and each waits 20 seconds for a message.
RECEIVES = 5 * 3 * 60 * 24 * 30


@dataclass(frozen=True)
class Price:
    """What one thing costs in a month, in dollars, and the page that says so."""

    each: float
    page: str


PRICES: Mapping[str, Price] = {
    "alarm": Price(0.10, "https://aws.amazon.com/cloudwatch/pricing/"),
    "dashboard": Price(3.00, "https://aws.amazon.com/cloudwatch/pricing/"),
    "secret": Price(0.40, "https://aws.amazon.com/secrets-manager/pricing/"),
    "receives": Price(0.40 * RECEIVES / 1_000_000, "https://aws.amazon.com/sqs/pricing/"),
}

# What is paid for although nothing happens: the type of the resource, what it is to people, its price.
PAID: Mapping[str, tuple[str, str]] = {
    "AWS::CloudWatch::Alarm": ("CloudWatch alarms, by their metrics", "alarm"),
    "AWS::CloudWatch::Dashboard": ("CloudWatch dashboard", "dashboard"),
    "AWS::Lambda::EventSourceMapping": ("Queues that Lambda polls: empty receives", "receives"),
}


def present(template: Json) -> Iterator[Json]:
    """The resources that a stack with the parameters' defaults has."""
    for resource in template["Resources"].values():
        if "Condition" not in resource or holds({"Condition": resource["Condition"]}, template):
            yield resource


def contents(template: Json) -> str:
    """What the stack has, in a sentence."""
    counts = Counter(it["Type"] for it in present(template))
    named = ", ".join(f"{counts[kind]} {name}" for kind, name in _CONTENTS.items())
    return (
        f"{counts.total()} resources with the defaults, among them {named}, an event bus, an HTTP API and a bucket."
    )


_CONTENTS: Mapping[str, str] = {
    "AWS::Lambda::Function": "functions",
    "AWS::IAM::Role": "roles",
    "AWS::SQS::Queue": "queues",
    "AWS::CloudWatch::Alarm": "alarms",
}


def costs(template: Json) -> str:
    """The table of an idle month."""
    counts: Counter[str] = Counter()
    for it in present(template):
        counts[it["Type"]] += _paid(it)
    lines = [(name, counts[kind], PRICES[price]) for kind, (name, price) in PAID.items() if counts[kind]]
    lines.append(("Secrets, if each provider has one", SECRETS, PRICES["secret"]))
    rows = [
        (f"[{name}]({price.page})", str(number), f"${price.each:.2f}", f"${number * price.each:.2f}")
        for name, number, price in lines
    ]
    total = sum(number * price.each for _, number, price in lines)
    rows.append(("**Idle**", "", "", f"**about ${total:.0f}**"))
    return table(("a month", "number", "each", "together"), rows)


def _paid(resource: Json) -> int:
    """How often a resource is paid for: an alarm once for each metric that it names, one that is a query not."""
    parts = resource.get("Properties", {}).get("Metrics")
    return 1 if parts is None else sum("MetricStat" in part for part in parts)


def resources(template: Json) -> Page:
    """The resources by their type, and their costs. ``template`` is as SAM's transform makes it."""
    always = Counter(it["Type"] for it in present(template))
    everything = Counter(it["Type"] for it in template["Resources"].values())
    rows = [(code(kind), always[kind], number - always[kind] or "") for kind, number in everything.most_common()]
    conditions = sorted({it["Condition"] for it in template["Resources"].values() if "Condition" in it})
    notes = "\n".join(
        f"- If {worded({'Condition': name}, template)}: {_kinds(template, name)}." for name in conditions
    )
    parts = [
        table(("type", "with the defaults", "more at most"), [*rows, ("**all**", always.total(), "")]),
        section("Only by a parameter", notes),
        section("What an idle month costs", costs(template), _NOTES),
    ]
    intro = "What a stack puts into your account, and what it costs. CloudFormation allows 500 resources in a stack."
    return Page("Resources and costs", intro, "\n\n".join(parts))


def _kinds(template: Json, condition: str) -> str:
    names = (name for name, it in template["Resources"].items() if it.get("Condition") == condition)
    return ", ".join(code(name) for name in sorted(names))


_NOTES = """\
- Prices are about those of us-east-1 in November 2026, without free amounts (in an account, ten alarms, three
  dashboards and a million requests of SQS are free). AWS's pages, linked above, have those of your region.
- Empty receives: Lambda polls a queue
  [also while it is empty](https://aws.amazon.com/premiumsupport/knowledge-center/sqs-high-charges/). The number is an
  estimate: five connections that wait 20 seconds each.
- The alarm that is a query (`UndeliveredAlarm`) is paid by the metrics that it finds: none while all is delivered.
- By use: calls of Lambda, API Gateway, EventBridge and S3, some cents for ten thousand tasks; logs by what is written
  ($0.50 for a GB, and $0.03 a month to keep it); each [metric](metrics.md) in a month in which it is written ($0.30).
- A KMS key of your own (`KmsKeyArn`) costs $1 a month. A NAT gateway, which the functions need in a VPC, costs more
  than all of this."""
