"""Operations of one name get names of their own."""

from typing import Any

import openvino
from openvino.runtime import opset8 as ops

from ssdconvert.model_optimizer import name_deterministically
from ssdconvert.operation_names import name_apart, shared_names


def model_named(*names: str) -> Any:
    """A chain of Relu of these names behind an input `image`."""
    image = ops.parameter([1, 2], openvino.Type.f32, name="image")
    last = image
    for name in names:
        last = ops.relu(last)
        last.set_friendly_name(name)
    result = ops.result(last)
    result.set_friendly_name("end")
    return openvino.Model([result], [image], "m")


def names_of(model: Any) -> list[str]:
    return [operation.get_friendly_name() for operation in model.get_ordered_ops()]


def test_the_first_keeps_its_name() -> None:
    model = model_named("a", "b", "a", "a/2", "a", "image")
    assert shared_names(model) == ["a", "image"]
    name_apart(model.get_ordered_ops())
    assert names_of(model) == ["image", "a", "b", "a/2", "a/2/2", "a/3", "image/2", "end"]
    assert shared_names(model) == []


def test_a_number_takes_no_name_of_the_original() -> None:
    model = model_named("Relu_77", "Relu_1", "Relu_90")
    name_deterministically(model, {"Relu_1"})
    assert names_of(model) == ["image", "Relu_1/added", "Relu_1", "Relu_3", "end"]
