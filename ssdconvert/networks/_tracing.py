"""Traces networks without their arithmetic: the exporter needs the operations and the weights, no numbers.

While `WithoutArithmetic` is on, the operations that take the time and the memory (convolutions, normalisation,
ReLU, sums) are traced as the ONNX operators that the exporter makes of them, and give zeros of the right shape,
in memory that nobody touches. Every other operation runs on those. The graph has the same bytes as one that was
traced with arithmetic: the tests of export compare the two for every family.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

Shape = tuple[int, ...]
Shaping = Callable[..., Shape]
Operator = tuple[
    Shaping, str, dict[str, Any], list[Tensor]
]  # what it gives, its ONNX name, attributes, inputs


class WithoutArithmetic(TorchFunctionMode):
    """A context in which the operations of `OPERATORS` compute nothing."""

    def __torch_function__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        describe = OPERATORS.get(function)
        operator = describe(*args, **(kwargs or {})) if describe else None
        if operator is None:
            return function(*args, **(kwargs or {}))
        shape, name, attributes, tensors = operator
        return _Traced.apply(shape, name, attributes, *tensors)  # type: ignore[no-untyped-call]


class _Traced(torch.autograd.Function):
    """One ONNX operator, and zeros in the shape of what it gives."""

    @staticmethod
    def forward(_: Any, shape: Shaping, name: str, attributes: Any, *tensors: Tensor) -> Tensor:
        sides = shape(*(tuple(map(int, tensor.shape)) for tensor in tensors))
        return torch.from_numpy(np.zeros(sides, np.float32))  # of torch's own zeros every page is written

    @staticmethod
    def symbolic(graph: Any, shape: Shaping, name: str, attributes: Mapping[str, Any], *tensors: Any) -> Any:
        """Return the operator: the exporter calls it."""
        return graph.op(name, *tensors, **attributes)


def _convolution(
    image: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Operator | None:
    if isinstance(padding, str):
        return None
    strides, pads, dilations = _pair(stride), _pair(padding), _pair(dilation)

    def shape(image: Shape, weight: Shape, *_: Shape) -> Shape:
        rules = zip(image[2:], weight[2:], strides, pads, dilations, strict=True)
        return (image[0], weight[0], *((i + 2 * p - d * (k - 1) - 1) // s + 1 for i, k, s, p, d in rules))

    attributes = {
        "dilations_i": dilations,
        "group_i": groups,
        "kernel_shape_i": list(weight.detach().numpy().shape[2:]),  # sides of torch's would be traced
        "pads_i": pads * 2,
        "strides_i": strides,
    }
    return shape, "Conv", attributes, [image, weight] if bias is None else [image, weight, bias]


def _normalisation(*args: Any, **kwargs: Any) -> Operator | None:
    bound = inspect.signature(functional.batch_norm).bind(*args, **kwargs)
    bound.apply_defaults()
    given = bound.arguments
    tensors = [given[name] for name in ("input", "weight", "bias", "running_mean", "running_var")]
    if given["training"] or any(tensor is None for tensor in tensors):
        return None
    attributes = {"epsilon_f": given["eps"], "momentum_f": 1 - given["momentum"]}
    return _first_shape, "BatchNormalization", attributes, tensors


def _relu(image: Tensor, inplace: bool = False) -> Operator:
    return _first_shape, "Relu", {}, [image]


def _sum(first: Any, second: Any, **others: Any) -> Operator | None:
    if others or not isinstance(second, Tensor):
        return None
    return np.broadcast_shapes, "Add", {}, [first, second]


def _first_shape(shape: Shape, *_: Shape) -> Shape:
    return shape


def _pair(value: Any) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


OPERATORS: dict[Any, Callable[..., Operator | None]] = {
    torch.conv2d: _convolution,
    functional.batch_norm: _normalisation,
    functional.relu: _relu,
    torch.add: _sum,
    Tensor.add: _sum,
    Tensor.__add__: _sum,
}
