"""An IR of rounded weights must cost less than half of what each mistake does, where that shows best."""

from typing import Any

import numpy as np
import pytest

from ssdconvert.controls import Mistake
from ssdconvert.gate_limits import DEFAULT_LIMITS
from ssdconvert.nearness import MARGIN, nearness_check
from ssdconvert.report.result import Check
from ssdconvert.report.words import NEARER
from ssdconvert.runners import Arrays
from ssdconvert.ssd.heads import Heads

FP16 = DEFAULT_LIMITS["FP16"]
BASE = Check("ir", "contract", "CPU", "openvino", "FP16", "", "", "", None, None, None, "skipped")


class OfHeads:
    heads = Heads()


class DecodedHeads(Heads):
    """Heads that are probabilities and boxes already."""

    def decoded(self, outputs: Arrays) -> tuple[Any, Any]:
        return outputs[SCORES][0], outputs[BOXES][0]


ORIGINAL: Any = OfHeads()
SCORES, BOXES = Heads().names


def heads(scores: float, boxes: float) -> Arrays:
    return {SCORES: np.array([[[1.0, scores]]]), BOXES: np.array([[[0.0, 0.0, 1.0, boxes]]])}


def mistake(name: str, **errors: tuple[float, float]) -> Mistake:
    """A mistake that changes scores and boxes by so much, by picture."""
    right = heads(0.0, 0.0)
    return Mistake(name, {picture: (right, heads(*wrong)) for picture, wrong in errors.items()})


def judge(distances: dict[tuple[str, str], float], *mistakes: Mistake) -> Check:
    """Judge an IR whose heads are so far from the right ones."""
    pictures = {picture for picture, _ in distances}
    found = {p: heads(distances[p, SCORES], distances[p, BOXES]) for p in pictures}
    return nearness_check(BASE, ORIGINAL, FP16, found, mistakes)


@pytest.mark.parametrize(("cost", "status"), [(0.01, "pass"), (0.2, "pass"), (0.21, "fail"), (0.4, "fail")])
def test_half_of_what_the_mistake_costs_is_the_limit(cost: float, status: str) -> None:
    check = judge({("a", SCORES): cost, ("a", BOXES): 0.0}, mistake("swapped", a=(0.4, 0.1)))
    assert (check.output, check.level, check.input, check.status) == (NEARER, "heads", "a", status)
    assert check.limit == pytest.approx(0.4 * MARGIN)
    assert ("swapped" in check.reason) == (status == "fail")


def test_each_mistake_is_looked_for_where_it_shows_best() -> None:
    """A grey picture does not show swapped channels, and what rounding costs there tells nothing of them."""
    swapped = mistake("swapped", grey=(0.001, 0.0), coloured=(0.5, 0.1))
    shifted = mistake("shifted", grey=(0.9, 0.0), coloured=(0.8, 0.0))
    costs = {
        ("grey", SCORES): 0.02,
        ("grey", BOXES): 0.0,
        ("coloured", SCORES): 0.03,
        ("coloured", BOXES): 0.0,
    }
    assert judge(costs, swapped, shifted).status == "pass"
    check = judge(costs | {("coloured", SCORES): 0.4}, swapped, shifted)
    assert (check.status, check.input) == ("fail", "coloured")


def test_a_mistake_on_pictures_that_it_is_not_judged_on_is_no_evidence() -> None:
    check = judge({("grey", SCORES): 0.02, ("grey", BOXES): 0.0}, mistake("swapped", coloured=(0.5, 0.1)))
    assert check.status == "inconclusive"


def test_a_mistake_that_costs_hardly_more_than_rounding_may_is_inconclusive() -> None:
    check = judge({("a", SCORES): 0.015, ("a", BOXES): 0.0}, mistake("swapped", a=(0.02, 0.0)))
    assert check.status == "inconclusive"


def test_a_mistake_that_nothing_shows_is_told_by_its_control_alone() -> None:
    seen = mistake("scale", a=(0.5, 0.0))
    assert (
        judge({("a", SCORES): 0.01, ("a", BOXES): 0.0}, mistake("swapped", a=(0.0, 0.0)), seen).status
        == "pass"
    )


INT8 = DEFAULT_LIMITS["INT8"]


def of_many(noise: float, swapped: bool, seed: int = 0) -> tuple[Arrays, Mistake]:
    """Heads of 200 boxes with noise of a size, around the right ones or around those of a mistake of the size 1."""
    random = np.random.default_rng(seed)
    right, wrong = ({BOXES: random.normal(size=(1, 200, 4)) + 3} for _ in range(2))
    wrong = {BOXES: right[BOXES] + np.sign(random.normal(size=(1, 200, 4)))}
    start = wrong if swapped else right
    made = {BOXES: start[BOXES] + noise * random.normal(size=(1, 200, 4))}
    scores = {SCORES: np.tile([0.2, 0.8], (1, 200, 1))}
    return {**made, **scores}, Mistake("swapped", {"a": ({**right, **scores}, {**wrong, **scores})})


@pytest.mark.parametrize(
    ("noise", "swapped", "status"),
    [
        (0.1, False, "pass"),
        (0.7, False, "pass"),
        (3.0, False, "inconclusive"),
        (0.1, True, "fail"),
        (0.7, True, "fail"),
    ],
)
def test_in_8_bits_an_ir_is_nearer_to_the_original_than_to_what_a_mistake_makes(
    noise: float, swapped: bool, status: str
) -> None:
    """Noise of 0.7 is more than half of what the mistake costs, and yet another thing."""
    made, mistake = of_many(noise, swapped)
    original: Any = type("Original", (), {"heads": DecodedHeads()})()
    check = nearness_check(BASE, original, INT8, {"a": made}, [mistake])
    assert (check.status, check.metric) == (status, "sum of errors / sum")
    assert ("'swapped'" in check.reason) == (status != "pass")
