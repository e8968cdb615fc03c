"""TopK in the form that OpenVINO 2022 reads, where that says the same."""

from typing import Any

import numpy as np
import openvino
import openvino.runtime.opset11 as operations

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
