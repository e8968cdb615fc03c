"""Runs one task in a toolchain: `python worker.py REQUEST ANSWER`, two JSON files.

Python 3.8 and the toolchain's own packages alone: nothing of ssdconvert is there. A request is
{"protocol", "task", "arguments"}; the answer has the same "protocol" and either "result" or "error".
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import platform
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

PROTOCOL = 1  # raised when a request or an answer changes its meaning


def about(modules: list[str], distributions: list[str]) -> dict[str, Any]:
    """Import the modules; return the versions of Python and of the distributions, None where not installed."""
    from importlib import metadata

    for name in modules:
        importlib.import_module(name)
    versions: dict[str, str | None] = {}
    for name in distributions:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return {"python": platform.python_version(), "versions": versions}


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
        raise RuntimeError("Model Optimizer says: " + _without_frame(str(error))) from error
    openvino.save_model(model, output, compress_to_fp16=False)
    operations = Counter(operation.get_type_name() for operation in model.get_ops())
    told = about([], ["openvino", "openvino-dev", "protobuf", "numpy"])
    return dict(told, operations=dict(sorted(operations.items())))


def _without_frame(message: str) -> str:
    """Return what a message of Model Optimizer says, without its passes' names and its reference to a FAQ."""
    said = message.partition(" For more information")[0].rpartition("Original exception message:")[2]
    return re.sub(r"Exception occurred during running replacer .*?\): ", "", said).strip()


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


TASKS: dict[str, Callable[..., dict[str, Any]]] = {"about": about, "convert_caffe": convert_caffe}


def answer_to(request: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a request; every failure of a task becomes its "error"."""
    answer = {"protocol": PROTOCOL}
    if request.get("protocol") != PROTOCOL:
        told = "asked in protocol {}, this worker speaks {}".format(request.get("protocol"), PROTOCOL)
        return dict(answer, error=told)
    if request["task"] not in TASKS:
        return dict(answer, error="this worker has no task {}".format(request["task"]))
    said = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(said):
        warnings.simplefilter("ignore")
        try:
            return dict(answer, result=TASKS[request["task"]](**request["arguments"]))
        except Exception as error:
            return dict(answer, error=str(error).strip() or type(error).__name__)


def main(request_path: str, answer_path: str) -> None:
    """Read the request, do the task, and write the answer under its final name last."""
    # Model Optimizer falls back to its own stub, which sends nothing
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    with open(request_path, encoding="utf-8") as file:
        request = json.load(file)
    answer = answer_to(request)
    with open(answer_path + ".part", "w", encoding="utf-8") as file:
        json.dump(answer, file)
    os.replace(answer_path + ".part", answer_path)


if __name__ == "__main__":
    del sys.path[0]  # this folder, whose names are not modules of the toolchain
    main(*sys.argv[1:])
