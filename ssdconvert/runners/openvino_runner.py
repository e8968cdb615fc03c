"""Runs an IR in OpenVINO, with the execution precision pinned."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdconvert.errors import ConversionError, MissingDevice
from ssdconvert.runners import Arrays


class OpenvinoRunner:
    """The IR at `path` on `device`; `extra` names inner tensors to return beside its outputs.

    `execution_devices` is what really ran. Raises MissingDevice where `device` is not there, and
    ConversionError where the file cannot be read, compiled, or has no tensor of an `extra` name.
    """

    def __init__(self, path: Path, device: str = "CPU", extra: Sequence[str] = ()) -> None:
        import openvino

        self.device = device
        self.runtime = f"openvino {openvino.get_version().split('-')[0]}"
        core = openvino.Core()
        try:
            model = core.read_model(path)
            self.output_names = [name_of(port) for port in model.outputs]
            outputs = [model.add_outputs(name)[0] for name in extra if name not in self.output_names]
        except RuntimeError as error:
            raise ConversionError(
                f"{path} cannot be read by OpenVINO: {first_line(error)}",
                hint="build the model again; an IR is a pair of .xml and .bin",
                stage="load",
            ) from error
        self.output_names += [name_of(port) for port in outputs]
        if not _is_there(core, device):
            raise MissingDevice(
                f"OpenVINO finds no device {device} on this machine",
                hint=f"devices here: {', '.join(core.available_devices)}; see `ssdconvert doctor`",
            )
        try:
            self.compiled = core.compile_model(model, device, {"INFERENCE_PRECISION_HINT": "f32"})
        except RuntimeError as error:
            raise ConversionError(
                f"{path} cannot be compiled for {device}: {first_line(error)}", hint="see `ssdconvert doctor`"
            ) from error
        self.execution_precision = self.compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        self.execution_devices = list(self.compiled.get_property("EXECUTION_DEVICES"))

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """Return every output by name."""
        results = self.compiled(dict(feeds), share_inputs=False)
        return {name: np.array(results[index]) for index, name in enumerate(self.output_names)}


def name_of(port: Any) -> str:
    """Return a port's tensor name, of several the shortest."""
    return min(port.get_names(), key=lambda name: (len(name), name))


def first_line(error: Exception) -> str:
    """Return what an OpenVINO exception says, without its file and line numbers of C++."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return (telling or lines or [type(error).__name__])[0]


def _is_there(core: Any, device: str) -> bool:
    """Say whether a device such as GPU or GPU.1 is there; AUTO, MULTI and the like are left to compiling."""
    if ":" in device or device in ("AUTO", "MULTI", "HETERO", "BATCH"):
        return True
    return any(found == device or found.split(".")[0] == device for found in core.available_devices)
