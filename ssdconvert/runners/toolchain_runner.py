"""Runs an IR in another version of OpenVINO, that of a toolchain."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdconvert.devices import device_name
from ssdconvert.errors import ConversionError, MissingDevice
from ssdconvert.ir_file import read_ir
from ssdconvert.native_paths import native_path
from ssdconvert.runners import Arrays
from ssdconvert.runners.openvino_devices import PRECISION, STAY, refuse_fallback
from ssdconvert.toolchains.call import Toolchain

OPENING, RUNNING = 600.0, 300.0  # seconds until a worker is taken to hang
Port = tuple[str, int]  # an operation's name, and which of its outputs


class ToolchainRunner:
    """The IR at `path` on `device`, as `OpenvinoRunner`; `extra` names inner tensors to return beside its outputs.

    `prepare` may give tensors a name before that. The other OpenVINO reads the file itself: `ports` of inner
    tensors are looked up here, where names of tensors do not depend on its version.

    Raises MissingDevice where the toolchain or the device is not there, ConversionError where the file cannot
    be read or compiled, or the worker fails.
    """

    def __init__(
        self,
        toolchain: Toolchain,
        path: Path,
        device: str = "CPU",
        extra: Sequence[str] = (),
        prepare: Callable[[Any], Any] = lambda model: None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        request = {
            "device": device,
            "parts": device_name(device).names,
            "extra": ports_of(path, extra, prepare),
            "settings": {key: _absolute(value) for key, value in (settings or {}).items()},
            "pinned": _pinned(device),
        }
        self.session = toolchain.session("verify")
        with native_path(path) as native:
            told = self.session.ask("open_model", {"path": str(native.absolute()), **request}, OPENING)
        _refuse_unopened(toolchain.kind.name, device, told)
        self.runtime = f"openvino {told['version']}"
        self.executed_on = ", ".join(told["devices"]) or ("" if device_name(device).sharing else device)
        refuse_fallback(device, self.executed_on or "what it does not tell")
        self.execution_precision = told["precision"]
        own = [min(names, key=lambda one: (len(one), one)) for names in told["names"]]
        self.output_names = [*own, *extra]

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """Return every output by name; ConversionError where the worker fails or hangs."""
        folder = self.session.folder
        paths = {}
        for index, (name, array) in enumerate(feeds.items()):
            paths[name] = str(folder / f"input-{index}.npy")
            np.save(paths[name], array)
        told = self.session.ask("infer", {"feeds": paths, "folder": str(folder)}, RUNNING, ["outputs"])
        arrays = (np.load(path, allow_pickle=False) for path in told["outputs"])
        return dict(zip(self.output_names, arrays, strict=True))


def _pinned(device: str) -> dict[str, str]:
    """Return the settings that a model is compiled with where the device takes them; see `openvino_devices.pinned`."""
    return {PRECISION: "f32"} | (STAY if device_name(device).sharing == "AUTO" else {})


def _absolute(value: str) -> str:
    """Return a setting; the path of a file from the root, for a worker runs in a folder of its own."""
    return str(Path(value).absolute()) if Path(value).is_file() else value


def _refuse_unopened(toolchain: str, device: str, told: Mapping[str, Any]) -> None:
    """Raise MissingDevice where a worker finds no such device, or one that does not know its settings."""
    if "absent" in told:
        raise MissingDevice(
            f"the toolchain {toolchain} finds no device {device} on this machine: {told['absent']}",
            hint="leave the device out, or run it on a machine that has it",
        )
    if "refused" in told:
        raise MissingDevice(
            f"{device} in the toolchain {toolchain} does not know what it was told by -c: {told['refused']}",
            hint="leave out the setting, or --toolchain",
        )


def ports_of(path: Path, names: Sequence[str], prepare: Callable[[Any], Any]) -> list[Port]:
    """Return where the tensors of these names are in an IR."""
    if not names:
        return []
    model = read_ir(path)
    prepare(model)
    places: dict[str, Port] = {}
    for operation in model.get_ordered_ops():
        for port in operation.outputs():
            places |= {name: (operation.get_friendly_name(), port.get_index()) for name in port.get_names()}
    missing = [name for name in names if name not in places]
    if missing:
        raise ConversionError(
            f"{path} has no tensor {', '.join(missing)}", hint="build the model again", stage="verify"
        )
    return [places[name] for name in names]
