"""Suppression and detections, against an implementation that is slow and obvious."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ssdconvert.ssd.detections import Detections, detections_of, softmax, suppress

Array = NDArray[Any]
quick = settings(max_examples=150, deadline=None)


@dataclass(frozen=True)
class Rule:
    score_threshold: float = 0.25
    iou_threshold: float = 0.5
    at_iou_threshold: str = "keep"
    per_class: int = 200
    keep: int = 200


def sixteenths(box: tuple[int, int, int, int]) -> list[float]:
    return [value / 16 for value in box]


def shared_and_union(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, int]:
    """Return both areas, in whole numbers."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = width * height if width > 0 and height > 0 else 0
    return shared, (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared


def too_close(a: tuple[int, ...], b: tuple[int, ...], rule: Rule) -> bool:
    """Compare IoU and threshold (in quarters) exactly, as whole numbers."""
    shared, union = shared_and_union(a, b)
    if union == 0:
        return False
    quarters = round(4 * rule.iou_threshold)
    return (
        4 * shared >= quarters * union
        if rule.at_iou_threshold == "suppress"
        else 4 * shared > quarters * union
    )


def obvious(
    scores: list[list[int]], boxes: Sequence[tuple[int, ...]], rule: Rule
) -> list[tuple[int, int, int]]:
    """Return (score, label, index); `scores` are 32nds."""
    everything = []
    for label in range(1, len(scores[0])):
        ranked = sorted(range(len(boxes)), key=lambda index: (-scores[index][label], index))[: rule.per_class]
        kept: list[int] = []
        for index in ranked:
            if scores[index][label] > 32 * rule.score_threshold and not any(
                too_close(boxes[index], boxes[other], rule) for other in kept
            ):
                kept.append(index)
        everything += [(scores[index][label], label, index) for index in kept]
    everything.sort(key=lambda entry: -entry[0])  # stable: lower class, then the order within the class
    return everything[: rule.keep]


def check_types(found: Detections) -> None:
    assert [str(a.dtype) for a in (found.boxes, found.labels, found.scores)] == [
        "float32",
        "int64",
        "float32",
    ]


side = st.integers(1, 6)
corner = st.integers(0, 10)
box = st.builds(lambda x, y, w, h: (x, y, x + w, y + h), corner, corner, side, side)
rules = st.builds(
    Rule,
    score_threshold=st.sampled_from([0.0, 0.25, 0.5]),
    iou_threshold=st.sampled_from([0.25, 0.5, 0.75, 1.0]),
    at_iou_threshold=st.sampled_from(["keep", "suppress"]),
    per_class=st.integers(1, 12),
    keep=st.integers(1, 12),
)


@quick
@given(st.data())
def test_detections_are_the_obvious_ones(data: st.DataObject) -> None:
    classes = data.draw(st.integers(2, 4))
    boxes = data.draw(st.lists(box, min_size=1, max_size=12))
    row = st.lists(st.integers(0, 32), min_size=classes, max_size=classes)
    scores = data.draw(st.lists(row, min_size=len(boxes), max_size=len(boxes)))
    rule = data.draw(rules)
    expected = obvious(scores, boxes, rule)
    got = detections_of(
        np.array(scores, np.float32) / 32, np.array([sixteenths(b) for b in boxes], np.float32), rule
    )
    assert (got.scores * 32).tolist() == [score for score, _, _ in expected]
    assert got.labels.tolist() == [label for _, label, _ in expected]
    assert got.boxes.tolist() == [sixteenths(boxes[index]) for _, _, index in expected]
    check_types(got)


def one_class(*scores: float) -> Array:
    return np.array([[1 - score, score] for score in scores], np.float32)


HALF = np.array([[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.25]], np.float32)  # IoU 0.5 exactly


@pytest.mark.parametrize(("at", "kept"), [("keep", [0, 1]), ("suppress", [0])])
def test_exactly_at_the_iou_threshold(at: str, kept: list[int]) -> None:
    assert suppress(HALF, 0.5, at).tolist() == kept
    assert suppress(HALF, 0.49, at).tolist() == [0]
    assert suppress(HALF, 0.51, at).tolist() == [0, 1]


@pytest.mark.parametrize("threshold", [0.05, 0.1, 0.3, 0.7])
def test_a_threshold_that_float32_rounds_is_still_exact(threshold: float) -> None:
    """0.05 in float32 is above the 0.05 of Python; a score of exactly 0.05 in float32 is no detection."""
    apart = np.array([[0, 0, 0.2, 0.2], [0.5, 0.5, 0.7, 0.7]], np.float32)
    at = np.float32(threshold)
    above = np.nextafter(at, np.float32(1))
    scores = np.array([[0, at], [0, above]], np.float32)
    assert detections_of(scores, apart, Rule(score_threshold=threshold)).scores.tolist() == [above]


@pytest.mark.parametrize(("threshold", "at", "count"), [(0.1, "suppress", 1), (0.1, "keep", 2)])
def test_an_iou_of_a_threshold_that_float32_rounds(threshold: float, at: str, count: int) -> None:
    boxes = np.array([[0, 0, 1, 1], [0, 0, 1, threshold]], np.float32)  # IoU is float32(threshold)
    assert len(suppress(boxes, threshold, at)) == count


def test_a_suppressed_box_suppresses_nothing() -> None:
    chain = np.array([[0, 0, 0.5, 0.5], [0.1, 0, 0.6, 0.5], [0.25, 0, 0.75, 0.5]], np.float32)
    assert suppress(chain, 0.5, "keep").tolist() == [0, 2]


def test_candidates_are_limited_before_suppression_not_after() -> None:
    boxes = np.array([[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.45], [0.6, 0.6, 0.9, 0.9]], np.float32)
    scores = one_class(0.9, 0.8, 0.7)
    found = detections_of(scores, boxes, Rule(per_class=2))
    assert found.scores.tolist() == [np.float32(0.9)]  # limited after suppression, 0.7 would be there
    assert len(detections_of(scores, boxes, Rule(per_class=3))) == 2


def test_classes_do_not_suppress_each_other() -> None:
    scores = np.array([[0, 0.9, 0], [0, 0, 0.8]], np.float32)
    found = detections_of(scores, HALF, Rule(iou_threshold=0.25))
    assert found.labels.tolist() == [1, 2]


def test_keep_is_of_all_classes_together() -> None:
    boxes = np.array([[0, 0, 0.1, 0.1], [0.3, 0.3, 0.4, 0.4], [0.6, 0.6, 0.7, 0.7]], np.float32)
    scores = np.array([[0, 0.5, 0.9], [0, 0.8, 0.3], [0, 0.7, 0.6]], np.float32)
    found = detections_of(scores, boxes, Rule(keep=4))
    assert found.labels.tolist() == [2, 1, 1, 2]
    np.testing.assert_array_equal(found.scores, np.array([0.9, 0.8, 0.7, 0.6], np.float32))


def test_equal_scores_go_by_class_then_by_default_box() -> None:
    boxes = np.array([[0, 0, 0.1, 0.1], [0.3, 0.3, 0.4, 0.4]], np.float32)
    found = detections_of(np.full((2, 3), 0.5, np.float32), boxes, Rule())
    assert found.labels.tolist() == [1, 1, 2, 2]
    np.testing.assert_array_equal(found.boxes, boxes[[0, 1, 0, 1]])


def test_the_background_is_never_detected() -> None:
    assert len(detections_of(np.array([[1.0, 0.1]], np.float32), HALF[:1], Rule())) == 0


def test_nothing_found_has_shapes_and_types() -> None:
    found = detections_of(np.zeros((2, 3), np.float32), HALF, Rule())
    assert (len(found), found.boxes.shape, found.labels.shape, found.scores.shape) == (0, (0, 4), (0,), (0,))
    check_types(found)
    assert suppress(np.zeros((0, 4), np.float32), 0.5, "keep").tolist() == []


def test_above_and_select() -> None:
    found = Detections(HALF, np.array([1, 2]), np.array([0.9, 0.5], np.float32))
    assert found.above(0.5).labels.tolist() == [1]
    assert found.above(0.4).labels.tolist() == [1, 2]
    assert found.select(np.array([1])).boxes.tolist() == [HALF[1].tolist()]


def test_softmax() -> None:
    logits = np.array([[0.0, np.log(3.0)], [1000.0, 1000.0], [-1000.0, 1000.0]], np.float32)
    np.testing.assert_allclose(softmax(logits), [[0.25, 0.75], [0.5, 0.5], [0.0, 1.0]], rtol=1e-6)
