"""What the template says: parameters, outputs, alarms, and the variables of the functions."""

import re
from collections.abc import Iterator
from typing import Any

from local.api.reference.markdown import Json, Page, code, listed, only_if, section, shown, table

RUNBOOK = re.compile(r"docs/runbook\.md#[a-z0-9-]+")

_COMPARISONS = {
    "GreaterThanThreshold": "above",
    "GreaterThanOrEqualToThreshold": "at least",
    "LessThanThreshold": "below",
    "LessThanOrEqualToThreshold": "at most",
}


def parameters(template: Json) -> Page:
    """The parameters, by the groups that CloudFormation's console shows."""
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    known = template["Parameters"]
    head = ("parameter", "default", "takes", "meaning")
    parts = [
        section(it["Label"]["default"], table(head, (_parameter(name, known[name]) for name in it["Parameters"])))
        for it in groups
    ]
    intro = (
        "What a deployment can be given. `sam deploy --guided` asks for each; `--parameter-overrides` takes "
        "`Name=value`."
    )
    return Page("Parameters", intro, "\n\n".join(parts))


def _parameter(name: str, rule: Json) -> tuple[str, ...]:
    return code(name), code(rule.get("Default")) or "empty", _takes(rule), rule["Description"]


def _takes(rule: Json) -> str:
    if "AllowedValues" in rule:
        return listed(rule["AllowedValues"])
    if "MinValue" in rule:
        return f"{rule['MinValue']} to {rule['MaxValue']}"
    return str(rule.get("ConstraintDescription", "text"))


def outputs(template: Json) -> Page:
    """The outputs. Those of an operation begin with its name in the template, so each is described once."""
    rows: dict[str, str] = {}
    for name, item in template["Outputs"].items():
        operation, kind = _operation(name, template)
        rows[f"<operation>{kind}" if operation else name] = _sentences(item["Description"], only_if(item, template))
    names = [(code(id_), code(of["Name"])) for id_, of in template["Mappings"]["Operations"].items()]
    parts = [
        table(("output", "what it is"), ((code(name), text) for name, text in rows.items())),
        section(
            "`<operation>`",
            "Lists have the output `<operation>FunctionArn` only: the stack gives them no queue.",
            table(("in an output's name", "operation"), names),
        ),
    ]
    intro = (
        "What a deployed stack tells. "
        "`aws cloudformation describe-stacks --stack-name … --query 'Stacks[0].Outputs'` shows the values."
    )
    return Page("Outputs", intro, "\n\n".join(parts))


def _sentences(*texts: str) -> str:
    """These texts, each with a full stop."""
    return " ".join(text if text.endswith(".") else f"{text}." for text in texts if text)


def alarms(template: Json) -> Page:
    """The alarms: one line for each kind that every operation has."""
    rows: dict[str, tuple[str, ...]] = {}
    for name, alarm in template["Resources"].items():
        if alarm["Type"] != "AWS::CloudWatch::Alarm":
            continue
        operation, kind = _operation(name, template)
        text = shown(alarm["Properties"]["AlarmDescription"], template)
        if operation:
            text = text.replace(template["Mappings"]["Operations"][operation]["Name"], "`<operation>`")
        shown_name = f"…{kind}" if operation else name
        about = _sentences(_linked(text), only_if(alarm, template))
        rows[shown_name] = (code(shown_name), *_watched(alarm, template), about)
    intro = (
        "What each alarm watches. The parameter `AlarmTopicArn` names the topic that all of them notify. `…` is the "
        "operation: each that changes something has these alarms ([names](outputs.md#operation))."
    )
    return Page("Alarms", intro, table(("alarm", "metric", "rings if", "description"), rows.values()))


def _linked(text: str) -> str:
    return RUNBOOK.sub(lambda found: f"[{found[0]}](../{found[0].removeprefix('docs/')})", text)


def _watched(alarm: Json, template: Json) -> tuple[str, str]:
    """The metric of an alarm, and when the alarm rings."""
    rule = alarm["Properties"]
    if "Metrics" in rule:
        metric = "; ".join(_part(part, template) for part in rule["Metrics"])
        period = next(found for part in rule["Metrics"] if (found := part.get("MetricStat", part).get("Period")))
        statistic = "it"
    else:
        metric = f"{code(rule['MetricName'])} ({rule['Namespace']})"
        period, statistic = rule["Period"], f"the {rule['Statistic'].lower()}"
    periods = rule["EvaluationPeriods"]
    number = rule.get("DatapointsToAlarm", periods)
    when = f"in {number} of {periods} periods" if periods > 1 else "in a period"
    rings = f"{statistic} is {_COMPARISONS[rule['ComparisonOperator']]} {rule['Threshold']} {when} of {period} s"
    return metric, rings


def _part(part: Json, template: Json) -> str:
    if "Expression" in part:
        return f"`{part['Id']}`: {code(' '.join(shown(part['Expression'], template).split()))}"
    metric = part["MetricStat"]["Metric"]
    statistic = part["MetricStat"]["Stat"].lower()
    return f"`{part['Id']}`: {statistic} of {code(metric['MetricName'])} ({metric['Namespace']})"


def _operation(name: str, template: Json) -> tuple[str, str]:
    """The operation that a resource or output belongs to, and the rest of the name; an empty one if to none."""
    found = next((id_ for id_ in template["Mappings"]["Operations"] if name.startswith(id_)), "")
    return found, name.removeprefix(found)


def variables(template: Json) -> dict[str, set[str]]:
    """The environment variables that the template sets, and from what; an empty value is from nothing."""
    found: dict[str, set[str]] = {}
    for values in _environments(template):
        for name, value in values.items():
            found.setdefault(name, set()).update({_origin(value, template)} - {""})
    return found


def _environments(template: Json) -> Iterator[Json]:
    yield template["Globals"]["Function"]["Environment"]["Variables"]
    for resource in template["Resources"].values():
        yield resource.get("Properties", {}).get("Environment", {}).get("Variables", {})


def _origin(value: Any, template: Json) -> str:  # noqa: ANN401 - any value of a template
    match value:
        case {"Ref": str() as name} if name in template["Parameters"]:
            return f"parameter [`{name}`](parameters.md)"
        case {"Ref": str() as name}:
            operation, kind = _operation(name, template)
            return code(f"…{kind}" if operation else name)
    return code(shown(value, template))
