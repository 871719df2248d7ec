"""Sweep: list the leftover tasks of many targets, select by a policy, check the limits, request the deletes.

``POST /sweeps``, a ``Sweep Requested`` event or the nightly schedule start one; ``GET /sweeps/{run_id}`` returns its
summary. The sweep puts one event for each delete on the bus; other functions send the deletes to the providers.
"""

from pathlib import Path

from task_cleanup.sweep.handler import make_sweep_handler
from task_cleanup.sweep.services import load_sweep_schema

lambda_handler = make_sweep_handler(load_sweep_schema(Path(__file__).with_name("schema.json")))
