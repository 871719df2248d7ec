"""One invocation of the sweep in a fresh process, as in Lambda: import the function, invoke it once, measure.

Nothing but the standard library is imported here, so that what is measured is the function's own. Standard output
is the function's log.
"""

import importlib.util
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

APP = Path(__file__).resolve().parents[2] / "functions" / "sweep" / "app.py"


@dataclass(frozen=True)
class Context:
    """The members of Lambda's context object that the handler uses."""

    aws_request_id: str
    ends_at: float

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda would end the invocation."""
        return max(0, int((self.ends_at - time.monotonic()) * 1000))


def peak_bytes() -> int:
    """The most memory that this process ever held (``VmHWM``: unlike ``ru_maxrss``, not its parent's too)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == "VmHWM":
            return int(value.split()[0]) * 1024
    raise OSError("no VmHWM in /proc/self/status")


def main(event_file: str, measure_file: str, timeout: str) -> None:
    """Invoke with the event in a file; write what was measured to another."""
    event = json.loads(Path(event_file).read_text(encoding="utf-8"))
    began = time.monotonic()
    spec = importlib.util.spec_from_file_location("app", APP)
    if spec is None or spec.loader is None:
        raise ImportError(str(APP))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    loaded, processor, idle = time.monotonic(), time.process_time(), peak_bytes()
    reply = module.lambda_handler(event, Context("bench-invocation", loaded + float(timeout)))
    measure = {
        "reply": reply,
        "load_seconds": loaded - began,
        "seconds": time.monotonic() - loaded,
        "cpu_seconds": time.process_time() - processor,
        "loaded_bytes": idle,
        "peak_bytes": peak_bytes(),
    }
    Path(measure_file).write_text(json.dumps(measure), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
