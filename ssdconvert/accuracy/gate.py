"""Whether models are as accurate as they should be: within a tolerance of a published figure, and near the original."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ssdconvert.accuracy.evaluation import Evaluated, Evaluation
from ssdconvert.errors import RecipeError

NUMBER = r"(\d+(?:\.\d*)?|\.\d+)"
EXPECTED = re.compile(rf"{NUMBER}\s*(?:±|\+-|\+/-)\s*{NUMBER}")
SLACK = 1e-12  # what is written in decimals is not exact in binary


@dataclass(frozen=True)
class Expected:
    """An AP and how far off it may be to either side, as fractions."""

    value: float
    tolerance: float

    def __str__(self) -> str:
        return f"{self.value:g} ± {self.tolerance:g}"


@dataclass(frozen=True)
class Judged:
    """One condition on one model, in words, and whether it holds."""

    model: str
    told: str
    passed: bool


@dataclass(frozen=True)
class Gate:
    """What was asked of the models, and what came of it."""

    judged: tuple[Judged, ...]

    @property
    def passed(self) -> bool:
        """Whether all that was asked for holds."""
        return all(one.passed for one in self.judged)

    @property
    def told(self) -> list[str]:
        """A line for each condition."""
        return [f"{'pass' if one.passed else 'fail'}: {one.model}: {one.told}" for one in self.judged]

    def to_json(self) -> dict[str, Any]:
        """Return the entries of evaluation.json; without a condition no verdict."""
        verdict = ("pass" if self.passed else "fail") if self.judged else None
        checks = [
            {"model": one.model, "told": one.told, "status": "pass" if one.passed else "fail"}
            for one in self.judged
        ]
        return {"verdict": verdict, "checks": checks}


def expected_of(text: str) -> Expected:
    """Return what `0.196±0.003` (or +-) says; RecipeError for percent and for what is no such pair."""
    found = EXPECTED.fullmatch(text.strip())
    if not found or not float(found[1]) <= 1 or not float(found[2]) <= 1:
        percent = "%" in text or (found and float(found[1]) > 1)
        raise RecipeError(
            f"{text!r} is {'in percent' if percent else 'no value with a tolerance'}",
            hint="write a fraction and its tolerance: --expect 0.196±0.003, or 0.196+-0.003",
            stage="usage",
        )
    return Expected(float(found[1]), float(found[2]))


def judged(
    evaluation: Evaluation,
    expected: Expected | None = None,
    max_drop: float | None = None,
    strict: bool = False,
) -> Gate:
    """Return whether each model is as expected, loses at most `max_drop` points of AP, and read every picture."""
    found: list[Judged] = []
    for one in evaluation.models:
        found += [_as_expected(one, expected)] if expected else []
        found += [_near(one, max_drop)] if max_drop is not None and not one.entry["original"] else []
    if strict:
        count = len(evaluation.broken) + len(evaluation.data.missing)
        found.append(Judged("pictures", f"{count} missing or broken (--strict: none)", not count))
    return Gate(tuple(found))


def names_failed(gate: Gate) -> Sequence[str]:
    """Return in words what does not hold."""
    return [f"{one.model}: {one.told}" for one in gate.judged if not one.passed]


def _as_expected(one: Evaluated, expected: Expected) -> Judged:
    ap = one.accuracy.ap
    if ap is None:
        return Judged(one.name, f"AP is undefined (expected {expected})", False)
    return Judged(
        one.name, f"AP {ap:.5f} (expected {expected})", abs(ap - expected.value) <= expected.tolerance + SLACK
    )


def _near(one: Evaluated, max_drop: float) -> Judged:
    value = one.difference.values["ap"] if one.difference else None
    if value is None:
        return Judged(one.name, f"there is no AP to compare with (limit {max_drop:g} points)", False)
    return Judged(
        one.name,
        f"AP {100 * value:+.3f} points of the original's (limit -{max_drop:g})",
        -100 * value <= max_drop + SLACK,
    )
