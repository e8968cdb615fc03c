"""The original of a recipe in its own engine: a checkpoint in torch, a Caffe network in OpenCV.

Its network ends in heads. What follows in an IR, decoding and suppression, is done for it in numpy, as for the
gate: one contender has that in its time, another is the network alone, which no IR with a tail can be asked to beat.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ssdconvert.cores import cores_allowed
from ssdconvert.originals import Original
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import CaffeSource
from ssdconvert.runners import Arrays
from ssdconvert.speed.engines import CalledEngine, Contender, Engine, Told, fastest, splits
from ssdconvert.speed.result import Hint
from ssdconvert.ssd.detections import detections_of
from ssdconvert.ssd.preprocess import Pixels, original_input


def original_contenders(
    recipe: Recipe, files: Callable[[], Mapping[str, Path]], pixels: Pixels
) -> list[Contender]:
    """Return the original of a recipe, with its suppression and its network alone, fed `pixels` as it was trained.

    `files` gives its files by name when they are needed. An original without suppression of its own is two contenders.
    """
    caffe = isinstance(recipe.source, CaffeSource)
    engine = "OpenCV" if caffe else "torch"
    loaded: list[Original] = []

    def opening(alone: bool) -> Callable[[Hint, int | None], Engine]:
        def opened(hint: Hint, threads: int | None) -> Engine:
            from ssdconvert.stages.load import load

            if not loaded:
                loaded.append(load(recipe, files()))
            wanted = threads or len(cores_allowed())
            divided = (
                [1] if caffe else splits(hint, wanted)
            )  # one network of OpenCV answers one call at a time
            return fastest(
                [_engine(recipe, loaded[0], pixels, wanted, requests, alone) for requests in divided]
            )

        return opened

    whole = Contender(engine, engine, "FP32", "CPU", opening(False), required=False)
    if recipe.source.kind == "caffe" and recipe.source.heads is None:
        return [whole]  # it ends in DetectionOutput
    network = f"{engine}, network alone"
    return [whole, Contender(network, engine, "FP32", "CPU", opening(True), required=False)]


def _engine(
    recipe: Recipe, original: Original, pixels: Pixels, threads: int, requests: int, alone: bool
) -> CalledEngine:
    feeds = {recipe.input.name: np.ascontiguousarray(original_input(pixels, recipe.input), np.float32)}
    whole = original.own is not None

    def network() -> Arrays:
        return original.runner.run(feeds)

    def detections() -> Arrays:
        scores, boxes = original.heads.decoded(original.heads_in(network()))
        found = detections_of(scores, boxes, recipe.detections)
        return {"boxes": found.boxes, "scores": found.scores}

    run, work = (network, "heads") if alone else (detections, "detections")
    if whole:
        run, work = network, "detections"
    runner = original.runner
    told = Told(runner.runtime, runner.executed_on, runner.execution_precision, work, threads, requests)
    return CalledEngine(run, told, _setter(runner.runtime))


def _setter(runtime: str) -> Callable[[int], None]:
    """Return what tells a library with how many threads to compute."""
    if runtime.startswith("torch"):
        import torch

        return torch.set_num_threads
    import cv2

    return cv2.setNumThreads
