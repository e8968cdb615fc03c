"""Makes a caffemodel for a prototxt from a seed: random weights with which pictures give detections.

Layer by layer, each convolution is scaled on the embedded pictures, so that its channels vary by one
around `SHIFT` at any depth; the heads then get small offsets, logits that differ, and a bias of the
background that leaves as many default boxes over the threshold as a trained network would.
"""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from ssdconvert.caffe import Array, Layer, Network, read_network, write_caffemodel
from ssdconvert.errors import ConversionError, RecipeError
from ssdconvert.originals.caffe import detection_output
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import CaffeSource, caffe_pair
from ssdconvert.runners.opencv_runner import OpencvRunner
from ssdconvert.ssd.detections import softmax
from ssdconvert.ssd.preprocess import InputSpec, original_input
from ssdconvert.stand_in.calibration_pictures import all_pictures
from ssdconvert.stand_in.mobilenet_ssd import mobilenet_ssd_prototxt
from ssdconvert.stand_in.ultraface_rfb import ultraface_rfb_prototxt
from ssdconvert.workspace import written_atomically

PROTOTXTS = {"mobilenet_ssd": mobilenet_ssd_prototxt, "ultraface_rfb": ultraface_rfb_prototxt}
# Mean of a channel, in its standard deviations: ReLU cuts off a fifteenth, and rounding errors grow little.
SHIFT = 1.5
LOGITS = 1.5  # standard deviation of a class's logits
OFFSETS = 0.5  # standard deviation of box offsets, before their variances
NOT_NEEDED = {"DetectionOutput", "PriorBox"}
CANDIDATES = 0.025  # of all default boxes, those with a class over the threshold


def write_files(recipe: Recipe, folder: Path) -> None:
    """Write the .prototxt and the .caffemodel of a recipe of kind caffe into `folder`: the same bytes every time.

    Raises RecipeError for a recipe that does not say of which architecture it is.
    """
    source = recipe.source
    assert isinstance(source, CaffeSource)
    if source.stand_in is None:
        raise RecipeError(
            f"{recipe.name} does not say what its stand-in is",
            hint=f"write source.stand_in: one of {', '.join(PROTOTXTS)}",
            stage="stand-in",
        )
    prototxt, caffemodel = caffe_pair({file.name: folder / file.name for file in source.files})
    for path in (prototxt, caffemodel):
        path.parent.mkdir(parents=True, exist_ok=True)
    with written_atomically(prototxt) as temporary:
        temporary.write_text(PROTOTXTS[source.stand_in](), "utf-8")
    if source.heads:
        scores, boxes = source.heads.scores, source.heads.boxes
    else:
        boxes, scores = detection_output(prototxt, read_network(prototxt)).bottoms[:2]
    threshold = recipe.detections.score_threshold
    write_caffe(recipe.input, prototxt, caffemodel, scores, boxes, recipe.classes, threshold)


def write_caffe(
    spec: InputSpec, prototxt: Path, caffemodel: Path, scores: str, boxes: str, classes: int,
    threshold: float, seed: int = 0,
) -> None:  # fmt: skip
    """Write a caffemodel that fits the prototxt; the same bytes for the same arguments and OpenCV.

    `scores` and `boxes` are the layers in which the heads end, after the softmax over `classes` (the
    background first) and before the decoding; `threshold` is that of a detection's score. Raises
    ConversionError for a prototxt whose weights are not all those of convolutions.
    """
    network = read_network(prototxt)
    weights = _random(network, prototxt.name, seed)
    pictures = all_pictures()
    (name,) = network.inputs
    blobs = {name: np.concatenate([original_input(picture, spec) for picture in pictures])}
    logit_heads, offset_heads = _sources(network, scores), _sources(network, boxes)
    spreads = dict.fromkeys(logit_heads, LOGITS) | dict.fromkeys(offset_heads, OFFSETS)
    texts = _layer_texts(prototxt.read_text("utf-8"))
    logits = []
    for layer, text in zip(network.layers, texts, strict=True):
        if not layer.bottoms or not blobs.keys() >= {*layer.bottoms} or layer.type in NOT_NEEDED:
            continue
        feeds = {bottom: blobs[bottom] for bottom in layer.bottoms}
        values = _run_layer(layer, text, feeds, weights.get(layer.name, []))
        if layer.weights:
            head = layer.name in spreads
            factor, offset = _standardising(values, spreads.get(layer.name, 1.0), 0.0 if head else SHIFT)
            kernel, bias = weights[layer.name]
            weights[layer.name] = [kernel * factor[:, None, None, None], bias * factor + offset]
            values = values * factor[:, None, None] + offset[:, None, None]
        if layer.name in logit_heads:  # channel = anchor * classes + class
            logits.append(np.moveaxis(values, 1, -1).reshape(-1, classes))
        blobs |= dict.fromkeys(layer.tops, values)
    background = _background_bias(np.concatenate(logits), threshold)
    for head_name in logit_heads:
        weights[head_name][1][::classes] += background
    write_caffemodel(caffemodel, network, weights)


