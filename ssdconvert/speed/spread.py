"""What can be said of times that noise is in: percentiles, and an interval for a median."""

import statistics
from collections.abc import Sequence
from math import ceil, comb

from ssdconvert.speed.result import Latency, Ratio

WANTED = 0.95  # probability with which an interval is to hold the median


def latency_of(milliseconds: Sequence[float]) -> Latency:
    """Return the latency of timed inferences, at least one; a percentile is the nearest rank, as benchmark_app's."""
    ordered = sorted(milliseconds)
    p90, p95, p99 = (_percentile(ordered, percent) for percent in (90, 95, 99))
    return Latency(
        ordered[0], statistics.fmean(ordered), statistics.median(ordered), p90, p95, p99, ordered[-1]
    )


def _percentile(ordered: Sequence[float], percent: int) -> float | None:
    rank = ceil(len(ordered) * percent / 100)
    return ordered[rank - 1] if rank < len(ordered) else None


def median_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the ends of an interval for the median that values were drawn around, and its probability.

    By order statistics: each value lies below the true median with probability 1/2, so that it is between the k-th
    least and the k-th greatest with probability 1 - 2 P(fewer than k of n below). The k is the greatest that gives
    `WANTED`; of fewer than 6 values it is 1, and the probability less.
    """
    ordered, count = sorted(values), len(values)
    outside, chosen, probability = 0.0, 0, 1 - 2 * 0.5**count
    for k in range((count + 1) // 2):
        outside += comb(count, k) * 0.5**count
        if 1 - 2 * outside < WANTED:
            break
        chosen, probability = k, 1 - 2 * outside
    return ordered[chosen], ordered[-1 - chosen], max(0.0, probability)


def ratio_of(to: str, ratios: Sequence[float]) -> Ratio:
    """Return the ratio to a row from those of each round."""
    return Ratio(to, statistics.median(ratios), *median_interval(ratios))
