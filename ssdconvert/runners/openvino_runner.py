"""Runs an IR in OpenVINO, with the execution precision pinned."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdconvert.errors import ConversionError
from ssdconvert.native_paths import native_path
from ssdconvert.runners import Arrays, stopped
from ssdconvert.runners.openvino_core import first_line, new_core, openvino_name
from ssdconvert.runners.openvino_devices import (
    PRECISION,
    SECTIONS,
    executed_on,
    pinned,
    precision_of,
    refuse_absent,
    refuse_fallback,
)


class OpenvinoRunner:
    """The IR at `path` on `device`; `extra` names inner tensors to return beside its outputs.

    `prepare` may give tensors of the read model a name before that. With `cut` only what leads to `extra`
    is computed, and only that returned. `settings` of the device win over the pinned precision.

    Raises MissingDevice where `device` is not there or leaves the work to another one, and ConversionError
    where the file cannot be read, compiled, or has no tensor of an `extra` name.
    """

    def __init__(
        self,
        path: Path,
        device: str = "CPU",
        extra: Sequence[str] = (),
        prepare: Callable[[Any], Any] = lambda model: None,
        cut: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.runtime = openvino_name()
        self.path, self.device = path, device
        core = new_core()
        try:
            with native_path(path) as native:
                model = core.read_model(native)
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
        self.compiled = compiled(core, model, path, device, settings)
        self.executed_on = executed_on(self.compiled, device)
        refuse_fallback(device, self.executed_on)
        self.execution_precision = precision_of(self.compiled)

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """Return every output by name; ConversionError where OpenVINO fails."""
        try:
            results = self.compiled(dict(feeds), share_inputs=False)
        except RuntimeError as error:
            raise stopped(self.path, f"OpenVINO on {self.device}", first_line(error)) from error
        return {name: np.array(results[index]) for name, index in self.places.items()}


def compiled(
    core: Any,
    model: Any,
    path: Path,
    device: str,
    settings: Mapping[str, str] | None = None,
    hints: Mapping[str, str] | None = None,
) -> Any:
    """Return the CompiledModel of a model that was read from `path`, its execution precision pinned.

    `settings`, which a user gave, win over the pin and over `hints`. Raises MissingDevice where `device` is not
    there, ConversionError where the model does not compile.
    """
    refuse_absent(core, device)
    given, own = dict(settings or {}), pinned(core, device)
    if PRECISION in given:
        own.pop(SECTIONS, None)
    try:
        try:
            return core.compile_model(model, device, {**own, **(hints or {}), **given})
        except RuntimeError as error:
            if PRECISION in given or PRECISION not in str(error):
                raise
            # a device that cannot be told computes as it does: what it says of itself is judged and reported
            return core.compile_model(model, device, {**(hints or {}), **given})
    except RuntimeError as error:
        raise uncompiled(path, device, error) from error


def uncompiled(path: Path, device: str, error: Exception) -> ConversionError:
    """Return the failure that a model stands for which OpenVINO does not make ready for a device."""
    return ConversionError(
        f"{path} cannot be compiled for {device}: {first_line(error)}", hint="see `ssdconvert doctor`"
    )


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
