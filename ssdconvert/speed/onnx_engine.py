"""An ONNX file in ONNX Runtime on the CPU, as people deploy it: every optimisation, the others' number of threads."""

from pathlib import Path
from typing import Any

import numpy as np

from ssdconvert.cores import cores_allowed
from ssdconvert.deployed import Feeding, deployed
from ssdconvert.detector import TYPES, Detector
from ssdconvert.errors import ConversionError
from ssdconvert.model_facts import facts_of_session
from ssdconvert.native_paths import native_path
from ssdconvert.recipe import Recipe
from ssdconvert.runners import Arrays, stopped
from ssdconvert.runners.queues import OnnxQueue
from ssdconvert.speed.engines import CalledEngine, Contender, Engine, Told, fastest, splits
from ssdconvert.speed.result import Hint
from ssdconvert.ssd.preprocess import Pixels


def onnx_contender(
    name: str,
    path: Path,
    precision: str,
    pixels: Pixels,
    recipe: Recipe | None = None,
    required: bool = True,
) -> Contender:
    """Return an .onnx in ONNX Runtime, fed the picture `pixels` (RGB, [H, W, 3]) as the recipe says."""

    def opened(hint: Hint, threads: int | None) -> Engine:
        wanted = threads or len(cores_allowed())
        return fastest([_engine(path, recipe, pixels, wanted, requests) for requests in splits(hint, wanted)])

    return Contender(name, "ONNX Runtime", precision, "CPU", opened, required)


def _engine(path: Path, recipe: Recipe | None, pixels: Pixels, threads: int, requests: int) -> CalledEngine:
    import onnxruntime

    session = _session(path, threads // requests)
    model = deployed(facts_of_session(session, path), recipe, Feeding())
    detector = Detector(model, OnnxQueue(session, path), TYPES.get(model.facts.inputs[0].type, np.float32))
    feed = np.ascontiguousarray(detector.batch([detector.prepared(pixels)] * model.batch))
    given, names = {model.facts.inputs[0].name: feed}, [output.name for output in session.get_outputs()]

    def run() -> Arrays:
        try:
            return dict(zip(names, session.run(names, given), strict=True))
        except Exception as error:  # the library raises a dozen classes of its own
            raise stopped(path, "ONNX Runtime", str(error)) from error

    runtime, work = f"onnxruntime {onnxruntime.__version__}", model.reading.ends_in
    return CalledEngine(run, Told(runtime, "CPU", "f32", work, threads, requests, model.batch))


def _session(path: Path, threads: int) -> Any:
    """Return a session with so many threads; ConversionError where ONNX Runtime does not take the file.

    `OnnxRunner` is not for this: it keeps quantised files from the very shortcuts that make them fast.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = threads
    try:
        with native_path(path) as native:
            return onnxruntime.InferenceSession(str(native), options, ["CPUExecutionProvider"])
    except Exception as error:  # the library raises a dozen classes of its own
        raise ConversionError(
            f"{path} does not load in ONNX Runtime: {error}",
            hint="check the file with onnx.checker",
            stage="load",
        ) from error
