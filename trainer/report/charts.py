"""Drawings as inline SVG: static, readable by screen readers, coloured by the page's style sheet.

Coordinates are in units of the viewBox, 400 wide, so that a text of 12 units is readable on a phone (nearly
one pixel per unit there) and not huge on a laptop, where the page limits the width.
"""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from trainer.report.catalogue_map import CatalogueMap
from trainer.report.facts import Line

WIDTH = 400
LEFT, RIGHT, TOP, BOTTOM = 60, 12, 14, 24
BAR_X, BAR_WIDTH = (122, 226), 6  # of the funnel: what is left of and right of them is for words
KEPT = ("used", "seen_only")
HARMLESS = ("duplicate", "overridden", "skip")


class Series(NamedTuple):
    """A line: its name, its class in the style sheet, (x, y, words shown on hover)."""

    name: str
    style: str
    points: Sequence[tuple[float, float, str]]


def line_chart(series: Sequence[Series], x_labels: Sequence[tuple[float, str]], title: str) -> str:
    """Lines over one axis, y from the lowest to the highest value, with a margin; empty without a point."""
    values = [y for line in series for _, y, _ in line.points]
    xs = [*(x for line in series for x, _, _ in line.points), *(x for x, _ in x_labels)]
    if not values:
        return ""
    height = 190
    low, high = _range(values)
    left, right = min(xs), max(xs)

    def at_x(x: float) -> float:
        share = 0.5 if right == left else (x - left) / (right - left)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def at_y(y: float) -> float:
        return height - BOTTOM - (y - low) / (high - low) * (height - TOP - BOTTOM)

    parts = []
    decimals = min(max(0, math.ceil(1 - math.log10((high - low) / 3))), 4)
    for step in range(4):
        value = low + (high - low) * step / 3
        y = at_y(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.{decimals}f}</text>')
    for x, words in x_labels:
        anchor = "end" if at_x(x) > WIDTH - RIGHT - 20 else "middle"  # half a word fits beyond no edge
        parts.append(
            f'<text x="{at_x(x):.1f}" y="{height - 6}" text-anchor="{anchor}">{escape(words)}</text>'
        )
    for line in series:
        path = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y, _ in line.points)
        parts.append(f'<polyline class="{line.style}" points="{path}"/>')
        parts += [
            f'<circle class="{line.style}" cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="3.2">'
            f"<title>{escape(words)}</title></circle>"
            for x, y, words in line.points
        ]
    return _svg(height, title, parts)


def funnel_flow(lines: Sequence[Line]) -> str:
    """Sources on the left, outcomes on the right, a band between them as thick as its lines are many."""
    whole = sum(line.n_rows for line in lines)
    if not whole:
        return ""
    sources = _totals([(line.source, line.n_rows) for line in lines])
    outcomes = _totals([(line.outcome, line.n_rows) for line in lines])
    gap, bars = 18.0, 180.0
    height = int(bars + gap * (max(len(sources), len(outcomes)) + 1))
    starts = {
        name: _starts(totals, whole, bars, gap, height)
        for name, totals in (("source", sources), ("outcome", outcomes))
    }
    parts = []
    used = {"source": dict.fromkeys(sources, 0.0), "outcome": dict.fromkeys(outcomes, 0.0)}
    for source, outcome in [(source, outcome) for source in sources for outcome in outcomes]:
        for line in [line for line in lines if (line.source, line.outcome) == (source, outcome)]:
            thick = line.n_rows / whole * bars
            left = starts["source"][source] + used["source"][source]
            right = starts["outcome"][outcome] + used["outcome"][outcome]
            used["source"][source] += thick
            used["outcome"][outcome] += thick
            parts.append(_band(line, left, right, thick))
    for side, totals, x, anchor in (
        ("source", sources, BAR_X[0] - 6, "end"),
        ("outcome", outcomes, BAR_X[1] + 14, "start"),
    ):
        for name, n in totals.items():
            thick = max(n / whole * bars, 1)
            y = starts[side][name]
            bar = BAR_X[0] if side == "source" else BAR_X[1]
            style = "node" if side == "source" else f"node {_kind(name)}"
            parts.append(
                f'<rect class="{style}" x="{bar}" y="{y:.1f}" width="{BAR_WIDTH}" height="{thick:.1f}"/>'
            )
            words = f"{name.replace('_', ' ')} {_thousands(n)}"
            parts.append(
                f'<text x="{x}" y="{y + thick / 2 + 4:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
            )
    return _svg(height, "What became of every line", parts)


def _band(line: Line, left: float, right: float, thick: float) -> str:
    """One source and outcome: from `left` to `right`, both the upper edge."""
    words = f"{line.source}, {line.outcome}: {line.n_rows:,} lines ({line.share:.1%})"
    words += f", such as {line.example}" if line.example else ""
    seen = max(thick, 1)  # a hundred lines of a million are still to be seen
    begin, end = BAR_X[0] + BAR_WIDTH, BAR_X[1]
    bend, low_left, low_right = (begin + end) // 2, left + seen, right + seen
    there = f"M{begin} {left:.1f} C{bend} {left:.1f} {bend} {right:.1f} {end} {right:.1f}"
    back = f"V{low_right:.1f} C{bend} {low_right:.1f} {bend} {low_left:.1f} {begin} {low_left:.1f} Z"
    return (
        f'<path class="flow {_kind(line.outcome)}" d="{there} {back}"><title>{escape(words)}</title></path>'
    )


def scatter(catalogue: CatalogueMap) -> str:
    """One dot per video, its title on hover."""
    height = 300
    dots = [
        f'<circle class="{f"g{dot.group}" if dot.group >= 0 else "other"}"'
        f' cx="{6 + dot.x * (WIDTH - 12):.1f}"'
        f' cy="{height - 6 - dot.y * (height - 12):.1f}" r="1.5"><title>{escape(dot.title)}</title></circle>'
        for dot in catalogue.dots
    ]
    return _svg(height, "Map of the catalogue", dots, "map")


def _svg(height: int, title: str, parts: Sequence[str], style: str = "") -> str:
    return (
        f'<svg class="{style}" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    return low - margin if low < 0 else max(
        low - margin, 0.0
    ), high + margin  # no axis goes below what can be


def _thousands(n: int) -> str:
    return f"{n / 1e6:.1f} M" if n >= 1_000_000 else f"{n / 1e3:.1f} k" if n >= 10_000 else f"{n:,}"


def _totals(pairs: Sequence[tuple[str, int]]) -> dict[str, int]:
    """Largest first."""
    totals: dict[str, int] = {}
    for name, n in pairs:
        totals[name] = totals.get(name, 0) + n
    return dict(sorted(totals.items(), key=lambda item: -item[1]))


def _starts(totals: dict[str, int], whole: int, bars: float, gap: float, height: int) -> dict[str, float]:
    """Top of each bar: stacked with gaps, the stack in the middle."""
    y = (height - bars - gap * (len(totals) - 1)) / 2
    starts = {}
    for name, n in totals.items():
        starts[name] = y
        y += n / whole * bars + gap
    return starts


def _kind(outcome: str) -> str:
    return "good" if outcome in KEPT else "plain" if outcome in HARMLESS else "bad"
