"""What stands at the end of a ready IR."""

from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
from openvino.runtime import opset8 as ops
from openvino.runtime import opset9

from ssdconvert.errors import ConversionError
from ssdconvert.ir_file import read_ir
from ssdconvert.ir_graph import common_rows, suppression_of
from ssdconvert.ssd.boxes import decode
from ssdconvert.ssd.detections import Detections, detections_of
from ssdconvert.ssd.heads import coding_of_priors


def named(node: Any, name: str) -> Any:
    node.output(0).get_tensor().set_names({name})
    return node


def detection_output_model(name_tensors: bool = True, defaults: Any = None, **changes: Any) -> openvino.Model:
    """Eight cells, two classes and the background behind them."""
    random = np.random.default_rng(1)
    image = named(ops.parameter([1, 24], np.float32, "image"), "image")
    scores = ops.sigmoid(image)
    boxes = ops.matmul(image, random.standard_normal((24, 32)).astype(np.float32), False, False)
    corners = np.sort(random.random((8, 2, 2)), axis=1).reshape(-1)
    if defaults is None:
        defaults = np.stack([corners, np.tile([0.1, 0.1, 0.2, 0.2], 8)])[None].astype(np.float32)
    priors = ops.constant(defaults)
    if name_tensors:
        named(scores, "confidences"), named(boxes, "locations"), named(priors, "defaults")
    attributes = {
        "background_label_id": 2,
        "top_k": 5,
        "keep_top_k": np.array([6], np.int32),
        "code_type": "caffe.PriorBoxParameter.CENTER_SIZE",
        "share_location": True,
        "variance_encoded_in_target": False,
        "normalized": True,
        "nms_threshold": 0.45,
        "confidence_threshold": 0.01,
    } | changes
    return openvino.Model([named(ops.detection_output(boxes, scores, priors, attributes), "out")], [image])


def nms_model(apart: bool = True, sorted_rows: bool = False, threshold: Any = None) -> openvino.Model:
    """Ten cells of two classes; `apart`: one NMS for both, boxes moved apart by class."""
    random = np.random.default_rng(2)
    image = named(ops.parameter([10, 2], np.float32, "image"), "image")
    scores = ops.sigmoid(image)
    corners = np.sort(random.random((10, 2, 2)) * 64, axis=1).reshape(10, 4).astype(np.float32)
    boxes = ops.add(ops.constant(corners), np.float32(0.0))
    if sorted_rows:
        best = ops.topk(ops.reduce_max(scores, np.array([1]), False), np.int64(6), 0, "max", "value", "i64")
        scores = ops.gather(scores, best.output(1), np.array(0))
        boxes = ops.gather(boxes, best.output(1), np.array(0))
    named(scores, "scores"), named(boxes, "corners")
    if apart:
        cells = scores.get_output_shape(0)[0]
        every = ops.reshape(
            ops.broadcast(ops.unsqueeze(boxes, np.array(1)), np.array([cells, 2, 4])),
            np.array([-1, 4]),
            False,
        )
        step = ops.add(ops.reduce_max(every, np.array([0, 1]), False), np.float32(1))
        moved = ops.multiply(np.tile([0.0, 1.0], cells).astype(np.float32)[:, None], step)
        inputs = (
            ops.unsqueeze(ops.add(every, moved), np.array(0)),
            ops.reshape(scores, np.array([1, 1, -1]), False),
        )
    else:
        inputs = (
            named(ops.unsqueeze(boxes, np.array(0)), "all corners"),
            named(ops.unsqueeze(ops.transpose(scores, np.array([1, 0])), np.array(0)), "by class"),
        )
    halves = [ops.convert(ops.constant(np.float16(value)), "f32") for value in (0.6, 0.05)]
    limit = halves[0] if threshold is None else threshold(image)
    chosen = opset9.non_max_suppression(*inputs, ops.constant(np.int64(7)), limit, halves[1])
    return openvino.Model([chosen.output(0)], [image])


