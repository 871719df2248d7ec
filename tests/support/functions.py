"""Which functions there are, as the tests find them: a new folder under ``functions/`` is tested unasked."""

import importlib.util
import json
import re
import uuid
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from task_cleanup.operation import Operation
from task_cleanup.sweep.services import load_sweep_schema
from task_cleanup.validation import load_schema

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = ROOT / "functions"
EVENTS = ROOT / "events"

T = TypeVar("T")


@cache
def _folders() -> tuple[str, ...]:
    folders = sorted(path.parent.name for path in FUNCTIONS.glob("*/schema.json"))
    return tuple(folder for folder in folders if "operation" in request_schema(folder)["properties"])


def function_folders() -> list[str]:
    """Every provider operation: a folder under ``functions/`` whose schema names one."""
    return list(_folders())


def representative_folders() -> list[str]:
    """One of each kind, for what all functions share: one delete of each API; one cancel, one stop and one list."""
    chosen: dict[str, str] = {}
    for folder in function_folders():
        service = operation_name(folder).split(".")[1]
        kind = re.findall("[A-Z][a-z]+", action_of(folder))[0]
        chosen.setdefault(service if kind == "Delete" else kind, folder)
    return list(chosen.values())


def in_turn(folders: Sequence[str], values: Sequence[T]) -> list[tuple[str, T]]:
    """Each function and each value at least once, each with the next of the others: for what is no matter of both."""
    return [
        (folders[number % len(folders)], values[number % len(values)])
        for number in range(max(len(folders), len(values)))
    ]


def request_schema(folder: str) -> dict[str, Any]:
    """The JSON Schema of a function's requests, as the function loads it."""
    load = load_sweep_schema if folder == "sweep" else load_schema
    return load(FUNCTIONS / folder / "schema.json")


@cache
def operation_name(folder: str) -> str:
    """The name of a function's operation, as its schema has it."""
    name: str = request_schema(folder)["properties"]["operation"]["const"]
    return name


def service_of(folder: str) -> str:
    """``huawei_oms`` of ``huawei.oms.DeleteTask``: the emulator's name, too."""
    provider, service, _ = operation_name(folder).split(".")
    return f"{provider}_{service}"


def provider_of(folder: str) -> str:
    """The provider, as its secrets name it."""
    return operation_name(folder).split(".")[0]


def action_of(folder: str) -> str:
    """``DeleteTask`` of ``huawei.oms.DeleteTask``: the provider's own name, and the emulator's."""
    return operation_name(folder).split(".")[2]


def is_list(folder: str) -> bool:
    """A list changes nothing; everything else makes one change."""
    return action_of(folder).startswith("List")


def sample_event(folder: str, name: str) -> dict[str, Any]:
    """A fresh copy of ``events/<folder>/<name>.json``."""
    event: dict[str, Any] = json.loads((EVENTS / folder / f"{name}.json").read_text())
    return event


def load_operation(folder: str) -> Operation:
    """``OPERATION`` of a fresh import of ``functions/<folder>/app.py``, which reads the environment."""
    spec = importlib.util.spec_from_file_location(f"{folder}_{uuid.uuid4().hex}", FUNCTIONS / folder / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    operation: Operation = module.OPERATION
    return operation
