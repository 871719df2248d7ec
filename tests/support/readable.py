"""Whether a message is for people: what only a program would write is not in it."""

import re

_OF_A_PROGRAM = {
    "a duration as Python shows it": re.compile(r"(?<![T\d:])\d+:\d\d:\d\d|\btimedelta\b"),
    "a value as Python shows it": re.compile(r"\bNone\b|[{\[(]'|\bdatetime\.|<class |<\w+ object|\bobject at 0x"),
    "an enumeration's member": re.compile(r"\b(Category|Code|Outcome|Status|Decision|Mode)\.[A-Z_]+\b"),
    "a keyword instead of words": re.compile(r": ?(enum|pattern|type|const|required|additionalProperties|format)\b"),
    "a place that was not filled in": re.compile(r"\{\w*\}|%s"),
}


def unreadable(message: str) -> list[str]:
    """What people would stumble over; nothing, if the message is a sentence."""
    found = [what for what, pattern in _OF_A_PROGRAM.items() if pattern.search(message)]
    return [*found, *(["fewer than three words"] if len(message.split()) < 3 else [])]
