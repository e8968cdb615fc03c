"""Caffe to IR, by Model Optimizer 2024.6 with an old protobuf."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

from .about import about
from .words import without_frame


def convert_caffe(
    prototxt: str,
    caffemodel: str,
    output: str,
    input_name: str,
    mean_values: list[float],
    scale_values: list[float],
    reverse_input_channels: bool,
) -> dict[str, Any]:
    """Write the IR of a Caffe model, FP32, to `output` (.xml); return its operations and what made it."""
    import openvino
    from openvino.tools.mo import convert_model
    from openvino.tools.mo.utils.version import VersionChecker

    _read_weights_fast()
    VersionChecker().runtime_checked = True  # it would start a second interpreter for that
    try:
        model = convert_model(
            input_model=caffemodel,
            input_proto=prototxt,
            framework="caffe",
            mean_values={input_name: mean_values},
            scale_values={input_name: scale_values},
            reverse_input_channels=reverse_input_channels,
            compress_to_fp16=False,
            silent=True,
        )
    except Exception as error:  # Model Optimizer has no common base class of its errors
        raise RuntimeError("Model Optimizer says: " + without_frame(str(error))) from error
    openvino.save_model(model, output, compress_to_fp16=False)
    operations = Counter(operation.get_type_name() for operation in model.get_ops())
    told = about([], ["openvino", "openvino-dev", "protobuf", "numpy"])
    return dict(told, operations=dict(sorted(operations.items())))


def _read_weights_fast() -> None:
    """Let protobuf's Python implementation read packed floats as an array.

    It would decode them one by one, half the time of a conversion; where protobuf runs its C++
    implementation (3.20.3 has none for Python 3.11 and later) this has no effect.
    """
    import array

    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.internal import decoder, type_checkers

    one_by_one = type_checkers.TYPE_TO_DECODER[FieldDescriptor.TYPE_FLOAT]

    def float_decoder(
        number: int, is_repeated: bool, is_packed: bool, key: Any, new_default: Any, *others: Any
    ) -> Any:
        if not is_packed or sys.byteorder != "little":
            return one_by_one(number, is_repeated, is_packed, key, new_default, *others)

        def decode(buffer: Any, position: int, end: int, message: Any, fields: Any) -> int:
            values = fields.get(key)
            if values is None:
                values = fields.setdefault(key, new_default(message))
            length, position = decoder._DecodeVarint(buffer, position)
            if position + length > end or length % 4:
                raise decoder._DecodeError("Truncated message.")
            values._values.extend(array.array("f", bytes(buffer[position : position + length])))
            return int(position + length)

        return decode

    type_checkers.TYPE_TO_DECODER[FieldDescriptor.TYPE_FLOAT] = float_decoder
