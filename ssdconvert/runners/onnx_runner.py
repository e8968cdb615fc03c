"""Runs an ONNX file in ONNX Runtime."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdconvert.errors import ConversionError
from ssdconvert.onnx_graph import with_outputs
from ssdconvert.runners import Arrays


class OnnxRunner:
    """The file at `path` on the CPU; `extra` names inner tensors to return beside its outputs.

    Not `optimised`, every operator is computed as it stands: quantised ones in floating point.
    """

    executed_on = "CPU"
    execution_precision = "f32"

    def __init__(self, path: Path, extra: Sequence[str] = (), optimised: bool = True) -> None:
        import onnx
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors; its warnings on old exporters run to hundreds of lines
        if not optimised:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            model = with_outputs(onnx.load(path), extra).SerializeToString() if extra else str(path)
            self.session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
        except Exception as error:  # the library raises a dozen classes of its own
            raise ConversionError(
                f"{path} does not load in ONNX Runtime: {error}",
                hint="check the file with onnx.checker",
                stage="load",
            ) from error
        self.runtime = f"onnxruntime {onnxruntime.__version__}{'' if optimised else ' unoptimised'}"
        self.output_names = [output.name for output in self.session.get_outputs()]

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """Return every output by name."""
        outputs = self.session.run(self.output_names, dict(feeds))
        return {name: np.asarray(array) for name, array in zip(self.output_names, outputs, strict=True)}
