"""Which layers cost most in 8 bits: each is put back to floating point alone, and the heads are looked at.

mAP of a few pictures moves by a point when one detection comes or goes; heads are thousands of numbers, and rank layers
the same way every time.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdconvert.quantisation.post_training import WITH_WEIGHTS

Run = list[list[NDArray[Any]]]  # by input and output


def most_costly_first(quantised: Any, model: Any, inputs: Sequence[NDArray[Any]]) -> list[str]:
    """Return the names of the quantised layers, that first without whose rounding the outputs are nearest to `model`'s.

    Both are openvino.Models with the same outputs, `inputs` what they are fed. Layers are ranked by the sum of squared
    errors, relative to that of squares, over outputs and inputs.
    """
    floats = {node.get_friendly_name(): node for node in model.get_ordered_ops()}
    expected = _run(model, inputs)
    costs = {}
    for node in quantised.get_ordered_ops():
        if node.get_type_name() in WITH_WEIGHTS and node.get_friendly_name() in floats:
            with _in_float(node, floats[node.get_friendly_name()]):
                costs[node.get_friendly_name()] = _distance(expected, _run(quantised, inputs))
    return sorted(costs, key=lambda name: costs[name])


@contextmanager
def _in_float(node: Any, original: Any) -> Iterator[None]:
    """Take what quantises the inputs of a layer out, and its weights from the original, for a while."""
    activations, weights = node.input_value(0), node.input_value(1)
    if activations.get_node().get_type_name() == "FakeQuantize":
        node.input(0).replace_source_output(activations.get_node().input_value(0))
    node.input(1).replace_source_output(original.input_value(1))
    try:
        yield
    finally:
        node.input(0).replace_source_output(activations)
        node.input(1).replace_source_output(weights)


def _run(model: Any, inputs: Sequence[NDArray[Any]]) -> Run:
    import openvino

    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return [[np.array(array) for array in compiled(one).values()] for one in inputs]


def _distance(expected: Run, actual: Run) -> float:
    shares = [
        np.square(other - one).sum(dtype=np.float64) / (np.square(one).sum(dtype=np.float64) or 1.0)
        for pictures in zip(expected, actual, strict=True)
        for one, other in zip(*pictures, strict=True)
    ]
    return float(np.mean(shares))
