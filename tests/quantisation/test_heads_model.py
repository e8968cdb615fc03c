"""What is behind the heads is cut off, and put behind again as it was."""

from typing import Any

import numpy as np
import openvino
import pytest
from openvino.runtime import opset13

from ssdconvert.errors import ConversionError
from ssdconvert.quantisation.heads_model import up_to_heads, with_the_rest


@pytest.fixture
def model() -> Any:
    """A model of one input whose tensors `scores` and `boxes` are squared and added behind."""
    image = opset13.parameter([1, 4], np.float32, name="image")
    image.output(0).get_tensor().set_names({"image"})
    scores = opset13.multiply(image, np.float32(2), name="heads/scores")
    boxes = opset13.add(image, np.float32(1), name="heads/boxes")
    for node, name in ((scores, "scores"), (boxes, "boxes")):
        node.output(0).get_tensor().set_names({name})
    total = opset13.add(opset13.multiply(scores, scores), boxes, name="total")
    total.output(0).get_tensor().set_names({"out"})
    return openvino.Model([opset13.result(total)], [image], "m")


def run(model: Any, *values: float) -> list[list[float]]:
    compiled = openvino.Core().compile_model(model, "CPU")
    outputs = compiled(np.array([values], np.float32))
    return [outputs[port][0].tolist() for port in compiled.outputs]


def test_the_front_ends_in_the_heads(model: Any) -> None:
    front = up_to_heads(model, ["scores", "boxes"])
    assert [port.get_any_name() for port in front.outputs] == ["scores", "boxes"]
    assert run(front, 1, 2, 3, 4) == [[2, 4, 6, 8], [2, 3, 4, 5]]
    assert "total" not in {node.get_friendly_name() for node in front.get_ops()}
    assert run(model, 1, 2, 3, 4) == [[6, 19, 40, 69]]


def test_other_heads_get_the_same_rest(model: Any) -> None:
    front = up_to_heads(model, ["scores", "boxes"])
    for node in front.get_ordered_ops():
        if node.get_friendly_name() == "heads/scores":
            node.input(1).replace_source_output(opset13.constant(np.float32(3)).output(0))
    whole = with_the_rest(front, model, ["scores", "boxes"])
    assert run(whole, 1, 2, 3, 4) == [[11, 39, 85, 149]]
    assert [port.get_any_name() for port in whole.outputs] == ["out"]
    assert [port.get_any_name() for port in whole.inputs] == ["image"]
    names = {name for node in whole.get_ordered_ops() for port in node.outputs() for name in port.get_names()}
    assert {"scores", "boxes"} <= names
    assert run(model, 1, 2, 3, 4) == [[6, 19, 40, 69]]


def test_heads_that_are_not_there_are_named(model: Any) -> None:
    with pytest.raises(ConversionError, match="no tensor offsets"):
        up_to_heads(model, ["scores", "offsets"])
