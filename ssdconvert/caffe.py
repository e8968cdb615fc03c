"""Reads and writes Caffe's networks (.prototxt, text) and their weights (.caffemodel, binary).

Both are the message NetParameter of BVLC/caffe, src/caffe/proto/caffe.proto. A caffemodel is matched
with its prototxt by the layers' names, as Caffe does; its layers that the prototxt lacks are not read.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdconvert.caffe_message import new_network
from ssdconvert.errors import ConversionError
from ssdconvert.workspace import written_atomically

Array = NDArray[np.float32]
Shape = tuple[int | None, ...]  # None: set by the size of the layer's input, which was not followed so far
TOLD = 3  # misfits that a message lists
KEEP_CHANNELS = {
    "BatchNorm", "Dropout", "ELU", "Eltwise", "LRN", "Normalize", "PReLU", "Pooling", "Power", "ReLU", "ReLU6",
    "Scale", "Sigmoid", "Split", "TanH",
}  # fmt: skip


@dataclass(frozen=True)
class Layer:
    """A layer; `weights` are the shapes of its blobs in Caffe's order, none for types that are not known here."""

    name: str
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    weights: tuple[Shape, ...]


@dataclass(frozen=True)
class Network:
    """A prototxt: its inputs' shapes by name, and its layers in order."""

    inputs: Mapping[str, tuple[int, ...]]
    layers: tuple[Layer, ...]


