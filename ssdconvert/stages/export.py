"""Export: the original as one ONNX graph, from its input to `bboxes`, `labels`, `scores`, or to the heads.

The heads come from torch (TorchScript exporter: it honours opsets 11 to 17, which old converters
need) or are those of an ONNX file; decoding and NMS may be added as standard operators. Inner tensors
that verification compares keep their names: see `ssdconvert.ssd.heads`.
"""

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ssdconvert.errors import ConversionError
from ssdconvert.onnx_graph import keep_what_leads_to, rename, strip
from ssdconvert.originals import Original
from ssdconvert.outputs import OUTPUTS
from ssdconvert.quantised_onnx import to_qdq
from ssdconvert.recipe import Recipe
from ssdconvert.tails.graph import GraphBuilder
from ssdconvert.tails.nms import add_nms_tail
from ssdconvert.workspace import written_atomically

if TYPE_CHECKING:
    import onnx

NUMBERED = r"(onnx::\w+_)\d+"  # what the exporter calls tensors that have no name


def export(recipe: Recipe, original: Original, target: Path, suppresses: bool = True) -> str:
    """Write the graph to `target` and return what was done, in a few words.

    It ends in detections, or in the heads by our names where it does not suppress. Raises ConversionError when
    the graph cannot be made or does not pass ONNX's own checker.
    """
    import onnx

    make_heads = _from_onnx if isinstance(original.model, Path) else _from_torch
    model = make_heads(recipe, original)
    if suppresses:
        add_nms_tail(model, original.heads, original.default_boxes, recipe.classes, recipe.detections)
    else:
        _end_in_heads(model, original.head_shapes(recipe.classes))
    strip(model)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ConversionError(
            f"the exported graph is not valid ONNX: {error}", hint="report this as a bug", stage="export"
        ) from error
    with written_atomically(target) as temporary:
        onnx.save(model, temporary)
    return f"opset {recipe.opset}, {len(model.graph.node)} nodes, {original.default_boxes} default boxes"


def _from_torch(recipe: Recipe, original: Original) -> "onnx.ModelProto":
    """Return the heads of an nn.Module. The tracer runs it once, on zeros of the input's size, without arithmetic."""
    import onnx
    import torch

    from ssdconvert.networks._tracing import WithoutArithmetic

    buffer = io.BytesIO()
    with warnings.catch_warnings(), WithoutArithmetic():
        warnings.simplefilter("ignore")  # the exporter announces its own end; its version is pinned
        try:
            torch.onnx.export(
                original.model,
                (torch.zeros(*recipe.input.shape),),
                buffer,  # type: ignore[arg-type]
                dynamo=False,
                opset_version=recipe.opset,
                input_names=[recipe.input.name],
                output_names=list(original.heads.names),
            )
        except (RuntimeError, ValueError) as error:
            raise ConversionError(
                f"torch cannot export {recipe.name}: {error}",
                hint="try another opset in the recipe",
                stage="export",
            ) from error
    model = onnx.load_from_string(buffer.getvalue())
    number_in_order(model.graph)
    return model


def number_in_order(graph: "onnx.GraphProto") -> None:
    """Number the tensors that the exporter made of weights, `onnx::Conv_552`, in the order in which they are used.

    Its own numbers count what it met while it traced. The weights follow in the same order.
    """
    names: dict[str, str] = {}
    for node in graph.node:
        for used in (*node.input, *node.output):
            if made := re.fullmatch(NUMBERED, used):
                names.setdefault(used, f"{made[1]}{len(names)}")
    for node in graph.node:
        for used in (node.input, node.output):
            used[:] = [names.get(name, name) for name in used]
    position: dict[str, int] = {}
    for name in (name for node in graph.node for name in node.input):
        position.setdefault(name, len(position))
    for tensor in graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    graph.initializer.sort(key=lambda tensor: position.get(tensor.name, len(position)))


def _from_onnx(recipe: Recipe, original: Original) -> "onnx.ModelProto":
    """Return an ONNX file's graph at the recipe's opset, its heads under our names."""
    import onnx

    model = onnx.load(original.model)
    initialisers = {tensor.name for tensor in model.graph.initializer}
    inputs = [entry for entry in model.graph.input if entry.name not in initialisers]
    del model.graph.input[:]  # IR version 3 and exporters of its time list weights as inputs
    model.graph.input.extend(inputs)
    keep_what_leads_to(model.graph, [tensor.name for tensor in original.tensors.values()])
    if original.quantised:
        model = to_qdq(model)
    current = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if current > recipe.opset:
        raise ConversionError(
            f"{original.model.name} is of opset {current}, the recipe asks for {recipe.opset}",
            hint=f"write opset: {current} into the recipe",
            stage="export",
        )
    if current < recipe.opset:
        try:
            model = onnx.version_converter.convert_version(model, recipe.opset)
        except RuntimeError as error:
            raise ConversionError(
                f"ONNX cannot raise {original.model.name} from opset {current} to {recipe.opset}: {error}",
                hint=f"write opset: {max(current, 11)} into the recipe",
                stage="export",
            ) from error
    model.ir_version = max(model.ir_version, 4)
    _give_heads_our_names(model, original)
    for name in OUTPUTS:  # inner tensors that happen to be called as the outputs of the tail
        rename(model.graph, name, f"original/{name}")
    return model


def _end_in_heads(model: "onnx.ModelProto", shapes: Mapping[str, Sequence[int]]) -> None:
    """Make tensors of these shapes the outputs of a graph, in this order."""
    import onnx

    described = [entry for entry in model.graph.value_info if entry.name not in shapes]
    del model.graph.value_info[:], model.graph.output[:]
    model.graph.value_info.extend(described)
    model.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    )


def _give_heads_our_names(model: "onnx.ModelProto", original: Original) -> None:
    """Name the heads as ours, laid out [1, P, n] as ours: scores by class become rows with a background."""
    graph = GraphBuilder(model, "heads")
    for ours, tensor in original.tensors.items():
        if tensor.layout == "rows":
            rename(model.graph, tensor.name, ours)
            continue
        foreground = graph.node("Transpose", tensor.name, perm=[0, 2, 1])  # of [1, C - 1, P]
        background = graph.constant(np.zeros((1, original.default_boxes, 1)), np.float32)
        graph.node("Concat", background, foreground, axis=2)
        model.graph.node[-1].output[0] = ours
