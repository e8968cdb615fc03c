"""A Caffe network in OpenCV's dnn module."""

from pathlib import Path

import numpy as np

from ssdconvert.caffe import Layer, Network, read_network, refuse_misfit
from ssdconvert.errors import ConversionError
from ssdconvert.originals import Original
from ssdconvert.originals.fit import coding_in, fitted, heads_named
from ssdconvert.outputs import DETECTION_OUT, form_of
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import CaffeSource
from ssdconvert.runners.inner_tensors import OpencvTensors
from ssdconvert.ssd.heads import Heads, HeadTensor


def load_caffe(recipe: Recipe, source: CaffeSource, prototxt: Path, caffemodel: Path) -> Original:
    """Return the network in OpenCV; ConversionError where the two files, or the recipe, do not fit."""
    from ssdconvert.runners.opencv_runner import OpencvRunner

    refuse_misfit(prototxt, caffemodel)
    network = read_network(prototxt)
    if network.inputs.get(recipe.input.name) != tuple(recipe.input.shape):
        raise ConversionError(
            f"{prototxt.name} has the inputs {dict(network.inputs)}, "
            f"expected {recipe.input.name!r} {list(recipe.input.shape)}",
            hint="correct input.name or input.shape in the recipe",
            stage="load",
        )
    zeros = np.zeros(recipe.input.shape, np.float32)
    inner = OpencvTensors(prototxt, caffemodel)
    if source.heads is not None:
        heads = heads_named(recipe, source.heads)
        tensors = {heads.scores: HeadTensor(source.heads.scores), heads.boxes: HeadTensor(source.heads.boxes)}
        runner = OpencvRunner(prototxt, caffemodel, [tensor.name for tensor in tensors.values()])
        original = Original(heads, 0, prototxt, runner, tensors, inner=lambda exported: inner)
        return fitted(recipe, original, prototxt.name, runner.run({recipe.input.name: zeros}))
    layer = detection_output(prototxt, network)
    offsets, probabilities, priors = layer.bottoms[:3]
    runner = OpencvRunner(prototxt, caffemodel, [DETECTION_OUT, offsets, probabilities, priors])
    outputs = runner.run({recipe.input.name: zeros})
    coding = coding_in(prototxt.name, outputs[priors])
    heads = Heads(coding, recipe.detections.clip)
    tensors = {
        heads.scores: HeadTensor(probabilities, "flat", recipe.classes),
        heads.boxes: HeadTensor(offsets, "flat"),
    }
    own = form_of([DETECTION_OUT])
    original = Original(
        heads, 0, prototxt, runner, tensors, own, keeps_outputs=True, inner=lambda exported: inner
    )
    return fitted(recipe, original, prototxt.name, outputs)


def detection_output(prototxt: Path, network: Network) -> Layer:
    """Return the layer that takes offsets, probabilities and default boxes."""
    layers = [layer for layer in network.layers if layer.type == "DetectionOutput"]
    if len(layers) != 1 or layers[0].tops != (DETECTION_OUT,):
        raise ConversionError(
            f"{prototxt.name} does not end in one layer DetectionOutput with the top {DETECTION_OUT}",
            hint="for a network without NMS write source.heads into the recipe",
            stage="load",
        )
    return layers[0]
