"""IR v10 and blobs for MYRIAD, by OpenVINO 2021."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from typing import Any

from .about import about
from .usb import load_usb, path_of_usb
from .words import cleaned, without_frame


def convert_to_ir_v10(
    source: str,
    output: str,
    input_name: str,
    mean_values: list[float],
    scale_values: list[float],
    reverse_input_channels: bool,
) -> dict[str, Any]:
    """Write IR v10 of an ONNX graph, FP16, to `output` (.xml), by the Model Optimizer of 2021.4."""
    folder, name = os.path.split(output)
    script = importlib.util.find_spec("mo_onnx")
    assert script is not None
    command = [sys.executable, str(script.origin), "--input_model", source, "--output_dir", folder]
    command += ["--model_name", os.path.splitext(name)[0], "--data_type", "FP16", "--silent"]
    for option, values in (("--mean_values", mean_values), ("--scale_values", scale_values)):
        command += [option, "{}[{}]".format(input_name, ",".join(map(repr, values)))]
    command += ["--reverse_input_channels"] if reverse_input_channels else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not os.path.exists(output):
        said = [line for line in (done.stdout + done.stderr).splitlines() if "[ ERROR ]" in line]
        told = " ".join(line.replace("[ ERROR ]", "").strip() for line in said) or done.stderr.strip()
        raise RuntimeError("Model Optimizer says: " + without_frame(told))
    return about([], ["openvino"])


def query(path: str, device: str) -> dict[str, Any]:
    """Return how many operations an IR v10 has, and those that a device's plugin does not name as supported."""
    import ngraph
    from openvino.inference_engine import IECore

    load_usb()
    core = IECore()
    network = core.read_network(path)
    supported = core.query_network(network, device)
    kinds = {
        one.get_friendly_name(): one.get_type_name() for one in ngraph.function_from_cnn(network).get_ops()
    }
    data = ("Constant", "Parameter", "Result")
    unsupported = [
        f"{name} ({kind})" for name, kind in kinds.items() if name not in supported and kind not in data
    ]
    return {"operations": len(kinds), "unsupported": sorted(unsupported)}


def compile_blob(path: str, blob: str) -> dict[str, Any]:
    """Compile an IR v10 for MYRIAD, u8 in and f32 out; return the size of the blob, or the problem."""
    libraries = os.path.join(sys.prefix, "beside", "openvino", "libs")
    program = os.path.join(libraries, "myriad_compile")
    environment = dict(os.environ, LD_LIBRARY_PATH=libraries, LD_PRELOAD=path_of_usb())
    command = [program, "-m", path, "-o", blob, "-ip", "U8", "-op", "FP32"]
    worker = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert worker.stdout is not None
    # without USB it complains of that half a million times
    said = [line.strip() for line in worker.stdout if "xLinkUsb" not in line]
    code = worker.wait()
    if code == 0 and os.path.exists(blob):
        return {"bytes": os.path.getsize(blob), "problem": ""}
    problems = [line for line in said if line and line[0] != "\x1b"]
    return {"bytes": 0, "problem": cleaned(" ".join(problems[-2:])) or f"myriad_compile ended with {code}"}
