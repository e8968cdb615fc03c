"""What is written in an older form says the same, and what has none is left alone."""

from typing import Any

import numpy as np
import openvino
import openvino.runtime.opset13 as operations
import pytest

from ssdconvert.older_operations import use_older_operations


def topk(stable: bool) -> Any:
    numbers = operations.parameter([1, 9], np.float32, "numbers")
    found = operations.topk(numbers, np.int64(4), 1, "max", "value", "i64", stable)
    found.set_friendly_name("best")
    found.output(0).set_names({"best values"})
    return openvino.Model([found.output(0), found.output(1)], [numbers], "model")


def kinds(model: Any) -> list[tuple[str, str, str]]:
    return [
        (one.get_friendly_name(), one.get_type_name(), one.get_type_info().version_id)
        for one in model.get_ordered_ops()
        if one.get_type_name() == "TopK"
    ]


def test_an_operation_that_says_the_same() -> None:
    before, model = topk(False), topk(False)
    use_older_operations(model)
    assert kinds(model) == [("best", "TopK", "opset3")]
    assert model.outputs[0].get_names() == {"best values"}
    feed = np.array([[3, 1, 4, 1.5, 9, 2, 6, 5, 3.5]], np.float32)
    expected, actual = (openvino.compile_model(one, "CPU")([feed]) for one in (before, model))
    for index in (0, 1):
        np.testing.assert_array_equal(actual[index], expected[index])
        assert actual[index].dtype == expected[index].dtype


def test_an_operation_that_says_more() -> None:
    model = topk(True)
    use_older_operations(model)
    assert kinds(model) == [("best", "TopK", "opset11")]


def resizing(mode: str) -> openvino.Model:
    picture = operations.parameter([1, 3, -1, -1], np.float32, name="picture")
    sizes, axes = np.array([12, 20], np.int64), np.array([2, 3], np.int64)
    scaled = operations.interpolate(picture, sizes, mode, "sizes", axes=axes, name="scaled")
    return openvino.Model([operations.result(scaled)], [picture], "resizing")


def interpolate_of(model: openvino.Model) -> Any:
    (found,) = [one for one in model.get_ordered_ops() if one.get_type_name() == "Interpolate"]
    return found


@pytest.mark.parametrize("mode", ["linear", "linear_onnx", "nearest", "cubic"])
def test_an_interpolate_of_opset_11_becomes_one_of_opset_4(mode: str) -> None:
    newer, older = resizing(mode), resizing(mode)
    use_older_operations(older)
    versions = [interpolate_of(model).get_type_info().version_id for model in (newer, older)]
    assert versions == ["opset11", "opset4"]
    assert interpolate_of(older).get_friendly_name() == "scaled"
    core = openvino.Core()
    for side in (7, 31):
        picture = np.random.default_rng(side).uniform(0, 255, (1, 3, side, side + 4)).astype(np.float32)
        one, other = (core.compile_model(model, "CPU")([picture])[0] for model in (newer, older))
        np.testing.assert_array_equal(one, other)


def test_one_of_pillow_stays() -> None:
    model = resizing("bilinear_pillow")
    use_older_operations(model)
    assert interpolate_of(model).get_type_info().version_id == "opset11"
