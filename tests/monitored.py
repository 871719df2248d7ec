"""Branch coverage on CPython 3.13 by `sys.monitoring`, where coverage.py traces and waits for the events of 3.14.

A tracer is called for every line of every library, `sys.monitoring` only for the measured code: that costs next to
nothing. Later versions of CPython need nothing of this; on earlier ones `make tests` measures nothing. coverage.py
loads this file as its plugin.
"""

import sys
from types import CodeType
from typing import Any

from coverage import env
from coverage.plugin_support import Plugins
from coverage.sysmon import DISABLE, SysMonitor


def coverage_init(_registry: Plugins, _options: Any) -> None:
    if sys.version_info[:2] != (3, 13) or env.SYSMON_DEFAULT:
        return
    # 3.14 has an event for each way that a branch goes. 3.13 has one for both.
    events: Any = sys.monitoring.events
    events.BRANCH_LEFT = events.BRANCH_RIGHT = events.BRANCH
    env.PYBEHAVIOR.branch_right_left = env.SYSMON_DEFAULT = True

    went: dict[tuple[int, int], set[int]] = {}
    recorded, stopped = SysMonitor.sysmon_branch_either, SysMonitor.stop

    def branch(monitor: SysMonitor, code: CodeType, source: int, destination: int) -> Any:
        """Ask for no more events of a branch only when it has gone both ways."""
        ways = went.setdefault((id(code), source), set())
        if destination not in ways:
            ways.add(destination)
            recorded(monitor, code, source, destination)
        return DISABLE if len(ways) > 1 else None

    def stop(monitor: SysMonitor) -> None:
        """Take back what was asked for: 3.13 would also send it to the next monitor, which knows nothing of it."""
        if monitor.sysmon_on:
            for code in monitor.code_objects:
                sys.monitoring.set_local_events(monitor.myid, code, 0)
        stopped(monitor)

    setattr(SysMonitor, "sysmon_branch_either", branch)  # noqa: B010
    setattr(SysMonitor, "stop", stop)  # noqa: B010
