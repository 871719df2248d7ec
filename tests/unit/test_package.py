"""The package's own rules: one name for one thing, the tree of exceptions as it is told, codes written once."""

import ast
import importlib
import inspect
import pkgutil
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import task_cleanup
from task_cleanup import errors
from task_cleanup.errors import RETRY_LATER, RETRY_WITHIN_CALL, Category, Code, SweepCode, TaskCleanupError

PACKAGE = Path(task_cleanup.__file__).parent
TREES = {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}
OF_A_KIND = ("providers/", "signing/")

Line = tuple[int, str, str]  # depth, class, module


def public_names(tree: ast.Module) -> Iterator[str]:
    """The classes, constants and type aliases that a module defines."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            names = [node.name]
        else:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
        yield from (name for name in names if name[0].isupper())


def test_a_public_name_is_defined_once() -> None:
    """But for what each module of a kind has, as `huawei_oms.CODES` and `dms.CODES`: it is told with its module."""
    places: dict[str, list[str]] = defaultdict(list)
    for place, tree in TREES.items():
        for name in public_names(tree):
            places[name].append(place)

    repeated = {name: found for name, found in places.items() if len(found) > 1}
    shared = {name for name, found in repeated.items() if all(place.startswith(OF_A_KIND) for place in found)}

    assert len(places) > 100
    assert {name: found for name, found in repeated.items() if name not in shared} == {}
    imports = [node for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not [alias.name for node in imports for alias in node.names if alias.name in shared]


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(task_cleanup.__path__, "task_cleanup."):
        yield importlib.import_module(found.name)


def told() -> list[Line]:
    """The tree of the docstring. A class without a module is in ``errors``."""
    lines = re.findall(r"^( {4,})(\w+Error) .*?(?:\(``([\w.]+)``\))?$", errors.__doc__ or "", re.MULTILINE)
    return [(len(indent) // 4, name, f"task_cleanup.{module or 'errors'}") for indent, name, module in lines]


def real(error: type[Exception], depth: int = 1) -> Iterator[Line]:
    yield depth, error.__name__, error.__module__
    for child in error.__subclasses__():
        if child.__module__.startswith("task_cleanup."):
            yield from real(child, depth + 1)


def test_the_docstring_has_the_whole_tree() -> None:
    exceptions = {
        member
        for module in modules()
        for member in vars(module).values()
        if inspect.isclass(member) and issubclass(member, Exception) and member.__module__ == module.__name__
    }

    tree = told()

    assert sorted(tree) == sorted(real(TaskCleanupError))
    assert {name for _, name, _ in tree} == {error.__name__ for error in exceptions}
    assert len(tree) == len(exceptions)


def test_a_code_of_ours_is_written_in_one_place() -> None:
    """But for providers' codes, some of which have the same letters."""
    codes = {*map(str, Code), *map(str, SweepCode)}
    assert not {*map(str, Code)} & {*map(str, SweepCode)}

    again = [
        (place, node.value)
        for place, tree in TREES.items()
        if place != "errors.py" and not place.startswith("providers/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in codes
    ]

    assert again == []


def test_what_is_tried_again_within_a_call_is_tried_again_later_too() -> None:
    assert {Category.CONFLICT} == RETRY_LATER - RETRY_WITHIN_CALL
    assert RETRY_WITHIN_CALL < RETRY_LATER
