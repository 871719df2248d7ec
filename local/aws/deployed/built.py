"""Changes a copy of the built template for ministack, and says why. The template that ships is not changed."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

# Condition keys that ministack judges otherwise than AWS. A statement that allows loses the key; one that denies is
# left out, since without its condition it would deny everything.
CONDITIONS: Mapping[str, str] = {
    "events:source": "ministack does not know it, and would deny every PutEvents",
    "events:detail-type": "ministack does not know it, and would deny every PutEvents",
    "aws:PrincipalArn": "ministack takes a function's session for it, where AWS takes the role",
    "aws:SecureTransport": "this AWS is reached over plain http, the real one over TLS",
}
NOTHING = {"Ref": "AWS::NoValue"}
NEVER = {"Fn::Equals": ["inside", "outside"]}


def for_ministack(template: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A copy with the changes that ministack needs, and a sentence for each kind of change that was made."""
    made: Counter[str] = Counter()
    changed: dict[str, Any] = _changed(template, template.get("Parameters", {}), made)
    for name, what in [(name, what) for name, item in changed["Resources"].items() if (what := _refused(item))]:
        del changed["Resources"][name]
        made[f"{what} left out: ministack refuses the whole stack because of it"] += 1
    if changed.get("Metadata", {}).pop("AWS::ServerlessRepo::Application", None):
        made["metadata for publishing left out: the files that it names are not beside this copy"] += 1
    if "IsInVpc" in changed.get("Conditions", {}):
        changed["Conditions"]["IsInVpc"] = NEVER
        made["condition IsInVpc is false: ministack joins no lists there, and takes it for true"] += 1
    return changed, [f"{times} x {what}" for what, times in made.items() if times]


def _refused(resource: object) -> str | None:
    """What ministack would not make of this resource, or of what this loop makes."""
    return "saved query" if "'AWS::Logs::QueryDefinition'" in str(resource) else None


def _is_left_out(resource: object, made: Counter[str]) -> bool:
    """Whether this is an alarm on a query or on several metrics; also one in a loop."""
    if not (isinstance(resource, dict) and resource.get("Type") == "AWS::CloudWatch::Alarm"):
        return False
    left_out = "Metrics" in resource["Properties"]
    made["alarm on a query or on several metrics left out: ministack refuses the whole stack because of it"] += (
        left_out
    )
    return left_out


def _changed(node: Any, parameters: Mapping[str, Any], made: Counter[str]) -> Any:  # noqa: ANN401 - any part of it
    if isinstance(node, list):
        return [_changed(item, parameters, made) for item in node]
    if not isinstance(node, dict):
        return node
    if "Effect" in node and "Condition" in node:
        return _statement(node, made)
    copy = {name: _changed(item, parameters, made) for name, item in node.items() if not _is_left_out(item, made)}
    limit = node.get("MaximumConcurrency")
    if isinstance(limit, dict) and "Ref" in limit:
        copy["MaximumConcurrency"] = int(parameters[limit["Ref"]]["Default"])
        made["MaximumConcurrency as a number: a parameter stays a text, and ends ministack's poll of all queues"] += 1
    return copy


def _statement(statement: Mapping[str, Any], made: Counter[str]) -> Mapping[str, Any]:
    reasons = {key.lower(): f"condition {key} left out: {reason}" for key, reason in CONDITIONS.items()}
    found = {key.lower() for keys in statement["Condition"].values() for key in keys} & reasons.keys()
    made.update(reasons[key] for key in sorted(found))
    if not found or statement["Effect"] == "Deny":
        return NOTHING if found else statement
    kept = {
        operator: {key: value for key, value in keys.items() if key.lower() not in found}
        for operator, keys in statement["Condition"].items()
    }
    rest = {name: item for name, item in statement.items() if name != "Condition"}
    left = {operator: keys for operator, keys in kept.items() if keys}
    return {**rest, "Condition": left} if left else rest
