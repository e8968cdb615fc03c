"""Each mistake is seen on coloured pictures; where none can be seen, the verdict says so."""

from typing import Any

import numpy as np
import pytest

from ssdconvert.controls import WRONG_HEADS, control_checks, mistakes_of, wrong_inputs
from ssdconvert.gate_limits import DEFAULT_LIMITS, head_errors
from ssdconvert.recipe import Input
from ssdconvert.report.result import Check
from ssdconvert.samples import Picture
from ssdconvert.ssd.heads import Heads

LIMITS = DEFAULT_LIMITS["FP32"]


class ByChannel:
    """An original of two boxes whose heads are the means of the input's channels."""

    heads = Heads()
    quantised = in_order_of_score = takes_pixels = False
    detects = True

    class runner:
        runtime = "numpy"

    def run(self, image: Any, _: str) -> dict[str, Any]:
        red, green, blue = image.mean(axis=(0, 2, 3))
        row = np.array([red, green, blue, red - blue], np.float32)
        return {self.heads.scores: np.tile(row[:3], (1, 2, 1)), self.heads.boxes: np.tile(row, (1, 2, 1))}


def spec(**changes: Any) -> Input:
    document = {
        "name": "i",
        "shape": (1, 3, 4, 4),
        "color": {"model": "rgb"},
        "mean": (10.0, 20.0, 30.0),
        "scale": (2.0, 2.0, 2.0),
        "resize": {"mode": "stretch", "filter": "bilinear", "library": "pillow"},
    }
    return Input.model_validate(document | changes)


def controls(own: Input, *colours: tuple[int, int, int]) -> dict[str, Check]:
    class OfInput:
        input = own

    original: Any = ByChannel()
    pictures = [Picture(str(i), np.full((4, 4, 3), colour, np.uint8)) for i, colour in enumerate(colours)]
    references = [(picture, original.run(picture.for_original(own), "i")) for picture in pictures]
    recipe: Any = OfInput()
    mistakes = mistakes_of(recipe, original, references)
    return {check.output: check for check in control_checks(original, mistakes, LIMITS)}


def test_every_mistake_is_seen_on_a_coloured_picture() -> None:
    found = controls(spec(), (200, 100, 30))
    assert set(found) == {"channels swapped", "mean dropped", "scale dropped", *WRONG_HEADS}
    assert {check.status for check in found.values()} == {"pass"}
    assert all(check.value is not None and check.value > 1e-4 for check in found.values())


def test_a_grey_picture_cannot_show_swapped_channels() -> None:
    same = spec(mean=(10.0, 10.0, 10.0))
    assert controls(same, (90, 90, 90))["channels swapped"].status == "inconclusive"
    check = controls(same, (90, 90, 90), (200, 100, 30))["channels swapped"]
    assert (check.status, check.input) == ("pass", "1")


def test_a_mistake_that_changes_nothing_is_none() -> None:
    assert set(wrong_inputs(spec(mean=(0.0, 0.0, 0.0), scale=(1.0, 1.0, 1.0)))) == {"channels swapped"}


@pytest.mark.parametrize("value", [1e-4, 0.99e-4])
def test_an_error_at_the_limit_is_not_seen(value: float) -> None:
    original: Any = ByChannel()
    heads = original.heads
    right = {heads.scores: np.ones((1, 1, 2)), heads.boxes: np.ones((1, 1, 4))}
    wrong = {**right, heads.boxes: right[heads.boxes] * (1 - value)}
    assert max(e.value for e in head_errors(LIMITS, heads, right, wrong)) == pytest.approx(value)


def test_the_gate_is_inconclusive_without_power() -> None:
    from ssdconvert.report.result import Verification

    passed = dict.fromkeys(("device", "runtime", "precision", "input", "output", "metric"), "x")
    good = Check(hop="ir", level="heads", value=0.0, limit=1.0, required=0.0, status="pass", **passed)
    blind = controls(spec(mean=(10.0, 10.0, 10.0)), (90, 90, 90))["channels swapped"]
    result = Verification("m", (good, blind), "torch", ("p",), 3)
    assert result.verdict == "inconclusive"
    assert result.reason == "channels swapped: this mistake would pass: no picture shows it"
