"""Adds to moto what EventBridge does for a rule whose target is an SNS topic: transform the event, and publish it.

Of the input transformer it knows what the template's notices use: texts in quotes, one on each line, with variables
in them ("Amazon EventBridge input transformation" of EventBridge's user guide). A path of names and indices that
leads nowhere makes no variable: its place stays empty. A value is put in as it is, without escapes. Where AWS does
not say what comes of it (an object, a list or null in a text, a line that is no text any more), it is an error.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from moto.events.models import Rule
from moto.sns.models import sns_backends

_VARIABLE = re.compile("<([A-Za-z0-9_-]+)>")
_STEP = re.compile(r"\.([A-Za-z0-9_-]+)|\[([0-9]+)\]")

_moto_sends = Rule.send_to_targets


class TransformError(ValueError):
    """What EventBridge would make of this is not known. The text says of what."""


def install() -> None:
    """Let moto's EventBridge send to topics too."""
    Rule.send_to_targets = _send


def transformed(transformer: Mapping[str, Any], event: Mapping[str, Any]) -> str:
    """The message that a rule's target gets.

    Raises
    ------
    TransformError
        If a variable has no path, or a value cannot be in a text, or a line is no text in quotes.
    """
    paths = transformer.get("InputPathsMap", {})

    def value(match: re.Match[str]) -> str:
        if match[1] not in paths:
            raise TransformError(f"<{match[1]}> has no path")
        return _text(paths[match[1]], event)

    lines = [_VARIABLE.sub(value, line) for line in transformer["InputTemplate"].splitlines()]
    for line in lines:
        try:
            text = json.loads(line)
        except ValueError:
            raise TransformError(f"no text in quotes: {line}") from None
        if not isinstance(text, str):
            raise TransformError(f"no text: {line}")
    return "\n".join(lines)


def _text(path: str, event: Mapping[str, Any]) -> str:
    """The value at a path, as it is in a text; empty where the path leads nowhere."""
    steps = list(_STEP.finditer(path))
    if path != "$" + "".join(step[0] for step in steps):
        raise TransformError(f"the path {path} is not known here")
    found: Any = event
    for step in steps:
        try:
            found = found[step[1]] if step[1] is not None else found[int(step[2])]
        except (KeyError, IndexError, TypeError):
            return ""
    if found is None or isinstance(found, (dict, list)):
        raise TransformError(f"{found!r} at {path} cannot be in a text")
    return found if isinstance(found, str) else json.dumps(found)


def _send(rule: Rule, original_event: Any, transform_input: bool = True) -> None:  # noqa: ANN401 - moto's
    topics = [target for target in rule.targets if target["Arn"].split(":")[2] == "sns"]
    if not topics:
        _moto_sends(rule, original_event, transform_input)
    elif rule.event_pattern.matches_event(original_event):
        for target in topics:
            _, _, _, region, account, _ = target["Arn"].split(":")
            message = transformed(target["InputTransformer"], original_event)
            sns_backends[account][region].publish(message, arn=target["Arn"])
