"""The simulation computes as numpy's float16 does, and finds what it does not hold."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
from numpy.typing import NDArray
from openvino.runtime import opset13 as operations

from ssdconvert.errors import ConversionError
from ssdconvert.runners.half_simulation import HalfSimulation, Overflow

Array = NDArray[np.float32]


def half(values: Any) -> Array:
    with np.errstate(over="ignore"):
        return np.asarray(values).astype(np.float16).astype(np.float32)


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Write an IR of an input [1, 4, N] and what a function makes of it, a tensor `head` and, behind it, `out`."""

    def write(make: Callable[[Any], Any], numbers: int = 8, half_weights: bool = False) -> Path:
        picture = operations.parameter([1, 4, numbers], openvino.Type.f32, name="picture")
        picture.output(0).get_tensor().set_names({"picture"})
        head = make(picture)
        head.output(0).get_tensor().set_names({"head"})
        out = operations.multiply(head, np.float32(1e30), name="behind")
        out.output(0).get_tensor().set_names({"out"})
        model = openvino.Model([operations.result(out)], [picture], "m")
        openvino.save_model(model, tmp_path / "m.xml", compress_to_fp16=half_weights)
        return tmp_path / "m.xml"

    return write


def moved(picture: Any) -> Any:
    return operations.transpose(picture, np.array([0, 2, 1]))


def simulated(path: Path, values: Array) -> Array:
    return HalfSimulation(path, ["head"]).run({"any": values})["head"]


def test_the_rounding_is_that_of_numpy(written: Callable[..., Path]) -> None:
    """Random numbers of all magnitudes; every f16, every number halfway between two, and those beside it."""
    random = np.random.default_rng(0)
    exponents = random.uniform(-40, 20, 400_000)
    values = (np.exp2(exponents) * random.choice([-1, 1], exponents.shape)).astype(np.float32)
    every = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32)
    every = np.unique(every[np.isfinite(every)])
    between = ((every[1:].astype(np.float64) + every[:-1]) / 2).astype(np.float32)
    beside = [np.nextafter(between, np.float32(side)) for side in (np.inf, -np.inf)]
    extremes = np.array([65519.996, 65520, 1e38, -1e38, np.inf, -np.inf, np.nan, -0.0], np.float32)
    numbers = np.concatenate([values, every, between, *beside, extremes])
    numbers = np.resize(numbers, (1, 4, -(-len(numbers) // 4)))
    got = simulated(written(moved, numbers.shape[2]), numbers).transpose(0, 2, 1)
    np.testing.assert_array_equal(got, half(numbers))


@pytest.mark.parametrize("half_weights", [False, True])
def test_weights_and_each_result_are_rounded(written: Callable[..., Path], half_weights: bool) -> None:
    third, shift = np.float32(1 / 3), np.float32(0.1)
    path = written(
        lambda x: operations.sqrt(operations.abs(operations.add(operations.multiply(x, third), shift))),
        half_weights=half_weights,
    )
    values = np.random.default_rng(1).normal(size=(1, 4, 8)).astype(np.float32)
    expected = half(np.sqrt(np.abs(half(half(half(values) * half(third)) + half(shift)))))
    np.testing.assert_array_equal(simulated(path, values), expected)


def test_a_bias_is_added_before_the_rounding(written: Callable[..., Path]) -> None:
    weights, bias = np.float32(np.diag([1.001, 1.002, 1.003, 1.004])), np.float32(1e-4)
    path = written(lambda x: operations.add(operations.matmul(weights, x, False, False), bias))
    values = half(np.random.default_rng(1).normal(size=(1, 4, 8)))
    expected = half((half(weights) @ values).astype(np.float32) + half(bias))
    np.testing.assert_array_equal(simulated(path, values), expected)
    assert (expected != half(half(half(weights) @ values) + half(bias))).any()


def up_and_down(picture: Any) -> Any:
    """An activation of 65536 times the input, and back."""
    harmless = operations.multiply(picture, np.float32(2), name="harmless")
    large = operations.multiply(harmless, np.float32(2**15), name="large")
    return operations.multiply(operations.relu(large, name="larger"), np.float32(2**-16), name="small again")


def test_the_first_overflow_is_named(written: Callable[..., Path]) -> None:
    simulation = HalfSimulation(written(up_and_down), ["head"])
    values = np.full((1, 4, 8), 0.5, np.float32)
    assert simulation.first_overflow({"x": values}) is None
    np.testing.assert_allclose(simulation.run({"x": values})["head"], 0.5, rtol=1e-3)
    values[0, 1, 3] = 2.0
    assert simulation.first_overflow({"x": values}) == Overflow("large", "Multiply", 2.0**17)
    assert np.isinf(simulation.run({"x": values})["head"]).sum() == 1


def test_a_constant_that_f16_does_not_hold_and_what_is_no_number_are_named(
    written: Callable[..., Path],
) -> None:
    path = written(lambda x: operations.minimum(x, np.float32(1e6), name="lesser"))
    assert HalfSimulation(path, ["head"]).first_overflow({"x": np.zeros((1, 4, 8), np.float32)}) == Overflow(
        "lesser", "constant of Minimum", 1e6
    )
    path = written(
        lambda x: operations.relu(operations.log(x, name="logarithm"))
    )  # which hides NaN on the CPU
    overflow = HalfSimulation(path, ["head"]).first_overflow({"x": np.full((1, 4, 8), -1, np.float32)})
    assert overflow == Overflow("logarithm", "Log", None)


def test_what_is_behind_the_heads_is_not_simulated(written: Callable[..., Path]) -> None:
    simulation = HalfSimulation(written(moved), ["head"])
    assert [step.operation for step in simulation.steps] == ["picture"]
    assert (simulation.executed_on, simulation.execution_precision) == ("CPU", "f16, simulated")


def test_heads_that_are_not_there(written: Callable[..., Path]) -> None:
    with pytest.raises(ConversionError, match="cannot be simulated in f16: it has no tensor nothing"):
        HalfSimulation(written(moved), ["head", "nothing"])


def test_operations_of_one_name_are_told_apart(written: Callable[..., Path]) -> None:
    """What lies behind the head has its name, and exceeds f16."""
    third = np.float32(1 / 3)
    path = written(lambda x: operations.multiply(x, third, name="behind"))
    values = np.random.default_rng(1).normal(size=(1, 4, 8)).astype(np.float32)
    np.testing.assert_array_equal(simulated(path, values), half(half(values) * half(third)))
