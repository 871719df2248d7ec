"""Writes the cold starts as bars in an SVG, without a library."""

from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

from bench.cold_start.report import Results, Spread, label

WIDTH, LABEL, ROW, TOP = 860, 330, 24, 34
COLOURS = {"ours": "#1a7f37", "ours-tls": "#1a7f37", "bare": "#b35900", "compiled": "#d4a72c", "tls": "#d4a72c"}


def write(results: Results, path: Path) -> None:
    """Write one bar for each case: the median, with a line from the smallest to the largest."""
    path.write_text("\n".join(_lines(results)) + "\n")


def _lines(results: Results) -> Iterator[str]:
    spreads = {key: Spread.of([sample.cold for sample in samples]) for key, samples in results.samples.items()}
    scale = (WIDTH - LABEL - 90) / max(spread.high for spread in spreads.values())
    height = TOP + ROW * len(spreads) + 10
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="12">'
    )
    yield f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'
    yield f'<text x="{LABEL}" y="20" font-weight="bold">process start to first result, ms</text>'
    for number, ((group, form), spread) in enumerate(spreads.items()):
        y = TOP + ROW * number
        colour = "#57606a" if group == "floor" else COLOURS[form]
        text = escape(label(group, form).replace("`", ""))
        low, high = LABEL + spread.low * scale, LABEL + spread.high * scale
        yield f'<text x="{LABEL - 8}" y="{y + 13}" text-anchor="end">{text}</text>'
        yield f'<rect x="{LABEL}" y="{y + 2}" width="{spread.median * scale:.1f}" height="15" fill="{colour}"/>'
        yield f'<path d="M{low:.1f} {y + 9.5}H{high:.1f}" stroke="#24292f" stroke-width="1.2"/>'
        yield f'<text x="{high + 6:.1f}" y="{y + 13}">{spread.median:.0f}</text>'
    yield "</svg>"
