"""ONNX to IR by openvino.convert_model, preprocessing put in front by PrePostProcessor."""

from __future__ import annotations

from typing import Any

from .about import about


def convert_onnx(
    source: str,
    output: str,
    input_name: str,
    mean_values: list[float],
    scale_values: list[float],
    reverse_input_channels: bool,
    resize: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Write the IR of an ONNX file, FP32, to `output` (.xml), its preprocessing inside; return what made it.

    With `resize` it takes pictures, u8 [1, H, W, 3] of any size: each of its "passes", side by axis of NCHW, is an
    Interpolate of its "mode", rounded to whole levels; what comes of them is the tensor of its "name".
    """
    import openvino
    from openvino.preprocess import PrePostProcessor

    processor = PrePostProcessor(openvino.convert_model(source))
    ours = processor.input(input_name)
    ours.model().set_layout(openvino.Layout("NCHW"))
    steps = ours.preprocess()
    if resize:
        tensor = ours.tensor().set_element_type(openvino.Type.u8)
        tensor.set_layout(openvino.Layout("NHWC")).set_shape([1, -1, -1, 3])
        steps.convert_element_type(openvino.Type.f32).convert_layout(openvino.Layout("NCHW"))
        steps.custom(lambda port: _resized(port, **resize))
    if reverse_input_channels:
        steps.reverse_channels()
    steps.mean(mean_values).scale(scale_values)
    openvino.save_model(processor.build(), output, compress_to_fp16=False)
    return about([], ["openvino", "numpy"])


def _resized(port: Any, mode: str, passes: list[dict[str, int]], name: str) -> Any:
    """Return the port of a picture f32 [1, 3, H, W] after passes of Interpolate, each rounded half up."""
    import numpy
    from openvino import opset13

    for sides in passes:
        axes, sizes = (numpy.array([*map(int, each)], numpy.int64) for each in (sides, sides.values()))
        scaled = opset13.interpolate(port, sizes, mode, "sizes", axes=axes)
        port = opset13.floor(opset13.add(scaled, numpy.float32(0.5))).output(0)
    port.get_tensor().set_names({name})
    return port
