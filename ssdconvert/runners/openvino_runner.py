"""Runs an IR in OpenVINO, with the execution precision pinned."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdconvert.errors import ConversionError, MissingDevice
from ssdconvert.runners import Arrays, stopped


class OpenvinoRunner:
    """The IR at `path` on `device`; `extra` names inner tensors to return beside its outputs.

    `prepare` may give tensors of the read model a name before that. With `cut` only what leads to `extra`
    is computed, and only that returned.

    Raises MissingDevice where `device` is not there, and ConversionError where the file cannot be
    read, compiled, or has no tensor of an `extra` name.
    """

    def __init__(
        self,
        path: Path,
        device: str = "CPU",
        extra: Sequence[str] = (),
        prepare: Callable[[Any], Any] = lambda model: None,
        cut: bool = False,
    ) -> None:
        import openvino

        self.runtime = f"openvino {openvino.get_version().split('-')[0]}"
        self.path, self.device = path, device
        core = openvino.Core()
        try:
            model = core.read_model(path)
            prepare(model)
            own = [name_of(port) for port in model.outputs]
            for name in extra:
                model.add_outputs(name)
            if cut:
                wanted = set(extra)
                for result in model.get_results()[: len(own)]:
                    if wanted.isdisjoint(result.output(0).get_names()):
                        model.remove_result(result)
                own = [name for name in own if name in wanted]
        except RuntimeError as error:
            raise unreadable(path, error) from error
        # a tensor of several names is one output
        ports = [port.get_names() for port in model.outputs]
        self.places = {
            name: next(index for index, names in enumerate(ports) if name in names) for name in (*own, *extra)
        }
        self.output_names = list(self.places)
        refuse_absent(core, device)
        try:
            self.compiled = core.compile_model(model, device, {"INFERENCE_PRECISION_HINT": "f32"})
        except RuntimeError as error:
            raise ConversionError(
                f"{path} cannot be compiled for {device}: {first_line(error)}",
                hint="see `ssdconvert doctor`",
            ) from error
        self.executed_on = ", ".join(self._property("EXECUTION_DEVICES", [device]))
        hint = self._property("INFERENCE_PRECISION_HINT", "not told")
        self.execution_precision = hint if isinstance(hint, str) else hint.get_type_name()

    def _property(self, name: str, otherwise: Any) -> Any:
        """Return what the compiled model says of itself; AUTO and MULTI do not answer everything."""
        try:
            return self.compiled.get_property(name)
        except RuntimeError:
            return otherwise

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """Return every output by name; ConversionError where OpenVINO fails."""
        try:
            results = self.compiled(dict(feeds), share_inputs=False)
        except RuntimeError as error:
            raise stopped(self.path, f"OpenVINO on {self.device}", first_line(error)) from error
        return {name: np.array(results[index]) for name, index in self.places.items()}


def unreadable(path: Path, error: Exception) -> ConversionError:
    """Return the failure that a file stands for which OpenVINO does not read."""
    return ConversionError(
        f"{path} cannot be read by OpenVINO: {first_line(error)}",
        hint="build the model again; an IR is a pair of .xml and .bin",
        stage="load",
    )


def name_of(port: Any) -> str:
    """Return a port's tensor name, of several the shortest."""
    return min(port.get_names(), key=lambda name: (len(name), name))


def first_line(error: Exception) -> str:
    """Return what an OpenVINO exception says, without its file and line numbers of C++."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return (telling or lines or [type(error).__name__])[0]


def refuse_absent(core: Any, device: str) -> None:
    """Raise MissingDevice unless a device such as GPU.1, or each of `AUTO:GPU,CPU`, is there."""
    kind, _, listed = device.partition(":")
    composite = kind in ("AUTO", "MULTI", "HETERO", "BATCH")
    wanted = [name.partition("(")[0] for name in listed.split(",") if name] if composite else [device]
    for name in wanted:
        if not any(name in (found, found.partition(".")[0]) for found in core.available_devices):
            raise MissingDevice(
                f"OpenVINO finds no device {name} on this machine",
                hint=f"devices here: {', '.join(core.available_devices)}; see `ssdconvert doctor`",
            )
