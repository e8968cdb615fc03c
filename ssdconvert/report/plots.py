"""Charts as SVG elements for a page of HTML; colours and fonts come from the page's style sheet."""

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from ssdconvert.report.result import BINS, BINS_A_DECADE, HISTOGRAM_START

LEFT, RIGHT, TOP, BOTTOM = 46, 14, 20, 40  # margins; all sizes are in units of the drawing
SERIES = 4  # colours that the style sheet has
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class _Chart:
    """A chart with two axes; `x` and `y` bring values of their ranges to places in the drawing."""

    def __init__(
        self, size: tuple[int, int], x_range: tuple[float, float], y_range: tuple[float, float], told: str
    ) -> None:
        self.width, self.height = size
        self.x_range, self.y_range, self.told = x_range, y_range, told
        self.parts: list[str] = []

    def x(self, value: float) -> float:
        start, end = self.x_range
        return LEFT + (value - start) / (end - start) * (self.width - LEFT - RIGHT)

    def y(self, value: float) -> float:
        start, end = self.y_range
        return self.height - BOTTOM - (value - start) / (end - start) * (self.height - TOP - BOTTOM)

    def line(self, kind: str, x1: float, y1: float, x2: float, y2: float) -> None:
        self.parts.append(f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')

    def text(self, x: float, y: float, text: str, anchor: str = "middle", kind: str = "tick") -> None:
        self.parts.append(
            f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
        )

    def axes(
        self, x_ticks: Mapping[float, str], y_ticks: Mapping[float, str], names: tuple[str, str]
    ) -> None:
        """Draw grid, ticks and the axes' names."""
        bottom, right = self.height - BOTTOM, self.width - RIGHT
        for value, label in y_ticks.items():
            self.line("grid", LEFT, self.y(value), right, self.y(value))
            self.text(LEFT - 6, self.y(value) + 4, label, "end")
        for value, label in x_ticks.items():
            self.line("axis", self.x(value), bottom, self.x(value), bottom + 4)
            self.text(self.x(value), bottom + 16, label)
        self.line("axis", LEFT, bottom, right, bottom)
        self.text((LEFT + right) / 2, self.height - 6, names[0], kind="name")
        middle = (TOP + bottom) / 2
        self.parts.append(
            f'<text class="name" text-anchor="middle" transform="translate(11 {middle:.1f}) rotate(-90)">'
            f"{escape(names[1])}</text>"
        )

    def svg(self) -> str:
        return (
            f'<svg class="chart" viewBox="0 0 {self.width} {self.height}" role="img" '
            f'aria-label="{escape(self.told)}">{"".join(self.parts)}</svg>'
        )


def power_of_ten(exponent: int) -> str:
    """Return 10 with an exponent, 1 and 10 plainly."""
    return {0: "1", 1: "10"}.get(exponent, f"10{str(exponent).translate(_SUPERSCRIPTS)}")


def histogram(counts: Sequence[int], limit: float | None, told: str) -> str:
    """Draw how many numbers of a head are off by how much: `counts` as in `Check.histogram`, both axes logarithmic.

    `limit` is drawn as a line, bars beyond it in the colour of failures; `told` is what is said to those who
    do not see.
    """
    decades = BINS // BINS_A_DECADE
    most = max(1, math.ceil(math.log10(max([*counts, 1]))))
    start, end = HISTOGRAM_START, HISTOGRAM_START + decades
    chart = _Chart((300, 190), (start, end), (math.log10(0.6), most), told)
    x_ticks = {float(d): ("≤ " if d == start else "") + power_of_ten(d) for d in range(start, end + 1, 2)}
    y_ticks = {float(d): power_of_ten(d) for d in range(0, most + 1, max(1, math.ceil(most / 5)))}
    chart.axes(x_ticks, y_ticks, ("error / largest value of the head", "count"))
    for place, count in enumerate(counts):
        if count:
            low = start + place / BINS_A_DECADE
            left, right = chart.x(low), chart.x(low + 1 / BINS_A_DECADE)
            top, bottom = chart.y(math.log10(count)), chart.y(chart.y_range[0])
            beyond = limit is not None and low >= math.log10(limit)
            chart.parts.append(
                f'<rect class="{"beyond" if beyond else "count"}" x="{left + 0.5:.1f}" y="{top:.1f}" '
                f'width="{right - left - 1:.1f}" height="{bottom - top:.1f}"/>'
            )
    if limit:
        _limit_line(chart, chart.x(min(max(math.log10(limit), start), end)), limit)
    return chart.svg()


def _limit_line(chart: _Chart, x: float, limit: float) -> None:
    """Draw an upright line with its value above it."""
    chart.line("limit", x, TOP, x, chart.height - BOTTOM)
    at_the_edge = x > chart.width * 0.8
    chart.text(
        x + 4 if at_the_edge else x, TOP - 7, f"limit {limit:g}", "end" if at_the_edge else "middle", "limit"
    )


def depth_curve(
    series: Mapping[str, Sequence[tuple[str, float]]], limit: float | None, told: str, width: int = 1080
) -> str:
    """Draw how the error grows through a network.

    `series` holds, for each candidate in words, tensors in the order in which they are computed: name and
    relative error. Errors are drawn on a logarithmic axis, those below 1e-10, and none at all, at its foot.
    """
    errors = [error for points in series.values() for _, error in points if math.isfinite(error)]
    longest = max([len(points) for points in series.values()], default=0)
    known = [error for error in [*errors, *([limit] if limit else [])] if error > 10.0**HISTOGRAM_START]
    bottom = math.floor(math.log10(min(known))) if known else HISTOGRAM_START
    if limit and limit > 10.0**HISTOGRAM_START and min(errors, default=0.0) < limit:
        bottom = min(
            bottom, math.floor(math.log10(limit)) - 2
        )  # what is no error at all lies below the limit
    top = max(bottom + 1, math.ceil(math.log10(max(known)))) if known else 0
    chart = _Chart((width, 260), (0, max(1, longest - 1)), (bottom, top), told)
    step = max(1, math.ceil((top - bottom) / 6))
    y_ticks = {float(decade): power_of_ten(decade) for decade in range(bottom, top + 1, step)}
    x_ticks = {float(place): str(place + 1) for place in _round_places(longest)}
    chart.axes(x_ticks, y_ticks, ("tensor, in the order of computation", "relative error"))
    legend = float(LEFT)
    for place, (candidate, points) in enumerate(series.items()):
        chart.text(legend, TOP - 8, f"● {candidate}", "start", f"s{place % SERIES}")
        legend += 28 + 6.6 * len(candidate)  # about as wide as letters of that size are
        heights = [
            chart.y(min(top, max(bottom, math.log10(error) if error > 0 else bottom)))
            if math.isfinite(error)
            else TOP
            for _, error in points
        ]
        path = " ".join(f"{chart.x(i):.1f},{height:.1f}" for i, height in enumerate(heights))
        chart.parts.append(f'<polyline class="series s{place % SERIES}" points="{path}"/>')
        for i, ((name, error), height) in enumerate(zip(points, heights, strict=True)):
            chart.parts.append(
                f'<circle class="s{place % SERIES}" cx="{chart.x(i):.1f}" cy="{height:.1f}" r="2.5">'
                f"<title>{escape(f'{candidate}: {name}: {error:.3g}')}</title></circle>"
            )
    if limit:
        chart.line("limit", LEFT, chart.y(math.log10(limit)), width - RIGHT, chart.y(math.log10(limit)))
        chart.text(width - RIGHT - 4, chart.y(math.log10(limit)) - 5, f"limit {limit:g}", "end", "limit")
    return chart.svg()


def _round_places(count: int) -> Iterable[int]:
    """Return at most a dozen places of `count` whose numbers from 1 are round."""
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10**9) if count / s <= 12)
    return sorted({0, *range(step - 1, count, step)}) if count else ()
