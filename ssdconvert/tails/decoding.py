"""From heads to class probabilities and corners, in standard ONNX operators: where every tail begins."""

import numpy as np

from ssdconvert.ssd.heads import BoxCoding, Heads
from ssdconvert.tails.graph import GraphBuilder


def probabilities(graph: GraphBuilder, heads: Heads) -> str:
    """Return the tensor of class probabilities [1, P, C]."""
    return str(graph.node("Softmax", heads.scores, axis=2)) if heads.logits else heads.scores


def clip(graph: GraphBuilder, corners: str) -> str:
    """Return corners cut at the edges of 0..1."""
    edges = (graph.constant(edge, np.float32) for edge in (0, 1))
    return str(graph.node("Clip", corners, *edges))


def decode(graph: GraphBuilder, offsets: str, coding: BoxCoding) -> str:
    """Offsets [1, P, 4] to corners [1, P, 4]; the variances are multiplied into the default boxes."""
    centre, size = coding.default_boxes[None, :, :2], coding.default_boxes[None, :, 2:]
    axis = graph.integers(2)
    centre_offsets = graph.node("Slice", offsets, graph.integers(0), graph.integers(2), axis)
    size_offsets = graph.node("Slice", offsets, graph.integers(2), graph.integers(4), axis)
    shift = graph.node("Mul", centre_offsets, graph.constant(size * coding.variances[0], np.float32))
    middle = graph.node("Add", shift, graph.constant(centre, np.float32))
    exponent = graph.node("Mul", size_offsets, graph.constant(coding.variances[1], np.float32))
    if coding.largest_size_offset is not None:
        exponent = graph.node("Min", exponent, graph.constant(coding.largest_size_offset, np.float32))
    half = graph.node("Mul", graph.node("Exp", exponent), graph.constant(size / 2, np.float32))
    low, high = graph.node("Sub", middle, half), graph.node("Add", middle, half)
    return str(graph.node("Concat", low, high, axis=2, name="decoded_boxes"))
