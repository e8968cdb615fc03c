"""Stand-ins for ONNX files that end in an NMS of their own: MLPerf's, and the ONNX Model Zoo's SSDs.

The real files (resnet34-ssd1200.onnx, ssd-10.onnx, ssd-12.onnx) come from a 2019 exporter: decode and
softmax, one NonMaxSuppression over all classes whose limits are computed by nodes, scores gathered, the
best 200 by TopK. Names of the tensors around the NMS are those of ssd-10.onnx, as OpenCV and onnx-mlir
list them (opencv#25314, onnx-mlir#1158). Without a detection N is 0.
"""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssdconvert.onnx_graph import rename, strip
from ssdconvert.ssd.heads import BOX_OFFSETS, CLASS_LOGITS
from ssdconvert.workspace import written_atomically

if TYPE_CHECKING:
    import onnx
    import torch

    from ssdconvert.tails.graph import GraphBuilder

OPSETS = (10, 12)  # NonMaxSuppression is there from 10 on; up to 12 Unsqueeze has its axes as attribute
LISTS_WEIGHTS = 10  # up to this opset exporters wrote weights among the inputs too
PER_CLASS, KEEP = 200, 200
IOU_THRESHOLD, SCORE_THRESHOLD = 0.5, 0.05
NMS_BOXES, NMS_SCORES = "Concat_659", "Slice_676"
NMS_LIMITS = ("ConstantOfShape_678", "ConstantOfShape_680", "ConstantOfShape_682")
NMS = "NonMaxSuppression_683"


def write_with_own_nms(
    network: "torch.nn.Module", input_name: str, shape: Sequence[int], path: Path, opset: int = 10
) -> None:
    """Write `network` (see `ssdconvert.networks`) as the zoo publishes it; the same bytes every time.

    Input `input_name` f32 [1, 3, H, W] = `shape`, normalised. Outputs `bboxes` f32 [1, N, 4] corners in
    0..1, `labels` i64 [1, N] from 1 on, `scores` f32 [1, N], best first, N <= 200. At opset 10 the weights
    are among the inputs too, as exporters of that time wrote them.
    """

    if not OPSETS[0] <= opset <= OPSETS[1]:
        raise ValueError(f"these files are of opset {OPSETS[0]} to {OPSETS[1]}, not {opset}")
    model = _exported(network, input_name, shape, opset)
    _add_tail(model, network)
    _write(model, path, opset)


def write_with_heads(
    network: "torch.nn.Module",
    input_name: str,
    shape: Sequence[int],
    path: Path,
    opset: int,
    scores: str,
    boxes: str,
) -> None:
    """Write `network` with probabilities [1, P, C] and decoded boxes [1, P, 4] as outputs, and without NMS."""
    import onnx

    from ssdconvert.tails.graph import GraphBuilder

    model = _exported(network, input_name, shape, opset)
    sides = [[d.dim_value for d in output.type.tensor_type.shape.dim] for output in model.graph.output]
    del model.graph.output[:]
    graph = GraphBuilder(model, "decoding")
    outputs = graph.node("Softmax", CLASS_LOGITS, axis=2), _decoded(graph, network)
    for tensor, name, shape_of_output in zip(outputs, (scores, boxes), sides, strict=True):
        graph.output(tensor, name, onnx.TensorProto.FLOAT, shape_of_output)
    _write(model, path, opset)


def _write(model: "onnx.ModelProto", path: Path, opset: int) -> None:
    import onnx

    strip(model)
    model.graph.name = "stand-in"
    if opset <= LISTS_WEIGHTS:
        listed = {entry.name for entry in model.graph.input}
        for tensor in model.graph.initializer:
            if tensor.name not in listed:
                described = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
                model.graph.input.append(described)
    onnx.checker.check_model(model, full_check=True)
    with written_atomically(path) as temporary:
        onnx.save(model, temporary)


def _exported(
    network: "torch.nn.Module", input_name: str, shape: Sequence[int], opset: int
) -> "onnx.ModelProto":
    """Return the heads as torch exports them: class logits [1, P, C] and box offsets [1, P, 4]."""
    import onnx
    import torch

    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter announces its own end; its version is pinned
        torch.onnx.export(
            network.eval(),
            (torch.zeros(*shape),),
            buffer,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=opset,
            input_names=[input_name],
            output_names=[CLASS_LOGITS, BOX_OFFSETS],
            keep_initializers_as_inputs=opset <= LISTS_WEIGHTS,
        )
    model = onnx.load_from_string(buffer.getvalue())
    _unshare_weights(model.graph)
    return model


