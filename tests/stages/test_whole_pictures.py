"""An IR that resizes is judged twice: its filter by levels, what is behind it exactly. A toolchain is not needed."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ssdconvert.candidate import Candidate
from ssdconvert.errors import ConversionError
from ssdconvert.report.result import Check
from ssdconvert.ssd.heads import HeadTensor
from ssdconvert.ssd.preprocess import original_input, picture_input, resized
from ssdconvert.stages.verify import verify
from ssdconvert.whole_pictures import odd_sized

Change = Callable[[Any, Any], Any]


class Resizing:
    """The original, behind a resize of its own: of RGB u8 [H, W, 3] to RGB f32 of the input's size."""

    runtime, executed_on, execution_precision = "openvino 2024.6.0", "CPU", "f32"

    def __init__(self, tiny: Any, resize: Change, mistake: float = 0.0) -> None:
        self.tiny, self.resize, self.mistake = tiny, resize, mistake

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        (picture,) = feeds["picture"]
        assert picture.dtype == np.uint8
        spec = self.tiny.recipe.input
        inside = self.resize(picture[..., ::-1], spec)
        image = original_input(np.rint(inside).clip(0, 255).astype(np.uint8), spec)
        outputs = dict(self.tiny.original.run(image, "picture"))
        name = self.tiny.original.heads.scores
        outputs[name] = outputs[name] + self.mistake
        planar = inside[..., ::-1].transpose(2, 0, 1)[None]
        return outputs | {"picture/resized": planar.astype(np.float32)}


def right(pixels: Any, spec: Any) -> Any:
    return resized(pixels, spec).astype(np.float32)


def one_off(pixels: Any, spec: Any) -> Any:
    """Every tenth row a level brighter, where it can be."""
    levels = right(pixels, spec)
    if pixels.shape[:2] != levels.shape[:2]:
        levels[::10] = np.minimum(levels[::10] + 1, 255)
    return levels


def darker(pixels: Any, spec: Any) -> Any:
    """Cut down to whole levels, not rounded."""
    height, width = spec.shape[2:]
    exact = cv2.resize(pixels.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.floor(exact + 1e-3)


def areas(pixels: Any, spec: Any) -> Any:
    height, width = spec.shape[2:]
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)


def turned(pixels: Any, spec: Any) -> Any:
    return right(pixels, spec)[:, ::-1]


def checks_of(tiny: Any, runner: Any) -> Sequence[Check]:
    """Return what the gate says of an IR on whole pictures."""
    tensors = {name: HeadTensor(name) for name in tiny.original.heads.names}
    candidate = Candidate(
        "ir", "FP32", "CPU", False, lambda: runner, tensors, None, resized="picture/resized"
    )
    result = verify(tiny.recipe, tiny.original, [candidate], tiny.pictures)
    return [one for one in result.checks if one.input.startswith("whole ")]


def wrong(checks: Sequence[Check]) -> set[str]:
    return {one.metric for one in checks if one.status == "fail"}


@pytest.mark.parametrize("resize", [right, one_off])
def test_what_is_right_passes(tiny: Any, resize: Change) -> None:
    checks = checks_of(tiny, Resizing(tiny, resize))
    assert not [one for one in checks if one.status != "pass"]
    worst = max(one.value or 0 for one in checks if one.metric == "max levels of 255")
    assert worst == (1 if resize is one_off else 0)
    # what is behind the resize is held against the original on the levels that came out of it
    assert {one.value for one in checks if one.level == "heads"} == {0.0}


@pytest.mark.parametrize(
    ("resize", "expected"),
    [
        (darker, {"mean levels of 255"}),
        (areas, {"max levels of 255", "mean levels of 255"}),
        (turned, {"max levels of 255", "mean levels of 255"}),
    ],
)
def test_a_wrong_filter_fails_and_the_rest_does_not(tiny: Any, resize: Change, expected: set[str]) -> None:
    assert wrong(checks_of(tiny, Resizing(tiny, resize))) == expected


def test_height_and_width_in_the_other_order(tiny: Any) -> None:
    class Swapped(Resizing):
        def run(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
            outputs = super().run(feeds)
            return outputs | {"picture/resized": outputs["picture/resized"].swapaxes(2, 3)}

    assert wrong(checks_of(tiny, Swapped(tiny, right))) == {"shape"}


def test_a_mistake_behind_a_right_filter(tiny: Any) -> None:
    assert wrong(checks_of(tiny, Resizing(tiny, one_off, mistake=0.1))) == {"max error / scale"}


def test_an_engine_that_stops_on_a_size(tiny: Any) -> None:
    def stop(pixels: Any, spec: Any) -> Any:
        if pixels.shape[1] == 97:
            raise ConversionError("out of memory", hint="")
        return right(pixels, spec)

    checks = checks_of(tiny, Resizing(tiny, stop))
    assert [(one.input, one.metric, one.reason) for one in checks if one.status == "fail"] == [
        ("whole smooth.png at 97x1301", "runs", "out of memory")
    ]


def test_odd_sizes(tiny: Any, tmp_path: Path) -> None:
    shapes = {one.name: one.read().shape for one in odd_sized(tiny.pictures, tiny.recipe.input)}
    assert shapes == {
        "smooth.png at 401x299": (299, 401, 3),
        "smooth.png at 1023x767": (767, 1023, 3),
        "smooth.png at 97x1301": (1301, 97, 3),
        "noise at 129x95": (95, 129, 3),
        "noise at 1x1": (1, 1, 3),
    }


def test_a_picture_is_fed_in_converted_order(tiny: Any) -> None:
    pixels = np.zeros((3, 5, 3), np.uint8)
    pixels[..., 0] = 200
    fed = picture_input(pixels, tiny.recipe.input)
    assert (fed.shape, fed.dtype, fed.flags.c_contiguous) == ((1, 3, 5, 3), np.uint8, True)
    assert fed[0, 0, 0].tolist() == [0, 0, 200]
