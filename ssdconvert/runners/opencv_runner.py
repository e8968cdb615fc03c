"""Runs a Caffe model in OpenCV's dnn module."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdconvert.caffe import read_network, refuse_misfit
from ssdconvert.errors import ConversionError
from ssdconvert.native_paths import native_path
from ssdconvert.runners import Arrays


class OpencvRunner:
    """The model on the CPU; `outputs` are names of layers, inner ones among them.

    A layer's output is what it computes itself, before what a later layer of the same top makes of it.
    Layers are not fused and convolutions not computed by Winograd's transform: what is compared with
    should be the plain sum.
    """

    executed_on = "CPU"
    execution_precision = "f32"

    def __init__(self, prototxt: Path, caffemodel: Path, outputs: Sequence[str]) -> None:
        """Read both files; ConversionError where they are damaged, do not fit, or lack an output."""
        import cv2

        refuse_misfit(prototxt, caffemodel)
        network = read_network(prototxt)
        self.name = prototxt.name
        self.input_shapes = dict(network.inputs)
        self.output_names = tuple(outputs)
        missing = sorted(set(outputs) - {layer.name for layer in network.layers})
        if missing:
            raise ConversionError(
                f"{prototxt.name} has no layer {', '.join(missing)}",
                hint="correct the names in the recipe; the prototxt's last layers are "
                f"{', '.join(layer.name for layer in network.layers[-3:])}",
                stage="load",
            )
        with _told_by(prototxt.name), native_path(prototxt) as text, native_path(caffemodel) as weights:
            self.net = cv2.dnn.readNetFromCaffe(str(text), str(weights))
        self.net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
        self.net.setPreferableTarget(cv2.dnn.DNN_TARGET_CPU)
        self.net.enableFusion(False)
        self.net.enableWinograd(False)
        self.runtime = f"opencv {cv2.__version__}"

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """Return every output by name; ConversionError for an input that the prototxt does not have."""
        for name, array in feeds.items():
            if self.input_shapes.get(name) != array.shape:  # OpenCV would compute on with any shape
                raise ConversionError(
                    f"{self.name} has the inputs {self.input_shapes}, expected {name!r} {list(array.shape)}",
                    hint="correct input.name or input.shape in the recipe",
                    stage="load",
                )
        with _told_by(self.name):
            for name, array in feeds.items():
                self.net.setInput(np.ascontiguousarray(array, np.float32), name)
            computed = self.net.forward(list(self.output_names))
        # the arrays are views of memory that the next run writes to
        return {name: np.array(array) for name, array in zip(self.output_names, computed, strict=True)}


@contextlib.contextmanager
def _told_by(name: str) -> Iterator[None]:
    """Turn OpenCV's exceptions into ConversionError, with what its libraries wrote to stderr meanwhile."""
    import cv2

    with tempfile.TemporaryFile() as said:
        stderr = os.dup(2)
        try:
            os.dup2(said.fileno(), 2)
            yield
        except cv2.error as error:
            said.seek(0)
            lines = [error.err.strip(), *said.read().decode("utf-8", "replace").splitlines()]
            raise ConversionError(
                f"{name} does not run in OpenCV: {'; '.join(lines[:3])}",
                hint="OpenCV is the engine that the converted model is compared with: its dnn module must "
                "know every layer of the prototxt",
                stage="load",
            ) from error
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
