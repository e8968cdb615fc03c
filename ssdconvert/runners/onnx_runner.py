"""Runs an ONNX file in ONNX Runtime."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdconvert.cores import threads_for_onnx_runtime
from ssdconvert.errors import ConversionError
from ssdconvert.native_paths import native_path
from ssdconvert.onnx_graph import keep_what_leads_to, with_outputs
from ssdconvert.quantised_onnx import computes_in_integers
from ssdconvert.runners import Arrays, stopped


class OnnxRunner:
    """The file at `path` on the CPU; `extra` names inner tensors to return beside its outputs.

    With `cut` only what leads to `extra` is computed, and only that returned. `exact` keeps quantised
    operators from the shortcuts whose integers saturate on processors without VNNI; what that takes
    depends on their form. `runtime` says which it was.
    """

    executed_on = "CPU"
    execution_precision = "f32"

    def __init__(self, path: Path, extra: Sequence[str] = (), exact: bool = False, cut: bool = False) -> None:
        import onnx
        import onnxruntime

        self.path = path
        self.runtime = f"onnxruntime {onnxruntime.__version__}"
        try:
            model = b""
            if extra or exact:
                graph = with_outputs(onnx.load(path), extra)
                if cut:
                    keep_what_leads_to(graph.graph, extra)
                model = graph.SerializeToString()
            with native_path(path) as native:
                self.session = self._exact_session(graph, model) if exact else _session(model or str(native))
        except Exception as error:  # the library raises a dozen classes of its own
            raise ConversionError(
                f"{path} does not load in ONNX Runtime: {error}",
                hint="check the file with onnx.checker",
                stage="load",
            ) from error
        self.output_names = [output.name for output in self.session.get_outputs()]

    def _exact_session(self, graph: Any, model: bytes) -> Any:
        """Return a session whose quantised operators do not saturate.

        Float operators between DequantizeLinear and QuantizeLinear stay what they are without
        optimisations. QLinear operators are integers in any case; 64-bit precision makes them exact, for
        weights with one scale (measured: wrong by one step in 0.03 % of the numbers, against 12 steps in 82 %).
        """
        if computes_in_integers(graph):
            with contextlib.suppress(
                Exception
            ):  # NotImplemented, of a class that the library does not export
                session = _session(model, "ORT_ENABLE_EXTENDED", {"session.x64quantprecision": "1"})
                self.runtime += " exact"
                return session
        self.runtime += " unoptimised"
        return _session(model, "ORT_DISABLE_ALL")

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """Return every output by name; ConversionError where ONNX Runtime fails."""
        try:
            outputs = self.session.run(self.output_names, dict(feeds))
        except Exception as error:  # the library raises a dozen classes of its own
            raise stopped(self.path, "ONNX Runtime", str(error)) from error
        return {name: np.asarray(array) for name, array in zip(self.output_names, outputs, strict=True)}


def _session(model: Any, level: str = "ORT_ENABLE_ALL", entries: Mapping[str, str] | None = None) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; its warnings on old exporters run to hundreds of lines
    options.intra_op_num_threads = threads_for_onnx_runtime()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    for key, value in (entries or {}).items():
        options.add_session_config_entry(key, value)
    return onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
