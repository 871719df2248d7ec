"""What became of a sweep's requests as one HTML page, in the style of its report.

Its size has a bound, whatever the run's is: at most ``LISTED`` failures and as many waiting requests have a row.
"""

from collections.abc import Mapping
from typing import Any

from task_cleanup.sweep.page.render import template
from task_cleanup.sweep.page.words import DecisionLabel, counted

# In the order of the bar, the legend and the figures. The page's style has one class per kind.
KINDS: Mapping[str, DecisionLabel] = {
    "succeeded": DecisionLabel("Succeeded", "the provider confirmed the delete"),
    "unchanged": DecisionLabel("Unchanged", "the task was gone already"),
    "changed": DecisionLabel("Changed", "kept: the task was not as the plan saw it"),
    "failed": DecisionLabel("Failed", "not deleted, or nobody knows: see the causes"),
    "waiting": DecisionLabel("Waiting", "no result yet"),
}


def headline(progress: Mapping[str, Any]) -> str:
    """How far the run is, in one line."""
    requested, waiting, failed = progress["requested"], progress["waiting"], progress["failed"]
    if waiting:
        return f"Not finished: {counted(waiting, 'result')} of {requested:,} still to come"
    if not progress["finished"]:
        return f"{counted(requested, 'result')}, all there; the sweep may still request more"
    ends = f", {failed:,} failed" if failed else ""
    return f"Finished: {counted(requested, 'request')}{ends}"


def style(progress: Mapping[str, Any]) -> str:
    """The style sheet's class for the run's state: ``partly`` if something failed or has changed."""
    if progress["failed"] or progress["changed"]:
        return "failed" if progress["failed"] == progress["requested"] else "partly"
    return "requested" if progress["finished"] else "reported"


def results_page(run_id: str, name: str | None, progress: Mapping[str, Any], updated_at: str) -> str:
    """The page of ``results.progress``. No script, and nothing is loaded; ``name`` is None while nobody knows it.

    Raises
    ------
    KeyError, jinja2.UndefinedError
        For counts that are not of the shape, or a target of a service that no sweep lists.
    """
    return template("results.html.j2").render(
        run_id=run_id,
        name=name or run_id,
        progress=progress,
        headline=headline(progress),
        style=style(progress),
        kinds=KINDS,
        updated_at=updated_at,
        most=max(progress["by_cause"].values(), default=0),
    )
