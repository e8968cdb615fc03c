"""Runs a model on many pictures with several requests in flight: `submit(feed)` gives a future of its outputs."""

from collections.abc import Mapping
from concurrent.futures import Future, TimeoutError
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ssdconvert.errors import ConversionError
from ssdconvert.ir_file import read_ir
from ssdconvert.native_paths import native_path
from ssdconvert.runners import Arrays, stopped
from ssdconvert.runners.openvino_core import first_line
from ssdconvert.runners.openvino_devices import executed_on, property_of, refuse_absent
from ssdconvert.runners.openvino_runner import any_name_of, compiled, uncompiled, unreadable

SILENCE = 20.0  # seconds without an answer after which requests are asked whether they failed
# requests for each that the device wants: it goes on while Python takes the outputs of those that are done
AHEAD = 2


class Queue(Protocol):
    """A model in an engine that takes several inputs at once."""

    executed_on: str
    requests: int

    def submit(self, feed: NDArray[Any]) -> "Future[Arrays]": ...

    def outputs(self, future: "Future[Arrays]") -> Arrays: ...


def read_model(path: Path, core: Any) -> Any:
    """Return the openvino.Model of an .xml or .onnx; ConversionError where it cannot be read."""
    if path.suffix == ".xml":
        return read_ir(path, core)
    try:
        with native_path(path) as native:
            return core.read_model(native)
    except RuntimeError as error:
        raise unreadable(path, error) from error


class OpenvinoQueue:
    """An openvino.Model on a device, with requests for as many inputs as it computes at once and those next, or one.

    With `pixels` it takes u8, a quarter of the memory of f32, whatever the model takes. `settings` are the device's.

    Raises MissingDevice where the device is not there, ConversionError where the model does not compile.
    """

    def __init__(
        self,
        core: Any,
        model: Any,
        path: Path,
        device: str,
        pixels: bool,
        many: bool,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        import openvino

        self.path, self.device = path, device
        self.names = [any_name_of(port) for port in model.outputs]
        hints = {"PERFORMANCE_HINT": "THROUGHPUT" if many else "LATENCY"}
        refuse_absent(core, device)
        try:
            fed = _taking_u8(model) if pixels else model
        except RuntimeError as error:
            raise uncompiled(path, device, error) from error
        self.compiled = compiled(core, fed, path, device, settings, hints)
        self.executed_on = executed_on(self.compiled, device)
        wanted = int(property_of(self.compiled, "OPTIMAL_NUMBER_OF_INFER_REQUESTS", 1))
        self.requests = AHEAD * wanted if many else 1
        self.lock = Lock()  # two threads would be given the same idle request
        self.queue = openvino.AsyncInferQueue(self.compiled, self.requests)
        self.queue.set_callback(self._done)

    def _done(self, request: Any, started: tuple["Future[Arrays]", NDArray[Any]]) -> None:
        future, tensors = started[0], request.output_tensors
        # copies: the request's own memory serves the next picture
        future.set_result(
            {name: np.array(tensor.data) for name, tensor in zip(self.names, tensors, strict=True)}
        )

    def submit(self, feed: NDArray[Any]) -> "Future[Arrays]":
        """Start on a batch; waits while every request is busy."""
        future: Future[Arrays] = Future()
        try:
            with self.lock:
                # the input is not copied: it is held beside the future until the request is done
                self.queue.start_async({0: feed}, (future, feed), share_inputs=True)
        except RuntimeError as error:
            raise self._stopped(error) from error
        return future

    def outputs(self, future: "Future[Arrays]") -> Arrays:
        """Return every output by name; ConversionError where OpenVINO failed."""
        while True:
            try:
                return future.result(SILENCE)
            except TimeoutError:
                self._refuse_lost(future)

    def _refuse_lost(self, future: "Future[Arrays]") -> None:
        """Raise ConversionError where a request ended without an answer: its failure is told nowhere else."""
        try:
            self.queue.wait_all()
        except RuntimeError as error:
            raise self._stopped(error) from error
        if not future.done():
            raise self._stopped(RuntimeError("a request ended without an answer"))

    def _stopped(self, error: Exception) -> ConversionError:
        return stopped(self.path, f"OpenVINO on {self.device}", first_line(error))


class OnnxQueue:
    """A session of ONNX Runtime, one input after the other."""

    executed_on = "CPU"
    requests = 1

    def __init__(self, session: Any, path: Path) -> None:
        self.session, self.path = session, path
        self.names = [output.name for output in session.get_outputs()]

    def submit(self, feed: NDArray[Any]) -> "Future[Arrays]":
        """Run on a batch."""
        future: Future[Arrays] = Future()
        try:
            arrays = self.session.run(self.names, {self.session.get_inputs()[0].name: feed})
        except Exception as error:  # the library raises a dozen classes of its own
            raise stopped(self.path, "ONNX Runtime", str(error)) from error
        future.set_result(dict(zip(self.names, arrays, strict=True)))
        return future

    def outputs(self, future: "Future[Arrays]") -> Arrays:
        """Return every output by name."""
        return future.result()


def _taking_u8(model: Any) -> Any:
    """Return the model with an input of u8, which it converts itself.

    The layout stays: behind a change of layout OpenVINO 2024.6 computes nonsense of some graphs on the CPU (a mean over
    all axes).
    """
    import openvino
    from openvino.preprocess import PrePostProcessor

    if model.input().get_element_type() == openvino.Type.u8:
        return model
    processor = PrePostProcessor(model)
    processor.input().tensor().set_element_type(openvino.Type.u8)
    return processor.build()
