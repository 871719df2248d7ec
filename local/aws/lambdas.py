"""Functions loaded from the source tree and invoked as Lambda would: one module, one environment each."""

import importlib.util
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.aws.stack import ROOT

_ENVIRONMENT_LOCK = threading.Lock()


@dataclass(frozen=True)
class Context:
    """The members of Lambda's context object that handlers use."""

    aws_request_id: str
    ends_at: float  # on the monotonic clock

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the invocation would be ended."""
        return max(0, int((self.ends_at - time.monotonic()) * 1000))


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set the function's variables while the block runs: the function reads them once, at its import."""
    with _ENVIRONMENT_LOCK:
        before = dict(os.environ)
        os.environ.update(variables)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def load_handler(folder: str, variables: Mapping[str, str], root: Path = ROOT) -> Callable[[Any, Context], Any]:
    """A fresh import of ``functions/<folder>/app.py``: one execution environment."""
    path = root / "functions" / folder / "app.py"
    spec = importlib.util.spec_from_file_location(f"{folder}_{uuid.uuid4().hex}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"no function in {path}")
    module = importlib.util.module_from_spec(spec)
    with _environment(variables):
        spec.loader.exec_module(module)
    handler: Callable[[Any, Context], Any] = module.lambda_handler
    return handler


class LocalFunction:
    """One execution environment of a function."""

    def __init__(self, folder: str, variables: Mapping[str, str], timeout: float, root: Path = ROOT) -> None:
        self.folder = folder
        self._timeout = timeout
        self._handler = load_handler(folder, variables, root)

    def invoke(self, event: object) -> Any:  # noqa: ANN401 - whatever the handler returns
        """Invoke it; exceptions of the handler come through."""
        return self._handler(event, Context(str(uuid.uuid4()), time.monotonic() + self._timeout))