def _unshare_weights(graph: "onnx.GraphProto") -> None:
    """Undo what the exporter does to equal weights, Identity nodes: exporters of 2019 did not."""
    weights = {tensor.name for tensor in graph.initializer}
    shared = [node for node in graph.node if node.op_type == "Identity" and node.input[0] in weights]
    for node in shared:
        graph.node.remove(node)
        rename(graph, node.output[0], node.input[0])


def _add_tail(model: "onnx.ModelProto", network: Any) -> None:
    """Replace the heads of `model` by detections."""
    import onnx

    from ssdconvert.tails.graph import GraphBuilder

    _, default_boxes, classes = (d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim)
    del model.graph.output[:]
    graph = GraphBuilder(model, "tail")
    boxes = _decoded(graph, network)
    rows = graph.node("Transpose", graph.node("Softmax", CLASS_LOGITS, axis=2), perm=[0, 2, 1])
    scores = graph.node("Slice", rows, graph.integers(1), graph.integers(classes), graph.integers(1))
    limits = [
        graph.node(
            "ConstantOfShape", graph.integers(1), value=onnx.numpy_helper.from_array(np.array([value]))
        )
        for value in (np.int64(PER_CLASS), np.float32(IOU_THRESHOLD), np.float32(SCORE_THRESHOLD))
    ]
    selected = graph.node("NonMaxSuppression", boxes, scores, *limits)  # [n, 3] of (0, class, box)
    of_class = graph.node("Gather", selected, graph.integers(1), axis=1)  # [n, 1]
    of_box = graph.node("Gather", selected, graph.integers(2), axis=1)
    cell = graph.node("Add", graph.node("Mul", of_class, graph.integers(default_boxes)), of_box)
    flat = graph.node("Reshape", scores, graph.integers(-1))
    found = graph.node("Gather", flat, graph.node("Squeeze", cell, axes=[1]), axis=0)  # [n]
    count = graph.node("Cast", graph.node("Shape", found), to=onnx.TensorProto.FLOAT)
    fewest = graph.node("Min", count, graph.constant([KEEP], np.float32))  # Min has no integers before 12
    rows_kept = graph.node("Cast", fewest, to=onnx.TensorProto.INT64)
    best, indices = graph.node("TopK", found, rows_kept, axis=0, outputs=2)
    box_indices = graph.node("Gather", graph.node("Squeeze", of_box, axes=[1]), indices, axis=0)
    classes_kept = graph.node("Gather", graph.node("Squeeze", of_class, axes=[1]), indices, axis=0)
    labels = graph.node("Add", classes_kept, graph.integers(1))
    corners = graph.node("Gather", graph.node("Squeeze", boxes, axes=[0]), box_indices, axis=0)
    floats, integers = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    outputs: list[tuple[str, str, int, list[Any]]] = [
        ("bboxes", corners, floats, [1, "nbox", 4]),
        ("labels", labels, integers, [1, "nbox"]),
        ("scores", best, floats, [1, "nbox"]),
    ]
    for name, tensor, dtype, sides in outputs:
        graph.output(graph.node("Unsqueeze", tensor, axes=[0]), name, dtype, sides)
    names = (NMS_BOXES, NMS_SCORES, *NMS_LIMITS, NMS)
    for old, new in zip((boxes, scores, *limits, selected), names, strict=True):
        rename(model.graph, old, new)
        next(node for node in model.graph.node if new in node.output).name = new


def _decoded(graph: "GraphBuilder", network: Any) -> str:
    """Add offsets [1, P, 4] to corners [1, P, 4], as in `ssdconvert.ssd.boxes.decode`."""
    default_boxes = network.default_boxes()[None]
    centre, size = default_boxes[..., :2], default_boxes[..., 2:]
    starts = graph.node("Split", BOX_OFFSETS, axis=2, split=[2, 2], outputs=2)
    offsets = [
        graph.node("Mul", part, graph.constant(variance, np.float32))
        for part, variance in zip(starts, network.variances, strict=True)
    ]
    shift = graph.node("Mul", offsets[0], graph.constant(size, np.float32))
    middle = graph.node("Add", shift, graph.constant(centre, np.float32))
    sides = graph.node("Mul", graph.node("Exp", offsets[1]), graph.constant(size, np.float32))
    half = graph.node("Mul", sides, graph.constant(0.5, np.float32))
    low, high = graph.node("Sub", middle, half), graph.node("Add", middle, half)
    return str(graph.node("Concat", low, high, axis=2))
