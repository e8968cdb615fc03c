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
        self.compiled = compiled(core, model, path, device)
        self.executed_on = executed_on(self.compiled, device)
        hint = property_of(self.compiled, "INFERENCE_PRECISION_HINT", "not told")
        self.execution_precision = hint if isinstance(hint, str) else hint.get_type_name()

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """Return every output by name; ConversionError where OpenVINO fails."""
        try:
            results = self.compiled(dict(feeds), share_inputs=False)
        except RuntimeError as error:
            raise stopped(self.path, f"OpenVINO on {self.device}", first_line(error)) from error
        return {name: np.array(results[index]) for name, index in self.places.items()}


def compiled(
    core: Any, model: Any, path: Path, device: str, settings: Mapping[str, str] | None = None
) -> Any:
    """Return the CompiledModel of a model that was read from `path`, its execution precision pinned to f32.

    Raises MissingDevice where `device` is not there, ConversionError where the model does not compile.
    """
    refuse_absent(core, device)
    try:
        return core.compile_model(model, device, {**(settings or {}), "INFERENCE_PRECISION_HINT": "f32"})
    except RuntimeError as error:
        raise uncompiled(path, device, error) from error


def uncompiled(path: Path, device: str, error: Exception) -> ConversionError:
    """Return the failure that a model stands for which OpenVINO does not make ready for a device."""
    return ConversionError(
        f"{path} cannot be compiled for {device}: {first_line(error)}", hint="see `ssdconvert doctor`"
    )


def property_of(compiled_model: Any, name: str, otherwise: Any) -> Any:
    """Return what a compiled model says of itself; AUTO and MULTI do not answer everything."""
    try:
        return compiled_model.get_property(name)
    except RuntimeError:
        return otherwise


def executed_on(compiled_model: Any, device: str) -> str:
    """Return the devices that really run, for a model compiled for `device`."""
    return ", ".join(property_of(compiled_model, "EXECUTION_DEVICES", [device]))


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


def any_name_of(port: Any) -> str:
    """Return a port's tensor name, or that of its operation where it has none."""
    return name_of(port) if port.get_names() else str(port.get_node().get_friendly_name())


def sides_of(port: Any) -> tuple[int | None, ...] | None:
    """Return a port's shape, None for a side, or for a rank, that is open."""
    shape = port.get_partial_shape()
    if shape.rank.is_dynamic:
        return None
    return tuple(side.get_length() if side.is_static else None for side in shape)


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
