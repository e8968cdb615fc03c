"""A model in OpenVINO as its own benchmark_app runs it: the same hints, requests and kind of input.

benchmark_app (openvino.tools.benchmark 2024.6) sets PERFORMANCE_HINT and nothing else, feeds pictures as u8, and has as
many requests as OPTIMAL_NUMBER_OF_INFER_REQUESTS; inputs are filled once. Two things are different here: the execution
precision is pinned, as whatever was verified, and with the hint `latency` one request is waited for, so that what is
timed is what a program waits. On the CPU of one socket that is benchmark_app's number of requests too.
"""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdconvert.detector import Detector, open_detector
from ssdconvert.devices import Machine
from ssdconvert.errors import ConversionError
from ssdconvert.recipe import Recipe
from ssdconvert.runners import Arrays, stopped
from ssdconvert.runners.openvino_core import first_line, openvino_name
from ssdconvert.runners.openvino_devices import precision_of, property_of, refuse_fallback
from ssdconvert.runners.openvino_runner import any_name_of
from ssdconvert.speed.engines import Block, Contender, Told, timed_calls
from ssdconvert.speed.result import Hint
from ssdconvert.ssd.preprocess import Pixels


class OpenvinoEngine:
    """The model of a detector, compiled as benchmark_app compiles, with one input that its requests share."""

    def __init__(self, detector: Detector, device: str, hint: Hint, feed: NDArray[Any]) -> None:
        import openvino

        compiled = detector.queue.compiled  # type: ignore[attr-defined]
        self.path, self.device = detector.model.facts.path, device
        refuse_fallback(device, detector.queue.executed_on)
        self.names = [any_name_of(port) for port in compiled.outputs]
        # 0: as many requests as the device wants
        self.queue = None if hint == "latency" else openvino.AsyncInferQueue(compiled, 0)
        self.request = compiled.create_infer_request()
        self.told = Told(
            openvino_name(),
            detector.queue.executed_on,
            precision_of(compiled),
            detector.model.reading.ends_in,
            property_of(compiled, "INFERENCE_NUM_THREADS", None),
            1 if self.queue is None else len(self.queue),
            detector.model.batch,
        )
        self.feed = feed  # the requests read it where it is, and do not hold it
        tensor = openvino.Tensor(feed, shared_memory=True)
        for request in (self.request, *(self.queue or ())):
            request.set_input_tensor(tensor)

    def once(self) -> Arrays:
        """Run one inference; ConversionError where OpenVINO fails."""
        try:
            self.request.start_async()
            self.request.wait()
        except RuntimeError as error:
            raise self._stopped(error) from error
        tensors = self.request.output_tensors
        return {name: np.array(tensor.data) for name, tensor in zip(self.names, tensors, strict=True)}

    def block(self, seconds: float) -> Block:
        """Run for so many seconds, at least one inference a request; ConversionError where OpenVINO fails."""
        try:
            return self._in_turn(seconds) if self.queue is None else self._at_once(self.queue, seconds)
        except RuntimeError as error:
            raise self._stopped(error) from error

    def _in_turn(self, seconds: float) -> Block:
        request, taken = self.request, list[float]()

        def run() -> None:
            request.start_async()
            request.wait()

        started = time.perf_counter()
        timed_calls(run, started + seconds, taken)
        return Block(tuple(taken), time.perf_counter() - started)

    def _at_once(self, queue: Any, seconds: float) -> Block:
        """Keep every request busy, and ask each for its latency before it starts again."""
        taken, running, count = list[float](), set[int](), 0
        started = time.perf_counter()
        while time.perf_counter() - started < seconds or count < self.told.requests:
            idle = queue.get_idle_request_id()
            if idle in running:
                taken.append(queue[idle].latency)
            running.add(idle)
            queue.start_async()
            count += 1
        queue.wait_all()
        elapsed = time.perf_counter() - started
        taken += [queue[index].latency for index in running]
        return Block(tuple(taken), elapsed)

    def _stopped(self, error: Exception) -> ConversionError:
        return stopped(self.path, f"OpenVINO on {self.device}", first_line(error))


def openvino_contender(
    name: str,
    path: Path,
    precision: str,
    pixels: Pixels,
    recipe: Recipe | None = None,
    machine: Machine | None = None,
    required: bool = True,
) -> Contender:
    """Return an .xml or .onnx in OpenVINO, fed the picture `pixels` (RGB, [H, W, 3]) as `detect` feeds it."""
    where = machine or Machine()

    def opened(hint: Hint, threads: int | None) -> OpenvinoEngine:
        told = {"PERFORMANCE_HINT": hint.upper()}
        if threads is not None and where.device == "CPU":
            told["INFERENCE_NUM_THREADS"] = str(threads)
        detector = open_detector(
            path, recipe, machine=replace(where, settings={**told, **where.settings}), many=hint != "latency"
        )
        feed = detector.batch([detector.prepared(pixels)] * detector.model.batch)
        return OpenvinoEngine(detector, where.device, hint, np.ascontiguousarray(feed))

    return Contender(name, "OpenVINO", precision, where.device, opened, required)
