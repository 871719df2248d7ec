"""CloudWatch metrics from local runs, and what a dashboard's widgets make of them.

Points come from the functions' own lines (embedded metric format) and from whoever imitates an AWS service. Of the
dashboard's language it knows what the template uses ("Dashboard Body Structure and Syntax" of CloudWatch's API
reference, "CloudWatch search expression syntax" of its user guide): metrics with ``.`` and ``...``, ``SEARCH`` with
whole dimension values, ``SUM`` of it, and explorers with one metric and one tag. The rest is an error.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

NO_TAGS: Mapping[str, str] = {}


class NotKnownError(ValueError):
    """A widget has something that this module does not know."""


@dataclass(frozen=True)
class Point:
    """One value of a metric. ``tags`` are those of the resource that it is about."""

    at: datetime
    namespace: str
    name: str
    dimensions: Mapping[str, str]
    value: float
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Series:
    """One line of a chart: a value for each period (by its number since 1970) that has any."""

    label: str
    values: Mapping[int, float]
    color: str | None = None


def emitted(line: str, at: datetime) -> list[Point]:
    """The points of a log line in the embedded metric format; none of another line."""
    try:
        found = json.loads(line)
    except ValueError:
        return []
    if not isinstance(found, dict) or "_aws" not in found:
        return []
    points = []
    for directive in found["_aws"]["CloudWatchMetrics"]:
        for metric in directive["Metrics"]:
            values = found[metric["Name"]]
            for names in directive["Dimensions"]:
                dimensions = {name: found[name] for name in names}
                points += [
                    Point(at, directive["Namespace"], metric["Name"], dimensions, float(value))
                    for value in (values if isinstance(values, list) else [values])
                ]
    return points


# -- what a widget shows ------------------------------------------------


def shown(widget: Mapping[str, Any], points: Sequence[Point], period: int) -> list[Series]:
    """The series of a metric or explorer widget; none of a text. ``period`` is in seconds.

    Raises
    ------
    NotKnownError
        If the widget uses what this module does not know.
    """
    properties = widget["properties"]
    match widget["type"]:
        case "text":
            return []
        case "metric":
            listed = list(written_out(properties["metrics"]))
            return [it for metric in listed for it in _of_metric(metric, properties, points, period)]
        case "explorer":
            (metric,), (label,) = properties["metrics"], properties["labels"]
            wanted = [
                it for it in points if it.name == metric["metricName"] and it.tags.get(label["key"]) == label["value"]
            ]
            return list(_by_dimensions(wanted, "", metric["stat"], period))
    raise NotKnownError(f"a widget of type {widget['type']}")


def written_out(metrics: Iterable[Sequence[Any]]) -> Iterator[list[Any]]:
    """The metrics of a widget without ``.`` (the same as above) and ``...`` (all the same as above)."""
    above: list[Any] = []
    for metric in metrics:
        options = metric[-1] if isinstance(metric[-1], dict) else {}
        names = [part for part in metric if not isinstance(part, dict)]
        if names == ["..."]:
            names = above
        filled = [above[place] if part == "." else part for place, part in enumerate(names)]
        above = filled or above
        yield [*filled, options]


def _of_metric(
    metric: Sequence[Any], properties: Mapping[str, Any], points: Sequence[Point], period: int
) -> Iterator[Series]:
    *names, options = metric
    label, color = options.get("label"), options.get("color")
    if not names:
        summed, wanted, statistic = searched(options["expression"])
        found = [point for point in points if wanted(point)]
        if not summed:
            yield from _by_dimensions(found, label or "", statistic, period)
            return
    else:
        namespace, name, *pairs = names
        dimensions = dict(zip(pairs[::2], pairs[1::2], strict=True))
        statistic = options.get("stat") or properties["stat"]
        key = (namespace, name, dimensions)
        found = [point for point in points if (point.namespace, point.name, dict(point.dimensions)) == key]
    if found:
        yield Series(label or name, _bucketed(found, statistic, period), color)


_SEARCH = re.compile(r"(SUM\()?SEARCH\('\{([^}]+)\} (.+)', '(\w+)'\)(\))?")
_TERM = re.compile(r'\(([^()]+)\)|(\w+="[^"]*")')
_EQUALS = re.compile(r'(\w+)="([^"]*)"')


def searched(expression: str) -> tuple[bool, Callable[[Point], bool], str]:
    """Whether a search is summed up, which points it finds, and its statistic."""
    match = _SEARCH.fullmatch(expression)
    if match is None or bool(match[1]) != bool(match[5]):
        raise NotKnownError(expression)
    namespace, *names = match[2].split(",")
    terms = _TERM.findall(match[3])
    if " ".join(f"({either})" if either else single for either, single in terms) != match[3]:
        raise NotKnownError(expression)
    choices = [(either or single).split(" OR ") for either, single in terms]
    if not all(_EQUALS.fullmatch(choice) for group in choices for choice in group):
        raise NotKnownError(expression)

    def wanted(point: Point) -> bool:
        known = {"MetricName": point.name, **point.dimensions}
        facts = {f'{name}="{value}"' for name, value in known.items()}
        if point.namespace != namespace or point.dimensions.keys() != set(names):
            return False
        return all(facts.intersection(group) for group in choices)

    return bool(match[1]), wanted, match[4]


def _by_dimensions(points: Iterable[Point], label: str, statistic: str, period: int) -> Iterator[Series]:
    groups: defaultdict[tuple[tuple[str, str], ...], list[Point]] = defaultdict(list)
    for point in points:
        groups[tuple(sorted(point.dimensions.items()))].append(point)
    for key, found in sorted(groups.items()):
        named = dict(key)
        text = re.sub(r"\$\{PROP\('Dim\.(\w+)'\)\}", lambda match, named=named: named[match[1]], label)  # type: ignore[misc]
        yield Series(text or " ".join(named.values()), _bucketed(found, statistic, period))


def _bucketed(points: Iterable[Point], statistic: str, period: int) -> dict[int, float]:
    buckets: defaultdict[int, list[float]] = defaultdict(list)
    for point in points:
        buckets[int(point.at.timestamp()) // period].append(point.value)
    return {number: _statistic(statistic, values) for number, values in sorted(buckets.items())}


def _statistic(name: str, values: list[float]) -> float:
    match name:
        case "Sum":
            return sum(values)
        case "Maximum":
            return max(values)
        case _ if re.fullmatch(r"p\d\d", name):
            return sorted(values)[min(len(values) - 1, len(values) * int(name[1:]) // 100)]
    raise NotKnownError(f"the statistic {name}")
