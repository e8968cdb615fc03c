"""What accuracy is asked for, and whether it is there."""

from typing import Any

import pytest

from ssdconvert.accuracy.coco_map import MeanPrecision
from ssdconvert.accuracy.evaluation import Difference, Evaluated
from ssdconvert.accuracy.gate import Expected, expected_of, judged, names_failed
from ssdconvert.errors import RecipeError


class Stub:
    """An evaluation of these models with so many broken pictures."""

    def __init__(self, models: list[Evaluated], broken: int = 0) -> None:
        self.models, self.broken = models, [("a.jpg", "why")] * broken
        self.data = type("Data", (), {"missing": ()})


def model(name: str, ap: float | None, difference: float | None = None) -> Evaluated:
    accuracy = MeanPrecision(ap, ap, ap, None, None, None, {})
    against = Difference({"ap": difference}, {"ap": None}) if name != "original" else None
    return Evaluated(name, {"original": name == "original"}, accuracy, {}, against, [])


@pytest.mark.parametrize("text", ["0.196±0.003", "0.196+-0.003", " .196 +/- 0.003 "])
def test_a_value_and_its_tolerance(text: str) -> None:
    assert expected_of(text) == Expected(0.196, 0.003)


@pytest.mark.parametrize(
    "text", ["19.6±0.3", "19.6%±0.3%", "0.196", "0.196±", "-0.2±0.1", "0.2-0.1", "nan±0.1"]
)
def test_what_is_no_such_pair(text: str) -> None:
    with pytest.raises(RecipeError, match="percent" if "19.6" in text else "no value with") as told:
        expected_of(text)
    assert "0.196±0.003" in told.value.hint


@pytest.mark.parametrize(
    ("ap", "passed"),
    [(0.196, True), (0.193, True), (0.199, True), (0.1929, False), (0.1991, False), (None, False)],
)
def test_the_gate_has_two_sides(ap: float | None, passed: bool) -> None:
    evaluation: Any = Stub([model("original", 0.196), model("FP32", ap)])
    gate = judged(evaluation, Expected(0.196, 0.003))
    assert gate.passed is passed
    assert [one.model for one in gate.judged] == ["original", "FP32"]
    assert bool(names_failed(gate)) is not passed


@pytest.mark.parametrize(
    ("difference", "passed"), [(0.01, True), (-0.0005, True), (-0.00051, False), (None, False)]
)
def test_a_drop_is_in_points(difference: float | None, passed: bool) -> None:
    evaluation: Any = Stub([model("original", 0.5), model("FP16", 0.5, difference)])
    gate = judged(evaluation, max_drop=0.05)
    assert (gate.passed, len(gate.judged)) == (passed, 1)
    assert gate.to_json()["verdict"] == ("pass" if passed else "fail")


def test_strict_refuses_broken_pictures() -> None:
    whole: Any = Stub([model("FP32", 0.5)])
    broken: Any = Stub([model("FP32", 0.5)], broken=2)
    assert judged(whole, strict=True).passed
    assert names_failed(judged(broken, strict=True)) == ["pictures: 2 missing or broken (--strict: none)"]
    assert judged(broken).to_json() == {"verdict": None, "checks": []}
