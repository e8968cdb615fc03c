"""Runs an IR in whatever OpenVINO is there, from 2021.4 on."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
from collections.abc import Callable
from typing import Any

from .about import about
from .usb import load_usb
from .words import said

opened: list[Any] = []  # the model that `infer` runs
UNKNOWN = (
    "Unsupported property",
    "Unsupported configuration",
    "[ NOT_FOUND",
    "Option not found",
)  # of settings


def open_model(
    path: str,
    device: str,
    parts: list[str],
    extra: list[list[Any]],
    settings: dict[str, str],
    pinned: dict[str, str],
) -> dict[str, Any]:
    """Read and compile an IR for `infer`; `extra` are inner tensors to return, operation and port of each.

    `parts` are the devices that share the work of `device`, or it alone. The model is compiled with `settings`,
    and with what is `pinned` where the device takes that. Returns what runs it, and the names of each of its
    own outputs; {"absent": why} where there is no such device, {"refused": why} where it does not know a setting.
    """
    opened.clear()  # one at a time
    kind = ModelBefore2022 if _before_2022() else Model
    try:
        model = kind(path, device, parts, [(operation, port) for operation, port in extra], settings, pinned)
    except Absent as error:
        return {"absent": str(error)}
    except RuntimeError as error:
        if settings and any(word in str(error) for word in UNKNOWN):
            return {"refused": said(error).splitlines()[0]}
        raise
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


class Model:
    """An IR on a device, in OpenVINO 2022 and later."""

    def __init__(
        self,
        path: str,
        device: str,
        parts: list[str],
        extra: list[tuple[str, int]],
        settings: dict[str, str],
        pinned: dict[str, str],
    ) -> None:
        self.core = _core()
        refuse_absent(parts, self.core.available_devices, self._reason)
        model = self.core.read_model(path)
        own = len(model.outputs)
        if extra:
            model.add_outputs(extra)
        sources = [result.input_value(0) for result in model.get_results()]
        ports = [(source.get_node().get_friendly_name(), source.get_index()) for source in sources]
        self.names = [sorted(port.get_names()) for port in model.outputs[:own]]
        self.places = [ports.index(one) for one in extra]
        try:
            self.compiled = self.core.compile_model(model, device, dict(pinned, **settings))
        except RuntimeError:  # not every device can be pinned: what it says of itself is judged and reported
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
        self,
        path: str,
        device: str,
        parts: list[str],
        extra: list[tuple[str, int]],
        settings: dict[str, str],
        pinned: dict[str, str],
    ) -> None:
        from openvino.inference_engine import IECore

        load_usb()
        self.core = IECore()
        refuse_absent(parts, self.core.available_devices, self._reason)
        # it tells names such as MYRIAD.1.1-ma2480 from those in capitals
        self.device = next((one for one in self.core.available_devices if one.upper() == device), device)
        network = self.core.read_network(path)
        own = list(network.outputs)
        if extra:
            network.add_outputs(extra)
        self.names = [[name] for name in own]
        self.keys = [*own, *(name for name, _ in extra)]
        self.compiled = self.core.load_network(network, self.device, settings)

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


class Absent(Exception):
    """A device is not there."""


def refuse_absent(parts: list[str], available: list[str], reason: Callable[[str], None]) -> None:
    """Raise Absent unless each device, such as GPU or GPU.1, is there; `reason` may raise why it is not."""
    there = {name for found in available for name in (found.upper(), found.upper().partition(".")[0])}
    for name in parts:
        # the only one of its kind is found as GPU, and called GPU.0, too
        if name in there or (name.endswith(".0") and name[:-2] in there):
            continue
        try:
            reason(name)
        except RuntimeError as error:
            raise Absent(said(error).splitlines()[0]) from error
        raise Absent(f"there is no device {name}")


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
    return str(about([], ["openvino"])["versions"]["openvino"])
