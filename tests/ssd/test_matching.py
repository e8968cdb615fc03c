"""Matching: a right copy of a model never has faults, and every sort of wrong one has."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ssdconvert.ssd.boxes import iou_matrix, to_centres, to_corners
from ssdconvert.ssd.detections import Detections, detections_of
from ssdconvert.ssd.matching import Matching, Tolerance, match

Array = NDArray[Any]


@dataclass(frozen=True)
class Rule:
    score_threshold: float = 0.05
    iou_threshold: float = 0.5
    at_iou_threshold: str = "keep"
    per_class: int = 200
    keep: int = 200


TIGHT, LOOSE = Tolerance(score=1e-3, iou=0.99), Tolerance(score=0.02, iou=0.95)


def crowd(seed: int, groups: int = 12, size: int = 12, classes: int = 4) -> tuple[Array, Array]:
    """Return probabilities and corners of groups of boxes that overlap much, as a real network's do."""
    random = np.random.default_rng(seed)
    middle = np.repeat(random.uniform(0.1, 0.9, (groups, 2)), size, axis=0)
    sides = np.repeat(random.uniform(0.05, 0.4, (groups, 2)), size, axis=0)
    spread = random.choice([0.003, 0.05, 0.3], groups).repeat(size)[:, None]
    centre = middle + random.uniform(-1, 1, middle.shape) * spread * sides
    sides = sides * np.exp(random.uniform(-1, 1, sides.shape) * spread)
    boxes = to_corners(np.concatenate([centre, sides], 1)).astype(np.float32)
    scores = random.beta(0.4, 1.5, (groups, classes)).repeat(size, axis=0)
    scores = np.clip(scores + random.normal(0, 0.03, scores.shape), 0, 1)
    if seed % 3 == 0:  # ties and near-ties
        scores = np.round(scores, 2)
    return scores.astype(np.float32), boxes


def moved(random: np.random.Generator, boxes: Array, iou: float) -> Array:
    """Return copies whose IoU with the originals is above `iou`, many of them close to it."""
    centres = to_centres(boxes.astype(np.float64))
    step = random.uniform(-1, 1, boxes.shape) * random.choice([0.01, 1], (len(boxes), 1)) * (1 - iou)
    for _ in range(40):
        shift = np.concatenate([step[:, :2] * centres[:, 2:], centres[:, 2:] * np.expm1(step[:, 2:])], 1)
        copies = to_corners(centres + shift).astype(np.float32)
        worse = (
            np.array([iou_matrix(a[None], b[None]).item() for a, b in zip(copies, boxes, strict=True)]) < iou
        )
        if not worse.any():
            return copies
        step[worse] *= 0.8
    raise AssertionError("no step is small enough")


def right_copy(seed: int, scores: Array, boxes: Array, rule: Rule, tolerance: Tolerance) -> Detections:
    """Return the detections of a copy that is as far off as it may be."""
    random = np.random.default_rng([seed, 1])
    off = random.uniform(-1, 1, scores.shape) if seed % 2 else random.choice([-1, 1], scores.shape)
    copy = (scores + 0.999 * tolerance.score * off).astype(np.float32)
    return detections_of(copy, moved(random, boxes, tolerance.iou), rule)


RULES = [
    Rule(),
    Rule(at_iou_threshold="suppress"),
    Rule(keep=7),
    Rule(per_class=5),
    Rule(per_class=9, keep=15, iou_threshold=0.3),
    Rule(iou_threshold=0.7, score_threshold=0.3),
    Rule(score_threshold=0.0, keep=40),
]


@pytest.mark.parametrize("tolerance", [TIGHT, LOOSE], ids=["tight", "loose"])
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_right_copy_has_no_faults(rule: Rule, tolerance: Tolerance) -> None:
    found = 0
    for seed in range(24):
        scores, boxes = crowd(seed)
        candidate = right_copy(seed, scores, boxes, rule, tolerance)
        result = match(scores, boxes, rule, tolerance, candidate)
        assert result.faults == 0, (seed, result)
        assert result.score_error <= tolerance.score * 1.001, (seed, result)
        assert result.smallest_iou >= tolerance.iou - 1e-5, (seed, result)
        assert result.matched == len(candidate)
        found += len(candidate)
    assert found > 100


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_same_model_matches_exactly_with_no_tolerance(rule: Rule) -> None:
    for seed in range(24):
        scores, boxes = crowd(seed)
        candidate = detections_of(scores, boxes, rule)
        result = match(scores, boxes, rule, Tolerance(0.0, 1.0), candidate)
        assert result == Matching(len(candidate), 0, 0, 0, 0.0, 1.0), seed


