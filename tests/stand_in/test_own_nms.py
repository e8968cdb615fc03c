from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from ssdconvert.ssd.boxes import decode
from ssdconvert.ssd.detections import detections_of, softmax
from ssdconvert.stand_in.own_nms import NMS, NMS_BOXES, NMS_LIMITS, NMS_SCORES, write_with_own_nms


class Rule:
    score_threshold, iou_threshold, at_iou_threshold, per_class, keep = 0.05, 0.5, "keep", 200, 200


def written(folder: Path, opset: int, network: Any) -> Path:
    path = folder / f"ssd-{opset}.onnx"
    write_with_own_nms(network, "image", network.shape, path, opset)
    return path


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])


@pytest.mark.parametrize("opset", [10, 12])
def test_it_detects_what_the_network_does(
    tmp_path: Path, opset: int, tiny_ssd: Any, images: Callable[[int], Any]
) -> None:
    network = tiny_ssd()
    runs = session(written(tmp_path, opset, network))
    for image in images(3):
        with torch.no_grad():
            logits, offsets = (head.numpy()[0] for head in network(torch.from_numpy(image)))
        corners = decode(offsets, network.default_boxes(), network.variances)
        expected = detections_of(softmax(logits), corners, Rule())
        boxes, labels, scores = runs.run(["bboxes", "labels", "scores"], {"image": image})
        assert len(expected) > 20
        assert labels.dtype == np.int64
        assert labels[0].tolist() == expected.labels.tolist()
        np.testing.assert_allclose(scores[0], expected.scores, atol=1e-5)
        np.testing.assert_allclose(boxes[0], expected.boxes, atol=1e-5)


@pytest.mark.parametrize("opset", [10, 12])
def test_no_detection_is_no_row(
    tmp_path: Path, opset: int, tiny_ssd: Any, images: Callable[[int], Any]
) -> None:
    boxes, labels, scores = session(written(tmp_path, opset, tiny_ssd(background=1000.0))).run(
        None, {"image": images(1)[0]}
    )
    assert (boxes.shape, labels.shape, scores.shape) == ((1, 0, 4), (1, 0), (1, 0))


@pytest.mark.parametrize(("opset", "ir_version"), [(10, 5), (12, 7)])
def test_it_is_a_file_of_its_time(tmp_path: Path, opset: int, ir_version: int, tiny_ssd: Any) -> None:
    model = onnx.load(written(tmp_path, opset, tiny_ssd()))
    onnx.checker.check_model(model, full_check=True)
    assert (model.ir_version, [(entry.domain, entry.version) for entry in model.opset_import]) == (
        ir_version,
        [("", opset)],
    )
    for node in model.graph.node:
        assert onnx.defs.get_schema(node.op_type, opset, "").since_version <= opset
    listed = {entry.name for entry in model.graph.input}
    weights = {tensor.name for tensor in model.graph.initializer}
    assert listed - weights == {"image"}
    assert (weights <= listed) == (opset == 10)


def test_the_nms_has_the_names_of_the_published_file(tmp_path: Path, tiny_ssd: Any) -> None:
    model = onnx.load(written(tmp_path, 10, tiny_ssd()))
    (nms,) = (node for node in model.graph.node if node.op_type == "NonMaxSuppression")
    assert (nms.name, list(nms.input), list(nms.output)) == (
        NMS,
        [NMS_BOXES, NMS_SCORES, *NMS_LIMITS],
        [NMS],
    )
    limits = {node.output[0]: node for node in model.graph.node if node.op_type == "ConstantOfShape"}
    values = [onnx.numpy_helper.to_array(limits[name].attribute[0].t)[0] for name in NMS_LIMITS]
    assert values == [200, 0.5, np.float32(0.05)]
    dynamic = [output.type.tensor_type.shape.dim[1].dim_param for output in model.graph.output]
    assert [output.name for output in model.graph.output] == ["bboxes", "labels", "scores"]
    assert dynamic == ["nbox"] * 3


def test_equal_weights_stay_apart(tmp_path: Path, tiny_ssd: Any) -> None:
    network = tiny_ssd()
    with torch.no_grad():
        network.first.bias.copy_(network.second.bias)
    model = onnx.load(written(tmp_path, 10, network))
    outputs = {entry.name for entry in model.graph.output}
    identities = [node for node in model.graph.node if node.op_type == "Identity"]
    assert {node.output[0] for node in identities} == outputs


def test_the_bytes_repeat(tmp_path: Path, tiny_ssd: Any) -> None:
    first, second = (written(tmp_path / name, 10, tiny_ssd()).read_bytes() for name in "ab")
    assert first == second


@pytest.mark.parametrize("opset", [9, 13])
def test_other_opsets_are_refused(tmp_path: Path, opset: int, tiny_ssd: Any) -> None:
    with pytest.raises(ValueError, match="opset 10 to 12"):
        written(tmp_path, opset, tiny_ssd())
