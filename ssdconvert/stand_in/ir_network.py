"""A small detector as an OpenVINO graph: its weights from a seed, scaled layer by layer on pictures.

Five convolutions of stride 2, heads on the maps of strides 16 and 32. Each channel is scaled to a
standard deviation of 1 around SHIFT before its ReLU: with a mean of 0 a random network widens every
difference from layer to layer, and weights of 16 bits would cost more than in any trained one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino.runtime import opset8 as ops

from ssdconvert.ssd.boxes import FloatArray
from ssdconvert.stand_in.ir_endings import LEVEL_BOXES, Node, Rule

Ending = Callable[[list[Node], list[Node], list[Node], Node], list[Node]]

SEED = 2004
CHANNELS = (3, 16, 24, 32, 48, 64)
FIRST_LEVEL = 4  # convolutions before the map of stride 16
SHIFT = 2.0
LOGITS, OFFSETS = 2.0, 0.5  # standard deviations
DIGITS = 3  # significant ones of a scale: other processors' rounding must not reach the bytes
VISIBLE = 0.05  # score above which a detection counts
SHARE, MOST = 0.4, 100  # visible detections of a picture: a share of the rows, and a limit
BIASES = np.arange(-16.0, 8.25, 0.25)
LARGEST_WEIGHT = 63


@dataclass(frozen=True)
class Layer:
    """A 3x3 convolution: `weight` [O, I, 3, 3], `bias` [O].

    Of what enters it, `peak` is the largest number and `means` [I] those of the channels.
    """

    weight: FloatArray
    bias: FloatArray
    peak: float
    means: FloatArray


@dataclass(frozen=True)
class Weights:
    """The backbone's layers, and for each level the heads: class logits and box offsets."""

    backbone: tuple[Layer, ...]
    logits: tuple[Layer, ...]
    offsets: tuple[Layer, ...]


def calibrated(rule: Rule, images: Sequence[NDArray[Any]]) -> Weights:
    """Return seeded weights, each layer scaled on the `images` f32 [1, 3, H, W] of 0..255."""
    random = np.random.default_rng(SEED)
    maps = [image / np.float32(255) for image in images]
    backbone: list[Layer] = []
    logits: list[Layer] = []
    offsets: list[Layer] = []
    for index, (inputs, outputs) in enumerate(pairwise(CHANNELS)):
        layer, maps = _scaled(random, inputs, outputs, 2, maps, SHIFT, 1.0)
        backbone.append(layer)
        maps = [np.maximum(one, 0) for one in maps]
        level = index + 1 - FIRST_LEVEL
        if level >= 0:
            anchors = len(LEVEL_BOXES[level])
            logits.append(_scaled(random, outputs, anchors * rule.scores, 1, maps, 0.0, LOGITS)[0])
            offsets.append(_scaled(random, outputs, anchors * 4, 1, maps, 0.0, OFFSETS)[0])
    return Weights(tuple(backbone), tuple(logits), tuple(offsets))


def _scaled(
    random: np.random.Generator,
    inputs: int,
    outputs: int,
    stride: int,
    maps: list[FloatArray],
    mean: float,
    deviation: float,
) -> tuple[Layer, list[FloatArray]]:
    """Return a layer whose channels have this mean and deviation over all `maps`, and its results."""
    weight = random.standard_normal((outputs, inputs, 3, 3), np.float32) / np.float32((9 * inputs) ** 0.5)
    peak = _rounded(max(float(one.max()) for one in maps))
    means = np.mean([one.mean(axis=(0, 2, 3)) for one in maps], axis=0, dtype=np.float64).astype(np.float32)
    results = _convolved(Layer(weight, np.zeros(outputs, np.float32), peak, means), stride, maps)
    together = np.concatenate([one.reshape(outputs, -1) for one in results], axis=1).astype(np.float64)
    spread = together.std(axis=1)
    # a channel that hardly varies, as on a tiny input, is drawn towards the others
    gain = np.array([_rounded(deviation / value) for value in np.maximum(spread, spread.mean() / 2)])
    bias = np.array([_rounded(mean - value) for value in together.mean(axis=1) * gain])
    weight = (weight * gain[:, None, None, None]).astype(np.float32)
    layer = Layer(weight, bias.astype(np.float32), peak, means)
    return layer, _convolved(layer, stride, maps)


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _convolved(layer: Layer, stride: int, maps: list[FloatArray]) -> list[FloatArray]:
    image = ops.parameter(maps[0].shape, np.float32)
    return _run(openvino.Model([_convolution(image, layer, stride, False)], [image]), maps, [0])


