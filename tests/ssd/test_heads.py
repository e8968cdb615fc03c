"""What heads mean, and where they lie in somebody's graph."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ssdconvert.ssd.boxes import to_corners
from ssdconvert.ssd.heads import BoxCoding, Heads, HeadTensor, coding_of_priors, relative_error

Array = NDArray[Any]
quick = settings(max_examples=50, deadline=None)
sizes = st.tuples(st.integers(1, 6), st.integers(2, 5))  # P, n
DEFAULT_BOXES = np.array([[0.5, 0.25, 0.2, 0.4], [0.25, 0.5, 0.5, 0.5]], np.float32)


def numbered(boxes: int, width: int) -> Array:
    """A head [1, P, n] of numbers that all differ."""
    return np.arange(1, boxes * width + 1, dtype=np.float32).reshape(1, boxes, width)


@quick
@given(sizes)
def test_every_layout_is_read_back_as_rows(size: tuple[int, int]) -> None:
    boxes, width = size
    rows = numbered(boxes, width)
    laid_out = {"rows": rows, "flat": rows.reshape(1, -1), "by_class": rows.transpose(0, 2, 1)}
    for layout, array in laid_out.items():
        tensor = HeadTensor("head", layout, width)  # type: ignore[arg-type]
        np.testing.assert_array_equal(tensor.read(array), rows)
    np.testing.assert_array_equal(HeadTensor("head", "rows", width).read(rows[0]), rows)


def test_flat_by_hand() -> None:
    flat = np.array([[1, 2, 3, 4, 5, 6]], np.float32)
    assert HeadTensor("head", "flat", 3).read(flat).tolist() == [[[1, 2, 3], [4, 5, 6]]]
    assert HeadTensor("head", "flat", 2).read(flat).tolist() == [[[1, 2], [3, 4], [5, 6]]]


def test_a_flat_head_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match="reshape"):
        HeadTensor("head", "flat", 4).read(np.zeros((1, 6), np.float32))


@quick
@given(sizes, st.data())
def test_the_background_comes_first_and_the_others_keep_their_order(
    size: tuple[int, int], data: st.DataObject
) -> None:
    boxes, width = size
    background = data.draw(st.integers(0, width - 1))
    ours = numbered(boxes, width)
    theirs = np.insert(ours[..., 1:], background, ours[..., 0], axis=2)
    for layout, array in (
        ("rows", theirs),
        ("flat", theirs.reshape(1, -1)),
        ("by_class", theirs.swapaxes(1, 2)),
    ):
        tensor = HeadTensor("scores", layout, width, background)  # type: ignore[arg-type]
        np.testing.assert_array_equal(tensor.read(array), ours)


@quick
@given(sizes)
def test_scores_without_a_background_get_one_of_zeros(size: tuple[int, int]) -> None:
    foreground = numbered(*size)
    for layout, array in (("rows", foreground), ("by_class", foreground.swapaxes(1, 2))):
        read = HeadTensor("scores", layout, size[1], None).read(array)  # type: ignore[arg-type]
        assert not read[..., 0].any()
        np.testing.assert_array_equal(read[..., 1:], foreground)


def test_boxes_in_pixels_are_divided_by_width_and_height() -> None:
    boxes = np.array([[[20, 20, 100, 60], [0, 0, 200, 100]]], np.float32)
    read = HeadTensor("boxes", sides=(200, 100)).read(boxes)
    np.testing.assert_allclose(read, [[[0.1, 0.2, 0.5, 0.6], [0, 0, 1, 1]]], rtol=1e-6)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(HeadTensor("boxes", sides=(200, 100)).read(boxes[0]), read)
    flat = HeadTensor("boxes", "flat", sides=(200, 100)).read(boxes.reshape(1, -1))
    np.testing.assert_array_equal(flat, read)


def priors_of(corners: Array, variances: Array) -> Array:
    """As PriorBox hands them out: [1, 2, P * 4]."""
    return np.stack([corners.ravel(), variances.ravel()])[None].astype(np.float32)


def test_the_coding_of_priors() -> None:
    variances = np.tile([0.1, 0.1, 0.2, 0.2], (2, 1))
    coding = coding_of_priors(priors_of(to_corners(DEFAULT_BOXES), variances))
    np.testing.assert_allclose(coding.default_boxes, DEFAULT_BOXES, atol=1e-7)
    assert coding.variances == pytest.approx((0.1, 0.2))
    assert coding.largest_size_offset is None


def test_the_coding_of_one_prior() -> None:
    coding = coding_of_priors(priors_of(to_corners(DEFAULT_BOXES[:1]), np.full((1, 4), 0.125)))
    assert coding.default_boxes.shape == (1, 4)
    assert coding.variances == (0.125, 0.125)


@pytest.mark.parametrize(
    "variances",
    [
        [[0.1, 0.1, 0.2, 0.2], [0.1, 0.1, 0.2, 0.3]],
        [[0.1, 0.1, 0.2, 0.2], [0.2, 0.2, 0.2, 0.2]],
        [[0.1, 0.2, 0.2, 0.2]] * 2,
        [[0.1, 0.1, 0.2, 0.1]] * 2,
    ],
)
def test_several_variances_are_refused(variances: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="several variances"):
        coding_of_priors(priors_of(to_corners(DEFAULT_BOXES), np.array(variances)))


CODING = BoxCoding(DEFAULT_BOXES, (0.1, 0.2))
LOGITS = np.log(np.array([[[0.2, 0.5, 0.3], [0.7, 0.1, 0.2]]], np.float32))
OFFSETS = np.array([[[1, -2, 0, np.log(2) / 0.2], [0, 0, 0, 0]]], np.float32)
DECODED = np.array([[0.42, -0.23, 0.62, 0.57], [0, 0.25, 0.5, 0.75]])  # worked out by hand


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("coding", [None, CODING])
def test_decoded(coding: BoxCoding | None, logits: bool) -> None:
    heads = Heads(coding, logits=logits)
    assert heads.names == (
        "class_logits" if logits else "class_probabilities",
        "box_offsets" if coding else "decoded_boxes",
    )
    outputs = {
        heads.scores: LOGITS if logits else np.exp(LOGITS),
        heads.boxes: OFFSETS if coding else DECODED[None].astype(np.float32),
    }
    probabilities, corners = heads.decoded(outputs)
    np.testing.assert_allclose(probabilities, [[0.2, 0.5, 0.3], [0.7, 0.1, 0.2]], rtol=1e-6)
    np.testing.assert_allclose(corners, DECODED, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("coding", [None, CODING])
def test_clipping_comes_after_decoding(coding: BoxCoding | None) -> None:
    heads = Heads(coding, clip=True)
    boxes = OFFSETS if coding else DECODED[None].astype(np.float32)
    _, corners = heads.decoded({heads.scores: np.exp(LOGITS), heads.boxes: boxes})
    expected = DECODED.copy()
    expected[0, 1] = 0
    np.testing.assert_allclose(corners, expected, rtol=1e-5, atol=1e-6)


def test_a_size_offset_may_be_limited() -> None:
    heads = Heads(BoxCoding(DEFAULT_BOXES, (0.1, 0.2), largest_size_offset=np.log(1.5)))
    _, corners = heads.decoded({heads.scores: np.exp(LOGITS), heads.boxes: OFFSETS})
    assert corners[0, 3] - corners[0, 1] == pytest.approx(0.4 * 1.5, rel=1e-5)  # not 0.4 * 2


def test_an_error_is_relative_to_the_largest_expected_number() -> None:
    expected = np.array([[-4.0, 1.0, 0.0]], np.float32)
    assert relative_error(expected, expected + np.float32(0.5)).tolist() == [[0.125, 0.125, 0.125]]
    assert relative_error(np.zeros(2, np.float32), np.array([0, 2], np.float32)).tolist() == [0, 2]
    assert np.isnan(relative_error(expected, np.full_like(expected, np.nan))).all()
