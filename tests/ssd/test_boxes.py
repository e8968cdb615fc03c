"""Box forms, box coding and IoU, against plain Python and by their laws."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ssdconvert.ssd.boxes import area, decode, encode, iou_matrix, to_centres, to_corners

Array = NDArray[Any]
VARIANCES = (0.1, 0.2)
quick = settings(max_examples=60, deadline=None)

centre = st.floats(0, 1, width=32)
side = st.floats(0.0078125, 1, width=32)
centres_boxes = st.lists(st.tuples(centre, centre, side, side), min_size=1, max_size=8)
grid_side = st.integers(0, 64)  # 64ths: float32 holds them, and their translations, exactly


@st.composite
def grid_boxes(draw: st.DrawFn) -> Array:
    """Draw corners f32 [N, 4] on a grid of 64ths, some of them of no area."""
    drawn = draw(st.lists(st.tuples(grid_side, grid_side, grid_side, grid_side), min_size=1, max_size=6))
    boxes = [(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in drawn]
    return np.array(boxes, np.float32) / 64


def plain_iou(a: list[float], b: list[float]) -> float:
    """Return the IoU of two boxes, written out."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union if union > 0 else 0.0


def test_forms_by_hand() -> None:
    np.testing.assert_allclose(to_corners(np.array([[0.5, 0.4, 0.2, 0.6]])), [[0.4, 0.1, 0.6, 0.7]])
    np.testing.assert_allclose(to_centres(np.array([[0.4, 0.1, 0.6, 0.7]])), [[0.5, 0.4, 0.2, 0.6]])


@quick
@given(centres_boxes)
def test_forms_are_inverse(drawn: list[tuple[float, ...]]) -> None:
    boxes = np.array(drawn, np.float32)
    np.testing.assert_allclose(to_centres(to_corners(boxes)), boxes, atol=3e-7)
    corners = to_corners(boxes)
    np.testing.assert_allclose(to_corners(to_centres(corners)), corners, atol=3e-7)


def test_decode_by_hand() -> None:
    default = np.array([[0.5, 0.25, 0.2, 0.4]], np.float32)
    offsets = np.array([[1.0, -2.0, 0.0, np.log(2) / 0.2]], np.float32)
    # x centre 0.5 + 0.1 * 0.2, y centre 0.25 - 0.2 * 0.4, width 0.2, height 0.4 * 2
    np.testing.assert_allclose(
        decode(offsets, default, VARIANCES), [[0.42, -0.23, 0.62, 0.57]], rtol=1e-6, atol=1e-7
    )


def test_decode_limits_the_growth_of_a_size() -> None:
    default = np.array([[0.5, 0.5, 0.1, 0.1]], np.float32)
    offsets = np.array([[0, 0, 1000, np.log(3) / 0.2], [0, 0, 1000, -200]], np.float32)
    with np.errstate(all="raise"):
        limited = decode(offsets[:, None], default, VARIANCES, float(np.log(4)))[:, 0]
    np.testing.assert_allclose(limited, [[0.3, 0.35, 0.7, 0.65], [0.3, 0.5, 0.7, 0.5]], rtol=1e-6)
    assert limited.dtype == np.float32


def test_decode_takes_leading_axes() -> None:
    default = np.array([[0.5, 0.5, 0.2, 0.2], [0.1, 0.1, 0.1, 0.3]], np.float32)
    offsets = np.arange(24, dtype=np.float32).reshape(3, 2, 4) / 24
    together = decode(offsets, default, VARIANCES)
    assert together.shape == (3, 2, 4)
    for one, several in zip(offsets, together, strict=True):
        np.testing.assert_array_equal(decode(one, default, VARIANCES), several)


@quick
@given(centres_boxes, centres_boxes, st.sampled_from([VARIANCES, (1.0, 1.0), (0.1, 0.1)]))
def test_decode_undoes_encode(
    drawn: list[tuple[float, ...]], defaults: list[tuple[float, ...]], variances: tuple[float, float]
) -> None:
    count = min(len(drawn), len(defaults))
    corners = to_corners(np.array(drawn[:count], np.float32))
    default_boxes = np.array(defaults[:count], np.float32)
    offsets = encode(corners, default_boxes, variances)
    assert offsets.dtype == np.float32
    decoded = decode(offsets, default_boxes, variances)
    assert decoded.dtype == np.float32
    np.testing.assert_allclose(decoded, corners, atol=5e-6)


