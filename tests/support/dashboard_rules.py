"""What CloudWatch takes as a dashboard, as far as its documentation says it.

Of "Dashboard Body Structure and Syntax" of CloudWatch's API reference: the grid, the required properties of each type
of widget, the format of a metric, periods, colours, axes and annotations. That no widgets overlap is our own rule.
Not checked, since the page does not say it all: statistics (a list here), expressions (``local.aws.metrics`` reads
them), and whether an explorer knows a type of resource.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

COLUMNS = 24
PROPERTIES = {  # of each type of widget: the required and the others
    "text": ({"markdown"}, {"background"}),
    "metric": (
        {"metrics", "region"},
        {"title", "view", "stacked", "stat", "period", "yAxis", "annotations", "legend", "sparkline", "timezone"},
    ),
    "explorer": ({"metrics", "labels", "widgetOptions"}, {"title", "region", "period", "splitBy", "aggregateBy"}),
}
VIEWS = {"timeSeries", "singleValue", "gauge", "bar", "pie", "table"}
STATISTICS = {"SampleCount", "Average", "Sum", "Minimum", "Maximum"}
OPTIONS = {"color", "expression", "id", "label", "period", "region", "stat", "visible", "yAxis"}
DURATION = re.compile(r"-P(\d+[MWD]|T\d+[HM])")


def faults(body: Mapping[str, Any]) -> list[str]:
    """All that CloudWatch would refuse, or not show as it is meant."""
    return list(_faults(body))


def _faults(body: Mapping[str, Any]) -> Iterator[str]:
    widgets = body.get("widgets")
    if not isinstance(widgets, list) or len(widgets) > 500:
        yield "widgets: an array of 0 to 500"
        return
    if body.keys() - {"widgets", "start", "end", "periodOverride", "variables"}:
        yield "an unknown property"
    if not DURATION.fullmatch(body.get("start", "-PT3H")):
        yield "start"
    if body.get("periodOverride", "auto") not in ("auto", "inherit"):
        yield "periodOverride"
    taken: dict[tuple[int, int], int] = {}
    for number, widget in enumerate(widgets):
        for fault in (*_placed(widget, number, taken), *_typed(widget)):
            yield f"widget {number}: {fault}"


def _placed(widget: Mapping[str, Any], number: int, taken: dict[tuple[int, int], int]) -> Iterator[str]:
    x, y, width, height = (widget.get(name) for name in ("x", "y", "width", "height"))
    if not all(type(it) is int for it in (x, y, width, height)):
        yield "x, y, width and height are integers"
        return
    assert x is not None and y is not None and width is not None and height is not None  # noqa: PT018
    if not 0 <= x < COLUMNS or not 1 <= width <= COLUMNS or x + width > COLUMNS:
        yield "outside of the 24 columns"
    if y < 0 or not 1 <= height <= 1000:
        yield "y or height"
    for place in ((column, row) for column in range(x, x + width) for row in range(y, y + height)):
        if taken.setdefault(place, number) != number:
            yield f"overlaps widget {taken[place]}"
            return


def _typed(widget: Mapping[str, Any]) -> Iterator[str]:
    if widget.keys() - {"type", "x", "y", "width", "height", "properties"}:
        yield "an unknown property"
    required, others = PROPERTIES.get(widget.get("type", ""), (set(), None))
    properties = widget.get("properties", {})
    if others is None:
        yield f"type {widget.get('type')}"
        return
    for name in required - properties.keys():
        yield f"{name} is missing"
    for name in properties.keys() - required - others:
        yield f"{name} is not known"
    yield from _common(properties)
    if widget["type"] == "metric":
        yield from _metrics(properties.get("metrics", []), has_statistic="stat" in properties)
    if widget["type"] == "explorer":
        yield from _explorer(properties)


def _common(properties: Mapping[str, Any]) -> Iterator[str]:
    """What a widget and one of its metrics can have alike."""
    if "period" in properties:
        yield from _period(properties["period"])
    if "stat" in properties:
        yield from _statistic(properties["stat"])
    if properties.get("view", "timeSeries") not in VIEWS:
        yield "view"
    if not re.fullmatch("#[0-9a-f]{6}", properties.get("color", "#000000")):
        yield "a colour is # and six hex digits"
    for line in properties.get("annotations", {}).get("horizontal", []):
        if not isinstance(line.get("value"), (int, float)):
            yield "an annotation without a value"


def _metrics(metrics: Any, *, has_statistic: bool) -> Iterator[str]:
    if not isinstance(metrics, list) or not 1 <= len(metrics) <= 500:
        yield "metrics: 1 to 500"
        return
    ids = [str(metric[-1]["id"]) for metric in metrics if isinstance(metric[-1], dict) and "id" in metric[-1]]
    if len(set(ids)) != len(ids) or not all(re.fullmatch(r"[a-z]\w*", it) for it in ids):
        yield "ids: each once, a lower-case letter first"
    above = 0
    for metric in metrics:
        options = metric[-1] if isinstance(metric[-1], dict) else {}
        names = [part for part in metric if not isinstance(part, dict)]
        if not all(isinstance(part, str) for part in names) or options.keys() - OPTIONS:
            yield f"metric {metric}"
        yield from _common(options)
        if "expression" in options:
            yield from ["an expression has no names"] if names else []
            continue
        if names != ["..."]:
            yield from _names(names, above)
            above = len(names)
        if not above or not (has_statistic or "stat" in options):
            yield "nothing is above, or no statistic: the average would be shown"


def _names(names: Sequence[str], above: int) -> Iterator[str]:
    if len(names) < 2 or len(names) % 2 or ("." in names and len(names) != above):
        yield f"namespace, name, and pairs of dimensions: {names}"


def _explorer(properties: Mapping[str, Any]) -> Iterator[str]:
    if not 1 <= len(properties.get("metrics", [])) <= 100 or not properties.get("labels"):
        yield "metrics and labels"
    for metric in properties.get("metrics", []):
        if metric.keys() != {"metricName", "resourceType", "stat"}:
            yield f"metric {metric}"
    for label in properties.get("labels", []):
        if not {"key"} <= label.keys() <= {"key", "value"}:
            yield f"label {label}"
    if properties.get("widgetOptions", {}).keys() - {"legend", "rowsPerPage", "stacked", "view", "widgetsPerRow"}:
        yield "widgetOptions"


def _period(period: Any) -> Iterator[str]:
    if type(period) is not int or (period not in (1, 5, 10, 30) and (period < 60 or period % 60)):
        yield f"period {period}"


def _statistic(name: str) -> Iterator[str]:
    if name not in STATISTICS and not re.fullmatch(r"p\d{1,2}(\.\d+)?", name):
        yield f"statistic {name}"
