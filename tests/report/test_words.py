import math
from dataclasses import replace
from typing import Any

import pytest

from ssdconvert.report.result import Check, judged
from ssdconvert.report.words import (
    limit_text,
    number,
    passing_limit,
    printable,
    share_of_limit,
    value_text,
    worst_status,
)


def check(value: float, limit: float, metric: str = "max error", **changes: Any) -> Check:
    outcome: dict[str, Any] = judged(value, limit, metric.startswith("min ")) | changes
    level = outcome.pop("level", "heads")
    return Check("ir", level, "CPU", "", "FP32", "a", "o", metric, **outcome)


@pytest.mark.parametrize(
    ("one", "share"),
    [
        (check(0.5, 2.0), 0.25),
        (check(4.0, 2.0), 2.0),
        (check(0.95, 0.9, "min IoU"), 0.5),
        (check(0.8, 0.9, "min IoU"), 2.0),
        (check(1.0, 1.0, "min IoU"), 0.0),
        (check(0, 0), 0.0),
        (check(3, 0), math.inf),
        (check(0.5, 1e-4, level="control"), 2e-4),
        (check(0.0, 1e-4, level="control"), math.inf),
        (check(math.nan, 1.0), None),
        (replace(check(1.0, 1.0), limit=None), None),
    ],
)
def test_how_much_of_the_limit_is_used(one: Check, share: float | None) -> None:
    found = share_of_limit(one)
    assert found == (None if share is None else pytest.approx(share))


@pytest.mark.parametrize("value", [1.231e-6, 0.0999, 0.01, 0.5, 3.3333, 8.0, 1e-9])
def test_the_limit_that_is_told_to_pass_passes(value: float) -> None:
    told = float(passing_limit(check(value, 1.0)))
    assert value <= told <= value * 1.1
    least = float(passing_limit(check(1 - value / 100, 0.9, "min IoU")))
    assert 1 - value / 100 - 1e-4 <= least <= 1 - value / 100


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0"), (12.0, "12"), (1.234e-6, "1.23e-6"), (0.34567, "0.346"), (2.5e-12, "2.5e-12")],  # noqa: RUF001
)
def test_numbers(value: float | None, text: str) -> None:
    assert number(value) == text


def test_an_overlap_just_below_one_is_not_told_as_one() -> None:
    assert value_text(check(0.999996, 0.9, "min IoU")) == "0.99999"


def test_limits_say_on_which_side_a_value_has_to_be() -> None:
    assert limit_text(check(1, 2.0)) == "≤ 2"
    assert limit_text(check(1, 0.93, "min IoU")) == "≥ 0.93"
    assert limit_text(check(1, 1e-4, level="control")) == "> 0.0001"
    assert passing_limit(check(1, 1e-4, level="control")) == "–"  # noqa: RUF001


def test_the_worst_status_stands_for_all() -> None:
    checks = [
        check(0.1, 1.0),
        check(1, 1, status="skipped"),
        check(1, 1, status="inconclusive"),
        check(2.0, 1.0),
    ]
    assert [worst_status(checks[: n + 1]) for n in range(4)] == ["pass", "pass", "inconclusive", "fail"]
    assert worst_status(checks[1:2]) == "skipped"


def test_what_no_reader_wants_goes() -> None:
    assert printable("a\x00b\x1b\ud800\ufffe\x85é\U0001f600\n") == "ab\x85é\U0001f600\n"
