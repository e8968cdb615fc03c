"""Small operations on ONNX graphs that several stages share."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx


def with_outputs(model: "onnx.ModelProto", names: Sequence[str]) -> "onnx.ModelProto":
    """Return the model, or a copy, with its inner tensors `names` as outputs too, and with their shapes.

    One whose type ONNX cannot infer is taken for float, of an unknown shape.
    """
    import onnx

    present = {entry.name for entry in model.graph.output}
    if not present.union(entry.name for entry in model.graph.value_info).issuperset(names):
        model = onnx.shape_inference.infer_shapes(model)
    known = {entry.name: entry for entry in model.graph.value_info}
    for name in names:
        if name not in present:
            float_of_any_shape = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
            model.graph.output.append(known.get(name, float_of_any_shape))
    return model


def keep_what_leads_to(graph: "onnx.GraphProto", names: Sequence[str]) -> None:
    """Remove the nodes, weights, inputs and outputs that none of the tensors `names` depends on."""
    needed, kept = set(names), []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed.update(node.input)
            kept.append(node)
    for entries, wanted in (
        (graph.node, kept[::-1]),
        (graph.initializer, [tensor for tensor in graph.initializer if tensor.name in needed]),
        (graph.input, [entry for entry in graph.input if entry.name in needed]),
        (graph.output, [entry for entry in graph.output if entry.name in needed]),
    ):
        del entries[:]
        entries.extend(wanted)


def rename(graph: "onnx.GraphProto", old: str, new: str) -> None:
    """Give a tensor another name wherever it stands."""
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new
    for entry in (*graph.output, *graph.value_info):
        if entry.name == old:
            entry.name = new


def strip(model: "onnx.ModelProto") -> None:
    """Remove what names the machine, the exporter's source lines or a tool's account of itself."""
    model.doc_string = ""
    model.graph.doc_string = ""
    model.graph.name = "ssdconvert"
    del model.metadata_props[:]
    entries: list[Any] = [*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info]
    for entry in entries:
        entry.doc_string = ""
        del entry.metadata_props[:]
