"""Writes operations in the oldest form that says the same, so that older versions of OpenVINO read the IR.

The ONNX front end of 2024.6 makes every TopK one of opset 11, which OpenVINO 2022.3 does not know; without
`stable`, the only thing that is new in it, it is that of opset 3.
"""

from typing import Any


def use_older_operations(model: Any) -> None:
    """Replace, in an openvino.Model, each operation that has an older form of the same meaning."""
    for operation in model.get_ordered_ops():
        if operation.get_type_name() == "TopK" and operation.get_type_info().version_id == "opset11":
            _replace_topk(operation)


def _replace_topk(operation: Any) -> None:
    from openvino.runtime import opset3
    from openvino.runtime.utils import replace_node

    attributes = operation.get_attributes()
    if attributes.pop("stable"):
        return
    older = opset3.topk(operation.input_value(0), operation.input_value(1), **attributes)
    older.set_friendly_name(operation.get_friendly_name())
    replace_node(operation, older)