def _run(model: openvino.Model, images: Sequence[NDArray[Any]], outputs: Sequence[int]) -> list[Any]:
    """Return these outputs of each image, a list one after the other."""
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = openvino.Core().compile_model(model, "CPU", settings)
    return [np.array(results[index]) for results in map(compiled, images) for index in outputs]


def with_raised_scores(
    rule: Rule, weights: Weights, images: Sequence[NDArray[Any]], ending: Ending
) -> Weights:
    """Return the weights with a bias of the class logits under which about `SHARE` of the rows are visible."""
    wanted = min(SHARE * rule.rows, MOST)
    low, high = 0, len(BIASES) - 1
    while low < high:  # the smallest bias with enough detections
        middle = (low + high) // 2
        model = build(rule, _biased(rule, weights, float(BIASES[middle])), ending)
        visible = [np.count_nonzero(rule.scores_in(one) > VISIBLE) for one in _run(model, images, [0])]
        low, high = (low, middle) if np.mean(visible) >= wanted else (middle + 1, high)
    return _biased(rule, weights, float(BIASES[low]))


def _biased(rule: Rule, weights: Weights, bias: float) -> Weights:
    """Add to the logits of classes: directly before a sigmoid, by lowering the background before a softmax."""
    heads = []
    for layer in weights.logits:
        shifted = layer.bias.reshape(-1, rule.scores).copy()
        if rule.background is None:
            shifted += np.float32(bias)
        else:
            shifted[:, rule.background] -= np.float32(bias)
        heads.append(replace(layer, bias=shifted.ravel()))
    return replace(weights, logits=tuple(heads))


def build(
    rule: Rule, weights: Weights, ending: Ending, input_name: str = "image", quantised: bool = False
) -> openvino.Model:
    """Return the network; its input is f32 [1, 3, H, W] of 0..255."""
    image = ops.parameter([1, 3, rule.height, rule.width], np.float32)
    image.set_friendly_name(input_name)
    image.output(0).get_tensor().set_names({input_name})
    node = ops.multiply(image, np.full((1, 1, 1, 1), 1 / 255, np.float32))
    maps: list[Node] = []
    for index, layer in enumerate(weights.backbone):
        node = _fake_quantised(node, layer.peak) if quantised else node
        if index >= FIRST_LEVEL:
            maps.append(node)
        node = ops.relu(_convolution(node, layer, 2, quantised))
    maps.append(_fake_quantised(node, weights.logits[-1].peak) if quantised else node)
    logits, offsets = (
        [_convolution(source, layer, 1, quantised) for source, layer in zip(maps, layers, strict=True)]
        for layers in (weights.logits, weights.offsets)
    )
    return openvino.Model(ending(maps, logits, offsets, image), [image])


def _convolution(node: Node, layer: Layer, stride: int, quantised: bool) -> Node:
    if quantised:
        weight, bias = _quantised(layer)
    else:
        weight, bias = ops.constant(layer.weight), layer.bias
    result = ops.convolution(node, weight, [stride, stride], [1, 1], [1, 1], [1, 1])
    return ops.add(result, bias.reshape(1, -1, 1, 1))


def _quantised(layer: Layer) -> tuple[Node, FloatArray]:
    """Return i8 weights times a scale for each channel of the output, and the bias corrected for their means."""
    weight = layer.weight
    scale = np.abs(weight).max(axis=(1, 2, 3), keepdims=True) / np.float32(LARGEST_WEIGHT)
    integers = np.round(weight / scale).astype(np.int8)
    lost = (weight - integers * scale).sum(axis=(2, 3)) @ layer.means
    node = ops.multiply(ops.convert(ops.constant(integers), "f32"), ops.constant(scale))
    return node, layer.bias + lost.astype(np.float32)


def _fake_quantised(node: Node, peak: float) -> Node:
    low, high = np.zeros((1, 1, 1, 1), np.float32), np.full((1, 1, 1, 1), peak, np.float32)
    return ops.fake_quantize(node, low, high, low, high, 256)
