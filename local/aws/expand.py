"""``template.yaml`` without its loops: every operation written out, for tools that know SAM's own transform only.

Of ``AWS::LanguageExtensions`` it knows what the template uses, and raises an error for the rest: loops over literal
lists directly in a section, and in them the loop's variable in keys, ``Ref`` and ``Fn::Sub``, ``Fn::FindInMap`` with
keys that are known then, and ``Fn::Select`` of a written list. CloudFormation ignores ``${Variable}`` in a plain
string; here that is an error.
``python -m local.aws.expand`` (``make build``) writes ``template.expanded.yaml``.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

SAM = "AWS::Serverless-2016-10-31"
_LOOP = "Fn::ForEach::"
_KNOWN = frozenset({"Fn::Sub", "Fn::GetAtt", "Fn::If", "Fn::FindInMap", "Fn::Select"})

Json = dict[str, Any]


class ExpansionError(ValueError):
    """The template has a function that this module does not know, or an error. The text says what and where."""


class _Loader(yaml.CSafeLoader):
    """YAML with CloudFormation's short forms, each read as its long form. In C: the translator's own takes a third of
    a second for this template.
    """


def _long_form(loader: _Loader, tag: str, node: yaml.Node) -> Json:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        raise ExpansionError(f"!{tag} on a mapping is not known")
    if tag == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {tag if tag in {"Ref", "Condition"} else f"Fn::{tag}": value}


yaml.add_multi_constructor("!", _long_form, Loader=_Loader)


def parse(text: str) -> Json:
    """A template as it is written, with the long forms of all functions. Raises ExpansionError and YAMLError."""
    parsed: Json = yaml.load(text, Loader=_Loader)
    return parsed


def expand(template: Mapping[str, Any]) -> Json:
    """The template with each loop written out, and SAM's transform alone. Raises ExpansionError."""
    if template.get("Transform") not in (SAM, ["AWS::LanguageExtensions", SAM]):
        raise ExpansionError(f"Transform: {template.get('Transform')!r} is not known")
    mappings = template.get("Mappings", {})
    expanded = {name: content for name, content in template.items() if name != "Mappings"} | {"Transform": SAM}
    for section in ("Resources", "Outputs"):
        expanded[section] = {}
        for key, value in template.get(section, {}).items():
            for name, item in _loop(key, value, mappings) if key.startswith(_LOOP) else [(key, value)]:
                if name in expanded[section]:
                    raise ExpansionError(f"{name} is there twice")
                expanded[section][name] = item
    _refuse_rest(expanded, "template")
    return expanded


def _loop(key: str, loop: Any, mappings: Json) -> list[tuple[str, Any]]:  # noqa: ANN401 - any YAML
    match loop:
        case [str(variable), [*values], dict(body)] if all(isinstance(value, str) for value in values):
            known = [{variable: value} for value in values]
            return [(_filled(id_, it), _written(part, it, mappings)) for it in known for id_, part in body.items()]
    raise ExpansionError(f"{key}: not a variable, a list of names and what to make of each")


def _written(node: Any, names: Mapping[str, str], mappings: Json) -> Any:  # noqa: ANN401 - any YAML
    """A part of a loop's body for one value of the loop's variable."""
    if isinstance(node, str) and _filled(node, names) != node:
        raise ExpansionError(f"{node!r} is a plain string, in which nothing is filled in")
    if isinstance(node, list):
        return [_written(item, names, mappings) for item in node]
    if not isinstance(node, dict):
        return node
    if unknown := [key for key in node if key.startswith("Fn::") and key not in _KNOWN]:
        raise ExpansionError(f"{unknown[0]} is not known in a loop")
    if "Fn::Sub" in node:
        text, own = node["Fn::Sub"] if isinstance(node["Fn::Sub"], list) else (node["Fn::Sub"], {})
        return _substituted(text, _written(own, names, mappings), names)
    written = {key: _written(value, names, mappings) for key, value in node.items()}
    if "Fn::FindInMap" in written:
        return _found(written["Fn::FindInMap"], mappings)
    if "Fn::Select" in written:
        return _selected(written["Fn::Select"])
    return names.get(written["Ref"], written) if "Ref" in written else written


def _found(keys: list[str], mappings: Json) -> Any:  # noqa: ANN401 - a string, or a list
    try:
        mapping, first, second = keys
        return mappings[mapping][first][second]
    except (KeyError, TypeError, ValueError):
        raise ExpansionError(f"nothing is at {keys} of the mappings") from None


def _selected(arguments: Any) -> Any:  # noqa: ANN401 - any YAML
    match arguments:
        case [str(index), [*items]] if index.isdecimal() and int(index) < len(items):
            return items[int(index)]
    raise ExpansionError(f"Fn::Select cannot choose by {arguments}")


def _substituted(text: str, variables: Json, names: Mapping[str, str]) -> Any:  # noqa: ANN401 - a string or a function
    known = {key: value for key, value in variables.items() if isinstance(value, str)}
    rest = {key: value for key, value in variables.items() if key not in known}
    text = _filled(text, {**names, **known})
    return {"Fn::Sub": [text, rest]} if rest else {"Fn::Sub": text} if "${" in text else text


def _filled(text: str, names: Mapping[str, str]) -> str:
    for name, value in names.items():
        text = text.replace(f"${{{name}}}", value)
    return text


def _refuse_rest(node: Any, where: str) -> None:  # noqa: ANN401 - any YAML
    """Raise ExpansionError if anything is left that SAM would keep and CloudFormation could not resolve."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        if str(key).startswith((_LOOP, "Fn::FindInMap", "Fn::Length", "Fn::ToJsonString")):
            raise ExpansionError(f"{where}: {key} is not known there")
        _refuse_rest(value, f"{where}, {key}")


def text_of(template: Json) -> str:
    """The template as YAML, with a first line that says what it is."""
    copied = json.loads(json.dumps(template))  # without shared objects, which would become YAML aliases
    written: str = yaml.safe_dump(copied, sort_keys=False, width=118, allow_unicode=True)
    return f"# Made of template.yaml by `make build`. Change that one.\n{written}"


if __name__ == "__main__":
    root = Path(__file__).resolve().parents[2]
    try:
        expanded = expand(parse((root / "template.yaml").read_text()))
    except ExpansionError as error:
        sys.exit(f"template.yaml: {error}")
    (root / "template.expanded.yaml").write_text(text_of(expanded))