@quick
@given(grid_boxes(), grid_boxes())
def test_iou_equals_plain_python(first: Array, second: Array) -> None:
    expected = [[plain_iou(a, b) for b in second.tolist()] for a in first.tolist()]
    got = iou_matrix(first, second)
    assert got.shape == (len(first), len(second))
    assert got.min() >= 0
    assert got.max() <= 1
    np.testing.assert_allclose(got, expected, atol=1e-6)


@quick
@given(grid_boxes(), grid_boxes())
def test_iou_is_symmetric(first: Array, second: Array) -> None:
    np.testing.assert_array_equal(iou_matrix(first, second), iou_matrix(second, first).T)


@quick
@given(grid_boxes(), grid_boxes(), st.integers(-64, 64), st.integers(-64, 64))
def test_iou_is_invariant_under_translation(first: Array, second: Array, x: int, y: int) -> None:
    shift = np.array([x, y, x, y], np.float32) / 64
    np.testing.assert_array_equal(iou_matrix(first + shift, second + shift), iou_matrix(first, second))


@quick
@given(grid_boxes())
def test_iou_with_itself(boxes: Array) -> None:
    """1 where there is an area, 0 (not NaN, and no warning) where there is none."""
    with np.errstate(all="raise"):
        own = np.diag(iou_matrix(boxes, boxes))
    np.testing.assert_array_equal(own, (area(boxes) > 0).astype(np.float32))


def box_at(x: float, y: float) -> Array:
    return np.array([[x, y, x + 0.1, y + 0.1]], np.float32)


@pytest.mark.parametrize("shift", [0.15, 0.19, 0.2, 0.22, 0.24, 0.3])
def test_boxes_apart_on_both_axes_share_nothing(shift: float) -> None:
    """MLPerf's IoU multiplies the two gaps, and finds half of a union that is not there."""
    for x, y in ((shift, shift), (-shift, -shift), (shift, -shift), (-shift, shift)):
        assert iou_matrix(box_at(0.4, 0.4), box_at(0.4 + x, 0.4 + y)).item() == 0


@pytest.mark.parametrize(("x", "y"), [(0.2, 0), (0, 0.2), (-0.2, 0.05), (0.05, -0.2)])
def test_boxes_apart_on_one_axis_share_nothing(x: float, y: float) -> None:
    assert iou_matrix(box_at(0.4, 0.4), box_at(0.4 + x, 0.4 + y)).item() == 0


@pytest.mark.parametrize("side", [0.1, 0.01, 1e-3, 1e-5])
def test_small_boxes_have_an_iou_too(side: float) -> None:
    boxes = np.array([[0, 0, side, side], [0, 0, side, side / 2]], np.float32)
    np.testing.assert_allclose(iou_matrix(boxes, boxes), [[1, 0.5], [0.5, 1]], rtol=1e-5)


def test_a_box_in_another_and_touching_boxes() -> None:
    outer = np.array([[0, 0, 1, 1]], np.float32)
    others = np.array([[0, 0, 0.5, 0.5], [1, 0, 2, 1], [0.5, 0.5, 0.5, 0.5], [0, 0.25, 1, 0.75]], np.float32)
    np.testing.assert_array_equal(iou_matrix(outer, others), [[0.25, 0, 0, 0.5]])


def test_area_of_an_inverted_box_is_none() -> None:
    boxes = np.array([[0, 0, 0.5, 0.5], [0.5, 0, 0, 0.5], [0.5, 0.5, 0, 0], [0.2, 0.2, 0.2, 0.9]], np.float32)
    np.testing.assert_array_equal(area(boxes), [0.25, 0, 0, 0])


def test_no_boxes() -> None:
    none = np.zeros((0, 4), np.float32)
    assert iou_matrix(none, box_at(0, 0)).shape == (0, 1)
    assert iou_matrix(box_at(0, 0), none).shape == (1, 0)
