"""Checks in words and numbers, for the writers of reports."""

import math
import re
from collections.abc import Iterable

from ssdconvert.report.result import Check, Status

# what XML 1.0 cannot hold, and what no reader wants
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0010ffff]")
# outputs and metrics of single checks, by which writers of reports know them
NEARER = "nearer than any mistake"
FILTER_COST, LEVELS = "cost of the filter", "max levels of 255"
_WORST_FIRST: tuple[Status, ...] = ("fail", "inconclusive", "pass", "skipped")


def printable(text: str) -> str:
    """Return a text without control characters, lone surrogates and non-characters."""
    return _UNPRINTABLE.sub("", text)


def worst_status(checks: Iterable[Check]) -> Status:
    """Return the status that checks have together; what is skipped beside others does not count."""
    found = {check.status for check in checks}
    return next(status for status in _WORST_FIRST if status in found)


def is_at_least(check: Check) -> bool:
    """Whether a value must be its limit or more: an IoU, a share, the error that a mistake makes."""
    return check.level == "control" or check.metric.startswith("min ")


def share_of_limit(check: Check) -> float | None:
    """Return how much of what is allowed a value takes, 1 at its limit; None where nothing was measured.

    Of an IoU and of a share it is the distance from 1 that is allowed.
    """
    if check.value is None or check.limit is None:
        return None
    if check.level == "control":
        return check.limit / check.value if check.value else math.inf
    if is_at_least(check):
        return _ratio(1 - check.value, 1 - check.limit)
    return _ratio(check.value, check.limit)


def _ratio(value: float, limit: float) -> float:
    if limit > 0:
        return max(value, 0.0) / limit
    return 0.0 if value <= 0 else math.inf


def number(value: float | None) -> str:
    """Return a number in three digits, counts in all of theirs, a dash for none."""
    if value is None:
        return "–"  # noqa: RUF001
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{value:.0f}"
    return f"{value:.3g}".replace("e-0", "e-")


def measured(check: Check) -> str:
    """Return what was measured: of a mistake its name, for the limit says the rest."""
    return check.output if check.level == "control" else f"{check.output} {check.metric}".strip()


def value_text(check: Check) -> str:
    """Return a check's value: of what approaches 1 as many digits as tell it from 1."""
    if check.value is not None and check.metric.startswith("min "):
        return f"{math.floor(check.value * 1e5) / 1e5:.5f}"
    return number(check.value)


def limit_text(check: Check) -> str:
    """Return a check's limit with the side on which a value has to be."""
    if check.limit is None:
        return number(None)
    if check.level == "control":
        return f"> {number(check.limit)}"
    return f"{'≥' if is_at_least(check) else '≤'} {number(check.limit)}"


def passing_limit(check: Check) -> str:
    """Return the tightest limit that would have passed, rounded to the side on which it does."""
    if check.required is None or check.level == "control":
        return number(None)
    if is_at_least(check):
        return f"{math.floor(check.required * 1e4) / 1e4:g}"
    if check.required <= 0 or check.required.is_integer():
        return number(check.required)
    digit = 10.0 ** (math.floor(math.log10(check.required)) - 1)
    return f"{math.ceil(check.required / digit) * digit:.2g}".replace("e-0", "e-")


def worst_checks(checks: Iterable[Check]) -> list[Check]:
    """Return, of each measurement of each candidate, the check on the picture where it is worst."""
    worst: dict[tuple[object, ...], Check] = {}
    for check in checks:
        key = (check.candidate, check.level, check.output, check.metric)
        if key not in worst or _badness(check) > _badness(worst[key]):
            worst[key] = check
    return list(worst.values())


def _badness(check: Check) -> tuple[int, float]:
    rank = {"pass": 0, "skipped": 1, "inconclusive": 2, "fail": 3}[check.status]
    if check.value is None:
        return rank, float("inf")
    return rank, -check.value if check.metric.startswith("min") else check.value
