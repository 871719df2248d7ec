"""The operations, from the functions' own code: the command line runs what the stack runs."""

import importlib.util
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from task_cleanup.operation import Operation
from task_cleanup.sweep.services import load_sweep_schema

_PACKAGE = Path(__file__).parent
# In a wheel the functions are beside this module, in the source tree they are at the root.
FOLDER = next(it for it in (_PACKAGE / "functions", _PACKAGE.parents[1] / "functions") if it.is_dir())
# A function reads its environment when it is imported. Its handler is made from these, and never called here.
UNUSED_AWS = {"AWS_REGION": "unused", "AWS_ACCESS_KEY_ID": "unused", "AWS_SECRET_ACCESS_KEY": "unused"}


@cache
def schemas() -> Mapping[str, dict[str, Any]]:
    """Each operation's request schema as it is written, by the operation's name."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(FOLDER.glob("*/schema.json")):
        schema = json.loads(path.read_bytes())
        name = schema["properties"].get("operation", {}).get("const")
        if name is not None:
            found[name] = schema
    return found


def logical_id(name: str) -> str:
    """``HuaweiOmsDeleteTask`` of ``huawei.oms.DeleteTask``: as the template names it."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("."))


@cache
def sweep_schema() -> Mapping[str, Any]:
    """The schema of a sweep's requests."""
    return load_sweep_schema(FOLDER / "sweep" / "schema.json")


@cache
def operation(name: str) -> Operation:
    """The operation of this name.

    Raises
    ------
    KeyError
        If there is none.
    """
    folder = re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace(".", "_")
    path = FOLDER / folder / "app.py"
    if name not in schemas() or not path.is_file():
        raise KeyError(name)
    spec = importlib.util.spec_from_file_location(f"task_cleanup_function_{folder}", path)
    if spec is None or spec.loader is None:
        raise KeyError(name)
    module = importlib.util.module_from_spec(spec)
    with _function_environment():
        spec.loader.exec_module(module)
    found: Operation = module.OPERATION
    if found.name != name:
        raise KeyError(name)
    return found


@contextmanager
def _function_environment() -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(UNUSED_AWS)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
