"""The tables of a comparison: latency and throughput, and the ratios with their intervals."""

from collections.abc import Sequence

from ssdconvert.speed.result import Comparison, Ratio, Row
from ssdconvert.speed.spread import WANTED

TITLES = ("min", "mean", "median", "p90", "p95", "p99", "CPU", "pictures/s")
NOT_TOLD = "-"

Table = list[list[str]]


def times_table(comparison: Comparison) -> Table:
    """Return a line of titles, and one for each row: milliseconds, the last of them of CPU time; pictures a second."""
    return [["", *TITLES], *([row.name, *_times(row)] for row in comparison.rows)]


def _times(row: Row) -> list[str]:
    latency = row.latency
    told = [latency.minimum, latency.mean, latency.median, latency.p90, latency.p95, latency.p99]
    told += [row.cpu_milliseconds, row.pictures_per_second]
    return [NOT_TOLD if one is None else number(one) for one in told]


def ratios_table(comparison: Comparison) -> Table:
    """Return a line of titles, and one for each row: how many times as fast it is as each reference."""
    titles = [f"to {name}" for name in comparison.references]
    return [["", *titles], *([row.name, *_ratios(row, comparison.references)] for row in comparison.rows)]


def _ratios(row: Row, references: Sequence[str]) -> list[str]:
    return ["1" if name == row.name else ratio_text(row.ratio_to(name)) for name in references]


def ratio_text(ratio: Ratio | None) -> str:
    """Return a ratio with its interval; one that noise may have made is marked by a question mark."""
    if ratio is None:
        return ""
    return (
        f"{_short(ratio.value)} ({_short(ratio.low)} .. {_short(ratio.high)}){'' if ratio.differs else ' ?'}"
    )


def _short(ratio: float) -> str:
    return f"{ratio:.1f}" if ratio >= 10 else f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.3f}"


def number(value: float) -> str:
    """Return a number with four digits that tell something."""
    for places, least in ((0, 1000), (1, 100), (2, 10)):
        if value >= least:
            return f"{value:.{places}f}"
    return f"{value:.3f}"


def measured_text(comparison: Comparison) -> str:
    """Return in one line what was measured how."""
    around = comparison.surroundings
    asked = "one picture at a time" if comparison.hint == "latency" else "several pictures at once"
    return (
        f"{comparison.model}, hint {comparison.hint}: {asked}, {comparison.picture}; {comparison.seconds:g} s "
        f"for each in {comparison.rounds} rounds, in turn; {around.cpu}, {around.cores} cores"
    )


def load_text(comparison: Comparison) -> str:
    """Return in one line what else the machine did."""
    around = comparison.surroundings
    parts = [] if around.load is None else [f"load {around.load:.1f} at the start"]
    parts += (
        [] if around.others is None else [f"other processes took {around.others:.0%} of the cores meanwhile"]
    )
    parts += [f"the host {around.stolen:.0%}"] if around.stolen else []
    return ", ".join(parts) or "the system tells no load"


def runs_text(row: Row) -> str:
    """Return in one line how a row ran."""
    threads = (
        "threads not told" if row.threads is None else f"{row.threads} thread{'s' if row.threads > 1 else ''}"
    )
    requests = f"{row.requests} request{'s' if row.requests > 1 else ''}"
    return (
        f"{row.runtime} on {row.executed_on}, computes in {row.execution_precision}, {threads}, {requests}, "
        f"{row.inferences} inferences, ends in {row.work}"
    )


HOW_TO_READ = (
    "Ratios say how many times as fast a row is, by {what}: the median over the rounds, and an interval that holds the "
    "true one with a probability of {coverage:.0%}. {mark}"
)
MAY_BE_NOISE = "A question mark: the ratio may be 1."
TOO_FEW = "Fewer than 6 rounds do not tell what is more than noise."


def legend(comparison: Comparison) -> str:
    """Return how the ratios are read."""
    what = "median latency" if comparison.hint == "latency" else "pictures a second"
    coverage = next((ratio.coverage for row in comparison.rows for ratio in row.ratios), 0.0)
    return HOW_TO_READ.format(
        what=what, coverage=coverage, mark=MAY_BE_NOISE if coverage >= WANTED else TOO_FEW
    )