def read_network(path: Path) -> Network:
    """Read a prototxt; ConversionError where it is none, or of the form before 2014."""
    from google.protobuf import text_format

    message = new_network()
    try:
        text_format.Parse(path.read_text("utf-8"), message, allow_unknown_field=True)
    except (text_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(path, f"is no prototxt: {error}") from None
    _refuse_other_forms(path, message)
    shapes = [tuple(shape.dim) for shape in message.input_shape]
    dims = tuple(message.input_dim)
    shapes = shapes or [dims[start : start + 4] for start in range(0, len(dims), 4)]
    inputs = dict(zip(message.input, shapes, strict=False))
    layers = []
    channels = {name: _second(shape) for name, shape in inputs.items()}
    for layer in message.layer:
        if layer.type == "Input":
            given = [tuple(shape.dim) for shape in layer.input_param.shape]
            for index, top in enumerate(layer.top):
                inputs[top] = given[min(index, len(given) - 1)] if given else ()
                channels[top] = _second(inputs[top])
        incoming = [channels.get(bottom) for bottom in layer.bottom]
        weights = tuple(_weight_shapes(layer, incoming[0] if incoming else None))
        layers.append(Layer(layer.name, layer.type, tuple(layer.bottom), tuple(layer.top), weights))
        if layer.type != "Input":
            channels.update((top, _channels_after(layer, incoming)) for top in layer.top)
    return Network(inputs, tuple(layers))


def read_weights(path: Path) -> dict[str, list[Array]]:
    """Return the blobs of a caffemodel by layer, those of layers without any left out.

    Raises ConversionError for a file that is no caffemodel, is cut short, or is of the form before 2014.
    """
    from google.protobuf.message import DecodeError

    message = new_network()
    try:
        message.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise _unreadable(path, f"is no caffemodel, or cut short: {error}") from None
    _refuse_other_forms(path, message)
    return {
        layer.name: [_array(path, layer.name, blob) for blob in layer.blobs]
        for layer in message.layer
        if layer.blobs
    }


def write_caffemodel(path: Path, network: Network, weights: Mapping[str, Sequence[Array]]) -> None:
    """Write every layer of the network, with its blobs; the same bytes every time."""
    message = new_network()
    for layer in network.layers:
        written = message.layer.add(name=layer.name, type=layer.type, bottom=layer.bottoms, top=layer.tops)
        for array in weights.get(layer.name, ()):
            blob = written.blobs.add(data=array.ravel().tolist())
            blob.shape.dim.extend(array.shape)
    with written_atomically(path) as temporary:
        temporary.write_bytes(message.SerializeToString(deterministic=True))


def refuse_misfit(prototxt: Path, caffemodel: Path) -> None:
    """Raise ConversionError where a layer's blobs are missing, of another shape, or not finite."""
    weights = read_weights(caffemodel)
    problems = [
        problem
        for layer in read_network(prototxt).layers
        for problem in _misfits(layer, weights.get(layer.name, []))
    ]
    if problems:
        more = f", and {len(problems) - TOLD} more" if len(problems) > TOLD else ""
        raise ConversionError(
            f"{caffemodel.name} does not fit {prototxt.name}: {'; '.join(problems[:TOLD])}{more}",
            hint="get the caffemodel and the prototxt of the same model: before and after batch "
            "normalisation was merged they are two",
            stage="load",
        )


def _misfits(layer: Layer, blobs: Sequence[Array]) -> Iterator[str]:
    if layer.weights and len(blobs) != len(layer.weights):
        expected = ", ".join(_told(shape) for shape in layer.weights)
        actual = ", ".join(_told(blob.shape) for blob in blobs) or "none"
        yield f"{layer.name} expects the blobs {expected}, found {actual}"
        return
    for shape, blob in zip(layer.weights, blobs, strict=False):
        if len(blob.shape) != len(shape) or any(
            want not in (None, side) for want, side in zip(shape, blob.shape, strict=True)
        ):
            yield f"{layer.name} expects {_told(shape)}, found {_told(blob.shape)}"
    if not all(np.isfinite(blob).all() for blob in blobs):
        yield f"{layer.name} holds NaN or infinity"


def _weight_shapes(layer: Any, incoming: int | None) -> Iterator[Shape]:
    """Yield the shapes of a layer's blobs, for the channels of its first input."""
    if layer.type in ("Convolution", "Deconvolution"):
        spec = layer.convolution_param
        sides = tuple(spec.kernel_size) or (0,)
        kernel = (spec.kernel_h or sides[0], spec.kernel_w or sides[-1])
        group = spec.group or 1
        if layer.type == "Convolution":
            yield (spec.num_output, incoming and incoming // group, *kernel)
        else:
            yield (incoming, spec.num_output // group, *kernel)
        if spec.bias_term:
            yield (spec.num_output,)
    elif layer.type == "InnerProduct":
        yield (layer.inner_product_param.num_output, None)
        if layer.inner_product_param.bias_term:
            yield (layer.inner_product_param.num_output,)
    elif layer.type == "BatchNorm":  # mean, variance, and what both are divided by
        yield from ((incoming,), (incoming,), (1,))
    elif layer.type == "Scale" and len(layer.bottom) == 1:
        yield from [(incoming,)] * (1 + layer.scale_param.bias_term)
    elif layer.type == "PReLU":
        yield () if layer.prelu_param.channel_shared else (incoming,)
    elif layer.type == "Normalize":
        yield () if layer.norm_param.channel_shared else (incoming,)


def _channels_after(layer: Any, incoming: Sequence[int | None]) -> int | None:
    """Return the channels of a layer's outputs, None where they are not followed."""
    if layer.type in ("Convolution", "Deconvolution"):
        return int(layer.convolution_param.num_output)
    if layer.type == "InnerProduct":
        return int(layer.inner_product_param.num_output)
    if layer.type == "Concat" and layer.concat_param.axis == 1:
        known = [channels for channels in incoming if channels is not None]
        return sum(known) if len(known) == len(incoming) else None
    return incoming[0] if incoming and layer.type in KEEP_CHANNELS else None


def _array(path: Path, layer: str, blob: Any) -> Array:
    """Return a blob's numbers in its shape; before 2014 shapes had four sides, ones in front."""
    shape = tuple(blob.shape.dim)
    if not blob.HasField("shape"):
        sides = [blob.num, blob.channels, blob.height, blob.width]
        while len(sides) > 1 and sides[0] == 1:
            sides.pop(0)
        shape = tuple(sides)
    numbers = np.array(blob.data or blob.double_data, np.float32)
    if min(shape, default=1) < 0 or prod(shape) != numbers.size:
        raise _unreadable(path, f"is damaged: {layer} has {numbers.size} numbers for {_told(shape)}")
    return numbers.reshape(shape)


def _refuse_other_forms(path: Path, message: Any) -> None:
    if message.layers:
        raise ConversionError(
            f"{path.name} has `layers` of Caffe before 2014 (V1LayerParameter), expected `layer`",
            hint="upgrade it by Caffe's own upgrade_net_proto_text or upgrade_net_proto_binary",
            stage="load",
        )
    if not message.layer:
        raise _unreadable(path, "holds no layers of a Caffe network")


def _unreadable(path: Path, problem: str) -> ConversionError:
    hint = "get the file again: a .prototxt is text, a .caffemodel binary, and neither is a web page"
    return ConversionError(f"{path.name} {problem}", hint=hint, stage="load")


def _second(shape: Sequence[int]) -> int | None:
    return shape[1] if len(shape) > 1 else None


def _told(shape: Sequence[int | None]) -> str:
    return f"[{', '.join('?' if side is None else str(side) for side in shape)}]"
