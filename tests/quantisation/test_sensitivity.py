"""Layers are ranked by what their rounding does to the outputs, and left as they were."""

from typing import Any

import numpy as np
import openvino
import pytest
from openvino.runtime import opset13

from ssdconvert.quantisation.post_training import left_in_float, numbers_in
from ssdconvert.quantisation.sensitivity import most_costly_first

CHANNELS = 4


def model(levels: dict[str, int]) -> Any:
    """Three convolutions in a row; the input and the weights of those in `levels` are rounded to so many levels."""
    random = np.random.default_rng(3)
    image = opset13.parameter([1, CHANNELS, 6, 6], np.float32, name="image")
    node = image
    for name in ("first", "second", "third"):
        weights = opset13.constant(random.normal(size=(CHANNELS, CHANNELS, 1, 1)).astype(np.float32))
        if name in levels:
            low, high = np.float32(-60), np.float32(60)
            node = opset13.fake_quantize(node, low, high, low, high, levels[name])
            weights = opset13.fake_quantize(weights, low, high, low, high, levels[name])
        node = opset13.convolution(node, weights, [1, 1], [0, 0], [0, 0], [1, 1], name=name)
    return openvino.Model([opset13.result(node)], [image], "m")


def inputs() -> list[Any]:
    random = np.random.default_rng(4)
    return [random.uniform(-3, 3, (1, CHANNELS, 6, 6)).astype(np.float32) for _ in range(2)]


@pytest.mark.parametrize("rough", ["first", "second", "third"])
def test_the_roughest_layer_comes_first(rough: str) -> None:
    quantised = model({"first": 65536, "second": 65536, "third": 65536} | {rough: 256})
    before = [node.get_type_name() for node in quantised.get_ordered_ops()]
    ranked = most_costly_first(quantised, model({}), inputs())
    assert ranked[0] == rough
    assert sorted(ranked) == ["first", "second", "third"]
    assert [node.get_type_name() for node in quantised.get_ordered_ops()] == before


def test_weights_are_counted_by_layer() -> None:
    assert numbers_in(model({"first": 16})) == dict.fromkeys(("first", "second", "third"), CHANNELS**2)


def test_weights_that_are_no_bytes_are_in_float() -> None:
    """Rounded as they are read, they are still stored as they were."""
    assert left_in_float(model({"first": 16})) == ["first", "second", "third"]