def refusal(model: openvino.Model, classes: int = 2) -> str:
    with pytest.raises(ConversionError) as error:
        suppression_of(model, classes)
    assert error.value.stage == "load"
    assert error.value.hint
    return error.value.message


def test_detection_output_tells_heads_and_rule() -> None:
    end = suppression_of(detection_output_model(), 2)
    assert (end.kind, end.layout) == ("DetectionOutput", "flat")
    assert (end.scores, end.boxes, end.priors) == ("confidences", "locations", "defaults")
    assert (end.default_boxes, end.columns, end.background) == (8, 3, 2)
    assert (end.per_class, end.keep, end.clip, end.order) == (5, 6, False, ())
    assert end.score_threshold == pytest.approx(0.01)
    assert end.iou_threshold == pytest.approx(0.45)


def passing_corners(priors: Any = None, **changes: Any) -> openvino.Model:
    """The same, with decoded boxes that are added to default boxes, of zeros unless given."""
    attributes = {"code_type": "caffe.PriorBoxParameter.CORNER", "variance_encoded_in_target": True}
    zeros = np.zeros((1, 1, 32), np.float32)
    return detection_output_model(defaults=zeros if priors is None else priors, **attributes | changes)


@pytest.mark.parametrize("halves", [False, True])
def test_decoded_boxes_go_through_default_boxes_of_zero(halves: bool) -> None:
    model = passing_corners()
    if halves:
        from openvino._offline_transformations import compress_model_transformation

        compress_model_transformation(model)
    end = suppression_of(model, 2)
    assert (end.kind, end.boxes, end.priors) == ("DetectionOutput", "locations", None)
    assert (end.default_boxes, end.columns, end.per_class, end.keep) == (8, 3, 5, 6)


@pytest.mark.parametrize(
    "model",
    [
        lambda: passing_corners(np.full((1, 1, 32), 0.5, np.float32)),
        lambda: passing_corners(np.zeros((1, 2, 32), np.float32), variance_encoded_in_target=False),
        lambda: passing_corners(code_type="caffe.PriorBoxParameter.CENTER_SIZE"),
    ],
    ids=["others", "with variances", "as centre and size"],
)
def test_other_default_boxes_of_corners_are_not_followed(model: Any) -> None:
    assert "its DetectionOutput has 3 inputs and {" in refusal(model())


def test_no_limit_of_candidates_is_all_default_boxes() -> None:
    assert suppression_of(detection_output_model(top_k=-1), 2).per_class == 8


def test_tensors_without_names_get_some_that_outputs_can_be_added_by() -> None:
    model = detection_output_model(name_tensors=False)
    end = suppression_of(model, 2)
    added = model.add_outputs([end.scores, end.boxes, end.priors])
    assert [list(port.shape) for port in added] == [[1, 24], [1, 32], [1, 2, 32]]


@pytest.mark.parametrize(
    "change",
    [{"decrease_label_id": True}, {"code_type": "caffe.PriorBoxParameter.CORNER"}, {"clip_after_nms": True}],
)
def test_what_the_gate_cannot_follow_is_refused(change: dict[str, Any]) -> None:
    assert next(iter(change)) in refusal(detection_output_model(**change))


def test_another_number_of_classes_is_refused() -> None:
    assert "3 classes with the background, expected 4" in refusal(detection_output_model(), 3)
    assert "2 classes, expected 3" in refusal(nms_model(apart=False), 3)


def test_a_graph_without_suppression_is_refused() -> None:
    image = ops.parameter([1, 4], np.float32)
    assert "found none" in refusal(openvino.Model([ops.relu(image)], [image]))


def test_one_nms_for_all_classes_is_followed_to_scores_and_boxes() -> None:
    end = suppression_of(nms_model(), 2)
    assert (end.layout, end.scores, end.boxes) == ("rows", "scores", "corners")
    assert (end.default_boxes, end.columns, end.per_class, end.keep) == (10, 2, 10, 7)
    assert (end.iou_threshold, end.score_threshold) == (np.float16(0.6), np.float16(0.05))
    assert end.order == ()