def test_the_order_of_the_rows_says_nothing() -> None:
    scores, boxes = crowd(5)
    candidate = detections_of(scores, boxes, Rule())
    shuffled = candidate.select(np.random.default_rng(0).permutation(len(candidate)))
    assert match(scores, boxes, Rule(), TIGHT, shuffled) == match(scores, boxes, Rule(), TIGHT, candidate)


def box(x: float, y: float, w: float, h: float) -> list[float]:
    return [x, y, x + w, y + h]


def one_class(*scores: float) -> Array:
    return np.array([[0, score] for score in scores], np.float32)


def test_of_two_near_ties_either_may_win() -> None:
    boxes = np.array([box(0.1, 0.1, 0.4, 0.4), box(0.15, 0.1, 0.4, 0.4)], np.float32)
    scores = one_class(0.8, 0.7995)
    other = Detections(boxes[1:], np.array([1]), np.array([0.8], np.float32))
    assert match(scores, boxes, Rule(), TIGHT, other).faults == 0
    clearly_worse = one_class(0.8, 0.7)
    assert wrong(match(clearly_worse, boxes, Rule(), TIGHT, other))
    honest = replace(other, scores=np.array([0.7], np.float32))
    assert match(clearly_worse, boxes, Rule(), TIGHT, honest).missing == 1


def test_an_iou_near_the_threshold_may_fall_either_way() -> None:
    boxes = np.array([box(0, 0, 0.5, 0.5), box(0, 0, 0.5, 0.251)], np.float32)  # 0.502
    scores = one_class(0.9, 0.8)
    suppressed = detections_of(scores, boxes, Rule())
    assert len(suppressed) == 1
    flatter = boxes.copy()
    flatter[1, 3] = 0.249
    both = detections_of(scores, flatter, Rule())
    assert len(both) == 2
    for reference, candidate in ((boxes, both), (flatter, suppressed)):
        assert match(scores, reference, Rule(), TIGHT, candidate).faults == 0
        assert match(scores, reference, Rule(), Tolerance(1e-3, 0.9999), candidate).faults >= (
            reference is flatter
        )


def test_a_suppressed_box_may_have_moved_by_the_whole_tolerance() -> None:
    """IoU 0.4955 with the better box, and 0.5004 once its height has grown by just below one part in 99."""
    boxes = np.array([box(0, 0, 0.5, 0.5), box(0, 0, 0.5, 0.5 * 0.4955)], np.float32)
    copies = np.array([box(0, 0, 0.5, 0.5), box(0, 0, 0.5, 0.5 * 0.5004)], np.float32)
    scores = one_class(0.9, 0.8)
    assert iou_matrix(boxes[1:], copies[1:]).item() > TIGHT.iou
    suppressed = detections_of(scores, copies, Rule())
    assert len(suppressed) == 1
    assert match(scores, boxes, Rule(), TIGHT, suppressed).faults == 0


def test_a_copy_that_moves_towards_another_box_is_still_its_own() -> None:
    """The nearest box of the reference is a worse one that was suppressed; both differences are allowed."""
    boxes = np.array([box(0.1, 0.1, 0.4, 0.4), box(0.103, 0.1, 0.4, 0.4)], np.float32)
    scores = one_class(0.8, 0.79)
    tolerance = Tolerance(score=1e-3, iou=0.98)
    candidate = Detections(boxes[1:], np.array([1]), np.array([0.8], np.float32))
    result = match(scores, boxes, Rule(), tolerance, candidate)
    assert result.faults == 0
    assert result.score_error <= tolerance.score
    assert result.smallest_iou >= tolerance.iou


def test_a_box_without_an_area_is_its_own_counterpart() -> None:
    boxes = np.array([box(0.2, 0.2, 0, 0.3), box(0.5, 0.5, 0.2, 0.2)], np.float32)
    scores = one_class(0.9, 0.8)
    candidate = detections_of(scores, boxes, Rule())
    assert len(candidate) == 2
    assert match(scores, boxes, Rule(), TIGHT, candidate) == Matching(2, 0, 0, 0, 0.0, 1.0)
    elsewhere = replace(candidate, boxes=candidate.boxes + np.float32(0.01))
    assert match(scores, boxes, Rule(), TIGHT, elsewhere).extra == 1


