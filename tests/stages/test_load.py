import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from ssdconvert.errors import ConversionError, RecipeError
from ssdconvert.stages.load import load


def test_pytorch_heads_come_out_under_our_names(tiny: Any) -> None:
    outputs = tiny.original.run(np.zeros((1, 3, 48, 64), np.float32), "picture")
    count = tiny.original.default_boxes
    assert {name: array.shape for name, array in outputs.items()} == {
        "class_logits": (1, count, 3),
        "box_offsets": (1, count, 4),
    }


def test_a_checkpoint_with_another_number_of_classes_is_refused(tiny: Any, tiny_recipe: Any) -> None:
    recipe = tiny_recipe(detections__labels=["cat"])
    with pytest.raises(ConversionError, match="classification_headers") as caught:
        load(recipe, {"tiny.pth": tiny.checkpoint})
    assert caught.value.exit_code == 4


def test_an_unknown_network_is_a_recipe_error(tiny: Any, tiny_recipe: Any) -> None:
    with pytest.raises(RecipeError, match="no network 'yolo'"):
        load(tiny_recipe(source__network="yolo"), {"tiny.pth": tiny.checkpoint})


def heads_file(path: Path, classes: int = 3, name: str = "scores") -> Path:
    """An ONNX file with the heads of an SSD: 5 boxes, input `picture`."""
    make = onnx.helper.make_tensor_value_info
    image = make("picture", onnx.TensorProto.FLOAT, [1, 3, 48, 64])
    outputs = [
        make(name, onnx.TensorProto.FLOAT, [1, 5, classes]),
        make("boxes", onnx.TensorProto.FLOAT, [1, 5, 4]),
    ]
    flat = onnx.helper.make_node("ReduceMean", ["picture"], ["mean"], axes=[1, 2, 3], keepdims=0)
    weights = []
    nodes = [flat]
    for output, width in ((name, classes), ("boxes", 4)):
        values = np.linspace(0.01, 0.99, 5 * width, dtype=np.float32).reshape(1, 5, width)
        weights.append(onnx.numpy_helper.from_array(values, f"{output}_weight"))
        nodes.append(onnx.helper.make_node("Add", [f"{output}_weight", "mean"], [output]))
    graph = onnx.helper.make_graph(nodes, "g", [image], outputs, weights)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 11)], ir_version=7)
    onnx.save(model, path)
    return path


def onnx_source(**heads: str) -> dict[str, Any]:
    return {
        "kind": "onnx",
        "files": [{"name": "m.onnx", "urls": []}],
        "heads": {"scores": "scores", "boxes": "boxes"} | heads,
    }


def test_onnx_heads_are_renamed(tmp_path: Path, tiny_recipe: Any) -> None:
    original = load(tiny_recipe(source=onnx_source()), {"m.onnx": heads_file(tmp_path / "m.onnx")})
    outputs = original.run(np.zeros((1, 3, 48, 64), np.float32), "picture")
    assert set(outputs) == {"class_probabilities", "decoded_boxes"}
    assert original.default_boxes == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": onnx_source(scores="probs")}, "no tensor 'probs'; its outputs are 'scores', 'boxes'"),
        ({"source": onnx_source(), "detections__labels": ["cat"]}, r"'scores' \[1, P, 2\]"),
        ({"source": onnx_source(), "input__name": "image"}, "expected 'image'"),
        ({"source": onnx_source(), "input__shape": [1, 3, 64, 64]}, r"\[1, 3, 64, 64\]"),
    ],
)
def test_an_onnx_file_that_does_not_fit_is_refused(
    tmp_path: Path, tiny_recipe: Any, changes: dict[str, Any], message: str
) -> None:
    file = heads_file(tmp_path / "m.onnx")
    with pytest.raises(ConversionError, match=message):
        load(tiny_recipe(**changes), {"m.onnx": file})


def test_weights_in_another_file_are_refused(tmp_path: Path, tiny_recipe: Any) -> None:
    model = onnx.load(heads_file(tmp_path / "m.onnx"))
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    with pytest.raises(ConversionError, match="in another file"):
        load(tiny_recipe(source=onnx_source()), {"m.onnx": tmp_path / "m.onnx"})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t * float("nan"), "NaN or infinity"),
        (lambda t: t.to(torch.int8), "holds int8, expected floating-point"),
        (lambda t: t.to(torch.complex64), "holds complex64, expected floating-point"),
    ],
)
def test_weights_that_are_no_weights_are_refused(tiny: Any, tmp_path: Path, spoil: Any, message: str) -> None:
    state = torch.load(tiny.checkpoint, weights_only=True)
    state["base_net.0.0.weight"] = spoil(state["base_net.0.0.weight"])
    torch.save(state, tmp_path / "tiny.pth")
    with pytest.raises(ConversionError, match=f"base_net.0.0.weight.*{message}"):
        load(tiny.recipe, {"tiny.pth": tmp_path / "tiny.pth"})


def test_a_file_that_is_no_onnx_is_refused(tmp_path: Path, tiny_recipe: Any) -> None:
    file = tmp_path / "m.onnx"
    file.write_bytes(b"<html>not found</html>")
    with pytest.raises(ConversionError, match=re.escape(str(file))):
        load(tiny_recipe(source=onnx_source()), {"m.onnx": file})
