"""Where MLPerf's IoU is wrong, and that ours is not.

The reference (mlcommons/inference, models/ssd_r34.py, calc_iou_tensor) zeroes the negative sides of an
overlap on a clone that it throws away. So the overlap of two boxes is the product of two signed
sides: positive for boxes that are apart on *both* axes, where it is the product of the two gaps.
"""

from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ssdconvert.ssd.boxes import area, iou_matrix
from ssdconvert.ssd.detections import suppress

Array = NDArray[Any]


def signed_sides(first: Array, second: Array) -> Array:
    """Return [N, M, 2], width and height of what is shared; minus the gap where there is one."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    return np.minimum(first[:, None, 2:], second[None, :, 2:]) - low


def mlperf_iou(first: Array, second: Array) -> Array:
    """Return [N, M] as the reference computes it."""
    delta = signed_sides(first, second)
    delta.copy()[delta < 0] = 0  # the clamp that does nothing
    shared = delta[..., 0] * delta[..., 1]
    with np.errstate(divide="ignore"):
        return shared / (area(first)[:, None] + area(second)[None, :] - shared)


@pytest.fixture(scope="module")
def every_box() -> Array:
    """All boxes with an area whose corners are whole numbers of 0..5."""
    spans = list(combinations(range(6), 2))
    return np.array([(x1, y1, x2, y2) for (x1, x2), (y1, y2) in product(spans, spans)], np.float64)


def test_exactly_these_pairs_of_boxes_are_judged_differently(every_box: Array) -> None:
    """At an IoU of 0.5, kept below it: S / 3 <= gap * gap <= S, where S is the sum of both areas."""
    kept_by_mlperf = mlperf_iou(every_box, every_box) < 0.5
    kept = iou_matrix(every_box, every_box) < 0.5
    sides = signed_sides(every_box, every_box)
    apart_on_both_axes = (sides < 0).all(axis=-1)
    gaps = sides[..., 0] * sides[..., 1]
    areas = area(every_box)[:, None] + area(every_box)[None, :]
    expected = apart_on_both_axes & (3 * gaps >= areas) & (gaps <= areas)
    np.testing.assert_array_equal(kept_by_mlperf != kept, expected)
    assert kept[expected].all()  # all of them wrongly suppressed by MLPerf, none wrongly kept
    assert expected.sum() == 508  # of 225 * 225 ordered pairs


def test_the_three_ranges_of_gaps_all_occur(every_box: Array) -> None:
    sides = signed_sides(every_box, every_box)
    gaps = np.where((sides < 0).all(axis=-1), sides[..., 0] * sides[..., 1], 0)
    areas = area(every_box)[:, None] + area(every_box)[None, :]
    theirs = mlperf_iou(every_box, every_box)
    for which in (
        (gaps > 0) & (3 * gaps < areas),
        gaps > areas,
    ):  # too small, and so large that it is negative
        assert which.any()
        assert (theirs[which] < 0.5).all()
    assert np.isinf(theirs[(gaps > 0) & (gaps == areas)]).all()
    assert (gaps[gaps > 0] == areas[gaps > 0]).any()


@pytest.mark.parametrize("axis", [0, 1])
def test_boxes_apart_on_one_axis_are_judged_alike(every_box: Array, axis: int) -> None:
    sides = signed_sides(every_box, every_box)
    which = (sides[..., axis] < 0) & (sides[..., 1 - axis] >= 0)
    assert which.any()
    assert (mlperf_iou(every_box, every_box)[which] <= 0).all()
    assert (iou_matrix(every_box, every_box)[which] == 0).all()


def test_boxes_that_meet_have_the_same_iou(every_box: Array) -> None:
    which = (signed_sides(every_box, every_box) >= 0).all(axis=-1)
    np.testing.assert_array_equal(
        mlperf_iou(every_box, every_box)[which], iou_matrix(every_box, every_box)[which]
    )


def test_two_objects_apart_of_which_mlperf_finds_one() -> None:
    """Two of a tenth of the picture's side, 0.12 and 0.08 apart: an "IoU" of 0.92."""
    boxes = np.array([[0.1, 0.1, 0.2, 0.2], [0.32, 0.28, 0.42, 0.38]])
    assert mlperf_iou(boxes, boxes)[0, 1] > 0.5
    assert suppress(boxes, 0.5, "suppress").tolist() == [0, 1]
