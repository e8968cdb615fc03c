from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from ssdconvert.errors import ConversionError
from ssdconvert.stages.simplify import simplify


@pytest.fixture
def images(tiny: Any) -> list[Any]:
    return [picture.for_original(tiny.recipe.input) for picture in tiny.pictures]


def test_fewer_nodes_and_the_same_outputs(tiny: Any) -> None:
    before, after = onnx.load(tiny.exported).graph, onnx.load(tiny.simplified).graph
    assert len(after.node) < len(before.node)
    assert [entry.name for entry in after.output] == ["bboxes", "labels", "scores"]
    produced = {name for node in after.node for name in node.output}
    assert set(tiny.original.heads.names) <= produced


def test_the_same_bytes_every_time(tiny: Any, images: list[Any], tmp_path: Path) -> None:
    simplify(tiny.exported, tmp_path / "m.onnx", tiny.original.heads, "picture", images)
    assert (tmp_path / "m.onnx").read_bytes() == tiny.simplified.read_bytes()


def test_a_simplifier_that_changes_a_weight_is_caught(
    tiny: Any, images: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxsim

    true_simplify = onnxsim.simplify

    def wrong(model: onnx.ModelProto, *args: Any, **options: Any) -> Any:
        simplified, ok = true_simplify(model, *args, **options)
        for tensor in simplified.graph.initializer:
            array = onnx.numpy_helper.to_array(tensor)
            if array.ndim == 4:
                tensor.CopyFrom(onnx.numpy_helper.from_array((array * np.float32(1.001)), tensor.name))
                break
        return simplified, ok

    monkeypatch.setattr(onnxsim, "simplify", wrong)
    with pytest.raises(ConversionError, match="not the same") as caught:
        simplify(tiny.exported, tmp_path / "m.onnx", tiny.original.heads, "picture", images)
    assert caught.value.stage == "simplify"
    assert list(tmp_path.iterdir()) == []


def test_a_simplifier_that_fails_is_an_expected_failure(
    tiny: Any, images: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no such operator")

    monkeypatch.setattr("onnxsim.simplify", broken)
    with pytest.raises(ConversionError, match="no such operator"):
        simplify(tiny.exported, tmp_path / "m.onnx", tiny.original.heads, "picture", images)
