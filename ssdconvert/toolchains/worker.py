"""Does tasks in a toolchain: a line of JSON on stdin is a request, a line on stdout its answer.

Python 3.8 and the toolchain's own packages alone: nothing of ssdconvert is there. A request is
{"protocol", "task", "arguments"}; the answer has the same "protocol" and either "result" or "error".
Arrays are .npy files. What tasks print goes to stderr.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
import platform
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

PROTOCOL = 2  # raised when a request or an answer changes its meaning


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


class Model:
    """An IR on a device, in OpenVINO 2022 and later."""

    def __init__(
        self, path: str, device: str, extra: list[tuple[str, int]], settings: dict[str, str]
    ) -> None:
        self.core = _core()
        refuse_absent(device, self.core.available_devices, self._reason)
        model = self.core.read_model(path)
        own = len(model.outputs)
        if extra:
            model.add_outputs(extra)
        sources = [result.input_value(0) for result in model.get_results()]
        ports = [(source.get_node().get_friendly_name(), source.get_index()) for source in sources]
        self.names = [sorted(port.get_names()) for port in model.outputs[:own]]
        self.places = [ports.index(one) for one in extra]
        self.compiled = self.core.compile_model(model, device, settings)

    def _reason(self, device: str) -> None:
        self.core.get_property(device, "FULL_DEVICE_NAME")

    def about(self) -> dict[str, Any]:
        """Return what really runs it, by its own word; AUTO and MULTI do not answer everything."""
        told: dict[str, Any] = {}
        for name in ("EXECUTION_DEVICES", "INFERENCE_PRECISION_HINT"):
            with contextlib.suppress(RuntimeError):
                value = self.compiled.get_property(name)
                told[name] = value.get_type_name() if hasattr(value, "get_type_name") else value
        return {
            "version": _version(),
            "devices": list(told.get("EXECUTION_DEVICES", [])),
            "precision": told.get("INFERENCE_PRECISION_HINT", "not told"),
        }

    def infer(self, feeds: dict[str, Any]) -> list[Any]:
        """Return every output, those of `extra` behind the model's own."""
        results = self.compiled.infer_new_request(feeds)
        own = range(len(self.names))
        return [results[self.compiled.outputs[index]] for index in (*own, *self.places)]


class ModelBefore2022:
    """An IR v10 on a device, in OpenVINO 2021: outputs are called as the operations that make them."""

    def __init__(
        self, path: str, device: str, extra: list[tuple[str, int]], settings: dict[str, str]
    ) -> None:
        from openvino.inference_engine import IECore

        self.core, self.device = IECore(), device
        refuse_absent(device, self.core.available_devices, self._reason)
        network = self.core.read_network(path)
        own = list(network.outputs)
        if extra:
            network.add_outputs(extra)
        self.names = [[name] for name in own]
        self.keys = [*own, *(name for name, _ in extra)]
        settings = {key: value for key, value in settings.items() if key != "INFERENCE_PRECISION_HINT"}
        self.compiled = self.core.load_network(network, device, settings)

    def _reason(self, device: str) -> None:
        self.core.get_metric(device, "FULL_DEVICE_NAME")

    def about(self) -> dict[str, Any]:
        """Return what runs it: it does not tell, but its CPU knows nothing but f32, and MYRIAD nothing but f16."""
        precision = {"CPU": "f32", "MYRIAD": "f16"}.get(self.device.partition(".")[0], "not told")
        return {"version": _version(), "devices": [self.device], "precision": precision}

    def infer(self, feeds: dict[str, Any]) -> list[Any]:
        """Return every output, those of `extra` behind the model's own."""
        results = self.compiled.infer(feeds)
        return [results[key] for key in self.keys]


def open_model(path: str, device: str, extra: list[list[Any]], settings: dict[str, str]) -> dict[str, Any]:
    """Read and compile an IR for `infer`; `extra` are inner tensors to return, operation and port of each.

    Returns what runs it, and the names of each of its own outputs; {"absent": why} where there is no such device.
    """
    opened.clear()  # one at a time
    kind = ModelBefore2022 if _before_2022() else Model
    try:
        model = kind(path, device, [(operation, port) for operation, port in extra], settings)
    except Absent as error:
        return {"absent": str(error)}
    opened.append(model)
    return dict(model.about(), names=model.names)


def infer(feeds: dict[str, str], folder: str) -> dict[str, Any]:
    """Run the opened model on arrays; return the path of each output in `folder`."""
    import numpy

    outputs = opened[0].infer({name: numpy.load(path) for name, path in feeds.items()})
    paths = []
    for index, output in enumerate(outputs):
        paths.append(os.path.join(folder, f"output-{index}.npy"))
        numpy.save(paths[-1], output)
    return {"outputs": paths}


class Absent(Exception):
    """A device is not there."""


def refuse_absent(device: str, available: list[str], reason: Callable[[str], None]) -> None:
    """Raise Absent unless a device such as GPU.1, or each of `AUTO:GPU,CPU`, is there; `reason` may raise why."""
    kind, _, listed = device.partition(":")
    composite = kind in ("AUTO", "MULTI", "HETERO", "BATCH")
    wanted = [name.partition("(")[0] for name in listed.split(",") if name] if composite else [device]
    for name in wanted:
        if any(name in (found, found.partition(".")[0]) for found in available):
            continue
        try:
            reason(name)
        except RuntimeError as error:
            raise Absent(_said(error).splitlines()[0]) from error
        raise Absent(f"there is no device {name}")


def _said(error: Exception) -> str:
    """Return what an exception says, without file and line numbers of C++."""
    lines = [re.sub(r"^\S+\.[ch]pp:\d+:? ?", "", line.strip()) for line in str(error).splitlines()]
    noise = ("Exception from", "Check '", "[ GENERAL_ERROR")
    telling = [line for line in lines if line and not line.startswith(noise)]
    return "\n".join(telling) or str(error).strip() or type(error).__name__


def _before_2022() -> bool:
    return importlib.util.find_spec("openvino.runtime") is None and not hasattr(_openvino(), "Core")


def _openvino() -> Any:
    return importlib.import_module("openvino")


def _core() -> Any:
    """Return an openvino Core: 2026 has no openvino.runtime any more, 2022 nothing but."""
    module = _openvino()
    return (module if hasattr(module, "Core") else importlib.import_module("openvino.runtime")).Core()


def _version() -> str:
    """Return the version of OpenVINO, such as 2022.3.2."""
    from importlib import metadata

    return metadata.version("openvino")


TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    "about": about,
    "convert_caffe": convert_caffe,
    "open_model": open_model,
    "infer": infer,
}
opened: list[Any] = []  # the model that `infer` runs


def answer_to(request: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a request; every failure of a task becomes its "error"."""
    answer = {"protocol": PROTOCOL}
    if request.get("protocol") != PROTOCOL:
        told = "asked in protocol {}, this worker speaks {}".format(request.get("protocol"), PROTOCOL)
        return dict(answer, error=told)
    if request["task"] not in TASKS:
        return dict(answer, error="this worker has no task {}".format(request["task"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return dict(answer, result=TASKS[request["task"]](**request["arguments"]))
        except Exception as error:
            return dict(answer, error=_said(error))


def main() -> None:
    """Answer each request of stdin."""
    # Model Optimizer falls back to its own stub, which sends nothing
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    # libraries print to stdout, too, and what is started by a task inherits it: answers have a pipe of their own
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        answers.write(json.dumps(answer_to(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    del sys.path[0]  # this folder, whose names are not modules of the toolchain
    main()
