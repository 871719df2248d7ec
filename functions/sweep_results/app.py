"""Sweep results: gather what became of each request of a sweep, and say once that all results are in.

A rule of the bus sends the results of a sweep's deletes to this function's queue. The function merges them into
``results/<run id>/results.json`` of the report bucket, writes the page beside it, and publishes ``Sweep Finished``.
"""

from task_cleanup.sweep.gatherer import make_results_handler

lambda_handler = make_results_handler()
