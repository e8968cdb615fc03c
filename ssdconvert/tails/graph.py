"""Adds nodes to an ONNX graph, so that a tail reads like the arithmetic it stands for."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike


class GraphBuilder:
    """Appends nodes and constants to `model`; every method returns the name of its result."""

    def __init__(self, model: onnx.ModelProto, prefix: str) -> None:
        self.graph = model.graph
        self.prefix = prefix
        self._count = 0
        self._taken = {tensor.name for tensor in model.graph.initializer}
        self._taken.update(name for node in model.graph.node for name in (node.name, *node.output))

    def constant(self, value: ArrayLike, dtype: type[np.generic], name: str = "constant") -> str:
        """Add an initialiser."""
        full_name = self._unique(name)
        array = np.array(value, dtype)
        self.graph.initializer.append(onnx.numpy_helper.from_array(array, full_name))
        return full_name

    def integers(self, *values: int) -> str:
        """Add a vector of i64, the form in which ONNX wants shapes, axes and counts."""
        return self.constant(values, np.int64)

    def node(self, op_type: str, *inputs: str, name: str = "", outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; returns a name, or a tuple of names when it has several `outputs`."""
        label = self._unique(name or op_type.lower())
        names = [label] if outputs == 1 else [f"{label}_{index}" for index in range(outputs)]
        self.graph.node.append(onnx.helper.make_node(op_type, inputs, names, name=label, **attributes))
        return names[0] if outputs == 1 else tuple(names)

    def inner(self, tensor: str, dtype: int, shape: list[int]) -> None:
        """Write down the type of an inner tensor, in place of what the graph says of it."""
        described = [entry for entry in self.graph.value_info if entry.name != tensor]
        del self.graph.value_info[:]
        self.graph.value_info.extend([*described, onnx.helper.make_tensor_value_info(tensor, dtype, shape)])

    def output(self, tensor: str, name: str, dtype: int, shape: list[int]) -> None:
        """Make `tensor` a graph output called `name`."""
        self.graph.node.append(onnx.helper.make_node("Identity", [tensor], [name], name=self._unique(name)))
        self.graph.output.append(onnx.helper.make_tensor_value_info(name, dtype, shape))

    def _unique(self, name: str) -> str:
        self._count += 1
        unique = f"{self.prefix}/{name}_{self._count}"
        return self._unique(name) if unique in self._taken else unique
