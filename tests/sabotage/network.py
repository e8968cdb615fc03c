"""Mistakes before the heads: in the preprocessing that is baked in, and in the network."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from openvino.runtime import opset13 as ops

from ssdconvert.stages.convert import convert
from ssdconvert.stages.export import export

from .surgery import (
    MOBILENET,
    SSD_DEMO,
    ULTRAFACE,
    Right,
    bias_of,
    change,
    edit_layers,
    entry,
    in_files,
    in_graph,
    insert,
    middle_convolution,
    nearest,
    nodes,
    normalisation,
    offsets,
    picked,
    the,
    value,
)  # fmt: skip

GREY = "one mean for all channels"
FACTOR = 1.02


@in_graph("channels swapped")
def channels_swapped(right: Right, model: Any) -> None:
    insert(entry(model), lambda port: picked(port, [2, 1, 0], 1))


@in_graph("mean dropped")
def mean_dropped(right: Right, model: Any) -> None:
    _, added = normalisation(model)
    change(added, np.zeros_like(value(added)))


@in_graph("mean off by 2 %")
def mean_off(right: Right, model: Any) -> None:
    _, added = normalisation(model)
    change(added, value(added) * FACTOR)


@in_graph("mean in the other order of channels", {ULTRAFACE: GREY, MOBILENET: GREY})
def mean_in_another_order(right: Right, model: Any) -> None:
    multiplied, added = normalisation(model)
    mean = value(added) / value(multiplied)
    change(added, mean[:, ::-1] * value(multiplied))


@in_graph("scale dropped")
def scale_dropped(right: Right, model: Any) -> None:
    multiplied, added = normalisation(model)
    change(added, value(added) / value(multiplied))
    change(multiplied, np.ones_like(value(multiplied)))


@in_graph("scale off by 1 %")
def scale_off(right: Right, model: Any) -> None:
    for entered in normalisation(model):
        change(entered, value(entered) * 1.01)


@in_graph("mean and scale applied twice")
def normalised_twice(right: Right, model: Any) -> None:
    multiplied, added = normalisation(model)
    factor, shift = (ops.constant(value(entered)) for entered in (multiplied, added))
    insert(added.get_node().output(0), lambda port: ops.add(ops.multiply(port, factor), shift))


@in_graph("0..1 expected at the input, for 0..255")
def expects_fractions(right: Right, model: Any) -> None:
    insert(entry(model), lambda port: ops.multiply(port, ops.constant(np.float32(255))))


@in_graph("height and width transposed")
def transposed(right: Right, model: Any) -> None:
    _, channels, height, width = right.recipe.input.shape
    if height == width:
        axes = ops.constant(np.array([0, 1, 3, 2]))
        insert(entry(model), lambda port: ops.transpose(port, axes))
    else:
        model.reshape([1, channels, width, height])


@in_graph("weights of one convolution times 1.02")
def weights_scaled(right: Right, model: Any) -> None:
    weights = middle_convolution(model).input(1)
    change(weights, value(weights) * FACTOR)


@in_graph("bias of one convolution dropped")
def bias_dropped(right: Right, model: Any) -> None:
    bias = bias_of(middle_convolution(model))
    assert np.abs(value(bias)).max() > 0
    change(bias, np.zeros_like(value(bias)))


@in_graph("two channels of one convolution exchanged")
def channels_permuted(right: Right, model: Any) -> None:
    weights = middle_convolution(model).input(1)
    order = np.arange(len(value(weights)))
    order[:2] = 1, 0
    change(weights, value(weights)[order])


@in_files("batch normalisation folded with epsilon 1e-3, for 1e-5", {MOBILENET: "published folded"})
def folded_wrongly(right: Right, precision: str, target: Path) -> None:
    import torch

    network = copy.deepcopy(right.original.model)
    layers = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert {layer.eps for layer in layers} == {1e-5}
    for layer in layers:
        layer.eps = 1e-3
    exported = target.with_suffix(".onnx")
    export(right.recipe, replace(right.original, model=network), exported)
    convert(right.recipe, exported, {precision: target}, {})


@in_graph("activation of one convolution dropped")
def activation_dropped(right: Right, model: Any) -> None:
    activations = nodes(model, "Relu")
    dropped = activations[len(activations) // 3]
    for consumer in dropped.output(0).get_target_inputs():
        consumer.replace_source_output(dropped.input_value(0))


@in_graph("half of a weight tensor zero")
def half_zero(right: Right, model: Any) -> None:
    weights = middle_convolution(model).input(1)
    array = value(weights)
    array.reshape(-1)[array.size // 2 :] = 0
    change(weights, array)


@in_graph("one channel beyond what FP16 holds")
def overflow(right: Right, model: Any) -> None:
    weights = middle_convolution(model).input(1)
    array = value(weights)
    array[0] *= 1e6 / np.abs(array[0]).max()
    with np.errstate(over="ignore"):
        change(weights, array.astype(np.float16).astype(np.float32))


@in_files("one convolution padded on the other side")
def padded_elsewhere(right: Right, precision: str, target: Path) -> None:
    def other_side(attributes: dict[str, str]) -> None:
        assert attributes["pads_begin"] == attributes["pads_end"]
        pads = [int(pad) for pad in attributes["pads_begin"].split(",")]
        attributes["pads_begin"] = ",".join(str(pad - 1) for pad in pads)
        attributes["pads_end"] = ",".join(str(pad + 1) for pad in pads)

    edit_layers(right.irs[precision], target, "Convolution", other_side, first=True)


@in_graph("two feature maps of the boxes joined in the wrong order")
def maps_exchanged(right: Right, model: Any) -> None:
    joined = nearest(offsets(model), "Concat")
    first, second = joined.input(0), joined.input(1)
    before, after = first.get_source_output(), second.get_source_output()
    first.replace_source_output(after)
    second.replace_source_output(before)


@in_graph("channels of a box head interleaved the other way")
def head_interleaved(right: Right, model: Any) -> None:
    head = nearest(nearest(offsets(model), "Concat").input_value(0), "Convolution")
    layout = (4, -1) if right.model == SSD_DEMO else (-1, 4)  # by coordinate, or by box
    for entered, axis in ((head.input(1), 0), (bias_of(head), 1)):
        array = value(entered)
        order = np.arange(array.shape[axis]).reshape(layout).T.ravel()
        change(entered, np.take(array, order, axis))


@in_graph("softmax over the wrong axis")
def softmax_axis(right: Right, model: Any) -> None:
    softmax = the(model, "Softmax")
    insert(softmax.output(0), lambda _: ops.softmax(softmax.input_value(0), 1))


@in_graph("sigmoid for softmax")
def sigmoid_for_softmax(right: Right, model: Any) -> None:
    softmax = the(model, "Softmax")
    insert(softmax.output(0), lambda _: ops.sigmoid(softmax.input_value(0)))


@in_graph("softmax twice")
def softmax_twice(right: Right, model: Any) -> None:
    insert(the(model, "Softmax").output(0), lambda port: ops.softmax(port, 2))


@in_graph("background last, for first")
def background_last(right: Right, model: Any) -> None:
    columns = [*range(1, right.recipe.classes), 0]
    insert(the(model, "Softmax").output(0), lambda port: picked(port, columns, 2))
