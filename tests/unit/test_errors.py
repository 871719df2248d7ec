"""The error model: the tree of exceptions as it is told, codes that are written once, and what is tried again."""

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import task_cleanup
from task_cleanup import errors
from task_cleanup.errors import RETRY_LATER, RETRY_WITHIN_CALL, Category, Code, SweepCode, TaskCleanupError

PACKAGE = Path(task_cleanup.__file__).parent

Line = tuple[int, str, str]  # depth, class, module


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
        (path.name, node.value)
        for path in PACKAGE.rglob("*.py")
        if path.name != "errors.py" and path.parent.name != "providers"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in codes
    ]

    assert again == []


def test_what_is_tried_again_within_a_call_is_tried_again_later_too() -> None:
    assert {Category.CONFLICT} == RETRY_LATER - RETRY_WITHIN_CALL
    assert RETRY_WITHIN_CALL < RETRY_LATER
