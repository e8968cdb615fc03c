"""Tensors of two files beside each other: errors, order, what is left out, and how many at a time."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ssdconvert.runners import Arrays
from ssdconvert.runners.inner_tensors import InnerTensor
from ssdconvert.trace import TracePoint, trace


class Held:
    """Tensors that are there from the start; remembers how many bytes each run returned."""

    def __init__(self, arrays: dict[str, Any], sizes_known: bool = True) -> None:
        self.arrays = {name: np.asarray(array) for name, array in arrays.items()}
        self.sizes_known, self.returned = sizes_known, list[int]()

    def listed(self, feeds: Any) -> list[InnerTensor]:
        return [
            InnerTensor(name, "Conv", array.nbytes if self.sizes_known else None)
            for name, array in self.arrays.items()
        ]

    def run(self, names: Sequence[str], feeds: Any) -> Arrays:
        self.returned.append(sum(self.arrays[name].nbytes for name in names))
        return {name: self.arrays[name] for name in names}


def test_errors_are_relative_to_the_tensor_itself() -> None:
    first = Held({"a": np.float32([1, -4, 3]), "zero": np.float32([0, 0])})
    second = Held({"a": np.float32([1, -4, 3.5]), "zero": np.float32([0, 0.25])})
    assert trace(first, second, {}, {}).points == (
        TracePoint(0, "a", "Conv", (3,), 0.125, 0.0625),
        TracePoint(1, "zero", "Conv", (2,), 0.25, 0.25),
    )


def test_the_first_over_the_limit_is_the_first_in_the_order_of_execution() -> None:
    names = ["c", "a", "b"]
    first = Held({name: np.float32([1, 1]) for name in names})
    second = Held({"a": np.float32([1, 1.5]), "b": np.float32([1, 3]), "c": np.float32([1, 1.25])})
    result = trace(first, second, {}, {})
    assert [point.tensor for point in result.points] == names

    def named(limit: float, summed: bool = False) -> str | None:
        point = result.first_over(limit, summed)
        return point and point.tensor

    assert (named(0.1), named(0.25), named(1), named(2)) == ("c", "a", "b", None)
    assert (named(0.25, summed=True), named(0.9, summed=True)) == ("b", "b")
    assert named(1, summed=True) is None


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_over_any_limit(wrong: float) -> None:
    result = trace(Held({"a": np.float32([1, 2])}), Held({"a": np.float32([1, wrong])}), {}, {})
    assert result.points[0].max_error is None
    assert result.first_over(1e9) == result.points[0]
    assert result.first_over(1e9, summed=True) == result.points[0]


def test_an_infinity_on_both_sides_is_no_difference_and_no_scale() -> None:
    first, second = np.float32([-np.inf, 2]), np.float32([-np.inf, 3])
    assert trace(Held({"mask": first}), Held({"mask": second}), {}, {}).points[0].max_error == 0.5


def test_other_shapes_and_integers_are_counted_and_left_out() -> None:
    first = {
        "shape": np.zeros((2, 3), np.float32),
        "integers": np.arange(3),
        "empty": np.zeros((0, 4), np.float32),
        "float": np.float32([1]),
        "alone": np.float32([1]),
    }
    second = first | {"shape": np.zeros((3, 2), np.float32)}
    del second["alone"]
    result = trace(Held(first), Held(second), {}, {})
    assert [(point.depth, point.tensor) for point in result.points] == [(0, "float")]
    assert result.skipped == 3


def test_what_has_the_shape_of_the_input_is_left_out() -> None:
    """Channels may be in either order there, as in front of the first convolution of a quantised IR."""
    pixels = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2)
    first, second = {"quantised": pixels, "conv": pixels[:, :2]}, {"quantised": pixels[:, ::-1]}
    result = trace(Held(first), Held(second | {"conv": pixels[:, :2]}), {"x": pixels}, {"x": pixels})
    assert [point.tensor for point in result.points] == ["conv"]
    assert result.skipped == 1


def test_half_precision_does_not_overflow_the_difference() -> None:
    first, second = np.float16([60000, 1]), np.float16([-60000, 1])
    assert trace(Held({"a": first}), Held({"a": second}), {}, {}).points[0].max_error == pytest.approx(2)


@pytest.mark.parametrize("batch_bytes", [1, 4000, 10_000, 10**9])
def test_batches_are_bounded_and_change_nothing(batch_bytes: int) -> None:
    random = np.random.default_rng(1)
    arrays = {f"t{n}": random.normal(size=100 * (n % 7 + 1)).astype(np.float32) for n in range(30)}
    noisy = {name: array + np.float32(1e-3) for name, array in arrays.items()}
    first, second = Held(arrays), Held(noisy)
    result = trace(first, second, {}, {}, batch_bytes)
    assert result == trace(Held(arrays), Held(noisy), {}, {})
    assert len(result.points) == 30
    largest = max(array.nbytes for array in arrays.values())
    assert max(first.returned) <= max(batch_bytes, largest)
    assert first.returned == second.returned


def test_sizes_may_be_known_to_one_side_or_to_none() -> None:
    arrays = {f"t{n}": np.ones(250, np.float32) for n in range(40)}
    first = Held(arrays, sizes_known=False)
    trace(first, Held(arrays), {}, {}, 2000)
    assert set(first.returned) == {2000}
    trace(first, Held(arrays, sizes_known=False), {}, {}, 2000)
    assert first.returned[-1] < 40 * 1000


def test_a_folded_normalisation_is_compared_with_what_took_its_place() -> None:
    class Folding(Held):
        def listed(self, feeds: Any) -> list[InnerTensor]:
            return [InnerTensor("conv", "Conv"), InnerTensor("norm", "BatchNormalization", None, "conv")]

    first = Folding({"conv": np.float32([1]), "norm": np.float32([5])})
    kept = trace(first, Held({"conv": np.float32([1]), "norm": np.float32([5])}), {}, {})
    assert [(point.tensor, point.max_error) for point in kept.points] == [("conv", 0), ("norm", 0)]
    folded = trace(first, Held({"conv": np.float32([5])}), {}, {})
    assert [(point.tensor, point.op, point.max_error) for point in folded.points] == [("conv", "Conv", 0)]