def test_nothing_on_either_side() -> None:
    scores, boxes = np.zeros((3, 3), np.float32), np.array([box(0, 0, 1, 1)] * 3, np.float32)
    nothing = detections_of(scores, boxes, Rule())
    assert match(scores, boxes, Rule(), TIGHT, nothing) == Matching(0, 0, 0, 0, 0.0, 1.0)


# --- wrong copies


@pytest.fixture(params=range(4))
def case(request: pytest.FixtureRequest) -> tuple[Array, Array, Detections]:
    scores, boxes = crowd(request.param + 100)
    return scores, boxes, detections_of(scores, boxes, Rule())


def test_a_lost_detection_is_missing(case: tuple[Array, Array, Detections]) -> None:
    scores, boxes, right = case
    overlaps = iou_matrix(right.boxes, right.boxes) * (right.labels[:, None] == right.labels)
    np.fill_diagonal(overlaps, 0)
    surely = (overlaps.max(axis=0) < 0.48) & (right.scores > 0.06)  # nothing else may have suppressed it
    assert surely.sum() > 10
    for index in np.flatnonzero(surely):
        result = match(scores, boxes, Rule(), TIGHT, right.select(np.arange(len(right)) != index))
        assert result.missing >= 1
        assert result.extra == 0
        assert result.worst_missing == right.scores[index]


def test_everything_lost_is_missing(case: tuple[Array, Array, Detections]) -> None:
    scores, boxes, right = case
    result = match(scores, boxes, Rule(), TIGHT, right.select(np.zeros(len(right), bool)))
    assert result.missing >= len(right.above(0.06))
    assert result.worst_missing == right.scores[0]


def test_an_invented_detection_is_extra(case: tuple[Array, Array, Detections]) -> None:
    scores, boxes, right = case
    invented = np.array([[0.95, 0.95, 0.99, 0.99]], np.float32)
    candidate = Detections(
        np.concatenate([right.boxes, invented]),
        np.append(right.labels, 2),
        np.append(right.scores, np.float32(0.4)),
    )
    result = match(scores, boxes, Rule(), TIGHT, candidate)
    assert (result.missing, result.extra, result.overlapping) == (0, 1, 0)
    assert result.worst_extra == pytest.approx(0.4)


@pytest.mark.parametrize("label", [0, 4, 99, -1])
def test_a_label_that_does_not_exist_is_extra(case: tuple[Array, Array, Detections], label: int) -> None:
    scores, boxes, right = case
    labels = right.labels.copy()
    labels[0] = label
    result = match(scores, boxes, Rule(), TIGHT, replace(right, labels=labels))
    assert result.extra == 1
    assert result.worst_extra == right.scores[0]


def test_labels_off_by_one_are_found(case: tuple[Array, Array, Detections]) -> None:
    scores, boxes, right = case
    assert match(scores, boxes, Rule(), TIGHT, replace(right, labels=right.labels + 1)).faults > 0
    assert match(scores, boxes, Rule(), TIGHT, replace(right, labels=right.labels - 1)).faults > 0


def test_one_changed_label_is_found() -> None:
    boxes = np.array([box(0.1, 0.1, 0.3, 0.3), box(0.6, 0.6, 0.3, 0.3)], np.float32)
    scores = np.array([[0, 0.9, 0], [0, 0, 0.8]], np.float32)
    right = detections_of(scores, boxes, Rule())
    result = match(scores, boxes, Rule(), TIGHT, replace(right, labels=np.array([1, 1])))
    assert (result.missing, result.extra) == (1, 1)


def over_many_crowds(
    rule: Rule, sabotage: Callable[[Array, Array], Detections], seeds: int = 12
) -> list[Matching]:
    crowds = [crowd(seed + 200, groups=20) for seed in range(seeds)]
    return [match(scores, boxes, rule, TIGHT, sabotage(scores, boxes)) for scores, boxes in crowds]


