"""Rules of the template's text and of the documents'; and where tests have their helpers."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.documents import anchors
from tests.support.functions import ROOT
from tests.support.template import OPERATIONS, lines, listed, source, template, translated, walk

STAR = re.compile(r"""^\s*(Resource:|-)\s*["']?\*["']?\s*$""")


def section(name: str) -> dict[str, int]:
    """Keys of a top-level section and of its loops, and the index of the line each is on."""
    found: dict[str, int] = {}
    inside = False
    for index, line in enumerate(lines()):
        if re.match(r"^\w", line):
            inside = line.startswith(f"{name}:")
        elif inside and (key := re.match(r"^  ([\w:]+):", line) or re.match(r"^    [- ] (\$\{\w+\}\w+):", line)):
            found[key[1]] = index
    return found


def written(name: str) -> list[str]:
    """The keys of a section as they are written: a loop's own, and those in it."""
    section = source()[name]
    return [key for name in section for key in ([name, *section[name][2]] if "::" in name else [name])]


def is_reason(line: str) -> bool:
    return bool(re.match(r"^\s*# .*\w", line)) and not set(line.strip()) <= set("# -")


def used_names() -> set[str]:
    """Every name that a reference, a substitution or a condition uses."""
    names: set[str] = set()
    body = {key: template().get(key) for key in ("Globals", "Conditions", "Resources", "Outputs")}
    for node in walk(body):
        if isinstance(node, dict):
            names |= {str(node[key]) for key in ("Ref", "Condition") if key in node}
            names |= {str(listed(node["Fn::If"])[0])} if "Fn::If" in node else set()
            texts = [text for text in walk(node.get("Fn::Sub")) if isinstance(text, str)]
            names |= {name for text in texts for name in re.findall(r"\$\{([\w:]+)", text)}
    return names


def test_there_are_functions_to_test() -> None:
    assert OPERATIONS, "no functions/*/app.py: every check by operation would pass by not running"


def test_sections_are_read_whole() -> None:
    for name in ("Parameters", "Resources", "Outputs"):
        assert sorted(section(name)) == sorted(written(name))


@pytest.mark.parametrize("resource", written("Resources"))
def test_resource_has_its_reason_above_it(resource: str) -> None:
    own, above = (lines()[section("Resources")[resource] - back] for back in (0, 1))
    assert resource in own
    if not resource.startswith("Fn::ForEach"):  # what a loop makes has its reasons in the loop
        assert is_reason(above), f"no comment above {resource}"
        assert above.startswith("  # " if own[2] != " " else "    # " if own[4] == "-" else "      # ")


def test_every_star_resource_has_a_reason() -> None:
    text = lines()
    stars = [index for index, line in enumerate(text) if STAR.match(line)]
    for index in stars:
        assert 'Reason for "*":' in text[index - 1], f"line {index + 1}"

    parsed = [
        node
        for node in walk(source()["Resources"])
        if isinstance(node, dict) and "Effect" in node and "*" in listed(node.get("Resource"))
    ]

    assert len(parsed) == len(stars), "a resource of * is written in a way that this test does not see"


def test_no_right_is_given_to_all_actions_or_principals() -> None:
    for node in walk(translated()):
        if isinstance(node, dict) and node.get("Effect", "Deny") != "Deny":
            actions = listed(node["Action"])
            assert not [action for action in actions if "*" in action], node
            assert node.get("Principal") != "*", node
            assert "NotAction" not in node
            assert "NotResource" not in node


@pytest.mark.parametrize("name", template()["Parameters"])
def test_parameter_is_described_bounded_and_used(name: str) -> None:
    parameter = template()["Parameters"][name]

    assert len(parameter["Description"]) > 20
    assert {"AllowedValues", "AllowedPattern", "MinValue"} & parameter.keys()
    assert "Default" in parameter, "one plain sam deploy must do"
    assert name in used_names()


def test_every_parameter_stands_in_one_group() -> None:
    groups = template()["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]

    grouped = [name for group in groups for name in group["Parameters"]]

    assert sorted(grouped) == sorted(template()["Parameters"])


@pytest.mark.parametrize("name", template()["Conditions"])
def test_condition_is_used(name: str) -> None:
    assert name in used_names()


@pytest.mark.parametrize("name", template()["Outputs"])
def test_output_is_described(name: str) -> None:
    assert len(template()["Outputs"][name]["Description"]) > 20


def test_linter_ignores_carry_reasons() -> None:
    text = "\n".join(lines())

    ignores = re.findall(r"cfn-lint|ignore_checks|checkov:skip|cfn_nag", text)

    assert not ignores, "the template needs none; give the reason here when that changes"


def test_decisions_are_numbered_dated_and_say_what_would_change_them() -> None:
    _, *entries = re.split(r"^## ", (ROOT / "docs" / "decisions.md").read_text(), flags=re.MULTILINE)

    assert len(entries) > 40
    for number, entry in enumerate(entries, start=1):
        title, _, text = entry.partition("\n\n")
        assert title.startswith(f"D-{number:03} · "), title
        assert re.match(r"\d{4}-\d\d-\d\d, (one|two)-way\. ", text), title
        assert "\n*Reconsider when* " in text, title
    dates = re.findall(r"^\d{4}-\d\d-\d\d", "\n".join(entries), flags=re.MULTILINE)
    assert dates == sorted(dates), "the newest is last"


# -- the tests' own helpers ------------------------------------------------


def imported(path: Path) -> Iterator[str]:
    """The full name of everything that a file imports by ``from … import …``, and of every module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_every_test_is_in_a_folder_that_make_runs() -> None:
    """``make tests`` runs each folder that has test files of its own."""
    folders = {path.parent for path in ROOT.glob("tests/*/test_*.py")}

    tests = [path for name in ("test_*.py", "*_test.py") for path in ROOT.glob(f"tests/**/{name}")]

    assert [path for path in tests if path.parent not in folders] == []


@pytest.mark.parametrize("folder", ["tests", "cli", "local", "bench"])
def test_no_file_imports_from_a_test_from_a_conftest_or_a_helpers_private_name(folder: str) -> None:
    """What several test files share is in tests/support, under a public name."""
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for name in imported(path)
        if re.search(r"\b(test_\w+|conftest)\b", name) or re.search(r"^(tests|local|bench)\.(.*\.)?_[a-zA-Z]", name)
    ]

    assert wrong == []


# -- the documents ------------------------------------------------

DOCUMENTS = sorted([*map(ROOT.joinpath, ("README.md", "CONTRIBUTING.md", "SECURITY.md")), *ROOT.glob("docs/**/*.md")])
FOLDERS = ("functions", "layers", "cli", "local", "bench", "tests")
# Where a path in a document may begin, besides the root and the document's own folder.
BASES = ("layers/task_cleanup/python/task_cleanup", "local/emulators")
MADE = re.compile(r"<|^\.(build|venv)/|^(reports|results|ledger|names)/")  # a placeholder; by a build, in a bucket


def named_paths(text: str) -> Iterator[str]:
    """What is quoted as ``folder/``, ``folder/file`` below a folder of the tree, or ``module.py``."""
    for quoted in re.findall(r"(?<!`)`([\w./<>*-]+)`(?!`)", text):
        if re.search(r"^[\w./-]+/$|^\w+\.py$|/[\w.]+\.\w+$|^(docs|events|" + "|".join(FOLDERS) + ")/", quoted):
            yield quoted


def is_there(path: str, document: Path) -> bool:
    if "/" not in path:
        return any(next((ROOT / folder).rglob(path), None) for folder in FOLDERS)
    return any((place / path).exists() for place in (ROOT, document.parent, *map(ROOT.joinpath, BASES)))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_that_a_document_names_is_there(document: Path) -> None:
    named = [path for path in named_paths(document.read_text()) if not MADE.search(path)]

    assert [path for path in named if not is_there(path, document)] == []


@pytest.mark.parametrize("document", [*DOCUMENTS, ROOT / "CHANGELOG.md"], ids=lambda path: path.name)
def test_every_link_between_documents_has_its_target(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", document.read_text())
    targets = [(document.parent / path if path else document, anchor) for path, anchor in links]

    assert [target for target, _ in targets if not target.exists()] == []
    assert [(target, anchor) for target, anchor in targets if anchor and anchor not in anchors(target)] == []
