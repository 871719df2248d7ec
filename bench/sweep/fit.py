"""Straight lines through measured values, and how far the values are from them."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """``base + slope · size``, by least squares; ``residuals`` are measured less fitted, size by size."""

    base: float
    slope: float
    residuals: tuple[float, ...]

    def at(self, size: float) -> float:
        """The line's value."""
        return self.base + self.slope * size

    def worst(self, values: Sequence[float]) -> float:
        """The largest residual as a fraction of the largest value."""
        return max(map(abs, self.residuals)) / max(values)


def line(sizes: Sequence[float], values: Sequence[float]) -> Line:
    """The line through these points.

    Raises
    ------
    ValueError
        For fewer than two different sizes.
    """
    if len(set(sizes)) < 2 or len(sizes) != len(values):
        raise ValueError("a line needs two different sizes")
    middle, mean = sum(sizes) / len(sizes), sum(values) / len(values)
    spread = sum((size - middle) ** 2 for size in sizes)
    slope = sum((size - middle) * (value - mean) for size, value in zip(sizes, values, strict=True)) / spread
    base = mean - slope * middle
    residuals = tuple(value - base - slope * size for size, value in zip(sizes, values, strict=True))
    return Line(base, slope, residuals)
