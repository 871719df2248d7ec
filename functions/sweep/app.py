"""Sweep: list the leftover tasks of many targets, select by a policy, check the limits, request the deletes.

``POST /sweeps``, a ``Sweep Requested`` event or the nightly schedule start one; ``GET /sweeps/{run_id}`` tells how
it ended. The deletes themselves are the other functions' work: the sweep only puts one event for each on the bus.
"""

from pathlib import Path

from task_cleanup.sweep.handler import make_sweep_handler
from task_cleanup.sweep.services import load_sweep_schema

lambda_handler = make_sweep_handler(load_sweep_schema(Path(__file__).with_name("schema.json")))
