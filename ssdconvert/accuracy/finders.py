"""Models made ready to find what is in pictures, each picture by itself and always to the same bit.

Sums of floating-point numbers depend on their order, which engines choose by their number of threads. So each
picture is computed by one thread, many beside each other: what is found does not depend on how pictures are divided
among threads, processes and machines of the same kind of processor.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdconvert.accuracy.subjects import Subject, paths_by_name
from ssdconvert.cores import cores_allowed, one_thread_a_session
from ssdconvert.detector import open_detector
from ssdconvert.devices import Machine
from ssdconvert.drawing import in_pixels
from ssdconvert.errors import ConversionError
from ssdconvert.recipe import Input
from ssdconvert.recipe_source import CaffeSource, IrSource
from ssdconvert.ssd.detections import Detections, detections_of
from ssdconvert.ssd.preprocess import Pixels, original_input

STREAMS, THREADS = "NUM_STREAMS", "INFERENCE_NUM_THREADS"


@dataclass(frozen=True)
class Finder:
    """`find` returns the detections of a picture, boxes in 0..1 of it, best first; `threads` may call it at once."""

    find: Callable[[Pixels], Detections]
    threads: int


@contextmanager
def opened(subject: Subject, jobs: int | None = None) -> Iterator[Finder]:
    """Give a model that is ready for `jobs` pictures at once, as many as there are cores without a number.

    Raises ConversionError where it does not load, MissingDevice where its device is not there, RecipeError for a
    model that takes no picture or gives no detections.
    """
    jobs = jobs or len(cores_allowed())
    recipe = subject.recipe
    if subject.original and recipe and not isinstance(recipe.source, IrSource):
        with _one_thread_in_torch() if subject.engine == "torch" else nullcontext():
            with one_thread_a_session():
                finder = _original(subject, jobs)
            yield finder
    else:
        yield _deployed(subject, jobs)


def names_of(subject: Subject, warn: Callable[[str], None] = lambda told: None) -> tuple[str, ...]:
    """Return the names of labels 1, 2, ... of a model that is deployed, as `detect` has them.

    `warn` hears what of its recipe or labels does not fit. Raises as `opened` does, without making it ready.
    """
    from ssdconvert.deployed import Feeding, deployed
    from ssdconvert.model_facts import facts_of_model
    from ssdconvert.runners.openvino_core import new_core
    from ssdconvert.runners.queues import read_model

    model = read_model(subject.path, new_core(subject.machine.extensions))
    found = deployed(facts_of_model(model, subject.path), subject.recipe, Feeding(), subject.labels)
    for warning in found.warnings:
        warn(warning)
    return found.names


def one_thread_each(machine: Machine, jobs: int) -> Machine:
    """Return a machine with as many streams as pictures at once, a thread each, where that is ours to say: on CPU."""
    if machine.device != "CPU":
        return machine
    streams = machine.settings.get(STREAMS, str(jobs))
    return replace(machine, settings={STREAMS: streams, THREADS: streams, **machine.settings})


def in_whole_picture(boxes: NDArray[Any], size: tuple[int, int], spec: Input) -> NDArray[Any]:
    """Bring boxes [N, 4] in 0..1 of the input to 0..1 of a picture of (height, width), not cut at its edges.

    Whether boxes end at the edges is part of what a model says: MLPerf's do not, torchvision's do.
    """
    if spec.resize.mode == "stretch":
        return boxes
    height, width = size
    return in_pixels(boxes, size, spec, cut=False) / np.array([width, height] * 2)


def _deployed(subject: Subject, jobs: int) -> Finder:
    machine = one_thread_each(subject.machine, jobs)
    detector = open_detector(subject.path, subject.recipe, labels=subject.labels, machine=machine, many=True)
    model = detector.model

    def find(pixels: Pixels) -> Detections:
        found = detector.rows(pixels).detections(model.first_label, model.sides)
        return _moved(found, pixels, model.input)

    return Finder(find, detector.queue.requests + jobs)


def _original(subject: Subject, jobs: int) -> Finder:
    from ssdconvert.stages.load import load

    recipe = subject.recipe
    assert recipe
    original, lock = load(recipe, paths_by_name(subject.files)), Lock()

    def run(pixels: Pixels) -> Any:
        return original.run(original_input(pixels, recipe.input), recipe.input.name)

    def find(pixels: Pixels) -> Detections:
        if isinstance(recipe.source, CaffeSource):  # OpenCV's networks run once at a time
            with lock:
                outputs = run(pixels)
        else:
            outputs = run(pixels)
        return _moved(
            detections_of(*original.heads.decoded(outputs), recipe.detections), pixels, recipe.input
        )

    return Finder(find, jobs)


def _moved(found: Detections, pixels: Pixels, spec: Input) -> Detections:
    boxes = in_whole_picture(found.boxes, (pixels.shape[0], pixels.shape[1]), spec)
    if not (np.isfinite(boxes).all() and np.isfinite(found.scores).all()):
        raise ConversionError(
            "a detection holds NaN or infinity",
            hint="verify the model: `ssdconvert verify`",
            stage="evaluate",
        )
    return Detections(boxes, found.labels, found.scores)


@contextmanager
def _one_thread_in_torch() -> Iterator[None]:
    """Have torch compute a picture in the thread that asks for it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
