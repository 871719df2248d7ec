"""Tables and pages in Markdown, and a template's values as text."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

MADE = "<!-- Made by `make documents` from code and template. Change those. -->"


@dataclass(frozen=True)
class Page:
    """One page of the reference: its title, what it holds in a sentence, and the text below."""

    title: str
    intro: str
    body: str

    def text(self) -> str:
        """The whole page."""
        return f"{MADE}\n# {self.title}\n\n{self.intro}\n\n{self.body.strip()}\n"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table. Cells are Markdown already; a bar in one is escaped, and a line break becomes a space."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def code(value: object) -> str:
    """A value as code, nothing for an empty one."""
    return f"`{value}`" if value not in ("", None) else ""


def listed(values: Iterable[object]) -> str:
    """Values as code, with commas."""
    return ", ".join(code(value) for value in values)


def yes(value: object) -> str:
    """``yes`` or ``no``."""
    return "yes" if value else "no"


def section(title: str, *parts: str) -> str:
    """A section with its heading."""
    return "\n\n".join([f"## {title}", *parts])


def shown(value: Any, template: Json) -> str:  # noqa: ANN401, PLR0911 - any value of a template
    """A value of the template as text: parameters with their defaults, what the stack gives them as ``<stack>``.

    Raises ValueError for a function that it does not know.
    """
    if not isinstance(value, dict):
        return str(value)
    (name, argument), *rest = value.items()
    if rest:
        raise ValueError(f"{value} is no function")
    match name, argument:
        case "Ref", str() as target:
            return _named(target, template)
        case "Fn::GetAtt", _:
            return f"<{argument if isinstance(argument, str) else '.'.join(argument)}>"
        case "Fn::Sub", [str() as text, dict() as variables]:
            return _filled(text, {key: shown(it, template) for key, it in variables.items()}, template)
        case "Fn::Sub", str() as text:
            return _filled(text, {}, template)
        case "Fn::Join", [str() as between, list() as parts]:
            return between.join(shown(part, template) for part in parts)
        case "Fn::If", [str() as condition, then, otherwise]:
            return shown(then if holds({"Condition": condition}, template) else otherwise, template)
    raise ValueError(f"{name} is not known")


def holds(condition: Json, template: Json) -> bool:
    """Whether a condition holds with the parameters' defaults."""
    match condition:
        case {"Condition": str() as name}:
            return holds(template["Conditions"][name], template)
        case {"Fn::Not": [one]}:
            return not holds(one, template)
        case {"Fn::And": [*all_of]}:
            return all(holds(one, template) for one in all_of)
        case {"Fn::Or": [*any_of]}:
            return any(holds(one, template) for one in any_of)
        case {"Fn::Equals": [left, right]}:
            return shown(left, template) == shown(right, template)
    raise ValueError(f"{condition} is not known")


def worded(condition: Json, template: Json) -> str:
    """When a condition holds, by the parameters: ```Schedules` is `true```."""
    match condition:
        case {"Condition": str() as name}:
            return worded(template["Conditions"][name], template)
        case {"Fn::And": [*all_of]}:
            return " and ".join(worded(one, template) for one in all_of)
        case {"Fn::Not": [{"Fn::Equals": [{"Ref": str() as name}, ""]}]}:
            return f"{code(name)} is set"
        case {"Fn::Equals": [{"Ref": str() as name}, str() as value]}:
            return f"{code(name)} is {code(value)}"
    raise ValueError(f"{condition} is not known")


def only_if(item: Json, template: Json) -> str:
    """A sentence that says when this output or resource exists; empty if always."""
    return f"Only if {worded(item, template)}." if "Condition" in item else ""


def _named(name: str, template: Json) -> str:
    if name in template["Parameters"]:
        return str(template["Parameters"][name].get("Default", ""))
    return "<stack>" if name == "AWS::StackName" else f"<{name.removeprefix('AWS::')}>"


def _filled(text: str, variables: Mapping[str, str], template: Json) -> str:
    def value(found: re.Match[str]) -> str:
        return variables[found[1]] if found[1] in variables else _named(found[1], template)

    return re.sub(r"\$\{([\w.:]+)\}", value, text)
