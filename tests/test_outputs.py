"""The three forms in which detections are handed out: how each is read, and each broken promise by its name."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssdconvert.outputs import (
    FARTHEST_BOX,
    FORMS,
    STATIC,
    UNPADDED,
    OutputSpec,
    form_of,
    output_shapes,
    output_spec,
    unknown_form,
)
from ssdconvert.recipe import Recipe

Outputs = dict[str, Any]
ROWS = 6
BOX = (0.1, 0.2, 0.5, 0.6)
FAR = f"boxes leave the picture by more than {FARTHEST_BOX} of its sides: are they in other units?"
CROSSED = "boxes are not x_min <= x_max, y_min <= y_max"
NOT_FINITE = "boxes or scores hold NaN or infinity"
OUT_OF_RANGE = "scores leave 0..1"
quick = settings(max_examples=50, deadline=None)


def form(*names: str) -> Any:
    found = form_of(names)
    assert found is not None
    return found


def detection_out(*rows: tuple[float, ...], image_ids: dict[int, float] | None = None) -> Outputs:
    """Rows of (label, score, corners) of image 0, then one of image_id -1, then zeros."""
    array = np.zeros((1, 1, ROWS, 7), np.float32)
    for index, row in enumerate(rows):
        array[0, 0, index, 1:] = row
    if len(rows) < ROWS:
        array[0, 0, len(rows), 0] = -1
    for index, image_id in (image_ids or {}).items():
        array[0, 0, index, 0] = image_id
    return {"detection_out": array}


def boxes_and_labels(*rows: tuple[float, ...], labels: tuple[int, ...] = ()) -> Outputs:
    """Rows of (corners, score)."""
    boxes = np.array(rows, np.float32).reshape(-1, 5)
    return {"boxes": boxes, "labels": np.array(labels or [0] * len(boxes), np.int64)}


def static(count: int = 2) -> Outputs:
    """Two detections, best first, and unused rows."""
    outputs = {
        "bboxes": np.zeros((1, ROWS, 4), np.float32),
        "labels": np.zeros((1, ROWS), np.int64),
        "scores": np.zeros((1, ROWS), np.float32),
    }
    outputs["bboxes"][0, :count] = BOX
    outputs["labels"][0, :count] = 1
    outputs["scores"][0, :count] = np.linspace(0.9, 0.3, count)
    return outputs


def changed(outputs: Outputs, name: str, index: Any, value: Any) -> Outputs:
    array = outputs[name].copy()
    array[index] = value
    return {**outputs, name: array}


def test_the_form_follows_from_the_names() -> None:
    assert form_of(["scores", "bboxes", "labels"]) is STATIC
    assert [form_of(f.names) for f in FORMS] == list(FORMS)
    for names in ([], ["boxes"], ["scores", "boxes"], ["bboxes", "labels", "scores", "extra"]):
        assert form_of(names) is None


@pytest.mark.parametrize(
    ("units", "first_label", "spec"),
    [
        ("normalised", 1, OutputSpec(7, 3, 1, (1, 1))),
        ("pixels", 0, OutputSpec(7, 3, 0, (320, 240))),
    ],
)
def test_the_spec_of_a_recipe(units: str, first_label: int, spec: OutputSpec) -> None:
    document = {
        "schema": 1, "name": "m", "title": "m", "licence": "MIT",
        "source": {"kind": "onnx", "files": [{"name": "m.onnx", "urls": []}]},
        "input": {
            "name": "image", "shape": [1, 3, 240, 320], "color": {"model": "rgb"},
            "resize": {"mode": "stretch", "filter": "bilinear", "library": "opencv"},
        },
        "detections": {
            "boxes": "xyxy", "units": units, "labels": ["cat", "dog"], "first_label": first_label,
            "score_threshold": 0.1, "iou_threshold": 0.5, "per_class": 10, "keep": 7,
        },
    }  # fmt: skip
    assert output_spec(Recipe.model_validate_json(json.dumps(document))) == spec


class TestStatic:
    spec = OutputSpec(ROWS, classes=3)

    def test_unused_rows_are_not_read(self) -> None:
        found = STATIC.read(static(), self.spec)
        assert len(found) == 2
        assert found.labels.tolist() == [1, 1]
        np.testing.assert_allclose(found.scores, [0.9, 0.3], rtol=1e-6)
        np.testing.assert_allclose(found.boxes, [BOX, BOX], rtol=1e-6)

    @pytest.mark.parametrize("count", [0, 1, ROWS])
    def test_what_keeps_its_promises(self, count: int) -> None:
        assert STATIC.broken(static(count), self.spec) == []

    @pytest.mark.parametrize(
        ("name", "index", "value", "promise"),
        [
            ("scores", (0, 1), 0.95, "scores are not best first"),
            ("scores", (0, 0), 1.01, OUT_OF_RANGE),
            ("scores", (0, 5), -0.01, OUT_OF_RANGE),
            ("scores", (0, 5), np.nan, NOT_FINITE),
            ("labels", (0, 5), 1, "unused rows are not zero"),
            ("bboxes", (0, 5, 2), 0.5, "unused rows are not zero"),
            ("labels", (0, 1), 0, "labels leave 1..2"),
            ("labels", (0, 1), 3, "labels leave 1..2"),
            ("bboxes", (0, 1, 0), 0.51, CROSSED),
            ("bboxes", (0, 1, 3), 0.19, CROSSED),
            ("bboxes", (0, 1, 2), np.inf, NOT_FINITE),
            ("bboxes", (0, 1, 2), 1 + FARTHEST_BOX + 0.01, FAR),
            ("bboxes", (0, 1, 1), -FARTHEST_BOX - 0.01, FAR),
        ],
    )
    def test_a_broken_promise_is_named(self, name: str, index: Any, value: float, promise: str) -> None:
        assert promise in STATIC.broken(changed(static(), name, index, value), self.spec)

    def test_one_fault_is_one_broken_promise(self) -> None:
        assert STATIC.broken(changed(static(), "labels", (0, 1), 3), self.spec) == ["labels leave 1..2"]
        far = changed(static(), "bboxes", (0, 1, 2), 1 + FARTHEST_BOX + 0.01)
        assert STATIC.broken(far, self.spec) == [FAR]

    def test_a_box_may_leave_the_picture_a_little(self) -> None:
        assert STATIC.broken(changed(static(), "bboxes", (0, 1, 2), 1 + FARTHEST_BOX), self.spec) == []

    def test_labels_of_another_type(self) -> None:
        outputs = static() | {"labels": static()["labels"].astype(np.int32)}
        assert STATIC.broken(outputs, self.spec) == ["labels is not i64"]

    def test_rows_that_are_not_all_there(self) -> None:
        assert STATIC.broken({name: array[:, :5] for name, array in static().items()}, self.spec) == [
            "bboxes has the shape [1, 5, 4], expected [1, 6, 4]",
            "labels has the shape [1, 5], expected [1, 6]",
            "scores has the shape [1, 5], expected [1, 6]",
        ]

    def test_dynamic_rows_are_read_though_they_are_not_static(self) -> None:
        """An original with an NMS of its own hands out as many rows as it finds."""
        for count in (0, 3):
            outputs = {name: array[:, :count] for name, array in static(count).items()}
            assert len(STATIC.read(outputs, self.spec)) == count
            assert len(STATIC.broken(outputs, self.spec)) == len(output_shapes(ROWS))


class TestDetectionOut:
    spec = OutputSpec(ROWS, classes=3)
    form = form("detection_out")

    def test_best_first_whatever_the_order_of_rows(self) -> None:
        found = self.form.read(detection_out((1, 0.3, *BOX), (2, 0.9, 0, 0, 1, 1)), self.spec)
        assert found.labels.tolist() == [2, 1]
        np.testing.assert_allclose(found.scores, [0.9, 0.3], rtol=1e-6)
        np.testing.assert_allclose(found.boxes, [(0, 0, 1, 1), BOX], rtol=1e-6)
        assert (found.labels.dtype, found.boxes.shape) == (np.int64, (2, 4))

    def test_the_list_ends_at_image_id_minus_one(self) -> None:
        rows = [(1, score, *BOX) for score in (0.9, 0.8, 0.7, 0.6)]
        outputs = detection_out(*rows, image_ids={2: -1})
        np.testing.assert_allclose(self.form.read(outputs, self.spec).scores, [0.9, 0.8], rtol=1e-6)

    def test_what_follows_the_end_is_not_judged(self) -> None:
        """OpenVINO leaves there what was in the memory, or zeros."""
        outputs = detection_out((1, 0.9, *BOX))
        outputs["detection_out"][0, 0, 3] = [5, 99, 7, 3, 3, 1, np.nan]
        assert self.form.broken(outputs, self.spec) == []
        assert len(self.form.read(outputs, self.spec)) == 1

    def test_zero_rows_without_an_end_are_no_detections(self) -> None:
        """OpenCV fills up with zeros, which would read as background of score 0."""
        outputs = detection_out((1, 0.9, *BOX), image_ids={1: 0})
        assert len(self.form.read(outputs, self.spec)) == 1

    @pytest.mark.parametrize("rows", [(), ((1, 0.9, *BOX),) * ROWS])
    def test_an_empty_and_a_full_list(self, rows: Any) -> None:
        outputs = detection_out(*rows)
        assert self.form.broken(outputs, self.spec) == []
        assert len(self.form.read(outputs, self.spec)) == len(rows)

    def test_labels_from_zero_become_labels_from_one(self) -> None:
        spec = OutputSpec(ROWS, classes=3, first_label=0)
        outputs = detection_out((0, 0.9, *BOX), (1, 0.8, *BOX))
        assert self.form.read(outputs, spec).labels.tolist() == [1, 2]
        assert self.form.broken(outputs, spec) == []
        assert self.form.broken(detection_out((2, 0.9, *BOX)), spec) == ["labels leave 0..1"]
        assert self.form.broken(outputs, self.spec) == ["labels leave 1..2"]

    def test_boxes_in_pixels(self) -> None:
        spec = OutputSpec(ROWS, classes=3, sides=(200, 100))
        outputs = detection_out((1, 0.9, 20, 20, 100, 60))
        np.testing.assert_allclose(self.form.read(outputs, spec).boxes, [BOX], rtol=1e-6)
        assert self.form.broken(outputs, spec) == []
        assert self.form.broken(outputs, self.spec) == [FAR]

    @pytest.mark.parametrize(
        ("row", "promise"),
        [
            ((1.5, 0.9, *BOX), "labels are not whole numbers"),
            ((0, 0.9, *BOX), "labels leave 1..2"),
            ((3, 0.9, *BOX), "labels leave 1..2"),
            ((1, 1.1, *BOX), OUT_OF_RANGE),
            ((1, -0.1, *BOX), OUT_OF_RANGE),
            ((1, np.nan, *BOX), NOT_FINITE),
            ((1, 0.9, 0.5, 0.2, 0.4, 0.6), CROSSED),
            ((1, 0.9, 0.1, 0.2, 30, 0.6), FAR),
        ],
    )
    def test_a_broken_promise_is_named(self, row: tuple[float, ...], promise: str) -> None:
        assert promise in self.form.broken(detection_out((1, 0.95, *BOX), row), self.spec)

    def test_another_picture_of_the_batch(self) -> None:
        outputs = detection_out((1, 0.9, *BOX), (1, 0.8, *BOX), image_ids={1: 1})
        assert self.form.broken(outputs, self.spec) == ["an image_id is not 0"]

    def test_another_type_and_another_shape(self) -> None:
        array = detection_out((1, 0.5, *BOX))["detection_out"]
        assert self.form.broken({"detection_out": array.astype(np.float64)}, self.spec) == [
            "detection_out is not f32"
        ]
        assert self.form.broken({"detection_out": array[:, :, :5]}, self.spec) == [
            "detection_out has the shape [1, 1, 5, 7], expected [1, 1, 6, 7]"
        ]


class TestBoxesAndLabels:
    spec = OutputSpec(ROWS, classes=3, first_label=0, sides=(200, 100))
    form = form("boxes", "labels")

    def test_pixels_become_fractions_best_first(self) -> None:
        outputs = boxes_and_labels((0, 0, 200, 100, 0.4), (20, 20, 100, 60, 0.9), labels=(0, 1))
        found = self.form.read(outputs, self.spec)
        np.testing.assert_allclose(found.boxes, [BOX, (0, 0, 1, 1)], rtol=1e-6)
        np.testing.assert_allclose(found.scores, [0.9, 0.4], rtol=1e-6)
        assert found.labels.tolist() == [2, 1]
        assert self.form.broken(outputs, self.spec) == []

    @pytest.mark.parametrize("count", [0, 1, ROWS])
    def test_as_many_rows_as_there_are_detections(self, count: int) -> None:
        outputs = boxes_and_labels(*[(20, 20, 100, 60, 0.9)] * count)
        assert self.form.broken(outputs, self.spec) == []
        assert len(self.form.read(outputs, self.spec)) == count

    def test_rows_of_score_zero_are_unused(self) -> None:
        """Whatever is in them: a label that no class has is not read."""
        outputs = boxes_and_labels((20, 20, 100, 60, 0.9), (9, 0, 0, 0, 0), labels=(0, 77))
        assert self.form.broken(outputs, self.spec) == []
        assert self.form.read(outputs, self.spec).labels.tolist() == [1]

    @pytest.mark.parametrize(
        ("row", "label", "promise"),
        [
            ((20, 20, 100, 60, 0.9), 2, "labels leave 0..1"),
            ((20, 20, 100, 60, 0.9), -1, "labels leave 0..1"),
            ((20, 20, 100, 60, 1.5), 0, OUT_OF_RANGE),
            ((20, 20, 100, 60, np.inf), 0, NOT_FINITE),
            ((20, np.nan, 100, 60, 0.9), 0, NOT_FINITE),
            ((100, 20, 20, 60, 0.9), 0, CROSSED),
            ((20, 20, 100, 601, 0.9), 0, FAR),
            ((20, 20, 1201, 60, 0.9), 0, FAR),
        ],
    )
    def test_a_broken_promise_is_named(self, row: tuple[float, ...], label: int, promise: str) -> None:
        outputs = boxes_and_labels((20, 20, 100, 60, 0.95), row, labels=(0, label))
        assert promise in self.form.broken(outputs, self.spec)

    def test_a_side_of_the_right_length_for_the_other_axis(self) -> None:
        """1200 of 200 pixels is the farthest to the right, 600 of 100 the farthest down."""
        assert self.form.broken(boxes_and_labels((20, 20, 1200, 600, 0.9)), self.spec) == []

    def test_types(self) -> None:
        outputs = boxes_and_labels((20, 20, 100, 60, 0.5))
        halves = outputs | {"boxes": outputs["boxes"].astype(np.float16)}
        assert self.form.broken(halves, self.spec) == ["boxes is not f32"]
        floats = outputs | {"labels": outputs["labels"].astype(np.float32)}
        assert self.form.broken(floats, self.spec) == ["labels are not integers"]
        assert self.form.broken(outputs | {"labels": outputs["labels"].astype(np.int32)}, self.spec) == []

    @pytest.mark.parametrize(
        ("boxes", "labels"), [((2, 4), (2,)), ((1, 2, 5), (2,)), ((2, 5), (3,)), ((7, 5), (7,)), ((2, 5), (2, 1))]
    )  # fmt: skip
    def test_shapes(self, boxes: tuple[int, ...], labels: tuple[int, ...]) -> None:
        outputs = {"boxes": np.zeros(boxes, np.float32), "labels": np.zeros(labels, np.int64)}
        assert self.form.broken(outputs, self.spec) == [
            f"the outputs are boxes {list(boxes)} and labels {list(labels)}, expected [N, 5] and [N] with N <= 6"
        ]


side = st.integers(0, 64)
detection = st.tuples(side, side, side, side, st.integers(1, 64), st.integers(0, 1))


def written_static(rows: list[tuple[int, ...]], spec: OutputSpec) -> Outputs:
    outputs = static(0)
    for index, (x1, y1, x2, y2, score, label) in enumerate(sorted(rows, key=lambda row: -row[4])):
        outputs["bboxes"][0, index] = np.array([x1, y1, x2, y2]) / 64
        outputs["labels"][0, index] = label + 1
        outputs["scores"][0, index] = score / 64
    return outputs


def written_detection_out(rows: list[tuple[int, ...]], spec: OutputSpec) -> Outputs:
    sides = np.array(spec.sides * 2)
    return detection_out(
        *[(row[5] + spec.first_label, row[4] / 64, *(np.array(row[:4]) / 64 * sides)) for row in rows]
    )


def written_boxes_and_labels(rows: list[tuple[int, ...]], spec: OutputSpec) -> Outputs:
    sides = np.array(spec.sides * 2)
    return boxes_and_labels(
        *[(*(np.array(row[:4]) / 64 * sides), row[4] / 64) for row in rows],
        labels=tuple(row[5] + spec.first_label for row in rows),
    )


@pytest.mark.parametrize(
    ("names", "write", "spec"),
    [
        (STATIC.names, written_static, OutputSpec(ROWS, 3)),
        (("detection_out",), written_detection_out, OutputSpec(ROWS, 3, 0, (128, 32))),
        (("boxes", "labels"), written_boxes_and_labels, OutputSpec(ROWS, 3, 1, (128, 32))),
    ],
)
@quick
@given(st.lists(detection, max_size=ROWS))
def test_every_form_reads_what_was_written(
    names: tuple[str, ...], write: Callable[..., Outputs], spec: OutputSpec, drawn: list[tuple[int, ...]]
) -> None:
    rows = [(min(a, c), min(b, d), max(a, c), max(b, d), score, label) for a, b, c, d, score, label in drawn]
    outputs = write(rows, spec)
    assert form(*names).broken(outputs, spec) == []
    found = form(*names).read(outputs, spec)
    told = zip((found.boxes * 64).tolist(), (found.scores * 64).tolist(), found.labels.tolist(), strict=True)
    assert sorted((*box, score, label - 1) for box, score, label in told) == sorted(rows)
    assert (np.diff(found.scores) <= 0).all()


# --- of files that ssdconvert did not make


def unpadded(count: int) -> Outputs:
    return {name: array[:, :count] for name, array in static(count).items()}


@pytest.mark.parametrize("count", [0, 1, ROWS])
def test_unpadded_rows_keep_their_promises(count: int) -> None:
    spec = OutputSpec(ROWS, 3)
    assert UNPADDED.broken(unpadded(count), spec) == []
    assert len(UNPADDED.read(unpadded(count), spec)) == count
    assert UNPADDED.broken(static(), spec) == []
    assert (STATIC.broken(unpadded(count), spec) == []) == (count == ROWS)


def test_what_unpadded_rows_break() -> None:
    spec = OutputSpec(ROWS, 3)
    rows = unpadded(2)
    for name, wrong in (
        ("bboxes", rows["bboxes"][:, :1]),
        ("labels", rows["labels"][0]),
        ("labels", rows["labels"].astype(np.float32)),
        ("labels", rows["labels"] + 5),
        ("scores", rows["scores"] + 1),
        ("scores", rows["scores"] * np.nan),
    ):
        assert UNPADDED.broken(rows | {name: wrong}, spec), name
    assert "N <= 1" in UNPADDED.broken(rows, OutputSpec(1, 3))[0]


def test_outputs_of_unknown_names_are_always_broken() -> None:
    outputs = {"scores": np.ones(3, np.float32), "boxes": np.ones((3, 4), np.float32)}
    (told,) = unknown_form(list(outputs)).broken(outputs, OutputSpec(ROWS, 3))
    assert told == (
        "the outputs are boxes, scores, expected bboxes, labels, scores; or detection_out; or boxes, labels"
    )
    assert len(unknown_form(["scores"]).read({}, OutputSpec(ROWS, 3))) == 0