def test_a_lower_iou_threshold_loses_boxes() -> None:
    results = over_many_crowds(Rule(), lambda s, b: detections_of(s, b, Rule(iou_threshold=0.45)))
    assert sum(result.missing > 0 for result in results) > 3


def test_a_higher_iou_threshold_leaves_overlaps() -> None:
    results = over_many_crowds(Rule(), lambda s, b: detections_of(s, b, Rule(iou_threshold=0.55)))
    assert sum(result.overlapping > 0 for result in results) > 3


@pytest.mark.parametrize("overlap", [0.46, 0.48, 0.52, 0.54])
def test_an_iou_threshold_of_another_value_is_found_on_a_pair_between(overlap: float) -> None:
    """Tolerance 0.99 a box: an IoU may be off by 0.01, and no more."""
    boxes = np.array([box(0, 0, 0.5, 0.5), box(0, 0, 0.5, 0.5 * overlap)], np.float32)
    scores = one_class(0.9, 0.8)
    wrong = detections_of(scores, boxes, Rule(iou_threshold=0.45 if overlap < 0.5 else 0.55))
    result = match(scores, boxes, Rule(), TIGHT, wrong)
    assert (result.missing, result.overlapping) == ((1, 0) if overlap < 0.5 else (0, 1))


def test_an_iou_threshold_a_little_lower_is_found_where_both_tolerances_are_used_up() -> None:
    """An IoU of 0.485 becomes at most 0.495 when one box moves by 0.01: the suppressed one does not move."""
    boxes = np.array([box(0, 0, 0.5, 0.5), box(0, 0, 0.5, 0.2425)], np.float32)
    wrong = detections_of(one_class(0.9, 0.8), boxes, Rule(iou_threshold=0.48))
    assert match(one_class(0.9, 0.8), boxes, Rule(), TIGHT, wrong).missing == 1


def test_no_suppression_at_all_is_found() -> None:
    results = over_many_crowds(Rule(), lambda s, b: detections_of(s, b, Rule(iou_threshold=1.0)))
    assert all(result.overlapping > 0 for result in results)


def test_suppression_across_classes_is_found() -> None:
    def across(scores: Array, boxes: Array) -> Detections:
        right = detections_of(scores, boxes, Rule())
        overlaps = iou_matrix(right.boxes, right.boxes)
        kept: list[int] = []
        for index in range(len(right)):
            if all(overlaps[index, other] <= 0.5 for other in kept):
                kept.append(index)
        return right.select(np.array(kept))

    assert all(result.missing > 0 for result in over_many_crowds(Rule(), across))


@pytest.mark.parametrize(("threshold", "fault"), [(0.1, "missing"), (0.01, "extra")])
def test_another_score_threshold_is_found(threshold: float, fault: str) -> None:
    """Boxes that were below the threshold are extra, or stand for a better one with a wrong score."""
    results = over_many_crowds(Rule(), lambda s, b: detections_of(s, b, Rule(score_threshold=threshold)))
    assert sum(getattr(result, fault) > 0 for result in results) > 3


def test_a_lost_limit_of_candidates_is_found() -> None:
    rule = Rule(per_class=20)
    results = over_many_crowds(rule, lambda s, b: detections_of(s, b, Rule(per_class=10**6)))
    assert all(wrong(result) for result in results)
    assert all(result.extra > 0 for result in results)


def test_a_smaller_limit_of_candidates_is_found() -> None:
    rule = Rule(per_class=40)
    results = over_many_crowds(rule, lambda s, b: detections_of(s, b, replace(rule, per_class=25)))
    assert sum(result.missing > 0 for result in results) > 6


def test_fewer_rows_are_found() -> None:
    results = over_many_crowds(Rule(keep=30), lambda s, b: detections_of(s, b, Rule(keep=20)))
    assert all(result.missing > 0 for result in results)


def test_more_rows_are_found() -> None:
    results = over_many_crowds(Rule(keep=10), lambda s, b: detections_of(s, b, Rule(keep=14)))
    assert all((result.extra, result.missing) == (4, 0) for result in results)


def test_a_full_list_of_the_wrong_rows_is_found() -> None:
    """The first rows of the first class, in place of the best of all."""

    def by_class(scores: Array, boxes: Array) -> Detections:
        right = detections_of(scores, boxes, Rule())
        return right.select(np.argsort(right.labels, kind="stable")[:10])

    assert all(result.missing > 0 for result in over_many_crowds(Rule(keep=10), by_class))


