"""Writes operations in the oldest form that says the same, so that older versions of OpenVINO read the IR.

The ONNX front end of 2024.6 makes every TopK one of opset 11, which OpenVINO 2022.3 does not know; without
`stable`, the only thing that is new in it, it is that of opset 3. PrePostProcessor makes every Interpolate one of opset
11; in all modes but those of Pillow, which are new in it, it is that of opset 4.
"""

from typing import Any


def use_older_operations(model: Any) -> None:
    """Replace, in an openvino.Model, each operation that has an older form of the same meaning."""
    for operation in model.get_ordered_ops():
        if operation.get_type_name() == "TopK" and operation.get_type_info().version_id == "opset11":
            _replace_topk(operation)
        if operation.get_type_name() == "Interpolate" and operation.get_type_info().version_id == "opset11":
            _replace_interpolate(operation)


def _replace_topk(operation: Any) -> None:
    from openvino.runtime import opset3
    from openvino.runtime.utils import replace_node

    attributes = operation.get_attributes()
    if attributes.pop("stable"):
        return
    older = opset3.topk(operation.input_value(0), operation.input_value(1), **attributes)
    older.set_friendly_name(operation.get_friendly_name())
    replace_node(operation, older)


def _replace_interpolate(operation: Any) -> None:
    import numpy as np
    from openvino.runtime import opset4
    from openvino.runtime.utils import replace_node
    from openvino.runtime.utils.node_factory import NodeFactory

    attributes, inputs = operation.get_attributes(), list(operation.input_values())
    if "pillow" in attributes["mode"] or attributes["shape_calculation_mode"] != "sizes" or len(inputs) != 3:
        return
    image, sizes, axes = inputs
    unused = opset4.constant(np.ones(axes.get_shape()[0], np.float32))  # scales, which follow from the sizes
    unused.set_friendly_name(f"{operation.get_friendly_name()}/scales")
    ports = [image, sizes, unused.output(0), axes]
    # openvino.runtime.opset4 writes that of opset 1
    older = NodeFactory("opset4").create("Interpolate", ports, attributes)
    older.set_friendly_name(operation.get_friendly_name())
    replace_node(operation, older)
