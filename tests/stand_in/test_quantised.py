import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from ssdconvert.quantised_onnx import computes_in_integers, is_quantised, to_qdq
from ssdconvert.stand_in.own_nms import NMS_BOXES, NMS_SCORES, write_with_own_nms
from ssdconvert.stand_in.quantised import FORMS, write_quantised

Images = Callable[[int], list[np.ndarray]]


@pytest.fixture(scope="module")
def unquantised(tmp_path_factory: pytest.TempPathFactory, tiny_ssd: Any) -> Path:
    path = tmp_path_factory.mktemp("float") / "ssd-12.onnx"
    write_with_own_nms(tiny_ssd(), "image", tiny_ssd.shape, path, 12)
    return path


@pytest.mark.parametrize("form", FORMS)
def test_it_is_quantised_up_to_the_decoder(
    unquantised: Path, tmp_path: Path, form: str, images: Images
) -> None:
    path = tmp_path / "quantised.onnx"
    write_quantised(unquantised, path, form, "image", images(2))
    model = onnx.load(path)
    kinds = Counter((node.domain, node.op_type) for node in model.graph.node)
    assert is_quantised(model)
    assert computes_in_integers(model) == (form == "qoperator")
    if form == "qoperator":
        assert (kinds["", "QLinearConv"], kinds["", "Conv"]) == (7, 0)
        assert kinds["com.microsoft", "QLinearAdd"] == 1
        assert kinds["com.microsoft", "QLinearConcat"] == 2
    else:
        assert kinds["", "Conv"] == 7
        assert {domain for domain, _ in kinds} == {""}
    assert kinds["", "NonMaxSuppression"] == kinds["", "Softmax"] == kinds["", "Exp"] == 1
    assert {entry.version for entry in model.opset_import if entry.domain == ""} == {12}


@pytest.mark.parametrize("form", FORMS)
def test_its_heads_are_near_those_of_the_float_graph(
    unquantised: Path, tmp_path: Path, form: str, images: Images
) -> None:
    path = tmp_path / "quantised.onnx"
    write_quantised(unquantised, path, form, "image", images(4))
    expected, actual = (heads(file, images(4)[1]) for file in (unquantised, path))
    for name in (NMS_SCORES, NMS_BOXES):
        error = np.abs(actual[name] - expected[name]) / np.abs(expected[name]).max()
        assert 1e-4 < error.mean() < 0.02


def heads(path: Path, image: np.ndarray) -> dict[str, np.ndarray]:
    model = onnx.load(path)
    for name in (NMS_SCORES, NMS_BOXES):
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [NMS_SCORES, NMS_BOXES]
    return dict(zip(names, session.run(names, {"image": image}), strict=True))


@pytest.mark.parametrize("form", FORMS)
def test_the_bytes_repeat(unquantised: Path, tmp_path: Path, form: str, images: Images) -> None:
    paths = [tmp_path / name for name in ("a.onnx", "b.onnx")]
    for path in paths:
        write_quantised(unquantised, path, form, "image", images(2))
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_the_quantiser_says_nothing(unquantised: Path, tmp_path: Path, images: Images) -> None:
    handlers = list(logging.root.handlers)
    write_quantised(unquantised, tmp_path / "quantised.onnx", "qdq", "image", images(1))
    assert logging.root.handlers == handlers
    assert logging.root.manager.disable == logging.NOTSET


def test_its_qdq_form_is_the_same_model(unquantised: Path, tmp_path: Path, images: Images) -> None:
    path, rewritten = tmp_path / "quantised.onnx", tmp_path / "rewritten.onnx"
    write_quantised(unquantised, path, "qoperator", "image", images(4))
    onnx.save(to_qdq(onnx.load(path)), rewritten)
    kinds = {(node.domain, node.op_type) for node in onnx.load(rewritten).graph.node}
    assert {domain for domain, _ in kinds} == {""}
    assert not any(kind.startswith("QLinear") for _, kind in kinds)
    expected, actual = (heads(file, images(4)[1]) for file in (path, rewritten))
    unrounded = heads(unquantised, images(4)[1])
    for name in (NMS_SCORES, NMS_BOXES):
        own = np.abs(expected[name] - actual[name]).mean()
        assert own < 0.3 * np.abs(unrounded[name] - actual[name]).mean()
