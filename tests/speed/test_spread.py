"""Percentiles and intervals: known numbers, and that the interval holds the median as often as it says."""

import random
import statistics

import pytest

from ssdconvert.speed.spread import latency_of, median_interval, ratio_of


def test_percentiles_are_those_of_the_nearest_rank() -> None:
    latency = latency_of([float(value) for value in range(200, 0, -1)])
    assert (latency.minimum, latency.median, latency.mean, latency.maximum) == (1, 100.5, 100.5, 200)
    assert (latency.p90, latency.p95, latency.p99) == (180, 190, 198)


@pytest.mark.parametrize(("count", "told"), [(1, 0), (9, 0), (11, 1), (19, 1), (21, 2), (99, 2), (101, 3)])
def test_a_percentile_that_would_be_the_slowest_is_not_told(count: int, told: int) -> None:
    latency = latency_of([1.0] * count)
    assert [latency.p90, latency.p95, latency.p99] == [1.0] * told + [None] * (3 - told)


@pytest.mark.parametrize(
    ("count", "ends", "coverage"),
    [(1, (1, 1), 0), (5, (1, 5), 0.9375), (6, (1, 6), 0.96875), (10, (2, 9), 1002 / 1024)],
)  # fmt: skip
def test_intervals_are_those_of_order_statistics(count: int, ends: tuple[int, int], coverage: float) -> None:
    values = [float(value) for value in range(1, count + 1)]
    random.Random(1).shuffle(values)
    assert median_interval(values) == (*ends, pytest.approx(coverage))


def test_the_interval_holds_the_median_as_often_as_it_says() -> None:
    source, held, runs = random.Random(7), 0, 3000
    for _ in range(runs):
        low, high, coverage = median_interval([source.expovariate(1) for _ in range(10)])
        held += low <= 0.6931 <= high
    assert held / runs == pytest.approx(coverage, abs=0.012)


def test_a_ratio_differs_only_where_1_is_outside_and_rounds_are_enough() -> None:
    assert ratio_of("x", [1.2] * 6).differs
    assert not ratio_of("x", [1.2] * 5).differs
    assert not ratio_of("x", [0.9, 1.1] * 5).differs
    values = [1.3, 1.1, 1.2, 1.4, 1.5, 1.0]
    assert ratio_of("x", values).value == statistics.median(values)