def wrong(result: Matching) -> bool:
    """What a gate of the tight tolerance says."""
    return result.faults > 0 or result.score_error > TIGHT.score or result.smallest_iou < TIGHT.iou


def test_displaced_boxes_have_a_smaller_iou() -> None:
    boxes = np.array([box(0.1, 0.1, 0.3, 0.3), box(0.6, 0.6, 0.3, 0.3)], np.float32)
    scores = one_class(0.9, 0.8)
    right = detections_of(scores, boxes, Rule())
    result = match(scores, boxes, Rule(), TIGHT, replace(right, boxes=right.boxes + np.float32(0.01)))
    assert result.faults == 0
    assert result.smallest_iou == pytest.approx(0.29**2 / (2 * 0.09 - 0.29**2), abs=1e-4)


def test_displaced_boxes_of_a_crowd_are_found(case: tuple[Array, Array, Detections]) -> None:
    scores, boxes, right = case
    sides = to_centres(right.boxes)[:, 2:]
    shifted = right.boxes + np.concatenate([sides, sides], 1) * np.float32(0.03)
    assert wrong(match(scores, boxes, Rule(), TIGHT, replace(right, boxes=shifted)))


def test_swapped_axes_are_found(case: tuple[Array, Array, Detections]) -> None:
    scores, boxes, right = case
    result = match(scores, boxes, Rule(), TIGHT, replace(right, boxes=right.boxes[:, [1, 0, 3, 2]]))
    assert result.extra > 0
    assert result.missing > 0


@pytest.mark.parametrize("error", [0.002, -0.002, 0.05])
def test_scores_that_are_off_are_measured(error: float) -> None:
    boxes = np.array([box(0.1, 0.1, 0.3, 0.3), box(0.6, 0.6, 0.3, 0.3)], np.float32)
    scores = one_class(0.9, 0.8)
    right = detections_of(scores, boxes, Rule())
    off = right.scores + np.array([0, error], np.float32)
    result = match(scores, boxes, Rule(), TIGHT, replace(right, scores=off))
    assert result.matched == 2
    assert result.score_error == pytest.approx(abs(error), abs=1e-6)


def test_duplicates_are_found(case: tuple[Array, Array, Detections]) -> None:
    scores, boxes, right = case
    twice = right.select(np.append(np.arange(len(right)), 0))
    assert match(scores, boxes, Rule(), TIGHT, twice).overlapping == 1


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("what", ["boxes", "scores"])
@pytest.mark.parametrize("label", [1, 2])
def test_what_is_no_number_is_found(number: float, what: str, label: int) -> None:
    boxes = np.array([box(0.1, 0.1, 0.3, 0.3), box(0.6, 0.6, 0.3, 0.3)], np.float32)
    scores = np.array([[0, 0.9, 0], [0, 0, 0.8]], np.float32)
    right = detections_of(scores, boxes, Rule())
    broken = getattr(right, what).copy()
    broken[label - 1] = number
    with np.errstate(invalid="ignore"):
        assert match(scores, boxes, Rule(), TIGHT, replace(right, **{what: broken})).faults > 0


@pytest.mark.parametrize("width", [0.0, 0.0004, 0.0015])
def test_slivers_at_an_edge_are_told_by_their_corners(width: float) -> None:
    """Clipping leaves lines at the picture's edge, which may move a little and have no IoU to speak of."""
    boxes = np.array([[1 - width, 0.2, 1, 0.5], [0.1, 0.1, 0.6, 0.6]], np.float32)
    scores = np.array([[0, 0.9], [0, 0.8]], np.float32)
    moved_a_little = boxes + np.array([[0, 3e-4, 0, 3e-4], [0, 0, 0, 0]], np.float32)
    found = Detections(moved_a_little, np.array([1, 1]), np.array([0.9, 0.8], np.float32))
    assert match(scores, boxes, Rule(), LOOSE, found).faults == 0
    moved_far = boxes + np.array([[0, 0.3, 0, 0.3], [0, 0, 0, 0]], np.float32)
    found = Detections(moved_far, np.array([1, 1]), np.array([0.9, 0.8], np.float32))
    assert match(scores, boxes, Rule(), LOOSE, found).faults == 2
