from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from ssdconvert.errors import ConversionError
from ssdconvert.runners.onnx_runner import OnnxRunner
from ssdconvert.stages.export import export
from ssdconvert.stages.load import load


def test_the_network_runs_once(tiny: Any, tmp_path: Path) -> None:
    runs = []
    handle = tiny.original.model.register_forward_hook(lambda *_: runs.append(1))
    try:
        export(tiny.recipe, tiny.original, tmp_path / "m.onnx")
    finally:
        handle.remove()
    assert len(runs) == 1


def test_the_outputs_keep_the_contract(tiny: Any) -> None:
    graph = onnx.load(tiny.exported).graph
    described = {
        entry.name: (
            entry.type.tensor_type.elem_type,
            [d.dim_value for d in entry.type.tensor_type.shape.dim],
        )
        for entry in graph.output
    }
    assert described == {
        "bboxes": (onnx.TensorProto.FLOAT, [1, 50, 4]),
        "labels": (onnx.TensorProto.INT64, [1, 50]),
        "scores": (onnx.TensorProto.FLOAT, [1, 50]),
    }
    assert [entry.name for entry in graph.input] == ["picture"]


@pytest.mark.parametrize("opset", [11, 13, 17])
def test_each_opset_gives_the_same_heads(tiny: Any, tiny_recipe: Any, tmp_path: Path, opset: int) -> None:
    export(tiny_recipe(opset=opset), tiny.original, tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    assert [entry.version for entry in model.opset_import if not entry.domain] == [opset]
    image = tiny.pictures[0].for_original(tiny.recipe.input)
    expected = tiny.original.run(image, "picture")
    outputs = OnnxRunner(tmp_path / "m.onnx", tiny.original.heads.names).run({"picture": image})
    for name, array in expected.items():
        np.testing.assert_allclose(outputs[name], array, atol=1e-5 * np.abs(array).max())


def test_the_same_bytes_every_time_and_no_word_of_this_machine(tiny: Any, tmp_path: Path) -> None:
    export(tiny.recipe, tiny.original, tmp_path / "m.onnx")
    content = (tmp_path / "m.onnx").read_bytes()
    assert content == tiny.exported.read_bytes()
    assert str(Path(__file__).parents[2]).encode() not in content
    assert b"site-packages" not in content


def inner_tensor_called_labels(path: Path) -> Path:
    """Heads of an SSD at opset 17, by way of an inner tensor with the name of one of our outputs."""
    make, floats = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    scores = np.linspace(0.01, 0.99, 15, dtype=np.float32).reshape(1, 5, 3)
    boxes = np.tile(np.array([0.1, 0.1, 0.4, 0.5], np.float32), (1, 5, 1))
    nodes = [
        onnx.helper.make_node("ReduceMean", ["picture"], ["labels"], axes=[1, 2, 3], keepdims=0),
        onnx.helper.make_node("Add", ["s", "labels"], ["scores"]),
        onnx.helper.make_node("Add", ["b", "labels"], ["boxes"]),
    ]
    weights = [onnx.numpy_helper.from_array(scores, "s"), onnx.numpy_helper.from_array(boxes, "b")]
    outputs = [make("scores", floats, [1, 5, 3]), make("boxes", floats, [1, 5, 4])]
    graph = onnx.helper.make_graph(nodes, "g", [make("picture", floats, [1, 3, 48, 64])], outputs, weights)
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path
    )
    return path


def test_a_graph_may_use_the_names_of_our_outputs(tmp_path: Path, tiny_recipe: Any) -> None:
    heads = {"scores": "scores", "boxes": "boxes"}
    source = {"kind": "onnx", "files": [{"name": "m.onnx", "urls": []}], "heads": heads}
    file = inner_tensor_called_labels(tmp_path / "m.onnx")
    recipe = tiny_recipe(source=source, opset=17)
    export(recipe, load(recipe, {"m.onnx": file}), tmp_path / "out.onnx")
    outputs = OnnxRunner(tmp_path / "out.onnx").run({"picture": np.zeros((1, 3, 48, 64), np.float32)})
    assert outputs["labels"].dtype == np.int64
    recipe = tiny_recipe(source=source, opset=13)
    with pytest.raises(ConversionError, match="of opset 17, the recipe asks for 13"):
        export(recipe, load(recipe, {"m.onnx": file}), tmp_path / "out.onnx")


def test_published_onnx_lists_no_weights_among_its_inputs(mirror: Path, tmp_path: Path) -> None:
    from ssdconvert.catalog import Catalog

    recipe = Catalog().find("ultraface-rfb-320-onnx").recipe
    path = mirror / recipe.name / recipe.source.files[0].name
    assert len(onnx.load(path).graph.input) > 1
    export(recipe, load(recipe, {path.name: path}), tmp_path / "m.onnx")
    assert [entry.name for entry in onnx.load(tmp_path / "m.onnx").graph.input] == ["input"]
