from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from ssdconvert.runners.onnx_runner import OnnxRunner
from ssdconvert.ssd.preprocess import original_input
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
    image = original_input(tiny.pictures[0][1], tiny.recipe.input)
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


def test_published_onnx_lists_no_weights_among_its_inputs(mirror: Path, tmp_path: Path) -> None:
    from ssdconvert.catalog import Catalog

    recipe = Catalog().find("ultraface-rfb-320-onnx").recipe
    path = mirror / recipe.name / recipe.source.files[0].name
    assert len(onnx.load(path).graph.input) > 1
    export(recipe, load(recipe, {path.name: path}), tmp_path / "m.onnx")
    assert [entry.name for entry in onnx.load(tmp_path / "m.onnx").graph.input] == ["input"]
