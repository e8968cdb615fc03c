"""Quantised ONNX graphs."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def is_quantised(model: "onnx.ModelProto") -> bool:
    """Return whether a graph computes with quantised numbers."""
    return any(node.op_type.startswith(("QLinear", "DequantizeLinear")) for node in model.graph.node)
