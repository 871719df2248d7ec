"""Logging as Lambda's runtime client sets it up: a root logger that hands every record to the log."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from awslambdaric import bootstrap


class Log:
    """What stands in the function's log group because of the root logger. Our own lines go to stdout."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, message: str | bytes, frame_type: object = None) -> None:
        """What the runtime's handler calls."""
        del frame_type
        self.lines.append(message.decode() if isinstance(message, bytes) else message)

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(self.lines)


@contextmanager
def runtime_log(level: str = "DEBUG") -> Iterator[Log]:
    """``ApplicationLogLevel`` of the template, in the JSON format; and every library logs all that it can."""
    root, log = logging.getLogger(), Log()
    handlers, root_level = list(root.handlers), root.level
    bootstrap._setup_logging(bootstrap.LogFormat.JSON, level, log)
    levels = {logger: logger.level for logger in _loggers()}
    for logger in levels:
        logger.setLevel(level)
    try:
        yield log
    finally:
        root.handlers[:] = handlers
        root.setLevel(root_level)
        for logger, before in levels.items():
            logger.setLevel(before)


def _loggers() -> list[logging.Logger]:
    known = logging.getLogger().manager.loggerDict
    return [logging.getLogger(name) for name in list(known) if not name.startswith("task-cleanup")]