def _run_layer(layer: Layer, text: str, feeds: Mapping[str, Array], weights: Sequence[Array]) -> Array:
    """Return what a layer makes of its bottoms, as a network of that layer alone."""
    inputs = [
        f'input: "{name}" input_shape {{ {" ".join(f"dim: {side}" for side in array.shape)} }}'
        for name, array in feeds.items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        prototxt, caffemodel = Path(folder) / "layer.prototxt", Path(folder) / "layer.caffemodel"
        prototxt.write_text("\n".join([*inputs, text]), "utf-8")
        write_caffemodel(caffemodel, Network({}, (layer,)), {layer.name: weights})
        return OpencvRunner(prototxt, caffemodel, [layer.name]).run(feeds)[layer.name]


def _layer_texts(text: str) -> list[str]:
    """Return the parts `layer { ... }` of a prototxt."""
    parts, depth, start = [], 0, 0
    for match in re.finditer(r'"(?:\\.|[^"\\])*"|#[^\n]*|\blayer\b|[{}]', text):
        if match[0] == "layer" and depth == 0:
            start = match.start()
        elif match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth -= 1
            if depth == 0 and text.startswith("layer", start):
                parts.append(text[start : match.end()])
                start = match.end()
    return parts


def _random(network: Network, name: str, seed: int) -> dict[str, list[Array]]:
    """Return kernels of normal numbers and biases of zero, by layer."""
    generator = np.random.default_rng(seed)
    weights = {}
    for layer in network.layers:
        if not layer.weights:
            continue
        if layer.type != "Convolution" or len(layer.weights) != 2 or None in layer.weights[0]:
            raise ConversionError(
                f"{name} has the layer {layer.name} ({layer.type}) with the weights {list(layer.weights)}",
                hint="stand-in weights are made for convolutions with biases alone",
                stage="stand-in",
            )
        kernel = [side or 0 for side in layer.weights[0]]
        deviation = np.float32(np.prod(kernel[1:]) ** -0.5)
        numbers = generator.standard_normal(kernel, np.float32) * deviation
        weights[layer.name] = [numbers, np.zeros(kernel[0], np.float32)]
    return weights


def _standardising(values: Array, spread: float, shift: float) -> tuple[Array, Array]:
    """Return factor and offset a channel [C] that bring `values` [N, C, H, W] to the spread.

    The mean becomes `shift` spreads. A channel that hardly varies is not blown up to the full spread.
    """
    variance = values.var((0, 2, 3))
    deviation = np.sqrt(variance + 0.1 * variance.mean() + 1e-12)
    factor = (spread / deviation).astype(np.float32)
    return factor, (shift * spread - values.mean((0, 2, 3)) * factor).astype(np.float32)


def _sources(network: Network, name: str) -> list[str]:
    """Return the convolutions that a layer's numbers come from, with nothing but reordering between."""
    producers = {top: layer for layer in network.layers for top in layer.tops if layer.bottoms != layer.tops}

    def walk(tops: Sequence[str]) -> Iterator[str]:
        for layer in (producers[top] for top in tops):
            if layer.weights:
                yield layer.name
            else:
                yield from walk(layer.bottoms)

    return list(dict.fromkeys(walk([name])))


def _background_bias(logits: Array, threshold: float) -> float:
    """Return what to add to the background's logits [boxes, classes] to leave `CANDIDATES` of the boxes."""
    low, high = -50.0, 50.0
    for _ in range(40):
        middle = (low + high) / 2
        raised = logits + middle * (np.arange(logits.shape[1]) == 0)
        found = (softmax(raised.astype(np.float32))[:, 1:].max(1) > threshold).mean()
        low, high = (middle, high) if found > CANDIDATES else (low, middle)
    return (low + high) / 2
