"""Outputs of any model: which form they have, and every row of it, in batches and all types of numbers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssdconvert.errors import RecipeError
from ssdconvert.model_facts import ModelFacts, Port
from ssdconvert.output_rows import RawHeads, Reading, reading_of
from ssdconvert.ssd.heads import Heads

BOX = (0.125, 0.25, 0.5, 0.75)


def facts(*outputs: tuple[str, tuple[int | None, ...] | None]) -> ModelFacts:
    ports = tuple(Port(name, sides, "f32") for name, sides in outputs)
    return ModelFacts(Path("m.xml"), (Port("picture", (1, 3, 8, 8), "f32"),), ports, {})


def read(reading: Reading, **outputs: Any) -> list[list[tuple[Any, ...]]]:
    found = reading.read({name: np.asarray(array) for name, array in outputs.items()})
    return [
        [(*box, label, score) for box, label, score in zip(*map(np.ndarray.tolist, parts), strict=True)]
        for parts in ((rows.boxes, rows.labels, rows.scores) for rows in found)
    ]


ONE = facts(("detection_out", (1, 1, 4, 7)))


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.float64])
def test_one_output_ends_at_image_id_minus_one(detection_rows: Any, kind: Any) -> None:
    """Zeros behind the end read as image 0 with the score 0, and rows of before as detections."""
    array = detection_rows((0, 2, 0.25, *BOX), (0, 1, 0.75, *BOX))
    array[0, 0, 4] = (0, 3, 0.875, *BOX)
    (rows,) = read(reading_of(ONE, 1), detection_out=array.astype(kind))
    assert rows == [(*BOX, 2, 0.25), (*BOX, 1, 0.75)]  # in the order of the output


def test_one_output_of_any_name_and_fewer_ranks(detection_rows: Any) -> None:
    reading = reading_of(facts(("DetectionOutput_7", (None, 7))), 1)
    assert "DetectionOutput_7 f32 [?, 7]" in reading.told
    (rows,) = reading.read({"DetectionOutput_7": detection_rows((0, 2, 0.25, *BOX))[0, 0]})
    assert (rows.labels.tolist(), rows.scores.tolist()) == ([2], [0.25])


def test_a_batch_is_told_apart_by_image_id(detection_rows: Any) -> None:
    array = detection_rows((0, 2, 0.25, *BOX), (1, 1, 0.75, *BOX), (1, 3, 0.5, *BOX))
    first, second, third = read(reading_of(ONE, 3), detection_out=array)
    assert first == [(*BOX, 2, 0.25)]
    assert second == [(*BOX, 1, 0.75), (*BOX, 3, 0.5)]
    assert third == []


@pytest.mark.parametrize("kind", [np.int32, np.int64, np.uint16, np.float32, np.uint8])
def test_boxes_and_labels(kind: Any) -> None:
    reading = reading_of(facts(("labels", (None,)), ("boxes", (None, 5)), ("masks", (1,))), 1)
    assert reading.in_pixels
    boxes = np.array([[10, 20, 30, 40, 0.5], [1, 2, 3, 4, 0.75], [0, 0, 0, 0, 0]], np.float16)
    (rows,) = read(reading, boxes=boxes, labels=np.array([1, 0, 0], kind))
    assert rows == [(10, 20, 30, 40, 1, 0.5), (1, 2, 3, 4, 0, 0.75)]
    assert all(isinstance(row[4], int) for row in rows)


@pytest.mark.parametrize("batch", [1, 2])
def test_three_outputs(batch: int) -> None:
    """Of MLPerf's kind: the old sample let them in and died of a missing name."""
    reading = reading_of(facts(("bboxes", (1, None, 4)), ("labels", (1, None)), ("scores", (1, None))), batch)
    boxes = np.tile(np.array(BOX, np.float16), (batch, 3, 1))
    labels = np.arange(3 * batch, dtype=np.int32).reshape(batch, 3)
    scores = np.tile(np.array([0.5, 0.25, 0], np.float16), (batch, 1))
    found = read(reading, bboxes=boxes, labels=labels, scores=scores)
    assert found == [[(*BOX, 3 * b, 0.5), (*BOX, 3 * b + 1, 0.25)] for b in range(batch)]


