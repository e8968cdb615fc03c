"""What a model file tells of itself, by reading it alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest

from ssdconvert.model_facts import Port, facts_of_model, facts_of_session


def test_ports(model_giving: Callable[..., Path]) -> None:
    outputs = {"boxes": np.zeros((4, 5), np.float16), "labels": np.zeros(4, np.int32)}
    path = model_giving(outputs, (2, 3, 8, 16), kind=np.uint8)
    facts = facts_of_model(openvino.Core().read_model(path), path)
    assert facts.inputs == (Port("picture", (2, 3, 8, 16), "u8"),)
    assert facts.outputs == (Port("boxes", (4, 5), "f16"), Port("labels", (4,), "i32"))
    assert (facts.said, facts.classes, facts.first_label) == ({}, None, None)
    assert str(facts.outputs[0]) == "boxes f16 [4, 5]"
    assert (str(Port("x", None, "f32")), str(Port("x", (1, None), "f32"))) == ("x f32 [?]", "x f32 [1, ?]")


def test_an_onnx_file(own_nms_file: Path) -> None:
    import onnxruntime

    facts = facts_of_session(onnxruntime.InferenceSession(own_nms_file), own_nms_file)
    assert facts.inputs == (Port("image", (1, 3, 16, 16), "f32"),)
    types = {port.name: port.type for port in facts.outputs}
    assert types == {"bboxes": "f32", "labels": "i64", "scores": "f32"}


@pytest.mark.parametrize(
    ("columns", "background", "decreased", "expected"),
    [
        (4, 0, False, (3, 1)),
        (4, 0, True, (3, 0)),
        (4, 3, False, (3, 0)),  # Open Model Zoo's person-vehicle-bike-detection-2000
        (3, -1, False, (3, 0)),
    ],
)
def test_a_detection_output_tells_its_classes(
    columns: int, background: int, decreased: bool, expected: tuple[int, int], tmp_path: Path
) -> None:
    from openvino.runtime import opset8 as operations

    picture = operations.parameter([1, 3, 8, 8], np.float32, "picture")
    scale = operations.reduce_mean(picture, np.array([0, 1, 2, 3]), False)
    boxes, scores = (
        operations.add(operations.constant(np.zeros((1, 5 * n), np.float32)), scale) for n in (4, columns)
    )
    attributes = {
        "background_label_id": background, "top_k": 5, "keep_top_k": [5], "nms_threshold": 0.5,
        "code_type": "caffe.PriorBoxParameter.CENTER_SIZE", "share_location": True, "normalized": True,
        "decrease_label_id": decreased,
    }  # fmt: skip
    priors = operations.constant(np.zeros((1, 2, 20), np.float32))
    end = operations.detection_output(boxes, scores, priors, attributes)
    facts = facts_of_model(openvino.Model([operations.result(end)], [picture], "m"), tmp_path / "m.xml")
    assert (facts.classes, facts.first_label) == expected


def test_intels_files(mirror: Path) -> None:
    told: dict[str, Any] = {}
    for name in (
        "person-vehicle-bike-detection-2000",
        "person-vehicle-bike-detection-2004",
        "face-detection-retail-0004",
    ):
        path = mirror / name / "FP16" / f"{name}.xml"
        facts = facts_of_model(openvino.Core().read_model(path), path)
        told[name] = facts.classes, facts.first_label, [str(port) for port in facts.outputs]
    assert told == {
        "person-vehicle-bike-detection-2000": (3, 0, ["detection_out f32 [1, 1, 200, 7]"]),
        "person-vehicle-bike-detection-2004": (None, None, ["boxes f32 [?, 5]", "labels i64 [?]"]),
        "face-detection-retail-0004": (1, 1, ["detection_out f32 [1, 1, 200, 7]"]),
    }