def test_an_nms_by_class_has_its_heads_at_its_inputs() -> None:
    end = suppression_of(nms_model(apart=False), 2)
    assert (end.layout, end.scores, end.boxes, end.keep) == ("by_class", "by class", "all corners", 14)


@pytest.mark.parametrize("apart", [True, False])
def test_rows_in_order_of_score_are_told(apart: bool) -> None:
    model = nms_model(apart=apart, sorted_rows=True)
    end = suppression_of(model, 2)
    assert len(end.order) == 1
    assert list(model.add_outputs(list(end.order))[0].shape) == [6]


def test_a_threshold_that_is_computed_is_refused() -> None:
    model = nms_model(threshold=lambda image: ops.reduce_max(image, np.array([0, 1]), False))
    assert "not constants" in refusal(model)


def test_rows_of_the_same_cells_are_found() -> None:
    first = [np.array([4, 0, 9]), np.array([1, 0])]
    second = [np.array([9, 4, 7]), np.array([0, 1])]
    ours, theirs = common_rows(first, second)
    cells = [np.concatenate([level + 100 * i for i, level in enumerate(run)]) for run in (first, second)]
    assert sorted(cells[0][ours]) == [4, 9, 100, 101]
    assert (cells[0][ours] == cells[1][theirs]).all()


REAL = {
    "face-detection-retail-0004": (1, 1, ("mbox_conf_flatten", "fc7_mbox_loc_flat", "fc7_mbox_priorbox")),
    "person-vehicle-bike-detection-2000": (3, 0, ("555", "574", "517")),
    "person-vehicle-bike-detection-2004": (3, 0, ("2187", "2174", None)),
}


@pytest.mark.parametrize("name", REAL)
def test_heads_and_rule_of_published_irs_give_their_own_detections(
    name: str, mirror: Path, photographs: list[Path]
) -> None:
    import cv2

    classes, first_label, tensors = REAL[name]
    model = read_ir(mirror / name / "FP16" / f"{name}.xml")
    end = suppression_of(model, classes)
    assert (end.scores, end.boxes, end.priors) == tensors
    assert len(end.order) == (5 if name.endswith("2004") else 0)
    model.add_outputs([tensor for tensor in tensors if tensor])
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    height, width = model.input().shape[2:]
    for path in photographs[:2]:
        image = cv2.resize(cv2.imread(str(path)), (width, height)).transpose(2, 0, 1)[None].astype(np.float32)
        outputs = compiled(image)
        scores, boxes = outputs[end.scores], outputs[end.boxes]
        if end.layout == "flat":
            scores = np.roll(scores.reshape(-1, end.columns), -end.background - 1, axis=1)
            scores = np.roll(scores, 1, axis=1)  # the background first
            coding = coding_of_priors(outputs[end.priors])
            boxes = decode(boxes.reshape(-1, 4), coding.default_boxes, coding.variances)
            rows = outputs["detection_out"].reshape(-1, 7)
            rows = rows[np.logical_and.accumulate(rows[:, 0] >= 0)]
            own = Detections(rows[:, 3:], rows[:, 1].astype(np.int64) + 1 - first_label, rows[:, 2])
            own = own.select(np.argsort(-own.scores, kind="stable"))
        else:
            scores = np.pad(scores, ((0, 0), (1, 0)))
            rows = outputs["boxes"]
            own = Detections(rows[:, :4], outputs["labels"] + 1 - first_label, rows[:, 4])
        found = detections_of(scores, boxes, Rule(end))
        assert len(found) > 20
        assert (found.labels == own.labels).all()
        assert (found.scores == own.scores).all()
        np.testing.assert_allclose(found.boxes, own.boxes, atol=1e-4)


class Rule:
    """A Suppression as detections_of takes it."""

    at_iou_threshold = "keep"

    def __init__(self, end: Any) -> None:
        self.score_threshold, self.iou_threshold = end.score_threshold, end.iou_threshold
        self.per_class, self.keep = end.per_class, end.keep
