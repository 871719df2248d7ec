"""Draws a CloudWatch dashboard as one page: its own layout, its own metrics, points from a local run.

The charts are simpler than CloudWatch's: what is stacked is drawn as bars, the rest as lines with dots.
"""

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any

from local.aws.metrics import Point, Series, shown
from local.aws.stack import REGION, STACK_NAME

LEFT = 44  # pixels, for the numbers beside a chart
UNIT = (58, 42)  # pixels of one place of the grid: width, height
COLORS = (
    "#1f77b4",
    "#ff7f0e",
    "#2ca02c",
    "#d62728",
    "#9467bd",
    "#8c564b",
    "#e377c2",
    "#7f7f7f",
    "#bcbd22",
    "#17becf",
)
Colored = Sequence[tuple[Series, str]]
STYLE = """
body {margin: 12px; background: #f2f3f3; color: #16191f; font: 13px/1.35 system-ui, sans-serif}
main {position: relative} article {position: absolute; box-sizing: border-box; padding: 3px}
article > div {box-sizing: border-box; height: 100%; background: #fff; border: 1px solid #d5dbdb; border-radius: 4px;
 padding: 6px 10px; overflow: hidden; display: flex; flex-direction: column}
h1 {font-size: 17px; margin: 0} h2 {font-size: 13px; margin: 0 0 2px} p {margin: 3px 0}
svg {flex: none} text {font: 10px system-ui, sans-serif; fill: #687078}
ul {margin: 2px 0 0; padding: 0; list-style: none; display: flex; flex-wrap: wrap; gap: 0 12px; font-size: 11px}
li::before {content: ""; display: inline-block; width: 9px; height: 9px; margin-right: 4px; background: var(--color)}
"""


def filled(body: str, names: Mapping[str, str]) -> str:
    """What CloudFormation makes of the body by ``Fn::Sub``. Raises KeyError for a name that is not given."""
    return re.sub(r"\$\{(!?)([^}]+)\}", lambda it: f"${{{it[2]}}}" if it[1] else names[it[2]], body)


