"""A model made ready for pictures: opened on a device, fed, read."""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ssdconvert.deployed import Deployed, Feeding, deployed
from ssdconvert.devices import Machine
from ssdconvert.errors import ConversionError, RecipeError, SsdconvertError
from ssdconvert.ir_description import description_in
from ssdconvert.label_files import LabelList
from ssdconvert.model_facts import facts_of_model, facts_of_session
from ssdconvert.output_rows import UNDERSTOOD, Rows
from ssdconvert.recipe import Recipe
from ssdconvert.runners import Arrays
from ssdconvert.runners.openvino_core import first_line, new_core
from ssdconvert.runners.openvino_devices import refuse_settings
from ssdconvert.runners.queues import (
    OnnxQueue,
    OpenvinoQueue,
    Queue,
    read_model,
)
from ssdconvert.ssd.preprocess import Pixels, resized

# types of inputs by OpenVINO's names, where a picture can be told in them
TYPES: dict[str, Any] = {
    "f32": np.float32, "f16": np.float16, "f64": np.float64, "u8": np.uint8, "i32": np.int32, "i64": np.int64,
}  # fmt: skip
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Detector:
    """A model in its engine; `model` says how it is fed and read, `fed` is the type of number that it is fed."""

    model: Deployed
    queue: Queue
    fed: Any

    def rows(self, pixels: Pixels) -> Rows:
        """Return what the model hands out for one picture."""
        return self.read(self.queue.submit(self.batch([self.prepared(pixels)])))[0]

    def prepared(self, pixels: Pixels) -> NDArray[Any]:
        """Bring RGB pixels [H, W, 3] of any size to one picture of the model's input, in its layout.

        A model that resizes gets them in their own size.
        """
        import cv2

        model, spec = self.model, self.model.input
        fitting = pixels if model.resizes else resized(pixels, spec)
        planes = list(cv2.split(fitting))  # many times faster than moving axes in numpy
        if spec.color.model == "bgr":
            planes.reverse()
        laid: NDArray[Any] = np.stack(planes, axis=2 if model.channels_last else 0)
        if model.normalised:
            sides = (3,) if model.channels_last else (3, 1, 1)
            mean, scale = (np.array(value, np.float32).reshape(sides) for value in (spec.mean, spec.scale))
            laid = (laid.astype(np.float32) - mean) / scale
        return laid.astype(self.fed, copy=False)

    def batch(self, pictures: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Return prepared pictures as one input, filled up with zeros."""
        missing = self.model.batch - len(pictures)
        if not missing and len(pictures) == 1:
            return pictures[0][None]
        return np.stack([*pictures, *[np.zeros_like(pictures[0])] * missing])

    def read(self, future: "Future[Arrays]") -> list[Rows]:
        """Wait for a submitted batch, and return the rows of each of its pictures."""
        outputs = self.queue.outputs(future)
        try:
            rows = self.model.reading.read(outputs)
            if len(rows) != self.model.batch:
                raise ValueError(f"they are of {len(rows)} pictures, and {self.model.batch} were fed")
        except (ValueError, IndexError) as error:
            shapes = ", ".join(f"{name} {array.dtype} {list(array.shape)}" for name, array in outputs.items())
            raise ConversionError(
                f"the outputs of {self.model.facts.path} cannot be read: {error}; they are {shapes}",
                hint=f"taken for {self.model.reading.told}; understood are: {UNDERSTOOD}",
                stage="detect",
            ) from error
        return rows


def open_detector(
    path: Path,
    recipe: Recipe | None = None,
    feeding: Feeding | None = None,
    labels: LabelList | None = None,
    machine: Machine | None = None,
    many: bool = False,
) -> Detector:
    """Open an .xml or .onnx in OpenVINO; with `many`, for as many pictures at once as the device wants.

    Raises RecipeError for a model that takes no picture or gives no detections, ConversionError where it does
    not load, MissingDevice where the device is not there.
    """
    machine = machine or Machine()
    core = new_core(machine.extensions)
    refuse_settings(core, machine.device, machine.settings)
    ir = read_model(path, core)
    _make_static(ir, path, recipe)
    model = deployed(facts_of_model(ir, path), recipe, feeding or Feeding(), labels)
    fed = _type_of(model) if model.normalised else np.uint8
    if model.normalised and np.issubdtype(fed, np.integer):
        raise RecipeError(
            f"{path} takes whole numbers ({model.facts.inputs[0]}): mean and scale would be rounded away",
            hint="leave --mean and --scale out, or give a model that takes f32",
            stage="detect",
        )
    queue = OpenvinoQueue(
        core, ir, path, machine.device, fed == np.uint8, many or model.batch > 1, machine.settings
    )
    return Detector(model, queue, fed)


def _make_static(ir: Any, path: Path, recipe: Recipe | None) -> None:
    """Give a model of one input the recipe's shape, or a batch of one, where it has none of its own.

    One that resizes pictures itself stays open for any size.
    """
    if "baked_resize" in description_in(ir):
        return
    shape = ir.input().get_partial_shape() if len(ir.inputs) == 1 else None
    if shape is None or shape.is_static or (not recipe and (shape.rank.is_dynamic or len(shape) != 4)):
        return
    wanted = [1, *recipe.input.shape[1:]] if recipe else shape
    if not recipe:
        if shape[0].is_static:
            return
        shape[0] = 1
    try:
        ir.reshape(wanted)
    except RuntimeError as error:
        raise ConversionError(
            f"{path} takes {shape} and cannot be given the shape {wanted}: {first_line(error)}",
            hint="convert the model with a static shape",
            stage="load",
        ) from error


def _type_of(model: Deployed) -> Any:
    return TYPES.get(model.facts.inputs[0].type, np.float32)


def open_onnx(
    path: Path, recipe: Recipe | None = None, feeding: Feeding | None = None, labels: LabelList | None = None
) -> Detector:
    """Open an .onnx in ONNX Runtime, the engine in which it is the original."""
    import onnx

    from ssdconvert.quantised_onnx import is_quantised
    from ssdconvert.runners.onnx_runner import OnnxRunner

    session = OnnxRunner(path, exact=is_quantised(onnx.load(path))).session
    model = deployed(facts_of_session(session, path), recipe, feeding or Feeding(), labels)
    return Detector(model, OnnxQueue(session, path), _type_of(model))


def detected(
    detector: Detector,
    items: Sequence[Item],
    read: Callable[[Item], Pixels],
    finish: Callable[[Item, Pixels, Rows], Result],
) -> Iterator[Result | SsdconvertError]:
    """Yield `finish(item, pixels, rows)` for each item in order, or the expected failure of its own.

    Each batch is read, run and finished in a thread of its own: as many threads as there are requests and cores,
    so that pictures are ready when a request is.
    """
    size, threads = detector.model.batch, detector.queue.requests + (os.cpu_count() or 1)
    chunks = [items[start : start + size] for start in range(0, len(items), size)]

    def run(chunk: Sequence[Item]) -> list[Result | SsdconvertError]:
        opened = [_attempt(read, item) for item in chunk]
        good = [pixels for pixels in opened if not isinstance(pixels, SsdconvertError)]
        if not good:
            return [error for error in opened if isinstance(error, SsdconvertError)]
        future = detector.queue.submit(detector.batch([detector.prepared(pixels) for pixels in good]))
        rows = iter(detector.read(future))
        return [
            pixels if isinstance(pixels, SsdconvertError) else _attempt(finish, item, pixels, next(rows))
            for item, pixels in zip(chunk, opened, strict=True)
        ]

    for results in in_threads(run, chunks, threads):
        yield from results


def in_threads(action: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """Yield `action(item)` for each item in order; what is in memory does not grow with their number."""
    left = iter(items)
    with _short_turns(), ThreadPoolExecutor(threads) as pool:
        ahead = deque(pool.submit(action, item) for item in islice(left, threads))
        while ahead:
            result = ahead.popleft().result()
            ahead.extend(pool.submit(action, item) for item in islice(left, 1))
            yield result


@contextmanager
def _short_turns() -> Iterator[None]:
    """Let many threads go on without waiting for each other.

    Python changes threads after 0.5 ms, not 5, the time that a small network takes; OpenCV has no threads of its own,
    which would spin on the cores while they wait for work.
    """
    import cv2

    threads, interval = cv2.getNumThreads(), sys.getswitchinterval()
    cv2.setNumThreads(1)
    sys.setswitchinterval(0.0005)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
        sys.setswitchinterval(interval)


def _attempt(action: Callable[..., Result], *arguments: Any) -> Result | SsdconvertError:
    """Return what an action gives, or its expected failure."""
    try:
        return action(*arguments)
    except SsdconvertError as error:
        return error
