"""The rule in the graphs of tails: each is read as what it was made of, and told from every other."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
from onnx import TensorProto, helper
from openvino.runtime import opset8 as ops

from ssdconvert.errors import ConversionError
from ssdconvert.ir_rule import broken_detection_output, broken_tail
from ssdconvert.model_optimizer import from_onnx
from ssdconvert.recipe import Detections
from ssdconvert.ssd.heads import BoxCoding, Heads
from ssdconvert.tails.detection_output import add_detection_output
from ssdconvert.tails.nms import add_nms_tail

BOXES, CLASSES = 24, 3
RULE: dict[str, Any] = {
    "boxes": "xyxy",
    "units": "normalised",
    "labels": ("cat", "dog", "cow"),
    "score_threshold": 0.3,
    "iou_threshold": 0.45,
    "per_class": 10,
    "keep": 20,
}
CODING = BoxCoding(np.full((BOXES, 4), 0.5, np.float32), (0.1, 0.2))


def rule(**changes: Any) -> Detections:
    return Detections.model_validate(RULE | changes)


@pytest.fixture
def tail(tmp_path: Path) -> Any:
    """Write the tail of a rule behind two inputs, as an IR, and read it back."""

    def made(
        of: Detections,
        coding: BoxCoding | None = CODING,
        logits: bool = False,
        cut: bool = False,
        add: Any = add_nms_tail,
    ) -> Any:
        heads = Heads(coding, of.clip, logits)
        float_ = TensorProto.FLOAT
        inputs = [
            helper.make_tensor_value_info(name, float_, [1, BOXES, numbers])
            for name, numbers in (("a", CLASSES + 1), ("b", 4))
        ]
        nodes = [
            helper.make_node("Relu", ["a"], [heads.scores]),
            # a network that cuts its boxes itself
            helper.make_node("Clip", ["b", "low", "high"], [heads.boxes])
            if cut
            else helper.make_node("Relu", ["b"], [heads.boxes]),
        ]
        edges = [helper.make_tensor(name, float_, [], [value]) for name, value in (("low", 0), ("high", 1))]
        model = helper.make_model(
            helper.make_graph(nodes, "heads", inputs, [], edges if cut else []),
            opset_imports=[helper.make_opsetid("", 13)],
            ir_version=8,
        )
        add(model, heads, BOXES, CLASSES + 1, of)
        onnx.save(model, tmp_path / "tail.onnx")
        openvino.save_model(
            from_onnx(tmp_path / "tail.onnx", {}), tmp_path / "tail.xml", compress_to_fp16=False
        )
        return openvino.Core().read_model(tmp_path / "tail.xml")

    return made


VARIANTS: list[dict[str, Any]] = [
    {},
    {"at_iou_threshold": "suppress"},
    {"clip": True},
    {"per_class": 24},
    {"per_class": 200},  # more than there are
    {"per_class": 1},
    {"keep": 1},
    {"keep": 31},
    {"keep": 500},  # more than there can be
    {"score_threshold": 0.0},
    {"iou_threshold": 0.0},
    {"iou_threshold": 0.5, "at_iou_threshold": "suppress"},
    {"iou_threshold": 1.0},
    {"iou_threshold": 1.0, "at_iou_threshold": "suppress"},
]


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
@pytest.mark.parametrize(
    "heads", [{}, {"logits": True}, {"coding": None}, {"coding": None, "cut": True}], ids=str
)
def test_a_tail_has_the_rule_it_was_made_of(
    tail: Any, changes: dict[str, Any], heads: dict[str, Any]
) -> None:
    made = rule(**changes)
    assert broken_tail(made, CLASSES, tail(made, **heads)) == []


@pytest.mark.parametrize(
    ("made", "promised", "told"),
    [
        ({"iou_threshold": 0.45}, {"iou_threshold": 0.5}, "iou_threshold 0.45, expected 0.5"),
        ({"iou_threshold": 0.3 + 1.5e-5}, {"iou_threshold": 0.3}, "iou_threshold 0.300015, expected 0.3"),
        ({"score_threshold": 0.30005}, {}, "score_threshold 0.30005, expected 0.3"),
        ({"score_threshold": 0.0}, {}, "score_threshold 0, expected 0.3"),
        ({"at_iou_threshold": "suppress"}, {}, "at_iou_threshold suppress, expected keep"),
        ({}, {"at_iou_threshold": "suppress"}, "at_iou_threshold keep, expected suppress"),
        ({"clip": True}, {}, "clip yes, expected no"),
        ({}, {"clip": True}, "clip no, expected yes"),
        ({}, {"per_class": 9}, "per_class 10, expected 9 of 24"),
        ({"per_class": 200}, {}, "per_class 24, expected 10 of 24"),
        ({"keep": 10}, {}, "keep 10, expected 20"),
        ({"keep": 30}, {}, "keep 30, expected 20"),
        ({"keep": 500}, {}, "keep 31, expected 20"),
    ],
    ids=str,
)
@pytest.mark.parametrize("heads", [{}, {"coding": None}, {"coding": None, "cut": True}], ids=str)
def test_another_rule_is_told(tail: Any, made: Any, promised: Any, told: str, heads: dict[str, Any]) -> None:
    assert broken_tail(rule(**promised), CLASSES, tail(rule(**made), **heads)) == [told]


def test_another_number_of_classes_is_told(tail: Any) -> None:
    (told,) = broken_tail(rule(), CLASSES + 1, tail(rule()))
    assert told == "scores [3, 1, 10] enter, expected [4, 1, 10]: 4 classes"


def node_of(model: Any, kind: str, which: int = 0) -> Any:
    return [node for node in model.get_ordered_ops() if node.get_type_name() == kind][which]


def replaced(model: Any, kind: str, which: int, source: Any) -> Any:
    """Give other inputs to what reads the first output of a node."""
    for reader in node_of(model, kind, which).output(0).get_target_inputs():
        reader.replace_source_output(source.output(0))
    return model


def test_candidates_that_are_not_the_best_are_told(tail: Any) -> None:
    model = tail(rule())
    best = node_of(model, "TopK")
    first = ops.slice(best.input_value(0), *(np.array([n]) for n in (0, 10, 1, 1)))
    (told,) = broken_tail(rule(), CLASSES, replaced(model, "TopK", 0, first))
    assert told == "per_class: 10 candidates that no TopK picked, expected the best 10"


def test_rows_that_are_not_the_best_are_told(tail: Any) -> None:
    model = tail(rule())
    first = ops.slice(node_of(model, "TopK", 1).input_value(0), *(np.array([n]) for n in (0, 20, 1, 0)))
    (told,) = broken_tail(rule(), CLASSES, replaced(model, "TopK", 1, first))
    assert told == "keep: rows that no TopK picked in order, expected the best 20"


def test_an_nms_that_lets_fewer_out_is_told(tail: Any) -> None:
    model = tail(rule())
    node_of(model, "NonMaxSuppression").input(2).replace_source_output(ops.constant(np.int64(4)).output(0))
    (told,) = broken_tail(rule(), CLASSES, model)
    assert told == "per_class: at most 4 of 10 candidates come out, expected all"


def test_a_graph_without_the_tail_is_told() -> None:
    image = ops.parameter([1, 4], np.float32)
    model = openvino.Model([ops.relu(image)], [image])
    assert broken_tail(rule(), CLASSES, model) == ["0 operations NonMaxSuppression, expected 1"]


# --- the tail of DetectionOutput

HEADS: list[dict[str, Any]] = [
    {},
    {"logits": True},
    {"coding": BoxCoding(CODING.default_boxes, CODING.variances, 4.0)},
    {"coding": None},
    {"coding": None, "cut": True},
]


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
@pytest.mark.parametrize("heads", HEADS, ids=lambda heads: ", ".join(heads))
def test_a_detection_output_has_the_rule_it_was_made_of(
    tail: Any, changes: dict[str, Any], heads: dict[str, Any]
) -> None:
    made = rule(**changes)
    assert broken_detection_output(made, CLASSES, tail(made, **heads, add=add_detection_output)) == []


@pytest.mark.parametrize(
    ("made", "promised", "told"),
    [
        ({"iou_threshold": 0.45}, {"iou_threshold": 0.5}, "iou_threshold 0.45, expected 0.5"),
        ({"score_threshold": 0.30005}, {}, "score_threshold 0.30005, expected 0.3"),
        ({"at_iou_threshold": "suppress"}, {}, "at_iou_threshold suppress, expected keep"),
        ({}, {"at_iou_threshold": "suppress"}, "at_iou_threshold keep, expected suppress"),
        ({"clip": True}, {}, "clip yes, expected no"),
        ({}, {"clip": True}, "clip no, expected yes"),
        ({}, {"per_class": 9}, "per_class 10, expected 9"),
        ({"per_class": 200}, {}, "per_class 24, expected 10"),
        ({"keep": 30}, {}, "keep 30, expected 20"),
    ],
    ids=str,
)
@pytest.mark.parametrize("heads", HEADS, ids=lambda heads: ", ".join(heads))
def test_another_rule_of_a_detection_output_is_told(
    tail: Any, made: Any, promised: Any, told: str, heads: dict[str, Any]
) -> None:
    model = tail(rule(**made), **heads, add=add_detection_output)
    assert broken_detection_output(rule(**promised), CLASSES, model) == [told]


def test_another_end_than_detection_output_is_told(tail: Any) -> None:
    (told,) = broken_detection_output(rule(), CLASSES, tail(rule()))
    assert told == "0 operations DetectionOutput, expected 1"
    with pytest.raises(ConversionError, match="4 classes with the background, expected 5"):
        broken_detection_output(rule(), CLASSES + 1, tail(rule(), add=add_detection_output))