def body_of(resources: Mapping[str, Any], stack_name: str = STACK_NAME, region: str = REGION) -> dict[str, Any]:
    """The body of the dashboard among these translated resources."""
    body = resources["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    names = {"AWS::StackName": stack_name, "AWS::Region": region, "HttpApi": "local"}
    found: dict[str, Any] = json.loads(filled(body, names))
    return found


def drawn(dashboard: Mapping[str, Any], points: Sequence[Point], period: int) -> str:
    """The page. ``period`` is in seconds; the time axis of all charts goes from the first to the last point."""
    slots = [int(point.at.timestamp()) // period for point in points]
    span = (min(slots), max(slots) + 1)
    articles = "".join(_article(widget, points, period, span) for widget in dashboard["widgets"])
    bottom = max(widget["y"] + widget["height"] for widget in dashboard["widgets"])
    size = f"width: {24 * UNIT[0]}px; height: {bottom * UNIT[1]}px"
    title = escape(dashboard["widgets"][0]["properties"]["markdown"].splitlines()[0].lstrip("# "))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f'<main style="{size}">{articles}</main></html>\n'
    )


def _article(widget: Mapping[str, Any], points: Sequence[Point], period: int, span: tuple[int, int]) -> str:
    x, y, width, height = (widget[name] for name in ("x", "y", "width", "height"))
    place = f"left: {x * UNIT[0]}px; top: {y * UNIT[1]}px; width: {width * UNIT[0]}px; height: {height * UNIT[1]}px"
    properties = widget["properties"]
    if widget["type"] == "text":
        inside = _markdown(properties["markdown"])
    else:
        series = shown(widget, points, period)
        colored = [(it, it.color or COLORS[number % len(COLORS)]) for number, it in enumerate(series)]
        legend = "".join(f'<li style="--color: {color}">{escape(it.label)}' for it, color in colored)
        inner = width * UNIT[0] - 28
        rows = math.ceil(sum(7 * len(it.label) + 28 for it in series) / (inner - 60)) or 1
        chart = _chart(colored, (inner, height * UNIT[1] - 44 - 15 * rows), span, period, widget)
        inside = f"<h2>{escape(properties['title'])}</h2>{chart}<ul>{legend or 'No data'}</ul>"
    return f'<article style="{place}"><div>{inside}</div></article>'


def _markdown(text: str) -> str:
    first, *rest = escape(text).splitlines()
    bold = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", " ".join(rest))
    return f"<h1>{first.lstrip('# ')}</h1><p>{bold}</p>"


@dataclass(frozen=True)
class _Frame:
    """Where a chart's values are on its picture: ``top`` is the highest value, ``span`` the first and last period."""

    width: int
    height: int
    span: tuple[int, int]
    top: float

    def across(self, slot: float) -> float:
        return LEFT + (slot - self.span[0]) / (self.span[1] - self.span[0]) * (self.width - LEFT)

    def up(self, value: float) -> float:
        bottom = self.height - 16
        return bottom - value / self.top * (bottom - 6)

    def level(self, value: float, style: str) -> str:
        y = self.up(value)
        return f'<line x1="{LEFT}" x2="{self.width}" y1="{y:.1f}" y2="{y:.1f}" {style}/>'


def _chart(
    colored: Colored, size: tuple[int, int], span: tuple[int, int], period: int, widget: Mapping[str, Any]
) -> str:
    properties = widget["properties"]
    stacked = properties.get("stacked", properties.get("widgetOptions", {}).get("stacked", False))
    lines = properties.get("annotations", {}).get("horizontal", [])
    totals: defaultdict[int, float] = defaultdict(float)
    for it, _ in colored:
        for slot, value in it.values.items():
            totals[slot] = totals[slot] + value if stacked else max(totals[slot], value)
    frame = _Frame(*size, span, _round_up(max([*totals.values(), *(line["value"] for line in lines), 1])))
    parts = [
        frame.level(part, 'stroke="#e3e7e7"')
        + f'<text x="{LEFT - 4}" y="{frame.up(part) + 3:.1f}" text-anchor="end">{part:,g}</text>'
        for part in (0, frame.top / 2, frame.top)
    ]
    parts += [
        f'<text x="{frame.across(slot):.1f}" y="{size[1] - 3}">{moment:%d %b}</text>'
        for slot, moment in _days(span, period)
    ]
    parts += [
        frame.level(it["value"], 'stroke="#d62728" stroke-dasharray="4 3"')
        + f'<text x="{LEFT + 4}" y="{frame.up(it["value"]) - 3:.1f}">{escape(it["label"])}</text>'
        for it in lines
    ]
    parts += _bars(colored, frame) if stacked else _lines(colored, frame)
    return f'<svg width="{size[0]}" height="{size[1]}">{"".join(parts)}</svg>'


def _bars(colored: Colored, frame: _Frame) -> Iterator[str]:
    wide = max(3.0, frame.across(frame.span[0] + 1) - LEFT - 0.5)
    stack: defaultdict[int, float] = defaultdict(float)
    for it, color in colored:
        for slot, value in it.values.items():
            x, y, high = frame.across(slot), frame.up(stack[slot] + value), frame.up(0) - frame.up(value)
            stack[slot] += value
            yield f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" fill="{color}"/>'


def _lines(colored: Colored, frame: _Frame) -> Iterator[str]:
    for it, color in colored:
        dots = [(frame.across(slot), frame.up(value)) for slot, value in it.values.items()]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in dots)
        yield f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.5"/>'
        yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.2" fill="{color}"/>' for x, y in dots)


def _days(span: tuple[int, int], period: int) -> Iterator[tuple[int, datetime]]:
    """The first slot of each day, at most eight of them."""
    day = 86400 // period
    step = day * math.ceil((span[1] - span[0]) / day / 8)
    for slot in range(span[0] - span[0] % day + day, span[1], step):
        yield slot, datetime.fromtimestamp(slot * period, UTC)


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 5, 6, 8 times a power of ten."""
    power: float = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 5, 6, 8, 10) if step * power >= value)