def test_three_outputs_without_a_batch() -> None:
    reading = reading_of(facts(("bboxes", (3, 4)), ("labels", (3,)), ("scores", (3,))), 1)
    (rows,) = read(reading, bboxes=np.tile(BOX, (3, 1)), labels=[1, 2, 3], scores=[0.5, 0.25, 0])
    assert rows == [(*BOX, 1, 0.5), (*BOX, 2, 0.25)]


class Rule:
    score_threshold, iou_threshold, at_iou_threshold, per_class, keep = 0.3, 0.5, "keep", 10, 10


def test_raw_heads_are_suppressed_by_the_recipes_rule() -> None:
    raw = RawHeads(Heads(), "scores", "boxes", Rule())
    reading = reading_of(facts(("scores", (2, 3, 3)), ("boxes", (2, 3, 4))), 2, raw)
    scores = np.array([[[0, 0.75, 0], [0, 0.5, 0], [0, 0, 0.4375]], [[0, 0.25, 0]] * 3], np.float16)
    boxes = np.array([[BOX, BOX, (0.5, 0.5, 1, 1)], [BOX] * 3], np.float32)
    first, second = read(reading, scores=scores, boxes=boxes)
    assert first == [(*BOX, 1, 0.75), (0.5, 0.5, 1, 1, 2, 0.4375)]
    assert second == []


@pytest.mark.parametrize(
    "given",
    [
        (("scores", (1, 10, 2)), ("boxes", (1, 10, 4))),
        (("boxes", (10, 4)), ("labels", (10,)), ("scores", (10,))),
        (("boxes", (10, 5)),),
        (("x", (1, 1000)),),
        (("x", (1, 7, 7, 1024)),),
    ],
)
def test_an_unknown_form_lists_what_was_found_and_what_is_understood(given: Any) -> None:
    with pytest.raises(RecipeError) as refused:
        reading_of(facts(*given), 1)
    for name, sides in given:
        assert f"{name} f32 {list(sides)}" in refused.value.message
    for words in ("[1, 1, N, 7]", "`boxes` [N, 5]", "`bboxes` [B, N, 4]", "raw `scores`"):
        assert words in refused.value.hint


def test_boxes_and_labels_of_a_batch_cannot_be_told_apart() -> None:
    with pytest.raises(RecipeError, match="takes a batch of 2"):
        reading_of(facts(("boxes", (10, 5)), ("labels", (10,))), 2)


def test_detections_are_best_first_and_in_our_numbers() -> None:
    reading = reading_of(facts(("boxes", (2, 5)), ("labels", (2,))), 1)
    (rows,) = reading.read(
        {"boxes": np.array([[8, 8, 16, 16, 0.5], [0, 4, 32, 8, 0.75]]), "labels": np.array([2, 0])}
    )
    found = rows.detections(first_label=0, sides=(32, 16))
    assert found.labels.tolist() == [1, 3]
    assert found.scores.tolist() == [0.75, 0.5]
    assert found.boxes.tolist() == [[0, 0.25, 1, 0.5], [0.25, 0.5, 0.5, 1]]


@pytest.mark.parametrize("row", [(0, 1, np.nan, *BOX), (0, 1, 0.5, np.inf, 0, 1, 1), (0, np.nan, 0.5, *BOX)])
def test_what_is_no_number_is_no_detection(detection_rows: Any, row: Any) -> None:
    with pytest.raises(ValueError, match="NaN or infinity"):
        reading_of(ONE, 1).read({"detection_out": detection_rows(row)})


def test_boxes_and_labels_that_do_not_fit() -> None:
    reading = reading_of(facts(("boxes", (None, 5)), ("labels", (None,))), 1)
    with pytest.raises(ValueError, match="5 boxes, 3 labels"):
        reading.read({"boxes": np.ones((5, 5), np.float32), "labels": np.ones(3, np.int64)})
