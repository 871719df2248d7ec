"""Writes a plot as SVG, without a library; its colours follow the reader's light or dark mode."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 300
_LEFT, _TOP, _PANEL, _TALL, _GAP = 50, 46, 270, 200, 86

_STYLE = """<style>
:root { color-scheme: light dark }
.back { fill: #ffffff } .ink { fill: #1f2328 } .soft { fill: #59636e } .grid { stroke: #d1d9e0; stroke-width: 1 }
.apply { stroke: #0969da; fill: #0969da } .report { stroke: #9a6700; fill: #9a6700 }
.plan { stroke: #1a7f37; fill: #1a7f37 }
.fit { fill: none; stroke-width: 1.5; stroke-dasharray: 5 4 }
text { font: 12px system-ui, sans-serif } .big { font-weight: 600 }
@media (prefers-color-scheme: dark) {
.back { fill: #0d1117 } .ink { fill: #f0f6fc } .soft { fill: #9198a1 } .grid { stroke: #3d444d }
.apply { stroke: #4493f8; fill: #4493f8 } .report { stroke: #d29922; fill: #d29922 }
.plan { stroke: #3fb950; fill: #3fb950 } }
</style>"""


@dataclass(frozen=True)
class Series:
    """Points and the line through them; ``style`` is ``report``, ``plan`` or ``apply``."""

    style: str
    points: Sequence[tuple[float, float]]
    base: float
    slope: float


@dataclass(frozen=True)
class Panel:
    """One pair of axes. ``goal`` is what the values should stay under."""

    title: str
    unit: str
    goal: float
    series: Sequence[Series]


def svg(panels: Sequence[Panel], title: str) -> str:
    """All panels side by side."""
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-label="{escape(title)}">'
        ),
        _STYLE,
        f'<rect class="back" width="{WIDTH}" height="{HEIGHT}"/>',
    ]
    for number, panel in enumerate(panels):
        parts += _panel(panel, _LEFT + number * (_PANEL + _GAP))
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, left: float) -> list[str]:
    widest = max(x for series in panel.series for x, _ in series.points)
    highest = 1.08 * max(panel.goal, *(y for series in panel.series for _, y in series.points))

    def x(value: float) -> str:
        return f"{left + _PANEL * value / widest:.1f}"

    def y(value: float) -> str:
        return f"{_TOP + _TALL * (1 - value / highest):.1f}"

    right, bottom = left + _PANEL, _TOP + _TALL
    parts = [f'<text class="ink big" x="{left}" y="{_TOP - 22}">{escape(panel.title)}</text>']
    for part in range(5):
        value = panel.goal * part / 4
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y(value)}" y2="{y(value)}"/>')
        parts.append(f'<text class="soft" x="{left - 6}" y="{y(value)}" dy="4" text-anchor="end">{value:.0f}</text>')
    parts.append(
        f'<text class="soft" x="{left}" y="{y(panel.goal)}" dy="-5">'
        f"goal: under {panel.goal:.0f} {escape(panel.unit)}</text>"
    )
    for part in range(3):
        value = widest * part / 2
        parts.append(f'<text class="soft" x="{x(value)}" y="{bottom + 18}" text-anchor="middle">{value:,.0f}</text>')
    parts.append(f'<text class="soft" x="{right}" y="{bottom + 36}" text-anchor="end">tasks</text>')
    for number, series in enumerate(panel.series):
        radius = 5 - 1.5 * number  # smaller for each next series, so that all are seen where they meet
        ends = " ".join(f"{x(size)},{y(series.base + series.slope * size)}" for size in (0, widest))
        parts.append(f'<polyline class="fit {series.style}" style="fill:none" points="{ends}"/>')
        parts += [f'<circle class="{series.style}" cx="{x(a)}" cy="{y(b)}" r="{radius}"/>' for a, b in series.points]
        label = left + 4 + number * 70
        parts.append(f'<circle class="{series.style}" cx="{label}" cy="{bottom + 32}" r="3.5"/>')
        parts.append(f'<text class="ink" x="{label + 9}" y="{bottom + 36}">{series.style}</text>')
    return parts
